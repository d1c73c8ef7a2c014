#include "pipeline/money.h"

#include "pipeline/locale.h"
#include "pipeline/program.h"

#include <math.h>

#define NBSP "\xc2\xa0"

/* symbol: abroad; home: in the locale whose own currency it is, where that differs. */
static const struct {
    char code[4];
    const char *symbol, *home_tag, *home;
} symbols[] = {
    {"USD", "US$", NULL, NULL},  {"EUR", "€", NULL, NULL}, {"GBP", "£", NULL, NULL},
    {"JPY", "¥", NULL, NULL},    {"INR", "₹", NULL, NULL}, {"BRL", "R$", NULL, NULL},
    {"AUD", "A$", "en-AU", "$"},
};

/* Where a bare $ means another dollar, the American one is written out. */
static bool dollar_is_american(const struct cw_locale *locale)
{
    return strcmp(locale->tag, "en-AU") != 0 && strcmp(locale->tag, "pt-BR") != 0;
}

static const char *symbol_of(struct cw_view currency, const struct cw_locale *locale)
{
    if (cw_view_equal(currency, CW_VIEW("USD")) && dollar_is_american(locale)) {
        return "$";
    }
    for (uint32_t i = 0; i < CW_COUNTOF(symbols); i++) {
        if (cw_view_equal(currency, (struct cw_view){symbols[i].code, 3})) {
            bool home =
                symbols[i].home_tag != NULL && strcmp(symbols[i].home_tag, locale->tag) == 0;
            return home ? symbols[i].home : symbols[i].symbol;
        }
    }
    return NULL;
}

static double scale_of(uint32_t digits)
{
    static const double scales[] = {1, 10, 100, 1000, 10000};
    CW_ASSERT(digits < CW_COUNTOF(scales));
    return scales[digits];
}

int64_t cw_money_minor(double amount, uint32_t digits)
{
    CW_ASSERT(isfinite(amount) && fabs(amount) <= CW_MONEY_MAX);
    double scale = scale_of(digits);
    double size = fabs(amount);
    /* The product may be off by its own rounding, so the half is compared as an amount: the
       quotient is the binary64 nearest to the decimal half, which is what a half was read as. */
    double below = floor(size * scale);
    double half = (below + 0.5) / scale;
    bool whole = below >= 0x1p52; /* no binary64 has a fraction there */
    int64_t minor = (int64_t)below + (!whole && size >= half ? 1 : 0);
    return amount < 0 ? -minor : minor;
}

static void put_grouped(struct cw_text *out, uint64_t value, const struct cw_locale *locale)
{
    char digits[24];
    uint32_t count = 0;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    while (count > 0) {
        count--;
        cw_text_char(out, digits[count]);
        bool border = locale->lakh ? count == 3 || (count > 3 && count % 2 == 1)
                                   : count > 0 && count % 3 == 0;
        if (border) {
            cw_text_puts(out, locale->group);
        }
    }
}

static void put_number(struct cw_text *out, uint64_t minor, uint32_t digits,
                       const struct cw_locale *locale)
{
    uint64_t scale = (uint64_t)scale_of(digits);
    put_grouped(out, minor / scale, locale);
    if (digits > 0) {
        cw_text_puts(out, locale->decimal);
        uint64_t rest = minor % scale;
        for (uint64_t place = scale / 10; place > 0; place /= 10) {
            cw_text_char(out, (char)('0' + rest / place % 10));
        }
    }
}

void cw_money_format(struct cw_text *out, double amount, struct cw_view currency,
                     struct cw_view tag)
{
    const struct cw_locale *locale = cw_locale_find(tag);
    locale = locale == NULL ? cw_locale_unknown() : locale;
    uint32_t digits = cw_currency_digits(currency);
    int64_t minor = cw_money_minor(amount, digits);
    const char *symbol = symbol_of(currency, locale);
    if (minor < 0) {
        cw_text_char(out, '-');
    }
    uint64_t size = minor < 0 ? (uint64_t)-minor : (uint64_t)minor;
    if (symbol != NULL && locale->place != CW_SYMBOL_AFTER_SPACED) {
        cw_text_puts(out, symbol);
        cw_text_puts(out, locale->place == CW_SYMBOL_BEFORE_SPACED ? NBSP : "");
    }
    put_number(out, size, digits, locale);
    if (symbol != NULL && locale->place == CW_SYMBOL_AFTER_SPACED) {
        cw_text_puts(out, NBSP);
        cw_text_puts(out, symbol);
    } else if (symbol == NULL && currency.bytes > 0) {
        cw_text_puts(out, NBSP);
        cw_text_view(out, currency);
    }
}
