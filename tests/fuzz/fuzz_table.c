/*
 * Operations decoded from bytes, on a table with small bounds and on a model of it. Each operation
 * is a code, a key number and a size; keys of 1 to 64 bytes are prefixes of one another, so that
 * only exact comparison tells them apart.
 */
#include "core/table.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    KEYS = 256,
    ROWS_MAX = 160,
    BYTES_MAX = 40000,
    OPERATIONS_MAX = 20000,
};

struct entry {
    cw_row row;
    uint32_t bytes;
    uint8_t fill;
};

struct model {
    struct cw_table *table;
    struct entry entries[KEYS];
    uint64_t rows, cursor;
};

/* Keys 0 to 63 are that many bytes of 'a', plus one; the next 64 of 'b', and so on. */
static uint32_t key_of(uint32_t number, uint8_t key[64])
{
    memset(key, 'a' + (int)(number / 64), 64);
    return number % 64 + 1;
}

static bool all_are(const uint8_t *bytes, uint32_t from, uint32_t to, uint8_t value)
{
    for (uint32_t at = from; at < to; at++) {
        if (bytes[at] != value) {
            return false;
        }
    }
    return true;
}

static void put(struct model *m, struct entry *entry, uint32_t number, uint32_t bytes)
{
    uint8_t key[64];
    uint32_t key_bytes = key_of(number, key);
    uint64_t hash = cw_table_hash(m->table, key, key_bytes);
    bool added;
    cw_row row = cw_table_put(m->table, hash, key, key_bytes, bytes, &added);
    if (entry->row != CW_ROW_NONE) {
        CW_ASSERT(row == entry->row && !added);
        return;
    }
    CW_ASSERT(added == (row != CW_ROW_NONE));
    CW_ASSERT(row == CW_ROW_NONE || m->rows < ROWS_MAX);
    if (added) {
        uint8_t *value = cw_table_edit(m->table, row);
        CW_ASSERT(all_are(value, 0, bytes, 0));
        *entry = (struct entry){.row = row, .bytes = bytes, .fill = (uint8_t)(number + 1)};
        memset(value, entry->fill, bytes);
        m->rows++;
    }
}

static void resize(struct model *m, struct entry *entry, uint32_t bytes)
{
    cw_row row = cw_table_resize(m->table, entry->row, bytes);
    if (row == CW_ROW_NONE) {
        CW_ASSERT(bytes > entry->bytes);
        return;
    }
    uint8_t *value = cw_table_edit(m->table, row);
    uint32_t kept = bytes < entry->bytes ? bytes : entry->bytes;
    CW_ASSERT(all_are(value, 0, kept, entry->fill) && all_are(value, kept, bytes, 0));
    entry->row = row;
    entry->bytes = bytes;
    entry->fill++;
    memset(value, entry->fill, bytes);
}

static void verify(const struct model *m, const struct entry *entry, uint32_t number)
{
    uint8_t key[64];
    uint32_t key_bytes = key_of(number, key);
    uint64_t hash = cw_table_hash(m->table, key, key_bytes);
    cw_table_prefetch(m->table, hash);
    cw_table_prefetch_row(m->table, hash);
    CW_ASSERT(cw_table_find(m->table, hash, key, key_bytes) == entry->row);
    if (entry->row != CW_ROW_NONE) {
        CW_ASSERT(cw_table_value_bytes(m->table, entry->row) == entry->bytes);
        CW_ASSERT(all_are(cw_table_value(m->table, entry->row), 0, entry->bytes, entry->fill));
        struct cw_view found = cw_table_key(m->table, entry->row);
        CW_ASSERT(found.bytes == key_bytes && memcmp(found.data, key, key_bytes) == 0);
    }
}

static void operate(struct model *m, uint8_t code, uint32_t number, uint32_t bytes)
{
    struct entry *entry = &m->entries[number];
    switch (code % 8) {
    case 0:
    case 1: put(m, entry, number, bytes); break;
    case 2:
    case 3:
        if (entry->row != CW_ROW_NONE) {
            resize(m, entry, bytes);
        }
        break;
    case 4:
    case 5:
        if (entry->row != CW_ROW_NONE) {
            cw_table_remove(m->table, entry->row);
            entry->row = CW_ROW_NONE;
            m->rows--;
        }
        break;
    case 6: {
        cw_row row = cw_table_next(m->table, &m->cursor);
        if (row == CW_ROW_NONE) {
            m->cursor = 0;
        } else {
            struct cw_view key = cw_table_key(m->table, row);
            uint32_t seen = (uint32_t)(key.data[0] - 'a') * 64 + key.bytes - 1;
            CW_ASSERT(m->entries[seen].row == row);
        }
        break;
    }
    default: verify(m, entry, number); break;
    }
    CW_ASSERT(cw_table_count(m->table) == m->rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model m = {0};
    struct cw_fault fault;
    struct cw_table_options options = {
        .name = "fuzz", .rows_max = ROWS_MAX, .bytes_max = BYTES_MAX, .hash = {1, 2}};
    cw_err err = cw_table_open(&m.table, &options, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    for (size_t at = 0; at + 4 <= size && at < (size_t)4 * OPERATIONS_MAX; at += 4) {
        /* Sizes crowd at the small end: an exponent and a fraction. */
        uint32_t bytes = (uint32_t)(16 + data[at + 3] % 16) << (data[at + 2] % 12) >> 4;
        operate(&m, data[at], data[at + 1], bytes);
    }
    for (uint32_t number = 0; number < KEYS; number++) {
        verify(&m, &m.entries[number], number);
    }
    CW_ASSERT(cw_table_check(m.table));
    cw_table_close(m.table);
    return 0;
}
