/*
 * decode: the table of event types and fields below is the whole schema. A document's members are
 * looked up once in a small perfect hash of the known names; then each row of its type's part of
 * the table checks one field and stores it in the event.
 */
#include "pipeline/decode.h"

#include "core/format.h"
#include "core/hash.h"
#include "core/time.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

/* The names that events use; the enum's order is free. */
#define NAMES(X)                                                                                 \
    X(customerId)                                                                                \
    X(cartId)                                                                                    \
    X(cartValue)                                                                                 \
    X(items)                                                                                     \
    X(timestamp)                                                                                 \
    X(itemCount) X(currency) X(abandonmentReason) X(marketplace) X(cartUrl) X(category)          \
        X(discountSensitivity) X(orderId) X(orderValue) X(discountAmount) X(discountCode)        \
            X(amount) X(name) X(email) X(phone) X(pushToken) X(accountStatus)                    \
                X(paymentMethodOnFile) X(optedOut) X(timezone) X(locale) X(purchaseHistory)      \
                    X(avgOrderValue) X(cartAbandonmentRate) X(emailEngagement) X(productId)      \
                        X(available) X(messageId) X(reason) X(rating) X(id) X(price) X(quantity) \
                            X(imageUrl) X(source) X(time) X(detail) X(eventBusName)

enum name {
#define CW_X(word) NAME_##word, /* NOLINT(readability-identifier-naming) */
    NAMES(CW_X)
#undef CW_X
    NAME_detail_type, /* NOLINT(readability-identifier-naming): spelt with a hyphen */
    NAME_COUNT
};

static const struct cw_view names[NAME_COUNT] = {
#define CW_X(word) [NAME_##word] = {#word, sizeof(#word) - 1},
    NAMES(CW_X)
#undef CW_X
        [NAME_detail_type] = {"detail-type", 11},
};

/* What a field must be. */
enum kind {
    KIND_ID,       /* string of 1..128 bytes without U+0000 */
    KIND_STRING,   /* string of at most `max` bytes */
    KIND_CURRENCY, /* three capital letters */
    KIND_ZONE,     /* an IANA time zone that exists */
    KIND_NUMBER,   /* finite number in [min, max], a double */
    KIND_INTEGER,  /* integer in [min, max], an int64 */
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

#define CART_FIELDS(type, needed)                                                                 \
    {type, NAME_customerId, KIND_ID, true, AT(customer), -1, 0, 0},                               \
        {type, NAME_cartId, KIND_ID, true, AT(cart), -1, 0, 0},                                   \
        {type, NAME_cartValue, KIND_NUMBER, needed, AT(u.abandoned.value), -1, 0, CW_AMOUNT_MAX}, \
        {type, NAME_items, KIND_ITEMS, needed, 0, -1, 0, 0},                                      \
        {type, NAME_itemCount, KIND_INTEGER, false, AT(u.abandoned.item_count), -1, 0, 1e6},      \
        {type, NAME_currency, KIND_CURRENCY, false, AT(u.abandoned.currency), -1, 0, 0},          \
        {type,      NAME_abandonmentReason, KIND_STRING, false, AT(u.abandoned.reason), -1, 0,    \
         STRING_MAX},                                                                             \
        {type, NAME_marketplace, KIND_STRING, false, AT(u.abandoned.marketplace), -1, 1, 16},     \
        {type, NAME_cartUrl, KIND_STRING, false, AT(u.abandoned.url), -1, 0, URL_MAX},            \
        {type, NAME_category, KIND_STRING, false, AT(u.abandoned.category), -1, 0, STRING_MAX},   \
    {                                                                                             \
        type, NAME_discountSensitivity, KIND_NUMBER, false, AT(u.abandoned.discount_sensitivity), \
            -1, 0, 1                                                                              \
    }

#define MESSAGE_FIELDS(type)                                                           \
    {type, NAME_messageId, KIND_ID, true, AT(u.message.id), -1, 0, 0},                 \
    {                                                                                  \
        type, NAME_reason, KIND_STRING, false, AT(u.message.reason), -1, 0, STRING_MAX \
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

/* clang-format off */
static const struct field fields[] = {
    CART_FIELDS(CW_EVENT_CART_ABANDONED, true),
    CART_FIELDS(CW_EVENT_CART_UPDATED, false),
    {CW_EVENT_CART_CLEARED, NAME_customerId, KIND_ID, true, AT(customer), -1, 0, 0},
    {CW_EVENT_CART_CLEARED, NAME_cartId, KIND_ID, true, AT(cart), -1, 0, 0},
    {CW_EVENT_ORDER_PLACED, NAME_customerId, KIND_ID, true, AT(customer), -1, 0, 0},
    {CW_EVENT_ORDER_PLACED, NAME_orderId, KIND_ID, true, AT(u.order.id), -1, 0, 0},
    {CW_EVENT_ORDER_PLACED, NAME_orderValue, KIND_NUMBER, true, AT(u.order.value), -1, 0, CW_AMOUNT_MAX},
    {CW_EVENT_ORDER_PLACED, NAME_cartId, KIND_ID, false, AT(cart), -1, 0, 0},
    {CW_EVENT_ORDER_PLACED, NAME_discountAmount, KIND_NUMBER, false, AT(u.order.discount), -1, 0, CW_AMOUNT_MAX},
    {CW_EVENT_ORDER_PLACED, NAME_discountCode, KIND_STRING, false, AT(u.order.discount_code), -1, 0, STRING_MAX},
    {CW_EVENT_ORDER_PLACED, NAME_currency, KIND_CURRENCY, false, AT(u.order.currency), -1, 0, 0},
    {CW_EVENT_ORDER_REFUNDED, NAME_customerId, KIND_ID, true, AT(customer), -1, 0, 0},
    {CW_EVENT_ORDER_REFUNDED, NAME_orderId, KIND_ID, true, AT(u.order.id), -1, 0, 0},
    {CW_EVENT_ORDER_REFUNDED, NAME_amount, KIND_NUMBER, true, AT(u.order.value), -1, 0, CW_AMOUNT_MAX},
    {CW_EVENT_CUSTOMER_UPDATED, NAME_customerId, KIND_ID, true, AT(customer), -1, 0, 0},
    PROFILE_STRING(NAME_name, CW_PROFILE_NAME, STRING_MAX),
    PROFILE_STRING(NAME_email, CW_PROFILE_EMAIL, STRING_MAX),
    PROFILE_STRING(NAME_phone, CW_PROFILE_PHONE, STRING_MAX),
    PROFILE_STRING(NAME_pushToken, CW_PROFILE_PUSH_TOKEN, STRING_MAX),
    {CW_EVENT_CUSTOMER_UPDATED, NAME_marketplace, KIND_STRING, false, AT(u.profile.strings[CW_PROFILE_MARKETPLACE]), CW_PROFILE_MARKETPLACE, 1, 16},
    {CW_EVENT_CUSTOMER_UPDATED, NAME_timezone, KIND_ZONE, false, AT(u.profile.strings[CW_PROFILE_TIMEZONE]), CW_PROFILE_TIMEZONE, 0, 0},
    PROFILE_STRING(NAME_locale, CW_PROFILE_LOCALE, 35),
    {CW_EVENT_CUSTOMER_UPDATED, NAME_accountStatus, KIND_STATUS, false, 0, CW_PROFILE_ACCOUNT_STATUS, 0, 0},
    {CW_EVENT_CUSTOMER_UPDATED, NAME_paymentMethodOnFile, KIND_BOOL, false, AT(u.profile.payment_method), CW_PROFILE_PAYMENT_METHOD, 0, 0},
    {CW_EVENT_CUSTOMER_UPDATED, NAME_optedOut, KIND_OPT_OUT, false, 0, CW_PROFILE_OPT_OUT_EMAIL, 0, 0},
    {CW_EVENT_CUSTOMER_UPDATED, NAME_purchaseHistory, KIND_INTEGER, false, 0, CW_PROFILE_PURCHASE_HISTORY, 0, 1e9},
    PROFILE_NUMBER(NAME_avgOrderValue, CW_PROFILE_AVG_ORDER_VALUE, CW_AMOUNT_MAX),
    PROFILE_NUMBER(NAME_cartAbandonmentRate, CW_PROFILE_CART_ABANDONMENT_RATE, 1),
    PROFILE_NUMBER(NAME_emailEngagement, CW_PROFILE_EMAIL_ENGAGEMENT, 1),
    PROFILE_NUMBER(NAME_discountSensitivity, CW_PROFILE_DISCOUNT_SENSITIVITY, 1),
    {CW_EVENT_CUSTOMER_ERASED, NAME_customerId, KIND_ID, true, AT(customer), -1, 0, 0},
    {CW_EVENT_INVENTORY_CHANGED, NAME_productId, KIND_ID, true, AT(u.product.id), -1, 0, 0},
    {CW_EVENT_INVENTORY_CHANGED, NAME_available, KIND_AVAILABLE, true, AT(u.product.available), -1, 0, CW_AMOUNT_MAX},
    MESSAGE_FIELDS(CW_EVENT_DELIVERED),
    MESSAGE_FIELDS(CW_EVENT_BOUNCED),
    MESSAGE_FIELDS(CW_EVENT_OPENED),
    MESSAGE_FIELDS(CW_EVENT_CLICKED),
    MESSAGE_FIELDS(CW_EVENT_COMPLAINED),
    MESSAGE_FIELDS(CW_EVENT_UNSUBSCRIBED),
    {CW_EVENT_FEEDBACK, NAME_customerId, KIND_ID, true, AT(customer), -1, 0, 0},
    {CW_EVENT_FEEDBACK, NAME_rating, KIND_INTEGER, true, AT(u.feedback.rating), -1, 1, 5},
};

/* clang-format on */

const struct cw_event_names cw_event_names_default = {.of = {
#define CW_X(name, source, type) \
    [CW_EVENT_##name] = {{source, sizeof(source) - 1}, {type, sizeof(type) - 1}},
                                                          CW_EVENT_TYPES(CW_X)
#undef CW_X
                                                      }};

const char *cw_event_type_name(enum cw_event_type type)
{
    CW_ASSERT(type < CW_EVENT_TYPE_COUNT);
    return cw_event_names_default.of[type].type.data;
}

enum {
    NAME_SLOTS = 256,
    NAME_BYTES_MAX = 24
};

struct cw_decoder {
    struct cw_decoder_options options;
    struct cw_json_parser *parser;
    struct cw_pattern_scratch *scratch;
    struct cw_arena own;   /* this struct lives in it */
    struct cw_arena arena; /* what events point to, unless the caller gave another */
    struct cw_arena *to;
    struct cw_json doc;
    bool parsed;
    bool sessions;             /* some program watches sessions: keep the text of carts */
    uint8_t slots[NAME_SLOTS]; /* name + 1 by name_hash(), 0 empty */
    uint16_t type_fields[CW_EVENT_TYPE_COUNT + 1]; /* where each type's rows begin */
};

/* Length and two letters tell all known names apart (proved at open). */
static inline uint32_t name_hash(const char *word, uint32_t bytes)
{
    return (bytes * 7u + (uint8_t)word[0] * 31u + (uint8_t)word[bytes - 1] * 5u +
            (uint8_t)word[bytes / 2] * 11u) %
           NAME_SLOTS;
}

static void index_names(struct cw_decoder *decoder)
{
    for (uint32_t i = 0; i < NAME_COUNT; i++) {
        uint32_t slot = name_hash(names[i].data, names[i].bytes);
        while (decoder->slots[slot] != 0) {
            slot = (slot + 1) % NAME_SLOTS;
        }
        decoder->slots[slot] = (uint8_t)(i + 1);
    }
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

static uint32_t find_name(const struct cw_decoder *decoder, const char *word, uint32_t bytes)
{
    if (bytes == 0 || bytes > NAME_BYTES_MAX) {
        return NAME_COUNT;
    }
    for (uint32_t slot = name_hash(word, bytes); decoder->slots[slot] != 0;
         slot = (slot + 1) % NAME_SLOTS) { /* bounded: the slots are never all used */
        uint32_t name = decoder->slots[slot] - 1u;
        if (names[name].bytes == bytes && memcmp(names[name].data, word, bytes) == 0) {
            return name;
        }
    }
    return NAME_COUNT;
}

cw_err cw_decoder_open(struct cw_decoder **decoder, const struct cw_decoder_options *options,
                       struct cw_fault *fault)
{
    struct cw_arena arena;
    cw_err err = cw_arena_open(&arena, 1u << 20, (size_t)1 << 30, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_decoder *made = cw_arena_zalloc(&arena, sizeof *made, CW_CACHE_LINE);
    made->options = *options;
    if (made->options.names == NULL) {
        made->options.names = &cw_event_names_default;
    }
    index_names(made);
    err = cw_arena_open(&made->arena, 1u << 20, (size_t)1 << 32, fault);
    if (err == CW_ERR_OK) {
        err = cw_json_open(&made->parser, options->event_bytes_max, CW_JSON_DEPTH_MAX, fault);
    }
    if (err == CW_ERR_OK) {
        err = cw_pattern_scratch_open(&made->scratch, fault);
    }
    if (err != CW_ERR_OK) {
        cw_arena_close(&arena);
        return err;
    }
    for (uint32_t i = 0; options->programs != NULL && i < options->programs->count; i++) {
        made->sessions |= options->programs->list[i].session_timeout_ms > 0;
    }
    made->own = arena;
    made->to = &made->arena;
    *decoder = made;
    return CW_ERR_OK;
}

void cw_decoder_close(struct cw_decoder *decoder)
{
    cw_json_close(decoder->parser);
    cw_pattern_scratch_close(decoder->scratch);
    cw_arena_close(&decoder->arena);
    struct cw_arena own = decoder->own;
    cw_arena_close(&own);
}

void cw_decoder_put_in(struct cw_decoder *decoder, struct cw_arena *arena)
{
    decoder->to = arena != NULL ? arena : &decoder->arena;
}

void cw_decoder_reset(struct cw_decoder *decoder)
{
    cw_arena_reset(&decoder->arena);
}

const struct cw_json *cw_decoder_document(const struct cw_decoder *decoder)
{
    return decoder->parsed ? &decoder->doc : NULL;
}

/* Refuses the event; returns false so that `return refuse(...)` reads as one step. */
__attribute__((format(printf, 3, 4))) static bool
refuse(struct cw_decoder *decoder, struct cw_event *event, const char *format, ...)
{
    char reason[CW_REASON_BYTES_MAX];
    va_list args;
    va_start(args, format);
    uint32_t bytes = cw_formatv(reason, sizeof reason, format, args);
    va_end(args);
    event->type = CW_EVENT_INVALID;
    event->u.invalid.reason = cw_arena_copy(decoder->to, (struct cw_view){reason, bytes});
    return false;
}

/* Where each known name's last value is among the members of an object. */
static void locate(const struct cw_decoder *decoder, uint32_t object, uint32_t at[NAME_COUNT])
{
    const struct cw_json *doc = &decoder->doc;
    for (uint32_t i = 0; i < NAME_COUNT; i++) {
        at[i] = CW_JSON_NONE;
    }
    uint32_t end = doc->nodes[object].next;
    for (uint32_t i = object + 1; i < end; i = doc->nodes[i].next) {
        const struct cw_json_node *node = &doc->nodes[i];
        uint32_t name;
        if (CW_UNLIKELY(node->key_escaped != 0)) {
            char word[NAME_BYTES_MAX * 6];
            if (node->key_bytes > sizeof word) {
                continue; /* longer than any known name, however escaped */
            }
            uint32_t bytes =
                cw_json_unescape((struct cw_view){doc->text + node->key, node->key_bytes}, word);
            name = find_name(decoder, word, bytes);
        } else {
            name = find_name(decoder, doc->text + node->key, node->key_bytes);
        }
        if (name < NAME_COUNT) {
            at[name] = i;
        }
    }
}

/* The string a node holds, unescaped into the arena only when it must be. */
static struct cw_view string_of(struct cw_decoder *decoder, uint32_t node)
{
    struct cw_view raw = cw_json_raw(&decoder->doc, node);
    if (CW_LIKELY(decoder->doc.nodes[node].escaped == 0)) {
        return raw;
    }
    char *text = cw_arena_alloc(decoder->to, raw.bytes, 1);
    return (struct cw_view){text, cw_json_unescape(raw, text)};
}

static inline bool is_string(const struct cw_decoder *decoder, uint32_t node)
{
    return decoder->doc.nodes[node].type == CW_JSON_STRING;
}

static bool read_id(struct cw_decoder *decoder, uint32_t node, const char *path,
                    struct cw_view name, struct cw_view *id, struct cw_event *event)
{
    if (!is_string(decoder, node)) {
        return refuse(decoder, event, "%s%.*s is not a string", path, (int)name.bytes, name.data);
    }
    struct cw_view text = string_of(decoder, node);
    if (text.bytes == 0 || text.bytes > CW_ID_BYTES_MAX) {
        return refuse(decoder, event, "%s%.*s has %u bytes, an id has 1 to %u", path,
                      (int)name.bytes, name.data, text.bytes, CW_ID_BYTES_MAX);
    }
    if (memchr(text.data, 0, text.bytes) != NULL) {
        return refuse(decoder, event, "%s%.*s holds U+0000", path, (int)name.bytes, name.data);
    }
    *id = text;
    return true;
}

static bool read_number(struct cw_decoder *decoder, uint32_t node, const char *path,
                        const struct field *field, double *value, struct cw_event *event)
{
    struct cw_view name = names[field->name];
    if (decoder->doc.nodes[node].type != CW_JSON_NUMBER) {
        return refuse(decoder, event, "%s%.*s is not a number", path, (int)name.bytes, name.data);
    }
    double number = cw_json_number(cw_json_raw(&decoder->doc, node));
    if (!(number >= field->min && number <= field->max)) {
        return refuse(decoder, event, "%s%.*s is not between %g and %g", path, (int)name.bytes,
                      name.data, field->min, field->max);
    }
    *value = number + 0.0; /* -0 is 0 */
    return true;
}

static bool read_integer(struct cw_decoder *decoder, uint32_t node, const char *path,
                         const struct field *field, int64_t *value, struct cw_event *event)
{
    struct cw_view name = names[field->name];
    int64_t number = 0;
    if (decoder->doc.nodes[node].type != CW_JSON_NUMBER ||
        !cw_json_int64(cw_json_raw(&decoder->doc, node), &number) || (double)number < field->min ||
        (double)number > field->max) {
        return refuse(decoder, event, "%s%.*s is not a whole number between %g and %g", path,
                      (int)name.bytes, name.data, field->min, field->max);
    }
    *value = number;
    return true;
}

static bool read_text(struct cw_decoder *decoder, uint32_t node, const char *path,
                      const struct field *field, struct cw_view *value, struct cw_event *event)
{
    struct cw_view name = names[field->name];
    if (!is_string(decoder, node)) {
        return refuse(decoder, event, "%s%.*s is not a string", path, (int)name.bytes, name.data);
    }
    struct cw_view text = string_of(decoder, node);
    bool any_length = field->kind == KIND_CURRENCY; /* judged below, with a better message */
    if (!any_length && ((double)text.bytes > field->max || (double)text.bytes < field->min)) {
        return refuse(decoder, event, "%s%.*s has %u bytes, allowed are %g to %g", path,
                      (int)name.bytes, name.data, text.bytes, field->min, field->max);
    }
    if (field->kind == KIND_CURRENCY) {
        bool good = text.bytes == 3;
        for (uint32_t i = 0; good && i < 3; i++) {
            good = text.data[i] >= 'A' && text.data[i] <= 'Z';
        }
        if (!good) {
            return refuse(decoder, event, "%s%.*s is not three capital letters as in ISO 4217",
                          path, (int)name.bytes, name.data);
        }
    }
    *value = text;
    return true;
}

static bool read_time(struct cw_decoder *decoder, uint32_t node, const char *name, int64_t *ms,
                      struct cw_event *event)
{
    if (!is_string(decoder, node) || !cw_time_parse(string_of(decoder, node), ms)) {
        return refuse(decoder, event,
                      "%s is not a time as in RFC 3339, such as 2026-01-18T16:45:00Z", name);
    }
    return true;
}

static inline bool absent(const struct cw_decoder *decoder, uint32_t node)
{
    return node == CW_JSON_NONE || decoder->doc.nodes[node].type == CW_JSON_NULL;
}

static const struct field item_price = {0, NAME_price, KIND_NUMBER, true, 0, -1, 0, CW_AMOUNT_MAX};
static const struct field item_quantity = {0, NAME_quantity, KIND_INTEGER, false, 0, -1, 1, 1e6};
static const struct field item_name = {0, NAME_name, KIND_STRING, true, 0, -1, 0, STRING_MAX};
static const struct field item_image = {0, NAME_imageUrl, KIND_STRING, false, 0, -1, 0, URL_MAX};
static const struct field item_category = {0, NAME_category, KIND_STRING, false, 0, -1,
                                           0, STRING_MAX};

static bool read_item(struct cw_decoder *decoder, uint32_t node, uint32_t number,
                      struct cw_event_item *item, struct cw_event *event)
{
    char path[40];
    (void)cw_format(path, sizeof path, "detail.items[%u].", number);
    if (decoder->doc.nodes[node].type != CW_JSON_OBJECT) {
        return refuse(decoder, event, "detail.items[%u] is not an object", number);
    }
    uint32_t at[NAME_COUNT];
    locate(decoder, node, at);
    *item = (struct cw_event_item){.quantity = 1};
    if (absent(decoder, at[NAME_id]) || absent(decoder, at[NAME_name]) ||
        absent(decoder, at[NAME_price])) {
        return refuse(decoder, event, "%s%s is missing", path,
                      absent(decoder, at[NAME_id])     ? "id"
                      : absent(decoder, at[NAME_name]) ? "name"
                                                       : "price");
    }
    if (!read_id(decoder, at[NAME_id], path, names[NAME_id], &item->id, event) ||
        !read_text(decoder, at[NAME_name], path, &item_name, &item->name, event) ||
        !read_number(decoder, at[NAME_price], path, &item_price, &item->price, event)) {
        return false;
    }
    int64_t quantity = 1;
    if ((!absent(decoder, at[NAME_quantity]) &&
         !read_integer(decoder, at[NAME_quantity], path, &item_quantity, &quantity, event)) ||
        (!absent(decoder, at[NAME_imageUrl]) &&
         !read_text(decoder, at[NAME_imageUrl], path, &item_image, &item->image_url, event)) ||
        (!absent(decoder, at[NAME_category]) &&
         !read_text(decoder, at[NAME_category], path, &item_category, &item->category, event))) {
        return false;
    }
    item->quantity = (uint32_t)quantity;
    return true;
}

static bool read_items(struct cw_decoder *decoder, uint32_t node, struct cw_event *event)
{
    const struct cw_json *doc = &decoder->doc;
    if (doc->nodes[node].type != CW_JSON_ARRAY) {
        return refuse(decoder, event, "detail.items is not a list");
    }
    uint32_t count = 0;
    for (uint32_t i = node + 1; i < doc->nodes[node].next; i = doc->nodes[i].next) {
        count++;
    }
    if (count > CW_ITEMS_MAX) {
        return refuse(decoder, event, "detail.items has %u items, the most is %u", count,
                      CW_ITEMS_MAX);
    }
    struct cw_event_item *items =
        cw_arena_alloc(decoder->to, (count + 1) * sizeof *items, _Alignof(struct cw_event_item));
    uint32_t number = 0;
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
        return refuse(decoder, event, "%s is neither true nor false", name);
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
    if (is_string(decoder, node)) {
        struct cw_view text = string_of(decoder, node);
        for (uint32_t i = 0; i < CW_COUNTOF(words); i++) {
            if (cw_view_equal(text, words[i])) {
                event->u.profile.account_status = (enum cw_account_status)i;
                return true;
            }
        }
    }
    return refuse(decoder, event, "detail.accountStatus is none of active, suspended, closed");
}

static bool read_available(struct cw_decoder *decoder, uint32_t node, const struct field *field,
                           struct cw_event *event)
{
    uint8_t type = decoder->doc.nodes[node].type;
    if (type == CW_JSON_TRUE || type == CW_JSON_FALSE) {
        event->u.product.available = type == CW_JSON_TRUE ? CW_AVAILABLE_ALWAYS : 0;
        return true;
    }
    return read_integer(decoder, node, "detail.", field, &event->u.product.available, event);
}

static bool read_field(struct cw_decoder *decoder, const struct field *field, uint32_t node,
                       struct cw_event *event)
{
    void *to = (char *)event + field->offset;
    switch ((enum kind)field->kind) {
    case KIND_ID: return read_id(decoder, node, "detail.", names[field->name], to, event);
    case KIND_STRING:
    case KIND_CURRENCY: return read_text(decoder, node, "detail.", field, to, event);
    case KIND_ZONE: {
        struct cw_view *zone = to;
        uint32_t index;
        if (!is_string(decoder, node) || (*zone = string_of(decoder, node)).bytes > 64 ||
            !cw_zones_find(decoder->options.zones, *zone, &index)) {
            return refuse(decoder, event, "detail.timezone is not an IANA time zone that exists");
        }
        return true;
    }
    case KIND_NUMBER: return read_number(decoder, node, "detail.", field, to, event);
    case KIND_INTEGER: {
        int64_t value = 0;
        if (!read_integer(decoder, node, "detail.", field, &value, event)) {
            return false;
        }
        if (field->profile == CW_PROFILE_PURCHASE_HISTORY) {
            event->u.profile.numbers[0] = (double)value;
        } else {
            memcpy(to, &value, sizeof value);
        }
        return true;
    }
    case KIND_ITEMS: return read_items(decoder, node, event);
    case KIND_AVAILABLE: return read_available(decoder, node, field, event);
    case KIND_STATUS: return read_status(decoder, node, event);
    case KIND_BOOL: return read_bool(decoder, node, "detail.paymentMethodOnFile", to, event);
    case KIND_OPT_OUT: return read_opt_out(decoder, node, event);
    }
    return false;
}

static bool read_fields(struct cw_decoder *decoder, const uint32_t at[NAME_COUNT],
                        struct cw_event *event)
{
    enum cw_event_type type = event->type;
    for (uint32_t row = decoder->type_fields[type]; row < decoder->type_fields[type + 1]; row++) {
        const struct field *field = &fields[row];
        uint32_t node = at[field->name];
        struct cw_view name = names[field->name];
        if (node == CW_JSON_NONE) {
            if (field->required) {
                return refuse(decoder, event, "detail.%.*s is missing", (int)name.bytes, name.data);
            }
            continue;
        }
        if (decoder->doc.nodes[node].type == CW_JSON_NULL) {
            if (field->required) {
                return refuse(decoder, event, "detail.%.*s is null", (int)name.bytes, name.data);
            }
            if (field->profile == CW_PROFILE_OPT_OUT_EMAIL) {
                event->u.profile.removed |= 7u << CW_PROFILE_OPT_OUT_EMAIL;
            } else if (field->profile >= 0) {
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

static enum cw_event_type type_of(const struct cw_event_names *known, struct cw_view source,
                                  struct cw_view type)
{
    for (uint32_t i = 0; i < CW_EVENT_TYPE_COUNT; i++) {
        if (cw_view_equal(known->of[i].type, type) && cw_view_equal(known->of[i].source, source)) {
            return (enum cw_event_type)i;
        }
    }
    return CW_EVENT_UNKNOWN;
}

/* A messaging event names no customer: its message id begins with the partition, as 4 hex digits
   (identity.h). Anything else belongs to nobody and may be counted anywhere. */
static uint32_t partition_of_message(struct cw_view id, uint32_t partitions)
{
    uint32_t value = 0;
    for (uint32_t i = 0; i < 4; i++) {
        char c = i < id.bytes ? id.data[i] : '0';
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                                                : 0;
        value = value * 16 + digit;
    }
    return value & (partitions - 1);
}

static void route(const struct cw_decoder *decoder, struct cw_event *event)
{
    uint32_t partitions = decoder->options.partitions;
    if (event->customer.data != NULL) {
        event->partition = cw_partition(event->customer, partitions);
    } else if (event->type >= CW_EVENT_DELIVERED && event->type <= CW_EVENT_UNSUBSCRIBED) {
        event->partition = partition_of_message(event->u.message.id, partitions);
    }
}

/* Which programs want this event: a pattern of theirs matches, on the bus it names. */
static uint64_t match(struct cw_decoder *decoder, struct cw_view bus)
{
    const struct cw_programs *programs = decoder->options.programs;
    struct cw_pattern_matches matches;
    cw_pattern_match(programs->patterns, decoder->scratch, &decoder->doc, &matches);
    uint64_t wanted = 0;
    for (uint32_t i = 0; i < programs->count; i++) {
        const struct cw_program *program = &programs->list[i];
        for (uint32_t s = 0; s < program->source_count && program->enabled; s++) {
            uint32_t pattern = program->sources[s].pattern;
            struct cw_view own = program->sources[s].bus;
            own = own.data != NULL ? own : CW_VIEW("default"); /* as EventBridge calls it */
            bool bus_fits = bus.data == NULL || cw_view_equal(bus, own);
            if (bus_fits && (matches.words[pattern / 64] >> (pattern % 64) & 1u) != 0) {
                wanted |= UINT64_C(1) << i;
            }
        }
    }
    return wanted;
}

/* The envelope: source, detail-type, detail; id, time and bus when they are there. */
static bool read_envelope(struct cw_decoder *decoder, const uint32_t at[NAME_COUNT],
                          struct cw_view *type, struct cw_view *bus, struct cw_event *event)
{
    if (absent(decoder, at[NAME_source]) || absent(decoder, at[NAME_detail_type]) ||
        absent(decoder, at[NAME_detail])) {
        return refuse(decoder, event, "%s is missing",
                      absent(decoder, at[NAME_source])        ? "source"
                      : absent(decoder, at[NAME_detail_type]) ? "detail-type"
                                                              : "detail");
    }
    if (!read_id(decoder, at[NAME_source], "", names[NAME_source], &event->source, event) ||
        !read_id(decoder, at[NAME_detail_type], "", names[NAME_detail_type], type, event)) {
        return false;
    }
    if (decoder->doc.nodes[at[NAME_detail]].type != CW_JSON_OBJECT) {
        return refuse(decoder, event, "detail is not an object");
    }
    if (!absent(decoder, at[NAME_id]) &&
        !read_id(decoder, at[NAME_id], "", names[NAME_id], &event->id, event)) {
        return false;
    }
    static const struct field bus_field = {0,   NAME_eventBusName, KIND_STRING, false, 0, -1, 1,
                                           1600};
    return absent(decoder, at[NAME_eventBusName]) ||
           read_text(decoder, at[NAME_eventBusName], "", &bus_field, bus, event);
}

static bool read_times(struct cw_decoder *decoder, uint32_t envelope, uint32_t own,
                       struct cw_event *event)
{
    event->time = CW_TIME_NONE;
    if (!absent(decoder, envelope) && !read_time(decoder, envelope, "time", &event->time, event)) {
        return false;
    }
    return absent(decoder, own) || read_time(decoder, own, "detail.timestamp", &event->time, event);
}

static bool decode(struct cw_decoder *decoder, struct cw_view text, struct cw_event *event)
{
    enum cw_json_status status =
        cw_json_parse(decoder->parser, text.data, text.bytes, &decoder->doc);
    decoder->parsed = status == CW_JSON_PARSE_OK;
    if (!decoder->parsed) {
        return refuse(decoder, event, "malformed JSON near byte %u: %s", decoder->doc.error_offset,
                      cw_json_status_text(status));
    }
    if (decoder->doc.nodes[0].type != CW_JSON_OBJECT) {
        return refuse(decoder, event, "an event is a JSON object");
    }
    uint32_t at[NAME_COUNT];
    struct cw_view type = {0};
    struct cw_view bus = {0};
    locate(decoder, 0, at);
    if (!read_envelope(decoder, at, &type, &bus, event)) {
        return false;
    }
    uint32_t envelope_time = at[NAME_time];
    locate(decoder, at[NAME_detail], at);
    enum cw_event_type known = type_of(decoder->options.names, event->source, type);
    bool timed = read_times(decoder, envelope_time, at[NAME_timestamp], event);
    if (known == CW_EVENT_UNKNOWN) {
        event->type = CW_EVENT_UNKNOWN; /* whatever its times look like */
        event->time = timed ? event->time : CW_TIME_NONE;
        return true;
    }
    if (!timed) {
        return false;
    }
    if (event->time == CW_TIME_NONE) {
        return refuse(decoder, event, "neither time nor detail.timestamp says when it happened");
    }
    event->type = known;
    if (known == CW_EVENT_CART_ABANDONED || known == CW_EVENT_CART_UPDATED) {
        event->u.abandoned.value = NAN;
        event->u.abandoned.discount_sensitivity = NAN;
        event->u.abandoned.item_count = -1;
        if (known == CW_EVENT_CART_UPDATED && decoder->sessions) {
            event->u.abandoned.raw = text;
        }
    }
    if (!read_fields(decoder, at, event)) {
        return false;
    }
    route(decoder, event);
    if (known == CW_EVENT_CART_ABANDONED && decoder->options.programs != NULL) {
        event->programs = match(decoder, bus);
    }
    return true;
}

void cw_decode(struct cw_decoder *decoder, struct cw_view text, struct cw_event *event)
{
    memset(event, 0, sizeof *event);
    event->time = CW_TIME_NONE;
    event->clock = CW_TIME_NONE;
    if (!decode(decoder, text, event)) {
        event->partition = 0;
        event->time = CW_TIME_NONE;
    }
}
