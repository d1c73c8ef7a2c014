/*
 * shard: one core's work as one bounded step: take a chunk, decode it, exchange batches with the
 * mesh, run what came. A pinned thread is only a loop round cw_shard_step (runtime.h); tests and a
 * simulator call it directly.
 *
 * Life:    init -> step* until CW_STEP_DONE. Memory: the caller's.
 * Threads: its own only.
 * Bounds:  one step decodes at most one chunk and runs at most one batch.
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
    bool ordered; /* run batches in the order of their chunks, whoever decoded them */
    struct cw_mesh *mesh;
    struct cw_source source;
    struct cw_app app;
    /* private */
    uint64_t next_read, next_run;
    uint32_t ended_from, turn;
    bool source_ended, finished;
    uint64_t steps, chunks, batches, idle;
};

void cw_shard_init(struct cw_shard *shard);
enum cw_step cw_shard_step(struct cw_shard *shard);

#endif
