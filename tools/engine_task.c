/*
 * engine_task: what the control plane has done on a thread of its own while the cores serve: a
 * snapshot, and letting go of sends that are held. One at a time.
 *
 * The thread asks all cores for something (cw_core_task), waits until each has answered at one of
 * its turns, and does with the disk what takes long. The control plane only begins it and answers
 * when it is through; a request that would wait too long is told 202, and a GET of the same path
 * tells later what came of it.
 */
#define _GNU_SOURCE 1 /* strerrordesc_np */ /* NOLINT */
#include "core/time.h"
#include "pipeline/request.h"
#include "tools/archive.h"
#include "tools/engine_priv.h"
#include "tools/flush.h"
#include "tools/retention.h"

#include <errno.h>
#include <linux/ioprio.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    ANSWER_AFTER_MS = 2000, /* before the server gives up the request */
    WAKE_EVERY_MS = 2,
    FIRST_AFTER_MS = 60000, /* a start, where a scheduled snapshot is overdue */
    AGAIN_AFTER_MS = 60000, /* one that failed; twice as long each time it fails again */
    AGAIN_DOUBLED_MAX = 20,
    NAME_TRIES = 60,
    ASSUMED_IN_A_TURN = 64,
    NAME_BYTES_MAX = 100
};

static const char *const paths[CW_TASK_KINDS] = {"/v1/snapshot", "/v1/resume"};

/* ---- on a core ---- */

/* The checkpoint at work, if there is one, began before this: the one after it counts. */
static bool make_checkpoint(struct cw_core *core)
{
    struct cw_core_task *task = &core->task;
    struct cw_store_stats stats;
    cw_store_stats(core->store, &stats);
    if (task->step == 0) {
        task->need = cw_store_checkpoints(core->store) + 1 + stats.checkpointing;
        task->failures = stats.checkpoint.failed;
        cw_pipeline_note(cw_service_pipeline(core->service)); /* as of when it is: restore tells */
        cw_store_checkpoint(core->store);
        cw_store_pin(core->store, true);
        task->step = 1;
        return false;
    }
    task->failed = stats.checkpoint.failed > task->failures;
    if (cw_store_checkpoints(core->store) >= task->need) {
        task->failed = false;
        cw_store_image(core->store, &task->image);
        return true;
    }
    return task->failed;
}

bool cw_engine_task_assumes(const struct cw_core *core)
{
    const struct cw_core_task *task = &core->task;
    return atomic_load(&task->asked) != atomic_load(&task->done) && task->wish == CW_WISH_RESUME &&
           task->until != CW_TIME_NONE;
}

/* True once sends go, durably. The clock has its own say: it is held still if it is suspect after
   what was confirmed. The first turn is left to that: what was due meanwhile is only overdue once
   time has passed; and none of it goes out before it is known what may have been sent. */
static bool let_go(struct cw_core *core)
{
    struct cw_core_task *task = &core->task;
    struct cw_pipeline *pipeline = cw_service_pipeline(core->service);
    if (!core->doubts_settled) { /* one walk at a time */
        return false;
    }
    if (!task->begun) {
        task->begun = true;
        if (core->engine->task.trusted_ms != CW_TIME_NONE) {
            cw_clock_trust(&core->clock, core->engine->task.trusted_ns);
            cw_engine_clock_turn(core);
        }
        return false;
    }
    if (task->step == 0) {
        bool through = task->until == CW_TIME_NONE ||
                       cw_pipeline_assume_sent(pipeline, task->until, ASSUMED_IN_A_TURN);
        task->step = through ? 1 : 0;
        return false;
    }
    if (task->step == 1) {
        task->held = core->clock.suspect ? CW_HOLD_CLOCK : CW_HOLD_NONE;
        cw_pipeline_hold_sends(pipeline, task->held);
        task->step = 2;
        if (core->store != NULL) {
            struct cw_commit commit = cw_store_commit(core->store);
            task->need = commit.number(commit.self);
        }
    }
    if (core->store == NULL) {
        return true;
    }
    struct cw_commit commit = cw_store_commit(core->store);
    return commit.durable(commit.self) >= task->need;
}

void cw_engine_task_turn(struct cw_core *core)
{
    struct cw_core_task *task = &core->task;
    uint32_t asked = atomic_load(&task->asked);
    if (asked == atomic_load(&task->done)) {
        return;
    }
    bool through = true;
    switch (task->wish) {
    case CW_WISH_CHECKPOINT: through = make_checkpoint(core); break;
    case CW_WISH_UNPIN: cw_store_pin(core->store, false); break;
    case CW_WISH_RESUME: through = let_go(core); break;
    }
    if (through) {
        task->step = 0;
        task->begun = false;
        atomic_store(&task->done, asked);
    }
}

/* ---- on the task's thread ---- */

/* Waits until every core has done it. A core that has ended does nothing more. */
static cw_err ask_all(struct cw_engine *engine, enum cw_wish wish, int64_t until,
                      struct cw_fault *fault)
{
    for (uint32_t i = 0; i < engine->count; i++) {
        struct cw_core_task *task = &engine->cores[i].task;
        task->wish = wish;
        task->until = until;
        task->failed = false;
        atomic_fetch_add(&task->asked, 1);
        cw_server_wake(engine->cores[i].server);
    }
    for (uint32_t i = 0; i < engine->count; i++) {
        struct cw_core_task *task = &engine->cores[i].task;
        while (atomic_load(&task->done) != atomic_load(&task->asked)) {
            if (atomic_load(&engine->stopping)) {
                return cw_fail(fault, CW_ERR_AGAIN, "the engine stops");
            }
            (void)poll(NULL, 0, WAKE_EVERY_MS);
            cw_server_wake(engine->cores[i].server);
        }
    }
    for (uint32_t i = 0; i < engine->count; i++) {
        if (engine->cores[i].task.failed) {
            errno = 0;
            return cw_fail(fault, CW_ERR_IO,
                           "core %u could not write its checkpoint: is the disk full?", i);
        }
    }
    return CW_ERR_OK;
}

static cw_err take_snapshot(struct cw_engine *engine, struct cw_fault *fault)
{
    struct cw_task *task = &engine->task;
    struct cw_store_image images[CW_MESH_SHARDS_MAX];
    struct cw_fault unpinned;
    cw_err err = ask_all(engine, CW_WISH_CHECKPOINT, CW_TIME_NONE, fault);
    if (err == CW_ERR_AGAIN) { /* some core may be at it still, and will end so */
        return err;
    }
    if (err == CW_ERR_OK) {
        for (uint32_t i = 0; i < engine->count; i++) {
            images[i] = engine->cores[i].task.image;
        }
        const struct cw_archive_source source = {.state = engine->live->state,
                                                 .manifest = task->manifest,
                                                 .images = images,
                                                 .programs = task->programs,
                                                 .program_count = task->program_count,
                                                 .stop = &engine->stopping};
        err = cw_archive_write(&source, task->file, &task->bytes, fault);
    }
    (void)!ask_all(engine, CW_WISH_UNPIN, CW_TIME_NONE, &unpinned); /* or they end */
    return err;
}

/* What each core let go of is durable before the manifest says so: a crash in between holds all
   sends again. The cores take in by themselves what is confirmed of the clock; the others hear of
   it when none can let go of anything by it that is to be settled first. */
static cw_err resume(struct cw_engine *engine, struct cw_fault *fault)
{
    struct cw_task *task = &engine->task;
    cw_err err = ask_all(engine, CW_WISH_RESUME, task->until, fault);
    if (err == CW_ERR_OK && task->trusted_ms != CW_TIME_NONE) {
        cw_engine_clock_confirm(engine, task->trusted_ns);
    }
    for (uint32_t i = 0; err == CW_ERR_OK && i < engine->count; i++) {
        task->held |= engine->cores[i].task.held;
    }
    return err == CW_ERR_OK && engine->durable != NULL &&
                   cw_durable_manifest(engine->durable)->held != task->held
               ? cw_durable_hold(engine->durable, task->held, fault)
               : err;
}

/* Who copies gigabytes takes what the cores leave, of the processors and of the disk (where its
   scheduler knows priorities); a tenth of a processor at least, so that it comes to its end. */
static void give_way(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), 10);
    (void)syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0));
}

static void *work(void *self)
{
    struct cw_engine *engine = self;
    struct cw_task *task = &engine->task;
    if (task->kind == CW_TASK_SNAPSHOT) {
        give_way();
    }
    task->err = task->kind == CW_TASK_SNAPSHOT ? take_snapshot(engine, &task->fault)
                                               : resume(engine, &task->fault);
    atomic_store(&task->done, true);
    (void)eventfd_write(engine->wake, 1);
    return NULL;
}

/* ---- on the control plane ---- */

/* What runs, whatever is on the disk by now; a reload may come meanwhile. */
static void copy_programs(struct cw_engine *engine)
{
    struct cw_task *task = &engine->task;
    const struct cw_bundle *bundle = engine->bundle;
    for (uint32_t i = 0; i < bundle->file_count; i++) {
        struct cw_view yaml = bundle->files[i].yaml;
        char *copy = malloc((size_t)yaml.bytes + 1);
        CW_ASSERT(copy != NULL);
        memcpy(copy, yaml.data, yaml.bytes);
        task->programs[i] = (struct cw_program_file){bundle->files[i].path, {copy, yaml.bytes}};
    }
    task->program_count = bundle->file_count;
}

static void free_programs(struct cw_engine *engine)
{
    struct cw_task *task = &engine->task;
    cw_program_files_free(task->programs, task->program_count);
    task->program_count = 0;
}

static bool begin(struct cw_engine *engine, enum cw_task_kind kind)
{
    struct cw_task *task = &engine->task;
    if (kind == CW_TASK_SNAPSHOT) {
        copy_programs(engine);
        task->manifest = *cw_durable_manifest(engine->durable); /* its hold may change */
    }
    task->kind = kind;
    task->bytes = 0;
    task->began_ns = cw_clock_monotonic_ns();
    atomic_store(&task->done, false);
    errno = pthread_create(&task->thread, NULL, work, engine);
    task->running = errno == 0;
    if (!task->running) {
        free_programs(engine);
    }
    return task->running;
}

static const char *directory_of(const struct cw_engine *engine, bool scheduled, char room[4096])
{
    if (scheduled && engine->live->snapshots.to != NULL) {
        return engine->live->snapshots.to;
    }
    (void)snprintf(room, 4096, "%.3900s/snapshots", engine->live->state);
    return room;
}

/* Nobody gave it a name, so none can be taken: the next second's is good, too. */
static void name_by_time(struct cw_engine *engine, const char *directory)
{
    struct cw_task *task = &engine->task;
    int64_t now = cw_clock_wall_ms();
    for (int64_t i = 0; i == 0 || (i < NAME_TRIES && access(task->file, F_OK) == 0); i++) {
        struct cw_text text = {0};
        cw_archive_name_of(cw_durable_manifest(engine->durable)->store, now + i * 1000, &text);
        (void)snprintf(task->file, sizeof task->file, "%.3900s/%s", directory,
                       cw_text_terminate(&text));
        cw_text_deinit(&text);
    }
}

/* The directory, and the file's name in it. */
static cw_err name_file(struct cw_engine *engine, bool scheduled, struct cw_view name,
                        struct cw_fault *fault)
{
    struct cw_task *task = &engine->task;
    char room[4096];
    const char *directory = directory_of(engine, scheduled, room);
    if (mkdir(directory, 0700) == 0) {
        cw_err err = cw_flush_parent(directory, fault);
        if (err != CW_ERR_OK) {
            return err;
        }
    } else if (errno != EEXIST) {
        return cw_fail(fault, CW_ERR_IO, "making %s", directory);
    }
    cw_retention_clean(directory);
    if (name.bytes > 0) {
        (void)snprintf(task->file, sizeof task->file, "%.3900s/%.*s" CW_ARCHIVE_SUFFIX, directory,
                       (int)name.bytes, name.data);
        return CW_ERR_OK;
    }
    name_by_time(engine, directory);
    return CW_ERR_OK;
}

static bool is_name(struct cw_view name)
{
    for (uint32_t i = 0; i < name.bytes; i++) {
        char c = name.data[i];
        bool good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_';
        if (!good) {
            return false;
        }
    }
    return name.bytes <= NAME_BYTES_MAX;
}

/* With the system's own reason: a disk that is full is not one that is not there. */
static const char *why(const struct cw_fault *fault, char room[400])
{
    const char *said = fault->sys_errno != 0 ? strerrordesc_np(fault->sys_errno) : NULL;
    (void)snprintf(room, 400, "%s%s%s", fault->text, said != NULL ? ": " : "",
                   said != NULL ? said : "");
    return room;
}

/* Sees to the file's name; false: it is answered. */
static bool prepare_snapshot(struct cw_engine *engine, struct cw_view query, struct cw_reply *reply)
{
    struct cw_fault fault;
    char room[400];
    struct cw_view name = cw_form_value(query, CW_VIEW("name"));
    if (!is_name(name)) {
        cw_engine_refuse(reply, 400, "name is up to 100 letters, digits, - and _");
        return false;
    }
    if (name_file(engine, false, name, &fault) != CW_ERR_OK) {
        cw_engine_refuse(reply, 500, why(&fault, room));
        return false;
    }
    if (access(engine->task.file, F_OK) == 0) {
        cw_engine_refuse(reply, 409, "there is a snapshot of that name already");
        return false;
    }
    return true;
}

/* A time that is still to come is a slip, or this machine's clock is behind the lost one's: then
   what the lost engine sent is not due here yet, and would go out again. */
static bool is_past(struct cw_engine *engine, int64_t until, struct cw_reply *reply)
{
    int64_t now = cw_engine_control_ms(engine);
    if (now == CW_TIME_NONE) {
        return true;
    }
    now = engine->task.trusted_ms > now ? engine->task.trusted_ms : now;
    if (until <= now + CW_CLOCK_STEP_MS) {
        return true;
    }
    char time[CW_TIME_BYTES + 1] = "";
    char told[200];
    cw_time_format(now, time);
    (void)snprintf(
        told, sizeof told,
        "assumeSentUntil is still to come by this engine's clock, %s; if that is behind, "
        "set the machine's clock right first",
        time);
    cw_engine_refuse(reply, 400, told);
    return false;
}

static bool prepare_resume(struct cw_engine *engine, struct cw_view query, struct cw_reply *reply)
{
    struct cw_view raw = cw_form_value(query, CW_VIEW("assumeSentUntil"));
    struct cw_view text;
    char room[64];
    engine->task.until = CW_TIME_NONE;
    engine->task.held = CW_HOLD_NONE;
    engine->task.held_before =
        engine->durable != NULL ? cw_durable_manifest(engine->durable)->held : CW_HOLD_NONE;
    engine->task.held_before |= cw_engine_clock_in_grace(engine) ? CW_HOLD_START : CW_HOLD_NONE;
    engine->task.trusted_ms = CW_TIME_NONE;
    if (engine->clock.suspect) {
        engine->task.held_before |= CW_HOLD_CLOCK;
        engine->task.trusted_ms = cw_clock_wall_ms();
        engine->task.trusted_ns = cw_clock_offset_ns();
    }
    if (raw.data == NULL) {
        return true;
    }
    if (raw.bytes > sizeof room || !cw_percent_decode(raw, true, room, &text) ||
        !cw_time_parse(text, &engine->task.until)) {
        cw_engine_refuse(reply, 400, "assumeSentUntil is a time such as 2026-11-28T18:15:00Z");
        return false;
    }
    return is_past(engine, engine->task.until, reply);
}

enum cw_task_note cw_engine_task_note(struct cw_core *core, const struct cw_note *note,
                                      struct cw_reply *reply)
{
    struct cw_engine *engine = core->engine;
    struct cw_task *task = &engine->task;
    uint32_t kind = 0;
    while (kind < CW_TASK_KINDS && strcmp(note->path, paths[kind]) != 0) {
        kind++;
    }
    if (kind == CW_TASK_KINDS) {
        return CW_TASK_NOTE_OTHER;
    }
    struct cw_view query = {note->query, (uint32_t)strlen(note->query)};
    if (note->method != CW_METHOD_POST) {
        if (task->running && task->kind == kind) {
            reply->status = 202;
            cw_text_puts(&reply->body, "{\"state\":\"working\"}\n");
        } else if (task->status[kind] != 0) {
            reply->status = task->status[kind];
            cw_text_put(&reply->body, task->told[kind].data, task->told[kind].bytes);
        } else {
            cw_engine_refuse(reply, 404, "none was asked for since the engine started");
        }
        return CW_TASK_NOTE_ANSWERED;
    }
    if (engine->durable == NULL && (kind == CW_TASK_SNAPSHOT || !engine->clock.suspect)) {
        cw_engine_refuse(reply, 409, CW_NOTHING_KEPT);
        return CW_TASK_NOTE_ANSWERED;
    }
    if (task->running) {
        cw_engine_refuse(reply, 409,
                         task->kind == CW_TASK_SNAPSHOT
                             ? "a snapshot is being made; try again when it is through"
                             : "sends are being resumed; try again when that is through");
        return CW_TASK_NOTE_ANSWERED;
    }
    if (!(kind == CW_TASK_SNAPSHOT ? prepare_snapshot(engine, query, reply)
                                   : prepare_resume(engine, query, reply))) {
        return CW_TASK_NOTE_ANSWERED;
    }
    task->scheduled = false;
    task->asker = core;
    task->token = note->token;
    if (!begin(engine, (enum cw_task_kind)kind)) {
        cw_engine_refuse(reply, 503, "no thread can be started for it; try again");
        return CW_TASK_NOTE_ANSWERED;
    }
    return CW_TASK_NOTE_LATER;
}

/* ---- when it is through ---- */

static void put_time(struct cw_text *told, int64_t at)
{
    if (at == CW_TIME_NONE) {
        cw_text_puts(told, "null");
    } else {
        cw_text_json_time(told, at);
    }
}

static void tell(struct cw_engine *engine)
{
    struct cw_task *task = &engine->task;
    struct cw_text *told = &task->told[task->kind];
    double seconds = (double)(cw_clock_monotonic_ns() - task->began_ns) / 1e9;
    cw_text_clear(told);
    if (task->err != CW_ERR_OK) {
        task->status[task->kind] = task->err == CW_ERR_INVALID ? 409
                                   : task->err == CW_ERR_AGAIN ? 503
                                                               : 500;
        cw_text_puts(told, "{\"error\":");
        char room[400];
        const char *reason = why(&task->fault, room);
        cw_text_json(told, (struct cw_view){reason, (uint32_t)strlen(reason)});
        cw_text_puts(told, "}\n");
        return;
    }
    task->status[task->kind] = 200;
    if (task->kind == CW_TASK_SNAPSHOT) {
        cw_text_puts(told, "{\"file\":");
        cw_text_json(told, (struct cw_view){task->file, (uint32_t)strlen(task->file)});
        cw_text_printf(told, ",\"bytes\":%llu,\"seconds\":%.3f}\n", (unsigned long long)task->bytes,
                       seconds);
        return;
    }
    cw_text_printf(told, "{\"sends\":\"%s\",\"assumedSentUntil\":",
                   task->held == CW_HOLD_NONE ? "go" : "held");
    put_time(told, task->until);
    cw_text_puts(told, ",\"wereHeldFor\":[");
    cw_holds_write(task->held_before, "\"", told);
    cw_text_puts(told, "],\"clockConfirmed\":");
    put_time(told, task->trusted_ms);
    cw_text_puts(told, "}\n");
}

static void reply_to_asker(struct cw_engine *engine, uint16_t status, struct cw_view body)
{
    struct cw_task *task = &engine->task;
    struct cw_reply *reply = calloc(1, sizeof *reply);
    CW_ASSERT(reply != NULL);
    *reply = (struct cw_reply){.token = task->token, .status = status, .type = "application/json"};
    cw_text_view(&reply->body, body);
    cw_engine_reply(task->asker, reply);
    task->asker = NULL;
}

/* When the first of this process is due: as if the engine had never been away, but not at once. */
static uint64_t first_ns(struct cw_engine *engine)
{
    uint64_t every_ms = engine->live->snapshots.every_ms;
    char room[4096];
    uint64_t age_ms =
        cw_retention_newest_age_ms(&engine->task.retention, directory_of(engine, true, room),
                                   cw_durable_manifest(engine->durable)->store, cw_clock_wall_ms());
    uint64_t left_ms = age_ms < every_ms ? every_ms - age_ms : 0;
    uint64_t least_ms = every_ms < FIRST_AFTER_MS ? every_ms : FIRST_AFTER_MS;
    return cw_clock_monotonic_ns() + (left_ms > least_ms ? left_ms : least_ms) * 1000000;
}

/* What is in the way of a scheduled one, a full disk or a place that is not mounted, may be gone
   long before the next. */
static void try_again(struct cw_engine *engine)
{
    struct cw_task *task = &engine->task;
    uint64_t every_ms = engine->live->snapshots.every_ms;
    uint64_t pause_ms = (uint64_t)AGAIN_AFTER_MS << task->failed_in_a_row;
    task->failed_in_a_row += task->failed_in_a_row < AGAIN_DOUBLED_MAX;
    pause_ms = every_ms < pause_ms ? every_ms : pause_ms;
    task->next_ns = cw_clock_monotonic_ns() + pause_ms * 1000000;
}

static void say_failed(struct cw_engine *engine)
{
    struct cw_task *task = &engine->task;
    char room[400];
    bool snapshot = task->kind == CW_TASK_SNAPSHOT;
    (void)fprintf(stderr, "cartwheel: %s failed: %s", snapshot ? "the snapshot" : "resuming sends",
                  why(&task->fault, room));
    if (snapshot && task->scheduled) {
        uint64_t now = cw_clock_monotonic_ns();
        (void)fprintf(stderr, "; the next try is in %.0f s",
                      task->next_ns > now ? (double)(task->next_ns - now) / 1e9 : 0);
    }
    (void)fputs("\n", stderr);
}

static void end(struct cw_engine *engine)
{
    struct cw_task *task = &engine->task;
    (void)pthread_join(task->thread, NULL);
    task->running = false;
    free_programs(engine);
    tell(engine);
    struct cw_text *told = &task->told[task->kind];
    if (task->kind == CW_TASK_SNAPSHOT) {
        atomic_fetch_add(task->err == CW_ERR_OK ? &task->made : &task->failed, 1);
    }
    if (task->kind == CW_TASK_SNAPSHOT && task->scheduled && task->err != CW_ERR_OK) {
        try_again(engine);
    }
    if (task->err != CW_ERR_OK && task->err != CW_ERR_AGAIN) {
        say_failed(engine);
    } else if (task->err == CW_ERR_OK && task->kind == CW_TASK_RESUME) {
        cw_engine_clock_end_grace(engine);
        const char *now = task->held != CW_HOLD_NONE
                              ? "cartwheel: sends are HELD still: the wall clock has jumped once "
                                "more\n"
                          : task->held_before != CW_HOLD_NONE
                              ? "cartwheel: sends are not held any more\n"
                              : ""; /* they were not */
        (void)fputs(now, stderr);
    } else if (task->err == CW_ERR_OK && task->scheduled) {
        char directory[4096];
        task->failed_in_a_row = 0;
        cw_retention_apply(&task->retention, directory_of(engine, true, directory),
                           cw_durable_manifest(engine->durable)->store,
                           strrchr(task->file, '/') + 1, engine->live->snapshots.keep);
    }
    if (task->asker != NULL) {
        reply_to_asker(engine, task->status[task->kind],
                       (struct cw_view){told->data, (uint32_t)told->bytes});
    }
}

static void begin_scheduled(struct cw_engine *engine)
{
    struct cw_task *task = &engine->task;
    uint64_t every_ns = engine->live->snapshots.every_ms * 1000000;
    uint64_t now = cw_clock_monotonic_ns();
    if (task->next_ns == 0) {
        task->next_ns = first_ns(engine);
    }
    if (now < task->next_ns) {
        return;
    }
    task->next_ns = now + every_ns;
    task->scheduled = true;
    task->asker = NULL;
    task->kind = CW_TASK_SNAPSHOT;
    task->began_ns = now;
    cw_err err = name_file(engine, true, (struct cw_view){0}, &task->fault);
    if (err == CW_ERR_OK && !begin(engine, CW_TASK_SNAPSHOT)) {
        err = cw_fail(&task->fault, CW_ERR_IO, "starting its thread");
    }
    if (err != CW_ERR_OK) { /* else all of it is the thread's by now */
        task->err = err;
        atomic_fetch_add(&task->failed, 1);
        tell(engine); /* to who asks later */
        try_again(engine);
        say_failed(engine);
    }
}

void cw_engine_task_open(struct cw_engine *engine)
{
    char room[4096];
    cw_retention_clean(directory_of(engine, false, room));
    cw_retention_clean(directory_of(engine, true, room));
}

/* 0: a file can be made there, as far as can be seen without making one. */
static int cannot_write_into(const char *directory)
{
    struct stat found;
    if (stat(directory, &found) == 0) {
        return !S_ISDIR(found.st_mode) ? ENOTDIR : access(directory, W_OK | X_OK) != 0 ? errno : 0;
    }
    if (errno != ENOENT) {
        return errno;
    }
    char parent[4096]; /* in which it would be made */
    (void)snprintf(parent, sizeof parent, "%.4000s", directory);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        slash[slash == parent ? 1 : 0] = '\0';
    }
    return access(slash != NULL ? parent : ".", W_OK | X_OK) != 0 ? errno : 0;
}

void cw_engine_task_say(const struct cw_engine *engine, FILE *to)
{
    char room[4096];
    const char *directory = directory_of(engine, true, room);
    int error = engine->live->snapshots.every_ms > 0 ? cannot_write_into(directory) : 0;
    if (error != 0) {
        (void)fprintf(to,
                      "  WARNING: NO SNAPSHOT can be kept in %s: %s.\n  Make it, or mount it, for "
                      "this user; until then each one fails\n",
                      directory, strerrordesc_np(error));
    }
}

void cw_engine_task_tick(struct cw_engine *engine)
{
    struct cw_task *task = &engine->task;
    if (task->running && atomic_load(&task->done)) {
        end(engine);
    }
    if (task->running) {
        uint64_t waited_ns = cw_clock_monotonic_ns() - task->began_ns;
        if (task->asker != NULL && waited_ns > (uint64_t)ANSWER_AFTER_MS * 1000000) {
            reply_to_asker(engine, 202, CW_VIEW("{\"state\":\"working\"}\n"));
        }
    } else if (engine->live->snapshots.every_ms > 0 && !atomic_load(&engine->stopping)) {
        begin_scheduled(engine);
    }
}

void cw_engine_task_close(struct cw_engine *engine)
{
    struct cw_task *task = &engine->task;
    if (task->running) { /* it saw that the engine stops */
        (void)pthread_join(task->thread, NULL);
        task->running = false;
        free_programs(engine);
    }
    for (uint32_t i = 0; i < CW_TASK_KINDS; i++) {
        cw_text_deinit(&task->told[i]);
    }
}

/* ---- counters ---- */

bool cw_engine_counter(const struct cw_core *core, uint32_t index, const char **name,
                       const char **help, uint64_t *value)
{
    const struct cw_task *task = &core->engine->task;
    bool first = core->index == 0; /* which tells what is not a core's */
    struct cw_store_stats stats;
    if (core->store == NULL) {
        return false;
    }
    cw_store_stats(core->store, &stats);

    const struct {
        const char *name, *help;
        uint64_t value;
    } list[] = {
        {"store_commits_total", "Commits.", stats.commits},
        {"store_adopted_rows", "Rows that the start took over as they were in memory.",
         first ? core->engine->found.adopted : 0},
        {"store_not_adopted", "Tables in memory that the start could not take over: 1, or 0.",
         first && core->engine->found.not_adopted[0] != '\0'},
        {"store_log_bytes_total", "Bytes of the log's frames written.", stats.log.bytes},
        {"store_log_segments", "Segments of the log kept.", stats.log.segments_kept},
        {"store_restart_log_bytes", "Bytes of log since the oldest kept checkpoint.",
         stats.log_bytes},
        {"store_pending_bytes", "Bytes of changes that wait for a commit.", stats.pending_bytes},
        {"store_checkpoints_total", "Checkpoints made.", stats.checkpoint.made},
        {"store_checkpoints_failed_total", "Checkpoints that failed.", stats.checkpoint.failed},
        {"store_checkpoint_files_stuck",
         "Files of older checkpoints that could not be removed: no erasure is through meanwhile.",
         stats.checkpoint.stuck},
        {"store_checkpoint_bytes", "Bytes of the last checkpoint made.", stats.checkpoint.bytes},
        {"store_disk_full", "Cores that refuse new work since the disk is full.", stats.full},
        {"store_sends_held", "Cores whose sends are held until they are resumed.",
         cw_pipeline_sends_held(cw_service_pipeline(core->service)) != CW_HOLD_NONE},
        {"store_erasures_total", "Customers whose erasure this process saw through, or has to.",
         core->erasure.asked},
        {"store_erasures_pending", "Of these, those whose receipt is not written.",
         core->erasure.asked - cw_store_erased(core->store) + core->erasure.told -
             core->erasure.forgotten},
        {"store_snapshots_total", "Snapshots made.", first ? atomic_load(&task->made) : 0},
        {"store_snapshots_failed_total", "Snapshots that failed.",
         first ? atomic_load(&task->failed) : 0}};

    if (index >= CW_COUNTOF(list)) {
        return false;
    }
    *name = list[index].name;
    *help = list[index].help;
    *value = list[index].value;
    return true;
}
