/*
 * table_priv: the table's layout, shared by table.c (the calls), table_index.c (hash to row) and
 * table_heap.c (the rows' memory).
 *
 * The bits of a hash, lowest first:
 *
 *     0 .. 25            26 .. 31        56 .. 63
 *     which segment      which group     the tag (0 becomes 1)
 *
 * Directory, segments, groups. directory[hash & mask] is a segment number; a segment of depth d
 * holds the rows whose d lowest hash bits are the same, and stands in every directory entry with
 * those bits. A segment is 64 groups; a group is one cache line:
 *
 *     tags[12]  passed[4] | refs[12]             64 bytes, read by every call
 *     bits[12]                                   48 bytes elsewhere: the hashes' low 32 bits,
 *                                                written by put, read by a split only
 *
 * A row goes to its own group, or to the first of the 7 after it (in a ring of 64) that has room;
 * each group it passes by counts it in passed[tag & 3], so a search stops at the first group that
 * no row of that kind went past, and removal leaves no tombstones. When all 8 are full the segment
 * splits by hash bit d: `bits` tells each slot's side, no row is touched.
 *
 * A row that is noted in the table's journal (journal.h) says so in its state. Without a journal
 * none is.
 */
#ifndef CW_CORE_TABLE_PRIV_H
#define CW_CORE_TABLE_PRIV_H

#include "core/journal.h"
#include "core/memory.h"
#include "core/table.h"

#include <emmintrin.h>

enum {
    TABLE_GROUP_SLOTS = 12,
    TABLE_SEGMENT_GROUPS = 64,
    TABLE_PROBES_MAX = 8,    /* groups a search looks at, at most; see table_index.c */
    TABLE_DEPTH_MAX = 26,    /* hash bits that choose a segment */
    TABLE_CLASSES = 121,     /* 16 to 256 bytes by 16, then 8 to the octave to 2.25 MiB */
    TABLE_HEAD_BYTES = 4096, /* in front of the rows in their mapping */
    TABLE_ROW_UNIT = 16,     /* rows start and end on it */
    TABLE_ROW_KEY = 8,       /* where the key starts in a row */
    TABLE_ROW_LIVE = 0xa7,   /* row->state: odd values, so that zeroed or text bytes differ */
    TABLE_ROW_NOTED = 0xa5,  /* live, and changed since the last commit: in the journal's list */
    TABLE_ROW_FREE = 0x9d,
};

struct table_group {
    _Alignas(CW_CACHE_LINE) uint8_t tags[TABLE_GROUP_SLOTS]; /* 0: empty */
    uint8_t passed[4];                                       /* at most 7 * 12 each */
    uint32_t refs[TABLE_GROUP_SLOTS];                        /* row offset / TABLE_ROW_UNIT */
};

static_assert(sizeof(struct table_group) == CW_CACHE_LINE, "a search costs one line");
static_assert((TABLE_PROBES_MAX - 1) * TABLE_GROUP_SLOTS < UINT8_MAX, "passed[] cannot overflow");
static_assert(TABLE_DEPTH_MAX + 6 == 32, "bits[] holds what a split needs");

struct table_bits {
    _Alignas(16) uint32_t of[TABLE_GROUP_SLOTS];
};

/* Live: the key follows `state`, then, on the next 16 bytes, the value. */
struct table_row {
    uint32_t value_bytes;
    uint16_t key_bytes;
    uint8_t class;
    uint8_t state;
    uint64_t next_free; /* of a free row: the offset of the next of its class, or 0 */
};

static_assert((TABLE_ROW_LIVE ^ TABLE_ROW_NOTED) == 2, "table_row_live() looks past one bit");
static_assert(offsetof(struct table_row, next_free) == TABLE_ROW_KEY, "a free row has no key");
static_assert(sizeof(struct table_row) == TABLE_ROW_UNIT, "the smallest class holds a free row");

/* The first page of the rows' mapping: with it and the rows themselves (each says its class and
   state) the index can be made anew. */
struct table_head {
    char magic[8];
    uint32_t version;
    uint32_t head_bytes;
    uint64_t end;           /* offset the rows may reach: head_bytes + bytes_max */
    uint64_t carved;        /* offset up to which rows have been made */
    uint64_t rows;          /* live */
    uint64_t rows_bytes;    /* of the live rows, class rounding included */
    uint64_t free_class[2]; /* bit set: the list of that class has rows */
    uint64_t free_first[TABLE_CLASSES];
    uint64_t free_count[TABLE_CLASSES];

    struct { /* of the index, for who takes it over; written by cw_table_seal alone */
        uint64_t directory_mask, filled, splits;
        uint32_t depth, segments;
    } sealed;
};

static_assert(sizeof(struct table_head) <= TABLE_HEAD_BYTES, "the head is one page");

struct table_index {
    const uint32_t *directory_read; /* the same as directory; kept first: the hot line */
    uint64_t directory_mask;
    struct table_group *groups; /* segment s: groups[64 s] on; numbers start at 1 */
    struct table_bits *bits;
    uint32_t *directory; /* 0: not filled yet, see table_index_segment() */
    uint8_t *depths;     /* by segment number */
    uint32_t depth, depth_max;
    uint32_t segments, segments_max;
    _Atomic uint32_t reached; /* segments, for the thread that populates */
    uint64_t filled; /* directory entries below this are filled */
    uint64_t splits;
};

/* A slot; good until the index next changes. */
struct table_place {
    struct table_group *group;
    uint32_t segment, slot;
    uint32_t distance; /* groups after the row's own */
};

struct cw_table {
    struct table_index index;
    uint8_t *rows; /* the mapping; offsets count from it */
    struct table_head *head;
    struct cw_journal *journal; /* or NULL; on the line that every call reads */
    struct cw_hash_key hash;
    uint64_t rows_max;
    uint32_t row_lines; /* that cw_table_prefetch_row() asks for */
    uint8_t number;     /* in the journal */
    const char *name;
    struct cw_keep *memory; /* NULL: anonymous, or the file */
    struct cw_memory map_rows, map_groups, map_bits, map_directory, map_depths, own;
    int file; /* -1: anonymous */
};

/* table_index.c */
CW_MUST_USE cw_err table_index_open(struct cw_table *table, struct cw_fault *fault);
void table_index_seal(struct cw_table *table);

/* As if so many rows had made it split; it is as it was opened. */
void table_index_expect(struct table_index *index, uint64_t rows);

/* Makes more of its memory real; true when there is more to do. */
bool table_index_populate(struct cw_table *table);

/* Where a row of that hash goes: splits until there is room. False: the index is at its bound. */
CW_MUST_USE bool table_index_place(struct table_index *index, uint64_t hash,
                                   struct table_place *place);
void table_index_add(struct table_index *index, uint64_t hash, const struct table_place *place,
                     uint32_t ref);
void table_index_replace(struct table_index *index, uint64_t hash, uint32_t ref, uint32_t by);
void table_index_remove(struct table_index *index, uint64_t hash, uint32_t ref);
bool table_index_check(const struct cw_table *table);

/* table_heap.c */
uint32_t table_class_for(uint64_t bytes);
uint64_t table_class_bytes(uint32_t class);
void table_heap_init(struct cw_table *table, uint64_t bytes_max);

/* Of rows that another process left: whether the head is one of this version and these bounds. */
CW_MUST_USE bool table_heap_kept(const struct cw_table *table, uint64_t bytes_max);

/* Offset of a row of that class, its header written but for the sizes; CW_ROW_NONE: no room.
   Where *zeroed says so, nothing was ever written behind the header. */
CW_MUST_USE cw_row table_heap_alloc(struct cw_table *table, uint32_t class, bool *zeroed);
void table_heap_free(struct cw_table *table, cw_row row);
bool table_heap_check(const struct cw_table *table);

/* journal.c: what a table with a journal tells it. Of a row that is noted nothing need be told but
   that it changes its size or goes. */
void table_journal_note(struct cw_table *table, cw_row row);

/* After the row became as long as it is now: it was `from` with an image of noted_bytes, 0: was not
   noted. */
void table_journal_resized(struct cw_table *table, cw_row from, cw_row row, uint64_t noted_bytes);

/* Before the row is freed. */
void table_journal_removed(struct cw_table *table, cw_row row);

/* A part of the table, in its memory if it has one. */
CW_MUST_USE cw_err table_map_part(struct cw_table *table, struct cw_memory *map, uint64_t bytes,
                                  const char *part, struct cw_fault *fault);

static inline bool table_is_kept(const struct cw_table *table)
{
    return table->memory != NULL && cw_keep_adopted(table->memory);
}

static inline uint32_t table_segment(const struct table_index *index, uint64_t hash)
{
    /* An entry that is not filled yet says what the one with its highest bit cleared says. */
    uint64_t mask = index->directory_mask;
    uint32_t segment = index->directory_read[hash & mask];
    while (CW_UNLIKELY(segment == 0)) { /* at most `depth` times: entry 0 is filled */
        mask >>= 1;
        segment = index->directory_read[hash & mask];
    }
    return segment;
}

static inline uint32_t table_home(uint64_t hash)
{
    return (uint32_t)hash >> TABLE_DEPTH_MAX;
}

static inline uint8_t table_tag(uint64_t hash)
{
    uint8_t tag = (uint8_t)(hash >> 56);
    return tag != 0 ? tag : 1;
}

/* One bit per slot whose tag this is. */
static inline uint32_t table_match(const struct table_group *group, uint8_t tag)
{
    __m128i tags = _mm_load_si128((const __m128i *)(const void *)group);
    __m128i same = _mm_cmpeq_epi8(tags, _mm_set1_epi8((char)tag));
    return (uint32_t)_mm_movemask_epi8(same) & ((1u << TABLE_GROUP_SLOTS) - 1);
}

static inline struct table_row *table_row_at(const struct cw_table *table, cw_row row)
{
    return (struct table_row *)(void *)(table->rows + row);
}

static inline bool table_row_live(const struct table_row *row)
{
    return (row->state | 2u) == TABLE_ROW_LIVE;
}

static inline const uint8_t *table_row_key(const struct table_row *row)
{
    return (const uint8_t *)row + TABLE_ROW_KEY;
}

static inline uint64_t table_value_offset(uint32_t key_bytes)
{
    return (TABLE_ROW_KEY + key_bytes + TABLE_ROW_UNIT - 1) & ~(uint64_t)(TABLE_ROW_UNIT - 1);
}

#endif
