#include "pipeline/worker.h"

#include "core/time.h"

#include <string.h>

enum {
    BLOCK_EVENTS = 64,
    FINISH_TURNS = 1024 /* instants whose timers fire before what they decided is handed on */
};

/* Events of one chunk for one owner, in the order of the file. */
struct block {
    struct block *next;
    uint32_t count;
    struct cw_event *events[BLOCK_EVENTS];
};

struct share {
    struct block *first, *last;
    int64_t clock;  /* the chunk's latest time, CW_TIME_NONE when it has none */
    uint64_t lines; /* of the whole chunk, for the numbers of bad lines */
    uint32_t file;
    bool starts_file;
};

struct cw_worker {
    struct cw_worker_options options;
    struct cw_decoder *decoder;
    struct cw_pipeline *pipeline;
    struct cw_arena own;
    int64_t clock;      /* the latest time of all chunks run so far */
    uint64_t line_base; /* lines of the current file before the chunk that runs */
    uint64_t lines;
};

cw_err cw_worker_open(struct cw_worker **worker, const struct cw_worker_options *options,
                      struct cw_fault *fault)
{
    struct cw_arena own;
    cw_err err = cw_arena_open(&own, sizeof(struct cw_worker) + 1024, 1u << 20, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_worker *made = cw_arena_zalloc(&own, sizeof *made, CW_CACHE_LINE);
    made->options = *options;
    made->clock = options->pipeline.start_ms;
    struct cw_decoder_options decoder = {.names = options->names,
                                         .programs = options->pipeline.programs,
                                         .zones = options->pipeline.zones,
                                         .partitions = options->pipeline.partitions,
                                         .event_bytes_max = options->pipeline.event_bytes_max};
    err = cw_decoder_open(&made->decoder, &decoder, fault);
    if (err == CW_ERR_OK) {
        made->options.pipeline.names = options->names;
        err = cw_pipeline_open(&made->pipeline, &made->options.pipeline, fault);
    }
    made->own = own;
    if (err != CW_ERR_OK) {
        cw_worker_close(made);
        return err;
    }
    *worker = made;
    return CW_ERR_OK;
}

void cw_worker_close(struct cw_worker *worker)
{
    if (worker->decoder != NULL) {
        cw_decoder_close(worker->decoder);
    }
    if (worker->pipeline != NULL) {
        cw_pipeline_close(worker->pipeline);
    }
    struct cw_arena own = worker->own;
    cw_arena_close(&own);
}

struct cw_pipeline *cw_worker_pipeline(struct cw_worker *worker)
{
    return worker->pipeline;
}

uint64_t cw_worker_lines(const struct cw_worker *worker)
{
    return worker->lines;
}

static void add(struct cw_batch *batch, struct cw_event *event)
{
    struct share *share = batch->content;
    if (share->last == NULL || share->last->count == BLOCK_EVENTS) {
        struct block *block = cw_arena_alloc(&batch->arena, sizeof *block, 8);
        block->next = NULL;
        block->count = 0;
        *(share->last == NULL ? &share->first : &share->last->next) = block;
        share->last = block;
    }
    share->last->events[share->last->count++] = event;
}

/* Gives the event to its owner; what all cores must know is copied to all. */
static void route(struct cw_worker *worker, struct cw_event *event, struct cw_batch *const *batches,
                  uint32_t count)
{
    uint32_t own = worker->options.pipeline.core;
    if (event->type == CW_EVENT_INVENTORY_CHANGED) {
        for (uint32_t i = 0; i < count; i++) {
            add(batches[i], i == own ? event : cw_event_copy(event, &batches[i]->arena));
        }
        return;
    }
    /* Bad lines go to shard 0, which knows how many lines came before. */
    uint32_t owner = event->partition % count;
    add(batches[owner], owner == own ? event : cw_event_copy(event, &batches[owner]->arena));
}

static bool blank(const char *text, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        if (text[i] != ' ' && text[i] != '\t' && text[i] != '\r') {
            return false;
        }
    }
    return true;
}

static void decode(void *self, const struct cw_chunk *chunk, struct cw_batch *const *batches,
                   uint32_t count)
{
    struct cw_worker *worker = self;
    uint32_t own = worker->options.pipeline.core;
    CW_ASSERT(count > 0 && own < count);
    for (uint32_t i = 0; i < count; i++) {
        struct share *share = cw_arena_zalloc(&batches[i]->arena, sizeof *share, 8);
        share->file = chunk->file;
        share->starts_file = chunk->starts_file;
        batches[i]->content = share;
    }
    struct cw_arena *arena = &batches[own]->arena;
    cw_decoder_put_in(worker->decoder, arena);
    int64_t clock = CW_TIME_NONE;
    uint64_t lines = 0;
    const char *end = chunk->text + chunk->bytes;
    for (const char *line = chunk->text; line < end;) {
        const char *feed = memchr(line, '\n', (size_t)(end - line));
        const char *stop = feed != NULL ? feed : end;
        lines++;
        if (!blank(line, (uint32_t)(stop - line))) {
            struct cw_event *event = cw_arena_alloc(arena, sizeof *event, 8);
            cw_decode(worker->decoder, (struct cw_view){line, (uint32_t)(stop - line)}, event);
            clock = event->time > clock ? event->time : clock;
            event->clock = clock;
            if (event->type == CW_EVENT_INVALID) {
                event->u.invalid.line = lines;
            }
            route(worker, event, batches, count);
            worker->lines++;
        }
        line = stop + 1;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct share *share = batches[i]->content;
        share->clock = clock;
        share->lines = lines;
    }
}

static void run(void *self, struct cw_batch *batch)
{
    struct cw_worker *worker = self;
    const struct share *share = batch->content;
    if (share->starts_file) {
        worker->line_base = 0;
    }
    const char *file = worker->options.files[share->file];
    for (struct block *block = share->first; block != NULL; block = block->next) {
        for (uint32_t i = 0; i < block->count; i++) {
            struct cw_event *event = block->events[i];
            event->clock = event->clock > worker->clock ? event->clock : worker->clock;
            if (event->type == CW_EVENT_INVALID) {
                event->u.invalid.line += worker->line_base;
                event->u.invalid.file = (struct cw_view){file, (uint32_t)strlen(file)};
            }
        }
        cw_pipeline_run(worker->pipeline, (const struct cw_event *const *)block->events,
                        block->count);
    }
    worker->line_base += share->lines;
    worker->clock = share->clock > worker->clock ? share->clock : worker->clock;
    cw_pipeline_advance(worker->pipeline, worker->clock - 1);
    cw_pipeline_clean(worker->pipeline, worker->options.clean_rows);
    worker->options.settled(worker->options.self, batch->sequence, worker->clock, false);
}

/* Fires the timers that are left, some instants of them a call. */
static bool finish(void *self)
{
    struct cw_worker *worker = self;
    int64_t reached = 0;
    bool done = cw_pipeline_finish(worker->pipeline, worker->clock, worker->options.until,
                                   FINISH_TURNS, &reached);
    worker->options.settled(worker->options.self, 0, done ? INT64_MAX : reached, done);
    return done;
}

static bool turn(void *self)
{
    (void)self;
    return false;
}

static bool full(void *self)
{
    struct cw_worker *worker = self;
    return worker->options.full(worker->options.self);
}

struct cw_app cw_worker_app(struct cw_worker *worker)
{
    return (struct cw_app){
        .self = worker, .decode = decode, .run = run, .finish = finish, .turn = turn, .full = full};
}
