/*
 * Benches of core/hash.h and core/table.h. Keys are 24 bytes, values 128; a key is made and hashed
 * inside the timed part, as it is in use. memory.* are the raw limits: 64-byte reads at random over
 * as many bytes as the table of the same suffix takes, in the same batches. The figures in `limit`
 * were measured on another machine (64-bit integer keys, cheap hash, huge pages, never grown; 20M
 * rows beside our 10M). put_worst prints the longest single put of a run: fresh memory pays for
 * clearing pages, touched memory shows the table (and the interrupts) alone.
 */
#define _GNU_SOURCE 1
#include "bench/bench.h"
#include "core/table_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>

enum {
    BATCH = 16,
    KEY_BYTES = 24,
    VALUE_BYTES = 128,
    ROW_BYTES = 160,  /* with header and key */
    TINY_ROWS = 4000, /* not a multiple of a group or segment */
    FINDS = 1000000,  /* per run; fewer than rows, so that runs differ */
};

struct key {
    char bytes[KEY_BYTES];
};

struct state {
    struct cw_table *table;
    uint64_t rows;
    uint64_t finds;
    uint64_t random;
    uint64_t oldest; /* row ids in the table: oldest to oldest + rows - 1 */
};

static struct key key_of(uint64_t id)
{
    struct key key = {"customer-of-shop"};
    memcpy(key.bytes + KEY_BYTES - sizeof id, &id, sizeof id);
    return key;
}

static uint64_t random_id(struct state *state)
{
    state->random += 0x9e3779b97f4a7c15u; /* a Weyl sequence, multiplied out: no chain of waits */
    uint64_t mixed = (state->random ^ state->random >> 29) * 0xbf58476d1ce4e5b9u;
    return (uint64_t)((unsigned __int128)(mixed ^ mixed >> 32) * state->rows >> 64);
}

static void open_table(struct state *state)
{
    struct cw_fault fault;
    struct cw_table_options options = {.name = "bench",
                                       .rows_max = state->rows + BATCH,
                                       .bytes_max = (state->rows + BATCH) * ROW_BYTES,
                                       .hash = {.k0 = 1, .k1 = 2},
                                       .value_bytes_hint = VALUE_BYTES};
    cw_err err = cw_table_open(&state->table, &options, &fault);
    CW_ASSERT(err == CW_ERR_OK);
}

static uint64_t insert_batch(struct state *state, uint64_t first, uint64_t count)
{
    struct key keys[BATCH];
    uint64_t hashes[BATCH];
    uint64_t sum = 0;
    for (uint64_t i = 0; i < count; i++) {
        keys[i] = key_of(first + i);
        hashes[i] = cw_table_hash(state->table, keys[i].bytes, KEY_BYTES);
        cw_table_prefetch_put(state->table, hashes[i]);
    }
    for (uint64_t i = 0; i < count; i++) {
        bool added;
        cw_row row =
            cw_table_put(state->table, hashes[i], keys[i].bytes, KEY_BYTES, VALUE_BYTES, &added);
        CW_ASSERT(row != CW_ROW_NONE && added);
        *(uint64_t *)cw_table_edit(state->table, row) = first + i;
        sum += row;
    }
    return sum;
}

static uint64_t insert_all(struct state *state)
{
    uint64_t sum = 0;
    for (uint64_t id = 0; id < state->rows; id += BATCH) {
        sum += insert_batch(state, id, state->rows - id < BATCH ? state->rows - id : BATCH);
    }
    return sum;
}

static struct state *setup_empty(bool tiny, uint64_t rows)
{
    struct state *state = calloc(1, sizeof *state);
    CW_ASSERT(state != NULL);
    state->rows = tiny ? TINY_ROWS : rows;
    state->finds = tiny ? TINY_ROWS : FINDS;
    return state;
}

static void *setup_empty_1m(bool tiny)
{
    return setup_empty(tiny, 1000000);
}

static void *setup_empty_10m(bool tiny)
{
    return setup_empty(tiny, 10000000);
}

static void *setup_full_1m(bool tiny)
{
    struct state *state = setup_empty_1m(tiny);
    open_table(state);
    (void)insert_all(state);
    return state;
}

static void *setup_full_10m(bool tiny)
{
    struct state *state = setup_empty_10m(tiny);
    open_table(state);
    (void)insert_all(state);
    return state;
}

static void teardown(void *opaque)
{
    struct state *state = opaque;
    if (state->table != NULL) {
        cw_table_close(state->table);
    }
    free(state);
}

static uint64_t run_insert(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    open_table(state);
    uint64_t sum = insert_all(state);
    cw_table_close(state->table);
    state->table = NULL;
    *units = state->rows;
    return sum;
}

/* One by one; the keys are made 16 at a time, as a key just written cannot be read fast. */
static uint64_t run_find(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    uint64_t sum = 0;
    struct key keys[BATCH];
    for (uint64_t done = 0; done < state->finds; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            keys[i] = key_of(random_id(state));
        }
        for (int i = 0; i < BATCH; i++) {
            uint64_t hash = cw_table_hash(state->table, keys[i].bytes, KEY_BYTES);
            cw_row row = cw_table_find(state->table, hash, keys[i].bytes, KEY_BYTES);
            sum += *(const uint64_t *)cw_table_value(state->table, row);
        }
    }
    *units = state->finds;
    return sum;
}

/* Batches of 16 with both prefetches; keys not in the table when `absent`. */
static uint64_t find_batches(struct state *state, uint64_t absent, uint64_t *units, bool update)
{
    uint64_t sum = 0;
    struct key keys[BATCH];
    uint64_t hashes[BATCH];
    for (uint64_t done = 0; done < state->finds; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            keys[i] = key_of(random_id(state) + absent);
            hashes[i] = cw_table_hash(state->table, keys[i].bytes, KEY_BYTES);
            cw_table_prefetch(state->table, hashes[i]);
        }
        for (int i = 0; i < BATCH; i++) {
            cw_table_prefetch_row(state->table, hashes[i]);
        }
        for (int i = 0; i < BATCH; i++) {
            cw_row row = cw_table_find(state->table, hashes[i], keys[i].bytes, KEY_BYTES);
            CW_ASSERT((row == CW_ROW_NONE) == (absent != 0));
            if (row != CW_ROW_NONE) {
                uint64_t *value = cw_table_edit(state->table, row);
                sum += *value;
                *value += update;
            }
        }
    }
    *units = state->finds;
    return sum;
}

static uint64_t run_find_batched(void *opaque, uint64_t *units)
{
    return find_batches(opaque, 0, units, false);
}

static uint64_t run_update_batched(void *opaque, uint64_t *units)
{
    return find_batches(opaque, 0, units, true);
}

static uint64_t run_miss_batched(void *opaque, uint64_t *units)
{
    return find_batches(opaque, 1ull << 60, units, false);
}

/* The oldest rows leave, new ones come: 16 removals, then 16 puts, each with its prefetches. */
static uint64_t run_remove_put(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    uint64_t sum = 0;
    struct key keys[BATCH];
    uint64_t hashes[BATCH];
    for (uint64_t done = 0; done < state->finds; done += BATCH) {
        for (uint64_t i = 0; i < BATCH; i++) {
            keys[i] = key_of(state->oldest++);
            hashes[i] = cw_table_hash(state->table, keys[i].bytes, KEY_BYTES);
            cw_table_prefetch(state->table, hashes[i]);
        }
        for (uint64_t i = 0; i < BATCH; i++) {
            cw_table_prefetch_row(state->table, hashes[i]);
        }
        for (uint64_t i = 0; i < BATCH; i++) {
            cw_table_remove(state->table,
                            cw_table_find(state->table, hashes[i], keys[i].bytes, KEY_BYTES));
        }
        sum += insert_batch(state, state->oldest + state->rows - BATCH, BATCH);
    }
    *units = state->finds;
    return sum;
}

static double now_ns(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

/* Has the pages of the table's mappings made before they are needed. */
static void touch(struct state *state)
{
    const struct cw_table *table = state->table;
    uint64_t groups = (state->rows / 256 + 2) * TABLE_SEGMENT_GROUPS;
    (void)madvise(table->map_rows.base, table->map_rows.bytes, MADV_POPULATE_WRITE);
    (void)madvise(table->map_groups.base, groups * sizeof(struct table_group), MADV_POPULATE_WRITE);
    (void)madvise(table->map_bits.base, groups * sizeof(struct table_bits), MADV_POPULATE_WRITE);
}

/* How often another thread was given this one's CPU. */
static long preemptions(void)
{
    struct rusage usage;
    (void)getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

/* The harness prints time / units: units are chosen so that this is the longest single put. One
   near which the thread lost its CPU does not count. */
static uint64_t put_worst(struct state *state, uint64_t *units)
{
    double start = now_ns();
    double worst = 1;
    uint64_t sum = 0;
    long before = 0;
    for (uint64_t id = 0; id < state->rows; id++) {
        if (id % 64 == 0) {
            before = preemptions();
        }
        double from = now_ns();
        sum += insert_batch(state, id, 1);
        double spent = now_ns() - from;
        if (spent > worst && preemptions() == before) {
            worst = spent;
        }
    }
    *units = (uint64_t)((now_ns() - start) / worst) + 1;
    return sum;
}

static uint64_t run_put_worst(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    open_table(state);
    uint64_t sum = put_worst(state, units);
    cw_table_close(state->table);
    state->table = NULL;
    return sum;
}

static uint64_t run_put_worst_touched(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    open_table(state);
    touch(state);
    uint64_t sum = put_worst(state, units);
    cw_table_close(state->table);
    state->table = NULL;
    return sum;
}

struct memory {
    uint8_t *base;
    uint64_t bytes;
    struct state state; /* of which only the numbers are used */
};

static void *setup_memory(bool tiny, uint64_t rows)
{
    struct memory *memory = calloc(1, sizeof *memory);
    CW_ASSERT(memory != NULL);
    memory->state.rows = (tiny ? TINY_ROWS : rows) * (ROW_BYTES + 16) / CW_CACHE_LINE;
    memory->state.finds = tiny ? TINY_ROWS : FINDS;
    memory->bytes = memory->state.rows * CW_CACHE_LINE;
    void *base =
        mmap(NULL, memory->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CW_ASSERT(base != MAP_FAILED);
    (void)madvise(base, memory->bytes, MADV_HUGEPAGE);
    memset(base, 1, memory->bytes);
    memory->base = base;
    return memory;
}

static void *setup_memory_1m(bool tiny)
{
    return setup_memory(tiny, 1000000);
}

static void *setup_memory_10m(bool tiny)
{
    return setup_memory(tiny, 10000000);
}

static uint64_t run_memory(void *opaque, uint64_t *units)
{
    struct memory *memory = opaque;
    uint64_t sum = 0;
    const uint8_t *lines[BATCH];
    for (uint64_t done = 0; done < memory->state.finds; done += BATCH) {
        for (int i = 0; i < BATCH; i++) {
            lines[i] = memory->base + random_id(&memory->state) * CW_CACHE_LINE;
            __builtin_prefetch(lines[i]);
        }
        for (int i = 0; i < BATCH; i++) {
            sum += *lines[i];
        }
    }
    *units = memory->state.finds;
    return sum;
}

static void teardown_memory(void *opaque)
{
    struct memory *memory = opaque;
    (void)munmap(memory->base, memory->bytes);
    free(memory);
}

static uint64_t run_hash(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    struct cw_hash_key secret = {.k0 = 1, .k1 = 2};
    uint64_t sum = 0;
    for (uint64_t id = 0; id < state->rows; id++) {
        struct key key = key_of(id);
        cw_bench_use(&key);
        sum += cw_hash(secret, key.bytes, KEY_BYTES);
    }
    *units = state->rows;
    return sum;
}

static uint64_t run_hash128(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    struct cw_hash_key secret = {.k0 = 1, .k1 = 2};
    uint64_t sum = 0;
    for (uint64_t id = 0; id < state->rows; id++) {
        struct key key = key_of(id);
        uint8_t wide[16];
        cw_hash128(secret, key.bytes, KEY_BYTES, wide);
        sum += wide[0];
    }
    *units = state->rows;
    return sum;
}

static uint64_t run_murmur2(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    uint64_t sum = 0;
    for (uint64_t id = 0; id < state->rows; id++) {
        struct key key = key_of(id);
        cw_bench_use(&key); /* or the loop becomes vectors of keys */
        sum += cw_murmur2(key.bytes, KEY_BYTES);
    }
    *units = state->rows;
    return sum;
}

static const char bare[] = "a fixed table of 128 B slots";

const struct cw_bench_case cw_bench_table[] = {
    {"hash.sip13_24_bytes", "key", 0, NULL, setup_empty_1m, run_hash, teardown, KEY_BYTES},
    {"hash.sip24_128_24_bytes", "key", 0, NULL, setup_empty_1m, run_hash128, teardown, KEY_BYTES},
    {"hash.murmur2_24_bytes", "key", 0, NULL, setup_empty_1m, run_murmur2, teardown, KEY_BYTES},
    {"memory.random_read_batched_1m", "line", 0, NULL, setup_memory_1m, run_memory, teardown_memory,
     CW_CACHE_LINE},
    {"table.insert_batched_1m", "op", 25, bare, setup_empty_1m, run_insert, teardown, 0},
    {"table.find_1m", "op", 30, bare, setup_full_1m, run_find, teardown, 0},
    {"table.find_batched_1m", "op", 24, bare, setup_full_1m, run_find_batched, teardown, 0},
    {"table.miss_batched_1m", "op", 9.6, bare, setup_full_1m, run_miss_batched, teardown, 0},
    {"table.update_batched_1m", "op", 23, bare, setup_full_1m, run_update_batched, teardown, 0},
    {"table.remove_put_batched_1m", "pair", 0, NULL, setup_full_1m, run_remove_put, teardown, 0},
    {"table.put_worst_1m", "put", 0, NULL, setup_empty_1m, run_put_worst, teardown, 0},
    {"table.put_worst_touched_1m", "put", 0, NULL, setup_empty_1m, run_put_worst_touched, teardown,
     0},
    {"memory.random_read_batched_10m", "line", 0, NULL, setup_memory_10m, run_memory,
     teardown_memory, CW_CACHE_LINE},
    {"table.insert_batched_10m", "op", 47, bare, setup_empty_10m, run_insert, teardown, 0},
    {"table.find_10m", "op", 60, bare, setup_full_10m, run_find, teardown, 0},
    {"table.find_batched_10m", "op", 44, bare, setup_full_10m, run_find_batched, teardown, 0},
    {"table.miss_batched_10m", "op", 31, bare, setup_full_10m, run_miss_batched, teardown, 0},
    {"table.update_batched_10m", "op", 54, bare, setup_full_10m, run_update_batched, teardown, 0},
    {"table.remove_put_batched_10m", "pair", 0, NULL, setup_full_10m, run_remove_put, teardown, 0},
    {"table.put_worst_10m", "put", 0, NULL, setup_empty_10m, run_put_worst, teardown, 0},
    {"table.put_worst_touched_10m", "put", 0, NULL, setup_empty_10m, run_put_worst_touched,
     teardown, 0},
    {0},
};
