/*
 * program: event sources. A pattern is written in YAML and compiled from JSON text that means the
 * same: numbers keep their spelling, quoted scalars are strings.
 */
#include "pipeline/program_priv.h"

#include <stdio.h>

enum {
    PATH_BYTES = 256
};

struct cw_pattern_text {
    struct cw_program_reader *reader;
    struct cw_text json;
    bool good; /* false: something in it was told already */
};

/* ---- from YAML to JSON ---- */

static void write_scalar(struct cw_pattern_text *out, uint32_t node)
{
    const struct cw_yaml_node *at = &out->reader->in.doc->nodes[node];
    char shown[48];
    switch ((enum cw_yaml_kind)at->kind) {
    case CW_YAML_STRING: cw_text_json(&out->json, at->text); break;
    case CW_YAML_NULL: cw_text_puts(&out->json, "null"); break;
    case CW_YAML_TRUE: cw_text_puts(&out->json, "true"); break;
    case CW_YAML_FALSE: cw_text_puts(&out->json, "false"); break;
    case CW_YAML_NUMBER: cw_text_view(&out->json, at->text); break;
    case CW_YAML_ODD:
        out->good = false;
        cw_option_error(&out->reader->in, node,
                        "%s is a number that JSON cannot spell; write it with plain digits, or in "
                        "quotes if a string is meant",
                        cw_yaml_printable(at->text, shown, sizeof shown));
        break;
    }
}

/* Recursion is bounded by CW_YAML_DEPTH_MAX. */
static void write_node(struct cw_pattern_text *out, uint32_t node)
{
    const struct cw_yaml *doc = out->reader->in.doc;
    const struct cw_yaml_node *at = &doc->nodes[node];
    if (at->type == CW_YAML_SCALAR) {
        write_scalar(out, node);
        return;
    }
    if (at->type == CW_YAML_REFUSED) {
        out->good = false;
        return;
    }
    bool mapping = at->type == CW_YAML_MAPPING;
    cw_text_char(&out->json, mapping ? '{' : '[');
    for (uint32_t i = cw_yaml_first(doc, node); i != 0; i = doc->nodes[i].next) {
        if (i != cw_yaml_first(doc, node)) {
            cw_text_char(&out->json, ',');
        }
        if (mapping) {
            out->good = out->good && doc->nodes[i].type == CW_YAML_SCALAR;
            cw_text_json(&out->json, doc->nodes[i].text);
            cw_text_char(&out->json, ':');
            i = doc->nodes[i].next;
        }
        write_node(out, i);
    }
    cw_text_char(&out->json, mapping ? '}' : ']');
}

/* ---- ranges ---- */

/* A list of two ascending numbers. */
static bool is_range(const struct cw_yaml *doc, uint32_t node)
{
    const struct cw_yaml_node *at = &doc->nodes[node];
    if (at->type != CW_YAML_SEQUENCE || at->count != 2) {
        return false;
    }
    const struct cw_yaml_node *low = &doc->nodes[node + 1];
    if (low->type != CW_YAML_SCALAR || low->kind != CW_YAML_NUMBER) {
        return false;
    }
    const struct cw_yaml_node *high = &doc->nodes[low->next];
    return high->type == CW_YAML_SCALAR && high->kind == CW_YAML_NUMBER &&
           cw_option_number(low) < cw_option_number(high);
}

static void tell_range(struct cw_program_reader *reader, uint32_t node)
{
    const struct cw_yaml *doc = reader->in.doc;
    const struct cw_yaml_node *first = &doc->nodes[node + 1];
    char low[32];
    char high[32];
    (void)cw_yaml_printable(first->text, low, sizeof low);
    (void)cw_yaml_printable(doc->nodes[first->next].text, high, sizeof high);
    cw_option_remark(&reader->in, node,
                     "[%s, %s] is read as the inclusive range %s..%s; for these two exact values "
                     "name the pattern awsEventPattern, where a range is [{numeric: [\">=\", %s, "
                     "\"<=\", %s]}]",
                     low, high, low, high, low, high);
}

/* Says of each range among the fields below a mapping, and among the alternatives of $or, that it
   was read as one. Recursion is bounded by CW_YAML_DEPTH_MAX. */
static void tell_ranges(struct cw_program_reader *reader, uint32_t mapping)
{
    const struct cw_yaml *doc = reader->in.doc;
    if (doc->nodes[mapping].type != CW_YAML_MAPPING) {
        return;
    }
    for (uint32_t key = cw_yaml_first(doc, mapping); key != 0;) {
        uint32_t value = doc->nodes[key].next;
        if (cw_view_equal(doc->nodes[key].text, CW_VIEW("$or"))) {
            for (uint32_t i = cw_yaml_first(doc, value); i != 0; i = doc->nodes[i].next) {
                tell_ranges(reader, i);
            }
        } else if (is_range(doc, value)) {
            tell_range(reader, value);
        } else {
            tell_ranges(reader, value);
        }
        key = doc->nodes[value].next;
    }
}

/* ---- where a pattern is wrong ---- */

/* A fault says `at PATH: ...`, PATH like detail.$or[1].cartValue, perhaps cut. */
struct cw_pattern_search {
    const struct cw_yaml *doc;
    const char *said; /* the fault's text from PATH on */
    size_t best_bytes;
    uint32_t best;
    char path[PATH_BYTES];
};

/* Adds a key or an index to the path. Returns its new length, 0 when it would be too long. */
static size_t extend(struct cw_pattern_search *at, size_t used, struct cw_view name, uint32_t index)
{
    size_t room = PATH_BYTES - used;
    int added = name.data == NULL ? snprintf(at->path + used, room, "[%u]", index)
                                  : snprintf(at->path + used, room, "%s%.*s", used > 0 ? "." : "",
                                             (int)name.bytes, name.data);
    return added < 0 || (size_t)added >= room ? 0 : used + (size_t)added;
}

/* Finds the key with the longest path that the fault's path is, or begins with. Recursion is
   bounded by CW_YAML_DEPTH_MAX. */
static void search(struct cw_pattern_search *at, uint32_t node, size_t used)
{
    const struct cw_yaml *doc = at->doc;
    bool mapping = doc->nodes[node].type == CW_YAML_MAPPING;
    uint32_t index = 0;
    for (uint32_t i = cw_yaml_first(doc, node); i != 0; i = doc->nodes[i].next) {
        uint32_t key = i;
        struct cw_view name = mapping ? doc->nodes[i].text : (struct cw_view){NULL, 0};
        size_t bytes = extend(at, used, name, index++);
        i = mapping ? doc->nodes[i].next : i;
        if (bytes == 0 || strncmp(at->said, at->path, bytes) != 0) {
            continue;
        }
        if (bytes > at->best_bytes && strchr(":.[", at->said[bytes]) != NULL) {
            at->best_bytes = bytes;
            at->best = key;
        }
        if (doc->nodes[i].type != CW_YAML_SCALAR) {
            search(at, i, bytes);
        }
    }
}

static void tell_pattern(struct cw_program_reader *reader, const struct cw_setting *setting,
                         const struct cw_fault *fault)
{
    struct cw_pattern_search at = {
        .doc = reader->in.doc, .said = fault->text + 3, .best = setting->key};
    if (strncmp(fault->text, "at ", 3) == 0) {
        search(&at, setting->node, 0);
    }
    char shown[sizeof fault->text];
    struct cw_view text = {fault->text, (uint32_t)strnlen(fault->text, sizeof fault->text)};
    cw_option_error(&reader->in, at.best, "the pattern cannot be used: %s",
                    cw_yaml_printable(text, shown, sizeof shown));
}

static void read_pattern(struct cw_program_reader *reader, const struct cw_setting *setting,
                         enum cw_pattern_dialect dialect, struct cw_program_source *source)
{
    struct cw_pattern_text out = {.reader = reader, .good = true};
    write_node(&out, setting->node);
    if (out.good) {
        struct cw_fault fault;
        uint32_t ranges = 0;
        /* The JSON reader looks past the end. */
        memset(cw_text_room(&out.json, CW_JSON_PADDING), 0, CW_JSON_PADDING);
        struct cw_view json = {out.json.data, (uint32_t)out.json.bytes};
        source->pattern = cw_pattern_set_count(reader->set->patterns);
        if (cw_pattern_add(reader->set->patterns, json, dialect, &ranges, &fault) != CW_ERR_OK) {
            tell_pattern(reader, setting, &fault);
        } else if (ranges > 0) {
            uint32_t before = reader->in.problems->remarks;
            tell_ranges(reader, setting->node);
            CW_ASSERT_HOT(reader->in.problems->remarks - before == ranges);
        }
    }
    cw_text_deinit(&out.json);
}

static void read_config(struct cw_program_reader *reader, const struct cw_setting *config,
                        struct cw_program_source *source)
{
    struct cw_setting s[CW_OPT_SOURCE_CONFIG_COUNT];
    cw_options_read(&reader->in, config->node, &cw_source_config_options, s);
    const struct cw_setting *plain = &s[CW_OPT_SOURCE_PATTERN];
    const struct cw_setting *strict = &s[CW_OPT_SOURCE_AWS_PATTERN];
    source->bus = cw_program_keep(reader, s[CW_OPT_SOURCE_BUS].text);
    if (plain->node != 0 && strict->node != 0) {
        cw_option_error(&reader->in, plain->key > strict->key ? plain->key : strict->key,
                        "a source has either \"eventPattern\" or \"awsEventPattern\"; remove one");
    } else if (plain->key == 0 && strict->key == 0) {
        cw_option_error(&reader->in, config->key,
                        "\"eventPattern\" is missing in an event source's config; add it: %s",
                        cw_source_config_options.list[CW_OPT_SOURCE_PATTERN].help);
    }
    if (plain->good) {
        read_pattern(reader, plain, CW_PATTERN_RANGES, source);
    }
    if (strict->good) {
        read_pattern(reader, strict, CW_PATTERN_STRICT, source);
    }
}

void cw_program_read_sources(struct cw_program_reader *reader, uint32_t list)
{
    const struct cw_yaml *doc = reader->in.doc;
    struct cw_program *program = reader->program;
    struct cw_view ids[16]; /* the row's own bound on the list */
    CW_ASSERT(doc->nodes[list].count <= CW_COUNTOF(ids));
    program->sources = cw_arena_zalloc(&reader->set->arena,
                                       doc->nodes[list].count * sizeof program->sources[0], 8);
    for (uint32_t i = cw_yaml_first(doc, list); i != 0; i = doc->nodes[i].next) {
        struct cw_setting s[CW_OPT_SOURCE_COUNT];
        cw_options_read(&reader->in, i, &cw_source_options, s);
        uint32_t place = program->source_count++;
        ids[place] = s[CW_OPT_SOURCE_ID].text;
        if (s[CW_OPT_SOURCE_ID].good) {
            cw_program_check_unique(reader, ids, place, s[CW_OPT_SOURCE_ID].node, "sourceId");
        }
        if (s[CW_OPT_SOURCE_CONFIG].good) {
            read_config(reader, &s[CW_OPT_SOURCE_CONFIG], &program->sources[place]);
        }
    }
}
