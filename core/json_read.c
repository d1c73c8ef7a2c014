/* What a parsed document's values mean: members by name, strings without escapes, numbers. */
#include "core/json.h"
#include "core/json_priv.h"

#include <immintrin.h>

enum {
    ESCAPE_BYTES_MAX = 4 /* of UTF-8 that one escape stands for */
};

static uint32_t hex4(const char *p)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t c = (uint8_t)p[i];
        value = value * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return value;
}

static uint32_t put_utf8(uint32_t code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Resolves the valid escape at p: how long it is, and what it stands for in out. */
static uint32_t resolve(const char *p, char out[ESCAPE_BYTES_MAX], uint32_t *out_bytes)
{
    *out_bytes = 1;
    switch (p[1]) {
    case 'b': out[0] = '\b'; return 2;
    case 'f': out[0] = '\f'; return 2;
    case 'n': out[0] = '\n'; return 2;
    case 'r': out[0] = '\r'; return 2;
    case 't': out[0] = '\t'; return 2;
    case 'u': break;
    default: out[0] = p[1]; return 2;
    }
    uint32_t code = hex4(p + 2);
    uint32_t used = 6;
    if ((code & 0xfc00u) == 0xd800u) {
        code = 0x10000u + ((code & 0x3ffu) << 10) + (hex4(p + 8) & 0x3ffu);
        used = 12;
    }
    *out_bytes = put_utf8(code, out);
    return used;
}

/* The same, written at *to, which moves on: never further than the escape is long. */
static uint32_t put_escape(const char *p, char **to)
{
    char meant[ESCAPE_BYTES_MAX];
    uint32_t meant_bytes;
    uint32_t used = resolve(p, meant, &meant_bytes);
    memcpy(*to, meant, meant_bytes);
    *to += meant_bytes;
    return used;
}

uint32_t cw_json_unescape(struct cw_view raw, char *out)
{
    const char *p = raw.data;
    const char *end = p + raw.bytes;
    char *to = out;
    /* What is written is never longer than what was read, so that a whole block fits wherever one
       could be loaded. JSON inside a JSON string has an escape every few bytes. */
    __m256i backslash = _mm256_set1_epi8('\\');
    while (end - p >= 32) {
        __m256i block = _mm256_loadu_si256((const __m256i_u *)p);
        _mm256_storeu_si256((__m256i_u *)to, block);
        uint32_t marks = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(block, backslash));
        uint32_t plain = marks != 0 ? (uint32_t)__builtin_ctz(marks) : 32;
        p += plain;
        to += plain;
        if (marks != 0) {
            if (p[1] == '"' || p[1] == '\\') {
                *to++ = p[1];
                p += 2;
            } else {
                p += put_escape(p, &to);
            }
        }
    }
    while (p < end) {
        if (*p == '\\') {
            p += put_escape(p, &to);
        } else {
            *to++ = *p++;
        }
    }
    return (uint32_t)(to - out);
}

static bool means(struct cw_view raw, struct cw_view name)
{
    const char *p = raw.data;
    const char *end = p + raw.bytes;
    uint32_t at = 0;
    while (p < end) {
        char meant[ESCAPE_BYTES_MAX];
        uint32_t bytes = 1;
        if (*p == '\\') {
            p += resolve(p, meant, &bytes);
        } else {
            meant[0] = *p++;
        }
        if (name.bytes - at < bytes || memcmp(name.data + at, meant, bytes) != 0) {
            return false;
        }
        at += bytes;
    }
    return at == name.bytes;
}

uint32_t cw_json_find(const struct cw_json *doc, uint32_t object, struct cw_view name)
{
    const struct cw_json_node *nodes = doc->nodes;
    CW_ASSERT_HOT(object < doc->node_count && nodes[object].type == CW_JSON_OBJECT);
    uint32_t found = CW_JSON_NONE;
    for (uint32_t i = object + 1; i < nodes[object].next; i = nodes[i].next) {
        struct cw_view key = {doc->text + nodes[i].key, nodes[i].key_bytes};
        if (nodes[i].key_escaped ? means(key, name) : cw_view_equal(key, name)) {
            found = i;
        }
    }
    return found;
}

double cw_json_number(struct cw_view raw)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8, 1e9,
                                   1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18};
    const char *p = raw.data;
    const char *end = p + raw.bytes;
    bool minus = *p == '-';
    p += minus;
    if (end - p > (ptrdiff_t)CW_COUNTOF(power)) { /* 19 digits always fit value */
        return cw_json_decimal(raw.data, raw.bytes);
    }
    const char *point = end; /* what stands behind it are decimals */
    uint64_t value = 0;
    for (; p < end; p++) {
        uint32_t digit = (uint32_t)(uint8_t)*p - '0';
        if (digit < 10) {
            value = value * 10 + digit;
        } else if (*p == '.') {
            point = p + 1;
        } else {
            return cw_json_decimal(raw.data, raw.bytes);
        }
    }
    if (value > (uint64_t)1 << 53) {
        return cw_json_decimal(raw.data, raw.bytes);
    }
    /* Both are exact, so the one rounding of the quotient is the right one (Clinger). */
    double number = (double)(int64_t)value;
    if (point != end) {
        size_t decimals = (size_t)(end - point);
        CW_ASSERT_HOT(decimals < CW_COUNTOF(power));
        number /= power[decimals];
    }
    return minus ? -number : number;
}

/* A number's spelling taken apart: +-digits * 10^exponent. */
struct decimal {
    const char *digits, *digits_end; /* the point may stand among them */
    int64_t exponent;
    bool minus;
};

/* More than any spelling of 4 GB could make up for with its zeros. */
#define EXPONENT_MAX ((int64_t)1 << 40)

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static struct decimal take_apart(struct cw_view raw)
{
    const char *p = raw.data;
    const char *end = p + raw.bytes;
    struct decimal d = {.minus = *p == '-'};
    p += d.minus;
    d.digits = p;
    while (p < end && is_digit(*p)) {
        p++;
    }
    if (p < end && *p == '.') {
        const char *fraction = ++p;
        while (p < end && is_digit(*p)) {
            p++;
        }
        d.exponent = fraction - p;
    }
    d.digits_end = p;
    if (p < end) { /* an e: there is nothing else */
        p++;
        bool minus = *p == '-';
        p += *p == '-' || *p == '+';
        int64_t exponent = 0;
        for (; p < end; p++) {
            exponent = exponent * 10 + (*p - '0');
            exponent = exponent < EXPONENT_MAX ? exponent : EXPONENT_MAX;
        }
        d.exponent += minus ? -exponent : exponent;
    }
    return d;
}

bool cw_json_int64(struct cw_view raw, int64_t *value)
{
    struct decimal d = take_apart(raw);
    const char *p = d.digits;
    const char *end = d.digits_end;
    while (p < end && (*p == '0' || *p == '.')) {
        p++;
    }
    if (p == end) {
        *value = 0;
        return true;
    }
    while (end[-1] == '0' || end[-1] == '.') { /* ends at p's digit, which is no zero */
        d.exponent += end[-1] == '0';
        end--;
    }
    if (d.exponent < 0 || d.exponent > 18) {
        return false;
    }
    uint64_t limit = (uint64_t)INT64_MAX + d.minus;
    uint64_t sum = 0;
    for (; p < end + d.exponent; p++) {
        if (p < end && *p == '.') {
            continue;
        }
        uint64_t digit = p < end ? (uint64_t)(*p - '0') : 0;
        if (sum > (limit - digit) / 10) {
            return false;
        }
        sum = sum * 10 + digit;
    }
    *value = d.minus ? (int64_t)(0 - sum) : (int64_t)sum;
    return true;
}

static bool check_value(const struct cw_json *doc, const struct cw_json_node *node)
{
    if (node->text > doc->text_bytes || node->text_bytes > doc->text_bytes - node->text) {
        return false;
    }
    const char *p = doc->text + node->text;
    char before = '\0';
    char first = '\0';
    char last = '\0';
    if (node->text > 0) {
        before = p[-1];
    }
    if (node->text_bytes > 0) {
        first = p[0];
        last = p[node->text_bytes - 1];
    }
    switch ((enum cw_json_type)node->type) {
    case CW_JSON_NULL: return first == 'n' && last == 'l' && node->text_bytes == 4;
    case CW_JSON_FALSE: return first == 'f' && last == 'e' && node->text_bytes == 5;
    case CW_JSON_TRUE: return first == 't' && last == 'e' && node->text_bytes == 4;
    case CW_JSON_NUMBER: return (first == '-' || (uint8_t)(first - '0') < 10) && last != '.';
    case CW_JSON_STRING:
        return before == '"' && p[node->text_bytes] == '"' &&
               node->escaped == (memchr(p, '\\', node->text_bytes) != NULL);
    case CW_JSON_ARRAY: return first == '[' && last == ']' && node->text_bytes >= 2;
    case CW_JSON_OBJECT: return first == '{' && last == '}' && node->text_bytes >= 2;
    }
    return false;
}

/* The key must stand before its value and behind `from`, between quotes; without one, nothing. */
static bool check_key(const struct cw_json *doc, const struct cw_json_node *node, bool keyed,
                      uint32_t from)
{
    if (!keyed) {
        return node->key_bytes == 0 && node->key_escaped == 0;
    }
    const char *key = doc->text + node->key;
    return node->key > from && node->key < node->text && node->key_bytes < node->text - node->key &&
           key[-1] == '"' && key[node->key_bytes] == '"' &&
           node->key_escaped == (memchr(key, '\\', node->key_bytes) != NULL);
}

bool cw_json_check(const struct cw_json *doc)
{
    const struct cw_json_node *nodes = doc->nodes;
    if (doc->node_count == 0 || nodes[0].next != doc->node_count || !check_value(doc, nodes) ||
        !check_key(doc, nodes, false, 0)) {
        return false;
    }
    for (uint32_t i = 0; i < doc->node_count; i++) {
        const struct cw_json_node *node = &nodes[i];
        bool container = node->type == CW_JSON_OBJECT || node->type == CW_JSON_ARRAY;
        if (!container) {
            if (node->next != i + 1) {
                return false;
            }
            continue;
        }
        uint32_t from = node->text + 1; /* where the next child may begin */
        uint32_t child = i + 1;
        while (child < node->next) {
            const struct cw_json_node *c = &nodes[child];
            if (c->next <= child || c->next > node->next || c->text < from ||
                !check_value(doc, c) || !check_key(doc, c, node->type == CW_JSON_OBJECT, from)) {
                return false;
            }
            from = c->text + c->text_bytes;
            child = c->next;
        }
        if (child != node->next || from >= node->text + node->text_bytes) {
            return false;
        }
    }
    return true;
}
