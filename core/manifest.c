#include "core/manifest.h"

#include <string.h>
#include <xxhash.h>

enum {
    CORES_MAX = 64,
    PARTITIONS_MAX = 1 << 20,
    HASH_LINE_BYTES = sizeof "hash 0123456789abcdef\n" - 1
};

static const char *const hold_names[] = {
#define CW_X(id, name) name,
    CW_HOLDS(CW_X)
#undef CW_X
};

void cw_holds_write(uint32_t holds, const char *quote, struct cw_text *text)
{
    const char *comma = "";
    for (uint32_t bit = 0; bit < CW_HOLD_BITS; bit++) {
        if ((holds >> bit & 1u) != 0) {
            cw_text_printf(text, "%s%s%s%s", comma, quote, hold_names[bit], quote);
            comma = ",";
        }
    }
}

/* The one reason that there was first is written as it always was. */
static void write_holds(uint32_t holds, struct cw_text *text)
{
    if (holds == CW_HOLD_NONE || holds == CW_HOLD_RESTORED) {
        cw_text_puts(text, holds == CW_HOLD_NONE ? "no" : "yes");
    } else {
        cw_holds_write(holds, "", text);
    }
}

/* Each name at most once. */
static bool read_holds(struct cw_view text, uint32_t *holds)
{
    *holds = cw_view_equal(text, CW_VIEW("yes")) ? CW_HOLD_RESTORED : CW_HOLD_NONE;
    if (*holds != CW_HOLD_NONE || cw_view_equal(text, CW_VIEW("no"))) {
        return true;
    }
    for (uint32_t from = 0; from <= text.bytes;) {
        uint32_t to = from;
        uint32_t bit = 0;
        while (to < text.bytes && text.data[to] != ',') {
            to++;
        }
        while (bit < CW_HOLD_BITS && (strlen(hold_names[bit]) != to - from ||
                                      memcmp(hold_names[bit], text.data + from, to - from) != 0)) {
            bit++;
        }
        if (bit == CW_HOLD_BITS || (*holds >> bit & 1u) != 0) {
            return false;
        }
        *holds |= 1u << bit;
        from = to + 1;
    }
    return true;
}

void cw_manifest_write(const struct cw_manifest *m, struct cw_text *text)
{
    size_t from = text->bytes;
    cw_text_printf(text, "cartwheel-state %u\nstore ", CW_MANIFEST_FORMAT);
    for (uint32_t i = 0; i < sizeof m->store; i++) {
        cw_text_printf(text, "%02x", m->store[i]);
    }
    cw_text_printf(text, "\ngeneration %llu\nepoch %llu\ncores %u\npartitions %u\n",
                   (unsigned long long)m->generation, (unsigned long long)m->epoch, m->cores,
                   m->partitions);
    cw_text_printf(text, "clean %s\nheld ", m->clean ? "yes" : "no");
    write_holds(m->held, text);
    cw_text_printf(text, "\nwriter %s\n", m->writer);
    uint64_t hash = XXH3_64bits(text->data + from, text->bytes - from);
    cw_text_printf(text, "hash %016llx\n", (unsigned long long)hash);
    CW_ASSERT(text->bytes - from <= CW_MANIFEST_BYTES_MAX);
}

/* The text behind `name ` up to the line's end; false when the next line is another. */
static bool take_line(struct cw_view *rest, const char *name, struct cw_view *value)
{
    uint32_t bytes = (uint32_t)strlen(name);
    const char *end = rest->bytes > 0 ? memchr(rest->data, '\n', rest->bytes) : NULL;
    if (end == NULL || (size_t)(end - rest->data) <= bytes ||
        memcmp(rest->data, name, bytes) != 0 || rest->data[bytes] != ' ') {
        return false;
    }
    *value = (struct cw_view){rest->data + bytes + 1, (uint32_t)(end - rest->data) - bytes - 1};
    rest->bytes -= (uint32_t)(end + 1 - rest->data);
    rest->data = end + 1;
    return true;
}

static bool number(struct cw_view text, uint64_t most, uint64_t *value)
{
    *value = 0;
    for (uint32_t i = 0; i < text.bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || text.bytes > 18) {
            return false;
        }
        *value = *value * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.bytes > 0 && *value <= most;
}

static bool hex(struct cw_view text, uint8_t *to, uint32_t bytes)
{
    for (uint32_t i = 0; i < text.bytes; i++) {
        char c = text.data[i];
        int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
        if (digit < 0 || i / 2 >= bytes) {
            return false;
        }
        to[i / 2] = (uint8_t)(i % 2 == 0 ? digit << 4 : to[i / 2] | digit);
    }
    return text.bytes == 2 * bytes;
}

static bool yes(struct cw_view text, bool *value)
{
    *value = cw_view_equal(text, CW_VIEW("yes"));
    return *value || cw_view_equal(text, CW_VIEW("no"));
}

static bool read_fields(struct cw_manifest *m, struct cw_view *rest)
{
    struct cw_view value;
    uint64_t cores;
    uint64_t partitions;
    bool good = take_line(rest, "store", &value) && hex(value, m->store, sizeof m->store) &&
                take_line(rest, "generation", &value) &&
                number(value, UINT64_MAX, &m->generation) && take_line(rest, "epoch", &value) &&
                number(value, 99999999, &m->epoch) && take_line(rest, "cores", &value) &&
                number(value, CORES_MAX, &cores) && cores > 0 &&
                take_line(rest, "partitions", &value) &&
                number(value, PARTITIONS_MAX, &partitions) && partitions > 0 &&
                (partitions & (partitions - 1)) == 0 && take_line(rest, "clean", &value) &&
                yes(value, &m->clean) && take_line(rest, "held", &value) &&
                read_holds(value, &m->held) && take_line(rest, "writer", &value) &&
                value.bytes < sizeof m->writer;
    if (good) {
        memcpy(m->writer, value.data, value.bytes);
        m->cores = (uint32_t)cores;
        m->partitions = (uint32_t)partitions;
    }
    return good;
}

/* Of every format the last line is the hash of all before it; false: the text is damaged. */
static bool is_whole(struct cw_view text)
{
    const uint32_t line = HASH_LINE_BYTES;
    if (text.bytes < line) {
        return false;
    }
    struct cw_view rest = {text.data + text.bytes - line, line};
    struct cw_view value;
    uint8_t told[8] = {0};
    bool good = take_line(&rest, "hash", &value) && hex(value, told, sizeof told);
    uint64_t hash = XXH3_64bits(text.data, text.bytes - line);
    for (uint32_t i = 0; good && i < sizeof told; i++) {
        good = told[i] == (uint8_t)(hash >> (56 - 8 * i));
    }
    return good;
}

cw_err cw_manifest_read(struct cw_manifest *manifest, struct cw_view text, struct cw_fault *fault)
{
    struct cw_view rest = text;
    struct cw_view value;
    uint64_t format;
    *manifest = (struct cw_manifest){.cores = 0};
    if (text.bytes > CW_MANIFEST_BYTES_MAX || !take_line(&rest, "cartwheel-state", &value) ||
        !number(value, UINT32_MAX, &format)) {
        return cw_fail(fault, CW_ERR_CORRUPT, "it is no manifest of cartwheel");
    }
    /* Before the format is believed: a bit that flips in it makes another one of it. */
    if (!is_whole(text)) {
        return cw_fail(fault, CW_ERR_CORRUPT, "the manifest is damaged: its hash is wrong");
    }
    if (format != CW_MANIFEST_FORMAT) {
        return cw_fail(fault, CW_ERR_UNSUPPORTED,
                       "the state has format %llu, and this cartwheel reads format %u; use the "
                       "version that wrote it, or restore a snapshot of that version",
                       (unsigned long long)format, CW_MANIFEST_FORMAT);
    }
    bool good = read_fields(manifest, &rest) && rest.bytes == HASH_LINE_BYTES;
    return good ? CW_ERR_OK : cw_fail(fault, CW_ERR_CORRUPT, "the manifest is damaged");
}

bool cw_manifest_alike(const struct cw_manifest *a, const struct cw_manifest *b)
{
    return memcmp(a->store, b->store, sizeof a->store) == 0 && a->epoch == b->epoch &&
           a->cores == b->cores && a->partitions == b->partitions && a->held == b->held;
}
