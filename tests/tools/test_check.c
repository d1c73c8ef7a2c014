#include "tools/cli.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/cartwheel-check-XXXXXX";
static char out[1 << 16], err[1 << 16];

static void setup(void)
{
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    cr_assert(eq(int, chdir(folder), 0));
}

static void teardown(void)
{
    char command[256];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert(eq(int, system(command), 0));
}

TestSuite(check, .init = setup, .fini = teardown);

static void put(const char *name, const char *text)
{
    FILE *file = fopen(name, "wb");
    cr_assert(ne(ptr, file, NULL));
    (void)fputs(text, file);
    (void)fclose(file);
}

static void get(const char *name, char *into)
{
    FILE *file = fopen(name, "rb");
    cr_assert(ne(ptr, file, NULL));
    into[fread(into, 1, (1 << 16) - 1, file)] = '\0';
    (void)fclose(file);
}

/* Runs the command with its words; what it prints is in out and err. */
static int check(const char *const *words)
{
    char *argv[16] = {(char[]){"check"}};
    int argc = 1;
    while (words[argc - 1] != NULL) {
        argv[argc] = strdup(words[argc - 1]);
        argc++;
    }
    (void)fflush(NULL);
    int old_out = dup(1);
    int old_err = dup(2);
    cr_assert(ne(ptr, freopen("out", "wb", stdout), NULL));
    cr_assert(ne(ptr, freopen("err", "wb", stderr), NULL));
    int code = cw_cmd_check(argc, argv);
    (void)fflush(NULL);
    (void)dup2(old_out, 1);
    (void)dup2(old_err, 2);
    (void)close(old_out);
    (void)close(old_err);
    get("out", out);
    get("err", err);
    for (int i = 1; i < argc; i++) {
        free(argv[i]);
    }
    return code;
}

#define CHECK(...) check((const char *const[]){__VA_ARGS__, NULL})

static const char good[] = "programId: p\n"
                           "eventSources: [{config: {eventPattern: {source: [x]}}}]\n"
                           "channels: [{type: sms, config: {delayHours: 1, message: hi}}]\n";

static void put_shipped(const char *shipped, const char *name)
{
    struct cw_view text = cw_shipped(shipped);
    cr_assert(ne(ptr, (void *)text.data, NULL), "%s is shipped", shipped);
    FILE *file = fopen(name, "wb");
    cr_assert(ne(ptr, file, NULL));
    (void)fwrite(text.data, 1, text.bytes, file);
    (void)fclose(file);
}

Test(check, the_shipped_programs_are_right)
{
    put_shipped("programs/abandoned-cart-recovery.yaml", "a.yaml");
    put_shipped("programs/second-chance.yaml", "b.yaml");
    put_shipped("programs/electronics-push.yaml", "c.yaml");
    cr_assert(eq(int, CHECK("a.yaml", "b.yaml", "c.yaml"), CW_EXIT_OK));
    cr_assert(eq(int, strncmp(out, "a.yaml:15:22: remark: [50, 999999] is read as ", 46), 0));
    cr_assert(eq(ptr, strchr(out, '\n')[1] == '\0' ? NULL : out, NULL), "one line");
    cr_assert(eq(str, err, "a.yaml: ok (1 remark)\nb.yaml: ok\nc.yaml: ok\n"));
}

Test(check, problems_go_to_standard_output_and_a_line_per_file_to_standard_error)
{
    put("good.yaml", good);
    put("bad.yaml", "programId: q\nchanels: []\nenabled: maybe\n");
    cr_assert(eq(int, CHECK("bad.yaml", "good.yaml", "nowhere.yaml"), CW_EXIT_USAGE));
    cr_assert(eq(str, out,
                 "nowhere.yaml: error: the file cannot be read (No such file or directory); check "
                 "its name and permissions\n"
                 "bad.yaml:1:1: error: \"eventSources\" is missing in the program; add it: a list "
                 "of sources, each with an event pattern\n"
                 "bad.yaml:2:1: error: unknown key \"chanels\" in the program; did you mean "
                 "\"channels\"?\n"
                 "bad.yaml:3:10: error: \"enabled\" must be true or false, not the string "
                 "\"maybe\"; write one of the two, without quotes\n"));
    cr_assert(eq(str, err, "bad.yaml: 3 errors\ngood.yaml: ok\nnowhere.yaml: 1 error\n"));
}

Test(check, files_are_one_set)
{
    put("a.yaml", good);
    put("b.yaml", good);
    cr_assert(eq(int, CHECK("a.yaml", "b.yaml"), CW_EXIT_USAGE));
    cr_assert(eq(str, out,
                 "b.yaml:1:12: error: programId \"p\" is taken by a.yaml:1; give each program an "
                 "id of its own\n"));
}

Test(check, json_lines_for_scripts)
{
    put("\xff.yaml", "programId: \"a\\tb\"\n");
    cr_assert(eq(int, CHECK("--json", "\xff.yaml"), CW_EXIT_USAGE));
    static const char start[] =
        "{\"file\":\"?.yaml\",\"line\":1,\"column\":1,\"severity\":\"error\",\"text\":";
    cr_assert(eq(int, strncmp(out, start, sizeof start - 1), 0), "%s", out);
    cr_assert(ne(ptr,
                 strstr(out, "\"column\":12,\"severity\":\"error\",\"text\":\"\\\"programId\\\""
                             " holds a control character"),
                 NULL));
}

Test(check, a_directory_is_told_like_any_file_that_cannot_be_read)
{
    cr_assert(eq(int, mkdir("d", 0700), 0));
    cr_assert(eq(int, CHECK("d"), CW_EXIT_USAGE));
    cr_assert(eq(int, strncmp(out, "d: error: the file cannot be read", 33), 0), "%s", out);
    cr_assert(eq(str, err, "d: 1 error\n"));
}

static const char with_template[] =
    "programId: p\n"
    "eventSources: [{config: {eventPattern: {source: [x]}}}]\n"
    "channels: [{type: email, config: {delayHours: 1, subject: s, templateId: own}}]\n"
    "scoringModels: [{endpoint: model://own}]\n";

Test(check, directories_add_models_and_templates)
{
    put("p.yaml", with_template);
    cr_assert(eq(int, CHECK("p.yaml"), CW_EXIT_USAGE));
    cr_assert(ne(ptr, strstr(out, "p.yaml:3:74: error: there is no template \"own\""), NULL));
    cr_assert(ne(ptr, strstr(out, "known is only cart-recovery-v3"), NULL), "no locale, no ending");
    cr_assert(ne(ptr, strstr(out, "p.yaml:4:28: error: there is no model \"own\""), NULL));
    cr_assert(eq(int, mkdir("models", 0700), 0));
    cr_assert(eq(int, mkdir("templates", 0700), 0));
    put("models/own.json",
        "{\"format\":\"cartwheel-model\",\"formatVersion\":1,\"name\":\"own\",\"version\":\"1\","
        "\"kind\":\"logistic\",\"bias\":0,\"features\":[{\"name\":\"cart_value\",\"weight\":1}]}");
    put("models/README", "not a model");
    struct cw_view html = cw_shipped("templates/cart-recovery-v3.html");
    struct cw_view txt = cw_shipped("templates/cart-recovery-v3.txt");
    cr_assert(html.data != NULL && txt.data != NULL);
    put_shipped("templates/cart-recovery-v3.html", "templates/own.html");
    put_shipped("templates/cart-recovery-v3.txt", "templates/own.txt");
    put_shipped("templates/cart-recovery-v3.de.html", "templates/own.de.html");
    put_shipped("templates/cart-recovery-v3.de.txt", "templates/own.de.txt");
    int code = CHECK("--models", "models", "--templates=templates", "p.yaml");
    cr_assert(eq(int, code, CW_EXIT_OK), "%s%s", out, err);
    cr_assert(eq(str, err, "p.yaml: ok\n"));
    put("models/twin.json",
        "{\"format\":\"cartwheel-model\",\"formatVersion\":1,\"name\":\"own\",\"version\":\"1\","
        "\"kind\":\"logistic\",\"bias\":0,\"features\":[{\"name\":\"cart_value\",\"weight\":1}]}");
    cr_assert(eq(int, CHECK("--models", "models", "p.yaml"), CW_EXIT_USAGE));
    cr_assert(ne(ptr, strstr(err, "another file holds a model \"own\" too"), NULL));
    cr_assert(eq(int, CHECK("--models", "nowhere", "p.yaml"), CW_EXIT_FAILURE));
    cr_assert(ne(ptr, strstr(err, "opening nowhere: No such file"), NULL));
}

Test(check, a_directory_takes_the_place_of_what_is_shipped)
{
    put_shipped("programs/abandoned-cart-recovery.yaml", "a.yaml");
    cr_assert(eq(int, mkdir("models", 0700), 0));
    put("models/m.json",
        "{\"format\":\"cartwheel-model\",\"formatVersion\":1,\"name\":\"purchase-intent-v4\","
        "\"version\":\"9\",\"kind\":\"logistic\",\"bias\":0,\"features\":[{\"name\":"
        "\"cart_value\",\"weight\":1}]}");
    cr_assert(eq(int, CHECK("--models=models", "a.yaml"), CW_EXIT_USAGE));
    cr_assert(ne(ptr,
                 strstr(out, "a.yaml:20:16: error: the model has no feature "
                             "\"purchase_history\""),
                 NULL));
}

Test(check, wrong_usage_is_told)
{
    cr_assert(eq(int, check((const char *const[]){NULL}), CW_EXIT_USAGE));
    cr_assert(ne(ptr, strstr(err, "no program file is named"), NULL));
    cr_assert(eq(int, CHECK("--modles", "x"), CW_EXIT_USAGE));
    cr_assert(ne(ptr, strstr(err, "did you mean --models?"), NULL));
    cr_assert(eq(int, CHECK("--models"), CW_EXIT_USAGE));
    cr_assert(ne(ptr, strstr(err, "--models needs a directory"), NULL));
    cr_assert(eq(int, CHECK("--json=1", "x"), CW_EXIT_USAGE));
    cr_assert(ne(ptr, strstr(err, "--json=1 takes no value"), NULL));
    cr_assert(eq(int, CHECK("--", "--json"), CW_EXIT_USAGE));
    cr_assert(eq(int, strncmp(out, "--json: error: the file cannot be read", 38), 0));
    cr_assert(eq(int, CHECK("--help"), CW_EXIT_OK));
    cr_assert(eq(int, strncmp(out, "usage: cartwheel check", 22), 0));
}

Test(check, all_keys_can_be_listed)
{
    cr_assert(eq(int, CHECK("--keys"), CW_EXIT_OK));
    static const char *const some[] = {"programId ",
                                       "onReabandon ",
                                       "sessionTimeoutMinutes ",
                                       "discountStep ",
                                       "onUnknown ",
                                       "awsEventPattern ",
                                       "restart | update | ignore, default restart"};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++) {
        cr_assert(ne(ptr, strstr(out, some[i]), NULL), "%s", some[i]);
    }
}
