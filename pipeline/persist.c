/*
 * persist: rows from records. A record is looked at as if anybody might have written it: what is
 * taken here can never lead what reads rows past their ends, out of an enum or out of the range of
 * a time. What rows say of each other is looked at when they are linked (persist_relink.c).
 */
#include "pipeline/persist_priv.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

/* The row as it stands in its table: the key, and the value, aligned. */
struct looked {
    const struct cw_pipeline *p;
    struct cw_view key;
    const void *value;
    uint32_t bytes;
};

cw_err cw_damaged(struct cw_fault *fault, const char *what)
{
    return cw_fail(fault, CW_ERR_CORRUPT, "damaged state: %s", what);
}

struct cw_table *cw_pipeline_table(struct cw_pipeline *p, enum cw_table_number number)
{
    struct cw_table *const tables[CW_TABLE_NUMBER_COUNT] = {
#define CW_X(name, number) [number] = p->name,
        CW_TABLE_NUMBERS(CW_X)
#undef CW_X
    };
    CW_ASSERT((uint32_t)number < CW_TABLE_NUMBER_COUNT);
    return tables[number];
}

/* The part of a key that starts at `from` with its length; false when it does not fit. */
static bool part_of(struct cw_view key, uint32_t from, struct cw_view *part, uint32_t *end)
{
    uint16_t bytes;
    if (key.bytes < from || key.bytes - from < sizeof bytes) {
        return false;
    }
    memcpy(&bytes, key.data + from, sizeof bytes);
    from += (uint32_t)sizeof bytes;
    *part = (struct cw_view){key.data + from, bytes};
    *end = from + bytes;
    return key.bytes - from >= bytes;
}

static bool is_id(struct cw_view id)
{
    return id.bytes >= 1 && id.bytes <= CW_ID_BYTES_MAX;
}

/* The customer that a dedup entry's key names: every keyFormat has it, each part with its kind. */
static bool dedup_customer(struct cw_view key, struct cw_view *customer)
{
    bool found = false;
    for (uint32_t at = 0; at < key.bytes;) {
        struct cw_view part;
        uint32_t kind = (uint32_t)(unsigned char)key.data[at] - '0';
        if (kind > CW_KEY_PROGRAM || !part_of(key, at + 1, &part, &at)) {
            return false;
        }
        if (kind == CW_KEY_CUSTOMER) {
            *customer = part;
            found = true;
        }
    }
    return found;
}

/* The partition that a message's id begins with. Without a branch on a digit: those are random, and
   each row of a message or a link has an id that is looked at. */
static bool id_partition(struct cw_view id, uint32_t *partition)
{
    *partition = 0;
    if (id.bytes != CW_MESSAGE_ID_BYTES) {
        return false;
    }
    uint32_t bad = 0;
    for (uint32_t i = 0; i < CW_MESSAGE_ID_BYTES; i++) {
        uint32_t c = (uint8_t)id.data[i];
        bad |= (uint32_t)(c - '0' > 9) & (uint32_t)(c - 'a' > 5);
    }
    for (uint32_t i = 0; i < 4; i++) {
        uint32_t c = (uint8_t)id.data[i];
        *partition = *partition << 4 | ((c & 15) + 9 * (c >> 6));
    }
    return bad == 0;
}

/* The customer that the key of a row names; false when it names none, or is malformed. */
static bool key_customer(enum cw_table_number table, struct cw_view key, struct cw_view *customer)
{
    uint32_t end = 0;
    switch (table) {
    case CW_TABLE_customers: *customer = key; break;
    case CW_TABLE_carts:
    case CW_TABLE_scores:
        if (!part_of(key, 0, customer, &end)) {
            return false;
        }
        break;
    case CW_TABLE_candidates:
        if (key.bytes <= sizeof(uint32_t)) {
            return false;
        }
        *customer = (struct cw_view){key.data, key.bytes - (uint32_t)sizeof(uint32_t)};
        break;
    case CW_TABLE_dedup:
        if (!dedup_customer(key, customer)) {
            return false;
        }
        break;
    case CW_TABLE_seen:
        if (!part_of(key, 1, customer, &end)) {
            return false;
        }
        break;
    default: return false;
    }
    return is_id(*customer);
}

bool cw_persist_owner(const struct cw_record *record, uint32_t partitions, uint32_t *partition)
{
    struct cw_view customer;
    struct cw_view id = record->key;
    switch ((enum cw_table_number)record->table) {
    case CW_TABLE_messages: break;
    case CW_TABLE_links:
        id = (struct cw_view){record->value.data, CW_MESSAGE_ID_BYTES};
        if (record->kind != CW_RECORD_PUT || record->value.bytes < CW_MESSAGE_ID_BYTES) {
            return false;
        }
        break;
    default:
        if (!key_customer((enum cw_table_number)record->table, record->key, &customer)) {
            return false;
        }
        *partition = cw_partition(customer, partitions);
        return true;
    }
    return id_partition(id, partition) && *partition < partitions;
}

/* A row's byte that is a bool: anything else in it may not even be looked at as one. */
static bool is_bool(const void *value, size_t offset)
{
    return ((const uint8_t *)value)[offset] <= 1;
}

static bool is_amount(double value, double most)
{
    return value >= 0 && value <= most;
}

static const char *customer_tail_wrong(const struct cw_customer_row *at, uint32_t bytes)
{
    uint64_t sum = sizeof *at + (uint64_t)at->sends_count * sizeof(int64_t);
    for (uint32_t i = 0; i < CW_PROFILE_STRINGS; i++) {
        sum += at->string_bytes[i];
        if (at->string_bytes[i] > 2048 || ((at->told >> i & 1u) == 0 && at->string_bytes[i] != 0)) {
            return "a customer's text has no such length";
        }
    }
    if (at->sends_count > CW_SENDS_MAX || sum != bytes) {
        return "a customer's parts do not add up to the row";
    }
    const int64_t *sends = (const int64_t *)(at + 1);
    for (uint32_t i = 0; i < at->sends_count; i++) {
        if (!cw_row_time(sends[i] >> 2) || (i > 0 && sends[i - 1] >> 2 > sends[i] >> 2)) {
            return "a customer's sends are out of order";
        }
    }
    return NULL;
}

static const char *customer_wrong(const struct looked *row)
{
    const struct cw_customer_row *at = row->value;
    if (!is_id(row->key) || row->bytes < sizeof *at ||
        !is_bool(at, offsetof(struct cw_customer_row, known)) ||
        !is_bool(at, offsetof(struct cw_customer_row, payment_method))) {
        return "a customer's row is malformed";
    }
    if (at->account_status > CW_ACCOUNT_CLOSED || at->opted_out >= 1u << CW_CHANNEL_COUNT ||
        (at->told & ~CW_TOLD_ERASED) >= 1u << CW_PROFILE_FIELD_COUNT ||
        at->candidate_serial > INT32_MAX) {
        return "a customer's facts are out of range";
    }
    bool good = cw_row_time_or_none(at->last_sent) && cw_row_time_or_none(at->purchased_at);
    for (uint32_t i = 0; i < CW_PROFILE_FIELD_COUNT; i++) {
        good = good && cw_row_time_or_none(at->field_time[i]);
    }
    for (uint32_t i = 0; i < CW_PROFILE_NUMBERS; i++) {
        good = good && (isnan(at->numbers[i]) || is_amount(at->numbers[i], CW_AMOUNT_MAX));
    }
    good = good && isfinite(at->order_sum_since_average) && isfinite(at->rating_sum) &&
           at->emails_engaged <= at->emails_sent;
    return good ? customer_tail_wrong(at, row->bytes)
                : "a customer's times or numbers are out of range";
}

/* A key of a customer and something of theirs. */
static bool is_cart_key(struct cw_view key)
{
    struct cw_view customer;
    uint32_t end = 0;
    return part_of(key, 0, &customer, &end) && is_id(customer) &&
           is_id((struct cw_view){key.data + end, key.bytes - end});
}

static const char *cart_wrong(const struct looked *row)
{
    const struct cw_cart_row *at = row->value;
    if (!is_cart_key(row->key) || row->bytes < sizeof *at ||
        row->bytes - sizeof *at != at->raw_bytes) {
        return "a cart's row is malformed";
    }
    const int64_t times[] = {at->purchased_at, at->cleared_at,   at->updated_at,
                             at->abandoned_at, at->session_time, at->raw_time};
    for (uint32_t i = 0; i < CW_COUNTOF(times); i++) {
        if (!cw_row_time_or_none(times[i])) {
            return "a cart's times are out of range";
        }
    }
    return at->sessions == 0 || at->session_time != CW_TIME_NONE ? NULL
                                                                 : "a session without a time";
}

static bool touch_good(const struct cw_touch_row *touch)
{
    bool tried = touch->attempts > 0;
    bool claimed = (touch->flags & (CW_TOUCH_CHARGED | CW_TOUCH_DOUBTED)) != 0;
    return touch->state <= CW_TOUCH_UNKNOWN && (uint32_t)touch->channel < CW_CHANNEL_COUNT &&
           touch->reason < CW_TOUCH_REASON_COUNT && touch->flags < CW_TOUCH_SLOT_CHANNEL << 1 &&
           touch->untried <= touch->attempts &&
           (touch->place < CW_TOUCHES_MAX || touch->place == CW_PLACE_NONE) &&
           (touch->state == CW_TOUCH_PENDING ? cw_row_time(touch->due)
                                             : cw_row_time_or_none(touch->due)) &&
           (tried ? cw_row_time(touch->sent_at) : touch->sent_at == CW_TIME_NONE) &&
           (tried ||
            (!claimed && (touch->state == CW_TOUCH_PENDING || touch->state == CW_TOUCH_SKIPPED))) &&
           (touch->state != CW_TOUCH_SENDING ||
            ((touch->flags & CW_TOUCH_CHARGED) != 0 && touch->untried < touch->attempts)) &&
           cw_row_time_or_none(touch->delivered_at) && cw_row_time_or_none(touch->opened_at) &&
           cw_row_time_or_none(touch->clicked_at) && is_amount(touch->discount, 100);
}

/* Touches, items and texts: each of its size, and all together the row. */
static const char *candidate_tail_wrong(const struct cw_candidate_row *at, uint32_t bytes)
{
    uint64_t sum = sizeof *at + at->touch_count * sizeof(struct cw_touch_row) +
                   (uint64_t)at->item_count * sizeof(struct cw_item_row);
    if (at->touch_count > CW_TOUCHES_MAX || at->item_count > CW_ITEMS_MAX || sum > bytes) {
        return "a candidate's parts do not add up to its row";
    }
    const struct cw_touch_row *touches = (const struct cw_touch_row *)(at + 1);
    for (uint32_t i = 0; i < at->touch_count; i++) {
        if (!touch_good(&touches[i])) {
            return "a candidate's touch is out of range";
        }
    }
    sum += (uint64_t)at->cart_bytes + at->program_bytes + at->currency_bytes +
           at->marketplace_bytes + at->url_bytes;
    const struct cw_item_row *items = (const struct cw_item_row *)(touches + at->touch_count);
    for (uint32_t i = 0; i < at->item_count; i++) {
        uint32_t image = items[i].image_bytes == UINT32_MAX ? 0 : items[i].image_bytes;
        if (!is_amount(items[i].price, CW_AMOUNT_MAX) || items[i].quantity < 1 ||
            items[i].id_bytes < 1 || items[i].id_bytes > CW_ID_BYTES_MAX) {
            return "a candidate's item is out of range";
        }
        sum += (uint64_t)items[i].id_bytes + items[i].name_bytes + image;
    }
    return sum == bytes ? NULL : "a candidate's parts do not add up to its row";
}

static const char *candidate_wrong(const struct looked *row)
{
    const struct cw_candidate_row *at = row->value;
    struct cw_view customer;
    if (!key_customer(CW_TABLE_candidates, row->key, &customer) || row->bytes < sizeof *at ||
        !is_bool(at, offsetof(struct cw_candidate_row, holdout)) ||
        memcmp(row->key.data + customer.bytes, &at->serial, sizeof at->serial) != 0) {
        return "a candidate's row is malformed";
    }
    bool ended = at->status >= CW_STATUS_CONVERTED;
    if (at->status > CW_STATUS_EXPIRED || at->confidence > CW_CONFIDENCE_HIGH || at->serial < 1 ||
        at->cart_bytes < 1 || at->cart_bytes > CW_ID_BYTES_MAX || at->program_bytes < 1 ||
        at->program_bytes > CW_ID_BYTES_MAX ||
        (at->currency_bytes != 0 && at->currency_bytes != 3)) {
        return "a candidate's facts are out of range";
    }
    bool good = cw_row_time(at->t0) && cw_row_time(at->expires_at) && cw_row_time(at->first_t0) &&
                cw_row_time(at->created_at) && cw_row_time_or_none(at->code_expires_at) &&
                (ended ? cw_row_time(at->ended_at) : at->ended_at == CW_TIME_NONE) &&
                is_amount(at->cart_value, CW_AMOUNT_MAX) && is_amount(at->score, 1) &&
                is_amount(at->discount, 100) && is_amount(at->announced, 100);
    return good ? candidate_tail_wrong(at, row->bytes)
                : "a candidate's times or numbers are out of range";
}

static const char *dedup_wrong(const struct looked *row)
{
    const struct cw_dedup_row *at = row->value;
    struct cw_view customer;
    bool good = dedup_customer(row->key, &customer) && is_id(customer) &&
                row->bytes >= sizeof *at && row->bytes - sizeof *at == at->content_bytes &&
                cw_row_time(at->until) && cw_row_time(at->t0);
    return good ? NULL : "a dedup entry is malformed";
}

static const char *score_wrong(const struct looked *row)
{
    const struct cw_score_row *at = row->value;
    bool good = is_cart_key(row->key) && row->bytes >= sizeof *at &&
                row->bytes - sizeof *at == at->content_bytes && cw_row_time(at->cached_at) &&
                is_amount(at->score, 1);
    return good ? NULL : "a cached score is malformed";
}

static const char *product_wrong(const struct looked *row)
{
    const struct cw_product_row *at = row->value;
    bool good = is_id(row->key) && row->bytes == sizeof *at && cw_row_time_or_none(at->time) &&
                at->available >= 0;
    return good ? NULL : "a product's row is malformed";
}

static const char *message_wrong(const struct looked *row)
{
    const struct cw_message_row *at = row->value;
    uint32_t partition;
    bool good = id_partition(row->key, &partition) && row->bytes >= sizeof *at &&
                row->bytes - sizeof *at == at->customer_bytes && at->touch >= 1 &&
                at->touch <= CW_TOUCHES_MAX &&
                at->feedback < 1u << (CW_EVENT_UNSUBSCRIBED - CW_EVENT_DELIVERED + 1);
    struct cw_view customer = {(const char *)(at + 1), row->bytes - (uint32_t)sizeof *at};
    good =
        good && is_id(customer) && cw_partition(customer, row->p->options.partitions) == partition;
    return good ? NULL : "a message's row is malformed";
}

static const char *link_wrong(const struct looked *row)
{
    const struct cw_link_row *at = row->value;
    uint32_t partition;
    bool good = row->key.bytes == 10 && row->bytes == sizeof *at &&
                id_partition((struct cw_view){at->message_id, sizeof at->message_id}, &partition);
    return good ? NULL : "a short link's row is malformed";
}

static const char *seen_wrong(const struct looked *row)
{
    const struct cw_seen_row *at = row->value;
    struct cw_view customer;
    uint32_t end = 0;
    bool good = part_of(row->key, 1, &customer, &end) && customer.bytes <= CW_ID_BYTES_MAX &&
                row->bytes == sizeof *at && cw_row_time(at->first_at);
    return good ? NULL : "the row of an id that was seen is malformed";
}

static const char *meta_wrong(const struct looked *row)
{
    return cw_meta_wrong(row->key, (struct cw_view){row->value, row->bytes});
}

static const char *(*const checks[CW_TABLE_NUMBER_COUNT])(const struct looked *row) = {
    [CW_TABLE_customers] = customer_wrong,
    [CW_TABLE_carts] = cart_wrong,
    [CW_TABLE_candidates] = candidate_wrong,
    [CW_TABLE_dedup] = dedup_wrong,
    [CW_TABLE_scores] = score_wrong,
    [CW_TABLE_products] = product_wrong,
    [CW_TABLE_messages] = message_wrong,
    [CW_TABLE_links] = link_wrong,
    [CW_TABLE_seen] = seen_wrong,
    [CW_TABLE_meta] = meta_wrong};

/* What is known of products is the same on all cores but for the last moments before an end: the
   latest is right, and nothing is removed that another core may have told anew. */
static bool is_of_products(const struct cw_record *record)
{
    struct cw_view customer;
    uint32_t end = 0;
    return record->table == CW_TABLE_products ||
           (record->table == CW_TABLE_seen && part_of(record->key, 1, &customer, &end) &&
            customer.bytes == 0);
}

/* The time that says which of two rows about a product is the later: the first of the one kind,
   the last of the other. */
static bool is_older(const struct cw_record *record, const void *there)
{
    size_t offset = record->table == CW_TABLE_products ? offsetof(struct cw_product_row, time)
                                                       : offsetof(struct cw_seen_row, first_at);
    int64_t known;
    int64_t told;
    if (record->value.bytes < offset + sizeof told) {
        return false; /* malformed: it shows in a moment */
    }
    memcpy(&known, (const char *)there + offset, sizeof known);
    memcpy(&told, record->value.data + offset, sizeof told);
    return told < known;
}

static cw_err put_row(struct cw_pipeline *p, struct cw_table *table, uint64_t hash,
                      const struct cw_record *record, struct cw_fault *fault)
{
    bool added = false;
    cw_row row =
        cw_table_put(table, hash, record->key.data, record->key.bytes, record->value.bytes, &added);
    if (row != CW_ROW_NONE && !added) {
        if (is_of_products(record) && is_older(record, cw_table_value(table, row))) {
            return CW_ERR_OK;
        }
        row = cw_table_resize(table, row, record->value.bytes);
    }
    if (row == CW_ROW_NONE) {
        return cw_fail(fault, CW_ERR_LIMIT,
                       "no room for all rows: the limits are lower now than "
                       "when they were written");
    }
    void *value = cw_table_edit(table, row);
    memcpy(value, record->value.data, record->value.bytes);
    struct looked looked = {p, cw_table_key(table, row), value, record->value.bytes};
    const char *wrong = checks[record->table](&looked);
    return wrong == NULL ? CW_ERR_OK : cw_damaged(fault, wrong);
}

static cw_err open_meta(struct cw_pipeline *p, struct cw_fault *fault)
{
    struct cw_table_options options = {.name = "loaded",
                                       .rows_max = UINT64_C(128) * CW_CORES_MAX,
                                       .bytes_max = (uint64_t)1 << 30,
                                       .hash = p->options.hash,
                                       .value_bytes_hint = sizeof(struct cw_meta_program)};
    return cw_table_open(&p->loaded.meta, &options, fault);
}

void cw_pipeline_expect(struct cw_pipeline *p, const uint64_t *rows, uint32_t tables)
{
    for (uint32_t i = 0; i < tables && i < CW_TABLE_NUMBER_COUNT; i++) {
        cw_table_expect(cw_pipeline_table(p, (enum cw_table_number)i), rows[i]);
    }
}

/* The table that a record goes to, and its hash there. */
struct place {
    struct cw_table *table;
    uint64_t hash;
};

static cw_err place(struct cw_pipeline *p, struct cw_table *const *tables,
                    const struct cw_record *record, struct place *place, struct cw_fault *fault)
{
    if (record->table >= CW_TABLE_NUMBER_COUNT || record->key.bytes < 1 ||
        record->key.bytes > CW_TABLE_KEY_BYTES_MAX || record->value.bytes > CW_TABLE_VALUE_MAX) {
        return cw_damaged(fault, "a record of no table, or of no size that it could have");
    }
    if (record->kind != CW_RECORD_PUT && record->kind != CW_RECORD_REMOVE) {
        return cw_damaged(fault, "a record of no kind");
    }
    place->table = tables[record->table];
    if (record->table == CW_TABLE_meta) {
        cw_err err = p->loaded.meta != NULL ? CW_ERR_OK : open_meta(p, fault);
        if (err != CW_ERR_OK) {
            return err;
        }
        place->table = p->loaded.meta;
    }
    place->hash = cw_table_hash(place->table, record->key.data, record->key.bytes);
    return CW_ERR_OK;
}

static cw_err apply(struct cw_pipeline *p, const struct place *place,
                    const struct cw_record *record, struct cw_fault *fault)
{
    p->loaded.rows++;
    if (record->kind == CW_RECORD_PUT) {
        return put_row(p, place->table, place->hash, record, fault);
    }
    cw_row row = cw_table_find(place->table, place->hash, record->key.data, record->key.bytes);
    if (row != CW_ROW_NONE && !is_of_products(record)) {
        cw_table_remove(place->table, row);
    }
    return CW_ERR_OK;
}

/*
 * Three walks over the batch: hashes are worked out and their groups asked for; the groups are read
 * and the rows that they lead to asked for; rows are found or made, in order. What is asked for is
 * only a guess (a split or a removal may move it), the last walk looks at everything itself.
 */
cw_err cw_pipeline_load_batch(struct cw_pipeline *p, const struct cw_record *records,
                              uint32_t count, struct cw_fault *fault)
{
    CW_ASSERT(count <= CW_LOAD_BATCH);
    struct cw_table *tables[CW_TABLE_NUMBER_COUNT] = {
#define CW_X(name, number) [number] = p->name,
        CW_TABLE_NUMBERS(CW_X)
#undef CW_X
    };
    struct place places[CW_LOAD_BATCH];
    cw_err refused = CW_ERR_OK;
    uint32_t placed = 0;
    for (; placed < count; placed++) {
        refused = place(p, tables, &records[placed], &places[placed], fault);
        if (refused != CW_ERR_OK) {
            break;
        }
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): written, it was not refused */
        cw_table_prefetch_put(places[placed].table, places[placed].hash);
    }
    for (uint32_t i = 0; i < placed; i++) {
        cw_table_prefetch_row(places[i].table, places[i].hash);
    }
    for (uint32_t i = 0; i < placed; i++) {
        cw_err err = apply(p, &places[i], &records[i], fault);
        if (err != CW_ERR_OK) {
            return err;
        }
    }
    return refused;
}

cw_err cw_pipeline_load(struct cw_pipeline *p, const struct cw_record *record,
                        struct cw_fault *fault)
{
    return cw_pipeline_load_batch(p, record, 1, fault);
}

cw_err cw_pipeline_unload(struct cw_pipeline *p, struct cw_fault *fault)
{
    CW_ASSERT(p->journal == NULL);
    cw_rows_close(p);
    if (p->loaded.meta != NULL) {
        cw_table_close(p->loaded.meta);
        p->loaded.meta = NULL;
    }
    p->loaded.rows = 0;
    return p->kept.base == NULL ? cw_rows_open(p, fault) : CW_ERR_OK;
}
