#include "io/parcels.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum {
    SIZE = 4096,
    WAITING_MAX = 1024
};

struct model {
    uint8_t first[WAITING_MAX];
    uint32_t bytes[WAITING_MAX];
    uint32_t begin, end, sum;
};

static struct cw_arena arena;

static struct cw_parcels *create(void)
{
    struct cw_fault fault;
    cr_assert(eq(int, cw_arena_open(&arena, 1u << 16, 1u << 24, &fault), CW_ERR_OK));
    return cw_parcels_create(&arena, SIZE);
}

Test(parcels, holds_a_record_of_half_its_size)
{
    struct cw_parcels *parcels = create();
    uint32_t bytes = cw_parcels_record_max(parcels);
    cr_assert(eq(u32, bytes, SIZE / 2 - 8));
    cr_assert(ne(ptr, cw_parcels_room(parcels, bytes), NULL));
    cw_parcels_send(parcels);
    cr_assert(ne(ptr, cw_parcels_room(parcels, bytes), NULL));
    cw_parcels_send(parcels);
    cr_assert(eq(ptr, cw_parcels_room(parcels, 1), NULL));
    cw_arena_close(&arena);
}

Test(parcels, hands_nothing_over_before_it_is_sent)
{
    struct cw_parcels *parcels = create();
    uint32_t bytes;
    cr_assert(ne(ptr, cw_parcels_room(parcels, 10), NULL));
    cr_assert(eq(ptr, (void *)cw_parcels_next(parcels, &bytes), NULL));
    cw_arena_close(&arena);
}

/* One record put in and taken out of the model; fails when they differ. */
static bool put(struct cw_parcels *parcels, struct model *model, uint32_t bytes, uint8_t first)
{
    char *room = cw_parcels_room(parcels, bytes);
    uint32_t cost = bytes + 16;
    if (room == NULL) {
        cr_assert(gt(u32, model->sum + cost, SIZE / 4), "full too early");
        return false;
    }
    for (uint32_t i = 0; i < bytes; i++) {
        room[i] = (char)(first + i);
    }
    cw_parcels_send(parcels);
    model->first[model->end % WAITING_MAX] = first;
    model->bytes[model->end++ % WAITING_MAX] = bytes;
    model->sum += cost;
    return true;
}

static void take(struct cw_parcels *parcels, struct model *model)
{
    uint32_t bytes = 0;
    const char *data = cw_parcels_next(parcels, &bytes);
    if (model->begin == model->end) {
        cr_assert(eq(ptr, (void *)data, NULL));
        return;
    }
    cr_assert(ne(ptr, (void *)data, NULL));
    uint32_t at = model->begin++ % WAITING_MAX;
    cr_assert(eq(u32, bytes, model->bytes[at]));
    for (uint32_t i = 0; i < bytes; i++) {
        cr_assert(eq(u8, (uint8_t)data[i], (uint8_t)(model->first[at] + i)));
    }
    cw_parcels_take(parcels);
    model->sum -= bytes + 16;
}

/* Like a queue, whatever is put and taken, from always nearly empty to always nearly full. */
Test(parcels, behaves_like_a_queue)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct cw_parcels *parcels = create();
        struct model model = {0};
        uint64_t state = seed;
        uint32_t longest = seed % 4 == 0 ? SIZE / 2 - 8 : seed % 4 == 1 ? 20 : 300;
        for (uint32_t i = 0; i < 20000; i++) {
            if (random_next(&state) % 100 < 30 + seed) {
                (void)put(parcels, &model, (uint32_t)(random_next(&state) % (longest + 1)),
                          (uint8_t)i);
            } else {
                take(parcels, &model);
            }
        }
        while (model.begin != model.end) {
            take(parcels, &model);
        }
        cr_assert(put(parcels, &model, 100, 1), "an empty one has room");
        cw_arena_close(&arena);
    }
}
