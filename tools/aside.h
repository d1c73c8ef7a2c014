/*
 * aside: a directory of a command's own in which it unpacks a snapshot, and which does not stay:
 * it holds customers' data.
 *
 * However the command ends, by a signal or kill -9 too, a process of its own removes the directory
 * then (it may take a moment). Where that one is killed as well, the directory stays unlocked, and
 * the next that is opened under the same prefix removes it.
 *
 * Life:    open -> { close | keep }, also after a failed open. Threads: one, and no other at open.
 */
#ifndef CW_TOOLS_ASIDE_H
#define CW_TOOLS_ASIDE_H

#include "core/err.h"

#include <sys/types.h>

struct cw_aside {
    char path[4096]; /* empty: not there */
    /* Private. */
    int lock, guard; /* -1: none */
    pid_t pid;
};

/* What restore unpacks into inside the directory that is to be the state. */
#define CW_ASIDE_RESTORE "restore.new-"

/* Makes PREFIXxxxxxx, mode 0700. What is unpacked goes into its directory `state`. */
CW_MUST_USE cw_err cw_aside_open(struct cw_aside *aside, const char *prefix,
                                 struct cw_fault *fault);
/* Removes it and all in it. */
void cw_aside_close(struct cw_aside *aside);
/* It stays from now on, until somebody opens the next one. */
void cw_aside_keep(struct cw_aside *aside);

/* True when a restore into this directory did not come to its end: an aside of it is there, and
   either its manifest still is, or no rows came out of it. */
CW_MUST_USE bool cw_aside_unfinished(const char *directory);

#endif
