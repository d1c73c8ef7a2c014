/*
 * http_reader: takes HTTP/1.1 answers out of a stream of bytes, however they are cut. Small and
 * strict: what it does not understand it refuses, for it is for measuring, not for browsing.
 *
 * Life:    zeroed -> { read* -> (answer) -> next }* -> deinit.
 * Memory:  two buffers that are kept.
 * Bounds:  CW_HTTP_HEAD_MAX, CW_HTTP_BODY_MAX.
 */
#ifndef CW_TOOLS_HTTP_READER_H
#define CW_TOOLS_HTTP_READER_H

#include "core/text.h"

#define CW_HTTP_HEAD_MAX (64u << 10)
#define CW_HTTP_BODY_MAX (16u << 20)

enum cw_http_state {
    CW_HTTP_HEAD,
    CW_HTTP_BODY,       /* `left` bytes more */
    CW_HTTP_TO_END,     /* until the connection ends */
    CW_HTTP_CHUNK_SIZE, /* a line with the size of the next chunk */
    CW_HTTP_CHUNK,      /* `left` bytes more */
    CW_HTTP_CHUNK_END,  /* an empty line */
    CW_HTTP_TRAILERS,   /* lines until an empty one */
    CW_HTTP_COMPLETE
};

struct cw_http_reader {
    enum cw_http_state state;
    uint16_t status;
    bool close; /* the connection is not for another request */
    uint64_t left;
    struct cw_text head; /* also a line that is not complete */
    struct cw_text body;
};

enum cw_http_read {
    CW_HTTP_MORE,
    CW_HTTP_DONE, /* an answer: status, close, body; `used` bytes belonged to it */
    CW_HTTP_BAD
};

enum cw_http_read cw_http_read(struct cw_http_reader *reader, const char *data, size_t bytes,
                               size_t *used);

/* The connection has ended: DONE when that ends the answer. */
enum cw_http_read cw_http_read_end(struct cw_http_reader *reader);

void cw_http_reader_next(struct cw_http_reader *reader);
void cw_http_reader_deinit(struct cw_http_reader *reader);

#endif
