/*
 * doubt: messages of which nobody knows whether they went out, since the process that would know
 * has ended: those that were under way, and, where a start is from an older copy, those that may
 * have been sent since. A claim that never reached its channel cannot be told from one that did.
 */
#include "pipeline/persist_priv.h"

static void end(struct cw_pipeline *p)
{
    p->doubt_visit = NULL;
    p->doubt_cursor = 0;
}

void cw_doubt_visit(struct cw_pipeline *p, struct cw_customer *customer, cw_row row)
{
    if (CW_UNLIKELY(p->doubt_visit != NULL)) { /* of one that comes again nothing is left to do */
        p->doubt_visit(p, customer, row, p->doubt_with);
    }
}

/* Visits up to `most` candidates from where the walk stands; true when it is through. */
static bool walk(struct cw_pipeline *p, uint32_t most,
                 void (*visit)(struct cw_pipeline *, struct cw_customer *, cw_row, int64_t),
                 int64_t with)
{
    p->doubt_visit = visit;
    p->doubt_with = with;
    for (uint32_t i = 0; i < most; i++) {
        cw_row row = cw_table_next(p->candidates, &p->doubt_cursor);
        if (row == CW_ROW_NONE) {
            end(p);
            return true;
        }
        struct cw_view key = cw_table_key(p->candidates, row);
        struct cw_customer customer;
        key.bytes -= (uint32_t)sizeof(uint32_t);
        bool found = cw_customer_find(p, key, &customer);
        CW_ASSERT(found);
        visit(p, &customer, row, with);
    }
    return false;
}

static void settle(struct cw_pipeline *p, struct cw_customer *customer, cw_row row, int64_t with)
{
    (void)with;
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        if (cw_candidate_touches(candidate)[i].state == CW_TOUCH_SENDING) {
            cw_touch_settle_unknown(p, customer, row, i);
        }
    }
}

bool cw_pipeline_settle_in_doubt(struct cw_pipeline *p, uint32_t most)
{
    if (p->fates.sending == 0) { /* also where a walk has found the last of them on its way */
        end(p);
        return true;
    }
    return walk(p, most, settle, 0);
}

/* Due times have stood still in the hold: who had the newer state may have sent what was due. */
static void assume(struct cw_pipeline *p, struct cw_customer *customer, cw_row row, int64_t until)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    if (candidate->status >= CW_STATUS_CONVERTED) {
        return;
    }
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        const struct cw_touch_row *touch = &cw_candidate_touches(candidate)[i];
        if (touch->state == CW_TOUCH_PENDING && touch->due < until && touch->due <= p->now) {
            cw_touch_assume(p, customer, row, i, touch->due);
            cw_touch_settle_unknown(p, customer, row, i);
        }
    }
}

void cw_doubt_planned(struct cw_pipeline *p, int64_t due)
{
    p->assumes_again = p->assumes_again || due < p->assumes_until;
}

/* A walk, another one where meanwhile a touch was planned that may have been sent, and then until
   the timers that are overdue have fired: a session that ended before makes such a candidate. */
bool cw_pipeline_assume_sent(struct cw_pipeline *p, int64_t until, uint32_t most)
{
    p->assumes_until = until;
    if (p->assumed_at == CW_TIME_NONE) {
        if (!walk(p, most, assume, until)) {
            return false;
        }
        p->assumed_at = p->now;
    }
    if (p->assumes_again) {
        p->assumes_again = false;
        p->assumed_at = CW_TIME_NONE;
        return false;
    }
    if (p->options.live && cw_wheel_present(p->wheel) <= p->assumed_at + 1) {
        return false;
    }
    p->assumes_until = p->assumed_at = CW_TIME_NONE;
    return true;
}

void cw_pipeline_hold_sends(struct cw_pipeline *p, uint32_t reasons)
{
    p->sends_held = reasons;
    cw_pipeline_note(p); /* now: that alone is a change too, to be waited for */
}

void cw_pipeline_doubt_wall(struct cw_pipeline *p, int64_t ahead)
{
    CW_ASSERT(ahead >= 0);
    p->wall_ahead = ahead;
}

uint32_t cw_pipeline_sends_held(const struct cw_pipeline *p)
{
    return p->sends_held;
}

void cw_pipeline_leap(struct cw_pipeline *p, int64_t now)
{
    p->now = now > p->now ? now : p->now;
}

int64_t cw_pipeline_now(const struct cw_pipeline *p)
{
    return p->now;
}
