#include "core/record.h"

#include "core/journal.h"
#include "core/table.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
    WHOLE_MAX = 1 << 12
};

static _Alignas(8) char room[WHOLE_MAX];

static struct cw_view write_one(const struct cw_record *record)
{
    memset(room, 0x55, sizeof room);
    char *end = cw_record_write(room, record);
    return (struct cw_view){room, (uint32_t)(end - room)};
}

static struct cw_record put_of(const char *key, const char *value)
{
    return (struct cw_record){.kind = CW_RECORD_PUT,
                              .table = 3,
                              .key = {key, (uint32_t)strlen(key)},
                              .value = {value, (uint32_t)strlen(value)}};
}

static void set_head(uint32_t value_bytes, uint16_t key_bytes, uint8_t table, uint8_t kind)
{
    memcpy(room, &value_bytes, sizeof value_bytes);
    memcpy(room + 4, &key_bytes, sizeof key_bytes);
    room[6] = (char)table;
    room[7] = (char)kind;
}

/* What is left is read from memory of its very size, so that a sanitizer sees a read past it. */
static enum cw_record_read read_exact(const char *bytes, uint32_t count)
{
    char *copy = malloc(count > 0 ? count : 1);
    cr_assert(copy != NULL);
    memcpy(copy, bytes, count);
    struct cw_view left = {copy, count};
    struct cw_record record;
    enum cw_record_read read = cw_record_next(&left, &record);
    free(copy);
    return read;
}

Test(record, lies_in_the_bytes_as_drawn)
{
    struct cw_record record = put_of("abc", "wxyz12");
    struct cw_view bytes = write_one(&record);
    static const char expected[24] = "\x06\0\0\0\x03\0\x03\x01"
                                     "abcwxyz12\0\0\0\0\0\0\0";
    cr_assert(eq(u32, bytes.bytes, sizeof expected));
    cr_assert(memcmp(bytes.data, expected, sizeof expected) == 0);
    cr_assert(eq(u8, (uint8_t)room[sizeof expected], 0x55)); /* nothing behind it is touched */
}

Test(record, reads_back_what_was_written_whatever_the_lengths)
{
    char key[24];
    char value[40];
    memset(key, 'k', sizeof key);
    memset(value, 'v', sizeof value);
    for (uint32_t key_bytes = 1; key_bytes <= sizeof key; key_bytes++) {
        for (uint32_t value_bytes = 0; value_bytes <= sizeof value; value_bytes++) {
            struct cw_record record = {.kind = CW_RECORD_PUT,
                                       .table = 15,
                                       .key = {key, key_bytes},
                                       .value = {value, value_bytes}};
            struct cw_view bytes = write_one(&record);
            cr_assert(eq(u64, bytes.bytes, cw_record_bytes(key_bytes, value_bytes)));
            cr_assert(eq(u32, bytes.bytes % 8, 0));
            struct cw_record found;
            cr_assert(eq(int, cw_record_next(&bytes, &found), CW_RECORD_READ));
            cr_assert(eq(int, found.kind, CW_RECORD_PUT));
            cr_assert(eq(u8, found.table, 15));
            cr_assert(cw_view_equal(found.key, record.key));
            cr_assert(cw_view_equal(found.value, record.value));
            cr_assert(eq(int, cw_record_next(&bytes, &found), CW_RECORD_END));
        }
    }
}

Test(record, reads_several_in_order)
{
    struct cw_record first = put_of("first", "1");
    struct cw_record second = {.kind = CW_RECORD_REMOVE, .table = 7, .key = CW_VIEW("second")};
    struct cw_record third = put_of("third", "");
    char *end = cw_record_write(cw_record_write(cw_record_write(room, &first), &second), &third);
    struct cw_view bytes = {room, (uint32_t)(end - room)};
    struct cw_record found;
    cr_assert(eq(int, cw_record_next(&bytes, &found), CW_RECORD_READ));
    cr_assert(cw_view_equal(found.key, first.key) && cw_view_equal(found.value, first.value));
    cr_assert(eq(int, cw_record_next(&bytes, &found), CW_RECORD_READ));
    cr_assert(cw_view_equal(found.key, second.key) && found.kind == CW_RECORD_REMOVE);
    cr_assert(found.table == 7 && found.value.bytes == 0);
    cr_assert(eq(int, cw_record_next(&bytes, &found), CW_RECORD_READ));
    cr_assert(cw_view_equal(found.key, third.key) && found.value.bytes == 0);
    cr_assert(eq(int, cw_record_next(&bytes, &found), CW_RECORD_END));
}

Test(record, holds_the_longest_key_and_value)
{
    uint64_t bytes_max = cw_record_bytes(CW_TABLE_KEY_BYTES_MAX, CW_TABLE_VALUE_MAX);
    char *large = calloc(1, bytes_max);
    char *content = malloc(CW_TABLE_VALUE_MAX);
    cr_assert(large != NULL && content != NULL);
    memset(content, 'x', CW_TABLE_VALUE_MAX);
    struct cw_record record = {.kind = CW_RECORD_PUT,
                               .key = {content, CW_TABLE_KEY_BYTES_MAX},
                               .value = {content, CW_TABLE_VALUE_MAX}};
    struct cw_view bytes = {large, (uint32_t)(cw_record_write(large, &record) - large)};
    struct cw_record found;
    cr_assert(eq(int, cw_record_next(&bytes, &found), CW_RECORD_READ));
    cr_assert(cw_view_equal(found.key, record.key) && cw_view_equal(found.value, record.value));
    free(large);
    free(content);
}

Test(record, is_refused_when_it_says_what_no_writer_would)
{
    struct cw_record record = put_of("key", "value");
    uint32_t bytes = write_one(&record).bytes;
    cr_assert(eq(int, read_exact(room, bytes), CW_RECORD_READ));

    set_head(5, 0, 3, CW_RECORD_PUT); /* no key */
    cr_assert(eq(int, read_exact(room, bytes), CW_RECORD_BAD));
    set_head(5, 3, 16, CW_RECORD_PUT); /* a table that there cannot be */
    cr_assert(eq(int, read_exact(room, bytes), CW_RECORD_BAD));
    set_head(5, 3, 3, CW_RECORD_REMOVE); /* a removal with a value */
    cr_assert(eq(int, read_exact(room, bytes), CW_RECORD_BAD));
    set_head(UINT32_MAX, UINT16_MAX, 3, CW_RECORD_PUT);
    cr_assert(eq(int, read_exact(room, bytes), CW_RECORD_BAD));
    for (uint32_t kind = 0; kind < 0x80; kind++) {
        set_head(5, 3, 3, (uint8_t)kind);
        cr_assert(eq(int, read_exact(room, bytes),
                     kind == CW_RECORD_PUT ? CW_RECORD_READ : CW_RECORD_BAD));
    }
    set_head(4, 3, 3, CW_RECORD_PUT); /* one byte of the value is padding then, and not zero */
    room[8 + 3 + 4] = 'x';
    cr_assert(eq(int, read_exact(room, bytes), CW_RECORD_BAD));
}

Test(record, is_refused_over_the_bounds_of_keys_and_values)
{
    uint32_t bytes = (uint32_t)cw_record_bytes(UINT16_MAX, CW_TABLE_VALUE_MAX + 8);
    char *large = calloc(1, bytes);
    cr_assert(large != NULL);
    struct {
        uint32_t key_bytes, value_bytes;
        enum cw_record_read read;
    } cases[] = {{CW_TABLE_KEY_BYTES_MAX, 0, CW_RECORD_READ},
                 {CW_TABLE_KEY_BYTES_MAX + 1, 0, CW_RECORD_BAD},
                 {UINT16_MAX, 0, CW_RECORD_BAD},
                 {1, CW_TABLE_VALUE_MAX, CW_RECORD_READ},
                 {1, CW_TABLE_VALUE_MAX + 1, CW_RECORD_BAD}};
    for (uint32_t i = 0; i < CW_COUNTOF(cases); i++) {
        set_head(cases[i].value_bytes, (uint16_t)cases[i].key_bytes, 0, CW_RECORD_PUT);
        memcpy(large, room, CW_RECORD_HEAD_BYTES);
        struct cw_view left = {large, bytes};
        struct cw_record found;
        cr_assert(eq(int, cw_record_next(&left, &found), cases[i].read));
    }
    free(large);
}

Test(record, is_refused_when_it_is_cut_anywhere)
{
    struct cw_record record = put_of("a key", "and its value");
    uint32_t bytes = write_one(&record).bytes;
    cr_assert(eq(int, read_exact(room, 0), CW_RECORD_END));
    for (uint32_t cut = 1; cut < bytes; cut++) {
        cr_assert(eq(int, read_exact(room, cut), CW_RECORD_BAD));
    }
}

Test(record, of_a_later_kind_is_passed_by_when_it_may_be)
{
    struct cw_record record = put_of("known", "yes");
    uint32_t bytes = write_one(&record).bytes;
    set_head(3, 5, 200, 0x80);
    (void)cw_record_write(room + bytes, &record);
    struct cw_view left = {room, 2 * bytes};
    struct cw_record found;
    cr_assert(eq(int, cw_record_next(&left, &found), CW_RECORD_READ));
    cr_assert(cw_view_equal(found.key, record.key) && left.bytes == 0);
    left = (struct cw_view){room, bytes};
    cr_assert(eq(int, cw_record_next(&left, &found), CW_RECORD_END));
    set_head(UINT32_MAX, 5, 200, 0xff); /* but not past the end */
    cr_assert(eq(int, read_exact(room, bytes), CW_RECORD_BAD));
}

Test(record, never_reads_past_the_end_of_bytes_at_random)
{
    uint64_t random = 1;
    for (uint32_t turn = 0; turn < 200000; turn++) {
        uint32_t bytes = random_below(&random, 64);
        char any[64];
        for (uint32_t i = 0; i < bytes; i++) {
            any[i] = (char)(random_below(&random, 4) == 0 ? random_next(&random) : 0);
        }
        (void)read_exact(any, bytes);
    }
}

Test(record, dies_on_a_key_of_nothing, .signal = SIGABRT)
{
    struct cw_record record = {.kind = CW_RECORD_REMOVE, .key = {"", 0}};
    (void)cw_record_write(room, &record);
}

Test(record, dies_on_a_table_that_there_cannot_be, .signal = SIGABRT)
{
    struct cw_record record = {.kind = CW_RECORD_REMOVE,
                               .table = CW_JOURNAL_TABLES_MAX,
                               .key = CW_VIEW("key")};
    (void)cw_record_write(room, &record);
}
