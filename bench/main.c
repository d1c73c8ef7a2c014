/* main: runs benches and prints one row each: median ns per unit [min-max], rate, limit, ratio; of
   probes, their figures. */
#define _GNU_SOURCE 1
#include "bench/bench.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const struct suite {
    const struct cw_bench_case *cases;
    bool wall; /* what it waits for is the point: its time is the clock's, not the thread's */
} suites[] = {
    {cw_bench_json, false},    {cw_bench_pattern, false},
    {cw_bench_time, false},    {cw_bench_wheel, false},
    {cw_bench_table, false},   {cw_bench_ring, false},
    {cw_bench_model, false},   {cw_bench_message, false},
    {cw_bench_form, false},    {cw_bench_checkpoint, false},
    {cw_bench_restart, false}, {cw_bench_pipeline, false},
    {cw_bench_server, false},  {cw_bench_limit, false},
    {cw_bench_disk, true},     {NULL, false},
};

/* They take minutes: run when --filter names them, and a few of them with --tiny. */
static const struct cw_bench_probe *const probes[] = {
    cw_bench_beside, cw_bench_engine, cw_bench_engine_restart, cw_bench_again, NULL};

const char *cw_bench_dir;
const char *cw_bench_tables;

enum {
    REPEATS = 7,
    PROBE_REPEATS = 3 /* of seconds each */
};

struct options {
    const char *filter;
    int repeats; /* 0: as many as is usual */
    bool tiny, json, pin, list;
};

static double now_ns(clockid_t clock)
{
    struct timespec ts;
    (void)clock_gettime(clock, &ts);
    return (double)ts.tv_sec * 1e9 + (double)ts.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void run_case(const struct cw_bench_case *c, const struct options *options, bool wall)
{
    void *state = c->setup(options->tiny);
    double ns[CW_BENCH_REPEATS_MAX];
    double own_ns = 0; /* the thread's, of all repeats together */
    uint64_t hash = 0;
    uint64_t units = 0;
    int repeats = options->tiny ? 1 : options->repeats > 0 ? options->repeats : REPEATS;
    for (int i = options->tiny ? 0 : -1; i < repeats; i++) { /* -1 warms up */
        units = 0;
        double own = now_ns(CLOCK_THREAD_CPUTIME_ID);
        double start = now_ns(wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID);
        hash = c->run(state, &units);
        double spent = now_ns(wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID) - start;
        own = now_ns(CLOCK_THREAD_CPUTIME_ID) - own;
        CW_ASSERT(units > 0);
        if (i >= 0) {
            ns[i] = spent / (double)units;
            own_ns += own / (double)units / repeats;
        }
    }
    c->teardown(state);
    qsort(ns, (size_t)repeats, sizeof ns[0], by_value);
    double median = ns[repeats / 2];
    if (options->json) {
        (void)printf("{\"name\":\"%s\",\"unit\":\"%s\",\"ns_median\":%.3f,\"ns_min\":%.3f,"
                     "\"ns_max\":%.3f,\"ns_thread\":%.3f,\"repeats\":%d,\"limit_ns\":%.3f,"
                     "\"hash\":\"%016llx\"}\n",
                     c->name, c->unit, median, ns[0], ns[repeats - 1], own_ns, repeats, c->limit_ns,
                     (unsigned long long)hash);
    } else {
        (void)printf("%-34s %9.1f ns/%-6s [%.1f-%.1f] %9.3f M/s", c->name, median, c->unit, ns[0],
                     ns[repeats - 1], 1e3 / median);
        if (c->bytes_per_unit > 0) {
            (void)printf("  %.2f GB/s", c->bytes_per_unit / median);
        }
        if (wall) {
            (void)printf("  %.1f us of its own", own_ns / 1e3);
        }
        if (c->limit_ns > 0) {
            (void)printf("  limit %.1f (%s), %.2f of its speed", c->limit_ns, c->limit,
                         c->limit_ns / median);
        }
        (void)printf("  #%08llx\n", (unsigned long long)(hash & 0xffffffffu));
    }
    (void)fflush(stdout);
}

/* False when it failed. */
static bool run_probe(const struct cw_bench_probe *probe, const struct options *options,
                      uint32_t *skipped)
{
    static struct cw_bench_report report;
    report = (struct cw_bench_report){.name = probe->name, .json = options->json};
    int repeats = options->tiny ? 1 : options->repeats > 0 ? options->repeats : PROBE_REPEATS;
    void *state = probe->setup != NULL ? probe->setup(probe, &report, options->tiny) : NULL;
    for (int i = 0; i < repeats && !report.failed && !report.skipped; i++) {
        probe->measure(probe, state, &report, options->tiny);
    }
    if (state != NULL) {
        probe->teardown(state);
    }
    cw_bench_report_print(&report, stdout);
    *skipped += report.skipped;
    return !report.failed;
}

static void print_help(void)
{
    (void)printf(
        "usage: cartwheel-bench [--filter TEXT] [--repeats N] [--tiny] [--json]\n"
        "                       [--list] [--no-pin] [--dir DIRECTORY] [--tables DIRECTORY]\n\n"
        "Prints the median time per unit over N repeats (default 7, after one warm-up),\n"
        "[smallest-largest], the rate, and beside it the physical or a peer's limit.\n"
        "  --filter TEXT  only cases whose name contains TEXT; engine.*, which take\n"
        "                 minutes and 3 repeats, only so\n"
        "  --dir DIRECTORY\n"
        "                 where disk.* and engine.* make their files (default: beside\n"
        "                 the program)\n"
        "  --tables DIRECTORY\n"
        "                 on tmpfs or hugetlbfs, where the engine of engine.restart\n"
        "                 has its tables (its `memory:`)\n"
        "  --tiny         small inputs, one repeat: a test that the benches work\n"
        "  --no-pin       do not pin the thread to the last CPU\n");
}

static bool parse(struct options *options, int argc, char **argv)
{
    *options = (struct options){.pin = true};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--tiny") == 0) {
            options->tiny = true;
        } else if (strcmp(argv[i], "--json") == 0) {
            options->json = true;
        } else if (strcmp(argv[i], "--list") == 0) {
            options->list = true;
        } else if (strcmp(argv[i], "--no-pin") == 0) {
            options->pin = false;
        } else if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc) {
            options->filter = argv[++i];
        } else if (strcmp(argv[i], "--dir") == 0 && i + 1 < argc) {
            cw_bench_dir = argv[++i];
        } else if (strcmp(argv[i], "--tables") == 0 && i + 1 < argc) {
            cw_bench_tables = argv[++i];
        } else if (strcmp(argv[i], "--repeats") == 0 && i + 1 < argc) {
            long n = strtol(argv[++i], NULL, 10);
            if (n < 1 || n > CW_BENCH_REPEATS_MAX) {
                (void)fprintf(stderr, "cartwheel-bench: --repeats is 1 to %d\n",
                              CW_BENCH_REPEATS_MAX);
                return false;
            }
            options->repeats = (int)n;
        } else {
            (void)fprintf(stderr, "cartwheel-bench: unknown option %s; see --help\n", argv[i]);
            return false;
        }
    }
    return true;
}

static uint32_t run_cases(const struct options *options)
{
    uint32_t ran = 0;
    for (uint32_t s = 0; suites[s].cases != NULL; s++) {
        for (const struct cw_bench_case *c = suites[s].cases; c->name != NULL; c++) {
            if (options->filter != NULL && strstr(c->name, options->filter) == NULL) {
                continue;
            }
            ran++;
            if (options->list) {
                (void)printf("%s\n", c->name);
            } else {
                run_case(c, options, suites[s].wall);
            }
        }
    }
    return ran;
}

/* How many; *good is false when one failed. */
static uint32_t run_probes(const struct options *options, bool *good)
{
    uint32_t ran = 0;
    uint32_t skipped = 0;
    for (uint32_t s = 0; probes[s] != NULL; s++) {
        for (const struct cw_bench_probe *probe = probes[s]; probe->name != NULL; probe++) {
            bool named = options->filter != NULL && strstr(probe->name, options->filter) != NULL;
            bool wanted = named || (options->filter == NULL && options->tiny && probe->tiny);
            if (options->list && (named || options->filter == NULL)) {
                (void)printf("%s\n", probe->name);
            } else if (wanted) {
                *good &= run_probe(probe, options, &skipped);
            } else {
                continue;
            }
            ran++;
        }
    }
    if (skipped > 0) {
        (void)fprintf(stderr, "# %u of %u were skipped\n", skipped, ran);
    }
    return ran;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        print_help();
        return 0;
    }
    struct options options;
    if (!parse(&options, argc, argv)) {
        return 2;
    }
    char beside[4096];
    if (cw_bench_dir == NULL) {
        ssize_t bytes = readlink("/proc/self/exe", beside, sizeof beside - 1);
        beside[bytes > 0 ? bytes : 0] = '\0';
        char *slash = strrchr(beside, '/');
        cw_bench_dir = slash == NULL ? "." : (*slash = '\0', beside);
    }
    cpu_set_t before;
    bool pinned = options.pin && sched_getaffinity(0, sizeof before, &before) == 0;
    if (pinned) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)(sysconf(_SC_NPROCESSORS_ONLN) - 1), &set);
        (void)sched_setaffinity(0, sizeof set, &set); /* a container may forbid it: then unpinned */
    }
    if (!options.list) {
        cw_bench_machine_print(options.json, stdout);
    }
    bool good = true;
    uint32_t ran = run_cases(&options);
    if (pinned) { /* what a probe starts runs where it may */
        (void)sched_setaffinity(0, sizeof before, &before);
    }
    ran += run_probes(&options, &good);
    if (ran == 0) {
        (void)fprintf(stderr, "cartwheel-bench: no bench is called that; see --list\n");
        return 2;
    }
    return good ? 0 : 1;
}
