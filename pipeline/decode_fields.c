/*
 * decode_fields: the table of event types and fields below is the whole schema. Each row of an
 * event's type checks one field and stores it in the event.
 */
#include "core/format.h"
#include "pipeline/decode_priv.h"

#include <stdarg.h>
#include <string.h>

/* What a field must be. */
enum kind {
    KIND_ID,       /* string of 1..128 bytes without U+0000 */
    KIND_STRING,   /* string of at most `max` bytes */
    KIND_CURRENCY, /* three capital letters */
    KIND_ZONE,     /* an IANA time zone that exists */
    KIND_NUMBER,   /* finite number in [min, max], a double */
    KIND_INTEGER,  /* integer in [min, max], an int64 */
    KIND_COUNT,    /* the same, kept as a double */
    KIND_ITEMS,    /* the list of items */
    KIND_AVAILABLE,
    KIND_STATUS,
    KIND_BOOL,
    KIND_OPT_OUT
};

struct field {
    uint8_t type; /* enum cw_event_type */
    uint8_t name;
    uint8_t kind;
    bool required;
    uint16_t offset; /* into struct cw_event */
    int8_t profile;  /* enum cw_profile_field for CustomerUpdated, else -1 */
    double min, max;
};

#define AT(member) (uint16_t) offsetof(struct cw_event, member)
#define STRING_MAX 1024.0
#define URL_MAX    2048.0

#define CART_FIELDS(type, needed)                                                                  \
    {type, CW_WORD_customerId, KIND_ID, true, AT(customer), -1, 0, 0},                             \
        {type, CW_WORD_cartId, KIND_ID, true, AT(cart), -1, 0, 0}, {type,                          \
                                                                    CW_WORD_cartValue,             \
                                                                    KIND_NUMBER,                   \
                                                                    needed,                        \
                                                                    AT(u.abandoned.value),         \
                                                                    -1,                            \
                                                                    0,                             \
                                                                    CW_AMOUNT_MAX},                \
        {type, CW_WORD_items, KIND_ITEMS, needed, 0, -1, 0, 0},                                    \
        {type, CW_WORD_itemCount, KIND_INTEGER, false, AT(u.abandoned.item_count), -1, 0, 1e6},    \
        {type, CW_WORD_currency, KIND_CURRENCY, false, AT(u.abandoned.currency), -1, 0, 0},        \
        {type,      CW_WORD_abandonmentReason, KIND_STRING, false, AT(u.abandoned.reason), -1, 0,  \
         STRING_MAX},                                                                              \
        {type, CW_WORD_marketplace, KIND_STRING, false, AT(u.abandoned.marketplace), -1, 1, 16},   \
        {type, CW_WORD_cartUrl, KIND_STRING, false, AT(u.abandoned.url), -1, 0, URL_MAX},          \
        {type, CW_WORD_category, KIND_STRING, false, AT(u.abandoned.category), -1, 0, STRING_MAX}, \
    {                                                                                              \
        type, CW_WORD_discountSensitivity, KIND_NUMBER, false,                                     \
            AT(u.abandoned.discount_sensitivity), -1, 0, 1                                         \
    }

#define MESSAGE_FIELDS(type)                                                              \
    {type, CW_WORD_messageId, KIND_ID, true, AT(u.message.id), -1, 0, 0},                 \
    {                                                                                     \
        type, CW_WORD_reason, KIND_STRING, false, AT(u.message.reason), -1, 0, STRING_MAX \
    }

#define PROFILE_STRING(name, field, bytes)                                                        \
    {                                                                                             \
        CW_EVENT_CUSTOMER_UPDATED, name, KIND_STRING, false, AT(u.profile.strings[field]), field, \
            0, bytes                                                                              \
    }
#define PROFILE_NUMBER(name, field, most)                                              \
    {                                                                                  \
        CW_EVENT_CUSTOMER_UPDATED, name, KIND_NUMBER, false,                           \
            AT(u.profile.numbers[(field)-CW_PROFILE_PURCHASE_HISTORY]), field, 0, most \
    }

static const struct field fields[] = {
    CART_FIELDS(CW_EVENT_CART_ABANDONED, true),
    CART_FIELDS(CW_EVENT_CART_UPDATED, false),
    {CW_EVENT_CART_CLEARED, CW_WORD_customerId, KIND_ID, true, AT(customer), -1, 0, 0},
    {CW_EVENT_CART_CLEARED, CW_WORD_cartId, KIND_ID, true, AT(cart), -1, 0, 0},
    {CW_EVENT_ORDER_PLACED, CW_WORD_customerId, KIND_ID, true, AT(customer), -1, 0, 0},
    {CW_EVENT_ORDER_PLACED, CW_WORD_orderId, KIND_ID, true, AT(u.order.id), -1, 0, 0},
    {CW_EVENT_ORDER_PLACED, CW_WORD_orderValue, KIND_NUMBER, true, AT(u.order.value), -1, 0,
     CW_AMOUNT_MAX},
    {CW_EVENT_ORDER_PLACED, CW_WORD_cartId, KIND_ID, false, AT(cart), -1, 0, 0},
    {CW_EVENT_ORDER_PLACED, CW_WORD_discountAmount, KIND_NUMBER, false, AT(u.order.discount), -1, 0,
     CW_AMOUNT_MAX},
    {CW_EVENT_ORDER_PLACED, CW_WORD_discountCode, KIND_STRING, false, AT(u.order.discount_code), -1,
     0, STRING_MAX},
    {CW_EVENT_ORDER_PLACED, CW_WORD_currency, KIND_CURRENCY, false, AT(u.order.currency), -1, 0, 0},
    {CW_EVENT_ORDER_REFUNDED, CW_WORD_customerId, KIND_ID, true, AT(customer), -1, 0, 0},
    {CW_EVENT_ORDER_REFUNDED, CW_WORD_orderId, KIND_ID, true, AT(u.order.id), -1, 0, 0},
    {CW_EVENT_ORDER_REFUNDED, CW_WORD_amount, KIND_NUMBER, true, AT(u.order.value), -1, 0,
     CW_AMOUNT_MAX},
    {CW_EVENT_CUSTOMER_UPDATED, CW_WORD_customerId, KIND_ID, true, AT(customer), -1, 0, 0},
    PROFILE_STRING(CW_WORD_name, CW_PROFILE_NAME, STRING_MAX),
    PROFILE_STRING(CW_WORD_email, CW_PROFILE_EMAIL, STRING_MAX),
    PROFILE_STRING(CW_WORD_phone, CW_PROFILE_PHONE, STRING_MAX),
    PROFILE_STRING(CW_WORD_pushToken, CW_PROFILE_PUSH_TOKEN, STRING_MAX),
    {CW_EVENT_CUSTOMER_UPDATED, CW_WORD_marketplace, KIND_STRING, false,
     AT(u.profile.strings[CW_PROFILE_MARKETPLACE]), CW_PROFILE_MARKETPLACE, 1, 16},
    {CW_EVENT_CUSTOMER_UPDATED, CW_WORD_timezone, KIND_ZONE, false,
     AT(u.profile.strings[CW_PROFILE_TIMEZONE]), CW_PROFILE_TIMEZONE, 0, 0},
    PROFILE_STRING(CW_WORD_locale, CW_PROFILE_LOCALE, 35),
    {CW_EVENT_CUSTOMER_UPDATED, CW_WORD_accountStatus, KIND_STATUS, false, 0,
     CW_PROFILE_ACCOUNT_STATUS, 0, 0},
    {CW_EVENT_CUSTOMER_UPDATED, CW_WORD_paymentMethodOnFile, KIND_BOOL, false,
     AT(u.profile.payment_method), CW_PROFILE_PAYMENT_METHOD, 0, 0},
    {CW_EVENT_CUSTOMER_UPDATED, CW_WORD_optedOut, KIND_OPT_OUT, false, 0, CW_PROFILE_OPT_OUT_EMAIL,
     0, 0},
    {CW_EVENT_CUSTOMER_UPDATED, CW_WORD_purchaseHistory, KIND_COUNT, false,
     AT(u.profile.numbers[0]), CW_PROFILE_PURCHASE_HISTORY, 0, 1e9},
    PROFILE_NUMBER(CW_WORD_avgOrderValue, CW_PROFILE_AVG_ORDER_VALUE, CW_AMOUNT_MAX),
    PROFILE_NUMBER(CW_WORD_cartAbandonmentRate, CW_PROFILE_CART_ABANDONMENT_RATE, 1),
    PROFILE_NUMBER(CW_WORD_emailEngagement, CW_PROFILE_EMAIL_ENGAGEMENT, 1),
    PROFILE_NUMBER(CW_WORD_discountSensitivity, CW_PROFILE_DISCOUNT_SENSITIVITY, 1),
    {CW_EVENT_CUSTOMER_ERASED, CW_WORD_customerId, KIND_ID, true, AT(customer), -1, 0, 0},
    {CW_EVENT_INVENTORY_CHANGED, CW_WORD_productId, KIND_ID, true, AT(u.product.id), -1, 0, 0},
    {CW_EVENT_INVENTORY_CHANGED, CW_WORD_available, KIND_AVAILABLE, true, AT(u.product.available),
     -1, 0, CW_AMOUNT_MAX},
    MESSAGE_FIELDS(CW_EVENT_DELIVERED),
    MESSAGE_FIELDS(CW_EVENT_BOUNCED),
    MESSAGE_FIELDS(CW_EVENT_OPENED),
    MESSAGE_FIELDS(CW_EVENT_CLICKED),
    MESSAGE_FIELDS(CW_EVENT_COMPLAINED),
    MESSAGE_FIELDS(CW_EVENT_UNSUBSCRIBED),
    {CW_EVENT_FEEDBACK, CW_WORD_customerId, KIND_ID, true, AT(customer), -1, 0, 0},
    {CW_EVENT_FEEDBACK, CW_WORD_rating, KIND_INTEGER, true, AT(u.feedback.rating), -1, 1, 5},
};

/* Refuses a field by its place and name: `detail.items[2].price is not a number`. */
__attribute__((format(printf, 5, 6))) static bool bad(struct cw_decoder *decoder,
                                                      struct cw_event *event, int32_t place,
                                                      uint32_t word, const char *format, ...)
{
    char what[CW_REASON_BYTES_MAX];
    va_list args;
    va_start(args, format);
    (void)cw_formatv(what, sizeof what, format, args);
    va_end(args);
    const char *name = decoder->words[word];
    if (place >= 0) {
        return cw_decode_refuse(decoder, event, "detail.items[%d].%s %s", place, name, what);
    }
    return cw_decode_refuse(decoder, event, "%s%s %s", place == CW_PLACE_DETAIL ? "detail." : "",
                            name, what);
}

bool cw_decode_id(struct cw_decoder *decoder, uint32_t node, int32_t place, enum cw_word word,
                  struct cw_view *id, struct cw_event *event)
{
    if (!cw_decode_is_string(decoder, node)) {
        return bad(decoder, event, place, word, "is not a string");
    }
    struct cw_view text = cw_decode_string(decoder, node);
    if (text.bytes == 0 || text.bytes > CW_ID_BYTES_MAX) {
        return bad(decoder, event, place, word, "has %u bytes, an id has 1 to %u", text.bytes,
                   CW_ID_BYTES_MAX);
    }
    /* Raw text holds no control character: only an escape can have made a U+0000. */
    if (decoder->doc.nodes[node].escaped != 0 && memchr(text.data, 0, text.bytes) != NULL) {
        return bad(decoder, event, place, word, "holds U+0000");
    }
    *id = text;
    return true;
}

/* NOLINTNEXTLINE(readability-function-size): what, where it stands, its bounds, where it goes */
bool cw_decode_text(struct cw_decoder *decoder, uint32_t node, int32_t place, enum cw_word word,
                    struct cw_bounds bounds, struct cw_view *value, struct cw_event *event)
{
    if (!cw_decode_is_string(decoder, node)) {
        return bad(decoder, event, place, word, "is not a string");
    }
    struct cw_view text = cw_decode_string(decoder, node);
    if (text.bytes < bounds.min || text.bytes > bounds.max) {
        return bad(decoder, event, place, word, "has %u bytes, allowed are %g to %g", text.bytes,
                   bounds.min, bounds.max);
    }
    *value = text;
    return true;
}

static bool read_currency(struct cw_decoder *decoder, uint32_t node, enum cw_word word,
                          struct cw_view *value, struct cw_event *event)
{
    struct cw_view text =
        cw_decode_is_string(decoder, node) ? cw_decode_string(decoder, node) : (struct cw_view){0};
    bool good = text.bytes == 3;
    for (uint32_t i = 0; good && i < 3; i++) {
        good = text.data[i] >= 'A' && text.data[i] <= 'Z';
    }
    if (!good) {
        return bad(decoder, event, CW_PLACE_DETAIL, word,
                   "is not three capital letters as in ISO 4217");
    }
    *value = text;
    return true;
}

/* NOLINTNEXTLINE(readability-function-size): as cw_decode_text */
static bool read_number(struct cw_decoder *decoder, uint32_t node, int32_t place, enum cw_word word,
                        struct cw_bounds bounds, double *value, struct cw_event *event)
{
    if (decoder->doc.nodes[node].type != CW_JSON_NUMBER) {
        return bad(decoder, event, place, word, "is not a number");
    }
    double number = cw_json_number(cw_json_raw(&decoder->doc, node));
    if (!(number >= bounds.min && number <= bounds.max)) {
        return bad(decoder, event, place, word, "is not between %g and %g", bounds.min, bounds.max);
    }
    *value = number + 0.0; /* -0 is 0 */
    return true;
}

/* NOLINTNEXTLINE(readability-function-size): as cw_decode_text */
static bool read_integer(struct cw_decoder *decoder, uint32_t node, int32_t place,
                         enum cw_word word, struct cw_bounds bounds, int64_t *value,
                         struct cw_event *event)
{
    int64_t number = 0;
    if (decoder->doc.nodes[node].type != CW_JSON_NUMBER ||
        !cw_json_int64(cw_json_raw(&decoder->doc, node), &number) || (double)number < bounds.min ||
        (double)number > bounds.max) {
        return bad(decoder, event, place, word, "is not a whole number between %g and %g",
                   bounds.min, bounds.max);
    }
    *value = number;
    return true;
}

static bool read_item(struct cw_decoder *decoder, uint32_t node, int32_t number,
                      struct cw_event_item *item, struct cw_event *event)
{
    static const enum cw_word needed[] = {CW_WORD_id, CW_WORD_name, CW_WORD_price};
    const struct cw_bounds text = {0, STRING_MAX};
    if (decoder->doc.nodes[node].type != CW_JSON_OBJECT) {
        return cw_decode_refuse(decoder, event, "detail.items[%d] is not an object", number);
    }
    uint32_t at[CW_WORD_COUNT];
    cw_decode_locate(decoder, node, at);
    *item = (struct cw_event_item){.quantity = 1};
    for (uint32_t i = 0; i < CW_COUNTOF(needed); i++) {
        if (cw_decode_absent(decoder, at[needed[i]])) {
            return bad(decoder, event, number, needed[i], "is missing");
        }
    }
    int64_t quantity = 1;
    if (!cw_decode_id(decoder, at[CW_WORD_id], number, CW_WORD_id, &item->id, event) ||
        !cw_decode_text(decoder, at[CW_WORD_name], number, CW_WORD_name, text, &item->name,
                        event) ||
        !read_number(decoder, at[CW_WORD_price], number, CW_WORD_price,
                     (struct cw_bounds){0, CW_AMOUNT_MAX}, &item->price, event) ||
        (!cw_decode_absent(decoder, at[CW_WORD_quantity]) &&
         !read_integer(decoder, at[CW_WORD_quantity], number, CW_WORD_quantity,
                       (struct cw_bounds){1, 1e6}, &quantity, event)) ||
        (!cw_decode_absent(decoder, at[CW_WORD_imageUrl]) &&
         !cw_decode_text(decoder, at[CW_WORD_imageUrl], number, CW_WORD_imageUrl,
                         (struct cw_bounds){0, URL_MAX}, &item->image_url, event)) ||
        (!cw_decode_absent(decoder, at[CW_WORD_category]) &&
         !cw_decode_text(decoder, at[CW_WORD_category], number, CW_WORD_category, text,
                         &item->category, event))) {
        return false;
    }
    item->quantity = (uint32_t)quantity;
    return true;
}

static bool read_items(struct cw_decoder *decoder, uint32_t node, struct cw_event *event)
{
    const struct cw_json *doc = &decoder->doc;
    if (doc->nodes[node].type != CW_JSON_ARRAY) {
        return cw_decode_refuse(decoder, event, "detail.items is not a list");
    }
    uint32_t count = 0;
    for (uint32_t i = node + 1; i < doc->nodes[node].next; i = doc->nodes[i].next) {
        count++;
    }
    if (count > CW_ITEMS_MAX) {
        return cw_decode_refuse(decoder, event, "detail.items has %u items, the most is %u", count,
                                CW_ITEMS_MAX);
    }
    struct cw_event_item *items =
        cw_arena_alloc(decoder->to, (count + 1) * sizeof *items, _Alignof(struct cw_event_item));
    int32_t number = 0;
    for (uint32_t i = node + 1; i < doc->nodes[node].next; i = doc->nodes[i].next) {
        if (!read_item(decoder, i, number, &items[number], event)) {
            return false;
        }
        number++;
    }
    event->u.abandoned.items = items;
    event->u.abandoned.items_count = count;
    event->u.abandoned.has_items = true;
    return true;
}

static bool read_bool(struct cw_decoder *decoder, uint32_t node, const char *name, bool *value,
                      struct cw_event *event)
{
    uint8_t type = decoder->doc.nodes[node].type;
    if (type != CW_JSON_TRUE && type != CW_JSON_FALSE) {
        return cw_decode_refuse(decoder, event, "%s is neither true nor false", name);
    }
    *value = type == CW_JSON_TRUE;
    return true;
}

/* A bool for all channels, or an object with some of them; null removes what it stands for. */
static bool read_opt_out(struct cw_decoder *decoder, uint32_t node, struct cw_event *event)
{
    const struct cw_json *doc = &decoder->doc;
    struct cw_event_profile *profile = &event->u.profile;
    static const char *const paths[CW_CHANNEL_COUNT] = {
        "detail.optedOut.email", "detail.optedOut.sms", "detail.optedOut.push"};
    if (doc->nodes[node].type != CW_JSON_OBJECT) {
        bool all = false;
        if (!read_bool(decoder, node, "detail.optedOut", &all, event)) {
            return false;
        }
        for (uint32_t c = 0; c < CW_CHANNEL_COUNT; c++) {
            profile->opted_out[c] = all;
            profile->told |= 1u << (CW_PROFILE_OPT_OUT_EMAIL + c);
        }
        return true;
    }
    for (uint32_t c = 0; c < CW_CHANNEL_COUNT; c++) {
        const char *channel = cw_channel_name((enum cw_channel)c);
        uint32_t at = cw_json_find(doc, node, (struct cw_view){channel, (uint32_t)strlen(channel)});
        if (at == CW_JSON_NONE) {
            continue;
        }
        if (doc->nodes[at].type == CW_JSON_NULL) {
            profile->removed |= 1u << (CW_PROFILE_OPT_OUT_EMAIL + c);
            continue;
        }
        if (!read_bool(decoder, at, paths[c], &profile->opted_out[c], event)) {
            return false;
        }
        profile->told |= 1u << (CW_PROFILE_OPT_OUT_EMAIL + c);
    }
    return true;
}

static bool read_status(struct cw_decoder *decoder, uint32_t node, struct cw_event *event)
{
    static const struct cw_view words[] = {{"active", 6}, {"suspended", 9}, {"closed", 6}};
    if (cw_decode_is_string(decoder, node)) {
        struct cw_view text = cw_decode_string(decoder, node);
        for (uint32_t i = 0; i < CW_COUNTOF(words); i++) {
            if (cw_view_equal(text, words[i])) {
                event->u.profile.account_status = (enum cw_account_status)i;
                return true;
            }
        }
    }
    return cw_decode_refuse(decoder, event,
                            "detail.accountStatus is none of active, suspended, closed");
}

static bool read_available(struct cw_decoder *decoder, uint32_t node, struct cw_bounds bounds,
                           struct cw_event *event)
{
    uint8_t type = decoder->doc.nodes[node].type;
    if (type == CW_JSON_TRUE || type == CW_JSON_FALSE) {
        event->u.product.available = type == CW_JSON_TRUE ? CW_AVAILABLE_ALWAYS : 0;
        return true;
    }
    return read_integer(decoder, node, CW_PLACE_DETAIL, CW_WORD_available, bounds,
                        &event->u.product.available, event);
}

static bool read_zone(struct cw_decoder *decoder, uint32_t node, struct cw_view *zone,
                      struct cw_event *event)
{
    uint32_t index;
    if (cw_decode_is_string(decoder, node)) {
        *zone = cw_decode_string(decoder, node);
        if (cw_zones_find(decoder->options.zones, *zone, &index)) {
            return true;
        }
    }
    return cw_decode_refuse(decoder, event, "detail.timezone is not an IANA time zone that exists");
}

static bool read_field(struct cw_decoder *decoder, const struct field *field, uint32_t node,
                       struct cw_event *event)
{
    void *to = (char *)event + field->offset;
    enum cw_word word = (enum cw_word)field->name;
    struct cw_bounds bounds = {field->min, field->max};
    switch ((enum kind)field->kind) {
    case KIND_ID: return cw_decode_id(decoder, node, CW_PLACE_DETAIL, word, to, event);
    case KIND_STRING:
        return cw_decode_text(decoder, node, CW_PLACE_DETAIL, word, bounds, to, event);
    case KIND_CURRENCY: return read_currency(decoder, node, word, to, event);
    case KIND_ZONE: return read_zone(decoder, node, to, event);
    case KIND_NUMBER: return read_number(decoder, node, CW_PLACE_DETAIL, word, bounds, to, event);
    case KIND_COUNT: {
        int64_t count = 0;
        double *number = to;
        if (!read_integer(decoder, node, CW_PLACE_DETAIL, word, bounds, &count, event)) {
            return false;
        }
        *number = (double)count;
        return true;
    }
    case KIND_INTEGER: return read_integer(decoder, node, CW_PLACE_DETAIL, word, bounds, to, event);
    case KIND_ITEMS: return read_items(decoder, node, event);
    case KIND_AVAILABLE: return read_available(decoder, node, bounds, event);
    case KIND_STATUS: return read_status(decoder, node, event);
    case KIND_BOOL: return read_bool(decoder, node, "detail.paymentMethodOnFile", to, event);
    case KIND_OPT_OUT: return read_opt_out(decoder, node, event);
    }
    return false;
}

bool cw_decode_fields(struct cw_decoder *decoder, const uint32_t at[CW_WORD_COUNT],
                      struct cw_event *event)
{
    enum cw_event_type type = event->type;
    for (uint32_t row = decoder->type_fields[type]; row < decoder->type_fields[type + 1]; row++) {
        const struct field *field = &fields[row];
        uint32_t node = at[field->name];
        if (cw_decode_absent(decoder, node)) {
            bool null = node != CW_JSON_NONE;
            if (field->required) {
                return bad(decoder, event, CW_PLACE_DETAIL, field->name,
                           null ? "is null" : "is missing");
            }
            if (null && field->profile == CW_PROFILE_OPT_OUT_EMAIL) {
                event->u.profile.removed |= 7u << CW_PROFILE_OPT_OUT_EMAIL;
            } else if (null && field->profile >= 0) {
                event->u.profile.removed |= 1u << field->profile;
            }
            continue;
        }
        if (!read_field(decoder, field, node, event)) {
            return false;
        }
        if (field->profile >= 0 && field->kind != KIND_OPT_OUT) {
            event->u.profile.told |= 1u << field->profile;
        }
    }
    return true;
}

void cw_decode_index_fields(struct cw_decoder *decoder)
{
    uint32_t row = 0;
    for (uint32_t type = 0; type < CW_EVENT_TYPE_COUNT; type++) {
        decoder->type_fields[type] = (uint16_t)row;
        while (row < CW_COUNTOF(fields) && fields[row].type == type) {
            row++;
        }
    }
    CW_ASSERT(row == CW_COUNTOF(fields)); /* the rows are in the order of the types */
    decoder->type_fields[CW_EVENT_TYPE_COUNT] = (uint16_t)row;
}
