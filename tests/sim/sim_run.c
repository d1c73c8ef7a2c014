/*
 * sim_run: one seed: draws which faults it has and when, lets 80 hours pass, stops the faults, asks
 * for everything once more, and lets every journey end.
 */
#include "core/log_priv.h"
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    ARMED_STEPS = 400,     /* a crash comes so many working steps after it was armed, at most */
    MARKED_STEPS = 40,     /* the last of them have marks, of which one is compared */
    PATIENCE = 3000,       /* steps without the marks that a crash waits for */
    QUIET_STEPS = 60,      /* idle steps before time is skipped although a disk is full */
    SPACE_STEPS = 4000,    /* of a core: more than it takes until space is looked for again */
    SETTLE_STEPS = 400000, /* within which everything must be answered once faults have stopped */
    WORK_OFF_STEPS = 500,  /* of a core: two checkpoints of a small state, on a slow disk */
    END_DAYS = 9,          /* longer than any journey */
    FORGOTTEN_DAYS = 100,  /* and than anything is kept of one */
    FORGET_STEPS = 64      /* of a core, a second apart: what a walk over its tables takes */
};

/* ---- what a seed has ---- */

/* Half of the seeds have nothing of it. */
static uint32_t some(struct sim *sim, uint32_t most)
{
    return sim_chance(sim, 500) ? 0 : 1 + sim_draw(sim, most);
}

static void draw_swarm(struct sim *sim)
{
    struct sim_swarm *swarm = &sim->swarm;
    *swarm = (struct sim_swarm){.damages = sim->options.seed % 10 == 9};
    swarm->customers = 10 + sim_draw(sim, SIM_CUSTOMERS_MAX - 9);
    swarm->events = 200 + sim_draw(sim, sim_chance(sim, 250) ? 1800 : 400);
    swarm->disk_delay = sim_chance(sim, 500) ? 0 : sim_draw(sim, 20);
    swarm->lost_answers = some(sim, 200);
    swarm->twice = some(sim, 200);
    swarm->late = some(sim, 300);
    swarm->probes = 50 + sim_draw(sim, 300);
    swarm->refused = some(sim, 150);
    swarm->later = some(sim, 300);
    swarm->unknown_sent = some(sim, 150);
    swarm->unknown_lost = some(sim, 150);
    swarm->slow_s = sim_chance(sim, 700) ? 1 : 1 + sim_draw(sim, 600);
    swarm->channel_room = sim_chance(sim, 700) ? 256 : 1 + sim_draw(sim, 6);
    swarm->recross = some(sim, 70);
    swarm->read_errors = some(sim, 60);
    swarm->other_cores = some(sim, 100);
    swarm->downtime = sim_draw(sim, 3);
    swarm->segment_bytes = UINT64_C(8192) << sim_draw(sim, 4);
    swarm->checkpoint_bytes = UINT64_C(16384) << sim_draw(sim, 6);
    swarm->marks_always = sim_chance(sim, 60);
    swarm->programs = 2 + sim_draw(sim, 2);
    swarm->cores_max = SIM_CORES_MAX;
    swarm->rows_max = 1u << 16;
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        swarm->collapses[i] = sim_chance(sim, 400);
    }
    swarm->marks_always = swarm->marks_always || swarm->damages;
}

static void draw_dues(struct sim *sim)
{
    static const enum sim_fault kinds[] = {
        SIM_FAULT_CRASH,      SIM_FAULT_CRASH, SIM_FAULT_KILL,   SIM_FAULT_STOP,
        SIM_FAULT_DISK_ERROR, SIM_FAULT_CLOCK, SIM_FAULT_RELOAD, SIM_FAULT_CHANNEL_FULL,
        SIM_FAULT_OUTAGE,     SIM_FAULT_DISK_FULL};
    for (uint32_t k = 0; k < CW_COUNTOF(kinds); k++) {
        for (uint32_t i = some(sim, 4); i > 0; i--) {
            sim->dues[sim->due_count++] = (struct sim_due){
                .at = SIM_START + (int64_t)sim_draw(sim, SIM_HOURS * 3600) * 1000,
                .fault = kinds[k]};
        }
    }
    CW_ASSERT(sim->due_count <= CW_COUNTOF(sim->dues));
}

/* ---- faults ---- */

static uint32_t draw_cores(struct sim *sim)
{
    bool other = sim->last.cores == 0 || sim_draw(sim, 100) < sim->swarm.other_cores;
    return other ? 1 + sim_draw(sim, sim->swarm.cores_max) : sim->last.cores;
}

static void step_clock(struct sim *sim)
{
    static const int64_t most[] = {1500, 90000, 7200000, 43200000};
    int64_t by = sim_draw(sim, (uint32_t)most[sim_draw(sim, 4)]);
    /* Not days ahead: what the shop's clocks then say would be refused as far in the future, or
       all journeys end at once. */
    int64_t offset = sim->wall_offset + (sim_chance(sim, 500) ? by : -by);
    sim->wall_offset = offset > 50000000 ? 50000000 : offset < -50000000 ? -50000000 : offset;
    sim_say(sim, "the wall clock is %lld ms off", (long long)sim->wall_offset);
    sim->confirm_at = sim_base(sim) + 1000 + sim_draw(sim, 6 * 3600000);
}

/* The kernel, or an operator, says that the wall clock is right as it stands. */
static void confirm_clock(struct sim *sim)
{
    if (sim->confirm_at != 0 && (sim->quiet || sim_base(sim) >= sim->confirm_at)) {
        sim->confirm_at = 0;
        sim->confirmed = true;
        sim->confirmed_ns = (SIM_START + sim->wall_offset) * 1000000;
        sim->believed = sim->wall_offset > sim->believed ? sim->wall_offset : sim->believed;
        sim_say(sim, "the wall clock is confirmed");
    }
}

static void fail_disk(struct sim *sim)
{
    const struct sim_dir *dir = &sim->storage.dirs[sim_draw(sim, sim->storage.count)];
    const struct cw_fault_plan plan = {.at = cw_fault_disk_count(dir->disk),
                                       .kinds = 1u << CW_DISK_WRITE,
                                       .error = EIO,
                                       .once = true};
    cw_fault_disk_plan(dir->disk, &plan);
}

static void begin_fault(struct sim *sim, enum sim_fault fault)
{
    sim->totals.faults[fault]++;
    switch (fault) {
    case SIM_FAULT_CRASH:
    case SIM_FAULT_KILL:
    case SIM_FAULT_STOP:
    case SIM_FAULT_RESTORE:
    case SIM_FAULT_DISK_ERROR:
        if (sim->armed == SIM_FAULT_COUNT) {
            sim->armed = fault;
            sim->marking = sim->swarm.marks_always;
            sim->armed_steps = 1 + sim_draw(sim, ARMED_STEPS);
            sim->patience = PATIENCE;
        }
        break;
    case SIM_FAULT_CLOCK: step_clock(sim); break;
    case SIM_FAULT_RELOAD: sim_machine_reload(sim); break;
    case SIM_FAULT_CHANNEL_FULL:
        sim->channel_full_until = sim_base(sim) + sim_draw(sim, 3 * 3600000);
        break;
    case SIM_FAULT_OUTAGE:
        sim->outage_until = sim_base(sim) + sim_draw(sim, 5 * 3600000);
        break;
    case SIM_FAULT_DISK_FULL:
        sim->full_until = sim_base(sim) + sim_draw(sim, 2 * 3600000);
        sim_storage_space(sim, true);
        break;
    case SIM_FAULT_BACKUP: sim_backup(sim); break;
    default: CW_ASSERT(false);
    }
}

static void begin_faults(struct sim *sim)
{
    for (uint32_t i = sim->due_count; i-- > 0;) {
        if (sim->dues[i].at <= sim_base(sim)) {
            enum sim_fault fault = sim->dues[i].fault;
            sim->dues[i] = sim->dues[--sim->due_count];
            begin_fault(sim, fault);
        }
    }
    if (sim->full_until != 0 && sim_base(sim) >= sim->full_until) {
        sim->full_until = 0;
        sim_storage_space(sim, false);
    }
    if (sim->swarm.damages && sim->machine.up && sim_draw(sim, 4000) == 0) {
        sim->totals.faults[SIM_FAULT_DAMAGE]++;
        sim->last.damaged = true;
        sim->last.damages += sim_storage_lie(sim);
    }
}

/* A while without a machine; then it comes up again. False: the run ends here, as it may. */
static bool restart(struct sim *sim)
{
    static const uint32_t most[] = {5000, 900000, 26 * 3600000};
    sim->ns += (1 + sim_draw(sim, most[sim->swarm.downtime])) * UINT64_C(1000000);
    if (!sim->quiet && !sim->last.restored && sim_chance(sim, 150)) {
        step_clock(sim);
    }
    sim->full_until = 0;
    sim_storage_space(sim, false);
    if (sim->swarm.damages && sim_chance(sim, 500)) {
        sim->totals.faults[SIM_FAULT_DAMAGE]++;
        sim->last.damaged = true;
        sim->last.damages += sim_storage_damage(sim);
    }
    uint32_t cores = draw_cores(sim);
    sim->totals.faults[SIM_FAULT_CORES] += sim->last.any && cores != sim->last.cores;
    bool goes_on = sim_machine_start(sim, cores);
    sim->last.damages = 0;
    return goes_on;
}

/* What was armed comes once every core's last commit is known, after some steps more. */
static bool fall(struct sim *sim)
{
    sim->marking = sim->marking || sim->armed_steps <= MARKED_STEPS;
    if (!sim->marking) {
        return false;
    }
    sim_machine_mark_now(sim);
    if (sim->patience > 0 && !sim_machine_marked(sim)) {
        sim->patience--;
        return false;
    }
    if (sim->armed_steps > 0) {
        return false;
    }
    enum sim_fault fault = sim->armed;
    sim_check_sums(sim);
    if (fault == SIM_FAULT_DISK_ERROR) { /* comes by itself with the next write */
        sim->armed_steps = 1000;
        fail_disk(sim);
        return false;
    }
    if (fault == SIM_FAULT_STOP) {
        sim_machine_stop(sim);
    } else if (fault == SIM_FAULT_RESTORE && sim_backed_up(sim)) {
        sim_restore_lose(sim);
    } else {
        sim_machine_crash(sim, fault == SIM_FAULT_CRASH);
    }
    return true;
}

/* ---- time ---- */

/* Idle steps after which time is skipped although something is under way. A disk that is full stays
   so. Once there is space, a log that has run out of it looks again within seconds: days must not
   pass before. Nor between two operations of a slow disk, once faults have stopped and everything
   has to come to its end. */
static uint32_t most_idle_steps(const struct sim *sim)
{
    bool waits = false;
    for (uint32_t i = 0; i < sim->machine.cores && sim->full_until == 0; i++) {
        struct cw_commit commit = cw_store_commit(sim->machine.core[i].store);
        waits = waits || ((sim->quiet || cw_store_full(sim->machine.core[i].store)) &&
                          commit.number(commit.self) > commit.durable(commit.self));
    }
    return waits ? sim->machine.cores * SPACE_STEPS : QUIET_STEPS;
}

static int64_t min(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Nothing is to be done: on to what comes next. */
static void skip_time(struct sim *sim, int64_t until)
{
    int64_t next = min(sim_client_next(sim), sim_provider_next(sim));
    next = min(next, sim_machine_earliest(sim));
    for (uint32_t i = 0; i < sim->due_count && !sim->quiet; i++) {
        next = min(next, sim->dues[i].at);
    }
    next = sim->full_until != 0 ? min(next, sim->full_until) : next;
    next = sim->confirm_at != 0 ? min(next, sim->confirm_at) : next;
    next = min(next, until);
    int64_t wait = next - sim_base(sim);
    sim->ns += (uint64_t)(wait > 1 ? wait : 1) * 1000000;
    sim->idle_steps = sim->steps_since_skip = 0;
}

/* One step of the world. False: the run ends, as it may. */
static bool turn(struct sim *sim, int64_t until)
{
    if (!sim->quiet) {
        begin_faults(sim);
    }
    confirm_clock(sim);
    sim_client_turn(sim);
    bool worked = sim_machine_step(sim, sim_draw(sim, sim->machine.cores));
    if (sim->machine.up) {
        sim_provider_turn(sim);
        sim_restore_turn(sim);
        sim->armed_steps -= worked && sim->armed_steps > 0;
        if (sim->armed != SIM_FAULT_COUNT && fall(sim)) {
            worked = true;
        }
    }
    if (!sim->machine.up) {
        return restart(sim);
    }
    sim->idle_steps = worked ? 0 : sim->idle_steps + 1;
    bool idle = !worked && (!sim_machine_busy(sim) || (sim->idle_steps > QUIET_STEPS &&
                                                       sim->idle_steps > most_idle_steps(sim)));
    if (idle) {
        skip_time(sim, until);
    } else {
        /* Slowly first, then faster: something may be at work for hours (a full disk). */
        uint32_t slow = sim->steps_since_skip++;
        if (slow > 0 && slow % 100000 == 0) {
            sim_machine_tell(sim);
        }
        uint32_t most = slow < 2000 ? 100000 : slow < 20000 ? 10000000 : 1000000000;
        sim->ns += 1000 + sim_draw(sim, most);
    }
    return true;
}

/* ---- a run ---- */

/* The faults stop; what is open is brought to its end, and asked for once more. */
static bool settle(struct sim *sim)
{
    sim->quiet = true;
    sim->channel_full_until = sim->outage_until = 0;
    sim->full_until = 0;
    sim->armed = SIM_FAULT_COUNT;
    sim_storage_space(sim, false);
    uint64_t from = sim->turn;
    while (!sim_client_done(sim)) {
        if (sim->turn - from > SETTLE_STEPS) {
            sim_fail(sim, "ended", "events or requests are open %u steps after the last fault",
                     SETTLE_STEPS);
        }
        if (!turn(sim, sim_base(sim) + 60000)) {
            return false;
        }
    }
    return true;
}

static bool probe_all(struct sim *sim)
{
    for (uint32_t i = 0; i < sim->event_count; i++) {
        if (sim_client_known(sim, &sim->events[i])) {
            sim->totals.probes++;
            sim_client_send(sim, i, sim_draw(sim, sim->machine.cores));
        }
        if (i % 8 == 7 || i + 1 == sim->event_count) {
            if (!settle(sim)) {
                return false;
            }
        }
    }
    return true;
}

static bool erases(const struct sim *sim)
{
    bool some = false;
    for (uint32_t i = 0; i < sim->machine.cores; i++) {
        some = some || sim->machine.core[i].erasures > sim->machine.core[i].erased;
    }
    return some;
}

/* What disks do beside the work comes to its end: where nothing happens any more, days are skipped
   that would have given them turns. A life whose every operation fails once has them all done. */
static bool work_off(struct sim *sim)
{
    bool short_life = sim->options.power != NULL;
    uint32_t steps = WORK_OFF_STEPS * sim->machine.cores * (short_life ? 1 : 8);
    for (uint32_t i = 0; i < steps && (short_life || erases(sim)); i++) {
        if (!turn(sim, sim_base(sim) + 1)) {
            return false;
        }
    }
    return true;
}

/* Long after: what was kept of journeys is cleaned away, slice by slice, and a provider's book says
   more than the engine knows. */
static bool forget(struct sim *sim)
{
    int64_t end = sim_base(sim) + FORGOTTEN_DAYS * CW_DAY_MS;
    sim->totals.base_ms -= end - sim_base(sim); /* nothing happens in it: it does not count */
    while (sim_base(sim) < end) {
        if (!turn(sim, end)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < FORGET_STEPS * sim->machine.cores; i++) {
        sim->ns += UINT64_C(1000000000);
        if (!turn(sim, sim_base(sim) + 1)) {
            return false;
        }
    }
    return true;
}

static bool play(struct sim *sim)
{
    int64_t end = SIM_START + (int64_t)SIM_HOURS * 3600000;
    if (!restart(sim)) {
        return false;
    }
    while (sim_base(sim) < end) {
        if (!turn(sim, end)) {
            return false;
        }
    }
    if (!settle(sim) || !probe_all(sim)) {
        return false;
    }
    end = sim_base(sim) + END_DAYS * CW_DAY_MS;
    while (sim_base(sim) < end) {
        if (!turn(sim, end)) {
            return false;
        }
    }
    if (!work_off(sim)) {
        return false;
    }
    sim_check_ended(sim);
    sim_check_sums(sim);
    sim_check_ledger(sim);
    sim_check_erased(sim);
    sim_machine_stop(sim);
    if (!restart(sim)) { /* what was stopped in order comes back as it was */
        return false;
    }
    sim_check_ledger(sim);
    if (sim->options.power == NULL && forget(sim)) { /* no power failure is to come after it */
        sim_check_sums(sim);
        sim_check_pools(sim);
    }
    return true;
}

static bool begin(struct sim *sim, const struct sim_options *options)
{
    memset(sim, 0, sizeof *sim);
    sim->options = *options;
    sim->random = options->seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
    sim->armed = SIM_FAULT_COUNT;
    sim->next_event = SIM_START;
    sim->links = (struct cw_links){.base = CW_VIEW("https://s.example"),
                                   .key = {options->seed, 3}};
    if (options->power != NULL) {
        sim_power_draw(sim);
    } else {
        draw_swarm(sim);
        draw_dues(sim);
        sim_restore_draw(sim);
    }
    for (uint32_t v = 0; v < 2; v++) {
        sim->programs[v] = sim_programs_load(v, sim->swarm.programs);
        if (sim->programs[v] == NULL) {
            return false;
        }
    }
    return true;
}

static void add_totals(struct sim_totals *sum, const struct sim_totals *part)
{
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)part;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++) {
        to[i] += from[i];
    }
}

bool sim_run(struct sim *sim, const struct sim_options *options, struct sim_totals *totals)
{
    bool good = true;
    if (!begin(sim, options)) {
        (void)snprintf(sim->failed_what, sizeof sim->failed_what, "the programs do not load");
        return false;
    }
    if (setjmp(sim->fail) == 0) {
        (void)play(sim);
        if (sim->machine.up && options->power == NULL) {
            sim_machine_drop(sim);
        }
    } else {
        good = false; /* what was at work is left as it was: it may not be closed any more */
    }
    sim->totals.seeds = 1;
    sim->totals.base_ms += sim_base(sim) - SIM_START;
    add_totals(totals, &sim->totals);
    return good;
}

void sim_free(struct sim *sim)
{
    sim_client_free(sim);
    sim_provider_free(sim);
    sim_storage_free(&sim->storage);
    sim_storage_free(&sim->backup);
    cw_text_deinit(&sim->said);
    free(sim->awaited.at);
    for (uint32_t i = 0; i < SIM_CORES_MAX; i++) {
        for (uint32_t m = 0; m < SIM_MARKS; m++) {
            cw_text_deinit(&sim->machine.core[i].marks[m].dump);
            cw_text_deinit(&sim->last.marks[i][m].dump);
        }
    }
    for (uint32_t v = 0; v < 2; v++) {
        cw_programs_close(sim->programs[v]);
    }
}
