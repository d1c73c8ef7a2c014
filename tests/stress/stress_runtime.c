/* Shards on threads, more of them than CPUs, ordered and not, some of them slow: every chunk is
   decoded once and every batch runs once. */
#include "core/runtime.h"
#include "tests/core/toy.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    SHARDS = 7
};

static struct toy toys[SHARDS];
static struct cw_shard shards[SHARDS];

static bool run(uint32_t count, bool ordered, uint64_t chunks, bool pin)
{
    struct cw_fault fault;
    struct cw_mesh *mesh;
    struct cw_runtime runtime;
    if (cw_mesh_open(&mesh, count, &fault) != CW_ERR_OK) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        toys[i] = (struct toy){.index = i,
                               .shards = count,
                               .ordered = ordered,
                               .chunks = chunks,
                               .later = i % 3 == 1 ? 30 : 0,
                               .full = i % 3 == 2 ? 30 : 0,
                               .background = 5,
                               .random = 1000 + i};
        toy_shard(&toys[i], mesh, &shards[i]);
    }
    if (cw_runtime_start(&runtime, shards, count, pin, &fault) != CW_ERR_OK) {
        return false;
    }
    cw_runtime_join(&runtime);
    bool good = true;
    for (uint32_t i = 0; i < count; i++) {
        good = good && toy_is_complete(&toys[i]);
    }
    cw_mesh_close(mesh);
    (void)printf("runtime: %u shards%s%s, %u chunks: %s\n", count, ordered ? ", ordered" : "",
                 pin ? ", pinned" : "", (unsigned)chunks, good ? "complete" : "BROKEN");
    return good;
}

int main(void)
{
    bool good = run(1, true, 500, true) && run(2, true, 2000, true) && run(2, false, 2000, false) &&
                run(SHARDS, true, 3000, true) && run(SHARDS, false, 3000, false) &&
                run(SHARDS, true, 3, false) && run(SHARDS, true, 0, false);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
