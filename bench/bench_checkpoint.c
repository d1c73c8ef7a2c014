/*
 * checkpoint.*: what the format itself costs, over a disk that is memory and answers at once: each
 * row visited, copied and hashed; each byte read twice and proven. The rows are 1,000,000 of 184
 * bytes. Beside it: the same bytes moved by memcpy as often as that disk does.
 */
#include "bench/bench.h"
#include "bench/memory_disk.h"
#include "core/checkpoint.h"
#include "core/table.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum {
    KEY_BYTES = 24,
    VALUE_BYTES = 152,
    RECORD_BYTES = 8 + KEY_BYTES + VALUE_BYTES,
    ROWS = 1000000,
    TINY_ROWS = 2000,
    SLICE_ROWS = 256,
    BATCH = 32
};

struct state {
    uint64_t rows;
    struct cw_table *table;
    struct cw_memory_disk disk;
    char *copy;
};

static struct cw_table *open_table(void)
{
    struct cw_table *table;
    struct cw_fault fault;
    struct cw_table_options options = {.name = "bench",
                                       .rows_max = ROWS,
                                       .bytes_max = 512ull << 20,
                                       .hash = {.k0 = 1, .k1 = 2},
                                       .value_bytes_hint = VALUE_BYTES};
    cw_err err = cw_table_open(&table, &options, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    return table;
}

static void *setup(bool tiny)
{
    struct state *state = calloc(1, sizeof *state);
    CW_ASSERT(state != NULL);
    state->rows = tiny ? TINY_ROWS : ROWS;
    uint64_t bytes = state->rows * (RECORD_BYTES + 16) + (1 << 20);
    cw_memory_disk_open(&state->disk, bytes);
    state->copy = cw_memory_disk_map(bytes);
    state->table = open_table();
    for (uint64_t id = 0; id < state->rows; id++) {
        uint64_t key[KEY_BYTES / 8] = {id * 0x9e3779b97f4a7c15u, id, 7};
        bool added;
        cw_row row = cw_table_put(state->table, cw_table_hash(state->table, key, KEY_BYTES), key,
                                  KEY_BYTES, VALUE_BYTES, &added);
        CW_ASSERT(row != CW_ROW_NONE && added);
        memset(cw_table_edit(state->table, row), (int)(id & 0xff), VALUE_BYTES);
    }
    return state;
}

static uint64_t run_write(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    cw_memory_disk_checkpoint(&state->disk, &state->table, 1, SLICE_ROWS);
    uint64_t last; /* of the foot: its hash, which follows from every byte */
    memcpy(&last, state->disk.file + state->disk.bytes - sizeof last, sizeof last);
    *units = state->rows;
    return last;
}

static void *setup_written(bool tiny)
{
    struct state *state = setup(tiny);
    uint64_t units;
    (void)run_write(state, &units);
    return state;
}

static bool count_records(void *with, struct cw_view records)
{
    uint64_t *sum = with;
    struct cw_record record;
    while (cw_record_next(&records, &record) == CW_RECORD_READ) {
        *sum += (uint8_t)record.value.data[0];
    }
    return true;
}

/* A batch of records at a time, their places in the table asked for before they are used. */
static bool load_records(void *with, struct cw_view records)
{
    struct cw_table *table = with;
    struct cw_record batch[BATCH];
    uint64_t hashes[BATCH];
    uint32_t count;
    do {
        count = 0;
        while (count < BATCH && cw_record_next(&records, &batch[count]) == CW_RECORD_READ) {
            struct cw_view key = batch[count].key;
            hashes[count] = cw_table_hash(table, key.data, key.bytes);
            cw_table_prefetch_put(table, hashes[count++]);
        }
        for (uint32_t i = 0; i < count; i++) {
            struct cw_view value = batch[i].value;
            bool added;
            cw_row row = cw_table_put(table, hashes[i], batch[i].key.data, batch[i].key.bytes,
                                      value.bytes, &added);
            CW_ASSERT(row != CW_ROW_NONE);
            memcpy(cw_table_edit(table, row), value.data, value.bytes);
        }
    } while (count == BATCH);
    return true;
}

/* Nothing is damaged here. */
static bool forget(void *with)
{
    (void)with;
    return false;
}

static void read_all(struct state *state, bool (*apply)(void *with, struct cw_view records),
                     void *with)
{
    const uint8_t store[16] = {0};
    struct cw_checkpoint_found found;
    struct cw_fault fault;
    struct cw_disk disk = cw_memory_disk_port(&state->disk);
    const struct cw_checkpoint_apply to = {.apply = apply, .forget = forget, .with = with};
    cw_err err = cw_checkpoint_read(&disk, store, 0, true, &to, &found, &fault);
    CW_ASSERT(err == CW_ERR_OK && found.rows == state->rows);
}

static uint64_t run_read(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    uint64_t sum = 0;
    read_all(state, count_records, &sum);
    *units = state->rows;
    return sum;
}

static uint64_t run_load(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    struct cw_table *table = open_table();
    read_all(state, load_records, table);
    *units = cw_table_count(table);
    cw_table_close(table);
    return *units;
}

static uint64_t run_copy(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    memcpy(state->copy, state->disk.file, state->rows * RECORD_BYTES);
    cw_bench_use(state->copy);
    *units = state->rows;
    return 0;
}

static void teardown(void *opaque)
{
    struct state *state = opaque;
    cw_table_close(state->table);
    (void)munmap(state->copy, state->disk.bytes_max);
    cw_memory_disk_close(&state->disk);
    free(state);
}

const struct cw_bench_case cw_bench_checkpoint[] = {
    {"memory.copy_184_bytes", "row", 0, NULL, setup, run_copy, teardown, RECORD_BYTES},
    {"checkpoint.write_1m", "row", 0, NULL, setup, run_write, teardown, RECORD_BYTES},
    {"checkpoint.read_1m", "row", 0, NULL, setup_written, run_read, teardown, RECORD_BYTES},
    {"checkpoint.load_1m", "row", 0, NULL, setup_written, run_load, teardown, RECORD_BYTES},
    {0},
};
