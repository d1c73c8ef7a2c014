/* pipeline: opens a core's state, runs batches of events and the passing of time. */
#include "pipeline/pipeline.h"

#include "core/journal.h"
#include "pipeline/graph.h"
#include "pipeline/persist.h"

#include <string.h>

enum {
    FIRED_MAX = 256,
    FIRED_IN_ROOM = 32, /* customers that fire before room for their changes is looked at again */
    FIRED_IN_TURN = 512,
    FIRE_AHEAD = 8, /* customers whose rows are requested before they are at work */
    SCRATCH_CHUNK = 1 << 20
};

static cw_err open_tables(struct cw_pipeline *p, struct cw_fault *fault)
{
    const struct {
        struct cw_table **table;
        const char *name;
        uint32_t hint;
    } tables[] = {
        {&p->customers, "customers", sizeof(struct cw_customer_row) + 64},
        {&p->carts, "carts", sizeof(struct cw_cart_row)},
        {&p->candidates, "candidates", sizeof(struct cw_candidate_row) + 512},
        {&p->dedup, "dedup", sizeof(struct cw_dedup_row) + 96},
        {&p->scores, "scores", sizeof(struct cw_score_row) + 96},
        {&p->products, "products", sizeof(struct cw_product_row)},
        {&p->messages, "messages", sizeof(struct cw_message_row) + 16},
        {&p->links, "links", sizeof(struct cw_link_row)},
        {&p->seen, "seen", sizeof(struct cw_seen_row)},
        {&p->meta, "meta", sizeof(struct cw_fates)},
    };

    for (uint32_t i = 0; i < CW_COUNTOF(tables); i++) {
        struct cw_table_options options = {.name = tables[i].name,
                                           .rows_max = p->options.rows_max,
                                           .bytes_max = p->options.bytes_max,
                                           .memory = p->memory,
                                           .hash = p->options.hash,
                                           .value_bytes_hint = tables[i].hint};
        cw_err err = cw_table_open(tables[i].table, &options, fault);
        if (err != CW_ERR_OK) {
            return err;
        }
    }
    return CW_ERR_OK;
}

cw_err cw_rows_open(struct cw_pipeline *p, struct cw_fault *fault)
{
    cw_err err = open_tables(p, fault);
    if (err == CW_ERR_OK) {
        uint64_t timers =
            p->options.rows_max < UINT32_MAX - 2 ? p->options.rows_max : UINT32_MAX - 2;
        struct cw_wheel_options wheel = {.start_ms = p->options.start_ms,
                                         .timers_max = (uint32_t)timers,
                                         .memory = p->memory};
        err = cw_wheel_open(&p->wheel, &wheel, fault);
    }
    return err;
}

void cw_rows_close(struct cw_pipeline *p)
{
#define CW_X(name)               \
    if (p->name != NULL) {       \
        cw_table_close(p->name); \
        p->name = NULL;          \
    }
    CW_TABLES(CW_X)
#undef CW_X
    if (p->wheel != NULL) {
        cw_wheel_close(p->wheel);
        p->wheel = NULL;
    }
}

static void close_parts(struct cw_pipeline *p)
{
    cw_rows_close(p);
    if (p->loaded.meta != NULL) {
        cw_table_close(p->loaded.meta);
    }
    cw_memory_release(&p->kept);
    if (p->decoder != NULL) {
        cw_decoder_close(p->decoder);
    }
    if (p->scratch.first != NULL) {
        cw_arena_close(&p->scratch);
    }
    cw_text_deinit(&p->made);
    for (uint32_t i = 0; i < CW_COUNTOF(p->urls); i++) {
        cw_text_deinit(&p->urls[i]);
    }
}

static cw_err open_parts(struct cw_pipeline *p, struct cw_fault *fault)
{
    cw_err err = cw_rows_open(p, fault);
    if (err == CW_ERR_OK) {
        /* What cartwheel makes itself may be a little longer than what it was made from. */
        struct cw_decoder_options decoder = {.names = p->options.names,
                                             .programs = p->programs,
                                             .zones = p->options.zones,
                                             .partitions = p->options.partitions,
                                             .event_bytes_max = p->options.event_bytes_max + 2048};
        err = cw_decoder_open(&p->decoder, &decoder, fault);
    }
    if (err == CW_ERR_OK) {
        err = cw_arena_open(&p->scratch, SCRATCH_CHUNK, (size_t)1 << 32, fault);
    }
    return err;
}

cw_err cw_pipeline_open(struct cw_pipeline **pipeline, const struct cw_pipeline_options *options,
                        struct cw_fault *fault)
{
    CW_ASSERT(cw_graph_check(cw_graph, CW_STAGE_COUNT, CW_FIELD_EVENT));
    CW_ASSERT((options->partitions & (options->partitions - 1)) == 0);
    struct cw_arena own;
    cw_err err = cw_arena_open(&own, sizeof(struct cw_pipeline) + sizeof(struct cw_index) + 4096,
                               (size_t)1 << 26, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_pipeline *p = cw_arena_zalloc(&own, sizeof *p, CW_CACHE_LINE);
    p->index = cw_arena_zalloc(&own, sizeof *p->index, CW_CACHE_LINE);
    p->options = *options;
    if (p->options.names == NULL) {
        p->options.names = &cw_event_names_default;
    }
    p->now = options->start_ms;
    p->assumes_until = p->assumed_at = CW_TIME_NONE;
    cw_programs_install(p, options->programs);
    err = open_parts(p, fault);
    if (err != CW_ERR_OK) {
        close_parts(p);
        cw_arena_close(&own);
        return err;
    }
    p->own = own;
    *pipeline = p;
    return CW_ERR_OK;
}

void cw_pipeline_close(struct cw_pipeline *p)
{
    close_parts(p);
    struct cw_arena own = p->own;
    cw_arena_close(&own);
}

bool cw_pipeline_populate(struct cw_pipeline *p)
{
    bool more = cw_wheel_populate(p->wheel);
#define CW_X(name) more |= cw_table_populate(p->name);
    CW_TABLES(CW_X)
#undef CW_X
    return more;
}

void cw_decide(struct cw_pipeline *p, struct cw_decision *decision, enum cw_decision_kind kind,
               struct cw_view program, struct cw_view customer, struct cw_view cart)
{
    decision->at = p->now;
    decision->kind = kind;
    decision->program = program;
    decision->customer = customer;
    decision->cart = cart;
    p->options.port.decide(p->options.port.self, decision);
}

cw_row cw_product_make(struct cw_pipeline *p, struct cw_view id)
{
    bool added = false;
    cw_row row = cw_table_put(p->products, cw_table_hash(p->products, id.data, id.bytes), id.data,
                              id.bytes, sizeof(struct cw_product_row), &added);
    if (added) {
        struct cw_product_row *product = cw_table_edit(p->products, row);
        *product = (struct cw_product_row){.time = CW_TIME_NONE, .available = CW_AVAILABLE_ALWAYS};
    }
    return row;
}

/* Told to all cores, counted by the first. */
static enum cw_event_fate update_product(struct cw_pipeline *p, const struct cw_event *event)
{
    bool counts = p->options.core == 0;
    p->fates.received += counts;
    if (event->id.data != NULL &&
        cw_seen_before(p, NULL, 'e', event->source, event->id, event->time, 0)) {
        p->fates.events[CW_EVENT_FATE_REPEATED] += counts;
        return CW_EVENT_FATE_REPEATED;
    }
    cw_row row = cw_product_make(p, event->u.product.id);
    if (row == CW_ROW_NONE) {
        p->fates.not_remembered++;
    } else {
        const struct cw_product_row *known = cw_table_value(p->products, row);
        if (event->time >= known->time) {
            struct cw_product_row *product = cw_table_edit(p->products, row);
            product->time = event->time;
            product->available = event->u.product.available;
        }
    }
    p->fates.events[CW_EVENT_FATE_APPLIED] += counts;
    return CW_EVENT_FATE_APPLIED;
}

static void erase(struct cw_pipeline *p, struct cw_customer *customer, const struct cw_event *event)
{
    int64_t until = cw_profile_latest(customer->at);
    int64_t before = cw_erased_until(p, customer);
    until = before > until ? before : until;
    until = event->time > until ? event->time : until;
    cw_erasure_note(p, event->customer, event->id);
    cw_cancel_erased(p, customer);
    cw_profile_erase(p, customer);
    /* What stays is the erasing event's own id, so that its repetition changes nothing, and up to
       when everything was erased, so that what was told before then does not come back. */
    if (!cw_customer_make(p, event->customer, customer)) {
        p->fates.not_remembered++;
        return;
    }
    cw_erased_remember(p, customer, until);
    if (event->id.data != NULL) {
        (void)cw_seen_before(p, customer, 'e', event->source, event->id, event->time,
                             p->hints->seen);
    }
}

static enum cw_event_fate apply_to_customer(struct cw_pipeline *p, const struct cw_event *event)
{
    struct cw_customer customer;
    if (!cw_customer_make(p, event->customer, &customer)) {
        p->fates.not_remembered++;
        return CW_EVENT_FATE_REFUSED;
    }
    cw_table_prefetch_at(p->seen, customer.at->seen); /* a new id is linked in front of it */
    if (event->time <= cw_erased_until(p, &customer) && event->type != CW_EVENT_CUSTOMER_ERASED) {
        return CW_EVENT_FATE_REPEATED; /* or late: by its own time it was before */
    }
    if (event->id.data != NULL &&
        cw_seen_before(p, &customer, 'e', event->source, event->id, event->time, p->hints->seen)) {
        return CW_EVENT_FATE_REPEATED;
    }
    switch (event->type) {
    case CW_EVENT_CART_ABANDONED:
        if (!cw_abandon_run(p, &customer, event)) {
            /* Sent again, what it has done is done, and what it has not finds room by then. */
            cw_seen_forget(p, &customer, event);
            return CW_EVENT_FATE_REFUSED;
        }
        cw_cart_abandoned(p, &customer, event);
        return event->programs != 0 ? CW_EVENT_FATE_APPLIED : CW_EVENT_FATE_UNMATCHED;
    case CW_EVENT_CART_UPDATED: cw_cart_updated(p, &customer, event); break;
    case CW_EVENT_CART_CLEARED: cw_cart_cleared(p, &customer, event); break;
    case CW_EVENT_ORDER_PLACED:
        if (cw_seen_before(p, &customer, 'o', CW_VIEW(""), event->u.order.id, event->time, 0)) {
            return CW_EVENT_FATE_REPEATED;
        }
        cw_order_placed(p, &customer, event);
        break;
    case CW_EVENT_ORDER_REFUNDED: p->fates.refunds++; break;
    case CW_EVENT_CUSTOMER_UPDATED:
        if (!cw_profile_update(p, &customer, event)) {
            cw_seen_forget(p, &customer, event);
            return CW_EVENT_FATE_REFUSED;
        }
        break;
    case CW_EVENT_CUSTOMER_ERASED: erase(p, &customer, event); break;
    case CW_EVENT_FEEDBACK: {
        struct cw_customer_row *row = cw_customer_edit(p, &customer);
        row->ratings++;
        row->rating_sum += (double)event->u.feedback.rating;
        break;
    }
    default: CW_ASSERT(false);
    }
    return CW_EVENT_FATE_APPLIED;
}

static void decide_invalid(struct cw_pipeline *p, const struct cw_event *event)
{
    struct cw_decision decision = {.u.invalid = {.file = event->u.invalid.file,
                                                 .reason = event->u.invalid.reason,
                                                 .line = event->u.invalid.line}};
    cw_decide(p, &decision, CW_DECISION_INVALID, (struct cw_view){0}, (struct cw_view){0},
              (struct cw_view){0});
}

void cw_decide_unfollowed(struct cw_pipeline *p, const struct cw_event *event,
                          enum cw_event_fate fate)
{
    static const char *const names[][2] = {
#define CW_X(name, text, help) {text, help},
        CW_EVENT_FATES(CW_X)
#undef CW_X
    };
    if (!p->options.unfollowed) {
        return;
    }
    struct cw_decision decision = {
        .u.unfollowed = {.reason = names[fate][0], .help = names[fate][1]}};
    switch (fate) {
    case CW_EVENT_FATE_UNKNOWN_TYPE:
        decision.u.unfollowed.what = event->source;
        decision.u.unfollowed.type = event->u.unknown.type;
        break;
    case CW_EVENT_FATE_UNKNOWN_MESSAGE: decision.u.unfollowed.what = event->u.message.id; break;
    case CW_EVENT_FATE_UNMATCHED:
    case CW_EVENT_FATE_REFUSED: break;
    case CW_EVENT_FATE_APPLIED:
    case CW_EVENT_FATE_REPEATED:
    case CW_EVENT_FATE_INVALID:
    case CW_EVENT_FATE_COUNT: return;
    }
    cw_decide(p, &decision, CW_DECISION_UNFOLLOWED, (struct cw_view){0}, event->customer,
              event->cart);
}

/* Counts the event as received, and what became of it. */
static enum cw_event_fate tally(struct cw_pipeline *p, const struct cw_event *event,
                                enum cw_event_fate fate)
{
    p->fates.received++;
    p->fates.events[fate]++;
    cw_decide_unfollowed(p, event, fate);
    return fate;
}

/* For changes, in the next commit. */
static bool has_room(const struct cw_pipeline *p)
{
    return p->journal == NULL || cw_journal_bytes(p->journal) < CW_CHANGES_BYTES_MAX;
}

/* What nothing may be refused for: it ends or stops something, or takes no lasting room. */
static bool is_needed(enum cw_event_type type)
{
    return type != CW_EVENT_CART_ABANDONED && type != CW_EVENT_CART_UPDATED &&
           type != CW_EVENT_FEEDBACK;
}

static enum cw_event_fate apply(struct cw_pipeline *p, const struct cw_event *event)
{
    bool refuses = p->short_of != CW_SHORTAGE_NONE || !has_room(p);
    if (refuses && event->customer.data != NULL && !is_needed(event->type)) {
        return tally(p, event, CW_EVENT_FATE_REFUSED);
    }
    switch (event->type) {
    case CW_EVENT_CLOCK: return CW_EVENT_FATE_APPLIED;
    case CW_EVENT_INVENTORY_CHANGED: return update_product(p, event);
    case CW_EVENT_UNKNOWN: return tally(p, event, CW_EVENT_FATE_UNKNOWN_TYPE);
    case CW_EVENT_INVALID: decide_invalid(p, event); return tally(p, event, CW_EVENT_FATE_INVALID);
    case CW_EVENT_DELIVERED:
    case CW_EVENT_BOUNCED:
    case CW_EVENT_OPENED:
    case CW_EVENT_CLICKED:
    case CW_EVENT_COMPLAINED:
    case CW_EVENT_UNSUBSCRIBED: return tally(p, event, cw_engage(p, event));
    default: return tally(p, event, apply_to_customer(p, event));
    }
}

/* Events may come from another core or have been decoded long ago: those next are asked for, and
   the texts of those whose lines are there by now. */
static void prefetch_event(const struct cw_event *const *events, uint32_t i, uint32_t count)
{
    const uint32_t lines_ahead = 8;
    const uint32_t texts_ahead = 4;
    if (i + lines_ahead < count) {
        const char *event = (const char *)events[i + lines_ahead];
        __builtin_prefetch(event);
        __builtin_prefetch(event + CW_CACHE_LINE);
    }
    if (i + texts_ahead < count) {
        __builtin_prefetch(events[i + texts_ahead]->customer.data);
    }
}

/* The rows that an event will ask for first: their index lines, then, once those are there, the
   rows themselves. The hashes are kept for the event. */
static void prefetch(const struct cw_pipeline *p, const struct cw_event *const *events,
                     uint32_t count, struct cw_hints *hints)
{
    char key[CW_KEY_BYTES];
    for (uint32_t i = 0; i < count; i++) {
        const struct cw_event *event = events[i];
        prefetch_event(events, i, count);
        hints[i] = (struct cw_hints){0};
        if (event->customer.data != NULL) {
            hints[i].customer =
                cw_table_hash(p->customers, event->customer.data, event->customer.bytes);
            cw_table_prefetch(p->customers, hints[i].customer);
            if (event->id.data != NULL) {
                uint32_t bytes = cw_seen_key('e', event->customer, event->source, event->id, key);
                hints[i].seen = cw_table_hash(p->seen, key, bytes);
                cw_table_prefetch_put(p->seen, hints[i].seen);
            }
            if (event->cart.data != NULL) {
                uint32_t bytes = cw_cart_key(event->customer, event->cart, key);
                hints[i].cart = cw_table_hash(p->carts, key, bytes);
                cw_table_prefetch(p->carts, hints[i].cart);
            }
        } else if (event->type >= CW_EVENT_DELIVERED && event->type <= CW_EVENT_UNSUBSCRIBED) {
            struct cw_view id = event->u.message.id;
            hints[i].cart = cw_table_hash(p->messages, id.data, id.bytes);
            cw_table_prefetch(p->messages, hints[i].cart);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (hints[i].customer != 0) {
            cw_table_prefetch_row(p->customers, hints[i].customer);
        }
        if (hints[i].cart != 0) {
            cw_table_prefetch_row(hints[i].customer != 0 ? p->carts : p->messages, hints[i].cart);
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (hints[i].customer == 0 && hints[i].cart != 0) {
            cw_engage_prefetch(p, events[i], &hints[i]);
        }
    }
}

void cw_pipeline_run(struct cw_pipeline *p, const struct cw_event *const *events, uint32_t count)
{
    cw_pipeline_run_telling(p, events, count, NULL);
}

void cw_pipeline_run_telling(struct cw_pipeline *p, const struct cw_event *const *events,
                             uint32_t count, uint8_t *fates)
{
    struct cw_hints hints[CW_RUN_BATCH];
    for (uint32_t done = 0; done < count; done += CW_RUN_BATCH) {
        uint32_t batch = count - done < CW_RUN_BATCH ? count - done : CW_RUN_BATCH;
        prefetch(p, events + done, batch, hints);
        for (uint32_t i = 0; i < batch; i++) {
            const struct cw_event *event = events[done + i];
            CW_ASSERT_HOT(event->clock >= p->now);
            if (event->clock > p->now) {
                cw_pipeline_advance(p, event->clock - 1);
                p->now = event->clock;
            }
            p->hints = &hints[i];
            cw_tell_before(p, event, NULL);
            enum cw_event_fate fate = apply(p, event);
            if (fates != NULL) {
                fates[done + i] = (uint8_t)fate;
            }
            p->hints = NULL;
            cw_arena_reset(&p->scratch);
        }
    }
}

static void fire(struct cw_pipeline *p, const struct cw_wheel_fired *fired, int64_t tick)
{
    cw_row row = fired->cookie;
    struct cw_customer customer = {.row = row, .at = cw_table_value(p->customers, row)};
    CW_ASSERT_HOT(customer.at->timer == fired->timer);
    cw_customer_link(p, &customer)->timer = CW_TIMER_NONE;
    p->now = tick > p->now ? tick : p->now;
    /* The row may move while its customer is at work, so the id is kept apart. */
    char id[CW_ID_BYTES_MAX];
    customer.id = cw_table_key(p->customers, row);
    memcpy(id, customer.id.data, customer.id.bytes);
    customer.id.data = id;
    cw_customer_fire(p, &customer);
}

/* Fires at most `most` customers' timers at a time, and looks at `within` between. */
static bool advance(struct cw_pipeline *p, int64_t now, uint32_t most, bool within)
{
    struct cw_wheel_fired fired[FIRED_MAX];
    uint32_t total = 0;
    for (;;) { /* bounded: each turn fires timers or moves the wheel on */
        int64_t tick = now;
        if (within && (total >= FIRED_IN_TURN || !has_room(p))) {
            return false;
        }
        uint32_t count = cw_wheel_advance(p->wheel, now, fired, most, &tick);
        if (count == 0 && tick >= now) {
            break;
        }
        total += count;
        for (uint32_t i = 0; i < count && i < FIRE_AHEAD; i++) {
            __builtin_prefetch(cw_table_value(p->customers, fired[i].cookie));
        }
        for (uint32_t i = 0; i < count; i++) {
            if (i + FIRE_AHEAD < count) {
                __builtin_prefetch(cw_table_value(p->customers, fired[i + FIRE_AHEAD].cookie));
            }
            fire(p, &fired[i], tick);
        }
    }
    p->now = now > p->now ? now : p->now;
    return true;
}

void cw_pipeline_advance(struct cw_pipeline *p, int64_t now)
{
    (void)advance(p, now, FIRED_MAX, false);
}

bool cw_pipeline_advance_within(struct cw_pipeline *p, int64_t now)
{
    return advance(p, now, FIRED_IN_ROOM, true);
}

void cw_pipeline_journal(struct cw_pipeline *p, struct cw_journal *journal)
{
    p->journal = journal;
    for (uint32_t i = 0; i < CW_TABLE_NUMBER_COUNT; i++) {
        cw_table_journal(cw_pipeline_table(p, (enum cw_table_number)i), journal, (uint8_t)i);
    }
}

void cw_pipeline_refuse(struct cw_pipeline *p, uint32_t shortages)
{
    p->short_of = shortages;
}

uint32_t cw_pipeline_short_of(const struct cw_pipeline *p)
{
    return p->short_of;
}

bool cw_pipeline_earliest(const struct cw_pipeline *p, int64_t *due)
{
    return cw_wheel_earliest(p->wheel, due);
}

bool cw_pipeline_finish(struct cw_pipeline *p, int64_t clock, int64_t until, uint32_t turns,
                        int64_t *reached)
{
    int64_t due;
    while (cw_pipeline_earliest(p, &due) &&
           (until == CW_TIME_NONE || due <= until)) { /* bounded: every journey expires */
        *reached = due > clock ? due : clock;
        if (turns-- == 0) {
            return false;
        }
        cw_pipeline_advance(p, *reached);
    }
    return true;
}

const struct cw_fates *cw_pipeline_fates(const struct cw_pipeline *p)
{
    return &p->fates;
}

void cw_pipeline_count(const struct cw_pipeline *p, uint64_t *in_flight, uint64_t *pending)
{
    uint64_t cursor = 0;
    cw_row row;
    *in_flight = *pending = 0;
    while ((row = cw_table_next(p->candidates, &cursor)) != CW_ROW_NONE) {
        const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
        if (candidate->status >= CW_STATUS_CONVERTED) {
            continue;
        }
        ++*in_flight;
        const struct cw_touch_row *touches = cw_candidate_touches(candidate);
        for (uint32_t i = 0; i < candidate->touch_count; i++) {
            *pending += touches[i].state == CW_TOUCH_PENDING;
        }
    }
}
