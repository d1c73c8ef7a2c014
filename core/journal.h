/*
 * journal: which rows of a shard's tables were changed since the last commit, and their images as
 * records.
 *
 * A table that is given to a journal (cw_table_journal) notes in it: rows that were put, resized or
 * asked for by cw_table_edit, once each however often; rows that were removed, by their keys. A
 * commit then writes all removals, after them the images of all changed rows as they are by then.
 * That is right in any order of what happened: a row that was changed and removed is a removal; one
 * that was removed and put anew is a removal and an image.
 *
 * Life:    open -> { tables change rows -> cw_journal_write }* -> close.
 * Memory:  lists that grow by use; they follow what one commit holds.
 * Threads: its shard only.
 * Fails:   open; misuse asserts.
 */
#ifndef CW_CORE_JOURNAL_H
#define CW_CORE_JOURNAL_H

#include "core/record.h"
#include "core/table.h"

#define CW_JOURNAL_TABLES_MAX 16u

struct cw_journal; /* opaque */

CW_MUST_USE cw_err cw_journal_open(struct cw_journal **journal, struct cw_fault *fault);
void cw_journal_close(struct cw_journal *journal);

/* From now on the table's changes are noted under this number, below CW_JOURNAL_TABLES_MAX, which
   is what its records say. The table must be empty or unchanged since the last commit. The journal
   outlives the table or is taken away with journal NULL. Taking it away, like closing the table,
   forgets all that is noted, also of other tables: a commit without one of them is none. */
void cw_table_journal(struct cw_table *table, struct cw_journal *journal, uint8_t number);

/* True when nothing was changed since the last write. O(1). */
CW_MUST_USE bool cw_journal_clean(const struct cw_journal *journal);

/* Exactly how many bytes cw_journal_write would write. O(1): kept up as rows are noted, resized and
   removed. */
uint64_t cw_journal_bytes(const struct cw_journal *journal);

/* The same, for who only wants a bound. */
static inline uint64_t cw_journal_estimate(const struct cw_journal *journal)
{
    return cw_journal_bytes(journal);
}

/* Writes them all, cw_journal_bytes() of room, 8-byte aligned; nothing is noted any more. Returns
   the byte after them. */
char *cw_journal_write(struct cw_journal *journal, char *to);

/* Forgets what was noted without writing it: after rows were loaded. */
void cw_journal_forget(struct cw_journal *journal);

/* Proves that the list and the marks in the rows agree. Slow: walks all rows. */
bool cw_journal_check(const struct cw_journal *journal);

#endif
