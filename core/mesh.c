#include "core/mesh.h"

enum {
    BATCH_CHUNK = 1 << 20,
    RING_SLOTS = 8
};

static_assert(CW_MESH_BATCHES < RING_SLOTS, "every batch of a pair fits its ring");

/* Both ends write their own ring's index only; a pair starts on a cache line of its own. */
struct pair {
    _Alignas(CW_CACHE_LINE) struct cw_ring *there;
    struct cw_ring *home;
    struct cw_batch batches[CW_MESH_BATCHES];
    struct cw_batch *spare[CW_MESH_BATCHES]; /* the sender's own */
    uint32_t spares;
};

struct cw_mesh {
    struct cw_arena own;
    uint32_t shards;
    struct pair *pairs; /* [from * shards + to] */
};

static struct pair *pair_of(struct cw_mesh *mesh, uint32_t from, uint32_t to)
{
    CW_ASSERT_HOT(from < mesh->shards && to < mesh->shards);
    return &mesh->pairs[from * mesh->shards + to];
}

cw_err cw_mesh_open(struct cw_mesh **mesh, uint32_t shards, struct cw_fault *fault)
{
    CW_ASSERT(shards >= 1 && shards <= CW_MESH_SHARDS_MAX);
    struct cw_arena own;
    cw_err err = cw_arena_open(&own, 1u << 20, (size_t)1 << 30, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_mesh *made = cw_arena_zalloc(&own, sizeof *made, CW_CACHE_LINE);
    made->shards = shards;
    made->pairs = cw_arena_zalloc(&own, shards * shards * sizeof *made->pairs, CW_CACHE_LINE);
    for (uint32_t from = 0; from < shards && err == CW_ERR_OK; from++) {
        for (uint32_t to = 0; to < shards && err == CW_ERR_OK; to++) {
            struct pair *pair = pair_of(made, from, to);
            pair->there = cw_ring_create(&own, RING_SLOTS);
            pair->home = cw_ring_create(&own, RING_SLOTS);
            for (uint32_t i = 0; i < CW_MESH_BATCHES && err == CW_ERR_OK; i++) {
                struct cw_batch *batch = &pair->batches[i];
                batch->from = from;
                batch->to = to;
                pair->spare[pair->spares++] = batch;
                err = cw_arena_open(&batch->arena, BATCH_CHUNK, (size_t)1 << 33, fault);
            }
        }
    }
    made->own = own;
    if (err != CW_ERR_OK) {
        cw_mesh_close(made);
        return err;
    }
    *mesh = made;
    return CW_ERR_OK;
}

void cw_mesh_close(struct cw_mesh *mesh)
{
    for (uint32_t i = 0; i < mesh->shards * mesh->shards; i++) {
        for (uint32_t b = 0; b < CW_MESH_BATCHES; b++) {
            if (mesh->pairs[i].batches[b].arena.first != NULL) {
                cw_arena_close(&mesh->pairs[i].batches[b].arena);
            }
        }
    }
    struct cw_arena own = mesh->own;
    cw_arena_close(&own);
}

uint32_t cw_mesh_shards(const struct cw_mesh *mesh)
{
    return mesh->shards;
}

void cw_mesh_collect(struct cw_mesh *mesh, uint32_t from,
                     void (*home)(void *self, struct cw_batch *batch), void *self)
{
    for (uint32_t to = 0; to < mesh->shards; to++) {
        struct pair *pair = pair_of(mesh, from, to);
        void *batch;
        while (pair->spares < CW_MESH_BATCHES && cw_ring_pop(pair->home, &batch)) {
            struct cw_batch *back = batch;
            if (home != NULL && back->content != NULL) {
                home(self, back);
            }
            pair->spare[pair->spares++] = back;
        }
    }
}

bool cw_mesh_ready(const struct cw_mesh *mesh, uint32_t from)
{
    for (uint32_t to = 0; to < mesh->shards; to++) {
        if (mesh->pairs[from * mesh->shards + to].spares == 0) {
            return false;
        }
    }
    return true;
}

bool cw_mesh_waiting(const struct cw_mesh *mesh, uint32_t shard)
{
    for (uint32_t other = 0; other < mesh->shards; other++) {
        if (!cw_ring_empty(mesh->pairs[other * mesh->shards + shard].there) ||
            !cw_ring_empty(mesh->pairs[shard * mesh->shards + other].home)) {
            return true;
        }
    }
    return false;
}

struct cw_batch *cw_mesh_acquire(struct cw_mesh *mesh, uint32_t from, uint32_t to)
{
    struct pair *pair = pair_of(mesh, from, to);
    if (pair->spares == 0) {
        return NULL;
    }
    struct cw_batch *batch = pair->spare[--pair->spares];
    cw_arena_reset(&batch->arena);
    batch->content = NULL;
    batch->end = false;
    return batch;
}

void cw_mesh_release(struct cw_mesh *mesh, struct cw_batch *batch)
{
    struct pair *pair = pair_of(mesh, batch->from, batch->to);
    CW_ASSERT_HOT(pair->spares < CW_MESH_BATCHES);
    pair->spare[pair->spares++] = batch;
}

void cw_mesh_push(struct cw_mesh *mesh, struct cw_batch *batch)
{
    bool pushed = cw_ring_push(pair_of(mesh, batch->from, batch->to)->there, batch);
    CW_ASSERT(pushed); /* the ring holds every batch of the pair */
}

struct cw_batch *cw_mesh_pop(struct cw_mesh *mesh, uint32_t from, uint32_t to)
{
    void *batch = NULL;
    return cw_ring_pop(pair_of(mesh, from, to)->there, &batch) ? batch : NULL;
}

void cw_mesh_give_back(struct cw_mesh *mesh, struct cw_batch *batch)
{
    bool pushed = cw_ring_push(pair_of(mesh, batch->from, batch->to)->home, batch);
    CW_ASSERT(pushed);
}
