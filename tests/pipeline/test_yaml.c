#include "pipeline/yaml_ctl.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct cw_yaml *doc;
static struct cw_problems problems;
static struct cw_fault fault;

static cw_err open_bytes(const char *text, size_t bytes)
{
    doc = NULL;
    return cw_yaml_open(&doc, (struct cw_view){text, (uint32_t)bytes}, "f", &problems, &fault);
}

static cw_err open_text(const char *text)
{
    return open_bytes(text, strlen(text));
}

static void clean(void)
{
    cw_yaml_close(doc);
    cw_problems_deinit(&problems);
}

TestSuite(yaml, .fini = clean);

Test(yaml, nodes_know_their_line_and_column)
{
    cr_assert(eq(int, open_text("a: 1\nlist:\n  - x\n  - {k: \"v\"}\n"), CW_ERR_OK));
    cr_assert(eq(u32, problems.count, 0));
    const struct cw_yaml_node *n = doc->nodes;
    cr_assert(eq(int, n[0].type, CW_YAML_MAPPING));
    cr_assert(eq(u32, n[0].count, 2));
    uint32_t list_key = n[n[1].next].next;
    uint32_t list = n[list_key].next;
    cr_assert(eq(u32, n[list_key].line, 2));
    cr_assert(eq(int, n[list].type, CW_YAML_SEQUENCE));
    cr_assert(eq(u32, n[list].count, 2));
    uint32_t x = cw_yaml_first(doc, list);
    cr_assert(eq(u32, n[x].line, 3));
    cr_assert(eq(u32, n[x].column, 5));
    uint32_t inner = n[x].next;
    uint32_t v = n[cw_yaml_first(doc, inner)].next;
    cr_assert(eq(str, (char *)n[v].text.data, "v"));
    cr_assert(eq(u32, n[v].line, 4));
    cr_assert(eq(u32, n[v].column, 9));
    cr_assert(not(n[v].plain));
    cr_assert(eq(u32, n[inner].next, 0));
}

Test(yaml, columns_count_characters)
{
    cr_assert(eq(int, open_text("{\"\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80\": x}"), CW_ERR_OK));
    cr_assert(eq(u32, doc->nodes[2].column, 9));
}

Test(yaml, plain_scalars_mean_what_the_core_schema_says)
{
    static const struct {
        const char *text;
        enum cw_yaml_kind kind;
    } cases[] = {
        {"", CW_YAML_NULL},         {"~", CW_YAML_NULL},       {"null", CW_YAML_NULL},
        {"nULL", CW_YAML_STRING},   {"true", CW_YAML_TRUE},    {"TRUE", CW_YAML_TRUE},
        {"yes", CW_YAML_STRING},    {"no", CW_YAML_STRING},    {"on", CW_YAML_STRING},
        {"False", CW_YAML_FALSE},   {"0", CW_YAML_NUMBER},     {"-0", CW_YAML_NUMBER},
        {"12", CW_YAML_NUMBER},     {"-3.25", CW_YAML_NUMBER}, {"1e5", CW_YAML_NUMBER},
        {"1.5E-3", CW_YAML_NUMBER}, {"1e", CW_YAML_STRING},    {"1e+", CW_YAML_STRING},
        {"007", CW_YAML_ODD},       {"+5", CW_YAML_ODD},       {".5", CW_YAML_ODD},
        {"5.", CW_YAML_ODD},        {"0x1F", CW_YAML_ODD},     {"0o17", CW_YAML_ODD},
        {"0x", CW_YAML_STRING},     {".inf", CW_YAML_ODD},     {"-.inf", CW_YAML_ODD},
        {".nan", CW_YAML_ODD},      {"1.2.3", CW_YAML_STRING}, {"21:00", CW_YAML_STRING},
        {"1_000", CW_YAML_STRING},  {"DE", CW_YAML_STRING},    {"2026-01-18", CW_YAML_STRING},
        {"-", CW_YAML_STRING},      {".", CW_YAML_STRING},     {"1e5x", CW_YAML_STRING},
        {"-.5e3", CW_YAML_ODD},     {"5.e3", CW_YAML_ODD},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "a: %s\n", cases[i].text);
        if (strcmp(cases[i].text, "-") == 0) {
            (void)snprintf(text, sizeof text, "a: \"-\"\n");
        }
        cr_assert(eq(int, open_text(text), CW_ERR_OK), "%s", cases[i].text);
        cr_assert(eq(int, doc->nodes[2].kind, cases[i].kind), "%s", cases[i].text);
        cw_yaml_close(doc);
        doc = NULL;
        (void)snprintf(text, sizeof text, "a: '%s'\n", cases[i].text);
        cr_assert(eq(int, open_text(text), CW_ERR_OK));
        cr_assert(eq(int, doc->nodes[2].kind, CW_YAML_STRING), "quoted is a string");
        cw_yaml_close(doc);
        doc = NULL;
    }
}

Test(yaml, says_where_and_what_when_it_refuses)
{
    static const struct {
        const char *text;
        uint32_t line, column;
        const char *says;
        cw_err err;
    } cases[] = {
        {"", 1, 1, "empty", CW_ERR_INVALID},
        {"# nothing\n", 1, 1, "empty", CW_ERR_INVALID},
        {"a: 1\nb: *x\n", 2, 4, "aliases", CW_ERR_OK},
        {"a: &x 1\n", 1, 4, "anchors", CW_ERR_OK},
        {"a: !!str 1\n", 1, 4, "tags", CW_ERR_OK},
        {"base: &b {x: 1}\nc:\n  <<: *b\n", 3, 7, "merge keys", CW_ERR_OK},
        {"a: 1\n---\nb: 2\n", 2, 1, "second document", CW_ERR_INVALID},
        {"a: 1\nb: 2\na: 3\n", 3, 1, "first on line 1", CW_ERR_OK},
        {"{a: 1, \"a\": 2}\n", 1, 8, "written twice", CW_ERR_OK},
        {"? [x]\n: 1\n", 1, 3, "a key must be a word", CW_ERR_OK},
        {"a: 1\n\tb: 2\n", 2, 1, "instead of the tab", CW_ERR_INVALID},
        {"a: \"x\n", 2, 1, "starts on line 1", CW_ERR_INVALID},
        {"a: [1, 2\nb: 3\n", 2, 2, "not YAML", CW_ERR_INVALID},
        {"a: 1\nb: \xff\n", 2, 4, "0xff is not UTF-8", CW_ERR_INVALID},
        {"a: \xc3\xbc\xed\xa0\x80\n", 1, 5, "0xed is not UTF-8", CW_ERR_INVALID},
        {"\xff\xfe"
         "a",
         1, 1, "not UTF-8", CW_ERR_INVALID},
        {"a: 1\nb: \x01\n", 2, 4, "control character", CW_ERR_INVALID},
        {"%YAML 1.2\n%TAG !a! b\n---\na: 1\n", 2, 1, "%TAG", CW_ERR_INVALID},
        {"a: b: c\n", 1, 5, "not YAML", CW_ERR_INVALID},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        cr_assert(eq(int, open_text(cases[i].text), cases[i].err), "case %zu", i);
        bool found = false;
        for (uint32_t j = 0; j < problems.count; j++) {
            const struct cw_problem *p = &problems.list[j];
            (void)fprintf(stderr, "case %zu: %u:%u %s\n", i, p->line, p->column, p->text);
            found = found || (p->line == cases[i].line && p->column == cases[i].column &&
                              strstr(p->text, cases[i].says) != NULL);
        }
        cr_assert(found, "case %zu", i);
        clean();
        doc = NULL;
    }
}

Test(yaml, reads_line_ends_of_windows_and_a_byte_order_mark)
{
    cr_assert(eq(int,
                 open_text("\xef\xbb\xbf"
                           "a: 1\r\nb:\r\n  - x\r\n"),
                 CW_ERR_OK));
    cr_assert(eq(u32, doc->nodes[0].count, 2));
    cr_assert(eq(str, (char *)doc->nodes[1].text.data, "a"));
    cr_assert(eq(str, (char *)doc->nodes[5].text.data, "x"));
    cr_assert(eq(u32, doc->nodes[5].line, 3));
}

Test(yaml, nesting_has_a_bound)
{
    char text[200];
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    cr_assert(eq(int, open_bytes(text, 128), CW_ERR_OK));
    cw_yaml_close(doc);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    cr_assert(eq(int, open_bytes(text, 130), CW_ERR_INVALID));
    cr_assert(eq(u32, problems.list[0].column, 65));
}

Test(yaml, a_million_brackets_end_at_the_bound)
{
    char *text = malloc(1 << 20);
    memset(text, '[', 1 << 20);
    cr_assert(eq(int, open_bytes(text, 1 << 20), CW_ERR_INVALID));
    memset(text, '{', 1 << 20);
    cr_assert(eq(int, open_bytes(text, 1 << 20), CW_ERR_INVALID));
    free(text);
}

Test(yaml, the_number_of_nodes_has_a_bound)
{
    size_t bytes = 2 * (CW_YAML_NODES_MAX + 10);
    char *text = malloc(bytes + 2);
    text[0] = '[';
    for (size_t i = 0; i < bytes / 2; i++) {
        memcpy(text + 1 + 2 * i, "1,", 2);
    }
    cr_assert(eq(int, open_bytes(text, bytes + 1), CW_ERR_INVALID));
    cr_assert(ne(ptr, strstr(problems.list[0].text, "100,000"), NULL));
    free(text);
}

Test(yaml, one_mapping_of_many_equal_keys_is_told_and_does_not_take_for_ever)
{
    uint32_t keys = 49000;
    char *text = malloc(keys * 5 + 1);
    for (uint32_t i = 0; i < keys; i++) {
        memcpy(text + 5 * (size_t)i, "k: 1\n", 5);
    }
    cr_assert(eq(int, open_bytes(text, keys * 5), CW_ERR_OK));
    cr_assert(eq(u32, problems.errors, keys - 1));
    cr_assert(eq(u32, doc->nodes[0].count, keys));
    free(text);
}

Test(yaml, escapes_that_grow_fit)
{
    size_t bytes = 1 << 20;
    char *text = malloc(bytes);
    text[0] = '"';
    for (size_t i = 1; i + 2 < bytes; i += 2) {
        memcpy(text + i, "\\P", 2); /* U+2029, three bytes */
    }
    text[bytes - 1] = '"';
    cr_assert(eq(int, open_bytes(text, bytes - 1), CW_ERR_INVALID)); /* not closed */
    clean();
    text[bytes - 2] = '\"';
    text[bytes - 1] = '\n';
    (void)open_bytes(text, bytes);
    free(text);
}

Test(yaml, what_messages_show_is_printable)
{
    char out[16];
    struct cw_view text = CW_VIEW("a\x1b[2J\xc2\x9b\xc3\xbc\n");
    cr_assert(eq(str, (char *)cw_yaml_printable(text, out, sizeof out), "a?[2J?\xc3\xbc?"));
    struct cw_view longer = CW_VIEW("0123456789\xe2\x82\xac\xe2\x82\xac\xe2\x82\xac");
    (void)cw_yaml_printable(longer, out, sizeof out);
    cr_assert(eq(str, out, "0123456789..."), "cut before a character that does not fit");
}
