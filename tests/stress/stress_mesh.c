/* Every pair of many threads hands batches over; what is in them arrives as it was written. */
#include "core/mesh.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    SHARDS = 6, /* more than the CPUs of a small machine */
    ROUNDS = 4000,
    NUMBERS = 32
};

static struct cw_mesh *mesh;

struct worker {
    uint32_t index;
    pthread_t thread;
    uint64_t sent[SHARDS], got[SHARDS];
};

static void give(struct worker *worker, uint32_t to)
{
    cw_mesh_collect(mesh, worker->index, NULL, NULL);
    struct cw_batch *batch = cw_mesh_acquire(mesh, worker->index, to);
    if (batch == NULL) {
        return;
    }
    uint64_t *numbers = cw_arena_alloc(&batch->arena, NUMBERS * sizeof *numbers, 8);
    for (uint32_t i = 0; i < NUMBERS; i++) {
        numbers[i] = worker->sent[to] * 1000003u + worker->index * 31u + i;
    }
    batch->content = numbers;
    batch->sequence = worker->sent[to]++;
    cw_mesh_push(mesh, batch);
}

static void take(struct worker *worker, uint32_t from)
{
    struct cw_batch *batch = cw_mesh_pop(mesh, from, worker->index);
    if (batch == NULL) {
        return;
    }
    CW_ASSERT(batch->sequence == worker->got[from]);
    CW_ASSERT(batch->from == from && batch->to == worker->index);
    const uint64_t *numbers = batch->content;
    for (uint32_t i = 0; i < NUMBERS; i++) {
        CW_ASSERT(numbers[i] == worker->got[from] * 1000003u + from * 31u + i);
    }
    worker->got[from]++;
    cw_mesh_give_back(mesh, batch);
}

static void *work(void *arg)
{
    struct worker *worker = arg;
    for (;;) { /* until everything has been sent and received */
        bool done = true;
        for (uint32_t other = 0; other < SHARDS; other++) {
            if (worker->sent[other] < ROUNDS) {
                give(worker, other);
            }
            take(worker, other);
            done = done && worker->sent[other] == ROUNDS && worker->got[other] == ROUNDS;
        }
        if (done) {
            return NULL;
        }
        (void)sched_yield();
    }
}

int main(void)
{
    struct cw_fault fault;
    static struct worker workers[SHARDS];
    if (cw_mesh_open(&mesh, SHARDS, &fault) != CW_ERR_OK) {
        return EXIT_FAILURE;
    }
    for (uint32_t i = 0; i < SHARDS; i++) {
        workers[i].index = i;
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            return EXIT_FAILURE;
        }
    }
    for (uint32_t i = 0; i < SHARDS; i++) {
        (void)pthread_join(workers[i].thread, NULL);
    }
    cw_mesh_close(mesh);
    (void)printf("mesh: %d batches between each two of %d threads\n", ROUNDS, SHARDS);
    return EXIT_SUCCESS;
}
