/*
 * wheel: a hierarchical timing wheel; add and cancel in O(1), millisecond ticks, reach of years.
 *
 *     cw_wheel_add(wheel, due_ms, cookie) -> timer         any due; the past means "now"
 *     cw_wheel_cancel(wheel, timer)
 *     while ((n = cw_wheel_advance(wheel, now_ms, fired, room, &tick)) > 0)
 *         for each fired: cookie, and the due it was added with
 *
 * Life:    open -> add/cancel/advance -> close.
 * Memory:  timers are nodes of the wheel's own pool, named by a 32-bit handle that stays valid
 *          until the timer fires or is cancelled; the pool grows by whole segments of a reserved
 *          mapping, so no node moves and no growth copies.
 * Threads: its shard only.
 * Bounds:  timers_max timers; one advance call moves at most CW_WHEEL_WORK_MAX timers between
 *          slots or to the caller, so one turn's work is bounded whatever the levels hold.
 * Fails:   add returns CW_TIMER_NONE when timers_max are there; misuse asserts.
 * Source:  Varghese and Lauck 1987, scheme 7; occupancy bitmaps to skip empty slots.
 */
#ifndef CW_CORE_WHEEL_H
#define CW_CORE_WHEEL_H

#include "core/keep.h"

#define CW_TIMER_NONE     0u
#define CW_WHEEL_WORK_MAX 4096u

typedef uint32_t cw_timer;

struct cw_wheel; /* opaque: owns a mapping */

struct cw_wheel_options {
    int64_t start_ms;    /* the wheel's first present; ticks before it are over */
    uint32_t timers_max; /* up to 2^32 - 2; address space is reserved, memory used as it fills */
    struct cw_keep *memory; /* where it lies: a wheel that is kept there goes on as it was, with
                                 all its timers, where it was (not at start_ms); NULL: anonymous */
};

struct cw_wheel_fired {
    int64_t due_ms; /* as given to add, also when it was past already */
    uint64_t cookie;
    cw_timer timer; /* no longer valid */
};

CW_MUST_USE cw_err cw_wheel_open(struct cw_wheel **wheel, const struct cw_wheel_options *options,
                                 struct cw_fault *fault);
void cw_wheel_close(struct cw_wheel *wheel);

/* As cw_table_populate (table.h). */
bool cw_wheel_populate(struct cw_wheel *wheel);

/* A timer whose due is before the present fires at the present tick (after the timers that are
   there already). */
CW_MUST_USE cw_timer cw_wheel_add(struct cw_wheel *wheel, int64_t due_ms, uint64_t cookie);
void cw_wheel_cancel(struct cw_wheel *wheel, cw_timer timer);

/* A hint that the timer will be cancelled or asked for in a moment; any handle may be given. For
   batches: at millions of timers a cancel waits for memory otherwise. */
void cw_wheel_prefetch(const struct cw_wheel *wheel, cw_timer timer);

/* What a timer was added with; the handle must be live. */
int64_t cw_wheel_due(const struct cw_wheel *wheel, cw_timer timer);
uint64_t cw_wheel_cookie(const struct cw_wheel *wheel, cw_timer timer);

/*
 * Moves the present towards now_ms and hands out fired timers, never of two ticks in one call:
 * returns how many (at most room) and in *tick_ms the tick they belong to, in due order within the
 * tick except that overdue ones come in order of adding. Returns 0 with *tick_ms == now_ms when
 * everything up to now_ms has fired and the present is now_ms + 1 (what is added now with an
 * earlier due fires at that tick); 0 with *tick_ms < now_ms when the bound on work ended the call:
 * call again. now_ms before the present (a clock that stepped back) returns 0 and changes nothing.
 */
uint32_t cw_wheel_advance(struct cw_wheel *wheel, int64_t now_ms, struct cw_wheel_fired *fired,
                          uint32_t room, int64_t *tick_ms);

/* The present: the earliest tick that has not been handed out in full. */
int64_t cw_wheel_present(const struct cw_wheel *wheel);

uint32_t cw_wheel_count(const struct cw_wheel *wheel);

/* The tick of the earliest timer (exact; an overdue one counts as the present); false when there is
   none. Bounded by the levels, not by the number of timers, except that a far slot's list is walked
   once after the first to fire of it was cancelled. */
CW_MUST_USE bool cw_wheel_earliest(const struct cw_wheel *wheel, int64_t *due_ms);

/* Proves the invariants: every list well linked, every timer in the slot its due asks for. */
bool cw_wheel_check(const struct cw_wheel *wheel);

#endif
