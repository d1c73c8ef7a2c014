#include "tools/durable_loss.h"

#include "core/log_priv.h" /* names of segments */
#include "core/record.h"
#include "core/time.h"
#include "io/clock.h"
#include "tools/archive.h"
#include "tools/flush.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    PIECE_BYTES = 1 << 20,
    TRIES_MAX = 100
};

/* One core's log that is to be cut. */
struct cut {
    uint32_t core;
    struct cw_log_damage damage;
    char why[256];           /* what recovery said of it */
    char folder[PATH_BYTES]; /* the core's */
    char aside[PATH_BYTES];
};

bool cw_loss_parse(const char *text, struct cw_loss *loss)
{
    char *end = NULL;
    errno = 0;
    unsigned long long core = strtoull(text, &end, 10);
    bool good = *text >= '0' && *text <= '9' && *end == ':' && core < 1000;
    text = end + (good ? 1 : 0);
    unsigned long long lsn = good ? strtoull(text, &end, 10) : 0;
    good = good && *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && lsn > 0;
    *loss = (struct cw_loss){.core = (uint32_t)core, .lsn = lsn};
    return good;
}

void cw_loss_advise(uint32_t core, const struct cw_log_damage *damage, FILE *to)
{
    if (!damage->may_be_cut) {
        (void)fprintf(to,
                      "cartwheel: restore the newest snapshot that verifies into a new "
                      "directory%s\n",
                      damage->lsn != 0 ? "; --accept-loss is no way on here: a checkpoint needs "
                                         "what is damaged"
                                       : "");
        return;
    }
    (void)fprintf(to,
                  "cartwheel: restore the newest snapshot that verifies into a new directory; or, "
                  "to give up LSN %llu to %llu of core %u\n  for good, with all that was "
                  "acknowledged in them: cartwheel run --accept-loss %u:%llu\n",
                  (unsigned long long)damage->lsn, (unsigned long long)damage->last_lsn, core, core,
                  (unsigned long long)damage->lsn);
}

/* ---- looking ---- */

static bool are_records(void *with, struct cw_view records)
{
    struct cw_record record;
    enum cw_record_read read;
    (void)with;
    while ((read = cw_record_next(&records, &record)) == CW_RECORD_READ) {
    }
    return read == CW_RECORD_END;
}

static cw_err look(const struct cw_durable_files *files, const struct cw_manifest *manifest,
                   const struct cw_loss *loss, struct cut *cut, struct cw_fault *fault)
{
    struct cw_checkpoint_found checkpoint = {0};
    struct cw_log_found log = {0};
    struct cw_fault told;
    if (loss->core >= manifest->cores) {
        return cw_fail(fault, CW_ERR_INVALID, "--accept-loss %u:%llu: the state has cores 0 to %u",
                       loss->core, (unsigned long long)loss->lsn, manifest->cores - 1);
    }
    cw_err err =
        cw_durable_scan(files, manifest, loss->core, are_records, NULL, &checkpoint, &log, &told);
    if (err == CW_ERR_OK) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "--accept-loss %u:%llu: the log of core %u is whole; leave that option out",
                       loss->core, (unsigned long long)loss->lsn, loss->core);
    }
    if (err != CW_ERR_CORRUPT || !log.damage.may_be_cut) {
        *fault = told;
        return cw_fail_while(fault, "core %u cannot be cut", loss->core);
    }
    if (log.damage.lsn != loss->lsn) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "--accept-loss %u:%llu: the damage of core %u is at LSN %llu, not there; "
                       "look at what `cartwheel verify` says, and repeat that figure",
                       loss->core, (unsigned long long)loss->lsn, loss->core,
                       (unsigned long long)log.damage.lsn);
    }
    *cut = (struct cut){.core = loss->core, .damage = log.damage};
    (void)snprintf(cut->why, sizeof cut->why, "%.250s", told.text);
    return CW_ERR_OK;
}

/* ---- keeping aside ---- */

/* The highest segment behind the damaged one; 0: none. */
static uint64_t last_behind(const struct cut *cut, struct cw_fault *fault, cw_err *err)
{
    uint64_t last = 0;
    DIR *names = opendir(cut->folder);
    if (names == NULL) {
        *err = cw_fail(fault, CW_ERR_IO, "opening %s", cut->folder);
        return 0;
    }
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
        uint64_t number = 0;
        bool segment = cw_log_name_read(entry->d_name, &number) == CW_LOG_NAME_SEGMENT;
        last = segment && number > last ? number : last;
    }
    (void)closedir(names);
    return last > cut->damage.segment ? last : 0;
}

static cw_err copy(const char *from, const char *to, struct cw_fault *fault)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    char *piece = malloc(PIECE_BYTES);
    CW_ASSERT(piece != NULL);
    bool good = in >= 0 && out >= 0;
    ssize_t got = 0;
    while (good && (got = read(in, piece, PIECE_BYTES)) > 0) {
        good = write(out, piece, (size_t)got) == got;
    }
    good = good && got == 0 && fsync(out) == 0;
    cw_err err = good ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "copying %s to %s", from, to);
    free(piece);
    if (in >= 0) {
        (void)close(in);
    }
    if (out >= 0) {
        (void)close(out);
    }
    return err;
}

/* The folder for what is kept: named by the time, and by a number where one was begun in this
   second and cut short. */
static cw_err make_aside(struct cut *cut, const char *base, struct cw_fault *fault)
{
    size_t bytes = strlen(cut->aside);
    if (mkdir(base, 0700) != 0 && errno != EEXIST) {
        return cw_fail(fault, CW_ERR_IO, "making %s", base);
    }
    bool made = mkdir(cut->aside, 0700) == 0;
    for (uint32_t i = 2; !made && errno == EEXIST && i <= TRIES_MAX; i++) {
        (void)snprintf(cut->aside + bytes, sizeof cut->aside - bytes, "-%u", i);
        made = mkdir(cut->aside, 0700) == 0;
    }
    return made ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "making %s", cut->aside);
}

/* The damaged segment as a copy, since it is cut where it is; the later ones by a second name. */
static cw_err keep_aside(struct cut *cut, const char *state, struct cw_fault *fault)
{
    char from[PATH_BYTES + 80];
    char to[PATH_BYTES + 80];
    char name[CW_DISK_NAME_BYTES];
    char base[PATH_BYTES];
    cw_err err = CW_ERR_OK;
    (void)snprintf(base, sizeof base, "%.3900s/given-up", state);
    err = make_aside(cut, base, fault);
    uint64_t last = err == CW_ERR_OK ? last_behind(cut, fault, &err) : 0;
    for (uint64_t i = cut->damage.segment;
         err == CW_ERR_OK && (i == cut->damage.segment || i <= last); i++) {
        cw_log_name(name, i);
        (void)snprintf(from, sizeof from, "%s/%s", cut->folder, name);
        (void)snprintf(to, sizeof to, "%s/%s", cut->aside, name);
        if (i == cut->damage.segment) {
            err = copy(from, to, fault);
        } else if (link(from, to) != 0 && errno != ENOENT) { /* one that is missing is so */
            err = cw_fail(fault, CW_ERR_IO, "naming %s", to);
        }
    }
    err = err == CW_ERR_OK ? cw_flush_directory(cut->aside, fault) : err;
    err = err == CW_ERR_OK ? cw_flush_directory(base, fault) : err;
    return err == CW_ERR_OK ? cw_flush_directory(state, fault) : err;
}

static cw_err write_down(const struct cut *cut, const char *state, struct cw_fault *fault)
{
    char path[PATH_BYTES];
    char name[CW_DISK_NAME_BYTES];
    struct cw_text line = {0};
    cw_log_name(name, cut->damage.segment);
    (void)snprintf(path, sizeof path, "%.3900s/losses.ndjson", state);
    cw_text_puts(&line, "{\"at\":");
    cw_text_json_time(&line, cw_clock_wall_ms());
    cw_text_printf(&line,
                   ",\"core\":%u,\"lsn\":%llu,\"lastLsn\":%llu,\"segment\":\"%s\",\"offset\":%llu,"
                   "\"keptIn\":",
                   cut->core, (unsigned long long)cut->damage.lsn,
                   (unsigned long long)cut->damage.last_lsn, name,
                   (unsigned long long)cut->damage.offset);
    cw_text_json(&line, (struct cw_view){cut->aside, (uint32_t)strlen(cut->aside)});
    cw_text_puts(&line, ",\"why\":");
    cw_text_json(&line, (struct cw_view){cut->why, (uint32_t)strlen(cut->why)});
    cw_text_puts(&line, "}\n");
    cw_err err = cw_flush_line(path, (struct cw_view){line.data, (uint32_t)line.bytes}, fault);
    cw_text_deinit(&line);
    return err;
}

/* ---- cutting ---- */

/* From the end: as long as the damaged segment stands as it was, the damage is found where it was.
   Cut off, it ends the log like any other end. */
static cw_err cut_off(const struct cut *cut, struct cw_fault *fault)
{
    char path[PATH_BYTES + 80];
    char name[CW_DISK_NAME_BYTES];
    cw_err err = CW_ERR_OK;
    uint64_t last = last_behind(cut, fault, &err);
    for (uint64_t i = last; err == CW_ERR_OK && i > cut->damage.segment; i--) {
        cw_log_name(name, i);
        (void)snprintf(path, sizeof path, "%s/%s", cut->folder, name);
        if (unlink(path) != 0 && errno != ENOENT) {
            err = cw_fail(fault, CW_ERR_IO, "removing %s, which is kept in %s", path, cut->aside);
        }
    }
    err = err == CW_ERR_OK ? cw_flush_directory(cut->folder, fault) : err;
    if (err != CW_ERR_OK) {
        return err;
    }
    cw_log_name(name, cut->damage.segment);
    (void)snprintf(path, sizeof path, "%s/%s", cut->folder, name);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    bool good = file >= 0 && ftruncate(file, (off_t)cut->damage.offset) == 0 && fsync(file) == 0;
    err = good ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "cutting %s", path);
    if (file >= 0) {
        (void)close(file);
    }
    return err;
}

static void say(const struct cut *cut, FILE *to)
{
    (void)fprintf(to,
                  "cartwheel: WARNING: core %u: LSN %llu to %llu are GIVEN UP, as was asked, with "
                  "all that was acknowledged in them:\n  events, orders, opt-outs, and what was "
                  "sent. What stood there is kept in %s;\n  losses.ndjson in the state has it. "
                  "Sends are held: `cartwheel resume --assume-sent-until TIME`\n",
                  cut->core, (unsigned long long)cut->damage.lsn,
                  (unsigned long long)cut->damage.last_lsn, cut->aside);
}

static void name_places(struct cut *cut, const struct cw_manifest *manifest, const char *state)
{
    struct cw_text when = {0};
    cw_archive_name(cw_clock_wall_ms(), &when);
    const char *text = cw_text_terminate(&when);
    size_t bytes = strlen(text) - (sizeof CW_ARCHIVE_SUFFIX - 1);
    (void)snprintf(cut->folder, sizeof cut->folder, "%.3900s/epoch-%08llu/core-%03u", state,
                   (unsigned long long)manifest->epoch, cut->core);
    (void)snprintf(cut->aside, sizeof cut->aside, "%.3900s/given-up/%.*s-core-%03u", state,
                   (int)bytes, text, cut->core);
    cw_text_deinit(&when);
}

/* NOLINTNEXTLINE(readability-function-size): what is cut off, where, who is told */
cw_err cw_losses_accept(struct cw_durable *durable, const struct cw_durable_files *files,
                        const char *state, const struct cw_loss *losses, uint32_t count, FILE *to,
                        struct cw_fault *fault)
{
    const struct cw_manifest *manifest = cw_durable_manifest(durable);
    if (manifest->cores == 0) {
        return cw_fail(fault, CW_ERR_INVALID, "--accept-loss: there is no state in %.200s", state);
    }
    struct cut *cuts = calloc(count, sizeof *cuts);
    CW_ASSERT(cuts != NULL);
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; i < count && err == CW_ERR_OK; i++) {
        err = look(files, manifest, &losses[i], &cuts[i], fault);
        for (uint32_t k = 0; k < i && err == CW_ERR_OK; k++) {
            if (losses[k].core == losses[i].core) {
                err = cw_fail(fault, CW_ERR_INVALID, "--accept-loss names core %u twice",
                              losses[i].core);
            }
        }
    }
    if (err == CW_ERR_OK) {
        err = cw_durable_hold(durable, manifest->held | CW_HOLD_LOSS, fault);
    }
    for (uint32_t i = 0; i < count && err == CW_ERR_OK; i++) {
        name_places(&cuts[i], manifest, state);
        err = keep_aside(&cuts[i], state, fault);
        err = err == CW_ERR_OK ? write_down(&cuts[i], state, fault) : err;
        err = err == CW_ERR_OK ? cut_off(&cuts[i], fault) : err;
        if (err == CW_ERR_OK) {
            say(&cuts[i], to);
        }
    }
    free(cuts);
    return err;
}
