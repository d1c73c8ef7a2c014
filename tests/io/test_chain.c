#include "io/chain.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum {
    BYTES = 1 << 20
};

static struct cw_arena arena;
static struct cw_pool pool;

static void set_up(void)
{
    struct cw_fault fault;
    cr_assert(eq(int, cw_arena_open(&arena, 1 << 20, 1 << 22, &fault), CW_ERR_OK));
    cr_assert(eq(int, cw_pool_open(&pool, &arena, BYTES, 1 << 18, &fault), CW_ERR_OK));
}

static void tear_down(void)
{
    cr_expect(eq(sz, pool.used_bytes, 0), "every block came back");
    cw_pool_close(&pool);
    cw_arena_close(&arena);
}

TestSuite(chain, .init = set_up, .fini = tear_down);

static unsigned char byte_at(uint64_t position)
{
    return (unsigned char)(position * 2654435761u >> 13);
}

/* What comes out is what went in, and all or nothing went in. */
Test(chain, is_a_queue_of_bytes)
{
    struct cw_chain chain = {.bytes = 0};
    static unsigned char data[200000];
    uint64_t in = 0;
    uint64_t out = 0;
    uint64_t seed = 11;
    uint32_t refused = 0;
    for (int round = 0; round < 20000; round++) {
        if (random_below(&seed, 2) == 0) {
            size_t bytes = random_below(&seed, random_below(&seed, 50) == 0 ? sizeof data : 3000);
            for (size_t i = 0; i < bytes; i++) {
                data[i] = byte_at(in + i);
            }
            bool join = random_below(&seed, 4) == 0;
            struct cw_chain more = {.bytes = 0};
            if (cw_chain_put(join ? &more : &chain, &pool, data, bytes, 0)) {
                in += bytes;
                cw_chain_join(&chain, &more);
            } else {
                refused++;
                cr_assert(eq(u64, more.bytes, 0));
            }
        } else {
            struct cw_view front = cw_chain_front(&chain);
            for (uint32_t i = 0; i < front.bytes; i++) {
                unsigned char byte = (unsigned char)front.data[i];
                cr_assert(byte == byte_at(out + i), "at %lu", out + i);
            }
            uint32_t drop = random_below(&seed, front.bytes + 1);
            cw_chain_drop(&chain, &pool, random_below(&seed, 2) == 0 ? drop : front.bytes);
            out = in - chain.bytes;
        }
        cr_assert(eq(u64, chain.bytes, in - out));
    }
    cr_expect(gt(u32, refused, 0u), "it was full sometimes");
    cw_chain_clear(&chain, &pool);
}
