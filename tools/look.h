/*
 * look: a state that nothing runs on, or a snapshot of one, read core by core without changing
 * anything: for verify, inspect and restore.
 *
 * A snapshot is unpacked among the temporary files (TMPDIR, /tmp) and removed at close.
 *
 * Life:    open -> { core -> core_close }* -> close, also after a failed open.
 * Memory:  the rows of the cores that are open. Threads: one.
 */
#ifndef CW_TOOLS_LOOK_H
#define CW_TOOLS_LOOK_H

#include "core/zone.h"
#include "tools/aside.h"
#include "tools/bar.h"
#include "tools/durable.h"
#include "tools/engine_file.h"

/* The words that name what is looked at, and by which programs. */
struct cw_look_options {
    const char *command;
    const char *state, *snapshot; /* one of the two */
    char **snapshots;             /* all that are named; `snapshot` is the first */
    uint32_t snapshot_count;
    bool several;     /* more than one may be named */
    const char *hint; /* for whom names a snapshot as a state */
    const char *config;           /* an engine file; NULL: none */
    const char *const *programs;  /* none: those of the snapshot, of the engine file, the shipped */
    uint32_t program_count;
};

struct cw_look {
    char path[4096]; /* the state's directory */
    struct cw_aside aside; /* what a snapshot is unpacked in */
    int lock;
    struct cw_manifest manifest;
    struct cw_engine_file engine;
    struct cw_assets assets;
    struct cw_programs *programs;
    struct cw_zones *zones;
    char *names[CW_PROGRAMS_MAX]; /* of program files that came with the state */
    uint32_t name_count;
    struct cw_program_file files[CW_PROGRAMS_MAX]; /* that were read; none: the shipped program */
    uint32_t file_count;
    bool left_out;      /* of the files that came along some are no programs */
    struct cw_text ran; /* ids of programs that the cores read so far ran with: look_programs.c */
    bool assets_open;
    struct cw_bar bar; /* how far it is with what is read */
};

struct cw_look_core {
    struct cw_pipeline *pipeline;
    struct cw_checkpoint_found checkpoint;
    struct cw_log_found log;
    uint64_t records, rows, of[CW_TABLE_NUMBER_COUNT];
};

extern const char *const cw_look_tables[CW_TABLE_NUMBER_COUNT];

/* CW_EXIT_USAGE, told, when it is empty or a directory; `instead` is then told before its name. */
CW_MUST_USE int cw_look_name(const char *command, const char *snapshot, const char *instead);

/* Sorts the words left of a command line: programs (.yaml), snapshots, which argv then begins with.
   Wants one of state and snapshot. An exit code. */
CW_MUST_USE int cw_look_words(struct cw_look_options *options,
                              const char *programs[CW_PROGRAMS_MAX], int argc, char **argv);

/* look_programs.c: `came` are the names of files that came with the state. Says on standard error
   what is wrong; CW_ERR_INVALID only where the user named it. */
CW_MUST_USE cw_err cw_look_programs(struct cw_look *look, const char *const *names, uint32_t count,
                                    bool came, struct cw_fault *fault);

/* look_programs.c: notes the programs that this core ran with. */
void cw_look_note_ran(struct cw_look *look, const struct cw_pipeline *pipeline);

/* look_programs.c: once all cores were read: whether the programs are those that ran, by id.
   CW_EXIT_USAGE, told, when they are others. */
CW_MUST_USE int cw_look_prove_ran(const struct cw_look *look);

/* Says on standard error what is wrong; an exit code. What programs lack is only a warning. */
CW_MUST_USE int cw_look_open(struct cw_look *look, const struct cw_look_options *options);
void cw_look_close(struct cw_look *look);

/* Reads one core: every sum is proven, every record applied, lists and timers made anew, then
   checked. */
CW_MUST_USE cw_err cw_look_core(struct cw_look *look, uint32_t number, struct cw_look_core *core,
                                struct cw_fault *fault);
void cw_look_core_close(struct cw_look_core *core);

/* Appends what was found of a core as a JSON object. */
void cw_look_core_json(const struct cw_look_core *core, uint32_t number, struct cw_text *out);
/* When it last changed, by the engine's clock. */
int64_t cw_look_core_clock(const struct cw_look_core *core);

/* Tells that fault of a core that could not be read, of a state with what to do about it. An exit
   code. */
int cw_look_failed(const struct cw_look *look, uint32_t number, const struct cw_look_core *core,
                   const struct cw_fault *fault);

/* What such a failure exits with: 78 for damage, 2 for what this version does not read, else 1. */
int cw_look_exit(cw_err err);

/* Of a state's path: CW_ERR_AGAIN when an engine uses it. Nothing is made. -1: no engine ever did.
 */
CW_MUST_USE cw_err cw_look_lock(const char *state, int *lock, struct cw_fault *fault);

#endif
