/*
 * shard: one core's work as one bounded step: let time pass, take a chunk, decode it, exchange
 * batches with the mesh, run what came. A pinned thread is only a loop round cw_shard_step
 * (runtime.h); tests and a simulator call it directly.
 *
 * Life:    init -> step* until CW_STEP_DONE. Memory: the caller's.
 * Threads: its own only.
 * Bounds:  one step decodes at most one chunk and runs at most one batch of each shard.
 */
#ifndef CW_CORE_SHARD_H
#define CW_CORE_SHARD_H

#include "core/mesh.h"
#include "core/port.h"

enum cw_step {
    CW_STEP_WORKED,
    CW_STEP_IDLE, /* nothing to do now */
    CW_STEP_DONE  /* the source has ended and everything is run */
};

struct cw_shard {
    uint32_t index;
    /* Run batches in the order of their chunks, whoever decoded them; every shard gets one of each
       chunk. Else they are run as they come, and empty ones are not sent. */
    bool ordered;
    struct cw_mesh *mesh;
    struct cw_source source;
    struct cw_app app;
    struct cw_commit commit; /* not with ordered */
    /* How idle shards sleep; all NULL: they nap for CW_NAP_NS (runtime.h). wait() sleeps until
       there may be work, at most so long; wake() ends the wait of another shard, from any thread.
     */
    struct cw_shard *peers; /* all shards, by index */
    void (*wait)(void *sleeper, uint32_t shard, uint64_t ns_max);
    void (*wake)(void *sleeper, uint32_t shard);
    void *sleeper;
    /* private */
    _Atomic bool asleep;
    uint64_t next_read, next_run;
    uint32_t ended_from, turn;
    bool source_ended, finished;
    _Atomic uint64_t steps; /* others may read how many there were */
    uint64_t chunks, batches, idle;
    /* Batches that were run and wait for their commit: a ring, oldest first. */
    uint32_t held_first, held_count;

    struct cw_held {
        struct cw_batch *batch;
        uint64_t commit;
    } held[CW_MESH_SHARDS_MAX * CW_MESH_BATCHES];
};

void cw_shard_init(struct cw_shard *shard);
enum cw_step cw_shard_step(struct cw_shard *shard);

/* Lets a shard without work sleep for at most ns_max, unless a batch waits for it. */
void cw_shard_sleep(struct cw_shard *shard, uint64_t ns_max);

#endif
