#include "tools/engine_priv.h"

#include "core/time.h"
#include "tools/place.h"
#include "tools/summary.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#ifndef CW_VERSION
#    define CW_VERSION "0"
#endif

enum {
    NOTES = 256, /* requests that wait for the control plane, of each core */
    GRACE_MS = 10000,
    REMARK_EVERY_MS = 1000
};

/* ---- the clock ---- */

static int64_t accelerated_ms(const struct cw_engine *engine)
{
    double passed = (double)(cw_clock_monotonic_ns() - engine->start_ns) / 1e6;
    return engine->start_ms + (int64_t)(passed * engine->live->clock_factor);
}

int64_t cw_engine_now_ms(void *self)
{
    struct cw_core *core = self;
    const struct cw_engine *engine = core->engine;
    if (!core->clock_begun) { /* a wall clock that is not believed yet must not get into the log */
        return core->service != NULL ? cw_pipeline_now(cw_service_pipeline(core->service)) : 0;
    }
    if (engine->live->clock != CW_CLOCK_ACCELERATED) {
        return cw_clock_now_ms(&core->clock);
    }
    return accelerated_ms(engine);
}

int64_t cw_engine_control_ms(struct cw_engine *engine)
{
    if (engine->live->clock == CW_CLOCK_ACCELERATED) {
        return accelerated_ms(engine);
    }
    return engine->clock.guarded ? cw_clock_now_ms(&engine->clock.watch) : CW_TIME_NONE;
}

static uint64_t monotonic_ns(void *self)
{
    (void)self;
    return cw_clock_monotonic_ns();
}

/* ---- what a core's service calls ---- */

static void answer(void *self, uint64_t token, const struct cw_answer *what)
{
    cw_server_answer(((struct cw_core *)self)->server, token, what);
}

static bool control(void *self, const struct cw_request *request)
{
    struct cw_core *core = self;
    struct cw_note *note = malloc(sizeof *note);
    if (note == NULL || request->path.bytes >= sizeof note->path ||
        request->query.bytes >= sizeof note->query) {
        free(note);
        return false;
    }
    *note = (struct cw_note){.token = request->token, .method = request->method};
    memcpy(note->path, request->path.data, request->path.bytes);
    note->path[request->path.bytes] = '\0';
    if (request->query.bytes > 0) {
        memcpy(note->query, request->query.data, request->query.bytes);
    }
    note->query[request->query.bytes] = '\0';
    if (!cw_ring_push(core->notes, note)) {
        free(note);
        return false;
    }
    (void)eventfd_write(core->engine->wake, 1);
    return true;
}

static void dead_letter(void *self, int64_t at, struct cw_view text, struct cw_view reason)
{
    cw_letters_put(&((struct cw_core *)self)->letters, at, text, reason);
}

static bool counter(void *self, uint32_t index, const char **name, const char **help,
                    uint64_t *value)
{
    struct cw_core *core = self;
    if (cw_engine_clock_counter(core, index, name, help, value)) {
        core->clock_counters = index + 1; /* they are asked for in their order */
        return true;
    }
    index -= core->clock_counters;
    if (index == 0) {
        *name = "dead_letters_lost_total";
        *help = "Refused events that are not in the dead letters: they came too fast for the disk.";
        *value = core->letters.lost;
        return true;
    }
    if (index == 1) {
        *name = "memory_low";
        *help = "Cores that refuse new work since memory is nearly out.";
        *value = (atomic_load(&core->short_of) & CW_SHORTAGE_MEMORY) != 0;
        return true;
    }
    if (cw_server_counter(core->server, index - 2, name, help, value)) {
        core->server_counters = index + 1;
        return true;
    }
    return cw_engine_counter(core, index - core->server_counters, name, help, value);
}

static void decide(void *self, const struct cw_decision *decision)
{
    struct cw_core *core = self;
    core->decided++;
    if (core->lane != NULL) {
        cw_lane_add(core->lane, decision);
    }
}

static bool full(void *self)
{
    struct cw_core *core = self;
    /* Neither events nor time go on before all doubts are settled: a message that is claimed
       meanwhile would be taken for one of those. */
    return !core->doubts_settled || (core->lane != NULL && cw_lane_full(core->lane));
}

/* ---- what a core does beside its shard's work ---- */

static void give_replies(struct cw_core *core)
{
    void *item;
    while (cw_ring_pop(core->replies, &item)) {
        struct cw_reply *reply = item;
        struct cw_answer what = {.status = reply->status,
                                 .type = {reply->type, (uint32_t)strlen(reply->type)},
                                 .body = {reply->body.data, (uint32_t)reply->body.bytes}};
        cw_server_answer(core->server, reply->token, &what);
        cw_text_deinit(&reply->body);
        free(reply);
    }
}

static void remark(struct cw_core *core)
{
    int64_t now = cw_clock_wall_ms();
    if (now - core->remarked_ms >= REMARK_EVERY_MS || now < core->remarked_ms) {
        core->remarked_ms = now;
        const char *text = cw_service_remark(core->service);
        char *copy = text != NULL ? strdup(text) : NULL;
        if (copy != NULL) {
            free(atomic_exchange(&core->remark, copy)); /* one that nobody has read yet is older */
        }
    }
}

/* True while messages of this core wait for their result, after nothing more comes in. Channels
   settle all of them within the grace; a core waits a little longer, and not for ever. */
static bool under_way(struct cw_core *core)
{
    struct cw_engine *engine = core->engine;
    if (engine->live->clock == CW_CLOCK_EVENT) { /* where nobody waits for results */
        return false;
    }
    if (core->drained_ns == 0) {
        core->drained_ns = cw_clock_monotonic_ns();
        cw_channels_drain(engine->channels, GRACE_MS);
    }
    return cw_pipeline_fates(cw_service_pipeline(core->service))->sending > 0 &&
           cw_clock_monotonic_ns() - core->drained_ns < UINT64_C(2) * GRACE_MS * 1000000;
}

static void hear_of_stop(struct cw_core *core)
{
    if (!core->draining && atomic_load(&core->engine->stopping)) {
        core->draining = true;
        cw_service_drain(core->service);
        cw_server_drain(core->server, GRACE_MS);
    }
}

/* While this core waits for others, or for who reads decisions: callers are told so. */
static void turn_source(void *self)
{
    struct cw_core *core = self;
    hear_of_stop(core);
    give_replies(core);
    core->source.turn(core->source.self);
    cw_engine_disk_turn(core);
}

/* The server's source, and before it what the control plane wants of this core. */
static enum cw_poll take(void *self, uint32_t shard, uint64_t sequence, struct cw_chunk *chunk)
{
    struct cw_core *core = self;
    hear_of_stop(core);
    struct cw_bundle *next = atomic_load(&core->next);
    if (next != atomic_load(&core->current)) {
        cw_service_reprogram(core->service, next->programs, next->of_core[core->index].templates);
        atomic_store(&core->current, next);
    }
    give_replies(core);
    remark(core);
    cw_engine_clock_turn(core);
    cw_engine_look_after_state(core);
    cw_engine_task_turn(core);
    if (!core->doubts_settled) { /* else what was read would wait, and then nobody would ask here */
        return CW_POLL_LATER;
    }
    enum cw_poll poll = core->source.take(core->source.self, shard, sequence, chunk);
    return poll == CW_POLL_END && under_way(core) ? CW_POLL_LATER : poll;
}

static void done(void *self, uint32_t shard, const struct cw_chunk *chunk)
{
    struct cw_core *core = self;
    core->source.done(core->source.self, shard, chunk);
}

static void wait_for_work(void *self, uint32_t shard, uint64_t ns_max)
{
    struct cw_engine *engine = self;
    cw_server_wait(engine->cores[shard].server, ns_max);
}

void cw_engine_wake(void *self, uint32_t shard)
{
    struct cw_engine *engine = self;
    if (engine->cores[shard].server != NULL) { /* channels stop also where opening failed */
        cw_server_wake(engine->cores[shard].server);
    }
}

/* ---- open ---- */

static cw_err open_credentials(struct cw_engine *engine, struct cw_fault *fault)
{
    if (engine->live->credential_count == 0) {
        return CW_ERR_OK;
    }
    cw_err err = cw_credentials_open(&engine->credentials, fault);
    for (uint32_t i = 0; i < engine->live->credential_count && err == CW_ERR_OK; i++) {
        const struct cw_engine_credential *c = &engine->live->credentials[i];
        err = cw_credentials_add(engine->credentials, c->type, c->id, c->secret, c->role, fault);
    }
    return err;
}

static struct cw_view view_of(const char *text)
{
    return (struct cw_view){text, (uint32_t)strlen(text)};
}

static cw_err open_channels(struct cw_engine *engine, struct cw_fault *fault)
{
    (void)snprintf(engine->outbox, sizeof engine->outbox, "%.3900s/outbox", engine->live->state);
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        engine->rows[i] = engine->live->channels[i];
        if (engine->rows[i].type == CW_CHANNEL_OUTBOX && engine->rows[i].directory.data == NULL) {
            engine->rows[i].directory = view_of(engine->outbox);
        }
        if (engine->rows[i].type == CW_CHANNEL_OUTBOX && engine->rows[i].from.data == NULL) {
            engine->rows[i].from = CW_VIEW("Your shop <no-reply@localhost>"); /* never sent */
        }
    }
    cw_err err =
        cw_channels_open(&engine->channels, engine->rows, CW_CHANNEL_COUNT, engine->count, fault);
    if (err == CW_ERR_OK) {
        cw_channels_on_result(engine->channels, cw_engine_wake, engine);
    }
    return err;
}

static cw_err open_service(struct cw_engine *engine, struct cw_core *core,
                           const struct cw_hash_key *hash, struct cw_fault *fault)
{
    const struct cw_engine_file *file = engine->options.file;
    struct cw_service_options options = {
        .pipeline = {.programs = engine->bundle->programs,
                     .zones = engine->zones,
                     .port = {.self = core, .decide = decide},
                     .names = &file->names,
                     .core = core->index,
                     .partitions = file->partitions,
                     .event_bytes_max = file->event_bytes_max,
                     .hash = *hash,
                     .cores = engine->count,
                     .live = engine->live->clock != CW_CLOCK_EVENT,
                     .codes = engine->state.codes,
                     .rows_max = UINT64_C(1) << 28,
                     .unfollowed = engine->options.timeline,
                     .bytes_max = (UINT64_C(1) << 35) / engine->count,
                     .shop_link = file->shop_url,
                     .shop_name = file->shop_name,
                     .links = &engine->links},
        .shards = engine->count,
        .templates = engine->bundle->of_core[core->index].templates,
        .channels = cw_channels_port(engine->channels),
        .now_ms = cw_engine_now_ms,
        .latest_ms = cw_engine_clock_latest_ms,
        .speed = engine->live->clock_factor,
        .event_time = engine->live->clock == CW_CLOCK_EVENT,
        .monotonic_ns = monotonic_ns,
        .answer = answer,
        .control = control,
        .dead_letter = dead_letter,
        .counter = counter,
        .settled = cw_engine_settled,
        .full = full,
        .finished = cw_engine_finished,
        .stalled_s = cw_engine_disk_stalled_s,
        .flushes = cw_engine_disk_flushes,
        .durability = cw_durability_name(engine->live),
        .version = CW_VERSION,
        .note = engine->live->durability_none ? CW_NOTHING_KEPT : NULL,
        .self = core};
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        options.pipeline.rates[i] = engine->live->rates[i] / engine->count;
        options.pipeline.collapses[i] = options.channels.collapses(options.channels.self, i);
    }
    return cw_service_open(&core->service, &options, fault);
}

static cw_err open_core(struct cw_engine *engine, uint32_t index, const struct cw_hash_key *hash,
                        struct cw_listener *listeners, struct cw_fault *fault)
{
    struct cw_core *core = &engine->cores[index];
    core->engine = engine;
    core->index = index;
    core->lane = engine->writes ? &engine->lines.lanes[index] : NULL;
    core->notes = cw_ring_create(&engine->own, NOTES);
    core->replies = cw_ring_create(&engine->own, NOTES);
    cw_engine_erasure_open(core);
    cw_letters_init(&core->letters);
    atomic_store(&core->next, engine->bundle);
    atomic_store(&core->current, engine->bundle);
    struct cw_server_options server = {.listeners = listeners,
                                       .listener_count = engine->live->listener_count,
                                       .limits = engine->limits,
                                       .credentials = engine->credentials,
                                       .core = index,
                                       .loop = engine->live->loop};
    cw_err err = cw_server_open(&core->server, &server, fault);
    for (uint32_t i = 0; err == CW_ERR_OK && i < server.listener_count; i++) {
        core->ports[i] = listeners[i].port;
    }
    if (err == CW_ERR_OK && index == 0) {
        /* Port 0 was any; the other cores listen where the first does, and links lead there. */
        cw_text_view(&engine->base, engine->live->link_base);
        for (uint32_t i = 0; engine->base.bytes == 0 && i < server.listener_count; i++) {
            if (listeners[i].kind == CW_REQUEST_HTTP) {
                cw_text_printf(&engine->base, "http://127.0.0.1:%u", listeners[i].port);
            }
        }
        engine->links.base = (struct cw_view){engine->base.data, (uint32_t)engine->base.bytes};
    }
    if (err == CW_ERR_OK) {
        err = open_service(engine, core, hash, fault);
    }
    if (err == CW_ERR_OK) {
        core->source = cw_server_source(core->server);
        engine->shards[index] =
            (struct cw_shard){.index = index,
                              .mesh = engine->mesh,
                              .source = {.self = core,
                                         .take = take,
                                         .done = done,
                                         .turn = turn_source},
                              .app = cw_service_app(core->service),
                              .peers = engine->shards,
                              .wait = wait_for_work,
                              .wake = cw_engine_wake,
                              .sleeper = engine};
        cw_shard_init(&engine->shards[index]);
    }
    return err;
}

static cw_err open_parts(struct cw_engine *engine, struct cw_fault *fault)
{
    const struct cw_engine_live *live = engine->live;
    cw_err err = cw_arena_open(&engine->own, 1u << 20, (size_t)1 << 30, fault);
    if (err == CW_ERR_OK) {
        engine->cores = cw_arena_zalloc(&engine->own, engine->count * sizeof *engine->cores, 64);
        engine->shards = cw_arena_zalloc(&engine->own, engine->count * sizeof *engine->shards, 64);
        const struct cw_state_options state = {.directory = live->state,
                                               .links_elsewhere = live->link_secret.data != NULL,
                                               .new_secret = engine->options.new_secret};
        err = cw_place_check(live->state, engine->options.loss_count > 0, fault);
        err = err == CW_ERR_OK ? cw_state_open(&engine->state, &state, fault) : err;
    }
    if (err == CW_ERR_OK) {
        engine->state_open = true;
        cw_engine_task_open(engine);
        engine->links.key = engine->state.link;
        if (live->link_secret.data != NULL) {
            uint8_t key[sizeof engine->links.key];
            cw_hash128((struct cw_hash_key){0}, live->link_secret.data, live->link_secret.bytes,
                       key);
            memcpy(&engine->links.key, key, sizeof key);
        }
        err = cw_letter_file_open(&engine->letters, live->state, live->dead_letter_bytes, fault);
    }
    if (err == CW_ERR_OK) {
        err = cw_zones_open(&engine->zones, "/usr/share/zoneinfo", fault);
    }
    if (err == CW_ERR_OK) {
        err = cw_mesh_open(&engine->mesh, engine->count, fault);
    }
    if (err == CW_ERR_OK && engine->options.decisions != NULL) {
        err =
            cw_lines_open(&engine->lines, engine->count,
                          engine->options.timeline ? cw_timeline_write : cw_decision_write, fault);
        engine->writes = err == CW_ERR_OK;
    }
    if (err == CW_ERR_OK) {
        err = open_credentials(engine, fault);
    }
    return err == CW_ERR_OK ? open_channels(engine, fault) : err;
}

static cw_err open_cores(struct cw_engine *engine, struct cw_fault *fault)
{
    struct cw_hash_key hash;
    if (getrandom(&hash, sizeof hash, 0) != (ssize_t)sizeof hash) {
        return cw_fail(fault, CW_ERR_IO, "asking for random bytes");
    }
    struct cw_listener *listeners = cw_arena_alloc(&engine->own, sizeof engine->live->listeners, 8);
    memcpy(listeners, engine->live->listeners, sizeof engine->live->listeners);
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; i < engine->count && err == CW_ERR_OK; i++) {
        err = open_core(engine, i, &hash, listeners, fault);
        for (uint32_t l = 0; i == 0 && err == CW_ERR_OK && l < engine->live->listener_count; l++) {
            struct cw_view *address = &listeners[l].address;
            if (address->bytes < 2 || memcmp(address->data + address->bytes - 2, ":0", 2) != 0) {
                continue;
            }
            char *told = cw_arena_alloc(&engine->own, address->bytes + 8, 1);
            int bytes = snprintf(told, address->bytes + 8, "%.*s:%u", (int)address->bytes - 2,
                                 address->data, listeners[l].port);
            *address = (struct cw_view){told, (uint32_t)bytes};
        }
    }
    return err;
}

static uint32_t core_count(const struct cw_engine_live *live)
{
    uint32_t usable = cw_runtime_cpus();
    uint32_t count = live->cores > 0 ? live->cores : usable;
    return count > CW_MESH_SHARDS_MAX ? CW_MESH_SHARDS_MAX : count;
}

/* No disk fails so, and to start again does not help. */
static bool not_ours(const struct cw_fault *fault)
{
    return fault->code == CW_ERR_IO && (fault->sys_errno == EACCES || fault->sys_errno == EPERM);
}

static void say_not_recovered(const struct cw_engine *engine, cw_err err,
                              const struct cw_fault *fault)
{
    (void)cw_failure(fault);
    if (err == CW_ERR_CORRUPT) {
        (void)fprintf(stderr,
                      "cartwheel: the state in %s is damaged and nothing%s was changed; look "
                      "at the disk, and copy the directory away first\n",
                      engine->live->state,
                      engine->options.loss_count > 0 ? " but what --accept-loss names" : "");
    }
    if (fault->sys_errno == ENOSPC || fault->sys_errno == EDQUOT) {
        (void)fprintf(stderr,
                      "cartwheel: the disk is full; nothing is lost. Make room (old snapshots, "
                      "outbox/, dead letters), then start again\n");
    }
    if (not_ours(fault)) {
        (void)fprintf(stderr,
                      "cartwheel: all of %s has to be the engine's user's (uid %u): chown -R\n",
                      engine->live->state, geteuid());
    }
    if (err == CW_ERR_CORRUPT && engine->durable != NULL) { /* of manifests it is said already */
        cw_loss_advise(engine->found.damaged_core, &engine->found.damage, stderr);
    }
}

int cw_engine_open(struct cw_engine **engine, const struct cw_engine_options *options)
{
    struct cw_fault fault;
    struct cw_engine *made = calloc(1, sizeof *made);
    CW_ASSERT(made != NULL);
    made->options = *options;
    made->live = &options->file->live;
    made->count = core_count(made->live);
    made->start_ms = cw_clock_wall_ms();
    made->start_ns = cw_clock_monotonic_ns();
    made->letters.file = -1;
    made->name = -1;
    made->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    CW_ASSERT(made->wake >= 0);
    const struct cw_bundle_sources sources = {.models = options->models,
                                              .templates = options->templates,
                                              .programs = options->programs,
                                              .program_count = options->program_count};
    cw_err err = cw_bundle_open(&made->bundle, &sources, made->count, NULL, &fault);
    err = err == CW_ERR_OK ? cw_engine_bound_files(made, &fault) : err;
    if (err == CW_ERR_OK) {
        err = open_parts(made, &fault);
    }
    if (err == CW_ERR_OK) {
        err = open_cores(made, &fault);
    }
    if (err != CW_ERR_OK) {
        int code = cw_failure(&fault);
        if (err == CW_ERR_CORRUPT) { /* nothing else was looked at yet */
            cw_state_advise_secret(stderr);
            code = CW_EXIT_DAMAGED;
        }
        (void)cw_engine_close(made);
        return err == CW_ERR_INVALID || not_ours(&fault) ? CW_EXIT_USAGE : code;
    }
    err = cw_engine_recover(made, &fault);
    err = err == CW_ERR_OK ? cw_state_keep_secret(&made->state, &fault) : err;
    if (err != CW_ERR_OK) {
        say_not_recovered(made, err, &fault);
        (void)cw_engine_close(made);
        return err == CW_ERR_INVALID || err == CW_ERR_UNSUPPORTED || not_ours(&fault)
                   ? CW_EXIT_USAGE
               : err == CW_ERR_CORRUPT ? CW_EXIT_DAMAGED
                                       : CW_EXIT_DISK;
    }
    *engine = made;
    return CW_EXIT_OK;
}

/* ---- start and stop ---- */

static void print_line(void *self, struct cw_view text)
{
    struct cw_engine *engine = self;
    (void)fwrite(text.data, 1, text.bytes, engine->options.decisions);
}

/* What is decided takes effect whether or not somebody can read it. */
static void flush_decisions(struct cw_engine *engine, bool *failed)
{
    bool bad = fflush(engine->options.decisions) != 0 || ferror(engine->options.decisions) != 0;
    if (bad && !*failed) {
        (void)fprintf(stderr,
                      "cartwheel: decisions cannot be written (%m): some are lost; the "
                      "engine goes on\n");
        *failed = true;
    }
}

static void *write_decisions(void *self)
{
    struct cw_engine *engine = self;
    bool failed = false;
    while (cw_lines_merge(&engine->lines, print_line, engine)) {
        flush_decisions(engine, &failed);
    }
    flush_decisions(engine, &failed);
    return NULL;
}

cw_err cw_engine_start(struct cw_engine *engine, struct cw_fault *fault)
{
    if (engine->writes && pthread_create(&engine->writer, NULL, write_decisions, engine) != 0) {
        engine->writes = false;
        return cw_fail(fault, CW_ERR_IO, "starting the thread that writes decisions");
    }
    cw_err err = cw_engine_memory_start(engine, fault);
    if (err == CW_ERR_OK) {
        err = cw_runtime_start(&engine->runtime, engine->shards, engine->count, true, fault);
    }
    engine->started = err == CW_ERR_OK;
    return err;
}

void cw_engine_wake_all(struct cw_engine *engine)
{
    for (uint32_t i = 0; i < engine->count; i++) {
        cw_server_wake(engine->cores[i].server);
    }
}

void cw_engine_stop(struct cw_engine *engine)
{
    atomic_store(&engine->stopping, true);
    cw_engine_wake_all(engine);
}

bool cw_engine_stopped(struct cw_engine *engine)
{
    return cw_runtime_try_join(&engine->runtime);
}

/* Counters of all cores as one; true when every sum holds. */
static bool reconcile(struct cw_engine *engine)
{
    struct cw_summary summary = {.cores = engine->count}; /* no rate: the state's life is longer */
    for (uint32_t i = 0; i < engine->count; i++) {
        uint64_t in_flight = 0;
        uint64_t pending = 0;
        struct cw_pipeline *pipeline = cw_service_pipeline(engine->cores[i].service);
        cw_fates_add(&summary.fates, cw_pipeline_fates(pipeline));
        cw_pipeline_count(pipeline, &in_flight, &pending);
        summary.in_flight += in_flight;
        summary.decisions += engine->cores[i].decided;
        summary.pending += pending;
    }
    cw_summary_print(&summary, false, stderr);
    const char *wrong = cw_fates_reconcile(&summary.fates, summary.in_flight, summary.pending);
    if (wrong != NULL) {
        (void)fprintf(stderr,
                      "cartwheel: the sums do not reconcile: %s; this is a defect of cartwheel\n",
                      wrong);
    }
    return wrong == NULL;
}

void cw_engine_write_letters(struct cw_engine *engine)
{
    bool written = true;
    for (uint32_t i = 0; i < engine->count; i++) {
        written &= cw_letter_file_write(&engine->letters, &engine->cores[i].letters);
    }
    if (!written && !engine->letters_failed) {
        (void)fprintf(stderr,
                      "cartwheel: %s cannot be written; refused events are counted, not kept: make "
                      "room on the disk\n",
                      engine->letters.path);
    }
    engine->letters_failed = !written;
}

static void close_core(struct cw_core *core)
{
    void *item;
    if (core->engine == NULL) {
        return;
    }
    cw_engine_erasure_close(core);
    while (cw_ring_pop(core->notes, &item)) {
        free(item);
    }
    while (cw_ring_pop(core->replies, &item)) {
        cw_text_deinit(&((struct cw_reply *)item)->body);
        free(item);
    }
    if (core->service != NULL) {
        cw_service_close(core->service);
    }
    if (core->server != NULL) {
        cw_server_close(core->server);
    }
    cw_letters_deinit(&core->letters);
    free(atomic_load(&core->remark));
}

static void close_durable(struct cw_engine *engine)
{
    struct cw_fault fault;
    if (engine->durable != NULL &&
        cw_durable_close(engine->durable, engine->started, &fault) != CW_ERR_OK) {
        (void)cw_failure(&fault);
        (void)fputs("cartwheel: this stop could not be noted: all that was acknowledged is on the "
                    "disk, but the next\n  start will say CRASH\n",
                    stderr);
    }
}

bool cw_engine_close(struct cw_engine *engine)
{
    bool good = true;
    cw_engine_task_close(engine);
    cw_engine_memory_stop(engine);
    if (engine->channels != NULL) {
        cw_channels_stop(engine->channels, GRACE_MS);
    }
    if (engine->started) {
        CW_ASSERT(cw_runtime_try_join(&engine->runtime));
        if (engine->writes) {
            (void)pthread_join(engine->writer, NULL);
        }
        cw_engine_write_letters(engine);
        good = reconcile(engine);
    }
    close_durable(engine); /* before the tables that its journals are of */
    for (uint32_t i = 0; engine->cores != NULL && i < engine->count; i++) {
        close_core(&engine->cores[i]);
    }
    if (engine->channels != NULL) {
        cw_channels_close(engine->channels);
    }
    if (engine->credentials != NULL) {
        cw_credentials_close(engine->credentials);
    }
    if (engine->lines.lanes != NULL) {
        cw_lines_close(&engine->lines);
    }
    if (engine->mesh != NULL) {
        cw_mesh_close(engine->mesh);
    }
    if (engine->zones != NULL) {
        cw_zones_close(engine->zones);
    }
    cw_letter_file_close(&engine->letters);
    if (engine->state_open) {
        cw_state_close(&engine->state);
    }
    if (engine->retired != NULL) {
        cw_bundle_close(engine->retired);
    }
    if (engine->bundle != NULL) {
        cw_bundle_close(engine->bundle);
    }
    cw_text_deinit(&engine->base);
    if (engine->own.first != NULL) {
        cw_arena_close(&engine->own);
    }
    if (engine->name >= 0) {
        (void)close(engine->name);
    }
    (void)close(engine->wake);
    free(engine);
    return good;
}

/* ---- what it says ---- */

void cw_engine_addresses(const struct cw_engine *engine, struct cw_text *line)
{
    for (uint32_t i = 0; i < engine->live->listener_count; i++) {
        const struct cw_listener *listener = &engine->live->listeners[i];
        struct cw_view at = listener->address;
        uint32_t host = at.bytes;
        while (host > 0 && at.data[host - 1] != ':') {
            host--;
        }
        cw_text_printf(line, "%s%s%.*s%u", i == 0 ? "" : " ",
                       listener->kind == CW_REQUEST_HTTP ? "http://" : "tcp://", (int)host, at.data,
                       engine->cores[0].ports[i]);
    }
}

void cw_engine_remarks(const struct cw_engine *engine, FILE *to)
{
    (void)fprintf(to, "cartwheel %s: %u core%s, %s\n", CW_VERSION, engine->count,
                  engine->count == 1 ? "" : "s", cw_server_backend(engine->cores[0].server));
    for (uint32_t i = 1; i < engine->count; i++) { /* rings may run out after the first */
        const char *backend = cw_server_backend(engine->cores[i].server);
        if (strcmp(backend, cw_server_backend(engine->cores[0].server)) != 0) {
            (void)fprintf(to, "  core %u: %s\n", i, backend);
        }
    }
    for (uint32_t i = 0; i < engine->bundle->programs->count; i++) {
        const struct cw_program *program = &engine->bundle->programs->list[i];
        (void)fprintf(to, "  program %.*s (%.*s)%s\n", (int)program->id.bytes, program->id.data,
                      (int)program->file.bytes, program->file.data,
                      program->enabled ? "" : ": off");
    }
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        const struct cw_channel_options *row = &engine->rows[i];
        if (row->type == CW_CHANNEL_OUTBOX) {
            (void)fprintf(to, "  %.*s: messages are NOT sent; they go into %.*s\n",
                          (int)row->name.bytes, row->name.data, (int)row->directory.bytes,
                          row->directory.data);
        } else {
            (void)fprintf(to, "  %.*s: sent through %.*s\n", (int)row->name.bytes, row->name.data,
                          (int)row->url.bytes, row->url.data);
        }
    }
    if (engine->credentials == NULL) {
        (void)fputs("  no credentials are configured: whoever reaches a socket may do all\n", to);
    }
    cw_engine_files_say(engine, to);
    cw_engine_say_state(engine, to);
}
