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
    cr_assert(eq(i64, cw_clock_step(&clock, INT64_C(300000) * MS, 50 + 2 * MS), 300000));
    cr_assert(not(clock.suspect));
}

/* ---- a wall clock that jumps ahead ---- */

enum {
    S = 1000,
    MINUTE = 60 * S,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR
};

/* Times in ms; the wall stands at `offset` beside a BOOTTIME of `boot`. */
static int64_t look(struct cw_clock *clock, int64_t boot, int64_t offset)
{
    return cw_clock_step(clock, (boot + offset) * MS, (uint64_t)boot * MS);
}

static struct cw_clock at(int64_t boot, int64_t offset)
{
    return (struct cw_clock){.now_ns = (boot + offset) * MS, .boot_ns = (uint64_t)boot * MS};
}

#define EPOCH INT64_C(1800000000000)

Test(clock, does_not_follow_a_wall_that_jumps_ahead_and_goes_on_at_the_pace_of_the_machine)
{
    struct cw_clock clock = at(0, EPOCH);
    cr_assert(eq(i64, look(&clock, S, EPOCH), EPOCH + S));
    cr_assert(eq(i64, look(&clock, 2 * S, EPOCH + DAY), EPOCH + 2 * S));
    cr_assert(clock.suspect);
    cr_assert(eq(i64, clock.ahead_ns / MS, DAY));
    for (int64_t i = 3; i < 7200; i++) { /* hours of it, through suspension too */
        cr_assert(eq(i64, look(&clock, i * S, EPOCH + DAY), EPOCH + i * S));
    }
    cr_assert(eq(i64, look(&clock, 9 * HOUR, EPOCH + DAY), EPOCH + 9 * HOUR));
    cr_assert(clock.suspect);
}

Test(clock, is_released_by_a_wall_that_comes_back)
{
    struct cw_clock clock = at(0, EPOCH);
    (void)look(&clock, S, EPOCH + DAY);
    cr_assert(clock.suspect);
    cr_assert(eq(i64, look(&clock, 2 * S, EPOCH), EPOCH + 2 * S));
    cr_assert(not(clock.suspect));
    (void)look(&clock, 3 * S, EPOCH + DAY);
    cr_assert(clock.suspect, "and only until the next jump");
    int64_t behind = look(&clock, 4 * S, EPOCH - HOUR);
    cr_assert(not(clock.suspect));
    cr_assert(ge(i64, behind, EPOCH + 4 * S - 10));
}

Test(clock, follows_a_step_that_is_confirmed_and_holds_the_next_one)
{
    struct cw_clock clock = at(0, EPOCH);
    (void)look(&clock, S, EPOCH + DAY);
    cw_clock_trust(&clock, (EPOCH + HOUR) * MS);
    (void)look(&clock, 2 * S, EPOCH + DAY);
    cr_assert(clock.suspect, "another step was confirmed");
    cw_clock_trust(&clock, (EPOCH + DAY) * MS);
    cr_assert(eq(i64, look(&clock, 3 * S, EPOCH + DAY), EPOCH + DAY + 3 * S));
    cr_assert(not(clock.suspect));
    cr_assert(eq(i64, look(&clock, 4 * S, EPOCH + 3 * DAY), EPOCH + DAY + 4 * S));
    cr_assert(clock.suspect);
    cr_assert(eq(i64, look(&clock, 5 * S, EPOCH + DAY), EPOCH + DAY + 5 * S));
    cr_assert(not(clock.suspect));
}

Test(clock, counts_steps_together_but_not_what_may_be_slewed)
{
    struct cw_clock clock = at(0, EPOCH);
    (void)look(&clock, S, EPOCH + 4 * MINUTE);
    cr_assert(not(clock.suspect));
    (void)look(&clock, 2 * S, EPOCH + 8 * MINUTE);
    cr_assert(clock.suspect, "eight minutes in two steps");

    clock = at(0, EPOCH);
    (void)look(&clock, S, EPOCH + 4 * MINUTE);
    int64_t boot = S;
    for (int64_t i = 0; i < INT64_C(7) * 24 * 360; i++) { /* a week, each ten seconds */
        boot += 10 * S;
        (void)look(&clock, boot, EPOCH + 4 * MINUTE);
    }
    (void)look(&clock, boot + S, EPOCH + 8 * MINUTE);
    cr_assert(not(clock.suspect), "the first one is worn off");

    clock = at(0, EPOCH);
    boot = 0;
    for (int64_t i = 0; i < INT64_C(30) * 24 * 360; i++) { /* a month at 400 ppm */
        boot += 10 * S;
        (void)look(&clock, boot, EPOCH + boot / 2500);
        cr_assert(not(clock.suspect));
    }
}

Test(clock, a_wall_that_goes_back_and_forth_has_gained_nothing)
{
    struct cw_clock clock = at(0, EPOCH);
    int64_t boot = 0;
    for (uint32_t i = 0; i < 50; i++) {
        boot += S;
        (void)look(&clock, boot, EPOCH - 4 * MINUTE);
        boot += S;
        (void)look(&clock, boot, EPOCH);
        cr_assert(not(clock.suspect));
    }
    cr_assert(le(i64, clock.now_ns / MS, EPOCH + boot));
}

Test(clock, begins_behind_a_wall_that_is_not_believed)
{
    struct cw_clock clock;
    int64_t mark = cw_clock_wall_ms() - INT64_C(8) * DAY;
    cw_clock_init_at(&clock, mark);
    cr_assert(clock.suspect);
    cr_assert(lt(i64, cw_clock_now_ms(&clock), mark + MINUTE));
    cw_clock_trust(&clock, cw_clock_offset_ns());
    cr_assert(ge(i64, cw_clock_now_ms(&clock), mark + INT64_C(8) * DAY));
    cr_assert(not(clock.suspect));
    cw_clock_init_at(&clock, cw_clock_wall_ms() - MINUTE);
    cr_assert(not(clock.suspect));
}

/* ---- a wall clock that is behind ---- */

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

/* Events of any year make a state's time with --clock event; then it is started on the wall's. */
Test(clock, begins_no_later_than_nanoseconds_can_say)
{
    const int64_t year_2300 = INT64_C(10413792000000);
    struct cw_clock clock;
    cw_clock_init_at(&clock, year_2300);
    cr_assert(gt(i64, cw_clock_now_ms(&clock), cw_clock_wall_ms()));
    cr_assert(lt(i64, clock.ahead_ns / MS, -INT64_C(100) * 365 * DAY));
    cr_assert(not(clock.suspect));
    cw_clock_init(&clock, year_2300);
    cr_assert(gt(i64, cw_clock_now_ms(&clock), cw_clock_wall_ms()));
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
