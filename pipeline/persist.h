/*
 * persist: state that outlives the process. What a core remembers leaves it as records
 * (core/record.h), one per row, and comes back from them in another process, on any number of
 * cores.
 *
 * A row's record is its key and its value as they are in memory. Where a value holds what only
 * means something in its own process (links to other rows, timers, slots) it is read over:
 * cw_pipeline_relink makes all of that anew.
 *
 *     before each commit:  cw_pipeline_note(p); then the records of what changed (core/journal.h)
 *     at a start:          open -> cw_pipeline_load_batch of all records -> cw_pipeline_relink
 *                          -> cw_pipeline_settle_in_doubt until it is through -> events
 *
 * What relink changes in rows is a change as any other: a journal forgets after the loading and
 * before the relinking, or a checkpoint follows.
 *
 * Threads: the pipeline's core.
 */
#ifndef CW_PIPELINE_PERSIST_H
#define CW_PIPELINE_PERSIST_H

#include "core/keep.h"
#include "core/record.h"
#include "core/text.h"
#include "pipeline/pipeline.h"

/* The tables' numbers in records: fixed for ever. */
#define CW_TABLE_NUMBERS(X) \
    X(customers, 0)         \
    X(carts, 1)             \
    X(candidates, 2)        \
    X(dedup, 3)             \
    X(scores, 4)            \
    X(products, 5)          \
    X(messages, 6)          \
    X(links, 7)             \
    X(seen, 8)              \
    X(meta, 9)

enum cw_table_number {
#define CW_X(name, number) CW_TABLE_##name = (number),
    CW_TABLE_NUMBERS(CW_X)
#undef CW_X
    CW_TABLE_NUMBER_COUNT = 10
};

/* The table of that number, to give it to a journal or to walk it. */
struct cw_table *cw_pipeline_table(struct cw_pipeline *pipeline, enum cw_table_number number);

/*
 * The partition that the record's row belongs to. False: to all cores, which is so for products,
 * ids of events about products, what is no row (meta), removals of short links (their keys tell
 * nothing; to remove what is not there is nothing), and what is malformed, which any core refuses.
 */
CW_MUST_USE bool cw_persist_owner(const struct cw_record *record, uint32_t partitions,
                                  uint32_t *partition);

/*
 * Puts or removes one row, before anything else is asked of the pipeline. Records of one core that
 * was come in their order; the cores one after the other in any order. Nothing is believed: what
 * could not have been written is CW_ERR_CORRUPT, a full table CW_ERR_LIMIT; the pipeline can only
 * be closed then.
 */
CW_MUST_USE cw_err cw_pipeline_load(struct cw_pipeline *pipeline, const struct cw_record *record,
                                    struct cw_fault *fault);

/* About so many rows of each table, by number, will be loaded into a pipeline that has none: a
   hint, which saves the growth of indexes. Tables that it does not know are passed over. */
void cw_pipeline_expect(struct cw_pipeline *pipeline, const uint64_t *rows, uint32_t tables);

/* So many at a time hide the memory's latency; the longest batch. */
#define CW_LOAD_BATCH 64u

/* The same for `count` records, at most CW_LOAD_BATCH, as if each were loaded after the one before:
   what they will touch is asked for in front. Where one is refused, those before it are applied. */
CW_MUST_USE cw_err cw_pipeline_load_batch(struct cw_pipeline *pipeline,
                                          const struct cw_record *records, uint32_t count,
                                          struct cw_fault *fault);

/* Takes back all that was loaded, before anything else is asked of the pipeline: its tables are
   opened anew. Rows in a memory with a name are gone, and cw_pipeline_place with new memory has to
   follow. CW_ERR_IO: the system has no room for them, and the pipeline can only be closed. */
CW_MUST_USE cw_err cw_pipeline_unload(struct cw_pipeline *pipeline, struct cw_fault *fault);

struct cw_relink {
    uint32_t cores_before; /* that wrote the records; 0: there are none */
    uint32_t cores;        /* that there are now; options.core is one of them */
};

/*
 * After the last record: makes anew what is not in rows, and takes the rows over to the programs
 * that the pipeline was opened with, as cw_pipeline_reprogram would have. The clock goes on where
 * it was (where the number of cores changed: at the latest of all), and no event may be before it.
 * Counters stay with their core; where the number of cores changed, their sums over all cores stay.
 * Cost: a visit to each row. CW_ERR_CORRUPT as above, where rows contradict each other.
 */
CW_MUST_USE cw_err cw_pipeline_relink(struct cw_pipeline *pipeline, const struct cw_relink *how,
                                      struct cw_fault *fault);

/*
 * Memory that outlives the process (core/keep.h), instead of all of the above at a start:
 *
 *     stop:   no journal any more -> cw_pipeline_seal -> the memory is marked
 *     start:  open -> cw_pipeline_place with the memory that was left -> its mark is taken away
 *             -> journal -> cw_pipeline_adopt -> cw_pipeline_settle_in_doubt -> events
 *
 * Only for the same number of cores and equal programs, options, layout: who starts looks.
 */

/* Opens rows and timers anew, in that memory, as it was left there, or new (then load and relink
   follow). Before a row is loaded. CW_ERR_NOT_FOUND: what was left is none of such a pipeline;
   try again with new memory. Once through, the memory may be closed. */
CW_MUST_USE cw_err cw_pipeline_place(struct cw_pipeline *pipeline, struct cw_keep *memory,
                                     struct cw_fault *fault);

/* Makes anew what is neither row nor timer; visits programs, no rows. *rows: how many there are. */
CW_MUST_USE cw_err cw_pipeline_adopt(struct cw_pipeline *pipeline, uint32_t cores, uint64_t *rows,
                                     struct cw_fault *fault);

/* Everything is committed, nothing will change: leaves in the memory what is not there yet. */
void cw_pipeline_seal(struct cw_pipeline *pipeline);

/* Another number: rows, links and timers of another meaning. */
uint64_t cw_pipeline_layout(void);
/* Equal programs have an equal one. */
uint64_t cw_pipeline_programs(const struct cw_pipeline *pipeline);

/* Brings the rows of `meta` up to date: once before each commit. Writes only what has changed. */
void cw_pipeline_note(struct cw_pipeline *pipeline);
/* The counters alone, of events that changed no row since. */
void cw_pipeline_note_counters(struct cw_pipeline *pipeline);

/* Tells the id of each program that the rows of `meta` name: after a relink on as many cores, and
   until the next note, those that this core ran with when they were written. */
void cw_pipeline_ran(const struct cw_pipeline *pipeline,
                     void (*tell)(void *with, struct cw_view id), void *with);

/* Tells the program of each candidate in flight that was relinked without it (D34: its touches are
   skipped), before anything else is asked; the views stay until then. Visits no row where there is
   none, else each candidate. After cw_pipeline_adopt it tells nothing. */
void cw_pipeline_astray(const struct cw_pipeline *pipeline,
                        void (*tell)(void *with, struct cw_view program), void *with);

int64_t cw_pipeline_now(const struct cw_pipeline *pipeline);

/*
 * What was under way when the process ended is in doubt: each such message becomes what an UNKNOWN
 * of its channel makes of it, at the restored clock. Visits at most so many candidates; true when
 * it is through. Before the first event and before time passes.
 */
CW_MUST_USE bool cw_pipeline_settle_in_doubt(struct cw_pipeline *pipeline, uint32_t most);

/* Holds all sends for these reasons (a set of CW_HOLD_*), or (none) lets go of them: touches are
   deferred as `paused`, everything else goes on. What the rows keep is only that there are some;
   which ones, the manifest says. */
void cw_pipeline_hold_sends(struct cw_pipeline *pipeline, uint32_t reasons);
uint32_t cw_pipeline_sends_held(const struct cw_pipeline *pipeline);

/* A wall clock that nobody believes is so far ahead of the pipeline's, in ms; 0: none is. Should it
   be right, the clock will leap: so what is remembered for a time is remembered from the later of
   the two, and whoever unsubscribes does so at that. Not kept: told anew after a start. */
void cw_pipeline_doubt_wall(struct cw_pipeline *pipeline, int64_t ahead);

/* The clock goes on to `now` without what is due meanwhile: that is overdue then, and happens at
   `now` or later as time passes on. For a machine that slept, or whose clock was put right: a touch
   must not see the quiet hours of a time that is over. */
void cw_pipeline_leap(struct cw_pipeline *pipeline, int64_t now);

/*
 * Of touches that are pending and were due before `until` (those that a hold or a pause put off:
 * planned before it) nobody knows whether they went out: each counts as sent at that time, and
 * becomes what an UNKNOWN of its channel makes of it. Visits at most so many candidates; true when
 * it is through, which it is only once time has passed: what is overdue may make candidates whose
 * touches are such, too. No row may be loaded, and no other walk be begun, before that.
 */
CW_MUST_USE bool cw_pipeline_assume_sent(struct cw_pipeline *pipeline, int64_t until,
                                         uint32_t most);

/*
 * Appends the whole logical state as sorted lines, one per row: "TABLE key-in-hex fields...". What
 * is the process's own is left out, so equal states give equal text; so do the parts of several
 * cores together, sorted, each line once. Clock and counters stand in none of them. (persist_ctl.c)
 */
void cw_pipeline_dump(const struct cw_pipeline *pipeline, struct cw_text *out);

#endif
