#include "pipeline/money.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct cw_view view(const char *text)
{
    return text == NULL ? (struct cw_view){0} : (struct cw_view){text, (uint32_t)strlen(text)};
}

#define NB "\xc2\xa0"
#define NN "\xe2\x80\xaf"

Test(money, formats_as_people_of_each_locale_write)
{
    static const struct {
        double amount;
        const char *currency, *locale, *expected;
    } rows[] = {
        {150, "USD", "en-US", "$150.00"},
        {79.99, "USD", "en-US", "$79.99"},
        {1234.5, "USD", "en-US", "$1,234.50"},
        {1234.5, "GBP", "en-GB", "£1,234.50"},
        {1234.5, "EUR", "de-DE", "1.234,50" NB "€"},
        {1234.5, "EUR", "fr-FR", "1" NN "234,50" NB "€"},
        {1235, "JPY", "ja-JP", "¥1,235"},
        {123456, "INR", "en-IN", "₹1,23,456.00"},
        {1234.5, "BRL", "pt-BR", "R$" NB "1.234,50"},
        {1234.5, "AUD", "en-AU", "$1,234.50"},
        /* Abroad. */
        {1234.5, "AUD", "en-US", "A$1,234.50"},
        {1234.5, "USD", "en-AU", "US$1,234.50"},
        {1234.5, "USD", "pt-BR", "US$" NB "1.234,50"},
        {1234.5, "USD", "de-DE", "1.234,50" NB "$"},
        {1234.5, "CHF", "en-US", "1,234.50" NB "CHF"},
        {1234.5, "CHF", "de-CH", "1.234,50" NB "CHF"},
        {1.5, "BHD", "en-US", "1.500" NB "BHD"},
        {1234.5, NULL, "en-US", "1,234.50"},
        {1234.5, NULL, "de", "1.234,50"},
        {1234.5, "USD", NULL, "$1,234.50"},
        {1234.5, "EUR", "de_at", "1.234,50" NB "€"},
        {1234.5, "EUR", "sv-SE", "€1,234.50"},
        /* Sizes. */
        {0, "USD", "en-US", "$0.00"},
        {0.05, "USD", "en-US", "$0.05"},
        {999, "USD", "en-US", "$999.00"},
        {1000, "USD", "en-US", "$1,000.00"},
        {999999.99, "USD", "en-US", "$999,999.99"},
        {1e12, "USD", "en-US", "$1,000,000,000,000.00"},
        {1e12, "INR", "en-IN", "₹10,00,00,00,00,000.00"},
        {99999, "INR", "en-IN", "₹99,999.00"},
        {100000, "INR", "en-IN", "₹1,00,000.00"},
        {999, "INR", "en-IN", "₹999.00"},
        {-5, "USD", "en-US", "-$5.00"},
        {-0.001, "USD", "en-US", "$0.00"},
        {-1234.5, "EUR", "de-DE", "-1.234,50" NB "€"},
    };
    struct cw_text out = {0};
    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        cw_text_clear(&out);
        cw_money_format(&out, rows[i].amount, view(rows[i].currency), view(rows[i].locale));
        cr_expect_str_eq(cw_text_terminate(&out), rows[i].expected, "row %zu: %s, not %s", i,
                         out.data, rows[i].expected);
    }
    cw_text_deinit(&out);
}

Test(money, rounds_halves_away_from_zero_as_they_are_written)
{
    static const struct {
        double amount;
        uint32_t digits;
        int64_t expected;
    } rows[] = {
        {1.005, 2, 101},
        {1.004, 2, 100},
        {1.00499999, 2, 100},
        {2.675, 2, 268},
        {0.125, 2, 13},
        {0.135, 2, 14},
        {0.145, 2, 15},
        {8.575, 2, 858},
        {1.5, 0, 2},
        {2.5, 0, 3},
        {0.5, 0, 1},
        {0.49999999999999994, 0, 0},
        {79.99, 2, 7999},
        {0.1 + 0.2, 2, 30},
        {1e12, 2, 100000000000000},
        {-1.005, 2, -101},
        {1.0005, 3, 1001},
        {0, 2, 0},
        {1e-300, 2, 0},
        {4503599627370496.0 / 100, 2, 4503599627370496},
    };

    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        cr_expect(eq(i64, cw_money_minor(rows[i].amount, rows[i].digits), rows[i].expected),
                  "row %zu", i);
    }
}

/* The model: the shortest decimal of the amount, rounded by its digits. */
static int64_t model(double amount)
{
    char text[64];
    for (int precision = 1; precision <= 17; precision++) {
        (void)snprintf(text, sizeof text, "%.*g", precision, amount);
        if (strtod(text, NULL) == amount) {
            break;
        }
    }
    char *point = strchr(text, '.');
    int64_t minor = strtoll(text, NULL, 10) * 100;
    if (strchr(text, 'e') != NULL || point == NULL) {
        return strchr(text, 'e') != NULL ? -1 : minor;
    }
    char digits[4] = "000";
    for (int i = 0; i < 3 && point[1 + i] != '\0'; i++) {
        digits[i] = point[1 + i];
    }
    return minor + (digits[0] - '0') * 10 + (digits[1] - '0') + (digits[2] >= '5');
}

Test(money, agrees_with_rounding_by_decimal_digits)
{
    uint64_t seed = 42;
    for (int i = 0; i < 200000; i++) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        char text[64];
        (void)snprintf(text, sizeof text, "%u.%03u%s",
                       (unsigned)(seed >> 44) % (i % 2 ? 100 : 1000000),
                       (unsigned)(seed >> 20) % 1000, i % 3 == 0 ? "5" : "");
        double amount = strtod(text, NULL);
        int64_t expected = model(amount);
        if (expected >= 0) {
            cr_assert(eq(i64, cw_money_minor(amount, 2), expected), "%s", text);
        }
    }
}

Test(money, refuses_what_is_no_amount, .signal = SIGABRT)
{
    (void)cw_money_minor(1.0 / 0.0, 2);
}
