/*
 * hold: what keeps a live channel from sending now: it is paused, or over its rate; or all sends
 * are held.
 *
 * A touch over a rate is given a moment of its own (a slot, by the generic cell rate algorithm) and
 * comes back then, once: a backlog of any size is spread over the time that it takes and never
 * polled. First it gets its program's slot, at that time its channel's; so a slow program does not
 * hold up the others of its channel. A slot counts at its very moment only: a touch that something
 * else defers, or that comes back later than meant, gets a new one. So after an outage a channel
 * catches up no faster than its rate.
 *
 * A paused touch looks again once a minute, at a moment of its customer's own: so nothing comes in
 * waves, and what is overdue of one customer is due at one instant, where the later touch wins.
 *
 * In a hold of all sends a touch looks again as if it was paused, but stays due when it was: who
 * has the newer state may have sent it then, and a resume asks for just that (doubt.c).
 */
#include "pipeline/persist.h"
#include "pipeline/pipeline_priv.h"

#include <math.h>

enum {
    PAUSE_MS = 60000
};

/* The next moment of the customer's own. */
static int64_t pause_ends(const struct cw_pipeline *p, struct cw_view customer)
{
    int64_t own = cw_murmur2(customer.data, customer.bytes) % PAUSE_MS;
    int64_t wait = (own - p->now % PAUSE_MS + PAUSE_MS) % PAUSE_MS;
    return p->now + (wait == 0 ? PAUSE_MS : wait);
}

int64_t cw_touch_wakes(const struct cw_pipeline *p, struct cw_view customer,
                       const struct cw_touch_row *touch)
{
    bool waits = p->sends_held != 0 && touch->reason == CW_TOUCH_REASON_PAUSED &&
                 touch->due <= p->now;
    return waits ? pause_ends(p, customer) : touch->due;
}

/*
 * True when a message may go now: then its moment is used up. Else *until is its own slot, which is
 * taken unless it comes after `end`. next_us: the earliest slot that is free.
 */
static bool passes(int64_t *next_us, double rate, int64_t now, int64_t end, int64_t *until)
{
    if (!(rate > 0)) {
        return true;
    }
    double interval = ceil(1e6 / rate);
    int64_t interval_us = interval < 1e12 ? (int64_t)interval : (int64_t)1e12;
    int64_t slot_us = *next_us > now * 1000 ? *next_us : now * 1000;
    bool free = slot_us / 1000 <= now;
    *until = slot_us / 1000;
    if (free || *until < end) {
        *next_us = slot_us + interval_us;
    }
    return free;
}

/* Which slots of its own the touch has: CW_TOUCH_SLOT_*. */
static void set_slots(struct cw_pipeline *p, cw_row row, uint32_t number, uint32_t slots)
{
    uint32_t both = CW_TOUCH_SLOT_OWN | CW_TOUCH_SLOT_CHANNEL;
    uint32_t flags = cw_candidate_touches(cw_candidate_at(p, row))[number].flags;
    if ((flags & both) != slots) {
        cw_touch_edit(p, row, number)->flags = (uint8_t)((flags & ~both) | slots);
    }
}

int64_t cw_touch_hold(struct cw_pipeline *p, const struct cw_customer *customer, cw_row row,
                      uint32_t number, enum cw_touch_reason *reason)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    const struct cw_touch *of_program = cw_candidate_touch(p, candidate, number);
    const struct cw_touch_row *touch = &cw_candidate_touches(candidate)[number];
    if ((p->paused[candidate->slot] >> touch->channel & 1u) != 0) {
        *reason = CW_TOUCH_REASON_PAUSED;
        return pause_ends(p, customer->id);
    }
    *reason = CW_TOUCH_REASON_RATE_LIMIT;
    uint32_t held = touch->due == p->now ? touch->flags : 0;
    uint32_t cores = p->options.cores > 0 ? p->options.cores : 1;
    int64_t until;
    if ((held & CW_TOUCH_SLOT_OWN) == 0 &&
        !passes(&p->program_next[candidate->slot][touch->place],
                of_program->rate_per_second / cores, p->now, candidate->expires_at, &until)) {
        set_slots(p, row, number, CW_TOUCH_SLOT_OWN);
        return until;
    }
    if ((held & CW_TOUCH_SLOT_CHANNEL) == 0 &&
        !passes(&p->channel_next[touch->channel], p->options.rates[touch->channel], p->now,
                candidate->expires_at, &until)) {
        set_slots(p, row, number, CW_TOUCH_SLOT_OWN | CW_TOUCH_SLOT_CHANNEL);
        return until;
    }
    set_slots(p, row, number, 0);
    *reason = CW_TOUCH_REASON_NONE;
    return CW_TIME_NONE;
}

bool cw_pipeline_pause(struct cw_pipeline *p, struct cw_view program, enum cw_channel channel,
                       bool paused)
{
    uint32_t slot;
    if (!cw_slot_find(p, program, &slot)) {
        return false;
    }
    CW_ASSERT((uint32_t)channel <= CW_CHANNEL_COUNT);
    uint8_t bits = (uint8_t)(channel == CW_CHANNEL_COUNT ? (1u << CW_CHANNEL_COUNT) - 1
                                                         : 1u << (uint32_t)channel);
    p->paused[slot] = (uint8_t)(paused ? p->paused[slot] | bits : p->paused[slot] & ~bits);
    p->meta_changed = true;
    cw_pipeline_note(p); /* now: that alone is a change too, for which its answer waits */
    return true;
}

bool cw_pipeline_paused(const struct cw_pipeline *p, struct cw_view program,
                        enum cw_channel channel)
{
    uint32_t slot;
    return cw_slot_find(p, program, &slot) && (p->paused[slot] >> (uint32_t)channel & 1u) != 0;
}
