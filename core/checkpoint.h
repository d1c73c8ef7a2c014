/*
 * checkpoint: the rows of a shard's tables in one file, written a few at a time between batches.
 *
 * It is fuzzy: a row is written as it is when its turn comes. Begun when the log's last frame was
 * `begin` and ended when it was `end`, it is right together with the frames (begin, end] and
 * follows exactly from them: rows put, changed, moved or removed meanwhile are in those. It counts
 * from the moment that all of them are durable and the file has its end, its name and their flush.
 *
 * The file is a header, blocks of records (core/record.h) with a hash each, and a footer with the
 * counts; format in core/README.md. Names: checkpoint-<begin, 16 hex digits>; with .new while it is
 * written.
 *
 * Life:    open -> { begin -> slice* }* -> close.
 * Memory:  two block buffers; pages beyond the usual size are used once a row is that long.
 * Threads: its shard only.
 * Bounds:  a slice visits at most so many rows, steps over at most 8 times as many places of
 *          removed ones, copies at most what two blocks hold and never waits. At most four
 *          operations are with the disk, all in the background.
 * Fails:   open; later a checkpoint, which is no reason to end: the log has everything. If it was a
 *          flush that failed (cw_checkpoint_flush_failed) the device is not to be trusted any more.
 */
#ifndef CW_CORE_CHECKPOINT_H
#define CW_CORE_CHECKPOINT_H

#include "core/disk.h"
#include "core/record.h"
#include "core/table.h"

struct cw_checkpoint; /* opaque */
struct cw_checkpoint_found;

struct cw_checkpoint_options {
    struct cw_disk disk;
    uint8_t store[16];
    uint32_t shard;
    struct cw_table *const *tables; /* by number in records; NULL: none of that number; the array
                                       stays until close */
    uint32_t table_count;           /* at most 256 */
    uint32_t block_bytes; /* usual size of a block: a multiple of 4 KiB up to 1 MiB; 0: 256 KiB. A
                             longer row has a block of its own. */
    uint32_t keep;        /* generations that stay, at most 32; 0: 2 */
    const struct cw_checkpoint_found *found; /* what cw_checkpoint_read said: newer ones than that
                                                are damaged, do not count and are removed after the
                                                next; NULL: all that are there count */
};

CW_MUST_USE cw_err cw_checkpoint_open(struct cw_checkpoint **checkpoint,
                                      const struct cw_checkpoint_options *options,
                                      struct cw_fault *fault);
/* Gives up one that is being written, and waits for the disk. */
void cw_checkpoint_close(struct cw_checkpoint *checkpoint);

/* Begins one; there is none at work. last_lsn: of the last frame submitted, with all changes so far
   in it, or before it, or noted for the next. One with the same last_lsn as an earlier one takes
   its place, and they are one generation. */
void cw_checkpoint_begin(struct cw_checkpoint *checkpoint, uint64_t last_lsn, int64_t logical_ms);

enum cw_checkpoint_state {
    CW_CHECKPOINT_IDLE,
    CW_CHECKPOINT_ROWS,    /* has rows left to write: slice it */
    CW_CHECKPOINT_WAITING, /* for the disk, or for frames to be durable */
    CW_CHECKPOINT_DONE,    /* it counts, and older ones are gone: told once, then idle */
    CW_CHECKPOINT_FAILED   /* the disk refused (full, say): told once, then idle; the earlier ones
                              still count, cw_checkpoint_fault says why */
};

/* One slice of at most `rows` rows; polls the disk if something of its own is there. last_lsn: the
   frame that the next changes will be in, if any are noted, else the last submitted; flushed_lsn:
   the log's. */
enum cw_checkpoint_state cw_checkpoint_slice(struct cw_checkpoint *checkpoint, uint32_t rows,
                                             uint64_t last_lsn, uint64_t flushed_lsn);

/* The frame that has to be flushed before it goes on; 0: it waits for none. */
uint64_t cw_checkpoint_needs(const struct cw_checkpoint *checkpoint);

/* The last frame that recovery from the oldest kept generation does not need; 0: all are needed,
   which is so too while there are fewer generations than are to be kept: then the log from its
   beginning stands for the missing ones. */
uint64_t cw_checkpoint_oldest(const struct cw_checkpoint *checkpoint);

/* The same of the newest generation; 0: there is none. */
uint64_t cw_checkpoint_newest(const struct cw_checkpoint *checkpoint);

/* Why the last one that failed did; NULL: none has. */
const char *cw_checkpoint_fault(const struct cw_checkpoint *checkpoint);

/* True when that was a flush: of its file, which is gone, or of the directory's names. Nobody knows
   what that device keeps from now on, so a log on it ends as well. */
bool cw_checkpoint_flush_failed(const struct cw_checkpoint *checkpoint);

struct cw_checkpoint_stats {
    uint64_t rows, bytes; /* of the last one that was made */
    uint64_t begin;       /* of that too */
    uint64_t made, failed;
    uint64_t rows_done; /* of the one at work */
    uint64_t stuck;     /* files of older ones that it could not remove: the next one tries */
};

void cw_checkpoint_stats(const struct cw_checkpoint *checkpoint, struct cw_checkpoint_stats *stats);

/* ---- reading ---- */

struct cw_checkpoint_found {
    bool any;
    char name[CW_DISK_NAME_BYTES];
    uint64_t begin, end; /* LSNs */
    int64_t logical_ms;
    uint64_t rows, bytes;
    uint32_t refused; /* newer ones that are damaged; the log must reach back to this one */
    char why[200];    /* what is wrong with the last of those */
};

/* Where records go. */
struct cw_checkpoint_apply {
    bool (*apply)(void *with, struct cw_view records); /* a proven block's; false: no room */
    /* Before the first record: about how many rows each table will have, by number. It is what the
       file's end says, which is not proven yet: a hint, and where it cannot be had it is not given.
       NULL: nobody wants it. */
    void (*expect)(void *with, const uint64_t *rows, uint32_t tables);
    /* Takes back all that was applied; false: it cannot be. NULL: nothing ever can. */
    bool (*forget)(void *with);
    void *with;
};

/* Finds the newest one that is whole and applies its records, a block at a time; removes what is
   left of unfinished ones unless read_only. Records come in no order of meaning; those of one row,
   of which there may be several, in the order in which they were true. Four reads of 2 MiB at a
   time. A file is read once, its blocks applied as they are proven; where one is bad, `forget` is
   called before an older file is tried, or CW_ERR_CORRUPT returned. Without `forget` it is read
   twice, all of it proven before anything is applied. Nothing to be found is no failure:
   found->any is false.
   CW_ERR_CORRUPT: there are some and none is whole, or the one that was whole was not so any more
   when it was applied. CW_ERR_LIMIT: apply returned false to one that is whole. In these last two
   cases a part is applied, and the tables are good for nothing. CW_ERR_UNSUPPORTED: the newest is
   whole, but of another format, or of another state or shard: no damage, so nothing older is tried.
   CW_ERR_IO: the directory, or one that could not be read and no other one does: it may be whole;
   or forget returned false. */
CW_MUST_USE cw_err cw_checkpoint_read(const struct cw_disk *disk, const uint8_t store[16],
                                      uint32_t shard, bool read_only,
                                      const struct cw_checkpoint_apply *to,
                                      struct cw_checkpoint_found *found, struct cw_fault *fault);

/* Removes unfinished ones, which nobody will ever finish: before the first is begun. What cannot be
   removed is wasted room at worst. */
void cw_checkpoint_tidy(const struct cw_disk *disk);

#endif
