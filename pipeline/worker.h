/*
 * worker: the pipeline as an app of core/shard.h: chunks of lines in, decisions out.
 *
 * Decoding happens on the core that has the bytes, everything else on the core that owns the
 * customer. The clock of a replay is the running maximum of the events' own times over the whole
 * source; each batch carries what its chunk adds to it, so every owner works out the same clock
 * without asking anybody.
 *
 * Life:    open -> (the shard's calls) -> close.
 * Memory:  a decoder and a pipeline. Threads: its shard's.
 */
#ifndef CW_PIPELINE_WORKER_H
#define CW_PIPELINE_WORKER_H

#include "core/port.h"
#include "pipeline/decode.h"
#include "pipeline/pipeline.h"

struct cw_worker; /* opaque */

struct cw_worker_options {
    struct cw_pipeline_options pipeline;
    const struct cw_event_names *names; /* NULL: the default ones */
    uint32_t shards;
    const char *const *files; /* names of the source's files, by cw_chunk.file */
    int64_t until;            /* fire timers up to here at the end; CW_TIME_NONE: all */
    uint32_t clean_rows;      /* rows of each table that one batch's cleaning visits */
    /* Everything decided before `until` stands: no later decision will be earlier. end: the last
       call. Called after each batch with its sequence. */
    void (*settled)(void *self, uint64_t sequence, int64_t until, bool end);
    bool (*full)(void *self); /* no more can be taken just now */
    void *self;
};

CW_MUST_USE cw_err cw_worker_open(struct cw_worker **worker,
                                  const struct cw_worker_options *options, struct cw_fault *fault);
void cw_worker_close(struct cw_worker *worker);
struct cw_app cw_worker_app(struct cw_worker *worker);
struct cw_pipeline *cw_worker_pipeline(struct cw_worker *worker);

/* Lines seen so far, by this worker, as input (blank ones not counted). */
uint64_t cw_worker_lines(const struct cw_worker *worker);

#endif
