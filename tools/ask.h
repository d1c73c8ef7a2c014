/*
 * ask: one request of a command to a running engine, and another until what it began is done.
 */
#ifndef CW_TOOLS_ASK_H
#define CW_TOOLS_ASK_H

#include "core/text.h"
#include "tools/target.h"

/*
 * POSTs to `path` (with its query) of the engine, behind the path of its address, which a proxy may
 * have; while the answer is 202, it is at work, and GETs
 * of the path without its query tell when it is through. The answer's body is appended. Says on
 * standard error what went wrong; an exit code.
 */
CW_MUST_USE int cw_ask(const char *command, const struct cw_target_options *engine,
                       const char *path, struct cw_text *body);

#endif
