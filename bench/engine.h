/*
 * engine: what drives a real engine from outside: programs started, `cartwheel run` in a fresh
 * directory, `cartwheel load` and its figures, requests, /metrics.
 *
 * Fails:   with a note in the report; then the caller's repeat is over.
 * Threads: the main one.
 */
#ifndef CW_BENCH_ENGINE_H
#define CW_BENCH_ENGINE_H

#include "bench/report.h"
#include "core/text.h"

#include <sys/types.h>

enum {
    CW_BENCH_PATH_BYTES = 4096,
    CW_BENCH_EDGES_MAX = 40
};

/* ---- programs ---- */

/* The path of a program beside this one. */
void cw_bench_program(const char *name, char path[CW_BENCH_PATH_BYTES]);
/* A fresh directory under --dir; removes one with all that is in it. */
bool cw_bench_directory(struct cw_bench_report *report, char path[CW_BENCH_PATH_BYTES]);
void cw_bench_remove(const char *path);

/* Starts a program; it ends when this one does. Its standard output goes to *out, a pipe's end to
   read (NULL: nowhere), what it says on standard error to a file (NULL: nowhere). -1: not started.
 */
pid_t cw_bench_start(const char *const argv[], int *out, const char *errors);
/* Reads its output to the end and waits for it; its exit code, 127 when it could not be run. */
int cw_bench_finish(pid_t pid, int out, struct cw_text *text);
int cw_bench_run(const char *const argv[], struct cw_text *text);
/* SIGTERM, and after a while SIGKILL; true when it ended by itself with 0. */
bool cw_bench_stop(pid_t pid);

/* ---- requests ---- */

/* One request to http://127.0.0.1:PORT on a connection of its own; the answer's status, 0 when
   there is none. body.data NULL: a GET, else a POST of NDJSON. */
uint16_t cw_bench_ask(uint16_t port, const char *path, struct cw_view body, struct cw_text *answer);

/* ---- an engine ---- */

struct cw_bench_engine {
    pid_t pid;
    uint16_t http, tcp; /* ports */
    char directory[CW_BENCH_PATH_BYTES];
};

enum cw_bench_cores {
    CW_BENCH_EVERY_CPU,
    CW_BENCH_SPARE_CPU /* all but one, which the load has to itself; the only one where one is all
                        */
};

/* With the shipped program, a core for each of those CPUs, its state in a fresh directory. */
bool cw_bench_engine_open(struct cw_bench_engine *engine, const char *durability,
                          enum cw_bench_cores cores, struct cw_bench_report *report);
/* Stops it and removes its directory; an engine that failed is a failure of the report. */
void cw_bench_engine_close(struct cw_bench_engine *engine, struct cw_bench_report *report);

/* The same in parts. make: its directory, with further lines of the engine file, each ended; start:
   it, on the state that is in there; a crash, after which the directory is left as it is. */
bool cw_bench_engine_make(struct cw_bench_engine *engine, const char *durability,
                          enum cw_bench_cores cores, const char *settings,
                          struct cw_bench_report *report);
bool cw_bench_engine_start(struct cw_bench_engine *engine, struct cw_bench_report *report);
void cw_bench_engine_kill(struct cw_bench_engine *engine);
/* What it has written on standard error since its start. */
void cw_bench_engine_said(const struct cw_bench_engine *engine, struct cw_text *said);

/* CPU time that a process has taken so far, all its threads. */
double cw_bench_cpu_seconds(pid_t pid);
/* Memory that it has now; 0: it is not there. */
double cw_bench_resident_bytes(pid_t pid);

/* ---- load on it ---- */

enum cw_bench_way {
    CW_BENCH_PUT_EVENTS,
    CW_BENCH_NDJSON, /* over HTTP */
    CW_BENCH_TCP
};

struct cw_bench_load {
    enum cw_bench_way way;
    uint32_t batch, connections;
    double rate, seconds;
};

struct cw_bench_answers {
    double offered, achieved;                     /* events a second */
    double answered, rejected, duplicate, errors; /* events */
    double timeouts;                              /* of the errors */
    double p50_us, p99_us, late_p99_us;
};

/* Begins `cartwheel load`; end waits for it and reads its figures. */
pid_t cw_bench_load_begin(const struct cw_bench_engine *engine, const struct cw_bench_load *load,
                          int *out, struct cw_bench_report *report);
bool cw_bench_load_end(pid_t pid, int out, struct cw_bench_answers *answers,
                       struct cw_bench_report *report);
bool cw_bench_load(const struct cw_bench_engine *engine, const struct cw_bench_load *load,
                   struct cw_bench_answers *answers, struct cw_bench_report *report);

/* A number out of one flat JSON object, or out of an object in it; 0 when it is not there. */
double cw_bench_json_number(struct cw_text *json, const char *object, const char *member);
/* A string; false when it is not there or does not fit. */
bool cw_bench_json_string(struct cw_text *json, const char *member, char *out, size_t bytes);

/* ---- /metrics ---- */

/* A Prometheus histogram: how many were at most so long. */
struct cw_bench_buckets {
    uint32_t count;
    double edge_us[CW_BENCH_EDGES_MAX], at_most[CW_BENCH_EDGES_MAX];
};

/* False when it is not in the text. */
bool cw_bench_buckets_read(struct cw_text *metrics, const char *name,
                           struct cw_bench_buckets *buckets);
/* The edge of the bucket in which that share of what came between the two lies; 0: nothing came. */
double cw_bench_buckets_edge(const struct cw_bench_buckets *before,
                             const struct cw_bench_buckets *after, double share);
double cw_bench_metric(struct cw_text *metrics, const char *name);

#endif
