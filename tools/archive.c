#define _GNU_SOURCE /* nftw, sync_file_range */
#include "tools/archive.h"

#include "core/snapshot.h"
#include "core/time.h"
#include "tools/cli.h"
#include "tools/durable.h"
#include "tools/flush.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    PIECE_BYTES = 1 << 20,
    BEHIND_BYTES = 4 << 20, /* written and not on its way to the disk yet */
    FILES_MAX = 1 << 16,    /* of one core */
    OPEN_TRIES = 8
};

/* ---- names ---- */

static void put_time(int64_t now_ms, struct cw_text *text)
{
    struct cw_civil at = cw_civil_from_ms(now_ms);
    cw_text_printf(text, "%04d-%02u-%02uT%02u%02u%02uZ", at.year, at.month, at.day, at.hour,
                   at.minute, at.second);
}

void cw_archive_name(int64_t now_ms, struct cw_text *text)
{
    put_time(now_ms, text);
    cw_text_puts(text, CW_ARCHIVE_SUFFIX);
}

void cw_archive_name_of(const uint8_t store[16], int64_t now_ms, struct cw_text *text)
{
    put_time(now_ms, text);
    cw_text_printf(text, "-%02x%02x%02x%02x" CW_ARCHIVE_SUFFIX, store[0], store[1], store[2],
                   store[3]);
}

/* d: a digit, x: one of 16, as they are written here. */
static bool has_form(const char *name, const char *form)
{
    bool same = strlen(name) == strlen(form);
    for (; same && *name != '\0'; name++, form++) {
        bool digit = *name >= '0' && *name <= '9';
        same = *form == 'd'   ? digit
               : *form == 'x' ? digit || (*name >= 'a' && *name <= 'f')
                              : *name == *form;
    }
    return same;
}

bool cw_archive_is_name(const char *name)
{
    size_t bytes = strlen(name);
    size_t suffix = sizeof CW_ARCHIVE_SUFFIX - 1;
    char stem[sizeof "dddd-dd-ddTddddddZ-xxxxxxxx"] = "";
    if (bytes < suffix || bytes - suffix >= sizeof stem ||
        strcmp(name + bytes - suffix, CW_ARCHIVE_SUFFIX) != 0) {
        return false;
    }
    memcpy(stem, name, bytes - suffix);
    return has_form(stem, "dddd-dd-ddTddddddZ") || has_form(stem, "dddd-dd-ddTddddddZ-xxxxxxxx");
}

/* ---- writing ---- */

struct writing {
    const struct cw_archive_source *source;
    const char *path;
    struct cw_snapshot_writer writer;
    int file;
    off_t wrote, begun; /* bytes of the file; of these, on their way to the disk */
    char *piece;
    bool stopped;
    int error;
};

/*
 * Gigabytes that the kernel holds back and writes all at once fill the disk's queue, and each flush
 * of the log waits behind them. So a little is on its way at a time, and the next waits for it. An
 * error is told here and then not by fsync again; a file system that cannot do it is left alone.
 */
static bool write_behind(struct writing *w)
{
    off_t bytes = w->wrote - w->begun;
    if (bytes < BEHIND_BYTES) {
        return true;
    }
    int rc = sync_file_range(w->file, w->begun, bytes,
                             SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                                 SYNC_FILE_RANGE_WAIT_AFTER);
    if (rc != 0 && errno != ENOSYS && errno != EINVAL && errno != ESPIPE) {
        w->error = errno;
        return false;
    }
    (void)posix_fadvise(w->file, w->begun, bytes, POSIX_FADV_DONTNEED);
    w->begun = w->wrote;
    return true;
}

static bool put(void *self, const void *data, uint32_t bytes)
{
    struct writing *w = self;
    const char *from = data;
    w->stopped = w->source->stop != NULL && atomic_load(w->source->stop);
    while (bytes > 0 && !w->stopped) {
        ssize_t wrote = write(w->file, from, bytes);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            w->error = wrote < 0 ? errno : EIO;
            return false;
        }
        from += wrote;
        bytes -= (uint32_t)wrote;
        w->wrote += wrote;
        cw_bar_show(w->source->bar, 0, 0, "%lld MB written", (long long)w->wrote / 1000000);
        if (!write_behind(w)) {
            return false;
        }
    }
    return !w->stopped;
}

static cw_err refused(const struct writing *w, struct cw_fault *fault)
{
    if (w->stopped) {
        return cw_fail(fault, CW_ERR_AGAIN, "the engine stops");
    }
    errno = w->error;
    return cw_fail(fault, CW_ERR_IO, "writing %.200s", w->path);
}

static cw_err add_text(struct writing *w, struct cw_view name, struct cw_view text,
                       struct cw_fault *fault)
{
    bool good = cw_snapshot_member(&w->writer, name) &&
                cw_snapshot_data(&w->writer, text.data, text.bytes) &&
                cw_snapshot_end_member(&w->writer);
    return good ? CW_ERR_OK : refused(w, fault);
}

/* The first `most` bytes of a file; there may be fewer. */
static cw_err add_file(struct writing *w, const char *name, const char *path, uint64_t most,
                       struct cw_fault *fault)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    bool good = cw_snapshot_member(&w->writer, (struct cw_view){name, (uint32_t)strlen(name)});
    ssize_t got = 0;
    uint64_t done = 0;
    while (good && done < most) {
        uint64_t want = most - done < PIECE_BYTES ? most - done : PIECE_BYTES;
        got = read(file, w->piece, want);
        if (got <= 0) {
            break;
        }
        good = cw_snapshot_data(&w->writer, w->piece, (uint64_t)got);
        done += (uint64_t)got;
    }
    cw_err err = CW_ERR_OK;
    if (got < 0) {
        err = cw_fail(fault, CW_ERR_IO, "reading %s", path);
    } else if (!good || !cw_snapshot_end_member(&w->writer)) {
        err = refused(w, fault);
    }
    /* It is read once: what the engine works with stays in memory instead. */
    (void)posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    (void)close(file);
    return err;
}

/* A program's name as a member's: what such a name may not have becomes _, and it is called like a
   program, by which it is found again. */
static void program_name(uint32_t number, const char *path, char name[CW_SNAPSHOT_NAME_MAX])
{
    const char *slash = strrchr(path, '/');
    (void)snprintf(name, CW_SNAPSHOT_NAME_MAX, "programs/%u-%.150s", number,
                   slash != NULL ? slash + 1 : path);
    size_t bytes = strlen(name);
    if (!cw_is_program(name)) {
        (void)snprintf(name + bytes, CW_SNAPSHOT_NAME_MAX - bytes, ".yaml");
    }
    for (char *c = name + sizeof "programs/" - 1; *c != '\0'; c++) {
        bool good = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || *c == '.' || *c == '_' || *c == '-';
        *c = good ? *c : '_';
    }
}

static cw_err add_head(struct writing *w, struct cw_fault *fault)
{
    const struct cw_archive_source *source = w->source;
    struct cw_manifest manifest = source->manifest;
    struct cw_text text = {0};
    char path[PATH_BYTES];
    manifest.held = CW_HOLD_RESTORED; /* what went out later is not known where it is restored */
    manifest.clean = false;
    cw_manifest_write(&manifest, &text);
    cw_err err =
        add_text(w, CW_VIEW("manifest"), (struct cw_view){text.data, (uint32_t)text.bytes}, fault);
    cw_text_deinit(&text);
    (void)snprintf(path, sizeof path, "%.3900s/secret.key", source->state);
    if (err == CW_ERR_OK && access(path, F_OK) == 0) {
        err = add_file(w, "secret.key", path, UINT64_MAX, fault);
    }
    if (err == CW_ERR_OK && source->program_count == 0) {
        err = add_text(w, CW_VIEW("programs/1-abandoned-cart-recovery.yaml"),
                       cw_shipped(CW_PROGRAM_SHIPPED), fault);
    }
    for (uint32_t i = 0; i < source->program_count && err == CW_ERR_OK; i++) {
        char name[CW_SNAPSHOT_NAME_MAX];
        program_name(i + 1, source->programs[i].path, name);
        err = add_text(w, (struct cw_view){name, (uint32_t)strlen(name)}, source->programs[i].yaml,
                       fault);
    }
    return err;
}

static cw_err add_of_core(struct writing *w, uint32_t core, const char *file, uint64_t most,
                          struct cw_fault *fault)
{
    char name[CW_SNAPSHOT_NAME_MAX];
    char path[PATH_BYTES];
    (void)snprintf(name, sizeof name, "shard-%u/%s", core, file);
    (void)snprintf(path, sizeof path, "%.3900s/epoch-%08llu/core-%03u/%s", w->source->state,
                   (unsigned long long)w->source->manifest.epoch, core, file);
    return add_file(w, name, path, most, fault);
}

static cw_err add_image(struct writing *w, uint32_t core, const struct cw_store_image *image,
                        struct cw_fault *fault)
{
    char file[CW_DISK_NAME_BYTES];
    (void)snprintf(file, sizeof file, "checkpoint-%016llx", (unsigned long long)image->checkpoint);
    cw_err err = add_of_core(w, core, file, UINT64_MAX, fault);
    for (uint64_t seq = image->log.first; seq <= image->log.last && err == CW_ERR_OK; seq++) {
        (void)snprintf(file, sizeof file, "log-%016llx", (unsigned long long)seq);
        err = add_of_core(w, core, file,
                          seq == image->log.last ? image->log.last_bytes : UINT64_MAX, fault);
    }
    return err;
}

/* True of checkpoints and segments that count: not of what is being written, nor of spares. */
static int counts(const struct dirent *entry)
{
    const char *name = entry->d_name;
    return (strncmp(name, "checkpoint-", 11) == 0 && strchr(name, '.') == NULL) ||
           strncmp(name, "log-", 4) == 0;
}

static cw_err add_all(struct writing *w, uint32_t core, struct cw_fault *fault)
{
    char path[PATH_BYTES];
    struct dirent **list = NULL;
    (void)snprintf(path, sizeof path, "%.3900s/epoch-%08llu/core-%03u", w->source->state,
                   (unsigned long long)w->source->manifest.epoch, core);
    int count = scandir(path, &list, counts, alphasort);
    cw_err err = count >= 0 ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "reading %s", path);
    for (int i = 0; i < count; i++) {
        if (err == CW_ERR_OK) {
            err = add_of_core(w, core, list[i]->d_name, UINT64_MAX, fault);
        }
        free(list[i]);
    }
    free(list);
    return err;
}

static cw_err write_all(struct writing *w, struct cw_fault *fault)
{
    if (!cw_snapshot_begin(&w->writer, put, w)) {
        return refused(w, fault);
    }
    cw_err err = add_head(w, fault);
    for (uint32_t i = 0; i < w->source->manifest.cores && err == CW_ERR_OK; i++) {
        err = w->source->images != NULL ? add_image(w, i, &w->source->images[i], fault)
                                        : add_all(w, i, fault);
    }
    if (err == CW_ERR_OK && !cw_snapshot_end(&w->writer)) {
        err = refused(w, fault);
    }
    if (err == CW_ERR_OK && fsync(w->file) != 0) {
        err = cw_fail(fault, CW_ERR_IO, "flushing the snapshot");
    }
    return err;
}

bool cw_archive_drop_unfinished(const char *path)
{
    int file = open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0) { /* it is not there, or not ours to remove */
        return true;
    }
    /* Where there are no locks, nobody is asked. */
    bool free_now = flock(file, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK;
    if (free_now) {
        (void)unlink(path);
    }
    (void)close(file);
    return free_now;
}

/* The file to write into, locked. Who cleans up may have had it first, for a moment. */
static int open_unfinished(const char *path, const char *file, struct cw_fault *fault)
{
    for (uint32_t tries = 0; tries < OPEN_TRIES; tries++) {
        struct stat found;
        if (!cw_archive_drop_unfinished(path)) {
            (void)cw_fail(fault, CW_ERR_INVALID, "%s is being written; name another file", file);
            return -1;
        }
        int out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (out < 0 && errno != EEXIST) {
            break;
        }
        if (out >= 0 && (flock(out, LOCK_EX) == 0 || errno != EINTR) && fstat(out, &found) == 0 &&
            found.st_nlink > 0) {
            return out;
        }
        if (out >= 0) {
            (void)close(out);
        }
    }
    (void)cw_fail(fault, CW_ERR_IO, "making %s", path);
    return -1;
}

cw_err cw_archive_write(const struct cw_archive_source *source, const char *file, uint64_t *bytes,
                        struct cw_fault *fault)
{
    char made[PATH_BYTES];
    (void)snprintf(made, sizeof made, "%.4000s" CW_ARCHIVE_UNFINISHED, file);
    struct writing w = {.source = source, .path = made};
    w.file = open_unfinished(made, file, fault);
    if (w.file < 0) {
        return fault->code;
    }
    cw_err err = CW_ERR_OK;
    if (access(file, F_OK) == 0) { /* who had the lock before has given it its name */
        err = cw_fail(fault, CW_ERR_INVALID, "%s is there already; name another file", file);
    } else {
        w.piece = malloc(PIECE_BYTES);
        CW_ASSERT(w.piece != NULL);
        err = write_all(&w, fault);
        free(w.piece);
    }
    if (err == CW_ERR_OK && rename(made, file) != 0) {
        err = cw_fail(fault, CW_ERR_IO, "naming %s", file);
    }
    if (err != CW_ERR_OK) {
        (void)unlink(made);
    }
    (void)close(w.file);
    cw_bar_clear(source->bar);
    if (err != CW_ERR_OK) {
        return err;
    }
    *bytes = w.writer.bytes;
    return cw_flush_parent(file, fault);
}

/* ---- reading ---- */

static cw_err is_none(const char *file, bool empty, struct cw_fault *fault)
{
    return cw_fail(fault, CW_ERR_INVALID,
                   "%.120s is %s: name a file that `cartwheel snapshot` made (" CW_ARCHIVE_SUFFIX
                   ")",
                   file, empty ? "empty, and no snapshot" : "no snapshot of cartwheel");
}

/* Of a file whose reading came to its end, or is to go no further. */
static cw_err judge(const char *file, const struct cw_snapshot_reader *reader,
                    const struct cw_fault *why, struct cw_fault *fault)
{
    if (reader->state == CW_SNAPSHOT_BAD && why != NULL && why->code != CW_ERR_OK) {
        *fault = *why;
        return cw_fail_while(fault, "%s", file);
    }
    if (reader->format != 0) {
        return cw_fail(fault, CW_ERR_UNSUPPORTED,
                       "%.100s: the snapshot has format %u, this cartwheel reads %u: use the "
                       "version that made it",
                       file, reader->format, CW_SNAPSHOT_FORMAT);
    }
    if (reader->state == CW_SNAPSHOT_BAD) {
        return cw_fail(fault, CW_ERR_CORRUPT, "%s is damaged, after %llu good bytes: %s", file,
                       (unsigned long long)reader->bytes, reader->why);
    }
    return reader->state == CW_SNAPSHOT_DONE
               ? CW_ERR_OK
               : cw_fail(fault, CW_ERR_CORRUPT, "%s is cut off: its end is missing", file);
}

/* Without a receiver it is only proven. */
static cw_err read_all(const char *file, const struct cw_snapshot_receiver *receiver,
                       const struct cw_fault *why, struct cw_bar *bar, struct cw_fault *fault)
{
    int in = open(file, O_RDONLY | O_CLOEXEC);
    if (in < 0) {
        return errno == ENOENT
                   ? cw_fail(fault, CW_ERR_NOT_FOUND,
                             "there is no file %.120s; what `cartwheel snapshot --to URL` makes is "
                             "in the state's directory, in snapshots/",
                             file)
                   : cw_fail(fault, CW_ERR_IO, "opening %s", file);
    }
    char *room = aligned_alloc(64, (CW_SNAPSHOT_ROOM_BYTES + 63) & ~63u);
    char *piece = malloc(PIECE_BYTES);
    CW_ASSERT(room != NULL && piece != NULL);
    struct cw_snapshot_reader reader;
    cw_snapshot_reader_begin(&reader, room, receiver);
    struct stat found = {.st_size = 0};
    (void)fstat(in, &found); /* for the bar alone */
    ssize_t got;
    bool begun = false;
    while ((got = read(in, piece, PIECE_BYTES)) > 0) { /* until the file ends */
        begun = begun || cw_snapshot_begins(piece, (uint64_t)got);
        if (!begun || cw_snapshot_feed(&reader, piece, (uint64_t)got) == CW_SNAPSHOT_BAD) {
            break;
        }
        cw_bar_show(bar, reader.bytes, (uint64_t)found.st_size, "%s the snapshot",
                    receiver == NULL ? "proving" : "unpacking");
    }
    cw_bar_clear(bar);
    cw_err err = got < 0  ? cw_fail(fault, CW_ERR_IO, "reading %s", file)
                 : !begun ? is_none(file, got == 0, fault)
                          : judge(file, &reader, why, fault);
    free(piece);
    free(room);
    (void)close(in);
    return err;
}

cw_err cw_archive_verify(const char *file, struct cw_bar *bar, struct cw_fault *fault)
{
    return read_all(file, NULL, NULL, bar, fault);
}

void cw_archive_advise(const char *file, FILE *to)
{
    char room[4 * PATH_BYTES];
    char directory[PATH_BYTES] = ".";
    const char *slash = strrchr(file, '/');
    if (slash != NULL) {
        (void)snprintf(directory, sizeof directory, "%.*s", (int)(slash - file) + (slash == file),
                       file);
    }
    (void)fprintf(to,
                  "cartwheel: take an older snapshot that is good; which ones are: cartwheel "
                  "verify %s/*" CW_ARCHIVE_SUFFIX "\n",
                  cw_shell_word(directory, room, sizeof room));
}

/* ---- the manifest ---- */

/* The first member. */
struct heading {
    struct cw_text text;
    struct cw_manifest manifest;
    bool known;          /* the manifest was read */
    struct cw_fault why; /* code OK: nothing was wrong */
};

static bool begin_manifest(void *self, struct cw_view name)
{
    struct heading *heading = self;
    if (!cw_view_equal(name, CW_VIEW("manifest"))) {
        (void)cw_fail(&heading->why, CW_ERR_CORRUPT, "it does not begin with a manifest");
        return false;
    }
    return true;
}

static bool add_to_manifest(void *self, struct cw_view bytes)
{
    struct heading *heading = self;
    cw_text_view(&heading->text, bytes);
    if (heading->text.bytes > CW_MANIFEST_BYTES_MAX) {
        (void)cw_fail(&heading->why, CW_ERR_CORRUPT, "its manifest is too long");
        return false;
    }
    return true;
}

static bool know_manifest(struct heading *heading)
{
    struct cw_view text = {heading->text.data, (uint32_t)heading->text.bytes};
    heading->known = cw_manifest_read(&heading->manifest, text, &heading->why) == CW_ERR_OK;
    return heading->known;
}

/* Reading ends here, one way or the other. */
static bool end_manifest(void *self)
{
    (void)know_manifest(self);
    return false;
}

cw_err cw_archive_manifest(const char *file, struct cw_manifest *manifest, struct cw_fault *fault)
{
    struct heading heading = {.why = {.code = CW_ERR_OK}};
    const struct cw_snapshot_receiver receiver = {begin_manifest, add_to_manifest, end_manifest,
                                                  &heading};
    cw_err err = read_all(file, &receiver, &heading.why, NULL, fault);
    if (heading.known) {
        *manifest = heading.manifest;
        err = CW_ERR_OK;
    } else if (err == CW_ERR_OK) {
        err = cw_fail(fault, CW_ERR_CORRUPT, "%s has no manifest: it is no engine's", file);
    }
    cw_text_deinit(&heading.text);
    return err;
}

/* ---- unpacking ---- */

struct unpacking {
    const char *directory;
    struct heading head; /* its `why` is that of all of it */
    int file;            /* of the member at work; -1: none, or it is the manifest */
};

static bool wrong(struct unpacking *u, cw_err code, const char *what, const char *name)
{
    if (u->head.why.code == CW_ERR_OK) {
        (void)cw_fail(&u->head.why, code, "%s %s", what, name);
    }
    return false;
}

static bool make_directory(struct unpacking *u, const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST || wrong(u, CW_ERR_IO, "making", path);
}

/* shard-<n>/<file>: where it belongs in a state; false: no such name. */
static bool core_path(struct unpacking *u, const char *name, char path[PATH_BYTES])
{
    char *end = NULL;
    unsigned long core = strtoul(name + 6, &end, 10);
    if (!u->head.known || *end != '/' || strchr(end + 1, '/') != NULL ||
        core >= u->head.manifest.cores) {
        return wrong(u, CW_ERR_CORRUPT, "it has a member that no state has:", name);
    }
    (void)snprintf(path, PATH_BYTES, "%.3800s/epoch-%08llu", u->directory,
                   (unsigned long long)u->head.manifest.epoch);
    size_t bytes = strlen(path);
    bool good = make_directory(u, path);
    (void)snprintf(path + bytes, PATH_BYTES - bytes, "/core-%03lu", core);
    good = good && make_directory(u, path);
    bytes = strlen(path);
    (void)snprintf(path + bytes, PATH_BYTES - bytes, "%s", end);
    return good;
}

static bool on_member(void *self, struct cw_view view)
{
    struct unpacking *u = self;
    char name[CW_SNAPSHOT_NAME_MAX + 1];
    char path[PATH_BYTES];
    memcpy(name, view.data, view.bytes);
    name[view.bytes] = '\0';
    u->file = -1;
    if (strcmp(name, "manifest") == 0) {
        return !u->head.known || wrong(u, CW_ERR_CORRUPT, "it has two of", name);
    }
    if (strncmp(name, "shard-", 6) == 0) {
        if (!core_path(u, name, path)) {
            return false;
        }
    } else if (strcmp(name, "secret.key") == 0) {
        (void)snprintf(path, sizeof path, "%.3900s/secret.key", u->directory);
    } else if (strncmp(name, "programs/", 9) == 0 && strchr(name + 9, '/') == NULL) {
        (void)snprintf(path, sizeof path, "%.3800s/programs", u->directory);
        if (!make_directory(u, path)) {
            return false;
        }
        (void)snprintf(path, sizeof path, "%.3800s/%s", u->directory, name);
    } else {
        return wrong(u, CW_ERR_CORRUPT, "it has a member that no state has:", name);
    }
    u->file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return u->file >= 0 || wrong(u, CW_ERR_IO, "making", path);
}

static bool on_data(void *self, struct cw_view bytes)
{
    struct unpacking *u = self;
    if (u->file < 0) {
        return add_to_manifest(&u->head, bytes);
    }
    while (bytes.bytes > 0) {
        ssize_t wrote = write(u->file, bytes.data, bytes.bytes);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            return wrong(u, CW_ERR_IO, "writing into", u->directory);
        }
        bytes.data += wrote;
        bytes.bytes -= (uint32_t)wrote;
    }
    return true;
}

static bool on_end(void *self)
{
    struct unpacking *u = self;
    if (u->file < 0) {
        return know_manifest(&u->head);
    }
    bool good = fsync(u->file) == 0 || wrong(u, CW_ERR_IO, "flushing a file in", u->directory);
    (void)close(u->file);
    u->file = -1;
    return good;
}

/* Names in all directories of it. */
static int sync_found(const char *path, const struct stat *found, int type, struct FTW *at)
{
    struct cw_fault fault;
    (void)found;
    (void)at;
    return type == FTW_DP && cw_flush_directory(path, &fault) != CW_ERR_OK;
}

cw_err cw_archive_unpack(const char *file, const char *directory, bool held,
                         struct cw_manifest *manifest, struct cw_bar *bar, struct cw_fault *fault)
{
    struct unpacking u = {.directory = directory, .file = -1, .head = {.why = {.code = CW_ERR_OK}}};
    const struct cw_snapshot_receiver receiver = {on_member, on_data, on_end, &u};
    if (mkdir(directory, 0700) != 0) {
        return cw_fail(fault, CW_ERR_IO, "making %s", directory);
    }
    cw_err err = read_all(file, &receiver, &u.head.why, bar, fault);
    if (u.file >= 0) {
        (void)close(u.file);
    }
    cw_text_deinit(&u.head.text);
    if (err == CW_ERR_OK && !u.head.known) {
        err = cw_fail(fault, CW_ERR_CORRUPT, "%s has no manifest: it is no engine's", file);
    }
    if (err == CW_ERR_OK) {
        struct cw_durable_directory where = {.path = directory};
        struct cw_durable_files files = cw_durable_files(&where);
        u.head.manifest.held = held ? CW_HOLD_RESTORED : CW_HOLD_NONE;
        u.head.manifest.generation = 0; /* begun here: the first start fills the other slot */
        err = files.store(files.self, &u.head.manifest, fault);
    }
    if (err == CW_ERR_OK && nftw(directory, sync_found, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        err = cw_fail(fault, CW_ERR_IO, "flushing %s", directory);
    }
    *manifest = u.head.manifest;
    return err;
}

static int remove_found(const char *path, const struct stat *found, int type, struct FTW *at)
{
    (void)found;
    (void)type;
    (void)at;
    (void)remove(path);
    return 0;
}

void cw_archive_remove(const char *directory)
{
    (void)nftw(directory, remove_found, 16, FTW_DEPTH | FTW_PHYS);
}
