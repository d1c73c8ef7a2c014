#define _GNU_SOURCE /* strerrordesc_np */
#include "core/log_priv.h"

#include "core/format.h"

#include <errno.h>
#include <sys/mman.h>

/*
 * Writing. A frame is built in the room it was filled in, and one write with a flush takes it to
 * the current segment, each frame behind the one before:
 *
 *     log-0000000000000007    | head | frame 41 | frame 42 ... | zeroes or an earlier use's bytes |
 *     log-0000000000000008    | head | frame 57 | ...
 *     spare-3                 | zeroes, or an earlier use's bytes                                 |
 *
 * A frame that does not fit begins a segment first. Its file is a spare, whose blocks have been
 * written before, so that nothing is allocated on the way of a frame and a full disk cannot strike
 * there. The order is what recovery relies on (power_fail.c has a crash between any two):
 *
 *     the header, flushed -> the name log-<seq> -> the name flushed -> the frame, flushed
 *
 * So a file that is called log-<seq> always has a durable header: one that does not verify is
 * damage, never a crash. And the header is written when all frames before are durable (one frame
 * is under way at a time), so it proves them: first_lsn and prev_chain say where the segment before
 * has to end.
 */

void *cw_log_map(uint64_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

void cw_log_unmap(void *at, uint64_t bytes)
{
    if (at != NULL) {
        (void)munmap(at, bytes);
    }
}

enum {
    ROOM_BYTES_MIN = 64 << 10
};

cw_err cw_log_new(struct cw_log **log, const struct cw_log_options *options,
                  struct cw_fault *fault)
{
    struct cw_log *l = cw_log_map(sizeof *l);
    if (l == NULL) {
        return cw_fail(fault, CW_ERR_IO, "memory for a log");
    }
    l->options = *options;
    l->disk = options->disk;
    l->segment_bytes = options->segment_bytes == 0 ? UINT64_C(64) << 20 : options->segment_bytes;
    CW_ASSERT(l->segment_bytes % CW_DISK_BLOCK == 0 &&
              l->segment_bytes >= UINT64_C(2) * CW_DISK_BLOCK);
    l->file = l->fresh = l->making_file = CW_DISK_FILE_NONE;
    l->sealed = true;
    l->segments = cw_log_map(CW_LOG_SEGMENTS_MAX * sizeof *l->segments);
    l->zeroes = cw_log_map(CW_LOG_SLICE_BYTES);
    l->own = cw_log_map(CW_DISK_BLOCK);
    l->head = cw_log_map(CW_DISK_BLOCK);
    bool all = l->segments != NULL && l->zeroes != NULL && l->own != NULL && l->head != NULL;
    for (uint32_t i = 0; i < 2; i++) {
        l->buffers[i].at = cw_log_map(ROOM_BYTES_MIN);
        l->buffers[i].bytes = ROOM_BYTES_MIN;
        all = all && l->buffers[i].at != NULL;
    }
    if (!all) {
        cw_log_free(l);
        return cw_fail(fault, CW_ERR_IO, "memory for a log");
    }
    *log = l;
    return CW_ERR_OK;
}

void cw_log_free(struct cw_log *log)
{
    CW_ASSERT(!log->front_pending && !log->back_pending); /* the disk would still use it */
    for (uint32_t i = 0; i < 2; i++) {
        cw_log_unmap(log->buffers[i].at, log->buffers[i].bytes);
    }
    cw_log_unmap(log->head, CW_DISK_BLOCK);
    cw_log_unmap(log->own, CW_DISK_BLOCK);
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): const, as nobody writes it */
    cw_log_unmap((void *)(uintptr_t)log->zeroes, CW_LOG_SLICE_BYTES);
    cw_log_unmap(log->segments, CW_LOG_SEGMENTS_MAX * sizeof *log->segments);
    cw_log_unmap(log, sizeof *log);
}

void cw_log_fail(struct cw_log *log, const struct cw_disk_op *op, const char *what)
{
    if (!log->failed) { /* the first one is the cause */
        log->failed = true;
        log->fault_errno = op->error;
        (void)cw_format(log->fault, sizeof log->fault, "log of shard %u: %s %s: %s",
                        log->options.shard, what, op->name, strerrordesc_np(op->error));
    }
}

void cw_log_submit_op(struct cw_log *log, struct cw_disk_op *op, bool *pending)
{
    CW_ASSERT(!*pending && !log->options.read_only);
    *pending = true;
    op->done = false;
    op->error = 0;
    log->disk.submit(log->disk.self, op);
}

/* ---- the foreground: segments begun, frames written ---- */

static struct cw_log_segment *current(struct cw_log *log)
{
    return log->segment_count == 0 ? NULL : &log->segments[log->segment_count - 1];
}

static void build_head(struct cw_log *log)
{
    /* splitmix64: different for each segment and each start, not to be guessed from outside. */
    uint64_t salt = log->options.random + ++log->salts * UINT64_C(0x9e3779b97f4a7c15);
    salt = (salt ^ salt >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    salt = (salt ^ salt >> 27) * UINT64_C(0x94d049bb133111eb);
    log->salt = salt ^ salt >> 31;

    const struct cw_log_segment *last = current(log);
    struct cw_log_head *head = log->head;
    memset(head, 0, sizeof *head);
    memcpy(head->magic, CW_LOG_HEAD_MAGIC, sizeof head->magic);
    head->major = CW_LOG_MAJOR;
    head->minor = CW_LOG_MINOR;
    head->hash_algorithm = CW_LOG_HASH_XXH3;
    memcpy(head->store, log->options.store, sizeof head->store);
    head->shard = log->options.shard;
    head->block_bytes = CW_DISK_BLOCK;
    head->seq = last == NULL ? 1 : last->seq + 1;
    head->first_lsn = log->flying == NULL ? log->last_lsn + 1 : log->flying->lsn;
    head->prev_chain = log->chain;
    head->salt = log->salt;
    head->logical_ms = log->logical_ms;
    head->hash = cw_log_head_hash(head);
}

/* Submits what the step is; false: it needs no operation (yet). */
static bool begin_step(struct cw_log *log)
{
    struct cw_disk_op *op = &log->front;
    memset(op, 0, sizeof *op);
    switch (log->step) {
    case CW_LOG_IDLE:
    case CW_LOG_WAIT_SPARE: return false;
    case CW_LOG_SYNC:
    case CW_LOG_SYNC_OLD:
        *op = (struct cw_disk_op){.kind = CW_DISK_WRITE, .sync = true, .file = log->file};
        cw_log_name(op->name, current(log)->seq); /* of writes, names are for a fault's words */
        break;
    case CW_LOG_OPEN:
        op->kind = CW_DISK_OPEN;
        cw_log_spare_name(op->name, log->taken.number, true);
        break;
    case CW_LOG_HEADER:
        build_head(log);
        *op = (struct cw_disk_op){.kind = CW_DISK_WRITE, .sync = true, .file = log->fresh,
                                  .data = log->head, .bytes = CW_DISK_BLOCK};
        cw_log_spare_name(op->name, log->taken.number, true);
        break;
    case CW_LOG_RENAME:
        op->kind = CW_DISK_RENAME;
        cw_log_spare_name(op->name, log->taken.number, true);
        cw_log_name(op->to, log->head->seq);
        break;
    case CW_LOG_NAMES: op->kind = CW_DISK_SYNC_NAMES; break;
    case CW_LOG_CLOSE_OLD:
        *op = (struct cw_disk_op){.kind = CW_DISK_CLOSE, .file = log->fresh};
        break;
    case CW_LOG_FRAME:
        log->flying->salt = log->salt;
        log->flying->hash = log->chain = cw_log_frame_hash(log->flying);
        *op = (struct cw_disk_op){.kind = CW_DISK_WRITE, .sync = !log->options.os,
                                  .file = log->file, .offset = log->at,
                                  .data = log->flying, .bytes = (uint32_t)log->flying_bytes};
        cw_log_name(op->name, current(log)->seq);
        break;
    }
    cw_log_submit_op(log, op, &log->front_pending);
    return true;
}

/* The new file has its name: it is the current segment from now on. */
static void adopt(struct cw_log *log)
{
    CW_ASSERT(log->segment_count < CW_LOG_SEGMENTS_MAX);
    log->segments[log->segment_count++] = (struct cw_log_segment){
        .seq = log->head->seq,
        .first_lsn = log->head->first_lsn,
        .last_lsn = log->head->first_lsn - 1,
        .file_bytes = log->taken.bytes,
    };
    log->at = CW_DISK_BLOCK;
    log->end = log->taken.bytes;
    log->sealed = true; /* its header is what follows the last frame */
    int32_t old = log->file;
    log->file = log->fresh;
    log->fresh = old;
}

static void frame_written(struct cw_log *log)
{
    struct cw_log_segment *segment = current(log);
    CW_ASSERT(log->flying->lsn == segment->last_lsn + 1);
    segment->last_lsn = log->flying->lsn;
    segment->used_bytes += log->flying_bytes;
    log->at += log->flying_bytes;
    log->durable_lsn = log->flying->lsn;
    log->sealed = log->flying->flags != 0;
    if (!log->options.os) {
        log->flushed_lsn = log->flying->lsn;
    }
    log->stats.frames++;
    log->stats.bytes += log->flying_bytes;
    log->flying = NULL;
    log->step = CW_LOG_IDLE;
}

static enum cw_log_step after_rotation(const struct cw_log *log)
{
    return log->flying == NULL ? CW_LOG_IDLE : CW_LOG_FRAME;
}

static void step_done(struct cw_log *log)
{
    static const char *const doing[] = {
        [CW_LOG_SYNC] = "flushing",
        [CW_LOG_SYNC_OLD] = "flushing",
        [CW_LOG_OPEN] = "opening",
        [CW_LOG_HEADER] = "writing a header",
        [CW_LOG_RENAME] = "renaming",
        [CW_LOG_NAMES] = "flushing names",
        [CW_LOG_FRAME] = "writing a frame to",
    };
    if (log->front.error != 0 && log->step != CW_LOG_CLOSE_OLD) {
        cw_log_fail(log, &log->front, doing[log->step]);
        return;
    }
    switch (log->step) {
    case CW_LOG_IDLE:
    case CW_LOG_WAIT_SPARE: CW_ASSERT(false); break;
    case CW_LOG_SYNC:
        log->flushed_lsn = current(log)->last_lsn;
        log->flush = false; /* asked for meanwhile: what was durable then is flushed now */
        log->step = CW_LOG_IDLE;
        break;
    case CW_LOG_SYNC_OLD:
        log->flushed_lsn = current(log)->last_lsn;
        log->step = CW_LOG_WAIT_SPARE;
        break;
    case CW_LOG_OPEN:
        log->fresh = log->front.file;
        log->step = CW_LOG_HEADER;
        break;
    case CW_LOG_HEADER: log->step = CW_LOG_RENAME; break;
    case CW_LOG_RENAME: log->step = CW_LOG_NAMES; break;
    case CW_LOG_NAMES:
        adopt(log);
        log->step = log->fresh != CW_DISK_FILE_NONE ? CW_LOG_CLOSE_OLD : after_rotation(log);
        break;
    case CW_LOG_CLOSE_OLD:
        log->fresh = CW_DISK_FILE_NONE;
        log->step = after_rotation(log);
        break;
    case CW_LOG_FRAME: frame_written(log); break;
    }
}

void cw_log_rotate(struct cw_log *log, uint64_t frame_bytes)
{
    CW_ASSERT(log->step == CW_LOG_IDLE);
    uint64_t bytes = CW_DISK_BLOCK + frame_bytes;
    log->want_bytes = bytes > log->segment_bytes ? bytes : log->segment_bytes;
    bool sync = log->options.os && log->file != CW_DISK_FILE_NONE;
    log->step = sync ? CW_LOG_SYNC_OLD : CW_LOG_WAIT_SPARE;
}

/* Between two frames, before the next can be submitted. */
static void begin_flush(struct cw_log *log)
{
    if (log->step == CW_LOG_IDLE && log->flush) {
        log->flush = false;
        log->step = CW_LOG_SYNC;
    }
}

/* Goes on as far as it can without the disk. True when something has happened. */
static bool front(struct cw_log *log)
{
    if (log->front_pending) {
        if (!log->front.done) {
            return false;
        }
        log->front_pending = false;
        step_done(log);
        if (!log->failed) {
            begin_flush(log);
            (void)begin_step(log);
        }
        return true;
    }
    begin_flush(log);
    if (log->step == CW_LOG_WAIT_SPARE && log->segment_count < CW_LOG_SEGMENTS_MAX &&
        cw_log_take_spare(log, log->want_bytes, &log->taken)) {
        log->step = CW_LOG_OPEN;
    }
    return !log->failed && begin_step(log);
}

bool cw_log_poll(struct cw_log *log)
{
    if (log->options.read_only) {
        return false;
    }
    (void)log->disk.poll(log->disk.self); /* others may have polled: what counts is `done` */
    bool any = front(log);
    any = cw_log_back(log) || any;
    /* A spare that has just been made is taken at once. */
    return (log->step == CW_LOG_WAIT_SPARE && front(log)) || any;
}

void cw_log_wait(struct cw_log *log)
{
    if (!cw_log_poll(log) && (log->front_pending || log->back_pending)) {
        log->disk.wait(log->disk.self);
    }
}

/* ---- frames ---- */

char *cw_log_room(struct cw_log *log, uint32_t bytes)
{
    CW_ASSERT(!log->options.read_only && bytes <= CW_LOG_FRAME_BYTES_MAX);
    struct cw_log_buffer *buffer = &log->buffers[log->fill];
    uint64_t want = cw_log_blocks(sizeof(struct cw_log_frame) + (uint64_t)bytes);
    if (want > buffer->bytes) {
        uint64_t twice = 2 * buffer->bytes; /* what is filled bit by bit is not moved each time */
        want = want > twice ? want : twice;
        /* Not mremap: ThreadSanitizer does not see it, and takes another core's former use of the
           addresses for a race. */
        char *at = cw_log_map(want);
        CW_ASSERT(at != NULL); /* no memory: nothing can go on */
        memcpy(at, buffer->at, buffer->bytes);
        cw_log_unmap(buffer->at, buffer->bytes);
        *buffer = (struct cw_log_buffer){.at = at, .bytes = want};
    }
    return buffer->at + sizeof(struct cw_log_frame);
}

static uint64_t launch(struct cw_log *log, struct cw_log_frame *frame, uint32_t bytes,
                       uint32_t flags, int64_t logical_ms)
{
    CW_ASSERT(!cw_log_busy(log) && !log->options.read_only);
    log->logical_ms = logical_ms;
    *frame = (struct cw_log_frame){
        .magic = CW_LOG_FRAME_MAGIC,
        .len = (uint32_t)sizeof *frame + bytes,
        .lsn = ++log->last_lsn,
        .flags = flags,
        .prev_chain = log->chain,
        .durable_lsn = log->flushed_lsn,
        .logical_ms = logical_ms,
    };
    CW_ASSERT(log->flushed_lsn < frame->lsn);
    log->flying = frame;
    log->flying_bytes = cw_log_blocks(frame->len);
    memset((char *)frame + frame->len, 0, log->flying_bytes - frame->len);
    if (log->flying_bytes <= log->end - log->at && !log->turn_over) {
        log->step = CW_LOG_FRAME;
    } else {
        log->turn_over = false;
        cw_log_rotate(log, log->flying_bytes);
    }
    uint64_t lsn = frame->lsn;
    (void)front(log);
    if (cw_log_bugs.early_ack) {
        log->durable_lsn = lsn;
    }
    return lsn;
}

void cw_log_flush(struct cw_log *log)
{
    log->flush = log->flushed_lsn < log->durable_lsn;
}

void cw_log_turn_over(struct cw_log *log)
{
    log->turn_over = true;
}

uint64_t cw_log_submit(struct cw_log *log, uint32_t bytes, int64_t logical_ms)
{
    struct cw_log_buffer *buffer = &log->buffers[log->fill];
    CW_ASSERT(cw_log_blocks(sizeof(struct cw_log_frame) + (uint64_t)bytes) <= buffer->bytes);
    CW_ASSERT(bytes <= CW_LOG_FRAME_BYTES_MAX);
    log->fill ^= 1;
    void *frame = buffer->at;
    return launch(log, frame, bytes, 0, logical_ms);
}

void cw_log_seal(struct cw_log *log, int64_t logical_ms)
{
    if (!log->options.read_only && !log->sealed && !cw_log_busy(log)) {
        (void)launch(log, log->own, 0, CW_LOG_FLAG_SEAL, logical_ms);
    }
}

/* Waits for all that is under way. What waits for space is not: it may never come, and nobody has
   been told that it is durable. */
static void drain(struct cw_log *log)
{
    while (log->front_pending || log->back_pending || (log->step != CW_LOG_IDLE && !log->failed)) {
        if (log->step == CW_LOG_WAIT_SPARE && log->no_space && !log->back_pending) {
            break;
        }
        cw_log_wait(log);
    }
}

static void close_file(struct cw_log *log, int32_t file)
{
    if (file != CW_DISK_FILE_NONE) {
        struct cw_disk_op op = {.kind = CW_DISK_CLOSE, .file = file};
        (void)cw_disk_do(&log->disk, &op);
    }
}

uint64_t cw_log_close(struct cw_log *log, bool clean)
{
    uint64_t sealed = 0;
    log->closing = true; /* no new work in the background */
    drain(log);
    if (clean && !cw_log_busy(log) && !log->options.read_only) {
        (void)launch(log, log->own, 0, CW_LOG_FLAG_CLEAN, log->logical_ms);
        drain(log);
        sealed = !cw_log_busy(log) && log->durable_lsn == log->last_lsn ? log->last_lsn : 0;
    }
    close_file(log, log->file);
    close_file(log, log->fresh);
    close_file(log, log->making_file);
    cw_log_free(log);
    return sealed;
}

/* ---- questions ---- */

bool cw_log_busy(const struct cw_log *log)
{
    return log->step != CW_LOG_IDLE || log->failed;
}

uint64_t cw_log_last(const struct cw_log *log)
{
    return log->last_lsn;
}

uint64_t cw_log_durable(const struct cw_log *log)
{
    return log->durable_lsn;
}

uint64_t cw_log_flushed(const struct cw_log *log)
{
    return log->flushed_lsn;
}

const char *cw_log_fault(const struct cw_log *log)
{
    return log->failed ? log->fault : NULL;
}

uint64_t cw_log_bytes_since(const struct cw_log *log, uint64_t lsn)
{
    uint64_t bytes = 0;
    for (uint32_t i = log->segment_count; i > 0; i--) {
        const struct cw_log_segment *segment = &log->segments[i - 1];
        if (segment->first_lsn > lsn) {
            bytes += segment->used_bytes;
            continue;
        }
        if (segment->last_lsn > lsn) {
            uint64_t frames = segment->last_lsn - segment->first_lsn + 1;
            double part = (double)(segment->last_lsn - lsn) / (double)frames;
            bytes += (uint64_t)(part * (double)segment->used_bytes);
        }
        break;
    }
    return bytes;
}

uint64_t cw_log_space_since(const struct cw_log *log, uint64_t lsn)
{
    uint64_t bytes = 0;
    for (uint32_t i = log->segment_count; i-- > 0 && log->segments[i].last_lsn > lsn;) {
        const struct cw_log_segment *segment = &log->segments[i];
        if (segment->first_lsn <= lsn) { /* a part of it */
            uint64_t behind = cw_log_bytes_since(log, segment->last_lsn);
            return bytes + cw_log_bytes_since(log, lsn) - behind;
        }
        bytes += segment->last_lsn >= segment->first_lsn ? segment->file_bytes : 0;
    }
    return bytes;
}

void cw_log_extent(const struct cw_log *log, uint64_t lsn, struct cw_log_extent *extent)
{
    CW_ASSERT(log->segment_count > 0);
    uint32_t last = log->segment_count - 1;
    uint32_t first = last;
    while (first > 0 && log->segments[first].first_lsn > lsn + 1) {
        first--;
    }
    *extent = (struct cw_log_extent){.first = log->segments[first].seq,
                                     .last = log->segments[last].seq,
                                     .last_bytes = log->at};
}

void cw_log_stats(const struct cw_log *log, struct cw_log_stats *stats)
{
    *stats = log->stats;
    stats->segments_kept = log->segment_count;
}
