/* What an engine answers besides events: reads over all cores, metrics, programs, links. */
#include "tests/pipeline/service_fixture.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#define PROGRAM(id)                                                                        \
    "programId: \"" id "\"\neventSources: [{config: {eventPattern: {source: "              \
    "[ecommerce.cart]}}}]\nfilterChain: [{filterId: t, type: trust}, {filterId: e, type: " \
    "eligibility}]\nchannels: [{channelId: e, type: email, config: {delayMinutes: 60, "    \
    "templateId: cart-recovery-v3, subject: S}}, {channelId: s, type: sms, config: "       \
    "{delayHours: 24, message: M}}]\ndiscountStrategy: {defaultDiscount: 10}\n"

#define EVENTS "POST /v1/events HTTP/1.1\nContent-Type: application/x-ndjson"
#define PERSON "User-Agent: Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"

static struct serving s;
static const struct cw_links links = {.key = {1, 2}, .base = {"https://go.example", 18}};

static void open_with(uint32_t shards)
{
    const struct serving_options options = {.yamls = {PROGRAM("p"), PROGRAM("b:p")},
                                            .shards = shards,
                                            .channels = true,
                                            .links = &links,
                                            .note = "messages are NOT sent"};
    cr_assert(serving_open(&s, &options), "%s", s.f.fault.text);
}

static const struct asked *get(const char *target)
{
    char head[512];
    (void)snprintf(head, sizeof head, "GET %s HTTP/1.1\n" PERSON, target);
    return serving_ask(&s, head, "");
}

static bool has(const struct asked *asked, const char *text)
{
    return strstr(asked->body, text) != NULL;
}

/* Customers c0, c1, ... with a cart of a value each. */
static void fill(uint32_t count)
{
    struct cw_text text = {0};
    for (uint32_t i = 0; i < count; i++) {
        cw_text_printf(&text,
                       "{\"source\":\"ecommerce.customer\",\"detail-type\":\"CustomerUpdated\","
                       "\"time\":\"2026-01-19T11:00:00Z\",\"detail\":{\"customerId\":\"c%u\","
                       "\"name\":\"Ada\",\"email\":\"c%u@x.example\",\"phone\":\"+1\","
                       "\"paymentMethodOnFile\":true,\"purchaseHistory\":%u}}\n"
                       "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartAbandoned\",\"time\":"
                       "\"2026-01-19T11:59:00Z\",\"detail\":{\"customerId\":\"c%u\",\"cartId\":"
                       "\"k\",\"cartValue\":%u,\"currency\":\"USD\",\"items\":[{\"id\":\"i\","
                       "\"name\":\"I\",\"price\":1}]}}\n",
                       i, i, i % 7, i, 10 + i * 37 % 101);
    }
    const struct asked *asked = serving_ask(&s, EVENTS, cw_text_terminate(&text));
    cr_assert(eq(u16, asked->status, 200), "%s", asked->body);
    cw_text_deinit(&text);
}

Test(serve, health_says_what_runs_and_what_to_know)
{
    open_with(1);
    const struct asked *asked = get("/healthz");
    cr_assert(eq(str, asked->body,
                 "{\"status\":\"ok\",\"version\":\"1.2.3\",\"clock\":\"2026-01-19T12:00:00.000Z\","
                 "\"speed\":0,\"durability\":\"os\","
                 "\"note\":\"messages are NOT sent\"}"));
    serving_close(&s);
}

Test(serve, a_disk_that_does_not_answer_is_told_by_whoever_is_asked)
{
    open_with(2);
    fill(2);
    s.stalled_s = 14;
    const struct asked *asked = get("/healthz");
    cr_assert(eq(u16, asked->status, 503));
    cr_assert(eq(str, asked->body,
                 "{\"status\":\"disk does not answer\",\"diskStalledSeconds\":14,"
                 "\"version\":\"1.2.3\",\"clock\":\"2026-01-19T12:00:00.000Z\",\"speed\":0,"
                 "\"durability\":\"os\",\"note\":\"messages are NOT sent\"}"));
    asked = get("/metrics");
    cr_assert(eq(u16, asked->status, 200));
    cr_assert(has(asked, "\ncartwheel_disk_stalled_seconds 14\n"));
    cr_assert(has(asked, "cartwheel_build_info{"));
    cr_assert(not(has(asked, "events_received")), "which may be lost still");
    s.stalled_s = 0;
    cr_assert(eq(u16, get("/healthz")->status, 200));
    cr_assert(has(get("/metrics"), "\ncartwheel_disk_stalled_seconds 0\n"));
    serving_close(&s);
}

Test(serve, only_who_asks_for_it_is_told_aside_that_a_disk_does_not_answer)
{
    const struct {
        const char *head;
        uint64_t stalled_s;
        uint16_t status; /* 0: it has to wait */
    } rows[] = {{"GET /healthz HTTP/1.1", 10, 503},  {"HEAD /healthz HTTP/1.1", 10, 503},
                {"POST /healthz HTTP/1.1", 10, 405}, {"GET /metrics HTTP/1.1", 10, 200},
                {"GET /healthz HTTP/1.1", 0, 0},     {"GET /metrics HTTP/1.1", 0, 0},
                {"GET /v1/programs HTTP/1.1", 10, 0}};

    open_with(1);
    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        s.stalled_s = rows[i].stalled_s;
        uint32_t token = serving_send(&s, 0, rows[i].head, "");
        bool told = cw_service_aside(s.core[0].service, s.core[0].queue);
        cr_assert(eq(u16, told ? s.asked[token].status : 0, rows[i].status), "%s", rows[i].head);
        if (told) { /* as the server does */
            s.core[0].queue = NULL;
            s.core[0].queue_end = &s.core[0].queue;
        }
        s.stalled_s = 0;
        serving_run(&s);
    }
    serving_close(&s);
}

Test(serve, metrics_add_up_the_counters_of_all_cores)
{
    for (uint32_t shards = 1; shards <= 3; shards++) {
        open_with(shards);
        fill(20);
        const struct asked *asked = get("/metrics");
        cr_assert(eq(str, asked->type, "text/plain; version=0.0.4; charset=utf-8"));
        cr_assert(has(asked, "# HELP cartwheel_events_received_total Events that came in"));
        cr_assert(has(asked, "# TYPE cartwheel_events_received_total counter\n"
                             "cartwheel_events_received_total 40\n"));
        cr_assert(has(asked, "cartwheel_events_total{fate=\"applied\"} 40\n"));
        cr_assert(has(asked, "cartwheel_candidates_in_flight 40\n"));
        cr_assert(has(asked, "cartwheel_touches_pending 80\n"));
        cr_assert(has(asked, "cartwheel_table_rows{table=\"candidates\"} 40\n"));
        cr_assert(has(asked, "cartwheel_event_to_scheduled_seconds_bucket{le=\"+Inf\"} 20\n"));
        cr_assert(has(asked, "cartwheel_event_to_scheduled_seconds_count 20\n"));
        cr_assert(has(asked, "cartwheel_build_info{version=\"1.2.3\"} 1\n"));
        char flushes[64];
        (void)snprintf(flushes, sizeof flushes, "cartwheel_disk_flush_seconds_count %u\n", shards);
        cr_assert(has(asked, flushes));
        char text[64];
        (void)snprintf(text, sizeof text, "cartwheel_server_bytes_read %u\n", 1000 * shards);
        cr_assert(has(asked, text));
        cr_assert(asked->body[strlen(asked->body) - 1] == '\n');
        serving_close(&s);
    }
}

Test(serve, who_prefers_open_metrics_gets_it)
{
    open_with(2);

    const struct {
        const char *accept;
        bool open;
    } rows[] = {{"application/openmetrics-text; version=1.0.0", true},
                {"application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;"
                 "version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                 true},
                {"text/plain;q=0.5,application/openmetrics-text;q=0.1", false},
                {"*/*", false},
                {"text/html, application/xhtml+xml;q=0.9, */*;q=0.8", false}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        char head[512];
        (void)snprintf(head, sizeof head, "GET /metrics HTTP/1.1\nAccept: %s", rows[i].accept);
        const struct asked *asked = serving_ask(&s, head, "");
        size_t bytes = strlen(asked->body);
        bool open = strcmp(asked->body + bytes - 6, "# EOF\n") == 0;
        cr_assert(eq(int, open, rows[i].open), "%s", rows[i].accept);
        cr_assert(eq(int,
                     strncmp(asked->type, "application/openmetrics-text; version=1.0.0", 43) == 0,
                     rows[i].open));
        cr_assert(eq(int, has(asked, "# TYPE cartwheel_events_received counter\n"), open));
        cr_assert(has(asked, "cartwheel_events_received_total 0\n"));
    }
    serving_close(&s);
}

/* One customer with a cart. */
static void fill_one(const char *id, const char *url)
{
    struct cw_text text = {0};
    cw_text_printf(&text,
                   "{\"source\":\"ecommerce.customer\",\"detail-type\":\"CustomerUpdated\","
                   "\"time\":\"2026-01-19T11:00:00Z\",\"detail\":{\"customerId\":\"%s\","
                   "\"email\":\"e@x.example\",\"paymentMethodOnFile\":true}}\n"
                   "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartAbandoned\",\"time\":"
                   "\"2026-01-19T11:59:00Z\",\"detail\":{\"customerId\":\"%s\",\"cartId\":"
                   "\"k\",\"cartValue\":10,\"cartUrl\":\"%s\",\"items\":[{\"id\":\"i\","
                   "\"name\":\"I\",\"price\":1}]}}\n",
                   id, id, url);
    const struct asked *asked = serving_ask(&s, EVENTS, cw_text_terminate(&text));
    cr_assert(has(asked, "\"accepted\":2"), "%s", asked->body);
    cw_text_deinit(&text);
}

Test(serve, a_candidate_is_found_by_its_key_however_ids_use_colons)
{
    open_with(3);
    fill_one("a", "");
    fill_one("a:b", "");
    fill_one("a/b\xc3\xa9", "");

    const struct {
        const char *target;
        uint16_t status;
        const char *text;
    } rows[] = {{"/v1/candidates/a:p", 200, "\"customerId\":\"a\",\"programId\":\"p\""},
                {"/v1/candidates/a%3Ap", 200, "\"customerId\":\"a\",\"programId\":\"p\""},
                {"/v1/candidates/a:p?all=1", 200, "\"customerId\":\"a\",\"programId\":\"p\""},
                {"/v1/candidates/a%2Fb%C3%A9:p", 200, "\"customerId\":\"a/b\xc3\xa9\""},
                {"/v1/candidates/a:b:p", 200, "\"customerId\":\"a:b\",\"programId\":\"p\""},
                {"/v1/candidates/a:b:b:p", 200, "\"customerId\":\"a:b\",\"programId\":\"b:p\""},
                {"/v1/candidates/a:gone", 404, "no candidate has this key"},
                {"/v1/candidates/c:p", 404, "no candidate has this key"},
                {"/v1/candidates/a", 404, "no candidate has this key"},
                {"/v1/candidates/:p", 404, "no candidate has this key"},
                {"/v1/candidates/a:", 404, "no candidate has this key"},
                {"/v1/candidates/%zz", 400, "the key is malformed"},
                {"/v1/candidates/%ff:p", 400, "the key is malformed"}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        const struct asked *asked = get(rows[i].target);
        cr_assert(has(asked, rows[i].text), "%s: %s", rows[i].target, asked->body);
        cr_assert(eq(u16, asked->status, rows[i].status));
        cr_assert(eq(int, asked->body[0] == '[', strstr(rows[i].target, "all=1") != NULL));
    }
    serving_close(&s);
}

Test(serve, lists_of_all_cores_are_one_list_in_order)
{
    char *expected = NULL;
    for (uint32_t shards = 1; shards <= 3; shards++) {
        open_with(shards);
        fill(60);
        const struct asked *asked = get("/v1/candidates?program=p&channel=email&limit=50");
        cr_assert(eq(u16, asked->status, 200), "%s", asked->body);
        double last = 2;
        uint32_t count = 0;
        for (const char *at = asked->body; (at = strstr(at, "\"purchase_intent\":")) != NULL;
             count++) {
            at += strlen("\"purchase_intent\":");
            double score = strtod(at, NULL);
            cr_assert(le(dbl, score, last + 0.01)); /* the index keeps them by hundredths */
            last = score;
        }
        cr_assert(eq(u32, count, 50));
        asked = get("/v1/candidates?program=b%3Ap&date=2026-01-19");
        cr_assert(eq(u16, asked->status, 200), "%s", asked->body);
        last = 1e9;
        count = 0;
        for (const char *at = asked->body; (at = strstr(at, "\"cart_value\":")) != NULL; count++) {
            at += strlen("\"cart_value\":");
            double value = strtod(at, NULL);
            cr_assert(le(dbl, value, last));
            last = value;
        }
        cr_assert(eq(u32, count, 60));
        if (expected == NULL) {
            expected = strdup(asked->body);
        }
        cr_assert(eq(str, asked->body, expected), "%u shards", shards);
        cr_assert(
            eq(str, get("/v1/candidates?program=p&date=2020-01-01")->body, "{\"candidates\":[]}"));
        serving_close(&s);
    }
    free(expected);
}

Test(serve, lists_that_are_asked_for_wrongly_say_what_to_give)
{
    open_with(2);

    const struct {
        const char *target;
        uint16_t status;
        const char *text;
    } rows[] = {{"/v1/candidates", 400, "program=ID"},
                {"/v1/candidates?program=p", 400, "either channel"},
                {"/v1/candidates?program=p&channel=email&date=2026-01-19", 400, "either channel"},
                {"/v1/candidates?program=p&channel=fax", 400, "channel is email"},
                {"/v1/candidates?program=p&date=today", 400, "YYYY-MM-DD"},
                {"/v1/candidates?program=p&channel=sms&limit=0", 400, "from 1 to 1000"},
                {"/v1/candidates?program=p&channel=sms&limit=1001", 400, "from 1 to 1000"},
                {"/v1/candidates?program=p&channel=sms&limit=99999999999", 400, "from 1 to 1000"},
                {"/v1/candidates?program=%&channel=sms", 400, "program is malformed"},
                {"/v1/candidates?program=q&channel=sms", 404, "no such program"}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        const struct asked *asked = get(rows[i].target);
        cr_assert(eq(u16, asked->status, rows[i].status), "%s", rows[i].target);
        cr_assert(has(asked, rows[i].text), "%s: %s", rows[i].target, asked->body);
    }
    serving_close(&s);
}

Test(serve, programs_are_listed_with_what_was_decided_and_can_be_paused)
{
    open_with(3);
    fill(10);
    const struct asked *asked = get("/v1/programs");
    cr_assert(has(asked, "{\"programId\":\"b:p\","));
    cr_assert(has(asked, "\"touches\":[{\"touch\":1,\"channelId\":\"e\",\"channel\":\"email\","
                         "\"delayMinutes\":60,\"paused\":false}"));
    cr_assert(has(asked, "\"decisions\":{\"candidate\":10,"), "%s", asked->body);
    cr_assert(eq(str, serving_ask(&s, "POST /v1/programs/p/pause?channel=sms HTTP/1.1", "")->body,
                 "{\"programId\":\"p\",\"channel\":\"sms\",\"paused\":true}"));
    cr_assert(
        has(get("/v1/programs"), "\"channel\":\"sms\",\"delayMinutes\":1440,\"paused\":true}"));
    cr_assert(eq(str, serving_ask(&s, "POST /v1/programs/p/resume HTTP/1.1", "")->body,
                 "{\"programId\":\"p\",\"channel\":\"all\",\"paused\":false}"));
    asked = get("/v1/programs");
    cr_assert(eq(int, has(asked, "\"paused\":true"), 0));
    cr_assert(eq(u16, serving_ask(&s, "POST /v1/programs/q/pause HTTP/1.1", "")->status, 404));
    cr_assert(eq(u16, serving_ask(&s, "POST /v1/programs/p/pause?channel=fax HTTP/1.1", "")->status,
                 400));
    serving_close(&s);
}

Test(serve, what_is_paused_is_as_of_the_question_like_all_that_waits_for_its_commit)
{
    open_with(2);
    uint32_t before = serving_send(&s, 0, "GET /v1/programs HTTP/1.1", "");
    cr_assert(eq(int, cw_shard_step(&s.shard[0]), CW_STEP_WORKED)); /* the other is still asked */
    uint32_t pause = serving_send(&s, 0, "POST /v1/programs/p/pause HTTP/1.1", "");
    cr_assert(eq(int, cw_shard_step(&s.shard[0]), CW_STEP_WORKED)); /* in memory, not yet kept */
    serving_run(&s);
    cr_assert(eq(u16, s.asked[pause].status, 200));
    cr_assert(eq(u16, s.asked[before].status, 200));
    cr_assert(eq(int, has(&s.asked[before], "\"paused\":true"), 0), "%s", s.asked[before].body);
    cr_assert(has(get("/v1/programs"), "\"paused\":true"));
    serving_close(&s);
}

Test(serve, what_the_control_plane_answers_is_answered_later)
{
    open_with(1);
    uint32_t token = serving_send(&s, 0, "POST /v1/programs/reload HTTP/1.1", "");
    serving_run(&s);
    cr_assert(eq(int, s.asked[token].answered, 0));
    cr_assert(eq(str, s.control_path, "/v1/programs/reload"));
    const struct cw_answer answer = {
        .status = 200, .type = CW_VIEW("application/json"), .body = CW_VIEW("{}")};
    cw_service_answer_from(s.core[0].service, s.control_token, &answer);
    cr_assert(eq(str, s.asked[token].body, "{}"));
    s.control_busy = true;
    cr_assert(eq(u16, get("/v1/outbox/1.eml")->status, 503));
    serving_close(&s);
}

/* A slip in what lets sends go must not let them go: what is not understood is refused whole. */
Test(serve, what_a_path_does_not_take_is_refused_before_anything_is_done)
{
    open_with(2);

    const struct {
        const char *request, *body, *text;
    } rows[] = {
        {"POST /v1/resume?assumeSentuntil=2026-01-19T11:00:00Z", "",
         "there is no parameter \\\"assumeSentuntil\\\" here; known: assumeSentUntil"},
        {"POST /v1/resume?assume-sent-until=2026-01-19T11:00:00Z", "", "known: assumeSentUntil"},
        {"POST /v1/resume?assumeSentUntil=2026-01-19T11:00:00Z&x", "", "\\\"x\\\" here"},
        {"POST /v1/resume?%61ssumeSentUntil=2026-01-19T11:00:00Z", "", "%61ssumeSentUntil"},
        {"POST /v1/resume?assumeSentUntil=2026-01-19T11:00:00Z&assumeSentUntil=", "",
         "the parameter assumeSentUntil is given twice"},
        {"POST /v1/resume?assumeSent=2026-01-19T11:00:00Z", "", "\\\"assumeSent\\\""},
        {"POST /v1/resume?=2026-01-19T11:00:00Z", "", "\\\"\\\" here"},
        {"POST /v1/resume?\x01\xff\"=1", "", "\\\"???\\\" here"},
        {"POST /v1/resume", "{\"assumeSentUntil\":\"2026-01-19T11:00:00Z\"}",
         "no body is taken here; known parameters: assumeSentUntil"},
        {"POST /v1/resume", " ", "no body is taken here"},
        {"POST /v1/snapshot?foo=1", "", "known: name"},
        {"POST /v1/snapshot", "name=a", "no body is taken here"},
        {"POST /v1/programs/reload?force", "", "\\\"force\\\" here; there are none"},
        {"POST /v1/programs/reload", "programId: x", "no body is taken here; there are no para"},
        {"POST /v1/programs/p/pause?chanel=sms", "", "known: channel"},
        {"POST /v1/programs/p/pause", "{\"channel\":\"sms\"}", "no body is taken here"},
        {"POST /v1/programs/p/resume?Channel=sms", "", "known: channel"},
        {"GET /v1/candidates?program=p&chanel=email", "", "known: program, channel, date, limit"},
        {"GET /v1/candidates?program=p&channe", "", "\\\"channe\\\""},
        {"GET /v1/candidates/a:p?al=1", "", "known: all"},
        {"GET /v1/programs?limit=1", "", "there are none"},
        {"GET /v1/outbox?limt=1", "", "known: limit"},
        {"GET /v1/outbox/1.eml?limit=1", "", "there are none"},
        {"GET /v1/erasures?limit=1", "", "there are none"},
        {"GET /v1/snapshot?foo=1", "", "known: name"},
        {"HEAD /v1/resume?foo=1", "", "known: assumeSentUntil"}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        char head[512];
        (void)snprintf(head, sizeof head, "%s HTTP/1.1", rows[i].request);
        const struct asked *asked = serving_ask(&s, head, rows[i].body);
        cr_assert(eq(u16, asked->status, 400), "%s", rows[i].request);
        cr_assert(has(asked, rows[i].text), "%s: %s", rows[i].request, asked->body);
        cr_assert(eq(str, s.control_path, ""), "%s", rows[i].request);
    }
    cr_assert(eq(int, has(get("/v1/programs"), "\"paused\":true"), 0));

    char name[400];
    (void)snprintf(name, sizeof name, "POST /v1/resume?%0300d HTTP/1.1", 7);
    cr_assert(has(serving_ask(&s, name, ""), "known: assumeSentUntil"), "a long one leaves room");

    const char *const good[] = {"POST /v1/resume?assumeSentUntil=2026-01-19T11:00:00Z",
                                "POST /v1/resume",
                                "POST /v1/resume?",
                                "POST /v1/resume?&assumeSentUntil=2026-01-19T11:00:00Z&",
                                "POST /v1/snapshot?name=x",
                                "GET /v1/snapshot?name=x",
                                "GET /v1/outbox?limit=3"};
    for (uint32_t i = 0; i < CW_COUNTOF(good); i++) { /* the control plane's from here */
        char head[512];
        (void)snprintf(head, sizeof head, "%s HTTP/1.1", good[i]);
        uint32_t token = serving_send(&s, 0, head, "");
        serving_run(&s);
        cr_assert(eq(int, s.asked[token].answered, 0), "%s: %s", good[i], s.asked[token].body);
        cw_service_answer_from(s.core[0].service, s.control_token,
                               &(struct cw_answer){.status = 200});
    }
    serving_close(&s);
}

/* ---- links ---- */

/* The first e-mail of a customer's cart is sent; the path of a link in it. */
static const char *send_and_link(const char *customer, const char *url, enum cw_link_kind kind)
{
    static char path[1024];
    fill_one(customer, url);
    for (uint32_t i = 0; i < 3; i++) { /* the other program's goes first, then this one's */
        s.now += CW_HOUR_MS;
        serving_run(&s);
    }
    struct cw_link link = {.program = CW_VIEW("p"),
                           .customer = {customer, (uint32_t)strlen(customer)},
                           .cart = CW_VIEW("k"),
                           .first_t0 = SERVING_START - CW_MINUTE_MS,
                           .touch = 1,
                           .channel = CW_CHANNEL_EMAIL,
                           .expires_at = s.now + 90 * CW_DAY_MS};
    cw_message_id(256, link.program, link.customer, link.cart, link.first_t0, 1, link.message_id);
    for (uint32_t i = 0; i < s.shards; i++) { /* whose it is, the others do not know it */
        struct cw_post_result result = {.shard = i, .outcome = CW_POSTED_SENT};
        memcpy(result.key, link.message_id, sizeof result.key);
        s.results[s.result_count++] = result;
    }
    serving_run(&s);
    struct cw_text text = {0};
    cw_link_write(&links, kind, &link, &text);
    (void)snprintf(path, sizeof path, "%s", cw_text_terminate(&text) + links.base.bytes);
    cw_text_deinit(&text);
    return path;
}

static uint64_t fate(const uint64_t *of_first)
{
    size_t at = (size_t)((const char *)of_first -
                         (const char *)cw_pipeline_fates(cw_service_pipeline(s.core[0].service)));
    uint64_t sum = 0;
    for (uint32_t i = 0; i < s.shards; i++) {
        const char *fates = (const char *)cw_pipeline_fates(cw_service_pipeline(s.core[i].service));
        sum += *(const uint64_t *)(const void *)(fates + at);
    }
    return sum;
}

#define FATE(member) fate(&cw_pipeline_fates(cw_service_pipeline(s.core[0].service))->member)

Test(serve, a_picture_comes_whatever_the_token)
{
    open_with(2);
    const char *path = send_and_link("ada", "", CW_LINK_OPEN);
    char bare[1024];
    (void)snprintf(bare, sizeof bare, "%.*s", (int)(strlen(path) - strlen(".gif")), path);
    const char *const targets[] = {path, "/o/xbad.gif", "/o/abc", bare};
    for (uint32_t i = 0; i < CW_COUNTOF(targets); i++) {
        const struct asked *asked = get(targets[i]);
        cr_assert(eq(u16, asked->status, 200));
        cr_assert(eq(str, asked->type, "image/gif"));
        cr_assert(strncmp(asked->body, "GIF89a", 6) == 0);
        cr_assert(strstr(asked->headers, "no-store") != NULL);
    }
    cr_assert(eq(u64, FATE(opened[1]), 1));
    cr_assert(eq(u64, FATE(opened_raw[1]), 2));
    serving_close(&s);
}

Test(serve, a_click_leads_to_the_cart_and_nowhere_else)
{
    const struct {
        const char *url, *location;
    } rows[] = {{"https://shop.example/caf\xc3\xa9?a=1", "https://shop.example/caf%C3%A9?a=1"},
                {"javascript:alert(1)", "https://shop.example/cart"},
                {"https://x.example/\\r\\nset-cookie: a=b", "https://shop.example/cart"},
                {"", "https://shop.example/cart"}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        open_with(3);
        const char *path = send_and_link("ada", rows[i].url, CW_LINK_CLICK);
        char head[1200];
        (void)snprintf(head, sizeof head, "HEAD %s HTTP/1.1\n" PERSON, path);
        cr_assert(eq(u16, serving_ask(&s, head, "")->status, 302));
        cr_assert(eq(u64, FATE(clicked_raw[1]), 0), "HEAD changes nothing");
        const struct asked *asked = get(path);
        cr_assert(eq(u16, asked->status, 302));
        char text[256];
        (void)snprintf(text, sizeof text, "location: %s\n", rows[i].location);
        cr_assert(strstr(asked->headers, text) != NULL, "%s", asked->headers);
        cr_assert(strstr(asked->headers, "set-cookie") == NULL);
        cr_assert(strstr(asked->headers, "no-store") != NULL);
        cr_assert(eq(u64, FATE(clicked[1]), 1));
        serving_close(&s);
    }
}

Test(serve, a_token_that_is_not_ours_leads_nowhere)
{
    open_with(2);
    char path[1024];
    (void)snprintf(path, sizeof path, "%s", send_and_link("ada", "", CW_LINK_CLICK));
    cr_assert(eq(u16, get(path)->status, 302));
    path[20] = path[20] == 'A' ? 'B' : 'A';
    const char *const targets[] = {path, "/c/abc", "/u/abc", "/c/https:%2F%2Fevil.example"};
    for (uint32_t i = 0; i < CW_COUNTOF(targets); i++) {
        const struct asked *asked = get(targets[i]);
        cr_assert(eq(u16, asked->status, 404));
        cr_assert(strstr(asked->headers, "location") == NULL);
        cr_assert(strstr(asked->headers, "content-security-policy: default-src 'none';") != NULL);
        cr_assert(strstr(asked->headers, "x-content-type-options: nosniff") != NULL);
        cr_assert(strstr(asked->headers, "referrer-policy: no-referrer") != NULL);
    }
    serving_close(&s);
}

Test(serve, unsubscribing_asks_first_and_then_does_it)
{
    const struct {
        const char *type, *body;
    } rows[] = {{"application/x-www-form-urlencoded", "List-Unsubscribe=One-Click"},
                {"multipart/form-data; boundary=b",
                 "--b\r\nContent-Disposition: form-data; name=\"List-Unsubscribe\"\r\n\r\n"
                 "One-Click\r\n--b--\r\n"}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        open_with(2);
        const char *path = send_and_link("ada", "", CW_LINK_UNSUBSCRIBE);
        const struct asked *asked = get(path);
        cr_assert(eq(u16, asked->status, 200));
        cr_assert(has(asked, "no more e-mails from Tom&#39;s &lt;Shop&gt; &amp; Co?<form "
                             "method=\"post\">"),
                  "%s", asked->body);
        char head[1200];
        (void)snprintf(head, sizeof head, "POST %s HTTP/1.1\nContent-Type: %s", path, rows[i].type);
        asked = serving_ask(&s, head, rows[i].body);
        cr_assert(eq(u16, asked->status, 200));
        cr_assert(has(asked, "You are unsubscribed"));
        cr_assert(eq(u32, serving_count(&s, "\"reason\":\"opted-out\""), 0));
        (void)serving_ask(&s, EVENTS,
                          "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartAbandoned\","
                          "\"time\":\"2026-01-19T15:00:00Z\",\"detail\":{\"customerId\":\"ada\","
                          "\"cartId\":\"k2\",\"cartValue\":9,\"items\":[]}}");
        cr_assert(eq(u32, serving_count(&s, "\"reason\":\"opted-out\""), 2), "both programs");
        cr_assert(eq(u16, serving_ask(&s, head, rows[i].body)->status, 200),
                  "as often as it comes");
        serving_close(&s);
    }
    open_with(1);
    cr_assert(eq(u16, serving_ask(&s, "POST /u/xbad HTTP/1.1", "")->status, 404));
    serving_close(&s);
}

Test(serve, machines_are_told_from_people)
{
    const struct {
        const char *agent;
        bool machine;
    } rows[] = {{"User-Agent: Mozilla/5.0 (iPhone; CPU iPhone OS 19_0) Safari/604.1", false},
                {"User-Agent: Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via "
                 "ggpht.com GoogleImageProxy)",
                 false},
                {"User-Agent: Mozilla/5.0", true},
                {"X: y", true},
                {"User-Agent: Barracuda Sentinel (EE)", true},
                {"User-Agent: Slackbot-LinkExpanding 1.0", true},
                {"User-Agent: curl/8.0", true},
                {PERSON "\nSec-Purpose: prefetch;prerender", true}};

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        open_with(1);
        char head[1600];
        (void)snprintf(head, sizeof head, "GET %s HTTP/1.1\n%s",
                       send_and_link("ada", "", CW_LINK_OPEN), rows[i].agent);
        (void)serving_ask(&s, head, "");
        cr_assert(eq(u64, FATE(opened_raw[1]), 1));
        cr_assert(eq(u64, FATE(opened[1]), rows[i].machine ? 0 : 1), "%s", rows[i].agent);
        serving_close(&s);
    }
}

Test(serve, a_webhooks_handshake_is_granted)
{
    open_with(1);
    const struct asked *asked = serving_ask(
        &s, "OPTIONS /v1/events HTTP/1.1\nWebHook-Request-Origin: eventemitter.example.com", "");
    cr_assert(eq(u16, asked->status, 204));
    cr_assert(strstr(asked->headers, "webhook-allowed-origin: eventemitter.example.com\n"
                                     "webhook-allowed-rate: *\n") != NULL);
    asked = serving_ask(&s, "OPTIONS /v1/events HTTP/1.1", "");
    cr_assert(strstr(asked->headers, "webhook") == NULL);
    serving_close(&s);
}

Test(serve, messages_go_to_their_channel_with_all_it_needs)
{
    open_with(2);
    fill(3);
    for (uint32_t i = 0; i < 2; i++) { /* two programs, and an hour between their messages */
        s.now += CW_HOUR_MS;
        serving_run(&s);
    }
    cr_assert(eq(u32, s.posts, 6));
    cr_assert(strstr(s.posted.data, "0 email to=c0@x.example subject=S text=Hi Ada") != NULL, "%s",
              s.posted.data);
    cr_assert(strstr(s.posted.data, " programId=p customerId=c0 cartId=k touch=1 "
                                    "discountPercent=10 discountCode=CART10\n") != NULL,
              "%s", s.posted.data);
    cr_assert(eq(u32, serving_count(&s, "\"outcome\":\"sent\""), 0));
    const char *key = strstr(s.posted.data, "key=") + 4;
    for (uint32_t i = 0; i < s.shards; i++) {
        s.results[i] = (struct cw_post_result){.shard = i, .outcome = CW_POSTED_SENT};
        memcpy(s.results[i].key, key, CW_POST_KEY_BYTES);
    }
    s.result_count = s.shards;
    serving_run(&s);
    cr_assert(eq(u32, serving_count(&s, "\"outcome\":\"sent\""), 1));
    cr_assert(has(get("/metrics"), "cartwheel_posts_total{channel=\"email\"} 6\n"));
    serving_close(&s);
}

Test(serve, a_remark_names_the_reason_and_the_remedy_once_an_hour)
{
    open_with(1);
    struct cw_service *service = s.core[0].service;
    for (uint32_t round = 0; round < 3; round++) {
        struct cw_text text = {0};
        for (uint32_t i = 0; i < 520; i++) {
            cw_text_printf(&text,
                           "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartAbandoned\","
                           "\"time\":\"2026-01-19T11:00:00Z\",\"detail\":{\"customerId\":\"n%u\","
                           "\"cartId\":\"k%u\",\"cartValue\":9,\"items\":[]}}\n",
                           i, round);
        }
        (void)serving_ask(&s, EVENTS, cw_text_terminate(&text));
        cw_text_deinit(&text);
        const char *remark = cw_service_remark(service);
        if (round == 0 || round == 2) {
            cr_assert(remark != NULL);
            cr_assert(eq(str, (char *)remark,
                         "1040 of the last 1040 abandonments came to nothing because their "
                         "customers are not known: send a CustomerUpdated of each customer first, "
                         "then the cart again with a new id, or set allowUnknown: true in the "
                         "trust filter"));
        } else {
            cr_assert(remark == NULL);
            s.now += CW_HOUR_MS;
        }
        cr_assert(cw_service_remark(service) == NULL);
    }
    serving_close(&s);
}

Test(serve, only_so_many_long_answers_are_under_way_at_a_time)
{
    open_with(2);

    enum {
        MANY = 70
    };

    for (uint32_t i = 0; i < MANY; i++) {
        (void)serving_send(&s, 0, "GET /metrics HTTP/1.1", "");
    }
    serving_run(&s);
    uint32_t busy = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        busy += s.asked[i].status == 503;
    }
    cr_assert(eq(u32, busy, 6));
    cr_assert(eq(u16, get("/metrics")->status, 200));
    serving_close(&s);
}

Test(serve, refusals_say_what_would_be_allowed)
{
    open_with(1);
    cr_assert(strstr(serving_ask(&s, "DELETE /u/abc HTTP/1.1", "")->headers,
                     "allow: GET, HEAD, POST\n") != NULL);
    struct made_request made;
    request_make(&made, "GET /v1/programs HTTP/1.1", "", 0);
    made.request.role = CW_ROLE_NONE;
    uint32_t token = serving_put(&s, 0, &made);
    serving_run(&s);
    cr_assert(strstr(s.asked[token].headers, "www-authenticate: Basic") != NULL);
    serving_close(&s);
}
