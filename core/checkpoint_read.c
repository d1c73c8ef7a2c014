/*
 * The reader. Whose tables can forget has each block applied as soon as it is proven, and is told
 * to forget them all when a later one is bad: what counts is the same, a file that is whole or
 * nothing of it. Who cannot has the file read twice: once to prove it, once to apply it, proving
 * each block again, because the disk may give other bytes the second time.
 */
#define _GNU_SOURCE 1 /* strerrordesc_np */
#include "core/ahead.h"
#include "core/checkpoint_priv.h"
#include "core/format.h"

#include <errno.h>

enum mode {
    PROVE,
    APPLY, /* what was proven before */
    BOTH
};

struct reader {
    const uint8_t *store;
    uint32_t shard;
    const struct cw_checkpoint_apply *to;
    struct cw_ahead ahead;
    uint64_t bytes; /* of the file */
    uint64_t begin;
    struct cw_checkpoint_scan scan;
    uint64_t applied; /* blocks */
    bool not_applied; /* apply said no, to block `applied` */
    bool unread;      /* the disk refused: nobody knows whether that one is whole */
};

static bool was_read(struct reader *r, int error, uint64_t at)
{
    if (error != 0) {
        const char *why = strerrordesc_np(error);
        r->unread = true;
        (void)cw_format(r->scan.why, sizeof r->scan.why, "reading it at byte %llu: %s",
                        (unsigned long long)at, why != NULL ? why : "unknown error");
    } else if (r->ahead.size != r->bytes) {
        (void)cw_format(r->scan.why, sizeof r->scan.why, "it became shorter while it was read");
    }
    return error == 0 && r->ahead.size == r->bytes;
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
    struct cw_ahead *ahead = &r->ahead;
    r->scan = (struct cw_checkpoint_scan){.bytes = r->bytes, .begin = r->begin, .shard = r->shard};
    memcpy(r->scan.store, r->store, sizeof r->scan.store);
    uint64_t at = 0; /* up to where it was looked at */
    int error = cw_ahead_go_to(ahead, at);
    while (was_read(r, error, at)) { /* a window each time */
        uint64_t left = take(r, ahead->window, ahead->window_bytes, mode);
        if (left == UINT64_MAX) {
            return false;
        }
        at = cw_ahead_end(ahead);
        if (at == r->bytes) {
            if (!r->scan.complete) {
                (void)cw_format(r->scan.why, sizeof r->scan.why, "it is cut short");
            }
            return r->scan.complete;
        }
        error = cw_ahead_next(ahead, at - left);
    }
    return false;
}

static bool open_file(struct reader *r, const char *name)
{
    struct cw_disk_op op = {.kind = CW_DISK_OPEN, .file = CW_DISK_FILE_NONE};
    memcpy(op.name, name, sizeof op.name);
    r->scan.strange = false;
    int error = cw_ahead_open(&r->ahead, &op);
    if (error != 0) {
        const char *why = strerrordesc_np(error);
        r->unread = true;
        (void)cw_format(r->scan.why, sizeof r->scan.why, "opening it: %s",
                        why != NULL ? why : "unknown error");
        return false;
    }
    r->bytes = op.size;
    return true;
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
    if (cw_ahead_block(&r->ahead, r->bytes - CW_DISK_BLOCK) != 0 ||
        r->ahead.window_bytes != CW_DISK_BLOCK) {
        return;
    }
    const struct cw_checkpoint_foot *foot = (const void *)r->ahead.window;
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
    cw_ahead_close(&r->ahead);
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
    struct reader reader = {.store = store, .shard = shard, .to = to};
    if (!cw_ahead_init(&reader.ahead, disk, CW_CHECKPOINT_BLOCK_MAX)) {
        return cw_fail(fault, CW_ERR_IO, "checkpoints: no memory to read them");
    }
    err = try_all(&reader, &names, found, fault);
    cw_ahead_deinit(&reader.ahead);
    if (err == CW_ERR_OK && !read_only) {
        cw_checkpoint_tidy(disk);
    }
    return err;
}
