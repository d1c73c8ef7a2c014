/*
 * What the rows say after a restart: every change of theirs that outlives the process was noted.
 * Pipelines run with a journal; what each commit tells is applied to copies of the tables, which
 * then say the same, but for what a restart makes anew.
 */
#include "pipeline/rows.h"

#include "core/journal.h"
#include "pipeline/pipeline_priv.h"
#include "tests/pipeline/random_shop.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>

enum {
#define CW_X(name) TABLE_##name,
    CW_TABLES(CW_X)
#undef CW_X
    TABLES
};

static struct shop shop;
static struct cw_journal *journal;
static struct cw_table *copies[TABLES];

static struct cw_table *table_of(uint32_t number)
{
    const struct cw_pipeline *p = shop.pipelines[0];
    struct cw_table *const tables[] = {
#define CW_X(name) p->name,
        CW_TABLES(CW_X)
#undef CW_X
    };
    return tables[number];
}

static void start(const struct shop_options *options)
{
    cr_assert(shop_open(&shop, options), "%s", shop.f.fault.text);
    cr_assert(cw_journal_open(&journal, &shop.f.fault) == CW_ERR_OK);
    for (uint32_t i = 0; i < TABLES; i++) {
        struct cw_table_options copy = {
            .name = "copy", .rows_max = 1u << 20, .bytes_max = 1u << 30, .hash = {i, 1}};
        cr_assert(cw_table_open(&copies[i], &copy, &shop.f.fault) == CW_ERR_OK);
        cw_table_journal(table_of(i), journal, (uint8_t)i);
    }
}

static void stop(void)
{
    for (uint32_t i = 0; i < TABLES; i++) {
        cw_table_close(copies[i]);
    }
    shop_close(&shop);
    cw_journal_close(journal);
}

static cw_row find(const struct cw_table *table, struct cw_view key)
{
    return cw_table_find(table, cw_table_hash(table, key.data, key.bytes), key.data, key.bytes);
}

/* Applies a commit to the copies; told[] counts the images by table. */
static void commit(uint32_t told[TABLES])
{
    uint64_t bytes = cw_journal_bytes(journal);
    char *records = malloc(bytes + 1);
    cr_assert(records != NULL && cw_journal_check(journal));
    cr_assert(cw_journal_write(journal, records) == records + bytes);
    struct cw_view left = {records, (uint32_t)bytes};
    struct cw_record record;
    memset(told, 0, TABLES * sizeof *told);
    while (cw_record_next(&left, &record) == CW_RECORD_READ) {
        struct cw_table *copy = copies[record.table];
        cw_row row = find(copy, record.key);
        if (record.kind == CW_RECORD_REMOVE) {
            if (row != CW_ROW_NONE) {
                cw_table_remove(copy, row);
            }
            continue;
        }
        bool added;
        told[record.table]++;
        row = cw_table_put(copy, cw_table_hash(copy, record.key.data, record.key.bytes),
                           record.key.data, record.key.bytes, record.value.bytes, &added);
        row = cw_table_resize(copy, row, record.value.bytes);
        memcpy(cw_table_edit(copy, row), record.value.data, record.value.bytes);
    }
    cr_assert(eq(u32, left.bytes, 0));
    free(records);
}

static void clear_candidate(struct cw_candidate_row *row)
{
    row->next = row->prev = 0;
    row->next_due = 0;
    row->slot = row->cart_hash = 0;
    memset(row->pending, 0, sizeof row->pending);
    row->score_next = row->score_prev = row->value_next = row->value_prev = 0;
    row->score_bucket = row->value_bucket = 0;
    struct cw_touch_row *touches = (struct cw_touch_row *)(row + 1);
    for (uint32_t i = 0; i < row->touch_count; i++) {
        touches[i].place = 0;
    }
    struct cw_item_row *items = (struct cw_item_row *)(touches + row->touch_count);
    for (uint32_t i = 0; i < row->item_count; i++) {
        items[i].product = 0;
    }
}

/* Takes out of a copy of a row what a restart makes anew. */
static void clear_links(uint32_t number, void *value)
{
    if (number == TABLE_customers) {
        struct cw_customer_row *row = value;
        row->timer = 0;
        row->timer_due = 0;
        row->in_flight = row->history = row->carts = row->watched = row->seen = 0;
        row->in_flight_count = row->watched_count = 0;
    } else if (number == TABLE_carts) {
        struct cw_cart_row *row = value;
        row->next = row->prev = row->watched_next = row->watched_prev = 0;
    } else if (number == TABLE_candidates) {
        clear_candidate(value);
    } else if (number == TABLE_seen) {
        struct cw_seen_row *row = value;
        row->next = row->prev = 0;
    }
}

static void *cleared(uint32_t number, const struct cw_table *table, cw_row row)
{
    uint32_t bytes = cw_table_value_bytes(table, row);
    void *value = malloc(bytes + 1u);
    cr_assert(value != NULL);
    memcpy(value, cw_table_value(table, row), bytes);
    clear_links(number, value);
    return value;
}

static bool same_tables(void)
{
    for (uint32_t i = 0; i < TABLES; i++) {
        const struct cw_table *table = table_of(i);
        uint64_t cursor = 0;
        cw_row row;
        if (cw_table_count(table) != cw_table_count(copies[i])) {
            return false;
        }
        while ((row = cw_table_next(table, &cursor)) != CW_ROW_NONE) {
            cw_row other = find(copies[i], cw_table_key(table, row));
            if (other == CW_ROW_NONE ||
                cw_table_value_bytes(copies[i], other) != cw_table_value_bytes(table, row)) {
                return false;
            }
            void *a = cleared(i, table, row);
            void *b = cleared(i, copies[i], other);
            bool same = memcmp(a, b, cw_table_value_bytes(table, row)) == 0;
            free(a);
            free(b);
            if (!same) {
                (void)fprintf(stderr, "a row of table %u has changed without a note\n", i);
                return false;
            }
        }
    }
    return true;
}

/* What a channel may say of a message that it took lately. */
static void random_result(struct random_shop *r)
{
    if (shop.sends == 0) {
        return;
    }
    uint64_t back = draw(r, 4);
    const struct shop_post *post =
        &shop.posts[(shop.sends - 1 - (back < shop.sends ? back : 0)) % SHOP_POSTS_MAX];
    struct cw_post_result result = {.outcome = (enum cw_posted)draw(r, 4),
                                    .retry_after_s = draw(r, 8) == 0 ? 300 : 0};
    result.untried = result.outcome == CW_POSTED_LATER && draw(r, 3) == 0;
    memcpy(result.key, post->key, CW_POST_KEY_BYTES);
    cw_pipeline_result(shop.pipelines[0], &result);
}

static void random_turn(struct random_shop *r, struct cw_programs *const sets[2], uint32_t *set)
{
    random_event(r);
    if (draw(r, 3) == 0) {
        random_result(r);
    }
    shop.answer = draw(r, 5) == 0   ? CW_SEND_FULL
                  : draw(r, 6) == 0 ? CW_SEND_DONE
                                    : CW_SEND_TAKEN;
    uint32_t what = draw(r, 100);
    if (what == 0) {
        *set = 1 - *set;
        shop_reprogram(&shop, sets[*set]);
    } else if (what == 1) {
        bool known = cw_pipeline_pause(shop.pipelines[0], CW_VIEW("fourth"), CW_CHANNEL_EMAIL,
                                       draw(r, 2) == 0);
        cr_assert(known);
    } else if (what < 10) {
        cw_pipeline_clean(shop.pipelines[0], 20);
    }
}

Test(rows, tell_all_that_outlives_the_process, .timeout = 100)
{
    for (uint64_t seed = 1; seed <= 8; seed++) {
        const struct shop_options options = {.yamls = RANDOM_PROGRAMS,
                                             .live = seed % 2 == 0,
                                             .rates = {[CW_CHANNEL_SMS] = 0.002},
                                             .rows_max = seed == 7 ? 25 : 0};
        start(&options);
        const char *const fewer[] = {RANDOM_SECOND, RANDOM_FOURTH, NULL};
        struct cw_programs *other = shop_programs(&shop, fewer);
        cr_assert(other != NULL);
        struct cw_programs *const sets[2] = {shop.programs, other};
        uint32_t set = 0;
        struct random_shop r = {.shop = &shop,
                                .random = seed,
                                .customers = 6,
                                .carts = 4,
                                .products = 8,
                                .step_ms = seed % 3 == 0 ? 200000000 : 4000000,
                                .long_strings = 300};
        uint32_t told[TABLES];
        for (uint32_t i = 0; i < 1200; i++) {
            random_turn(&r, sets, &set);
            if (draw(&r, 4) == 0) {
                commit(told);
                cr_assert(same_tables(), "seed %d, turn %u", (int)seed, i);
                commit(told);
                cr_assert(eq(u32, told[TABLE_customers], 0));
            }
        }
        shop_reprogram(&shop, shop.programs);
        cw_programs_close(other);
        shop_finish(&shop);
        commit(told);
        cr_assert(same_tables(), "seed %d, at the end", (int)seed);
        stop();
    }
}

static uint32_t told_by(const char *line, uint32_t told[TABLES])
{
    (void)shop_feed(&shop, line, strlen(line));
    commit(told);
    cr_assert(same_tables());
    uint32_t sum = 0;
    for (uint32_t i = 0; i < TABLES; i++) {
        sum += told[i];
    }
    return sum;
}

#define REFUND(id)                                                                        \
    "{\"source\":\"ecommerce.order\",\"detail-type\":\"OrderRefunded\",\"id\":\"" id      \
    "\",\"time\":\"2026-01-19T12:00:00Z\",\"detail\":{\"customerId\":\"c\",\"orderId\":" \
    "\"o\",\"amount\":1}}"

Test(rows, of_customers_are_not_told_when_only_their_lists_change)
{
    const struct shop_options options = {.yamls = RANDOM_PROGRAMS};
    uint32_t told[TABLES];
    start(&options);
    shop_customer(&shop, "c");
    commit(told);
    cr_assert(eq(u32, told[TABLE_customers], 1));
    /* A new id is linked in front of the customer's others; a repeated one changes nothing. */
    cr_assert(eq(u32, told_by(REFUND("1"), told), 1));
    cr_assert(eq(u32, told[TABLE_seen], 1));
    cr_assert(eq(u32, told_by(REFUND("2"), told), 1));
    cr_assert(eq(u32, told_by(REFUND("2"), told), 0));
    stop();
}
