/*
 * model_ctl: reads a model file, strictly: what it does not know it refuses, naming the place and
 * what to do. Each object is read by a table of the members it may have.
 */
#include "core/hash.h"
#include "core/json.h"
#include "core/problem.h"
#include "pipeline/model_priv.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Numbers of the file: large enough for any sensible model, small enough that no sum of products
   of two of them (over the smallest scale) is infinite. */
#define NUMBER_MAX  1e12
#define SCALE_MIN   1e-9
#define NAME_BYTES  128u
#define DEPTH_MAX   16u
#define MEMBERS_MAX 8u
#define SHOWN_BYTES 60u

struct reader {
    const char *file;
    struct cw_json doc;
    struct cw_model *model;
    uint32_t strings_used;
    struct cw_fault *fault;
};

/* A numeric feature as the file tells it. */
struct numeric {
    const char *name;
    bool log1p;
    double weight, center, scale, min, max, missing;
};

/* One member that an object may have; node is where it was found. */
struct member {
    const char *name;
    bool required;
    uint32_t node;
};

static CW_COLD cw_err fail_at(struct reader *reader, uint32_t offset, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static cw_err fail_at(struct reader *reader, uint32_t offset, const char *format, ...)
{
    uint32_t line = 1;
    uint32_t column = 1;
    for (uint32_t i = 0; i < offset && i < reader->doc.text_bytes; i++) {
        bool newline = reader->doc.text[i] == '\n';
        line += newline;
        column = newline ? 1 : column + 1;
    }
    char text[sizeof reader->fault->text];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return cw_fail(reader->fault, CW_ERR_INVALID, "%.80s:%u:%u: %s", reader->file, line, column,
                   text);
}

static const struct cw_json_node *node_at(const struct reader *reader, uint32_t node)
{
    return &reader->doc.nodes[node];
}

/* Where a value begins, its quote included. */
static uint32_t place_of(const struct reader *reader, uint32_t node)
{
    const struct cw_json_node *n = node_at(reader, node);
    return n->text - (n->type == CW_JSON_STRING);
}

static cw_err fail_node(struct reader *reader, uint32_t node, const char *what, const char *wanted)
{
    struct cw_view raw = cw_json_raw(&reader->doc, node);
    uint32_t shown = raw.bytes < SHOWN_BYTES ? raw.bytes : SHOWN_BYTES;
    const char *quote = node_at(reader, node)->type == CW_JSON_STRING ? "\"" : "";
    return fail_at(reader, place_of(reader, node), "\"%s\" is %s%.*s%s; it must be %s", what, quote,
                   (int)shown, raw.data, quote, wanted);
}

/* The member's name as a terminated string; "" (which no table has) when it is too long. */
static void key_of(const struct reader *reader, uint32_t node, char out[NAME_BYTES + 1])
{
    const struct cw_json_node *n = node_at(reader, node);
    struct cw_view raw = {reader->doc.text + n->key, n->key_bytes};
    uint32_t bytes = 0;
    if (raw.bytes <= NAME_BYTES) {
        bytes = n->key_escaped ? cw_json_unescape(raw, out) : raw.bytes;
        if (!n->key_escaped) {
            memcpy(out, raw.data, raw.bytes);
        }
    }
    out[bytes] = '\0';
}

static cw_err unknown_member(struct reader *reader, uint32_t node, const char *key,
                             const struct member *members, uint32_t count)
{
    const char *names[MEMBERS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        names[i] = members[i].name;
    }
    const struct cw_json_node *n = node_at(reader, node);
    const char *near = cw_nearest(key, names, count);
    return fail_at(reader, n->key - 1, "unknown key \"%.*s\"; %s%s%s",
                   (int)(n->key_bytes < SHOWN_BYTES ? n->key_bytes : SHOWN_BYTES),
                   reader->doc.text + n->key, near == NULL ? "remove it" : "did you mean \"",
                   near == NULL ? "" : near, near == NULL ? "" : "\"?");
}

/* Finds every member of an object in the table; refuses others, repeated and missing ones. */
static cw_err read_members(struct reader *reader, uint32_t object, const char *what,
                           struct member *members, uint32_t count)
{
    CW_ASSERT(count <= MEMBERS_MAX);
    if (node_at(reader, object)->type != CW_JSON_OBJECT) {
        return fail_node(reader, object, what, "an object");
    }
    for (uint32_t i = object + 1; i < node_at(reader, object)->next; i = node_at(reader, i)->next) {
        char key[NAME_BYTES + 1];
        key_of(reader, i, key);
        uint32_t m = 0;
        while (m < count && strcmp(members[m].name, key) != 0) {
            m++;
        }
        if (m == count) {
            return unknown_member(reader, i, key, members, count);
        }
        if (members[m].node != CW_JSON_NONE) {
            return fail_at(reader, node_at(reader, i)->key - 1,
                           "\"%s\" stands here a second time; keep one", key);
        }
        members[m].node = i;
    }
    for (uint32_t m = 0; m < count; m++) {
        if (members[m].required && members[m].node == CW_JSON_NONE) {
            return fail_at(reader, node_at(reader, object)->text, "%s has no \"%s\"; add it", what,
                           members[m].name);
        }
    }
    return CW_ERR_OK;
}

/* Leaves *value (the default) alone when the member is absent. */
static cw_err read_number(struct reader *reader, const struct member *member, double *value)
{
    if (member->node == CW_JSON_NONE) {
        return CW_ERR_OK;
    }
    double number = NAN;
    if (node_at(reader, member->node)->type == CW_JSON_NUMBER) {
        number = cw_json_number(cw_json_raw(&reader->doc, member->node));
    }
    if (!(fabs(number) <= NUMBER_MAX)) {
        return fail_node(reader, member->node, member->name, "a number from -1e12 to 1e12");
    }
    *value = number;
    return CW_ERR_OK;
}

/* A string of 1 to 128 bytes, kept with the model and terminated. */
static cw_err keep_string(struct reader *reader, struct cw_view raw, struct cw_view *out)
{
    char *to = reader->model->strings + reader->strings_used;
    uint32_t bytes = cw_json_unescape(raw, to);
    to[bytes] = '\0';
    if (bytes == 0 || bytes > NAME_BYTES || strlen(to) != bytes) {
        return fail_at(reader, (uint32_t)(raw.data - reader->doc.text) - 1,
                       "a name has 1 to 128 bytes and no U+0000; write another");
    }
    reader->strings_used += bytes + 1;
    *out = (struct cw_view){to, bytes};
    return CW_ERR_OK;
}

static cw_err read_string(struct reader *reader, const struct member *member, struct cw_view *out)
{
    if (node_at(reader, member->node)->type != CW_JSON_STRING) {
        return fail_node(reader, member->node, member->name, "a string");
    }
    return keep_string(reader, cw_json_raw(&reader->doc, member->node), out);
}

/* True when the node is a string that means exactly this. */
static bool is_string(const struct reader *reader, uint32_t node, const char *text)
{
    struct cw_view raw = cw_json_raw(&reader->doc, node);
    char buffer[NAME_BYTES];
    if (node_at(reader, node)->type != CW_JSON_STRING || raw.bytes > sizeof buffer) {
        return false;
    }
    uint32_t bytes = cw_json_unescape(raw, buffer);
    return bytes == strlen(text) && memcmp(buffer, text, bytes) == 0;
}

static cw_err read_transform(struct reader *reader, const struct member *member, bool *log1p)
{
    *log1p = member->node != CW_JSON_NONE && is_string(reader, member->node, "log1p");
    if (*log1p || member->node == CW_JSON_NONE || is_string(reader, member->node, "identity")) {
        return CW_ERR_OK;
    }
    return fail_node(reader, member->node, member->name, "\"identity\" or \"log1p\"");
}

/* The feature's number among the inputs, or an error that names the nearest. */
static cw_err read_input(struct reader *reader, uint32_t node, uint32_t *input)
{
    if (node_at(reader, node)->type != CW_JSON_STRING) {
        return fail_node(reader, node, "name", "a string");
    }
    for (uint32_t i = 0; i <= CW_FEATURE_COUNT; i++) {
        if (is_string(reader, node, cw_model_inputs[i])) {
            *input = i;
            return CW_ERR_OK;
        }
    }
    struct cw_view raw = cw_json_raw(&reader->doc, node);
    char name[SHOWN_BYTES + 1];
    uint32_t bytes = raw.bytes < SHOWN_BYTES ? raw.bytes : SHOWN_BYTES;
    memcpy(name, raw.data, bytes);
    name[bytes] = '\0';
    const char *near = cw_nearest(name, cw_model_inputs, CW_FEATURE_COUNT + 1);
    return fail_at(reader, place_of(reader, node),
                   "unknown feature \"%s\"; %s%s%s; known: purchase_history avg_order_value "
                   "cart_abandonment_rate email_engagement cart_value item_count "
                   "discount_sensitivity category",
                   name, near == NULL ? "write another" : "did you mean \"",
                   near == NULL ? "" : near, near == NULL ? "" : "\"?");
}

static cw_err check_domain(struct reader *reader, uint32_t object, const struct numeric *numeric)
{
    uint32_t offset = node_at(reader, object)->text;
    if (!(numeric->scale >= SCALE_MIN)) {
        return fail_at(reader, offset, "%s: \"scale\" must be at least 1e-9", numeric->name);
    }
    if (!(numeric->min <= numeric->max)) {
        return fail_at(reader, offset, "%s: \"min\" is above \"max\"; swap them", numeric->name);
    }
    /* Values of the pipeline are never negative, so without a min the logarithm exists. */
    double least = isinf(numeric->min) ? 0 : numeric->min;
    if (numeric->log1p && !(least > -1 && numeric->max > -1 && numeric->missing > -1)) {
        return fail_at(reader, offset,
                       "%s: log1p is for values above -1; raise \"min\", \"max\" or \"missing\"",
                       numeric->name);
    }
    return CW_ERR_OK;
}

static void add_numeric(struct cw_model *model, uint32_t input, const struct numeric *numeric)
{
    uint32_t at = model->feature_count;
    model->input[at] = (uint8_t)input;
    model->min[at] = numeric->min;
    model->max[at] = numeric->max;
    model->weight[at] = numeric->weight;
    model->center[at] = numeric->center;
    model->scale[at] = numeric->scale;
    model->missing[at] = numeric->missing;
    double t = numeric->log1p ? log1p(numeric->missing) : numeric->missing;
    model->missing_part[at] = numeric->weight * (t - numeric->center) / numeric->scale;
    if (numeric->log1p) {
        model->log1p[model->log1p_count++] = (uint8_t)at;
    }
}

static cw_err read_numeric(struct reader *reader, uint32_t object, uint32_t input)
{
    struct member members[] = {
        {"name", true, CW_JSON_NONE},       {"weight", true, CW_JSON_NONE},
        {"center", false, CW_JSON_NONE},    {"scale", false, CW_JSON_NONE},
        {"transform", false, CW_JSON_NONE}, {"min", false, CW_JSON_NONE},
        {"max", false, CW_JSON_NONE},       {"missing", false, CW_JSON_NONE},
    };
    struct numeric numeric = {
        .name = cw_model_inputs[input], .scale = 1, .min = -INFINITY, .max = INFINITY};
    cw_err err = read_members(reader, object, numeric.name, members, CW_COUNTOF(members));

    struct {
        uint32_t member;
        double *value;
    } numbers[] = {{1, &numeric.weight}, {2, &numeric.center}, {3, &numeric.scale},
                   {5, &numeric.min},    {6, &numeric.max},    {7, &numeric.missing}};

    for (uint32_t i = 0; err == CW_ERR_OK && i < CW_COUNTOF(numbers); i++) {
        err = read_number(reader, &members[numbers[i].member], numbers[i].value);
    }
    if (err == CW_ERR_OK) {
        err = read_transform(reader, &members[4], &numeric.log1p);
    }
    if (err == CW_ERR_OK) {
        err = check_domain(reader, object, &numeric);
    }
    if (err == CW_ERR_OK) {
        add_numeric(reader->model, input, &numeric);
    }
    return err;
}

/* Takes one category in; false when it is there already. */
static bool add_category(struct cw_model *model, struct cw_view name, double weight)
{
    struct cw_model_ends ends = cw_model_ends(name);
    uint32_t slot = cw_model_slot(ends, name.bytes);
    while (model->slots[slot] != 0) {
        if (cw_model_category_is(&model->categories[model->slots[slot] - 1], ends, name)) {
            return false;
        }
        slot = (slot + 1) % CW_MODEL_SLOTS;
    }
    model->categories[model->category_count++] = (struct cw_model_weight){ends, name, weight};
    model->slots[slot] = (uint8_t)model->category_count;
    return true;
}

static cw_err read_weights(struct reader *reader, uint32_t object)
{
    struct cw_model *model = reader->model;
    if (node_at(reader, object)->type != CW_JSON_OBJECT) {
        return fail_node(reader, object, "weights", "an object of numbers by category");
    }
    for (uint32_t i = object + 1; i < node_at(reader, object)->next; i = node_at(reader, i)->next) {
        const struct cw_json_node *n = node_at(reader, i);
        if (model->category_count == CW_MODEL_CATEGORIES_MAX) {
            return fail_at(reader, n->key - 1,
                           "more than %u categories; leave the rest to \"other\"",
                           CW_MODEL_CATEGORIES_MAX);
        }
        struct cw_view name = {0};
        cw_err err =
            keep_string(reader, (struct cw_view){reader->doc.text + n->key, n->key_bytes}, &name);
        struct member member = {"a category's weight", true, i};
        double weight = 0;
        if (err == CW_ERR_OK) {
            err = read_number(reader, &member, &weight);
        }
        if (err != CW_ERR_OK) {
            return err;
        }
        if (!add_category(model, name, weight)) {
            return fail_at(reader, n->key - 1,
                           "category \"%.*s\" stands here a second time; keep one",
                           (int)(name.bytes < SHOWN_BYTES ? name.bytes : SHOWN_BYTES), name.data);
        }
    }
    return CW_ERR_OK;
}

static cw_err read_category(struct reader *reader, uint32_t object)
{
    struct member members[] = {{"name", true, CW_JSON_NONE},
                               {"weights", true, CW_JSON_NONE},
                               {"other", false, CW_JSON_NONE}};
    reader->model->category_at = reader->model->feature_count;
    cw_err err = read_members(reader, object, "category", members, CW_COUNTOF(members));
    if (err == CW_ERR_OK) {
        err = read_number(reader, &members[2], &reader->model->other);
    }
    return err == CW_ERR_OK ? read_weights(reader, members[1].node) : err;
}

static cw_err read_feature(struct reader *reader, uint32_t object)
{
    struct cw_model *model = reader->model;
    if (node_at(reader, object)->type != CW_JSON_OBJECT) {
        return fail_node(reader, object, "features", "a list of objects");
    }
    uint32_t name = cw_json_find(&reader->doc, object, CW_VIEW("name"));
    if (name == CW_JSON_NONE) {
        return fail_at(reader, node_at(reader, object)->text, "a feature has no \"name\"; add it");
    }
    uint32_t input = 0;
    cw_err err = read_input(reader, name, &input);
    if (err != CW_ERR_OK) {
        return err;
    }
    for (uint32_t i = 0; i < model->feature_count; i++) {
        if (model->feature_names[i] == cw_model_inputs[input]) {
            return fail_at(reader, node_at(reader, object)->text,
                           "feature \"%s\" stands here a second time; keep one",
                           cw_model_inputs[input]);
        }
    }
    err = input == CW_MODEL_CATEGORY ? read_category(reader, object)
                                     : read_numeric(reader, object, input);
    if (err == CW_ERR_OK) {
        model->feature_names[model->feature_count++] = cw_model_inputs[input];
    }
    return err;
}

static cw_err read_features(struct reader *reader, uint32_t array)
{
    if (node_at(reader, array)->type != CW_JSON_ARRAY ||
        node_at(reader, array)->next == array + 1) {
        return fail_node(reader, array, "features", "a list of at least one feature");
    }
    cw_err err = CW_ERR_OK;
    for (uint32_t i = array + 1; err == CW_ERR_OK && i < node_at(reader, array)->next;
         i = node_at(reader, i)->next) {
        err = read_feature(reader, i);
    }
    return err;
}

/* What kind of file this is comes first: another version or kind has other members. */
static cw_err check_kind(struct reader *reader)
{
    static const struct {
        const char *name, *text;
        const char *wanted;
    } heads[] = {
        {"format", "cartwheel-model", "\"cartwheel-model\""},
        {"formatVersion", NULL, "1, the version that this program reads"},
        {"kind", "logistic", "a kind that exists: \"logistic\""},
    };

    if (node_at(reader, 0)->type != CW_JSON_OBJECT) {
        return fail_at(reader, 0, "a model file is one JSON object");
    }
    for (uint32_t i = 0; i < CW_COUNTOF(heads); i++) {
        struct cw_view name = {heads[i].name, (uint32_t)strlen(heads[i].name)};
        uint32_t node = cw_json_find(&reader->doc, 0, name);
        if (node == CW_JSON_NONE) {
            return fail_at(reader, 0, "the model has no \"%s\"; it must be %s", heads[i].name,
                           heads[i].wanted);
        }
        int64_t version = 0;
        bool right = heads[i].text != NULL
                         ? is_string(reader, node, heads[i].text)
                         : node_at(reader, node)->type == CW_JSON_NUMBER &&
                               cw_json_int64(cw_json_raw(&reader->doc, node), &version) &&
                               version == 1;
        if (!right) {
            return fail_node(reader, node, heads[i].name, heads[i].wanted);
        }
    }
    return CW_ERR_OK;
}

static cw_err read_model(struct reader *reader)
{
    struct member members[] = {
        {"format", true, CW_JSON_NONE},   {"formatVersion", true, CW_JSON_NONE},
        {"name", true, CW_JSON_NONE},     {"version", true, CW_JSON_NONE},
        {"kind", true, CW_JSON_NONE},     {"bias", true, CW_JSON_NONE},
        {"features", true, CW_JSON_NONE},
    };
    cw_err err = check_kind(reader);
    if (err == CW_ERR_OK) {
        err = read_members(reader, 0, "the model", members, CW_COUNTOF(members));
    }
    if (err == CW_ERR_OK) {
        err = read_string(reader, &members[2], &reader->model->name);
    }
    if (err == CW_ERR_OK) {
        err = read_string(reader, &members[3], &reader->model->version);
    }
    if (err == CW_ERR_OK) {
        err = read_number(reader, &members[5], &reader->model->bias);
    }
    return err == CW_ERR_OK ? read_features(reader, members[6].node) : err;
}

static cw_err parse(struct cw_json_parser *parser, struct cw_view json, struct reader *reader)
{
    char *padded = calloc(1, (size_t)json.bytes + CW_JSON_PADDING);
    if (padded == NULL) {
        return cw_fail(reader->fault, CW_ERR_LIMIT, "%.80s: no memory", reader->file);
    }
    memcpy(padded, json.data, json.bytes);
    enum cw_json_status status = cw_json_parse(parser, padded, json.bytes, &reader->doc);
    cw_err err = status == CW_JSON_PARSE_OK
                     ? read_model(reader)
                     : fail_at(reader, reader->doc.error_offset, "not JSON: %s; correct it there",
                               cw_json_status_text(status));
    free(padded);
    return err;
}

cw_err cw_model_open(struct cw_model **model, struct cw_view json, const char *file,
                     struct cw_fault *fault)
{
    if (json.bytes > CW_MODEL_FILE_MAX) {
        return cw_fail(fault, CW_ERR_LIMIT, "%.80s: a model file has at most %u bytes", file,
                       CW_MODEL_FILE_MAX);
    }
    struct cw_model *made = calloc(1, sizeof *made);
    /* Every string is at most as long as its spelling, whose quotes pay for the terminator. */
    char *strings = malloc((size_t)json.bytes + 1);
    if (made == NULL || strings == NULL) {
        free(strings);
        free(made);
        return cw_fail(fault, CW_ERR_LIMIT, "%.80s: no memory", file);
    }
    made->strings = strings;
    made->category_at = CW_MODEL_INPUTS;
    for (uint32_t i = 0; i < CW_MODEL_INPUTS; i++) {
        made->scale[i] = 1;
        made->min[i] = -INFINITY;
        made->max[i] = INFINITY;
    }
    struct cw_json_parser *parser = NULL;
    cw_err err = cw_json_open(&parser, CW_MODEL_FILE_MAX, DEPTH_MAX, fault);
    if (err == CW_ERR_OK) {
        struct reader reader = {.file = file, .model = made, .fault = fault};
        err = parse(parser, json, &reader);
        cw_json_close(parser);
    }
    if (err != CW_ERR_OK) {
        cw_model_close(made);
        return err;
    }
    made->content = cw_hash((struct cw_hash_key){0}, json.data, json.bytes);
    *model = made;
    return CW_ERR_OK;
}

void cw_model_close(struct cw_model *model)
{
    if (model != NULL) {
        free(model->strings);
        free(model);
    }
}
