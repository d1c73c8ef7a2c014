/*
 * report: what a probe tells: figures, each the samples of its repeats, in one row or several, and
 * notes. The harness prints it, as lines for people or as JSON; both carry the same.
 */
#ifndef CW_BENCH_REPORT_H
#define CW_BENCH_REPORT_H

#include "core/base.h"

#include <stdio.h>

#define CW_BENCH_REPEATS_MAX 101

enum {
    CW_BENCH_FIGURES_MAX = 48,
    CW_BENCH_NOTES_MAX = 16,
    CW_BENCH_NOTE_BYTES = 200
};

struct cw_bench_report {
    const char *name; /* the probe's */
    bool json;
    bool skipped; /* something that it needs is not there; a note says what */
    bool failed;  /* a note says why */

    struct cw_bench_figure {
        const char *part, *name, *unit;
        uint32_t count;
        double samples[CW_BENCH_REPEATS_MAX];
    } figures[CW_BENCH_FIGURES_MAX];

    uint32_t figure_count;
    char notes[CW_BENCH_NOTES_MAX][CW_BENCH_NOTE_BYTES];
    uint32_t note_count;
};

/* One sample of a figure. Figures of one `part` are a row, called NAME.part ("": NAME). All three
   texts outlive the report. */
void cw_bench_figure(struct cw_bench_report *report, const char *part, const char *name,
                     const char *unit, double value);

/* What is no figure; said once however often it is told. */
void cw_bench_note(struct cw_bench_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Notes, and the report is one of a skip, or of a failure. */
void cw_bench_skip(struct cw_bench_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void cw_bench_fail(struct cw_bench_report *report, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

void cw_bench_report_print(struct cw_bench_report *report, FILE *to);

/* The machine that all figures are of. */
void cw_bench_machine_print(bool json, FILE *to);

#endif
