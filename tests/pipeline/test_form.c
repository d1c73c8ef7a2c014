/* Requests of every dialect, good and bad, taken apart into envelopes that a decoder reads. */
#include "core/text.h"
#include "pipeline/form.h"
#include "pipeline/request.h"
#include "tests/core/random.h"
#include "tests/pipeline/decode_fixture.h"
#include "tests/pipeline/request_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define NOW INT64_C(1768824000000)

static struct decoding d;
static struct cw_form *form;
static struct made_request made;
static struct cw_form_error refused;
static struct cw_form_entry entry;

static void open_all(void)
{
    decoding_open(&d);
    struct cw_form_options options = {
        .event_bytes_max = CW_EVENT_BYTES_MAX, .entries_max = 100, .ids = {3, 4}};
    cr_assert(cw_form_open(&form, &options, &d.f.fault) == CW_ERR_OK);
}

static void close_all(void)
{
    request_close(&made);
    cw_form_close(form);
    decoding_close(&d);
}

TestSuite(form, .init = open_all, .fini = close_all, .timeout = 60);

static bool no(bool is)
{
    return !is;
}

static bool holds(struct cw_view text, const char *part)
{
    return cw_view_holds_like(text, (struct cw_view){part, (uint32_t)strlen(part)});
}

static bool begin(void)
{
    cw_arena_reset(&d.arena);
    memset(&refused, 0, sizeof refused);
    return cw_form_begin(form, &made.request, NOW, &d.arena, &refused);
}

static bool post(const char *head, const char *body)
{
    request_close(&made);
    request_make(&made, head, body, strlen(body));
    return begin();
}

/* The next entry as an event. */
static const struct cw_event *next(void)
{
    cr_assert(cw_form_next(form, &entry));
    cr_assert(entry.text.data != NULL, "%.*s", (int)entry.reason.bytes, entry.reason.data);
    cw_decode(d.decoder, entry.text, &d.event);
    return &d.event;
}

#define PUT \
    "POST / HTTP/1.1\nX-Amz-Target: AWSEvents.PutEvents\nContent-Type: application/x-amz-json-1.1"
#define EVENTS "POST /v1/events HTTP/1.1\nContent-Type: "
#define CART_DETAIL                                                                       \
    "{\"customerId\":\"C1\",\"cartId\":\"K1\",\"cartValue\":10,\"items\":[{\"id\":\"i\"," \
    "\"name\":\"I\",\"price\":10}]}"
#define CART_TEXT                                                                         \
    "{\\\"customerId\\\":\\\"C1\\\",\\\"cartId\\\":\\\"K1\\\",\\\"cartValue\\\":10,"      \
    "\\\"items\\\":[{\\\"id\\\":\\\"i\\\",\\\"name\\\":\\\"Gr\\u00f6\\\\u00dfe \\\\\\\"L" \
    "\\\\\\\"\\\",\\\"price\\\":10}]}"
#define CART_ENVELOPE                                                                      \
    "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartAbandoned\",\"time\":\"2026-01-" \
    "18T16:45:00Z\",\"id\":\"e1\",\"detail\":" CART_DETAIL "}"

Test(form, requests_captured_from_real_clients_are_events)
{
    const struct {
        const char *name;
        int64_t time;
        uint32_t entries;
    } rows[] = {{"putevents-aws-sdk-js-v3.req", INT64_C(1768754700250), 1},
                {"putevents-awscli.req", INT64_C(1768754700000), 1},
                {"putevents-boto3.req", INT64_C(1768754700000), 2}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        request_close(&made);
        if (!request_captured(&made, rows[i].name)) {
            cr_skip_test("no captured requests here");
        }
        cr_assert(begin(), "%s", refused.text);
        cr_assert(eq(int, (int)cw_form_dialect(form), CW_DIALECT_PUT_EVENTS));
        for (uint32_t e = 0; e < rows[i].entries; e++) {
            cr_assert(cw_form_next(form, &entry));
            cr_assert(entry.text.data != NULL && entry.id.bytes == CW_UUID_BYTES);
            cw_decode(d.decoder, entry.text, &d.event);
            cr_assert(eq(int, (int)d.event.type, (int)CW_EVENT_INVALID));
            struct cw_view reason = d.event.u.invalid.reason; /* their detail is cut short */
            cr_assert(holds(reason, "is missing"));
            cr_assert(strncmp(entry.text.data, "{\"version\":\"0\",\"id\":\"", 21) == 0);
        }
        cr_assert(no(cw_form_next(form, &entry)));
    }
}

Test(form, a_put_events_entry_becomes_an_envelope_with_all_it_says)
{
    cr_assert(post(PUT, "{\"EndpointId\":\"e\",\"Entries\":[{\"Time\":1768754700.25,\"Source\":"
                        "\"ecommerce.cart\",\"DetailType\":\"CartAbandoned\",\"Resources\":[\"a\","
                        "\"b\"],\"TraceHeader\":\"t\",\"EventBusName\":\"arn:aws:events:us-east-1:"
                        "1:event-bus/shop\",\"Detail\":\"" CART_TEXT "\"},{\"Source\":"
                        "\"ecommerce.cart\",\"DetailType\":\"CartAbandoned\",\"Time\":null,"
                        "\"Detail\":\"" CART_TEXT "\"}]}"),
              "%s", refused.text);
    const struct cw_event *event = next();
    cr_assert(eq(int, (int)event->type, CW_EVENT_CART_ABANDONED));
    cr_assert(eq(i64, event->time, INT64_C(1768754700250)));
    cr_assert(view_is(event->customer, "C1"));
    cr_assert(view_is(event->u.abandoned.items[0].name, "Gr\xc3\xb6\xc3\x9f"
                                                        "e \"L\""));
    cr_assert(view_is(cw_decoder_bus(d.decoder), "shop"));
    cr_assert(holds(entry.text, "\"resources\":[\"a\",\"b\"]"));
    cr_assert(eq(u32, event->id.bytes, CW_UUID_BYTES));
    char first[CW_UUID_BYTES];
    memcpy(first, event->id.data, sizeof first);
    event = next();
    cr_assert(eq(i64, event->time, NOW)); /* no Time is now */
    cr_assert(memcmp(first, event->id.data, sizeof first) != 0);
    cr_assert(event->id.data[14] == '4');
    cr_assert(no(cw_form_next(form, &entry)));
}

#define FULL        "\"Source\":\"s\",\"DetailType\":\"t\","
#define ENTRY(text) "{\"Entries\":[{" FULL "\"Detail\":\"{}\"},{" text "}]}"

Test(form, what_is_wrong_with_one_entry_is_told_in_the_words_of_the_service)
{
    const struct {
        const char *body, *code, *reason;
    } rows[] = {
        {ENTRY("\"DetailType\":\"t\",\"Detail\":\"{}\""), "InvalidArgument",
         "Parameter Source is not valid. Reason: Source is a required argument."},
        {ENTRY("\"Source\":\"\",\"DetailType\":\"t\",\"Detail\":\"{}\""), "InvalidArgument",
         "Parameter Source is not valid. Reason: Source is a required argument."},
        {ENTRY("\"Source\":\"s\",\"Detail\":\"{}\""), "InvalidArgument",
         "Parameter DetailType is not valid. Reason: DetailType is a required argument."},
        {ENTRY("\"Source\":\"s\",\"DetailType\":\"t\""), "InvalidArgument",
         "Parameter Detail is not valid. Reason: Detail is a required argument."},
        {ENTRY(FULL "\"Detail\":\"{\""), "MalformedDetail", "Detail is malformed."},
        {ENTRY(FULL "\"Detail\":\"[]\""), "MalformedDetail", "Detail is malformed."},
        {ENTRY(FULL "\"Detail\":\"1\""), "MalformedDetail", "Detail is malformed."},
        {ENTRY(FULL "\"Detail\":\"{}, \\\"source\\\":\\\"evil\\\"\""), "MalformedDetail",
         "Detail is malformed."},
        {ENTRY(FULL "\"Detail\":\"{}}\""), "MalformedDetail", "Detail is malformed."},
        {ENTRY(FULL "\"Detail\":\"{}\",\"EventBusName\":\"\""), "InvalidArgument",
         "Parameter EventBusName is not valid. Reason: it is empty."},
        {ENTRY(FULL "\"Detail\":\"{}\",\"Time\":-1"), "InvalidArgument",
         "Parameter Time is not valid. Reason: it is seconds since 1970, up to the year 9989."},
        {ENTRY(FULL "\"Detail\":\"{}\",\"Time\":1e300"), "InvalidArgument",
         "Parameter Time is not valid. Reason: it is seconds since 1970, up to the year 9989."}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        cr_assert(post(PUT, rows[i].body), "%s: %s", rows[i].body, refused.text);
        (void)next();
        cr_assert(cw_form_next(form, &entry));
        cr_assert(entry.text.data == NULL, "%s", rows[i].body);
        cr_assert(eq(str, (char *)entry.code, (char *)rows[i].code));
        cr_assert(view_is(entry.reason, rows[i].reason), "%.*s", (int)entry.reason.bytes,
                  entry.reason.data);
        cr_assert(no(cw_form_next(form, &entry)));
    }
}

Test(form, what_is_wrong_with_a_whole_call_refuses_it_in_its_protocol)
{
    const struct {
        const char *head, *body;
        uint16_t status;
        const char *type, *text;
    } rows[] = {
        {PUT, "{\"Entries\":[", 400, "SerializationException", "malformed JSON"},
        {PUT, "", 400, "SerializationException", "malformed JSON"},
        {PUT, "[]", 400, "SerializationException", "not a structure"},
        {PUT, "{}", 400, "ValidationException", "Value null at 'entries'"},
        {PUT, "{\"Entries\":{}}", 400, "SerializationException", "not a list"},
        {PUT, "{\"Entries\":[]}", 400, "ValidationException", "greater than or equal to 1"},
        {PUT, "{\"Entries\":[1]}", 400, "SerializationException", "not a structure"},
        {PUT, "{\"Entries\":[{},{},{},{},{},{},{},{},{},{},{}]}", 400, "ValidationException",
         "'entries' failed to satisfy constraint: Member must have length less than or equal to "
         "10"},
        {PUT, "{\"Entries\":[{\"Source\":\"s\"},{\"Detail\":\"{}\"}]}", 400, "ValidationException",
         "no entry has all"},
        {PUT, "{\"Entries\":[{\"Source\":5}]}", 400, "SerializationException",
         "Entries[0].Source is not a string"},
        {PUT, "{\"Entries\":[{" FULL "\"Detail\":{}}]}", 400, "SerializationException",
         "Entries[0].Detail is not a string"},
        {PUT, "{\"Entries\":[{" FULL "\"Detail\":\"{}\",\"Time\":\"now\"}]}", 400,
         "SerializationException", "Time is not a number"},
        {PUT, "{\"Entries\":[{" FULL "\"Detail\":\"{}\",\"Resources\":[1]}]}", 400,
         "SerializationException", "list of strings"},
        {"POST / HTTP/1.1\nX-Amz-Target: AWSEvents.ListRules", "{}", 400,
         "UnknownOperationException", "PutEvents"},
        {"POST / HTTP/1.1", "{}", 400, "UnknownOperationException", "/v1/events"}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        cr_assert(no(post(rows[i].head, rows[i].body)), "%s", rows[i].body);
        cr_assert(eq(u16, refused.status, rows[i].status));
        cr_assert(eq(str, (char *)refused.type, (char *)rows[i].type));
        cr_assert(strstr(refused.text, rows[i].text) != NULL, "%s", refused.text);
    }
}

Test(form, a_call_over_the_size_is_refused_whole_whatever_its_escapes)
{
    size_t most = CW_EVENT_BYTES_MAX;
    for (int over = 0; over < 2; over++) {
        char *body = malloc(3 * most);
        /* Size: source 1, type 1, and the detail, of which each \\" counts as one byte. */
        int bytes = snprintf(body, 3 * most, "{\"Entries\":[{" FULL "\"Detail\":\"{\\\"a\\\":\\\"");
        size_t filler = most - 2 - strlen("{'a':''}") + (size_t)over;
        memset(body + bytes, 'x', filler);
        (void)snprintf(body + (size_t)bytes + filler, 16, "%s", "\\\"}\"}]}");
        bool taken = post(PUT, body);
        cr_assert(eq(int, taken, over == 0), "%s", refused.text);
        if (over) {
            cr_assert(strstr(refused.text, "Total size of the entries") != NULL);
        }
        free(body);
    }
}

Test(form, bodies_of_v1_events_are_taken_by_their_type)
{
    const struct {
        const char *type, *body;
        enum cw_dialect dialect;
        uint32_t events;
    } rows[] = {
        {"application/json; charset=utf-8", CART_ENVELOPE, CW_DIALECT_SINGLE, 1},
        {"APPLICATION/JSON", CART_ENVELOPE, CW_DIALECT_SINGLE, 1},
        {"", CART_ENVELOPE, CW_DIALECT_SINGLE, 1},
        {"application/x-ndjson", CART_ENVELOPE "\n" CART_ENVELOPE "\n", CW_DIALECT_BATCH, 2},
        {"application/jsonl", CART_ENVELOPE "\r\n\n \n" CART_ENVELOPE, CW_DIALECT_BATCH, 2},
        {"application/x-ndjson", "", CW_DIALECT_BATCH, 0},
        {"application/cloudevents+json; charset=UTF-8",
         "{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"ecommerce.cart\",\"type\":"
         "\"CartAbandoned\",\"time\":\"2026-01-18T16:45:00Z\",\"subject\":\"x\",\"ext\":1,"
         "\"data\":" CART_DETAIL "}",
         CW_DIALECT_SINGLE, 1},
        {"application/cloudevents",
         "{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"ecommerce.cart\",\"type\":"
         "\"CartAbandoned\",\"time\":\"2026-01-18T16:45:00Z\",\"data_base64\":"
         "\"eyJjdXN0b21lcklkIjoiQzEiLCJjYXJ0SWQiOiJLMSIsImNhcnRWYWx1ZSI6MTAsIml0ZW1zIjpbeyJpZCI6Im"
         "kiLCJuYW1lIjoiSSIsInByaWNlIjoxMH1dfQ==\"}",
         CW_DIALECT_SINGLE, 1},
        {"application/CloudEvents-Batch+json",
         "[{\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":\"ecommerce.cart\",\"type\":"
         "\"CartAbandoned\",\"time\":\"2026-01-18T16:45:00Z\",\"data\":" CART_DETAIL "},"
         "{\"data\":" CART_DETAIL ",\"specversion\":\"1.0\",\"id\":\"e1\",\"source\":"
         "\"ecommerce.cart\",\"type\":\"CartAbandoned\",\"time\":\"2026-01-18T16:45:00Z\"}]",
         CW_DIALECT_BATCH, 2},
        {"application/cloudevents-batch+json", "[]", CW_DIALECT_BATCH, 0}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        char head[256];
        (void)snprintf(head, sizeof head, EVENTS "%s", rows[i].type);
        cr_assert(post(head, rows[i].body), "%s: %s", rows[i].type, refused.text);
        cr_assert(eq(int, (int)cw_form_dialect(form), (int)rows[i].dialect));
        for (uint32_t e = 0; e < rows[i].events; e++) {
            const struct cw_event *event = next();
            cr_assert(eq(u32, entry.index, e));
            cr_assert(entry.id.data == NULL);
            cr_assert(eq(int, (int)event->type, CW_EVENT_CART_ABANDONED));
            cr_assert(view_is(event->id, "e1"));
            cr_assert(view_is(event->customer, "C1"));
            cr_assert(eq(i64, event->time, INT64_C(1768754700000)));
        }
        cr_assert(no(cw_form_next(form, &entry)), "%s", rows[i].type);
    }
}

Test(form, bodies_of_v1_events_that_cannot_be_taken_say_why)
{
    const struct {
        const char *type, *body;
        uint16_t status;
        const char *text;
    } rows[] = {
        {"text/plain", CART_ENVELOPE, 415, "application/x-ndjson"},
        {"application/x-www-form-urlencoded", CART_ENVELOPE, 415, "application/json"},
        {"application/json\nContent-Encoding: gzip", CART_ENVELOPE, 415, "Content-Encoding"},
        {"application/json; charset=iso-8859-1", CART_ENVELOPE, 415, "UTF-8"},
        {"application/json", "", 400, "empty"},
        {"application/json", " \r\n", 400, "empty"},
        {"application/json", "[" CART_ENVELOPE "]", 400, "application/x-ndjson"},
        {"application/cloudevents+avro", "x", 415, "avro"},
        {"application/cloudevents+json", "{", 400, "malformed JSON"},
        {"application/cloudevents+json", "[]", 400, "application/cloudevents-batch+json"},
        {"application/cloudevents-batch+json", "{}", 400, "array"}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        char head[256];
        (void)snprintf(head, sizeof head, EVENTS "%s", rows[i].type);
        cr_assert(no(post(head, rows[i].body)), "%s", rows[i].type);
        cr_assert(eq(u16, refused.status, rows[i].status), "%s", rows[i].type);
        cr_assert(refused.type == NULL);
        cr_assert(strstr(refused.text, rows[i].text) != NULL, "%s", refused.text);
    }
}

Test(form, a_bad_cloud_event_is_refused_alone)
{
#define CE "\"specversion\":\"1.0\",\"id\":\"e\",\"source\":\"s\",\"type\":\"t\""

    const struct {
        const char *event, *reason;
    } rows[] = {{"1", "a CloudEvent is a JSON object"},
                {"{\"specversion\":\"0.3\"}", "specversion is not 1.0"},
                {"{\"id\":\"e\"}", "specversion is not 1.0"},
                {"{\"specversion\":\"1.0\",\"source\":\"s\",\"type\":\"t\"}", "id is missing"},
                {"{\"specversion\":\"1.0\",\"id\":\"\",\"source\":\"s\",\"type\":\"t\"}",
                 "id is not a string with something in it"},
                {"{\"specversion\":\"1.0\",\"id\":\"e\",\"source\":5,\"type\":\"t\"}",
                 "source is not a string with something in it"},
                {"{" CE "}", "data is missing: it is the event's detail"},
                {"{" CE ",\"data\":[]}", "data is not a JSON object"},
                {"{" CE ",\"data\":{},\"data_base64\":\"e30=\"}",
                 "data and data_base64 exclude each other"},
                {"{" CE ",\"data_base64\":\"e30\"}", "data_base64 is not base64"},
                {"{" CE ",\"data_base64\":\"e=30\"}", "data_base64 is not base64"},
                {"{" CE ",\"data_base64\":7}", "data_base64 is not a string"},
                {"{" CE ",\"data_base64\":\"e30sInNvdXJjZSI6MQ==\"}",
                 "data_base64 does not hold a JSON object"}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        char body[1024];
        (void)snprintf(body, sizeof body, "[%s,{" CE ",\"data\":{}}]", rows[i].event);
        cr_assert(post(EVENTS "application/cloudevents-batch+json", body), "%s", refused.text);
        cr_assert(cw_form_next(form, &entry));
        cr_assert(entry.text.data == NULL);
        cr_assert(view_is(entry.reason, rows[i].reason), "%.*s", (int)entry.reason.bytes,
                  entry.reason.data);
        cr_assert(view_is(entry.raw, rows[i].event));
        (void)next();
        cr_assert(no(cw_form_next(form, &entry)));
    }
}

#define BINARY(headers) \
    "POST /v1/events HTTP/1.1\nContent-Type: application/json\nce-specversion: 1.0\n" headers

Test(form, a_binary_cloud_event_is_read_from_its_headers)
{
    cr_assert(post(BINARY("ce-id: \"e%20\\\"1%22\"\nce-source: ecommerce.cart\nce-type: "
                          "CartAbandoned\nce-time: 2026-01-18T16:45:00.000Z\nce-subject: x"),
                   CART_DETAIL));
    const struct cw_event *event = next();
    cr_assert(eq(int, (int)event->type, CW_EVENT_CART_ABANDONED));
    cr_assert(view_is(event->id, "e \"1\""));
    cr_assert(eq(i64, event->time, INT64_C(1768754700000)));
    cr_assert(no(cw_form_next(form, &entry)));

    const struct {
        const char *head, *body, *reason;
    } rows[] = {{BINARY("ce-id: e\nce-type: t"), "{}", "ce-source is missing"},
                {BINARY("ce-id: %C0%A0\nce-type: t\nce-source: s"), "{}",
                 "ce-id is not valid UTF-8 after percent-decoding"},
                {BINARY("ce-id: %e\nce-type: t\nce-source: s"), "{}",
                 "ce-id is not valid UTF-8 after percent-decoding"},
                {BINARY("ce-id: a%00b\nce-type: t\nce-source: s"), "{}",
                 "ce-id is not valid UTF-8 after percent-decoding"},
                {BINARY("ce-id: \"\"\nce-type: t\nce-source: s"), "{}", "ce-id is empty"},
                {BINARY("ce-id: e\nce-type: t\nce-source: s"), "{},\"source\":\"x\"",
                 "the body, a CloudEvent's data, is not a JSON object"},
                {"POST /v1/events HTTP/1.1\nce-id: 5", "{}", "ce-specversion is not 1.0"}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        cr_assert(post(rows[i].head, rows[i].body), "%s", refused.text);
        cr_assert(cw_form_next(form, &entry));
        cr_assert(entry.text.data == NULL);
        cr_assert(view_is(entry.reason, rows[i].reason), "%.*s", (int)entry.reason.bytes,
                  entry.reason.data);
    }
}

Test(form, too_many_events_are_refused_before_any_is_taken)
{
    struct cw_text body = {0};
    for (int i = 0; i < 101; i++) {
        cw_text_puts(&body, "{}\n\n");
    }
    cr_assert(no(post(EVENTS "application/x-ndjson", cw_text_terminate(&body))));
    cr_assert(eq(u16, refused.status, 413));
    cw_text_clear(&body);
    cw_text_puts(&body, "[0");
    for (int i = 0; i < 100; i++) {
        cw_text_puts(&body, ",0");
    }
    cw_text_char(&body, ']');
    cr_assert(no(post(EVENTS "application/cloudevents-batch+json", cw_text_terminate(&body))));
    cr_assert(eq(u16, refused.status, 413));
    cw_text_deinit(&body);
}

Test(form, lines_of_a_connection_are_counted_with_the_blank_ones)
{
    request_close(&made);
    request_lines(&made, "\n{}\n \n[]\n\n", 7);
    cr_assert(begin());
    cr_assert(eq(int, (int)cw_form_dialect(form), CW_DIALECT_LINES));
    cr_assert(cw_form_next(form, &entry));
    cr_assert(eq(u32, entry.index, 1));
    cr_assert(cw_form_next(form, &entry));
    cr_assert(eq(u32, entry.index, 3));
    cr_assert(view_is(entry.text, "[]"));
    cr_assert(no(cw_form_next(form, &entry)));
    cr_assert(eq(u32, cw_form_lines(form), 5));
}

Test(form, a_line_that_was_too_long_to_be_kept_is_an_entry_with_a_reason)
{
    request_close(&made);
    request_lines(&made, "", 7);
    made.request.query = CW_VIEW("too-long");
    cr_assert(begin());
    cr_assert(cw_form_next(form, &entry));
    cr_assert(eq(u32, entry.index, 0));
    cr_assert(entry.text.data == NULL);
    cr_assert(view_is(entry.reason, "the line is longer than allowed"));
    cr_assert(no(cw_form_next(form, &entry)));
    cr_assert(eq(u32, cw_form_lines(form), 1));
}

/* Good bodies with bytes changed, cut out and put in: whatever comes, it is refused or read, and
   what is written is a document. */
Test(form, damaged_bodies_never_make_an_envelope_that_is_no_json)
{
    const struct {
        const char *head, *body;
    } rows[] = {{PUT, "{\"Entries\":[{\"Time\":1768754700.25,\"Source\":\"ecommerce.cart\","
                      "\"DetailType\":\"CartAbandoned\",\"Resources\":[\"a\"],\"EventBusName\":"
                      "\"b\",\"Detail\":\"" CART_TEXT "\"}]}"},
                {EVENTS "application/cloudevents-batch+json",
                 "[{" CE ",\"data\":" CART_DETAIL "},{" CE ",\"data_base64\":\"e30=\"}]"}};

    uint64_t random = 5;
    uint32_t written = 0;
    for (uint32_t i = 0; i < 40000; i++) {
        uint32_t row = i % CW_COUNTOF(rows);
        char body[1024];
        size_t bytes = strlen(rows[row].body);
        memcpy(body, rows[row].body, bytes);
        for (uint64_t n = random_below(&random, 3) + 1; n > 0; n--) {
            size_t at = random_below(&random, bytes);
            body[at] = "\"\\{}[],:x0\n\xc3"[random_below(&random, 12)];
        }
        request_close(&made);
        request_make(&made, rows[row].head, body, bytes);
        if (!begin()) {
            cr_assert(refused.status >= 400 && refused.bytes > 0);
            continue;
        }
        while (cw_form_next(form, &entry)) {
            bool taken = entry.text.data != NULL;
            cr_assert(ne(int, taken, entry.reason.data != NULL));
            if (entry.text.data != NULL) {
                cw_decode(d.decoder, entry.text, &d.event);
                cr_assert(cw_decoder_document(d.decoder) != NULL, "%.*s", (int)entry.text.bytes,
                          entry.text.data);
                written++;
            }
        }
    }
    cr_assert(gt(u32, written, 1000));
}
