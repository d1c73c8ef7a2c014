/* The engine against the naive matcher, over random patterns and events from a fixed seed. */
#include "pipeline/pattern.h"
#include "tests/pipeline/naive_pattern.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum {
    TEXT_MAX = 1 << 16,
    PATTERNS = 12
};

struct document {
    struct cw_json_parser *parser;
    struct cw_text text;
    struct cw_json doc;
};

static struct cw_fault fault;
static uint64_t state = 1;

static uint32_t below(uint32_t bound)
{
    state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((state >> 33) % bound);
}

static void parse(struct document *d)
{
    if (d->parser == NULL) {
        cr_assert(eq(int, cw_json_open(&d->parser, TEXT_MAX, 1000, &fault), CW_ERR_OK));
    }
    memset(cw_text_room(&d->text, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    enum cw_json_status status =
        cw_json_parse(d->parser, d->text.data, (uint32_t)d->text.bytes, &d->doc);
    cr_assert(eq(int, (int)status, CW_JSON_PARSE_OK), "%.*s", (int)d->text.bytes, d->text.data);
}

static void close_document(struct document *d)
{
    cw_json_close(d->parser);
    cw_text_deinit(&d->text);
    *d = (struct document){0};
}

/* ---- Generators; names and values from small sets, so that things meet ---- */

struct taste {
    uint32_t names;   /* how many different ones */
    bool repeats;     /* repeated keys, dots in keys, a path that is field and parent */
    uint32_t arrays;  /* of 10 values, how many are arrays */
    uint32_t absence; /* of 10 lists, how many hold exists: false */
};

static const char *const names[] = {"a", "b", "c", "d", "averyveryverylongname", "detail-type"};

static void put_name(struct cw_text *t, const struct taste *taste)
{
    cw_text_puts(t, names[below(taste->names)]);
    if (taste->repeats && below(12) == 0) {
        cw_text_puts(t, ".");
        cw_text_puts(t, names[below(taste->names)]);
    }
}

static void put_scalar(struct cw_text *t)
{
    static const char *const scalars[] = {"1",
                                          "2",
                                          "1.0",
                                          "10e-1",
                                          "\"x\"",
                                          "\"y\"",
                                          "\"xy\"",
                                          "\"X\"",
                                          "\"\"",
                                          "null",
                                          "true",
                                          "false",
                                          "-3.5",
                                          "0",
                                          "\"10.0.0.1\"",
                                          "\"10.0.0.77\"",
                                          "\"2001:db8::1\"",
                                          "\"\\u0078\"",
                                          "9007199254740993",
                                          "\"yx12345678\"",
                                          "\"12345678x\""};
    cw_text_puts(t, scalars[below((uint32_t)CW_COUNTOF(scalars))]);
}

static void put_object(struct cw_text *t, const struct taste *taste, uint32_t depth);

static void put_value(struct cw_text *t, const struct taste *taste, uint32_t depth)
{
    uint32_t pick = below(10);
    if (depth > 0 && pick < taste->arrays) {
        uint32_t count = below(4);
        cw_text_char(t, '[');
        for (uint32_t i = 0; i < count; i++) {
            cw_text_puts(t, i == 0 ? "" : ",");
            put_value(t, taste, depth - 1);
        }
        cw_text_char(t, ']');
    } else if (depth > 0 && pick < taste->arrays + 4) {
        put_object(t, taste, depth - 1);
    } else {
        put_scalar(t);
    }
}

static void put_object(struct cw_text *t, const struct taste *taste, uint32_t depth)
{
    cw_text_char(t, '{');
    uint32_t first = below(taste->names);
    uint32_t count = below(taste->names + 1);
    for (uint32_t i = 0; i < count; i++) {
        cw_text_puts(t, i == 0 ? "\"" : ",\"");
        if (taste->repeats) {
            put_name(t, taste);
        } else {
            cw_text_puts(t, names[(first + i) % taste->names]);
        }
        cw_text_puts(t, "\":");
        put_value(t, taste, depth);
    }
    cw_text_char(t, '}');
}

static void put_list(struct cw_text *t, const struct taste *taste)
{
    static const char *const entries[] = {
        "{\"exists\":true}",
        "{\"prefix\":\"x\"}",
        "{\"suffix\":\"y\"}",
        "{\"prefix\":\"\"}",
        "{\"equals-ignore-case\":\"x\"}",
        "{\"prefix\":{\"equals-ignore-case\":\"X\"}}",
        "{\"suffix\":{\"equals-ignore-case\":\"Y\"}}",
        "{\"wildcard\":\"x*\"}",
        "{\"wildcard\":\"*y\"}",
        "{\"wildcard\":\"*x*\"}",
        "{\"anything-but\":\"x\"}",
        "{\"anything-but\":[1,2]}",
        "{\"anything-but\":{\"prefix\":\"x\"}}",
        "{\"anything-but\":{\"wildcard\":[\"*1*\",\"y*\"]}}",
        "{\"anything-but\":{\"equals-ignore-case\":[\"X\",\"\"]}}",
        "{\"anything-but\":{\"suffix\":[\"x\",\"1\"]}}",
        "{\"numeric\":[\">\",0]}",
        "{\"numeric\":[\"<=\",1]}",
        "{\"numeric\":[\">=\",-3.5,\"<\",2]}",
        "{\"numeric\":[\"=\",1]}",
        "{\"cidr\":\"10.0.0.0/24\"}",
        "{\"cidr\":\"2001:db8::/32\"}",
        "{\"wildcard\":\"1*5*x\"}",
        "{\"suffix\":\"2345678x\"}",
        "{\"prefix\":\"yx1234567\"}"};
    uint32_t count = 1 + below(2);
    cw_text_char(t, '[');
    for (uint32_t i = 0; i < count; i++) {
        cw_text_puts(t, i == 0 ? "" : ",");
        if (below(2) == 0) {
            put_scalar(t);
        } else {
            cw_text_puts(t, entries[below((uint32_t)CW_COUNTOF(entries))]);
        }
    }
    cw_text_puts(t, below(10) < taste->absence ? ",{\"exists\":false}]" : "]");
}

static void put_pattern(struct cw_text *t, const struct taste *taste, uint32_t depth)
{
    cw_text_char(t, '{');
    uint32_t first = below(taste->names);
    uint32_t count = 1 + below(taste->names < 3 ? taste->names : 3);
    for (uint32_t i = 0; i < count; i++) {
        cw_text_puts(t, i == 0 ? "" : ",");
        if (below(8) == 0 && depth > 0) {
            cw_text_puts(t, "\"$or\":[");
            put_pattern(t, taste, depth - 1);
            cw_text_char(t, ',');
            put_pattern(t, taste, depth - 1);
            cw_text_char(t, ']');
            continue;
        }
        cw_text_char(t, '"');
        if (taste->repeats) {
            put_name(t, taste);
        } else {
            cw_text_puts(t, names[(first + i) % taste->names]);
        }
        cw_text_puts(t, "\":");
        if (depth > 0 && below(10) < 6) {
            put_pattern(t, taste, depth - 1);
        } else if (below(10) < taste->absence && below(2) == 0) {
            cw_text_puts(t, "[{\"exists\":false}]");
        } else {
            put_list(t, taste);
        }
    }
    cw_text_char(t, '}');
}

static void fresh_pattern(struct document *d, const struct taste *taste)
{
    cw_text_clear(&d->text);
    put_pattern(&d->text, taste, 2);
    parse(d);
}

static void fresh_event(struct document *d, const struct taste *taste)
{
    cw_text_clear(&d->text);
    put_object(&d->text, taste, 4);
    parse(d);
}

static struct cw_view view_of(const struct document *d)
{
    return (struct cw_view){d->text.data, (uint32_t)d->text.bytes};
}

/* ---- Properties ---- */

/* Sets of random patterns against random events: each pattern of the set answers as the naive
   matcher does; some of each verdict must have been seen. */
static void compare(const struct taste *taste, uint32_t rounds, uint64_t seed)
{
    static struct document patterns[PATTERNS];
    struct document event = {0};
    struct cw_pattern_scratch *scratch;
    cr_assert(eq(int, cw_pattern_scratch_open(&scratch, &fault), CW_ERR_OK));
    uint64_t seen[2] = {0, 0};
    state = seed;
    for (uint32_t round = 0; round < rounds; round++) {
        struct cw_pattern_set *set;
        cr_assert(eq(int, cw_pattern_set_open(&set, &fault), CW_ERR_OK));
        for (uint32_t p = 0; p < PATTERNS; p++) {
            fresh_pattern(&patterns[p], taste);
            cr_assert(
                eq(int, cw_pattern_add(set, view_of(&patterns[p]), CW_PATTERN_STRICT, NULL, &fault),
                   CW_ERR_OK),
                "%.*s: %s", (int)patterns[p].text.bytes, patterns[p].text.data, fault.text);
        }
        cw_pattern_set_seal(set);
        for (uint32_t e = 0; e < 30; e++) {
            fresh_event(&event, taste);
            struct cw_pattern_matches matches;
            cw_pattern_match(set, scratch, &event.doc, &matches);
            for (uint32_t p = 0; p < PATTERNS; p++) {
                int expected = naive_match(&patterns[p].doc, &event.doc);
                int got = (matches.words[0] >> p & 1) != 0;
                if (expected >= 0) {
                    seen[expected]++;
                    cr_assert(eq(int, got, expected), "%.*s\n%.*s", (int)patterns[p].text.bytes,
                              patterns[p].text.data, (int)event.text.bytes, event.text.data);
                }
            }
        }
        cw_pattern_set_close(set);
    }
    cr_assert(gt(u64, seen[0], rounds));
    cr_assert(gt(u64, seen[1], rounds));
    for (uint32_t p = 0; p < PATTERNS; p++) {
        close_document(&patterns[p]);
    }
    close_document(&event);
    cw_pattern_scratch_close(scratch);
}

Test(pattern_property, agrees_with_the_naive_matcher_without_arrays)
{
    compare(&(struct taste){.names = 6, .arrays = 0, .absence = 3}, 200, 1);
}

Test(pattern_property, agrees_with_the_naive_matcher_on_nested_arrays)
{
    compare(&(struct taste){.names = 2, .arrays = 5, .absence = 0}, 400, 2);
}

Test(pattern_property, agrees_with_the_naive_matcher_on_absence_in_arrays)
{
    compare(&(struct taste){.names = 3, .arrays = 5, .absence = 4}, 400, 3);
}

Test(pattern_property, agrees_with_the_naive_matcher_on_repeated_and_dotted_keys)
{
    compare(&(struct taste){.names = 2, .arrays = 4, .absence = 2, .repeats = true}, 400, 4);
}

Test(pattern_property, agrees_with_the_naive_matcher_on_wide_objects)
{
    compare(&(struct taste){.names = 6, .arrays = 3, .absence = 2}, 200, 5);
}

/* Copies an object's members in another order, all the way down. */
static void put_turned(struct cw_text *t, const struct cw_json *doc, uint32_t node)
{
    const struct cw_json_node *nodes = doc->nodes;
    if (nodes[node].type != CW_JSON_OBJECT && nodes[node].type != CW_JSON_ARRAY) {
        bool quoted = nodes[node].type == CW_JSON_STRING;
        cw_text_puts(t, quoted ? "\"" : "");
        cw_text_view(t, cw_json_raw(doc, node));
        cw_text_puts(t, quoted ? "\"" : "");
        return;
    }
    bool object = nodes[node].type == CW_JSON_OBJECT;
    uint32_t children[64];
    uint32_t count = 0;
    for (uint32_t i = node + 1; i < nodes[node].next && count < 64; i = nodes[i].next) {
        children[count++] = i;
    }
    cw_text_char(t, object ? '{' : '[');
    for (uint32_t k = 0; k < count; k++) {
        uint32_t child = children[count - 1 - k];
        cw_text_puts(t, k == 0 ? "" : ",");
        if (object) {
            cw_text_char(t, '"');
            cw_text_put(t, doc->text + nodes[child].key, nodes[child].key_bytes);
            cw_text_puts(t, "\":");
        }
        put_turned(t, doc, child);
    }
    cw_text_char(t, object ? '}' : ']');
}

Test(pattern_property, does_not_depend_on_the_order_of_members_and_elements)
{
    struct taste taste = {.names = 3, .arrays = 4, .absence = 2, .repeats = true};
    struct document pattern = {0};
    struct document event = {0};
    struct document turned = {0};
    struct cw_pattern_scratch *scratch;
    cr_assert(eq(int, cw_pattern_scratch_open(&scratch, &fault), CW_ERR_OK));
    state = 6;
    for (int round = 0; round < 5000; round++) {
        struct cw_pattern_set *set;
        struct cw_pattern_matches matches[2];
        fresh_pattern(&pattern, &taste);
        fresh_event(&event, &taste);
        cw_text_clear(&turned.text);
        put_turned(&turned.text, &event.doc, 0);
        parse(&turned);
        cr_assert(eq(int, cw_pattern_set_open(&set, &fault), CW_ERR_OK));
        cr_assert(eq(int, cw_pattern_add(set, view_of(&pattern), CW_PATTERN_STRICT, NULL, &fault),
                     CW_ERR_OK));
        cw_pattern_set_seal(set);
        cw_pattern_match(set, scratch, &event.doc, &matches[0]);
        cw_pattern_match(set, scratch, &turned.doc, &matches[1]);
        cr_assert(eq(u64, matches[0].words[0], matches[1].words[0]), "%.*s\n%.*s",
                  (int)pattern.text.bytes, pattern.text.data, (int)event.text.bytes,
                  event.text.data);
        cw_pattern_set_close(set);
    }
    close_document(&pattern);
    close_document(&event);
    close_document(&turned);
    cw_pattern_scratch_close(scratch);
}

Test(pattern_property, answers_of_a_set_are_those_of_each_pattern_alone)
{
    enum {
        MANY = 200
    };
    struct taste taste = {.names = 5, .arrays = 3, .absence = 2};
    static struct document patterns[MANY];
    static struct cw_pattern_set *alone[MANY];
    struct document event = {0};
    struct cw_pattern_set *set;
    struct cw_pattern_scratch *scratch;
    state = 7;
    cr_assert(eq(int, cw_pattern_scratch_open(&scratch, &fault), CW_ERR_OK));
    cr_assert(eq(int, cw_pattern_set_open(&set, &fault), CW_ERR_OK));
    for (int p = 0; p < MANY; p++) {
        fresh_pattern(&patterns[p], &taste);
        cr_assert(eq(int, cw_pattern_set_open(&alone[p], &fault), CW_ERR_OK));
        cr_assert(eq(
            int, cw_pattern_add(alone[p], view_of(&patterns[p]), CW_PATTERN_STRICT, NULL, &fault),
            CW_ERR_OK));
        cr_assert(eq(int,
                     cw_pattern_add(set, view_of(&patterns[p]), CW_PATTERN_STRICT, NULL, &fault),
                     CW_ERR_OK));
        cw_pattern_set_seal(alone[p]);
    }
    cw_pattern_set_seal(set);
    for (int e = 0; e < 500; e++) {
        struct cw_pattern_matches all;
        struct cw_pattern_matches one;
        fresh_event(&event, &taste);
        cw_pattern_match(set, scratch, &event.doc, &all);
        for (int p = 0; p < MANY; p++) {
            cw_pattern_match(alone[p], scratch, &event.doc, &one);
            cr_assert(eq(u64, all.words[p / 64] >> (p % 64) & 1, one.words[0]));
        }
    }
    for (int p = 0; p < MANY; p++) {
        cw_pattern_set_close(alone[p]);
        close_document(&patterns[p]);
    }
    close_document(&event);
    cw_pattern_set_close(set);
    cw_pattern_scratch_close(scratch);
}

/* A verdict of true has no field unmet in an only alternative; one of false has a reason. */
Test(pattern_property, explains_each_verdict)
{
    struct taste taste = {.names = 3, .arrays = 4, .absence = 2};
    struct document pattern = {0};
    struct document event = {0};
    struct cw_pattern_scratch *scratch;
    struct cw_text lines = {0};
    cr_assert(eq(int, cw_pattern_scratch_open(&scratch, &fault), CW_ERR_OK));
    state = 8;
    for (int round = 0; round < 5000; round++) {
        struct cw_pattern_set *set;
        struct cw_pattern_matches matches;
        fresh_pattern(&pattern, &taste);
        fresh_event(&event, &taste);
        cr_assert(eq(int, cw_pattern_set_open(&set, &fault), CW_ERR_OK));
        cr_assert(eq(int, cw_pattern_add(set, view_of(&pattern), CW_PATTERN_STRICT, NULL, &fault),
                     CW_ERR_OK));
        cw_pattern_set_seal(set);
        cw_pattern_match(set, scratch, &event.doc, &matches);
        cw_text_clear(&lines);
        cw_pattern_explain(set, 0, scratch, &event.doc, &lines);
        const char *text = cw_text_terminate(&lines);
        bool unmet = strstr(text, "not met: ") != NULL;
        bool choices = strstr(cw_text_terminate(&pattern.text), "$or") != NULL;
        bool match = (matches.words[0] & 1) != 0;
        if (match && !choices) {
            cr_assert(not(unmet), "%s\n%s", pattern.text.data, text);
        }
        if (!match) {
            cr_assert(unmet, "%s\n%s", pattern.text.data, text);
        }
        cw_pattern_set_close(set);
    }
    cw_text_deinit(&lines);
    close_document(&pattern);
    close_document(&event);
    cw_pattern_scratch_close(scratch);
}
