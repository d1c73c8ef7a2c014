#include "core/json.h"

#include "core/json_priv.h"

#include <immintrin.h>
#include <sys/mman.h>

/* The leak checker does not look into mappings by itself, and one holds the way to stage 1. */
#ifdef __has_feature
#    if __has_feature(address_sanitizer)
#        include <sanitizer/lsan_interface.h>
#        define LSAN_SEES(p, bytes)    __lsan_register_root_region((p), (bytes))
#        define LSAN_FORGETS(p, bytes) __lsan_unregister_root_region((p), (bytes))
#    endif
#endif
#ifndef LSAN_SEES
#    define LSAN_SEES(p, bytes)    ((void)0)
#    define LSAN_FORGETS(p, bytes) ((void)0)
#endif

/*
 * How it works. Stage 1 gives the offset of every token (json_priv.h). One walk over the offsets
 * proves the grammar: a member is four of them (key, colon, value, what follows), an element two.
 * A string's or a number's end is not searched: it is the last byte before the next token that is
 * no white space, and whatever stands between two tokens belongs to the first, so that a number's
 * or a word's whole stretch must be well formed and nothing can hide behind it.
 *
 * Containers that are still open are chained through their nodes' `next`, so the walk needs no
 * stack. It never runs off the end of the offsets: the last token is known to be a closing bracket
 * before it starts; no key, colon or value can be that; and closing looks at the end each time.
 *
 * Bytes behind the text may be loaded but never decide anything: every stretch ends at the text's
 * end at the latest.
 */
struct cw_json_parser {
    struct cw_json_stage1 *stage1;
    size_t mapped_bytes;
    uint32_t bytes_max;
    uint32_t depth_max;
    struct cw_json_node nodes[];
};

struct walk {
    const char *text;
    const uint32_t *at; /* the next token */
    const uint32_t *end;
    struct cw_json_node *nodes;
    uint32_t count; /* of nodes */
    uint32_t open;  /* the innermost open container */
    uint32_t depth, depth_max;
    bool backslash; /* there is one in the text */
    uint32_t error_offset;
};

#define CW_INLINE static inline __attribute__((always_inline))

static const char *const status_texts[CW_JSON_PARSE_COUNT] = {
#define CW_X(name, text) text,
    CW_JSON_STATUSES(CW_X)
#undef CW_X
};

const char *cw_json_status_text(enum cw_json_status status)
{
    CW_ASSERT(status < CW_JSON_PARSE_COUNT);
    return status_texts[status];
}

/* A value takes a token of its own and a comma, colon or bracket, but for the containers that a
   broken document leaves open, and for a root that is no container. */
static uint32_t nodes_max(uint32_t bytes_max, uint32_t depth_max)
{
    return bytes_max / 2 + depth_max + 2;
}

cw_err cw_json_open(struct cw_json_parser **parser, uint32_t bytes_max, uint32_t depth_max,
                    struct cw_fault *fault)
{
    CW_ASSERT(bytes_max > 0 && bytes_max <= UINT32_MAX / 2);
    CW_ASSERT(depth_max > 0 && depth_max <= bytes_max + CW_JSON_DEPTH_MAX);
    size_t bytes =
        sizeof **parser + (size_t)nodes_max(bytes_max, depth_max) * sizeof(struct cw_json_node);
    struct cw_json_parser *fresh = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fresh == MAP_FAILED) {
        return cw_fail(fault, CW_ERR_IO, "mmap of %zu bytes for JSON", bytes);
    }
    *fresh = (struct cw_json_parser){
        .mapped_bytes = bytes, .bytes_max = bytes_max, .depth_max = depth_max};
    fresh->stage1 = cw_json_stage1_open(bytes_max);
    if (fresh->stage1 == NULL) {
        (void)munmap(fresh, bytes);
        return cw_fail(fault, CW_ERR_LIMIT, "no memory to read JSON of %u bytes", bytes_max);
    }
    LSAN_SEES(fresh, sizeof *fresh);
    *parser = fresh;
    return CW_ERR_OK;
}

void cw_json_close(struct cw_json_parser *parser)
{
    if (parser != NULL) {
        cw_json_stage1_close(parser->stage1);
        LSAN_FORGETS(parser, sizeof *parser);
        (void)munmap(parser, parser->mapped_bytes);
    }
}

static bool has_backslash(const char *text, uint32_t bytes)
{
    __m256i backslash = _mm256_set1_epi8('\\');
    __m256i seen = _mm256_setzero_si256();
    for (uint32_t i = 0; i < bytes; i += 32) {
        __m256i some = _mm256_loadu_si256((const __m256i *)(const void *)(text + i));
        seen = _mm256_or_si256(seen, _mm256_cmpeq_epi8(some, backslash));
    }
    return !_mm256_testz_si256(seen, seen);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Where the stretch before the next token ends. Never passes the token it belongs to, which is no
   white space. */
CW_INLINE uint32_t end_before(const char *text, uint32_t next)
{
    if (CW_UNLIKELY((uint8_t)text[next - 1] <= ' ')) {
        while (is_space(text[next - 1])) {
            next--;
        }
    }
    return next;
}

/* Four hexadecimal digits, or UINT32_MAX. */
static uint32_t hex4(const char *p)
{
    uint32_t value = 0;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        char low = (char)(c | 0x20);
        if (is_digit(c)) {
            value = value * 16 + (uint32_t)(c - '0');
        } else if (low >= 'a' && low <= 'f') {
            value = value * 16 + (uint32_t)(low - 'a' + 10);
        } else {
            return UINT32_MAX;
        }
    }
    return value;
}

/* How long the escape at p is, 0 when there is no such escape. */
static uint32_t escape_bytes(const char *p, const char *end)
{
    if (end - p < 2) {
        return 0;
    }
    switch (p[1]) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't': return 2;
    case 'u': break;
    default: return 0;
    }
    uint32_t unit = end - p >= 6 ? hex4(p + 2) : UINT32_MAX;
    if (unit == UINT32_MAX) {
        return 0;
    }
    if ((unit & 0xf800u) != 0xd800u) {
        return 6;
    }
    bool pair = unit < 0xdc00u && end - p >= 12 && p[6] == '\\' && p[7] == 'u';
    uint32_t low = pair ? hex4(p + 8) : 0;
    return low >= 0xdc00u && low <= 0xdfffu ? 12 : 0;
}

/* Looks at the escapes between a string's quotes: the first bad one, or NULL; *escaped tells
   whether there are any. */
static const char *bad_escape(const char *text, uint32_t bytes, uint8_t *escaped)
{
    const char *end = text + bytes;
    const char *p = memchr(text, '\\', bytes);
    *escaped = p != NULL;
    while (p != NULL) {
        uint32_t step = escape_bytes(p, end);
        if (step == 0) {
            return p;
        }
        p += step;
        p = memchr(p, '\\', (size_t)(end - p));
    }
    return NULL;
}

/* RFC 8259's number, all of the stretch. */
static bool any_number_ok(const char *p, uint32_t bytes)
{
    const char *end = p + bytes;
    p += p < end && *p == '-';
    const char *first = p;
    while (p < end && is_digit(*p)) {
        p++;
    }
    if (p == first || (*first == '0' && p - first > 1)) {
        return false;
    }
    if (p < end && *p == '.') {
        const char *fraction = ++p;
        while (p < end && is_digit(*p)) {
            p++;
        }
        if (p == fraction) {
            return false;
        }
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        p += p < end && (*p == '+' || *p == '-');
        const char *exponent = p;
        while (p < end && is_digit(*p)) {
            p++;
        }
        if (p == exponent) {
            return false;
        }
    }
    return p == end;
}

/* The same for the usual shapes, at most 31 bytes without an exponent, at once: one bit per byte
   that is no digit. The load may reach into the padding, whose bits are cut off. */
CW_INLINE bool number_ok(const char *p, uint32_t bytes)
{
    if (CW_LIKELY(bytes < 32)) {
        __m256i some = _mm256_loadu_si256((const __m256i *)(const void *)p);
        __m256i value = _mm256_sub_epi8(some, _mm256_set1_epi8('0'));
        __m256i digit = _mm256_cmpeq_epi8(_mm256_min_epu8(value, _mm256_set1_epi8(9)), value);
        uint32_t minus = *p == '-';
        uint32_t others = (~(uint32_t)_mm256_movemask_epi8(digit) & ((1u << bytes) - 1)) >> minus;
        p += minus;
        bytes -= minus;
        bool lead_ok = bytes > 0 && (others & 1) == 0 && (*p != '0' || bytes == 1 || (others & 2));
        if (CW_LIKELY(lead_ok)) {
            uint32_t point = (uint32_t)__builtin_ctz(others | 1u << 31);
            if (others == 0 ||
                ((others & (others - 1)) == 0 && p[point] == '.' && point + 1 < bytes)) {
                return true;
            }
        }
        p -= minus;
        bytes += minus;
    }
    return any_number_ok(p, bytes);
}

CW_INLINE bool word_ok(const char *p, uint32_t bytes, uint8_t *type)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    uint32_t word_true, word_null, word_alse;
    memcpy(&word_true, "true", 4);
    memcpy(&word_null, "null", 4);
    memcpy(&word_alse, "alse", 4);
    if (bytes == 4 && word == word_true) {
        *type = CW_JSON_TRUE;
        return true;
    }
    if (bytes == 4 && word == word_null) {
        *type = CW_JSON_NULL;
        return true;
    }
    memcpy(&word, p + 1, sizeof word);
    *type = CW_JSON_FALSE;
    return bytes == 5 && *p == 'f' && word == word_alse;
}

/* What a stretch that is no value was probably meant to be. */
static CW_COLD enum cw_json_status why_no_value(char first)
{
    char low = (char)(first | 0x20);
    if (low >= 'a' && low <= 'z') {
        return CW_JSON_PARSE_LITERAL;
    }
    return first == '+' || first == '.' ? CW_JSON_PARSE_NUMBER : CW_JSON_PARSE_STRUCTURE;
}

CW_INLINE enum cw_json_status fail(struct walk *w, enum cw_json_status status, uint32_t offset)
{
    w->error_offset = offset;
    return status;
}

/* The string, number or word from start to before next becomes node w->count. */
CW_INLINE enum cw_json_status scalar(struct walk *w, uint32_t start, uint32_t next)
{
    struct cw_json_node *node = &w->nodes[w->count];
    const char *p = w->text + start;
    uint32_t bytes = end_before(w->text, next) - start;
    uint8_t type;
    uint8_t escaped = 0;
    if (*p == '"') {
        CW_ASSERT_HOT(bytes >= 2 && p[bytes - 1] == '"');
        type = CW_JSON_STRING;
        start++;
        bytes -= 2;
        if (CW_UNLIKELY(w->backslash)) {
            const char *bad = bad_escape(p + 1, bytes, &escaped);
            if (bad != NULL) {
                return fail(w, CW_JSON_PARSE_ESCAPE, (uint32_t)(bad - w->text));
            }
        }
    } else if (is_digit(*p) || *p == '-') {
        type = CW_JSON_NUMBER;
        if (CW_UNLIKELY(!number_ok(p, bytes))) {
            return fail(w, CW_JSON_PARSE_NUMBER, start);
        }
    } else if (CW_UNLIKELY(!word_ok(p, bytes, &type))) {
        return fail(w, why_no_value(*p), start);
    }
    w->count++;
    node->text = start;
    node->text_bytes = bytes;
    node->next = w->count;
    node->type = type;
    node->escaped = escaped;
    return CW_JSON_PARSE_OK;
}

/* Ends the innermost container at the closing bracket w->at[-1], then those that end right behind
   it; stops before the next member or element, or with depth 0. */
CW_INLINE enum cw_json_status close_containers(struct walk *w)
{
    for (;;) { /* bounded by the depth */
        struct cw_json_node *node = &w->nodes[w->open];
        node->text_bytes = w->at[-1] + 1 - node->text;
        w->open = node->next;
        node->next = w->count;
        w->depth--;
        if (w->depth == 0) {
            return CW_JSON_PARSE_OK;
        }
        if (CW_UNLIKELY(w->at == w->end)) {
            return fail(w, CW_JSON_PARSE_STRUCTURE, w->at[0]);
        }
        char c = w->text[*w->at++];
        if (c == ',') {
            return CW_JSON_PARSE_OK;
        }
        char closing = w->nodes[w->open].type == CW_JSON_OBJECT ? '}' : ']';
        if (CW_UNLIKELY(c != closing)) {
            return fail(w, CW_JSON_PARSE_STRUCTURE, w->at[-1]);
        }
    }
}

/* The bracket at start, whose successor is w->at[0], becomes node w->count. */
CW_INLINE enum cw_json_status open_container(struct walk *w, uint32_t start)
{
    char bracket = w->text[start];
    if (CW_UNLIKELY(w->depth == w->depth_max)) {
        return fail(w, CW_JSON_PARSE_TOO_DEEP, start);
    }
    struct cw_json_node *node = &w->nodes[w->count];
    node->text = start;
    node->next = w->open;
    node->type = bracket == '{' ? CW_JSON_OBJECT : CW_JSON_ARRAY;
    node->escaped = 0;
    w->open = w->count;
    w->count++;
    w->depth++;
    if (w->text[w->at[0]] == bracket + 2) { /* { and }, [ and ] are two apart */
        w->at++;
        return close_containers(w);
    }
    return CW_JSON_PARSE_OK;
}

CW_INLINE bool is_opening(char c)
{
    return (c | 0x20) == '{';
}

/* Members up to the object's end or to a member that is a container, which is opened. */
CW_INLINE enum cw_json_status members(struct walk *w)
{
    for (;;) { /* bounded by the tokens */
        const uint32_t *at = w->at;
        const char *text = w->text;
        if (CW_UNLIKELY(text[at[0]] != '"' || text[at[1]] != ':')) {
            return fail(w, CW_JSON_PARSE_STRUCTURE, at[text[at[0]] == '"']);
        }
        struct cw_json_node *node = &w->nodes[w->count];
        node->key = at[0] + 1;
        node->key_bytes = end_before(text, at[1]) - at[0] - 2;
        node->key_escaped = 0;
        if (CW_UNLIKELY(w->backslash)) {
            const char *bad = bad_escape(text + node->key, node->key_bytes, &node->key_escaped);
            if (bad != NULL) {
                return fail(w, CW_JSON_PARSE_ESCAPE, (uint32_t)(bad - text));
            }
        }
        if (is_opening(text[at[2]])) {
            w->at = at + 3;
            return open_container(w, at[2]);
        }
        enum cw_json_status status = scalar(w, at[2], at[3]);
        if (CW_UNLIKELY(status != CW_JSON_PARSE_OK)) {
            return status;
        }
        w->at = at + 4;
        char c = text[at[3]];
        if (c != ',') {
            return CW_LIKELY(c == '}') ? close_containers(w)
                                       : fail(w, CW_JSON_PARSE_STRUCTURE, at[3]);
        }
    }
}

/* Elements up to the array's end or to an element that is a container, which is opened. */
CW_INLINE enum cw_json_status elements(struct walk *w)
{
    for (;;) { /* bounded by the tokens */
        const uint32_t *at = w->at;
        struct cw_json_node *node = &w->nodes[w->count];
        node->key = 0;
        node->key_bytes = 0;
        node->key_escaped = 0;
        if (is_opening(w->text[at[0]])) {
            w->at = at + 1;
            return open_container(w, at[0]);
        }
        enum cw_json_status status = scalar(w, at[0], at[1]);
        if (CW_UNLIKELY(status != CW_JSON_PARSE_OK)) {
            return status;
        }
        w->at = at + 2;
        char c = w->text[at[1]];
        if (c != ',') {
            return CW_LIKELY(c == ']') ? close_containers(w)
                                       : fail(w, CW_JSON_PARSE_STRUCTURE, at[1]);
        }
    }
}

/* The last token is no closing bracket though the first one opens: is something missing at the
   end, or too much? */
static CW_COLD enum cw_json_status bad_end(struct walk *w)
{
    uint32_t depth = 0;
    for (const uint32_t *at = w->at; at < w->end; at++) {
        char c = w->text[*at];
        depth += is_opening(c);
        depth -= c == '}' || c == ']';
        if (depth == 0) {
            return fail(w, CW_JSON_PARSE_TRAILING, at[1]);
        }
    }
    return fail(w, CW_JSON_PARSE_STRUCTURE, *w->end);
}

static enum cw_json_status walk(struct walk *w)
{
    struct cw_json_node *root = w->nodes;
    root->key = 0;
    root->key_bytes = 0;
    root->key_escaped = 0;
    enum cw_json_status status;
    uint32_t first = w->at[0];
    if (!is_opening(w->text[first])) {
        status = scalar(w, first, w->at[1]);
        w->at++;
    } else {
        char last = w->text[w->end[-1]];
        if (last != '}' && last != ']') {
            return bad_end(w);
        }
        w->at++;
        status = open_container(w, first);
        while (status == CW_JSON_PARSE_OK && w->depth > 0) {
            status = w->nodes[w->open].type == CW_JSON_OBJECT ? members(w) : elements(w);
        }
    }
    if (status == CW_JSON_PARSE_OK && w->at != w->end) {
        return fail(w, CW_JSON_PARSE_TRAILING, *w->at);
    }
    return status;
}

/* How long the UTF-8 sequence at p is (Unicode 15, table 3-7), 0 when it is none. */
static uint32_t utf8_bytes(const uint8_t *p, size_t room)
{
    static const struct {
        uint8_t lead_min, lead_max, second_min, second_max, bytes;
    } rows[] = {
        {0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };

    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        if (p[0] < rows[i].lead_min || p[0] > rows[i].lead_max) {
            continue;
        }
        if (rows[i].bytes > room ||
            (rows[i].bytes > 1 && (p[1] < rows[i].second_min || p[1] > rows[i].second_max))) {
            return 0;
        }
        for (uint32_t b = 2; b < rows[i].bytes; b++) {
            if ((p[b] & 0xc0) != 0x80) {
                return 0;
            }
        }
        return rows[i].bytes;
    }
    return 0;
}

/* Stage 1 refused the text: where is it, and which of the two is it? */
static CW_COLD enum cw_json_status why_refused(struct cw_json *doc)
{
    const uint8_t *text = (const uint8_t *)doc->text;
    for (uint32_t i = 0; i < doc->text_bytes;) {
        uint32_t bytes = utf8_bytes(text + i, doc->text_bytes - i);
        if (bytes == 0) {
            doc->error_offset = i;
            return CW_JSON_PARSE_UTF8;
        }
        i += bytes;
    }
    bool inside = false;
    for (uint32_t i = 0; i < doc->text_bytes; i++) {
        if (text[i] == '\\') {
            i++;
        } else if (text[i] == '"') {
            inside = !inside;
            doc->error_offset = i; /* stands when this one is never closed */
        } else if (inside && text[i] < 0x20) {
            doc->error_offset = i;
            break;
        }
    }
    return CW_JSON_PARSE_STRING;
}

enum cw_json_status cw_json_parse(struct cw_json_parser *parser, const char *text,
                                  uint32_t text_bytes, struct cw_json *doc)
{
    *doc = (struct cw_json){.text = text, .text_bytes = text_bytes, .nodes = parser->nodes};
    if (text_bytes > parser->bytes_max) {
        doc->error_offset = parser->bytes_max;
        return CW_JSON_PARSE_TOO_LONG;
    }
    const uint32_t *at;
    uint32_t count;
    enum cw_json_stage1_status found =
        cw_json_stage1_run(parser->stage1, text, text_bytes, &at, &count);
    if (CW_UNLIKELY(found != CW_JSON_STAGE1_OK)) {
        CW_ASSERT(found != CW_JSON_STAGE1_BROKEN);
        return found == CW_JSON_STAGE1_EMPTY ? CW_JSON_PARSE_EMPTY : why_refused(doc);
    }
    struct walk w = {.text = text,
                     .at = at,
                     .end = at + count,
                     .nodes = parser->nodes,
                     .depth_max = parser->depth_max,
                     .backslash = has_backslash(text, text_bytes)};
    enum cw_json_status status = walk(&w);
    doc->node_count = status == CW_JSON_PARSE_OK ? w.count : 0;
    doc->error_offset = w.error_offset;
    CW_ASSERT_HOT(w.count <= nodes_max(parser->bytes_max, parser->depth_max));
    return status;
}
