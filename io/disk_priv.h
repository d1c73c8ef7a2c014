/* Shared by disk.c (the two threads), disk_file.c (the system calls) and disk_ctl.c (set-up). */
#ifndef CW_IO_DISK_PRIV_H
#define CW_IO_DISK_PRIV_H

#include "core/ring.h"
#include "io/disk.h"

#include <pthread.h>
#include <stdatomic.h>

/* ---- disk_file.c: one operation at a time, on the store's thread ---- */

struct cw_disk_files {
    int directory;
    bool direct, read_only;
    int failed; /* the errno of the first flush that failed; from then on nothing is changed */
    int fds[CW_DISK_FILES_MAX]; /* -1: free */
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

struct cw_disk_store {
    /* The shard's. */
    struct cw_disk_slot slots[CW_DISK_OPS_MAX];
    struct cw_disk_slot *free;
    uint32_t under_way;
    struct cw_disk_counts counts;
    struct cw_disk_options options;
    /* Between the two, see disk.c. */
    struct cw_ring *posted, *finished;
    _Alignas(CW_CACHE_LINE) _Atomic uint32_t bell; /* enum bell */
    _Atomic bool stopping;
    _Alignas(CW_CACHE_LINE) _Atomic uint32_t news; /* enum news */
    /* The thread's. */
    _Alignas(CW_CACHE_LINE) struct cw_disk_files files;
    /* Set-up's. */
    struct cw_arena arena;
    pthread_t thread;
    bool running;
    char name[96];
};

void *cw_disk_run(void *store); /* the thread */
void cw_disk_submit(void *store, struct cw_disk_op *op);
bool cw_disk_poll(void *store);
void cw_disk_wait(void *store);
void cw_disk_stop(struct cw_disk_store *store); /* the thread ends when nothing is left to do */

#endif
