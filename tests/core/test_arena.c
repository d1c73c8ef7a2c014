#include "core/arena.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>

static struct cw_arena arena;
static struct cw_fault fault;

static void open_arena(void)
{
    cr_assert(eq(int, cw_arena_open(&arena, 4096, 8192, &fault), CW_ERR_OK));
}

static void close_arena(void)
{
    cw_arena_close(&arena);
}

TestSuite(arena, .init = open_arena, .fini = close_arena);

Test(arena, gives_aligned_zeroed_memory)
{
    (void)cw_arena_alloc(&arena, 3, 1);
    uint64_t *piece = cw_arena_zalloc(&arena, sizeof *piece, 64);
    cr_assert(eq(u64, (uintptr_t)piece % 64, 0));
    cr_assert(eq(u64, *piece, 0));
}

Test(arena, dies_on_allocation_after_seal, .signal = SIGABRT)
{
    cw_arena_seal(&arena);
    (void)cw_arena_alloc(&arena, 1, 1);
}

Test(arena, dies_past_its_bound, .signal = SIGABRT)
{
    (void)cw_arena_alloc(&arena, 8192, 1);
}

Test(arena, asks_before_it_dies)
{
    cr_assert(cw_arena_room(&arena, 100));
    cr_assert(not(cw_arena_room(&arena, 8192)));
}

Test(arena, grows_by_chunks_and_keeps_them_over_reset)
{
    cw_arena_close(&arena);
    cr_assert(eq(int, cw_arena_open(&arena, 4096, 1u << 20, &fault), CW_ERR_OK));
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 50; i++) {
            memset(cw_arena_alloc(&arena, 3000, 8), 1, 3000);
        }
        size_t mapped = arena.mapped_bytes;
        cw_arena_reset(&arena);
        cr_assert(eq(sz, arena.mapped_bytes, mapped));
        cr_assert(le(sz, mapped, 50u * 4096u));
    }
}

/* Also what lies behind: pieces of a later chunk, and of what a shorter round did not reach. */
Test(arena, zeroes_what_was_in_use_before_a_reset)
{
    cw_arena_close(&arena);
    cr_assert(eq(int, cw_arena_open(&arena, 4096, 1u << 20, &fault), CW_ERR_OK));
    static const int pieces[] = {40, 3, 40};
    for (uint32_t round = 0; round < CW_COUNTOF(pieces); round++) {
        for (int i = 0; i < pieces[round]; i++) {
            uint8_t *piece = cw_arena_zalloc(&arena, 1000, 8);
            for (int b = 0; b < 1000; b++) {
                cr_assert(piece[b] == 0);
            }
            memset(piece, 0xff, 1000);
        }
        cw_arena_reset(&arena);
    }
}
