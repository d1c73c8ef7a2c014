/*
 * clock: a customer's timers. The wheel holds one timer per customer, for the earliest of all that
 * the customer's candidates and sessions wait for; when it fires, what is due runs in the order of
 * due time, program, cart, touch. So the order of one customer's timers never depends on the
 * wheel, and a million candidates cost as many timers as there are customers.
 */
#include "pipeline/pipeline_priv.h"

void cw_customer_arm(struct cw_pipeline *p, struct cw_customer *customer, int64_t due)
{
    struct cw_customer_row *at = cw_customer_link(p, customer);
    if (at->timer != CW_TIMER_NONE) {
        if (at->timer_due <= due) {
            return; /* fires early enough; what it finds then decides the next */
        }
        cw_wheel_cancel(p->wheel, at->timer);
    }
    at->timer = cw_wheel_add(p->wheel, due, customer->row);
    CW_ASSERT(at->timer != CW_TIMER_NONE); /* the wheel has room for every customer row */
    at->timer_due = due;
}

/* Something that is due: a touch (from 1), a candidate's expiry or a session's end (touch 0). */
struct due {
    int64_t due;
    uint32_t slot;
    struct cw_view program;
    uint32_t touch;
    bool session;
    cw_row row; /* candidate, or cart of a session */
    struct cw_view cart;
};

static bool before(const struct cw_pipeline *p, const struct due *a, const struct due *b)
{
    if (a->due != b->due) {
        return a->due < b->due;
    }
    int order = cw_slot_compare(p, a->slot, a->program, b->slot, b->program);
    if (order != 0) {
        return order < 0;
    }
    order = cw_view_compare(a->cart, b->cart);
    if (order != 0) {
        return order < 0;
    }
    if (a->touch != b->touch) {
        return a->touch < b->touch;
    }
    return a->session && !b->session;
}

static void offer(const struct cw_pipeline *p, struct due *best, bool *found,
                  const struct due *next)
{
    if (!*found || before(p, next, best)) {
        *best = *next;
        *found = true;
    }
}

static void offer_candidate(const struct cw_pipeline *p, struct cw_view customer, cw_row row,
                            const struct cw_candidate_row *candidate, struct due *best, bool *found)
{
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    struct due next = {.slot = candidate->slot,
                       .program = texts.program,
                       .row = row,
                       .cart = texts.cart,
                       .due = candidate->expires_at};
    offer(p, best, found, &next);
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        if (touches[i].state == CW_TOUCH_PENDING) {
            next.touch = i + 1;
            next.due = cw_touch_wakes(p, customer, &touches[i]);
            offer(p, best, found, &next);
        }
    }
}

/* Both walks read a line or two of what is not due first: there may be a thousand. */
static bool earliest(const struct cw_pipeline *p, const struct cw_customer *customer,
                     struct due *best)
{
    bool found = false;
    for (cw_row row = customer->at->in_flight; row != CW_ROW_NONE;) {
        const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
        if (!found || candidate->next_due <= best->due) {
            offer_candidate(p, customer->id, row, candidate, best, &found);
        }
        row = candidate->next;
    }
    for (cw_row row = customer->at->watched; row != CW_ROW_NONE;) {
        const struct cw_cart_row *cart = cw_cart_at(p, row);
        for (uint64_t left = cart->sessions; left != 0; left &= left - 1) {
            uint32_t slot = (uint32_t)__builtin_ctzll(left);
            const struct cw_program *program = p->slots[slot].program;
            struct due next = {.slot = slot,
                               .program = program->id,
                               .row = row,
                               .session = true,
                               .due = cart->session_time + program->session_timeout_ms};
            if (!found || next.due <= best->due) {
                next.cart = cw_cart_key_cart(p, row);
                offer(p, best, &found, &next);
            }
        }
        row = cart->watched_next;
    }
    return found;
}

static void expire(struct cw_pipeline *p, struct cw_customer *customer, cw_row row)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    struct cw_decision decision;
    cw_candidate_end(p, customer, row, CW_STATUS_EXPIRED);
    p->fates.expired++;
    cw_decide(p, &decision, CW_DECISION_EXPIRED, texts.program, customer->id, texts.cart);
}

/* Uses the scratch arena anew for each of them: a customer may have any number. */
void cw_customer_fire(struct cw_pipeline *p, struct cw_customer *customer)
{
    struct due next;
    /* Bounded: each turn ends a session, a candidate or a pending touch, or moves a touch, or the
       look at one that is held, to a time after now. */
    while (earliest(p, customer, &next)) {
        if (next.due > p->now) {
            cw_customer_arm(p, customer, next.due);
            return;
        }
        if (next.session) {
            cw_session_fire(p, customer, next.row, next.slot);
        } else if (next.touch == 0 || cw_candidate_at(p, next.row)->expires_at <= p->now) {
            /* A touch that was overdue when it was made may come after the end: expired is the
               first that is looked at. */
            expire(p, customer, next.row);
        } else {
            cw_touch_fire(p, customer, next.row, next.touch - 1);
        }
        cw_arena_reset(&p->scratch);
    }
}
