/*
 * event: one decoded event, flat, with views instead of copies.
 *
 * Made by cw_decode (decode.c) on the core that received the bytes, handed to the core that owns
 * the customer inside a batch, read by the stages. Views point into the batch that carries it.
 */
#ifndef CW_PIPELINE_EVENT_H
#define CW_PIPELINE_EVENT_H

#include "core/view.h"
#include "pipeline/program.h"

#define CW_ID_BYTES_MAX     128u
#define CW_ITEMS_MAX        1000u
#define CW_EVENT_BYTES_MAX  (1u << 20)
#define CW_AMOUNT_MAX       1e12
#define CW_AVAILABLE_ALWAYS INT64_MAX
#define CW_REASON_BYTES_MAX 160u

/* 9990-01-01: what follows an event, up to years later, must still be a time that can be written,
   so the last ten years before 10000 are refused. */
#define CW_EVENT_TIME_END INT64_C(253086768000000)

/* Which (source, detail-type) means which: the defaults, which an engine file can override. */
#define CW_EVENT_TYPES(X)                                           \
    X(CART_ABANDONED, "ecommerce.cart", "CartAbandoned")            \
    X(CART_UPDATED, "ecommerce.cart", "CartUpdated")                \
    X(CART_CLEARED, "ecommerce.cart", "CartCleared")                \
    X(ORDER_PLACED, "ecommerce.order", "OrderPlaced")               \
    X(ORDER_REFUNDED, "ecommerce.order", "OrderRefunded")           \
    X(CUSTOMER_UPDATED, "ecommerce.customer", "CustomerUpdated")    \
    X(CUSTOMER_ERASED, "ecommerce.customer", "CustomerErased")      \
    X(INVENTORY_CHANGED, "ecommerce.inventory", "InventoryChanged") \
    X(DELIVERED, "messaging", "Delivered")                          \
    X(BOUNCED, "messaging", "Bounced")                              \
    X(OPENED, "messaging", "Opened")                                \
    X(CLICKED, "messaging", "Clicked")                              \
    X(COMPLAINED, "messaging", "Complained")                        \
    X(UNSUBSCRIBED, "messaging", "Unsubscribed")                    \
    X(FEEDBACK, "messaging", "FeedbackReceived")

enum cw_event_type {
#define CW_X(name, source, type) CW_EVENT_##name,
    CW_EVENT_TYPES(CW_X)
#undef CW_X
    CW_EVENT_TYPE_COUNT,
    CW_EVENT_UNKNOWN = CW_EVENT_TYPE_COUNT, /* counted, ignored */
    CW_EVENT_INVALID,                       /* refused; `reason` says why */
    CW_EVENT_CLOCK                          /* no event: the clock moves to its `clock` */
};

/* The fields of a profile that CustomerUpdated may set or remove, each with a time of its own. */
#define CW_PROFILE_FIELDS(X) \
    X(NAME)                  \
    X(EMAIL)                 \
    X(PHONE)                 \
    X(PUSH_TOKEN)            \
    X(MARKETPLACE)           \
    X(TIMEZONE)              \
    X(LOCALE)                \
    X(ACCOUNT_STATUS)        \
    X(PAYMENT_METHOD)        \
    X(OPT_OUT_EMAIL)         \
    X(OPT_OUT_SMS)           \
    X(OPT_OUT_PUSH)          \
    X(PURCHASE_HISTORY)      \
    X(AVG_ORDER_VALUE)       \
    X(CART_ABANDONMENT_RATE) \
    X(EMAIL_ENGAGEMENT)      \
    X(DISCOUNT_SENSITIVITY)

enum cw_profile_field {
#define CW_X(name) CW_PROFILE_##name,
    CW_PROFILE_FIELDS(CW_X)
#undef CW_X
    CW_PROFILE_FIELD_COUNT
};

enum {
    CW_PROFILE_STRINGS = CW_PROFILE_LOCALE + 1, /* the first fields are strings */
    CW_PROFILE_NUMBERS = CW_PROFILE_FIELD_COUNT - CW_PROFILE_PURCHASE_HISTORY
};

enum cw_account_status {
    CW_ACCOUNT_ACTIVE,
    CW_ACCOUNT_SUSPENDED,
    CW_ACCOUNT_CLOSED
};

struct cw_event_item {
    struct cw_view id, name, image_url, category; /* the last two NULL when absent */
    double price;
    uint32_t quantity;
};

/* CartAbandoned and CartUpdated. */
struct cw_event_cart {
    double value;                /* NaN when absent (CartUpdated only) */
    double discount_sensitivity; /* NaN when absent */
    int64_t item_count;          /* -1 when absent */
    const struct cw_event_item *items;
    uint32_t items_count;
    bool has_items;
    struct cw_view currency, reason, marketplace, url, category; /* NULL when absent */
    struct cw_view raw; /* the whole event's text, when sessions are watched; else NULL */
};

struct cw_event_order {
    struct cw_view id, currency, discount_code;
    double value; /* or the refund's amount */
    double discount;
};

struct cw_event_profile {
    uint32_t told;    /* 1 << enum cw_profile_field: has a value */
    uint32_t removed; /* 1 << ...: is null */
    enum cw_account_status account_status;
    bool payment_method;
    bool opted_out[CW_CHANNEL_COUNT];
    struct cw_view strings[CW_PROFILE_STRINGS];
    double numbers[CW_PROFILE_NUMBERS];
};

struct cw_event {
    enum cw_event_type type;
    uint32_t partition;
    int64_t time;              /* the event's own, ms; CW_TIME_NONE only for UNKNOWN and INVALID */
    int64_t clock;             /* the clock at which it is processed */
    uint64_t programs;         /* bit per program of the set whose pattern and bus it matches */
    struct cw_view source, id; /* id NULL when it has none */
    struct cw_view customer;   /* NULL for products and messages */
    struct cw_view cart;       /* NULL where the event names none */

    union {
        struct cw_event_cart abandoned;
        struct cw_event_order order;
        struct cw_event_profile profile;

        struct {
            struct cw_view id;
            int64_t available;
        } product;

        struct {
            struct cw_view id, reason;
        } message;

        struct {
            int64_t rating;
        } feedback;

        struct {
            struct cw_view reason, file;
            uint64_t line;
        } invalid;

        struct {
            struct cw_view type; /* the detail-type that means nothing */
        } unknown;
    } u;
};

const char *cw_event_type_name(enum cw_event_type type);

#endif
