/* verify: reads a whole state, or a whole snapshot, and says whether it is good. */
#include "tools/archive.h"
#include "tools/look.h"
#include "tools/state.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: cartwheel verify [OPTIONS] --state DIR | FILE.cwsnap... [PROGRAM.yaml...]\n"
    "\n"
    "Reads everything of a state that no engine uses, or of snapshots, as a start\n"
    "would: every sum is proven, every record applied to memory, every list and timer\n"
    "made and checked. Changes nothing. Needs as much memory as the largest core has\n"
    "rows. What is wrong with programs that came along, or with templates and models\n"
    "of any, is a warning: the rows are proved without, a start needs it good.\n"
    "Of several snapshots each has one line, `FILE: good: ...`, and the exit code is\n"
    "the highest. On a terminal, standard error shows how far it is.\n"
    "\n"
    "A snapshot is unpacked in TMPDIR (/tmp) meanwhile, which needs room for all of\n"
    "it, and removed from there, also when this is interrupted.\n"
    "\n"
    "  --state DIR        the state's directory\n"
    "  -c, --config FILE  the engine file, for its programs and names of events\n"
    "  --json             one JSON object a line, for the state or each snapshot:\n"
    "                     whether it is good, its exit code, and of each core what\n"
    "                     `inspect --json` says\n"
    "  --help             print this\n"
    "\n"
    "exit: 0 good, 1 not readable, 2 wrong usage, or it is no snapshot, 78 damaged:\n"
    "the message says where\n";

struct verify {
    struct cw_look_options look;
    const char *programs[CW_PROGRAMS_MAX];
    bool json, help;
};

static void print_core(uint32_t number, const struct cw_look_core *core)
{
    (void)printf("core %u: %s (LSN %llu to %llu), %llu frames in %llu segments to LSN %llu, %llu "
                 "rows, %llu bytes torn\n",
                 number, core->checkpoint.any ? core->checkpoint.name : "no checkpoint",
                 (unsigned long long)core->checkpoint.begin,
                 (unsigned long long)core->checkpoint.end, (unsigned long long)core->log.frames,
                 (unsigned long long)core->log.segments, (unsigned long long)core->log.last_lsn,
                 (unsigned long long)core->rows, (unsigned long long)core->log.torn_bytes);
    (void)printf("  ");
    for (uint32_t i = 0; i < CW_TABLE_NUMBER_COUNT; i++) {
        (void)printf(" %s %llu", cw_look_tables[i], (unsigned long long)core->of[i]);
    }
    (void)printf("\n");
}

/* What is wrong and made up for; each line goes after `before`. */
static void print_warnings(const char *before, const struct cw_look_core *core)
{
    if (core->checkpoint.refused > 0) {
        (void)printf("%sWARNING: %u newer checkpoint%s damaged (%s); the log makes up for it, but "
                     "look at the disk\n",
                     before, core->checkpoint.refused,
                     core->checkpoint.refused == 1 ? " is" : "s are", core->checkpoint.why);
    }
    if (core->log.passed_lsn != 0) {
        (void)printf("%sWARNING: the log is damaged at LSN %llu; the checkpoint stands for it, but "
                     "look at the disk\n",
                     before, (unsigned long long)core->log.passed_lsn);
    }
}

/* Not where links are signed with a secret of the configuration: a start makes a new one then. */
static int prove_secret(const struct cw_look *look)
{
    struct cw_fault fault;
    cw_err err = look->engine.live.link_secret.data != NULL
                     ? CW_ERR_OK
                     : cw_state_prove_secret(look->path, &fault);
    if (err == CW_ERR_OK) {
        return CW_EXIT_OK;
    }
    (void)cw_failure(&fault);
    if (err == CW_ERR_CORRUPT) {
        cw_state_advise_secret(stderr);
    }
    return cw_look_exit(err);
}

/* How one is told of. */
struct telling {
    const char
        *one_of; /* the snapshot's name where several are proven, each with a line; or NULL */
    struct cw_text *json; /* the objects of the cores; NULL: words */
};

static void tell_core(const struct telling *telling, uint32_t number,
                      const struct cw_look_core *core)
{
    char before[4200] = "  ";
    if (telling->json != NULL) {
        cw_text_puts(telling->json, number > 0 ? "," : "");
        cw_look_core_json(core, number, telling->json);
        return;
    }
    if (telling->one_of == NULL) {
        print_core(number, core);
    } else {
        (void)snprintf(before, sizeof before, "%.4096s: core %u: ", telling->one_of, number);
    }
    print_warnings(before, core);
}

static int show(struct cw_look *look, const struct telling *telling, uint64_t *rows)
{
    for (uint32_t i = 0; i < look->manifest.cores; i++) {
        struct cw_look_core core;
        struct cw_fault fault;
        if (cw_look_core(look, i, &core, &fault) != CW_ERR_OK) {
            return cw_look_failed(look, i, &core, &fault);
        }
        tell_core(telling, i, &core);
        *rows += core.rows;
        cw_look_core_close(&core);
    }
    return prove_secret(look);
}

/* The verdict, behind what was told of cores. */
static void tell(const struct cw_look_options *options, const struct telling *telling, int rc,
                 uint32_t cores, uint64_t rows)
{
    bool good = rc == CW_EXIT_OK;
    const char *name = options->snapshot != NULL ? options->snapshot : options->state;
    if (telling->json != NULL) {
        struct cw_text out = {0};
        cw_text_puts(&out, options->snapshot != NULL ? "{\"snapshot\":" : "{\"state\":");
        cw_text_json(&out, (struct cw_view){name, (uint32_t)strlen(name)});
        cw_text_printf(&out, ",\"good\":%s,\"exit\":%d", good ? "true" : "false", rc);
        if (good) {
            cw_text_printf(&out, ",\"rows\":%llu,\"cores\":[", (unsigned long long)rows);
            cw_text_put(&out, telling->json->data, telling->json->bytes);
            cw_text_char(&out, ']');
        }
        cw_text_puts(&out, "}\n");
        (void)fwrite(out.data, 1, out.bytes, stdout);
        cw_text_deinit(&out);
    } else if (good) {
        (void)printf("%s%sgood: %u core%s, %llu rows\n", telling->one_of != NULL ? name : "",
                     telling->one_of != NULL ? ": " : "", cores, cores == 1 ? "" : "s",
                     (unsigned long long)rows);
    } else if (telling->one_of != NULL) {
        (void)printf("%s: %s\n", name, rc == CW_EXIT_DAMAGED ? "DAMAGED" : "not read");
    }
}

static int prove(const struct cw_look_options *options, bool several, bool json)
{
    struct cw_text cores = {0};
    const struct telling telling = {several ? options->snapshot : NULL, json ? &cores : NULL};
    uint64_t rows = 0;
    struct cw_look *look = malloc(sizeof *look);
    CW_ASSERT(look != NULL);
    int rc = cw_look_open(look, options);
    rc = rc == CW_EXIT_OK ? show(look, &telling, &rows) : rc;
    tell(options, &telling, rc, look->manifest.cores, rows);
    cw_look_close(look);
    free(look);
    cw_text_deinit(&cores);
    return rc;
}

/* Each of the snapshots, or the state. The worst exit code is the highest. */
static int prove_all(const struct cw_look_options *options, bool json)
{
    int worst = CW_EXIT_OK;
    const char *damaged = NULL;
    if (options->snapshot == NULL) {
        return prove(options, false, json);
    }
    for (uint32_t i = 0; i < options->snapshot_count; i++) {
        struct cw_look_options one = *options;
        one.snapshot = options->snapshots[i];
        int rc = prove(&one, options->snapshot_count > 1, json);
        damaged = rc == CW_EXIT_DAMAGED ? one.snapshot : damaged;
        worst = rc > worst ? rc : worst;
    }
    if (damaged != NULL) {
        cw_archive_advise(damaged, stderr);
    }
    return worst;
}

static int parse(struct verify *verify, int argc, char **argv)
{
    static const struct option known[] = {{"state", required_argument, NULL, 's'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int option;
    verify->look = (struct cw_look_options){.command = "verify",
                                            .hint = "a snapshot is named without --state",
                                            .several = true,
                                            .programs = verify->programs};
    while ((option = cw_next_option("verify", argc, argv, "c:h", known)) != -1) {
        switch (option) {
        case 's': verify->look.state = optarg; break;
        case 'c': verify->look.config = optarg; break;
        case 'j': verify->json = true; break;
        case 'h': verify->help = true; return CW_EXIT_OK;
        default: return CW_EXIT_USAGE;
        }
    }
    return cw_look_words(&verify->look, verify->programs, argc - optind, argv + optind);
}

int cw_cmd_verify(int argc, char **argv)
{
    struct verify verify = {0};
    int rc = parse(&verify, argc, argv);
    if (rc == CW_EXIT_OK && verify.help) {
        (void)fputs(help, stdout);
        return rc;
    }
    return rc == CW_EXIT_OK ? prove_all(&verify.look, verify.json) : rc;
}
