/*
 * arena: memory that is given piece by piece and taken back all at once.
 *
 * Life:    open -> alloc* -> (seal) -> close; or open -> { alloc* -> reset }* -> close for scratch.
 * Memory:  anonymous mappings of at least chunk_bytes, kept over reset, so that scratch stops
 *          mapping once it has seen its largest batch. Pieces are zeroed only on a first use.
 * Threads: one at a time.
 * Bounds:  bytes_max of all chunks together; alloc past it, or after seal, is a programmer error
 *          and asserts: who can be fed more by input asks cw_arena_room() first.
 */
#ifndef CW_CORE_ARENA_H
#define CW_CORE_ARENA_H

#include "core/err.h"
#include "core/view.h"

struct cw_arena_chunk;

struct cw_arena {
    struct cw_arena_chunk *first, *last, *current;
    size_t chunk_bytes;
    size_t bytes_max;
    size_t mapped_bytes;
    bool sealed;
};

CW_MUST_USE cw_err cw_arena_open(struct cw_arena *arena, size_t chunk_bytes, size_t bytes_max,
                                 struct cw_fault *fault);
void cw_arena_close(struct cw_arena *arena);
void cw_arena_seal(struct cw_arena *arena);

/* Takes every piece back and keeps the chunks. */
void cw_arena_reset(struct cw_arena *arena);

/* True when a piece of this size can be had without passing bytes_max. */
bool cw_arena_room(const struct cw_arena *arena, size_t size_bytes);

/* Not zeroed after a reset. align_bytes is a power of two, at most 64. */
void *cw_arena_alloc(struct cw_arena *arena, size_t size_bytes, size_t align_bytes);

/* The same, zeroed. */
void *cw_arena_zalloc(struct cw_arena *arena, size_t size_bytes, size_t align_bytes);

/* A copy of the view's bytes that lives as long as the arena, followed by a NUL. */
struct cw_view cw_arena_copy(struct cw_arena *arena, struct cw_view view);

#endif
