/*
 * fault_disk: a cw_disk in memory that loses, tears and refuses as badly as the contract of
 * core/disk.h allows, and worse when told to; the same for the same seed.
 *
 * Files have two contents: what reads see, and what is durable. A write without a flush is kept
 * aside until one: a crash keeps it, drops it, or decides for each of its sectors of 512 bytes
 * between kept, dropped, zeroed and garbage. Names that were not flushed likewise stay, vanish or
 * come back, each on its own. An operation that was under way may have been carried out. After a
 * flush that failed reads see what was written, and what is durable is anybody's guess.
 *
 * Life:    new -> port, run whatever uses it -> crash gives another disk, as a restart finds it,
 *          and leaves this one as it is, so that one run can be crashed at every operation (hook).
 * Threads: one. Memory: malloc; a failure of it aborts.
 */
#ifndef CW_TESTS_SIM_FAULT_DISK_H
#define CW_TESTS_SIM_FAULT_DISK_H

#include "core/disk.h"

struct cw_fault_disk; /* opaque */

struct cw_fault_disk_options {
    uint64_t seed;
    uint32_t delay_max;   /* an operation takes 1 + random 0..delay_max polls */
    uint64_t space_bytes; /* of all files together, in whole blocks; 0: no end */
};

struct cw_fault_disk *cw_fault_disk_new(const struct cw_fault_disk_options *options);
void cw_fault_disk_free(struct cw_fault_disk *disk);
struct cw_disk cw_fault_disk_port(struct cw_fault_disk *disk);

/* Operations carried out so far; CLOSE is not counted. The next one has this index. */
uint64_t cw_fault_disk_count(const struct cw_fault_disk *disk);

/* Called before each operation that is counted; may look and crash, not submit. */
void cw_fault_disk_hook(struct cw_fault_disk *disk, void (*hook)(void *with, uint64_t index),
                        void *with);

/* ---- faults ---- */

struct cw_fault_plan {
    uint64_t at;       /* the first operation from this index on ... */
    uint32_t kinds;    /* ... whose kind has its bit (1 << CW_DISK_READ ...) here, 0: any, ... */
    int error;         /* ... fails so. 0: no plan */
    const char *names; /* and whose file's name, as it is given with it, begins so; NULL: any */
    bool once;         /* only that one; else all of those kinds after it too */
};

void cw_fault_disk_plan(struct cw_fault_disk *disk, const struct cw_fault_plan *plan);

/* How many operations plans have failed. */
uint64_t cw_fault_disk_failed(const struct cw_fault_disk *disk);

void cw_fault_disk_space(struct cw_fault_disk *disk, uint64_t space_bytes);
uint64_t cw_fault_disk_used(const struct cw_fault_disk *disk);

enum cw_fault_lie {
    CW_FAULT_LOST,       /* the write is told to be durable and reads see it; a restart does not */
    CW_FAULT_MISDIRECTED /* it also lands, durable, on other blocks of the file instead */
};

/* The next write with data from that index on. */
void cw_fault_disk_lie(struct cw_fault_disk *disk, enum cw_fault_lie lie, uint64_t at);

/* ---- crashes ---- */

/* What a restart after a crash now could find. No plans, hooks or lies are left in it. */
struct cw_fault_disk *cw_fault_disk_crash(const struct cw_fault_disk *disk, uint64_t seed);

/* What is there when the process alone dies: all that was carried out. After a flush that failed,
   what a crash leaves: the next process reads past the page cache (io/disk.h), and finds what the
   device has. */
struct cw_fault_disk *cw_fault_disk_kill(const struct cw_fault_disk *disk);

/* Every operation under way and from now on ends with EIO at once: for a user of a disk that was
   crashed, so that it can be closed. */
void cw_fault_disk_off(struct cw_fault_disk *disk);

/* ---- looking, and damage by hand ---- */

/* The bytes that reads see, to be read or damaged (durable too); NULL: no such file. */
uint8_t *cw_fault_disk_bytes(struct cw_fault_disk *disk, const char *name, uint64_t *size);

/* The same after a change of them by hand. */
void cw_fault_disk_touched(struct cw_fault_disk *disk, const char *name);

/* Makes or replaces a file, durably. */
void cw_fault_disk_put(struct cw_fault_disk *disk, const char *name, const void *bytes,
                       uint64_t size);
bool cw_fault_disk_remove(struct cw_fault_disk *disk, const char *name);

/* A hash of all names and contents that reads see: has anything changed? */
uint64_t cw_fault_disk_digest(const struct cw_fault_disk *disk);

#endif
