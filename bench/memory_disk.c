#define _GNU_SOURCE 1
#include "bench/memory_disk.h"

#include "core/checkpoint.h"

#include <string.h>
#include <sys/mman.h>

static const char name[] = "checkpoint-0000000000000001";

static void submit(void *self, struct cw_disk_op *op)
{
    struct cw_memory_disk *disk = self;
    op->error = 0;
    op->done = true;
    switch (op->kind) {
    case CW_DISK_WRITE:
        CW_ASSERT(op->offset + op->bytes <= disk->bytes_max);
        if (op->bytes > 0) {
            memcpy(disk->file + op->offset, op->data, op->bytes);
            disk->bytes = op->offset + op->bytes;
        }
        break;
    case CW_DISK_READ:
        CW_ASSERT(op->offset + op->bytes <= disk->bytes);
        memcpy(op->into, disk->file + op->offset, op->bytes);
        op->got = op->bytes;
        break;
    case CW_DISK_OPEN:
        op->file = 0;
        op->size = disk->bytes;
        break;
    case CW_DISK_CREATE: op->file = 0; break;
    case CW_DISK_RENAME: disk->there = true; break;
    case CW_DISK_CUT: disk->bytes = op->offset; break;
    case CW_DISK_REMOVE:
    case CW_DISK_CLOSE:
    case CW_DISK_SYNC_NAMES: break;
    }
}

static bool poll_none(void *self)
{
    (void)self;
    return false;
}

static void wait_none(void *self)
{
    (void)self;
}

static int list(void *self, void (*found)(void *with, const char *name, uint64_t bytes), void *with)
{
    const struct cw_memory_disk *disk = self;
    if (disk->there) {
        found(with, name, disk->bytes);
    }
    return 0;
}

char *cw_memory_disk_map(uint64_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CW_ASSERT(base != MAP_FAILED);
    (void)madvise(base, bytes, MADV_HUGEPAGE);
    memset(base, 1, bytes);
    return base;
}

void cw_memory_disk_open(struct cw_memory_disk *disk, uint64_t bytes_max)
{
    *disk = (struct cw_memory_disk){.file = cw_memory_disk_map(bytes_max), .bytes_max = bytes_max};
}

void cw_memory_disk_close(struct cw_memory_disk *disk)
{
    (void)munmap(disk->file, disk->bytes_max);
}

struct cw_disk cw_memory_disk_port(struct cw_memory_disk *disk)
{
    return (struct cw_disk){
        .self = disk, .submit = submit, .poll = poll_none, .wait = wait_none, .list = list};
}

void cw_memory_disk_checkpoint(struct cw_memory_disk *disk, struct cw_table *const *tables,
                               uint32_t table_count, uint32_t slice_rows)
{
    struct cw_checkpoint *checkpoint;
    struct cw_fault fault;
    struct cw_checkpoint_options options = {
        .disk = cw_memory_disk_port(disk), .tables = tables, .table_count = table_count};
    cw_err err = cw_checkpoint_open(&checkpoint, &options, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    cw_checkpoint_begin(checkpoint, 1, 0);
    enum cw_checkpoint_state is;
    do {
        is = cw_checkpoint_slice(checkpoint, slice_rows, 1, 1);
    } while (is == CW_CHECKPOINT_ROWS || is == CW_CHECKPOINT_WAITING);
    CW_ASSERT(is == CW_CHECKPOINT_DONE);
    cw_checkpoint_close(checkpoint);
}
