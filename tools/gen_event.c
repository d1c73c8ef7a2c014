/* gen: one event as an EventBridge envelope. What it says follows from the event, its journey and
   its customer alone, so that a repetition is the same bytes. */
#include "core/hash.h"
#include "tools/gen_priv.h"

#include <stdlib.h>

#define PUT(text, literal) cw_text_put(text, literal, sizeof(literal) - 1)

/* Facts about each kind: its names on the bus, and whether its detail tells its time. */
static const struct {
    const char *source, *type;
    bool timestamp;
} kinds[CW_GEN_KIND_COUNT] = {
    [CW_GEN_CUSTOMER_UPDATED] = {"ecommerce.customer", "CustomerUpdated", false},
    [CW_GEN_INVENTORY_CHANGED] = {"ecommerce.inventory", "InventoryChanged", false},
    [CW_GEN_CART_UPDATED] = {"ecommerce.cart", "CartUpdated", true},
    [CW_GEN_CART_ABANDONED] = {"ecommerce.cart", "CartAbandoned", true},
    [CW_GEN_CART_CLEARED] = {"ecommerce.cart", "CartCleared", true},
    [CW_GEN_ORDER_PLACED] = {"ecommerce.order", "OrderPlaced", true},
    [CW_GEN_ORDER_REFUNDED] = {"ecommerce.order", "OrderRefunded", true},
    [CW_GEN_DELIVERED] = {"messaging", "Delivered", true},
    [CW_GEN_BOUNCED] = {"messaging", "Bounced", true},
    [CW_GEN_OPENED] = {"messaging", "Opened", true},
    [CW_GEN_CLICKED] = {"messaging", "Clicked", true},
    [CW_GEN_COMPLAINED] = {"messaging", "Complained", true},
    [CW_GEN_UNSUBSCRIBED] = {"messaging", "Unsubscribed", true},
    [CW_GEN_FEEDBACK] = {"messaging", "FeedbackReceived", false},
};

static void put_hex(struct cw_text *text, uint64_t value, uint32_t digits)
{
    static const char hex[] = "0123456789abcdef";
    char *to = cw_text_room(text, digits);
    for (uint32_t i = 0; i < digits; i++) {
        to[i] = hex[value >> (digits - 1 - i) * 4 & 15];
    }
    text->bytes += digits;
}

static void put_two(struct cw_text *text, uint64_t value)
{
    cw_text_char(text, (char)('0' + value / 10 % 10));
    cw_text_char(text, (char)('0' + value % 10));
}

/* A version 4 UUID whose last 48 bits are a bijection of the event's number: no two are equal. */
static void put_id(struct cw_gen *gen, uint64_t number)
{
    struct cw_text *text = &gen->text;
    uint64_t seed = cw_gen_mix(gen->options->seed, 0x1d);
    uint64_t random = cw_gen_mix(seed, number);
    put_hex(text, random >> 32, 8);
    cw_text_char(text, '-');
    put_hex(text, random >> 16 & 0xffff, 4);
    PUT(text, "-4");
    put_hex(text, random & 0xfff, 3);
    cw_text_char(text, '-');
    put_hex(text, 0x8000 | (cw_gen_mix(number, seed) & 0x3fff), 4);
    cw_text_char(text, '-');
    put_hex(text, (number * 0x9e3779b97f4b + seed) & 0xffffffffffff, 12);
}

/* Whole cents (or, in a currency without them, hundredths that are all zero). */
static void put_money(struct cw_text *text, uint64_t cents, bool whole)
{
    cw_text_u64(text, cents / 100);
    if (!whole) {
        cw_text_char(text, '.');
        put_two(text, cents % 100);
    }
}

static bool is_local(const struct cw_gen *gen, uint8_t market, const char *currency)
{
    return gen->options->local_currency && strcmp(cw_gen_markets[market].currency, currency) == 0;
}

/* A price of this marketplace in hundredths of its currency. */
static uint64_t price_of(const struct cw_gen *gen, uint32_t product, uint8_t market)
{
    uint64_t cents = gen->products[product].cents;
    if (!gen->options->local_currency) {
        return cents;
    }
    cents = (uint64_t)((double)cents * cw_gen_markets[market].rate + 0.5);
    bool large = cw_gen_markets[market].rate >= 50; /* nobody asks for a hundredth of a yen */
    return large ? cents / 100 * 100 : cents;
}

static uint64_t value_of(const struct cw_gen *gen, const struct cw_gen_journey *journey,
                         uint32_t items)
{
    uint64_t cents = 0;
    for (uint32_t i = 0; i < items; i++) {
        cents += price_of(gen, journey->product[i], journey->market) * journey->quantity[i];
    }
    return cents;
}

static void put_customer_id(struct cw_text *text, uint32_t customer, bool guest)
{
    cw_text_char(text, guest ? 'G' : 'C');
    cw_text_u64(text, customer + UINT64_C(100001));
}

static void put_ids(struct cw_text *text, const struct cw_gen_journey *journey)
{
    PUT(text, "\"customerId\":\"");
    put_customer_id(text, journey->customer, (journey->flags & CW_GEN_GUEST) != 0);
    PUT(text, "\",\"cartId\":\"CART-");
    cw_text_u64(text, journey->cart + 100001);
    cw_text_char(text, '"');
}

static void put_currency(const struct cw_gen *gen, struct cw_text *text, uint8_t market)
{
    PUT(text, ",\"currency\":\"");
    cw_text_puts(text, gen->options->local_currency ? cw_gen_markets[market].currency : "USD");
    cw_text_char(text, '"');
}

static void put_item(struct cw_gen *gen, const struct cw_gen_journey *journey, uint32_t item)
{
    struct cw_text *text = &gen->text;
    uint32_t number = journey->product[item];
    const struct cw_gen_product *product = &gen->products[number];
    PUT(text, "{\"id\":\"P");
    cw_text_u64(text, number + 1);
    PUT(text, "\",\"name\":\"");
    cw_text_puts(text, product->maker);
    cw_text_char(text, ' ');
    cw_text_puts(text, product->noun);
    PUT(text, "\",\"price\":");
    put_money(text, price_of(gen, number, journey->market), is_local(gen, journey->market, "JPY"));
    if (journey->quantity[item] != 1 || journey->reason % 2 == 0) { /* 1 goes without saying */
        PUT(text, ",\"quantity\":");
        cw_text_u64(text, journey->quantity[item]);
    }
    if (number % 9 != 0) { /* some have no picture yet */
        PUT(text, ",\"imageUrl\":\"https://shop.example.com/img/P");
        cw_text_u64(text, number + 1);
        PUT(text, ".jpg\"");
    }
    PUT(text, ",\"category\":\"");
    cw_text_puts(text, cw_gen_categories[product->category]);
    PUT(text, "\"}");
}

static void put_cart(struct cw_gen *gen, const struct cw_gen_journey *journey, uint32_t items)
{
    struct cw_text *text = &gen->text;
    PUT(text, ",\"cartValue\":");
    put_money(text, value_of(gen, journey, items), is_local(gen, journey->market, "JPY"));
    uint32_t count = 0;
    for (uint32_t i = 0; i < items; i++) {
        count += journey->quantity[i];
    }
    PUT(text, ",\"itemCount\":");
    cw_text_u64(text, count);
    PUT(text, ",\"items\":[");
    for (uint32_t i = 0; i < items; i++) {
        if (i > 0) {
            cw_text_char(text, ',');
        }
        put_item(gen, journey, i);
    }
    cw_text_char(text, ']');
    put_currency(gen, text, journey->market);
    if ((journey->flags & CW_GEN_TELLS_MARKET) != 0) {
        PUT(text, ",\"marketplace\":\"");
        cw_text_puts(text, cw_gen_markets[journey->market].code);
        cw_text_char(text, '"');
    }
    PUT(text, ",\"cartUrl\":\"https://shop.example.com/cart/CART-");
    cw_text_u64(text, journey->cart + 100001);
    cw_text_char(text, '"');
}

static void put_abandoned(struct cw_gen *gen, const struct cw_gen_journey *journey, uint8_t which)
{
    static const struct {
        uint8_t percent;
        const char *text;
    } reasons[] = {{58, "session_timeout"},
                   {74, "shipping_cost"},
                   {86, "checkout_exit"},
                   {94, "payment_failed"},
                   {100, "price_comparison"}};
    struct cw_text *text = &gen->text;
    bool again = which == CW_GEN_ABANDONED_AGAIN;
    put_cart(gen, journey, again ? journey->item_count : journey->first_count);
    uint32_t i = 0;
    while (journey->reason >= reasons[i].percent) {
        i++;
    }
    PUT(text, ",\"abandonmentReason\":\"");
    cw_text_puts(text, reasons[i].text);
    cw_text_char(text, '"');
    if ((journey->flags & CW_GEN_TELLS_CATEGORY) != 0) {
        PUT(text, ",\"category\":\"");
        cw_text_puts(text, cw_gen_categories[gen->products[journey->product[0]].category]);
        cw_text_char(text, '"');
    }
    if (journey->sensitivity_percent != 255) {
        PUT(text, ",\"discountSensitivity\":0.");
        put_two(text, journey->sensitivity_percent);
    }
}

static void put_order(struct cw_gen *gen, const struct cw_gen_journey *journey)
{
    struct cw_text *text = &gen->text;
    bool whole = is_local(gen, journey->market, "JPY");
    uint32_t percent = (journey->flags & CW_GEN_USES_CODE) != 0 ? journey->discount_percent : 0;
    uint64_t value = value_of(gen, journey, journey->item_count);
    uint64_t discount = (value * percent + 50) / 100;
    discount = whole ? discount / 100 * 100 : discount;
    PUT(text, "\"customerId\":\"");
    put_customer_id(text, journey->customer, false);
    PUT(text, "\",\"orderId\":\"ORD-");
    cw_text_u64(text, journey->order + 100000);
    PUT(text, "\",\"orderValue\":");
    put_money(text, value - discount, whole);
    if ((journey->flags & CW_GEN_ORDER_NO_CART) == 0) {
        PUT(text, ",\"cartId\":\"CART-");
        cw_text_u64(text, journey->cart + 100001);
        cw_text_char(text, '"');
    }
    if (percent > 0) {
        PUT(text, ",\"discountAmount\":");
        put_money(text, discount, whole);
        PUT(text, ",\"discountCode\":\"CART");
        cw_text_u64(text, percent);
        cw_text_char(text, '"');
    }
    put_currency(gen, text, journey->market);
}

static void put_refund(struct cw_gen *gen, const struct cw_gen_journey *journey)
{
    struct cw_text *text = &gen->text;
    bool whole = is_local(gen, journey->market, "JPY");
    uint32_t percent = (journey->flags & CW_GEN_USES_CODE) != 0 ? journey->discount_percent : 0;
    uint64_t value = value_of(gen, journey, journey->item_count);
    uint64_t paid = value - (value * percent + 50) / 100;
    paid = (journey->flags & CW_GEN_REFUND_HALF) != 0 ? paid / 2 : paid;
    PUT(text, "\"customerId\":\"");
    put_customer_id(text, journey->customer, false);
    PUT(text, "\",\"orderId\":\"ORD-");
    cw_text_u64(text, journey->order + 100000);
    PUT(text, "\",\"amount\":");
    put_money(text, whole ? paid / 100 * 100 : paid, whole);
}

static char *put_sized(char *to, const char *data, uint32_t bytes)
{
    memcpy(to, &bytes, sizeof bytes); /* little-endian, as all machines that this builds for */
    memcpy(to + sizeof bytes, data, bytes);
    return to + sizeof bytes + bytes;
}

/* The id that the engine gives the message of this touch. */
static void put_message_id(struct cw_gen *gen, const struct cw_gen_journey *journey, uint32_t touch)
{
    struct cw_text *text = &gen->text;
    char input[512];
    char customer[32];
    size_t mark = text->bytes;
    put_customer_id(text, journey->customer, false);
    uint32_t customer_bytes = (uint32_t)(text->bytes - mark);
    memcpy(customer, text->data + mark, customer_bytes);
    text->bytes = mark;
    PUT(text, "CART-");
    cw_text_u64(text, journey->cart + 100001);
    uint32_t cart_bytes = (uint32_t)(text->bytes - mark);
    char *end = put_sized(input, gen->options->program.data, gen->options->program.bytes);
    end = put_sized(end, customer, customer_bytes);
    end = put_sized(end, text->data + mark, cart_bytes);
    text->bytes = mark;
    memcpy(end, &journey->t0_ms, sizeof journey->t0_ms);
    memcpy(end + sizeof journey->t0_ms, &touch, sizeof touch);
    end += sizeof journey->t0_ms + sizeof touch;
    uint8_t hash[16];
    cw_hash128((struct cw_hash_key){0}, input, (size_t)(end - input), hash);
    put_hex(text, cw_partition((struct cw_view){customer, customer_bytes}, 256), 4);
    for (uint32_t i = 0; i < 16; i++) {
        put_hex(text, hash[i], 2);
    }
}

static void put_message(struct cw_gen *gen, const struct cw_gen_journey *journey,
                        const struct cw_gen_event *event)
{
    struct cw_text *text = &gen->text;
    PUT(text, "\"messageId\":\"");
    put_message_id(gen, journey, event->arg);
    cw_text_char(text, '"');
    if (event->kind == CW_GEN_BOUNCED) {
        static const char *const reasons[] = {"mailbox full", "number not in service",
                                              "token not registered"};
        PUT(text, ",\"reason\":\"");
        cw_text_puts(text, reasons[event->arg - 1]);
        cw_text_char(text, '"');
    }
}

/* ---- people ---- */

/* Numbers that are kept for fiction where a country keeps some, else ones that cannot be given. */
static void put_phone(struct cw_text *text, uint32_t names, uint64_t h)
{
    static const char *const us_areas[] = {"212", "415", "312", "206"};
    static const char *const au_numbers[] = {"006", "110", "156", "157",
                                             "158", "159", "313", "737"};
    uint64_t n = h >> 8;
    switch (names) {
    case 0: cw_text_printf(text, "+1%s55501%02u", us_areas[h % 4], (uint32_t)(n % 100)); break;
    case 1: cw_text_printf(text, "+447700900%03u", (uint32_t)(n % 1000)); break;
    case 2: cw_text_printf(text, "+4917139200%02u", (uint32_t)(n % 100)); break;
    case 3: cw_text_printf(text, "+33639980%03u", (uint32_t)(n % 1000)); break;
    case 4: cw_text_printf(text, "+819000%06u", (uint32_t)(n % 1000000)); break;
    case 5: cw_text_printf(text, "+9115555%05u", (uint32_t)(n % 100000)); break;
    case 6: cw_text_printf(text, "+550090000%04u", (uint32_t)(n % 10000)); break;
    default: cw_text_printf(text, "+61491570%s", au_numbers[n % CW_COUNTOF(au_numbers)]); break;
    }
}

static void put_name(struct cw_text *text, uint32_t names, uint64_t h, uint32_t customer)
{
    const struct cw_gen_name *given = &cw_gen_given[names][h % CW_GEN_NAMES];
    const struct cw_gen_name *family = &cw_gen_family[names][(h >> 16) % CW_GEN_NAMES];
    bool family_first = names == 4;
    PUT(text, ",\"name\":\"");
    cw_text_puts(text, family_first ? family->text : given->text);
    cw_text_char(text, ' ');
    cw_text_puts(text, family_first ? given->text : family->text);
    PUT(text, "\",\"email\":\"");
    cw_text_puts(text, given->ascii);
    cw_text_char(text, '.');
    cw_text_puts(text, family->ascii);
    cw_text_u64(text, customer + UINT64_C(100001));
    cw_text_puts(text, (h >> 32 & 1) != 0 ? "@example.com\"" : "@example.org\"");
}

static void put_push_token(struct cw_text *text, uint64_t h)
{
    PUT(text, ",\"pushToken\":\"");
    for (uint32_t i = 0; i < 4; i++) {
        put_hex(text, cw_gen_mix(h, i), 16);
    }
    cw_text_char(text, '"');
}

static void put_share(struct cw_text *text, const char *key, int32_t percent)
{
    if (percent >= 0) {
        cw_text_puts(text, key);
        cw_text_u64(text, (uint64_t)percent / 100);
        cw_text_char(text, '.');
        put_two(text, (uint64_t)percent % 100);
    }
}

static void put_features(struct cw_gen *gen, uint32_t customer, uint32_t version)
{
    struct cw_text *text = &gen->text;
    struct cw_gen_features told = cw_gen_features_told(gen, customer, version);
    if (told.history >= 0) {
        PUT(text, ",\"purchaseHistory\":");
        cw_text_i64(text, told.history);
    }
    if (told.average_cents >= 0) {
        PUT(text, ",\"avgOrderValue\":");
        put_money(text, (uint64_t)told.average_cents, false);
    }
    put_share(text, ",\"cartAbandonmentRate\":", told.abandonment_percent);
    put_share(text, ",\"emailEngagement\":", told.engagement_percent);
    put_share(text, ",\"discountSensitivity\":", told.sensitivity_percent);
}

static bool is_closed(uint64_t h)
{
    return (h >> 41) % 3 == 0;
}

static void put_profile(struct cw_gen *gen, uint32_t customer)
{
    struct cw_text *text = &gen->text;
    const struct cw_gen_person *person = &gen->persons[customer];
    const struct cw_gen_market *market = &cw_gen_markets[person->market];
    uint64_t h = cw_gen_mix(gen->options->seed ^ 0xc057, customer);
    bool later = (h >> 40 & 1) != 0; /* the status or the refusal comes in an update of its own */
    if (person->kind != CW_GEN_PERSON_NO_ADDRESS) {
        put_name(text, market->names, h, customer);
        PUT(text, ",\"phone\":\"");
        put_phone(text, market->names, h >> 20);
        cw_text_char(text, '"');
        put_push_token(text, h);
    }
    PUT(text, ",\"accountStatus\":\"");
    bool inactive = person->kind == CW_GEN_PERSON_NO_ACCOUNT && !later;
    cw_text_puts(text, !inactive ? "active\"" : (is_closed(h) ? "closed\"" : "suspended\""));
    if (person->kind != CW_GEN_PERSON_NO_PAYMENT) {
        PUT(text, ",\"paymentMethodOnFile\":true");
    } else if (later) {
        PUT(text, ",\"paymentMethodOnFile\":false");
    }
    if (person->kind == CW_GEN_PERSON_OPTED_OUT && !later) {
        PUT(text, ",\"optedOut\":true");
    } else if ((h >> 44) % 4 == 0) {
        PUT(text, ",\"optedOut\":{\"email\":false,\"sms\":false,\"push\":false}");
    }
    PUT(text, ",\"marketplace\":\"");
    cw_text_puts(text, market->code);
    uint32_t zones = market->zones[1] == NULL ? 1 : (market->zones[2] == NULL ? 2 : 3);
    PUT(text, "\",\"timezone\":\"");
    cw_text_puts(text, market->zones[(h >> 48) % zones]);
    PUT(text, "\",\"locale\":\"");
    cw_text_puts(text, (h >> 52) % 25 == 0 ? "es-419" : market->locale);
    cw_text_char(text, '"');
    put_features(gen, customer, 0);
}

static void put_customer(struct cw_gen *gen, const struct cw_gen_event *event)
{
    struct cw_text *text = &gen->text;
    uint64_t h = cw_gen_mix(gen->options->seed ^ 0xc057, event->journey);
    PUT(text, "\"customerId\":\"");
    put_customer_id(text, event->journey, false);
    cw_text_char(text, '"');
    switch (event->arg) {
    case 0: put_profile(gen, event->journey); break;
    case CW_GEN_UPDATE_STATUS:
        PUT(text, ",\"accountStatus\":\"");
        cw_text_puts(text, is_closed(h) ? "closed\"" : "suspended\"");
        break;
    case CW_GEN_UPDATE_OPT_OUT:
        PUT(text, ",\"optedOut\":{\"email\":true,\"sms\":true,\"push\":true}");
        break;
    case CW_GEN_UPDATE_PUSH_TOKEN: put_push_token(text, cw_gen_mix(h, event->number)); break;
    default: put_features(gen, event->journey, event->arg); break;
    }
}

static void put_inventory(struct cw_gen *gen, const struct cw_gen_event *event)
{
    struct cw_text *text = &gen->text;
    uint64_t h = cw_gen_mix(gen->options->seed, event->number);
    bool scarce = event->journey % gen->scarce_every == gen->scarce_every - 1;
    PUT(text, "\"productId\":\"P");
    cw_text_u64(text, event->journey + 1);
    PUT(text, "\",\"available\":");
    if (h % 5 == 0) {
        cw_text_puts(text, scarce ? "false" : "true");
    } else {
        cw_text_u64(text, scarce ? 0 : 300 + h / 5 % 2000);
    }
}

static void put_detail(struct cw_gen *gen, const struct cw_gen_event *event)
{
    struct cw_text *text = &gen->text;
    if (event->kind == CW_GEN_CUSTOMER_UPDATED) {
        put_customer(gen, event);
        return;
    }
    if (event->kind == CW_GEN_INVENTORY_CHANGED) {
        put_inventory(gen, event);
        return;
    }
    const struct cw_gen_journey *journey = &gen->journeys[event->journey];
    switch ((enum cw_gen_kind)event->kind) {
    case CW_GEN_CART_UPDATED:
        put_ids(text, journey);
        put_cart(gen, journey, event->arg);
        break;
    case CW_GEN_CART_ABANDONED:
        put_ids(text, journey);
        put_abandoned(gen, journey, event->arg);
        break;
    case CW_GEN_CART_CLEARED: put_ids(text, journey); break;
    case CW_GEN_ORDER_PLACED: put_order(gen, journey); break;
    case CW_GEN_ORDER_REFUNDED: put_refund(gen, journey); break;
    case CW_GEN_FEEDBACK:
        PUT(text, "\"customerId\":\"");
        put_customer_id(text, journey->customer, false);
        PUT(text, "\",\"rating\":");
        cw_text_u64(text, journey->rating);
        break;
    case CW_GEN_DELIVERED:
    case CW_GEN_BOUNCED:
    case CW_GEN_OPENED:
    case CW_GEN_CLICKED:
    case CW_GEN_COMPLAINED:
    case CW_GEN_UNSUBSCRIBED: put_message(gen, journey, event); break;
    case CW_GEN_CUSTOMER_UPDATED:
    case CW_GEN_INVENTORY_CHANGED:
    case CW_GEN_KIND_COUNT: CW_ASSERT(false); break;
    }
}

void cw_gen_event_write(struct cw_gen *gen, const struct cw_gen_event *event)
{
    struct cw_text *text = &gen->text;
    char time[CW_TIME_BYTES];
    cw_time_format(event->time_ms, time);
    PUT(text, "{\"version\":\"0\",\"id\":\"");
    put_id(gen, event->number);
    PUT(text, "\",\"detail-type\":\"");
    cw_text_puts(text, kinds[event->kind].type);
    PUT(text, "\",\"source\":\"");
    cw_text_puts(text, kinds[event->kind].source);
    PUT(text, "\",\"account\":\"111122223333\",\"time\":\"");
    cw_text_put(text, time, 19); /* EventBridge's own times are whole seconds */
    PUT(text, "Z\",\"region\":\"us-east-1\",\"resources\":[],\"detail\":{");
    put_detail(gen, event);
    if (kinds[event->kind].timestamp) {
        PUT(text, ",\"timestamp\":\"");
        cw_text_put(text, time, sizeof time);
        cw_text_char(text, '"');
    }
    PUT(text, "}}\n");
}
