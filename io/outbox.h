/*
 * outbox: the directory that the local channel writes: one file a message, .eml or .json, and how
 * to look into it.
 *
 * Threads: list and read on the control plane (they read the disk). A file appears whole (rename).
 */
#ifndef CW_IO_OUTBOX_H
#define CW_IO_OUTBOX_H

#include "core/err.h"
#include "core/text.h"

/* Appends a JSON array of the newest messages, newest first: [{"name","channel","to","subject",
   "at","bytes"}]. */
CW_MUST_USE cw_err cw_outbox_list(const char *directory, uint32_t count_max, struct cw_text *json,
                                  struct cw_fault *fault);

/* Appends one file. CW_ERR_NOT_FOUND for a name that is not one of the outbox (never a path). */
CW_MUST_USE cw_err cw_outbox_read(const char *directory, struct cw_view name,
                                  struct cw_text *content, struct cw_fault *fault);

#endif
