/*
 * channel: how messages leave: a table of ways out, one row each, on a thread of their own.
 *
 * Every channel (email, sms, push, in the order the caller numbers them) has a queue, a number of
 * messages under way and a circuit breaker of its own, so that a slow one never delays another.
 * One attempt is one call of post(); the caller decides about another one after the result.
 *
 * Life:    open -> { post | result }* -> [drain -> result*] -> stop -> close.
 * Memory:  queue_max messages a channel, bounded in bytes.
 * Threads: post and result from the shard they name; open, stop and close on the control plane.
 * Fails:   post() says false when the queue is full. Everything else is a result.
 * Source:  SMTP RFC 5321, messages RFC 5322 and MIME, one-click RFC 8058, webhooks as Standard
 *          Webhooks sign them.
 */
#ifndef CW_IO_CHANNEL_H
#define CW_IO_CHANNEL_H

#include "core/err.h"
#include "core/port.h"

#define CW_CHANNEL_ROWS_MAX 8u

enum cw_channel_type {
    CW_CHANNEL_OUTBOX, /* files in a directory: .eml and .json; nothing is sent */
    CW_CHANNEL_SMTP,
    CW_CHANNEL_WEBHOOK, /* POST of signed JSON */
    CW_CHANNEL_TYPE_COUNT
};

struct cw_channel_options {
    struct cw_view name; /* "email" */
    enum cw_channel_type type;
    struct cw_view url;          /* smtp://host:25, smtps://host:465, https://host/path */
    struct cw_view user, secret; /* SMTP AUTH, or the webhook's signing secret (whsec_...) */
    struct cw_view from;         /* where a message names none */
    struct cw_view directory;    /* outbox */
    struct cw_view host_name;    /* for Message-ID and EHLO */
    bool require_tls;            /* SMTP: no message without STARTTLS (smtps:// always has it) */
    struct cw_view ca_file;      /* NULL: the system's */
    uint32_t timeout_ms;         /* of one attempt: 30,000 */
    uint32_t under_way_max;      /* 64 */
    uint32_t queue_max;          /* 4,096 */
};

struct cw_channels; /* opaque */

CW_MUST_USE cw_err cw_channels_open(struct cw_channels **channels,
                                    const struct cw_channel_options *rows, uint32_t count,
                                    uint32_t shards, struct cw_fault *fault);

/* From now on nothing more is taken. What is under way is settled within grace_ms, the rest has
   result UNKNOWN or, where no byte was sent, LATER: whoever waits for results gets all of them.
   Any thread; once is enough. */
void cw_channels_drain(struct cw_channels *channels, uint32_t grace_ms);

/* Drains, where nobody has yet, and waits for it. */
void cw_channels_stop(struct cw_channels *channels, uint32_t grace_ms);
void cw_channels_close(struct cw_channels *channels);

struct cw_channel_port cw_channels_port(struct cw_channels *channels);

/* Called (from the channels' thread) when a result waits for a shard; set before the first post. */
void cw_channels_on_result(struct cw_channels *channels, void (*wake)(void *self, uint32_t shard),
                           void *self);

/* Per channel, any thread: depth of the queue, under way, and counters by outcome. */
struct cw_channel_state {
    uint64_t posted, outcomes[CW_POSTED_UNKNOWN + 1], full;
    uint32_t queued, under_way;
    bool broken; /* the breaker is open: nothing is tried just now */
};

void cw_channel_look(const struct cw_channels *channels, uint32_t index,
                     struct cw_channel_state *state);

#endif
