/* inspect: what is in a state or a snapshot. */
#include "core/time.h"
#include "tools/archive.h"
#include "tools/look.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: cartwheel inspect [OPTIONS] --state DIR | FILE.cwsnap [PROGRAM.yaml...]\n"
    "\n"
    "Tells what is in a state that no engine uses, or in a snapshot: the manifest,\n"
    "and of each core its checkpoint, its log and the rows of its tables. Changes\n"
    "nothing.\n"
    "\n"
    "  --state DIR        the state's directory\n"
    "  --dump             every row as a line: all cores together, sorted, so that\n"
    "                     equal states give equal text on any number of cores\n"
    "  --json             one JSON object\n"
    "  -c, --config FILE  the engine file, for its programs and names of events\n"
    "  --help             print this\n"
    "\n"
    "Rows are read as these programs would: PROGRAM.yaml, or the engine file's, or\n"
    "those in the snapshot, or the shipped one. Name the ones that the engine runs.\n"
    "What is wrong with those that came along, or templates and models that are not\n"
    "at hand, is a warning.\n"
    "\n"
    "A snapshot is unpacked in TMPDIR (/tmp) meanwhile, which needs room for all of\n"
    "it, and removed from there, also when this is interrupted.\n"
    "\n"
    "exit: 0 told, 1 not readable, 2 wrong usage, or it is no snapshot, 78 damaged\n";

struct inspect {
    struct cw_look_options look;
    const char *programs[CW_PROGRAMS_MAX];
    bool dump, json, help;
};

static const char *const yes_no[] = {"no", "yes"};

static void put_hex(struct cw_text *out, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        cw_text_printf(out, "%02x", bytes[i]);
    }
}

static void put_time(struct cw_text *out, int64_t ms)
{
    char time[CW_TIME_BYTES];
    cw_time_format(ms, time);
    cw_text_put(out, time, sizeof time);
}

static void put_manifest(struct cw_text *out, const struct cw_look *look, bool json)
{
    const struct cw_manifest *m = &look->manifest;
    cw_text_puts(out, json ? "{\"store\":\"" : "store ");
    put_hex(out, m->store, sizeof m->store);
    if (json) {
        cw_text_printf(out,
                       "\",\"generation\":%llu,\"epoch\":%llu,\"coreCount\":%u,\"partitions\":%u,"
                       "\"clean\":%s,\"held\":%s,\"heldFor\":[",
                       (unsigned long long)m->generation, (unsigned long long)m->epoch, m->cores,
                       m->partitions, m->clean ? "true" : "false",
                       m->held != CW_HOLD_NONE ? "true" : "false");
        cw_holds_write(m->held, "\"", out);
        cw_text_puts(out, "],\"writer\":");
    } else {
        cw_text_printf(out,
                       "\n  generation %llu, epoch %llu, %u cores, %u partitions\n  stopped in "
                       "order: %s, sends held: %s",
                       (unsigned long long)m->generation, (unsigned long long)m->epoch, m->cores,
                       m->partitions, yes_no[m->clean], yes_no[m->held != CW_HOLD_NONE]);
        if (m->held != CW_HOLD_NONE) {
            cw_text_puts(out, " (");
            cw_holds_write(m->held, "", out);
            cw_text_char(out, ')');
        }
        cw_text_puts(out, ", written by cartwheel ");
    }
    if (json) {
        cw_text_json(out, (struct cw_view){m->writer, (uint32_t)strlen(m->writer)});
        cw_text_puts(out, ",\"cores\":[");
    } else {
        cw_text_printf(out, "%s\n", m->writer);
    }
}

static void put_core(struct cw_text *out, uint32_t number, const struct cw_look_core *core)
{
    cw_text_printf(out, "core %u, clock ", number);
    put_time(out, cw_look_core_clock(core));
    if (core->checkpoint.any) {
        cw_text_printf(
            out, "\n  %s: frames %llu to %llu, %llu rows, %llu bytes", core->checkpoint.name,
            (unsigned long long)core->checkpoint.begin, (unsigned long long)core->checkpoint.end,
            (unsigned long long)core->checkpoint.rows, (unsigned long long)core->checkpoint.bytes);
    }
    cw_text_printf(
        out, "\n  log: %llu segments, %llu frames to LSN %llu, %llu bytes, %llu torn\n  rows:",
        (unsigned long long)core->log.segments, (unsigned long long)core->log.frames,
        (unsigned long long)core->log.last_lsn, (unsigned long long)core->log.bytes,
        (unsigned long long)core->log.torn_bytes);
    for (uint32_t i = 0; i < CW_TABLE_NUMBER_COUNT; i++) {
        if (core->of[i] > 0) {
            cw_text_printf(out, " %s %llu", cw_look_tables[i], (unsigned long long)core->of[i]);
        }
    }
    cw_text_char(out, '\n');
    if (core->checkpoint.refused > 0) {
        cw_text_printf(out, "  WARNING: %u newer checkpoint%s damaged: %s\n",
                       core->checkpoint.refused, core->checkpoint.refused == 1 ? " is" : "s are",
                       core->checkpoint.why);
    }
    if (core->log.passed_lsn != 0) {
        cw_text_printf(out, "  WARNING: the log is damaged at LSN %llu, which the checkpoint has\n",
                       (unsigned long long)core->log.passed_lsn);
    }
}

/* ---- all rows ---- */

static int by_line(const void *a, const void *b)
{
    return cw_view_compare(*(const struct cw_view *)a, *(const struct cw_view *)b);
}

/* What several cores have alike (products, programs) is one line. */
static void print_sorted(const struct cw_text *text)
{
    size_t count = 0;
    for (size_t i = 0; i < text->bytes; i++) {
        count += text->data[i] == '\n';
    }
    struct cw_view *lines = malloc((count + 1) * sizeof *lines);
    CW_ASSERT(lines != NULL);
    const char *from = text->data;
    for (size_t i = 0; i < count; i++) {
        const char *feed = memchr(from, '\n', text->bytes - (size_t)(from - text->data));
        lines[i] = (struct cw_view){from, (uint32_t)(feed + 1 - from)};
        from = feed + 1;
    }
    qsort(lines, count, sizeof *lines, by_line);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !cw_view_equal(lines[i], lines[i - 1])) {
            (void)fwrite(lines[i].data, 1, lines[i].bytes, stdout);
        }
    }
    free(lines);
}

static int show(struct cw_look *look, const struct inspect *inspect)
{
    struct cw_text out = {0};
    struct cw_fault fault;
    int rc = CW_EXIT_OK;
    if (!inspect->dump) {
        put_manifest(&out, look, inspect->json);
    }
    for (uint32_t i = 0; i < look->manifest.cores && rc == CW_EXIT_OK; i++) {
        struct cw_look_core core;
        if (cw_look_core(look, i, &core, &fault) != CW_ERR_OK) {
            rc = cw_look_failed(look, i, &core, &fault);
            break;
        }
        if (inspect->dump) {
            cw_pipeline_dump(core.pipeline, &out);
        } else if (inspect->json) {
            cw_text_puts(&out, i > 0 ? "," : "");
            cw_look_core_json(&core, i, &out);
        } else {
            put_core(&out, i, &core);
        }
        cw_look_core_close(&core);
    }
    if (rc == CW_EXIT_OK && inspect->dump) {
        print_sorted(&out);
    } else if (rc == CW_EXIT_OK) {
        cw_text_puts(&out, inspect->json ? "]}\n" : "");
        (void)fwrite(out.data, 1, out.bytes, stdout);
    }
    cw_text_deinit(&out);
    return rc;
}

static int parse(struct inspect *inspect, int argc, char **argv)
{
    static const struct option known[] = {
        {"state", required_argument, NULL, 's'}, {"dump", no_argument, NULL, 'd'},
        {"json", no_argument, NULL, 'j'},        {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},        {NULL, 0, NULL, 0}};
    int option;
    inspect->look = (struct cw_look_options){.command = "inspect",
                                             .hint = "a snapshot is named without --state",
                                             .programs = inspect->programs};
    while ((option = cw_next_option("inspect", argc, argv, "c:h", known)) != -1) {
        switch (option) {
        case 's': inspect->look.state = optarg; break;
        case 'd': inspect->dump = true; break;
        case 'j': inspect->json = true; break;
        case 'c': inspect->look.config = optarg; break;
        case 'h': inspect->help = true; return CW_EXIT_OK;
        default: return CW_EXIT_USAGE;
        }
    }
    return cw_look_words(&inspect->look, inspect->programs, argc - optind, argv + optind);
}

int cw_cmd_inspect(int argc, char **argv)
{
    struct inspect inspect = {0};
    int rc = parse(&inspect, argc, argv);
    if (rc == CW_EXIT_OK && inspect.help) {
        (void)fputs(help, stdout);
        return rc;
    }
    if (rc == CW_EXIT_OK && inspect.dump && inspect.json) {
        rc = cw_usage_error("inspect", "--dump is lines of its own; leave --json out");
    }
    if (rc != CW_EXIT_OK) {
        return rc;
    }
    struct cw_look *look = malloc(sizeof *look);
    CW_ASSERT(look != NULL);
    rc = cw_look_open(look, &inspect.look);
    rc = rc == CW_EXIT_OK ? show(look, &inspect) : rc;
    if (rc == CW_EXIT_DAMAGED && inspect.look.snapshot != NULL) {
        cw_archive_advise(inspect.look.snapshot, stderr);
    }
    cw_look_close(look);
    free(look);
    return rc;
}
