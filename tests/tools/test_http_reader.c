#include "tests/core/random.h"
#include "tools/http_reader.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct cw_http_reader reader;

static void deinit(void)
{
    cw_http_reader_deinit(&reader);
}

TestSuite(http_reader, .fini = deinit);

static const struct answer {
    const char *text, *body;
    uint16_t status;
    bool close;
} answers[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", 200, false},
    {"HTTP/1.1 200 OK\r\nCONTENT-LENGTH:5\r\nConnection: close\r\n\r\nhello", "hello", 200, true},
    {"HTTP/1.1 204 No Content\r\n\r\n", "", 204, false},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "", 304, false},
    {"HTTP/1.1 429\r\nRetry-After: 1\r\ncontent-length: 0\r\n\r\n", "", 429, false},
    {"HTTP/1.0 503 x\r\nContent-Length: 1\r\n\r\n\n", "\n", 503, true},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n"
     "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx",
     "x", 200, false},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n00a;x=y\r\n0123456789\r\n"
     "0\r\nTrailer: 1\r\n\r\n",
     "abc0123456789", 200, false},
    {"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n", "", 200, false},
};

static void expect(const struct answer *answer, const char *how)
{
    cr_expect(eq(int, reader.status, answer->status), "%s: %s", how, answer->text);
    cr_expect(eq(int, reader.close, answer->close), "%s: %s", how, answer->text);
    cr_expect(eq(str, (char *)(uintptr_t)cw_text_terminate(&reader.body),
                 (char *)(uintptr_t)answer->body));
}

Test(http_reader, reads_answers_however_they_are_cut)
{
    uint64_t seed = 3;
    for (uint32_t i = 0; i < CW_COUNTOF(answers); i++) {
        size_t bytes = strlen(answers[i].text);
        for (uint32_t round = 0; round < 200; round++) {
            uint32_t piece = round < 40 ? round + 1 : 1 + random_below(&seed, 60);
            size_t at = 0;
            size_t used = 0;
            enum cw_http_read got = CW_HTTP_MORE;
            while (got == CW_HTTP_MORE && at < bytes) {
                size_t next = bytes - at < piece ? bytes - at : piece;
                got = cw_http_read(&reader, answers[i].text + at, next, &used);
                cr_assert(le(u64, used, next));
                at += used;
            }
            cr_assert(eq(int, got, CW_HTTP_DONE), "%s", answers[i].text);
            cr_assert(eq(u64, at, bytes));
            expect(&answers[i], "cut");
            cw_http_reader_next(&reader);
        }
    }
}

Test(http_reader, leaves_what_follows_an_answer)
{
    struct cw_text all = {0};
    for (uint32_t i = 0; i < CW_COUNTOF(answers); i++) {
        cw_text_puts(&all, answers[i].text);
    }
    size_t at = 0;
    for (uint32_t i = 0; i < CW_COUNTOF(answers); i++) {
        size_t used = 0;
        cr_assert(
            eq(int, cw_http_read(&reader, all.data + at, all.bytes - at, &used), CW_HTTP_DONE));
        at += used;
        expect(&answers[i], "together");
        cw_http_reader_next(&reader);
    }
    cr_assert(eq(u64, at, all.bytes));
    cw_text_deinit(&all);
}

Test(http_reader, takes_the_end_of_the_connection_for_the_end_of_a_body_without_length)
{
    static const char text[] = "HTTP/1.1 200 OK\r\nServer: old\r\n\r\nall of this";
    size_t used = 0;
    cr_assert(eq(int, cw_http_read_end(&reader), CW_HTTP_BAD));
    cr_assert(eq(int, cw_http_read(&reader, text, sizeof text - 1, &used), CW_HTTP_MORE));
    cr_assert(eq(u64, used, sizeof text - 1));
    cr_assert(eq(int, cw_http_read_end(&reader), CW_HTTP_DONE));
    cr_assert(eq(str, (char *)(uintptr_t)cw_text_terminate(&reader.body), "all of this"));
    cr_assert(reader.close);
    cw_http_reader_next(&reader);
    cr_assert(eq(int,
                 cw_http_read(&reader, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", 39, &used),
                 CW_HTTP_MORE));
    cr_assert(eq(int, cw_http_read_end(&reader), CW_HTTP_BAD));
}

Test(http_reader, refuses_what_is_no_answer)
{
    static const char *const wrong[] = {
        "\r\n\r\n",
        "HTTP/2 200 OK\r\n\r\n",
        "HTTP/1.1 20 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 099 OK\r\n\r\n",
        "HTTP/1.12200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\n: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
    };
    for (uint32_t i = 0; i < CW_COUNTOF(wrong); i++) {
        size_t used = 0;
        cr_expect(eq(int, cw_http_read(&reader, wrong[i], strlen(wrong[i]), &used), CW_HTTP_BAD),
                  "%s", wrong[i]);
        cw_http_reader_next(&reader);
    }
    static char long_head[CW_HTTP_HEAD_MAX + 100] = "HTTP/1.1 200 OK\r\nX: ";
    memset(long_head + 20, 'x', sizeof long_head - 20);
    size_t used = 0;
    cr_expect(eq(int, cw_http_read(&reader, long_head, sizeof long_head, &used), CW_HTTP_BAD));
}
