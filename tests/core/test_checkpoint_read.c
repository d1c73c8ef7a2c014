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

static struct cw_table *make_rows(uint32_t rows, uint32_t value_bytes)
{
    struct cw_table *table = open_table();
    for (uint32_t i = 0; i < rows; i++) {
        bool added;
        uint64_t hash = cw_table_hash(table, &i, sizeof i);
        cr_assert(cw_table_put(table, hash, &i, sizeof i, value_bytes + i % ROWS, &added) !=
                  CW_ROW_NONE);
    }
    return table;
}

/* Begun at `from` and each second frame up to `to`, in blocks as small as they can be. */
static void make(struct memory_disk *disk, struct cw_table **tables, uint32_t count, uint64_t from,
                 uint64_t to)
{
    struct cw_checkpoint *checkpoint;
    struct cw_checkpoint_options options = {.disk = memory_port(disk),
                                            .shard = 3,
                                            .tables = tables,
                                            .table_count = count,
                                            .block_bytes = 4096};
    memcpy(options.store, store, sizeof store);
    cr_assert(eq(int, cw_checkpoint_open(&checkpoint, &options, &fault), CW_ERR_OK));
    for (uint64_t lsn = from; lsn <= to; lsn += 2) {
        enum cw_checkpoint_state state = CW_CHECKPOINT_ROWS;
        cw_checkpoint_begin(checkpoint, lsn, 1000);
        while (state == CW_CHECKPOINT_WAITING || state == CW_CHECKPOINT_ROWS) {
            state = cw_checkpoint_slice(checkpoint, 16, lsn, lsn);
        }
        cr_assert(eq(int, state, CW_CHECKPOINT_DONE));
    }
    cw_checkpoint_close(checkpoint);
    for (uint32_t i = 0; i < count; i++) {
        cw_table_close(tables[i]);
    }
}

/* One begun at 9, one at 11; both of several blocks. */
static void make_two(struct memory_disk *disk)
{
    struct cw_table *table = make_rows(ROWS, 200);
    make(disk, &table, 1, 9, 11);
}

struct forgetful {
    uint64_t rows, times;
    bool full, cannot;
    uint64_t expected; /* UINT64_MAX: it was not told */
    struct memory_file *cut; /* as soon as there are so many rows, to so many bytes */
    uint64_t cut_at, cut_to;
};

static bool count_rows(void *with, struct cw_view records)
{
    struct forgetful *forgetful = with;
    struct cw_record record;
    while (cw_record_next(&records, &record) == CW_RECORD_READ) {
        forgetful->rows++;
    }
    if (forgetful->cut != NULL && forgetful->rows >= forgetful->cut_at) {
        forgetful->cut->bytes = forgetful->cut_to;
        forgetful->cut = NULL;
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
        const struct cw_checkpoint_apply to = {
            .apply = count_rows, .forget = forget_rows, .with = &f};
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

/* One begun at 9, one at 11, of 10 MB each: more than is asked for ahead. */
static void make_two_long(struct memory_disk *disk)
{
    struct cw_table *table = make_rows(ROWS, 300000);
    make(disk, &table, 1, 9, 11);
    cr_assert(gt(u64, memory_file(disk, "checkpoint-000000000000000b")->bytes, 9 << 20));
}

Test(checkpoint_read, whichever_read_fails_an_older_one_is_whole)
{
    struct memory_disk disk = {0};
    make_two_long(&disk);
    struct cw_disk port = memory_port(&disk);
    struct cw_checkpoint_found found = {0};
    bool newest = false;
    uint32_t reads = 0;
    for (uint64_t op = 2; !newest; op++) { /* the first opens it */
        struct forgetful f = {0};
        const struct cw_checkpoint_apply to = {
            .apply = count_rows, .forget = forget_rows, .with = &f};
        disk.fail_from = disk.fail_to = disk.ops + op;
        disk.fail_with = EIO;
        cr_assert(eq(int, cw_checkpoint_read(&port, store, 3, true, &to, &found, &fault),
                     CW_ERR_OK));
        newest = found.begin == 11; /* nothing of it is left that could have failed */
        cr_assert(f.rows == ROWS && found.refused == !newest);
        cr_assert(newest || strstr(found.why, "reading it at byte") != NULL, "%s", found.why);
        reads += !newest;
    }
    cr_assert(eq(u32, reads, 5), "two mebibytes each");
    memory_free(&disk);
}

Test(checkpoint_read, one_that_is_cut_off_while_it_is_read_is_none)
{
    struct memory_disk disk = {0};
    make_two_long(&disk);
    struct cw_disk port = memory_port(&disk);
    struct memory_file *newest = memory_file(&disk, "checkpoint-000000000000000b");
    const uint64_t bytes = newest->bytes;
    uint64_t chance = 5;
    uint32_t shorter = 0;
    for (uint32_t i = 0; i < 200; i++) {
        struct forgetful f = {.cut = newest, .cut_at = 1 + random_below(&chance, ROWS)};
        f.cut_to = random_below(&chance, (uint32_t)bytes);
        f.cut_to &= random_below(&chance, 2) == 0 ? UINT64_MAX : ~(uint64_t)(CW_DISK_BLOCK - 1);
        const struct cw_checkpoint_apply to = {
            .apply = count_rows, .forget = forget_rows, .with = &f};
        struct cw_checkpoint_found found;
        cr_assert(eq(int, cw_checkpoint_read(&port, store, 3, true, &to, &found, &fault),
                     CW_ERR_OK));
        cr_assert(eq(u64, f.rows, ROWS));
        cr_assert(found.begin == 11 || strstr(found.why, "it became shorter") != NULL, "%s",
                  found.why);
        shorter += found.begin == 9;
        newest->bytes = bytes;
    }
    cr_assert(gt(u32, shorter, 50), "the others had all been read by then");
    memory_free(&disk);
}

static void note_expected(void *with, const uint64_t *rows, uint32_t tables)
{
    struct forgetful *forgetful = with;
    cr_assert(tables == 1 && forgetful->rows == 0, "before the first");
    forgetful->expected = rows[0];
}

Test(checkpoint_read, the_rows_are_told_before_they_come)
{
    struct memory_disk disk = {0};
    make_two(&disk);
    struct memory_file *newest = memory_file(&disk, "checkpoint-000000000000000b");
    struct cw_disk port = memory_port(&disk);
    struct cw_checkpoint_found found;
    struct forgetful f = {.expected = UINT64_MAX};
    const struct cw_checkpoint_apply once = {
        .apply = count_rows, .expect = note_expected, .forget = forget_rows, .with = &f};
    cr_assert(eq(int, cw_checkpoint_read(&port, store, 3, true, &once, &found, &fault), CW_ERR_OK));
    cr_assert(f.expected == ROWS && f.rows == ROWS);
    const struct cw_checkpoint_apply twice = {
        .apply = count_rows, .expect = note_expected, .with = &f};
    f = (struct forgetful){.expected = UINT64_MAX};
    cr_assert(
        eq(int, cw_checkpoint_read(&port, store, 3, true, &twice, &found, &fault), CW_ERR_OK));
    cr_assert(f.expected == ROWS && f.rows == ROWS);
    /* Whatever becomes of the end: what it says is a hint, and the older file serves. */
    for (uint64_t at = newest->bytes - 4096; at < newest->bytes; at += 61) {
        newest->now[at] ^= 1;
        f = (struct forgetful){.expected = UINT64_MAX};
        cr_assert(
            eq(int, cw_checkpoint_read(&port, store, 3, true, &twice, &found, &fault), CW_ERR_OK));
        cr_assert(found.begin == 9 && f.expected == ROWS && f.rows == ROWS);
        newest->now[at] ^= 1;
    }
    /* The read of the end may fail alone: the rest of the file is read as ever. */
    disk.fail_from = disk.fail_to = disk.ops + 2; /* after it was opened */
    disk.fail_with = EIO;
    f = (struct forgetful){.expected = UINT64_MAX};
    cr_assert(eq(int, cw_checkpoint_read(&port, store, 3, true, &once, &found, &fault), CW_ERR_OK));
    cr_assert(found.begin == 11 && f.expected == UINT64_MAX && f.rows == ROWS);
    memory_free(&disk);
}

enum {
    MANY = 2000,
    QUARTERS = 4
};

struct parts {
    uint64_t rows[2];
    uint64_t long_then[QUARTERS]; /* of the first table, after each quarter of the second's */
};

static bool count_parts(void *with, struct cw_view records)
{
    struct parts *parts = with;
    struct cw_record record;
    while (cw_record_next(&records, &record) == CW_RECORD_READ) {
        parts->rows[record.table]++;
        if (record.table == 1 && parts->rows[1] % (MANY / QUARTERS) == 0) {
            parts->long_then[parts->rows[1] / (MANY / QUARTERS) - 1] = parts->rows[0];
        }
    }
    return true;
}

Test(checkpoint_read, each_stretch_has_rows_of_all_tables)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[] = {make_rows(MANY, 500), make_rows(MANY, 20)};
    make(&disk, tables, 2, 1, 1);
    struct parts parts = {{0}, {0}};
    struct cw_disk port = memory_port(&disk);
    struct cw_checkpoint_found found;
    const struct cw_checkpoint_apply to = {.apply = count_parts, .with = &parts};
    cr_assert(eq(int, cw_checkpoint_read(&port, store, 3, true, &to, &found, &fault), CW_ERR_OK));
    cr_assert(parts.rows[0] == MANY && parts.rows[1] == MANY);
    for (uint64_t i = 0; i < QUARTERS; i++) {
        uint64_t even = (i + 1) * (MANY / QUARTERS);
        cr_assert(parts.long_then[i] > even - 200 && parts.long_then[i] < even + 200,
                  "%llu long rows when there are %llu short ones",
                  (unsigned long long)parts.long_then[i], (unsigned long long)even);
    }
    memory_free(&disk);
}
