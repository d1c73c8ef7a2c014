#include "core/json.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static struct cw_json_parser *parser;
static struct cw_json doc;

static void open_parser(void)
{
    struct cw_fault fault;
    cr_assert(eq(int, cw_json_open(&parser, 1 << 20, CW_JSON_DEPTH_MAX, &fault), CW_ERR_OK));
}

static void close_parser(void)
{
    cw_json_close(parser);
}

TestSuite(json_read, .init = open_parser, .fini = close_parser);

static void parse(const char *text)
{
    static char copy[4096];
    size_t bytes = strlen(text);
    cr_assert(le(sz, bytes + CW_JSON_PADDING, sizeof copy));
    memcpy(copy, text, bytes);
    cr_assert(eq(int, cw_json_parse(parser, copy, (uint32_t)bytes, &doc), CW_JSON_PARSE_OK));
}

static struct cw_view view(const char *text)
{
    return (struct cw_view){text, (uint32_t)strlen(text)};
}

Test(json_read, says_every_status_in_words)
{
    for (int i = 0; i < CW_JSON_PARSE_COUNT; i++) {
        cr_assert(gt(sz, strlen(cw_json_status_text((enum cw_json_status)i)), 1));
    }
}

Test(json_read, finds_the_last_member_of_a_name)
{
    parse("{\"a\":1,\"bb\":{\"a\":9,\"c\":8},\"a\":2,\"ab\":3,\"\":4}");
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("a")), 5));
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("ab")), 6));
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("")), 7));
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("c")), CW_JSON_NONE));
    cr_expect(eq(u32, cw_json_find(&doc, 2, CW_VIEW("c")), 4));
    parse("{}");
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("a")), CW_JSON_NONE));
}

Test(json_read, compares_escaped_keys_by_what_they_mean)
{
    parse("{\"\\u0061b\":1,\"x\\n\":2,\"\\ud83d\\ude00\":3,\"abc\\u0000\":4,\"\\\\\":5}");
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("ab")), 1));
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("x\n")), 2));
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("\xf0\x9f\x98\x80")), 3));
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("abc\0")), 4));
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("\\")), 5));
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("abc")), CW_JSON_NONE));
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("\\u0061b")), CW_JSON_NONE));
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("a")), CW_JSON_NONE));
    cr_expect(eq(u32, cw_json_find(&doc, 0, CW_VIEW("\xf0\x9f")), CW_JSON_NONE));
}

Test(json_read, resolves_escapes_within_the_room_of_the_raw_text)
{
    static const struct {
        const char *raw, *meant;
        uint32_t bytes;
    } rows[] = {
        {"", "", 0},
        {"plain", "plain", 5},
        {"\\\"\\\\\\/\\b\\f\\n\\r\\t", "\"\\/\b\f\n\r\t", 8},
        {"a\\u0041b", "aAb", 3},
        {"\\u0000", "\0", 1},
        {"\\u007f\\u0080\\u07FF", "\x7f\xc2\x80\xdf\xbf", 5},
        {"\\u0800\\uffff\\ud7ff\\ue000", "\xe0\xa0\x80\xef\xbf\xbf\xed\x9f\xbf\xee\x80\x80", 12},
        {"\\ud800\\udc00\\udbff\\uDFFF", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 8},
        {"\xe2\x82\xac\\n\xe2\x82\xac", "\xe2\x82\xac\n\xe2\x82\xac", 7},
    };

    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        struct cw_view raw = view(rows[i].raw);
        char *out = malloc(raw.bytes + 1); /* of just that size, for the address sanitizer */
        out[raw.bytes] = 'x';
        uint32_t bytes = cw_json_unescape(raw, out);
        cr_expect(eq(u32, bytes, rows[i].bytes), "%s", rows[i].raw);
        cr_expect(memcmp(out, rows[i].meant, bytes) == 0, "%s", rows[i].raw);
        cr_expect(eq(chr, out[raw.bytes], 'x'));
        free(out);
    }
}

static void expect_like_strtod(const char *text)
{
    size_t bytes = strlen(text);
    char *copy = malloc(bytes); /* without a terminator or padding */
    memcpy(copy, text, bytes);
    double expected = strtod(text, NULL);
    double value = cw_json_number((struct cw_view){copy, (uint32_t)bytes});
    /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison): bit for bit */
    cr_expect(memcmp(&value, &expected, sizeof value) == 0, "%.60s: %.17g, not %.17g", text, value,
              expected);
    free(copy);
}

Test(json_read, reads_numbers_as_strtod_does)
{
    static const char *const rows[] = {
        "0",
        "-0",
        "0.0",
        "-0.0e99999999999999999999",
        "1",
        "-1",
        "79.99",
        "150.00",
        "0.1",
        "123456789012345678",
        "9007199254740992",
        "9007199254740993",
        "9007199254740995",
        "9007199254740993.0000000000000000000000001",
        "1e22",
        "1e23",
        "-1e-22",
        "1e-23",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "1.7976931348623159e308",
        "1e309",
        "-1e309",
        "1e400",
        "-1e-400",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "2.2250738585072014e-308",
        "2.2250738585072011e-308",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "0e99999999999999999999",
        "100000000000000000000000000000000000000e-400",
        "-122.422003528252475",
        "0.000000000000000000000000000000000000000000000000000000000000001e63",
        "0.5000000000000001665334536937734810635447502136230468750000000000000000000000000001",
        "8.5",
        "1E5",
        "1e+5",
        "2.5E-3",
        "1234567890123456789e0",
        "12345678901234567890"};
    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        expect_like_strtod(rows[i]);
    }
}

Test(json_read, reads_very_long_numbers_exactly)
{
    enum {
        DIGITS = 100000
    };

    static char text[DIGITS + 64];
    memset(text, '0', DIGITS);
    (void)snprintf(text + DIGITS, 64, "1.5");
    text[0] = '1';
    expect_like_strtod(text); /* too large */
    (void)snprintf(text + DIGITS, 64, "1e-%d", DIGITS);
    expect_like_strtod(text); /* 10 and the last digit */
    memcpy(text, "0.", 2);
    (void)snprintf(text + DIGITS, 64, "7");
    expect_like_strtod(text); /* too small */
    (void)snprintf(text + DIGITS, 64, "7e%d", DIGITS + 3);
    expect_like_strtod(text);
    /* Half way between two neighbours, and a last digit that decides. */
    memset(text, '0', DIGITS);
    memcpy(text, "9007199254740993.", 17);
    (void)snprintf(text + DIGITS, 64, "1");
    expect_like_strtod(text);
    (void)snprintf(text + DIGITS, 64, "0");
    expect_like_strtod(text);
}

static void random_number(char *to, size_t room, uint64_t *random)
{
    char *p = to;
    p += random_below(random, 2) == 0 ? snprintf(p, room, "-") : 0;
    uint32_t whole = random_below(random, 22);
    for (uint32_t i = 0; i <= whole; i++) {
        *p++ = (char)((i == 0 && whole > 0 ? '1' : '0') + (char)random_below(random, 9));
    }
    if (random_below(random, 2) == 0) {
        *p++ = '.';
        for (uint32_t i = random_below(random, 30) + 1; i > 0; i--) {
            *p++ = (char)('0' + random_below(random, 10));
        }
    }
    *p = '\0';
    if (random_below(random, 2) == 0) {
        bool far = random_below(random, 2) == 0;
        (void)snprintf(p, room - (size_t)(p - to), "e%d",
                       (int)random_below(random, far ? 700 : 60) - (far ? 350 : 30));
    }
}

Test(json_read, reads_random_numbers_as_strtod_does)
{
    uint64_t random = 3;
    for (int i = 0; i < 100000; i++) {
        char text[128];
        random_number(text, sizeof text, &random);
        expect_like_strtod(text);
    }
    for (int i = 0; i < 100000; i++) { /* whatever double, in its shortest exact form */
        char text[64];
        uint64_t bits = random_next(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (isfinite(value)) {
            (void)snprintf(text, sizeof text, "%.17g", value);
            expect_like_strtod(text);
        }
    }
}

Test(json_read, tells_exactly_which_numbers_are_64_bit_integers)
{
    static const struct {
        const char *text;
        bool good;
        int64_t value;
    } rows[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"0.000", true, 0},
        {"0e999", true, 0},
        {"-0.0e-99999999999999999999", true, 0},
        {"1", true, 1},
        {"-1", true, -1},
        {"1.0", true, 1},
        {"1.5", false, 0},
        {"1e2", true, 100},
        {"100e-2", true, 1},
        {"1.50e1", true, 15},
        {"1.50e0", false, 0},
        {"12300e-2", true, 123},
        {"12300e-3", false, 0},
        {"0.001e3", true, 1},
        {"0.001e2", false, 0},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"-9223372036854775808", true, INT64_MIN},
        {"-9223372036854775809", false, 0},
        {"9223372036854775807.000", true, INT64_MAX},
        {"9223372036854775807.1", false, 0},
        {"9223372036854775.807e3", true, INT64_MAX},
        {"922337203685477580.8e1", false, 0},
        {"9.223372036854775807E+18", true, INT64_MAX},
        {"1e18", true, 1000000000000000000},
        {"9e18", true, 9000000000000000000},
        {"1e19", false, 0},
        {"10e18", false, 0},
        {"1e400", false, 0},
        {"1e-400", false, 0},
        {"1e99999999999999999999999", false, 0},
        {"1e-99999999999999999999999", false, 0},
        {"18446744073709551616", false, 0},
        {"18446744073709551617", false, 0},
        {"99999999999999999999999999", false, 0},
        {"10000000000000000000000000e-24", true, 10},
        {"0.0000000000000000000000000012e28", true, 12},
    };

    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        int64_t value = 77;
        bool good = cw_json_int64(view(rows[i].text), &value);
        cr_expect(eq(int, good, rows[i].good), "%s", rows[i].text);
        cr_expect(eq(i64, value, good ? rows[i].value : 77), "%s", rows[i].text);
    }
}

Test(json_read, reads_back_every_64_bit_integer_however_it_is_spelled)
{
    uint64_t random = 5;
    for (int i = 0; i < 100000; i++) {
        int64_t expected = (int64_t)(random_next(&random) >> random_below(&random, 64));
        expected = random_below(&random, 2) == 0 ? expected : -expected;
        char text[64];
        int zeros = (int)random_below(&random, 10);
        (void)snprintf(text, sizeof text, "%lld%.*se-%d", (long long)expected, zeros, "0000000000",
                       zeros);
        int64_t value;
        cr_assert(cw_json_int64(view(text), &value), "%s", text);
        cr_assert(eq(i64, value, expected), "%s", text);
        (void)snprintf(text, sizeof text, "%lld.%.*s", (long long)expected, zeros + 1,
                       "0000000000");
        cr_assert(cw_json_int64(view(text), &value), "%s", text);
        cr_assert(eq(i64, value, expected), "%s", text);
    }
}
