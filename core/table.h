/*
 * table: a memory-mapped hash table with exact keys and rows of variable length.
 *
 * One row is a header of the table's own, the key, and a value of value_bytes whose layout is the
 * caller's. Rows live in size classes of one reserved mapping and never move by themselves: a
 * cw_row stays valid until its row is removed or resized. The index over them is made of segments
 * of 64 groups; a group is one cache line of 12 slots with one-byte tags probed at once. It grows
 * by splitting one segment at a time (extendible hashing), so no operation ever waits for a rehash
 * of everything: the longest put is one split (768 slots, no row touched; 3 us), or the
 * kernel's clearing of a page that is used for the first time (2 MiB, 0.2 ms, once per 13,000
 * rows of 160 bytes). The directory of segments doubles without a copy. Nothing ever shrinks: the
 * memory of a removed row serves later rows of its size class, or is cut into smaller ones once the
 * mapping is used up; rows are never joined, so large rows may be refused then while small ones
 * are free.
 *
 * A table may have a journal (journal.h): then it notes which rows change between two commits, and
 * the three ways to a row's value say what they are for: reading, changing, linking.
 *
 *     batch:  for each key  hash = cw_hash(...); cw_table_prefetch(table, hash);
 *             for each key  cw_table_prefetch_row(table, hash);   tags read, row line requested
 *             for each key  row = cw_table_find(table, hash, key, key_bytes);
 *
 * Life:    open -> put/find/resize/remove -> (seal) -> close.
 * Memory:  address space for bytes_max is reserved at open (an anonymous mapping with huge pages
 *          asked for, or a sparse file when path is given, whose disk must not fill up: the
 *          kernel then kills the process); pages are used as rows come. A row takes 8
 *          bytes, its key, the value on the next 16, all rounded up to its class (by 16 to 256
 *          bytes, then at most 1/8 more); the index, anonymous with a path too, 14 bytes on
 *          average. With a memory (keep.h) rows and index lie in its areas: sealed, they are
 *          taken over as they are by a table of the same name, bounds and hash key.
 * Threads: its shard only.
 * Bounds:  rows_max rows (at most 2^32), bytes_max of rows (under 64 GiB); key 1 to 1,024 bytes,
 *          value up to 2 MiB; a search looks at 8 groups at most.
 * Fails:   put and resize return CW_ROW_NONE when a bound is reached (nothing changed); to make a
 *          value shorter never fails. The index has room for rows_max rows of random hashes: who
 *          knew the hash key could choose keys that put refuses. Misuse asserts.
 * Source:  Swiss tables' one-byte tags; F14's counts instead of tombstones; extendible hashing
 *          (Fagin et al. 1979).
 */
#ifndef CW_CORE_TABLE_H
#define CW_CORE_TABLE_H

#include "core/err.h"
#include "core/hash.h"
#include "core/keep.h"
#include "core/view.h"

#define CW_ROW_NONE            ((cw_row)0)
#define CW_TABLE_KEY_BYTES_MAX 1024u
#define CW_TABLE_VALUE_MAX     (2u << 20)

typedef uint64_t cw_row; /* offset of the row in the mapping, never 0 */

struct cw_table; /* opaque: owns a mapping */

struct cw_table_options {
    const char *name;          /* for messages and statistics; a literal */
    const char *path;          /* a file to map: new or empty; or NULL for anonymous memory */
    struct cw_keep *memory;  /* where it lies, kept or new, path is NULL then; NULL: as above */
    uint64_t rows_max;         /* the bound on rows */
    uint64_t bytes_max;        /* the bound on row bytes (headers and class rounding included) */
    struct cw_hash_key hash;   /* keys the hash: not guessable by who sends keys */
    uint32_t value_bytes_hint; /* the usual value size: how much prefetch_row asks for */
};

struct cw_table_stats {
    uint64_t rows, row_bytes_used, row_bytes_mapped, index_bytes, splits;
};

CW_MUST_USE cw_err cw_table_open(struct cw_table **table, const struct cw_table_options *options,
                                 struct cw_fault *fault);
void cw_table_close(struct cw_table *table);

/* Nothing will change any more: notes in the table's memory what it holds of the index itself. */
void cw_table_seal(struct cw_table *table);

/* Makes real, ahead of its growth, what the table will want next, a few huge pages at most; true
   when there is more to do. Any one thread, while the table is open: all else is its shard's. */
bool cw_table_populate(struct cw_table *table);

/* About so many rows will be put into a table that never had one: its index is made as large now as
   splits would make it, so that these are saved. Too high a guess costs the memory of an index for
   rows that do not come; rows_max bounds it. */
void cw_table_expect(struct cw_table *table, uint64_t rows);

/* The hash of a key for this table; the other calls take it so that it is worked out once. */
uint64_t cw_table_hash(const struct cw_table *table, const void *key, uint32_t key_bytes);

void cw_table_prefetch(const struct cw_table *table, uint64_t hash);

/* Instead of the above where the key is likely to be put: also what put writes and find never reads
   (7 ns less per new row, a wasted line for others). */
void cw_table_prefetch_put(const struct cw_table *table, uint64_t hash);
void cw_table_prefetch_row(const struct cw_table *table, uint64_t hash);

/* Instead of that where only the row's key and the first bytes of its value are wanted. */
void cw_table_prefetch_key(const struct cw_table *table, uint64_t hash);

/* The first line of a row the caller will touch in a moment; CW_ROW_NONE is allowed. */
void cw_table_prefetch_at(const struct cw_table *table, cw_row row);

/* The same, with as many lines as value_bytes_hint says. */
void cw_table_prefetch_all_at(const struct cw_table *table, cw_row row);

/* CW_ROW_NONE when the key is not there. */
cw_row cw_table_find(const struct cw_table *table, uint64_t hash, const void *key,
                     uint32_t key_bytes);

/* Finds the row, or makes one with value_bytes of zeroes. *added says which. */
CW_MUST_USE cw_row cw_table_put(struct cw_table *table, uint64_t hash, const void *key,
                                uint32_t key_bytes, uint32_t value_bytes, bool *added);

/* Makes the value that long: kept bytes keep their content, new ones are zero. The row moves only
   when its size class changes; the old cw_row and pointers into it are then invalid. */
CW_MUST_USE cw_row cw_table_resize(struct cw_table *table, cw_row row, uint32_t value_bytes);

void cw_table_remove(struct cw_table *table, cw_row row);

/* Pointers into the row: valid until it is removed or resized. Values are 16-byte aligned. */
const void *cw_table_value(const struct cw_table *table, cw_row row);

/* For changing the value: notes the row in the table's journal, before the change. The pointer is
   good for changes until the journal is next written. */
void *cw_table_edit(struct cw_table *table, cw_row row);

/* For changing what a restart makes anew from the rows themselves (places in lists, handles of
   timers): never noted, so what it changes may or may not be in the row's next image. */
void *cw_table_link(const struct cw_table *table, cw_row row);
uint32_t cw_table_value_bytes(const struct cw_table *table, cw_row row);
struct cw_view cw_table_key(const struct cw_table *table, cw_row row);

/* Walks all rows in an order of the table's own, a few at a time: *cursor starts at 0; returns
   CW_ROW_NONE at the end. Rows put, resized or removed between calls may or may not be seen; every
   other row is seen exactly once. A call steps over the free rows before the next live one. */
cw_row cw_table_next(const struct cw_table *table, uint64_t *cursor);

/* Where a walk over all rows of now ends: the cursor grows up to it, by bytes. Rows that come later
   may lie behind it; it stays good for a walk whatever happens. */
uint64_t cw_table_end(const struct cw_table *table);

/* The same in bounded time and up to such an end: a step for each row, live or free, is taken off
   *steps, and with none left it returns. CW_ROW_NONE is the end if steps are left, else only a
   pause. */
cw_row cw_table_next_within(const struct cw_table *table, uint64_t *cursor, uint64_t end,
                            uint32_t *steps);

uint64_t cw_table_count(const struct cw_table *table);
void cw_table_stats(const struct cw_table *table, struct cw_table_stats *stats);

/* Proves the invariants: each row found by its key, counts right, free lists sound. Slow. */
bool cw_table_check(const struct cw_table *table);

#endif
