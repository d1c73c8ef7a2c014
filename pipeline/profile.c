/* profile: what is known of a customer: told by CustomerUpdated, kept up from the stream. */
#include "pipeline/pipeline_priv.h"

#include <math.h>
#include <string.h>

struct cw_view cw_customer_marketplace(const struct cw_customer *customer, struct cw_view event)
{
    return event.data != NULL ? event : cw_customer_string(customer->at, CW_PROFILE_MARKETPLACE);
}

uint32_t cw_customer_zone(const struct cw_pipeline *p, const struct cw_customer *customer,
                          struct cw_view marketplace)
{
    uint32_t zone = CW_ZONE_UTC;
    struct cw_view name = cw_customer_string(customer->at, CW_PROFILE_TIMEZONE);
    if (name.data != NULL && cw_zones_find(p->options.zones, name, &zone)) {
        return zone;
    }
    const struct cw_marketplace *facts = cw_marketplace_find(marketplace);
    if (facts != NULL &&
        cw_zones_find(p->options.zones,
                      (struct cw_view){facts->zone, (uint32_t)strlen(facts->zone)}, &zone)) {
        return zone;
    }
    return CW_ZONE_UTC;
}

bool cw_customer_has_address(const struct cw_customer *customer, enum cw_channel channel)
{
    static const enum cw_profile_field fields[CW_CHANNEL_COUNT] = {
        CW_PROFILE_EMAIL, CW_PROFILE_PHONE, CW_PROFILE_PUSH_TOKEN};

    return cw_customer_string(customer->at, fields[channel]).bytes > 0;
}

bool cw_customer_opted_out(const struct cw_customer *customer, enum cw_channel channel)
{
    return (customer->at->opted_out >> (uint32_t)channel & 1u) != 0;
}

/* The value with the latest time stands, on a tie the later arrival. */
static bool stands(const struct cw_customer_row *row, enum cw_profile_field field, int64_t time)
{
    return row->field_time[field] == CW_TIME_NONE || time >= row->field_time[field];
}

static void set_flag(struct cw_customer_row *row, enum cw_profile_field field,
                     const struct cw_event_profile *profile, bool told)
{
    if (field == CW_PROFILE_ACCOUNT_STATUS) {
        row->account_status = told ? (uint8_t)profile->account_status : CW_ACCOUNT_ACTIVE;
    } else if (field == CW_PROFILE_PAYMENT_METHOD) {
        row->payment_method = told && profile->payment_method;
    } else {
        uint32_t channel = (uint32_t)field - CW_PROFILE_OPT_OUT_EMAIL;
        uint8_t bit = (uint8_t)(1u << channel);
        bool out = told && profile->opted_out[channel];
        row->opted_out = (uint8_t)(out ? row->opted_out | bit : row->opted_out & ~bit);
    }
}

static void set_number(struct cw_customer_row *row, enum cw_profile_field field, double value)
{
    row->numbers[field - CW_PROFILE_PURCHASE_HISTORY] = value;
    if (field == CW_PROFILE_PURCHASE_HISTORY) {
        row->orders_since_history = 0;
    } else if (field == CW_PROFILE_AVG_ORDER_VALUE) {
        row->orders_since_average = 0;
        row->order_sum_since_average = 0;
    }
}

/* Writes the strings anew behind the sends; false when the table is full and nothing changed. */
static bool set_strings(struct cw_pipeline *p, struct cw_customer *customer,
                        struct cw_view strings[CW_PROFILE_STRINGS])
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < CW_PROFILE_STRINGS; i++) {
        bytes += strings[i].bytes;
    }
    char *copy = cw_arena_alloc(&p->scratch, bytes + 1u, 1); /* the row may move under them */
    char *to = copy;
    for (uint32_t i = 0; i < CW_PROFILE_STRINGS; i++) {
        if (strings[i].bytes > 0) {
            memcpy(to, strings[i].data, strings[i].bytes);
            to += strings[i].bytes;
        }
    }
    uint32_t before =
        (uint32_t)(sizeof(struct cw_customer_row) + customer->at->sends_count * sizeof(int64_t));
    if (!cw_customer_resize(p, customer, before + bytes)) {
        return false;
    }
    struct cw_customer_row *row = cw_customer_edit(p, customer);
    memcpy((char *)row + before, copy, bytes);
    for (uint32_t i = 0; i < CW_PROFILE_STRINGS; i++) {
        row->string_bytes[i] = strings[i].bytes;
    }
    return true;
}

/* The fields that an event tells or removes, but for those that a later one has told already. */
static uint32_t fields_that_stand(const struct cw_customer_row *row, const struct cw_event *event)
{
    uint32_t fields = event->u.profile.told | event->u.profile.removed;
    for (uint32_t left = fields; left != 0; left &= left - 1) {
        uint32_t field = (uint32_t)__builtin_ctz(left);
        if (!stands(row, (enum cw_profile_field)field, event->time)) {
            fields &= ~(1u << field);
        }
    }
    return fields;
}

/* The strings as they will be; true when one of them is written. */
static bool merge_strings(const struct cw_customer_row *row, const struct cw_event_profile *profile,
                          uint32_t fields, struct cw_view strings[CW_PROFILE_STRINGS])
{
    for (uint32_t i = 0; i < CW_PROFILE_STRINGS; i++) {
        strings[i] = (fields >> i & 1u) == 0 ? cw_customer_string(row, (enum cw_profile_field)i)
                     : (profile->told >> i & 1u) != 0 ? profile->strings[i]
                                                      : (struct cw_view){0};
    }
    return (fields & ((1u << CW_PROFILE_STRINGS) - 1)) != 0;
}

static void set_fields(struct cw_customer_row *row, uint32_t fields, const struct cw_event *event)
{
    const struct cw_event_profile *profile = &event->u.profile;
    for (uint32_t left = fields; left != 0; left &= left - 1) {
        uint32_t i = (uint32_t)__builtin_ctz(left);
        enum cw_profile_field field = (enum cw_profile_field)i;
        bool told = (profile->told >> i & 1u) != 0;
        row->field_time[i] = event->time;
        row->told = told ? row->told | 1u << i : row->told & ~(1u << i);
        if (i >= CW_PROFILE_PURCHASE_HISTORY) {
            set_number(row, field, told ? profile->numbers[i - CW_PROFILE_PURCHASE_HISTORY] : NAN);
        } else if (i >= CW_PROFILE_STRINGS) {
            set_flag(row, field, profile, told);
        }
    }
    row->known = true;
}

bool cw_profile_update(struct cw_pipeline *p, struct cw_customer *customer,
                       const struct cw_event *event)
{
    struct cw_view strings[CW_PROFILE_STRINGS];
    uint32_t fields = fields_that_stand(customer->at, event);
    /* What can fail comes first. */
    if (merge_strings(customer->at, &event->u.profile, fields, strings) &&
        !set_strings(p, customer, strings)) {
        p->fates.not_remembered++;
        return false;
    }
    if (fields != 0 || !customer->at->known) {
        set_fields(cw_customer_edit(p, customer), fields, event);
    }
    cw_cancel_opted_out(p, customer);
    return true;
}

void cw_profile_opt_out(struct cw_pipeline *p, struct cw_customer *customer,
                        enum cw_channel channel, int64_t time)
{
    enum cw_profile_field field =
        (enum cw_profile_field)(CW_PROFILE_OPT_OUT_EMAIL + (uint32_t)channel);
    /* A time that is still to come is of a clock that is ahead: what it told was told before. */
    int64_t told = customer->at->field_time[field];
    bool ahead = told != CW_TIME_NONE && told > p->now;
    if (ahead || stands(customer->at, field, time)) {
        struct cw_customer_row *row = cw_customer_edit(p, customer);
        row->field_time[field] = ahead && told > time ? told : time;
        row->told |= 1u << field;
        row->opted_out = (uint8_t)(row->opted_out | 1u << (uint32_t)channel);
        cw_cancel_opted_out(p, customer);
    }
}

static bool counts(const struct cw_customer_row *row, enum cw_profile_field field, int64_t time)
{
    return row->field_time[field] == CW_TIME_NONE || time > row->field_time[field];
}

void cw_profile_order(struct cw_pipeline *p, struct cw_customer *customer,
                      const struct cw_event *event)
{
    struct cw_customer_row *row = cw_customer_edit(p, customer);
    row->orders++;
    row->orders_since_history += counts(row, CW_PROFILE_PURCHASE_HISTORY, event->time);
    if (counts(row, CW_PROFILE_AVG_ORDER_VALUE, event->time)) {
        row->orders_since_average++;
        row->order_sum_since_average += event->u.order.value;
    }
}

static double told_number(const struct cw_customer_row *row, enum cw_profile_field field)
{
    return (row->told >> field & 1u) != 0 ? row->numbers[field - CW_PROFILE_PURCHASE_HISTORY] : NAN;
}

static double average_order(const struct cw_customer_row *row)
{
    double told = told_number(row, CW_PROFILE_AVG_ORDER_VALUE);
    double history = told_number(row, CW_PROFILE_PURCHASE_HISTORY);
    double count = (double)row->orders_since_average;
    if (isnan(told)) {
        return count > 0 ? row->order_sum_since_average / count : NAN;
    }
    double weight = !isnan(history) && history > 0 ? history : 1;
    return (told * weight + row->order_sum_since_average) / (weight + count);
}

static double share_or(double told, uint64_t part, uint64_t whole)
{
    return !isnan(told) ? told : whole > 0 ? (double)part / (double)whole : NAN;
}

void cw_features_read(const struct cw_customer *customer, const struct cw_event_cart *cart,
                      struct cw_features *features)
{
    /* Decision D4 in README.md. */
    const struct cw_customer_row *row = customer->at;
    double history = told_number(row, CW_PROFILE_PURCHASE_HISTORY);
    bool ordered = row->orders_since_history > 0;
    double *numeric = features->numeric;
    numeric[CW_FEATURE_purchase_history] =
        isnan(history) && !ordered
            ? NAN
            : (isnan(history) ? 0 : history) + (double)row->orders_since_history;
    numeric[CW_FEATURE_avg_order_value] = average_order(row);
    numeric[CW_FEATURE_cart_abandonment_rate] =
        share_or(told_number(row, CW_PROFILE_CART_ABANDONMENT_RATE), row->abandonments,
                 row->abandonments + row->orders);
    numeric[CW_FEATURE_email_engagement] = share_or(told_number(row, CW_PROFILE_EMAIL_ENGAGEMENT),
                                                    row->emails_engaged, row->emails_sent);
    numeric[CW_FEATURE_cart_value] = cart->value;
    double quantity = 0;
    features->category = cart->category;
    for (uint32_t i = 0; i < cart->items_count; i++) {
        quantity += cart->items[i].quantity;
        if (features->category.data == NULL) {
            features->category = cart->items[i].category;
        }
    }
    numeric[CW_FEATURE_item_count] = cart->item_count >= 0 ? (double)cart->item_count : quantity;
    numeric[CW_FEATURE_discount_sensitivity] =
        !isnan(cart->discount_sensitivity) ? cart->discount_sensitivity
                                           : told_number(row, CW_PROFILE_DISCOUNT_SENSITIVITY);
}

static int64_t *edit_sends(struct cw_customer_row *row)
{
    return (int64_t *)(row + 1);
}

bool cw_sends_add(struct cw_pipeline *p, struct cw_customer *customer, enum cw_channel channel,
                  int64_t at)
{
    struct cw_customer_row *row = cw_customer_edit(p, customer);
    int64_t *sends = edit_sends(row);
    uint32_t old = 0;
    while (old < row->sends_count && (sends[old] >> 2) <= p->now - CW_WEEK_MS) {
        old++;
    }
    if (old == 0 && row->sends_count == CW_SENDS_MAX) {
        old = 1; /* counts stay at least CW_SENDS_MAX - 1, beyond any cap that can be configured */
    }
    uint32_t strings = cw_table_value_bytes(p->customers, customer->row) - (uint32_t)sizeof *row -
                       row->sends_count * (uint32_t)sizeof(int64_t);
    uint32_t kept = row->sends_count - old;
    char *copy = cw_arena_alloc(&p->scratch, strings + 1u, 1);
    memcpy(copy, sends + row->sends_count, strings);
    memmove(sends, sends + old, kept * sizeof(int64_t));
    uint32_t sends_bytes = (kept + 1) * (uint32_t)sizeof(int64_t);
    bool fits = cw_customer_resize(p, customer, (uint32_t)sizeof *row + sends_bytes + strings);
    if (!fits) { /* forget the oldest instead */
        kept = kept > 0 ? kept - 1 : 0;
        memmove(sends, sends + 1, kept * sizeof(int64_t));
        if (row->sends_count == 0) {
            return false;
        }
        sends_bytes = (kept + 1) * (uint32_t)sizeof(int64_t);
    }
    row = cw_customer_edit(p, customer);
    sends = edit_sends(row);
    uint32_t place = kept;
    for (; place > 0 && sends[place - 1] >> 2 > at; place--) {
        sends[place] = sends[place - 1];
    }
    sends[place] = at << 2 | (int64_t)channel;
    row->sends_count = kept + 1;
    memcpy((char *)(row + 1) + sends_bytes, copy, strings);
    return fits;
}

void cw_sends_take_back(struct cw_pipeline *p, struct cw_customer *customer,
                        enum cw_channel channel, int64_t at)
{
    struct cw_customer_row *row = cw_customer_edit(p, customer);
    int64_t *sends = edit_sends(row);
    uint32_t place = row->sends_count;
    while (place > 0 && sends[place - 1] != (at << 2 | (int64_t)channel)) {
        place--;
    }
    if (place > 0) { /* else it was forgotten in the meantime */
        uint32_t bytes = cw_table_value_bytes(p->customers, customer->row);
        const char *end = (const char *)row + bytes;
        memmove(sends + place - 1, sends + place, (size_t)(end - (const char *)(sends + place)));
        row->sends_count--;
        bool shorter = cw_customer_resize(p, customer, bytes - (uint32_t)sizeof *sends);
        CW_ASSERT(shorter);
        row = cw_customer_edit(p, customer);
        sends = edit_sends(row);
    }
    if (row->last_sent == at) {
        row->last_sent = row->sends_count > 0 ? sends[row->sends_count - 1] >> 2 : CW_TIME_NONE;
    }
}

uint32_t cw_sends_count(const struct cw_pipeline *p, const struct cw_customer *customer,
                        uint32_t cap)
{
    const int64_t *sends = cw_customer_sends(customer->at);
    uint32_t count = 0;
    for (uint32_t i = customer->at->sends_count; i > 0; i--) {
        if ((sends[i - 1] >> 2) <= p->now - CW_WEEK_MS) {
            break;
        }
        count += cap == CW_CAP_MESSAGES || (uint32_t)(sends[i - 1] & 3) == cap;
    }
    return count;
}

int64_t cw_profile_latest(const struct cw_customer_row *row)
{
    int64_t latest = CW_TIME_NONE;
    for (uint32_t i = 0; i < CW_PROFILE_FIELD_COUNT; i++) {
        latest = row->field_time[i] > latest ? row->field_time[i] : latest;
    }
    return latest;
}

void cw_profile_erase(struct cw_pipeline *p, struct cw_customer *customer)
{
    CW_ASSERT(customer->at->in_flight == CW_ROW_NONE); /* the caller has cancelled them */
    cw_customer_forget(p, customer);
    if (customer->at->timer != CW_TIMER_NONE) {
        cw_wheel_cancel(p->wheel, customer->at->timer);
    }
    cw_table_remove(p->customers, customer->row);
    customer->row = CW_ROW_NONE;
    customer->at = NULL;
}
