/*
 * locale: how people of a place write numbers, dates and spans of time. A small table of the
 * marketplaces' eight locales; no locale of the host is ever used.
 *
 * Memory: static. Threads: any; there is no state.
 */
#ifndef CW_PIPELINE_LOCALE_H
#define CW_PIPELINE_LOCALE_H

#include "core/text.h"
#include "core/time.h"

enum cw_symbol_place {
    CW_SYMBOL_BEFORE,        /* $150.00 */
    CW_SYMBOL_BEFORE_SPACED, /* R$ 150,00 */
    CW_SYMBOL_AFTER_SPACED   /* 150,00 and the sign */
};

enum cw_date_form {
    CW_DATE_WORDS,    /* Mon 19 Jan 2026, 12:45 */
    CW_DATE_GERMAN,   /* Mo., 19.01.2026, 12:45 */
    CW_DATE_JAPANESE, /* year, month, day with their signs, (weekday) 12:45 */
    CW_DATE_ISO       /* 2026-01-19 12:45 */
};

/* One, and any other number of. */
struct cw_unit_words {
    const char *one, *other;
};

struct cw_locale {
    const char *tag; /* BCP 47, language and region */
    const char *group, *decimal;
    bool lakh; /* 1,23,456 */
    enum cw_symbol_place place;
    enum cw_date_form date;
    const char *weekdays[7]; /* Sunday first */
    const char *months[12];
    struct cw_unit_words minute, hour, day; /* with the space between number and word */
};

/* The locale of a language tag (de-DE, de_de), else one of the same language, else NULL. */
const struct cw_locale *cw_locale_find(struct cw_view tag);

/* For text of a language that the table does not know: numbers as in en-US, dates in the form of
   ISO 8601, units by their symbols (h, d, min). */
const struct cw_locale *cw_locale_unknown(void);

/* Compares language tags: letter case does not matter, nor does _ for -. */
CW_MUST_USE bool cw_locale_tag_equal(struct cw_view a, struct cw_view b);

/* Makes a tag one subtag shorter (zh-Hant-TW, zh-Hant, zh); false when it was the last. */
CW_MUST_USE bool cw_locale_tag_shorten(struct cw_view *tag);

/* A time of the local clock, to the minute. */
void cw_locale_date(struct cw_text *out, const struct cw_locale *locale,
                    const struct cw_civil *local);

/* A span as "24 hours": whole minutes below an hour, whole hours to 48, then whole days, always
   rounded down, so that what is said is never more than what is left. span_ms >= 0. */
void cw_locale_span(struct cw_text *out, const struct cw_locale *locale, int64_t span_ms);

#endif
