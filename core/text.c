#include "core/text.h"

#include "core/json_priv.h"
#include "core/time.h"

#include <immintrin.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CAPACITY_BYTES_MIN = 256,
    U64_BYTES_MAX = 20,
    NUMBER_BYTES_MAX = 32, /* -0.0000012345678901234567 is 25 */
    ESCAPE_BYTES_MAX = 6   /* \u001f */
};

void cw_text_deinit(struct cw_text *text)
{
    free(text->data);
    *text = (struct cw_text){0};
}

static CW_COLD void grow(struct cw_text *text, size_t bytes)
{
    CW_ASSERT(bytes <= CW_TEXT_BYTES_MAX && text->bytes <= CW_TEXT_BYTES_MAX - bytes);
    size_t need = text->bytes + bytes;
    size_t capacity =
        text->capacity_bytes < CAPACITY_BYTES_MIN ? CAPACITY_BYTES_MIN : text->capacity_bytes;
    while (capacity < need) {
        capacity *= 2;
    }
    char *data = realloc(text->data, capacity);
    CW_ASSERT(data != NULL);
    text->data = data;
    text->capacity_bytes = capacity;
}

char *cw_text_room(struct cw_text *text, size_t bytes)
{
    /* Without a buffer there is none to point into, even for no bytes at all. */
    if (CW_UNLIKELY(text->capacity_bytes - text->bytes < bytes || text->data == NULL)) {
        grow(text, bytes);
    }
    return text->data + text->bytes;
}

const char *cw_text_terminate(struct cw_text *text)
{
    *cw_text_room(text, 1) = '\0';
    return text->data;
}

void cw_text_put(struct cw_text *text, const void *data, size_t bytes)
{
    if (bytes > 0) {
        memcpy(cw_text_room(text, bytes), data, bytes);
        text->bytes += bytes;
    }
}

void cw_text_puts(struct cw_text *text, const char *terminated)
{
    cw_text_put(text, terminated, strlen(terminated));
}

void cw_text_char(struct cw_text *text, char c)
{
    *cw_text_room(text, 1) = c;
    text->bytes++;
}

void cw_text_printf(struct cw_text *text, const char *format, ...)
{
    size_t room = CAPACITY_BYTES_MIN;
    for (int attempt = 0; attempt < 2; attempt++) {
        char *to = cw_text_room(text, room);
        va_list args;
        va_start(args, format);
        int bytes = vsnprintf(to, room, format, args);
        va_end(args);
        CW_ASSERT(bytes >= 0);
        if ((size_t)bytes < room) {
            text->bytes += (size_t)bytes;
            return;
        }
        room = (size_t)bytes + 1;
    }
    CW_ASSERT(false); /* the second attempt had the room that the first asked for */
}

/* Writes the digits so that they end before end; returns where they begin. */
static char *digits_before(char *end, uint64_t value)
{
    static const char pairs[] = "0001020304050607080910111213141516171819"
                                "2021222324252627282930313233343536373839"
                                "4041424344454647484950515253545556575859"
                                "6061626364656667686970717273747576777879"
                                "8081828384858687888990919293949596979899";
    while (value >= 100) {
        end -= 2;
        memcpy(end, pairs + value % 100 * 2, 2);
        value /= 100;
    }
    if (value >= 10) {
        end -= 2;
        memcpy(end, pairs + value * 2, 2);
    } else {
        *--end = (char)('0' + value);
    }
    return end;
}

void cw_text_u64(struct cw_text *text, uint64_t value)
{
    char digits[U64_BYTES_MAX];
    char *end = digits + sizeof digits;
    char *begin = digits_before(end, value);
    cw_text_put(text, begin, (size_t)(end - begin));
}

void cw_text_i64(struct cw_text *text, int64_t value)
{
    if (value < 0) {
        cw_text_char(text, '-');
    }
    cw_text_u64(text, value < 0 ? 0 - (uint64_t)value : (uint64_t)value);
}

/* Lays out count digits, the point standing behind the point-th, as Number::toString (ECMA-262)
   does; returns the end. */
static char *lay_out(char *to, const char *digits, int count, int point)
{
    if (point > 21 || point <= -6) {
        *to++ = digits[0];
        if (count > 1) {
            *to++ = '.';
            memcpy(to, digits + 1, (size_t)(count - 1));
            to += count - 1;
        }
        *to++ = 'e';
        *to++ = point > 0 ? '+' : '-';
        char exponent[U64_BYTES_MAX];
        char *end = exponent + sizeof exponent;
        char *begin = digits_before(end, (uint64_t)abs(point - 1));
        memcpy(to, begin, (size_t)(end - begin));
        return to + (end - begin);
    }
    if (point <= 0) {
        *to++ = '0';
        *to++ = '.';
        memset(to, '0', (size_t)-point);
        memcpy(to - point, digits, (size_t)count);
        return to - point + count;
    }
    if (point >= count) {
        memcpy(to, digits, (size_t)count);
        memset(to + count, '0', (size_t)(point - count));
        return to + point;
    }
    memcpy(to, digits, (size_t)point);
    to[point] = '.';
    memcpy(to + point + 1, digits + point, (size_t)(count - point));
    return to + count + 1;
}

void cw_text_number(struct cw_text *text, double value)
{
    CW_ASSERT(isfinite(value));
    if (fabs(value) < 9007199254740992.0 && value == (double)(int64_t)value) {
        cw_text_i64(text, (int64_t)value); /* -0 is 0 here, as there */
        return;
    }
    char shortest[32]; /* d.ddde-xx */
    const char *end = shortest + cw_json_shortest(fabs(value), shortest);
    char digits[32];
    int count = 0;
    const char *p = shortest;
    for (; *p != 'e'; p++) {
        if (*p != '.') {
            digits[count++] = *p;
        }
    }
    CW_ASSERT_HOT(count > 0);
    bool minus = p[1] == '-';
    int exponent = 0;
    for (p += 2; p < end; p++) {
        exponent = exponent * 10 + (*p - '0');
    }
    char *begin = cw_text_room(text, NUMBER_BYTES_MAX);
    char *to = begin;
    if (value < 0) {
        *to++ = '-';
    }
    to = lay_out(to, digits, count, (minus ? -exponent : exponent) + 1);
    text->bytes += (size_t)(to - begin);
}

/* Writes what stands for c in a JSON string when it may not stand for itself. */
static char *put_escape(char *to, char c)
{
    static const char hex[] = "0123456789abcdef";
    char letter = '\0';
    switch (c) {
    case '"':
    case '\\': letter = c; break;
    case '\b': letter = 'b'; break;
    case '\f': letter = 'f'; break;
    case '\n': letter = 'n'; break;
    case '\r': letter = 'r'; break;
    case '\t': letter = 't'; break;
    default: break;
    }
    *to++ = '\\';
    if (letter != '\0') {
        *to++ = letter;
        return to;
    }
    to[0] = 'u';
    to[1] = '0';
    to[2] = '0';
    to[3] = hex[(uint8_t)c >> 4];
    to[4] = hex[(uint8_t)c & 15];
    return to + 5;
}

static bool needs_escape(char c)
{
    return (uint8_t)c < 0x20 || c == '"' || c == '\\';
}

/* One bit for each of 32 bytes that may not stand in a JSON string. */
static uint32_t need_escapes(__m256i some)
{
    __m256i control = _mm256_cmpeq_epi8(_mm256_min_epu8(some, _mm256_set1_epi8(0x1f)), some);
    __m256i quote = _mm256_cmpeq_epi8(some, _mm256_set1_epi8('"'));
    __m256i backslash = _mm256_cmpeq_epi8(some, _mm256_set1_epi8('\\'));
    return (uint32_t)_mm256_movemask_epi8(
        _mm256_or_si256(control, _mm256_or_si256(quote, backslash)));
}

void cw_text_json(struct cw_text *text, struct cw_view view)
{
    /* The longest it can get, so that nothing below has to ask again. */
    char *begin = cw_text_room(text, (size_t)view.bytes * ESCAPE_BYTES_MAX + 2);
    char *to = begin;
    *to++ = '"';
    const char *p = view.bytes > 0 ? view.data : "";
    const char *end = p + view.bytes;
    while (end - p >= 32) {
        __m256i some = _mm256_loadu_si256((const __m256i *)(const void *)p);
        _mm256_storeu_si256((__m256i *)(void *)to, some);
        uint32_t bad = need_escapes(some);
        uint32_t good = bad == 0 ? 32 : (uint32_t)__builtin_ctz(bad);
        p += good;
        to += good;
        if (bad != 0) {
            to = put_escape(to, *p++);
        }
    }
    for (; p < end; p++) {
        if (CW_UNLIKELY(needs_escape(*p))) {
            to = put_escape(to, *p);
        } else {
            *to++ = *p;
        }
    }
    *to++ = '"';
    text->bytes += (size_t)(to - begin);
}

void cw_text_json_time(struct cw_text *text, int64_t ms)
{
    char *to = cw_text_room(text, CW_TIME_BYTES + 2);
    to[0] = '"';
    cw_time_format(ms, to + 1);
    to[CW_TIME_BYTES + 1] = '"';
    text->bytes += CW_TIME_BYTES + 2;
}
