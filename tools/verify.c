/* verify: reads a whole state, or a whole snapshot, and says whether it is good. */
#include "tools/durable_loss.h"
#include "tools/look.h"
#include "tools/state.h"

#include <getopt.h>
#include <stdlib.h>

static const char help[] =
    "usage: cartwheel verify [OPTIONS] --state DIR | FILE.cwsnap [PROGRAM.yaml...]\n"
    "\n"
    "Reads everything of a state that no engine uses, or of a snapshot, as a start\n"
    "would: every sum is proven, every record applied to memory, every list and timer\n"
    "made and checked. Changes nothing. Needs as much memory as the largest core has\n"
    "rows. What is wrong with programs that came along, or with templates and models\n"
    "of any, is a warning: the rows are proved without, a start needs it good.\n"
    "\n"
    "A snapshot is unpacked in TMPDIR (/tmp) meanwhile, which needs room for all of\n"
    "it, and removed from there, also when this is interrupted.\n"
    "\n"
    "  --state DIR        the state's directory\n"
    "  -c, --config FILE  the engine file, for its programs and names of events\n"
    "  --help             print this\n"
    "\n"
    "exit: 0 good, 1 not readable, 2 wrong usage, 78 damaged: the message says where\n";

struct verify {
    struct cw_look_options look;
    const char *programs[CW_PROGRAMS_MAX];
    bool help;
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
    if (core->checkpoint.refused > 0) {
        (void)printf("  WARNING: %u newer checkpoint%s damaged (%s); the log makes up for it, but "
                     "look at the disk\n",
                     core->checkpoint.refused, core->checkpoint.refused == 1 ? " is" : "s are",
                     core->checkpoint.why);
    }
    if (core->log.passed_lsn != 0) {
        (void)printf("  WARNING: the log is damaged at LSN %llu; the checkpoint stands for it, but "
                     "look at the disk\n",
                     (unsigned long long)core->log.passed_lsn);
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

static int show(struct cw_look *look)
{
    uint64_t rows = 0;
    for (uint32_t i = 0; i < look->manifest.cores; i++) {
        struct cw_look_core core;
        struct cw_fault fault;
        cw_err err = cw_look_core(look, i, &core, &fault);
        if (err != CW_ERR_OK) {
            (void)cw_failure(&fault);
            if (core.log.damage.lsn != 0) {
                cw_loss_advise(i, &core.log.damage, stderr);
            }
            return cw_look_exit(err);
        }
        print_core(i, &core);
        rows += core.rows;
        cw_look_core_close(&core);
    }
    int rc = prove_secret(look);
    if (rc != CW_EXIT_OK) {
        return rc;
    }
    (void)printf("good: %u core%s, %llu rows\n", look->manifest.cores,
                 look->manifest.cores == 1 ? "" : "s", (unsigned long long)rows);
    return CW_EXIT_OK;
}

static int parse(struct verify *verify, int argc, char **argv)
{
    static const struct option known[] = {{"state", required_argument, NULL, 's'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int option;
    verify->look = (struct cw_look_options){.command = "verify",
                                            .hint = "a snapshot is named without --state",
                                            .programs = verify->programs};
    while ((option = cw_next_option("verify", argc, argv, "c:h", known)) != -1) {
        switch (option) {
        case 's': verify->look.state = optarg; break;
        case 'c': verify->look.config = optarg; break;
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
    if (rc != CW_EXIT_OK) {
        return rc;
    }
    struct cw_look *look = malloc(sizeof *look);
    CW_ASSERT(look != NULL);
    rc = cw_look_open(look, &verify.look);
    rc = rc == CW_EXIT_OK ? show(look) : rc;
    cw_look_close(look);
    free(look);
    return rc;
}
