/*
 * http: reads HTTP/1.1 requests from bytes, in whatever pieces they come. Knows no sockets.
 *
 * A request's head is gathered, read by llhttp (strict) and then held against rules that llhttp
 * does not have; the body's framing is read here, stricter than the RFC allows (one chunk
 * grammar, one length grammar). Every byte of a request that is handed out was checked; after a
 * refusal nothing more of the connection is read, because nobody knows where a next request
 * would begin.
 *
 * Life:    zero-initialised (or cw_http_start) -> { feed -> take }* -> stop.
 * Memory:  one block of the pool for the request being read, as large as what has come of it.
 * Threads: the pool's.
 * Bounds:  those of cw_http_limits; the work is linear in the bytes.
 * Source:  RFC 9110, RFC 9112; the rules are the table of tests/io/test_http.c.
 */
#ifndef CW_IO_HTTP_H
#define CW_IO_HTTP_H

#include "io/exchange.h"

#define CW_HTTP_HEADERS_MAX     256u /* of any configuration */
#define CW_HTTP_TARGET_BYTES    4096u
#define CW_HTTP_EXTENSION_BYTES 256u  /* of one chunk */
#define CW_HTTP_OVERHEAD_BYTES  4096u /* extensions, or trailers, of one body */

struct cw_http_limits {
    uint32_t header_bytes, headers, body_bytes;
};

/* Why a request is refused: name, status, the error's name where AWS clients ask, sentence. */
#define CW_HTTP_REFUSALS(X)                                                                      \
    X(START, 400, "SerializationException", "this is not the beginning of an HTTP request")      \
    X(LINE_END, 400, "SerializationException", "a line of the head must end with CR LF")         \
    X(CONTROL, 400, "SerializationException", "the head holds a control character")              \
    X(FOLDED, 400, "SerializationException", "a header may not go on in a second line")          \
    X(REQUEST_LINE, 400, "SerializationException", "the request line is malformed")              \
    X(METHOD, 501, "SerializationException", "no resource here knows this method")               \
    X(VERSION, 505, "SerializationException", "only HTTP/1.0 and HTTP/1.1 are spoken here")      \
    X(TARGET, 400, "SerializationException",                                                     \
      "the target must begin with / and be visible ASCII without #")                             \
    X(TARGET_LONG, 414, "SerializationException", "the target is longer than 4096 bytes")        \
    X(HEADER, 400, "SerializationException", "a header is malformed")                            \
    X(HEADERS_LARGE, 431, "SerializationException", "the head is too large")                     \
    X(HEADERS_MANY, 431, "SerializationException", "there are too many headers")                 \
    X(HOST, 400, "SerializationException", "there must be one Host header, and a proper one")    \
    X(LENGTH, 400, "SerializationException", "Content-Length must be 1 to 18 digits")            \
    X(CODING, 501, "SerializationException", "the only transfer coding here is chunked")         \
    X(FRAMING, 400, "SerializationException",                                                    \
      "Content-Length or Transfer-Encoding may be given once, the latter in HTTP/1.1")           \
    X(EXPECT, 417, "SerializationException", "the only expectation met here is 100-continue")    \
    X(BODY_LARGE, 413, "RequestEntityTooLargeException", "the body is larger than allowed")      \
    X(CHUNK, 400, "SerializationException", "the chunked body is malformed")                     \
    X(CHUNK_EXTENSION, 400, "SerializationException", "the chunk extensions are too long")       \
    X(TRAILER, 400, "SerializationException", "the trailers are malformed or too long")          \
    /* by the server, not by the reader */                                                       \
    X(MEMORY, 503, "ThrottlingException", "the engine is busy")                                  \
    X(UNANSWERED, 503, "ThrottlingException", "the engine is busy")                              \
    X(CONNECTIONS, 503, "ThrottlingException", "the engine has too many connections")            \
    X(ANSWER_LATE, 504, "InternalFailure",                                                       \
      "no answer in time; it may be stored: send it again, the same id counts once")             \
    X(HEAD_LATE, 408, "RequestTimeoutException", "the head of the request did not come in time") \
    X(BODY_LATE, 408, "RequestTimeoutException", "the body of the request comes too slowly")     \
    X(KEY, 401, "UnrecognizedClientException", "the credentials are not known")                  \
    X(SIGNATURE, 401, "InvalidSignatureException", "the signature or the password is wrong")     \
    X(SKEW, 401, "InvalidSignatureException", "the signature is too old, or of the future")      \
    X(CREDENTIALS, 401, "IncompleteSignatureException", "the credentials are malformed")

enum cw_http_refusal {
    CW_HTTP_FINE,
#define CW_X(name, status, type, text) CW_HTTP_##name,
    CW_HTTP_REFUSALS(CW_X)
#undef CW_X
    CW_HTTP_REFUSAL_COUNT
};

struct cw_http_refusal_info {
    const char *name; /* "LINE_END" */
    uint16_t status;
    const char *type, *text;
};

const struct cw_http_refusal_info *cw_http_refusal_info(enum cw_http_refusal refusal);

/* What one connection has read so far of its next request. */
struct cw_http {
    enum cw_http_refusal refusal;
    /* private */
    uint8_t state;
    bool blank, skip; /* an empty line came first; the body is not kept */
    uint8_t digits;
    struct cw_exchange *exchange;
    uint32_t line_at;    /* where the line being read begins, from the head's start */
    uint32_t head_bytes; /* read of the head */
    uint32_t extension, overhead;
    uint64_t left, body_bytes; /* to come of the body or chunk; of the body so far */
};

struct cw_http_context {
    struct cw_pool *pool;
    struct cw_http_limits limits;
    size_t head_reserve, body_reserve; /* of the pool, left to what is further than this */
};

enum cw_http_event {
    CW_HTTP_MORE,    /* all bytes are used */
    CW_HTTP_HEAD,    /* a head that a body follows; take() now means: skip the body */
    CW_HTTP_FULL,    /* no memory for more of the body: take() it, the rest is skipped */
    CW_HTTP_REQUEST, /* a whole request: take() it */
    CW_HTTP_REFUSED  /* see refusal; take() gives what there is of it (NULL: nothing) */
};

/* Reads on, until there is something to tell; *used says how far it got. */
enum cw_http_event cw_http_feed(struct cw_http *http, const struct cw_http_context *context,
                                const char *data, uint32_t bytes, uint32_t *used);

/* The exchange, whose owner the caller is now. */
struct cw_exchange *cw_http_take(struct cw_http *http);
/* Stops reading; gives what there is of the request (NULL: nothing). */
struct cw_exchange *cw_http_cut(struct cw_http *http);
void cw_http_stop(struct cw_http *http, struct cw_pool *pool);

enum cw_http_reading {
    CW_HTTP_BETWEEN, /* no byte of a next request yet */
    CW_HTTP_IN_HEAD,
    CW_HTTP_IN_BODY
};

enum cw_http_reading cw_http_reading(const struct cw_http *http);

/* Writes an answer. extra: sent besides what `answer` has ("Retry-After: 1\r\n"). False: no room,
   nothing is written. Headers of the app that cannot be sent are left out and counted. */
struct cw_http_dress {
    bool head, version_1_0, keep_alive;
    const char *date;  /* of 29 bytes, as in RFC 9110 5.6.7 */
    const char *extra; /* "" */
};

CW_MUST_USE bool cw_http_write(struct cw_chain *chain, struct cw_pool *pool,
                               const struct cw_http_dress *dress, const struct cw_answer *answer,
                               uint64_t *headers_dropped);

/* The answer to a refusal, in the dialect of whoever asked; exchange may be NULL. */
CW_MUST_USE bool cw_http_refuse(struct cw_chain *chain, struct cw_pool *pool,
                                const struct cw_exchange *exchange, enum cw_http_refusal refusal,
                                const char *reason, struct cw_http_dress dress);

#define CW_HTTP_DATE_BYTES 29u
void cw_http_date(int64_t wall_ms, char out[CW_HTTP_DATE_BYTES]);

#endif
