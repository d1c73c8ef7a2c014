#include "core/time.h"
#include "core/zone_priv.h"

/*
 * Look-ups. Every question is answered from stretches of one offset: the table's by binary search
 * (in one step's few changes, between 1970 and 2060), later ones from the rule. The rule's changes
 * of five years round the instant are looked at, because a change may lie up to a week outside its
 * year; no order among them is assumed.
 */

#define REACH_MS (INT64_C(1) << 62)

static int64_t floor_day(int64_t ms)
{
    int64_t days = ms / CW_DAY_MS;
    return days - (ms % CW_DAY_MS < 0);
}

static bool is_leap(int32_t year)
{
    return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static int64_t first_of_month(int32_t year, uint8_t month)
{
    return cw_civil_to_ms(&(struct cw_civil){.year = year, .month = month, .day = 1});
}

/* The change's local time in that year, by the clock before the change. */
static int64_t change_local_ms(const struct cw_zone_change *change, int32_t year)
{
    static const uint8_t month_days[13] = {0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t day;
    if (change->day_kind == CW_ZONE_MONTH_DAY) {
        int64_t first_ms = first_of_month(year, change->month);
        int64_t first = first_ms / CW_DAY_MS;
        int32_t weekday = (int32_t)((first % 7 + 11) % 7);
        int32_t in_month = (change->weekday - weekday + 7) % 7 + 7 * (change->week - 1);
        int32_t length = month_days[change->month] + (change->month == 2 && is_leap(year));
        in_month -= in_month >= length ? 7 : 0;
        day = first + in_month;
    } else {
        day = first_of_month(year, 1) / CW_DAY_MS + change->day;
        if (change->day_kind == CW_ZONE_JULIAN) {
            day += change->day >= 60 && is_leap(year) ? 0 : -1;
        }
    }
    return day * CW_DAY_MS + change->time_ms;
}

static void look_at(struct cw_zone_span *span, int64_t utc_ms, int64_t at_ms, int32_t offset_ms)
{
    if (at_ms > utc_ms) {
        span->end_ms = at_ms < span->end_ms ? at_ms : span->end_ms;
    } else if (at_ms >= span->start_ms) { /* of two at one instant the later one stands */
        span->start_ms = at_ms;
        span->offset_ms = offset_ms;
    }
}

static struct cw_zone_span rule_span(const struct cw_zone *zone, int64_t utc_ms)
{
    const struct cw_zone_rule *rule = &zone->rule;
    struct cw_zone_span span = {.start_ms = INT64_MIN, .end_ms = INT64_MAX};
    int32_t year = cw_civil_from_ms(utc_ms).year;
    for (int32_t y = year - 2; y <= year + 2; y++) {
        look_at(&span, utc_ms, change_local_ms(&rule->start, y) - rule->standard_ms,
                rule->daylight_ms);
        look_at(&span, utc_ms, change_local_ms(&rule->end, y) - rule->daylight_ms,
                rule->standard_ms);
    }
    if (span.start_ms < zone->rule_from_ms) {
        span.start_ms = zone->rule_from_ms;
    }
    return span;
}

/* How many of the table's changes are at or before the instant. */
static uint32_t changes_until(const struct cw_zone *zone, int64_t utc_ms)
{
    uint32_t found = 0;
    uint32_t left = zone->count;
    uint64_t step = (uint64_t)utc_ms >> CW_ZONE_STEP_BITS;
    if (CW_LIKELY(step < CW_ZONE_STEPS)) {
        found = zone->step[step];
        left = zone->step[step + 1] - found;
    }
    while (left > 0) {
        uint32_t half = (left + 1) / 2;
        found += zone->at_ms[found + half - 1] <= utc_ms ? half : 0;
        left -= half;
    }
    return found;
}

struct cw_zone_span cw_zone_span_at(const struct cw_zone *zone, int64_t utc_ms)
{
    if (zone->has_rule && utc_ms >= zone->rule_from_ms) {
        return rule_span(zone, utc_ms);
    }
    uint32_t i = changes_until(zone, utc_ms);
    int64_t last = zone->has_rule ? zone->rule_from_ms : INT64_MAX;
    return (struct cw_zone_span){
        .start_ms = i == 0 ? INT64_MIN : zone->at_ms[i - 1],
        .end_ms = i == zone->count ? last : zone->at_ms[i],
        .offset_ms = i == 0 ? zone->first_ms : zone->offset_ms[i - 1],
    };
}

static const struct cw_zone *zone_at(const struct cw_zones *zones, uint32_t index)
{
    CW_ASSERT(index < zones->count);
    return zones->list[index].zone;
}

int64_t cw_zone_offset_ms(const struct cw_zones *zones, uint32_t index, int64_t utc_ms)
{
    CW_ASSERT_HOT(utc_ms >= -REACH_MS && utc_ms <= REACH_MS);
    const struct cw_zone *zone = zone_at(zones, index);
    if (zone->has_rule && utc_ms >= zone->rule_from_ms) {
        return rule_span(zone, utc_ms).offset_ms;
    }
    uint32_t i = changes_until(zone, utc_ms);
    return i == 0 ? zone->first_ms : zone->offset_ms[i - 1];
}

/*
 * The instants whose local time could be local_ms lie between local_ms less the greatest and less
 * the least offset; the stretches there are asked in order. The first whose local times hold
 * local_ms has the answer. If none does, the local clock jumped over it: the answer is the first
 * change after which the clock shows more.
 */
static int64_t to_utc(const struct cw_zone *zone, int64_t local_ms)
{
    struct cw_zone_span span = cw_zone_span_at(zone, local_ms - zone->offset_ms_max);
    int64_t gap_end_ms = INT64_MAX;
    for (;;) { /* at most as many rounds as there are changes in two days and a bit */
        int64_t utc_ms = local_ms - span.offset_ms;
        if (utc_ms >= span.start_ms && utc_ms < span.end_ms) {
            return utc_ms;
        }
        if (utc_ms < span.start_ms && gap_end_ms == INT64_MAX) {
            gap_end_ms = span.start_ms;
        }
        if (span.end_ms > local_ms - zone->offset_ms_min) {
            break;
        }
        span = cw_zone_span_at(zone, span.end_ms);
    }
    CW_ASSERT(gap_end_ms != INT64_MAX);
    return gap_end_ms;
}

int64_t cw_zone_to_utc(const struct cw_zones *zones, uint32_t index, int64_t local_ms)
{
    CW_ASSERT_HOT(local_ms >= -REACH_MS && local_ms <= REACH_MS);
    return to_utc(zone_at(zones, index), local_ms);
}

/* One candidate per local day: every day whose answer could be the first after utc_ms is asked. */
int64_t cw_zone_next(const struct cw_zones *zones, uint32_t index, int64_t utc_ms,
                     uint32_t minute_of_day)
{
    CW_ASSERT(minute_of_day < 24 * 60);
    CW_ASSERT_HOT(utc_ms >= -REACH_MS && utc_ms <= REACH_MS);
    const struct cw_zone *zone = zone_at(zones, index);
    int64_t of_day_ms = minute_of_day * CW_MINUTE_MS;
    /* The first local time whose latest possible instant is after utc_ms. */
    int64_t day = floor_day(utc_ms + zone->offset_ms_min - of_day_ms) + 1;
    int64_t best_ms = INT64_MAX;
    for (;; day++) { /* at most five rounds, offsets being less than 26 hours */
        int64_t local_ms = day * CW_DAY_MS + of_day_ms;
        if (best_ms != INT64_MAX && local_ms - zone->offset_ms_max >= best_ms) {
            return best_ms;
        }
        int64_t at_ms = to_utc(zone, local_ms);
        best_ms = at_ms > utc_ms && at_ms < best_ms ? at_ms : best_ms;
    }
}

uint32_t cw_zones_count(const struct cw_zones *zones)
{
    return zones->count;
}

uint32_t cw_zones_damaged(const struct cw_zones *zones)
{
    return zones->damaged;
}

struct cw_view cw_zones_name(const struct cw_zones *zones, uint32_t index)
{
    CW_ASSERT(index < zones->count);
    return zones->list[index].name;
}

bool cw_zones_find(const struct cw_zones *zones, struct cw_view name, uint32_t *index)
{
    if (cw_view_equal(name, zones->list[CW_ZONE_UTC].name)) {
        *index = CW_ZONE_UTC;
        return true;
    }
    uint32_t low = 1;
    uint32_t high = zones->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = cw_view_compare(name, zones->list[middle].name);
        if (order == 0) {
            *index = middle;
            return true;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return false;
}
