/* Text in headers (RFC 2047) and in bodies (quoted-printable, base64). */
#include "io/clean.h"
#include "io/mime_priv.h"

#include <openssl/evp.h>

enum {
    WORD_BYTES_MAX = 75,  /* of one encoded word, RFC 2047 section 2 */
    WORD_FRAME_BYTES = 12 /* =?UTF-8?Q??= */
};

static const char hex[] = "0123456789ABCDEF";

/* What may stand as itself in a Q word wherever the word stands (RFC 2047 section 5, rule 3). */
static bool is_q_safe(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
           (c != '\0' && strchr("!*+-/", c) != NULL);
}

static uint32_t q_cost(const char *text, uint32_t bytes)
{
    uint32_t cost = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        cost += is_q_safe(text[i]) || text[i] == ' ' ? 1 : 3;
    }
    return cost;
}

static void put_q(struct cw_text *out, const char *text, uint32_t bytes)
{
    for (uint32_t i = 0; i < bytes; i++) {
        uint8_t c = (uint8_t)text[i];
        if (is_q_safe(text[i]) || c == ' ') {
            cw_text_char(out, (char)(c == ' ' ? '_' : c));
        } else {
            cw_text_put(out, (char[]){'=', hex[c >> 4], hex[c & 15]}, 3);
        }
    }
}

static void put_b(struct cw_text *out, const char *text, uint32_t bytes)
{
    char *room = cw_text_room(out, (size_t)bytes * 2 + 8);
    out->bytes += (size_t)EVP_EncodeBlock((uint8_t *)room, (const uint8_t *)text, (int)bytes);
}

static uint32_t line_bytes(const struct cw_text *out)
{
    size_t at = out->bytes;
    while (at > 0 && out->data[at - 1] != '\n') {
        at--;
    }
    return (uint32_t)(out->bytes - at);
}

/* As many whole characters as one word of that payload holds; at least one. */
static uint32_t word_of(struct cw_view text, bool q, uint32_t payload, uint32_t *cost)
{
    uint32_t at = 0;
    *cost = 0;
    while (at < text.bytes) {
        uint32_t bytes = cw_clean_char(text.data + at, text.bytes - at);
        CW_ASSERT(bytes > 0); /* cleaned before */
        uint32_t with = q ? *cost + q_cost(text.data + at, bytes) : (at + bytes + 2) / 3 * 4;
        if (with > payload && at > 0) {
            break;
        }
        *cost = with;
        at += bytes;
    }
    return at;
}

void cw_mime_words(struct cw_text *out, struct cw_view text)
{
    bool q = q_cost(text.data, text.bytes) <= (text.bytes + 2) / 3 * 4;
    while (text.bytes > 0) {
        uint32_t used = line_bytes(out) + WORD_FRAME_BYTES;
        uint32_t payload = used + 12 < CW_MIME_LINE ? CW_MIME_LINE - used : 0;
        uint32_t cost;
        payload = payload < WORD_BYTES_MAX - WORD_FRAME_BYTES ? payload
                                                              : WORD_BYTES_MAX - WORD_FRAME_BYTES;
        uint32_t bytes = word_of(text, q, payload, &cost);
        if (cost > payload) { /* not one character fits here */
            cw_text_puts(out, "\r\n ");
            continue;
        }
        cw_text_puts(out, q ? "=?UTF-8?Q?" : "=?UTF-8?B?");
        q ? put_q(out, text.data, bytes) : put_b(out, text.data, bytes);
        cw_text_puts(out, "?=");
        text = (struct cw_view){text.data + bytes, text.bytes - bytes};
        if (text.bytes > 0) {
            cw_text_puts(out, "\r\n ");
        }
    }
}

/* Printable ASCII that no reader takes for an encoded word, no blank run, no word over a line. */
static bool is_plain(struct cw_view text)
{
    uint32_t word = 0;
    for (uint32_t i = 0; i < text.bytes; i++) {
        char c = text.data[i];
        if (c < ' ' || c > '~' || (c == '=' && i + 1 < text.bytes && text.data[i + 1] == '?')) {
            return false;
        }
        if (c == ' ' && (i == 0 || text.data[i - 1] == ' ')) {
            return false;
        }
        word = c == ' ' ? 0 : word + 1;
        if (word > CW_MIME_LINE - 16) {
            return false;
        }
    }
    return true;
}

void cw_mime_unstructured(struct cw_text *out, struct cw_view text)
{
    if (!is_plain(text)) {
        cw_mime_words(out, text);
        return;
    }
    uint32_t column = line_bytes(out);
    for (uint32_t at = 0; at < text.bytes;) {
        const char *space = memchr(text.data + at + 1, ' ', text.bytes - at - 1);
        uint32_t bytes = space == NULL ? text.bytes - at : (uint32_t)(space - text.data) - at;
        if (at > 0 && column + bytes > CW_MIME_LINE) { /* a piece begins with its blank */
            cw_text_puts(out, "\r\n");
            column = 0;
        }
        cw_text_put(out, text.data + at, bytes);
        column += bytes;
        at += bytes;
    }
}

void cw_mime_phrase(struct cw_text *out, struct cw_view name)
{
    bool atoms = true;
    for (uint32_t i = 0; i < name.bytes; i++) {
        atoms = atoms && (is_q_safe(name.data[i]) || name.data[i] == ' ');
    }
    if (!is_plain(name) || line_bytes(out) + name.bytes + 2 > CW_MIME_LINE) {
        cw_mime_words(out, name);
        return;
    }
    if (atoms) {
        cw_text_view(out, name);
        return;
    }
    cw_text_char(out, '"');
    for (uint32_t i = 0; i < name.bytes; i++) {
        if (name.data[i] == '"' || name.data[i] == '\\') {
            cw_text_char(out, '\\');
        }
        cw_text_char(out, name.data[i]);
    }
    cw_text_char(out, '"');
}

/* CR LF, CR and LF all end a line; afterwards each is a CR LF, and the last line has one. */
static void end_lines(struct cw_text *out, struct cw_view body)
{
    uint32_t done = 0;
    for (uint32_t i = 0; i < body.bytes; i++) {
        char c = body.data[i];
        if (c != '\r' && c != '\n') {
            continue;
        }
        cw_text_put(out, body.data + done, i - done);
        cw_text_puts(out, "\r\n");
        i += c == '\r' && i + 1 < body.bytes && body.data[i + 1] == '\n';
        done = i + 1;
    }
    if (done < body.bytes) {
        cw_text_put(out, body.data + done, body.bytes - done);
        cw_text_puts(out, "\r\n");
    }
}

/* How many bytes from here are themselves wherever they stand inside a line. */
static size_t plain_run(const char *text, size_t bytes)
{
    size_t run = 0;
    while (run < bytes && text[run] >= ' ' && text[run] <= '~' && text[run] != '=') {
        run++;
    }
    return run;
}

/* One line without its end. Beside what must be escaped: a dot and "From " at the start of a line,
   which mail systems treat specially, and blanks at its end, which they lose. */
static void quote_line(struct cw_text *out, const char *line, size_t bytes)
{
    uint32_t column = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (column > 0 && i + 1 < bytes) { /* all but the last byte, and a column for `=` */
            size_t room = CW_MIME_LINE - 1 - column;
            size_t left = bytes - 1 - i;
            size_t run = plain_run(line + i, left < room ? left : room);
            cw_text_put(out, line + i, run);
            column += (uint32_t)run;
            i += run;
        }
        uint8_t c = (uint8_t)line[i];
        bool last = i + 1 == bytes;
        bool escape = c == '=' || c > '~' || (c < ' ' && c != '\t') ||
                      (last && (c == ' ' || c == '\t')) || (column == 0 && c == '.') ||
                      (column == 0 && bytes - i >= 5 && memcmp(line + i, "From ", 5) == 0);
        uint32_t cost = escape ? 3 : 1;
        if (column + cost + (last ? 0 : 1) > CW_MIME_LINE) {
            cw_text_puts(out, "=\r\n");
            column = 0;
            escape = escape || c == '.' || c == 'F';
            cost = escape ? 3 : 1;
        }
        if (escape) {
            cw_text_put(out, (char[]){'=', hex[c >> 4], hex[c & 15]}, 3);
        } else {
            cw_text_char(out, (char)c);
        }
        column += cost;
    }
    cw_text_puts(out, "\r\n");
}

static void quote(struct cw_text *out, const struct cw_text *text)
{
    for (size_t at = 0; at < text->bytes;) {
        const char *line = text->data + at;
        const char *end = memchr(line, '\r', text->bytes - at); /* cleaned: CR LF only */
        CW_ASSERT(end != NULL);
        quote_line(out, line, (size_t)(end - line));
        at = (size_t)(end - text->data) + 2;
    }
}

static void put_base64(struct cw_text *out, const char *text, size_t text_bytes)
{
    enum {
        LINE_BYTES = CW_MIME_LINE / 4 * 3
    };

    for (size_t at = 0; at < text_bytes; at += LINE_BYTES) {
        size_t bytes = text_bytes - at < LINE_BYTES ? text_bytes - at : LINE_BYTES;
        put_b(out, text + at, (uint32_t)bytes);
        cw_text_puts(out, "\r\n");
    }
}

void cw_mime_body(struct cw_mime *mime, const char *type, struct cw_view body, struct cw_text *out)
{
    cw_text_clear(&mime->encoded);
    cw_clean_utf8(&mime->encoded, body);
    cw_text_clear(&mime->text);
    end_lines(&mime->text, (struct cw_view){mime->encoded.data, (uint32_t)mime->encoded.bytes});
    cw_text_clear(&mime->encoded);
    quote(&mime->encoded, &mime->text);
    /* The end of the last line belongs to the boundary that follows; base64 would carry it. */
    size_t raw_bytes = mime->text.bytes == 0 ? 0 : mime->text.bytes - 2;
    size_t base64_bytes = (raw_bytes + 2) / 3 * 4;
    base64_bytes += (base64_bytes + CW_MIME_LINE - 1) / CW_MIME_LINE * 2;
    bool base64 = base64_bytes < mime->encoded.bytes;
    cw_text_printf(out, "Content-Type: text/%s; charset=utf-8\r\n", type);
    cw_text_printf(out, "Content-Transfer-Encoding: %s\r\n\r\n",
                   base64 ? "base64" : "quoted-printable");
    if (base64) {
        put_base64(out, mime->text.data, raw_bytes);
    } else {
        cw_text_put(out, mime->encoded.data, mime->encoded.bytes);
    }
}
