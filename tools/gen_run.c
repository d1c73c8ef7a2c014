/*
 * gen: the turn of time. Carts are planned a little ahead of the events that are written, so that
 * what belongs before an abandonment can still come before it; all planned events wait in a heap
 * ordered by arrival.
 */
#include "core/json.h"
#include "tools/gen_priv.h"

#include <stdlib.h>

/* Nothing is planned longer than this before its cart is left; see cw_gen_person_new. */
#define LEAD_MS           (32 * CW_HOUR_MS)
#define FIRST_CART_MS     CW_HOUR_MS
#define EVENTS_PER_CART   7.2 /* measured; how many carts an --events run is spread over */
#define CARTS_PER_DAY_MAX 33334u

/* Share of a day's carts per hour (UTC), over all markets together. */
static const double day_shape[24] = {0.9,  0.85, 0.8,  0.75, 0.7,  0.7,  0.75, 0.85,
                                     0.95, 1.0,  1.05, 1.1,  1.15, 1.15, 1.15, 1.15,
                                     1.2,  1.2,  1.2,  1.25, 1.2,  1.1,  1.0,  0.85};

struct cw_gen_options cw_gen_defaults(void)
{
    return (struct cw_gen_options){
        .carts = 1000,
        .seed = 1,
        .start_ms = INT64_C(1767571200000), /* Monday 2026-01-05T00:00:00Z */
        .program = CW_VIEW("abandoned-cart-recovery"),
        .products = 500,
        .late_percent = 1,
        .duplicate_percent = 1,
    };
}

/* ---- the heap ---- */

static bool earlier(const struct cw_gen_event *a, const struct cw_gen_event *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->number < b->number;
}

static void heap_add(struct cw_gen *gen, struct cw_gen_event event)
{
    if (gen->heap_count == gen->heap_capacity) {
        gen->heap_capacity = gen->heap_capacity == 0 ? 4096 : gen->heap_capacity * 2;
        gen->heap = realloc(gen->heap, gen->heap_capacity * sizeof *gen->heap);
        CW_ASSERT(gen->heap != NULL);
    }
    size_t place = gen->heap_count++;
    while (place > 0 && earlier(&event, &gen->heap[(place - 1) / 4])) {
        gen->heap[place] = gen->heap[(place - 1) / 4];
        place = (place - 1) / 4;
    }
    gen->heap[place] = event;
}

static struct cw_gen_event heap_take(struct cw_gen *gen)
{
    struct cw_gen_event first = gen->heap[0];
    struct cw_gen_event last = gen->heap[--gen->heap_count];
    size_t place = 0;
    for (;;) { /* down one level a turn */
        size_t child = place * 4 + 1;
        size_t end = child + 4 < gen->heap_count ? child + 4 : gen->heap_count;
        size_t least = child;
        for (size_t i = child + 1; i < end; i++) {
            least = earlier(&gen->heap[i], &gen->heap[least]) ? i : least;
        }
        if (child >= end || earlier(&last, &gen->heap[least])) {
            break;
        }
        gen->heap[place] = gen->heap[least];
        place = least;
    }
    gen->heap[place] = last;
    return first;
}

static bool has_journey(const struct cw_gen_event *event)
{
    return event->kind != CW_GEN_CUSTOMER_UPDATED && event->kind != CW_GEN_INVENTORY_CHANGED;
}

void cw_gen_push(struct cw_gen *gen, struct cw_gen_event event, int64_t slack_ms)
{
    event.number = gen->event_number++;
    if (event.at_ms == 0) {
        event.at_ms = event.time_ms + cw_gen_between(&gen->rng, 20, 1500);
        double late = gen->options->late_percent / 100;
        if (cw_gen_unit(&gen->rng) < late && slack_ms > CW_MINUTE_MS) {
            event.at_ms += cw_gen_soon(&gen->rng, 30 * CW_SECOND_MS, slack_ms - 2 * CW_SECOND_MS);
            event.late = true;
        }
    }
    heap_add(gen, event);
    uint32_t copies = 1;
    if (cw_gen_unit(&gen->rng) < gen->options->duplicate_percent / 100) {
        struct cw_gen_event copy = event;
        copy.at_ms += cw_gen_soon(&gen->rng, CW_SECOND_MS, 2 * CW_HOUR_MS);
        copy.repeat = true;
        copy.late = false;
        heap_add(gen, copy);
        copies++;
    }
    if (has_journey(&event)) {
        gen->journeys[event.journey].pending += copies;
    }
}

uint32_t cw_gen_journey_new(struct cw_gen *gen)
{
    if (gen->journeys_free_count > 0) {
        uint32_t number = gen->journeys_free[--gen->journeys_free_count];
        gen->journeys[number] = (struct cw_gen_journey){0};
        return number;
    }
    if (gen->journey_count == gen->journey_capacity) {
        gen->journey_capacity = gen->journey_capacity == 0 ? 1024 : gen->journey_capacity * 2;
        gen->journeys = realloc(gen->journeys, gen->journey_capacity * sizeof *gen->journeys);
        gen->journeys_free =
            realloc(gen->journeys_free, gen->journey_capacity * sizeof *gen->journeys_free);
        CW_ASSERT(gen->journeys != NULL && gen->journeys_free != NULL);
    }
    gen->journeys[gen->journey_count] = (struct cw_gen_journey){0};
    return gen->journey_count++;
}

/* ---- what a replay will count, told by the events as they are written ---- */

static const int64_t delays_ms[CW_GEN_TOUCHES] = {CW_HOUR_MS, 24 * CW_HOUR_MS, 72 * CW_HOUR_MS};

/* The touches that were counted as sent and will not be. */
static void end_journey(struct cw_gen *gen, struct cw_gen_journey *journey, int64_t now_ms)
{
    journey->flags &= (uint8_t)~CW_GEN_IN_FLIGHT;
    for (uint32_t i = 0; i < CW_GEN_TOUCHES; i++) {
        gen->plan.sent[i] -= journey->base_ms + delays_ms[i] >= now_ms;
    }
}

static void count_abandoned(struct cw_gen *gen, struct cw_gen_journey *journey, uint8_t which)
{
    struct cw_gen_plan *plan = &gen->plan;
    if (which == CW_GEN_ABANDONED_DUPLICATE) {
        plan->duplicates++;
    } else if (which == CW_GEN_ABANDONED_AGAIN) {
        plan->updated++;
    } else if (journey->verdict == CW_GEN_UNMATCHED) {
        plan->unmatched++;
    } else {
        plan->abandonments++;
        plan->verdicts[journey->verdict]++;
        if (journey->verdict == CW_GEN_PASS) {
            journey->flags |= CW_GEN_IN_FLIGHT;
            plan->superseded += (journey->flags & CW_GEN_SUPERSEDES) != 0;
            plan->candidate_cents += journey->value_cents;
            for (uint32_t i = 0; i < CW_GEN_TOUCHES; i++) {
                plan->sent[i]++;
            }
        }
    }
}

static uint32_t discount_cents(const struct cw_gen_journey *journey)
{
    uint32_t percent = (journey->flags & CW_GEN_USES_CODE) != 0 ? journey->discount_percent : 0;
    return (journey->value_cents * percent + 50) / 100;
}

static void count_order(struct cw_gen *gen, struct cw_gen_journey *journey, int64_t now_ms)
{
    struct cw_gen_plan *plan = &gen->plan;
    plan->orders++;
    if ((journey->flags & CW_GEN_IN_FLIGHT) == 0) {
        return;
    }
    end_journey(gen, journey, now_ms);
    if (journey->attributed == 0) {
        plan->organic++;
        return;
    }
    plan->converted[journey->attributed - 1]++;
    plan->recovered_gross_cents += journey->value_cents;
    plan->recovered_cents += journey->value_cents - discount_cents(journey);
}

static void count_refund(struct cw_gen *gen, const struct cw_gen_journey *journey)
{
    uint32_t paid = journey->value_cents - discount_cents(journey);
    gen->plan.refunds++;
    gen->plan.refunded_cents += (journey->flags & CW_GEN_REFUND_HALF) != 0 ? paid / 2 : paid;
}

static void count(struct cw_gen *gen, const struct cw_gen_event *event)
{
    struct cw_gen_plan *plan = &gen->plan;
    plan->late += event->late;
    if (event->repeat) {
        plan->repeated++;
        return;
    }
    if (!has_journey(event)) {
        return;
    }
    struct cw_gen_journey *journey = &gen->journeys[event->journey];
    bool back = (journey->flags & CW_GEN_IN_FLIGHT) != 0 && event->time_ms > journey->base_ms;
    switch ((enum cw_gen_kind)event->kind) {
    case CW_GEN_CART_UPDATED:
        if (back) {
            plan->active_again++;
            end_journey(gen, journey, event->time_ms);
        }
        break;
    case CW_GEN_CART_CLEARED:
        if (back) {
            plan->cleared++;
            end_journey(gen, journey, event->time_ms);
        }
        break;
    case CW_GEN_CART_ABANDONED: count_abandoned(gen, journey, event->arg); break;
    case CW_GEN_ORDER_PLACED: count_order(gen, journey, event->time_ms); break;
    case CW_GEN_ORDER_REFUNDED: count_refund(gen, journey); break;
    case CW_GEN_DELIVERED: plan->delivered[event->arg - 1]++; break;
    case CW_GEN_BOUNCED: plan->bounced[event->arg - 1]++; break;
    case CW_GEN_OPENED: plan->opened[event->arg - 1]++; break;
    case CW_GEN_CLICKED: plan->clicked[event->arg - 1]++; break;
    case CW_GEN_COMPLAINED: plan->complained++; break;
    case CW_GEN_UNSUBSCRIBED: plan->unsubscribed++; break;
    case CW_GEN_FEEDBACK:
        plan->feedback++;
        plan->rating_sum += journey->rating;
        break;
    case CW_GEN_CUSTOMER_UPDATED:
    case CW_GEN_INVENTORY_CHANGED:
    case CW_GEN_KIND_COUNT: break;
    }
}

/* ---- the turn ---- */

struct output {
    void (*line)(void *self, struct cw_view view);
    void *self;
    uint64_t limit;
};

/* Writes events that arrive before this; false when there are as many lines as were asked for. */
static bool write_until(struct cw_gen *gen, int64_t before_ms, const struct output *output)
{
    while (gen->heap_count > 0 && gen->heap[0].at_ms < before_ms) {
        struct cw_gen_event event = heap_take(gen);
        cw_text_clear(&gen->text);
        cw_gen_event_write(gen, &event);
        memset(cw_text_room(&gen->text, CW_JSON_PADDING), 0, CW_JSON_PADDING);
        output->line(output->self, (struct cw_view){gen->text.data, (uint32_t)gen->text.bytes - 1});
        count(gen, &event);
        if (has_journey(&event) && --gen->journeys[event.journey].pending == 0) {
            gen->journeys_free[gen->journeys_free_count++] = event.journey;
        }
        if (++gen->plan.events == output->limit) {
            return false;
        }
    }
    return true;
}

/* The time of day by which this share of a day's carts was left. */
static double hour_of(double share)
{
    double sum = 0;
    for (uint32_t i = 0; i < CW_COUNTOF(day_shape); i++) {
        sum += day_shape[i];
    }
    double rest = share * sum;
    uint32_t hour = 0;
    while (hour < 23 && rest >= day_shape[hour]) {
        rest -= day_shape[hour];
        hour++;
    }
    double part = rest / day_shape[hour];
    return hour + (part < 1 ? part : 1);
}

static int64_t cart_time(struct cw_gen *gen, uint64_t number, double per_day)
{
    double at = ((double)number + cw_gen_unit(&gen->rng)) / per_day;
    double day = (double)(uint64_t)at;
    double ms = (day * 24 + hour_of(at - day)) * (double)CW_HOUR_MS;
    return gen->options->start_ms + FIRST_CART_MS + (int64_t)ms;
}

static void turn(struct cw_gen *gen, uint64_t carts, uint32_t days, const struct output *output)
{
    const struct cw_gen_options *options = gen->options;
    /* The first hour has no carts, so the rest of the days have to do. */
    double per_day = (double)carts / (days - 1.0 / 24);
    bool more = true;
    cw_gen_plan_start(gen);
    for (uint64_t i = 0; more && (i < carts || options->events > 0); i++) {
        int64_t t0 = cart_time(gen, i, per_day);
        more = write_until(gen, t0 - LEAD_MS, output);
        double share = (double)(i + 1) / (double)carts;
        while (more && gen->person_count < (share < 1 ? share : 1) * (double)options->customers) {
            cw_gen_plan_customer(gen, t0);
        }
        if (more) {
            cw_gen_plan_cart(gen, t0);
        }
    }
    if (more) {
        (void)write_until(gen, INT64_MAX, output);
    }
}

void cw_gen_run(const struct cw_gen_options *options, void (*line)(void *self, struct cw_view view),
                void *self)
{
    CW_ASSERT(options->events <= CW_GEN_EVENTS_MAX && options->carts <= CW_GEN_CARTS_MAX);
    CW_ASSERT(options->events > 0 || options->carts > 0);
    CW_ASSERT(options->customers <= CW_GEN_CUSTOMERS_MAX && options->days <= CW_GEN_DAYS_MAX);
    CW_ASSERT(options->products >= CW_GEN_PRODUCTS_MIN);
    CW_ASSERT(options->products <= CW_GEN_PRODUCTS_MAX);
    CW_ASSERT(options->late_percent >= 0 && options->late_percent <= 50);
    CW_ASSERT(options->duplicate_percent >= 0 && options->duplicate_percent <= 50);
    struct cw_gen gen = {.options = options};
    uint64_t carts = options->carts;
    if (options->events > 0) {
        carts = 1 + (uint64_t)((double)options->events / EVENTS_PER_CART);
    }
    uint32_t days = options->days;
    if (days == 0) {
        days = carts / 30 < CARTS_PER_DAY_MAX ? 30 : (uint32_t)(carts / CARTS_PER_DAY_MAX);
    }
    cw_gen_seed(&gen.rng, options->seed);
    cw_gen_shop_open(&gen);
    cw_gen_journeys_open(&gen);
    turn(&gen, carts, days, &(struct output){line, self, options->events});
    const struct cw_gen_plan *p = &gen.plan;
    gen.plan.expired = p->verdicts[CW_GEN_PASS] - p->superseded - p->active_again - p->cleared -
                       p->organic - p->converted[0] - p->converted[1] - p->converted[2];
    if (options->plan != NULL) {
        *options->plan = gen.plan;
    }
    cw_gen_journeys_close(&gen);
    cw_gen_shop_close(&gen);
    free(gen.heap);
    free(gen.journeys);
    free(gen.journeys_free);
    cw_text_deinit(&gen.text);
}
