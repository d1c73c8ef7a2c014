#include "core/hash.h"
#include "tests/pipeline/decode_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <math.h>

static struct decoding d;

static void setup(void)
{
    decoding_open(&d);
}

static void teardown(void)
{
    decoding_close(&d);
}

TestSuite(decode, .init = setup, .fini = teardown);

/* The short names of the table below, as source and detail-type. */
static const struct {
    const char *source, *type;
} named[CW_EVENT_TYPE_COUNT] = {

#define CW_X(name, source, type) [CW_EVENT_##name] = {source, type},
    CW_EVENT_TYPES(CW_X)
#undef CW_X
};

static const struct cw_event *detail(enum cw_event_type type, const char *text)
{
    return decode_detail(&d, named[type].source, named[type].type, text);
}

#define ID128                                                          \
    "0123456789012345678901234567890123456789012345678901234567890123" \
    "0123456789012345678901234567890123456789012345678901234567890123"
#define CART        "\"customerId\":\"c\",\"cartId\":\"k\""
#define ABAND       CART ",\"cartValue\":1,\"items\":[]"
#define ITEM        "\"id\":\"i\",\"name\":\"n\",\"price\":2"
#define ITEMS(item) CART ",\"cartValue\":1,\"items\":[" item "]"
#define ORDER       "\"customerId\":\"c\",\"orderId\":\"o\",\"orderValue\":9"
#define WHO         "\"customerId\":\"c\""
#define STOCK       "\"productId\":\"p\""

/* What each type takes and refuses: reason NULL is accepted. */
static const struct {
    enum cw_event_type type;
    const char *detail, *reason;
} rows[] = {
    {CW_EVENT_CART_ABANDONED, ABAND, NULL},
    {CW_EVENT_CART_ABANDONED, "\"cartId\":\"k\",\"cartValue\":1,\"items\":[]",
     "detail.customerId is missing"},
    {CW_EVENT_CART_ABANDONED, "\"customerId\":null,\"cartId\":\"k\",\"cartValue\":1,\"items\":[]",
     "detail.customerId is null"},
    {CW_EVENT_CART_ABANDONED, "\"customerId\":1,\"cartId\":\"k\",\"cartValue\":1,\"items\":[]",
     "detail.customerId is not a string"},
    {CW_EVENT_CART_ABANDONED, "\"customerId\":\"\",\"cartId\":\"k\",\"cartValue\":1,\"items\":[]",
     "detail.customerId has 0 bytes, an id has 1 to 128"},
    {CW_EVENT_CART_ABANDONED,
     "\"customerId\":\"" ID128 "\",\"cartId\":\"" ID128 "\",\"cartValue\":1,\"items\":[]", NULL},
    {CW_EVENT_CART_ABANDONED,
     "\"customerId\":\"c\",\"cartId\":\"x" ID128 "\",\"cartValue\":1,\"items\":[]",
     "detail.cartId has 129 bytes, an id has 1 to 128"},
    {CW_EVENT_CART_ABANDONED,
     "\"customerId\":\"a\\u0000b\",\"cartId\":\"k\",\"cartValue\":1,\"items\":[]",
     "detail.customerId holds U+0000"},
    {CW_EVENT_CART_ABANDONED, "\"customerId\":\"c\",\"cartValue\":1,\"items\":[]",
     "detail.cartId is missing"},
    {CW_EVENT_CART_ABANDONED, CART ",\"items\":[]", "detail.cartValue is missing"},
    {CW_EVENT_CART_ABANDONED, CART ",\"cartValue\":\"1\",\"items\":[]",
     "detail.cartValue is not a number"},
    {CW_EVENT_CART_ABANDONED, CART ",\"cartValue\":-0.01,\"items\":[]",
     "detail.cartValue is not between 0 and 1e+12"},
    {CW_EVENT_CART_ABANDONED, CART ",\"cartValue\":1000000000000.01,\"items\":[]",
     "detail.cartValue is not between 0 and 1e+12"},
    {CW_EVENT_CART_ABANDONED, CART ",\"cartValue\":1e999,\"items\":[]",
     "detail.cartValue is not between 0 and 1e+12"},
    {CW_EVENT_CART_ABANDONED, CART ",\"cartValue\":1e12,\"items\":[]", NULL},
    {CW_EVENT_CART_ABANDONED, CART ",\"cartValue\":-0.0,\"items\":[]", NULL},
    {CW_EVENT_CART_ABANDONED, CART ",\"cartValue\":1", "detail.items is missing"},
    {CW_EVENT_CART_ABANDONED, CART ",\"cartValue\":1,\"items\":{}", "detail.items is not a list"},
    {CW_EVENT_CART_ABANDONED, ITEMS("1"), "detail.items[0] is not an object"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{" ITEM "},[]"), "detail.items[1] is not an object"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{\"name\":\"n\",\"price\":2}"),
     "detail.items[0].id is missing"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{\"id\":7,\"name\":\"n\",\"price\":2}"),
     "detail.items[0].id is not a string"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{" ITEM "},{\"id\":\"i\",\"price\":2}"),
     "detail.items[1].name is missing"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{\"id\":\"i\",\"name\":\"n\",\"price\":null}"),
     "detail.items[0].price is missing"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{\"id\":\"i\",\"name\":\"n\",\"price\":-1}"),
     "detail.items[0].price is not between 0 and 1e+12"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{\"id\":\"i\",\"name\":[],\"price\":1}"),
     "detail.items[0].name is not a string"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{" ITEM ",\"quantity\":0}"),
     "detail.items[0].quantity is not a whole number between 1 and 1e+06"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{" ITEM ",\"quantity\":1.5}"),
     "detail.items[0].quantity is not a whole number between 1 and 1e+06"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{" ITEM ",\"quantity\":1000001}"),
     "detail.items[0].quantity is not a whole number between 1 and 1e+06"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{" ITEM ",\"quantity\":\"2\"}"),
     "detail.items[0].quantity is not a whole number between 1 and 1e+06"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{" ITEM ",\"quantity\":1e6}"), NULL},
    {CW_EVENT_CART_ABANDONED, ITEMS("{" ITEM ",\"quantity\":null,\"imageUrl\":null}"), NULL},
    {CW_EVENT_CART_ABANDONED, ITEMS("{" ITEM ",\"imageUrl\":1}"),
     "detail.items[0].imageUrl is not a string"},
    {CW_EVENT_CART_ABANDONED, ITEMS("{" ITEM ",\"category\":false}"),
     "detail.items[0].category is not a string"},
    {CW_EVENT_CART_ABANDONED, ABAND ",\"itemCount\":-1",
     "detail.itemCount is not a whole number between 0 and 1e+06"},
    {CW_EVENT_CART_ABANDONED, ABAND ",\"itemCount\":2.0", NULL},
    {CW_EVENT_CART_ABANDONED, ABAND ",\"currency\":\"usd\"",
     "detail.currency is not three capital letters as in ISO 4217"},
    {CW_EVENT_CART_ABANDONED, ABAND ",\"currency\":\"USDX\"",
     "detail.currency is not three capital letters as in ISO 4217"},
    {CW_EVENT_CART_ABANDONED, ABAND ",\"currency\":5",
     "detail.currency is not three capital letters as in ISO 4217"},
    {CW_EVENT_CART_ABANDONED, ABAND ",\"currency\":null", NULL},
    {CW_EVENT_CART_ABANDONED, ABAND ",\"marketplace\":\"\"",
     "detail.marketplace has 0 bytes, allowed are 1 to 16"},
    {CW_EVENT_CART_ABANDONED, ABAND ",\"marketplace\":\"12345678901234567\"",
     "detail.marketplace has 17 bytes, allowed are 1 to 16"},
    {CW_EVENT_CART_ABANDONED, ABAND ",\"discountSensitivity\":1.01",
     "detail.discountSensitivity is not between 0 and 1"},
    {CW_EVENT_CART_ABANDONED, ABAND ",\"cartUrl\":1", "detail.cartUrl is not a string"},
    {CW_EVENT_CART_ABANDONED, ABAND ",\"abandonmentReason\":{}",
     "detail.abandonmentReason is not a string"},
    {CW_EVENT_CART_ABANDONED, ABAND ",\"category\":[]", "detail.category is not a string"},
    {CW_EVENT_CART_UPDATED, CART, NULL},
    {CW_EVENT_CART_UPDATED, CART ",\"cartValue\":null,\"items\":null", NULL},
    {CW_EVENT_CART_UPDATED, CART ",\"cartValue\":-1",
     "detail.cartValue is not between 0 and 1e+12"},
    {CW_EVENT_CART_UPDATED, "\"customerId\":\"c\"", "detail.cartId is missing"},
    {CW_EVENT_CART_CLEARED, CART, NULL},
    {CW_EVENT_CART_CLEARED, "\"customerId\":\"c\",\"cartId\":[]", "detail.cartId is not a string"},
    {CW_EVENT_ORDER_PLACED, ORDER, NULL},
    {CW_EVENT_ORDER_PLACED, "\"customerId\":\"c\",\"orderValue\":9", "detail.orderId is missing"},
    {CW_EVENT_ORDER_PLACED, "\"customerId\":\"c\",\"orderId\":\"o\"",
     "detail.orderValue is missing"},
    {CW_EVENT_ORDER_PLACED, ORDER ",\"cartId\":5", "detail.cartId is not a string"},
    {CW_EVENT_ORDER_PLACED, ORDER ",\"cartId\":null", NULL},
    {CW_EVENT_ORDER_PLACED, ORDER ",\"discountAmount\":-1",
     "detail.discountAmount is not between 0 and 1e+12"},
    {CW_EVENT_ORDER_PLACED, ORDER ",\"discountCode\":1", "detail.discountCode is not a string"},
    {CW_EVENT_ORDER_REFUNDED, "\"customerId\":\"c\",\"orderId\":\"o\",\"amount\":3", NULL},
    {CW_EVENT_ORDER_REFUNDED, "\"customerId\":\"c\",\"orderId\":\"o\"", "detail.amount is missing"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO, NULL},
    {CW_EVENT_CUSTOMER_UPDATED, "\"name\":\"x\"", "detail.customerId is missing"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO ",\"name\":1", "detail.name is not a string"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO ",\"locale\":\"123456789012345678901234567890123456\"",
     "detail.locale has 36 bytes, allowed are 0 to 35"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO ",\"timezone\":\"Europe/Nowhere\"",
     "detail.timezone is not an IANA time zone that exists"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO ",\"timezone\":7",
     "detail.timezone is not an IANA time zone that exists"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO ",\"accountStatus\":\"Active\"",
     "detail.accountStatus is none of active, suspended, closed"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO ",\"paymentMethodOnFile\":1",
     "detail.paymentMethodOnFile is neither true nor false"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO ",\"optedOut\":\"yes\"",
     "detail.optedOut is neither true nor false"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO ",\"optedOut\":{\"sms\":0}",
     "detail.optedOut.sms is neither true nor false"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO ",\"purchaseHistory\":1.5",
     "detail.purchaseHistory is not a whole number between 0 and 1e+09"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO ",\"avgOrderValue\":true",
     "detail.avgOrderValue is not a number"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO ",\"cartAbandonmentRate\":1.5",
     "detail.cartAbandonmentRate is not between 0 and 1"},
    {CW_EVENT_CUSTOMER_UPDATED, WHO ",\"emailEngagement\":-1",
     "detail.emailEngagement is not between 0 and 1"},
    {CW_EVENT_CUSTOMER_ERASED, WHO, NULL},
    {CW_EVENT_CUSTOMER_ERASED, "", "detail.customerId is missing"},
    {CW_EVENT_INVENTORY_CHANGED, STOCK ",\"available\":0", NULL},
    {CW_EVENT_INVENTORY_CHANGED, STOCK, "detail.available is missing"},
    {CW_EVENT_INVENTORY_CHANGED, STOCK ",\"available\":-1",
     "detail.available is not a whole number between 0 and 1e+12"},
    {CW_EVENT_INVENTORY_CHANGED, STOCK ",\"available\":\"5\"",
     "detail.available is not a whole number between 0 and 1e+12"},
    {CW_EVENT_INVENTORY_CHANGED, "\"available\":1", "detail.productId is missing"},
    {CW_EVENT_DELIVERED, "\"messageId\":\"0001\"", NULL},
    {CW_EVENT_BOUNCED, "\"messageId\":\"0001\",\"reason\":\"full\"", NULL},
    {CW_EVENT_OPENED, "\"messageId\":\"0001\",\"reason\":1", "detail.reason is not a string"},
    {CW_EVENT_CLICKED, "", "detail.messageId is missing"},
    {CW_EVENT_COMPLAINED, "\"messageId\":{}", "detail.messageId is not a string"},
    {CW_EVENT_UNSUBSCRIBED, "\"messageId\":\"\"",
     "detail.messageId has 0 bytes, an id has 1 to 128"},
    {CW_EVENT_FEEDBACK, WHO ",\"rating\":5", NULL},
    {CW_EVENT_FEEDBACK, WHO ",\"rating\":6", "detail.rating is not a whole number between 1 and 5"},
    {CW_EVENT_FEEDBACK, WHO, "detail.rating is missing"},
};

Test(decode, every_type_takes_and_refuses_what_it_must)
{
    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        const struct cw_event *event = detail(rows[i].type, rows[i].detail);
        bool refused = event->type == CW_EVENT_INVALID;
        cr_assert(refused == (rows[i].reason != NULL), "row %zu: %s: %.*s", i, rows[i].detail,
                  refused ? (int)event->u.invalid.reason.bytes : 0,
                  refused ? event->u.invalid.reason.data : "");
        cr_assert(eq(i64, event->clock, CW_TIME_NONE));
        if (refused) {
            cr_assert(view_is(event->u.invalid.reason, rows[i].reason), "row %zu: %.*s", i,
                      (int)event->u.invalid.reason.bytes, event->u.invalid.reason.data);
            cr_assert(eq(i64, event->time, CW_TIME_NONE));
            cr_assert(eq(ptr, (void *)event->u.invalid.file.data, NULL));
            cr_assert(eq(u64, event->u.invalid.line, 0));
            cr_assert(eq(u32, event->partition, 0));
        } else {
            cr_assert(eq(int, event->type, rows[i].type), "row %zu", i);
            cr_assert(eq(i64, event->time, DECODING_MS));
            cr_assert(view_is(event->id, "e-1"));
            cr_assert(view_is(event->source, named[rows[i].type].source));
        }
    }
}

Test(decode, an_abandonment_has_all_its_fields)
{
    const struct cw_event *event = detail(
        CW_EVENT_CART_ABANDONED,
        "\"customerId\":\"c-1\",\"cartId\":\"k-1\",\"cartValue\":150.50,\"itemCount\":4,"
        "\"items\":[{\"id\":\"a\",\"name\":\"A\",\"price\":50},{\"id\":\"b\",\"name\":\"\","
        "\"price\":0.5,\"quantity\":3,\"imageUrl\":\"https://i\",\"category\":\"Toys\"}],"
        "\"currency\":\"EUR\",\"abandonmentReason\":\"r\",\"marketplace\":\"DE\",\"cartUrl\":"
        "\"https://u\",\"category\":\"C\",\"discountSensitivity\":0.25,\"other\":{\"items\":1}");
    const struct cw_event_cart *cart = &event->u.abandoned;
    cr_assert(eq(int, event->type, CW_EVENT_CART_ABANDONED));
    cr_assert(view_is(event->customer, "c-1"));
    cr_assert(view_is(event->cart, "k-1"));
    cr_assert(eq(dbl, cart->value, 150.5));
    cr_assert(eq(i64, cart->item_count, 4));
    cr_assert(eq(dbl, cart->discount_sensitivity, 0.25));
    cr_assert(view_is(cart->currency, "EUR"));
    cr_assert(view_is(cart->reason, "r"));
    cr_assert(view_is(cart->marketplace, "DE"));
    cr_assert(view_is(cart->url, "https://u"));
    cr_assert(view_is(cart->category, "C"));
    cr_assert(cart->has_items);
    cr_assert(eq(u32, cart->items_count, 2));
    cr_assert(view_is(cart->items[0].id, "a"));
    cr_assert(eq(u32, cart->items[0].quantity, 1));
    cr_assert(view_is(cart->items[0].image_url, NULL));
    cr_assert(view_is(cart->items[1].name, ""));
    cr_assert(eq(u32, cart->items[1].quantity, 3));
    cr_assert(view_is(cart->items[1].image_url, "https://i"));
    cr_assert(view_is(cart->items[1].category, "Toys"));
    cr_assert(eq(u32, event->partition, cw_partition(CW_VIEW("c-1"), 256)));
    cr_assert(eq(ptr, (void *)cart->raw.data, NULL), "nobody watches sessions");
    event = detail(CW_EVENT_CART_UPDATED, CART);
    cr_assert(isnan(event->u.abandoned.value) && isnan(event->u.abandoned.discount_sensitivity));
    cr_assert(eq(i64, event->u.abandoned.item_count, -1));
    cr_assert(not(event->u.abandoned.has_items));
}

Test(decode, the_number_of_items_is_bounded)
{
    static char text[60000];
    for (uint32_t count = 999; count <= 1001; count++) {
        int bytes = snprintf(text, sizeof text, CART ",\"cartValue\":1,\"items\":[");
        for (uint32_t i = 0; i < count; i++) {
            bytes += snprintf(text + bytes, sizeof text - (size_t)bytes, "%s{" ITEM "}",
                              i == 0 ? "" : ",");
        }
        (void)snprintf(text + bytes, sizeof text - (size_t)bytes, "]");
        const struct cw_event *event = detail(CW_EVENT_CART_ABANDONED, text);
        if (count <= CW_ITEMS_MAX) {
            cr_assert(eq(u32, event->u.abandoned.items_count, count));
        } else {
            cr_assert(
                view_is(event->u.invalid.reason, "detail.items has 1001 items, the most is 1000"));
        }
    }
}

Test(decode, a_profile_tells_and_removes)
{
    const struct cw_event *event =
        detail(CW_EVENT_CUSTOMER_UPDATED,
               WHO ",\"name\":\"N\",\"email\":null,\"phone\":\"\",\"timezone\":\"Europe/Berlin\","
                   "\"accountStatus\":\"closed\",\"paymentMethodOnFile\":true,\"purchaseHistory\":"
                   "7,\"avgOrderValue\":null,\"emailEngagement\":0.5,"
                   "\"optedOut\":{\"email\":true,\"sms\":null,\"pigeon\":1}");
    const struct cw_event_profile *profile = &event->u.profile;
#define BIT(name) (1u << CW_PROFILE_##name)
    cr_assert(eq(u32, profile->told,
                 BIT(NAME) | BIT(PHONE) | BIT(TIMEZONE) | BIT(ACCOUNT_STATUS) |
                     BIT(PAYMENT_METHOD) | BIT(PURCHASE_HISTORY) | BIT(EMAIL_ENGAGEMENT) |
                     BIT(OPT_OUT_EMAIL)));
    cr_assert(eq(u32, profile->removed, BIT(EMAIL) | BIT(AVG_ORDER_VALUE) | BIT(OPT_OUT_SMS)));
    cr_assert(view_is(profile->strings[CW_PROFILE_NAME], "N"));
    cr_assert(view_is(profile->strings[CW_PROFILE_PHONE], ""));
    cr_assert(eq(int, profile->account_status, CW_ACCOUNT_CLOSED));
    cr_assert(profile->payment_method && profile->opted_out[CW_CHANNEL_EMAIL]);
    cr_assert(eq(dbl, profile->numbers[0], 7));
    event = detail(CW_EVENT_CUSTOMER_UPDATED, WHO ",\"optedOut\":true");
    cr_assert(
        eq(u32, event->u.profile.told, BIT(OPT_OUT_EMAIL) | BIT(OPT_OUT_SMS) | BIT(OPT_OUT_PUSH)));
    cr_assert(event->u.profile.opted_out[CW_CHANNEL_PUSH]);
    event = detail(CW_EVENT_CUSTOMER_UPDATED, WHO ",\"optedOut\":null");
    cr_assert(eq(u32, event->u.profile.told, 0));
    cr_assert(eq(u32, event->u.profile.removed,
                 BIT(OPT_OUT_EMAIL) | BIT(OPT_OUT_SMS) | BIT(OPT_OUT_PUSH)));
}

Test(decode, stock_is_a_count_or_a_bool)
{
    static const struct {
        const char *available;
        int64_t count;
    } stocks[] = {
        {"0", 0}, {"3.0", 3}, {"1e12", 1000000000000}, {"true", CW_AVAILABLE_ALWAYS}, {"false", 0}};

    for (size_t i = 0; i < CW_COUNTOF(stocks); i++) {
        char text[64];
        (void)snprintf(text, sizeof text, STOCK ",\"available\":%s", stocks[i].available);
        const struct cw_event *event = detail(CW_EVENT_INVENTORY_CHANGED, text);
        cr_assert(eq(i64, event->u.product.available, stocks[i].count));
        cr_assert(view_is(event->customer, NULL));
    }
}

Test(decode, escapes_mean_what_they_stand_for_in_keys_and_values)
{
    const struct cw_event *event =
        detail(CW_EVENT_CART_CLEARED, "\"customer\\u0049d\":\"\\u0063\\u00e9\\ud83d\\ude00\","
                                      "\"\\u0063artId\":\"k\\\"\\\\\\n\"");
    cr_assert(eq(int, event->type, CW_EVENT_CART_CLEARED));
    cr_assert(view_is(event->customer, "c\xc3\xa9\xf0\x9f\x98\x80"));
    cr_assert(view_is(event->cart, "k\"\\\n"));
    /* The bound on bytes counts what escapes mean: 64 times two bytes. */
    char text[2048];
    int bytes = snprintf(text, sizeof text, "\"cartId\":\"k\",\"customerId\":\"");
    for (uint32_t i = 0; i < 64; i++) {
        bytes += snprintf(text + bytes, sizeof text - (size_t)bytes, "\\u00e9");
    }
    (void)snprintf(text + bytes, sizeof text - (size_t)bytes, "\"");
    event = detail(CW_EVENT_CART_CLEARED, text);
    cr_assert(eq(u32, event->customer.bytes, 128));
}

Test(decode, of_a_key_that_comes_twice_the_last_stands)
{
    const struct cw_event *event =
        detail(CW_EVENT_CART_CLEARED,
               "\"customerId\":7,\"cartId\":\"a\",\"cart\\u0049d\":\"b\",\"customerId\":\"c\"");
    cr_assert(view_is(event->customer, "c"));
    cr_assert(view_is(event->cart, "b"));
    event = decode_text(&d, "{\"source\":\"x\",\"source\":\"ecommerce.cart\",\"detail\":1,"
                            "\"detail-type\":\"CartCleared\",\"time\":\"" DECODING_TIME
                            "\",\"detail\":{" CART "}}");
    cr_assert(eq(int, event->type, CW_EVENT_CART_CLEARED));
    event = detail(CW_EVENT_CART_CLEARED, CART ",\"cartId\":null");
    cr_assert(view_is(event->u.invalid.reason, "detail.cartId is null"));
}

Test(decode, views_point_into_the_text_or_the_arena)
{
    const struct cw_event *event =
        detail(CW_EVENT_CART_CLEARED, "\"customerId\":\"plain\",\"cartId\":\"esc\\u0061ped\"");
    cr_assert(event->customer.data >= d.text && event->customer.data < d.text + d.bytes);
    cr_assert(not(event->cart.data >= d.text && event->cart.data < d.text + d.bytes));
    memset(d.text, '?', d.bytes);
    cr_assert(view_is(event->cart, "escaped"), "the arena does not depend on the text");
    /* Without an arena of the caller's its own, until reset. */
    cw_decoder_put_in(d.decoder, NULL);
    event = detail(CW_EVENT_CART_CLEARED, "\"customerId\":\"plain\",\"cartId\":\"esc\\u0061ped\"");
    cr_assert(view_is(event->cart, "escaped"));
    cw_decoder_reset(d.decoder);
    size_t mapped = d.arena.mapped_bytes;
    for (uint32_t i = 0; i < 100; i++) {
        (void)detail(CW_EVENT_CART_CLEARED, "\"customerId\":\"p\\u0061\",\"cartId\":\"\\u0061\"");
        cw_decoder_reset(d.decoder);
    }
    cr_assert(eq(sz, d.arena.mapped_bytes, mapped));
}

#define ENVELOPE(rest) "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartCleared\"" rest "}"
#define CLEARED        ",\"detail\":{" CART "}"
#define NO_TIME        " is not a time as in RFC 3339, such as 2026-01-18T16:45:00Z"

static const struct {
    const char *text, *reason; /* NULL: accepted */
    int64_t time;
} envelopes[] = {
    {"", "malformed JSON near byte 0: there is no JSON value", 0},
    {"[]", "an event is a JSON object", 0},
    {"1", "an event is a JSON object", 0},
    {"{}", "source is missing", 0},
    {"{\"source\":\"a\"}", "detail-type is missing", 0},
    {"{\"source\":\"a\",\"detail-type\":\"b\"}", "detail is missing", 0},
    {"{\"source\":\"a\",\"detail-type\":\"b\",\"detail\":null}", "detail is missing", 0},
    {"{\"source\":null,\"detail-type\":\"b\",\"detail\":{}}", "source is missing", 0},
    {"{\"source\":1,\"detail-type\":\"b\",\"detail\":{}}", "source is not a string", 0},
    {"{\"source\":\"\",\"detail-type\":\"b\",\"detail\":{}}",
     "source has 0 bytes, an id has 1 to 128", 0},
    {"{\"source\":\"a\",\"detail-type\":[],\"detail\":{}}", "detail-type is not a string", 0},
    {"{\"source\":\"a\",\"detail-type\":\"b\",\"detail\":\"{}\"}", "detail is not an object", 0},
    {ENVELOPE(CLEARED), "neither time nor detail.timestamp says when it happened", 0},
    {ENVELOPE(",\"time\":null" CLEARED), "neither time nor detail.timestamp says when it happened",
     0},
    {ENVELOPE(",\"time\":\"2026-01-18 16:45:00\"" CLEARED), "time" NO_TIME, 0},
    {ENVELOPE(",\"time\":1768754700" CLEARED), "time" NO_TIME, 0},
    {ENVELOPE(",\"time\":\"" DECODING_TIME "\",\"detail\":{" CART ",\"timestamp\":\"now\"}"),
     "detail.timestamp" NO_TIME, 0},
    {ENVELOPE(",\"time\":\"now\",\"detail\":{" CART ",\"timestamp\":\"" DECODING_TIME "\"}"),
     "time" NO_TIME, 0},
    {ENVELOPE(",\"time\":\"" DECODING_TIME "\",\"id\":7" CLEARED), "id is not a string", 0},
    {ENVELOPE(",\"time\":\"" DECODING_TIME "\",\"eventBusName\":\"\"" CLEARED),
     "eventBusName has 0 bytes, allowed are 1 to 1600", 0},
    {ENVELOPE(",\"time\":\"" DECODING_TIME "\",\"id\":null,\"eventBusName\":null" CLEARED), NULL,
     DECODING_MS},
    {ENVELOPE(",\"time\":\"2026-01-18T16:45:00.1239Z\"" CLEARED), NULL, DECODING_MS + 123},
    {ENVELOPE(",\"time\":\"2026-01-18T17:45:00+01:00\"" CLEARED), NULL, DECODING_MS},
    {ENVELOPE(",\"time\":\"2026-01-18T11:15:00.5-05:30\"" CLEARED), NULL, DECODING_MS + 500},
    {ENVELOPE(",\"time\":\"2026-01-18T16:4\\u0035:00Z\"" CLEARED), NULL, DECODING_MS},
    {ENVELOPE(",\"time\":\"2020-01-01T00:00:00Z\",\"detail\":{" CART
              ",\"timestamp\":\"" DECODING_TIME "\"}"),
     NULL, DECODING_MS},
    {ENVELOPE(",\"time\":\"" DECODING_TIME "\",\"detail\":{" CART ",\"timestamp\":null}"), NULL,
     DECODING_MS},
    {ENVELOPE(",\"detail\":{" CART ",\"timestamp\":\"1970-01-01T00:00:00Z\"}"), NULL, 0},
    {ENVELOPE(",\"time\":\"1969-12-31T23:59:59Z\"" CLEARED), "time" NO_TIME, 0},
};

Test(decode, envelopes_and_times_are_taken_or_refused_with_a_reason)
{
    for (size_t i = 0; i < CW_COUNTOF(envelopes); i++) {
        const struct cw_event *event = decode_text(&d, envelopes[i].text);
        if (envelopes[i].reason != NULL) {
            cr_assert(eq(int, event->type, CW_EVENT_INVALID), "%s", envelopes[i].text);
            cr_assert(view_is(event->u.invalid.reason, envelopes[i].reason), "%s: %.*s",
                      envelopes[i].text, (int)event->u.invalid.reason.bytes,
                      event->u.invalid.reason.data);
        } else {
            cr_assert(eq(int, event->type, CW_EVENT_CART_CLEARED), "%s", envelopes[i].text);
            cr_assert(eq(i64, event->time, envelopes[i].time), "%s", envelopes[i].text);
        }
    }
}

Test(decode, malformed_json_is_refused_with_its_place)
{
    static const struct {
        const char *text, *says;
    } texts[] = {
        {"{\"a\":1", "a comma, colon, bracket or value is missing or misplaced"},
        {"{\"a\":01}", "a number is malformed"},
        {"{\"a\":\"\xff\"}", "it is not valid UTF-8"},
        {"{\"a\":\"\\ud800\"}", "a string holds an escape that JSON does not have"},
        {"{\"a\":nul}", "a word is none of true, false and null"},
        {"{} {}", "there is something after the end of the value"},
    };

    for (size_t i = 0; i < CW_COUNTOF(texts); i++) {
        const struct cw_event *event = decode_text(&d, texts[i].text);
        cr_assert(eq(int, event->type, CW_EVENT_INVALID));
        char reason[CW_REASON_BYTES_MAX];
        (void)snprintf(reason, sizeof reason, "%.*s", (int)event->u.invalid.reason.bytes,
                       event->u.invalid.reason.data);
        cr_assert(ne(ptr, strstr(reason, texts[i].says), NULL), "%s", reason);
        cr_assert(eq(ptr, (void *)cw_decoder_document(d.decoder), NULL));
    }
    (void)decode_text(&d, "[]");
    cr_assert(ne(ptr, (void *)cw_decoder_document(d.decoder), NULL));
}

Test(decode, events_are_bounded_in_bytes_and_depth)
{
    static char text[CW_EVENT_BYTES_MAX + 2];
    const char *head = ENVELOPE(",\"time\":\"" DECODING_TIME "\"" CLEARED);
    size_t bytes = strlen(head);
    memset(text, ' ', sizeof text);
    memcpy(text, head, bytes);
    cr_assert(eq(int, decode_bytes(&d, text, CW_EVENT_BYTES_MAX)->type, CW_EVENT_CART_CLEARED));
    cr_assert(eq(int, decode_bytes(&d, text, CW_EVENT_BYTES_MAX + 1)->type, CW_EVENT_INVALID));
    for (uint32_t depth = 990; depth <= 1010; depth++) {
        char deep[2200] = "{\"a\":";
        size_t at = strlen(deep);
        memset(deep + at, '[', depth);
        memset(deep + at + depth, ']', depth);
        deep[at + 2 * depth] = '}';
        const struct cw_event *event = decode_bytes(&d, deep, at + 2 * depth + 1);
        bool too_deep = event->u.invalid.reason.bytes > 20;
        cr_assert(eq(int, event->type, CW_EVENT_INVALID));
        cr_assert(eq(int, too_deep, depth + 1 > CW_JSON_DEPTH_MAX));
    }
}

Test(decode, unknown_types_are_not_errors_whatever_their_times)
{
    static const struct {
        const char *time;
        int64_t ms;
    } times[] = {{"\"" DECODING_TIME "\"", DECODING_MS},
                 {"\"soon\"", CW_TIME_NONE},
                 {"5", CW_TIME_NONE},
                 {"null", CW_TIME_NONE}};

    for (size_t i = 0; i < CW_COUNTOF(times); i++) {
        char text[256];
        (void)snprintf(text, sizeof text,
                       "{\"source\":\"ecommerce.cart\",\"detail-type\":\"cartcleared\",\"time\":%s,"
                       "\"detail\":{\"customerId\":5}}",
                       times[i].time);
        const struct cw_event *event = decode_text(&d, text);
        cr_assert(eq(int, event->type, CW_EVENT_UNKNOWN));
        cr_assert(eq(i64, event->time, times[i].ms));
    }
}

Test(decode, a_message_goes_to_the_partition_its_id_begins_with)
{
    static const struct {
        const char *id;
        uint32_t partition;
    } ids[] = {{"0000abc", 0}, {"00ff", 255}, {"0a1b", 0x1b}, {"ffff", 255},
               {"7", 0},       {"00F0", 0},   {"zz12", 0x12}};

    for (size_t i = 0; i < CW_COUNTOF(ids); i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "\"messageId\":\"%s\"", ids[i].id);
        const struct cw_event *event = detail(CW_EVENT_OPENED, text);
        cr_assert(lt(u32, event->partition, 256));
        if (strlen(ids[i].id) >= 4) {
            cr_assert(eq(u32, event->partition, ids[i].partition), "%s", ids[i].id);
        }
    }
}

static uint64_t wanted(const char *bus)
{
    char text[512];
    (void)snprintf(text, sizeof text,
                   "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartAbandoned\",\"time\":"
                   "\"" DECODING_TIME "\"%s%s%s,\"detail\":{" ABAND "}}",
                   bus == NULL ? "" : ",\"eventBusName\":\"", bus == NULL ? "" : bus,
                   bus == NULL ? "" : "\"");
    const struct cw_event *event = decode_text(&d, text);
    cr_assert(eq(int, event->type, CW_EVENT_CART_ABANDONED));
    return event->programs;
}

#define BUS_PROGRAM(id, bus, tail)                                               \
    "programId: " id "\neventSources: [{config: {" bus "eventPattern: {source: " \
    "[ecommerce.cart]}}}]\nchannels: [{type: sms, config: {delayHours: 1.5, message: hi}}]\n" tail

Test(decode, an_event_reaches_the_programs_of_its_bus_one_without_all)
{
    static const char *const yamls[] = {
        BUS_PROGRAM("a", "eventBusName: one, ", ""), BUS_PROGRAM("b", "eventBusName: two, ", ""),
        BUS_PROGRAM("c", "", ""), BUS_PROGRAM("d", "eventBusName: one, ", "enabled: false\n")};
    struct cw_program_file files[4];
    for (uint32_t i = 0; i < 4; i++) {
        files[i] = (struct cw_program_file){.path = "p.yaml",
                                            .yaml = {yamls[i], (uint32_t)strlen(yamls[i])}};
    }
    struct cw_program_needs needs = fixture_needs(&d.f);
    cw_err err = cw_programs_load(&d.f.programs, files, 4, &needs, &d.f.problems, &d.f.fault);
    print_problems(&d.f);
    cr_assert(eq(int, err, CW_ERR_OK));
    decoding_reopen(&d, NULL);
    cr_assert(eq(u64, wanted(NULL), 7), "one that names none reaches all but what is off");
    cr_assert(eq(u64, wanted("one"), 1));
    cr_assert(eq(u64, wanted("two"), 2));
    cr_assert(eq(u64, wanted("default"), 4), "a source without a bus is on the default one");
    cr_assert(eq(u64, wanted("tw"), 0));
    cr_assert(eq(u64, wanted("o\\u006ee"), 1));
    /* Only abandonments are matched. */
    cr_assert(eq(u64, detail(CW_EVENT_CART_UPDATED, ABAND)->programs, 0));
}

Test(decode, the_text_of_updates_is_kept_where_sessions_are_watched)
{
    cr_assert(eq(int,
                 fixture_load(&d.f, BUS_PROGRAM("a", "",
                                                "abandonmentDetection: {sessionTimeoutMinutes: "
                                                "30}\n")),
                 CW_ERR_OK));
    decoding_reopen(&d, NULL);
    const struct cw_event *event = detail(CW_EVENT_CART_UPDATED, ABAND);
    cr_assert(eq(ptr, (void *)event->u.abandoned.raw.data, d.text));
    cr_assert(eq(u32, event->u.abandoned.raw.bytes, (uint32_t)d.bytes));
    cr_assert(eq(ptr, (void *)detail(CW_EVENT_CART_ABANDONED, ABAND)->u.abandoned.raw.data, NULL));
}

Test(decode, names_can_be_given_one_by_one)
{
    struct cw_event_names names = cw_event_names_default;
    names.of[CW_EVENT_CART_CLEARED].source = CW_VIEW("my.shop");
    names.of[CW_EVENT_CART_CLEARED].type = CW_VIEW("basket-gone");
    decoding_reopen(&d, &names);
    cr_assert(
        eq(int, decode_detail(&d, "my.shop", "basket-gone", CART)->type, CW_EVENT_CART_CLEARED));
    cr_assert(eq(int, detail(CW_EVENT_CART_CLEARED, CART)->type, CW_EVENT_UNKNOWN));
    cr_assert(eq(int, detail(CW_EVENT_CART_UPDATED, CART)->type, CW_EVENT_CART_UPDATED));
    cr_assert(eq(str, (char *)cw_event_type_name(CW_EVENT_CART_CLEARED), "CartCleared"));
}
