/*
 * persist_relink: rows that were loaded become a state: lists, counts, indexes, timers, slots of
 * programs. Every core that was had its own programs at the moment of its end (they may differ:
 * a change goes from core to core), so a row is read with those of the core that wrote it, which
 * its customer's partition tells.
 */
#include "pipeline/persist_priv.h"

#include <string.h>

struct relink {
    struct cw_pipeline *p;
    const struct cw_relink *how;
    struct cw_core_before *before; /* how->cores_before of them */
    struct cw_fault *fault;
    uint64_t in_flight, pending, sending;
};

/* Programs keep their slots; those that are new take what is free then. So rows need no change as
   long as the programs are the same. */
static void place_programs(struct cw_pipeline *p, const struct cw_core_before *first)
{
    bool placed[CW_PROGRAMS_MAX] = {false};
    memset(p->slots, 0, CW_SLOTS_MAX * sizeof p->slots[0]);
    for (uint32_t slot = 0; slot < CW_SLOTS_MAX; slot++) {
        const struct cw_program_before *old = first->by_slot[slot];
        const struct cw_program *new = old == NULL ? NULL : cw_programs_find(p->programs, old->id);
        if (new != NULL) {
            uint32_t number = (uint32_t)(new - p->programs->list);
            p->slots[slot] = (struct cw_slot){.program = new, .number = number};
            p->slot_of[number] = (uint8_t)slot;
            placed[number] = true;
        }
    }
    uint32_t slot = 0;
    for (uint32_t number = 0; number < p->programs->count; number++) {
        if (placed[number]) {
            continue;
        }
        while (p->slots[slot].program != NULL) {
            slot++;
            CW_ASSERT(slot < CW_SLOTS_MAX); /* a set has no more programs than there are slots */
        }
        p->slots[slot] = (struct cw_slot){.program = &p->programs->list[number], .number = number};
        p->slot_of[number] = (uint8_t)slot;
    }
}

/* What became of one core's programs, as program_set.c would have gone over to the new ones. */
static void follow_programs(struct cw_pipeline *p, struct cw_core_before *core)
{
    for (uint32_t i = 0; i < CW_SLOTS_MAX; i++) {
        struct cw_program_before *old = core->by_slot[i];
        if (old == NULL) {
            continue;
        }
        old->slot_now = CW_SLOT_GONE;
        bool there = cw_slot_find(p, old->id, &old->slot_now);
        const struct cw_program *new = p->slots[old->slot_now].program;
        if (!there || !cw_key_format_same(&old->key, &new->dedup.key)) {
            cw_programs_retire(p, old->id, &old->key, core->clock.now + old->until);
        }
        if (!there) {
            continue;
        }
        old->watches = new->enabled &&new->session_timeout_ms > 0;
        p->paused[old->slot_now] |= old->paused;
    }
}

/*
 * Rows that lead to rows of another table (a cart to its customer), which lie anywhere. So rows are
 * taken so many at a time: the places of those that they lead to are asked for, then these
 * themselves, and they are found, before the first is looked at. Finding moves nothing.
 */
struct led {
    cw_row rows[CW_LOAD_BATCH];
    cw_row to[CW_LOAD_BATCH]; /* CW_ROW_NONE: not there, or the row leads to none */
    uint64_t hashes[CW_LOAD_BATCH];
    uint32_t count;
};

enum {
    LED_KEY_BYTES = CW_ID_BYTES_MAX + sizeof(uint32_t) /* of the longest that is put together */
};

struct lead {
    const struct cw_table *from, *to;
    /* The key of what a row leads to, of no bytes: nothing; room has LED_KEY_BYTES. */
    struct cw_view (*key)(const struct cw_table *from, cw_row row, char *room);
    /* Asks for what the row that was found leads to in turn; NULL: for nothing. */
    void (*ask)(const struct cw_pipeline *p, cw_row to);
    /* What is made of a row; it may remove that one, and moves or removes none of `to`. */
    cw_err (*link)(struct relink *r, cw_row row, cw_row to);
};

/* The next rows; false: there are none left. */
static bool next_led(const struct lead *lead, uint64_t *cursor, struct led *led)
{
    char room[LED_KEY_BYTES];
    led->count = 0;
    while (led->count < CW_LOAD_BATCH) {
        cw_row row = cw_table_next(lead->from, cursor);
        if (row == CW_ROW_NONE) {
            break;
        }
        struct cw_view key = lead->key(lead->from, row, room);
        uint64_t hash = cw_table_hash(lead->to, key.data, key.bytes);
        cw_table_prefetch(lead->to, hash);
        led->rows[led->count] = row;
        led->hashes[led->count++] = hash;
    }
    for (uint32_t i = 0; i < led->count; i++) {
        cw_table_prefetch_key(lead->to, led->hashes[i]); /* of a customer, the ends of lists */
    }
    for (uint32_t i = 0; i < led->count; i++) {
        struct cw_view key = lead->key(lead->from, led->rows[i], room);
        led->to[i] = key.bytes == 0
                         ? CW_ROW_NONE
                         : cw_table_find(lead->to, led->hashes[i], key.data, key.bytes);
    }
    return led->count > 0;
}

/* All rows of a table, each with what it leads to. */
static cw_err follow(struct relink *r, const struct lead *lead)
{
    struct led led;
    uint64_t cursor = 0;
    while (next_led(lead, &cursor, &led)) {
        for (uint32_t i = 0; lead->ask != NULL && i < led.count; i++) {
            if (led.to[i] != CW_ROW_NONE) {
                lead->ask(r->p, led.to[i]);
            }
        }
        for (uint32_t i = 0; i < led.count; i++) {
            cw_err err = lead->link(r, led.rows[i], led.to[i]);
            if (err != CW_ERR_OK) {
                return err;
            }
        }
    }
    return CW_ERR_OK;
}

static struct cw_customer customer_at(const struct cw_pipeline *p, cw_row row)
{
    return (struct cw_customer){.id = cw_table_key(p->customers, row),
                                .row = row,
                                .at = cw_table_value(p->customers, row)};
}

static const struct cw_core_before *core_of(const struct relink *r, struct cw_view customer)
{
    uint32_t partition = cw_partition(customer, r->p->options.partitions);
    return &r->before[partition % r->how->cores_before];
}

static cw_err clear_customers(struct relink *r)
{
    struct cw_pipeline *p = r->p;
    uint64_t cursor = 0;
    cw_row row;
    while ((row = cw_table_next(p->customers, &cursor)) != CW_ROW_NONE) {
        struct cw_view id = cw_table_key(p->customers, row);
        struct cw_customer_row *at = cw_table_link(p->customers, row);
        at->timer = CW_TIMER_NONE;
        at->timer_due = CW_TIME_NONE;
        at->in_flight = at->history = at->carts = at->watched = at->seen = CW_ROW_NONE;
        at->in_flight_count = at->watched_count = 0;
        if (cw_partition(id, p->options.partitions) % r->how->cores != p->options.core) {
            return cw_damaged(r->fault, "a customer of another core");
        }
    }
    return CW_ERR_OK;
}

/* Slot and places under the programs that hold now. */
static void take_over(struct cw_pipeline *p, cw_row row)
{
    struct cw_candidate_row *at = cw_candidate_link(p, row);
    struct cw_view program = cw_candidate_texts(at).program;
    uint32_t slot = CW_SLOT_GONE;
    bool there = cw_slot_find(p, program, &slot);
    const struct cw_touch_row *touches = cw_candidate_touches(at);
    at->slot = slot;
    p->astray += !there;
    for (uint32_t i = 0; i < at->touch_count; i++) {
        const uint8_t slots = CW_TOUCH_SLOT_OWN | CW_TOUCH_SLOT_CHANNEL;
        cw_touch_link(p, row, i)->place =
            there ? cw_touch_place(p->slots[slot].program, touches[i].channel_id) : CW_PLACE_NONE;
        if ((touches[i].flags & slots) != 0) {
            cw_touch_edit(p, row, i)->flags &= (uint8_t)~slots;
        }
    }
}

/* Item rows lead to the products that stock is asked of. */
static bool lead_to_products(struct cw_pipeline *p, cw_row row)
{
    struct cw_candidate_row *at = cw_table_link(p->candidates, row);
    struct cw_item_row *items =
        (struct cw_item_row *)((struct cw_touch_row *)(at + 1) + at->touch_count);
    const char *text = cw_candidate_texts(at).items;
    for (uint32_t i = 0; i < at->item_count; i++) {
        items[i].product = cw_product_make(p, (struct cw_view){text, items[i].id_bytes});
        if (items[i].product == CW_ROW_NONE) {
            p->fates.not_remembered++;
        }
        text += items[i].id_bytes + items[i].name_bytes +
                (items[i].image_bytes == UINT32_MAX ? 0 : items[i].image_bytes);
    }
    return true;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): others of its kind write there */
static struct cw_view candidate_owner(const struct cw_table *candidates, cw_row row, char *room)
{
    (void)room;
    struct cw_view key = cw_table_key(candidates, row);
    return (struct cw_view){key.data, key.bytes - (uint32_t)sizeof(uint32_t)};
}

static cw_err link_candidate(struct relink *r, cw_row row, cw_row customer)
{
    struct cw_pipeline *p = r->p;
    struct cw_candidate_row *at = cw_table_link(p->candidates, row);
    struct cw_customer_row *owner =
        customer == CW_ROW_NONE ? NULL : cw_table_link(p->customers, customer);
    if (owner == NULL || at->serial > owner->candidate_serial || at->listed > owner->listings) {
        return cw_damaged(r->fault, "a candidate that its customer does not know");
    }
    bool in_flight = at->status < CW_STATUS_CONVERTED;
    cw_row *head = in_flight ? &owner->in_flight : &owner->history;
    at->slot = CW_SLOT_GONE; /* of those in flight it follows */
    at->score_bucket = at->value_bucket = CW_BUCKET_NONE;
    at->cart_hash = cw_candidate_hash(p, cw_candidate_texts(at).cart);
    at->prev = CW_ROW_NONE;
    at->next = *head;
    *head = row;
    (void)lead_to_products(p, row);
    const struct cw_touch_row *touches = cw_candidate_touches(at);
    for (uint32_t i = 0; i < at->touch_count; i++) {
        r->sending += touches[i].state == CW_TOUCH_SENDING;
        r->pending += in_flight && touches[i].state == CW_TOUCH_PENDING;
    }
    r->in_flight += in_flight;
    owner->in_flight_count += in_flight;
    if (in_flight) {
        take_over(p, row);
    }
    return CW_ERR_OK;
}

/* They stand at the end of a customer. */
static void ask_counts(const struct cw_pipeline *p, cw_row customer)
{
    __builtin_prefetch(&customer_at(p, customer).at->listings, 1);
}

/* Merges two lists by `listed`, highest first; only `next` is right in them. */
static cw_row merge(struct cw_pipeline *p, cw_row a, cw_row b)
{
    cw_row head = CW_ROW_NONE;
    cw_row *end = &head;
    while (a != CW_ROW_NONE && b != CW_ROW_NONE) {
        bool first = cw_candidate_at(p, a)->listed >= cw_candidate_at(p, b)->listed;
        cw_row *from = first ? &a : &b;
        *end = *from;
        struct cw_candidate_row *at = cw_table_link(p->candidates, *from);
        *from = at->next;
        end = &at->next;
    }
    *end = a != CW_ROW_NONE ? a : b;
    return head;
}

/* Puts `prev` right; false: the list is not sorted, and `next` alone is right. */
static bool take_as_sorted(struct cw_pipeline *p, cw_row list)
{
    cw_row prev = CW_ROW_NONE;
    uint32_t before = UINT32_MAX;
    while (list != CW_ROW_NONE) {
        struct cw_candidate_row *at = cw_table_link(p->candidates, list);
        if (at->listed > before) {
            return false;
        }
        before = at->listed;
        at->prev = prev;
        prev = list;
        list = at->next;
    }
    return true;
}

/* Sorts a list, by runs of 1, 2, 4, ... that wait in their places to be merged. Mostly it is
   sorted: rows lie in the order in which they were made, and each was put in front. */
static cw_row sort(struct cw_pipeline *p, cw_row list)
{
    if (take_as_sorted(p, list)) {
        return list;
    }
    cw_row runs[64] = {CW_ROW_NONE};
    while (list != CW_ROW_NONE) {
        cw_row run = list;
        struct cw_candidate_row *at = cw_table_link(p->candidates, run);
        list = at->next;
        at->next = CW_ROW_NONE;
        uint32_t i = 0;
        while (runs[i] != CW_ROW_NONE) {
            run = merge(p, runs[i], run);
            runs[i++] = CW_ROW_NONE;
        }
        runs[i] = run;
    }
    for (uint32_t i = 0; i < CW_COUNTOF(runs); i++) {
        list = merge(p, runs[i], list);
    }
    bool sorted = take_as_sorted(p, list);
    CW_ASSERT(sorted);
    return list;
}

/* The sessions that still run, in the slots of now. */
static cw_err sessions_now(struct relink *r, const struct cw_core_before *core, uint64_t sessions,
                           uint64_t *now)
{
    *now = 0;
    for (uint64_t left = sessions; left != 0; left &= left - 1) {
        const struct cw_program_before *old = core->by_slot[__builtin_ctzll(left)];
        if (old == NULL) {
            return cw_damaged(r->fault, "a session of no program");
        }
        if (old->watches && old->slot_now != CW_SLOT_GONE) {
            *now |= UINT64_C(1) << old->slot_now;
        }
    }
    return CW_ERR_OK;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): others of its kind write there */
static struct cw_view cart_owner(const struct cw_table *carts, cw_row row, char *room)
{
    (void)room;
    struct cw_view key = cw_table_key(carts, row);
    uint16_t bytes;
    memcpy(&bytes, key.data, sizeof bytes);
    return (struct cw_view){key.data + sizeof bytes, bytes};
}

static cw_err link_cart(struct relink *r, cw_row row, cw_row of)
{
    struct cw_pipeline *p = r->p;
    if (of == CW_ROW_NONE) {
        return cw_damaged(r->fault, "a cart of no customer");
    }
    struct cw_cart_row *at = cw_table_link(p->carts, row);
    struct cw_customer_row *owner = cw_table_link(p->customers, of);
    at->prev = at->watched_next = at->watched_prev = CW_ROW_NONE;
    at->next = owner->carts;
    if (at->next != CW_ROW_NONE) {
        ((struct cw_cart_row *)cw_table_link(p->carts, at->next))->prev = row;
    }
    owner->carts = row;
    uint64_t sessions;
    uint64_t before = at->sessions;
    if (before == 0) {
        return CW_ERR_OK;
    }
    struct cw_customer customer = customer_at(p, of);
    cw_err err = sessions_now(r, core_of(r, customer.id), before, &sessions);
    if (err != CW_ERR_OK) {
        return err;
    }
    if (sessions != before) {
        at = cw_table_edit(p->carts, row);
    }
    at->sessions = 0;
    if (sessions != 0 && !cw_cart_watch(p, &customer, row, sessions)) {
        return cw_damaged(r->fault, "more sessions of a customer than there can be");
    }
    return CW_ERR_OK;
}

/* What the next one will be put in front of. */
static void ask_carts(const struct cw_pipeline *p, cw_row customer)
{
    cw_table_prefetch_at(p->carts, customer_at(p, customer).at->carts);
}

/* Of no bytes: it is a product's. */
/* NOLINTNEXTLINE(readability-non-const-parameter): others of its kind write there */
static struct cw_view seen_owner(const struct cw_table *seen, cw_row row, char *room)
{
    (void)room;
    struct cw_view key = cw_table_key(seen, row);
    uint16_t bytes;
    memcpy(&bytes, key.data + 1, sizeof bytes);
    return (struct cw_view){key.data + 1 + sizeof bytes, bytes};
}

static cw_err link_seen(struct relink *r, cw_row row, cw_row customer)
{
    struct cw_pipeline *p = r->p;
    struct cw_seen_row *at = cw_table_link(p->seen, row);
    at->next = at->prev = CW_ROW_NONE;
    if (customer == CW_ROW_NONE) {
        char room[LED_KEY_BYTES];
        return seen_owner(p->seen, row, room).bytes == 0
                   ? CW_ERR_OK
                   : cw_damaged(r->fault, "an id that was seen of no customer");
    }
    struct cw_customer_row *owner = cw_table_link(p->customers, customer);
    at->next = owner->seen;
    if (at->next != CW_ROW_NONE) {
        ((struct cw_seen_row *)cw_table_link(p->seen, at->next))->prev = row;
    }
    owner->seen = row;
    return CW_ERR_OK;
}

static void ask_seen(const struct cw_pipeline *p, cw_row customer)
{
    cw_table_prefetch_at(p->seen, customer_at(p, customer).at->seen);
}

/* The key of the candidate that a message is of. */
static struct cw_view message_candidate(const struct cw_table *messages, cw_row row, char *room)
{
    const struct cw_message_row *message = cw_table_value(messages, row);
    struct cw_view customer = cw_message_owner(message);
    memcpy(room, customer.data, customer.bytes);
    memcpy(room + customer.bytes, &message->serial, sizeof message->serial);
    return (struct cw_view){room, customer.bytes + (uint32_t)sizeof message->serial};
}

/* Whether it leads to a touch that was tried, under the id that follows from that. */
static bool message_good(struct cw_pipeline *p, cw_row row, cw_row of)
{
    const struct cw_message_row *message = cw_table_value(p->messages, row);
    if (of == CW_ROW_NONE) {
        return false;
    }
    const struct cw_candidate_row *candidate = cw_candidate_at(p, of);
    if (message->touch > candidate->touch_count ||
        cw_candidate_touches(candidate)[message->touch - 1].attempts == 0) {
        return false;
    }
    char id[CW_MESSAGE_ID_BYTES];
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    cw_message_id(p->options.partitions, texts.program, cw_message_owner(message), texts.cart,
                  candidate->first_t0, message->touch, id);
    return cw_view_equal(cw_table_key(p->messages, row), (struct cw_view){id, sizeof id});
}

/* Touches and texts are behind what is near. */
static void ask_candidate(const struct cw_pipeline *p, cw_row row)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    __builtin_prefetch(cw_candidate_touches(candidate));
    __builtin_prefetch(cw_candidate_texts(candidate).cart.data);
}

static cw_err look_at_message(struct relink *r, cw_row row, cw_row of)
{
    return message_good(r->p, row, of)
               ? CW_ERR_OK
               : cw_damaged(r->fault, "a message of a touch that was not sent");
}

/* NOLINTNEXTLINE(readability-non-const-parameter): others of its kind write there */
static struct cw_view link_message(const struct cw_table *links, cw_row row, char *room)
{
    (void)room;
    const struct cw_link_row *link = cw_table_value(links, row);
    return (struct cw_view){link->message_id, sizeof link->message_id};
}

/* A short link whose message is no more goes: it was left where links were not configured when its
   message went. */
static cw_err look_at_link(struct relink *r, cw_row row, cw_row message)
{
    if (message == CW_ROW_NONE) {
        cw_table_remove(r->p->links, row);
    }
    return CW_ERR_OK;
}

static void sooner(int64_t *due, int64_t next)
{
    *due = next < *due ? next : *due;
}

/* Sorts the lists, fills the indexes and arms the one timer. */
static void wind_up(struct cw_pipeline *p, struct cw_customer *customer)
{
    struct cw_customer_row *at = cw_table_link(p->customers, customer->row);
    int64_t due = INT64_MAX;
    at->in_flight = sort(p, at->in_flight);
    at->history = sort(p, at->history);
    for (cw_row row = at->in_flight; row != CW_ROW_NONE;) {
        struct cw_candidate_row *candidate = cw_table_link(p->candidates, row);
        cw_candidate_settle(p, row);
        cw_candidate_index(p, row);
        sooner(&due, candidate->next_due);
        row = candidate->next;
    }
    for (cw_row row = at->watched; row != CW_ROW_NONE;) {
        const struct cw_cart_row *cart = cw_table_value(p->carts, row);
        for (uint64_t left = cart->sessions; left != 0; left &= left - 1) {
            uint32_t slot = (uint32_t)__builtin_ctzll(left);
            sooner(&due, cart->session_time + p->slots[slot].program->session_timeout_ms);
        }
        row = cart->watched_next;
    }
    if (due != INT64_MAX) {
        cw_customer_arm(p, customer, due);
    }
}

/*
 * The counters. On other cores than before the first has all that only adds up, and each has what
 * its own rows show: candidates created are those ended and those in flight, so who has one in
 * flight has it created. So the sums over all cores stay, and those of each reconcile.
 */
static cw_err share_fates(struct relink *r)
{
    struct cw_pipeline *p = r->p;
    bool same = r->how->cores == r->how->cores_before;
    struct cw_fates f = {0};
    uint64_t refused = p->fates.not_remembered;
    if (same || p->options.core == 0) {
        cw_meta_fates(p, same ? p->options.core : UINT32_MAX, &f);
    }
    if (!same) {
        uint64_t ended = f.converted + f.superseded + f.rejected + f.expired;
        for (uint32_t i = 0; i < CW_CANCEL_COUNT; i++) {
            ended += f.cancelled[i];
        }
        uint64_t settled = f.failed + f.unknown + f.cut_off;
        for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
            settled += f.sent[i];
        }
        for (uint32_t i = 0; i < CW_TOUCH_REASON_COUNT; i++) {
            settled += f.skipped[i];
        }
        f.items -= f.by_item[CW_ITEM_FATE_CANDIDATE];
        f.created = f.by_item[CW_ITEM_FATE_CANDIDATE] = ended + r->in_flight;
        f.items += f.created;
        f.sending = r->sending;
        f.planned = settled + r->sending + r->pending;
    }
    const char *wrong = f.sending != r->sending
                            ? "messages under way are not those that were counted"
                            : cw_fates_reconcile(&f, r->in_flight, r->pending);
    f.not_remembered += refused;
    p->fates = f;
    return wrong == NULL ? CW_ERR_OK : cw_damaged(r->fault, wrong);
}

/* The clock and what all programs that ever were ask to be kept. */
static void take_clock(struct relink *r, bool same)
{
    struct cw_pipeline *p = r->p;
    int64_t present = 0;
    for (uint32_t i = 0; i < r->how->cores_before; i++) {
        const struct cw_meta_clock *clock = &r->before[i].clock;
        bool counts = !same || i == p->options.core;
        p->now = counts && clock->now > p->now ? clock->now : p->now;
        p->keep_cart_ms =
            clock->keep_cart_ms > p->keep_cart_ms ? clock->keep_cart_ms : p->keep_cart_ms;
        p->keep_history_ms = clock->keep_history_ms > p->keep_history_ms ? clock->keep_history_ms
                                                                         : p->keep_history_ms;
        p->sends_held = p->sends_held || clock->sends_held != 0;
        present = counts && clock->present > present ? clock->present : present;
    }
    /* The wheel is empty yet: this only sets its present, at which what is overdue fires. */
    struct cw_wheel_fired fired;
    int64_t tick = cw_wheel_present(p->wheel);
    while (tick < present) { /* bounded as any advance */
        uint32_t count = cw_wheel_advance(p->wheel, present - 1, &fired, 1, &tick);
        CW_ASSERT(count == 0);
        tick = cw_wheel_present(p->wheel);
    }
}

/* So many customers at a time, the first rows of their lists asked for in front. */
static void wind_up_all(struct cw_pipeline *p)
{
    cw_row rows[CW_LOAD_BATCH];
    uint64_t cursor = 0;
    uint32_t count;
    do {
        count = 0;
        cw_row row;
        while (count < CW_LOAD_BATCH &&
               (row = cw_table_next(p->customers, &cursor)) != CW_ROW_NONE) {
            const struct cw_customer_row *at = cw_table_value(p->customers, row);
            cw_table_prefetch_all_at(p->candidates, at->in_flight);
            cw_table_prefetch_at(p->candidates, at->history);
            cw_table_prefetch_at(p->carts, at->watched);
            rows[count++] = row;
        }
        for (uint32_t i = 0; i < count; i++) {
            struct cw_customer customer = {.id = cw_table_key(p->customers, rows[i]),
                                           .row = rows[i],
                                           .at = cw_table_link(p->customers, rows[i])};
            wind_up(p, &customer);
        }
    } while (count == CW_LOAD_BATCH);
}

static cw_err link_all(struct relink *r)
{
    const struct cw_pipeline *p = r->p;
    const struct lead leads[] = {
        {p->candidates, p->customers, candidate_owner, ask_counts, link_candidate},
        {p->carts, p->customers, cart_owner, ask_carts, link_cart},
        {p->seen, p->customers, seen_owner, ask_seen, link_seen},
        {p->messages, p->candidates, message_candidate, ask_candidate, look_at_message},
        {p->links, p->messages, link_message, NULL, look_at_link}};
    cw_err err = clear_customers(r);
    for (uint32_t i = 0; i < CW_COUNTOF(leads) && err == CW_ERR_OK; i++) {
        err = follow(r, &leads[i]);
    }
    if (err != CW_ERR_OK) {
        return err;
    }
    wind_up_all(r->p);
    return share_fates(r);
}

cw_err cw_pipeline_relink(struct cw_pipeline *p, const struct cw_relink *how,
                          struct cw_fault *fault)
{
    CW_ASSERT(how->cores >= 1 && p->options.core < how->cores);
    CW_ASSERT(how->cores <= CW_CORES_MAX && how->cores_before <= CW_CORES_MAX);
    if (how->cores_before == 0) {
        return p->loaded.rows == 0 ? CW_ERR_OK : cw_damaged(fault, "rows of no core");
    }
    bool same = how->cores == how->cores_before;
    struct relink r = {.p = p, .how = how, .fault = fault};
    r.before = cw_arena_zalloc(&p->scratch, how->cores_before * sizeof *r.before, 8);
    cw_err err = cw_meta_read(p, how->cores_before, same, r.before, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    take_clock(&r, same);
    err = cw_meta_take_over(p, same, how->cores, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    place_programs(p, &r.before[same ? p->options.core : 0]);
    for (uint32_t i = 0; i < how->cores_before; i++) {
        follow_programs(p, &r.before[i]);
    }
    err = link_all(&r);
    cw_arena_reset(&p->scratch);
    if (err == CW_ERR_OK) {
        cw_table_close(p->loaded.meta);
        p->loaded.meta = NULL;
        p->meta_changed = true;
    }
    return err;
}

/* ---- memory that outlives the process ---- */

uint64_t cw_pipeline_layout(void)
{
    /* Raised when what a row, a link or a timer means changes while its size does not. */
    const uint64_t version = 1;
    const uint64_t sizes[] = {version,
                              sizeof(struct cw_customer_row),
                              sizeof(struct cw_cart_row),
                              sizeof(struct cw_candidate_row),
                              sizeof(struct cw_touch_row),
                              sizeof(struct cw_item_row),
                              sizeof(struct cw_dedup_row),
                              sizeof(struct cw_score_row),
                              sizeof(struct cw_product_row),
                              sizeof(struct cw_message_row),
                              sizeof(struct cw_link_row),
                              sizeof(struct cw_seen_row),
                              sizeof(struct cw_meta_program),
                              sizeof(struct cw_meta_clock),
                              sizeof(struct cw_fates),
                              sizeof(struct cw_kept),
                              CW_TABLE_NUMBER_COUNT};
    return cw_hash((struct cw_hash_key){0, 0}, sizes, sizeof sizes);
}

uint64_t cw_pipeline_programs(const struct cw_pipeline *p)
{
    return p->programs->content;
}

static cw_err place(struct cw_pipeline *p, struct cw_fault *fault)
{
    cw_err err =
        cw_keep_map(p->memory, "pipeline", "kept", sizeof(struct cw_kept), &p->kept, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_kept *kept = p->kept.base;
    if (!cw_keep_adopted(p->memory)) {
        memset(kept, 0, sizeof *kept); /* its pages are taken now: a seal must not need another */
        kept->layout = cw_pipeline_layout();
        kept->hash = p->options.hash;
    } else if (kept->layout != cw_pipeline_layout()) {
        return cw_fail(fault, CW_ERR_NOT_FOUND, "rows of another version of cartwheel");
    }
    p->options.hash = kept->hash; /* what rows are found by */
    p->index = &kept->index;
    return cw_rows_open(p, fault);
}

cw_err cw_pipeline_place(struct cw_pipeline *p, struct cw_keep *memory, struct cw_fault *fault)
{
    CW_ASSERT(p->journal == NULL && p->loaded.rows == 0);
    cw_rows_close(p);
    cw_memory_release(&p->kept); /* of another try */
    p->memory = memory;
    cw_err err = place(p, fault);
    p->memory = NULL; /* what lies in it stays mapped without it */
    return err;
}

void cw_pipeline_seal(struct cw_pipeline *p)
{
    struct cw_kept *kept = p->kept.base;
    CW_ASSERT(kept != NULL && p->journal == NULL);
    kept->now = p->now;
    kept->keep_cart_ms = p->keep_cart_ms;
    kept->keep_history_ms = p->keep_history_ms;
    kept->sends_held = p->sends_held != 0;
    kept->fates = p->fates;
    memcpy(kept->program_next, p->program_next, sizeof kept->program_next);
    memcpy(kept->channel_next, p->channel_next, sizeof kept->channel_next);
#define CW_X(name) cw_table_seal(p->name);
    CW_TABLES(CW_X)
#undef CW_X
}

cw_err cw_pipeline_adopt(struct cw_pipeline *p, uint32_t cores, uint64_t *rows,
                         struct cw_fault *fault)
{
    const struct cw_kept *kept = p->kept.base;
    CW_ASSERT(kept != NULL && p->loaded.meta == NULL && p->options.core < cores);
    p->loaded.meta = p->meta; /* programs and retired keys are read from where they stand */
    struct cw_core_before *before = cw_arena_zalloc(&p->scratch, cores * sizeof *before, 8);
    cw_err err = cw_meta_read(p, cores, true, before, fault);
    err = err == CW_ERR_OK ? cw_meta_take_over(p, true, cores, fault) : err;
    p->loaded.meta = NULL;
    if (err == CW_ERR_OK) {
        p->now = kept->now;
        p->keep_cart_ms = kept->keep_cart_ms;
        p->keep_history_ms = kept->keep_history_ms;
        p->sends_held = kept->sends_held;
        p->fates = kept->fates;
        memcpy(p->program_next, kept->program_next, sizeof p->program_next);
        memcpy(p->channel_next, kept->channel_next, sizeof p->channel_next);
        place_programs(p, &before[p->options.core]);
        follow_programs(p, &before[p->options.core]);
        p->meta_changed = true;
    }
    cw_arena_reset(&p->scratch);
    *rows = 0;
#define CW_X(name) *rows += cw_table_count(p->name);
    CW_TABLES(CW_X)
#undef CW_X
    return err;
}
