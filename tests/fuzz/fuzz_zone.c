/* Any bytes as a zone's file. What loads must be a whole line of stretches, and the answers must
   hold what core/zone.h promises. */
#include "core/time.h"
#include "core/zone_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int64_t local_at(const struct cw_zones *zones, int64_t utc_ms)
{
    return utc_ms + cw_zone_offset_ms(zones, 1, utc_ms);
}

static void check_instant(const struct cw_zones *zones, int64_t utc_ms)
{
    struct cw_zone_span span = cw_zone_span_at(zones->list[1].zone, utc_ms);
    CW_ASSERT(span.start_ms <= utc_ms && utc_ms < span.end_ms);
    CW_ASSERT(span.offset_ms == cw_zone_offset_ms(zones, 1, utc_ms));

    int64_t local_ms = local_at(zones, utc_ms);
    int64_t first_ms = cw_zone_to_utc(zones, 1, local_ms);
    CW_ASSERT(first_ms <= utc_ms && local_at(zones, first_ms) == local_ms);

    int64_t other_ms = local_ms + CW_HOUR_MS / 2;
    int64_t shown_ms = cw_zone_to_utc(zones, 1, other_ms);
    if (local_at(zones, shown_ms) != other_ms) { /* a gap: shown is its end */
        CW_ASSERT(local_at(zones, shown_ms) > other_ms);
        CW_ASSERT(local_at(zones, shown_ms - 1) < other_ms);
    }

    uint32_t minute = (uint32_t)((uint64_t)utc_ms / 1000 % 1440);
    int64_t next_ms = cw_zone_next(zones, 1, utc_ms, minute);
    CW_ASSERT(next_ms > utc_ms && next_ms <= utc_ms + 6 * CW_DAY_MS);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cw_zones *zones = NULL;
    struct cw_fault fault;
    if (cw_zones_begin(&zones, &fault) != CW_ERR_OK) {
        return 0;
    }
    const struct cw_zone *zone = cw_zones_add(zones, CW_VIEW("Fuzz"), data, size);
    cw_zones_end(zones);
    CW_ASSERT((zone != NULL) == (zones->count == 2) && zones->damaged == (zone == NULL));
    if (zone != NULL) {
        for (int64_t t = -40 * 365 * CW_DAY_MS; t < 8000000000000; t += 450 * CW_DAY_MS + 7654321) {
            check_instant(zones, t);
        }
        for (uint32_t i = 0; i < zone->count && i < 32; i++) {
            CW_ASSERT(i == 0 || zone->at_ms[i] > zone->at_ms[i - 1]);
            check_instant(zones, zone->at_ms[i] - 1);
            check_instant(zones, zone->at_ms[i]);
            check_instant(zones, zone->at_ms[i] + CW_HOUR_MS);
        }
        check_instant(zones, -(INT64_C(1) << 61));
        check_instant(zones, INT64_C(1) << 61);
        struct cw_zone_span span = cw_zone_span_at(zone, 3000000000000);
        for (uint32_t i = 0; i < 20 && span.end_ms != INT64_MAX; i++) {
            check_instant(zones, span.end_ms - 1);
            struct cw_zone_span after = cw_zone_span_at(zone, span.end_ms);
            CW_ASSERT(after.start_ms == span.end_ms && after.end_ms > after.start_ms);
            span = after;
        }
    }
    cw_zones_close(zones);
    return 0;
}
