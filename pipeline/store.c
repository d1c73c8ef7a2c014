/*
 * store: the rows of customers, carts and what was seen, found, made and linked. Candidates, the
 * largest part, stand in store_candidate.c.
 */
#include "pipeline/pipeline_priv.h"

#include <string.h>

#define AHEAD_MAX (INT64_C(90) * CW_DAY_MS)

/* Keys of more than one part are length-prefixed, so that ("a:b","c") is not ("a","b:c"). */
static uint32_t put_part(char *key, uint32_t bytes, struct cw_view part)
{
    uint16_t part_bytes = (uint16_t)part.bytes;
    memcpy(key + bytes, &part_bytes, sizeof part_bytes);
    if (part.bytes > 0) {
        memcpy(key + bytes + sizeof part_bytes, part.data, part.bytes);
    }
    return bytes + (uint32_t)sizeof part_bytes + part.bytes;
}

uint32_t cw_cart_key(struct cw_view customer, struct cw_view cart, char key[CW_KEY_BYTES])
{
    uint32_t bytes = put_part(key, 0, customer);
    memcpy(key + bytes, cart.data, cart.bytes);
    return bytes + cart.bytes;
}

bool cw_customer_find(struct cw_pipeline *p, struct cw_view id, struct cw_customer *customer)
{
    uint64_t hash = cw_table_hash(p->customers, id.data, id.bytes);
    *customer = (struct cw_customer){.id = id};
    customer->row = cw_table_find(p->customers, hash, id.data, id.bytes);
    if (customer->row == CW_ROW_NONE) {
        return false;
    }
    customer->at = cw_table_value(p->customers, customer->row);
    return true;
}

bool cw_customer_make(struct cw_pipeline *p, struct cw_view id, struct cw_customer *customer)
{
    uint64_t hash =
        cw_hint_or(p->hints != NULL ? p->hints->customer : 0, p->customers, id.data, id.bytes);
    bool added = false;
    *customer = (struct cw_customer){.id = id};
    customer->row =
        cw_table_put(p->customers, hash, id.data, id.bytes, sizeof(struct cw_customer_row), &added);
    if (customer->row == CW_ROW_NONE) {
        return false;
    }
    customer->at = cw_table_value(p->customers, customer->row);
    if (added) {
        struct cw_customer_row *at = cw_customer_edit(p, customer);
        at->timer_due = CW_TIME_NONE;
        at->last_sent = CW_TIME_NONE;
        at->purchased_at = CW_TIME_NONE;
        for (uint32_t i = 0; i < CW_PROFILE_FIELD_COUNT; i++) {
            at->field_time[i] = CW_TIME_NONE;
        }
    }
    return true;
}

bool cw_customer_resize(struct cw_pipeline *p, struct cw_customer *customer, uint32_t value_bytes)
{
    cw_row row = cw_table_resize(p->customers, customer->row, value_bytes);
    if (row == CW_ROW_NONE) {
        return false;
    }
    bool moved = row != customer->row;
    customer->row = row;
    customer->at = cw_table_value(p->customers, row);
    if (moved && customer->at->timer != CW_TIMER_NONE) {
        /* The timer's cookie is the row: give it the new one. */
        struct cw_customer_row *at = cw_customer_link(p, customer);
        cw_wheel_cancel(p->wheel, at->timer);
        at->timer = cw_wheel_add(p->wheel, at->timer_due, row);
        CW_ASSERT(customer->at->timer != CW_TIMER_NONE); /* one was just freed */
    }
    return true;
}

const int64_t *cw_customer_sends(const struct cw_customer_row *row)
{
    return (const int64_t *)(row + 1);
}

struct cw_view cw_customer_string(const struct cw_customer_row *row, enum cw_profile_field field)
{
    CW_ASSERT_HOT((uint32_t)field < CW_PROFILE_STRINGS);
    if ((row->told >> field & 1u) == 0) {
        return (struct cw_view){0};
    }
    const char *text = (const char *)(row + 1) + row->sends_count * sizeof(int64_t);
    for (uint32_t i = 0; i < (uint32_t)field; i++) {
        text += row->string_bytes[i];
    }
    return (struct cw_view){text, row->string_bytes[field]};
}

bool cw_cart_forgotten(const struct cw_pipeline *p, const struct cw_cart_row *at)
{
    const int64_t times[] = {at->purchased_at, at->cleared_at, at->updated_at, at->abandoned_at,
                             at->session_time};
    int64_t last = CW_TIME_NONE;
    for (uint32_t i = 0; i < CW_COUNTOF(times); i++) {
        last = times[i] > last ? times[i] : last;
    }
    return at->sessions == 0 && (last == CW_TIME_NONE || last + p->keep_cart_ms <= p->now);
}

const struct cw_cart_row *cw_cart_find(struct cw_pipeline *p, struct cw_view customer,
                                       struct cw_view cart, cw_row *row)
{
    char key[CW_KEY_BYTES];
    uint32_t bytes = cw_cart_key(customer, cart, key);
    uint64_t hash = cw_hint_or(p->hints != NULL ? p->hints->cart : 0, p->carts, key, bytes);
    *row = cw_table_find(p->carts, hash, key, bytes);
    if (*row != CW_ROW_NONE && cw_cart_forgotten(p, cw_cart_at(p, *row))) {
        *row = CW_ROW_NONE;
    }
    return *row == CW_ROW_NONE ? NULL : cw_cart_at(p, *row);
}

static void forget_facts(struct cw_cart_row *at)
{
    at->purchased_at = at->cleared_at = at->updated_at = CW_TIME_NONE;
    at->abandoned_at = at->session_time = at->raw_time = CW_TIME_NONE;
}

const struct cw_cart_row *cw_cart_make(struct cw_pipeline *p, struct cw_customer *customer,
                                       struct cw_view cart, cw_row *row)
{
    char key[CW_KEY_BYTES];
    uint32_t bytes = cw_cart_key(customer->id, cart, key);
    bool added = false;
    uint64_t hash = cw_hint_or(p->hints != NULL ? p->hints->cart : 0, p->carts, key, bytes);
    *row = cw_table_put(p->carts, hash, key, bytes, sizeof(struct cw_cart_row), &added);
    if (*row == CW_ROW_NONE) {
        return NULL;
    }
    if (added) {
        struct cw_cart_row *at = cw_cart_edit(p, *row);
        forget_facts(at);
        at->next = customer->at->carts;
        if (at->next != CW_ROW_NONE) {
            cw_cart_link(p, at->next)->prev = *row;
        }
        cw_customer_link(p, customer)->carts = *row;
    } else if (cw_cart_forgotten(p, cw_cart_at(p, *row))) {
        bool shorter = cw_cart_set_raw(p, customer, row, CW_VIEW(""));
        CW_ASSERT(shorter);
        forget_facts(cw_cart_edit(p, *row));
    }
    return cw_cart_at(p, *row);
}

bool cw_cart_watch(struct cw_pipeline *p, struct cw_customer *customer, cw_row row, uint64_t slots)
{
    if (customer->at->watched_count >= CW_WATCHED_MAX) {
        return false;
    }
    struct cw_cart_row *at = cw_cart_edit(p, row);
    CW_ASSERT_HOT(at->sessions == 0 && slots != 0);
    at->sessions = slots;
    at->watched_prev = CW_ROW_NONE;
    at->watched_next = customer->at->watched;
    if (at->watched_next != CW_ROW_NONE) {
        cw_cart_link(p, at->watched_next)->watched_prev = row;
    }
    struct cw_customer_row *owner = cw_customer_link(p, customer);
    owner->watched = row;
    owner->watched_count++;
    return true;
}

void cw_cart_unwatch(struct cw_pipeline *p, struct cw_customer *customer, cw_row row)
{
    struct cw_cart_row *at = cw_cart_link(p, row);
    struct cw_customer_row *owner = cw_customer_link(p, customer);
    bool first = owner->watched == row;
    if (!first && at->watched_prev == CW_ROW_NONE) {
        return;
    }
    if (at->watched_next != CW_ROW_NONE) {
        cw_cart_link(p, at->watched_next)->watched_prev = at->watched_prev;
    }
    if (first) {
        owner->watched = at->watched_next;
    } else {
        cw_cart_link(p, at->watched_prev)->watched_next = at->watched_next;
    }
    at->watched_next = at->watched_prev = CW_ROW_NONE;
    owner->watched_count--;
    if (at->sessions != 0) {
        cw_cart_edit(p, row)->sessions = 0;
    }
}

bool cw_cart_set_raw(struct cw_pipeline *p, struct cw_customer *customer, cw_row *row,
                     struct cw_view raw)
{
    if (raw.bytes > CW_TABLE_VALUE_MAX - sizeof(struct cw_cart_row)) {
        return false; /* only where events over 1 MiB are allowed */
    }
    cw_row moved =
        cw_table_resize(p->carts, *row, (uint32_t)sizeof(struct cw_cart_row) + raw.bytes);
    if (moved == CW_ROW_NONE) {
        return false;
    }
    struct cw_cart_row *at = cw_cart_edit(p, moved);
    if (moved != *row) {
        if (at->next != CW_ROW_NONE) {
            cw_cart_link(p, at->next)->prev = moved;
        }
        if (at->prev != CW_ROW_NONE) {
            cw_cart_link(p, at->prev)->next = moved;
        } else {
            cw_customer_link(p, customer)->carts = moved;
        }
        if (at->watched_next != CW_ROW_NONE) {
            cw_cart_link(p, at->watched_next)->watched_prev = moved;
        }
        if (at->watched_prev != CW_ROW_NONE) {
            cw_cart_link(p, at->watched_prev)->watched_next = moved;
        } else if (customer->at->watched == *row) {
            cw_customer_link(p, customer)->watched = moved;
        }
        *row = moved;
    }
    at->raw_bytes = raw.bytes;
    memcpy(at + 1, raw.data, raw.bytes);
    return true;
}

struct cw_view cw_cart_key_cart(const struct cw_pipeline *p, cw_row row)
{
    struct cw_view key = cw_table_key(p->carts, row);
    uint16_t customer_bytes;
    memcpy(&customer_bytes, key.data, sizeof customer_bytes);
    uint32_t skip = (uint32_t)sizeof customer_bytes + customer_bytes;
    return (struct cw_view){key.data + skip, key.bytes - skip};
}

static void cart_unlink(struct cw_pipeline *p, struct cw_customer *customer,
                        const struct cw_cart_row *at)
{
    if (at->next != CW_ROW_NONE) {
        cw_cart_link(p, at->next)->prev = at->prev;
    }
    if (at->prev != CW_ROW_NONE) {
        cw_cart_link(p, at->prev)->next = at->next;
    } else {
        cw_customer_link(p, customer)->carts = at->next;
    }
}

static const struct cw_seen_row *seen_at(const struct cw_pipeline *p, cw_row row)
{
    return cw_table_value(p->seen, row);
}

static struct cw_seen_row *seen_link(struct cw_pipeline *p, cw_row row)
{
    return cw_table_link(p->seen, row);
}

static void seen_unlink(struct cw_pipeline *p, struct cw_customer *customer,
                        const struct cw_seen_row *at)
{
    if (at->next != CW_ROW_NONE) {
        seen_link(p, at->next)->prev = at->prev;
    }
    if (at->prev != CW_ROW_NONE) {
        seen_link(p, at->prev)->next = at->next;
    } else if (customer != NULL) {
        cw_customer_link(p, customer)->seen = at->next;
    }
}

uint32_t cw_seen_key(char kind, struct cw_view customer, struct cw_view source, struct cw_view id,
                     char key[CW_KEY_BYTES])
{
    key[0] = kind;
    uint32_t bytes = put_part(key, 1, customer);
    bytes = put_part(key, bytes, source);
    memcpy(key + bytes, id.data, id.bytes);
    return bytes + id.bytes;
}

static bool is_recent(const struct cw_pipeline *p, const struct cw_seen_row *at)
{
    return p->now < at->first_at + CW_WEEK_MS;
}

/* The row of a key, in its customer's list; CW_ROW_NONE, counted: there is no room. */
static cw_row seen_put(struct cw_pipeline *p, struct cw_customer *customer, const char *key,
                       uint32_t bytes, uint64_t hash, bool *added)
{
    cw_row row = cw_table_put(p->seen, cw_hint_or(hash, p->seen, key, bytes), key, bytes,
                              sizeof(struct cw_seen_row), added);
    if (row == CW_ROW_NONE) {
        p->fates.not_remembered++;
    } else if (*added && customer != NULL) {
        struct cw_seen_row *at = seen_link(p, row);
        at->next = customer->at->seen;
        if (at->next != CW_ROW_NONE) {
            seen_link(p, at->next)->prev = row;
        }
        cw_customer_link(p, customer)->seen = row;
    }
    return row;
}

/* From when an id is remembered: from now, or where a clock is wrong from the latest that now may
   be. What a clock said that was wrong by too much is not remembered for longer because of it. */
static int64_t from(const struct cw_pipeline *p, int64_t time)
{
    int64_t wall = p->now + p->wall_ahead;
    int64_t most = p->now + AHEAD_MAX;
    int64_t latest = time > wall ? time : wall;
    return latest < most ? latest : most;
}

bool cw_seen_before(struct cw_pipeline *p, struct cw_customer *customer, char kind,
                    struct cw_view source, struct cw_view id, int64_t time, uint64_t hash)
{
    char key[CW_KEY_BYTES];
    uint32_t bytes =
        cw_seen_key(kind, customer == NULL ? CW_VIEW("") : customer->id, source, id, key);
    bool added = false;
    cw_row row = seen_put(p, customer, key, bytes, hash, &added);
    if (row == CW_ROW_NONE) {
        return false;
    }
    if (!added && is_recent(p, seen_at(p, row))) {
        return true;
    }
    struct cw_seen_row *at = cw_table_edit(p->seen, row);
    at->first_at = from(p, time);
    return false;
}

static uint32_t erasure_key(const struct cw_customer *customer, char key[CW_KEY_BYTES])
{
    return cw_seen_key('x', customer->id, CW_VIEW(""), CW_VIEW(""), key);
}

int64_t cw_erased_until(const struct cw_pipeline *p, const struct cw_customer *customer)
{
    char key[CW_KEY_BYTES];
    if ((customer->at->told & CW_TOLD_ERASED) == 0) {
        return CW_TIME_NONE;
    }
    uint32_t bytes = erasure_key(customer, key);
    cw_row row = cw_table_find(p->seen, cw_table_hash(p->seen, key, bytes), key, bytes);
    return row != CW_ROW_NONE && is_recent(p, seen_at(p, row)) ? seen_at(p, row)->first_at
                                                               : CW_TIME_NONE;
}

void cw_erased_remember(struct cw_pipeline *p, struct cw_customer *customer, int64_t until)
{
    char key[CW_KEY_BYTES];
    bool added = false;
    uint32_t bytes = erasure_key(customer, key);
    cw_row row = seen_put(p, customer, key, bytes, 0, &added);
    if (row != CW_ROW_NONE) {
        struct cw_seen_row *at = cw_table_edit(p->seen, row);
        at->first_at = until;
        cw_customer_edit(p, customer)->told |= CW_TOLD_ERASED;
    }
}

void cw_seen_forget(struct cw_pipeline *p, struct cw_customer *customer,
                    const struct cw_event *event)
{
    char key[CW_KEY_BYTES];
    if (event->id.data == NULL) { /* it was not remembered */
        return;
    }
    uint32_t bytes = cw_seen_key('e', customer->id, event->source, event->id, key);
    cw_row row = cw_table_find(p->seen, cw_table_hash(p->seen, key, bytes), key, bytes);
    if (row != CW_ROW_NONE) {
        seen_unlink(p, customer, seen_at(p, row));
        cw_table_remove(p->seen, row);
    }
}

uint32_t cw_dedup_key(const struct cw_key_format *format, struct cw_view program,
                      struct cw_view customer, struct cw_view cart,
                      char key[CW_TABLE_KEY_BYTES_MAX])
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < format->count; i++) {
        struct cw_view part = format->parts[i].literal;
        switch (format->parts[i].part) {
        case CW_KEY_LITERAL: break;
        case CW_KEY_CUSTOMER: part = customer; break;
        case CW_KEY_CART: part = cart; break;
        case CW_KEY_PROGRAM: part = program; break;
        }
        CW_ASSERT(bytes + 3 + part.bytes <= CW_TABLE_KEY_BYTES_MAX);
        key[bytes++] = (char)('0' + format->parts[i].part);
        bytes = put_part(key, bytes, part);
    }
    return bytes;
}

static void forget_entry(struct cw_pipeline *p, const struct cw_key_format *format,
                         struct cw_view program, struct cw_view customer, struct cw_view cart)
{
    char key[CW_TABLE_KEY_BYTES_MAX];
    uint32_t bytes = cw_dedup_key(format, program, customer, cart, key);
    cw_row entry = cw_table_find(p->dedup, cw_table_hash(p->dedup, key, bytes), key, bytes);
    if (entry != CW_ROW_NONE) {
        cw_table_remove(p->dedup, entry);
    }
}

/* Frees what a customer has in the tables of carts, dedup entries, scores and seen ids. */
void cw_customer_forget(struct cw_pipeline *p, struct cw_customer *customer)
{
    char key[CW_TABLE_KEY_BYTES_MAX];
    for (cw_row row = customer->at->carts; row != CW_ROW_NONE;) {
        cw_row next = cw_cart_at(p, row)->next;
        cw_table_remove(p->carts, row);
        row = next;
    }
    struct cw_customer_row *owner = cw_customer_link(p, customer);
    owner->carts = owner->watched = CW_ROW_NONE;
    owner->watched_count = 0;
    for (cw_row row = customer->at->seen; row != CW_ROW_NONE;) {
        cw_row next = seen_at(p, row)->next;
        cw_table_remove(p->seen, row);
        row = next;
    }
    owner->seen = CW_ROW_NONE;
    for (cw_row row = customer->at->history; row != CW_ROW_NONE;) {
        const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
        cw_row next = candidate->next;
        struct cw_view cart = cw_candidate_texts(candidate).cart;
        for (uint32_t i = 0; i < p->programs->count; i++) {
            const struct cw_program *program = &p->programs->list[i];
            forget_entry(p, &program->dedup.key, program->id, customer->id, cart);
        }
        for (uint32_t i = 0; i < CW_COUNTOF(p->retired); i++) {
            if (p->retired[i].until > p->now) {
                forget_entry(p, &p->retired[i].key, p->retired[i].program, customer->id, cart);
            }
        }
        uint32_t bytes = cw_cart_key(customer->id, cart, key);
        cw_row score = cw_table_find(p->scores, cw_table_hash(p->scores, key, bytes), key, bytes);
        if (score != CW_ROW_NONE) {
            cw_table_remove(p->scores, score);
        }
        cw_candidate_remove(p, customer, row);
        row = next;
    }
}

static bool customer_of_key(struct cw_pipeline *p, struct cw_view key, struct cw_customer *customer)
{
    uint16_t bytes;
    memcpy(&bytes, key.data, sizeof bytes);
    return cw_customer_find(p, (struct cw_view){key.data + sizeof bytes, bytes}, customer);
}

/* Cleaning. Each visits a row and frees it when nothing can ask for it any more. */
static void clean_cart(struct cw_pipeline *p, cw_row row)
{
    const struct cw_cart_row *at = cw_cart_at(p, row);
    if (!cw_cart_forgotten(p, at)) {
        return;
    }
    struct cw_customer customer;
    bool found = customer_of_key(p, cw_table_key(p->carts, row), &customer);
    CW_ASSERT(found);
    cart_unlink(p, &customer, at);
    cw_table_remove(p->carts, row);
}

/* True when the row says no more than none would: so it is of who was erased. */
static bool says_nothing(const struct cw_pipeline *p, const struct cw_customer *customer)
{
    const struct cw_customer_row *at = customer->at;
    return at->last_sent == CW_TIME_NONE && at->purchased_at == CW_TIME_NONE &&
           cw_profile_latest(at) == CW_TIME_NONE && !at->known && at->timer == CW_TIMER_NONE &&
           at->candidate_serial == 0 && at->carts == CW_ROW_NONE && at->seen == CW_ROW_NONE &&
           at->orders + at->abandonments + at->ratings == 0 &&
           cw_table_value_bytes(p->customers, customer->row) == sizeof *at;
}

static void clean_seen(struct cw_pipeline *p, cw_row row)
{
    const struct cw_seen_row *at = seen_at(p, row);
    if (is_recent(p, at)) {
        return;
    }
    struct cw_view key = cw_table_key(p->seen, row);
    struct cw_customer customer;
    bool owned = customer_of_key(p, (struct cw_view){key.data + 1, key.bytes - 1}, &customer);
    if (owned && key.data[0] == 'x') {
        cw_customer_edit(p, &customer)->told &= ~CW_TOLD_ERASED;
    }
    seen_unlink(p, owned ? &customer : NULL, at);
    cw_table_remove(p->seen, row);
    if (owned && says_nothing(p, &customer)) {
        cw_table_remove(p->customers, customer.row);
    }
}

static void clean_dedup(struct cw_pipeline *p, cw_row row)
{
    const struct cw_dedup_row *at = cw_table_value(p->dedup, row);
    if (at->until <= p->now) {
        cw_table_remove(p->dedup, row);
    }
}

static void clean_score(struct cw_pipeline *p, cw_row row)
{
    const struct cw_score_row *at = cw_table_value(p->scores, row);
    if (at->cached_at + CW_WEEK_MS <= p->now) {
        cw_table_remove(p->scores, row);
    }
}

static void clean_candidate(struct cw_pipeline *p, cw_row row)
{
    if (!cw_candidate_over(p, cw_candidate_at(p, row))) {
        return;
    }
    struct cw_view key = cw_table_key(p->candidates, row);
    struct cw_customer customer;
    bool found = cw_customer_find(
        p, (struct cw_view){key.data, key.bytes - (uint32_t)sizeof(uint32_t)}, &customer);
    CW_ASSERT(found);
    cw_candidate_remove(p, &customer, row);
}

void cw_pipeline_clean(struct cw_pipeline *p, uint32_t rows)
{
    const struct {
        struct cw_table *table;
        void (*clean)(struct cw_pipeline *, cw_row);
    } tables[] = {{p->carts, clean_cart},
                  {p->seen, clean_seen},
                  {p->dedup, clean_dedup},
                  {p->scores, clean_score},
                  {p->candidates, clean_candidate}};

    for (uint32_t t = 0; t < CW_COUNTOF(tables); t++) {
        /* As many as were put since the last slice, and half more: else a table that is used much
           grows faster than it is walked, for ever. */
        uint64_t count = cw_table_count(tables[t].table);
        uint64_t grown = count > p->clean_count[t] ? count - p->clean_count[t] : 0;
        for (uint64_t i = 0; i < rows + grown + grown / 2; i++) {
            cw_row row = cw_table_next(tables[t].table, &p->clean_cursor[t]);
            if (row == CW_ROW_NONE) {
                p->clean_cursor[t] = 0;
                break;
            }
            tables[t].clean(p, row);
        }
        p->clean_count[t] = cw_table_count(tables[t].table);
    }
}
