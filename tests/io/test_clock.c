#include "io/clock.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum {
    MS = 1000000
};

Test(clock, follows_the_wall_clock_forward_at_once)
{
    struct cw_clock clock = {.now_ns = INT64_C(1000) * MS, .boot_ns = 50};
    cr_assert(eq(i64, cw_clock_step(&clock, INT64_C(1001) * MS, 50 + MS), 1001));
    cr_assert(eq(i64, cw_clock_step(&clock, INT64_C(900000) * MS, 50 + 2 * MS), 900000));
}

Test(clock, never_goes_back_and_goes_on_slowly_until_the_wall_has_caught_up)
{
    struct cw_clock clock = {.now_ns = INT64_C(1000000) * MS, .boot_ns = 0};
    int64_t wall = INT64_C(999000) * MS; /* a second behind */
    uint64_t boot = 0;
    int64_t last = 1000000;
    int64_t met = 0;
    for (uint32_t i = 0; i < 3000; i++) { /* seconds */
        wall += INT64_C(1000) * MS;
        boot += UINT64_C(1000) * MS;
        int64_t now = cw_clock_step(&clock, wall, boot);
        cr_assert(gt(i64, now, last));
        cr_assert(le(i64, now - last, 1000));
        cr_assert(ge(i64, now - last, 999));
        last = now;
        if (met == 0 && now == wall / MS) {
            met = i;
        }
    }
    cr_assert(ge(i64, met, 1990)); /* a second at 500 ppm takes 2,000 seconds */
    cr_assert(le(i64, met, 2010));
}

Test(clock, stands_still_when_no_clock_moves)
{
    struct cw_clock clock = {.now_ns = INT64_C(5000) * MS, .boot_ns = 77};
    for (uint32_t i = 0; i < 10; i++) {
        cr_assert(eq(i64, cw_clock_step(&clock, INT64_C(1) * MS, 70), 5000));
    }
}

Test(clock, begins_no_earlier_than_it_is_told)
{
    struct cw_clock clock;
    int64_t later = cw_clock_wall_ms() + 3600000;
    cw_clock_init(&clock, later);
    cr_assert(ge(i64, cw_clock_now_ms(&clock), later));
    cw_clock_init(&clock, 0);
    cr_assert(ge(i64, cw_clock_now_ms(&clock), later - 3600000));
    cr_assert(lt(i64, cw_clock_now_ms(&clock), later));
}
