#include "core/journal.h"

#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cw_fault fault;

static struct cw_table *open_table(void)
{
    struct cw_table *table;
    struct cw_table_options options = {.name = "test",
                                       .rows_max = 4000,
                                       .bytes_max = 2u << 20,
                                       .hash = {.k0 = 11, .k1 = 22},
                                       .value_bytes_hint = 64};
    cr_assert(eq(int, cw_table_open(&table, &options, &fault), CW_ERR_OK), "%s", fault.text);
    return table;
}

static struct cw_journal *open_journal(void)
{
    struct cw_journal *journal;
    cr_assert(eq(int, cw_journal_open(&journal, &fault), CW_ERR_OK), "%s", fault.text);
    return journal;
}

static cw_row find(const struct cw_table *table, struct cw_view key)
{
    return cw_table_find(table, cw_table_hash(table, key.data, key.bytes), key.data, key.bytes);
}

static cw_row put(struct cw_table *table, const char *key, const char *value)
{
    bool added;
    uint32_t bytes = (uint32_t)strlen(key);
    cw_row row = cw_table_put(table, cw_table_hash(table, key, bytes), key, bytes,
                              (uint32_t)strlen(value), &added);
    cr_assert(row != CW_ROW_NONE);
    memcpy(cw_table_edit(table, row), value, strlen(value));
    return row;
}

/* A commit: its records, in memory of their very length. */
static struct cw_view write_all(struct cw_journal *journal)
{
    uint64_t bytes = cw_journal_bytes(journal);
    char *to = malloc(bytes + 1);
    cr_assert(to != NULL);
    to[bytes] = 0x55;
    cr_assert(cw_journal_check(journal));
    cr_assert(cw_journal_write(journal, to) == to + bytes);
    cr_assert(to[bytes] == 0x55);
    cr_assert(cw_journal_clean(journal) && cw_journal_check(journal));
    cr_assert(eq(u64, cw_journal_bytes(journal), 0));
    return (struct cw_view){to, (uint32_t)bytes};
}

/* The records of a commit as text: "-key" for a removal, "key=value", each after its table. */
static const char *told(struct cw_journal *journal)
{
    static char text[512];
    struct cw_view bytes = write_all(journal);
    char *whole = (char *)(uintptr_t)bytes.data;
    struct cw_record record;
    enum cw_record_read read;
    int at = 0;
    text[0] = '\0';
    while ((read = cw_record_next(&bytes, &record)) == CW_RECORD_READ) {
        bool removal = record.kind == CW_RECORD_REMOVE;
        at += snprintf(text + at, sizeof text - (size_t)at, "%s%u%s%.*s%s%.*s", at > 0 ? " " : "",
                       record.table, removal ? "-" : ":", (int)record.key.bytes, record.key.data,
                       removal ? "" : "=", (int)record.value.bytes, record.value.data);
    }
    cr_assert(eq(int, read, CW_RECORD_END));
    free(whole);
    return text;
}

static void apply(struct cw_view bytes, struct cw_table *const *tables)
{
    struct cw_record record;
    enum cw_record_read read;
    while ((read = cw_record_next(&bytes, &record)) == CW_RECORD_READ) {
        struct cw_table *table = tables[record.table];
        cw_row row = find(table, record.key);
        if (record.kind == CW_RECORD_REMOVE) {
            if (row != CW_ROW_NONE) {
                cw_table_remove(table, row);
            }
            continue;
        }
        bool added;
        row = cw_table_put(table, cw_table_hash(table, record.key.data, record.key.bytes),
                           record.key.data, record.key.bytes, record.value.bytes, &added);
        cr_assert(row != CW_ROW_NONE);
        row = cw_table_resize(table, row, record.value.bytes);
        cr_assert(row != CW_ROW_NONE);
        memcpy(cw_table_edit(table, row), record.value.data, record.value.bytes);
    }
    cr_assert(eq(int, read, CW_RECORD_END));
}

static void expect_equal(const struct cw_table *a, const struct cw_table *b)
{
    cr_assert(eq(u64, cw_table_count(a), cw_table_count(b)));
    uint64_t cursor = 0;
    cw_row row;
    while ((row = cw_table_next(a, &cursor)) != CW_ROW_NONE) {
        cw_row other = find(b, cw_table_key(a, row));
        bool same = other != CW_ROW_NONE &&
                    cw_table_value_bytes(a, row) == cw_table_value_bytes(b, other) &&
                    memcmp(cw_table_value(a, row), cw_table_value(b, other),
                           cw_table_value_bytes(a, row)) == 0;
        cr_assert(same);
    }
}

static struct cw_journal *journal;
static struct cw_table *tables[2];

static void set_up(void)
{
    journal = open_journal();
    for (uint8_t i = 0; i < 2; i++) {
        tables[i] = open_table();
        cw_table_journal(tables[i], journal, i);
    }
}

static void take_down(void)
{
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert(cw_table_check(tables[i]));
        cw_table_close(tables[i]);
    }
    cw_journal_close(journal);
}

TestSuite(journal, .init = set_up, .fini = take_down);

Test(journal, is_clean_until_a_row_changes)
{
    cr_assert(cw_journal_clean(journal));
    cr_assert(eq(str, (char *)told(journal), ""));
    (void)put(tables[0], "a", "one");
    cr_assert(not(cw_journal_clean(journal)));
    cr_assert(eq(u64, cw_journal_bytes(journal), 16));
    cr_assert(eq(str, (char *)told(journal), "0:a=one"));
    cr_assert(eq(str, (char *)told(journal), ""));
}

Test(journal, notes_a_row_once_however_often_it_is_changed)
{
    cw_row row = put(tables[0], "a", "one");
    cr_assert(eq(str, (char *)told(journal), "0:a=one"));
    memcpy(cw_table_edit(tables[0], row), "two", 3);
    memcpy(cw_table_edit(tables[0], row), "six", 3);
    cr_assert(eq(u64, cw_journal_bytes(journal), 16));
    cr_assert(eq(str, (char *)told(journal), "0:a=six"));
}

Test(journal, does_not_note_what_is_read_linked_or_found_again)
{
    cw_row row = put(tables[0], "a", "one");
    cr_assert(eq(str, (char *)told(journal), "0:a=one"));
    memcpy(cw_table_link(tables[0], row), "two", 3);
    cr_assert(eq(u64, (uint64_t)((const char *)cw_table_value(tables[0], row))[0], 't'));
    bool added = true;
    cr_assert(cw_table_put(tables[0], cw_table_hash(tables[0], "a", 1), "a", 1, 3, &added) == row);
    cr_assert(not(added));
    cr_assert(cw_journal_clean(journal));
    /* The image is the row's as it is by then, whatever changed it. */
    (void)cw_table_edit(tables[0], row);
    cr_assert(eq(str, (char *)told(journal), "0:a=two"));
}

Test(journal, tells_removals_first)
{
    cw_row a = put(tables[0], "a", "one");
    cw_row b = put(tables[1], "b", "two");
    cr_assert(eq(str, (char *)told(journal), "0:a=one 1:b=two"));
    memcpy(cw_table_edit(tables[1], b), "six", 3);
    cw_table_remove(tables[0], a);
    cr_assert(eq(str, (char *)told(journal), "0-a 1:b=six"));
}

Test(journal, tells_a_row_that_was_changed_and_removed_as_a_removal)
{
    cw_row a = put(tables[0], "a", "one");
    cr_assert(eq(str, (char *)told(journal), "0:a=one"));
    (void)cw_table_edit(tables[0], a);
    cw_table_remove(tables[0], a);
    cr_assert(eq(u64, cw_journal_bytes(journal), 16));
    cr_assert(eq(str, (char *)told(journal), "0-a"));
}

Test(journal, tells_a_row_that_was_removed_and_put_anew_as_both)
{
    cw_row a = put(tables[0], "a", "one");
    cr_assert(eq(str, (char *)told(journal), "0:a=one"));
    cw_table_remove(tables[0], a);
    cr_assert(put(tables[0], "a", "two") == a); /* in the same memory */
    cr_assert(eq(str, (char *)told(journal), "0-a 0:a=two"));
}

Test(journal, is_right_about_memory_that_another_row_has_by_then)
{
    cw_row a = put(tables[0], "a", "one");
    cr_assert(eq(str, (char *)told(journal), "0:a=one"));
    (void)cw_table_edit(tables[0], a);
    cw_table_remove(tables[0], a);
    cr_assert(put(tables[0], "b", "two") == a);
    cw_table_remove(tables[0], a);
    cr_assert(put(tables[0], "c", "six") == a);
    cr_assert(eq(str, (char *)told(journal), "0-a 0-b 0:c=six"));
    /* And of no row: the list leads to free memory. */
    (void)cw_table_edit(tables[0], a);
    cw_table_remove(tables[0], a);
    cr_assert(eq(str, (char *)told(journal), "0-c"));
}

Test(journal, follows_a_row_that_moves)
{
    cw_row a = put(tables[0], "a", "one");
    cw_row moved = cw_table_resize(tables[0], a, 400);
    cr_assert(moved != a && moved != CW_ROW_NONE);
    cr_assert(put(tables[0], "b", "two") == a); /* in its old place */
    moved = cw_table_resize(tables[0], moved, 2);
    cr_assert(moved != a && moved != CW_ROW_NONE);
    cr_assert(eq(str, (char *)told(journal), "0:b=two 0:a=on"));
    moved = cw_table_resize(tables[0], moved, 1); /* where it is */
    moved = cw_table_resize(tables[0], moved, 1);
    cr_assert(moved != CW_ROW_NONE);
    cr_assert(eq(str, (char *)told(journal), "0:a=o"));
}

Test(journal, does_not_note_a_resize_that_is_refused)
{
    cw_row a = put(tables[0], "a", "one");
    cr_assert(cw_table_resize(tables[0], a, CW_TABLE_VALUE_MAX) == CW_ROW_NONE);
    cr_assert(eq(str, (char *)told(journal), "0:a=one"));
    cr_assert(cw_table_resize(tables[0], a, CW_TABLE_VALUE_MAX) == CW_ROW_NONE);
    cr_assert(cw_journal_clean(journal));
}

Test(journal, forgets_what_was_noted)
{
    cw_row a = put(tables[0], "a", "one");
    cw_table_remove(tables[1], put(tables[1], "b", "two"));
    cw_journal_forget(journal);
    cr_assert(cw_journal_clean(journal) && cw_journal_check(journal));
    (void)cw_table_edit(tables[0], a);
    cr_assert(eq(str, (char *)told(journal), "0:a=one"));
}

Test(journal, forgets_all_when_a_table_is_taken_away)
{
    cw_row a = put(tables[0], "a", "one");
    cw_row b = put(tables[1], "b", "two");
    cw_table_journal(tables[0], NULL, 0);
    cr_assert(cw_journal_clean(journal) && cw_journal_check(journal));
    (void)cw_table_edit(tables[0], a);
    (void)cw_table_edit(tables[1], b);
    cr_assert(eq(str, (char *)told(journal), "1:b=two"));
    cw_table_journal(tables[0], journal, 9);
    (void)cw_table_edit(tables[0], a);
    cr_assert(eq(str, (char *)told(journal), "9:a=one"));
}

static struct cw_view random_key(uint64_t *random, char key[40])
{
    uint32_t bytes = (uint32_t)snprintf(key, 40, "%u", random_below(random, 300));
    memset(key + bytes, '.', 12);
    return (struct cw_view){key, bytes + random_below(random, 2) * 12};
}

static uint32_t random_size(uint64_t *random)
{
    return random_below(random, 16) == 0 ? random_below(random, 4000) : random_below(random, 80);
}

static void fill(uint64_t *random, struct cw_table *table, cw_row row)
{
    uint8_t *value = cw_table_edit(table, row);
    memset(value, (int)random_below(random, 256), cw_table_value_bytes(table, row));
}

static void change(uint64_t *random, struct cw_table *table)
{
    char key_text[40];
    struct cw_view key = random_key(random, key_text);
    cw_row row = find(table, key);
    if (row == CW_ROW_NONE) {
        bool added;
        row = cw_table_put(table, cw_table_hash(table, key.data, key.bytes), key.data, key.bytes,
                           random_size(random), &added);
        if (row != CW_ROW_NONE && random_below(random, 4) > 0) {
            fill(random, table, row);
        }
        return;
    }
    switch (random_below(random, 4)) {
    case 0: cw_table_remove(table, row); break;
    case 1:
        row = cw_table_resize(table, row, random_size(random));
        if (row != CW_ROW_NONE && random_below(random, 2) == 0) {
            fill(random, table, row);
        }
        break;
    case 2: fill(random, table, row); break;
    default: (void)cw_table_value(table, row); break;
    }
}

/* Whatever happens between commits, what they tell makes the same tables elsewhere. */
static void run_random(uint64_t seed)
{
    uint64_t random = seed;
    struct cw_table *copies[2] = {open_table(), open_table()};
    for (uint32_t turn = 0; turn < 500; turn++) {
        uint32_t changes = random_below(&random, random_below(&random, 8) == 0 ? 500 : 12);
        for (uint32_t i = 0; i < changes; i++) {
            change(&random, tables[random_below(&random, 2)]);
        }
        struct cw_view records = write_all(journal);
        apply(records, copies);
        if (random_below(&random, 4) == 0) {
            apply(records, copies); /* once more changes nothing */
        }
        free((char *)(uintptr_t)records.data);
        for (uint32_t i = 0; i < 2; i++) {
            expect_equal(tables[i], copies[i]);
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert(cw_table_check(tables[i]) && cw_table_check(copies[i]));
        cw_table_close(copies[i]);
    }
}

Test(journal, tells_at_each_commit_all_that_makes_the_same_tables)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        run_random(seed); /* goes on with the tables that the last one left: */
        for (uint32_t i = 0; i < 2; i++) {
            uint64_t cursor = 0;
            cw_row row;
            while ((row = cw_table_next(tables[i], &cursor)) != CW_ROW_NONE) {
                cw_table_remove(tables[i], row);
            }
        }
        free((char *)(uintptr_t)write_all(journal).data);
    }
}

Test(journal, dies_when_it_is_closed_before_its_tables, .signal = SIGABRT)
{
    cw_journal_close(journal);
}

Test(journal, dies_when_two_tables_are_given_one_number, .signal = SIGABRT)
{
    cw_table_journal(tables[1], journal, 0);
}
