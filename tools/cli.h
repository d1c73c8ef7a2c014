/*
 * cli: what the commands share: exit codes, usage, files, the directories of models and templates.
 *
 * A command is `int cw_cmd_NAME(int argc, char **argv)` (argv[0] is the command's name), one file
 * each, with a row in main.c's table. Data goes to standard output, words to standard error.
 */
#ifndef CW_TOOLS_CLI_H
#define CW_TOOLS_CLI_H

#include "core/err.h"
#include "core/problem.h"
#include "core/view.h"
#include "pipeline/message.h"
#include "pipeline/model.h"
#include "pipeline/program.h"

#include <stdio.h>

enum {
    CW_EXIT_OK = 0,
    CW_EXIT_FAILURE = 1,
    CW_EXIT_USAGE = 2, /* wrong usage or wrong configuration */
    CW_EXIT_DISK = 74,   /* run: the disk failed (EX_IOERR of sysexits.h) */
    CW_EXIT_DAMAGED = 78 /* the state is damaged; a restart does not help (EX_CONFIG) */
};

typedef int cw_command_fn(int argc, char **argv);

cw_command_fn cw_cmd_check, cw_cmd_replay, cw_cmd_match, cw_cmd_gen, cw_cmd_explain, cw_cmd_preview,
    cw_cmd_run, cw_cmd_config, cw_cmd_send, cw_cmd_load, cw_cmd_top, cw_cmd_snapshot,
    cw_cmd_restore, cw_cmd_resume, cw_cmd_verify, cw_cmd_inspect;

/* Prints `cartwheel: ...` (and how to get help) on standard error; returns CW_EXIT_USAGE. */
int cw_usage_error(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Is it the name of a state, of one to be made too? CW_EXIT_USAGE, told, when it is empty or there
   is something else than a directory; hint: what to say instead when that seems to be a snapshot.
 */
CW_MUST_USE int cw_state_name(const char *command, const char *state, const char *hint);

/* A word as a shell has to be given it: quoted where it must be, cut to room. Returns room. */
const char *cw_shell_word(const char *word, char *room, size_t room_bytes);

/* getopt_long that tells in one line of cartwheel's own what is wrong with an option, with the
   nearest that exists; it returns '?' then. */
struct option;
int cw_next_option(const char *command, int argc, char **argv, const char *shorts,
                   const struct option *known);

/* Whether a name ends in .yaml or .yml. */
CW_MUST_USE bool cw_is_program(const char *name);

/* The words that name what a command runs: those that end in .yaml or .yml are programs, the others
   files of events. */
#define CW_EVENT_FILES_MAX 256u

struct cw_inputs {
    const char *programs[CW_PROGRAMS_MAX];
    const char *events[CW_EVENT_FILES_MAX];
    uint32_t program_count, event_count;
};

/* Sorts the words that are left after the options into inputs; an exit code. */
CW_MUST_USE int cw_inputs_take(struct cw_inputs *inputs, const char *command, int argc,
                               char **argv);

/* Complains of missing programs (config is the engine file that may name them) and events. */
CW_MUST_USE int cw_inputs_check(const struct cw_inputs *inputs, const char *command,
                                const char *config);

/* Prints `cartwheel: ...` on standard error; returns CW_EXIT_FAILURE. */
int cw_failure(const struct cw_fault *fault);

/* Prints each problem as `FILE:LINE:COLUMN: error|remark: TEXT`. */
void cw_problems_print(const struct cw_problems *problems, FILE *to);

/* Where events are read one a line: says on standard error what a file seems to be instead, and
   what makes lines of it, when its first line that is not blank is no event but the beginning of
   something else: JSON over several lines, an array, YAML. */
void cw_lines_advise(const char *name, struct cw_view first);

/* Reads a whole file ("-": standard input) of at most bytes_max into memory of its own, followed
   by CW_JSON_PADDING zero bytes; cw_file_free when done. */
CW_MUST_USE cw_err cw_file_read(const char *path, size_t bytes_max, struct cw_view *content,
                                struct cw_fault *fault);
void cw_file_free(struct cw_view content);

/* Files that are part of the program: `models/purchase-intent-v4.json`, `templates/...`,
   `programs/...`. NULL data when there is no such file. */
struct cw_view cw_shipped(const char *name);

/* Names of shipped files, for walking: NULL past the end. */
const char *cw_shipped_name(uint32_t index);

/* Models and templates: those in the directories given (NULL: none), else the shipped ones. */
struct cw_assets {
    const char *models_dir, *templates_dir;
    struct cw_templates *templates;
    struct cw_model *models[64];
    uint32_t model_count;

    struct {
        char name[128];
        struct cw_view text; /* shipped, or read */
        bool shipped;
    } template_files[CW_TEMPLATES_MAX];

    uint32_t template_count;
    const char *model_names[65], *template_names[CW_TEMPLATES_MAX + 1];
};

CW_MUST_USE cw_err cw_assets_open(struct cw_assets *assets, const char *models_dir,
                                  const char *templates_dir, struct cw_fault *fault);
void cw_assets_close(struct cw_assets *assets);

/* What cw_programs_load wants, answered from assets (which must outlive it). */
struct cw_program_needs cw_assets_needs(struct cw_assets *assets);

/* Reads program files; one that cannot be read is a problem and left out. Returns how many of
   `files` (room for count) were filled. */
uint32_t cw_program_files_read(const char *const *paths, uint32_t count,
                               struct cw_program_file *files, struct cw_problems *problems);
void cw_program_files_free(struct cw_program_file *files, uint32_t count);

/* Loads program files, the shipped program when there are none; every problem is added. */
#define CW_PROGRAM_SHIPPED "programs/abandoned-cart-recovery.yaml"
CW_MUST_USE cw_err cw_programs_load_told(struct cw_programs **programs,
                                         const struct cw_program_file *files, uint32_t count,
                                         struct cw_assets *assets, struct cw_problems *problems,
                                         struct cw_fault *fault);
/* The same from disk. What was read stays in files (room for count): free the `good` of them, also
   after a failure. */
CW_MUST_USE cw_err cw_programs_read_kept(struct cw_programs **programs, const char *const *paths,
                                         uint32_t count, struct cw_assets *assets,
                                         struct cw_program_file *files, uint32_t *good,
                                         struct cw_problems *problems, struct cw_fault *fault);
/* And without it. */
CW_MUST_USE cw_err cw_programs_read_told(struct cw_programs **programs, const char *const *paths,
                                         uint32_t count, struct cw_assets *assets,
                                         struct cw_problems *problems, struct cw_fault *fault);

/* The same; when a file has an error, prints all problems on standard error. */
CW_MUST_USE cw_err cw_programs_read(struct cw_programs **programs, const char *const *paths,
                                    uint32_t count, struct cw_assets *assets,
                                    struct cw_fault *fault);

#endif
