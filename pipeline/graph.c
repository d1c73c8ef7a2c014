#include "pipeline/graph.h"

/* clang-format off */
#define FATE(name) (1u << CW_ITEM_FATE_##name)

/* The path, top to bottom. Matching, the stage before, runs where the event was received
   (decode.c), so that cores that do not own the customer share the work. Adding a stage is adding
   a row here and a function. */
const struct cw_stage cw_graph[CW_STAGE_COUNT] = {
    /*                            name           run                    reads                              writes            fates                            */
    [CW_STAGE_DEDUPLICATE] = { "deduplicate", cw_stage_deduplicate, CW_FIELD_EVENT,                      CW_FIELD_CONTENT, FATE(DUPLICATE)                  },
    [CW_STAGE_CANDIDATE]   = { "candidate",   cw_stage_candidate,   CW_FIELD_CONTENT,                    CW_FIELD_AGAIN,   FATE(DUPLICATE)                  },
    [CW_STAGE_FILTER]      = { "filter",      cw_stage_filter,      CW_FIELD_CONTENT | CW_FIELD_AGAIN,   CW_FIELD_VERDICT, FATE(REJECTED)                   },
    [CW_STAGE_PLACE]       = { "place",       cw_stage_place,       CW_FIELD_VERDICT,                    CW_FIELD_PLACE,   FATE(SUPERSEDED)                 },
    [CW_STAGE_SCORE]       = { "score",       cw_stage_score,       CW_FIELD_CONTENT | CW_FIELD_VERDICT, CW_FIELD_SCORE,   0                                },
    [CW_STAGE_STORE]       = { "store",       cw_stage_store,       CW_FIELD_PLACE | CW_FIELD_SCORE,     CW_FIELD_STORED,  FATE(REFUSED)                    },
    [CW_STAGE_SCHEDULE]    = { "schedule",    cw_stage_schedule,    CW_FIELD_STORED,                     0,                FATE(CANDIDATE) | FATE(UPDATED)  },
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
