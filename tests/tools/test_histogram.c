#include "tests/core/random.h"
#include "tools/histogram.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>

enum {
    MANY = 20000
};

static uint64_t values[MANY];
static struct cw_histogram histogram, other;

static int compare(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

Test(histogram, tells_percentiles_as_sorting_does)
{
    uint64_t seed = 11;
    for (uint32_t round = 0; round < 40; round++) {
        memset(&histogram, 0, sizeof histogram);
        memset(&other, 0, sizeof other);
        uint32_t count = 1 + random_below(&seed, MANY);
        for (uint32_t i = 0; i < count; i++) {
            values[i] = random_next(&seed) >> (24 + random_below(&seed, 40));
            cw_histogram_add(i % 3 == 0 ? &other : &histogram, values[i]);
        }
        cw_histogram_merge(&histogram, &other);
        qsort(values, count, sizeof values[0], compare);
        static const double shares[] = {0, 0.5, 0.9, 0.99, 0.999, 1};
        for (uint32_t i = 0; i < CW_COUNTOF(shares); i++) {
            double exact = shares[i] * count;
            uint32_t rank = (uint32_t)exact + ((uint32_t)exact < exact || exact < 1);
            uint64_t wanted = values[rank - 1];
            uint64_t got = cw_histogram_at(&histogram, shares[i]);
            cr_assert(ge(u64, got, wanted));
            cr_assert(le(u64, got, wanted + wanted / 128));
        }
        cr_assert(eq(u64, histogram.max, values[count - 1]));
        cr_assert(eq(u64, histogram.total, count));
    }
}

Test(histogram, takes_any_duration)
{
    memset(&histogram, 0, sizeof histogram);
    cr_assert(eq(u64, cw_histogram_at(&histogram, 0.5), 0));
    cw_histogram_add(&histogram, UINT64_MAX);
    cr_assert(eq(u64, cw_histogram_at(&histogram, 1), UINT64_C(0x1ffffffffff)));
    cr_assert(eq(u64, histogram.max, UINT64_MAX));
    cw_histogram_add(&histogram, 0);
    cr_assert(eq(u64, cw_histogram_at(&histogram, 0.5), 0));
}
