/*
 * place: a directory that an engine is to be started on, looked at before anything is made in it.
 *
 * A state that should be there and is not (a name that is misspelt, a restore that was killed)
 * would be begun anew without a word: without opt-outs, without what is held.
 *
 * Life:    none. Threads: any. Changes nothing.
 */
#ifndef CW_TOOLS_PLACE_H
#define CW_TOOLS_PLACE_H

#include "core/err.h"

#include <stdio.h>

/* True where a state was begun: manifests or rows. */
CW_MUST_USE bool cw_place_has_state(const char *directory);

/* CW_ERR_INVALID: there is no state, and none may be begun: one was to be there (`expected`), a
   restore did not come to its end, or the directory is somebody's. */
CW_MUST_USE cw_err cw_place_check(const char *directory, bool expected, struct cw_fault *fault);

/* A warning where what is kept in the directory may be lost all the same: it lies in memory, or
   (for who `flushes`) what a flush does there is another's. */
void cw_place_warn(const char *directory, bool flushes, FILE *to);

#endif
