/* record: writing a row's image, and reading one from bytes that may be anything. */
#include "core/record.h"

#include "core/journal.h"
#include "core/table.h"

enum {
    SKIPPED_FROM = 0x80 /* unknown kinds from here on */
};

struct head {
    uint32_t value_bytes;
    uint16_t key_bytes;
    uint8_t table;
    uint8_t kind;
};

static_assert(sizeof(struct head) == CW_RECORD_HEAD_BYTES, "as drawn in record.h");
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "records are little endian");

char *cw_record_write(char *to, const struct cw_record *record)
{
    bool put = record->kind == CW_RECORD_PUT;
    CW_ASSERT(put || record->kind == CW_RECORD_REMOVE);
    CW_ASSERT(record->table < CW_JOURNAL_TABLES_MAX);
    CW_ASSERT(record->key.bytes > 0 && record->key.bytes <= CW_TABLE_KEY_BYTES_MAX);
    CW_ASSERT(record->value.bytes <= (put ? CW_TABLE_VALUE_MAX : 0));
    struct head head = {.value_bytes = record->value.bytes,
                        .key_bytes = (uint16_t)record->key.bytes,
                        .table = record->table,
                        .kind = (uint8_t)record->kind};
    char *end = to + cw_record_bytes(record->key.bytes, record->value.bytes);
    memset(end - 8, 0, 8); /* what stays of it is the padding; never before the head */
    memcpy(to, &head, sizeof head);
    memcpy(to + sizeof head, record->key.data, record->key.bytes);
    if (record->value.bytes > 0) {
        memcpy(to + sizeof head + record->key.bytes, record->value.data, record->value.bytes);
    }
    return end;
}

static bool is_sound(const struct head *head)
{
    bool put = head->kind == CW_RECORD_PUT;
    return (put || head->kind == CW_RECORD_REMOVE) && head->table < CW_JOURNAL_TABLES_MAX &&
           head->key_bytes > 0 && head->key_bytes <= CW_TABLE_KEY_BYTES_MAX &&
           head->value_bytes <= (put ? CW_TABLE_VALUE_MAX : 0);
}

/* The last `bytes` before `end`, less than 8 of a record's 8 or more, are zeroes. Without a branch
   on how many there are, which is random. */
static bool ends_in_zeroes(const char *end, uint64_t bytes)
{
    uint64_t last;
    memcpy(&last, end - sizeof last, sizeof last);
    return last >> 1 >> (63 - 8 * bytes) == 0; /* two shifts: by 64 there is none */
}

enum cw_record_read cw_record_next(struct cw_view *bytes, struct cw_record *record)
{
    while (bytes->bytes > 0) { /* each turn takes 8 bytes at least */
        struct head head;
        if (bytes->bytes < sizeof head) {
            return CW_RECORD_BAD;
        }
        memcpy(&head, bytes->data, sizeof head);
        uint64_t whole = cw_record_bytes(head.key_bytes, head.value_bytes);
        if (whole > bytes->bytes || (head.kind < SKIPPED_FROM && !is_sound(&head))) {
            return CW_RECORD_BAD;
        }
        const char *key = bytes->data + sizeof head;
        const char *value = key + head.key_bytes;
        uint64_t padding = whole - sizeof head - head.key_bytes - head.value_bytes;
        if (!ends_in_zeroes(bytes->data + whole, padding)) {
            return CW_RECORD_BAD;
        }
        *bytes = (struct cw_view){bytes->data + whole, bytes->bytes - (uint32_t)whole};
        if (head.kind < SKIPPED_FROM) {
            *record = (struct cw_record){.kind = (enum cw_record_kind)head.kind,
                                         .table = head.table,
                                         .key = {key, head.key_bytes},
                                         .value = {value, head.value_bytes}};
            return CW_RECORD_READ;
        }
    }
    return CW_RECORD_END;
}
