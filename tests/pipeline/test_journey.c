/* A few journeys whose every line is known: what the rules say where facts meet. */
#include "tests/pipeline/shop_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define HOUR CW_HOUR_MS
#define DAY  CW_DAY_MS

static struct shop shop;

#define PROGRAM(tail)                                                                      \
    "programId: p\neventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n" \
    "filterChain: [{filterId: t, type: trust}, {filterId: e, type: eligibility}]\n"        \
    "channels: [{channelId: e, type: email, config: {delayMinutes: 60, templateId: "       \
    "cart-recovery-v3, subject: S}}, {channelId: s, type: sms, config: {delayHours: 24, "  \
    "message: M}}]\ndiscountStrategy: {defaultDiscount: 10}\n" tail

static void open_with(const char *yaml)
{
    const struct shop_options options = {.yamls = {yaml}};
    cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
    shop_customer(&shop, "c");
}

static void close_sound(void)
{
    shop_finish(&shop);
    cr_assert(shop_check(&shop));
    shop_close(&shop);
}

static void order(int64_t after, const char *rest)
{
    (void)shop_event(&shop, "ecommerce.order", "OrderPlaced", after,
                     "\"customerId\":\"c\",\"orderValue\":9,%s", rest);
}

Test(journey, an_order_that_arrives_first_still_prevents_every_touch)
{
    open_with(PROGRAM(""));
    order(2 * HOUR, "\"orderId\":\"o\",\"cartId\":\"k\"");
    (void)shop_abandon(&shop, HOUR, "c", "k", 100);
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"purchased\""), 1));
    (void)shop_abandon(&shop, 2 * HOUR, "c", "k", 100);
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"purchased\""), 2), "also at the same time");
    (void)shop_abandon(&shop, 2 * HOUR + 1, "c", "k", 100);
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANDIDATE], 1), "but not one before it was left");
    close_sound();
}

Test(journey, an_order_without_a_cart_ends_all_of_the_customer_one_of_another_cart_none)
{
    open_with(PROGRAM("onNewCart: parallel\n"));
    (void)shop_abandon(&shop, 0, "c", "b", 100);
    (void)shop_abandon(&shop, 0, "c", "a", 100);
    (void)shop_abandon(&shop, 0, "d", "a", 100);
    order(1, "\"orderId\":\"o1\",\"cartId\":\"z\"");
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CONVERTED], 0));
    order(2, "\"orderId\":\"o2\"");
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CONVERTED], 2));
    const char *lines = cw_text_terminate(&shop.lines);
    const char *a = strstr(lines, "\"converted\",\"program\":\"p\",\"customerId\":\"c\",\"cartId\":"
                                  "\"a\"");
    const char *b = strstr(lines, "\"converted\",\"program\":\"p\",\"customerId\":\"c\",\"cartId\":"
                                  "\"b\"");
    cr_assert(a != NULL && b != NULL && a < b, "by the carts' bytes");
    order(3, "\"orderId\":\"o2\"");
    cr_assert(eq(u64, shop_fates(&shop)->events[CW_EVENT_FATE_REPEATED], 1));
    close_sound();
}

Test(journey, a_click_counts_before_a_later_delivery)
{
    open_with(PROGRAM("minGapMinutes: 0\n"));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop_advance(&shop, DAY);
    const char *id = strstr(cw_text_terminate(&shop.lines), "\"messageId\":\"");
    cr_assert(ne(ptr, (void *)id, NULL));
    (void)shop_event(&shop, "messaging", "Clicked", DAY + 1, "\"messageId\":\"%.36s\"",
                     id + strlen("\"messageId\":\""));
    order(DAY + 2, "\"orderId\":\"o\",\"cartId\":\"k\"");
    cr_assert(eq(u32, shop_count(&shop, "\"attributedTo\":1}"), 1));
    close_sound();
}

Test(journey, a_click_before_the_window_does_not_count)
{
    open_with(PROGRAM(""));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop_advance(&shop, DAY);
    order(6 * DAY + 1, "\"orderId\":\"o\",\"cartId\":\"k\"");
    cr_assert(eq(u32, shop_count(&shop, "\"attributedTo\":\"organic\""), 1));
    close_sound();
    open_with(PROGRAM(""));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop_advance(&shop, DAY);
    order(6 * DAY, "\"orderId\":\"o\",\"cartId\":\"k\"");
    cr_assert(eq(u32, shop_count(&shop, "\"attributedTo\":2"), 1), "five days to the millisecond");
    close_sound();
}

Test(journey, the_later_cart_goes_on_whatever_arrives_first)
{
    open_with(PROGRAM(""));
    (void)shop_abandon(&shop, HOUR, "c", "new", 100);
    (void)shop_abandon(&shop, 0, "c", "old", 100);
    cr_assert(eq(u32,
                 shop_count(&shop, "\"superseded\",\"program\":\"p\",\"customerId\":\"c\","
                                   "\"cartId\":\"old\""),
                 1));
    cr_assert(eq(u64, shop_fates(&shop)->created, 1));
    (void)shop_abandon(&shop, HOUR, "c", "third", 100);
    cr_assert(eq(u32, shop_count(&shop, "\"cartId\":\"new\"}"), 1), "on a tie the later arrival");
    cr_assert(eq(u64, shop_fates(&shop)->created, 2));
    close_sound();
}

Test(journey, dedup_counts_by_the_clock_and_is_forgotten_by_an_update)
{
    open_with(PROGRAM(""));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    (void)shop_abandon(&shop, HOUR / 2, "c", "k", 100);
    cr_assert(eq(u64, shop.kinds[CW_DECISION_DUPLICATE], 1));
    (void)shop_abandon(&shop, HOUR / 2 + 1, "c", "k", 101);
    cr_assert(eq(u32, shop_count(&shop, "\"updated\":true"), 1));
    (void)shop_event(&shop, "ecommerce.cart", "CartUpdated", HOUR,
                     "\"customerId\":\"c\",\"cartId\":\"k\"");
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"active-again\""), 1));
    (void)shop_abandon(&shop, HOUR + 1, "c", "k", 101);
    cr_assert(eq(u64, shop_fates(&shop)->created, 2));
    close_sound();
}

Test(journey, touches_that_are_overdue_are_late_but_for_the_last)
{
    open_with(PROGRAM(""));
    (void)shop_event(&shop, "ecommerce.customer", "CustomerUpdated", 2 * DAY,
                     "\"customerId\":\"x\"");
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop_advance(&shop, 2 * DAY);
    cr_assert(eq(u32,
                 shop_count(&shop, "\"touch\":1,\"channel\":\"email\",\"outcome\":\"skipped\","
                                   "\"reason\":\"late\""),
                 1));
    cr_assert(
        eq(u32, shop_count(&shop, "\"touch\":2,\"channel\":\"sms\",\"outcome\":\"sent\""), 1));
    close_sound();
}

Test(journey, a_session_that_ends_makes_an_abandonment_of_the_last_content)
{
    open_with(PROGRAM("abandonmentDetection: {sessionTimeoutMinutes: 30}\n"));
    (void)shop_event(&shop, "ecommerce.cart", "CartUpdated", 0,
                     "\"customerId\":\"c\",\"cartId\":\"k\",\"cartValue\":50,\"items\":[],"
                     "\"abandonmentReason\":\"x\",\"timestamp\":\"%s\"",
                     shop_time(SHOP_START));
    (void)shop_event(&shop, "ecommerce.cart", "CartUpdated", 10 * CW_MINUTE_MS,
                     "\"customerId\":\"c\",\"cartId\":\"k\"");
    shop_advance(&shop, 40 * CW_MINUTE_MS - 1);
    cr_assert(eq(u64, shop_fates(&shop)->made, 0));
    shop_advance(&shop, 40 * CW_MINUTE_MS);
    cr_assert(eq(u64, shop_fates(&shop)->made, 1));
    char due[80];
    (void)snprintf(due, sizeof due, "\"touch\":1,\"channel\":\"email\",\"due\":\"%s\"",
                   shop_time(SHOP_START + 100 * CW_MINUTE_MS));
    cr_assert(eq(u32, shop_count(&shop, due), 1), "T0 is the last update and the timeout");
    close_sound();
}
