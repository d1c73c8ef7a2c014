#include "pipeline/message.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <stdlib.h>

static struct cw_view view(const char *text)
{
    return (struct cw_view){text, (uint32_t)strlen(text)};
}

static struct cw_problems problems;

static void setup(void)
{
    problems = (struct cw_problems){0};
}

static void teardown(void)
{
    cw_problems_deinit(&problems);
}

TestSuite(message_lint, .init = setup, .fini = teardown);

struct row {
    const char *text;
    uint32_t errors, line, column;
    const char *says; /* of the first problem */
    uint32_t remarks;
};

static void expect(const struct row *row, size_t number)
{
    cr_expect(eq(u32, problems.errors, row->errors), "row %zu: %s", number, row->text);
    cr_expect(eq(u32, problems.remarks, row->remarks), "row %zu: %s", number, row->text);
    if (row->says != NULL && problems.count > 0) {
        const struct cw_problem *first = &problems.list[0];
        cr_expect(strstr(first->text, row->says) != NULL, "row %zu: %s", number, first->text);
        cr_expect(eq(u32, first->line, row->line), "row %zu line", number);
        cr_expect(eq(u32, first->column, row->column), "row %zu column", number);
    }
    for (uint32_t i = 0; i < problems.count; i++) {
        cr_expect(strlen(problems.list[i].text) < CW_PROBLEM_TEXT_BYTES - 1, "row %zu", number);
    }
    cw_problems_deinit(&problems);
}

Test(message_lint, texts_of_programs)
{
    static const struct row rows[] = {
        {"You left something behind! {discountPercent}% off inside", 0, 0, 0, NULL, 0},
        {"Hi {customerName}! Use code {discountCode} for {discountPercent}% off: {cartLink}", 0, 0,
         0, NULL, 0},
        {"{cartValue} {currency} {expiresAt} {expiresIn} {unsubscribeLink} {shopName}", 0, 0, 0,
         NULL, 0},
        {"", 0, 0, 0, NULL, 0},
        {"no variable, 5 < 6 & \"quotes\"", 0, 0, 0, NULL, 0},
        {"Hi {custmerName}!", 1, 7, 13, "did you mean {customerName}?", 0},
        {"é {discountPercnt}", 1, 7, 12, "did you mean {discountPercent}?", 0},
        {"{whatever}", 1, 7, 10, "there are customerName discountPercent", 0},
        {"{CustomerName}", 1, 7, 10, "did you mean {customerName}?", 0},
        {"{items}", 1, 7, 10, "in e-mail templates only", 0},
        {"{openPixel}", 1, 7, 10, "in e-mail templates only", 0},
        {"Hi {customerName", 1, 7, 13, "opened and not closed", 0},
        {"Hi {customerName!", 1, 7, 13, "opened and not closed", 0},
        {"Hi {{customerName}}!", 1, 7, 13, "write {customerName}", 0},
        {"{{x}}", 1, 7, 10, "write {customerName}", 0},
        {"a } b", 1, 7, 12, "closed that none opened", 0},
        {"{ 50% }", 2, 7, 10, "without braces", 0},
        {"{}", 2, 7, 10, "without braces", 0},
        {"{{ x", 1, 7, 10, "write {customerName}", 0},
        {"{", 1, 7, 10, "opened and not closed", 0},
        {"{a}{b}", 2, 7, 10, "there is no variable {a}", 0},
    };
    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        cw_message_lint(view(rows[i].text), true, "p.yaml", 7, 10, &problems);
        expect(&rows[i], i);
    }
}

Test(message_lint, discount_variables_need_a_discount)
{
    static const struct row rows[] = {
        {"{discountPercent}% off", 1, 7, 10, "without a discount", 0},
        {"{discountCode}", 1, 7, 10, "without a discount", 0},
        {"{expiresAt}{expiresIn}", 2, 7, 10, "without a discount", 0},
        {"Hi {customerName}, {cartLink}", 0, 0, 0, NULL, 0},
    };
    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        cw_message_lint(view(rows[i].text), false, "p.yaml", 7, 10, &problems);
        expect(&rows[i], i);
    }
}

static char *shipped(const char *name)
{
    static char text[64 << 10];
    char path[512];
    (void)snprintf(path, sizeof path, CW_SOURCE_DIR "/tools/templates/%s", name);
    FILE *file = fopen(path, "rb");
    cr_assert(file != NULL, "%s", path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    return text;
}

Test(message_lint, shipped_templates_have_no_problem_with_and_without_a_discount)
{
    static const char *const names[] = {"cart-recovery-v3.html", "cart-recovery-v3.txt",
                                        "cart-recovery-v3.de.html", "cart-recovery-v3.de.txt"};
    for (size_t i = 0; i < CW_COUNTOF(names); i++) {
        cw_template_lint(view(names[i]), view(shipped(names[i])), true, &problems);
        cw_template_lint(view(names[i]), view(shipped(names[i])), false, &problems);
        cr_expect(eq(u32, problems.errors + problems.remarks, 0), "%s: %s", names[i],
                  problems.count > 0 ? problems.list[0].text : "");
    }
}

/* In HTML and in text alike. */
static const struct row tag_rows[] = {
    {"{{customerName}}", 0, 0, 0, NULL, 0},
    {"{{ customerName }}{{! any thing {x} }}", 0, 0, 0, NULL, 0},
    {"a\nb {{custmerName}}", 1, 2, 3, "did you mean {{customerName}}?", 0},
    {"{{name}}", 1, 1, 1, "between {{#items}} and {{/items}}", 0},
    {"{{#items}}{{name}}{{price}}{{quantity}}{{#several}}x{{/several}}{{/items}}", 0, 0, 0, NULL,
     0},
    {"{{#items}}{{imageUrl}}{{/items}}", 1, 1, 11, "may be missing", 0},
    {"{{#items}}{{#imageUrl}}{{imageUrl}}{{/imageUrl}}{{/items}}", 0, 0, 0, NULL, 0},
    {"{{#items}}{{^imageUrl}}{{imageUrl}}{{/imageUrl}}{{/items}}", 1, 1, 24, "may be missing", 0},
    {"{{#imageUrl}}{{/imageUrl}}", 1, 1, 1, "belongs to an item", 0},
    {"{{moreItems}}", 1, 1, 1, "may be missing", 0},
    {"{{openPixel}}", 1, 1, 1, "may be missing", 0},
    {"{{items}}", 1, 1, 1, "a section cannot be printed", 0},
    {"{{#customerName}}{{/customerName}}", 1, 1, 1, "no section", 0},
    {"{{.}}", 1, 1, 1, "there is no variable", 0},
    {"{{}}", 1, 1, 1, "there is no variable", 0},
    {"{{#foo}}{{/foo}}", 1, 1, 1, "there is no variable {{#foo}}", 0},
    {"{{{customerName}}}", 1, 1, 1, "not escaped", 0},
    {"{{&customerName}}", 1, 1, 1, "write {{customerName}}", 0},
    {"{{& customerName }}", 1, 1, 1, "write {{customerName}}", 0},
    {"{{>header}}", 1, 1, 1, "cannot include", 0},
    {"{{=<% %>=}}", 1, 1, 1, "cannot be changed", 0},
    {"{{{=<% %>=}}}", 1, 1, 1, "cannot be changed", 0},
    {"{{customerName", 1, 1, 1, "not closed", 0},
    {"{{customerName}", 1, 1, 1, "not closed", 0},
    {"{{#items}}", 1, 1, 1, "{{#items}} is not closed", 0},
    {"x\n{{#items}}\n{{/itms}}", 1, 3, 1, "close {{#items}} first", 0},
    {"{{/items}}", 1, 1, 1, "not open", 0},
    {"{{#items}}{{#discount}}{{/items}}{{/discount}}", 1, 1, 24, "close {{#discount}} first", 0},
    {"{{#items}}{{#items}}{{/items}}{{/items}}", 1, 1, 11, "stands inside itself", 0},
    {"Hi {customerName}", 1, 1, 4, "write {{customerName}}", 0},
    {"p { color: red } {x}", 0, 0, 0, NULL, 0},
    {"\xff", 1, 1, 1, "no UTF-8", 0},
    {"a\n\xc3", 1, 2, 1, "no UTF-8", 0},
    {"\xc0\x80", 1, 1, 1, "no UTF-8", 0},
    {"\xed\xa0\x80", 1, 1, 1, "no UTF-8", 0},
    {"\xf4\x90\x80\x80", 1, 1, 1, "no UTF-8", 0},
    {"\xe0\x9f\x80", 1, 1, 1, "no UTF-8", 0},
    {"\x01", 1, 1, 1, "0x01", 0},
    {"日本\xf0\x9f\x9b\x92 {{x}}", 1, 1, 5, "there is no variable", 0},
    {"{{discountCode}}", 0, 1, 1, "put it between {{#discount}}", 1},
    {"{{#discount}}{{discountCode}}{{/discount}}", 0, 0, 0, NULL, 0},
    {"{{^discount}}{{discountCode}}{{/discount}}", 0, 1, 14, "put it between", 1},
    {"{{#expiresAt}}{{expiresAt}}{{/expiresAt}}", 0, 0, 0, NULL, 0},
    {"{{#discount}}{{#discount}}{{#discount}}{{#discount}}{{#discount}}{{#discount}}{{#discount}}"
     "{{#discount}}{{#discount}}{{/discount}}{{/discount}}{{/discount}}{{/discount}}{{/discount}}"
     "{{/discount}}{{/discount}}{{/discount}}{{/discount}}",
     1, 1, 105, "nested deeper than 8", 0},
};

Test(message_lint, tags_of_templates)
{
    for (size_t i = 0; i < CW_COUNTOF(tag_rows); i++) {
        cw_template_lint(view("a.txt"), view(tag_rows[i].text), true, &problems);
        expect(&tag_rows[i], i);
        cw_template_lint(view("a.html"), view(tag_rows[i].text), true, &problems);
        expect(&tag_rows[i], i);
    }
}

Test(message_lint, templates_of_a_message_without_a_discount)
{
    static const struct row rows[] = {
        {"{{discountCode}}", 1, 1, 1, "without a discount", 0},
        {"{{#discount}}{{discountCode}} {{expiresIn}}{{/discount}}", 0, 0, 0, NULL, 0},
    };
    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        cw_template_lint(view("a.html"), view(rows[i].text), false, &problems);
        expect(&rows[i], i);
    }
}

static const struct row html_rows[] = {
    {"<p title=\"{{customerName}}\">{{customerName}}</p>", 0, 0, 0, NULL, 0},
    {"<p title='{{customerName}}'>", 0, 0, 0, NULL, 0},
    {"<p title={{customerName}}>", 1, 1, 10, "has no quotes", 0},
    {"<p title=a{{customerName}}>", 1, 1, 11, "has no quotes", 0},
    {"<p title = \"{{customerName}}\">", 0, 0, 0, NULL, 0},
    {"<p {{customerName}}>", 1, 1, 4, "inside a tag", 0},
    {"<p a{{customerName}}=\"1\">", 1, 1, 5, "inside a tag", 0},
    {"<{{customerName}}>", 1, 1, 2, "inside a tag", 0},
    {"<h{{customerName}}>", 1, 1, 3, "inside a tag", 0},
    {"<!doctype {{customerName}}>", 1, 1, 11, "inside a tag", 0},
    {"<a href=\"{{cartLink}}\">", 0, 0, 0, NULL, 0},
    {"<a href=\"{{cartLink}}?name={{customerName}}\">", 0, 0, 0, NULL, 0},
    {"<a HREF=\"{{customerName}}\">", 1, 1, 10, "is no address", 0},
    {"<a href=\"java{{customerName}}\">", 1, 1, 14, "is no address", 0},
    {"<a href=\"https://x/{{customerName}}\">", 0, 0, 0, NULL, 0},
    {"<a href=\"mailto:{{customerName}}\">", 0, 0, 0, NULL, 0},
    {"<img src=\"{{customerName}}\">", 1, 1, 11, "is no address", 0},
    {"<img alt=\"{{customerName}}\" src=\"https://x\">", 0, 0, 0, NULL, 0},
    {"<p style=\"color:{{customerName}}\">", 1, 1, 17, "more than text", 0},
    {"<p onclick=\"f('{{customerName}}')\">", 1, 1, 16, "more than text", 0},
    {"<img srcset=\"{{cartLink}}\">", 1, 1, 14, "more than text", 0},
    {"<style>p{color:{{customerName}}}</style>", 1, 1, 16, "inside <style>", 0},
    {"<script>var x = \"{{customerName}}\";</script>", 1, 1, 18, "inside <script>", 0},
    {"<SCRIPT>'</p>'</SCRIPT >{{customerName}}", 0, 0, 0, NULL, 0},
    {"<style>a</stylex>{{customerName}}</style>", 1, 1, 18, "inside <style>", 0},
    {"<!-- {{customerName}} --><p>{{customerName}}</p>", 0, 0, 0, NULL, 0},
    {"<!--[if mso]><p title={{customerName}}><![endif]-->", 1, 1, 23, "has no quotes", 0},
    {"<!--[if mso]><a href=\"{{cartLink}}\">{{customerName}}</a><![endif]-->", 0, 0, 0, NULL, 0},
    {"<!--[if !mso]><!--><p>{{customerName}}</p><!--<![endif]-->{{customerName}}", 0, 0, 0, NULL,
     0},
    {"1 < 2 {{customerName}} > <3", 0, 0, 0, NULL, 0},
    {"<br/>{{customerName}}<p/ title={{customerName}}>", 1, 1, 32, "has no quotes", 0},
    {"<p {{#discount}}class=\"x\"{{/discount}}>", 0, 0, 0, NULL, 0},
    {"<p title=\"{{#discount}}a{{/discount}}\">", 0, 0, 0, NULL, 0},
    {"<p title={{#discount}}\"{{/discount}}{{customerName}}>", 1, 1, 24, "different places", 0},
    {"<p title={{#discount}}'{{/discount}}a\">{{customerName}}", 1, 1, 24, "different places", 0},
    {"{{#discount}}<p {{/discount}}>", 1, 1, 17, "different places", 0},
    {"{{#discount}}<style>{{/discount}}{{customerName}}</style>", 2, 1, 21, "different places", 0},
    {"<{{#discount}}script{{/discount}}>{{customerName}}", 2, 1, 21, "different places", 0},
    {"<a {{#discount}}href{{/discount}}=\"{{customerName}}\">", 2, 1, 21, "different places", 0},
    {"<a href=\"{{#discount}}\" title=\"{{/discount}}{{customerName}}\">", 1, 1, 32,
     "different places", 0},
    {"<p =\"{{customerName}}\">", 1, 1, 6, "inside a tag", 0},
    {"<p {{#discount}}title {{/discount}}=\"{{customerName}}\">", 1, 1, 23, "different places", 0},
    {"<!-{{#discount}}x{{/discount}}->{{customerName}}", 0, 0, 0, NULL, 0},
    {"<!-- -{{#discount}}x{{/discount}}->{{customerName}}", 1, 1, 21, "different places", 0},
};

Test(message_lint, values_stand_only_where_escaping_makes_them_safe)
{
    for (size_t i = 0; i < CW_COUNTOF(html_rows); i++) {
        cw_template_lint(view("a.html"), view(html_rows[i].text), true, &problems);
        expect(&html_rows[i], i);
    }
}

Test(message_lint, texts_full_of_braces_take_no_long_time)
{
    static char text[1 << 20];
    struct row row = {.errors = CW_PROBLEMS_MAX};
    static const char *const patterns[] = {"{", "{{", "{a}", "}", "{{a}}", "{{#a"};
    for (size_t i = 0; i < CW_COUNTOF(patterns); i++) {
        size_t step = strlen(patterns[i]);
        for (size_t at = 0; at + step <= sizeof text; at += step) {
            memcpy(text + at, patterns[i], step);
        }
        cw_message_lint((struct cw_view){text, sizeof text}, true, "p.yaml", 1, 1, &problems);
        cr_expect(le(u32, problems.errors, row.errors + 1), "pattern %zu", i);
        cw_problems_deinit(&problems);
        cw_template_lint(view("a.html"), (struct cw_view){text, sizeof text}, true, &problems);
        cr_expect(le(u32, problems.errors, row.errors + 2), "pattern %zu", i);
        cw_problems_deinit(&problems);
    }
}
