/*
 * durable: the state of an engine on its disk: the manifest, and for each core a directory with its
 * log and checkpoints; read into pipelines at start, on any number of cores.
 *
 *     STATE/manifest.a manifest.b            core/manifest.h
 *     STATE/epoch-00000001/core-000/         log-*, spare-*, checkpoint-*
 *     STATE/memory.seal                      see durable_adopt.c
 *
 * Started with another number of cores, everything is read, dealt out anew and written as
 * checkpoints of a new epoch; the old one is removed once the manifest names the new one, so a
 * crash at any moment leaves one of the two whole. What else it leaves the next start removes, as
 * soon as it has read the one that counts: nothing else would ever erase anybody from it.
 *
 * Life:    open -> recover -> (cores turn their stores) -> close. Threads: the control plane; a
 *          store is its core's once the engine has started.
 * Fails:   CW_ERR_CORRUPT: the state is damaged (exit 78); CW_ERR_IO: the disk refused (74).
 */
#ifndef CW_TOOLS_DURABLE_H
#define CW_TOOLS_DURABLE_H

#include "core/manifest.h"
#include "core/store.h"
#include "pipeline/persist.h"

struct cw_durable; /* opaque */
struct cw_disk_store;

enum cw_durable_use {
    CW_DURABLE_LOOK,  /* nothing is changed */
    CW_DURABLE_GO_ON, /* with what is there: nothing is made */
    CW_DURABLE_MAKE   /* where it is not there */
};

/* Where the files are: a directory of the operating system (durable_files.c), or a simulated one.
 */
struct cw_durable_files {
    void *self;
    /* The newest whole manifest; *alike: so says the other slot (cw_manifest_alike).
       CW_ERR_NOT_FOUND: there is none. */
    cw_err (*load)(void *self, struct cw_manifest *manifest, bool *alike, struct cw_fault *fault);
    /* Writes it with the next generation, durably. */
    cw_err (*store)(void *self, struct cw_manifest *manifest, struct cw_fault *fault);
    /* The disk of a core of an epoch. CW_ERR_NOT_FOUND: it is not there, and was not to be made. */
    cw_err (*open)(void *self, uint64_t epoch, uint32_t core, enum cw_durable_use use,
                   struct cw_disk *disk, struct cw_fault *fault);
    void (*close)(void *self, const struct cw_disk *disk);
    /* Removes all of every epoch but this one; one that is not whole too. */
    cw_err (*keep)(void *self, uint64_t epoch, struct cw_fault *fault);
};

struct cw_durable_options {
    struct cw_durable_files files;
    uint32_t cores, partitions;
    bool os;      /* durability os: written, not flushed */
    bool threads; /* cores are read at once, each on a thread of its own */
    uint64_t segment_bytes, checkpoint_bytes; /* 0: the usual ones */
    uint64_t random;                          /* unguessable: the store's name and salts */
    /* A directory of tmpfs or hugetlbfs that rows and timers are to lie in; NULL: in memory that
       ends with the process. The file that says after a clean stop that they are there. */
    const char *memory, *seal;
    const char *writer;
    void *self;
    /* What a core does with its store's callbacks; self of them is of_core(self, core). */
    void *(*of_core)(void *self, uint32_t core);
    void (*before)(void *core);
    void (*staged)(void *core);
    void (*released)(void *core);
    void (*on_fault)(void *core, const char *why);
    int64_t (*now_ms)(void *core);
};

/* What was found, for people. */
struct cw_durable_found {
    bool fresh; /* nothing was there */
    struct cw_manifest manifest;
    uint64_t rows, frames, log_bytes, checkpoint_bytes, torn_bytes;
    uint64_t frames_to; /* sum of the cores' last LSNs */
    uint32_t checkpoints_refused;
    uint32_t logs_damaged; /* and passed over, since checkpoint or memory have what was there */
    const char *memory; /* kind of the file system that rows lie in; NULL: in none */
    uint64_t adopted;   /* rows that were taken over as they were in memory, nothing being read */
    char not_adopted[200];       /* why they were not; empty: they were, or nothing was there */
    uint32_t damaged_core;       /* where a start failed since its log is damaged */
    struct cw_log_damage damage; /* lsn 0: it is not */
    int64_t logical_ms;          /* the latest clock that anything says */
    /* Of the core that took longest, or of all where one was read after the other: reading and
       proving checkpoints, putting their rows into tables, the log with its rows, linking. */
    double read_s, rows_s, log_s, link_s;
};

/* Reads the manifest. CW_ERR_INVALID: partitions are not those of the state. */
CW_MUST_USE cw_err cw_durable_open(struct cw_durable **durable,
                                   const struct cw_durable_options *options,
                                   struct cw_fault *fault);
const struct cw_manifest *cw_durable_manifest(const struct cw_durable *durable);

/* Reads everything into the pipelines, one a core, fresh; relinks them; from then on their changes
   are noted and cw_durable_store commits them. CW_ERR_CORRUPT: the files of all cores are as they
   were: nothing is written before each of them is known to be good. */
CW_MUST_USE cw_err cw_durable_recover(struct cw_durable *durable,
                                      struct cw_pipeline *const *pipelines,
                                      struct cw_durable_found *found, struct cw_fault *fault);

struct cw_store *cw_durable_store(struct cw_durable *durable, uint32_t core);
struct cw_journal *cw_durable_journal(struct cw_durable *durable, uint32_t core);
/* A core's disk, which is one of cw_durable_files: not for simulated ones. */
const struct cw_disk_store *cw_durable_disk(const struct cw_durable *durable, uint32_t core);
/* Why sends are held from the next start on: a set of CW_HOLD_*. */
CW_MUST_USE cw_err cw_durable_hold(struct cw_durable *durable, uint32_t held,
                                   struct cw_fault *fault);

/* clean: every store was finished. Fails where that could not be noted: nothing is lost by it, but
   the next start takes it for a crash. All is closed either way. */
cw_err cw_durable_close(struct cw_durable *durable, bool clean, struct cw_fault *fault);

/* ---- for commands that only look ---- */

/* Reads one core's files without changing them; apply is called for each record. */
CW_MUST_USE cw_err cw_durable_scan(const struct cw_durable_files *files,
                                   const struct cw_manifest *manifest, uint32_t core,
                                   bool (*apply)(void *with, struct cw_view records), void *with,
                                   struct cw_checkpoint_found *checkpoint, struct cw_log_found *log,
                                   struct cw_fault *fault);

/* ---- a directory of the operating system ---- */

struct cw_durable_directory {
    const char *path;                        /* of the state; locked by who calls */
    void (*wake)(void *self, uint32_t core); /* from any thread; NULL: nobody sleeps */
    void *self;
    bool lone; /* what was loaded last stood in one slot alone: somebody removed the other */
};

/* The directory outlives them. */
struct cw_durable_files cw_durable_files(struct cw_durable_directory *directory);

#endif
