/*
 * clock: the machine's clocks. Wall time (may jump) for schedules, monotonic time for latency.
 * Threads: any. Fails: never on Linux.
 */
#ifndef CW_IO_CLOCK_H
#define CW_IO_CLOCK_H

#include "core/base.h"

int64_t cw_clock_wall_ms(void);       /* since 1970-01-01T00:00:00Z */
uint64_t cw_clock_monotonic_ns(void); /* since some start; never goes back */

/*
 * A clock for schedules that never goes back: it follows the wall clock forward at once; when that
 * clock is behind (it was set back, or the state comes from a machine that was ahead) it goes on at
 * the machine's own speed, 500 ppm slower, until the wall has caught up. One thread each.
 */
struct cw_clock {
    int64_t now_ns;  /* what it said last */
    uint64_t boot_ns; /* and when, on the clock that also counts suspension */
};

/* Begins it at the wall time or at `least_ms`, whichever is later. */
void cw_clock_init(struct cw_clock *clock, int64_t least_ms);
int64_t cw_clock_now_ms(struct cw_clock *clock);

/* The same, of times that are told (tests). */
int64_t cw_clock_step(struct cw_clock *clock, int64_t wall_ns, uint64_t boot_ns);

#endif
