/*
 * message_scan: the variables, and where they stand in a text.
 *
 * cw_tag_next must read tags exactly as the library's parser does (the fuzz target compares them),
 * since what it calls safe is then given to that parser.
 */
#define _GNU_SOURCE 1 /* memmem */
#include "pipeline/message_priv.h"

const struct cw_variable_row cw_variables[CW_VARIABLE_COUNT] = {
#define CW_X(id, name, use) {name, use},
    CW_VARIABLES(CW_X)
#undef CW_X
};

enum cw_variable cw_variable_find(struct cw_view name)
{
    for (uint32_t i = 0; i < CW_VARIABLE_COUNT; i++) {
        struct cw_view known = {cw_variables[i].name, (uint32_t)strlen(cw_variables[i].name)};
        if (cw_view_equal(name, known)) {
            return (enum cw_variable)i;
        }
    }
    return CW_VARIABLE_COUNT;
}

static bool is_space(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static struct cw_view trim(struct cw_view text)
{
    while (text.bytes > 0 && is_space(text.data[0])) {
        text.data++;
        text.bytes--;
    }
    while (text.bytes > 0 && is_space(text.data[text.bytes - 1])) {
        text.bytes--;
    }
    return text;
}

static uint32_t find(struct cw_view text, uint32_t from, const char *what)
{
    uint32_t bytes = (uint32_t)strlen(what);
    const char *hit =
        from >= text.bytes ? NULL : memmem(text.data + from, text.bytes - from, what, bytes);
    return hit == NULL ? text.bytes : (uint32_t)(hit - text.data);
}

static enum cw_tag_kind kind_of(struct cw_view *content)
{
    static const struct {
        char sign;
        enum cw_tag_kind kind;
    } signs[] = {
        {'#', CW_TAG_SECTION}, {'^', CW_TAG_INVERTED},  {'/', CW_TAG_CLOSE}, {'!', CW_TAG_COMMENT},
        {'>', CW_TAG_PARTIAL}, {'=', CW_TAG_DELIMITER}, {'&', CW_TAG_RAW},
    };

    for (uint32_t i = 0; content->bytes > 0 && i < CW_COUNTOF(signs); i++) {
        if (content->data[0] == signs[i].sign) {
            *content = trim((struct cw_view){content->data + 1, content->bytes - 1});
            return signs[i].kind;
        }
    }
    return CW_TAG_PRINT;
}

struct cw_tag cw_tag_next(struct cw_view text, uint32_t from)
{
    struct cw_tag tag = {.kind = CW_TAG_NONE, .at = find(text, from, "{{"), .end = text.bytes};
    if (tag.at == text.bytes) {
        return tag;
    }
    bool triple = tag.at + 2 < text.bytes && text.data[tag.at + 2] == '{';
    const char *closing = triple ? "}}}" : "}}";
    uint32_t start = tag.at + (triple ? 3 : 2);
    uint32_t stop = find(text, start, closing);
    if (stop == text.bytes) {
        tag.kind = CW_TAG_UNCLOSED;
        return tag;
    }
    tag.name = trim((struct cw_view){text.data + start, stop - start});
    tag.end = stop + (triple ? 3 : 2);
    /* The library looks for = before it looks at the third brace. */
    bool delimiter = tag.name.bytes > 0 && tag.name.data[0] == '=';
    tag.kind = triple && !delimiter ? CW_TAG_RAW : kind_of(&tag.name);
    return tag;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

struct cw_brace cw_brace_next(struct cw_view text, uint32_t from)
{
    struct cw_brace brace = {.kind = CW_BRACE_END, .at = from, .end = from};
    if (from >= text.bytes) {
        return brace;
    }
    if (text.data[from] == '{') {
        uint32_t end = from + 1;
        while (end < text.bytes && is_word(text.data[end])) {
            end++;
        }
        if (end > from + 1 && end < text.bytes && text.data[end] == '}') {
            brace.text = (struct cw_view){text.data + from + 1, end - from - 1};
            brace.variable = cw_variable_find(brace.text);
            bool usable = brace.variable != CW_VARIABLE_COUNT &&
                          (cw_variables[brace.variable].use & CW_VAR_TEXT) != 0;
            brace.kind = usable ? CW_BRACE_VARIABLE : CW_BRACE_UNKNOWN;
            brace.end = end + 1;
            return brace;
        }
    }
    const char *next = memchr(text.data + from + 1, '{', text.bytes - from - 1);
    brace.kind = CW_BRACE_LITERAL;
    brace.end = next == NULL ? text.bytes : (uint32_t)(next - text.data);
    brace.text = (struct cw_view){text.data + from, brace.end - from};
    return brace;
}
