/*
 * mime: one e-mail as it goes over the wire (RFC 5322, MIME, RFC 8058), from a message.
 *
 * Everything in it is 7-bit: text in headers is RFC 2047 encoded words where it is not plain,
 * bodies are quoted-printable or, where that is smaller, base64. No line begins with a dot, so dot
 * stuffing has nothing to do. Whatever stands in a message, it stays where it belongs: addresses
 * are checked (io/address.h), header text is made one line, links must be plain.
 *
 * Life:    zero-initialised with from and host -> write* -> deinit.
 * Memory:  two buffers that are kept.
 * Threads: one at a time.
 * Fails:   write says false, with a reason, for what can never be sent.
 */
#ifndef CW_IO_MIME_H
#define CW_IO_MIME_H

#include "core/port.h"
#include "core/text.h"
#include "io/address.h"

#define CW_MIME_LINK_BYTES_MAX 900u /* a List-Unsubscribe line stays below 998 */

struct cw_mime {
    struct cw_view from; /* where a message names none: "Name <a@b>" or "a@b" */
    struct cw_view host; /* of Message-ID; checked by cw_host_problem */

    /* Of the last message written: the envelope, terminated by NUL. */
    char mail_from[CW_ADDRESS_BYTES_MAX + 2], rcpt_to[CW_ADDRESS_BYTES_MAX + 2];
    char reason[CW_POST_REASON_BYTES];

    struct cw_text text, encoded; /* scratch */
};

void cw_mime_deinit(struct cw_mime *mime);

/* Appends the message. */
CW_MUST_USE bool cw_mime_write(struct cw_mime *mime, const struct cw_post *post,
                               struct cw_text *out);

/* True when the bytes can be sent as SMTP data as they are: CR and LF only together, lines of at
   most 998 bytes of ASCII without NUL, none beginning with a dot, the last one ended. */
bool cw_mime_sound(struct cw_view message);

/* True when the key is one that can stand in headers and file names: letters, digits, - and _. */
bool cw_mime_key(const char key[CW_POST_KEY_BYTES]);

#endif
