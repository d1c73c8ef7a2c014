/*
 * The writer. What goes to the disk and in which order:
 *
 *     remove .new | create .new | head | blocks, with a flush now and then |
 *     wait until frame `end` is durable | foot | flush | close | rename | flush of names: it counts
 *     | remove old ones | flush of names
 *
 * Everything before the foot may be of changes whose frames are not durable yet: without a foot
 * nobody reads them. Once there is one, its rows must never be ahead of the log, hence the wait.
 * The name comes after the flush of what it names. If the system crashes at any point, either the
 * new name stands for a whole file, or the earlier ones are untouched.
 *
 * One operation of `op` at a time walks through the steps; two buffers of blocks and a flush go to
 * the disk beside it.
 */
#define _GNU_SOURCE 1 /* strerrordesc_np: strerror that threads may use */
#include "core/checkpoint_priv.h"

#include "core/format.h"

#include <errno.h>
#include <sys/mman.h>

enum step {
    STEP_REST,
    STEP_CLEAR, /* the .new of an attempt that failed */
    STEP_CREATE,
    STEP_HEAD,
    STEP_ROWS,
    STEP_DRAIN, /* blocks to the disk, frames to be durable */
    STEP_FOOT,
    STEP_FLUSH,
    STEP_CLOSE,
    STEP_RENAME,
    STEP_NAMES,
    STEP_DROP,
    STEP_DROPPED, /* names again */
    STEP_MADE,
    STEP_GIVE_UP, /* blocks to the disk */
    STEP_GIVE_UP_CLOSE,
    STEP_GIVE_UP_REMOVE,
    STEP_GIVEN_UP
};

enum {
    USUAL_BLOCK_BYTES = 256 << 10,
    FLUSH_BYTES = 8 << 20, /* 4 ms at 2 GB/s: what the last flush has left to do */
    FREE_PER_ROW = 8, /* places a slice steps over for each row that it may visit */
    KEEP = 2
};

struct buffer {
    char *at; /* CW_CHECKPOINT_BLOCK_MAX of address space: pages come with the first long row */
    uint32_t used, records;
    bool away;
    struct cw_disk_op op;
};

/* Of a table's rows, over those that were there when the checkpoint began: what is put behind them
   is in a frame after `begin`, and an end that moved might never be reached. */
struct walk {
    uint64_t cursor, end;
    bool through;
};

/* A file with a final name. */
struct generation {
    uint64_t begin;
    bool counts; /* as far as is known it is whole, and its name durable */
    bool stuck;  /* could not be removed; tried again after the next checkpoint */
};

struct cw_checkpoint {
    struct cw_checkpoint_options options;
    struct generation generations[CW_CHECKPOINT_GENERATIONS_MAX]; /* oldest first */
    uint64_t forgotten; /* files, none of them removed, that there was no room for in the list */
    uint32_t generation_count;
    uint32_t dropping; /* index of the one that is being removed */
    bool dropped;

    enum step step;
    struct cw_disk_op op;
    bool pending;
    struct buffer buffers[2];
    uint32_t fill;
    struct cw_disk_op flush;
    bool flushing;
    char *page; /* head, then foot */

    /* The one at work. */
    int32_t file;
    uint64_t begin, end;
    int64_t logical_ms;
    uint64_t at, flushed_at; /* bytes of the file that are submitted; that a flush was asked for */
    uint64_t blocks, chain, rows_all;
    uint64_t rows[CW_CHECKPOINT_TABLES_MAX];
    struct walk walks[CW_CHECKPOINT_TABLES_MAX]; /* by table */
    uint32_t table;                              /* whose rows go into the block at hand */
    bool choose;                                 /* that block is full: another table's turn */
    char name[CW_DISK_NAME_BYTES], name_new[CW_DISK_NAME_BYTES];

    char fault[160];
    bool flush_failed;
    struct cw_checkpoint_stats stats;
};

static const uint64_t buffer_bytes = CW_CHECKPOINT_BLOCK_MAX;

static uint64_t mapping_bytes(void)
{
    return cw_checkpoint_whole(sizeof(struct cw_checkpoint)) + CW_DISK_BLOCK + 2 * buffer_bytes;
}

/* ---- generations ---- */

/* The largest `begin` that was read tells which are known to be damaged. */
static void take_names(struct cw_checkpoint *c, const struct cw_checkpoint_names *names)
{
    const struct cw_checkpoint_found *found = c->options.found;
    for (uint32_t i = names->count; i-- > 0;) {
        uint64_t begin = names->begins[i];
        c->generations[c->generation_count++] = (struct generation){
            .begin = begin, .counts = found == NULL || (found->any && begin <= found->begin)};
    }
}

/* The file of that begin has come to be; there is room, which begin() sees to. */
static struct generation *generation(struct cw_checkpoint *c, uint64_t begin)
{
    uint32_t at = c->generation_count;
    while (at > 0 && c->generations[at - 1].begin > begin) {
        at--;
    }
    if (at > 0 && c->generations[at - 1].begin == begin) {
        return &c->generations[at - 1];
    }
    CW_ASSERT(c->generation_count < CW_CHECKPOINT_GENERATIONS_MAX);
    memmove(&c->generations[at + 1], &c->generations[at],
            (c->generation_count - at) * sizeof c->generations[0]);
    c->generation_count++;
    c->generations[at] = (struct generation){.begin = begin};
    return &c->generations[at];
}

static void forget_generation(struct cw_checkpoint *c, uint32_t at)
{
    c->generation_count--;
    memmove(&c->generations[at], &c->generations[at + 1],
            (c->generation_count - at) * sizeof c->generations[0]);
}

/* Index of the oldest of the newest `keep` that count; generation_count: there are fewer. */
static uint32_t oldest_kept(const struct cw_checkpoint *c)
{
    uint32_t left = c->options.keep;
    for (uint32_t i = c->generation_count; i-- > 0;) {
        left -= c->generations[i].counts;
        if (left == 0) {
            return i;
        }
    }
    return c->generation_count;
}

/* One that nobody needs: damaged, or older than the newest `keep`; generation_count: none. The one
   just made counts, so a damaged one is never the last that there is. */
static uint32_t needless(const struct cw_checkpoint *c)
{
    uint32_t kept = oldest_kept(c);
    for (uint32_t i = 0; i < c->generation_count; i++) {
        const struct generation *g = &c->generations[i];
        bool old = kept < c->generation_count && i < kept;
        if (!g->stuck && (old || !g->counts)) {
            return i;
        }
    }
    return c->generation_count;
}

uint64_t cw_checkpoint_newest(const struct cw_checkpoint *checkpoint)
{
    uint64_t newest = 0;
    for (uint32_t i = 0; i < checkpoint->generation_count; i++) {
        newest = checkpoint->generations[i].counts ? checkpoint->generations[i].begin : newest;
    }
    return newest;
}

uint64_t cw_checkpoint_needs(const struct cw_checkpoint *checkpoint)
{
    return checkpoint->step == STEP_DRAIN ? checkpoint->end : 0;
}

uint64_t cw_checkpoint_oldest(const struct cw_checkpoint *checkpoint)
{
    uint32_t kept = oldest_kept(checkpoint);
    return kept < checkpoint->generation_count ? checkpoint->generations[kept].begin : 0;
}

/* ---- open, close ---- */

cw_err cw_checkpoint_open(struct cw_checkpoint **checkpoint,
                          const struct cw_checkpoint_options *options, struct cw_fault *fault)
{
    CW_ASSERT(options->table_count <= CW_CHECKPOINT_TABLES_MAX);
    CW_ASSERT(options->block_bytes % CW_DISK_BLOCK == 0 &&
              options->block_bytes <= CW_CHECKPOINT_BLOCK_BYTES_MAX);
    CW_ASSERT(options->keep <= CW_CHECKPOINT_GENERATIONS_MAX / 2);
    struct cw_checkpoint_names names;
    cw_err err = cw_checkpoint_list(&options->disk, &names, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    char *base = mmap(NULL, mapping_bytes(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return cw_fail(fault, CW_ERR_IO, "checkpoints: mmap of %llu bytes",
                       (unsigned long long)mapping_bytes());
    }
    struct cw_checkpoint *c = (struct cw_checkpoint *)(void *)base;
    c->options = *options;
    c->options.block_bytes = options->block_bytes != 0 ? options->block_bytes : USUAL_BLOCK_BYTES;
    c->options.keep = options->keep != 0 ? options->keep : KEEP;
    c->page = base + cw_checkpoint_whole(sizeof *c);
    c->buffers[0].at = c->page + CW_DISK_BLOCK;
    c->buffers[1].at = c->buffers[0].at + buffer_bytes;
    c->file = CW_DISK_FILE_NONE;
    take_names(c, &names);
    c->options.found = NULL; /* the caller's, and used up */
    *checkpoint = c;
    return CW_ERR_OK;
}

static bool under_way(const struct cw_checkpoint *c)
{
    return (c->pending && !c->op.done) || (c->flushing && !c->flush.done) ||
           (c->buffers[0].away && !c->buffers[0].op.done) ||
           (c->buffers[1].away && !c->buffers[1].op.done);
}

/* The file of a CREATE that is done but that nobody has looked at yet. */
static void take_created(struct cw_checkpoint *c)
{
    if (c->pending && c->step == STEP_CREATE && c->op.error == 0) {
        c->file = c->op.file;
    } else if (c->pending && (c->step == STEP_CLOSE || c->step == STEP_GIVE_UP_CLOSE)) {
        c->file = CW_DISK_FILE_NONE;
    }
    c->pending = false;
}

void cw_checkpoint_close(struct cw_checkpoint *checkpoint)
{
    const struct cw_disk *disk = &checkpoint->options.disk;
    while (under_way(checkpoint)) { /* bounded by the disk: every operation ends */
        disk->wait(disk->self);
    }
    take_created(checkpoint);
    if (checkpoint->file != CW_DISK_FILE_NONE) {
        struct cw_disk_op op = {.kind = CW_DISK_CLOSE, .file = checkpoint->file};
        (void)cw_disk_do(disk, &op);
    }
    if ((checkpoint->step > STEP_CLEAR && checkpoint->step < STEP_NAMES) ||
        (checkpoint->step >= STEP_GIVE_UP && checkpoint->step < STEP_GIVEN_UP)) {
        struct cw_disk_op op = {.kind = CW_DISK_REMOVE};
        memcpy(op.name, checkpoint->name_new, sizeof op.name);
        (void)cw_disk_do(disk, &op); /* at the next start otherwise */
    }
    (void)munmap(checkpoint, mapping_bytes());
}

/* ---- the disk ---- */

static void give_up(struct cw_checkpoint *c, const struct cw_disk_op *op, const char *what)
{
    if (c->step >= STEP_GIVE_UP) {
        return; /* the first reason is the one to tell */
    }
    c->flush_failed = op->kind == CW_DISK_SYNC_NAMES || (op->kind == CW_DISK_WRITE && op->sync);
    const char *why = strerrordesc_np(op->error);
    (void)cw_format(c->fault, sizeof c->fault, "%s: %s: %s", c->name, what,
                    why != NULL ? why : "unknown error");
    c->step = STEP_GIVE_UP;
}

static void submit(struct cw_checkpoint *c, struct cw_disk_op *op, bool *pending)
{
    CW_ASSERT(!*pending);
    op->background = true;
    op->done = false;
    *pending = true;
    c->options.disk.submit(c->options.disk.self, op);
}

static void submit_write(struct cw_checkpoint *c, struct cw_disk_op *op, bool *pending,
                         const void *data, uint32_t bytes)
{
    *op = (struct cw_disk_op){
        .kind = CW_DISK_WRITE, .file = c->file, .offset = c->at, .data = data, .bytes = bytes};
    c->at += bytes;
    submit(c, op, pending);
}

static void submit_name(struct cw_checkpoint *c, enum cw_disk_kind kind, const char *name,
                        const char *to)
{
    c->op = (struct cw_disk_op){.kind = kind, .file = CW_DISK_FILE_NONE};
    memcpy(c->op.name, name, sizeof c->op.name);
    if (to != NULL) {
        memcpy(c->op.to, to, sizeof c->op.to);
    }
    submit(c, &c->op, &c->pending);
}

static void submit_plain(struct cw_checkpoint *c, enum cw_disk_kind kind, bool sync)
{
    c->op = (struct cw_disk_op){.kind = kind, .file = c->file, .sync = sync};
    submit(c, &c->op, &c->pending);
}

/* Takes in blocks and flushes that are done. */
static void collect(struct cw_checkpoint *c)
{
    for (uint32_t i = 0; i < 2; i++) {
        struct buffer *buffer = &c->buffers[i];
        if (buffer->away && buffer->op.done) {
            buffer->away = false;
            if (buffer->op.error != 0) {
                give_up(c, &buffer->op, "writing");
            }
        }
    }
    if (c->flushing && c->flush.done) {
        c->flushing = false;
        if (c->flush.error != 0) {
            give_up(c, &c->flush, "flushing");
        }
    }
}

static bool quiet(const struct cw_checkpoint *c)
{
    return !c->buffers[0].away && !c->buffers[1].away && !c->flushing;
}

/* ---- head and foot ---- */

static void make_head(struct cw_checkpoint *c)
{
    struct cw_checkpoint_head *head = (struct cw_checkpoint_head *)(void *)c->page;
    *head = (struct cw_checkpoint_head){.magic = CW_CHECKPOINT_MAGIC,
                                        .major = CW_CHECKPOINT_MAJOR,
                                        .minor = CW_CHECKPOINT_MINOR,
                                        .hash_algorithm = CW_CHECKPOINT_XXH3,
                                        .shard = c->options.shard,
                                        .block_unit = CW_DISK_BLOCK,
                                        .begin = c->begin,
                                        .logical_ms = c->logical_ms,
                                        .table_count = c->options.table_count};
    memcpy(head->store, c->options.store, sizeof head->store);
    head->hash = cw_checkpoint_head_hash(head);
    c->chain = head->hash;
}

static void make_foot(struct cw_checkpoint *c)
{
    struct cw_checkpoint_foot *foot = (struct cw_checkpoint_foot *)(void *)c->page;
    *foot = (struct cw_checkpoint_foot){.magic = CW_CHECKPOINT_FOOT_MAGIC,
                                        .table_count = c->options.table_count,
                                        .begin = c->begin,
                                        .end = c->end,
                                        .blocks = c->blocks,
                                        .bytes = c->at + CW_DISK_BLOCK,
                                        .rows_all = c->rows_all,
                                        .chain = c->chain};
    memcpy(foot->rows, c->rows, sizeof foot->rows);
    foot->hash = cw_checkpoint_foot_hash(foot);
}

/* ---- rows ---- */

static void begin_block(struct buffer *buffer)
{
    buffer->used = sizeof(struct cw_checkpoint_block);
    buffer->records = 0;
}

static void seal_block(struct cw_checkpoint *c, struct buffer *buffer)
{
    CW_ASSERT(buffer->records > 0 && !buffer->away);
    uint32_t whole = (uint32_t)cw_checkpoint_whole(buffer->used);
    CW_ASSERT(whole <= buffer_bytes);
    memset(buffer->at + buffer->used, 0, whole - buffer->used);
    struct cw_checkpoint_block *block = (struct cw_checkpoint_block *)(void *)buffer->at;
    *block = (struct cw_checkpoint_block){.magic = CW_CHECKPOINT_BLOCK_MAGIC,
                                          .length = buffer->used,
                                          .number = c->blocks,
                                          .records = buffer->records};
    block->hash = cw_checkpoint_block_hash(block, c->begin);
    c->chain = cw_checkpoint_chain(c->chain, block->hash);
    c->blocks++;
    c->choose = true;
    submit_write(c, &buffer->op, &buffer->away, buffer->at, whole);
    if (c->at - c->flushed_at >= FLUSH_BYTES && !c->flushing) {
        c->flush = (struct cw_disk_op){.kind = CW_DISK_WRITE, .file = c->file, .sync = true};
        submit(c, &c->flush, &c->flushing);
        c->flushed_at = c->at;
    }
    begin_block(buffer);
    c->fill ^= 1;
}

/* False: it does not fit, and there is no other buffer now. */
static bool add_row(struct cw_checkpoint *c, const struct cw_table *table, cw_row row)
{
    struct cw_record record = {
        .kind = CW_RECORD_PUT,
        .table = (uint8_t)c->table,
        .key = cw_table_key(table, row),
        .value = {.data = cw_table_value(table, row), .bytes = cw_table_value_bytes(table, row)}};
    uint64_t bytes = cw_record_bytes(record.key.bytes, record.value.bytes);
    struct buffer *buffer = &c->buffers[c->fill];
    if (buffer->records > 0 && buffer->used + bytes > c->options.block_bytes) {
        seal_block(c, buffer);
        buffer = &c->buffers[c->fill];
        if (buffer->away) {
            return false;
        }
    }
    char *to = buffer->at + buffer->used;
    char *end = cw_record_write(to, &record);
    CW_ASSERT((uint64_t)(end - to) == bytes && end <= buffer->at + buffer_bytes);
    buffer->used += (uint32_t)bytes;
    buffer->records++;
    c->rows[c->table]++;
    c->rows_all++;
    return true;
}

/*
 * Block by block the table that is least far through, table_count when all are: so each stretch of
 * the file has rows of all of them, in the same parts. Those of some tables are long, which keeps
 * whoever reads them waiting for the disk, and of others short, which keeps the disk waiting.
 */
static uint32_t next_table(const struct cw_checkpoint *c)
{
    uint32_t next = c->options.table_count;
    double least = 2;
    for (uint32_t i = 0; i < c->options.table_count; i++) {
        const struct walk *walk = &c->walks[i];
        if (!walk->through) {
            double walked = (double)walk->cursor / (double)walk->end;
            next = walked < least ? i : next;
            least = walked < least ? walked : least;
        }
    }
    return next;
}

/* Visits so many rows, and so many places of removed ones for each: in a table that was once much
   fuller there may be millions between two rows. */
static void visit_rows(struct cw_checkpoint *c, uint32_t rows)
{
    uint32_t steps = rows < UINT32_MAX / FREE_PER_ROW ? rows * FREE_PER_ROW : UINT32_MAX;
    while (rows > 0 && steps > 0 && !c->buffers[c->fill].away) {
        if (c->choose) {
            c->table = next_table(c);
            c->choose = false;
        }
        if (c->table == c->options.table_count) {
            break;
        }
        const struct cw_table *table = c->options.tables[c->table];
        struct walk *walk = &c->walks[c->table];
        uint64_t before = walk->cursor;
        cw_row row = cw_table_next_within(table, &walk->cursor, walk->end, &steps);
        if (row == CW_ROW_NONE && steps == 0) {
            break;
        }
        if (row == CW_ROW_NONE) {
            walk->through = true;
            c->choose = true;
        } else if (add_row(c, table, row)) {
            rows--;
        } else {
            walk->cursor = before; /* it is looked for anew, since it may be another by then */
        }
    }
    struct buffer *buffer = &c->buffers[c->fill];
    if (c->table == c->options.table_count && !buffer->away) {
        if (buffer->records > 0) {
            seal_block(c, buffer);
        }
        c->step = STEP_DRAIN;
    }
}

/* ---- steps ---- */

/* What follows from the operation that is done; errors that matter were dealt with. */
static void step_done(struct cw_checkpoint *c)
{
    switch (c->step) {
    case STEP_CREATE: c->file = c->op.file; break;
    case STEP_CLOSE:
    case STEP_GIVE_UP_CLOSE: c->file = CW_DISK_FILE_NONE; break;
    case STEP_NAMES:
        generation(c, c->begin)->counts = true;
        c->stats.made++;
        c->stats.rows = c->rows_all;
        c->stats.begin = c->begin;
        c->stats.bytes = c->at;
        break;
    case STEP_DROP:
        if (c->op.error == 0 || c->op.error == ENOENT) {
            forget_generation(c, c->dropping);
            c->dropped = true;
        } else {
            c->generations[c->dropping].stuck = true;
        }
        return; /* the next of them */
    case STEP_REST:
    case STEP_CLEAR:
    case STEP_HEAD:
    case STEP_ROWS:
    case STEP_DRAIN:
    case STEP_FOOT:
    case STEP_FLUSH:
    case STEP_RENAME:
    case STEP_DROPPED:
    case STEP_MADE:
    case STEP_GIVE_UP:
    case STEP_GIVE_UP_REMOVE:
    case STEP_GIVEN_UP: break;
    }
    c->step++;
}

static const char *step_what(enum step step)
{
    return step == STEP_CREATE                      ? "making it"
           : step == STEP_HEAD || step == STEP_FOOT ? "writing"
           : step == STEP_FLUSH                     ? "flushing"
           : step == STEP_RENAME                    ? "renaming it"
           : step == STEP_NAMES                     ? "flushing its name"
                                                    : NULL; /* no reason to give up */
}

/* Begins the operation of this step; false: none now. */
static bool step_begin(struct cw_checkpoint *c, uint64_t flushed_lsn)
{
    switch (c->step) {
    case STEP_CLEAR: submit_name(c, CW_DISK_REMOVE, c->name_new, NULL); return true;
    case STEP_CREATE: submit_name(c, CW_DISK_CREATE, c->name_new, NULL); return true;
    case STEP_HEAD:
        make_head(c);
        submit_write(c, &c->op, &c->pending, c->page, CW_DISK_BLOCK);
        return true;
    case STEP_DRAIN:
        if (!quiet(c) || flushed_lsn < c->end) {
            return false;
        }
        c->step = STEP_FOOT;
        make_foot(c);
        submit_write(c, &c->op, &c->pending, c->page, CW_DISK_BLOCK);
        return true;
    case STEP_FLUSH: submit_plain(c, CW_DISK_WRITE, true); return true;
    case STEP_CLOSE: submit_plain(c, CW_DISK_CLOSE, false); return true;
    case STEP_RENAME: submit_name(c, CW_DISK_RENAME, c->name_new, c->name); return true;
    case STEP_NAMES:
        /* From here on the file is there, whether it will count or not. */
        (void)generation(c, c->begin);
        submit_plain(c, CW_DISK_SYNC_NAMES, true);
        return true;
    case STEP_DROP:
        c->dropping = needless(c);
        if (c->dropping < c->generation_count) {
            char name[CW_DISK_NAME_BYTES] = {0};
            cw_checkpoint_name(name, c->generations[c->dropping].begin, false);
            submit_name(c, CW_DISK_REMOVE, name, NULL);
            return true;
        }
        c->step = STEP_DROPPED;
        if (c->dropped) { /* what was to be erased is gone when the caller hears of it */
            submit_plain(c, CW_DISK_SYNC_NAMES, true);
            return true;
        }
        c->step = STEP_MADE;
        return false;
    case STEP_GIVE_UP:
        if (!quiet(c)) {
            return false;
        }
        c->step = c->file != CW_DISK_FILE_NONE ? STEP_GIVE_UP_CLOSE : STEP_GIVE_UP_REMOVE;
        return step_begin(c, flushed_lsn);
    case STEP_GIVE_UP_CLOSE: submit_plain(c, CW_DISK_CLOSE, false); return true;
    case STEP_GIVE_UP_REMOVE: submit_name(c, CW_DISK_REMOVE, c->name_new, NULL); return true;
    case STEP_REST:
    case STEP_ROWS:
    case STEP_FOOT:
    case STEP_DROPPED:
    case STEP_MADE:
    case STEP_GIVEN_UP: break;
    }
    return false;
}

/* As far as it goes without waiting. */
static void advance(struct cw_checkpoint *c, uint64_t flushed_lsn)
{
    for (uint32_t i = 0; i < 2 * CW_CHECKPOINT_GENERATIONS_MAX; i++) { /* the drops are the most */
        if (c->pending && !c->op.done) {
            return;
        }
        if (c->pending) {
            c->pending = false;
            const char *what = step_what(c->step);
            if (c->op.error != 0 && what != NULL) {
                give_up(c, &c->op, what);
            } else {
                step_done(c);
            }
        }
        if (!step_begin(c, flushed_lsn)) {
            return;
        }
    }
}

void cw_checkpoint_begin(struct cw_checkpoint *checkpoint, uint64_t last_lsn, int64_t logical_ms)
{
    struct cw_checkpoint *c = checkpoint;
    CW_ASSERT(c->step == STEP_REST && !c->pending && quiet(c));
    c->begin = last_lsn;
    c->end = last_lsn;
    c->logical_ms = logical_ms;
    c->at = 0;
    c->flushed_at = 0;
    c->blocks = 0;
    c->rows_all = 0;
    memset(c->rows, 0, sizeof c->rows);
    for (uint32_t i = 0; i < c->options.table_count; i++) {
        const struct cw_table *table = c->options.tables[i];
        c->walks[i] = (struct walk){.through = table == NULL,
                                    .end = table == NULL ? 0 : cw_table_end(table)};
    }
    c->table = 0;
    c->choose = true;
    c->fill = 0;
    c->dropped = false;
    begin_block(&c->buffers[0]);
    begin_block(&c->buffers[1]);
    memset(c->name, 0, sizeof c->name);
    memset(c->name_new, 0, sizeof c->name_new);
    cw_checkpoint_name(c->name, c->begin, false);
    cw_checkpoint_name(c->name_new, c->begin, true);
    for (uint32_t i = 0; i < c->generation_count; i++) {
        c->generations[i].stuck = false;
    }
    if (c->generation_count == CW_CHECKPOINT_GENERATIONS_MAX) {
        forget_generation(c, 0); /* its file is found again at the next start */
        c->forgotten++;
    }
    c->step = STEP_CLEAR;
    advance(c, 0);
}

static uint64_t count_stuck(const struct cw_checkpoint *c)
{
    uint64_t count = c->forgotten;
    for (uint32_t i = 0; i < c->generation_count; i++) {
        count += c->generations[i].stuck;
    }
    return count;
}

enum cw_checkpoint_state cw_checkpoint_slice(struct cw_checkpoint *checkpoint, uint32_t rows,
                                             uint64_t last_lsn, uint64_t flushed_lsn)
{
    struct cw_checkpoint *c = checkpoint;
    if (c->step == STEP_REST) {
        return CW_CHECKPOINT_IDLE;
    }
    if (under_way(c)) {
        (void)c->options.disk.poll(c->options.disk.self);
    }
    collect(c);
    advance(c, flushed_lsn);
    if (c->step == STEP_ROWS) {
        c->end = last_lsn > c->end ? last_lsn : c->end; /* what rows may have in them so far */
        visit_rows(c, rows);
        if (c->step == STEP_ROWS) {
            return c->buffers[c->fill].away ? CW_CHECKPOINT_WAITING : CW_CHECKPOINT_ROWS;
        }
        advance(c, flushed_lsn);
    }
    if (c->step == STEP_MADE) {
        c->step = STEP_REST;
        c->stats.stuck = count_stuck(c);
        return CW_CHECKPOINT_DONE;
    }
    if (c->step == STEP_GIVEN_UP) {
        c->step = STEP_REST;
        c->stats.failed++;
        return CW_CHECKPOINT_FAILED;
    }
    return CW_CHECKPOINT_WAITING;
}

const char *cw_checkpoint_fault(const struct cw_checkpoint *checkpoint)
{
    return checkpoint->fault[0] != '\0' ? checkpoint->fault : NULL;
}

bool cw_checkpoint_flush_failed(const struct cw_checkpoint *checkpoint)
{
    return checkpoint->flush_failed;
}

void cw_checkpoint_stats(const struct cw_checkpoint *checkpoint, struct cw_checkpoint_stats *stats)
{
    *stats = checkpoint->stats;
    stats->rows_done = checkpoint->step != STEP_REST ? checkpoint->rows_all : 0;
}
