/* filter: the five filters of the chain, each a pure question about an item. */
#include "pipeline/graph.h"

#include <math.h>

/* Trust: of a customer who is let through unknown nothing more is asked. */
static bool passes_known(const struct cw_filter_look *look)
{
    return look->item->customer->at->known || look->filter->allow_unknown;
}

static bool passes_account(const struct cw_filter_look *look)
{
    const struct cw_customer_row *customer = look->item->customer->at;
    return !customer->known || customer->account_status == CW_ACCOUNT_ACTIVE;
}

static bool passes_payment(const struct cw_filter_look *look)
{
    const struct cw_customer_row *customer = look->item->customer->at;
    return !customer->known || !look->filter->require_payment_method || customer->payment_method;
}

/* Eligibility. */
static bool since(const struct cw_filter_look *look, int64_t fact, int64_t time)
{
    return cw_fact_counts(look->p, look->item->program, fact, time);
}

static bool passes_purchased(const struct cw_filter_look *look)
{
    int64_t t0 = look->item->event->time;
    return !since(look, look->item->customer->at->purchased_at, t0) &&
           (look->cart == NULL || !since(look, look->cart->purchased_at, t0));
}

static bool passes_active(const struct cw_filter_look *look)
{
    int64_t t0 = look->item->event->time;
    return look->cart == NULL || (!since(look, look->cart->cleared_at, t0) &&
                                  !since(look, look->cart->updated_at, t0 + 1));
}

static bool passes_expired(const struct cw_filter_look *look)
{
    const struct cw_item *item = look->item;
    return look->p->now < item->event->time + item->program->candidate_ttl_ms;
}

static struct cw_view market_of(const struct cw_item *item)
{
    return cw_customer_marketplace(item->customer, item->event->u.abandoned.marketplace);
}

static bool passes_marketplace(const struct cw_filter_look *look)
{
    const struct cw_program *program = look->item->program;
    struct cw_view market = market_of(look->item);
    for (uint32_t i = 0; i < program->marketplace_count; i++) {
        if (cw_view_equal(program->marketplaces[i], market)) {
            return true;
        }
    }
    return program->marketplace_count == 0 || market.data == NULL;
}

static bool passes_address(const struct cw_filter_look *look)
{
    const struct cw_program *program = look->item->program;
    for (uint32_t i = 0; i < program->touch_count; i++) {
        if (cw_customer_has_address(look->item->customer, program->touches[i].channel)) {
            return true;
        }
    }
    return false;
}

static bool passes_consent(const struct cw_filter_look *look)
{
    const struct cw_program *program = look->item->program;
    for (uint32_t i = 0; i < program->touch_count; i++) {
        enum cw_channel channel = program->touches[i].channel;
        if (cw_customer_has_address(look->item->customer, channel) &&
            !cw_customer_opted_out(look->item->customer, channel)) {
            return true;
        }
    }
    return false;
}

/* Business rules. */
static bool passes_minimum(const struct cw_filter_look *look)
{
    double bound;
    return !cw_by_market_get(&look->filter->minimum, market_of(look->item), &bound) ||
           look->item->event->u.abandoned.value >= bound;
}

/* Touches still to come of the customer's other candidates in flight that a cap counts. */
static uint32_t pending(const struct cw_pipeline *p, const struct cw_item *item, uint32_t cap)
{
    uint32_t count = 0;
    for (cw_row row = item->customer->at->in_flight; row != CW_ROW_NONE;) {
        const struct cw_candidate_row *other = cw_candidate_at(p, row);
        if (row != item->candidate && cw_standing_of(p, item, row) != CW_STANDING_GIVES_WAY) {
            for (uint32_t channel = 0; channel < CW_CHANNEL_COUNT; channel++) {
                count += cap == CW_CAP_MESSAGES || cap == channel ? other->pending[channel] : 0;
            }
        }
        row = other->next;
    }
    return count;
}

struct cw_cap_look cw_cap_look(const struct cw_filter_look *look, uint32_t cap)
{
    struct cw_cap_look found = {0};
    found.set = cw_by_market_get(&look->filter->caps[cap], market_of(look->item), &found.most);
    if (found.set) {
        found.sent = cw_sends_count(look->p, look->item->customer, cap);
        found.pending = pending(look->p, look->item, cap);
    }
    return found;
}

static bool passes_caps(const struct cw_filter_look *look)
{
    for (uint32_t cap = 0; cap < CW_CAP_COUNT; cap++) {
        struct cw_cap_look found = cw_cap_look(look, cap);
        if (cw_cap_reached(&found)) {
            return false;
        }
    }
    return true;
}

static bool passes_stock(const struct cw_filter_look *look)
{
    const struct cw_event_cart *cart = &look->item->event->u.abandoned;
    for (uint32_t i = 0; look->filter->require_in_stock && i < cart->items_count; i++) {
        if (!cw_product_in_stock(look->p, cw_product_find(look->p, cart->items[i].id),
                                 cart->items[i].quantity)) {
            return false;
        }
    }
    return true;
}

const struct cw_check_row cw_checks[CW_CHECK_COUNT] = {
#define CW_X(type, name, reason) {CW_FILTER_##type, #name, CW_REJECTION_##reason},
    CW_FILTER_CHECKS(CW_X)
#undef CW_X
};

bool cw_check_passes(enum cw_check check, const struct cw_filter_look *look)
{
    switch (check) {
#define CW_X(type, name, reason) \
    case CW_CHECK_##name: return passes_##name(look);
        CW_FILTER_CHECKS(CW_X)
#undef CW_X
    case CW_CHECK_COUNT: break;
    }
    CW_ASSERT(false);
    return false;
}

struct cw_filter_look cw_filter_look(struct cw_pipeline *p, const struct cw_item *item,
                                     const struct cw_filter *filter)
{
    struct cw_filter_look look = {.p = p, .item = item, .filter = filter};
    if (filter->type == CW_FILTER_ELIGIBILITY) {
        cw_row row;
        look.cart = cw_cart_find(p, item->customer->id, item->event->cart, &row);
    }
    return look;
}

enum cw_rejection cw_filter_verdict(struct cw_pipeline *p, const struct cw_item *item,
                                    const struct cw_filter *filter)
{
    struct cw_filter_look look = cw_filter_look(p, item, filter);
#define CW_X(kind, name, reason)                                     \
    if (filter->type == CW_FILTER_##kind && !passes_##name(&look)) { \
        return CW_REJECTION_##reason;                                \
    }
    CW_FILTER_CHECKS(CW_X)
#undef CW_X
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
enum cw_item_fate cw_look_filter(struct cw_pipeline *p, struct cw_item *item)
{
    for (uint32_t i = 0; i < item->program->filter_count; i++) {
        const struct cw_filter *filter = &item->program->filters[i];
        item->rejection = cw_filter_verdict(p, item, filter);
        if (item->rejection != CW_REJECTION_NONE) {
            item->filter = filter->id;
            return CW_ITEM_FATE_REJECTED;
        }
    }
    return CW_STAGE_GOES_ON;
}

enum cw_item_fate cw_stage_filter(struct cw_pipeline *p, struct cw_item *item)
{
    enum cw_item_fate fate = cw_look_filter(p, item);
    if (fate != CW_ITEM_FATE_REJECTED) {
        return fate;
    }
    p->fates.rejections[item->rejection]++;
    if (item->again) {
        cw_candidate_end(p, item->customer, item->candidate, CW_STATUS_REJECTED);
        p->fates.rejected++;
    }
    struct cw_decision decision = {
        .u.rejected = {.filter = item->filter, .reason = item->rejection}};
    cw_decide(p, &decision, CW_DECISION_REJECTED, item->program->id, item->customer->id,
              item->event->cart);
    return fate;
}
