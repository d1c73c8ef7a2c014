/*
 * The reader is a state machine over bytes. Heads are gathered line by line (only the ends of lines
 * are looked at, by memchr) until the empty one, and then read whole by http_head.c; bodies are
 * copied behind their head. So a request that came in a hundred pieces is read exactly as one that
 * came in one piece: nothing but the framing depends on where the pieces end.
 */
#include "io/http.h"

#include "io/http_priv.h"

enum state {
    START, /* zero */
    HEAD,
    BODY,
    CHUNK_SIZE,
    CHUNK_EXTENSION,
    CHUNK_SIZE_LF,
    CHUNK_DATA,
    CHUNK_DATA_CR,
    CHUNK_DATA_LF,
    TRAILER,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    WHOLE, /* to be taken */
    DEAD
};

enum {
    FIRST_BLOCK_BYTES = 1 << 10, /* gives the smallest block */
    REQUEST_LINE_REST = 64,      /* method, blanks and version round the target, generously */
    CHUNK_DIGITS_MAX = 8
};

static const struct cw_http_refusal_info infos[CW_HTTP_REFUSAL_COUNT] = {
    [CW_HTTP_FINE] = {"FINE", 200, "", ""},
#define CW_X(name, status, type, text) [CW_HTTP_##name] = {#name, status, type, text},
    CW_HTTP_REFUSALS(CW_X)
#undef CW_X
};

const struct cw_http_refusal_info *cw_http_refusal_info(enum cw_http_refusal refusal)
{
    CW_ASSERT(refusal < CW_HTTP_REFUSAL_COUNT);
    return &infos[refusal];
}

struct cursor {
    const char *data;
    uint32_t bytes, at;
};

static enum cw_http_event refuse(struct cw_http *http, enum cw_http_refusal refusal)
{
    http->refusal = refusal;
    http->state = DEAD;
    return CW_HTTP_REFUSED;
}

/* The next request may begin. */
static void start(struct cw_http *http)
{
    CW_ASSERT(http->exchange == NULL);
    *http = (struct cw_http){.state = START};
}

/* ---- heads ---- */

static enum cw_http_event begin(struct cw_http *http, const struct cw_http_context *context,
                                const struct cursor *in)
{
    unsigned char first = (unsigned char)in->data[in->at];
    if (!cw_http_tchar(first) && (first != '\r' || http->blank)) {
        return refuse(http, CW_HTTP_START);
    }
    http->exchange = cw_exchange_create(context->pool, FIRST_BLOCK_BYTES, context->head_reserve);
    if (http->exchange == NULL) {
        return refuse(http, CW_HTTP_MEMORY);
    }
    http->state = HEAD;
    http->line_at = http->head_bytes = 0;
    return CW_HTTP_MORE;
}

/* What a head that is longer than allowed is refused for. */
static enum cw_http_refusal too_long(const struct cw_http *http,
                                     const struct cw_http_context *context, uint32_t head_bytes)
{
    if (http->line_at == 0 && head_bytes > CW_HTTP_TARGET_BYTES + REQUEST_LINE_REST) {
        return CW_HTTP_TARGET_LONG;
    }
    return head_bytes > context->limits.header_bytes ? CW_HTTP_HEADERS_LARGE : CW_HTTP_FINE;
}

/* Walks the lines of what has come. *end: the empty line is among them; *take: bytes of the head.
 */
static enum cw_http_refusal walk_lines(struct cw_http *http, const struct cw_http_context *context,
                                       const struct cursor *in, uint32_t *take, bool *end)
{
    const char *data = in->data + in->at;
    uint32_t bytes = in->bytes - in->at;
    uint32_t before = http->head_bytes;
    char last = before == 0 ? '\0' : *cw_exchange_at(http->exchange, http->exchange->used - 1);
    for (*take = 0; !*end && *take < bytes;) {
        const char *lf = memchr(data + *take, '\n', bytes - *take);
        uint32_t next = lf == NULL ? bytes : (uint32_t)(lf - data) + 1;
        enum cw_http_refusal refusal = too_long(http, context, before + next);
        if (refusal != CW_HTTP_FINE) {
            return refusal;
        }
        if (lf == NULL) {
            *take = next;
            break;
        }
        if ((lf == data ? last : lf[-1]) != '\r') {
            return CW_HTTP_LINE_END;
        }
        *take = next;
        *end = before + next - http->line_at == 2;
        http->line_at = before + next;
    }
    return CW_HTTP_FINE;
}

static enum cw_http_event head_done(struct cw_http *http, const struct cw_http_context *context)
{
    struct cw_exchange *exchange = http->exchange;
    if (http->head_bytes == 2) { /* an empty line before a request: once (RFC 9112, 2.2) */
        http->exchange = NULL;
        cw_pool_give(context->pool, exchange);
        start(http);
        http->blank = true;
        return CW_HTTP_MORE;
    }
    struct cw_http_framing framing = {.chunked = false};
    enum cw_http_refusal refusal = cw_http_head(http, context, &framing);
    if (refusal != CW_HTTP_FINE) {
        return refuse(http, refusal);
    }
    http->body_bytes = http->overhead = 0;
    if (framing.chunked) {
        http->state = CHUNK_SIZE;
        http->left = http->digits = 0;
        return CW_HTTP_HEAD;
    }
    http->left = framing.content_length;
    http->state = http->left == 0 ? WHOLE : BODY;
    return http->left == 0 ? CW_HTTP_REQUEST : CW_HTTP_HEAD;
}

static enum cw_http_event read_head(struct cw_http *http, const struct cw_http_context *context,
                                    struct cursor *in)
{
    uint32_t take = 0;
    bool end = false;
    enum cw_http_refusal refusal = walk_lines(http, context, in, &take, &end);
    if (refusal != CW_HTTP_FINE) {
        return refuse(http, refusal);
    }
    if (!cw_exchange_grow(&http->exchange, context->pool, take, context->head_reserve)) {
        return refuse(http, CW_HTTP_MEMORY);
    }
    struct cw_exchange *exchange = http->exchange;
    memcpy(cw_exchange_at(exchange, exchange->used), in->data + in->at, take);
    exchange->used += take;
    http->head_bytes += take;
    in->at += take;
    return end ? head_done(http, context) : CW_HTTP_MORE;
}

/* ---- bodies ---- */

/* Copies body bytes that may come now. */
static enum cw_http_event keep(struct cw_http *http, const struct cw_http_context *context,
                               struct cursor *in)
{
    uint64_t here = in->bytes - in->at;
    uint32_t part = (uint32_t)(here < http->left ? here : http->left);
    if (!http->skip) {
        if (!cw_exchange_grow(&http->exchange, context->pool, part, context->body_reserve)) {
            return CW_HTTP_FULL;
        }
        struct cw_exchange *exchange = http->exchange;
        memcpy(cw_exchange_at(exchange, exchange->used), in->data + in->at, part);
        exchange->used += part;
    }
    in->at += part;
    http->left -= part;
    http->body_bytes += part;
    return CW_HTTP_MORE;
}

static enum cw_http_event whole(struct cw_http *http)
{
    if (http->skip) {
        start(http);
        return CW_HTTP_MORE;
    }
    struct cw_exchange *exchange = http->exchange;
    exchange->request.body = (struct cw_view){.data = cw_exchange_at(exchange, exchange->body_at),
                                              .bytes = exchange->used - exchange->body_at};
    http->state = WHOLE;
    return CW_HTTP_REQUEST;
}

static int hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool control(unsigned char c)
{
    return (c < ' ' && c != '\t') || c == 0x7f;
}

/* A byte of the line with a chunk's size. */
static enum cw_http_refusal size_byte(struct cw_http *http, const struct cw_http_context *context,
                                      unsigned char c)
{
    int digit = hex_digit(c);
    if (digit >= 0) {
        if (http->digits == CHUNK_DIGITS_MAX) {
            return CW_HTTP_CHUNK;
        }
        http->digits++;
        http->left = http->left << 4 | (uint64_t)digit;
        bool over = http->body_bytes + http->left > context->limits.body_bytes;
        return over ? CW_HTTP_BODY_LARGE : CW_HTTP_FINE;
    }
    if (http->digits == 0 || (c != ';' && c != '\r')) {
        return CW_HTTP_CHUNK;
    }
    http->extension = 0;
    http->state = c == ';' ? CHUNK_EXTENSION : CHUNK_SIZE_LF;
    return CW_HTTP_FINE;
}

static enum cw_http_refusal extension_byte(struct cw_http *http, unsigned char c)
{
    if (c == '\r') {
        http->state = CHUNK_SIZE_LF;
        return CW_HTTP_FINE;
    }
    http->extension++;
    http->overhead++;
    bool over =
        http->extension > CW_HTTP_EXTENSION_BYTES || http->overhead > CW_HTTP_OVERHEAD_BYTES;
    return over ? CW_HTTP_CHUNK_EXTENSION : control(c) ? CW_HTTP_CHUNK : CW_HTTP_FINE;
}

/* Trailers are held against the grammar of headers and forgotten. */
static enum cw_http_refusal trailer_byte(struct cw_http *http, unsigned char c)
{
    http->overhead++;
    bool right = false;
    switch (http->state) {
    case TRAILER:
        right = cw_http_tchar(c) || c == '\r';
        http->state = c == '\r' ? END_LF : TRAILER_NAME;
        break;
    case TRAILER_NAME:
        right = cw_http_tchar(c) || c == ':';
        http->state = c == ':' ? TRAILER_VALUE : TRAILER_NAME;
        break;
    case TRAILER_VALUE:
        right = !control(c) || c == '\r';
        http->state = c == '\r' ? TRAILER_LF : TRAILER_VALUE;
        break;
    default:
        CW_ASSERT(http->state == TRAILER_LF);
        right = c == '\n';
        http->state = TRAILER;
        break;
    }
    return right && http->overhead <= CW_HTTP_OVERHEAD_BYTES ? CW_HTTP_FINE : CW_HTTP_TRAILER;
}

/* A byte between the data of chunks. */
static enum cw_http_refusal chunk_byte(struct cw_http *http, const struct cw_http_context *context,
                                       unsigned char c)
{
    switch (http->state) {
    case CHUNK_SIZE: return size_byte(http, context, c);
    case CHUNK_EXTENSION: return extension_byte(http, c);
    case CHUNK_SIZE_LF:
        http->state = http->left == 0 ? TRAILER : CHUNK_DATA;
        http->overhead = http->left == 0 ? 0 : http->overhead; /* the trailers have their own */
        return c == '\n' ? CW_HTTP_FINE : CW_HTTP_CHUNK;
    case CHUNK_DATA_CR:
        http->state = CHUNK_DATA_LF;
        return c == '\r' ? CW_HTTP_FINE : CW_HTTP_CHUNK;
    case CHUNK_DATA_LF:
        http->state = CHUNK_SIZE;
        http->left = http->digits = 0;
        return c == '\n' ? CW_HTTP_FINE : CW_HTTP_CHUNK;
    default: return trailer_byte(http, c);
    }
}

static enum cw_http_event read_body(struct cw_http *http, const struct cw_http_context *context,
                                    struct cursor *in)
{
    if (http->state == BODY || http->state == CHUNK_DATA) {
        enum cw_http_event event = keep(http, context, in);
        if (event == CW_HTTP_MORE && http->left == 0) {
            if (http->state == BODY) {
                return whole(http);
            }
            http->state = CHUNK_DATA_CR;
        }
        return event;
    }
    unsigned char c = (unsigned char)in->data[in->at++];
    if (http->state == END_LF) {
        return c == '\n' ? whole(http) : refuse(http, CW_HTTP_TRAILER);
    }
    enum cw_http_refusal refusal = chunk_byte(http, context, c);
    return refusal == CW_HTTP_FINE ? CW_HTTP_MORE : refuse(http, refusal);
}

/* ---- the outside ---- */

enum cw_http_event cw_http_feed(struct cw_http *http, const struct cw_http_context *context,
                                const char *data, uint32_t bytes, uint32_t *used)
{
    CW_ASSERT(http->state != WHOLE && http->state != DEAD);
    struct cursor in = {.data = data, .bytes = bytes};
    enum cw_http_event event = CW_HTTP_MORE;
    while (event == CW_HTTP_MORE && in.at < in.bytes) {
        if (http->state == START) {
            event = begin(http, context, &in);
        } else if (http->state == HEAD) {
            event = read_head(http, context, &in);
        } else {
            event = read_body(http, context, &in);
        }
    }
    *used = in.at;
    return event;
}

struct cw_exchange *cw_http_take(struct cw_http *http)
{
    struct cw_exchange *exchange = http->exchange;
    http->exchange = NULL;
    if (http->state == WHOLE) {
        start(http);
    } else if (http->state != DEAD) {
        CW_ASSERT(http->state > HEAD); /* a head was told, or that the body finds no room */
        http->skip = true;
    }
    return exchange;
}

struct cw_exchange *cw_http_cut(struct cw_http *http)
{
    struct cw_exchange *exchange = http->exchange;
    http->exchange = NULL;
    http->state = DEAD;
    return exchange;
}

void cw_http_stop(struct cw_http *http, struct cw_pool *pool)
{
    struct cw_exchange *exchange = cw_http_cut(http);
    if (exchange != NULL) {
        cw_pool_give(pool, exchange);
    }
}

enum cw_http_reading cw_http_reading(const struct cw_http *http)
{
    if (http->state == START || http->state == DEAD) {
        return CW_HTTP_BETWEEN;
    }
    return http->state == HEAD ? CW_HTTP_IN_HEAD : CW_HTTP_IN_BODY;
}
