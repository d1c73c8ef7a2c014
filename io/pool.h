/*
 * pool: blocks of a few sizes out of one mapping: what a core's requests and answers are kept in.
 *
 * A buddy system: a block is a power of two, splits in halves and is joined with its other half
 * when both are free, so that a pool which was full of small requests has room for large ones
 * again. Some free blocks of each size are kept unjoined, because the next request is as large.
 *
 * Life:    open -> { take -> give }* -> close.
 * Memory:  one mapping of `bytes`, touched as it is used; 9 bytes beside each 2 KiB of it.
 * Threads: one.
 * Bounds:  take() gives NULL when it would leave less than `reserve_bytes`: what may wait or be
 *          refused asks for more reserve than what must go on.
 */
#ifndef CW_IO_POOL_H
#define CW_IO_POOL_H

#include "core/arena.h"

#define CW_POOL_UNIT_BYTES 2048u /* the smallest block */
#define CW_POOL_ORDERS     20u   /* the largest: 1 GiB */
#define CW_POOL_KEPT       32u   /* free blocks of a size that are not joined */

struct cw_pool {
    size_t bytes, used_bytes;
    /* private */
    uint8_t *base;
    uint32_t units, orders;
    uint8_t *state;        /* of each unit that begins a block: its order, FREE, KEPT */
    uint32_t *next, *prev; /* of free blocks: units of the same order, UINT32_MAX at the ends */
    uint32_t first[CW_POOL_ORDERS];
    uint32_t kept_count[CW_POOL_ORDERS];
    uint32_t kept[CW_POOL_ORDERS][CW_POOL_KEPT];
};

/* bytes is rounded up to whole blocks of the largest size, at least two of them. */
CW_MUST_USE cw_err cw_pool_open(struct cw_pool *pool, struct cw_arena *arena, size_t bytes,
                                size_t block_bytes_max, struct cw_fault *fault);
void cw_pool_close(struct cw_pool *pool);

/* At least `bytes`, not zeroed, aligned to CW_POOL_UNIT_BYTES; NULL: no room, or over the largest
   block. */
void *cw_pool_take(struct cw_pool *pool, size_t bytes, size_t reserve_bytes);
void cw_pool_give(struct cw_pool *pool, void *block);

/* What a block really holds. */
size_t cw_pool_room(const struct cw_pool *pool, const void *block);
size_t cw_pool_block_max(const struct cw_pool *pool);

/* Proves the lists and the sums; for tests. */
bool cw_pool_check(const struct cw_pool *pool);

#endif
