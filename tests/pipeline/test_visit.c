/* Links in messages and who comes back by them. */
#include "pipeline/persist.h"
#include "tests/pipeline/random_shop.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define HOUR CW_HOUR_MS
#define DAY  CW_DAY_MS

static struct shop shop;

static const struct cw_links links = {.key = {3, 4}, .base = {"https://go.example", 18}};

#define PROGRAM                                                                            \
    "programId: p\neventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n" \
    "filterChain: [{filterId: t, type: trust}, {filterId: e, type: eligibility}]\n"        \
    "channels: [{channelId: e, type: email, config: {delayMinutes: 60, templateId: "       \
    "cart-recovery-v3, subject: S}}, {channelId: s, type: sms, config: {delayHours: 24, "  \
    "message: M}}]\ndiscountStrategy: {defaultDiscount: 10}\n"

static void open_with(const struct cw_links *with, const char *cart_url)
{
    const struct shop_options options = {.yamls = {PROGRAM}, .links = with, .live = true};
    cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
    shop_customer(&shop, "c");
    (void)shop_event(&shop, "ecommerce.cart", "CartAbandoned", 0,
                     "\"customerId\":\"c\",\"cartId\":\"k\",\"cartValue\":9,\"items\":[{\"id\":"
                     "\"i\",\"name\":\"I\",\"price\":9}],\"cartUrl\":\"%s\"",
                     cart_url);
    shop_advance(&shop, HOUR);
    cr_assert(eq(u64, shop.sends, 1));
}

static void close_sound(void)
{
    cr_assert(shop_check(&shop));
    shop_finish(&shop);
    cr_assert(shop_check(&shop));
    shop_close(&shop);
}

static void profile(int64_t after, const char *fields)
{
    (void)shop_event(&shop, "ecommerce.customer", "CustomerUpdated", after,
                     "\"customerId\":\"c\",%s", fields);
}

static char room[CW_LINK_TOKEN_BYTES_MAX];

static struct cw_visit visit_to(const char *url, int64_t after)
{
    const char *kind = url + links.base.bytes + 1;
    struct cw_visit visit = {.kind = (enum cw_link_kind)kind[0], .time = SHOP_START + after};
    uint32_t bytes = (uint32_t)strlen(kind + 2);
    bytes -= visit.kind == CW_LINK_OPEN ? 4 : 0;
    cr_assert(
        cw_link_read(&links, visit.kind, (struct cw_view){kind + 2, bytes}, 256, room, &visit.link),
        "%s", url);
    return visit;
}

static struct cw_visited go(const struct cw_visit *visit)
{
    struct cw_visited visited;
    cw_pipeline_visit(shop.pipelines[0], visit, &visited);
    cr_assert(shop_check(&shop));
    return visited;
}

static bool leads_to(const struct cw_visited *visited, const char *url)
{
    return cw_view_equal(visited->url, (struct cw_view){url, (uint32_t)strlen(url)});
}

Test(visit, without_links_of_our_own_messages_carry_the_shops)
{
    open_with(NULL, "https://shop.example/k");
    cr_assert(eq(str, shop.posts[0].cart_link, "https://shop.example/k"));
    cr_assert(eq(str, shop.posts[0].open_pixel_link, ""));
    close_sound();
}

Test(visit, opens_and_clicks_count_once_and_their_raw_numbers_apart)
{
    open_with(&links, "https://shop.example/k");
    struct cw_visit open = visit_to(shop.posts[0].open_pixel_link, HOUR + 1);
    struct cw_visit click = visit_to(shop.posts[0].cart_link, HOUR + 2);
    open.machine = true;
    struct cw_visited visited = go(&open);
    cr_assert(visited.known);
    cr_assert(eq(ptr, (void *)visited.url.data, NULL));
    const struct cw_fates *fates = shop_fates(&shop);
    cr_assert(eq(u64, fates->opened[1], 0), "a machine's open is none of a person");
    open.machine = false;
    (void)go(&open);
    (void)go(&open);
    cr_assert(eq(u64, fates->opened[1], 1));
    cr_assert(eq(u64, fates->opened_raw[1], 3));
    visited = go(&click);
    cr_assert(leads_to(&visited, "https://shop.example/k"));
    (void)go(&click);
    cr_assert(eq(u64, fates->clicked[1], 1));
    cr_assert(eq(u64, fates->clicked_raw[1], 2));
    (void)shop_event(&shop, "messaging", "Clicked", HOUR + 3, "\"messageId\":\"%s\"",
                     shop.posts[0].key);
    cr_assert(eq(u64, fates->clicked[1], 1), "nor once more when the provider tells it");
    (void)shop_event(&shop, "ecommerce.order", "OrderPlaced", HOUR + 4,
                     "\"customerId\":\"c\",\"orderValue\":9,\"orderId\":\"o\",\"cartId\":\"k\"");
    cr_assert(eq(u32, shop_count(&shop, "\"attributedTo\":1"), 1));
    close_sound();
}

Test(visit, a_look_changes_nothing)
{
    open_with(&links, "https://shop.example/k");
    struct cw_visit visit = visit_to(shop.posts[0].unsubscribe_link, HOUR + 1);
    visit.look = true;
    struct cw_visited visited = go(&visit);
    cr_assert(visited.known);
    cr_assert(eq(int, (int)visited.channel, CW_CHANNEL_EMAIL));
    cr_assert(cw_view_equal(visited.shop_name, CW_VIEW("Shop")));
    visit = visit_to(shop.posts[0].cart_link, HOUR + 1);
    visit.look = true;
    (void)go(&visit);
    cr_assert(eq(u64, shop_fates(&shop)->clicked_raw[1], 0));
    (void)shop_abandon(&shop, 2 * HOUR, "c", "k", 100);
    shop_advance(&shop, 3 * HOUR);
    cr_assert(eq(u64, shop.kinds[CW_DECISION_REJECTED], 0));
    close_sound();
}

Test(visit, an_unsubscription_opts_its_channel_out_and_the_last_one_cancels)
{
    open_with(&links, "https://shop.example/k");
    struct cw_visit visit = visit_to(shop.posts[0].unsubscribe_link, HOUR + 1);
    cr_assert(go(&visit).known);
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANCELLED], 0), "SMS is left");
    shop_advance(&shop, DAY);
    cr_assert(eq(u64, shop.sends, 2));
    cr_assert(eq(int, (int)shop.posts[1].channel, CW_CHANNEL_SMS));
    cr_assert(le(sz, strlen(shop.posts[1].unsubscribe_link), CW_LINK_SMS_BYTES));
    visit = visit_to(shop.posts[1].unsubscribe_link, DAY + 1);
    struct cw_visited visited = go(&visit);
    cr_assert(visited.known);
    cr_assert(eq(int, (int)visited.channel, CW_CHANNEL_SMS));
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"opted-out\""), 1));
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANCELLED], 1));
    close_sound();
}

Test(visit, who_came_back_can_unsubscribe_again_by_the_same_link)
{
    open_with(&links, "https://shop.example/k");
    struct cw_visit visit = visit_to(shop.posts[0].unsubscribe_link, HOUR + 1);
    (void)go(&visit);
    (void)shop_event(&shop, "ecommerce.customer", "CustomerUpdated", HOUR + 2,
                     "\"customerId\":\"c\",\"optedOut\":{\"email\":false,\"sms\":true}");
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANCELLED], 0));
    visit.time = SHOP_START + HOUR + 3;
    (void)go(&visit);
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANCELLED], 1));
    close_sound();
}

/* Whoever asks for no more has seen what the profile said, whatever time its source put on it. */
Test(visit, an_unsubscription_stands_against_a_profile_of_a_clock_that_is_ahead)
{
    for (uint32_t by_link = 0; by_link < 2; by_link++) {
        open_with(&links, "https://shop.example/k");
        shop.ahead = 9 * HOUR;
        profile(10 * HOUR + 1, "\"optedOut\":{\"email\":false,\"sms\":true}");
        shop.ahead = 0;
        cr_assert(eq(i64, shop.clock, SHOP_START + HOUR + 1));
        struct cw_visit visit = visit_to(shop.posts[0].unsubscribe_link, HOUR + 2);
        if (by_link != 0) {
            (void)go(&visit);
        } else {
            (void)shop_event(&shop, "messaging", "Unsubscribed", HOUR + 2, "\"messageId\":\"%s\"",
                             shop.posts[0].key);
        }
        cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"opted-out\""), 1));
        profile(9 * HOUR, "\"optedOut\":{\"email\":false}");
        (void)shop_abandon(&shop, 9 * HOUR, "c", "k2", 100);
        cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"opted-out\""), 2), "nor does that");
        profile(11 * HOUR, "\"optedOut\":{\"email\":false}");
        (void)shop_abandon(&shop, 11 * HOUR, "c", "k3", 100);
        cr_assert(eq(u64, shop.kinds[CW_DECISION_CANDIDATE], 2), "what is told later counts");
        close_sound();
    }
}

/* Should the wall be right, then the link was used at its time, not days before that. */
Test(visit, an_unsubscription_is_of_the_walls_time_while_nobody_believes_the_wall)
{
    open_with(&links, "https://shop.example/k");
    profile(HOUR, "\"optedOut\":{\"sms\":true}");
    cw_pipeline_doubt_wall(shop.pipelines[0], 8 * DAY);
    struct cw_visit visit = visit_to(shop.posts[0].unsubscribe_link, HOUR + 2);
    (void)go(&visit);
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANCELLED], 1));
    cw_pipeline_doubt_wall(shop.pipelines[0], 0);
    cw_pipeline_leap(shop.pipelines[0], SHOP_START + 8 * DAY + HOUR + 3);
    shop_advance(&shop, 8 * DAY + HOUR + 3);
    profile(8 * DAY + HOUR + 1, "\"optedOut\":{\"email\":false}");
    (void)shop_abandon(&shop, 8 * DAY + 2 * HOUR, "c", "k2", 100);
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANDIDATE], 1), "an older profile that comes late");
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"opted-out\""), 2));
    profile(8 * DAY + 3 * HOUR, "\"optedOut\":{\"email\":false}");
    (void)shop_abandon(&shop, 8 * DAY + 3 * HOUR, "c", "k3", 100);
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANDIDATE], 2), "and a newer one");
    close_sound();
}

Test(visit, a_long_link_unsubscribes_who_is_not_remembered_any_more)
{
    open_with(&links, "https://shop.example/k");
    (void)shop_event(&shop, "ecommerce.customer", "CustomerErased", HOUR + 1,
                     "\"customerId\":\"c\"");
    struct cw_visit click = visit_to(shop.posts[0].cart_link, HOUR + 2);
    struct cw_visited visited = go(&click);
    cr_assert(visited.known);
    cr_assert(leads_to(&visited, "https://shop.example/cart"));
    cr_assert(eq(u64, shop_fates(&shop)->clicked_raw[1], 0));
    struct cw_visit visit = visit_to(shop.posts[0].unsubscribe_link, HOUR + 3);
    visited = go(&visit);
    cr_assert(visited.known);
    cr_assert(eq(int, (int)visited.channel, CW_CHANNEL_EMAIL));
    profile(HOUR + 4, "\"email\":\"a@b.example\",\"phone\":\"+1\",\"paymentMethodOnFile\":true");
    (void)shop_abandon(&shop, 2 * HOUR, "c", "k2", 100);
    shop_advance(&shop, 3 * HOUR);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"skipped\",\"reason\":\"opted-out\""), 1));
    close_sound();
}

Test(visit, an_expired_link_still_unsubscribes_but_counts_nothing)
{
    open_with(&links, "https://shop.example/k");
    struct cw_visit open = visit_to(shop.posts[0].open_pixel_link, 92 * DAY);
    struct cw_visit click = visit_to(shop.posts[0].cart_link, 92 * DAY);
    struct cw_visit visit = visit_to(shop.posts[0].unsubscribe_link, 92 * DAY);
    cr_assert(go(&open).expired);
    struct cw_visited visited = go(&click);
    cr_assert(visited.expired);
    cr_assert(leads_to(&visited, "https://shop.example/cart"));
    cr_assert(eq(u64, shop_fates(&shop)->opened_raw[1] + shop_fates(&shop)->clicked_raw[1], 0));
    visited = go(&visit);
    cr_assert(visited.known);
    cr_assert(visited.expired);
    (void)shop_abandon(&shop, 93 * DAY, "c", "k2", 100);
    shop_advance(&shop, 93 * DAY + HOUR);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"skipped\",\"reason\":\"opted-out\""), 1));
    close_sound();
}

Test(visit, a_brief_link_leads_nowhere_once_its_message_is_forgotten)
{
    open_with(&links, "https://shop.example/k");
    shop_advance(&shop, DAY);
    struct cw_visit click = visit_to(shop.posts[1].cart_link, DAY + 1);
    struct cw_visited visited = go(&click);
    cr_assert(leads_to(&visited, "https://shop.example/k"));
    struct cw_visit elsewhere = click;
    elsewhere.link.partition ^= 1;
    cr_assert(not(go(&elsewhere).known));
    shop_advance(&shop, 8 * DAY);
    shop_advance(&shop, 100 * DAY);
    cw_pipeline_clean(shop.pipelines[0], UINT32_MAX);
    click.time = SHOP_START + 100 * DAY;
    visited = go(&click);
    cr_assert(not(visited.known));
    cr_assert(eq(ptr, (void *)visited.url.data, NULL));
    close_sound();
}

Test(visit, a_click_never_leads_to_what_is_no_web_address)
{
    static const char *const urls[] = {"javascript:alert(1)", "//evil.example",
                                       "https:///x",          "https://a b",
                                       "ftp://shop.example",  "https://x\\\\y"};

    for (uint32_t i = 0; i < CW_COUNTOF(urls); i++) {
        open_with(&links, urls[i]);
        struct cw_visit click = visit_to(shop.posts[0].cart_link, HOUR + 1);
        struct cw_visited visited = go(&click);
        cr_assert(leads_to(&visited, "https://shop.example/cart"), "%s", urls[i]);
        close_sound();
    }
}

Test(visit, an_sms_without_room_for_our_links_carries_the_shops)
{
    static const struct cw_links longer = {.key = {3, 4},
                                           .base = {"https://links.of.a.shop.example", 31}};

    open_with(&longer, "https://shop.example/k");
    shop_advance(&shop, DAY);
    cr_assert(eq(str, shop.posts[1].cart_link, "https://shop.example/cart"));
    cr_assert(eq(str, shop.posts[1].unsubscribe_link, "https://shop.example/cart"));
    cr_assert(eq(u64, shop_fates(&shop)->links_left_out, 1));
    close_sound();
}
