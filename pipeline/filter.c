/* filter: the five filters of the chain, each a pure question about an item. */
#include "pipeline/graph.h"

#include <math.h>

static enum cw_rejection trust(const struct cw_item *item, const struct cw_filter *filter)
{
    const struct cw_customer_row *customer = item->customer->at;
    if (!customer->known) {
        return filter->allow_unknown ? CW_REJECTION_NONE : CW_REJECTION_UNKNOWN_CUSTOMER;
    }
    if (customer->account_status != CW_ACCOUNT_ACTIVE) {
        return CW_REJECTION_ACCOUNT_NOT_ACTIVE;
    }
    if (filter->require_payment_method && !customer->payment_method) {
        return CW_REJECTION_NO_PAYMENT_METHOD;
    }
    return CW_REJECTION_NONE;
}

/* A fact at or after T0 counts while the program remembers it (decision D19). */
static bool known_since(const struct cw_pipeline *p, const struct cw_item *item, int64_t fact,
                        int64_t since)
{
    return fact != CW_TIME_NONE && fact >= since && p->now < fact + cw_facts_ms(item->program);
}

static bool listed(const struct cw_program *program, struct cw_view marketplace)
{
    for (uint32_t i = 0; i < program->marketplace_count; i++) {
        if (cw_view_equal(program->marketplaces[i], marketplace)) {
            return true;
        }
    }
    return program->marketplace_count == 0 || marketplace.data == NULL;
}

static enum cw_rejection eligibility(struct cw_pipeline *p, const struct cw_item *item)
{
    const struct cw_customer *customer = item->customer;
    int64_t t0 = item->event->time;
    cw_row row;
    const struct cw_cart_row *cart = cw_cart_find(p, customer->id, item->event->cart, &row);
    if (known_since(p, item, customer->at->purchased_at, t0) ||
        (cart != NULL && known_since(p, item, cart->purchased_at, t0))) {
        return CW_REJECTION_PURCHASED;
    }
    if (cart != NULL && (known_since(p, item, cart->cleared_at, t0) ||
                         known_since(p, item, cart->updated_at, t0 + 1))) {
        return CW_REJECTION_CART_NOT_ACTIVE;
    }
    if (p->now >= t0 + item->program->candidate_ttl_ms) {
        return CW_REJECTION_CART_EXPIRED;
    }
    if (!listed(item->program,
                cw_customer_marketplace(customer, item->event->u.abandoned.marketplace))) {
        return CW_REJECTION_MARKETPLACE;
    }
    bool address = false;
    for (uint32_t i = 0; i < item->program->touch_count; i++) {
        enum cw_channel channel = item->program->touches[i].channel;
        if (cw_customer_has_address(customer, channel)) {
            address = true;
            if (!cw_customer_opted_out(customer, channel)) {
                return CW_REJECTION_NONE;
            }
        }
    }
    return address ? CW_REJECTION_OPTED_OUT : CW_REJECTION_NO_ADDRESS;
}

/* Touches still to come of the customer's other candidates in flight that a cap counts. */
static uint32_t pending(const struct cw_pipeline *p, const struct cw_item *item, uint32_t cap)
{
    uint32_t count = 0;
    for (cw_row row = item->customer->at->in_flight; row != CW_ROW_NONE;) {
        struct cw_candidate_row *other = cw_candidate_at(p, row);
        bool gives_way = item->program->on_new_cart == CW_NEW_CART_SUPERSEDE &&
                         other->slot == item->slot && other->t0 <= item->event->time;
        if (row != item->candidate && !gives_way) {
            for (uint32_t channel = 0; channel < CW_CHANNEL_COUNT; channel++) {
                count += cap == CW_CAP_MESSAGES || cap == channel ? other->pending[channel] : 0;
            }
        }
        row = other->next;
    }
    return count;
}

static enum cw_rejection rule(struct cw_pipeline *p, const struct cw_item *item,
                              const struct cw_filter *filter)
{
    const struct cw_event_cart *cart = &item->event->u.abandoned;
    struct cw_view market = cw_customer_marketplace(item->customer, cart->marketplace);
    double bound;
    if (cw_by_market_get(&filter->minimum, market, &bound) && cart->value < bound) {
        return CW_REJECTION_BELOW_MINIMUM;
    }
    for (uint32_t cap = 0; cap < CW_CAP_COUNT; cap++) {
        if (cw_by_market_get(&filter->caps[cap], market, &bound) &&
            cw_sends_count(p, item->customer, cap) + pending(p, item, cap) >= bound) {
            return CW_REJECTION_FREQUENCY_CAP;
        }
    }
    for (uint32_t i = 0; filter->require_in_stock && i < cart->items_count; i++) {
        if (!cw_product_in_stock(p, cw_product_find(p, cart->items[i].id),
                                 cart->items[i].quantity)) {
            return CW_REJECTION_OUT_OF_STOCK;
        }
    }
    return CW_REJECTION_NONE;
}

enum cw_rejection cw_filter_verdict(struct cw_pipeline *p, const struct cw_item *item,
                                    const struct cw_filter *filter)
{
    switch (filter->type) {
    case CW_FILTER_TRUST: return trust(item, filter);
    case CW_FILTER_ELIGIBILITY: return eligibility(p, item);
    case CW_FILTER_RULE: return rule(p, item, filter);
    }
    CW_ASSERT(false);
    return CW_REJECTION_NONE;
}

cw_row cw_product_find(const struct cw_pipeline *p, struct cw_view id)
{
    uint64_t hash = cw_table_hash(p->products, id.data, id.bytes);
    return cw_table_find(p->products, hash, id.data, id.bytes);
}

bool cw_product_in_stock(const struct cw_pipeline *p, cw_row product, uint32_t quantity)
{
    if (product == CW_ROW_NONE) {
        return true; /* an unknown product counts as in stock */
    }
    const struct cw_product_row *row = cw_table_value(p->products, product);
    return row->available >= (int64_t)quantity;
}

/*
 * Reads: the customer's row, the cart's row, products. Writes: the verdict; a candidate abandoned
 * again that fails ends. Drops: REJECTED, by the first filter that fails.
 * Cost: the cart's row and one look-up per item, prefetched.
 */
enum cw_item_fate cw_stage_filter(struct cw_pipeline *p, struct cw_item *item)
{
    for (uint32_t i = 0; i < item->program->filter_count; i++) {
        const struct cw_filter *filter = &item->program->filters[i];
        enum cw_rejection reason = cw_filter_verdict(p, item, filter);
        if (reason == CW_REJECTION_NONE) {
            continue;
        }
        item->filter = filter->id;
        item->rejection = reason;
        p->fates.rejections[reason]++;
        if (item->again) {
            cw_candidate_end(p, item->customer, item->candidate, CW_STATUS_REJECTED);
            p->fates.rejected++;
        }
        struct cw_decision decision = {.u.rejected = {.filter = filter->id, .reason = reason}};
        cw_decide(p, &decision, CW_DECISION_REJECTED, item->program->id, item->customer->id,
                  item->event->cart);
        return CW_ITEM_FATE_REJECTED;
    }
    return CW_STAGE_GOES_ON;
}
