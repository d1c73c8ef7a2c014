/*
 * What this machine can do, measured in the same run as what is compared with it: a bare table, a
 * bare wheel, a bare ring. Each leaves out all that ours must have: keys are 8 bytes and need no
 * secret, the table's 2^21 slots of 128 bytes never grow, the wheel's timers carry nothing and fire
 * in any order within a tick, 4,095 batches may be under way.
 */
#define _GNU_SOURCE 1
#include "bench/bench.h"
#include "core/ring.h"

#include <emmintrin.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    ROWS = 1000000,
    ROWS_TINY = 4000,
    SLOTS = 1 << 21,
    GROUPS = SLOTS / 16,
    ROW_BYTES = 160,
    BATCH = 32,
    BATCHES = 200000,
    BATCHES_TINY = 500,
    RING_SLOTS = 4096,
    HUGE_PAGE = 2 << 20
};

static void *huge(size_t bytes)
{
    uint8_t *got = mmap(NULL, bytes + HUGE_PAGE, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CW_ASSERT(got != MAP_FAILED);
    uint8_t *at = got + (HUGE_PAGE - (uintptr_t)got % HUGE_PAGE) % HUGE_PAGE;
    (void)munmap(got, (size_t)(at - got));
    (void)munmap(at + bytes, (size_t)(got + HUGE_PAGE - at));
    (void)madvise(at, bytes, MADV_HUGEPAGE);
    return at;
}

struct slot {
    uint64_t key, value[15];
};

struct table {
    uint64_t rows, random;
    uint8_t *tags;
    struct slot *slots;
};

static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 32) * 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9u;
    return x ^ x >> 32;
}

static void map_table(struct table *table)
{
    table->tags = huge(SLOTS);
    table->slots = huge(SLOTS * sizeof *table->slots);
}

static void unmap_table(struct table *table)
{
    if (table->tags != NULL) {
        (void)munmap(table->tags, SLOTS);
        (void)munmap(table->slots, SLOTS * sizeof *table->slots);
        table->tags = NULL;
    }
}

/* The key's slot; a free one for it, or NULL, when it is not there. */
static inline struct slot *seek(struct table *table, uint64_t key, bool add)
{
    uint64_t hash = mix(key);
    uint8_t tag = (uint8_t)(hash | 0x80);
    uint64_t group = hash >> 8;
    for (;; group++) {
        uint64_t first = group % GROUPS * 16;
        __m128i tags = _mm_load_si128((const __m128i *)(const void *)(table->tags + first));
        __m128i same = _mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag));
        for (uint32_t m = (uint32_t)_mm_movemask_epi8(same); m != 0; m &= m - 1) {
            struct slot *slot = &table->slots[first + (uint32_t)__builtin_ctz(m)];
            if (slot->key == key) {
                return slot;
            }
        }
        uint32_t room = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(tags, _mm_setzero_si128()));
        if (room != 0) {
            uint64_t at = first + (uint32_t)__builtin_ctz(room);
            if (add) {
                table->tags[at] = tag;
                table->slots[at].key = key;
            }
            return add ? &table->slots[at] : NULL;
        }
    }
}

static uint64_t fill(struct table *table)
{
    uint64_t sum = 0;
    for (uint64_t id = 1; id <= table->rows; id++) {
        struct slot *slot = seek(table, id, true);
        slot->value[0] = id;
        sum += (uint64_t)(slot - table->slots);
    }
    return sum;
}

static void *setup_table(bool tiny)
{
    struct table *table = calloc(1, sizeof *table);
    CW_ASSERT(table != NULL);
    table->rows = tiny ? ROWS_TINY : ROWS;
    return table;
}

static void *setup_full(bool tiny)
{
    struct table *table = setup_table(tiny);
    map_table(table);
    (void)fill(table);
    return table;
}

static void teardown_table(void *self)
{
    unmap_table(self);
    free(self);
}

static uint64_t run_insert(void *self, uint64_t *units)
{
    struct table *table = self;
    map_table(table);
    uint64_t sum = fill(table);
    unmap_table(table);
    *units = table->rows;
    return sum;
}

static uint64_t run_seek(struct table *table, uint64_t absent, uint64_t *units)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < table->rows; i++) {
        uint64_t id = 1 + (uint64_t)((unsigned __int128)mix(++table->random) * table->rows >> 64);
        const struct slot *slot = seek(table, id + absent, false);
        sum += slot != NULL ? slot->value[0] : 1;
    }
    *units = table->rows;
    return sum;
}

static uint64_t run_hit(void *self, uint64_t *units)
{
    return run_seek(self, 0, units);
}

static uint64_t run_miss(void *self, uint64_t *units)
{
    return run_seek(self, UINT64_C(1) << 60, units);
}

/* What the kernel takes for the pages of a row, in order. */
static uint64_t run_touch(void *self, uint64_t *units)
{
    const struct table *table = self;
    size_t bytes = (table->rows * ROW_BYTES + HUGE_PAGE - 1) & ~(size_t)(HUGE_PAGE - 1);
    uint8_t *base = huge(bytes);
    for (size_t at = 0; at < table->rows * ROW_BYTES; at += ROW_BYTES) {
        base[at] = 1;
    }
    cw_bench_use(base);
    (void)munmap(base, bytes);
    *units = table->rows;
    return bytes;
}

struct timer {
    struct timer *next, **link;
    uint64_t due;
};

struct wheel {
    uint32_t count;
    struct timer *timers;
    struct timer *slots[4][256];
    uint64_t bits[4][4];
};

static void *setup_wheel(bool tiny)
{
    struct wheel *wheel = calloc(1, sizeof *wheel);
    CW_ASSERT(wheel != NULL);
    wheel->count = tiny ? ROWS_TINY : ROWS;
    wheel->timers = calloc(wheel->count, sizeof *wheel->timers);
    CW_ASSERT(wheel->timers != NULL);
    return wheel;
}

static uint64_t run_wheel(void *self, uint64_t *units)
{
    struct wheel *wheel = self;
    const uint64_t present = UINT64_C(1768754700000);
    const uint64_t reach = UINT64_C(72) * 3600 * 1000;
    memset(wheel->slots, 0, sizeof wheel->slots);
    uint64_t x = 88172645463325252u;
    for (uint32_t i = 0; i < wheel->count; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        uint64_t due = present + 1 + ((x >> 32) * reach >> 32);
        uint32_t level = (63 - (uint32_t)__builtin_clzll((due ^ present) | 1)) / 8 % 4;
        uint32_t at = (uint32_t)(due >> (8 * level)) & 255;
        struct timer **link = &wheel->slots[level][at];
        struct timer *timer = &wheel->timers[i];
        *timer = (struct timer){.next = *link, .link = link, .due = due};
        if (*link != NULL) {
            (*link)->link = &timer->next;
        }
        *link = timer;
        wheel->bits[level][at / 64] |= UINT64_C(1) << (at % 64);
    }
    cw_bench_use(wheel->timers);
    *units = wheel->count;
    return x;
}

static void teardown_wheel(void *self)
{
    struct wheel *wheel = self;
    free(wheel->timers);
    free(wheel);
}

struct rings {
    struct cw_arena arena;
    struct cw_ring *there, *home;
    uint64_t batches;
};

static void *setup_rings(bool tiny)
{
    struct cw_fault fault;
    struct rings *rings = calloc(1, sizeof *rings);
    CW_ASSERT(rings != NULL);
    cw_err err = cw_arena_open(&rings->arena, 1u << 20, 1u << 21, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    rings->there = cw_ring_create(&rings->arena, RING_SLOTS);
    rings->home = cw_ring_create(&rings->arena, RING_SLOTS);
    rings->batches = tiny ? BATCHES_TINY : BATCHES;
    return rings;
}

static void take(struct cw_ring *ring, void **item)
{
    for (uint32_t spins = 1; !cw_ring_pop(ring, item); spins++) { /* the other end is at work */
        if (spins % 1024 == 0) {
            (void)sched_yield();
        }
    }
}

/* A batch here is only its name: what matters is the way of a pointer there and back. */
static void *send(void *self)
{
    struct rings *rings = self;
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
    for (uint64_t i = 0; i < rings->batches; i++) {
        void *batch = rings;
        if (i >= RING_SLOTS - 1) {
            take(rings->home, &batch);
        }
        bool pushed = cw_ring_push(rings->there, batch);
        CW_ASSERT(pushed);
    }
    void *batch;
    for (uint64_t i = 0; i < rings->batches && i < RING_SLOTS - 1; i++) {
        take(rings->home, &batch);
    }
    return NULL;
}

static uint64_t run_rings(void *self, uint64_t *units)
{
    struct rings *rings = self;
    pthread_t peer;
    int rc = pthread_create(&peer, NULL, send, rings);
    CW_ASSERT(rc == 0);
    for (uint64_t i = 0; i < rings->batches; i++) {
        void *batch;
        take(rings->there, &batch);
        bool pushed = cw_ring_push(rings->home, batch);
        CW_ASSERT(pushed);
    }
    (void)pthread_join(peer, NULL);
    *units = rings->batches * BATCH;
    return rings->batches;
}

static void teardown_rings(void *self)
{
    struct rings *rings = self;
    cw_arena_close(&rings->arena);
    free(rings);
}

const struct cw_bench_case cw_bench_limit[] = {
    {"limit.touch_160_bytes", "row", 0, NULL, setup_table, run_touch, teardown_table, ROW_BYTES},
    {"limit.table_insert_1m", "op", 25, "on a Zen 5", setup_table, run_insert, teardown_table, 0},
    {"limit.table_hit_1m", "op", 30, "on a Zen 5", setup_full, run_hit, teardown_table, 0},
    {"limit.table_miss_1m", "op", 9.6, "on a Zen 5", setup_full, run_miss, teardown_table, 0},
    {"limit.wheel_insert_1m", "timer", 2.4, "on a Zen 5", setup_wheel, run_wheel, teardown_wheel,
     0},
    {"limit.hand_over_32", "event", 1.13, "on a Zen 5", setup_rings, run_rings, teardown_rings, 0},
    {0},
};
