/* check: validates program files as one set, and an engine file, and tells every problem. */
#include "core/text.h"
#include "pipeline/option_ctl.h"
#include "pipeline/program_keys_ctl.h"
#include "tools/engine_file.h"

#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: cartwheel check [OPTIONS] FILE.yaml...\n"
    "\n"
    "Validates program files, all of them as one set, and prints every problem on\n"
    "standard output:\n"
    "FILE:LINE:COLUMN: error|remark: what is wrong; what to do\n"
    "An engine file (known by its keys) is checked with the programs, models and\n"
    "templates that it names; a secret that is not here is a remark.\n"
    "\n"
    "  --models DIR     models to know beside the shipped ones\n"
    "  --templates DIR  templates to know beside the shipped ones\n"
    "  --json           problems as JSON lines: file, line, column, severity, text\n"
    "  --keys           print all keys of program and engine files, with types and\n"
    "                   defaults\n"
    "  --help           print this\n"
    "\n"
    "FILE may be - for standard input. exit: 0 no errors (remarks are none), 2 errors\n"
    "or wrong usage, 1 when the check itself failed.\n";

struct check {
    const char *models_dir, *templates_dir;
    bool json, keys, help;
    const char *paths[2 * CW_PROGRAMS_MAX + 1]; /* those named, then the engine file's */
    uint32_t count;
    bool has_engine;
    struct cw_engine_file engine;
    const char *engine_path;
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
        } else if (check->count == CW_PROGRAMS_MAX + 1) { /* one may be the engine file */
            code = cw_usage_error("check", "at most %u programs can run at once", CW_PROGRAMS_MAX);
        } else {
            check->paths[check->count++] = word;
        }
    }
    return code;
}

static void print_keys(void)
{
    cw_options_print(cw_program_tables, stdout);
    (void)putchar('\n');
    cw_options_print(cw_engine_tables, stdout);
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

/* ---- files ---- */

struct files {
    struct cw_program_file list[2 * CW_PROGRAMS_MAX + 1];
    uint32_t count;
};

static bool is_named(const struct check *check, const char *path)
{
    for (uint32_t i = 0; i < check->count; i++) {
        if (strcmp(check->paths[i], path) == 0) {
            return true;
        }
    }
    return false;
}

/* Takes the engine file out of the list and puts in the programs that it names. */
static cw_err take_engine(struct check *check, struct files *files, uint32_t place,
                          struct cw_problems *problems, struct cw_fault *fault)
{
    struct cw_program_file own = files->list[place];
    memmove(&files->list[place], &files->list[place + 1],
            (--files->count - place) * sizeof files->list[0]);
    cw_err err = CW_ERR_OK;
    if (check->has_engine) {
        cw_problem_error(problems, own.path, 0, 0,
                         "%.120s is an engine file too; name one of the two", check->engine_path);
    } else {
        err = cw_engine_file_parse(&check->engine, own.yaml, own.path, CW_SECRETS_ELSEWHERE,
                                   problems, fault);
        check->has_engine = true;
        check->engine_path = own.path;
        err = err == CW_ERR_INVALID ? CW_ERR_OK : err; /* told as problems */
    }
    cw_program_files_free(&own, 1);
    for (uint32_t i = 0; err == CW_ERR_OK && i < check->engine.program_count; i++) {
        if (!is_named(check, check->engine.programs[i])) {
            check->paths[check->count++] = check->engine.programs[i];
            files->count += cw_program_files_read(&check->engine.programs[i], 1,
                                                  &files->list[files->count], problems);
        }
    }
    return err;
}

static cw_err read_files(struct check *check, struct files *files, struct cw_problems *problems,
                         struct cw_fault *fault)
{
    cw_err err = CW_ERR_OK;
    files->count = cw_program_files_read(check->paths, check->count, files->list, problems);
    for (uint32_t i = 0; i < files->count && err == CW_ERR_OK;) {
        if (cw_engine_file_is(files->list[i].yaml)) {
            err = take_engine(check, files, i, problems, fault);
        } else {
            i++;
        }
    }
    return err;
}

/* Programs, with the models and templates that they may name. */
static cw_err load(const struct check *check, const struct files *files,
                   struct cw_problems *problems, struct cw_fault *fault)
{
    struct cw_assets *assets = calloc(1, sizeof *assets);
    CW_ASSERT(assets != NULL);
    cw_err err = cw_assets_open(
        assets, check->models_dir != NULL ? check->models_dir : check->engine.models,
        check->templates_dir != NULL ? check->templates_dir : check->engine.templates, fault);
    if (err == CW_ERR_OK) {
        struct cw_programs *programs = NULL;
        if (files->count > CW_PROGRAMS_MAX) {
            err = cw_fail(fault, CW_ERR_LIMIT, "%u programs; at most %u can run at once",
                          files->count, CW_PROGRAMS_MAX);
        } else if (files->count > 0) {
            struct cw_program_needs needs = cw_assets_needs(assets);
            err = cw_programs_load(&programs, files->list, files->count, &needs, problems, fault);
        }
        err = err == CW_ERR_INVALID ? CW_ERR_OK : err; /* told as problems */
        cw_programs_close(programs);
        cw_templates_lint(assets->templates, problems);
        cw_assets_close(assets);
    }
    free(assets);
    return err;
}

static int tell(const struct check *check, const struct cw_problems *problems)
{
    if (check->json) {
        print_json(problems);
    } else {
        cw_problems_print(problems, stdout);
    }
    (void)fflush(stdout);
    summarize_all(check, problems);
    return problems->errors > 0 ? CW_EXIT_USAGE : CW_EXIT_OK;
}

static int run(struct check *check)
{
    struct files files = {.count = 0};
    struct cw_problems problems = {0};
    struct cw_fault fault;
    cw_err err = read_files(check, &files, &problems, &fault);
    if (err == CW_ERR_OK) {
        err = load(check, &files, &problems, &fault);
    }
    cw_program_files_free(files.list, files.count);
    int code;
    if (err == CW_ERR_OK) {
        code = tell(check, &problems);
    } else {
        code = cw_failure(&fault);
        code = err == CW_ERR_INVALID ? CW_EXIT_USAGE : code;
    }
    cw_problems_deinit(&problems);
    if (check->has_engine) {
        cw_engine_file_close(&check->engine);
    }
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
    return run(&check);
}
