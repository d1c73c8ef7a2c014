#include "pipeline/graph.h"

/* clang-format off */
#define FATE(name) (1u << CW_ITEM_FATE_##name)
#define HAS(name)  CW_FIELD_##name

/* The path, top to bottom. Matching, the stage before, runs where the event was received
   (decode.c), so that cores that do not own the customer share the work. Adding a stage is adding
   a row here and its two functions. Columns: name, look and run, reads, writes, fates. */
#define STAGE(name) #name, cw_look_##name, cw_stage_##name
const struct cw_stage cw_graph[CW_STAGE_COUNT] = {
    [CW_STAGE_DEDUPLICATE] = {STAGE(deduplicate), HAS(EVENT), HAS(CONTENT), FATE(DUPLICATE)},
    [CW_STAGE_CANDIDATE] = {STAGE(candidate), HAS(CONTENT), HAS(AGAIN), FATE(DUPLICATE)},
    [CW_STAGE_FILTER] = {STAGE(filter), HAS(CONTENT) | HAS(AGAIN), HAS(VERDICT), FATE(REJECTED)},
    [CW_STAGE_PLACE] = {STAGE(place), HAS(VERDICT), HAS(PLACE),
                        FATE(SUPERSEDED) | FATE(REFUSED)},
    [CW_STAGE_SCORE] = {STAGE(score), HAS(CONTENT) | HAS(VERDICT), HAS(SCORE), 0},
    [CW_STAGE_STORE] = {STAGE(store), HAS(PLACE) | HAS(SCORE), HAS(STORED), FATE(REFUSED)},
    [CW_STAGE_SCHEDULE] = {STAGE(schedule), HAS(STORED), 0, FATE(CANDIDATE) | FATE(UPDATED)},
};

/* clang-format on */

bool cw_graph_check(const struct cw_stage *rows, uint32_t count, uint32_t given)
{
    uint32_t written = given;
    for (uint32_t i = 0; i < count; i++) {
        if ((rows[i].reads & ~written) != 0 || (rows[i].writes & written) != 0) {
            return false;
        }
        written |= rows[i].writes;
    }
    return true;
}
