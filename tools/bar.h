/*
 * bar: how far long work is, as one line of standard error where that is a terminal; elsewhere
 * nothing. Drawn ten times a second at most, so that show may be called often.
 *
 * Life:    open -> { show | clear }*. Memory: none. Threads: one.
 */
#ifndef CW_TOOLS_BAR_H
#define CW_TOOLS_BAR_H

#include <stdbool.h>
#include <stdint.h>

struct cw_bar {
    /* Private. Zeroes: one that is never drawn. */
    bool on, drawn;
    uint64_t drawn_ns;
};

void cw_bar_open(struct cw_bar *bar);

/* NULL is a bar that is never drawn. */

/* `done` of `of`, in any unit, and words behind it; of 0: how much there is to do is not known. */
void cw_bar_show(struct cw_bar *bar, uint64_t done, uint64_t of, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Takes it away: before other words are printed, and at the end. */
void cw_bar_clear(struct cw_bar *bar);

#endif
