/* replay: the pipeline on event time, from files, on any number of cores. */
#include "core/runtime.h"
#include "core/time.h"
#include "io/clock.h"
#include "pipeline/worker.h"
#include "tools/bar.h"
#include "tools/engine_file.h"
#include "tools/files.h"
#include "tools/lines.h"
#include "tools/summary.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const char help[] =
    "usage: cartwheel replay [OPTIONS] PROGRAM.yaml... EVENTS.ndjson...\n"
    "\n"
    "Runs events through programs on event time: the clock is the running maximum of\n"
    "the events' own times, timers fire between events and, after the last, until\n"
    "none is left. Prints one JSON line per decision on standard output and a summary\n"
    "on standard error. The same input gives the same output, byte for byte, whatever\n"
    "the number of cores.\n"
    "\n"
    "Arguments ending in .yaml or .yml are programs, the others events; - is standard\n"
    "input.\n"
    "\n"
    "  --until TIME     after the last event fire only timers due up to TIME (RFC\n"
    "                   3339)\n"
    "  --cores N        work on N cores (default 1)\n"
    "  --timeline       print a readable line per decision instead of JSON, and one\n"
    "                   for each event that came to nothing, with the reason\n"
    "  --json           print the summary as one JSON object\n"
    "  --quiet          print no summary\n"
    "  -c, --config FILE\n"
    "                   an engine file; what the command line says wins, and programs\n"
    "                   that it names replace those of the file\n"
    "  --models DIR     models to use besides the shipped ones\n"
    "  --templates DIR  templates to use besides the shipped ones\n"
    "  --partitions N   partitions of the state, a power of two (default 256)\n"
    "  --help           print this\n"
    "\n"
    "exit: 0 done, 1 failed, 2 wrong usage or configuration\n";

enum {
    FILES_MAX = 320,
    CLEAN_ROWS = 256,
    ZONES_DIRECTORY_BYTES = 64
};

struct options {
    struct cw_inputs inputs;
    uint32_t cores, partitions;
    const char *config, *models, *templates;
    int64_t until;
    bool timeline, json, quiet, help;
};

struct replay {
    struct options options;
    struct cw_engine_file engine;
    struct cw_assets assets;
    struct cw_programs *programs;
    struct cw_zones *zones;
    struct cw_files files;
    struct cw_lines lines;
    struct cw_mesh *mesh;
    struct cw_worker *workers[CW_MESH_SHARDS_MAX];
    struct cw_shard shards[CW_MESH_SHARDS_MAX];
    uint64_t printed;
    int broken; /* errno of standard output, which does not take more; 0: it does */
};

static bool parse_number(const char *text, uint32_t least, uint32_t most, uint32_t *value)
{
    char *end = NULL;
    unsigned long number = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || number < least || number > most) {
        return false;
    }
    *value = (uint32_t)number;
    return true;
}

static int parse_option(struct options *options, int option, const char *value)
{
    switch (option) {
    case 'u':
        if (!cw_time_parse((struct cw_view){value, (uint32_t)strlen(value)}, &options->until)) {
            return cw_usage_error("replay",
                                  "--until \"%s\" is not a time such as "
                                  "2026-01-18T16:45:00Z",
                                  value);
        }
        return CW_EXIT_OK;
    case 'n':
        if (!parse_number(value, 1, CW_MESH_SHARDS_MAX, &options->cores)) {
            return cw_usage_error("replay", "--cores is a number from 1 to %u", CW_MESH_SHARDS_MAX);
        }
        return CW_EXIT_OK;
    case 'p':
        if (!parse_number(value, 1, 1u << 16, &options->partitions) ||
            (options->partitions & (options->partitions - 1)) != 0) {
            return cw_usage_error("replay", "--partitions is a power of two up to 65536");
        }
        return CW_EXIT_OK;
    case 'c': options->config = value; return CW_EXIT_OK;
    case 'm': options->models = value; return CW_EXIT_OK;
    case 't': options->templates = value; return CW_EXIT_OK;
    case 'l': options->timeline = true; return CW_EXIT_OK;
    case 'j': options->json = true; return CW_EXIT_OK;
    case 'q': options->quiet = true; return CW_EXIT_OK;
    case 'h': options->help = true; return CW_EXIT_OK;
    default: return CW_EXIT_USAGE; /* told already */
    }
}

static int parse(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {{"until", required_argument, NULL, 'u'},
                                          {"cores", required_argument, NULL, 'n'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"models", required_argument, NULL, 'm'},
                                          {"templates", required_argument, NULL, 't'},
                                          {"partitions", required_argument, NULL, 'p'},
                                          {"timeline", no_argument, NULL, 'l'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *options = (struct options){.cores = 1, .until = CW_TIME_NONE};
    int option;
    while ((option = cw_next_option("replay", argc, argv, "c:", known)) != -1) {
        int rc = parse_option(options, option, optarg);
        if (rc != CW_EXIT_OK) {
            return rc;
        }
    }
    int rc = cw_inputs_take(&options->inputs, "replay", argc - optind, argv + optind);
    if (rc == CW_EXIT_OK && !options->help) {
        rc = cw_inputs_check(&options->inputs, "replay", options->config);
    }
    return rc;
}

static void decide(void *self, const struct cw_decision *decision)
{
    cw_lane_add(self, decision);
}

static void settled(void *self, uint64_t sequence, int64_t until, bool end)
{
    (void)sequence;
    cw_lane_settle(self, until, end);
}

static bool full(void *self)
{
    return cw_lane_full(self);
}

static void print_line(void *self, struct cw_view text)
{
    struct replay *replay = self;
    replay->printed++;
    if (replay->broken == 0 && fwrite(text.data, 1, text.bytes, stdout) != text.bytes) {
        replay->broken = errno != 0 ? errno : EIO;
    }
}

static cw_err open_all(struct replay *replay, struct cw_fault *fault)
{
    const struct options *options = &replay->options;
    struct cw_hash_key hash;
    if (getrandom(&hash, sizeof hash, 0) != (ssize_t)sizeof hash) {
        return cw_fail(fault, CW_ERR_IO, "asking for random bytes");
    }
    cw_err err = cw_zones_open(&replay->zones, "/usr/share/zoneinfo", fault);
    if (err == CW_ERR_OK) {
        err = cw_files_open(&replay->files, options->inputs.events, options->inputs.event_count,
                            fault);
    }
    if (err == CW_ERR_OK) {
        err = cw_mesh_open(&replay->mesh, options->cores, fault);
    }
    if (err == CW_ERR_OK) {
        err = cw_lines_open(&replay->lines, options->cores,
                            options->timeline ? cw_timeline_write : cw_decision_write, fault);
    }
    for (uint32_t i = 0; i < options->cores && err == CW_ERR_OK; i++) {
        struct cw_lane *lane = &replay->lines.lanes[i];
        struct cw_worker_options worker = {
            .pipeline = {.programs = replay->programs,
                         .zones = replay->zones,
                         .port = {.self = lane, .decide = decide},
                         .core = i,
                         .partitions = replay->engine.partitions,
                         .event_bytes_max = replay->engine.event_bytes_max,
                         .hash = hash,
                         .shop_link = replay->engine.shop_url,
                         .shop_name = replay->engine.shop_name,
                         .rows_max = UINT64_C(1) << 28,
                         .bytes_max = (UINT64_C(1) << 35) / options->cores,
                         .unfollowed = options->timeline},
            .names = &replay->engine.names,
            .shards = options->cores,
            .files = replay->files.names,
            .until = options->until,
            .clean_rows = CLEAN_ROWS,
            .settled = settled,
            .full = full,
            .self = lane};
        err = cw_worker_open(&replay->workers[i], &worker, fault);
        if (err == CW_ERR_OK) {
            replay->shards[i] = (struct cw_shard){.index = i,
                                                  .ordered = true,
                                                  .mesh = replay->mesh,
                                                  .source = cw_files_source(&replay->files),
                                                  .app = cw_worker_app(replay->workers[i])};
            cw_shard_init(&replay->shards[i]);
        }
    }
    return err;
}

static void close_all(struct replay *replay)
{
    for (uint32_t i = 0; i < replay->options.cores; i++) {
        if (replay->workers[i] != NULL) {
            cw_worker_close(replay->workers[i]);
        }
    }
    if (replay->lines.lanes != NULL) {
        cw_lines_close(&replay->lines);
    }
    if (replay->mesh != NULL) {
        cw_mesh_close(replay->mesh);
    }
    cw_files_close(&replay->files);
    if (replay->zones != NULL) {
        cw_zones_close(replay->zones);
    }
}

static int finish(struct replay *replay, double seconds)
{
    struct cw_summary summary = {.seconds = seconds,
                                 .bytes = replay->files.bytes,
                                 .decisions = replay->printed,
                                 .cores = replay->options.cores};
    for (uint32_t i = 0; i < replay->options.cores; i++) {
        uint64_t in_flight = 0;
        uint64_t pending = 0;
        struct cw_pipeline *pipeline = cw_worker_pipeline(replay->workers[i]);
        cw_fates_add(&summary.fates, cw_pipeline_fates(pipeline));
        cw_pipeline_count(pipeline, &in_flight, &pending);
        summary.in_flight += in_flight;
        summary.pending += pending;
    }
    if (replay->broken == 0 && fflush(stdout) != 0) {
        replay->broken = errno;
    }
    if (replay->broken != 0) {
        (void)fprintf(stderr, "cartwheel: standard output did not take all of the lines: %s\n",
                      strerror(replay->broken)); /* NOLINT: one thread */
        return CW_EXIT_FAILURE;
    }
    if (!replay->options.quiet) {
        cw_summary_print(&summary, replay->options.json, stderr);
    }
    const char *wrong = cw_fates_reconcile(&summary.fates, summary.in_flight, summary.pending);
    if (wrong != NULL) {
        (void)fprintf(stderr,
                      "cartwheel: the sums do not reconcile: %s; this is a defect of "
                      "cartwheel\n",
                      wrong);
        return CW_EXIT_FAILURE;
    }
    return CW_EXIT_OK;
}

static int run(struct replay *replay, struct cw_fault *fault)
{
    uint64_t start_ns = cw_clock_monotonic_ns();
    struct cw_runtime runtime;
    if (cw_runtime_start(&runtime, replay->shards, replay->options.cores, true, fault) !=
        CW_ERR_OK) {
        (void)cw_failure(fault);
        /* Shards that started wait for those that did not. */
        exit(CW_EXIT_FAILURE); /* NOLINT(concurrency-mt-unsafe): no other thread ends the process */
    }
    struct cw_bar bar = {0};
    if (isatty(STDOUT_FILENO) == 0) { /* else the lines show it */
        cw_bar_open(&bar);
    }
    while (cw_lines_merge(&replay->lines, print_line, replay)) { /* until every lane has ended */
        cw_bar_show(&bar, atomic_load_explicit(&replay->files.taken, memory_order_relaxed),
                    replay->files.chunks, "%llu decisions", (unsigned long long)replay->printed);
    }
    cw_bar_clear(&bar);
    cw_runtime_join(&runtime);
    return finish(replay, (double)(cw_clock_monotonic_ns() - start_ns) / 1e9);
}

int cw_cmd_replay(int argc, char **argv)
{
    struct cw_fault fault;
    struct replay *replay = calloc(1, sizeof *replay);
    CW_ASSERT(replay != NULL);
    int rc = parse(&replay->options, argc, argv);
    if (rc == CW_EXIT_OK && replay->options.help) {
        (void)fputs(help, stdout);
    } else if (rc == CW_EXIT_OK) {
        const struct options *options = &replay->options;
        rc = cw_setup_open(&replay->engine, &replay->assets, &replay->programs,
                           &(struct cw_setup){.command = "replay",
                                              .config = options->config,
                                              .models = options->models,
                                              .templates = options->templates,
                                              .programs = options->inputs.programs,
                                              .program_count = options->inputs.program_count});
        if (rc == CW_EXIT_OK) {
            if (options->partitions > 0) {
                replay->engine.partitions = options->partitions;
            }
            rc = open_all(replay, &fault) == CW_ERR_OK ? run(replay, &fault) : cw_failure(&fault);
            close_all(replay);
            cw_setup_close(&replay->engine, &replay->assets, replay->programs);
        }
    }
    free(replay);
    return rc;
}
