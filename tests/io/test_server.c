#include "core/text.h"
#include "tests/io/app.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct app *app;
static char heard[1 << 22];

static void start(void)
{
    struct cw_fault fault = {.text = ""};
    bool started = app_start(app, &fault);
    if (!started && app->options.loop == CW_LOOP_URING && fault.sys_errno == EPERM) {
        app->server = NULL;
        cr_skip_test("io_uring is forbidden here");
    }
    cr_assert(started, "%s", fault.text);
}

static void set_up_uring(void)
{
    app = app_new();
    app->options.loop = CW_LOOP_URING;
}

static void set_up_epoll(void)
{
    app = app_new();
    app->options.loop = CW_LOOP_EPOLL;
}

static void tear_down(void)
{
    if (app->server != NULL) {
        app_stop(app);
        cr_expect(eq(u64, app_counter(app, "request_memory_bytes"), 0), "every block came back");
        cr_expect(eq(u64, app_counter(app, "requests_unanswered"), 0));
        cr_expect(eq(u64, app_counter(app, "connections_open"), 0));
        cw_server_close(app->server);
    }
    free(app);
}

TestSuite(on_uring, .init = set_up_uring, .fini = tear_down, .timeout = 60);
TestSuite(on_epoll, .init = set_up_epoll, .fini = tear_down, .timeout = 60);

/* The server behaves the same on both. */
#define SCENARIO(name)      \
    static void name(void); \
    Test(on_uring, name)    \
    {                       \
        name();             \
    }                       \
    Test(on_epoll, name)    \
    {                       \
        name();             \
    }                       \
    static void name(void)

static int http(void)
{
    int fd = dial(app->listeners[0].port);
    cr_assert(ge(int, fd, 0));
    return fd;
}

static int lines(void)
{
    int fd = dial(app->listeners[1].port);
    cr_assert(ge(int, fd, 0));
    return fd;
}

static int count_of(const char *text, const char *what)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what)) {
        count++;
    }
    return count;
}

/* ---- HTTP ---- */

SCENARIO(answers_and_keeps_the_connection)
{
    start();
    int fd = http();
    for (int i = 0; i < 3; i++) {
        cr_assert(SAY(fd, "POST /a?b HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nxyz"));
        hear(fd, heard, sizeof heard, "xyz", 2000);
        cr_expect(ne(ptr, strstr(heard, "HTTP/1.1 200 OK\r\n"), NULL));
        cr_expect(ne(ptr, strstr(heard, "\r\nDate: "), NULL));
        cr_expect(ne(ptr, strstr(heard, "\r\n\r\n/a|b|xyz"), NULL));
    }
    close(fd);
}

SCENARIO(answers_in_the_order_of_requests_although_the_app_does_not)
{
    atomic_store(&app->backwards, true);
    start();
    int fd = http();
    char text[8000] = "";
    for (int i = 0; i < 40; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "GET /%02d HTTP/1.1\r\nHost: x\r\n\r\n", i);
    }
    cr_assert(say(fd, text, strlen(text)));
    hear(fd, heard, sizeof heard, "/39||", 2000);
    const char *at = heard;
    for (int i = 0; i < 40; i++) {
        char body[16];
        snprintf(body, sizeof body, "\r\n\r\n/%02d||", i);
        at = strstr(at, body);
        cr_assert(at != NULL, "answer %d", i);
    }
    close(fd);
}

SCENARIO(many_requests_ahead_stop_the_reading_and_lose_nothing)
{
    start();
    int fd = http();
    atomic_store(&app->hold, true);
    static char text[400000];
    size_t bytes = 0;
    for (int i = 0; i < 3000; i++) {
        bytes += (size_t)snprintf(text + bytes, sizeof text - bytes,
                                  "POST /%d HTTP/1.1\r\nHost: x\r\nContent-Length: 50\r\n\r\n%050d",
                                  i, i);
    }
    cr_assert(say(fd, text, bytes));
    usleep(100000);
    cr_expect(le(u32, atomic_load(&app->requests), 64u));
    atomic_store(&app->hold, false);
    hear(fd, heard, sizeof heard, "/2999||", 5000);
    cr_expect(eq(int, count_of(heard, "HTTP/1.1 200 OK\r\n"), 3000));
    cr_expect(gt(u64, app_counter(app, "http_paused_total"), 0));
    close(fd);
}

SCENARIO(ends_the_connection_when_asked)
{
    static const char *const requests[] = {
        "GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /a HTTP/1.0\r\n\r\n",
        "GET /close HTTP/1.1\r\nHost: x\r\n\r\nGET /never HTTP/1.1\r\nHost: x\r\n\r\n",
    };
    start();
    for (size_t i = 0; i < CW_COUNTOF(requests); i++) {
        int fd = http();
        cr_assert(say(fd, requests[i], strlen(requests[i])));
        hear(fd, heard, sizeof heard, NULL, 2000);
        cr_expect(ne(ptr, strstr(heard, "200 OK"), NULL));
        cr_expect(ne(ptr, strstr(heard, "Connection: close"), NULL));
        cr_expect(eq(ptr, strstr(heard, "never"), NULL));
        close(fd);
    }
}

SCENARIO(a_caller_that_has_finished_sending_gets_its_answers)
{
    start();
    int fd = http();
    cr_assert(SAY(fd, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n"));
    shutdown(fd, SHUT_WR);
    hear(fd, heard, sizeof heard, NULL, 2000);
    cr_expect(ne(ptr, strstr(heard, "/a||"), NULL));
    cr_expect(ne(ptr, strstr(heard, "/b||"), NULL));
    close(fd);
}

SCENARIO(a_refusal_is_readable_although_more_is_being_sent)
{
    start();
    int fd = http();
    cr_assert(SAY(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"
                      "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"));
    static char body[200000];
    (void)say(fd, body, sizeof body);
    hear(fd, heard, sizeof heard, NULL, 3000);
    cr_expect(ne(ptr, strstr(heard, "HTTP/1.1 200 OK"), NULL));
    cr_expect(ne(ptr, strstr(heard, "HTTP/1.1 413 Content Too Large"), NULL));
    cr_expect(ne(ptr, strstr(heard, "{\"error\":\"the body is larger than allowed\"}"), NULL));
    cr_expect(eq(u64, app_counter(app, "http_refused_body_large_total"), 1));
    close(fd);
}

SCENARIO(asks_for_the_body_of_who_waits_to_be_asked)
{
    start();
    int fd = http();
    cr_assert(SAY(
        fd, "POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n"));
    hear(fd, heard, sizeof heard, "\r\n\r\n", 2000);
    cr_expect(eq(str, heard, "HTTP/1.1 100 Continue\r\n\r\n"));
    cr_assert(SAY(fd, "abc"));
    hear(fd, heard, sizeof heard, "abc", 2000);
    cr_expect(ne(ptr, strstr(heard, "/e||abc"), NULL));
    cr_assert(SAY(fd, "POST /e HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n"
                      "Content-Length: 9999999\r\n\r\n"));
    hear(fd, heard, sizeof heard, NULL, 2000);
    cr_expect(eq(int, strncmp(heard, "HTTP/1.1 413", 12), 0));
    close(fd);
}

SCENARIO(a_head_request_gets_no_body)
{
    start();
    int fd = http();
    cr_assert(SAY(fd, "HEAD /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n"));
    hear(fd, heard, sizeof heard, "/b||", 2000);
    cr_expect(ne(ptr, strstr(heard, "Content-Length: 4\r\n\r\nHTTP/1.1 200 OK"), NULL));
    close(fd);
}

SCENARIO(large_bodies_and_answers_arrive_whole)
{
    start();
    int fd = http();
    size_t bytes = 1000000;
    char *body = malloc(bytes + 1);
    for (size_t i = 0; i < bytes; i++) {
        body[i] = (char)('a' + i % 23);
    }
    body[bytes] = '\0';
    cr_assert(SAY(fd, "POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"));
    cr_assert(say(fd, body, bytes));
    size_t got = 0;
    while (got < bytes) {
        size_t n = hear(fd, heard + got, sizeof heard - got, NULL, got == 0 ? 2000 : 200);
        if (n == 0) {
            break;
        }
        got += n;
    }
    char *echoed = strstr(heard, "\r\n\r\n/b||");
    cr_assert(ne(ptr, echoed, NULL));
    cr_expect(eq(int, memcmp(echoed + 8, body, bytes), 0));
    cr_assert(SAY(fd, "GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"));
    cr_expect(gt(sz, hear(fd, heard, sizeof heard, NULL, 2000), 1 << 20));
    free(body);
    close(fd);
}

/* ---- limits ---- */

#define PUT_EVENTS                                                                        \
    "POST / HTTP/1.1\r\nHost: x\r\nX-Amz-Target: AWSEvents.PutEvents\r\nContent-Length: " \
    "2\r\n\r\n{}"

SCENARIO(too_much_unanswered_is_refused_in_the_callers_dialect)
{
    app->options.limits.unanswered = 2;
    start();
    atomic_store(&app->hold, true);
    int busy = http();
    cr_assert(SAY(busy, "GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n"));
    while (atomic_load(&app->requests) < 2) {
        usleep(1000);
    }
    int fd = http();
    cr_assert(SAY(fd, "POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}" PUT_EVENTS));
    hear(fd, heard, sizeof heard, "__type", 2000);
    cr_expect(ne(ptr, strstr(heard, "HTTP/1.1 503 "), NULL));
    cr_expect(ne(ptr, strstr(heard, "Retry-After: 1\r\n"), NULL));
    cr_expect(ne(ptr, strstr(heard, "HTTP/1.1 400 Bad Request"), NULL));
    cr_expect(ne(ptr, strstr(heard, "application/x-amz-json-1.1"), NULL));
    cr_expect(
        ne(ptr, strstr(heard, "{\"__type\":\"ThrottlingException\",\"message\":\"Rate exceeded\"}"),
           NULL));
    cr_expect(eq(u64, app_counter(app, "http_refused_unanswered_total"), 2));
    atomic_store(&app->hold, false);
    cw_server_wake(app->server);
    hear(busy, heard, sizeof heard, "/b||", 2000);
    cr_assert(SAY(fd, "GET /d HTTP/1.1\r\nHost: x\r\n\r\n")); /* the connection goes on */
    hear(fd, heard, sizeof heard, "/d||", 2000);
    cr_expect(ne(ptr, strstr(heard, "/d||"), NULL));
    close(fd);
    close(busy);
}

SCENARIO(too_many_connections_are_told_so)
{
    app->options.limits.connections = 2;
    app->options.limits.connections_per_address = 2;
    start();
    int one = http();
    int two = http();
    cr_assert(SAY(one, "GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"));
    cr_assert(SAY(two, "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n"));
    hear(one, heard, sizeof heard, "/1||", 2000);
    hear(two, heard, sizeof heard, "/2||", 2000);
    int three = http();
    cr_assert(SAY(three, PUT_EVENTS));
    hear(three, heard, sizeof heard, NULL, 2000);
    cr_expect(ne(ptr, strstr(heard, "ThrottlingException"), NULL));
    int four = lines();
    hear(four, heard, sizeof heard, NULL, 3000);
    cr_expect(
        eq(str, heard, "{\"error\":\"the engine has too many connections\",\"retry\":true}\n"));
    close(one);
    close(three);
    close(four);
    for (int i = 0; i < 100; i++) { /* room again, once the server has seen the end */
        int five = http();
        cr_assert(SAY(five, "GET /5 HTTP/1.1\r\nHost: x\r\n\r\n"));
        hear(five, heard, sizeof heard, "/5||", 2000);
        close(five);
        if (strstr(heard, "/5||") != NULL) {
            break;
        }
        usleep(10000);
    }
    cr_expect(ne(ptr, strstr(heard, "/5||"), NULL));
    close(two);
}

SCENARIO(one_address_cannot_have_all_connections)
{
    app->options.limits.connections_per_address = 3;
    start();
    int fds[3];
    for (int i = 0; i < 3; i++) {
        fds[i] = http();
        cr_assert(SAY(fds[i], "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
        hear(fds[i], heard, sizeof heard, "/a||", 2000);
    }
    int fd = http();
    cr_assert(SAY(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"));
    hear(fd, heard, sizeof heard, NULL, 2000);
    cr_expect(eq(int, strncmp(heard, "HTTP/1.1 503", 12), 0));
    for (int i = 0; i < 3; i++) {
        close(fds[i]);
    }
    close(fd);
}

SCENARIO(without_memory_callers_are_told_before_it_grows)
{
    app->options.limits.memory_bytes = 8 << 20;
    start();
    int fds[60];
    static char part[120000];
    memset(part, 'x', sizeof part);
    for (int i = 0; i < 60; i++) {
        fds[i] = http();
        cr_assert(SAY(fds[i], "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 120001\r\n\r\n"));
        (void)say(fds[i], part, sizeof part);
    }
    int refused = 0;
    for (int i = 0; i < 60; i++) {
        hear(fds[i], heard, sizeof heard, "busy", i == 0 ? 300 : 20);
        refused += strstr(heard, "HTTP/1.1 503") != NULL;
    }
    cr_expect(gt(int, refused, 0));
    cr_expect(lt(int, refused, 60));
    cr_expect(eq(u64, app_counter(app, "http_refused_memory_total"), (uint64_t)refused));
    cr_expect(lt(u64, app_counter(app, "request_memory_bytes"), 8 << 20));
    for (int i = 0; i < 60; i++) {
        close(fds[i]);
    }
}

SCENARIO(answers_without_memory_end_their_connection_and_no_other)
{
    app->options.limits.memory_bytes = 8 << 20;
    start();
    atomic_store(&app->hold, true);
    int other = http();
    cr_assert(SAY(other, "GET /other HTTP/1.1\r\nHost: x\r\n\r\n"));
    while (atomic_load(&app->requests) < 1) {
        usleep(1000);
    }
    int fd = http();
    char text[2000] = "";
    for (int i = 0; i < 20; i++) {
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    cr_assert(say(fd, text, strlen(text)));
    while (atomic_load(&app->requests) < 21) {
        usleep(1000);
    }
    atomic_store(&app->hold, false);
    cw_server_wake(app->server);
    hear(other, heard, sizeof heard, "/other||", 2000);
    cr_expect(ne(ptr, strstr(heard, "/other||"), NULL));
    for (int i = 0; i < 300 && app_counter(app, "answers_no_memory_total") == 0; i++) {
        usleep(10000);
    }
    cr_expect(eq(u64, app_counter(app, "answers_no_memory_total"), 1));
    close(fd);
    close(other);
}

/* ---- time ---- */

SCENARIO(a_head_that_does_not_come_is_not_waited_for)
{
    app->options.limits.head_ms = 100;
    start();
    int fd = http();
    cr_assert(SAY(fd, "GET / HTTP/1.1\r\nHo"));
    hear(fd, heard, sizeof heard, NULL, 3000);
    cr_expect(eq(int, strncmp(heard, "HTTP/1.1 408", 12), 0));
    close(fd);
}

SCENARIO(a_body_that_trickles_is_not_waited_for)
{
    app->options.limits.body_ms = 100;
    app->options.limits.body_bytes_per_s = 100000;
    start();
    int fd = http();
    cr_assert(SAY(fd, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc"));
    hear(fd, heard, sizeof heard, NULL, 3000);
    cr_expect(eq(int, strncmp(heard, "HTTP/1.1 408", 12), 0));
    close(fd);
}

SCENARIO(an_idle_connection_ends)
{
    app->options.limits.idle_ms = 100;
    start();
    int fresh = http();
    int used = http();
    cr_assert(SAY(used, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    hear(used, heard, sizeof heard, "/a||", 2000);
    cr_expect(ended(fresh, 3000));
    cr_expect(ended(used, 3000));
    cr_expect(eq(u64, app_counter(app, "connections_idle_total"), 2));
    close(fresh);
    close(used);
}

SCENARIO(an_answer_that_is_late_is_504_and_goes_nowhere_when_it_comes)
{
    app->options.limits.answer_ms = 100;
    start();
    int fd = http();
    cr_assert(SAY(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n"));
    hear(fd, heard, sizeof heard, "/b||", 3000);
    cr_expect(eq(int, strncmp(heard, "HTTP/1.1 504", 12), 0));
    cr_expect(ne(ptr, strstr(heard, "/b||"), NULL));
    cr_expect(eq(ptr, strstr(heard, "/hold|"), NULL));
    cr_expect(eq(u64, app_counter(app, "requests_unanswered"), 1));
    close(fd);
}

SCENARIO(a_caller_that_takes_no_answers_is_cut_off)
{
    app->options.limits.head_ms = 200;
    start();
    int fd = http();
    int small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    for (int i = 0; i < 16; i++) {
        cr_assert(SAY(fd, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"));
    }
    for (int i = 0; i < 300 && app_counter(app, "connections_stalled_total") == 0; i++) {
        usleep(10000);
    }
    cr_expect(eq(u64, app_counter(app, "connections_stalled_total"), 1));
    close(fd);
}

SCENARIO(a_caller_that_goes_away_leaves_nothing_behind)
{
    start();
    for (int i = 0; i < 20; i++) {
        int fd = http();
        cr_assert(SAY(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\n"
                          "Content-Length: 100\r\n\r\nabc"));
        while (atomic_load(&app->requests) < (unsigned)i + 1) {
            usleep(1000);
        }
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        close(fd);
    }
    for (int i = 0; i < 300 && app_counter(app, "connections_open") > 0; i++) {
        usleep(10000);
    }
    cr_expect(eq(u64, app_counter(app, "connections_open"), 0));
}

/* ---- lines ---- */

SCENARIO(lines_are_handed_over_in_groups_and_acknowledged)
{
    start();
    int fd = lines();
    cr_assert(SAY(fd, "{\"a\":1}\n{\"a\":2}\n{\"a\""));
    hear(fd, heard, sizeof heard, "\n", 2000);
    cr_expect(eq(str, heard, "{\"line\":1,\"bytes\":16}\n"));
    cr_assert(SAY(fd, ":3}\n"));
    hear(fd, heard, sizeof heard, "\n", 2000);
    cr_expect(eq(str, heard, "{\"line\":3,\"bytes\":8}\n"));
    cr_assert(SAY(fd, "{\"a\":4}")); /* not ended, but the connection is */
    shutdown(fd, SHUT_WR);
    hear(fd, heard, sizeof heard, NULL, 2000);
    cr_expect(eq(str, heard, "{\"line\":4,\"bytes\":7}\n"));
    close(fd);
    cr_expect(eq(u64, app_counter(app, "lines_total"), 4));
}

/* Adds up what the acknowledgements say: bytes of lines, lines too long, and the last line. */
static uint64_t acknowledged(const char *text, int *too_long)
{
    uint64_t bytes = 0;
    for (const char *at = text; (at = strstr(at, "\"bytes\":")) != NULL; at++) {
        bytes += strtoull(at + 8, NULL, 10);
    }
    *too_long = count_of(text, "\"tooLong\":true");
    return bytes;
}

SCENARIO(lines_too_long_are_told_by_number_and_the_others_go_on)
{
    app->options.limits.line_bytes = 1000;
    start();
    int fd = lines();
    cr_assert(SAY(fd, "first\n"));
    hear(fd, heard, sizeof heard, "\n", 2000);
    static char long_line[5001];
    memset(long_line, 'x', 5000);
    long_line[5000] = '\n';
    for (int part = 0; part < 5001; part += 1667) {
        cr_assert(say(fd, long_line + part, 1667));
        usleep(20000);
    }
    cr_assert(SAY(fd, "third\n"));
    hear(fd, heard, sizeof heard, "\"line\":3", 2000);
    cr_expect(ne(ptr, strstr(heard, "{\"line\":2,\"bytes\":0,\"tooLong\":true}\n"), NULL));
    cr_expect(ne(ptr, strstr(heard, "{\"line\":3,\"bytes\":6}\n"), NULL));
    long_line[999] = '\n';
    cr_assert(say(fd, long_line, 1000)); /* 999 bytes and the end: not too long */
    long_line[999] = 'x';
    long_line[1000] = '\n';
    cr_assert(say(fd, long_line, 1001)); /* 1000: neither */
    long_line[1000] = 'x';
    long_line[1001] = '\n';
    cr_assert(say(fd, long_line, 1002)); /* 1001: too long */
    cr_assert(SAY(fd, "seventh\n"));
    shutdown(fd, SHUT_WR);
    hear(fd, heard, sizeof heard, NULL, 2000);
    int too_long = 0;
    cr_expect(eq(u64, acknowledged(heard, &too_long), 1000 + 1001 + 8));
    cr_expect(eq(int, too_long, 1));
    cr_expect(ne(ptr, strstr(heard, "{\"line\":6,\"bytes\":0,\"tooLong\":true}\n"), NULL));
    close(fd);
}

struct sender {
    int fd;
    char *text;
    size_t bytes;
};

static void *send_all(void *arg)
{
    struct sender *sender = arg;
    (void)say(sender->fd, sender->text, sender->bytes);
    shutdown(sender->fd, SHUT_WR);
    return NULL;
}

SCENARIO(reading_of_lines_stops_while_too_much_is_unanswered)
{
    app->options.limits.line_bytes = 2000;
    app->options.limits.memory_bytes = 16 << 20;
    start();
    atomic_store(&app->hold, true);
    size_t bytes = 24 << 20;
    struct sender sender = {.fd = lines(), .text = malloc(bytes), .bytes = bytes};
    memset(sender.text, 'y', bytes);
    int long_lines = 0;
    uint64_t expected = 0;
    uint64_t seed = 7;
    for (size_t at = 0; at < bytes;) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t line = (seed >> 33) % 2010;
        line = at + line + 1 > bytes ? bytes - at - 1 : line;
        sender.text[at + line] = '\n';
        if (line > 2000) {
            long_lines++;
        } else {
            expected += line + 1;
        }
        at += line + 1;
    }
    pthread_t thread;
    pthread_create(&thread, NULL, send_all, &sender);
    usleep(300000);
    cr_expect(le(u32, atomic_load(&app->requests), 8u));
    cr_expect(lt(u64, app_counter(app, "request_memory_bytes"), 6 << 20));
    atomic_store(&app->hold, false);
    cw_server_wake(app->server);
    hear(sender.fd, heard, sizeof heard, NULL, 3000);
    pthread_join(thread, NULL);
    int too_long = 0;
    cr_expect(eq(u64, acknowledged(heard, &too_long), expected));
    cr_expect(eq(int, too_long, long_lines));
    close(sender.fd);
    free(sender.text);
}

SCENARIO(lines_wait_for_free_slots_and_memory_of_others)
{
    app->options.limits.unanswered = 1;
    start();
    int busy = http();
    atomic_store(&app->hold, true);
    cr_assert(SAY(busy, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    while (atomic_load(&app->requests) < 1) {
        usleep(1000);
    }
    int fd = lines();
    cr_assert(SAY(fd, "one\ntwo\n"));
    shutdown(fd, SHUT_WR);
    cr_expect(eq(sz, hear(fd, heard, sizeof heard, NULL, 200), 0));
    atomic_store(&app->hold, false);
    cw_server_wake(app->server);
    hear(fd, heard, sizeof heard, NULL, 2000);
    cr_expect(eq(str, heard, "{\"line\":1,\"bytes\":8}\n"));
    close(fd);
    close(busy);
}

/* ---- life ---- */

SCENARIO(drains_what_is_asked_and_nothing_else)
{
    start();
    int idle = http();
    int busy = http();
    cr_assert(SAY(idle, "GET /a HTTP/1.1\r\nHost: x\r\n\r\n"));
    hear(idle, heard, sizeof heard, "/a||", 2000);
    atomic_store(&app->hold, true);
    cr_assert(SAY(busy, "GET /b HTTP/1.1\r\nHost: x\r\n\r\n"));
    while (atomic_load(&app->requests) < 2) {
        usleep(1000);
    }
    atomic_store(&app->grace_ms, 5000);
    atomic_store(&app->stop, true);
    cw_server_wake(app->server);
    cr_expect(ended(idle, 2000), "idle ones at once");
    cr_expect(eq(int, dial(app->listeners[0].port), -1), "nobody is let in any more");
    atomic_store(&app->hold, false);
    cw_server_wake(app->server);
    hear(busy, heard, sizeof heard, NULL, 3000);
    cr_expect(ne(ptr, strstr(heard, "Connection: close\r\n"), NULL));
    cr_expect(ne(ptr, strstr(heard, "/b||"), NULL));
    close(idle);
    close(busy);
}

SCENARIO(a_drain_ends_after_its_grace)
{
    atomic_store(&app->grace_ms, 100);
    start();
    int fd = http();
    cr_assert(SAY(fd, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n"));
    int half = http();
    cr_assert(SAY(half, "GET /hold HTT"));
    while (app_counter(app, "received_bytes_total") < 31 + 13) {
        usleep(1000);
    }
    app_stop(app);
    cr_expect(eq(u64, app_counter(app, "connections_drained_total"), 2));
    cr_expect(eq(u64, app_counter(app, "requests_unanswered"), 0), "answered into nothing");
    cw_server_close(app->server);
    app->server = NULL;
    close(fd);
    close(half);
}

static void expect_refused(const char *address, bool allow, cw_err expected, const char *because)
{
    struct cw_fault fault = {.text = ""};
    app->listeners[0].address = (struct cw_view){address, (uint32_t)strlen(address)};
    app->listeners[0].allow_unauthenticated = allow;
    app->options.listener_count = 1;
    cw_err err = cw_server_open(&app->server, &app->options, &fault);
    cr_expect(eq(int, err, expected), "%s: %s", address, fault.text);
    cr_expect(strstr(fault.text, because) != NULL, "%s: %s", address, fault.text);
    if (err == CW_ERR_OK) {
        cw_server_close(app->server);
    }
    app->server = NULL;
}

SCENARIO(addresses_are_checked_before_anything_runs)
{
    static const char *const bad[] = {
        "",         "8080",  "127.0.0.1",  "127.0.0.1:", "a:1",
        "1.2.3:80", "::1:x", "[::1]",      "[::1:80",    "1.1.1.1:65536",
        "[a]:80",   "[]:80", "1.1.1.1:-1", "1.1.1.1:+1", "::1]:80"};
    for (size_t i = 0; i < CW_COUNTOF(bad); i++) {
        expect_refused(bad[i], true, CW_ERR_INVALID, "no address");
    }
    expect_refused("0.0.0.0:0", false, CW_ERR_INVALID, "without credentials");
    expect_refused(":0", false, CW_ERR_INVALID, "without credentials");
    expect_refused("[::]:0", false, CW_ERR_INVALID, "without credentials");
    expect_refused("localhost:0", false, CW_ERR_OK, "");
    expect_refused("127.9.9.9:0", false, CW_ERR_OK, "");
    expect_refused("192.0.2.1:1", true, CW_ERR_IO, "listening at 192.0.2.1:1");
}

SCENARIO(cores_share_a_port_and_other_programs_do_not)
{
    start();
    struct cw_fault fault = {.text = ""};
    struct cw_server_options options = app->options;
    options.core = 1;
    struct cw_server *second = NULL;
    uint16_t port = app->listeners[0].port;
    cr_assert(eq(int, cw_server_open(&second, &options, &fault), CW_ERR_OK));
    cr_expect(eq(u16, app->listeners[0].port, port));
    cw_server_close(second);
    options.core = 0;
    cr_expect(eq(int, cw_server_open(&second, &options, &fault), CW_ERR_IO));
}

SCENARIO(speaks_ipv6_where_there_is_some)
{
    app->listeners[0].address = CW_VIEW("[::1]:0");
    struct cw_fault fault;
    if (!app_start(app, &fault)) {
        cr_log_warn("no IPv6 here: %s", fault.text);
        app->server = NULL;
        return;
    }
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6,
                               .sin6_port = htons(app->listeners[0].port),
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    cr_assert(eq(int, connect(fd, (struct sockaddr *)&in6, sizeof in6), 0));
    cr_assert(SAY(fd, "GET /6 HTTP/1.1\r\nHost: [::1]\r\n\r\n"));
    hear(fd, heard, sizeof heard, "/6||", 2000);
    cr_expect(ne(ptr, strstr(heard, "/6||"), NULL));
    close(fd);
}

/* Every feature that a kernel may lack, left out: the same behaviour. */
SCENARIO(does_without_what_a_kernel_lacks)
{
    bool uring = app->options.loop == CW_LOOP_URING;
    uint32_t step = uring ? 1 : CW_LOOP_NANOSECONDS;
    uint32_t end = uring ? CW_LOOP_NANOSECONDS : 2 * CW_LOOP_NANOSECONDS;
    for (uint32_t without = 0; without < end; without += step) {
        app->options.without = without;
        app->listeners[0].port = app->listeners[1].port = 0;
        atomic_store(&app->stop, false);
        atomic_store(&app->requests, 0);
        start();
        cr_expect(eq(int, strncmp(cw_server_backend(app->server), uring ? "io_uring" : "epoll", 5),
                     0));
        int fd = http();
        char text[8000] = "";
        for (int i = 0; i < 70; i++) {
            snprintf(text + strlen(text), sizeof text - strlen(text),
                     "GET /%02d HTTP/1.1\r\nHost: x\r\n\r\n", i);
        }
        cr_assert(say(fd, text, strlen(text)));
        hear(fd, heard, sizeof heard, "/69||", 2000);
        cr_expect(count_of(heard, "200 OK") == 70, "without %u: %s", without,
                  cw_server_backend(app->server));
        int line = lines();
        cr_assert(SAY(line, "one\ntwo\n"));
        shutdown(line, SHUT_WR);
        hear(line, heard, sizeof heard, NULL, 2000);
        cr_expect(count_of(heard, "\"bytes\":") >= 1, "without %u", without);
        close(fd);
        close(line);
        app_stop(app);
        cw_server_close(app->server);
        app->server = NULL;
    }
}
