#include "io/clock.h"

#include <sys/timex.h>
#include <time.h>

enum {
    MAX_ERROR_US = 10000000 /* minutes are at stake: seconds will do */
};

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

/* What a wall clock cannot be (the year 2255), counts as that: nanoseconds say no later time. */
static int64_t ns_of(int64_t ms)
{
    const int64_t most = INT64_C(9000000000000);
    return (ms < most ? ms : most) * 1000000;
}

void cw_clock_init(struct cw_clock *clock, int64_t least_ms)
{
    int64_t wall = wall_ns();
    int64_t least = ns_of(least_ms);
    *clock = (struct cw_clock){.now_ns = wall > least ? wall : least, .boot_ns = boot_ns()};
}

void cw_clock_init_at(struct cw_clock *clock, int64_t now_ms)
{
    *clock = (struct cw_clock){.now_ns = ns_of(now_ms), .boot_ns = boot_ns()};
    (void)cw_clock_now_ms(clock);
}

int64_t cw_clock_step(struct cw_clock *clock, int64_t wall, uint64_t boot)
{
    const int64_t most = CW_CLOCK_STEP_MS * 1000000;
    uint64_t passed = boot > clock->boot_ns ? boot - clock->boot_ns : 0;
    int64_t worn = (int64_t)(passed / 2000);
    int64_t steady = clock->now_ns + (int64_t)passed;
    clock->boot_ns += passed;
    clock->gained_ns = clock->gained_ns > worn ? clock->gained_ns - worn : 0;
    clock->ahead_ns = wall - steady;
    bool confirmed = clock->trusts && wall - (int64_t)clock->boot_ns - clock->trusted <= most;
    int64_t gained = clock->gained_ns + (clock->ahead_ns > 0 ? clock->ahead_ns : 0);
    clock->suspect = gained > most && !confirmed;
    if (clock->suspect) {
        clock->now_ns = steady;
    } else {
        clock->gained_ns = gained > most ? 0 : gained; /* what is confirmed is no gain */
        clock->now_ns = wall > steady - worn ? wall : steady - worn;
    }
    return clock->now_ns / 1000000;
}

/* The wall is read first: a thread that is stopped between the two sees it behind, never ahead. */
int64_t cw_clock_now_ms(struct cw_clock *clock)
{
    int64_t wall = wall_ns();
    return cw_clock_step(clock, wall, boot_ns());
}

int64_t cw_clock_offset_ns(void)
{
    int64_t wall = wall_ns();
    return wall - (int64_t)boot_ns();
}

void cw_clock_trust(struct cw_clock *clock, int64_t offset_ns)
{
    clock->trusted = offset_ns;
    clock->trusts = true;
}

/* The offset first: a step that comes between the two is not what the kernel speaks of. */
bool cw_clock_synchronised(int64_t *offset_ns)
{
    struct timex kernel = {.modes = 0};
    *offset_ns = cw_clock_offset_ns();
    int state = adjtimex(&kernel);
    return state >= 0 && state != TIME_ERROR && (kernel.status & STA_UNSYNC) == 0 &&
           kernel.maxerror < MAX_ERROR_US;
}
