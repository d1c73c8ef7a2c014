#include "core/histogram.h"

/* The greatest value of a bucket. */
static uint64_t end_of(uint32_t bucket)
{
    if (bucket < (2u << CW_HISTOGRAM_BITS)) {
        return bucket;
    }
    uint32_t shift = (bucket >> CW_HISTOGRAM_BITS) - 1;
    uint64_t first = bucket - ((uint64_t)shift << CW_HISTOGRAM_BITS);
    return ((first + 1) << shift) - 1;
}

void cw_histogram_merge(struct cw_histogram *sum, const struct cw_histogram *part)
{
    sum->count += part->count;
    sum->sum += part->sum;
    sum->max = part->max > sum->max ? part->max : sum->max;
    for (uint32_t i = 0; i < CW_HISTOGRAM_BUCKETS; i++) {
        sum->buckets[i] += part->buckets[i];
    }
}

uint64_t cw_histogram_quantile(const struct cw_histogram *histogram, double share)
{
    CW_ASSERT(share >= 0 && share <= 1);
    double wanted = share * (double)histogram->count;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < CW_HISTOGRAM_BUCKETS && histogram->count > 0; i++) {
        seen += histogram->buckets[i];
        if (seen > 0 && (double)seen >= wanted) {
            uint64_t end = end_of(i);
            return end < histogram->max ? end : histogram->max;
        }
    }
    return histogram->max;
}

uint64_t cw_histogram_at_most(const struct cw_histogram *histogram, uint64_t limit)
{
    uint64_t seen = 0;
    for (uint32_t i = 0; i < CW_HISTOGRAM_BUCKETS && end_of(i) <= limit; i++) {
        seen += histogram->buckets[i];
    }
    return limit >= CW_HISTOGRAM_MAX ? histogram->count : seen;
}
