#include "tools/cli.h"

#include "core/json.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int cw_usage_error(const char *command, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "cartwheel %s: ", command);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "; see cartwheel %s --help\n", command);
    va_end(args);
    return CW_EXIT_USAGE;
}

int cw_state_name(const char *command, const char *state, const char *hint)
{
    static const char suffix[] = ".cwsnap";
    struct stat status;
    size_t bytes = strlen(state);
    if (bytes == 0) {
        return cw_usage_error(command, "--state is empty; it names the state's directory");
    }
    bool there = stat(state, &status) == 0;
    if (there ? S_ISDIR(status.st_mode)
              : errno != ENOTDIR) { /* what else is wrong, opening tells */
        return CW_EXIT_OK;
    }
    bool snapshot =
        there && bytes >= sizeof suffix && strcmp(state + bytes - (sizeof suffix - 1), suffix) == 0;
    return cw_usage_error(command, "%s is no directory, as a state is%s%s", state,
                          snapshot ? "; " : "", snapshot ? hint : "");
}

const char *cw_shell_word(const char *word, char *room, size_t room_bytes)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                "/._-+:,=@%";
    size_t used = 0;
    CW_ASSERT(room_bytes > 8);
    if (*word != '\0' && word[strspn(word, plain)] == '\0') {
        (void)snprintf(room, room_bytes, "%s", word);
        return room;
    }
    room[used++] = '\'';
    for (; *word != '\0' && used + 6 < room_bytes; word++) {
        if (*word == '\'') { /* out, one that is escaped, and in again */
            memcpy(room + used, "'\\''", 4);
            used += 4;
        } else {
            room[used++] = *word;
        }
    }
    room[used++] = '\'';
    room[used] = '\0';
    return room;
}

enum {
    OPTIONS_MAX = 64
};

/* The nearest known long option to a word such as --corse=2. */
static const char *nearest_option(const char *word, const struct option *known)
{
    const char *names[OPTIONS_MAX];
    char name[64];
    uint32_t count = 0;
    while (count < OPTIONS_MAX && known[count].name != NULL) {
        names[count] = known[count].name;
        count++;
    }
    (void)snprintf(name, sizeof name, "%.*s", (int)strcspn(word, "="), word);
    return cw_nearest(name, names, count);
}

int cw_next_option(const char *command, int argc, char **argv, const char *shorts,
                   const struct option *known)
{
    opterr = 0;
    int option = getopt_long(argc, argv, shorts, known, NULL); /* NOLINT: one thread */
    if (option != '?') {
        return option;
    }
    const char letter[] = {'-', (char)optopt, '\0'};
    const char *word = optopt > 0 && optopt < 128 ? letter : argv[optind - 1];
    for (const struct option *o = known; o->name != NULL; o++) {
        if (optopt != 0 && o->val == optopt) {
            (void)cw_usage_error(command, "option --%s %s", o->name,
                                 o->has_arg == no_argument ? "takes no value" : "needs a value");
            return option;
        }
    }
    const char *near = strncmp(word, "--", 2) == 0 ? nearest_option(word + 2, known) : NULL;
    (void)cw_usage_error(command, "unknown option %s%s%s%s", word,
                         near == NULL ? "" : ", did you mean --", near == NULL ? "" : near,
                         near == NULL ? "" : "?");
    return option;
}

bool cw_is_program(const char *name)
{
    size_t bytes = strlen(name);
    return (bytes > 5 && strcmp(name + bytes - 5, ".yaml") == 0) ||
           (bytes > 4 && strcmp(name + bytes - 4, ".yml") == 0);
}

int cw_inputs_take(struct cw_inputs *inputs, const char *command, int argc, char **argv)
{
    *inputs = (struct cw_inputs){.program_count = 0};
    for (int i = 0; i < argc; i++) {
        bool program = cw_is_program(argv[i]);
        if (program && inputs->program_count == CW_PROGRAMS_MAX) {
            return cw_usage_error(command, "more than %u programs", CW_PROGRAMS_MAX);
        }
        if (!program && inputs->event_count == CW_EVENT_FILES_MAX) {
            return cw_usage_error(command, "more than %u event files", CW_EVENT_FILES_MAX);
        }
        if (program) {
            inputs->programs[inputs->program_count++] = argv[i];
        } else {
            inputs->events[inputs->event_count++] = argv[i];
        }
    }
    return CW_EXIT_OK;
}

int cw_inputs_check(const struct cw_inputs *inputs, const char *command, const char *config)
{
    if (inputs->program_count == 0 && config == NULL) {
        return cw_usage_error(command, "no program: name at least one .yaml file, or -c");
    }
    if (inputs->event_count == 0) {
        return cw_usage_error(command, "no events: name a file of them, or - for standard input");
    }
    return CW_EXIT_OK;
}

int cw_failure(const struct cw_fault *fault)
{
    (void)fprintf(stderr, "cartwheel: %s%s%s\n", fault->text, fault->sys_errno != 0 ? ": " : "",
                  fault->sys_errno != 0 ? strerror(fault->sys_errno) : ""); /* NOLINT: one thread */
    return CW_EXIT_FAILURE;
}

void cw_problems_print(const struct cw_problems *problems, FILE *to)
{
    for (uint32_t i = 0; i < problems->count; i++) {
        const struct cw_problem *p = &problems->list[i];
        (void)fprintf(to, "%s:", p->file);
        if (p->line > 0) {
            (void)fprintf(to, "%u:%u:", p->line, p->column);
        }
        (void)fprintf(to, " %s: %s\n", p->remark ? "remark" : "error", p->text);
    }
    if (problems->errors + problems->remarks > problems->count) {
        (void)fprintf(to, "... and %u more\n",
                      problems->errors + problems->remarks - problems->count);
    }
}

static cw_err read_stream(FILE *file, const char *path, size_t bytes_max, struct cw_view *content,
                          struct cw_fault *fault)
{
    size_t capacity = 64 << 10;
    size_t used = 0;
    char *data = malloc(capacity + CW_JSON_PADDING);
    while (data != NULL) {
        size_t got = fread(data + used, 1, capacity - used, file);
        used += got;
        if (used > bytes_max) {
            free(data);
            return cw_fail(fault, CW_ERR_LIMIT, "%s is larger than %zu bytes", path, bytes_max);
        }
        if (got == 0) {
            break;
        }
        if (used == capacity) {
            capacity *= 2;
            char *larger = realloc(data, capacity + CW_JSON_PADDING);
            if (larger == NULL) {
                free(data);
            }
            data = larger;
        }
    }
    if (data == NULL) {
        return cw_fail(fault, CW_ERR_LIMIT, "no memory to read %s", path);
    }
    if (ferror(file) != 0) {
        free(data);
        return cw_fail(fault, CW_ERR_IO, "reading %s", path);
    }
    memset(data + used, 0, CW_JSON_PADDING);
    *content = (struct cw_view){data, (uint32_t)used};
    return CW_ERR_OK;
}

cw_err cw_file_read(const char *path, size_t bytes_max, struct cw_view *content,
                    struct cw_fault *fault)
{
    CW_ASSERT(bytes_max < UINT32_MAX);
    if (strcmp(path, "-") == 0) {
        return read_stream(stdin, "standard input", bytes_max, content, fault);
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    cw_err err = read_stream(file, path, bytes_max, content, fault);
    (void)fclose(file);
    return err;
}

void cw_file_free(struct cw_view content)
{
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): it came from malloc, only readers are const */
    free((void *)(uintptr_t)content.data);
}

/* A line that ends within a JSON value. */
static bool goes_on(struct cw_view line)
{
    uint32_t depth = 0;
    bool quoted = false;
    for (uint32_t i = 0; i < line.bytes; i++) {
        char c = line.data[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if (c == '}' || c == ']') {
            depth -= depth > 0;
        }
    }
    return depth > 0 && !quoted;
}

/* "key:", "- item", a comment, the beginning of a document. */
static bool begins_yaml(struct cw_view line)
{
    uint32_t at = 0;
    while (at < line.bytes && (isalnum((unsigned char)line.data[at]) || line.data[at] == '_' ||
                               line.data[at] == '-' || line.data[at] == '.')) {
        at++;
    }
    bool ends = at + 1 >= line.bytes || line.data[at + 1] == ' ' || line.data[at + 1] == '\r';
    return line.data[0] == '#' || line.data[0] == '%' ||
           (at == 3 && memcmp(line.data, "---", 3) == 0) ||
           (line.bytes > 1 && line.data[0] == '-' && line.data[1] == ' ') ||
           (at > 0 && at < line.bytes && line.data[at] == ':' && ends);
}

void cw_lines_advise(const char *name, struct cw_view first)
{
    while (first.bytes > 0 && isspace((unsigned char)first.data[0])) {
        first = (struct cw_view){first.data + 1, first.bytes - 1};
    }
    if (first.bytes == 0) {
        return;
    }
    const char *is = NULL;
    const char *remedy = NULL;
    if (first.data[0] == '[') {
        is = "a JSON array";
        remedy = "make lines of it: jq -c '.[]'";
    } else if (first.data[0] == '{' && goes_on(first)) {
        is = "JSON over several lines";
        remedy = "make lines of it: jq -c .";
    } else if (begins_yaml(first)) {
        is = "YAML";
        remedy = "a program's name ends in .yaml or .yml, and events are JSON";
    }
    if (is != NULL) {
        (void)fprintf(stderr, "cartwheel: %s seems to be %s, and events are read one a line; %s\n",
                      name, is, remedy);
    }
}
