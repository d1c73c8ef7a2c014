#include "core/table.h"
#include "core/table_priv.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct cw_fault fault;

static uint64_t random_state = 0x9e3779b97f4a7c15u;

static uint64_t random_next(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1du;
}

static uint32_t below(uint32_t bound)
{
    return (uint32_t)((random_next() >> 32) * bound >> 32);
}

static struct cw_table *open_table(uint64_t rows_max, uint64_t bytes_max)
{
    struct cw_table *table;
    struct cw_table_options options = {.name = "test",
                                       .rows_max = rows_max,
                                       .bytes_max = bytes_max,
                                       .hash = {.k0 = 11, .k1 = 22},
                                       .value_bytes_hint = 128};
    cr_assert(eq(int, cw_table_open(&table, &options, &fault), CW_ERR_OK), "%s", fault.text);
    return table;
}

static cw_row put(struct cw_table *table, const void *key, uint32_t key_bytes, uint32_t value_bytes)
{
    bool added;
    return cw_table_put(table, cw_table_hash(table, key, key_bytes), key, key_bytes, value_bytes,
                        &added);
}

static cw_row find(const struct cw_table *table, const void *key, uint32_t key_bytes)
{
    return cw_table_find(table, cw_table_hash(table, key, key_bytes), key, key_bytes);
}

/*
 * The model: an array of all keys there are, with what the table must say of each.
 */
struct entry {
    uint8_t *key;
    uint32_t key_bytes;
    uint32_t value_bytes;
    uint64_t hash;
    cw_row row; /* CW_ROW_NONE: not in the table */
    uint8_t seed;
    uint32_t seen; /* by a walk */
};

struct model {
    struct cw_table *table;
    struct entry *entries;
    uint32_t entries_count, entries_max;
    uint64_t rows;
    uint64_t refused;
};

static uint8_t pattern(uint8_t seed, uint32_t at)
{
    return (uint8_t)(seed + at * 7 + (at >> 8));
}

static void model_open(struct model *m, uint64_t rows_max, uint64_t bytes_max, uint32_t entries_max)
{
    *m = (struct model){.table = open_table(rows_max, bytes_max), .entries_max = entries_max};
    m->entries = calloc(entries_max, sizeof *m->entries);
    cr_assert(m->entries != NULL);
}

static void model_key(struct model *m, const void *key, uint32_t key_bytes)
{
    cr_assert(lt(u32, m->entries_count, m->entries_max));
    struct entry *entry = &m->entries[m->entries_count++];
    entry->key = malloc(key_bytes); /* its own size, so that a sanitizer sees a read past it */
    cr_assert(entry->key != NULL);
    memcpy(entry->key, key, key_bytes);
    entry->key_bytes = key_bytes;
    entry->hash = cw_table_hash(m->table, key, key_bytes);
}

static void model_close(struct model *m)
{
    cr_assert(cw_table_check(m->table));
    cw_table_close(m->table);
    for (uint32_t i = 0; i < m->entries_count; i++) {
        free(m->entries[i].key);
    }
    free(m->entries);
}

/* The value is the pattern up to `kept`, zeroes from there; a mismatch is said once. */
static void value_verify(const struct model *m, const struct entry *entry, uint32_t kept)
{
    const uint8_t *value = cw_table_value(m->table, entry->row);
    uint32_t bytes = cw_table_value_bytes(m->table, entry->row);
    bool good = bytes == entry->value_bytes && (uintptr_t)value % 16 == 0;
    /* Long values are looked at here and there, and at all of their ends. */
    uint32_t step = bytes > 4096 ? 61 : 1;
    for (uint32_t at = 0; good && at<bytes; at += at + 64> bytes ? 1 : step) {
        good = value[at] == (at < kept ? pattern(entry->seed, at) : 0);
    }
    cr_assert(good);
    struct cw_view key = cw_table_key(m->table, entry->row);
    cr_assert(key.bytes == entry->key_bytes && memcmp(key.data, entry->key, key.bytes) == 0);
}

static void value_fill(const struct model *m, struct entry *entry)
{
    uint8_t *value = cw_table_edit(m->table, entry->row);
    entry->seed = (uint8_t)random_next();
    for (uint32_t at = 0; at < entry->value_bytes; at++) {
        value[at] = pattern(entry->seed, at);
    }
}

static uint32_t random_size(void)
{
    uint32_t kind = below(512);
    if (kind == 0) {
        return below(60000);
    }
    if (kind < 8) {
        return below(5000);
    }
    return kind < 24 ? 0 : below(200);
}

static void model_put(struct model *m, struct entry *entry)
{
    bool added = !entry->row;
    uint32_t bytes = random_size();
    cw_row row = cw_table_put(m->table, entry->hash, entry->key, entry->key_bytes, bytes, &added);
    if (entry->row != CW_ROW_NONE) {
        cr_assert(row == entry->row && !added);
        return;
    }
    if (row == CW_ROW_NONE) {
        cr_assert(not(added));
        m->refused++;
        return;
    }
    cr_assert(added);
    entry->row = row;
    entry->value_bytes = bytes;
    m->rows++;
    value_verify(m, entry, 0);
    value_fill(m, entry);
}

static void model_resize(struct model *m, struct entry *entry)
{
    uint32_t bytes = random_size();
    uint32_t old_bytes = entry->value_bytes;
    cw_row row = cw_table_resize(m->table, entry->row, bytes);
    if (row == CW_ROW_NONE) {
        cr_assert(gt(u32, bytes, old_bytes)); /* to shrink is never refused */
        m->refused++;
        value_verify(m, entry, old_bytes);
        return;
    }
    uint64_t offset = table_value_offset(entry->key_bytes);
    if (table_class_for(offset + bytes) == table_class_for(offset + old_bytes)) {
        struct table_row *at = table_row_at(m->table, row);
        bool exact = at->class == table_class_for(offset + bytes);
        cr_assert(row == entry->row || exact);
    }
    entry->row = row;
    entry->value_bytes = bytes;
    value_verify(m, entry, old_bytes < bytes ? old_bytes : bytes);
    value_fill(m, entry);
}

static void model_step(struct model *m, struct entry *entry)
{
    if (below(4) == 0) {
        cw_table_prefetch(m->table, entry->hash);
        cw_table_prefetch_put(m->table, entry->hash);
        cw_table_prefetch_row(m->table, entry->hash);
    }
    cw_row row = cw_table_find(m->table, entry->hash, entry->key, entry->key_bytes);
    cr_assert(eq(u64, row, entry->row));
    if (row == CW_ROW_NONE) {
        model_put(m, entry);
        return;
    }
    switch (below(8)) {
    case 0:
    case 1:
    case 2:
        cw_table_remove(m->table, row);
        entry->row = CW_ROW_NONE;
        m->rows--;
        break;
    case 3:
    case 4: model_resize(m, entry); break;
    case 5: model_put(m, entry); break;
    default: value_verify(m, entry, entry->value_bytes); break;
    }
}

static void model_run(struct model *m, uint32_t steps)
{
    for (uint32_t i = 0; i < steps; i++) {
        model_step(m, &m->entries[below(m->entries_count)]);
        cr_assert(m->rows == cw_table_count(m->table));
    }
    cr_assert(cw_table_check(m->table));
}

static void model_verify(const struct model *m)
{
    for (uint32_t i = 0; i < m->entries_count; i++) {
        const struct entry *entry = &m->entries[i];
        cr_assert(eq(u64, cw_table_find(m->table, entry->hash, entry->key, entry->key_bytes),
                     entry->row));
        if (entry->row != CW_ROW_NONE) {
            value_verify(m, entry, entry->value_bytes);
        }
    }
}

/* Keys whose hashes have the same bits under the mask. */
static void keys_alike(struct model *m, uint64_t mask, uint32_t count)
{
    uint64_t wanted = 0;
    uint64_t key[2] = {mask, 0}; /* the mask in front keeps two such sets apart */
    for (uint32_t made = 0; made < count; key[1]++) {
        uint64_t hash = cw_table_hash(m->table, key, sizeof key);
        if (made == 0) {
            wanted = hash & mask;
        }
        if ((hash & mask) == wanted) {
            model_key(m, key, sizeof key);
            made++;
        }
    }
}

static void keys_prefixes(struct model *m, uint8_t byte)
{
    uint8_t key[CW_TABLE_KEY_BYTES_MAX];
    memset(key, byte, sizeof key);
    for (uint32_t bytes = 1; bytes < sizeof key; bytes += bytes < 80 ? 1 : 59) {
        model_key(m, key, bytes);
    }
    model_key(m, key, sizeof key);
    key[sizeof key - 1] ^= 1; /* differs in the last byte only */
    model_key(m, key, sizeof key);
    key[sizeof key - 1] ^= 1;
    key[0] ^= 1;
    model_key(m, key, sizeof key);
}

static void keys_numbered(struct model *m, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char key[32];
        model_key(m, key, (uint32_t)snprintf(key, sizeof key, "customer-%07u", i));
    }
}

static const uint64_t group_mask = 0x3full << TABLE_DEPTH_MAX;
static const uint64_t tag_mask = 0xffull << 56;

Test(table, agrees_with_a_model_over_a_million_operations)
{
    struct model m;
    model_open(&m, 100000, 1u << 28, 20000);
    keys_numbered(&m, 8000);
    keys_prefixes(&m, 'a');
    keys_prefixes(&m, 0);
    keys_alike(&m, group_mask | 0xff, 200); /* one group and the lowest 8 segment bits */
    keys_alike(&m, group_mask | tag_mask, 200);
    for (int phase = 0; phase < 8; phase++) {
        model_run(&m, 150000);
        model_verify(&m);
    }
    cr_assert(eq(u64, m.refused, 0));
    model_close(&m);
}

Test(table, agrees_with_a_model_at_its_bounds)
{
    struct model m;
    model_open(&m, 900, 500000, 4000);
    keys_numbered(&m, 2000);
    keys_prefixes(&m, 'x');
    for (int phase = 0; phase < 4; phase++) {
        model_run(&m, 150000);
        model_verify(&m);
    }
    cr_assert(gt(u64, m.refused, 1000));
    model_close(&m);
}

Test(table, refuses_more_rows_than_rows_max_and_recovers)
{
    struct cw_table *table = open_table(100, 1u << 20);
    char key[16];
    for (uint32_t i = 0; i < 100; i++) {
        cr_assert(put(table, key, (uint32_t)snprintf(key, sizeof key, "k%u", i), 10) != 0);
    }
    cr_assert(put(table, "more", 4, 10) == CW_ROW_NONE);
    cr_assert(find(table, "more", 4) == CW_ROW_NONE);
    cr_assert(put(table, "k7", 2, 10) == find(table, "k7", 2)); /* one that is there is no more */
    cr_assert(cw_table_check(table));
    cw_table_remove(table, find(table, "k7", 2));
    cr_assert(put(table, "more", 4, 10) != CW_ROW_NONE);
    cr_assert(eq(u64, cw_table_count(table), 100));
    cr_assert(cw_table_check(table));
    cw_table_close(table);
}

Test(table, refuses_more_bytes_than_bytes_max_and_recovers)
{
    struct cw_table *table = open_table(1000, 10000);
    cw_row large = put(table, "large", 5, 6000);
    cw_row small = put(table, "small", 5, 16);
    cr_assert(large != CW_ROW_NONE && small != CW_ROW_NONE);
    memset(cw_table_edit(table, small), 7, 16);
    cr_assert(put(table, "second", 6, 6000) == CW_ROW_NONE);
    cr_assert(cw_table_resize(table, small, 6000) == CW_ROW_NONE);
    cr_assert(eq(u32, cw_table_value_bytes(table, small), 16));
    cr_assert(eq(u8, ((uint8_t *)cw_table_value(table, small))[15], 7));
    cr_assert(cw_table_check(table));

    /* The large row's memory serves small ones once nothing else is left. */
    cw_table_remove(table, large);
    uint32_t rows = 0;
    char key[16];
    while (put(table, key, (uint32_t)snprintf(key, sizeof key, "k%u", rows), 100) != CW_ROW_NONE) {
        rows++;
    }
    cr_assert(gt(u32, rows, 70));
    struct cw_table_stats stats;
    cw_table_stats(table, &stats);
    cr_assert(le(u64, stats.row_bytes_used, 10000));
    cr_assert(le(u64, stats.row_bytes_mapped, 10000));
    cr_assert(cw_table_check(table));
    cw_table_close(table);
}

Test(table, shrinks_a_row_even_when_no_smaller_one_is_to_be_had)
{
    struct cw_table *table = open_table(10, 4096);
    cw_row row = put(table, "only", 4, 4080);
    cr_assert(row != CW_ROW_NONE);
    uint8_t *value = cw_table_edit(table, row);
    memset(value, 9, 4080);
    cr_assert(eq(u64, cw_table_resize(table, row, 100), row));
    cr_assert(eq(u32, cw_table_value_bytes(table, row), 100));
    cr_assert(cw_table_check(table));
    cr_assert(eq(u64, cw_table_resize(table, row, 3000), row));
    cr_assert(eq(u8, value[99], 9));
    cr_assert(eq(u8, value[100], 0));
    cr_assert(eq(u8, value[2999], 0));
    cr_assert(cw_table_check(table));
    cw_table_close(table);
}

Test(table, says_no_when_keys_all_fall_into_one_group_past_the_index_and_stays_right)
{
    struct model m;
    model_open(&m, 300, 1u << 20, 300);
    keys_alike(&m, group_mask | 0xf, 250);
    for (uint32_t i = 0; i < m.entries_count; i++) {
        model_put(&m, &m.entries[i]);
    }
    cr_assert(gt(u64, m.refused, 0));
    cr_assert(ge(u64, m.rows, TABLE_PROBES_MAX * TABLE_GROUP_SLOTS));
    model_verify(&m);
    model_run(&m, 20000);
    model_verify(&m);
    model_close(&m);
}

Test(table, grows_over_many_splits_under_rows_that_stay_where_they_are)
{
    enum {
        ROWS = 300000
    };
    struct cw_table *table = open_table(ROWS, 64u << 20);
    uint64_t **values = malloc(ROWS * sizeof *values);
    cr_assert(values != NULL);
    char key[32];
    for (uint32_t i = 0; i < ROWS; i++) {
        cw_row row = put(table, key, (uint32_t)snprintf(key, sizeof key, "customer-%u", i), 16);
        cr_assert(row != CW_ROW_NONE);
        values[i] = cw_table_edit(table, row);
        values[i][0] = i;
        if (i % 60000 == 0) {
            cr_assert(cw_table_check(table));
        }
    }
    for (uint32_t i = 0; i < ROWS; i++) {
        cw_row row = find(table, key, (uint32_t)snprintf(key, sizeof key, "customer-%u", i));
        cr_assert(row != CW_ROW_NONE && cw_table_value(table, row) == (void *)values[i]);
        cr_assert(eq(u64, values[i][0], i));
    }
    struct cw_table_stats stats;
    cw_table_stats(table, &stats);
    cr_assert(eq(u64, stats.rows, ROWS));
    cr_assert(gt(u64, stats.splits, ROWS / 768));
    cr_assert(lt(u64, stats.splits, ROWS / 330));
    cr_assert(cw_table_check(table));
    free(values);
    cw_table_close(table);
}

Test(table, whose_rows_are_expected_has_the_index_for_them_and_hardly_splits)
{
    const uint64_t counts[] = {0, 1, 640, 641, 100000, UINT64_MAX};
    for (uint32_t i = 0; i < CW_COUNTOF(counts); i++) {
        struct model m;
        struct cw_table_stats before;
        struct cw_table_stats after;
        model_open(&m, 200000, 1u << 28, 100000);
        cw_table_expect(m.table, counts[i]);
        cr_assert(cw_table_check(m.table));
        cw_table_stats(m.table, &before);
        cr_assert(eq(u64, before.splits > 0, counts[i] > 640));
        keys_numbered(&m, 100000);
        for (uint32_t k = 0; k < m.entries_count; k++) {
            model_put(&m, &m.entries[k]);
        }
        cw_table_stats(m.table, &after);
        if (counts[i] >= 100000) {
            cr_assert(after.splits - before.splits < after.splits / 2, "%llu of %llu",
                      (unsigned long long)before.splits, (unsigned long long)after.splits);
        }
        cw_table_expect(m.table, 200000); /* there are rows: it stays as it is */
        cw_table_stats(m.table, &before);
        cr_assert(eq(u64, before.splits, after.splits));
        model_run(&m, 50000);
        model_verify(&m);
        model_close(&m);
    }
}

Test(table, keeps_its_number_of_segments_while_rows_come_and_go)
{
    enum {
        ROWS = 20000
    };
    struct cw_table *table = open_table(ROWS, 8u << 20);
    uint64_t next = 0;
    struct cw_table_stats full;
    struct cw_table_stats later;
    for (; next < ROWS; next++) {
        cr_assert(put(table, &next, sizeof next, 16) != CW_ROW_NONE);
    }
    cw_table_stats(table, &full);
    for (; next < 40 * ROWS; next++) {
        uint64_t oldest = next - ROWS;
        cw_table_remove(table, find(table, &oldest, sizeof oldest));
        cr_assert(put(table, &next, sizeof next, 16) != CW_ROW_NONE);
    }
    cw_table_stats(table, &later);
    cr_assert(le(u64, later.splits, 2 * full.splits + 2));
    cr_assert(eq(u64, later.row_bytes_mapped, full.row_bytes_mapped)); /* freed rows are reused */
    cr_assert(cw_table_check(table));
    cw_table_close(table);
}

Test(table, walk_sees_every_untouched_row_once_while_others_change)
{
    struct model m;
    model_open(&m, 50000, 1u << 26, 12000);
    keys_numbered(&m, 10000);
    for (uint32_t i = 0; i < 4000; i++) {
        model_put(&m, &m.entries[i]); /* these stay as they are; the others come and go */
    }
    for (int walk = 0; walk < 5; walk++) {
        for (uint32_t i = 0; i < m.entries_count; i++) {
            m.entries[i].seen = 0;
        }
        uint64_t cursor = 0;
        for (cw_row row; (row = cw_table_next(m.table, &cursor)) != CW_ROW_NONE;) {
            struct cw_view key = cw_table_key(m.table, row);
            char name[sizeof "customer-0000000"] = {0};
            cr_assert(eq(u32, key.bytes, sizeof name - 1));
            memcpy(name, key.data, key.bytes);
            uint32_t number = (uint32_t)strtoul(name + sizeof "customer-" - 1, NULL, 10);
            cr_assert(eq(u64, m.entries[number].row, row));
            m.entries[number].seen++;
            for (int i = 0; i < 3; i++) {
                model_step(&m, &m.entries[4000 + below(6000)]);
            }
        }
        cr_assert(cw_table_next(m.table, &cursor) == CW_ROW_NONE);
        for (uint32_t i = 0; i < 4000; i++) {
            cr_assert(eq(u32, m.entries[i].seen, 1));
        }
    }
    model_close(&m);
}

Test(table, walk_survives_a_row_being_cut_under_its_cursor)
{
    struct cw_table *table = open_table(100, 9000);
    cw_row large = put(table, "large", 5, 4000);
    cw_row last = put(table, "last", 4, 4000);
    cr_assert(large != CW_ROW_NONE && last != CW_ROW_NONE);
    uint64_t cursor = 0;
    cr_assert(eq(u64, cw_table_next(table, &cursor), large));
    cw_table_remove(table, last); /* the cursor stands on it now */
    for (uint32_t i = 0; i < 20; i++) {
        cr_assert(put(table, &i, sizeof i, 100) != CW_ROW_NONE);
    }
    uint32_t seen = 0;
    while (cw_table_next(table, &cursor) != CW_ROW_NONE) {
        seen++;
    }
    cr_assert(eq(u32, seen, 20));
    cr_assert(cw_table_check(table));
    cw_table_close(table);
}

Test(table, of_no_rows_finds_and_walks_nothing)
{
    struct cw_table *table = open_table(1, 4096);
    uint64_t cursor = 0;
    cr_assert(find(table, "a", 1) == CW_ROW_NONE);
    cr_assert(cw_table_next(table, &cursor) == CW_ROW_NONE);
    cw_table_prefetch(table, 0);
    cw_table_prefetch_row(table, UINT64_MAX);
    cr_assert(cw_table_check(table));
    cw_table_close(table);
}

Test(table, holds_the_largest_key_and_value)
{
    struct cw_table *table = open_table(4, 16u << 20);
    uint8_t key[CW_TABLE_KEY_BYTES_MAX];
    memset(key, 'k', sizeof key);
    cw_row row = put(table, key, sizeof key, CW_TABLE_VALUE_MAX);
    cr_assert(row != CW_ROW_NONE);
    uint8_t *value = cw_table_edit(table, row);
    cr_assert(eq(u8, value[CW_TABLE_VALUE_MAX - 1], 0));
    memset(value, 5, CW_TABLE_VALUE_MAX);
    cr_assert(find(table, key, sizeof key) == row);
    cr_assert(cw_table_check(table));
    row = cw_table_resize(table, row, 3);
    value = cw_table_edit(table, row);
    cr_assert(value[0] == 5 && value[2] == 5);
    row = cw_table_resize(table, row, CW_TABLE_VALUE_MAX);
    value = cw_table_edit(table, row);
    cr_assert(value[2] == 5 && value[3] == 0 && value[CW_TABLE_VALUE_MAX - 1] == 0);
    cr_assert(cw_table_check(table));
    cw_table_close(table);
}

Test(table, size_classes_hold_what_they_are_chosen_for_and_waste_at_most_an_eighth)
{
    uint64_t largest = table_value_offset(CW_TABLE_KEY_BYTES_MAX) + CW_TABLE_VALUE_MAX;
    cr_assert(eq(u32, table_class_for(largest), TABLE_CLASSES - 1));
    for (uint64_t bytes = 1; bytes <= largest; bytes += bytes < 70000 ? 1 : 997) {
        uint32_t class = table_class_for(bytes);
        uint64_t room = table_class_bytes(class);
        cr_assert(room >= bytes && room % TABLE_ROW_UNIT == 0);
        cr_assert(room - bytes <= (bytes <= 256 ? 15 : bytes / 8));
        cr_assert(class == 0 || table_class_bytes(class - 1) < bytes);
    }
}

Test(table, check_tells_a_damaged_table)
{
    struct cw_table *table = open_table(1000, 1u << 20);
    uint32_t i = 0;
    for (; i < 500; i++) {
        cr_assert(put(table, &i, sizeof i, 40) != CW_ROW_NONE);
    }
    cw_table_remove(table, put(table, "gone", 4, 40));
    cr_assert(cw_table_check(table));
    i = 77;
    cw_row row = find(table, &i, sizeof i);
    struct table_row *at = table_row_at(table, row);
    uint8_t *key = (uint8_t *)at + TABLE_ROW_KEY;
    key[0] ^= 1; /* the key no longer is that of its hash */
    cr_assert(not(cw_table_check(table)));
    key[0] ^= 1;
    at->class ++;
    cr_assert(not(cw_table_check(table)));
    at->class --;
    table->head->rows++;
    cr_assert(not(cw_table_check(table)));
    table->head->rows--;
    table->index.groups[TABLE_SEGMENT_GROUPS + 3].passed[2]++;
    cr_assert(not(cw_table_check(table)));
    table->index.groups[TABLE_SEGMENT_GROUPS + 3].passed[2]--;
    table->head->free_first[table_class_for(56)] = row;
    cr_assert(not(cw_table_check(table)));
    cw_table_close(table);
}

static struct cw_table *misused;
static cw_row misused_row;

static void open_misused(void)
{
    misused = open_table(100, 1u << 20);
    misused_row = put(misused, "key", 3, 100);
}

TestSuite(table_misuse, .init = open_misused);

Test(table_misuse, dies_on_a_row_removed_twice, .signal = SIGABRT)
{
    cw_table_remove(misused, misused_row);
    cw_table_remove(misused, misused_row);
}

Test(table_misuse, dies_on_the_value_of_a_removed_row, .signal = SIGABRT)
{
    cw_table_remove(misused, misused_row);
    (void)cw_table_value(misused, misused_row);
}

Test(table_misuse, dies_on_the_old_row_after_a_resize, .signal = SIGABRT)
{
    (void)!cw_table_resize(misused, misused_row, 5000);
    (void)cw_table_key(misused, misused_row);
}

Test(table_misuse, dies_on_a_row_that_is_none, .signal = SIGABRT)
{
    (void)cw_table_value_bytes(misused, CW_ROW_NONE);
}

Test(table_misuse, dies_on_a_row_between_rows, .signal = SIGABRT)
{
    (void)cw_table_value(misused, misused_row + 16);
}

Test(table_misuse, dies_on_a_row_past_the_last, .signal = SIGABRT)
{
    (void)cw_table_value(misused, misused_row + (64u << 10));
}

Test(table_misuse, dies_on_an_empty_key, .signal = SIGABRT)
{
    (void)put(misused, "", 0, 1);
}

/* Rows that lie round a segment's end, which few tables have, are counted once in a split. */
Test(table, splits_are_sound_whatever_the_hash)
{
    for (uint64_t seed = 1; seed <= 200; seed++) {
        struct cw_table *table;
        struct cw_table_options options = {.name = "t",
                                           .rows_max = 4000,
                                           .bytes_max = 1u << 20,
                                           .hash = {seed * UINT64_C(0x9e3779b97f4a7c15), seed}};
        cr_assert(eq(int, cw_table_open(&table, &options, &fault), CW_ERR_OK), "%s", fault.text);
        for (uint32_t i = 0; i < 4000; i++) {
            cr_assert(put(table, &i, sizeof i, 8) != CW_ROW_NONE);
        }
        cr_assert(cw_table_check(table), "seed %llu", (unsigned long long)seed);
        cw_table_close(table);
    }
}

Test(table_misuse, dies_on_a_key_too_long, .signal = SIGABRT)
{
    static uint8_t key[CW_TABLE_KEY_BYTES_MAX + 1];
    (void)put(misused, key, sizeof key, 1);
}

Test(table_misuse, dies_on_a_value_too_long, .signal = SIGABRT)
{
    (void)!cw_table_resize(misused, misused_row, CW_TABLE_VALUE_MAX + 1);
}

static void path_of(char path[64])
{
    (void)snprintf(path, 64, "/tmp/cw-test-table-%d", (int)getpid());
    (void)unlink(path);
}

Test(table_file, lives_in_a_sparse_file)
{
    char path[64];
    path_of(path);
    struct cw_table *table;
    struct cw_table_options options = {
        .name = "filed", .path = path, .rows_max = 10000, .bytes_max = 1u << 30};
    cr_assert(eq(int, cw_table_open(&table, &options, &fault), CW_ERR_OK), "%s", fault.text);
    for (uint32_t i = 0; i < 5000; i++) {
        cw_row row = put(table, &i, sizeof i, 64);
        cr_assert(row != CW_ROW_NONE);
        memcpy(cw_table_edit(table, row), "cartwheel", 9);
    }
    cr_assert(cw_table_check(table));
    cw_table_close(table);

    /* The file says what it is, and a table in use is not taken for an empty one. */
    FILE *file = fopen(path, "rb");
    char head[8];
    cr_assert(file != NULL && fread(head, 1, 8, file) == 8 && memcmp(head, "cw-table", 8) == 0);
    (void)fclose(file);
    cr_assert(eq(int, cw_table_open(&table, &options, &fault), CW_ERR_INVALID));
    cr_assert(strstr(fault.text, "filed") != NULL);
    (void)unlink(path);
}

Test(table_file, that_cannot_be_made_is_an_error)
{
    struct cw_table *table;
    struct cw_table_options options = {
        .name = "t", .path = "/nonexistent/x", .rows_max = 1, .bytes_max = 4096};
    cr_assert(eq(int, cw_table_open(&table, &options, &fault), CW_ERR_IO));
}

Test(table, bounds_out_of_reach_are_an_error)
{
    struct cw_table *table;
    struct cw_table_options options = {.name = "t", .rows_max = 1, .bytes_max = 1ull << 37};
    cr_assert(eq(int, cw_table_open(&table, &options, &fault), CW_ERR_LIMIT));
    options = (struct cw_table_options){.name = "t", .rows_max = 1ull << 40, .bytes_max = 4096};
    cr_assert(eq(int, cw_table_open(&table, &options, &fault), CW_ERR_LIMIT));
}
