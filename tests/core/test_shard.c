#include "core/shard.h"
#include "tests/core/toy.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>

static struct cw_fault fault;
static struct toy toys[4];
static struct cw_shard shards[4];

struct shape {
    uint32_t shards;
    int ordered;
    uint64_t chunks;
    uint32_t later, full;
};

static struct cw_mesh *start(const struct shape *shape, uint64_t seed)
{
    struct cw_mesh *mesh;
    cr_assert(eq(int, cw_mesh_open(&mesh, shape->shards, &fault), CW_ERR_OK));
    memset(toys, 0, sizeof toys);
    for (uint32_t i = 0; i < shape->shards; i++) {
        toys[i].index = i;
        toys[i].shards = shape->shards;
        toys[i].ordered = shape->ordered != 0;
        toys[i].chunks = shape->chunks;
        toys[i].later = shape->later;
        toys[i].full = shape->full;
        toys[i].random = seed * 977 + i;
        toy_shard(&toys[i], mesh, &shards[i]);
    }
    return mesh;
}

/* Steps shards in a random order, some much more often than others, until all are done. */
static bool turn(uint32_t count, uint64_t *random)
{
    uint32_t favourite = random_below(random, count);
    for (uint32_t step = 0; step < 2000000; step++) {
        uint32_t i = random_below(random, 4) != 0 ? favourite : random_below(random, count);
        if (random_below(random, 500) == 0) {
            favourite = random_below(random, count);
        }
        (void)cw_shard_step(&shards[i]);
        bool done = true;
        for (uint32_t s = 0; s < count; s++) {
            done = done && shards[s].finished;
        }
        if (done) {
            return true;
        }
    }
    return false;
}

ParameterizedTestParameters(shard, every_chunk_is_decoded_once_and_every_batch_runs_once)
{
    static struct shape shapes[] = {
        {1, 1, 0, 0, 0},   {1, 0, 1, 0, 0},    {1, 1, 50, 30, 30},  {2, 1, 1, 0, 0},
        {2, 1, 101, 0, 0}, {2, 0, 101, 20, 0}, {2, 1, 300, 20, 40}, {3, 1, 2, 0, 0},
        {3, 0, 301, 0, 9}, {3, 1, 301, 50, 0}, {4, 1, 0, 0, 0},     {4, 1, 403, 10, 10},
        {4, 0, 403, 5, 5}, {4, 1, 7, 90, 90},  {4, 0, 7, 90, 90},
    };

    return cr_make_param_array(struct shape, shapes, sizeof shapes / sizeof shapes[0]);
}

ParameterizedTest(struct shape *shape, shard, every_chunk_is_decoded_once_and_every_batch_runs_once)
{
    for (uint64_t seed = 1; seed <= 25; seed++) {
        uint64_t random = seed;
        struct cw_mesh *mesh = start(shape, seed);
        cr_assert(turn(shape->shards, &random), "seed %d: stuck", (int)seed);
        for (uint32_t i = 0; i < shape->shards; i++) {
            cr_assert(toy_is_complete(&toys[i]), "seed %d, shard %u", (int)seed, i);
            cr_assert(eq(u64, shards[i].batches, shape->chunks));
            cr_assert(eq(u64, shards[i].chunks, toys[i].decoded));
            cr_assert(eq(int, cw_shard_step(&shards[i]), CW_STEP_DONE));
            cr_assert(eq(u64, toys[i].finished, 1));
        }
        cw_mesh_close(mesh);
    }
}

Test(shard, an_app_that_is_full_holds_its_senders_back_and_nothing_is_lost)
{
    const struct shape shape = {2, 1, 1000, 0, 0};
    struct cw_mesh *mesh = start(&shape, 1);
    toys[1].full = 100;
    for (uint32_t i = 0; i < 1000; i++) {
        (void)cw_shard_step(&shards[0]);
        (void)cw_shard_step(&shards[1]);
    }
    cr_assert(eq(u64, toys[1].ran, 0));
    cr_assert(le(u64, shards[0].chunks, CW_MESH_BATCHES));
    cr_assert(le(u64, shards[1].chunks, CW_MESH_BATCHES));
    cr_assert(gt(u64, toys[1].held_back, 900));
    cr_assert(gt(u64, shards[0].idle, 900));
    cr_assert(gt(u64, toys[0].source_turns, 900)); /* callers hear of it meanwhile */
    cr_assert(gt(u64, toys[1].source_turns, 900));
    toys[1].full = 0;
    uint64_t random = 3;
    cr_assert(turn(2, &random));
    cr_assert(toy_is_complete(&toys[0]));
    cr_assert(toy_is_complete(&toys[1]));
    cw_mesh_close(mesh);
}

Test(shard, a_turn_without_work_is_counted_unless_the_app_had_some_of_its_own)
{
    const struct shape shape = {1, 1, 10, 100, 0};
    struct cw_mesh *mesh = start(&shape, 1);
    for (uint32_t i = 0; i < 7; i++) {
        cr_assert(eq(int, cw_shard_step(&shards[0]), CW_STEP_IDLE));
    }
    cr_assert(eq(u64, shards[0].idle, 7));
    cr_assert(eq(u64, toys[0].turns, 7));
    toys[0].background = 100;
    cr_assert(eq(int, cw_shard_step(&shards[0]), CW_STEP_WORKED));
    cr_assert(eq(u64, shards[0].idle, 7));
    cr_assert(eq(u64, shards[0].steps, 8));
    toys[0].later = 0;
    cr_assert(eq(int, cw_shard_step(&shards[0]), CW_STEP_WORKED));
    cr_assert(eq(u64, shards[0].chunks, 1));
    cr_assert(eq(u64, shards[0].batches, 1));
    cw_mesh_close(mesh);
}

Test(shard, an_ordered_shard_waits_for_the_chunk_whose_turn_it_is)
{
    const struct shape shape = {2, 1, 8, 0, 0};
    struct cw_mesh *mesh = start(&shape, 1);
    /* Shard 1 alone has decoded chunk 1: neither may run it before chunk 0. */
    (void)cw_shard_step(&shards[1]);
    cr_assert(eq(u64, shards[1].chunks, 1));
    cr_assert(eq(u64, toys[1].ran, 0));
    (void)cw_shard_step(&shards[0]);
    cr_assert(eq(u64, toys[0].ran, 1));
    (void)cw_shard_step(&shards[1]);
    (void)cw_shard_step(&shards[1]);
    cr_assert(eq(u64, toys[1].ran, 2));
    cr_assert(eq(u64, toys[1].broken, 0));
    cw_mesh_close(mesh);
}

/* A disk of numbers: each turn may begin a commit or end the one under way. */
struct slow_disk {
    uint64_t random;
    uint64_t changed; /* commit that has all changes so far */
    uint64_t begun, durable;
    uint64_t turns;
};

static struct slow_disk disks[4];

static uint64_t disk_number(void *self)
{
    struct slow_disk *disk = self;
    disk->changed = disk->begun + 1; /* every batch changes something */
    return disk->changed;
}

static uint64_t disk_durable(void *self)
{
    return ((struct slow_disk *)self)->durable;
}

static bool disk_turn(void *self)
{
    struct slow_disk *disk = self;
    disk->turns++;
    if (disk->begun > disk->durable && random_below(&disk->random, 3) == 0) {
        disk->durable = disk->begun;
        return true;
    }
    if (disk->begun == disk->durable && disk->changed > disk->begun) {
        disk->begun = disk->changed;
        return true;
    }
    return false;
}

static bool disk_room(void *self)
{
    return random_below(&((struct slow_disk *)self)->random, 4) != 0;
}

static uint64_t homes, early;

/* A batch is home: its commit, or a later one, is durable on the shard that ran it. */
static void toy_home(void *self, struct cw_batch *batch)
{
    (void)self;
    const struct slow_disk *disk = &disks[batch->to];
    early += disk->durable == 0;
    homes++;
}

Test(shard, batches_come_home_only_when_their_commit_is_durable)
{
    const struct shape shape = {3, 0, 200, 10, 10};
    homes = early = 0;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed;
        struct cw_mesh *mesh = start(&shape, seed);
        for (uint32_t i = 0; i < shape.shards; i++) {
            disks[i] = (struct slow_disk){.random = seed * 31 + i};
            shards[i].commit = (struct cw_commit){.self = &disks[i],
                                                  .number = disk_number,
                                                  .durable = disk_durable,
                                                  .turn = disk_turn,
                                                  .room = disk_room};
            shards[i].app.home = toy_home;
        }
        cr_assert(turn(shape.shards, &random), "seed %d: stuck", (int)seed);
        for (uint32_t i = 0; i < shape.shards; i++) {
            cr_assert(toy_is_complete(&toys[i]), "seed %d, shard %u", (int)seed, i);
            /* What is held at any time waits for a commit that is not durable yet. */
            for (uint32_t h = 0; h < shards[i].held_count; h++) {
                uint32_t at = (shards[i].held_first + h) % CW_COUNTOF(shards[i].held);
                cr_assert(gt(u64, shards[i].held[at].commit, disks[i].durable));
            }
        }
        cw_mesh_close(mesh);
    }
    cr_assert(gt(u64, homes, 5000));
    cr_assert(eq(u64, early, 0));
}
