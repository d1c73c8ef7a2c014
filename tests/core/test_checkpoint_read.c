/* Reading by who can take back what was applied; all else about reading is in test_checkpoint.c. */
#include "core/checkpoint.h"
#include "tests/core/checkpoint_table.h"
#include "tests/core/memory_disk.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>

enum {
    ROWS = 33
};

static struct cw_table *make_rows(void)
{
    struct cw_table *table = open_table();
    for (uint32_t i = 0; i < ROWS; i++) {
        bool added;
        uint64_t hash = cw_table_hash(table, &i, sizeof i);
        cr_assert(cw_table_put(table, hash, &i, sizeof i, 200 + i, &added) != CW_ROW_NONE);
    }
    return table;
}

/* One begun at 9, one at 11; both of several blocks. */
static void make_two(struct memory_disk *disk)
{
    struct cw_table *table = make_rows();
    struct cw_checkpoint *checkpoint;
    struct cw_checkpoint_options options = {.disk = memory_port(disk),
                                            .shard = 3,
                                            .tables = &table,
                                            .table_count = 1,
                                            .block_bytes = 4096};
    memcpy(options.store, store, sizeof store);
    cr_assert(eq(int, cw_checkpoint_open(&checkpoint, &options, &fault), CW_ERR_OK));
    for (uint64_t lsn = 9; lsn <= 11; lsn += 2) {
        enum cw_checkpoint_state state = CW_CHECKPOINT_ROWS;
        cw_checkpoint_begin(checkpoint, lsn, 1000);
        while (state == CW_CHECKPOINT_WAITING || state == CW_CHECKPOINT_ROWS) {
            state = cw_checkpoint_slice(checkpoint, 16, lsn, lsn);
        }
        cr_assert(eq(int, state, CW_CHECKPOINT_DONE));
    }
    cw_checkpoint_close(checkpoint);
    cw_table_close(table);
}

struct forgetful {
    uint64_t rows, times;
    bool full, cannot;
};

static bool count_rows(void *with, struct cw_view records)
{
    struct forgetful *forgetful = with;
    struct cw_record record;
    while (cw_record_next(&records, &record) == CW_RECORD_READ) {
        forgetful->rows++;
    }
    return !forgetful->full;
}

static bool forget_rows(void *with)
{
    struct forgetful *forgetful = with;
    forgetful->rows = 0;
    forgetful->times++;
    return !forgetful->cannot;
}

Test(checkpoint_read, read_once_a_bad_one_is_forgotten_before_an_older_one_is_tried)
{
    struct memory_disk disk = {0};
    make_two(&disk);
    struct memory_file *newest = memory_file(&disk, "checkpoint-000000000000000b");
    struct memory_file *older = memory_file(&disk, "checkpoint-0000000000000009");
    cr_assert(newest != NULL && older != NULL);
    struct cw_disk port = memory_port(&disk);
    struct cw_checkpoint_found found;
    for (uint64_t at = 0; at < newest->bytes; at += 509) {
        newest->now[at] ^= 1;
        struct forgetful f = {0};
        const struct cw_checkpoint_apply to = {count_rows, forget_rows, &f};
        cw_err err = cw_checkpoint_read(&port, store, 3, true, &to, &found, &fault);
        cr_assert(eq(int, err, CW_ERR_OK));
        cr_assert(found.begin == 9 && found.refused == 1 && f.rows == ROWS);
        /* Only where a block was applied before the bad byte is there anything to forget. */
        cr_assert(f.times == (at >= 2 * 4096 ? 1u : 0u), "byte %llu", (unsigned long long)at);
        /* A refusal counts only if the file is whole. */
        f = (struct forgetful){.full = true};
        err = cw_checkpoint_read(&port, store, 3, true, &to, &found, &fault);
        cr_assert(eq(int, err, CW_ERR_LIMIT));
        cr_assert(found.refused == 1);
        f = (struct forgetful){.cannot = true};
        err = cw_checkpoint_read(&port, store, 3, true, &to, &found, &fault);
        cr_assert(eq(int, err, at >= 2 * 4096 ? CW_ERR_IO : CW_ERR_OK));
        older->now[4096 + 100] ^= 1; /* none is whole: nothing stays */
        f = (struct forgetful){0};
        err = cw_checkpoint_read(&port, store, 3, true, &to, &found, &fault);
        cr_assert(eq(int, err, CW_ERR_CORRUPT));
        cr_assert(f.rows == 0 && found.refused == 2);
        older->now[4096 + 100] ^= 1;
        newest->now[at] ^= 1;
    }
    memory_free(&disk);
}
