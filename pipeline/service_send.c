/* service_send: a touch that is to be sent becomes a message in its channel's queue; results come
   back from there. */
#include "core/format.h"
#include "pipeline/service_priv.h"

#include <string.h>

static const char *const kinds[CW_CHANNEL_COUNT] = {
#define CW_X(name, text) text,
    CW_CHANNELS(CW_X)
#undef CW_X
};

static struct cw_view view_of(const struct cw_text *text)
{
    return (struct cw_view){text->data, (uint32_t)text->bytes};
}

/* A message that cannot be rendered will not be better next time: it is refused like one that a
   provider refuses, on the next turn. */
static enum cw_send_answer give_up(struct cw_service *service, const struct cw_send *send,
                                   const struct cw_fault *fault)
{
    if (service->unsent_count == CW_SEND_RESULTS) {
        return CW_SEND_FULL;
    }
    struct cw_post_result *result = &service->unsent[service->unsent_count++];
    *result = (struct cw_post_result){.shard = service->options.pipeline.core,
                                      .outcome = CW_POSTED_REFUSED};
    memcpy(result->key, send->message_id.data, CW_POST_KEY_BYTES);
    (void)cw_format(result->reason, sizeof result->reason, "it cannot be rendered: %s",
                    fault->text);
    service->served.unrendered++;
    return CW_SEND_TAKEN;
}

/* What a webhook tells besides; the numbers go into the caller's room. */
static uint32_t list_facts(const struct cw_send *send, char room[2][16], struct cw_header facts[6])
{
    uint32_t touch = cw_format(room[0], sizeof room[0], "%u", send->touch);
    uint32_t percent = cw_format(room[1], sizeof room[1], "%g", send->input->discount_percent);
    uint32_t count = 0;
    facts[count++] = (struct cw_header){CW_VIEW("programId"), send->program};
    facts[count++] = (struct cw_header){CW_VIEW("customerId"), send->customer};
    facts[count++] = (struct cw_header){CW_VIEW("cartId"), send->cart};
    facts[count++] = (struct cw_header){CW_VIEW("touch"), {room[0], touch}};
    if (send->input->discount_percent > 0) {
        facts[count++] = (struct cw_header){CW_VIEW("discountPercent"), {room[1], percent}};
        facts[count++] = (struct cw_header){CW_VIEW("discountCode"), send->input->discount_code};
    }
    return count;
}

/* An attempt that did not end well is a dead letter, so that its reason can be found. Providers
   name whom they refuse: it says whose it is, so that an erasure finds it; of a customer who has
   been erased meanwhile nothing that was said is kept. */
static void tell_result(struct cw_service *service, const struct cw_post_result *result)
{
    static const char *const outcomes[] = {"sent", "refused", "later", "unknown"};
    if (result->outcome == CW_POSTED_SENT || service->options.dead_letter == NULL) {
        return;
    }
    struct cw_view key = {result->key, sizeof result->key};
    struct cw_view reason = {result->reason,
                             (uint32_t)strnlen(result->reason, sizeof result->reason)};
    struct cw_text text = {0};
    cw_text_printf(&text, "{\"messageId\":\"%.*s\",\"outcome\":\"%s\"", (int)key.bytes, key.data,
                   outcomes[result->outcome]);
    cw_row row = cw_message_find(service->pipeline, key, 0);
    if (row == CW_ROW_NONE) {
        reason = CW_VIEW("of a message that is not remembered any more");
    } else {
        cw_text_puts(&text, ",\"customerId\":");
        cw_text_json(&text, cw_message_owner(cw_message_at(service->pipeline, row)));
    }
    cw_text_char(&text, '}');
    service->options.dead_letter(service->options.self, cw_service_clock(service), view_of(&text),
                                 reason);
    cw_text_deinit(&text);
}

/* One result; in event time nobody waits for it. */
static bool take_result(struct cw_service *service)
{
    const struct cw_channel_port *port = &service->options.channels;
    struct cw_post_result result;
    if (port->result == NULL ||
        !port->result(port->self, service->options.pipeline.core, &result)) {
        return false;
    }
    tell_result(service, &result);
    if (!service->options.event_time) {
        cw_pipeline_result(service->pipeline, &result);
    }
    return true;
}

/*
 * Event time does not wait for anybody's answer: weeks of it may pass while one message is under
 * way. There a message that its channel took counts as sent, as in a replay, and a full queue is
 * waited for, so that the same events give the same journeys; so it leaves at once and not when its
 * commit is durable.
 */
static bool hand_over(struct cw_service *service, enum cw_channel channel,
                      const struct cw_post *post)
{
    enum {
        TRIES = 1 << 26 /* some seconds */
    };

    const struct cw_channel_port *port = &service->options.channels;
    uint32_t tries = service->options.event_time ? TRIES : 1;
    for (uint32_t i = 0; i < tries; i++) {
        bool taken = service->options.event_time ? cw_channel_post_now(port, channel, post)
                                                 : port->post(port->self, channel, post);
        if (taken) {
            return true;
        }
        if (service->options.event_time) {
            (void)take_result(service);
        }
    }
    return false;
}

enum cw_send_answer cw_service_send(void *self, const struct cw_send *send)
{
    struct cw_service *service = self;
    CW_ASSERT(send->message_id.bytes == CW_POST_KEY_BYTES);
    struct cw_message *message = &service->message;
    const struct cw_channel_port *port = &service->options.channels;
    if (!service->options.event_time && port->room != NULL &&
        !port->room(port->self, send->channel, service->options.pipeline.core)) {
        service->served.channel_full[send->channel]++; /* rendering costs more than asking */
        return CW_SEND_FULL;
    }
    struct cw_fault fault = {.code = CW_ERR_OK};
    cw_err err = cw_message_render(service->options.templates, service->options.pipeline.zones,
                                   send->input, message, &fault);
    if (err != CW_ERR_OK) {
        return give_up(service, send, &fault);
    }
    bool email = send->channel == CW_CHANNEL_EMAIL;
    char room[2][16];
    struct cw_header facts[6];
    struct cw_post post = {.shard = service->options.pipeline.core,
                           .attempt = send->attempt,
                           .kind = {kinds[send->channel], (uint32_t)strlen(kinds[send->channel])},
                           .to = send->address,
                           .from = send->from,
                           .subject = view_of(&message->subject),
                           .html = view_of(&message->html),
                           .text = email ? view_of(&message->plain) : view_of(&message->text),
                           .title = view_of(&message->title),
                           .link = view_of(&message->link),
                           .unsubscribe = send->input->unsubscribe_link,
                           .facts = facts,
                           .fact_count = list_facts(send, room, facts),
                           .now_ms = send->input->now_ms,
                           .deadline_ms = send->deadline_ms};
    memcpy(post.key, send->message_id.data, CW_POST_KEY_BYTES);
    if (!hand_over(service, send->channel, &post)) {
        service->served.channel_full[send->channel]++;
        return CW_SEND_FULL;
    }
    service->served.posted[send->channel]++;
    return service->options.event_time ? CW_SEND_DONE : CW_SEND_TAKEN;
}

bool cw_service_results(struct cw_service *service)
{
    enum {
        RESULTS_MAX = 256 /* in one turn */
    };

    uint32_t count = service->unsent_count;
    bool some = count > 0;
    if (!service->options.event_time) { /* not before what stands already, see pass_time() */
        int64_t now = service->draining ? cw_service_clock(service) : service->advanced;
        service->pipeline->now = now > service->pipeline->now ? now : service->pipeline->now;
    }
    struct cw_post_result unsent[CW_SEND_RESULTS];
    memcpy(unsent, service->unsent, count * sizeof *unsent);
    service->unsent_count = 0; /* what follows may add new ones */
    for (uint32_t i = 0; i < count; i++) {
        tell_result(service, &unsent[i]);
        cw_pipeline_result(service->pipeline, &unsent[i]);
    }
    for (uint32_t i = 0; i < RESULTS_MAX && take_result(service); i++) {
        some = true;
    }
    return some;
}
