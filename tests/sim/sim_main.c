/* sim_main: cartwheel-sim, see usage. */
#include "tests/sim/sim.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

static const char usage[] =
    "usage: cartwheel-sim [--seeds A..B] [--seconds S] [--traces] [--plant NAME]\n"
    "       cartwheel-sim --seed N [--verbose] [--plant NAME]\n"
    "       cartwheel-sim --planted SEEDS | --twice N | --list\n"
    "       cartwheel-sim --power ... (tells more)\n"
    "Runs the whole engine on simulated disks, clocks, clients and providers. A failure prints\n"
    "its seed, which fails again alone. --traces: a hash of all that each seed did, the same\n"
    "in every build. --planted: each planted bug is found within so many\n"
    "seeds. --twice: a seed is run twice and must do the same.\n";

struct arguments {
    uint64_t first, last;
    uint64_t seconds;
    uint32_t planted;
    bool verbose, twice, list, traces;
    const char *plant;
};

static struct sim *sim;

static void dying(int signal)
{
    char text[80];
    int bytes = snprintf(text, sizeof text, "cartwheel-sim: seed %llu: signal %d\n",
                         (unsigned long long)sim->options.seed, signal);
    (void)!write(STDERR_FILENO, text, (size_t)bytes);
    (void)raise(signal);
}

static void say_list(void)
{
    static const char *const names[][2] = {
#define CW_X(name, text, help) {text, help},
        SIM_FAULTS(CW_X)
#undef CW_X
    };
    (void)puts("faults:");
    for (uint32_t i = 0; i < CW_COUNTOF(names); i++) {
        (void)printf("  %-18s %s\n", names[i][0], names[i][1]);
    }
    (void)puts("planted bugs (and the checker that finds each):");
    for (const struct sim_plant *plant = sim_plants; plant->name != NULL; plant++) {
        (void)printf("  %-18s %-13s %s\n", plant->name, plant->checker, plant->help);
    }
}

static void say_totals(const struct sim_totals *totals, double seconds)
{
    static const char *const names[] = {
#define CW_X(name, text, help) text,
        SIM_FAULTS(CW_X)
#undef CW_X
    };
    double years = (double)totals->base_ms / (365.25 * CW_DAY_MS);
    (void)printf("%llu seeds in %.1f s: %.0f seeds/h, %.2f simulated years\n",
                 (unsigned long long)totals->seeds, seconds,
                 (double)totals->seeds * 3600 / seconds, years);
    (void)printf("  %llu steps, %llu events, %llu acknowledged, %llu asked again, %llu delivered\n",
                 (unsigned long long)totals->steps, (unsigned long long)totals->events,
                 (unsigned long long)totals->acked, (unsigned long long)totals->probes,
                 (unsigned long long)totals->deliveries);
    (void)printf("  %llu commits, %llu checkpoints, %llu recoveries (of cores: %llu compared, %llu "
                 "not), %llu refused as damaged, %llu last frames lost to damage\n",
                 (unsigned long long)totals->commits, (unsigned long long)totals->checkpoints,
                 (unsigned long long)totals->recoveries, (unsigned long long)totals->compared,
                 (unsigned long long)totals->uncompared,
                 (unsigned long long)totals->refused_corrupt,
                 (unsigned long long)totals->tail_lost);
    (void)fputs("  faults:", stdout);
    for (uint32_t i = 0; i < SIM_FAULT_COUNT; i++) {
        (void)printf(" %s %llu", names[i], (unsigned long long)totals->faults[i]);
    }
    (void)putchar('\n');
}

static bool run(uint64_t seed, const struct arguments *arguments, const struct sim_plant *plant,
                struct sim_totals *totals)
{
    struct sim_options options = {.seed = seed, .verbose = arguments->verbose, .plant = plant};
    bool good = sim_run(sim, &options, totals);
    if (good) {
        sim_free(sim);
    }
    return good;
}

static void say_failure(uint64_t seed, const struct sim_plant *plant)
{
    (void)printf("seed %llu: FAILED %s: %s\n  again: cartwheel-sim --seed %llu --verbose%s%s\n",
                 (unsigned long long)seed, sim->failed_checker, sim->failed_what,
                 (unsigned long long)seed, plant != NULL ? " --plant " : "",
                 plant != NULL ? plant->name : "");
}

/* ---- what it is asked for ---- */

static int run_seeds(const struct arguments *arguments, const struct sim_plant *plant)
{
    struct sim_totals totals = {0};
    uint64_t began = cw_clock_monotonic_ns();
    uint64_t failures = 0;
    for (uint64_t seed = arguments->first; seed <= arguments->last && failures < 20; seed++) {
        double passed = (double)(cw_clock_monotonic_ns() - began) / 1e9;
        if (arguments->seconds > 0 && passed > (double)arguments->seconds) {
            break;
        }
        if (!run(seed, arguments, plant, &totals)) {
            say_failure(seed, plant);
            (void)fflush(stdout);
            failures++;
        }
        if (arguments->traces) {
            (void)printf("seed %llu: trace %016llx\n", (unsigned long long)seed,
                         (unsigned long long)sim->trace);
        }
    }
    say_totals(&totals, (double)(cw_clock_monotonic_ns() - began) / 1e9);
    return failures > 0 ? 1 : 0;
}

static int run_planted(const struct arguments *arguments)
{
    int rc = 0;
    for (const struct sim_plant *plant = sim_plants; plant->name != NULL; plant++) {
        struct sim_totals totals = {0};
        uint64_t seed = 1;
        bool right = false;
        for (; seed <= arguments->planted && !right; seed++) { /* others may find it before */
            right = !run(seed, arguments, plant, &totals) &&
                    strstr(plant->checker, sim->failed_checker) != NULL;
        }
        (void)printf("%-18s %s by %s within %llu seeds: %s\n", plant->name,
                     right ? "found" : "NOT FOUND", right ? sim->failed_checker : plant->checker,
                     (unsigned long long)seed - 1, right ? sim->failed_what : "");
        (void)fflush(stdout);
        rc = right ? rc : 1;
    }
    return rc;
}

static int run_twice(const struct arguments *arguments)
{
    uint64_t traces[2];
    struct sim_totals totals[2] = {{0}, {0}};
    for (uint32_t i = 0; i < 2; i++) {
        if (!run(arguments->first, arguments, NULL, &totals[i])) {
            say_failure(arguments->first, NULL);
            return 1;
        }
        traces[i] = sim->trace;
    }
    (void)printf("seed %llu: trace %016llx, then %016llx\n", (unsigned long long)arguments->first,
                 (unsigned long long)traces[0], (unsigned long long)traces[1]);
    return traces[0] == traces[1] && totals[0].steps == totals[1].steps ? 0 : 1;
}

static bool read_range(const char *text, struct arguments *arguments)
{
    char *end;
    arguments->first = strtoull(text, &end, 10);
    arguments->last = arguments->first;
    if (strncmp(end, "..", 2) == 0) {
        arguments->last = strtoull(end + 2, &end, 10);
    }
    return *end == '\0' && end != text;
}

/* The option without a value; NULL: it is none. */
static bool *find_flag(const char *name, struct arguments *arguments)
{
    return strcmp(name, "--verbose") == 0  ? &arguments->verbose
           : strcmp(name, "--traces") == 0 ? &arguments->traces
           : strcmp(name, "--list") == 0   ? &arguments->list
                                           : NULL;
}

static bool read_arguments(int argc, char **argv, struct arguments *arguments)
{
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : "";
        bool with_value = true;
        if (strcmp(argv[i], "--seeds") == 0 || strcmp(argv[i], "--seed") == 0) {
            if (!read_range(value, arguments)) {
                return false;
            }
        } else if (strcmp(argv[i], "--seconds") == 0) {
            arguments->seconds = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i], "--plant") == 0) {
            arguments->plant = value;
        } else if (strcmp(argv[i], "--planted") == 0) {
            arguments->planted = (uint32_t)strtoul(value, NULL, 10);
        } else if (strcmp(argv[i], "--twice") == 0) {
            arguments->twice = read_range(value, arguments);
        } else {
            bool *flag = find_flag(argv[i], arguments);
            if (flag == NULL) {
                return false;
            }
            *flag = true;
            with_value = false;
        }
        i += with_value;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct arguments arguments = {.first = 1, .last = 500};
    bool power = argc > 1 && strncmp(argv[1], "--power", 7) == 0;
    if (!power && !read_arguments(argc, argv, &arguments)) {
        (void)fputs(usage, stderr);
        return 2;
    }
    if (arguments.list) {
        say_list();
        return 0;
    }
    const struct sim_plant *plant =
        arguments.plant != NULL ? sim_plant_find(arguments.plant) : NULL;
    if (arguments.plant != NULL && plant == NULL) {
        (void)fprintf(stderr, "cartwheel-sim: no bug called \"%s\"; see --list\n", arguments.plant);
        return 2;
    }
    const struct sigaction action = {.sa_handler = dying, .sa_flags = (int)SA_RESETHAND};
    (void)sigaction(SIGABRT, &action, NULL);
    (void)sigaction(SIGSEGV, &action, NULL);
    (void)prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0); /* tables here are small, and many */
    sim = calloc(1, sizeof *sim);
    if (sim == NULL || !sim_prepare()) {
        (void)fputs("cartwheel-sim: no model or no zones\n", stderr);
        return 77;
    }
    int rc = power                   ? sim_power_main(sim, argc, argv)
             : arguments.planted > 0 ? run_planted(&arguments)
             : arguments.twice       ? run_twice(&arguments)
                                     : run_seeds(&arguments, plant);
    free(sim);
    return rc;
}
