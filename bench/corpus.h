/*
 * corpus: the documents that the benches read, made from a seed, so that every run and every peer
 * sees the same ones.
 *
 * Life:   make -> read -> free. Memory: its own heap. Bounds: count and bytes of the call.
 */
#ifndef CW_BENCH_CORPUS_H
#define CW_BENCH_CORPUS_H

#include "core/view.h"

enum {
    CW_CORPUS_CART_BYTES = 736, /* the mean of the parsing figures */
    CW_CORPUS_CART_LONG = 864,  /* the mean of the pattern figures */
    CW_CORPUS_CL2_BYTES = 882
};

struct cw_corpus {
    char *text; /* one document a line; CW_JSON_PADDING bytes more after the last */
    uint64_t
        *starts; /* count + 1 of them; a document ends one byte, the newline, before the next */
    uint32_t count;
    uint64_t bytes; /* of the text, newlines included */
};

/* Cart events in EventBridge's envelope, 3 to 6 items each, bytes_mean (736 to 2000) on average. */
struct cw_corpus cw_corpus_cart(uint32_t count, uint32_t bytes_mean, uint64_t seed);

/* Records of the shape of event-ruler's CityLots2 benchmark, 882 bytes on average. */
struct cw_corpus cw_corpus_cl2(uint32_t count, uint64_t seed);

void cw_corpus_free(struct cw_corpus *corpus);

static inline struct cw_view cw_corpus_at(const struct cw_corpus *corpus, uint32_t index)
{
    uint64_t start = corpus->starts[index];
    return (struct cw_view){corpus->text + start,
                            (uint32_t)(corpus->starts[index + 1] - start - 1)};
}

/* SplitMix64: the benches' and tests' random numbers. */
static inline uint64_t cw_corpus_random(uint64_t *state)
{
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

#endif
