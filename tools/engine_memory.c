/* A thread that makes the tables' and wheels' memory real before the cores come to it, and that
   keeps watch on memory and disks: it touches no disk itself. */
#include "tools/engine_priv.h"

#include <time.h>

enum {
    LOOK_EVERY_NS = 5000000, /* a core that takes 200 MB/s is met in time */
    STEPS_MAX = 64,          /* of one core, before the others' turn */
    ROOM_EVERY = 8           /* looks: what grows meanwhile is far less than the reserve */
};

static void populate(struct cw_engine *engine)
{
    for (uint32_t i = 0; i < engine->count; i++) {
        struct cw_pipeline *pipeline = cw_service_pipeline(engine->cores[i].service);
        for (uint32_t step = 0; step < STEPS_MAX && cw_pipeline_populate(pipeline); step++) {
        }
    }
}

static void *look_ahead(void *self)
{
    struct cw_engine *engine = self;
    for (uint32_t look = 0; !atomic_load(&engine->memory_stopping); look++) {
        if (look % ROOM_EVERY == 0) {
            cw_engine_room_look(engine);
            cw_engine_disk_look(engine);
        }
        populate(engine);
        (void)nanosleep(&(struct timespec){.tv_nsec = LOOK_EVERY_NS}, NULL);
    }
    return NULL;
}

cw_err cw_engine_memory_start(struct cw_engine *engine, struct cw_fault *fault)
{
    populate(engine); /* the first event waits for no page */
    engine->memory_runs = pthread_create(&engine->memory, NULL, look_ahead, engine) == 0;
    return engine->memory_runs ? CW_ERR_OK
                               : cw_fail(fault, CW_ERR_IO, "starting the thread for memory");
}

void cw_engine_memory_stop(struct cw_engine *engine)
{
    if (engine->memory_runs) {
        atomic_store(&engine->memory_stopping, true);
        (void)pthread_join(engine->memory, NULL);
        engine->memory_runs = false;
    }
}
