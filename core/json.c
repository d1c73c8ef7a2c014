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
 * A string's or a number's end is not searched: whatever stands between two tokens belongs to the
 * first, so it is the last byte before the next token that is no white space; a number's or a
 * word's whole stretch must be well formed, so nothing can hide behind it.
 *
 * The walk has two gears. The fast one takes what machines write: no space before a token's end,
 * no escape, numbers without an exponent. It knows no errors: what it does not take, uncommon or
 * wrong, is one full_step, which takes everything and says what is wrong and where.
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

/* What every step touches. It has to live in registers: nobody may take its address. */
struct place {
    const char *text;
    const uint32_t *at;        /* the next token */
    struct cw_json_node *node; /* the next to be written */
    uint32_t count;            /* of those written */
};

/* What only brackets, uncommon forms and errors touch. */
struct walk {
    struct place place;
    const uint32_t *end;
    struct cw_json_node *nodes;
    uint32_t open;   /* the innermost open container, or CW_JSON_NONE */
    uint32_t levels; /* how many more may be opened */
    uint32_t error_offset;
};

#define CW_INLINE   static inline __attribute__((always_inline))
#define CW_NOINLINE __attribute__((noinline))

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

/* Over a whole text; one in the padding counts too, which costs time and changes nothing. */
static bool may_have_backslash(const char *text, uint32_t bytes)
{
    __m256i backslash = _mm256_set1_epi8('\\');
    __m256i seen = _mm256_setzero_si256();
    for (uint32_t i = 0; i < bytes; i += 32) {
        __m256i some = _mm256_loadu_si256((const __m256i *)(const void *)(text + i));
        seen = _mm256_or_si256(seen, _mm256_cmpeq_epi8(some, backslash));
    }
    return !_mm256_testz_si256(seen, seen);
}

/* The load may reach into the padding, whose bits are cut off. */
CW_INLINE bool has_backslash(const char *text, uint32_t bytes)
{
    __m256i backslash = _mm256_set1_epi8('\\');
    for (uint32_t i = 0; i < bytes; i += 32) {
        __m256i some = _mm256_loadu_si256((const __m256i *)(const void *)(text + i));
        uint32_t seen = (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(some, backslash));
        if (_bzhi_u32(seen, bytes - i < 32 ? bytes - i : 32) != 0) {
            return true;
        }
    }
    return false;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static CW_COLD size_t end_before_space(const char *text, size_t next)
{
    while (is_space(text[next - 1])) {
        next--;
    }
    return next;
}

/* Where the stretch before the next token ends. Never passes the token it belongs to, which is no
   white space. */
CW_INLINE uint32_t end_before(const char *text, size_t next)
{
    return (uint32_t)(CW_LIKELY((uint8_t)text[next - 1] > ' ') ? next
                                                               : end_before_space(text, next));
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

/* How far into a string the first bad escape is, or `bytes`. */
static CW_COLD uint32_t bad_escape(const char *text, uint32_t bytes)
{
    uint32_t at = 0;
    while (at < bytes) {
        uint32_t step = text[at] == '\\' ? escape_bytes(text + at, text + bytes) : 1;
        if (step == 0) {
            break;
        }
        at += step;
    }
    return at;
}

/* RFC 8259's number, all of the stretch. */
static bool number_ok(const char *p, uint32_t bytes)
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

/* CW_JSON_NUMBER when it is none of the three words. */
static enum cw_json_type word_type(const char *p, uint32_t bytes)
{
    if (bytes == 4 && memcmp(p, "true", 4) == 0) {
        return CW_JSON_TRUE;
    }
    if (bytes == 4 && memcmp(p, "null", 4) == 0) {
        return CW_JSON_NULL;
    }
    return bytes == 5 && memcmp(p, "false", 5) == 0 ? CW_JSON_FALSE : CW_JSON_NUMBER;
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

CW_INLINE bool is_opening(char c)
{
    return (c | 0x20) == '{';
}

/* The last four bytes of a node: its type and what is escaped. */
CW_INLINE uint32_t flags_of(enum cw_json_type type, bool key_escaped, bool escaped)
{
    return (uint32_t)type | (uint32_t)key_escaped << 8 | (uint32_t)escaped << 16;
}

/* Completes the next node, whose key is known already. */
CW_INLINE void put(struct place *p, uint32_t text, uint32_t bytes, uint32_t flags)
{
    struct cw_json_node *node = p->node++;
    p->count++;
    node->text = text;
    node->text_bytes = bytes;
    node->next = p->count;
    memcpy((char *)node + offsetof(struct cw_json_node, type), &flags, sizeof flags);
}

/* Ends the innermost container at the closing bracket p->at[-1], then those that end right behind
   it; stops before the next member or element, or when none is open. */
CW_INLINE enum cw_json_status close_containers(struct walk *w, struct place *p)
{
    for (;;) { /* bounded by the depth */
        struct cw_json_node *node = &w->nodes[w->open];
        node->text_bytes = p->at[-1] + 1 - node->text;
        w->open = node->next;
        w->levels++;
        node->next = p->count;
        if (w->open == CW_JSON_NONE) {
            return CW_JSON_PARSE_OK;
        }
        if (CW_UNLIKELY(p->at == w->end)) {
            return fail(w, CW_JSON_PARSE_STRUCTURE, p->at[0]);
        }
        char c = p->text[*p->at++];
        if (c == ',') {
            return CW_JSON_PARSE_OK;
        }
        char closing = w->nodes[w->open].type == CW_JSON_OBJECT ? '}' : ']';
        if (CW_UNLIKELY(c != closing)) {
            return fail(w, CW_JSON_PARSE_STRUCTURE, p->at[-1]);
        }
    }
}

/* The bracket at start, whose successor is p->at[0], becomes the next node. */
CW_INLINE enum cw_json_status open_container(struct walk *w, struct place *p, uint32_t start,
                                             bool key_escaped)
{
    char bracket = p->text[start];
    if (CW_UNLIKELY(w->levels == 0)) {
        return fail(w, CW_JSON_PARSE_TOO_DEEP, start);
    }
    w->levels--;
    struct cw_json_node *node = p->node;
    uint32_t open = p->count;
    put(p, start, 0, flags_of(bracket == '{' ? CW_JSON_OBJECT : CW_JSON_ARRAY, key_escaped, false));
    node->next = w->open;
    w->open = open;
    if (p->text[p->at[0]] == bracket + 2) { /* { and }, [ and ] are two apart */
        p->at++;
        return close_containers(w, p);
    }
    return CW_JSON_PARSE_OK;
}

/* The value at at[0], whatever it is, becomes the next node, and is opened if a container. */
static enum cw_json_status full_value(struct walk *w, bool key_escaped)
{
    struct place *place = &w->place;
    uint32_t start = place->at[0];
    uint32_t bytes = end_before(place->text, place->at[1]) - start;
    const char *p = place->text + start;
    place->at++;
    if (*p == '"') {
        bool escaped = has_backslash(p, bytes);
        uint32_t bad = escaped ? bad_escape(p + 1, bytes - 2) : bytes - 2;
        if (bad < bytes - 2) {
            return fail(w, CW_JSON_PARSE_ESCAPE, start + 1 + bad);
        }
        put(place, start + 1, bytes - 2, flags_of(CW_JSON_STRING, key_escaped, escaped));
    } else if (is_digit(*p) || *p == '-') {
        if (!number_ok(p, bytes)) {
            return fail(w, CW_JSON_PARSE_NUMBER, start);
        }
        put(place, start, bytes, flags_of(CW_JSON_NUMBER, key_escaped, false));
    } else if (is_opening(*p)) {
        return open_container(w, place, start, key_escaped);
    } else {
        enum cw_json_type type = word_type(p, bytes);
        if (type == CW_JSON_NUMBER) {
            return fail(w, why_no_value(*p), start);
        }
        put(place, start, bytes, flags_of(type, key_escaped, false));
    }
    return CW_JSON_PARSE_OK;
}

/* The key and the colon of the next member. */
static enum cw_json_status full_key(struct walk *w, bool *escaped)
{
    struct place *p = &w->place;
    uint32_t key = p->at[0];
    if (p->text[key] != '"') {
        return fail(w, CW_JSON_PARSE_STRUCTURE, key);
    }
    uint32_t colon = p->at[1];
    if (p->text[colon] != ':') {
        return fail(w, CW_JSON_PARSE_STRUCTURE, colon);
    }
    p->at += 2;
    uint32_t bytes = end_before(p->text, colon) - key - 2;
    p->node->key = key + 1;
    p->node->key_bytes = bytes;
    *escaped = has_backslash(p->text + key + 1, bytes);
    uint32_t bad = *escaped ? bad_escape(p->text + key + 1, bytes) : bytes;
    return bad < bytes ? fail(w, CW_JSON_PARSE_ESCAPE, key + 1 + bad) : CW_JSON_PARSE_OK;
}

/* One member or element, of any form, and the comma or bracket behind it. */
static CW_NOINLINE enum cw_json_status full_step(struct walk *w)
{
    struct place *p = &w->place;
    bool object = w->nodes[w->open].type == CW_JSON_OBJECT;
    bool key_escaped = false;
    enum cw_json_status status = CW_JSON_PARSE_OK;
    p->node->key = 0;
    p->node->key_bytes = 0;
    if (object) {
        status = full_key(w, &key_escaped);
        if (status != CW_JSON_PARSE_OK) {
            return status;
        }
    }
    bool container = is_opening(p->text[p->at[0]]);
    status = full_value(w, key_escaped);
    if (status != CW_JSON_PARSE_OK || container) {
        return status;
    }
    char c = p->text[*p->at++];
    if (c == ',') {
        return CW_JSON_PARSE_OK;
    }
    return c == (object ? '}' : ']') ? close_containers(w, p)
                                     : fail(w, CW_JSON_PARSE_STRUCTURE, p->at[-1]);
}

/* What the fast path makes of a value. */
enum cw_json_fast {
    CW_JSON_FAST_SCALAR,
    CW_JSON_FAST_CONTAINER,
    CW_JSON_FAST_NOT /* it is uncommon or wrong */
};

CW_INLINE bool plain_number(const char *p, uint32_t bytes, char first)
{
    if (bytes > 32) {
        return false;
    }
    if (first == '-') {
        p++;
        bytes--;
    }
    __m256i some = _mm256_loadu_si256((const __m256i *)(const void *)p);
    /* Moves 0 to 9 to the ten smallest signed bytes: then one comparison tells all others. */
    __m256i moved = _mm256_add_epi8(some, _mm256_set1_epi8((char)(0x80 - '0')));
    __m256i other = _mm256_cmpgt_epi8(moved, _mm256_set1_epi8((char)(0x80 + 9)));
    uint32_t others = _bzhi_u32((uint32_t)_mm256_movemask_epi8(other), bytes);
    uint32_t whole = bytes;
    if (others != 0) {
        whole = (uint32_t)__builtin_ctz(others);
        if ((others & (others - 1)) != 0 || p[whole] != '.' || whole + 1 == bytes) {
            return false;
        }
    }
    return CW_LIKELY(whole > 0) && (*p != '0' || whole == 1);
}

CW_INLINE enum cw_json_fast fast_value(struct place *place, size_t start, size_t next,
                                       bool backslash)
{
    const char *p = place->text + start;
    uint32_t bytes = (uint32_t)(next - start);
    char first = *p;
    if (first == '"') {
        if (CW_UNLIKELY(place->text[next - 1] != '"' ||
                        (backslash && has_backslash(p + 1, bytes - 2)))) {
            return CW_JSON_FAST_NOT;
        }
        put(place, (uint32_t)start + 1, bytes - 2, flags_of(CW_JSON_STRING, false, false));
        return CW_JSON_FAST_SCALAR;
    }
    if ((uint8_t)(first - '-') <= '9' - '-') { /* . and / are between, but end up refused */
        if (CW_UNLIKELY(!plain_number(p, bytes, first))) {
            return CW_JSON_FAST_NOT;
        }
        put(place, (uint32_t)start, bytes, flags_of(CW_JSON_NUMBER, false, false));
        return CW_JSON_FAST_SCALAR;
    }
    if (is_opening(first)) {
        return CW_JSON_FAST_CONTAINER;
    }
    enum cw_json_type type = word_type(p, bytes);
    if (CW_UNLIKELY(type == CW_JSON_NUMBER)) {
        return CW_JSON_FAST_NOT;
    }
    put(place, (uint32_t)start, bytes, flags_of(type, false, false));
    return CW_JSON_FAST_SCALAR;
}

/* Stands for a step that the fast path leaves to full_step, with nothing changed. */
#define NOT_FAST CW_JSON_PARSE_COUNT

/* Members up to the object's end or to a member that is a container, which is opened. */
CW_INLINE enum cw_json_status members(struct walk *w, struct place *p, bool backslash)
{
    const char *text = p->text;
    for (;;) { /* bounded by the tokens */
        const uint32_t *at = p->at;
        size_t key = at[0];
        size_t colon = at[1];
        if (CW_UNLIKELY(text[key] != '"' || text[colon] != ':' || text[colon - 1] != '"')) {
            return NOT_FAST;
        }
        size_t value = at[2];
        size_t next = at[3];
        uint32_t key_bytes = (uint32_t)(colon - key) - 2;
        if (backslash && has_backslash(p->text + key + 1, key_bytes)) {
            return NOT_FAST;
        }
        p->node->key = (uint32_t)key + 1;
        p->node->key_bytes = key_bytes;
        enum cw_json_fast fast = fast_value(p, value, next, backslash);
        if (fast == CW_JSON_FAST_CONTAINER) {
            p->at = at + 3;
            return open_container(w, p, (uint32_t)value, false);
        }
        if (CW_UNLIKELY(fast == CW_JSON_FAST_NOT)) {
            return NOT_FAST;
        }
        p->at = at + 4;
        char c = text[next];
        if (c != ',') {
            return CW_LIKELY(c == '}') ? close_containers(w, p)
                                       : fail(w, CW_JSON_PARSE_STRUCTURE, (uint32_t)next);
        }
    }
}

/* Elements up to the array's end or to an element that is a container, which is opened. */
CW_INLINE enum cw_json_status elements(struct walk *w, struct place *p, bool backslash)
{
    const char *text = p->text;
    for (;;) { /* bounded by the tokens */
        const uint32_t *at = p->at;
        size_t value = at[0];
        size_t next = at[1];
        p->node->key = 0;
        p->node->key_bytes = 0;
        enum cw_json_fast fast = fast_value(p, value, next, backslash);
        if (fast == CW_JSON_FAST_CONTAINER) {
            p->at = at + 1;
            return open_container(w, p, (uint32_t)value, false);
        }
        if (CW_UNLIKELY(fast == CW_JSON_FAST_NOT)) {
            return NOT_FAST;
        }
        p->at = at + 2;
        char c = text[next];
        if (c != ',') {
            return CW_LIKELY(c == ']') ? close_containers(w, p)
                                       : fail(w, CW_JSON_PARSE_STRUCTURE, (uint32_t)next);
        }
    }
}

/* The last token is no closing bracket though the first one opens: is something missing at the
   end, or too much? */
static CW_COLD enum cw_json_status bad_end(struct walk *w)
{
    uint32_t depth = 0;
    for (const uint32_t *at = w->place.at; at < w->end; at++) {
        char c = w->place.text[*at];
        depth += is_opening(c);
        depth -= c == '}' || c == ']';
        if (depth == 0) {
            return fail(w, CW_JSON_PARSE_TRAILING, at[1]);
        }
    }
    return fail(w, CW_JSON_PARSE_STRUCTURE, *w->end);
}

/* Steps until no container is open. */
CW_INLINE enum cw_json_status steps(struct walk *w, bool backslash)
{
    enum cw_json_status status = CW_JSON_PARSE_OK;
    struct place place = w->place;
    while (status == CW_JSON_PARSE_OK && w->open != CW_JSON_NONE) {
        status = w->nodes[w->open].type == CW_JSON_OBJECT ? members(w, &place, backslash)
                                                          : elements(w, &place, backslash);
        if (CW_UNLIKELY(status == NOT_FAST)) {
            w->place = place;
            status = full_step(w);
            place = w->place;
        }
    }
    w->place = place;
    return status;
}

/* Without any backslash in the text, as is usual, no string has to be looked at. */
static enum cw_json_status steps_without_backslash(struct walk *w)
{
    return steps(w, false);
}

static CW_NOINLINE enum cw_json_status steps_with_backslash(struct walk *w)
{
    return steps(w, true);
}

static enum cw_json_status walk(struct walk *w, bool backslash)
{
    struct place *p = &w->place;
    p->node->key = 0;
    p->node->key_bytes = 0;
    if (is_opening(p->text[p->at[0]])) {
        char last = p->text[w->end[-1]];
        if (last != '}' && last != ']') {
            return bad_end(w);
        }
    }
    enum cw_json_status status = full_value(w, false);
    if (status == CW_JSON_PARSE_OK) {
        status = backslash ? steps_with_backslash(w) : steps_without_backslash(w);
    }
    if (status == CW_JSON_PARSE_OK && p->at != w->end) {
        return fail(w, CW_JSON_PARSE_TRAILING, *p->at);
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
    struct walk w = {.place = {.text = text, .at = at, .node = parser->nodes},
                     .end = at + count,
                     .nodes = parser->nodes,
                     .open = CW_JSON_NONE,
                     .levels = parser->depth_max};
    enum cw_json_status status = walk(&w, may_have_backslash(text, text_bytes));
    doc->node_count = status == CW_JSON_PARSE_OK ? w.place.count : 0;
    doc->error_offset = w.error_offset;
    CW_ASSERT_HOT(w.place.count <= nodes_max(parser->bytes_max, parser->depth_max));
    return status;
}
