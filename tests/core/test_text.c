#include "core/json.h"
#include "core/text.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct cw_text text;

static void close_text(void)
{
    cw_text_deinit(&text);
}

TestSuite(text, .fini = close_text);

static const char *said(void)
{
    return cw_text_terminate(&text);
}

Test(text, appends_and_is_terminated_on_demand)
{
    cr_expect(eq(str, (char *)said(), ""));
    cw_text_puts(&text, "a");
    cw_text_char(&text, 'b');
    cw_text_put(&text, "cde", 2);
    cw_text_put(&text, NULL, 0);
    cw_text_view(&text, CW_VIEW("-"));
    cw_text_printf(&text, "%d%s", 7, "x");
    cr_expect(eq(str, (char *)said(), "abcd-7x"));
    cr_expect(eq(sz, text.bytes, 7));
    cw_text_clear(&text);
    cr_expect(eq(str, (char *)said(), ""));
}

Test(text, grows_and_keeps_what_it_holds)
{
    size_t bytes = 0;
    for (int i = 0; i < 20000; i++) {
        cw_text_printf(&text, "%d,", i);
        bytes += (size_t)snprintf(NULL, 0, "%d,", i);
    }
    cr_assert(eq(sz, text.bytes, bytes));
    const char *p = said();
    for (long i = 0; i < 20000; i++) {
        char *end;
        cr_assert(eq(long, strtol(p, &end, 10), i));
        p = end + 1;
    }
    size_t capacity = text.capacity_bytes;
    cw_text_clear(&text);
    cw_text_put(&text, "x", 1);
    cr_assert(eq(sz, text.capacity_bytes, capacity));
}

Test(text, prints_what_is_longer_than_its_first_guess)
{
    char long_one[2000];
    memset(long_one, 'y', sizeof long_one);
    for (int bytes = 250; bytes < 260; bytes++) {
        cw_text_clear(&text);
        cw_text_printf(&text, "%.*s", bytes, long_one);
        cr_expect(eq(sz, text.bytes, (size_t)bytes));
    }
    cw_text_printf(&text, "%.*s", (int)sizeof long_one, long_one);
    cr_expect(eq(sz, text.bytes, 259 + sizeof long_one));
}

Test(text, dies_past_its_bound, .signal = SIGABRT)
{
    (void)cw_text_room(&text, CW_TEXT_BYTES_MAX + 1);
}

Test(text, dies_past_its_bound_bit_by_bit, .signal = SIGABRT)
{
    cw_text_puts(&text, "ab");
    (void)cw_text_room(&text, CW_TEXT_BYTES_MAX - 1);
}

Test(text, writes_integers)
{
    static const uint64_t u64s[] = {0, 9, 10, 99, 100, 12345, UINT32_MAX, UINT64_MAX};
    for (size_t i = 0; i < CW_COUNTOF(u64s); i++) {
        char expected[32];
        (void)snprintf(expected, sizeof expected, "%llu", (unsigned long long)u64s[i]);
        cw_text_clear(&text);
        cw_text_u64(&text, u64s[i]);
        cr_expect(eq(str, (char *)said(), expected));
    }
    static const int64_t i64s[] = {0, -1, 1, -100, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < CW_COUNTOF(i64s); i++) {
        char expected[32];
        (void)snprintf(expected, sizeof expected, "%lld", (long long)i64s[i]);
        cw_text_clear(&text);
        cw_text_i64(&text, i64s[i]);
        cr_expect(eq(str, (char *)said(), expected));
    }
}

Test(text, writes_numbers_as_javascript_does)
{
    static const struct {
        double value;
        const char *expected;
    } rows[] = {
        {0.0, "0"},
        {-0.0, "0"},
        {1.0, "1"},
        {-1.0, "-1"},
        {150.0, "150"},
        {0.78, "0.78"},
        {79.99, "79.99"},
        {0.1, "0.1"},
        {-0.5, "-0.5"},
        {1.0 / 3, "0.3333333333333333"},
        {123456.789, "123456.789"},
        {1e-6, "0.000001"},
        {1.5e-6, "0.0000015"},
        {1e-7, "1e-7"},
        {-1.25e-7, "-1.25e-7"},
        {9.999999e-7, "9.999999e-7"},
        {1e20, "100000000000000000000"},
        {123456789012345680000.0, "123456789012345680000"},
        {1e21, "1e+21"},
        {1.5e21, "1.5e+21"},
        {-1.2345e30, "-1.2345e+30"},
        {1e100, "1e+100"},
        {999999999999999868928.0, "999999999999999900000"},
        {9007199254740991.0, "9007199254740991"},
        {9007199254740992.0, "9007199254740992"},
        {9007199254740994.0, "9007199254740994"},
        {-9007199254740994.0, "-9007199254740994"},
        {18446744073709551616.0, "18446744073709552000"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {0.30000000000000004, "0.30000000000000004"},
        {1.2345678901234567e-6, "0.0000012345678901234567"},
        {4.35, "4.35"},
        {100.5, "100.5"},
        {-1.2345678901234567e-6, "-0.0000012345678901234567"},
    };

    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        cw_text_clear(&text);
        cw_text_number(&text, rows[i].value);
        cr_expect(eq(str, (char *)said(), (char *)rows[i].expected));
    }
}

Test(text, writes_numbers_that_read_back_the_same_and_no_digit_more)
{
    uint64_t random = 11;
    for (int i = 0; i < 100000; i++) {
        uint64_t bits = random_next(&random);
        double value;
        memcpy(&value, &bits, sizeof value);
        if (i % 2 == 0) { /* the sizes that occur */
            value = (double)(int64_t)(bits >> 30) / 1e4 - 5e5;
        }
        if (!isfinite(value)) {
            continue;
        }
        cw_text_clear(&text);
        cw_text_number(&text, value);
        double back = strtod(said(), NULL);
        cr_assert(back == value, "%s for %.17g", said(), value);
        int digits = 1;
        char shorter[64];
        for (; digits < 17; digits++) {
            (void)snprintf(shorter, sizeof shorter, "%.*e", digits - 1, value);
            if (strtod(shorter, NULL) == value) {
                break;
            }
        }
        int written = 0;
        int zeros = 0; /* at the end of a long integer or at the begin of a fraction */
        for (const char *p = said(); *p != '\0' && *p != 'e'; p++) {
            if (*p < '0' || *p > '9') {
                continue;
            }
            zeros = *p == '0' ? zeros + 1 : 0;
            written += written > 0 || *p != '0';
        }
        cr_assert(le(int, written - (strchr(said(), '.') == NULL ? zeros : 0), digits),
                  "%s, though %s is enough", said(), shorter);
    }
}

Test(text, dies_of_what_is_no_number, .signal = SIGABRT)
{
    cw_text_number(&text, NAN);
}

Test(text, escapes_what_json_demands_and_nothing_else)
{
    cw_text_json(&text, CW_VIEW("a\"b\\c/\b\f\n\r\t\x01\x1f\x7f\xe2\x82\xac"));
    cr_expect(
        eq(str, (char *)said(), "\"a\\\"b\\\\c/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\xe2\x82\xac\""));
    cw_text_clear(&text);
    cw_text_json(&text, CW_VIEW("\0"));
    cw_text_json(&text, CW_VIEW(""));
    cw_text_json(&text, (struct cw_view){NULL, 0});
    cr_expect(eq(str, (char *)said(), "\"\\u0000\"\"\"\"\""));
}

Test(text, writes_strings_that_the_reader_reads_back)
{
    struct cw_json_parser *parser;
    struct cw_fault fault;
    cr_assert(eq(int, cw_json_open(&parser, 4096, 4, &fault), CW_ERR_OK));
    uint64_t random = 13;
    for (int round = 0; round < 50000; round++) {
        uint32_t bytes = random_below(&random, 150);
        uint32_t rare = 1 + random_below(&random, 100);
        char *original = malloc(bytes + 1); /* of just that size, for the address sanitizer */
        for (uint32_t i = 0; i < bytes; i++) {
            original[i] =
                (char)(random_below(&random, rare) == 0 ? random_below(&random, 128) : 'a');
        }
        cw_text_clear(&text);
        cw_text_json(&text, (struct cw_view){original, bytes});
        uint32_t length = (uint32_t)text.bytes;
        memset(cw_text_room(&text, CW_JSON_PADDING), '"', CW_JSON_PADDING);
        struct cw_json doc;
        cr_assert(eq(int, cw_json_parse(parser, text.data, length, &doc), CW_JSON_PARSE_OK));
        char back[1024];
        cr_assert(eq(u32, cw_json_unescape(cw_json_raw(&doc, 0), back), bytes));
        cr_assert(memcmp(back, original, bytes) == 0);
        free(original);
    }
    cw_json_close(parser);
}

Test(text, writes_times_with_milliseconds_in_quotes)
{
    cw_text_json_time(&text, 0);
    cw_text_json_time(&text, 1768754700042);
    cr_expect(eq(str, (char *)said(), "\"1970-01-01T00:00:00.000Z\"\"2026-01-18T16:45:00.042Z\""));
}
