/* Who may put lines in, and who may ask over HTTP, with credentials that are known here. */
#include "tests/io/app.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const struct cw_credentials *const some = (const void *)"some";

static bool is(struct cw_view a, const char *b)
{
    return a.bytes == strlen(b) && memcmp(a.data, b, a.bytes) == 0;
}

enum cw_check cw_credentials_check(const struct cw_credentials *credentials,
                                   const struct cw_request *request, int64_t now_ms,
                                   enum cw_role *role, const char **reason)
{
    cr_assert(eq(ptr, (void *)credentials, (void *)some));
    cr_assert(gt(i64, now_ms, 0));
    *reason = "because of \"that\"";
    for (uint32_t i = 0; i < request->header_count; i++) {
        struct cw_header header = request->headers[i];
        *role = CW_ROLE_INGEST;
        if (is(header.name, "x-api-key") && is(header.value, "sesame, open")) {
            return CW_CHECK_OK;
        }
        if (is(header.name, "authorization")) {
            if (is(header.value, "Bearer of-events") || is(header.value, "Basic dXM6cGE6c3M=")) {
                return CW_CHECK_OK;
            }
            *role = CW_ROLE_REPORT;
            return is(header.value, "Bearer of-reports")   ? CW_CHECK_OK
                   : is(header.value, "Bearer of-nothing") ? CW_CHECK_SIGNATURE
                   : is(header.value, "Bearer of-old")     ? CW_CHECK_SKEW
                   : is(header.value, "?")                 ? CW_CHECK_MALFORMED
                                                           : CW_CHECK_UNKNOWN;
        }
    }
    return CW_CHECK_NONE;
}

uint32_t cw_credentials_count(const struct cw_credentials *credentials)
{
    return credentials == some;
}

static struct app *app;
static char heard[1 << 16];

static void set_up(void)
{
    struct cw_fault fault = {.text = ""};
    app = app_new();
    app->options.credentials = some;
    cr_assert(app_start(app, &fault), "%s", fault.text);
}

static void tear_down(void)
{
    app_stop(app);
    cr_expect(eq(u64, app_counter(app, "request_memory_bytes"), 0), "every block came back");
    cw_server_close(app->server);
    free(app);
}

TestSuite(lines, .init = set_up, .fini = tear_down, .timeout = 60);

static void tell(const char *first)
{
    int fd = dial(app->listeners[1].port);
    cr_assert(ge(int, fd, 0));
    cr_assert(say(fd, first, strlen(first)));
    usleep(10000); /* the rest comes in a piece of its own */
    (void)SAY(fd, "{\"a\":1}\n{\"a\":2}\n");
    shutdown(fd, SHUT_WR);
    hear(fd, heard, sizeof heard, NULL, 2000);
    close(fd);
}

Test(lines, the_first_line_says_who_is_there)
{
    static const char *const good[] = {"{\"auth\":\"of-events\"}\n", "{\"auth\":\"us:pa:ss\"}\n",
                                       " { \"auth\" : \"sesame, \\u006fpen\" } \r\n"};
    for (size_t i = 0; i < CW_COUNTOF(good); i++) {
        tell(good[i]);
        cr_expect(eq(str, heard, "{\"line\":2,\"bytes\":16}\n"));
    }
}

Test(lines, whoever_is_not_known_puts_nothing_in)
{
    static const char *const bad[] = {"{\"auth\":\"of-reports\"}\n",
                                      "{\"auth\":\"of-nothing\"}\n",
                                      "{\"auth\":\"us:pass\"}\n",
                                      "{\"auth\":1}\n",
                                      "{\"auth\":\"\"}\n",
                                      "{}\n",
                                      "\n",
                                      "[\"auth\"]\n",
                                      "{\"a\":0}\n"};
    for (size_t i = 0; i < CW_COUNTOF(bad); i++) {
        tell(bad[i]);
        cr_expect(strncmp(heard, "{\"error\":\"the first line must be", 32) == 0, "%s: %s", bad[i],
                  heard);
        cr_expect(strchr(heard, '\n') == heard + strlen(heard) - 1, "one line");
    }
    char text[6000];
    memset(text, ' ', sizeof text);
    text[sizeof text - 1] = '\0';
    tell(text);
    cr_expect(eq(str, heard, "{\"error\":\"the first line is too long\"}\n"));
    cr_expect(eq(u32, atomic_load(&app->requests), 0u));
    cr_expect(eq(u64, app_counter(app, "lines_refused_total"), CW_COUNTOF(bad) + 1));
}

static void ask(const char *request)
{
    int fd = dial(app->listeners[0].port);
    cr_assert(ge(int, fd, 0));
    cr_assert(say(fd, request, strlen(request)));
    hear(fd, heard, sizeof heard, NULL, 300);
    close(fd);
}

Test(lines, http_callers_are_checked_too_and_told_in_their_dialect)
{
    ask("GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_expect(ne(ptr, strstr(heard, "/a||"), NULL), "without any: role NONE, the app decides");
    ask("GET /a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer of-events\r\n\r\n");
    cr_expect(ne(ptr, strstr(heard, "/a||"), NULL));
    ask("GET /a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n");
    cr_expect(eq(int, strncmp(heard, "HTTP/1.1 401", 12), 0));
    cr_expect(ne(ptr, strstr(heard, "WWW-Authenticate: Basic"), NULL));
    cr_expect(ne(ptr, strstr(heard, "{\"error\":\"because of 'that'\"}"), NULL));
    ask("GET /a HTTP/1.1\r\nHost: x\r\nAuthorization: ?\r\n\r\n");
    cr_expect(eq(int, strncmp(heard, "HTTP/1.1 401", 12), 0));

    static const struct {
        const char *value, *type;
    } rows[] = {{"Bearer x", "UnrecognizedClientException"},
                {"Bearer of-nothing", "InvalidSignatureException"},
                {"Bearer of-old", "InvalidSignatureException"},
                {"?", "IncompleteSignatureException"}};

    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        char text[500];
        snprintf(text, sizeof text,
                 "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AWSEvents.PutEvents\r\n"
                 "Authorization: %s\r\nContent-Length: 2\r\n\r\n{}",
                 rows[i].value);
        ask(text);
        snprintf(text, sizeof text, "{\"__type\":\"%s\",\"message\":\"because of 'that'\"}",
                 rows[i].type);
        cr_expect(eq(int, strncmp(heard, "HTTP/1.1 400", 12), 0));
        cr_expect(strstr(heard, text) != NULL, "%s", heard);
    }
    cr_expect(eq(u64, app_counter(app, "http_refused_signature_total"), 1));
}
