/* restore: a snapshot becomes a state that an engine can be started on. */
#include "core/time.h"
#include "tools/archive.h"
#include "tools/flush.h"
#include "tools/look.h"

#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "usage: cartwheel restore FILE.cwsnap --state DIR [OPTIONS]\n"
    "\n"
    "Proves the whole snapshot, unpacks it beside DIR, reads it as a start would, and\n"
    "only then gives it its name. DIR must not be there, or be empty. An engine\n"
    "started on it serves, but its sends are HELD until `cartwheel resume`: what went\n"
    "out after the snapshot was made is not known to it, and would go out again.\n"
    "\n"
    "  --state DIR  the directory to make\n"
    "  --resume     sends are not held: nothing went out since, or twice does not\n"
    "               matter\n"
    "  --help       print this\n"
    "\n"
    "exit: 0 restored, 1 failed, 2 wrong usage, 78 the snapshot is damaged\n";

struct restore {
    const char *file, *state;
    bool resume, help;
};

/* A directory without anything in it may be taken; a state never. */
static cw_err check_target(const char *path, struct cw_fault *fault)
{
    DIR *names = opendir(path);
    if (names == NULL) {
        return errno == ENOENT ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    uint32_t found = 0;
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
        found += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    (void)closedir(names);
    return found == 0 ? CW_ERR_OK
                      : cw_fail(fault, CW_ERR_INVALID,
                                "%.120s is not empty; stop its engine and move it away (mv %.60s "
                                "%.60s.old), or name another directory with --state",
                                path, path, path);
}

/* Reads every core as a start would: what cannot be started is not restored. */
static int prove(const char *made, uint64_t *rows, int64_t *clock)
{
    struct cw_fault fault;
    struct cw_look *look = malloc(sizeof *look);
    CW_ASSERT(look != NULL);
    int rc = cw_look_open(look, &(struct cw_look_options){.command = "restore", .state = made});
    for (uint32_t i = 0; rc == CW_EXIT_OK && i < look->manifest.cores; i++) {
        struct cw_look_core core;
        cw_err err = cw_look_core(look, i, &core, &fault);
        if (err != CW_ERR_OK) {
            (void)cw_failure(&fault);
            rc = cw_look_exit(err);
            break;
        }
        int64_t latest = cw_pipeline_now(core.pipeline);
        *clock = latest > *clock ? latest : *clock;
        *rows += core.rows;
        cw_look_core_close(&core);
    }
    cw_look_close(look);
    free(look);
    return rc;
}

static void tell(const struct restore *restore, const struct cw_manifest *manifest, uint64_t rows,
                 int64_t clock)
{
    char time[CW_TIME_BYTES];
    cw_time_format(clock, time);
    (void)printf("restored into %s: store ", restore->state);
    for (size_t i = 0; i < sizeof manifest->store; i++) {
        (void)printf("%02x", manifest->store[i]);
    }
    (void)printf(", as of %.24s, from %u core%s, %llu rows\n", time, manifest->cores,
                 manifest->cores == 1 ? "" : "s", (unsigned long long)rows);
    if (restore->resume) {
        (void)printf("Sends are not held. Next: cartwheel run -c engine.yaml --state %s\n",
                     restore->state);
        return;
    }
    (void)printf(
        "Sends are HELD. Next:\n"
        "  cartwheel run -c engine.yaml --state %s\n"
        "  let the sources send again what they sent after the snapshot was made; then\n"
        "  cartwheel resume --to URL --assume-sent-until TIME   TIME: when the engine that "
        "the\n"
        "                                                       snapshot is of last sent\n"
        "The program files that ran are in %s/programs.\n",
        restore->state, restore->state);
}

static int restore_file(const struct restore *restore)
{
    struct cw_fault fault;
    struct cw_manifest manifest;
    char beside[4096]; /* a directory of its own, so that nothing of anybody's is in its way */
    char made[4096];
    char state[4096];
    (void)snprintf(state, sizeof state, "%.3900s", restore->state);
    for (size_t bytes = strlen(state); bytes > 1 && state[bytes - 1] == '/';) {
        state[--bytes] = '\0';
    }
    (void)snprintf(beside, sizeof beside, "%.3900s.new-XXXXXX", state);
    cw_err err = check_target(state, &fault);
    if (err == CW_ERR_OK) {
        err = cw_archive_verify(restore->file, &fault);
    }
    bool there = err == CW_ERR_OK && mkdtemp(beside) != NULL;
    (void)snprintf(made, sizeof made, "%.4000s/state", beside);
    if (err == CW_ERR_OK) {
        err = there ? cw_archive_unpack(restore->file, made, !restore->resume, &manifest, &fault)
                    : cw_fail(&fault, CW_ERR_IO, "making %s", beside);
    }
    uint64_t rows = 0;
    int64_t clock = 0;
    int rc = CW_EXIT_OK;
    if (err == CW_ERR_OK) {
        rc = prove(made, &rows, &clock);
        if (rc == CW_EXIT_OK && rename(made, state) != 0) {
            err = cw_fail(&fault, CW_ERR_IO, "naming %s", state);
        }
    }
    if (there) {
        cw_archive_remove(beside);
    }
    if (err == CW_ERR_OK && rc == CW_EXIT_OK) {
        err = cw_flush_parent(state, &fault);
    }
    if (err != CW_ERR_OK) {
        (void)cw_failure(&fault);
        return cw_look_exit(err);
    }
    if (rc == CW_EXIT_OK) {
        tell(restore, &manifest, rows, clock);
    }
    return rc;
}

static int parse(struct restore *restore, int argc, char **argv)
{
    static const struct option known[] = {{"state", required_argument, NULL, 's'},
                                          {"resume", no_argument, NULL, 'r'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int option;
    while ((option = cw_next_option("restore", argc, argv, "h", known)) != -1) {
        switch (option) {
        case 's': restore->state = optarg; break;
        case 'r': restore->resume = true; break;
        case 'h': restore->help = true; return CW_EXIT_OK;
        default: return CW_EXIT_USAGE;
        }
    }
    if (argc - optind != 1) {
        return cw_usage_error("restore", "name one snapshot");
    }
    restore->file = argv[optind];
    return restore->state != NULL ? CW_EXIT_OK
                                  : cw_usage_error("restore", "say --state DIR, the directory to "
                                                              "make");
}

int cw_cmd_restore(int argc, char **argv)
{
    struct restore restore = {0};
    int rc = parse(&restore, argc, argv);
    if (rc == CW_EXIT_OK && restore.help) {
        (void)fputs(help, stdout);
        return rc;
    }
    return rc == CW_EXIT_OK ? restore_file(&restore) : rc;
}
