#include "pipeline/pattern.h"
#include "tests/pipeline/naive_pattern.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum {
    TEXT_MAX = 4 << 20
};

static struct cw_fault fault;
static struct cw_json_parser *parser;
static struct cw_pattern_scratch *scratch;
static struct cw_text held; /* what doc points into */

static void open_all(void)
{
    cr_assert(eq(int, cw_json_open(&parser, TEXT_MAX, 1000, &fault), CW_ERR_OK));
    cr_assert(eq(int, cw_pattern_scratch_open(&scratch, &fault), CW_ERR_OK));
}

static void close_all(void)
{
    cw_json_close(parser);
    cw_pattern_scratch_close(scratch);
    cw_text_deinit(&held);
}

TestSuite(pattern, .init = open_all, .fini = close_all);

static struct cw_view view_of(const char *text)
{
    return (struct cw_view){text, (uint32_t)strlen(text)};
}

static enum cw_json_status parse(struct cw_view event, struct cw_json *doc)
{
    cw_text_clear(&held);
    cw_text_view(&held, event);
    memset(cw_text_room(&held, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    return cw_json_parse(parser, held.data, event.bytes, doc);
}

/* NULL when the pattern is refused; its message is in fault. */
static struct cw_pattern_set *set_of(struct cw_view pattern, enum cw_pattern_dialect dialect)
{
    struct cw_pattern_set *set;
    cr_assert(eq(int, cw_pattern_set_open(&set, &fault), CW_ERR_OK));
    if (cw_pattern_add(set, pattern, dialect, NULL, &fault) != CW_ERR_OK) {
        cr_assert(eq(int, (int)fault.code, CW_ERR_INVALID));
        cw_pattern_set_close(set);
        return NULL;
    }
    cw_pattern_set_seal(set);
    return set;
}

enum verdict {
    NO,
    YES,
    BAD_PATTERN,
    BAD_EVENT
};

static enum verdict match_in(struct cw_pattern_set *set, struct cw_view event)
{
    struct cw_json doc;
    struct cw_pattern_matches matches;
    if (parse(event, &doc) != CW_JSON_PARSE_OK || doc.nodes[0].type != CW_JSON_OBJECT) {
        return BAD_EVENT;
    }
    cw_pattern_match(set, scratch, &doc, &matches);
    return (matches.words[0] & 1) != 0 ? YES : NO;
}

static enum verdict match(const char *pattern, const char *event)
{
    struct cw_pattern_set *set = set_of(view_of(pattern), CW_PATTERN_STRICT);
    if (set == NULL) {
        return BAD_PATTERN;
    }
    enum verdict verdict = match_in(set, view_of(event));
    cw_pattern_set_close(set);
    return verdict;
}

/* ---- Rows of facts ---- */

struct rows {
    uint32_t count, wrong, other;
    bool model; /* the row's "model" is right, not what the reference answered */
};

static struct cw_view text_member(const struct cw_json *row, const char *name, char *to)
{
    uint32_t node = cw_json_find(row, 0, view_of(name));
    if (node == CW_JSON_NONE) {
        return (struct cw_view){NULL, 0};
    }
    return (struct cw_view){to, cw_json_unescape(cw_json_raw(row, node), to)};
}

static bool is_true(const struct cw_json *row, const char *name)
{
    uint32_t node = cw_json_find(row, 0, view_of(name));
    return node != CW_JSON_NONE && row->nodes[node].type == CW_JSON_TRUE;
}

static enum verdict expected_of(const struct cw_json *row, bool model)
{
    if (is_true(row, "event_invalid")) {
        return BAD_EVENT;
    }
    if (model) {
        uint32_t node = cw_json_find(row, 0, view_of("model"));
        return row->nodes[node].type == CW_JSON_STRING ? BAD_PATTERN
               : row->nodes[node].type == CW_JSON_TRUE ? YES
                                                       : NO;
    }
    return is_true(row, "invalid") ? BAD_PATTERN : is_true(row, "match") ? YES : NO;
}

/*
 * Where a row's note lets an engine decide otherwise, and this one does:
 * - absence in arrays depends on the order of keys in the reference: it looks at absence against
 *   the elements chosen for the keys that sort before it. Here it is against all of the pattern's;
 * - a lone surrogate is no Unicode text: refused in patterns and events;
 * - bytes after an event's end: the event is malformed.
 * As given, though the note would allow otherwise: of a repeated path the last one counts, and
 * leading zeros in IPv4 addresses are decimal.
 */
static bool may_differ(const struct cw_json *row, enum verdict got)
{
    static char note[1 << 12];
    struct cw_view text = text_member(row, "note", note);
    if (text.data == NULL) {
        return false;
    }
    note[text.bytes] = '\0';
    if (strstr(note, "order-dependent exists:false") != NULL) {
        return got == YES || got == NO;
    }
    return strstr(note, "lone surrogate") != NULL || strstr(note, "after the root") != NULL;
}

static void check_row(struct rows *rows, const struct cw_json *row, uint32_t line)
{
    static char buffer[1 << 20];
    static char event_buffer[1 << 20];
    struct cw_view pattern = text_member(row, "pattern", buffer);
    struct cw_view event = text_member(row, "event", event_buffer);
    enum verdict expected = expected_of(row, rows->model);
    enum verdict got = BAD_PATTERN;
    struct cw_pattern_set *set = set_of(pattern, CW_PATTERN_STRICT);
    if (set != NULL && event.data == NULL) {
        got = rows->model ? expected : NO; /* accepted is all that can be said */
    } else if (set != NULL) {
        struct cw_json doc;
        struct cw_text lines = {0};
        got = match_in(set, event);
        if (got != BAD_EVENT && parse(event, &doc) == CW_JSON_PARSE_OK) {
            cw_pattern_explain(set, 0, scratch, &doc, &lines);
            if (strstr(cw_text_terminate(&lines), "not met: ") == NULL && got == NO) {
                cr_log_error("line %u: no reason: %s", line, lines.data);
                rows->wrong++;
            }
        }
        cw_text_deinit(&lines);
    }
    cw_pattern_set_close(set);
    rows->count++;
    if (got != expected && may_differ(row, got)) {
        rows->other++;
    } else if (got != expected) {
        rows->wrong++;
        cr_log_error("line %u: expected %d, got %d: %.*s | %.*s", line, (int)expected, (int)got,
                     (int)pattern.bytes, pattern.data, (int)event.bytes, event.data);
    }
}

/* False when the file is not there. */
static bool check_rows(const char *path, struct rows *rows)
{
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        cr_log_warn("SKIPPED: %s is not there", path);
        return false;
    }
    struct cw_json_parser *row_parser;
    cr_assert(eq(int, cw_json_open(&row_parser, TEXT_MAX, 1000, &fault), CW_ERR_OK));
    static char line[TEXT_MAX];
    uint32_t number = 0;
    while (fgets(line, sizeof line - CW_JSON_PADDING, file) != NULL) {
        struct cw_json row;
        number++;
        enum cw_json_status status = cw_json_parse(row_parser, line, (uint32_t)strlen(line), &row);
        cr_assert(eq(int, (int)status, CW_JSON_PARSE_OK), "%s:%u", path, number);
        check_row(rows, &row, number);
    }
    (void)fclose(file);
    cw_json_close(row_parser);
    return true;
}

Test(pattern, answers_the_reference_rows_as_given)
{
    struct rows rows = {0};
    cr_assert(check_rows(CW_SOURCE_DIR "/tests/data/patterns/own.jsonl", &rows));
    cr_assert(eq(u32, rows.wrong, 0));
    cr_assert(eq(u32, rows.count, 6250));
    cr_assert(eq(u32, rows.other, 7));
}

Test(pattern, answers_the_peers_suites_as_given)
{
    struct rows rows = {0};
    if (check_rows(CW_SOURCE_DIR "/../shared/data/patterns/peer-suites.jsonl", &rows)) {
        cr_assert(eq(u32, rows.wrong, 0));
        cr_assert(eq(u32, rows.count, 1585));
        cr_assert(eq(u32, rows.other, 0));
    }
}

Test(pattern, keeps_to_the_documented_meaning_where_the_reference_does_not)
{
    struct rows rows = {.model = true};
    if (check_rows(CW_SOURCE_DIR "/../shared/data/patterns/quirks.jsonl", &rows)) {
        cr_assert(eq(u32, rows.wrong, 0));
        cr_assert(eq(u32, rows.count, 275));
    }
}

/* ---- Refusals ---- */

static void expect_refusal(const char *pattern, const char *message)
{
    cr_assert(eq(ptr, set_of(view_of(pattern), CW_PATTERN_STRICT), NULL), "%s", pattern);
    cr_assert(ne(ptr, strstr(fault.text, message), NULL), "%s: %s", pattern, fault.text);
}

Test(pattern, says_where_a_pattern_is_wrong_and_what_to_write)
{
    expect_refusal("{\"detail\":{\"cartValue\":50}}", "at detail.cartValue: ");
    expect_refusal("{\"detail\":{\"cartValue\":50}}", "write [50]");
    expect_refusal("{\"source\":\"shop\"}", "write [\"shop\"]");
    expect_refusal("{\"a\":[{\"prefx\":\"x\"}]}", "did you mean \"prefix\"?");
    expect_refusal("{\"a\":{}}", "at a: an empty object asks for nothing");
    expect_refusal("{\"a\":[]}", "[{\"exists\":false}]");
    expect_refusal("{\"a\":[[1]]}", "a list holds values, not lists");
    expect_refusal("{\"a\":[{\"numeric\":[\">\",9007199254740993]}]}", "write 9007199254740992");
    expect_refusal("{\"a\":[{\"numeric\":[\">\",1e999]}]}", "1e999 is not a number");
    expect_refusal("{\"a\":[{\"numeric\":[\"<\",1,\">\",2]}]}", "[\">=\",50,\"<\",100]");
    expect_refusal("{\"a\":[{\"numeric\":[\">\",2,\"<\",1]}]}", "the range is empty");
    expect_refusal("{\"a\":[{\"numeric\":[\"!\",2]}]}", "! is no comparison");
    expect_refusal("{\"a\":[{\"numeric\":[\"<\",\"2\"]}]}", "a number must follow \"<\"");
    expect_refusal("{\"a\":[{\"cidr\":\"10.0.0.0/33\"}]}", "0 to 31");
    expect_refusal("{\"a\":[{\"cidr\":\"10.0.0.0/999999999999\"}]}", "0 to 31");
    expect_refusal("{\"a\":[{\"wildcard\":\"a**\"}]}", "two * side by side");
    expect_refusal("{\"a\":[{\"wildcard\":\"a\\\\b\"}]}", "escapes only");
    expect_refusal("{\"a\":[{\"anything-but\":[1,\"a\"]}]}", "strings or numbers");
    expect_refusal("{\"a\":[{\"prefix\":\"a\",\"suffix\":\"b\"}]}", "an object of its own");
    expect_refusal("{\"b\":{\"$or\":[{\"a\":[1]},{\"a\":{\"c\":2}}]}}", "at b.$or[1].a.c: ");
    expect_refusal("{\"$or\":[{\"a\":[1]}]}", "at $or: $or is a list of at least two");
    expect_refusal("{\"$or\":[{\"a\":[1]},{\"prefix\":[1]}]}", "\"prefix\" is an operator");
    expect_refusal("[1]", "a pattern is an object of fields");
    expect_refusal("{\"a\":[1}", "it is not JSON");
}

Test(pattern, bounds_the_choices_of_or)
{
    struct cw_text pattern = {0};
    cw_text_puts(&pattern, "{\"x\":[0]");
    for (int i = 0; i < 10; i++) { /* 2^10 */
        cw_text_printf(&pattern, ",\"k%d\":{\"$or\":[{\"a\":[1]},{\"b\":[1]}]}", i);
    }
    cw_text_char(&pattern, '}');
    cr_assert(eq(ptr,
                 set_of((struct cw_view){pattern.data, (uint32_t)pattern.bytes}, CW_PATTERN_STRICT),
                 NULL));
    cr_assert(ne(ptr, strstr(fault.text, "more than 1000"), NULL), "%s", fault.text);
    cw_text_deinit(&pattern);
}

Test(pattern, a_refused_pattern_leaves_the_set_as_it_was)
{
    struct cw_pattern_set *set;
    struct cw_json doc;
    struct cw_pattern_matches matches;
    cr_assert(eq(int, cw_pattern_set_open(&set, &fault), CW_ERR_OK));
    cr_assert(eq(int, cw_pattern_add(set, CW_VIEW("{\"a\":[1]}"), CW_PATTERN_STRICT, NULL, &fault),
                 CW_ERR_OK));
    cr_assert(eq(int,
                 cw_pattern_add(set, CW_VIEW("{\"a\":{\"b\":[2],\"c\":3}}"), CW_PATTERN_STRICT,
                                NULL, &fault),
                 CW_ERR_INVALID));
    cr_assert(eq(u32, cw_pattern_set_count(set), 1));
    cr_assert(eq(
        int, cw_pattern_add(set, CW_VIEW("{\"a\":{\"b\":[2]}}"), CW_PATTERN_STRICT, NULL, &fault),
        CW_ERR_OK));
    cw_pattern_set_seal(set);
    cr_assert(eq(int, (int)parse(CW_VIEW("{\"a\":[1,{\"b\":2}]}"), &doc), CW_JSON_PARSE_OK));
    cw_pattern_match(set, scratch, &doc, &matches);
    cr_assert(eq(u64, matches.words[0], 3));
    cw_pattern_set_close(set);
}

/* ---- Ranges ---- */

Test(pattern, reads_two_ascending_numbers_as_a_range_in_that_dialect_only)
{
    static const struct {
        const char *pattern, *event;
        enum cw_pattern_dialect dialect;
        enum verdict verdict;
        uint32_t ranges;
    } cases[] = {
        {"{\"v\":[50,999999]}", "{\"v\":70}", CW_PATTERN_RANGES, YES, 1},
        {"{\"v\":[50,999999]}", "{\"v\":50}", CW_PATTERN_RANGES, YES, 1},
        {"{\"v\":[50,999999]}", "{\"v\":999999}", CW_PATTERN_RANGES, YES, 1},
        {"{\"v\":[50,999999]}", "{\"v\":49.99}", CW_PATTERN_RANGES, NO, 1},
        {"{\"v\":[50,999999]}", "{\"v\":\"70\"}", CW_PATTERN_RANGES, NO, 1},
        {"{\"v\":[50,999999]}", "{\"v\":70}", CW_PATTERN_STRICT, NO, 0},
        {"{\"v\":[999999,50]}", "{\"v\":70}", CW_PATTERN_RANGES, NO, 0},
        {"{\"v\":[50,50]}", "{\"v\":50}", CW_PATTERN_RANGES, YES, 0},
        {"{\"v\":[1,2,3]}", "{\"v\":2.5}", CW_PATTERN_RANGES, NO, 0},
        {"{\"v\":[1,\"2\"]}", "{\"v\":1.5}", CW_PATTERN_RANGES, NO, 0},
        {"{\"v\":[1,2],\"w\":{\"x\":[3,4]}}", "{\"v\":1.5,\"w\":{\"x\":4}}", CW_PATTERN_RANGES, YES,
         2},
        {"{\"v\":[{\"anything-but\":[1,2]}]}", "{\"v\":1.5}", CW_PATTERN_RANGES, YES, 0},
    };

    for (uint32_t i = 0; i < CW_COUNTOF(cases); i++) {
        struct cw_pattern_set *set;
        uint32_t ranges = 77;
        cr_assert(eq(int, cw_pattern_set_open(&set, &fault), CW_ERR_OK));
        cr_assert(eq(
            int, cw_pattern_add(set, view_of(cases[i].pattern), cases[i].dialect, &ranges, &fault),
            CW_ERR_OK));
        cw_pattern_set_seal(set);
        cr_assert(eq(u32, ranges, cases[i].ranges), "%s", cases[i].pattern);
        cr_assert(eq(int, (int)match_in(set, view_of(cases[i].event)), (int)cases[i].verdict),
                  "%s %s", cases[i].pattern, cases[i].event);
        cw_pattern_set_close(set);
    }
}

/* ---- What the rows say little of ---- */

Test(pattern, many_beginnings_ends_and_addresses_are_found_by_search)
{
    struct cw_text pattern = {0};
    cw_text_puts(&pattern, "{\"p\":[{\"prefix\":\"same\"}");
    for (int i = 0; i < 300; i++) {
        cw_text_printf(&pattern, ",{\"prefix\":\"same%03d\"},{\"suffix\":\"%03dsame\"}", i, i);
        cw_text_printf(&pattern, ",{\"cidr\":\"10.%d.%d.0/24\"},{\"wildcard\":\"w%03d*z\"}",
                       i % 256, i / 256, i);
        cw_text_printf(&pattern, ",{\"equals-ignore-case\":\"Fold%03d\"}", i);
        cw_text_printf(&pattern, ",{\"prefix\":{\"equals-ignore-case\":\"Low%03d\"}}", i);
    }
    cw_text_puts(&pattern, "]}");
    struct cw_pattern_set *set =
        set_of((struct cw_view){pattern.data, (uint32_t)pattern.bytes}, CW_PATTERN_STRICT);
    cr_assert(ne(ptr, set, NULL), "%s", fault.text);

    static const struct {
        const char *event;
        enum verdict verdict;
    } cases[] = {
        {"{\"p\":\"same\"}", YES},
        {"{\"p\":\"same299x\"}", YES},
        {"{\"p\":\"samf\"}", NO},
        {"{\"p\":\"sam\"}", NO},
        {"{\"p\":\"x123same\"}", YES},
        {"{\"p\":\"x123sam\"}", NO},
        {"{\"p\":\"10.43.1.9\"}", YES},
        {"{\"p\":\"10.44.1.9\"}", NO},
        {"{\"p\":\"10.44.0.9\"}", YES},
        {"{\"p\":\"11.0.0.9\"}", NO},
        {"{\"p\":\"w100abcz\"}", YES},
        {"{\"p\":\"w100abc\"}", NO},
        {"{\"p\":\"fOLD123\"}", YES},
        {"{\"p\":\"fOLD1234\"}", NO},
        {"{\"p\":\"lOW123 and more\"}", YES},
        {"{\"p\":\"lOW 123\"}", NO},
    };

    for (uint32_t i = 0; i < CW_COUNTOF(cases); i++) {
        cr_assert(eq(int, (int)match_in(set, view_of(cases[i].event)), (int)cases[i].verdict), "%s",
                  cases[i].event);
    }
    cw_pattern_set_close(set);
    cw_text_deinit(&pattern);
}

/* Spellings around what binary64 holds, against a plain check with printf and strtod. */
Test(pattern, a_number_is_in_a_range_only_if_binary64_holds_it)
{
    struct cw_pattern_set *set = set_of(
        CW_VIEW("{\"n\":[{\"numeric\":[\"<=\",1.7976931348623157e308]}]}"), CW_PATTERN_STRICT);
    uint64_t random = 1;
    uint32_t held = 0;
    for (int i = 0; i < 60000; i++) {
        char spelling[64];
        char event[96];
        random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        uint64_t bits = random ^ random >> 29;
        double value;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) {
            continue;
        }
        if (i % 3 == 0) {
            value = (double)(random >> 20) / 1e6;
        }
        (void)snprintf(spelling, sizeof spelling, "%.*e", (int)(13 + random % 6), value);
        if (i % 3 == 1) { /* one more in the last place */
            char *e = strchr(spelling, 'e');
            e[-1] = e[-1] == '9' ? '8' : (char)(e[-1] + 1);
        }
        (void)snprintf(event, sizeof event, "{\"n\":%s}", spelling);
        enum verdict expected = naive_held(spelling) ? YES : NO;
        held += expected == YES;
        cr_assert(eq(int, (int)match_in(set, view_of(event)), (int)expected), "%s", spelling);
    }
    cr_assert(gt(u32, held, 10000));
    cw_pattern_set_close(set);
}

Test(pattern, powers_of_two_and_the_smallest_numbers_are_held)
{
    struct cw_pattern_set *set = set_of(
        CW_VIEW("{\"n\":[{\"numeric\":[\">\",-1.7976931348623157e308]}]}"), CW_PATTERN_STRICT);
    for (int power = -1074; power < 1024; power++) {
        for (int digits = 1; digits <= 17; digits++) {
            char spelling[64];
            char event[96];
            (void)snprintf(spelling, sizeof spelling, "%.*e", digits - 1, ldexp(1, power));
            (void)snprintf(event, sizeof event, "{\"n\":%s}", spelling);
            cr_assert(eq(int, (int)match_in(set, view_of(event)), naive_held(spelling) ? YES : NO),
                      "%s", spelling);
        }
    }
    cw_pattern_set_close(set);
}

Test(pattern, members_of_one_array_element_belong_together)
{
    const char *pattern = "{\"items\":{\"id\":[\"a\"],\"lots\":{\"n\":[1],\"m\":[2]}}}";
    cr_assert(eq(int,
                 (int)match(pattern, "{\"items\":[{\"id\":\"a\",\"lots\":[{\"n\":1,\"m\":2}]}]}"),
                 YES));
    cr_assert(eq(int,
                 (int)match(pattern, "{\"items\":[{\"id\":\"a\",\"lots\":[{\"n\":1},{\"m\":2}]}]}"),
                 NO));
    cr_assert(eq(int,
                 (int)match(pattern, "{\"items\":[{\"id\":\"a\"},{\"lots\":[{\"n\":1,\"m\":2}]}]}"),
                 NO));
    cr_assert(
        eq(int,
           (int)match(pattern, "{\"items\":[{\"id\":\"b\"},[{\"id\":\"a\",\"lots\":{\"n\":[3,1],"
                               "\"m\":2}}]]}"),
           YES));
}

/* Found by the property tests: what is told of an array must not hide what comes after it. */
Test(pattern, values_of_a_repeated_key_count_with_those_of_its_arrays)
{
    const char *pattern = "{\"b\":{\"b\":[1]},\"b\":[\"\",{\"exists\":false}]}";
    cr_assert(eq(int, (int)match(pattern, "{\"b\":[[{\"b\":1},[true]]]}"), YES));
    cr_assert(eq(int, (int)match(pattern, "{\"b\":[[{\"b\":1},[true]]],\"b\":2}"), NO));
    cr_assert(eq(int, (int)match(pattern, "{\"b\":2,\"b\":[[{\"b\":1},[true]]]}"), NO));
    cr_assert(eq(int, (int)match(pattern, "{\"b\":[[{\"b\":1},[true]]],\"b\":\"\"}"), YES));
}

Test(pattern, hostile_repeats_end_and_do_not_match_wrongly)
{
    /* Satisfiability in disguise: of each repeated array one element may be taken. */
    struct cw_text pattern = {0};
    struct cw_text event = {0};
    cw_text_puts(&pattern, "{\"a\":{");
    for (int c = 0; c < 60; c++) {
        cw_text_printf(&pattern, "%s\"c%d\":[1]", c == 0 ? "" : ",", c);
    }
    cw_text_puts(&pattern, "}}");
    uint64_t random = 3;
    cw_text_char(&event, '{');
    for (int v = 0; v < 30; v++) {
        cw_text_puts(&event, v == 0 ? "\"a\":[" : ",\"a\":[");
        for (int side = 0; side < 2; side++) {
            cw_text_puts(&event, side == 0 ? "{\"z\":0" : ",{\"z\":0");
            for (int c = 0; c < 4; c++) {
                random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
                cw_text_printf(&event, ",\"c%u\":1", (unsigned)(random >> 33) % 60);
            }
            cw_text_char(&event, '}');
        }
        cw_text_char(&event, ']');
    }
    cw_text_char(&event, '}');
    cr_assert(eq(int, (int)match(cw_text_terminate(&pattern), cw_text_terminate(&event)), NO));
    cw_text_deinit(&pattern);
    cw_text_deinit(&event);
}

Test(pattern, a_large_event_of_many_elements_is_decided_in_linear_time)
{
    struct cw_text event = {0};
    cw_text_puts(&event, "{\"a\":[");
    for (int i = 0; i < 30000; i++) {
        cw_text_printf(&event, "%s{\"b\":%d,\"c\":[{\"d\":%d},{\"e\":%d}]}", i == 0 ? "" : ",",
                       i % 3, i, i + 1);
    }
    const char *pattern = "{\"a\":{\"b\":[1],\"c\":{\"d\":[{\"numeric\":[\">\",5]}],\"e\":[7]}}}";
    cw_text_puts(&event, "]}");
    cr_assert(eq(int, (int)match(pattern, cw_text_terminate(&event)), NO));
    event.bytes -= 2;
    cw_text_puts(&event, ",{\"b\":1,\"c\":[0,{\"d\":6,\"e\":7}]}]}");
    cr_assert(eq(int, (int)match(pattern, cw_text_terminate(&event)), YES));
    cw_text_deinit(&event);
}

Test(pattern, explains_in_one_line_a_field)
{
    struct cw_pattern_set *set = set_of(
        CW_VIEW(
            "{\"source\":[\"shop\"],\"detail\":{\"v\":[50,60]},\"$or\":[{\"x\":[1]},{\"y\":[2]}]}"),
        CW_PATTERN_RANGES);
    struct cw_json doc;
    struct cw_text lines = {0};
    cr_assert(eq(int,
                 (int)parse(CW_VIEW("{\"source\":\"shop\",\"detail\":{\"v\":40},\"y\":2}"), &doc),
                 CW_JSON_PARSE_OK));
    cw_pattern_explain(set, 0, scratch, &doc, &lines);
    cr_assert(eq(str, (char *)(uintptr_t)cw_text_terminate(&lines),
                 "met: source asks for [\"shop\"]; the event has \"shop\"\n"
                 "not met: detail.v asks for [50,60] (a range); the event has 40\n"
                 "not met: $or[0].x asks for [1]; the event has no value there\n"
                 "met: $or[1].y asks for [2]; the event has 2\n"));
    cw_text_deinit(&lines);
    cw_pattern_set_close(set);
}

Test(pattern, a_set_takes_as_many_patterns_as_it_says)
{
    struct cw_pattern_set *set;
    struct cw_json doc;
    struct cw_pattern_matches matches;
    cr_assert(eq(int, cw_pattern_set_open(&set, &fault), CW_ERR_OK));
    for (uint32_t i = 0; i < CW_PATTERNS_MAX; i++) {
        char pattern[64];
        (void)snprintf(pattern, sizeof pattern, "{\"a\":[%u]}", i);
        cr_assert(eq(int, cw_pattern_add(set, view_of(pattern), CW_PATTERN_STRICT, NULL, &fault),
                     CW_ERR_OK));
    }
    cr_assert(eq(int, cw_pattern_add(set, CW_VIEW("{\"a\":[1]}"), CW_PATTERN_STRICT, NULL, &fault),
                 CW_ERR_LIMIT));
    cw_pattern_set_seal(set);
    cr_assert(eq(int, (int)parse(CW_VIEW("{\"a\":[255,64]}"), &doc), CW_JSON_PARSE_OK));
    cw_pattern_match(set, scratch, &doc, &matches);
    cr_assert(eq(u64, matches.words[0], 0));
    cr_assert(eq(u64, matches.words[1], 1));
    cr_assert(eq(u64, matches.words[2], 0));
    cr_assert(eq(u64, matches.words[3], UINT64_C(1) << 63));
    cw_pattern_set_close(set);
}

Test(pattern, an_empty_set_and_a_root_that_is_no_object_match_nothing)
{
    struct cw_pattern_set *set;
    struct cw_json doc;
    struct cw_pattern_matches matches;
    cr_assert(eq(int, cw_pattern_set_open(&set, &fault), CW_ERR_OK));
    cw_pattern_set_seal(set);
    cr_assert(eq(int, (int)parse(CW_VIEW("{\"a\":1}"), &doc), CW_JSON_PARSE_OK));
    cw_pattern_match(set, scratch, &doc, &matches);
    cr_assert(eq(u64, matches.words[0], 0));
    cw_pattern_set_close(set);
    set = set_of(CW_VIEW("{\"a\":[{\"exists\":false}]}"), CW_PATTERN_STRICT);
    cr_assert(eq(int, (int)parse(CW_VIEW("[]"), &doc), CW_JSON_PARSE_OK));
    cw_pattern_match(set, scratch, &doc, &matches);
    cr_assert(eq(u64, matches.words[0], 0));
    cw_pattern_set_close(set);
}
