/* The calls of the table; its layout is drawn in table_priv.h. */
#include "core/table.h"

#include "core/table_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static_assert(CW_TABLE_KEY_BYTES_MAX <= UINT16_MAX, "row->key_bytes");

/* A ref is 32 bits of 16-byte units. */
static const uint64_t mapping_bytes_max = (1ull << 32) * TABLE_ROW_UNIT;

enum {
    WALKED_AHEAD = 1024, /* bytes that cw_table_next asks for early */
    WALKED_MAX = 1024,   /* of a row */
    KEY_LINES = 2        /* a key and what stands in front in a value */
};

/* How many lines of a row to prefetch: a third line for 128-byte values costs 4 ns when it is not
   read and saves 13 when it is. */
static uint32_t row_lines(uint32_t value_bytes)
{
    const uint32_t lines_max = 4;
    const uint32_t key_usual = 24;
    uint64_t bytes = table_value_offset(key_usual) + value_bytes;
    uint64_t lines = (bytes + CW_CACHE_LINE - 1) / CW_CACHE_LINE;
    return lines < lines_max ? (uint32_t)lines : lines_max;
}

static cw_err map_file(struct cw_table *table, const char *path, uint64_t bytes,
                       struct cw_fault *fault)
{
    table->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct stat status;
    if (table->file < 0 || fstat(table->file, &status) != 0) {
        return cw_fail(fault, CW_ERR_IO, "table %s: opening %s", table->name, path);
    }
    if (!S_ISREG(status.st_mode) || status.st_size != 0) {
        return cw_fail(fault, CW_ERR_INVALID, "table %s: %s is not an empty file", table->name,
                       path);
    }
    if (ftruncate(table->file, (off_t)bytes) != 0) {
        return cw_fail(fault, CW_ERR_IO, "table %s: making %s %llu bytes long", table->name, path,
                       (unsigned long long)bytes);
    }
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, table->file, 0);
    if (base == MAP_FAILED) {
        return cw_fail(fault, CW_ERR_IO, "table %s: mapping %s", table->name, path);
    }
    table->map_rows.base = base;
    table->map_rows.bytes = bytes;
    return CW_ERR_OK;
}

static cw_err open_parts(struct cw_table *table, const struct cw_table_options *options,
                         struct cw_fault *fault)
{
    uint64_t bytes = TABLE_HEAD_BYTES + options->bytes_max;
    if (options->bytes_max > mapping_bytes_max - TABLE_HEAD_BYTES) {
        return cw_fail(fault, CW_ERR_LIMIT, "table %s: %llu row bytes are over 64 GiB", table->name,
                       (unsigned long long)options->bytes_max);
    }
    cw_err err = options->path != NULL
                     ? map_file(table, options->path, bytes, fault)
                     : table_map_part(table, &table->map_rows, bytes, "rows", fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    table->rows = table->map_rows.base;
    table->head = table->map_rows.base;
    if (!table_is_kept(table)) {
        table_heap_init(table, options->bytes_max);
    } else if (!table_heap_kept(table, options->bytes_max)) {
        return cw_fail(fault, CW_ERR_NOT_FOUND, "table %s: its memory has another layout",
                       table->name);
    } else {
        cw_memory_used(&table->map_rows, table->head->carved);
    }
    return table_index_open(table, fault);
}

cw_err cw_table_open(struct cw_table **table, const struct cw_table_options *options,
                     struct cw_fault *fault)
{
    CW_ASSERT(options->rows_max > 0 && options->bytes_max > 0);
    CW_ASSERT(options->path == NULL || options->memory == NULL);
    struct cw_memory own = {0};
    cw_err err = cw_memory_reserve(&own, sizeof **table, options->name, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_table *made = own.base;
    made->own = own;
    made->name = options->name;
    made->hash = options->hash;
    made->rows_max = options->rows_max;
    made->row_lines = row_lines(options->value_bytes_hint);
    made->memory = options->memory;
    made->file = -1;
    err = open_parts(made, options, fault);
    if (err != CW_ERR_OK) {
        cw_table_close(made);
        return err;
    }
    *table = made;
    return CW_ERR_OK;
}

void cw_table_close(struct cw_table *table)
{
    cw_table_journal(table, NULL, 0);
    cw_memory_release(&table->map_rows);
    cw_memory_release(&table->map_groups);
    cw_memory_release(&table->map_bits);
    cw_memory_release(&table->map_directory);
    cw_memory_release(&table->map_depths);
    if (table->file >= 0) {
        (void)close(table->file);
    }
    struct cw_memory own = table->own;
    cw_memory_release(&own);
}

bool cw_table_populate(struct cw_table *table)
{
    bool more = cw_memory_populate(&table->map_rows);
    return table_index_populate(table) || more;
}

void cw_table_seal(struct cw_table *table)
{
    CW_ASSERT(table->journal == NULL); /* or rows could be noted still */
    table_index_seal(table);
}

void cw_table_expect(struct cw_table *table, uint64_t rows)
{
    if (table->head->carved == TABLE_HEAD_BYTES && table->index.segments == 1) {
        table_index_expect(&table->index, rows < table->rows_max ? rows : table->rows_max);
    }
}

uint64_t cw_table_hash(const struct cw_table *table, const void *key, uint32_t key_bytes)
{
    return cw_hash(table->hash, key, key_bytes);
}

static inline const struct table_group *segment_groups(const struct cw_table *table, uint64_t hash)
{
    return &table->index
                .groups[(uint64_t)table_segment(&table->index, hash) * TABLE_SEGMENT_GROUPS];
}

void cw_table_prefetch(const struct cw_table *table, uint64_t hash)
{
    __builtin_prefetch(segment_groups(table, hash) + table_home(hash));
}

void cw_table_prefetch_put(const struct cw_table *table, uint64_t hash)
{
    const struct table_group *group = segment_groups(table, hash) + table_home(hash);
    __builtin_prefetch(group, 1);
    /* Of two lines that it may lie across, the one with the slots that fill while it grows. */
    __builtin_prefetch(&table->index.bits[group - table->index.groups].of[TABLE_GROUP_SLOTS / 2],
                       1);
}

static inline __attribute__((always_inline)) void
prefetch_row(const struct cw_table *table, uint64_t hash, uint32_t lines)
{
    const struct table_group *groups = segment_groups(table, hash);
    uint32_t at = table_home(hash);
    uint8_t tag = table_tag(hash);
    for (uint32_t d = 0; d < TABLE_PROBES_MAX; d++) {
        const struct table_group *group = &groups[(at + d) % TABLE_SEGMENT_GROUPS];
        uint32_t mask = table_match(group, tag);
        if (mask != 0) {
            const uint8_t *row =
                table->rows + (cw_row)group->refs[__builtin_ctz(mask)] * TABLE_ROW_UNIT;
            for (uint32_t line = 0; line < lines; line++) {
                __builtin_prefetch(row + (size_t)line * CW_CACHE_LINE);
            }
            return;
        }
        if (group->passed[tag % 4] == 0) {
            return;
        }
    }
}

void cw_table_prefetch_row(const struct cw_table *table, uint64_t hash)
{
    prefetch_row(table, hash, table->row_lines);
}

void cw_table_prefetch_key(const struct cw_table *table, uint64_t hash)
{
    prefetch_row(table, hash, table->row_lines < KEY_LINES ? table->row_lines : KEY_LINES);
}

void cw_table_prefetch_at(const struct cw_table *table, cw_row row)
{
    __builtin_prefetch(table->rows + row, 1); /* CW_ROW_NONE: the head */
}

void cw_table_prefetch_all_at(const struct cw_table *table, cw_row row)
{
    for (uint32_t line = 0; line < table->row_lines; line++) {
        __builtin_prefetch(table->rows + row + (size_t)line * CW_CACHE_LINE, 1);
    }
}

/* memcmp() == 0 without the call: keys are 10 to 60 bytes long. */
static inline bool key_equal(const uint8_t *a, const uint8_t *b, uint32_t bytes)
{
    if (bytes >= 16) {
        for (uint32_t at = 0; at < bytes; at += 16) {
            uint32_t from = at + 16 <= bytes ? at : bytes - 16; /* the last overlaps */
            __m128i x = _mm_loadu_si128((const __m128i *)(const void *)(a + from));
            __m128i y = _mm_loadu_si128((const __m128i *)(const void *)(b + from));
            if (_mm_movemask_epi8(_mm_cmpeq_epi8(x, y)) != 0xffff) {
                return false;
            }
        }
        return true;
    }
    if (bytes >= 8) {
        uint64_t x[2];
        uint64_t y[2];
        memcpy(&x[0], a, 8);
        memcpy(&x[1], a + bytes - 8, 8);
        memcpy(&y[0], b, 8);
        memcpy(&y[1], b + bytes - 8, 8);
        return ((x[0] ^ y[0]) | (x[1] ^ y[1])) == 0;
    }
    uint8_t differ = 0;
    for (uint32_t at = 0; at < bytes; at++) {
        differ |= a[at] ^ b[at];
    }
    return differ == 0;
}

/* The row of that key in one group. In one search of 32 another key has the same tag by chance, and
   its row is a miss: who will write the group's bits anyway is `sure` by them first. */
static inline __attribute__((always_inline)) cw_row find_in(const struct cw_table *table,
                                                            const struct table_group *group,
                                                            uint64_t hash, const void *key,
                                                            uint32_t key_bytes, bool sure)
{
    for (uint32_t mask = table_match(group, table_tag(hash)); mask != 0; mask &= mask - 1) {
        uint32_t slot = (uint32_t)__builtin_ctz(mask);
        cw_row found = (cw_row)group->refs[slot] * TABLE_ROW_UNIT;
        const struct table_row *row = table_row_at(table, found);
        if (sure) {
            __builtin_prefetch(row);
            if (table->index.bits[group - table->index.groups].of[slot] != (uint32_t)hash) {
                continue;
            }
        }
        if (row->key_bytes == key_bytes && key_equal(table_row_key(row), key, key_bytes)) {
            return found;
        }
    }
    return CW_ROW_NONE;
}

/* The same in the groups after its own: 1 search in 20 comes here. */
static __attribute__((noinline)) cw_row find_behind(const struct cw_table *table,
                                                    const struct table_group *groups, uint64_t hash,
                                                    const void *key, uint32_t key_bytes)
{
    for (uint32_t d = 1; d < TABLE_PROBES_MAX; d++) {
        const struct table_group *group = &groups[(table_home(hash) + d) % TABLE_SEGMENT_GROUPS];
        cw_row found = find_in(table, group, hash, key, key_bytes, false);
        if (found != CW_ROW_NONE || group->passed[table_tag(hash) % 4] == 0) {
            return found;
        }
    }
    return CW_ROW_NONE;
}

static inline __attribute__((always_inline)) cw_row
find(const struct cw_table *table, uint64_t hash, const void *key, uint32_t key_bytes, bool sure)
{
    CW_ASSERT_HOT(hash == cw_table_hash(table, key, key_bytes));
    const struct table_group *groups = segment_groups(table, hash);
    const struct table_group *group = &groups[table_home(hash)];
    cw_row found = find_in(table, group, hash, key, key_bytes, sure);
    if (found == CW_ROW_NONE && CW_UNLIKELY(group->passed[table_tag(hash) % 4] != 0)) {
        return find_behind(table, groups, hash, key, key_bytes);
    }
    return found;
}

cw_row cw_table_find(const struct cw_table *table, uint64_t hash, const void *key,
                     uint32_t key_bytes)
{
    return find(table, hash, key, key_bytes, false);
}

/* memcpy() without the call, for keys. */
static inline void copy_key(uint8_t *to, const uint8_t *from, uint32_t bytes)
{
    if (bytes >= 16) {
        for (uint32_t at = 0; at < bytes; at += 16) {
            uint32_t part = at + 16 <= bytes ? at : bytes - 16; /* the last overlaps */
            memcpy(to + part, from + part, 16);
        }
    } else if (bytes >= 8) {
        memcpy(to, from, 8);
        memcpy(to + bytes - 8, from + bytes - 8, 8);
    } else {
        for (uint32_t at = 0; at < bytes; at++) {
            to[at] = from[at];
        }
    }
}

cw_row cw_table_put(struct cw_table *table, uint64_t hash, const void *key, uint32_t key_bytes,
                    uint32_t value_bytes, bool *added)
{
    CW_ASSERT(key_bytes > 0 && key_bytes <= CW_TABLE_KEY_BYTES_MAX);
    CW_ASSERT(value_bytes <= CW_TABLE_VALUE_MAX);
    *added = false;
    cw_row at = find(table, hash, key, key_bytes, true);
    if (at != CW_ROW_NONE) {
        return at;
    }
    struct table_place place;
    if (table->head->rows >= table->rows_max || !table_index_place(&table->index, hash, &place)) {
        return CW_ROW_NONE;
    }
    uint64_t value_offset = table_value_offset(key_bytes);
    bool zeroed = false;
    at = table_heap_alloc(table, table_class_for(value_offset + value_bytes), &zeroed);
    if (at == CW_ROW_NONE) {
        return CW_ROW_NONE;
    }
    struct table_row *row = table_row_at(table, at);
    row->value_bytes = value_bytes;
    row->key_bytes = (uint16_t)key_bytes;
    copy_key((uint8_t *)row + TABLE_ROW_KEY, key, key_bytes);
    if (!zeroed) {
        memset((uint8_t *)row + value_offset, 0, value_bytes);
    }
    table_index_add(&table->index, hash, &place, (uint32_t)(at / TABLE_ROW_UNIT));
    table->head->rows++;
    if (table->journal != NULL) {
        table_journal_note(table, at);
    }
    *added = true;
    return at;
}

/* The row at an offset the caller holds. Off a row's start, freed, or never a row: the state byte
   says so, as far as eight bits can. */
static inline struct table_row *live(const struct cw_table *table, cw_row at)
{
    CW_ASSERT(at % TABLE_ROW_UNIT == 0 && at >= TABLE_HEAD_BYTES && at < table->head->carved);
    struct table_row *row = table_row_at(table, at);
    CW_ASSERT(table_row_live(row));
    return row;
}

cw_row cw_table_resize(struct cw_table *table, cw_row row, uint32_t value_bytes)
{
    CW_ASSERT(value_bytes <= CW_TABLE_VALUE_MAX);
    const struct table_row *from = live(table, row);
    uint64_t value_offset = table_value_offset(from->key_bytes);
    uint32_t class = table_class_for(value_offset + value_bytes);
    uint32_t old_bytes = from->value_bytes;
    uint64_t noted_bytes =
        from->state == TABLE_ROW_NOTED ? cw_record_bytes(from->key_bytes, old_bytes) : 0;
    bool zeroed;
    cw_row moved = class == from->class ? row : table_heap_alloc(table, class, &zeroed);
    if (moved == CW_ROW_NONE && class < from->class) {
        moved = row; /* no smaller row to be had: it keeps the one it has */
    }
    if (moved == CW_ROW_NONE) {
        return CW_ROW_NONE;
    }
    struct table_row *to = table_row_at(table, moved);
    if (moved != row) {
        uint32_t kept = old_bytes < value_bytes ? old_bytes : value_bytes;
        to->key_bytes = from->key_bytes;
        memcpy((uint8_t *)to + TABLE_ROW_KEY, table_row_key(from),
               value_offset - TABLE_ROW_KEY + kept);
        uint64_t hash = cw_hash(table->hash, table_row_key(from), from->key_bytes);
        table_index_replace(&table->index, hash, (uint32_t)(row / TABLE_ROW_UNIT),
                            (uint32_t)(moved / TABLE_ROW_UNIT));
        table_heap_free(table, row);
    }
    if (value_bytes > old_bytes) {
        memset((uint8_t *)to + value_offset + old_bytes, 0, value_bytes - old_bytes);
    }
    to->value_bytes = value_bytes;
    if (table->journal != NULL) {
        table_journal_resized(table, row, moved, noted_bytes);
    }
    return moved;
}

void cw_table_remove(struct cw_table *table, cw_row row)
{
    const struct table_row *at = live(table, row);
    uint64_t hash = cw_hash(table->hash, table_row_key(at), at->key_bytes);
    table_index_remove(&table->index, hash, (uint32_t)(row / TABLE_ROW_UNIT));
    if (table->journal != NULL) {
        table_journal_removed(table, row);
    }
    table_heap_free(table, row);
    table->head->rows--;
}

const void *cw_table_value(const struct cw_table *table, cw_row row)
{
    const struct table_row *at = live(table, row);
    return (const uint8_t *)at + table_value_offset(at->key_bytes);
}

void *cw_table_edit(struct cw_table *table, cw_row row)
{
    struct table_row *at = live(table, row);
    /* Noted once a commit: the first test, on a line that is about to be written, is the only one
       for later edits. */
    if (at->state == TABLE_ROW_LIVE && table->journal != NULL) {
        table_journal_note(table, row);
    }
    return (uint8_t *)at + table_value_offset(at->key_bytes);
}

void *cw_table_link(const struct cw_table *table, cw_row row)
{
    struct table_row *at = live(table, row);
    return (uint8_t *)at + table_value_offset(at->key_bytes);
}

uint32_t cw_table_value_bytes(const struct cw_table *table, cw_row row)
{
    return live(table, row)->value_bytes;
}

struct cw_view cw_table_key(const struct cw_table *table, cw_row row)
{
    const struct table_row *at = live(table, row);
    return (struct cw_view){.data = (const char *)table_row_key(at), .bytes = at->key_bytes};
}

cw_row cw_table_next_within(const struct cw_table *table, uint64_t *cursor, uint64_t end,
                            uint32_t *steps)
{
    /* In the order of the mapping: where a row starts, one always will (rows are cut, never
       joined), so cursor and end stay good whatever happens between two calls. */
    cw_row at = *cursor == 0 ? TABLE_HEAD_BYTES : *cursor;
    CW_ASSERT(at % TABLE_ROW_UNIT == 0 && at >= TABLE_HEAD_BYTES && at <= end);
    CW_ASSERT(end <= table->head->carved);
    while (at < end && *steps > 0) {
        const struct table_row *row = table_row_at(table, at);
        CW_ASSERT(table_row_live(row) || row->state == TABLE_ROW_FREE);
        cw_row next = at + table_class_bytes(row->class);
        --*steps;
        if (table_row_live(row)) {
            *cursor = next;
            return at;
        }
        at = next;
    }
    *cursor = at;
    return CW_ROW_NONE;
}

cw_row cw_table_next(const struct cw_table *table, uint64_t *cursor)
{
    uint32_t steps;
    cw_row row;
    do {
        steps = UINT32_MAX;
        row = cw_table_next_within(table, cursor, table->head->carved, &steps);
    } while (row == CW_ROW_NONE && steps == 0);
    /* Walkers of whole tables look at each row: the next ones' lines, a few rows early. */
    uint64_t from = *cursor + WALKED_AHEAD;
    uint64_t bytes = row == CW_ROW_NONE ? 0 : *cursor - row;
    uint64_t end = from + (bytes < WALKED_MAX ? bytes : WALKED_MAX);
    end = end < table->head->carved ? end : table->head->carved;
    for (uint64_t at = from; at < end; at += CW_CACHE_LINE) {
        __builtin_prefetch(table->rows + at);
    }
    return row;
}

uint64_t cw_table_end(const struct cw_table *table)
{
    return table->head->carved;
}

uint64_t cw_table_count(const struct cw_table *table)
{
    return table->head->rows;
}

void cw_table_stats(const struct cw_table *table, struct cw_table_stats *stats)
{
    const struct table_index *index = &table->index;
    uint64_t groups = (uint64_t)index->segments * TABLE_SEGMENT_GROUPS;
    *stats = (struct cw_table_stats){
        .rows = table->head->rows,
        .row_bytes_used = table->head->rows_bytes,
        .row_bytes_mapped = table->head->carved - TABLE_HEAD_BYTES,
        .index_bytes = groups * (sizeof *index->groups + sizeof *index->bits) + index->segments +
                       (index->directory_mask + 1) * sizeof *index->directory,
        .splits = index->splits,
    };
}

bool cw_table_check(const struct cw_table *table)
{
    return table_heap_check(table) && table_index_check(table);
}
