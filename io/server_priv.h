/*
 * server_priv: what server.c (the outside, listening, turns), connection.c (what every connection
 * goes through), server_http.c and lines.c (the two protocols) share.
 *
 * A connection that something happened to is touched; touched ones are settled once, at the end:
 * cw_connection_settle() is the one place that decides whether to read on, send, finish or end.
 * Nothing ends a connection's struct before the loop said closed(), so pointers to it stay good
 * within a turn; who holds one looks at `ended`.
 */
#ifndef CW_IO_SERVER_PRIV_H
#define CW_IO_SERVER_PRIV_H

#include "core/json.h"
#include "io/endpoint.h"
#include "io/http.h"
#include "io/loop.h"
#include "io/peers.h"
#include "io/server.h"

enum {
    CW_SERVER_PIPELINE_MAX = 64,     /* requests of one HTTP connection that wait for answers */
    CW_SERVER_GROUPS_MAX = 8,        /* groups of lines of one connection, likewise */
    CW_SERVER_UNSENT_MAX = 1 << 18,  /* bytes that a caller does not take, before reading stops */
    CW_SERVER_DISCARD_MAX = 1 << 22, /* bytes thrown away of a connection that is to be closed */
    CW_SERVER_HAND_OVER_MAX = 256,   /* requests, and about so many bytes, in one chunk */
    CW_SERVER_HAND_OVER_BYTES = 1 << 19,
    CW_SERVER_LINGER_MS = 2000, /* after the last answer, for the caller to read it */
    CW_SERVER_TOKEN_BITS = 20   /* of a token that say which slot; the rest how often it was used */
};

#define CW_SERVER_COUNTERS(X)                                                                \
    X(connections_accepted_total, "Connections accepted.")                                   \
    X(connections_refused_total, "Connections over a limit, told so and closed.")            \
    X(connections_dropped_total, "Connections over every limit, closed without a word.")     \
    X(connections_cut_total, "Connections that their caller ended within a request.")        \
    X(connections_idle_total, "Connections closed because nothing came for too long.")       \
    X(connections_stalled_total, "Connections closed because their caller took no answers.") \
    X(connections_failed_total, "Connections that ended with an error of the network.")      \
    X(connections_drained_total, "Connections cut off at the end of a drain.")               \
    X(http_requests_total, "HTTP requests handed over.")                                     \
    X(http_answers_total, "HTTP requests answered by the engine, in time.")                  \
    X(http_paused_total, "Times that reading stopped because a caller sent ahead too far.")  \
    X(http_headers_dropped_total, "Headers of answers that could not be sent as they were.") \
    X(lines_total, "Lines of NDJSON connections handed over.")                               \
    X(lines_groups_total, "Groups of lines handed over.")                                    \
    X(lines_too_long_total, "Lines longer than the limit.")                                  \
    X(lines_paused_total, "Times that reading of lines stopped until answers came.")         \
    X(lines_refused_total, "NDJSON connections refused for their credentials.")              \
    X(lines_no_memory_total, "NDJSON connections closed because there was no memory.")       \
    X(answers_to_nobody_total, "Answers whose caller had gone, or was told 503 before.")     \
    X(answers_no_memory_total, "Connections closed because an answer found no memory.")      \
    X(received_bytes_total, "Bytes received.")                                               \
    X(sent_bytes_total, "Bytes sent.")

enum cw_server_count {
#define CW_X(name, help) CW_COUNT_##name,
    CW_SERVER_COUNTERS(CW_X)
#undef CW_X
    CW_SERVER_COUNT_COUNT
};

struct cw_lines {
    struct cw_exchange *exchange; /* lines, and the beginning of the next one */
    uint64_t line;                /* number of its first line */
    uint32_t complete, from;      /* whole lines in it; where the last one is not whole yet */
    bool skipping, known;         /* in a line too long; its credentials were checked */
    enum cw_role role;
};

enum cw_reading_mode {
    CW_READING_FREE, /* no deadline */
    CW_READING_IDLE,
    CW_READING_HEAD,
    CW_READING_BODY,
    CW_READING_LINGER,
    CW_READING_MODES
};

struct cw_connection {
    uint32_t number, peer;
    uint8_t kind; /* enum cw_request_kind */
    bool open, ended;
    bool over;     /* over a limit: every request is refused */
    bool last;     /* nothing is read any more; what comes is thrown away */
    bool eof;      /* nothing comes any more */
    bool finished; /* the other side was told the end */
    bool sending, paused;
    bool touched, starved;
    uint8_t mode; /* enum cw_reading_mode */
    uint32_t pending, discarded;
    uint64_t body_mark; /* bytes of the body when its time began */
    struct cw_http http;
    struct cw_lines lines;
    struct cw_exchange *first, *newest;
    struct cw_chain out, stash; /* stash: read, not looked at yet */
    struct cw_connection *next_touched, *next_starved;
    struct cw_due reading, writing;
};

struct cw_slot {
    struct cw_exchange *exchange;
    uint64_t turn;
};

struct cw_server {
    struct cw_arena arena;
    struct cw_pool pool;
    struct cw_loop *loop;
    struct cw_server_limits limits;
    const struct cw_credentials *credentials;
    struct cw_http_context http;
    struct cw_peers *peers; /* NULL: not counted by address */
    struct cw_json_parser *json;
    uint32_t core, listener_count;
    uint8_t kinds[CW_LISTENERS_MAX];
    struct cw_connection *connections;
    uint32_t *free_numbers;
    uint32_t number_count, free_number_count, open_count, over_count; /* over: of the open ones */
    struct cw_slot *slots;
    uint32_t *free_slots;
    uint32_t slot_count, free_slot_count;
    struct cw_request *ready, **ready_end; /* whole, not handed over */
    struct cw_connection *touched, **touched_end, *starved;
    struct cw_due_list reading[CW_READING_MODES], writing, answers;
    uint64_t now_ns, dated_ns, drain_ns;
    char date[CW_HTTP_DATE_BYTES];
    int64_t ahead_ms; /* of a wall clock that is not believed; 0: it is */
    bool draining;
    uint64_t counts[CW_SERVER_COUNT_COUNT];
    uint64_t refusals[CW_HTTP_REFUSAL_COUNT];
    char (*refusal_names)[64];
};

static inline void cw_server_count(struct cw_server *server, enum cw_server_count count)
{
    server->counts[count]++;
}

/* ---- connection.c ---- */

void cw_connection_touch(struct cw_server *server, struct cw_connection *connection);
void cw_connection_settle(struct cw_server *server, struct cw_connection *connection);
void cw_connection_received(struct cw_server *server, struct cw_connection *connection,
                            const char *data, int32_t bytes);
void cw_connection_sent(struct cw_server *server, struct cw_connection *connection, int32_t bytes);
/* Ends it at once; requests that are with the app are answered to nobody. */
void cw_connection_end(struct cw_server *server, struct cw_connection *connection, bool reset);
/* May more of what it sends be looked at? */
bool cw_connection_may_read(const struct cw_server *server, const struct cw_connection *connection);

/* Puts an exchange at the end of those that its connection answers in order. */
void cw_connection_enqueue(struct cw_connection *connection, struct cw_exchange *exchange);
/* Where its answer is written: what is sent at once when it is its turn. */
struct cw_chain *cw_connection_answer_to(struct cw_connection *connection,
                                         struct cw_exchange *exchange);
/* Its answer is written: sends what stands in line. */
void cw_connection_answered(struct cw_server *server, struct cw_connection *connection,
                            struct cw_exchange *exchange);
void cw_exchange_release(struct cw_server *server, struct cw_exchange *exchange);

/* Gives a whole request a token and puts it where take() finds it; false: no slot is free. */
CW_MUST_USE bool cw_server_hand_over(struct cw_server *server, struct cw_connection *connection,
                                     struct cw_exchange *exchange);

/* ---- server_http.c ---- */

/* Both return how many bytes were used: fewer when reading has to wait. */
uint32_t cw_server_http_input(struct cw_server *server, struct cw_connection *connection,
                              const char *data, uint32_t bytes);
/* exchange: owned, may be NULL. keep: the connection goes on after it. */
void cw_server_http_refuse(struct cw_server *server, struct cw_connection *connection,
                           struct cw_exchange *exchange, enum cw_http_refusal refusal,
                           const char *reason, bool keep);
void cw_server_http_answer(struct cw_server *server, struct cw_exchange *exchange,
                           const struct cw_answer *answer);
/* The app has not answered in time. */
void cw_server_http_late(struct cw_server *server, struct cw_exchange *exchange);

/* ---- lines.c ---- */

uint32_t cw_server_lines_input(struct cw_server *server, struct cw_connection *connection,
                               const char *data, uint32_t bytes);
/* The caller sends no more: a last line without an end counts. */
void cw_server_lines_eof(struct cw_server *server, struct cw_connection *connection);
/* Hands over what is whole, when there is room for it. */
void cw_server_lines_flush(struct cw_server *server, struct cw_connection *connection);
/* Ends the connection with the reason. again: later it may be taken. */
void cw_server_lines_refuse(struct cw_server *server, struct cw_connection *connection, bool again,
                            const char *reason);

#endif
