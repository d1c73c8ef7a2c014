#include "io/clock.h"

#include <time.h>

int64_t cw_clock_wall_ms(void)
{
    struct timespec ts;
    int rc = clock_gettime(CLOCK_REALTIME, &ts);
    CW_ASSERT(rc == 0);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

uint64_t cw_clock_monotonic_ns(void)
{
    struct timespec ts;
    int rc = clock_gettime(CLOCK_MONOTONIC, &ts);
    CW_ASSERT(rc == 0);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static uint64_t boot_ns(void)
{
    struct timespec ts;
    int rc = clock_gettime(CLOCK_BOOTTIME, &ts);
    CW_ASSERT(rc == 0);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static int64_t wall_ns(void)
{
    struct timespec ts;
    int rc = clock_gettime(CLOCK_REALTIME, &ts);
    CW_ASSERT(rc == 0);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void cw_clock_init(struct cw_clock *clock, int64_t least_ms)
{
    int64_t wall = wall_ns();
    int64_t least = least_ms * 1000000;
    *clock = (struct cw_clock){.now_ns = wall > least ? wall : least, .boot_ns = boot_ns()};
}

int64_t cw_clock_step(struct cw_clock *clock, int64_t wall, uint64_t boot)
{
    uint64_t passed = boot > clock->boot_ns ? boot - clock->boot_ns : 0;
    clock->boot_ns += passed;
    int64_t slow = clock->now_ns + (int64_t)(passed - passed / 2000);
    clock->now_ns = wall > slow ? wall : slow;
    return clock->now_ns / 1000000;
}

int64_t cw_clock_now_ms(struct cw_clock *clock)
{
    return cw_clock_step(clock, wall_ns(), boot_ns());
}
