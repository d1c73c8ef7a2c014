#include "io/http.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    POOL_BYTES = 8 << 20,
    LOG_BYTES = 1 << 16
};

/* What a reader tells about some bytes, as text, so that two tellings can be compared. */
struct told {
    char text[LOG_BYTES];
    size_t bytes;
    int requests;
    enum cw_http_refusal refusal;
};

static struct cw_arena arena;
static struct cw_pool pool;
static struct cw_http_context context;

static void open_pool(size_t bytes)
{
    struct cw_fault fault;
    cr_assert(eq(int, cw_arena_open(&arena, 1 << 20, 1 << 22, &fault), CW_ERR_OK));
    cr_assert(eq(int, cw_pool_open(&pool, &arena, bytes, 1 << 21, &fault), CW_ERR_OK));
    context = (struct cw_http_context){.pool = &pool, .limits = {16384, 64, 1 << 20}};
}

static void set_up(void)
{
    open_pool(POOL_BYTES);
}

static void tear_down(void)
{
    cr_expect(eq(sz, pool.used_bytes, 0), "every block came back");
    cr_expect(cw_pool_check(&pool));
    cw_pool_close(&pool);
    cw_arena_close(&arena);
}

TestSuite(http, .init = set_up, .fini = tear_down);

static void tell(struct told *told, const char *what, struct cw_view view)
{
    uint32_t shown = view.bytes < 3000 ? view.bytes : 3000;
    int n = snprintf(told->text + told->bytes, LOG_BYTES - told->bytes, "%s[%u]=%.*s\n", what,
                     view.bytes, (int)shown, view.data == NULL ? "(null)" : view.data);
    told->bytes += (size_t)n;
}

static void tell_request(struct told *told, const struct cw_exchange *exchange)
{
    const struct cw_request *request = &exchange->request;
    char line[100];
    snprintf(line, sizeof line, "method %d head %d 1.0 %d keep %d aws %d expects %d",
             request->method, exchange->head, exchange->version_1_0, exchange->keep_alive,
             exchange->put_events, exchange->expects);
    tell(told, "request", (struct cw_view){line, (uint32_t)strlen(line)});
    tell(told, "path", request->path);
    tell(told, "query", request->query);
    for (uint32_t i = 0; i < request->header_count; i++) {
        tell(told, "name", request->headers[i].name);
        tell(told, "value", request->headers[i].value);
    }
    tell(told, "body", request->body);
    /* The padding is there to be read. */
    volatile char sum = 0;
    for (uint32_t i = 0; i < CW_JSON_PADDING; i++) {
        sum = (char)(sum + request->body.data[request->body.bytes + i]);
    }
    told->requests++;
}

/* Feeds one piece, in a buffer of its own size, so that reading past its end is found out. */
static bool feed(struct cw_http *http, struct told *told, const char *data, size_t bytes)
{
    char *copy = malloc(bytes + 1);
    memcpy(copy, data, bytes);
    size_t at = 0;
    bool going = true;
    while (going && at < bytes) {
        uint32_t used = 0;
        enum cw_http_event event =
            cw_http_feed(http, &context, copy + at, (uint32_t)(bytes - at), &used);
        at += used;
        if (event == CW_HTTP_REQUEST) {
            struct cw_exchange *exchange = cw_http_take(http);
            tell_request(told, exchange);
            cw_pool_give(&pool, exchange);
        } else if (event == CW_HTTP_REFUSED || event == CW_HTTP_FULL) {
            going = false;
            told->refusal = event == CW_HTTP_FULL ? CW_HTTP_MEMORY : http->refusal;
            tell(told, "refused",
                 (struct cw_view){cw_http_refusal_info(told->refusal)->name,
                                  (uint32_t)strlen(cw_http_refusal_info(told->refusal)->name)});
        }
    }
    free(copy);
    return going;
}

static struct told *read_split(const char *data, size_t bytes, size_t split)
{
    struct told *told = calloc(1, sizeof *told);
    struct cw_http http = {.refusal = CW_HTTP_FINE};
    if (feed(&http, told, data, split) && split < bytes) {
        feed(&http, told, data + split, bytes - split);
    }
    cw_http_stop(&http, &pool);
    return told;
}

static struct told *read_bytewise(const char *data, size_t bytes)
{
    struct told *told = calloc(1, sizeof *told);
    struct cw_http http = {.refusal = CW_HTTP_FINE};
    for (size_t i = 0; i < bytes && feed(&http, told, data + i, 1); i++) {
    }
    cw_http_stop(&http, &pool);
    return told;
}

/* ---- the rules ---- */

#define H "Host: a\r\n"

struct rule {
    const char *what;
    const char *text;
    enum cw_http_refusal refusal;
    int requests;
};

static const struct rule rules[] = {
    {"a plain GET", "GET / HTTP/1.1\r\n" H "\r\n", CW_HTTP_FINE, 1},
    {"a GET with a query", "GET /a?b=c HTTP/1.1\r\n" H "\r\n", CW_HTTP_FINE, 1},
    {"a POST with a body", "POST /v1 HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc", CW_HTTP_FINE,
     1},
    {"a POST without a length has no body", "POST /v1 HTTP/1.1\r\n" H "\r\n", CW_HTTP_FINE, 1},
    {"a length of 0", "PUT /v1 HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", CW_HTTP_FINE, 1},
    {"every method",
     "HEAD / HTTP/1.1\r\n" H "\r\nPUT / HTTP/1.1\r\n" H "\r\nDELETE / HTTP/1.1\r\n" H
     "\r\nOPTIONS / HTTP/1.1\r\n" H "\r\n",
     CW_HTTP_FINE, 4},
    {"HTTP/1.0 without a Host", "GET / HTTP/1.0\r\n\r\n", CW_HTTP_FINE, 1},
    {"one empty line first", "\r\nGET / HTTP/1.1\r\n" H "\r\n", CW_HTTP_FINE, 1},
    {"one empty line between", "GET / HTTP/1.1\r\n" H "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n",
     CW_HTTP_FINE, 2},
    {"two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n", CW_HTTP_START, 0},
    {"bytes that are no HTTP", "\x16\x03\x01\x02", CW_HTTP_START, 0},
    {"a blank first", " GET / HTTP/1.1\r\n", CW_HTTP_START, 0},
    /* line ends */
    {"LF alone after the request line", "GET / HTTP/1.1\n" H "\r\n", CW_HTTP_LINE_END, 0},
    {"LF alone after a header", "GET / HTTP/1.1\r\nHost: a\n\r\n", CW_HTTP_LINE_END, 0},
    {"LF alone as the empty line", "GET / HTTP/1.1\r\n" H "\n", CW_HTTP_LINE_END, 0},
    {"CR alone in a value", "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", CW_HTTP_LINE_END, 0},
    {"CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", CW_HTTP_LINE_END, 0},
    {"a header behind a bare CR",
     "POST / HTTP/1.1\r\n" H "x: y\rTransfer-Encoding: chunked\r\n\r\n", CW_HTTP_LINE_END, 0},
    {"an empty header and a bare CR", "GET / HTTP/1.1\r\n" H "x:\r\rContent-Length: 3\r\n\r\n",
     CW_HTTP_LINE_END, 0},
    {"a header folded with a blank", "GET / HTTP/1.1\r\n" H "x: a\r\n b\r\n\r\n", CW_HTTP_FOLDED,
     0},
    {"a header folded with a tab", "GET / HTTP/1.1\r\n" H "x: a\r\n\tb\r\n\r\n", CW_HTTP_FOLDED, 0},
    {"a blank before the first header", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", CW_HTTP_FOLDED, 0},
    /* the request line */
    {"an unknown method", "BREW / HTTP/1.1\r\n" H "\r\n", CW_HTTP_METHOD, 0},
    {"PATCH", "PATCH / HTTP/1.1\r\n" H "\r\n", CW_HTTP_METHOD, 0},
    {"TRACE", "TRACE / HTTP/1.1\r\n" H "\r\n", CW_HTTP_METHOD, 0},
    {"CONNECT", "CONNECT a:1 HTTP/1.1\r\n" H "\r\n", CW_HTTP_METHOD, 0},
    {"a method in lower case", "get / HTTP/1.1\r\n" H "\r\n", CW_HTTP_METHOD, 0},
    {"a method that is no token", "G@T / HTTP/1.1\r\n" H "\r\n", CW_HTTP_REQUEST_LINE, 0},
    {"two blanks", "GET  / HTTP/1.1\r\n" H "\r\n", CW_HTTP_REQUEST_LINE, 0},
    {"two blanks before the version", "GET /  HTTP/1.1\r\n" H "\r\n", CW_HTTP_REQUEST_LINE, 0},
    {"a blank at the end", "GET / HTTP/1.1 \r\n" H "\r\n", CW_HTTP_REQUEST_LINE, 0},
    {"a tab between", "GET\t/ HTTP/1.1\r\n" H "\r\n", CW_HTTP_REQUEST_LINE, 0},
    {"no version", "GET /\r\n" H "\r\n", CW_HTTP_REQUEST_LINE, 0},
    {"a blank in the target", "GET /a b HTTP/1.1\r\n" H "\r\n", CW_HTTP_REQUEST_LINE, 0},
    {"HTTP/2.0", "GET / HTTP/2.0\r\n" H "\r\n", CW_HTTP_VERSION, 0},
    {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", CW_HTTP_VERSION, 0},
    {"HTTP/1.2", "GET / HTTP/1.2\r\n" H "\r\n", CW_HTTP_VERSION, 0},
    {"HTTP/0.9", "GET / HTTP/0.9\r\n" H "\r\n", CW_HTTP_VERSION, 0},
    {"HTTP/1.10", "GET / HTTP/1.10\r\n" H "\r\n", CW_HTTP_REQUEST_LINE, 0},
    {"http/1.1", "GET / http/1.1\r\n" H "\r\n", CW_HTTP_REQUEST_LINE, 0},
    {"HTTP/1,1", "GET / HTTP/1,1\r\n" H "\r\n", CW_HTTP_REQUEST_LINE, 0},
    {"a target that begins with no slash", "GET a HTTP/1.1\r\n" H "\r\n", CW_HTTP_TARGET, 0},
    {"an absolute target", "GET http://a/ HTTP/1.1\r\n" H "\r\n", CW_HTTP_TARGET, 0},
    {"an asterisk", "OPTIONS * HTTP/1.1\r\n" H "\r\n", CW_HTTP_TARGET, 0},
    {"a fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", CW_HTTP_TARGET, 0},
    {"a byte over 127 in the target", "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", CW_HTTP_TARGET, 0},
    {"a DEL in the target", "GET /\x7f HTTP/1.1\r\n" H "\r\n", CW_HTTP_CONTROL, 0},
    /* headers */
    {"a value with blanks round it", "GET / HTTP/1.1\r\nHost: \t a \t\r\n\r\n", CW_HTTP_FINE, 1},
    {"an empty value", "GET / HTTP/1.1\r\n" H "x:\r\n\r\n", CW_HTTP_FINE, 1},
    {"a value of blanks", "GET / HTTP/1.1\r\n" H "x:   \r\n\r\n", CW_HTTP_FINE, 1},
    {"a byte over 127 in a value", "GET / HTTP/1.1\r\n" H "x: \xc3\xa4\r\n\r\n", CW_HTTP_FINE, 1},
    {"0xa0 is kept",
     "GET / HTTP/1.1\r\n" H "x: \xa0"
     "a\xa0\r\n\r\n",
     CW_HTTP_FINE, 1},
    {"a tab in a value", "GET / HTTP/1.1\r\n" H "x: a\tb\r\n\r\n", CW_HTTP_FINE, 1},
    {"a control character in a value", "GET / HTTP/1.1\r\n" H "x: a\x01\r\n\r\n", CW_HTTP_CONTROL,
     0},
    {"a DEL in a value", "GET / HTTP/1.1\r\n" H "x: a\x7f\r\n\r\n", CW_HTTP_CONTROL, 0},
    {"a vertical tab in a value", "GET / HTTP/1.1\r\n" H "x: a\vb\r\n\r\n", CW_HTTP_CONTROL, 0},
    {"a blank before the colon", "GET / HTTP/1.1\r\n" H "x : a\r\n\r\n", CW_HTTP_HEADER, 0},
    {"a tab before the colon", "GET / HTTP/1.1\r\n" H "x\t: a\r\n\r\n", CW_HTTP_HEADER, 0},
    {"a blank in a name", "GET / HTTP/1.1\r\n" H "x y: a\r\n\r\n", CW_HTTP_HEADER, 0},
    {"a name that is no token", "GET / HTTP/1.1\r\n" H "x@y: a\r\n\r\n", CW_HTTP_HEADER, 0},
    {"a byte over 127 in a name", "GET / HTTP/1.1\r\n" H "x\xe4: a\r\n\r\n", CW_HTTP_HEADER, 0},
    {"an empty name", "GET / HTTP/1.1\r\n" H ": a\r\n\r\n", CW_HTTP_HEADER, 0},
    {"no colon", "GET / HTTP/1.1\r\n" H "x\r\n\r\n", CW_HTTP_HEADER, 0},
    /* Host */
    {"no Host", "GET / HTTP/1.1\r\n\r\n", CW_HTTP_HOST, 0},
    {"two Hosts", "GET / HTTP/1.1\r\n" H H "\r\n", CW_HTTP_HOST, 0},
    {"two Hosts, in another case", "GET / HTTP/1.1\r\n" H "HOST: b\r\n\r\n", CW_HTTP_HOST, 0},
    {"a Host with a port", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", CW_HTTP_FINE, 1},
    {"a Host that is a list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", CW_HTTP_HOST, 0},
    {"a Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", CW_HTTP_HOST, 0},
    {"a Host with a user", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", CW_HTTP_HOST, 0},
    /* Content-Length */
    {"18 digits", "POST / HTTP/1.1\r\n" H "Content-Length: 000000000000000003\r\n\r\nabc",
     CW_HTTP_FINE, 1},
    {"19 digits", "POST / HTTP/1.1\r\n" H "Content-Length: 0000000000000000003\r\n\r\nabc",
     CW_HTTP_LENGTH, 0},
    {"a length with a plus", "POST / HTTP/1.1\r\n" H "Content-Length: +3\r\n\r\nabc",
     CW_HTTP_LENGTH, 0},
    {"a length with a minus", "POST / HTTP/1.1\r\n" H "Content-Length: -3\r\n\r\nabc",
     CW_HTTP_LENGTH, 0},
    {"a hexadecimal length", "POST / HTTP/1.1\r\n" H "Content-Length: 0x3\r\n\r\nabc",
     CW_HTTP_LENGTH, 0},
    {"a length with _", "POST / HTTP/1.1\r\n" H "Content-Length: 1_0\r\n\r\nabc", CW_HTTP_LENGTH,
     0},
    {"a length with a fraction", "POST / HTTP/1.1\r\n" H "Content-Length: 3.0\r\n\r\nabc",
     CW_HTTP_LENGTH, 0},
    {"a length with a blank inside", "POST / HTTP/1.1\r\n" H "Content-Length: 3 3\r\n\r\nabc",
     CW_HTTP_LENGTH, 0},
    {"an empty length", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", CW_HTTP_LENGTH, 0},
    {"a list of lengths", "POST / HTTP/1.1\r\n" H "Content-Length: 3, 3\r\n\r\nabc", CW_HTTP_LENGTH,
     0},
    {"the same length twice",
     "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", CW_HTTP_FRAMING,
     0},
    {"two lengths", "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
     CW_HTTP_FRAMING, 0},
    {"a length over the limit", "POST / HTTP/1.1\r\n" H "Content-Length: 1048577\r\n\r\n",
     CW_HTTP_BODY_LARGE, 0},
    {"a length of 18 nines", "POST / HTTP/1.1\r\n" H "Content-Length: 999999999999999999\r\n\r\n",
     CW_HTTP_BODY_LARGE, 0},
    /* Transfer-Encoding */
    {"a chunked body",
     "POST / HTTP/1.1\r\n" H
     "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0a\r\n0123456789\r\n0\r\n\r\n",
     CW_HTTP_FINE, 1},
    {"chunked and a length",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
     CW_HTTP_FRAMING, 0},
    {"a length and chunked",
     "POST / HTTP/1.1\r\n" H "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     CW_HTTP_FRAMING, 0},
    {"chunked twice",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     CW_HTTP_FRAMING, 0},
    {"chunked in HTTP/1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     CW_HTTP_FRAMING, 0},
    {"another coding", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n", CW_HTTP_CODING,
     0},
    {"gzip, chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n",
     CW_HTTP_CODING, 0},
    {"chunked, identity", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n",
     CW_HTTP_FRAMING, 0},
    {"xchunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", CW_HTTP_CODING, 0},
    {"Chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n",
     CW_HTTP_CODING, 0},
    {"chunked behind a vertical tab",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \vchunked\r\n\r\n", CW_HTTP_CONTROL, 0},
    {"an empty coding", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n", CW_HTTP_CODING, 0},
#define CHUNKED "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
    {"8 digits of a chunk", CHUNKED "00000003\r\nabc\r\n0\r\n\r\n", CW_HTTP_FINE, 1},
    {"9 digits of a chunk", CHUNKED "000000003\r\nabc\r\n0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"a chunk without a size", CHUNKED "\r\nabc\r\n0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"a size with 0x", CHUNKED "0x3\r\nabc\r\n0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"a size with a plus", CHUNKED "+3\r\nabc\r\n0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"a blank before a size", CHUNKED " 3\r\nabc\r\n0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"a blank after a size", CHUNKED "3 \r\nabc\r\n0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"a blank before an extension", CHUNKED "3 ;a\r\nabc\r\n0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"LF alone after a size", CHUNKED "3\nabc\r\n0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"CR without LF after a size", CHUNKED "3\rabc\r\n0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"a chunk longer than its size", CHUNKED "3\r\nabcd\r\n0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"LF alone after a chunk", CHUNKED "3\r\nabc\n0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"CR and another byte after a chunk", CHUNKED "3\r\nabc\rx0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"an extension", CHUNKED "3;a=\"b\"\r\nabc\r\n0;x\r\n\r\n", CW_HTTP_FINE, 1},
    {"an extension with a control character", CHUNKED "3;a\x01\r\nabc\r\n0\r\n\r\n", CW_HTTP_CHUNK,
     0},
    {"an extension with LF alone", CHUNKED "3;a\nabc\r\n0\r\n\r\n", CW_HTTP_CHUNK, 0},
    {"a chunk over the limit", CHUNKED "100001\r\n", CW_HTTP_BODY_LARGE, 0},
    {"a chunk of 4 GiB", CHUNKED "ffffffff\r\n", CW_HTTP_BODY_LARGE, 0},
    {"trailers are dropped", CHUNKED "3\r\nabc\r\n0\r\nHost: b\r\nx: y\r\n\r\n", CW_HTTP_FINE, 1},
    {"a trailer that is none", CHUNKED "0\r\nx\r\n\r\n", CW_HTTP_TRAILER, 0},
    {"a folded trailer", CHUNKED "0\r\nx: y\r\n z\r\n\r\n", CW_HTTP_TRAILER, 0},
    {"LF alone in trailers", CHUNKED "0\r\nx: y\n\r\n", CW_HTTP_TRAILER, 0},
    {"LF alone at the end", CHUNKED "0\r\n\n", CW_HTTP_TRAILER, 0},
    {"CR and another byte at the end", CHUNKED "0\r\n\rG", CW_HTTP_TRAILER, 0},
    /* connections */
    {"Expect", "POST / HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\na",
     CW_HTTP_FINE, 1},
    {"another expectation", "POST / HTTP/1.1\r\n" H "Expect: much\r\n\r\n", CW_HTTP_EXPECT, 0},
    {"an expectation in HTTP/1.0", "POST / HTTP/1.0\r\n" H "Expect: much\r\n\r\n", CW_HTTP_FINE, 1},
    {"a wish for HTTP/2 is passed over",
     "GET / HTTP/1.1\r\n" H
     "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: A\r\n\r\n",
     CW_HTTP_FINE, 1},
    {"requests in line",
     "GET /1 HTTP/1.1\r\n" H "\r\nPOST /2 HTTP/1.1\r\n" H
     "Content-Length: 2\r\n\r\nxyGET /3 HTTP/1.1\r\n" H "\r\n" CHUNKED
     "1\r\na\r\n0\r\n\r\nGET /5 HTTP/1.1\r\n" H "\r\n",
     CW_HTTP_FINE, 5},
    {"a good one, then a bad one", "GET / HTTP/1.1\r\n" H "\r\nGET / HTTP/1.1\r\n\r\n",
     CW_HTTP_HOST, 1},
};

Test(http, every_rule_holds_however_the_bytes_are_split)
{
    for (size_t i = 0; i < CW_COUNTOF(rules); i++) {
        const struct rule *rule = &rules[i];
        size_t bytes = strlen(rule->text);
        struct told *whole = read_split(rule->text, bytes, bytes);
        cr_expect(whole->refusal == rule->refusal, "%s: refused for %s, expected %s", rule->what,
                  cw_http_refusal_info(whole->refusal)->name,
                  cw_http_refusal_info(rule->refusal)->name);
        cr_expect(whole->requests == rule->requests, "%s: %d requests, expected %d", rule->what,
                  whole->requests, rule->requests);
        for (size_t split = 0; split < bytes; split++) {
            struct told *again = read_split(rule->text, bytes, split);
            cr_expect(strcmp(again->text, whole->text) == 0, "%s, split at %zu:\n%s\nnot\n%s",
                      rule->what, split, again->text, whole->text);
            free(again);
        }
        struct told *bytewise = read_bytewise(rule->text, bytes);
        cr_expect(strcmp(bytewise->text, whole->text) == 0, "%s, byte by byte", rule->what);
        free(bytewise);
        free(whole);
    }
}

Test(http, a_nul_is_refused_wherever_it_stands)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\nx: y\r\n\r\n";
    for (size_t i = 0; i + 4 < sizeof text; i++) {
        char copy[sizeof text];
        memcpy(copy, text, sizeof text);
        copy[i] = '\0';
        struct told *told = read_split(copy, sizeof text - 1, sizeof text - 1);
        cr_expect(told->requests == 0 && told->refusal != CW_HTTP_FINE, "a NUL at %zu", i);
        free(told);
    }
}

Test(http, no_byte_of_a_head_may_be_changed_into_a_second_request)
{
    /* Whatever one byte becomes, at most the two requests that are there are read. */
    static const char text[] = "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 31\r\n\r\n"
                               "GET /evil HTTP/1.1\r\nHost: a\r\n\r\n";
    for (size_t i = 0; i < 48; i++) {
        for (int c = 0; c < 256; c++) {
            char copy[sizeof text];
            memcpy(copy, text, sizeof text);
            copy[i] = (char)c;
            struct told *told = read_split(copy, sizeof text - 1, sizeof text - 1);
            bool evil = strstr(told->text, "path[5]=/evil") != NULL;
            bool named_otherwise = i >= 27 && i < 48; /* the length is another one, or unknown */
            cr_expect(named_otherwise || !evil, "byte %zu as %d", i, c);
            free(told);
        }
    }
}

/* ---- sizes ---- */

static char *repeat(const char *before, char c, size_t count, const char *after)
{
    size_t bytes = strlen(before) + count + strlen(after) + 1;
    char *text = malloc(bytes);
    memcpy(text, before, strlen(before));
    memset(text + strlen(before), c, count);
    memcpy(text + strlen(before) + count, after, strlen(after) + 1);
    return text;
}

static enum cw_http_refusal refusal_of(char *text)
{
    size_t bytes = strlen(text);
    struct told *told = read_split(text, bytes, bytes);
    struct told *again = read_bytewise(text, bytes);
    enum cw_http_refusal refusal = told->refusal;
    cr_expect(eq(int, refusal, again->refusal));
    cr_expect(eq(int, told->requests, refusal == CW_HTTP_FINE));
    cr_expect(eq(int, again->requests, told->requests));
    free(told);
    free(again);
    free(text);
    return refusal;
}

Test(http, limits_are_met_exactly)
{
    static const char end[] = " HTTP/1.1\r\nHost: a\r\n\r\n";
    cr_expect(eq(int, refusal_of(repeat("GET /", 'a', 4095, end)), CW_HTTP_FINE));
    cr_expect(eq(int, refusal_of(repeat("GET /", 'a', 4096, end)), CW_HTTP_TARGET_LONG));
    cr_expect(eq(int, refusal_of(repeat("GET /", 'a', 100000, end)), CW_HTTP_TARGET_LONG));
    static const char head[] = "GET / HTTP/1.1\r\nHost: a\r\nx: ";
    size_t rest = 16384 - (sizeof head - 1) - 4;
    cr_expect(eq(int, refusal_of(repeat(head, 'a', rest, "\r\n\r\n")), CW_HTTP_FINE));
    cr_expect(eq(int, refusal_of(repeat(head, 'a', rest + 1, "\r\n\r\n")), CW_HTTP_HEADERS_LARGE));
    cr_expect(eq(int, refusal_of(repeat(CHUNKED "1;", 'a', 255, "\r\nx\r\n0\r\n\r\n")),
                 CW_HTTP_FINE)); /* with the semicolon's own byte not counted */
    cr_expect(eq(int, refusal_of(repeat(CHUNKED "1;", 'a', 257, "\r\nx\r\n0\r\n\r\n")),
                 CW_HTTP_CHUNK_EXTENSION));
    cr_expect(
        eq(int, refusal_of(repeat(CHUNKED "0\r\nx: ", 'a', 4096 - 7, "\r\n\r\n")), CW_HTTP_FINE));
    cr_expect(
        eq(int, refusal_of(repeat(CHUNKED "0\r\nx: ", 'a', 5000, "\r\n\r\n")), CW_HTTP_TRAILER));
}

Test(http, takes_as_many_headers_as_allowed)
{
    for (int count = 63; count <= 65; count++) {
        char text[4096];
        int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (int i = 1; i < count; i++) {
            n += snprintf(text + n, sizeof text - (size_t)n, "x: y\r\n");
        }
        snprintf(text + n, sizeof text - (size_t)n, "\r\n");
        cr_expect(
            eq(int, refusal_of(strdup(text)), count <= 64 ? CW_HTTP_FINE : CW_HTTP_HEADERS_MANY));
    }
}

Test(http, extensions_may_not_hide_behind_many_chunks)
{
    struct cw_http http = {.refusal = CW_HTTP_FINE};
    struct told *told = calloc(1, sizeof *told);
    feed(&http, told, CHUNKED, sizeof CHUNKED - 1);
    char *chunk = repeat("1;", 'a', 200, "\r\nx\r\n");
    int fed = 0;
    while (feed(&http, told, chunk, strlen(chunk))) {
        fed++;
    }
    cr_expect(eq(int, told->refusal, CW_HTTP_CHUNK_EXTENSION));
    cr_expect(le(int, fed, 21));
    cw_http_stop(&http, &pool);
    free(chunk);
    free(told);
}

Test(http, bodies_are_whole_and_padded_at_every_size)
{
    for (size_t bytes = 0; bytes < 70000; bytes = bytes < 2000 ? bytes + 61 : bytes * 3 / 2) {
        char before[100];
        snprintf(before, sizeof before, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n",
                 bytes);
        char *text = repeat(before, 'b', bytes, "");
        struct told *told = read_split(text, strlen(text), strlen(text) / 2);
        char expected[40];
        snprintf(expected, sizeof expected, "body[%zu]=", bytes);
        cr_expect(strstr(told->text, expected) != NULL, "%zu bytes", bytes);
        free(told);
        free(text);
    }
}

Test(http, what_is_read_is_what_was_sent)
{
    static const char text[] = "POST /a/b?c=d&e HTTP/1.1\r\nHOST: h:1\r\nX-Amz-Target: T\r\n"
                               "Empty:\r\nSpaced:  \t v w \t \r\nConnection: x , CLOSE\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n"
                               "5\r\nhello\r\n1;x=y\r\n \r\nA\r\nwide world\r\n0\r\nT: t\r\n\r\n";
    struct told *told = read_split(text, sizeof text - 1, 20);
    cr_expect(eq(str, told->text,
                 "request[44]=method 2 head 0 1.0 0 keep 0 aws 0 expects 0\n"
                 "path[4]=/a/b\nquery[5]=c=d&e\n"
                 "name[4]=host\nvalue[3]=h:1\nname[12]=x-amz-target\nvalue[1]=T\n"
                 "name[5]=empty\nvalue[0]=\nname[6]=spaced\nvalue[3]=v w\n"
                 "name[10]=connection\nvalue[9]=x , CLOSE\n"
                 "name[17]=transfer-encoding\nvalue[7]=chunked\n"
                 "body[16]=hello wide world\n"));
    free(told);
}

/* ---- properties ---- */

/* Sequences of requests, many with a byte changed, in random pieces: as in one piece. */
Test(http, random_pieces_read_like_one)
{
    uint64_t seed = 20261122;
    for (int round = 0; round < 4000; round++) {
        char text[8192];
        size_t bytes = 0;
        for (uint32_t i = random_below(&seed, 4) + 1; i > 0; i--) {
            const char *part = rules[random_below(&seed, CW_COUNTOF(rules))].text;
            if (bytes + strlen(part) < sizeof text) {
                memcpy(text + bytes, part, strlen(part));
                bytes += strlen(part);
            }
        }
        for (uint32_t i = random_below(&seed, 3); i > 0 && bytes > 0; i--) {
            text[random_below(&seed, (uint32_t)bytes)] = (char)random_below(&seed, 256);
        }
        struct told *whole = read_split(text, bytes, bytes);
        struct told *pieces = calloc(1, sizeof *pieces);
        struct cw_http http = {.refusal = CW_HTTP_FINE};
        for (size_t at = 0; at < bytes;) {
            size_t step = random_below(&seed, 40) + 1u;
            step = step < bytes - at ? step : bytes - at;
            if (!feed(&http, pieces, text + at, step)) {
                break;
            }
            at += step;
        }
        cw_http_stop(&http, &pool);
        cr_assert(strcmp(whole->text, pieces->text) == 0, "round %d", round);
        free(whole);
        free(pieces);
    }
}

/* ---- memory ---- */

Test(http, without_memory_a_body_is_told_and_skipped)
{
    context.body_reserve = POOL_BYTES - 4096; /* only the smallest blocks */
    struct cw_http http = {.refusal = CW_HTTP_FINE};
    char *text =
        repeat("POST / HTTP/1.1\r\nHost: a\r\nX-Amz-Target: t\r\nContent-Length: 100000\r\n\r\n",
               'b', 100000, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    size_t bytes = strlen(text);
    uint32_t used = 0;
    size_t at = 0;
    cr_assert(eq(int, cw_http_feed(&http, &context, text, (uint32_t)bytes, &used), CW_HTTP_HEAD));
    at += used;
    cr_assert(eq(int, cw_http_feed(&http, &context, text + at, (uint32_t)(bytes - at), &used),
                 CW_HTTP_FULL));
    at += used;
    struct cw_exchange *exchange = cw_http_take(&http);
    cr_expect(exchange->put_events, "the dialect of the caller is known");
    cw_pool_give(&pool, exchange);
    cr_assert(eq(int, cw_http_feed(&http, &context, text + at, (uint32_t)(bytes - at), &used),
                 CW_HTTP_REQUEST));
    exchange = cw_http_take(&http);
    cr_expect(cw_view_equal(exchange->request.path, CW_VIEW("/next")));
    cw_pool_give(&pool, exchange);
    free(text);
}

/* ---- answers ---- */

static void expect_written(const struct cw_http_dress *dress, const struct cw_answer *answer,
                           const char *expected)
{
    struct cw_chain chain = {.bytes = 0};
    uint64_t dropped = 0;
    cr_assert(cw_http_write(&chain, &pool, dress, answer, &dropped));
    struct cw_view front = cw_chain_front(&chain);
    char text[2048];
    snprintf(text, sizeof text, "%.*s", (int)front.bytes, front.data);
    cr_expect(eq(str, text, (char *)expected));
    cw_chain_clear(&chain, &pool);
}

#define DATE "Thu, 01 Jan 1970 00:00:00 GMT"

Test(http, answers_are_dressed_for_their_caller)
{
    struct cw_http_dress dress = {.keep_alive = true, .date = DATE, .extra = ""};
    struct cw_answer answer = {.status = 200, .type = CW_VIEW("text/plain"), .body = CW_VIEW("hi")};
    expect_written(&dress, &answer,
                   "HTTP/1.1 200 OK\r\nDate: " DATE
                   "\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nhi");
    dress.head = true;
    dress.version_1_0 = true;
    expect_written(&dress, &answer,
                   "HTTP/1.1 200 OK\r\nDate: " DATE "\r\nContent-Type: text/plain\r\n"
                   "Content-Length: 2\r\nConnection: keep-alive\r\n\r\n");
    dress = (struct cw_http_dress){.keep_alive = false, .date = DATE, .extra = "A: b\r\n"};
    answer = (struct cw_answer){.status = 204};
    expect_written(&dress, &answer,
                   "HTTP/1.1 204 No Content\r\nDate: " DATE
                   "\r\nConnection: close\r\nA: b\r\n\r\n");
    struct cw_header headers[] = {{CW_VIEW("Location"), CW_VIEW("/a")},
                                  {CW_VIEW("X"), CW_VIEW("a\r\nSet-Cookie: b")},
                                  {CW_VIEW("Y:"), CW_VIEW("b")}};
    answer = (struct cw_answer){.status = 302, .headers = headers, .header_count = 3};
    dress.extra = "";
    expect_written(&dress, &answer,
                   "HTTP/1.1 302 Found\r\nDate: " DATE "\r\nContent-Length: 0\r\n"
                   "Connection: close\r\nLocation: /a\r\n\r\n");
}

Test(http, dates_are_those_of_rfc_9110)
{
    char date[CW_HTTP_DATE_BYTES + 1] = "";
    cw_http_date(784111777000, date);
    cr_expect(eq(str, date, "Sun, 06 Nov 1994 08:49:37 GMT"));
}

Test(http, a_large_answer_is_written_whole_or_not_at_all)
{
    static char body[300000];
    memset(body, 'x', sizeof body);
    struct cw_http_dress dress = {.keep_alive = true, .date = DATE, .extra = ""};
    struct cw_answer answer = {
        .status = 200, .type = CW_VIEW("text/plain"), .body = {body, sizeof body}};
    struct cw_chain chain = {.bytes = 0};
    uint64_t dropped = 0;
    cr_assert(cw_chain_put(&chain, &pool, "before", 6, 0));
    cr_assert(cw_http_write(&chain, &pool, &dress, &answer, &dropped));
    cr_expect(gt(u64, chain.bytes, sizeof body));
    cw_chain_clear(&chain, &pool);
    void *blocks[4];
    for (int i = 0; i < 4; i++) {
        blocks[i] = cw_pool_take(&pool, i < 3 ? 1 << 21 : (1 << 21) - (1 << 20), 0);
        cr_assert(ne(ptr, blocks[i], NULL));
    }
    cw_pool_give(&pool, blocks[3]);
    blocks[3] = cw_pool_take(&pool, 1 << 20, 0);
    void *more = cw_pool_take(&pool, 1 << 19, 0);
    void *less = cw_pool_take(&pool, 1 << 18, 0); /* leaves 256 KiB */
    cr_assert(cw_chain_put(&chain, &pool, "before", 6, 0));
    cr_expect(not(cw_http_write(&chain, &pool, &dress, &answer, &dropped)));
    cr_expect(eq(u64, chain.bytes, 6));
    cw_chain_clear(&chain, &pool);
    cw_pool_give(&pool, more);
    cw_pool_give(&pool, less);
    for (int i = 0; i < 4; i++) {
        cw_pool_give(&pool, blocks[i]);
    }
}
