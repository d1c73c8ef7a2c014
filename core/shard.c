/*
 * shard: chunk k is decoded by shard k mod n, which sends every shard one batch for it, empty or
 * not. An ordered shard pops the lane of shard k mod n for batch k, so it sees all chunks in
 * order although nobody hands out numbers. The end of the source travels the same way, as a batch
 * without content.
 */
#include "core/shard.h"

void cw_shard_init(struct cw_shard *shard)
{
    CW_ASSERT(shard->index < cw_mesh_shards(shard->mesh));
    shard->next_read = shard->index;
    shard->next_run = 0;
    shard->ended_from = 0;
    shard->turn = 0;
    shard->source_ended = shard->finished = false;
    shard->steps = shard->chunks = shard->batches = shard->idle = 0;
}

static bool read_chunk(struct cw_shard *shard)
{
    uint32_t shards = cw_mesh_shards(shard->mesh);
    if (shard->source_ended || !cw_mesh_ready(shard->mesh, shard->index)) {
        return false;
    }
    struct cw_chunk chunk;
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
    }
    if (poll == CW_POLL_END) {
        shard->source_ended = true;
    } else {
        shard->app.decode(shard->app.self, &chunk, batches, shards);
        shard->source.done(shard->source.self, shard->index, &chunk);
        shard->chunks++;
    }
    for (uint32_t to = 0; to < shards; to++) {
        CW_ASSERT_HOT((batches[to]->content == NULL) == shard->source_ended);
        cw_mesh_push(shard->mesh, batches[to]);
    }
    shard->next_read += shards;
    return true;
}

static struct cw_batch *pop(struct cw_shard *shard)
{
    uint32_t shards = cw_mesh_shards(shard->mesh);
    if (shard->ordered) {
        uint32_t from = (uint32_t)(shard->next_run % shards);
        struct cw_batch *batch = cw_mesh_pop(shard->mesh, from, shard->index);
        CW_ASSERT_HOT(batch == NULL || batch->sequence == shard->next_run);
        return batch;
    }
    for (uint32_t i = 0; i < shards; i++) {
        shard->turn = (shard->turn + 1) % shards;
        struct cw_batch *batch = cw_mesh_pop(shard->mesh, shard->turn, shard->index);
        if (batch != NULL) {
            return batch;
        }
    }
    return NULL;
}

static bool run_batch(struct cw_shard *shard)
{
    if (shard->app.full(shard->app.self)) {
        return false;
    }
    struct cw_batch *batch = pop(shard);
    if (batch == NULL) {
        return false;
    }
    if (batch->content == NULL) {
        shard->ended_from++;
    } else {
        shard->app.run(shard->app.self, batch);
        shard->batches++;
    }
    shard->next_run++;
    cw_mesh_give_back(shard->mesh, batch);
    return true;
}

enum cw_step cw_shard_step(struct cw_shard *shard)
{
    if (shard->finished) {
        return CW_STEP_DONE;
    }
    shard->steps++;
    bool worked = read_chunk(shard);
    if (run_batch(shard)) {
        worked = true;
    }
    if (shard->ended_from == cw_mesh_shards(shard->mesh)) {
        if (shard->app.full(shard->app.self)) {
            shard->idle++;
            return CW_STEP_IDLE;
        }
        shard->finished = shard->app.finish(shard->app.self);
        return CW_STEP_WORKED;
    }
    if (worked || shard->app.idle(shard->app.self)) {
        return CW_STEP_WORKED;
    }
    shard->idle++;
    return CW_STEP_IDLE;
}
