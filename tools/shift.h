/*
 * shift: the times that an event tells, found in its JSON and moved, with nothing else of its text
 * touched.
 *
 * Threads: pure functions.
 */
#ifndef CW_TOOLS_SHIFT_H
#define CW_TOOLS_SHIFT_H

#include "core/json.h"
#include "core/text.h"

/* The envelope's `time` and the detail's `timestamp`. */
struct cw_told_times {
    struct cw_told_time {
        int64_t ms;         /* CW_TIME_NONE: not told, or no time */
        uint32_t at, bytes; /* of the text between the quotes */
    } time, timestamp;
};

/* doc: a document whose root is anything. */
struct cw_told_times cw_told_times(const struct cw_json *doc);

/* When the event happened: the timestamp, else the time. */
int64_t cw_told_own(const struct cw_told_times *times);

/* Appends the text with both times later by that much, as RFC 3339 with milliseconds in UTC. A
   time that would leave the years 1970 to 9999 stays as it is. */
void cw_shift(struct cw_view text, const struct cw_told_times *times, int64_t shift_ms,
              struct cw_text *out);

#endif
