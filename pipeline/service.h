/*
 * service: the pipeline as the app of a live shard: requests in, answers and messages out.
 *
 * A request is taken apart on the core that received it; each of its events goes to the core that
 * owns its customer; what became of each comes home in the batch that carried it, and when all are
 * home the request is answered, entry by entry, in its own dialect. Reads of one customer travel
 * the same way; what is asked of all cores (counters, lists) goes to all and is put together at
 * home.
 *
 * Life:    open -> (the shard's calls) -> close.
 * Memory:  a decoder, a pipeline, templates, and a fixed number of open requests.
 * Threads: its shard's; wake-ups and hooks are called on it too.
 * Bounds:  CW_SERVICE_OPEN_MAX requests; CW_SERVICE_ENTRIES_MAX events in one request.
 */
#ifndef CW_PIPELINE_SERVICE_H
#define CW_PIPELINE_SERVICE_H

#include "core/histogram.h"
#include "core/port.h"
#include "pipeline/decode.h"
#include "pipeline/pipeline.h"

#define CW_SERVICE_OPEN_MAX    8192u
#define CW_SERVICE_ENTRIES_MAX 10000u

struct cw_service; /* opaque */

struct cw_service_options {
    struct cw_pipeline_options pipeline; /* port.send is the service's own */
    uint32_t shards;
    struct cw_templates *templates; /* this core's own */
    struct cw_channel_port channels;
    int64_t (*now_ms)(void *self);    /* the engine's clock: wall or accelerated; not used when */
    int64_t (*latest_ms)(void *self); /* the latest that it may be, where now_ms is kept behind a
                                         wall clock that nobody believes; NULL: as now_ms */
    double speed;                     /* of that clock: 1 is real time; told in /healthz */
    bool event_time;                  /* the clock is the latest time of all events so far */
    uint64_t (*monotonic_ns)(void *self);
    void (*answer)(void *self, uint64_t token, const struct cw_answer *answer);
    /* A request that only the control plane can answer (reload, outbox): it copies what it needs
       and sees to the answer, later; the service is through with it. False: it is busy. */
    bool (*control)(void *self, const struct cw_request *request);
    /* An event that was refused: its bytes, good for the call, and why. */
    void (*dead_letter)(void *self, int64_t at, struct cw_view text, struct cw_view reason);
    /* Counters of this core's server, as cw_server_counter; NULL: none. */
    bool (*counter)(void *self, uint32_t index, const char **name, const char **help,
                    uint64_t *value);
    /* Everything decided before `until` stands on this core; NULL: nobody asks. */
    void (*settled)(void *self, uint64_t sequence, int64_t until, bool end);
    bool (*full)(void *self); /* NULL: never */
    /* Nothing more will be changed: true once all is durable. NULL: nothing is kept. */
    bool (*finished)(void *self);
    /* For how many seconds the disk of some core has not answered, once that is too long; 0: it
       does. Called for /healthz and /metrics alone. NULL: it always does. */
    uint64_t (*stalled_s)(void *self);
    /* Times of this core's flushes in ns, good for the call; NULL: there are none. */
    const struct cw_histogram *(*flushes)(void *self);
    const char *durability; /* "fsync", "os" or "none", for /healthz; NULL: not told */
    const char *version;    /* of cartwheel, for /healthz and /metrics */
    const char *note;       /* said in /healthz ("messages are NOT sent"); NULL: none */
    void *self;
};

CW_MUST_USE cw_err cw_service_open(struct cw_service **service,
                                   const struct cw_service_options *options,
                                   struct cw_fault *fault);
void cw_service_close(struct cw_service *service);
struct cw_app cw_service_app(struct cw_service *service);
struct cw_pipeline *cw_service_pipeline(struct cw_service *service);

/* The answer to a request that control() took, on its core, later; every one is answered once. */
void cw_service_answer_from(struct cw_service *service, uint64_t token,
                            const struct cw_answer *answer);

/* On its core, while batches are away and so nothing can be decoded: answers /healthz and /metrics,
   as far as they tell that the disk does not answer. False: the request has to wait. */
CW_MUST_USE bool cw_service_aside(struct cw_service *service, const struct cw_request *request);

/* On its core, between turns: new programs (decoder and pipeline) and templates. */
void cw_service_reprogram(struct cw_service *service, const struct cw_programs *programs,
                          struct cw_templates *templates);

/* Before it serves: the clock is at least this, and what was due before is overdue. */
void cw_service_begin_at(struct cw_service *service, int64_t clock_ms);

/* No more requests are taken (new ones get 503); what is under way is answered. */
void cw_service_drain(struct cw_service *service);

/* The reason for which nearly all abandonments were rejected of late, with its remedy, as a
   sentence; NULL: there is none. Tells each at most once an hour of the clock. Until the first
   candidate one abandonment is enough: whoever tries it for the first time sends one. */
const char *cw_service_remark(struct cw_service *service);

#endif
