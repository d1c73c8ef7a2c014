/* Messages that a channel takes and answers for later: every answer, at every moment. */
#include "tests/pipeline/random_shop.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define HOUR   CW_HOUR_MS
#define DAY    CW_DAY_MS
#define MINUTE CW_MINUTE_MS

static struct shop shop;

#define PROGRAM_OF(cap, of_email, tail)                                                      \
    "programId: p\neventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n"   \
    "filterChain: [{filterId: t, type: trust}, {filterId: e, type: eligibility}, "           \
    "{filterId: c, type: business-rule, parameters: {maxRecoveryEmailsPerWeek: " cap "}}]\n" \
    "channels: [{channelId: e, type: email, config: {delayMinutes: 60, templateId: "         \
    "cart-recovery-v3, subject: S" of_email "}}, {channelId: s, type: sms, config: "         \
    "{delayHours: 24, message: M}}]\ndiscountStrategy: {defaultDiscount: 10}\n" tail

#define PROGRAM(of_email, tail) PROGRAM_OF("1", of_email, tail)

static void open_with(const char *yaml, const struct shop_options *more)
{
    struct shop_options options = *more;
    options.yamls[0] = yaml;
    options.live = true;
    cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
    shop.answer = CW_SEND_TAKEN;
    shop_customer(&shop, "c");
}

/* A cart was left, its first message is under way. */
static void open_sending(const char *yaml)
{
    open_with(yaml, &(struct shop_options){0});
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop_advance(&shop, HOUR);
    cr_assert(eq(u64, shop.sends, 1));
    cr_assert(eq(u64, shop_fates(&shop)->sending, 1));
    cr_assert(shop_check(&shop));
    shop_forget(&shop);
}

static void close_sound(void)
{
    cr_assert(shop_check(&shop));
    shop.answer = CW_SEND_DONE;
    shop_finish(&shop);
    cr_assert(shop_check(&shop));
    shop_close(&shop);
}

static void order(int64_t after)
{
    (void)shop_event(&shop, "ecommerce.order", "OrderPlaced", after,
                     "\"customerId\":\"c\",\"orderValue\":9,\"orderId\":\"o\",\"cartId\":\"k\"");
}

static void told(const char *type, int64_t after)
{
    (void)shop_event(&shop, "messaging", type, after, "\"messageId\":\"%s\"",
                     shop.posts[(shop.sends - 1) % SHOP_POSTS_MAX].key);
}

Test(deliver, a_message_under_way_is_told_as_sent_when_its_channel_says_so)
{
    open_sending(PROGRAM("", ""));
    cr_assert(eq(u64, shop.kinds[CW_DECISION_TOUCH], 0), "nothing is told before");
    shop_advance(&shop, HOUR + 700);
    shop_result(&shop, 0, CW_POSTED_SENT, 0);
    cr_assert(eq(u32, shop_count(&shop, "\"at\":\"2026-01-19T13:00:00.700Z\""), 1));
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"sent\""), 1));
    cr_assert(eq(u32, shop_count(&shop, shop.posts[0].key), 1));
    cr_assert(eq(u32, shop_count(&shop, "\"discountPercent\":10,\"discountCode\":\"CART10\""), 1));
    cr_assert(eq(u64, shop_fates(&shop)->sent[CW_CHANNEL_EMAIL], 1));
    shop_result(&shop, 0, CW_POSTED_SENT, 0);
    cr_assert(eq(u64, shop_fates(&shop)->stray_results, 1), "told twice changes nothing");
    close_sound();
}

Test(deliver, what_was_claimed_counts_for_caps_and_gaps_until_it_fails)
{
    open_with(PROGRAM("", "onNewCart: parallel\n"), &(struct shop_options){0});
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop_advance(&shop, HOUR);
    (void)shop_abandon(&shop, HOUR, "c", "other", 100);
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"frequency-cap\""), 1));
    shop_result(&shop, 0, CW_POSTED_REFUSED, 0);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"failed\",\"reason\":\"provider\"}"), 1));
    cr_assert(eq(u64, shop_fates(&shop)->failed, 1));
    (void)shop_abandon(&shop, HOUR + 1, "c", "other", 100);
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANDIDATE], 2), "the failed one counts no more");
    shop_advance(&shop, 2 * HOUR + 1);
    cr_assert(eq(u64, shop.sends, 2));
    close_sound();
}

Test(deliver, what_the_provider_did_not_take_is_tried_again_ever_later_then_given_up)
{
    open_sending(PROGRAM(", retries: 2", ""));
    int64_t waits[2];
    for (uint32_t attempt = 1; attempt <= 2; attempt++) {
        shop_forget(&shop);
        int64_t now = shop.clock - SHOP_START;
        shop_result(&shop, 0, CW_POSTED_LATER, 0);
        cr_assert(
            eq(u32, shop_count(&shop, "\"outcome\":\"deferred\",\"reason\":\"provider\""), 1));
        int64_t due;
        cr_assert(cw_pipeline_earliest(shop.pipelines[0], &due));
        shop_advance(&shop, due - SHOP_START);
        cr_assert(eq(u64, shop.sends, attempt + 1));
        cr_assert(eq(u32, shop.posts[attempt].attempt, attempt + 1));
        cr_assert(eq(str, shop.posts[attempt].key, shop.posts[0].key), "the same id");
        waits[attempt - 1] = shop.clock - SHOP_START - now;
    }
    cr_assert(ge(i64, waits[0], 22500));
    cr_assert(le(i64, waits[0], 37500));
    cr_assert(ge(i64, waits[1], 45000));
    cr_assert(le(i64, waits[1], 75000));
    shop_result(&shop, 0, CW_POSTED_LATER, 0);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"failed\""), 1));
    shop_advance(&shop, DAY);
    cr_assert(eq(u32, (uint32_t)shop.posts[3].channel, CW_CHANNEL_SMS), "the next one still comes");
    close_sound();
}

Test(deliver, a_provider_that_asks_for_more_time_gets_it)
{
    open_sending(PROGRAM("", ""));
    shop_result(&shop, 0, CW_POSTED_LATER, 7200);
    cr_assert(eq(u32, shop_count(&shop, "\"until\":\"2026-01-19T15:00:00.000Z\""), 1));
    shop_advance(&shop, 3 * HOUR - 1);
    cr_assert(eq(u64, shop.sends, 1));
    shop_advance(&shop, 3 * HOUR);
    cr_assert(eq(u64, shop.sends, 2));
    close_sound();
}

Test(deliver, what_never_left_is_no_attempt)
{
    open_sending(PROGRAM(", retries: 1", ""));
    const struct cw_post_result untried = {
        .outcome = CW_POSTED_LATER, .untried = true, .retry_after_s = 8};
    int64_t waited = 0;
    for (uint32_t i = 1; i <= 20; i++) { /* a provider is down for most of a day */
        int64_t due;
        int64_t now = shop.clock;
        shop_tell(&shop, 0, untried);
        cr_assert(shop_check(&shop));
        cr_assert(cw_pipeline_earliest(shop.pipelines[0], &due));
        cr_assert(ge(i64, due - now, waited / 2), "ever later");
        waited = due - now;
        shop_advance(&shop, due - SHOP_START);
        cr_assert(eq(u64, shop.sends, i + 1));
        cr_assert(eq(u32, shop.posts[i % SHOP_POSTS_MAX].attempt, 1));
    }
    cr_assert(le(i64, waited, HOUR / 4 * 5));
    cr_assert(eq(u64, shop_fates(&shop)->failed, 0));
    shop_result(&shop, 0, CW_POSTED_LATER, 0);
    int64_t due;
    cr_assert(cw_pipeline_earliest(shop.pipelines[0], &due));
    cr_assert(le(i64, due - shop.clock, 37500), "its first failure waits like a first one");
    shop_advance(&shop, due - SHOP_START);
    cr_assert(eq(u32, shop.posts[21 % SHOP_POSTS_MAX].attempt, 2));
    shop_result(&shop, 0, CW_POSTED_LATER, 0);
    cr_assert(eq(u64, shop_fates(&shop)->failed, 1));
    close_sound();
}

Test(deliver, everything_is_looked_at_again_before_another_attempt)
{
    open_sending(PROGRAM("", ""));
    shop_result(&shop, 0, CW_POSTED_LATER, 0);
    (void)shop_event(&shop, "ecommerce.customer", "CustomerUpdated", HOUR + 1000,
                     "\"customerId\":\"c\",\"optedOut\":{\"email\":true}");
    shop_advance(&shop, HOUR + MINUTE);
    cr_assert(eq(u64, shop.sends, 1));
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"skipped\",\"reason\":\"opted-out\""), 1));
    close_sound();
}

Test(deliver, a_retry_that_comes_after_the_next_touch_is_late)
{
    open_sending(PROGRAM("", ""));
    shop_result(&shop, 0, CW_POSTED_LATER, 90000);
    shop_advance(&shop, DAY);
    cr_assert(eq(u64, shop.sends, 2));
    shop_result(&shop, 0, CW_POSTED_SENT, 0);
    shop_advance(&shop, 2 * DAY);
    cr_assert(eq(u64, shop.sends, 2));
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"skipped\",\"reason\":\"late\""), 1));
    close_sound();
}

Test(deliver, what_nobody_knows_counts_as_sent_and_is_not_tried_again)
{
    open_sending(PROGRAM("", "onNewCart: parallel\n"));
    shop_result(&shop, 0, CW_POSTED_UNKNOWN, 0);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"unknown\",\"reason\":\"provider\","), 1));
    cr_assert(eq(u32, shop_count(&shop, shop.posts[0].key), 1), "its id is told");
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 1));
    (void)shop_abandon(&shop, HOUR + 1, "c", "other", 100);
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"frequency-cap\""), 1));
    shop_advance(&shop, 20 * HOUR);
    cr_assert(eq(u64, shop.sends, 1));
    shop_advance(&shop, DAY);
    cr_assert(eq(u64, shop.sends, 2), "the next one still comes");
    close_sound();
}

Test(deliver, what_nobody_knows_is_tried_again_where_the_provider_collapses)
{
    open_with(PROGRAM("", ""), &(struct shop_options){.collapses = {true}});
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop_advance(&shop, HOUR);
    shop_result(&shop, 0, CW_POSTED_UNKNOWN, 0);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"deferred\",\"reason\":\"provider\""), 1));
    cr_assert(shop_check(&shop));
    shop_advance(&shop, HOUR + MINUTE);
    cr_assert(eq(u64, shop.sends, 2), "its own first attempt stands in no cap's or gap's way");
    shop_result(&shop, 0, CW_POSTED_REFUSED, 0);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"unknown\""), 1), "the first may have come");
    cr_assert(eq(u64, shop_fates(&shop)->failed, 0));
    close_sound();
}

/* Its provider asks for so much time that it has forgotten the key by then. */
static void try_again_after(uint32_t seconds, const char *program)
{
    open_with(program, &(struct shop_options){.collapses = {true}});
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop_advance(&shop, HOUR);
    shop_result(&shop, 0, CW_POSTED_UNKNOWN, seconds);
    shop_advance(&shop, HOUR + seconds * INT64_C(1000) + MINUTE);
}

Test(deliver, what_nobody_knows_is_not_tried_again_once_its_key_may_be_forgotten)
{
    try_again_after(69000, PROGRAM("", ""));
    cr_assert(eq(u64, shop.sends, 2));
    close_sound();
    try_again_after(70000, PROGRAM("", ""));
    cr_assert(eq(u64, shop.sends, 1));
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"unknown\""), 1));
    close_sound();
    try_again_after(70000, PROGRAM(", onUnknown: resend", ""));
    cr_assert(eq(u64, shop.sends, 2), "who says so means it");
    close_sound();
}

/* It may have come through, so it counts; but it is one message, also while it is pending again. */
Test(deliver, what_nobody_knows_and_is_tried_again_counts_once)
{
    open_with(PROGRAM_OF("2", "", "onNewCart: parallel\n"),
              &(struct shop_options){.collapses = {true, true, true}});
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop_advance(&shop, HOUR);
    shop_result(&shop, 0, CW_POSTED_UNKNOWN, 0);
    cr_assert(shop_check(&shop));
    (void)shop_abandon(&shop, HOUR + 1, "c", "second", 100);
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANDIDATE], 2), "one of two is left");
    (void)shop_abandon(&shop, HOUR + 2, "c", "third", 100);
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"frequency-cap\""), 1), "and no more");
    shop_advance(&shop, 2 * HOUR);
    cr_assert(eq(u64, shop.sends, 2), "it is tried again");
    shop_result(&shop, 0, CW_POSTED_SENT, 0);
    (void)shop_abandon(&shop, 2 * HOUR, "c", "third", 100);
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"frequency-cap\""), 2));
    close_sound();
}

Test(deliver, a_delivery_is_surer_than_what_the_provider_said)
{
    open_sending(PROGRAM("", ""));
    told("Delivered", HOUR + 1);
    shop_result(&shop, 0, CW_POSTED_UNKNOWN, 0);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"sent\""), 1));
    close_sound();
    open_sending(PROGRAM(", onUnknown: resend", ""));
    shop_result(&shop, 0, CW_POSTED_UNKNOWN, 0);
    told("Opened", HOUR + 1);
    shop_advance(&shop, HOUR + MINUTE);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"sent\""), 1));
    cr_assert(eq(u64, shop.sends, 1), "nobody gets it twice");
    close_sound();
}

Test(deliver, what_came_through_although_it_was_refused_counts_again)
{
    open_sending(PROGRAM_OF("1", "", "minGapMinutes: 0\n"));
    shop_result(&shop, 0, CW_POSTED_LATER, 0);
    told("Delivered", HOUR + 1);
    shop_advance(&shop, 2 * HOUR);
    cr_assert(eq(u64, shop.sends, 1));
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"sent\""), 1));
    (void)shop_abandon(&shop, 2 * HOUR, "c", "other", 90);
    shop_advance(&shop, 4 * HOUR);
    cr_assert(eq(u64, shop.sends, 1), "one a week");
    close_sound();
}

Test(deliver, a_full_channel_charges_nothing_and_is_asked_again_soon)
{
    open_with(PROGRAM("", ""), &(struct shop_options){0});
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop.answer = CW_SEND_FULL;
    shop_advance(&shop, HOUR);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"deferred\",\"reason\":\"provider\""), 1));
    cr_assert(eq(u64, shop_fates(&shop)->sending, 0));
    cr_assert(shop_check(&shop));
    shop_advance(&shop, 2 * HOUR);
    uint32_t asked = shop_count(&shop, "\"reason\":\"provider\"");
    cr_assert(gt(u32, asked, 50), "at least about once a minute");
    cr_assert(lt(u32, asked, 100), "and not much more often");
    shop.answer = CW_SEND_TAKEN;
    shop_advance(&shop, 2 * HOUR + 2 * MINUTE);
    cr_assert(eq(u64, shop.sends, 1));
    cr_assert(eq(u32, shop.posts[0].attempt, 1));
    close_sound();
}

Test(deliver, a_journey_that_ends_meanwhile_tells_nothing_more)
{
    static const struct {
        enum cw_posted outcome;
        size_t counter;
    } results[] = {{CW_POSTED_SENT, offsetof(struct cw_fates, sent)},
                   {CW_POSTED_REFUSED, offsetof(struct cw_fates, failed)},
                   {CW_POSTED_LATER, offsetof(struct cw_fates, cut_off)},
                   {CW_POSTED_UNKNOWN, offsetof(struct cw_fates, unknown)}};

    for (uint32_t i = 0; i < CW_COUNTOF(results); i++) {
        open_sending(PROGRAM(", onUnknown: resend", ""));
        order(HOUR + 1);
        cr_assert(eq(u64, shop.kinds[CW_DECISION_CONVERTED], 1));
        cr_assert(eq(u32, shop_count(&shop, "\"attributedTo\":\"organic\""), 1));
        cr_assert(shop_check(&shop));
        uint64_t before;
        uint64_t after;
        memcpy(&before, (const char *)shop_fates(&shop) + results[i].counter, sizeof before);
        uint64_t decided = shop.decided;
        shop_result(&shop, 0, results[i].outcome, 0);
        memcpy(&after, (const char *)shop_fates(&shop) + results[i].counter, sizeof after);
        cr_assert(eq(u64, after, before + 1), "%u", i);
        cr_assert(eq(u64, shop_fates(&shop)->sending, 0));
        cr_assert(eq(u64, shop.decided, decided), "no later line");
        shop_advance(&shop, 2 * DAY);
        cr_assert(eq(u64, shop.sends, 1));
        close_sound();
    }
}

Test(deliver, a_click_while_under_way_takes_the_order)
{
    open_sending(PROGRAM("", ""));
    told("Clicked", HOUR + 1);
    order(HOUR + 2);
    cr_assert(eq(u32, shop_count(&shop, "\"attributedTo\":1"), 1));
    close_sound();
}

Test(deliver, what_is_erased_while_under_way_stays_unknown)
{
    open_sending(PROGRAM("", ""));
    (void)shop_event(&shop, "ecommerce.customer", "CustomerErased", HOUR + 1,
                     "\"customerId\":\"c\"");
    cr_assert(eq(u64, shop_fates(&shop)->unknown, 1));
    shop_result(&shop, 0, CW_POSTED_SENT, 0);
    cr_assert(eq(u64, shop_fates(&shop)->stray_results, 1));
    close_sound();
}

Test(deliver, a_better_offer_meanwhile_does_not_change_what_was_claimed)
{
    open_sending(PROGRAM_OF("9", "", "onReabandon: update\n"));
    (void)shop_abandon(&shop, HOUR + 1, "c", "k", 900);
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANDIDATE], 2));
    cr_assert(eq(u32, shop_count(&shop, "\"touches\":[{\"touch\":2"), 1),
              "what is under way is not still to come");
    shop_result(&shop, 0, CW_POSTED_SENT, 0);
    cr_assert(eq(u32, shop_count(&shop, "\"discountCode\":\"CART10\""), 1));
    close_sound();
}

Test(deliver, a_restarted_journey_tries_again_at_its_new_time)
{
    open_sending(PROGRAM_OF("9", "", ""));
    (void)shop_abandon(&shop, 2 * HOUR, "c", "k", 900);
    shop_result(&shop, 0, CW_POSTED_LATER, 0);
    cr_assert(eq(u32, shop_count(&shop, "\"until\":\"2026-01-19T15:00:00.000Z\""), 1));
    close_sound();
}

/* A crowd that left at the same instant; returns when its e-mails were sent, in order. */
static void crowd(uint32_t count)
{
    char id[16];
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(id, sizeof id, "c%u", i);
        shop_customer(&shop, id);
        (void)shop_abandon(&shop, 0, id, "k", 100);
    }
}

Test(deliver, a_channel_is_no_faster_than_its_rate_and_each_message_waits_once)
{
    open_with(PROGRAM(", ratePerSecond: 10", ""), &(struct shop_options){.cores = 1});
    crowd(100);
    for (int64_t ms = 0; ms < 10000; ms += 100) {
        shop_advance(&shop, HOUR + ms);
        cr_assert(eq(u64, shop.sends, (uint64_t)(ms / 100 + 1)), "at %d ms", (int)ms);
    }
    cr_assert(eq(u64, shop.sends, 100));
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"deferred\",\"reason\":\"rate-limit\""), 99));
    close_sound();
}

Test(deliver, cores_share_a_programs_rate)
{
    open_with(PROGRAM(", ratePerSecond: 10", ""), &(struct shop_options){.cores = 2});
    crowd(100);
    shop_advance(&shop, HOUR + 4999);
    cr_assert(ge(u64, shop.sends, 40));
    cr_assert(le(u64, shop.sends, 52));
    close_sound();
}

Test(deliver, the_channels_own_rate_holds_for_all_programs)
{
    open_with(PROGRAM(", ratePerSecond: 1000", ""), &(struct shop_options){.rates = {20}});
    crowd(100);
    shop_advance(&shop, HOUR + 2500);
    cr_assert(eq(u64, shop.sends, 51));
    shop_advance(&shop, 2 * HOUR);
    cr_assert(eq(u64, shop.sends, 100));
    close_sound();
}

Test(deliver, touches_that_quiet_hours_put_off_together_do_not_come_together)
{
    open_with(PROGRAM(", ratePerSecond: 10", "quietHours: {start: \"08:00\", end: \"20:00\"}\n"),
              &(struct shop_options){0});
    crowd(50); /* New York: 08:00 local, until 20:00 */
    shop_advance(&shop, 13 * HOUR - 1);
    cr_assert(eq(u64, shop.sends, 0));
    shop_advance(&shop, 13 * HOUR + 1000);
    cr_assert(eq(u64, shop.sends, 11));
    close_sound();
}

Test(deliver, slots_end_with_the_candidates_that_would_need_them)
{
    open_with(PROGRAM(", ratePerSecond: 0.0001", ""), &(struct shop_options){0});
    crowd(200);
    shop_advance(&shop, 8 * DAY);
    cr_assert(eq(u64, shop_fates(&shop)->expired, 200));
    cr_assert(gt(u64, shop.sends, 100), "the other channel's");
    close_sound();
}

Test(deliver, a_paused_channel_waits_and_says_so_once)
{
    open_with(PROGRAM("", ""), &(struct shop_options){0});
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    cr_assert(not(cw_pipeline_pause(shop.pipelines[0], CW_VIEW("nobody"), CW_CHANNEL_EMAIL, true)));
    cr_assert(cw_pipeline_pause(shop.pipelines[0], CW_VIEW("p"), CW_CHANNEL_EMAIL, true));
    cr_assert(cw_pipeline_paused(shop.pipelines[0], CW_VIEW("p"), CW_CHANNEL_EMAIL));
    cr_assert(not(cw_pipeline_paused(shop.pipelines[0], CW_VIEW("p"), CW_CHANNEL_SMS)));
    shop_advance(&shop, 3 * HOUR);
    cr_assert(eq(u64, shop.sends, 0));
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"paused\""), 1));
    cr_assert(shop_check(&shop));
    cr_assert(cw_pipeline_pause(shop.pipelines[0], CW_VIEW("p"), CW_CHANNEL_EMAIL, false));
    shop_advance(&shop, 3 * HOUR + MINUTE);
    cr_assert(eq(u64, shop.sends, 1));
    close_sound();
}

Test(deliver, of_two_paused_touches_the_later_wins)
{
    open_with(PROGRAM("", ""), &(struct shop_options){0});
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    cr_assert(cw_pipeline_pause(shop.pipelines[0], CW_VIEW("p"), CW_CHANNEL_COUNT, true));
    shop_advance(&shop, 2 * DAY);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"skipped\",\"reason\":\"late\""), 1));
    cr_assert(cw_pipeline_pause(shop.pipelines[0], CW_VIEW("p"), CW_CHANNEL_COUNT, false));
    shop_advance(&shop, 2 * DAY + MINUTE);
    cr_assert(eq(u64, shop.sends, 1));
    cr_assert(eq(u32, (uint32_t)shop.posts[0].channel, CW_CHANNEL_SMS));
    close_sound();
}

static const struct cw_links links = {.key = {3, 4}, .base = {"https://go.example", 18}};

/* Random shops whose channels answer anything, in any order, at any time, also twice. */
Test(deliver, the_sums_reconcile_after_every_answer, .timeout = 200)
{
    uint64_t unknown = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct shop_options options = {.yamls = RANDOM_PROGRAMS,
                                       .cores = 1 + (uint32_t)seed % 2,
                                       .rows_max = seed == 9 ? 60 : 0,
                                       .live = true,
                                       .collapses = {seed % 3 == 0, true, false},
                                       .rates = {seed % 2 == 0 ? 0.001 : 0, 0, 0.01},
                                       .links = seed % 3 == 1 ? &links : NULL};
        cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
        struct random_shop r = {.shop = &shop,
                                .random = seed,
                                .customers = 6,
                                .carts = 4,
                                .products = 8,
                                .step_ms = seed % 4 == 0 ? 200000000 : 4000000,
                                .long_strings = 300};
        for (uint32_t i = 0; i < 600; i++) {
            uint32_t answer = draw(&r, 10);
            shop.answer = answer == 0 ? CW_SEND_FULL : answer == 1 ? CW_SEND_DONE : CW_SEND_TAKEN;
            random_event(&r);
            cr_assert(cw_pipeline_pause(shop.pipelines[0], CW_VIEW("first"),
                                        (enum cw_channel)draw(&r, 4), draw(&r, 3) == 0));
            cr_assert(shop_check(&shop), "seed %d, event %u", (int)seed, i);
            for (uint32_t k = draw(&r, 4); k > 0 && shop.sends > 0; k--) {
                uint32_t known = shop.sends < 8 ? (uint32_t)shop.sends : 8;
                struct cw_post_result result = {.outcome = (enum cw_posted)draw(&r, 4),
                                                .retry_after_s = draw(&r, 5) == 0 ? 5000 : 0};
                result.untried = result.outcome == CW_POSTED_LATER && draw(&r, 2) == 0;
                shop_tell(&shop, draw(&r, known), result);
                cr_assert(shop_check(&shop), "seed %d, a result after event %u", (int)seed, i);
            }
            if (i % 50 == 0) {
                cw_pipeline_clean(shop.pipelines[0], 10);
            }
        }
        for (uint32_t i = 0; i < shop.cores; i++) {
            unknown += cw_pipeline_fates(shop.pipelines[i])->unknown;
        }
        close_sound();
    }
    cr_assert(gt(u64, unknown, 10));
}
