#define _GNU_SOURCE 1
#include "core/json.h"
#include "tests/core/naive_json.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    BYTES_MAX = 1 << 16
};

static struct cw_json_parser *parser;
static struct cw_json doc;
static char *page_end; /* the first byte that may not be touched */

/* Texts live at the end of a mapping, so that reading past the padding is a crash. */
static void open_all(void)
{
    struct cw_fault fault;
    cr_assert(eq(int, cw_json_open(&parser, BYTES_MAX, CW_JSON_DEPTH_MAX, &fault), CW_ERR_OK));
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t bytes = 2 * BYTES_MAX;
    char *base =
        mmap(NULL, bytes + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(ne(ptr, base, MAP_FAILED));
    page_end = base + bytes;
    cr_assert(eq(int, mprotect(page_end, page, PROT_NONE), 0));
}

static void close_all(void)
{
    cw_json_close(parser);
}

TestSuite(json, .init = open_all, .fini = close_all);

static enum cw_json_status parse(const void *text, size_t bytes, const char *padding)
{
    char *at = page_end - CW_JSON_PADDING - bytes;
    memcpy(at, text, bytes);
    for (size_t i = 0; i < CW_JSON_PADDING; i++) {
        at[bytes + i] = padding[i % strlen(padding)];
    }
    return cw_json_parse(parser, at, (uint32_t)bytes, &doc);
}

static const struct verdict {
    const char *text;
    enum cw_json_status status;
    uint32_t offset;
} verdicts[] = {

#define OK(text)                  \
    {                             \
        text, CW_JSON_PARSE_OK, 0 \
    }
#define NO(text, why, offset)             \
    {                                     \
        text, CW_JSON_PARSE_##why, offset \
    }
    OK("0"),
    OK("-0"),
    OK("-0.0e-0"),
    OK("1E+2"),
    OK("12"),
    OK(" \n1\r\t "),
    OK("true"),
    OK("false"),
    OK("null"),
    OK("\"\""),
    OK("\"a\""),
    OK(" \"a\" "),
    OK("{}"),
    OK("[]"),
    OK("[ ]"),
    OK("{ }"),
    OK("[{}]"),
    OK("[[],[]]"),
    OK("{\"\":0}"),
    OK("{\"a\":1,\"a\":2}"),
    OK("[1,true,null,false,\"x\",-1.5]"),
    OK("\"\\u0000\""),
    OK("\"\\ud834\\uDd1e\""),
    OK("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),
    OK("{\"\\u0061\":0}"),
    OK("\"\x7f\""),
    OK("[0.00000000000000000000000000000000000000000000000001]"),
    OK("\"\xf4\x8f\xbf\xbf\""),
    OK("[123456789012345678901234567890123456789012345678901234567890e-30]"),
    NO("", EMPTY, 0),
    NO(" ", EMPTY, 0),
    NO("\n\t\r ", EMPTY, 0),
    NO("1 2", TRAILING, 2),
    NO("\"a\"\"b\"", TRAILING, 3),
    NO("\"a\"x", TRAILING, 3),
    NO("{}}", TRAILING, 2),
    NO("[] x", TRAILING, 3),
    NO("[]1", TRAILING, 2),
    NO("{\"a\":1} []", TRAILING, 8),
    NO("true,", TRAILING, 4),
    NO("1,2", TRAILING, 1),
    NO("[", STRUCTURE, 1),
    NO("{", STRUCTURE, 1),
    NO("[1", STRUCTURE, 2),
    NO("]", STRUCTURE, 0),
    NO("}", STRUCTURE, 0),
    NO("[1,]", STRUCTURE, 3),
    NO("[,1]", STRUCTURE, 1),
    NO("[1 2]", STRUCTURE, 3),
    NO("[1}", STRUCTURE, 2),
    NO("{]", STRUCTURE, 1),
    NO("{\"a\"}", STRUCTURE, 4),
    NO("{\"a\":}", STRUCTURE, 5),
    NO("{\"a\":1,}", STRUCTURE, 7),
    NO("{\"a\" 1}", STRUCTURE, 5),
    NO("{1:1}", STRUCTURE, 1),
    NO("{\"a\":1 \"b\":2}", STRUCTURE, 7),
    NO("{\"a\",1}", STRUCTURE, 4),
    NO("{\"a\"::1}", STRUCTURE, 5),
    NO("[[]", STRUCTURE, 3),
    NO("[[]]]", TRAILING, 4),
    NO("[{]}", STRUCTURE, 2),
    NO("[\"a\":1]", STRUCTURE, 4),
    NO(",", STRUCTURE, 0),
    NO(":", STRUCTURE, 0),
    NO("[\"a\"\"b\"]", STRUCTURE, 4),
    NO("[1\"a\"]", NUMBER, 1),
    NO("[\"a\"1]", STRUCTURE, 4),
    NO("[\"a\"\x0c]", STRUCTURE, 4),
    NO("[1\x0c]", STRUCTURE, 2),
    NO("[1\x1a]", STRUCTURE, 2),
    NO("{\"a\"\x1a"
       "1}",
       STRUCTURE, 4),
    NO("[\x01]", STRUCTURE, 1),
    NO("[1\x01]", NUMBER, 1),
    NO("[1 \x01]", STRUCTURE, 3),
    NO("\xef\xbb\xbf{}", STRUCTURE, 0),
    NO("[true\xc2\xa0]", LITERAL, 1),
    NO("[\\\"a\"]", STRING, 4),
    NO("\\u0031", STRUCTURE, 0),
    NO("tru", LITERAL, 0),
    NO("truefalse", LITERAL, 0),
    NO("[nul]", LITERAL, 1),
    NO("[True]", LITERAL, 1),
    NO("[nan]", LITERAL, 1),
    NO("[falsE]", LITERAL, 1),
    NO("[nulll]", LITERAL, 1),
    NO("[talse]", LITERAL, 1),
    NO("[\"a\",'b']", STRUCTURE, 5),
    NO("01", NUMBER, 0),
    NO("-", NUMBER, 0),
    NO("-a", NUMBER, 0),
    NO("1.", NUMBER, 0),
    NO(".5", NUMBER, 0),
    NO("+1", NUMBER, 0),
    NO("1e", NUMBER, 0),
    NO("1e+", NUMBER, 0),
    NO("1.e1", NUMBER, 0),
    NO("-01", NUMBER, 0),
    NO("1.2.3", NUMBER, 0),
    NO("0x1", NUMBER, 0),
    NO("--1", NUMBER, 0),
    NO("1-2", NUMBER, 0),
    NO("-.5", NUMBER, 0),
    NO("1_000", NUMBER, 0),
    NO("[00]", NUMBER, 1),
    NO("[1a]", NUMBER, 1),
    NO("[-]", NUMBER, 1),
    NO("[01234567890123456789012345678901234567890]", NUMBER, 1),
    NO("[1234567890123456789012345678901234567890.]", NUMBER, 1),
    NO("\"", STRING, 0),
    NO("[\"a", STRING, 1),
    NO("\"a\\\"", STRING, 0),
    NO("\"\n\"", STRING, 1),
    NO("[\"\",\"\t\"]", STRING, 5),
    NO("\"\\q\"", ESCAPE, 1),
    NO("\"\\u12\"", ESCAPE, 1),
    NO("\"\\u12g4\"", ESCAPE, 1),
    NO("\"\\ud800\"", ESCAPE, 1),
    NO("\"\\ud800x\"", ESCAPE, 1),
    NO("\"\\udc00\"", ESCAPE, 1),
    NO("\"\\ud800\\u0041\"", ESCAPE, 1),
    NO("\"\\ud800\\ud800\"", ESCAPE, 1),
    NO("{\"\\x\":1}", ESCAPE, 2),
    NO("{\"\\udead\":1}", ESCAPE, 2),
    NO("[\"ok\\n\",\"no\\'\"]", ESCAPE, 11),
    NO("\"\\U0041\"", ESCAPE, 1),
    NO("\"\x80\"", UTF8, 1),
    NO("[\"\xc0\xaf\"]", UTF8, 2),
    NO("\"\xed\xa0\x80\"", UTF8, 1),
    NO("\"\xf4\x90\x80\x80\"", UTF8, 1),
    NO("\"\xe2\x82\"", UTF8, 1),
    NO("[\xff]", UTF8, 1),
#undef OK
#undef NO
};

Test(json, tells_good_from_bad_and_why_and_where)
{
    for (size_t i = 0; i < CW_COUNTOF(verdicts); i++) {
        const struct verdict *v = &verdicts[i];
        enum cw_json_status status = parse(v->text, strlen(v->text), "\"]}0,");
        cr_expect(status == v->status, "%s: %s, not %s", v->text, cw_json_status_text(status),
                  cw_json_status_text(v->status));
        cr_expect(doc.error_offset == v->offset, "%s: at %u", v->text, doc.error_offset);
        cr_expect(eq(int, doc.node_count > 0, status == CW_JSON_PARSE_OK));
        cr_expect(status != CW_JSON_PARSE_OK || cw_json_check(&doc), "%s: nodes", v->text);
    }
}

Test(json, refuses_a_zero_byte_wherever_it_stands)
{
    static const char text[] = "{\"ab\": [1, true, \"x\"] } ";
    for (size_t i = 0; i < sizeof text - 1; i++) {
        char copy[sizeof text];
        memcpy(copy, text, sizeof text);
        copy[i] = '\0';
        cr_expect(parse(copy, sizeof text - 1, " ") != CW_JSON_PARSE_OK, "at %zu", i);
        memmove(copy + i + 1, text + i, sizeof text - 1 - i);
        cr_expect(parse(copy, sizeof text, " ") != CW_JSON_PARSE_OK, "before %zu", i);
    }
}

Test(json, leaves_a_node_for_every_value)
{
    static const char text[] = "{\"a\": [1 , {}], \"b\\n\":\"x\\ty\" ,\"c\":null}";
    cr_assert(eq(int, parse(text, sizeof text - 1, "x"), CW_JSON_PARSE_OK));
    cr_assert(eq(u32, doc.node_count, 6));
    static const struct cw_json_node expected[] = {
        {.text = 0, .text_bytes = 39, .next = 6, .type = CW_JSON_OBJECT},
        {.key = 2, .key_bytes = 1, .text = 6, .text_bytes = 8, .next = 4, .type = CW_JSON_ARRAY},
        {.text = 7, .text_bytes = 1, .next = 3, .type = CW_JSON_NUMBER},
        {.text = 11, .text_bytes = 2, .next = 4, .type = CW_JSON_OBJECT},
        {.key = 17,
         .key_bytes = 3,
         .text = 23,
         .text_bytes = 4,
         .next = 5,
         .type = CW_JSON_STRING,
         .escaped = 1,
         .key_escaped = 1},
        {.key = 31, .key_bytes = 1, .text = 34, .text_bytes = 4, .next = 6, .type = CW_JSON_NULL},
    };
    for (uint32_t i = 0; i < doc.node_count; i++) {
        cr_expect(naive_json_same(&doc.nodes[i], &expected[i]), "node %u", i);
    }
    cr_assert(cw_json_check(&doc));
}

Test(json, allows_a_thousand_levels_and_not_one_more)
{
    static char text[4 * CW_JSON_DEPTH_MAX];
    for (uint32_t depth = CW_JSON_DEPTH_MAX - 1; depth <= CW_JSON_DEPTH_MAX + 1; depth++) {
        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        cr_expect(eq(int, parse(text, 2 * depth, "]"),
                     depth <= CW_JSON_DEPTH_MAX ? CW_JSON_PARSE_OK : CW_JSON_PARSE_TOO_DEEP));
    }
    cr_expect(eq(u32, doc.error_offset, CW_JSON_DEPTH_MAX));
}

Test(json, may_be_opened_for_one_level)
{
    struct cw_fault fault;
    struct cw_json_parser *small;
    char text[2 + CW_JSON_PADDING] = {0};
    cr_assert(eq(int, cw_json_open(&small, 2, 1, &fault), CW_ERR_OK));
    memcpy(text, "[]", 2);
    cr_expect(eq(int, cw_json_parse(small, text, 2, &doc), CW_JSON_PARSE_OK));
    cr_expect(eq(int, cw_json_parse(small, text, 3, &doc), CW_JSON_PARSE_TOO_LONG));
    memcpy(text, "[[", 2);
    cr_expect(eq(int, cw_json_parse(small, text, 2, &doc), CW_JSON_PARSE_STRUCTURE));
    cw_json_close(small);
}

Test(json, has_room_for_the_densest_documents_of_its_size)
{
    static char text[BYTES_MAX];
    static const char *const units[] = {"0,", "[],", "{\"\":0},", "\"\",", "[", "{\"\":"};
    for (size_t u = 0; u < CW_COUNTOF(units); u++) {
        size_t unit = strlen(units[u]);
        size_t bytes = 1;
        text[0] = '[';
        while (bytes + unit <= BYTES_MAX) {
            memcpy(text + bytes, units[u], unit);
            bytes += unit;
        }
        (void)parse(text, bytes, " ");
        text[bytes - 1] = ']'; /* in place of the last comma */
        enum cw_json_status status = parse(text, bytes, " ");
        cr_expect(eq(int, status == CW_JSON_PARSE_OK, units[u][unit - 1] == ','), "%s", units[u]);
        cr_expect(status != CW_JSON_PARSE_OK || cw_json_check(&doc), "%s", units[u]);
    }
}

Test(json, reads_again_after_every_refusal)
{
    for (size_t i = 0; i < CW_COUNTOF(verdicts); i++) {
        (void)parse(verdicts[i].text, strlen(verdicts[i].text), " ");
        cr_assert(eq(int, parse("[1,[2]]", 7, " "), CW_JSON_PARSE_OK));
        cr_assert(eq(u32, doc.node_count, 4));
    }
}

/* The verdict and, when it is good, every node must be the second opinion's. */
static bool agrees(const char *text, uint32_t bytes, const char *padding)
{
    static struct cw_json_node nodes[BYTES_MAX];
    struct naive_json naive = {.text = (const uint8_t *)text,
                               .bytes = bytes,
                               .depth_max = CW_JSON_DEPTH_MAX,
                               .nodes = nodes};
    bool good = naive_json_parse(&naive);
    enum cw_json_status status = parse(text, bytes, padding);
    if (good != (status == CW_JSON_PARSE_OK)) {
        return false;
    }
    if (!good) {
        return doc.error_offset <= bytes;
    }
    for (uint32_t i = 0; i < doc.node_count; i++) {
        if (!naive_json_same(&doc.nodes[i], &nodes[i])) {
            return false;
        }
    }
    return doc.node_count == naive.count && cw_json_check(&doc);
}

static const char *const paddings[] = {" ",      "\"", "]",  "}",         "0",    ",",
                                       "\"]}0,", "\\", "e1", ".5",        "true", "\x80",
                                       "\x01",   ":",  "[",  "{\"a\":1}", "\n"};

static const char *const samples[] = {
    /* NOLINTNEXTLINE(bugprone-suspicious-missing-comma): three lines are one */
    "{\"version\":\"0\",\"detail-type\":\"CartAbandoned\",\"detail\":{\"cartValue\":150.00,"
    "\"items\":[{\"id\":\"P1\",\"price\":-79.99e-1},{\"id\":\"P\\u00e9\",\"price\":0}],"
    "\"ok\":true,\"no\":false,\"none\":null,\"empty\":[],\"and\":{}}}",
    " [ 1 , [ 2 , 3.5e+7 ] , { \"a\\\"b\" : \"c\\\\\" , \"d\" : [ ] } , \"\\ud83d\\ude00\" ] \n",
    "123456789.25",
    "-0",
    "true",
    "null",
    "\"a \xe2\x82\xac and \xf0\x9f\x98\x80\"",
    "[[[[[[[[[[]]]]]]]]]]",
    "[0.1,0.1,1e5,1E-5,-1,-0.5,100000000000000000000000000000000.5]",
    "{\"a\":{\"a\":{\"a\":{\"a\":\"\"}}}}",
};

Test(json, never_depends_on_the_padding_at_any_truncation)
{
    for (size_t s = 0; s < CW_COUNTOF(samples); s++) {
        for (uint32_t bytes = 0; bytes <= strlen(samples[s]); bytes++) {
            enum cw_json_status first = parse(samples[s], bytes, paddings[0]);
            uint32_t offset = doc.error_offset;
            for (size_t p = 0; p < CW_COUNTOF(paddings); p++) {
                cr_expect(agrees(samples[s], bytes, paddings[p]), "%.*s", (int)bytes, samples[s]);
                cr_expect(eq(int, parse(samples[s], bytes, paddings[p]), first));
                cr_expect(eq(u32, doc.error_offset, offset));
            }
        }
    }
}

static const char *const crumbs[] = {"\"",       "\\",       "{",
                                     "}",        "[",        "]",
                                     ":",        ",",        "0",
                                     "-",        "1",        ".",
                                     "e",        "E",        "+",
                                     " ",        "\n",       "\t",
                                     "true",     "null",     "false",
                                     "\\u0041",  "\\ud800",  "\\udc00",
                                     "\"\"",     "[]",       "{}",
                                     "\x01",     "\x0c",     "\x1a",
                                     "\x80",     "\xc3\xa9", "\xed\xa0\x80",
                                     "\xf0\x9f", "\x7f",     "12345678901234567",
                                     "a",        "u",        "\\\\",
                                     "\\\"",     "\"a\":",   ",\"b\":2",
                                     "\r"};

/* Changes text in one to four places; returns its new length, at most room. */
static uint32_t mutate(char *text, uint32_t bytes, uint32_t room, uint64_t *random)
{
    for (uint32_t n = 1 + random_below(random, 4); n > 0; n--) {
        uint32_t at = random_below(random, bytes + 1);
        switch (random_below(random, 5)) {
        case 0: { /* something goes in */
            const char *crumb = crumbs[random_below(random, CW_COUNTOF(crumbs))];
            uint32_t more = (uint32_t)strlen(crumb);
            if (bytes + more <= room) {
                memmove(text + at + more, text + at, bytes - at);
                memcpy(text + at, crumb, more);
                bytes += more;
            }
            break;
        }
        case 1: { /* some of it goes */
            uint32_t less = random_below(random, 4);
            less = less < bytes - at ? less : bytes - at;
            memmove(text + at, text + at + less, bytes - at - less);
            bytes -= less;
            break;
        }
        case 2: /* a byte becomes another */
            if (at < bytes) {
                text[at] = *crumbs[random_below(random, CW_COUNTOF(crumbs))];
            }
            break;
        case 3: /* a bit turns */
            if (at < bytes) {
                text[at] = (char)(text[at] ^ 1 << random_below(random, 8));
            }
            break;
        default: { /* a piece is said again elsewhere */
            uint32_t from = random_below(random, bytes + 1);
            uint32_t more = random_below(random, 12);
            more = more < bytes - from ? more : bytes - from;
            char piece[12];
            memcpy(piece, text + from, more);
            if (bytes + more <= room) {
                memmove(text + at + more, text + at, bytes - at);
                memcpy(text + at, piece, more);
                bytes += more;
            }
            break;
        }
        }
    }
    return bytes;
}

Test(json, agrees_with_a_plain_recursive_descent_on_mutated_documents, .timeout = 120)
{
    enum {
        ROUNDS = 400000,
        ROOM = 1024
    };

    uint64_t random = 20260118;
    uint32_t good = 0;
    static char text[ROOM];
    uint32_t bytes = 0;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        if (doc.node_count == 0 || round % 16 == 0) { /* else on from the last one */
            const char *sample = samples[random_below(&random, CW_COUNTOF(samples))];
            bytes = (uint32_t)strlen(sample);
            memcpy(text, sample, bytes);
        }
        bytes = mutate(text, bytes, ROOM, &random);
        const char *padding = paddings[random_below(&random, CW_COUNTOF(paddings))];
        cr_assert(agrees(text, bytes, padding), "round %u: %.*s", round, (int)bytes, text);
        good += doc.node_count > 0;
    }
    cr_assert(gt(u32, good, ROUNDS / 20)); /* else it only ever saw garbage */
}

/* Appends a random value; depth bounds the recursion. */
static uint32_t grow(char *to, uint32_t depth, uint64_t *random)
{
    static const char *const scalars[] = {"0",
                                          "-1.5e3",
                                          "true",
                                          "false",
                                          "null",
                                          "\"\"",
                                          "\"abc\"",
                                          "\"\\n\\u20ac\"",
                                          "12.34",
                                          "\"\xe2\x82\xac\"",
                                          "-122.422003528252475",
                                          "1234567890123456789012345678901234567890"};
    static const char *const spaces[] = {"", "", "", " ", "\n  ", "\t"};
    char *p = to;
    uint32_t kind = random_below(random, depth == 0 ? 2 : 4);
    if (kind < 2) {
        return (uint32_t)(stpcpy(to, scalars[random_below(random, CW_COUNTOF(scalars))]) - to);
    }
    *p++ = kind == 2 ? '[' : '{';
    for (uint32_t n = random_below(random, 5), i = 0; i < n; i++) {
        p = stpcpy(p, i > 0 ? "," : "");
        p = stpcpy(p, spaces[random_below(random, CW_COUNTOF(spaces))]);
        p = kind == 3 ? stpcpy(p, random_below(random, 8) == 0 ? "\"k\\/\"" : "\"key\"") : p;
        p = stpcpy(p, spaces[random_below(random, CW_COUNTOF(spaces))]);
        p = stpcpy(p, kind == 3 ? ": " : "");
        p += grow(p, depth - 1, random);
        p = stpcpy(p, spaces[random_below(random, CW_COUNTOF(spaces))]);
    }
    *p++ = kind == 2 ? ']' : '}';
    return (uint32_t)(p - to);
}

Test(json, agrees_with_a_plain_recursive_descent_on_random_documents, .timeout = 120)
{
    uint64_t random = 7;
    static char text[BYTES_MAX];
    for (uint32_t round = 0; round < 20000; round++) {
        uint32_t bytes = grow(text, 1 + random_below(&random, 5), &random);
        const char *padding = paddings[random_below(&random, CW_COUNTOF(paddings))];
        cr_assert(agrees(text, bytes, padding), "round %u: %.*s", round, (int)bytes, text);
        cr_assert(gt(u32, doc.node_count, 0), "round %u: %.*s", round, (int)bytes, text);
    }
}
