#include "core/log_priv.h"

#include <errno.h>

/*
 * Files in the background. A spare is written with zeroes a slice at a time, under the name
 * spare-<n>.new; the last slice flushes it, and it is called spare-<n>. So what is called that is
 * whole. Released segments are renamed into spares as they are: their salt tells their old frames
 * from new ones. Such a name has to be flushed before the file is written anew, or a crash could
 * bring back the segment's name with another's content.
 */

static bool is_full(int error)
{
    return error == ENOSPC || error == EDQUOT;
}

bool cw_log_full(const struct cw_log *log)
{
    bool waits = log->step == CW_LOG_WAIT_SPARE; /* for a larger one than there is, perhaps */
    return (log->no_space && (waits || log->spare_count < CW_LOG_SPARES_READY)) ||
           log->segment_count == CW_LOG_SEGMENTS_MAX;
}

void cw_log_look_again(struct cw_log *log)
{
    log->polls_full = CW_LOG_RETRY_POLLS;
}

bool cw_log_take_spare(struct cw_log *log, uint64_t bytes, struct cw_log_spare *spare)
{
    uint32_t best = log->spare_count;
    for (uint32_t i = 0; i < log->spare_count; i++) {
        const struct cw_log_spare *it = &log->spares[i];
        if (it->settled && it->bytes >= bytes &&
            (best == log->spare_count || it->bytes < log->spares[best].bytes)) {
            best = i;
        }
    }
    if (best == log->spare_count) {
        return false;
    }
    *spare = log->spares[best];
    log->spares[best] = log->spares[--log->spare_count];
    log->stats.segments_recycled += spare->dirty;
    return true;
}

void cw_log_release(struct cw_log *log, uint64_t lsn, bool erase)
{
    CW_ASSERT(lsn <= log->durable_lsn);
    log->release_lsn = lsn > log->release_lsn ? lsn : log->release_lsn;
    if (erase) {
        log->erase_lsn = lsn > log->erase_lsn ? lsn : log->erase_lsn;
        log->erase_spares = true;
    }
}

bool cw_log_erasing(const struct cw_log *log)
{
    bool segments = log->segment_count > 1 && log->segments[1].first_lsn <= log->erase_lsn + 1;
    bool names = log->unsettled || log->task == CW_LOG_SPARE_REMOVE || log->task == CW_LOG_SETTLE;
    return segments || log->erase_spares || names;
}

static void submit(struct cw_log *log, enum cw_log_task task, struct cw_disk_op op)
{
    bool lets_go = task == CW_LOG_RELEASE_REMOVE || task == CW_LOG_RELEASE_RENAME ||
                   task == CW_LOG_SPARE_REMOVE || task == CW_LOG_SETTLE;
    log->owed -= lets_go && log->owed > 0;
    log->task = task;
    log->back = op;
    /* Once a frame waits for a spare, there is nothing more urgent. */
    log->back.background = log->step != CW_LOG_WAIT_SPARE;
    cw_log_submit_op(log, &log->back, &log->back_pending);
}

/* ---- making a spare ---- */

static void make(struct cw_log *log, uint64_t bytes)
{
    log->making = (struct cw_log_spare){.number = log->spare_next++,
                                        .bytes = cw_log_blocks(bytes),
                                        .settled = true};
    log->made_bytes = 0;
    struct cw_disk_op op = {.kind = CW_DISK_CREATE};
    cw_log_spare_name(op.name, log->making.number, false);
    submit(log, CW_LOG_MAKE_CREATE, op);
}

static void make_on(struct cw_log *log)
{
    struct cw_disk_op op = {.file = log->making_file};
    cw_log_spare_name(op.name, log->making.number, false);
    uint64_t left = log->making.bytes - log->made_bytes;
    if (left > 0) {
        op.kind = CW_DISK_WRITE;
        op.offset = log->made_bytes;
        op.bytes = left < CW_LOG_SLICE_BYTES ? (uint32_t)left : CW_LOG_SLICE_BYTES;
        op.data = log->zeroes;
        op.sync = op.bytes == left;
        submit(log, CW_LOG_MAKE_ZERO, op);
    } else if (log->making_file != CW_DISK_FILE_NONE) {
        op.kind = CW_DISK_CLOSE;
        submit(log, CW_LOG_MAKE_CLOSE, op);
    } else {
        op.kind = CW_DISK_RENAME;
        cw_log_spare_name(op.to, log->making.number, true);
        submit(log, CW_LOG_MAKE_NAME, op);
    }
}

/* There is no space for the spare that is being made. */
static void drop(struct cw_log *log)
{
    log->no_space = true;
    log->polls_full = 0;
    struct cw_disk_op op = {.kind = CW_DISK_REMOVE, .file = log->making_file};
    cw_log_spare_name(op.name, log->making.number, false);
    if (log->making_file != CW_DISK_FILE_NONE) {
        op.kind = CW_DISK_CLOSE;
        submit(log, CW_LOG_DROP_CLOSE, op);
    } else {
        submit(log, CW_LOG_DROP_REMOVE, op);
    }
}

/* ---- segments that are not needed any more ---- */

static bool releasable(const struct cw_log *log)
{
    /* The last one is being written; one without frames goes when the next one has some. */
    return log->segment_count > 1 && log->segments[1].first_lsn <= log->release_lsn + 1;
}

/* The first segment, once it is released. */
static bool becomes_spare(const struct cw_log *log)
{
    bool erase = log->segments[1].first_lsn <= log->erase_lsn + 1;
    return !erase && log->segments[0].file_bytes == log->segment_bytes &&
           log->spare_count < CW_LOG_SPARES_KEPT;
}

static void release(struct cw_log *log)
{
    struct cw_disk_op op = {.kind = CW_DISK_REMOVE};
    cw_log_name(op.name, log->segments[0].seq);
    if (becomes_spare(log)) {
        op.kind = CW_DISK_RENAME;
        cw_log_spare_name(op.to, log->spare_next++, true);
        submit(log, CW_LOG_RELEASE_RENAME, op);
    } else {
        submit(log, CW_LOG_RELEASE_REMOVE, op);
    }
}

static void released(struct cw_log *log)
{
    if (log->task == CW_LOG_RELEASE_RENAME) {
        log->spares[log->spare_count++] = (struct cw_log_spare){
            .number = log->spare_next - 1, .bytes = log->segments[0].file_bytes, .dirty = true};
    }
    log->segment_count--;
    memmove(&log->segments[0], &log->segments[1], log->segment_count * sizeof log->segments[0]);
    log->unsettled = true;
    cw_log_look_again(log);
}

static bool erase_spare(struct cw_log *log)
{
    for (uint32_t i = 0; log->erase_spares && i < log->spare_count; i++) {
        if (log->spares[i].dirty) {
            struct cw_disk_op op = {.kind = CW_DISK_REMOVE};
            cw_log_spare_name(op.name, log->spares[i].number, true);
            log->spares[i] = log->spares[--log->spare_count];
            submit(log, CW_LOG_SPARE_REMOVE, op);
            return true;
        }
    }
    log->erase_spares = false;
    return false;
}

static void settle(struct cw_log *log)
{
    submit(log, CW_LOG_SETTLE, (struct cw_disk_op){.kind = CW_DISK_SYNC_NAMES});
}

static void settled(struct cw_log *log)
{
    for (uint32_t i = 0; i < log->spare_count; i++) {
        log->spares[i].settled = true;
    }
    log->unsettled = false;
}

/* ---- one thing after another ---- */

static void back_failed(struct cw_log *log)
{
    static const char *const doing[] = {
        [CW_LOG_MAKE_CREATE] = "creating",      [CW_LOG_MAKE_ZERO] = "writing zeroes to",
        [CW_LOG_MAKE_NAME] = "renaming",        [CW_LOG_DROP_REMOVE] = "removing",
        [CW_LOG_RELEASE_RENAME] = "renaming",   [CW_LOG_RELEASE_REMOVE] = "removing",
        [CW_LOG_SPARE_REMOVE] = "removing",     [CW_LOG_SETTLE] = "flushing names",
    };
    bool making = log->task == CW_LOG_MAKE_CREATE || log->task == CW_LOG_MAKE_ZERO ||
                  log->task == CW_LOG_MAKE_NAME;
    if (making && is_full(log->back.error)) {
        if (log->task == CW_LOG_MAKE_CREATE) { /* there is nothing to be dropped */
            log->no_space = true;
            log->polls_full = 0;
            log->task = CW_LOG_REST;
            return;
        }
        drop(log);
        return;
    }
    cw_log_fail(log, &log->back, doing[log->task]);
}

static void back_done(struct cw_log *log)
{
    if (log->back.error != 0 && log->back.kind != CW_DISK_CLOSE) {
        back_failed(log);
        return;
    }
    switch (log->task) {
    case CW_LOG_REST: CW_ASSERT(false); break;
    case CW_LOG_MAKE_CREATE: log->making_file = log->back.file; return;
    case CW_LOG_MAKE_ZERO: log->made_bytes += log->back.bytes; return;
    case CW_LOG_MAKE_CLOSE: log->making_file = CW_DISK_FILE_NONE; return;
    case CW_LOG_MAKE_NAME:
        CW_ASSERT(log->spare_count < CW_LOG_SPARES_MAX);
        log->spares[log->spare_count++] = log->making;
        log->owed = CW_LOG_OWED;
        log->no_space = false;
        log->stats.segments_made++;
        break;
    case CW_LOG_DROP_CLOSE:
        log->making_file = CW_DISK_FILE_NONE;
        drop(log);
        return;
    case CW_LOG_DROP_REMOVE: break;
    case CW_LOG_RELEASE_RENAME:
    case CW_LOG_RELEASE_REMOVE: released(log); break;
    case CW_LOG_SPARE_REMOVE: log->unsettled = true; break;
    case CW_LOG_SETTLE: settled(log); break;
    }
    log->task = CW_LOG_REST;
}

static void begin_task(struct cw_log *log)
{
    bool waited_for = log->step == CW_LOG_WAIT_SPARE;
    if (log->task != CW_LOG_REST) {
        make_on(log); /* the only one of several operations */
        return;
    }
    bool retry = log->no_space && ++log->polls_full >= CW_LOG_RETRY_POLLS;
    bool space = (!log->no_space || retry) && log->spare_count < CW_LOG_SPARES_MAX;
    bool usual = log->want_bytes == log->segment_bytes;
    bool few = log->spare_count < CW_LOG_SPARES_READY;
    bool old = releasable(log);
    /* What only removes something waits for a spare: there may be a thousand segments to remove.
       But not for the next one too, or a disk that is busy making them would let go of none. */
    bool spares_first = space && !log->no_space && few && log->owed == 0;
    if (waited_for) {
        /* The nearest first: to settle, to rename, to make. */
        if (log->unsettled && usual && log->spare_count > 0) {
            settle(log);
        } else if (old && (!spares_first || (usual && becomes_spare(log)))) {
            release(log);
        } else if (space) {
            make(log, log->want_bytes);
        }
    } else if (!spares_first && erase_spare(log)) {
        return;
    } else if (!spares_first && old) {
        release(log);
    } else if (!spares_first && log->unsettled) {
        settle(log);
    } else if (space && few) {
        make(log, log->segment_bytes);
    }
}

bool cw_log_back(struct cw_log *log)
{
    bool any = false;
    if (log->back_pending) {
        if (!log->back.done) {
            return false;
        }
        log->back_pending = false;
        any = true;
        back_done(log);
    }
    bool rest = log->closing && log->step != CW_LOG_WAIT_SPARE;
    if (!log->back_pending && !log->failed && !rest) {
        begin_task(log);
        any = any || log->back_pending;
    }
    return any;
}
