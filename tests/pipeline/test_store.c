/* The pipeline's rows under pressure: full tables, long strings, crowds, cleaning, moving rows. */
#include "pipeline/persist.h"
#include "pipeline/rows.h"
#include "tests/pipeline/random_shop.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define HOUR CW_HOUR_MS
#define DAY  CW_DAY_MS

static struct shop shop;

static void open_random(uint32_t cores, uint64_t rows_max)
{
    const struct shop_options options = {
        .yamls = RANDOM_PROGRAMS, .cores = cores, .rows_max = rows_max};
    cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
}

static struct random_shop start(uint64_t seed, uint32_t step_ms)
{
    return (struct random_shop){.shop = &shop,
                                .random = seed,
                                .customers = 6,
                                .carts = 4,
                                .products = 8,
                                .step_ms = step_ms,
                                .long_strings = 900};
}

Test(store, rows_stay_sound_through_random_streams, .timeout = 100)
{
    for (uint64_t seed = 1; seed <= 12; seed++) {
        open_random(1 + (uint32_t)seed % 2, 0);
        struct random_shop r = start(seed, seed % 3 == 0 ? 200000000 : 4000000);
        for (uint32_t i = 0; i < 600; i++) {
            random_event(&r);
            if (i % 5 == 0) {
                cr_assert(shop_check(&shop), "seed %d, event %u", (int)seed, i);
            }
            if (i % 50 == 0) {
                cw_pipeline_clean(shop.pipelines[0], 10);
            }
        }
        shop_finish(&shop);
        cr_assert(shop_check(&shop), "seed %d, at the end", (int)seed);
        uint64_t in_flight;
        uint64_t pending;
        cw_pipeline_count(shop.pipelines[0], &in_flight, &pending);
        cr_assert(eq(u64, in_flight, 0));
        cr_assert(gt(u64, shop.kinds[CW_DECISION_CANDIDATE], 20));
        cr_assert(gt(u64, shop.kinds[CW_DECISION_TOUCH], 20));
        shop_close(&shop);
    }
}

Test(store, the_number_of_cores_changes_no_decision, .timeout = 100)
{
    for (uint64_t seed = 100; seed < 106; seed++) {
        uint64_t sums[3];
        uint64_t decided[3];
        for (uint32_t run = 0; run < 3; run++) {
            open_random(1u << run, 0);
            struct random_shop r = start(seed, 3000000);
            r.blind = true; /* when lines come, of two customers, is another matter */
            shop.keep = false;
            for (uint32_t i = 0; i < 1500; i++) {
                random_event(&r);
            }
            shop_finish(&shop);
            sums[run] = shop.sum;
            decided[run] = shop.decided;
            shop_close(&shop);
        }
        cr_assert(eq(u64, decided[1], decided[0]), "seed %d", (int)seed);
        cr_assert(eq(u64, decided[2], decided[0]), "seed %d", (int)seed);
        cr_assert(eq(u64, sums[1], sums[0]), "seed %d", (int)seed);
        cr_assert(eq(u64, sums[2], sums[0]), "seed %d", (int)seed);
    }
}

Test(store, cleaning_changes_no_decision, .timeout = 100)
{
    for (uint64_t seed = 200; seed < 230; seed++) {
        uint64_t sums[2];
        uint64_t decided[2];
        struct cw_text lines[2] = {0};
        for (uint32_t run = 0; run < 2; run++) {
            open_random(1, 0);
            /* Steps of hours to weeks, so that much gets old enough to go. */
            struct random_shop r = start(seed, seed % 2 == 0 ? 40000000 : 400000000);
            for (uint32_t i = 0; i < 900; i++) {
                size_t before = shop.lines.bytes;
                random_event(&r);
                if (shop.lines.bytes > before) {
                    cw_text_put(&lines[run], shop.lines.data + before, shop.lines.bytes - before);
                }
                if (run == 1) {
                    cw_pipeline_clean(shop.pipelines[0], UINT32_MAX);
                    cr_assert(i % 20 != 0 || shop_check(&shop));
                }
            }
            shop_finish(&shop);
            cr_assert(shop_check(&shop));
            sums[run] = shop.sum;
            decided[run] = shop.decided;
            shop_close(&shop);
        }
        for (size_t i = 0; i < lines[0].bytes && i < lines[1].bytes; i++) {
            if (lines[0].data[i] != lines[1].data[i]) {
                while (i > 0 && lines[0].data[i - 1] != '\n') {
                    i--;
                }
                (void)fprintf(stderr, "not cleaned: %.300s\ncleaned:     %.300s\n",
                              lines[0].data + i, lines[1].data + i);
                break;
            }
        }
        cr_assert(eq(u64, decided[1], decided[0]), "seed %d", (int)seed);
        cr_assert(eq(u64, sums[1], sums[0]), "seed %d", (int)seed);
        cw_text_deinit(&lines[0]);
        cw_text_deinit(&lines[1]);
    }
}

Test(store, full_tables_refuse_and_count_and_nothing_breaks, .timeout = 100)
{
    for (uint64_t rows_max = 1; rows_max < 40; rows_max += 3) {
        open_random(1, rows_max);
        struct random_shop r = start(rows_max, 4000000);
        r.customers = 40;
        r.carts = 20;
        r.products = 60;
        for (uint32_t i = 0; i < 700; i++) {
            random_event(&r);
            cr_assert(i % 10 != 0 || shop_check(&shop), "%d rows, event %u", (int)rows_max, i);
        }
        const struct cw_fates *fates = shop_fates(&shop);
        cr_assert(gt(u64, fates->events[CW_EVENT_FATE_REFUSED], 0));
        cr_assert(gt(u64, fates->not_remembered, 0));
        shop_finish(&shop);
        cr_assert(shop_check(&shop));
        shop_close(&shop);
    }
}

/* A program of one e-mail, with a tail of further keys. */
#define PLAIN(tail)                                                                        \
    "programId: p\neventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n" \
    "channels: [{channelId: e, type: email, config: {delayMinutes: 60, templateId: "       \
    "cart-recovery-v3, subject: S}}, {channelId: s, type: sms, config: {delayHours: 24, "  \
    "message: M}}]\n" tail

static void open_plain(const char *yaml, uint64_t rows_max, uint64_t bytes_max)
{
    const struct shop_options options = {
        .yamls = {yaml}, .rows_max = rows_max, .bytes_max = bytes_max};
    cr_assert(shop_open(&shop, &options), "%s", shop.f.fault.text);
}

Test(store, an_abandonment_refused_for_lack_of_room_leaves_no_dedup_entry)
{
    open_plain(PLAIN("onNewCart: parallel\n"), 3, 0);
    for (uint32_t i = 0; i < 3; i++) {
        char cart[8];
        (void)snprintf(cart, sizeof cart, "k%u", i);
        (void)shop_abandon(&shop, 0, "c", cart, 100);
    }
    /* Candidates are full, then the first is cancelled; entries are not, since one is forgotten. */
    (void)shop_event(&shop, "ecommerce.cart", "CartUpdated", 1,
                     "\"customerId\":\"c\",\"cartId\":\"k0\"");
    (void)shop_abandon(&shop, 2, "c", "k9", 100);
    cr_assert(eq(u64, shop_fates(&shop)->by_item[CW_ITEM_FATE_REFUSED], 1));
    (void)shop_abandon(&shop, 2, "c", "k9", 100);
    cr_assert(eq(u64, shop_fates(&shop)->by_item[CW_ITEM_FATE_REFUSED], 2));
    cr_assert(eq(u64, shop.kinds[CW_DECISION_DUPLICATE], 0), "it was never a candidate");
    cr_assert(shop_check(&shop));
    shop_close(&shop);
}

Test(store, a_profile_that_finds_no_room_changes_nothing_and_may_come_again)
{
    static char text[4000];
    open_plain(PLAIN(""), 0, 1u << 16);
    uint32_t refused = 0;
    memset(text, 'x', 1000);
    for (uint32_t i = 0; i < 400; i++) {
        char line[8192];
        for (uint32_t again = 0; again < 2; again++) {
            int bytes = snprintf(
                line, sizeof line,
                "{\"source\":\"ecommerce.customer\",\"detail-type\":"
                "\"CustomerUpdated\",\"id\":\"e%u\",\"time\":\"%s\",\"detail\":"
                "{\"customerId\":\"c%u\",\"name\":\"%s\",\"email\":\"%s\",\"phone\":\"%s\","
                "\"accountStatus\":\"closed\"}}",
                i, shop_time(SHOP_START), i % 50, text, text, text);
            uint64_t before = shop_fates(&shop)->events[CW_EVENT_FATE_REFUSED];
            (void)shop_feed(&shop, line, (size_t)bytes);
            bool now = shop_fates(&shop)->events[CW_EVENT_FATE_REFUSED] > before;
            refused += now;
        }
    }
    cr_assert(gt(u32, refused, 10));
    cr_assert(eq(int, (int)(refused % 2), 0),
              "what is refused once is refused again, no repetition");
    cr_assert(shop_check(&shop));
    shop_close(&shop);
}

Test(store, a_customer_has_as_many_carts_in_flight_as_the_bound_and_no_more, .timeout = 200)
{
    enum {
        CARTS = CW_IN_FLIGHT_MAX,
        TOO_MANY = 100
    };

    open_plain(PLAIN("onNewCart: parallel\nminGapMinutes: 0\n"), 0, 0);
    shop_customer(&shop, "c");
    for (uint32_t i = 0; i < CARTS + TOO_MANY; i++) {
        char cart[16];
        (void)snprintf(cart, sizeof cart, "k%u", i);
        (void)shop_abandon(&shop, i, "c", cart, 100);
    }
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANDIDATE], CARTS));
    cr_assert(eq(u64, shop_fates(&shop)->by_item[CW_ITEM_FATE_REFUSED], TOO_MANY));
    cr_assert(shop_check(&shop));
    shop.keep = false;
    shop_advance(&shop, 2 * HOUR);
    cr_assert(eq(u64, shop_fates(&shop)->sent[CW_CHANNEL_EMAIL], CARTS));
    cr_assert(shop_check(&shop));
    (void)shop_event(&shop, "ecommerce.order", "OrderPlaced", 3 * HOUR,
                     "\"customerId\":\"c\",\"orderId\":\"o\",\"orderValue\":1");
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CONVERTED], CARTS));
    cr_assert(shop_check(&shop));
    shop_close(&shop);
}

/* So that one order, which ends all of them, still fits into one commit. */
Test(store, a_customer_has_as_many_bytes_in_flight_as_the_bound_and_no_more, .timeout = 200)
{
    enum {
        ITEMS = 600,
        NAME = 900,
        TOO_MANY = 10
    };

    open_plain(PLAIN("onNewCart: parallel\nminGapMinutes: 0\n"), 0, 0);
    shop_customer(&shop, "c");
    struct cw_text line = {0};
    char name[NAME + 1];
    memset(name, 'x', NAME);
    name[NAME] = '\0';
    const uint32_t fit = (uint32_t)(CW_IN_FLIGHT_BYTES_MAX / (ITEMS * NAME)) + 1;
    for (uint32_t i = 0; i < fit + TOO_MANY; i++) {
        cw_text_clear(&line);
        cw_text_printf(&line,
                       "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartAbandoned\",\"time\":"
                       "\"%s\",\"detail\":{\"customerId\":\"c\",\"cartId\":\"k%u\","
                       "\"cartValue\":100,\"items\":[",
                       shop_time(SHOP_START + i), i);
        for (uint32_t n = 0; n < ITEMS; n++) {
            cw_text_printf(&line, "%s{\"id\":\"i\",\"name\":\"%s\",\"price\":100}",
                           n > 0 ? "," : "", name);
        }
        cw_text_puts(&line, "]}}");
        (void)shop_feed(&shop, line.data, line.bytes);
    }
    cw_text_deinit(&line);
    uint64_t refused = shop_fates(&shop)->by_item[CW_ITEM_FATE_REFUSED];
    cr_assert(ge(u64, refused, TOO_MANY));
    cr_assert(le(u64, refused, TOO_MANY + fit / 4));
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANDIDATE], fit + TOO_MANY - refused));
    cr_assert(shop_check(&shop));
    shop_close(&shop);
}

Test(store, ten_thousand_carts_of_one_customer_one_after_the_other, .timeout = 100)
{
    enum {
        CARTS = 10000
    };

    open_plain(PLAIN("abandonmentDetection: {sessionTimeoutMinutes: 30}\n"), 0, 0);
    shop_customer(&shop, "c");
    for (uint32_t i = 0; i < CARTS; i++) {
        char cart[16];
        (void)snprintf(cart, sizeof cart, "k%u", i);
        (void)shop_abandon(&shop, i * 2, "c", cart, 100);
        if (i % 8 != 0) {
            continue;
        }
        (void)shop_event(&shop, "ecommerce.cart", "CartUpdated", i * 2 + 1,
                         "\"customerId\":\"c\",\"cartId\":\"n%u\",\"cartValue\":5,\"items\":[]", i);
    }
    cr_assert(shop_check(&shop));
    cr_assert(eq(u64, shop_fates(&shop)->superseded, CARTS - 1));
    shop_advance(&shop, HOUR);
    cr_assert(eq(u64, shop_fates(&shop)->made, CW_WATCHED_MAX), "no more are watched at once");
    cr_assert(shop_check(&shop));
    (void)shop_event(&shop, "ecommerce.customer", "CustomerErased", HOUR, "\"customerId\":\"c\"");
    cr_assert(shop_check(&shop));
    shop_finish(&shop);
    shop_close(&shop);
}

Test(store, erasure_leaves_nothing_but_the_erasing_event)
{
    open_plain(PLAIN("abandonmentDetection: {sessionTimeoutMinutes: 30}\n"), 0, 0);
    for (uint32_t round = 0; round < 3; round++) {
        int64_t at = round * DAY;
        shop_customer(&shop, "c");
        (void)shop_abandon(&shop, at, "c", "k", 100);
        (void)shop_event(&shop, "ecommerce.cart", "CartUpdated", at + 1,
                         "\"customerId\":\"c\",\"cartId\":\"n\",\"cartValue\":5,\"items\":[]");
        shop_advance(&shop, at + HOUR);
        (void)shop_event(&shop, "ecommerce.customer", "CustomerErased", at + HOUR,
                         "\"customerId\":\"c\"");
        cr_assert(shop_check(&shop));
        int64_t due;
        cr_assert(not(cw_pipeline_earliest(shop.pipelines[0], &due)), "no timer is left");
        (void)shop_abandon(&shop, at + HOUR + 1, "c", "k", 100);
        cr_assert(eq(u64, shop.kinds[CW_DECISION_DUPLICATE], 0), "its dedup entry is gone");
        (void)shop_event(&shop, "ecommerce.customer", "CustomerErased", at + HOUR + 2,
                         "\"customerId\":\"c\"");
    }
    shop_close(&shop);
}

static uint64_t rows_of(enum cw_table_number table)
{
    return cw_table_count(cw_pipeline_table(shop.pipelines[0], table));
}

Test(store, what_was_told_before_an_erasure_does_not_come_back)
{
    open_plain(PLAIN(""), 0, 0);
    shop.ahead = HOUR;
    (void)shop_event(&shop, "ecommerce.customer", "CustomerUpdated", 2 * HOUR,
                     "\"customerId\":\"c\",\"phone\":\"+1\"");
    shop.ahead = 0;
    (void)shop_event(&shop, "ecommerce.customer", "CustomerErased", HOUR + 1,
                     "\"customerId\":\"c\"");
    (void)shop_abandon(&shop, HOUR + 1, "c", "k", 100);
    (void)shop_abandon(&shop, 2 * HOUR, "c", "k", 100);
    cr_assert(eq(u64, shop.decided, 0), "what was told reaches to where its source's clock was");
    cr_assert(eq(u64, shop_fates(&shop)->events[CW_EVENT_FATE_REPEATED], 2));
    (void)shop_event(&shop, "ecommerce.customer", "CustomerErased", HOUR, "\"customerId\":\"c\"");
    (void)shop_abandon(&shop, HOUR + 2, "c", "k", 100);
    cr_assert(eq(u64, shop.decided, 0), "an older erasure takes nothing back of that");
    (void)shop_abandon(&shop, 2 * HOUR + 1, "c", "k", 100);
    cr_assert(eq(u64, shop.kinds[CW_DECISION_CANDIDATE], 1), "what is told later counts");
    cr_assert(shop_check(&shop));
    (void)shop_event(&shop, "ecommerce.customer", "CustomerErased", 3 * HOUR,
                     "\"customerId\":\"c\"");
    shop_advance(&shop, 8 * DAY);
    cw_pipeline_clean(shop.pipelines[0], UINT32_MAX);
    cr_assert(eq(u64, rows_of(CW_TABLE_seen), 0), "after a week nothing is left");
    cr_assert(eq(u64, rows_of(CW_TABLE_customers), 0));
    cr_assert(shop_check(&shop));
    shop_close(&shop);
}

Test(store, an_order_is_remembered_from_its_own_time_where_that_is_ahead)
{
    static const char order[] = "\"customerId\":\"c\",\"orderId\":\"o\",\"orderValue\":9";
    open_plain(PLAIN(""), 0, 0);
    shop.ahead = 10 * DAY; /* of a clock that is behind by so much */
    (void)shop_event(&shop, "ecommerce.order", "OrderPlaced", 10 * DAY, order);
    shop.ahead = 0;
    (void)shop_event(&shop, "ecommerce.order", "OrderPlaced", 10 * DAY + HOUR, order);
    cr_assert(eq(u64, shop_fates(&shop)->events[CW_EVENT_FATE_REPEATED], 1));
    shop.ahead = 200 * DAY;
    (void)shop_event(&shop, "ecommerce.order", "OrderPlaced", 211 * DAY,
                     "\"customerId\":\"d\",\"orderId\":\"o\",\"orderValue\":9");
    shop_advance(&shop, 11 * DAY + 98 * DAY);
    cw_pipeline_clean(shop.pipelines[0], UINT32_MAX);
    cr_assert(eq(u64, rows_of(CW_TABLE_seen), 0), "but no clock keeps it for ever");
    shop_close(&shop);
}

Test(store, very_long_strings_come_through)
{
    enum {
        ITEMS = 900
    };

    static char detail[1 << 20];
    static char name[1025];
    open_plain(PLAIN(""), 0, 0);
    shop_customer(&shop, "c");
    memset(name, 'n', sizeof name - 1);
    for (uint32_t round = 0; round < 6; round++) {
        uint32_t count = round % 2 == 0 ? ITEMS : 1; /* the candidate's row moves both ways */
        int bytes =
            snprintf(detail, sizeof detail,
                     "\"customerId\":\"c\",\"cartId\":\"k\",\"cartValue\":%u,\"items\":[", round);
        for (uint32_t i = 0; i < count; i++) {
            bytes += snprintf(detail + bytes, sizeof detail - (size_t)bytes,
                              "%s{\"id\":\"%0128u\",\"name\":\"%.900s\",\"price\":1}",
                              i == 0 ? "" : ",", i, name);
        }
        (void)snprintf(detail + bytes, sizeof detail - (size_t)bytes, "]");
        enum cw_event_type type =
            shop_event(&shop, "ecommerce.cart", "CartAbandoned", round, "%s", detail);
        cr_assert(eq(int, type, CW_EVENT_CART_ABANDONED));
        cr_assert(shop_check(&shop));
    }
    cr_assert(eq(u32, shop_count(&shop, "\"updated\":true"), 5));
    shop_finish(&shop);
    cr_assert(eq(u64, shop.sends, 2));
    shop_close(&shop);
}

Test(store, a_profile_grows_and_shrinks_while_its_timer_is_armed)
{
    open_plain(PLAIN("onNewCart: parallel\nminGapMinutes: 0\n"), 0, 0);
    static char text[1025];
    memset(text, 'x', sizeof text - 1);
    for (uint32_t c = 0; c < 20; c++) {
        char id[8];
        (void)snprintf(id, sizeof id, "c%u", c);
        shop_customer(&shop, id);
        for (uint32_t k = 0; k < 5; k++) {
            (void)shop_abandon(&shop, 0, id, k == 0 ? "a" : k == 1 ? "b" : "d", 100 + k);
        }
    }
    uint64_t random = 5;
    for (uint32_t i = 0; i < 2000; i++) {
        (void)shop_event(&shop, "ecommerce.customer", "CustomerUpdated", i * 1800,
                         "\"customerId\":\"c%u\",\"name\":\"%.*s\",\"locale\":%s",
                         random_below(&random, 20), (int)random_below(&random, 1024), text,
                         i % 2 == 0 ? "null" : "\"de\"");
        cr_assert(i % 10 != 0 || shop_check(&shop), "event %u", i);
    }
    shop_finish(&shop);
    cr_assert(shop_check(&shop));
    cr_assert(eq(u64, shop_fates(&shop)->sent[CW_CHANNEL_EMAIL], 60));
    shop_close(&shop);
}
