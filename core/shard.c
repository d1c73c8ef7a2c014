/*
 * shard: chunk k is decoded by shard k mod n, which sends every shard one batch for it, empty or
 * not. An ordered shard pops the lane of shard k mod n for batch k, so it sees all chunks in
 * order although nobody hands out numbers. The end of the source travels the same way.
 */
#include "core/shard.h"

#include <stdatomic.h>

void cw_shard_init(struct cw_shard *shard)
{
    CW_ASSERT(shard->index < cw_mesh_shards(shard->mesh));
    shard->next_read = shard->index;
    shard->next_run = 0;
    shard->ended_from = 0;
    shard->turn = 0;
    shard->source_ended = shard->finished = false;
    shard->chunks = shard->batches = shard->idle = 0;
    atomic_store(&shard->steps, 0);
    shard->held_first = shard->held_count = 0;
    CW_ASSERT(!shard->ordered || shard->commit.turn == NULL);
    atomic_store(&shard->asleep, false);
}

/* What was pushed before is seen by a shard that goes to sleep after, or that shard is seen asleep:
   the fence here and the one in cw_shard_sleep order the two. */
static void wake(struct cw_shard *shard, uint32_t other)
{
    if (shard->wake == NULL || other == shard->index) {
        return;
    }
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&shard->peers[other].asleep, memory_order_relaxed)) {
        shard->wake(shard->sleeper, other);
    }
}

void cw_shard_sleep(struct cw_shard *shard, uint64_t ns_max)
{
    CW_ASSERT(shard->wait != NULL);
    atomic_store_explicit(&shard->asleep, true, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst);
    if (!cw_mesh_waiting(shard->mesh, shard->index)) {
        shard->wait(shard->sleeper, shard->index, ns_max);
    }
    atomic_store_explicit(&shard->asleep, false, memory_order_relaxed);
}

static void send(struct cw_shard *shard, struct cw_batch *batch)
{
    if (batch->content == NULL && !batch->end && !shard->ordered) {
        cw_mesh_release(shard->mesh, batch);
        return;
    }
    uint32_t to = batch->to;
    cw_mesh_push(shard->mesh, batch);
    wake(shard, to);
}

static bool read_chunk(struct cw_shard *shard)
{
    uint32_t shards = cw_mesh_shards(shard->mesh);
    if (shard->source_ended) {
        return false;
    }
    if (!cw_mesh_ready(shard->mesh, shard->index)) {
        if (shard->source.turn != NULL) {
            shard->source.turn(shard->source.self);
        }
        return false;
    }
    struct cw_chunk chunk = {.text = NULL};
    enum cw_poll poll =
        shard->source.take(shard->source.self, shard->index, shard->next_read, &chunk);
    if (poll == CW_POLL_LATER) {
        return false;
    }
    struct cw_batch *batches[CW_MESH_SHARDS_MAX];
    for (uint32_t to = 0; to < shards; to++) {
        batches[to] = cw_mesh_acquire(shard->mesh, shard->index, to);
        CW_ASSERT(batches[to] != NULL);
        batches[to]->sequence = shard->next_read;
        batches[to]->end = poll == CW_POLL_END;
    }
    if (poll == CW_POLL_END) {
        shard->source_ended = true;
    } else {
        shard->app.decode(shard->app.self, &chunk, batches, shards);
        shard->source.done(shard->source.self, shard->index, &chunk);
        shard->chunks++;
    }
    for (uint32_t to = 0; to < shards; to++) {
        send(shard, batches[to]);
    }
    shard->next_read += shards;
    return true;
}

static void give_back(struct cw_shard *shard, struct cw_batch *batch)
{
    uint32_t from = batch->from;
    cw_mesh_give_back(shard->mesh, batch);
    wake(shard, from);
}

/* There is room for every batch that there is. */
static void hold(struct cw_shard *shard, struct cw_batch *batch)
{
    CW_ASSERT_HOT(shard->held_count < CW_COUNTOF(shard->held));
    uint32_t at = (shard->held_first + shard->held_count++) % CW_COUNTOF(shard->held);
    shard->held[at] = (struct cw_held){batch, shard->commit.number(shard->commit.self)};
}

/* Commits what this turn changed, and lets go what is durable. Numbers of held batches grow. */
static bool commit(struct cw_shard *shard)
{
    if (shard->commit.turn == NULL) {
        return false;
    }
    bool worked = shard->commit.turn(shard->commit.self);
    uint64_t durable = shard->commit.durable(shard->commit.self);
    while (shard->held_count > 0 && shard->held[shard->held_first].commit <= durable) {
        struct cw_batch *batch = shard->held[shard->held_first].batch;
        shard->held_first = (shard->held_first + 1) % CW_COUNTOF(shard->held);
        shard->held_count--;
        give_back(shard, batch);
        worked = true;
    }
    return worked;
}

static bool full(const struct cw_shard *shard)
{
    return shard->app.full(shard->app.self) ||
           (shard->commit.room != NULL && !shard->commit.room(shard->commit.self));
}

static void run_batch(struct cw_shard *shard, struct cw_batch *batch)
{
    if (batch->end) {
        CW_ASSERT_HOT(batch->content == NULL);
        shard->ended_from++;
    } else {
        shard->app.run(shard->app.self, batch);
        shard->batches++;
    }
    shard->next_run++;
    if (shard->commit.turn == NULL) {
        give_back(shard, batch);
    } else {
        hold(shard, batch);
    }
}

/* Ordered: the one batch whose turn it is. Else one of each shard, beginning with another one each
   step. */
static bool run_batches(struct cw_shard *shard)
{
    uint32_t shards = cw_mesh_shards(shard->mesh);
    CW_ASSERT_HOT(shards > 0);
    uint32_t tries = shard->ordered ? 1 : shards;
    bool worked = false;
    for (uint32_t i = 0; i < tries && !full(shard); i++) {
        shard->turn =
            shard->ordered ? (uint32_t)(shard->next_run % shards) : (shard->turn + 1) % shards;
        struct cw_batch *batch = cw_mesh_pop(shard->mesh, shard->turn, shard->index);
        if (batch != NULL) {
            CW_ASSERT_HOT(!shard->ordered || batch->sequence == shard->next_run);
            run_batch(shard, batch);
            worked = true;
        }
    }
    shard->turn = (shard->turn + 1) % shards;
    return worked;
}

enum cw_step cw_shard_step(struct cw_shard *shard)
{
    if (shard->finished) {
        return CW_STEP_DONE;
    }
    uint64_t steps = atomic_load_explicit(&shard->steps, memory_order_relaxed);
    atomic_store_explicit(&shard->steps, steps + 1, memory_order_relaxed); /* its alone */
    bool worked = shard->app.turn(shard->app.self);
    cw_mesh_collect(shard->mesh, shard->index, shard->app.home, shard->app.self);
    worked |= read_chunk(shard);
    worked |= run_batches(shard);
    worked |= commit(shard);
    if (shard->ended_from == cw_mesh_shards(shard->mesh)) {
        if (shard->app.full(shard->app.self)) {
            shard->idle++;
            return CW_STEP_IDLE;
        }
        shard->finished = shard->app.finish(shard->app.self);
        /* With commits, what is left may only wait for the disk. */
        return shard->finished || worked || shard->commit.turn == NULL ? CW_STEP_WORKED
                                                                       : CW_STEP_IDLE;
    }
    shard->idle += !worked;
    return worked ? CW_STEP_WORKED : CW_STEP_IDLE;
}
