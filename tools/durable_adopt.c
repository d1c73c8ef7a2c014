/*
 * durable_adopt: rows and timers that the last process left in memory with a name (core/keep.h),
 * taken over at once instead of read from the disk.
 *
 * The disk stays the truth. The memory counts only under a seal, and the seal only where nothing
 * was done since: it is written last in a clean stop, when the log's last frame and the manifest
 * that says "clean" are durable, and it names both. A start removes it durably, takes the mark from
 * the memory, and only then lets anybody write there. So after a crash, whenever it comes, there is
 * either no seal or one whose memory nobody has touched.
 *
 *     stop    log's last frame, flushed -> manifest "clean" -> marks in the memory -> seal
 *     start   seal, manifest, marks and logs agree -> manifest "not clean" -> no seal -> no marks
 *
 * Everything else (another version, other programs, other cores, memory that is gone) is told in
 * one line, and the state is read from the disk into new memory.
 */
#include "tools/durable_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    NAME_BYTES = 256
};

/* ---- the directory ---- */

static void folder_of(const struct cw_durable *durable, uint32_t core, char path[4096])
{
    (void)snprintf(path, 4096, "%.4000s/core-%03u", durable->options.memory, core);
}

/* One name that no engine left there; false: there is none, or an engine was there before. */
static bool is_somebodys(const char *directory, char name[NAME_BYTES])
{
    bool ours = false;
    DIR *names = opendir(directory);
    name[0] = '\0';
    for (const struct dirent *entry; names != NULL && (entry = readdir(names)) != NULL;) {
        ours =
            ours || strcmp(entry->d_name, "lock") == 0 || strncmp(entry->d_name, "core-", 5) == 0;
        if (entry->d_name[0] != '.') {
            (void)snprintf(name, NAME_BYTES, "%s", entry->d_name);
        }
    }
    if (names != NULL) {
        (void)closedir(names);
    }
    return !ours && name[0] != '\0';
}

/* Customers' data is to be in it, and what others put there would be taken for it. A sticky
   directory, as a container's tmpfs is, lets others add, but not change. */
static cw_err check_directory(const char *directory, struct cw_fault *fault)
{
    struct stat found;
    char name[NAME_BYTES];
    if (cw_keep_kind(directory) == NULL) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "memory: %s is not on tmpfs or hugetlbfs, which alone forget after a loss "
                       "of power; name a directory such as /dev/shm/cartwheel",
                       directory);
    }
    if (stat(directory, &found) == 0 && (found.st_mode & S_IWOTH) != 0 &&
        (found.st_mode & S_ISVTX) == 0) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "memory: others may write into %.80s (mode %04o); name a directory of the "
                       "engine's own, such as /dev/shm/cartwheel, or take that from them (chmod "
                       "700)",
                       directory, found.st_mode & 07777u);
    }
    if (is_somebodys(directory, name)) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "memory: %.80s holds %.60s, which is no engine's; name a directory of the "
                       "engine's own, such as /dev/shm/cartwheel",
                       directory, name);
    }
    return CW_ERR_OK;
}

/* Two engines in one directory would each throw away what the other has. */
static cw_err lock_directory(struct cw_durable *durable, struct cw_fault *fault)
{
    const char *directory = durable->options.memory;
    char path[4096];
    bool made = mkdir(directory, 0700) == 0;
    if (!made && errno != EEXIST) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "memory: %s cannot be made (%m); name a directory on tmpfs or hugetlbfs, "
                       "such as /dev/shm/cartwheel",
                       directory);
    }
    cw_err err = check_directory(directory, fault);
    if (err != CW_ERR_OK) {
        if (made) {
            (void)rmdir(directory);
        }
        return err;
    }
    (void)snprintf(path, sizeof path, "%.4000s/lock", directory);
    durable->memory_lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (durable->memory_lock < 0) {
        return cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    if (flock(durable->memory_lock, LOCK_EX | LOCK_NB) != 0) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "memory: %s is in use by another engine; give each engine a directory of "
                       "its own",
                       directory);
    }
    return CW_ERR_OK;
}

static void close_memory(struct cw_durable *durable)
{
    for (uint32_t i = 0; i < durable->options.cores; i++) {
        if (durable->cores[i].memory != NULL) {
            cw_keep_close(durable->cores[i].memory);
            durable->cores[i].memory = NULL;
        }
    }
}

void cw_durable_forget_memory(struct cw_durable *durable)
{
    close_memory(durable);
    if (durable->memory_lock >= 0) {
        (void)close(durable->memory_lock);
    }
}

static cw_err open_core(struct cw_durable *durable, uint32_t core, uint64_t mark,
                        struct cw_fault *fault)
{
    char path[4096];
    folder_of(durable, core, path);
    return cw_keep_open(&durable->cores[core].memory, path, mark, fault);
}

static cw_err open_memory(struct cw_durable *durable, uint64_t mark, struct cw_fault *fault)
{
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; i < durable->options.cores && err == CW_ERR_OK; i++) {
        err = open_core(durable, i, mark, fault);
    }
    return err;
}

cw_err cw_durable_renew_memory(struct cw_durable *durable, uint32_t core,
                               struct cw_pipeline *pipeline, struct cw_fault *fault)
{
    struct cw_durable_core *of = &durable->cores[core];
    if (of->memory == NULL) {
        return CW_ERR_OK;
    }
    cw_keep_close(of->memory);
    of->memory = NULL;
    cw_err err = open_core(durable, core, 0, fault);
    return err == CW_ERR_OK ? cw_pipeline_place(pipeline, of->memory, fault) : err;
}

static cw_err place(struct cw_durable *durable, struct cw_pipeline *const *pipelines,
                    struct cw_fault *fault)
{
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; i < durable->options.cores && err == CW_ERR_OK; i++) {
        err = cw_pipeline_place(pipelines[i], durable->cores[i].memory, fault);
    }
    return err;
}

/* ---- whether it counts ---- */

/* What the seal says differs from what is; NULL: nothing. */
static const char *differs(const struct cw_durable *durable, const struct cw_seal *seal,
                           struct cw_pipeline *const *pipelines)
{
    const struct cw_manifest *manifest = &durable->manifest;
    if (memcmp(seal->store, manifest->store, sizeof seal->store) != 0) {
        return "it is of another state";
    }
    if (strncmp(seal->writer, manifest->writer, sizeof seal->writer) != 0 ||
        seal->layout != cw_pipeline_layout()) {
        return "another version of cartwheel wrote it";
    }
    if (seal->cores != durable->options.cores || manifest->cores != durable->options.cores) {
        return "the number of cores has changed";
    }
    if (!manifest->clean || seal->generation != manifest->generation) {
        return "the state went on without it: its seal is older than the state";
    }
    if (seal->partitions != manifest->partitions) {
        return "the number of partitions has changed";
    }
    for (uint32_t i = 0; i < seal->cores; i++) {
        if (seal->core[i].programs != cw_pipeline_programs(pipelines[i])) {
            return "programs have changed";
        }
    }
    return NULL;
}

/* One core's log: it has to end with the frame that the seal names. */
struct ending {
    pthread_t thread;
    struct cw_durable *durable;
    uint32_t core;
    uint64_t lsn;
    cw_err err;
    struct cw_fault fault;
    struct cw_log_found log;
};

/* A frame behind the last one that the seal knows of. */
static bool refuse(void *with, uint64_t lsn, int64_t logical_ms, struct cw_view records)
{
    (void)with;
    (void)lsn;
    (void)logical_ms;
    (void)records;
    return false;
}

static void *open_log(void *self)
{
    struct ending *ending = self;
    struct cw_durable *durable = ending->durable;
    struct cw_durable_core *core = &durable->cores[ending->core];
    ending->err = cw_durable_open_disk(durable, ending->core, &ending->fault);
    if (ending->err == CW_ERR_OK) {
        struct cw_log_options options;
        cw_durable_log_options(durable, &core->disk, ending->core, &options);
        options.since = options.until = ending->lsn; /* none is read, and none may be missing */
        ending->err = cw_log_read(&core->log, &options, refuse, NULL, &ending->log, &ending->fault);
    }
    if (ending->err == CW_ERR_OK && ending->log.last_lsn != ending->lsn) {
        ending->err = cw_fail(&ending->fault, CW_ERR_NOT_FOUND, "the log goes on behind it");
    }
    return NULL;
}

static void close_logs(struct cw_durable *durable)
{
    const struct cw_durable_files *files = &durable->options.files;
    for (uint32_t i = 0; i < durable->options.cores; i++) {
        struct cw_durable_core *core = &durable->cores[i];
        if (core->log != NULL) {
            (void)cw_log_close(core->log, false);
            core->log = NULL;
        }
        if (core->open) {
            files->close(files->self, &core->disk);
            core->open = false;
        }
    }
}

/* All at once, as a reading start reads them. */
static cw_err open_logs(struct cw_durable *durable, const struct cw_seal *seal,
                        struct cw_durable_found *found, struct cw_fault *fault)
{
    struct ending endings[CW_MESH_SHARDS_MAX];
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; i < seal->cores; i++) {
        endings[i] = (struct ending){.durable = durable, .core = i, .lsn = seal->core[i].lsn};
        int rc = pthread_create(&endings[i].thread, NULL, open_log, &endings[i]);
        CW_ASSERT(rc == 0);
    }
    for (uint32_t i = 0; i < seal->cores; i++) {
        struct cw_durable_core *core = &durable->cores[i];
        (void)pthread_join(endings[i].thread, NULL);
        core->found = (struct cw_checkpoint_found){.any = seal->core[i].any != 0,
                                                   .begin = seal->core[i].checkpoint};
        core->log_damaged = endings[i].log.passed_lsn != 0;
        found->logs_damaged += core->log_damaged;
        found->frames += endings[i].log.frames;
        found->frames_to += endings[i].log.last_lsn;
        found->log_bytes += endings[i].log.bytes;
        if (endings[i].err != CW_ERR_OK && err == CW_ERR_OK) {
            err = endings[i].err;
            *fault = endings[i].fault;
        }
        if (endings[i].log.logical_ms > found->logical_ms) {
            found->logical_ms = endings[i].log.logical_ms;
        }
    }
    return err;
}

/* ---- start ---- */

/* What is the matter goes to *fault: CW_ERR_OK, or the memory does not count and nothing was
   changed. */
static cw_err look(struct cw_durable *durable, struct cw_pipeline *const *pipelines,
                   struct cw_seal *seal, struct cw_durable_found *found, struct cw_fault *fault)
{
    cw_err err = cw_seal_read(seal, durable->options.seal, fault);
    if (err == CW_ERR_NOT_FOUND) {
        return cw_fail(fault, err, "%s",
                       durable->manifest.clean
                           ? "the last stop left no seal: it ran without this memory"
                           : "there was no clean stop");
    }
    const char *why = err == CW_ERR_OK ? differs(durable, seal, pipelines) : NULL;
    if (why != NULL) {
        return cw_fail(fault, CW_ERR_NOT_FOUND, "%s", why);
    }
    err = err == CW_ERR_OK ? open_memory(durable, seal->mark, fault) : err;
    err = err == CW_ERR_OK ? place(durable, pipelines, fault) : err;
    return err == CW_ERR_OK ? open_logs(durable, seal, found, fault) : err;
}

/* All logs are known to be good. From here on memory and seal are not the same any more, whatever
   happens. */
static cw_err take_over(struct cw_durable *durable, struct cw_pipeline *const *pipelines,
                        struct cw_durable_found *found, struct cw_fault *fault)
{
    cw_err err = cw_durable_begin_logs(durable, fault);
    err = err == CW_ERR_OK ? cw_durable_unclean(durable, fault) : err;
    err = err == CW_ERR_OK ? cw_seal_revoke(durable->options.seal, fault) : err;
    for (uint32_t i = 0; i < durable->options.cores && err == CW_ERR_OK; i++) {
        uint64_t rows = 0;
        cw_keep_mark(durable->cores[i].memory, 0);
        err = cw_durable_open_store(durable, i, pipelines[i], fault);
        err = err == CW_ERR_OK
                  ? cw_pipeline_adopt(pipelines[i], durable->options.cores, &rows, fault)
                  : err;
        found->adopted += rows;
    }
    /* The disk has nothing to do with it, so this is no damage of the state. */
    return err == CW_ERR_OK || err == CW_ERR_IO
               ? err
               : cw_fail(fault, CW_ERR_IO,
                         "what lies in the memory %s cannot be gone on with; start again: then "
                         "the state is read from the disk",
                         durable->options.memory);
}

/* New memory for all that will be read; folders of cores that are no more go. */
static cw_err begin_anew(struct cw_durable *durable, struct cw_pipeline *const *pipelines,
                         struct cw_fault *fault)
{
    char path[4096];
    cw_err err = cw_seal_revoke(durable->options.seal, fault);
    err = err == CW_ERR_OK ? open_memory(durable, 0, fault) : err;
    for (uint32_t i = durable->options.cores; i < CW_MESH_SHARDS_MAX && err == CW_ERR_OK; i++) {
        folder_of(durable, i, path);
        err = cw_keep_remove(path, fault);
    }
    return err == CW_ERR_OK ? place(durable, pipelines, fault) : err;
}

cw_err cw_durable_adopt(struct cw_durable *durable, struct cw_pipeline *const *pipelines,
                        struct cw_durable_found *found, bool *adopted, struct cw_fault *fault)
{
    struct cw_seal seal;
    struct cw_fault why;
    if (durable->options.memory == NULL) {
        return CW_ERR_OK;
    }
    cw_err err = lock_directory(durable, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    found->memory = cw_keep_kind(durable->options.memory);
    if (!durable->fresh && look(durable, pipelines, &seal, found, &why) == CW_ERR_OK) {
        *adopted = true;
        return take_over(durable, pipelines, found, fault);
    }
    if (!durable->fresh) {
        (void)snprintf(found->not_adopted, sizeof found->not_adopted, "%.190s", why.text);
    }
    close_logs(durable);
    close_memory(durable);
    found->frames = found->frames_to = found->log_bytes = 0;
    found->logical_ms = 0;
    for (uint32_t i = 0; i < durable->options.cores; i++) {
        durable->cores[i].found = (struct cw_checkpoint_found){0};
    }
    return begin_anew(durable, pipelines, fault);
}

/* ---- stop ---- */

void cw_durable_seal(struct cw_durable *durable, const uint64_t *lsns)
{
    struct cw_seal seal;
    struct cw_fault fault;
    uint32_t cores = durable->options.cores;
    if (durable->options.memory == NULL) {
        return;
    }
    memset(&seal, 0, sizeof seal);
    memcpy(seal.store, durable->manifest.store, sizeof seal.store);
    (void)snprintf(seal.writer, sizeof seal.writer, "%s", durable->manifest.writer);
    seal.generation = durable->manifest.generation;
    seal.layout = cw_pipeline_layout();
    seal.cores = cores;
    seal.partitions = durable->manifest.partitions;
    uint64_t parts[] = {seal.generation, lsns[0]};
    seal.mark = cw_hash((struct cw_hash_key){durable->options.random, 1}, parts, sizeof parts) | 1;
    for (uint32_t i = 0; i < cores; i++) {
        const struct cw_durable_core *core = &durable->cores[i];
        if (lsns[i] == 0 || core->memory == NULL) {
            return; /* the next start reads the disk */
        }
        seal.core[i] = (struct cw_seal_core){.lsn = lsns[i],
                                             .checkpoint = core->found.begin,
                                             .any = core->found.any,
                                             .programs = cw_pipeline_programs(core->pipeline)};
    }
    for (uint32_t i = 0; i < cores; i++) {
        cw_pipeline_seal(durable->cores[i].pipeline);
        cw_keep_mark(durable->cores[i].memory, seal.mark);
    }
    (void)!cw_seal_write(&seal, durable->options.seal, &fault); /* nor is it adopted without one */
}
