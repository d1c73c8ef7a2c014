#include "pipeline/request.h"

struct cw_view cw_request_header(const struct cw_request *request, struct cw_view name)
{
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (cw_view_equal(request->headers[i].name, name)) {
            struct cw_view value = request->headers[i].value;
            return value.data != NULL ? value : CW_VIEW("");
        }
    }
    return (struct cw_view){0};
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

bool cw_view_like(struct cw_view a, struct cw_view b)
{
    return a.bytes == b.bytes && cw_view_starts_like(a, b);
}

bool cw_view_starts_like(struct cw_view text, struct cw_view start)
{
    for (uint32_t i = 0; i < start.bytes; i++) {
        if (i >= text.bytes || lower(text.data[i]) != lower(start.data[i])) {
            return false;
        }
    }
    return true;
}

bool cw_view_holds_like(struct cw_view text, struct cw_view part)
{
    for (uint32_t i = 0; i + part.bytes <= text.bytes; i++) {
        if (cw_view_starts_like((struct cw_view){text.data + i, text.bytes - i}, part)) {
            return true;
        }
    }
    return false;
}

struct cw_view cw_view_trim(struct cw_view text)
{
    while (text.bytes > 0 && (*text.data == ' ' || *text.data == '\t')) {
        text.data++;
        text.bytes--;
    }
    while (text.bytes > 0 &&
           (text.data[text.bytes - 1] == ' ' || text.data[text.bytes - 1] == '\t')) {
        text.bytes--;
    }
    return text;
}

/* Cuts what stands before the separator off *rest; a separator between quotes does not count. */
static struct cw_view cut(struct cw_view *rest, char separator)
{
    if (rest->bytes == 0) {
        return *rest;
    }
    bool quoted = false;
    uint32_t i = 0;
    for (; i < rest->bytes && (quoted || rest->data[i] != separator); i++) {
        if (rest->data[i] == '"') {
            quoted = !quoted;
        } else if (quoted && rest->data[i] == '\\' && i + 1 < rest->bytes) {
            i++;
        }
    }
    struct cw_view part = {rest->data, i};
    uint32_t used = i < rest->bytes ? i + 1 : i;
    *rest = (struct cw_view){rest->data + used, rest->bytes - used};
    return cw_view_trim(part);
}

struct cw_view cw_media_type(struct cw_view content_type)
{
    return cut(&content_type, ';');
}

struct cw_view cw_media_parameter(struct cw_view content_type, struct cw_view name)
{
    (void)cut(&content_type, ';');
    while (content_type.bytes > 0) {
        struct cw_view value = cut(&content_type, ';');
        struct cw_view key = cut(&value, '=');
        if (cw_view_like(key, name)) {
            value = cw_view_trim(value);
            if (value.bytes >= 2 && value.data[0] == '"' && value.data[value.bytes - 1] == '"') {
                value = (struct cw_view){value.data + 1, value.bytes - 2};
            }
            return value;
        }
    }
    return (struct cw_view){0};
}

/* "0.75" as 750; what is no quality counts as 1. */
static uint32_t quality(struct cw_view text)
{
    if (text.bytes == 0 || text.data[0] != '0') {
        return 1000;
    }
    uint32_t value = 0;
    for (uint32_t i = 2; i < 5; i++) {
        char c = i < text.bytes ? text.data[i] : '0';
        value = value * 10 + (c >= '0' && c <= '9' ? (uint32_t)(c - '0') : 0);
    }
    return value;
}

uint32_t cw_media_quality(struct cw_view accept, struct cw_view type)
{
    if (accept.data == NULL) {
        return 1000;
    }
    struct cw_view rest = type;
    struct cw_view main = cut(&rest, '/');
    uint32_t best = 0;
    uint32_t exact = 0; /* how exact the range was that gave it: 1 all, 2 a main type, 3 itself */
    while (accept.bytes > 0) {
        struct cw_view range = cut(&accept, ',');
        struct cw_view given = cw_media_type(range);
        struct cw_view tail = given;
        struct cw_view head = cut(&tail, '/');
        uint32_t level = cw_view_like(given, type)                                       ? 3
                         : cw_view_equal(tail, CW_VIEW("*")) && cw_view_like(head, main) ? 2
                         : cw_view_equal(given, CW_VIEW("*/*"))                          ? 1
                                                                                         : 0;
        if (level > exact) {
            exact = level;
            best = quality(cw_media_parameter(range, CW_VIEW("q")));
        }
    }
    return best;
}

static int32_t hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool cw_percent_decode(struct cw_view text, bool plus, char *room, struct cw_view *plain)
{
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < text.bytes; i++) {
        char c = text.data[i];
        if (c == '%') {
            int32_t high = text.bytes - i > 2 ? hex(text.data[i + 1]) : -1;
            int32_t low = text.bytes - i > 2 ? hex(text.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                return false;
            }
            c = (char)(high * 16 + low);
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        room[bytes++] = c;
    }
    *plain = (struct cw_view){room, bytes};
    return memchr(room, 0, bytes) == NULL && cw_utf8_valid(*plain);
}

bool cw_form_pair(struct cw_view *encoded, struct cw_view *name, struct cw_view *value)
{
    while (encoded->bytes > 0) {
        const char *and = memchr(encoded->data, '&', encoded->bytes);
        uint32_t bytes = and != NULL ? (uint32_t)(and-encoded->data) : encoded->bytes;
        struct cw_view pair = {encoded->data, bytes};
        uint32_t used = bytes + (and != NULL ? 1 : 0);
        *encoded = (struct cw_view){encoded->data + used, encoded->bytes - used};
        if (bytes > 0) {
            const char *equal = memchr(pair.data, '=', bytes);
            *name =
                (struct cw_view){pair.data, equal != NULL ? (uint32_t)(equal - pair.data) : bytes};
            uint32_t head = name->bytes + (equal != NULL ? 1 : 0);
            *value = (struct cw_view){pair.data + head, bytes - head};
            return true;
        }
    }
    return false;
}

struct cw_view cw_form_value(struct cw_view encoded, struct cw_view name)
{
    struct cw_view found, value;
    while (cw_form_pair(&encoded, &found, &value)) {
        if (cw_view_equal(found, name)) {
            return value;
        }
    }
    return (struct cw_view){0};
}

/* NOLINTNEXTLINE(readability-function-cognitive-complexity): one walk over all that comes in */
bool cw_utf8_valid(struct cw_view text)
{
    const uint8_t *p = (const uint8_t *)text.data;
    const uint8_t *end = p + text.bytes;
    while (p < end) {
        uint32_t lead = *p++;
        if (lead < 0x80) {
            continue;
        }
        uint32_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
        if (lead < 0xc2 || lead > 0xf4 || (uint32_t)(end - p) < more) {
            return false;
        }
        /* The second byte alone tells what is too long, a surrogate or beyond U+10FFFF. */
        uint32_t low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        uint32_t high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        for (; more > 0; more--, p++) {
            if (*p < low || *p > high) {
                return false;
            }
            low = 0x80;
            high = 0xbf;
        }
    }
    return true;
}
