/*
 * mustache: a C face on the Mustache library, and nothing of cartwheel: templates in, text out.
 *
 * Every value passes the escape: as HTML (& < > " ' become entities, safe in text and in quoted
 * attributes) or not at all. There are no partials and no lambdas. The caller has looked at the
 * template before (message_lint_ctl.c): no unescaped tags, no set-delimiter tags, sections nested
 * only a little, no list within itself; that is what bounds the library's recursion and output.
 *
 * Life:    open -> render* -> close.
 * Memory:  the library's own, on the C++ heap; an allocation that fails is a result.
 * Threads: one template is rendered by one thread at a time.
 * Bounds:  bytes_max per rendering. No C++ exception leaves these functions.
 */
#ifndef CW_PIPELINE_MUSTACHE_H
#define CW_PIPELINE_MUSTACHE_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

struct cw_mustache; /* opaque: one parsed template */

enum cw_mustache_result {
    CW_MUSTACHE_OK,
    CW_MUSTACHE_INVALID, /* not a template; `why` says where */
    CW_MUSTACHE_LIMIT,   /* longer than bytes_max */
    CW_MUSTACHE_MEMORY
};

enum cw_mustache_result cw_mustache_open(struct cw_mustache **mustache, const char *text,
                                         size_t bytes, bool html, char *why, size_t why_bytes);
void cw_mustache_close(struct cw_mustache *mustache);

/* text NULL: a flag; {{#name}} is true, {{name}} prints nothing. A name that is not given is false
   and prints nothing. */
struct cw_mustache_value {
    const char *name;
    const char *text;
    size_t bytes;
};

struct cw_mustache_values {
    const struct cw_mustache_value *list;
    size_t count;
};

struct cw_mustache_input {
    struct cw_mustache_values values;
    const char *rows_name; /* the one list: {{#rows_name}} runs once for each row */
    const struct cw_mustache_values *rows;
    size_t row_count;
};

typedef void cw_mustache_put_fn(void *self, const char *data, size_t bytes);

/* put gets the text in pieces, in order; after a result that is not OK they are not all. */
enum cw_mustache_result cw_mustache_render(struct cw_mustache *mustache,
                                           const struct cw_mustache_input *input, size_t bytes_max,
                                           cw_mustache_put_fn *put, void *self);

#ifdef __cplusplus
}
#endif

#endif
