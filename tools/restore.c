#define _GNU_SOURCE /* statx */
/* restore: a snapshot becomes a state that an engine can be started on. */
#include "core/time.h"
#include "tools/archive.h"
#include "tools/aside.h"
#include "tools/flush.h"
#include "tools/look.h"

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
    "it leaves a whole state or none: a start says so, and the next restore removes\n"
    "what was left. What is wrong with the programs, or own templates that are not\n"
    "at hand, is a warning: a start wants them good.\n"
    "\n"
    "An engine started on it serves, but its sends are HELD until `cartwheel resume`:\n"
    "what went out after the snapshot was made is not known to it, and would go out\n"
    "again.\n"
    "\n"
    "  --state DIR  the directory to make\n"
    "  --resume     sends are not held: nothing went out since, or twice does not\n"
    "               matter\n"
    "  --help       print this\n"
    "\n"
    "exit: 0 restored, 1 failed, 2 wrong usage, 78 the snapshot is damaged\n";

struct restore {
    const char *file, *state;
    bool resume, help;
};

/* Where a state is to be, and how it comes there. */
struct target {
    char path[4096];
    int lock;    /* on it, against another restore; -1: it is not there */
    bool there;  /* a directory, with nothing in it that matters */
    bool within; /* it cannot be replaced, so the state is unpacked in it */
};

/* What may be in a directory that a state can be made in: a new file system's own; asides; where a
   restore did not come to its end, what it has brought there, and the lock of a start that was
   refused. */
static bool may_stay(const char *name, bool unfinished)
{
    static const char *const left[] = {"lock", "secret.key", "programs"};
    bool known = strcmp(name, ".") == 0 || strcmp(name, "..") == 0 ||
                 strcmp(name, "lost+found") == 0 ||
                 strncmp(name, CW_ASIDE_RESTORE, sizeof CW_ASIDE_RESTORE - 1) == 0 ||
                 (unfinished && strncmp(name, "epoch-", 6) == 0);
    for (size_t i = 0; i < CW_COUNTOF(left) && unfinished; i++) {
        known = known || strcmp(name, left[i]) == 0;
    }
    return known;
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

/* A directory without anything in it may be taken; a state never. */
static cw_err check_empty(struct target *target, DIR *names, bool unfinished,
                          struct cw_fault *fault)
{
    uint32_t found = 0;
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
        found += !may_stay(entry->d_name, unfinished);
        target->within = target->within ||
                         strncmp(entry->d_name, CW_ASIDE_RESTORE, sizeof CW_ASIDE_RESTORE - 1) == 0;
    }
    return found == 0 ? CW_ERR_OK
                      : cw_fail(fault, CW_ERR_INVALID,
                                "%.120s is not empty; stop its engine and move it away (mv %.60s "
                                "%.60s.old), or name another directory with --state",
                                target->path, target->path, target->path);
}

static cw_err find_target(struct target *target, const char *path, struct cw_fault *fault)
{
    *target = (struct target){.lock = -1};
    (void)snprintf(target->path, sizeof target->path, "%.3900s", path);
    for (size_t bytes = strlen(target->path); bytes > 1 && target->path[bytes - 1] == '/';) {
        target->path[--bytes] = '\0';
    }
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

static void tell(const struct restore *restore, const struct cw_manifest *manifest, uint64_t rows,
                 int64_t clock)
{
    char time[CW_TIME_BYTES];
    cw_time_format(clock, time);
    (void)printf("restored into %s: store ", restore->state);
    for (size_t i = 0; i < sizeof manifest->store; i++) {
        (void)printf("%02x", manifest->store[i]);
    }
    (void)printf(", as of %.24s, from %u core%s, %llu rows\n", time, manifest->cores,
                 manifest->cores == 1 ? "" : "s", (unsigned long long)rows);
    if (restore->resume) {
        (void)printf("Sends are not held. Next: cartwheel run -c engine.yaml --state %s\n",
                     restore->state);
        return;
    }
    (void)printf(
        "Sends are HELD. Next:\n"
        "  cartwheel run -c engine.yaml --state %s\n"
        "  let the sources send again what they sent after the snapshot was made; then\n"
        "  cartwheel resume --to URL --assume-sent-until TIME   TIME: when the engine that "
        "the\n"
        "                                                       snapshot is of last sent\n"
        "The program files that ran are in %s/programs.\n",
        restore->state, restore->state);
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

static cw_err give_name(struct cw_aside *aside, const char *made, const struct target *target,
                        struct cw_fault *fault)
{
    if (target->within) {
        return move_in(aside, made, target->path, fault);
    }
    if (rename(made, target->path) != 0) {
        return cw_fail(fault, CW_ERR_IO, "naming %s", target->path);
    }
    return cw_flush_parent(target->path, fault);
}

static cw_err open_aside(struct cw_aside *aside, struct target *target, struct cw_fault *fault)
{
    char prefix[4096];
    cw_err err = target->there ? clear(target, fault) : CW_ERR_OK;
    (void)snprintf(prefix, sizeof prefix, "%.3900s%s", target->path,
                   target->within ? "/" CW_ASIDE_RESTORE : ".new-");
    if (err == CW_ERR_OK) {
        err = cw_aside_open(aside, prefix, fault);
    }
    if (err != CW_ERR_OK || !target->within) {
        return err;
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
    char made[4200];
    cw_err err = find_target(&target, restore->state, &fault);
    if (err == CW_ERR_OK) {
        err = cw_archive_verify(restore->file, &fault);
    }
    if (err == CW_ERR_OK) {
        err = open_aside(&aside, &target, &fault);
    }
    (void)snprintf(made, sizeof made, "%s/state", aside.path);
    if (err == CW_ERR_OK) {
        err = cw_archive_unpack(restore->file, made, !restore->resume, &manifest, &fault);
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
        return cw_look_exit(err);
    }
    if (rc == CW_EXIT_OK) {
        tell(restore, &manifest, rows, clock);
    }
    return rc;
}

static int parse(struct restore *restore, int argc, char **argv)
{
    static const struct option known[] = {{"state", required_argument, NULL, 's'},
                                          {"resume", no_argument, NULL, 'r'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int option;
    while ((option = cw_next_option("restore", argc, argv, "h", known)) != -1) {
        switch (option) {
        case 's': restore->state = optarg; break;
        case 'r': restore->resume = true; break;
        case 'h': restore->help = true; return CW_EXIT_OK;
        default: return CW_EXIT_USAGE;
        }
    }
    if (argc - optind != 1) {
        return cw_usage_error("restore", "name one snapshot");
    }
    restore->file = argv[optind];
    return restore->state != NULL ? CW_EXIT_OK
                                  : cw_usage_error("restore", "say --state DIR, the directory to "
                                                              "make");
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
