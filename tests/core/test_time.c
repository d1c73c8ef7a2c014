#include "core/time.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static bool leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int month_days(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return days[month - 1] + (month == 2 && leap(year));
}

static struct cw_view view(const char *text)
{
    return (struct cw_view){.data = text, .bytes = (uint32_t)strlen(text)};
}

/* INT64_MIN for "not a time"; also proves that a refusal leaves the result alone. */
static int64_t parse(const char *text)
{
    int64_t ms = -4711;
    /* The text's exact bytes on the heap, so that the sanitizer sees a read past the end. */
    size_t bytes = strlen(text);
    char *copy = malloc(bytes + 1);
    memcpy(copy, text, bytes);
    copy = realloc(copy, bytes > 0 ? bytes : 1);
    bool good = cw_time_parse((struct cw_view){.data = copy, .bytes = (uint32_t)bytes}, &ms);
    free(copy);
    if (!good) {
        cr_assert(eq(i64, ms, -4711), "%s", text);
        return INT64_MIN;
    }
    return ms;
}

Test(time, agrees_with_a_naive_calendar_on_every_day_of_1970_to_9999)
{
    int64_t day = 0;
    for (int year = 1970; year <= 9999; year++) {
        for (int month = 1; month <= 12; month++) {
            for (int d = 1; d <= month_days(year, month); d++, day++) {
                int64_t ms = day * CW_DAY_MS + (day * 7919 % CW_DAY_MS);
                char text[64];
                int of_day = (int)(day * 7919 % CW_DAY_MS);
                (void)snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                               year % 10000, month, d, of_day / 3600000, of_day / 60000 % 60,
                               of_day / 1000 % 60, of_day % 1000);
                char out[CW_TIME_BYTES];
                cw_time_format(ms, out);
                int64_t back = -1;
                struct cw_civil c = cw_civil_from_ms(ms);
                bool good = memcmp(out, text, CW_TIME_BYTES) == 0 &&
                            cw_time_parse(view(text), &back) && back == ms && c.year == year &&
                            c.month == month && c.day == d && c.weekday == (day + 4) % 7 &&
                            cw_civil_to_ms(&c) == ms;
                if (!good) {
                    cr_fatal("%s: wrote %.24s, read %lld", text, out, (long long)back);
                }
            }
        }
    }
    cr_assert(eq(i64, day * CW_DAY_MS, 253402300800000));
}

Test(time, counts_days_before_1970_down_to_year_0)
{
    int64_t day = 0;
    for (int year = 1969; year >= 0; year--) {
        for (int month = 12; month >= 1; month--) {
            for (int d = month_days(year, month); d >= 1; d--) {
                day--;
                struct cw_civil c = cw_civil_from_ms(day * CW_DAY_MS + CW_DAY_MS - 1);
                if (c.year != year || c.month != month || c.day != d || c.hour != 23 ||
                    c.minute != 59 || c.second != 59 || c.millisecond != 999 ||
                    c.weekday != ((day + 4) % 7 + 7) % 7 ||
                    cw_civil_to_ms(&c) != day * CW_DAY_MS + CW_DAY_MS - 1) {
                    cr_fatal("day %lld: %04d-%02d-%02d", (long long)day, year, month, d);
                }
            }
        }
    }
    char out[CW_TIME_BYTES];
    cw_time_format(day * CW_DAY_MS, out);
    cr_assert(zero(int, memcmp(out, "0000-01-01T00:00:00.000Z", CW_TIME_BYTES)));
}

Test(time, turns_any_int64_into_a_date_and_back)
{
    static const int64_t ends[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX, INT64_MAX - 86400000};
    for (uint32_t i = 0; i < CW_COUNTOF(ends); i++) {
        struct cw_civil c = cw_civil_from_ms(ends[i]);
        cr_assert(eq(i64, cw_civil_to_ms(&c), ends[i]));
    }
    cr_assert(eq(int, cw_civil_from_ms(INT64_MAX).year, 292278994));
    cr_assert(eq(int, cw_civil_from_ms(INT64_MIN).year, -292275055));
    uint64_t x = 88172645463325252u;
    for (int i = 0; i < 200000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        struct cw_civil c = cw_civil_from_ms((int64_t)x);
        cr_assert(cw_civil_to_ms(&c) == (int64_t)x && c.month >= 1 && c.month <= 12 && c.day <= 31);
    }
}

Test(time, reads_what_rfc_3339_allows)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"1970-01-01t00:00:00z", 0},
        {"2026-01-18T16:45:00Z", 1768754700000},
        {"2026-01-18T16:45:00.000Z", 1768754700000},
        {"2026-01-18T16:45:00.5Z", 1768754700500},
        {"2026-01-18T16:45:00.05z", 1768754700050},
        {"2026-01-18T16:45:00.123Z", 1768754700123},
        {"2026-01-18T16:45:00.123z", 1768754700123},
        {"2026-01-18T16:45:00.9999999999999999999999999999999999999999Z", 1768754700999},
        {"2026-01-18T16:45:00.00099Z", 1768754700000},
        {"2026-01-18T16:45:00+00:00", 1768754700000},
        {"2026-01-18T16:45:00-00:00", 1768754700000},
        {"2026-01-18T22:15:00.250+05:30", 1768754700250},
        {"2026-01-18T11:45:00.25-05:00", 1768754700250},
        {"2026-01-19T16:44:00+23:59", 1768754700000},
        {"2026-01-17T16:46:00-23:59", 1768754700000},
        {"2016-12-31T23:59:60Z", 1483228800000},
        {"2016-12-31T23:59:60.5Z", 1483228800500},
        {"2016-12-31T12:30:60+01:00", 1483183860000},
        {"2000-02-29T00:00:00Z", 951782400000},
        {"2024-02-29T00:00:00Z", 1709164800000},
        {"9999-12-31T23:59:59.999Z", 253402300799999},
        {"1969-12-31T23:00:00-01:00", 0},
        {"1970-01-01T01:00:00+01:00", 0},
        {"9999-12-31T23:59:59.999+00:01", 253402300739999},
    };

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        cr_assert(eq(i64, parse(rows[i].text), rows[i].ms), "%s", rows[i].text);
    }
}

Test(time, refuses_everything_else)
{
    static const char *const rows[] = {
        "",
        "Z",
        "2026",
        "2026-01-18",
        "2026-01-18T16:45Z",
        "2026-01-18T16:45:00",
        "2026-01-18T16:45:00.Z",
        "2026-01-18T16:45:00.",
        "2026-01-18T16:45:00.123",
        "2026-01-18T16:45:00,123Z",
        "2026-01-18 16:45:00Z",
        "2026-01-18T16:45:00 Z",
        "2026-01-18T16:45:00Z ",
        " 2026-01-18T16:45:00Z",
        "2026-01-18T16:45:00ZZ",
        "2026-01-18T16:45:00+0000",
        "2026-01-18T16:45:00+00",
        "2026-01-18T16:45:00+00:0",
        "2026-01-18T16:45:00+00:000",
        "2026-01-18T16:45:00+24:00",
        "2026-01-18T16:45:00+00:60",
        "2026-01-18T16:45:00+-1:00",
        "2026-01-18T16:45:00.1.2Z",
        "2026-01-18T16:45:00.12xZ",
        "2026-00-18T16:45:00Z",
        "2026-13-18T16:45:00Z",
        "2026-01-00T16:45:00Z",
        "2026-01-32T16:45:00Z",
        "2026-04-31T16:45:00Z",
        "2026-02-29T16:45:00Z",
        "1900-02-29T16:45:00Z",
        "2100-02-29T16:45:00Z",
        "2024-02-30T16:45:00Z",
        "2026-01-18T24:00:00Z",
        "2026-01-18T16:60:00Z",
        "2026-01-18T16:45:61Z",
        "1969-12-31T23:59:59.999Z",
        "1970-01-01T00:59:59+01:00",
        "9999-12-31T23:59:60Z",
        "9999-12-31T23:59:59-00:01",
        "0000-01-01T00:00:00Z",
        "+2026-01-18T16:45:00Z",
        "12026-01-18T16:45:00Z",
        "2026-01-18T16:45:00.000+",
        "2026-1-018T16:45:00Z",
    };
    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        cr_assert(eq(i64, parse(rows[i]), INT64_MIN), "%s", rows[i]);
    }
}

static int number(const char *t, int digits)
{
    int value = 0;
    for (int i = 0; i < digits; i++) {
        value = value * 10 + (t[i] - '0');
    }
    return value;
}

/* What the header asks for, written down without any cleverness. */
static bool naive_common(const char *t, size_t bytes)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    for (size_t i = 0; i < bytes; i++) {
        char want = bytes == 20 && i == 19 ? 'Z' : shape[i];
        bool good = want == 'd'   ? t[i] >= '0' && t[i] <= '9'
                    : want == 'T' ? t[i] == 'T' || t[i] == 't'
                    : want == 'Z' ? t[i] == 'Z' || t[i] == 'z'
                                  : t[i] == want;
        if (!good) {
            return false;
        }
    }
    int year = number(t, 4);
    int month = number(t + 5, 2);
    int day = number(t + 8, 2);
    return year >= 1970 && month >= 1 && month <= 12 && day >= 1 &&
           day <= month_days(year, month) && number(t + 11, 2) <= 23 && number(t + 14, 2) <= 59 &&
           number(t + 17, 2) <= 60;
}

Test(time, judges_every_byte_at_every_position)
{
    static const char *const good[] = {"2026-01-18T16:45:00Z", "2026-01-18T16:45:00.000Z",
                                       "2024-02-29t23:59:59.999z"};
    for (uint32_t g = 0; g < CW_COUNTOF(good); g++) {
        size_t bytes = strlen(good[g]);
        for (size_t at = 0; at < bytes; at++) {
            for (int c = 0; c < 256; c++) {
                char text[32];
                memcpy(text, good[g], bytes + 1);
                text[at] = (char)c;
                int64_t ms;
                bool is =
                    cw_time_parse((struct cw_view){.data = text, .bytes = (uint32_t)bytes}, &ms);
                /* A point in the place of Z and the like are other forms; none of them is whole. */
                cr_assert(is == naive_common(text, bytes), "%s with %d at %zu", good[g], c, at);
            }
        }
        for (size_t cut = 0; cut < bytes; cut++) {
            char text[32] = {0};
            memcpy(text, good[g], cut);
            cr_assert(eq(i64, parse(text), INT64_MIN));
        }
    }
}

Test(time, refuses_to_write_a_year_of_five_digits, .signal = SIGABRT)
{
    char out[CW_TIME_BYTES];
    cw_time_format(253402300800000, out);
}
