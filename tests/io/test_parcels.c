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

/* What was put is not handed over before it is sent up to there, in any mix of the two. */
Test(parcels, stay_in_line_until_they_are_sent)
{
    struct cw_fault fault;
    struct cw_arena arena;
    cr_assert(eq(int, cw_arena_open(&arena, 1 << 16, 1 << 20, &fault), CW_ERR_OK));
    struct cw_parcels *parcels = cw_parcels_create(&arena, 1024);
    uint64_t random = 5;
    uint64_t put = 0;
    uint64_t sent = 0;
    uint64_t taken = 0;
    uint64_t lines[4096];
    lines[0] = cw_parcels_line(parcels);
    for (uint32_t step = 0; step < 20000; step++) {
        uint32_t what = (uint32_t)((random = random * 6364136223846793005u + 1) >> 40) % 4;
        uint32_t bytes = 8 + (uint32_t)(random >> 50) % 90;
        void *room = what < 2 ? cw_parcels_room(parcels, bytes) : NULL;
        if (room != NULL && put < 4095) {
            memcpy(room, &put, sizeof put);
            cw_parcels_put(parcels);
            lines[++put] = cw_parcels_line(parcels);
        } else if (what == 2 && put > sent) {
            uint64_t to = sent + 1 + random % (put - sent);
            cr_assert(cw_parcels_send_to(parcels, lines[to]));
            cr_assert(not(cw_parcels_send_to(parcels, lines[to])));
            sent = to;
        } else if (what == 3) {
            uint32_t got;
            const void *record = cw_parcels_next(parcels, &got);
            cr_assert(eq(int, record != NULL, taken < sent));
            if (record != NULL) {
                uint64_t number;
                memcpy(&number, record, sizeof number);
                cr_assert(eq(u64, number, taken));
                cw_parcels_take(parcels);
                taken++;
            }
        }
    }
    cr_assert(gt(u64, taken, 1000));
    cw_arena_close(&arena);
}
