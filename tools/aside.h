/*
 * aside: a directory of a command's own in which it unpacks a snapshot, and which does not stay:
 * it holds customers' data.
 *
 * However the command ends, by a signal or kill -9 too, a process of its own removes the directory
 * then (it may take a moment); of one that marks, only what is in it, so that it can be seen that a
 * command did not come to its end. Where that process is killed as well, all of it stays, unlocked.
 * The next that is opened under the same prefix removes either.
 *
 * Life:    open -> { close | keep }, also after a failed open. Threads: one, and no other at open.
 */
#ifndef CW_TOOLS_ASIDE_H
#define CW_TOOLS_ASIDE_H

#include "core/err.h"

#include <sys/types.h>

#define CW_ASIDE_BYTES 4096

struct cw_aside {
    char path[CW_ASIDE_BYTES]; /* empty: not there */
    bool marks;
    /* Private. */
    int lock, guard; /* -1: none */
    pid_t pid;
};

/* What restore unpacks into inside the directory that is to be the state. */
#define CW_ASIDE_RESTORE "restore.new-"

/* Makes PREFIXxxxxxx, mode 0700. What is unpacked goes into its directory `state`. */
CW_MUST_USE cw_err cw_aside_open(struct cw_aside *aside, const char *prefix, bool marks,
                                 struct cw_fault *fault);
/* Removes it and all in it. */
void cw_aside_close(struct cw_aside *aside);
/* It stays from now on, until somebody opens the next one. */
void cw_aside_keep(struct cw_aside *aside);

/* Removes what commands that were killed left under a prefix, and tells each on standard error.
   What somebody works in stays, and so does another user's. */
void cw_aside_remove_left(const char *prefix);

/* The prefix of what a restore unpacks into beside the directory that is to be the state; false:
   nothing can be beside it, such as `.`. */
bool cw_aside_beside(const char *directory, char prefix[CW_ASIDE_BYTES]);
/* True when a restore is at work beside it, or did not come to its end; `path` is what shows it. */
CW_MUST_USE bool cw_aside_left_beside(const char *directory, char path[CW_ASIDE_BYTES]);

/* True when a restore into this directory did not come to its end: an aside of it is there, and
   either its manifest still is, or no rows came out of it. */
CW_MUST_USE bool cw_aside_unfinished(const char *directory);

#endif
