/* model: scores of the shipped model over customers who are known in different degrees. */
#include "bench/bench.h"
#include "pipeline/model.h"
#include "tools/cli.h"

#include <math.h>
#include <stdlib.h>

#define CUSTOMERS 4096u

struct state {
    struct cw_model *model;
    uint32_t rounds;
    struct cw_features features[CUSTOMERS];
};

static uint64_t next(uint64_t *state)
{
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = (*state ^ *state >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static double unit(uint64_t *state)
{
    return (double)(next(state) >> 11) * 0x1p-53;
}

static void *setup(bool tiny)
{
    static const struct cw_view categories[] = {
        CW_VIEW("Electronics"), CW_VIEW("Clothing"), CW_VIEW("Home"),   CW_VIEW("Beauty"),
        CW_VIEW("Books"),       CW_VIEW("Toys"),     CW_VIEW("Sports"), CW_VIEW("Garden")};
    struct state *state = calloc(1, sizeof *state);
    CW_ASSERT(state != NULL);
    struct cw_fault fault = {0};
    cw_err err = cw_model_open(&state->model, cw_shipped("models/purchase-intent-v4.json"),
                               "purchase-intent-v4.json", &fault);
    CW_ASSERT(err == CW_ERR_OK);
    state->rounds = tiny ? 1 : 200;
    uint64_t seed = 1;
    for (uint32_t i = 0; i < CUSTOMERS; i++) {
        struct cw_features *f = &state->features[i];
        double values[CW_FEATURE_COUNT] = {floor(unit(&seed) * 40),
                                           20 + unit(&seed) * 200,
                                           unit(&seed),
                                           unit(&seed),
                                           50 + floor(unit(&seed) * 30000) / 100,
                                           1 + floor(unit(&seed) * 6),
                                           unit(&seed)};
        for (int k = 0; k < CW_FEATURE_COUNT; k++) {
            f->numeric[k] = next(&seed) % 16 == 0 ? NAN : values[k];
        }
        f->category = categories[next(&seed) % CW_COUNTOF(categories)];
    }
    return state;
}

static uint64_t run(void *self, uint64_t *units)
{
    struct state *state = self;
    double sum = 0;
    for (uint32_t round = 0; round < state->rounds; round++) {
        for (uint32_t i = 0; i < CUSTOMERS; i++) {
            sum += cw_model_score(state->model, &state->features[i]);
        }
    }
    *units += (uint64_t)state->rounds * CUSTOMERS;
    uint64_t hash;
    memcpy(&hash, &sum, sizeof hash);
    return hash;
}

static void teardown(void *self)
{
    struct state *state = self;
    cw_model_close(state->model);
    free(state);
}


const struct cw_bench_case cw_bench_model[] = {
    {.name = "model.score", .unit = "score", .setup = setup, .run = run, .teardown = teardown},
    {.name = NULL},
};
