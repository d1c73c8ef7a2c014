#include "core/time.h"
#include "core/wheel_priv.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdlib.h>

#define YEAR_MS (365 * CW_DAY_MS)

enum {
    TIMERS_MAX = 200000,
    ROOM = 8192
};

static struct cw_wheel *wheel;
static struct cw_fault fault;
static struct cw_wheel_fired fired[ROOM];
static int64_t tick;

static void open_at(int64_t start_ms, uint32_t timers_max)
{
    struct cw_wheel_options options = {.start_ms = start_ms, .timers_max = timers_max};
    cr_assert(eq(int, cw_wheel_open(&wheel, &options, &fault), CW_ERR_OK), "%s", fault.text);
}

static void open_wheel(void)
{
    open_at(1768754700000, TIMERS_MAX);
}

static void close_wheel(void)
{
    cr_assert(cw_wheel_check(wheel));
    cw_wheel_close(wheel);
}

TestSuite(wheel, .init = open_wheel, .fini = close_wheel);

static void add(int64_t due_ms, uint64_t cookie)
{
    cr_assert(cw_wheel_add(wheel, due_ms, cookie) != CW_TIMER_NONE);
}

/* Calls until something fires or nothing is left up to now. */
static uint32_t advance(int64_t now_ms, uint32_t room)
{
    for (;;) {
        uint64_t before = cw_wheel_moves(wheel);
        uint32_t n = cw_wheel_advance(wheel, now_ms, fired, room, &tick);
        cr_assert(le(u64, cw_wheel_moves(wheel) - before, CW_WHEEL_WORK_MAX));
        if (n > 0 || tick == now_ms) {
            return n;
        }
        cr_assert(lt(i64, tick, now_ms));
    }
}

static void expect(int64_t now_ms, int64_t at_ms, uint64_t cookie, int64_t due_ms)
{
    cr_assert(eq(u32, advance(now_ms, 1), 1));
    cr_assert(eq(i64, tick, at_ms));
    cr_assert(eq(u64, fired[0].cookie, cookie));
    cr_assert(eq(i64, fired[0].due_ms, due_ms));
}

static void expect_nothing(int64_t now_ms)
{
    cr_assert(zero(u32, advance(now_ms, 1)));
    cr_assert(eq(i64, tick, now_ms));
}

Test(wheel, fires_each_timer_at_its_tick_and_never_two_ticks_at_once)
{
    int64_t t = cw_wheel_present(wheel);
    add(t + 5, 1);
    add(t + 3, 2);
    add(t + 5, 3);
    add(t, 4);
    cr_assert(eq(u32, cw_wheel_count(wheel), 4));
    cr_assert(eq(u32, advance(t + 10, ROOM), 1));
    cr_assert(eq(i64, tick, t));
    cr_assert(eq(u64, fired[0].cookie, 4));
    cr_assert(eq(u32, advance(t + 4, ROOM), 1));
    cr_assert(eq(i64, tick, t + 3));
    expect_nothing(t + 4);
    cr_assert(eq(i64, cw_wheel_present(wheel), t + 5));
    cr_assert(eq(u32, advance(t + 10, ROOM), 2));
    cr_assert(eq(i64, tick, t + 5));
    cr_assert(eq(u64, fired[0].cookie, 1));
    cr_assert(eq(u64, fired[1].cookie, 3));
    expect_nothing(t + 10);
    cr_assert(eq(i64, cw_wheel_present(wheel), t + 11));
}

Test(wheel, fires_the_overdue_at_the_present_with_its_own_due)
{
    int64_t t = cw_wheel_present(wheel);
    add(t, 1);
    add(t - 1000, 2);
    add(INT64_MIN, 3);
    add(t, 4);
    add(t + 1, 5);
    expect(t + 1, t, 1, t);
    expect(t + 1, t, 2, t - 1000);
    expect(t + 1, t, 3, INT64_MIN);
    expect(t + 1, t, 4, t);
    /* The tick being handed out: what is added now still belongs to it. */
    add(t, 6);
    add(t - 7, 7);
    cr_assert(eq(i64, cw_wheel_present(wheel), t));
    expect(t + 1, t, 6, t);
    expect(t + 1, t, 7, t - 7);
    expect(t + 1, t + 1, 5, t + 1);
    expect_nothing(t + 1);
    add(t, 8);
    expect_nothing(t + 1);
    expect(t + 2, t + 2, 8, t);
    expect_nothing(t + 2);
}

Test(wheel, stays_when_the_clock_steps_back)
{
    int64_t t = cw_wheel_present(wheel);
    cw_timer timer = cw_wheel_add(wheel, t + 100, 1);
    expect_nothing(t + 50);
    expect_nothing(t + 20);
    expect_nothing(t - YEAR_MS);
    cr_assert(eq(i64, cw_wheel_present(wheel), t + 51));
    cr_assert(eq(i64, cw_wheel_due(wheel, timer), t + 100));
    cr_assert(eq(u64, cw_wheel_cookie(wheel, timer), 1));
    expect(t + 1000, t + 100, 1, t + 100);
    /* Between two timers of one tick, too. */
    add(t + 200, 2);
    add(t + 200, 3);
    expect(t + 1000, t + 200, 2, t + 200);
    expect_nothing(t + 150);
    expect(t + 200, t + 200, 3, t + 200);
}

Test(wheel, reaches_from_the_first_to_the_last_millisecond)
{
    static const int64_t starts[] = {INT64_MIN + 1, -1, 0, 1, 253402300799999, INT64_MAX - 4000};
    for (uint32_t i = 0; i < CW_COUNTOF(starts); i++) {
        cw_wheel_forget(wheel, starts[i]);
        add(INT64_MAX - 1, 1);
        add(INT64_MAX, 2);
        add(starts[i], 3);
        add(INT64_MIN, 4);
        int64_t due;
        cr_assert(cw_wheel_earliest(wheel, &due));
        cr_assert(eq(i64, due, starts[i]));
        cr_assert(cw_wheel_check(wheel));
        expect(INT64_MAX - 1, starts[i], 3, starts[i]);
        expect(INT64_MAX - 1, starts[i], 4, INT64_MIN);
        expect(INT64_MAX - 1, INT64_MAX - 1, 1, INT64_MAX - 1);
        expect_nothing(INT64_MAX - 1);
        cr_assert(eq(u32, cw_wheel_count(wheel), 1));
        cr_assert(cw_wheel_check(wheel));
    }
}

Test(wheel, crosses_every_slots_edge)
{
    static const int64_t spans[] = {1,
                                    255,
                                    256,
                                    257,
                                    65535,
                                    65536,
                                    65537,
                                    16777215,
                                    16777216,
                                    16777217,
                                    INT64_C(4294967295),
                                    INT64_C(4294967296),
                                    INT64_C(1099511627776)};
    for (uint32_t i = 0; i < CW_COUNTOF(spans); i++) {
        for (int64_t off = -2; off <= 2; off++) {
            int64_t start = INT64_C(0x19b00000000) + off;
            cw_wheel_forget(wheel, start);
            add(start + spans[i], 7);
            /* Stop just before, so that the present enters the slot without moving its timers. */
            expect_nothing(start + spans[i] - 1);
            add(start + spans[i], 8);
            cr_assert(cw_wheel_check(wheel));
            expect(start + spans[i] + 5, start + spans[i], 7, start + spans[i]);
            expect(start + spans[i] + 5, start + spans[i], 8, start + spans[i]);
            expect_nothing(start + spans[i] + 5);
        }
    }
}

Test(wheel, refuses_more_than_it_may_hold_and_takes_again_what_was_freed)
{
    close_wheel();
    open_at(0, 3);
    cw_timer a = cw_wheel_add(wheel, 10, 1);
    cw_timer b = cw_wheel_add(wheel, 10, 2);
    cw_timer c = cw_wheel_add(wheel, 10, 3);
    cr_assert(a != CW_TIMER_NONE && b != CW_TIMER_NONE && c != CW_TIMER_NONE);
    cr_assert(eq(u32, cw_wheel_add(wheel, 10, 4), CW_TIMER_NONE));
    cw_wheel_cancel(wheel, b);
    cr_assert(eq(u32, cw_wheel_add(wheel, 10, 5), b)); /* last freed, first taken */
    expect(10, 10, 1, 10);
    expect(10, 10, 3, 10);
    expect(10, 10, 5, 10);
    cr_assert(cw_wheel_add(wheel, 10, 6) != CW_TIMER_NONE);
}

Test(wheel, dies_on_a_cancel_of_none, .signal = SIGABRT)
{
    cw_wheel_cancel(wheel, CW_TIMER_NONE);
}

Test(wheel, dies_on_a_second_cancel, .signal = SIGABRT)
{
    cw_timer timer = cw_wheel_add(wheel, 1, 1);
    cw_wheel_cancel(wheel, timer);
    cw_wheel_cancel(wheel, timer);
}

Test(wheel, dies_on_the_due_of_one_that_fired, .signal = SIGABRT)
{
    cw_timer timer = cw_wheel_add(wheel, 1, 1);
    (void)advance(cw_wheel_present(wheel), 1);
    (void)cw_wheel_due(wheel, timer);
}

Test(wheel, dies_on_a_handle_it_never_gave, .signal = SIGABRT)
{
    (void)cw_wheel_cookie(wheel, 77);
}

Test(wheel, reserves_what_may_be_needed_and_uses_what_is)
{
    close_wheel();
    open_at(0, UINT32_MAX - 1); /* 128 GiB of addresses */
    for (int i = 0; i < 1000; i++) {
        cr_assert(cw_wheel_add(wheel, i, 0) != CW_TIMER_NONE);
    }
}

/* ---- against a naive model ---- */

struct model_timer {
    int64_t due_ms, at_ms; /* at: when it must fire */
    uint64_t cookie;       /* counts up: the order of adding */
    cw_timer timer;
};

static struct model_timer *model;
static uint32_t model_count;
static uint64_t model_cookie;
static uint64_t random_state;
static uint32_t work_max = CW_WHEEL_WORK_MAX;

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static uint64_t below(uint64_t n)
{
    return next_random() % n;
}

static void model_add(int64_t due_ms)
{
    int64_t present = cw_wheel_present(wheel);
    cw_timer timer = cw_wheel_add(wheel, due_ms, model_cookie);
    cr_assert(timer != CW_TIMER_NONE);
    model[model_count++] = (struct model_timer){.due_ms = due_ms,
                                                .at_ms = due_ms > present ? due_ms : present,
                                                .cookie = model_cookie++,
                                                .timer = timer};
}

/* Keeps the order of adding. */
static void model_remove(uint32_t i)
{
    memmove(&model[i], &model[i + 1], (model_count - i - 1) * sizeof *model);
    model_count--;
}

static void model_cancel(uint32_t i)
{
    cr_assert(cw_wheel_due(wheel, model[i].timer) == model[i].due_ms);
    cr_assert(cw_wheel_cookie(wheel, model[i].timer) == model[i].cookie);
    cw_wheel_cancel(wheel, model[i].timer);
    model_remove(i);
}

/* The index of the first that fires; model_count when there is none. */
static uint32_t model_first(void)
{
    uint32_t first = model_count;
    for (uint32_t i = 0; i < model_count; i++) {
        if (first == model_count || model[i].at_ms < model[first].at_ms) {
            first = i;
        }
    }
    return first;
}

static void model_check(void)
{
    cr_assert(eq(u32, cw_wheel_count(wheel), model_count));
    int64_t due = 0;
    uint32_t first = model_first();
    cr_assert(cw_wheel_earliest(wheel, &due) == (first < model_count));
    if (first < model_count) {
        cr_assert(eq(i64, due, model[first].at_ms));
        cr_assert(cw_wheel_present(wheel) <= due);
    }
}

/* One call, compared with the model. */
static uint32_t model_advance(int64_t now_ms, uint32_t room)
{
    uint64_t before = cw_wheel_moves(wheel);
    int64_t present = cw_wheel_present(wheel);
    uint32_t n = cw_wheel_advance(wheel, now_ms, fired, room, &tick);
    cr_assert(cw_wheel_moves(wheel) - before <= work_max);
    cr_assert(n <= room && cw_wheel_present(wheel) >= present);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t first = model_first();
        cr_assert(first < model_count);
        cr_assert(model[first].at_ms == tick && tick <= now_ms, "at %lld, not %lld",
                  (long long)tick, (long long)model[first].at_ms);
        cr_assert(model[first].cookie == fired[i].cookie &&
                  model[first].due_ms == fired[i].due_ms && model[first].timer == fired[i].timer);
        model_remove(first);
    }
    if (n > 0) {
        cr_assert(cw_wheel_present(wheel) == tick);
    } else if (tick == now_ms) {
        uint32_t first = model_first();
        cr_assert(first == model_count || model[first].at_ms > now_ms || now_ms < present);
        cr_assert(cw_wheel_present(wheel) == (now_ms < present ? present : now_ms + 1));
    } else {
        cr_assert(tick < now_ms && cw_wheel_moves(wheel) - before == work_max);
    }
    return n;
}

/* From nothing to 20 years, short ones as likely as long ones; often one of a few instants. */
static int64_t random_due(int64_t now)
{
    if (below(4) == 0) {
        int64_t unit = (int64_t)1 << (4 + 6 * below(5));
        return (now / unit + 1 + (int64_t)below(2)) * unit;
    }
    int64_t distance = (int64_t)below(UINT64_C(1) << below(40));
    distance = distance > 20 * YEAR_MS ? 20 * YEAR_MS : distance;
    return below(16) == 0 ? now - distance : now + distance;
}

static void one_random_step(int64_t *now, uint32_t live_max)
{
    switch (below(8)) {
    case 0:
    case 1:
    case 2:
        for (uint64_t k = below(20); k > 0 && model_count < live_max; k--) {
            model_add(random_due(*now));
        }
        break;
    case 3:
        for (uint64_t k = below(6); k > 0 && model_count > 0; k--) {
            model_cancel(below(3) == 0 ? model_first() : (uint32_t)below(model_count));
        }
        break;
    case 4:
        *now -= (int64_t)below(2) * (int64_t)below(5000); /* the clock steps back */
        break;
    default: *now += (int64_t)below(UINT64_C(1) << below(below(10) == 0 ? 38 : 24)); break;
    }
    for (uint64_t calls = below(12); calls > 0; calls--) {
        uint32_t n = model_advance(*now, 1 + (uint32_t)below(6));
        if (n > 0 && below(4) == 0) { /* while the tick is being handed out */
            model_add(tick - (int64_t)below(2) * (int64_t)below(100));
            model_add(tick + (int64_t)below(300));
        }
        if (n > 0 && below(4) == 0 && model_count > 0) {
            model_cancel(model_first());
        }
    }
}

Test(wheel, agrees_with_a_sorted_list, .timeout = 100)
{
    model = calloc(TIMERS_MAX, sizeof *model);
    for (uint64_t seed = 1; seed <= 40; seed++) {
        random_state = seed * 0x9e3779b97f4a7c15u;
        int64_t now = (int64_t)below(253402300800000);
        cw_wheel_forget(wheel, now);
        model_count = 0;
        work_max = seed % 3 == 0 ? CW_WHEEL_WORK_MAX : 1 + (uint32_t)below(12);
        cw_wheel_set_work(wheel, work_max);
        uint32_t live_max = seed % 4 == 0 ? 8 : 400;
        for (int step = 0; step < 2500; step++) {
            one_random_step(&now, live_max);
            model_check();
            if (step % 16 == 0) {
                cr_assert(cw_wheel_check(wheel));
            }
        }
        while (model_count > 0) { /* drain */
            (void)model_advance(now + 40 * YEAR_MS, ROOM);
        }
        cr_assert(zero(u32, cw_wheel_count(wheel)));
    }
    free(model);
}

/* 3 * 4,096 and a bit timers in one far slot, in one tick and spread: while it is emptied, adds,
   cancels and questions must find the half-moved slot right. */
static void cascade_of(int64_t width_ms, uint64_t seed)
{
    random_state = seed;
    int64_t start = INT64_C(0x19b00000000);
    cw_wheel_forget(wheel, start);
    model_count = 0;
    int64_t base = start + INT64_C(0x3000000); /* the third slot of level 3 */
    for (uint32_t i = 0; i < 13000; i++) {
        model_add(base + (int64_t)below((uint64_t)width_ms));
    }
    int64_t now = start + INT64_C(0x3ffffff);
    uint32_t middles = 0;
    for (uint32_t call = 0; call < 30; call++) {
        uint32_t n = model_advance(now, 64);
        middles += n == 0 && tick < now;
        cr_assert(cw_wheel_check(wheel));
        model_check();
        for (uint32_t k = 0; k < 12; k++) {
            model_add(base + (int64_t)below((uint64_t)width_ms));
            model_add(cw_wheel_present(wheel) - (int64_t)below(5));
            model_cancel((uint32_t)below(model_count));
            model_cancel(model_count - 1 - (uint32_t)below(50));
            model_check();
        }
        model_cancel(model_first());
        model_cancel(0);
        cr_assert(cw_wheel_check(wheel));
        model_check();
    }
    cr_assert(gt(u32, middles, 2));
    /* All but one cancelled in the middle of it all. */
    while (model_count > 1) {
        model_cancel(model_count - 1);
    }
    cr_assert(cw_wheel_check(wheel));
    model_check();
    while (model_count > 0) {
        (void)model_advance(now, ROOM);
    }
}

Test(wheel, bounds_the_work_of_a_call_also_within_a_cascade, .timeout = 100)
{
    model = calloc(TIMERS_MAX, sizeof *model);
    cascade_of(1, 11);
    cascade_of(3, 12);
    cascade_of(100, 13);
    cascade_of(70000, 14);
    cascade_of(0xffffff, 15);
    free(model);
}

Test(wheel, hands_out_a_crowded_tick_in_the_order_of_adding)
{
    int64_t t = cw_wheel_present(wheel);
    for (uint64_t i = 0; i < 100000; i++) {
        cr_assert(cw_wheel_add(wheel, t + CW_DAY_MS, i) != CW_TIMER_NONE);
    }
    uint64_t next = 0;
    while (cw_wheel_count(wheel) > 0) {
        uint32_t n = advance(t + 2 * CW_DAY_MS, 1000);
        cr_assert(eq(i64, tick, t + CW_DAY_MS));
        for (uint32_t i = 0; i < n; i++) {
            cr_assert(fired[i].cookie == next++);
        }
    }
    cr_assert(eq(u64, next, 100000));
}

Test(wheel, skips_empty_years_at_once)
{
    int64_t t = cw_wheel_present(wheel);
    add(t + 5000 * YEAR_MS, 1);
    expect_nothing(t + 4999 * YEAR_MS);
    uint64_t moves = cw_wheel_moves(wheel);
    expect(t + 6000 * YEAR_MS, t + 5000 * YEAR_MS, 1, t + 5000 * YEAR_MS);
    cr_assert(le(u64, cw_wheel_moves(wheel) - moves, 9));
    expect_nothing(t + 6000 * YEAR_MS);
}

static uint64_t digest_of_a_run(uint64_t seed)
{
    random_state = seed;
    int64_t now = 1768754700000;
    cw_wheel_forget(wheel, now);
    uint64_t digest = 0;
    for (uint32_t i = 0; i < 20000; i++) {
        cw_timer timer = cw_wheel_add(wheel, random_due(now), i);
        if (below(5) == 0) {
            cw_wheel_cancel(wheel, timer);
        }
        now += (int64_t)below(2000);
        for (uint32_t n; (n = cw_wheel_advance(wheel, now, fired, 7, &tick)) > 0;) {
            for (uint32_t k = 0; k < n; k++) {
                digest = (digest ^ fired[k].cookie ^ fired[k].timer) * 0x100000001b3u;
            }
            digest += (uint64_t)tick;
        }
    }
    return digest;
}

Test(wheel, does_the_same_every_time)
{
    uint64_t first = digest_of_a_run(99);
    (void)digest_of_a_run(98);
    cr_assert(eq(u64, digest_of_a_run(99), first));
}
