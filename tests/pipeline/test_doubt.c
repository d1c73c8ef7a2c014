/* What nobody knows after an end: messages under way, sends since an older copy, sends held. */
#include "tests/pipeline/persist_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define HOUR   CW_HOUR_MS
#define DAY    CW_DAY_MS
#define MINUTE CW_MINUTE_MS

static struct shop shop;
static struct saved saved;

#define PROGRAM_OF(cap, of_email, of_sms, tail)                                              \
    "programId: p\neventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n"   \
    "filterChain: [{filterId: t, type: trust}, {filterId: e, type: eligibility}, "           \
    "{filterId: c, type: business-rule, parameters: {maxRecoveryEmailsPerWeek: " cap "}}]\n" \
    "channels: [{channelId: e, type: email, config: {delayMinutes: 60, templateId: "         \
    "cart-recovery-v3, subject: S" of_email "}}, {channelId: s, type: sms, config: "         \
    "{delayHours: 24, message: M" of_sms "}}]\ndiscountStrategy: {defaultDiscount: 10}\n" tail

#define PROGRAM(of_email) PROGRAM_OF("1", of_email, "", "")

static void open_with(const char *yaml)
{
    const struct shop_options options = {.yamls = {yaml}, .live = true};
    cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
    shop.answer = CW_SEND_TAKEN;
    shop_customer(&shop, "c");
    (void)shop_abandon(&shop, 0, "c", "k", 100);
}

/* The process ends without warning; another goes on with its rows. */
static void restart(void)
{
    const struct shop_options options = {.live = true};
    save(&shop, &saved, 0);
    shop_stop(&shop);
    cr_assert(restore(&shop, &options, &saved, NULL, NULL), "%s", shop.f.fault.text);
    cr_assert(shop_check(&shop));
    cr_assert(eq(i64, cw_pipeline_now(shop.pipelines[0]), shop.clock));
}

/* As at a start: what was due meanwhile is overdue now. */
static void leap(int64_t after)
{
    cw_pipeline_leap(shop.pipelines[0], SHOP_START + after);
    shop_advance(&shop, after);
}

static void settle(void)
{
    while (!cw_pipeline_settle_in_doubt(shop.pipelines[0], 1)) {
    }
    cr_assert(shop_check(&shop));
}

/* It is through once time has passed, so time does. */
static void assume_until(int64_t after)
{
    while (!cw_pipeline_assume_sent(shop.pipelines[0], SHOP_START + after, 1)) {
        shop_advance(&shop, shop.clock - SHOP_START + 1);
    }
    cr_assert(shop_check(&shop));
}

static void close_sound(void)
{
    cr_assert(shop_check(&shop));
    shop.answer = CW_SEND_DONE;
    shop_finish(&shop);
    cr_assert(shop_check(&shop));
    shop_close(&shop);
    cw_text_deinit(&saved.text);
}

Test(doubt, what_was_under_way_and_must_not_come_twice_is_unknown)
{
    open_with(PROGRAM(", onUnknown: drop"));
    shop_advance(&shop, HOUR);
    cr_assert(eq(u64, shop.sends, 1));
    restart();
    cr_assert(eq(u64, shop_fates(&shop)->sending, 1), "still under way as far as one knows");
    settle();
    cr_assert(eq(u64, shop_fates(&shop)->sending, 0));
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 1));
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"unknown\",\"reason\":\"provider\""), 1));
    cr_assert(eq(u32, shop_count(&shop, shop.posts[0].key), 1), "under the id that it went by");
    cr_assert(eq(u64, shop_fates(&shop)->results[CW_POSTED_UNKNOWN], 0), "no channel told that");
    (void)shop_abandon(&shop, HOUR, "c", "other", 90);
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"frequency-cap\""), 1), "it counts as sent");
    shop_result(&shop, 0, CW_POSTED_SENT, 0);
    cr_assert(eq(u64, shop_fates(&shop)->stray_results, 1));
    shop_advance(&shop, DAY);
    cr_assert(eq(u64, shop.sends, 2), "the next one comes");
    close_sound();
}

Test(doubt, what_was_under_way_and_may_come_twice_is_tried_again)
{
    open_with(PROGRAM(", onUnknown: resend"));
    shop_advance(&shop, HOUR);
    restart();
    settle();
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 0));
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"deferred\",\"reason\":\"provider\""), 1));
    shop_advance(&shop, HOUR + MINUTE);
    cr_assert(eq(u64, shop.sends, 2));
    cr_assert(eq(str, shop.posts[1].key, shop.posts[0].key), "under the same id");
    cr_assert(eq(u32, shop.posts[1].attempt, 2));
    close_sound();
}

Test(doubt, what_arrived_before_the_end_was_sent)
{
    open_with(PROGRAM(", onUnknown: drop"));
    shop_advance(&shop, HOUR);
    (void)shop_event(&shop, "messaging", "Delivered", HOUR + 5, "\"messageId\":\"%s\"",
                     shop.posts[0].key);
    restart();
    settle();
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 0));
    cr_assert(eq(u64, shop_fates(&shop)->sent[CW_CHANNEL_EMAIL], 1));
    close_sound();
}

Test(doubt, a_journey_that_ended_meanwhile_tells_nothing_more)
{
    open_with(PROGRAM(", onUnknown: resend"));
    shop_advance(&shop, HOUR);
    (void)shop_event(&shop, "ecommerce.order", "OrderPlaced", HOUR + 1,
                     "\"customerId\":\"c\",\"orderValue\":9,\"orderId\":\"o\",\"cartId\":\"k\"");
    restart();
    shop_forget(&shop);
    settle();
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 1));
    cr_assert(eq(u64, (uint64_t)shop.lines.bytes, 0));
    close_sound();
}

Test(doubt, while_sends_are_held_all_else_goes_on)
{
    open_with(PROGRAM(""));
    cw_pipeline_hold_sends(shop.pipelines[0], true);
    restart();
    cr_assert(cw_pipeline_sends_held(shop.pipelines[0]), "over an end, too");
    shop_advance(&shop, 3 * HOUR);
    cr_assert(eq(u64, shop.sends, 0));
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"deferred\",\"reason\":\"paused\""), 1),
              "told once");
    (void)shop_abandon(&shop, 3 * HOUR, "c", "other", 90);
    cr_assert(eq(u64, shop_fates(&shop)->superseded, 1));
    (void)shop_event(&shop, "ecommerce.order", "OrderPlaced", 4 * HOUR,
                     "\"customerId\":\"c\",\"orderValue\":9,\"orderId\":\"o\","
                     "\"cartId\":\"other\"");
    cr_assert(eq(u64, shop_fates(&shop)->converted, 1));
    (void)shop_abandon(&shop, 4 * HOUR, "c", "third", 90);
    shop_advance(&shop, 6 * HOUR);
    cr_assert(eq(u64, shop.sends, 0));
    cw_pipeline_hold_sends(shop.pipelines[0], false);
    shop_advance(&shop, 6 * HOUR + MINUTE);
    cr_assert(eq(u64, shop.sends, 1), "within a minute");
    close_sound();
}

/* The clock will leap by all that the wall is ahead, should it be right. */
Test(doubt, what_came_while_nobody_believes_the_wall_is_remembered_beyond_the_leap)
{
    static const char refund[] =
        "{\"id\":\"r\",\"source\":\"ecommerce.order\",\"detail-type\":\"OrderRefunded\",\"time\":"
        "\"2026-01-27T12:00:01Z\",\"detail\":{\"customerId\":\"c\",\"orderId\":\"o\",\"amount\":5}"
        "}";

    open_with(PROGRAM(""));
    shop.ahead = 8 * DAY;
    cw_pipeline_doubt_wall(shop.pipelines[0], 8 * DAY);
    (void)shop_feed(&shop, refund, strlen(refund));
    cr_assert(eq(u64, shop_fates(&shop)->events[CW_EVENT_FATE_REPEATED], 0));
    (void)shop_feed(&shop, refund, strlen(refund));
    cr_assert(eq(u64, shop_fates(&shop)->events[CW_EVENT_FATE_REPEATED], 1));
    restart();
    shop.ahead = 0;
    leap(8 * DAY + 2000);
    (void)shop_feed(&shop, refund, strlen(refund));
    cr_assert(eq(u64, shop_fates(&shop)->events[CW_EVENT_FATE_REPEATED], 2),
              "seconds later by the wall");
    leap(15 * DAY + 2000);
    (void)shop_feed(&shop, refund, strlen(refund));
    cr_assert(eq(u64, shop_fates(&shop)->events[CW_EVENT_FATE_REPEATED], 2),
              "as long as ever, and no longer");
    close_sound();
}

Test(doubt, held_candidates_expire)
{
    open_with(PROGRAM(""));
    cw_pipeline_hold_sends(shop.pipelines[0], true);
    shop_advance(&shop, 8 * DAY);
    cr_assert(eq(u64, shop.sends, 0));
    cr_assert(eq(u64, shop_fates(&shop)->expired, 1));
    close_sound();
}

static void abandon_much(int64_t after, const char *customer, uint32_t items)
{
    struct cw_text list = {0};
    for (uint32_t i = 0; i < items; i++) {
        cw_text_printf(&list, "%s{\"id\":\"item-%u\",\"name\":\"a long name\",\"price\":%u}",
                       i > 0 ? "," : "", i, i + 1);
    }
    (void)shop_event(&shop, "ecommerce.cart", "CartAbandoned", after,
                     "\"customerId\":\"%s\",\"cartId\":\"k\",\"cartValue\":%u,"
                     "\"items\":[%s]",
                     customer, 100 + items, cw_text_terminate(&list));
    cw_text_deinit(&list);
}

/* The walk goes by places, and a cart that grows takes another: it must not slip past. */
Test(doubt, sends_are_assumed_though_a_candidate_moves_meanwhile)
{
    static const char *const names[] = {"gone", "next", "last"};
    open_with(PROGRAM(", onUnknown: drop"));
    cw_pipeline_hold_sends(shop.pipelines[0], true);
    for (uint32_t i = 0; i < CW_COUNTOF(names); i++) {
        shop_customer(&shop, names[i]);
        abandon_much(0, names[i], i == 0 ? 30 : 1);
    }
    (void)shop_event(&shop, "ecommerce.customer", "CustomerErased", 1, "\"customerId\":\"gone\"");
    shop_advance(&shop, 2 * HOUR);
    shop_forget(&shop);
    for (uint32_t i = 0; i < 2; i++) {
        cr_assert(not(cw_pipeline_assume_sent(shop.pipelines[0], SHOP_START + 2 * HOUR, 1)));
    }
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 2));
    abandon_much(2 * HOUR, "last", 30); /* into the place that is free, before the walk */
    assume_until(2 * HOUR);
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 3));
    cw_pipeline_hold_sends(shop.pipelines[0], false);
    shop_advance(&shop, 4 * HOUR);
    cr_assert(eq(u64, shop.sends, 0), "the lost one sent them");
    close_sound();
}

/* Nobody tells such an abandonment: it is made by a timer, which fires after what set it. */
Test(doubt, sends_are_assumed_of_a_session_that_ended_before)
{
    open_with(PROGRAM_OF("9", ", onUnknown: drop", "",
                         "abandonmentDetection: {sessionTimeoutMinutes: 30}\n"));
    cw_pipeline_hold_sends(shop.pipelines[0], true);
    shop_customer(&shop, "b");
    shop_advance(&shop, 3 * HOUR);
    shop_forget(&shop);
    (void)shop_event(&shop, "ecommerce.cart", "CartUpdated", 0,
                     "\"customerId\":\"b\",\"cartId\":\"k\",\"cartValue\":100,\"items\":[{\"id\":"
                     "\"P\",\"name\":\"Thing\",\"price\":100}]");
    assume_until(3 * HOUR);
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 2), "of c, and of b");
    cw_pipeline_hold_sends(shop.pipelines[0], false);
    shop_advance(&shop, 4 * HOUR);
    cr_assert(eq(u64, shop.sends, 0), "the lost one sent them");
    close_sound();
}

Test(doubt, sends_of_a_newer_state_are_assumed)
{
    open_with(PROGRAM(", onUnknown: drop"));
    cw_pipeline_hold_sends(shop.pipelines[0], true); /* as after a start from a copy */
    shop_customer(&shop, "late");
    (void)shop_abandon(&shop, 2 * HOUR - 1, "late", "k", 100);
    shop_advance(&shop, 5 * HOUR);
    shop_forget(&shop);
    assume_until(2 * HOUR);
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 1), "the other was planned for later");
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"unknown\""), 1));
    assume_until(2 * HOUR);
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 1), "once");
    cw_pipeline_hold_sends(shop.pipelines[0], false);
    (void)shop_abandon(&shop, 5 * HOUR, "c", "other", 100);
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"frequency-cap\""), 1), "it counts");
    shop_advance(&shop, DAY);
    cr_assert(eq(u64, shop.sends, 2), "the other's first, this one's second");
    cr_assert(eq(u32, (uint32_t)shop.posts[1].channel, CW_CHANNEL_SMS));
    close_sound();
}

Test(doubt, what_quiet_hours_would_put_off_in_a_hold_is_assumed_too)
{
    /* Planned for 1 h, sent then by who had the newer state; here looked at in quiet hours only. */
    open_with(PROGRAM_OF("1", ", onUnknown: drop", "",
                         "quietHours: {start: \"16:30\", end: \"17:30\"}\n"));
    cw_pipeline_hold_sends(shop.pipelines[0], true);
    leap(5 * HOUR);
    assume_until(2 * HOUR);
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 1));
    cw_pipeline_hold_sends(shop.pipelines[0], false);
    shop_advance(&shop, 20 * HOUR);
    cr_assert(eq(u64, shop.sends, 0), "it does not go when they end");
    close_sound();
}

Test(doubt, a_later_touch_in_a_hold_does_not_end_the_earlier_one)
{
    open_with("programId: p\neventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n"
              "filterChain: [{filterId: t, type: trust}, {filterId: e, type: eligibility}, "
              "{filterId: c, type: business-rule, parameters: {maxRecoveryEmailsPerWeek: 1}}]\n"
              "minGapMinutes: 0\nchannels: ["
              "{channelId: a, type: email, config: {delayMinutes: 60, templateId: "
              "cart-recovery-v3, subject: S, onUnknown: drop}}, "
              "{channelId: b, type: email, config: {delayMinutes: 180, templateId: "
              "cart-recovery-v3, subject: S, onUnknown: drop}}]\n");
    cw_pipeline_hold_sends(shop.pipelines[0], true);
    leap(5 * HOUR);
    assume_until(2 * HOUR);
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 1), "the first was sent then");
    cw_pipeline_hold_sends(shop.pipelines[0], false);
    shop_advance(&shop, 6 * HOUR);
    cr_assert(eq(u64, shop.sends, 0));
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"frequency-cap\""), 1), "one a week");
    close_sound();
}

Test(doubt, a_cart_abandoned_again_in_a_hold_does_not_begin_anew_what_was_sent)
{
    open_with(PROGRAM_OF("1", ", onUnknown: drop", "", "onReabandon: restart\n"));
    cw_pipeline_hold_sends(shop.pipelines[0], true);
    leap(5 * HOUR);
    (void)shop_abandon(&shop, 4 * HOUR + 30 * MINUTE, "c", "k", 120); /* sent again */
    assume_until(4 * HOUR + 45 * MINUTE);
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 1));
    cw_pipeline_hold_sends(shop.pipelines[0], false);
    shop_advance(&shop, 7 * HOUR);
    cr_assert(eq(u64, shop.sends, 0));
    close_sound();
}

Test(doubt, an_assumed_send_counts_from_its_own_time)
{
    open_with(PROGRAM_OF("1", ", onUnknown: drop", "", "minGapMinutes: 0\n"));
    cw_pipeline_hold_sends(shop.pipelines[0], true);
    shop_advance(&shop, 5 * HOUR);
    assume_until(2 * HOUR);
    cw_pipeline_hold_sends(shop.pipelines[0], false);
    struct cw_customer customer;
    cr_assert(cw_customer_find(shop.pipelines[0], CW_VIEW("c"), &customer));
    cr_assert(eq(i64, customer.at->last_sent, SHOP_START + HOUR));
    cr_assert(eq(u32, customer.at->sends_count, 1));
    shop_advance(&shop, 7 * DAY + HOUR - 1);
    cr_assert(eq(u32, cw_sends_count(shop.pipelines[0], &customer, CW_CHANNEL_EMAIL), 1));
    cr_assert(cw_customer_find(shop.pipelines[0], CW_VIEW("c"), &customer));
    shop_advance(&shop, 7 * DAY + HOUR);
    cr_assert(eq(u32, cw_sends_count(shop.pipelines[0], &customer, CW_CHANNEL_EMAIL), 0));
    close_sound();
}

Test(doubt, assumed_sends_that_may_come_twice_stay_pending)
{
    open_with(PROGRAM(", onUnknown: resend"));
    cw_pipeline_hold_sends(shop.pipelines[0], true);
    shop_advance(&shop, 5 * HOUR);
    shop_forget(&shop);
    assume_until(2 * HOUR);
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 0));
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"deferred\",\"reason\":\"provider\""), 1));
    shop_advance(&shop, 5 * HOUR + 10 * MINUTE);
    cr_assert(eq(u64, shop.sends, 0), "held still");
    cw_pipeline_hold_sends(shop.pipelines[0], false);
    shop_advance(&shop, 5 * HOUR + 12 * MINUTE);
    cr_assert(eq(u64, shop.sends, 1));
    cr_assert(eq(u32, shop.posts[0].attempt, 2));
    close_sound();
}

Test(doubt, what_comes_back_of_an_assumed_send_is_known)
{
    open_with(PROGRAM(", onUnknown: drop"));
    cw_pipeline_hold_sends(shop.pipelines[0], true);
    shop_advance(&shop, 5 * HOUR);
    char id[CW_MESSAGE_ID_BYTES + 1] = {0};
    cw_message_id(256, CW_VIEW("p"), CW_VIEW("c"), CW_VIEW("k"), SHOP_START, 1, id);
    assume_until(2 * HOUR);
    (void)shop_event(&shop, "messaging", "Clicked", 5 * HOUR, "\"messageId\":\"%s\"", id);
    cr_assert(eq(u64, shop_fates(&shop)->clicked[1], 1));
    close_sound();
}
