/*
 * sim_timely: that nothing comes early or late, by what the world was told: a touch fires within
 * [due, due + 1 tick + hold], where a tick is a step of its core.
 *
 * Promises say when a touch may be posted at the earliest. A book says which touch will be looked
 * at, and when: it is struck out by what is told or posted of it, and late when it still stands
 * there once its core has let time pass beyond its moment.
 *
 * What was told is not always durable. After a restart the earliest promise ever counts, and the
 * book is what the recovered state says, which is compared by itself (sim_recall.c).
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static struct cw_pipeline *pipeline_of(const struct sim_core *core)
{
    return cw_service_pipeline(core->service);
}

/* False: it is of none of the simulator's carts. */
static bool read_cart(struct cw_view cart, uint32_t *customer, uint32_t *number)
{
    char text[64];
    (void)snprintf(text, sizeof text, "%.*s", (int)cart.bytes, cart.data);
    return sscanf(text, "c%u-k%u", customer, number) == 2;
}

/* ---- promises ---- */

static void promise(struct sim *sim, const struct sim_awaited *told)
{
    struct sim_promise *made =
        &sim->promises[told->program][told->customer][told->cart][told->touch - 1];
    made->least = made->any && made->least < told->due ? made->least : told->due;
    made->due = told->due;
    made->any = true;
}

static void reset_promises(struct sim *sim)
{
    struct sim_promise *all = &sim->promises[0][0][0][0];
    for (size_t i = 0; i < sizeof sim->promises / sizeof *all; i++) {
        if (all[i].any) { /* most are of nobody: they are not written to (sim_power.c copies) */
            all[i].due = all[i].least;
        }
    }
}

/* ---- the book ---- */

/* The first entry of that touch, or with touch 0 of any of that cart, from `at` on; the count:
   there is none. */
static uint32_t find(const struct sim_awaited_book *book, const struct sim_awaited *like,
                     uint32_t at)
{
    for (; at < book->count; at++) {
        const struct sim_awaited *entry = &book->at[at];
        if (entry->program == like->program && entry->customer == like->customer &&
            entry->cart == like->cart && (like->touch == 0 || entry->touch == like->touch)) {
            break;
        }
    }
    return at;
}

static void strike_out(struct sim_awaited_book *book, const struct sim_awaited *like)
{
    uint32_t at = 0;
    while ((at = find(book, like, at)) < book->count) {
        book->at[at] = book->at[--book->count];
    }
}

/* By the engine's clock: a later step of its core must not find it there. */
static int64_t latest(const struct sim_core *core, const struct sim_awaited *entry)
{
    int64_t at = entry->due > entry->told ? entry->due : entry->told;
    int64_t woken = core->held_ms + CW_MINUTE_MS; /* each customer has a moment of the minute */
    return entry->held && woken > at ? woken : at;
}

static void put(struct sim_core *core, const struct sim_awaited *made)
{
    struct sim_awaited_book *book = &core->sim->awaited;
    uint32_t at = find(book, made, 0);
    if (at == book->count && book->count == book->room) {
        book->room = 2 * book->room + 256;
        book->at = realloc(book->at, book->room * sizeof *book->at);
        CW_ASSERT(book->at != NULL);
    }
    const struct sim_awaited *had = at < book->count && !made->answered ? &book->at[at] : NULL;
    struct sim_awaited entry = *made;
    /* Abandoned again: what became of a message under way is told later, and until then nothing
       else is due of it; what is held goes on to be looked at as such. */
    entry.out = made->out || (had != NULL && had->out);
    entry.held = made->held || (had != NULL && had->held);
    book->count += at == book->count;
    book->at[at] = entry;
    int64_t by = latest(core, &entry);
    core->look_at = by < core->look_at ? by : core->look_at;
}

/* ---- what is told ---- */

static void told_of_touch(struct sim_core *core, const struct cw_decision *decision,
                          struct sim_awaited *entry)
{
    entry->touch = decision->u.touch.touch;
    if (decision->u.touch.outcome != CW_OUTCOME_DEFERRED) {
        strike_out(&core->sim->awaited, entry);
        return;
    }
    entry->due = decision->u.touch.until;
    entry->held = decision->u.touch.reason == CW_TOUCH_REASON_PAUSED;
    entry->answered = true;
    put(core, entry);
    if (!entry->held) { /* else due as it was */
        promise(core->sim, entry);
    }
}

void sim_timely_told(struct sim_core *core, const struct cw_decision *decision)
{
    struct sim_awaited entry = {.core = core->index,
                                .told = core->clock_ms,
                                .program = sim_program_find(decision->program)};
    if (entry.program == SIM_PROGRAMS || !read_cart(decision->cart, &entry.customer, &entry.cart)) {
        return;
    }
    switch (decision->kind) {
    case CW_DECISION_CANDIDATE:
        for (uint32_t i = 0; i < decision->u.candidate.touch_count; i++) {
            entry.touch = decision->u.candidate.touches[i].touch;
            entry.due = decision->u.candidate.touches[i].due;
            put(core, &entry);
            promise(core->sim, &entry);
        }
        break;
    case CW_DECISION_TOUCH: told_of_touch(core, decision, &entry); break;
    case CW_DECISION_REJECTED: /* abandoned again: that ends what was there */
    case CW_DECISION_SUPERSEDED:
    case CW_DECISION_EXPIRED:
    case CW_DECISION_CONVERTED:
    case CW_DECISION_CANCELLED: strike_out(&core->sim->awaited, &entry); break;
    default: break;
    }
}

void sim_timely_posted(struct sim *sim, const struct sim_message *message)
{
    const struct sim_awaited like = {.program = message->program,
                                     .customer = message->customer,
                                     .cart = message->cart,
                                     .touch = message->touch};
    uint32_t at = find(&sim->awaited, &like, 0);
    if (at < sim->awaited.count) {
        sim->awaited.at[at].out = true;
    }
}

static void recall_candidate(struct sim_core *core, const struct cw_candidate_row *candidate)
{
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    struct sim_awaited entry = {
        .core = core->index, .told = core->clock_ms, .program = sim_program_find(texts.program)};
    bool known =
        entry.program < SIM_PROGRAMS && read_cart(texts.cart, &entry.customer, &entry.cart);
    for (uint32_t i = 0; known && i < candidate->touch_count; i++) {
        entry.touch = i + 1;
        entry.due = touches[i].due;
        entry.held = touches[i].reason == CW_TOUCH_REASON_PAUSED;
        entry.out = touches[i].state == CW_TOUCH_SENDING;
        if (entry.out || touches[i].state == CW_TOUCH_PENDING) {
            put(core, &entry);
        }
    }
}

void sim_timely_recall(struct sim *sim)
{
    reset_promises(sim);
    sim->awaited.count = 0;
    for (uint32_t i = 0; i < sim->machine.cores; i++) {
        struct sim_core *core = &sim->machine.core[i];
        struct cw_pipeline *p = pipeline_of(core);
        uint64_t cursor = 0;
        cw_row row;
        core->look_at = INT64_MAX;
        while ((row = cw_table_next(p->candidates, &cursor)) != CW_ROW_NONE) {
            const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
            if (candidate->status < CW_STATUS_CONVERTED) {
                recall_candidate(core, candidate);
            }
        }
    }
}

/* ---- 7: what is early, or late ---- */

void sim_check_due(struct sim *sim, const struct sim_message *message)
{
    const struct sim_promise *promise =
        &sim->promises[message->program][message->customer][message->cart][message->touch - 1];
    if (!promise->any) {
        sim_fail(sim, "due", "%s touch %u of c%u-k%u is posted, and nobody was told of it",
                 sim_programs[message->program].id, message->touch, message->customer,
                 message->cart);
    }
    if (sim->engine_ms < promise->due) {
        sim_fail(sim, "due", "%s touch %u of c%u-k%u is posted %lld ms before it is due",
                 sim_programs[message->program].id, message->touch, message->customer,
                 message->cart, (long long)(promise->due - sim->engine_ms));
    }
}

static void look(struct sim_core *core)
{
    struct sim *sim = core->sim;
    core->look_at = INT64_MAX;
    for (uint32_t i = 0; i < sim->awaited.count; i++) {
        const struct sim_awaited *entry = &sim->awaited.at[i];
        bool waits = entry->out || (entry->held && pipeline_of(core)->sends_held != 0);
        if (entry->core != core->index || waits) {
            continue;
        }
        int64_t by = latest(core, entry);
        if (by < core->clock_ms) {
            sim_fail(sim, "due",
                     "%s touch %u of c%u-k%u was due, and %lld ms later core %u has "
                     "not looked at it",
                     sim_programs[entry->program].id, entry->touch, entry->customer, entry->cart,
                     (long long)(core->clock_ms - entry->due), core->index);
        }
        core->look_at = by < core->look_at ? by : core->look_at;
    }
}

void sim_check_timely(struct sim_core *core, bool held)
{
    const struct cw_pipeline *p = pipeline_of(core);
    int64_t earliest;
    if (core->clock_ms == core->began_ms) { /* no time has passed yet */
        return;
    }
    if (held || p->sends_held != 0) {
        core->held_ms = core->clock_ms;
        core->look_at = core->clock_ms; /* those that are held wait from now on again */
    }
    if (core->look_at < core->clock_ms) {
        look(core);
    }
    /* And what is told of when it has happened: ends of sessions and of candidates. */
    if (cw_pipeline_earliest(p, &earliest) && earliest < core->clock_ms) {
        sim_fail(core->sim, "due", "core %u has a timer that was due %lld ms ago", core->index,
                 (long long)(core->clock_ms - earliest));
    }
}
