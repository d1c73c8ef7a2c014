#include "pipeline/locale.h"

#define NBSP  "\xc2\xa0"     /* U+00A0 no-break space */
#define NNBSP "\xe2\x80\xaf" /* U+202F narrow no-break space */
#define EN_DAYS                                         \
    {                                                   \
        "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" \
    }
#define EN_MONTHS                                                                          \
    {                                                                                      \
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" \
    }
#define EN_UNITS \
    .minute = {" minute", " minutes"}, .hour = {" hour", " hours"}, .day = {" day", " days"}

/* clang-format off */
static const struct cw_locale locales[] = {
    {.tag = "en-US", .group = ",", .decimal = ".", .place = CW_SYMBOL_BEFORE,
     .date = CW_DATE_WORDS, .weekdays = EN_DAYS, .months = EN_MONTHS, EN_UNITS},
    {.tag = "en-GB", .group = ",", .decimal = ".", .place = CW_SYMBOL_BEFORE,
     .date = CW_DATE_WORDS, .weekdays = EN_DAYS, .months = EN_MONTHS, EN_UNITS},
    /* In German a span stands after "in": the dative, Tagen. */
    {.tag = "de-DE", .group = ".", .decimal = ",", .place = CW_SYMBOL_AFTER_SPACED,
     .date = CW_DATE_GERMAN, .weekdays = {"So.", "Mo.", "Di.", "Mi.", "Do.", "Fr.", "Sa."},
     .minute = {" Minute", " Minuten"}, .hour = {" Stunde", " Stunden"},
     .day = {" Tag", " Tagen"}},
    {.tag = "fr-FR", .group = NNBSP, .decimal = ",", .place = CW_SYMBOL_AFTER_SPACED,
     .date = CW_DATE_WORDS,
     .weekdays = {"dim.", "lun.", "mar.", "mer.", "jeu.", "ven.", "sam."},
     .months = {"janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.",
                "nov.", "déc."},
     .minute = {" minute", " minutes"}, .hour = {" heure", " heures"},
     .day = {" jour", " jours"}},
    {.tag = "ja-JP", .group = ",", .decimal = ".", .place = CW_SYMBOL_BEFORE,
     .date = CW_DATE_JAPANESE, .weekdays = {"日", "月", "火", "水", "木", "金", "土"},
     .minute = {"分", "分"}, .hour = {"時間", "時間"}, .day = {"日", "日"}},
    {.tag = "en-IN", .group = ",", .decimal = ".", .lakh = true, .place = CW_SYMBOL_BEFORE,
     .date = CW_DATE_WORDS, .weekdays = EN_DAYS, .months = EN_MONTHS, EN_UNITS},
    {.tag = "pt-BR", .group = ".", .decimal = ",", .place = CW_SYMBOL_BEFORE_SPACED,
     .date = CW_DATE_WORDS,
     .weekdays = {"dom.", "seg.", "ter.", "qua.", "qui.", "sex.", "sáb."},
     .months = {"jan.", "fev.", "mar.", "abr.", "mai.", "jun.", "jul.", "ago.", "set.", "out.",
                "nov.", "dez."},
     .minute = {" minuto", " minutos"}, .hour = {" hora", " horas"}, .day = {" dia", " dias"}},
    {.tag = "en-AU", .group = ",", .decimal = ".", .place = CW_SYMBOL_BEFORE,
     .date = CW_DATE_WORDS, .weekdays = EN_DAYS, .months = EN_MONTHS, EN_UNITS},
};

static const struct cw_locale unknown = {
    .tag = "und", .group = ",", .decimal = ".", .place = CW_SYMBOL_BEFORE, .date = CW_DATE_ISO,
    .minute = {NBSP "min", NBSP "min"}, .hour = {NBSP "h", NBSP "h"}, .day = {NBSP "d", NBSP "d"},
};

/* clang-format on */

static char fold(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c == '_' ? '-' : c);
}

bool cw_locale_tag_equal(struct cw_view a, struct cw_view b)
{
    if (a.bytes != b.bytes) {
        return false;
    }
    for (uint32_t i = 0; i < a.bytes; i++) {
        if (fold(a.data[i]) != fold(b.data[i])) {
            return false;
        }
    }
    return true;
}

bool cw_locale_tag_shorten(struct cw_view *tag)
{
    for (uint32_t i = tag->bytes; i > 0; i--) {
        if (fold(tag->data[i - 1]) == '-') {
            tag->bytes = i - 1;
            return tag->bytes > 0;
        }
    }
    return false;
}

static struct cw_view language(struct cw_view tag)
{
    while (cw_locale_tag_shorten(&tag)) {
    }
    return tag;
}

const struct cw_locale *cw_locale_find(struct cw_view tag)
{
    struct cw_view wanted = language(tag);
    const struct cw_locale *near = NULL;
    for (uint32_t i = 0; i < CW_COUNTOF(locales); i++) {
        struct cw_view known = {locales[i].tag, (uint32_t)strlen(locales[i].tag)};
        if (cw_locale_tag_equal(tag, known)) {
            return &locales[i];
        }
        if (near == NULL && cw_locale_tag_equal(wanted, language(known))) {
            near = &locales[i];
        }
    }
    return near;
}

const struct cw_locale *cw_locale_unknown(void)
{
    return &unknown;
}

static void two_digits(struct cw_text *out, uint32_t value)
{
    cw_text_char(out, (char)('0' + value / 10 % 10));
    cw_text_char(out, (char)('0' + value % 10));
}

static void clock_time(struct cw_text *out, const struct cw_civil *local)
{
    two_digits(out, local->hour);
    cw_text_char(out, ':');
    two_digits(out, local->minute);
}

void cw_locale_date(struct cw_text *out, const struct cw_locale *locale,
                    const struct cw_civil *local)
{
    CW_ASSERT(local->weekday < 7 && local->month >= 1 && local->month <= 12);
    switch (locale->date) {
    case CW_DATE_WORDS:
        cw_text_puts(out, locale->weekdays[local->weekday]);
        cw_text_char(out, ' ');
        cw_text_u64(out, local->day);
        cw_text_char(out, ' ');
        cw_text_puts(out, locale->months[local->month - 1]);
        cw_text_char(out, ' ');
        cw_text_i64(out, local->year);
        cw_text_puts(out, ", ");
        break;
    case CW_DATE_GERMAN:
        cw_text_puts(out, locale->weekdays[local->weekday]);
        cw_text_puts(out, ", ");
        two_digits(out, local->day);
        cw_text_char(out, '.');
        two_digits(out, local->month);
        cw_text_char(out, '.');
        cw_text_i64(out, local->year);
        cw_text_puts(out, ", ");
        break;
    case CW_DATE_JAPANESE:
        cw_text_i64(out, local->year);
        cw_text_puts(out, "年");
        cw_text_u64(out, local->month);
        cw_text_puts(out, "月");
        cw_text_u64(out, local->day);
        cw_text_puts(out, "日(");
        cw_text_puts(out, locale->weekdays[local->weekday]);
        cw_text_puts(out, ") ");
        break;
    case CW_DATE_ISO:
        cw_text_i64(out, local->year);
        cw_text_char(out, '-');
        two_digits(out, local->month);
        cw_text_char(out, '-');
        two_digits(out, local->day);
        cw_text_char(out, ' ');
        break;
    }
    clock_time(out, local);
}

void cw_locale_span(struct cw_text *out, const struct cw_locale *locale, int64_t span_ms)
{
    CW_ASSERT(span_ms >= 0);
    int64_t count = span_ms / CW_MINUTE_MS;
    const struct cw_unit_words *words = &locale->minute;
    if (span_ms >= 49 * CW_HOUR_MS) {
        count = span_ms / CW_DAY_MS;
        words = &locale->day;
    } else if (span_ms >= CW_HOUR_MS) {
        count = span_ms / CW_HOUR_MS;
        words = &locale->hour;
    }
    cw_text_i64(out, count);
    cw_text_puts(out, count == 1 ? words->one : words->other);
}
