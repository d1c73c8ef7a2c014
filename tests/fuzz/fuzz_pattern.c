/*
 * A pattern, a newline, a second pattern, a newline, and an event. Whatever they are: nothing
 * breaks, a valid pattern answers the same alone and in a set, and as the naive matcher does where
 * that one's simplifications do not matter (ASCII, no addresses, not too large).
 */
#include "pipeline/pattern.h"
#include "tests/pipeline/naive_pattern.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    BYTES_MAX = 1 << 16
};

static struct cw_json_parser *parsers[3];
static struct cw_pattern_scratch *scratch;

/* Anew for each input: what leaks shows at once. */
static void open_all(void)
{
    struct cw_fault fault;
    for (int i = 0; i < 3; i++) {
        CW_ASSERT(cw_json_open(&parsers[i], BYTES_MAX, 1000, &fault) == CW_ERR_OK);
    }
    CW_ASSERT(cw_pattern_scratch_open(&scratch, &fault) == CW_ERR_OK);
}

static void close_all(void)
{
    for (int i = 0; i < 3; i++) {
        cw_json_close(parsers[i]);
    }
    cw_pattern_scratch_close(scratch);
}

/* Strings that C's string functions, ASCII and no addresses do justice to. */
static bool is_plain(const struct cw_json *doc)
{
    for (uint32_t i = 0; i < doc->text_bytes; i++) {
        char c = doc->text[i];
        if ((uint8_t)c >= 0x80 || c == '\\' || c == ':') {
            if (c != ':') {
                return false;
            }
        }
    }
    for (uint32_t i = 0; i < doc->node_count; i++) {
        struct cw_view raw = cw_json_raw(doc, i);
        if (doc->nodes[i].key_bytes > 30 ||
            (doc->nodes[i].type < CW_JSON_ARRAY && raw.bytes > 60) ||
            (doc->nodes[i].type == CW_JSON_STRING && raw.bytes > 0 &&
             (memchr(raw.data, ':', raw.bytes) != NULL ||
              memchr(raw.data, '.', raw.bytes) != NULL))) {
            return false;
        }
    }
    return doc->node_count < 200;
}

static void compare_naively(const struct cw_json *pattern, const struct cw_json *event, bool got)
{
    uint32_t depth = 0;
    uint32_t deepest = 0;
    uint32_t choices = 0;
    for (uint32_t i = 0; i < pattern->text_bytes; i++) {
        choices += pattern->text[i] == '$';
    }
    for (uint32_t i = 0; i < event->text_bytes; i++) {
        depth += event->text[i] == '[' || event->text[i] == '{';
        depth -= event->text[i] == ']' || event->text[i] == '}';
        deepest = depth > deepest ? depth : deepest;
    }
    /* Repeated keys may take the engine's search past its bound, and only those. */
    if (deepest < 8 && choices < 3 && is_plain(pattern) && is_plain(event)) {
        int expected = naive_match(pattern, event);
        CW_ASSERT(expected < 0 || expected == (int)got);
    }
}

static bool match_one(struct cw_view text, const struct cw_json *event)
{
    struct cw_pattern_set *set;
    struct cw_pattern_matches matches;
    struct cw_fault fault;
    struct cw_text lines = {0};
    CW_ASSERT(cw_pattern_set_open(&set, &fault) == CW_ERR_OK);
    CW_ASSERT(cw_pattern_add(set, text, CW_PATTERN_STRICT, NULL, &fault) == CW_ERR_OK);
    cw_pattern_set_seal(set);
    cw_pattern_match(set, scratch, event, &matches);
    cw_pattern_explain(set, 0, scratch, event, &lines);
    CW_ASSERT((matches.words[0] & 1) != 0 || lines.bytes > 0);
    cw_text_deinit(&lines);
    cw_pattern_set_close(set);
    return (matches.words[0] & 1) != 0;
}

static void match_all(const struct cw_view texts[2], const bool valid[2],
                      const struct cw_json patterns[2], struct cw_pattern_set *set,
                      const struct cw_json *event)
{
    struct cw_pattern_matches matches;
    uint32_t bit = 0;
    cw_pattern_match(set, scratch, event, &matches);
    for (int i = 0; i < 2; i++) {
        if (valid[i]) {
            bool got = (matches.words[0] >> bit++ & 1) != 0;
            CW_ASSERT(got == match_one(texts[i], event));
            if (patterns[i].node_count > 0) {
                compare_naively(&patterns[i], event, got);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char copies[3][BYTES_MAX + CW_JSON_PADDING];
    struct cw_view texts[3];
    struct cw_json docs[3] = {{0}};
    bool valid[2];
    size_t at = 0;
    open_all();
    for (int i = 0; i < 3; i++) {
        const uint8_t *newline = i < 2 && at < size ? memchr(data + at, '\n', size - at) : NULL;
        size_t end = newline == NULL ? size : (size_t)(newline - data);
        size_t bytes = end - at < BYTES_MAX ? end - at : BYTES_MAX;
        memset(copies[i], 0, sizeof copies[i]);
        if (bytes > 0) {
            memcpy(copies[i], data + at, bytes);
        }
        texts[i] = (struct cw_view){copies[i], (uint32_t)bytes};
        at = end < size ? end + 1 : size;
    }
    struct cw_fault fault;
    struct cw_pattern_set *set;
    CW_ASSERT(cw_pattern_set_open(&set, &fault) == CW_ERR_OK);
    for (int i = 0; i < 2; i++) {
        valid[i] = cw_pattern_add(set, texts[i], CW_PATTERN_STRICT, NULL, &fault) == CW_ERR_OK;
        if (!valid[i] || cw_json_parse(parsers[i], texts[i].data, texts[i].bytes, &docs[i]) !=
                             CW_JSON_PARSE_OK) {
            docs[i].node_count = 0; /* perhaps something stands behind it */
        }
    }
    cw_pattern_set_seal(set);
    if (cw_json_parse(parsers[2], texts[2].data, texts[2].bytes, &docs[2]) == CW_JSON_PARSE_OK &&
        docs[2].nodes[0].type == CW_JSON_OBJECT) {
        match_all(texts, valid, docs, set, &docs[2]);
    }
    cw_pattern_set_close(set);
    close_all();
    return 0;
}
