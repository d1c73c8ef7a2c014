#include "pipeline/html_scan.h"

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static void append(char *name, uint32_t *bytes, char c)
{
    if (*bytes < CW_HTML_NAME_MAX) {
        name[(*bytes)++] = lower(c);
    }
}

static bool at(struct cw_view text, uint32_t from, struct cw_view what)
{
    if (text.bytes - from < what.bytes) {
        return false;
    }
    for (uint32_t i = 0; i < what.bytes; i++) {
        if (lower(text.data[from + i]) != what.data[i]) {
            return false;
        }
    }
    return true;
}

/* Elements whose text is not HTML. */
static bool holds_code(const struct cw_html *html)
{
    static const char *const names[] = {"script", "style", "iframe", "noframes", "noembed", "xmp"};
    for (uint32_t i = 0; i < CW_COUNTOF(names); i++) {
        if (html->tag_bytes == strlen(names[i]) &&
            memcmp(html->tag, names[i], html->tag_bytes) == 0) {
            return !html->closing;
        }
    }
    return false;
}

static void close_tag(struct cw_html *html)
{
    html->place = holds_code(html) ? CW_HTML_CODE : CW_HTML_TEXT;
    html->code_match = 0;
}

/* At `<` in text; returns how many bytes it took. */
static uint32_t open_angle(struct cw_html *html, struct cw_view text, uint32_t from)
{
    if (at(text, from, CW_VIEW("<!--[if")) || at(text, from, CW_VIEW("<!["))) {
        html->place = CW_HTML_DECLARATION;
        return 3;
    }
    if (at(text, from, CW_VIEW("<!-->"))) {
        return 5;
    }
    if (at(text, from, CW_VIEW("<!--"))) {
        html->place = CW_HTML_COMMENT;
        html->dash_count = 0;
        return 4;
    }
    if (at(text, from, CW_VIEW("<!")) || at(text, from, CW_VIEW("<?"))) {
        html->place = CW_HTML_DECLARATION;
        return 2;
    }
    bool closing = at(text, from, CW_VIEW("</"));
    uint32_t name = from + (closing ? 2 : 1);
    if (name >= text.bytes || is_letter(text.data[name])) {
        html->place = CW_HTML_TAG_NAME; /* also `<` just before a variable: a tag's name */
        html->closing = closing;
        html->tag_bytes = 0;
        html->name_bytes = 0;
        return name - from;
    }
    return 1;
}

/* Inside a tag, outside a quoted value. */
static void tag_byte(struct cw_html *html, const char *p)
{
    char c = *p;
    if (c == '>') {
        close_tag(html);
    } else if (html->place == CW_HTML_BEFORE_VALUE && !is_space(c)) {
        html->place = c == '"' || c == '\'' ? CW_HTML_VALUE : CW_HTML_VALUE_BARE;
        html->quote = c;
        html->value = p + 1;
    } else if (html->place == CW_HTML_BEFORE_VALUE) {
        return;
    } else if (is_space(c) || (c == '/' && html->place != CW_HTML_VALUE_BARE)) {
        bool named = html->place == CW_HTML_ATTRIBUTE_NAME || html->place == CW_HTML_TAG;
        html->name_bytes = named && c != '/' ? html->name_bytes : 0;
        html->place = CW_HTML_TAG;
    } else if (html->place == CW_HTML_TAG_NAME) {
        append(html->tag, &html->tag_bytes, c);
    } else if (c == '=' && html->name_bytes > 0 && html->place != CW_HTML_VALUE_BARE) {
        html->place = CW_HTML_BEFORE_VALUE; /* also with blanks before it */
    } else if (html->place == CW_HTML_TAG) {
        html->place = CW_HTML_ATTRIBUTE_NAME;
        html->name_bytes = 0;
        append(html->name, &html->name_bytes, c);
    } else if (html->place == CW_HTML_ATTRIBUTE_NAME) {
        append(html->name, &html->name_bytes, c);
    }
}

/* The end of script and style is their own closing tag alone. */
static void code_byte(struct cw_html *html, char c)
{
    uint32_t match = html->code_match;
    bool fits = match == 0                    ? c == '<'
                : match == 1                  ? c == '/'
                : match < html->tag_bytes + 2 ? lower(c) == html->tag[match - 2]
                                              : false;
    if (match == html->tag_bytes + 2 && (is_space(c) || c == '/' || c == '>')) {
        html->closing = true;
        html->place = c == '>' ? CW_HTML_TEXT : CW_HTML_TAG;
        return;
    }
    html->code_match = fits ? match + 1 : c == '<' ? 1 : 0;
}

static void comment_byte(struct cw_html *html, char c)
{
    if (c == '>' && html->dash_count >= 2) {
        html->place = CW_HTML_TEXT;
    }
    html->dash_count = c == '-' ? html->dash_count + 1 : 0;
}

void cw_html_feed(struct cw_html *html, struct cw_view text)
{
    uint32_t i = 0;
    while (i < text.bytes) {
        char c = text.data[i];
        switch (html->place) {
        case CW_HTML_TEXT: i += c == '<' ? open_angle(html, text, i) : 1; continue;
        case CW_HTML_COMMENT: comment_byte(html, c); break;
        case CW_HTML_DECLARATION:
            html->place = c == '>' ? CW_HTML_TEXT : CW_HTML_DECLARATION;
            break;
        case CW_HTML_VALUE:
            if (c == html->quote) {
                html->place = CW_HTML_TAG;
                html->name_bytes = 0;
            }
            break;
        case CW_HTML_CODE: code_byte(html, c); break;
        case CW_HTML_TAG_NAME:
        case CW_HTML_TAG:
        case CW_HTML_ATTRIBUTE_NAME:
        case CW_HTML_BEFORE_VALUE:
        case CW_HTML_VALUE_BARE: tag_byte(html, text.data + i); break;
        }
        i++;
    }
}

bool cw_html_same(const struct cw_html *a, const struct cw_html *b)
{
    if (a->place != b->place || a->dash_count != b->dash_count || a->code_match != b->code_match) {
        return false;
    }
    if (a->place == CW_HTML_TEXT || a->place == CW_HTML_COMMENT ||
        a->place == CW_HTML_DECLARATION) {
        return true;
    }
    bool tag = a->closing == b->closing && a->tag_bytes == b->tag_bytes &&
               memcmp(a->tag, b->tag, a->tag_bytes) == 0;
    if (a->place == CW_HTML_TAG_NAME || a->place == CW_HTML_CODE) {
        return tag;
    }
    bool name = a->name_bytes == b->name_bytes && memcmp(a->name, b->name, a->name_bytes) == 0;
    return tag && name && (a->place != CW_HTML_VALUE || a->value == b->value);
}
