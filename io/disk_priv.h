/* Shared by disk.c (the shard and its two lanes), disk_file.c (the system calls) and disk_ctl.c
 * (set-up). */
#ifndef CW_IO_DISK_PRIV_H
#define CW_IO_DISK_PRIV_H

#include "core/ring.h"
#include "io/disk.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- disk_file.c: one operation at a time of each lane ---- */

enum {
    CW_DISK_FREE = -1,
    CW_DISK_TAKEN = -2 /* by a lane that opens a file */
};

struct cw_disk_files {
    int directory;
    bool direct, read_only;
    _Atomic int failed; /* the errno of a flush that failed; from then on nothing is changed */
    _Atomic int fds[CW_DISK_FILES_MAX]; /* or CW_DISK_FREE, CW_DISK_TAKEN */
};

/* Sets error, file, got, size. *flush_ns: what a WRITE with sync took, 0 for all else. */
void cw_disk_carry_out(struct cw_disk_files *files, struct cw_disk_op *op, uint64_t *flush_ns);

/* ---- the store ---- */

/* An operation on its way, and what the counts want to know of it. */
struct cw_disk_slot {
    struct cw_disk_op *op;
    uint64_t flush_ns;
    struct cw_disk_slot *next;
};

enum {
    CW_DISK_LANES = 2 /* foreground, background */
};

struct cw_disk_lane {
    struct cw_disk_store *store;
    struct cw_ring *posted, *finished;
    pthread_t thread;
    bool running;
    _Alignas(CW_CACHE_LINE) _Atomic uint32_t bell; /* enum bell */
    /* What is carried out: since when, in ns, shifted, and its kind; 0: nothing. Written by the
       lane's thread alone, on a line that the shard does not write. */
    _Alignas(CW_CACHE_LINE) _Atomic uint64_t work;
};

enum {
    CW_DISK_KIND_BITS = 4 /* of `work`; what is left of the time are 36 years */
};

static_assert(CW_DISK_SYNC_NAMES < 1 << CW_DISK_KIND_BITS, "every kind fits");

struct cw_disk_store {
    /* The shard's. */
    struct cw_disk_slot slots[CW_DISK_OPS_MAX];
    struct cw_disk_slot *free;
    uint32_t under_way;
    struct cw_disk_counts counts;
    struct cw_disk_options options;
    /* Between it and the lanes, see disk.c. */
    struct cw_disk_lane lanes[CW_DISK_LANES];
    _Atomic bool stopping;
    _Alignas(CW_CACHE_LINE) _Atomic uint32_t news; /* enum news */
    /* The lanes'. */
    _Alignas(CW_CACHE_LINE) struct cw_disk_files files;
    /* Set-up's. */
    struct cw_arena arena;
    char name[128];
};

/* `self` is a store; of the first one, a lane of it. */
void *cw_disk_run(void *self); /* its thread */
void cw_disk_submit(void *self, struct cw_disk_op *op);
bool cw_disk_poll(void *self);
void cw_disk_wait(void *self);
void cw_disk_stop(struct cw_disk_store *store); /* the lanes end when nothing is left to do */

#endif
