/*
 * engine_state: the engine's state: read at start, and what may leave a core only once it is
 * durable: answers (the shard holds their batches), messages (staged in their channels), told
 * decisions.
 */
#include "io/disk.h"
#include "tools/engine_priv.h"
#include "tools/place.h"

#include <errno.h>
#include <stddef.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#ifndef CW_VERSION
#    define CW_VERSION "0"
#endif

enum {
    SETTLE_EVERY_MS = 50,
    DOUBTS_IN_A_TURN = 64,
    SEGMENT_BYTES = 16 << 20 /* a spare one is written beside it, so twice that on each core */
};

#define SEAL_AFTER_NS UINT64_C(1000000000)
#define MARK_AFTER_NS UINT64_C(3600000000000) /* the clock into a resting log: engine_clock.c */

/* Often enough that a crash of an engine at rest looks like no downtime that holds its sends. */
static uint64_t mark_after_ns(const struct cw_core *core)
{
    uint64_t most = core->engine->live->downtime_ms_max;
    uint64_t quarter = (most > CW_CLOCK_STEP_MS ? most : CW_CLOCK_STEP_MS) / 4;
    return quarter < MARK_AFTER_NS / 1000000 ? quarter * 1000000 : MARK_AFTER_NS;
}

/* What is settled later is settled as well, so most calls need not hand anything on. */
static void tell_settled(struct cw_core *core)
{
    if (core->lane == NULL || (!core->ended && cw_lane_full(core->lane))) {
        return;
    }
    int64_t now = cw_clock_wall_ms();
    if (core->ended || now - core->settled_ms >= SETTLE_EVERY_MS || now < core->settled_ms) {
        core->settled_ms = now;
        cw_lane_settle(core->lane, core->durable_until, core->ended);
    }
}

void cw_engine_settled(void *self, uint64_t sequence, int64_t until, bool end)
{
    struct cw_core *core = self;
    (void)sequence;
    core->until = until;
    core->ended = end;
    if (end) { /* all is durable: finished() said so before */
        core->durable_until = until;
        tell_settled(core);
    }
}

/* ---- what leaves only once it is durable ---- */

static void *of_core(void *self, uint32_t core)
{
    return &((struct cw_engine *)self)->cores[core];
}

static void before_commit(void *self)
{
    struct cw_core *core = self;
    cw_pipeline_note(cw_service_pipeline(core->service));
}

static void commit_staged(void *self)
{
    struct cw_core *core = self;
    struct cw_channel_port port = cw_channels_port(core->engine->channels);
    core->staged_until = core->until;
    core->committed_ns = core->marked_ns = cw_clock_monotonic_ns();
    core->commits++;
    port.stage(port.self, core->index);
}

static void commit_released(void *self)
{
    struct cw_core *core = self;
    struct cw_channel_port port = cw_channels_port(core->engine->channels);
    core->durable_until = core->staged_until;
    port.release(port.self, core->index);
    tell_settled(core);
}

/* An fsync that failed may have thrown away what it was to keep, and would succeed if it was tried
   again: nothing that is in memory now may be told to anybody. */
static void disk_failed(void *self, const char *why)
{
    const struct cw_core *core = self;
    (void)fprintf(
        stderr,
        "cartwheel: core %u: %s; the engine ends at once, so that nothing is acknowledged "
        "that the disk may have lost. Check the disk, then start again: what was "
        "acknowledged is recovered\n",
        core->index, why);
    _exit(CW_EXIT_DISK);
}

/* Durability none: what was done may leave at the next turn. */
static void let_leave(struct cw_core *core)
{
    struct cw_channel_port port = cw_channels_port(core->engine->channels);
    port.stage(port.self, core->index);
    port.release(port.self, core->index);
    core->durable_until = core->until;
    tell_settled(core);
}

bool cw_engine_finished(void *self)
{
    struct cw_core *core = self;
    if (core->store == NULL) {
        let_leave(core);
        return true;
    }
    return cw_store_finish(core->store, false);
}

/* A log that rests is sealed, so that its last frame is known to be whole; and where nothing is
   left to be committed, all that was decided may be told. */
void cw_engine_look_after_state(struct cw_core *core)
{
    if (!core->doubts_settled) {
        core->doubts_settled =
            cw_pipeline_settle_in_doubt(cw_service_pipeline(core->service), DOUBTS_IN_A_TURN);
    }
    cw_engine_room_turn(core);
    if (core->store == NULL) {
        let_leave(core);
        return;
    }
    struct cw_commit commit = cw_store_commit(core->store);
    cw_engine_erasure_turn(core);
    if (commit.number(commit.self) <= commit.durable(commit.self)) {
        core->durable_until = core->until;
        tell_settled(core);
        uint64_t now_ns = cw_clock_monotonic_ns();
        if (now_ns - core->committed_ns > SEAL_AFTER_NS) {
            core->committed_ns = now_ns;
            cw_pipeline_note_counters(cw_service_pipeline(core->service));
            cw_store_idle(core->store); /* unless these are to be written first */
        }
        if (now_ns - core->marked_ns > mark_after_ns(core)) {
            core->marked_ns = now_ns;
            cw_pipeline_note(cw_service_pipeline(core->service)); /* the clock alone changed */
        }
    }
}

/* ---- state ---- */

static cw_err open_durable(struct cw_engine *engine, struct cw_fault *fault)
{
    const struct cw_engine_live *live = engine->live;
    engine->directory =
        (struct cw_durable_directory){.path = live->state, .wake = cw_engine_wake, .self = engine};
    (void)snprintf(engine->seal, sizeof engine->seal, "%.4000s/memory.seal", live->state);
    struct cw_durable_options options = {
        .files = cw_durable_files(&engine->directory),
        .memory = live->memory,
        .seal = engine->seal,
        .cores = engine->count,
        .partitions = engine->options.file->partitions,
        .os = live->durability_os,
        .threads = true,
        .segment_bytes = live->segment_bytes != 0 ? live->segment_bytes : SEGMENT_BYTES,
        .checkpoint_bytes = live->checkpoint_bytes,
        .writer = CW_VERSION,
        .self = engine,
        .of_core = of_core,
        .before = before_commit,
        .staged = commit_staged,
        .released = commit_released,
        .on_fault = disk_failed,
        .now_ms = cw_engine_now_ms};
    if (getrandom(&options.random, sizeof options.random, 0) != (ssize_t)sizeof options.random) {
        return cw_fail(fault, CW_ERR_IO, "asking for random bytes");
    }
    return cw_durable_open(&engine->durable, &options, fault);
}

/* Two copies of one state would send everything twice. The lock keeps two engines off one
   directory; this keeps them off two copies of it, as far as one host can see: a socket of the
   abstract namespace goes with its process, however that ends. */
static cw_err claim_name(struct cw_engine *engine, struct cw_fault *fault)
{
    const uint8_t *store = cw_durable_manifest(engine->durable)->store;
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char *name = at.sun_path + 1; /* behind a NUL: no file */
    int bytes = snprintf(name, sizeof at.sun_path - 1, "cartwheel-");
    for (uint32_t i = 0; i < 16; i++) {
        bytes += snprintf(name + bytes, sizeof at.sun_path - 1 - (size_t)bytes, "%02x", store[i]);
    }
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)bytes);
    engine->name = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (engine->name < 0) { /* no such sockets here: nothing to be seen by */
        return CW_ERR_OK;
    }
    if (bind(engine->name, (struct sockaddr *)&at, size) == 0 || errno != EADDRINUSE) {
        return CW_ERR_OK;
    }
    return cw_fail(fault, CW_ERR_INVALID,
                   "an engine on this host runs on another copy of the state in %.100s (store %s); "
                   "both would send the same messages: stop one of them",
                   engine->live->state, name + sizeof "cartwheel-" - 1);
}

static void begin_cores(struct cw_engine *engine, int64_t now)
{
    for (uint32_t i = 0; i < engine->count; i++) {
        struct cw_core *core = &engine->cores[i];
        if (engine->live->clock == CW_CLOCK_EVENT) { /* but frames say when they were written */
            cw_clock_init(&core->clock, engine->start_ms);
        } else {
            cw_clock_init_at(&core->clock, now);
        }
        core->clock_begun = true;
        core->marked_ns = cw_clock_monotonic_ns();
        cw_service_begin_at(core->service, now);
    }
    engine->start_ms = now > engine->start_ms ? now : engine->start_ms;
}

/* Durability none keeps nothing and reads nothing; where a state is, that would be a mistake. */
static cw_err keep_nothing(struct cw_engine *engine, struct cw_fault *fault)
{
    cw_err err = open_durable(engine, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    bool fresh = cw_durable_manifest(engine->durable)->cores == 0;
    (void)cw_durable_close(engine->durable, false, fault);
    engine->durable = NULL;
    if (!fresh) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "%.100s holds a state, which \"durability: none\" would neither read nor "
                       "keep: say fsync or os, or name another directory",
                       engine->live->state);
    }
    uint32_t held = CW_HOLD_NONE;
    begin_cores(engine, cw_engine_clock_begin(engine, 0, &held));
    return CW_ERR_OK;
}

/* Candidates in flight by programs that are not loaded; views into the rows. */
struct astray {
    struct cw_view programs[CW_PROGRAMS_MAX];
    uint64_t counts[CW_PROGRAMS_MAX];
    uint32_t count;
};

static void add_astray(void *with, struct cw_view program)
{
    struct astray *astray = with;
    uint32_t i = 0;
    while (i < astray->count && !cw_view_equal(astray->programs[i], program)) {
        i++;
    }
    if (i == astray->count && i < CW_PROGRAMS_MAX) {
        astray->programs[astray->count++] = program;
    }
    astray->counts[i < CW_PROGRAMS_MAX ? i : i - 1]++; /* more than that are told as one */
}

static void warn_astray(struct cw_pipeline *const *pipelines, uint32_t count)
{
    struct astray astray = {.count = 0};
    for (uint32_t i = 0; i < count; i++) {
        cw_pipeline_astray(pipelines[i], add_astray, &astray);
    }
    for (uint32_t i = 0; i < astray.count; i++) {
        bool one = astray.counts[i] == 1;
        (void)fprintf(
            stderr,
            "cartwheel: WARNING: %llu candidate%s in flight %s of program \"%.*s\", which "
            "is not loaded: %s touches are skipped as paused; name its file, too\n",
            (unsigned long long)astray.counts[i], one ? "" : "s", one ? "is" : "are",
            (int)astray.programs[i].bytes, astray.programs[i].data, one ? "its" : "their");
    }
}

/* Everything that was there comes back, and what was being sent when it stopped is settled. */
cw_err cw_engine_recover(struct cw_engine *engine, struct cw_fault *fault)
{
    if (engine->live->durability_none && engine->options.loss_count > 0) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "--accept-loss: \"durability: none\" reads no state that could be damaged");
    }
    if (engine->live->durability_none) {
        return keep_nothing(engine, fault);
    }
    struct cw_pipeline *pipelines[CW_MESH_SHARDS_MAX];
    for (uint32_t i = 0; i < engine->count; i++) {
        pipelines[i] = cw_service_pipeline(engine->cores[i].service);
    }
    uint64_t began_ns = cw_clock_monotonic_ns();
    cw_err err = open_durable(engine, fault);
    err = err == CW_ERR_OK ? claim_name(engine, fault) : err;
    if (err == CW_ERR_OK && engine->options.loss_count > 0) {
        struct cw_durable_files files = cw_durable_files(&engine->directory);
        err = cw_losses_accept(engine->durable, &files, engine->live->state, engine->options.losses,
                               engine->options.loss_count, stderr, fault);
    }
    if (err == CW_ERR_OK) {
        err = cw_durable_recover(engine->durable, pipelines, &engine->found, fault);
    }
    if (err != CW_ERR_OK) {
        return err;
    }
    engine->recover_s = (double)(cw_clock_monotonic_ns() - began_ns) / 1e9;
    warn_astray(pipelines, engine->count);
    /* No core's clock is before what any of them knows. */
    bool event_time = engine->live->clock == CW_CLOCK_EVENT; /* frames say other times there */
    int64_t mark = engine->found.fresh || event_time ? 0 : engine->found.logical_ms;
    bool cut = false; /* sends were held when it ended; the manifest need not say so */
    for (uint32_t i = 0; i < engine->count; i++) {
        int64_t of_core = cw_pipeline_now(pipelines[i]);
        mark = of_core > mark ? of_core : mark;
        cut = cut || cw_pipeline_sends_held(pipelines[i]) != CW_HOLD_NONE;
    }
    uint32_t held = cw_durable_manifest(engine->durable)->held; /* what is said there, holds */
    int64_t now = cw_engine_clock_begin(engine, mark, &held);
    if (held != cw_durable_manifest(engine->durable)->held) {
        err = cw_durable_hold(engine->durable, held, fault);
    }
    held |= cw_engine_clock_grace(engine, mark, held, cut);
    begin_cores(engine, now);
    for (uint32_t i = 0; i < engine->count; i++) {
        struct cw_core *core = &engine->cores[i];
        core->store = cw_durable_store(engine->durable, i);
        core->disk = cw_durable_disk(engine->durable, i);
        engine->shards[i].commit = cw_store_commit(core->store);
        if (cw_pipeline_sends_held(pipelines[i]) != held) {
            cw_pipeline_hold_sends(pipelines[i], held);
        }
    }
    return err;
}

static void say_recovered(const struct cw_engine *engine, const struct cw_manifest *manifest,
                          FILE *to)
{
    const struct cw_durable_found *found = &engine->found;
    if (found->memory != NULL && found->not_adopted[0] == '\0') {
        (void)fprintf(to, "  adopted %llu rows in %.0f ms after a clean stop\n",
                      (unsigned long long)found->adopted, engine->recover_s * 1e3);
    } else {
        bool restored = found->manifest.generation == 1; /* all others have had a first start */
        (void)fprintf(to,
                      "  recovered in %.2f s %s: %.1f MB of checkpoints, %llu frames of log "
                      "(%.1f MB)%s\n",
                      engine->recover_s,
                      restored                ? "out of a snapshot"
                      : found->manifest.clean ? "after a clean stop"
                                              : "after a CRASH",
                      (double)found->checkpoint_bytes / 1e6, (unsigned long long)found->frames,
                      (double)found->log_bytes / 1e6,
                      found->torn_bytes > 0 ? "; a write that was never acknowledged was cut off"
                                            : "");
        (void)fprintf(to,
                      "  %llu rows: %.2f s reading checkpoints, %.2f s their rows, %.2f s the log, "
                      "%.2f s linking\n",
                      (unsigned long long)found->rows, found->read_s, found->rows_s, found->log_s,
                      found->link_s);
    }
    if (found->manifest.cores != manifest->cores) {
        (void)fprintf(to, "  dealt out from %u cores to %u\n", found->manifest.cores,
                      manifest->cores);
    }
}

static void say_held(const struct cw_manifest *manifest, FILE *to)
{
    if ((manifest->held & CW_HOLD_LOSS) != 0) {
        (void)fputs(
            "  sends are HELD: damage was cut off the log (losses.ndjson); messages that went "
            "out after it are\n  not known. `cartwheel resume --assume-sent-until TIME` lets "
            "the others go\n",
            to);
    }
    if ((manifest->held & CW_HOLD_RESTORED) != 0) {
        (void)fputs(
            "  sends are HELD: this state came out of a snapshot; messages that went out after it "
            "was made are\n  not known. Let the sources send again what they sent since, then "
            "`cartwheel resume\n  --assume-sent-until TIME` lets the others go\n",
            to);
    }
}

void cw_engine_say_state(const struct cw_engine *engine, FILE *to)
{
    const struct cw_durable_found *found = &engine->found;
    if (engine->durable == NULL) {
        (void)fputs(
            "  WARNING: durability none, for measuring: NOTHING outlives a stop, no event, no "
            "cart, no\n  duplicate, no message that was sent\n",
            to);
        return;
    }
    const struct cw_manifest *manifest = cw_durable_manifest(engine->durable);
    (void)fprintf(to, "  state in %s, durability %s\n", engine->live->state,
                  engine->live->durability_os
                      ? "os: what is acknowledged survives this process, NOT a loss of power"
                      : "fsync");
    (void)fprintf(to, "  disk: %s\n", cw_disk_name(engine->cores[0].disk)); /* all are the same */
    cw_place_warn(engine->live->state, !engine->live->durability_os, to);
    if (found->memory != NULL) {
        (void)fprintf(to, "  tables in %s (%s)\n", engine->live->memory, found->memory);
    }
    if (found->not_adopted[0] != '\0') {
        (void)fprintf(to, "  tables were not adopted, the state was read: %s\n",
                      found->not_adopted);
    }
    if (!found->fresh) {
        say_recovered(engine, manifest, to);
    }
    if (found->checkpoints_refused > 0) {
        (void)fprintf(to,
                      "  WARNING: %u damaged checkpoint%s passed over; the state is whole, but the "
                      "disk should be looked at\n",
                      found->checkpoints_refused,
                      found->checkpoints_refused == 1 ? " was" : "s were");
    }
    if (found->logs_damaged > 0) {
        (void)fputs("  WARNING: damage to the log was passed over: a checkpoint, or the tables in "
                    "memory, have what\n  was there, and a new checkpoint is made; look at the "
                    "disk, and make a snapshot\n",
                    to);
    }
    if (engine->directory.lone) {
        (void)fputs("  WARNING: of manifest.a and manifest.b one was missing; it is written anew. "
                    "What it said of holds and\n  of the last stop may be lost: were sends held, "
                    "look before messages go out\n",
                    to);
    }
    if (engine->state.secret_lost) {
        const char *links = engine->live->link_secret.data != NULL
                                ? "links are signed with the configured secret as before"
                                : "links in messages that were sent before lead nowhere";
        (void)fprintf(to,
                      "  WARNING: secret.key was lost and is new: %s;\n  discount codes are others "
                      "than before\n",
                      links);
    }
    cw_engine_task_say(engine, to);
    cw_engine_clock_say(engine, to);
    say_held(manifest, to);
}
