/*
 * server: one core's listening sockets and connections: HTTP/1.1 and NDJSON over TCP.
 *
 * It proves every request against the grammar, its limits and its credentials, hands it over as
 * bytes, and writes the answer when it comes. Nothing of a bad request reaches the app: it is
 * answered here. Requests of one connection are answered in the order in which they came.
 *
 * Life:    open -> { take | answer | wait }* -> drain -> take* until CW_POLL_END -> close.
 * Memory:  taken at open, by the limits; a request's bytes stay where they are until its answer.
 * Threads: its core only; wake() from any.
 * Bounds:  those of cw_server_limits. Beyond them a caller is refused in its own dialect (HTTP:
 *          503 with Retry-After, PutEvents: 400 ThrottlingException) or reading stops (NDJSON),
 *          before memory grows; each refusal has a named counter.
 * Source:  RFC 9110, RFC 9112; llhttp in its strict mode, with further rules in http.c.
 */
#ifndef CW_IO_SERVER_H
#define CW_IO_SERVER_H

#include "core/err.h"
#include "core/port.h"
#include "io/credentials.h"
#include "io/loop.h"

#define CW_LISTENERS_MAX 16u

struct cw_server; /* opaque */

struct cw_listener {
    enum cw_request_kind kind;
    struct cw_view address;     /* "127.0.0.1:8080", "[::1]:8080", ":8080"; port 0: any */
    bool allow_unauthenticated; /* beyond loopback without credentials is refused without it */
    uint16_t port; /* filled at open; with port 0 a later core opens the one found here */
};

enum {
    CW_SERVER_SPARE = 64 /* connections over the limit that are told so */
};

struct cw_server_limits {
    uint32_t connections;             /* default 16,384 on this core */
    uint32_t connections_per_address; /* default: connections */
    uint32_t header_bytes;            /* 16 KiB, of one request's head */
    uint32_t headers;                 /* 64 */
    uint32_t body_bytes;              /* 2 MiB: 1 MiB of events, and what PutEvents adds */
    uint32_t line_bytes;              /* NDJSON: 1 MiB */
    uint64_t memory_bytes;            /* of requests and answers, on this core: 256 MiB; at
                                         least two of the largest request */
    uint32_t unanswered;              /* requests handed over and not answered: 4,096 */
    uint32_t head_ms, body_ms, body_bytes_per_s, idle_ms,
        answer_ms; /* 10 s, 5 s, 1 KiB/s, 60 s, 4 s */
};

extern const struct cw_server_limits cw_server_limits_default;

struct cw_server_options {
    struct cw_listener *listeners; /* every core opens them all (SO_REUSEPORT) */
    uint32_t listener_count;
    struct cw_server_limits limits;
    const struct cw_credentials *credentials; /* NULL: nobody is asked; every role */
    uint32_t core;            /* 0 is opened first and makes sure that nobody else has the ports */
    enum cw_loop_choice loop; /* io_uring or epoll */
    uint32_t without;         /* enum cw_loop_feature to do without, as on an older kernel */
};

/* CW_ERR_INVALID: an address that cannot be, or may not be used without credentials;
   CW_ERR_IO: the system refuses (in use, no permission). */
CW_MUST_USE cw_err cw_server_open(struct cw_server **server, struct cw_server_options *options,
                                  struct cw_fault *fault);
void cw_server_close(struct cw_server *server);

/* take() turns the loop once, without waiting, and hands over what is complete. */
struct cw_source cw_server_source(struct cw_server *server);

/* Answers a request. Every request handed over is answered once; one whose connection has gone
   meanwhile is answered into nothing. LINES: the answer's body is what is written (an
   acknowledgement line); an empty one writes nothing. */
void cw_server_answer(struct cw_server *server, uint64_t token, const struct cw_answer *answer);

/* For when the core cannot take: calls answer() for each HTTP request that is ready, oldest first;
   those for which it says true it has answered. Within the source's turn, or after it. */
void cw_server_aside(struct cw_server *server,
                     bool (*answer)(void *self, const struct cw_request *request), void *self);

/* Sleeps until a socket has something, wake() is called, or the time is over. */
void cw_server_wait(struct cw_server *server, uint64_t ns_max);
void cw_server_wake(struct cw_server *server);

/* The wall clock is so far ahead of what it may be, and nobody knows which is right: signatures of
   either time are good. 0: it is right. On its core. */
void cw_server_doubt_wall(struct cw_server *server, int64_t ahead_ms);

/* Closes the listening sockets; idle connections at once, the others after their answers, at the
   latest after grace_ms. take() gives CW_POLL_END when all are gone. */
void cw_server_drain(struct cw_server *server, uint32_t grace_ms);

/* Counters of this core, for /metrics: name, help, value, until false. Names that end in _total
   only grow; the others are how it is now. Written by its core only; call on that core. */
CW_MUST_USE bool cw_server_counter(const struct cw_server *server, uint32_t index,
                                   const char **name, const char **help, uint64_t *value);

/* What this server runs on ("io_uring, multishot accept, ...", "epoll (io_uring is forbidden here:
   Operation not permitted)"), for the start-up log. */
const char *cw_server_backend(const struct cw_server *server);

#endif
