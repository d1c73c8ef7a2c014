/*
 * gen: a synthetic shop, as NDJSON of EventBridge envelopes in the order of their arrival.
 *
 * Every journey is planned so that its outcome is known: under the document's program
 * (programs/abandoned-cart-recovery.yaml) the stream reproduces the document's rates, and the
 * plan says what a replay of it must count.
 *
 * Life:    one call. Memory: the generator's own, by the journeys in flight (about ten days of
 *          them) and the customers; freed at the end.
 * Threads: pure but for the callback. The same options give the same bytes.
 * Bounds:  CW_GEN_*_MAX; options outside them assert (the command checks its arguments first).
 */
#ifndef CW_TOOLS_GEN_H
#define CW_TOOLS_GEN_H

#include "core/view.h"

#define CW_GEN_EVENTS_MAX    10000000000u
#define CW_GEN_CARTS_MAX     1000000000u
#define CW_GEN_CUSTOMERS_MAX 100000000u
#define CW_GEN_DAYS_MAX      3650u
#define CW_GEN_PRODUCTS_MIN  10u
#define CW_GEN_PRODUCTS_MAX  100000u
#define CW_GEN_TOUCHES       3u

/* What becomes of an abandonment: a candidate, or the reason of its rejection. The share is of
   all abandonments that match the program's pattern and are no duplicates. */
#define CW_GEN_VERDICTS(X)                 \
    X(PASS, "candidate", 0.60)             \
    X(UNKNOWN, "unknown-customer", 0.08)   \
    X(ACCOUNT, "account-not-active", 0.03) \
    X(PAYMENT, "no-payment-method", 0.09)  \
    X(PURCHASED, "purchased", 0.05)        \
    X(NOT_ACTIVE, "cart-not-active", 0.04) \
    X(MARKET, "marketplace", 0.03)         \
    X(ADDRESS, "no-address", 0.02)         \
    X(OPTED_OUT, "opted-out", 0.03)        \
    X(CAP, "frequency-cap", 0.01)          \
    X(STOCK, "out-of-stock", 0.02)

enum cw_gen_verdict {
#define CW_X(name, text, share) CW_GEN_##name,
    CW_GEN_VERDICTS(CW_X)
#undef CW_X
    CW_GEN_VERDICT_COUNT
};

/* What a replay of the stream under the document's program counts. Money is in US cents. */
struct cw_gen_plan {
    uint64_t events, customers;
    uint64_t abandonments; /* that match and are no duplicates; updated ones are not in it */
    uint64_t verdicts[CW_GEN_VERDICT_COUNT];
    uint64_t unmatched;  /* CartAbandoned events below the pattern's minimum */
    uint64_t duplicates; /* abandonments told again under another id */
    uint64_t repeated;   /* events told again under the same id */
    uint64_t late;
    uint64_t updated; /* abandoned again with other content */
    uint64_t superseded;
    uint64_t sent[CW_GEN_TOUCHES], delivered[CW_GEN_TOUCHES], bounced[CW_GEN_TOUCHES];
    uint64_t opened[CW_GEN_TOUCHES], clicked[CW_GEN_TOUCHES];
    uint64_t converted[CW_GEN_TOUCHES], organic;
    uint64_t active_again, cleared, expired;
    uint64_t unsubscribed, complained;
    uint64_t orders, refunds, feedback, rating_sum;
    uint64_t candidate_cents, recovered_gross_cents, recovered_cents, refunded_cents;
};

struct cw_gen_options {
    uint64_t events;    /* exactly that many lines; 0: all that the carts make */
    uint64_t carts;     /* plan.abandonments, when events is 0 */
    uint64_t customers; /* at least that many; the carts may need more */
    uint64_t seed;
    int64_t start_ms;
    uint32_t days; /* over which the carts are left; 0: 30, or more when there are very many */
    struct cw_view program; /* its id goes into the message ids */
    uint32_t products;
    double late_percent, duplicate_percent; /* of the events; 0 to 50 */
    bool local_currency;      /* prices in each marketplace's own currency, else US dollars */
    struct cw_gen_plan *plan; /* filled when not NULL */
};

/* What the command uses when nothing is said. */
struct cw_gen_options cw_gen_defaults(void);

/* Hands over every line without its newline, which follows in memory with CW_JSON_PADDING
   readable bytes after it; the view is valid during the call. */
void cw_gen_run(const struct cw_gen_options *options, void (*line)(void *self, struct cw_view view),
                void *self);

#endif
