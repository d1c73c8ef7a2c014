/* The outside of a core's server: opening, turns, what is handed over, answers, counters. */
#include "io/clock.h"
#include "io/server_priv.h"

#include <sys/socket.h>
#include <unistd.h>

enum {
    SMALL_BUFFER_BYTES = 1 << 14, /* one holds a request with its body, or many pipelined */
    SMALL_BUFFERS = 512,
    LARGE_BUFFER_BYTES = 1 << 18, /* 64 KiB ones cost lines half as much again (bench/README.md) */
    LARGE_BUFFERS = 16,
    DATE_NS = 250000000, /* how old the Date header may be */
    AUTH_BYTES_MAX = 1 << 13
};

const struct cw_server_limits cw_server_limits_default = {
    .connections = 16384,
    .connections_per_address = 16384,
    .header_bytes = 16 << 10,
    .headers = 64,
    .body_bytes = 2 << 20, /* PutEvents writes JSON within JSON: quotes take two bytes */
    .line_bytes = 1 << 20,
    .memory_bytes = 256u << 20,
    .unanswered = 4096,
    .head_ms = 10000,
    .body_ms = 5000,
    .body_bytes_per_s = 1024,
    .idle_ms = 60000,
    .answer_ms = 4000,
};

/* ---- what the loop tells ---- */

static bool address_full(struct cw_server *server, struct cw_connection *connection, int fd)
{
    struct sockaddr_storage address;
    socklen_t bytes = sizeof address;
    connection->peer = CW_PEERS_NONE;
    if (server->peers == NULL || getpeername(fd, (struct sockaddr *)&address, &bytes) != 0) {
        return false;
    }
    return cw_peers_add(server->peers, &address, &connection->peer) >
           server->limits.connections_per_address;
}

static void on_accepted(void *self, uint32_t listener, int fd)
{
    struct cw_server *server = self;
    cw_server_count(server, CW_COUNT_connections_accepted_total);
    if (server->free_number_count == 0 || server->draining) {
        cw_server_count(server, CW_COUNT_connections_dropped_total);
        (void)close(fd);
        return;
    }
    uint32_t number = server->free_numbers[--server->free_number_count];
    struct cw_connection *connection = &server->connections[number];
    CW_ASSERT(!connection->open);
    /* It may still be on the lists of touched or starved ones, from the one before. */
    *connection = (struct cw_connection){.number = number,
                                         .kind = server->kinds[listener],
                                         .open = true,
                                         .touched = connection->touched,
                                         .next_touched = connection->next_touched,
                                         .starved = connection->starved,
                                         .next_starved = connection->next_starved};
    bool full = address_full(server, connection, fd);
    uint32_t admitted = server->open_count - server->over_count;
    connection->over = full || admitted >= server->limits.connections;
    server->open_count++;
    server->over_count += connection->over;
    bool lines = connection->kind == CW_REQUEST_LINES;
    cw_loop_attach(server->loop, number, fd, lines ? CW_LOOP_LARGE : CW_LOOP_SMALL);
    if (connection->over) {
        cw_server_count(server, CW_COUNT_connections_refused_total);
    }
    if (lines) {
        connection->lines.line = 1;
        connection->lines.known = server->credentials == NULL;
        connection->lines.role = connection->lines.known ? CW_ROLE_ADMIN : CW_ROLE_NONE;
        if (connection->over) {
            cw_server_lines_refuse(server, connection, true, "the engine has too many connections");
        }
    }
    cw_connection_touch(server, connection);
}

static void on_received(void *self, uint32_t number, const char *data, int32_t bytes)
{
    struct cw_server *server = self;
    server->now_ns = cw_clock_monotonic_ns();
    cw_connection_received(server, &server->connections[number], data, bytes);
}

static void on_sent(void *self, uint32_t number, int32_t bytes)
{
    struct cw_server *server = self;
    cw_connection_sent(server, &server->connections[number], bytes);
}

static void on_closed(void *self, uint32_t number)
{
    struct cw_server *server = self;
    struct cw_connection *connection = &server->connections[number];
    CW_ASSERT(connection->open && connection->ended);
    cw_chain_clear(&connection->out, &server->pool);
    if (connection->peer != CW_PEERS_NONE) {
        cw_peers_remove(server->peers, connection->peer);
    }
    connection->open = false;
    server->open_count--;
    server->over_count -= connection->over;
    server->free_numbers[server->free_number_count++] = number;
}

/* ---- opening ---- */

static size_t block_bytes_max(const struct cw_server_limits *limits)
{
    size_t head = limits->header_bytes + limits->headers * sizeof(struct cw_header);
    size_t http = head + limits->body_bytes;
    size_t lines = (size_t)limits->line_bytes + LARGE_BUFFER_BYTES;
    return sizeof(struct cw_exchange) + (http > lines ? http : lines) + CW_JSON_PADDING + 64;
}

static cw_err check_limits(const struct cw_server_limits *limits, struct cw_fault *fault)
{
    if (limits->connections == 0 || limits->connections > (1u << 20) ||
        limits->connections_per_address == 0 || limits->header_bytes < 256 ||
        limits->header_bytes > (1u << 20) || limits->headers == 0 ||
        limits->headers > CW_HTTP_HEADERS_MAX || limits->body_bytes > (1u << 28) ||
        limits->line_bytes == 0 || limits->line_bytes > (1u << 28) ||
        limits->memory_bytes > (1ull << 40) || limits->unanswered == 0 ||
        limits->unanswered >= (1u << CW_SERVER_TOKEN_BITS)) {
        return cw_fail(fault, CW_ERR_INVALID, "a limit of the server is out of its range");
    }
    return CW_ERR_OK;
}

static struct cw_loop_options loop_options(struct cw_server *server)
{
    return (struct cw_loop_options){
        .sockets = server->number_count,
        .buffers = {[CW_LOOP_SMALL] = {SMALL_BUFFER_BYTES, SMALL_BUFFERS},
                    [CW_LOOP_LARGE] = {LARGE_BUFFER_BYTES, LARGE_BUFFERS}},
        .handlers = {.self = server,
                     .accepted = on_accepted,
                     .received = on_received,
                     .sent = on_sent,
                     .closed = on_closed},
    };
}

/* Takes all of the server's memory. */
static cw_err take_memory(struct cw_server *server, struct cw_fault *fault)
{
    const struct cw_server_limits *limits = &server->limits;
    server->number_count = limits->connections + CW_SERVER_SPARE;
    server->slot_count = limits->unanswered;
    server->connections =
        cw_arena_zalloc(&server->arena, server->number_count * sizeof *server->connections, 64);
    server->free_numbers =
        cw_arena_alloc(&server->arena, server->number_count * sizeof *server->free_numbers, 64);
    server->slots = cw_arena_zalloc(&server->arena, server->slot_count * sizeof *server->slots, 64);
    server->free_slots =
        cw_arena_alloc(&server->arena, server->slot_count * sizeof *server->free_slots, 64);
    for (uint32_t i = server->number_count; i-- > 0;) {
        server->free_numbers[server->free_number_count++] = i;
    }
    for (uint32_t i = server->slot_count; i-- > 0;) {
        server->free_slots[server->free_slot_count++] = i;
    }
    if (limits->connections_per_address < limits->connections) {
        server->peers = cw_peers_create(&server->arena, server->number_count);
    }
    server->refusal_names =
        cw_arena_alloc(&server->arena, CW_HTTP_REFUSAL_COUNT * sizeof *server->refusal_names, 8);
    cw_err err = cw_pool_open(&server->pool, &server->arena, limits->memory_bytes,
                              block_bytes_max(limits), fault);
    server->http = (struct cw_http_context){
        .pool = &server->pool,
        .limits = {limits->header_bytes, limits->headers, limits->body_bytes},
        .head_reserve = server->pool.bytes / 8, /* answers always find some room, */
        .body_reserve = server->pool.bytes / 4  /* and heads, so that refusals fit their caller */
    };
    return err;
}

static size_t footprint(const struct cw_server_limits *limits, const struct cw_loop_options *loop)
{
    size_t memory = limits->memory_bytes + 4 * block_bytes_max(limits);
    size_t numbers = limits->connections + CW_SERVER_SPARE;
    return numbers * (sizeof(struct cw_connection) + sizeof(uint32_t)) +
           limits->unanswered * (sizeof(struct cw_slot) + sizeof(uint32_t)) +
           memory / CW_POOL_UNIT_BYTES * 9 + cw_loop_footprint(loop) +
           cw_peers_footprint((uint32_t)numbers) + (size_t)CW_HTTP_REFUSAL_COUNT * 64 + (1u << 16);
}

static void name_refusals(struct cw_server *server)
{
    for (uint32_t i = 1; i < CW_HTTP_REFUSAL_COUNT; i++) {
        const char *name = cw_http_refusal_info((enum cw_http_refusal)i)->name;
        char *out = server->refusal_names[i];
        /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): its end follows */
        memcpy(out, "http_refused_", 13);
        uint32_t at = 13;
        for (; *name != '\0' && at < 50; name++) {
            out[at++] = (char)(*name >= 'A' && *name <= 'Z' ? *name | 0x20 : *name);
        }
        memcpy(out + at, "_total", 7);
    }
}

static cw_err listen_at(struct cw_server *server, struct cw_listener *listener, uint32_t number,
                        struct cw_fault *fault)
{
    struct cw_endpoint address;
    cw_err err = cw_endpoint_parse(listener->address, &address, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    bool asks = server->credentials != NULL && cw_credentials_count(server->credentials) > 0;
    if (!address.loopback && !asks && !listener->allow_unauthenticated) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "listening at %.*s without credentials would let anybody in: configure "
                       "credentials, or allowUnauthenticated: true",
                       (int)listener->address.bytes, listener->address.data);
    }
    if (cw_endpoint_port(&address) == 0 && listener->port != 0) {
        cw_endpoint_set_port(&address, listener->port); /* what another core was given */
    }
    bool first = server->core == 0;
    int fd = -1;
    err = cw_endpoint_listen(&address, first, &fd, &listener->port, fault);
    if (err != CW_ERR_OK) {
        return cw_fail_while(fault, "listening at %.*s", (int)listener->address.bytes,
                             listener->address.data);
    }
    server->kinds[number] = (uint8_t)listener->kind;
    cw_loop_listen(server->loop, number, fd);
    return CW_ERR_OK;
}

static void init_lists(struct cw_server *server)
{
    const struct cw_server_limits *limits = &server->limits;
    const uint64_t ms = 1000000;
    cw_due_init(&server->reading[CW_READING_FREE], 0);
    cw_due_init(&server->reading[CW_READING_IDLE], limits->idle_ms * ms);
    cw_due_init(&server->reading[CW_READING_HEAD], limits->head_ms * ms);
    cw_due_init(&server->reading[CW_READING_BODY], limits->body_ms * ms);
    cw_due_init(&server->reading[CW_READING_LINGER], CW_SERVER_LINGER_MS * ms);
    cw_due_init(&server->writing, limits->head_ms * ms);
    cw_due_init(&server->answers, limits->answer_ms * ms);
    server->ready_end = &server->ready;
    server->touched_end = &server->touched;
}

static cw_err open_parts(struct cw_server *server, struct cw_server_options *options,
                         const struct cw_loop_options *loop, struct cw_fault *fault)
{
    cw_err err = take_memory(server, fault);
    if (err == CW_ERR_OK) {
        err = cw_loop_open(&server->loop, &server->arena, loop, fault);
    }
    if (err == CW_ERR_OK && server->credentials != NULL) {
        err = cw_json_open(&server->json, AUTH_BYTES_MAX, 8, fault);
    }
    for (uint32_t i = 0; i < options->listener_count && err == CW_ERR_OK; i++) {
        err = listen_at(server, &options->listeners[i], i, fault);
        server->listener_count += err == CW_ERR_OK;
    }
    return err;
}

cw_err cw_server_open(struct cw_server **server_out, struct cw_server_options *options,
                      struct cw_fault *fault)
{
    CW_ASSERT(options->listener_count <= CW_LISTENERS_MAX);
    cw_err err = check_limits(&options->limits, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_server proto = {.limits = options->limits,
                              .credentials = options->credentials,
                              .core = options->core,
                              .number_count = options->limits.connections + CW_SERVER_SPARE};
    struct cw_loop_options loop = loop_options(&proto);
    loop.choice = options->loop;
    loop.without = options->without;
    size_t bytes = sizeof proto + footprint(&options->limits, &loop);
    err = cw_arena_open(&proto.arena, bytes, bytes + (1u << 20), fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_server *server = cw_arena_zalloc(&proto.arena, sizeof *server, 64);
    *server = proto;
    loop.handlers.self = server;
    init_lists(server);
    err = open_parts(server, options, &loop, fault);
    if (err != CW_ERR_OK) {
        cw_server_close(server);
        return err;
    }
    name_refusals(server);
    *server_out = server;
    return CW_ERR_OK;
}

void cw_server_close(struct cw_server *server)
{
    if (server->loop != NULL) {
        cw_loop_close(server->loop);
    }
    if (server->json != NULL) {
        cw_json_close(server->json);
    }
    cw_pool_close(&server->pool);
    struct cw_arena arena = server->arena; /* the server lies in it */
    cw_arena_close(&arena);
}

/* ---- turns ---- */

static void on_reading_due(struct cw_server *server, struct cw_connection *connection)
{
    struct cw_http *http = &connection->http;
    enum cw_reading_mode mode = (enum cw_reading_mode)connection->mode;
    connection->mode = CW_READING_FREE;
    cw_due_remove(&connection->reading);
    cw_connection_touch(server, connection);
    if (mode == CW_READING_LINGER) {
        cw_connection_end(server, connection, false);
    } else if (mode == CW_READING_IDLE || connection->kind == CW_REQUEST_LINES) {
        cw_server_count(server, CW_COUNT_connections_idle_total);
        cw_connection_end(server, connection, false);
    } else if (mode == CW_READING_HEAD) {
        cw_server_http_refuse(server, connection, cw_http_cut(http), CW_HTTP_HEAD_LATE, NULL,
                              false);
    } else {
        uint64_t least = (uint64_t)server->limits.body_ms * server->limits.body_bytes_per_s / 1000;
        if (http->skip && http->body_bytes - connection->body_mark < least) {
            cw_connection_end(server, connection, false); /* it has been answered already */
        } else if (http->body_bytes - connection->body_mark < least) {
            cw_server_http_refuse(server, connection, cw_http_cut(http), CW_HTTP_BODY_LATE, NULL,
                                  false);
        } /* else a new time begins when it is settled */
    }
}

#define OF_READING(due) \
    ((struct cw_connection *)(void *)((char *)(due)-offsetof(struct cw_connection, reading)))
#define OF_WRITING(due) \
    ((struct cw_connection *)(void *)((char *)(due)-offsetof(struct cw_connection, writing)))
#define OF_ANSWER(due) \
    ((struct cw_exchange *)(void *)((char *)(due)-offsetof(struct cw_exchange, due)))

static void pass_time(struct cw_server *server)
{
    struct cw_due *due;
    for (uint32_t mode = 0; mode < CW_READING_MODES; mode++) {
        while ((due = cw_due_first(&server->reading[mode], server->now_ns)) != NULL) {
            on_reading_due(server, OF_READING(due));
        }
    }
    while ((due = cw_due_first(&server->writing, server->now_ns)) != NULL) {
        cw_server_count(server, CW_COUNT_connections_stalled_total);
        cw_connection_end(server, OF_WRITING(due), true);
    }
    while ((due = cw_due_first(&server->answers, server->now_ns)) != NULL) {
        cw_due_remove(due);
        cw_server_http_late(server, OF_ANSWER(due));
    }
    if (server->draining && server->now_ns >= server->drain_ns) {
        for (uint32_t i = 0; i < server->number_count; i++) {
            if (server->connections[i].open && !server->connections[i].ended) {
                cw_server_count(server, CW_COUNT_connections_drained_total);
                cw_connection_end(server, &server->connections[i], true);
            }
        }
    }
}

static void settle_touched(struct cw_server *server)
{
    while (server->touched != NULL) {
        struct cw_connection *connection = server->touched;
        server->touched = connection->next_touched;
        if (server->touched == NULL) {
            server->touched_end = &server->touched;
        }
        connection->touched = false;
        cw_connection_settle(server, connection);
    }
}

/* Those whose reading waits for slots or memory have another look. */
static void settle_starved(struct cw_server *server)
{
    struct cw_connection *connection = server->starved;
    server->starved = NULL;
    while (connection != NULL) {
        struct cw_connection *next = connection->next_starved;
        connection->starved = false;
        cw_connection_touch(server, connection);
        connection = next;
    }
}

static void tell_time(struct cw_server *server)
{
    server->now_ns = cw_clock_monotonic_ns();
    if (server->dated_ns == 0 || server->now_ns - server->dated_ns >= DATE_NS) {
        server->dated_ns = server->now_ns;
        cw_http_date(cw_clock_wall_ms(), server->date);
    }
}

/* Moves what is ready into the chunk. */
static bool hand_over(struct cw_server *server, struct cw_chunk *chunk)
{
    struct cw_request *last = server->ready;
    if (last == NULL) {
        return false;
    }
    uint32_t count = 1;
    uint32_t bytes = last->body.bytes;
    while (last->next != NULL && count < CW_SERVER_HAND_OVER_MAX &&
           bytes < CW_SERVER_HAND_OVER_BYTES) {
        last = last->next;
        bytes += last->body.bytes;
        count++;
    }
    chunk->requests = server->ready;
    server->ready = last->next;
    if (server->ready == NULL) {
        server->ready_end = &server->ready;
    }
    last->next = NULL;
    return true;
}

/* All but handing over: reads until slots and memory are taken, and refuses what comes then. */
static void turn(void *self)
{
    struct cw_server *server = self;
    tell_time(server);
    pass_time(server);
    settle_starved(server);
    settle_touched(server);
    cw_loop_turn(server->loop);
    settle_touched(server);
}

static enum cw_poll take(void *self, uint32_t shard, uint64_t sequence, struct cw_chunk *chunk)
{
    struct cw_server *server = self;
    (void)shard;
    turn(server);
    *chunk = (struct cw_chunk){.sequence = sequence};
    if (hand_over(server, chunk)) {
        return CW_POLL_READY;
    }
    return server->draining && server->open_count == 0 ? CW_POLL_END : CW_POLL_LATER;
}

static void done(void *self, uint32_t shard, const struct cw_chunk *chunk)
{
    (void)self; /* requests stay until they are answered */
    (void)shard;
    (void)chunk;
}

struct cw_source cw_server_source(struct cw_server *server)
{
    return (struct cw_source){.self = server, .take = take, .done = done, .turn = turn};
}

void cw_server_answer(struct cw_server *server, uint64_t token, const struct cw_answer *answer)
{
    uint32_t number = (uint32_t)(token & ((1u << CW_SERVER_TOKEN_BITS) - 1));
    CW_ASSERT(number < server->slot_count);
    struct cw_slot *slot = &server->slots[number];
    struct cw_exchange *exchange = slot->exchange;
    CW_ASSERT(exchange != NULL && exchange->request.token == token); /* answered twice? */
    slot->exchange = NULL;
    server->free_slots[server->free_slot_count++] = number;
    exchange->with_app = false;
    if (!exchange->in_order || exchange->answered) {
        cw_server_count(server, CW_COUNT_answers_to_nobody_total);
        cw_exchange_release(server, exchange);
        return;
    }
    struct cw_connection *connection = exchange->connection;
    if (connection->kind == CW_REQUEST_HTTP) {
        cw_server_http_answer(server, exchange, answer);
        return;
    }
    exchange->closes = answer->close;
    struct cw_chain *to = cw_connection_answer_to(connection, exchange);
    if (!cw_chain_put(to, &server->pool, answer->body.data, answer->body.bytes, 0)) {
        cw_server_count(server, CW_COUNT_answers_no_memory_total);
        cw_connection_end(server, connection, true);
        return;
    }
    cw_connection_answered(server, connection, exchange);
}

void cw_server_aside(struct cw_server *server,
                     bool (*answer)(void *self, const struct cw_request *request), void *self)
{
    struct cw_request **at = &server->ready;
    while (*at != NULL) { /* at most limits.unanswered; nothing is read meanwhile */
        struct cw_request *request = *at;
        struct cw_request *next = request->next; /* an answer may end the request at once */
        if (request->kind == CW_REQUEST_HTTP && answer(self, request)) {
            *at = next;
        } else {
            at = &request->next;
        }
    }
    server->ready_end = at;
}

/* When the next deadline is, so that nobody oversleeps it. */
static uint64_t next_due_ns(const struct cw_server *server)
{
    uint64_t next = server->draining ? server->drain_ns : UINT64_MAX;
    for (uint32_t mode = 0; mode < CW_READING_MODES; mode++) {
        uint64_t due = cw_due_next_ns(&server->reading[mode]);
        next = due < next ? due : next;
    }
    uint64_t writing = cw_due_next_ns(&server->writing);
    uint64_t answer = cw_due_next_ns(&server->answers);
    next = writing < next ? writing : next;
    return answer < next ? answer : next;
}

void cw_server_wait(struct cw_server *server, uint64_t ns_max)
{
    tell_time(server);
    /* What was ready before and not taken cannot be taken now: the core waits for others. */
    const struct cw_request *left_over = server->ready;
    settle_touched(server);
    uint64_t next = next_due_ns(server);
    uint64_t left = next > server->now_ns ? next - server->now_ns : 0;
    left = left < ns_max ? left : ns_max;
    if (left > 0 && server->ready == left_over) {
        cw_loop_wait(server->loop, left);
    }
}

void cw_server_doubt_wall(struct cw_server *server, int64_t ahead_ms)
{
    server->ahead_ms = ahead_ms;
}

void cw_server_wake(struct cw_server *server)
{
    cw_loop_wake(server->loop);
}

void cw_server_drain(struct cw_server *server, uint32_t grace_ms)
{
    if (server->draining) {
        return;
    }
    tell_time(server);
    server->draining = true;
    server->drain_ns = server->now_ns + grace_ms * 1000000ull;
    for (uint32_t i = 0; i < server->listener_count; i++) {
        cw_loop_unlisten(server->loop, i);
    }
    for (uint32_t i = 0; i < server->number_count; i++) {
        if (server->connections[i].open && !server->connections[i].ended) {
            cw_connection_touch(server, &server->connections[i]);
        }
    }
}

/* ---- what it tells of itself ---- */

bool cw_server_counter(const struct cw_server *server, uint32_t index, const char **name,
                       const char **help, uint64_t *value)
{
    static const char *const names[] = {
#define CW_X(name, help) #name,
        CW_SERVER_COUNTERS(CW_X)
#undef CW_X
    };
    static const char *const helps[] = {
#define CW_X(name, help) help,
        CW_SERVER_COUNTERS(CW_X)
#undef CW_X
    };
    if (index < CW_SERVER_COUNT_COUNT) {
        *name = names[index];
        *help = helps[index];
        *value = server->counts[index];
        return true;
    }
    index -= CW_SERVER_COUNT_COUNT;
    if (index < CW_HTTP_REFUSAL_COUNT - 1) {
        *name = server->refusal_names[index + 1];
        *help = cw_http_refusal_info((enum cw_http_refusal)(index + 1))->text;
        *value = server->refusals[index + 1];
        return true;
    }
    const struct cw_loop_counts *loop = cw_loop_counts(server->loop);

    const struct {
        const char *name, *help;
        uint64_t value;
    } rest[] = {
        {"connections_open", "Connections open now.", server->open_count},
        {"requests_unanswered", "Requests handed over and not answered, now.",
         server->slot_count - server->free_slot_count},
        {"request_memory_bytes", "Memory of requests and answers in use, now.",
         server->pool.used_bytes},
        {"loop_enters_total", "Calls of io_uring_enter, or of epoll_wait.", loop->enters},
        {"loop_completions_total", "What io_uring completed, or epoll led to.", loop->completions},
        {"loop_out_of_buffers_total", "Receives that found no buffer and were asked for again.",
         loop->receives_out_of_buffers},
        {"accepts_failed_total", "Accepts that failed: no descriptors or memory were left.",
         loop->accepts_failed},
    };

    index -= CW_HTTP_REFUSAL_COUNT - 1;
    if (index >= CW_COUNTOF(rest)) {
        return false;
    }
    *name = rest[index].name;
    *help = rest[index].help;
    *value = rest[index].value;
    return true;
}

const char *cw_server_backend(const struct cw_server *server)
{
    return cw_loop_name(server->loop);
}
