/*
 * Bytes as operations on a wheel, beside a list that is searched from end to end. The first byte
 * bounds the work of a call, the second chooses the start; then each operation is one byte and its
 * arguments.
 */
#include "core/time.h"
#include "core/wheel_priv.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    TIMERS_MAX = 96
};

struct cw_fuzz_timer {
    int64_t due_ms, at_ms;
    uint64_t cookie;
    cw_timer timer;
};

struct cw_fuzz {
    const uint8_t *at, *end;
    struct cw_wheel *wheel;
    struct cw_fuzz_timer list[TIMERS_MAX]; /* in the order of adding */
    uint32_t count;
    uint32_t work_max;
    uint64_t cookie;
    int64_t now_ms;
};

static uint64_t next_bytes(struct cw_fuzz *f, uint32_t bytes)
{
    uint64_t value = 0;
    for (; bytes > 0 && f->at < f->end; bytes--) {
        value = value << 8 | *f->at++;
    }
    return value;
}

/* A byte chooses how many more tell the distance. */
static int64_t next_distance(struct cw_fuzz *f)
{
    return (int64_t)next_bytes(f, 1 + (uint32_t)next_bytes(f, 1) % 6);
}

static uint32_t first_of(const struct cw_fuzz *f)
{
    uint32_t first = 0;
    for (uint32_t i = 1; i < f->count; i++) {
        first = f->list[i].at_ms < f->list[first].at_ms ? i : first;
    }
    return first;
}

static void drop(struct cw_fuzz *f, uint32_t i)
{
    memmove(&f->list[i], &f->list[i + 1], (f->count - i - 1) * sizeof f->list[0]);
    f->count--;
}

static void add(struct cw_fuzz *f, int64_t due_ms)
{
    int64_t present_ms = cw_wheel_present(f->wheel);
    cw_timer timer = cw_wheel_add(f->wheel, due_ms, f->cookie);
    CW_ASSERT((timer == CW_TIMER_NONE) == (f->count == TIMERS_MAX));
    if (timer != CW_TIMER_NONE) {
        f->list[f->count++] =
            (struct cw_fuzz_timer){.due_ms = due_ms,
                                   .at_ms = due_ms > present_ms ? due_ms : present_ms,
                                   .cookie = f->cookie,
                                   .timer = timer};
    }
    f->cookie++;
}

static void cancel(struct cw_fuzz *f, uint32_t i)
{
    CW_ASSERT(cw_wheel_due(f->wheel, f->list[i].timer) == f->list[i].due_ms);
    CW_ASSERT(cw_wheel_cookie(f->wheel, f->list[i].timer) == f->list[i].cookie);
    cw_wheel_cancel(f->wheel, f->list[i].timer);
    drop(f, i);
}

static uint32_t advance(struct cw_fuzz *f, uint32_t room, int64_t *tick_ms)
{
    struct cw_wheel_fired fired[16];
    uint64_t moves = cw_wheel_moves(f->wheel);
    int64_t present_ms = cw_wheel_present(f->wheel);
    uint32_t n = cw_wheel_advance(f->wheel, f->now_ms, fired, room, tick_ms);
    moves = cw_wheel_moves(f->wheel) - moves;
    CW_ASSERT(n <= room && moves <= f->work_max);
    CW_ASSERT(cw_wheel_present(f->wheel) >= present_ms);
    for (uint32_t i = 0; i < n; i++) {
        const struct cw_fuzz_timer *first = &f->list[first_of(f)];
        CW_ASSERT(f->count > 0 && first->at_ms == *tick_ms && *tick_ms <= f->now_ms);
        CW_ASSERT(first->due_ms == fired[i].due_ms && first->cookie == fired[i].cookie &&
                  first->timer == fired[i].timer);
        drop(f, first_of(f));
    }
    if (n == 0 && *tick_ms < f->now_ms) {
        CW_ASSERT(moves == f->work_max);
    } else if (n == 0) {
        CW_ASSERT(*tick_ms == f->now_ms);
        CW_ASSERT(f->now_ms < present_ms || f->count == 0 ||
                  f->list[first_of(f)].at_ms > f->now_ms);
    }
    return n;
}

static void check(const struct cw_fuzz *f)
{
    int64_t due_ms = 0;
    CW_ASSERT(cw_wheel_count(f->wheel) == f->count);
    CW_ASSERT(cw_wheel_earliest(f->wheel, &due_ms) == (f->count > 0));
    CW_ASSERT(f->count == 0 || due_ms == f->list[first_of(f)].at_ms);
}

static void one_operation(struct cw_fuzz *f)
{
    uint64_t what = next_bytes(f, 1);
    int64_t tick_ms = 0;
    switch (what % 8) {
    case 0: add(f, f->now_ms + next_distance(f)); break;
    case 1: add(f, f->now_ms - next_distance(f)); break;
    case 2: /* an instant that others are likely to choose */
        add(f, (f->now_ms / 4096 + 1 + (int64_t)(what >> 6)) * 4096);
        break;
    case 3:
        if (f->count > 0) {
            cancel(f, (uint32_t)next_bytes(f, 1) % f->count);
        }
        break;
    case 4:
        if (f->count > 0) {
            cancel(f, first_of(f));
        }
        break;
    case 5: f->now_ms += next_distance(f); break;
    case 6: f->now_ms -= (int64_t)next_bytes(f, 1); break;
    default: (void)advance(f, 1 + (uint32_t)(what >> 3) % 16, &tick_ms); break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cw_fuzz f; /* one wheel for all inputs: opening one maps memory */
    static const int64_t starts_ms[] = {0, 1768754700000, INT64_C(0x19b00000000) - 3,
                                        253402300799000, -62167219200000};
    if (size > 4096) {
        return 0;
    }
    struct cw_fault fault;
    if (f.wheel == NULL) {
        struct cw_wheel_options options = {.start_ms = 0, .timers_max = TIMERS_MAX};
        CW_ASSERT(cw_wheel_open(&f.wheel, &options, &fault) == CW_ERR_OK);
    }
    f.at = data;
    f.end = data + size;
    f.count = 0;
    f.work_max = 1 + (uint32_t)next_bytes(&f, 1) % 9;
    f.now_ms = starts_ms[next_bytes(&f, 1) % CW_COUNTOF(starts_ms)];
    cw_wheel_forget(f.wheel, f.now_ms);
    cw_wheel_set_work(f.wheel, f.work_max);
    for (uint32_t i = 0; f.at < f.end; i++) {
        one_operation(&f);
        check(&f);
        CW_ASSERT(i % 64 != 0 || cw_wheel_check(f.wheel));
    }
    f.now_ms += INT64_C(1) << 50;
    int64_t tick_ms = 0;
    for (uint32_t n = 1; n > 0 || tick_ms < f.now_ms;) {
        n = advance(&f, 16, &tick_ms);
        check(&f);
    }
    CW_ASSERT(f.count == 0 && cw_wheel_check(f.wheel));
    return 0;
}
