#include "core/mesh.h"

#include <stdatomic.h>

enum {
    BATCH_CHUNK = 1 << 20
};

/* One direction of a pair, written by one end only. A slot says which batch it carries and how many
   went before it, so that the other end knows a new one without an index that both would write: a
   hand-over moves this line and the batch's own. The ends never wait for room, as there are as many
   slots as batches. */
struct lane {
    _Alignas(CW_CACHE_LINE) _Atomic uint32_t slots[CW_MESH_BATCHES]; /* number << 4 | batch + 1 */
};

static_assert(CW_MESH_BATCHES < 16 && (CW_MESH_BATCHES & (CW_MESH_BATCHES - 1)) == 0,
              "a batch takes four bits of a slot; numbers may wrap round");

struct pair {
    struct lane there, home;
    /* The sender's own. */
    _Alignas(CW_CACHE_LINE) struct cw_batch *spare[CW_MESH_BATCHES];
    uint32_t spares, pushed, collected;
    /* The receiver's own. */
    _Alignas(CW_CACHE_LINE) uint32_t popped, given;
    struct cw_batch batches[CW_MESH_BATCHES];
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
    made->pairs =
        cw_arena_zalloc(&own, (size_t)shards * shards * sizeof *made->pairs, CW_CACHE_LINE);
    for (uint32_t from = 0; from < shards && err == CW_ERR_OK; from++) {
        for (uint32_t to = 0; to < shards && err == CW_ERR_OK; to++) {
            struct pair *pair = pair_of(made, from, to);
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

static void put(struct lane *lane, uint32_t *number, struct pair *pair, struct cw_batch *batch)
{
    uint32_t at = (uint32_t)(batch - pair->batches);
    CW_ASSERT(at < CW_MESH_BATCHES);
    /* What the sender or the receiver did with the batch is seen by who sees the slot. */
    atomic_store_explicit(&lane->slots[*number % CW_MESH_BATCHES], *number << 4 | (at + 1),
                          memory_order_release);
    ++*number;
}

static struct cw_batch *take(struct lane *lane, uint32_t *number, struct pair *pair)
{
    uint32_t slot =
        atomic_load_explicit(&lane->slots[*number % CW_MESH_BATCHES], memory_order_acquire);
    if (slot == 0 || slot >> 4 != *number << 4 >> 4) {
        return NULL;
    }
    ++*number;
    return &pair->batches[(slot & 15) - 1];
}

static bool has(const struct lane *lane, uint32_t number)
{
    uint32_t slot =
        atomic_load_explicit(&lane->slots[number % CW_MESH_BATCHES], memory_order_acquire);
    return slot != 0 && slot >> 4 == number << 4 >> 4;
}

void cw_mesh_collect(struct cw_mesh *mesh, uint32_t from,
                     void (*home)(void *self, struct cw_batch *batch), void *self)
{
    for (uint32_t to = 0; to < mesh->shards; to++) {
        struct pair *pair = pair_of(mesh, from, to);
        while (pair->spares < CW_MESH_BATCHES) {
            struct cw_batch *batch = take(&pair->home, &pair->collected, pair);
            if (batch == NULL) {
                break;
            }
            if (home != NULL && batch->content != NULL) {
                home(self, batch);
            }
            pair->spare[pair->spares++] = batch;
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
        const struct pair *in = &mesh->pairs[other * mesh->shards + shard];
        const struct pair *out = &mesh->pairs[shard * mesh->shards + other];
        if (has(&in->there, in->popped) || has(&out->home, out->collected)) {
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
    struct pair *pair = pair_of(mesh, batch->from, batch->to);
    CW_ASSERT(pair->pushed - pair->collected + pair->spares <
              CW_MESH_BATCHES); /* it was acquired */
    put(&pair->there, &pair->pushed, pair, batch);
}

struct cw_batch *cw_mesh_pop(struct cw_mesh *mesh, uint32_t from, uint32_t to)
{
    struct pair *pair = pair_of(mesh, from, to);
    return take(&pair->there, &pair->popped, pair);
}

void cw_mesh_give_back(struct cw_mesh *mesh, struct cw_batch *batch)
{
    struct pair *pair = pair_of(mesh, batch->from, batch->to);
    CW_ASSERT(pair->given != pair->popped); /* one was popped */
    put(&pair->home, &pair->given, pair, batch);
}
