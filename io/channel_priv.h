/*
 * channel_priv: what channel.c, channel_ctl.c and the ways out (smtp.c, webhook.c, outbox.c) share.
 *
 * One thread runs all channels round one libcurl multi handle. A shard puts a message into the
 * parcels of its lane (one lane a channel and shard); the thread takes it when one of the channel's
 * attempts is free, turns it into what goes over the wire in the attempt's own buffer, and hands
 * the result to the shard's parcels of results. There is no lock.
 */
#ifndef CW_IO_CHANNEL_PRIV_H
#define CW_IO_CHANNEL_PRIV_H

#include "core/text.h"
#include "io/breaker.h"
#include "io/channel.h"
#include "io/mime.h"
#include "io/parcels.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdatomic.h>

#define CW_CHANNEL_SHARDS_MAX    64u
#define CW_CHANNEL_MESSAGE_BYTES (3u << 20) /* of one message as it is handed over */
#define CW_CHANNEL_FACTS_MAX     64u
#define CW_CHANNEL_REPLY_BYTES   1024u
#define CW_CHANNEL_CONNECT_MS    10000u

enum cw_smtp_step {
    CW_SMTP_CLOSED,
    CW_SMTP_CONNECTING, /* libcurl: up to and with EHLO, STARTTLS and AUTH */
    CW_SMTP_MAIL,       /* each is named after the command whose answer is awaited */
    CW_SMTP_RCPT,
    CW_SMTP_DATA,
    CW_SMTP_MESSAGE,
    CW_SMTP_RSET,
    CW_SMTP_IDLE
};

#define CW_SMTP_WAITS_MAX 4u

/* The one connection that an attempt of an SMTP channel keeps. */
struct cw_smtp_link {
    enum cw_smtp_step step;
    CURLM *multi; /* of this connection alone; see smtp.c */
    curl_socket_t socket;
    /* While it connects, what libcurl waits for. */
    struct curl_waitfd waits[CW_SMTP_WAITS_MAX];
    uint32_t wait_count;
    uint64_t timer_ns;
    struct cw_view out; /* still to be written */
    bool used;          /* it has carried a message before this one */
    uint64_t idle_until_ns;
    uint32_t in_bytes, answer_bytes; /* of a line that is not whole; of the lines before it */
    char in[CW_CHANNEL_REPLY_BYTES]; /* of an answer whose line is not whole yet */
    char command[CW_ADDRESS_BYTES_MAX + 32u];
    char mail_from[CW_ADDRESS_BYTES_MAX + 2u], rcpt_to[CW_ADDRESS_BYTES_MAX + 2u];
};

/* One message under way, or room for one. */
struct cw_attempt {
    struct cw_channel *channel;
    struct cw_attempt *next; /* free ones, the last used first */
    char key[CW_POST_KEY_BYTES];
    uint32_t shard;
    bool busy, probe, again;
    bool reached; /* the provider gave some answer */
    uint64_t deadline_ns;
    struct cw_text wire;        /* what is sent */
    size_t sent;                /* of it, handed on */
    CURL *easy;                 /* NULL in an outbox */
    struct curl_slist *headers; /* of a webhook */
    size_t answer_bytes;        /* of its answer's body */
    long stated;                /* the status that its answer's first line says; 0: none */
    uint32_t reply_bytes;
    char reply[CW_CHANNEL_REPLY_BYTES]; /* the beginning of what the provider said last */
    char error[CURL_ERROR_SIZE];        /* libcurl's words */
    struct cw_smtp_link smtp;
};

/* A way to send; a row of the table in channel_ctl.c. */
struct cw_way {
    bool network, collapses;
    cw_err (*open)(struct cw_channel *channel, struct cw_fault *fault);
    /* Sets an attempt's easy handle up, once. */
    void (*set_up)(struct cw_attempt *attempt);
    /* Makes what goes over the wire. True: result says already what became of it. */
    bool (*make)(struct cw_attempt *attempt, const struct cw_post *post,
                 struct cw_post_result *result);
    /* Sends it on its way. The rest is of network ways only. True: settled, see result. */
    bool (*start)(struct cw_attempt *attempt, struct cw_post_result *result);
    /* libcurl is through with the attempt's handle. */
    bool (*done)(struct cw_attempt *attempt, CURLcode code, struct cw_post_result *result);
    /* Its time is over, or the channels stop. */
    void (*give_up)(struct cw_attempt *attempt, const char *why, struct cw_post_result *result);
};

/* What goes back to a shard. */
struct cw_channel_done {
    struct cw_post_result result;
    uint32_t channel;
};

/* What one shard has put into one channel. */
struct cw_lane {
    struct cw_parcels *posts;
    uint32_t outstanding; /* shard's: posted, result not fetched yet */
    uint64_t staged;      /* shard's: where the line of the commit under way ends */
    _Alignas(CW_CACHE_LINE) _Atomic uint64_t posted, full; /* written by the shard */
    _Alignas(CW_CACHE_LINE) _Atomic uint64_t taken;        /* written by the thread */
};

struct cw_channel {
    struct cw_channels *channels;
    const struct cw_way *way;
    struct cw_channel_options options; /* every text ends with NUL and lives in the arena */
    struct cw_view signing;            /* webhook: the secret as bytes */
    char *secrets[2];                  /* what is wiped at the end */
    uint32_t secret_bytes[2];
    struct cw_mime mime;
    struct cw_breaker breaker;
    struct cw_lane *lanes; /* one a shard */
    uint32_t lane_max;     /* messages waiting in one lane */
    uint32_t outstanding_max;
    uint32_t next_lane;
    struct cw_attempt *attempts, *free;
    int directory; /* outbox */
    _Atomic uint64_t outcomes[CW_POSTED_UNKNOWN + 1];
    _Atomic uint32_t under_way;
    _Atomic bool broken;
};

/* An attempt and its share of the waits. */
struct cw_waiting {
    struct cw_attempt *attempt;
    uint32_t first, count;
};

struct cw_channels {
    struct cw_arena arena;
    struct cw_channel *rows;
    uint32_t count, shards;
    struct cw_parcels **results; /* one a shard */
    bool *wake;                  /* thread's: a result was put in since the last wake-up */
    CURLM *multi;
    struct curl_waitfd *waits;  /* room for every attempt of every SMTP channel */
    struct cw_waiting *waiting; /* whose they are */
    struct cw_text scratch, scratch2;
    void (*on_result)(void *self, uint32_t shard);
    void *on_result_self;
    pthread_t thread;
    bool running;
    _Atomic bool asleep;   /* the thread is about to wait, or waits */
    _Atomic bool stopping; /* post() says false */
    _Atomic bool stopped;  /* the thread is gone; shards answer for what was left */
    _Atomic uint64_t stop_ns;
};

extern const struct cw_way cw_way_outbox, cw_way_smtp, cw_way_webhook;

/* channel.c */
void *cw_channels_run(void *self);
void cw_channel_settle(struct cw_attempt *attempt, struct cw_post_result *result);

/* Fills the outcome and the reason; format as printf's, of trusted words; what the provider said
   (attempt->reply) is put behind, cleaned, when there is any. */
void cw_channel_result(struct cw_post_result *result, enum cw_posted outcome,
                       const struct cw_attempt *attempt, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* smtp.c. What an attempt's connection waits for: fills at most CW_SMTP_WAITS_MAX, lowers *until_ns
   to when its time comes. Then what to do when some of it is there; true: its message is settled.
 */
uint32_t cw_smtp_waits(const struct cw_attempt *attempt, struct curl_waitfd *waits,
                       uint64_t *until_ns);
bool cw_smtp_pump(struct cw_attempt *attempt, const struct curl_waitfd *waits, uint32_t count,
                  struct cw_post_result *result);
void cw_smtp_hang_up(struct cw_attempt *attempt);

/* post_json.c: the message as the JSON that webhooks get and the outbox keeps. */
void cw_post_json(struct cw_text *out, struct cw_text *scratch, const struct cw_post *post,
                  struct cw_view from);

#endif
