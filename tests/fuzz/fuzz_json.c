/*
 * The first byte fills the padding, the rest is the text. The verdict and the nodes must be those
 * of the plain recursive descent, and what the values mean must agree with the C library and
 * survive being written again.
 */
#include "core/json.h"
#include "core/text.h"
#include "tests/core/naive_json.h"

#include <stdlib.h>

enum {
    BYTES_MAX = 1 << 16,
    DEPTH_MAX = 100
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cw_json_parser *parser;
static struct cw_json_parser *second;
static struct cw_json_node naive_nodes[BYTES_MAX + 1];

static void check_number(struct cw_view raw)
{
    static char copy[BYTES_MAX + 1];
    memcpy(copy, raw.data, raw.bytes);
    copy[raw.bytes] = '\0';
    double expected = strtod(copy, NULL);
    double value = cw_json_number(raw);
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): bit for bit */
    CW_ASSERT(memcmp(&value, &expected, sizeof value) == 0);
    int64_t integer;
    if (cw_json_int64(raw, &integer)) {
        CW_ASSERT((double)integer == value);
    } else if (raw.bytes <= 16 && memchr(raw.data, 'e', raw.bytes) == NULL &&
               memchr(raw.data, 'E', raw.bytes) == NULL) {
        CW_ASSERT(value != (double)(int64_t)value); /* so short a spelling loses nothing */
    }
}

/* What a string means, written and read again, is the same. */
static void check_string(struct cw_view raw)
{
    static char meant[BYTES_MAX];
    static char again[BYTES_MAX];
    uint32_t bytes = cw_json_unescape(raw, meant);
    CW_ASSERT(bytes <= raw.bytes);
    struct cw_text text = {0};
    cw_text_json(&text, (struct cw_view){meant, bytes});
    uint32_t length = (uint32_t)text.bytes;
    memset(cw_text_room(&text, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    struct cw_json doc;
    if (length <= BYTES_MAX) {
        CW_ASSERT(cw_json_parse(second, text.data, length, &doc) == CW_JSON_PARSE_OK);
        CW_ASSERT(cw_json_unescape(cw_json_raw(&doc, 0), again) == bytes);
        CW_ASSERT(memcmp(again, meant, bytes) == 0);
    }
    cw_text_deinit(&text);
}

static void check_member(const struct cw_json *doc, uint32_t object, uint32_t member)
{
    static char meant[BYTES_MAX];
    const struct cw_json_node *node = &doc->nodes[member];
    struct cw_view key = {doc->text + node->key, node->key_bytes};
    struct cw_view name = {meant, cw_json_unescape(key, meant)};
    uint32_t found = cw_json_find(doc, object, name);
    CW_ASSERT(found != CW_JSON_NONE && found >= member);
    check_string(key);
}

static void check_values(const struct cw_json *doc)
{
    for (uint32_t i = 0; i < doc->node_count; i++) {
        const struct cw_json_node *node = &doc->nodes[i];
        if (node->type == CW_JSON_NUMBER) {
            check_number(cw_json_raw(doc, i));
        } else if (node->type == CW_JSON_STRING) {
            check_string(cw_json_raw(doc, i));
        } else if (node->type == CW_JSON_OBJECT) {
            uint32_t members = 0; /* bounded, for finding each among all is quadratic */
            for (uint32_t c = i + 1; c < node->next && members < 50; c = doc->nodes[c].next) {
                check_member(doc, i, c);
                members++;
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cw_fault fault;
    if (parser == NULL) {
        cw_err err = cw_json_open(&parser, BYTES_MAX, DEPTH_MAX, &fault);
        CW_ASSERT(err == CW_ERR_OK);
        err = cw_json_open(&second, BYTES_MAX, DEPTH_MAX, &fault);
        CW_ASSERT(err == CW_ERR_OK);
    }
    if (size == 0 || size > BYTES_MAX) {
        return 0;
    }
    uint32_t bytes = (uint32_t)size - 1;
    char *text = malloc(bytes + CW_JSON_PADDING);
    CW_ASSERT(text != NULL);
    memcpy(text, data + 1, bytes);
    memset(text + bytes, data[0], CW_JSON_PADDING);

    struct naive_json naive = {.text = (const uint8_t *)text,
                               .bytes = bytes,
                               .depth_max = DEPTH_MAX,
                               .nodes = naive_nodes};
    bool good = naive_json_parse(&naive);
    struct cw_json doc;
    enum cw_json_status status = cw_json_parse(parser, text, bytes, &doc);
    CW_ASSERT(good == (status == CW_JSON_PARSE_OK));
    CW_ASSERT(doc.error_offset <= bytes);
    if (good) {
        CW_ASSERT(doc.node_count == naive.count && cw_json_check(&doc));
        for (uint32_t i = 0; i < doc.node_count; i++) {
            CW_ASSERT(naive_json_same(&doc.nodes[i], &naive_nodes[i]));
        }
        check_values(&doc);
    }
    free(text);
    return 0;
}
