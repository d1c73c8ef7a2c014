/* Random streams of a small shop: few customers, carts and products, so that everything meets. */
#ifndef CW_TESTS_RANDOM_SHOP_H
#define CW_TESTS_RANDOM_SHOP_H

#include "tests/pipeline/shop_fixture.h"

/* Four programs that use all there is. */
#define RANDOM_FIRST                                                                          \
    "programId: first\n"                                                                      \
    "eventSources: [{config: {eventPattern: {source: [ecommerce.cart], detail: {cartValue: "  \
    "[10, 999999]}}}}]\n"                                                                     \
    "filterChain: [{filterId: t, type: trust, order: 1}, {filterId: e, type: eligibility, "   \
    "order: 2}, {filterId: c, type: business-rule, order: 3, parameters: {minCartValue: 20, " \
    "maxRecoveryEmailsPerWeek: 3, requireInStock: true}}]\n"                                  \
    "channels: [{channelId: e, type: email, config: {delayMinutes: 60, templateId: "          \
    "cart-recovery-v3, subject: S}}, {channelId: s, type: sms, config: {delayHours: 24, "     \
    "message: M}}, {channelId: p, type: push, config: {delayHours: 72, title: T, body: B "    \
    "today}}]\n"                                                                              \
    "discountStrategy: {defaultDiscount: 10, dynamicDiscounting: true, maxDiscount: 20}\n"    \
    "deduplication: {enabled: true, ttlDays: 3, keyFormat: "                                  \
    "\"{customerId}:{cartId}:{programId}\"}\n"

#define RANDOM_SECOND                                                                          \
    "programId: second\n"                                                                      \
    "eventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n"                   \
    "filterChain: [{filterId: t, type: trust, parameters: {allowUnknown: true, "               \
    "requirePaymentMethod: false}}, {filterId: e, type: eligibility}]\n"                       \
    "channels: [{channelId: a, type: sms, config: {delayMinutes: 10, message: M}}, "           \
    "{channelId: b, type: email, config: {delayMinutes: 10, templateId: offer, subject: S}}, " \
    "{channelId: c, type: sms, config: {delayHours: 30, message: \"{discountCode}\"}}]\n"      \
    "discountStrategy: {defaultDiscount: 5}\n"                                                 \
    "discountCodes: unique\n"                                                                  \
    "deduplication: {enabled: false}\n"                                                        \
    "candidateTTLDays: 2\n"                                                                    \
    "onNewCart: parallel\n"                                                                    \
    "onReabandon: update\n"                                                                    \
    "minGapMinutes: 90\n"                                                                      \
    "quietHours: {start: \"21:00\", end: \"08:30\"}\n"

#define RANDOM_THIRD                                                                         \
    "programId: third\n"                                                                     \
    "eventSources: [{config: {eventPattern: {source: [ecommerce.cart], detail-type: "        \
    "[CartAbandoned]}}}]\n"                                                                  \
    "filterChain: [{filterId: e, type: eligibility}, {filterId: m, type: business-rule, "    \
    "parameters: {maxRecoveryMessagesPerWeek: 4}}]\n"                                        \
    "channels: [{channelId: a, type: push, config: {delayMinutes: 5, title: T, body: B}}]\n" \
    "holdoutPercent: 30\n"                                                                   \
    "onReabandon: ignore\n"                                                                  \
    "candidateTTLDays: 9\n"                                                                  \
    "deduplication: {ttlDays: 20, keyFormat: \"{customerId}\"}\n"                            \
    "abandonmentDetection: {sessionTimeoutMinutes: 45}\n"

#define RANDOM_FOURTH                                                                       \
    "programId: fourth\n"                                                                   \
    "eventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n"                \
    "channels: [{channelId: a, type: email, config: {delayMinutes: 30, templateId: "        \
    "cart-recovery-v3, subject: S}}, {channelId: b, type: email, config: {delayHours: 20, " \
    "templateId: cart-recovery-v3, subject: S}}]\n"                                         \
    "onNewCart: parallel\n"                                                                 \
    "minGapMinutes: 0\n"                                                                    \
    "candidateTTLDays: 4\n"                                                                 \
    "deduplication: {ttlDays: 1, keyFormat: \"{customerId}:{cartId}\"}\n"                   \
    "abandonmentDetection: {sessionTimeoutMinutes: 2000}\n"

#define RANDOM_PROGRAMS                                          \
    {                                                            \
        RANDOM_FIRST, RANDOM_SECOND, RANDOM_THIRD, RANDOM_FOURTH \
    }

/* What a stream draws from. Set step_ms for how fast time goes. */
struct random_shop {
    struct shop *shop;
    uint64_t random;
    const uint8_t *bytes, *end; /* instead of random numbers, when given; then zeroes */
    uint32_t customers, carts, products;
    int64_t now; /* after SHOP_START */
    uint32_t step_ms;
    uint32_t long_strings;                 /* most bytes of a profile's string */
    bool blind;                            /* never learns a message's id */
    char ids[64][CW_MESSAGE_ID_BYTES + 1]; /* messages that were sent lately */
};

static inline uint32_t draw(struct random_shop *r, uint32_t bound)
{
    if (r->bytes == NULL) {
        return random_below(&r->random, bound);
    }
    uint32_t number = r->bytes < r->end ? *r->bytes++ : 0;
    if (bound > 256) {
        number = number << 8 | (r->bytes < r->end ? *r->bytes++ : 0u);
        number *= bound > 65536 ? bound / 65536 : 1;
    }
    return number % bound;
}

static inline const char *filler(struct random_shop *r)
{
    static char text[2048];
    uint32_t bytes = draw(r, 4) == 0 ? draw(r, r->long_strings + 1) : draw(r, 12);
    memset(text, 'x', bytes);
    text[bytes] = '\0';
    return text;
}

/* The latest message ids, as the shop's messaging service would know them. */
static inline void random_shop_learn(struct random_shop *r)
{
    const char *at = cw_text_terminate(&r->shop->lines);
    while ((at = strstr(at, "\"messageId\":\"")) != NULL) {
        at += strlen("\"messageId\":\"");
        memcpy(r->ids[draw(r, 64)], at, CW_MESSAGE_ID_BYTES);
    }
    shop_forget(r->shop);
}

static inline void random_profile(struct random_shop *r, uint32_t customer, int64_t at)
{
    static const char *const fields[] = {
        "\"email\":null",
        "\"phone\":null",
        "\"pushToken\":\"t\"",
        "\"accountStatus\":\"suspended\"",
        "\"accountStatus\":\"active\"",
        "\"paymentMethodOnFile\":true",
        "\"paymentMethodOnFile\":null",
        "\"optedOut\":true",
        "\"optedOut\":{\"email\":true}",
        "\"optedOut\":{\"sms\":false,\"push\":null}",
        "\"optedOut\":null",
        "\"optedOut\":false",
        "\"timezone\":\"Asia/Tokyo\"",
        "\"timezone\":null",
        "\"marketplace\":\"DE\"",
        "\"purchaseHistory\":3",
        "\"purchaseHistory\":null",
        "\"avgOrderValue\":99.5",
        "\"emailEngagement\":0.4",
        "\"discountSensitivity\":0.9",
        "\"locale\":\"de-DE\"",
    };

    char text[8192];
    int bytes = snprintf(text, sizeof text, "\"customerId\":\"c%u\"", customer);
    if (draw(r, 3) != 0) {
        bytes += snprintf(text + bytes, sizeof text - (size_t)bytes,
                          ",\"paymentMethodOnFile\":true,\"optedOut\":false,\"phone\":\"+1\"");
        bytes +=
            snprintf(text + bytes, sizeof text - (size_t)bytes, ",\"email\":\"e%s\"", filler(r));
        bytes += snprintf(text + bytes, sizeof text - (size_t)bytes, ",\"name\":\"%s\"", filler(r));
    }
    for (uint32_t i = draw(r, 3); i > 0; i--) {
        bytes += snprintf(text + bytes, sizeof text - (size_t)bytes, ",%s",
                          fields[draw(r, CW_COUNTOF(fields))]);
    }
    (void)shop_event(r->shop, "ecommerce.customer", "CustomerUpdated", at, "%s", text);
}

static inline void random_cart(struct random_shop *r, uint32_t customer, int64_t at)
{
    static const char *const types[] = {"CartAbandoned", "CartUpdated"};
    char items[8192];
    int bytes = 0;
    uint32_t count = draw(r, 8) == 0 ? draw(r, 30) : draw(r, 3);
    for (uint32_t i = 0; i < count; i++) {
        bytes +=
            snprintf(items + bytes, sizeof items - (size_t)bytes,
                     "%s{\"id\":\"p%u\",\"name\":\"n\",\"price\":%u,\"quantity\":%u}",
                     i == 0 ? "" : ",", draw(r, r->products), 10 * draw(r, 20), 1 + draw(r, 3));
    }
    items[bytes] = '\0';
    const char *type = types[draw(r, 5) < 3 ? 0 : 1];
    uint32_t cart = draw(r, r->carts);
    if (type == types[1] && draw(r, 3) == 0) {
        (void)shop_event(r->shop, "ecommerce.cart", type, at,
                         "\"customerId\":\"c%u\",\"cartId\":\"k%u\"", customer, cart);
        return;
    }
    (void)shop_event(r->shop, "ecommerce.cart", type, at,
                     "\"customerId\":\"c%u\",\"cartId\":\"k%u\",\"cartValue\":%u,\"items\":[%s]%s",
                     customer, cart, draw(r, 400), items,
                     draw(r, 4) == 0 ? ",\"marketplace\":\"JP\",\"cartUrl\":\"https://u\"" : "");
}

static inline void random_message(struct random_shop *r, int64_t at)
{
    static const char *const types[] = {"Delivered", "Bounced",    "Opened",
                                        "Clicked",   "Complained", "Unsubscribed"};
    const char *id = r->ids[draw(r, 64)];
    uint32_t type = draw(r, 20);
    if (id[0] != '\0') {
        (void)shop_event(r->shop, "messaging", types[type < 6 ? type : type % 4], at,
                         "\"messageId\":\"%s\"", id);
    }
}

/* One random event, at about now. */
static inline void random_event(struct random_shop *r)
{
    uint32_t customer = draw(r, r->customers);
    uint32_t what = draw(r, 100);
    r->now += draw(r, 3) == 0 ? 0 : draw(r, r->step_ms);
    /* Some are late, and many at the very same instant. */
    int64_t at = draw(r, 6) == 0 ? r->now - draw(r, 5 * r->step_ms) : r->now;
    if (draw(r, 300) == 0) {
        at -= (int64_t)draw(r, 10) * CW_DAY_MS;
    }
    if (what < 45) {
        random_cart(r, customer, at);
    } else if (what < 65) {
        random_profile(r, customer, at);
    } else if (what < 72) {
        (void)shop_event(r->shop, "ecommerce.order", "OrderPlaced", at,
                         "\"customerId\":\"c%u\",\"orderId\":\"o%u\",\"orderValue\":%u%s%u%s",
                         customer, draw(r, 100000), draw(r, 300),
                         what < 70 ? ",\"cartId\":\"k" : ",\"discountAmount\":", draw(r, r->carts),
                         what < 70 ? "\"" : "");
    } else if (what < 76) {
        (void)shop_event(r->shop, "ecommerce.cart", "CartCleared", at,
                         "\"customerId\":\"c%u\",\"cartId\":\"k%u\"", customer, draw(r, r->carts));
    } else if (what < 82) {
        (void)shop_event(r->shop, "ecommerce.inventory", "InventoryChanged", at,
                         "\"productId\":\"p%u\",\"available\":%u", draw(r, r->products),
                         draw(r, 5));
    } else if (what < 83) {
        (void)shop_event(r->shop, "ecommerce.customer", "CustomerErased", at,
                         "\"customerId\":\"c%u\"", customer);
    } else if (what < 84) {
        (void)shop_event(r->shop, "messaging", "FeedbackReceived", at,
                         "\"customerId\":\"c%u\",\"rating\":%u", customer, 1 + draw(r, 5));
    } else {
        random_message(r, at);
    }
    if ((what & 7u) == 0 && !r->blind) {
        random_shop_learn(r);
    }
}

#endif
