/* Programs that change, come and go while candidates are in flight. */
#include "pipeline/pipeline_priv.h"
#include "tests/pipeline/random_shop.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define HOUR CW_HOUR_MS
#define DAY  CW_DAY_MS

static struct shop shop;
static struct cw_programs *others[64];
static uint32_t other_count;

#define HEAD(id)                                                                            \
    "programId: " id                                                                        \
    "\neventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\nfilterChain: " \
    "[{filterId: t, type: trust}, {filterId: e, type: eligibility}]\n"
#define EMAIL(hours)                                          \
    "{channelId: e, type: email, config: {delayHours: " hours \
    ", templateId: cart-recovery-v3, subject: S}}"

#define SMS(id, hours) "{channelId: " id ", type: sms, config: {delayHours: " hours ", message: M}}"

#define PROGRAM(id, channels, tail) HEAD(id) "channels: [" channels "]\n" tail

#define USUAL(id) PROGRAM(id, EMAIL("1") ", " SMS("s", "24"), "minGapMinutes: 0\n")

static void open_with(const char *yaml)
{
    const struct shop_options options = {.yamls = {yaml}, .live = true};
    cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
    shop_customer(&shop, "c");
    other_count = 0;
}

static void change_to(const char *first, const char *second)
{
    const char *const yamls[] = {first, second, NULL};
    struct cw_programs *programs = shop_programs(&shop, yamls);
    cr_assert(ne(ptr, (void *)programs, NULL));
    shop_reprogram(&shop, programs);
    others[other_count++] = programs;
    cr_assert(shop_check(&shop));
}

static void close_sound(void)
{
    cr_assert(shop_check(&shop));
    shop_finish(&shop);
    cr_assert(shop_check(&shop));
    shop_close(&shop);
    for (uint32_t i = 0; i < other_count; i++) {
        cw_programs_close(others[i]);
    }
}

static uint32_t by_score(const char *program, enum cw_channel channel)
{
    struct cw_candidate_view list[8];
    return cw_pipeline_by_score(
        shop.pipelines[0], (struct cw_view){program, (uint32_t)strlen(program)}, channel, list, 8);
}

Test(reprogram, candidates_keep_their_times_and_follow_the_new_texts)
{
    open_with(USUAL("p"));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    change_to(PROGRAM("p", EMAIL("5") ", " SMS("s", "30"),
                      "candidateTTLDays: 2\ndiscountStrategy: {defaultDiscount: 20}\n"),
              NULL);
    shop_advance(&shop, HOUR);
    cr_assert(eq(u64, shop.sends, 1));
    shop_advance(&shop, DAY);
    cr_assert(eq(u64, shop.sends, 2));
    shop_advance(&shop, 3 * DAY);
    cr_assert(eq(u64, shop_fates(&shop)->expired, 0));
    shop_advance(&shop, 7 * DAY);
    cr_assert(eq(u64, shop_fates(&shop)->expired, 1));
    (void)shop_abandon(&shop, 8 * DAY, "c", "k2", 100);
    cr_assert(eq(u32, shop_count(&shop, "\"discountPercent\":20"), 1), "the next is the new one's");
    close_sound();
}

Test(reprogram, old_sets_can_be_closed)
{
    open_with(USUAL("p"));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    change_to(USUAL("p"), NULL);
    cw_programs_close(shop.programs);
    shop.programs = NULL;
    change_to(USUAL("p"), USUAL("a"));
    cw_programs_close(others[0]);
    change_to(USUAL("a"), NULL);
    cw_programs_close(others[1]);
    shop_advance(&shop, HOUR);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"skipped\",\"reason\":\"paused\""), 1));
    others[0] = shop_programs(&shop, (const char *const[]){USUAL("p"), NULL});
    shop_reprogram(&shop, others[0]);
    cw_programs_close(others[2]);
    other_count = 1;
    shop_advance(&shop, DAY);
    close_sound();
}

Test(reprogram, a_program_that_comes_before_another_does_not_disturb_it)
{
    open_with(USUAL("p"));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    change_to(USUAL("p"), USUAL("a"));
    cr_assert(eq(u32, by_score("p", CW_CHANNEL_EMAIL), 1));
    cr_assert(eq(u32, by_score("a", CW_CHANNEL_EMAIL), 0));
    (void)shop_abandon(&shop, 1, "c", "k", 200);
    cr_assert(eq(u32, by_score("p", CW_CHANNEL_EMAIL), 1));
    cr_assert(eq(u32, by_score("a", CW_CHANNEL_EMAIL), 1));
    shop_forget(&shop);
    shop_advance(&shop, HOUR + 1);
    cr_assert(eq(u64, shop.sends, 2));
    const char *lines = cw_text_terminate(&shop.lines);
    cr_assert(lt(ptr, (void *)strstr(lines, "\"program\":\"a\""),
                 (void *)strstr(lines, "\"program\":\"p\"")),
              "at one instant by the programs' ids, whoever came first");
    close_sound();
}

Test(reprogram, candidates_of_a_program_that_is_gone_send_nothing_but_still_convert)
{
    open_with(USUAL("p"));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    shop_customer(&shop, "d");
    (void)shop_abandon(&shop, 0, "d", "k", 100);
    shop_advance(&shop, HOUR);
    cr_assert(eq(u64, shop.sends, 2));
    change_to(USUAL("q"), NULL);
    cr_assert(eq(u32, by_score("p", CW_CHANNEL_SMS), 0));
    shop_advance(&shop, DAY);
    cr_assert(eq(u64, shop.sends, 2));
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"skipped\",\"reason\":\"paused\""), 2));
    (void)shop_event(&shop, "ecommerce.order", "OrderPlaced", DAY + 1,
                     "\"customerId\":\"c\",\"orderValue\":9,\"orderId\":\"o\",\"cartId\":\"k\"");
    cr_assert(eq(u32, shop_count(&shop, "\"attributedTo\":1"), 1));
    shop_advance(&shop, 7 * DAY);
    cr_assert(eq(u64, shop_fates(&shop)->expired, 1), "at its own time");
    close_sound();
}

Test(reprogram, a_program_that_comes_back_finds_its_candidates)
{
    open_with(USUAL("p"));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    change_to(USUAL("q"), NULL);
    shop_advance(&shop, HOUR);
    cr_assert(eq(u64, shop.sends, 0));
    change_to(USUAL("p"), NULL);
    cr_assert(eq(u32, by_score("p", CW_CHANNEL_SMS), 1));
    (void)shop_abandon(&shop, HOUR + 1, "c", "k", 300);
    cr_assert(eq(u64, shop_fates(&shop)->created, 1), "abandoned again, not anew");
    shop_advance(&shop, 2 * DAY);
    cr_assert(eq(u64, shop.sends, 1));
    close_sound();
}

Test(reprogram, a_channel_that_is_gone_is_skipped_and_a_new_one_shifts_nobody)
{
    open_with(USUAL("p"));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    change_to(PROGRAM("p", SMS("new", "12") ", " SMS("s", "24"), "minGapMinutes: 0\n"), NULL);
    shop_advance(&shop, HOUR);
    cr_assert(eq(u32, shop_count(&shop, "\"outcome\":\"skipped\",\"reason\":\"paused\""), 1));
    shop_advance(&shop, DAY);
    cr_assert(eq(u64, shop.sends, 1));
    cr_assert(eq(str, shop.posts[0].entry, "s"));
    cr_assert(
        eq(u32, shop_count(&shop, "\"touch\":2,\"channel\":\"sms\",\"outcome\":\"sent\""), 1));
    close_sound();
}

Test(reprogram, a_program_switched_off_sends_nothing_more)
{
    open_with(USUAL("p"));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    change_to(USUAL("p") "enabled: false\n", NULL);
    shop_advance(&shop, 2 * DAY);
    cr_assert(eq(u64, shop.sends, 0));
    cr_assert(eq(u32, shop_count(&shop, "\"reason\":\"paused\""), 2));
    close_sound();
}

Test(reprogram, a_result_for_a_program_that_is_gone_settles_its_touch)
{
    static const enum cw_posted outcomes[] = {CW_POSTED_SENT, CW_POSTED_REFUSED, CW_POSTED_LATER,
                                              CW_POSTED_UNKNOWN};

    for (uint32_t i = 0; i < 2 * CW_COUNTOF(outcomes); i++) {
        open_with(USUAL("p"));
        (void)shop_abandon(&shop, 0, "c", "k", 100);
        shop.answer = CW_SEND_TAKEN;
        shop_advance(&shop, HOUR);
        if (i % 2 == 1) {
            (void)shop_event(&shop, "ecommerce.order", "OrderPlaced", HOUR + 1,
                             "\"customerId\":\"c\",\"orderValue\":9,\"orderId\":\"o\"");
        }
        change_to(USUAL("q"), NULL);
        shop_result(&shop, 0, outcomes[i / 2], 0);
        cr_assert(shop_check(&shop));
        cr_assert(eq(u64, shop_fates(&shop)->sending, 0));
        close_sound();
    }
}

#define WATCHED(id, minutes) \
    USUAL(id) "abandonmentDetection: {sessionTimeoutMinutes: " minutes "}\n"

static void update_cart(int64_t after)
{
    (void)shop_event(&shop, "ecommerce.cart", "CartUpdated", after,
                     "\"customerId\":\"c\",\"cartId\":\"k\",\"cartValue\":50,\"items\":[]");
}

Test(reprogram, sessions_end_when_the_new_timeout_says)
{
    open_with(WATCHED("p", "600"));
    update_cart(0);
    change_to(WATCHED("p", "30"), WATCHED("a", "60"));
    shop_advance(&shop, HOUR / 2);
    cr_assert(eq(u64, shop_fates(&shop)->made, 1));
    cr_assert(eq(u32, shop_count(&shop, "\"kind\":\"candidate\",\"program\":\"p\""), 1));
    cr_assert(eq(u64, shop_fates(&shop)->created, 1), "nobody else's");
    close_sound();
}

Test(reprogram, sessions_of_a_program_that_watches_no_more_are_over)
{
    open_with(WATCHED("p", "30"));
    update_cart(0);
    change_to(USUAL("p"), NULL);
    shop_advance(&shop, DAY);
    cr_assert(eq(u64, shop_fates(&shop)->made, 0));
    change_to(WATCHED("q", "30"), NULL);
    update_cart(DAY + 1);
    change_to(USUAL("p"), NULL);
    shop_advance(&shop, 2 * DAY);
    cr_assert(eq(u64, shop_fates(&shop)->made, 0));
    close_sound();
}

Test(reprogram, a_pause_stays_with_its_program)
{
    open_with(USUAL("p"));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    cr_assert(cw_pipeline_pause(shop.pipelines[0], CW_VIEW("p"), CW_CHANNEL_COUNT, true));
    change_to(USUAL("a"), USUAL("p"));
    cr_assert(cw_pipeline_paused(shop.pipelines[0], CW_VIEW("p"), CW_CHANNEL_EMAIL));
    cr_assert(not(cw_pipeline_paused(shop.pipelines[0], CW_VIEW("a"), CW_CHANNEL_EMAIL)));
    shop_advance(&shop, 2 * HOUR);
    cr_assert(eq(u64, shop.sends, 0));
    close_sound();
}

Test(reprogram, who_is_erased_leaves_no_entry_under_an_old_key)
{
    open_with(USUAL("p"));
    (void)shop_abandon(&shop, 0, "c", "k", 100);
    change_to(USUAL("p") "deduplication: {keyFormat: \"x-{customerId}\"}\n", NULL);
    (void)shop_abandon(&shop, 1, "c", "k2", 100);
    change_to(USUAL("q"), NULL);
    (void)shop_abandon(&shop, 2, "c", "k3", 100);
    cr_assert(eq(u64, cw_table_count(shop.pipelines[0]->dedup), 3));
    (void)shop_event(&shop, "ecommerce.customer", "CustomerErased", 3, "\"customerId\":\"c\"");
    cr_assert(eq(u64, cw_table_count(shop.pipelines[0]->dedup), 0));
    close_sound();
}

/* Random shops, whose programs come, go and change all the time. */
Test(reprogram, rows_stay_sound_whatever_comes_and_goes, .timeout = 200)
{
    static const char *const yamls[] = {RANDOM_FIRST,
                                        RANDOM_SECOND,
                                        RANDOM_THIRD,
                                        RANDOM_FOURTH,
                                        USUAL("first"),
                                        WATCHED("fifth", "20"),
                                        WATCHED("fourth", "300"),
                                        RANDOM_SECOND "enabled: false\n"};
    /* By name: no set has two of one. */
    static const uint8_t sets[][4] = {{0, 1, 2, 3}, {0, 2, 5, 6}, {4, 1}, {5},       {3, 7, 4},
                                      {1, 2},       {6, 5, 1},    {4, 7}, {0, 1, 2}, {2, 3, 5, 0}};

    for (uint64_t seed = 1; seed <= 8; seed++) {
        const struct shop_options options = {.yamls = RANDOM_PROGRAMS, .live = true};
        cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
        other_count = 0;
        for (uint32_t i = 0; i < CW_COUNTOF(sets); i++) {
            const char *list[5] = {NULL};
            for (uint32_t k = 0; k < 4 && (k == 0 || sets[i][k] != 0 || i == 9); k++) {
                list[k] = yamls[sets[i][k]];
            }
            others[other_count++] = shop_programs(&shop, list);
            cr_assert(ne(ptr, (void *)others[i], NULL), "set %u", i);
        }
        struct random_shop r = {.shop = &shop,
                                .random = seed,
                                .customers = 6,
                                .carts = 4,
                                .products = 8,
                                .step_ms = seed % 3 == 0 ? 200000000 : 4000000,
                                .long_strings = 100};
        for (uint32_t i = 0; i < 500; i++) {
            shop.answer = draw(&r, 2) == 0 ? CW_SEND_TAKEN : CW_SEND_DONE;
            random_event(&r);
            if (draw(&r, 8) == 0) {
                shop_reprogram(&shop, others[draw(&r, other_count)]);
            }
            if (shop.sends > 0 && draw(&r, 3) == 0) {
                uint32_t known = shop.sends < 8 ? (uint32_t)shop.sends : 8;
                shop_result(&shop, draw(&r, known), (enum cw_posted)draw(&r, 4), 0);
            }
            cr_assert(shop_check(&shop), "seed %d, event %u", (int)seed, i);
            if (i % 50 == 0) {
                cw_pipeline_clean(shop.pipelines[0], 10);
            }
        }
        cr_assert(gt(u64, shop.kinds[CW_DECISION_CANDIDATE], 20));
        close_sound();
    }
}
