#include "pipeline/html_scan.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static struct cw_view view(const char *text)
{
    return (struct cw_view){text, (uint32_t)strlen(text)};
}

Test(html_scan, knows_the_place_it_ends_at)
{
    static const struct {
        const char *text;
        enum cw_html_place place;
    } rows[] = {
        {"", CW_HTML_TEXT},
        {"a < b > c", CW_HTML_TEXT},
        {"<", CW_HTML_TAG_NAME},
        {"</", CW_HTML_TAG_NAME},
        {"<p", CW_HTML_TAG_NAME},
        {"<p ", CW_HTML_TAG},
        {"<p\n\ta", CW_HTML_ATTRIBUTE_NAME},
        {"<p a=", CW_HTML_BEFORE_VALUE},
        {"<p a = ", CW_HTML_BEFORE_VALUE},
        {"<p a=b", CW_HTML_VALUE_BARE},
        {"<p =", CW_HTML_ATTRIBUTE_NAME},
        {"<p =\"b", CW_HTML_ATTRIBUTE_NAME},
        {"<p a=\"b\" =", CW_HTML_ATTRIBUTE_NAME},
        {"<p a/=", CW_HTML_ATTRIBUTE_NAME},
        {"<p a==b", CW_HTML_VALUE_BARE},
        {"<p a=/b", CW_HTML_VALUE_BARE},
        {"<p a=b ", CW_HTML_TAG},
        {"<p a=\"b'>", CW_HTML_VALUE},
        {"<p a='b\">", CW_HTML_VALUE},
        {"<p a=\"b\"", CW_HTML_TAG},
        {"<p a=\"b\">", CW_HTML_TEXT},
        {"<p a>", CW_HTML_TEXT},
        {"<br/>", CW_HTML_TEXT},
        {"</p>", CW_HTML_TEXT},
        {"<p a=>", CW_HTML_TEXT},
        {"<!doctype html", CW_HTML_DECLARATION},
        {"<!doctype html>", CW_HTML_TEXT},
        {"<?xml ", CW_HTML_DECLARATION},
        {"<!-- <p a=\" ", CW_HTML_COMMENT},
        {"<!-- > -- > ->", CW_HTML_COMMENT},
        {"<!-- -->", CW_HTML_TEXT},
        {"<!-- --->", CW_HTML_TEXT},
        {"<!-->", CW_HTML_TEXT},
        {"<!--[if mso", CW_HTML_DECLARATION},
        {"<!--[if mso]><p", CW_HTML_TAG_NAME},
        {"<![endif]-->", CW_HTML_TEXT},
        {"<style>", CW_HTML_CODE},
        {"<style type=\"text/css\">a", CW_HTML_CODE},
        {"<STYLE>p > a", CW_HTML_CODE},
        {"<style></p>", CW_HTML_CODE},
        {"<style></styl></style", CW_HTML_CODE},
        {"<style></style ", CW_HTML_TAG},
        {"<style><</style>", CW_HTML_TEXT},
        {"<script>'</style>'", CW_HTML_CODE},
        {"<script></script>", CW_HTML_TEXT},
        {"</style>", CW_HTML_TEXT},
        {"<styles>", CW_HTML_TEXT},
        {"<a-name-that-is-longer-than-thirty-two-bytes b", CW_HTML_ATTRIBUTE_NAME},
    };

    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        struct cw_html whole = {0};
        cw_html_feed(&whole, view(rows[i].text));
        cr_expect(eq(int, (int)whole.place, (int)rows[i].place), "%s", rows[i].text);
    }
}

Test(html_scan, names_are_lower_case_and_cut)
{
    struct cw_html html = {0};
    cw_html_feed(&html, view("<IMG SrC=\"x"));
    cr_expect(html.tag_bytes == 3 && memcmp(html.tag, "img", 3) == 0);
    cr_expect(html.name_bytes == 3 && memcmp(html.name, "src", 3) == 0);
    cr_expect(eq(chr, html.quote, '"'));
    cr_expect(eq(chr, html.value[0], 'x'));
}
