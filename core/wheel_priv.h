/*
 * wheel_priv: for tests and benches of the wheel alone.
 */
#ifndef CW_CORE_WHEEL_PRIV_H
#define CW_CORE_WHEEL_PRIV_H

#include "core/wheel.h"

/* How many timers have been moved between slots or handed out since open. */
uint64_t cw_wheel_moves(const struct cw_wheel *wheel);

/* Drops every timer at once and starts again at start_ms, keeping the memory. */
void cw_wheel_forget(struct cw_wheel *wheel, int64_t start_ms);

/* Bounds a call's work more tightly than CW_WHEEL_WORK_MAX, so that few timers are enough to be in
   the middle of a cascade. */
void cw_wheel_set_work(struct cw_wheel *wheel, uint32_t work_max);

#endif
