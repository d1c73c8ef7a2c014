/*
 * Any bytes as records: each is refused, or is what writing it again makes of the very same bytes;
 * applying them to a table with a journal, and what that journal tells to another, gives equal
 * tables.
 */
#include "core/journal.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cw_table *open_table(uint64_t bytes_max)
{
    struct cw_table *table;
    struct cw_fault fault;
    struct cw_table_options options = {
        .name = "fuzz", .rows_max = 200, .bytes_max = bytes_max, .hash = {1, 2}};
    cw_err err = cw_table_open(&table, &options, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    return table;
}

/* False when there is no room: then it is as before. */
static bool apply(struct cw_table *table, const struct cw_record *record)
{
    uint64_t hash = cw_table_hash(table, record->key.data, record->key.bytes);
    if (record->kind == CW_RECORD_REMOVE) {
        cw_row row = cw_table_find(table, hash, record->key.data, record->key.bytes);
        if (row != CW_ROW_NONE) {
            cw_table_remove(table, row);
        }
        return true;
    }
    bool added;
    cw_row row = cw_table_put(table, hash, record->key.data, record->key.bytes,
                              record->value.bytes, &added);
    if (row != CW_ROW_NONE) {
        row = cw_table_resize(table, row, record->value.bytes);
    }
    if (row == CW_ROW_NONE) {
        return false;
    }
    memcpy(cw_table_edit(table, row), record->value.data, record->value.bytes);
    return true;
}

static void write_again(const struct cw_record *record, const char *end)
{
    uint64_t bytes = cw_record_bytes(record->key.bytes, record->value.bytes);
    char *again = malloc(bytes);
    CW_ASSERT(again != NULL);
    CW_ASSERT(cw_record_write(again, record) == again + bytes);
    CW_ASSERT(memcmp(again, end - bytes, bytes) == 0);
    free(again);
}

/* One commit of the journal, applied to the copy. */
static void commit(struct cw_journal *journal, struct cw_table *copy)
{
    uint64_t bytes = cw_journal_bytes(journal);
    char *records = malloc(bytes + 1);
    CW_ASSERT(records != NULL && cw_journal_check(journal));
    CW_ASSERT(cw_journal_write(journal, records) == records + bytes);
    struct cw_view left = {records, (uint32_t)bytes};
    struct cw_record record;
    enum cw_record_read read;
    while ((read = cw_record_next(&left, &record)) == CW_RECORD_READ) {
        bool applied = apply(copy, &record);
        CW_ASSERT(applied);
    }
    CW_ASSERT(read == CW_RECORD_END);
    free(records);
}

static void compare(const struct cw_table *a, const struct cw_table *b)
{
    uint64_t cursor = 0;
    cw_row row;
    CW_ASSERT(cw_table_count(a) == cw_table_count(b));
    while ((row = cw_table_next(a, &cursor)) != CW_ROW_NONE) {
        struct cw_view key = cw_table_key(a, row);
        cw_row same = cw_table_find(b, cw_table_hash(b, key.data, key.bytes), key.data, key.bytes);
        uint32_t bytes = cw_table_value_bytes(a, row);
        CW_ASSERT(same != CW_ROW_NONE && cw_table_value_bytes(b, same) == bytes);
        CW_ASSERT(memcmp(cw_table_value(a, row), cw_table_value(b, same), bytes) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cw_table *table = open_table(1u << 16);
    struct cw_table *copy = open_table(1u << 26); /* room, however it is cut up */
    struct cw_journal *journal;
    struct cw_fault fault;
    cw_err err = cw_journal_open(&journal, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    cw_table_journal(table, journal, 5);
    char *exact = malloc(size + 1); /* not more than is read, but for the empty input */
    CW_ASSERT(exact != NULL);
    if (size > 0) {
        memcpy(exact, data, size);
    }
    struct cw_view left = {exact, (uint32_t)size};
    struct cw_record record;
    uint32_t read = 0;
    while (cw_record_next(&left, &record) == CW_RECORD_READ) {
        CW_ASSERT(left.data <= exact + size && left.bytes == (size_t)(exact + size - left.data));
        write_again(&record, left.data);
        record.table = 0;
        (void)apply(table, &record);
        if (++read % 5 == 0) {
            commit(journal, copy);
        }
    }
    commit(journal, copy);
    compare(table, copy);
    CW_ASSERT(cw_table_check(table));
    cw_table_close(table);
    cw_table_close(copy);
    cw_journal_close(journal);
    free(exact);
    return 0;
}
