/*
 * zone_priv: what zone.c (look-ups) and zone_ctl.c (loading) share; tests and fuzzing build a
 * database from bytes with it.
 */
#ifndef CW_CORE_ZONE_PRIV_H
#define CW_CORE_ZONE_PRIV_H

#include "core/arena.h"
#include "core/zone.h"

#define CW_ZONE_TRANSITIONS_MAX 2000
#define CW_ZONE_FILE_BYTES_MAX  65536
#define CW_ZONE_OFFSET_S_MAX    93599 /* 25:59:59, RFC 8536 section 3.2 */

enum cw_zone_day {
    CW_ZONE_JULIAN,    /* Jn: day 1 to 365, 29 February is never counted */
    CW_ZONE_ZERO_DAY,  /* n: day 0 to 365, 29 February is counted */
    CW_ZONE_MONTH_DAY, /* Mm.w.d: the w-th (5: last) weekday d of month m */
};

/* When in a year the clock changes. */
struct cw_zone_change {
    enum cw_zone_day day_kind;
    uint16_t day;
    uint8_t month, week, weekday;
    int32_t time_ms; /* from that day's midnight, by the clock before the change; may be negative */
};

/* A POSIX TZ string with daylight saving time. */
struct cw_zone_rule {
    int32_t standard_ms, daylight_ms; /* offsets from UTC */
    struct cw_zone_change start, end; /* of daylight saving time */
};

/* 1970 to 2060 in steps of 199 days: few steps hold more than one change. */
#define CW_ZONE_STEP_BITS 34
#define CW_ZONE_STEPS     166

/*
 * The line of time in stretches of one offset: first_ms before at_ms[0], offset_ms[i] from
 * at_ms[i] on; from rule_from_ms on the rule alone decides, where there is one.
 */
struct cw_zone {
    const int64_t *at_ms; /* ascending */
    const int32_t *offset_ms;
    const uint16_t *step; /* [i], i to CW_ZONE_STEPS: how many changes are before step i begins */
    uint32_t count;
    int32_t first_ms;
    int32_t offset_ms_min, offset_ms_max; /* of all the stretches and the rule */
    bool has_rule;
    int64_t rule_from_ms;
    struct cw_zone_rule rule;
};

struct cw_zone_entry {
    struct cw_view name;
    const struct cw_zone *zone; /* links share one */
};

struct cw_zones {
    struct cw_arena arena;
    struct cw_zone_entry *list; /* [0] is UTC, the others are sorted by name */
    uint32_t count;
    uint32_t damaged;
};

struct cw_zone_span {
    int64_t start_ms, end_ms; /* end is not in it; INT64_MIN, INT64_MAX: no end */
    int64_t offset_ms;
};

/* The stretch of one offset that utc_ms lies in. Two neighbours may have the same offset. */
struct cw_zone_span cw_zone_span_at(const struct cw_zone *zone, int64_t utc_ms);

/* A database piece by piece: begin, add*, end; then it is read-only. begin puts UTC there. */
CW_MUST_USE cw_err cw_zones_begin(struct cw_zones **zones, struct cw_fault *fault);
void cw_zones_end(struct cw_zones *zones);

/* Reads one TZif file under a name that is not there yet. NULL, counted as damaged: it is not one,
   or there is no room for more. */
const struct cw_zone *cw_zones_add(struct cw_zones *zones, struct cw_view name, const uint8_t *data,
                                   size_t bytes);

#endif
