/*
 * A segment's bytes for recovery. They are wanted front to back (ahead.h), a frame each time. What
 * is longer than a window is put together in a place of its own, from one window after the other.
 * What is elsewhere is read when it is asked for.
 */
#include "core/log_priv.h"

#include <errno.h>

bool cw_log_reader_init(struct cw_log_reader *reader, const struct cw_disk *disk)
{
    *reader = (struct cw_log_reader){.large = NULL};
    /* What is asked for with what is carried is a window's bytes at most. */
    return cw_ahead_init(&reader->ahead, disk, CW_AHEAD_WINDOW);
}

void cw_log_reader_deinit(struct cw_log_reader *reader)
{
    cw_ahead_deinit(&reader->ahead);
    cw_log_unmap(reader->large, reader->large_bytes);
}

static bool is_in_window(const struct cw_ahead *ahead, uint64_t offset, uint64_t bytes)
{
    return offset >= ahead->window_at && offset <= cw_ahead_end(ahead) &&
           bytes <= cw_ahead_end(ahead) - offset;
}

static bool is_in_file(const struct cw_ahead *ahead, uint64_t offset, uint64_t bytes)
{
    return offset < ahead->size && bytes <= ahead->size - offset;
}

/* The window from there on. What failed while nobody waited for it is tried once more. */
static int move(struct cw_ahead *ahead, uint64_t offset)
{
    if (cw_ahead_leads_to(ahead, offset) && cw_ahead_next(ahead, offset) == 0) {
        return 0;
    }
    return cw_ahead_go_to(ahead, offset);
}

/* In the window, CW_AHEAD_WINDOW at most. */
static int need(struct cw_ahead *ahead, uint64_t offset, uint64_t bytes, char **to)
{
    *to = NULL;
    if (!is_in_file(ahead, offset, bytes)) {
        return 0;
    }
    if (!is_in_window(ahead, offset, bytes)) {
        int error = move(ahead, offset);
        if (error != 0 || !is_in_window(ahead, offset, bytes)) { /* cut off since it was opened */
            return error;
        }
    }
    *to = ahead->window + (offset - ahead->window_at);
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
        uint64_t some = left < CW_AHEAD_WINDOW ? left : CW_AHEAD_WINDOW;
        char *part;
        int error = need(&reader->ahead, offset + done, some, &part);
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
    struct cw_ahead *ahead = &reader->ahead;
    CW_ASSERT(offset % CW_DISK_BLOCK == 0 && bytes > 0);
    *to = NULL;
    if (!is_in_file(ahead, offset, bytes)) {
        return 0; /* before room is made for it */
    }
    char *there;
    int error = bytes <= CW_AHEAD_WINDOW || is_in_window(ahead, offset, bytes)
                    ? need(ahead, offset, bytes, &there)
                    : piece_together(reader, offset, bytes, &there);
    *to = there;
    return error;
}

int cw_log_reader_head(struct cw_log_reader *reader, void **to)
{
    struct cw_ahead *ahead = &reader->ahead;
    *to = NULL;
    if (ahead->size < CW_DISK_BLOCK) {
        return 0;
    }
    int error = cw_ahead_block(ahead, 0);
    *to = error == 0 && ahead->window_bytes == CW_DISK_BLOCK ? ahead->window : NULL;
    return error;
}
