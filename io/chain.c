#include "io/chain.h"

enum {
    BLOCK_BYTES_MAX = 1 << 16, /* of one send; a large answer is several */
    BLOCK_BYTES_MIN = 1 << 12  /* small answers to pipelined requests leave together */
};

struct cw_chain_block {
    struct cw_chain_block *next;
    uint32_t bytes, room;
    char data[];
};

static struct cw_chain_block *take_block(struct cw_pool *pool, size_t bytes, size_t reserve_bytes)
{
    size_t want = sizeof(struct cw_chain_block) + bytes;
    want = want < BLOCK_BYTES_MIN ? BLOCK_BYTES_MIN : want;
    want = want > BLOCK_BYTES_MAX ? BLOCK_BYTES_MAX : want;
    want = want > cw_pool_block_max(pool) ? cw_pool_block_max(pool) : want;
    struct cw_chain_block *block = cw_pool_take(pool, want, reserve_bytes);
    if (block != NULL) {
        *block =
            (struct cw_chain_block){.room = (uint32_t)(cw_pool_room(pool, block) - sizeof *block)};
    }
    return block;
}

static void fill(struct cw_chain_block *block, const char **data, size_t *bytes)
{
    size_t room = block->room - block->bytes;
    size_t part = *bytes < room ? *bytes : room;
    memcpy(block->data + block->bytes, *data, part);
    block->bytes += (uint32_t)part;
    *data += part;
    *bytes -= part;
}

bool cw_chain_put(struct cw_chain *chain, struct cw_pool *pool, const void *data, size_t bytes,
                  size_t reserve_bytes)
{
    const char *from = data;
    size_t here = chain->last == NULL ? 0 : chain->last->room - chain->last->bytes;
    if (bytes == 0) {
        return true;
    }
    struct cw_chain more = {.bytes = bytes > here ? bytes - here : 0};
    size_t rest = (size_t)more.bytes;
    const char *rest_from = from + (bytes - rest);
    while (rest > 0) {
        struct cw_chain_block *block = take_block(pool, rest, reserve_bytes);
        if (block == NULL) {
            cw_chain_clear(&more, pool);
            return false;
        }
        fill(block, &rest_from, &rest);
        if (more.last == NULL) {
            more.first = block;
        } else {
            more.last->next = block;
        }
        more.last = block;
    }
    if (here > 0) {
        size_t part = bytes < here ? bytes : here;
        chain->bytes += part;
        fill(chain->last, &from, &part);
    }
    cw_chain_join(chain, &more);
    return true;
}

void cw_chain_join(struct cw_chain *chain, struct cw_chain *more)
{
    if (more->first == NULL) {
        return;
    }
    if (chain->first == NULL) {
        *chain = *more;
    } else {
        CW_ASSERT(more->gone == 0 && chain->last != NULL);
        chain->last->next = more->first;
        chain->last = more->last;
        chain->bytes += more->bytes;
    }
    *more = (struct cw_chain){.bytes = 0};
}

struct cw_view cw_chain_front(const struct cw_chain *chain)
{
    const struct cw_chain_block *block = chain->first;
    if (block == NULL) {
        return (struct cw_view){.data = "", .bytes = 0};
    }
    return (struct cw_view){.data = block->data + chain->gone, .bytes = block->bytes - chain->gone};
}

void cw_chain_drop(struct cw_chain *chain, struct cw_pool *pool, uint32_t bytes)
{
    CW_ASSERT(bytes <= chain->bytes);
    chain->bytes -= bytes;
    while (bytes > 0) {
        struct cw_chain_block *block = chain->first;
        uint32_t part = block->bytes - chain->gone;
        if (bytes < part) {
            chain->gone += bytes;
            return;
        }
        bytes -= part;
        chain->first = block->next;
        chain->gone = 0;
        cw_pool_give(pool, block);
    }
    if (chain->first == NULL) {
        chain->last = NULL;
    }
}

void cw_chain_clear(struct cw_chain *chain, struct cw_pool *pool)
{
    while (chain->first != NULL) {
        struct cw_chain_block *block = chain->first;
        chain->first = block->next;
        cw_pool_give(pool, block);
    }
    *chain = (struct cw_chain){.bytes = 0};
}
