#include "core/json.h"
#include "core/text.h"
#include "tools/cli.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdlib.h>
#include <unistd.h>

enum {
    OUTPUT_MAX = 4 << 20
};

static char folder[] = "/tmp/cartwheel-match-XXXXXX";
static char pattern_path[64], events_path[64], out_path[64], err_path[64];
static char output[OUTPUT_MAX], errors[1 << 16];

static void make_folder(void)
{
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    (void)snprintf(pattern_path, sizeof pattern_path, "%s/pattern", folder);
    (void)snprintf(events_path, sizeof events_path, "%s/events", folder);
    (void)snprintf(out_path, sizeof out_path, "%s/out", folder);
    (void)snprintf(err_path, sizeof err_path, "%s/err", folder);
}

static void remove_folder(void)
{
    (void)unlink(pattern_path);
    (void)unlink(events_path);
    (void)unlink(out_path);
    (void)unlink(err_path);
    (void)rmdir(folder);
}

TestSuite(match, .init = make_folder, .fini = remove_folder);

static void write_file(const char *path, const char *content, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    cr_assert(ne(ptr, file, NULL));
    cr_assert(eq(sz, fwrite(content, 1, bytes, file), bytes));
    (void)fclose(file);
}

static void read_back(const char *path, char *to, size_t room)
{
    FILE *file = fopen(path, "rb");
    size_t bytes = file == NULL ? 0 : fread(to, 1, room - 1, file);
    to[bytes] = '\0';
    if (file != NULL) {
        (void)fclose(file);
    }
}

/* Runs the command with the standard streams in files; fills output and errors. */
static int run(const char *const *args, bool events_on_input)
{
    char *argv[8];
    int argc = 0;
    for (; args[argc] != NULL; argc++) {
        argv[argc] = (char *)(uintptr_t)args[argc];
    }
    argv[argc] = NULL;
    (void)fflush(NULL);
    int saved[3] = {dup(0), dup(1), dup(2)};
    if (events_on_input) {
        cr_assert(ne(ptr, freopen(events_path, "rb", stdin), NULL));
    }
    cr_assert(ne(ptr, freopen(out_path, "wb", stdout), NULL));
    cr_assert(ne(ptr, freopen(err_path, "wb", stderr), NULL));
    int result = cw_cmd_match(argc, argv);
    (void)fflush(NULL);
    for (int i = 0; i < 3; i++) {
        (void)dup2(saved[i], i);
        (void)close(saved[i]);
    }
    read_back(out_path, output, sizeof output);
    read_back(err_path, errors, sizeof errors);
    return result;
}

static int match_bytes(const char *pattern, const char *events, size_t bytes)
{
    write_file(pattern_path, pattern, strlen(pattern));
    write_file(events_path, events, bytes);
    return run((const char *const[]){"match", pattern_path, events_path, NULL}, false);
}

static int match(const char *pattern, const char *events)
{
    return match_bytes(pattern, events, strlen(events));
}

Test(match, prints_a_verdict_per_event)
{
    cr_assert(eq(int, match("{\"a\":[1]}", "{\"a\":1}\n{\"a\":2}\n{\"a\":[3,1.0]}\n"), 0));
    cr_assert(eq(str, output, "true\nfalse\ntrue\n"));
    cr_assert(eq(str, errors, ""));
}

Test(match, reads_standard_input_when_no_file_is_named)
{
    write_file(pattern_path, "{\"a\":[1]}", 9);
    write_file(events_path, "{\"a\":1}\n", 8);
    cr_assert(eq(int, run((const char *const[]){"match", pattern_path, NULL}, true), 0));
    cr_assert(eq(str, output, "true\n"));
}

Test(match, a_bad_line_is_invalid_and_its_neighbours_are_not)
{
    int result =
        match("{\"a\":[1]}", "{\"a\":1}\n\n[1]\n{\"a\":1,}\n\xff\n  \r\n\"\n{\"a\":1}\r\n");
    cr_assert(eq(int, result, 1));
    cr_assert(eq(str, output,
                 "true\n"
                 "invalid: the line is blank\n"
                 "invalid: an event is a JSON object\n"
                 "invalid: a comma, colon, bracket or value is missing or misplaced (near byte 8)\n"
                 "invalid: it is not valid UTF-8 (near byte 1)\n"
                 "invalid: the line is blank\n"
                 "invalid: a string is not closed, or holds a control character (near byte 1)\n"
                 "true\n"),
              "%s", output);
}

Test(match, the_last_line_needs_no_newline)
{
    cr_assert(eq(int, match("{\"a\":[1]}", "{\"a\":2}\n{\"a\":1}"), 0));
    cr_assert(eq(str, output, "false\ntrue\n"));
    cr_assert(eq(int, match("{\"a\":[1]}", ""), 0));
    cr_assert(eq(str, output, ""));
}

/* Events of exactly the limit, one more, and far more, between small ones. */
Test(match, lines_beyond_a_mebibyte_are_invalid)
{
    struct cw_text events = {0};
    static const uint32_t sizes[] = {1u << 20, (1u << 20) + 1, 3u << 20, 100, 70000};
    for (uint32_t i = 0; i < CW_COUNTOF(sizes); i++) {
        cw_text_puts(&events, "{\"a\":1,\"b\":\"");
        memset(cw_text_room(&events, sizes[i]), 'x', sizes[i]);
        events.bytes += sizes[i] - 14;
        cw_text_puts(&events, "\"}\n");
    }
    cr_assert(eq(int, match_bytes("{\"a\":[1]}", events.data, events.bytes), 1));
    cr_assert(eq(str, output,
                 "true\ninvalid: the event is longer than 1 MiB\n"
                 "invalid: the event is longer than 1 MiB\ntrue\ntrue\n"),
              "%s", output);
    cw_text_deinit(&events);
}

Test(match, refuses_a_wrong_pattern_with_its_place)
{
    cr_assert(eq(int, match("{\"detail\":{\"v\":50}}", "{}\n"), 2));
    cr_assert(eq(str, output, ""));
    cr_assert(ne(ptr, strstr(errors, "at detail.v: "), NULL), "%s", errors);
    cr_assert(eq(int, match("", "{}\n"), 2));
    cr_assert(eq(int, run((const char *const[]){"match", "/nowhere/at/all", NULL}, false), 2));
    cr_assert(
        eq(int, run((const char *const[]){"match", pattern_path, "/nowhere", NULL}, false), 2));
}

Test(match, remarks_what_stands_behind_the_pattern)
{
    cr_assert(eq(int, match("{\"a\":[1]} {\"b\":[2]}", "{\"a\":1}\n"), 0));
    cr_assert(eq(str, output, "true\n"));
    cr_assert(ne(ptr, strstr(errors, "closing brace is not read"), NULL), "%s", errors);
}

Test(match, explains_when_asked)
{
    write_file(pattern_path, "{\"a\":[1]}", 9);
    write_file(events_path, "{\"a\":2}\n{\n", 10);
    cr_assert(
        eq(int,
           run((const char *const[]){"match", "--explain", pattern_path, events_path, NULL}, false),
           1));
    cr_assert(
        eq(int, strncmp(output, "false\n  not met: a asks for [1]; the event has 2\ninvalid: ", 58),
           0),
        "%s", output);
}

Test(match, tells_wrong_usage)
{
    cr_assert(eq(int, run((const char *const[]){"match", NULL}, false), 2));
    cr_assert(eq(int, run((const char *const[]){"match", "--what", "x", NULL}, false), 2));
    cr_assert(eq(int, run((const char *const[]){"match", "a", "b", "c", NULL}, false), 2));
    cr_assert(eq(int, run((const char *const[]){"match", "--help", NULL}, false), 0));
    cr_assert(ne(ptr, strstr(output, "usage: cartwheel match"), NULL));
}

/* ---- The reference rows once more, through the command ---- */

struct group { /* rows in sequence that share a pattern */
    struct cw_text pattern, events, expected;
    uint32_t rows;
};

static struct cw_view member(const struct cw_json *row, const char *name, char *to)
{
    uint32_t node = cw_json_find(row, 0, (struct cw_view){name, (uint32_t)strlen(name)});
    if (node == CW_JSON_NONE) {
        return (struct cw_view){NULL, 0};
    }
    return (struct cw_view){to, cw_json_unescape(cw_json_raw(row, node), to)};
}

static uint32_t check_group(struct group *g)
{
    uint32_t wrong = 0;
    if (g->rows > 0) {
        write_file(pattern_path, g->pattern.data, g->pattern.bytes);
        write_file(events_path, g->events.data == NULL ? "" : g->events.data, g->events.bytes);
        int result = run((const char *const[]){"match", pattern_path, events_path, NULL}, false);
        cr_assert(ne(int, result, 2));
        if (strcmp(output, cw_text_terminate(&g->expected)) != 0) {
            wrong = 1;
            cr_log_error("%.*s: expected\n%sgot\n%s", (int)g->pattern.bytes, g->pattern.data,
                         g->expected.data, output);
        }
    }
    cw_text_clear(&g->pattern);
    cw_text_clear(&g->events);
    cw_text_clear(&g->expected);
    g->rows = 0;
    return wrong;
}

Test(match, answers_the_reference_rows_as_given)
{
    FILE *file = fopen(CW_SOURCE_DIR "/tests/data/patterns/own.jsonl", "rb");
    cr_assert(ne(ptr, file, NULL));
    struct cw_json_parser *parser;
    struct cw_fault fault;
    cr_assert(eq(int, cw_json_open(&parser, 1 << 20, 1000, &fault), CW_ERR_OK));
    static char line[1 << 20], pattern[1 << 20], event[1 << 20];
    struct group group = {.rows = 0};
    uint32_t wrong = 0;
    uint32_t checked = 0;
    uint32_t refused = 0;
    while (fgets(line, sizeof line - CW_JSON_PADDING, file) != NULL) {
        struct cw_json row;
        cr_assert(eq(int, (int)cw_json_parse(parser, line, (uint32_t)strlen(line), &row),
                     CW_JSON_PARSE_OK));
        struct cw_view p = member(&row, "pattern", pattern);
        struct cw_view e = member(&row, "event", event);
        if (strstr(line, "\"invalid\":true") != NULL) {
            if (refused++ % 10 == 0) { /* a run each: some will do, the API's test has all */
                write_file(pattern_path, p.data, p.bytes);
                cr_assert(
                    eq(int, run((const char *const[]){"match", pattern_path, NULL}, true), 2));
            }
            continue;
        }
        if (strstr(line, "\"note\"") != NULL || strstr(line, "\"event_invalid\"") != NULL ||
            (e.bytes > 0 && memchr(e.data, '\n', e.bytes) != NULL)) {
            continue;
        }
        CW_ASSERT(p.data != NULL && e.data != NULL);
        if (group.rows > 0 &&
            (group.pattern.bytes != p.bytes || memcmp(group.pattern.data, p.data, p.bytes) != 0)) {
            wrong += check_group(&group);
        }
        if (group.rows++ == 0) {
            cw_text_view(&group.pattern, p);
        }
        cw_text_view(&group.events, e);
        cw_text_char(&group.events, '\n');
        cw_text_puts(&group.expected,
                     strstr(line, "\"match\":true") != NULL ? "true\n" : "false\n");
        checked++;
    }
    wrong += check_group(&group);
    (void)fclose(file);
    cw_json_close(parser);
    cw_text_deinit(&group.pattern);
    cw_text_deinit(&group.events);
    cw_text_deinit(&group.expected);
    cr_assert(eq(u32, wrong, 0));
    cr_assert(gt(u32, checked, 5000));
}
