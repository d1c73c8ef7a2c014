/* config: the keys of the engine file. */
#include "tools/engine_file.h"

#include <string.h>

static const char help[] =
    "usage: cartwheel config [--help]\n"
    "\n"
    "Prints every key of the engine file that `run -c` and `replay -c` read, with\n"
    "type, range, default and meaning. `cartwheel check FILE` checks one.\n"
    "\n"
    "Secrets do not stand in it: a key such as secretFile names a file, secretEnv a\n"
    "variable of the environment.\n"
    "\n";

/* Words in the columns from `from` to WIDTH; what stands before them is printed already. */
static void print_words(const char *text, uint32_t from, FILE *to)
{
    enum {
        WIDTH = 80
    };

    uint32_t column = from;
    while (*text != '\0') {
        uint32_t bytes = (uint32_t)strcspn(text, " ");
        if (column > from && column + 1 + bytes > WIDTH) {
            (void)fprintf(to, "\n%*s", (int)from, "");
            column = from;
        } else if (column > from) {
            (void)fputc(' ', to);
            column++;
        }
        (void)fwrite(text, 1, bytes, to);
        column += bytes;
        text += bytes + strspn(text + bytes, " ");
    }
    (void)fputc('\n', to);
}

void cw_options_print(const struct cw_options *const *tables, FILE *to)
{
    for (const struct cw_options *const *table = tables; *table != NULL; table++) {
        enum {
            NAME = 27
        };

        (void)fprintf(to, "%s%s:\n", table == tables ? "" : "\n", (*table)->what);
        for (uint32_t i = 0; i < (*table)->count; i++) {
            const struct cw_option *option = &(*table)->list[i];
            char text[CW_OPTION_HINT_BYTES];
            (void)fprintf(to, "  %-*s ", NAME, option->name);
            print_words(cw_option_describe(option, text), NAME + 3, to);
            (void)fprintf(to, "  %-*s   ", NAME, "");
            print_words(option->help, NAME + 5, to);
        }
    }
}

int cw_cmd_config(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--help") != 0 && strcmp(argv[1], "-h") != 0) {
        return cw_usage_error("config", "\"%s\" is not known here", argv[1]);
    }
    (void)fputs(help, stdout);
    cw_options_print(cw_engine_tables, stdout);
    return CW_EXIT_OK;
}
