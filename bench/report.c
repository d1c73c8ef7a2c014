#define _GNU_SOURCE 1
#include "bench/report.h"

#include "core/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum {
    LINE_COLUMNS = 128,
    NAME_COLUMNS = 34
};

/* ---- collecting ---- */

void cw_bench_figure(struct cw_bench_report *report, const char *part, const char *name,
                     const char *unit, double value)
{
    uint32_t i = 0;
    while (i < report->figure_count && (strcmp(report->figures[i].part, part) != 0 ||
                                        strcmp(report->figures[i].name, name) != 0)) {
        i++;
    }
    CW_ASSERT(i < CW_BENCH_FIGURES_MAX);
    struct cw_bench_figure *figure = &report->figures[i];
    if (i == report->figure_count) {
        report->figure_count++;
        *figure = (struct cw_bench_figure){.part = part, .name = name, .unit = unit};
    }
    CW_ASSERT(figure->count < CW_BENCH_REPEATS_MAX);
    figure->samples[figure->count++] = value;
}

__attribute__((format(printf, 2, 0))) static void note(struct cw_bench_report *report,
                                                       const char *format, va_list args)
{
    char text[CW_BENCH_NOTE_BYTES];
    (void)vsnprintf(text, sizeof text, format, args);
    for (uint32_t i = 0; i < report->note_count; i++) {
        if (strcmp(report->notes[i], text) == 0) {
            return;
        }
    }
    if (report->note_count < CW_BENCH_NOTES_MAX) {
        memcpy(report->notes[report->note_count++], text, sizeof text);
    }
}

void cw_bench_note(struct cw_bench_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(report, format, args);
    va_end(args);
}

void cw_bench_skip(struct cw_bench_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(report, format, args);
    va_end(args);
    report->skipped = true;
}

void cw_bench_fail(struct cw_bench_report *report, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    note(report, format, args);
    va_end(args);
    report->failed = true;
}

/* ---- printing ---- */

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Three digits at least; a whole number as it is. */
static void put_value(struct cw_text *out, double value)
{
    double size = value < 0 ? -value : value;
    bool whole = size >= 1000 || size == floor(size);
    int decimals = whole ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 4;
    cw_text_printf(out, "%.*f", decimals, value);
}

static void put_figure(struct cw_text *out, const struct cw_bench_figure *figure)
{
    cw_text_printf(out, "%s ", figure->name);
    put_value(out, figure->samples[figure->count / 2]);
    if (figure->count > 1) {
        cw_text_puts(out, " [");
        put_value(out, figure->samples[0]);
        cw_text_char(out, '-');
        put_value(out, figure->samples[figure->count - 1]);
        cw_text_char(out, ']');
    }
    cw_text_printf(out, "%s%s", figure->unit[0] != '\0' ? " " : "", figure->unit);
}

/* One row, over as many lines as it needs. */
static void print_part(const struct cw_bench_report *report, const char *part, FILE *to)
{
    struct cw_text piece = {0};
    int column = fprintf(to, "%s%s%s", report->name, part[0] != '\0' ? "." : "", part);
    column += fprintf(to, "%*s", column < NAME_COLUMNS ? NAME_COLUMNS - column : 0, "");
    for (uint32_t i = 0; i < report->figure_count; i++) {
        if (strcmp(report->figures[i].part, part) != 0) {
            continue;
        }
        cw_text_clear(&piece);
        put_figure(&piece, &report->figures[i]);
        if (column > NAME_COLUMNS && (size_t)column + piece.bytes + 3 > LINE_COLUMNS) {
            column = fprintf(to, "\n%*s", NAME_COLUMNS, "") - 1;
        }
        column +=
            fprintf(to, "%s%s", column > NAME_COLUMNS ? ";  " : " ", cw_text_terminate(&piece));
    }
    (void)fprintf(to, "\n");
    cw_text_deinit(&piece);
}

static void put_json_text(struct cw_text *out, const char *text)
{
    cw_text_json(out, (struct cw_view){text, (uint32_t)strlen(text)});
}

static void put_json_part(struct cw_text *out, const struct cw_bench_report *report,
                          const char *part)
{
    bool first = true;
    cw_text_printf(out, "{\"name\":\"%s%s%s\",\"figures\":{", report->name,
                   part[0] != '\0' ? "." : "", part);
    for (uint32_t i = 0; i < report->figure_count; i++) {
        const struct cw_bench_figure *figure = &report->figures[i];
        if (strcmp(figure->part, part) != 0) {
            continue;
        }
        cw_text_printf(out, "%s\"%s\":{\"unit\":\"%s\",\"median\":%.6g,\"min\":%.6g,\"max\":%.6g,",
                       first ? "" : ",", figure->name, figure->unit,
                       figure->samples[figure->count / 2], figure->samples[0],
                       figure->samples[figure->count - 1]);
        cw_text_printf(out, "\"repeats\":%u}", figure->count);
        first = false;
    }
    cw_text_printf(out, "},\"skipped\":%s,\"failed\":%s,\"notes\":[",
                   report->skipped ? "true" : "false", report->failed ? "true" : "false");
    for (uint32_t i = 0; i < report->note_count; i++) {
        cw_text_puts(out, i == 0 ? "" : ",");
        put_json_text(out, report->notes[i]);
    }
    cw_text_puts(out, "]}\n");
}

static void print_row(const struct cw_bench_report *report, const char *part, FILE *to)
{
    if (!report->json) {
        print_part(report, part, to);
        return;
    }
    struct cw_text out = {0};
    put_json_part(&out, report, part);
    (void)fwrite(out.data, 1, out.bytes, to);
    cw_text_deinit(&out);
}

void cw_bench_report_print(struct cw_bench_report *report, FILE *to)
{
    for (uint32_t i = 0; i < report->figure_count; i++) {
        struct cw_bench_figure *figure = &report->figures[i];
        qsort(figure->samples, figure->count, sizeof figure->samples[0], by_value);
    }
    if (report->figure_count == 0) {
        print_row(report, "", to);
    }
    for (uint32_t i = 0; i < report->figure_count; i++) {
        bool told = false;
        for (uint32_t k = 0; k < i; k++) {
            told |= strcmp(report->figures[k].part, report->figures[i].part) == 0;
        }
        if (!told) {
            print_row(report, report->figures[i].part, to);
        }
    }
    for (uint32_t i = 0; i < report->note_count && !report->json; i++) {
        (void)fprintf(to, "  # %s%s\n",
                      report->failed    ? "FAILED: "
                      : report->skipped ? "skipped: "
                                        : "",
                      report->notes[i]);
    }
    (void)fflush(to);
}

/* ---- the machine ---- */

/* The first line of a file; false when it is not there. */
static bool first_line(const char *path, char *line, int bytes)
{
    FILE *file = fopen(path, "re");
    bool read = file != NULL && fgets(line, bytes, file) != NULL;
    if (file != NULL) {
        (void)fclose(file);
    }
    if (read) {
        line[strcspn(line, "\n")] = '\0';
    }
    return read && line[0] != '\0';
}

static void read_cpuinfo(char *model, size_t bytes, bool *is_virtual)
{
    char line[4096]; /* flags are many */
    FILE *cpuinfo = fopen("/proc/cpuinfo", "re");
    while (cpuinfo != NULL && fgets(line, sizeof line, cpuinfo) != NULL) {
        char *colon = strchr(line, ':');
        if (colon == NULL) {
            break; /* the end of the first CPU */
        }
        if (strncmp(line, "model name", 10) == 0) {
            (void)snprintf(model, bytes, "%.100s", colon + 2);
            model[strcspn(model, "\n")] = '\0';
        }
        *is_virtual |= strncmp(line, "flags", 5) == 0 && strstr(colon, " hypervisor") != NULL;
    }
    if (cpuinfo != NULL) {
        (void)fclose(cpuinfo);
    }
}

void cw_bench_machine_print(bool json, FILE *to)
{
    static const char *const who[] = {"/sys/hypervisor/type", "/sys/class/dmi/id/sys_vendor"};
#ifdef __clang__
    static const char compiler[] = "clang " __clang_version__;
#else
    static const char compiler[] = "gcc " __VERSION__;
#endif
    char model[128] = "unknown CPU";
    char maker[128] = "";
    bool is_virtual = false;
    struct utsname name;
    (void)uname(&name);
    read_cpuinfo(model, sizeof model, &is_virtual);
    for (uint32_t i = 0; i < CW_COUNTOF(who) && maker[0] == '\0' && is_virtual; i++) {
        if (!first_line(who[i], maker, sizeof maker)) {
            maker[0] = '\0';
        }
    }
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (!json) {
        (void)fprintf(to, "# %s, %ld CPUs, %s%s%s%s, Linux %s, %s\n", model, cpus,
                      is_virtual ? "a virtual machine" : "no hypervisor seen",
                      maker[0] != '\0' ? " (" : "", maker, maker[0] != '\0' ? ")" : "",
                      name.release, compiler);
        return;
    }
    struct cw_text out = {0};
    cw_text_puts(&out, "{\"machine\":{\"cpu\":");
    put_json_text(&out, model);
    cw_text_printf(&out, ",\"cpus\":%ld,\"virtual\":%s,\"maker\":", cpus,
                   is_virtual ? "true" : "false");
    put_json_text(&out, maker);
    cw_text_puts(&out, ",\"kernel\":");
    put_json_text(&out, name.release);
    cw_text_puts(&out, ",\"compiler\":");
    put_json_text(&out, compiler);
    cw_text_puts(&out, "}}\n");
    (void)fwrite(out.data, 1, out.bytes, to);
    cw_text_deinit(&out);
}
