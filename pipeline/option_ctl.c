/* option: reads a mapping by a table of keys and says all that is wrong with it. */
#include "pipeline/option_ctl.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
    ITEM_BYTES_MAX = 128 /* of a line in a list of lines */
};

void cw_option_error(const struct cw_option_reader *reader, uint32_t node, const char *format, ...)
{
    char text[CW_PROBLEM_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const struct cw_yaml_node *at = &reader->doc->nodes[node];
    cw_problem_error(reader->problems, reader->file, at->line, at->column, "%s", text);
}

void cw_option_remark(const struct cw_option_reader *reader, uint32_t node, const char *format, ...)
{
    char text[CW_PROBLEM_TEXT_BYTES];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    const struct cw_yaml_node *at = &reader->doc->nodes[node];
    cw_problem_remark(reader->problems, reader->file, at->line, at->column, "%s", text);
}

double cw_option_number(const struct cw_yaml_node *node)
{
    return strtod(node->text.data, NULL);
}

/* ---- hints ---- */

/* cw_nearest, but another case is nearer than any other slip. */
static const char *nearest(const char *word, const char *const *known, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcasecmp(word, known[i]) == 0) {
            return known[i];
        }
    }
    return cw_nearest(word, known, count);
}

const char *cw_option_hint(struct cw_view word, const char *const *known,
                           char out[CW_OPTION_HINT_BYTES])
{
    uint32_t count = 0;
    while (known[count] != NULL) {
        count++;
    }
    char name[64];
    const char *near = nearest(cw_yaml_printable(word, name, sizeof name), known, count);
    if (near != NULL) {
        (void)snprintf(out, CW_OPTION_HINT_BYTES, "did you mean \"%.100s\"?", near);
        return out;
    }
    if (count == 0) {
        (void)snprintf(out, CW_OPTION_HINT_BYTES, "there is none yet");
        return out;
    }
    size_t used =
        (size_t)snprintf(out, CW_OPTION_HINT_BYTES, "known %s", count == 1 ? "is only" : "are");
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = strnlen(known[i], 100);
        if (used + bytes + 8 > CW_OPTION_HINT_BYTES) {
            (void)snprintf(out + used, CW_OPTION_HINT_BYTES - used, " ...");
            break;
        }
        used += (size_t)snprintf(out + used, CW_OPTION_HINT_BYTES - used, "%s%.100s",
                                 i == 0 ? " " : ", ", known[i]);
    }
    return out;
}

static void range_of(const struct cw_option *option, char *out, size_t room)
{
    const char *unit = option->unit == NULL ? "" : option->unit;
    const char *gap = option->unit == NULL ? "" : " ";
    if (option->above) {
        (void)snprintf(out, room, "above %.15g and at most %.15g%s%s", option->min, option->max,
                       gap, unit);
    } else {
        (void)snprintf(out, room, "from %.15g to %.15g%s%s", option->min, option->max, gap, unit);
    }
}

const char *cw_option_describe(const struct cw_option *option, char out[CW_OPTION_HINT_BYTES])
{
    static const char *const kinds[] = {
        [CW_OPTION_LINE] = "text",
        [CW_OPTION_TEXT] = "text",
        [CW_OPTION_NUMBER] = "number",
        [CW_OPTION_NUMBER_BY_MARKET] = "number, or map by market",
        [CW_OPTION_BOOL] = "true or false",
        [CW_OPTION_WORD] = "",
        [CW_OPTION_CLOCK] = "HH:MM",
        [CW_OPTION_LINES] = "list of texts",
        [CW_OPTION_MAPPING] = "mapping",
        [CW_OPTION_MAPPINGS] = "list of mappings",
        [CW_OPTION_TREE] = "mapping",
    };
    const char *kind =
        option->type == CW_OPTION_NUMBER && option->whole ? "whole number" : kinds[option->type];
    size_t used = (size_t)snprintf(out, CW_OPTION_HINT_BYTES, "%s", kind);
    for (uint32_t i = 0; option->words != NULL && option->words[i] != NULL; i++) {
        used += (size_t)snprintf(out + used, CW_OPTION_HINT_BYTES - used, "%s%s",
                                 i == 0 ? "" : " | ", option->words[i]);
    }
    if (option->type == CW_OPTION_NUMBER || option->type == CW_OPTION_NUMBER_BY_MARKET) {
        char range[80];
        range_of(option, range, sizeof range);
        used += (size_t)snprintf(out + used, CW_OPTION_HINT_BYTES - used, " %s", range);
    }
    if (option->required) {
        (void)snprintf(out + used, CW_OPTION_HINT_BYTES - used, ", required");
    } else if (option->fallback != NULL) {
        (void)snprintf(out + used, CW_OPTION_HINT_BYTES - used, ", default %s", option->fallback);
    }
    return out;
}

/* ---- scalars ---- */

/* `"key" must be WHAT, not what stands there; REMEDY`. */
static void tell_type(const struct cw_option_reader *reader, uint32_t node, const char *key,
                      const char *what, const char *remedy)
{
    const struct cw_yaml_node *at = &reader->doc->nodes[node];
    char shown[CW_YAML_SHOWN_BYTES];
    cw_yaml_show(at, shown);
    bool nothing = at->type == CW_YAML_SCALAR && at->kind == CW_YAML_NULL;
    cw_option_error(reader, node, "\"%s\" must be %s, not %s; %s", key, what, shown,
                    nothing ? "write a value, or remove the key" : remedy);
}

static bool read_text(const struct cw_option_reader *reader, const struct cw_option *option,
                      uint32_t node, struct cw_setting *setting)
{
    const struct cw_yaml_node *at = &reader->doc->nodes[node];
    if (at->type != CW_YAML_SCALAR || at->kind != CW_YAML_STRING) {
        bool scalar = at->type == CW_YAML_SCALAR;
        tell_type(reader, node, option->name, "a string",
                  scalar ? "put it in quotes" : "write one value in quotes");
        return false;
    }
    struct cw_view text = at->text;
    for (uint32_t i = 0; i < text.bytes; i++) {
        uint8_t c = (uint8_t)text.data[i];
        if (c == 0 || c == 0x7f || (c < 0x20 && option->type == CW_OPTION_LINE)) {
            cw_option_error(reader, node, "\"%s\" holds %s; write it %s", option->name,
                            c == '\n' || c == '\r' ? "a line break" : "a control character",
                            c == '\n' ? "on one line (after >- lines are joined)" : "without");
            return false;
        }
    }
    if (text.bytes < option->min) {
        cw_option_error(reader, node, "\"%s\" is empty; write a text, or remove the key",
                        option->name);
        return false;
    }
    if (text.bytes > option->max) {
        cw_option_error(reader, node, "\"%s\" is %u bytes long; shorten it to at most %.0f",
                        option->name, text.bytes, option->max);
        return false;
    }
    setting->text = text;
    return true;
}

static bool read_number(const struct cw_option_reader *reader, const struct cw_option *option,
                        uint32_t node, double *number)
{
    const struct cw_yaml_node *at = &reader->doc->nodes[node];
    const char *what = option->whole ? "a whole number" : "a number";
    if (at->type != CW_YAML_SCALAR || at->kind != CW_YAML_NUMBER) {
        char range[80];
        char remedy[120];
        range_of(option, range, sizeof range);
        (void)snprintf(remedy, sizeof remedy, "write a plain number %s, without quotes", range);
        tell_type(reader, node, option->name, what, remedy);
        return false;
    }
    double value = cw_option_number(at);
    bool low = option->above ? value <= option->min : value < option->min;
    if (low || value > option->max || (option->whole && value != floor(value))) {
        char shown[40];
        char range[80];
        range_of(option, range, sizeof range);
        cw_option_error(reader, node, "\"%s\" must be %s %s, not %s", option->name, what, range,
                        cw_yaml_printable(at->text, shown, sizeof shown));
        return false;
    }
    *number = value;
    return true;
}

static bool read_numbers(const struct cw_option_reader *reader, const struct cw_option *option,
                         uint32_t node, struct cw_setting *setting)
{
    const struct cw_yaml *doc = reader->doc;
    if (doc->nodes[node].type != CW_YAML_MAPPING) {
        return read_number(reader, option, node, &setting->number);
    }
    bool good = true;
    if (doc->nodes[node].count < 1 || doc->nodes[node].count > 64) {
        cw_option_error(reader, node, "\"%s\" must name 1 to 64 marketplaces, not %u", option->name,
                        doc->nodes[node].count);
        return false;
    }
    for (uint32_t i = cw_yaml_first(doc, node); i != 0; i = doc->nodes[doc->nodes[i].next].next) {
        double ignored;
        good = read_number(reader, option, doc->nodes[i].next, &ignored) && good;
    }
    return good;
}

static bool read_bool(const struct cw_option_reader *reader, const struct cw_option *option,
                      uint32_t node, struct cw_setting *setting)
{
    static const char *const yeses[] = {"yes", "on", "y", "true", "1"};
    static const char *const noes[] = {"no", "off", "n", "false", "0"};
    const struct cw_yaml_node *at = &reader->doc->nodes[node];
    if (at->type == CW_YAML_SCALAR && (at->kind == CW_YAML_TRUE || at->kind == CW_YAML_FALSE)) {
        setting->yes = at->kind == CW_YAML_TRUE;
        return true;
    }
    const char *remedy = "write one of the two, without quotes";
    for (uint32_t i = 0; i < CW_COUNTOF(yeses) && at->type == CW_YAML_SCALAR; i++) {
        if (strcasecmp(at->text.data, yeses[i]) == 0) {
            remedy = "write true";
        } else if (strcasecmp(at->text.data, noes[i]) == 0) {
            remedy = "write false";
        }
    }
    tell_type(reader, node, option->name, "true or false", remedy);
    return false;
}

/* A text may hold U+0000, so strcmp would take "a" and "a\0b" for the same. */
static bool spells(struct cw_view text, const char *word)
{
    return strnlen(word, (size_t)text.bytes + 1) == text.bytes &&
           memcmp(text.data, word, text.bytes) == 0;
}

static bool find_word(const char *const *words, struct cw_view text, uint32_t *place)
{
    for (uint32_t i = 0; words[i] != NULL; i++) {
        if (spells(text, words[i])) {
            *place = i;
            return true;
        }
    }
    return false;
}

static bool read_word(const struct cw_option_reader *reader, const struct cw_option *option,
                      uint32_t node, struct cw_setting *setting)
{
    const struct cw_yaml_node *at = &reader->doc->nodes[node];
    char hint[CW_OPTION_HINT_BYTES];
    if (at->type != CW_YAML_SCALAR || at->kind != CW_YAML_STRING) {
        struct cw_view none = {"", 0};
        tell_type(reader, node, option->name, "a word", cw_option_hint(none, option->words, hint));
        return false;
    }
    if (!find_word(option->words, at->text, &setting->word)) {
        char shown[48];
        cw_option_error(reader, node, "\"%s\" cannot be \"%s\"; %s", option->name,
                        cw_yaml_printable(at->text, shown, sizeof shown),
                        cw_option_hint(at->text, option->words, hint));
        return false;
    }
    return true;
}

static bool parse_clock(const char *text, double *minute)
{
    for (uint32_t i = 0; i < 5; i++) {
        if (i == 2 ? text[i] != ':' : text[i] < '0' || text[i] > '9') {
            return false;
        }
    }
    int hours = (text[0] - '0') * 10 + text[1] - '0';
    int minutes = (text[3] - '0') * 10 + text[4] - '0';
    *minute = hours * 60 + minutes;
    return text[5] == '\0' && hours < 24 && minutes < 60;
}

static bool read_clock(const struct cw_option_reader *reader, const struct cw_option *option,
                       uint32_t node, struct cw_setting *setting)
{
    const struct cw_yaml_node *at = &reader->doc->nodes[node];
    if (at->type == CW_YAML_SCALAR && at->text.bytes == 5 &&
        parse_clock(at->text.data, &setting->number)) {
        return true;
    }
    tell_type(reader, node, option->name, "a time of day",
              "write \"HH:MM\" from \"00:00\" to \"23:59\"");
    return false;
}

/* ---- lists ---- */

static bool check_list(const struct cw_option_reader *reader, const struct cw_option *option,
                       uint32_t node, const char *what)
{
    const struct cw_yaml_node *at = &reader->doc->nodes[node];
    if (at->type != CW_YAML_SEQUENCE) {
        tell_type(reader, node, option->name, what,
                  option->type == CW_OPTION_LINES ? "put brackets around it: [\"...\"]"
                                                  : "write one item a line, each after \"- \"");
        return false;
    }
    if (at->count < option->min || at->count > option->max) {
        cw_option_error(reader, node, "\"%s\" must have %.0f to %.0f items, not %u", option->name,
                        option->min, option->max, at->count);
        return false;
    }
    return true;
}

static bool read_lines(const struct cw_option_reader *reader, const struct cw_option *option,
                       uint32_t node)
{
    const struct cw_yaml *doc = reader->doc;
    if (!check_list(reader, option, node, "a list of strings")) {
        return false;
    }
    bool good = true;
    struct cw_option item = {.name = option->name,
                             .type = CW_OPTION_LINE,
                             .min = 1,
                             .max = option->item_max > 0 ? option->item_max : ITEM_BYTES_MAX};
    for (uint32_t i = cw_yaml_first(doc, node); i != 0; i = doc->nodes[i].next) {
        struct cw_setting ignored;
        if (doc->nodes[i].type == CW_YAML_REFUSED || !read_text(reader, &item, i, &ignored)) {
            good = false;
            continue;
        }
        for (uint32_t j = cw_yaml_first(doc, node); j != i; j = doc->nodes[j].next) {
            if (cw_view_equal(doc->nodes[j].text, doc->nodes[i].text)) {
                char shown[48];
                cw_option_error(reader, i, "\"%s\" stands twice in \"%s\"; keep one of them",
                                cw_yaml_printable(doc->nodes[i].text, shown, sizeof shown),
                                option->name);
                good = false;
                break;
            }
        }
    }
    return good;
}

static bool read_mapping(const struct cw_option_reader *reader, const struct cw_option *option,
                         uint32_t node)
{
    if (reader->doc->nodes[node].type == CW_YAML_MAPPING) {
        return true;
    }
    tell_type(reader, node, option->name, "a mapping",
              "write its keys on lines of their own below it, indented");
    return false;
}

static bool read_value(const struct cw_option_reader *reader, const struct cw_option *option,
                       struct cw_setting *setting)
{
    uint32_t node = setting->node;
    if (reader->doc->nodes[node].type == CW_YAML_REFUSED) {
        return false;
    }
    switch (option->type) {
    case CW_OPTION_LINE:
    case CW_OPTION_TEXT: return read_text(reader, option, node, setting);
    case CW_OPTION_NUMBER: return read_number(reader, option, node, &setting->number);
    case CW_OPTION_NUMBER_BY_MARKET: return read_numbers(reader, option, node, setting);
    case CW_OPTION_BOOL: return read_bool(reader, option, node, setting);
    case CW_OPTION_WORD: return read_word(reader, option, node, setting);
    case CW_OPTION_CLOCK: return read_clock(reader, option, node, setting);
    case CW_OPTION_LINES: return read_lines(reader, option, node);
    case CW_OPTION_MAPPINGS: return check_list(reader, option, node, "a list of mappings");
    case CW_OPTION_MAPPING:
    case CW_OPTION_TREE: return read_mapping(reader, option, node);
    }
    return false;
}

/* ---- mappings ---- */

static void set_default(const struct cw_option *option, struct cw_setting *setting)
{
    const char *fallback = option->fallback;
    if (fallback == NULL) {
        return;
    }
    setting->text = (struct cw_view){fallback, (uint32_t)strnlen(fallback, 1024)};
    setting->yes = strcmp(fallback, "true") == 0;
    if (option->type == CW_OPTION_NUMBER) {
        setting->number = strtod(fallback, NULL);
    } else if (option->type == CW_OPTION_WORD) {
        bool known = find_word(option->words, setting->text, &setting->word);
        CW_ASSERT(known);
    }
}

/* A key that was perhaps meant counts as seen, so that nobody misses it too. */
static void mark_meant(struct cw_view text, uint32_t key, const struct cw_options *options,
                       const char *const *names, struct cw_setting *settings)
{
    char word[64];
    const char *near = nearest(cw_yaml_printable(text, word, sizeof word), names, options->count);
    for (uint32_t i = 0; near != NULL && i < options->count; i++) {
        if (names[i] == near && settings[i].key == 0) {
            settings[i].key = key;
        }
    }
}

static void tell_unknown_key(const struct cw_option_reader *reader, uint32_t key,
                             const struct cw_options *options, struct cw_setting *settings)
{
    struct cw_view text = reader->doc->nodes[key].text;
    char shown[48];
    (void)cw_yaml_printable(text, shown, sizeof shown);
    if (reader->problems->count == CW_PROBLEMS_MAX) {
        cw_option_error(reader, key, "unknown key \"%s\"", shown); /* counted, not read */
        return;
    }
    char places[160] = "";
    size_t used = 0;
    for (const struct cw_options *const *table = reader->tables; *table != NULL; table++) {
        for (uint32_t i = 0; i < (*table)->count && used < 100; i++) {
            if (spells(text, (*table)->list[i].name)) {
                used += (size_t)snprintf(places + used, sizeof places - used, "%s%s",
                                         used == 0 ? "" : " or ", (*table)->what);
            }
        }
    }
    if (used > 0) {
        cw_option_error(reader, key, "unknown key \"%s\" in %s; it belongs in %s", shown,
                        options->what, places);
        return;
    }
    const char *names[CW_OPTIONS_MAX + 1];
    for (uint32_t i = 0; i < options->count; i++) {
        names[i] = options->list[i].name;
    }
    names[options->count] = NULL;
    mark_meant(text, key, options, names, settings);
    char hint[CW_OPTION_HINT_BYTES];
    cw_option_error(reader, key, "unknown key \"%s\" in %s; %s", shown, options->what,
                    cw_option_hint(text, names, hint));
}

static void read_pair(const struct cw_option_reader *reader, uint32_t key,
                      const struct cw_options *options, struct cw_setting *settings)
{
    const struct cw_yaml_node *at = &reader->doc->nodes[key];
    if (at->type != CW_YAML_SCALAR) {
        return; /* told when the tree was built */
    }
    for (uint32_t i = 0; i < options->count; i++) {
        const struct cw_option *option = &options->list[i];
        if (spells(at->text, option->name)) {
            settings[i].key = key;
            settings[i].node = at->next;
            settings[i].good = read_value(reader, option, &settings[i]);
            return;
        }
    }
    if (reader->doc->nodes[at->next].type != CW_YAML_REFUSED || !spells(at->text, "<<")) {
        tell_unknown_key(reader, key, options, settings);
    }
}

void cw_options_default(const struct cw_options *options, struct cw_setting *settings)
{
    CW_ASSERT(options->count <= CW_OPTIONS_MAX);
    for (uint32_t i = 0; i < options->count; i++) {
        settings[i] = (struct cw_setting){0};
        set_default(&options->list[i], &settings[i]);
    }
}

void cw_options_read(const struct cw_option_reader *reader, uint32_t mapping,
                     const struct cw_options *options, struct cw_setting *settings)
{
    const struct cw_yaml *doc = reader->doc;
    cw_options_default(options, settings);
    const struct cw_yaml_node *at = &doc->nodes[mapping];
    if (at->type != CW_YAML_MAPPING) {
        if (at->type != CW_YAML_REFUSED) {
            char shown[CW_YAML_SHOWN_BYTES];
            cw_yaml_show(at, shown);
            cw_option_error(reader, mapping, "%s must be a mapping (`key: value` lines), not %s",
                            options->what, shown);
        }
        return;
    }
    for (uint32_t i = cw_yaml_first(doc, mapping); i != 0;
         i = doc->nodes[doc->nodes[i].next].next) {
        read_pair(reader, i, options, settings);
    }
    for (uint32_t i = 0; i < options->count; i++) {
        const struct cw_option *option = &options->list[i];
        if (option->required && settings[i].key == 0) {
            cw_option_error(reader, mapping, "\"%s\" is missing in %s; add it: %s", option->name,
                            options->what, option->help);
        }
    }
}
