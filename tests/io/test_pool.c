#include "io/pool.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>

enum {
    BYTES = 4 << 20,
    BLOCK_MAX = 1 << 20,
    HELD = 400
};

static struct cw_arena arena;
static struct cw_pool pool;

static void set_up(void)
{
    struct cw_fault fault;
    cr_assert(eq(int, cw_arena_open(&arena, 1 << 20, 1 << 22, &fault), CW_ERR_OK));
    cr_assert(eq(int, cw_pool_open(&pool, &arena, BYTES, BLOCK_MAX, &fault), CW_ERR_OK));
}

static void tear_down(void)
{
    cw_pool_close(&pool);
    cw_arena_close(&arena);
}

TestSuite(pool, .init = set_up, .fini = tear_down);

Test(pool, gives_what_is_asked_and_takes_all_back)
{
    void *whole[4];
    for (int i = 0; i < 4; i++) {
        whole[i] = cw_pool_take(&pool, BLOCK_MAX, 0);
        cr_assert(ne(ptr, whole[i], NULL));
        cr_expect(eq(sz, cw_pool_room(&pool, whole[i]), BLOCK_MAX));
    }
    cr_expect(eq(ptr, cw_pool_take(&pool, 1, 0), NULL), "it is full");
    for (int i = 0; i < 4; i++) {
        cw_pool_give(&pool, whole[i]);
    }
    cr_expect(eq(ptr, cw_pool_take(&pool, BLOCK_MAX + 1, 0), NULL), "larger than the largest");
    cr_expect(eq(sz, pool.used_bytes, 0));
    cr_expect(cw_pool_check(&pool));
}

Test(pool, small_blocks_become_large_ones_again)
{
    static void *small[BYTES / CW_POOL_UNIT_BYTES];
    for (size_t i = 0; i < CW_COUNTOF(small); i++) {
        small[i] = cw_pool_take(&pool, 100, 0);
        cr_assert(ne(ptr, small[i], NULL));
    }
    for (size_t i = 0; i < CW_COUNTOF(small); i++) {
        cw_pool_give(&pool, small[i * 1237 % CW_COUNTOF(small)]); /* in a mixed order */
    }
    for (int i = 0; i < 4; i++) {
        cr_expect(ne(ptr, cw_pool_take(&pool, BLOCK_MAX, 0), NULL));
    }
    cr_expect(cw_pool_check(&pool));
}

Test(pool, leaves_the_reserve_to_others)
{
    cr_expect(ne(ptr, cw_pool_take(&pool, BLOCK_MAX, BLOCK_MAX), NULL));
    cr_expect(ne(ptr, cw_pool_take(&pool, BLOCK_MAX, 2 * BLOCK_MAX), NULL));
    cr_expect(eq(ptr, cw_pool_take(&pool, 100, 2 * BLOCK_MAX), NULL));
    cr_expect(ne(ptr, cw_pool_take(&pool, 100, BLOCK_MAX), NULL));
}

Test(pool, dies_when_a_block_is_given_back_twice, .signal = SIGABRT)
{
    void *block = cw_pool_take(&pool, 100, 0);
    cw_pool_give(&pool, block);
    cw_pool_give(&pool, block);
}

/* No two blocks overlap, whatever is taken and given: each is filled with its own number. */
Test(pool, blocks_never_overlap)
{
    static struct {
        unsigned char *block;
        size_t bytes;
        unsigned char fill;
    } held[HELD];

    uint64_t seed = 7;
    size_t sum = 0;
    for (int round = 0; round < 60000; round++) {
        uint32_t i = random_below(&seed, HELD);
        if (held[i].block != NULL) {
            cr_assert(held[i].block[0] == held[i].fill &&
                      held[i].block[held[i].bytes - 1] == held[i].fill);
            sum -= cw_pool_room(&pool, held[i].block);
            cw_pool_give(&pool, held[i].block);
            held[i].block = NULL;
        } else {
            size_t bytes = (size_t)1 << random_below(&seed, 18);
            bytes += random_below(&seed, (uint32_t)bytes);
            held[i].block = cw_pool_take(&pool, bytes, 0);
            held[i].bytes = bytes;
            held[i].fill = (unsigned char)round;
            if (held[i].block != NULL) {
                cr_assert(cw_pool_room(&pool, held[i].block) >= bytes);
                sum += cw_pool_room(&pool, held[i].block);
                memset(held[i].block, held[i].fill, bytes < 8192 ? bytes : 8192);
                held[i].block[bytes - 1] = held[i].fill;
            }
        }
        cr_assert(sum == pool.used_bytes && sum <= BYTES);
        if (round % 500 == 0) {
            cr_assert(cw_pool_check(&pool), "round %d", round);
        }
    }
}
