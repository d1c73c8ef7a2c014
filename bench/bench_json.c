#include "bench/bench.h"
#include "bench/corpus.h"
#include "core/json.h"
#include "core/json_priv.h"
#include "core/text.h"

#include <stdlib.h>

enum {
    DOCUMENTS = 20000,
    DOCUMENTS_TINY = 50,
    DOCUMENT_BYTES_MAX = 1 << 16,
    VALUES = 100000,
    VALUES_TINY = 1000
};

struct state {
    struct cw_corpus corpus;
    struct cw_json_parser *parser;
    struct cw_json_stage1 *stage1;
    struct cw_view *values;
    uint32_t value_count;
    struct cw_text text;
};

static struct state *open_state(struct cw_corpus corpus)
{
    struct state *s = calloc(1, sizeof *s);
    CW_ASSERT(s != NULL);
    struct cw_fault fault;
    s->corpus = corpus;
    cw_err err = cw_json_open(&s->parser, DOCUMENT_BYTES_MAX, CW_JSON_DEPTH_MAX, &fault);
    s->stage1 = cw_json_stage1_open(DOCUMENT_BYTES_MAX);
    CW_ASSERT(err == CW_ERR_OK && s->stage1 != NULL);
    return s;
}

static void close_state(void *state)
{
    struct state *s = state;
    cw_corpus_free(&s->corpus);
    cw_json_close(s->parser);
    cw_json_stage1_close(s->stage1);
    cw_text_deinit(&s->text);
    free(s->values);
    free(s);
}

static void *setup_cart(bool tiny)
{
    return open_state(cw_corpus_cart(tiny ? DOCUMENTS_TINY : DOCUMENTS, CW_CORPUS_CART_BYTES, 1));
}

static void *setup_cl2(bool tiny)
{
    return open_state(cw_corpus_cl2(tiny ? DOCUMENTS_TINY : DOCUMENTS, 1));
}

static uint64_t run_stage1(void *state, uint64_t *units)
{
    struct state *s = state;
    uint64_t hash = 0;
    for (uint32_t i = 0; i < s->corpus.count; i++) {
        struct cw_view document = cw_corpus_at(&s->corpus, i);
        const uint32_t *at;
        uint32_t count;
        enum cw_json_stage1_status status =
            cw_json_stage1_run(s->stage1, document.data, document.bytes, &at, &count);
        CW_ASSERT(status == CW_JSON_STAGE1_OK);
        hash = hash * 31 + count;
    }
    *units = s->corpus.count;
    return hash;
}

static uint64_t run_parse(void *state, uint64_t *units)
{
    struct state *s = state;
    uint64_t hash = 0;
    for (uint32_t i = 0; i < s->corpus.count; i++) {
        struct cw_view document = cw_corpus_at(&s->corpus, i);
        struct cw_json doc;
        enum cw_json_status status = cw_json_parse(s->parser, document.data, document.bytes, &doc);
        CW_ASSERT(status == CW_JSON_PARSE_OK);
        hash = hash * 31 + doc.node_count;
    }
    *units = s->corpus.count;
    return hash;
}

/* Strings of 40 bytes, one escape in the middle, over one another in the value list. */
static void *setup_strings(bool tiny)
{
    struct state *s = open_state((struct cw_corpus){0});
    static const char *const spellings[] = {
        "an escaped \\\"quote\\\" in a sentence of one",
        "caf\\u00e9 au lait, cr\\u00e8me br\\u00fbl\\u00e9e and tea",
        "C:\\\\path\\\\to\\\\a\\\\file\\\\of\\\\the\\\\shop.html",
        "a line\\nand another line\\nand a third\\tone",
    };
    s->value_count = tiny ? VALUES_TINY : VALUES;
    s->values = calloc(s->value_count, sizeof *s->values);
    CW_ASSERT(s->values != NULL);
    for (uint32_t i = 0; i < s->value_count; i++) {
        const char *spelling = spellings[i % CW_COUNTOF(spellings)];
        s->values[i] = (struct cw_view){spelling, (uint32_t)strlen(spelling)};
    }
    return s;
}

static uint64_t run_unescape(void *state, uint64_t *units)
{
    struct state *s = state;
    uint64_t hash = 0;
    char out[64];
    for (uint32_t i = 0; i < s->value_count; i++) {
        uint32_t bytes = cw_json_unescape(s->values[i], out);
        hash = hash * 31 + bytes + (uint8_t)out[bytes - 1];
    }
    *units = s->value_count;
    return hash;
}

/* The prices and totals of cart events, as they stand in the corpus. */
static void *setup_numbers(bool tiny)
{
    struct state *s = setup_cart(tiny);
    s->values = calloc(VALUES, sizeof *s->values);
    CW_ASSERT(s->values != NULL);
    for (uint32_t i = 0; i < s->corpus.count; i++) {
        struct cw_view document = cw_corpus_at(&s->corpus, i);
        struct cw_json doc;
        CW_ASSERT(cw_json_parse(s->parser, document.data, document.bytes, &doc) ==
                  CW_JSON_PARSE_OK);
        for (uint32_t n = 0; n < doc.node_count && s->value_count < VALUES; n++) {
            struct cw_view raw = cw_json_raw(&doc, n);
            if (doc.nodes[n].type == CW_JSON_NUMBER && raw.bytes > 2) {
                s->values[s->value_count++] = raw;
            }
        }
    }
    return s;
}

static uint64_t run_number(void *state, uint64_t *units)
{
    struct state *s = state;
    double sum = 0;
    for (uint32_t i = 0; i < s->value_count; i++) {
        sum += cw_json_number(s->values[i]);
    }
    *units = s->value_count;
    uint64_t hash;
    memcpy(&hash, &sum, sizeof hash);
    return hash;
}

/* One line of output, about as long as what is said of one event. */
static uint64_t run_line(void *state, uint64_t *units)
{
    struct state *s = state;
    uint64_t hash = 0;
    for (uint32_t i = 0; i < s->value_count; i++) {
        struct cw_text *text = &s->text;
        cw_text_clear(text);
        cw_text_puts(text, "{\"kind\":\"scored\",\"programId\":");
        cw_text_json(text, CW_VIEW("abandoned-cart-recovery"));
        cw_text_puts(text, ",\"customerId\":");
        cw_text_json(text, CW_VIEW("C529757"));
        cw_text_puts(text, ",\"cartId\":");
        cw_text_json(text, CW_VIEW("CART-2532731"));
        cw_text_puts(text, ",\"cartValue\":");
        cw_text_number(text, 19.99 + (double)(i % 100000) * 0.25);
        cw_text_puts(text, ",\"score\":");
        cw_text_number(text, 1.0 / (3 + (double)i));
        cw_text_puts(text, ",\"discountPercent\":");
        cw_text_u64(text, i % 20);
        cw_text_puts(text, "}\n");
        hash = hash * 31 + text->bytes + (uint8_t)text->data[text->bytes - 20];
    }
    *units = s->value_count;
    return hash;
}

#define ON_DEMAND "simdjson On-Demand, all fields, clang"

/* clang-format off */
const struct cw_bench_case cw_bench_json[] = {
    {"json.stage1", "event", 0, NULL, setup_cart, run_stage1, close_state, CW_CORPUS_CART_BYTES},
    {"json.parse_cart_736", "event", 262, ON_DEMAND, setup_cart, run_parse, close_state,
     CW_CORPUS_CART_BYTES},
    {"json.parse_geo_882", "event", 0, NULL, setup_cl2, run_parse, close_state,
     CW_CORPUS_CL2_BYTES},
    {"json.unescape", "string", 0, NULL, setup_strings, run_unescape, close_state, 0},
    {"json.number", "number", 0, NULL, setup_numbers, run_number, close_state, 0},
    {"text.json_line", "line", 0, NULL, setup_strings, run_line, close_state, 0},
    {0}
};
/* clang-format on */
