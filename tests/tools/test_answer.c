#include "tools/answer.h"
#include "tools/send_priv.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct cw_json_parser *parser;
static char text[8192 + CW_JSON_PADDING];
static struct cw_answer_counts counts;
static char told[4096];

static void open_parser(void)
{
    struct cw_fault fault;
    cr_assert(eq(int, cw_json_open(&parser, 8192, 64, &fault), CW_ERR_OK));
}

static void close_parser(void)
{
    cw_json_close(parser);
}

TestSuite(answer, .init = open_parser, .fini = close_parser);

static struct cw_view view_of(const char *from)
{
    memset(text, 0, sizeof text);
    memcpy(text, from, strlen(from));
    return (struct cw_view){text, (uint32_t)strlen(from)};
}

static void tell(void *self, uint64_t index, bool again, const char *reason)
{
    (void)self;
    size_t used = strlen(told);
    (void)snprintf(told + used, sizeof told - used, "%llu%s:%s;", (unsigned long long)index,
                   again ? "again" : "", reason);
}

Test(answer, reads_what_became_of_events)
{
    told[0] = '\0';
    cr_assert(cw_answer_events(parser,
                               view_of("{\"accepted\":3,\"duplicate\":1,\"rejected\":"
                                       "[{\"index\":2,\"reason\":\"no \\u0007 good\\u0085\"},"
                                       "{\"index\":4,\"reason\":7,\"more\":[]}],\"more\":1}"),
                               &counts, tell, NULL));
    cr_expect(eq(u64, counts.accepted, 3));
    cr_expect(eq(u64, counts.duplicate, 1));
    cr_expect(eq(u64, counts.rejected, 2));
    cr_expect(eq(str, told, "2:no ? good\?\?;4:;"));
}

Test(answer, tells_those_apart_that_may_come_again)
{
    told[0] = '\0';
    cr_assert(cw_answer_events(
        parser,
        view_of("{\"error\":\"e\",\"accepted\":1,\"duplicate\":0,\"rejected\":["
                "{\"index\":1,\"reason\":\"full\",\"retry\":true},"
                "{\"index\":2,\"reason\":\"bad\",\"retry\":false},{\"index\":3,\"retry\":1}]}"),
        &counts, tell, NULL));
    cr_expect(eq(u64, counts.again, 1));
    cr_expect(eq(u64, counts.rejected, 2));
    cr_expect(eq(str, told, "1again:full;2:bad;3:;"));
    struct cw_answer_refusal refusal;
    cw_answer_refusal(parser, view_of("{\"error\":\"full\",\"retry\":true}"), &refusal);
    cr_expect(eq(str, refusal.message, "full"));
    cr_expect(refusal.again);
    cw_answer_refusal(parser, view_of("{\"error\":\"who?\"}"), &refusal);
    cr_expect(not(refusal.again));
}

Test(answer, reads_acknowledgements)
{
    told[0] = '\0';
    cr_assert(cw_answer_line(parser,
                             view_of("{\"ack\":17,\"accepted\":3,\"duplicate\":0,"
                                     "\"rejected\":[{\"line\":15,\"reason\":\"x\"}]}"),
                             &counts, tell, NULL));
    cr_expect(eq(u64, counts.ack, 17));
    cr_expect(eq(str, told, "15:x;"));
}

Test(answer, reads_entries)
{
    told[0] = '\0';
    cr_assert(cw_answer_put_events(
        parser,
        view_of("{\"FailedEntryCount\":3,\"Entries\":[{\"EventId\":\"a\"},"
                "{\"ErrorCode\":\"ThrottlingException\",\"ErrorMessage\":\"slow\"},"
                "{\"ErrorCode\":\"MalformedDetail\",\"ErrorMessage\":\"Detail is malformed.\"},"
                "{\"ErrorCode\":\"InternalFailure\"},{\"EventId\":\"b\"}]}"),
        &counts, tell, NULL));
    cr_expect(eq(u64, counts.accepted, 2));
    cr_expect(eq(u64, counts.again, 2));
    cr_expect(eq(u64, counts.rejected, 1));
    cr_expect(eq(str, told, "1again:slow;2:Detail is malformed.;3again:InternalFailure;"));
}

Test(answer, takes_nothing_else_for_one)
{
    static const char *const wrong[] = {
        "",
        "{}",
        "[]",
        "null",
        "<html>",
        "{\"accepted\":1}",
        "{\"accepted\":1,\"duplicate\":0}",
        "{\"accepted\":1,\"duplicate\":0,\"rejected\":1}",
        "{\"accepted\":-1,\"duplicate\":0,\"rejected\":[]}",
        "{\"accepted\":1.5,\"duplicate\":0,\"rejected\":[]}",
        "{\"accepted\":\"1\",\"duplicate\":0,\"rejected\":[]}",
        "{\"accepted\":99999999999999999999,\"duplicate\":0,\"rejected\":[]}",
        "{\"accepted\":1,\"duplicate\":0,\"rejected\":[1]}",
        "{\"accepted\":1,\"duplicate\":0,\"rejected\":[{\"reason\":\"x\"}]}",
        "{\"accepted\":1,\"duplicate\":0,\"rejected\":[{\"index\":-1}]}",
        "{\"Entries\":{}}",
        "{\"Entries\":[1]}",
    };
    for (uint32_t i = 0; i < CW_COUNTOF(wrong); i++) {
        cr_expect(not(cw_answer_events(parser, view_of(wrong[i]), &counts, NULL, NULL)), "%s",
                  wrong[i]);
        cr_expect(not(cw_answer_line(parser, view_of(wrong[i]), &counts, NULL, NULL)));
        cr_expect(not(cw_answer_put_events(parser, view_of(wrong[i]), &counts, NULL, NULL)));
    }
    cr_expect(not(cw_answer_line(
        parser, view_of("{\"accepted\":1,\"duplicate\":0,\"rejected\":[]}"), &counts, NULL, NULL)));
}

Test(answer, says_why_a_request_was_refused)
{
    struct cw_answer_refusal refusal;
    cw_answer_refusal(
        parser, view_of("{\"__type\":\"com.a#ThrottlingException\",\"message\":\"m\"}"), &refusal);
    cr_expect(eq(str, refusal.type, "ThrottlingException"));
    cr_expect(eq(str, refusal.message, "m"));
    cw_answer_refusal(parser, view_of("{\"error\":\"e\"}"), &refusal);
    cr_expect(eq(str, refusal.type, ""));
    cr_expect(eq(str, refusal.message, "e"));
    cw_answer_refusal(parser, view_of("Bad Gateway"), &refusal);
    cr_expect(eq(str, refusal.message, ""));
}

Test(answer, cuts_long_reasons_between_characters)
{
    char long_text[8000] = "{\"error\":\"";
    size_t used = strlen(long_text);
    for (uint32_t i = 0; i < 2600; i++) {
        memcpy(long_text + used, "€", 3);
        used += 3;
    }
    memcpy(long_text + used, "\"}", 3);
    struct cw_answer_refusal refusal;
    cw_answer_refusal(parser, view_of(long_text), &refusal);
    cr_expect(eq(u64, strlen(refusal.message), 198)); /* 66 whole characters */
}

Test(answer, waits_longer_each_time_and_as_long_as_asked)
{
    for (uint32_t tries = 1; tries < 100; tries++) {
        uint64_t full = tries > 7 ? 10000 : 100u << (tries - 1);
        full = full > 10000 ? 10000 : full;
        cr_expect(eq(u64, cw_send_pause_ms(tries, 0, 0), full / 2));
        cr_expect(le(u64, cw_send_pause_ms(tries, 0, UINT64_MAX), full));
        cr_expect(ge(u64, cw_send_pause_ms(tries, 7, tries), 7000));
        cr_expect(le(u64, cw_send_pause_ms(tries, 7, tries), 9500));
    }
}
