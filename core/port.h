/*
 * port: how the outside world reaches a shard, and how a shard reaches what it runs.
 *
 * core declares; io and tools implement sources and channels, pipeline implements the app, tools
 * connects them. They carry bytes, tokens and sequence numbers, nothing of carts. Nothing here
 * blocks.
 */
#ifndef CW_CORE_PORT_H
#define CW_CORE_PORT_H

#include "core/arena.h"
#include "core/view.h"

/* ---- requests and answers ---- */

/* What a request came by; it decides how its answer is dressed. */
enum cw_request_kind {
    CW_REQUEST_HTTP,
    CW_REQUEST_LINES, /* one or more whole NDJSON lines of a TCP connection, in order */
    CW_REQUEST_KIND_COUNT
};

/* What whoever asks may do; each includes the ones before it. */
enum cw_role {
    CW_ROLE_NONE,   /* no credentials asked for or given: links, /healthz */
    CW_ROLE_REPORT, /* reports and counters, nothing of customers */
    CW_ROLE_INGEST, /* puts events in */
    CW_ROLE_ADMIN   /* reads customers, pauses, reloads */
};

enum cw_method {
    CW_METHOD_GET,
    CW_METHOD_HEAD,
    CW_METHOD_POST,
    CW_METHOD_PUT,
    CW_METHOD_DELETE,
    CW_METHOD_OPTIONS,
    CW_METHOD_COUNT
};

struct cw_header {
    struct cw_view name, value; /* in a request: the name in lower case, the value trimmed */
};

/* Views, and headers, stay where they are until the request is answered. LINES: a line longer than
   the limit comes as a request of its own, with an empty body and the query "too-long". */
struct cw_request {
    uint64_t token; /* names it in its answer; never used twice by one source */
    enum cw_request_kind kind;
    enum cw_method method;
    enum cw_role role;
    struct cw_view path, query; /* path is not decoded; query without '?', NULL when none */
    const struct cw_header *headers;
    uint32_t header_count;
    struct cw_view body; /* followed by CW_JSON_PADDING readable bytes */
    uint64_t line;       /* LINES: the number of its first line, from 1 */
    uint64_t arrived_ns; /* monotonic, when its last byte was read */
    struct cw_request *next;
};

/* Copied by whoever sends it, before answer() returns. */
struct cw_answer {
    uint16_t status;
    struct cw_view type; /* Content-Type; NULL when there is no body */
    struct cw_view body;
    const struct cw_header *headers; /* besides type, length and connection */
    uint32_t header_count;
    bool close; /* the connection, after it */
};

/* ---- sources ---- */

/*
 * What a source hands over in one piece: whole lines of text (files), or a list of requests
 * (sockets). Either is in buffers followed by CW_JSON_PADDING readable bytes.
 */
struct cw_chunk {
    const char *text;
    uint32_t bytes;
    uint32_t file;               /* which of the source's files, for messages */
    uint64_t sequence;           /* over the whole source, from 0, without gaps */
    bool starts_file;            /* line numbers begin again at 1 */
    struct cw_request *requests; /* sockets: text is NULL then; answered one by one later */
};

enum cw_poll {
    CW_POLL_READY,
    CW_POLL_LATER, /* nothing now */
    CW_POLL_END    /* nothing ever again */
};

/* Where bytes come from. take() is called by one shard only; chunk `sequence` values that a shard
   gets are its own index, then that plus the number of shards, and so on. */
struct cw_source {
    void *self;
    enum cw_poll (*take)(void *self, uint32_t shard, uint64_t sequence, struct cw_chunk *chunk);
    /* The chunk is decoded; its text is not needed any more (its requests are). */
    void (*done)(void *self, uint32_t shard, const struct cw_chunk *chunk);
};

/* ---- what a shard runs ---- */

/* One core's share of one chunk. content and everything it points to live in the arena, which
   whoever made the batch gets back to reset. */
struct cw_batch {
    _Alignas(CW_CACHE_LINE) struct cw_arena arena; /* the maker's: its line does not travel */
    _Alignas(CW_CACHE_LINE) uint64_t sequence;     /* of the chunk it came from */
    uint32_t from, to;
    bool end;      /* nothing more comes from that shard */
    void *content; /* NULL: nothing for that shard */
};

struct cw_app {
    void *self;
    /* Turns a chunk into one batch for each shard; batches[i] is empty and goes to shard i. */
    void (*decode)(void *self, const struct cw_chunk *chunk, struct cw_batch *const *batches,
                   uint32_t count);
    /* Runs what came for this shard. Batches of an ordered shard come in the order of chunks. It
       may write what became of it into the batch, which goes home after it. */
    void (*run)(void *self, struct cw_batch *batch);
    /* A batch with content that this shard made is back, run; NULL: the app does not ask. */
    void (*home)(void *self, struct cw_batch *batch);
    /* There will be no more batches: ends what is under way, a part each call. True when done; not
       called while full() says so. */
    bool (*finish)(void *self);
    /* Once a turn, before anything else: the passing of time, results of channels, background work
       in small slices. True when some was done. */
    bool (*turn)(void *self);
    /* True when what it has put out has no more room: the shard waits with run(). */
    bool (*full)(void *self);
};

/* ---- commits: what a shard has changed becomes durable before anything of it leaves ---- */

/*
 * The changes of a turn are committed together; commits have numbers that grow by one. A batch that
 * was run is held until the commit with everything that was changed before or by it is durable,
 * and so is the answer to whoever only read. NULL functions: nothing is kept, nothing is held.
 */
struct cw_commit {
    void *self;
    /* The number of the commit that will have, or has, all changes so far. */
    uint64_t (*number)(void *self);
    /* The last one that is durable. */
    uint64_t (*durable)(void *self);
    /* Once a turn, after everything else: takes in what has become durable, begins the next commit,
       background work. True when something was done. */
    bool (*turn)(void *self);
    /* False: too much waits to become durable; no batch is run now. */
    bool (*room)(void *self);
};

/* ---- channels: one message out, one result back ---- */

#define CW_POST_KEY_BYTES    36u
#define CW_POST_REASON_BYTES 160u

/* One message to one address. Views are valid during the call that hands it over. */
struct cw_post {
    char key[CW_POST_KEY_BYTES]; /* of all attempts of this message: the provider's idempotency key
                                  */
    uint32_t shard;              /* whose it is: where its result goes */
    uint32_t attempt;            /* from 1 */
    struct cw_view kind;         /* "email", "sms", "push" */
    struct cw_view to, from;     /* addresses as configured and as customers told them: hostile */
    struct cw_view subject, html, text, title, link;
    struct cw_view unsubscribe;    /* link for the List-Unsubscribe headers; NULL when none */
    const struct cw_header *facts; /* what a webhook tells besides: name, value */
    uint32_t fact_count;
    int64_t now_ms;      /* the engine's clock, for dates in headers and files */
    int64_t deadline_ms; /* worthless after it: how long a provider may queue it */
};

enum cw_posted {
    CW_POSTED_SENT,    /* the provider took it */
    CW_POSTED_REFUSED, /* for good: another attempt is of no use */
    CW_POSTED_LATER,   /* it surely did not take it; try again */
    CW_POSTED_UNKNOWN  /* nobody knows whether it took it */
};

struct cw_post_result {
    char key[CW_POST_KEY_BYTES];
    uint32_t shard;
    enum cw_posted outcome;
    uint32_t retry_after_s;            /* LATER: what the provider asks for; 0: nothing */
    bool untried;                      /* LATER: it never left; the provider is known to be down */
    char reason[CW_POST_REASON_BYTES]; /* ended by NUL, for people; empty when sent */
};

/* How messages leave. post() copies what it takes; false when its queue is full (nothing taken). It
   stays here until the commit that says so is durable: stage() marks what was posted so far as that
   of the commit that begins, release() lets go what was marked. result() hands over one result that
   is this shard's, false when there is none. One shard each. */
struct cw_channel_port {
    void *self;
    bool (*post)(void *self, uint32_t channel, const struct cw_post *post);
    void (*stage)(void *self, uint32_t shard);
    void (*release)(void *self, uint32_t shard);
    bool (*result)(void *self, uint32_t shard, struct cw_post_result *result);
    /* True when the provider takes an idempotency key or collapses duplicates. */
    bool (*collapses)(void *self, uint32_t channel);
};

/* Posts it where no commit has to be waited for. */
static inline bool cw_channel_post_now(const struct cw_channel_port *port, uint32_t channel,
                                       const struct cw_post *post)
{
    bool taken = port->post(port->self, channel, post);
    if (port->stage != NULL) {
        port->stage(port->self, post->shard);
        port->release(port->self, post->shard);
    }
    return taken;
}

#endif
