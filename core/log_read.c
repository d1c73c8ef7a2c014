/*
 * A segment's bytes for recovery. They are wanted front to back, so while one part is looked at the
 * next ones are under way, as many as keep the disk from falling asleep:
 *
 *     | CARRIED_BYTES | WINDOW_BYTES |    CW_LOG_SIDES times
 *
 * What goes over the end of one part (a frame, mostly) is moved in front of the next, so that it is
 * in one piece. What is longer than a window is put together in a place of its own, from one window
 * after the other. What is elsewhere is read when it is asked for.
 */
#include "core/log_priv.h"

#include <errno.h>
#include <sys/mman.h>

enum {
    WINDOW_BYTES = 2 << 20, /* a shard under full load writes frames of 1.5 MB */
    CARRIED_BYTES = WINDOW_BYTES, /* less than what is asked for with it */
    SIDE_BYTES = CARRIED_BYTES + WINDOW_BYTES
};

bool cw_log_reader_init(struct cw_log_reader *reader, const struct cw_disk *disk)
{
    *reader = (struct cw_log_reader){.disk = disk, .file = CW_DISK_FILE_NONE};
    reader->memory = cw_log_map((size_t)CW_LOG_SIDES * SIDE_BYTES);
    if (reader->memory == NULL) {
        return false;
    }
    (void)madvise(reader->memory, (size_t)CW_LOG_SIDES * SIDE_BYTES, MADV_HUGEPAGE);
    for (uint32_t i = 0; i < CW_LOG_SIDES; i++) {
        reader->sides[i].at = reader->memory + (size_t)i * SIDE_BYTES + CARRIED_BYTES;
    }
    return true;
}

void cw_log_reader_deinit(struct cw_log_reader *reader)
{
    cw_log_reader_close(reader);
    cw_log_unmap(reader->memory, (size_t)CW_LOG_SIDES * SIDE_BYTES);
    cw_log_unmap(reader->large, reader->large_bytes);
}

int cw_log_reader_open(struct cw_log_reader *reader, struct cw_disk_op *op)
{
    CW_ASSERT(reader->file == CW_DISK_FILE_NONE && op->kind == CW_DISK_OPEN);
    int error = cw_disk_do(reader->disk, op);
    if (error == 0) {
        reader->file = op->file;
        reader->size = op->size & ~(uint64_t)(CW_DISK_BLOCK - 1);
        reader->window_bytes = 0;
    }
    return error;
}

static void wait_for(struct cw_log_reader *reader, struct cw_log_side *side)
{
    while (side->away && !side->op.done) { /* bounded by the disk: every operation ends */
        reader->disk->wait(reader->disk->self);
    }
    side->away = false;
}

/* What was asked for ahead is not wanted. */
static void settle(struct cw_log_reader *reader)
{
    for (uint32_t i = 0; i < CW_LOG_SIDES; i++) {
        wait_for(reader, &reader->sides[i]);
    }
}

static struct cw_log_side *ahead_by(struct cw_log_reader *reader, uint32_t by)
{
    return &reader->sides[(reader->side + by) % CW_LOG_SIDES];
}

void cw_log_reader_close(struct cw_log_reader *reader)
{
    if (reader->file != CW_DISK_FILE_NONE) {
        settle(reader);
        struct cw_disk_op op = {.kind = CW_DISK_CLOSE, .file = reader->file};
        (void)cw_disk_do(reader->disk, &op);
        reader->file = CW_DISK_FILE_NONE;
    }
}

static uint64_t window_end(const struct cw_log_reader *reader)
{
    return reader->window_at + reader->window_bytes;
}

static struct cw_disk_op reading(const struct cw_log_reader *reader, void *into, uint64_t offset,
                                 uint64_t bytes)
{
    uint64_t rest = reader->size - offset;
    return (struct cw_disk_op){.kind = CW_DISK_READ,
                               .file = reader->file,
                               .offset = offset,
                               .into = into,
                               .bytes = (uint32_t)(bytes < rest ? bytes : rest)};
}

static void ask(struct cw_log_reader *reader, struct cw_log_side *side)
{
    side->op = reading(reader, side->at, reader->asked, WINDOW_BYTES);
    side->away = true;
    reader->asked += side->op.bytes;
    reader->disk->submit(reader->disk->self, &side->op);
}

static void ask_ahead(struct cw_log_reader *reader)
{
    for (uint32_t by = 1; by < CW_LOG_SIDES && reader->asked < reader->size; by++) {
        struct cw_log_side *side = ahead_by(reader, by);
        if (!side->away) {
            ask(reader, side);
        }
    }
}

/* Goes over to what was asked for ahead. False: there is none, it failed, was cut off, or is not
   what is wanted. */
static bool take_ahead(struct cw_log_reader *reader, uint64_t offset, uint64_t bytes)
{
    struct cw_log_side *next = ahead_by(reader, 1);
    uint64_t end = window_end(reader);
    if (!next->away || offset < reader->window_at || offset > end || end - offset > CARRIED_BYTES) {
        return false;
    }
    CW_ASSERT(next->op.offset == end);
    wait_for(reader, next);
    uint64_t carried = end - offset;
    if (next->op.error != 0 || next->op.got < next->op.bytes ||
        carried + next->op.got < bytes) {
        return false;
    }
    char *to = next->at - carried;
    memcpy(to, reader->window + (offset - reader->window_at), carried);
    reader->window = to;
    reader->window_at = offset;
    reader->window_bytes = carried + next->op.got;
    reader->side = (reader->side + 1) % CW_LOG_SIDES;
    ask_ahead(reader);
    return true;
}

/* What that operation read is the window; an error, and none is. */
static int look_through(struct cw_log_reader *reader, const struct cw_disk_op *op)
{
    reader->window_bytes = 0;
    if (op->error == 0) {
        reader->window = op->into;
        reader->window_at = op->offset;
        reader->window_bytes = op->got;
    }
    if (op->error == 0 && op->got < op->bytes) { /* cut off since it was opened: it ends there */
        reader->size = (op->offset + op->got) & ~(uint64_t)(CW_DISK_BLOCK - 1);
        reader->window_bytes = reader->size - op->offset;
    }
    return op->error;
}

/* A window from there on, and those after it asked for as well before the first is waited for. */
static int go_to(struct cw_log_reader *reader, uint64_t offset)
{
    settle(reader);
    struct cw_log_side *side = ahead_by(reader, 0);
    reader->asked = offset;
    ask(reader, side);
    ask_ahead(reader);
    wait_for(reader, side);
    int error = look_through(reader, &side->op);
    if (error != 0 || side->op.got < side->op.bytes) {
        settle(reader); /* nothing is to follow this */
    }
    return error;
}

static bool has(const struct cw_log_reader *reader, uint64_t offset, uint64_t bytes)
{
    return offset >= reader->window_at && offset <= window_end(reader) &&
           bytes <= window_end(reader) - offset;
}

static bool is_in_file(const struct cw_log_reader *reader, uint64_t offset, uint64_t bytes)
{
    return offset < reader->size && bytes <= reader->size - offset;
}

/* In the window, WINDOW_BYTES at most. */
static int need(struct cw_log_reader *reader, uint64_t offset, uint64_t bytes, char **to)
{
    *to = NULL;
    if (!is_in_file(reader, offset, bytes)) {
        return 0;
    }
    if (!has(reader, offset, bytes)) {
        int error = take_ahead(reader, offset, bytes) ? 0 : go_to(reader, offset);
        if (error != 0 || !has(reader, offset, bytes)) { /* cut off since it was opened */
            return error;
        }
    }
    *to = reader->window + (offset - reader->window_at);
    return 0;
}

static int piece_together(struct cw_log_reader *reader, uint64_t offset, uint64_t bytes, char **to)
{
    *to = NULL;
    if (bytes > reader->large_bytes) {
        uint64_t room = cw_log_blocks(bytes);
        cw_log_unmap(reader->large, reader->large_bytes);
        reader->large_bytes = 0;
        reader->large = cw_log_map(room);
        if (reader->large == NULL) {
            return ENOMEM;
        }
        reader->large_bytes = room;
    }
    for (uint64_t done = 0; done < bytes;) { /* a window each time, but for the last */
        uint64_t left = bytes - done;
        uint64_t some = left < WINDOW_BYTES ? left : WINDOW_BYTES;
        char *part;
        int error = need(reader, offset + done, some, &part);
        if (error != 0 || part == NULL) {
            return error;
        }
        memcpy(reader->large + done, part, some);
        done += some;
    }
    *to = reader->large;
    return 0;
}

int cw_log_reader_need(struct cw_log_reader *reader, uint64_t offset, uint64_t bytes, void **to)
{
    CW_ASSERT(offset % CW_DISK_BLOCK == 0 && bytes > 0);
    *to = NULL;
    if (!is_in_file(reader, offset, bytes)) {
        return 0; /* before room is made for it */
    }
    char *there;
    int error = bytes <= WINDOW_BYTES || has(reader, offset, bytes)
                    ? need(reader, offset, bytes, &there)
                    : piece_together(reader, offset, bytes, &there);
    *to = there;
    return error;
}

int cw_log_reader_head(struct cw_log_reader *reader, void **to)
{
    *to = NULL;
    if (reader->size < CW_DISK_BLOCK) {
        return 0;
    }
    settle(reader);
    struct cw_disk_op op = reading(reader, ahead_by(reader, 0)->at, 0, CW_DISK_BLOCK);
    (void)cw_disk_do(reader->disk, &op);
    int error = look_through(reader, &op);
    *to = error == 0 && has(reader, 0, CW_DISK_BLOCK) ? reader->window : NULL;
    return error;
}
