/*
 * flush: names and lines that are on the disk once these return.
 *
 * Fails:   CW_ERR_IO with the path; what came before the failure may be there.
 * Threads: any.
 */
#ifndef CW_TOOLS_FLUSH_H
#define CW_TOOLS_FLUSH_H

#include "core/err.h"
#include "core/view.h"

/* Makes names in a directory durable; or those in the directory that a path is in. */
CW_MUST_USE cw_err cw_flush_directory(const char *directory, struct cw_fault *fault);
CW_MUST_USE cw_err cw_flush_parent(const char *path, struct cw_fault *fault);

/* Appends a line, newline and all, to a file that is made where there is none (mode 0600). */
CW_MUST_USE cw_err cw_flush_line(const char *path, struct cw_view line, struct cw_fault *fault);

/* A file of these bytes alone (mode 0600), without its name: for a rename over what was there. */
CW_MUST_USE cw_err cw_flush_file(const char *path, struct cw_view content, struct cw_fault *fault);

#endif
