/* One producer, one consumer, every pointer exactly once and in order. */
#include "core/ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ITEMS = 100000,
    CAPACITY = 1024
};

static uint64_t items[ITEMS];

static void *produce(void *arg)
{
    struct cw_ring *ring = arg;
    for (uint64_t i = 0; i < ITEMS; i++) {
        items[i] = i;
        while (!cw_ring_push(ring, &items[i])) {
            (void)sched_yield();
        }
    }
    return NULL;
}

int main(void)
{
    struct cw_fault fault;
    struct cw_arena arena;
    if (cw_arena_open(&arena, 1u << 16, 1u << 20, &fault) != CW_ERR_OK) {
        return EXIT_FAILURE;
    }
    struct cw_ring *ring = cw_ring_create(&arena, CAPACITY);
    cw_arena_seal(&arena);
    pthread_t producer;
    if (pthread_create(&producer, NULL, produce, ring) != 0) {
        return EXIT_FAILURE;
    }
    for (uint64_t i = 0; i < ITEMS; i++) {
        void *item = NULL;
        while (!cw_ring_pop(ring, &item)) {
            (void)sched_yield();
        }
        CW_ASSERT(*(uint64_t *)item == i);
    }
    (void)pthread_join(producer, NULL);
    (void)printf("ring: %d items in order\n", ITEMS);
    cw_arena_close(&arena);
    return EXIT_SUCCESS;
}
