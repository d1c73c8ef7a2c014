/*
 * With O_DIRECT whatever is gone on with after a short read or write begins at a block again: the
 * bytes before it in that block are read or written once more, the same ones.
 */
#define _GNU_SOURCE 1 /* NOLINT(bugprone-reserved-identifier,readability-identifier-naming) */
#include "io/clock.h"
#include "io/disk_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int fd_of(const struct cw_disk_files *files, const struct cw_disk_op *op)
{
    CW_ASSERT(op->file >= 0 && op->file < (int32_t)CW_DISK_FILES_MAX);
    int fd = files->fds[op->file];
    CW_ASSERT(fd >= 0); /* closed, or never opened */
    return fd;
}

/* The result of a flush. Kept when it failed: no later one can make up for it. */
static int flushed(struct cw_disk_files *files, int rc)
{
    if (rc != 0) {
        files->failed = errno;
    }
    return rc != 0 ? errno : 0;
}

/* EINTR is not tried again: signals are blocked on this thread, and of a flush that failed nobody
   knows what a second one would mean. */
static int flush_data(struct cw_disk_files *files, int fd)
{
    return flushed(files, fdatasync(fd));
}

static int flush_all(struct cw_disk_files *files, int fd)
{
    return flushed(files, fsync(fd));
}

/* ---- files ---- */

static int32_t take_file(struct cw_disk_files *files)
{
    for (int32_t i = 0; i < (int32_t)CW_DISK_FILES_MAX; i++) {
        int was = CW_DISK_FREE;
        if (atomic_compare_exchange_strong(&files->fds[i], &was, CW_DISK_TAKEN)) {
            return i;
        }
    }
    return CW_DISK_FILE_NONE;
}

/* What is there becomes durable before it is believed, and what it is the disk says: pages that an
   earlier flush, of another process too, failed to write are clean all the same and would be read
   as if they were on the disk. With O_DIRECT none are read. */
static int look_at(struct cw_disk_files *files, int fd, uint64_t *size)
{
    struct stat found;
    if (fstat(fd, &found) != 0) {
        return errno;
    }
    if (!S_ISREG(found.st_mode)) {
        return EINVAL;
    }
    *size = (uint64_t)found.st_size;
    int error = files->read_only ? 0 : flush_all(files, fd);
    (void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED); /* a file system in memory keeps them */
    return error;
}

/* The file, or CW_DISK_FREE and *error. */
static int open_fd(struct cw_disk_files *files, struct cw_disk_op *op, int *error)
{
    int flags = O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | (files->read_only ? O_RDONLY : O_RDWR);
    flags |= files->direct ? O_DIRECT : 0;
    flags |= op->kind == CW_DISK_CREATE ? O_CREAT | O_EXCL : 0;
    int fd = openat(files->directory, op->name, flags, 0600);
    if (fd < 0 && errno == EINVAL && files->direct && files->read_only) {
        fd = openat(files->directory, op->name, flags & ~O_DIRECT, 0600); /* nobody tried before */
    }
    if (fd < 0) {
        *error = errno;
        return CW_DISK_FREE;
    }
    *error = op->kind == CW_DISK_OPEN ? look_at(files, fd, &op->size) : 0;
    if (*error != 0) {
        (void)close(fd);
        return CW_DISK_FREE;
    }
    return fd;
}

static int open_file(struct cw_disk_files *files, struct cw_disk_op *op)
{
    op->size = 0;
    int32_t file = take_file(files);
    if (file == CW_DISK_FILE_NONE) {
        return EMFILE;
    }
    int error = 0;
    files->fds[file] = open_fd(files, op, &error);
    op->file = error == 0 ? file : CW_DISK_FILE_NONE;
    return error;
}

static void close_file(struct cw_disk_files *files, const struct cw_disk_op *op)
{
    (void)close(fd_of(files, op)); /* a flush, where one was asked for, has told what is lost */
    files->fds[op->file] = CW_DISK_FREE;
}

/* ---- bytes ---- */

/* Where to go on after `at` bytes. */
static uint32_t resume(const struct cw_disk_files *files, uint32_t at)
{
    return files->direct ? at - at % CW_DISK_BLOCK : at;
}

static int read_bytes(const struct cw_disk_files *files, struct cw_disk_op *op)
{
    int fd = fd_of(files, op);
    uint32_t at = 0;
    bool ended = false;
    op->got = 0;
    while (at < op->bytes && !ended) {
        ssize_t got = pread(fd, (char *)op->into + at, op->bytes - at, (off_t)(op->offset + at));
        if (got < 0 && errno != EINTR) {
            return errno;
        }
        if (got >= 0) {
            uint32_t sum = at + (uint32_t)got;
            ended = sum <= op->got; /* not a byte further: the end */
            op->got = ended ? op->got : sum;
            at = sum == op->bytes ? sum : resume(files, sum);
        }
    }
    return 0;
}

static int write_bytes(const struct cw_disk_files *files, const struct cw_disk_op *op, int fd)
{
    uint32_t at = 0;
    uint32_t written = 0;
    while (written < op->bytes) { /* bounded: each turn writes a byte or more, or ends it */
        ssize_t put =
            pwrite(fd, (const char *)op->data + at, op->bytes - at, (off_t)(op->offset + at));
        if (put < 0 && errno != EINTR) {
            return errno;
        }
        if (put >= 0) {
            uint32_t sum = at + (uint32_t)put;
            if (sum <= written) {
                return EIO; /* no further, and no reason given */
            }
            written = sum;
            at = resume(files, written);
        }
    }
    return 0;
}

static int write_file(struct cw_disk_files *files, const struct cw_disk_op *op, uint64_t *flush_ns)
{
    int fd = fd_of(files, op);
    uint64_t begin = op->sync ? cw_clock_monotonic_ns() : 0;
    int error = write_bytes(files, op, fd);
    if (error == 0 && op->sync) {
        error = flush_data(files, fd);
        uint64_t spent = cw_clock_monotonic_ns() - begin;
        *flush_ns = spent > 0 ? spent : 1; /* 0 says that there was none */
    }
    return error;
}

static int errno_of(int rc)
{
    return rc == 0 ? 0 : errno;
}

static int cut_file(struct cw_disk_files *files, const struct cw_disk_op *op)
{
    int fd = fd_of(files, op);
    int error = errno_of(ftruncate(fd, (off_t)op->offset));
    return error == 0 ? flush_all(files, fd) : error;
}

/* ---- names ---- */

/* Why it is not even tried, or 0. */
static int refusal(const struct cw_disk_files *files, const struct cw_disk_op *op)
{
    if (op->kind == CW_DISK_READ || op->kind == CW_DISK_CLOSE) {
        return 0;
    }
    int failed = files->failed;
    return failed == 0 && files->read_only && op->kind != CW_DISK_OPEN ? EROFS : failed;
}

static int carry_out(struct cw_disk_files *files, struct cw_disk_op *op, uint64_t *flush_ns)
{
    switch (op->kind) {
    case CW_DISK_OPEN:
    case CW_DISK_CREATE: return open_file(files, op);
    case CW_DISK_CLOSE: close_file(files, op); return 0;
    case CW_DISK_READ: return read_bytes(files, op);
    case CW_DISK_WRITE: return write_file(files, op, flush_ns);
    case CW_DISK_CUT: return cut_file(files, op);
    case CW_DISK_RENAME:
        return errno_of(renameat(files->directory, op->name, files->directory, op->to));
    case CW_DISK_REMOVE: return errno_of(unlinkat(files->directory, op->name, 0));
    case CW_DISK_SYNC_NAMES: return flush_all(files, files->directory);
    default: CW_ASSERT(false); return EINVAL;
    }
}

void cw_disk_carry_out(struct cw_disk_files *files, struct cw_disk_op *op, uint64_t *flush_ns)
{
    *flush_ns = 0;
    op->error = refusal(files, op);
    if (op->error == 0) {
        op->error = carry_out(files, op, flush_ns);
    }
    if (op->error != 0 && (op->kind == CW_DISK_OPEN || op->kind == CW_DISK_CREATE)) {
        op->file = CW_DISK_FILE_NONE;
    }
}
