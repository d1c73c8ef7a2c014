#include "core/store.h"

#include "core/arena.h"

enum {
    FULL_LOOK_MS = 2000, /* between two looks at a full disk: each writes what space there is */
    ERASE_AGAIN_MS = 10000 /* before another round where a file could not be made or removed */
};

struct cw_store {
    struct cw_store_options options;
    struct cw_arena own;
    uint64_t commits;
    uint64_t staged;           /* LSN of the frame under way that has told `staged`; 0: none */
    bool wanted;               /* a checkpoint, whatever the log's length */
    uint64_t erasures, erased; /* asked for, through */
    uint64_t erasing;          /* of these, will be through with the rounds below */
    uint32_t rounds;           /* checkpoints that an erasure still needs */
    int64_t rounds_ms;         /* not before this time */
    bool leaving;              /* they are made, and the log's files have still to go */
    uint64_t begin_lsn;        /* of the last checkpoint */
    bool at_work;
    bool pinned;
    bool finishing; /* the last checkpoint has begun */
    bool noted;     /* all that `before` has to say, at the end */
    uint64_t made;
    uint64_t begun_bytes; /* the log's, as if it had been open all the time, when the last began */
    int64_t looked_ms;    /* when it was last looked for space on a full disk */
};

cw_err cw_store_open(struct cw_store **store, const struct cw_store_options *options,
                     struct cw_fault *fault)
{
    struct cw_arena own;
    cw_err err = cw_arena_open(&own, 4096, 1u << 16, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_store *made = cw_arena_zalloc(&own, sizeof *made, CW_CACHE_LINE);
    made->options = *options;
    if (made->options.pending_bytes_max == 0) {
        made->options.pending_bytes_max = 16u << 20;
    }
    if (made->options.checkpoint_bytes == 0) {
        made->options.checkpoint_bytes = 1u << 30;
    }
    if (made->options.checkpoint_rows == 0) {
        made->options.checkpoint_rows = 64;
    }
    CW_ASSERT(made->options.pending_bytes_max <= CW_LOG_FRAME_BYTES_MAX / 2);
    made->own = own;
    /* What the starts before left counts, or an engine that is started often never makes one: whole
       files, since each start begins another. The difference wraps. */
    made->begun_bytes =
        0 - cw_log_space_since(options->log, cw_checkpoint_newest(options->checkpoint));
    *store = made;
    return CW_ERR_OK;
}

/* ---- commits ---- */

/* LSN of the frame that the next changes will be in, if any are noted, else of the last. */
static uint64_t number(void *self)
{
    const struct cw_store *store = self;
    uint64_t last = cw_log_last(store->options.log);
    return cw_journal_clean(store->options.journal) ? last : last + 1;
}

static uint64_t durable(void *self)
{
    return cw_log_durable(((const struct cw_store *)self)->options.log);
}

static bool room(void *self)
{
    const struct cw_store *store = self;
    return cw_journal_bytes(store->options.journal) < store->options.pending_bytes_max;
}

static void check_fault(struct cw_store *store)
{
    const char *why = cw_log_fault(store->options.log);
    if (why != NULL) {
        store->options.on_fault(store->options.self, why);
        CW_ASSERT(false); /* it does not come back */
    }
}

static bool release(struct cw_store *store)
{
    if (store->staged == 0 || durable(store) < store->staged) {
        return false;
    }
    store->staged = 0;
    store->options.released(store->options.self);
    return true;
}

static bool submit(struct cw_store *store)
{
    struct cw_log *log = store->options.log;
    struct cw_journal *journal = store->options.journal;
    if (cw_log_busy(log) || cw_journal_clean(journal)) {
        return false;
    }
    CW_ASSERT(store->staged == 0);
    store->options.before(store->options.self);
    uint64_t bytes = cw_journal_bytes(journal);
    /* A turn's changes are bounded by what one chunk can bring, far below a frame's most. */
    CW_ASSERT(bytes <= CW_LOG_FRAME_BYTES_MAX);
    char *to = cw_log_room(log, (uint32_t)bytes);
    char *end = cw_journal_write(journal, to);
    CW_ASSERT((uint64_t)(end - to) == bytes);
    store->options.staged(store->options.self);
    store->staged = cw_log_submit(log, (uint32_t)bytes, store->options.now_ms(store->options.self));
    store->commits++;
    return true;
}

/* ---- checkpoints ---- */

static bool due(const struct cw_store *store)
{
    struct cw_log_stats stats;
    if (store->wanted || store->pinned) {
        return store->wanted;
    }
    if (store->rounds > 0) {
        return store->options.now_ms(store->options.self) >= store->rounds_ms;
    }
    cw_log_stats(store->options.log, &stats);
    return stats.bytes - store->begun_bytes >= store->options.checkpoint_bytes;
}

/* For an erasure each checkpoint needs a frame after the one before, and the log a new segment.
   True when that is so. */
static bool ready(struct cw_store *store)
{
    struct cw_log *log = store->options.log;
    if (store->rounds == 0) {
        return true;
    }
    if (cw_log_busy(log)) {
        return false;
    }
    if (cw_log_last(log) == store->begin_lsn) {
        store->options.before(store->options.self);
        if (cw_journal_clean(store->options.journal)) { /* else its frame comes by itself */
            (void)cw_log_room(log, 0);
            (void)cw_log_submit(log, 0, store->options.now_ms(store->options.self));
        }
        return false;
    }
    cw_log_turn_over(log);
    return true;
}

static void begin(struct cw_store *store)
{
    struct cw_log_stats stats;
    cw_log_stats(store->options.log, &stats);
    store->begun_bytes = stats.bytes;
    store->begin_lsn = cw_log_last(store->options.log);
    store->wanted = false;
    store->at_work = true;
    cw_checkpoint_begin(store->options.checkpoint, cw_log_last(store->options.log),
                        store->options.now_ms(store->options.self));
}

/* Of frames that no kept checkpoint needs. */
static void let_go(struct cw_store *store)
{
    if (!store->pinned) {
        cw_log_release(store->options.log, cw_checkpoint_oldest(store->options.checkpoint), true);
    }
}

/* With durability `os`: a checkpoint must not be more durable than the frames that it needs. */
static void flush_for(struct cw_store *store)
{
    struct cw_log *log = store->options.log;
    uint64_t needed = cw_checkpoint_needs(store->options.checkpoint);
    if (needed > cw_log_flushed(log) && needed <= cw_log_durable(log)) {
        cw_log_flush(log);
    }
}

static bool slice(struct cw_store *store)
{
    if (!store->at_work) {
        if (!due(store) || !ready(store)) {
            return false;
        }
        begin(store);
    }
    enum cw_checkpoint_state state =
        cw_checkpoint_slice(store->options.checkpoint, store->options.checkpoint_rows,
                            number(store), cw_log_flushed(store->options.log));
    flush_for(store);
    if (state == CW_CHECKPOINT_DONE) {
        store->at_work = false;
        store->made++;
        store->leaving = store->leaving || store->rounds == 1;
        store->rounds -= store->rounds > 0;
        let_go(store);
        if (store->options.checkpointed != NULL) {
            store->options.checkpointed(store->options.self);
        }
    } else if (state == CW_CHECKPOINT_FAILED) { /* tried again after as much log again */
        store->at_work = false;
        store->rounds_ms = store->options.now_ms(store->options.self) + ERASE_AGAIN_MS;
    }
    return state != CW_CHECKPOINT_WAITING && state != CW_CHECKPOINT_IDLE;
}

/* An erasure is through when nothing is left in a file: not before the removals are flushed, nor
   while an old checkpoint stands there that could not be removed: the next one tries that again. */
static void see_left(struct cw_store *store)
{
    struct cw_checkpoint_stats stats;
    if (store->leaving && !store->pinned && !cw_log_erasing(store->options.log)) {
        store->leaving = false;
        cw_checkpoint_stats(store->options.checkpoint, &stats);
        if (stats.stuck > 0) {
            store->rounds = 1 + store->at_work;
            store->rounds_ms = store->options.now_ms(store->options.self) + ERASE_AGAIN_MS;
            return;
        }
        store->erased = store->erasing;
        store->erasing = store->erasures;
        store->rounds = store->erasures > store->erased ? 2 + store->at_work : 0;
    }
}

/* An idle core polls seldom: then it would take many seconds until space is seen. */
static void look_for_space(struct cw_store *store)
{
    if (CW_UNLIKELY(cw_log_full(store->options.log))) {
        int64_t now_ms = store->options.now_ms(store->options.self);
        if (now_ms - store->looked_ms >= FULL_LOOK_MS || now_ms < store->looked_ms) {
            store->looked_ms = now_ms;
            cw_log_look_again(store->options.log);
        }
    }
}

static bool turn(void *self)
{
    struct cw_store *store = self;
    look_for_space(store);
    bool worked = cw_log_poll(store->options.log);
    check_fault(store);
    worked |= release(store);
    worked |= submit(store);
    worked |= slice(store);
    see_left(store);
    return worked;
}

struct cw_commit cw_store_commit(struct cw_store *store)
{
    return (struct cw_commit){
        .self = store, .number = number, .durable = durable, .turn = turn, .room = room};
}

void cw_store_checkpoint(struct cw_store *store)
{
    store->wanted = true;
}

void cw_store_erase(struct cw_store *store)
{
    store->erasures++;
    /* Else with the next rounds, since one may be at work already. */
    if (store->rounds == 0 && !store->leaving) {
        store->erasing = store->erasures;
        store->rounds = 2 + store->at_work;
        store->rounds_ms = INT64_MIN;
    }
}

uint64_t cw_store_erased(const struct cw_store *store)
{
    return store->erased;
}

void cw_store_pin(struct cw_store *store, bool on)
{
    store->pinned = on;
    if (!on && store->made > 0) {
        let_go(store);
    }
}

uint64_t cw_store_checkpoints(const struct cw_store *store)
{
    return store->made;
}

void cw_store_image(const struct cw_store *store, struct cw_store_image *image)
{
    struct cw_checkpoint_stats stats;
    cw_checkpoint_stats(store->options.checkpoint, &stats);
    CW_ASSERT(stats.made > 0);
    image->checkpoint = stats.begin;
    cw_log_extent(store->options.log, stats.begin, &image->log);
}

void cw_store_idle(struct cw_store *store)
{
    if (!cw_log_busy(store->options.log) && cw_journal_clean(store->options.journal)) {
        cw_log_seal(store->options.log, store->options.now_ms(store->options.self));
    }
}

bool cw_store_finish(struct cw_store *store, bool checkpoint)
{
    (void)turn(store);
    if (!cw_journal_clean(store->options.journal) || cw_log_busy(store->options.log) ||
        store->staged != 0) {
        return false;
    }
    if (!store->noted) { /* counters of what changed no row are in no commit yet */
        store->noted = true;
        store->options.before(store->options.self);
        if (!cw_journal_clean(store->options.journal)) {
            return false;
        }
    }
    if (checkpoint && !store->finishing) {
        store->finishing = true;
        store->wanted = true;
        return false;
    }
    if (store->at_work || (checkpoint && store->wanted)) {
        return false;
    }
    store->noted = store->finishing = false; /* a store goes on after its first epoch was written */
    return true;
}

bool cw_store_full(const struct cw_store *store)
{
    return cw_log_full(store->options.log);
}

bool cw_store_newest(const struct cw_store *store, uint64_t *begin)
{
    struct cw_checkpoint_stats stats;
    cw_checkpoint_stats(store->options.checkpoint, &stats);
    *begin = stats.begin;
    return stats.made > 0;
}

uint64_t cw_store_close(struct cw_store *store, bool clean)
{
    cw_checkpoint_close(store->options.checkpoint);
    uint64_t sealed = cw_log_close(store->options.log, clean);
    struct cw_arena own = store->own;
    cw_arena_close(&own);
    return sealed;
}

void cw_store_stats(const struct cw_store *store, struct cw_store_stats *stats)
{
    *stats = (struct cw_store_stats){
        .commits = store->commits,
        .pending_bytes = cw_journal_bytes(store->options.journal),
        .log_bytes =
            cw_log_bytes_since(store->options.log, cw_checkpoint_oldest(store->options.checkpoint)),
        .checkpointing = store->at_work,
        .full = cw_log_full(store->options.log)};
    cw_log_stats(store->options.log, &stats->log);
    cw_checkpoint_stats(store->options.checkpoint, &stats->checkpoint);
}
