#define _GNU_SOURCE /* statx */
/* restore: a snapshot becomes a state that an engine can be started on. */
#include "core/time.h"
#include "tools/archive.h"
#include "tools/aside.h"
#include "tools/flush.h"
#include "tools/look.h"
#include "tools/place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "usage: cartwheel restore FILE.cwsnap --state DIR [OPTIONS]\n"
    "\n"
    "Proves the whole snapshot, unpacks it beside DIR, reads it as a start would, and\n"
    "only then gives it its name. DIR must not be there, or be empty; where it is a\n"
    "mount point, a volume or a link, all that is done in it. Killed at any moment,\n"
    "it leaves a whole state, or none and a mark (DIR.new-*, or restore.new-* in\n"
    "DIR): a start is refused while that is there, and the next restore removes it.\n"
    "What is wrong with the programs, or own templates that are not at hand, is a\n"
    "warning: a start wants them good. On a terminal, standard error shows how far it\n"
    "is.\n"
    "\n"
    "An engine started on it serves, but its sends are HELD until `cartwheel resume`:\n"
    "what went out after the snapshot was made is not known to it, and would go out\n"
    "again.\n"
    "\n"
    "  --state DIR  the directory to make\n"
    "  --resume     sends are not held: nothing went out since, or twice does not\n"
    "               matter\n"
    "  --json       what was made as one JSON object instead of words\n"
    "  --help       print this\n"
    "\n"
    "exit: 0 restored, 1 failed, 2 wrong usage, or it is no snapshot, 78 the snapshot\n"
    "is damaged\n";

enum {
    QUOTED_BYTES = 4 * 4200,
    COMMAND_BYTES = 54 /* of a path in a command that is told: two and more have to fit a fault */
};

struct restore {
    const char *file, *state;
    bool resume, json, help;
};

/* Where a state is to be, and how it comes there. */
struct target {
    char path[4096];
    int lock;    /* on it, against another restore; -1: it is not there */
    bool there;  /* a directory, with nothing in it that matters */
    bool within; /* it cannot be replaced, so the state is unpacked in it */
};

static bool is_own(const char *name)
{
    return strncmp(name, CW_ASIDE_RESTORE, sizeof CW_ASIDE_RESTORE - 1) == 0;
}

/* What may be in a directory that a state can be made in: a new file system's own; the lock of a
   start that was refused; asides; and where a restore did not come to its end, what it has brought
   there. */
static bool may_stay(const char *name, bool unfinished)
{
    static const char *const known[] = {".", "..", "lost+found", "lock"};
    static const char *const left[] = {"secret.key", "programs"};
    bool may = is_own(name) || (unfinished && strncmp(name, "epoch-", 6) == 0);
    for (size_t i = 0; i < CW_COUNTOF(known); i++) {
        may = may || strcmp(name, known[i]) == 0;
    }
    for (size_t i = 0; i < CW_COUNTOF(left) && unfinished; i++) {
        may = may || strcmp(name, left[i]) == 0;
    }
    return may;
}

/* A mount point or a link keeps its name, and lost+found its place. */
static bool stays(const struct target *target)
{
    char path[4200];
    struct stat own;
    struct stat above;
    struct statx more;
    (void)snprintf(path, sizeof path, "%s/lost+found", target->path);
    if (access(path, F_OK) == 0 || lstat(target->path, &own) != 0 || S_ISLNK(own.st_mode)) {
        return true;
    }
    if (statx(AT_FDCWD, target->path, 0, STATX_BASIC_STATS, &more) == 0 &&
        (more.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) != 0) {
        return (more.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0;
    }
    (void)snprintf(path, sizeof path, "%s/..", target->path);
    return stat(path, &above) != 0 || own.st_dev != above.st_dev;
}

static bool can_be_made_beside(const struct target *target)
{
    char parent[4096];
    (void)snprintf(parent, sizeof parent, "%s", target->path);
    char *slash = strrchr(parent, '/');
    if (slash != NULL) {
        slash[slash == parent ? 1 : 0] = '\0';
    }
    return access(slash != NULL ? parent : ".", W_OK | X_OK) == 0;
}

static cw_err refuse(const struct target *target, struct cw_fault *fault)
{
    char prefix[CW_ASIDE_BYTES];
    char old[4200];
    char from[QUOTED_BYTES];
    char to[QUOTED_BYTES];
    /* With a state there, nobody needs to be told of a restore that did not make one. */
    if (cw_place_has_state(target->path) && cw_aside_beside(target->path, prefix)) {
        cw_aside_remove_left(prefix);
    }
    char how[2 * COMMAND_BYTES + 16] = "";
    (void)snprintf(old, sizeof old, "%s.old", target->path);
    if (strlen(cw_shell_word(old, to, sizeof to)) < COMMAND_BYTES) { /* else it would be cut */
        (void)snprintf(how, sizeof how, " (mv %.54s %.54s)",
                       cw_shell_word(target->path, from, sizeof from), to);
    }
    return cw_fail(fault, CW_ERR_INVALID,
                   "%.120s is not empty; stop its engine and move it away%s, or name another "
                   "directory with --state",
                   target->path, how);
}

/* A start has it only for as long as it runs, or until it is refused. Who looks shares it: a start
   that comes at this very moment takes this for that, and waits. */
static cw_err check_lock(const struct target *target, struct cw_fault *fault)
{
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/lock", target->path);
    int lock = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (lock < 0) {
        return errno == ENOENT ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    cw_err err = CW_ERR_OK;
    if (flock(lock, LOCK_SH | LOCK_NB) != 0) {
        err = errno == EWOULDBLOCK
                  ? cw_fail(fault, CW_ERR_INVALID,
                            "an engine is started in %.120s just now: stop it, or name another "
                            "directory with --state",
                            target->path)
                  : cw_fail(fault, CW_ERR_IO, "locking %s", path);
    }
    (void)close(lock);
    return err;
}

/* A directory without anything in it may be taken; a state never. */
static cw_err check_empty(struct target *target, DIR *names, bool unfinished,
                          struct cw_fault *fault)
{
    uint32_t found = 0;
    bool locks = false;
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
        found += !may_stay(entry->d_name, unfinished);
        locks = locks || strcmp(entry->d_name, "lock") == 0;
        target->within = target->within || locks || is_own(entry->d_name);
    }
    if (found > 0) {
        return refuse(target, fault);
    }
    return locks ? check_lock(target, fault) : CW_ERR_OK;
}

/* Without the slashes behind it. `.` has no name to be given to another: all is done in it. */
static void name_target(struct target *target, const char *path)
{
    char prefix[CW_ASIDE_BYTES];
    *target = (struct target){.lock = -1};
    char *real = cw_aside_beside(path, prefix) ? NULL : realpath(path, NULL);
    target->within = real != NULL;
    (void)snprintf(target->path, sizeof target->path, "%.3900s", real != NULL ? real : path);
    free(real);
    for (size_t bytes = strlen(target->path); bytes > 1 && target->path[bytes - 1] == '/';) {
        target->path[--bytes] = '\0';
    }
}

static cw_err find_target(struct target *target, const char *path, struct cw_fault *fault)
{
    name_target(target, path);
    DIR *names = opendir(target->path);
    if (names == NULL) {
        return errno == ENOENT ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "opening %s", target->path);
    }
    cw_err err;
    target->lock = fcntl(dirfd(names), F_DUPFD_CLOEXEC, 0); /* goes with the process */
    if (target->lock < 0 || flock(target->lock, LOCK_EX | LOCK_NB) != 0) {
        err = errno == EWOULDBLOCK
                  ? cw_fail(fault, CW_ERR_AGAIN, "another restore into %s is at work", target->path)
                  : cw_fail(fault, CW_ERR_IO, "locking %s", target->path);
        (void)closedir(names);
        return err;
    }
    err = check_empty(target, names, cw_aside_unfinished(target->path), fault);
    (void)closedir(names);
    target->there = true;
    target->within = target->within || stays(target) || !can_be_made_beside(target);
    return err;
}

/* What another restore brought there before it was killed; the aside is removed when the next one
   is made, and is what tells that these are nobody's. */
static cw_err clear(const struct target *target, struct cw_fault *fault)
{
    DIR *names = cw_aside_unfinished(target->path) ? opendir(target->path) : NULL;
    for (const struct dirent *entry; names != NULL && (entry = readdir(names)) != NULL;) {
        char path[4096 + 256];
        if (may_stay(entry->d_name, true) && !may_stay(entry->d_name, false)) {
            (void)snprintf(path, sizeof path, "%s/%s", target->path, entry->d_name);
            cw_archive_remove(path);
        }
    }
    if (names == NULL) {
        return CW_ERR_OK;
    }
    (void)closedir(names);
    return cw_flush_directory(target->path, fault);
}

/* Reads every core as a start would: what cannot be started is not restored. */
static int prove(const char *made, uint64_t *rows, int64_t *clock)
{
    struct cw_fault fault;
    struct cw_look *look = malloc(sizeof *look);
    CW_ASSERT(look != NULL);
    int rc = cw_look_open(look, &(struct cw_look_options){.command = "restore", .state = made});
    for (uint32_t i = 0; rc == CW_EXIT_OK && i < look->manifest.cores; i++) {
        struct cw_look_core core;
        cw_err err = cw_look_core(look, i, &core, &fault);
        if (err != CW_ERR_OK) {
            (void)cw_failure(&fault);
            rc = cw_look_exit(err);
            break;
        }
        int64_t latest = cw_pipeline_now(core.pipeline);
        *clock = latest > *clock ? latest : *clock;
        *rows += core.rows;
        cw_look_core_close(&core);
    }
    cw_look_close(look);
    free(look);
    return rc;
}

static void tell_json(const struct restore *restore, const struct target *target,
                      const struct cw_manifest *manifest, uint64_t rows, int64_t clock)
{
    struct cw_text out = {0};
    cw_text_puts(&out, "{\"state\":");
    cw_text_json(&out, (struct cw_view){target->path, (uint32_t)strlen(target->path)});
    cw_text_puts(&out, ",\"store\":\"");
    for (size_t i = 0; i < sizeof manifest->store; i++) {
        cw_text_printf(&out, "%02x", manifest->store[i]);
    }
    cw_text_puts(&out, "\",\"asOf\":");
    cw_text_json_time(&out, clock);
    cw_text_printf(&out, ",\"coreCount\":%u,\"rows\":%llu,\"held\":%s}\n", manifest->cores,
                   (unsigned long long)rows, restore->resume ? "false" : "true");
    (void)fwrite(out.data, 1, out.bytes, stdout);
    cw_text_deinit(&out);
}

static void tell(const struct restore *restore, const struct target *target,
                 const struct cw_manifest *manifest, uint64_t rows, int64_t clock)
{
    char time[CW_TIME_BYTES];
    char room[QUOTED_BYTES];
    const char *state = cw_shell_word(target->path, room, sizeof room);
    cw_time_format(clock, time);
    (void)printf("restored into %s: store ", target->path);
    for (size_t i = 0; i < sizeof manifest->store; i++) {
        (void)printf("%02x", manifest->store[i]);
    }
    (void)printf(", as of %.24s, from %u core%s, %llu rows\n", time, manifest->cores,
                 manifest->cores == 1 ? "" : "s", (unsigned long long)rows);
    (void)printf("Sends are %s. Next:\n"
                 "  cartwheel run %s/programs/* --state %s\n",
                 restore->resume ? "not held" : "HELD", state, state);
    if (!restore->resume) {
        (void)printf(
            "  let the sources send again what they sent after the snapshot was made; then\n"
            "  cartwheel resume --to URL --assume-sent-until TIME   # when the engine that the\n"
            "                                                       # snapshot is of last sent\n");
    }
    (void)printf("The program files that ran are in %s/programs; an engine file is in no snapshot: "
                 "where there\nis one, say -c with its name instead of them.\n",
                 target->path);
}

/* One entry after the other. */
static cw_err move(const char *made, const char *state, bool manifests, struct cw_fault *fault)
{
    cw_err err = CW_ERR_OK;
    DIR *names = opendir(made);
    if (names == NULL) {
        return cw_fail(fault, CW_ERR_IO, "opening %s", made);
    }
    for (const struct dirent *entry; err == CW_ERR_OK && (entry = readdir(names)) != NULL;) {
        const char *name = entry->d_name;
        char from[4096 + 256];
        char to[4096 + 256];
        if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
            manifests != (strncmp(name, "manifest.", 9) == 0)) {
            continue;
        }
        (void)snprintf(from, sizeof from, "%s/%s", made, name);
        (void)snprintf(to, sizeof to, "%s/%s", state, name);
        if (rename(from, to) != 0) {
            err = cw_fail(fault, CW_ERR_IO, "naming %s", to);
        }
    }
    (void)closedir(names);
    return err == CW_ERR_OK ? cw_flush_directory(state, fault) : err;
}

/*
 * Into a directory that stays the one it is. The manifest comes last, durably after all else: until
 * then the aside, with the manifest in it, makes a start refuse and the next restore begin anew.
 * The live test `restored` kills it everywhere.
 */
static cw_err move_in(struct cw_aside *aside, const char *made, const char *state,
                      struct cw_fault *fault)
{
    cw_aside_keep(aside);
    cw_err err = move(made, state, false, fault);
    if (err == CW_ERR_OK) {
        err = move(made, state, true, fault);
    }
    if (err != CW_ERR_OK) {
        aside->path[0] = '\0'; /* it stays */
    }
    return err;
}

/* It was somebody's before, and now holds customers' data. */
static void shut(const char *directory)
{
    struct stat status;
    if (stat(directory, &status) == 0 && (status.st_mode & 077) != 0 &&
        chmod(directory, 0700) != 0) {
        (void)fprintf(stderr,
                      "cartwheel: warning: others may look into %s, which holds customers' data, "
                      "and its mode cannot be made 0700: %m\n",
                      directory);
    }
}

static cw_err give_name(struct cw_aside *aside, const char *made, const struct target *target,
                        struct cw_fault *fault)
{
    if (target->within) {
        shut(target->path);
        return move_in(aside, made, target->path, fault);
    }
    if (rename(made, target->path) != 0) {
        return cw_fail(fault, CW_ERR_IO, "naming %s", target->path);
    }
    return cw_flush_parent(target->path, fault);
}

static cw_err open_aside(struct cw_aside *aside, struct target *target, struct cw_fault *fault)
{
    char beside[CW_ASIDE_BYTES];
    char prefix[CW_ASIDE_BYTES];
    bool can_be_left = cw_aside_beside(target->path, beside);
    cw_err err = target->there ? clear(target, fault) : CW_ERR_OK;
    (void)snprintf(prefix, sizeof prefix, "%.3900s/" CW_ASIDE_RESTORE, target->path);
    if (err == CW_ERR_OK) {
        err = cw_aside_open(aside, target->within ? prefix : beside, true, fault);
    }
    if (err != CW_ERR_OK || !target->within) {
        return err;
    }
    if (can_be_left) { /* of one that was killed while the directory was not there yet */
        cw_aside_remove_left(beside);
    }
    /* A start that came before looks for the aside after it made its lock, and is refused; or its
       lock is seen here. */
    DIR *names = opendir(target->path);
    if (names == NULL) {
        return cw_fail(fault, CW_ERR_IO, "opening %s", target->path);
    }
    err = check_empty(target, names, false, fault);
    (void)closedir(names);
    return err;
}

static int restore_file(const struct restore *restore)
{
    struct cw_fault fault;
    struct cw_manifest manifest;
    struct target target;
    struct cw_aside aside = {.lock = -1};
    struct cw_bar bar;
    char made[4200];
    cw_bar_open(&bar);
    cw_err err = find_target(&target, restore->state, &fault);
    if (err == CW_ERR_OK) {
        err = cw_archive_verify(restore->file, &bar, &fault);
    }
    if (err == CW_ERR_OK) {
        err = open_aside(&aside, &target, &fault);
    }
    (void)snprintf(made, sizeof made, "%s/state", aside.path);
    if (err == CW_ERR_OK) {
        err = cw_archive_unpack(restore->file, made, !restore->resume, &manifest, &bar, &fault);
    }
    uint64_t rows = 0;
    int64_t clock = 0;
    int rc = err == CW_ERR_OK ? prove(made, &rows, &clock) : CW_EXIT_OK;
    if (err == CW_ERR_OK && rc == CW_EXIT_OK) {
        err = give_name(&aside, made, &target, &fault);
    }
    cw_aside_close(&aside);
    if (err != CW_ERR_OK) {
        (void)cw_failure(&fault);
        rc = cw_look_exit(err);
    }
    if (rc == CW_EXIT_DAMAGED) {
        cw_archive_advise(restore->file, stderr);
    }
    if (err == CW_ERR_OK && rc == CW_EXIT_OK) {
        (restore->json ? tell_json : tell)(restore, &target, &manifest, rows, clock);
    }
    return rc;
}

static int parse(struct restore *restore, int argc, char **argv)
{
    static const struct option known[] = {{"state", required_argument, NULL, 's'},
                                          {"resume", no_argument, NULL, 'r'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int option;
    while ((option = cw_next_option("restore", argc, argv, "h", known)) != -1) {
        switch (option) {
        case 's': restore->state = optarg; break;
        case 'r': restore->resume = true; break;
        case 'j': restore->json = true; break;
        case 'h': restore->help = true; return CW_EXIT_OK;
        default: return CW_EXIT_USAGE;
        }
    }
    if (argc - optind != 1) {
        return cw_usage_error("restore", "name one snapshot");
    }
    restore->file = argv[optind];
    int rc = cw_look_name("restore", restore->file,
                          "name a snapshot, which is a file; of a state it is made by cartwheel "
                          "snapshot --out FILE --state");
    if (rc != CW_EXIT_OK) {
        return rc;
    }
    return restore->state != NULL
               ? cw_state_name("restore", restore->state, "the snapshot is named without --state")
               : cw_usage_error("restore", "say --state DIR, the directory to make");
}

int cw_cmd_restore(int argc, char **argv)
{
    struct restore restore = {0};
    int rc = parse(&restore, argc, argv);
    if (rc == CW_EXIT_OK && restore.help) {
        (void)fputs(help, stdout);
        return rc;
    }
    return rc == CW_EXIT_OK ? restore_file(&restore) : rc;
}
