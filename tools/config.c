/* config: the keys of the engine file. */
#include "tools/engine_file.h"

#include <string.h>

static const char help[] =
    "usage: cartwheel config [--help]\n"
    "\n"
    "Prints every key of the engine file that `run -c` and `replay -c` read, with type, range,\n"
    "default and meaning. `cartwheel check FILE` checks one.\n"
    "\n"
    "Secrets do not stand in it: a key such as secretFile names a file, secretEnv a variable of\n"
    "the environment.\n"
    "\n";

void cw_options_print(const struct cw_options *const *tables, FILE *to)
{
    for (const struct cw_options *const *table = tables; *table != NULL; table++) {
        (void)fprintf(to, "%s%s:\n", table == tables ? "" : "\n", (*table)->what);
        for (uint32_t i = 0; i < (*table)->count; i++) {
            const struct cw_option *option = &(*table)->list[i];
            char text[CW_OPTION_HINT_BYTES];
            (void)fprintf(to, "  %-27s %s\n  %-27s   %s\n", option->name,
                          cw_option_describe(option, text), "", option->help);
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
