#include "io/breaker.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define S 1000000000u

static void fail(struct cw_breaker *breaker, uint64_t now_ns)
{
    bool probe;
    cr_assert(cw_breaker_pass(breaker, now_ns, &probe));
    cw_breaker_failed(breaker, probe, now_ns);
}

static struct cw_breaker broken(void)
{
    struct cw_breaker breaker = {.random = 7};
    for (uint32_t i = 0; i < CW_BREAKER_FAILURES; i++) {
        fail(&breaker, 10 * (uint64_t)S);
    }
    return breaker;
}

Test(breaker, opens_after_failures_in_a_row)
{
    struct cw_breaker breaker = {.random = 7};
    for (uint32_t i = 0; i + 1 < CW_BREAKER_FAILURES; i++) {
        fail(&breaker, S);
    }
    cw_breaker_reached(&breaker); /* any answer breaks the row */
    for (uint32_t i = 0; i + 1 < CW_BREAKER_FAILURES; i++) {
        fail(&breaker, S);
    }
    cr_assert(cw_breaker_ready(&breaker, S));
    fail(&breaker, S);
    cr_assert(not(cw_breaker_ready(&breaker, S)));
    cr_assert(eq(u32, cw_breaker_wait_s(&breaker, S), 1));
}

Test(breaker, lets_one_probe_pass_whose_success_closes_it)
{
    struct cw_breaker breaker = broken();
    bool probe = false;
    cr_assert(cw_breaker_pass(&breaker, 11 * (uint64_t)S, &probe));
    cr_assert(probe);
    cr_assert(not(cw_breaker_pass(&breaker, 11 * (uint64_t)S, &probe)));
    cr_assert(not(cw_breaker_pass(&breaker, 100 * (uint64_t)S, &probe)));
    cw_breaker_reached(&breaker);
    cr_assert(cw_breaker_pass(&breaker, 11 * (uint64_t)S, &probe));
    cr_assert(not(probe));
}

Test(breaker, waits_longer_each_time_up_to_a_minute)
{
    struct cw_breaker breaker = broken();
    uint64_t now = breaker.until_ns;
    uint64_t wanted_s = 1;
    for (uint32_t i = 0; i < 12; i++) {
        fail(&breaker, now);
        wanted_s = wanted_s * 2 > 60 ? 60 : wanted_s * 2;
        uint64_t wait = breaker.until_ns - now;
        cr_assert(le(u64, wait, wanted_s * S));
        cr_assert(ge(u64, wait, wanted_s * S / 4 * 3));
        cr_assert(not(cw_breaker_ready(&breaker, breaker.until_ns - 1)));
        now = breaker.until_ns;
    }
}

Test(breaker, stragglers_from_before_it_opened_change_nothing)
{
    struct cw_breaker breaker = broken();
    uint64_t until = breaker.until_ns;
    cw_breaker_failed(&breaker, false, 20 * (uint64_t)S);
    cr_assert(eq(u64, breaker.until_ns, until));
    bool probe;
    cr_assert(cw_breaker_pass(&breaker, until, &probe));
    cw_breaker_failed(&breaker, false, 20 * (uint64_t)S);
    cr_assert(not(cw_breaker_ready(&breaker, 100 * (uint64_t)S)), "the probe is still under way");
}
