/*
 * gen: what happens to a cart. Each abandonment's verdict and each candidate's outcome is drawn
 * first; customer, times and events are then chosen so that the program comes to just that.
 *
 * No expression draws twice: compilers may evaluate its parts in either order, and the same seed
 * must give the same shop everywhere.
 */
#include "tools/gen_priv.h"

#include <stdlib.h>

#define EMAIL_MS  CW_HOUR_MS
#define SMS_MS    (24 * CW_HOUR_MS)
#define PUSH_MS   (72 * CW_HOUR_MS)
#define EXPIRY_MS (7 * CW_DAY_MS)
#define WEEK_MS   (7 * CW_DAY_MS)
#define LATE_MS   (3 * CW_HOUR_MS) /* what has no deadline comes at most so late */

/* A customer is fresh again when no candidate is in flight and no e-mail in the trailing week. */
#define FRESH_AFTER_MS (8 * CW_DAY_MS)

enum cw_gen_outcome {
    CW_GEN_BOUGHT_EMAIL,
    CW_GEN_BOUGHT_SMS,
    CW_GEN_BOUGHT_PUSH,
    CW_GEN_EARLY, /* bought or cleared before the first touch */
    CW_GEN_NOT_BOUGHT
};

enum cw_gen_fate {
    CW_GEN_FATE_CLICKED,
    CW_GEN_FATE_OPENED, /* SMS cannot be opened: for it this is not drawn */
    CW_GEN_FATE_BOUNCED,
    CW_GEN_FATE_SILENT
};

/* ---- queues of customers ---- */

static void queue_add(struct cw_gen_queue *queue, struct cw_gen_ready ready)
{
    if (queue->count == queue->capacity) {
        size_t capacity = queue->capacity == 0 ? 64 : queue->capacity * 2;
        struct cw_gen_ready *list = malloc(capacity * sizeof *list);
        CW_ASSERT(list != NULL);
        for (size_t i = 0; i < queue->count; i++) {
            list[i] = queue->list[(queue->first + i) & (queue->capacity - 1)];
        }
        free(queue->list);
        *queue = (struct cw_gen_queue){list, 0, queue->count, capacity};
    }
    queue->list[(queue->first + queue->count++) & (queue->capacity - 1)] = ready;
}

/* The first customer if one can be used now; those used otherwise or too old are dropped. */
static bool queue_take(struct cw_gen *gen, struct cw_gen_queue *queue, int64_t now_ms, bool keep,
                       struct cw_gen_ready *ready)
{
    while (queue->count > 0) {
        *ready = queue->list[queue->first];
        bool stale = gen->persons[ready->customer].generation != ready->generation;
        bool over = ready->until_ms < now_ms;
        if (!stale && !over && ready->from_ms > now_ms) {
            return false;
        }
        if (!stale && !over && keep) {
            return true;
        }
        queue->first = (queue->first + 1) & (queue->capacity - 1);
        queue->count--;
        if (!stale && !over) {
            return true;
        }
    }
    return false;
}

static void queue_back(struct cw_gen *gen, struct cw_gen_queue *queue, uint32_t customer,
                       int64_t from_ms)
{
    queue_add(queue, (struct cw_gen_ready){.from_ms = from_ms,
                                           .until_ms = INT64_MAX,
                                           .customer = customer,
                                           .generation = gen->persons[customer].generation});
}

/* A known customer of that kind: one seen before if there is one, else somebody new. */
static uint32_t pick_person(struct cw_gen *gen, enum cw_gen_person_kind kind, int64_t t0)
{
    struct cw_gen_queue *queues[2] = {&gen->kinds[kind], NULL};
    if (kind == CW_GEN_PERSON_NORMAL) {
        queues[0] = &gen->rested;
        queues[1] = &gen->free;
    }
    for (uint32_t i = 0; i < 2 && queues[i] != NULL; i++) {
        struct cw_gen_ready ready;
        if (cw_gen_unit(&gen->rng) < 0.75 && queue_take(gen, queues[i], t0, false, &ready)) {
            gen->persons[ready.customer].generation++;
            return ready.customer;
        }
    }
    return cw_gen_person_new(gen, kind, t0);
}

/* ---- pieces of a journey ---- */

static struct cw_gen_journey *journey_of(struct cw_gen *gen, uint32_t journey)
{
    return &gen->journeys[journey];
}

static uint32_t start_journey(struct cw_gen *gen, uint32_t customer, uint8_t verdict, int64_t t0)
{
    uint32_t number = cw_gen_journey_new(gen);
    struct cw_gen_journey *journey = journey_of(gen, number);
    bool guest = verdict == CW_GEN_UNKNOWN;
    uint8_t market =
        guest ? (uint8_t)cw_gen_below(&gen->rng, CW_GEN_MARKETS) : gen->persons[customer].market;
    *journey = (struct cw_gen_journey){
        .t0_ms = t0,
        .base_ms = t0,
        .cart = gen->cart_number++,
        .customer = customer,
        .verdict = verdict,
        .market = market,
        .sensitivity_percent = 255,
        .reason = (uint8_t)cw_gen_below(&gen->rng, 100),
    };
    bool told = cw_gen_unit(&gen->rng) < 0.7 || verdict == CW_GEN_MARKET;
    journey->flags = (uint8_t)((guest ? CW_GEN_GUEST : 0) | (told ? CW_GEN_TELLS_MARKET : 0) |
                               (cw_gen_unit(&gen->rng) < 0.5 ? CW_GEN_TELLS_CATEGORY : 0));
    if (!guest && cw_gen_unit(&gen->rng) < 0.3) {
        struct cw_gen_features told_features =
            cw_gen_features_told(gen, customer, gen->persons[customer].told);
        int32_t percent = told_features.sensitivity_percent;
        journey->sensitivity_percent = percent < 0 ? 20 : (uint8_t)percent;
    }
    return number;
}

static void push(struct cw_gen *gen, uint32_t journey, enum cw_gen_kind kind, uint32_t arg,
                 int64_t time_ms, int64_t slack_ms)
{
    cw_gen_push(
        gen,
        (struct cw_gen_event){
            .kind = (uint8_t)kind, .arg = (uint8_t)arg, .journey = journey, .time_ms = time_ms},
        slack_ms);
}

/* An event that arrives exactly then, out of its turn. */
static void push_at(struct cw_gen *gen, uint32_t journey, enum cw_gen_kind kind, uint32_t arg,
                    int64_t time_ms, int64_t at_ms)
{
    cw_gen_push(gen,
                (struct cw_gen_event){.kind = (uint8_t)kind,
                                      .arg = (uint8_t)arg,
                                      .journey = journey,
                                      .time_ms = time_ms,
                                      .at_ms = at_ms},
                0);
}

static int64_t minutes(struct cw_gen *gen, int64_t a, int64_t b)
{
    return cw_gen_between(&gen->rng, a * CW_MINUTE_MS, b * CW_MINUTE_MS);
}

/* What is put into the cart before it is left. */
static void push_cart_history(struct cw_gen *gen, uint32_t journey, int64_t left_ms)
{
    uint32_t items = journey_of(gen, journey)->first_count;
    int64_t last = left_ms - minutes(gen, 2, 25);
    if (items > 1 && cw_gen_unit(&gen->rng) < 0.5) {
        int64_t before = last - minutes(gen, 1, 10);
        push(gen, journey, CW_GEN_CART_UPDATED, 1 + cw_gen_below(&gen->rng, items - 1), before,
             LATE_MS);
    }
    push(gen, journey, CW_GEN_CART_UPDATED, items, last, LATE_MS);
}

/* Values of 50 dollars and more with a mean of 150, spread evenly over their distribution. */
static uint32_t next_value(struct cw_gen *gen, enum cw_gen_cart_end end)
{
    static const struct {
        double share, dollars;
    } curve[] = {{0, 50},    {0.1, 64},   {0.25, 86},  {0.4, 108},  {0.55, 133},
                 {0.7, 163}, {0.82, 209}, {0.92, 285}, {0.98, 425}, {1, 560}};

    double *u = &gen->value_sequence[end];
    *u += 0.6180339887498949; /* the golden section: no part of the curve is left out for long */
    *u -= *u >= 1 ? 1 : 0;
    uint32_t i = 1;
    while (i + 1 < CW_COUNTOF(curve) && *u > curve[i].share) {
        i++;
    }
    double part = (*u - curve[i - 1].share) / (curve[i].share - curve[i - 1].share);
    double dollars = curve[i - 1].dollars + part * (curve[i].dollars - curve[i - 1].dollars);
    double correction = (double)gen->value_error_cents[end] / 100 / 6;
    correction = correction > 30 ? 30 : (correction < -30 ? -30 : correction);
    dollars -= correction;
    return (uint32_t)((dollars < 50 ? 50 : dollars) * 100);
}

/* The least US cents that are 50 of the marketplace's currency, prices being rounded one by one. */
static uint32_t matching_cents(const struct cw_gen *gen, const struct cw_gen_journey *journey)
{
    double rate = gen->options->local_currency ? cw_gen_markets[journey->market].rate : 1;
    return rate < 1 ? (uint32_t)(5000 / rate) + 20 : 5000;
}

static void fill_cart(struct cw_gen *gen, struct cw_gen_journey *journey, enum cw_gen_cart_end end)
{
    cw_gen_fill_cart(gen, journey, next_value(gen, end), matching_cents(gen, journey));
    gen->value_error_cents[end] += (int64_t)journey->value_cents - 15000;
}

/* The order that ends a journey, or that came before it; may name no cart. */
static void push_order(struct cw_gen *gen, uint32_t number, int64_t time_ms, int64_t slack_ms)
{
    struct cw_gen_journey *journey = journey_of(gen, number);
    journey->order = ++gen->order_number;
    push(gen, number, CW_GEN_ORDER_PLACED, 0, time_ms, slack_ms);
    if ((journey->flags & CW_GEN_GUEST) == 0) {
        struct cw_gen_person *person = &gen->persons[journey->customer];
        person->order_count++;
        person->order_cents += journey->value_cents;
    }
    if (cw_gen_unit(&gen->rng) < 0.03) {
        journey->flags |= cw_gen_unit(&gen->rng) < 0.5 ? CW_GEN_REFUND_HALF : 0;
        push(gen, number, CW_GEN_ORDER_REFUNDED, 0,
             time_ms + cw_gen_between(&gen->rng, CW_DAY_MS, 6 * CW_DAY_MS), LATE_MS);
    }
}

/* ---- a candidate's journey ---- */

struct candidate {
    uint32_t journey, customer;
    int64_t base_ms;
    enum cw_gen_outcome outcome;
    int64_t done_ms; /* from when on the customer's next cart disturbs nothing of this one */
    bool in_flight;  /* at that time it still is */
    bool retired;    /* the customer wants no more messages */
};

/* Bought through a touch: the click's time is click_ms, the next touch (or the expiry) is due at
   deadline_ms. Returns the order's time. */
static int64_t push_purchase(struct cw_gen *gen, const struct candidate *c, uint32_t touch,
                             int64_t click_ms, int64_t deadline_ms)
{
    struct cw_gen_journey *journey = journey_of(gen, c->journey);
    journey->attributed = (uint8_t)touch;
    journey->discount_percent = (uint8_t)cw_gen_discount(gen, journey);
    /* Some pay without the code, so many that the discount given is a tenth of the carts. */
    int64_t tenth = journey->value_cents / 10;
    bool uses = gen->discount_error_cents < tenth;
    gen->discount_error_cents +=
        (uses ? (int64_t)journey->value_cents * journey->discount_percent / 100 : 0) - tenth;
    journey->flags |= uses ? CW_GEN_USES_CODE : 0;
    journey->flags |= cw_gen_unit(&gen->rng) < 0.1 ? CW_GEN_ORDER_NO_CART : 0;
    int64_t order_ms = click_ms + minutes(gen, 1, 90);
    int64_t slack = deadline_ms - order_ms - 10 * CW_MINUTE_MS;
    CW_ASSERT(slack > 0);
    push_order(gen, c->journey, order_ms, slack < LATE_MS ? slack : LATE_MS);
    if (cw_gen_unit(&gen->rng) < 0.3) {
        journey->rating = (uint8_t)(5 - cw_gen_draw(&gen->ratings, &gen->rng, UINT32_MAX));
        push(gen, c->journey, CW_GEN_FEEDBACK, 0,
             order_ms + cw_gen_between(&gen->rng, CW_HOUR_MS, 3 * CW_DAY_MS), LATE_MS);
    }
    return order_ms;
}

/* The click comes at most so late that it is known before the order. */
static void push_click(struct cw_gen *gen, const struct candidate *c, uint32_t touch,
                       int64_t click_ms, int64_t deadline_ms)
{
    int64_t slack = LATE_MS;
    if (deadline_ms != 0) {
        int64_t order_ms = push_purchase(gen, c, touch, click_ms, deadline_ms);
        slack = order_ms - click_ms - 3 * CW_SECOND_MS;
    }
    push(gen, c->journey, CW_GEN_CLICKED, touch, click_ms, slack);
}

static void push_email(struct cw_gen *gen, struct candidate *c, enum cw_gen_fate fate)
{
    int64_t sent = c->base_ms + EMAIL_MS;
    bool bought = c->outcome == CW_GEN_BOUGHT_EMAIL;
    if (fate == CW_GEN_FATE_BOUNCED) {
        push(gen, c->journey, CW_GEN_BOUNCED, 1, sent + minutes(gen, 0, 1) + CW_SECOND_MS, LATE_MS);
        return;
    }
    push(gen, c->journey, CW_GEN_DELIVERED, 1, sent + minutes(gen, 0, 1) + CW_SECOND_MS, LATE_MS);
    int64_t longest = (bought ? 10 : 20) * CW_HOUR_MS;
    int64_t opened = sent + cw_gen_soon(&gen->rng, 2 * CW_MINUTE_MS, longest);
    if (fate == CW_GEN_FATE_SILENT) {
        if (c->outcome == CW_GEN_NOT_BOUGHT && cw_gen_unit(&gen->rng) < 0.002) {
            push(gen, c->journey, CW_GEN_COMPLAINED, 1, opened, LATE_MS);
            c->retired = true;
        }
        return;
    }
    push(gen, c->journey, CW_GEN_OPENED, 1, opened, bought ? CW_MINUTE_MS : LATE_MS);
    if (fate == CW_GEN_FATE_CLICKED) {
        int64_t clicked = opened + cw_gen_soon(&gen->rng, 4 * CW_SECOND_MS, 10 * CW_MINUTE_MS);
        push_click(gen, c, 1, clicked, bought ? c->base_ms + SMS_MS : 0);
    }
    if (c->outcome == CW_GEN_NOT_BOUGHT && cw_gen_unit(&gen->rng) < 0.012) {
        push(gen, c->journey, CW_GEN_UNSUBSCRIBED, 1, opened + minutes(gen, 1, 15), LATE_MS);
        c->retired = true;
    }
}

static void push_sms(struct cw_gen *gen, struct candidate *c, enum cw_gen_fate fate)
{
    int64_t sent = c->base_ms + SMS_MS;
    int64_t soon = sent + cw_gen_between(&gen->rng, CW_SECOND_MS, 20 * CW_SECOND_MS);
    if (fate == CW_GEN_FATE_BOUNCED) {
        push(gen, c->journey, CW_GEN_BOUNCED, 2, soon, LATE_MS);
        return;
    }
    push(gen, c->journey, CW_GEN_DELIVERED, 2, soon, LATE_MS);
    if (fate == CW_GEN_FATE_CLICKED) {
        bool bought = c->outcome == CW_GEN_BOUGHT_SMS;
        int64_t clicked = soon + cw_gen_soon(&gen->rng, 30 * CW_SECOND_MS, 24 * CW_HOUR_MS);
        push_click(gen, c, 2, clicked, bought ? c->base_ms + PUSH_MS : 0);
    }
}

static void push_push(struct cw_gen *gen, struct candidate *c, enum cw_gen_fate fate)
{
    int64_t sent = c->base_ms + PUSH_MS;
    int64_t soon = sent + cw_gen_between(&gen->rng, CW_SECOND_MS, 8 * CW_SECOND_MS);
    if (fate == CW_GEN_FATE_BOUNCED) {
        push(gen, c->journey, CW_GEN_BOUNCED, 3, soon, LATE_MS);
        return;
    }
    push(gen, c->journey, CW_GEN_DELIVERED, 3, soon, LATE_MS);
    if (fate == CW_GEN_FATE_SILENT) {
        return;
    }
    int64_t opened = soon + cw_gen_soon(&gen->rng, 20 * CW_SECOND_MS, 40 * CW_HOUR_MS);
    push(gen, c->journey, CW_GEN_OPENED, 3, opened,
         c->outcome == CW_GEN_BOUGHT_PUSH ? CW_MINUTE_MS : LATE_MS);
    if (c->outcome == CW_GEN_BOUGHT_PUSH) {
        /* Clicked too, so that no earlier click is the last one. */
        push_click(gen, c, 3, opened + cw_gen_between(&gen->rng, CW_SECOND_MS, CW_MINUTE_MS),
                   c->base_ms + EXPIRY_MS);
    }
}

/* Not bought: some come back for the cart or clear it once all touches are done. */
static void push_after(struct cw_gen *gen, struct candidate *c)
{
    uint32_t after = cw_gen_draw(&gen->after, &gen->rng, UINT32_MAX);
    int64_t earliest = c->base_ms + PUSH_MS + 2 * CW_HOUR_MS;
    int64_t when = cw_gen_between(&gen->rng, earliest, c->base_ms + EXPIRY_MS - 14 * CW_HOUR_MS);
    c->done_ms = earliest;
    c->in_flight = after == 2;
    if (after == 0) {
        struct cw_gen_journey *journey = journey_of(gen, c->journey);
        push(gen, c->journey, CW_GEN_CART_UPDATED, journey->item_count, when, CW_HOUR_MS);
        if (cw_gen_unit(&gen->rng) < 0.5) {
            push_order(gen, c->journey, when + minutes(gen, 70, 200), LATE_MS);
        }
    } else if (after == 1) {
        push(gen, c->journey, CW_GEN_CART_CLEARED, 0, when, CW_HOUR_MS);
    }
    if (after != 2) {
        c->done_ms = INT64_MAX; /* another cart would take its end away */
    }
}

static void push_early(struct cw_gen *gen, struct candidate *c)
{
    int64_t when = c->base_ms + minutes(gen, 10, 40);
    if (cw_gen_unit(&gen->rng) < 0.5) {
        push_order(gen, c->journey, when, 0);
    } else {
        push(gen, c->journey, CW_GEN_CART_CLEARED, 0, when, 0);
    }
    c->done_ms = INT64_MAX;
}

static void push_touches(struct cw_gen *gen, struct candidate *c)
{
    enum cw_gen_outcome outcome = c->outcome;
    if (outcome == CW_GEN_EARLY) {
        push_early(gen, c);
        return;
    }
    c->done_ms = c->base_ms + SMS_MS;
    enum cw_gen_fate fate = CW_GEN_FATE_CLICKED;
    if (outcome != CW_GEN_BOUGHT_EMAIL) {
        fate = (enum cw_gen_fate)cw_gen_draw(&gen->emails, &gen->rng, UINT32_MAX);
    }
    push_email(gen, c, fate);
    if (outcome == CW_GEN_BOUGHT_EMAIL) {
        return;
    }
    c->done_ms = c->base_ms + PUSH_MS;
    fate = CW_GEN_FATE_CLICKED;
    if (outcome != CW_GEN_BOUGHT_SMS) {
        fate = (enum cw_gen_fate)cw_gen_draw(&gen->sms, &gen->rng, ~(1u << CW_GEN_FATE_OPENED));
    }
    push_sms(gen, c, fate);
    if (outcome == CW_GEN_BOUGHT_SMS) {
        return;
    }
    c->done_ms = c->base_ms + PUSH_MS + 44 * CW_HOUR_MS;
    fate = CW_GEN_FATE_OPENED;
    if (outcome != CW_GEN_BOUGHT_PUSH) {
        fate = (enum cw_gen_fate)cw_gen_draw(&gen->pushes, &gen->rng, ~(1u << CW_GEN_FATE_CLICKED));
    }
    push_push(gen, c, fate);
    if (outcome == CW_GEN_NOT_BOUGHT) {
        push_after(gen, c);
    }
}

/* One more item is put in and the cart is left again within the hour: the same candidate goes on
   from there. False when the cart does not allow it. */
static bool abandon_again(struct cw_gen *gen, struct cw_gen_journey *journey)
{
    uint32_t last = journey->item_count - 1u;
    uint32_t cents = gen->products[journey->product[last]].cents * journey->quantity[last];
    if (last == 0 || journey->value_cents - cents < matching_cents(gen, journey)) {
        return false;
    }
    journey->first_count = (uint8_t)last;
    journey->base_ms = journey->t0_ms + minutes(gen, 10, 35);
    return true;
}

static void push_abandoned(struct cw_gen *gen, uint32_t number, bool punctual)
{
    struct cw_gen_journey *journey = journey_of(gen, number);
    int64_t t0 = journey->t0_ms;
    bool again = journey->base_ms != t0;
    bool twice =
        !punctual && !again && cw_gen_unit(&gen->rng) < gen->options->duplicate_percent / 100;
    int64_t slack = punctual || again || twice ? 0 : 45 * CW_MINUTE_MS;
    push_cart_history(gen, number, t0);
    push(gen, number, CW_GEN_CART_ABANDONED, CW_GEN_ABANDONED_FIRST, t0, slack);
    journey = journey_of(gen, number);
    if (again) {
        push(gen, number, CW_GEN_CART_ABANDONED, CW_GEN_ABANDONED_AGAIN, journey->base_ms, 0);
    }
    if (twice) {
        push_at(gen, number, CW_GEN_CART_ABANDONED, CW_GEN_ABANDONED_DUPLICATE, t0,
                t0 + cw_gen_soon(&gen->rng, 3 * CW_SECOND_MS, 20 * CW_MINUTE_MS));
    }
}

static struct candidate plan_candidate(struct cw_gen *gen, uint32_t customer, int64_t t0)
{
    struct candidate c = {.customer = customer};
    c.outcome = (enum cw_gen_outcome)cw_gen_draw(&gen->outcomes, &gen->rng, UINT32_MAX);
    c.journey = start_journey(gen, customer, CW_GEN_PASS, t0);
    struct cw_gen_journey *journey = journey_of(gen, c.journey);
    fill_cart(gen, journey, c.outcome < CW_GEN_EARLY ? CW_GEN_CART_BOUGHT : CW_GEN_CART_LEFT);
    if (c.outcome != CW_GEN_EARLY && cw_gen_unit(&gen->rng) < 0.01) {
        (void)abandon_again(gen, journey);
    }
    c.base_ms = journey->base_ms;
    push_abandoned(gen, c.journey, c.outcome == CW_GEN_EARLY);
    push_touches(gen, &c);
    return c;
}

/* Features are told anew now and then; from there orders count again. */
static void tell_features(struct cw_gen *gen, uint32_t customer, int64_t before_ms)
{
    struct cw_gen_person *person = &gen->persons[customer];
    if (person->told < 199 && cw_gen_unit(&gen->rng) < 0.3) {
        person->told++;
        person->order_count = 0;
        person->order_cents = 0;
        push(gen, customer, CW_GEN_CUSTOMER_UPDATED, person->told,
             before_ms - minutes(gen, 40, 180), 30 * CW_MINUTE_MS);
    }
}

/*
 * A candidate of a fresh customer, or now and then the second cart within a week of one whose
 * first journey is over: it supersedes what is still in flight and makes a third cart exceed the
 * cap of two e-mails a week.
 */
static void plan_pass(struct cw_gen *gen, int64_t t0)
{
    double second = gen->verdicts.debt[CW_GEN_CAP] > 0.4 && gen->twice.count == 0 ? 0.5 : 0.04;
    struct cw_gen_ready ready = {0};
    bool again =
        cw_gen_unit(&gen->rng) < second && (queue_take(gen, &gen->idle, t0, false, &ready) ||
                                            queue_take(gen, &gen->once, t0, false, &ready));
    uint32_t customer = ready.customer;
    if (again) {
        gen->persons[customer].generation++;
    } else {
        uint32_t known = gen->person_count;
        customer = pick_person(gen, CW_GEN_PERSON_NORMAL, t0);
        if (customer < known) {
            tell_features(gen, customer, t0);
        }
    }
    struct candidate c = plan_candidate(gen, customer, t0);
    if (again && ready.in_flight) {
        journey_of(gen, c.journey)->flags |= CW_GEN_SUPERSEDES;
    }
    if (c.retired) {
        return;
    }
    queue_back(gen, &gen->free, customer, c.base_ms + FRESH_AFTER_MS);
    struct cw_gen_ready next = {.customer = customer,
                                .email_ms = c.base_ms + EMAIL_MS,
                                .in_flight = c.in_flight,
                                .generation = gen->persons[customer].generation};
    if (again && c.outcome != CW_GEN_EARLY) {
        next.from_ms = c.base_ms + EMAIL_MS + CW_HOUR_MS;
        next.until_ms = ready.email_ms + WEEK_MS - CW_HOUR_MS;
        queue_add(&gen->twice, next);
    } else if (!again && c.done_ms != INT64_MAX) {
        next.from_ms = c.done_ms;
        next.until_ms = next.email_ms + WEEK_MS - 30 * CW_HOUR_MS;
        queue_add(c.outcome == CW_GEN_BOUGHT_EMAIL ? &gen->once : &gen->idle, next);
    }
}

/* ---- abandonments that are rejected ---- */

/* The order, the clearing or the change is there before the abandonment is told. */
static void plan_overtaken(struct cw_gen *gen, uint8_t verdict, int64_t t0)
{
    uint32_t customer = pick_person(gen, CW_GEN_PERSON_NORMAL, t0);
    uint32_t number = start_journey(gen, customer, verdict, t0);
    struct cw_gen_journey *journey = journey_of(gen, number);
    fill_cart(gen, journey, CW_GEN_CART_REJECTED);
    push_cart_history(gen, number, t0);
    int64_t when = t0 + minutes(gen, 1, 20);
    if (verdict == CW_GEN_PURCHASED) {
        push_order(gen, number, when, 0);
    } else if (cw_gen_unit(&gen->rng) < 0.6) {
        push(gen, number, CW_GEN_CART_CLEARED, 0, when, 0);
    } else {
        push(gen, number, CW_GEN_CART_UPDATED, journey_of(gen, number)->item_count, when, 0);
    }
    push_at(gen, number, CW_GEN_CART_ABANDONED, CW_GEN_ABANDONED_FIRST, t0,
            when + 2 * CW_SECOND_MS + minutes(gen, 0, 10));
    queue_back(gen, &gen->rested, customer, t0 + CW_DAY_MS);
}

static void plan_scarce(struct cw_gen *gen, int64_t t0)
{
    uint32_t customer = pick_person(gen, CW_GEN_PERSON_NORMAL, t0);
    uint32_t number = start_journey(gen, customer, CW_GEN_STOCK, t0);
    struct cw_gen_journey *journey = journey_of(gen, number);
    fill_cart(gen, journey, CW_GEN_CART_REJECTED);
    uint32_t item = cw_gen_below(&gen->rng, journey->item_count);
    journey->value_cents -= gen->products[journey->product[item]].cents * journey->quantity[item];
    journey->product[item] = gen->scarce[cw_gen_below(&gen->rng, gen->scarce_count)];
    uint32_t cents = gen->products[journey->product[item]].cents;
    journey->value_cents += cents * journey->quantity[item];
    while (journey->value_cents < matching_cents(gen, journey)) {
        journey->quantity[item]++;
        journey->value_cents += cents;
    }
    push_cart_history(gen, number, t0);
    push(gen, number, CW_GEN_CART_ABANDONED, CW_GEN_ABANDONED_FIRST, t0, LATE_MS);
    queue_back(gen, &gen->rested, customer, t0 + CW_DAY_MS);
}

static void plan_rejected(struct cw_gen *gen, uint8_t verdict, int64_t t0)
{
    static const uint8_t kinds[CW_GEN_VERDICT_COUNT] = {[CW_GEN_ACCOUNT] = CW_GEN_PERSON_NO_ACCOUNT,
                                                        [CW_GEN_PAYMENT] = CW_GEN_PERSON_NO_PAYMENT,
                                                        [CW_GEN_MARKET] = CW_GEN_PERSON_FOREIGN,
                                                        [CW_GEN_ADDRESS] = CW_GEN_PERSON_NO_ADDRESS,
                                                        [CW_GEN_OPTED_OUT] =
                                                            CW_GEN_PERSON_OPTED_OUT};
    uint32_t customer = 0;
    if (verdict == CW_GEN_UNKNOWN) {
        customer = (uint32_t)gen->guest_number++;
    } else {
        customer = pick_person(gen, (enum cw_gen_person_kind)kinds[verdict], t0);
    }
    uint32_t number = start_journey(gen, customer, verdict, t0);
    fill_cart(gen, journey_of(gen, number), CW_GEN_CART_REJECTED);
    push_cart_history(gen, number, t0);
    push(gen, number, CW_GEN_CART_ABANDONED, CW_GEN_ABANDONED_FIRST, t0, LATE_MS);
    if (verdict != CW_GEN_UNKNOWN) {
        queue_back(gen, &gen->kinds[kinds[verdict]], customer, t0 + CW_DAY_MS);
    }
}

static void plan_capped(struct cw_gen *gen, int64_t t0)
{
    struct cw_gen_ready ready;
    bool found = queue_take(gen, &gen->twice, t0, false, &ready);
    CW_ASSERT(found); /* the verdict was possible */
    uint32_t number = start_journey(gen, ready.customer, CW_GEN_CAP, t0);
    fill_cart(gen, journey_of(gen, number), CW_GEN_CART_REJECTED);
    push_cart_history(gen, number, t0);
    push(gen, number, CW_GEN_CART_ABANDONED, CW_GEN_ABANDONED_FIRST, t0, 30 * CW_MINUTE_MS);
}

/* ---- what else happens in a shop ---- */

static void plan_browsing(struct cw_gen *gen, int64_t now_ms)
{
    uint32_t customer = cw_gen_below(&gen->rng, gen->person_count);
    if (gen->persons[customer].kind == CW_GEN_PERSON_NO_ACCOUNT) {
        return;
    }
    uint32_t number = start_journey(gen, customer, CW_GEN_BROWSING, now_ms);
    uint32_t about = 3000 + cw_gen_below(&gen->rng, 20000);
    cw_gen_fill_cart(gen, journey_of(gen, number), about, 0);
    int64_t left = now_ms + minutes(gen, 26, 60);
    push_cart_history(gen, number, left);
    if (cw_gen_unit(&gen->rng) < 0.85) {
        push_order(gen, number, left, LATE_MS);
    } else {
        push(gen, number, CW_GEN_CART_CLEARED, 0, left, LATE_MS);
    }
}

/* A cart below the pattern's minimum. */
static void plan_small(struct cw_gen *gen, int64_t t0)
{
    uint32_t customer = cw_gen_below(&gen->rng, gen->person_count);
    uint32_t number = start_journey(gen, customer, CW_GEN_UNMATCHED, t0);
    struct cw_gen_journey *journey = journey_of(gen, number);
    for (uint32_t attempt = 0; attempt < 8; attempt++) {
        cw_gen_fill_cart(gen, journey, 1200 + cw_gen_below(&gen->rng, 3000), 0);
        if (journey->value_cents < 5000) {
            break;
        }
    }
    if (journey->value_cents >= 5000 ||
        (gen->options->local_currency && cw_gen_markets[journey->market].rate > 1)) {
        gen->journeys_free[gen->journeys_free_count++] = number;
        return;
    }
    push_cart_history(gen, number, t0);
    push(gen, number, CW_GEN_CART_ABANDONED, CW_GEN_ABANDONED_FIRST, t0, LATE_MS);
}

static void plan_extras(struct cw_gen *gen, int64_t now_ms)
{
    if (cw_gen_unit(&gen->rng) < 0.30) {
        uint32_t product = cw_gen_below(&gen->rng, gen->options->products);
        push(gen, product, CW_GEN_INVENTORY_CHANGED, 0, now_ms + minutes(gen, 0, 30), LATE_MS);
    }
    if (gen->person_count == 0) {
        return;
    }
    if (cw_gen_unit(&gen->rng) < 0.45) {
        plan_browsing(gen, now_ms);
    }
    if (cw_gen_unit(&gen->rng) < 0.08) {
        plan_small(gen, now_ms + minutes(gen, 40, 90));
    }
    uint32_t customer = cw_gen_below(&gen->rng, gen->person_count);
    if (cw_gen_unit(&gen->rng) < 0.06 && gen->persons[customer].kind == CW_GEN_PERSON_NORMAL) {
        push(gen, customer, CW_GEN_CUSTOMER_UPDATED, CW_GEN_UPDATE_PUSH_TOKEN, now_ms, LATE_MS);
    }
}

/* ---- the planner's face ---- */

void cw_gen_plan_start(struct cw_gen *gen)
{
    for (uint32_t i = 0; i < gen->scarce_count; i++) {
        push(gen, gen->scarce[i], CW_GEN_INVENTORY_CHANGED, 0,
             gen->options->start_ms + (int64_t)i * 50, 0);
    }
}

void cw_gen_plan_customer(struct cw_gen *gen, int64_t now_ms)
{
    uint32_t customer = cw_gen_person_new(gen, CW_GEN_PERSON_NORMAL, now_ms);
    queue_back(gen, &gen->rested, customer, now_ms + CW_DAY_MS);
}

void cw_gen_plan_cart(struct cw_gen *gen, int64_t t0_ms)
{
    struct cw_gen_ready ready;
    bool can_cap = queue_take(gen, &gen->twice, t0_ms, true, &ready);
    uint32_t possible = can_cap ? UINT32_MAX : ~(1u << CW_GEN_CAP);
    uint8_t verdict = (uint8_t)cw_gen_draw(&gen->verdicts, &gen->rng, possible);
    switch ((enum cw_gen_verdict)verdict) {
    case CW_GEN_PASS: plan_pass(gen, t0_ms); break;
    case CW_GEN_PURCHASED:
    case CW_GEN_NOT_ACTIVE: plan_overtaken(gen, verdict, t0_ms); break;
    case CW_GEN_STOCK: plan_scarce(gen, t0_ms); break;
    case CW_GEN_CAP: plan_capped(gen, t0_ms); break;
    case CW_GEN_UNKNOWN:
    case CW_GEN_ACCOUNT:
    case CW_GEN_PAYMENT:
    case CW_GEN_MARKET:
    case CW_GEN_ADDRESS:
    case CW_GEN_OPTED_OUT: plan_rejected(gen, verdict, t0_ms); break;
    case CW_GEN_VERDICT_COUNT: CW_ASSERT(false); break;
    }
    plan_extras(gen, t0_ms);
}

static void set_quota(struct cw_gen_quota *quota, const double *weights, uint32_t count)
{
    CW_ASSERT(count <= CW_GEN_QUOTA_MAX);
    double sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += weights[i];
    }
    quota->count = count;
    for (uint32_t i = 0; i < count; i++) {
        quota->share[i] = weights[i] / sum;
    }
}

void cw_gen_journeys_open(struct cw_gen *gen)
{
#define CW_X(name, text, share) share,
    static const double verdicts[] = {CW_GEN_VERDICTS(CW_X)};
#undef CW_X
    /* Of 100 candidates: who buys through which touch. */
    static const double outcomes[] = {15, 10, 5, 0.4, 69.6};
    /* Of those who get the message and do not buy through it: clicked, opened, bounced, silent;
       so that with the buyers 40 % open and 25 % click e-mails, 35 % click SMS, 20 % open pushes,
       and 98, 95 and 97 % are delivered, of what is sent (99.6, 84.6 and 74.6 of 100). */
    static const double emails[] = {9.9, 14.94, 1.99, 57.77};
    static const double sms[] = {19.61, 0, 4.23, 50.76};
    static const double pushes[] = {0, 9.92, 2.24, 57.44};
    static const double after[] = {6, 3, 91};            /* comes back, clears, neither */
    static const double ratings[] = {64, 26, 7, 2, 1};   /* 5 to 1 stars, mean 4.5 */
    static const double counts[] = {10, 22, 36, 20, 12}; /* items in a cart, mean 3 */
    set_quota(&gen->verdicts, verdicts, CW_COUNTOF(verdicts));
    set_quota(&gen->outcomes, outcomes, CW_COUNTOF(outcomes));
    set_quota(&gen->emails, emails, CW_COUNTOF(emails));
    set_quota(&gen->sms, sms, CW_COUNTOF(sms));
    set_quota(&gen->pushes, pushes, CW_COUNTOF(pushes));
    set_quota(&gen->after, after, CW_COUNTOF(after));
    set_quota(&gen->ratings, ratings, CW_COUNTOF(ratings));
    set_quota(&gen->counts, counts, CW_COUNTOF(counts));
    for (uint32_t i = 0; i < CW_GEN_CART_ENDS; i++) {
        gen->value_sequence[i] = 0.3 * (i + 1);
    }
}

void cw_gen_journeys_close(struct cw_gen *gen)
{
    struct cw_gen_queue *queues[] = {&gen->free, &gen->rested, &gen->once, &gen->idle, &gen->twice};
    for (uint32_t i = 0; i < CW_COUNTOF(queues); i++) {
        free(queues[i]->list);
    }
    for (uint32_t i = 0; i < CW_GEN_PERSON_KINDS; i++) {
        free(gen->kinds[i].list);
    }
}
