/* store_candidate: candidates in the store: their layout, lists, both indexes and message ids. */
#include "pipeline/pipeline_priv.h"

#include <math.h>
#include <string.h>

#define NO_IMAGE UINT32_MAX

const struct cw_touch_row *cw_candidate_touches(const struct cw_candidate_row *candidate)
{
    return (const struct cw_touch_row *)(candidate + 1);
}

const struct cw_item_row *cw_candidate_items(const struct cw_candidate_row *candidate)
{
    return (const struct cw_item_row *)(cw_candidate_touches(candidate) + candidate->touch_count);
}

const struct cw_program *cw_candidate_program(const struct cw_pipeline *p,
                                              const struct cw_candidate_row *candidate)
{
    return p->slots[candidate->slot].program;
}

static struct cw_view take(const char **text, uint32_t bytes)
{
    struct cw_view view = {bytes == 0 ? NULL : *text, bytes};
    *text += bytes;
    return view;
}

struct cw_candidate_texts cw_candidate_texts(const struct cw_candidate_row *candidate)
{
    const char *text = (const char *)(cw_candidate_items(candidate) + candidate->item_count);
    struct cw_candidate_texts texts = {.cart = take(&text, candidate->cart_bytes),
                                       .program = take(&text, candidate->program_bytes),
                                       .currency = take(&text, candidate->currency_bytes),
                                       .marketplace = take(&text, candidate->marketplace_bytes),
                                       .url = take(&text, candidate->url_bytes)};
    texts.items = text;
    return texts;
}

bool cw_candidate_over(const struct cw_pipeline *p, const struct cw_candidate_row *candidate)
{
    return candidate->status >= CW_STATUS_CONVERTED &&
           candidate->ended_at + p->keep_history_ms <= p->now;
}

cw_row cw_candidate_by_serial(const struct cw_pipeline *p, struct cw_view customer, uint32_t serial)
{
    char key[CW_ID_BYTES_MAX + sizeof serial];
    memcpy(key, customer.data, customer.bytes);
    memcpy(key + customer.bytes, &serial, sizeof serial);
    uint32_t bytes = customer.bytes + (uint32_t)sizeof serial;
    cw_row row = cw_table_find(p->candidates, cw_table_hash(p->candidates, key, bytes), key, bytes);
    return row != CW_ROW_NONE && cw_candidate_over(p, cw_candidate_at(p, row)) ? CW_ROW_NONE : row;
}

uint32_t cw_candidate_hash(const struct cw_pipeline *p, struct cw_view cart)
{
    return (uint32_t)cw_table_hash(p->candidates, cart.data, cart.bytes);
}

void cw_candidate_settle(struct cw_pipeline *p, cw_row row)
{
    struct cw_candidate_row *candidate = cw_candidate_link(p, row);
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    int64_t due = candidate->expires_at;
    memset(candidate->pending, 0, sizeof candidate->pending);
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        if (touches[i].state == CW_TOUCH_PENDING) {
            /* One that is tried again, and may have come through, is among the sends already. */
            if ((touches[i].flags & CW_TOUCH_CHARGED) == 0) {
                candidate->pending[touches[i].channel]++;
            }
            due = touches[i].due < due ? touches[i].due : due;
        }
    }
    candidate->next_due = due;
}

cw_row cw_candidate_find(const struct cw_pipeline *p, const struct cw_customer *customer,
                         uint32_t slot, struct cw_view cart)
{
    uint32_t hash = cw_candidate_hash(p, cart);
    for (cw_row row = customer->at->in_flight; row != CW_ROW_NONE;) {
        const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
        if (candidate->slot == slot && candidate->cart_hash == hash &&
            cw_view_equal(cw_candidate_texts(candidate).cart, cart)) {
            return row;
        }
        row = candidate->next;
    }
    return CW_ROW_NONE;
}

static void list_add(struct cw_pipeline *p, struct cw_customer *customer, cw_row *head, cw_row row)
{
    struct cw_candidate_row *candidate = cw_candidate_edit(p, row);
    candidate->listed = ++cw_customer_edit(p, customer)->listings;
    candidate->prev = CW_ROW_NONE;
    candidate->next = *head;
    if (*head != CW_ROW_NONE) {
        cw_candidate_link(p, *head)->prev = row;
    }
    *head = row;
}

static void list_take(struct cw_pipeline *p, cw_row *head, cw_row row)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    if (candidate->next != CW_ROW_NONE) {
        cw_candidate_link(p, candidate->next)->prev = candidate->prev;
    }
    if (candidate->prev != CW_ROW_NONE) {
        cw_candidate_link(p, candidate->prev)->next = candidate->next;
    } else {
        CW_ASSERT_HOT(*head == row);
        *head = candidate->next;
    }
}

/*
 * The indexes. Program:Channel:Score has one list per program, channel of the next touch and
 * hundredth of the score; Program:CartValue:Date one per program, day (modulo 64, more than a
 * candidate lives) and power of two of the value. A query walks the buckets in order and sorts
 * inside one.
 */
static cw_row *score_bucket(struct cw_pipeline *p, const struct cw_candidate_row *candidate)
{
    uint32_t channel = candidate->score_bucket / CW_SCORE_BUCKETS;
    uint32_t score = candidate->score_bucket % CW_SCORE_BUCKETS;
    return &p->index->by_score[candidate->slot][channel][score];
}

static cw_row *value_bucket(struct cw_pipeline *p, const struct cw_candidate_row *candidate)
{
    uint32_t day = candidate->value_bucket / CW_VALUE_CLASSES;
    uint32_t class = candidate->value_bucket % CW_VALUE_CLASSES;
    return &p->index->by_value[candidate->slot][day][class];
}

static uint32_t value_class(double value)
{
    int exponent = 0;
    (void)frexp(value < 1 ? 1 : value, &exponent);
    return exponent < CW_VALUE_CLASSES ? (uint32_t)exponent : CW_VALUE_CLASSES - 1;
}

void cw_candidate_index(struct cw_pipeline *p, cw_row row)
{
    struct cw_candidate_row *candidate = cw_candidate_link(p, row);
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    uint32_t next = 0;
    while (next < candidate->touch_count && touches[next].state != CW_TOUCH_PENDING) {
        next++;
    }
    candidate->score_bucket = CW_BUCKET_NONE;
    if (next < candidate->touch_count) {
        candidate->score_bucket = touches[next].channel * (uint32_t)CW_SCORE_BUCKETS +
                                  (uint32_t)(candidate->score * (CW_SCORE_BUCKETS - 1));
        cw_row *head = score_bucket(p, candidate);
        candidate->score_prev = CW_ROW_NONE;
        candidate->score_next = *head;
        if (*head != CW_ROW_NONE) {
            cw_candidate_link(p, *head)->score_prev = row;
        }
        *head = row;
    }
    uint32_t day = (uint32_t)((candidate->t0 / CW_DAY_MS) % CW_VALUE_DAYS);
    candidate->value_bucket = day * CW_VALUE_CLASSES + value_class(candidate->cart_value);
    cw_row *head = value_bucket(p, candidate);
    candidate->value_prev = CW_ROW_NONE;
    candidate->value_next = *head;
    if (*head != CW_ROW_NONE) {
        cw_candidate_link(p, *head)->value_prev = row;
    }
    *head = row;
}

void cw_candidate_unindex(struct cw_pipeline *p, cw_row row)
{
    struct cw_candidate_row *candidate = cw_candidate_link(p, row);
    if (candidate->score_bucket != CW_BUCKET_NONE) {
        if (candidate->score_next != CW_ROW_NONE) {
            cw_candidate_link(p, candidate->score_next)->score_prev = candidate->score_prev;
        }
        if (candidate->score_prev != CW_ROW_NONE) {
            cw_candidate_link(p, candidate->score_prev)->score_next = candidate->score_next;
        } else {
            *score_bucket(p, candidate) = candidate->score_next;
        }
        candidate->score_bucket = CW_BUCKET_NONE;
    }
    if (candidate->value_bucket != CW_BUCKET_NONE) {
        if (candidate->value_next != CW_ROW_NONE) {
            cw_candidate_link(p, candidate->value_next)->value_prev = candidate->value_prev;
        }
        if (candidate->value_prev != CW_ROW_NONE) {
            cw_candidate_link(p, candidate->value_prev)->value_next = candidate->value_next;
        } else {
            *value_bucket(p, candidate) = candidate->value_next;
        }
        candidate->value_bucket = CW_BUCKET_NONE;
    }
}

static uint32_t image_bytes(const struct cw_event_item *item)
{
    return item->image_url.data == NULL ? 0 : item->image_url.bytes;
}

struct shape {
    struct cw_view currency, marketplace, url;
    uint32_t touch_count, value_bytes;
};

static struct shape shape_of(const struct cw_item *item, uint32_t touch_count)
{
    const struct cw_event_cart *cart = &item->event->u.abandoned;
    struct shape shape = {.currency = cart->currency,
                          .marketplace = cart->marketplace,
                          .url = cart->url,
                          .touch_count = touch_count};
    if (shape.currency.data == NULL) {
        const struct cw_marketplace *facts =
            cw_marketplace_find(cw_customer_marketplace(item->customer, cart->marketplace));
        if (facts != NULL) {
            shape.currency = (struct cw_view){facts->currency, 3};
        }
    }
    size_t bytes = sizeof(struct cw_candidate_row) + touch_count * sizeof(struct cw_touch_row) +
                   cart->items_count * sizeof(struct cw_item_row) + item->event->cart.bytes +
                   item->program->id.bytes + shape.currency.bytes + shape.marketplace.bytes +
                   shape.url.bytes;
    for (uint32_t i = 0; i < cart->items_count; i++) {
        bytes += cart->items[i].id.bytes + cart->items[i].name.bytes + image_bytes(&cart->items[i]);
    }
    shape.value_bytes = (uint32_t)bytes; /* an event is at most 64 MiB */
    return shape;
}

static char *put(char *to, struct cw_view view)
{
    if (view.bytes > 0) {
        memcpy(to, view.data, view.bytes);
    }
    return to + view.bytes;
}

static void write_texts(struct cw_pipeline *p, struct cw_candidate_row *candidate,
                        const struct cw_item *item, const struct shape *shape)
{
    const struct cw_event_cart *cart = &item->event->u.abandoned;
    candidate->item_count = cart->items_count;
    candidate->cart_bytes = item->event->cart.bytes;
    candidate->program_bytes = item->program->id.bytes;
    candidate->currency_bytes = shape->currency.bytes;
    candidate->marketplace_bytes = shape->marketplace.bytes;
    candidate->url_bytes = shape->url.bytes;
    struct cw_touch_row *touches = (struct cw_touch_row *)(candidate + 1);
    struct cw_item_row *items = (struct cw_item_row *)(touches + candidate->touch_count);
    char *to = (char *)(items + candidate->item_count);
    to = put(to, item->event->cart);
    to = put(to, item->program->id);
    to = put(to, shape->currency);
    to = put(to, shape->marketplace);
    to = put(to, shape->url);
    for (uint32_t i = 0; i < cart->items_count; i++) {
        const struct cw_event_item *from = &cart->items[i];
        items[i] = (struct cw_item_row){
            .price = from->price,
            .product = cw_product_make(p, from->id),
            .quantity = from->quantity,
            .id_bytes = from->id.bytes,
            .name_bytes = from->name.bytes,
            .image_bytes = from->image_url.data == NULL ? NO_IMAGE : from->image_url.bytes};
        to = put(to, from->id);
        to = put(to, from->name);
        to = put(to, (struct cw_view){from->image_url.data, image_bytes(from)});
    }
}

static cw_row make(struct cw_pipeline *p, const struct cw_item *item, const struct shape *shape)
{
    char key[CW_ID_BYTES_MAX + sizeof(uint32_t)];
    struct cw_customer *customer = item->customer;
    uint32_t serial = customer->at->candidate_serial + 1;
    memcpy(key, customer->id.data, customer->id.bytes);
    memcpy(key + customer->id.bytes, &serial, sizeof serial);
    uint32_t key_bytes = customer->id.bytes + (uint32_t)sizeof serial;
    bool added = false;
    cw_row row = cw_table_put(p->candidates, cw_table_hash(p->candidates, key, key_bytes), key,
                              key_bytes, shape->value_bytes, &added);
    if (row == CW_ROW_NONE) {
        return CW_ROW_NONE;
    }
    CW_ASSERT(added);
    cw_customer_edit(p, customer)->candidate_serial = serial;
    cw_customer_link(p, customer)->in_flight_count++;
    struct cw_candidate_row *candidate = cw_candidate_edit(p, row);
    candidate->serial = serial;
    candidate->slot = item->slot;
    candidate->cart_hash = cw_candidate_hash(p, item->event->cart);
    candidate->t0 = candidate->first_t0 = item->event->time;
    candidate->created_at = p->now;
    candidate->ended_at = candidate->code_expires_at = CW_TIME_NONE;
    candidate->status = CW_STATUS_SCHEDULED;
    candidate->touch_count = (uint8_t)shape->touch_count;
    struct cw_touch_row *touches = cw_touch_edit(p, row, 0);
    for (uint32_t i = 0; i < shape->touch_count; i++) {
        touches[i] = (struct cw_touch_row){.channel = (uint8_t)item->program->touches[i].channel,
                                           .place = (uint8_t)i,
                                           .channel_id =
                                               cw_touch_identity(&item->program->touches[i]),
                                           .sent_at = CW_TIME_NONE,
                                           .delivered_at = CW_TIME_NONE,
                                           .opened_at = CW_TIME_NONE,
                                           .clicked_at = CW_TIME_NONE};
    }
    return row;
}

struct cw_plan cw_candidate_plan(const struct cw_pipeline *p, const struct cw_item *item)
{
    const struct cw_program *program = item->program;
    bool fresh = item->candidate == CW_ROW_NONE;
    struct cw_plan plan = {.t0 = item->event->time,
                           .discount = item->discount,
                           .holdout = item->holdout,
                           .touch_count = item->holdout ? 0 : program->touch_count};
    const struct cw_touch_row *touches = NULL;
    if (!fresh) {
        const struct cw_candidate_row *candidate = cw_candidate_at(p, item->candidate);
        touches = cw_candidate_touches(candidate);
        plan.holdout = candidate->holdout;
        plan.touch_count = candidate->touch_count;
        if (program->on_reabandon != CW_REABANDON_RESTART) {
            plan.t0 = candidate->t0;
        }
        if (candidate->announced > plan.discount) {
            plan.discount = candidate->announced;
        }
    }
    for (uint32_t i = 0; i < plan.touch_count; i++) {
        plan.pending[i] = fresh || touches[i].state == CW_TOUCH_PENDING;
        bool moves = fresh || program->on_reabandon == CW_REABANDON_RESTART;
        const struct cw_touch *touch =
            fresh ? &program->touches[i]
                  : cw_candidate_touch(p, cw_candidate_at(p, item->candidate), i);
        /* What has come due in a hold may have been sent elsewhere: it does not begin anew. */
        moves = moves && (fresh || p->sends_held == 0 || touches[i].due > p->now);
        plan.due[i] = moves && touch != NULL
                          ? plan.t0 + cw_touch_delay(program, touch, item->customer->id)
                          : touches[i].due;
    }
    return plan;
}

cw_row cw_candidate_write(struct cw_pipeline *p, struct cw_item *item, cw_row row)
{
    struct cw_customer *customer = item->customer;
    CW_ASSERT_HOT(row == item->candidate);
    bool fresh = row == CW_ROW_NONE;
    if (!fresh) {
        cw_doubt_visit(p, customer, row);
    }
    struct cw_plan plan = cw_candidate_plan(p, item);
    struct shape shape = shape_of(item, plan.touch_count);
    if (shape.value_bytes > CW_TABLE_VALUE_MAX) { /* only where events over 1 MiB are allowed */
        return CW_ROW_NONE;
    }
    if (fresh) {
        row = make(p, item, &shape);
        if (row == CW_ROW_NONE) {
            return CW_ROW_NONE;
        }
    } else {
        cw_candidate_unindex(p, row);
        list_take(p, &cw_customer_link(p, customer)->in_flight, row);
        cw_row moved = cw_table_resize(p->candidates, row, shape.value_bytes);
        if (moved == CW_ROW_NONE) {
            list_add(p, customer, &cw_customer_link(p, customer)->in_flight, row);
            cw_candidate_index(p, row);
            return CW_ROW_NONE;
        }
        row = moved;
    }
    struct cw_candidate_row *candidate = cw_candidate_edit(p, row);
    candidate->holdout = plan.holdout;
    candidate->t0 = plan.t0;
    candidate->expires_at = plan.t0 + item->program->candidate_ttl_ms;
    candidate->cart_value = item->event->u.abandoned.value;
    candidate->score = item->score;
    candidate->confidence = (uint8_t)item->confidence;
    candidate->discount = plan.discount;
    struct cw_touch_row *touches = cw_touch_edit(p, row, 0);
    for (uint32_t i = 0; i < plan.touch_count; i++) {
        if (plan.pending[i] && touches[i].due != plan.due[i]) {
            touches[i].due = plan.due[i];
            touches[i].reason = CW_TOUCH_REASON_NONE;
        }
        if (plan.pending[i]) {
            cw_doubt_planned(p, plan.due[i]);
        }
    }
    write_texts(p, candidate, item, &shape);
    cw_candidate_settle(p, row);
    list_add(p, customer, &cw_customer_link(p, customer)->in_flight, row);
    cw_candidate_index(p, row);
    return row;
}

void cw_candidate_end(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                      enum cw_status status)
{
    struct cw_candidate_row *candidate = cw_candidate_edit(p, row);
    CW_ASSERT(candidate->status < CW_STATUS_CONVERTED);
    struct cw_touch_row *touches = cw_touch_edit(p, row, 0);
    struct cw_customer_row *owner = cw_customer_link(p, customer);
    cw_candidate_unindex(p, row);
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        if (touches[i].state != CW_TOUCH_PENDING) {
            continue;
        }
        if ((touches[i].flags & CW_TOUCH_DOUBTED) != 0) {
            touches[i].state = CW_TOUCH_UNKNOWN;
            p->fates.unknown++;
        } else {
            p->fates.cut_off++;
        }
    }
    list_take(p, &owner->in_flight, row);
    owner->in_flight_count--;
    candidate->status = (uint8_t)status;
    candidate->ended_at = p->now;
    list_add(p, customer, &owner->history, row);
}

/* Short links stand in SMS alone. */
static bool remember_link(struct cw_pipeline *p, struct cw_view id)
{
    uint8_t key[10];
    bool added = false;
    cw_link_brief_key(p->options.links, id.data, key);
    cw_row row = cw_table_put(p->links, cw_table_hash(p->links, key, sizeof key), key, sizeof key,
                              sizeof(struct cw_link_row), &added);
    if (row == CW_ROW_NONE) {
        return false;
    }
    const struct cw_link_row *link = cw_table_value(p->links, row);
    if (added || memcmp(link->message_id, id.data, sizeof link->message_id) != 0) {
        struct cw_link_row *to = cw_table_edit(p->links, row);
        memcpy(to->message_id, id.data, sizeof to->message_id);
    }
    return true;
}

static void forget_link(struct cw_pipeline *p, struct cw_view id)
{
    uint8_t key[10];
    cw_link_brief_key(p->options.links, id.data, key);
    cw_row row = cw_table_find(p->links, cw_table_hash(p->links, key, sizeof key), key, sizeof key);
    if (row != CW_ROW_NONE) {
        cw_table_remove(p->links, row);
    }
}

bool cw_message_remember(struct cw_pipeline *p, struct cw_view customer,
                         const struct cw_candidate_row *candidate, uint32_t touch,
                         struct cw_view id)
{
    bool added = false;
    uint32_t value_bytes = (uint32_t)sizeof(struct cw_message_row) + customer.bytes;
    cw_row row = cw_table_put(p->messages, cw_table_hash(p->messages, id.data, id.bytes), id.data,
                              id.bytes, value_bytes, &added);
    if (row == CW_ROW_NONE) {
        return false;
    }
    if (p->options.links != NULL &&
        cw_candidate_touches(candidate)[touch - 1].channel == CW_CHANNEL_SMS &&
        !remember_link(p, id)) {
        if (added) {
            cw_table_remove(p->messages, row);
        }
        return false;
    }
    const struct cw_message_row *known = cw_message_at(p, row);
    bool forgotten = !added && cw_candidate_by_serial(p, customer, known->serial) == CW_ROW_NONE;
    if (!added && !forgotten && known->serial == candidate->serial && known->touch == touch) {
        return true; /* another attempt */
    }
    struct cw_message_row *message = cw_table_edit(p->messages, row);
    message->feedback = forgotten ? 0 : message->feedback; /* what came back long ago */
    message->serial = candidate->serial;
    message->touch = touch;
    message->customer_bytes = customer.bytes;
    memcpy(message + 1, customer.data, customer.bytes);
    return true;
}

void cw_message_forget(struct cw_pipeline *p, const struct cw_candidate_row *candidate,
                       struct cw_view id)
{
    cw_row row = cw_table_find(p->messages, cw_table_hash(p->messages, id.data, id.bytes), id.data,
                               id.bytes);
    if (row != CW_ROW_NONE) {
        if (cw_message_at(p, row)->serial == candidate->serial) {
            cw_table_remove(p->messages, row);
            if (p->options.links != NULL) {
                forget_link(p, id);
            }
        }
    }
}

void cw_candidate_remove(struct cw_pipeline *p, struct cw_customer *customer, cw_row row)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    CW_ASSERT(candidate->status >= CW_STATUS_CONVERTED);
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        if (touches[i].attempts == 0) {
            continue;
        }
        if (touches[i].state == CW_TOUCH_SENDING) { /* its result will find nothing to settle */
            p->fates.sending--;
            p->fates.unknown++;
        }
        char id[CW_MESSAGE_ID_BYTES];
        cw_message_id(p->options.partitions, texts.program, customer->id, texts.cart,
                      candidate->first_t0, i + 1, id);
        cw_message_forget(p, candidate, (struct cw_view){id, sizeof id});
    }
    list_take(p, &cw_customer_link(p, customer)->history, row);
    cw_table_remove(p->candidates, row);
}
