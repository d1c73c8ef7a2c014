/*
 * engine_file: the engine's own settings, as `-c engine.yaml` tells them.
 *
 * One table of keys (cw_engine_tables) gives checks, messages, defaults and help, as it does for
 * programs. Paths in the file are relative to the file.
 *
 * Life:    default or read -> use -> close. Memory: its own. Threads: one at a time.
 */
#ifndef CW_TOOLS_ENGINE_FILE_H
#define CW_TOOLS_ENGINE_FILE_H

#include "core/arena.h"
#include "pipeline/decode.h"
#include "pipeline/option_ctl.h"
#include "pipeline/program.h"
#include "tools/cli.h"
#include "tools/engine_live.h"

#define CW_ENGINE_FILE_MAX (1u << 20)

struct cw_engine_file {
    const char *models, *templates; /* directories, NULL: the shipped ones alone */
    const char *programs[CW_PROGRAMS_MAX];
    uint32_t program_count;
    uint32_t event_bytes_max, partitions;
    struct cw_view shop_name, shop_url; /* NULL data: not told */
    struct cw_event_names names;
    struct cw_engine_live live; /* for `run` */
    struct cw_arena arena;      /* what all of these point to */
};

/* All tables of keys, NULL-terminated, the engine's own first. */
extern const struct cw_options *const cw_engine_tables[];

/* Prints tables of keys, NULL-terminated, for people. */
void cw_options_print(const struct cw_options *const *tables, FILE *to);

/* What holds without a file. */
CW_MUST_USE cw_err cw_engine_file_default(struct cw_engine_file *file, struct cw_fault *fault);

/* A secret that is not there is an error where the engine is to run, a remark where its file is
   only looked at. */
enum cw_secrets {
    CW_SECRETS_NEEDED,
    CW_SECRETS_ELSEWHERE
};

/* Reads the text of a file; every problem is added. CW_ERR_INVALID when one is an error; the file
   is to be closed all the same. */
CW_MUST_USE cw_err cw_engine_file_parse(struct cw_engine_file *file, struct cw_view yaml,
                                        const char *path, enum cw_secrets secrets,
                                        struct cw_problems *problems, struct cw_fault *fault);

/* The same from disk (path NULL: the defaults); prints problems on standard error. */
CW_MUST_USE cw_err cw_engine_file_read(struct cw_engine_file *file, const char *path,
                                       struct cw_fault *fault);
void cw_engine_file_close(struct cw_engine_file *file);

/* True when a text is an engine file rather than a program: it has a key of the engine and none
   that names a program. */
bool cw_engine_file_is(struct cw_view yaml);

/* What a command line says of engine file, assets and programs; its own words win. */
struct cw_setup {
    const char *command;            /* for usage errors */
    const char *config;             /* NULL: no engine file */
    const char *models, *templates; /* NULL: the engine file's */
    const char *const *programs;    /* none: the engine file's */
    uint32_t program_count;
};

/* An engine file among the programs is told, with what to type instead: CW_EXIT_USAGE. */
CW_MUST_USE int cw_programs_not_engine(const char *command, const char *const *programs,
                                       uint32_t count);

/* Opens all three, telling on standard error what is wrong; an exit code. On CW_EXIT_OK close. */
CW_MUST_USE int cw_setup_open(struct cw_engine_file *engine, struct cw_assets *assets,
                              struct cw_programs **programs, const struct cw_setup *setup);
void cw_setup_close(struct cw_engine_file *engine, struct cw_assets *assets,
                    struct cw_programs *programs);

#endif
