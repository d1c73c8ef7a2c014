/* Histograms against the values themselves. */
#include "core/histogram.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>

enum {
    VALUES = 5000
};

static struct cw_histogram h, other;
static uint64_t values[VALUES];

static int by_value(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

Test(histogram, every_quantile_is_within_a_32nd_of_the_value_it_stands_for)
{
    uint64_t random = 9;
    for (uint32_t i = 0; i < VALUES; i++) {
        values[i] = random_next(&random) >> (18 + random_below(&random, 46));
        cw_histogram_add(i % 2 == 0 ? &h : &other, values[i]);
    }
    cw_histogram_merge(&h, &other);
    qsort(values, VALUES, sizeof *values, by_value);
    cr_assert(eq(u64, h.count, VALUES));
    cr_assert(eq(u64, h.max, values[VALUES - 1]));
    uint64_t sum = 0;
    for (uint32_t i = 0; i < VALUES; i++) {
        sum += values[i];
        uint64_t got = cw_histogram_quantile(&h, (i + 0.5) / VALUES);
        cr_assert(ge(u64, got, values[i]));
        cr_assert(le(u64, got, values[i] + values[i] / 32));
    }
    cr_assert(eq(u64, h.sum, sum));
}

Test(histogram, what_is_at_most_a_limit_misses_no_more_than_the_limits_own_bucket)
{
    for (uint32_t i = 0; i < VALUES; i++) {
        cw_histogram_add(&h, (uint64_t)i * i);
    }
    uint64_t last = 0;
    for (uint64_t limit = 0; limit < 30000000; limit += 997) {
        uint64_t got = cw_histogram_at_most(&h, limit);
        uint64_t real = 0;
        uint64_t sure = 0;
        for (uint32_t i = 0; i < VALUES; i++) {
            real += (uint64_t)i * i <= limit;
            sure += (uint64_t)i * i <= limit - limit / 32;
        }
        cr_assert(le(u64, got, real));
        cr_assert(ge(u64, got + 1, sure));
        cr_assert(ge(u64, got, last));
        last = got;
        limit += limit / 8;
    }
    cr_assert(eq(u64, cw_histogram_at_most(&h, UINT64_MAX), VALUES));
}

Test(histogram, extremes_have_a_place)
{
    cr_assert(eq(u64, cw_histogram_quantile(&h, 0.99), 0));
    cw_histogram_add(&h, 0);
    cw_histogram_add(&h, UINT64_MAX);
    cr_assert(eq(u64, h.max, CW_HISTOGRAM_MAX));
    cr_assert(eq(u64, cw_histogram_quantile(&h, 0), 0));
    cr_assert(eq(u64, cw_histogram_quantile(&h, 1), CW_HISTOGRAM_MAX));
    cr_assert(eq(u32, cw_histogram_bucket(CW_HISTOGRAM_MAX), CW_HISTOGRAM_BUCKETS - 1));
    for (uint32_t power = 0; power < CW_HISTOGRAM_TOP; power++) {
        uint64_t value = UINT64_C(1) << power;
        cr_assert(ge(u32, cw_histogram_bucket(value), cw_histogram_bucket(value - 1)));
        cr_assert(le(u32, cw_histogram_bucket(value), cw_histogram_bucket(value - 1) + 1));
    }
}
