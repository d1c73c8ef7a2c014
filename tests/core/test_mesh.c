#include "core/mesh.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>

static struct cw_fault fault;

static struct cw_mesh *open_mesh(uint32_t shards)
{
    struct cw_mesh *mesh;
    cr_assert(eq(int, cw_mesh_open(&mesh, shards, &fault), CW_ERR_OK), "%s", fault.text);
    cr_assert(eq(u32, cw_mesh_shards(mesh), shards));
    return mesh;
}

Test(mesh, a_pair_has_so_many_batches_and_no_more)
{
    struct cw_mesh *mesh = open_mesh(2);
    struct cw_batch *batches[CW_MESH_BATCHES];
    for (uint32_t i = 0; i < CW_MESH_BATCHES; i++) {
        cr_assert(cw_mesh_ready(mesh, 0));
        batches[i] = cw_mesh_acquire(mesh, 0, 1);
        cr_assert(ne(ptr, batches[i], NULL));
        cr_assert(eq(u32, batches[i]->from, 0));
        cr_assert(eq(u32, batches[i]->to, 1));
        cr_assert(eq(ptr, batches[i]->content, NULL));
        for (uint32_t j = 0; j < i; j++) {
            cr_assert(ne(ptr, batches[i], batches[j]));
        }
    }
    cr_assert(eq(ptr, cw_mesh_acquire(mesh, 0, 1), NULL));
    cr_assert(not(cw_mesh_ready(mesh, 0)), "one pair without a batch is enough");
    cr_assert(cw_mesh_ready(mesh, 1));
    cr_assert(ne(ptr, cw_mesh_acquire(mesh, 0, 0), NULL), "other pairs are apart");
    cw_mesh_push(mesh, batches[0]);
    cr_assert(not(cw_mesh_ready(mesh, 0)), "it is still away");
    cr_assert(eq(ptr, cw_mesh_pop(mesh, 1, 0), NULL));
    cr_assert(eq(ptr, cw_mesh_pop(mesh, 0, 1), batches[0]));
    cr_assert(eq(ptr, cw_mesh_pop(mesh, 0, 1), NULL));
    cr_assert(not(cw_mesh_waiting(mesh, 0)));
    cw_mesh_give_back(mesh, batches[0]);
    cr_assert(cw_mesh_waiting(mesh, 0));
    cw_mesh_collect(mesh, 0, NULL, NULL);
    cr_assert(cw_mesh_ready(mesh, 0));
    cr_assert(eq(ptr, cw_mesh_acquire(mesh, 0, 1), batches[0]));
    cw_mesh_close(mesh);
}

Test(mesh, a_batch_comes_back_empty_with_its_memory)
{
    struct cw_mesh *mesh = open_mesh(1);
    size_t mapped = 0;
    for (uint32_t round = 0; round < 100; round++) {
        cw_mesh_collect(mesh, 0, NULL, NULL);
        struct cw_batch *batch = cw_mesh_acquire(mesh, 0, 0);
        cr_assert(eq(ptr, batch->content, NULL));
        char *big = cw_arena_alloc(&batch->arena, 5u << 20, 1);
        memset(big, (int)round, 5u << 20);
        batch->content = big;
        if (round == CW_MESH_BATCHES) {
            mapped = batch->arena.mapped_bytes;
        }
        cr_assert(round <= CW_MESH_BATCHES || batch->arena.mapped_bytes <= mapped);
        cw_mesh_push(mesh, batch);
        cr_assert(eq(ptr, cw_mesh_pop(mesh, 0, 0), batch));
        cw_mesh_give_back(mesh, batch);
    }
    cw_mesh_close(mesh);
}

Test(mesh, each_pair_keeps_its_order_whatever_the_others_do)
{
    enum {
        SHARDS = 5,
        STEPS = 200000
    };

    struct cw_mesh *mesh = open_mesh(SHARDS);
    uint64_t sent[SHARDS][SHARDS] = {0};
    uint64_t got[SHARDS][SHARDS] = {0};
    struct cw_batch *held[SHARDS][SHARDS] = {0};
    uint64_t random = 7;
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t from = random_below(&random, SHARDS);
        uint32_t to = random_below(&random, SHARDS);
        struct cw_batch **hand = &held[from][to];
        if (random_below(&random, 2) == 0) {
            cw_mesh_collect(mesh, from, NULL, NULL);
            struct cw_batch *batch = cw_mesh_acquire(mesh, from, to);
            if (batch != NULL) {
                batch->sequence = sent[from][to]++;
                cw_mesh_push(mesh, batch);
            } else {
                uint64_t away = sent[from][to] - got[from][to] + (*hand != NULL);
                cr_assert(eq(u64, away, CW_MESH_BATCHES));
            }
        } else if (*hand != NULL) {
            cw_mesh_give_back(mesh, *hand);
            *hand = NULL;
        } else if ((*hand = cw_mesh_pop(mesh, from, to)) != NULL) {
            cr_assert(eq(u64, (*hand)->sequence, got[from][to]));
            cr_assert(eq(u32, (*hand)->from, from));
            cr_assert(eq(u32, (*hand)->to, to));
            got[from][to]++;
        }
    }
    cw_mesh_close(mesh);
}

static void note_home(void *self, struct cw_batch *batch)
{
    uint64_t *seen = self;
    *seen = *seen * 10 + *(uint64_t *)batch->content;
}

Test(mesh, who_made_a_batch_is_told_of_it_when_it_is_home_before_it_is_reset)
{
    struct cw_mesh *mesh = open_mesh(2);
    uint64_t numbers[] = {1, 2};
    for (uint32_t i = 0; i < 2; i++) {
        struct cw_batch *batch = cw_mesh_acquire(mesh, 0, 1);
        batch->content = &numbers[i];
        cw_mesh_push(mesh, batch);
    }
    struct cw_batch *unused = cw_mesh_acquire(mesh, 0, 1);
    cw_mesh_release(mesh, unused);
    struct cw_batch *empty = cw_mesh_acquire(mesh, 0, 1);
    cr_assert(eq(ptr, empty, unused), "a batch that was not needed is the next one");
    cw_mesh_push(mesh, empty);
    for (uint32_t i = 0; i < 3; i++) {
        cw_mesh_give_back(mesh, cw_mesh_pop(mesh, 0, 1));
    }
    uint64_t seen = 0;
    cw_mesh_collect(mesh, 1, note_home, &seen);
    cr_assert(eq(u64, seen, 0), "they are not home yet");
    cw_mesh_collect(mesh, 0, note_home, &seen);
    cr_assert(eq(u64, seen, 12), "in order, and nothing for the one without content");
    cw_mesh_close(mesh);
}

Test(mesh, the_largest_mesh_opens)
{
    struct cw_mesh *mesh = open_mesh(16);
    for (uint32_t i = 0; i < 16; i++) {
        cr_assert(cw_mesh_ready(mesh, i));
    }
    cw_mesh_close(mesh);
}

Test(mesh, no_shards_are_a_programmer_error, .signal = SIGABRT)
{
    struct cw_mesh *mesh;
    (void)!cw_mesh_open(&mesh, 0, &fault);
}
