#include "tools/durable.h"

#include "io/clock.h"
#include "tools/durable_priv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool load_frame(void *with, uint64_t lsn, int64_t logical_ms, struct cw_view records)
{
    const struct cw_checkpoint_apply *to = with;
    (void)lsn;
    (void)logical_ms;
    return to->apply(to->with, records);
}

/* ---- one core's files ---- */

static cw_err open_known(const struct cw_durable_files *files, const struct cw_manifest *manifest,
                         uint32_t core, enum cw_durable_use use, struct cw_disk *disk,
                         struct cw_fault *fault)
{
    cw_err err = files->open(files->self, manifest->epoch, core, use, disk, fault);
    return err != CW_ERR_NOT_FOUND
               ? err
               : cw_fail(fault, CW_ERR_CORRUPT,
                         "the log is missing, with its directory epoch-%08llu/core-%03u",
                         (unsigned long long)manifest->epoch, core);
}

cw_err cw_durable_open_disk(struct cw_durable *durable, uint32_t number, struct cw_fault *fault)
{
    struct cw_durable_core *core = &durable->cores[number];
    cw_err err = open_known(&durable->options.files, &durable->manifest, number, CW_DURABLE_GO_ON,
                            &core->disk, fault);
    core->open = err == CW_ERR_OK;
    return err;
}

/* Salts come from the store's random number and what is different each time. */
static uint64_t mix(const struct cw_durable *durable, uint32_t number)
{
    uint64_t parts[] = {durable->options.random, durable->manifest.generation, number};
    return cw_hash((struct cw_hash_key){parts[0], ~parts[0]}, parts, sizeof parts);
}

void cw_durable_log_options(const struct cw_durable *durable, const struct cw_disk *disk,
                            uint32_t number, struct cw_log_options *options)
{
    *options = (struct cw_log_options){.disk = *disk,
                                       .shard = number,
                                       .segment_bytes = durable->options.segment_bytes,
                                       .os = durable->options.os,
                                       .random = mix(durable, number)};
    memcpy(options->store, durable->manifest.store, sizeof options->store);
}

/* Reads checkpoint and log, and changes nothing. */
/* NOLINTNEXTLINE(readability-function-size): what is read, who gets it, what was found */
static cw_err read_core(struct cw_log_options *options, struct cw_checkpoint_apply to,
                        struct cw_checkpoint_found *checkpoint, struct cw_log_found *found,
                        struct cw_log **log, struct cw_durable_phases *phases,
                        struct cw_fault *fault)
{
    uint64_t began_ns = cw_clock_monotonic_ns();
    cw_err err = cw_checkpoint_read(&options->disk, options->store, options->shard, true, &to,
                                    checkpoint, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    uint64_t read_ns = cw_clock_monotonic_ns();
    phases->checkpoint_ns = read_ns - began_ns;
    phases->checkpoint_rows_ns = phases->rows_ns;
    if (checkpoint->any) {
        options->since = checkpoint->begin;
        options->until = checkpoint->end;
    }
    err = cw_log_read(log, options, load_frame, &to, found, fault);
    phases->log_ns = cw_clock_monotonic_ns() - read_ns;
    if (err == CW_ERR_OK && found->segments == 0) { /* every core of a manifest has one */
        (void)cw_log_close(*log, false);
        *log = NULL;
        err = cw_fail(fault, CW_ERR_CORRUPT, "the log is missing");
    }
    return err;
}

static void add_found(struct cw_durable_found *sum, const struct cw_checkpoint_found *checkpoint,
                      const struct cw_log_found *log, uint64_t rows)
{
    sum->rows += rows;
    sum->frames += log->frames;
    sum->frames_to += log->last_lsn;
    sum->log_bytes += log->bytes;
    sum->torn_bytes += log->torn_bytes;
    sum->checkpoint_bytes += checkpoint->bytes;
    sum->checkpoints_refused += checkpoint->refused;
    sum->logs_damaged += log->passed_lsn != 0;
    int64_t clock =
        log->logical_ms > checkpoint->logical_ms ? log->logical_ms : checkpoint->logical_ms;
    sum->logical_ms = clock > sum->logical_ms ? clock : sum->logical_ms;
}

static double seconds(uint64_t ns)
{
    return (double)ns / 1e9;
}

/* at_once: cores were read beside each other, and the one that took longest says how long. */
static void add_phases(struct cw_durable_found *found, const struct cw_durable_phases *phases,
                       bool at_once)
{
    struct {
        double *sum, own;
    } parts[] = {
        {&found->read_s, seconds(phases->checkpoint_ns - phases->checkpoint_rows_ns)},
        {&found->rows_s, seconds(phases->checkpoint_rows_ns)},
        {&found->log_s, seconds(phases->log_ns)},
    };

    for (uint32_t i = 0; i < CW_COUNTOF(parts); i++) {
        if (!at_once) {
            *parts[i].sum += parts[i].own;
        } else if (parts[i].own > *parts[i].sum) {
            *parts[i].sum = parts[i].own;
        }
    }
}

/* ---- recovery ---- */

/* A record that a pipeline refused says more than who read it. */
static cw_err explain(const struct cw_durable_load *load, struct cw_fault *fault)
{
    if (load->fault->code != CW_ERR_OK) {
        *fault = *load->fault;
    }
    return cw_fail_while(fault, "reading the state of core %u", load->from);
}

/* The same cores as before: each reads its own, all at once. */
struct reader {
    pthread_t thread;
    struct cw_durable *durable;
    struct cw_pipeline *const *pipelines;
    uint32_t core;
    cw_err err;
    struct cw_fault fault;
    struct cw_checkpoint_found checkpoint;
    struct cw_log_found log;
    struct cw_durable_phases phases;
    uint64_t rows;
};

static void *read_same(void *self)
{
    struct reader *reader = self;
    struct cw_durable *durable = reader->durable;
    struct cw_durable_core *core = &durable->cores[reader->core];
    struct cw_fault why = {.code = CW_ERR_OK};
    struct cw_durable_load load = {.durable = durable,
                                   .options = &durable->options,
                                   .pipelines = reader->pipelines,
                                   .from = reader->core,
                                   .same = true,
                                   .fault = &why};
    reader->err = cw_durable_open_disk(durable, reader->core, &reader->fault);
    if (reader->err == CW_ERR_OK) {
        struct cw_log_options options;
        const struct cw_checkpoint_apply to = {.apply = cw_durable_load_records,
                                               .expect = cw_durable_load_expect,
                                               .forget = cw_durable_load_forget,
                                               .with = &load};
        cw_durable_log_options(durable, &core->disk, reader->core, &options);
        reader->err = read_core(&options, to, &reader->checkpoint, &reader->log, &core->log,
                                &load.phases, &reader->fault);
    }
    reader->rows = load.rows;
    reader->phases = load.phases;
    if (reader->err != CW_ERR_OK) {
        reader->err = explain(&load, &reader->fault);
    }
    return NULL;
}

/* A log of which is known that it is good, as are all others. */
struct beginner {
    pthread_t thread;
    struct cw_durable_core *core;
    cw_err err;
    struct cw_fault fault;
};

static void *begin_log(void *self)
{
    struct beginner *beginner = self;
    cw_checkpoint_tidy(&beginner->core->disk);
    beginner->err = cw_log_begin(beginner->core->log, &beginner->fault);
    return NULL;
}

cw_err cw_durable_begin_logs(struct cw_durable *durable, struct cw_fault *fault)
{
    struct beginner beginners[CW_MESH_SHARDS_MAX];
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; i < durable->options.cores; i++) {
        beginners[i] = (struct beginner){.core = &durable->cores[i]};
        if (!durable->options.threads) {
            (void)begin_log(&beginners[i]);
            continue;
        }
        int rc = pthread_create(&beginners[i].thread, NULL, begin_log, &beginners[i]);
        CW_ASSERT(rc == 0);
    }
    for (uint32_t i = 0; i < durable->options.cores; i++) {
        if (durable->options.threads) {
            (void)pthread_join(beginners[i].thread, NULL);
        }
        if (beginners[i].err != CW_ERR_OK && err == CW_ERR_OK) {
            *fault = beginners[i].fault;
            err = cw_fail_while(fault, "core %u", i);
        }
    }
    return err;
}

static cw_err recover_same(struct cw_durable *durable, struct cw_pipeline *const *pipelines,
                           struct cw_durable_found *found, struct cw_fault *fault)
{
    uint32_t count = durable->options.cores;
    struct reader *readers = calloc(count, sizeof *readers);
    CW_ASSERT(readers != NULL);
    for (uint32_t i = 0; i < count; i++) {
        readers[i] = (struct reader){.durable = durable, .pipelines = pipelines, .core = i};
        if (!durable->options.threads) {
            (void)read_same(&readers[i]);
            continue;
        }
        int rc = pthread_create(&readers[i].thread, NULL, read_same, &readers[i]);
        CW_ASSERT(rc == 0);
    }
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; i < count; i++) {
        if (durable->options.threads) {
            (void)pthread_join(readers[i].thread, NULL);
        }
        durable->cores[i].found = readers[i].checkpoint;
        durable->cores[i].log_damaged = readers[i].log.passed_lsn != 0;
        add_found(found, &readers[i].checkpoint, &readers[i].log, readers[i].rows);
        add_phases(found, &readers[i].phases, durable->options.threads);
        if (readers[i].err != CW_ERR_OK && err == CW_ERR_OK) {
            err = readers[i].err;
            *fault = readers[i].fault;
            found->damaged_core = i;
            found->damage = readers[i].log.damage;
        }
    }
    free(readers);
    return err == CW_ERR_OK ? cw_durable_begin_logs(durable, fault) : err;
}

/* NOLINTNEXTLINE(readability-function-size): what is read, who gets it, what was found */
static cw_err scan(const struct cw_durable_files *files, const struct cw_manifest *manifest,
                   uint32_t core, bool (*apply)(void *with, struct cw_view records), void *with,
                   struct cw_checkpoint_found *checkpoint, struct cw_log_found *found,
                   struct cw_durable_phases *phases, struct cw_fault *fault)
{
    struct cw_durable looking = {.manifest = *manifest};
    struct cw_disk disk;
    cw_err err = open_known(files, manifest, core, CW_DURABLE_LOOK, &disk, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_log *log = NULL;
    struct cw_log_options options;
    cw_durable_log_options(&looking, &disk, core, &options);
    options.read_only = true;
    struct cw_checkpoint_apply to = {.apply = apply, .with = with};
    err = read_core(&options, to, checkpoint, found, &log, phases, fault);
    if (err == CW_ERR_OK) {
        (void)cw_log_close(log, false);
    }
    files->close(files->self, &disk);
    return err;
}

/* Other cores than before: one old core after the other is read and dealt out. */
static cw_err recover_dealt(struct cw_durable *durable, struct cw_pipeline *const *pipelines,
                            struct cw_durable_found *found, struct cw_fault *fault)
{
    cw_err err = CW_ERR_OK;
    for (uint32_t from = 0; from < durable->manifest.cores && err == CW_ERR_OK; from++) {
        struct cw_fault why = {.code = CW_ERR_OK};
        struct cw_durable_load load = {
            .options = &durable->options, .pipelines = pipelines, .from = from, .fault = &why};
        struct cw_checkpoint_found checkpoint = {0};
        struct cw_log_found log = {0};
        err = scan(&durable->options.files, &durable->manifest, from, cw_durable_load_records,
                   &load, &checkpoint, &log, &load.phases, fault);
        add_found(found, &checkpoint, &log, load.rows);
        add_phases(found, &load.phases, false);
        if (err != CW_ERR_OK) {
            found->damaged_core = from;
            found->damage = log.damage;
            err = explain(&load, fault);
        }
    }
    return err;
}

/* NOLINTNEXTLINE(readability-function-size): what is read, who gets it, what was found */
cw_err cw_durable_scan(const struct cw_durable_files *files, const struct cw_manifest *manifest,
                       uint32_t core, bool (*apply)(void *with, struct cw_view records), void *with,
                       struct cw_checkpoint_found *checkpoint, struct cw_log_found *found,
                       struct cw_fault *fault)
{
    struct cw_durable_phases phases = {0};
    return scan(files, manifest, core, apply, with, checkpoint, found, &phases, fault);
}

/* ---- stores ---- */

cw_err cw_durable_open_store(struct cw_durable *durable, uint32_t number,
                             struct cw_pipeline *pipeline, struct cw_fault *fault)
{
    struct cw_durable_core *core = &durable->cores[number];
    const struct cw_durable_options *o = &durable->options;
    core->pipeline = pipeline;
    cw_err err = cw_journal_open(&core->journal, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    cw_pipeline_journal(pipeline, core->journal);
    struct cw_checkpoint_options checkpoint = {.disk = core->disk,
                                               .shard = number,
                                               .tables = core->tables,
                                               .table_count = CW_TABLE_NUMBER_COUNT,
                                               .found = core->open ? &core->found : NULL};
    memcpy(checkpoint.store, durable->manifest.store, sizeof checkpoint.store);
    for (uint32_t i = 0; i < CW_TABLE_NUMBER_COUNT; i++) {
        core->tables[i] = cw_pipeline_table(pipeline, (enum cw_table_number)i);
    }
    err = cw_checkpoint_open(&core->checkpoint, &checkpoint, fault);
    if (err == CW_ERR_OK) {
        struct cw_store_options store = {.journal = core->journal,
                                         .log = core->log,
                                         .checkpoint = core->checkpoint,
                                         .checkpoint_bytes = o->checkpoint_bytes,
                                         .self = o->of_core(o->self, number),
                                         .before = o->before,
                                         .staged = o->staged,
                                         .released = o->released,
                                         .on_fault = o->on_fault,
                                         .now_ms = o->now_ms};
        err = cw_store_open(&core->store, &store, fault);
    }
    if (err == CW_ERR_OK && core->log_damaged) { /* adopted, the memory alone has what was there */
        cw_store_checkpoint(core->store);
    }
    return err;
}

/* The files of a new epoch: empty logs to begin with. */
static cw_err begin_epoch(struct cw_durable *durable, struct cw_pipeline *const *pipelines,
                          struct cw_fault *fault)
{
    const struct cw_durable_files *files = &durable->options.files;
    uint64_t epoch = durable->manifest.epoch + 1;
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; i < durable->options.cores && err == CW_ERR_OK; i++) {
        struct cw_durable_core *core = &durable->cores[i];
        err = files->open(files->self, epoch, i, CW_DURABLE_MAKE, &core->disk, fault);
        core->open = err == CW_ERR_OK;
        if (err == CW_ERR_OK) {
            struct cw_log_options options;
            struct cw_log_found found;
            cw_durable_log_options(durable, &core->disk, i, &options);
            err = cw_log_recover(&core->log, &options, load_frame, NULL, &found, fault);
        }
        if (err == CW_ERR_OK) {
            err = cw_durable_open_store(durable, i, pipelines[i], fault);
        }
    }
    return err;
}

/* The first thing that a state holds is a manifest, of epoch 0: so files without one are never
   taken for what a first start left that was cut short. */
static cw_err begin_state(struct cw_durable *durable, struct cw_fault *fault)
{
    const struct cw_durable_files *files = &durable->options.files;
    struct cw_manifest begun = durable->manifest;
    CW_ASSERT(durable->fresh && begun.epoch == 0);
    begun.cores = durable->options.cores;
    cw_err err = files->store(files->self, &begun, fault);
    durable->manifest.generation = begun.generation;
    return err;
}

/* Writes the other slot too, before what it says has to be forgotten: an epoch that goes, sends
   that are not held. One of them may be damaged, and somebody goes on with the other. */
static cw_err fill_slots(struct cw_durable *durable, struct cw_fault *fault)
{
    return durable->options.files.store(durable->options.files.self, &durable->manifest, fault);
}

/* Each core's checkpoint of all that it has; then the manifest goes over to them. */
static cw_err end_epoch(struct cw_durable *durable, struct cw_fault *fault)
{
    const struct cw_durable_files *files = &durable->options.files;
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; i < durable->options.cores && err == CW_ERR_OK; i++) {
        struct cw_durable_core *core = &durable->cores[i];
        durable->options.before(durable->options.of_core(durable->options.self, i));
        while (err == CW_ERR_OK && !cw_store_finish(core->store, true)) { /* bounded by the rows */
            if (cw_checkpoint_fault(core->checkpoint) != NULL) {
                err = cw_fail(fault, CW_ERR_IO, "writing the state of core %u: %s", i,
                              cw_checkpoint_fault(core->checkpoint));
            }
        }
    }
    if (err == CW_ERR_OK) {
        durable->manifest.epoch++;
        durable->manifest.cores = durable->options.cores;
        err = files->store(files->self, &durable->manifest, fault);
    }
    err = err == CW_ERR_OK ? fill_slots(durable, fault) : err;
    return err == CW_ERR_OK ? files->keep(files->self, durable->manifest.epoch, fault) : err;
}

/* One core's rows are linked by themselves: all at once, where cores are read so. */
struct linker {
    pthread_t thread;
    struct cw_pipeline *pipeline;
    const struct cw_relink *how;
    cw_err err;
    struct cw_fault fault;
};

static void *link_one(void *self)
{
    struct linker *linker = self;
    linker->err = cw_pipeline_relink(linker->pipeline, linker->how, &linker->fault);
    return NULL;
}

static cw_err relink(struct cw_durable *durable, struct cw_pipeline *const *pipelines,
                     uint32_t cores_before, struct cw_fault *fault)
{
    const uint32_t count = durable->options.cores;
    const struct cw_relink how = {.cores_before = cores_before, .cores = count};
    CW_ASSERT(count > 0);
    struct linker *linkers = calloc(count, sizeof *linkers);
    CW_ASSERT(linkers != NULL);
    for (uint32_t i = 0; i < count; i++) {
        linkers[i] = (struct linker){.pipeline = pipelines[i], .how = &how};
        if (!durable->options.threads) {
            (void)link_one(&linkers[i]);
            continue;
        }
        int rc = pthread_create(&linkers[i].thread, NULL, link_one, &linkers[i]);
        CW_ASSERT(rc == 0);
    }
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; i < count; i++) {
        if (durable->options.threads) {
            (void)pthread_join(linkers[i].thread, NULL);
        }
        if (linkers[i].err != CW_ERR_OK && err == CW_ERR_OK) {
            err = linkers[i].err;
            *fault = linkers[i].fault;
        }
    }
    free(linkers);
    return err;
}

/* Before anything is changed. */
cw_err cw_durable_unclean(struct cw_durable *durable, struct cw_fault *fault)
{
    if (!durable->manifest.clean) {
        return CW_ERR_OK;
    }
    durable->manifest.clean = false;
    return durable->options.files.store(durable->options.files.self, &durable->manifest, fault);
}

cw_err cw_durable_recover(struct cw_durable *durable, struct cw_pipeline *const *pipelines,
                          struct cw_durable_found *found, struct cw_fault *fault)
{
    const struct cw_durable_files *files = &durable->options.files;
    uint32_t before = durable->manifest.cores;
    bool same = before == durable->options.cores;
    bool adopted = false;
    *found = (struct cw_durable_found){.fresh = durable->fresh, .manifest = durable->manifest};
    cw_err err = cw_durable_adopt(durable, pipelines, found, &adopted, fault);
    if (err != CW_ERR_OK || adopted) {
        return err == CW_ERR_OK ? files->keep(files->self, durable->manifest.epoch, fault) : err;
    }
    err = same ? recover_same(durable, pipelines, found, fault)
               : recover_dealt(durable, pipelines, found, fault);
    err = err == CW_ERR_OK ? cw_durable_unclean(durable, fault) : err;
    if (err == CW_ERR_OK && !durable->fresh && !durable->alike) { /* a crash came between the two */
        err = fill_slots(durable, fault);
    }
    if (err == CW_ERR_OK) { /* of starts that a crash cut short: the old one, or half a new one */
        err = files->keep(files->self, durable->manifest.epoch, fault);
    }
    if (err == CW_ERR_OK && durable->fresh) {
        err = begin_state(durable, fault);
    }
    if (err == CW_ERR_OK && !same) {
        err = begin_epoch(durable, pipelines, fault);
    }
    for (uint32_t i = 0; same && i < durable->options.cores && err == CW_ERR_OK; i++) {
        err = cw_durable_open_store(durable, i, pipelines[i], fault);
    }
    if (err == CW_ERR_OK) { /* what it changes is noted already */
        uint64_t began_ns = cw_clock_monotonic_ns();
        err = relink(durable, pipelines, before, fault);
        found->link_s = seconds(cw_clock_monotonic_ns() - began_ns);
    }
    return err == CW_ERR_OK && !same ? end_epoch(durable, fault) : err;
}

/* ---- open and close ---- */

/* A name for a new store; no two have the same. */
static void name_store(struct cw_durable *made)
{
    const struct cw_hash_key key = {made->options.random, 0};
    cw_hash128(key, "cartwheel store", 15, made->manifest.store);
}

cw_err cw_durable_open(struct cw_durable **durable, const struct cw_durable_options *options,
                       struct cw_fault *fault)
{
    struct cw_durable *made = calloc(1, sizeof *made);
    CW_ASSERT(made != NULL && options->cores <= CW_MESH_SHARDS_MAX);
    made->options = *options;
    made->memory_lock = -1;
    cw_err err = options->files.load(options->files.self, &made->manifest, &made->alike, fault);
    if (err == CW_ERR_NOT_FOUND || (err == CW_ERR_OK && made->manifest.epoch == 0)) {
        /* No cores, no epoch yet: the first one is written as any change of cores is. Or a first
           start was cut short: what it left of epoch 1 goes. */
        made->fresh = true;
        made->manifest = (struct cw_manifest){.partitions = options->partitions};
        name_store(made);
        err = CW_ERR_OK;
    } else if (err == CW_ERR_OK && made->manifest.partitions != options->partitions) {
        err = cw_fail(fault, CW_ERR_INVALID,
                      "the state has %u partitions and the configuration says %u; a state keeps "
                      "its number: set \"partitions: %u\", or begin a new state directory",
                      made->manifest.partitions, options->partitions, made->manifest.partitions);
    }
    if (err != CW_ERR_OK) {
        free(made);
        return err;
    }
    (void)snprintf(made->manifest.writer, sizeof made->manifest.writer, "%s", options->writer);
    *durable = made;
    return CW_ERR_OK;
}

const struct cw_manifest *cw_durable_manifest(const struct cw_durable *durable)
{
    return &durable->manifest;
}

struct cw_store *cw_durable_store(struct cw_durable *durable, uint32_t core)
{
    return durable->cores[core].store;
}

const struct cw_disk_store *cw_durable_disk(const struct cw_durable *durable, uint32_t core)
{
    return durable->cores[core].disk.self;
}

struct cw_journal *cw_durable_journal(struct cw_durable *durable, uint32_t core)
{
    return durable->cores[core].journal;
}

cw_err cw_durable_hold(struct cw_durable *durable, uint32_t held, struct cw_fault *fault)
{
    uint32_t before = durable->manifest.held;
    durable->manifest.held = held;
    cw_err err =
        durable->options.files.store(durable->options.files.self, &durable->manifest, fault);
    err = err == CW_ERR_OK ? fill_slots(durable, fault) : err;
    if (err != CW_ERR_OK) { /* who asks what is noted, is not told what is not */
        durable->manifest.held = before;
    }
    return err;
}

cw_err cw_durable_close(struct cw_durable *durable, bool clean, struct cw_fault *fault)
{
    cw_err err = CW_ERR_OK;
    uint64_t lsns[CW_MESH_SHARDS_MAX] = {0};
    for (uint32_t i = 0; i < durable->options.cores; i++) {
        struct cw_durable_core *core = &durable->cores[i];
        if (core->store != NULL) {
            uint64_t begin;
            if (cw_store_newest(core->store, &begin)) {
                core->found.any = true;
                core->found.begin = begin;
            }
            lsns[i] = cw_store_close(core->store, clean);
        } else {
            if (core->checkpoint != NULL) {
                cw_checkpoint_close(core->checkpoint);
            }
            if (core->log != NULL) {
                (void)cw_log_close(core->log, false);
            }
        }
        if (core->journal != NULL) {
            cw_pipeline_journal(core->pipeline, NULL);
            cw_journal_close(core->journal);
        }
        if (core->open) {
            durable->options.files.close(durable->options.files.self, &core->disk);
        }
    }
    if (clean) { /* what could not be said costs time at the next start, nothing else */
        durable->manifest.clean = true;
        err = durable->options.files.store(durable->options.files.self, &durable->manifest, fault);
        if (err == CW_ERR_OK) {
            cw_durable_seal(durable, lsns);
        }
    }
    cw_durable_forget_memory(durable);
    free(durable);
    return err;
}
