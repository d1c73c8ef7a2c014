/* check: validates program files as one set and tells every problem of every file. */
#include "core/text.h"
#include "pipeline/option_ctl.h"
#include "pipeline/program_keys_ctl.h"
#include "tools/cli.h"

#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: cartwheel check [OPTIONS] PROGRAM.yaml...\n"
    "\n"
    "Validates program files, all of them as one set, and prints every problem on standard "
    "output:\n"
    "FILE:LINE:COLUMN: error|remark: what is wrong; what to do\n"
    "\n"
    "  --models DIR     models to know beside the shipped ones\n"
    "  --templates DIR  templates to know beside the shipped ones\n"
    "  --json           problems as JSON lines: file, line, column, severity, text\n"
    "  --keys           print all keys of a program file, with types and defaults, and stop\n"
    "  --help           print this\n"
    "\n"
    "FILE may be - for standard input. exit: 0 no errors (remarks are none), 2 errors or wrong "
    "usage,\n"
    "1 when the check itself failed.\n";

struct check {
    const char *models_dir, *templates_dir;
    bool json, keys, help;
    const char *paths[CW_PROGRAMS_MAX];
    uint32_t count;
};

enum check_option {
    OPTION_MODELS,
    OPTION_TEMPLATES,
    OPTION_JSON,
    OPTION_KEYS,
    OPTION_HELP,
    OPTION_COUNT
};

static const char *const options[OPTION_COUNT] = {"--models", "--templates", "--json", "--keys",
                                                  "--help"};

/* The option that a word is; *value is what follows its `=`, NULL without one. */
static enum check_option find_option(const char *word, const char **value)
{
    size_t bytes = strcspn(word, "=");
    *value = word[bytes] == '=' ? word + bytes + 1 : NULL;
    for (uint32_t i = 0; i < OPTION_COUNT; i++) {
        if (strlen(options[i]) == bytes && strncmp(word, options[i], bytes) == 0) {
            return (enum check_option)i;
        }
    }
    return strcmp(word, "-h") == 0 ? OPTION_HELP : OPTION_COUNT;
}

static int set_option(struct check *check, enum check_option option, const char *word,
                      const char *value)
{
    bool directory = option == OPTION_MODELS || option == OPTION_TEMPLATES;
    if (option == OPTION_COUNT) {
        const char *near = cw_nearest(word, options, OPTION_COUNT);
        return cw_usage_error("check", "no option %s%s%s%s", word,
                              near == NULL ? "" : ", did you mean ", near == NULL ? "" : near,
                              near == NULL ? "" : "?");
    }
    if (directory != (value != NULL)) {
        return cw_usage_error("check", "%s %s", word,
                              directory ? "needs a directory" : "takes no value");
    }
    switch (option) {
    case OPTION_MODELS: check->models_dir = value; break;
    case OPTION_TEMPLATES: check->templates_dir = value; break;
    case OPTION_JSON: check->json = true; break;
    case OPTION_KEYS: check->keys = true; break;
    case OPTION_HELP: check->help = true; break;
    case OPTION_COUNT: break;
    }
    return CW_EXIT_OK;
}

static int parse(struct check *check, int argc, char **argv)
{
    bool words_only = false;
    int code = CW_EXIT_OK;
    for (int i = 1; i < argc && code == CW_EXIT_OK; i++) {
        const char *word = argv[i];
        if (!words_only && strcmp(word, "--") == 0) {
            words_only = true;
        } else if (!words_only && word[0] == '-' && word[1] != '\0') {
            const char *value;
            enum check_option option = find_option(word, &value);
            bool next = (option == OPTION_MODELS || option == OPTION_TEMPLATES) && value == NULL;
            code = set_option(check, option, word, next && i + 1 < argc ? argv[++i] : value);
        } else if (check->count == CW_PROGRAMS_MAX) {
            code = cw_usage_error("check", "at most %u programs can run at once", CW_PROGRAMS_MAX);
        } else {
            check->paths[check->count++] = word;
        }
    }
    return code;
}

static void print_keys(void)
{
    for (const struct cw_options *const *table = cw_program_tables; *table != NULL; table++) {
        (void)printf("%s%s:\n", table == cw_program_tables ? "" : "\n", (*table)->what);
        for (uint32_t i = 0; i < (*table)->count; i++) {
            const struct cw_option *option = &(*table)->list[i];
            char text[CW_OPTION_HINT_BYTES];
            (void)printf("  %-27s %s\n  %-27s   %s\n", option->name,
                         cw_option_describe(option, text), "", option->help);
        }
    }
}

/* ---- problems ---- */

/* Paths are bytes; JSON is UTF-8. */
static void put_text(struct cw_text *line, const char *text)
{
    char printable[1024];
    struct cw_view view = {text, (uint32_t)strlen(text)};
    (void)cw_yaml_printable(view, printable, sizeof printable);
    cw_text_json(line, (struct cw_view){printable, (uint32_t)strlen(printable)});
}

static void print_json(const struct cw_problems *problems)
{
    struct cw_text line = {0};
    for (uint32_t i = 0; i < problems->count; i++) {
        const struct cw_problem *problem = &problems->list[i];
        cw_text_clear(&line);
        cw_text_puts(&line, "{\"file\":");
        put_text(&line, problem->file);
        cw_text_printf(&line,
                       ",\"line\":%u,\"column\":%u,\"severity\":\"%s\",\"text\":", problem->line,
                       problem->column, problem->remark ? "remark" : "error");
        put_text(&line, problem->text);
        cw_text_puts(&line, "}\n");
        (void)fwrite(line.data, 1, line.bytes, stdout);
    }
    cw_text_deinit(&line);
}

static bool is_file(const struct cw_problem *problem, const char *path)
{
    return strncmp(problem->file, path, sizeof problem->file - 1) == 0;
}

static void summarize(const struct cw_problems *problems, const char *path)
{
    uint32_t errors = 0;
    uint32_t remarks = 0;
    for (uint32_t i = 0; i < problems->count; i++) {
        if (is_file(&problems->list[i], path)) {
            *(problems->list[i].remark ? &remarks : &errors) += 1;
        }
    }
    (void)fprintf(stderr, "%s: ", path);
    if (errors == 0) {
        (void)fprintf(stderr, "ok");
    } else {
        (void)fprintf(stderr, "%u error%s", errors, errors == 1 ? "" : "s");
    }
    if (remarks > 0) {
        (void)fprintf(stderr, " (%u remark%s)", remarks, remarks == 1 ? "" : "s");
    }
    (void)fputc('\n', stderr);
}

/* One line per file that was named, then one per other file with problems (templates). */
static void summarize_all(const struct check *check, const struct cw_problems *problems)
{
    for (uint32_t i = 0; i < check->count; i++) {
        summarize(problems, check->paths[i]);
    }
    for (uint32_t i = 0; i < problems->count; i++) {
        bool told = false;
        for (uint32_t j = 0; j < check->count && !told; j++) {
            told = is_file(&problems->list[i], check->paths[j]);
        }
        for (uint32_t j = 0; j < i && !told; j++) {
            told = is_file(&problems->list[j], problems->list[i].file);
        }
        if (!told) {
            summarize(problems, problems->list[i].file);
        }
    }
    uint32_t all = problems->errors + problems->remarks;
    if (all > problems->count) {
        (void)fprintf(stderr, "only the first %u of %u problems are shown\n", problems->count, all);
    }
}

static int run(const struct check *check, struct cw_assets *assets)
{
    struct cw_program_file files[CW_PROGRAMS_MAX];
    struct cw_problems problems = {0};
    struct cw_programs *programs = NULL;
    struct cw_fault fault;
    cw_err err = CW_ERR_OK;
    uint32_t good = cw_program_files_read(check->paths, check->count, files, &problems);
    if (good > 0) {
        struct cw_program_needs needs = cw_assets_needs(assets);
        err = cw_programs_load(&programs, files, good, &needs, &problems, &fault);
    }
    cw_program_files_free(files, good);
    cw_programs_close(programs);
    cw_templates_lint(assets->templates, &problems);
    if (check->json) {
        print_json(&problems);
    } else {
        cw_problems_print(&problems, stdout);
    }
    (void)fflush(stdout);
    summarize_all(check, &problems);
    int code = problems.errors > 0 ? CW_EXIT_USAGE : CW_EXIT_OK;
    if (err != CW_ERR_OK && err != CW_ERR_INVALID) {
        code = cw_failure(&fault);
    }
    cw_problems_deinit(&problems);
    return code;
}

int cw_cmd_check(int argc, char **argv)
{
    struct check check = {0};
    int code = parse(&check, argc, argv);
    if (code != CW_EXIT_OK) {
        return code;
    }
    if (check.help) {
        (void)fputs(help, stdout);
        return CW_EXIT_OK;
    }
    if (check.keys) {
        print_keys();
        return CW_EXIT_OK;
    }
    if (check.count == 0) {
        return cw_usage_error("check", "no program file is named");
    }
    struct cw_assets *assets = calloc(1, sizeof *assets);
    CW_ASSERT(assets != NULL);
    struct cw_fault fault;
    cw_err err = cw_assets_open(assets, check.models_dir, check.templates_dir, &fault);
    if (err == CW_ERR_OK) {
        code = run(&check, assets);
        cw_assets_close(assets);
    } else {
        code = cw_failure(&fault);
        code = err == CW_ERR_INVALID ? CW_EXIT_USAGE : code;
    }
    free(assets);
    return code;
}
