/* Copies of events are deep: nothing in them leads back to where the source was. */
#include "tests/pipeline/decode_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct decoding d;
static struct cw_arena arena;

static void setup(void)
{
    decoding_open(&d);
    /* A program that watches sessions, so that a CartUpdated carries its text. */
    cw_err err = fixture_load(&d.f, "programId: p\neventSources: [{config: {eventPattern: {source: "
                                    "[ecommerce.cart]}}}]\nchannels: [{type: sms, config: "
                                    "{delayHours: 1, message: hi}}]\nabandonmentDetection: "
                                    "{sessionTimeoutMinutes: 30}\n");
    cr_assert(eq(int, err, CW_ERR_OK));
    decoding_reopen(&d, NULL);
    cr_assert(eq(int, cw_arena_open(&arena, 1u << 20, 1u << 24, &d.f.fault), CW_ERR_OK));
}

static void teardown(void)
{
    cw_arena_close(&arena);
    decoding_close(&d);
}

TestSuite(event, .init = setup, .fini = teardown);

/* Writes over everything that the decoded event pointed to. */
static void poison(void)
{
    memset(d.text, 0xee, d.bytes);
    cw_arena_reset(&d.arena);
    memset(cw_arena_alloc(&d.arena, 60000, 1), 0xee, 60000);
    memset(&d.event, 0xee, sizeof d.event);
}

static struct cw_event *copied(const char *source, const char *type, const char *detail)
{
    cw_arena_reset(&d.arena);
    const struct cw_event *event = decode_detail(&d, source, type, detail);
    struct cw_event *copy = cw_event_copy(event, &arena);
    cr_assert(eq(int, copy->type, event->type));
    cr_assert(eq(i64, copy->time, event->time));
    cr_assert(eq(u32, copy->partition, event->partition));
    cr_assert(eq(u64, copy->programs, event->programs));
    poison();
    cr_assert(view_is(copy->source, source));
    return copy;
}

#define CART_DETAIL                                                                          \
    "\"customerId\":\"c\\u0031\",\"cartId\":\"k\",\"cartValue\":5,\"items\":[{\"id\":\"i\"," \
    "\"name\":\"\\u0041\",\"price\":1,\"imageUrl\":\"u\",\"category\":\"g\"},{\"id\":\"j\"," \
    "\"name\":\"B\",\"price\":2}],\"currency\":\"EUR\",\"abandonmentReason\":\"r\","         \
    "\"marketplace\":\"DE\",\"cartUrl\":\"l\",\"category\":\"x\""

static void is_the_cart(const struct cw_event *copy)
{
    const struct cw_event_cart *cart = &copy->u.abandoned;
    cr_assert(view_is(copy->id, "e-1"));
    cr_assert(view_is(copy->customer, "c1"));
    cr_assert(view_is(copy->cart, "k"));
    cr_assert(eq(dbl, cart->value, 5));
    cr_assert(view_is(cart->currency, "EUR"));
    cr_assert(view_is(cart->reason, "r"));
    cr_assert(view_is(cart->marketplace, "DE"));
    cr_assert(view_is(cart->url, "l"));
    cr_assert(view_is(cart->category, "x"));
    cr_assert(eq(u32, cart->items_count, 2));
    cr_assert(view_is(cart->items[0].id, "i"));
    cr_assert(view_is(cart->items[0].name, "A"));
    cr_assert(view_is(cart->items[0].image_url, "u"));
    cr_assert(view_is(cart->items[0].category, "g"));
    cr_assert(view_is(cart->items[1].id, "j"));
    cr_assert(view_is(cart->items[1].name, "B"));
    cr_assert(view_is(cart->items[1].image_url, NULL));
    cr_assert(eq(dbl, cart->items[1].price, 2));
}

Test(event, a_copied_abandonment_stands_by_itself)
{
    const struct cw_event *copy = copied("ecommerce.cart", "CartAbandoned", CART_DETAIL);
    is_the_cart(copy);
    cr_assert(eq(u64, copy->programs, 1));
    cr_assert(view_is(copy->u.abandoned.raw, NULL));
}

Test(event, a_copied_update_keeps_its_text)
{
    const struct cw_event *copy = copied("ecommerce.cart", "CartUpdated", CART_DETAIL);
    is_the_cart(copy);
    cr_assert(eq(chr, copy->u.abandoned.raw.data[0], '{'));
    cr_assert(eq(chr, copy->u.abandoned.raw.data[copy->u.abandoned.raw.bytes - 1], '}'));
}

Test(event, copied_orders_stand_by_themselves)
{
    const struct cw_event *copy =
        copied("ecommerce.order", "OrderPlaced",
               "\"customerId\":\"c\",\"orderId\":\"o\",\"orderValue\":7,\"cartId\":\"k\","
               "\"discountAmount\":1,\"discountCode\":\"d\",\"currency\":\"USD\"");
    cr_assert(view_is(copy->customer, "c"));
    cr_assert(view_is(copy->cart, "k"));
    cr_assert(view_is(copy->u.order.id, "o"));
    cr_assert(view_is(copy->u.order.discount_code, "d"));
    cr_assert(view_is(copy->u.order.currency, "USD"));
    cr_assert(eq(dbl, copy->u.order.value, 7));
    copy = copied("ecommerce.order", "OrderRefunded",
                  "\"customerId\":\"c\",\"orderId\":\"o\",\"amount\":7");
    cr_assert(view_is(copy->u.order.id, "o"));
    cr_assert(view_is(copy->u.order.currency, NULL));
}

Test(event, a_copied_profile_stands_by_itself)
{
    const struct cw_event *copy =
        copied("ecommerce.customer", "CustomerUpdated",
               "\"customerId\":\"c\",\"name\":\"n\",\"email\":\"e\",\"phone\":\"p\",\"pushToken\":"
               "\"t\",\"marketplace\":\"US\",\"timezone\":\"UTC\",\"locale\":\"de\","
               "\"avgOrderValue\":null,\"optedOut\":true");
    static const char *const strings[] = {"n", "e", "p", "t", "US", "UTC", "de"};
    for (uint32_t i = 0; i < CW_PROFILE_STRINGS; i++) {
        cr_assert(view_is(copy->u.profile.strings[i], strings[i]));
    }
    cr_assert(eq(u32, copy->u.profile.removed, 1u << CW_PROFILE_AVG_ORDER_VALUE));
}

Test(event, other_copied_events_stand_by_themselves)
{
    static const char *const messages[] = {"Delivered", "Bounced",    "Opened",
                                           "Clicked",   "Complained", "Unsubscribed"};
    for (size_t i = 0; i < CW_COUNTOF(messages); i++) {
        const struct cw_event *copy =
            copied("messaging", messages[i], "\"messageId\":\"m\",\"reason\":\"r\"");
        cr_assert(view_is(copy->u.message.id, "m"));
        cr_assert(view_is(copy->u.message.reason, "r"));
    }
    const struct cw_event *copy =
        copied("ecommerce.inventory", "InventoryChanged", "\"productId\":\"p\",\"available\":3");
    cr_assert(view_is(copy->u.product.id, "p"));
    cr_assert(eq(i64, copy->u.product.available, 3));
    copy = copied("ecommerce.cart", "CartCleared", "\"customerId\":\"c\",\"cartId\":\"k\"");
    cr_assert(view_is(copy->cart, "k"));
    copy = copied("ecommerce.customer", "CustomerErased", "\"customerId\":\"c\"");
    cr_assert(view_is(copy->customer, "c"));
    copy = copied("messaging", "FeedbackReceived", "\"customerId\":\"c\",\"rating\":4");
    cr_assert(eq(i64, copy->u.feedback.rating, 4));
    copy = copied("else", "Where", "\"customerId\":\"c\"");
    cr_assert(eq(int, copy->type, CW_EVENT_UNKNOWN));
}

Test(event, a_copied_refusal_keeps_its_reason)
{
    const struct cw_event *copy = copied("ecommerce.cart", "CartAbandoned", "\"customerId\":7");
    cr_assert(eq(int, copy->type, CW_EVENT_INVALID));
    cr_assert(view_is(copy->u.invalid.reason, "detail.customerId is not a string"));
}
