/*
 * clock: the machine's clocks. Wall time (may jump) for schedules, monotonic time for latency.
 * Threads: any; a struct cw_clock is one thread's. Fails: never on Linux.
 */
#ifndef CW_IO_CLOCK_H
#define CW_IO_CLOCK_H

#include "core/base.h"

/* A wall clock that gains more than this on CLOCK_BOOTTIME is not believed until somebody confirms
   it; one that is behind by more is worth an alarm. */
#define CW_CLOCK_STEP_MS INT64_C(300000)

int64_t cw_clock_wall_ms(void);       /* since 1970-01-01T00:00:00Z */
uint64_t cw_clock_monotonic_ns(void); /* since some start; never goes back */

/*
 * A clock for schedules that never goes back, and does not run away.
 *
 * It follows the wall clock forward at once. When the wall clock is behind (it was set back, or the
 * state comes from a machine that was ahead) it goes on at the machine's own speed, 500 ppm slower,
 * until the wall has caught up. When the wall clock has jumped ahead of CLOCK_BOOTTIME, which no
 * step of the wall clock moves, by more than CW_CLOCK_STEP_MS, in one step or in several, it is
 * suspect: the clock goes on at CLOCK_BOOTTIME's pace until the wall is within bounds again or
 * cw_clock_trust confirms the step. Steps wear off at 500 ppm, so what a kernel may slew in the
 * long run is never held against it. Suspension of the machine counts as time that passed.
 */
struct cw_clock {
    int64_t now_ns;    /* what it said last */
    uint64_t boot_ns;  /* and when, on the clock that also counts suspension */
    int64_t ahead_ns;  /* of the wall then: how far it was ahead, or (< 0) behind */
    int64_t gained_ns; /* how far it followed the wall ahead of CLOCK_BOOTTIME of late */
    int64_t trusted;   /* what cw_clock_trust was told last */
    bool trusts;       /* and that it was */
    bool suspect;      /* the wall is too far ahead to be believed */
};

/* Begins it at the wall time or at `least_ms`, whichever is later. */
void cw_clock_init(struct cw_clock *clock, int64_t least_ms);

/* Begins it at that very time, wherever the wall is: suspect at once, when that is far ahead. */
void cw_clock_init_at(struct cw_clock *clock, int64_t now_ms);

int64_t cw_clock_now_ms(struct cw_clock *clock);

/* The same, of times that are told (tests). */
int64_t cw_clock_step(struct cw_clock *clock, int64_t wall_ns, uint64_t boot_ns);

/* Where the wall clock stands beside CLOCK_BOOTTIME, in ns: only a step changes it. */
int64_t cw_clock_offset_ns(void);

/* A wall clock that stands there, or up to CW_CLOCK_STEP_MS ahead of there, is right: from the next
   look on the clock follows it. */
void cw_clock_trust(struct cw_clock *clock, int64_t offset_ns);

/* True when the kernel says that the wall clock is synchronised, to within seconds; *offset_ns is
   then where it stands. Every step makes the kernel take that back until a time service (NTP, PTP)
   has confirmed the new time, so what is said here is said of the clock as it is now. */
CW_MUST_USE bool cw_clock_synchronised(int64_t *offset_ns);

#endif
