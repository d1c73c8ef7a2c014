/* bench_ring: hand-over between two threads: single pointers, and batches through the mesh. */
#define _GNU_SOURCE 1
#include "bench/bench.h"
#include "core/mesh.h"
#include "core/ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SPINS = 200, /* before the CPU is offered to others */
    ITEMS = 4000000,
    ITEMS_TINY = 4000,
    BATCHES = 200000,
    BATCHES_TINY = 500,
    EVENTS_PER_BATCH = 32
};

struct state {
    struct cw_arena arena;
    struct cw_ring *ring;
    struct cw_mesh *mesh;
    uint64_t count;
    pthread_t peer;
    bool payload; /* each batch's events are written and read, 8 bytes each */
};

static void must(cw_err err)
{
    CW_ASSERT(err == CW_ERR_OK);
}

/* The producer runs on the first CPU, the measured consumer on the last (main.c). */
static void pin_first(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

/* Nothing to pop, or no room: the other end is at work on another core. */
static void wait_a_little(uint32_t *spins)
{
    if (++*spins % SPINS == 0) {
        (void)sched_yield();
    }
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

static void *setup_ring(bool tiny)
{
    struct cw_fault fault;
    struct state *state = calloc(1, sizeof *state);
    CW_ASSERT(state != NULL);
    must(cw_arena_open(&state->arena, 1u << 17, 1u << 20, &fault));
    state->ring = cw_ring_create(&state->arena, 4096);
    state->count = tiny ? ITEMS_TINY : ITEMS;
    return state;
}

static void *produce(void *self)
{
    struct state *state = self;
    pin_first();
    uint32_t spins = 0;
    for (uint64_t i = 0; i < state->count; i++) {
        while (!cw_ring_push(state->ring, &state->count)) {
            wait_a_little(&spins);
        }
    }
    return NULL;
}

static uint64_t run_ring(void *self, uint64_t *units)
{
    struct state *state = self;
    int rc = pthread_create(&state->peer, NULL, produce, state);
    CW_ASSERT(rc == 0);
    uint64_t got = 0;
    uint32_t spins = 0;
    while (got < state->count) {
        void *item;
        if (cw_ring_pop(state->ring, &item)) {
            got++;
        } else {
            wait_a_little(&spins);
        }
    }
    (void)pthread_join(state->peer, NULL);
    *units = state->count;
    return got;
}

static void teardown_ring(void *self)
{
    struct state *state = self;
    cw_arena_close(&state->arena);
    free(state);
}

static void *setup_mesh(bool tiny)
{
    struct cw_fault fault;
    struct state *state = calloc(1, sizeof *state);
    CW_ASSERT(state != NULL);
    must(cw_mesh_open(&state->mesh, 2, &fault));
    state->count = tiny ? BATCHES_TINY : BATCHES;
    return state;
}

static void *setup_mesh_payload(bool tiny)
{
    struct state *state = setup_mesh(tiny);
    state->payload = true;
    return state;
}

static void *send_batches(void *self)
{
    struct state *state = self;
    pin_first();
    uint32_t spins = 0;
    for (uint64_t i = 0; i < state->count;) {
        cw_mesh_collect(state->mesh, 0, NULL, NULL);
        struct cw_batch *batch = cw_mesh_acquire(state->mesh, 0, 1);
        if (batch == NULL) {
            wait_a_little(&spins);
            continue;
        }
        batch->content = state;
        if (state->payload) {
            uint64_t *events = cw_arena_alloc(&batch->arena, EVENTS_PER_BATCH * sizeof *events, 8);
            for (uint32_t e = 0; e < EVENTS_PER_BATCH; e++) {
                events[e] = i + e;
            }
            batch->content = events;
        }
        cw_mesh_push(state->mesh, batch);
        i++;
    }
    return NULL;
}

static uint64_t run_mesh(void *self, uint64_t *units)
{
    struct state *state = self;
    int rc = pthread_create(&state->peer, NULL, send_batches, state);
    CW_ASSERT(rc == 0);
    uint64_t sum = 0;
    uint32_t spins = 0;
    for (uint64_t got = 0; got < state->count;) {
        struct cw_batch *batch = cw_mesh_pop(state->mesh, 0, 1);
        if (batch == NULL) {
            wait_a_little(&spins);
            continue;
        }
        const uint64_t *events = batch->content;
        CW_ASSERT(events != NULL || !state->payload);
        sum += events != NULL;
        for (uint32_t e = 0; state->payload && e < EVENTS_PER_BATCH; e++) {
            sum += events[e];
        }
        cw_mesh_give_back(state->mesh, batch);
        got++;
    }
    (void)pthread_join(state->peer, NULL);
    *units = state->count * EVENTS_PER_BATCH;
    return sum;
}

static void teardown_mesh(void *self)
{
    struct state *state = self;
    cw_mesh_close(state->mesh);
    free(state);
}

const struct cw_bench_case cw_bench_ring[] = {
    {"ring.single", "op", 4.1, "243 M/s, on a Zen 5", setup_ring, run_ring, teardown_ring, 0},
    {"mesh.hand_over_32", "event", 1.13, "885 M/s, on a Zen 5", setup_mesh, run_mesh, teardown_mesh,
     0},
    {"mesh.payload_32", "event", 0, NULL, setup_mesh_payload, run_mesh, teardown_mesh, 0},
    {0},
};
