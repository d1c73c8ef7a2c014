#include "core/time.h"
#include "tools/put_events.h"
#include "tools/shift.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>

static struct cw_json_parser *parser;
static struct cw_json doc;
static char text[4096 + CW_JSON_PADDING];

static void open_parser(void)
{
    struct cw_fault fault;
    cr_assert(eq(int, cw_json_open(&parser, 4096, CW_JSON_DEPTH_MAX, &fault), CW_ERR_OK));
}

static void close_parser(void)
{
    cw_json_close(parser);
}

TestSuite(shift, .init = open_parser, .fini = close_parser);

static struct cw_view read_text(const char *from)
{
    struct cw_view view = {text, (uint32_t)strlen(from)};
    memset(text, 0, sizeof text);
    memcpy(text, from, view.bytes);
    cr_assert(eq(int, cw_json_parse(parser, view.data, view.bytes, &doc), CW_JSON_PARSE_OK));
    return view;
}

#define HOUR INT64_C(3600000)

static const struct row {
    const char *before, *after; /* by an hour */
} rows[] = {
    {"{\"time\":\"2026-01-18T16:45:00Z\"}", "{\"time\":\"2026-01-18T17:45:00.000Z\"}"},
    {"{\"time\":\"2026-01-18T16:45:00Z\",\"detail\":{\"a\":1, \"timestamp\" : "
     "\"2026-01-18T16:44:59.25+01:00\"} }",
     "{\"time\":\"2026-01-18T17:45:00.000Z\",\"detail\":{\"a\":1, \"timestamp\" : "
     "\"2026-01-18T16:44:59.250Z\"} }"},
    /* in the other order, and spelled with escapes */
    {"{\"detail\":{\"timestamp\":\"2026-01-18T23:59:59.999Z\"},"
     "\"t\\u0069me\":\"2026-01-18T\\u0031\\u0036:45:00Z\"}",
     "{\"detail\":{\"timestamp\":\"2026-01-19T00:59:59.999Z\"},"
     "\"t\\u0069me\":\"2026-01-18T17:45:00.000Z\"}"},
    /* of a key that comes twice the last counts */
    {"{\"time\":\"2026-01-18T16:45:00Z\",\"time\":\"2026-02-18T16:45:00Z\"}",
     "{\"time\":\"2026-01-18T16:45:00Z\",\"time\":\"2026-02-18T17:45:00.000Z\"}"},
    /* what is no time, or not one of the two, stays */
    {"{\"time\":\"tomorrow\",\"detail\":{\"timestamp\":5}}",
     "{\"time\":\"tomorrow\",\"detail\":{\"timestamp\":5}}"},
    {"{\"timestamp\":\"2026-01-18T16:45:00Z\",\"detail\":{\"time\":\"2026-01-18T16:45:00Z\","
     "\"x\":{\"timestamp\":\"2026-01-18T16:45:00Z\"}}}",
     "{\"timestamp\":\"2026-01-18T16:45:00Z\",\"detail\":{\"time\":\"2026-01-18T16:45:00Z\","
     "\"x\":{\"timestamp\":\"2026-01-18T16:45:00Z\"}}}"},
    {"{\"time\":\"9999-12-31T23:59:59Z\"}", "{\"time\":\"9999-12-31T23:59:59Z\"}"},
    {"{\"time\":\"1970-01-01T00:00:00Z\"}", "{\"time\":\"1970-01-01T01:00:00.000Z\"}"},
    {"{\"detail\":\"text\"}", "{\"detail\":\"text\"}"},
    {"[]", "[]"},
    {"5", "5"},
    {"{}", "{}"},
};

Test(shift, moves_both_times_and_nothing_else)
{
    struct cw_text out = {0};
    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        struct cw_view view = read_text(rows[i].before);
        struct cw_told_times times = cw_told_times(&doc);
        cw_text_clear(&out);
        cw_shift(view, &times, HOUR, &out);
        cr_expect(
            eq(str, (char *)(uintptr_t)cw_text_terminate(&out), (char *)(uintptr_t)rows[i].after));
    }
    cw_text_deinit(&out);
}

Test(shift, never_leaves_the_years_that_there_are)
{
    struct cw_text out = {0};
    static const int64_t shifts[] = {INT64_MIN, INT64_MAX, -INT64_C(99999999999999),
                                     INT64_C(253402300800000)};
    for (uint32_t i = 0; i < CW_COUNTOF(shifts); i++) {
        struct cw_view view = read_text("{\"time\":\"2026-01-18T16:45:00Z\"}");
        struct cw_told_times times = cw_told_times(&doc);
        cw_text_clear(&out);
        cw_shift(view, &times, shifts[i], &out);
        cr_expect(eq(str, (char *)(uintptr_t)cw_text_terminate(&out),
                     "{\"time\":\"2026-01-18T16:45:00Z\"}"));
    }
    cw_text_deinit(&out);
}

Test(shift, knows_when_an_event_happened)
{
    (void)read_text("{\"time\":\"1970-01-01T00:00:01Z\",\"detail\":{}}");
    struct cw_told_times times = cw_told_times(&doc);
    cr_expect(eq(i64, cw_told_own(&times), 1000));
    (void)read_text("{\"time\":\"1970-01-01T00:00:01Z\","
                    "\"detail\":{\"timestamp\":\"1970-01-01T00:00:02Z\"}}");
    times = cw_told_times(&doc);
    cr_expect(eq(i64, cw_told_own(&times), 2000));
    (void)read_text("{\"detail\":{\"timestamp\":null}}");
    times = cw_told_times(&doc);
    cr_expect(eq(i64, cw_told_own(&times), CW_TIME_NONE));
}

Test(shift, makes_an_entry_of_an_envelope)
{
    static const struct {
        const char *event, *entry;
    } cases[] = {
        {"{\"id\":\"1\",\"source\":\"s\\\"\",\"detail-type\":\"T\",\"detail\":{\"a\" :\"\\n\"}}",
         "{\"Source\":\"s\\\"\",\"DetailType\":\"T\",\"Detail\":\"{\\\"a\\\" :\\\"\\\\n\\\"}\"}"},
        {"{\"time\":\"2026-01-18T16:45:00.25Z\",\"resources\":[\"r\"],\"eventBusName\":\"b\","
         "\"detail\":{},\"detail-type\":\"T\",\"source\":\"s\"}",
         "{\"Source\":\"s\",\"DetailType\":\"T\",\"EventBusName\":\"b\",\"Resources\":[\"r\"],"
         "\"Time\":1768754700.250,\"Detail\":\"{}\"}"},
        {"{\"source\":\"s\",\"detail-type\":\"T\"}", NULL},
        {"{\"source\":1,\"detail-type\":\"T\",\"detail\":{}}", NULL},
        {"{\"source\":\"s\",\"detail-type\":\"T\",\"detail\":[]}", NULL},
        {"[]", NULL},
    };
    struct cw_text out = {0};
    for (uint32_t i = 0; i < CW_COUNTOF(cases); i++) {
        (void)read_text(cases[i].event);
        cw_text_clear(&out);
        cr_expect(eq(int, cw_put_events_entry(&doc, &out), cases[i].entry != NULL));
        cr_expect(eq(str, (char *)(uintptr_t)cw_text_terminate(&out),
                     (char *)(uintptr_t)(cases[i].entry == NULL ? "" : cases[i].entry)));
    }
    cw_text_deinit(&out);
}
