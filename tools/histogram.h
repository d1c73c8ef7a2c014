/*
 * histogram: durations in nanoseconds, counted in buckets that are at most 1/128 of their value
 * wide, so that a percentile is told within 0.8 %; the maximum exactly.
 *
 * Memory: the caller's, 34 KiB. Threads: one at a time; merge what several have counted.
 */
#ifndef CW_TOOLS_HISTOGRAM_H
#define CW_TOOLS_HISTOGRAM_H

#include "core/base.h"

#define CW_HISTOGRAM_SUB     128u
#define CW_HISTOGRAM_BITS    41u /* about 36 minutes; longer counts as that */
#define CW_HISTOGRAM_BUCKETS ((CW_HISTOGRAM_BITS - 6u) * CW_HISTOGRAM_SUB)

struct cw_histogram {
    uint64_t counts[CW_HISTOGRAM_BUCKETS];
    uint64_t total, max;
};

void cw_histogram_add(struct cw_histogram *histogram, uint64_t ns);
void cw_histogram_merge(struct cw_histogram *to, const struct cw_histogram *from);

/* The duration that this share of all is not above (0.999: the 99.9th percentile); 0 when there
   are none. */
uint64_t cw_histogram_at(const struct cw_histogram *histogram, double share);

#endif
