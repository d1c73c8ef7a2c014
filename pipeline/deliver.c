/*
 * deliver: what becomes of messages that a channel took: sent, refused, to be tried again, unknown.
 *
 * A touch is claimed (touch.c:send_touch): caps and gap are charged, its message id is remembered,
 * and it is SENDING until its channel tells what became of it. Until then nothing else moves it;
 * its candidate's journey goes on, and when that ends meanwhile the result only settles the sums.
 */
#include "pipeline/pipeline_priv.h"

#include <string.h>

enum {
    RETRY_FIRST_MS = 30000, /* doubled with each attempt */
    RETRY_MOST_MS = 3600000,
    ROOM_FIRST_MS = 1000, /* doubled with each time there was no room */
    ROOM_MOST_MS = 60000,
    UNTRIED_MOST = 100 /* with the most retries still in a byte */
};

/* What a result is about. */
struct sending {
    struct cw_customer customer;
    cw_row row;
    const struct cw_candidate_row *candidate;
    const struct cw_touch_row *touch;
    uint32_t number; /* of the touch, from 0 */
    struct cw_view id;
    bool goes_on; /* the candidate is in flight still */
};

/* first, doubled `times` times, at most `most`; a quarter more or less, so that what failed
   together does not come back together. The message's id, a hash itself, decides. */
static int64_t back_off(struct cw_view id, uint32_t times, int64_t first, int64_t most)
{
    int64_t wait = times < 16 ? first << times : most;
    wait = wait < most ? wait : most;
    char input[CW_MESSAGE_ID_BYTES + 1];
    memcpy(input, id.data, CW_MESSAGE_ID_BYTES);
    input[CW_MESSAGE_ID_BYTES] = (char)times;
    return wait - wait / 4 + (int64_t)(cw_murmur2(input, sizeof input) % (uint32_t)(wait / 2 + 1));
}

int64_t cw_touch_room_at(const struct cw_pipeline *p, struct cw_view message_id, uint32_t waits)
{
    return p->now + back_off(message_id, waits, ROOM_FIRST_MS, ROOM_MOST_MS);
}

bool cw_touch_arrived(const struct cw_touch_row *touch)
{
    return touch->delivered_at != CW_TIME_NONE || touch->opened_at != CW_TIME_NONE ||
           touch->clicked_at != CW_TIME_NONE;
}

void cw_touch_uncharge(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                       uint32_t number)
{
    struct cw_touch_row *touch = cw_touch_edit(p, row, number);
    cw_sends_take_back(p, customer, (enum cw_channel)touch->channel, touch->sent_at);
    if (touch->channel == CW_CHANNEL_EMAIL) {
        cw_customer_edit(p, customer)->emails_sent--;
    }
    touch->flags &= (uint8_t)~CW_TOUCH_CHARGED;
}

void cw_touch_become(struct cw_pipeline *p, cw_row row, uint32_t number, enum cw_touch_state state)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    struct cw_touch_row *touch = cw_touch_edit(p, row, number);
    p->fates.sending -= touch->state == CW_TOUCH_SENDING;
    p->fates.sending += state == CW_TOUCH_SENDING;
    if (candidate->status >= CW_STATUS_CONVERTED) {
        touch->state = (uint8_t)state;
        return;
    }
    cw_candidate_unindex(p, row);
    touch->state = (uint8_t)state;
    cw_candidate_settle(p, row);
    cw_candidate_index(p, row);
}

/* Tells what became of a touch, unless its journey is over. */
static void tell(struct cw_pipeline *p, const struct cw_customer *customer, cw_row row,
                 uint32_t number, struct cw_decision *decision)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    const struct cw_touch_row *touch = &cw_candidate_touches(candidate)[number];
    if (candidate->status >= CW_STATUS_CONVERTED) {
        return;
    }
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    decision->u.touch.touch = number + 1;
    decision->u.touch.channel = (enum cw_channel)touch->channel;
    char code[32];
    if (decision->u.touch.message_id.data != NULL && touch->discount > 0) {
        decision->u.touch.discount = touch->discount;
        decision->u.touch.code.bytes =
            cw_discount_code(p, touch->discount, (touch->flags & CW_TOUCH_UNIQUE) != 0,
                             candidate->serial, customer->id, code);
        decision->u.touch.code.data = code;
    }
    cw_decide(p, decision, CW_DECISION_TOUCH, texts.program, customer->id, texts.cart);
}

/* A touch that went out, or may have, makes its candidate an active one. */
static void make_active(struct cw_pipeline *p, cw_row row)
{
    if (cw_candidate_at(p, row)->status == CW_STATUS_SCHEDULED) {
        cw_candidate_edit(p, row)->status = CW_STATUS_ACTIVE;
    }
}

void cw_touch_went_out(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                       uint32_t number, struct cw_view message_id)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    cw_touch_become(p, row, number, CW_TOUCH_SENT);
    make_active(p, row);
    p->fates.sent[cw_candidate_touches(candidate)[number].channel]++;
    p->fates.sent_by_touch[number + 1]++;
    struct cw_decision decision = {
        .u.touch = {.outcome = CW_OUTCOME_SENT, .message_id = message_id}};
    tell(p, customer, row, number, &decision);
}

void cw_touch_in_doubt(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                       uint32_t number, enum cw_touch_reason reason)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    char id[CW_MESSAGE_ID_BYTES];
    cw_message_id(p->options.partitions, texts.program, customer->id, texts.cart,
                  candidate->first_t0, number + 1, id);
    cw_touch_become(p, row, number, CW_TOUCH_UNKNOWN);
    cw_touch_edit(p, row, number)->reason = (uint8_t)reason;
    make_active(p, row);
    p->fates.unknown++;
    struct cw_decision decision = {.u.touch = {.outcome = CW_OUTCOME_UNKNOWN,
                                               .reason = reason,
                                               .message_id = {id, sizeof id}}};
    tell(p, customer, row, number, &decision);
}

/* Not tried again. Where an attempt is in doubt the touch may have been sent all the same. */
static void fail(struct cw_pipeline *p, struct sending *s)
{
    if ((s->touch->flags & CW_TOUCH_DOUBTED) != 0) {
        cw_touch_in_doubt(p, &s->customer, s->row, s->number, CW_TOUCH_REASON_PROVIDER);
        return;
    }
    cw_touch_uncharge(p, &s->customer, s->row, s->number);
    cw_touch_edit(p, s->row, s->number)->reason = CW_TOUCH_REASON_PROVIDER;
    cw_touch_become(p, s->row, s->number, CW_TOUCH_FAILED);
    p->fates.failed++;
    struct cw_decision decision = {
        .u.touch = {.outcome = CW_OUTCOME_FAILED, .reason = CW_TOUCH_REASON_PROVIDER}};
    tell(p, &s->customer, s->row, s->number, &decision);
}

/* Nobody needs it any more: as a pending touch when the journey ended. */
static void cut_off(struct cw_pipeline *p, struct sending *s)
{
    cw_touch_uncharge(p, &s->customer, s->row, s->number);
    cw_touch_become(p, s->row, s->number, CW_TOUCH_PENDING);
    p->fates.cut_off++;
}

/* Which wait it is, from 0. What never left, since its provider is known to be down, is no failure,
   however long that lasts; of these many the oldest are forgotten. */
static uint32_t count_wait(struct cw_touch_row *touch, bool untried)
{
    if (!untried) {
        return touch->attempts - touch->untried - 1u;
    }
    if (touch->untried < UNTRIED_MOST) {
        touch->untried++;
    } else {
        touch->attempts--;
    }
    return touch->untried - 1u;
}

/* Pending again. In doubt it stays charged: caps hold although the message may have gone out. */
static void try_again(struct cw_pipeline *p, struct sending *s, const struct cw_post_result *result)
{
    const struct cw_program *program = cw_candidate_program(p, s->candidate);
    const struct cw_touch *of_program = cw_candidate_touch(p, s->candidate, s->number);
    struct cw_touch_row *touch = cw_touch_edit(p, s->row, s->number);
    if ((touch->flags & CW_TOUCH_DOUBTED) == 0) {
        cw_touch_uncharge(p, &s->customer, s->row, s->number);
    }
    uint32_t times = count_wait(touch, result->untried);
    int64_t wait = back_off(s->id, times, RETRY_FIRST_MS, RETRY_MOST_MS);
    int64_t asked = (int64_t)result->retry_after_s * 1000;
    int64_t due = p->now + (asked > wait ? asked : wait);
    /* A journey that began again meanwhile has moved what is not done yet. */
    int64_t planned = s->candidate->t0 + cw_touch_delay(program, of_program, s->customer.id);
    touch->due = due > planned ? due : planned;
    touch->reason = CW_TOUCH_REASON_PROVIDER;
    cw_touch_become(p, s->row, s->number, CW_TOUCH_PENDING);
    p->fates.deferred[CW_TOUCH_REASON_PROVIDER]++;
    struct cw_decision decision = {.u.touch = {.outcome = CW_OUTCOME_DEFERRED,
                                               .reason = CW_TOUCH_REASON_PROVIDER,
                                               .until = touch->due}};
    tell(p, &s->customer, s->row, s->number, &decision);
    cw_customer_arm(p, &s->customer, touch->due);
}

static bool find(struct cw_pipeline *p, const struct cw_post_result *result, struct sending *s)
{
    s->id = (struct cw_view){result->key, CW_POST_KEY_BYTES};
    cw_row row = cw_message_find(p, s->id, 0);
    if (row == CW_ROW_NONE) {
        return false;
    }
    const struct cw_message_row *message = cw_message_at(p, row);
    struct cw_view owner = cw_message_owner(message);
    s->row = cw_candidate_by_serial(p, owner, message->serial);
    if (s->row == CW_ROW_NONE || !cw_customer_find(p, owner, &s->customer)) {
        return false;
    }
    s->candidate = cw_candidate_at(p, s->row);
    s->number = message->touch - 1;
    s->touch = &cw_candidate_touches(s->candidate)[s->number];
    s->goes_on = s->candidate->status < CW_STATUS_CONVERTED;
    return s->touch->state == CW_TOUCH_SENDING;
}

/* True when there may be another attempt: after an unknown one only where the program, or else the
   channel, has it so. */
static bool may_try(const struct cw_pipeline *p, const struct sending *s, enum cw_posted outcome,
                    bool untried)
{
    const struct cw_touch *touch =
        s->goes_on ? cw_candidate_touch(p, s->candidate, s->number) : NULL;
    uint32_t tried = s->touch->attempts - s->touch->untried;
    if (touch == NULL || (!untried && tried > touch->retries)) {
        return false;
    }
    return outcome == CW_POSTED_LATER ||
           (outcome == CW_POSTED_UNKNOWN && (touch->on_unknown == CW_ON_UNKNOWN_RESEND ||
                                             (touch->on_unknown == CW_ON_UNKNOWN_DEFAULT &&
                                              p->options.collapses[s->touch->channel])));
}

static void settle(struct cw_pipeline *p, struct sending *s, const struct cw_post_result *result)
{
    /* What came back from the customer's side is surer than what the provider said. */
    enum cw_posted outcome = cw_touch_arrived(s->touch) ? CW_POSTED_SENT : result->outcome;
    if (outcome == CW_POSTED_UNKNOWN) {
        cw_touch_edit(p, s->row, s->number)->flags |= CW_TOUCH_DOUBTED;
    }
    if (outcome == CW_POSTED_SENT) {
        cw_touch_went_out(p, &s->customer, s->row, s->number, s->id);
    } else if (may_try(p, s, outcome, result->untried)) {
        try_again(p, s, result);
    } else if (outcome == CW_POSTED_LATER && !s->goes_on &&
               (s->touch->flags & CW_TOUCH_DOUBTED) == 0) {
        cut_off(p, s);
    } else {
        fail(p, s);
    }
    cw_arena_reset(&p->scratch);
}

void cw_touch_settle_unknown(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                             uint32_t number)
{
    struct cw_post_result result = {.outcome = CW_POSTED_UNKNOWN};
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    struct sending s = {.customer = *customer,
                        .row = row,
                        .candidate = candidate,
                        .touch = &cw_candidate_touches(candidate)[number],
                        .number = number,
                        .id = {result.key, CW_POST_KEY_BYTES},
                        .goes_on = candidate->status < CW_STATUS_CONVERTED};
    CW_ASSERT(s.touch->state == CW_TOUCH_SENDING);
    cw_message_id(p->options.partitions, texts.program, customer->id, texts.cart,
                  candidate->first_t0, number + 1, result.key);
    settle(p, &s, &result);
    *customer = s.customer;
}

void cw_pipeline_result(struct cw_pipeline *p, const struct cw_post_result *result)
{
    struct sending s;
    CW_ASSERT((uint32_t)result->outcome < CW_COUNTOF(p->fates.results));
    p->fates.results[result->outcome]++;
    if (!find(p, result, &s)) {
        p->fates.stray_results++;
        return;
    }
    CW_ASSERT(!result->untried || result->outcome == CW_POSTED_LATER);
    settle(p, &s, result);
}
