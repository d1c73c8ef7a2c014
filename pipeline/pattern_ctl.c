/*
 * Compiling patterns: the trie of keys, alternatives, what is wrong with a pattern. The lists of
 * values are pattern_test_ctl.c's; pattern_seal_ctl.c makes of it all what matching reads.
 */
#include "core/hash.h"
#include "core/problem.h"
#include "pipeline/pattern_priv.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Memory ---- */

void cw_pattern_room(void *at, uint32_t count, uint32_t *capacity, size_t size)
{
    if (count < *capacity) {
        return;
    }
    CW_ASSERT(count < UINT32_MAX / 2);
    void *array;
    memcpy(&array, at, sizeof array);
    *capacity = count == 0 ? 16 : count * 2;
    array = realloc(array, *capacity * size);
    CW_ASSERT(array != NULL);
    memcpy(at, &array, sizeof array);
}

void *cw_pattern_keep(struct cw_pattern_set *set, size_t bytes)
{
    void *block = calloc(1, bytes == 0 ? 1 : bytes);
    CW_ASSERT(block != NULL);
    CW_PATTERN_PUSH(&set->blocks, block);
    return block;
}

/* ---- Texts that are known by a number ---- */

static void intern_resize(struct cw_pattern_set *set)
{
    uint32_t slots = set->intern_mask == 0 ? 64 : (set->intern_mask + 1) * 2;
    free(set->intern_slots);
    set->intern_slots = malloc(slots * sizeof *set->intern_slots);
    CW_ASSERT(set->intern_slots != NULL);
    memset(set->intern_slots, 0xff, slots * sizeof *set->intern_slots);
    set->intern_mask = slots - 1;
    for (uint32_t i = 0; i < set->interned.count; i++) {
        uint32_t at = (uint32_t)set->interned.at[i].hash & set->intern_mask;
        while (set->intern_slots[at] != CW_PATTERN_NONE) {
            at = (at + 1) & set->intern_mask;
        }
        set->intern_slots[at] = i;
    }
}

uint32_t cw_pattern_intern(struct cw_pattern_set *set, struct cw_view text, uint32_t fresh_id)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < text.bytes; i++) {
        hash = (hash ^ (uint8_t)text.data[i]) * UINT64_C(0x100000001b3);
    }
    if ((set->interned.count + 1) * 2 > set->intern_mask) {
        intern_resize(set);
    }
    uint32_t at = (uint32_t)hash & set->intern_mask;
    for (; set->intern_slots[at] != CW_PATTERN_NONE; at = (at + 1) & set->intern_mask) {
        const struct cw_pattern_intern *known = &set->interned.at[set->intern_slots[at]];
        struct cw_view known_text = {set->pool.data + known->text, known->text_bytes};
        if (known->hash == hash && cw_view_equal(known_text, text)) {
            return known->id;
        }
    }
    set->intern_slots[at] = set->interned.count;
    struct cw_pattern_intern fresh = {
        .hash = hash,
        .text = (uint32_t)set->pool.bytes,
        .text_bytes = text.bytes,
        .id = fresh_id,
    };
    cw_text_view(&set->pool, text);
    CW_PATTERN_PUSH(&set->interned, fresh);
    return fresh_id;
}

uint32_t cw_pattern_key_child(struct cw_pattern_set *set, uint32_t parent, struct cw_view name)
{
    struct cw_text text = {0};
    cw_text_char(&text, 'k');
    cw_text_put(&text, &parent, sizeof parent);
    cw_text_view(&text, name);
    struct cw_view view = {text.data, (uint32_t)text.bytes};
    uint32_t id = cw_pattern_intern(set, view, set->keys.count);
    cw_text_deinit(&text);
    if (id == set->keys.count) {
        struct cw_pattern_key key = {
            .parent = parent,
            .depth = set->keys.at[parent].depth + 1,
            .name = (uint32_t)set->pool.bytes - name.bytes, /* as interned */
            .name_bytes = name.bytes,
        };
        CW_PATTERN_PUSH(&set->keys, key);
    }
    return id;
}

/* ---- Life ---- */

cw_err cw_pattern_set_open(struct cw_pattern_set **set, struct cw_fault *fault)
{
    static atomic_uint_least64_t last_id;
    struct cw_pattern_set *fresh = calloc(1, sizeof *fresh);
    if (fresh == NULL) {
        return cw_fail(fault, CW_ERR_LIMIT, "no memory for patterns");
    }
    cw_err err = cw_json_open(&fresh->parser, CW_PATTERN_BYTES_MAX, CW_JSON_DEPTH_MAX, fault);
    if (err != CW_ERR_OK) {
        free(fresh);
        return err;
    }
    fresh->id = atomic_fetch_add(&last_id, 1) + 1;
    CW_PATTERN_PUSH(&fresh->keys, (struct cw_pattern_key){.parent = CW_PATTERN_NONE});
    *set = fresh;
    return CW_ERR_OK;
}

void cw_pattern_set_close(struct cw_pattern_set *set)
{
    if (set == NULL) {
        return;
    }
    for (uint32_t i = 0; i < set->blocks.count; i++) {
        free(set->blocks.at[i]);
    }
    void *vectors[] = {
        set->nodes.at,     set->values.at,       set->outcomes.at,        set->actions.at,
        set->wildcards.at, set->pieces.at,       set->items.at,           set->parts.at,
        set->part_of.at,   set->always.at,       set->whole.first,        set->whole.parts,
        set->within.first, set->within.parts,    set->patterns.at,        set->keys.at,
        set->args.at,      set->tests.at,        set->condition_tests.at, set->conditions.at,
        set->pairs.at,     set->alternatives.at, set->leaves.at,          set->interned.at,
        set->intern_slots, set->blocks.at,
    };
    for (uint32_t i = 0; i < CW_COUNTOF(vectors); i++) {
        free(vectors[i]);
    }
    cw_text_deinit(&set->pool);
    cw_json_close(set->parser);
    free(set);
}

uint32_t cw_pattern_set_count(const struct cw_pattern_set *set)
{
    return set->patterns.count;
}

/* ---- Refusals ---- */

cw_err cw_pattern_refuse(struct cw_pattern_place *place, const char *format, ...)
{
    char what[sizeof place->fault->text];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(what, sizeof what, format, args);
    va_end(args);

    enum {
        PATH_SHOWN = 100
    };

    if (place->path->bytes == 0) {
        return cw_fail(place->fault, CW_ERR_INVALID, "%s", what);
    }
    bool cut = place->path->bytes > PATH_SHOWN;
    return cw_fail(place->fault, CW_ERR_INVALID, "at %.*s%s: %s",
                   (int)(cut ? PATH_SHOWN : place->path->bytes), place->path->data,
                   cut ? "..." : "", what);
}

/* ---- Alternatives while they are made: lists of pairs, one after the other ---- */

struct options {
    CW_PATTERN_VECTOR(struct cw_pattern_pair) pairs;
    CW_PATTERN_VECTOR(uint32_t) ends; /* where each alternative's pairs end */
};

static void options_deinit(struct options *options)
{
    free(options->pairs.at);
    free(options->ends.at);
    *options = (struct options){0};
}

static uint32_t options_start(const struct options *options, uint32_t i)
{
    return i == 0 ? 0 : options->ends.at[i - 1];
}

static void options_append(struct options *to, const struct options *from)
{
    for (uint32_t i = 0; i < from->ends.count; i++) {
        for (uint32_t p = options_start(from, i); p < from->ends.at[i]; p++) {
            CW_PATTERN_PUSH(&to->pairs, from->pairs.at[p]);
        }
        CW_PATTERN_PUSH(&to->ends, to->pairs.count);
    }
}

/* Adds a pair to the alternative that starts at `start`; the later condition of a path wins. */
static void put_pair(struct options *to, uint32_t start, struct cw_pattern_pair pair)
{
    for (uint32_t p = start; p < to->pairs.count; p++) {
        if (to->pairs.at[p].key == pair.key) {
            to->pairs.at[p] = pair;
            return;
        }
    }
    CW_PATTERN_PUSH(&to->pairs, pair);
}

/* Each alternative of a together with each of b. */
static cw_err options_multiply(struct cw_pattern_place *place, struct options *a,
                               const struct options *b)
{
    if (a->ends.count == 1 && b->ends.count == 1) {
        for (uint32_t p = 0; p < b->pairs.count; p++) {
            put_pair(a, 0, b->pairs.at[p]);
        }
        a->ends.at[0] = a->pairs.count;
        return CW_ERR_OK;
    }
    uint64_t count = (uint64_t)a->ends.count * b->ends.count;
    uint64_t pairs =
        (uint64_t)a->pairs.count * b->ends.count + (uint64_t)b->pairs.count * a->ends.count;
    if (count > CW_PATTERN_ALTERNATIVES || pairs > CW_PATTERN_ITEMS_MAX) {
        return cw_pattern_refuse(place,
                                 "the choices of $or multiply to more than %u; split the pattern",
                                 CW_PATTERN_ALTERNATIVES);
    }
    struct options product = {0};
    for (uint32_t i = 0; i < a->ends.count; i++) {
        for (uint32_t j = 0; j < b->ends.count; j++) {
            uint32_t start = product.pairs.count;
            for (uint32_t p = options_start(a, i); p < a->ends.at[i]; p++) {
                /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): none ends behind them */
                CW_PATTERN_PUSH(&product.pairs, a->pairs.at[p]);
            }
            for (uint32_t p = options_start(b, j); p < b->ends.at[j]; p++) {
                put_pair(&product, start, b->pairs.at[p]);
            }
            CW_PATTERN_PUSH(&product.ends, product.pairs.count);
        }
    }
    options_deinit(a);
    *a = product;
    return CW_ERR_OK;
}

/* ---- Objects ---- */

struct compiler {
    struct cw_pattern_place place;
    uint32_t leaf_first; /* leaves of this pattern begin here */
};

static cw_err compile_object(struct compiler *c, uint32_t object, uint32_t key,
                             struct options *options);

static struct cw_view name_of(const struct cw_json *doc, uint32_t node, struct cw_text *buffer)
{
    struct cw_view raw = {doc->text + doc->nodes[node].key, doc->nodes[node].key_bytes};
    cw_text_clear(buffer);
    char *room = cw_text_room(buffer, raw.bytes + 1);
    return (struct cw_view){room, cw_json_unescape(raw, room)};
}

/* Goes down a name, which dots may join of several. */
static uint32_t key_of(struct cw_pattern_set *set, uint32_t key, struct cw_view name)
{
    for (;;) { /* as often as there are dots */
        const char *dot = name.bytes == 0 ? NULL : memchr(name.data, '.', name.bytes);
        if (dot == NULL) {
            return cw_pattern_key_child(set, key, name);
        }
        uint32_t bytes = (uint32_t)(dot - name.data);
        key = cw_pattern_key_child(set, key, (struct cw_view){name.data, bytes});
        name = (struct cw_view){dot + 1, name.bytes - bytes - 1};
    }
}

static cw_err compile_leaf(struct compiler *c, uint32_t list, uint32_t key, struct options *options)
{
    struct cw_pattern_set *set = c->place.set;
    uint32_t condition;
    uint32_t before = *c->place.ranges;
    cw_err err = cw_pattern_compile_list(&c->place, list, key, &condition);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_view spec = cw_json_raw(c->place.doc, list);
    struct cw_pattern_leaf leaf = {
        .path = (uint32_t)set->pool.bytes,
        .path_bytes = (uint32_t)c->place.path->bytes,
        .spec = (uint32_t)(set->pool.bytes + c->place.path->bytes),
        .spec_bytes = spec.bytes,
        .condition = condition,
        .range = *c->place.ranges != before,
    };
    cw_text_put(&set->pool, c->place.path->data, c->place.path->bytes);
    cw_text_view(&set->pool, spec);
    CW_PATTERN_PUSH(&set->leaves, leaf);
    CW_PATTERN_PUSH(&options->pairs, (struct cw_pattern_pair){.key = key, .condition = condition});
    CW_PATTERN_PUSH(&options->ends, options->pairs.count);
    return CW_ERR_OK;
}

/* One object in the list of an $or. */
static cw_err compile_choice(struct compiler *c, uint32_t object, uint32_t key,
                             struct options *options)
{
    const struct cw_json *doc = c->place.doc;
    if (doc->nodes[object].type != CW_JSON_OBJECT) {
        return cw_pattern_refuse(&c->place, "each choice is an object of fields, such as "
                                            "{\"source\":[\"ecommerce.cart\"]}");
    }
    for (uint32_t i = object + 1; i < doc->nodes[object].next; i = doc->nodes[i].next) {
        struct cw_view name = {doc->text + doc->nodes[i].key, doc->nodes[i].key_bytes};
        for (const char *const *op = cw_pattern_operators; *op != NULL; op++) {
            if (cw_view_equal(name, (struct cw_view){*op, (uint32_t)strlen(*op)})) {
                return cw_pattern_refuse(&c->place,
                                         "a choice holds fields, but \"%s\" is an operator; write "
                                         "{\"FIELD\":[{\"%s\":...}]}",
                                         *op, *op);
            }
        }
    }
    struct options sub = {0};
    cw_err err = compile_object(c, object, key, &sub);
    if (err == CW_ERR_OK && (options->ends.count + sub.ends.count > CW_PATTERN_ALTERNATIVES ||
                             options->pairs.count + sub.pairs.count > CW_PATTERN_ITEMS_MAX)) {
        err = cw_pattern_refuse(&c->place,
                                "the choices of $or multiply to more than %u; split the pattern",
                                CW_PATTERN_ALTERNATIVES);
    }
    if (err == CW_ERR_OK) {
        options_append(options, &sub);
    }
    options_deinit(&sub);
    return err;
}

static cw_err compile_or(struct compiler *c, uint32_t list, uint32_t key, struct options *options)
{
    const struct cw_json *doc = c->place.doc;
    uint32_t count = 0;
    if (doc->nodes[list].type == CW_JSON_ARRAY) {
        for (uint32_t i = list + 1; i < doc->nodes[list].next; i = doc->nodes[i].next) {
            count++;
        }
    }
    if (count < 2) {
        return cw_pattern_refuse(&c->place, "$or is a list of at least two objects, "
                                            "[{\"a\":[1]},{\"b\":[2]}]; with one choice leave $or "
                                            "out");
    }
    size_t path = c->place.path->bytes;
    uint32_t number = 0;
    for (uint32_t i = list + 1; i < doc->nodes[list].next; i = doc->nodes[i].next) {
        cw_text_printf(c->place.path, "[%u]", number++);
        cw_err err = compile_choice(c, i, key, options);
        c->place.path->bytes = path;
        if (err != CW_ERR_OK) {
            return err;
        }
    }
    return CW_ERR_OK;
}

static cw_err compile_member(struct compiler *c, uint32_t member, uint32_t key, struct cw_view name,
                             struct options *options)
{
    uint8_t type = c->place.doc->nodes[member].type;
    if (cw_view_equal(name, CW_VIEW("$or"))) {
        return compile_or(c, member, key, options);
    }
    uint32_t child = key_of(c->place.set, key, name);
    if (type == CW_JSON_OBJECT) {
        return compile_object(c, member, child, options);
    }
    if (type == CW_JSON_ARRAY) {
        return compile_leaf(c, member, child, options);
    }
    struct cw_view raw = cw_json_raw(c->place.doc, member);
    bool quoted = type == CW_JSON_STRING;
    return cw_pattern_refuse(&c->place, "a field's values stand in a list; write [%s%.*s%s]",
                             quoted ? "\"" : "", raw.bytes > 60 ? 0 : (int)raw.bytes, raw.data,
                             quoted ? "\"" : "");
}

/* As deep as the pattern, which the parser bounds. */
static cw_err compile_object(struct compiler *c, uint32_t object, uint32_t key,
                             struct options *options)
{
    const struct cw_json *doc = c->place.doc;
    if (doc->nodes[object].next == object + 1) {
        return cw_pattern_refuse(&c->place, "an empty object asks for nothing; name a field, such "
                                            "as {\"source\":[\"ecommerce.cart\"]}, or leave it "
                                            "out");
    }
    CW_PATTERN_PUSH(&options->ends, options->pairs.count);
    size_t path = c->place.path->bytes;
    struct cw_text buffer = {0};
    cw_err err = CW_ERR_OK;
    for (uint32_t i = object + 1; err == CW_ERR_OK && i < doc->nodes[object].next;
         i = doc->nodes[i].next) {
        struct cw_view name = name_of(doc, i, &buffer);
        if (path > 0) {
            cw_text_char(c->place.path, '.');
        }
        cw_text_view(c->place.path, name);
        struct options sub = {0};
        err = compile_member(c, i, key, name, &sub);
        if (err == CW_ERR_OK) {
            err = options_multiply(&c->place, options, &sub);
        }
        options_deinit(&sub);
        c->place.path->bytes = path;
    }
    cw_text_deinit(&buffer);
    return err;
}

/* ---- A pattern ---- */

/* Where the root object ends, or all of it. What follows is not read, as in EventBridge's own
   matcher; the command line remarks it. */
static uint32_t root_bytes(struct cw_view json)
{
    uint32_t depth = 0;
    bool string = false;
    for (uint32_t i = 0; i < json.bytes; i++) {
        char c = json.data[i];
        if (string) {
            i += c == '\\';
            string = c != '"';
        } else if (c == '"') {
            string = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && (depth == 0 || --depth == 0)) {
            return i + 1;
        }
    }
    return json.bytes;
}

static cw_err parse(struct compiler *c, struct cw_view json, struct cw_text *copy,
                    struct cw_json *doc)
{
    uint32_t bytes = json.bytes;
    if (bytes > CW_PATTERN_BYTES_MAX) {
        return cw_fail(c->place.fault, CW_ERR_INVALID, "it is longer than %u bytes",
                       CW_PATTERN_BYTES_MAX);
    }
    if (c->place.dialect == CW_PATTERN_STRICT) {
        bytes = root_bytes(json);
    }
    cw_text_put(copy, json.data, bytes);
    memset(cw_text_room(copy, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    enum cw_json_status status = cw_json_parse(c->place.set->parser, copy->data, bytes, doc);
    if (status != CW_JSON_PARSE_OK) {
        return cw_fail(c->place.fault, CW_ERR_INVALID, "it is not JSON: %s (near byte %u)",
                       cw_json_status_text(status), doc->error_offset);
    }
    if (doc->nodes[0].type != CW_JSON_OBJECT) {
        return cw_fail(c->place.fault, CW_ERR_INVALID,
                       "a pattern is an object of fields, such as "
                       "{\"source\":[\"ecommerce.cart\"]}");
    }
    return CW_ERR_OK;
}

static void take_options(struct cw_pattern_set *set, const struct options *options,
                         uint32_t leaf_first)
{
    struct cw_pattern_info info = {
        .leaf = leaf_first,
        .leaf_count = set->leaves.count - leaf_first,
        .alternative = set->alternatives.count,
        .alternative_count = options->ends.count,
    };
    for (uint32_t i = 0; i < options->ends.count; i++) {
        struct cw_pattern_alternative alternative = {
            .pattern = set->patterns.count,
            .pair = set->pairs.count,
            .pair_count = options->ends.at[i] - options_start(options, i),
        };
        for (uint32_t p = options_start(options, i); p < options->ends.at[i]; p++) {
            CW_PATTERN_PUSH(&set->pairs, options->pairs.at[p]);
        }
        CW_PATTERN_PUSH(&set->alternatives, alternative);
    }
    CW_PATTERN_PUSH(&set->patterns, info);
}

cw_err cw_pattern_add(struct cw_pattern_set *set, struct cw_view json,
                      enum cw_pattern_dialect dialect, uint32_t *ranges, struct cw_fault *fault)
{
    CW_ASSERT(!set->sealed);
    if (set->patterns.count == CW_PATTERNS_MAX) {
        return cw_fail(fault, CW_ERR_LIMIT, "there are %u patterns, which is the limit",
                       CW_PATTERNS_MAX);
    }
    struct cw_text copy = {0};
    struct cw_text path = {0};
    struct cw_json doc = {0};
    struct options options = {0};
    uint32_t counted = 0;
    struct compiler c = {
        .place = {.set = set,
                  .doc = &doc,
                  .path = &path,
                  .dialect = dialect,
                  .ranges = &counted,
                  .fault = fault},
        .leaf_first = set->leaves.count,
    };
    cw_err err = parse(&c, json, &copy, &doc);
    if (err == CW_ERR_OK) {
        CW_ASSERT(doc.nodes != NULL);
        err = compile_object(&c, 0, 0, &options);
    }
    if (err == CW_ERR_OK && set->pairs.count + options.pairs.count > CW_PATTERN_ITEMS_MAX) {
        err = cw_fail(fault, CW_ERR_LIMIT, "all patterns together ask for more than %u fields",
                      CW_PATTERN_ITEMS_MAX);
    }
    if (err == CW_ERR_OK) {
        take_options(set, &options, c.leaf_first);
        if (ranges != NULL) {
            *ranges = counted;
        }
    } else {
        set->leaves.count = c.leaf_first; /* keys and tests that nobody uses are not sealed */
    }
    options_deinit(&options);
    cw_text_deinit(&copy);
    cw_text_deinit(&path);
    return err;
}
