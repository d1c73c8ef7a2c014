/*
 * clean: hostile text made harmless: well-formed UTF-8, one line, printable.
 *
 * Threads: any. Bounds: output has at most three times the bytes of the input.
 */
#ifndef CW_IO_CLEAN_H
#define CW_IO_CLEAN_H

#include "core/text.h"

/* Bytes of the well-formed UTF-8 character (RFC 3629) that begins the text; 0 when none does. */
uint32_t cw_clean_char(const char *text, size_t bytes);

/* Appends the text; each byte that is not UTF-8 becomes U+FFFD. */
void cw_clean_utf8(struct cw_text *out, struct cw_view hostile);

/* The same as one line without blanks at its ends: control characters (C0, DEL, C1, U+2028,
   U+2029) become spaces. */
void cw_clean_line(struct cw_text *out, struct cw_view hostile);

/* Appends to a NUL-terminated text of that room, as far as it goes; all but printable ASCII becomes
   `?`, control characters spaces. For reasons, which end up in logs. */
void cw_clean_reason(char *out, uint32_t room, struct cw_view hostile);

#endif
