#include "pipeline/locale.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct cw_view view(const char *text)
{
    return (struct cw_view){text, (uint32_t)strlen(text)};
}

#define NB "\xc2\xa0"

Test(locale, spans_are_said_in_hours_to_two_days_and_never_too_long)
{
    static const struct {
        int64_t ms;
        const char *locale, *expected;
    } rows[] = {
        {24 * CW_HOUR_MS, "en-US", "24 hours"}, {24 * CW_HOUR_MS - 1, "en-US", "23 hours"},
        {CW_HOUR_MS, "en-US", "1 hour"},        {CW_HOUR_MS - 1, "en-US", "59 minutes"},
        {CW_MINUTE_MS, "en-US", "1 minute"},    {0, "en-US", "0 minutes"},
        {48 * CW_HOUR_MS, "en-US", "48 hours"}, {49 * CW_HOUR_MS - 1, "en-US", "48 hours"},
        {49 * CW_HOUR_MS, "en-US", "2 days"},   {72 * CW_HOUR_MS - 1, "en-US", "2 days"},
        {72 * CW_HOUR_MS, "en-US", "3 days"},   {24 * CW_HOUR_MS, "de-DE", "24 Stunden"},
        {72 * CW_HOUR_MS, "de-DE", "3 Tagen"},  {24 * CW_HOUR_MS, "ja-JP", "24時間"},
        {24 * CW_HOUR_MS, "fr", "24 heures"},   {24 * CW_HOUR_MS, "pt", "24 horas"},
        {24 * CW_HOUR_MS, "xx", "24" NB "h"},
    };
    struct cw_text out = {0};
    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        const struct cw_locale *locale = cw_locale_find(view(rows[i].locale));
        cw_text_clear(&out);
        cw_locale_span(&out, locale == NULL ? cw_locale_unknown() : locale, rows[i].ms);
        cr_expect_str_eq(cw_text_terminate(&out), rows[i].expected, "row %zu: %s", i, out.data);
    }
    cw_text_deinit(&out);
}

Test(locale, dates_are_unambiguous_in_every_locale)
{
    static const struct {
        const char *locale, *expected;
    } rows[] = {
        {"en-US", "Mon 19 Jan 2026, 12:45"},   {"en-GB", "Mon 19 Jan 2026, 12:45"},
        {"de-DE", "Mo., 19.01.2026, 12:45"},   {"fr-FR", "lun. 19 janv. 2026, 12:45"},
        {"ja-JP", "2026年1月19日(月) 12:45"},  {"en-IN", "Mon 19 Jan 2026, 12:45"},
        {"pt-BR", "seg. 19 jan. 2026, 12:45"}, {"en-AU", "Mon 19 Jan 2026, 12:45"},
        {"sv-SE", "2026-01-19 12:45"},
    };

    int64_t ms = 0;
    cr_assert(cw_time_parse(view("2026-01-19T12:45:59Z"), &ms));
    struct cw_civil local = cw_civil_from_ms(ms);
    struct cw_text out = {0};
    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        const struct cw_locale *locale = cw_locale_find(view(rows[i].locale));
        cw_text_clear(&out);
        cw_locale_date(&out, locale == NULL ? cw_locale_unknown() : locale, &local);
        cr_expect_str_eq(cw_text_terminate(&out), rows[i].expected, "row %zu: %s", i, out.data);
    }
    cw_text_deinit(&out);
}

Test(locale, tags_are_compared_without_case_and_shortened_from_the_end)
{
    cr_expect(cw_locale_tag_equal(view("de-DE"), view("DE_de")));
    cr_expect(not(cw_locale_tag_equal(view("de-DE"), view("de-D"))));
    struct cw_view tag = view("zh-Hant_TW");
    cr_expect(cw_locale_tag_shorten(&tag) && tag.bytes == 7);
    cr_expect(cw_locale_tag_shorten(&tag) && tag.bytes == 2);
    cr_expect(not(cw_locale_tag_shorten(&tag)));
    cr_expect(cw_locale_find(view("")) == NULL);
    cr_expect(cw_locale_find(view("-")) == NULL);
}
