/* mime_priv: what mime.c and mime_text.c share. Text given to these is clean: UTF-8, and for
   headers one line (io/clean.h). */
#ifndef CW_IO_MIME_PRIV_H
#define CW_IO_MIME_PRIV_H

#include "io/mime.h"

#define CW_MIME_LINE 76u

/* As encoded words, folded, from the column where the output stands. */
void cw_mime_words(struct cw_text *out, struct cw_view text);

/* As it is, folded at blanks, where that is possible; else as encoded words. */
void cw_mime_unstructured(struct cw_text *out, struct cw_view text);

/* The name before an address: atoms, a quoted string, or encoded words. */
void cw_mime_phrase(struct cw_text *out, struct cw_view name);

/* Headers of a part, the empty line, its content; ends with CR LF. type: "plain", "html". */
void cw_mime_body(struct cw_mime *mime, const char *type, struct cw_view body, struct cw_text *out);

#endif
