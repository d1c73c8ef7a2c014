/* Both cases of a letter, for patterns that ignore case; looked up when a pattern is compiled. */
#include "pipeline/pattern_case.h"
#include "pipeline/pattern_priv.h"

static uint32_t put_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    uint32_t more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint8_t leads[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(leads[more] | code >> (6 * more));
    for (uint32_t i = 1; i <= more; i++) {
        out[i] = (char)(0x80 | (code >> (6 * (more - i)) & 0x3f));
    }
    return more + 1;
}

static uint32_t other_case(uint32_t code, const struct cw_case_run *runs, uint32_t count)
{
    uint32_t lo = 0;
    uint32_t hi = count;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (runs[middle].last < code) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    /* Runs of every second letter may overlap the next one by a letter or two. */
    for (uint32_t i = lo; i < count && i < lo + 3; i++) {
        if (code >= runs[i].first && code <= runs[i].last &&
            (code - runs[i].first) % runs[i].step == 0) {
            return (uint32_t)((int32_t)code + runs[i].delta);
        }
    }
    return code;
}

static uint32_t put_case(uint32_t code, uint32_t plain, const struct cw_case_special *specials,
                         uint32_t count, char *out)
{
    for (uint32_t i = 0; i < count; i++) {
        if (specials[i].code == code) {
            uint32_t bytes = (uint32_t)strlen(specials[i].text);
            memcpy(out, specials[i].text, bytes);
            return bytes;
        }
    }
    return put_utf8(plain, out);
}

void cw_pattern_cases(uint32_t code, struct cw_pattern_cases *cases)
{
    uint32_t lower = other_case(code, lower_runs, CW_COUNTOF(lower_runs));
    uint32_t upper = other_case(code, upper_runs, CW_COUNTOF(upper_runs));
    cases->lower_bytes =
        put_case(code, lower, lower_specials, CW_COUNTOF(lower_specials), cases->lower);
    cases->upper_bytes =
        put_case(code, upper, upper_specials, CW_COUNTOF(upper_specials), cases->upper);
}
