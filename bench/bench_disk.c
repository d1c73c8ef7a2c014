/*
 * bench_disk: a shard's disk, and beside it in the same run what the disk itself gives: the same
 * writes by bare system calls on one thread, flushed in each of the ways that there are, and by a
 * bare io_uring (a write softly linked to an fdatasync) that the thread sleeps in.
 *
 * All write over a file of 64 MiB that has been written before, as the log does, one write at a
 * time and each flushed before the next; *.write_1m flushes only the last of 32. In *_busy nobody
 * sleeps: the thread polls, and all other CPUs compute, as shards do under load.
 */
#define _GNU_SOURCE 1
#include "bench/bench.h"
#include "io/disk.h"

#include <liburing.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
    FILE_BYTES = 64 << 20,
    FILE_BYTES_TINY = 2 << 20,
    PIECE_BYTES = 1 << 20,
    FLUSHES = 400,
    FLUSHES_TINY = 4,
    WRITES_1M = 32,
    OTHERS_MAX = 64
};

enum way {
    STORE,
    BARE,  /* pwrite, fdatasync */
    DSYNC, /* pwritev2 with RWF_DSYNC */
    URING
};

enum load {
    IDLE,
    BUSY,
    BUSY_LEISURELY /* and the store's thread has no priority, as where it may not have it */
};

struct state {
    enum way way;
    bool direct, busy, leisurely;
    uint32_t bytes, count, flush_every;
    uint64_t at, file_bytes;
    char *data, directory[4096];
    struct cw_disk_store *store;
    struct cw_disk disk;
    int32_t file;
    int fd;
    struct io_uring ring;
    pthread_t others[OTHERS_MAX];
    uint32_t other_count;
    _Atomic bool ended;
};

/* ---- the other CPUs ---- */

static void *compute(void *self)
{
    struct state *state = self;
    while (!atomic_load_explicit(&state->ended, memory_order_relaxed)) {
        cw_bench_use(state);
    }
    return NULL;
}

/* One on each CPU but the last, which is the measured thread's (main.c). */
static void occupy(struct state *state)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN) - 1;
    cpus = cpus < OTHERS_MAX ? cpus : OTHERS_MAX;
    for (int cpu = 0; cpu < cpus; cpu++) {
        pthread_attr_t attr;
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        (void)pthread_attr_init(&attr);
        (void)pthread_attr_setaffinity_np(&attr, sizeof set, &set);
        int rc = pthread_create(&state->others[state->other_count], &attr, compute, state);
        state->other_count += rc == 0; /* a container may forbid that CPU */
        (void)pthread_attr_destroy(&attr);
    }
}

static void leave(struct state *state)
{
    atomic_store(&state->ended, true);
    for (uint32_t i = 0; i < state->other_count; i++) {
        (void)pthread_join(state->others[i], NULL);
    }
}

/* ---- the file ---- */

static void open_store(struct state *state)
{
    struct cw_fault fault;
    struct cw_disk_options options = {
        .directory = state->directory, .direct = state->direct, .leisurely = state->leisurely};
    cpu_set_t here;
    cpu_set_t all;
    memset(&all, 0xff, sizeof all);
    (void)sched_getaffinity(0, sizeof here, &here);
    (void)sched_setaffinity(0, sizeof all, &all); /* its thread may run where this one may */
    cw_err err = cw_disk_open(&state->store, &options, &fault);
    (void)sched_setaffinity(0, sizeof here, &here);
    CW_ASSERT(err == CW_ERR_OK);
    state->disk = cw_disk_port(state->store);
    struct cw_disk_op op = {.kind = CW_DISK_CREATE, .name = "bench"};
    int error = cw_disk_do(&state->disk, &op);
    CW_ASSERT(error == 0);
    state->file = op.file;
}

static void fill(struct state *state)
{
    memset(state->data, 'x', PIECE_BYTES);
    for (uint64_t at = 0; at < state->file_bytes; at += PIECE_BYTES) {
        struct cw_disk_op op = {.kind = CW_DISK_WRITE,
                                .file = state->file,
                                .offset = at,
                                .bytes = PIECE_BYTES,
                                .data = state->data,
                                .sync = at + PIECE_BYTES == state->file_bytes};
        int error = cw_disk_do(&state->disk, &op);
        CW_ASSERT(error == 0);
    }
}

static struct state *make(bool tiny, enum way way, bool direct, bool leisurely)
{
    struct state *state = calloc(1, sizeof *state);
    CW_ASSERT(state != NULL);
    state->way = way;
    state->direct = direct;
    state->leisurely = leisurely;
    state->file_bytes = tiny ? FILE_BYTES_TINY : FILE_BYTES;
    state->count = tiny ? FLUSHES_TINY : FLUSHES;
    state->flush_every = 1;
    state->data = aligned_alloc(CW_DISK_BLOCK, PIECE_BYTES);
    CW_ASSERT(state->data != NULL);
    (void)snprintf(state->directory, sizeof state->directory, "%.4000s/bench-disk-XXXXXX",
                   cw_bench_dir);
    const char *made = mkdtemp(state->directory);
    CW_ASSERT(made != NULL);
    open_store(state);
    fill(state);
    state->fd = -1;
    if (way != STORE) {
        char path[4200];
        (void)snprintf(path, sizeof path, "%s/bench", state->directory);
        state->fd = open(path, O_RDWR | O_CLOEXEC | (direct ? O_DIRECT : 0));
        state->fd = state->fd < 0 ? open(path, O_RDWR | O_CLOEXEC) : state->fd;
        CW_ASSERT(state->fd >= 0);
    }
    if (way == URING) {
        int rc = io_uring_queue_init(64, &state->ring,
                                     IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                         IORING_SETUP_TASKRUN_FLAG);
        rc = rc == -EINVAL ? io_uring_queue_init(64, &state->ring, 0) : rc; /* before 6.1 */
        CW_ASSERT(rc == 0);
    }
    return state;
}

static void teardown(void *self)
{
    struct state *state = self;
    leave(state);
    if (state->way == URING) {
        io_uring_queue_exit(&state->ring);
    }
    if (state->fd >= 0) {
        (void)close(state->fd);
    }
    struct cw_disk_op op = {.kind = CW_DISK_REMOVE, .name = "bench"};
    int error = cw_disk_do(&state->disk, &op);
    CW_ASSERT(error == 0);
    cw_disk_close(state->store);
    (void)rmdir(state->directory);
    free(state->data);
    free(state);
}

/* ---- one write, flushed or not ---- */

static void by_store(struct state *state, uint64_t at, bool flush)
{
    struct cw_disk_op op = {.kind = CW_DISK_WRITE,
                            .file = state->file,
                            .offset = at,
                            .bytes = state->bytes,
                            .data = state->data,
                            .sync = flush};
    state->disk.submit(state->disk.self, &op);
    while (!op.done) {
        if (state->busy) {
            (void)state->disk.poll(state->disk.self);
        } else {
            state->disk.wait(state->disk.self);
        }
    }
    CW_ASSERT(op.error == 0);
}

static void by_calls(struct state *state, uint64_t at, bool flush)
{
    struct iovec piece = {state->data, state->bytes};
    bool dsync = flush && state->way == DSYNC;
    ssize_t put = pwritev2(state->fd, &piece, 1, (off_t)at, dsync ? RWF_DSYNC : 0);
    CW_ASSERT(put == (ssize_t)state->bytes);
    int rc = flush && !dsync ? fdatasync(state->fd) : 0;
    CW_ASSERT(rc == 0);
}

static void by_ring(struct state *state, uint64_t at, bool flush)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&state->ring);
    io_uring_prep_write(sqe, state->fd, state->data, state->bytes, at);
    io_uring_sqe_set_data64(sqe, state->bytes);
    if (flush) {
        io_uring_sqe_set_flags(sqe, IOSQE_IO_LINK);
        sqe = io_uring_get_sqe(&state->ring);
        io_uring_prep_fsync(sqe, state->fd, IORING_FSYNC_DATASYNC);
        io_uring_sqe_set_data64(sqe, 0);
    }
    unsigned count = flush ? 2 : 1;
    int rc =
        state->busy ? io_uring_submit(&state->ring) : io_uring_submit_and_wait(&state->ring, count);
    CW_ASSERT(rc >= 0);
    for (unsigned i = 0; i < count; i++) {
        struct io_uring_cqe *cqe;
        do { /* until it comes; when not busy, it is there */
            rc = io_uring_peek_cqe(&state->ring, &cqe);
        } while (rc == -EAGAIN);
        CW_ASSERT(rc == 0 && (uint64_t)cqe->res == io_uring_cqe_get_data64(cqe));
        io_uring_cqe_seen(&state->ring, cqe);
    }
}

static uint64_t run(void *self, uint64_t *units)
{
    struct state *state = self;
    for (uint32_t i = 1; i <= state->count; i++) {
        bool flush = i % state->flush_every == 0;
        switch (state->way) {
        case STORE: by_store(state, state->at, flush); break;
        case BARE:
        case DSYNC: by_calls(state, state->at, flush); break;
        case URING: by_ring(state, state->at, flush); break;
        default: CW_ASSERT(false); break;
        }
        state->at = (state->at + state->bytes) % state->file_bytes;
    }
    *units = state->count;
    return state->bytes;
}

/* ---- the rows ---- */

static struct state *flushes(bool tiny, enum way way, bool direct, enum load load, uint32_t bytes)
{
    struct state *state = make(tiny, way, direct, load == BUSY_LEISURELY);
    state->bytes = bytes;
    state->busy = load != IDLE;
    if (state->busy) {
        occupy(state);
    }
    if (bytes == PIECE_BYTES) {
        state->count = tiny ? 2 : WRITES_1M;
        state->flush_every = state->count;
    }
    return state;
}

#define SETUPS(name, way, direct, load)                       \
    static void *setup_4k_##name(bool tiny)                   \
    {                                                         \
        return flushes(tiny, way, direct, load, 4096);        \
    }                                                         \
    static void *setup_64k_##name(bool tiny)                  \
    {                                                         \
        return flushes(tiny, way, direct, load, 65536);       \
    }                                                         \
    static void *setup_1m_##name(bool tiny)                   \
    {                                                         \
        return flushes(tiny, way, direct, load, PIECE_BYTES); \
    }

SETUPS(store, STORE, false, IDLE)
SETUPS(store_direct, STORE, true, IDLE)
SETUPS(bare, BARE, false, IDLE)
SETUPS(bare_direct, BARE, true, IDLE)
SETUPS(dsync_direct, DSYNC, true, IDLE)
SETUPS(uring_direct, URING, true, IDLE)
SETUPS(store_busy, STORE, true, BUSY)
SETUPS(store_leisurely, STORE, true, BUSY_LEISURELY)
SETUPS(uring_busy, URING, true, BUSY)

#define ROW(name, setup, bytes)                             \
    {                                                       \
        name, "write", 0, NULL, setup, run, teardown, bytes \
    }
#define ROWS(row, size, bytes)                                                         \
    ROW("disk." row, setup_##size##_store, bytes),                                     \
        ROW("disk." row "_direct", setup_##size##_store_direct, bytes),                \
        ROW("disk." row "_direct_busy", setup_##size##_store_busy, bytes),             \
        ROW("disk." row "_direct_busy_normal", setup_##size##_store_leisurely, bytes), \
        ROW("limit." row, setup_##size##_bare, bytes),                                 \
        ROW("limit." row "_direct", setup_##size##_bare_direct, bytes),                \
        ROW("limit." row "_direct_dsync", setup_##size##_dsync_direct, bytes),         \
        ROW("limit." row "_direct_uring", setup_##size##_uring_direct, bytes),         \
        ROW("limit." row "_direct_uring_busy", setup_##size##_uring_busy, bytes)

const struct cw_bench_case cw_bench_disk[] = {
    ROWS("flush_4k", 4k, 4096),
    ROWS("flush_64k", 64k, 65536),
    ROWS("write_1m", 1m, PIECE_BYTES),
    {0},
};
