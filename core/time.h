/*
 * time: wall time as milliseconds since 1970-01-01T00:00:00Z, read from and written as RFC 3339.
 */
#ifndef CW_CORE_TIME_H
#define CW_CORE_TIME_H

#include "core/view.h"

#define CW_SECOND_MS ((int64_t)1000)
#define CW_MINUTE_MS (60 * CW_SECOND_MS)
#define CW_HOUR_MS   (60 * CW_MINUTE_MS)
#define CW_DAY_MS    (24 * CW_HOUR_MS)

#define CW_TIME_NONE  INT64_MIN /* never, not told */
#define CW_TIME_BYTES 24        /* 2026-01-18T16:45:00.000Z */

/* RFC 3339 section 5.6 date-time: `T` or `t`, `Z`, `z` or an offset up to 23:59, any number of
   fraction digits (cut to milliseconds), years 1970 to 9999 after the offset is applied, a second
   of 60 read as the next minute's 0. False, *ms untouched, for anything else. */
CW_MUST_USE bool cw_time_parse(struct cw_view text, int64_t *ms);

/* Writes exactly CW_TIME_BYTES bytes, UTC with milliseconds and `Z`; no terminator.
   ms must lie in the years 0 to 9999. */
void cw_time_format(int64_t ms, char out[CW_TIME_BYTES]);

struct cw_civil {
    int32_t year;
    uint8_t month, day, hour, minute, second; /* month and day from 1 */
    uint8_t weekday;                          /* 0 Sunday */
    uint16_t millisecond;
};

/* Proleptic Gregorian, no leap seconds (algorithms: Howard Hinnant, chrono-compatible low-level
   date algorithms). */
struct cw_civil cw_civil_from_ms(int64_t ms);
int64_t cw_civil_to_ms(const struct cw_civil *civil);

#endif
