/*
 * yaml: builds the tree from libyaml's events, with a stack of open containers instead of
 * recursion, so that hostile nesting costs nothing but a problem.
 */
#ifndef _GNU_SOURCE
#    define _GNU_SOURCE 1 /* qsort_r */
#endif
#include "pipeline/yaml_ctl.h"

#include "core/arena.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct cw_yaml_level {
    uint32_t node;
    uint32_t last; /* its latest child, 0: none yet */
    uint32_t children;
};

/* What cw_yaml_open gives out is the first member, what it owns follows. */
struct cw_yaml_owner {
    struct cw_yaml doc;
    struct cw_yaml_node *nodes;
    uint32_t capacity;
    struct cw_arena arena;
    struct cw_yaml_level levels[CW_YAML_DEPTH_MAX];
    uint32_t depth;
    uint32_t *pairs; /* room to sort one mapping's keys */
    const char *file;
    struct cw_problems *problems;
    bool rooted;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* ---- what a plain scalar is ---- */

static const char *digits(const char *p)
{
    while (is_digit(*p)) {
        p++;
    }
    return p;
}

/* The part after the digits before the point: fraction and exponent, or NULL. */
static const char *tail_of_number(const char *p)
{
    if (*p == '.') {
        p = digits(p + 1);
    }
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        const char *end = digits(p);
        return end == p ? NULL : end;
    }
    return p;
}

static bool is_json_number(const char *p)
{
    p += *p == '-' ? 1 : 0;
    const char *end = digits(p);
    if (end == p || (*p == '0' && end > p + 1) || (*end == '.' && !is_digit(end[1]))) {
        return false;
    }
    end = tail_of_number(end);
    return end != NULL && *end == '\0';
}

static bool is_one_of(const char *text, const char *const *words)
{
    for (; *words != NULL; words++) {
        if (strcmp(text, *words) == 0) {
            return true;
        }
    }
    return false;
}

/* The numbers of YAML's core schema that JSON does not have. */
static bool is_odd_number(const char *text)
{
    static const char *const words[] = {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN", NULL};
    const char *p = text + (*text == '-' || *text == '+' ? 1 : 0);
    if (is_one_of(p, words)) {
        return true;
    }
    if (p[0] == '0' && (p[1] == 'x' || p[1] == 'o')) {
        const char *set = p[1] == 'x' ? "0123456789abcdefABCDEF" : "01234567";
        size_t length = strspn(p + 2, set);
        return length > 0 && p[2 + length] == '\0';
    }
    if (!is_digit(p[0]) && !(p[0] == '.' && is_digit(p[1]))) {
        return false;
    }
    const char *end = tail_of_number(digits(p));
    return end != NULL && *end == '\0';
}

static enum cw_yaml_kind kind_of(const char *text, size_t bytes)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    if (strlen(text) != bytes) {
        return CW_YAML_STRING;
    }
    if (is_one_of(text, nulls)) {
        return CW_YAML_NULL;
    }
    if (is_one_of(text, trues)) {
        return CW_YAML_TRUE;
    }
    if (is_one_of(text, falses)) {
        return CW_YAML_FALSE;
    }
    if (is_json_number(text)) {
        return CW_YAML_NUMBER;
    }
    return is_odd_number(text) ? CW_YAML_ODD : CW_YAML_STRING;
}

/* ---- the tree ---- */

static void error_at(struct cw_yaml_owner *owner, const yaml_mark_t *mark, const char *text)
{
    cw_problem_error(owner->problems, owner->file, (uint32_t)mark->line + 1,
                     (uint32_t)mark->column + 1, "%s", text);
}

static bool is_key(const struct cw_yaml_owner *owner)
{
    if (owner->depth == 0) {
        return false;
    }
    const struct cw_yaml_level *level = &owner->levels[owner->depth - 1];
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): written when added */
    return owner->nodes[level->node].type == CW_YAML_MAPPING && level->children % 2 == 0;
}

/* Appends a node below the innermost open container. NULL: a limit was passed and told. */
static struct cw_yaml_node *add_node(struct cw_yaml_owner *owner, enum cw_yaml_type type,
                                     const yaml_mark_t *mark)
{
    if (owner->doc.count == CW_YAML_NODES_MAX) {
        error_at(owner, mark, "the file holds more than 100,000 values; split it");
        return NULL;
    }
    if (owner->doc.count == owner->capacity) {
        uint32_t capacity = owner->capacity * 2;
        struct cw_yaml_node *nodes = realloc(owner->nodes, capacity * sizeof nodes[0]);
        CW_ASSERT(nodes != NULL);
        owner->nodes = nodes;
        owner->capacity = capacity;
    }
    uint32_t index = owner->doc.count++;
    struct cw_yaml_node *node = &owner->nodes[index];
    *node = (struct cw_yaml_node){.line = (uint32_t)mark->line + 1,
                                  .column = (uint32_t)mark->column + 1,
                                  .type = (uint8_t)type};
    if (owner->depth > 0) {
        struct cw_yaml_level *level = &owner->levels[owner->depth - 1];
        if (level->last != 0) {
            owner->nodes[level->last].next = index;
        }
        level->last = index;
        level->children++;
    }
    return node;
}

static bool open_container(struct cw_yaml_owner *owner, enum cw_yaml_type type,
                           const yaml_mark_t *mark)
{
    if (owner->depth == CW_YAML_DEPTH_MAX) {
        error_at(owner, mark, "the file is nested deeper than 64 levels; no key needs that");
        return false;
    }
    if (is_key(owner)) {
        error_at(owner, mark, "a key must be a word, not a list or a mapping");
    }
    if (add_node(owner, type, mark) == NULL) {
        return false;
    }
    owner->levels[owner->depth++] = (struct cw_yaml_level){.node = owner->doc.count - 1};
    return true;
}

static int compare_keys(const void *a, const void *b, void *context)
{
    const struct cw_yaml_node *nodes = context;
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    int order = cw_view_compare(nodes[left].text, nodes[right].text);
    return order != 0 ? order : (left > right) - (left < right);
}

/* Sorted, so that a mapping of fifty thousand keys is no work for an afternoon. */
static void find_repeated_keys(struct cw_yaml_owner *owner, uint32_t mapping)
{
    uint32_t count = 0;
    for (uint32_t i = cw_yaml_first(&owner->doc, mapping); i != 0;
         i = owner->nodes[owner->nodes[i].next].next) {
        if (owner->nodes[i].type == CW_YAML_SCALAR) {
            owner->pairs[count++] = i;
        }
    }
    qsort_r(owner->pairs, count, sizeof owner->pairs[0], compare_keys, owner->nodes);
    for (uint32_t i = 1, first = 0; i < count; i++) {
        const struct cw_yaml_node *a = &owner->nodes[owner->pairs[first]];
        const struct cw_yaml_node *b = &owner->nodes[owner->pairs[i]];
        if (!cw_view_equal(a->text, b->text)) {
            first = i;
            continue;
        }
        char shown[CW_YAML_SHOWN_BYTES];
        cw_problem_error(owner->problems, owner->file, b->line, b->column,
                         "the key \"%s\" is written twice (first on line %u); keep one of them",
                         cw_yaml_printable(b->text, shown, sizeof shown), a->line);
    }
}

static void close_container(struct cw_yaml_owner *owner)
{
    CW_ASSERT(owner->depth > 0);
    struct cw_yaml_level *level = &owner->levels[--owner->depth];
    struct cw_yaml_node *node = &owner->nodes[level->node];
    /* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): written when added */
    bool mapping = node->type == CW_YAML_MAPPING;
    node->count = mapping ? level->children / 2 : level->children;
    if (mapping && node->count > 1) {
        owner->doc.nodes = owner->nodes;
        if (owner->pairs == NULL) {
            owner->pairs = malloc(CW_YAML_NODES_MAX * sizeof owner->pairs[0]);
            CW_ASSERT(owner->pairs != NULL);
        }
        find_repeated_keys(owner, level->node);
    }
}

static bool add_scalar(struct cw_yaml_owner *owner, const yaml_event_t *event)
{
    bool key = is_key(owner);
    struct cw_yaml_node *node = add_node(owner, CW_YAML_SCALAR, &event->start_mark);
    if (node == NULL) {
        return false;
    }
    struct cw_view text = {(const char *)event->data.scalar.value,
                           (uint32_t)event->data.scalar.length};
    node->text = cw_arena_copy(&owner->arena, text);
    node->plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    node->block = event->data.scalar.style == YAML_LITERAL_SCALAR_STYLE ||
                  event->data.scalar.style == YAML_FOLDED_SCALAR_STYLE;
    node->kind =
        (uint8_t)(node->plain && !key ? kind_of(node->text.data, text.bytes) : CW_YAML_STRING);
    return true;
}

static void refuse_marks(struct cw_yaml_owner *owner, const yaml_event_t *event,
                         const yaml_char_t *anchor, const yaml_char_t *tag)
{
    if (anchor != NULL) {
        error_at(owner, &event->start_mark,
                 "anchors (&name) are not read here; write the value "
                 "out wherever it is needed");
    }
    if (tag != NULL) {
        error_at(owner, &event->start_mark,
                 "tags (!name) are not read here; remove it, and put a "
                 "value in quotes to make it a string");
    }
}

/* True: go on. */
static bool take_event(struct cw_yaml_owner *owner, const yaml_event_t *event)
{
    const yaml_mark_t *mark = &event->start_mark;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (owner->rooted) {
            error_at(owner, mark, "a second document starts here; one file holds one program");
            return false;
        }
        owner->rooted = true;
        return true;
    case YAML_ALIAS_EVENT:
        error_at(owner, mark,
                 "aliases (*name) and merge keys (<<) are not read here; write the "
                 "value out");
        return add_node(owner, CW_YAML_REFUSED, mark) != NULL;
    case YAML_SCALAR_EVENT:
        refuse_marks(owner, event, event->data.scalar.anchor, event->data.scalar.tag);
        return add_scalar(owner, event);
    case YAML_SEQUENCE_START_EVENT:
        refuse_marks(owner, event, event->data.sequence_start.anchor,
                     event->data.sequence_start.tag);
        return open_container(owner, CW_YAML_SEQUENCE, mark);
    case YAML_MAPPING_START_EVENT:
        refuse_marks(owner, event, event->data.mapping_start.anchor, event->data.mapping_start.tag);
        return open_container(owner, CW_YAML_MAPPING, mark);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: close_container(owner); return true;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT: return true;
    }
    return true;
}

/* ---- what libyaml and UTF-8 refuse ---- */

struct cw_yaml_place {
    uint32_t line, column;
};

static struct cw_yaml_place place_of(struct cw_view text, size_t offset)
{
    struct cw_yaml_place place = {1, 1};
    for (size_t i = 0; i < offset && i < text.bytes; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c == '\n') {
            place.line++;
            place.column = 1;
        } else if ((c & 0xc0) != 0x80) {
            place.column++;
        }
    }
    return place;
}

/* Bytes of the character at p, or 0 when it is none (RFC 3629). */
static uint32_t character_bytes(const uint8_t *p, size_t left)
{
    if (p[0] < 0x80) {
        return 1;
    }
    uint32_t need = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
    if (p[0] < 0xc2 || p[0] > 0xf4 || left < need) {
        return 0;
    }
    for (uint32_t i = 1; i < need; i++) {
        if ((p[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool beyond = (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf4 && p[1] >= 0x90);
    return overlong || beyond ? 0 : need;
}

static bool check_utf8(struct cw_yaml_owner *owner, struct cw_view text)
{
    for (size_t i = 0; i < text.bytes;) {
        uint32_t bytes = character_bytes((const uint8_t *)text.data + i, text.bytes - i);
        if (bytes == 0) {
            struct cw_yaml_place place = place_of(text, i);
            cw_problem_error(owner->problems, owner->file, place.line, place.column,
                             "byte 0x%02x is not UTF-8; save the file as UTF-8",
                             (unsigned)(uint8_t)text.data[i]);
            return false;
        }
        i += bytes;
    }
    return true;
}

/* libyaml compares each %TAG with all before it, which takes a long file seconds to refuse. */
static bool check_directives(struct cw_yaml_owner *owner, struct cw_view text)
{
    static const char tag[] = "%TAG";
    for (const char *p = text.data; p != NULL && p < text.data + text.bytes;) {
        size_t left = text.bytes - (size_t)(p - text.data);
        if (left >= sizeof tag - 1 && memcmp(p, tag, sizeof tag - 1) == 0) {
            struct cw_yaml_place place = place_of(text, (size_t)(p - text.data));
            cw_problem_error(owner->problems, owner->file, place.line, place.column,
                             "%%TAG directives are not read here; remove the line");
            return false;
        }
        p = memchr(p, '\n', left);
        p = p == NULL ? NULL : p + 1;
    }
    return true;
}

/* The byte that a mark points at. */
static char byte_at(struct cw_view text, const yaml_mark_t *mark)
{
    size_t i = 0;
    for (size_t characters = 0; characters < mark->index && i < text.bytes; characters++) {
        uint32_t bytes = character_bytes((const uint8_t *)text.data + i, text.bytes - i);
        i += bytes == 0 ? 1 : bytes;
    }
    return i < text.bytes ? text.data[i] : '\0';
}

static void tell_syntax(struct cw_yaml_owner *owner, const yaml_parser_t *parser,
                        struct cw_view text)
{
    const char *what = parser->problem == NULL ? "it cannot be read" : parser->problem;
    if (parser->error == YAML_READER_ERROR) {
        struct cw_yaml_place place = place_of(text, parser->problem_offset);
        cw_problem_error(owner->problems, owner->file, place.line, place.column,
                         "this is not YAML: %s; remove the character", what);
        return;
    }
    const yaml_mark_t *mark = &parser->problem_mark;
    char context[96] = "";
    if (parser->context != NULL && parser->context_mark.line != mark->line) {
        (void)snprintf(context, sizeof context, " %s that starts on line %zu,", parser->context,
                       parser->context_mark.line + 1);
    }
    const char *remedy = byte_at(text, mark) == '\t'
                             ? "indent with spaces instead of the tab"
                             : "look at the indentation, colons, quotes and brackets up to here";
    cw_problem_error(owner->problems, owner->file, (uint32_t)mark->line + 1,
                     (uint32_t)mark->column + 1, "this is not YAML:%s %s; %s", context, what,
                     remedy);
}

static bool build(struct cw_yaml_owner *owner, struct cw_view text)
{
    yaml_parser_t parser;
    if (!check_utf8(owner, text) || !check_directives(owner, text)) {
        return false;
    }
    if (yaml_parser_initialize(&parser) == 0) {
        cw_problem_error(owner->problems, owner->file, 0, 0, "no memory to read the file");
        return false;
    }
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text.data, text.bytes);
    bool good = true;
    bool more = true;
    while (good && more) { /* each event but few takes a byte of the text */
        yaml_event_t event;
        if (yaml_parser_parse(&parser, &event) == 0) {
            tell_syntax(owner, &parser, text);
            good = false;
            break;
        }
        more = event.type != YAML_STREAM_END_EVENT;
        good = take_event(owner, &event);
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (good && owner->doc.count == 0) {
        cw_problem_error(owner->problems, owner->file, 1, 1, "the file is empty");
        good = false;
    }
    return good;
}

cw_err cw_yaml_open(struct cw_yaml **doc, struct cw_view text, const char *file,
                    struct cw_problems *problems, struct cw_fault *fault)
{
    struct cw_yaml_owner *owner = calloc(1, sizeof *owner);
    CW_ASSERT(owner != NULL);
    /* Escapes grow text by half at most, whole chunks can double it. */
    size_t text_bytes_max = (size_t)text.bytes * 4 + ((size_t)1 << 20);
    cw_err err = cw_arena_open(&owner->arena, 64 << 10, text_bytes_max, fault);
    if (err != CW_ERR_OK) {
        free(owner);
        return err;
    }
    owner->capacity = 256;
    owner->nodes = malloc(owner->capacity * sizeof owner->nodes[0]);
    CW_ASSERT(owner->nodes != NULL);
    owner->file = file;
    owner->problems = problems;
    if (text.bytes >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        text = (struct cw_view){text.data + 3, text.bytes - 3}; /* a byte order mark */
    }
    bool good = build(owner, text);
    owner->doc.nodes = owner->nodes;
    free(owner->pairs);
    owner->pairs = NULL;
    if (!good) {
        cw_yaml_close(&owner->doc);
        return cw_fail(fault, CW_ERR_INVALID, "%s is not YAML that can be read", file);
    }
    CW_ASSERT(owner->depth == 0);
    *doc = &owner->doc;
    return CW_ERR_OK;
}

void cw_yaml_close(struct cw_yaml *doc)
{
    if (doc == NULL) {
        return;
    }
    static_assert(offsetof(struct cw_yaml_owner, doc) == 0, "the document is its owner's head");
    struct cw_yaml_owner *owner = (struct cw_yaml_owner *)doc;
    cw_arena_close(&owner->arena);
    free(owner->nodes);
    free(owner);
}

/* ---- for messages ---- */

const char *cw_yaml_printable(struct cw_view text, char *out, size_t room)
{
    CW_ASSERT(room > 8);
    size_t used = 0;
    for (size_t i = 0; i < text.bytes;) {
        uint32_t bytes = character_bytes((const uint8_t *)text.data + i, text.bytes - i);
        if (used + (bytes == 0 ? 1 : bytes) + 4 > room) {
            memcpy(out + used, "...", 3);
            used += 3;
            break;
        }
        uint8_t c = (uint8_t)text.data[i];
        /* C1 control characters (U+0080 to U+009F) move terminals too. */
        bool control =
            bytes == 0 || c < 0x20 || c == 0x7f || (c == 0xc2 && (uint8_t)text.data[i + 1] < 0xa0);
        if (control) {
            out[used++] = '?';
        } else {
            memcpy(out + used, text.data + i, bytes);
            used += bytes;
        }
        i += bytes == 0 ? 1 : bytes;
    }
    out[used] = '\0';
    return out;
}

void cw_yaml_show(const struct cw_yaml_node *node, char out[CW_YAML_SHOWN_BYTES])
{
    char text[48];
    (void)cw_yaml_printable(node->text, text, sizeof text);
    if (node->type != CW_YAML_SCALAR) {
        (void)snprintf(out, CW_YAML_SHOWN_BYTES, "%s",
                       node->type == CW_YAML_MAPPING ? "a mapping" : "a list");
        return;
    }
    switch ((enum cw_yaml_kind)node->kind) {
    case CW_YAML_STRING: (void)snprintf(out, CW_YAML_SHOWN_BYTES, "the string \"%s\"", text); break;
    case CW_YAML_NULL: (void)snprintf(out, CW_YAML_SHOWN_BYTES, "nothing"); break;
    case CW_YAML_TRUE:
    case CW_YAML_FALSE: (void)snprintf(out, CW_YAML_SHOWN_BYTES, "%s", text); break;
    case CW_YAML_NUMBER:
    case CW_YAML_ODD: (void)snprintf(out, CW_YAML_SHOWN_BYTES, "the number %s", text); break;
    }
}
