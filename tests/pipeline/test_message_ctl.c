#include "pipeline/message.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>

static struct cw_view view(const char *text)
{
    return (struct cw_view){text, (uint32_t)strlen(text)};
}

static struct cw_templates *templates;
static struct cw_fault fault;

static void setup(void)
{
    cr_assert(cw_templates_open(&templates, &fault) == CW_ERR_OK);
}

static void teardown(void)
{
    cw_templates_close(templates);
}

TestSuite(message_ctl, .init = setup, .fini = teardown);

static cw_err add(const char *name, const char *text)
{
    return cw_templates_add(templates, view(name), view(text), &fault);
}

Test(message_ctl, names_of_template_files)
{
    cr_expect(eq(int, add("a.html", "x"), CW_ERR_OK));
    cr_expect(eq(int, add("a.txt", "x"), CW_ERR_OK));
    cr_expect(eq(int, add("a.de.html", "x"), CW_ERR_OK));
    cr_expect(eq(int, add("a.de-DE.html", "x"), CW_ERR_OK));
    cr_expect(eq(int, add("v1.2.html", "x"), CW_ERR_OK));
    cr_expect(eq(int, add("a.html", "x"), CW_ERR_INVALID));
    cr_expect_str_eq(fault.text, "the template a.html is there twice");
    static const char *const bad[] = {"a", "a.htm", ".html", "", "html", "a.html.bak"};
    for (size_t i = 0; i < CW_COUNTOF(bad); i++) {
        cr_expect(eq(int, add(bad[i], "x"), CW_ERR_INVALID), "%s", bad[i]);
    }
    char longest[200];
    memset(longest, 'a', sizeof longest);
    memcpy(longest + 123, ".txt", 5);
    cr_expect(eq(int, add(longest + 1, "x"), CW_ERR_OK));
    memcpy(longest + 123, "a.txt", 6);
    cr_expect(eq(int, add(longest, "x"), CW_ERR_INVALID));
}

#define NINE(s) s s s s s s s s s

Test(message_ctl, unsafe_templates_are_refused_with_their_place)
{
    static const char *const bad[] = {
        "{{{customerName}}}",
        "{{&customerName}}",
        "{{>x}}",
        "{{=<% %>=}}",
        "{{#items}}",
        "{{/items}}",
        "{{x",
        "\xff",
        "<p title={{customerName}}>",
        "a\x01",
        "<style>{{customerName}}</style>",
        "{{#items}}{{#items}}{{/items}}{{/items}}",
        (NINE("{{#a}}") NINE("{{/a}}")),
    };
    for (size_t i = 0; i < CW_COUNTOF(bad); i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "a%zu.html", i);
        cr_expect(eq(int, add(name, bad[i]), CW_ERR_INVALID), "%zu", i);
    }
    cr_expect(eq(int, add("a.html", "ok\n  {{>x}}"), CW_ERR_INVALID));
    cr_expect(strstr(fault.text, "a.html:2:3: ") == fault.text, "%s", fault.text);
    /* What is merely useless is for the lint to say. */
    cr_expect(eq(int, add("b.html", "{{unknown}}{{#x}}{{/x}}"), CW_ERR_OK));
    /* What is no tag does not become one by what is left out of line ends. */
    cr_expect(eq(int, add("c.html", "{\r{{customerName}} {\r{>x}}"), CW_ERR_OK));
    /* In plain text there is no markup that could be broken. */
    cr_expect(eq(int, add("b.txt", "<p title={{customerName}}>"), CW_ERR_OK));
}

Test(message_ctl, sizes_and_counts_are_bounded)
{
    static char big[CW_TEMPLATE_BYTES_MAX + 1];
    memset(big, 'x', sizeof big);
    struct cw_view text = {big, sizeof big};
    cr_expect(eq(int, cw_templates_add(templates, view("a.txt"), text, &fault), CW_ERR_LIMIT));
    text.bytes--;
    cr_expect(eq(int, cw_templates_add(templates, view("a.txt"), text, &fault), CW_ERR_OK));
    char name[32];
    for (uint32_t i = 1; i < CW_TEMPLATES_MAX; i++) {
        (void)snprintf(name, sizeof name, "t%u.txt", i);
        cr_assert(eq(int, add(name, ""), CW_ERR_OK));
    }
    cr_expect(eq(int, add("one-more.txt", ""), CW_ERR_LIMIT));
}

Test(message_ctl, a_template_of_tags_alone_is_parsed_in_bounded_time)
{
    static char big[CW_TEMPLATE_BYTES_MAX];
    static const char *const patterns[] = {"{{a}}", "{{#a}}{{/a}}", "{{#a}}\n{{/a}}\n", "{\n", " ",
                                           "<",     "{{!}}\n"};
    for (size_t i = 0; i < CW_COUNTOF(patterns); i++) {
        size_t step = strlen(patterns[i]);
        size_t used = 0;
        for (; used + step <= sizeof big; used += step) {
            memcpy(big + used, patterns[i], step);
        }
        char name[16];
        (void)snprintf(name, sizeof name, "a%zu.txt", i);
        cr_expect(eq(int,
                     cw_templates_add(templates, view(name), (struct cw_view){big, (uint32_t)used},
                                      &fault),
                     CW_ERR_OK),
                  "%s", fault.text);
    }
}

Test(message_ctl, a_missing_other_part_is_an_error)
{
    struct cw_problems problems = {0};
    (void)!add("a.html", "x");
    (void)!add("a.txt", "x");
    (void)!add("a.de.html", "x");
    (void)!add("a.de.txt", "x");
    cw_templates_lint(templates, &problems);
    cr_expect(eq(u32, problems.errors + problems.remarks, 0));
    (void)!add("a.fr.html", "x");
    (void)!add("b.txt", "x");
    (void)!add("c.fr.html", "x");
    (void)!add("c.fr.txt", "x");
    cw_templates_lint(templates, &problems);
    cr_expect(eq(u32, problems.errors, 2));
    cr_expect(eq(u32, problems.remarks, 1));
    cr_expect(strstr(problems.list[0].text, "a.fr.txt is missing") != NULL, "%s",
              problems.list[0].text);
    cr_expect(strstr(problems.list[1].text, "b.html is missing") != NULL);
    cr_expect(strstr(problems.list[2].text, "there is no c.html") != NULL);
    cw_problems_deinit(&problems);
}
