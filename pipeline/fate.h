/*
 * fate: what became of each event, each abandonment in each program, and each touch. Everything
 * that came in has exactly one fate; the sums are checked (cw_fates_reconcile).
 *
 * Counters belong to one core: written by their owner alone, summed by whoever reads.
 */
#ifndef CW_PIPELINE_FATE_H
#define CW_PIPELINE_FATE_H

#include "core/port.h"
#include "pipeline/decision.h"

/* One of an event's own: RECEIVED is the sum of the others of its group. */
#define CW_EVENT_FATES(X)                                                           \
    X(APPLIED, "applied", "took effect")                                            \
    X(REPEATED, "repeated", "its id, order or message status was here before")      \
    X(UNKNOWN_TYPE, "unknown-type", "its source and detail-type mean nothing here") \
    X(UNKNOWN_MESSAGE, "unknown-message", "its messageId was never sent")           \
    X(UNMATCHED, "unmatched", "an abandonment that no program's pattern matches")   \
    X(INVALID, "invalid", "refused with a reason")                                  \
    X(REFUSED, "refused", "a bound on state was reached")

enum cw_event_fate {
#define CW_X(name, text, help) CW_EVENT_FATE_##name,
    CW_EVENT_FATES(CW_X)
#undef CW_X
    CW_EVENT_FATE_COUNT
};

/* One of each abandonment in each program that it matches. */
#define CW_ITEM_FATES(X)                                                   \
    X(CANDIDATE, "candidate", "became a candidate")                        \
    X(UPDATED, "updated", "changed the candidate in flight")               \
    X(REJECTED, "rejected", "a filter rejected it")                        \
    X(DUPLICATE, "duplicate", "was known already")                         \
    X(SUPERSEDED, "superseded", "came after a later cart of the customer") \
    X(REFUSED, "refused", "a bound on state was reached")

enum cw_item_fate {
#define CW_X(name, text, help) CW_ITEM_FATE_##name,
    CW_ITEM_FATES(CW_X)
#undef CW_X
    CW_ITEM_FATE_COUNT
};

/* Lists are kept in files as they are (persist_fates.c): what is new in one goes to its end. */
struct cw_fates {
    uint64_t received, items;
    uint64_t made; /* of those received: made by cartwheel when a session ended */
    uint64_t refunds;
    uint64_t events[CW_EVENT_FATE_COUNT];
    uint64_t by_item[CW_ITEM_FATE_COUNT];
    uint64_t rejections[CW_REJECTION_COUNT];
    /* Candidates: created = in flight + one of the ends. */
    uint64_t created, holdouts, converted, cancelled[CW_CANCEL_COUNT], superseded, rejected,
        expired;
    /* Touches: planned = sent + skipped + failed + unknown + cut off by the journey's end + pending
       + sending. `sending` goes up and down: messages under way, whose result is to come. */
    uint64_t planned, sent[CW_CHANNEL_COUNT], skipped[CW_TOUCH_REASON_COUNT], failed, unknown,
        cut_off, sending;
    uint64_t deferred[CW_TOUCH_REASON_COUNT];
    uint64_t results[CW_POSTED_UNKNOWN + 1]; /* what channels told of attempts */
    uint64_t stray_results;                  /* told of messages that were not under way */
    uint64_t attributed[CW_TOUCHES_MAX + 1], attributed_holdout; /* [0] organic */
    uint64_t sent_by_touch[CW_TOUCHES_MAX + 1];
    uint64_t delivered[CW_TOUCHES_MAX + 1], opened[CW_TOUCHES_MAX + 1], clicked[CW_TOUCHES_MAX + 1];
    /* Opens and clicks as often as they came, machines' too. */
    uint64_t opened_raw[CW_TOUCHES_MAX + 1], clicked_raw[CW_TOUCHES_MAX + 1];
    uint64_t links_left_out; /* messages whose short links would be too long */
    uint64_t score_hits, score_misses;
    uint64_t not_remembered; /* repeated-id checks lost to a full table */
};

/* Adds one core's counters to a sum. */
void cw_fates_add(struct cw_fates *sum, const struct cw_fates *part);

/*
 * Checks every sum; in_flight and pending are counted in the rows themselves. Returns NULL when all
 * reconcile, else what does not, as a sentence.
 */
const char *cw_fates_reconcile(const struct cw_fates *fates, uint64_t in_flight, uint64_t pending);

#endif
