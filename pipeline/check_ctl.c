/*
 * check_ctl: proves that a pipeline's rows say what they must of each other. For tests and fuzzing:
 * it walks everything. Each check stands by itself and is told in words where it fails.
 */
#include "core/time.h"
#include "pipeline/pipeline_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct look {
    const struct cw_pipeline *p;
    struct cw_customer customer; /* the one looked at */
    /* Rows reached through lists, to be compared with the tables' own counts. */
    uint64_t candidates, in_flight, carts, seen, timers;
    uint64_t by_score, by_value; /* candidates in flight that stand in an index */
    uint64_t sending;            /* touches under way */
};

static bool wrong(const struct look *look, const char *what)
{
    (void)fprintf(stderr, "pipeline check: %s (customer %.*s)\n", what,
                  (int)look->customer.id.bytes,
                  look->customer.id.data != NULL ? look->customer.id.data : "");
    return false;
}

#define PROVE(look, condition, what)      \
    do {                                  \
        if (!(condition)) {               \
            return wrong((look), (what)); \
        }                                 \
    } while (0)

static uint32_t score_bucket_of(const struct cw_candidate_row *candidate)
{
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        if (touches[i].state == CW_TOUCH_PENDING) {
            return touches[i].channel * (uint32_t)CW_SCORE_BUCKETS +
                   (uint32_t)floor(candidate->score * 100);
        }
    }
    return CW_BUCKET_NONE;
}

static uint32_t value_bucket_of(const struct cw_candidate_row *candidate)
{
    uint32_t class = 1;
    double value = candidate->cart_value;
    while (value >= 2) {
        value /= 2;
        class ++;
    }
    class = class < CW_VALUE_CLASSES ? class : CW_VALUE_CLASSES - 1;
    int64_t day = candidate->t0 / CW_DAY_MS % CW_VALUE_DAYS;
    return (uint32_t)day * CW_VALUE_CLASSES + class;
}

static bool check_texts(const struct look *look, const struct cw_candidate_row *candidate,
                        cw_row row)
{
    const struct cw_pipeline *p = look->p;
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    const struct cw_item_row *items = cw_candidate_items(candidate);
    const char *text = texts.items;
    for (uint32_t i = 0; i < candidate->item_count; i++) {
        struct cw_view id = {text, items[i].id_bytes};
        PROVE(look,
              items[i].product == CW_ROW_NONE ||
                  cw_view_equal(cw_table_key(p->products, items[i].product), id),
              "an item leads to another product");
        text += items[i].id_bytes + items[i].name_bytes +
                (items[i].image_bytes == UINT32_MAX ? 0 : items[i].image_bytes);
    }
    PROVE(look, text == (const char *)candidate + cw_table_value_bytes(p->candidates, row),
          "a candidate's parts do not add up to its row");
    PROVE(look,
          candidate->status >= CW_STATUS_CONVERTED || candidate->slot == CW_SLOT_GONE ||
              cw_view_equal(texts.program, cw_candidate_program(p, candidate)->id),
          "a candidate's program is not the one of its slot");
    PROVE(look,
          candidate->status >= CW_STATUS_CONVERTED || candidate->slot != CW_SLOT_GONE ||
              cw_programs_find(p->programs, texts.program) == NULL,
          "a candidate's program came back without it");
    return true;
}

static bool check_touches(struct look *look, const struct cw_candidate_row *candidate)
{
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        bool tried = touches[i].attempts > 0;
        PROVE(look, tried || touches[i].sent_at == CW_TIME_NONE, "a touch sent without an attempt");
        PROVE(look,
              tried || touches[i].state == CW_TOUCH_PENDING || touches[i].state == CW_TOUCH_SKIPPED,
              "a touch settled without an attempt");
        PROVE(look,
              (touches[i].flags & CW_TOUCH_CHARGED) != 0 || touches[i].state != CW_TOUCH_SENDING,
              "a message under way that was not charged");
        look->sending += touches[i].state == CW_TOUCH_SENDING;
    }
    return true;
}

static bool check_candidate(struct look *look, cw_row row, bool in_flight)
{
    const struct cw_pipeline *p = look->p;
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    struct cw_view key = cw_table_key(p->candidates, row);
    struct cw_view owner = {key.data, key.bytes - (uint32_t)sizeof candidate->serial};
    PROVE(look, cw_view_equal(owner, look->customer.id), "a candidate in another customer's list");
    PROVE(look, memcmp(key.data + owner.bytes, &candidate->serial, sizeof candidate->serial) == 0,
          "a candidate's key and serial differ");
    PROVE(look, candidate->serial <= look->customer.at->candidate_serial, "a serial to come");
    PROVE(look, (candidate->status < CW_STATUS_CONVERTED) == in_flight,
          "a candidate's status and list differ");
    PROVE(look, candidate->touch_count <= CW_TOUCHES_MAX, "too many touches");
    PROVE(look, candidate->score >= 0 && candidate->score <= 1, "a score out of range");
    if (!check_texts(look, candidate, row)) {
        return false;
    }
    PROVE(look,
          candidate->score_bucket == (in_flight ? score_bucket_of(candidate) : CW_BUCKET_NONE),
          "a candidate in the wrong bucket of scores");
    PROVE(look,
          candidate->value_bucket == (in_flight ? value_bucket_of(candidate) : CW_BUCKET_NONE),
          "a candidate in the wrong bucket of values");
    if (!check_touches(look, candidate)) {
        return false;
    }
    look->candidates++;
    look->in_flight += in_flight;
    look->by_score += candidate->score_bucket != CW_BUCKET_NONE;
    look->by_value += candidate->value_bucket != CW_BUCKET_NONE;
    return true;
}

static void sooner(int64_t *due, bool *any, int64_t next)
{
    *due = *any && *due <= next ? *due : next;
    *any = true;
}

/* The latest time at which it is to be looked at next: what came due in a hold, which may have
   ended since, within a minute. */
static int64_t wakes(const struct look *look, const struct cw_candidate_row *candidate)
{
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    int64_t due = candidate->expires_at;
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        if (touches[i].state == CW_TOUCH_PENDING) {
            bool held =
                touches[i].reason == CW_TOUCH_REASON_PAUSED && touches[i].due <= look->p->now;
            int64_t next = held ? look->p->now + CW_MINUTE_MS : touches[i].due;
            due = next < due ? next : due;
        }
    }
    return due;
}

/* What a candidate in flight keeps of its touches, against the touches. */
static bool check_waiting(const struct look *look, const struct cw_candidate_row *candidate)
{
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    uint32_t pending[CW_CHANNEL_COUNT] = {0};
    int64_t due = candidate->expires_at;
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        if (touches[i].state == CW_TOUCH_PENDING) {
            due = touches[i].due < due ? touches[i].due : due;
            pending[touches[i].channel] += (touches[i].flags & CW_TOUCH_CHARGED) == 0;
        }
    }
    PROVE(look, candidate->next_due == due, "a candidate is due at another time");
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        PROVE(look, candidate->pending[i] == pending[i], "pending touches are miscounted");
    }
    PROVE(look,
          candidate->cart_hash == cw_candidate_hash(look->p, cw_candidate_texts(candidate).cart),
          "a candidate under another cart's hash");
    return true;
}

static bool check_candidates(struct look *look, cw_row head, bool in_flight, int64_t *due,
                             bool *any)
{
    const struct cw_pipeline *p = look->p;
    uint64_t most = cw_table_count(p->candidates);
    uint32_t in_list = 0;
    cw_row prev = CW_ROW_NONE;
    for (cw_row row = head; row != CW_ROW_NONE;) {
        PROVE(look, most-- > 0, "a list of candidates runs in a circle");
        const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
        PROVE(look, candidate->prev == prev, "a candidate's list is broken");
        if (!check_candidate(look, row, in_flight)) {
            return false;
        }
        if (in_flight) {
            if (!check_waiting(look, candidate)) {
                return false;
            }
            sooner(due, any, wakes(look, candidate));
            in_list++;
        }
        prev = row;
        row = candidate->next;
    }
    PROVE(look, !in_flight || in_list == look->customer.at->in_flight_count,
          "a customer's candidates in flight are miscounted");
    return true;
}

/* The customer that a key of two or more parts names. */
static struct cw_view owner_of(struct cw_view key)
{
    uint16_t bytes;
    memcpy(&bytes, key.data, sizeof bytes);
    return (struct cw_view){key.data + sizeof bytes, bytes};
}

static bool check_sessions(const struct look *look, const struct cw_cart_row *cart, int64_t *due,
                           bool *any)
{
    for (uint64_t left = cart->sessions; left != 0; left &= left - 1) {
        uint32_t slot = (uint32_t)__builtin_ctzll(left);
        const struct cw_program *program = look->p->slots[slot].program;
        PROVE(look, program != NULL && program->session_timeout_ms > 0, "a session of no program");
        sooner(due, any, cart->session_time + program->session_timeout_ms);
    }
    return true;
}

/* The carts with a session, in a list of their own. */
static bool check_watched(const struct look *look, uint32_t watched)
{
    cw_row prev = CW_ROW_NONE;
    PROVE(look, watched == look->customer.at->watched_count, "watched carts are miscounted");
    for (cw_row row = look->customer.at->watched; row != CW_ROW_NONE; watched--) {
        const struct cw_cart_row *cart = cw_table_value(look->p->carts, row);
        PROVE(look, watched > 0 && cart->sessions != 0 && cart->watched_prev == prev,
              "a list of watched carts is broken");
        prev = row;
        row = cart->watched_next;
    }
    PROVE(look, watched == 0, "a watched cart is in no list");
    return true;
}

static bool check_carts(struct look *look, int64_t *due, bool *any)
{
    const struct cw_pipeline *p = look->p;
    uint64_t most = cw_table_count(p->carts);
    uint32_t watched = 0;
    cw_row prev = CW_ROW_NONE;
    for (cw_row row = look->customer.at->carts; row != CW_ROW_NONE;) {
        PROVE(look, most-- > 0, "a list of carts runs in a circle");
        const struct cw_cart_row *cart = cw_table_value(p->carts, row);
        PROVE(look, cart->prev == prev, "a cart's list is broken");
        PROVE(look, cw_view_equal(owner_of(cw_table_key(p->carts, row)), look->customer.id),
              "a cart in another customer's list");
        PROVE(look, sizeof *cart + cart->raw_bytes == cw_table_value_bytes(p->carts, row),
              "a cart's parts do not add up to its row");
        if (!check_sessions(look, cart, due, any)) {
            return false;
        }
        watched += cart->sessions != 0;
        look->carts++;
        prev = row;
        row = cart->next;
    }
    return check_watched(look, watched);
}

static bool check_seen(struct look *look)
{
    const struct cw_pipeline *p = look->p;
    uint64_t most = cw_table_count(p->seen);
    cw_row prev = CW_ROW_NONE;
    for (cw_row row = look->customer.at->seen; row != CW_ROW_NONE;) {
        PROVE(look, most-- > 0, "a list of seen ids runs in a circle");
        const struct cw_seen_row *seen = cw_table_value(p->seen, row);
        struct cw_view key = cw_table_key(p->seen, row);
        PROVE(look, seen->prev == prev, "a seen id's list is broken");
        PROVE(look,
              cw_view_equal(owner_of((struct cw_view){key.data + 1, key.bytes - 1}),
                            look->customer.id),
              "a seen id in another customer's list");
        look->seen++;
        prev = row;
        row = seen->next;
    }
    return true;
}

/* The parts of a customer's own row. */
static bool check_row(const struct look *look)
{
    const struct cw_customer_row *at = look->customer.at;
    size_t bytes = sizeof *at + at->sends_count * sizeof(int64_t);
    for (uint32_t i = 0; i < CW_PROFILE_STRINGS; i++) {
        bytes += at->string_bytes[i];
        PROVE(look, (at->told >> i & 1u) != 0 || at->string_bytes[i] == 0, "a string never told");
    }
    PROVE(look, bytes == cw_table_value_bytes(look->p->customers, look->customer.row),
          "a customer's parts do not add up to the row");
    const int64_t *sends = (const int64_t *)(at + 1);
    for (uint32_t i = 1; i < at->sends_count; i++) {
        PROVE(look, sends[i - 1] >> 2 <= sends[i] >> 2, "sends out of order");
    }
    PROVE(look, at->sends_count <= CW_SENDS_MAX, "too many sends");
    PROVE(look, at->emails_engaged <= at->emails_sent, "more e-mails engaged than sent");
    return true;
}

static bool check_timer(struct look *look, int64_t due, bool any)
{
    const struct cw_customer_row *at = look->customer.at;
    if (at->timer == CW_TIMER_NONE) {
        PROVE(look, !any, "something is due and no timer is armed");
        return true;
    }
    look->timers++;
    PROVE(look, cw_wheel_cookie(look->p->wheel, at->timer) == look->customer.row,
          "a timer leads to another row");
    PROVE(look, cw_wheel_due(look->p->wheel, at->timer) == at->timer_due,
          "a timer and its customer's row disagree");
    PROVE(look, !any || at->timer_due <= due, "a timer is later than what it is for");
    return true;
}

static bool check_customers(struct look *look)
{
    const struct cw_pipeline *p = look->p;
    uint64_t cursor = 0;
    cw_row row;
    while ((row = cw_table_next(p->customers, &cursor)) != CW_ROW_NONE) {
        int64_t due = 0;
        bool any = false;
        look->customer = (struct cw_customer){.id = cw_table_key(p->customers, row),
                                              .row = row,
                                              .at = cw_table_value(p->customers, row)};
        if (!check_row(look) ||
            !check_candidates(look, look->customer.at->in_flight, true, &due, &any) ||
            !check_candidates(look, look->customer.at->history, false, &due, &any) ||
            !check_carts(look, &due, &any) || !check_seen(look) || !check_timer(look, due, any)) {
            return false;
        }
    }
    look->customer = (struct cw_customer){0};
    cursor = 0;
    while ((row = cw_table_next(p->seen, &cursor)) != CW_ROW_NONE) {
        struct cw_view key = cw_table_key(p->seen, row);
        look->seen += owner_of((struct cw_view){key.data + 1, key.bytes - 1}).bytes == 0;
    }
    PROVE(look, look->candidates == cw_table_count(p->candidates), "candidates in no list");
    PROVE(look, look->carts == cw_table_count(p->carts), "carts in no list");
    PROVE(look, look->seen == cw_table_count(p->seen), "seen ids in no list");
    PROVE(look, look->timers == cw_wheel_count(p->wheel), "timers of nobody");
    return true;
}

/* One bucket's list; *found counts its candidates. */
static bool check_bucket(const struct look *look, cw_row head, uint32_t slot, uint32_t bucket,
                         bool by_score, uint64_t *found)
{
    uint64_t most = look->in_flight;
    cw_row prev = CW_ROW_NONE;
    for (cw_row row = head; row != CW_ROW_NONE;) {
        PROVE(look, most-- > 0, "an index runs in a circle");
        const struct cw_candidate_row *candidate = cw_candidate_at(look->p, row);
        PROVE(look, candidate->slot == slot, "an index holds another program's candidate");
        PROVE(look, (by_score ? candidate->score_bucket : candidate->value_bucket) == bucket,
              "an index holds a candidate of another bucket");
        PROVE(look, (by_score ? candidate->score_prev : candidate->value_prev) == prev,
              "an index's list is broken");
        prev = row;
        row = by_score ? candidate->score_next : candidate->value_next;
        ++*found;
    }
    return true;
}

/* The first bucket from there that has a list: most of the heads have none, and they are many. */
static uint32_t next_bucket(const cw_row *heads, uint32_t from, uint32_t count)
{
    enum {
        AT_ONCE = 16
    };

    while (count - from >= AT_ONCE) {
        cw_row any = CW_ROW_NONE;
        for (uint32_t i = 0; i < AT_ONCE; i++) {
            any |= heads[from + i];
        }
        if (any != CW_ROW_NONE) {
            break;
        }
        from += AT_ONCE;
    }
    while (from < count && heads[from] == CW_ROW_NONE) {
        from++;
    }
    return from;
}

/* All buckets of a slot. */
static bool check_slot(const struct look *look, const cw_row *heads, uint32_t count, uint32_t slot,
                       bool by_score, uint64_t *found)
{
    for (uint32_t i = next_bucket(heads, 0, count); i < count;
         i = next_bucket(heads, i + 1, count)) {
        if (!check_bucket(look, heads[i], slot, i, by_score, found)) {
            return false;
        }
    }
    return true;
}

static bool check_indexes(const struct look *look)
{
    const struct cw_index *index = look->p->index;
    uint64_t by_score = 0;
    uint64_t by_value = 0;
    for (uint32_t slot = 0; slot <= CW_SLOTS_MAX; slot++) {
        if (!check_slot(look, &index->by_score[slot][0][0], CW_CHANNEL_COUNT * CW_SCORE_BUCKETS,
                        slot, true, &by_score) ||
            !check_slot(look, &index->by_value[slot][0][0], CW_VALUE_DAYS * CW_VALUE_CLASSES, slot,
                        false, &by_value)) {
            return false;
        }
    }
    PROVE(look, by_score == look->by_score, "candidates are missing in the index of scores");
    PROVE(look, by_value == look->by_value, "candidates are missing in the index of values");
    return true;
}

/* Every message that may come back leads to a candidate's sent touch, under its own id. */
static bool check_messages(struct look *look)
{
    const struct cw_pipeline *p = look->p;
    uint64_t cursor = 0;
    cw_row row;
    while ((row = cw_table_next(p->messages, &cursor)) != CW_ROW_NONE) {
        const struct cw_message_row *message = cw_table_value(p->messages, row);
        char key[CW_ID_BYTES_MAX + sizeof message->serial];
        char id[CW_MESSAGE_ID_BYTES];
        struct cw_view customer = {(const char *)(message + 1), message->customer_bytes};
        look->customer.id = customer;
        memcpy(key, customer.data, customer.bytes);
        memcpy(key + customer.bytes, &message->serial, sizeof message->serial);
        uint32_t bytes = customer.bytes + (uint32_t)sizeof message->serial;
        cw_row of =
            cw_table_find(p->candidates, cw_table_hash(p->candidates, key, bytes), key, bytes);
        PROVE(look, of != CW_ROW_NONE, "a message of no candidate");
        const struct cw_candidate_row *candidate = cw_candidate_at(p, of);
        struct cw_candidate_texts texts = cw_candidate_texts(candidate);
        PROVE(look,
              message->touch >= 1 && message->touch <= candidate->touch_count &&
                  cw_candidate_touches(candidate)[message->touch - 1].attempts > 0,
              "a message of a touch that was not sent");
        cw_message_id(p->options.partitions, texts.program, customer, texts.cart,
                      candidate->first_t0, message->touch, id);
        PROVE(look, cw_view_equal(cw_table_key(p->messages, row), (struct cw_view){id, sizeof id}),
              "a message under another's id");
    }
    return true;
}

/* Every short link leads to a message that is remembered. */
static bool check_links(const struct look *look)
{
    const struct cw_pipeline *p = look->p;
    uint64_t cursor = 0;
    cw_row row;
    while ((row = cw_table_next(p->links, &cursor)) != CW_ROW_NONE) {
        const struct cw_link_row *link = cw_table_value(p->links, row);
        struct cw_view id = {link->message_id, sizeof link->message_id};
        uint8_t key[10];
        PROVE(look, cw_message_find(p, id, 0) != CW_ROW_NONE, "a short link to no message");
        if (p->options.links == NULL) { /* who only looks at a state has no secret */
            continue;
        }
        cw_link_brief_key(p->options.links, link->message_id, key);
        PROVE(look, memcmp(key, cw_table_key(p->links, row).data, sizeof key) == 0,
              "a short link under another's key");
    }
    return true;
}

/* NOLINTNEXTLINE(readability-function-size): the same for each table */
static bool check_tables(const struct look *look)
{
#define CW_X(name) PROVE(look, cw_table_check(look->p->name), "the table " #name " is not sound");
    CW_TABLES(CW_X)
#undef CW_X
    PROVE(look, cw_wheel_check(look->p->wheel), "the wheel is not sound");
    return true;
}

bool cw_pipeline_check(const struct cw_pipeline *p)
{
    struct look look = {.p = p};
    if (!check_tables(&look) || !check_customers(&look) || !check_indexes(&look) ||
        !check_messages(&look) || !check_links(&look)) {
        return false;
    }
    uint64_t in_flight = 0;
    uint64_t pending = 0;
    cw_pipeline_count(p, &in_flight, &pending);
    PROVE(&look, in_flight == look.in_flight, "candidates in flight are miscounted");
    PROVE(&look, look.sending == p->fates.sending, "messages under way are miscounted");
    const char *unsound = cw_fates_reconcile(&p->fates, in_flight, pending);
    look.customer = (struct cw_customer){0};
    PROVE(&look, unsound == NULL, unsound);
    return true;
}
