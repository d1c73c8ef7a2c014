#define _GNU_SOURCE 1
#include "core/runtime.h"

#include <errno.h>
#include <sched.h>
#include <time.h>

enum {
    YIELDS = 64 /* turns without work before a nap */
};

static void *turn(void *arg)
{
    struct cw_shard *shard = arg;
    uint32_t idle = 0;
    for (;;) { /* ends with the source */
        enum cw_step step = cw_shard_step(shard);
        if (step == CW_STEP_DONE) {
            return NULL;
        }
        if (step == CW_STEP_WORKED) {
            idle = 0;
        } else if (++idle < YIELDS) {
            (void)sched_yield();
        } else if (shard->wait != NULL) {
            cw_shard_sleep(shard, CW_SLEEP_NS);
        } else {
            struct timespec nap = {.tv_nsec = CW_NAP_NS};
            (void)nanosleep(&nap, NULL);
        }
    }
}

uint32_t cw_runtime_cpus(void)
{
    cpu_set_t allowed;
    int count = sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
    return count > 0 ? (uint32_t)count : 1;
}

/* The CPU for a thread, of those this process may use; false when there are not enough. */
static bool cpu_for(uint32_t index, uint32_t count, cpu_set_t *one)
{
    cpu_set_t allowed;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 ||
        (uint32_t)CPU_COUNT(&allowed) < count) {
        return false;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET((size_t)cpu, &allowed) && index-- == 0) {
            CPU_ZERO(one);
            CPU_SET((size_t)cpu, one);
            return true;
        }
    }
    return false;
}

cw_err cw_runtime_start(struct cw_runtime *runtime, struct cw_shard *shards, uint32_t count,
                        bool pin, struct cw_fault *fault)
{
    CW_ASSERT(count >= 1 && count <= CW_MESH_SHARDS_MAX);
    runtime->count = runtime->joined = 0;
    for (uint32_t i = 0; i < count; i++) {
        int rc = pthread_create(&runtime->threads[i], NULL, turn, &shards[i]);
        if (rc != 0) {
            /* The shards that run wait for this one for ever: the process has to end. */
            errno = rc;
            return cw_fail(fault, CW_ERR_IO, "starting thread %u of %u", i + 1, count);
        }
        runtime->count++;
        cpu_set_t one;
        if (pin && cpu_for(i, count, &one)) {
            (void)pthread_setaffinity_np(runtime->threads[i], sizeof one, &one);
        }
    }
    return CW_ERR_OK;
}

void cw_runtime_join(struct cw_runtime *runtime)
{
    while (runtime->joined < runtime->count) {
        (void)pthread_join(runtime->threads[runtime->joined++], NULL);
    }
}

bool cw_runtime_try_join(struct cw_runtime *runtime)
{
    while (runtime->joined < runtime->count &&
           pthread_tryjoin_np(runtime->threads[runtime->joined], NULL) == 0) {
        runtime->joined++;
    }
    return runtime->joined == runtime->count;
}
