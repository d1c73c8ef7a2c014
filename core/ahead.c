/*
 *     | room | CW_AHEAD_WINDOW |    CW_AHEAD_SIDES times
 */
#define _GNU_SOURCE 1 /* madvise */
#include "core/ahead.h"

#include <string.h>
#include <sys/mman.h>

static uint64_t side_bytes(const struct cw_ahead *a)
{
    return a->room + CW_AHEAD_WINDOW;
}

bool cw_ahead_init(struct cw_ahead *a, const struct cw_disk *disk, uint64_t room)
{
    CW_ASSERT(room % CW_DISK_BLOCK == 0);
    *a = (struct cw_ahead){.disk = disk, .file = CW_DISK_FILE_NONE, .room = room};
    char *memory = mmap(NULL, CW_AHEAD_SIDES * side_bytes(a), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return false;
    }
    a->memory = memory;
    for (uint32_t i = 0; i < CW_AHEAD_SIDES; i++) {
        a->sides[i].at = memory + i * side_bytes(a) + room;
    }
    return true;
}

void cw_ahead_deinit(struct cw_ahead *a)
{
    cw_ahead_close(a);
    if (a->memory != NULL) {
        (void)munmap(a->memory, CW_AHEAD_SIDES * side_bytes(a));
        a->memory = NULL;
    }
}

/* The disk takes a huge page in one piece, and hundreds of small ones one by one. A short file is
   read before the first of these is cleared. */
static void be_huge(struct cw_ahead *a)
{
    if (!a->huge && a->size > CW_AHEAD_WINDOW) {
        (void)madvise(a->memory, CW_AHEAD_SIDES * side_bytes(a), MADV_HUGEPAGE);
        a->huge = true;
    }
}

int cw_ahead_open(struct cw_ahead *a, struct cw_disk_op *op)
{
    CW_ASSERT(a->file == CW_DISK_FILE_NONE && op->kind == CW_DISK_OPEN);
    int error = cw_disk_do(a->disk, op);
    if (error == 0) {
        a->file = op->file;
        a->size = op->size & ~(uint64_t)(CW_DISK_BLOCK - 1);
        a->window_bytes = 0;
        be_huge(a);
    }
    return error;
}

static void wait_for(struct cw_ahead *a, struct cw_ahead_side *side)
{
    while (side->away && !side->op.done) { /* bounded by the disk: every operation ends */
        a->disk->wait(a->disk->self);
    }
    side->away = false;
}

/* What was asked for ahead is not wanted. */
static void settle(struct cw_ahead *a)
{
    for (uint32_t i = 0; i < CW_AHEAD_SIDES; i++) {
        wait_for(a, &a->sides[i]);
    }
}

void cw_ahead_close(struct cw_ahead *a)
{
    if (a->file != CW_DISK_FILE_NONE) {
        settle(a);
        struct cw_disk_op op = {.kind = CW_DISK_CLOSE, .file = a->file};
        (void)cw_disk_do(a->disk, &op);
        a->file = CW_DISK_FILE_NONE;
    }
}

static struct cw_ahead_side *ahead_by(struct cw_ahead *a, uint32_t by)
{
    return &a->sides[(a->side + by) % CW_AHEAD_SIDES];
}

static void ask(struct cw_ahead *a, struct cw_ahead_side *side, uint32_t most)
{
    CW_ASSERT(a->asked < a->size);
    uint64_t rest = a->size - a->asked;
    side->op = (struct cw_disk_op){.kind = CW_DISK_READ,
                                   .file = a->file,
                                   .offset = a->asked,
                                   .into = side->at,
                                   .bytes = rest < most ? (uint32_t)rest : most};
    side->away = true;
    a->asked += side->op.bytes;
    a->disk->submit(a->disk->self, &side->op);
}

static void ask_ahead(struct cw_ahead *a)
{
    for (uint32_t by = 1; by < CW_AHEAD_SIDES && a->asked < a->size; by++) {
        struct cw_ahead_side *side = ahead_by(a, by);
        if (!side->away) {
            ask(a, side, CW_AHEAD_WINDOW);
        }
    }
}

/* What that one read is the window, behind what was carried in front of it; an error, and none is.
   Nothing is to follow one that failed or was cut off. */
static int look_through(struct cw_ahead *a, struct cw_ahead_side *side, uint64_t carried)
{
    const struct cw_disk_op *op = &side->op;
    a->window = side->at - carried;
    a->window_at = op->offset - carried;
    a->window_bytes = op->error == 0 ? carried + op->got : 0;
    if (op->error == 0 && op->got < op->bytes) {
        a->size = (op->offset + op->got) & ~(uint64_t)(CW_DISK_BLOCK - 1);
        a->window_bytes = a->size - a->window_at;
    }
    if (op->error != 0 || op->got < op->bytes) {
        settle(a);
    }
    return op->error;
}

int cw_ahead_go_to(struct cw_ahead *a, uint64_t offset)
{
    settle(a);
    struct cw_ahead_side *side = ahead_by(a, 0);
    a->asked = offset;
    ask(a, side, CW_AHEAD_WINDOW);
    ask_ahead(a);
    wait_for(a, side);
    return look_through(a, side, 0);
}

int cw_ahead_block(struct cw_ahead *a, uint64_t offset)
{
    settle(a);
    struct cw_ahead_side *side = ahead_by(a, 0);
    a->asked = offset;
    ask(a, side, CW_DISK_BLOCK);
    wait_for(a, side);
    return look_through(a, side, 0);
}

bool cw_ahead_leads_to(const struct cw_ahead *a, uint64_t offset)
{
    uint64_t end = cw_ahead_end(a);
    return a->sides[(a->side + 1) % CW_AHEAD_SIDES].away && offset >= a->window_at &&
           offset <= end && end - offset <= a->room;
}

int cw_ahead_next(struct cw_ahead *a, uint64_t offset)
{
    CW_ASSERT(cw_ahead_leads_to(a, offset));
    struct cw_ahead_side *next = ahead_by(a, 1);
    CW_ASSERT(next->op.offset == cw_ahead_end(a));
    wait_for(a, next);
    uint64_t carried = cw_ahead_end(a) - offset;
    memcpy(next->at - carried, a->window + (offset - a->window_at), carried);
    a->side = (a->side + 1) % CW_AHEAD_SIDES;
    if (next->op.error == 0 && next->op.got == next->op.bytes) {
        ask_ahead(a);
    }
    return look_through(a, next, carried);
}
