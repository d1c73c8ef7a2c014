#include "io/mime.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct cw_post a_post(void)
{
    struct cw_post post = {.to = CW_VIEW("ada@example.com"),
                           .subject = CW_VIEW("Your cart"),
                           .text = CW_VIEW("hello\n"),
                           .html = CW_VIEW("<p>hello</p>\n"),
                           .now_ms = 1768754700123};
    memset(post.key, 'k', sizeof post.key);
    return post;
}

static struct cw_mime a_mime(void)
{
    return (struct cw_mime){.from = CW_VIEW("Shop <shop@example.com>"),
                            .host = CW_VIEW("shop.example")};
}

static bool write(struct cw_mime *mime, const struct cw_post *post, struct cw_text *out)
{
    cw_text_clear(out);
    return cw_mime_write(mime, post, out);
}

/* How often a line begins like that in the headers of a message; continuations are not lines. */
static uint32_t count(const struct cw_text *out, const char *begin)
{
    const char *end = strstr(cw_text_terminate((struct cw_text *)out), "\r\n\r\n");
    cr_assert(ne(ptr, (void *)end, NULL));
    uint32_t found = 0;
    for (const char *line = out->data; line < end; line = strstr(line, "\r\n") + 2) {
        found += strncmp(line, begin, strlen(begin)) == 0;
    }
    return found;
}

static void check_message(const struct cw_text *out)
{
    static const char *const once[] = {"Date: ",        "From: ",       "To: ada@example.com\r",
                                       "Subject: ",     "Message-ID: ", "MIME-Version: 1.0\r",
                                       "Content-Type: "};
    cr_assert(cw_mime_sound((struct cw_view){out->data, (uint32_t)out->bytes}));
    uint32_t lines = count(out, "");
    uint32_t known = count(out, " ");
    for (size_t i = 0; i < CW_COUNTOF(once); i++) {
        cr_assert(eq(u32, count(out, once[i]), 1), "%s in %s", once[i], out->data);
        known++;
    }
    known += count(out, "Content-Transfer-Encoding: ");
    cr_assert(eq(u32, known, lines), "another header in %s", out->data);
}

Test(mime, writes_exactly_this)
{
    static const char wanted[] =
        "Date: Sun, 18 Jan 2026 16:45:00 +0000\r\n"
        "From: Shop <shop@example.com>\r\n"
        "To: ada@example.com\r\n"
        "Subject: Your cart\r\n"
        "Message-ID: <kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk@shop.example>\r\n"
        "MIME-Version: 1.0\r\n"
        "List-Unsubscribe: <https://shop.example/u/1>\r\n"
        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
        "Content-Type: multipart/alternative;\r\n"
        " boundary=\"=_kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\"\r\n"
        "\r\n"
        "--=_kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\r\n"
        "Content-Type: text/plain; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        "a =3D b=20\r\n"
        "=2E\r\n"
        "=46rom c=C3=A4=00d, and so on in plain words\r\n"
        "--=_kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk\r\n"
        "Content-Type: text/html; charset=utf-8\r\n"
        "Content-Transfer-Encoding: quoted-printable\r\n"
        "\r\n"
        "<p>hello</p>\r\n"
        "--=_kkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkkk--\r\n";
    struct cw_mime mime = a_mime();
    struct cw_text out = {0};
    struct cw_post post = a_post();
    post.text = CW_VIEW("a = b \r.\nFrom c\xC3\xA4\0d, and so on in plain words");
    post.unsubscribe = CW_VIEW("https://shop.example/u/1");
    cr_assert(write(&mime, &post, &out));
    cr_assert(eq(str, (char *)cw_text_terminate(&out), (char *)wanted));
    cr_assert(eq(str, mime.mail_from, "shop@example.com"));
    cr_assert(eq(str, mime.rcpt_to, "ada@example.com"));
    cw_text_deinit(&out);
    cw_mime_deinit(&mime);
}

Test(mime, folds_subjects_at_blanks_and_words_elsewhere)
{
    static const struct {
        const char *subject, *wanted;
    } rows[] = {{"plain", "Subject: plain\r\n"},
                {"", "Subject: \r\n"},
                {"seventy six columns with the name of the header are just what one line may",
                 "Subject: seventy six columns with the name of the header are just what one\r\n"
                 " line may\r\n"},
                {"looks =?like?= one", "Subject: =?UTF-8?B?bG9va3MgPT9saWtlPz0gb25l?=\r\n"},
                {"two  blanks", "Subject: =?UTF-8?Q?two__blanks?=\r\n"},
                {"\xC3\xA4", "Subject: =?UTF-8?B?w6Q=?=\r\n"},
                {"10 % \xE2\x82\xAC", "Subject: =?UTF-8?B?MTAgJSDigqw=?=\r\n"},
                {"a\r\nBcc: b@c.d", "Subject: =?UTF-8?Q?a__Bcc=3A_b=40c=2Ed?=\r\n"}};
    struct cw_mime mime = a_mime();
    struct cw_text out = {0};
    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        struct cw_post post = a_post();
        post.subject = (struct cw_view){rows[i].subject, (uint32_t)strlen(rows[i].subject)};
        cr_assert(write(&mime, &post, &out));
        const char *at = strstr(cw_text_terminate(&out), "Subject: ");
        cr_assert(eq(int, strncmp(at, rows[i].wanted, strlen(rows[i].wanted)), 0), "%s", at);
        check_message(&out);
    }
    cw_text_deinit(&out);
    cw_mime_deinit(&mime);
}

/* Random bytes, some of them line ends, dots and encoded words, in every field that is not
   checked: one message with its headers, always. */
Test(mime, stays_one_message_whatever_is_in_it)
{
    static const char *const pieces[] = {"\r\n",
                                         "\n",
                                         "\r",
                                         "\0",
                                         ".",
                                         "=",
                                         "=?",
                                         "From ",
                                         " ",
                                         "\t",
                                         "\xC3\xA4",
                                         "\xFF",
                                         "abc",
                                         "\r\n.\r\n",
                                         "\r\nBcc: x@y.z\r\n",
                                         "\xF0\x9F\x8E\x89",
                                         "\xE2\x80\xA8"};
    struct cw_mime mime = a_mime();
    struct cw_text out = {0};
    struct cw_text fields[3] = {{0}, {0}, {0}};
    uint64_t state = 42;
    for (uint32_t i = 0; i < 3000; i++) {
        struct cw_post post = a_post();
        for (uint32_t f = 0; f < 3; f++) {
            cw_text_clear(&fields[f]);
            (void)cw_text_room(&fields[f], 1);
            for (uint32_t n = random_below(&state, 60); n > 0; n--) {
                const char *piece = pieces[random_below(&state, CW_COUNTOF(pieces))];
                cw_text_put(&fields[f], piece, *piece == '\0' ? 1 : strlen(piece));
            }
        }
        post.subject = (struct cw_view){fields[0].data, (uint32_t)fields[0].bytes};
        post.text = (struct cw_view){fields[1].data, (uint32_t)fields[1].bytes};
        post.html = (struct cw_view){fields[2].data, (uint32_t)fields[2].bytes};
        cr_assert(write(&mime, &post, &out));
        check_message(&out);
    }
    for (uint32_t f = 0; f < 3; f++) {
        cw_text_deinit(&fields[f]);
    }
    cw_text_deinit(&out);
    cw_mime_deinit(&mime);
}

Test(mime, refuses_what_cannot_be_sent_and_says_why)
{
    struct cw_mime mime = a_mime();
    struct cw_text out = {0};
    struct cw_post post = a_post();
    post.to = CW_VIEW("ada@example.com\r\nRCPT TO:<victim@example.net>");
    cr_assert(not(write(&mime, &post, &out)));
    cr_assert(eq(str, mime.reason, "the customer's address: it holds a control character"));
    post = a_post();
    post.from = CW_VIEW("x\ny <a@b.c>");
    cr_assert(not(write(&mime, &post, &out)));
    post = a_post();
    post.unsubscribe = CW_VIEW("https://a>\r\nBcc: x@y.z");
    cr_assert(not(write(&mime, &post, &out)));
    post = a_post();
    post.key[3] = '\r';
    cr_assert(not(write(&mime, &post, &out)));
    mime.from = (struct cw_view){NULL, 0};
    post = a_post();
    cr_assert(not(write(&mime, &post, &out)));
    cr_assert(eq(str, mime.reason, "the sender's address: it is empty"));
    cr_assert(eq(sz, out.bytes, 0));
    cw_text_deinit(&out);
    cw_mime_deinit(&mime);
}

Test(mime, knows_bytes_that_are_no_message)
{
    static const struct cw_view bad[] = {
        CW_VIEW(""),         CW_VIEW("a"),          CW_VIEW("a\n"),    CW_VIEW("a\r"),
        CW_VIEW("a\rb\r\n"), CW_VIEW("a\r\n.\r\n"), CW_VIEW(".a\r\n"), CW_VIEW("a\0b\r\n"),
        CW_VIEW("\xC3\r\n"), CW_VIEW("a\r\nb"),     CW_VIEW("\n"),     CW_VIEW("a\r\r\n")};
    for (size_t i = 0; i < CW_COUNTOF(bad); i++) {
        cr_assert(not(cw_mime_sound(bad[i])), "%zu", i);
    }
    cr_assert(cw_mime_sound(CW_VIEW("a\r\n")));
    cr_assert(cw_mime_sound(CW_VIEW("\r\na.\r\n\r\n")));
    char line[1001];
    memset(line, 'x', sizeof line);
    memcpy(line + 998, "\r\n", 2);
    cr_assert(cw_mime_sound((struct cw_view){line, 1000}));
    memcpy(line + 998, "x\r\n", 3);
    cr_assert(not(cw_mime_sound((struct cw_view){line, 1001})));
}
