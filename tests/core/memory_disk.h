/*
 * memory_disk: a cw_disk in memory. Operations wait in the order in which a disk may carry them
 * out; each poll does one. crash() leaves what a loss of power may leave: of what was not flushed
 * each 512 bytes and each name by chance.
 */
#ifndef CW_TESTS_CORE_MEMORY_DISK_H
#define CW_TESTS_CORE_MEMORY_DISK_H

#include "core/disk.h"
#include "tests/core/random.h"

#include <errno.h>
#include <stdlib.h>

enum {
    MEMORY_FILES = 256,
    MEMORY_SECTOR = 512
};

struct memory_file {
    char *now, *durable;
    uint64_t bytes, durable_bytes, room;
};

struct memory_name {
    char name[CW_DISK_NAME_BYTES];
    int now, durable; /* files, or -1 */
};

struct memory_disk {
    struct memory_file files[MEMORY_FILES];
    int file_count;
    struct memory_name names[MEMORY_FILES];
    int name_count;
    struct cw_disk_op *front, *back; /* waiting, oldest first */
    uint64_t ops;                    /* carried out */
    /* The fault: operations from number fail_from to fail_to get that errno; 0: none. */
    uint64_t fail_from, fail_to;
    int fail_with;
    int most, waiting; /* operations at a time */
};

static inline struct memory_name *memory_name(struct memory_disk *d, const char *name)
{
    for (int i = 0; i < d->name_count; i++) {
        if (strcmp(d->names[i].name, name) == 0) {
            return &d->names[i];
        }
    }
    CW_ASSERT(d->name_count < MEMORY_FILES);
    struct memory_name *made = &d->names[d->name_count++];
    memcpy(made->name, name, strlen(name) + 1); /* shorter than its room: disk.h */
    made->now = made->durable = -1;
    return made;
}

static inline struct memory_file *memory_file(struct memory_disk *d, const char *name)
{
    int at = memory_name(d, name)->now;
    return at >= 0 ? &d->files[at] : NULL;
}

static inline void memory_size(struct memory_file *f, uint64_t bytes)
{
    if (bytes > f->room) {
        uint64_t room = f->room * 2 > bytes ? f->room * 2 : bytes;
        f->now = realloc(f->now, room);
        f->durable = realloc(f->durable, room);
        CW_ASSERT(f->now != NULL && f->durable != NULL);
        memset(f->now + f->room, 0, room - f->room);
        memset(f->durable + f->room, 0, room - f->room);
        f->room = room;
    }
    f->bytes = bytes;
}

static inline void memory_flush(struct memory_file *f)
{
    if (f->bytes > 0) {
        memcpy(f->durable, f->now, f->bytes);
    }
    f->durable_bytes = f->bytes;
}

static inline int memory_rw(struct memory_disk *d, struct cw_disk_op *op)
{
    CW_ASSERT(op->file >= 0 && op->file < d->file_count);
    CW_ASSERT(op->offset % CW_DISK_BLOCK == 0 && op->bytes % CW_DISK_BLOCK == 0);
    struct memory_file *f = &d->files[op->file];
    if (op->kind == CW_DISK_READ) {
        uint64_t left = op->offset < f->bytes ? f->bytes - op->offset : 0;
        op->got = left < op->bytes ? (uint32_t)left : op->bytes;
        if (op->got > 0) {
            memcpy(op->into, f->now + op->offset, op->got);
        }
        return 0;
    }
    if (op->bytes > 0) {
        CW_ASSERT((uintptr_t)op->data % CW_DISK_BLOCK == 0);
        if (op->offset + op->bytes > f->bytes) {
            memory_size(f, op->offset + op->bytes);
        }
        memcpy(f->now + op->offset, op->data, op->bytes);
    }
    if (op->sync) {
        memory_flush(f);
    }
    return 0;
}

static inline int memory_carry_out(struct memory_disk *d, struct cw_disk_op *op)
{
    uint64_t number = ++d->ops;
    if (d->fail_with != 0 && number >= d->fail_from && number <= d->fail_to &&
        op->kind != CW_DISK_CLOSE) {
        return d->fail_with;
    }
    if (op->kind == CW_DISK_READ || op->kind == CW_DISK_WRITE) {
        return memory_rw(d, op);
    }
    if (op->kind == CW_DISK_CLOSE) {
        return 0;
    }
    if (op->kind == CW_DISK_CUT) {
        memory_size(&d->files[op->file], op->offset);
        memory_flush(&d->files[op->file]);
        return 0;
    }
    if (op->kind == CW_DISK_SYNC_NAMES) {
        for (int i = 0; i < d->name_count; i++) {
            d->names[i].durable = d->names[i].now;
        }
        return 0;
    }
    struct memory_name *name = memory_name(d, op->name);
    if (op->kind == CW_DISK_CREATE) {
        if (name->now >= 0) {
            return EEXIST;
        }
        CW_ASSERT(d->file_count < MEMORY_FILES);
        op->file = name->now = d->file_count++;
        return 0;
    }
    if (name->now < 0) {
        return ENOENT;
    }
    if (op->kind == CW_DISK_OPEN) {
        op->file = name->now;
        op->size = d->files[op->file].bytes;
    } else {
        if (op->kind == CW_DISK_RENAME) {
            memory_name(d, op->to)->now = name->now;
        }
        name->now = -1;
    }
    return 0;
}

static inline void memory_submit(void *self, struct cw_disk_op *op)
{
    struct memory_disk *d = self;
    struct cw_disk_op **at = op->background ? &d->back : &d->front;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    op->next = NULL;
    *at = op;
    CW_ASSERT(!op->done);
    d->waiting++;
    d->most = d->waiting > d->most ? d->waiting : d->most;
}

static inline bool memory_poll(void *self)
{
    struct memory_disk *d = self;
    struct cw_disk_op **from = d->front != NULL ? &d->front : &d->back;
    struct cw_disk_op *op = *from;
    if (op == NULL) {
        return false;
    }
    *from = op->next;
    op->error = memory_carry_out(d, op);
    op->done = true;
    d->waiting--;
    return true;
}

static inline void memory_wait(void *self)
{
    bool any = memory_poll(self);
    CW_ASSERT(any);
}

static inline int memory_list(void *self,
                              void (*found)(void *with, const char *name, uint64_t bytes),
                              void *with)
{
    struct memory_disk *d = self;
    for (int i = 0; i < d->name_count; i++) {
        if (d->names[i].now >= 0) {
            found(with, d->names[i].name, d->files[d->names[i].now].bytes);
        }
    }
    return 0;
}

static inline struct cw_disk memory_port(struct memory_disk *d)
{
    return (struct cw_disk){.self = d,
                            .submit = memory_submit,
                            .poll = memory_poll,
                            .wait = memory_wait,
                            .list = memory_list};
}

/* What was submitted and not carried out is lost; the caller's operations are forgotten. */
static inline void memory_crash(struct memory_disk *d, uint64_t *random)
{
    d->front = d->back = NULL;
    d->waiting = 0;
    for (int i = 0; i < d->name_count; i++) {
        struct memory_name *n = &d->names[i];
        n->now = n->durable = random_below(random, 2) == 0 ? n->now : n->durable;
    }
    for (int i = 0; i < d->file_count; i++) {
        struct memory_file *f = &d->files[i];
        if (f->bytes != f->durable_bytes && random_below(random, 2) == 0) {
            f->bytes = f->durable_bytes;
        }
        for (uint64_t at = 0; at < f->bytes; at += MEMORY_SECTOR) {
            if (random_below(random, 2) == 0) {
                memcpy(f->now + at, f->durable + at, MEMORY_SECTOR);
            }
        }
        memory_flush(f);
    }
}

static inline void memory_free(struct memory_disk *d)
{
    for (int i = 0; i < d->file_count; i++) {
        free(d->files[i].now);
        free(d->files[i].durable);
    }
    *d = (struct memory_disk){0};
}

#endif
