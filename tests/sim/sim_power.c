/*
 * sim_power: short lives whose power fails before each operation of a disk.
 *
 * A script is a seed with few customers and no other faults of the machine. It is run once. Before
 * each operation of any of its disks, in starts, commits, checkpoints, slots of the manifest and
 * stops, the process forks once for each draw of damage: in the child the power fails there, what
 * is left is damaged, a start recovers it, and the life goes on to its end under all checkers.
 * While a child recovers it forks again before each operation of the recovery, where the power
 * fails again. So nothing is run twice: a child begins with all that has happened to its parent.
 *
 *     parent   op 1  op 2 ... op k ...... op n         (no failure: must be good as well)
 *                              |- damage 1: recovery, the rest
 *                              |               |- op j of it: recovery, the rest
 *                              `- damage 2: ...
 *
 * What a child draws follows from (seed, k, damage, j) alone, so that a failure is repeated without
 * forks by a run that falls there.
 */
#include "tests/sim/sim.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    CHILDREN_MAX = 16,
    DAMAGES_MAX = 1000,
    FOLLOWED_LEAST = 2, /* draws at each operation, whatever they leave */
    FAILURES_MAX = 10   /* then no more is forked */
};

static const char usage[] =
    "usage: cartwheel-sim --power N|A..B [--damages D] [--nested STEP] [--jobs J] [--plant NAME]\n"
    "       cartwheel-sim --power-seed S [--at K --damage D [--again J]] [--verbose]\n"
    "       cartwheel-sim --power N --plants [--damages D]\n"
    "The power fails before each I/O operation of N short lives of the engine, each time with D\n"
    "draws of damage, and again before each operation of the recovery from every STEPth of these\n"
    "failures (0: of none). --plants: bugs that a crash brings to light are planted, and each is\n"
    "to be found.\n";

/* Of all processes together. */
struct sums {
    uint64_t scripts, points, draws, different, crashes, nested, failures, found;
    uint64_t acked, deliveries, recoveries, compared, uncompared;
    uint64_t life_acked, life_deliveries; /* of the lives without a failure alone */
};

struct child {
    pid_t pid; /* 0: none */
    uint64_t at, damage, again;
};

enum phase {
    PHASE_LIFE,  /* the power has not failed yet */
    PHASE_FALLS, /* it has, and nothing is started again yet, or that is at work */
    PHASE_OVER   /* no more failures in this process */
};

struct sim_power {
    uint64_t damages, nested, jobs;
    bool forks; /* else it fails where `at` and `again` say */
    bool quiet; /* failures are expected: they are not told */
    const struct sim_plant *plant;
    struct sums *sums; /* shared */
    /* This process. */
    enum phase phase;
    uint64_t seed, at, damage, again; /* at, again: from 1; 0: never */
    uint64_t points, recovery_ops;    /* operations before the failure, and of the recovery after */
    uint64_t followed;                /* failures, of this script and those before */
    bool is_child;
    struct child children[CHILDREN_MAX];
};

static void add(uint64_t *sum, uint64_t by)
{
    (void)__atomic_fetch_add(sum, by, __ATOMIC_RELAXED);
}

static uint64_t now_of(const uint64_t *sum)
{
    return __atomic_load_n(sum, __ATOMIC_RELAXED);
}

/* ---- what a script has ---- */

static uint32_t some(struct sim *sim, uint32_t most)
{
    return sim_chance(sim, 500) ? 0 : 1 + sim_draw(sim, most);
}

void sim_power_draw(struct sim *sim)
{
    struct sim_swarm *swarm = &sim->swarm;
    *swarm = (struct sim_swarm){
        .marks_always = true, .cores_max = 3, .rows_max = 1u << 11, .channel_room = 256};
    swarm->customers = 2 + sim_draw(sim, 3);
    swarm->events = 8 + sim_draw(sim, 12);
    swarm->disk_delay = sim_chance(sim, 500) ? 0 : sim_draw(sim, 6);
    swarm->lost_answers = some(sim, 200);
    swarm->twice = some(sim, 200);
    swarm->late = some(sim, 200);
    swarm->probes = 50;
    swarm->later = some(sim, 200);
    swarm->unknown_sent = some(sim, 150);
    swarm->unknown_lost = some(sim, 150);
    swarm->slow_s = 1 + sim_draw(sim, 30);
    swarm->other_cores = sim_chance(sim, 600) ? 0 : 50;
    swarm->downtime = sim_draw(sim, 3);
    swarm->segment_bytes = UINT64_C(16384) << sim_draw(sim, 2);
    swarm->checkpoint_bytes = UINT64_C(65536) << sim_draw(sim, 2);
    swarm->programs = 2 + sim_draw(sim, 2);
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        swarm->collapses[i] = sim_chance(sim, 400);
    }
    sim->next_waiting = INT64_MAX; /* before the first event: of none */
}

/* ---- failures ---- */

static void say_again(const struct sim_power *power, const struct child *where)
{
    (void)printf("  again: cartwheel-sim --power-seed %llu", (unsigned long long)power->seed);
    if (where->at > 0) {
        (void)printf(" --at %llu --damage %llu", (unsigned long long)where->at,
                     (unsigned long long)where->damage);
    }
    if (where->again > 0) {
        (void)printf(" --again %llu", (unsigned long long)where->again);
    }
    (void)printf(" --verbose%s%s\n", power->plant != NULL ? " --plant " : "",
                 power->plant != NULL ? power->plant->name : "");
    (void)fflush(stdout);
}

static void say_failure(struct sim *sim, const struct sim_power *power)
{
    const struct child where = {.at = power->at, .damage = power->damage, .again = power->again};
    bool found = power->plant != NULL && power->at > 0 &&
                 strstr(power->plant->checker, sim->failed_checker) != NULL;
    add(&power->sums->failures, 1);
    add(&power->sums->found, found);
    if (!power->quiet) {
        (void)printf("script %llu: FAILED %s: %s\n", (unsigned long long)power->seed,
                     sim->failed_checker, sim->failed_what);
        say_again(power, &where);
    } else if (found && now_of(&power->sums->found) == 1) {
        (void)printf("  %s: %s\n", sim->failed_checker, sim->failed_what);
        (void)fflush(stdout);
    }
}

/* ---- processes ---- */

/* Waits until no more than so many of its children are at work. */
static void reap(struct sim_power *power, uint64_t most)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < CHILDREN_MAX; i++) {
        count += power->children[i].pid != 0;
    }
    while (count > most) {
        int status = 0;
        pid_t pid = wait(&status);
        CW_ASSERT(pid > 0);
        for (uint32_t i = 0; i < CHILDREN_MAX; i++) {
            struct child *child = &power->children[i];
            if (child->pid != pid) {
                continue;
            }
            if (!WIFEXITED(status) || WEXITSTATUS(status) > 1) { /* it had no time to say so */
                add(&power->sums->failures, 1);
                if (!power->quiet) {
                    (void)printf("script %llu: FAILED: a process ended with status %d\n",
                                 (unsigned long long)power->seed, status);
                    say_again(power, child);
                }
            }
            child->pid = 0;
            count--;
        }
    }
}

/* True in the child, where the power is to fail now. */
static bool spawn(struct sim *sim, uint64_t at, uint64_t damage, uint64_t again)
{
    struct sim_power *power = sim->options.power;
    const struct child where = {.at = at, .damage = damage, .again = again};
    uint32_t i = 0;
    uint64_t *done = power->quiet ? &power->sums->found : &power->sums->failures;
    if (now_of(done) >= (power->quiet ? 1 : FAILURES_MAX)) {
        return false;
    }
    reap(power, power->jobs - 1);
    while (power->children[i].pid != 0) {
        i++;
    }
    (void)fflush(stdout);
    pid_t pid = fork();
    CW_ASSERT(pid >= 0);
    if (pid == 0) {
        memset(power->children, 0, sizeof power->children);
        power->is_child = true;
        power->jobs = 1;
        power->at = at;
        power->damage = damage;
        power->again = again;
        sim->totals.recoveries = sim->totals.compared = sim->totals.uncompared = 0;
        return true;
    }
    power->children[i] = where;
    power->children[i].pid = pid;
    if (power->is_child) { /* one at a time of each that the parent has */
        reap(power, 0);
    }
    return false;
}

/* ---- the power fails ---- */

/* From here on all is drawn for this failure. */
static void draw_for(struct sim *sim, uint64_t at, uint64_t damage, uint64_t again)
{
    sim->random = sim->options.seed;
    sim->random = random_next(&sim->random) ^ at;
    sim->random = random_next(&sim->random) ^ damage;
    sim->random = random_next(&sim->random) ^ again;
}

static void fall(struct sim *sim)
{
    struct sim_power *power = sim->options.power;
    bool second = power->phase == PHASE_FALLS;
    draw_for(sim, power->at, power->damage, second ? power->again : 0);
    power->phase = second ? PHASE_OVER : PHASE_FALLS;
    sim_say(sim, "the power fails before operation %llu", (unsigned long long)sim->ops);
    sim->snapshot = calloc(1, sizeof *sim->snapshot);
    CW_ASSERT(sim->snapshot != NULL);
    sim_storage_after(sim, sim->snapshot, &sim->storage, true);
    if (sim->machine.up) { /* a disk is polled by a step alone, which ends here */
        (void)snprintf(sim->machine.fault, sizeof sim->machine.fault, "it has no power");
        longjmp(sim->disk_failed, 1);
    }
    /* Nobody outside hears of a start or of the end of a stop: it goes on and is thrown away. */
}

/* What that draw of damage would leave. */
static uint64_t digest_of(struct sim *sim, uint64_t damage)
{
    struct sim_storage left;
    uint64_t random = sim->random;
    uint64_t digest = 0;
    draw_for(sim, sim->ops, damage, 0);
    sim_storage_after(sim, &left, &sim->storage, true);
    for (uint32_t i = 0; i < left.count; i++) {
        digest = digest * 0x9e3779b97f4a7c15u + cw_fault_disk_digest(left.dirs[i].disk);
    }
    sim_storage_free(&left);
    sim->random = random;
    return digest;
}

/* Draws that leave what an earlier one does are not followed, but for a few: what was on its way to
   providers, and what the world does next, is drawn as well. */
static void fall_with_each(struct sim *sim)
{
    struct sim_power *power = sim->options.power;
    uint64_t digests[DAMAGES_MAX];
    add(&power->sums->draws, power->damages);
    for (uint32_t i = 0; i < power->damages; i++) {
        bool fresh = true;
        digests[i] = digest_of(sim, i + 1);
        for (uint32_t k = 0; k < i; k++) {
            fresh = fresh && digests[k] != digests[i];
        }
        add(&power->sums->different, fresh);
        bool followed = fresh || i < FOLLOWED_LEAST;
        power->followed += followed;
        if (followed && spawn(sim, sim->ops, i + 1, 0)) {
            fall(sim);
            return;
        }
    }
}

static void operation_of_life(struct sim *sim)
{
    struct sim_power *power = sim->options.power;
    power->points = sim->ops;
    if (power->forks) {
        fall_with_each(sim);
    } else if (sim->ops == power->at) {
        fall(sim);
    }
}

static void operation_of_recovery(struct sim *sim)
{
    struct sim_power *power = sim->options.power;
    if (sim->machine.up) {
        power->phase = PHASE_OVER;
        return;
    }
    uint64_t again = ++power->recovery_ops;
    if (!power->forks) {
        if (again == power->again) {
            fall(sim);
        }
        return;
    }
    bool chosen = power->nested > 0 && power->followed % power->nested == 0;
    if (chosen && spawn(sim, power->at, power->damage, again)) {
        fall(sim);
    }
}

void sim_power_operation(struct sim *sim)
{
    if (sim->snapshot != NULL) { /* what is done now has no power */
        return;
    }
    switch (sim->options.power->phase) {
    case PHASE_LIFE: operation_of_life(sim); break;
    case PHASE_FALLS: operation_of_recovery(sim); break;
    case PHASE_OVER: break;
    }
}

/* ---- scripts ---- */

static void end_child(struct sim *sim, struct sim_power *power, bool good)
{
    struct sums *sums = power->sums;
    reap(power, 0);
    add(power->again > 0 ? &sums->nested : &sums->crashes, 1);
    add(&sums->acked, sim->totals.acked);
    add(&sums->deliveries, sim->totals.deliveries);
    add(&sums->recoveries, sim->totals.recoveries);
    add(&sums->compared, sim->totals.compared);
    add(&sums->uncompared, sim->totals.uncompared);
    if (!good) {
        say_failure(sim, power);
    }
    (void)fflush(stdout);
    _exit(good ? 0 : 1);
}

static void run(struct sim *sim, struct sim_power *power, uint64_t seed, bool verbose)
{
    struct sim_options options = {
        .seed = seed, .verbose = verbose, .plant = power->plant, .power = power};
    struct sim_totals totals = {0};
    struct sums *sums = power->sums;
    power->seed = seed;
    power->phase = PHASE_LIFE;
    power->points = 0;
    bool good = sim_run(sim, &options, &totals);
    if (power->is_child) {
        end_child(sim, power, good);
    }
    if (good && sim->machine.up) { /* a child leaves that to its end */
        sim_machine_drop(sim);
    }
    reap(power, 0);
    sums->scripts++;
    sums->points += power->points;
    sums->life_acked += sim->totals.acked;
    sums->life_deliveries += sim->totals.deliveries;
    if (!power->quiet) {
        (void)printf(
            "script %llu: %u cores, %llu events, %llu acknowledged, %llu sent, %llu "
            "checkpoints, %llu operations\n",
            (unsigned long long)seed, sim->last.cores, (unsigned long long)sim->totals.events,
            (unsigned long long)sim->totals.acked, (unsigned long long)sim->totals.deliveries,
            (unsigned long long)sim->totals.checkpoints, (unsigned long long)power->points);
    }
    if (!good) {
        say_failure(sim, power);
    } else {
        sim_free(sim);
    }
    (void)fflush(stdout);
}

static void say_sums(const struct sums *sums)
{
    (void)printf(
        "%llu scripts, %llu operations, %llu draws of damage (%llu different), %llu crashes "
        "followed, "
        "%llu crashes in a recovery: %llu recoveries (of cores: %llu compared, %llu not)\n"
        "  %llu events acknowledged and %llu messages sent in the scripts, %llu and %llu checked "
        "after crashes; %llu failures\n",
        (unsigned long long)sums->scripts, (unsigned long long)sums->points,
        (unsigned long long)sums->draws, (unsigned long long)sums->different,
        (unsigned long long)sums->crashes, (unsigned long long)sums->nested,
        (unsigned long long)sums->recoveries, (unsigned long long)sums->compared,
        (unsigned long long)sums->uncompared, (unsigned long long)sums->life_acked,
        (unsigned long long)sums->life_deliveries, (unsigned long long)sums->acked,
        (unsigned long long)sums->deliveries, (unsigned long long)sums->failures);
}

/* ---- what it is asked for ---- */

struct arguments {
    uint64_t first, last;
    bool verbose, plants;
    const char *plant;
};

static int run_plants(struct sim *sim, struct sim_power *power, const struct arguments *arguments)
{
    static const char *const names[] = {"early-answer", "lost-write",    "unnoted",
                                        "early-send",   "cap-forgotten", "miscount"};
    int rc = 0;
    power->quiet = true;
    for (uint32_t i = 0; i < CW_COUNTOF(names); i++) {
        memset(power->sums, 0, sizeof *power->sums);
        power->plant = sim_plant_find(names[i]);
        CW_ASSERT(power->plant != NULL);
        uint64_t seed = arguments->first;
        for (; seed <= arguments->last && power->sums->found == 0; seed++) {
            run(sim, power, seed, false);
        }
        (void)printf("%s: %s within %llu scripts, %llu crashes\n", names[i],
                     power->sums->found > 0 ? "found" : "NOT FOUND",
                     (unsigned long long)(seed - arguments->first),
                     (unsigned long long)(power->sums->crashes + power->sums->nested));
        rc = power->sums->found > 0 ? rc : 1;
    }
    return rc;
}

static uint64_t *find_number(const char *name, struct sim_power *power)
{
    return strcmp(name, "--damages") == 0  ? &power->damages
           : strcmp(name, "--nested") == 0 ? &power->nested
           : strcmp(name, "--jobs") == 0   ? &power->jobs
           : strcmp(name, "--at") == 0     ? &power->at
           : strcmp(name, "--damage") == 0 ? &power->damage
           : strcmp(name, "--again") == 0  ? &power->again
                                           : NULL;
}

static bool read_scripts(const char *text, struct arguments *arguments)
{
    char *end;
    arguments->first = 1;
    arguments->last = strtoull(text, &end, 10);
    if (strncmp(end, "..", 2) == 0) {
        arguments->first = arguments->last;
        arguments->last = strtoull(end + 2, &end, 10);
    }
    return *end == '\0' && end != text;
}

static bool read_arguments(int argc, char **argv, struct arguments *arguments,
                           struct sim_power *power)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        uint64_t *number = find_number(argv[i], power);
        if (strcmp(argv[i], "--verbose") == 0) {
            arguments->verbose = true;
            continue;
        }
        if (strcmp(argv[i], "--plants") == 0) {
            arguments->plants = true;
            continue;
        }
        bool one = strcmp(argv[i], "--power-seed") == 0;
        if (one || strcmp(argv[i], "--power") == 0) {
            power->forks = !one;
            if (!read_scripts(value, arguments)) {
                return false;
            }
            arguments->first = one ? arguments->last : arguments->first;
        } else if (strcmp(argv[i], "--plant") == 0) {
            arguments->plant = value;
            power->plant = sim_plant_find(value);
        } else if (number != NULL) {
            char *end;
            *number = strtoull(value, &end, 10);
            if (*end != '\0' || end == value) {
                return false;
            }
        } else {
            return false;
        }
        i++;
    }
    return power->jobs >= 1 && power->jobs <= CHILDREN_MAX && power->damages <= DAMAGES_MAX &&
           (arguments->plant == NULL || power->plant != NULL);
}

int sim_power_main(struct sim *sim, int argc, char **argv)
{
    static struct sim_power power = {.damages = 2, .nested = 40, .jobs = 2};
    struct arguments arguments = {.first = 1};
    if (!read_arguments(argc, argv, &arguments, &power)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    power.sums =
        mmap(NULL, sizeof *power.sums, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CW_ASSERT(power.sums != MAP_FAILED);
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30); /* disks come and go by the thousand */
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
    if (arguments.plants) {
        return run_plants(sim, &power, &arguments);
    }
    for (uint64_t seed = arguments.first; seed <= arguments.last; seed++) {
        if (now_of(&power.sums->failures) < FAILURES_MAX) {
            run(sim, &power, seed, arguments.verbose);
        }
    }
    say_sums(power.sums);
    return power.sums->failures > 0 ? 1 : 0;
}
