/*
 * bench_restart_engine: how fast the live engine comes back after a crash, beside how fast the disk
 * itself gives the same bytes just before.
 *
 * A real engine is loaded and killed under its load, once. What it left is kept: every repeat
 * starts on it again, so all of them read the same. Files that a start only reads are the same
 * files by another name (hard links), since a copy of a GB would be in the way of what is measured;
 * the others are copied. That nothing kept was changed is looked at before every start.
 */
#define _GNU_SOURCE 1
#include "bench/bench.h"
#include "bench/engine.h"
#include "io/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECKPOINT_BYTES      1e9 /* of all cores */
#define CHECKPOINT_BYTES_TINY 1e5
#define LOAD_RATE             300000 /* more than it takes: it is never without work */
#define LOAD_RATE_TINY        20000
#define LOAD_SECONDS_MAX      400.0
#define INTERVAL_BYTES        (256.0 * (1 << 20)) /* of a core's log between two checkpoints */
#define INTERVAL_BYTES_TINY   (1.0 * (1 << 20))   /* the least that there is */
#define TOUCHED               2.0                 /* times the memory that it had */

enum {
    CORES_MAX = 256,
    READS_MAX = 2, /* at once, of one core's checkpoint; the engine's disk does one by one */
    READ_BYTES = 2 << 20,
    PAGE_BYTES = 4096,
    LOOK_MS = 50
};

/* ---- what is kept ---- */

/* What a directory with a state has. */
struct files {
    uint32_t cores, checkpoints; /* of checkpoints the newest of each core */
    char checkpoint[CORES_MAX][CW_BENCH_PATH_BYTES];
    uint64_t checkpoint_bytes;
    uint64_t count, bytes; /* of checkpoints and segments, which are never written anew */
    int64_t changed_ns;    /* the last change of any of them */
};

struct crash {
    struct cw_bench_engine engine;
    char state[CW_BENCH_PATH_BYTES], kept[CW_BENCH_PATH_BYTES];
    char tables[CW_BENCH_PATH_BYTES]; /* a fresh directory in --tables; "": none */
    struct files files;   /* of what is kept */
    double resident;      /* bytes that the engine had when it was killed */
    bool repeated;        /* once at least */
    double checkpoint_mb; /* that the first start told, and so all have to */
    double frames, log_mb;
    struct cw_bench_report *report;
};

static bool begins(const char *name, const char *with)
{
    return strncmp(name, with, strlen(with)) == 0;
}

/* nftw has no argument for what it calls. */
static struct files *looking;

static void look_at_checkpoint(const char *path, const struct stat *stat, int folder_bytes)
{
    struct files *files = looking;
    uint32_t i = 0;
    while (i < files->checkpoints &&
           strncmp(files->checkpoint[i], path, (size_t)folder_bytes) != 0) {
        i++;
    }
    bool other_core = i == files->checkpoints;
    if (i == CORES_MAX || (!other_core && strcmp(path, files->checkpoint[i]) < 0)) {
        return;
    }
    struct stat older = {.st_size = 0};
    if (!other_core) {
        (void)lstat(files->checkpoint[i], &older);
    }
    files->checkpoints += other_core;
    files->checkpoint_bytes += (uint64_t)stat->st_size - (uint64_t)older.st_size;
    (void)snprintf(files->checkpoint[i], CW_BENCH_PATH_BYTES, "%.4000s", path);
}

static int look_at(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    const char *name = path + ftw->base;
    bool checkpoint = begins(name, "checkpoint-");
    if (flag == FTW_D) {
        looking->cores += begins(name, "core-");
    }
    if (flag != FTW_F || (!checkpoint && !begins(name, "log-"))) {
        return 0;
    }
    int64_t changed_ns = stat->st_mtim.tv_sec * INT64_C(1000000000) + stat->st_mtim.tv_nsec;
    looking->count++;
    looking->bytes += (uint64_t)stat->st_size;
    looking->changed_ns = changed_ns > looking->changed_ns ? changed_ns : looking->changed_ns;
    if (checkpoint && strchr(name, '.') == NULL) { /* .new: not whole */
        look_at_checkpoint(path, stat, ftw->base);
    }
    return 0;
}

static bool look(const char *directory, struct files *files, struct cw_bench_report *report)
{
    memset(files, 0, sizeof *files); /* too large for a literal */
    looking = files;
    if (nftw(directory, look_at, 16, FTW_PHYS) != 0) {
        cw_bench_fail(report, "%.100s cannot be read: %m", directory);
        return false;
    }
    return true;
}

static struct {
    const char *to;
    size_t from_bytes; /* of a path, the part that `to` stands for */
} copying;

static int copy_file(const char *from, const char *to, off_t bytes)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    ssize_t sent = in < 0 || out < 0 ? -1 : 1;
    while (bytes > 0 && sent > 0) {
        sent = sendfile(out, in, NULL, (size_t)bytes);
        bytes -= sent > 0 ? sent : 0;
    }
    int error = sent < 0 ? errno : 0;
    if (in >= 0) {
        (void)close(in);
    }
    if (out >= 0) {
        (void)close(out);
    }
    errno = error;
    return error == 0 ? 0 : -1;
}

/* Spares are written anew, but what was in them nobody reads. */
static int copy_one(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    char to[CW_BENCH_PATH_BYTES];
    const char *name = path + ftw->base;
    (void)snprintf(to, sizeof to, "%.3900s%.190s", copying.to, path + copying.from_bytes);
    if (flag == FTW_D) {
        return mkdir(to, 0700);
    }
    if (begins(name, "checkpoint-") || begins(name, "log-") || begins(name, "spare-")) {
        return link(path, to);
    }
    return flag == FTW_F ? copy_file(path, to, stat->st_size) : 0;
}

/* With all that it wrote on the disk: what is measured next is alone with it. */
static bool copy_state(const char *from, const char *to, struct cw_bench_report *report)
{
    copying.to = to;
    copying.from_bytes = strlen(from);
    bool good = nftw(from, copy_one, 16, FTW_PHYS) == 0;
    int folder = good ? open(to, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    good = folder >= 0 && syncfs(folder) == 0;
    if (!good) {
        cw_bench_fail(report,
                      "the state cannot be linked and copied to %.80s: %m; --dir names a directory "
                      "of a file system that has hard links",
                      to);
    }
    if (folder >= 0) {
        (void)close(folder);
    }
    return good;
}

static bool put_back(struct crash *crash, struct cw_bench_report *report)
{
    static struct files now; /* large */
    const struct files *then = &crash->files;
    cw_bench_remove(crash->state);
    if (!look(crash->kept, &now, report)) {
        return false;
    }
    if (now.count != then->count || now.bytes != then->bytes ||
        now.changed_ns != then->changed_ns) {
        cw_bench_fail(report, "a start wrote to files that the next has to read: run it again, and "
                              "if it fails again, copy_one (bench_restart_engine.c) has to copy "
                              "what is written in place now");
        return false;
    }
    return copy_state(crash->kept, crash->state, report);
}

/* ---- the crash ---- */

struct seen {
    double checkpoint_bytes, log_bytes;
};

static bool see(const struct crash *crash, struct seen *seen)
{
    struct cw_text text = {0};
    bool good = cw_bench_ask(crash->engine.http, "/metrics", (struct cw_view){0}, &text) == 200;
    *seen = (struct seen){.checkpoint_bytes =
                              cw_bench_metric(&text, "cartwheel_store_checkpoint_bytes "),
                          .log_bytes = cw_bench_metric(&text, "cartwheel_store_log_bytes_total ")};
    cw_text_deinit(&text);
    return good;
}

/* Until the last checkpoints are as large as wanted, and half of an interval of log came after
   them: a crash comes half way between two of them on average. A start reads the log that came
   while they were written, too. */
static bool wait_until_grown(struct crash *crash, bool tiny, struct cw_bench_report *report)
{
    const double wanted = tiny ? CHECKPOINT_BYTES_TINY : CHECKPOINT_BYTES;
    const double behind = (tiny ? INTERVAL_BYTES_TINY : INTERVAL_BYTES) / 2 * crash->files.cores;
    uint64_t until = cw_clock_monotonic_ns() + (uint64_t)(LOAD_SECONDS_MAX * 1e9);
    struct seen seen = {.log_bytes = 0};
    double enough = INFINITY;
    bool answers = true;
    while (answers && cw_clock_monotonic_ns() < until) {
        answers = see(crash, &seen);
        if (seen.log_bytes >= enough) {
            return true;
        }
        if (isinf(enough) && seen.checkpoint_bytes >= wanted) {
            enough = seen.log_bytes + behind;
        }
        (void)poll(NULL, 0, LOOK_MS);
    }
    if (!answers) {
        struct cw_text said = {0};
        cw_bench_engine_said(&crash->engine, &said);
        (void)fprintf(stderr, "%s", cw_text_terminate(&said));
        cw_text_deinit(&said);
        cw_bench_fail(report, "under load the engine does not answer /metrics any more: standard "
                              "error has what it said; is the disk full?");
        return false;
    }
    cw_bench_fail(report,
                  "its checkpoints were not %.0f MB after %.0f s of load, but %.0f: run it where "
                  "nothing else takes the CPUs or the disk",
                  wanted / 1e6, LOAD_SECONDS_MAX, seen.checkpoint_bytes / 1e6);
    return false;
}

/* Every event has an id of its own and every round its own customers, so the state grows. */
static bool load_and_kill(struct crash *crash, bool tiny, struct cw_bench_report *report)
{
    struct cw_bench_answers answers;
    const struct cw_bench_load load = {.way = CW_BENCH_TCP,
                                       .batch = 200,
                                       .connections = 16,
                                       .rate = tiny ? LOAD_RATE_TINY : LOAD_RATE,
                                       .seconds = LOAD_SECONDS_MAX};
    int out = -1;
    pid_t pid = cw_bench_load_begin(&crash->engine, &load, &out, report);
    if (pid < 0) {
        return false;
    }
    bool good = wait_until_grown(crash, tiny, report);
    crash->resident = cw_bench_resident_bytes(crash->engine.pid);
    cw_bench_engine_kill(&crash->engine);
    (void)kill(pid, SIGINT); /* then it tells what it has; what was under way has no answer */
    return cw_bench_load_end(pid, out, &answers, report) && good;
}

static void close_crash(void *self)
{
    struct crash *crash = self;
    if (crash->engine.directory[0] != '\0') {
        cw_bench_engine_kill(&crash->engine);
        cw_bench_engine_close(&crash->engine, crash->report);
    }
    if (crash->tables[0] != '\0') {
        cw_bench_remove(crash->tables);
    }
    free(crash);
}

static bool make_tables(struct crash *crash)
{
    char whole[PATH_MAX]; /* the engine takes others from its file's folder */
    (void)snprintf(crash->tables, sizeof crash->tables, "%.3900s/bench-tables-XXXXXX",
                   realpath(cw_bench_tables, whole) != NULL ? whole : cw_bench_tables);
    if (mkdtemp(crash->tables) == NULL) {
        cw_bench_fail(crash->report, "no directory can be made in %.80s: %m", cw_bench_tables);
        crash->tables[0] = '\0';
        return false;
    }
    return true;
}

static void *open_crash(const struct cw_bench_probe *probe, struct cw_bench_report *report,
                        bool tiny)
{
    (void)probe;
    char settings[CW_BENCH_PATH_BYTES + 64];
    struct crash *crash = calloc(1, sizeof *crash);
    CW_ASSERT(crash != NULL);
    crash->report = report;
    int bytes = snprintf(settings, sizeof settings, "checkpointBytes: %.0f\n",
                         tiny ? INTERVAL_BYTES_TINY : INTERVAL_BYTES);
    if (cw_bench_tables != NULL) {
        if (!make_tables(crash)) {
            return crash;
        }
        (void)snprintf(settings + bytes, sizeof settings - (size_t)bytes, "memory: \"%s\"\n",
                       crash->tables);
    }
    if (!cw_bench_engine_make(&crash->engine, "fsync", CW_BENCH_EVERY_CPU, settings, report)) {
        return crash;
    }
    (void)snprintf(crash->state, sizeof crash->state, "%.3900s/state", crash->engine.directory);
    (void)snprintf(crash->kept, sizeof crash->kept, "%.3900s/kept", crash->engine.directory);
    if (cw_bench_engine_start(&crash->engine, report) &&
        look(crash->state, &crash->files, report) && load_and_kill(crash, tiny, report) &&
        copy_state(crash->state, crash->kept, report) && look(crash->kept, &crash->files, report) &&
        crash->files.checkpoints != crash->files.cores) {
        cw_bench_fail(report, "%u of %u cores have a checkpoint: run it again",
                      crash->files.checkpoints, crash->files.cores);
    }
    return crash;
}

/* ---- the disk ---- */

/* Every `count`-th piece of a file, from the first on. */
struct reader {
    pthread_t thread;
    const char *path;
    char *into;
    uint64_t first, count, got;
    int error;
    bool cached;
};

static void *read_pieces(void *self)
{
    struct reader *reader = self;
    int file = open(reader->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
    if (file < 0 && errno == EINVAL) {
        reader->cached = true;
        file = open(reader->path, O_RDONLY | O_CLOEXEC);
    }
    ssize_t got = file < 0 ? -1 : 1;
    for (uint64_t piece = reader->first; got > 0; piece += reader->count) {
        got = pread(file, reader->into, READ_BYTES, (off_t)(piece * READ_BYTES));
        reader->got += got > 0 ? (uint64_t)got : 0;
    }
    reader->error = got < 0 ? errno : 0;
    if (file >= 0) {
        (void)close(file);
    }
    return NULL;
}

/* GB/s of all cores' newest checkpoints, with so many reads of 2 MiB of each at once; 0: failed. */
static double read_disk(const struct crash *crash, uint32_t at_once, struct cw_bench_report *report)
{
    static struct reader readers[CORES_MAX * READS_MAX];
    const struct files *files = &crash->files;
    uint32_t count = files->checkpoints * at_once;
    CW_ASSERT(at_once <= READS_MAX && count <= CW_COUNTOF(readers));
    char *memory = aligned_alloc(READ_BYTES, (size_t)count * READ_BYTES);
    CW_ASSERT(memory != NULL);
    (void)madvise(memory, (size_t)count * READ_BYTES, MADV_HUGEPAGE); /* as the engine reads */
    memset(memory, 0, (size_t)count * READ_BYTES); /* it is there before the clock runs */
    uint64_t began_ns = cw_clock_monotonic_ns();
    for (uint32_t i = 0; i < count; i++) {
        readers[i] = (struct reader){.path = files->checkpoint[i / at_once],
                                     .into = memory + (size_t)i * READ_BYTES,
                                     .first = i % at_once,
                                     .count = at_once};
        int rc = pthread_create(&readers[i].thread, NULL, read_pieces, &readers[i]);
        CW_ASSERT(rc == 0);
    }
    uint64_t bytes = 0;
    int error = 0;
    for (uint32_t i = 0; i < count; i++) {
        (void)pthread_join(readers[i].thread, NULL);
        bytes += readers[i].got;
        error = readers[i].error != 0 ? readers[i].error : error;
        if (readers[i].cached) {
            cw_bench_note(report, "the file system refuses O_DIRECT: the disk's figures, and the "
                                  "engine's, are those of its cache");
        }
    }
    double ns = (double)(cw_clock_monotonic_ns() - began_ns);
    free(memory);
    if (error != 0 || bytes != files->checkpoint_bytes) {
        errno = error;
        cw_bench_fail(report, "checkpoints cannot be read: %m, %.1f MB of %.1f",
                      (double)bytes / 1e6, (double)files->checkpoint_bytes / 1e6);
        return 0;
    }
    return (double)bytes / ns;
}

/* On a virtual machine, the first touch of memory that the host took back costs up to 20 times as
   much. What the engine will take is touched before it starts: it is the engine that is measured.
   In huge pages, as the engine has them, or other memory is touched than it will get; and twice as
   much as it had, since which of it that will be is the kernel's to say. */
static bool touch_memory(const struct crash *crash, struct cw_bench_report *report)
{
    if (crash->tables[0] != '\0') { /* whether that memory is there, who made it knows */
        return true;
    }
    const double wanted = TOUCHED * crash->resident;
    const double free_bytes = (double)sysconf(_SC_AVPHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    if (wanted > free_bytes) {
        cw_bench_note(report, "less memory is free than should be touched before a start: the "
                              "host's may cost the engine some time");
    }
    size_t pages = (size_t)(wanted < free_bytes ? wanted : free_bytes) / PAGE_BYTES + 1;
    uint64_t began_ns = cw_clock_monotonic_ns();
    char *memory =
        mmap(NULL, pages * PAGE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        cw_bench_fail(report, "%.0f MB of memory, as a start is to find, cannot be had: %m",
                      (double)pages * PAGE_BYTES / 1e6);
        return false;
    }
    (void)madvise(memory, pages * PAGE_BYTES, MADV_HUGEPAGE); /* a wish */
    for (size_t i = 0; i < pages; i++) {
        memory[i * PAGE_BYTES] = 1;
    }
    cw_bench_use(memory);
    (void)munmap(memory, pages * PAGE_BYTES);
    cw_bench_figure(report, "memory", "touched before the start", "MB",
                    (double)pages * PAGE_BYTES / 1e6);
    cw_bench_figure(report, "memory", "that took", "s",
                    (double)(cw_clock_monotonic_ns() - began_ns) / 1e9);
    return true;
}

/* ---- a restart ---- */

/* What a start says of it. */
struct told {
    double s, checkpoint_mb, frames, log_mb;
    double rows, read_s, rows_s, log_s, link_s;
};

/* The number behind that text; *at goes there. */
static bool number_after(const char **at, const char *text, double *number)
{
    const char *found = *at == NULL ? NULL : strstr(*at, text);
    char *end = NULL;
    *at = found == NULL ? NULL : found + strlen(text);
    *number = *at == NULL ? 0 : strtod(*at, &end);
    return *at != NULL && end != *at;
}

static bool read_told(const struct cw_bench_engine *engine, struct told *told,
                      struct cw_bench_report *report)
{
    struct cw_text said = {0};
    cw_bench_engine_said(engine, &said);
    const char *at = cw_text_terminate(&said);
    bool good = number_after(&at, "  recovered in ", &told->s) &&
                number_after(&at, " s after a CRASH: ", &told->checkpoint_mb) &&
                number_after(&at, " MB of checkpoints, ", &told->frames) &&
                number_after(&at, " frames of log (", &told->log_mb) &&
                number_after(&at, "\n  ", &told->rows) &&
                number_after(&at, " rows: ", &told->read_s) &&
                number_after(&at, " s reading checkpoints, ", &told->rows_s) &&
                number_after(&at, " s their rows, ", &told->log_s) &&
                number_after(&at, " s the log, ", &told->link_s);
    if (!good) {
        (void)fprintf(stderr, "%s", cw_text_terminate(&said));
        cw_bench_fail(report, "the engine does not say how it came back after a crash: read_told "
                              "(bench_restart_engine.c) reads what cw_engine_say_state writes");
    }
    cw_text_deinit(&said);
    return good;
}

/* All restarts read the same, and what was read of the disk is what they read. */
static bool check_told(struct crash *crash, const struct told *told, struct cw_bench_report *report)
{
    if (!crash->repeated) {
        crash->repeated = true;
        crash->checkpoint_mb = told->checkpoint_mb;
        crash->frames = told->frames;
        crash->log_mb = told->log_mb;
    }
    double disk_mb = (double)crash->files.checkpoint_bytes / 1e6;
    if (fabs(disk_mb - told->checkpoint_mb) > 0.1) {
        cw_bench_fail(report,
                      "it read %.1f MB of checkpoints, and the newest on the disk have %.1f MB: "
                      "was one damaged?",
                      told->checkpoint_mb, disk_mb);
        return false;
    }
    if (told->checkpoint_mb != crash->checkpoint_mb || told->frames != crash->frames ||
        told->log_mb != crash->log_mb) {
        cw_bench_fail(report,
                      "it read %.1f MB of checkpoints and %.0f frames (%.1f MB), the first time "
                      "%.1f and %.0f (%.1f): what is kept was changed",
                      told->checkpoint_mb, told->frames, told->log_mb, crash->checkpoint_mb,
                      crash->frames, crash->log_mb);
        return false;
    }
    return true;
}

/* GB/s; it tells hundredths of a second, so what took none took half of one at most. */
static double speed(double mb, double seconds)
{
    return mb / 1e3 / (seconds > 0 ? seconds : 0.005);
}

static void tell_restart(double ready_s, double disk, const struct told *told,
                         struct cw_bench_report *report)
{
    double whole = speed(told->checkpoint_mb + told->log_mb, told->s);
    double alone = speed(told->checkpoint_mb, told->read_s + told->rows_s + told->link_s);
    cw_bench_figure(report, "", "from its start to ready", "s", ready_s);
    cw_bench_figure(report, "", "of that recovering", "s", told->s);
    cw_bench_figure(report, "", "checkpoints", "MB", told->checkpoint_mb);
    cw_bench_figure(report, "", "log behind them", "MB", told->log_mb);
    cw_bench_figure(report, "", "rows", "", told->rows);
    cw_bench_figure(report, "slowest_core", "reads and proves checkpoints", "s", told->read_s);
    cw_bench_figure(report, "slowest_core", "their rows into tables", "s", told->rows_s);
    cw_bench_figure(report, "slowest_core", "the log with its rows", "s", told->log_s);
    cw_bench_figure(report, "slowest_core", "links", "s", told->link_s);
    cw_bench_figure(report, "all", "checkpoints and log while recovering", "GB/s", whole);
    cw_bench_figure(report, "all", "over the disk's speed", "", whole / disk);
    cw_bench_figure(report, "checkpoint", "read, proven, in tables and linked", "GB/s", alone);
    cw_bench_figure(report, "checkpoint", "over the disk's speed", "", alone / disk);
}

static void measure_crash(const struct cw_bench_probe *probe, void *state,
                          struct cw_bench_report *report, bool tiny)
{
    (void)probe;
    (void)tiny;
    struct crash *crash = state;
    struct told told;
    double one = put_back(crash, report) ? read_disk(crash, 1, report) : 0;
    double two = one > 0 ? read_disk(crash, READS_MAX, report) : 0;
    if (two <= 0 || !touch_memory(crash, report)) {
        return;
    }
    uint64_t began_ns = cw_clock_monotonic_ns();
    bool good = cw_bench_engine_start(&crash->engine, report);
    double ready_s = (double)(cw_clock_monotonic_ns() - began_ns) / 1e9;
    good = good && read_told(&crash->engine, &told, report);
    cw_bench_engine_kill(&crash->engine);
    if (good && check_told(crash, &told, report)) {
        cw_bench_figure(report, "disk", "a read of 2 MiB at a time of each core", "GB/s", one);
        cw_bench_figure(report, "disk", "two at a time", "GB/s", two);
        tell_restart(ready_s, one > two ? one : two, &told, report);
    }
}

const struct cw_bench_probe cw_bench_engine_restart[] = {
    {"engine.restart", NULL, true, open_crash, measure_crash, close_crash},
    {0},
};
