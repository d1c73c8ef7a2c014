/*
 * sim_machine: one machine's life, wired as tools/engine.c and engine_state.c wire the real one,
 * but for sockets, threads and the operating system.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    DOUBTS_IN_A_TURN = 4,
    STARTS_MAX = 12, /* crashes and read errors while one state is read */
    STOP_STEPS = 200000,
    STOP_GRACE_MS = 20000 /* how long a stop waits for results */
};

#define SEAL_AFTER_NS UINT64_C(1000000000)

/* ---- what a core's service calls ---- */

int64_t sim_machine_clock(struct sim *sim, uint32_t core)
{
    struct cw_clock *clock = &sim->machine.core[core].clock;
    int64_t wall_ns = (SIM_START + sim->wall_offset) * 1000000 + (int64_t)sim->ns;
    if (sim->confirmed || sim_planted(sim, "gullible-clock")) {
        cw_clock_trust(clock, sim_planted(sim, "gullible-clock") ? wall_ns - (int64_t)sim->ns
                                                                 : sim->confirmed_ns);
    }
    int64_t now = cw_clock_step(clock, wall_ns, sim->ns);
    sim->engine_ms = now > sim->engine_ms ? now : sim->engine_ms;
    return now;
}

static int64_t now_ms(void *self)
{
    struct sim_core *core = self;
    core->clock_ms = sim_machine_clock(core->sim, core->index);
    return sim_plant_clock(core->sim, core->clock_ms);
}

static uint64_t monotonic_ns(void *self)
{
    return ((const struct sim_core *)self)->sim->ns;
}

static void answer(void *self, uint64_t token, const struct cw_answer *what)
{
    sim_client_answer(((struct sim_core *)self)->sim, token, what);
}

static bool control(void *self, const struct cw_request *request)
{
    (void)self;
    (void)request;
    return false;
}

static void decide(void *self, const struct cw_decision *decision)
{
    struct sim_core *core = self;
    struct sim *sim = core->sim;
    sim_timely_told(core, decision);
    cw_text_clear(&sim->said);
    cw_decision_write(decision, &sim->said);
    sim_trace(sim, sim->said.data, sim->said.bytes);
    sim_say(sim, "core %u: %.*s", core->index, (int)sim->said.bytes - 1, sim->said.data);
}

/* ---- what leaves only once it is durable ---- */

static void *of_core(void *self, uint32_t core)
{
    return &((struct sim *)self)->machine.core[core];
}

static struct cw_pipeline *pipeline_of(const struct sim_core *core)
{
    return cw_service_pipeline(core->service);
}

static void before_commit(void *self)
{
    struct sim_core *core = self;
    sim_plant_commit_begins(core->sim, core->index);
    cw_pipeline_note(pipeline_of(core));
}

static void mark(struct sim_core *core, uint64_t lsn, bool counted)
{
    struct sim_mark *made = &core->marks[core->mark_count++ % SIM_MARKS];
    made->lsn = lsn;
    made->fates = *cw_pipeline_fates(pipeline_of(core));
    made->counted = counted;
    cw_text_clear(&made->dump);
    cw_pipeline_dump(pipeline_of(core), &made->dump);
    sim_trace(core->sim, made->dump.data, made->dump.bytes);
    sim_say(core->sim, "core %u: mark of commit %llu, %llu seen, %llu customers", core->index,
            (unsigned long long)lsn, (unsigned long long)cw_table_count(pipeline_of(core)->seen),
            (unsigned long long)cw_table_count(pipeline_of(core)->customers));
}

/* LSN of the last frame submitted. */
static uint64_t last_lsn(const struct sim_core *core)
{
    struct cw_commit commit = cw_store_commit(core->store);
    const struct cw_journal *journal = cw_durable_journal(core->sim->machine.durable, core->index);
    return commit.number(commit.self) - (cw_journal_clean(journal) ? 0 : 1);
}

static void commit_staged(void *self)
{
    struct sim_core *core = self;
    struct sim *sim = core->sim;
    core->committed_ns = sim->ns;
    sim->totals.commits++;
    if (core->store == NULL) { /* while a new epoch is written */
        return;
    }
    if ((sim->armed != SIM_FAULT_COUNT && sim->marking) || sim->swarm.marks_always) {
        mark(core, last_lsn(core) + 1, true); /* all is written, and it is not submitted yet */
    } else {
        core->mark_count = 0; /* what is known is not the latest any more */
    }
    struct cw_channel_port port = sim_channels(sim);
    port.stage(port.self, core->index);
}

static void commit_released(void *self)
{
    const struct sim_core *core = self;
    if (core->store != NULL) {
        struct cw_channel_port port = sim_channels(core->sim);
        port.release(port.self, core->index);
    }
}

static void on_fault(void *self, const char *why)
{
    const struct sim_core *core = self;
    (void)snprintf(core->sim->machine.fault, sizeof core->sim->machine.fault, "%s", why);
    longjmp(core->sim->disk_failed, 1);
}

static bool written(void *self, const struct cw_erased *erased)
{
    (void)self;
    (void)erased;
    return true;
}

/* As tools/engine_erasure.c, with a receipt that is written at once. */
static void see_erasures_through(struct sim_core *core)
{
    struct cw_pipeline *pipeline = pipeline_of(core);
    while (core->erasures < cw_pipeline_erasures(pipeline) &&
           !sim_planted(core->sim, "erasure-unheard")) {
        core->erasures++;
        cw_store_erase(core->store);
    }
    if (cw_store_erased(core->store) > core->erased) {
        core->erased = cw_store_erased(core->store);
        cw_pipeline_erasures_through(pipeline, core->erased, written, NULL);
        cw_pipeline_erasures_forget(pipeline);
    }
}

/* As tools/engine_clock.c: what is not known to be the time sends nothing. */
static void look_at_clock(struct sim_core *core)
{
    uint32_t held = (core->clock.suspect ? CW_HOLD_CLOCK : CW_HOLD_NONE) | sim_restore_holds(core);
    if (cw_pipeline_sends_held(pipeline_of(core)) != held) {
        cw_pipeline_hold_sends(pipeline_of(core), held);
    }
}

static void look_after_state(struct sim_core *core)
{
    if (!core->doubts_settled) {
        core->doubts_settled = cw_pipeline_settle_in_doubt(pipeline_of(core), DOUBTS_IN_A_TURN);
    }
    see_erasures_through(core);
    struct cw_commit commit = cw_store_commit(core->store);
    cw_pipeline_refuse(pipeline_of(core),
                       cw_store_full(core->store) ? CW_SHORTAGE_DISK : CW_SHORTAGE_NONE);
    if (commit.number(commit.self) <= commit.durable(commit.self) &&
        core->sim->ns - core->committed_ns > SEAL_AFTER_NS) {
        core->committed_ns = core->sim->ns;
        cw_store_idle(core->store);
    }
}

static bool finished(void *self)
{
    return cw_store_finish(((struct sim_core *)self)->store, false);
}

/* Neither events nor time go on before all doubts are settled, as in the engine. */
static bool full(void *self)
{
    return !((const struct sim_core *)self)->doubts_settled;
}

static enum cw_poll take(void *self, uint32_t shard, uint64_t sequence, struct cw_chunk *chunk)
{
    struct sim_core *core = self;
    struct sim *sim = core->sim;
    (void)shard;
    if (sim->machine.stopping && !core->draining) {
        core->draining = true;
        cw_service_drain(core->service);
    }
    (void)sim_machine_clock(sim, core->index);
    look_at_clock(core);
    look_after_state(core);
    if (!core->doubts_settled) {
        return CW_POLL_LATER;
    }
    if (sim->machine.resuming) {
        sim_restore_core(core);
    }
    if (core->queue != NULL) {
        *chunk = (struct cw_chunk){.sequence = sequence, .requests = core->queue};
        core->queue = NULL;
        core->queue_end = &core->queue;
        return CW_POLL_READY;
    }
    bool under_way =
        cw_pipeline_fates(pipeline_of(core))->sending > 0 && sim_base(sim) < sim->down_until;
    return core->draining && !under_way ? CW_POLL_END : CW_POLL_LATER;
}

static void done(void *self, uint32_t shard, const struct cw_chunk *chunk)
{
    (void)self;
    (void)shard;
    (void)chunk;
}

/* ---- open and close ---- */

static cw_err open_service(struct sim *sim, uint32_t index, struct cw_fault *fault)
{
    struct sim_machine *machine = &sim->machine;
    struct sim_core *core = &machine->core[index];
    core->sim = sim;
    core->index = index;
    core->queue_end = &core->queue;
    if (!sim_templates_open(&core->templates)) {
        return cw_fail(fault, CW_ERR_INVALID, "templates");
    }
    struct cw_service_options options = {
        .pipeline = {.programs = sim->programs[machine->version],
                     .zones = sim_zones(),
                     .port = {.self = core, .decide = decide},
                     .core = index,
                     .partitions = SIM_PARTITIONS,
                     .event_bytes_max = 1u << 16,
                     .hash = {sim->options.seed * 31 + 7, 88},
                     .codes = {sim->options.seed, 5},
                     .cores = machine->cores,
                     .live = true,
                     .rows_max = sim->swarm.rows_max,
                     .bytes_max = 16u << 20, /* no seed comes near it */
                     .shop_link = CW_VIEW("https://shop.example/cart"),
                     .shop_name = CW_VIEW("Shop"),
                     .links = &sim->links},
        .shards = machine->cores,
        .templates = core->templates,
        .channels = sim_channels(sim),
        .now_ms = now_ms,
        .speed = 1,
        .monotonic_ns = monotonic_ns,
        .answer = answer,
        .control = control,
        .full = full,
        .finished = finished,
        .version = "0",
        .self = core};
    return cw_service_open(&core->service, &options, fault);
}

static cw_err open_durable(struct sim *sim, struct cw_durable_found *found, struct cw_fault *fault)
{
    struct sim_machine *machine = &sim->machine;
    struct cw_durable_options options = {.files = sim_files(sim),
                                         .cores = machine->cores,
                                         .partitions = SIM_PARTITIONS,
                                         .segment_bytes = sim->swarm.segment_bytes,
                                         .checkpoint_bytes = sim->swarm.checkpoint_bytes,
                                         .random = random_next(&sim->random),
                                         .writer = "0",
                                         .self = sim,
                                         .of_core = of_core,
                                         .before = before_commit,
                                         .staged = commit_staged,
                                         .released = commit_released,
                                         .on_fault = on_fault,
                                         .now_ms = now_ms};
    struct cw_pipeline *pipelines[SIM_CORES_MAX];
    for (uint32_t i = 0; i < machine->cores; i++) {
        pipelines[i] = pipeline_of(&machine->core[i]);
    }
    cw_err err = cw_durable_open(&machine->durable, &options, fault);
    return err == CW_ERR_OK ? cw_durable_recover(machine->durable, pipelines, found, fault) : err;
}

static void open_shards(struct sim *sim)
{
    struct sim_machine *machine = &sim->machine;
    int64_t start_ms = sim_base(sim) + sim->wall_offset;
    for (uint32_t i = 0; i < machine->cores; i++) {
        int64_t known = cw_pipeline_now(pipeline_of(&machine->core[i]));
        start_ms = known > start_ms ? known : start_ms;
    }
    sim->confirmed = false; /* a start takes the wall clock as it is */
    sim->believed = start_ms - sim_base(sim);
    for (uint32_t i = 0; i < machine->cores; i++) {
        struct sim_core *core = &machine->core[i];
        core->clock = (struct cw_clock){.now_ns = start_ms * 1000000, .boot_ns = sim->ns};
        core->began_ms = core->clock_ms = core->held_ms = start_ms;
        cw_service_begin_at(core->service, start_ms);
        machine->shards[i] = (struct cw_shard){.index = i,
                                               .mesh = machine->mesh,
                                               .source = {.self = core, .take = take, .done = done},
                                               .app = cw_service_app(core->service),
                                               .commit = sim_plant_commit(sim, i)};
        cw_shard_init(&machine->shards[i]);
    }
    sim_timely_recall(sim);
}

static cw_err open_machine(struct sim *sim, struct cw_durable_found *found, struct cw_fault *fault)
{
    struct sim_machine *machine = &sim->machine;
    for (uint32_t i = 0; i < machine->cores; i++) { /* durable recovery asks the clock too */
        machine->core[i].clock = (struct cw_clock){
            .now_ns = (sim_base(sim) + sim->wall_offset) * 1000000, .boot_ns = sim->ns};
    }
    cw_err err = cw_mesh_open(&machine->mesh, machine->cores, fault);
    for (uint32_t i = 0; i < machine->cores && err == CW_ERR_OK; i++) {
        err = open_service(sim, i, fault);
    }
    return err == CW_ERR_OK ? open_durable(sim, found, fault) : err;
}

/* Lets go of the machine; its storage stays. Marks keep their memory for the next one. */
static void close_machine(struct sim *sim, bool clean)
{
    struct sim_machine *machine = &sim->machine;
    if (machine->durable != NULL) {
        struct cw_fault fault; /* it could not be noted: the next start is as after a crash */
        (void)cw_durable_close(machine->durable, clean, &fault);
        machine->durable = NULL;
    }
    for (uint32_t i = 0; i < SIM_CORES_MAX; i++) {
        struct sim_core *core = &machine->core[i];
        if (core->service != NULL) {
            cw_service_close(core->service);
        }
        if (core->templates != NULL) {
            cw_templates_close(core->templates);
        }
        core->service = NULL;
        core->templates = NULL;
        core->store = NULL;
        core->queue = NULL;
        core->doubts_settled = core->draining = core->idle = false;
        core->mark_count = 0;
        core->erasures = core->erased = 0;
        core->restore_step = 0;
    }
    if (machine->mesh != NULL) {
        cw_mesh_close(machine->mesh);
        machine->mesh = NULL;
    }
    machine->up = machine->stopping = machine->resuming = false;
}

void sim_machine_drop(struct sim *sim)
{
    sim_storage_off(&sim->storage);
    close_machine(sim, false);
}

/* ---- start ---- */

/* The disk refuses to read once, somewhere. */
static struct cw_fault_disk *plan_read_error(struct sim *sim)
{
    if (sim->quiet || sim->storage.count == 0 || sim_draw(sim, 100) >= sim->swarm.read_errors) {
        return NULL;
    }
    struct cw_fault_disk *disk = sim->storage.dirs[sim_draw(sim, sim->storage.count)].disk;
    struct cw_fault_plan plan = {.at = cw_fault_disk_count(disk) + sim_draw(sim, 12),
                                 .kinds = 1u << CW_DISK_READ | 1u << CW_DISK_OPEN,
                                 .error = EIO,
                                 .once = true};
    cw_fault_disk_plan(disk, &plan);
    return disk;
}

/* Also where a disk that fails ends the start: as the process would, with what it had. */
static cw_err open_guarded(struct sim *sim, struct cw_durable_found *found, struct cw_fault *fault)
{
    if (setjmp(sim->disk_failed) != 0) {
        return cw_fail(fault, CW_ERR_IO, "%s", sim->machine.fault);
    }
    return open_machine(sim, found, fault);
}

/* What a crash while the state was read has left. */
static void take_snapshot(struct sim *sim)
{
    sim_machine_drop(sim);
    sim_storage_free(&sim->storage);
    sim->storage = *sim->snapshot;
    free(sim->snapshot);
    sim->snapshot = NULL;
    sim->totals.faults[SIM_FAULT_RECROSS]++;
}

enum tried {
    TRIED_UP,
    TRIED_AGAIN,
    TRIED_REFUSED
};

static enum tried try_start(struct sim *sim, bool faults, struct cw_durable_found *found)
{
    struct cw_fault fault = {.code = CW_ERR_OK};
    sim_look_before(sim);
    sim->failing = faults ? plan_read_error(sim) : NULL; /* a start may remove it */
    sim->failed = false;
    sim->snapshot_at =
        faults && sim_draw(sim, 100) < sim->swarm.recross ? sim->ops + 1 + sim_draw(sim, 80) : 0;
    cw_err err = open_guarded(sim, found, &fault);
    sim->snapshot_at = 0;
    if (sim->snapshot != NULL) {
        sim_say(sim, "the power fails while the state is read");
        take_snapshot(sim);
        return TRIED_AGAIN;
    }
    bool failed = sim->failed || (sim->failing != NULL && cw_fault_disk_failed(sim->failing) > 0);
    if (sim->failing != NULL && err == CW_ERR_OK) {
        const struct cw_fault_plan none = {.error = 0};
        cw_fault_disk_plan(sim->failing, &none);
    }
    sim->totals.faults[SIM_FAULT_READ_ERROR] += failed;
    if (err == CW_ERR_OK) {
        return TRIED_UP;
    }
    sim_say(sim, "start refused: %s: %s", cw_err_name(err), fault.text);
    close_machine(sim, false);
    if (failed && err == CW_ERR_IO) {
        struct sim_storage after;
        sim_storage_after(sim, &after, &sim->storage, false);
        sim_storage_free(&sim->storage);
        sim->storage = after;
        return TRIED_AGAIN;
    }
    if (err != CW_ERR_CORRUPT || !sim->last.damaged) {
        sim_fail(sim, "recovery", "the start is refused: %s: %s", cw_err_name(err), fault.text);
    }
    return TRIED_REFUSED;
}

bool sim_machine_start(struct sim *sim, uint32_t cores)
{
    struct sim_machine *machine = &sim->machine;
    struct cw_durable_found found = {.fresh = false};
    enum tried tried = TRIED_AGAIN;
    for (uint32_t i = 0; tried == TRIED_AGAIN; i++) {
        CW_ASSERT(i <= STARTS_MAX);
        machine->cores = cores;
        tried = try_start(sim, i < STARTS_MAX, &found);
    }
    if (tried == TRIED_REFUSED) {
        sim->totals.refused_corrupt++;
        return false;
    }
    sim->totals.recoveries += !found.fresh;
    for (uint32_t i = 0; i < cores; i++) {
        machine->core[i].store = cw_durable_store(machine->durable, i);
        machine->core[i].committed_ns = sim->ns;
    }
    machine->up = true;
    machine->up_turn = sim->turn;
    sim_say(sim, "up on %u cores, epoch %llu, %llu frames, %llu torn bytes", cores,
            (unsigned long long)cw_durable_manifest(machine->durable)->epoch,
            (unsigned long long)found.frames, (unsigned long long)found.torn_bytes);
    sim_check_epochs(sim);
    bool goes_on = sim_check_recovered(sim, &found);
    if (goes_on) {
        sim_check_intents(sim);
        sim_check_sums(sim);
        sim_plant_recovered(sim);
        open_shards(sim);
    }
    if (goes_on && sim->options.power != NULL) { /* it may fail before the first commit */
        sim_machine_mark_now(sim);
    }
    return goes_on;
}

/* ---- stop and crash ---- */

static void remember(struct sim *sim, bool clean)
{
    struct sim_machine *machine = &sim->machine;
    struct sim_last *last = &sim->last;
    bool damaged = last->damaged;
    for (uint32_t i = 0; i < machine->cores; i++) {
        struct sim_core *core = &machine->core[i];
        struct cw_commit commit = cw_store_commit(core->store);
        last->durable[i] = commit.durable(commit.self);
        last->submitted[i] = last_lsn(core);
        last->mark_count[i] = core->mark_count;
        for (uint32_t m = 0; m < SIM_MARKS; m++) {
            struct sim_mark swap = last->marks[i][m];
            last->marks[i][m] = core->marks[m];
            core->marks[m] = swap;
        }
    }
    last->any = true;
    last->clean = clean;
    last->damaged = damaged;
    last->looked = false;
    last->cores = machine->cores;
    last->version = machine->version;
    last->epoch = cw_durable_manifest(machine->durable)->epoch;
    last->clock = sim->engine_ms;
    for (uint32_t i = 0; i < machine->cores; i++) {
        struct cw_store_stats stats;
        cw_store_stats(machine->core[i].store, &stats);
        sim->totals.checkpoints += stats.checkpoint.made;
    }
}

void sim_machine_crash(struct sim *sim, bool power)
{
    struct sim_storage after;
    remember(sim, false);
    sim_provider_cut(sim, sim->last.durable);
    sim_client_cut(sim);
    if (sim->snapshot != NULL) { /* what is left is known */
        after = *sim->snapshot;
        free(sim->snapshot);
        sim->snapshot = NULL;
    } else {
        sim_storage_after(sim, &after, &sim->storage, power);
    }
    sim_machine_drop(sim);
    sim_storage_free(&sim->storage);
    sim->storage = after;
    sim->armed = SIM_FAULT_COUNT;
    sim_say(sim, "%s", power ? "the power fails" : "the process is killed");
}

void sim_machine_stop(struct sim *sim)
{
    struct sim_machine *machine = &sim->machine;
    bool all = false;
    machine->stopping = true;
    sim->down_until = sim_base(sim) + STOP_GRACE_MS;
    for (uint32_t i = 0; i < STOP_STEPS && !all && machine->up; i++) {
        sim->ns += 100000;
        sim_provider_turn(sim);
        (void)sim_machine_step(sim, sim_draw(sim, machine->cores));
        all = true;
        for (uint32_t c = 0; c < machine->cores; c++) {
            all = all && machine->shards[c].finished;
        }
    }
    if (!machine->up) { /* the disk failed meanwhile */
        return;
    }
    if (!all) { /* a disk that stays full: who stops it loses patience */
        sim_machine_crash(sim, false);
        return;
    }
    for (uint32_t i = 0; i < machine->cores; i++) {
        mark(&machine->core[i], last_lsn(&machine->core[i]), true);
    }
    remember(sim, true);
    sim_provider_cut(sim, sim->last.durable);
    sim_client_cut(sim);
    machine->up = false; /* what it says outside it has said */
    close_machine(sim, true);
    if (sim->snapshot != NULL) { /* the power fails before it is off */
        take_snapshot(sim);
    }
    sim->armed = SIM_FAULT_COUNT;
    sim_say(sim, "stopped");
}

/* ---- running ---- */

bool sim_machine_step(struct sim *sim, uint32_t number)
{
    struct sim_machine *machine = &sim->machine;
    struct sim_core *core = &machine->core[number];
    if (setjmp(sim->disk_failed) != 0) {
        sim_say(sim, "the disk failed: %s", sim->machine.fault);
        /* Reads go to the device, past the page cache (io/disk.h): what was not flushed is not
           seen, and the restart finds what one after a power failure would. */
        sim_machine_crash(sim, true);
        return true;
    }
    sim->turn++;
    sim_plant_step(sim);
    sim->totals.steps++;
    bool passes = core->doubts_settled && !core->draining; /* time */
    bool held = cw_pipeline_sends_held(pipeline_of(core)) != 0;
    enum cw_step rc = cw_shard_step(&machine->shards[number]);
    if (passes) {
        sim_check_timely(core, held);
    }
    uint32_t told[2] = {number, (uint32_t)rc};
    sim_trace(sim, told, sizeof told);
    bool worked = rc == CW_STEP_WORKED;
    for (uint32_t i = 0; worked && i < machine->cores; i++) {
        machine->core[i].idle = false;
    }
    core->idle = !worked;
    return worked;
}

bool sim_machine_busy(const struct sim *sim)
{
    const struct sim_machine *machine = &sim->machine;
    for (uint32_t i = 0; i < machine->cores; i++) {
        const struct sim_core *core = &machine->core[i];
        struct cw_commit commit = cw_store_commit(core->store);
        if (!core->idle || core->queue != NULL || !core->doubts_settled ||
            commit.number(commit.self) > commit.durable(commit.self)) {
            return true;
        }
    }
    return false;
}

void sim_machine_tell(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->machine.cores; i++) {
        const struct sim_core *core = &sim->machine.core[i];
        struct cw_commit commit = cw_store_commit(core->store);
        struct cw_store_stats stats;
        cw_store_stats(core->store, &stats);
        sim_say(sim,
                "core %u: commit %llu, last %llu, durable %llu, full %u, checkpoint %u (%llu made, "
                "%llu failed), %s, %s",
                i, (unsigned long long)commit.number(commit.self),
                (unsigned long long)last_lsn(core), (unsigned long long)commit.durable(commit.self),
                stats.full, stats.checkpointing, (unsigned long long)stats.checkpoint.made,
                (unsigned long long)stats.checkpoint.failed, core->idle ? "idle" : "works",
                core->queue != NULL ? "requests wait" : "no requests");
    }
}

int64_t sim_machine_earliest(struct sim *sim)
{
    struct sim_machine *machine = &sim->machine;
    int64_t earliest = INT64_MAX;
    for (uint32_t i = 0; i < machine->cores; i++) {
        int64_t due;
        if (cw_pipeline_earliest(pipeline_of(&machine->core[i]), &due)) {
            int64_t wait = due - sim_machine_clock(sim, i);
            int64_t at = sim_base(sim) + (wait > 0 ? wait : 0) + 1;
            earliest = at < earliest ? at : earliest;
        }
    }
    return earliest;
}

bool sim_machine_marked(struct sim *sim)
{
    struct sim_machine *machine = &sim->machine;
    for (uint32_t i = 0; i < machine->cores; i++) {
        const struct sim_core *core = &machine->core[i];
        struct cw_commit commit = cw_store_commit(core->store);
        if (core->mark_count == 0 || core->marks[0].lsn > commit.durable(commit.self)) {
            return false;
        }
    }
    return true;
}

void sim_machine_mark_now(struct sim *sim)
{
    struct sim_machine *machine = &sim->machine;
    for (uint32_t i = 0; i < machine->cores; i++) {
        struct sim_core *core = &machine->core[i];
        struct cw_commit commit = cw_store_commit(core->store);
        if (core->mark_count == 0 &&
            commit.number(commit.self) == last_lsn(core)) { /* nothing is noted */
            mark(core, last_lsn(core), false);
        }
    }
}

void sim_machine_reload(struct sim *sim)
{
    struct sim_machine *machine = &sim->machine;
    machine->version ^= 1;
    for (uint32_t i = 0; machine->up && i < machine->cores; i++) {
        struct sim_core *core = &machine->core[i];
        cw_service_reprogram(core->service, sim->programs[machine->version], core->templates);
    }
}
