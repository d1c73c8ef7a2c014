#define _GNU_SOURCE 1 /* memmem */
#include "core/json.h"
#include "core/time.h"
#include "tools/cli.h"
#include "tools/gen.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <math.h>
#include <stdlib.h>

/* Everything that a run wrote, and where its lines begin. */
struct stream {
    char *data;
    size_t bytes, capacity;
    size_t *starts;
    uint32_t count, starts_capacity;
    struct cw_gen_plan plan;
};

static void keep(void *self, struct cw_view line)
{
    struct stream *stream = self;
    cr_assert(eq(chr, line.data[line.bytes], '\n'));
    if (stream->bytes + line.bytes + 1 > stream->capacity) {
        stream->capacity = stream->capacity * 2 + line.bytes + 4096;
        stream->data = realloc(stream->data, stream->capacity + CW_JSON_PADDING);
    }
    if (stream->count == stream->starts_capacity) {
        stream->starts_capacity = stream->starts_capacity * 2 + 1024;
        stream->starts = realloc(stream->starts, stream->starts_capacity * sizeof *stream->starts);
    }
    stream->starts[stream->count++] = stream->bytes;
    memcpy(stream->data + stream->bytes, line.data, line.bytes + 1);
    stream->bytes += line.bytes + 1;
}

static struct stream run(struct cw_gen_options options)
{
    struct stream stream = {0};
    options.plan = &stream.plan;
    cw_gen_run(&options, keep, &stream);
    memset(stream.data + stream.bytes, 0, CW_JSON_PADDING);
    cr_assert(eq(u64, stream.plan.events, stream.count));
    return stream;
}

static struct stream run_carts(uint64_t carts, uint64_t seed)
{
    struct cw_gen_options options = cw_gen_defaults();
    options.carts = carts;
    options.seed = seed;
    return run(options);
}

static void drop(struct stream *stream)
{
    free(stream->data);
    free(stream->starts);
}

static struct cw_view line_of(const struct stream *stream, uint32_t i)
{
    size_t end = i + 1 < stream->count ? stream->starts[i + 1] : stream->bytes;
    return (struct cw_view){stream->data + stream->starts[i],
                            (uint32_t)(end - stream->starts[i] - 1)};
}

/* A member's raw text, NULL when absent; path has at most two names. */
static struct cw_view member(const struct cw_json *doc, const char *first, const char *second)
{
    uint32_t node = cw_json_find(doc, 0, (struct cw_view){first, (uint32_t)strlen(first)});
    if (node != CW_JSON_NONE && second != NULL) {
        node = cw_json_find(doc, node, (struct cw_view){second, (uint32_t)strlen(second)});
    }
    return node == CW_JSON_NONE ? (struct cw_view){0} : cw_json_raw(doc, node);
}

static int64_t own_time(const struct cw_json *doc)
{
    struct cw_view text = member(doc, "detail", "timestamp");
    int64_t ms = 0;
    cr_assert(cw_time_parse(text.data == NULL ? member(doc, "time", NULL) : text, &ms));
    return ms;
}

Test(gen, writes_the_same_bytes_for_the_same_seed_and_others_for_another)
{
    struct stream a = run_carts(300, 7);
    struct stream b = run_carts(300, 7);
    struct stream c = run_carts(300, 8);
    cr_assert(eq(sz, a.bytes, b.bytes));
    cr_assert(eq(int, memcmp(a.data, b.data, a.bytes), 0));
    cr_assert(a.bytes != c.bytes || memcmp(a.data, c.data, a.bytes) != 0);
    drop(&a);
    drop(&b);
    drop(&c);
}

Test(gen, writes_exactly_as_many_events_as_asked_for)
{
    static const uint64_t counts[] = {1, 2, 17, 1000, 12345};
    for (uint32_t i = 0; i < CW_COUNTOF(counts); i++) {
        struct cw_gen_options options = cw_gen_defaults();
        options.events = counts[i];
        struct stream stream = run(options);
        cr_assert(eq(u64, stream.count, counts[i]));
        drop(&stream);
    }
}

Test(gen, leaves_exactly_as_many_carts_as_asked_for)
{
    static const uint64_t counts[] = {1, 2, 17, 1000};
    for (uint32_t i = 0; i < CW_COUNTOF(counts); i++) {
        struct stream stream = run_carts(counts[i], 3);
        cr_assert(eq(u64, stream.plan.abandonments, counts[i]));
        drop(&stream);
    }
}

Test(gen, makes_at_least_the_customers_asked_for)
{
    struct cw_gen_options options = cw_gen_defaults();
    options.carts = 50;
    options.customers = 700;
    struct stream stream = run(options);
    cr_assert(ge(u64, stream.plan.customers, 700));
    cr_assert(le(u64, stream.plan.customers, 760));
    drop(&stream);
}

Test(gen, takes_extreme_options)
{
    struct cw_gen_options options = cw_gen_defaults();
    options.carts = 400;
    options.days = 1;
    options.products = CW_GEN_PRODUCTS_MIN;
    options.late_percent = 50;
    options.duplicate_percent = 50;
    options.local_currency = true;
    options.start_ms = CW_DAY_MS;
    options.program = CW_VIEW("\xc3\xa9");
    struct stream stream = run(options);
    cr_assert(eq(u64, stream.plan.abandonments, 400));
    drop(&stream);
    options.days = CW_GEN_DAYS_MAX;
    options.late_percent = 0;
    options.duplicate_percent = 0;
    stream = run(options);
    cr_assert(eq(u64, stream.plan.late + stream.plan.repeated + stream.plan.duplicates, 0));
    drop(&stream);
}

static int by_text(const void *a, const void *b)
{
    return cw_view_compare(*(const struct cw_view *)a, *(const struct cw_view *)b);
}

Test(gen, writes_valid_envelopes_with_ids_that_only_repetitions_share)
{
    struct stream stream = run_carts(2000, 1);
    struct cw_fault fault;
    struct cw_json_parser *parser = NULL;
    cr_assert(eq(int, cw_json_open(&parser, 1 << 20, 100, &fault), CW_ERR_OK));
    struct cw_view *ids = calloc(stream.count, sizeof *ids);
    for (uint32_t i = 0; i < stream.count; i++) {
        struct cw_view line = line_of(&stream, i);
        struct cw_json doc;
        cr_assert(eq(int, cw_json_parse(parser, line.data, line.bytes, &doc), CW_JSON_PARSE_OK),
                  "%.*s", (int)line.bytes, line.data);
        cr_assert(ne(ptr, (void *)(uintptr_t)member(&doc, "source", NULL).data, NULL));
        cr_assert(ne(ptr, (void *)(uintptr_t)member(&doc, "detail-type", NULL).data, NULL));
        ids[i] = member(&doc, "id", NULL);
        cr_assert(eq(u32, ids[i].bytes, 36));
    }
    qsort(ids, stream.count, sizeof *ids, by_text);
    uint64_t repeated = 0;
    for (uint32_t i = 1; i < stream.count; i++) {
        if (cw_view_equal(ids[i - 1], ids[i])) {
            /* The id stands at the same place of both lines, which are the same throughout. */
            const char *a = ids[i - 1].data;
            const char *b = ids[i].data;
            size_t bytes = strcspn(a, "\n");
            cr_assert(eq(int, memcmp(a, b, bytes + 1), 0));
            repeated++;
        }
    }
    cr_assert(eq(u64, repeated, stream.plan.repeated));
    free(ids);
    cw_json_close(parser);
    drop(&stream);
}

Test(gen, keeps_time_going_forward_but_for_what_comes_late)
{
    struct cw_gen_options options = cw_gen_defaults();
    options.carts = 2000;
    options.late_percent = 2;
    options.duplicate_percent = 0;
    struct stream stream = run(options);
    struct cw_fault fault;
    struct cw_json_parser *parser = NULL;
    cr_assert(eq(int, cw_json_open(&parser, 1 << 20, 100, &fault), CW_ERR_OK));
    int64_t clock = options.start_ms;
    uint64_t late = 0;
    for (uint32_t i = 0; i < stream.count; i++) {
        struct cw_view line = line_of(&stream, i);
        struct cw_json doc;
        cr_assert(eq(int, cw_json_parse(parser, line.data, line.bytes, &doc), CW_JSON_PARSE_OK));
        int64_t ms = own_time(&doc);
        cr_assert(ge(i64, ms, options.start_ms));
        cr_assert(le(i64, ms, options.start_ms + 50 * CW_DAY_MS));
        late += ms < clock - 3 * CW_SECOND_MS;
        clock = ms > clock ? ms : clock;
    }
    /* Besides those of --late, some abandonments are overtaken on purpose: at most 9 % of carts. */
    cr_assert(ge(u64, late, stream.plan.late * 3 / 4));
    cr_assert(le(u64, late, stream.plan.late + 200));
    cw_json_close(parser);
    drop(&stream);
}

static double rate(uint64_t part, uint64_t of)
{
    return (double)part / (double)of;
}

#define NEAR(a, b, by) \
    cr_assert(le(dbl, fabs((a) - (b)), (by)), "%g is not about %g", (double)(a), (double)(b))

Test(gen, plans_the_documents_rates)
{
    struct stream stream = run_carts(20000, 5);
    const struct cw_gen_plan *p = &stream.plan;
    uint64_t candidates = p->verdicts[CW_GEN_PASS];
    NEAR(rate(candidates, p->abandonments), 0.60, 0.001);
    static const double sent[] = {1, 0.85, 0.75};
    static const double delivered[] = {0.98, 0.95, 0.97};
    static const double opened[] = {0.40, 0, 0.20};
    static const double converted[] = {0.15, 0.10, 0.05};
    for (uint32_t i = 0; i < CW_GEN_TOUCHES; i++) {
        NEAR(rate(p->sent[i], candidates), sent[i], 0.006);
        NEAR(rate(p->delivered[i], p->sent[i]), delivered[i], 0.002);
        NEAR(rate(p->opened[i], p->sent[i]), opened[i], 0.002);
        NEAR(rate(p->converted[i], candidates), converted[i], 0.001);
        cr_assert(eq(u64, p->delivered[i] + p->bounced[i], p->sent[i]));
    }
    NEAR(rate(p->clicked[0], p->sent[0]), 0.25, 0.002);
    NEAR(rate(p->clicked[1], p->sent[1]), 0.35, 0.002);
    NEAR(rate(p->candidate_cents, candidates) / 100, 150, 0.5);
    uint64_t bought = p->converted[0] + p->converted[1] + p->converted[2];
    NEAR(rate(p->recovered_gross_cents, bought) / 100, 150, 0.5);
    NEAR(rate(p->recovered_cents, bought) / 100, 135, 0.5);
    NEAR(rate(p->rating_sum, p->feedback), 4.5, 0.02);
    static const double shares[] = {
#define CW_X(name, text, share) share,
        CW_GEN_VERDICTS(CW_X)
#undef CW_X
    };
    uint64_t sum = 0;
    for (uint32_t i = 0; i < CW_GEN_VERDICT_COUNT; i++) {
        NEAR(rate(p->verdicts[i], p->abandonments), shares[i], 0.001);
        sum += p->verdicts[i];
    }
    cr_assert(eq(u64, sum, p->abandonments));
    drop(&stream);
}

Test(gen, looks_right_when_small_too)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct cw_gen_options options = cw_gen_defaults();
        options.carts = 60;
        options.days = 7;
        options.seed = seed;
        struct stream stream = run(options);
        const struct cw_gen_plan *p = &stream.plan;
        uint64_t candidates = p->verdicts[CW_GEN_PASS];
        NEAR(rate(candidates, p->abandonments), 0.60, 0.04);
        NEAR(rate(p->converted[0], candidates), 0.15, 0.06);
        NEAR(rate(p->converted[1], candidates), 0.10, 0.06);
        NEAR(rate(p->converted[2], candidates), 0.05, 0.05);
        NEAR(rate(p->opened[0], p->sent[0]), 0.40, 0.10);
        NEAR(rate(p->candidate_cents, candidates) / 100, 150, 15);
        drop(&stream);
    }
}

/* Counts lines whose text has all of these. */
static uint64_t count_lines(const struct stream *stream, const char *first, const char *second)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < stream->count; i++) {
        struct cw_view line = line_of(stream, i);
        count += memmem(line.data, line.bytes, first, strlen(first)) != NULL &&
                 memmem(line.data, line.bytes, second, strlen(second)) != NULL;
    }
    return count;
}

Test(gen, writes_what_it_plans)
{
    struct cw_gen_options options = cw_gen_defaults();
    options.carts = 3000;
    options.duplicate_percent = 0;
    struct stream stream = run(options);
    const struct cw_gen_plan *p = &stream.plan;
    cr_assert(eq(u64, count_lines(&stream, "\"CartAbandoned\"", ""),
                 p->abandonments + p->unmatched + p->updated));
    cr_assert(eq(u64, count_lines(&stream, "\"OrderPlaced\"", ""), p->orders));
    cr_assert(eq(u64, count_lines(&stream, "\"OrderRefunded\"", ""), p->refunds));
    cr_assert(eq(u64, count_lines(&stream, "\"Delivered\"", ""),
                 p->delivered[0] + p->delivered[1] + p->delivered[2]));
    cr_assert(eq(u64, count_lines(&stream, "\"Opened\"", ""), p->opened[0] + p->opened[2]));
    cr_assert(eq(u64, count_lines(&stream, "\"Unsubscribed\"", ""), p->unsubscribed));
    cr_assert(eq(u64, count_lines(&stream, "\"FeedbackReceived\"", ""), p->feedback));
    cr_assert(eq(u64, count_lines(&stream, "\"CartAbandoned\"", "\"customerId\":\"G"),
                 p->verdicts[CW_GEN_UNKNOWN]));
    cr_assert(gt(u64, count_lines(&stream, "\"name\":\"佐藤", ""), 0));
    drop(&stream);
}

Test(gen, names_messages_as_the_engine_does)
{
    /* Computed by another implementation of decision D10: murmur2 and SipHash-2-4-128 over
       "abandoned-cart-recovery", the customer, the cart, T0 and the touch. */
    struct stream stream = run_carts(60, 1);
    cr_assert(
        eq(u64, count_lines(&stream, "\"Delivered\"", "00f466c43981329a8ba10fbb4ccd93fe3d2d"), 1));
    drop(&stream);
}

Test(gen, refuses_wrong_arguments_with_exit_code_2)
{
    static const char *const wrong[][3] = {
        {"--events", "0"},        {"--events", "x"},
        {"--events", "-1"},       {"--events", "1e6"},
        {"--events", NULL},       {"--carts", "99999999999"},
        {"--days", "0"},          {"--days", "3651"},
        {"--products", "9"},      {"--late", "51"},
        {"--late", "nan"},        {"--duplicates", ""},
        {"--start", "yesterday"}, {"--program", ""},
        {"--evnets", "5"},        {"--seed", "18446744073709551616"},
        {"more", NULL},           {"--customers", "4 "},
    };
    for (uint32_t i = 0; i < CW_COUNTOF(wrong); i++) {
        char *argv[] = {"gen", (char *)(uintptr_t)wrong[i][0], (char *)(uintptr_t)wrong[i][1],
                        NULL};
        int argc = wrong[i][1] == NULL ? 2 : 3;
        cr_assert(eq(int, cw_cmd_gen(argc, argv), CW_EXIT_USAGE), "%s", wrong[i][0]);
    }
    char *both[] = {"gen", "--events", "5", "--carts", "5", NULL};
    cr_assert(eq(int, cw_cmd_gen(5, both), CW_EXIT_USAGE));
}

Test(gen, fails_with_exit_code_1_when_it_cannot_write)
{
    char *argv[] = {"gen", "--carts", "5", "-o", "/nowhere/at/all", NULL};
    cr_assert(eq(int, cw_cmd_gen(5, argv), CW_EXIT_FAILURE));
}

Test(gen, leaves_carts_below_the_minimum_only_where_it_says_so)
{
    for (int local = 0; local < 2; local++) {
        struct cw_gen_options options = cw_gen_defaults();
        options.carts = 3000;
        options.duplicate_percent = 0;
        options.local_currency = local != 0;
        struct stream stream = run(options);
        struct cw_fault fault;
        struct cw_json_parser *parser = NULL;
        cr_assert(eq(int, cw_json_open(&parser, 1 << 20, 100, &fault), CW_ERR_OK));
        uint64_t below = 0;
        for (uint32_t i = 0; i < stream.count; i++) {
            struct cw_view line = line_of(&stream, i);
            if (memmem(line.data, line.bytes, "\"CartAbandoned\"", 15) != NULL) {
                struct cw_json doc;
                cr_assert(
                    eq(int, cw_json_parse(parser, line.data, line.bytes, &doc), CW_JSON_PARSE_OK));
                below += cw_json_number(member(&doc, "detail", "cartValue")) < 50;
            }
        }
        cr_assert(eq(u64, below, stream.plan.unmatched));
        cr_assert(gt(u64, below, 0));
        cw_json_close(parser);
        drop(&stream);
    }
}
