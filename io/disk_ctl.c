#define _GNU_SOURCE 1 /* NOLINT(bugprone-reserved-identifier,readability-identifier-naming) */
#include "io/disk_priv.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    RING_SLOTS = 64 /* holds 63, and more than CW_DISK_OPS_MAX are never on their way */
};

static_assert(RING_SLOTS > CW_DISK_OPS_MAX, "a push has always room");

/* ---- opening ---- */

/* The directory's name is in its parent, which some may search and not read: then it has been there
   before us, and whoever made it has seen to it. */
static cw_err sync_parent(const struct cw_disk_store *store, bool made, struct cw_fault *fault)
{
    int parent = openat(store->files.directory, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (parent < 0) {
        return !made && errno == EACCES ? CW_ERR_OK
                                        : cw_fail(fault, CW_ERR_IO, "opening the directory above");
    }
    int rc = fsync(parent);
    int error = errno;
    (void)close(parent);
    errno = error;
    return rc == 0 ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "flushing the directory above");
}

static cw_err open_directory(struct cw_disk_store *store, struct cw_fault *fault)
{
    const struct cw_disk_options *options = &store->options;
    bool made = !options->read_only && mkdir(options->directory, 0700) == 0;
    if (!made && !options->read_only && errno != EEXIST) {
        return cw_fail(fault, CW_ERR_IO, "making it");
    }
    store->files.directory = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (store->files.directory < 0) {
        return cw_fail(fault, errno == ENOENT ? CW_ERR_NOT_FOUND : CW_ERR_IO, "opening it");
    }
    if (options->read_only) {
        return CW_ERR_OK;
    }
    if (fsync(store->files.directory) != 0) {
        return cw_fail(fault, CW_ERR_IO, "flushing its names");
    }
    return sync_parent(store, made, fault);
}

/* Whether a block can be written and read past the cache here: tried, on a file without a name that
   is gone when it is closed. Only a plain refusal counts; a full disk is no reason. */
static bool takes_direct(const struct cw_disk_store *store, void *block)
{
    int fd = openat(store->files.directory, ".", O_TMPFILE | O_RDWR | O_DIRECT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return errno != EINVAL && errno != EOPNOTSUPP && errno != EISDIR;
    }
    memset(block, 0, CW_DISK_BLOCK);
    bool takes = pwrite(fd, block, CW_DISK_BLOCK, 0) >= 0 || errno != EINVAL;
    takes = takes && (pread(fd, block, CW_DISK_BLOCK, 0) >= 0 || errno != EINVAL);
    (void)close(fd);
    return takes;
}

/*
 * Whether it may pass before what computes on all CPUs (CAP_SYS_NICE, or RLIMIT_RTPRIO of 1). A
 * flush sleeps and is woken several times. Where shards never sleep, each of these can have to wait
 * for the scheduler's next tick: 8 ms instead of 0.1 (bench: disk.flush_4k_direct_busy). It
 * computes little, so that nothing else suffers.
 */
static bool hurry(pthread_t thread)
{
    struct sched_param param = {.sched_priority = 1};
    return pthread_setschedparam(thread, SCHED_RR, &param) == 0;
}

/* A shard is tied to its CPU and may be who opens this: its disk may run wherever the program may.
 */
static void untie(pthread_t thread)
{
    cpu_set_t all;
    if (sched_getaffinity(getpid(), sizeof all, &all) == 0) {
        (void)pthread_setaffinity_np(thread, sizeof all, &all);
    }
}

static cw_err start_lane(struct cw_disk_store *store, uint32_t index, struct cw_fault *fault)
{
    struct cw_disk_lane *lane = &store->lanes[index];
    sigset_t all;
    sigset_t before;
    lane->store = store;
    lane->posted = cw_ring_create(&store->arena, RING_SLOTS);
    lane->finished = cw_ring_create(&store->arena, RING_SLOTS);
    (void)sigfillset(&all); /* signals are others' business; SIGXFSZ is told as EFBIG */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&lane->thread, NULL, cw_disk_run, lane);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        errno = error;
        return cw_fail(fault, CW_ERR_IO, "no thread for it");
    }
    lane->running = true;
    (void)pthread_setname_np(lane->thread, index == 0 ? "cw-disk" : "cw-disk-later");
    untie(lane->thread);
    return CW_ERR_OK;
}

static cw_err start_lanes(struct cw_disk_store *store, struct cw_fault *fault)
{
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; i < CW_DISK_LANES && err == CW_ERR_OK; i++) {
        err = start_lane(store, i, fault);
    }
    if (err != CW_ERR_OK) {
        return err;
    }
    bool hurries = !store->options.leisurely && hurry(store->lanes[0].thread);
    (void)snprintf(store->name, sizeof store->name, "two threads%s, pwrite and fdatasync%s",
                   hurries ? ", one of real-time priority" : "",
                   store->files.direct     ? ", O_DIRECT"
                   : store->options.direct ? " (the file system refuses O_DIRECT)"
                                           : "");
    return CW_ERR_OK;
}

static cw_err set_up(struct cw_disk_store *store, struct cw_fault *fault)
{
    cw_err err = cw_arena_open(&store->arena, 1u << 14, 1u << 20, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    err = open_directory(store, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    char *memory = cw_arena_alloc(&store->arena, (size_t)2 * CW_DISK_BLOCK, CW_CACHE_LINE);
    char *block = memory + (CW_DISK_BLOCK - (uintptr_t)memory % CW_DISK_BLOCK) % CW_DISK_BLOCK;
    store->files.direct =
        store->options.direct && (store->options.read_only || takes_direct(store, block));
    return start_lanes(store, fault);
}

cw_err cw_disk_open(struct cw_disk_store **out, const struct cw_disk_options *options,
                    struct cw_fault *fault)
{
    *out = NULL;
    struct cw_disk_store *store = aligned_alloc(CW_CACHE_LINE, sizeof *store);
    CW_ASSERT(store != NULL);
    memset(store, 0, sizeof *store);
    store->options = *options;
    store->files.read_only = options->read_only;
    store->files.directory = -1;
    for (uint32_t i = 0; i < CW_DISK_FILES_MAX; i++) {
        store->files.fds[i] = CW_DISK_FREE;
    }
    for (uint32_t i = CW_DISK_OPS_MAX; i-- > 0;) {
        store->slots[i].next = store->free;
        store->free = &store->slots[i];
    }
    cw_err err = set_up(store, fault);
    store->options.directory = NULL; /* the caller's, not needed any more */
    if (err != CW_ERR_OK) {
        cw_disk_close(store);
        return cw_fail_while(fault, "directory %s", options->directory);
    }
    *out = store;
    return CW_ERR_OK;
}

void cw_disk_close(struct cw_disk_store *store)
{
    if (store == NULL) {
        return;
    }
    cw_disk_stop(store);
    for (uint32_t i = 0; i < CW_DISK_LANES; i++) {
        if (store->lanes[i].running) {
            (void)pthread_join(store->lanes[i].thread, NULL);
        }
    }
    if (store->lanes[CW_DISK_LANES - 1].running) {
        (void)cw_disk_poll(store);
        CW_ASSERT(store->under_way == 0);
    }
    for (uint32_t i = 0; i < CW_DISK_FILES_MAX; i++) {
        if (store->files.fds[i] >= 0) {
            (void)close(store->files.fds[i]);
        }
    }
    if (store->files.directory >= 0) {
        (void)close(store->files.directory);
    }
    cw_arena_close(&store->arena);
    free(store);
}

/* ---- the port ---- */

static int list(void *self, void (*found)(void *with, const char *name, uint64_t bytes), void *with)
{
    const struct cw_disk_store *store = self;
    int fd = openat(store->files.directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    if (directory == NULL) {
        int error = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return error;
    }
    int error = 0;
    errno = 0;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL && error == 0) { /* NOLINT(concurrency-mt-unsafe) */
        bool ours = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                    strlen(entry->d_name) < CW_DISK_NAME_BYTES;
        struct stat stat;
        if (ours && fstatat(dirfd(directory), entry->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0) {
            found(with, entry->d_name, S_ISREG(stat.st_mode) ? (uint64_t)stat.st_size : 0);
        } else if (ours && errno != ENOENT) { /* removed meanwhile */
            error = errno;
        }
        errno = 0;
    }
    error = error == 0 ? errno : error;
    (void)closedir(directory);
    return error;
}

struct cw_disk cw_disk_port(struct cw_disk_store *store)
{
    return (struct cw_disk){.self = store,
                            .submit = cw_disk_submit,
                            .poll = cw_disk_poll,
                            .wait = cw_disk_wait,
                            .list = list};
}

const char *cw_disk_name(const struct cw_disk_store *store)
{
    return store->name;
}

const struct cw_disk_counts *cw_disk_counts(const struct cw_disk_store *store)
{
    return &store->counts;
}

struct cw_disk_work cw_disk_work(const struct cw_disk_store *store)
{
    uint64_t work = atomic_load_explicit(&store->lanes[0].work, memory_order_relaxed);
    return (struct cw_disk_work){.since_ns = work >> CW_DISK_KIND_BITS,
                                 .kind =
                                     (enum cw_disk_kind)(work & ((1u << CW_DISK_KIND_BITS) - 1))};
}

const char *cw_disk_kind_name(enum cw_disk_kind kind)
{
    static const char *const names[] = {[CW_DISK_OPEN] = "open",
                                        [CW_DISK_CREATE] = "create",
                                        [CW_DISK_CLOSE] = "close",
                                        [CW_DISK_READ] = "read",
                                        [CW_DISK_WRITE] = "write",
                                        [CW_DISK_RENAME] = "rename",
                                        [CW_DISK_REMOVE] = "remove",
                                        [CW_DISK_CUT] = "cut",
                                        [CW_DISK_SYNC_NAMES] = "flush of names"};
    CW_ASSERT((size_t)kind < CW_COUNTOF(names));
    return names[kind];
}
