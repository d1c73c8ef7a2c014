#define _GNU_SOURCE /* strerrordesc_np */
#include "core/format.h"
#include "core/log_priv.h"

#include <errno.h>
#include <stdlib.h>

/*
 * Recovery. Everything is flushed first: what is read afterwards is what is on the disk, so a
 * second recovery after a crash in this one reads the same. Then segments are followed from the
 * last one that begins at or before the first frame needed; at every position the facts are put
 * together and the table below says what they mean. Nothing is changed by that (cw_log_read); only
 * who has heard that the end is in order, here and wherever else it matters, has leftovers removed
 * and a new segment begun (cw_log_begin).
 */

#define ANY   (~0u)
#define BIT(x) (1u << (x))
#define NO    BIT(0)
#define YES   BIT(1)
#define BAD   (BIT(CW_LOG_FRAME_TORN) | BIT(CW_LOG_FRAME_NOTHING))

/* clang-format off */
const struct cw_log_row cw_log_rows[CW_LOG_ROWS] = {
/*   frame                     later wanted next                       verdict, why */
    {BIT(CW_LOG_FRAME_VALID),     ANY,  ANY,  ANY,                        CW_LOG_APPLY,
     "the frame is whole"},
    {BIT(CW_LOG_FRAME_STRANGE),   ANY,  ANY,  ANY,                        CW_LOG_CORRUPT,
     "a whole frame that does not follow the one before: a write was lost or went elsewhere"},
    {BAD,                         YES,  ANY,  ANY,                        CW_LOG_CORRUPT,
     "the frame is damaged, and a later one says that it was durable"},
    {BAD,                         NO,   YES,  BIT(CW_LOG_NEXT_NONE),      CW_LOG_CORRUPT,
     "the log ends before a frame that a checkpoint needs"},
    {BIT(CW_LOG_FRAME_TORN),      NO,   NO,   BIT(CW_LOG_NEXT_NONE),      CW_LOG_END,
     "a frame that was being written when it stopped, never acknowledged"},
    {BIT(CW_LOG_FRAME_NOTHING),   NO,   NO,   BIT(CW_LOG_NEXT_NONE),      CW_LOG_END,
     "the log ends"},
    {BAD,                         NO,   ANY,  BIT(CW_LOG_NEXT_MEETS),     CW_LOG_NEXT_SEGMENT,
     "the segment ends, and the next one begins with this frame"},
    {BAD,                         NO,   ANY,  BIT(CW_LOG_NEXT_DIFFERS),   CW_LOG_CORRUPT,
     "the segment ends before the next one begins, or another history follows"},
    {BAD,                         NO,   ANY,  BIT(CW_LOG_NEXT_BAD),       CW_LOG_CORRUPT,
     "the segment ends, and the header of the next one is damaged"},
    {BAD,                         NO,   ANY,  BIT(CW_LOG_NEXT_MISSING),   CW_LOG_CORRUPT,
     "the segment ends, and the next one is missing while a later one is there"},
};
/* clang-format on */

bool cw_log_row_matches(const struct cw_log_row *row, const struct cw_log_facts *facts)
{
    return (row->frames & BIT(facts->frame)) != 0 && (row->laters & BIT(facts->later)) != 0 &&
           (row->wanteds & BIT(facts->wanted)) != 0 && (row->nexts & BIT(facts->next)) != 0;
}

const struct cw_log_row *cw_log_judge(const struct cw_log_facts *facts)
{
    const struct cw_log_row *found = NULL;
    for (uint32_t i = 0; i < CW_LOG_ROWS; i++) {
        if (cw_log_row_matches(&cw_log_rows[i], facts)) {
            CW_ASSERT(found == NULL);
            found = &cw_log_rows[i];
        }
    }
    CW_ASSERT(found != NULL);
    return found;
}

enum {
    SHORTEST_PART = 16, /* of a usual segment, that a start on a full disk begins with */
    HASHED_MAX = 4      /* times a segment's size, while it is looked through for whole frames */
};

/* What a segment's header says. */
struct cw_log_begins {
    uint64_t first_lsn, prev_chain, salt;
    int64_t logical_ms;
    enum cw_log_head_is is;
};

struct cw_log_recovery {
    struct cw_log *log;
    const struct cw_disk *disk;
    cw_log_apply *apply;
    void *with;
    struct cw_log_found *found;
    struct cw_fault *fault;

    struct cw_log_begins *begins; /* one for each of log->segments */
    bool too_many;

    /* The segment that is read. */
    uint32_t index;
    char name[CW_DISK_NAME_BYTES];
    struct cw_log_reader reader;

    bool passed; /* some of it was passed over */

    /* Where in the log. */
    uint64_t at, expected, chain;
    struct cw_log_frame *frame; /* the last one that was looked at, in the window */
    uint64_t hashed;            /* bytes of frames, since the last scan began */
};

/* ---- the disk ---- */

static cw_err io_failed(struct cw_log_recovery *r, const struct cw_disk_op *op, const char *what)
{
    errno = op->error;
    return cw_fail(r->fault, CW_ERR_IO, "log of shard %u: %s %s: %s", r->log->options.shard, what,
                   op->name[0] != '\0' ? op->name : r->name, strerrordesc_np(op->error));
}

static cw_err open_segment(struct cw_log_recovery *r, uint32_t index, bool sync)
{
    struct cw_disk_op op = {.kind = CW_DISK_OPEN};
    cw_log_name(op.name, r->log->segments[index].seq);
    memcpy(r->name, op.name, sizeof r->name);
    if (cw_ahead_open(&r->reader.ahead, &op) != 0) {
        return io_failed(r, &op, "opening");
    }
    r->index = index;
    r->log->segments[index].file_bytes = op.size;
    op = (struct cw_disk_op){.kind = CW_DISK_WRITE, .file = r->reader.ahead.file, .sync = true};
    if (sync && cw_disk_do(r->disk, &op) != 0) {
        return io_failed(r, &op, "flushing");
    }
    return CW_ERR_OK;
}

/* What reading came to. */
static cw_err read_failed(struct cw_log_recovery *r, int error, uint64_t bytes)
{
    if (error == 0) {
        return CW_ERR_OK;
    }
    if (error == ENOMEM) {
        return cw_fail(r->fault, CW_ERR_IO, "memory for a frame of %llu bytes",
                       (unsigned long long)bytes);
    }
    const struct cw_disk_op op = {.error = error};
    return io_failed(r, &op, "reading");
}

/* Makes `bytes` from `offset` on readable; *to is NULL when the file has fewer. */
static cw_err need(struct cw_log_recovery *r, uint64_t offset, uint64_t bytes, void **to)
{
    return read_failed(r, cw_log_reader_need(&r->reader, offset, bytes, to), bytes);
}

/* ---- what is there ---- */

static void found_name(void *with, const char *name, uint64_t bytes)
{
    struct cw_log_recovery *r = with;
    struct cw_log *log = r->log;
    uint64_t number = 0;
    enum cw_log_name_is is = cw_log_name_read(name, &number);
    if (is == CW_LOG_NAME_SEGMENT) {
        r->too_many = r->too_many || log->segment_count == CW_LOG_SEGMENTS_MAX - 1;
        if (!r->too_many) {
            log->segments[log->segment_count++] =
                (struct cw_log_segment){.seq = number, .file_bytes = bytes};
        }
        return;
    }
    if (is == CW_LOG_NAME_OTHER) {
        return;
    }
    log->spare_next = number >= log->spare_next ? number + 1 : log->spare_next;
    if (is == CW_LOG_NAME_SPARE && bytes == log->segment_bytes &&
        log->spare_count < CW_LOG_SPARES_KEPT) {
        /* Its name is flushed before anything is written. What is in it, nobody knows. */
        log->spares[log->spare_count++] = (struct cw_log_spare){
            .number = number, .bytes = bytes, .dirty = true, .settled = true};
    } else if (log->trash_count < CW_LOG_TRASH_MAX) {
        log->trash[log->trash_count].number = number;
        log->trash[log->trash_count++].made = is == CW_LOG_NAME_SPARE;
    }
}

static int by_seq(const void *a, const void *b)
{
    const struct cw_log_segment *x = a;
    const struct cw_log_segment *y = b;
    return (x->seq > y->seq) - (x->seq < y->seq);
}

static cw_err sync_names(struct cw_log_recovery *r)
{
    struct cw_disk_op op = {.kind = CW_DISK_SYNC_NAMES};
    return cw_disk_do(r->disk, &op) == 0 ? CW_ERR_OK : io_failed(r, &op, "flushing names");
}

static cw_err read_head(struct cw_log_recovery *r, uint32_t i)
{
    void *at = NULL;
    cw_err err = read_failed(r, cw_log_reader_head(&r->reader, &at), CW_DISK_BLOCK);
    if (err != CW_ERR_OK) {
        return err;
    }
    const struct cw_log_head *head = at;
    struct cw_log_begins *begins = &r->begins[i];
    begins->is = head == NULL ? CW_LOG_HEAD_BAD
                              : cw_log_head_check(head, &r->log->options, r->log->segments[i].seq);
    if (begins->is == CW_LOG_HEAD_VERSION) {
        return cw_fail(r->fault, CW_ERR_UNSUPPORTED,
                       "segment %s has format %u.%u; this program reads %u", r->name, head->major,
                       head->minor, CW_LOG_MAJOR);
    }
    if (begins->is == CW_LOG_HEAD_FOREIGN) {
        return cw_fail(r->fault, CW_ERR_CORRUPT,
                       "segment %s belongs to another store, or to shard %u", r->name,
                       head->shard);
    }
    if (begins->is == CW_LOG_HEAD_GOOD) {
        begins->first_lsn = head->first_lsn;
        begins->prev_chain = head->prev_chain;
        begins->salt = head->salt;
        begins->logical_ms = head->logical_ms;
    }
    return CW_ERR_OK;
}

/* Lists the files, flushes them and reads all headers. */
static cw_err look(struct cw_log_recovery *r)
{
    struct cw_log *log = r->log;
    bool sync = !log->options.read_only;
    if (sync) {
        cw_err err = sync_names(r);
        if (err != CW_ERR_OK) {
            return err;
        }
    }
    int error = r->disk->list(r->disk->self, found_name, r);
    if (error != 0) {
        errno = error;
        return cw_fail(r->fault, CW_ERR_IO, "log of shard %u: listing its files: %s",
                       log->options.shard, strerrordesc_np(error));
    }
    if (r->too_many) {
        return cw_fail(r->fault, CW_ERR_LIMIT, "log of shard %u: more than %d segments",
                       log->options.shard, CW_LOG_SEGMENTS_MAX - 1);
    }
    qsort(log->segments, log->segment_count, sizeof log->segments[0], by_seq);
    for (uint32_t i = 0; i < log->segment_count; i++) {
        cw_err err = open_segment(r, i, sync);
        err = err == CW_ERR_OK ? read_head(r, i) : err;
        cw_ahead_close(&r->reader.ahead);
        if (err != CW_ERR_OK) {
            return err;
        }
    }
    return CW_ERR_OK;
}

/* ---- following frames ---- */

/* Whether a whole frame of this segment stands there; r->frame is it. */
static cw_err look_at(struct cw_log_recovery *r, uint64_t at, enum cw_log_frame_is *is)
{
    uint64_t salt = r->begins[r->index].salt;
    void *there = NULL;
    *is = CW_LOG_FRAME_NOTHING;
    cw_err err = need(r, at, CW_DISK_BLOCK, &there);
    const struct cw_log_frame *frame = there;
    if (err != CW_ERR_OK || frame == NULL || frame->magic != CW_LOG_FRAME_MAGIC ||
        (frame->salt != salt && !cw_log_bugs.no_salt)) {
        return err;
    }
    *is = CW_LOG_FRAME_TORN;
    uint32_t len = frame->len;
    if (len < sizeof *frame || len > sizeof *frame + CW_LOG_FRAME_BYTES_MAX) {
        return CW_ERR_OK;
    }
    err = need(r, at, cw_log_blocks(len), &there);
    r->frame = there;
    if (err == CW_ERR_OK && r->frame != NULL && r->frame->len == len) {
        r->hashed += len;
        *is = r->frame->hash == cw_log_frame_hash(r->frame) ? CW_LOG_FRAME_VALID : *is;
    }
    return err;
}

/* Frames do not overlap, so to look at all that a segment has takes its size once. A file made for
   it could have the square of its size hashed. */
static bool is_enough(const struct cw_log_recovery *r)
{
    return r->hashed / HASHED_MAX > r->reader.ahead.size;
}

static cw_err is_later_there(struct cw_log_recovery *r, bool *later)
{
    *later = false;
    r->hashed = 0;
    const uint64_t *size = &r->reader.ahead.size; /* it may become less */
    for (uint64_t at = r->at + CW_DISK_BLOCK; at < *size && !*later; at += CW_DISK_BLOCK) {
        void *there = NULL;
        cw_err err = need(r, at, CW_DISK_BLOCK, &there);
        if (err != CW_ERR_OK) {
            return err;
        }
        /* Only what would be an answer is hashed: hashing all that looks like a frame would take
           the square of the segment's size. */
        const struct cw_log_frame *frame = there;
        if (frame == NULL || frame->magic != CW_LOG_FRAME_MAGIC ||
            frame->durable_lsn < r->expected || frame->lsn <= frame->durable_lsn) {
            continue;
        }
        enum cw_log_frame_is is;
        err = look_at(r, at, &is);
        if (err != CW_ERR_OK) {
            return err;
        }
        *later = is == CW_LOG_FRAME_VALID || is_enough(r); /* no crash leaves so much to look at */
    }
    return CW_ERR_OK;
}

static enum cw_log_next_is what_follows(const struct cw_log_recovery *r)
{
    const struct cw_log *log = r->log;
    uint32_t next = r->index + 1;
    if (next == log->segment_count) {
        return CW_LOG_NEXT_NONE;
    }
    if (log->segments[next].seq != log->segments[r->index].seq + 1) {
        return CW_LOG_NEXT_MISSING;
    }
    const struct cw_log_begins *begins = &r->begins[next];
    if (begins->is != CW_LOG_HEAD_GOOD) {
        return CW_LOG_NEXT_BAD;
    }
    bool chained = begins->prev_chain == r->chain || cw_log_bugs.no_chain;
    return begins->first_lsn == r->expected && chained ? CW_LOG_NEXT_MEETS : CW_LOG_NEXT_DIFFERS;
}

/* What is known at the present position. */
static cw_err gather(struct cw_log_recovery *r, struct cw_log_facts *facts)
{
    *facts = (struct cw_log_facts){.wanted = r->expected <= r->log->options.until,
                                   .next = what_follows(r)};
    cw_err err = look_at(r, r->at, &facts->frame);
    if (err != CW_ERR_OK) {
        return err;
    }
    if (facts->frame == CW_LOG_FRAME_VALID) {
        bool follows = r->frame->lsn == r->expected && r->frame->durable_lsn < r->expected &&
                       (r->frame->prev_chain == r->chain || cw_log_bugs.no_chain);
        facts->frame = follows ? CW_LOG_FRAME_VALID : CW_LOG_FRAME_STRANGE;
        return CW_ERR_OK;
    }
    if (facts->frame == CW_LOG_FRAME_TORN && facts->next == CW_LOG_NEXT_NONE) {
        void *there = NULL; /* the window may hold another part by now */
        err = need(r, r->at, CW_DISK_BLOCK, &there);
        const struct cw_log_frame *torn = there;
        uint64_t bytes = torn == NULL ? 0 : cw_log_blocks(torn->len);
        uint64_t rest = r->reader.ahead.size - r->at;
        r->found->torn_bytes = bytes < rest ? bytes : rest;
    }
    return err != CW_ERR_OK || cw_log_bugs.no_scan ? err : is_later_there(r, &facts->later);
}

static cw_err corrupt(struct cw_log_recovery *r, const char *why)
{
    r->found->damage =
        (struct cw_log_damage){.lsn = r->expected, .last_lsn = r->expected, .offset = r->at};
    return cw_fail(r->fault, CW_ERR_CORRUPT, "segment %s, offset %llu, LSN %llu: %s", r->name,
                   (unsigned long long)r->at, (unsigned long long)r->expected, why);
}

/* Whole frames of the segment at hand from `at` on: the largest LSN of them, or `last`. */
static uint64_t last_from(struct cw_log_recovery *r, uint64_t at, uint64_t last)
{
    r->hashed = 0;
    while (at < r->reader.ahead.size && !is_enough(r)) { /* on by a block or a frame each turn */
        enum cw_log_frame_is is;
        if (look_at(r, at, &is) != CW_ERR_OK) {
            break;
        }
        bool whole = is == CW_LOG_FRAME_VALID;
        last = whole && r->frame->lsn > last ? r->frame->lsn : last;
        at += whole ? cw_log_blocks(r->frame->len) : CW_DISK_BLOCK;
    }
    return last;
}

/* How far frames go behind the damage: the last segment's last whole one. A disk that does not let
   itself be read there has said enough. */
static uint64_t last_there(struct cw_log_recovery *r)
{
    struct cw_log *log = r->log;
    uint32_t from = r->index;
    uint64_t last = r->expected;
    for (uint32_t i = log->segment_count; i-- > from && last == r->expected;) {
        uint64_t at = i == from ? r->at + CW_DISK_BLOCK : CW_DISK_BLOCK;
        if (i != from) {
            cw_ahead_close(&r->reader.ahead);
            if (open_segment(r, i, false) != CW_ERR_OK) {
                break;
            }
            last = r->begins[i].is == CW_LOG_HEAD_GOOD && r->begins[i].first_lsn > last + 1
                       ? r->begins[i].first_lsn - 1
                       : last;
        }
        last = last_from(r, at, last);
    }
    return last;
}

/* Damage that was met while frames were followed: the log is whole up to here. */
static cw_err corrupt_from(struct cw_log_recovery *r, const char *why)
{
    cw_err err = corrupt(r, why);
    struct cw_fault said = *r->fault;
    struct cw_log_damage *damage = &r->found->damage;
    damage->segment = r->log->segments[r->index].seq;
    damage->may_be_cut = r->expected > r->log->options.until;
    damage->last_lsn = last_there(r);
    *r->fault = said;
    if (damage->last_lsn > damage->lsn) {
        size_t bytes = strlen(r->fault->text);
        (void)cw_format(r->fault->text + bytes, (uint32_t)(sizeof r->fault->text - bytes),
                        "; frames up to LSN %llu stand behind it",
                        (unsigned long long)damage->last_lsn);
    }
    return err;
}

/* Damage to frames that the newest checkpoint stands for: it is gone on behind it, at the next
   whole frame of those. The last of them has to be whole: what is needed follows from it, in place
   and chain. Only for who knows that this log went on behind the damage: else what stands there may
   be what a start had cut off. */
static cw_err pass_over(struct cw_log_recovery *r, const char *why)
{
    uint64_t since = r->log->options.since;
    bool found = false;
    cw_err err = CW_ERR_OK;
    uint64_t at = r->at + CW_DISK_BLOCK;
    r->hashed = 0;
    for (; r->expected < since && at < r->reader.ahead.size && err == CW_ERR_OK && !is_enough(r);
         at += CW_DISK_BLOCK) {
        enum cw_log_frame_is is;
        err = look_at(r, at, &is);
        found = err == CW_ERR_OK && is == CW_LOG_FRAME_VALID && r->frame->lsn > r->expected &&
                r->frame->lsn <= since;
        if (found) {
            break;
        }
    }
    if (!found) {
        return err == CW_ERR_OK ? corrupt_from(r, why) : err;
    }
    if (r->found->passed_lsn == 0) {
        r->found->passed_lsn = r->expected;
    }
    r->passed = true;
    r->found->torn_bytes = 0;
    r->at = at;
    r->expected = r->frame->lsn;
    r->chain = r->frame->prev_chain;
    r->log->segments[r->index].used_bytes = at - CW_DISK_BLOCK; /* where its end is known from */
    return CW_ERR_OK;
}

/* Where something was passed over the end is one only if no later frame stands anywhere: one that
   went elsewhere, and left its place empty, must not be the end of all others. Where the file ends
   too, no place is empty: there it was cut (--accept-loss). */
static cw_err end(struct cw_log_recovery *r)
{
    return r->passed && r->at < r->reader.ahead.size &&
                   (last_from(r, CW_DISK_BLOCK, 0) >= r->expected || is_enough(r))
               ? corrupt_from(r, "the log ends, and a later frame stands elsewhere in the segment")
               : CW_ERR_OK;
}

static cw_err take(struct cw_log_recovery *r)
{
    struct cw_log *log = r->log;
    struct cw_log_frame *frame = r->frame;
    struct cw_view records = {.data = (const char *)frame + sizeof *frame,
                              .bytes = frame->len - (uint32_t)sizeof *frame};
    bool own = (frame->flags & (CW_LOG_FLAG_CLEAN | CW_LOG_FLAG_SEAL)) != 0;
    if (r->expected > log->options.since && !own &&
        !r->apply(r->with, r->expected, frame->logical_ms, records)) {
        return corrupt_from(r, "the frame is whole, but what is in it are no records");
    }
    struct cw_log_segment *segment = &log->segments[r->index];
    segment->last_lsn = r->expected;
    segment->used_bytes += cw_log_blocks(frame->len);
    r->found->frames++;
    r->found->bytes += cw_log_blocks(frame->len);
    r->found->clean = (frame->flags & CW_LOG_FLAG_CLEAN) != 0;
    log->logical_ms = frame->logical_ms;
    r->chain = frame->hash;
    r->at += cw_log_blocks(frame->len);
    r->expected++;
    return CW_ERR_OK;
}

static cw_err enter(struct cw_log_recovery *r, uint32_t index)
{
    cw_ahead_close(&r->reader.ahead);
    cw_err err = open_segment(r, index, false);
    if (err != CW_ERR_OK) {
        return err;
    }
    const struct cw_log_begins *begins = &r->begins[index];
    struct cw_log_segment *segment = &r->log->segments[index];
    segment->first_lsn = begins->first_lsn;
    segment->last_lsn = begins->first_lsn - 1;
    r->at = CW_DISK_BLOCK;
    r->passed = false;
    r->found->segments++;
    r->found->torn_bytes = 0;
    r->log->logical_ms = begins->logical_ms;
    return CW_ERR_OK;
}

static cw_err follow(struct cw_log_recovery *r, uint32_t start)
{
    cw_err err = enter(r, start);
    r->expected = r->begins[start].first_lsn;
    r->chain = r->begins[start].prev_chain;
    while (err == CW_ERR_OK) { /* each turn moves on in the file, or to the next */
        struct cw_log_facts facts;
        err = gather(r, &facts);
        if (err != CW_ERR_OK) {
            break;
        }
        const struct cw_log_row *row = cw_log_judge(&facts);
        bool went_on; /* a later frame says that this one was durable, or stands in its place */
        switch (row->verdict) {
        case CW_LOG_APPLY: err = take(r); break;
        case CW_LOG_NEXT_SEGMENT: err = enter(r, r->index + 1); break;
        case CW_LOG_END: return end(r);
        case CW_LOG_CORRUPT:
            went_on = facts.later || facts.frame == CW_LOG_FRAME_STRANGE;
            err = went_on ? pass_over(r, row->why) : corrupt_from(r, row->why);
            break;
        }
    }
    return err;
}

/* The last segment that begins at or before the first frame needed; all from there on are read. */
static cw_err choose(struct cw_log_recovery *r, uint32_t *start)
{
    struct cw_log *log = r->log;
    uint64_t first = log->options.since + 1;
    *start = log->segment_count;
    for (uint32_t i = 0; i < log->segment_count; i++) {
        if (r->begins[i].is == CW_LOG_HEAD_GOOD && r->begins[i].first_lsn <= first) {
            *start = i;
        }
    }
    if (*start < log->segment_count) {
        return CW_ERR_OK;
    }
    if (log->segment_count == 0 && log->options.until == 0) {
        return CW_ERR_OK; /* a new log */
    }
    cw_log_name(r->name, log->segment_count == 0 ? 1 : log->segments[0].seq);
    r->expected = first;
    return corrupt(r, log->segment_count == 0 ? "there are no segments, but a checkpoint needs some"
                      : r->begins[0].is == CW_LOG_HEAD_GOOD
                          ? "no segment reaches back to this frame"
                          : "the header is damaged, and no other segment has this frame");
}

/* ---- making it ready for what comes ---- */

/* An empty last segment is what a start leaves that did not come to its first frame. It becomes a
   spare, or a program that is started again and again would fill the disk. Not the only one: with
   its name the log's place would be gone. */
static bool is_empty(const struct cw_log *log, uint32_t start)
{
    if (log->segment_count <= start + 1) {
        return false;
    }
    const struct cw_log_segment *segment = &log->segments[log->segment_count - 1];
    return segment->last_lsn < segment->first_lsn;
}

static cw_err drop_empty(struct cw_log_recovery *r)
{
    struct cw_log *log = r->log;
    if (!log->last_empty) {
        return CW_ERR_OK;
    }
    const struct cw_log_segment *segment = &log->segments[log->segment_count - 1];
    struct cw_disk_op op = {.kind = CW_DISK_REMOVE};
    cw_log_name(op.name, segment->seq);
    bool spare = segment->file_bytes == log->segment_bytes &&
                 log->spare_count < CW_LOG_SPARES_KEPT;
    if (spare) {
        op.kind = CW_DISK_RENAME;
        cw_log_spare_name(op.to, log->spare_next, true);
    }
    if (cw_disk_do(r->disk, &op) != 0) {
        return io_failed(r, &op, "renaming");
    }
    if (spare) {
        log->spares[log->spare_count++] = (struct cw_log_spare){.number = log->spare_next++,
                                                                .bytes = segment->file_bytes,
                                                                .dirty = true,
                                                                .settled = true};
    }
    log->segment_count--;
    return CW_ERR_OK;
}

static cw_err tidy_up(struct cw_log_recovery *r)
{
    const struct cw_log *log = r->log;
    for (uint32_t i = 0; i < log->trash_count; i++) {
        struct cw_disk_op op = {.kind = CW_DISK_REMOVE};
        cw_log_spare_name(op.name, log->trash[i].number, log->trash[i].made);
        if (cw_disk_do(r->disk, &op) != 0) {
            return io_failed(r, &op, "removing");
        }
    }
    cw_err err = drop_empty(r);
    return err == CW_ERR_OK ? sync_names(r) : err;
}

static cw_err cut_tail(struct cw_log_recovery *r, struct cw_log_segment *segment)
{
    uint64_t end = CW_DISK_BLOCK + segment->used_bytes;
    if (segment->file_bytes <= end) { /* of older ones nobody knows, and they say all is used */
        return CW_ERR_OK;
    }
    struct cw_disk_op op = {.kind = CW_DISK_OPEN};
    cw_log_name(op.name, segment->seq);
    if (cw_disk_do(r->disk, &op) != 0) {
        return io_failed(r, &op, "opening");
    }
    struct cw_disk_op close = {.kind = CW_DISK_CLOSE, .file = op.file};
    op.kind = CW_DISK_CUT;
    op.offset = end;
    int error = cw_disk_do(r->disk, &op);
    (void)cw_disk_do(r->disk, &close);
    if (error != 0) {
        return io_failed(r, &op, "cutting");
    }
    segment->file_bytes = end;
    return CW_ERR_OK;
}

/* The disk is full, and every start takes a segment: what an engine that is killed again and again
   has written must be all that it uses up, or the reserve is gone after the first of them. Nothing
   is ever written behind an old tail, so the room there is given back; and what there is then may
   be enough for a shorter segment. */
static cw_err find_room(struct cw_log_recovery *r, bool *cut)
{
    struct cw_log *log = r->log;
    uint64_t half = log->want_bytes / 2 / CW_DISK_BLOCK * CW_DISK_BLOCK;
    if (*cut && (half < log->segment_bytes / SHORTEST_PART || half < UINT64_C(2) * CW_DISK_BLOCK)) {
        errno = ENOSPC;
        return cw_fail(r->fault, CW_ERR_IO, "no room for a segment of its log");
    }
    log->want_bytes = *cut ? half : log->want_bytes;
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; i < log->segment_count && !*cut && err == CW_ERR_OK; i++) {
        err = cut_tail(r, &log->segments[i]);
    }
    *cut = true;
    log->no_space = false; /* tried again */
    return err;
}

static cw_err begin_segment(struct cw_log_recovery *r)
{
    struct cw_log *log = r->log;
    bool cut = false;
    cw_log_rotate(log, 0);
    while (log->step != CW_LOG_IDLE && !log->failed) { /* each turn is an operation that ends */
        cw_log_wait(log);
        if (log->step == CW_LOG_WAIT_SPARE && log->no_space && !log->back_pending) {
            cw_err err = find_room(r, &cut);
            if (err != CW_ERR_OK) {
                return err;
            }
        }
    }
    if (log->failed) {
        errno = log->fault_errno;
        return cw_fail(r->fault, CW_ERR_IO, "%s", log->fault);
    }
    return CW_ERR_OK;
}

static cw_err read_all(struct cw_log_recovery *r)
{
    struct cw_log *log = r->log;
    uint32_t start = 0;
    cw_err err = look(r);
    err = err == CW_ERR_OK ? choose(r, &start) : err;
    if (err != CW_ERR_OK) {
        return err;
    }
    r->expected = 1;
    if (log->segment_count > 0) {
        err = follow(r, start);
        cw_ahead_close(&r->reader.ahead);
        if (err != CW_ERR_OK) {
            return err;
        }
    }
    /* Older ones stay until they are released; only where they begin is told by their headers. */
    for (uint32_t i = start; i-- > 0 && log->segment_count > 0;) {
        struct cw_log_segment *segment = &log->segments[i];
        uint64_t next = log->segments[i + 1].first_lsn;
        bool good = r->begins[i].is == CW_LOG_HEAD_GOOD && r->begins[i].first_lsn <= next;
        segment->first_lsn = good ? r->begins[i].first_lsn : next;
        segment->last_lsn = next - 1;
        segment->used_bytes = segment->file_bytes;
    }
    r->found->last_lsn = r->expected - 1;
    r->found->logical_ms = log->logical_ms;
    /* A checkpoint without its log (until is 0): numbers go on behind it. */
    log->last_lsn = r->expected - 1 > log->options.since ? r->expected - 1 : log->options.since;
    log->durable_lsn = log->flushed_lsn = log->last_lsn;
    log->chain = r->chain;
    log->last_empty = is_empty(log, start);
    return CW_ERR_OK;
}

cw_err cw_log_read(struct cw_log **log, const struct cw_log_options *options, cw_log_apply *apply,
                   void *with, struct cw_log_found *found, struct cw_fault *fault)
{
    struct cw_log_recovery r = {.disk = &options->disk,
                                .apply = apply,
                                .with = with,
                                .found = found,
                                .fault = fault};
    memset(found, 0, sizeof *found);
    *log = NULL;
    cw_err err = cw_log_new(&r.log, options, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    uint64_t begins_bytes = CW_LOG_SEGMENTS_MAX * sizeof *r.begins;
    r.begins = cw_log_map(begins_bytes);
    bool room = cw_log_reader_init(&r.reader, r.disk);
    err = r.begins == NULL || !room ? cw_fail(fault, CW_ERR_IO, "memory for a log's recovery")
                                    : read_all(&r);
    cw_log_reader_deinit(&r.reader);
    cw_log_unmap(r.begins, begins_bytes);
    if (err != CW_ERR_OK) {
        cw_log_close(r.log, false);
        return err;
    }
    *log = r.log;
    return CW_ERR_OK;
}

cw_err cw_log_begin(struct cw_log *log, struct cw_fault *fault)
{
    struct cw_log_recovery r = {.log = log, .disk = &log->disk, .fault = fault};
    CW_ASSERT(log->file == CW_DISK_FILE_NONE);
    if (log->options.read_only) {
        return CW_ERR_OK;
    }
    cw_err err = tidy_up(&r);
    return err == CW_ERR_OK ? begin_segment(&r) : err;
}

cw_err cw_log_recover(struct cw_log **log, const struct cw_log_options *options,
                      cw_log_apply *apply, void *with, struct cw_log_found *found,
                      struct cw_fault *fault)
{
    cw_err err = cw_log_read(log, options, apply, with, found, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    err = cw_log_begin(*log, fault);
    if (err != CW_ERR_OK) {
        (void)cw_log_close(*log, false);
        *log = NULL;
    }
    return err;
}
