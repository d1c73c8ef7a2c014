/*
 * address: e-mail addresses, strictly: what passes here can be put into an SMTP command and into a
 * header as it is.
 *
 * An address is one dot-atom, `@`, one host name: ASCII, no quotes, blanks, brackets, commas or
 * control characters. Addresses that need SMTPUTF8 or quoting are refused, with a reason.
 *
 * Threads: any. Source: RFC 5321 section 4.1.2, RFC 5322 section 3.4.1 without its obsolete forms.
 */
#ifndef CW_IO_ADDRESS_H
#define CW_IO_ADDRESS_H

#include "core/view.h"

#define CW_ADDRESS_BYTES_MAX 254u
#define CW_MAILBOX_NAME_MAX  200u

/* NULL when it is one, else what is wrong, for people (static storage). */
const char *cw_address_problem(struct cw_view address);

/* The same for a host name (letters, digits, hyphens, dots). */
const char *cw_host_problem(struct cw_view host);

struct cw_mailbox {
    struct cw_view address; /* in the text that was parsed */
    uint32_t name_bytes;
    char name[CW_MAILBOX_NAME_MAX]; /* without its quotes; UTF-8 without control characters */
};

/* `a@b`, `Name <a@b>` or `"Name" <a@b>`; NULL when it is one, else what is wrong. */
const char *cw_mailbox_parse(struct cw_view text, struct cw_mailbox *mailbox);

#endif
