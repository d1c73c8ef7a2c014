#include "io/clean.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

struct row {
    const char *in, *utf8, *line, *reason;
};

#define FFFD "\xEF\xBF\xBD"

static const struct row rows[] = {
    {"", "", "", ""},
    {"plain", "plain", "plain", "plain"},
    {"a\r\nb\tc\x1B"
     "d\x7F"
     "e",
     "a\r\nb\tc\x1B"
     "d\x7F"
     "e",
     "a  b c d e", "a  b c d?e"},
    {"  both ends  ", "  both ends  ", "both ends", "  both ends"},
    {"\n\n", "\n\n", "", ""},
    {"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8E\x89", "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8E\x89",
     "\xC3\xA4\xE2\x82\xAC\xF0\x9F\x8E\x89", "?????????"},
    {"a\xC2\x85"
     "b\xC2\xA0"
     "c",
     "a\xC2\x85"
     "b\xC2\xA0"
     "c",
     "a b\xC2\xA0"
     "c",
     "a??b??c"},
    {"a\xE2\x80\xA8"
     "b\xE2\x80\xA9"
     "c",
     "a\xE2\x80\xA8"
     "b\xE2\x80\xA9"
     "c",
     "a b c", "a???b???c"},
    {"\xC3", FFFD, FFFD, "?"},
    {"\xC3(", FFFD "(", FFFD "(", "?("},
    {"\x80\xBF", FFFD FFFD, FFFD FFFD, "??"},
    {"\xC0\xAF", FFFD FFFD, FFFD FFFD, "??"},                               /* overlong */
    {"\xE0\x80\xAF", FFFD FFFD FFFD, FFFD FFFD FFFD, "???"},                /* overlong */
    {"\xF0\x80\x80\xAF", FFFD FFFD FFFD FFFD, FFFD FFFD FFFD FFFD, "????"}, /* overlong */
    {"\xED\xA0\x80", FFFD FFFD FFFD, FFFD FFFD FFFD, "???"},                /* surrogate */
    {"\xF4\x90\x80\x80", FFFD FFFD FFFD FFFD, FFFD FFFD FFFD FFFD, "????"}, /* too high */
    {"\xF5\x80\x80\x80", FFFD FFFD FFFD FFFD, FFFD FFFD FFFD FFFD, "????"},
    {"\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF", "\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF",
     "\xED\x9F\xBF\xEE\x80\x80\xF4\x8F\xBF\xBF", "??????????"}};

static void check(const struct cw_text *text, const char *wanted)
{
    cr_assert(eq(sz, text->bytes, strlen(wanted)));
    cr_assert(text->bytes == 0 || memcmp(text->data, wanted, text->bytes) == 0, "%s", wanted);
}

Test(clean, makes_hostile_text_harmless)
{
    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        struct cw_view in = {rows[i].in, (uint32_t)strlen(rows[i].in)};
        struct cw_text text = {0};
        cw_clean_utf8(&text, in);
        check(&text, rows[i].utf8);
        cw_text_clear(&text);
        cw_clean_line(&text, in);
        check(&text, rows[i].line);
        char reason[64] = "";
        cw_clean_reason(reason, sizeof reason, in);
        cr_assert(eq(str, reason, (char *)rows[i].reason));
        cw_text_deinit(&text);
    }
}

Test(clean, cuts_a_reason_to_its_room)
{
    char reason[8] = "abc";
    cw_clean_reason(reason, sizeof reason, CW_VIEW("defghijk"));
    cr_assert(eq(str, reason, "abcdefg"));
    cw_clean_reason(reason, sizeof reason, CW_VIEW("x"));
    cr_assert(eq(str, reason, "abcdefg"));
}
