/* A candidate as people and dashboards get it: the document's names, whatever its state. */
#include "tests/pipeline/shop_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define HOUR CW_HOUR_MS
#define DAY  CW_DAY_MS

static struct shop shop;
static struct cw_text json;

#define PROGRAM(tail)                                                                      \
    "programId: p\neventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n" \
    "filterChain: [{filterId: t, type: trust}, {filterId: e, type: eligibility}]\n"        \
    "channels: [{channelId: e, type: email, config: {delayMinutes: 60, templateId: "       \
    "cart-recovery-v3, subject: S}}, {channelId: s, type: sms, config: {delayHours: 24, "  \
    "message: M}}]\ndiscountStrategy: {defaultDiscount: 10}\n" tail

static void open_with(const char *yaml)
{
    const struct shop_options options = {.yamls = {yaml}, .live = true};
    cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
    shop_customer(&shop, "c");
    shop.answer = CW_SEND_TAKEN;
}

static void close_sound(void)
{
    cr_assert(shop_check(&shop));
    shop_close(&shop);
    cw_text_deinit(&json);
}

static const char *of(const char *customer, const char *program, bool all)
{
    struct cw_view id = {customer, (uint32_t)strlen(customer)};
    struct cw_view of_program = {program, (uint32_t)strlen(program)};
    cw_text_clear(&json);
    bool found = cw_pipeline_candidate(shop.pipelines[0], id, of_program, all, &json);
    cr_assert(eq(int, found, json.bytes > 0));
    return cw_text_terminate(&json);
}

static bool says(const char *text)
{
    return strstr(of("c", "p", false), text) != NULL;
}

Test(candidate, it_has_the_documents_names_in_their_order)
{
    open_with(PROGRAM(""));
    (void)shop_event(&shop, "ecommerce.cart", "CartAbandoned", 0,
                     "\"customerId\":\"c\",\"cartId\":\"k \\\"1\\\"\",\"cartValue\":149.5,"
                     "\"items\":[{\"id\":\"a\",\"name\":\"A\",\"price\":100,\"imageUrl\":\"u\"},"
                     "{\"id\":\"b\",\"name\":\"\",\"price\":24.75,\"quantity\":2}]");
    const char *at = of("c", "p", false);
    cr_assert(eq(int, strncmp(at, "{\"candidateId\":\"", 16), 0));
    const char *rest = strstr(at, ",\"customerId\"");
    cr_assert(eq(sz, (size_t)(rest - at), 16 + CW_MESSAGE_ID_BYTES + 1));
    const char *intent = strstr(rest, ",\"confidence\"");
    cr_assert(ne(ptr, (void *)intent, NULL));
    static const char start[] = ",\"customerId\":\"c\",\"programId\":\"p\",\"cartId\":"
                                "\"k \\\"1\\\"\",\"status\":\"scheduled\",\"purchase_intent\":0.";
    cr_assert(eq(int, strncmp(rest, start, sizeof start - 1), 0), "%s", rest);
    cr_assert(
        eq(str, (char *)intent,
           ",\"confidence\":\"LOW\",\"cart_value\":149.5,\"currency\":\"USD\",\"discount_offer\":"
           "10,\"discount_code\":\"CART10\",\"items\":[{\"id\":\"a\",\"name\":\"A\",\"price\":100,"
           "\"quantity\":1},{\"id\":\"b\",\"name\":\"\",\"price\":24.75,\"quantity\":2}],"
           "\"touches\":[{\"touch\":1,\"channel\":\"email\",\"delivery_time\":"
           "\"2026-01-19T13:00:00.000Z\",\"status\":\"pending\",\"reason\":null},{\"touch\":2,"
           "\"channel\":\"sms\",\"delivery_time\":\"2026-01-20T12:00:00.000Z\",\"status\":"
           "\"pending\",\"reason\":null}],\"createdAt\":\"2026-01-19T12:00:00.000Z\","
           "\"expiresAt\":\"2026-01-26T12:00:00.000Z\"}"));
    close_sound();
}

Test(candidate, its_touches_say_where_they_stand)
{
    open_with(PROGRAM("discountCodes: unique\n"));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop_advance(&shop, HOUR);
    cr_assert(says("T13:00:00.000Z\",\"status\":\"sending\",\"reason\":null"));
    cr_assert(says("\"status\":\"scheduled\""));
    cr_assert(says("\"discount_code\":\"CART10-"));
    shop_result(&shop, 0, CW_POSTED_LATER, 600);
    cr_assert(says("T13:10:00.000Z\",\"status\":\"pending\",\"reason\":\"provider\""));
    shop_advance(&shop, HOUR + 600000);
    shop_result(&shop, 0, CW_POSTED_SENT, 0);
    cr_assert(says("T13:10:00.000Z\",\"status\":\"sent\",\"reason\":null"));
    cr_assert(says("\"status\":\"active\""));
    (void)shop_event(&shop, "ecommerce.order", "OrderPlaced", 2 * HOUR,
                     "\"customerId\":\"c\",\"orderValue\":9,\"orderId\":\"o\",\"cartId\":\"k\"");
    cr_assert(says("\"status\":\"converted\""));
    cr_assert(says("\"touch\":2,\"channel\":\"sms\",\"delivery_time\":\"2026-01-20T12:00:00.000Z\","
                   "\"status\":\"cut-off\",\"reason\":null"));
    close_sound();
}

Test(candidate, a_refused_one_and_an_unknown_one_say_why)
{
    open_with(PROGRAM(""));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop_advance(&shop, HOUR);
    shop_result(&shop, 0, CW_POSTED_REFUSED, 0);
    cr_assert(says("\"status\":\"failed\",\"reason\":\"provider\""));
    shop_advance(&shop, DAY);
    shop_result(&shop, 0, CW_POSTED_UNKNOWN, 0);
    cr_assert(says("\"status\":\"unknown\",\"reason\":\"provider\""));
    close_sound();
}

Test(candidate, the_one_in_flight_comes_before_those_that_ended)
{
    open_with(PROGRAM(""));
    cr_assert(eq(str, (char *)of("c", "p", false), ""));
    cr_assert(eq(str, (char *)of("c", "p", true), ""));
    (void)shop_abandon(&shop, 0, "c", "k1", 100);
    (void)shop_abandon(&shop, 1, "c", "k2", 100);
    (void)shop_abandon(&shop, 2, "c", "k3", 100);
    cr_assert(says("\"cartId\":\"k3\",\"status\":\"scheduled\""));
    const char *all = of("c", "p", true);
    const char *first = strstr(all, "\"k3\"");
    const char *second = strstr(all, "\"k2\",\"status\":\"superseded\"");
    const char *third = strstr(all, "\"k1\",\"status\":\"superseded\"");
    cr_assert(all[0] == '[' && first != NULL && first < second && second < third);
    cr_assert(eq(str, (char *)of("c", "q", false), ""));
    cr_assert(eq(str, (char *)of("d", "p", false), ""));
    shop_advance(&shop, 8 * DAY);
    cr_assert(says("\"cartId\":\"k3\",\"status\":\"expired\""));
    shop_advance(&shop, 100 * DAY);
    cr_assert(eq(str, (char *)of("c", "p", false), ""), "cleaned or not");
    close_sound();
}

Test(candidate, no_two_have_the_same_id)
{
    open_with(PROGRAM("deduplication: {enabled: false}\n"));
    char ids[2][CW_MESSAGE_ID_BYTES + 1] = {{0}};
    for (uint32_t i = 0; i < 2; i++) {
        (void)shop_abandon(&shop, 0, "c", "k", 100); /* the same cart left at the same time */
        memcpy(ids[i], of("c", "p", false) + 16, CW_MESSAGE_ID_BYTES);
        (void)shop_event(&shop, "ecommerce.customer", "CustomerUpdated", 1,
                         "\"customerId\":\"c\",\"optedOut\":true");
        (void)shop_event(&shop, "ecommerce.customer", "CustomerUpdated", 1,
                         "\"customerId\":\"c\",\"optedOut\":false");
    }
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    cr_assert(eq(u64, shop_fates(&shop)->created, 3));
    cr_assert(ne(str, ids[0], ids[1]));
    close_sound();
}
