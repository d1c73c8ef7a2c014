/*
 * naive_json: a second opinion on JSON: a plain recursive descent, byte by byte, with nothing in
 * common with core/json.c. It fills the same nodes, so that the two can be compared one by one.
 */
#ifndef CW_TESTS_CORE_NAIVE_JSON_H
#define CW_TESTS_CORE_NAIVE_JSON_H

#include "core/json.h"

struct naive_json {
    const uint8_t *text;
    uint32_t bytes, at;
    uint32_t depth_max;
    struct cw_json_node *nodes; /* as many as there are bytes are always enough */
    uint32_t count;
};

static inline int naive_json_peek(const struct naive_json *n)
{
    return n->at < n->bytes ? n->text[n->at] : -1;
}

static inline bool naive_json_take(struct naive_json *n, int c)
{
    if (naive_json_peek(n) != c) {
        return false;
    }
    n->at++;
    return true;
}

static inline void naive_json_space(struct naive_json *n)
{
    while (naive_json_peek(n) == ' ' || naive_json_peek(n) == '\n' || naive_json_peek(n) == '\r' ||
           naive_json_peek(n) == '\t') {
        n->at++;
    }
}

static inline int32_t naive_json_hex4(struct naive_json *n)
{
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int c = naive_json_peek(n);
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
        n->at++;
    }
    return value;
}

static inline bool naive_json_escape(struct naive_json *n)
{
    int c = naive_json_peek(n);
    n->at++;
    if (c != 'u') {
        return c > 0 && strchr("\"\\/bfnrt", c) != NULL;
    }
    int32_t unit = naive_json_hex4(n);
    if (unit < 0 || (unit >= 0xdc00 && unit <= 0xdfff)) {
        return false;
    }
    if (unit >= 0xd800 && unit <= 0xdbff) {
        if (!naive_json_take(n, '\\') || !naive_json_take(n, 'u')) {
            return false;
        }
        int32_t low = naive_json_hex4(n);
        return low >= 0xdc00 && low <= 0xdfff;
    }
    return true;
}

/* One character of UTF-8 beyond ASCII. */
static inline bool naive_json_character(struct naive_json *n)
{
    uint32_t lead = (uint32_t)naive_json_peek(n);
    uint32_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : 1;
    if (lead < 0xc0 || lead > 0xf7) {
        return false;
    }
    uint32_t code = lead & (0x3fu >> more);
    n->at++;
    for (uint32_t i = 0; i < more; i++) {
        int c = naive_json_peek(n);
        if (c < 0x80 || c > 0xbf) {
            return false;
        }
        code = code << 6 | ((uint32_t)c & 0x3f);
        n->at++;
    }
    uint32_t least = more == 1 ? 0x80 : more == 2 ? 0x800 : 0x10000;
    return code >= least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
}

static inline bool naive_json_string(struct naive_json *n, uint32_t *begin, uint32_t *bytes,
                                     uint8_t *escaped)
{
    if (!naive_json_take(n, '"')) {
        return false;
    }
    *begin = n->at;
    *escaped = 0;
    for (;;) {
        int c = naive_json_peek(n);
        if (c < 0x20) { /* the end, too */
            return false;
        }
        if (c == '"') {
            *bytes = n->at - *begin;
            n->at++;
            return true;
        }
        if (c == '\\') {
            *escaped = 1;
            n->at++;
            if (!naive_json_escape(n)) {
                return false;
            }
        } else if (c < 0x80) {
            n->at++;
        } else if (!naive_json_character(n)) {
            return false;
        }
    }
}

static inline bool naive_json_digits(struct naive_json *n)
{
    uint32_t begin = n->at;
    while (naive_json_peek(n) >= '0' && naive_json_peek(n) <= '9') {
        n->at++;
    }
    return n->at > begin;
}

static inline bool naive_json_number(struct naive_json *n)
{
    (void)naive_json_take(n, '-');
    if (!naive_json_take(n, '0') && !naive_json_digits(n)) {
        return false;
    }
    if (naive_json_take(n, '.') && !naive_json_digits(n)) {
        return false;
    }
    if (naive_json_take(n, 'e') || naive_json_take(n, 'E')) {
        if (!naive_json_take(n, '+')) {
            (void)naive_json_take(n, '-');
        }
        return naive_json_digits(n);
    }
    return true;
}

static inline bool naive_json_word(struct naive_json *n, const char *word)
{
    uint32_t bytes = (uint32_t)strlen(word);
    if (n->bytes - n->at < bytes || memcmp(n->text + n->at, word, bytes) != 0) {
        return false;
    }
    n->at += bytes;
    return true;
}

static inline bool naive_json_value(struct naive_json *n, struct cw_json_node key, uint32_t depth);

static inline bool naive_json_children(struct naive_json *n, bool object, uint32_t depth)
{
    char end = object ? '}' : ']';
    naive_json_space(n);
    if (naive_json_take(n, end)) {
        return true;
    }
    for (;;) {
        struct cw_json_node key = {0};
        naive_json_space(n);
        if (object) {
            if (!naive_json_string(n, &key.key, &key.key_bytes, &key.key_escaped)) {
                return false;
            }
            naive_json_space(n);
            if (!naive_json_take(n, ':')) {
                return false;
            }
            naive_json_space(n);
        }
        if (!naive_json_value(n, key, depth)) {
            return false;
        }
        naive_json_space(n);
        if (naive_json_take(n, end)) {
            return true;
        }
        if (!naive_json_take(n, ',')) {
            return false;
        }
    }
}

/* The recursion is bounded by depth_max. */
static inline bool naive_json_value(struct naive_json *n, struct cw_json_node key, uint32_t depth)
{
    uint32_t index = n->count++;
    struct cw_json_node node = key;
    bool ok = true;
    node.text = n->at;
    switch (naive_json_peek(n)) {
    case '"':
        node.type = CW_JSON_STRING;
        ok = naive_json_string(n, &node.text, &node.text_bytes, &node.escaped);
        break;
    case '{':
    case '[':
        node.type = naive_json_peek(n) == '{' ? CW_JSON_OBJECT : CW_JSON_ARRAY;
        n->at++;
        ok = depth < n->depth_max && naive_json_children(n, node.type == CW_JSON_OBJECT, depth + 1);
        node.text_bytes = n->at - node.text;
        break;
    case 't':
    case 'f':
    case 'n':
        node.type = naive_json_peek(n) == 't'   ? CW_JSON_TRUE
                    : naive_json_peek(n) == 'f' ? CW_JSON_FALSE
                                                : CW_JSON_NULL;
        ok =
            naive_json_word(n, "true") || naive_json_word(n, "false") || naive_json_word(n, "null");
        node.text_bytes = n->at - node.text;
        break;
    default:
        node.type = CW_JSON_NUMBER;
        ok = naive_json_number(n);
        node.text_bytes = n->at - node.text;
        break;
    }
    node.next = n->count;
    n->nodes[index] = node;
    return ok;
}

static inline bool naive_json_parse(struct naive_json *n)
{
    n->at = 0;
    n->count = 0;
    naive_json_space(n);
    struct cw_json_node none = {0};
    if (!naive_json_value(n, none, 0)) {
        return false;
    }
    naive_json_space(n);
    return n->at == n->bytes;
}

static inline bool naive_json_same(const struct cw_json_node *a, const struct cw_json_node *b)
{
    return a->key == b->key && a->key_bytes == b->key_bytes && a->text == b->text &&
           a->text_bytes == b->text_bytes && a->next == b->next && a->type == b->type &&
           a->key_escaped == b->key_escaped && a->escaped == b->escaped;
}

#endif
