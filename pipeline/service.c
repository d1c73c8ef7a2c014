/*
 * service: the app of a live shard.
 *
 * What a batch carries belongs to the batch: the events of this core's own requests live in the
 * arena of the batch that it sends to itself, copies in those of their owners, and what becomes of
 * each is written beside it and read when the batch is home. So a request needs no memory of its
 * own but a slot in a table.
 */
#include "pipeline/service.h"

#include "pipeline/persist.h"
#include "pipeline/service_priv.h"

#include <string.h>

enum {
    CLEAN_ROWS = 4,        /* of each table, after a batch, besides those for what was put */
    CLEAN_ROWS_IDLE = 512, /* once a second */
    CLEAN_EVERY_MS = 1000,
    LEAP_MS = 60000, /* no core is ever behind by so much of real time for its work alone */
    SCRATCH_CHUNK = 1 << 18
};

/* ---- open and close ---- */

static void decide(void *self, const struct cw_decision *decision)
{
    struct cw_service *service = self;
    const struct cw_program *program = decision->program.data != NULL
                                           ? cw_programs_find(service->programs, decision->program)
                                           : NULL;
    if (program != NULL) {
        struct cw_program_count *count = &service->by_program[program - service->programs->list];
        count->kinds[decision->kind]++;
        if (decision->kind == CW_DECISION_TOUCH) {
            count->touches[decision->u.touch.outcome]++;
        }
    }
    const struct cw_pipeline_port *port = &service->options.pipeline.port;
    if (port->decide != NULL) {
        port->decide(port->self, decision);
    }
}

static void before(void *self, struct cw_pipeline *pipeline, const struct cw_event *event,
                   const struct cw_item *item)
{
    struct cw_service *service = self;
    const struct cw_pipeline_port *port = &service->options.pipeline.port;
    port->before(port->self, pipeline, event, item);
}

static cw_err open_parts(struct cw_service *service, struct cw_fault *fault)
{
    const struct cw_service_options *options = &service->options;
    struct cw_decoder_options decoder = {.names = options->pipeline.names,
                                         .programs = options->pipeline.programs,
                                         .zones = options->pipeline.zones,
                                         .partitions = options->pipeline.partitions,
                                         .event_bytes_max = options->pipeline.event_bytes_max};
    cw_err err = cw_decoder_open(&service->decoder, &decoder, fault);
    if (err == CW_ERR_OK) {
        struct cw_form_options form = {.event_bytes_max = options->pipeline.event_bytes_max,
                                       .entries_max = CW_SERVICE_ENTRIES_MAX,
                                       .ids = options->pipeline.hash};
        form.ids.k0 += options->pipeline.core; /* no two cores make the same ids */
        err = cw_form_open(&service->form, &form, fault);
    }
    if (err == CW_ERR_OK) {
        err = cw_arena_open(&service->scratch, SCRATCH_CHUNK, (size_t)1 << 26, fault);
    }
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_pipeline_options pipeline = options->pipeline;
    pipeline.live = !options->event_time;
    pipeline.cores = options->shards;
    pipeline.port =
        (struct cw_pipeline_port){.self = service,
                                  .decide = decide,
                                  .send = options->channels.post != NULL ? cw_service_send : NULL,
                                  .before = options->pipeline.port.before != NULL ? before : NULL};
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT && options->channels.collapses != NULL; i++) {
        pipeline.collapses[i] = options->channels.collapses(options->channels.self, i);
    }
    return cw_pipeline_open(&service->pipeline, &pipeline, fault);
}

/* Programs by what they are called: bits of one set of them mean others in another. */
static void know_programs(struct cw_service *service, const struct cw_programs *programs)
{
    service->programs = programs;
    for (uint32_t i = 0; i < programs->count; i++) {
        struct cw_view id = programs->list[i].id;
        service->program_ids[i] = cw_hash((struct cw_hash_key){0, 0}, id.data, id.bytes);
    }
}

cw_err cw_service_open(struct cw_service **service, const struct cw_service_options *options,
                       struct cw_fault *fault)
{
    CW_ASSERT(options->event_time || options->now_ms != NULL);
    struct cw_arena own;
    size_t opens = CW_SERVICE_OPEN_MAX * sizeof(struct cw_open);
    cw_err err =
        cw_arena_open(&own, sizeof(struct cw_service) + opens + 4096, (size_t)1 << 28, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_service *made = cw_arena_zalloc(&own, sizeof *made, CW_CACHE_LINE);
    made->opens = cw_arena_alloc(&own, opens, CW_CACHE_LINE); /* fresh, hence zero: untouched */
    made->open_free = CW_OPEN_NONE;
    made->options = *options;
    know_programs(made, options->pipeline.programs);
    made->clock = made->advanced = made->cleaned = options->pipeline.start_ms;
    for (uint32_t i = 0; i < CW_COUNTOF(made->remark.told); i++) {
        made->remark.told[i] = CW_TIME_NONE;
    }
    err = open_parts(made, fault);
    made->own = own;
    if (err != CW_ERR_OK) {
        cw_service_close(made);
        return err;
    }
    *service = made;
    return CW_ERR_OK;
}

void cw_service_close(struct cw_service *service)
{
    if (service->decoder != NULL) {
        cw_decoder_close(service->decoder);
    }
    if (service->form != NULL) {
        cw_form_close(service->form);
    }
    if (service->pipeline != NULL) {
        cw_pipeline_close(service->pipeline);
    }
    for (uint32_t i = 0; i < service->open_used; i++) {
        cw_text_deinit(&service->opens[i].text);
    }
    if (service->scratch.first != NULL) {
        cw_arena_close(&service->scratch);
    }
    cw_text_deinit(&service->answer);
    cw_message_deinit(&service->message);
    struct cw_arena own = service->own;
    cw_arena_close(&own);
}

struct cw_pipeline *cw_service_pipeline(struct cw_service *service)
{
    return service->pipeline;
}

void cw_service_reprogram(struct cw_service *service, const struct cw_programs *programs,
                          struct cw_templates *templates)
{
    struct cw_program_count counts[CW_PROGRAMS_MAX] = {0};
    for (uint32_t i = 0; i < service->programs->count; i++) {
        const struct cw_program *kept = cw_programs_find(programs, service->programs->list[i].id);
        if (kept != NULL) {
            counts[kept - programs->list] = service->by_program[i];
        }
    }
    memcpy(service->by_program, counts, sizeof counts);
    service->options.templates = templates;
    know_programs(service, programs);
    cw_decoder_reprogram(service->decoder, programs);
    cw_pipeline_reprogram(service->pipeline, programs);
}

void cw_service_begin_at(struct cw_service *service, int64_t clock_ms)
{
    service->clock = clock_ms > service->clock ? clock_ms : service->clock;
    service->advanced = service->cleaned = service->clock;
    if (!service->options.event_time) {
        cw_pipeline_leap(service->pipeline, service->clock);
    }
}

void cw_service_drain(struct cw_service *service)
{
    service->draining = true;
}

/* ---- clocks ---- */

uint64_t cw_service_ns(struct cw_service *service)
{
    return service->options.monotonic_ns != NULL
               ? service->options.monotonic_ns(service->options.self)
               : 0;
}

int64_t cw_service_clock(struct cw_service *service)
{
    if (!service->options.event_time) {
        int64_t now = service->options.now_ms(service->options.self);
        service->clock = now > service->clock ? now : service->clock;
    }
    return service->clock;
}

/* The time up to which everything has happened. */
static int64_t reached(const struct cw_service *service)
{
    int64_t now = service->pipeline->now;
    return service->advanced > now ? service->advanced : now;
}

/* A clock that is much later than at the last turn: the machine slept, or its clock was put right.
   What was due meanwhile happens now. */
static void leap(struct cw_service *service, int64_t now)
{
    double speed = service->options.speed > 1 ? service->options.speed : 1;
    if (!service->options.event_time && (double)(now - reached(service)) > LEAP_MS * speed) {
        cw_pipeline_leap(service->pipeline, now - 1);
    }
}

/* ---- chunks in ---- */

struct cw_share *cw_share_of(struct cw_service *service, struct cw_batch *batch)
{
    if (batch->content == NULL) {
        struct cw_share *share = cw_arena_zalloc(&batch->arena, sizeof *share, 8);
        uint32_t count = service->programs->count;
        uint64_t *ids = cw_arena_alloc(&batch->arena, (count + 1) * sizeof *ids, 8);
        memcpy(ids, service->program_ids, count * sizeof *ids);
        share->program_ids = ids;
        share->program_count = count;
        share->clock = CW_TIME_NONE;
        batch->content = share;
    }
    return batch->content;
}

static void take_request(struct cw_service *service, const struct cw_request *request)
{
    service->served.requests++;
    if (service->draining) {
        service->served.drained++;
        cw_service_busy(service, request, "this engine is shutting down");
    } else if (request->kind == CW_REQUEST_LINES) {
        cw_service_ingest(service, request);
    } else {
        cw_serve(service, request);
    }
}

static void decode(void *self, const struct cw_chunk *chunk, struct cw_batch *const *batches,
                   uint32_t count)
{
    struct cw_service *service = self;
    service->batches = batches;
    service->batch_count = count;
    service->chunk_clock = CW_TIME_NONE;
    (void)cw_service_clock(service);
    cw_decoder_put_in(service->decoder, &batches[service->options.pipeline.core]->arena);
    if (chunk->text != NULL) {
        cw_service_ingest_text(service, chunk);
    }
    const struct cw_request *next;
    for (const struct cw_request *request = chunk->requests; request != NULL; request = next) {
        next = request->next; /* an answer may end the request at once */
        take_request(service, request);
    }
    if (service->chunk_clock != CW_TIME_NONE && service->options.event_time) {
        for (uint32_t i = 0; i < count; i++) { /* every core's timers follow this clock */
            cw_share_of(service, batches[i])->clock = service->chunk_clock;
        }
    }
    cw_decoder_put_in(service->decoder, NULL);
    service->batches = NULL;
}

uint64_t cw_service_stalled_s(const struct cw_service *service)
{
    return service->aside_s > 0 || service->options.stalled_s == NULL
               ? service->aside_s
               : service->options.stalled_s(service->options.self);
}

bool cw_service_aside(struct cw_service *service, const struct cw_request *request)
{
    bool known = cw_view_equal(request->path, CW_VIEW("/healthz")) ||
                 cw_view_equal(request->path, CW_VIEW("/metrics"));
    if (!known || (service->aside_s = cw_service_stalled_s(service)) == 0) {
        return false;
    }
    take_request(service, request);
    service->aside_s = 0;
    return true;
}

/* ---- batches of this core's customers ---- */

/* How long it took until the candidates of these events were there. */
static void note_scheduled(struct cw_service *service, const struct cw_block *block)
{
    uint64_t now = 0;
    for (uint32_t i = 0; i < block->count; i++) {
        const struct cw_event *event = block->events[i];
        if (event->type == CW_EVENT_CART_ABANDONED && event->programs != 0 &&
            block->arrived_ns[i] != 0 && block->fates[i] == CW_EVENT_FATE_APPLIED) {
            now = now == 0 ? cw_service_ns(service) : now;
            uint64_t since = block->arrived_ns[i];
            cw_histogram_add(&service->latencies[CW_LATENCY_SCHEDULED],
                             now > since ? now - since : 0);
        }
    }
}

/* What bits of the sender's programs are in one's own; a program that is not here any more, or not
   yet, does not want the event. */
static uint64_t translate(const struct cw_service *service, const struct cw_share *share,
                          uint64_t bits)
{
    uint64_t own = 0;
    for (uint32_t i = 0; i < share->program_count; i++) {
        for (uint32_t k = 0; k < service->programs->count && (bits >> i & 1) != 0; k++) {
            if (service->program_ids[k] == share->program_ids[i]) {
                own |= UINT64_C(1) << k;
            }
        }
    }
    return own;
}

static bool same_programs(const struct cw_service *service, const struct cw_share *share)
{
    return share->program_count == service->programs->count &&
           memcmp(share->program_ids, service->program_ids,
                  share->program_count * sizeof *share->program_ids) == 0;
}

static void run_events(struct cw_service *service, const struct cw_share *share)
{
    bool same = same_programs(service, share);
    bool event_time = service->options.event_time;
    int64_t clock = cw_service_clock(service);
    /* Timers are for the next start, or this core is behind with them: its clock is where they are,
       so that whoever waits for an answer does not wait for all of them. */
    if ((service->draining || service->lagging) && !event_time) {
        clock = reached(service);
    } else {
        leap(service, clock);
    }
    for (struct cw_block *block = share->first; block != NULL; block = block->next) {
        for (uint32_t i = 0; i < block->count; i++) {
            struct cw_event *event = block->events[i];
            event->clock = event_time && event->clock > clock ? event->clock : clock;
            if (!same) {
                event->programs = translate(service, share, event->programs);
            }
        }
        cw_pipeline_run_telling(service->pipeline, (const struct cw_event *const *)block->events,
                                block->count, block->fates);
        note_scheduled(service, block);
    }
    if (event_time) {
        service->clock = share->clock > clock ? share->clock : clock;
        cw_pipeline_advance(service->pipeline, service->clock - 1);
    }
}

static void run(void *self, struct cw_batch *batch)
{
    struct cw_service *service = self;
    const struct cw_share *share = batch->content;
    if (share == NULL) {
        return;
    }
    run_events(service, share);
    for (struct cw_ask *ask = share->asks; ask != NULL; ask = ask->next) {
        ask->question->look(service, ask, &batch->arena);
    }
    cw_pipeline_clean(service->pipeline, CLEAN_ROWS);
    service->sequence = batch->sequence;
    if (service->options.settled != NULL) {
        service->options.settled(service->options.self, batch->sequence,
                                 service->options.event_time ? service->clock : reached(service),
                                 false);
    }
}

static void home(void *self, struct cw_batch *batch)
{
    struct cw_service *service = self;
    const struct cw_share *share = batch->content;
    for (const struct cw_block *block = share->first; block != NULL; block = block->next) {
        for (uint32_t i = 0; i < block->count; i++) {
            if (block->opens[i] == CW_OPEN_NONE) {
                continue;
            }
            struct cw_open *open = &service->opens[block->opens[i]];
            if (block->entries[i] != UINT32_MAX) {
                cw_open_fate(service, open, block->entries[i], (enum cw_event_fate)block->fates[i]);
            }
            cw_open_home(service, open);
        }
    }
    for (const struct cw_ask *ask = share->asks; ask != NULL; ask = ask->next) {
        struct cw_open *open = &service->opens[ask->open];
        ask->question->gather(service, open, ask);
        cw_open_home(service, open);
    }
}

/* ---- the passing of time ---- */

static bool pass_time(struct cw_service *service)
{
    int64_t now = cw_service_clock(service);
    if (service->options.event_time || service->draining || now == service->advanced) {
        service->lagging = service->lagging && !service->draining;
        return false;
    }
    /* Events of this very millisecond may still come, and come before its timers. */
    int64_t due = 0;
    bool fires = cw_pipeline_earliest(service->pipeline, &due) && due < now;
    if (fires) {
        cw_histogram_add(&service->latencies[CW_LATENCY_TIMER], (uint64_t)(now - due) * 1000000u);
    }
    leap(service, now);
    service->lagging = !cw_pipeline_advance_within(service->pipeline, now - 1);
    if (service->lagging) {
        return true;
    }
    service->advanced = now;
    if (now - service->cleaned >= CLEAN_EVERY_MS) {
        service->cleaned = now;
        cw_pipeline_clean(service->pipeline, CLEAN_ROWS_IDLE);
    }
    if (service->options.settled != NULL) {
        service->options.settled(service->options.self, service->sequence, now, false);
    }
    return fires;
}

static bool full(void *self)
{
    struct cw_service *service = self;
    return service->options.full != NULL && service->options.full(service->options.self);
}

static bool turn(void *self)
{
    struct cw_service *service = self;
    if (full(service)) { /* what timers and results decide has no room either */
        return false;
    }
    bool worked = pass_time(service);
    return cw_service_results(service) || worked;
}

/* Journeys go on after the next start: their timers are not fired here. */
static bool finish(void *self)
{
    struct cw_service *service = self;
    (void)cw_service_results(service);
    if (service->options.finished != NULL && !service->options.finished(service->options.self)) {
        return false;
    }
    if (service->options.settled != NULL) {
        service->options.settled(service->options.self, service->sequence, INT64_MAX, true);
    }
    return true;
}

struct cw_app cw_service_app(struct cw_service *service)
{
    return (struct cw_app){.self = service,
                           .decode = decode,
                           .run = run,
                           .home = home,
                           .finish = finish,
                           .turn = turn,
                           .full = full};
}
