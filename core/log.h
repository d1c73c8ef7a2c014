/*
 * log: one shard's redo log: frames of records in segment files, a frame for each commit, one write
 * and one flush each, at most one under way (group commit: the next fills meanwhile).
 *
 * A frame is atomic: after any crash it is recovered whole or not at all, and only if all frames
 * before it are. Its number is its LSN: 1, 2, 3, ... over the whole life of the log, without gaps.
 * Segment and frame layout, recovery's decision table and what is promised: core/README.md.
 *
 * Life:    cw_log_recover -> { room -> submit -> poll }* -> close. Recovery always begins a new
 *          segment: nothing is ever written behind an old tail. Its halves apart, read -> begin,
 *          are for who has more than one log to judge before anything is written.
 * Memory:  two frame buffers that grow to the largest frame.
 * Threads: its shard only.
 * Bounds:  a frame has at most CW_LOG_FRAME_BYTES_MAX; segments that are not needed for recovery
 *          any more (cw_log_release) are written anew, or removed where their bytes must go, so the
 *          files' size follows the distance between checkpoints.
 * Fails:   recover. Afterwards cw_log_fault says that a write or a flush failed: nothing after the
 *          last durable frame may be acknowledged, and the process has to end; or that the disk is
 *          full: see cw_log_full.
 */
#ifndef CW_CORE_LOG_H
#define CW_CORE_LOG_H

#include "core/disk.h"
#include "core/view.h"

#define CW_LOG_FRAME_BYTES_MAX (3u << 30)

struct cw_log; /* opaque */

struct cw_log_options {
    struct cw_disk disk;
    uint8_t store[16]; /* which state it belongs to: another's segments are refused */
    uint32_t shard;
    uint64_t segment_bytes; /* a multiple of 4 KiB, at least 8 KiB; 0: 64 MiB */
    uint64_t random;        /* unguessable: salts come from it */
    bool os;                /* durability `os`: frames are written, not flushed */
    bool read_only;         /* inspect, verify: nothing is changed, and nothing can be appended */
    uint64_t since;         /* frames up to this LSN are not applied (a checkpoint has them) */
    uint64_t until;         /* a checkpoint needs all up to here: fewer is damage; 0: none does */
};

/* Where recovery met damage. */
struct cw_log_damage {
    uint64_t lsn;      /* of the first frame that is not there as it was; 0: no damage */
    uint64_t last_lsn; /* of the last frame that is whole behind it, or `lsn` */
    uint64_t segment, offset;
    bool may_be_cut; /* all before it is whole, and enough: the log may end there */
};

/* What recovery found. */
struct cw_log_found {
    uint64_t last_lsn;  /* the last frame that was applied or skipped; 0: none */
    int64_t logical_ms; /* its clock */
    bool clean;         /* the last frame says that the log was closed in order */
    uint64_t frames, bytes, segments;
    uint64_t torn_bytes;         /* of what was being written when it crashed, never acknowledged */
    struct cw_log_damage damage; /* also where recovery failed */
    uint64_t passed_lsn; /* the first damaged frame that a checkpoint stands for (`since`), so that
                            it does not matter; 0: none */
};

/* Applies one frame's records, in the order of LSNs. False: they are no records (recovery ends as
   damaged). */
typedef bool cw_log_apply(void *with, uint64_t lsn, int64_t logical_ms, struct cw_view records);

/* Reads the log to its end, then opens it for appending. CW_ERR_CORRUPT: acknowledged data is
   damaged or missing; the message says segment, offset and LSN, and nothing has been changed on the
   disk. CW_ERR_IO: the disk failed. */
CW_MUST_USE cw_err cw_log_recover(struct cw_log **log, const struct cw_log_options *options,
                                  cw_log_apply *apply, void *with, struct cw_log_found *found,
                                  struct cw_fault *fault);

/* The first half of it: nothing is changed on the disk. Only begin or close may follow.
   found->segments is 0 where there is no log at all. */
CW_MUST_USE cw_err cw_log_read(struct cw_log **log, const struct cw_log_options *options,
                               cw_log_apply *apply, void *with, struct cw_log_found *found,
                               struct cw_fault *fault);

/* The other half: removes leftovers and begins a segment. Where it fails, close follows. sys_errno
   ENOSPC: there is no room for a segment. */
CW_MUST_USE cw_err cw_log_begin(struct cw_log *log, struct cw_fault *fault);

/* Waits for what is under way; clean: writes a last frame that says that nothing is missing. Frees
   the log either way. LSN of the last frame, where the log ended with it: it is that last frame,
   and durable; else 0. */
uint64_t cw_log_close(struct cw_log *log, bool clean);

/* True while a frame is under way, and for good once something failed: submit must wait. */
CW_MUST_USE bool cw_log_busy(const struct cw_log *log);

/* Where the next frame's records go: `bytes` of room, 8-byte aligned, at most
   CW_LOG_FRAME_BYTES_MAX. Valid until submit or the next call, which keeps what is in it but may
   move it. May be filled while a frame is under way. */
char *cw_log_room(struct cw_log *log, uint32_t bytes);

/* The `bytes` written into the room become the next frame; returns its LSN. */
uint64_t cw_log_submit(struct cw_log *log, uint32_t bytes, int64_t logical_ms);

/* For a shard that has been idle for a second: an empty frame, so that the last one has a successor
   and damage to it is told from what a crash leaves. It takes an LSN, so nothing may be noted that
   has been promised the next. Nothing happens when the last frame has a successor already, or one
   is under way. */
void cw_log_seal(struct cw_log *log, int64_t logical_ms);

/* The next frame begins a new segment, so that the one before it can be released as a whole. */
void cw_log_turn_over(struct cw_log *log);

/* Takes in what the disk has done, rotates segments, prepares the next ones in the background. True
   when something has happened. */
bool cw_log_poll(struct cw_log *log);

uint64_t cw_log_last(const struct cw_log *log);    /* LSN of the last frame submitted */
uint64_t cw_log_durable(const struct cw_log *log); /* of the last durable frame */

/* Of the last one that is known to be flushed: the same, but for durability `os`, where durable
   frames are only written. cw_log_flush has it come up to what is durable now: the log is busy for
   a flush then, as soon as no frame is under way. */
uint64_t cw_log_flushed(const struct cw_log *log);
void cw_log_flush(struct cw_log *log);

/* NULL while all is well; else what failed, for people: nothing more will become durable. */
const char *cw_log_fault(const struct cw_log *log);

/* True while no segment can be made for what comes after the ones that are there (the disk is
   full): what is not needed must be refused now. One segment is kept in reserve for the rest.
   When that is used up too, the log stays busy until there is space or a segment is released:
   nothing is lost, and it is no fault. A full disk is tried again by cw_log_poll after many polls,
   and at the next one after cw_log_look_again. */
bool cw_log_full(const struct cw_log *log);

/* There may be space now: for who knows the time, which polls do not tell. */
void cw_log_look_again(struct cw_log *log);

/* Frames up to that LSN, a durable one, are not needed for recovery any more. erase: their segments
   are removed instead of written anew, since something in them has to go; so are those that were
   released before and wait to be written anew. A segment that is being written anew has an earlier
   use's bytes behind its last frame until it is released itself. */
void cw_log_release(struct cw_log *log, uint64_t lsn, bool erase);

/* True while some of what was released with `erase` is still in a file, or could be again after a
   crash: its removal is under way, waits for its turn, or is not flushed. cw_log_poll goes on. */
bool cw_log_erasing(const struct cw_log *log);

/* Bytes of frames since that LSN: how much a restart would read. Within a segment it is an estimate
   that takes all frames to be equal; 0 when it is the last one. */
uint64_t cw_log_bytes_since(const struct cw_log *log, uint64_t lsn);

/* Bytes of the files that have frames after that LSN only, and of those frames in the one before.
 */
uint64_t cw_log_space_since(const struct cw_log *log, uint64_t lsn);

/* Where the frames after an LSN are, up to the last durable one: segments from `first` to `last`,
   and of that so many bytes. These stay as they are while nothing is released, so they can be
   copied while more is written. What stands beyond must not be: a frame that is being written could
   be copied torn and the one behind it whole, which is damage and not a crash. */
struct cw_log_extent {
    uint64_t first, last, last_bytes;
};

void cw_log_extent(const struct cw_log *log, uint64_t lsn, struct cw_log_extent *extent);

struct cw_log_stats {
    uint64_t frames, bytes, segments_made, segments_recycled, segments_kept;
};

void cw_log_stats(const struct cw_log *log, struct cw_log_stats *stats);

#endif
