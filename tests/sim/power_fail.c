/*
 * power_fail: the log on a disk that loses power at every operation.
 *
 *     power_fail [--scripts N] [--first SEED] [--damages N] [--nested STEP] [--errors STEP]
 *     power_fail --bugs
 *
 * A script is a random life of a log: frames of all sizes, seals, releases, full disks, starts and
 * stops. Before each of its I/O operations the disk is crashed, `damages` times differently; what
 * is then recovered must be a prefix of what was submitted, byte for byte, that has all that was
 * acknowledged; and it must go on from there. Every STEPth of these recoveries is itself crashed
 * at each of its operations. Then the script is run again with each STEPth operation failing, once
 * and from there on. --bugs plants the known bugs one after the other: each has to be found.
 * Exit 0 when all is well; a failure says how to repeat it.
 */
#include "core/log_priv.h"
#include "tests/core/random.h"
#include "tests/sim/fault_disk.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SEGMENT_BYTES = 32 << 10, /* a head and 7 blocks */
    FRAMES_MAX = 8192,
    STEPS = 70
};

struct cw_settings {
    uint64_t scripts, first, damages, nested, errors;
};

struct cw_counts {
    uint64_t scripts, operations, recoveries, nested, frames, failed_operations, faults, torn;
    uint64_t largest_segments, full, damaged;
};

/* What was submitted: content follows from the script's seed and the LSN; bytes 0xffffffff is a
   frame of the log's own. */
struct cw_trace {
    uint64_t seed;
    uint32_t bytes[FRAMES_MAX];
    uint64_t submitted, acknowledged;
    uint64_t since; /* what a checkpoint has */
};

#define OWN 0xffffffffu

struct cw_script {
    const struct cw_settings *settings;
    struct cw_counts *counts;
    uint64_t random, opened;
    bool os;
    struct cw_fault_disk *disk;
    struct cw_log *log;
    struct cw_trace trace;
    struct cw_fault_plan plan; /* its index counts over all starts */
    uint64_t before;           /* operations of the disks before this one */
    uint64_t failures;         /* operations that were failed on purpose */
    uint64_t index;
    bool crash; /* at every operation */
    bool failed;
    char what[400];
};

__attribute__((format(printf, 2, 3))) static void wrong(struct cw_script *s, const char *format,
                                                        ...)
{
    if (!s->failed) {
        va_list args;
        va_start(args, format);
        (void)vsnprintf(s->what, sizeof s->what, format, args);
        va_end(args);
        s->failed = true;
    }
}

static void fill(char *to, const struct cw_trace *trace, uint64_t lsn, uint32_t bytes)
{
    uint64_t state = trace->seed ^ lsn << 20 ^ bytes;
    for (uint32_t i = 0; i < bytes; i += 8) {
        uint64_t word = random_next(&state);
        memcpy(to + i, &word, bytes - i < 8 ? bytes - i : 8);
    }
}

struct cw_check {
    const struct cw_trace *trace;
    struct cw_script *script;
    uint64_t applied, last;
};

static bool check_frame(void *with, uint64_t lsn, int64_t logical_ms, struct cw_view records)
{
    struct cw_check *check = with;
    const struct cw_trace *trace = check->trace;
    static char expected[1 << 20];
    if (lsn > trace->submitted || trace->bytes[lsn] != records.bytes) {
        wrong(check->script, "frame %llu of %u bytes was never submitted", (unsigned long long)lsn,
              records.bytes);
        return true;
    }
    fill(expected, trace, lsn, records.bytes);
    if (memcmp(expected, records.data, records.bytes) != 0 || logical_ms != (int64_t)lsn) {
        wrong(check->script, "frame %llu has other bytes", (unsigned long long)lsn);
    }
    if (lsn <= trace->since || lsn <= check->last) {
        wrong(check->script, "frame %llu is applied twice", (unsigned long long)lsn);
    }
    for (uint64_t i = (check->last > trace->since ? check->last : trace->since) + 1; i < lsn; i++) {
        if (trace->bytes[i] != OWN) {
            wrong(check->script, "frame %llu is missing", (unsigned long long)i);
        }
    }
    check->last = lsn;
    check->applied++;
    return true;
}

static cw_err open_on(struct cw_script *s, struct cw_fault_disk *disk, struct cw_log **log,
                      struct cw_check *check, struct cw_log_found *found, struct cw_fault *fault)
{
    /* Of its own at each start, and no multiple of the log's own step from salt to salt: then salts
       of two starts would be the same. */
    uint64_t random = s->trace.seed ^ ++s->opened << 32;
    struct cw_log_options options = {.disk = cw_fault_disk_port(disk),
                                     .segment_bytes = SEGMENT_BYTES,
                                     .random = random_next(&random),
                                     .os = s->os,
                                     .since = s->trace.since,
                                     .until = s->trace.since};
    memcpy(options.store, "power fail store", 16);
    return cw_log_recover(log, &options, check_frame, check, found, fault);
}

/* ---- the appending side, on any disk ---- */

static void wait_for(struct cw_log *log)
{
    for (uint32_t i = 0; i < 4000 && cw_log_busy(log) && cw_log_fault(log) == NULL; i++) {
        (void)cw_log_poll(log);
    }
}

static void note(struct cw_trace *trace, const struct cw_log *log)
{
    uint64_t durable = cw_log_durable(log);
    trace->acknowledged = durable > trace->acknowledged ? durable : trace->acknowledged;
}

static void append(struct cw_log *log, struct cw_trace *trace, uint32_t bytes)
{
    uint64_t lsn = cw_log_last(log) + 1;
    CW_ASSERT(lsn < FRAMES_MAX);
    fill(cw_log_room(log, bytes), trace, lsn, bytes);
    trace->bytes[lsn] = bytes;
    trace->submitted = lsn;
    CW_ASSERT(cw_log_submit(log, bytes, (int64_t)lsn) == lsn);
    note(trace, log);
}

/* ---- after a crash ---- */

static void off_and_close(struct cw_fault_disk *disk, struct cw_log *log)
{
    cw_fault_disk_off(disk);
    cw_log_close(log, false);
}

/* Recovers the disk, which is then gone on with; `index` and `seed` are for words. */
static void recover_and_go_on(struct cw_script *s, struct cw_fault_disk *disk,
                              const struct cw_trace *before, uint64_t seed)
{
    struct cw_trace trace = *before;
    struct cw_check check = {.trace = &trace, .script = s};
    struct cw_log_found found;
    struct cw_fault fault;
    struct cw_log *log = NULL;
    s->counts->recoveries++;
    cw_fault_disk_space(disk, 0);
    if (open_on(s, disk, &log, &check, &found, &fault) != CW_ERR_OK) {
        wrong(s, "crash at %llu (damage %llx): refused: %s", (unsigned long long)s->index,
              (unsigned long long)seed, fault.text);
        return;
    }
    uint64_t acknowledged = s->os ? trace.since : trace.acknowledged;
    if (found.last_lsn < acknowledged || found.last_lsn > trace.submitted) {
        wrong(s, "crash at %llu (damage %llx): %llu frames, acknowledged %llu, submitted %llu",
              (unsigned long long)s->index, (unsigned long long)seed,
              (unsigned long long)found.last_lsn, (unsigned long long)trace.acknowledged,
              (unsigned long long)trace.submitted);
    }
    s->counts->frames += check.applied;
    s->counts->torn += found.torn_bytes > 0;
    trace.submitted = found.last_lsn;
    for (uint32_t i = 0; i < 3 && !s->failed; i++) {
        append(log, &trace, i * 3000 + 17);
        wait_for(log);
        note(&trace, log);
        if (cw_log_busy(log)) {
            wrong(s, "after a crash at %llu: it does not go on", (unsigned long long)s->index);
        }
    }
    off_and_close(disk, log);
    struct cw_fault_disk *again = cw_fault_disk_crash(disk, seed + 1);
    struct cw_check check_again = {.trace = &trace, .script = s};
    if (open_on(s, again, &log, &check_again, &found, &fault) != CW_ERR_OK) {
        wrong(s, "crash at %llu (damage %llx), appended, crash: %s", (unsigned long long)s->index,
              (unsigned long long)seed, fault.text);
    } else {
        if (!s->os && found.last_lsn != trace.submitted) {
            wrong(s, "crash at %llu (damage %llx): what was appended is lost",
                  (unsigned long long)s->index, (unsigned long long)seed);
        }
        off_and_close(again, log);
    }
    cw_fault_disk_free(again);
}

struct cw_nested {
    struct cw_script *script;
    struct cw_fault_disk *disk;
    const struct cw_trace *trace;
    uint64_t seed;
};

static void crash_in_recovery(void *with, uint64_t index)
{
    const struct cw_nested *nested = with;
    uint64_t seed = nested->seed ^ (index + 1) << 24;
    struct cw_fault_disk *image = cw_fault_disk_crash(nested->disk, seed);
    nested->script->counts->nested++;
    recover_and_go_on(nested->script, image, nested->trace, seed);
    cw_fault_disk_free(image);
}

static void crash_here(void *with, uint64_t index)
{
    struct cw_script *s = with;
    s->index = index;
    s->counts->operations++;
    for (uint64_t damage = 0; s->crash && damage < s->settings->damages && !s->failed; damage++) {
        uint64_t seed = s->trace.seed << 32 ^ index << 8 ^ damage;
        struct cw_fault_disk *image = cw_fault_disk_crash(s->disk, seed);
        struct cw_trace trace = s->trace; /* a recovery may not change what was so before */
        struct cw_nested nested = {.script = s, .disk = image, .trace = &trace, .seed = seed};
        uint64_t step = s->settings->nested;
        if (step > 0 && (index * s->settings->damages + damage) % step == 0) {
            cw_fault_disk_hook(image, crash_in_recovery, &nested);
        }
        struct cw_check check = {.trace = &trace, .script = s};
        struct cw_log_found found;
        struct cw_fault fault;
        struct cw_log *log = NULL;
        cw_fault_disk_space(image, 0);
        cw_err err = open_on(s, image, &log, &check, &found, &fault);
        cw_fault_disk_hook(image, NULL, NULL);
        if (err != CW_ERR_OK) {
            wrong(s, "crash at %llu (damage %llx): refused: %s", (unsigned long long)index,
                  (unsigned long long)seed, fault.text);
        } else {
            off_and_close(image, log);
            struct cw_fault_disk *next = cw_fault_disk_crash(image, seed + 7);
            recover_and_go_on(s, next, &trace, seed + 7);
            cw_fault_disk_free(next);
        }
        cw_fault_disk_free(image);
    }
}

/* ---- a script ---- */

static void plan_on(struct cw_script *s)
{
    struct cw_fault_plan plan = s->plan;
    plan.at = plan.at > s->before ? plan.at - s->before : 0;
    if (plan.error != 0 && !(plan.once && s->failures > 0)) {
        cw_fault_disk_plan(s->disk, &plan);
    }
    cw_fault_disk_hook(s->disk, crash_here, s);
}

static bool start(struct cw_script *s)
{
    struct cw_check check = {.trace = &s->trace, .script = s};
    struct cw_log_found found;
    struct cw_fault fault;
    cw_err err = open_on(s, s->disk, &s->log, &check, &found, &fault);
    if (err == CW_ERR_IO && fault.sys_errno == ENOSPC && cw_fault_disk_failed(s->disk) == 0) {
        cw_fault_disk_space(s->disk, 0); /* somebody makes room, and starts it again */
        check.last = 0;
        err = open_on(s, s->disk, &s->log, &check, &found, &fault);
    }
    if (err != CW_ERR_OK) {
        s->log = NULL;
        if (err != CW_ERR_IO || cw_fault_disk_failed(s->disk) == 0) {
            wrong(s, "start: %s", fault.text);
        }
        return false;
    }
    if (found.last_lsn < s->trace.acknowledged || found.last_lsn > s->trace.submitted) {
        wrong(s, "start: %llu frames, acknowledged %llu", (unsigned long long)found.last_lsn,
              (unsigned long long)s->trace.acknowledged);
    }
    s->counts->frames += check.applied;
    s->trace.submitted = found.last_lsn;
    return true;
}

/* A next process finds that disk; the last one's log is closed. */
static void hand_over(struct cw_script *s, struct cw_fault_disk *next, bool power)
{
    uint64_t failures = cw_fault_disk_failed(s->disk);
    if (s->os && (power || failures > 0)) { /* what was not flushed may be gone: not missed */
        s->trace.acknowledged = s->trace.since;
    }
    s->before += cw_fault_disk_count(s->disk);
    s->failures += failures;
    cw_fault_disk_free(s->disk);
    s->disk = next;
    s->log = NULL;
    plan_on(s);
}

/* The process dies, or the host does. */
static void stop(struct cw_script *s, bool power)
{
    struct cw_fault_disk *next = power ? cw_fault_disk_crash(s->disk, random_next(&s->random))
                                       : cw_fault_disk_kill(s->disk);
    off_and_close(s->disk, s->log);
    hand_over(s, next, power);
}

static void stop_clean(struct cw_script *s)
{
    s->trace.bytes[cw_log_last(s->log) + 1] = OWN;
    s->trace.submitted = cw_log_last(s->log) + 1;
    cw_log_close(s->log, true);
    hand_over(s, cw_fault_disk_kill(s->disk), false);
}

static uint32_t some_bytes(struct cw_script *s)
{
    switch (random_below(&s->random, 8)) {
    case 0: return random_below(&s->random, 60000); /* larger than a segment */
    case 1: return 4096 - 64 + 4096 * random_below(&s->random, 7); /* just fits */
    case 2: return 0;
    default: return random_below(&s->random, 9000);
    }
}

static void release_some(struct cw_script *s)
{
    uint64_t most = s->trace.acknowledged - s->trace.since;
    uint64_t lsn = s->trace.since + random_below(&s->random, (uint32_t)most + 1);
    /* An unflushed frame cannot be in a checkpoint: those are durable, whatever the log is. */
    if (!s->os && lsn <= cw_log_durable(s->log)) {
        s->trace.since = lsn;
        cw_log_release(s->log, lsn, random_below(&s->random, 4) == 0);
    }
}

static void one_step(struct cw_script *s)
{
    uint32_t what = random_below(&s->random, 100);
    if (what < 62) {
        append(s->log, &s->trace, some_bytes(s));
        if (random_below(&s->random, 4) > 0) {
            wait_for(s->log);
        }
    } else if (what < 70) {
        uint64_t last = cw_log_last(s->log);
        s->trace.bytes[last + 1] = OWN;
        cw_log_seal(s->log, (int64_t)last + 1);
        s->trace.submitted = cw_log_last(s->log);
    } else if (what < 82) {
        release_some(s);
    } else if (what < 88) {
        stop(s, random_below(&s->random, 2) == 0);
        (void)start(s);
    } else if (what < 91) {
        stop_clean(s);
        (void)start(s);
    } else if (what < 95) { /* the disk is full, or has space again */
        bool full = random_below(&s->random, 2) == 0;
        uint64_t more = random_below(&s->random, 2 * SEGMENT_BYTES);
        cw_fault_disk_space(s->disk, full ? cw_fault_disk_used(s->disk) + more : 0);
        s->counts->full += full;
    } else {
        for (uint32_t i = random_below(&s->random, 60); i > 0; i--) {
            (void)cw_log_poll(s->log);
        }
    }
}

static void play(struct cw_script *s, uint64_t seed, const struct cw_fault_plan *plan)
{
    s->random = seed;
    s->os = seed % 5 == 4;
    s->trace = (struct cw_trace){.seed = seed};
    struct cw_fault_disk_options options = {.seed = seed, .delay_max = (uint32_t)(seed % 3)};
    s->disk = cw_fault_disk_new(&options);
    s->plan = plan != NULL ? *plan : (struct cw_fault_plan){.error = 0};
    s->before = s->failures = s->opened = 0;
    plan_on(s);
    (void)start(s);
    for (uint32_t i = 0; i < STEPS && s->log != NULL && !s->failed; i++) {
        if (cw_log_fault(s->log) != NULL) {
            s->counts->faults++;
            break; /* the process would end */
        }
        if (cw_log_busy(s->log)) {
            wait_for(s->log);
            note(&s->trace, s->log);
            if (cw_log_busy(s->log) && cw_log_fault(s->log) == NULL) {
                if (!cw_log_full(s->log)) {
                    wrong(s, "busy for ever, but not full");
                }
                cw_fault_disk_space(s->disk, 0);
                s->plan.error = 0;
                cw_fault_disk_plan(s->disk, &s->plan);
                for (uint32_t j = 0; j < 3 * CW_LOG_RETRY_POLLS && cw_log_busy(s->log); j++) {
                    (void)cw_log_poll(s->log);
                }
                if (cw_log_busy(s->log) && cw_log_fault(s->log) == NULL) {
                    wrong(s, "there is space, but it stays full");
                }
            }
            continue;
        }
        one_step(s);
        if (s->log != NULL) {
            note(&s->trace, s->log);
        }
    }
    if (s->log != NULL) {
        struct cw_log_stats stats;
        cw_log_stats(s->log, &stats);
        uint64_t *most = &s->counts->largest_segments;
        *most = stats.segments_kept > *most ? stats.segments_kept : *most;
    }
}

/* One bit of an acknowledged frame that has a successor: that has to be refused, with nothing
   changed. Such a frame is looked for in the files themselves. */
static bool damage_one(struct cw_script *s, struct cw_fault_disk *image)
{
    for (uint64_t seq = 1 + random_below(&s->random, 4), tried = 0; tried < 60; tried++, seq++) {
        char name[CW_DISK_NAME_BYTES];
        uint64_t size = 0;
        cw_log_name(name, seq);
        uint8_t *bytes = cw_fault_disk_bytes(image, name, &size);
        for (uint64_t at = CW_DISK_BLOCK; bytes != NULL && at < size; at += CW_DISK_BLOCK) {
            void *there = bytes + at;
            const struct cw_log_frame *frame = there;
            const struct cw_log_head *head = (void *)bytes;
            bool fits = frame->magic == CW_LOG_FRAME_MAGIC && frame->salt == head->salt &&
                        frame->lsn > s->trace.since && frame->lsn < s->trace.acknowledged;
            if (fits && random_below(&s->random, 6) == 0) {
                bytes[at + random_below(&s->random, frame->len)] ^=
                    (uint8_t)(1 << random_below(&s->random, 8));
                cw_fault_disk_touched(image, name);
                return true;
            }
        }
    }
    return false;
}

static void play_damage(struct cw_script *s)
{
    for (uint32_t i = 0; i < 20 && s->log != NULL && !s->os && !s->failed; i++) {
        struct cw_fault_disk *image = cw_fault_disk_kill(s->disk);
        cw_fault_disk_space(image, 0);
        if (damage_one(s, image)) {
            uint64_t digest = cw_fault_disk_digest(image);
            struct cw_check check = {.trace = &s->trace, .script = s};
            struct cw_log_found found;
            struct cw_fault fault;
            struct cw_log *log = NULL;
            cw_err err = open_on(s, image, &log, &check, &found, &fault);
            if (err == CW_ERR_OK) {
                off_and_close(image, log);
            }
            if (err != CW_ERR_CORRUPT || cw_fault_disk_digest(image) != digest) {
                wrong(s, "damage to an acknowledged frame: %s", cw_err_name(err));
            }
            s->counts->damaged++;
        }
        cw_fault_disk_free(image);
    }
}

static void finish(struct cw_script *s)
{
    if (s->log != NULL) {
        off_and_close(s->disk, s->log);
        s->log = NULL;
    }
    cw_fault_disk_free(s->disk);
    s->disk = NULL;
}

/* Each STEPth operation fails; the host is then switched off and on. */
static void play_errors(struct cw_script *s, uint64_t seed, uint64_t operations)
{
    static const int errors[] = {EIO, ENOSPC};
    bool once = false;
    for (uint64_t at = seed % s->settings->errors; at < operations && !s->failed;
         at += s->settings->errors) {
        once = !once;
        struct cw_fault_plan plan = {.at = at, .once = once};
        plan.error = errors[random_below(&s->random, 4) == 0]; /* mostly EIO */
        plan.kinds = plan.error == ENOSPC ? 1u << CW_DISK_CREATE : 0;
        s->crash = false;
        play(s, seed, &plan);
        s->counts->failed_operations += s->failures + cw_fault_disk_failed(s->disk);
        s->index = at;
        if (!s->failed) {
            struct cw_trace trace = s->trace;
            struct cw_fault_disk *image = cw_fault_disk_crash(s->disk, seed ^ at);
            recover_and_go_on(s, image, &trace, seed ^ at);
            cw_fault_disk_free(image);
        }
        finish(s);
        if (s->failed) {
            char what[sizeof s->what];
            memcpy(what, s->what, sizeof what);
            (void)snprintf(s->what, sizeof s->what, "operation %llu fails (%d, %s): %.300s",
                           (unsigned long long)at, plan.error, once ? "once" : "from there on",
                           what);
        }
    }
}

static bool run(struct cw_script *s, uint64_t seed)
{
    s->failed = false;
    s->crash = s->settings->damages > 0;
    uint64_t before = s->counts->operations;
    play(s, seed, NULL);
    play_damage(s);
    finish(s);
    s->counts->scripts++;
    if (!s->failed && s->settings->errors > 0) {
        uint64_t operations = s->counts->operations - before;
        play_errors(s, seed, operations);
        s->counts->operations = before + operations; /* those are counted as failed ones */
    }
    return !s->failed;
}

/* ---- planted bugs ---- */

static uint64_t scripts_until_found(struct cw_script *s, bool *bug, char what[400])
{
    *bug = true;
    uint64_t seed = s->settings->first;
    while (seed < s->settings->first + 200 && run(s, seed)) {
        seed++;
    }
    *bug = false;
    memcpy(what, s->what, sizeof s->what);
    return s->failed ? seed - s->settings->first + 1 : 0;
}

static int plant(struct cw_script *s)
{
    int missed = 0;
    struct {
        const char *name;
        bool *bug;
    } bugs[] = {{"frames of an earlier use pass", &cw_log_bugs.no_salt},
                {"any bad frame is the end", &cw_log_bugs.no_scan},
                {"acknowledged before the flush", &cw_log_bugs.early_ack}};
    for (uint32_t i = 0; i < CW_COUNTOF(bugs); i++) {
        char what[400] = "";
        uint64_t scripts = scripts_until_found(s, bugs[i].bug, what);
        (void)printf("planted: %s: %s after %llu scripts: %s\n", bugs[i].name,
                     scripts > 0 ? "found" : "NOT FOUND", (unsigned long long)scripts, what);
        missed += scripts == 0;
    }
    return missed;
}

static uint64_t number(int argc, char **argv, const char *name, uint64_t otherwise)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) {
            return strtoull(argv[i + 1], NULL, 0);
        }
    }
    return otherwise;
}

int main(int argc, char **argv)
{
    bool bugs = argc > 1 && strcmp(argv[argc - 1], "--bugs") == 0;
    static struct cw_settings settings;
    static struct cw_counts counts;
    settings = (struct cw_settings){.scripts = number(argc, argv, "--scripts", 4),
                                    .first = number(argc, argv, "--first", 1),
                                    .damages = number(argc, argv, "--damages", 2),
                                    .nested = number(argc, argv, "--nested", 120),
                                    .errors = number(argc, argv, "--errors", 19)};
    (void)mallopt(M_TRIM_THRESHOLD, 1 << 30); /* disks come and go by the thousand */
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 30);
    static struct cw_script script;
    script.settings = &settings;
    script.counts = &counts;
    if (bugs) {
        return plant(&script) == 0 ? 0 : 1;
    }
    for (uint64_t seed = settings.first; seed < settings.first + settings.scripts; seed++) {
        if (!run(&script, seed)) {
            (void)printf("script %llu: %s\nrepeat: power_fail --first %llu --scripts 1 --damages "
                         "%llu --nested %llu --errors %llu\n",
                         (unsigned long long)seed, script.what, (unsigned long long)seed,
                         (unsigned long long)settings.damages, (unsigned long long)settings.nested,
                         (unsigned long long)settings.errors);
            return 1;
        }
    }
    (void)printf("%llu scripts, %llu operations crashed at, %llu recoveries (%llu of crashed "
                 "recoveries), %llu frames compared, %llu torn tails, %llu operations failed "
                 "(%llu faults), %llu bits of acknowledged frames refused, %llu times full, at "
                 "most %llu segments: all is well\n",
                 (unsigned long long)counts.scripts, (unsigned long long)counts.operations,
                 (unsigned long long)counts.recoveries, (unsigned long long)counts.nested,
                 (unsigned long long)counts.frames, (unsigned long long)counts.torn,
                 (unsigned long long)counts.failed_operations, (unsigned long long)counts.faults,
                 (unsigned long long)counts.damaged, (unsigned long long)counts.full,
                 (unsigned long long)counts.largest_segments);
    return 0;
}
