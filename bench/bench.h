/*
 * bench: one harness for all benches: named cases, repeats, medians with their spread, the limit
 * beside each, a hash of the results so that no work can be optimised away.
 *
 * A bench file defines an array of cases ended by a row without a name, and main.c lists it. Where
 * the result is not the time of a unit, the array is of probes, and their results are figures.
 */
#ifndef CW_BENCH_BENCH_H
#define CW_BENCH_BENCH_H

#include "bench/report.h"
#include "core/base.h"

struct cw_bench_case {
    const char *name;  /* part.what, e.g. "wheel.insert_1m" */
    const char *unit;  /* what one operation is: "op", "event", "timer" */
    double limit_ns;   /* the physical or peer's figure per unit; 0 when there is none */
    const char *limit; /* where that figure comes from */

    /* Makes the inputs; tiny is for tests: seconds become milliseconds. */
    void *(*setup)(bool tiny);
    /* The timed part. Returns a hash of its results and how many units it did in *units. May be
       called several times on the same state. */
    uint64_t (*run)(void *state, uint64_t *units);
    void (*teardown)(void *state);
    double bytes_per_unit; /* 0: not said; else GB/s is printed too (set by setup if need be) */
};

/* Several figures instead of a time per unit. Not pinned to a CPU; it may start programs. */
struct cw_bench_probe {
    const char *name;
    const void *what; /* the probe's own: which of its kind it is */
    bool tiny;        /* with --tiny, too */
    /* NULL: it needs nothing, or cannot go on; then the report says why. */
    void *(*setup)(const struct cw_bench_probe *probe, struct cw_bench_report *report, bool tiny);
    /* One repeat: a sample of each figure. Ends early when the report failed or was skipped. */
    void (*measure)(const struct cw_bench_probe *probe, void *state, struct cw_bench_report *report,
                    bool tiny);
    void (*teardown)(void *state); /* not called for NULL */
};

/* The suites, one a file; main.c runs them in this order. */
extern const struct cw_bench_case cw_bench_json[], cw_bench_pattern[], cw_bench_time[],
    cw_bench_wheel[], cw_bench_table[], cw_bench_ring[], cw_bench_model[], cw_bench_message[],
    cw_bench_form[], cw_bench_checkpoint[], cw_bench_restart[], cw_bench_pipeline[],
    cw_bench_server[], cw_bench_limit[], cw_bench_disk[];
extern const struct cw_bench_probe cw_bench_beside[], cw_bench_engine[], cw_bench_engine_restart[],
    cw_bench_again[];

/* Where benches make their files: --dir, else beside the program. */
extern const char *cw_bench_dir;
/* Where the engine of engine.restart has its tables (`memory:`): --tables; NULL: it has no such. */
extern const char *cw_bench_tables;

/* Keeps the compiler from proving a value unused. */
static inline void cw_bench_use(const void *p)
{
    __asm__ volatile("" : : "r"(p) : "memory");
}

#endif
