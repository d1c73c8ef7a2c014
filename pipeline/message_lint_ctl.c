/*
 * message_lint_ctl: what is wrong with a program's texts and with templates.
 *
 * A template's check walks its tags once, following sections on a small stack and, in HTML, the
 * place that each variable stands at. A section must begin and end at the same place of the HTML:
 * then every way through the sections is read as the straight one is, and the walk proves for all
 * of them that no value stands where escaping does not help.
 */
#include "pipeline/html_scan.h"
#include "pipeline/message_priv.h"

#include <stdio.h>

enum {
    NAME_SHOWN_MAX = 60
};

struct open_section {
    struct cw_tag tag;
    enum cw_variable variable;
    struct cw_html html;
};

struct check {
    const char *file;
    struct cw_view text;
    bool is_html, variables, discount_allowed;
    struct cw_problems *problems;
    struct cw_html html;
    struct open_section sections[CW_SECTIONS_MAX];
    uint32_t depth;
    uint32_t line, line_start, counted; /* of the offset counted so far */
};

static int shown(struct cw_view name)
{
    return (int)(name.bytes < NAME_SHOWN_MAX ? name.bytes : NAME_SHOWN_MAX);
}

static uint32_t code_points(const char *data, uint32_t bytes)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        count += ((unsigned char)data[i] & 0xc0) != 0x80;
    }
    return count;
}

/* The nearest name that may be used this way, or NULL. */
static const char *nearest(struct cw_view name, uint32_t use)
{
    char word[64];
    if (name.bytes == 0 || name.bytes >= sizeof word) {
        return NULL;
    }
    memcpy(word, name.data, name.bytes);
    word[name.bytes] = '\0';
    const char *known[CW_VARIABLE_COUNT];
    uint32_t count = 0;
    for (uint32_t i = 0; i < CW_VARIABLE_COUNT; i++) {
        if ((cw_variables[i].use & use) != 0) {
            known[count++] = cw_variables[i].name;
        }
    }
    return cw_nearest(word, known, count);
}

/* "; did you mean {x}?" or the names there are. */
static void hint(char *out, size_t bytes, struct cw_view name, uint32_t use, const char *open,
                 const char *close)
{
    const char *near = nearest(name, use);
    if (near != NULL) {
        (void)snprintf(out, bytes, "did you mean %s%s%s?", open, near, close);
        return;
    }
    size_t used = (size_t)snprintf(out, bytes, "there are");
    for (uint32_t i = 0; i < CW_VARIABLE_COUNT && used < bytes; i++) {
        if ((cw_variables[i].use & use) != 0) {
            used += (size_t)snprintf(out + used, bytes - used, " %s", cw_variables[i].name);
        }
    }
}

static void unknown_in_text(struct cw_view name, const char *file, uint32_t line, uint32_t column,
                            struct cw_problems *problems)
{
    char text[240];
    enum cw_variable variable = cw_variable_find(name);
    if (variable != CW_VARIABLE_COUNT) {
        cw_problem_error(problems, file, line, column,
                         "{%s} works in e-mail templates only, not in a program's own text",
                         cw_variables[variable].name);
        return;
    }
    hint(text, sizeof text, name, CW_VAR_TEXT, "{", "}");
    cw_problem_error(problems, file, line, column, "there is no variable {%.*s}; %s", shown(name),
                     name.data, text);
}

/* A piece of text that holds no variable; only its first byte can be an opening brace. */
static void literal_braces(struct cw_view text, const char *file, uint32_t line, uint32_t column,
                           struct cw_problems *problems)
{
    uint32_t i = 0;
    if (text.data[0] == '{') {
        bool closed = memchr(text.data, '}', text.bytes) != NULL;
        cw_problem_error(problems, file, line, column, "%s",
                         closed ? "a brace begins no variable; write the text without braces"
                                : "a brace is opened and not closed; a variable is written "
                                  "{customerName}, and a text has no other braces");
        i = 1;
    }
    for (; i < text.bytes; i++) {
        if (text.data[i] == '}') {
            cw_problem_error(problems, file, line,
                             column == 0 ? 0 : column + code_points(text.data, i),
                             "a brace is closed that none opened; write the text without braces");
            return; /* one for a piece is enough */
        }
    }
}

static void double_braces(const struct cw_tag *tag, const char *file, uint32_t line,
                          uint32_t column, struct cw_problems *problems)
{
    bool known = tag->kind != CW_TAG_UNCLOSED && cw_variable_find(tag->name) != CW_VARIABLE_COUNT;
    struct cw_view name = known ? tag->name : CW_VIEW("customerName");
    cw_problem_error(problems, file, line, column,
                     "double braces are for template files; in a program's text write {%.*s}",
                     shown(name), name.data);
}

void cw_message_lint(struct cw_view text, bool discount_allowed, const char *file, uint32_t line,
                     uint32_t column, struct cw_problems *problems)
{
    uint32_t from = 0;
    uint32_t here = column;
    uint32_t counted = 0;
    while (from < text.bytes && problems->count < CW_PROBLEMS_MAX) {
        here += column == 0 ? 0 : code_points(text.data + counted, from - counted);
        counted = from;
        if (text.bytes - from >= 2 && memcmp(text.data + from, "{{", 2) == 0) {
            struct cw_tag tag = cw_tag_next(text, from);
            double_braces(&tag, file, line, here, problems);
            from = tag.end; /* when it is not closed, the text's end */
            continue;
        }
        struct cw_brace brace = cw_brace_next(text, from);
        from = brace.end;
        if (brace.kind == CW_BRACE_LITERAL) {
            literal_braces(brace.text, file, line, here, problems);
        } else if (brace.kind == CW_BRACE_UNKNOWN) {
            unknown_in_text(brace.text, file, line, here, problems);
        } else if (!discount_allowed && (cw_variables[brace.variable].use & CW_VAR_DISCOUNT) != 0) {
            cw_problem_error(problems, file, line, here,
                             "{%s} stands in a message without a discount (includeDiscount or "
                             "discountStrategy is off); leave it out, or turn the discount on",
                             cw_variables[brace.variable].name);
        }
    }
}

/* Line and column of an offset; offsets come in ascending order. */
static void place_of(struct check *check, uint32_t offset, uint32_t *line, uint32_t *column)
{
    for (; check->counted < offset; check->counted++) {
        if (check->text.data[check->counted] == '\n') {
            check->line++;
            check->line_start = check->counted + 1;
        }
    }
    *line = check->line;
    *column = 1 + code_points(check->text.data + check->line_start, offset - check->line_start);
}

#define COMPLAIN(check, offset, ...)                                                     \
    do {                                                                                 \
        uint32_t line_;                                                                  \
        uint32_t column_;                                                                \
        place_of((check), (offset), &line_, &column_);                                   \
        cw_problem_error((check)->problems, (check)->file, line_, column_, __VA_ARGS__); \
    } while (0)

#define REMARK(check, offset, ...)                                                        \
    do {                                                                                  \
        uint32_t line_;                                                                   \
        uint32_t column_;                                                                 \
        place_of((check), (offset), &line_, &column_);                                    \
        cw_problem_remark((check)->problems, (check)->file, line_, column_, __VA_ARGS__); \
    } while (0)

static bool inside(const struct check *check, enum cw_variable variable)
{
    for (uint32_t i = 0; i < check->depth; i++) {
        if (check->sections[i].variable == variable &&
            check->sections[i].tag.kind == CW_TAG_SECTION) {
            return true;
        }
    }
    return false;
}

static bool name_is_one_of(const struct cw_html *html, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strlen(*names) == html->name_bytes &&
            memcmp(*names, html->name, html->name_bytes) == 0) {
            return true;
        }
    }
    return false;
}

static bool begins(struct cw_view text, struct cw_view with)
{
    if (text.bytes < with.bytes) {
        return false;
    }
    for (uint32_t i = 0; i < with.bytes; i++) {
        char c = text.data[i];
        if ((c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c) != with.data[i]) {
            return false;
        }
    }
    return true;
}

/* A variable inside a quoted attribute value. */
static void check_attribute(struct check *check, const struct cw_tag *tag, uint32_t use)
{
    static const char *const addresses[] = {"href",   "src",      "action",     "formaction",
                                            "data",   "cite",     "background", "poster",
                                            "lowsrc", "longdesc", "xlink:href", NULL};
    static const char *const codes[] = {"style", "srcdoc", "srcset", "ping", NULL};
    const struct cw_html *html = &check->html;
    bool handler = html->name_bytes >= 2 && memcmp(html->name, "on", 2) == 0;
    if (handler || name_is_one_of(html, codes)) {
        COMPLAIN(check, tag->at,
                 "a variable stands in the attribute %.*s, which is more than text; no value can "
                 "be made safe there",
                 (int)html->name_bytes, html->name);
        return;
    }
    if (!name_is_one_of(html, addresses)) {
        return;
    }
    struct cw_view before = {html->value, (uint32_t)(check->text.data + tag->at - html->value)};
    bool follows = begins(before, CW_VIEW("{{")) || begins(before, CW_VIEW("http://")) ||
                   begins(before, CW_VIEW("https://")) || begins(before, CW_VIEW("mailto:")) ||
                   begins(before, CW_VIEW("tel:"));
    if ((use & CW_VAR_URL) == 0 && !follows) {
        COMPLAIN(check, tag->at,
                 "{{%.*s}} is no address, so it cannot begin %.*s; use cartLink, imageUrl, "
                 "unsubscribeLink or openPixel, or begin with https://",
                 shown(tag->name), tag->name.data, (int)html->name_bytes, html->name);
    }
}

/* Whether escaping makes a value safe where it stands. */
static void check_place(struct check *check, const struct cw_tag *tag, uint32_t use)
{
    switch (check->html.place) {
    case CW_HTML_TEXT:
    case CW_HTML_COMMENT: break;
    case CW_HTML_VALUE: check_attribute(check, tag, use); break;
    case CW_HTML_CODE:
        COMPLAIN(check, tag->at,
                 "a variable stands inside <%.*s>, where nothing is escaped; move it out",
                 (int)check->html.tag_bytes, check->html.tag);
        break;
    case CW_HTML_BEFORE_VALUE:
    case CW_HTML_VALUE_BARE:
        COMPLAIN(check, tag->at,
                 "the value of %.*s has no quotes, so a variable could end it; write "
                 "%.*s=\"{{...}}\"",
                 (int)check->html.name_bytes, check->html.name, (int)check->html.name_bytes,
                 check->html.name);
        break;
    case CW_HTML_DECLARATION:
    case CW_HTML_TAG_NAME:
    case CW_HTML_TAG:
    case CW_HTML_ATTRIBUTE_NAME:
        COMPLAIN(check, tag->at,
                 "a variable stands inside a tag and outside a quoted value; it may stand in text "
                 "or in quotes");
        break;
    }
}

static void check_discount(struct check *check, const struct cw_tag *tag, enum cw_variable variable)
{
    if (inside(check, CW_VARIABLE_DISCOUNT) || inside(check, variable)) {
        return;
    }
    if (!check->discount_allowed) {
        COMPLAIN(check, tag->at,
                 "{{%.*s}} stands in a message without a discount (includeDiscount or "
                 "discountStrategy is off); put it between {{#discount}} and {{/discount}}, or "
                 "leave it out",
                 shown(tag->name), tag->name.data);
    } else {
        REMARK(check, tag->at,
               "{{%.*s}} says 0 or nothing in a message whose discount came to nothing; put it "
               "between {{#discount}} and {{/discount}}",
               shown(tag->name), tag->name.data);
    }
}

/* A use of a variable, printed or as a section. */
static void check_variable(struct check *check, const struct cw_tag *tag)
{
    bool prints = tag->kind == CW_TAG_PRINT;
    uint32_t wanted = prints ? CW_VAR_PRINT : CW_VAR_SECTION;
    enum cw_variable variable = cw_variable_find(tag->name);
    uint32_t use = variable == CW_VARIABLE_COUNT ? 0 : cw_variables[variable].use;
    if ((use & wanted) == 0) {
        char text[240];
        bool other = variable != CW_VARIABLE_COUNT;
        hint(text, sizeof text, tag->name, wanted, "{{", "}}");
        COMPLAIN(check, tag->at, "%s {{%s%.*s}}; %s",
                 other ? (prints ? "a section cannot be printed:"
                                 : "this is always there, no "
                                   "section:")
                       : "there is no variable",
                 prints ? "" : "#", shown(tag->name), tag->name.data, text);
        return;
    }
    if ((use & CW_VAR_ITEM) != 0 && !inside(check, CW_VARIABLE_ITEMS)) {
        COMPLAIN(check, tag->at,
                 "{{%.*s}} belongs to an item; put it between {{#items}} and {{/items}}",
                 shown(tag->name), tag->name.data);
    } else if (prints && (use & CW_VAR_GUARDED) != 0 && !inside(check, variable)) {
        COMPLAIN(check, tag->at, "{{%.*s}} may be missing; put it between {{#%.*s}} and {{/%.*s}}",
                 shown(tag->name), tag->name.data, shown(tag->name), tag->name.data,
                 shown(tag->name), tag->name.data);
    } else if (prints && (use & CW_VAR_DISCOUNT) != 0) {
        check_discount(check, tag, variable);
    }
}

/* False when it is too deep to go on. */
static bool open_section(struct check *check, const struct cw_tag *tag)
{
    enum cw_variable variable = cw_variable_find(tag->name);
    if (check->depth == CW_SECTIONS_MAX) {
        COMPLAIN(check, tag->at, "sections are nested deeper than %u; this is where it is too deep",
                 CW_SECTIONS_MAX);
        return false;
    }
    if (variable == CW_VARIABLE_ITEMS && inside(check, CW_VARIABLE_ITEMS)) {
        COMPLAIN(check, tag->at, "{{#items}} stands inside itself; close the first one before");
    }
    if (check->variables) {
        check_variable(check, tag);
    }
    check->sections[check->depth++] =
        (struct open_section){.tag = *tag, .variable = variable, .html = check->html};
    return true;
}

/* False when the nesting makes no sense any more, so that the walk ends. */
static bool close_section(struct check *check, const struct cw_tag *tag)
{
    if (check->depth == 0) {
        COMPLAIN(check, tag->at, "{{/%.*s}} closes a section that is not open; remove it",
                 shown(tag->name), tag->name.data);
        return false;
    }
    check->depth--;
    const struct open_section *open = &check->sections[check->depth];
    if (!cw_view_equal(open->tag.name, tag->name)) {
        COMPLAIN(check, tag->at,
                 "{{/%.*s}} closes another section than the open one; close {{#%.*s}} first",
                 shown(tag->name), tag->name.data, shown(open->tag.name), open->tag.name.data);
        return false;
    }
    if (check->is_html && !cw_html_same(&open->html, &check->html)) {
        COMPLAIN(check, tag->at,
                 "the section %.*s begins and ends at different places of the HTML (inside a tag, "
                 "or inside quotes); let it hold whole tags or whole values",
                 shown(tag->name), tag->name.data);
    }
    return true;
}

/* False: the walk ends here. */
static bool check_tag(struct check *check, const struct cw_tag *tag)
{
    switch (tag->kind) {
    case CW_TAG_PRINT: {
        enum cw_variable variable = cw_variable_find(tag->name);
        uint32_t use = variable == CW_VARIABLE_COUNT ? 0 : cw_variables[variable].use;
        if (check->is_html) {
            check_place(check, tag, use);
        }
        if (check->variables) {
            check_variable(check, tag);
        }
        return true;
    }
    case CW_TAG_SECTION:
    case CW_TAG_INVERTED: return open_section(check, tag);
    case CW_TAG_CLOSE: return close_section(check, tag);
    case CW_TAG_COMMENT: return true;
    case CW_TAG_RAW:
        COMPLAIN(check, tag->at,
                 "a variable is not escaped here, so a customer's name could be HTML; write "
                 "{{%.*s}}",
                 shown(tag->name), tag->name.data);
        return true;
    case CW_TAG_PARTIAL:
        COMPLAIN(check, tag->at, "templates cannot include others; put the text here");
        return true;
    case CW_TAG_DELIMITER:
        COMPLAIN(check, tag->at, "the braces cannot be changed to other signs; remove this tag");
        return false;
    case CW_TAG_UNCLOSED:
        COMPLAIN(check, tag->at, "a tag is opened with {{ and not closed; close it with }}");
        return false;
    case CW_TAG_NONE: break;
    }
    return false;
}

/* {customerName} in a template would go out as it stands. */
static void check_single_braces(struct check *check, uint32_t from, uint32_t to)
{
    struct cw_view text = {check->text.data, to};
    while (from < to) {
        struct cw_brace brace = cw_brace_next(text, from);
        if (brace.kind == CW_BRACE_VARIABLE) {
            COMPLAIN(check, brace.at, "a template takes double braces; write {{%s}}",
                     cw_variables[brace.variable].name);
        }
        from = brace.end;
    }
}

/* Length of the UTF-8 character at p, of which so many bytes are left; 0 when it is none. */
static uint32_t utf8_bytes(const unsigned char *p, uint32_t left)
{
    unsigned char c = p[0];
    if (c < 0x80) {
        return 1;
    }
    uint32_t bytes = c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
    if (bytes == 0 || bytes > left) {
        return 0;
    }
    for (uint32_t k = 1; k < bytes; k++) {
        if ((p[k] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (c == 0xe0 && p[1] < 0xa0) || (c == 0xf0 && p[1] < 0x90);
    bool outside = (c == 0xed && p[1] > 0x9f) || (c == 0xf4 && p[1] > 0x8f);
    return overlong || outside ? 0 : bytes;
}

/* Offset of the first byte that is no UTF-8, no text (a control character), or the end. */
static uint32_t bad_byte(struct cw_view text)
{
    const unsigned char *p = (const unsigned char *)text.data;
    uint32_t i = 0;
    while (i < text.bytes) {
        bool control =
            p[i] == 0x7f || (p[i] < 0x20 && p[i] != '\t' && p[i] != '\n' && p[i] != '\r');
        uint32_t bytes = utf8_bytes(p + i, text.bytes - i);
        if (control || bytes == 0) {
            return i;
        }
        i += bytes;
    }
    return i;
}

void cw_template_check(const char *file, struct cw_view text, bool html, bool variables,
                       bool discount_allowed, struct cw_problems *problems)
{
    struct check check = {.file = file,
                          .text = text,
                          .is_html = html,
                          .variables = variables,
                          .discount_allowed = discount_allowed,
                          .problems = problems,
                          .line = 1};
    uint32_t bad = bad_byte(text);
    if (bad < text.bytes) {
        COMPLAIN(&check, bad, "this byte is no UTF-8 text (0x%02x); save the file as UTF-8",
                 (unsigned)(unsigned char)text.data[bad]);
        return;
    }
    uint32_t from = 0;
    while (problems->count < CW_PROBLEMS_MAX) {
        struct cw_tag tag = cw_tag_next(text, from);
        if (variables) {
            check_single_braces(&check, from, tag.at);
        }
        if (html) {
            cw_html_feed(&check.html, (struct cw_view){text.data + from, tag.at - from});
        }
        if (tag.kind == CW_TAG_NONE) {
            break;
        }
        if (!check_tag(&check, &tag)) {
            return;
        }
        from = tag.end;
    }
    if (check.depth > 0) {
        const struct cw_tag *open = &check.sections[check.depth - 1].tag;
        check.line = 1;
        check.line_start = check.counted = 0; /* back up the file */
        COMPLAIN(&check, open->at, "the section {{#%.*s}} is not closed; end it with {{/%.*s}}",
                 shown(open->name), open->name.data, shown(open->name), open->name.data);
    }
}

void cw_template_lint(struct cw_view file, struct cw_view text, bool discount_allowed,
                      struct cw_problems *problems)
{
    char name[256];
    (void)snprintf(name, sizeof name, "%.*s", (int)(file.bytes < 255 ? file.bytes : 255),
                   file.data);
    struct cw_view end = CW_VIEW(".html");
    bool html = file.bytes >= end.bytes &&
                memcmp(file.data + file.bytes - end.bytes, end.data, end.bytes) == 0;
    cw_template_check(name, text, html, true, discount_allowed, problems);
}
