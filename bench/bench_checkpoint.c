/*
 * checkpoint.*: what the format itself costs, over a disk that is memory and answers at once: each
 * row visited, copied and hashed; each byte read twice and proven. The rows are 1,000,000 of 184
 * bytes. Beside it: the same bytes moved by memcpy as often as that disk does.
 */
#include "bench/bench.h"
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
    struct cw_disk disk;
    char *file, *copy;
    uint64_t bytes, bytes_max;
    bool there;
};

static const char name[] = "checkpoint-0000000000000001";

static void submit(void *self, struct cw_disk_op *op)
{
    struct state *state = self;
    op->error = 0;
    op->done = true;
    switch (op->kind) {
    case CW_DISK_WRITE:
        CW_ASSERT(op->offset + op->bytes <= state->bytes_max);
        if (op->bytes > 0) {
            memcpy(state->file + op->offset, op->data, op->bytes);
            state->bytes = op->offset + op->bytes;
        }
        break;
    case CW_DISK_READ:
        CW_ASSERT(op->offset + op->bytes <= state->bytes);
        memcpy(op->into, state->file + op->offset, op->bytes);
        op->got = op->bytes;
        break;
    case CW_DISK_OPEN:
        op->file = 0;
        op->size = state->bytes;
        break;
    case CW_DISK_CREATE: op->file = 0; break;
    case CW_DISK_RENAME: state->there = true; break;
    case CW_DISK_REMOVE:
    case CW_DISK_CLOSE:
    case CW_DISK_SYNC_NAMES: break;
    }
}

static bool poll_none(void *self)
{
    (void)self;
    return false;
}

static void wait_none(void *self)
{
    (void)self;
}

static int list(void *self, void (*found)(void *with, const char *name, uint64_t bytes),
                void *with)
{
    const struct state *state = self;
    if (state->there) {
        found(with, name, state->bytes);
    }
    return 0;
}

static char *map(uint64_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CW_ASSERT(base != MAP_FAILED);
    (void)madvise(base, bytes, MADV_HUGEPAGE);
    memset(base, 1, bytes);
    return base;
}

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
    state->bytes_max = state->rows * (RECORD_BYTES + 16) + (1 << 20);
    state->file = map(state->bytes_max);
    state->copy = map(state->bytes_max);
    state->disk = (struct cw_disk){
        .self = state, .submit = submit, .poll = poll_none, .wait = wait_none, .list = list};
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
    struct cw_checkpoint *checkpoint;
    struct cw_fault fault;
    struct cw_checkpoint_options options = {
        .disk = state->disk, .tables = &state->table, .table_count = 1};
    cw_err err = cw_checkpoint_open(&checkpoint, &options, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    cw_checkpoint_begin(checkpoint, 1, 0);
    enum cw_checkpoint_state is;
    do {
        is = cw_checkpoint_slice(checkpoint, SLICE_ROWS, 1, 1);
    } while (is == CW_CHECKPOINT_ROWS || is == CW_CHECKPOINT_WAITING);
    CW_ASSERT(is == CW_CHECKPOINT_DONE);
    cw_checkpoint_close(checkpoint);
    uint64_t last; /* of the foot: its hash, which follows from every byte */
    memcpy(&last, state->file + state->bytes - sizeof last, sizeof last);
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

static void read_all(struct state *state, bool (*apply)(void *with, struct cw_view records),
                     void *with)
{
    const uint8_t store[16] = {0};
    struct cw_checkpoint_found found;
    struct cw_fault fault;
    cw_err err = cw_checkpoint_read(&state->disk, store, 0, true, apply, with, &found, &fault);
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
    memcpy(state->copy, state->file, state->rows * RECORD_BYTES);
    cw_bench_use(state->copy);
    *units = state->rows;
    return 0;
}

static void teardown(void *opaque)
{
    struct state *state = opaque;
    cw_table_close(state->table);
    (void)munmap(state->file, state->bytes_max);
    (void)munmap(state->copy, state->bytes_max);
    free(state);
}

const struct cw_bench_case cw_bench_checkpoint[] = {
    {"memory.copy_184_bytes", "row", 0, NULL, setup, run_copy, teardown, RECORD_BYTES},
    {"checkpoint.write_1m", "row", 0, NULL, setup, run_write, teardown, RECORD_BYTES},
    {"checkpoint.read_1m", "row", 0, NULL, setup_written, run_read, teardown, RECORD_BYTES},
    {"checkpoint.load_1m", "row", 0, NULL, setup_written, run_load, teardown, RECORD_BYTES},
    {0},
};
