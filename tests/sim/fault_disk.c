#include "tests/sim/fault_disk.h"

#include "tests/core/random.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILES_MAX = 4096,
    SECTOR = 512,
    KINDS = CW_DISK_SYNC_NAMES + 1
};

struct cw_fault_write { /* not yet flushed */
    uint64_t offset;
    uint32_t bytes;
    uint8_t *data;
};

struct cw_fault_content {
    uint8_t *bytes;
    uint64_t size, room;
};

struct cw_fault_file {
    struct cw_fault_content seen, durable;
    struct cw_fault_write *writes;
    uint32_t write_count, write_room;
    uint32_t open;
    bool gone; /* nothing reaches it: its place is for the next one */
};

struct cw_fault_name {
    char name[CW_DISK_NAME_BYTES];
    int32_t file;
};

struct cw_fault_names {
    struct cw_fault_name *at;
    uint32_t count, room;
};

struct cw_fault_change { /* of names, not yet flushed */
    enum cw_disk_kind kind;
    int32_t file;
    char name[CW_DISK_NAME_BYTES], to[CW_DISK_NAME_BYTES];
};

struct cw_fault_queue {
    struct cw_disk_op *head, *tail;
    uint32_t delay; /* polls until the head is carried out */
};

struct cw_fault_disk {
    struct cw_fault_disk_options options;
    uint64_t random;
    struct cw_fault_file *files[FILES_MAX];
    uint32_t file_count;
    struct cw_fault_names seen, durable;
    struct cw_fault_change *changes;
    uint32_t change_count, change_room;
    struct cw_fault_queue queues[2]; /* foreground, background */
    uint64_t count, failed;
    void (*hook)(void *with, uint64_t index);
    void *hook_with;
    struct cw_fault_plan plan;
    bool lying, off, unflushed; /* ... a flush failed */
    enum cw_fault_lie lie;
    uint64_t lie_at;
};

static void *need(void *at)
{
    CW_ASSERT(at != NULL);
    return at;
}

/* ---- contents ---- */

static void content_write(struct cw_fault_content *content, uint64_t offset, const void *data,
                          uint64_t bytes)
{
    uint64_t end = offset + bytes;
    if (end > content->room) {
        uint64_t room = end + end / 2;
        content->bytes = need(realloc(content->bytes, room));
        content->room = room;
    }
    if (offset > content->size) {
        memset(content->bytes + content->size, 0, offset - content->size);
    }
    content->size = end > content->size ? end : content->size;
    memcpy(content->bytes + offset, data, bytes);
}

static void content_copy(struct cw_fault_content *to, const struct cw_fault_content *from)
{
    to->size = 0;
    if (from->size > 0) {
        content_write(to, 0, from->bytes, from->size);
    }
}

static void drop_write(struct cw_fault_file *file, uint32_t i)
{
    free(file->writes[i].data);
    file->write_count--;
    memmove(&file->writes[i], &file->writes[i + 1],
            (file->write_count - i) * sizeof file->writes[0]);
}

static void add_write(struct cw_fault_file *file, const struct cw_disk_op *op)
{
    if (file->write_count == file->write_room) {
        file->write_room = 2 * file->write_room + 4;
        file->writes = need(realloc(file->writes, file->write_room * sizeof file->writes[0]));
    }
    struct cw_fault_write *write = &file->writes[file->write_count++];
    *write = (struct cw_fault_write){.offset = op->offset, .bytes = op->bytes};
    write->data = need(malloc(op->bytes));
    memcpy(write->data, op->data, op->bytes);
}

static void flush_file(struct cw_fault_file *file)
{
    for (uint32_t i = 0; i < file->write_count; i++) {
        const struct cw_fault_write *write = &file->writes[i];
        content_write(&file->durable, write->offset, write->data, write->bytes);
        free(write->data);
    }
    file->write_count = 0;
}

/* ---- names ---- */

static struct cw_fault_name *find(const struct cw_fault_names *names, const char *name)
{
    for (uint32_t i = 0; i < names->count; i++) {
        if (strcmp(names->at[i].name, name) == 0) {
            return &names->at[i];
        }
    }
    return NULL;
}

static void names_remove(struct cw_fault_names *names, struct cw_fault_name *name)
{
    if (name != NULL) {
        *name = names->at[--names->count];
    }
}

static void names_put(struct cw_fault_names *names, const char *name, int32_t file)
{
    names_remove(names, find(names, name));
    if (names->count == names->room) {
        names->room = 2 * names->room + 16;
        names->at = need(realloc(names->at, names->room * sizeof names->at[0]));
    }
    struct cw_fault_name *fresh = &names->at[names->count++];
    memset(fresh, 0, sizeof *fresh);
    memcpy(fresh->name, name, strlen(name) + 1);
    fresh->file = file;
}

static void names_copy(struct cw_fault_names *to, const struct cw_fault_names *from)
{
    if (to->room < from->count) {
        to->room = from->count + 16;
        to->at = need(realloc(to->at, to->room * sizeof to->at[0]));
    }
    if (from->count > 0) {
        memcpy(to->at, from->at, from->count * sizeof to->at[0]);
    }
    to->count = from->count;
}

static void change_apply(struct cw_fault_names *names, const struct cw_fault_change *change)
{
    if (change->kind == CW_DISK_REMOVE) {
        struct cw_fault_name *name = find(names, change->name);
        if (name != NULL && name->file == change->file) {
            names_remove(names, name);
        }
        return;
    }
    if (change->kind == CW_DISK_RENAME) {
        for (uint32_t i = names->count; i-- > 0;) { /* a file has one name */
            if (names->at[i].file == change->file) {
                names_remove(names, &names->at[i]);
            }
        }
    }
    names_put(names, change->kind == CW_DISK_RENAME ? change->to : change->name, change->file);
}

static void change_names(struct cw_fault_disk *disk, const struct cw_disk_op *op, int32_t file)
{
    if (disk->change_count == disk->change_room) {
        disk->change_room = 2 * disk->change_room + 16;
        disk->changes = need(realloc(disk->changes, disk->change_room * sizeof disk->changes[0]));
    }
    struct cw_fault_change *change = &disk->changes[disk->change_count++];
    *change = (struct cw_fault_change){.kind = op->kind, .file = file};
    memcpy(change->name, op->name, sizeof change->name);
    memcpy(change->to, op->to, sizeof change->to);
    change_apply(&disk->seen, change);
}

/* ---- making, freeing ---- */

static int32_t new_file(struct cw_fault_disk *disk)
{
    for (uint32_t i = 0; i < disk->file_count; i++) {
        if (disk->files[i]->gone) {
            disk->files[i]->gone = false;
            return (int32_t)i;
        }
    }
    CW_ASSERT(disk->file_count < FILES_MAX);
    disk->files[disk->file_count] = need(calloc(1, sizeof(struct cw_fault_file)));
    return (int32_t)disk->file_count++;
}

struct cw_fault_disk *cw_fault_disk_new(const struct cw_fault_disk_options *options)
{
    struct cw_fault_disk *disk = need(calloc(1, sizeof *disk));
    disk->options = *options;
    disk->random = options->seed;
    return disk;
}

static void free_content(struct cw_fault_file *file)
{
    for (uint32_t i = 0; i < file->write_count; i++) {
        free(file->writes[i].data);
    }
    free(file->writes);
    free(file->seen.bytes);
    free(file->durable.bytes);
    uint32_t open = file->open;
    *file = (struct cw_fault_file){.open = open};
}

void cw_fault_disk_free(struct cw_fault_disk *disk)
{
    for (uint32_t i = 0; i < disk->file_count; i++) {
        free_content(disk->files[i]);
        free(disk->files[i]);
    }
    free(disk->seen.at);
    free(disk->durable.at);
    free(disk->changes);
    free(disk);
}

static void drop_file(struct cw_fault_file *file)
{
    free_content(file);
    file->gone = true;
}

static void reach(bool *reached, const struct cw_fault_names *names)
{
    for (uint32_t i = 0; i < names->count; i++) {
        reached[names->at[i].file] = true;
    }
}

/* Files that neither names nor anybody who has them open reach any more. */
static void sweep(struct cw_fault_disk *disk)
{
    bool reached[FILES_MAX] = {false};
    reach(reached, &disk->seen);
    reach(reached, &disk->durable);
    for (uint32_t i = 0; i < disk->change_count; i++) {
        reached[disk->changes[i].file] = true;
    }
    for (uint32_t i = 0; i < disk->file_count; i++) {
        struct cw_fault_file *file = disk->files[i];
        if (!file->gone && file->open == 0 && !reached[i]) {
            drop_file(file);
        }
    }
}

static bool named(const struct cw_fault_names *names, int32_t file)
{
    uint32_t i = 0;
    while (i < names->count && names->at[i].file != file) {
        i++;
    }
    return i < names->count;
}

/* The same for one that was closed: no other is reached less by that. */
static void sweep_closed(struct cw_fault_disk *disk, int32_t file)
{
    bool reached =
        disk->files[file]->open > 0 || named(&disk->seen, file) || named(&disk->durable, file);
    for (uint32_t i = 0; i < disk->change_count && !reached; i++) {
        reached = disk->changes[i].file == file;
    }
    if (!reached) {
        drop_file(disk->files[file]);
    }
}

/* ---- carrying out ---- */

static uint64_t blocks(uint64_t bytes)
{
    return (bytes + CW_DISK_BLOCK - 1) & ~(uint64_t)(CW_DISK_BLOCK - 1);
}

uint64_t cw_fault_disk_used(const struct cw_fault_disk *disk)
{
    uint64_t used = 0;
    for (uint32_t i = 0; i < disk->seen.count; i++) {
        used += blocks(disk->files[disk->seen.at[i].file]->seen.size);
    }
    return used;
}

static struct cw_fault_file *file_of(const struct cw_fault_disk *disk, int32_t file)
{
    CW_ASSERT(file >= 0 && file < (int32_t)disk->file_count && disk->files[file]->open > 0);
    return disk->files[file];
}

static int do_write(struct cw_fault_disk *disk, struct cw_disk_op *op)
{
    struct cw_fault_file *file = file_of(disk, op->file);
    CW_ASSERT(op->offset % CW_DISK_BLOCK == 0 && op->bytes % CW_DISK_BLOCK == 0);
    if (op->bytes > 0) {
        CW_ASSERT((uintptr_t)op->data % CW_DISK_BLOCK == 0);
        uint64_t end = op->offset + op->bytes;
        uint64_t more = end > blocks(file->seen.size) ? end - blocks(file->seen.size) : 0;
        if (disk->options.space_bytes > 0 && more > 0 &&
            cw_fault_disk_used(disk) + more > disk->options.space_bytes) {
            return ENOSPC;
        }
        content_write(&file->seen, op->offset, op->data, op->bytes);
        bool lie = disk->lying && disk->count > disk->lie_at; /* counted already */
        if (!lie && op->sync && file->write_count == 0) {     /* flushed by itself, at once */
            content_write(&file->durable, op->offset, op->data, op->bytes);
        } else if (!lie) {
            add_write(file, op);
        } else {
            disk->lying = false;
            uint64_t all = blocks(file->durable.size) / CW_DISK_BLOCK;
            if (disk->lie == CW_FAULT_MISDIRECTED && all > 0) {
                uint64_t block = random_below(&disk->random, (uint32_t)all);
                content_write(&file->durable, block * CW_DISK_BLOCK, op->data, op->bytes);
            }
        }
    }
    if (op->sync) {
        flush_file(file);
    }
    return 0;
}

static void content_cut(struct cw_fault_content *content, uint64_t bytes)
{
    content->size = bytes < content->size ? bytes : content->size;
}

static void do_cut(struct cw_fault_disk *disk, const struct cw_disk_op *op)
{
    struct cw_fault_file *file = file_of(disk, op->file);
    CW_ASSERT(op->offset % CW_DISK_BLOCK == 0);
    flush_file(file);
    content_cut(&file->seen, op->offset);
    content_cut(&file->durable, op->offset);
}

static int do_read(struct cw_fault_disk *disk, struct cw_disk_op *op)
{
    const struct cw_fault_file *file = file_of(disk, op->file);
    CW_ASSERT(op->offset % CW_DISK_BLOCK == 0 && op->bytes % CW_DISK_BLOCK == 0);
    CW_ASSERT((uintptr_t)op->into % CW_DISK_BLOCK == 0);
    uint64_t rest = op->offset < file->seen.size ? file->seen.size - op->offset : 0;
    op->got = rest < op->bytes ? (uint32_t)rest : op->bytes;
    if (op->got > 0) {
        memcpy(op->into, file->seen.bytes + op->offset, op->got);
    }
    return 0;
}

static int carry_out(struct cw_fault_disk *disk, struct cw_disk_op *op)
{
    struct cw_fault_name *name;
    switch (op->kind) {
    case CW_DISK_OPEN:
    case CW_DISK_CREATE:
        name = find(&disk->seen, op->name);
        if ((name != NULL) != (op->kind == CW_DISK_OPEN)) {
            return name == NULL ? ENOENT : EEXIST;
        }
        op->file = name != NULL ? name->file : new_file(disk);
        if (name == NULL) {
            change_names(disk, op, op->file);
        }
        disk->files[op->file]->open++;
        op->size = disk->files[op->file]->seen.size;
        return 0;
    case CW_DISK_CLOSE:
        file_of(disk, op->file)->open--;
        sweep_closed(disk, op->file);
        return 0;
    case CW_DISK_READ: return do_read(disk, op);
    case CW_DISK_WRITE: return do_write(disk, op);
    case CW_DISK_CUT: do_cut(disk, op); return 0;
    case CW_DISK_RENAME:
    case CW_DISK_REMOVE:
        name = find(&disk->seen, op->name);
        if (name == NULL) {
            return ENOENT;
        }
        change_names(disk, op, name->file);
        return 0;
    case CW_DISK_SYNC_NAMES:
        names_copy(&disk->durable, &disk->seen);
        disk->change_count = 0;
        sweep(disk);
        return 0;
    }
    return EINVAL;
}

/* A write that failed: reads may see it; of all that was not flushed, some is durable for good and
   the rest will never be, whatever is flushed later. */
static void fail_write(struct cw_fault_disk *disk, const struct cw_disk_op *op)
{
    struct cw_fault_file *file = file_of(disk, op->file);
    uint64_t end = op->offset + op->bytes;
    if (op->bytes > 0 && end <= blocks(file->seen.size)) {
        content_write(&file->seen, op->offset, op->data, op->bytes);
        add_write(file, op);
    }
    for (uint32_t i = file->write_count; op->sync && i-- > 0;) {
        const struct cw_fault_write *write = &file->writes[i];
        if (random_below(&disk->random, 2) == 0) {
            content_write(&file->durable, write->offset, write->data, write->bytes);
        }
        drop_write(file, i);
    }
}

static int planned(struct cw_fault_disk *disk, const struct cw_disk_op *op)
{
    struct cw_fault_plan *plan = &disk->plan;
    if (disk->off) {
        return EIO;
    }
    uint32_t kinds = plan->kinds == 0 ? (1u << KINDS) - 1 : plan->kinds;
    bool of_it = plan->names == NULL || strncmp(op->name, plan->names, strlen(plan->names)) == 0;
    if (plan->error == 0 || disk->count <= plan->at || (kinds >> op->kind & 1) == 0 || !of_it) {
        return 0;
    }
    int error = plan->error;
    disk->failed++;
    if (plan->once) {
        plan->error = 0;
    }
    return error;
}

static void execute(struct cw_fault_disk *disk, struct cw_disk_op *op)
{
    if (op->kind == CW_DISK_CLOSE) {
        op->error = carry_out(disk, op);
        return;
    }
    if (disk->hook != NULL) {
        disk->hook(disk->hook_with, disk->count);
    }
    disk->count++;
    op->error = planned(disk, op);
    if (op->error == 0) {
        op->error = carry_out(disk, op);
    } else if (op->kind == CW_DISK_WRITE && op->error != ENOSPC && !disk->off) {
        fail_write(disk, op);
    }
    disk->unflushed |= op->error == EIO && (op->sync || op->kind == CW_DISK_SYNC_NAMES);
}

/* ---- the port ---- */

static void port_submit(void *self, struct cw_disk_op *op)
{
    struct cw_fault_disk *disk = self;
    struct cw_fault_queue *queue = &disk->queues[op->background];
    CW_ASSERT(!op->done);
    op->next = NULL;
    if (queue->head == NULL) {
        queue->head = op;
        queue->delay = random_below(&disk->random, disk->options.delay_max + 1);
    } else {
        queue->tail->next = op;
    }
    queue->tail = op;
}

/* Whose turn it is: either's, where both have something. */
static struct cw_fault_queue *turn(struct cw_fault_disk *disk)
{
    bool both = disk->queues[0].head != NULL && disk->queues[1].head != NULL;
    bool background = both ? random_below(&disk->random, 2) == 1 : disk->queues[0].head == NULL;
    return &disk->queues[background];
}

static bool port_poll(void *self)
{
    struct cw_fault_disk *disk = self;
    struct cw_fault_queue *queue = turn(disk);
    struct cw_disk_op *op = queue->head;
    if (op == NULL) {
        return false;
    }
    if (queue->delay > 0) {
        queue->delay--;
        return false;
    }
    execute(disk, op);
    queue->head = op->next;
    queue->delay = random_below(&disk->random, disk->options.delay_max + 1);
    op->done = true;
    return true;
}

static void port_wait(void *self)
{
    const struct cw_fault_disk *disk = self;
    CW_ASSERT(disk->queues[0].head != NULL || disk->queues[1].head != NULL);
    while (!port_poll(self)) { /* each poll shortens the delay */
    }
}

static int port_list(void *self, void (*found)(void *with, const char *name, uint64_t bytes),
                     void *with)
{
    const struct cw_fault_disk *disk = self;
    for (uint32_t i = 0; i < disk->seen.count; i++) {
        const struct cw_fault_name *name = &disk->seen.at[i];
        found(with, name->name, disk->files[name->file]->seen.size);
    }
    return disk->off ? EIO : 0;
}

struct cw_disk cw_fault_disk_port(struct cw_fault_disk *disk)
{
    return (struct cw_disk){.self = disk,
                            .submit = port_submit,
                            .poll = port_poll,
                            .wait = port_wait,
                            .list = port_list};
}

uint64_t cw_fault_disk_count(const struct cw_fault_disk *disk)
{
    return disk->count;
}

void cw_fault_disk_hook(struct cw_fault_disk *disk, void (*hook)(void *with, uint64_t index),
                        void *with)
{
    disk->hook = hook;
    disk->hook_with = with;
}

void cw_fault_disk_plan(struct cw_fault_disk *disk, const struct cw_fault_plan *plan)
{
    disk->plan = *plan;
}

uint64_t cw_fault_disk_failed(const struct cw_fault_disk *disk)
{
    return disk->failed;
}

void cw_fault_disk_space(struct cw_fault_disk *disk, uint64_t space_bytes)
{
    disk->options.space_bytes = space_bytes;
}

void cw_fault_disk_lie(struct cw_fault_disk *disk, enum cw_fault_lie lie, uint64_t at)
{
    disk->lying = true;
    disk->lie = lie;
    disk->lie_at = at;
}

void cw_fault_disk_off(struct cw_fault_disk *disk)
{
    disk->off = true;
    disk->hook = NULL;
}

/* ---- crashes ---- */

enum cw_fault_fate { FATE_DROP, FATE_KEEP, FATE_EACH, FATE_SECTORS, FATES };

static void survive_sectors(struct cw_fault_content *durable, const struct cw_fault_write *write,
                            uint64_t *random)
{
    for (uint32_t at = 0; at < write->bytes; at += SECTOR) {
        uint8_t sector[SECTOR];
        switch (random_below(random, 8)) {
        case 0:
        case 1:
        case 2: continue;
        case 3: memset(sector, 0, SECTOR); break;
        case 4:
            for (uint32_t i = 0; i < SECTOR; i++) {
                sector[i] = (uint8_t)random_next(random);
            }
            break;
        default: memcpy(sector, write->data + at, SECTOR); break;
        }
        content_write(durable, write->offset + at, sector, SECTOR);
    }
}

static void survive(struct cw_fault_content *durable, const struct cw_fault_write *write,
                    enum cw_fault_fate fate, uint64_t *random)
{
    if (fate == FATE_KEEP || (fate == FATE_EACH && random_below(random, 2) == 0)) {
        content_write(durable, write->offset, write->data, write->bytes);
    } else if (fate == FATE_SECTORS) {
        survive_sectors(durable, write, random);
    }
}

static void crash_file(struct cw_fault_file *to, const struct cw_fault_file *from,
                       const struct cw_disk_op *started, uint64_t *random)
{
    content_copy(&to->durable, &from->durable);
    enum cw_fault_fate fate = random_below(random, FATES);
    bool backwards = random_below(random, 2) == 0; /* writes reach the disk in any order */
    for (uint32_t i = 0; i < from->write_count; i++) {
        uint32_t at = backwards ? from->write_count - 1 - i : i;
        survive(&to->durable, &from->writes[at], fate, random);
    }
    if (started != NULL && started->bytes > 0) {
        struct cw_fault_file last = {.writes = NULL};
        add_write(&last, started);
        survive(&to->durable, &last.writes[0], random_below(random, FATES), random);
        drop_write(&last, 0);
        free(last.writes);
    }
    content_copy(&to->seen, &to->durable);
}

static void crash_names(struct cw_fault_disk *to, const struct cw_fault_disk *from)
{
    names_copy(&to->seen, &from->durable);
    enum cw_fault_fate fate = random_below(&to->random, FATES);
    uint32_t prefix = random_below(&to->random, from->change_count + 1);
    for (uint32_t i = 0; i < from->change_count; i++) {
        bool kept = fate == FATE_KEEP || (fate == FATE_SECTORS && i < prefix) ||
                    (fate == FATE_EACH && random_below(&to->random, 2) == 0);
        if (kept) {
            change_apply(&to->seen, &from->changes[i]);
        }
    }
    for (uint32_t i = 0; i < 2; i++) { /* of what was under way */
        const struct cw_disk_op *op = from->queues[i].head;
        bool names = op != NULL && (op->kind == CW_DISK_RENAME || op->kind == CW_DISK_REMOVE);
        const struct cw_fault_name *name = names ? find(&from->seen, op->name) : NULL;
        if (name != NULL && random_below(&to->random, 2) == 0) {
            struct cw_fault_change change = {.kind = op->kind, .file = name->file};
            memcpy(change.name, op->name, sizeof change.name);
            memcpy(change.to, op->to, sizeof change.to);
            change_apply(&to->seen, &change);
        }
    }
    names_copy(&to->durable, &to->seen);
}

struct cw_fault_disk *cw_fault_disk_crash(const struct cw_fault_disk *disk, uint64_t seed)
{
    struct cw_fault_disk_options options = disk->options;
    options.seed = seed;
    struct cw_fault_disk *to = cw_fault_disk_new(&options);
    for (uint32_t i = 0; i < disk->file_count; i++) {
        const struct cw_disk_op *started = NULL;
        for (uint32_t j = 0; j < 2; j++) {
            const struct cw_disk_op *op = disk->queues[j].head;
            if (op != NULL && op->kind == CW_DISK_WRITE && op->file == (int32_t)i) {
                started = op;
            }
        }
        int32_t file = new_file(to);
        crash_file(to->files[file], disk->files[i], started, &to->random);
        const struct cw_disk_op *head = disk->queues[0].head;
        if (head != NULL && head->kind == CW_DISK_CUT && head->file == (int32_t)i &&
            random_below(&to->random, 2) == 0) {
            content_cut(&to->files[file]->seen, head->offset);
            content_cut(&to->files[file]->durable, head->offset);
        }
    }
    crash_names(to, disk);
    sweep(to);
    return to;
}

struct cw_fault_disk *cw_fault_disk_kill(const struct cw_fault_disk *disk)
{
    if (disk->unflushed) {
        return cw_fault_disk_crash(disk, disk->random);
    }
    struct cw_fault_disk *to = cw_fault_disk_new(&disk->options);
    for (uint32_t i = 0; i < disk->file_count; i++) {
        const struct cw_fault_file *from = disk->files[i];
        struct cw_fault_file *file = to->files[new_file(to)];
        content_copy(&file->seen, &from->seen);
        content_copy(&file->durable, &from->durable);
        for (uint32_t j = 0; j < from->write_count; j++) {
            const struct cw_fault_write *write = &from->writes[j];
            struct cw_disk_op op = {
                .offset = write->offset, .bytes = write->bytes, .data = write->data};
            add_write(file, &op);
        }
    }
    names_copy(&to->seen, &disk->seen);
    names_copy(&to->durable, &disk->durable);
    if (disk->change_count > 0) {
        to->changes = need(malloc(disk->change_count * sizeof to->changes[0]));
        memcpy(to->changes, disk->changes, disk->change_count * sizeof to->changes[0]);
        to->change_count = to->change_room = disk->change_count;
    }
    sweep(to);
    return to;
}

/* ---- by hand ---- */

uint8_t *cw_fault_disk_bytes(struct cw_fault_disk *disk, const char *name, uint64_t *size)
{
    const struct cw_fault_name *at = find(&disk->seen, name);
    if (at == NULL) {
        return NULL;
    }
    struct cw_fault_content *content = &disk->files[at->file]->seen;
    *size = content->size;
    return content->bytes;
}

void cw_fault_disk_touched(struct cw_fault_disk *disk, const char *name)
{
    const struct cw_fault_name *at = find(&disk->seen, name);
    CW_ASSERT(at != NULL);
    content_copy(&disk->files[at->file]->durable, &disk->files[at->file]->seen);
}

void cw_fault_disk_put(struct cw_fault_disk *disk, const char *name, const void *bytes,
                       uint64_t size)
{
    int32_t file = new_file(disk);
    if (size > 0) {
        content_write(&disk->files[file]->seen, 0, bytes, size);
    }
    content_copy(&disk->files[file]->durable, &disk->files[file]->seen);
    names_put(&disk->seen, name, file);
    names_put(&disk->durable, name, file);
}

bool cw_fault_disk_remove(struct cw_fault_disk *disk, const char *name)
{
    bool there = find(&disk->seen, name) != NULL;
    names_remove(&disk->seen, find(&disk->seen, name));
    names_remove(&disk->durable, find(&disk->durable, name));
    sweep(disk);
    return there;
}

uint64_t cw_fault_disk_digest(const struct cw_fault_disk *disk)
{
    uint64_t digest = disk->seen.count;
    for (uint32_t i = 0; i < disk->seen.count; i++) {
        const struct cw_fault_name *name = &disk->seen.at[i];
        const struct cw_fault_content *content = &disk->files[name->file]->seen;
        uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a; files in any order */
        for (const char *at = name->name; *at != '\0'; at++) {
            hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
        }
        for (uint64_t at = 0; at < content->size; at += 8) {
            uint64_t word = 0;
            memcpy(&word, content->bytes + at, content->size - at < 8 ? content->size - at : 8);
            hash = (hash ^ word) * 0x100000001b3u;
            hash ^= hash >> 29;
        }
        digest += hash ^ content->size;
    }
    return digest;
}
