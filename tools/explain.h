/* explain: what `cartwheel explain` says when it finds nothing (explain_near.c). */
#ifndef CW_TOOLS_EXPLAIN_H
#define CW_TOOLS_EXPLAIN_H

#include "pipeline/decode.h"
#include "tools/files.h"

#include <stdio.h>

/* No abandonment is of this customer and cart (NULL: any): says so, and what is near. */
CW_MUST_USE cw_err cw_explain_tell_near(const struct cw_files *files,
                                        const struct cw_decoder_options *decoder,
                                        const char *customer, const char *cart, FILE *to,
                                        struct cw_fault *fault);

#endif
