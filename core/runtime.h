/*
 * runtime: one thread per shard, pinned to its CPU, turning cw_shard_step until all are done.
 *
 * Life:    start -> join. Threads: control plane calls; each shard is its own thread's alone.
 * Bounds:  CW_MESH_SHARDS_MAX shards. A shard without work yields its CPU, then naps for at most
 *          CW_NAP_NS (or sleeps until it is woken, shard.h), so that more shards than CPUs still
 * make progress.
 */
#ifndef CW_CORE_RUNTIME_H
#define CW_CORE_RUNTIME_H

#include "core/shard.h"

#include <pthread.h>

#define CW_NAP_NS   50000
#define CW_SLEEP_NS 1000000 /* a timer may come due meanwhile: its lateness */

struct cw_runtime {
    pthread_t threads[CW_MESH_SHARDS_MAX];
    uint32_t count;
    uint32_t joined; /* of the first ones */
};

/* CPUs that this process may use, at least 1. */
uint32_t cw_runtime_cpus(void);

/* Starts a thread for each shard. pin: bind shard i to the i-th CPU this process may use (when
   there are fewer CPUs than shards, none is bound). */
CW_MUST_USE cw_err cw_runtime_start(struct cw_runtime *runtime, struct cw_shard *shards,
                                    uint32_t count, bool pin, struct cw_fault *fault);
void cw_runtime_join(struct cw_runtime *runtime);

/* Joins what has ended, without waiting; true when all have. */
CW_MUST_USE bool cw_runtime_try_join(struct cw_runtime *runtime);

#endif
