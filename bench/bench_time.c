/* Times and zones: what every event pays for its timestamp. */
#include "bench/bench.h"
#include "core/time.h"
#include "core/zone.h"

#include <stdio.h>
#include <stdlib.h>


struct cw_bench_times {
    uint32_t count;
    uint32_t stride; /* bytes from one text to the next, as in a receive buffer */
    int64_t *ms;
    char *text;
    struct cw_zones *zones;
    uint32_t zone;
};

static void *times_setup(bool tiny)
{
    struct cw_bench_times *t = calloc(1, sizeof *t);
    CW_ASSERT(t != NULL);
    t->count = tiny ? 100 : 10000;
    t->stride = 64;
    t->ms = calloc(t->count, sizeof *t->ms);
    t->text = calloc(t->count, t->stride);
    CW_ASSERT(t->ms != NULL && t->text != NULL);
    uint64_t x = 88172645463325252u;
    for (uint32_t i = 0; i < t->count; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        t->ms[i] = 1700000000000 + (int64_t)(x % (uint64_t)(1000 * CW_DAY_MS));
        cw_time_format(t->ms[i], t->text + (size_t)i * t->stride);
    }
    return t;
}

static uint64_t parse_run(void *state, uint64_t *units)
{
    const struct cw_bench_times *t = state;
    uint64_t sum = 0;
    uint32_t rounds = t->count < 1000 ? 1 : 200;
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < t->count; i++) {
            int64_t ms = 0;
            struct cw_view view = {.data = t->text + (size_t)i * t->stride, .bytes = CW_TIME_BYTES};
            CW_ASSERT(cw_time_parse(view, &ms));
            sum += (uint64_t)ms;
        }
    }
    *units = (uint64_t)rounds * t->count;
    return sum;
}

static uint64_t format_run(void *state, uint64_t *units)
{
    const struct cw_bench_times *t = state;
    uint64_t sum = 0;
    uint32_t rounds = t->count < 1000 ? 1 : 200;
    for (uint32_t round = 0; round < rounds; round++) {
        for (uint32_t i = 0; i < t->count; i++) {
            char out[CW_TIME_BYTES];
            cw_time_format(t->ms[i], out);
            cw_bench_use(out);
            sum += (uint8_t)out[22];
        }
    }
    *units = (uint64_t)rounds * t->count;
    return sum;
}

static void *zone_setup(bool tiny)
{
    struct cw_bench_times *t = times_setup(tiny);
    struct cw_fault fault;
    if (cw_zones_open(&t->zones, "/usr/share/zoneinfo", &fault) == CW_ERR_OK) {
        CW_ASSERT(cw_zones_find(t->zones, CW_VIEW("America/New_York"), &t->zone));
    } else {
        (void)fprintf(stderr, "zone.*: %s\n", fault.text);
    }
    return t;
}

static uint64_t zone_sum(const struct cw_bench_times *t, bool next, uint64_t *units)
{
    uint64_t sum = 0;
    uint32_t rounds = t->count < 1000 ? 1 : 50;
    for (uint32_t round = 0; round < rounds && t->zones != NULL; round++) {
        for (uint32_t i = 0; i < t->count; i++) {
            int64_t got = next ? cw_zone_next(t->zones, t->zone, t->ms[i], 480)
                               : cw_zone_offset_ms(t->zones, t->zone, t->ms[i]);
            sum += (uint64_t)got;
        }
    }
    *units = (uint64_t)rounds * t->count;
    return sum;
}

static uint64_t offset_run(void *state, uint64_t *units)
{
    return zone_sum(state, false, units);
}

static uint64_t next_run(void *state, uint64_t *units)
{
    return zone_sum(state, true, units);
}

static void times_teardown(void *state)
{
    struct cw_bench_times *t = state;
    if (t->zones != NULL) {
        cw_zones_close(t->zones);
    }
    free(t->ms);
    free(t->text);
    free(t);
}

const struct cw_bench_case cw_bench_time[] = {
    {.name = "time.parse",
     .unit = "time",
     .setup = times_setup,
     .run = parse_run,
     .teardown = times_teardown},
    {.name = "time.format",
     .unit = "time",
     .setup = times_setup,
     .run = format_run,
     .teardown = times_teardown},
    {.name = "zone.offset",
     .unit = "time",
     .setup = zone_setup,
     .run = offset_run,
     .teardown = times_teardown},
    {.name = "zone.next",
     .unit = "time",
     .setup = zone_setup,
     .run = next_run,
     .teardown = times_teardown},
    {.name = NULL},
};
