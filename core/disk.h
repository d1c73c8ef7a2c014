/*
 * disk: the port through which a shard's log and checkpoints reach stable storage, as operations
 * that never block the shard. io/ implements it over the operating system, the simulator over
 * memory with faults.
 *
 * An operation is a struct of the caller's: filled in, handed over by submit(), the disk's until
 * poll() has set `done`, then the caller's again with `error` and results in it. Foreground
 * operations are carried out one after the other in the order of submit(); so are background ones.
 * Between the two there is no order: what has to come after the other's is submitted when that is
 * done. A disk has one directory of its own; names are plain file names in it, shorter than
 * CW_DISK_NAME_BYTES.
 *
 * What is durable: a CUT, or a WRITE with `sync`, once it is done without error, with all that is
 * needed to read it back from a file whose name is durable; names (made, renamed, removed) once a
 * SYNC_NAMES submitted after is done. Nothing else is promised: without sync a write may be lost,
 * torn at 512 bytes or kept, in any order. After an operation with `sync` failed nobody knows what
 * is on the disk, and trying again proves nothing: the process has to end (RELIABILITY: fsync).
 *
 * Threads: its shard only. Bounds: at most CW_DISK_OPS_MAX operations at a time.
 */
#ifndef CW_CORE_DISK_H
#define CW_CORE_DISK_H

#include "core/err.h"

#define CW_DISK_BLOCK      4096u /* alignment of data, offset and bytes of READ and WRITE */
#define CW_DISK_NAME_BYTES 64u
#define CW_DISK_OPS_MAX    32u
#define CW_DISK_FILE_NONE  (-1)

enum cw_disk_kind {
    CW_DISK_OPEN,   /* name -> file, size; error ENOENT when it is not there */
    CW_DISK_CREATE, /* name -> file; error EEXIST when it is there */
    CW_DISK_CLOSE,  /* file; cannot fail */
    CW_DISK_READ,   /* file, offset, into, bytes -> got (fewer only at the end of the file) */
    CW_DISK_WRITE,  /* file, offset, data, bytes, sync; bytes 0 with sync: only that */
    CW_DISK_RENAME, /* name, to; replaces what stands there */
    CW_DISK_REMOVE, /* name */
    CW_DISK_CUT,    /* file, offset: what stands behind it goes, for good, and its room is free */
    CW_DISK_SYNC_NAMES
};

struct cw_disk_op {
    enum cw_disk_kind kind;
    bool background, sync;
    int32_t file;
    uint32_t bytes;
    uint64_t offset;
    const void *data; /* WRITE; stays as it is until done */
    void *into;       /* READ */
    char name[CW_DISK_NAME_BYTES], to[CW_DISK_NAME_BYTES];
    /* Results. A write is whole or an error: short ones are gone on with by the disk. */
    bool done;
    int error; /* 0 or errno */
    uint32_t got;
    uint64_t size;
    struct cw_disk_op *next; /* the disk's */
};

struct cw_disk {
    void *self;
    void (*submit)(void *self, struct cw_disk_op *op);
    /* Sets `done` of what is complete; true when it was any. Never blocks. */
    bool (*poll)(void *self);
    /* The same, waiting until something is complete; only with operations under way. At start, and
       where a shard has nothing else to do. */
    void (*wait)(void *self);
    /* Calls found for every name in the directory, in no order. Blocks: only at start. An errno. */
    int (*list)(void *self, void (*found)(void *with, const char *name, uint64_t bytes),
                void *with);
};

/* Submits it in the foreground and waits until it is done: at start, and at a stop. */
static inline int cw_disk_do(const struct cw_disk *disk, struct cw_disk_op *op)
{
    op->done = false;
    disk->submit(disk->self, op);
    while (!op->done) { /* bounded by the disk: every operation ends */
        disk->wait(disk->self);
    }
    return op->error;
}

#endif
