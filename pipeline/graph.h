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
/*    bit  field    is called  and is */
#define CW_FIELDS(X)                                                      \
    X(0, EVENT, "event", "the event, its program, its customer")          \
    X(1, CONTENT, "content", "what is in the cart, and what dedup knows") \
    X(2, AGAIN, "again", "a candidate to come, new or abandoned again")   \
    X(3, VERDICT, "verdict", "every filter passed")                       \
    X(4, PLACE, "place", "no other cart stands in the way")               \
    X(5, SCORE, "score", "purchase intent, confidence, discount")         \
    X(6, STORED, "stored", "the candidate's row, dedup entry and indexes")

enum cw_field {
#define CW_X(bit, name, text, help) CW_FIELD_##name = 1 << (bit),
    CW_FIELDS(CW_X)
#undef CW_X
};

/*
 * A stage is two functions. look decides: it fills the item and changes nothing else, so that
 * explain can ask it too. run calls look and carries out what was decided. Both tell whether the
 * item goes on or has met its fate (counted by the runner).
 */
typedef enum cw_item_fate cw_stage_fn(struct cw_pipeline *p, struct cw_item *item);

#define CW_STAGE_GOES_ON CW_ITEM_FATE_COUNT

struct cw_stage {
    const char *name;
    cw_stage_fn *look, *run;
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

cw_stage_fn cw_look_deduplicate, cw_look_candidate, cw_look_filter, cw_look_place, cw_look_score,
    cw_look_store, cw_look_schedule;
cw_stage_fn cw_stage_deduplicate, cw_stage_candidate, cw_stage_filter, cw_stage_place,
    cw_stage_score, cw_stage_store, cw_stage_schedule;

extern const struct cw_stage cw_graph[CW_STAGE_COUNT];

/* True when every field read was written by an earlier row, and each is written by one row only. */
bool cw_graph_check(const struct cw_stage *rows, uint32_t count, uint32_t given);

/*
 * The checks of each type of filter, in the order in which they are made; the first that fails is
 * the filter's verdict.
 */
/*    type         check        reason when it fails */
#define CW_FILTER_CHECKS(X)                  \
    X(TRUST, known, UNKNOWN_CUSTOMER)        \
    X(TRUST, account, ACCOUNT_NOT_ACTIVE)    \
    X(TRUST, payment, NO_PAYMENT_METHOD)     \
    X(ELIGIBILITY, purchased, PURCHASED)     \
    X(ELIGIBILITY, active, CART_NOT_ACTIVE)  \
    X(ELIGIBILITY, expired, CART_EXPIRED)    \
    X(ELIGIBILITY, marketplace, MARKETPLACE) \
    X(ELIGIBILITY, address, NO_ADDRESS)      \
    X(ELIGIBILITY, consent, OPTED_OUT)       \
    X(RULE, minimum, BELOW_MINIMUM)          \
    X(RULE, caps, FREQUENCY_CAP)             \
    X(RULE, stock, OUT_OF_STOCK)

enum cw_check {
#define CW_X(type, name, reason) CW_CHECK_##name, /* NOLINT(readability-identifier-naming) */
    CW_FILTER_CHECKS(CW_X)
#undef CW_X
    CW_CHECK_COUNT
};

struct cw_check_row {
    enum cw_filter_type type;
    const char *name;
    enum cw_rejection reason;
};

extern const struct cw_check_row cw_checks[CW_CHECK_COUNT];

/* What a filter looks at: the item, and the cart's row when it is an eligibility filter. */
struct cw_filter_look {
    struct cw_pipeline *p;
    const struct cw_item *item;
    const struct cw_filter *filter;
    const struct cw_cart_row *cart; /* NULL: nothing is known of the cart */
};

struct cw_filter_look cw_filter_look(struct cw_pipeline *p, const struct cw_item *item,
                                     const struct cw_filter *filter);

/* One check of the filter's own type: true when it passes. */
bool cw_check_passes(enum cw_check check, const struct cw_filter_look *look);

/* One filter's verdict on an item, without effects: CW_REJECTION_NONE when it passes. */
enum cw_rejection cw_filter_verdict(struct cw_pipeline *p, const struct cw_item *item,
                                    const struct cw_filter *filter);

/* What a frequency cap counts: sent in the trailing week, and pending of other candidates. */
struct cw_cap_look {
    bool set;
    double most;
    uint32_t sent, pending;
};

static inline bool cw_cap_reached(const struct cw_cap_look *look)
{
    return look->set && look->sent + look->pending >= look->most;
}

struct cw_cap_look cw_cap_look(const struct cw_filter_look *look, uint32_t cap);

/* What another candidate of the customer, the one at `row`, is to an item. */
enum cw_standing {
    CW_STANDING_APART,     /* this very one, another program's, or carts run in parallel */
    CW_STANDING_GIVES_WAY, /* superseded by the item */
    CW_STANDING_STAYS      /* later than the item, which is superseded itself */
};

enum cw_standing cw_standing_of(const struct cw_pipeline *p, const struct cw_item *item,
                                cw_row row);

#endif
