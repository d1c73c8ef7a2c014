#include "tools/bar.h"

#include "io/clock.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

enum {
    WIDTH = 40
};

#define PAUSE_NS UINT64_C(100000000)

void cw_bar_open(struct cw_bar *bar)
{
    *bar = (struct cw_bar){.on = isatty(STDERR_FILENO) == 1, .drawn_ns = cw_clock_monotonic_ns()};
}

void cw_bar_show(struct cw_bar *bar, uint64_t done, uint64_t of, const char *format, ...)
{
    if (bar == NULL || !bar->on) {
        return;
    }
    uint64_t now_ns = cw_clock_monotonic_ns();
    if (now_ns - bar->drawn_ns < PAUSE_NS) { /* nor before that: short work draws none */
        return;
    }
    bar->drawn_ns = now_ns;
    bar->drawn = true;
    (void)fputs("\r", stderr);
    if (of > 0) {
        double share = done < of ? (double)done / (double)of : 1;
        int part = (int)(share * WIDTH);
        (void)fprintf(stderr, "[%.*s%*s] %d %%, ", part, "########################################",
                      WIDTH - part, "", (int)(share * 100));
    }
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputs("\033[K", stderr);
}

void cw_bar_clear(struct cw_bar *bar)
{
    if (bar != NULL && bar->drawn) {
        (void)fputs("\r\033[K", stderr);
        bar->drawn = false;
    }
}
