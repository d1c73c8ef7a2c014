/*
 * store: a shard's tables, journal, log and checkpoints as one thing that commits: the changes of a
 * turn become a frame when none is under way, so commits are as large as the disk is slow.
 *
 * Life:    open -> turn* -> finish* -> close. Recovery is done before: log.h, checkpoint.h.
 * Memory:  none of its own; it closes the log and the checkpoint that it was given.
 * Threads: its shard only.
 * Bounds:  changes of pending_bytes_max may wait for a commit; then cw_store_room is false.
 * Fails:   never by itself; what the log says (failed) ends the process, see on_fault.
 */
#ifndef CW_CORE_STORE_H
#define CW_CORE_STORE_H

#include "core/checkpoint.h"
#include "core/journal.h"
#include "core/log.h"
#include "core/port.h"

struct cw_store_options {
    struct cw_journal *journal;
    struct cw_log *log;
    struct cw_checkpoint *checkpoint;
    uint64_t pending_bytes_max; /* 0: 16 MiB */
    uint64_t checkpoint_bytes;  /* of log between two checkpoints; 0: 1 GiB */
    uint32_t checkpoint_rows;   /* in one slice; 0: 64 */
    void *self;
    /* Just before changes become a frame: last changes of who owns the tables, made and noted now.
     */
    void (*before)(void *self);
    /* A frame with everything done so far was submitted; it, and all that was staged, is durable.
     */
    void (*staged)(void *self);
    void (*released)(void *self);
    /* The disk failed: nothing may leave any more. Does not return. */
    void (*on_fault)(void *self, const char *why);
    /* A checkpoint counts now. May be NULL. */
    void (*checkpointed)(void *self);
    int64_t (*now_ms)(void *self); /* the engine's clock, for frames */
};

struct cw_store; /* opaque */

CW_MUST_USE cw_err cw_store_open(struct cw_store **store, const struct cw_store_options *options,
                                 struct cw_fault *fault);

/* Its commit port for a shard. */
struct cw_commit cw_store_commit(struct cw_store *store);

/* A checkpoint as soon as may be. */
void cw_store_checkpoint(struct cw_store *store);

/* Rows were removed that must not be found in any file any more: two checkpoints as soon as may be,
   each with a segment of its own begun, so that afterwards neither kept generation nor the log has
   what was before. Segments are always removed once released, never written anew, so what is not
   finished at a stop or a crash is by any two checkpoints that follow. */
void cw_store_erase(struct cw_store *store);

/* Erasures that are through, counted by cw_store_erase: the checkpoints are made, and files that
   had what was before are gone, for good. While pinned none is. */
uint64_t cw_store_erased(const struct cw_store *store);

/* While pinned, no checkpoint begins once the one at work or wanted is made, and no file is
   removed: the newest checkpoint and the log since can be copied as they grow. */
void cw_store_pin(struct cw_store *store, bool on);

/* Checkpoints that count since open. */
uint64_t cw_store_checkpoints(const struct cw_store *store);

/* What to copy once a checkpoint was made and while the store is pinned: that checkpoint, and the
   log that belongs to it as far as it is durable. */
struct cw_store_image {
    uint64_t checkpoint; /* its `begin`, which its name says */
    struct cw_log_extent log;
};

void cw_store_image(const struct cw_store *store, struct cw_store_image *image);

/* Called by the shard when it has nothing else to do for a while: seals the log. */
void cw_store_idle(struct cw_store *store);

/* Commits what is left, and with `checkpoint` makes a last one; true when all is durable. */
CW_MUST_USE bool cw_store_finish(struct cw_store *store, bool checkpoint);

/* True when new work must be refused since the disk is full. */
bool cw_store_full(const struct cw_store *store);

/* Whether a checkpoint was made since open, and if so its `begin`. */
CW_MUST_USE bool cw_store_newest(const struct cw_store *store, uint64_t *begin);

/* clean: everything was finished; the log's last LSN then, 0 where it could not be ended (log.h).
 */
uint64_t cw_store_close(struct cw_store *store, bool clean);

struct cw_store_stats {
    struct cw_log_stats log;
    struct cw_checkpoint_stats checkpoint;
    uint64_t commits, pending_bytes, log_bytes; /* log_bytes: what a restart would read */
    bool checkpointing, full;
};

void cw_store_stats(const struct cw_store *store, struct cw_store_stats *stats);

#endif
