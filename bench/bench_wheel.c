/*
 * The timing wheel. Due times are those of a recovery engine: 1 h, 24 h and 72 h after an event,
 * or uniform over 72 h. A "life" is one timer's add and firing, advance and all moves between
 * slots included. In the random case nodes are taken in the order in which the run before freed
 * them, a random walk over the whole pool.
 */
#include "bench/bench.h"
#include "core/time.h"
#include "core/wheel_priv.h"

#include <stdlib.h>

extern const struct cw_bench_case cw_bench_wheel[];

#define START_MS INT64_C(1768754700000)

struct cw_bench_wheel {
    struct cw_wheel *wheel;
    cw_timer *timers; /* of the cancel case */
    uint32_t count;
    uint64_t random;
    int64_t now_ms;
};

static uint64_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x;
}

/* Uniform in 0 .. n - 1 but for a bias of n / 2^32. */
static uint32_t below(uint64_t *x, uint32_t n)
{
    return (uint32_t)((next_random(x) >> 32) * n >> 32);
}

static void *setup(uint32_t count)
{
    struct cw_bench_wheel *b = calloc(1, sizeof *b);
    CW_ASSERT(b != NULL);
    b->count = count;
    b->random = 88172645463325252u;
    b->now_ms = START_MS;
    struct cw_wheel_options options = {.start_ms = START_MS, .timers_max = count};
    struct cw_fault fault;
    CW_ASSERT(cw_wheel_open(&b->wheel, &options, &fault) == CW_ERR_OK);
    return b;
}

static void *setup_1m(bool tiny)
{
    return setup(tiny ? 10000 : 1000000);
}

static void *setup_10m(bool tiny)
{
    return setup(tiny ? 20000 : 10000000);
}

static void teardown(void *state)
{
    struct cw_bench_wheel *b = state;
    cw_wheel_close(b->wheel);
    free(b->timers);
    free(b);
}

static int64_t uniform_due(struct cw_bench_wheel *b)
{
    return b->now_ms + 1 + below(&b->random, (uint32_t)(72 * CW_HOUR_MS));
}

static uint64_t insert_run(void *state, uint64_t *units)
{
    struct cw_bench_wheel *b = state;
    cw_wheel_forget(b->wheel, START_MS);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < b->count; i++) {
        sum += cw_wheel_add(b->wheel, uniform_due(b), i);
    }
    *units = b->count;
    return sum;
}

static void *setup_cancel(bool tiny)
{
    struct cw_bench_wheel *b = setup_10m(tiny);
    b->timers = calloc(b->count, sizeof *b->timers);
    CW_ASSERT(b->timers != NULL);
    for (uint32_t i = 0; i < b->count; i++) {
        b->timers[i] = cw_wheel_add(b->wheel, uniform_due(b), i);
    }
    return b;
}

static uint64_t cancel_run(void *state, uint64_t *units)
{
    struct cw_bench_wheel *b = state;
    uint64_t sum = 0;
    uint32_t n = b->count / 5;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t at = below(&b->random, b->count);
        cw_wheel_cancel(b->wheel, b->timers[at]);
        b->timers[at] = cw_wheel_add(b->wheel, uniform_due(b), at);
        sum += b->timers[at];
    }
    *units = n;
    return sum;
}

/* The same as a batch does it: who is next is known 16 ahead. */
static uint64_t cancel_batch_run(void *state, uint64_t *units)
{
    enum {
        KNOWN = 16
    };
    struct cw_bench_wheel *b = state;
    uint64_t sum = 0;
    uint32_t n = b->count / 5;
    uint32_t next[KNOWN] = {0};
    for (uint32_t i = 0; i < n + KNOWN; i++) {
        uint32_t at = next[i % KNOWN];
        next[i % KNOWN] = below(&b->random, b->count);
        __builtin_prefetch(&b->timers[next[i % KNOWN]]);
        cw_wheel_prefetch(b->wheel, b->timers[next[(i + KNOWN / 2) % KNOWN]]);
        if (i >= KNOWN) {
            cw_wheel_cancel(b->wheel, b->timers[at]);
            b->timers[at] = cw_wheel_add(b->wheel, uniform_due(b), at);
            sum += b->timers[at];
        }
    }
    *units = n;
    return sum;
}

static uint64_t drain(struct cw_bench_wheel *b)
{
    uint64_t sum = 0;
    int64_t until_ms = b->now_ms + 73 * CW_HOUR_MS;
    int64_t tick_ms = 0;
    struct cw_wheel_fired fired[256];
    for (;;) {
        uint32_t n = cw_wheel_advance(b->wheel, until_ms, fired, CW_COUNTOF(fired), &tick_ms);
        for (uint32_t i = 0; i < n; i++) {
            sum = sum * 31 + fired[i].cookie;
            CW_ASSERT(fired[i].due_ms == tick_ms);
        }
        if (n == 0 && tick_ms == until_ms) {
            break;
        }
    }
    CW_ASSERT(cw_wheel_count(b->wheel) == 0);
    b->now_ms = until_ms;
    return sum;
}

static uint64_t arrival_run(void *state, uint64_t *units)
{
    struct cw_bench_wheel *b = state;
    cw_wheel_forget(b->wheel, b->now_ms); /* nodes in the order of arrival, as the limit has it */
    static const int64_t delays[] = {CW_HOUR_MS, 24 * CW_HOUR_MS, 72 * CW_HOUR_MS};
    for (uint32_t i = 0; i < b->count; i++) {
        /* Carts arrive over an hour, three touches each. */
        int64_t cart_ms = b->now_ms + (int64_t)((uint64_t)i * (uint64_t)CW_HOUR_MS / b->count);
        CW_ASSERT(cw_wheel_add(b->wheel, cart_ms + delays[i % 3], i) != CW_TIMER_NONE);
    }
    *units = b->count;
    return drain(b);
}

static uint64_t random_run(void *state, uint64_t *units)
{
    struct cw_bench_wheel *b = state;
    for (uint32_t i = 0; i < b->count; i++) {
        CW_ASSERT(cw_wheel_add(b->wheel, uniform_due(b), i) != CW_TIMER_NONE);
    }
    *units = b->count;
    return drain(b);
}

const struct cw_bench_case cw_bench_wheel[] = {
    {.name = "wheel.insert_1m",
     .unit = "timer",
     .limit_ns = 2.4,
     .limit = "intrusive wheel, insert alone",
     .setup = setup_1m,
     .run = insert_run,
     .teardown = teardown},
    {.name = "wheel.insert_10m",
     .unit = "timer",
     .limit_ns = 2.7,
     .limit = "intrusive wheel, insert alone",
     .setup = setup_10m,
     .run = insert_run,
     .teardown = teardown},
    {.name = "wheel.cancel_reinsert_10m",
     .unit = "timer",
     .limit_ns = 64,
     .limit = "intrusive wheel",
     .setup = setup_cancel,
     .run = cancel_run,
     .teardown = teardown},
    {.name = "wheel.cancel_reinsert_10m_batch",
     .unit = "timer",
     .limit_ns = 64,
     .limit = "intrusive wheel",
     .setup = setup_cancel,
     .run = cancel_batch_run,
     .teardown = teardown},
    {.name = "wheel.expire_arrival_10m",
     .unit = "life",
     .limit_ns = 60,
     .limit = "intrusive wheel, insert + expire",
     .setup = setup_10m,
     .run = arrival_run,
     .teardown = teardown},
    {.name = "wheel.expire_random_10m",
     .unit = "life",
     .limit_ns = 345,
     .limit = "intrusive wheel, insert + expire",
     .setup = setup_10m,
     .run = random_run,
     .teardown = teardown},
    {.name = NULL},
};
