#include "tools/histogram.h"

/* The first 128 buckets are one value wide; then each power of two has 128. */
static uint32_t bucket_of(uint64_t ns)
{
    uint64_t most = (UINT64_C(1) << CW_HISTOGRAM_BITS) - 1;
    ns = ns < most ? ns : most;
    if (ns < CW_HISTOGRAM_SUB) {
        return (uint32_t)ns;
    }
    uint32_t exponent = 63 - (uint32_t)__builtin_clzll(ns);
    uint32_t shift = exponent - 7;
    return (shift + 1) * CW_HISTOGRAM_SUB + (uint32_t)(ns >> shift) - CW_HISTOGRAM_SUB;
}

/* The largest value in it. */
static uint64_t top_of(uint32_t bucket)
{
    if (bucket < CW_HISTOGRAM_SUB) {
        return bucket;
    }
    uint32_t shift = bucket / CW_HISTOGRAM_SUB - 1;
    uint64_t within = bucket % CW_HISTOGRAM_SUB + CW_HISTOGRAM_SUB;
    return ((within + 1) << shift) - 1;
}

void cw_histogram_add(struct cw_histogram *histogram, uint64_t ns)
{
    histogram->counts[bucket_of(ns)]++;
    histogram->total++;
    histogram->max = ns > histogram->max ? ns : histogram->max;
}

void cw_histogram_merge(struct cw_histogram *to, const struct cw_histogram *from)
{
    for (uint32_t i = 0; i < CW_HISTOGRAM_BUCKETS; i++) {
        to->counts[i] += from->counts[i];
    }
    to->total += from->total;
    to->max = from->max > to->max ? from->max : to->max;
}

uint64_t cw_histogram_at(const struct cw_histogram *histogram, double share)
{
    CW_ASSERT(share >= 0 && share <= 1);
    double exact = share * (double)histogram->total;
    uint64_t wanted = (uint64_t)exact;
    wanted += (double)wanted < exact || wanted == 0;
    uint64_t seen = 0;
    for (uint32_t i = 0; i < CW_HISTOGRAM_BUCKETS && histogram->total > 0; i++) {
        seen += histogram->counts[i];
        if (seen >= wanted) {
            uint64_t top = top_of(i);
            return top < histogram->max ? top : histogram->max;
        }
    }
    return histogram->max;
}
