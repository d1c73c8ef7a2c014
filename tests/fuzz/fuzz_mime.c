/* Any bytes in every field of an e-mail, fields apart at 0xFE: it is refused with a reason, or it
   is one message that SMTP can carry, with the headers it must have and no other. */
#include "io/clean.h"
#include "io/mime.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cw_view field(const char **at, const char *end)
{
    const char *begin = *at;
    const char *stop = begin == end ? NULL : memchr(begin, 0xFE, (size_t)(end - begin));
    *at = stop == NULL ? end : stop + 1;
    return (struct cw_view){begin, (uint32_t)((stop == NULL ? end : stop) - begin)};
}

static bool begins(const char *line, const char *end, const char *with)
{
    size_t bytes = strlen(with);
    return (size_t)(end - line) >= bytes && memcmp(line, with, bytes) == 0;
}

static void check_headers(const struct cw_text *out, bool unsubscribe)
{
    static const char *const names[] = {"Date: ",
                                        "From: ",
                                        "To: ",
                                        "Subject: ",
                                        "Message-ID: ",
                                        "MIME-Version: 1.0\r",
                                        "Content-Type: ",
                                        "List-Unsubscribe: <http",
                                        "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r"};

    enum {
        UNSUBSCRIBE = 7 /* from here on */
    };

    uint32_t seen[CW_COUNTOF(names)] = {0};
    const char *end = out->data + out->bytes;
    for (const char *line = out->data; *line != '\r';) {
        bool known = *line == ' ';
        for (size_t i = 0; i < CW_COUNTOF(names); i++) {
            seen[i] += begins(line, end, names[i]);
            known = known || begins(line, end, names[i]);
        }
        CW_ASSERT(known);
        line = (const char *)memchr(line, '\n', (size_t)(end - line)) + 1;
    }
    for (size_t i = 0; i < CW_COUNTOF(names); i++) {
        CW_ASSERT(seen[i] == (i < UNSUBSCRIBE || unsubscribe ? 1u : 0u));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cw_mime mime;
    static struct cw_text out;
    const char *at = (const char *)data;
    const char *end = at + size;
    struct cw_post post = {.now_ms = 1768754700123};
    memset(post.key, 'k', sizeof post.key);
    mime.from = CW_VIEW("shop@example.com");
    mime.host = CW_VIEW("shop.example");
    if (size > 65536) {
        return 0;
    }
    post.to = field(&at, end);
    post.from = field(&at, end);
    post.subject = field(&at, end);
    post.text = field(&at, end);
    post.html = field(&at, end);
    post.unsubscribe = at == end ? (struct cw_view){NULL, 0} : field(&at, end);
    cw_text_clear(&out);
    if (!cw_mime_write(&mime, &post, &out)) {
        CW_ASSERT(out.bytes == 0 && mime.reason[0] != '\0');
        return 0;
    }
    CW_ASSERT(strlen(mime.rcpt_to) == post.to.bytes);
    CW_ASSERT(cw_mime_sound((struct cw_view){out.data, (uint32_t)out.bytes}));
    CW_ASSERT(strpbrk(mime.rcpt_to, "\r\n <>,") == NULL);
    CW_ASSERT(strpbrk(mime.mail_from, "\r\n <>,") == NULL);
    /* Multipart ends its headers with those of no part; a single part has one more. */
    check_headers(&out, post.unsubscribe.data != NULL);
    return 0;
}
