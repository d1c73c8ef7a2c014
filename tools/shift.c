#include "tools/shift.h"

#include "core/time.h"

#define YEAR_10000_MS INT64_C(253402300800000)

static struct cw_told_time told(const struct cw_json *doc, uint32_t node)
{
    struct cw_told_time time = {.ms = CW_TIME_NONE};
    char meant[128];
    if (node == CW_JSON_NONE || doc->nodes[node].type != CW_JSON_STRING) {
        return time;
    }
    struct cw_view raw = cw_json_raw(doc, node);
    if (raw.bytes > sizeof meant) {
        return time;
    }
    struct cw_view text = {meant, cw_json_unescape(raw, meant)};
    if (cw_time_parse(text, &time.ms)) {
        time.at = doc->nodes[node].text;
        time.bytes = raw.bytes;
    }
    return time;
}

struct cw_told_times cw_told_times(const struct cw_json *doc)
{
    struct cw_told_times times = {.time = {.ms = CW_TIME_NONE}, .timestamp = {.ms = CW_TIME_NONE}};
    if (doc->nodes[0].type != CW_JSON_OBJECT) {
        return times;
    }
    times.time = told(doc, cw_json_find(doc, 0, CW_VIEW("time")));
    uint32_t detail = cw_json_find(doc, 0, CW_VIEW("detail"));
    if (detail != CW_JSON_NONE && doc->nodes[detail].type == CW_JSON_OBJECT) {
        times.timestamp = told(doc, cw_json_find(doc, detail, CW_VIEW("timestamp")));
    }
    return times;
}

int64_t cw_told_own(const struct cw_told_times *times)
{
    return times->timestamp.ms != CW_TIME_NONE ? times->timestamp.ms : times->time.ms;
}

void cw_shift(struct cw_view text, const struct cw_told_times *times, int64_t shift_ms,
              struct cw_text *out)
{
    bool time_first = times->time.at < times->timestamp.at;
    const struct cw_told_time *in_order[] = {
        time_first ? &times->time : &times->timestamp,
        time_first ? &times->timestamp : &times->time,
    };
    uint32_t from = 0;
    for (uint32_t i = 0; i < CW_COUNTOF(in_order); i++) {
        const struct cw_told_time *told_time = in_order[i];
        int64_t later = 0;
        if (told_time->ms == CW_TIME_NONE ||
            __builtin_add_overflow(told_time->ms, shift_ms, &later) || later < 0 ||
            later >= YEAR_10000_MS) {
            continue;
        }
        cw_text_put(out, text.data + from, told_time->at - from);
        cw_time_format(later, cw_text_room(out, CW_TIME_BYTES));
        out->bytes += CW_TIME_BYTES;
        from = told_time->at + told_time->bytes;
    }
    cw_text_put(out, text.data + from, text.bytes - from);
}
