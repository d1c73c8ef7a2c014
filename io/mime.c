#include "io/mime.h"

#include "core/format.h"
#include "core/time.h"
#include "io/clean.h"
#include "io/mime_priv.h"

enum {
    WIRE_LINE_MAX = 998 /* RFC 5322 section 2.1.1 */
};

void cw_mime_deinit(struct cw_mime *mime)
{
    cw_text_deinit(&mime->text);
    cw_text_deinit(&mime->encoded);
}

bool cw_mime_sound(struct cw_view message)
{
    uint32_t line = 0; /* where the present one begins */
    for (uint32_t i = 0; i < message.bytes; i++) {
        uint8_t c = (uint8_t)message.data[i];
        if (c == '\n') {
            if (i == 0 || message.data[i - 1] != '\r' || i - 1 - line > WIRE_LINE_MAX) {
                return false;
            }
            line = i + 1;
        } else if (c == '\r') {
            if (i + 1 == message.bytes || message.data[i + 1] != '\n') {
                return false;
            }
        } else if (c == 0 || c >= 0x80u || (c == '.' && i == line)) {
            return false;
        }
    }
    return line == message.bytes && message.bytes > 0;
}

bool cw_mime_key(const char key[CW_POST_KEY_BYTES])
{
    for (uint32_t i = 0; i < CW_POST_KEY_BYTES; i++) {
        char c = key[i];
        if (!(c >= '0' && c <= '9') && !(c >= 'A' && c <= 'Z') && !(c >= 'a' && c <= 'z') &&
            c != '-' && c != '_') {
            return false;
        }
    }
    return true;
}

static bool refuse(struct cw_mime *mime, const char *what, const char *problem)
{
    (void)cw_format(mime->reason, sizeof mime->reason, "%s: %s", what, problem);
    return false;
}

/* A link that can stand between angle brackets: a scheme of ours and printable ASCII. */
static const char *link_problem(struct cw_view link)
{
    bool https = link.bytes > 8 && memcmp(link.data, "https://", 8) == 0;
    bool http = link.bytes > 7 && memcmp(link.data, "http://", 7) == 0;
    if (!https && !http) {
        return "it does not begin with https:// or http://";
    }
    if (link.bytes > CW_MIME_LINK_BYTES_MAX) {
        return "it is longer than 900 bytes";
    }
    for (uint32_t i = 0; i < link.bytes; i++) {
        char c = link.data[i];
        if (c <= ' ' || c > '~' || c == '<' || c == '>' || c == ',' || c == '"') {
            return "it holds a character that links do not have";
        }
    }
    return NULL;
}

static void put_date(struct cw_text *out, int64_t now_ms)
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct cw_civil at = cw_civil_from_ms(now_ms);
    cw_text_printf(out, "Date: %.3s, %02d %.3s %04d %02d:%02d:%02d +0000\r\n",
                   days + (ptrdiff_t)at.weekday * 3, at.day, months + ((ptrdiff_t)at.month - 1) * 3,
                   at.year, at.hour, at.minute, at.second);
}

static void put_from(struct cw_text *out, const struct cw_mailbox *from)
{
    cw_text_puts(out, "From: ");
    if (from->name_bytes == 0) {
        cw_text_view(out, from->address);
        cw_text_puts(out, "\r\n");
        return;
    }
    size_t start = out->bytes;
    cw_mime_phrase(out, (struct cw_view){from->name, from->name_bytes});
    size_t last = out->bytes; /* the line the phrase ends in */
    while (last > start && out->data[last - 1] != '\n') {
        last--;
    }
    bool fold = out->bytes - last + from->address.bytes + 9 > CW_MIME_LINE;
    cw_text_puts(out, fold ? "\r\n <" : " <");
    cw_text_view(out, from->address);
    cw_text_puts(out, ">\r\n");
}

static void put_headers(struct cw_mime *mime, const struct cw_post *post,
                        const struct cw_mailbox *from, struct cw_text *out)
{
    put_date(out, post->now_ms);
    put_from(out, from);
    cw_text_printf(out, "To: %s\r\nSubject: ", mime->rcpt_to);
    cw_text_clear(&mime->text);
    cw_clean_line(&mime->text, post->subject);
    cw_mime_unstructured(out, (struct cw_view){mime->text.data, (uint32_t)mime->text.bytes});
    cw_text_printf(out, "\r\nMessage-ID: <%.*s@%.*s>\r\nMIME-Version: 1.0\r\n",
                   (int)CW_POST_KEY_BYTES, post->key, (int)mime->host.bytes, mime->host.data);
    if (post->unsubscribe.data != NULL) {
        cw_text_puts(out, "List-Unsubscribe: <"); /* one line: not all who act on it unfold */
        cw_text_view(out, post->unsubscribe);
        cw_text_puts(out, ">\r\nList-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n");
    }
}

static void put_parts(struct cw_mime *mime, const struct cw_post *post, struct cw_text *out)
{
    if (post->html.data == NULL || post->text.data == NULL) {
        bool html = post->html.data != NULL;
        cw_mime_body(mime, html ? "html" : "plain", html ? post->html : post->text, out);
        return;
    }
    /* "=_" cannot occur in either encoding of a body, so the boundary cannot either. */
    const char *key = post->key;
    int bytes = (int)CW_POST_KEY_BYTES;
    cw_text_printf(out, "Content-Type: multipart/alternative;\r\n boundary=\"=_%.*s\"\r\n", bytes,
                   key);
    cw_text_printf(out, "\r\n--=_%.*s\r\n", bytes, key);
    cw_mime_body(mime, "plain", post->text, out);
    cw_text_printf(out, "--=_%.*s\r\n", bytes, key);
    cw_mime_body(mime, "html", post->html, out);
    cw_text_printf(out, "--=_%.*s--\r\n", bytes, key);
}

bool cw_mime_write(struct cw_mime *mime, const struct cw_post *post, struct cw_text *out)
{
    struct cw_mailbox from;
    const char *problem = cw_address_problem(post->to);
    if (problem != NULL) {
        return refuse(mime, "the customer's address", problem);
    }
    problem = cw_mailbox_parse(post->from.data == NULL ? mime->from : post->from, &from);
    if (problem != NULL) {
        return refuse(mime, "the sender's address", problem);
    }
    if (post->unsubscribe.data != NULL && (problem = link_problem(post->unsubscribe)) != NULL) {
        return refuse(mime, "the link to unsubscribe", problem);
    }
    if (!cw_mime_key(post->key)) {
        return refuse(mime, "the message's key", "it holds more than letters and digits");
    }
    (void)cw_format(mime->rcpt_to, sizeof mime->rcpt_to, "%.*s", (int)post->to.bytes,
                    post->to.data);
    (void)cw_format(mime->mail_from, sizeof mime->mail_from, "%.*s", (int)from.address.bytes,
                    from.address.data);
    mime->reason[0] = '\0';
    size_t start = out->bytes;
    put_headers(mime, post, &from, out);
    put_parts(mime, post, out);
    CW_ASSERT_HOT(
        cw_mime_sound((struct cw_view){out->data + start, (uint32_t)(out->bytes - start)}));
    return true;
}
