/*
 * chain: bytes on their way, in blocks of a pool: what is still to be sent, or was read too early.
 *
 * Bytes go in at the end and out at the front; those that are there never move, so that the kernel
 * may send from them while more come.
 *
 * Life:    zero-initialised -> put* / join / drop* -> clear.
 * Memory:  the pool's. Threads: the pool's.
 * Bounds:  the pool's; put() adds all or nothing.
 */
#ifndef CW_IO_CHAIN_H
#define CW_IO_CHAIN_H

#include "io/pool.h"

struct cw_chain_block;

struct cw_chain {
    struct cw_chain_block *first, *last;
    uint64_t bytes;
    uint32_t gone; /* bytes of the first block that are out already */
};

CW_MUST_USE bool cw_chain_put(struct cw_chain *chain, struct cw_pool *pool, const void *data,
                              size_t bytes, size_t reserve_bytes);

/* Puts what is in `more` at the end, and leaves it empty. */
void cw_chain_join(struct cw_chain *chain, struct cw_chain *more);

/* The bytes at the front that stand together; bytes 0 when there are none. */
struct cw_view cw_chain_front(const struct cw_chain *chain);
void cw_chain_drop(struct cw_chain *chain, struct cw_pool *pool, uint32_t bytes);
void cw_chain_clear(struct cw_chain *chain, struct cw_pool *pool);

#endif
