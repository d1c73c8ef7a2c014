/*
 * link: the addresses in a message that lead back: /o/TOKEN.gif, /c/TOKEN, /u/TOKEN.
 *
 * A token names program, customer, cart, touch and the day it expires, and ends in a MAC over the
 * kind and all of it; so it works although the message's row may be gone (an unsubscription is good
 * for ever). In SMS there is room for CW_LINK_SMS_BYTES in all: its token names the partition and,
 * by a keyed hash, the message; the pipeline keeps a row for it. A token never holds an address to
 * go to: where a click leads is the candidate's own.
 *
 * Threads: pure functions of the keys. Bounds: as below.
 * Source:  base64url RFC 4648; the MAC is SipHash-2-4-128 under a secret 128-bit key.
 */
#ifndef CW_PIPELINE_LINK_H
#define CW_PIPELINE_LINK_H

#include "core/hash.h"
#include "core/text.h"
#include "pipeline/decision.h"
#include "pipeline/event.h"

#define CW_LINK_TOKEN_BYTES_MAX 768u
#define CW_LINK_SHORT_BYTES     16u /* of a short token, as text */
#define CW_LINK_SMS_BYTES       40u /* of a whole short link */
#define CW_LINK_TTL_DAYS        90u

enum cw_link_kind {
    CW_LINK_OPEN = 'o',
    CW_LINK_CLICK = 'c',
    CW_LINK_UNSUBSCRIBE = 'u'
};

struct cw_links {
    struct cw_hash_key key; /* secret; the same on every core and after a restart */
    struct cw_view base;    /* https://HOST, without a slash at its end */
};

struct cw_link {
    bool brief; /* a short one: only partition and brief_key are told */
    uint32_t partition;
    uint8_t brief_key[10];                  /* of the row that knows the rest */
    struct cw_view program, customer, cart; /* point into the room given to cw_link_read */
    int64_t first_t0;
    uint32_t touch;
    enum cw_channel channel; /* of the message; a long one tells it */
    int64_t expires_at;      /* rounded up to a whole day when written */
    char message_id[CW_MESSAGE_ID_BYTES];
};

/* Appends the whole address of a long link. */
void cw_link_write(const struct cw_links *links, enum cw_link_kind kind, const struct cw_link *link,
                   struct cw_text *url);

/* Appends a short one; false when base is too long for CW_LINK_SMS_BYTES. */
CW_MUST_USE bool cw_link_write_brief(const struct cw_links *links, enum cw_link_kind kind,
                                     uint32_t partition, const char message_id[CW_MESSAGE_ID_BYTES],
                                     uint8_t brief_key[10], struct cw_text *url);

/* The key of the row that a message's short links lead to. */
void cw_link_brief_key(const struct cw_links *links, const char message_id[CW_MESSAGE_ID_BYTES],
                       uint8_t brief_key[10]);

/* The id of all attempts of a touch (from 1): decision D10 in README.md. */
void cw_message_id(uint32_t partitions, struct cw_view program, struct cw_view customer,
                   struct cw_view cart, int64_t first_t0, uint32_t touch,
                   char id[CW_MESSAGE_ID_BYTES]);

/* What stands behind /o/, /c/ or /u/, without ".gif". False unless it is exactly what was written
   for that kind (time is not looked at: see expires_at). Constant time in the MAC. */
CW_MUST_USE bool cw_link_read(const struct cw_links *links, enum cw_link_kind kind,
                              struct cw_view token, uint32_t partitions,
                              char room[CW_LINK_TOKEN_BYTES_MAX], struct cw_link *link);

#endif
