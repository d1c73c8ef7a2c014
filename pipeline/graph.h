/*
 * graph: the path of one abandonment in one program, as a table. Read cw_graph[] in graph.c first.
 *
 * An item is one event in one program. The items of an event run one after the other, each through
 * all stages, because what the first program decides (a candidate in flight, its pending touches)
 * is a fact for the second. What is done per batch is what gains by it: the rows that the events of
 * a batch will need are hashed and prefetched before the first one runs (pipeline.c).
 */
#ifndef CW_PIPELINE_GRAPH_H
#define CW_PIPELINE_GRAPH_H

#include "pipeline/pipeline_priv.h"

/* What an item carries from stage to stage. */
enum cw_field {
    CW_FIELD_EVENT = 1 << 0,   /* event, program, customer */
    CW_FIELD_CONTENT = 1 << 1, /* canonical content, dedup entry, candidate in flight */
    CW_FIELD_AGAIN = 1 << 2,   /* a candidate to come, new or again */
    CW_FIELD_VERDICT = 1 << 3, /* passed every filter */
    CW_FIELD_PLACE = 1 << 4,   /* no other cart stands in the way */
    CW_FIELD_SCORE = 1 << 5,   /* score, confidence, discount */
    CW_FIELD_STORED = 1 << 6   /* its row, entry and indexes are written */
};

/* Goes on, or has met its fate (counted by the runner). */
typedef enum cw_item_fate cw_stage_fn(struct cw_pipeline *p, struct cw_item *item);

#define CW_STAGE_GOES_ON CW_ITEM_FATE_COUNT

struct cw_stage {
    const char *name;
    cw_stage_fn *run;
    uint32_t reads;  /* enum cw_field bits that must have been written */
    uint32_t writes; /* enum cw_field bits this stage owns */
    uint32_t fates;  /* 1 << enum cw_item_fate: why the path may end here */
};

enum cw_stage_id {
    CW_STAGE_DEDUPLICATE,
    CW_STAGE_CANDIDATE,
    CW_STAGE_FILTER,
    CW_STAGE_PLACE,
    CW_STAGE_SCORE,
    CW_STAGE_STORE,
    CW_STAGE_SCHEDULE,
    CW_STAGE_COUNT
};

cw_stage_fn cw_stage_deduplicate, cw_stage_candidate, cw_stage_filter, cw_stage_place,
    cw_stage_score, cw_stage_store, cw_stage_schedule;

extern const struct cw_stage cw_graph[CW_STAGE_COUNT];

/* True when every field read was written by an earlier row, and each is written by one row only. */
bool cw_graph_check(const struct cw_stage *rows, uint32_t count, uint32_t given);

/* One filter's verdict on an item, without effects: CW_REJECTION_NONE when it passes. */
enum cw_rejection cw_filter_verdict(struct cw_pipeline *p, const struct cw_item *item,
                                    const struct cw_filter *filter);

#endif
