/*
 * histogram: how often a quantity had about which value, as in HdrHistogram: buckets of equal width
 * within each power of two, so that every value is known to within 1/32.
 *
 * Life:    zero-initialised -> add* | merge* -> read.
 * Memory:  the caller's, of fixed size. Threads: one at a time; one per core, merged by who reads.
 * Bounds:  values from CW_HISTOGRAM_MAX on count as that.
 */
#ifndef CW_CORE_HISTOGRAM_H
#define CW_CORE_HISTOGRAM_H

#include "core/base.h"

#define CW_HISTOGRAM_BITS    5u
#define CW_HISTOGRAM_TOP     46u /* 2^46 ns are 19 hours */
#define CW_HISTOGRAM_MAX     ((UINT64_C(1) << CW_HISTOGRAM_TOP) - 1)
#define CW_HISTOGRAM_BUCKETS ((CW_HISTOGRAM_TOP - CW_HISTOGRAM_BITS + 1) << CW_HISTOGRAM_BITS)

struct cw_histogram {
    uint64_t count, sum, max;
    uint64_t buckets[CW_HISTOGRAM_BUCKETS];
};

static inline uint32_t cw_histogram_bucket(uint64_t value)
{
    if (value < (1u << CW_HISTOGRAM_BITS)) {
        return (uint32_t)value;
    }
    uint32_t power = 63u - (uint32_t)__builtin_clzll(value);
    uint32_t shift = power - CW_HISTOGRAM_BITS;
    return (shift << CW_HISTOGRAM_BITS) + (uint32_t)(value >> shift);
}

/* count values at once; sum is that of the values as they are. */
static inline void cw_histogram_add_many(struct cw_histogram *histogram, uint64_t value,
                                         uint64_t count)
{
    value = value < CW_HISTOGRAM_MAX ? value : CW_HISTOGRAM_MAX;
    histogram->count += count;
    histogram->sum += value * count;
    histogram->max = value > histogram->max ? value : histogram->max;
    histogram->buckets[cw_histogram_bucket(value)] += count;
}

static inline void cw_histogram_add(struct cw_histogram *histogram, uint64_t value)
{
    cw_histogram_add_many(histogram, value, 1);
}

void cw_histogram_merge(struct cw_histogram *sum, const struct cw_histogram *part);

/* The value that a share (0 to 1) of all does not pass: the upper end of its bucket, never more
   than max; 0 of none. */
uint64_t cw_histogram_quantile(const struct cw_histogram *histogram, double share);

/* How many did not pass the limit; those of the limit's own bucket count when it lies at or beyond
   the bucket's end. */
uint64_t cw_histogram_at_most(const struct cw_histogram *histogram, uint64_t limit);

#endif
