/*
 * exchange: one request and its answer, in one block of the pool.
 *
 * The block holds, one after the other: this struct, the bytes of the head, the table of headers,
 * the body, CW_JSON_PADDING bytes. While it is read the block may be exchanged for a larger one;
 * once the request is whole nothing moves until it is answered.
 *
 * Life:    create -> (grow -> append)* -> handed over -> answered -> given back to the pool.
 * Memory, threads, bounds: the pool's.
 */
#ifndef CW_IO_EXCHANGE_H
#define CW_IO_EXCHANGE_H

#include "core/json.h"
#include "core/port.h"
#include "io/chain.h"
#include "io/due.h"

struct cw_connection;

struct cw_exchange {
    struct cw_request request;
    uint32_t room, used; /* of the block, this struct included; the padding is beyond `used` */
    uint32_t body_at;    /* where the body begins; 0 while the head is read */
    /* how its answer is dressed */
    bool head, version_1_0, keep_alive, put_events, expects;
    /* private to the server */
    bool in_order;                    /* its connection waits for it */
    bool with_app;                    /* handed over (or about to be), not answered by the app */
    bool answered;                    /* what is to be sent is in `answer` */
    bool closes;                      /* the connection ends after it */
    struct cw_exchange *next;         /* of its connection, in order */
    struct cw_due due;                /* its answer */
    struct cw_connection *connection; /* while in order */
    struct cw_chain answer;
};

/* NULL: no room. */
struct cw_exchange *cw_exchange_create(struct cw_pool *pool, size_t bytes, size_t reserve_bytes);

/* Room for `more` bytes and the padding after them; false: none, all is as it was. */
CW_MUST_USE bool cw_exchange_grow(struct cw_exchange **exchange, struct cw_pool *pool, size_t more,
                                  size_t reserve_bytes);

static inline char *cw_exchange_at(struct cw_exchange *exchange, uint32_t offset)
{
    return (char *)exchange + offset;
}

/* The value of a header, its name in lower case; data NULL when there is none. */
static inline struct cw_view cw_exchange_header(const struct cw_request *request,
                                                struct cw_view name)
{
    for (uint32_t i = 0; i < request->header_count; i++) {
        if (cw_view_equal(request->headers[i].name, name)) {
            return request->headers[i].value;
        }
    }
    return (struct cw_view){.data = NULL};
}

#endif
