#include "pipeline/option_ctl.h"
#include "pipeline/program.h"
#include "pipeline/program_keys_ctl.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cw_problems problems;
static struct cw_fault fault;

static void clean(void)
{
    cw_problems_deinit(&problems);
}

TestSuite(option, .fini = clean);

Test(option, every_row_has_a_help_and_bounds_that_make_sense)
{
    for (const struct cw_options *const *table = cw_program_tables; *table != NULL; table++) {
        for (uint32_t i = 0; i < (*table)->count; i++) {
            const struct cw_option *o = &(*table)->list[i];
            char text[CW_OPTION_HINT_BYTES];
            cr_assert(o->help != NULL && strlen(o->help) > 3, "%s", o->name);
            cr_assert(le(dbl, o->min, o->max), "%s", o->name);
            cr_assert(gt(sz, strlen(cw_option_describe(o, text)), 3), "%s", o->name);
            cr_assert(not(o->required && o->fallback != NULL), "%s", o->name);
            cr_assert(eq(int, o->type == CW_OPTION_WORD, o->words != NULL), "%s", o->name);
            for (uint32_t j = 0; j < i; j++) {
                cr_assert(ne(int, strcmp((*table)->list[j].name, o->name), 0), "%s", o->name);
            }
        }
    }
}

/* A default that the key's own check refuses would be a trap for whoever writes it out. */
Test(option, every_default_is_a_value_that_its_key_takes)
{
    for (const struct cw_options *const *table = cw_program_tables; *table != NULL; table++) {
        for (uint32_t i = 0; i < (*table)->count; i++) {
            const struct cw_option *o = &(*table)->list[i];
            if (o->fallback == NULL) {
                continue;
            }
            struct cw_option alone = *o;
            struct cw_options one = {"it", &alone, 1};
            const struct cw_options *const tables[] = {&one, NULL};
            char text[256];
            bool quoted = o->type == CW_OPTION_LINE;
            (void)snprintf(text, sizeof text, "%s: %s%s%s\n", o->name, quoted ? "\"" : "",
                           o->fallback, quoted ? "\"" : "");
            struct cw_yaml *doc;
            struct cw_view view = {text, (uint32_t)strlen(text)};
            cr_assert(eq(int, cw_yaml_open(&doc, view, "f", &problems, &fault), CW_ERR_OK));
            struct cw_option_reader reader = {doc, "f", &problems, tables};
            struct cw_setting told;
            struct cw_setting untold;
            cw_options_read(&reader, 0, &one, &told);
            cw_options_default(&one, &untold);
            cr_assert(told.good, "%s", text);
            cr_assert(eq(dbl, told.number, untold.number), "%s", text);
            cr_assert(eq(int, told.yes, untold.yes), "%s", text);
            cr_assert(eq(u32, told.word, untold.word), "%s", text);
            cr_assert(o->type != CW_OPTION_LINE || cw_view_equal(told.text, untold.text));
            cw_yaml_close(doc);
        }
    }
    cr_assert(eq(u32, problems.count, 0));
}

static const char *const *words_of(const struct cw_options *options, uint32_t row)
{
    return options->list[row].words;
}

Test(option, words_stand_in_the_order_of_their_enums)
{
    const char *const *w = words_of(&cw_program_options, CW_OPT_PROGRAM_ON_REABANDON);
    cr_assert(eq(str, (char *)w[CW_REABANDON_RESTART], "restart"));
    cr_assert(eq(str, (char *)w[CW_REABANDON_UPDATE], "update"));
    cr_assert(eq(str, (char *)w[CW_REABANDON_IGNORE], "ignore"));
    w = words_of(&cw_program_options, CW_OPT_PROGRAM_ON_NEW_CART);
    cr_assert(eq(str, (char *)w[CW_NEW_CART_SUPERSEDE], "supersede"));
    cr_assert(eq(str, (char *)w[CW_NEW_CART_PARALLEL], "parallel"));
    w = words_of(&cw_filter_options, CW_OPT_FILTER_TYPE);
    cr_assert(eq(str, (char *)w[CW_FILTER_TRUST], "trust"));
    cr_assert(eq(str, (char *)w[CW_FILTER_ELIGIBILITY], "eligibility"));
    cr_assert(eq(str, (char *)w[CW_FILTER_RULE], "business-rule"));
    w = words_of(&cw_touch_options, CW_OPT_TOUCH_ON_UNKNOWN);
    cr_assert(eq(str, (char *)w[CW_ON_UNKNOWN_DROP - 1], "drop"));
    cr_assert(eq(str, (char *)w[CW_ON_UNKNOWN_RESEND - 1], "resend"));
    w = words_of(&cw_channel_options, CW_OPT_CHANNEL_TYPE);
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        cr_assert(eq(str, (char *)w[i], (char *)cw_channel_name((enum cw_channel)i)));
    }
}

Test(option, hints_name_the_nearest_else_what_there_is)
{
    static const char *const known[] = {"restart", "update", "ignore", NULL};
    static const char *const one[] = {"rule", NULL};
    static const char *const none[] = {NULL};
    char out[CW_OPTION_HINT_BYTES];
    cr_assert(
        eq(str, (char *)cw_option_hint(CW_VIEW("updaet"), known, out), "did you mean \"update\"?"));
    cr_assert(
        eq(str, (char *)cw_option_hint(CW_VIEW("IGNORE"), known, out), "did you mean \"ignore\"?"));
    cr_assert(eq(str, (char *)cw_option_hint(CW_VIEW("everything"), known, out),
                 "known are restart, update, ignore"));
    cr_assert(
        eq(str, (char *)cw_option_hint(CW_VIEW("everything"), one, out), "known is only rule"));
    cr_assert(eq(str, (char *)cw_option_hint(CW_VIEW("x"), none, out), "there is none yet"));
}
