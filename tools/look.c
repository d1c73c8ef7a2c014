#define _GNU_SOURCE /* versionsort */
#include "tools/look.h"

#include "tools/archive.h"
#include "tools/durable_loss.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const cw_look_tables[CW_TABLE_NUMBER_COUNT] = {
#define CW_X(name, number) #name,
    CW_TABLE_NUMBERS(CW_X)
#undef CW_X
};

int cw_look_exit(cw_err err)
{
    return err == CW_ERR_CORRUPT                                ? CW_EXIT_DAMAGED
           : err == CW_ERR_INVALID || err == CW_ERR_UNSUPPORTED ? CW_EXIT_USAGE
                                                                : CW_EXIT_FAILURE;
}

cw_err cw_look_lock(const char *state, int *lock, struct cw_fault *fault)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%.3900s/lock", state);
    *lock = open(path, O_RDONLY | O_CLOEXEC);
    if (*lock < 0) {
        return errno == ENOENT ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    if (flock(*lock, LOCK_SH | LOCK_NB) != 0) { /* by that a start knows who only looks: state.c */
        (void)close(*lock);
        *lock = -1;
        return cw_fail(fault, CW_ERR_AGAIN,
                       "an engine uses the state in %s; stop it, or make a snapshot of it with "
                       "`cartwheel snapshot --to URL` and look at that",
                       state);
    }
    return CW_ERR_OK;
}

int cw_look_name(const char *command, const char *snapshot, const char *instead)
{
    struct stat status;
    if (snapshot[0] == '\0') {
        return cw_usage_error(command, "the snapshot's name is empty");
    }
    if (stat(snapshot, &status) != 0 || !S_ISDIR(status.st_mode)) {
        return CW_EXIT_OK;
    }
    char room[4096];
    return cw_usage_error(command, "%s is a directory: %s %s", snapshot, instead,
                          cw_shell_word(snapshot, room, sizeof room));
}

int cw_look_words(struct cw_look_options *options, const char *programs[CW_PROGRAMS_MAX], int argc,
                  char **argv)
{
    for (int i = 0; i < argc; i++) {
        bool yaml = cw_is_program(argv[i]);
        if (yaml && options->program_count == CW_PROGRAMS_MAX) {
            return cw_usage_error(options->command, "more than %u programs", CW_PROGRAMS_MAX);
        }
        if (yaml) {
            programs[options->program_count++] = argv[i];
        } else if (options->snapshot_count > 0 && !options->several) {
            return cw_usage_error(options->command, "%s is one snapshot too many", argv[i]);
        } else {
            int code = cw_look_name(options->command, argv[i], "for a state say --state");
            if (code != CW_EXIT_OK) {
                return code;
            }
            argv[options->snapshot_count++] = argv[i]; /* a word that was looked at makes room */
        }
    }
    options->snapshots = argv;
    options->snapshot = options->snapshot_count > 0 ? argv[0] : NULL;
    if ((options->state == NULL) == (options->snapshot == NULL)) {
        return cw_usage_error(options->command, options->state == NULL
                                                    ? "say --state DIR, or name a snapshot"
                                                    : "--state DIR or a snapshot, not both");
    }
    return options->state == NULL ? CW_EXIT_OK
                                  : cw_state_name(options->command, options->state, options->hint);
}

/* ---- open ---- */

static cw_err unpack(struct cw_look *look, const char *snapshot, struct cw_fault *fault)
{
    const char *base = getenv("TMPDIR"); /* NOLINT(concurrency-mt-unsafe): one thread */
    char prefix[4000];
    base = base != NULL && base[0] != '\0' ? base : "/tmp";
    cw_err err = cw_archive_verify(snapshot, &look->bar, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    (void)snprintf(prefix, sizeof prefix, "%.3800s/cartwheel-look-", base);
    err = cw_aside_open(&look->aside, prefix, false, fault);
    if (err == CW_ERR_OK) {
        /* In a directory that is nobody else's, so that its name cannot be taken. */
        (void)snprintf(look->path, sizeof look->path, "%.4000s/state", look->aside.path);
        err = cw_archive_unpack(snapshot, look->path, true, &look->manifest, &look->bar, fault);
    }
    if (err != CW_ERR_IO) {
        return err;
    }
    return cw_fail_while(fault,
                         "a snapshot is unpacked in a temporary directory, which needs room for "
                         "all of it; TMPDIR names another place than %.60s",
                         base);
}

static cw_err open_state(struct cw_look *look, const struct cw_look_options *options,
                         struct cw_fault *fault)
{
    look->lock = -1;
    if (options->snapshot != NULL) {
        cw_err err = unpack(look, options->snapshot, fault);
        if (err != CW_ERR_OK) {
            return err;
        }
    } else {
        (void)snprintf(look->path, sizeof look->path, "%s", options->state);
        cw_err err = cw_look_lock(look->path, &look->lock, fault);
        if (err != CW_ERR_OK) {
            return err;
        }
    }
    struct cw_durable_directory directory = {.path = look->path};
    struct cw_durable_files files = cw_durable_files(&directory);
    bool alike;
    cw_err err = files.load(files.self, &look->manifest, &alike, fault);
    return err == CW_ERR_OK && look->manifest.epoch == 0
               ? cw_fail(fault, CW_ERR_NOT_FOUND, "its first start did not come to its end")
               : err;
}

static int is_program(const struct dirent *entry)
{
    return cw_is_program(entry->d_name);
}

/* The program files that came with a snapshot. */
static void find_programs(struct cw_look *look)
{
    char path[4096];
    struct dirent **list = NULL;
    (void)snprintf(path, sizeof path, "%.3900s/programs", look->path);
    int count = scandir(path, &list, is_program, versionsort);
    for (int i = 0; i < count; i++) {
        if (look->name_count < CW_PROGRAMS_MAX) {
            size_t bytes = strlen(path) + strlen(list[i]->d_name) + 2;
            char *name = malloc(bytes);
            CW_ASSERT(name != NULL);
            (void)snprintf(name, bytes, "%s/%s", path, list[i]->d_name);
            look->names[look->name_count++] = name;
        }
        free(list[i]);
    }
    free(list);
}

/* Programs: those named, or the engine file's, or those that came along, or the shipped one. */
static int set_up(struct cw_look *look, const struct cw_look_options *options)
{
    struct cw_fault fault;
    bool came = false;
    const char *const *names = options->programs;
    uint32_t count = options->program_count;
    cw_err err = cw_engine_file_read(&look->engine, options->config, &fault);
    if (err == CW_ERR_OK && count == 0) {
        names = look->engine.programs;
        count = look->engine.program_count;
    }
    if (err == CW_ERR_OK && count == 0) {
        find_programs(look);
        names = (const char *const *)look->names;
        count = look->name_count;
        came = true;
    }
    if (err == CW_ERR_OK) {
        err = cw_assets_open(&look->assets, look->engine.models, look->engine.templates, &fault);
        look->assets_open = err == CW_ERR_OK;
    }
    if (err == CW_ERR_OK) {
        err = cw_look_programs(look, names, count, came, &fault);
    }
    if (err != CW_ERR_OK) {
        (void)cw_failure(&fault);
        return CW_EXIT_USAGE;
    }
    return CW_EXIT_OK;
}

int cw_look_open(struct cw_look *look, const struct cw_look_options *options)
{
    struct cw_fault fault;
    *look = (struct cw_look){.lock = -1, .aside = {.lock = -1, .guard = -1}};
    cw_bar_open(&look->bar);
    cw_err err = open_state(look, options, &fault);
    if (err == CW_ERR_NOT_FOUND && options->snapshot == NULL) {
        (void)fprintf(stderr,
                      "cartwheel: there is no state in %s: --state is the directory that an engine "
                      "ran with, by default ./cartwheel-state\n",
                      look->path);
        return CW_EXIT_FAILURE;
    }
    if (err == CW_ERR_OK) {
        err = cw_zones_open(&look->zones, "/usr/share/zoneinfo", &fault);
    }
    if (err != CW_ERR_OK) {
        (void)cw_failure(&fault);
        return cw_look_exit(err);
    }
    return set_up(look, options);
}

void cw_look_close(struct cw_look *look)
{
    if (look->programs != NULL) {
        cw_programs_close(look->programs);
    }
    cw_program_files_free(look->files, look->file_count);
    if (look->assets_open) {
        cw_assets_close(&look->assets);
    }
    cw_engine_file_close(&look->engine);
    if (look->zones != NULL) {
        cw_zones_close(look->zones);
    }
    for (uint32_t i = 0; i < look->name_count; i++) {
        free(look->names[i]);
    }
    if (look->lock >= 0) {
        (void)close(look->lock);
    }
    cw_text_deinit(&look->ran);
    cw_aside_close(&look->aside);
}

/* ---- one core ---- */

struct load {
    struct cw_look *look;
    struct cw_look_core *core;
    uint32_t number;
    struct cw_fault fault; /* code OK: no record was refused */
};

static bool apply(void *with, struct cw_view records)
{
    struct load *load = with;
    struct cw_record record;
    enum cw_record_read read;
    while ((read = cw_record_next(&records, &record)) == CW_RECORD_READ) {
        if (cw_pipeline_load(load->core->pipeline, &record, &load->fault) != CW_ERR_OK) {
            return false;
        }
        load->core->records++;
    }
    cw_bar_show(&load->look->bar, 0, 0, "core %u of %u: %llu rows and changes read",
                load->number + 1, load->look->manifest.cores,
                (unsigned long long)load->core->records);
    return read == CW_RECORD_END;
}

static void decide(void *self, const struct cw_decision *decision)
{
    (void)self;
    (void)decision;
}

static cw_err open_pipeline(struct cw_look *look, uint32_t number, struct cw_pipeline **pipeline,
                            struct cw_fault *fault)
{
    struct cw_pipeline_options options = {.programs = look->programs,
                                          .zones = look->zones,
                                          .port = {.decide = decide},
                                          .names = &look->engine.names,
                                          .core = number,
                                          .partitions = look->manifest.partitions,
                                          .event_bytes_max = look->engine.event_bytes_max,
                                          .cores = look->manifest.cores,
                                          .live = true,
                                          .rows_max = UINT64_C(1) << 28,
                                          .bytes_max = UINT64_C(1) << 35};
    if (getrandom(&options.hash, sizeof options.hash, 0) != (ssize_t)sizeof options.hash) {
        return cw_fail(fault, CW_ERR_IO, "asking for random bytes");
    }
    return cw_pipeline_open(pipeline, &options, fault);
}

static void count_rows(struct cw_look_core *core)
{
    for (uint32_t i = 0; i < CW_TABLE_NUMBER_COUNT; i++) {
        struct cw_table_stats stats;
        cw_table_stats(cw_pipeline_table(core->pipeline, (enum cw_table_number)i), &stats);
        core->of[i] = stats.rows;
        core->rows += stats.rows;
    }
}

cw_err cw_look_core(struct cw_look *look, uint32_t number, struct cw_look_core *core,
                    struct cw_fault *fault)
{
    struct cw_durable_directory directory = {.path = look->path};
    const struct cw_durable_files files = cw_durable_files(&directory);
    struct load load = {.look = look, .core = core, .number = number, .fault = {.code = CW_ERR_OK}};
    *core = (struct cw_look_core){0};
    cw_err err = open_pipeline(look, number, &core->pipeline, fault);
    if (err == CW_ERR_OK) {
        err = cw_durable_scan(&files, &look->manifest, number, apply, &load, &core->checkpoint,
                              &core->log, fault);
        if (err != CW_ERR_OK && load.fault.code != CW_ERR_OK) {
            *fault = load.fault;
        }
        cw_bar_clear(&look->bar);
    }
    if (err == CW_ERR_OK) {
        const struct cw_relink how = {.cores_before = look->manifest.cores,
                                      .cores = look->manifest.cores};
        err = cw_pipeline_relink(core->pipeline, &how, fault);
    }
    if (err == CW_ERR_OK && !cw_pipeline_check(core->pipeline)) {
        err = cw_fail(fault, CW_ERR_CORRUPT, "its rows contradict each other");
    }
    if (err == CW_ERR_OK) {
        count_rows(core);
        cw_look_note_ran(look, core->pipeline);
        return err;
    }
    cw_look_core_close(core);
    return cw_fail_while(fault, "core %u", number);
}

int64_t cw_look_core_clock(const struct cw_look_core *core)
{
    return core->log.logical_ms > core->checkpoint.logical_ms ? core->log.logical_ms
                                                              : core->checkpoint.logical_ms;
}

void cw_look_core_json(const struct cw_look_core *core, uint32_t number, struct cw_text *out)
{
    cw_text_printf(out,
                   "{\"core\":%u,\"checkpoint\":\"%s\",\"begin\":%llu,\"end\":%llu,"
                   "\"checkpointBytes\":%llu,\"checkpointsRefused\":%u,\"segments\":%llu,"
                   "\"frames\":%llu,\"lastLsn\":%llu,\"logBytes\":%llu,\"tornBytes\":%llu,"
                   "\"damagedLsn\":%llu,\"clock\":",
                   number, core->checkpoint.name, (unsigned long long)core->checkpoint.begin,
                   (unsigned long long)core->checkpoint.end,
                   (unsigned long long)core->checkpoint.bytes, core->checkpoint.refused,
                   (unsigned long long)core->log.segments, (unsigned long long)core->log.frames,
                   (unsigned long long)core->log.last_lsn, (unsigned long long)core->log.bytes,
                   (unsigned long long)core->log.torn_bytes,
                   (unsigned long long)core->log.passed_lsn);
    cw_text_json_time(out, cw_look_core_clock(core));
    cw_text_puts(out, ",\"rows\":{");
    for (uint32_t i = 0; i < CW_TABLE_NUMBER_COUNT; i++) {
        cw_text_printf(out, "%s\"%s\":%llu", i > 0 ? "," : "", cw_look_tables[i],
                       (unsigned long long)core->of[i]);
    }
    cw_text_puts(out, "}}");
}

int cw_look_failed(const struct cw_look *look, uint32_t number, const struct cw_look_core *core,
                   const struct cw_fault *fault)
{
    (void)cw_failure(fault);
    if (fault->code == CW_ERR_CORRUPT && look->aside.path[0] == '\0') {
        cw_loss_advise(number, &core->log.damage, stderr);
    }
    return cw_look_exit(fault->code);
}

void cw_look_core_close(struct cw_look_core *core)
{
    if (core->pipeline != NULL) {
        cw_pipeline_close(core->pipeline);
        core->pipeline = NULL;
    }
}
