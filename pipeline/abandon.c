/* abandon: one abandonment through the stages of graph.c. Filters stand in filter.c, scoring in
   score.c. */
#include "pipeline/graph.h"

#include <string.h>

/*
 * Canonical content: cartValue, then each item's price, quantity and id in order. Two carts have
 * the same content when these bytes are equal; numbers are binary64, so 150 equals 150.0.
 */
static struct cw_view content_of(struct cw_pipeline *p, const struct cw_event_cart *cart)
{
    uint32_t bytes = sizeof(double);
    for (uint32_t i = 0; i < cart->items_count; i++) {
        bytes += (uint32_t)(sizeof(double) + 2 * sizeof(uint32_t)) + cart->items[i].id.bytes;
    }
    char *content = cw_arena_alloc(&p->scratch, bytes, 1);
    char *to = content;
    memcpy(to, &cart->value, sizeof(double));
    to += sizeof(double);
    for (uint32_t i = 0; i < cart->items_count; i++) {
        const struct cw_event_item *item = &cart->items[i];
        memcpy(to, &item->price, sizeof item->price);
        to += sizeof item->price;
        memcpy(to, &item->quantity, sizeof item->quantity);
        to += sizeof item->quantity;
        memcpy(to, &item->id.bytes, sizeof item->id.bytes);
        to += sizeof item->id.bytes;
        memcpy(to, item->id.data, item->id.bytes);
        to += item->id.bytes;
    }
    return (struct cw_view){content, bytes};
}

static void decide_duplicate(struct cw_pipeline *p, const struct cw_item *item)
{
    struct cw_decision decision;
    cw_decide(p, &decision, CW_DECISION_DUPLICATE, item->program->id, item->customer->id,
              item->event->cart);
}

/*
 * Reads: the dedup entry of the program's key.
 * Writes: content, the entry when its window is open.
 * Drops: DUPLICATE, the same content or a T0 not later than the one known.
 * Cost: one look-up, prefetched with the batch.
 */
enum cw_item_fate cw_look_deduplicate(struct cw_pipeline *p, struct cw_item *item)
{
    item->content = content_of(p, &item->event->u.abandoned);
    item->entry = item->dedup = CW_ROW_NONE;
    if (!item->program->dedup.enabled) {
        return CW_STAGE_GOES_ON;
    }
    char key[CW_TABLE_KEY_BYTES_MAX];
    uint32_t bytes = cw_dedup_key(&item->program->dedup.key, item->program->id, item->customer->id,
                                  item->event->cart, key);
    cw_row row = cw_table_find(p->dedup, cw_table_hash(p->dedup, key, bytes), key, bytes);
    if (row == CW_ROW_NONE) {
        return CW_STAGE_GOES_ON;
    }
    item->entry = row;
    const struct cw_dedup_row *entry = cw_table_value(p->dedup, row);
    if (entry->until <= p->now) {
        return CW_STAGE_GOES_ON;
    }
    item->dedup = row;
    struct cw_view known = {(const char *)(entry + 1), entry->content_bytes};
    item->same_content = cw_view_equal(known, item->content);
    return item->event->time <= entry->t0 || item->same_content ? CW_ITEM_FATE_DUPLICATE
                                                                : CW_STAGE_GOES_ON;
}

enum cw_item_fate cw_stage_deduplicate(struct cw_pipeline *p, struct cw_item *item)
{
    enum cw_item_fate fate = cw_look_deduplicate(p, item);
    if (fate == CW_ITEM_FATE_DUPLICATE) {
        decide_duplicate(p, item);
    }
    return fate;
}

/*
 * Reads: the customer's candidates in flight.
 * Writes: whether this is a new candidate or one abandoned again.
 * Drops: DUPLICATE, again with a T0 not later than the candidate's, or under `ignore`.
 */
enum cw_item_fate cw_look_candidate(struct cw_pipeline *p, struct cw_item *item)
{
    item->candidate = cw_candidate_find(p, item->customer, item->slot, item->event->cart);
    item->again = item->candidate != CW_ROW_NONE;
    if (item->again && (item->event->time <= cw_candidate_at(p, item->candidate)->t0 ||
                        item->program->on_reabandon == CW_REABANDON_IGNORE)) {
        return CW_ITEM_FATE_DUPLICATE;
    }
    item->holdout = false;
    if (!item->again && item->program->holdout_percent > 0) {
        char key[2 * CW_ID_BYTES_MAX + 1];
        struct cw_view program = item->program->id;
        struct cw_view customer = item->customer->id;
        memcpy(key, program.data, program.bytes);
        key[program.bytes] = '\0';
        memcpy(key + program.bytes + 1, customer.data, customer.bytes);
        uint32_t hash = cw_murmur2(key, program.bytes + 1 + customer.bytes) & 0x7fffffffu;
        item->holdout = hash % 10000 < (uint32_t)(item->program->holdout_percent * 100 + 0.5);
    }
    return CW_STAGE_GOES_ON;
}

enum cw_item_fate cw_stage_candidate(struct cw_pipeline *p, struct cw_item *item)
{
    enum cw_item_fate fate = cw_look_candidate(p, item);
    if (fate == CW_ITEM_FATE_DUPLICATE) {
        decide_duplicate(p, item);
    }
    return fate;
}

static void decide_superseded(struct cw_pipeline *p, const struct cw_item *item,
                              struct cw_view cart)
{
    struct cw_decision decision;
    cw_decide(p, &decision, CW_DECISION_SUPERSEDED, item->program->id, item->customer->id, cart);
}

enum cw_standing cw_standing_of(const struct cw_pipeline *p, const struct cw_item *item, cw_row row)
{
    const struct cw_candidate_row *other = cw_candidate_at(p, row);
    if (item->program->on_new_cart == CW_NEW_CART_PARALLEL || other->slot != item->slot ||
        row == item->candidate) {
        return CW_STANDING_APART;
    }
    return other->t0 > item->event->time ? CW_STANDING_STAYS : CW_STANDING_GIVES_WAY;
}

/*
 * Reads: the customer's other candidates of this program.
 * Writes: the others' end, when this one is the later.
 * Drops: SUPERSEDED, when another cart of the customer with a later T0 is in flight; REFUSED, when
 * the customer has too many, or too large ones, in flight.
 */
enum cw_item_fate cw_look_place(struct cw_pipeline *p, struct cw_item *item)
{
    /* Only parallel carts can be so many: of others there is one a program. */
    bool parallel = !item->again && item->program->on_new_cart == CW_NEW_CART_PARALLEL;
    uint64_t bytes = 0;
    if (parallel && item->customer->at->in_flight_count >= CW_IN_FLIGHT_MAX) {
        return CW_ITEM_FATE_REFUSED;
    }
    for (cw_row row = item->customer->at->in_flight; row != CW_ROW_NONE;
         row = cw_candidate_at(p, row)->next) {
        bytes += cw_table_value_bytes(p->candidates, row);
        if (parallel && bytes > CW_IN_FLIGHT_BYTES_MAX) {
            return CW_ITEM_FATE_REFUSED;
        }
        if (cw_standing_of(p, item, row) == CW_STANDING_STAYS) {
            return CW_ITEM_FATE_SUPERSEDED;
        }
    }
    return CW_STAGE_GOES_ON;
}

enum cw_item_fate cw_stage_place(struct cw_pipeline *p, struct cw_item *item)
{
    enum cw_item_fate fate = cw_look_place(p, item);
    if (fate == CW_ITEM_FATE_SUPERSEDED) {
        decide_superseded(p, item, item->event->cart);
    }
    if (fate != CW_STAGE_GOES_ON) {
        return fate;
    }
    for (cw_row row = item->customer->at->in_flight; row != CW_ROW_NONE;) {
        const struct cw_candidate_row *other = cw_candidate_at(p, row);
        cw_row next = other->next;
        if (cw_standing_of(p, item, row) == CW_STANDING_GIVES_WAY) {
            decide_superseded(p, item, cw_candidate_texts(other).cart);
            cw_candidate_end(p, item->customer, row, CW_STATUS_SUPERSEDED);
            p->fates.superseded++;
        }
        row = next;
    }
    return CW_STAGE_GOES_ON;
}

/* Room for the accepted abandonment's entry, without a change of what it says; or none. */
static cw_row reserve_entry(struct cw_pipeline *p, const struct cw_item *item, bool *added)
{
    char key[CW_TABLE_KEY_BYTES_MAX];
    uint32_t bytes = cw_dedup_key(&item->program->dedup.key, item->program->id, item->customer->id,
                                  item->event->cart, key);
    uint32_t value_bytes = (uint32_t)sizeof(struct cw_dedup_row) + item->content.bytes;
    cw_row row =
        cw_table_put(p->dedup, cw_table_hash(p->dedup, key, bytes), key, bytes, value_bytes, added);
    if (row != CW_ROW_NONE && !*added && cw_table_value_bytes(p->dedup, row) < value_bytes) {
        row = cw_table_resize(p->dedup, row, value_bytes);
    }
    return row;
}

/* Leaves the accepted abandonment's entry in the room for it. */
static void write_entry(struct cw_pipeline *p, const struct cw_item *item, cw_row row)
{
    row =
        cw_table_resize(p->dedup, row, (uint32_t)sizeof(struct cw_dedup_row) + item->content.bytes);
    CW_ASSERT(row != CW_ROW_NONE); /* to make a value shorter never fails */
    struct cw_dedup_row *entry = cw_table_edit(p->dedup, row);
    if (!item->again || item->dedup == CW_ROW_NONE) {
        entry->until = p->now + item->program->dedup.ttl_ms;
    }
    entry->t0 = item->event->time;
    entry->content_bytes = item->content.bytes;
    memcpy(entry + 1, item->content.data, item->content.bytes);
}

/* Nothing is left to decide; whether there is room shows when it is written. */
enum cw_item_fate cw_look_store(struct cw_pipeline *p, struct cw_item *item)
{
    (void)p;
    (void)item;
    return CW_STAGE_GOES_ON;
}

/*
 * Reads: everything before. Writes: the candidate's row, both indexes, the dedup entry.
 * Drops: REFUSED, when a table is full.
 */
enum cw_item_fate cw_stage_store(struct cw_pipeline *p, struct cw_item *item)
{
    bool added = false;
    cw_row entry = item->program->dedup.enabled ? reserve_entry(p, item, &added) : CW_ROW_NONE;
    if (item->program->dedup.enabled && entry == CW_ROW_NONE) {
        return CW_ITEM_FATE_REFUSED;
    }
    cw_row row = cw_candidate_write(p, item, item->candidate);
    if (row == CW_ROW_NONE) {
        if (added) { /* else coming again later would be a duplicate of what never was */
            cw_table_remove(p->dedup, entry);
        }
        return CW_ITEM_FATE_REFUSED;
    }
    if (entry != CW_ROW_NONE) {
        write_entry(p, item, entry);
    }
    item->candidate = row;
    return CW_STAGE_GOES_ON;
}

enum cw_item_fate cw_look_schedule(struct cw_pipeline *p, struct cw_item *item)
{
    (void)p;
    return item->again ? CW_ITEM_FATE_UPDATED : CW_ITEM_FATE_CANDIDATE;
}

/* Reads: the stored candidate. Writes: the customer's timer. Ends the path. */
enum cw_item_fate cw_stage_schedule(struct cw_pipeline *p, struct cw_item *item)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, item->candidate);
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    struct cw_decision decision = {
        .u.candidate = {.score = candidate->score,
                        .discount = candidate->discount,
                        .confidence = (enum cw_confidence)candidate->confidence,
                        .updated = item->again,
                        .holdout = candidate->holdout}};
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        if (touches[i].state == CW_TOUCH_PENDING) {
            uint32_t n = decision.u.candidate.touch_count++;
            decision.u.candidate.touches[n].touch = i + 1;
            decision.u.candidate.touches[n].channel = (enum cw_channel)touches[i].channel;
            decision.u.candidate.touches[n].due = touches[i].due;
        }
    }
    cw_customer_arm(p, item->customer, candidate->next_due);
    cw_decide(p, &decision, CW_DECISION_CANDIDATE, item->program->id, item->customer->id,
              item->event->cart);
    enum cw_item_fate fate = cw_look_schedule(p, item);
    if (fate == CW_ITEM_FATE_CANDIDATE) {
        p->fates.created++;
        p->fates.holdouts += candidate->holdout;
        p->fates.planned += candidate->touch_count;
    }
    return fate;
}

static enum cw_item_fate run_item(struct cw_pipeline *p, struct cw_item *item)
{
    for (uint32_t s = 0; s < CW_STAGE_COUNT; s++) {
        enum cw_item_fate fate = cw_graph[s].run(p, item);
        if (fate != CW_STAGE_GOES_ON) {
            CW_ASSERT_HOT((cw_graph[s].fates >> fate & 1u) == 1u);
            p->fates.by_item[fate]++;
            return fate;
        }
    }
    CW_ASSERT(false); /* the last stage ends every path */
    return CW_ITEM_FATE_REFUSED;
}

bool cw_abandon_run(struct cw_pipeline *p, struct cw_customer *customer,
                    const struct cw_event *event)
{
    bool taken = true;
    for (uint64_t left = event->programs; left != 0; left &= left - 1) {
        uint32_t number = (uint32_t)__builtin_ctzll(left);
        struct cw_item item = {.event = event,
                               .program = &p->programs->list[number],
                               .slot = p->slot_of[number],
                               .customer = customer};
        p->fates.items++;
        cw_tell_before(p, event, &item);
        taken &= run_item(p, &item) != CW_ITEM_FATE_REFUSED;
    }
    if (taken) {
        cw_customer_edit(p, customer)->abandonments++;
    }
    return taken;
}
