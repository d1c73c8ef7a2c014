/*
 * The first byte says into what pieces the rest is cut. However it is cut, the same requests must
 * be read; and what is read must be what llhttp alone, given the whole stream with its bodies,
 * reads there: a request that two readers see differently is how requests are smuggled.
 */
#include "io/http.h"
#include "tests/core/random.h"

#include <llhttp.h>
#include <stdlib.h>

enum {
    REQUESTS_MAX = 256
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    uint64_t hash;
    uint32_t body_bytes;
    bool keep_alive;
};

struct stream {
    struct seen seen[REQUESTS_MAX];
    uint32_t count;
    bool refused;
};

static struct cw_arena arena;
static struct cw_pool pool;
static struct cw_http_context context;

static uint64_t mix(uint64_t hash, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ at[i]) * 0x100000001b3u;
    }
    return hash;
}

static void note(struct stream *stream, const struct cw_exchange *exchange)
{
    CW_ASSERT(stream->count < REQUESTS_MAX);
    const struct cw_request *request = &exchange->request;
    uint64_t hash = mix(0xcbf29ce484222325u, request->path.data, request->path.bytes);
    if (request->query.data != NULL) {
        hash = mix(mix(hash, "?", 1), request->query.data, request->query.bytes);
    }
    hash = mix(hash, request->body.data, request->body.bytes);
    for (uint32_t i = 0; i < request->header_count; i++) { /* all of it is there to be read */
        struct cw_header header = request->headers[i];
        CW_ASSERT(header.name.bytes > 0 && header.value.data != NULL);
        (void)mix(mix(0, header.name.data, header.name.bytes), header.value.data,
                  header.value.bytes);
    }
    (void)mix(0, request->body.data, request->body.bytes + CW_JSON_PADDING);
    stream->seen[stream->count++] = (struct seen){hash, request->body.bytes, exchange->keep_alive};
}

static bool feed(struct cw_http *http, struct stream *stream, const char *data, size_t bytes)
{
    char *copy = malloc(bytes + 1); /* its end is watched by the sanitizer */
    CW_ASSERT(copy != NULL);
    memcpy(copy, data, bytes);
    bool going = true;
    for (size_t at = 0; going && at < bytes;) {
        uint32_t used = 0;
        enum cw_http_event event =
            cw_http_feed(http, &context, copy + at, (uint32_t)(bytes - at), &used);
        at += used;
        if (event == CW_HTTP_REQUEST) {
            struct cw_exchange *exchange = cw_http_take(http);
            note(stream, exchange);
            cw_pool_give(&pool, exchange);
            going = stream->count < REQUESTS_MAX;
        } else if (event == CW_HTTP_REFUSED) {
            CW_ASSERT(http->refusal != CW_HTTP_FINE && http->refusal != CW_HTTP_MEMORY);
            stream->refused = true;
            going = false;
        } else {
            CW_ASSERT(event != CW_HTTP_FULL);
        }
    }
    free(copy);
    return going;
}

static void read_cut(struct stream *stream, const char *data, size_t bytes, uint64_t seed)
{
    struct cw_http http = {.refusal = CW_HTTP_FINE};
    stream->count = 0;
    stream->refused = false;
    uint32_t longest = seed == 0 ? 0 : (uint32_t)(1u << (seed & 7));
    for (size_t at = 0; at < bytes;) {
        size_t part = longest == 0 ? bytes : random_below(&seed, longest) + 1u;
        part = part < bytes - at ? part : bytes - at;
        if (!feed(&http, stream, data + at, part)) {
            break;
        }
        at += part;
    }
    cw_http_stop(&http, &pool);
}

/* ---- what llhttp alone reads ---- */

struct alone {
    const struct stream *ours;
    uint32_t count, body_bytes;
    uint64_t hash;
};

static int on_begin(llhttp_t *parser)
{
    struct alone *alone = parser->data;
    alone->hash = 0xcbf29ce484222325u;
    alone->body_bytes = 0;
    return 0;
}

static int on_bytes(llhttp_t *parser, const char *at, size_t bytes)
{
    struct alone *alone = parser->data;
    alone->hash = mix(alone->hash, at, bytes);
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t bytes)
{
    struct alone *alone = parser->data;
    alone->body_bytes += (uint32_t)bytes;
    return on_bytes(parser, at, bytes);
}

static int on_head(llhttp_t *parser)
{
    parser->upgrade = 0; /* nobody here changes the protocol */
    return 0;
}

static int on_end(llhttp_t *parser)
{
    struct alone *alone = parser->data;
    if (alone->count < alone->ours->count) {
        const struct seen *seen = &alone->ours->seen[alone->count];
        CW_ASSERT(seen->hash == alone->hash && seen->body_bytes == alone->body_bytes);
    }
    alone->count++;
    return 0;
}

static void read_alone(const struct stream *ours, const char *data, size_t bytes)
{
    static const llhttp_settings_t settings = {.on_message_begin = on_begin,
                                               .on_url = on_bytes,
                                               .on_body = on_body,
                                               .on_headers_complete = on_head,
                                               .on_message_complete = on_end};
    struct alone alone = {.ours = ours};
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    llhttp_set_lenient_keep_alive(&parser, 1); /* it is the server that closes */
    parser.data = &alone;
    llhttp_errno_t error = llhttp_execute(&parser, data, bytes);
    /* What is accepted here, llhttp accepts; but it holds extensions of chunks against their
       grammar, and trailers against what headers may mean, both of which are skipped here. */
    bool chunked = error != HPE_OK && (parser.flags & (F_CHUNKED | F_TRAILING)) != 0;
    CW_ASSERT(alone.count >= ours->count || chunked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct stream whole;
    static struct stream cut;
    struct cw_fault fault;
    if (size < 1) {
        return 0;
    }
    if (pool.bytes == 0) {
        CW_ASSERT(cw_arena_open(&arena, 1 << 20, 1 << 22, &fault) == CW_ERR_OK);
        CW_ASSERT(cw_pool_open(&pool, &arena, 8 << 20, 1 << 21, &fault) == CW_ERR_OK);
        context = (struct cw_http_context){.pool = &pool, .limits = {16384, 64, 1 << 20}};
    }
    const char *text = (const char *)data + 1;
    read_cut(&whole, text, size - 1, 0);
    read_cut(&cut, text, size - 1, (uint64_t)data[0] + 1);
    CW_ASSERT(whole.count == cut.count && whole.refused == cut.refused);
    CW_ASSERT(memcmp(whole.seen, cut.seen, whole.count * sizeof *whole.seen) == 0);
    CW_ASSERT(pool.used_bytes == 0);
    read_alone(&whole, text, size - 1);
    return 0;
}
