/*
 * Event patterns over the two corpora: parse and match together (the whole document is validated),
 * and the match alone over documents parsed before. The limits are peers' rates on the same
 * documents and patterns: event-ruler times five, and quamina, whichever is faster.
 */
#include "bench/bench.h"
#include "bench/corpus.h"
#include "core/json.h"
#include "pipeline/pattern.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DOCUMENTS = 20000,
    DOCUMENTS_TINY = 50,
    DOCUMENT_BYTES_MAX = 1 << 16,
    PARSED = 256 /* documents parsed before, for the rows without the parse */
};

static const char *const cl2_exact[] = {
    "{\"properties\":{\"MAPBLKLOT\":[\"1430022\"]}}",
    "{\"properties\":{\"MAPBLKLOT\":[\"2607117\"]}}",
    "{\"properties\":{\"MAPBLKLOT\":[\"2607218\"]}}",
    "{\"properties\":{\"MAPBLKLOT\":[\"3745012\"]}}",
    "{\"properties\":{\"MAPBLKLOT\":[\"9002309\"]}}",
    NULL,
};

static const char *const cl2_prefix[] = {
    "{\"properties\":{\"STREET\":[{\"prefix\":\"MA\"}]}}",
    "{\"properties\":{\"STREET\":[{\"prefix\":\"CO\"}]}}",
    "{\"properties\":{\"STREET\":[{\"prefix\":\"DR\"}]}}",
    "{\"properties\":{\"STREET\":[{\"prefix\":\"TAY\"}]}}",
    "{\"properties\":{\"STREET\":[{\"prefix\":\"RH\"}]}}",
    NULL,
};

static const char *const cl2_wildcard[] = {
    "{\"properties\":{\"MAPBLKLOT\":[{\"wildcard\":\"143*\"}]}}",
    "{\"properties\":{\"MAPBLKLOT\":[{\"wildcard\":\"2*0*1*7\"}]}}",
    "{\"properties\":{\"MAPBLKLOT\":[{\"wildcard\":\"*218\"}]}}",
    "{\"properties\":{\"MAPBLKLOT\":[{\"wildcard\":\"3*5*2\"}]}}",
    "{\"properties\":{\"MAPBLKLOT\":[{\"wildcard\":\"9*9\"}]}}",
    NULL,
};

static const char *const cl2_anything_but[] = {
    "{\"properties\":{\"STREET\":[{\"anything-but\":[\"MARKET\"]}]}}",
    "{\"properties\":{\"STREET\":[{\"anything-but\":[\"MISSION\"]}]}}",
    "{\"properties\":{\"ST_TYPE\":[{\"anything-but\":[\"ST\"]}]}}",
    "{\"geometry\":{\"type\":[{\"anything-but\":[\"Polygon\"]}]}}",
    "{\"properties\":{\"FROM_ST\":[{\"anything-but\":[\"441\"]}]}}",
    NULL,
};

/* All numbers of the nested arrays are looked at: 36 to 48 an event. */
static const char *const cl2_numeric[] = {
    "{\"geometry\":{\"type\":[\"Polygon\"],"
    "\"coordinates\":[{\"numeric\":[\"=\",-122.429163609223]}]}}",
    "{\"geometry\":{\"type\":[\"Polygon\"],"
    "\"coordinates\":[{\"numeric\":[\"=\",-122.428608960964]}]}}",
    "{\"geometry\":{\"type\":[\"Polygon\"],"
    "\"coordinates\":[{\"numeric\":[\"<\",-122.9999]}]}}",
    "{\"geometry\":{\"type\":[\"Polygon\"],"
    "\"coordinates\":[{\"numeric\":[\">\",37.9999,\"<\",38]}]}}",
    "{\"geometry\":{\"type\":[\"Polygon\"],"
    "\"coordinates\":[{\"numeric\":[\">=\",-122.51,\"<\",-122.5099]}]}}",
    NULL,
};

/* Rules over properties and the nested arrays' numbers together. */
static const char *const cl2_complex_arrays[] = {
    "{\"properties\":{\"STREET\":[\"MARKET\"]},\"geometry\":{\"type\":[\"Polygon\"],"
    "\"coordinates\":[{\"numeric\":[\"=\",0]}]}}",
    "{\"properties\":{\"ST_TYPE\":[{\"anything-but\":\"ST\"}],\"ODD_EVEN\":[\"O\"]},"
    "\"geometry\":{\"coordinates\":[{\"numeric\":[\">\",-122.5,\"<\",-122.4]}]}}",
    "{\"type\":[\"Feature\"],\"geometry\":{\"type\":[{\"exists\":true}],"
    "\"coordinates\":[{\"numeric\":[\"<\",-122.999]},{\"numeric\":[\">\",37.999]}]}}",
    "{\"properties\":{\"BLOCK_NUM\":[{\"prefix\":\"12\"}],\"LOT_NUM\":[{\"suffix\":\"7\"}]},"
    "\"geometry\":{\"coordinates\":[{\"numeric\":[\">=\",37.5]}]}}",
    "{\"$or\":[{\"properties\":{\"STREET\":[\"POLK\"]}},{\"properties\":{\"STREET\":[\"GEARY\"]}}],"
    "\"geometry\":{\"coordinates\":[{\"numeric\":[\"=\",-122.429163609223]}]}}",
    NULL,
};

static const char *const cart_1[] = {
    "{\"source\":[\"ecommerce.cart\"],\"detail-type\":[\"CartAbandoned\"]}",
    NULL,
};

#define CART "\"source\":[\"ecommerce.cart\"],\"detail-type\":[\"CartAbandoned\"]"

static const char *const cart_4[] = {
    "{" CART ",\"detail\":{\"cartValue\":[{\"numeric\":[\">=\",50,\"<=\",999999]}]}}",
    "{" CART ",\"detail\":{\"marketplace\":[\"US\",\"UK\",\"DE\"]}}",
    "{" CART ",\"detail\":{\"category\":[{\"anything-but\":[\"Kitchen\",\"Home\"]}]}}",
    "{\"source\":[\"ecommerce.cart\"],\"detail-type\":[\"OrderPlaced\",\"CartCleared\"]}",
    NULL,
};

static const char *const cart_8[] = {
    "{" CART ",\"detail\":{\"cartValue\":[{\"numeric\":[\">=\",50,\"<=\",999999]}]}}",
    "{" CART ",\"detail\":{\"marketplace\":[\"US\",\"UK\",\"DE\"]}}",
    "{" CART ",\"detail\":{\"category\":[{\"anything-but\":[\"Kitchen\",\"Home\"]}]}}",
    "{\"source\":[\"ecommerce.cart\"],\"detail-type\":[\"OrderPlaced\",\"CartCleared\"]}",
    "{" CART ",\"detail\":{\"customerId\":[{\"wildcard\":\"C1*7\"}],"
    "\"itemCount\":[{\"numeric\":[\">\",4]}]}}",
    "{" CART ",\"detail\":{\"items\":{\"name\":[{\"prefix\":\"Wireless\"}],"
    "\"price\":[{\"numeric\":[\">\",150]}]}}}",
    "{\"$or\":[{\"detail\":{\"currency\":[\"EUR\"]}},{\"region\":[{\"prefix\":\"eu-\"}]}],"
    "\"detail\":{\"abandonmentReason\":[{\"anything-but\":\"payment_failed\"}]}}",
    "{\"account\":[\"123456789012\"],\"detail\":{\"couponCode\":[{\"exists\":false}],"
    "\"items\":{\"quantity\":[3],\"id\":[{\"suffix\":\"77\"}]}}}",
    NULL,
};

/* Members of one element: name, price and quantity of the same item. */
static const char *const cart_items[] = {
    "{\"detail\":{\"items\":{\"name\":[{\"prefix\":\"Wireless\"}],"
    "\"price\":[{\"numeric\":[\">\",150]}],\"quantity\":[3]}}}",
    "{\"detail\":{\"items\":{\"name\":[\"Desk Lamp\"],\"price\":[{\"numeric\":[\"<\",20]}]}}}",
    NULL,
};

struct state {
    struct cw_corpus corpus;
    struct cw_json_parser *parser;
    struct cw_pattern_set *set;
    struct cw_pattern_scratch *scratch;
    struct cw_json parsed[PARSED];
    uint32_t parsed_count;
};

static void check(cw_err err, const struct cw_fault *fault)
{
    if (err != CW_ERR_OK) {
        cw_assert_failed(fault->text, __FILE__, __LINE__);
    }
}

static void parse_before(struct state *s)
{
    for (uint32_t i = 0; i < PARSED && i < s->corpus.count; i++) {
        struct cw_view document = cw_corpus_at(&s->corpus, i);
        struct cw_json doc;
        CW_ASSERT(cw_json_parse(s->parser, document.data, document.bytes, &doc) ==
                  CW_JSON_PARSE_OK);
        struct cw_json_node *nodes = malloc(doc.node_count * sizeof *nodes);
        CW_ASSERT(nodes != NULL);
        memcpy(nodes, doc.nodes, doc.node_count * sizeof *nodes);
        doc.nodes = nodes;
        s->parsed[s->parsed_count++] = doc;
    }
}

static void *open_state(struct cw_corpus corpus, const char *const *patterns)
{
    struct state *s = calloc(1, sizeof *s);
    CW_ASSERT(s != NULL);
    struct cw_fault fault;
    s->corpus = corpus;
    check(cw_json_open(&s->parser, DOCUMENT_BYTES_MAX, CW_JSON_DEPTH_MAX, &fault), &fault);
    check(cw_pattern_set_open(&s->set, &fault), &fault);
    check(cw_pattern_scratch_open(&s->scratch, &fault), &fault);
    for (uint32_t i = 0; patterns[i] != NULL; i++) {
        struct cw_view pattern = {patterns[i], (uint32_t)strlen(patterns[i])};
        check(cw_pattern_add(s->set, pattern, CW_PATTERN_STRICT, NULL, &fault), &fault);
    }
    cw_pattern_set_seal(s->set);
    parse_before(s);
    return s;
}

static void close_state(void *state)
{
    struct state *s = state;
    for (uint32_t i = 0; i < s->parsed_count; i++) {
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): only readers are const */
        free((void *)(uintptr_t)s->parsed[i].nodes);
    }
    cw_corpus_free(&s->corpus);
    cw_json_close(s->parser);
    cw_pattern_set_close(s->set);
    cw_pattern_scratch_close(s->scratch);
    free(s);
}

static uint64_t run(void *state, uint64_t *units)
{
    struct state *s = state;
    uint64_t hash = 0;
    for (uint32_t i = 0; i < s->corpus.count; i++) {
        struct cw_view document = cw_corpus_at(&s->corpus, i);
        struct cw_json doc;
        struct cw_pattern_matches matches;
        enum cw_json_status status = cw_json_parse(s->parser, document.data, document.bytes, &doc);
        CW_ASSERT(status == CW_JSON_PARSE_OK);
        cw_pattern_match(s->set, s->scratch, &doc, &matches);
        hash = hash * 31 + matches.words[0];
    }
    *units = s->corpus.count;
    return hash;
}

static uint64_t run_match_only(void *state, uint64_t *units)
{
    struct state *s = state;
    uint64_t hash = 0;
    for (uint32_t i = 0; i < s->corpus.count; i++) {
        struct cw_pattern_matches matches;
        cw_pattern_match(s->set, s->scratch, &s->parsed[i % s->parsed_count], &matches);
        hash = hash * 31 + matches.words[0];
    }
    *units = s->corpus.count;
    return hash;
}

static struct cw_corpus cl2(bool tiny)
{
    return cw_corpus_cl2(tiny ? DOCUMENTS_TINY : DOCUMENTS, 1);
}

static struct cw_corpus cart(bool tiny)
{
    return cw_corpus_cart(tiny ? DOCUMENTS_TINY : DOCUMENTS, CW_CORPUS_CART_LONG, 1);
}

#define SETUP(corpus, patterns)                    \
    static void *setup_##patterns(bool tiny)       \
    {                                              \
        return open_state(corpus(tiny), patterns); \
    }
SETUP(cl2, cl2_exact)
SETUP(cl2, cl2_prefix)
SETUP(cl2, cl2_wildcard)
SETUP(cl2, cl2_anything_but)
SETUP(cl2, cl2_numeric)
SETUP(cl2, cl2_complex_arrays)
SETUP(cart, cart_1)
SETUP(cart, cart_4)
SETUP(cart, cart_8)
SETUP(cart, cart_items)

/* The same answer as each of 64 marketplaces' patterns would give, with four fields each. */
static void *setup_cart_256(bool tiny)
{
    static char texts[CW_PATTERNS_MAX][256];
    static const char *patterns[CW_PATTERNS_MAX + 1];
    static const char *const markets[] = {"US", "UK", "DE", "FR", "JP", "IN", "BR", "AU"};
    for (uint32_t i = 0; i < CW_PATTERNS_MAX; i++) {
        (void)snprintf(texts[i], sizeof texts[i],
                       "{" CART ",\"detail\":{\"marketplace\":[\"%s\"],\"category\":[\"Shop%u\"],"
                       "\"cartValue\":[{\"numeric\":[\">=\",%u]}]}}",
                       markets[i % 8], i, i);
        patterns[i] = texts[i];
    }
    return open_state(cart(tiny), patterns);
}

#define ROW(name, limit, from)                                                          \
    {"pattern." #name, "event", limit, from, setup_##name, run, close_state, 0},        \
    {                                                                                   \
        "pattern." #name "_match_only", "event", 0, NULL, setup_##name, run_match_only, \
            close_state, 0                                                              \
    }

/* event-ruler 2.0.1 (OpenJDK 17) with these documents and patterns, a fifth of its median CPU time
   on the Xeon machine of bench/README.md; its answers were the same ones. Where quamina 2.0.1 was
   more than five times event-ruler on the machine that had both, that many times event-ruler. */
#define RULER_5 "event-ruler, times five"
#define QUAMINA "quamina, by its ratio to event-ruler"

const struct cw_bench_case cw_bench_pattern[] = {
    ROW(cl2_exact, 482, RULER_5),     ROW(cl2_prefix, 511, RULER_5),
    ROW(cl2_wildcard, 632, QUAMINA),  ROW(cl2_anything_but, 850, RULER_5),
    ROW(cl2_numeric, 10146, RULER_5), ROW(cl2_complex_arrays, 12254, RULER_5),
    ROW(cart_1, 755, QUAMINA),        ROW(cart_4, 1153, RULER_5),
    ROW(cart_8, 2883, RULER_5),       ROW(cart_items, 1344, RULER_5),
    ROW(cart_256, 0, NULL),           {NULL, NULL, 0, NULL, NULL, NULL, NULL, 0},
};
