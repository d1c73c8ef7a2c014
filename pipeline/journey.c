/* journey: what ends a candidate's journey from outside: orders, clearings, updates, opt-outs. */
#include "pipeline/pipeline_priv.h"

#include <stdlib.h>
#include <string.h>

struct chosen {
    cw_row row;
    struct cw_view program, cart;
};

static int by_program_and_cart(const void *a, const void *b)
{
    const struct chosen *x = a;
    const struct chosen *y = b;
    int order = cw_view_compare(x->program, y->program);
    return order != 0 ? order : cw_view_compare(x->cart, y->cart);
}

/*
 * The customer's candidates in flight whose T0 is at most `latest` (of `cart` alone when it is
 * given), by program, then cart. *count says how many; the list is scratch.
 */
static struct chosen *choose(struct cw_pipeline *p, const struct cw_customer *customer,
                             struct cw_view cart, int64_t latest, uint32_t *count)
{
    uint32_t most = customer->at->in_flight_count;
    struct chosen *list = cw_arena_alloc(&p->scratch, (most + 1) * sizeof *list, 8);
    uint32_t hash = cart.data == NULL ? 0 : cw_candidate_hash(p, cart);
    *count = 0;
    for (cw_row row = customer->at->in_flight; row != CW_ROW_NONE;) {
        cw_row at = row;
        const struct cw_candidate_row *candidate = cw_candidate_at(p, at);
        row = candidate->next;
        if (candidate->t0 > latest || (cart.data != NULL && candidate->cart_hash != hash)) {
            continue;
        }
        struct cw_candidate_texts texts = cw_candidate_texts(candidate);
        if (cart.data == NULL || cw_view_equal(cart, texts.cart)) {
            list[(*count)++] = (struct chosen){at, texts.program, texts.cart};
        }
    }
    if (*count > 1) {
        qsort(list, *count, sizeof *list, by_program_and_cart);
    }
    return list;
}

void cw_cancel(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
               enum cw_cancel reason)
{
    struct cw_candidate_texts texts = cw_candidate_texts(cw_candidate_at(p, row));
    struct cw_decision decision = {.u.cancelled = reason};
    cw_candidate_end(p, customer, row, CW_STATUS_CANCELLED);
    p->fates.cancelled[reason]++;
    cw_decide(p, &decision, CW_DECISION_CANCELLED, texts.program, customer->id, texts.cart);
}

static void cancel_all(struct cw_pipeline *p, struct cw_customer *customer, struct cw_view cart,
                       int64_t latest, enum cw_cancel reason)
{
    uint32_t count = 0;
    struct chosen *list = choose(p, customer, cart, latest, &count);
    for (uint32_t i = 0; i < count; i++) {
        cw_cancel(p, customer, list[i].row, reason);
    }
}

void cw_cancel_erased(struct cw_pipeline *p, struct cw_customer *customer)
{
    cancel_all(p, customer, (struct cw_view){0}, INT64_MAX, CW_CANCEL_ERASED);
}

static bool out_of_every_channel(const struct cw_customer *customer,
                                 const struct cw_program *program)
{
    for (uint32_t i = 0; i < program->touch_count; i++) {
        if (!cw_customer_opted_out(customer, program->touches[i].channel)) {
            return false;
        }
    }
    return program->touch_count > 0;
}

void cw_cancel_opted_out(struct cw_pipeline *p, struct cw_customer *customer)
{
    if (customer->at->opted_out == 0 || customer->at->in_flight == CW_ROW_NONE) {
        return;
    }
    uint32_t count = 0;
    struct chosen *list = choose(p, customer, (struct cw_view){0}, INT64_MAX, &count);
    for (uint32_t i = 0; i < count; i++) {
        const struct cw_candidate_row *candidate = cw_candidate_at(p, list[i].row);
        if (out_of_every_channel(customer, cw_candidate_program(p, candidate))) {
            cw_cancel(p, customer, list[i].row, CW_CANCEL_OPTED_OUT);
        }
    }
}

/*
 * Attribution by the order's own time: the last touch clicked in the window, else the last one
 * delivered in it. On a tie the higher touch number.
 */
static uint32_t attribute(const struct cw_candidate_row *candidate, int64_t ordered_at)
{
    if (candidate->holdout) {
        return CW_ATTRIBUTED_HOLDOUT;
    }
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    uint32_t clicked = CW_ATTRIBUTED_ORGANIC;
    uint32_t delivered = CW_ATTRIBUTED_ORGANIC;
    int64_t from = ordered_at - CW_CLICK_WINDOW_MS;
    int64_t last_click = from;
    int64_t last_delivery = from;
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        if (touches[i].attempts == 0) {
            continue;
        }
        int64_t click = touches[i].clicked_at;
        if (click != CW_TIME_NONE && click >= last_click && click <= ordered_at) {
            last_click = click;
            clicked = i + 1;
        }
        /* A send counts as its delivery; one that nobody is sure of does not. */
        int64_t delivery = touches[i].delivered_at;
        if (delivery == CW_TIME_NONE && touches[i].state == CW_TOUCH_SENT) {
            delivery = touches[i].sent_at;
        }
        if ((touches[i].flags & CW_TOUCH_BOUNCED) == 0 && delivery >= last_delivery &&
            delivery <= ordered_at) {
            last_delivery = delivery;
            delivered = i + 1;
        }
    }
    return clicked != CW_ATTRIBUTED_ORGANIC ? clicked : delivered;
}

static void convert(struct cw_pipeline *p, struct cw_customer *customer,
                    const struct cw_event *event, cw_row row)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    struct cw_view currency = event->u.order.currency;
    struct cw_decision decision = {
        .u.converted = {.order = event->u.order.id,
                        .currency = currency.data != NULL ? currency : texts.currency,
                        .revenue = event->u.order.value,
                        .attributed_to = attribute(candidate, event->time)}};
    cw_candidate_end(p, customer, row, CW_STATUS_CONVERTED);
    p->fates.converted++;
    if (decision.u.converted.attributed_to == CW_ATTRIBUTED_HOLDOUT) {
        p->fates.attributed_holdout++;
    } else {
        p->fates.attributed[decision.u.converted.attributed_to]++;
    }
    cw_decide(p, &decision, CW_DECISION_CONVERTED, texts.program, customer->id, texts.cart);
}

void cw_order_placed(struct cw_pipeline *p, struct cw_customer *customer,
                     const struct cw_event *event)
{
    cw_profile_order(p, customer, event);
    if (event->cart.data == NULL) {
        struct cw_customer_row *at = cw_customer_edit(p, customer);
        at->purchased_at = event->time > at->purchased_at ? event->time : at->purchased_at;
        for (cw_row row = customer->at->watched; row != CW_ROW_NONE;) {
            const struct cw_cart_row *cart = cw_cart_at(p, row);
            cw_row next = cart->watched_next;
            if (cart->session_time <= event->time) {
                cw_cart_unwatch(p, customer, row);
            }
            row = next;
        }
    } else {
        cw_row row;
        const struct cw_cart_row *cart = cw_cart_make(p, customer, event->cart, &row);
        if (cart == NULL) {
            p->fates.not_remembered++;
        } else {
            if (event->time > cart->purchased_at) {
                cw_cart_edit(p, row)->purchased_at = event->time;
            }
            if (cart->session_time <= event->time) {
                cw_cart_unwatch(p, customer, row);
            }
        }
    }
    uint32_t count = 0;
    struct chosen *list = choose(p, customer, event->cart, event->time, &count);
    for (uint32_t i = 0; i < count; i++) {
        convert(p, customer, event, list[i].row);
    }
}

void cw_cart_cleared(struct cw_pipeline *p, struct cw_customer *customer,
                     const struct cw_event *event)
{
    cw_row row;
    const struct cw_cart_row *cart = cw_cart_make(p, customer, event->cart, &row);
    if (cart == NULL) {
        p->fates.not_remembered++;
    } else {
        if (event->time > cart->cleared_at) {
            cw_cart_edit(p, row)->cleared_at = event->time;
        }
        if (cart->session_time <= event->time) {
            cw_cart_unwatch(p, customer, row);
        }
    }
    cancel_all(p, customer, event->cart, event->time, CW_CANCEL_CART_CLEARED);
}

/* The customer is back: leaving again is a new abandonment. */
static void forget_entries(struct cw_pipeline *p, const struct cw_customer *customer,
                           const struct cw_event *event)
{
    char key[CW_TABLE_KEY_BYTES_MAX];
    for (uint32_t i = 0; i < p->programs->count; i++) {
        const struct cw_program *program = &p->programs->list[i];
        uint32_t bytes =
            cw_dedup_key(&program->dedup.key, program->id, customer->id, event->cart, key);
        cw_row row = cw_table_find(p->dedup, cw_table_hash(p->dedup, key, bytes), key, bytes);
        if (row != CW_ROW_NONE &&
            ((const struct cw_dedup_row *)cw_table_value(p->dedup, row))->t0 < event->time) {
            cw_table_remove(p->dedup, row);
        }
    }
}

/* Arms the session timers of the programs that watch, unless a later fact says it is over. */
static void arm_sessions(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                         int64_t time)
{
    struct cw_cart_row *cart = cw_cart_edit(p, row);
    uint64_t slots = 0;
    int64_t due = INT64_MAX;
    cw_cart_unwatch(p, customer, row);
    cart->session_time = time;
    for (uint32_t i = 0; i < p->programs->count; i++) {
        const struct cw_program *program = &p->programs->list[i];
        if (program->session_timeout_ms == 0 || !program->enabled ||
            cw_fact_counts(p, program, cart->purchased_at, time) ||
            cw_fact_counts(p, program, customer->at->purchased_at, time) ||
            cw_fact_counts(p, program, cart->cleared_at, time) ||
            cw_fact_counts(p, program, cart->abandoned_at, time)) {
            continue;
        }
        slots |= UINT64_C(1) << p->slot_of[i];
        int64_t end = time + program->session_timeout_ms;
        due = end < due ? end : due;
    }
    if (slots == 0) {
        return;
    }
    if (!cw_cart_watch(p, customer, row, slots)) {
        p->fates.not_remembered++;
        return;
    }
    cw_customer_arm(p, customer, due);
}

/* The cart's last content is the latest by its own time, whatever came without any since. False
   when there is no room for it. */
static bool learn_content(struct cw_pipeline *p, struct cw_customer *customer, cw_row *row,
                          const struct cw_event *event)
{
    const struct cw_event_cart *content = &event->u.abandoned;
    if (content->raw.data == NULL || !content->has_items || !(content->value >= 0) ||
        event->time < cw_cart_at(p, *row)->raw_time) {
        return true;
    }
    if (!cw_cart_set_raw(p, customer, row, content->raw)) {
        return false;
    }
    cw_cart_edit(p, *row)->raw_time = event->time;
    return true;
}

void cw_cart_updated(struct cw_pipeline *p, struct cw_customer *customer,
                     const struct cw_event *event)
{
    cw_row row;
    const struct cw_cart_row *cart = cw_cart_make(p, customer, event->cart, &row);
    bool latest = cart != NULL && event->time >= cart->updated_at;
    if (cart == NULL) {
        p->fates.not_remembered++;
    } else if (event->time > cart->updated_at) {
        cw_cart_edit(p, row)->updated_at = event->time;
    }
    cancel_all(p, customer, event->cart, event->time - 1, CW_CANCEL_ACTIVE_AGAIN);
    forget_entries(p, customer, event);
    if (cart != NULL && !learn_content(p, customer, &row, event)) {
        p->fates.not_remembered++;
    } else if (latest) {
        arm_sessions(p, customer, row, event->time);
    }
}

void cw_cart_abandoned(struct cw_pipeline *p, struct cw_customer *customer,
                       const struct cw_event *event)
{
    /* Only where sessions are watched is the time of an abandonment asked for later. */
    if (!p->watches_sessions) {
        return;
    }
    cw_row row;
    const struct cw_cart_row *cart = cw_cart_make(p, customer, event->cart, &row);
    if (cart == NULL) {
        p->fates.not_remembered++;
        return;
    }
    if (event->time > cart->abandoned_at) {
        cw_cart_edit(p, row)->abandoned_at = event->time;
    }
    if (event->time >= cart->session_time) {
        cw_cart_unwatch(p, customer, row);
    }
}
