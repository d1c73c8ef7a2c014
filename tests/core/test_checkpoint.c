#include "core/checkpoint.h"
#include "core/checkpoint_priv.h"
#include "tests/core/checkpoint_table.h"
#include "tests/core/memory_disk.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>

enum {
    TABLES = 4, /* the second is none, the last is empty */
    KEYS = 400,
    FRAMES_MAX = 4096
};

static void open_tables(struct cw_table *tables[TABLES])
{
    for (int i = 0; i < TABLES; i++) {
        tables[i] = i == 1 ? NULL : open_table();
    }
}

static void close_tables(struct cw_table *tables[TABLES])
{
    for (int i = 0; i < TABLES; i++) {
        if (tables[i] != NULL) {
            cw_table_close(tables[i]);
        }
    }
}

static void set(struct cw_table *table, struct cw_view key, struct cw_view value)
{
    bool added;
    uint64_t hash = cw_table_hash(table, key.data, key.bytes);
    cw_row row = cw_table_put(table, hash, key.data, key.bytes, value.bytes, &added);
    cr_assert(row != CW_ROW_NONE);
    if (!added) {
        row = cw_table_resize(table, row, value.bytes);
        cr_assert(row != CW_ROW_NONE);
    }
    if (value.bytes > 0) {
        memcpy(cw_table_edit(table, row), value.data, value.bytes);
    }
}

static void unset(struct cw_table *table, struct cw_view key)
{
    uint64_t hash = cw_table_hash(table, key.data, key.bytes);
    cw_row row = cw_table_find(table, hash, key.data, key.bytes);
    if (row != CW_ROW_NONE) {
        cw_table_remove(table, row);
    }
}

static bool apply(void *with, struct cw_view records)
{
    struct cw_table **tables = with;
    struct cw_record record;
    enum cw_record_read read;
    while ((read = cw_record_next(&records, &record)) == CW_RECORD_READ) {
        if (record.table >= TABLES || tables[record.table] == NULL) {
            return false;
        }
        if (record.kind == CW_RECORD_PUT) {
            set(tables[record.table], record.key, record.value);
        } else {
            unset(tables[record.table], record.key);
        }
    }
    return read == CW_RECORD_END;
}

static bool same(struct cw_table *const a[TABLES], struct cw_table *const b[TABLES])
{
    for (int i = 0; i < TABLES; i++) {
        if (a[i] == NULL) {
            continue;
        }
        if (cw_table_count(a[i]) != cw_table_count(b[i])) {
            return false;
        }
        uint64_t cursor = 0;
        cw_row row;
        while ((row = cw_table_next(a[i], &cursor)) != CW_ROW_NONE) {
            struct cw_view key = cw_table_key(a[i], row);
            cw_row other =
                cw_table_find(b[i], cw_table_hash(b[i], key.data, key.bytes), key.data, key.bytes);
            uint32_t bytes = cw_table_value_bytes(a[i], row);
            if (other == CW_ROW_NONE || cw_table_value_bytes(b[i], other) != bytes ||
                memcmp(cw_table_value(a[i], row), cw_table_value(b[i], other), bytes) != 0) {
                return false;
            }
        }
    }
    return true;
}

static struct cw_checkpoint *open_checkpoint(struct memory_disk *disk,
                                             struct cw_table *const *tables,
                                             const struct cw_checkpoint_found *found)
{
    struct cw_checkpoint *checkpoint;
    struct cw_checkpoint_options options = {.disk = memory_port(disk),
                                            .shard = 3,
                                            .tables = tables,
                                            .table_count = TABLES,
                                            .block_bytes = 4096,
                                            .found = found};
    memcpy(options.store, store, sizeof store);
    cr_assert(eq(int, cw_checkpoint_open(&checkpoint, &options, &fault), CW_ERR_OK));
    return checkpoint;
}

static enum cw_checkpoint_state finish(struct cw_checkpoint *checkpoint, uint64_t lsn)
{
    enum cw_checkpoint_state state = CW_CHECKPOINT_WAITING;
    for (int i = 0; i < 100000 && (state == CW_CHECKPOINT_WAITING || state == CW_CHECKPOINT_ROWS);
         i++) {
        state = cw_checkpoint_slice(checkpoint, 16, lsn, lsn);
    }
    return state;
}

static enum cw_checkpoint_state make(struct cw_checkpoint *checkpoint, uint64_t lsn)
{
    cw_checkpoint_begin(checkpoint, lsn, (int64_t)lsn * 1000);
    return finish(checkpoint, lsn);
}

static cw_err read_into(struct memory_disk *disk, struct cw_table **tables,
                        struct cw_checkpoint_found *found)
{
    struct cw_disk port = memory_port(disk);
    const struct cw_checkpoint_apply to = {.apply = apply, .with = tables};
    return cw_checkpoint_read(&port, store, 3, false, &to, found, &fault);
}

/* Reads it into fresh tables and compares. */
static cw_err read_same(struct memory_disk *disk, struct cw_table *const *tables,
                        struct cw_checkpoint_found *found, bool *equal)
{
    struct cw_table *fresh[TABLES];
    open_tables(fresh);
    cw_err err = read_into(disk, fresh, found);
    *equal = same(fresh, tables) && same(tables, fresh);
    close_tables(fresh);
    return err;
}

static char *big;

static void fill_table(struct cw_table *table, uint32_t rows, uint32_t value_bytes, char mark)
{
    big = big != NULL ? big : malloc(CW_TABLE_VALUE_MAX);
    memset(big, mark, value_bytes);
    for (uint32_t i = 0; i < rows; i++) {
        char key[16];
        int bytes = snprintf(key, sizeof key, "%c%u", mark, i);
        set(table, (struct cw_view){key, (uint32_t)bytes}, (struct cw_view){big, value_bytes});
    }
}

Test(checkpoint, nothing_there_is_no_failure)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    open_tables(tables);
    struct cw_checkpoint_found found;
    cr_assert(eq(int, read_into(&disk, tables, &found), CW_ERR_OK));
    cr_assert(not(found.any));
    close_tables(tables);
}

Test(checkpoint, empty_tables)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    open_tables(tables);
    struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
    cr_assert(eq(int, make(checkpoint, 0), CW_CHECKPOINT_DONE));
    cr_assert(eq(int, finish(checkpoint, 0), CW_CHECKPOINT_IDLE));
    cr_assert(eq(u64, cw_checkpoint_oldest(checkpoint), 0));
    cw_checkpoint_close(checkpoint);
    struct cw_checkpoint_found found;
    bool equal;
    cr_assert(eq(int, read_same(&disk, tables, &found, &equal), CW_ERR_OK));
    cr_assert(found.any && equal && found.rows == 0 && found.bytes == 8192);
    cr_assert(eq(str, found.name, "checkpoint-0000000000000000"));
    close_tables(tables);
    memory_free(&disk);
}

Test(checkpoint, rows_of_all_sizes)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    open_tables(tables);
    const uint32_t sizes[] = {0,    1,     7,     8,     9,       100,        4000,
                              4031, 4032,  4040,  4050,  4096,    9000,       300000,
                              100,  1 << 20, 16, CW_TABLE_VALUE_MAX - 1, CW_TABLE_VALUE_MAX, 5};
    for (uint32_t i = 0; i < CW_COUNTOF(sizes); i++) {
        fill_table(tables[i % 2 * 2], 3, sizes[i], (char)('a' + i));
    }
    char key[CW_TABLE_KEY_BYTES_MAX];
    memset(key, 'k', sizeof key);
    set(tables[0], (struct cw_view){key, sizeof key}, (struct cw_view){big, CW_TABLE_VALUE_MAX});
    struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
    cr_assert(eq(int, make(checkpoint, 77), CW_CHECKPOINT_DONE));
    struct cw_checkpoint_stats stats;
    cw_checkpoint_stats(checkpoint, &stats);
    cr_assert(stats.rows == CW_COUNTOF(sizes) * 3 + 1 && stats.made == 1 && stats.failed == 0);
    cw_checkpoint_close(checkpoint);
    struct cw_checkpoint_found found;
    bool equal;
    cr_assert(eq(int, read_same(&disk, tables, &found, &equal), CW_ERR_OK), "%s", fault.text);
    cr_assert(found.any && equal && found.rows == stats.rows && found.bytes == stats.bytes);
    cr_assert(found.begin == 77 && found.end == 77 && found.logical_ms == 77000);
    cr_assert(disk.most <= 4);
    close_tables(tables);
    memory_free(&disk);
}

/* ---- the fuzzy rule ---- */

struct history {
    char *frames[FRAMES_MAX];
    uint32_t bytes[FRAMES_MAX];
    uint64_t last, durable;
    bool touched[TABLES][KEYS]; /* since the last frame */
    bool any;
    uint64_t random;
};

static uint32_t key_of(uint32_t number, char key[64])
{
    return (uint32_t)snprintf(key, 64, "%u%.*s", number, (int)(number % 40),
                              "........................................");
}

static void change(struct history *h, struct cw_table **tables)
{
    uint32_t t = random_below(&h->random, 2) * 2;
    uint32_t number = random_below(&h->random, KEYS);
    char key[64];
    uint32_t key_bytes = key_of(number, key);
    uint64_t hash = cw_table_hash(tables[t], key, key_bytes);
    cw_row row = cw_table_find(tables[t], hash, key, key_bytes);
    uint32_t kind = random_below(&h->random, 8);
    if (kind == 0 && row != CW_ROW_NONE) {
        cw_table_remove(tables[t], row);
    } else if (kind < 3 && row != CW_ROW_NONE) {
        if (cw_table_value_bytes(tables[t], row) > 0) {
            memset(cw_table_edit(tables[t], row), (int)number, 1);
        }
    } else {
        uint32_t size = random_below(&h->random, 100);
        size = size == 0   ? random_below(&h->random, 200000)
               : size < 10 ? random_below(&h->random, 9000)
                           : random_below(&h->random, 300);
        memset(big, (int)random_next(&h->random), size);
        set(tables[t], (struct cw_view){key, key_bytes}, (struct cw_view){big, size});
    }
    h->touched[t][number] = true;
    h->any = true;
}

/* As the journal: removals first, then images. */
static void commit(struct history *h, struct cw_table **tables)
{
    cr_assert(h->last + 1 < FRAMES_MAX);
    char *frame = NULL;
    uint32_t bytes = 0;
    for (int put = 0; put < 2; put++) {
        for (uint32_t i = 0; i < TABLES * KEYS; i++) {
            uint32_t t = i / KEYS;
            if (!h->touched[t][i % KEYS]) {
                continue;
            }
            char key[64];
            struct cw_record record = {.table = (uint8_t)t,
                                       .key = {key, key_of(i % KEYS, key)},
                                       .kind = put == 1 ? CW_RECORD_PUT : CW_RECORD_REMOVE};
            cw_row row = cw_table_find(tables[t], cw_table_hash(tables[t], key, record.key.bytes),
                                       key, record.key.bytes);
            if ((row != CW_ROW_NONE) != (put == 1)) {
                continue;
            }
            if (put == 1) {
                record.value = (struct cw_view){cw_table_value(tables[t], row),
                                                cw_table_value_bytes(tables[t], row)};
            }
            uint32_t more = (uint32_t)cw_record_bytes(record.key.bytes, record.value.bytes);
            frame = realloc(frame, bytes + more);
            (void)cw_record_write(frame + bytes, &record);
            bytes += more;
        }
    }
    h->last++;
    h->frames[h->last] = frame;
    h->bytes[h->last] = bytes;
    memset(h->touched, 0, sizeof h->touched);
    h->any = false;
}

static void redo(const struct history *h, struct cw_table **tables, uint64_t after, uint64_t to)
{
    for (uint64_t lsn = after + 1; lsn <= to; lsn++) {
        cr_assert(apply(tables, (struct cw_view){h->frames[lsn], h->bytes[lsn]}));
    }
}

/* One turn of an engine: some changes, perhaps a frame, perhaps a durable one, a slice. */
static enum cw_checkpoint_state turn(struct history *h, struct cw_table **tables,
                                     struct cw_checkpoint *checkpoint)
{
    for (uint32_t i = random_below(&h->random, 12); i > 0; i--) {
        change(h, tables);
    }
    if (h->any && random_below(&h->random, 4) == 0) {
        commit(h, tables);
    }
    h->durable += random_below(&h->random, (uint32_t)(h->last - h->durable) + 1);
    return cw_checkpoint_slice(checkpoint, 1 + random_below(&h->random, 20),
                               h->last + (h->any ? 1 : 0), h->durable);
}

static void check_history(const struct history *h, struct memory_disk *disk,
                          struct cw_table **tables)
{
    struct cw_table *redone[TABLES];
    struct cw_table *whole[TABLES];
    open_tables(redone);
    open_tables(whole);
    struct cw_checkpoint_found found;
    cr_assert(eq(int, read_into(disk, redone, &found), CW_ERR_OK), "%s", fault.text);
    cr_assert(found.any && found.refused == 0 && found.end <= h->durable);
    redo(h, redone, found.begin, found.end);
    redo(h, whole, 0, found.end);
    cr_assert(same(redone, whole), "as of the frame `end`");
    redo(h, redone, found.end, h->last);
    cr_assert(same(redone, tables), "as of the last frame");
    close_tables(redone);
    close_tables(whole);
}

Test(checkpoint, with_the_frames_from_begin_to_end_it_is_the_state)
{
    big = malloc(CW_TABLE_VALUE_MAX);
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct memory_disk disk = {0};
        struct history *h = calloc(1, sizeof *h);
        h->random = seed;
        struct cw_table *tables[TABLES];
        open_tables(tables);
        struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
        for (int i = 0; i < 300; i++) {
            change(h, tables);
        }
        for (int made = 0; made < 3; made++) {
            cw_checkpoint_begin(checkpoint, h->last, (int64_t)h->last);
            enum cw_checkpoint_state state;
            do {
                state = turn(h, tables, checkpoint);
            } while (state == CW_CHECKPOINT_ROWS || state == CW_CHECKPOINT_WAITING);
            cr_assert(eq(int, state, CW_CHECKPOINT_DONE));
            for (uint32_t i = random_below(&h->random, 5); i > 0; i--) {
                cr_assert(eq(int, turn(h, tables, checkpoint), CW_CHECKPOINT_IDLE));
            }
            commit(h, tables);
            check_history(h, &disk, tables);
        }
        cw_checkpoint_close(checkpoint);
        close_tables(tables);
        for (uint64_t lsn = 1; lsn <= h->last; lsn++) {
            free(h->frames[lsn]);
        }
        free(h);
        memory_free(&disk);
    }
}

Test(checkpoint, a_slice_steps_over_few_places_of_removed_rows)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    open_tables(tables);
    fill_table(tables[0], 9000, 100, 'a');
    for (uint32_t i = 1; i < 9000; i++) {
        char key[16];
        int bytes = snprintf(key, sizeof key, "a%u", i);
        unset(tables[0], (struct cw_view){key, (uint32_t)bytes});
    }
    struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
    cw_checkpoint_begin(checkpoint, 5, 0);
    int slices = 0;
    enum cw_checkpoint_state state;
    do {
        state = cw_checkpoint_slice(checkpoint, 10, 5, 5);
        slices += state == CW_CHECKPOINT_ROWS;
    } while (state == CW_CHECKPOINT_ROWS || state == CW_CHECKPOINT_WAITING);
    cr_assert(eq(int, state, CW_CHECKPOINT_DONE));
    cr_assert(slices > 9000 / 10 / 8 - 2 && slices < 9000 / 10 / 8 + 10);
    cw_checkpoint_close(checkpoint);
    struct cw_checkpoint_found found;
    bool equal;
    cr_assert(eq(int, read_same(&disk, tables, &found, &equal), CW_ERR_OK));
    cr_assert(equal && found.rows == 1);
    close_tables(tables);
    memory_free(&disk);
}

Test(checkpoint, ends_though_tables_grow_faster_than_it_visits_rows)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    open_tables(tables);
    fill_table(tables[0], 500, 100, 'a');
    fill_table(tables[2], 500, 100, 'b');
    struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
    cw_checkpoint_begin(checkpoint, 5, 0);
    enum cw_checkpoint_state state = CW_CHECKPOINT_ROWS;
    uint32_t put = 0;
    while ((state == CW_CHECKPOINT_ROWS || state == CW_CHECKPOINT_WAITING) && put < 9000) {
        for (uint32_t i = 0; i < 32; i++, put++) {
            char key[16];
            int bytes = snprintf(key, sizeof key, "later%u", put);
            set(tables[put % 2 * 2], (struct cw_view){key, (uint32_t)bytes},
                (struct cw_view){big, 100});
        }
        state = cw_checkpoint_slice(checkpoint, 16, 6, 6);
    }
    cr_assert(eq(int, state, CW_CHECKPOINT_DONE));
    struct cw_checkpoint_stats stats;
    cw_checkpoint_stats(checkpoint, &stats);
    cr_assert(eq(u64, stats.rows, 1000), "those that were there when it began");
    cw_checkpoint_close(checkpoint);
    close_tables(tables);
    memory_free(&disk);
}

Test(checkpoint, waits_for_the_frames_that_its_rows_may_be_of)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    open_tables(tables);
    fill_table(tables[0], 10, 100, 'a');
    struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
    cw_checkpoint_begin(checkpoint, 5, 0);
    for (int i = 0; i < 1000; i++) {
        enum cw_checkpoint_state state = cw_checkpoint_slice(checkpoint, 1, 7, 6);
        cr_assert(state == CW_CHECKPOINT_ROWS || state == CW_CHECKPOINT_WAITING);
    }
    cr_assert(eq(u64, memory_file(&disk, "checkpoint-0000000000000005.new")->bytes, 8192),
              "a head and a block, no foot");
    cr_assert(eq(int, finish(checkpoint, 7), CW_CHECKPOINT_DONE));
    cw_checkpoint_close(checkpoint);
    close_tables(tables);
    memory_free(&disk);
}

/* ---- damage ---- */

static struct memory_file *small_file(struct memory_disk *disk, struct cw_table **tables)
{
    open_tables(tables);
    fill_table(tables[0], 30, 100, 'a');
    fill_table(tables[2], 3, 2500, 'b');
    struct cw_checkpoint *checkpoint = open_checkpoint(disk, tables, NULL);
    cr_assert(eq(int, make(checkpoint, 9), CW_CHECKPOINT_DONE));
    cw_checkpoint_close(checkpoint);
    return memory_file(disk, "checkpoint-0000000000000009");
}

Test(checkpoint, every_byte_counts)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    struct memory_file *file = small_file(&disk, tables);
    struct cw_disk port = memory_port(&disk);
    struct cw_table *none[TABLES];
    open_tables(none);
    const struct cw_checkpoint_apply to = {.apply = apply, .with = none};
    for (uint64_t at = 0; at < file->bytes; at++) {
        file->now[at] ^= (char)(1 << at % 8);
        struct cw_checkpoint_found found;
        cw_err err = cw_checkpoint_read(&port, store, 3, true, &to, &found, &fault);
        cr_assert(eq(int, err, CW_ERR_CORRUPT), "byte %llu", (unsigned long long)at);
        cr_assert(found.refused == 1 && !found.any && found.why[0] != '\0');
        file->now[at] ^= (char)(1 << at % 8);
    }
    for (int i = 0; i < TABLES; i++) {
        cr_assert(none[i] == NULL || cw_table_count(none[i]) == 0, "nothing was applied");
    }
    close_tables(none);
    close_tables(tables);
    memory_free(&disk);
}

Test(checkpoint, truncated_anywhere_it_is_refused)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    struct memory_file *file = small_file(&disk, tables);
    uint64_t bytes = file->bytes;
    struct cw_checkpoint_found found;
    bool equal;
    for (file->bytes = 0; file->bytes < bytes; file->bytes += 512) {
        cr_assert(eq(int, read_same(&disk, tables, &found, &equal), CW_ERR_CORRUPT));
    }
    memory_size(file, bytes + 4096);
    cr_assert(eq(int, read_same(&disk, tables, &found, &equal), CW_ERR_CORRUPT));
    file->bytes = bytes;
    cr_assert(eq(int, read_same(&disk, tables, &found, &equal), CW_ERR_OK));
    cr_assert(equal);
    close_tables(tables);
    memory_free(&disk);
}

Test(checkpoint, blocks_in_another_order_are_refused)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    struct memory_file *file = small_file(&disk, tables);
    char block[4096];
    memcpy(block, file->now + 4096, 4096);
    memcpy(file->now + 4096, file->now + 8192, 4096);
    memcpy(file->now + 8192, block, 4096);
    struct cw_checkpoint_found found;
    bool equal;
    cr_assert(eq(int, read_same(&disk, tables, &found, &equal), CW_ERR_CORRUPT));
    close_tables(tables);
    memory_free(&disk);
}

Test(checkpoint, of_another_state_or_format_nothing_older_is_tried)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    struct memory_file *file = small_file(&disk, tables);
    struct cw_disk port = memory_port(&disk);
    struct cw_checkpoint_found found;
    const struct cw_checkpoint_apply to = {.apply = apply, .with = tables};
    uint8_t other[16] = {1};
    cr_assert(eq(int, cw_checkpoint_read(&port, other, 3, true, &to, &found, &fault),
                 CW_ERR_UNSUPPORTED));
    cr_assert(eq(int, cw_checkpoint_read(&port, store, 4, true, &to, &found, &fault),
                 CW_ERR_UNSUPPORTED));
    struct cw_checkpoint_head *head = (struct cw_checkpoint_head *)(void *)file->now;
    head->major++;
    head->hash = cw_checkpoint_head_hash(head);
    cr_assert(eq(int, cw_checkpoint_read(&port, store, 3, true, &to, &found, &fault),
                 CW_ERR_UNSUPPORTED));
    cr_assert(found.refused == 0);
    close_tables(tables);
    memory_free(&disk);
}

Test(checkpoint, tables_without_room_are_no_damage)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    (void)small_file(&disk, tables);
    struct cw_table *none[TABLES] = {0};
    struct cw_checkpoint_found found;
    cr_assert(eq(int, read_into(&disk, none, &found), CW_ERR_LIMIT));
    close_tables(tables);
    memory_free(&disk);
}

/* ---- generations ---- */

Test(checkpoint, two_generations_stay_and_the_older_serves_when_the_newer_is_damaged)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    open_tables(tables);
    struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
    for (uint64_t lsn = 10; lsn <= 50; lsn += 10) {
        fill_table(tables[0], (uint32_t)lsn, 100, 'a');
        cr_assert(eq(int, make(checkpoint, lsn), CW_CHECKPOINT_DONE));
        cr_assert(eq(u64, cw_checkpoint_oldest(checkpoint), lsn > 10 ? lsn - 10 : 0));
    }
    cw_checkpoint_close(checkpoint);
    cr_assert(memory_file(&disk, "checkpoint-000000000000001e") == NULL);
    struct memory_file *newest = memory_file(&disk, "checkpoint-0000000000000032");
    cr_assert(newest != NULL && memory_file(&disk, "checkpoint-0000000000000028") != NULL);
    struct cw_checkpoint_found found;
    bool equal;
    cr_assert(eq(int, read_same(&disk, tables, &found, &equal), CW_ERR_OK));
    cr_assert(found.begin == 50 && equal && found.refused == 0);
    newest->now[5000] ^= 1;
    cr_assert(eq(int, read_same(&disk, tables, &found, &equal), CW_ERR_OK));
    cr_assert(found.begin == 40 && found.rows == 40 && found.refused == 1 && !equal);
    /* The damaged one does not count, and goes when the next one does. */
    checkpoint = open_checkpoint(&disk, tables, &found);
    cr_assert(eq(u64, cw_checkpoint_oldest(checkpoint), 0));
    cr_assert(eq(int, make(checkpoint, 60), CW_CHECKPOINT_DONE));
    cr_assert(eq(u64, cw_checkpoint_oldest(checkpoint), 40));
    cr_assert(memory_file(&disk, "checkpoint-0000000000000032") == NULL);
    cw_checkpoint_close(checkpoint);
    close_tables(tables);
    memory_free(&disk);
}

Test(checkpoint, again_at_the_same_frame_is_one_generation)
{
    struct memory_disk disk = {0};
    struct cw_table *tables[TABLES];
    open_tables(tables);
    struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
    cr_assert(eq(int, make(checkpoint, 10), CW_CHECKPOINT_DONE));
    fill_table(tables[0], 5, 100, 'a');
    cr_assert(eq(int, make(checkpoint, 10), CW_CHECKPOINT_DONE));
    cr_assert(eq(u64, cw_checkpoint_oldest(checkpoint), 0));
    cr_assert(eq(int, make(checkpoint, 11), CW_CHECKPOINT_DONE));
    cr_assert(eq(u64, cw_checkpoint_oldest(checkpoint), 10));
    cw_checkpoint_close(checkpoint);
    close_tables(tables);
    memory_free(&disk);
}

Test(checkpoint, given_up_it_leaves_nothing)
{
    struct cw_table *tables[TABLES];
    open_tables(tables);
    fill_table(tables[0], 100, 1000, 'a');
    for (int slices = 0; slices < 80; slices++) {
        struct memory_disk disk = {0};
        struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
        cw_checkpoint_begin(checkpoint, 8, 0);
        bool done = false;
        for (int i = 0; i < slices; i++) {
            done |= cw_checkpoint_slice(checkpoint, 4, 8, 8) == CW_CHECKPOINT_DONE;
        }
        cw_checkpoint_close(checkpoint);
        cr_assert(memory_file(&disk, "checkpoint-0000000000000008.new") == NULL);
        bool there = memory_file(&disk, "checkpoint-0000000000000008") != NULL;
        cr_assert(there || !done);
        cr_assert(disk.waiting == 0);
        memory_free(&disk);
    }
    close_tables(tables);
}

/* ---- faults ---- */

/* One that is there, then one whose k-th operation fails, once or from there on; then one more. */
static bool fail_one(uint64_t k, int error, bool on, struct cw_table **tables)
{
    struct memory_disk disk = {0};
    struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
    cr_assert(eq(int, make(checkpoint, 1), CW_CHECKPOINT_DONE));
    cr_assert(eq(int, make(checkpoint, 2), CW_CHECKPOINT_DONE));
    disk.fail_from = disk.ops + k;
    disk.fail_to = on ? UINT64_MAX : disk.fail_from;
    disk.fail_with = error;
    uint64_t before = disk.ops;
    enum cw_checkpoint_state state = make(checkpoint, 3);
    bool reached = disk.ops - before >= k;
    bool failed = state == CW_CHECKPOINT_FAILED;
    cr_assert(failed || state == CW_CHECKPOINT_DONE);
    cr_assert(eq(u64, cw_checkpoint_oldest(checkpoint), failed ? 1 : 2));
    cr_assert(failed == (cw_checkpoint_fault(checkpoint) != NULL));
    disk.fail_with = 0;
    struct cw_checkpoint_found found;
    bool equal;
    cr_assert(eq(int, read_same(&disk, tables, &found, &equal), CW_ERR_OK));
    cr_assert(equal && found.refused == 0 && found.begin >= (failed ? 2 : 3));
    cr_assert(eq(int, make(checkpoint, 4), CW_CHECKPOINT_DONE));
    cw_checkpoint_close(checkpoint);
    cr_assert(eq(int, read_same(&disk, tables, &found, &equal), CW_ERR_OK));
    cr_assert(equal && found.begin == 4);
    int left = 0;
    for (int i = 0; i < disk.name_count; i++) {
        left += disk.names[i].now >= 0;
    }
    cr_assert(eq(int, left, 2), "what failed is gone by then");
    memory_free(&disk);
    return reached;
}

Test(checkpoint, any_operation_may_fail)
{
    struct cw_table *tables[TABLES];
    open_tables(tables);
    fill_table(tables[0], 20, 1000, 'a');
    for (int on = 0; on < 2; on++) {
        const int errors[] = {ENOSPC, EIO};
        for (int e = 0; e < 2; e++) {
            uint64_t k = 1;
            while (fail_one(k, errors[e], on == 1, tables)) {
                k++;
            }
            cr_assert(k > 15);
        }
    }
    close_tables(tables);
}

/* Nobody knows whether a checkpoint that cannot be read is damaged: another is read, or none. */
Test(checkpoint, a_read_that_fails_is_no_damage)
{
    struct cw_table *tables[TABLES];
    open_tables(tables);
    fill_table(tables[0], 20, 1000, 'a');
    struct memory_disk disk = {.fail_with = 0};
    struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
    cr_assert(eq(int, make(checkpoint, 1), CW_CHECKPOINT_DONE));
    cw_checkpoint_close(checkpoint);
    int refused = 0;
    bool reached = true;
    for (uint64_t k = 1; reached; k++) {
        struct cw_checkpoint_found found;
        bool equal;
        disk.fail_from = disk.fail_to = disk.ops + k;
        disk.fail_with = EIO;
        cw_err err = read_same(&disk, tables, &found, &equal);
        reached = disk.ops >= disk.fail_from;
        cr_assert(err == CW_ERR_IO || (err == CW_ERR_OK && equal));
        refused += err == CW_ERR_IO;
        disk.fail_with = 0;
        cr_assert(eq(int, read_same(&disk, tables, &found, &equal), CW_ERR_OK));
        cr_assert(equal, "and the next start reads it");
    }
    cr_assert(refused >= 3); /* opening it, and reading it twice */
    memory_free(&disk);
    close_tables(tables);
}

Test(checkpoint, a_flush_that_failed_is_told_apart)
{
    struct cw_table *tables[TABLES];
    open_tables(tables);
    fill_table(tables[0], 2, 100, 'a');
    int flushes = 0;
    for (uint64_t k = 1; k <= 9; k++) { /* clear create head block foot flush close rename names */
        struct memory_disk disk = {.fail_from = k, .fail_to = k, .fail_with = EIO};
        struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
        (void)make(checkpoint, 1);
        cr_assert(eq(int, cw_checkpoint_flush_failed(checkpoint), k == 6 || k == 9));
        flushes += cw_checkpoint_flush_failed(checkpoint);
        cw_checkpoint_close(checkpoint);
        memory_free(&disk);
    }
    cr_assert(eq(int, flushes, 2));
    close_tables(tables);
}

/* ---- loss of power ---- */

Test(checkpoint, after_a_crash_at_any_operation_one_is_whole)
{
    struct cw_table *tables[TABLES];
    open_tables(tables);
    fill_table(tables[0], 20, 1000, 'a');
    bool through = false;
    for (uint64_t k = 0; !through; k++) {
        for (uint64_t seed = 0; seed < 30; seed++) {
            struct memory_disk disk = {0};
            uint64_t random = seed;
            /* Never closed: its operations are lost with the power. */
            struct cw_checkpoint *checkpoint = open_checkpoint(&disk, tables, NULL);
            cr_assert(eq(int, make(checkpoint, 1), CW_CHECKPOINT_DONE));
            cr_assert(eq(int, make(checkpoint, 2), CW_CHECKPOINT_DONE));
            cw_checkpoint_begin(checkpoint, 3, 0);
            uint64_t until = disk.ops + k;
            enum cw_checkpoint_state state = CW_CHECKPOINT_WAITING;
            while (disk.ops < until && state != CW_CHECKPOINT_DONE) {
                state = cw_checkpoint_slice(checkpoint, 3, 3, 3);
            }
            through = state == CW_CHECKPOINT_DONE;
            struct memory_disk after = disk;
            memory_crash(&after, &random);
            struct cw_checkpoint_found found;
            bool equal;
            cr_assert(eq(int, read_same(&after, tables, &found, &equal), CW_ERR_OK), "%s",
                      fault.text);
            cr_assert(equal && found.begin >= (through ? 3 : 2) && found.refused == 0);
            for (int i = 0; i < after.name_count; i++) {
                cr_assert(after.names[i].now < 0 || strstr(after.names[i].name, ".new") == NULL);
            }
            struct cw_checkpoint *next = open_checkpoint(&after, tables, &found);
            cr_assert(eq(int, make(next, 4), CW_CHECKPOINT_DONE));
            cw_checkpoint_close(next);
            memory_free(&after);
        }
    }
    close_tables(tables);
}
