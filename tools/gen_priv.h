/* gen: what its files share. gen_shop.c knows products and people, gen_journey.c plans what
   happens, gen_event.c writes an event, gen_run.c keeps the time, gen.c is the command. */
#ifndef CW_TOOLS_GEN_PRIV_H
#define CW_TOOLS_GEN_PRIV_H

#include "core/text.h"
#include "core/time.h"
#include "pipeline/model.h"
#include "tools/gen.h"

#define CW_GEN_ITEMS_MAX  6u
#define CW_GEN_MARKETS    8u /* the program's, first in the table of markets */
#define CW_GEN_FOREIGN    3u /* markets that it does not list, after them */
#define CW_GEN_CATEGORIES 8u
#define CW_GEN_NONE       UINT32_MAX
#define CW_GEN_QUOTA_MAX  12u

struct cw_gen_rng {
    uint64_t s[4];
};

uint64_t cw_gen_mix(uint64_t a, uint64_t b); /* a hash of both */
void cw_gen_seed(struct cw_gen_rng *rng, uint64_t seed);
uint64_t cw_gen_next(struct cw_gen_rng *rng);
double cw_gen_unit(struct cw_gen_rng *rng);                           /* [0,1) */
uint32_t cw_gen_below(struct cw_gen_rng *rng, uint32_t count);        /* [0,count) */
int64_t cw_gen_between(struct cw_gen_rng *rng, int64_t a, int64_t b); /* [a,b] */

/* Mostly near a: what people do is mostly done soon. */
int64_t cw_gen_soon(struct cw_gen_rng *rng, int64_t a, int64_t b);

/* Draws classes so that after every few draws each has had its share: small runs look right too. */
struct cw_gen_quota {
    uint32_t count;
    double share[CW_GEN_QUOTA_MAX];
    double debt[CW_GEN_QUOTA_MAX];
};

/* possible: bit mask of the classes that can be had now; one that cannot keeps its claim. */
uint32_t cw_gen_draw(struct cw_gen_quota *quota, struct cw_gen_rng *rng, uint32_t possible);

struct cw_gen_market {
    const char *code, *currency, *locale;
    const char *zones[3];
    double weight;  /* of the customers */
    double rate;    /* of its currency, for prices in it */
    int utc_offset; /* hours, for the time of day people shop */
    uint32_t names; /* whose names its people have: a number below CW_GEN_MARKETS */
};

extern const struct cw_gen_market cw_gen_markets[CW_GEN_MARKETS + CW_GEN_FOREIGN];

struct cw_gen_name {
    const char *text, *ascii;
};

#define CW_GEN_NAMES 10u
extern const struct cw_gen_name cw_gen_given[CW_GEN_MARKETS][CW_GEN_NAMES];
extern const struct cw_gen_name cw_gen_family[CW_GEN_MARKETS][CW_GEN_NAMES];
extern const char *const cw_gen_categories[CW_GEN_CATEGORIES];

struct cw_gen_product {
    const char *maker, *noun;
    uint32_t cents;
    uint8_t category;
};

/* What is told of a customer, and with it whether carts of theirs are worth recovering. */
enum cw_gen_person_kind {
    CW_GEN_PERSON_NORMAL,
    CW_GEN_PERSON_NO_ACCOUNT, /* suspended or closed */
    CW_GEN_PERSON_NO_PAYMENT,
    CW_GEN_PERSON_FOREIGN,
    CW_GEN_PERSON_NO_ADDRESS,
    CW_GEN_PERSON_OPTED_OUT,
    CW_GEN_PERSON_KINDS
};

struct cw_gen_person {
    uint32_t order_cents; /* orders since the features were told */
    uint16_t order_count;
    uint8_t kind, market;
    uint8_t told;       /* how often features were told; the numbers follow from it */
    uint8_t generation; /* of the entries in queues that still count */
};

/* The features that a customer's update number `version` tells; a negative one is not told. */
struct cw_gen_features {
    int32_t history, average_cents, abandonment_percent, engagement_percent, sensitivity_percent;
};

enum cw_gen_flag {
    CW_GEN_GUEST = 1,        /* nobody was told of this customer */
    CW_GEN_TELLS_MARKET = 2, /* the cart's events name the marketplace */
    CW_GEN_TELLS_CATEGORY = 4,
    CW_GEN_ORDER_NO_CART = 8, /* the order does not name the cart */
    CW_GEN_USES_CODE = 16,
    CW_GEN_SUPERSEDES = 32, /* the customer's other candidate is in flight */
    CW_GEN_REFUND_HALF = 64,
    CW_GEN_IN_FLIGHT = 128 /* a candidate that neither converted nor was cancelled so far */
};

/* One cart: what it holds, and what was planned for it. */
struct cw_gen_journey {
    int64_t t0_ms;   /* of its first abandonment: what message ids hold */
    int64_t base_ms; /* what the touches count from: a later T0 when it was abandoned again */
    uint64_t cart, order;
    uint32_t customer, value_cents; /* US cents */
    uint32_t pending;               /* events not yet written */
    uint32_t product[CW_GEN_ITEMS_MAX];
    uint8_t quantity[CW_GEN_ITEMS_MAX];
    uint8_t item_count, first_count; /* first_count: at the first abandonment */
    uint8_t market, verdict, flags, reason;
    uint8_t discount_percent, sensitivity_percent; /* 255: the cart tells none */
    uint8_t attributed, rating;                    /* touch number; 0: organic */
};

#define CW_GEN_UNMATCHED ((uint8_t)CW_GEN_VERDICT_COUNT)       /* too small for the pattern */
#define CW_GEN_BROWSING  ((uint8_t)(CW_GEN_VERDICT_COUNT + 1)) /* never abandoned */

/* What a CustomerUpdated tells: the whole profile (0), features anew (1 to 199), or one thing. */
#define CW_GEN_UPDATE_STATUS     200u
#define CW_GEN_UPDATE_OPT_OUT    201u
#define CW_GEN_UPDATE_PUSH_TOKEN 202u

/* Each has the mean value for itself. */
enum cw_gen_cart_end {
    CW_GEN_CART_LEFT, /* a candidate that is not recovered */
    CW_GEN_CART_BOUGHT,
    CW_GEN_CART_REJECTED,
    CW_GEN_CART_ENDS
};

enum cw_gen_kind {
    CW_GEN_CUSTOMER_UPDATED,  /* journey: the customer's number; arg: what it tells */
    CW_GEN_INVENTORY_CHANGED, /* journey: the product's number */
    CW_GEN_CART_UPDATED,      /* arg: items in it */
    CW_GEN_CART_ABANDONED,    /* arg: enum cw_gen_abandoned */
    CW_GEN_CART_CLEARED,
    CW_GEN_ORDER_PLACED,
    CW_GEN_ORDER_REFUNDED,
    CW_GEN_DELIVERED, /* messaging from here; arg: touch */
    CW_GEN_BOUNCED,
    CW_GEN_OPENED,
    CW_GEN_CLICKED,
    CW_GEN_COMPLAINED,
    CW_GEN_UNSUBSCRIBED,
    CW_GEN_FEEDBACK,
    CW_GEN_KIND_COUNT
};

enum cw_gen_abandoned {
    CW_GEN_ABANDONED_FIRST,
    CW_GEN_ABANDONED_DUPLICATE, /* the same again under another id */
    CW_GEN_ABANDONED_AGAIN      /* with other content, later */
};

struct cw_gen_event {
    int64_t at_ms;   /* of its arrival */
    uint64_t number; /* decides ties, and the event's id */
    int64_t time_ms; /* its own */
    uint32_t journey;
    uint8_t kind, arg;
    bool late, repeat;
};

/* A queue of customers who may be used again, first in first out. */
struct cw_gen_ready {
    int64_t from_ms, until_ms, email_ms; /* email_ms: when the earlier e-mail was sent */
    uint32_t customer;
    uint8_t generation;
    bool in_flight; /* the earlier candidate still is */
};

struct cw_gen_queue {
    struct cw_gen_ready *list;
    size_t first, count, capacity; /* a ring; capacity is a power of two */
};

struct cw_gen {
    const struct cw_gen_options *options;
    struct cw_gen_plan plan;
    struct cw_model *model;
    struct cw_gen_rng rng;
    struct cw_gen_product *products;
    uint32_t *by_price; /* numbers of products in stock, cheapest first */
    uint32_t by_price_count;
    uint32_t *scarce; /* numbers of products out of stock: the last of every so many */
    uint32_t scarce_count, scarce_every;
    struct cw_gen_person *persons;
    uint32_t person_count, person_capacity;
    struct cw_gen_journey *journeys;
    uint32_t journey_count, journey_capacity;
    uint32_t *journeys_free;
    uint32_t journeys_free_count;
    struct cw_gen_event *heap;
    size_t heap_count, heap_capacity;
    uint64_t event_number, cart_number, order_number, guest_number;
    struct cw_gen_queue free, rested; /* fresh customers; those whose last cart was no candidate */
    struct cw_gen_queue once, idle, twice; /* after one candidate of this week, and after two */
    struct cw_gen_queue kinds[CW_GEN_PERSON_KINDS];
    struct cw_gen_quota verdicts, outcomes, emails, sms, pushes, after, ratings;
    struct cw_gen_quota counts;
    double value_sequence[CW_GEN_CART_ENDS];
    int64_t value_error_cents[CW_GEN_CART_ENDS];
    int64_t discount_error_cents;
    struct cw_text text;
};

/* gen_shop.c */
void cw_gen_shop_open(struct cw_gen *gen);
void cw_gen_shop_close(struct cw_gen *gen);
uint32_t cw_gen_person_new(struct cw_gen *gen, enum cw_gen_person_kind kind, int64_t now_ms);
struct cw_gen_features cw_gen_features_told(const struct cw_gen *gen, uint32_t customer,
                                            uint32_t version);
/* Fills a cart of about that value, in US cents, at least `least`. */
void cw_gen_fill_cart(struct cw_gen *gen, struct cw_gen_journey *journey, uint32_t about_cents,
                      uint32_t least_cents);
/* Percent, as the program will announce it; 0 when that cannot be told from here. */
uint32_t cw_gen_discount(const struct cw_gen *gen, const struct cw_gen_journey *journey);

/* gen_journey.c */
void cw_gen_journeys_open(struct cw_gen *gen);
void cw_gen_journeys_close(struct cw_gen *gen);
void cw_gen_plan_cart(struct cw_gen *gen, int64_t t0_ms);
void cw_gen_plan_start(struct cw_gen *gen);
void cw_gen_plan_customer(struct cw_gen *gen, int64_t now_ms); /* one who only looks around */

/* gen_event.c: writes one event and its newline. */
void cw_gen_event_write(struct cw_gen *gen, const struct cw_gen_event *event);

/* gen_run.c */
uint32_t cw_gen_journey_new(struct cw_gen *gen);
/* Schedules an event, and perhaps its repetition; it may come late by at most slack. */
void cw_gen_push(struct cw_gen *gen, struct cw_gen_event event, int64_t slack_ms);

#endif
