/*
 * clock: the machine's clocks. Wall time (may jump) for schedules, monotonic time for latency.
 * Threads: any. Fails: never on Linux.
 */
#ifndef CW_IO_CLOCK_H
#define CW_IO_CLOCK_H

#include "core/base.h"

int64_t cw_clock_wall_ms(void);       /* since 1970-01-01T00:00:00Z */
uint64_t cw_clock_monotonic_ns(void); /* since some start; never goes back */

#endif
