/* The pipeline as the app of live shards: requests in, answers out. */
#include "pipeline/service.h"
#include "pipeline/worker.h"
#include "tests/core/random.h"
#include "tests/pipeline/random_shop.h"
#include "tests/pipeline/service_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define PROGRAM                                                                            \
    "programId: p\neventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n" \
    "filterChain: [{filterId: t, type: trust}, {filterId: e, type: eligibility}]\n"        \
    "channels: [{channelId: e, type: email, config: {delayMinutes: 60, templateId: "       \
    "cart-recovery-v3, subject: S}}, {channelId: s, type: sms, config: {delayHours: 24, "  \
    "message: M}}]\ndiscountStrategy: {defaultDiscount: 10}\n"

#define PUT \
    "POST / HTTP/1.1\nX-Amz-Target: AWSEvents.PutEvents\nContent-Type: application/x-amz-json-1.1"
#define EVENTS "POST /v1/events HTTP/1.1\nContent-Type: application/json"
#define NDJSON "POST /v1/events HTTP/1.1\nContent-Type: application/x-ndjson"

#define TIME "2026-01-19T11:59:00Z"
#define CUSTOMER(id)                                                                            \
    "{\"source\":\"ecommerce.customer\",\"detail-type\":\"CustomerUpdated\",\"time\":\"" TIME   \
    "\",\"detail\":{\"customerId\":\"" id "\",\"email\":\"" id "@x.example\",\"name\":\"Ada\"," \
    "\"phone\":\"+1\",\"paymentMethodOnFile\":true}}"
#define CART(id, event)       CART_OF(id, "k", event)
#define OTHER_CART(id, event) CART_OF(id, "l", event)
#define CART_OF(id, cart, event)                                                              \
    "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartAbandoned\",\"id\":\"" event        \
    "\",\"time\":\"" TIME "\",\"detail\":{\"customerId\":\"" id "\",\"cartId\":\"" cart "\"," \
    "\"cartValue\":100,\"items\":[{\"id\":\"i\",\"name\":\"I\",\"price\":100}]}}"
#define STOCK(count)                                                                            \
    "{\"source\":\"ecommerce.inventory\",\"detail-type\":\"InventoryChanged\",\"time\":\"" TIME \
    "\",\"detail\":{\"productId\":\"i\",\"available\":" count "}}"

static struct serving s;

static void open_with(uint32_t shards)
{
    const struct serving_options options = {.yamls = {PROGRAM}, .shards = shards};
    cr_assert(serving_open(&s, &options), "%s", s.f.fault.text);
}

static void is(const struct asked *asked, uint16_t status, const char *body)
{
    cr_assert(eq(u16, asked->status, status), "%s", asked->body);
    cr_assert(eq(str, asked->body, (char *)body));
}

#define OK(accepted, duplicate) \
    "{\"accepted\":" #accepted ",\"duplicate\":" #duplicate ",\"rejected\":[]}"

Test(service, an_event_is_answered_when_its_owner_has_run_it_whatever_the_number_of_cores)
{
    for (uint32_t shards = 1; shards <= 3; shards++) {
        open_with(shards);
        is(serving_ask(&s, EVENTS, CUSTOMER("a")), 200, OK(1, 0));
        is(serving_ask(&s, EVENTS, CART("a", "e1")), 200, OK(1, 0));
        is(serving_ask(&s, EVENTS, CART("a", "e1")), 200, OK(0, 1));
        is(serving_ask(&s, EVENTS, CART("a", "e2")), 200, OK(1, 0)); /* known by its content */
        cr_assert(eq(u32, serving_count(&s, "\"kind\":\"candidate\""), 1));
        cr_assert(eq(u32, serving_count(&s, "\"kind\":\"duplicate\""), 1));
        is(serving_ask(&s, EVENTS, "{\"source\":\"x\",\"detail-type\":\"y\",\"detail\":{}}"), 200,
           OK(1, 0));
        cr_assert(strstr(s.asked[0].headers, "cache-control: no-store") != NULL);
        cr_assert(eq(str, s.asked[0].type, "application/json"));
        serving_close(&s);
    }
}

Test(service, a_batch_is_answered_entry_by_entry)
{
    open_with(3);
    is(serving_ask(&s, NDJSON,
                   CUSTOMER("a") "\n" CUSTOMER("b") "\n\n{\"source\":5}\n" CART(
                       "b", "e1") "\nnot json\n" CART("b", "e1") "\n" STOCK("3") "\n"),
       200,
       "{\"accepted\":4,\"duplicate\":1,\"rejected\":[{\"index\":2,\"reason\":\"detail-type is "
       "missing\"},{\"index\":4,\"reason\":\"malformed JSON near byte 0: a word is none of true, "
       "false and null\"}]}");
    cr_assert(eq(u32, s.letters, 2));
    is(serving_ask(&s, NDJSON, ""), 200, OK(0, 0));
    serving_close(&s);
}

Test(service, a_single_event_that_is_wrong_is_a_400)
{
    open_with(2);
    is(serving_ask(&s, EVENTS, "{\"source\":\"s\",\"detail-type\":\"t\"}"), 400,
       "{\"error\":\"detail is missing\"}");
    cr_assert(eq(str, s.letter.data, "{\"source\":\"s\",\"detail-type\":\"t\"}|detail is missing"));
    cr_assert(eq(u16, serving_ask(&s, EVENTS, "[]")->status, 400));
    cr_assert(eq(u16,
                 serving_ask(&s, "POST /v1/events HTTP/1.1\nContent-Type: text/plain", "x")->status,
                 415));
    serving_close(&s);
}

Test(service, what_lies_more_than_a_day_ahead_is_refused)
{
    static const char body[] =
        "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartCleared\",\"time\":\"%s\","
        "\"detail\":{\"customerId\":\"a\",\"cartId\":\"k\"}}";
    char text[512];
    open_with(1);
    (void)snprintf(text, sizeof text, body, "2026-01-20T12:00:00.001Z");
    is(serving_ask(&s, EVENTS, text), 400,
       "{\"error\":\"its time is more than a day ahead of the clock\"}");
    (void)snprintf(text, sizeof text, body, "2026-01-20T12:00:00Z");
    is(serving_ask(&s, EVENTS, text), 200, OK(1, 0));
    (void)snprintf(text, sizeof text, body, "1970-01-01T00:00:00Z");
    is(serving_ask(&s, EVENTS, text), 200, OK(1, 0));
    serving_close(&s);
}

Test(service, what_agrees_with_a_wall_clock_that_is_not_believed_is_taken)
{
    static const char body[] =
        "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartCleared\",\"time\":\"%s\","
        "\"detail\":{\"customerId\":\"a\",\"cartId\":\"k\"}}";
    char text[512];
    open_with(1);
    s.latest = SERVING_START + 2 * CW_DAY_MS;
    (void)snprintf(text, sizeof text, body, "2026-01-22T12:00:00Z");
    is(serving_ask(&s, EVENTS, text), 200, OK(1, 0));
    (void)snprintf(text, sizeof text, body, "2026-01-22T12:00:00.001Z");
    is(serving_ask(&s, EVENTS, text), 400,
       "{\"error\":\"its time is more than a day ahead of the clock\"}");
    serving_close(&s);
}

#define ENTRY(detail) \
    "{\"Source\":\"ecommerce.cart\",\"DetailType\":\"CartAbandoned\",\"Detail\":\"" detail "\"}"
#define GOOD                                                                        \
    "{\\\"customerId\\\":\\\"a\\\",\\\"cartId\\\":\\\"k\\\",\\\"cartValue\\\":100," \
    "\\\"items\\\":[{\\\"id\\\":\\\"i\\\",\\\"name\\\":\\\"I\\\",\\\"price\\\":100}]}"

Test(service, put_events_is_answered_as_the_service_would)
{
    open_with(3);
    (void)serving_ask(&s, EVENTS, CUSTOMER("a"));
    const struct asked *asked = serving_ask(
        &s, PUT, "{\"Entries\":[" ENTRY(GOOD) "," ENTRY("{") "," ENTRY("{}") "," ENTRY(GOOD) "]}");
    cr_assert(eq(u16, asked->status, 200));
    cr_assert(eq(str, asked->type, "application/x-amz-json-1.1"));
    const char *text = asked->body;
    static const char start[] = "{\"FailedEntryCount\":2,\"Entries\":[{\"EventId\":\"";
    cr_assert(strncmp(text, start, strlen(start)) == 0, "%s", text);
    cr_assert(strstr(text, ",{\"ErrorCode\":\"MalformedDetail\",\"ErrorMessage\":\"Detail is "
                           "malformed.\"},{\"ErrorCode\":\"InvalidArgument\",\"ErrorMessage\":"
                           "\"Parameter Detail is not valid. Reason: detail.customerId is "
                           "missing.\"},{\"EventId\":\"") != NULL,
              "%s", text);
    /* Without an id of the caller's own, what is the same is known by its content alone. */
    cr_assert(eq(u32, serving_count(&s, "\"kind\":\"candidate\""), 1));
    cr_assert(eq(u32, serving_count(&s, "\"kind\":\"duplicate\""), 1));
    is(serving_ask(&s, PUT, "{\"Entries\":[]}"), 400,
       "{\"__type\":\"ValidationException\",\"message\":\"1 validation error detected: Value '[]' "
       "at 'entries' failed to satisfy constraint: Member must have length greater than or equal "
       "to 1\"}");
    serving_close(&s);
}

Test(service, lines_of_a_connection_are_acknowledged_by_number)
{
    open_with(3);
    uint32_t first = serving_lines(&s, 1, CUSTOMER("a") "\n" CUSTOMER("b") "\n\nbad\n", 1);
    uint32_t second = serving_lines(&s, 1, CART("a", "e1") "\n" CART("a", "e1") "\n", 5);
    serving_run(&s);
    cr_assert(strncmp(s.asked[first].body,
                      "{\"ack\":4,\"accepted\":2,\"duplicate\":0,\"rejected\":[{\"line\":4,"
                      "\"reason\":\"malformed JSON",
                      74) == 0,
              "%s", s.asked[first].body);
    is(&s.asked[second], 200, "{\"ack\":6,\"accepted\":1,\"duplicate\":1,\"rejected\":[]}\n");
    cr_assert(eq(str, s.asked[second].headers, ""));
    serving_close(&s);
}

Test(service, timers_fire_by_the_clock_after_the_events_of_their_instant)
{
    open_with(2);
    (void)serving_ask(&s, EVENTS, CUSTOMER("a"));
    (void)serving_ask(&s, EVENTS, CART("a", "e1"));
    s.now = SERVING_START + 59 * CW_MINUTE_MS; /* the touch is due in this very millisecond */
    serving_run(&s);
    cr_assert(eq(u32, serving_count(&s, "\"kind\":\"touch\""), 0));
    s.now++;
    serving_run(&s);
    cr_assert(eq(u32, serving_count(&s, "\"outcome\":\"sent\""), 1));
    s.now -= 10 * CW_HOUR_MS; /* a clock that goes back changes nothing */
    is(serving_ask(&s, EVENTS, CART("a", "e1")), 200, OK(0, 1));
    serving_close(&s);
}

Test(service, what_was_due_while_a_clock_leapt_happens_now_and_not_then)
{
    open_with(2);
    (void)serving_ask(&s, EVENTS, CUSTOMER("a"));
    (void)serving_ask(&s, EVENTS, CART("a", "e1"));
    s.now = SERVING_START + 30 * CW_HOUR_MS; /* both touches are due */
    serving_run(&s);
    cr_assert(eq(u32, serving_count(&s, "\"reason\":\"late\""), 1));
    cr_assert(
        eq(u32, serving_count(&s, "\"at\":\"2026-01-20T17:59:59.999Z\",\"kind\":\"touch\""), 2));
    cr_assert(eq(u32, serving_count(&s, "\"outcome\":\"sent\""), 1));
    serving_close(&s);
}

Test(service, a_leap_comes_before_the_events_of_its_instant_too)
{
    open_with(1);
    (void)serving_ask(&s, EVENTS, CUSTOMER("a"));
    (void)serving_ask(&s, EVENTS, CART("a", "e1"));
    s.now = SERVING_START + 30 * CW_HOUR_MS;
    is(serving_ask(&s, EVENTS, CUSTOMER("b")), 200, OK(1, 0));
    cr_assert(eq(u32, serving_count(&s, "\"reason\":\"late\""), 1));
    cr_assert(eq(u32, serving_count(&s, "\"outcome\":\"sent\""), 1));
    serving_close(&s);
}

Test(service, what_is_settled_stays_so_while_a_core_is_behind_with_its_timers)
{
    static char text[4096];
    open_with(1);
    for (uint32_t i = 0; i < 3000; i++) {
        char id[16];
        (void)snprintf(id, sizeof id, "c%u", i);
        (void)snprintf(text, sizeof text, CUSTOMER("%s"), id, id);
        (void)serving_ask(&s, EVENTS, text);
        (void)snprintf(text, sizeof text, CART("%s", "e-%s"), id, id);
        (void)serving_ask(&s, EVENTS, text);
    }
    s.now = SERVING_START + 59 * CW_MINUTE_MS + 30000; /* all due 30 s ago: more than one turn's */
    (void)serving_send(&s, 0, EVENTS, CUSTOMER("z"));
    serving_run(&s);
    cr_assert(eq(u32, serving_count(&s, "\"outcome\":\"sent\""), 3000));
    cr_assert(eq(u32, s.core[0].early, 0));
    serving_close(&s);
}

Test(service, overload_is_told_in_the_callers_own_dialect)
{
    const struct serving_options options = {.yamls = {PROGRAM}, .shards = 1, .rows_max = 1};
    cr_assert(serving_open(&s, &options), "%s", s.f.fault.text);
    is(serving_ask(&s, EVENTS, CUSTOMER("a")), 200, OK(1, 0));
    const struct asked *asked = serving_ask(&s, EVENTS, CUSTOMER("b"));
    is(asked, 503, "{\"error\":\"there is no room for this event now\"}");
    cr_assert(strstr(asked->headers, "retry-after: 1\n") != NULL);
    is(serving_ask(&s, NDJSON, CUSTOMER("b") "\n" CUSTOMER("c")), 503,
       "{\"error\":\"there is no room for these events now\"}");
    is(serving_ask(&s, PUT,
                   "{\"Entries\":[{\"Source\":\"ecommerce.customer\",\"DetailType\":"
                   "\"CustomerUpdated\",\"Detail\":\"{\\\"customerId\\\":\\\"d\\\"}\"}]}"),
       400, "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}");
    cw_service_drain(s.core[0].service);
    is(serving_ask(&s, EVENTS, CUSTOMER("a")), 503, "{\"error\":\"this engine is shutting down\"}");
    is(serving_ask(&s, PUT, "{}"), 400,
       "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}");
    uint32_t token = serving_lines(&s, 0, CUSTOMER("a") "\n", 1);
    serving_run(&s);
    is(&s.asked[token], 503, "{\"error\":\"this engine is shutting down\",\"retry\":true}\n");
    cr_assert(s.asked[token].close);
    serving_close(&s);
}

/* A caller that reads nothing but the status sends all of it again; one that reads on, only what is
   marked. */
Test(service, a_batch_of_which_a_part_found_no_room_is_told_to_come_again)
{
    static const char again[] =
        "{\"error\":\"there is no room for 1 of these 4 events now\",\"accepted\":%u,"
        "\"duplicate\":%u,\"rejected\":[{\"index\":2,\"reason\":\"detail-type is missing\"},"
        "{\"index\":1,\"reason\":\"there is no room for it now: send it again later\","
        "\"retry\":true}]}";
    static const char body[] =
        CART("a", "e1") "\n" CUSTOMER("c") "\n{\"source\":5}\n" CART("a", "e1") "\n";
    static const char clouds[] =
        "[{\"specversion\":\"1.0\",\"id\":\"1\",\"source\":\"ecommerce.customer\",\"type\":"
        "\"CustomerUpdated\",\"data\":{\"customerId\":\"a\",\"timestamp\":\"" TIME "\"}},"
        "{\"specversion\":\"1.0\",\"id\":\"2\",\"source\":\"ecommerce.customer\",\"type\":"
        "\"CustomerUpdated\",\"data\":{\"customerId\":\"b\",\"timestamp\":\"" TIME "\"}}]";
    char wanted[512];
    const struct serving_options options = {.yamls = {PROGRAM}, .shards = 1, .rows_max = 1};
    cr_assert(serving_open(&s, &options), "%s", s.f.fault.text);
    is(serving_ask(&s, EVENTS, CUSTOMER("a")), 200, OK(1, 0));
    for (uint32_t accepted = 2; accepted-- > 0;) { /* the second time all else is known */
        const struct asked *asked = serving_ask(&s, NDJSON, body);
        (void)snprintf(wanted, sizeof wanted, again, accepted, 2 - accepted);
        is(asked, 503, wanted);
        cr_assert(strstr(asked->headers, "retry-after: 1\n") != NULL);
    }
    const struct asked *asked = serving_ask(
        &s, "POST /v1/events HTTP/1.1\nContent-Type: application/cloudevents-batch+json", clouds);
    is(asked, 503,
       "{\"error\":\"there is no room for 1 of these 2 events now\",\"accepted\":1,\"duplicate\":0,"
       "\"rejected\":[{\"index\":1,\"reason\":\"there is no room for it now: send it again later\","
       "\"retry\":true}]}");
    serving_close(&s);
}

/* No line that was refused for now is acknowledged past, nor one after it. */
Test(service, lines_of_which_one_found_no_room_are_not_acknowledged)
{
    const struct serving_options options = {.yamls = {PROGRAM}, .shards = 1, .rows_max = 1};
    cr_assert(serving_open(&s, &options), "%s", s.f.fault.text);
    uint32_t first = serving_lines(&s, 0, CUSTOMER("a") "\n", 1);
    uint32_t second =
        serving_lines(&s, 0, CART("a", "e1") "\n\nbad\n" CUSTOMER("b") "\n" CUSTOMER("c") "\n", 2);
    serving_run(&s);
    is(&s.asked[first], 200, "{\"ack\":1,\"accepted\":1,\"duplicate\":0,\"rejected\":[]}\n");
    cr_assert(not(s.asked[first].close));
    is(&s.asked[second], 503,
       "{\"error\":\"there is no room for line 5 now: send all after the last ack again later\","
       "\"retry\":true}\n");
    cr_assert(s.asked[second].close);
    serving_close(&s);
}

/* What is acknowledged is followed: an abandonment that finds no room for a candidate is refused,
   and its id with it, so that it may be sent again. */
Test(service, an_abandonment_without_room_is_refused)
{
    const struct serving_options options = {.yamls = {PROGRAM}, .shards = 1, .rows_max = 1};
    cr_assert(serving_open(&s, &options), "%s", s.f.fault.text);
    is(serving_ask(&s, EVENTS, CUSTOMER("a")), 200, OK(1, 0));
    is(serving_ask(&s, EVENTS, CART("a", "e1")), 200, OK(1, 0));
    for (uint32_t again = 0; again < 2; again++) {
        is(serving_ask(&s, EVENTS, OTHER_CART("a", "e2")), 503,
           "{\"error\":\"there is no room for this event now\"}");
    }
    const struct cw_fates *fates = cw_pipeline_fates(cw_service_pipeline(s.core[0].service));
    cr_assert(eq(u64, fates->created, 1));
    cr_assert(eq(u64, fates->events[CW_EVENT_FATE_REFUSED], 2));
    cr_assert(eq(u64, fates->by_item[CW_ITEM_FATE_REFUSED], 2));
    serving_close(&s);
}

#define UPDATE(detail)                                                                           \
    "{\"Source\":\"ecommerce.customer\",\"DetailType\":\"CustomerUpdated\",\"Detail\":\"" detail \
    "\"}"
#define KNOWN  UPDATE("{\\\"customerId\\\":\\\"a\\\"}")
#define FRESH  UPDATE("{\\\"customerId\\\":\\\"b\\\"}")
#define BROKEN UPDATE("{")

/* SDKs try a call again by themselves when it failed as a whole, and never single entries of it. */
Test(service, a_call_of_which_nothing_found_room_is_throttled_as_a_whole)
{
    static const char throttled[] =
        "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}";
    static const char partly[] =
        "{\"FailedEntryCount\":2,\"Entries\":[{\"ErrorCode\":\"ThrottlingException\","
        "\"ErrorMessage\":\"there is no room for it now: send it again later\"},{\"EventId\":\"";
    const struct serving_options options = {.yamls = {PROGRAM}, .shards = 1, .rows_max = 1};
    cr_assert(serving_open(&s, &options), "%s", s.f.fault.text);
    is(serving_ask(&s, EVENTS, CUSTOMER("a")), 200, OK(1, 0));
    is(serving_ask(&s, PUT, "{\"Entries\":[" FRESH "," FRESH "]}"), 400, throttled);
    is(serving_ask(&s, PUT, "{\"Entries\":[" BROKEN "," FRESH "]}"), 400, throttled);
    /* A part of it took effect: the whole may not be sent again. */
    const struct asked *asked =
        serving_ask(&s, PUT, "{\"Entries\":[" FRESH "," KNOWN "," BROKEN "]}");
    cr_assert(eq(u16, asked->status, 200));
    cr_assert(strncmp(asked->body, partly, sizeof partly - 1) == 0, "%s", asked->body);
    cr_assert(strstr(asked->body, "{\"ErrorCode\":\"MalformedDetail\"") != NULL, "%s", asked->body);
    serving_close(&s);
}

Test(service, no_more_requests_are_open_than_there_is_room_for)
{
    open_with(2);

    enum {
        MANY = CW_SERVICE_OPEN_MAX + 5
    };

    for (uint32_t i = 0; i < MANY; i++) {
        (void)serving_send(&s, 0, EVENTS, CUSTOMER("a"));
    }
    serving_run(&s);
    cr_assert(eq(u32, s.answered, MANY));
    uint32_t busy = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        busy += s.asked[i].status == 503;
    }
    cr_assert(eq(u32, busy, 5));
    is(serving_ask(&s, EVENTS, CUSTOMER("a")), 200, OK(1, 0));
    serving_close(&s);
}

Test(service, paths_methods_and_roles_are_told_apart)
{
    const struct {
        const char *head;
        enum cw_role role;
        uint16_t status;
    } rows[] = {{"GET /healthz HTTP/1.1", CW_ROLE_NONE, 200},
                {"HEAD /healthz HTTP/1.1", CW_ROLE_NONE, 200},
                {"POST /healthz HTTP/1.1", CW_ROLE_ADMIN, 405},
                {"GET /nothing HTTP/1.1", CW_ROLE_ADMIN, 404},
                {"GET /healthz/ HTTP/1.1", CW_ROLE_ADMIN, 404},
                {"GET /v1/events HTTP/1.1", CW_ROLE_ADMIN, 405},
                {EVENTS, CW_ROLE_NONE, 401},
                {EVENTS, CW_ROLE_REPORT, 403},
                {EVENTS, CW_ROLE_INGEST, 200},
                {PUT, CW_ROLE_REPORT, 403}};

    open_with(2);
    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        struct made_request made;
        request_make(&made, rows[i].head, CUSTOMER("a"), strlen(CUSTOMER("a")));
        made.request.role = rows[i].role;
        uint32_t token = serving_put(&s, 0, &made);
        serving_run(&s);
        cr_assert(eq(u16, s.asked[token].status, rows[i].status), "%s", rows[i].head);
    }
    cr_assert(strstr(s.asked[9].body, "AccessDeniedException") != NULL);
    cr_assert(strstr(s.asked[0].body, "\"status\":\"ok\",\"version\":\"1.2.3\"") != NULL);
    serving_close(&s);
}

Test(service, text_that_nobody_waits_for_is_taken_too)
{
    static const char text[] = CUSTOMER("a") "\nbad\n" CART("a", "e1") "\n";
    char padded[sizeof text + CW_JSON_PADDING] = {0};
    memcpy(padded, text, sizeof text - 1);
    open_with(2);
    s.core[1].text = (struct cw_view){padded, sizeof text - 1};
    serving_run(&s);
    cr_assert(eq(u32, serving_count(&s, "\"kind\":\"candidate\""), 1));
    cr_assert(eq(u32, s.letters, 1));
    serving_close(&s);
}

Test(service, an_answer_lists_only_so_many_refusals_and_counts_the_others)
{
    struct cw_text text = {0};
    for (uint32_t i = 0; i < 10050; i++) {
        cw_text_puts(&text, "x\n");
    }
    open_with(2);
    uint32_t token = serving_lines(&s, 0, cw_text_terminate(&text), 1);
    serving_run(&s);
    cr_assert(strncmp(s.asked[token].body, "{\"ack\":10050,\"accepted\":0,", 26) == 0);
    cr_assert(strstr(s.asked[token].body, "],\"unlisted\":50}\n") != NULL);
    const struct asked *asked = serving_ask(&s, NDJSON, cw_text_terminate(&text));
    is(asked, 413, "{\"error\":\"10050 events in one request: at most 10000\"}");
    is(serving_ask(&s, EVENTS, CUSTOMER("a")), 200, OK(1, 0));
    cw_text_deinit(&text);
    serving_close(&s);
}

/* ---- the same as a replay ---- */

/* Random events of a small shop as lines of text, with late ones, copies and mistakes. */
static void make_file(struct cw_text *text, uint64_t seed, uint32_t count)
{
    static const char *const types[] = {"CartAbandoned", "CartUpdated", "CartCleared"};
    uint64_t random = seed;
    int64_t now = SERVING_START;
    for (uint32_t i = 0; i < count; i++) {
        now += random_below(&random, 4000000);
        int64_t at = now - (random_below(&random, 5) == 0 ? random_below(&random, 90000000) : 0);
        char time[CW_TIME_BYTES];
        cw_time_format(at, time);
        uint32_t customer = random_below(&random, 12);
        uint32_t what = random_below(&random, 20);
        const char *type = types[what < 7 ? 0 : what % 3];
        cw_text_printf(text, "{\"id\":\"e%u\",\"time\":\"%.24s\",",
                       random_below(&random, count * 8), time);
        if (what < 12) {
            cw_text_printf(text,
                           "\"source\":\"ecommerce.cart\",\"detail-type\":\"%s\",\"detail\":{"
                           "\"customerId\":\"c%u\",\"cartId\":\"k%u\",\"cartValue\":%u,\"items\":"
                           "[{\"id\":\"p%u\",\"name\":\"\\u00fcn\",\"price\":9}]}}\n",
                           type, customer, random_below(&random, 3), 10 * random_below(&random, 9),
                           random_below(&random, 4));
        } else if (what < 15) {
            cw_text_printf(text,
                           "\"source\":\"ecommerce.customer\",\"detail-type\":\"CustomerUpdated\","
                           "\"detail\":{\"customerId\":\"c%u\",\"email\":\"e@x.example\","
                           "\"phone\":\"+1\",\"pushToken\":\"t\",\"paymentMethodOnFile\":true}}\n",
                           customer);
        } else if (what < 17) {
            cw_text_printf(text,
                           "\"source\":\"ecommerce.order\",\"detail-type\":\"OrderPlaced\","
                           "\"detail\":{\"customerId\":\"c%u\",\"orderId\":\"o%u\",\"orderValue\":"
                           "5}}\n",
                           customer, i);
        } else if (what < 19) {
            cw_text_printf(text,
                           "\"source\":\"ecommerce.inventory\",\"detail-type\":"
                           "\"InventoryChanged\",\"detail\":{\"productId\":\"p%u\",\"available\":"
                           "%u}}\n",
                           random_below(&random, 4), random_below(&random, 2));
        } else {
            cw_text_puts(text, "\"source\":\"ecommerce.cart\"\n");
        }
    }
    char time[CW_TIME_BYTES]; /* an event of no known type moves the clock past every timer */
    cw_time_format(now + 90 * CW_DAY_MS, time);
    cw_text_printf(text,
                   "{\"source\":\"x\",\"detail-type\":\"end\",\"time\":\"%.24s\",\"detail\":{}}\n",
                   time);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines in an order of their own, without those of invalid events, whose files differ. */
static char *sorted(struct cw_text *lines)
{
    char *text = strdup(cw_text_terminate(lines));
    char **list = malloc((lines->bytes + 1) * sizeof *list);
    size_t count = 0;
    char *save = NULL;
    for (char *line = strtok_r(text, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strstr(line, "\"kind\":\"invalid\"") == NULL) {
            list[count++] = line;
        }
    }
    qsort(list, count, sizeof *list, by_bytes);
    struct cw_text out = {0};
    for (size_t i = 0; i < count; i++) {
        cw_text_puts(&out, list[i]);
        cw_text_char(&out, '\n');
    }
    free(list);
    free(text);
    return (char *)cw_text_terminate(&out) == NULL ? NULL : out.data;
}

struct replaying {
    const struct cw_text *file;
    size_t at;
    bool ended;
    struct cw_text lines;
};

static enum cw_poll replay_take(void *self, uint32_t shard, uint64_t sequence,
                                struct cw_chunk *chunk)
{
    struct replaying *r = self;
    (void)shard;
    if (r->at == r->file->bytes) {
        return CW_POLL_END;
    }
    *chunk = (struct cw_chunk){.text = r->file->data,
                               .bytes = (uint32_t)r->file->bytes,
                               .sequence = sequence,
                               .starts_file = true};
    r->at = r->file->bytes;
    return CW_POLL_READY;
}

static void replay_decide(void *self, const struct cw_decision *decision)
{
    cw_decision_write(decision, &((struct replaying *)self)->lines);
}

static void replay_settled(void *self, uint64_t sequence, int64_t until, bool end)
{
    (void)self;
    (void)sequence;
    (void)until;
    (void)end;
}

static bool never(void *self)
{
    (void)self;
    return false;
}

static char *replay(const struct cw_text *file)
{
    static const char *const names[] = {"f"};
    struct replaying r = {.file = file};
    struct cw_worker *worker;
    struct cw_mesh *mesh;
    struct cw_worker_options options = {.pipeline = {.programs = s.programs,
                                                     .zones = s.zones,
                                                     .port = {.self = &r, .decide = replay_decide},
                                                     .partitions = 256,
                                                     .event_bytes_max = CW_EVENT_BYTES_MAX,
                                                     .rows_max = 1u << 20,
                                                     .bytes_max = 1u << 30,
                                                     .shop_link = CW_VIEW("https://shop.example/"),
                                                     .shop_name = CW_VIEW("Shop")},
                                        .shards = 1,
                                        .files = names,
                                        .until = CW_TIME_NONE,
                                        .clean_rows = 8,
                                        .settled = replay_settled,
                                        .full = never,
                                        .self = &r};
    cr_assert(cw_worker_open(&worker, &options, &s.f.fault) == CW_ERR_OK);
    cr_assert(cw_mesh_open(&mesh, 1, &s.f.fault) == CW_ERR_OK);
    struct cw_shard shard = {.ordered = true,
                             .mesh = mesh,
                             .source = {.self = &r, .take = replay_take, .done = serving_done},
                             .app = cw_worker_app(worker)};
    cw_shard_init(&shard);
    while (cw_shard_step(&shard) != CW_STEP_DONE) {
    }
    cw_mesh_close(mesh);
    cw_worker_close(worker);
    char *lines = sorted(&r.lines);
    cw_text_deinit(&r.lines);
    return lines;
}

/* Sends the file in pieces of whole lines over one connection. */
static void send_file(const struct cw_text *file, uint64_t seed)
{
    uint64_t random = seed;
    uint64_t line = 1;
    for (const char *at = file->data, *end = at + file->bytes; at < end;) {
        struct cw_text piece = {0};
        uint64_t first = line;
        for (uint32_t n = random_below(&random, 40) + 1; n > 0 && at < end; n--, line++) {
            const char *feed = memchr(at, '\n', (size_t)(end - at));
            cw_text_put(&piece, at, (size_t)(feed + 1 - at));
            at = feed + 1;
        }
        (void)serving_lines(&s, s.shards - 1, cw_text_terminate(&piece), first);
        cw_text_deinit(&piece);
        if (random_below(&random, 3) == 0) {
            serving_run(&s);
        } else {
            (void)cw_shard_step(&s.shard[random_below(&random, s.shards)]);
        }
    }
    serving_run(&s);
}

Test(service, a_file_over_one_connection_gives_the_journeys_of_its_replay, .timeout = 120)
{
    for (uint32_t shards = 1; shards <= 3; shards += 2) {
        for (uint64_t seed = 1; seed <= 6; seed++) {
            const struct serving_options options = {
                .yamls = RANDOM_PROGRAMS, .shards = shards, .event_time = true};
            cr_assert(serving_open(&s, &options), "%s", s.f.fault.text);
            struct cw_text file = {0};
            make_file(&file, seed, 1500);
            char *expected = replay(&file);
            send_file(&file, seed);
            for (uint32_t i = 1; i < s.shards; i++) {
                cw_text_put(&s.core[0].lines, s.core[i].lines.data, s.core[i].lines.bytes);
            }
            char *got = sorted(&s.core[0].lines);
            cr_assert(gt(u64, strlen(expected), 100000));
            cr_assert(strcmp(got, expected) == 0, "seed %d, %u shards", (int)seed, shards);
            cr_assert(eq(u32, s.answered, s.count));
            free(expected);
            free(got);
            cw_text_deinit(&file);
            serving_close(&s);
        }
    }
}

/* ---- everything at once ---- */

static void send_something(struct cw_text *file, uint64_t *random, size_t *at)
{
    static const char *const asks[] = {
        "GET /metrics HTTP/1.1",
        "GET /v1/candidates?program=first&channel=sms&limit=3 HTTP/1.1",
        "GET /v1/candidates?program=first&date=2026-01-20 HTTP/1.1",
        "GET /v1/candidates/c1:first HTTP/1.1",
        "GET /v1/programs HTTP/1.1",
        "POST /v1/programs/first/pause?channel=email HTTP/1.1",
        "POST /v1/programs/first/resume HTTP/1.1",
        "GET /healthz HTTP/1.1",
        "GET /nothing HTTP/1.1"};
    uint32_t shard = random_below(random, s.shards);
    uint32_t what = random_below(random, 12);
    if (what < CW_COUNTOF(asks)) {
        (void)serving_send(&s, shard, asks[what], "");
        return;
    }
    struct cw_text piece = {0};
    for (uint32_t n = random_below(random, 30) + 1; n > 0 && *at < file->bytes; n--) {
        const char *from = file->data + *at;
        const char *feed = memchr(from, '\n', file->bytes - *at);
        cw_text_put(&piece, from, (size_t)(feed + 1 - from));
        *at += (size_t)(feed + 1 - from);
    }
    if (what == 11) {
        (void)serving_lines(&s, shard, cw_text_terminate(&piece), 1);
    } else {
        (void)serving_send(&s, shard, NDJSON, cw_text_terminate(&piece));
    }
    cw_text_deinit(&piece);
}

Test(service, whatever_is_asked_all_of_it_is_answered_and_every_sum_holds, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        const struct serving_options options = {
            .yamls = RANDOM_PROGRAMS, .shards = 3, .channels = seed % 2 == 0};
        cr_assert(serving_open(&s, &options), "%s", s.f.fault.text);
        struct cw_text file = {0};
        uint64_t random = seed;
        size_t at = 0;
        make_file(&file, seed, 3000);
        while (at < file.bytes) {
            send_something(&file, &random, &at);
            for (uint32_t n = random_below(&random, 4); n > 0; n--) {
                (void)cw_shard_step(&s.shard[random_below(&random, s.shards)]);
            }
            s.now += random_below(&random, 3000000);
        }
        serving_run(&s);
        cr_assert(eq(u32, s.answered, s.count));
        uint64_t told = 0;
        for (uint32_t i = 0; i < s.count; i++) {
            const char *body = s.asked[i].body;
            unsigned accepted = 0;
            unsigned duplicate = 0;
            const char *from = strstr(body, "\"accepted\":");
            if (from != NULL &&
                sscanf(from, "\"accepted\":%u,\"duplicate\":%u", &accepted, &duplicate) == 2) {
                told += accepted + duplicate;
                for (const char *p = body; (p = strstr(p, "\"reason\":")) != NULL; p++) {
                    told++;
                }
            }
        }
        uint64_t received = 0;
        for (uint32_t i = 0; i < s.shards; i++) {
            const struct cw_fates *fates =
                cw_pipeline_fates(cw_service_pipeline(s.core[i].service));
            received += fates->received - fates->made;
        }
        cr_assert(eq(u64, told, 3001));
        cr_assert(eq(u64, received, 3001));
        cw_text_deinit(&file);
        serving_close(&s);
    }
}

/* Programs are taken over core by core: meanwhile an event matched by one set runs in another. */
Test(service, programs_change_core_by_core_and_keep_their_meaning)
{
    static const char first[] =
        "programId: a\neventSources: [{config: {eventPattern: {source: [ecommerce.cart]}}}]\n"
        "channels: [{channelId: e, type: sms, config: {delayMinutes: 60, message: M}}]\n";
    const struct serving_options options = {.yamls = {PROGRAM, first}, .shards = 2};
    cr_assert(serving_open(&s, &options), "%s", s.f.fault.text); /* a, p */
    (void)serving_ask(
        &s, NDJSON,
        CUSTOMER("a") "\n" CUSTOMER("b") "\n" CUSTOMER("c") "\n" CUSTOMER("d") "\n" CUSTOMER("f"));
    struct cw_program_file file = {.path = "p.yaml", .yaml = CW_VIEW(PROGRAM)};
    struct cw_program_needs needs = fixture_needs(&s.f);
    struct cw_programs *only = NULL;
    cr_assert(cw_programs_load(&only, &file, 1, &needs, &s.f.problems, &s.f.fault) == CW_ERR_OK);
    uint32_t token = serving_send(&s, 0, NDJSON,
                                  CART("a", "e1") "\n" CART("b", "e2") "\n" CART(
                                      "c", "e3") "\n" CART("d", "e4") "\n" CART("f", "e5"));
    (void)cw_shard_step(&s.shard[0]); /* decoded by the old set, its own share run */
    cw_service_reprogram(s.core[1].service, only, NULL);
    serving_run(&s);
    cr_assert(s.asked[token].answered);
    cr_assert(eq(u32, serving_count(&s, "\"kind\":\"candidate\",\"program\":\"p\""), 5));
    cr_assert(lt(u32, serving_count(&s, "\"kind\":\"candidate\",\"program\":\"a\""), 5));
    cw_service_reprogram(s.core[0].service, only, NULL);
    serving_close(&s);
    cw_programs_close(only);
}
