/* send: what its files share. send_read.c finds events in files, send_http.c and send_tcp.c try to
   hand a few of them over, send_deliver.c tries until they are, send.c is the command. */
#ifndef CW_TOOLS_SEND_PRIV_H
#define CW_TOOLS_SEND_PRIV_H

#include "core/text.h"
#include "tools/answer.h"
#include "tools/bar.h"
#include "tools/target.h"

#include <signal.h>

#define CW_SEND_BATCH_MAX   10000u
#define CW_SEND_BATCH_BYTES (768u << 10) /* an engine takes bodies of 1 MiB */
#define CW_SEND_EVENT_BYTES (16u << 20)
#define CW_SEND_SHOWN_MAX   20u /* rejections that are told one by one */

/* ---- reading ---- */

struct cw_send_reader {
    const char *const *names;
    uint32_t count;
    uint32_t file;   /* the one that is open, or the next */
    int spool;       /* a copy of standard input, -1 when it is read as it comes */
    int fd;          /* -1: none is open */
    uint64_t number; /* of the last event: its line, or its place in an array */
    uint64_t bytes;  /* read so far, of all files */
    /* lines */
    struct cw_text buffer;
    size_t start, searched;
    bool ended;
    uint32_t advise_from; /* the next file whose first line is looked at; UINT32_MAX: none */
    bool patient; /* wait for more rather than say CW_SEND_WAIT */
    /* a document, one of whose elements is next */
    struct cw_view content;
    struct cw_json_parser *parser;
    struct cw_json doc;
    uint32_t node;
    struct cw_text flat;
};

enum cw_send_next {
    CW_SEND_EVENT,
    CW_SEND_WAIT, /* the next would have to be waited for */
    CW_SEND_END,
    CW_SEND_FAILED
};

void cw_send_reader_init(struct cw_send_reader *reader, const char *const *names, uint32_t count,
                         int spool);
void cw_send_reader_deinit(struct cw_send_reader *reader);

/* The next event that is not blank, in one line without its end, followed by CW_JSON_PADDING
   readable bytes; valid until the next call. reader->file and ->number say where it stands. */
enum cw_send_next cw_send_read(struct cw_send_reader *reader, struct cw_view *event,
                               struct cw_fault *fault);

/* Copies standard input into a file without a name; -1 on a failure. */
int cw_send_spool(struct cw_fault *fault);

/* ---- handing over ---- */

struct cw_send_item {
    uint64_t number;
    uint32_t file;
    uint32_t at, bytes; /* of the batch's text: a line without its end, or an entry */
};

enum cw_send_verdict {
    CW_SEND_DONE,
    CW_SEND_AGAIN, /* nothing is wrong with the events: later */
    CW_SEND_SPLIT, /* something is wrong with the events, or they are too many at once */
    CW_SEND_STOP   /* nothing will ever be taken: wrong address, credentials, no engine there */
};

struct cw_send_result {
    enum cw_send_verdict verdict;
    uint32_t done; /* items settled and counted, from the first */
    uint32_t retry_after_s;
    bool unreachable; /* nobody is there: a person wants to know at once */
    char why[320];
};

struct cw_send {
    struct cw_target target;
    const char *const *names; /* of the files */
    struct cw_json_parser *events, *answers;
    struct cw_text batch;
    struct cw_send_item items[CW_SEND_BATCH_MAX];
    uint32_t count; /* of items */
    uint64_t accepted, duplicate, rejected, retries, not_sent;
    uint64_t retry_for_ms;
    uint64_t random;
    struct cw_text body;   /* of a request, or lines on their way */
    struct cw_text answer; /* of the engine */
    bool told;             /* that it is trying again */
    struct cw_bar bar;
    /* http */
    void *curl;
    char curl_error[256];
    /* tcp */
    int fd;
    uint64_t lines, acked; /* of this connection */
};

/* Set by a signal: the user wants no more. */
extern volatile sig_atomic_t cw_send_interrupted;

CW_MUST_USE cw_err cw_send_http_open(struct cw_send *send, struct cw_fault *fault);
void cw_send_http_close(struct cw_send *send);
struct cw_send_result cw_send_http(struct cw_send *send, struct cw_send_item *items,
                                   uint32_t count);
/* What the engine's /healthz says of its clock: CW_ERR_IO when it does not. */
CW_MUST_USE cw_err cw_send_ask_clock(struct cw_send *send, int64_t *clock_ms, double *speed,
                                     struct cw_fault *fault);
struct cw_send_result cw_send_tcp(struct cw_send *send, struct cw_send_item *items, uint32_t count);
void cw_send_tcp_close(struct cw_send *send);

/* Counts an event that the engine will not have, and tells of the first of them. */
void cw_send_reject(struct cw_send *send, const struct cw_send_item *item, const char *reason);


/* Hands over all of the batch; false when it had to give up, after saying why. */
CW_MUST_USE bool cw_send_deliver(struct cw_send *send);

/* How long to wait before attempt `tries` (from 1) is repeated: exponential with jitter, never
   less than what the engine asked for. random: any number. */
uint64_t cw_send_pause_ms(uint32_t tries, uint32_t retry_after_s, uint64_t random);

/* Sleeps, unless a signal comes. */
void cw_send_sleep_ms(uint64_t ms);

#endif
