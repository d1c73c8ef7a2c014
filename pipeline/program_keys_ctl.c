/* program_keys: the rows of program_keys_ctl.h as tables. */
#include "pipeline/program_keys_ctl.h"

#include "pipeline/program.h"

/* In the order of the enums of program.h; a test holds them together. */
static const char *const cw_words_on_reabandon[] = {"restart", "update", "ignore", NULL};
static const char *const cw_words_on_new_cart[] = {"supersede", "parallel", NULL};
static const char *const cw_words_codes[] = {"shared", "unique", NULL};
static const char *const cw_words_source_type[] = {"eventbridge", NULL};
static const char *const cw_words_filter_type[] = {"trust", "eligibility", "business-rule", NULL};
static const char *const cw_words_on_unknown[] = {"drop", "resend", NULL};
static const char *const cw_words_strategy[] = {"rule", "expectedProfit", NULL};
static const char *const cw_words_channel_type[] = {
#define CW_X(name, text) text,
    CW_CHANNELS(CW_X)
#undef CW_X
        NULL};

/* clang-format off */
#define CW_ROW(id, key, kind, ...) {.name = key, .type = CW_OPTION_##kind, __VA_ARGS__},
#define CW_TABLE(rows, table, called) \
    static const struct cw_option table##_list[] = {rows(CW_ROW)}; \
    const struct cw_options table = {called, table##_list, CW_COUNTOF(table##_list)}; \
    static_assert(CW_COUNTOF(table##_list) <= CW_OPTIONS_MAX, "settings have room for it");
CW_PROGRAM_TABLES(CW_TABLE)
#undef CW_TABLE
#undef CW_ROW

#define CW_TABLE(rows, table, what) &(table),
const struct cw_options *const cw_program_tables[] = {CW_PROGRAM_TABLES(CW_TABLE) NULL};
#undef CW_TABLE
/* clang-format on */
