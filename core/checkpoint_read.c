/*
 * The reader. Whose tables can forget has each block applied as soon as it is proven, and is told
 * to forget them all when a later one is bad: what counts is the same, a file that is whole or
 * nothing of it. Who cannot has the file read twice: once to prove it, once to apply it, proving
 * each block again, because the disk may give other bytes the second time.
 *
 * Reads are under way while another's bytes are looked at. A block that goes over the end of one is
 * moved in front of the next, where there is room for the longest, so that a block is always in one
 * piece:
 *
 *     | room: CW_CHECKPOINT_BLOCK_MAX | READ_BYTES |    SIDES times
 */
#define _GNU_SOURCE 1 /* strerrordesc_np */
#include "core/checkpoint_priv.h"
#include "core/format.h"

#include <errno.h>
#include <sys/mman.h>

enum {
    READ_BYTES = 2 << 20,
    SIDES = 4 /* with 2 the disk and who looks wait for each other in turn */
};

struct side {
    char *at;
    bool away;
    struct cw_disk_op op;
};

enum mode {
    PROVE,
    APPLY, /* what was proven before */
    BOTH
};

struct reader {
    const struct cw_disk *disk;
    const uint8_t *store;
    uint32_t shard;
    const struct cw_checkpoint_apply *to;
    struct side sides[SIDES];
    int32_t file;
    uint64_t bytes, asked; /* of the file; up to where it has been asked for */
    uint64_t begin;
    struct cw_checkpoint_scan scan;
    uint64_t applied; /* blocks */
    bool not_applied; /* apply said no, to block `applied` */
    bool unread;      /* the disk refused: nobody knows whether that one is whole */
};

static const uint64_t side_bytes = (uint64_t)CW_CHECKPOINT_BLOCK_MAX + READ_BYTES;

static void ask(struct reader *r, struct side *side)
{
    if (r->asked == r->bytes) {
        return;
    }
    uint64_t left = r->bytes - r->asked;
    side->op = (struct cw_disk_op){.kind = CW_DISK_READ,
                                   .file = r->file,
                                   .offset = r->asked,
                                   .into = side->at,
                                   .bytes = left < READ_BYTES ? (uint32_t)left : READ_BYTES};
    side->away = true;
    r->asked += side->op.bytes;
    r->disk->submit(r->disk->self, &side->op);
}

static void wait_for(struct reader *r, struct side *side)
{
    while (side->away && !side->op.done) { /* bounded by the disk: every operation ends */
        r->disk->wait(r->disk->self);
    }
    side->away = false;
}

static bool took(struct reader *r, const struct side *side)
{
    if (side->op.error != 0) {
        const char *why = strerrordesc_np(side->op.error);
        r->unread = true;
        (void)cw_format(r->scan.why, sizeof r->scan.why, "reading it at byte %llu: %s",
                        (unsigned long long)side->op.offset, why != NULL ? why : "unknown error");
        return false;
    }
    if (side->op.got != side->op.bytes) {
        (void)cw_format(r->scan.why, sizeof r->scan.why, "it became shorter while it was read");
        return false;
    }
    return true;
}

/* Of blocks in turn; after one that was refused none is. */
static void apply(struct reader *r, struct cw_view records)
{
    if (!r->not_applied && records.bytes > 0) {
        r->not_applied = !r->to->apply(r->to->with, records);
        r->applied += !r->not_applied;
    }
}

/* Takes what is whole of `bytes`; how many are left over, or UINT64_MAX when something is bad. */
static uint64_t take(struct reader *r, const char *data, uint64_t bytes, enum mode mode)
{
    while (bytes > 0) { /* a block each time */
        uint64_t used;
        struct cw_view records;
        enum cw_checkpoint_scanned scanned =
            cw_checkpoint_scan(&r->scan, data, bytes, &used, &records);
        if (scanned == CW_CHECKPOINT_SCAN_MORE) {
            return bytes;
        }
        if (scanned == CW_CHECKPOINT_SCAN_BAD) {
            return UINT64_MAX;
        }
        if (mode != PROVE) {
            apply(r, records);
        }
        data += used;
        bytes -= used;
    }
    return 0;
}

/* Front to back, once. False: r->scan.why. */
static bool pass(struct reader *r, enum mode mode)
{
    r->scan = (struct cw_checkpoint_scan){.bytes = r->bytes, .begin = r->begin, .shard = r->shard};
    memcpy(r->scan.store, r->store, sizeof r->scan.store);
    r->asked = 0;
    for (uint32_t i = 0; i < SIDES; i++) {
        ask(r, &r->sides[i]);
    }
    uint64_t carried = 0;
    bool good = true;
    uint32_t turn = 0;
    while (good && r->sides[turn].away) { /* once per READ_BYTES */
        struct side *side = &r->sides[turn];
        turn = (turn + 1) % SIDES;
        struct side *next = &r->sides[turn];
        wait_for(r, side);
        good = took(r, side);
        if (good) {
            char *data = side->at - carried;
            uint64_t here = carried + side->op.bytes;
            carried = take(r, data, here, mode);
            good = carried != UINT64_MAX;
            if (good && carried > 0) {
                CW_ASSERT(carried < CW_CHECKPOINT_BLOCK_MAX);
                memcpy(next->at - carried, data + here - carried, carried);
            }
        }
        if (good) {
            ask(r, side);
        }
    }
    for (uint32_t i = 0; i < SIDES; i++) {
        wait_for(r, &r->sides[i]);
    }
    if (good && !r->scan.complete) {
        (void)cw_format(r->scan.why, sizeof r->scan.why, "it is cut short");
    }
    return good && r->scan.complete;
}

static bool open_file(struct reader *r, const char *name)
{
    struct cw_disk_op op = {.kind = CW_DISK_OPEN, .file = CW_DISK_FILE_NONE};
    memcpy(op.name, name, sizeof op.name);
    r->scan.strange = false;
    int error = cw_disk_do(r->disk, &op);
    if (error != 0) {
        const char *why = strerrordesc_np(error);
        r->unread = true;
        (void)cw_format(r->scan.why, sizeof r->scan.why, "opening it: %s",
                        why != NULL ? why : "unknown error");
        return false;
    }
    r->file = op.file;
    r->bytes = op.size;
    return true;
}

static void close_file(struct reader *r)
{
    struct cw_disk_op op = {.kind = CW_DISK_CLOSE, .file = r->file};
    (void)cw_disk_do(r->disk, &op);
    r->file = CW_DISK_FILE_NONE;
}

/* A foot whose numbers do not add up, or are more than a file has room for, is none. */
static bool adds_up(const struct cw_checkpoint_foot *foot)
{
    uint64_t most = foot->bytes / CW_RECORD_HEAD_BYTES;
    uint64_t sum = 0;
    for (uint32_t i = 0; i < foot->table_count && sum <= most; i++) {
        sum += foot->rows[i] <= most ? foot->rows[i] : most + 1;
    }
    return sum == foot->rows_all && sum <= most;
}

/* What goes wrong here goes wrong in the pass too, which tells of it. */
static void expect(struct reader *r)
{
    struct cw_disk_op op = {.kind = CW_DISK_READ,
                            .file = r->file,
                            .offset = r->bytes - CW_DISK_BLOCK,
                            .into = r->sides[0].at,
                            .bytes = CW_DISK_BLOCK};
    if (cw_disk_do(r->disk, &op) != 0 || op.got != op.bytes) {
        return;
    }
    const struct cw_checkpoint_foot *foot = (const void *)r->sides[0].at;
    if (foot->magic == CW_CHECKPOINT_FOOT_MAGIC && foot->hash == cw_checkpoint_foot_hash(foot) &&
        foot->begin == r->begin && foot->bytes == r->bytes &&
        foot->table_count <= CW_CHECKPOINT_TABLES_MAX && adds_up(foot)) {
        r->to->expect(r->to->with, foot->rows, foot->table_count);
    }
}

static bool prove(struct reader *r, enum mode mode)
{
    if (r->bytes % CW_DISK_BLOCK != 0 || r->bytes < (uint64_t)2 * CW_DISK_BLOCK) {
        (void)cw_format(r->scan.why, sizeof r->scan.why, "it is cut short");
        return false;
    }
    if (r->to->expect != NULL) {
        expect(r);
    }
    return pass(r, mode);
}

/* Of one that is whole: its rows are in the tables, or the fault says why not. */
static cw_err finish(struct reader *r, const char *name, struct cw_checkpoint_found *found,
                     struct cw_fault *fault)
{
    if (r->to->forget == NULL && !pass(r, APPLY)) {
        return cw_fail(fault, r->unread ? CW_ERR_IO : CW_ERR_CORRUPT,
                       "%s: %s, though at first it was whole", name, r->scan.why);
    }
    if (r->not_applied) {
        return cw_fail(fault, CW_ERR_LIMIT, "%s: the rows of block %llu do not fit into the tables",
                       name, (unsigned long long)r->applied);
    }
    found->any = true;
    memcpy(found->name, name, sizeof found->name);
    found->begin = r->begin;
    found->end = r->scan.end;
    found->logical_ms = r->scan.logical_ms;
    found->rows = r->scan.rows_all;
    found->bytes = r->bytes;
    return CW_ERR_OK;
}

/* Of one that is not: as if nothing of it had been seen. */
static cw_err forget(struct reader *r, const char *name, struct cw_fault *fault)
{
    bool any = r->applied > 0 || r->not_applied;
    r->applied = 0;
    r->not_applied = false;
    return !any || r->to->forget(r->to->with)
               ? CW_ERR_OK
               : cw_fail(fault, CW_ERR_IO, "%s: %s; the tables cannot be emptied for another one",
                         name, r->scan.why);
}

/* *done: this one was applied, or nothing else may be tried. */
static cw_err try_one(struct reader *r, uint64_t begin, bool *done,
                      struct cw_checkpoint_found *found, struct cw_fault *fault)
{
    char name[CW_DISK_NAME_BYTES] = {0};
    cw_checkpoint_name(name, begin, false);
    r->begin = begin;
    if (!open_file(r, name)) {
        found->refused++;
        (void)cw_format(found->why, sizeof found->why, "%s: %s", name, r->scan.why);
        return CW_ERR_OK;
    }
    cw_err err = CW_ERR_OK;
    if (prove(r, r->to->forget == NULL ? PROVE : BOTH)) {
        *done = true;
        err = finish(r, name, found, fault);
    } else if (r->scan.strange) { /* by its head: nothing is applied */
        *done = true;
        err = cw_fail(fault, CW_ERR_UNSUPPORTED, "%s: %s", name, r->scan.why);
    } else {
        found->refused++;
        (void)cw_format(found->why, sizeof found->why, "%s: %s", name, r->scan.why);
        err = forget(r, name, fault);
    }
    close_file(r);
    return err;
}

void cw_checkpoint_tidy(const struct cw_disk *disk)
{
    struct cw_checkpoint_names names = {0};
    struct cw_fault fault;
    if (cw_checkpoint_list(disk, &names, &fault) != CW_ERR_OK) {
        return;
    }
    for (uint32_t i = 0; i < names.unfinished_count; i++) {
        struct cw_disk_op op = {.kind = CW_DISK_REMOVE, .file = CW_DISK_FILE_NONE};
        cw_checkpoint_name(op.name, names.unfinished[i], true);
        (void)cw_disk_do(disk, &op); /* wasted room at worst */
    }
}

static cw_err try_all(struct reader *r, const struct cw_checkpoint_names *names,
                      struct cw_checkpoint_found *found, struct cw_fault *fault)
{
    bool done = false;
    for (uint32_t i = 0; i < names->count && !done; i++) {
        cw_err err = try_one(r, names->begins[i], &done, found, fault);
        if (err != CW_ERR_OK) {
            return err;
        }
    }
    if (!done && names->count > 0) {
        return cw_fail(fault, r->unread ? CW_ERR_IO : CW_ERR_CORRUPT,
                       "no checkpoint of %u is whole; %s", names->count, found->why);
    }
    return CW_ERR_OK;
}

/* NOLINTNEXTLINE(readability-function-size): what is read, who gets it, what was found */
cw_err cw_checkpoint_read(const struct cw_disk *disk, const uint8_t store[16], uint32_t shard,
                          bool read_only, const struct cw_checkpoint_apply *to,
                          struct cw_checkpoint_found *found, struct cw_fault *fault)
{
    *found = (struct cw_checkpoint_found){0};
    struct cw_checkpoint_names names;
    cw_err err = cw_checkpoint_list(disk, &names, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    char *memory = mmap(NULL, SIDES * side_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) {
        return cw_fail(fault, CW_ERR_IO, "checkpoints: mmap of %llu bytes",
                       (unsigned long long)SIDES * side_bytes);
    }
    /* The disk takes a huge page in one piece, and hundreds of small ones one by one. */
    (void)madvise(memory, SIDES * side_bytes, MADV_HUGEPAGE);
    struct reader reader = {
        .disk = disk, .store = store, .shard = shard, .to = to, .file = CW_DISK_FILE_NONE};
    for (uint32_t i = 0; i < SIDES; i++) {
        reader.sides[i].at = memory + i * side_bytes + CW_CHECKPOINT_BLOCK_MAX;
    }
    err = try_all(&reader, &names, found, fault);
    (void)munmap(memory, SIDES * side_bytes);
    if (err == CW_ERR_OK && !read_only) {
        cw_checkpoint_tidy(disk);
    }
    return err;
}
