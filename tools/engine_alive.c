/* engine_alive: what tells others that the engine lives, and whether it sends. */
#include "tools/engine_priv.h"

const _Atomic uint64_t *cw_engine_turns(const struct cw_engine *engine, uint32_t core)
{
    CW_ASSERT(core < engine->count);
    return &engine->shards[core].steps;
}

uint32_t cw_engine_cores(const struct cw_engine *engine)
{
    return engine->count;
}

bool cw_engine_holds(const struct cw_engine *engine, uint32_t *holds)
{
    const struct cw_task *task = &engine->task;
    if (task->running && task->kind == CW_TASK_RESUME) { /* whose thread writes the manifest */
        return false;
    }
    uint32_t kept =
        engine->durable != NULL ? cw_durable_manifest(engine->durable)->held : CW_HOLD_NONE;
    uint32_t grace = cw_engine_clock_in_grace(engine) ? CW_HOLD_START : CW_HOLD_NONE;
    uint32_t clock = engine->clock.suspect ? CW_HOLD_CLOCK : CW_HOLD_NONE;
    *holds = (kept & ~(uint32_t)CW_HOLD_CLOCK) | grace | clock;
    return true;
}
