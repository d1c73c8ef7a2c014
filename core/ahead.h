/*
 * ahead: a file's bytes at a start, which are wanted front to back. While one part is looked at the
 * next ones are under way, as many as keep the disk from falling asleep. What goes over the end of
 * one part is moved in front of the next, where there is room for it, so that it is in one piece.
 *
 * Ownership: the windows are its own; what is in one stays until the next call. Thread: the disk's.
 * Bounds: CW_AHEAD_SIDES reads at a time, and as many times `room` and CW_AHEAD_WINDOW bytes.
 */
#ifndef CW_CORE_AHEAD_H
#define CW_CORE_AHEAD_H

#include "core/disk.h"

enum {
    CW_AHEAD_WINDOW = 2 << 20, /* a shard under full load writes frames of 1.5 MB to its log */
    CW_AHEAD_SIDES = 4         /* with 2 the disk and who looks wait for each other in turn */
};

struct cw_ahead_side {
    char *at;
    bool away; /* asked for, and not looked at yet */
    struct cw_disk_op op;
};

struct cw_ahead {
    const struct cw_disk *disk;
    int32_t file;  /* CW_DISK_FILE_NONE: none is open */
    uint64_t size; /* of the file, whole blocks; less as soon as it is seen to be cut off */
    char *window;  /* what is there of the file */
    uint64_t window_at, window_bytes;
    /* Its own. */
    char *memory;
    uint64_t room; /* in front of each window */
    bool huge;
    uint64_t asked;                             /* up to where it has been asked for */
    uint32_t side;                              /* at hand */
    struct cw_ahead_side sides[CW_AHEAD_SIDES]; /* in a ring: behind the one at hand, those ahead */
};

/* room: bytes that may be carried over the end of a window, whole blocks. False: no memory. */
CW_MUST_USE bool cw_ahead_init(struct cw_ahead *ahead, const struct cw_disk *disk, uint64_t room);
void cw_ahead_deinit(struct cw_ahead *ahead); /* closes too */

/* op: an OPEN, with its results afterwards. No file is open before. 0 or errno. */
CW_MUST_USE int cw_ahead_open(struct cw_ahead *ahead, struct cw_disk_op *op);
void cw_ahead_close(struct cw_ahead *ahead);

/*
 * The window from `offset` on, a block's in the file, and those after it asked for as well before
 * the first is waited for. 0 or errno, with no window. One that is shorter than asked for: the file
 * was cut off since it was opened, and ends there or before.
 */
CW_MUST_USE int cw_ahead_go_to(struct cw_ahead *ahead, uint64_t offset);

/* Whether the next window is under way, and what stands from `offset` on can be in front of it. */
CW_MUST_USE bool cw_ahead_leads_to(const struct cw_ahead *ahead, uint64_t offset);

/* Goes over to that one; as cw_ahead_go_to. */
CW_MUST_USE int cw_ahead_next(struct cw_ahead *ahead, uint64_t offset);

/* That block alone is the window, with nothing ahead: of a file of which no more is wanted. */
CW_MUST_USE int cw_ahead_block(struct cw_ahead *ahead, uint64_t offset);

static inline uint64_t cw_ahead_end(const struct cw_ahead *ahead)
{
    return ahead->window_at + ahead->window_bytes;
}

#endif
