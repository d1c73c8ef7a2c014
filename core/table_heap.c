/*
 * The rows' memory: one mapping, cut from the front into rows whose sizes are those of 121 classes.
 * A row cut once keeps its place for good; freed, it goes on the list of its class, threaded
 * through the free rows themselves. When the mapping is all cut and the class has no free row, a
 * free row of the next larger class that has one is cut in pieces. Rows are never joined again, so
 * a table whose rows shrank over its life may have no room for a large row while small ones are
 * free.
 */
#include "core/table_priv.h"

#include <string.h>

enum {
    SMALL_CLASSES = 16,
    SMALL_BYTES_MAX = SMALL_CLASSES * TABLE_ROW_UNIT,
    CARVED_AHEAD = 1024, /* bytes; 512 to 2,048 measure the same, nothing costs 15 ns a put */
    PREFETCH_MAX = 256,
    VERSION = 2, /* of the head and what it leads to */
};

static const char magic[8] = {'c', 'w', '-', 't', 'a', 'b', 'l', 'e'};

uint32_t table_class_for(uint64_t bytes)
{
    CW_ASSERT_HOT(bytes > 0);
    if (bytes <= SMALL_BYTES_MAX) {
        return (uint32_t)((bytes - 1) / TABLE_ROW_UNIT);
    }
    /* bytes - 1 is 1xyz... in binary: xyz chooses one of 8 steps of its octave. */
    uint32_t octave = 63 - (uint32_t)__builtin_clzll(bytes - 1);
    uint32_t step = (uint32_t)((bytes - 1) >> (octave - 3)) - 8;
    return SMALL_CLASSES + (octave - 8) * 8 + step;
}

uint64_t table_class_bytes(uint32_t class)
{
    CW_ASSERT_HOT(class < TABLE_CLASSES);
    if (class < SMALL_CLASSES) {
        return (uint64_t)(class + 1) * TABLE_ROW_UNIT;
    }
    uint32_t above = class - SMALL_CLASSES;
    return (uint64_t)(9 + above % 8) << (5 + above / 8);
}

void table_heap_init(struct cw_table *table, uint64_t bytes_max)
{
    struct table_head *head = table->head;
    CW_ASSERT(head->carved == 0);
    memcpy(head->magic, magic, sizeof magic);
    head->version = VERSION;
    head->head_bytes = TABLE_HEAD_BYTES;
    head->end = TABLE_HEAD_BYTES + bytes_max;
    head->carved = TABLE_HEAD_BYTES;
    cw_memory_used(&table->map_rows, head->carved);
}

bool table_heap_kept(const struct cw_table *table, uint64_t bytes_max)
{
    const struct table_head *head = table->head;
    return memcmp(head->magic, magic, sizeof magic) == 0 && head->version == VERSION &&
           head->head_bytes == TABLE_HEAD_BYTES && head->end == TABLE_HEAD_BYTES + bytes_max &&
           head->carved >= TABLE_HEAD_BYTES && head->carved <= head->end &&
           head->rows <= table->rows_max;
}

static void push_free(struct cw_table *table, cw_row at, uint32_t class)
{
    struct table_head *head = table->head;
    struct table_row *row = table_row_at(table, at);
    row->value_bytes = 0;
    row->key_bytes = 0;
    row->class = (uint8_t) class;
    row->state = TABLE_ROW_FREE;
    row->next_free = head->free_first[class];
    head->free_first[class] = at;
    head->free_count[class]++;
    head->free_class[class / 64] |= 1ull << (class % 64);
}

/* Asks for the first lines of a row that a later put will write. */
static inline void prefetch_new(const struct cw_table *table, cw_row at, uint32_t class)
{
    const uint8_t *row = table->rows + at;
    uint64_t bytes = table_class_bytes(class);
    for (uint64_t line = 0; line < bytes && line < PREFETCH_MAX; line += CW_CACHE_LINE) {
        __builtin_prefetch(row + line, 1);
    }
}

static cw_row pop_free(struct cw_table *table, uint32_t class)
{
    struct table_head *head = table->head;
    cw_row at = head->free_first[class];
    struct table_row *row = table_row_at(table, at);
    CW_ASSERT(row->state == TABLE_ROW_FREE && row->class == class);
    cw_row next = row->next_free;
    CW_ASSERT_HOT(next < head->carved);
    head->free_first[class] = next;
    head->free_count[class]--;
    if (next == 0) {
        head->free_class[class / 64] &= ~(1ull << (class % 64));
    } else {
        prefetch_new(table, next, class); /* the next put's misses, a put early */
    }
    return at;
}

/* The smallest class above this one that has a free row; TABLE_CLASSES: none. */
static uint32_t larger_class(const struct table_head *head, uint32_t class)
{
    uint32_t from = class + 1;
    if (from < 64) {
        uint64_t low = head->free_class[0] >> from << from;
        if (low != 0) {
            return (uint32_t)__builtin_ctzll(low);
        }
        from = 64;
    }
    uint64_t high = head->free_class[1] >> (from - 64) << (from - 64);
    return high != 0 ? 64 + (uint32_t)__builtin_ctzll(high) : TABLE_CLASSES;
}

/* Makes free rows of the bytes from `at`, largest first. Each piece takes at least 8/9 of what is
   left, so there are few. */
static void cut_free(struct cw_table *table, cw_row at, uint64_t bytes)
{
    while (bytes > 0) { /* at most 8 times for 2.25 MiB */
        uint32_t class = table_class_for(bytes);
        class -= table_class_bytes(class) > bytes;
        push_free(table, at, class);
        at += table_class_bytes(class);
        bytes -= table_class_bytes(class);
    }
}

cw_row table_heap_alloc(struct cw_table *table, uint32_t class, bool *zeroed)
{
    struct table_head *head = table->head;
    uint64_t bytes = table_class_bytes(class);
    cw_row at;
    *zeroed = false;
    if (head->free_first[class] != 0) {
        at = pop_free(table, class);
    } else if (bytes <= head->end - head->carved) {
        at = head->carved;
        head->carved += bytes;
        cw_memory_used(&table->map_rows, head->carved);
        *zeroed = true; /* as the kernel gave it */
        prefetch_new(table, head->carved + CARVED_AHEAD, class);
    } else {
        uint32_t larger = larger_class(head, class);
        if (larger == TABLE_CLASSES) {
            return CW_ROW_NONE;
        }
        at = pop_free(table, larger);
        cut_free(table, at + bytes, table_class_bytes(larger) - bytes);
    }
    struct table_row *row = table_row_at(table, at);
    row->class = (uint8_t) class;
    row->state = TABLE_ROW_LIVE;
    head->rows_bytes += bytes;
    return at;
}

void table_heap_free(struct cw_table *table, cw_row row)
{
    const struct table_row *at = table_row_at(table, row);
    CW_ASSERT(table_row_live(at));
    uint32_t class = at->class;
    table->head->rows_bytes -= table_class_bytes(class);
    push_free(table, row, class);
}

static bool row_check(const struct cw_table *table, cw_row at)
{
    const struct table_row *row = table_row_at(table, at);
    if (row->class >= TABLE_CLASSES) {
        return false;
    }
    uint64_t room = table_class_bytes(row->class);
    if (room > table->head->carved - at) {
        return false;
    }
    if (row->state == TABLE_ROW_FREE) {
        return true;
    }
    if (row->state == TABLE_ROW_NOTED && table->journal == NULL) {
        return false;
    }
    return table_row_live(row) && row->key_bytes > 0 &&
           row->key_bytes <= CW_TABLE_KEY_BYTES_MAX && row->value_bytes <= CW_TABLE_VALUE_MAX &&
           table_value_offset(row->key_bytes) + row->value_bytes <= room;
}

static bool free_list_check(const struct cw_table *table, uint32_t class, uint64_t count)
{
    const struct table_head *head = table->head;
    uint64_t seen = 0;
    cw_row at = head->free_first[class];
    for (; at != 0 && seen < count; seen++) {
        if (at < TABLE_HEAD_BYTES || at >= head->carved || at % TABLE_ROW_UNIT != 0) {
            return false;
        }
        const struct table_row *row = table_row_at(table, at);
        if (row->state != TABLE_ROW_FREE || row->class != class) {
            return false;
        }
        at = row->next_free;
    }
    bool bit = (head->free_class[class / 64] >> (class % 64) & 1) != 0;
    return at == 0 && seen == count && head->free_count[class] == count && bit == (count > 0);
}

bool table_heap_check(const struct cw_table *table)
{
    const struct table_head *head = table->head;
    uint64_t free_rows[TABLE_CLASSES] = {0};
    uint64_t rows = 0;
    uint64_t bytes = 0;
    cw_row at = head->head_bytes;
    while (at < head->carved) { /* at most once per row */
        if (!row_check(table, at)) {
            return false;
        }
        const struct table_row *row = table_row_at(table, at);
        uint64_t room = table_class_bytes(row->class);
        if (table_row_live(row)) {
            rows++;
            bytes += room;
        } else {
            free_rows[row->class]++;
        }
        at += room;
    }
    for (uint32_t class = 0; class < TABLE_CLASSES; class ++) {
        if (!free_list_check(table, class, free_rows[class])) {
            return false;
        }
    }
    return at == head->carved && head->carved <= head->end && rows == head->rows &&
           rows <= table->rows_max && bytes == head->rows_bytes &&
           memcmp(head->magic, magic, sizeof magic) == 0;
}

cw_err table_map_part(struct cw_table *table, struct cw_memory *map, uint64_t bytes,
                      const char *part, struct cw_fault *fault)
{
    return table->memory == NULL
               ? cw_memory_reserve(map, bytes, table->name, fault)
               : cw_keep_map(table->memory, table->name, part, bytes, map, fault);
}
