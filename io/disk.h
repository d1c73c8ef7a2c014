/*
 * disk: a directory of the operating system as the disk of one shard (core/disk.h).
 *
 * Every store has two threads that carry its operations out with plain system calls, one those of
 * the foreground and one those of the background, so that the shard makes none but to wake a thread
 * that sleeps. Handing over takes no lock on either side.
 *
 * Beyond what core/disk.h promises:
 * - At open, the names in the directory and the directory's own name are made durable; OPEN makes
 *   the bytes of its file durable before it is done. So what recovery reads will still be there
 *   after the next crash.
 * - After a flush has failed (a WRITE with sync, SYNC_NAMES, an OPEN) all but READ and
 *   CLOSE fails with the same error and is not tried: the kernel may have marked the lost pages
 *   clean, and a later flush would succeed without them.
 *
 * Life:    open -> { submit | poll | wait }* -> close, which first carries out what is under way.
 * Memory:  taken at open, about 32 KiB.
 * Threads: the port and the counts belong to one thread at a time, the shard's; wake() is called on
 *          the store's own threads; cw_disk_work from any.
 * Bounds:  CW_DISK_OPS_MAX operations, CW_DISK_FILES_MAX open files (EMFILE beyond).
 * Fails:   open. An operation fails by its `error`, an errno.
 */
#ifndef CW_IO_DISK_H
#define CW_IO_DISK_H

#include "core/disk.h"
#include "core/histogram.h"

#define CW_DISK_FILES_MAX 256u

struct cw_disk_store; /* opaque */

struct cw_disk_options {
    const char *directory; /* made with mode 0700 where it is not there; its parent must be */
    /* Called when something is complete that nobody waits for in wait(), once until the next poll:
       for a shard that sleeps elsewhere, in its network loop. NULL: it never does. */
    void (*wake)(void *self, uint32_t shard);
    void *self;
    uint32_t shard;
    /* O_DIRECT: reads see the disk, not pages that a failed flush has left in the cache, and writes
       leave no such pages. Where the file system refuses, it is done without (see the name), and
       opening a file drops such pages. */
    bool direct;
    bool leisurely; /* none of its threads asks for priority, see cw_disk_name */
    bool read_only; /* nothing is made or changed: what would fails with EROFS */
};

CW_MUST_USE cw_err cw_disk_open(struct cw_disk_store **store, const struct cw_disk_options *options,
                                struct cw_fault *fault);
void cw_disk_close(struct cw_disk_store *store); /* and every file; NULL: nothing */

struct cw_disk cw_disk_port(struct cw_disk_store *store);

/* What it runs on, for the start-up log: "two threads, one of real-time priority, pwrite and
   fdatasync, O_DIRECT". The foreground's takes the priority (SCHED_RR 1) where the process may
   (CAP_SYS_NICE, or RLIMIT_RTPRIO of 1); without it, a flush can take 8 ms while every CPU
   computes. */
const char *cw_disk_name(const struct cw_disk_store *store);

/* As far as poll() and wait() have seen. */
struct cw_disk_counts {
    uint64_t ops, errors, read_bytes, written_bytes, flushes;
    struct cw_histogram flush_ns; /* a WRITE with sync, from the begin of its write to the end of
                                     its flush, without the time in which it waited its turn */
};

const struct cw_disk_counts *cw_disk_counts(const struct cw_disk_store *store);

/* What the foreground's thread is carrying out at this moment, without what waits its turn. */
struct cw_disk_work {
    uint64_t since_ns; /* cw_clock_monotonic_ns; 0: nothing */
    enum cw_disk_kind kind;
};

struct cw_disk_work cw_disk_work(const struct cw_disk_store *store);

/* For people: "write" (with its flush, where it has one), "flush of names". */
const char *cw_disk_kind_name(enum cw_disk_kind kind);

#endif
