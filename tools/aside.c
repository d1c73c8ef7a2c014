#define _GNU_SOURCE /* close_range, pipe2 */
#include "tools/aside.h"

#include "tools/archive.h"
#include "tools/flush.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    TRIES = 16,
    RANDOM_BYTES = 6 /* of mkdtemp */
};

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* ---- what others left ---- */

/* All that an aside ever has in it. On a state that has a lock an engine was started: it is called
   like an aside, and is somebody's. */
static bool has_only_state(DIR *names)
{
    bool only = faccessat(dirfd(names), "state/lock", F_OK, 0) != 0;
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
        only = only && (is_dots(entry->d_name) || strcmp(entry->d_name, "state") == 0);
    }
    return only;
}

/* Ours, and nobody works in it: then it is locked. */
static bool take_left(const char *path, int *lock)
{
    struct stat status;
    *lock = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*lock < 0) {
        return false;
    }
    bool left = fstat(*lock, &status) == 0 && status.st_uid == geteuid() &&
                flock(*lock, LOCK_EX | LOCK_NB) == 0;
    DIR *names = left ? opendir(path) : NULL;
    if (names != NULL) {
        left = has_only_state(names);
        (void)closedir(names);
    }
    return left;
}

/* The directory that the prefix is in. */
static void name_parent(const char *prefix, char parent[PATH_BYTES])
{
    const char *slash = strrchr(prefix, '/');
    if (slash == NULL) {
        (void)snprintf(parent, PATH_BYTES, ".");
    } else {
        (void)snprintf(parent, PATH_BYTES, "%.*s", (int)(slash == prefix ? 1 : slash - prefix),
                       prefix);
    }
}

/* The next of a parent's names that cw_aside_open may have made; false: there is no other one. */
static bool next_left(DIR *names, const char *prefix, char path[PATH_BYTES + 256])
{
    const char *base = strrchr(prefix, '/');
    base = base == NULL ? prefix : base + 1;
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
        if (strncmp(entry->d_name, base, strlen(base)) == 0 &&
            strlen(entry->d_name) == strlen(base) + RANDOM_BYTES) {
            (void)snprintf(path, PATH_BYTES + 256, "%.*s%s", (int)(base - prefix), prefix,
                           entry->d_name);
            return true;
        }
    }
    return false;
}

void cw_aside_remove_left(const char *prefix)
{
    char parent[PATH_BYTES];
    char path[PATH_BYTES + 256];
    name_parent(prefix, parent);
    DIR *names = opendir(parent);
    while (names != NULL && next_left(names, prefix, path)) {
        int lock = -1;
        if (take_left(path, &lock)) {
            cw_archive_remove(path);
            (void)fprintf(stderr, "cartwheel: removed %s, which a command that was killed left\n",
                          path);
        }
        if (lock >= 0) {
            (void)close(lock);
        }
    }
    if (names != NULL) {
        (void)closedir(names);
    }
}

/* ---- the guard ---- */

/* Nothing of the command's but its end of the pipe and the lock, so that nobody waits for it. */
static void let_go(int pipe, int lock)
{
    unsigned low = (unsigned)(pipe < lock ? pipe : lock);
    unsigned high = (unsigned)(pipe < lock ? lock : pipe);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int i = 0; i < 3; i++) {
        if (null < 0 || dup2(null, i) < 0) {
            (void)close(i);
        }
    }
    if (low > 3) {
        (void)close_range(3, low - 1, 0);
    }
    if (high > low + 1) {
        (void)close_range(low + 1, high - 1, 0);
    }
    (void)close_range(high + 1, ~0u, 0);
}

/* The pipe says that all is in order, or ends with the command. */
static void guard(const struct cw_aside *aside, int pipe)
{
    char said;
    ssize_t got;
    let_go(pipe, aside->lock);
    while ((got = read(pipe, &said, 1)) < 0 && errno == EINTR) {
        /* once more */
    }
    if (got == 0 && aside->marks) {
        char path[PATH_BYTES + 8];
        (void)snprintf(path, sizeof path, "%s/state", aside->path);
        cw_archive_remove(path);
    } else if (got == 0) {
        cw_archive_remove(aside->path);
    }
    _exit(0);
}

/* Without one, what a killed command leaves is there until the next. */
static void start_guard(struct cw_aside *aside)
{
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    int ends[2];
    sigset_t all;
    sigset_t before;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return;
    }
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* none between fork and SIG_IGN */
    aside->pid = fork();
    if (aside->pid == 0) {
        for (size_t i = 0; i < CW_COUNTOF(signals); i++) {
            (void)signal(signals[i], SIG_IGN);
        }
        (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
        (void)close(ends[1]);
        guard(aside, ends[0]);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)close(ends[0]);
    aside->guard = ends[1];
    if (aside->pid < 0) {
        (void)close(aside->guard);
        aside->guard = -1;
    }
}

/* ---- life ---- */

cw_err cw_aside_open(struct cw_aside *aside, const char *prefix, bool marks, struct cw_fault *fault)
{
    char parent[PATH_BYTES];
    *aside = (struct cw_aside){.lock = -1, .guard = -1, .pid = -1, .marks = marks};
    cw_aside_remove_left(prefix);
    for (uint32_t i = 0; i < TRIES; i++) {
        struct stat status;
        (void)snprintf(aside->path, sizeof aside->path, "%.4000sXXXXXX", prefix);
        if (mkdtemp(aside->path) == NULL) {
            break;
        }
        /* Somebody who removes what was left may have come before the lock: then another one. */
        aside->lock = open(aside->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (aside->lock >= 0 && flock(aside->lock, LOCK_EX | LOCK_NB) == 0 &&
            fstat(aside->lock, &status) == 0 && status.st_nlink > 0 &&
            access(aside->path, F_OK) == 0) {
            start_guard(aside);
            /* A mark that a loss of power takes with it is none. */
            return marks ? cw_flush_parent(aside->path, fault) : CW_ERR_OK;
        }
        if (aside->lock >= 0) {
            (void)close(aside->lock);
        }
    }
    name_parent(prefix, parent);
    cw_err err = cw_fail(fault, CW_ERR_IO, "making a directory in %.150s%s", parent,
                         errno == ENOENT ? ": make that first (mkdir -p)" : "");
    *aside = (struct cw_aside){.lock = -1, .guard = -1, .pid = -1};
    return err;
}

void cw_aside_keep(struct cw_aside *aside)
{
    if (aside->guard >= 0) {
        (void)!write(aside->guard, "k", 1);
        (void)close(aside->guard);
        (void)waitpid(aside->pid, NULL, 0);
        aside->guard = -1;
    }
}

void cw_aside_close(struct cw_aside *aside)
{
    if (aside->path[0] == '\0') {
        return;
    }
    cw_archive_remove(aside->path);
    cw_aside_keep(aside);
    (void)close(aside->lock);
    *aside = (struct cw_aside){.lock = -1, .guard = -1, .pid = -1};
}

/* ---- a restore's, beside the state to be or in it ---- */

bool cw_aside_beside(const char *directory, char prefix[CW_ASIDE_BYTES])
{
    size_t bytes = strlen(directory);
    while (bytes > 1 && directory[bytes - 1] == '/') {
        bytes--;
    }
    (void)snprintf(prefix, CW_ASIDE_BYTES, "%.*s", (int)(bytes < 3900 ? bytes : 3900), directory);
    const char *slash = strrchr(prefix, '/');
    const char *name = slash != NULL ? slash + 1 : prefix;
    bool named = name[0] != '\0' && !is_dots(name);
    (void)snprintf(prefix + strlen(prefix), CW_ASIDE_BYTES - strlen(prefix), ".new-");
    return named;
}

bool cw_aside_left_beside(const char *directory, char path[CW_ASIDE_BYTES])
{
    char prefix[CW_ASIDE_BYTES];
    char parent[PATH_BYTES];
    char found[PATH_BYTES + 256];
    bool left = false;
    if (!cw_aside_beside(directory, prefix)) {
        return false;
    }
    name_parent(prefix, parent);
    DIR *names = opendir(parent);
    while (names != NULL && !left && next_left(names, prefix, found)) {
        DIR *inside = opendir(found);
        left = inside != NULL ? has_only_state(inside) : errno == EACCES; /* another user's */
        if (inside != NULL) {
            (void)closedir(inside);
        }
    }
    if (names != NULL) {
        (void)closedir(names);
    }
    if (left) {
        (void)snprintf(path, CW_ASIDE_BYTES, "%.4000s", found);
    }
    return left;
}

bool cw_aside_unfinished(const char *directory)
{
    bool any = false;
    bool rows = false;
    bool manifest = false;
    DIR *names = opendir(directory);
    for (const struct dirent *entry; names != NULL && (entry = readdir(names)) != NULL;) {
        char path[4096 + 256];
        rows = rows || strncmp(entry->d_name, "epoch-", 6) == 0;
        if (strncmp(entry->d_name, CW_ASIDE_RESTORE, sizeof CW_ASIDE_RESTORE - 1) != 0) {
            continue;
        }
        any = true;
        for (const char *slot = "a"; slot != NULL; slot = *slot == 'a' ? "b" : NULL) {
            (void)snprintf(path, sizeof path, "%.3900s/%s/state/manifest.%s", directory,
                           entry->d_name, slot);
            manifest = manifest || access(path, F_OK) == 0;
        }
    }
    if (names != NULL) {
        (void)closedir(names);
    }
    return any && (manifest || !rows);
}
