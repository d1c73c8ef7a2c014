/* snapshot: one file with an engine's whole state, of one that runs or of one at rest. */
#include "io/clock.h"
#include "tools/archive.h"
#include "tools/ask.h"
#include "tools/look.h"
#include "tools/state.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: cartwheel snapshot --to URL [--name NAME]\n"
    "       cartwheel snapshot --state DIR --out FILE [--json] [-c engine.yaml]\n"
    "                          [PROGRAM.yaml...]\n"
    "\n"
    "Makes one file of everything that an engine remembers: checkpoints, logs, the\n"
    "key of links, the program files. The first form asks a running engine, which\n"
    "goes on meanwhile; the file is made on its host, in STATE/snapshots/. The second\n"
    "form is for a state that no engine uses: PROGRAM.yaml, else the engine file's\n"
    "programs or those in STATE/programs are put in, and must be what it ran with, by\n"
    "programId.\n"
    "A snapshot holds customers' data and the key of their links: keep it as safe as\n"
    "the state.\n"
    "\n"
    "  --to URL             the engine, such as http://127.0.0.1:8080; with a path\n"
    "                       only where a proxy has it: /v1/snapshot goes behind it\n"
    "  --name NAME          the file's name before .cwsnap (default: the time)\n"
    "  --api-key-file FILE  sent as X-Api-Key; its role is admin\n"
    "  --state DIR          the state's directory\n"
    "  --out FILE           the file to make\n"
    "  --json               what was made as JSON, as an engine answers --to\n"
    "  -c, --config FILE    the engine file, whose programs are put in\n"
    "  --help               print this\n"
    "\n"
    "exit: 0 made, 1 failed, 2 wrong usage, 78 the state is damaged\n";

struct snapshot {
    struct cw_target_options engine;
    struct cw_look_options look;
    const char *programs[CW_PROGRAMS_MAX];
    const char *name, *out;
    bool json, help;
};

static int live(const struct snapshot *snapshot)
{
    char path[512];
    struct cw_text body = {0};
    if (snapshot->name != NULL && snapshot->name[0] == '\0') {
        return cw_usage_error("snapshot", "--name is empty: leave it out to name it by the time");
    }
    for (const char *c = snapshot->name; c != NULL && *c != '\0'; c++) {
        bool good = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || *c == '_' || *c == '-';
        if (!good || strlen(snapshot->name) > 100) {
            return cw_usage_error("snapshot", "--name is up to 100 letters, digits, - and _");
        }
    }
    (void)snprintf(path, sizeof path, "/v1/snapshot%s%s", snapshot->name != NULL ? "?name=" : "",
                   snapshot->name != NULL ? snapshot->name : "");
    int rc = cw_ask("snapshot", &snapshot->engine, path, &body);
    if (rc == CW_EXIT_OK) {
        (void)fwrite(body.data, 1, body.bytes, stdout);
    }
    cw_text_deinit(&body);
    return rc;
}

/* Reads all of the state first: a snapshot of a damaged one would be worth nothing. */
static int prove(struct cw_look *look)
{
    int rc = CW_EXIT_OK;
    for (uint32_t i = 0; rc == CW_EXIT_OK && i < look->manifest.cores; i++) {
        struct cw_look_core core;
        struct cw_fault fault;
        cw_err err = cw_look_core(look, i, &core, &fault);
        if (err != CW_ERR_OK) {
            return cw_look_failed(look, i, &core, &fault);
        }
        cw_look_core_close(&core);
    }
    struct cw_fault fault;
    if (look->engine.live.link_secret.data == NULL &&
        cw_state_prove_secret(look->path, &fault) != CW_ERR_OK) {
        (void)cw_failure(&fault);
        cw_state_advise_secret(stderr);
        (void)fprintf(stderr, "cartwheel: WARNING: the snapshot is made without a whole key\n");
    }
    return rc;
}

static void tell(const struct snapshot *snapshot, uint64_t bytes, uint64_t ns)
{
    struct cw_text out = {0};
    if (snapshot->json) {
        cw_text_puts(&out, "{\"file\":");
        cw_text_json(&out, (struct cw_view){snapshot->out, (uint32_t)strlen(snapshot->out)});
        cw_text_printf(&out, ",\"bytes\":%llu,\"seconds\":%.3f}\n", (unsigned long long)bytes,
                       (double)ns / 1e9);
    } else {
        cw_text_printf(&out, "%s: %llu bytes\n", snapshot->out, (unsigned long long)bytes);
    }
    (void)fwrite(out.data, 1, out.bytes, stdout);
    cw_text_deinit(&out);
}

static int at_rest(const struct snapshot *snapshot)
{
    struct cw_fault fault;
    uint64_t bytes = 0;
    uint64_t began_ns = cw_clock_monotonic_ns();
    struct cw_look *look = malloc(sizeof *look);
    CW_ASSERT(look != NULL);
    int rc = cw_look_open(look, &snapshot->look);
    rc = rc == CW_EXIT_OK ? prove(look) : rc;
    rc = rc == CW_EXIT_OK ? cw_look_prove_ran(look) : rc;
    if (rc == CW_EXIT_OK) {
        const struct cw_archive_source source = {.state = look->path,
                                                 .manifest = look->manifest,
                                                 .programs = look->files,
                                                 .program_count = look->file_count,
                                                 .bar = &look->bar};
        cw_err err = cw_archive_write(&source, snapshot->out, &bytes, &fault);
        if (err != CW_ERR_OK) {
            (void)cw_failure(&fault);
            rc = cw_look_exit(err);
        } else {
            tell(snapshot, bytes, cw_clock_monotonic_ns() - began_ns);
        }
    }
    cw_look_close(look);
    free(look);
    return rc;
}

static int parse(struct snapshot *snapshot, int argc, char **argv)
{
    static const struct option known[] = {{"to", required_argument, NULL, 't'},
                                          {"name", required_argument, NULL, 'n'},
                                          {"api-key-file", required_argument, NULL, 'k'},
                                          {"state", required_argument, NULL, 's'},
                                          {"out", required_argument, NULL, 'o'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int option;
    snapshot->look = (struct cw_look_options){.command = "snapshot",
                                              .hint = "it seems to be one already",
                                              .programs = snapshot->programs};
    while ((option = cw_next_option("snapshot", argc, argv, "c:h", known)) != -1) {
        switch (option) {
        case 't': snapshot->engine.to = optarg; break;
        case 'n': snapshot->name = optarg; break;
        case 'k': snapshot->engine.api_key_file = optarg; break;
        case 's': snapshot->look.state = optarg; break;
        case 'o': snapshot->out = optarg; break;
        case 'c': snapshot->look.config = optarg; break;
        case 'j': snapshot->json = true; break; /* an engine's answer is JSON already */
        case 'h': snapshot->help = true; return CW_EXIT_OK;
        default: return CW_EXIT_USAGE;
        }
    }
    bool rest = snapshot->look.state != NULL;
    if (rest == (snapshot->engine.to != NULL)) {
        return cw_usage_error("snapshot", "say --to URL of a running engine, or --state DIR --out "
                                          "FILE of one at rest");
    }
    if (!rest && (optind < argc || snapshot->out != NULL || snapshot->look.config != NULL)) {
        return cw_usage_error("snapshot",
                              "--out, -c and programs are for --state: a running engine "
                              "knows them");
    }
    if (!rest) {
        return CW_EXIT_OK;
    }
    if (snapshot->out == NULL || snapshot->name != NULL) {
        return cw_usage_error("snapshot", "--state goes with --out FILE");
    }
    /* A file takes its name when it is whole and durable, which standard output never is. */
    if (snapshot->out[0] == '\0' || strcmp(snapshot->out, "-") == 0) {
        return cw_usage_error("snapshot",
                              "--out \"%s\" is no file's name, and a snapshot is made as "
                              "a file",
                              snapshot->out);
    }
    return cw_look_words(&snapshot->look, snapshot->programs, argc - optind, argv + optind);
}

int cw_cmd_snapshot(int argc, char **argv)
{
    struct snapshot snapshot = {0};
    int rc = parse(&snapshot, argc, argv);
    if (rc == CW_EXIT_OK && snapshot.help) {
        (void)fputs(help, stdout);
        return rc;
    }
    if (rc != CW_EXIT_OK) {
        return rc;
    }
    return snapshot.engine.to != NULL ? live(&snapshot) : at_rest(&snapshot);
}
