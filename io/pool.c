#include "io/pool.h"

#include <sys/mman.h>

/* With the address sanitizer a block that was given back is as forbidden as freed memory. */
#if defined(__SANITIZE_ADDRESS__)
#    define POOL_ASAN 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer)
#        define POOL_ASAN 1
#    endif
#endif
#ifdef POOL_ASAN
#    include <sanitizer/asan_interface.h>
#    define POISON(at, bytes)   __asan_poison_memory_region(at, bytes)
#    define UNPOISON(at, bytes) __asan_unpoison_memory_region(at, bytes)
#else
#    define POISON(at, bytes)   ((void)(at), (void)(bytes))
#    define UNPOISON(at, bytes) ((void)(at), (void)(bytes))
#endif

enum {
    FREE = 0x80, /* on the list of its order */
    KEPT = 0x40, /* free, but not joined */
    ORDER = 0x3f,
    INSIDE = 0x3f /* of a unit that begins no block */
};

#define NONE UINT32_MAX

static size_t order_bytes(uint32_t order)
{
    return (size_t)CW_POOL_UNIT_BYTES << order;
}

static uint32_t order_for(size_t bytes)
{
    uint32_t order = 0;
    while (order < CW_POOL_ORDERS && order_bytes(order) < bytes) {
        order++;
    }
    return order;
}

static void list_add(struct cw_pool *pool, uint32_t unit, uint32_t order)
{
    pool->state[unit] = (uint8_t)(FREE | order);
    pool->prev[unit] = NONE;
    pool->next[unit] = pool->first[order];
    if (pool->first[order] != NONE) {
        pool->prev[pool->first[order]] = unit;
    }
    pool->first[order] = unit;
}

static void list_remove(struct cw_pool *pool, uint32_t unit, uint32_t order)
{
    if (pool->prev[unit] == NONE) {
        pool->first[order] = pool->next[unit];
    } else {
        pool->next[pool->prev[unit]] = pool->next[unit];
    }
    if (pool->next[unit] != NONE) {
        pool->prev[pool->next[unit]] = pool->prev[unit];
    }
    pool->state[unit] = INSIDE;
}

cw_err cw_pool_open(struct cw_pool *pool, struct cw_arena *arena, size_t bytes,
                    size_t block_bytes_max, struct cw_fault *fault)
{
    uint32_t top = order_for(block_bytes_max);
    CW_ASSERT(top < CW_POOL_ORDERS);
    size_t block = order_bytes(top);
    size_t blocks = (bytes + block - 1) / block;
    blocks = blocks < 2 ? 2 : blocks;
    bytes = blocks * block;
    CW_ASSERT(bytes / CW_POOL_UNIT_BYTES < NONE);
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) {
        return cw_fail(fault, CW_ERR_IO, "mapping %zu bytes for requests", bytes);
    }
    POISON(base, bytes);
    uint32_t units = (uint32_t)(bytes / CW_POOL_UNIT_BYTES);
    *pool = (struct cw_pool){.bytes = bytes, .base = base, .units = units, .orders = top + 1};
    pool->state = cw_arena_alloc(arena, units, 64);
    pool->next = cw_arena_alloc(arena, units * sizeof *pool->next, 64);
    pool->prev = cw_arena_alloc(arena, units * sizeof *pool->prev, 64);
    memset(pool->state, INSIDE, units);
    for (uint32_t order = 0; order < CW_POOL_ORDERS; order++) {
        pool->first[order] = NONE;
    }
    for (size_t i = blocks; i-- > 0;) {
        list_add(pool, (uint32_t)(i << top), top);
    }
    return CW_ERR_OK;
}

void cw_pool_close(struct cw_pool *pool)
{
    if (pool->base != NULL) {
        UNPOISON(pool->base, pool->bytes);
        (void)munmap(pool->base, pool->bytes);
    }
    *pool = (struct cw_pool){.bytes = 0};
}

/* Joins a block with its other half for as long as that one is free too. */
static void join(struct cw_pool *pool, uint32_t unit, uint32_t order)
{
    pool->state[unit] = INSIDE;
    while (order + 1 < pool->orders) {
        uint32_t other = unit ^ (1u << order);
        if (pool->state[other] != (FREE | order)) {
            break;
        }
        list_remove(pool, other, order);
        unit = unit < other ? unit : other;
        order++;
    }
    list_add(pool, unit, order);
}

static void join_kept(struct cw_pool *pool)
{
    for (uint32_t order = 0; order < pool->orders; order++) {
        while (pool->kept_count[order] > 0) {
            join(pool, pool->kept[order][--pool->kept_count[order]], order);
        }
    }
}

/* A block of that order off the lists, split off a larger one if need be; NONE when there is none.
 */
static uint32_t split_off(struct cw_pool *pool, uint32_t order)
{
    uint32_t from = order;
    while (from < pool->orders && pool->first[from] == NONE) {
        from++;
    }
    if (from == pool->orders) {
        return NONE;
    }
    uint32_t unit = pool->first[from];
    list_remove(pool, unit, from);
    while (from > order) {
        from--;
        list_add(pool, unit + (1u << from), from);
    }
    return unit;
}

void *cw_pool_take(struct cw_pool *pool, size_t bytes, size_t reserve_bytes)
{
    uint32_t order = order_for(bytes);
    if (order >= pool->orders ||
        pool->used_bytes + order_bytes(order) + reserve_bytes > pool->bytes) {
        return NULL;
    }
    uint32_t unit = NONE;
    if (pool->kept_count[order] > 0) {
        unit = pool->kept[order][--pool->kept_count[order]];
        CW_ASSERT_HOT(pool->state[unit] == (KEPT | order));
    } else {
        unit = split_off(pool, order);
        if (unit == NONE) {
            join_kept(pool);
            unit = split_off(pool, order);
        }
    }
    if (unit == NONE) {
        return NULL; /* in pieces too small */
    }
    pool->state[unit] = (uint8_t)order;
    pool->used_bytes += order_bytes(order);
    uint8_t *block = pool->base + (size_t)unit * CW_POOL_UNIT_BYTES;
    UNPOISON(block, order_bytes(order));
    return block;
}

static uint32_t unit_of(const struct cw_pool *pool, const void *block)
{
    size_t at = (size_t)((const uint8_t *)block - pool->base);
    CW_ASSERT(at < pool->bytes && at % CW_POOL_UNIT_BYTES == 0);
    uint32_t unit = (uint32_t)(at / CW_POOL_UNIT_BYTES);
    CW_ASSERT(pool->state[unit] < pool->orders); /* neither free nor the inside of a block */
    return unit;
}

void cw_pool_give(struct cw_pool *pool, void *block)
{
    uint32_t unit = unit_of(pool, block);
    uint32_t order = pool->state[unit];
    pool->used_bytes -= order_bytes(order);
    POISON(block, order_bytes(order));
    if (pool->kept_count[order] < CW_POOL_KEPT) {
        pool->state[unit] = (uint8_t)(KEPT | order);
        pool->kept[order][pool->kept_count[order]++] = unit;
    } else {
        join(pool, unit, order);
    }
}

size_t cw_pool_room(const struct cw_pool *pool, const void *block)
{
    return order_bytes(pool->state[unit_of(pool, block)]);
}

size_t cw_pool_block_max(const struct cw_pool *pool)
{
    return order_bytes(pool->orders - 1);
}

bool cw_pool_check(const struct cw_pool *pool)
{
    size_t used = 0;
    uint32_t listed = 0;
    uint32_t kept = 0;
    for (uint32_t unit = 0; unit < pool->units;) {
        uint32_t order = pool->state[unit] & ORDER;
        if (order >= pool->orders || (unit & ((1u << order) - 1)) != 0) {
            return false;
        }
        bool free_block = (pool->state[unit] & FREE) != 0;
        listed += free_block;
        kept += (pool->state[unit] & KEPT) != 0;
        used += pool->state[unit] < pool->orders ? order_bytes(order) : 0;
        if (free_block && order + 1 < pool->orders &&
            pool->state[unit ^ (1u << order)] == (FREE | order)) {
            return false; /* two free halves that were not joined */
        }
        unit += 1u << order;
    }
    for (uint32_t order = 0; order < pool->orders; order++) {
        for (uint32_t unit = pool->first[order]; unit != NONE; unit = pool->next[unit]) {
            if (pool->state[unit] != (FREE | order) || listed == 0) {
                return false;
            }
            listed--;
        }
        kept -= pool->kept_count[order];
    }
    return listed == 0 && kept == 0 && used == pool->used_bytes;
}
