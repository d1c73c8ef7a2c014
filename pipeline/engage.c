/* engage: what comes back about a message: delivered, bounced, opened, clicked, unsubscribed. */
#include "pipeline/pipeline_priv.h"

#include <string.h>

static uint32_t candidate_key(struct cw_view customer, uint32_t serial,
                              char key[CW_ID_BYTES_MAX + sizeof(uint32_t)])
{
    memcpy(key, customer.data, customer.bytes);
    memcpy(key + customer.bytes, &serial, sizeof serial);
    return customer.bytes + (uint32_t)sizeof serial;
}

cw_row cw_message_find(const struct cw_pipeline *p, struct cw_view id, uint64_t hash)
{
    return cw_table_find(p->messages, cw_hint_or(hash, p->messages, id.data, id.bytes), id.data,
                         id.bytes);
}

struct cw_view cw_message_owner(const struct cw_message_row *message)
{
    return (struct cw_view){(const char *)(message + 1), message->customer_bytes};
}

void cw_engage_prefetch(const struct cw_pipeline *p, const struct cw_event *event,
                        struct cw_hints *hints)
{
    cw_row row = cw_message_find(p, event->u.message.id, hints->cart);
    if (row == CW_ROW_NONE) {
        return;
    }
    const struct cw_message_row *message = cw_message_at(p, row);
    struct cw_view owner = cw_message_owner(message);
    char key[CW_KEY_BYTES];
    uint32_t bytes = candidate_key(owner, message->serial, key);
    cw_table_prefetch(p->candidates, cw_table_hash(p->candidates, key, bytes));
    cw_table_prefetch(p->customers, cw_table_hash(p->customers, owner.data, owner.bytes));
    if (event->id.data != NULL) {
        bytes = cw_seen_key('e', owner, event->source, event->id, key);
        hints->seen = cw_table_hash(p->seen, key, bytes);
        cw_table_prefetch_put(p->seen, hints->seen);
    }
}

/* number: of the touch, from 1. */
static void note(struct cw_pipeline *p, struct cw_customer *customer, cw_row candidate,
                 uint32_t number, enum cw_event_type type, int64_t time)
{
    if (type < CW_EVENT_DELIVERED || type > CW_EVENT_CLICKED) {
        return;
    }
    struct cw_touch_row *touch = cw_touch_edit(p, candidate, number - 1);
    bool engaged = touch->opened_at != CW_TIME_NONE || touch->clicked_at != CW_TIME_NONE;
    switch (type) {
    case CW_EVENT_DELIVERED:
        touch->delivered_at = time;
        p->fates.delivered[number]++;
        break;
    case CW_EVENT_BOUNCED: touch->flags |= CW_TOUCH_BOUNCED; break;
    case CW_EVENT_OPENED:
        touch->opened_at = time;
        p->fates.opened[number]++;
        break;
    case CW_EVENT_CLICKED:
        touch->clicked_at = time;
        p->fates.clicked[number]++;
        break;
    default: return;
    }
    bool engages = type == CW_EVENT_OPENED || type == CW_EVENT_CLICKED;
    if (engages && !engaged && touch->channel == CW_CHANNEL_EMAIL &&
        (touch->flags & CW_TOUCH_CHARGED) != 0) {
        cw_customer_edit(p, customer)->emails_engaged++;
    }
}

enum cw_event_fate cw_engage_note(struct cw_pipeline *p, struct cw_customer *customer,
                                  cw_row candidate, cw_row row, enum cw_event_type type,
                                  int64_t time)
{
    const struct cw_message_row *message = cw_message_at(p, row);
    uint32_t bit = 1u << (type - CW_EVENT_DELIVERED);
    p->fates.opened_raw[message->touch] += type == CW_EVENT_OPENED;
    p->fates.clicked_raw[message->touch] += type == CW_EVENT_CLICKED;
    if ((message->feedback & bit) != 0) {
        return CW_EVENT_FATE_REPEATED;
    }
    struct cw_message_row *noted = cw_table_edit(p->messages, row);
    noted->feedback |= bit;
    note(p, customer, candidate, message->touch, type, time);
    return CW_EVENT_FATE_APPLIED;
}

enum cw_event_fate cw_engage(struct cw_pipeline *p, const struct cw_event *event)
{
    const struct cw_hints *hints = p->hints;
    cw_row told = cw_message_find(p, event->u.message.id, hints != NULL ? hints->cart : 0);
    if (told == CW_ROW_NONE) {
        return CW_EVENT_FATE_UNKNOWN_MESSAGE;
    }
    const struct cw_message_row *message = cw_message_at(p, told);
    struct cw_view owner = cw_message_owner(message);
    struct cw_customer customer;
    cw_row row = cw_candidate_by_serial(p, owner, message->serial);
    if (row == CW_ROW_NONE || !cw_customer_find(p, owner, &customer)) {
        return CW_EVENT_FATE_UNKNOWN_MESSAGE;
    }
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    if (candidate->status >= CW_STATUS_CONVERTED && candidate->ended_at + CW_HISTORY_MS <= p->now) {
        return CW_EVENT_FATE_UNKNOWN_MESSAGE; /* whether or not it has been cleaned away yet */
    }
    if (event->id.data != NULL &&
        cw_seen_before(p, &customer, 'e', event->source, event->id, event->time,
                       hints != NULL ? hints->seen : 0)) {
        return CW_EVENT_FATE_REPEATED;
    }
    enum cw_event_fate fate =
        cw_engage_note(p, &customer, row, told, event->type, event->time);
    /* Told before or not: the customer may have opted in again in between. */
    if (event->type == CW_EVENT_UNSUBSCRIBED || event->type == CW_EVENT_COMPLAINED) {
        const struct cw_touch_row *touch = &cw_candidate_touches(candidate)[message->touch - 1];
        cw_profile_opt_out(p, &customer, (enum cw_channel)touch->channel, event->time);
    }
    return fate;
}
