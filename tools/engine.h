/*
 * engine: the live engine put together: per core a server, a service and a shard; channels on their
 * thread; the control plane on the thread that calls cw_engine_tick.
 *
 * Life:    open -> start -> tick* -> stop -> (join) close.
 * Memory:  the parts' own. Threads: all functions from one thread, the control plane.
 * Fails:   open and start; what is refused at run time is counted and told.
 */
#ifndef CW_TOOLS_ENGINE_H
#define CW_TOOLS_ENGINE_H

#include "tools/cli.h"
#include "tools/durable_loss.h"
#include "tools/engine_file.h"

#include <stdio.h>

struct cw_engine; /* opaque */

struct cw_engine_options {
    const struct cw_engine_file *file; /* what the command line changed is in it */
    const char *config;                /* its path, NULL: none */
    const char *models, *templates;    /* directories, NULL: none */
    const char *const *programs;       /* files; none: the shipped program */
    uint32_t program_count;
    const struct cw_loss *losses; /* damage to go on without; see durable_loss.h */
    uint32_t loss_count;
    bool new_secret; /* a lost one may be replaced; see state.h */
    FILE *decisions; /* where every decision goes as a line; NULL: nowhere */
    bool timeline;   /* lines for people instead of JSON */
};

/* Opens everything but threads; problems with programs are printed on standard error. An exit
   code. */
CW_MUST_USE int cw_engine_open(struct cw_engine **engine, const struct cw_engine_options *options);

/* Starts the threads; from then on it serves. */
CW_MUST_USE cw_err cw_engine_start(struct cw_engine *engine, struct cw_fault *fault);

/* Appends what `ready` says: the addresses. */
void cw_engine_addresses(const struct cw_engine *engine, struct cw_text *line);

/* Says on `to` what one has to know before it serves: what is not sent, what is not kept. */
void cw_engine_remarks(const struct cw_engine *engine, FILE *to);

/* Waits at most so long for something to do on the control plane (the descriptor `also` becoming
   readable ends it too), and does it. */
void cw_engine_tick(struct cw_engine *engine, int also, int timeout_ms);

/* New programs and templates from the same files, on all cores or on none; what is wrong is
   printed. An exit code. */
int cw_engine_reload(struct cw_engine *engine);

/* One more with each turn of a core's loop, to be read on any thread until close. */
const _Atomic uint64_t *cw_engine_turns(const struct cw_engine *engine, uint32_t core);
uint32_t cw_engine_cores(const struct cw_engine *engine);

/* Why sends are held, a set of CW_HOLD_*; false: not to be told just now. */
CW_MUST_USE bool cw_engine_holds(const struct cw_engine *engine, uint32_t *holds);

/* No more is taken; what is under way is ended. Then cw_engine_stopped says when. */
void cw_engine_stop(struct cw_engine *engine);
CW_MUST_USE bool cw_engine_stopped(struct cw_engine *engine);

/* After it has stopped (or was never started). The sums of all fates that do not reconcile are
   told; false then. */
bool cw_engine_close(struct cw_engine *engine);

#endif
