/* load: what its files share. load_pool.c makes events, load_connection.c speaks on one
   connection, load_run.c keeps the schedule on one thread, load.c is the command. */
#ifndef CW_TOOLS_LOAD_PRIV_H
#define CW_TOOLS_LOAD_PRIV_H

#include "core/text.h"
#include "tools/answer.h"
#include "core/histogram.h"
#include "tools/http_reader.h"
#include "tools/target.h"

#include <stdatomic.h>
#include <sys/socket.h>

/* ---- events ---- */

/* What is different each time an event of the pool is sent. */
enum cw_load_blank {
    CW_LOAD_ID,    /* the event's id */
    CW_LOAD_TIME,  /* now, RFC 3339 */
    CW_LOAD_EPOCH, /* now, in seconds */
    CW_LOAD_TAG,   /* in front of the ids of customers, carts and orders */
    CW_LOAD_BLANKS
};

struct cw_load_pool {
    struct cw_text text; /* of all events, without what goes into the blanks */

    struct cw_load_event {
        uint32_t at, bytes; /* of text */
        uint32_t cut, cuts; /* its blanks */
    } * events;

    struct cw_load_cut {
        uint32_t at; /* of text */
        enum cw_load_blank blank;
    } * cuts;

    uint32_t count, cut_count, cut_capacity;
    cw_err err;
    struct cw_fault *fault;
    struct cw_json_parser *parser;
    struct cw_text marked, entry;
    bool put_events;
};

/* The first `count` events of a generated shop, as lines or as PutEvents entries. */
CW_MUST_USE cw_err cw_load_pool_open(struct cw_load_pool *pool, uint64_t seed, uint32_t count,
                                     bool put_events, struct cw_fault *fault);
void cw_load_pool_close(struct cw_load_pool *pool);

struct cw_load_stamp {
    struct cw_view fill[CW_LOAD_BLANKS];
};

/* Appends event number index (modulo the pool's). */
void cw_load_pool_put(const struct cw_load_pool *pool, uint64_t index,
                      const struct cw_load_stamp *stamp, struct cw_text *out);

/* ---- what came of it ---- */

/*      name        words */
#define CW_LOAD_ERRORS(X)                                        \
    X(CONNECT, "connect", "could not connect")                   \
    X(RESET, "broken", "the connection broke before the answer") \
    X(TIMEOUT, "timeout", "no answer in 10 s, or status 504")    \
    X(THROTTLED, "throttled", "429, 503 or ThrottlingException") \
    X(CLIENT, "refused", "another status from 400 to 499")       \
    X(SERVER, "failed", "another status")                        \
    X(ANSWER, "misunderstood", "the answer is not an engine's")  \
    X(UNSENT, "unsent", "never sent: no connection was free for it")

enum cw_load_error {
#define CW_X(name, text, words) CW_LOAD_ERROR_##name,
    CW_LOAD_ERRORS(CW_X)
#undef CW_X
    CW_LOAD_ERROR_COUNT
};

struct cw_load_result {
    struct cw_histogram latency; /* from the scheduled time to the answer */
    struct cw_histogram late;    /* from the scheduled time to the sending, with one free */
    uint64_t offered, accepted, duplicate, rejected; /* events */
    uint64_t errors[CW_LOAD_ERROR_COUNT];            /* events */
    uint64_t last_ns;                                /* of the last answer */
    char first_refusal[CW_ANSWER_REASON + 80];
};

/* ---- running ---- */

#define CW_LOAD_WAITING_MAX 256u /* requests on their way on one TCP connection */
#define CW_LOAD_TIMEOUT_NS  UINT64_C(10000000000)

struct cw_load_request {
    uint64_t scheduled_ns, sent_ns;
    uint64_t last_line; /* TCP */
    uint32_t events;
};

enum cw_load_state {
    CW_LOAD_CLOSED,
    CW_LOAD_CONNECTING,
    CW_LOAD_OPEN
};

struct cw_load_connection {
    int fd;
    enum cw_load_state state;
    bool wants_write;  /* as epoll was told */
    bool listed;       /* among those that may be free */
    uint64_t since_ns; /* connecting, or closed */
    struct cw_text out;
    size_t out_sent;
    struct cw_http_reader reader;
    struct cw_text in; /* TCP: an acknowledgement that is not complete */
    uint64_t lines, acked;
    struct cw_load_request waiting[CW_LOAD_WAITING_MAX]; /* a ring; HTTP: one */
    uint32_t first, count;
};

struct cw_load_plan {
    struct cw_target target;
    struct sockaddr_storage address;
    socklen_t address_bytes;
    struct cw_load_pool pool;
    uint64_t rate, seed;
    double seconds;
    uint32_t connections, threads, batch;
    uint32_t run; /* names this run in ids */
    bool repeat;  /* every round of the pool is the first again */
    uint64_t start_ns;
    atomic_bool stop;
};

struct cw_load_thread {
    struct cw_load_plan *plan;
    uint32_t index;
    int epoll;
    struct cw_load_connection *connections;
    uint32_t connection_count;
    uint32_t *maybe_free; /* numbers of connections, a ring: to look at thousands each time would
                             make the load slower the more there are */
    uint32_t maybe_first, maybe_count;
    uint64_t events; /* made so far */
    struct cw_json_parser *parser;
    struct cw_text body;
    struct cw_text head; /* constant, when requests are not signed */
    struct cw_load_result result;
    atomic_uint_fast64_t answered; /* for the progress bar */
    cw_err err;
    struct cw_fault fault;
};

/* Opens the connection, or tries to; epoll tells when it is there. */
void cw_load_connect(struct cw_load_thread *thread, struct cw_load_connection *connection,
                     uint64_t now_ns);

/* Closes it; what waits for an answer counts as that error. */
void cw_load_break(struct cw_load_thread *thread, struct cw_load_connection *connection,
                   enum cw_load_error error, uint64_t now_ns);

/* True when it can take a request now. */
bool cw_load_free(const struct cw_load_thread *thread, const struct cw_load_connection *connection);

/* Puts a request of that many events on its way. */
void cw_load_submit(struct cw_load_thread *thread, struct cw_load_connection *connection,
                    uint32_t events, uint64_t scheduled_ns, uint64_t now_ns);

/* What epoll says. */
void cw_load_handle(struct cw_load_thread *thread, struct cw_load_connection *connection,
                    uint32_t ready);

/* self: a cw_load_thread. Runs its share of the plan; result, err and fault tell what came of it.
 */
void *cw_load_run(void *self);

/* The constant head of a request that is not signed. */
void cw_load_head(struct cw_load_thread *thread);

#endif
