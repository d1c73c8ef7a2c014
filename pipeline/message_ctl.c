/* message_ctl: the registry of templates. */
#include "pipeline/message_priv.h"

#include <stdlib.h>

cw_err cw_templates_open(struct cw_templates **templates, struct cw_fault *fault)
{
    struct cw_templates *made = calloc(1, sizeof *made);
    if (made != NULL) {
        made->list = calloc(CW_TEMPLATES_MAX, sizeof made->list[0]);
    }
    if (made == NULL || made->list == NULL) {
        free(made);
        return cw_fail(fault, CW_ERR_LIMIT, "no memory for templates");
    }
    *templates = made;
    return CW_ERR_OK;
}

void cw_templates_close(struct cw_templates *templates)
{
    if (templates == NULL) {
        return;
    }
    for (uint32_t i = 0; i < templates->count; i++) {
        cw_mustache_close(templates->list[i].parsed);
    }
    cw_text_deinit(&templates->values);
    free(templates->list);
    free(templates);
}

static bool ends_with(struct cw_view text, struct cw_view end)
{
    return text.bytes >= end.bytes &&
           memcmp(text.data + text.bytes - end.bytes, end.data, end.bytes) == 0;
}

/* The language tag in ID.LOCALE.html, or NULL: two or three letters, then subtags. */
static struct cw_view locale_of(struct cw_view stem)
{
    uint32_t start = stem.bytes;
    while (start > 0 && stem.data[start - 1] != '.') {
        start--;
    }
    struct cw_view tag = {stem.data + start, stem.bytes - start};
    uint32_t run = 0;
    bool first = true;
    for (uint32_t i = 0; i <= tag.bytes; i++) {
        char c = (char)(i < tag.bytes ? tag.data[i] : '-');
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        bool digit = c >= '0' && c <= '9';
        if (c == '-' || c == '_') {
            if (run == 0 || run > 8 || (first && (run < 2 || run > 3))) {
                return (struct cw_view){0};
            }
            first = false;
            run = 0;
        } else if (letter || (digit && !first)) {
            run++;
        } else {
            return (struct cw_view){0};
        }
    }
    return start == 0 ? (struct cw_view){0} : tag;
}

static cw_err name_check(struct cw_view file, struct cw_fault *fault)
{
    bool known = ends_with(file, CW_VIEW(".html")) || ends_with(file, CW_VIEW(".txt"));
    if (!known || file.bytes >= CW_TEMPLATE_NAME_MAX || file.data[0] == '.') {
        return cw_fail(fault, CW_ERR_INVALID,
                       "a template file is called ID.html, ID.txt or ID.LOCALE.html, in at most "
                       "%u bytes; not %.*s",
                       CW_TEMPLATE_NAME_MAX - 1, (int)(file.bytes < 150 ? file.bytes : 150),
                       file.data);
    }
    return CW_ERR_OK;
}

static cw_err text_check(const char *name, struct cw_view text, bool html, struct cw_fault *fault)
{
    struct cw_problems problems = {0};
    cw_template_check(name, text, html, false, true, &problems);
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; err == CW_ERR_OK && i < problems.count; i++) {
        const struct cw_problem *problem = &problems.list[i];
        if (!problem->remark) {
            err = cw_fail(fault, CW_ERR_INVALID, "%s:%u:%u: %.180s", name, problem->line,
                          problem->column, problem->text);
        }
    }
    cw_problems_deinit(&problems);
    return err;
}

/* The first id_bytes of the name count as they are, the language tag after them as tags do. */
static struct cw_template *find_file(struct cw_templates *templates, struct cw_view name,
                                     uint32_t id_bytes)
{
    struct cw_view tag = {name.data + id_bytes, name.bytes - id_bytes};
    for (uint32_t i = 0; i < templates->count; i++) {
        struct cw_template *tpl = &templates->list[i];
        if (tpl->name_bytes == name.bytes && memcmp(tpl->name, name.data, id_bytes) == 0 &&
            cw_locale_tag_equal(tag, (struct cw_view){tpl->name + id_bytes, tag.bytes})) {
            return tpl;
        }
    }
    return NULL;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* When the line at `from` holds sections, ends of sections and comments alone, where the next line
   begins; else `from`. The tags are put to out. */
static uint32_t take_tag_line(struct cw_view text, uint32_t from, struct cw_text *out)
{
    size_t before = out->bytes;
    uint32_t i = from;
    bool tags = false;
    while (i < text.bytes && text.data[i] != '\n') {
        struct cw_tag tag = {0};
        if (text.data[i] == '{' && i + 1 < text.bytes && text.data[i + 1] == '{') {
            tag = cw_tag_next(text, i);
        }
        if (tag.kind == CW_TAG_SECTION || tag.kind == CW_TAG_INVERTED || tag.kind == CW_TAG_CLOSE ||
            tag.kind == CW_TAG_COMMENT) {
            if (tag.at != i) {
                break;
            }
            cw_text_put(out, text.data + tag.at, tag.end - tag.at);
            tags = true;
            i = tag.end;
        } else if (is_blank(text.data[i])) {
            i++;
        } else {
            break;
        }
    }
    if (tags && (i == text.bytes || text.data[i] == '\n')) {
        return i < text.bytes ? i + 1 : i;
    }
    out->bytes = before;
    return from;
}

static char prepared(char c)
{
    switch (c) {
    case '\r':
    case '\n': return CW_PREPARED_NEWLINE;
    case ' ': return CW_PREPARED_SPACE;
    case '\t': return CW_PREPARED_TAB;
    default: return c;
    }
}

/* Puts what is left of the line at `from`, its tags as they are; returns where the next begins.
 *tag is the first at or after `from` and is moved on. */
static uint32_t take_line(struct cw_view text, uint32_t from, struct cw_tag *tag,
                          struct cw_text *out)
{
    uint32_t i = from;
    while (i < text.bytes) {
        if (i == tag->at) {
            cw_text_put(out, text.data + tag->at, tag->end - tag->at);
            i = tag->end;
            *tag = cw_tag_next(text, i);
            continue;
        }
        char c = text.data[i++];
        bool pair = c == '\r' && i < text.bytes && text.data[i] == '\n';
        if (!pair) { /* nothing else is dropped: two braces must not meet that were apart */
            cw_text_char(out, prepared(c));
        }
        if (c == '\n') {
            break;
        }
    }
    return i;
}

/* The text as the library gets it: see CW_PREPARED_NEWLINE. A line with nothing but such tags is
   no line of the message, as Mustache has it. */
static void prepare(struct cw_view text, struct cw_text *out)
{
    uint32_t i = 0;
    struct cw_tag tag = cw_tag_next(text, 0);
    while (i < text.bytes) {
        if (tag.at < i) {
            tag = cw_tag_next(text, i);
        }
        uint32_t next = take_tag_line(text, i, out);
        i = next > i ? next : take_line(text, i, &tag, out);
    }
}

static uint32_t count_tags(struct cw_view text)
{
    uint32_t count = 0;
    for (struct cw_tag tag = cw_tag_next(text, 0); tag.kind != CW_TAG_NONE;
         tag = cw_tag_next(text, tag.end)) {
        count++;
    }
    return count;
}

cw_err cw_templates_add(struct cw_templates *templates, struct cw_view file, struct cw_view text,
                        struct cw_fault *fault)
{
    cw_err err = name_check(file, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    if (templates->count == CW_TEMPLATES_MAX) {
        return cw_fail(fault, CW_ERR_LIMIT, "more than %u template files", CW_TEMPLATES_MAX);
    }
    struct cw_template made = {.name_bytes = file.bytes, .html = ends_with(file, CW_VIEW(".html"))};
    memcpy(made.name, file.data, file.bytes);
    if (find_file(templates, file, file.bytes) != NULL) {
        return cw_fail(fault, CW_ERR_INVALID, "the template %s is there twice", made.name);
    }
    if (text.bytes > CW_TEMPLATE_BYTES_MAX) {
        return cw_fail(fault, CW_ERR_LIMIT, "the template %s is longer than %u bytes", made.name,
                       CW_TEMPLATE_BYTES_MAX);
    }
    err = text_check(made.name, text, made.html, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    if (text.bytes >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        text.data += 3; /* a byte order mark is the editor's, not the mail's */
        text.bytes -= 3;
    }
    char why[128];
    cw_text_clear(&templates->values);
    prepare(text, &templates->values);
    CW_ASSERT(templates->values.bytes <= text.bytes);
    struct cw_view ready = {templates->values.data, (uint32_t)templates->values.bytes};
    CW_ASSERT(count_tags(ready) == count_tags(text)); /* what was checked is what is parsed */
    enum cw_mustache_result result =
        cw_mustache_open(&made.parsed, ready.data, ready.bytes, made.html, why, sizeof why);
    if (result != CW_MUSTACHE_OK) {
        return cw_fail(fault, result == CW_MUSTACHE_MEMORY ? CW_ERR_LIMIT : CW_ERR_INVALID,
                       "the template %s: %s", made.name, why);
    }
    templates->list[templates->count++] = made;
    return CW_ERR_OK;
}

/* The file ID[.TAG].html or .txt, or NULL. */
static struct cw_template *find_of(struct cw_templates *templates, struct cw_view id,
                                   struct cw_view tag, bool html)
{
    char name[CW_TEMPLATE_NAME_MAX];
    struct cw_view end = html ? CW_VIEW(".html") : CW_VIEW(".txt");
    uint32_t bytes = id.bytes;
    if (id.bytes + tag.bytes + 1 + end.bytes > sizeof name) {
        return NULL;
    }
    memcpy(name, id.data, id.bytes);
    if (tag.bytes > 0) {
        name[bytes++] = '.';
        memcpy(name + bytes, tag.data, tag.bytes);
        bytes += tag.bytes;
    }
    memcpy(name + bytes, end.data, end.bytes);
    return find_file(templates, (struct cw_view){name, bytes + end.bytes}, id.bytes);
}

struct cw_template_found cw_templates_find(struct cw_templates *templates, struct cw_view id,
                                           struct cw_view tag, bool html)
{
    struct cw_template_found found = {0};
    if (tag.bytes > 0) {
        do {
            found.tpl = find_of(templates, id, tag, html);
        } while (found.tpl == NULL && cw_locale_tag_shorten(&tag));
    }
    if (found.tpl != NULL) {
        found.locale = tag;
    } else {
        found.tpl = find_of(templates, id, (struct cw_view){0}, html);
    }
    return found;
}

/* The same name with the other ending. */
static bool has_twin(struct cw_templates *templates, const struct cw_template *tpl)
{
    struct cw_view end = tpl->html ? CW_VIEW(".html") : CW_VIEW(".txt");
    struct cw_view stem = {tpl->name, tpl->name_bytes - end.bytes};
    return find_of(templates, stem, (struct cw_view){0}, !tpl->html) != NULL;
}

void cw_templates_lint(struct cw_templates *templates, struct cw_problems *problems)
{
    for (uint32_t i = 0; i < templates->count; i++) {
        const struct cw_template *tpl = &templates->list[i];
        struct cw_view end = tpl->html ? CW_VIEW(".html") : CW_VIEW(".txt");
        struct cw_view stem = {tpl->name, tpl->name_bytes - end.bytes};
        if (!has_twin(templates, tpl)) {
            cw_problem_error(problems, tpl->name, 0, 0,
                             "an e-mail has an HTML part and a text part, and %.*s.%s is missing; "
                             "add it beside this file",
                             (int)stem.bytes, stem.data, tpl->html ? "txt" : "html");
        }
        struct cw_view tag = locale_of(stem);
        if (tpl->html && tag.bytes > 0) {
            struct cw_view id = {stem.data, stem.bytes - tag.bytes - 1};
            if (find_of(templates, id, (struct cw_view){0}, true) == NULL) {
                cw_problem_remark(problems, tpl->name, 0, 0,
                                  "there is no %.*s.html for customers of other locales; they "
                                  "would get no message",
                                  (int)id.bytes, id.data);
            }
        }
    }
}
