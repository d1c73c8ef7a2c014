/* visit: somebody came by a link of a message: an open, a click, an unsubscription. */
#include "pipeline/pipeline_priv.h"

#include <string.h>

/* What a link leads to, as far as it is remembered. */
struct lead {
    cw_row message;   /* CW_ROW_NONE: forgotten */
    cw_row candidate; /* with message */
    struct cw_customer customer;
};

/* True when the link was one of ours, though what it leads to may be forgotten. */
static bool follow(struct cw_pipeline *p, const struct cw_link *link, struct lead *lead)
{
    struct cw_view id = {link->message_id, CW_MESSAGE_ID_BYTES};
    *lead = (struct lead){.customer = {.id = link->customer}};
    if (link->brief) {
        uint64_t hash = cw_table_hash(p->links, link->brief_key, sizeof link->brief_key);
        cw_row row = cw_table_find(p->links, hash, link->brief_key, sizeof link->brief_key);
        if (row == CW_ROW_NONE) {
            return false;
        }
        id.data = ((const struct cw_link_row *)cw_table_value(p->links, row))->message_id;
    }
    cw_row found = cw_message_find(p, id, 0);
    if (found == CW_ROW_NONE) {
        return !link->brief;
    }
    const struct cw_message_row *message = cw_message_at(p, found);
    struct cw_view owner = cw_message_owner(message);
    cw_row row = cw_candidate_by_serial(p, owner, message->serial);
    if (row == CW_ROW_NONE || cw_partition(owner, p->options.partitions) != link->partition ||
        !cw_customer_find(p, owner, &lead->customer)) {
        return !link->brief;
    }
    lead->message = found;
    lead->candidate = row;
    return true;
}

static const struct cw_touch_row *touch_of(const struct cw_pipeline *p, const struct lead *lead)
{
    uint32_t number = cw_message_at(p, lead->message)->touch;
    return &cw_candidate_touches(cw_candidate_at(p, lead->candidate))[number - 1];
}

static void engage(struct cw_pipeline *p, const struct cw_visit *visit, struct lead *lead)
{
    bool open = visit->kind == CW_LINK_OPEN;
    if (visit->machine) {
        uint32_t touch = cw_message_at(p, lead->message)->touch;
        p->fates.opened_raw[touch] += open;
        p->fates.clicked_raw[touch] += !open;
        return;
    }
    (void)cw_engage_note(p, &lead->customer, lead->candidate, lead->message,
                         open ? CW_EVENT_OPENED : CW_EVENT_CLICKED, visit->time);
}

/* An unsubscription is good for ever, and as often as it comes: also of who has no row here. */
static bool unsubscribe(struct cw_pipeline *p, const struct cw_visit *visit, struct lead *lead,
                        enum cw_channel channel)
{
    if (lead->message != CW_ROW_NONE) {
        (void)cw_engage_note(p, &lead->customer, lead->candidate, lead->message,
                             CW_EVENT_UNSUBSCRIBED, visit->time);
    } else if (!cw_customer_make(p, lead->customer.id, &lead->customer)) {
        p->fates.not_remembered++;
        return false;
    }
    cw_profile_opt_out(p, &lead->customer, channel, visit->time + p->wall_ahead);
    return true;
}

static struct cw_view destination(const struct cw_pipeline *p, const struct lead *lead,
                                  bool expired)
{
    if (lead->message != CW_ROW_NONE && !expired) {
        struct cw_view url = cw_candidate_texts(cw_candidate_at(p, lead->candidate)).url;
        if (cw_link_usable(url)) {
            return url;
        }
    }
    return cw_link_usable(p->options.shop_link) ? p->options.shop_link : (struct cw_view){0};
}

void cw_pipeline_visit(struct cw_pipeline *p, const struct cw_visit *visit,
                       struct cw_visited *visited)
{
    struct lead lead;
    *visited = (struct cw_visited){.shop_name = p->options.shop_name};
    visited->known = follow(p, &visit->link, &lead);
    if (!visited->known) {
        return;
    }
    int64_t end = visit->link.expires_at;
    visited->channel = visit->link.channel;
    if (lead.message != CW_ROW_NONE) {
        const struct cw_touch_row *touch = touch_of(p, &lead);
        visited->channel = (enum cw_channel)touch->channel;
        if (visit->link.brief) {
            end = touch->sent_at + CW_LINK_TTL_DAYS * CW_DAY_MS;
        }
    }
    visited->expired = visit->time >= end;
    if (visit->kind == CW_LINK_UNSUBSCRIBE) {
        visited->known = visit->look || unsubscribe(p, visit, &lead, visited->channel);
    } else if (!visit->look && !visited->expired && lead.message != CW_ROW_NONE) {
        engage(p, visit, &lead);
    }
    if (visit->kind != CW_LINK_OPEN) {
        visited->url = destination(p, &lead, visited->expired);
    }
    cw_arena_reset(&p->scratch);
}
