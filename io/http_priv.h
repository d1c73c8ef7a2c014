/* http_priv: what http.c and http_head.c share. */
#ifndef CW_IO_HTTP_PRIV_H
#define CW_IO_HTTP_PRIV_H

#include "io/http.h"

struct cw_http_framing {
    bool chunked;
    uint64_t content_length;
};

/* Reads the whole head of http->exchange, which holds nothing else, and lays out its headers. */
enum cw_http_refusal cw_http_head(struct cw_http *http, const struct cw_http_context *context,
                                  struct cw_http_framing *framing);

/* RFC 9110 5.6.2: what names of headers and methods consist of. */
bool cw_http_tchar(unsigned char c);

#endif
