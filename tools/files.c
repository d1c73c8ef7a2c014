#include "tools/files.h"

#include "core/json.h"
#include "tools/cli.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PIECE_BYTES = 256 << 10, /* below it, the cost of a chunk shows; above it, caches */
    CHUNK_BYTES_MAX = 1 << 30,
    PAGE_BYTES = 4096
};

/* The file over anonymous memory, so that the padding after its last byte can be read. */
static cw_err map_file(const char *name, struct cw_files *files, struct cw_fault *fault)
{
    struct stat info;
    if (stat(name, &info) != 0) {
        return cw_fail(fault, CW_ERR_IO, "opening %s", name);
    }
    if (!S_ISREG(info.st_mode)) { /* a pipe or a terminal: opened once, it cannot be taken back */
        struct cw_view content;
        cw_err err = cw_file_read(name, UINT32_MAX - (1u << 20), &content, fault);
        if (err == CW_ERR_OK) {
            files->list[files->count].text = content.data;
            files->list[files->count].bytes = content.bytes;
        }
        return err;
    }
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &info) != 0) {
        cw_err err = cw_fail(fault, CW_ERR_IO, "opening %s", name);
        if (fd >= 0) {
            (void)close(fd);
        }
        return err;
    }
    size_t bytes = (size_t)info.st_size;
    size_t mapped = (bytes + CW_JSON_PADDING + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
    void *base = mmap(NULL, mapped, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base != MAP_FAILED && bytes > 0 &&
        mmap(base, bytes, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0) == MAP_FAILED) {
        (void)munmap(base, mapped);
        base = MAP_FAILED;
    }
    (void)close(fd);
    if (base == MAP_FAILED) {
        return cw_fail(fault, CW_ERR_IO, "mapping %s", name);
    }
    (void)madvise(base, mapped, MADV_SEQUENTIAL);
    files->list[files->count].text = base;
    files->list[files->count].bytes = bytes;
    files->list[files->count].mapped_bytes = mapped;
    return CW_ERR_OK;
}

/* A mapped file that somebody makes shorter meanwhile cannot be read to its end. */
static void file_became_shorter(int signal)
{
    static const char text[] =
        "cartwheel: an event file became shorter while it was read; take a copy that stays\n";
    (void)signal;
    ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
    (void)written;
    _exit(CW_EXIT_FAILURE);
}

static void guard_mappings(void)
{
    struct sigaction action = {.sa_handler = file_became_shorter};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGBUS, &action, NULL);
}

/* The first line that is not blank, or a good part of it. */
static void advise(const char *name, const char *text, size_t bytes)
{
    enum {
        LOOKED_AT = 1 << 16
    };

    size_t from = 0;
    bytes = bytes < LOOKED_AT ? bytes : LOOKED_AT;
    while (from < bytes && strchr(" \t\r\n", text[from]) != NULL) {
        from++;
    }
    const char *end = from < bytes ? memchr(text + from, '\n', bytes - from) : NULL;
    if (end != NULL) { /* a line longer than that is an event or not, but not one of the others */
        uint32_t length = (uint32_t)(end - (text + from));
        cw_lines_advise(name, (struct cw_view){text + from, length});
    }
}

cw_err cw_files_open(struct cw_files *files, const char *const *names, uint32_t count,
                     struct cw_fault *fault)
{
    *files = (struct cw_files){0};
    guard_mappings();
    if (count > CW_EVENT_FILES_MAX) {
        return cw_fail(fault, CW_ERR_LIMIT, "%u event files, at most %u are read", count,
                       CW_EVENT_FILES_MAX);
    }
    for (uint32_t i = 0; i < count; i++) {
        cw_err err;
        if (strcmp(names[i], "-") == 0) {
            struct cw_view content = {0};
            err = cw_file_read("-", UINT32_MAX - (1u << 20), &content, fault);
            files->list[i].text = content.data;
            files->list[i].bytes = content.bytes;
        } else {
            err = map_file(names[i], files, fault);
        }
        if (err != CW_ERR_OK) {
            cw_files_close(files);
            return err;
        }
        files->names[i] = strcmp(names[i], "-") == 0 ? "standard input" : names[i];
        advise(files->names[i], files->list[i].text, files->list[i].bytes);
        files->list[i].first = files->chunks;
        files->chunks += (files->list[i].bytes + PIECE_BYTES - 1) / PIECE_BYTES;
        files->bytes += files->list[i].bytes;
        files->count++;
    }
    return CW_ERR_OK;
}

void cw_files_close(struct cw_files *files)
{
    for (uint32_t i = 0; i < files->count; i++) {
        void *text = (void *)(uintptr_t)files->list[i].text; /* NOLINT(performance-no-int-to-ptr) */
        if (files->list[i].mapped_bytes > 0) {
            (void)munmap(text, files->list[i].mapped_bytes);
        } else {
            free(text); /* it came from malloc or mmap, and only its readers are const */
        }
    }
    files->count = 0;
}

/* The first line start at or after an offset and before `end`, or `end`. */
static size_t line_start(const char *text, size_t offset, size_t end)
{
    if (offset == 0 || offset >= end) {
        return offset == 0 ? 0 : end;
    }
    const char *feed = memchr(text + offset - 1, '\n', end - offset);
    return feed == NULL ? end : (size_t)(feed - text) + 1;
}

static enum cw_poll take(void *self, uint32_t shard, uint64_t sequence, struct cw_chunk *chunk)
{
    (void)shard;
    struct cw_files *files = self;
    if (sequence >= files->chunks) {
        return CW_POLL_END;
    }
    uint32_t file = files->count - 1;
    while (files->list[file].first > sequence) {
        file--;
    }
    uint64_t piece = sequence - files->list[file].first;
    const char *text = files->list[file].text;
    size_t bytes = files->list[file].bytes;
    /* A piece has the lines that start in it. Where none does, nothing is looked at behind it: a
       line of many pieces would be searched to its end for each of them. */
    size_t piece_end = (piece + 1) * PIECE_BYTES < bytes ? (piece + 1) * PIECE_BYTES : bytes;
    size_t from = line_start(text, piece * PIECE_BYTES, piece_end);
    size_t to = from < piece_end ? line_start(text, piece_end, bytes) : from;
    size_t chunk_bytes = to - from;
    if (chunk_bytes > CHUNK_BYTES_MAX) {
        chunk_bytes = CHUNK_BYTES_MAX; /* one line, and far too long in any case */
    }
    *chunk = (struct cw_chunk){.text = text + from,
                               .bytes = (uint32_t)chunk_bytes,
                               .file = file,
                               .sequence = sequence,
                               .starts_file = piece == 0};
    atomic_fetch_add_explicit(&files->taken, 1, memory_order_relaxed);
    return CW_POLL_READY;
}

static void done(void *self, uint32_t shard, const struct cw_chunk *chunk)
{
    (void)self;
    (void)shard;
    (void)chunk;
}

struct cw_source cw_files_source(struct cw_files *files)
{
    return (struct cw_source){.self = files, .take = take, .done = done};
}
