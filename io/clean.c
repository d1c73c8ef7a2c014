#include "io/clean.h"

#define REPLACEMENT "\xEF\xBF\xBD"

static bool continues(char c)
{
    return ((uint8_t)c & 0xC0u) == 0x80u;
}

uint32_t cw_clean_char(const char *text, size_t bytes)
{
    if (bytes == 0) {
        return 0;
    }
    uint8_t first = (uint8_t)text[0];
    if (first < 0x80u) {
        return 1;
    }
    uint32_t need = first < 0xC2u   ? 0
                    : first < 0xE0u ? 2
                    : first < 0xF0u ? 3
                    : first < 0xF5u ? 4
                                    : 0;
    if (need == 0 || bytes < need) {
        return 0;
    }
    for (uint32_t i = 1; i < need; i++) {
        if (!continues(text[i])) {
            return 0;
        }
    }
    uint8_t second = (uint8_t)text[1];
    bool bad = (first == 0xE0u && second < 0xA0u) || (first == 0xEDu && second > 0x9Fu) ||
               (first == 0xF0u && second < 0x90u) || (first == 0xF4u && second > 0x8Fu);
    return bad ? 0 : need;
}

void cw_clean_utf8(struct cw_text *out, struct cw_view hostile)
{
    uint32_t done = 0; /* up to here it is in the output */
    uint32_t at = 0;
    while (at < hostile.bytes) {
        if ((uint8_t)hostile.data[at] < 0x80u) { /* as nearly all are */
            at++;
            continue;
        }
        uint32_t bytes = cw_clean_char(hostile.data + at, hostile.bytes - at);
        if (bytes > 0) {
            at += bytes;
            continue;
        }
        cw_text_put(out, hostile.data + done, at - done);
        cw_text_puts(out, REPLACEMENT);
        done = ++at;
    }
    if (done < hostile.bytes) { /* data may be NULL when there is nothing */
        cw_text_put(out, hostile.data + done, hostile.bytes - done);
    }
}

static bool is_control(const char *text, uint32_t bytes)
{
    uint8_t first = (uint8_t)text[0];
    if (bytes == 1) {
        return first < 0x20u || first == 0x7Fu;
    }
    if (bytes == 2) {
        return first == 0xC2u && (uint8_t)text[1] < 0xA0u;
    }
    return bytes == 3 &&
           (memcmp(text, "\xE2\x80\xA8", 3) == 0 || memcmp(text, "\xE2\x80\xA9", 3) == 0);
}

void cw_clean_line(struct cw_text *out, struct cw_view hostile)
{
    size_t start = out->bytes;
    uint32_t at = 0;
    while (at < hostile.bytes) {
        const char *c = hostile.data + at;
        uint32_t bytes = cw_clean_char(c, hostile.bytes - at);
        if (bytes == 0) {
            cw_text_puts(out, REPLACEMENT);
            at++;
            continue;
        }
        at += bytes;
        if (!is_control(c, bytes) && *c != ' ') {
            cw_text_put(out, c, bytes);
        } else if (out->bytes > start) {
            cw_text_char(out, ' ');
        }
    }
    while (out->bytes > start && out->data[out->bytes - 1] == ' ') {
        out->bytes--;
    }
}

void cw_clean_reason(char *out, uint32_t room, struct cw_view hostile)
{
    size_t used = strnlen(out, room);
    CW_ASSERT(used < room);
    for (uint32_t i = 0; i < hostile.bytes && used + 1 < room; i++) {
        uint8_t c = (uint8_t)hostile.data[i];
        out[used++] = (char)(c >= 0x7Fu ? '?' : c < 0x20u ? ' ' : c);
    }
    while (used > 0 && out[used - 1] == ' ') {
        used--;
    }
    out[used] = '\0';
}
