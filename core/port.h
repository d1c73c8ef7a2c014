/*
 * port: how the outside world reaches a shard, and how a shard reaches what it runs.
 *
 * core declares; io and tools implement sources, pipeline implements the app, tools connects them.
 * They carry bytes and sequence numbers, nothing of carts. Nothing here blocks.
 */
#ifndef CW_CORE_PORT_H
#define CW_CORE_PORT_H

#include "core/arena.h"

/* Whole lines from one source, in a buffer followed by CW_JSON_PADDING readable bytes. */
struct cw_chunk {
    const char *text;
    uint32_t bytes;
    uint32_t file;     /* which of the source's files, for messages */
    uint64_t sequence; /* over the whole source, from 0, without gaps */
    bool starts_file;  /* line numbers begin again at 1 */
};

enum cw_poll {
    CW_POLL_READY,
    CW_POLL_LATER, /* nothing now */
    CW_POLL_END    /* nothing ever again */
};

/* Where bytes come from. take() is called by one shard only; chunk `sequence` values that a shard
   gets are its own index, then that plus the number of shards, and so on. */
struct cw_source {
    void *self;
    enum cw_poll (*take)(void *self, uint32_t shard, uint64_t sequence, struct cw_chunk *chunk);
    void (*done)(void *self, uint32_t shard, const struct cw_chunk *chunk);
};

/* One core's share of one chunk. content and everything it points to live in the arena, which
   whoever made the batch gets back to reset. */
struct cw_batch {
    _Alignas(CW_CACHE_LINE) struct cw_arena arena; /* the maker's: its line does not travel */
    _Alignas(CW_CACHE_LINE) uint64_t sequence;     /* of the chunk it came from */
    uint32_t from, to;
    void *content;
};

/* What a shard runs. */
struct cw_app {
    void *self;
    /* Turns a chunk into one batch for each shard; batches[i] is empty and goes to shard i. */
    void (*decode)(void *self, const struct cw_chunk *chunk, struct cw_batch *const *batches,
                   uint32_t count);
    /* Runs what came for this shard. Batches of an ordered shard come in the order of chunks. */
    void (*run)(void *self, const struct cw_batch *batch);
    /* There will be no more batches: ends what is under way, a part each call. True when done; not
       called while full() says so. */
    bool (*finish)(void *self);
    /* A turn in which nothing came: background work in small slices. True when some was done. */
    bool (*idle)(void *self);
    /* True when what it has put out has no more room: the shard waits with run(). */
    bool (*full)(void *self);
};

#endif
