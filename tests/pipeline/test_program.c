#include "tests/pipeline/program_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <math.h>

static struct fixture f;
static char *document;

static void setup(void)
{
    cr_assert(fixture_open(&f));
    document = read_source(DOCUMENT);
    cr_assert(ne(ptr, document, NULL));
}

static void teardown(void)
{
    fixture_close(&f);
    free(document);
}

TestSuite(program, .init = setup, .fini = teardown);

/* The document with one place changed, loaded. */
static cw_err load_patched(const char *find, const char *replace)
{
    char *text = patched(document, find, replace);
    cr_assert(ne(ptr, text, NULL), "not in the document: %s", find);
    cw_err err = fixture_load(&f, text);
    free(text);
    return err;
}

static const struct cw_program *loaded(const char *find, const char *replace)
{
    cw_err err = load_patched(find, replace);
    print_problems(&f);
    cr_assert(eq(int, err, CW_ERR_OK), "%s", replace);
    return &f.programs->list[0];
}

static bool is(struct cw_view view, const char *text)
{
    return view.data != NULL && view.bytes == strlen(text) &&
           memcmp(view.data, text, view.bytes) == 0;
}

#define TAIL      "candidateTTLDays: 7"
#define HOUR_MS   (3600 * (int64_t)1000)
#define MINUTE_MS (60 * (int64_t)1000)

Test(program, the_document_loads_with_one_remark)
{
    cr_assert(eq(int, fixture_load(&f, document), CW_ERR_OK));
    cr_assert(eq(u32, f.problems.count, 1));
    cr_assert(eq(u32, f.problems.remarks, 1));
    const struct cw_problem *remark = find_problem(&f, 15, 22, "inclusive range 50..999999");
    cr_assert(ne(ptr, (void *)remark, NULL));
    cr_assert(ne(ptr, strstr(remark->text, "awsEventPattern"), NULL));
}

Test(program, the_document_means_what_it_says)
{
    cr_assert(eq(int, fixture_load(&f, document), CW_ERR_OK));
    cr_assert(eq(u32, f.programs->count, 1));
    const struct cw_program *p = &f.programs->list[0];
    cr_assert(is(p->id, "abandoned-cart-recovery"));
    cr_assert(is(p->name, "Abandoned Cart Recovery"));
    cr_assert(is(p->file, "p.yaml"));
    cr_assert(p->enabled);
    cr_assert(eq(u32, p->marketplace_count, 8));
    cr_assert(is(p->marketplaces[7], "AU"));
    cr_assert(eq(u32, p->source_count, 1));
    cr_assert(is(p->sources[0].bus, "ecommerce-platform"));
    cr_assert(eq(u32, p->sources[0].pattern, 0));
    cr_assert(eq(u32, cw_pattern_set_count(f.programs->patterns), 1));
    cr_assert(eq(ptr, (void *)p->model, f.model));
    cr_assert(p->discount.enabled && p->discount.dynamic && !p->discount.expected_profit);
    cr_assert(eq(dbl, p->discount.base, 10));
    cr_assert(eq(dbl, p->discount.max, 20));
    cr_assert(eq(dbl, p->discount.step, 5));
    cr_assert(p->dedup.enabled);
    cr_assert(eq(i64, p->dedup.ttl_ms, 168 * HOUR_MS));
    cr_assert(eq(i64, p->candidate_ttl_ms, 168 * HOUR_MS));
    cr_assert(eq(u32, p->dedup.key.count, 5));
    cr_assert(eq(int, p->dedup.key.parts[0].part, CW_KEY_CUSTOMER));
    cr_assert(eq(int, p->dedup.key.parts[1].part, CW_KEY_LITERAL));
    cr_assert(is(p->dedup.key.parts[1].literal, ":"));
    cr_assert(eq(int, p->dedup.key.parts[2].part, CW_KEY_CART));
    cr_assert(eq(int, p->dedup.key.parts[4].part, CW_KEY_PROGRAM));
    cr_assert(eq(int, p->on_reabandon, CW_REABANDON_RESTART));
    cr_assert(eq(int, p->on_new_cart, CW_NEW_CART_SUPERSEDE));
    cr_assert(eq(i64, p->min_gap_ms, HOUR_MS));
    cr_assert(not(p->quiet.set));
    cr_assert(eq(dbl, p->holdout_percent, 0));
    cr_assert(eq(i64, p->session_timeout_ms, 0));
    cr_assert(eq(i64, p->code_valid_ms, 24 * HOUR_MS));
    cr_assert(not(p->unique_codes));
}

Test(program, the_documents_filters_and_touches)
{
    cr_assert(eq(int, fixture_load(&f, document), CW_ERR_OK));
    const struct cw_program *p = &f.programs->list[0];
    cr_assert(eq(u32, p->filter_count, 5));
    cr_assert(eq(int, p->filters[0].type, CW_FILTER_TRUST));
    cr_assert(p->filters[0].require_payment_method && !p->filters[0].allow_unknown);
    cr_assert(is(p->filters[1].id, "cart-value"));
    cr_assert(eq(int, p->filters[1].type, CW_FILTER_RULE));
    cr_assert(p->filters[1].minimum.set && !p->filters[1].minimum.by_market);
    cr_assert(eq(dbl, p->filters[1].minimum.any, 50));
    cr_assert(not(p->filters[1].caps[CW_CHANNEL_EMAIL].set));
    cr_assert(eq(int, p->filters[2].type, CW_FILTER_ELIGIBILITY));
    cr_assert(p->filters[3].caps[CW_CHANNEL_EMAIL].set);
    cr_assert(eq(dbl, p->filters[3].caps[CW_CHANNEL_EMAIL].any, 2));
    cr_assert(not(p->filters[3].caps[CW_CHANNEL_SMS].set));
    cr_assert(p->filters[4].require_in_stock && !p->filters[4].minimum.set);
    cr_assert(eq(u32, p->touch_count, 3));
    const struct cw_touch *t = p->touches;
    cr_assert(is(t[0].channel_id, "email"));
    cr_assert(eq(int, t[0].channel, CW_CHANNEL_EMAIL));
    cr_assert(eq(i64, t[0].delay_ms, HOUR_MS));
    cr_assert(is(t[0].template_id, "cart-recovery-v3"));
    cr_assert(is(t[0].subject, "You left something behind! {discountPercent}% off inside"));
    cr_assert(t[0].include_discount && t[0].message.data == NULL && isnan(t[0].cost_per_message));
    cr_assert(eq(i64, t[1].delay_ms, 24 * HOUR_MS));
    cr_assert(eq(int, t[1].channel, CW_CHANNEL_SMS));
    cr_assert(eq(u32, t[1].retries, 3));
    cr_assert(eq(int, t[1].on_unknown, CW_ON_UNKNOWN_DEFAULT));
    cr_assert(eq(dbl, t[1].rate_per_second, 0));
    cr_assert(is(t[2].title, "Last Chance!"));
    cr_assert(is(t[2].body, "Your cart expires soon. {discountPercent}% off ends today!"));
    cr_assert(eq(int, t[2].priority, 3));
}

Test(program, a_file_of_the_least_has_the_defaults)
{
    static const char least[] = "programId: p\n"
                                "eventSources: [{config: {eventPattern: {source: [x]}}}]\n"
                                "channels: [{type: sms, config: {delayHours: 1.5, message: hi}}]\n";
    cr_assert(eq(int, fixture_load(&f, least), CW_ERR_OK));
    cr_assert(eq(u32, f.problems.count, 0));
    const struct cw_program *p = &f.programs->list[0];
    cr_assert(is(p->name, "p"));
    cr_assert(p->enabled && p->dedup.enabled && !p->discount.enabled);
    cr_assert(eq(ptr, (void *)p->model, f.model));
    cr_assert(eq(ptr, (void *)p->sources[0].bus.data, NULL));
    cr_assert(eq(u32, p->marketplace_count, 0));
    cr_assert(eq(u32, p->filter_count, 0));
    cr_assert(is(p->touches[0].channel_id, "sms"));
    cr_assert(eq(i64, p->touches[0].delay_ms, HOUR_MS + 30 * MINUTE_MS));
    cr_assert(eq(i64, p->dedup.ttl_ms, 168 * HOUR_MS));
    cr_assert(eq(u32, p->dedup.key.count, 5));
    cr_assert(eq(i64, p->min_gap_ms, HOUR_MS));
}

Test(program, keys_beyond_the_document_are_read)
{
    const struct cw_program *p =
        loaded(TAIL, "candidateTTLDays: 3.5\nonReabandon: ignore\nonNewCart: parallel\n"
                     "minGapMinutes: 0\nquietHours: {start: \"21:30\", end: 08:00}\n"
                     "holdoutPercent: 12.5\nabandonmentDetection: {sessionTimeoutMinutes: 30}\n"
                     "codeValidHours: 48\ndiscountCodes: unique\n");
    cr_assert(eq(i64, p->candidate_ttl_ms, 84 * HOUR_MS));
    cr_assert(eq(int, p->on_reabandon, CW_REABANDON_IGNORE));
    cr_assert(eq(int, p->on_new_cart, CW_NEW_CART_PARALLEL));
    cr_assert(eq(i64, p->min_gap_ms, 0));
    cr_assert(p->quiet.set);
    cr_assert(eq(u32, p->quiet.start_minute, 21 * 60 + 30));
    cr_assert(eq(u32, p->quiet.end_minute, 8 * 60));
    cr_assert(eq(dbl, p->holdout_percent, 12.5));
    cr_assert(eq(i64, p->session_timeout_ms, 30 * MINUTE_MS));
    cr_assert(eq(i64, p->code_valid_ms, 48 * HOUR_MS));
    cr_assert(p->unique_codes);
    p = loaded("    order: 1\n", "    order: 1\n    parameters: {allowUnknown: true, "
                                 "requirePaymentMethod: false}\n");
    cr_assert(p->filters[0].allow_unknown && !p->filters[0].require_payment_method);
    p = loaded("discountStrategy:\n  enabled: true",
               "discountStrategy:\n  enabled: false\n  discountStep: 2.5\n  strategy: rule");
    cr_assert(not(p->discount.enabled));
    cr_assert(eq(dbl, p->discount.step, 2.5));
    p = loaded("deduplication:\n  enabled: true", "deduplication:\n  enabled: false");
    cr_assert(not(p->dedup.enabled));
    p = loaded("enabled: true\nmark", "enabled: false\nmark");
    cr_assert(not(p->enabled));
}

Test(program, delivery_keys_stand_in_the_channel_or_in_its_config)
{
    static const char *const places[][2] = {
        {"    priority: 2\n", "    priority: 2\n    costPerMessage: 0.04\n    ratePerSecond: 2.5\n"
                              "    retries: 0\n    onUnknown: resend\n    from: \"Shop\"\n"},
        {"      delayHours: 24\n", "      delayHours: 24\n      costPerMessage: 0.04\n      "
                                   "ratePerSecond: 2.5\n      retries: 0\n      onUnknown: resend\n"
                                   "      from: \"Shop\"\n"},
    };
    for (int i = 0; i < 2; i++) {
        const struct cw_program *p = loaded(places[i][0], places[i][1]);
        cr_assert(eq(dbl, p->touches[1].cost_per_message, 0.04));
        cr_assert(eq(dbl, p->touches[1].rate_per_second, 2.5));
        cr_assert(eq(u32, p->touches[1].retries, 0));
        cr_assert(eq(int, p->touches[1].on_unknown, CW_ON_UNKNOWN_RESEND));
        cr_assert(is(p->touches[1].from, "Shop"));
        cr_assert(isnan(p->touches[0].cost_per_message));
        cr_assert(eq(u32, p->touches[0].retries, 3));
    }
}

Test(program, variants_say_what_differs)
{
    const struct cw_program *p =
        loaded("      delayHours: 72\n      title: \"Last Chance!\"\n",
               "      delayHours: 72\n      variants:\n"
               "        - {name: calm, share: 0.25, title: \"Hello\"}\n"
               "        - {name: loud, share: 0.75, title: \"HELLO\", delayHours: 71}\n");
    const struct cw_touch *t = &p->touches[2];
    cr_assert(eq(ptr, (void *)t->title.data, NULL));
    cr_assert(eq(u32, t->variant_count, 2));
    cr_assert(is(t->variants[0].name, "calm"));
    cr_assert(eq(dbl, t->variants[1].share, 0.75));
    cr_assert(is(t->variants[1].title, "HELLO"));
    cr_assert(eq(ptr, (void *)t->variants[1].body.data, NULL));
    cr_assert(eq(i64, t->variants[0].delay_ms, 72 * HOUR_MS));
    cr_assert(eq(i64, t->variants[1].delay_ms, 71 * HOUR_MS));
    cr_assert(eq(int,
                 load_patched("      title: \"Last Chance!\"\n",
                              "      variants:\n        - {name: a, share: 0.3, title: t}\n"
                              "        - {name: b, share: 0.7}\n"),
                 CW_ERR_INVALID));
    cr_assert(ne(ptr, (void *)find_problem(&f, 67, 5, "needs \"title\""), NULL));
    /* Ten tenths are not exactly 1 in binary. */
    char text[1024] = "      delayHours: 72\n      variants:\n";
    for (int i = 0; i < 10; i++) {
        size_t used = strlen(text);
        (void)snprintf(text + used, sizeof text - used, "        - {name: v%d, share: 0.1}\n", i);
    }
    p = loaded("      delayHours: 72\n", text);
    cr_assert(eq(u32, p->touches[2].variant_count, 10));
}

Test(program, numbers_by_marketplace)
{
    const struct cw_program *p = loaded("minCartValue: 50", "minCartValue: {US: 50, JP: 7500.5}");
    const struct cw_by_market *m = &p->filters[1].minimum;
    double value = 0;
    cr_assert(m->set && m->by_market && m->count == 2);
    cr_assert(cw_by_market_get(m, CW_VIEW("JP"), &value));
    cr_assert(eq(dbl, value, 7500.5));
    cr_assert(not(cw_by_market_get(m, CW_VIEW("DE"), &value)));
}

Test(program, touches_are_in_the_order_of_delay_then_priority_then_place)
{
    static const char text[] =
        "programId: p\n"
        "eventSources: [{config: {eventPattern: {source: [x]}}}]\n"
        "channels:\n"
        "  - {channelId: d, type: sms, priority: 2, config: {delayMinutes: 60, message: m}}\n"
        "  - {channelId: b, type: sms, priority: 1, config: {delayHours: 1, message: m}}\n"
        "  - {channelId: off, type: sms, enabled: false, config: {delayHours: 0, message: m}}\n"
        "  - {channelId: e, type: sms, priority: 2, config: {delayHours: 1, message: m}}\n"
        "  - {channelId: a, type: sms, priority: 9, config: {delayMinutes: 55, message: m}}\n"
        "  - {channelId: c, type: sms, priority: 1, config: {delayHours: 1, message: m}}\n";
    cr_assert(eq(int, fixture_load(&f, text), CW_ERR_OK));
    const struct cw_program *p = &f.programs->list[0];
    cr_assert(eq(u32, p->touch_count, 5));
    for (uint32_t i = 0; i < 5; i++) {
        char id[2] = {(char)('a' + i), 0};
        cr_assert(is(p->touches[i].channel_id, id));
    }
    cr_assert(eq(i64, p->min_gap_ms, 0), "the smallest distance of two touches");
}

Test(program, the_default_gap_is_the_smallest_distance_below_an_hour)
{
    cr_assert(eq(i64, loaded("delayHours: 24", "delayMinutes: 85")->min_gap_ms, 25 * MINUTE_MS));
    cr_assert(eq(i64, loaded("delayHours: 24", "delayHours: 3")->min_gap_ms, HOUR_MS));
}

Test(program, filters_run_in_their_order)
{
    static const char text[] = "programId: p\n"
                               "eventSources: [{config: {eventPattern: {source: [x]}}}]\n"
                               "filterChain:\n"
                               "  - {filterId: c, type: trust, order: 30}\n"
                               "  - {filterId: b, type: eligibility, order: 20}\n"
                               "  - {type: business-rule, parameters: {requireInStock: false}}\n"
                               "channels: [{type: sms, config: {delayHours: 1.5, message: hi}}]\n";
    cr_assert(eq(int, fixture_load(&f, text), CW_ERR_OK));
    const struct cw_program *p = &f.programs->list[0];
    cr_assert(is(p->filters[0].id, "business-rule"), "no order: its place, 3");
    cr_assert(is(p->filters[1].id, "b"));
    cr_assert(is(p->filters[2].id, "c"));
}

/* Whether the first pattern of the loaded set matches an event with this detail. */
static bool matches(const char *detail)
{
    static char text[1024];
    struct cw_json_parser *parser;
    struct cw_pattern_scratch *scratch;
    struct cw_json doc;
    struct cw_pattern_matches found;
    (void)snprintf(
        text, sizeof text,
        "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartAbandoned\",\"detail\":%s}", detail);
    cr_assert(eq(int, cw_json_open(&parser, sizeof text, 100, &f.fault), CW_ERR_OK));
    cr_assert(eq(int, cw_pattern_scratch_open(&scratch, &f.fault), CW_ERR_OK));
    uint32_t bytes = (uint32_t)strlen(text);
    cr_assert(eq(int, cw_json_parse(parser, text, bytes, &doc), CW_JSON_PARSE_OK));
    cw_pattern_match(f.programs->patterns, scratch, &doc, &found);
    cw_pattern_scratch_close(scratch);
    cw_json_close(parser);
    return (found.words[0] & 1) != 0;
}

Test(program, patterns_keep_types_and_spelling)
{
    (void)loaded("          cartValue: [50, 999999]  # Min $50\n",
                 "          a: [50, 51, 1e2, \"60\"]\n          b: [true, null, no, DE]\n"
                 "          \"quo\\\"te\": [{anything-but: [1, 2]}]\n");
    cr_assert(eq(u32, f.problems.count, 0), "none of these is a range");

    static const struct {
        const char *a, *b;
        bool met;
    } cases[] = {
        {"50", "true", true},    {"100", "true", true},     {"\"60\"", "true", true},
        {"60", "true", false},   {"\"50\"", "true", false}, {"50.5", "true", false},
        {"50", "null", true},    {"50", "\"no\"", true},    {"50", "\"DE\"", true},
        {"50", "false", false},  {"50", "\"null\"", false}, {"50", "\"true\"", false},
        {"5.0e1", "true", true},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char detail[128];
        (void)snprintf(detail, sizeof detail, "{\"a\":%s,\"b\":%s,\"quo\\\"te\":3}", cases[i].a,
                       cases[i].b);
        cr_assert(eq(int, matches(detail), cases[i].met), "%s", detail);
    }
}

Test(program, the_documents_pattern_is_an_inclusive_range)
{
    cr_assert(eq(int, fixture_load(&f, document), CW_ERR_OK));
    cr_assert(matches("{\"cartValue\":50}"));
    cr_assert(matches("{\"cartValue\":150.00}"));
    cr_assert(matches("{\"cartValue\":999999}"));
    cr_assert(not(matches("{\"cartValue\":49.99}")));
    cr_assert(not(matches("{\"cartValue\":999999.5}")));
    (void)loaded("eventPattern:", "awsEventPattern:");
    cr_assert(matches("{\"cartValue\":50}"));
    cr_assert(not(matches("{\"cartValue\":150}")));
}

Test(program, every_range_is_remarked_and_only_ranges)
{
    (void)loaded("          cartValue: [50, 999999]  # Min $50\n",
                 "          cartValue: [50, 60]\n          itemCount: [6, 5]\n"
                 "          $or:\n            - a: [1, 2]\n            - b: [1, \"2\"]\n");
    cr_assert(eq(u32, f.problems.count, 2));
    cr_assert(ne(ptr, (void *)find_problem(&f, 15, 22, "50..60"), NULL));
    cr_assert(ne(ptr, (void *)find_problem(&f, 18, 18, "1..2"), NULL));
    (void)loaded("eventPattern:", "awsEventPattern:");
    cr_assert(eq(u32, f.problems.count, 0));
}

Test(program, several_files_are_one_set_sorted_by_id)
{
    char *files[3] = {patched(document, "\"abandoned-cart-recovery\"", "zebra"),
                      patched(document, "\"abandoned-cart-recovery\"", "alpha"),
                      patched(document, "\"abandoned-cart-recovery\"", "alpha2")};
    struct cw_program_file list[3];
    for (int i = 0; i < 3; i++) {
        CW_ASSERT(files[i] != NULL);
        list[i] = (struct cw_program_file){"f.yaml", {files[i], (uint32_t)strlen(files[i])}};
    }
    struct cw_program_needs needs = fixture_needs(&f);
    cw_err err = cw_programs_load(&f.programs, list, 3, &needs, &f.problems, &f.fault);
    cr_assert(eq(int, err, CW_ERR_OK));
    cr_assert(is(f.programs->list[0].id, "alpha"));
    cr_assert(is(f.programs->list[1].id, "alpha2"));
    cr_assert(is(f.programs->list[2].id, "zebra"));
    cr_assert(eq(u32, f.programs->list[0].sources[0].pattern, 1));
    cr_assert(eq(ptr, (void *)cw_programs_find(f.programs, CW_VIEW("zebra")),
                 (void *)&f.programs->list[2]));
    cr_assert(eq(ptr, (void *)cw_programs_find(f.programs, CW_VIEW("alpha")),
                 (void *)&f.programs->list[0]));
    cr_assert(eq(ptr, (void *)cw_programs_find(f.programs, CW_VIEW("beta")), NULL));
    for (int i = 0; i < 3; i++) {
        free(files[i]);
    }
}

Test(program, one_id_in_two_files_is_told_with_both_places)
{
    struct cw_program_file list[2] = {{"a.yaml", {document, (uint32_t)strlen(document)}},
                                      {"b.yaml", {document, (uint32_t)strlen(document)}}};
    struct cw_program_needs needs = fixture_needs(&f);
    cw_err err = cw_programs_load(&f.programs, list, 2, &needs, &f.problems, &f.fault);
    cr_assert(eq(int, err, CW_ERR_INVALID));
    const struct cw_problem *p = find_problem(&f, 1, 12, "is taken by a.yaml:1");
    cr_assert(ne(ptr, (void *)p, NULL));
    cr_assert(eq(str, (char *)p->file, "b.yaml"));
    cr_assert(eq(u32, f.problems.errors, 1));
}

Test(program, too_many_files_and_too_long_files_are_refused)
{
    struct cw_program_needs needs = fixture_needs(&f);
    cr_assert(eq(int, cw_programs_load(&f.programs, NULL, 0, &needs, &f.problems, &f.fault),
                 CW_ERR_LIMIT));
    static char huge[CW_PROGRAM_FILE_MAX + 1];
    memset(huge, '#', sizeof huge);
    cr_assert(eq(int, fixture_load_bytes(&f, huge, sizeof huge), CW_ERR_INVALID));
    cr_assert(eq(u32, f.problems.list[0].line, 0));
    cr_assert(ne(ptr, strstr(f.problems.list[0].text, "1048576"), NULL));
    cr_assert(eq(int, fixture_load_bytes(&f, huge, sizeof huge - 1), CW_ERR_INVALID));
}

Test(program, the_shipped_programs_load_without_a_problem)
{
    static const char *const names[] = {"tools/programs/second-chance.yaml",
                                        "tools/programs/electronics-push.yaml"};
    for (int i = 0; i < 2; i++) {
        char *text = read_source(names[i]);
        cr_assert(ne(ptr, text, NULL));
        cw_err err = fixture_load(&f, text);
        print_problems(&f);
        cr_assert(eq(int, err, CW_ERR_OK));
        cr_assert(eq(u32, f.problems.count, 0));
        free(text);
    }
}

Test(program, each_template_is_told_about_once)
{
    char *text = patched(document, "cart-recovery-v3\"\n",
                         "offer\"\n      includeDiscount: false\n"
                         "      variants:\n        - {name: a, share: 1, templateId: offer}\n");
    char *other = patched(text, "      includeDiscount: true\n", "");
    cr_assert(eq(int, fixture_load(&f, other), CW_ERR_INVALID));
    print_problems(&f);
    uint32_t of_template = 0;
    for (uint32_t i = 0; i < f.problems.count; i++) {
        of_template += strcmp(f.problems.list[i].file, "offer.html") == 0;
    }
    cr_assert(eq(u32, of_template, 1));
    cr_assert(ne(ptr, (void *)find_problem(&f, 2, 1, "discountCode"), NULL));
    cr_assert(ne(ptr, (void *)find_problem(&f, 56, 44, "discountPercent"), NULL));
    free(other);
    free(text);
}
