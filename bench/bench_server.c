/*
 * bench_server: what a request costs the server's thread, over loopback, answered by 204 at once.
 * The clients are plain sockets on a thread of its own: each round it writes to all connections,
 * then reads from all. Loopback does part of the receiver's work in the sender's thread.
 */
#define _GNU_SOURCE 1
#include "bench/bench.h"
#include "io/server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    CONNECTIONS = 64,
    BODY_BYTES = 736, /* a mean event (FEASIBILITY: 20,000 distinct ones) */
    REQUEST_BYTES_MAX = 1024,
    PIPELINED = 16,
    LINES_AT_ONCE = 1024
};

struct state {
    struct cw_server *server;
    struct cw_listener listener;
    int fds[CONNECTIONS];
    uint32_t fd_count, rounds, per_write;
    char *text; /* of one write */
    size_t text_bytes, answer_bytes;
    pthread_t client;
    atomic_bool done;
};

static void must(bool fine)
{
    CW_ASSERT(fine);
}

static void dial(struct state *state)
{
    for (uint32_t i = 0; i < state->fd_count; i++) {
        struct sockaddr_in in = {.sin_family = AF_INET,
                                 .sin_port = htons(state->listener.port),
                                 .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(fd >= 0 && connect(fd, (struct sockaddr *)&in, sizeof in) == 0);
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        state->fds[i] = fd;
    }
}

/* Where io_uring is forbidden its rows would be epoll's; that is said, so that nobody compares. */
static struct state *open_server(enum cw_request_kind kind, uint32_t connections,
                                 enum cw_loop_choice loop)
{
    struct cw_fault fault;
    struct state *state = calloc(1, sizeof *state);
    must(state != NULL);
    state->listener = (struct cw_listener){.kind = kind, .address = CW_VIEW("127.0.0.1:0")};
    struct cw_server_options options = {
        .listeners = &state->listener,
        .listener_count = 1,
        .limits = cw_server_limits_default,
        .loop = loop};
    options.limits.connections = options.limits.connections_per_address = CONNECTIONS + 1;
    must(cw_server_open(&state->server, &options, &fault) == CW_ERR_OK);
    const char *backend = cw_server_backend(state->server);
    if (loop == CW_LOOP_AUTO && strncmp(backend, "io_uring", 8) != 0) {
        (void)fprintf(stderr, "# the next row is of %s\n", backend);
    }
    state->fd_count = connections;
    dial(state);
    return state;
}

static void *setup_http(bool tiny, bool post, uint32_t per_write, uint32_t rounds,
                        enum cw_loop_choice loop)
{
    static const char answer[] = "HTTP/1.1 204 No Content\r\n"
                                 "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n";
    struct state *state = open_server(CW_REQUEST_HTTP, CONNECTIONS, loop);
    char one[REQUEST_BYTES_MAX];
    int bytes =
        snprintf(one, sizeof one, "%s HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: bench\r\n",
                 post ? "POST /v1/events" : "GET /healthz");
    bytes += post ? snprintf(one + bytes, sizeof one - (size_t)bytes,
                             "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%0*d",
                             BODY_BYTES, BODY_BYTES, 0)
                  : snprintf(one + bytes, sizeof one - (size_t)bytes, "\r\n");
    state->text = malloc((size_t)bytes * per_write);
    must(state->text != NULL);
    for (uint32_t i = 0; i < per_write; i++) {
        memcpy(state->text + (size_t)bytes * i, one, (size_t)bytes);
    }
    state->text_bytes = (size_t)bytes * per_write;
    state->answer_bytes = (sizeof answer - 1) * per_write;
    state->per_write = per_write;
    state->rounds = tiny ? 2 : rounds;
    return state;
}

static void *setup_lines_on(bool tiny, enum cw_loop_choice loop)
{
    struct state *state = open_server(CW_REQUEST_LINES, 1, loop);
    state->text_bytes = (size_t)LINES_AT_ONCE * BODY_BYTES;
    state->text = malloc(state->text_bytes);
    must(state->text != NULL);
    memset(state->text, 'x', state->text_bytes);
    for (uint32_t i = 1; i <= LINES_AT_ONCE; i++) {
        state->text[(size_t)i * BODY_BYTES - 1] = '\n';
    }
    state->per_write = LINES_AT_ONCE;
    state->rounds = tiny ? 2 : 500;
    return state;
}

/* Each case on io_uring, and the same on epoll. */
#define SETUP(name, call)                         \
    static void *setup_##name(bool tiny)          \
    {                                             \
        enum cw_loop_choice loop = CW_LOOP_AUTO;  \
        return call;                              \
    }                                             \
    static void *setup_##name##_epoll(bool tiny)  \
    {                                             \
        enum cw_loop_choice loop = CW_LOOP_EPOLL; \
        return call;                              \
    }

SETUP(get, setup_http(tiny, false, 1, 1000, loop))
SETUP(post, setup_http(tiny, true, 1, 1000, loop))
SETUP(get_pipelined, setup_http(tiny, false, PIPELINED, 500, loop))
SETUP(post_pipelined, setup_http(tiny, true, PIPELINED, 300, loop))
SETUP(lines, setup_lines_on(tiny, loop))

static void *run_client(void *arg)
{
    struct state *state = arg;
    char answers[8192];
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
    for (uint32_t round = 0; round < state->rounds; round++) {
        for (uint32_t i = 0; i < state->fd_count; i++) {
            for (size_t at = 0; at < state->text_bytes;) {
                ssize_t n = send(state->fds[i], state->text + at, state->text_bytes - at, 0);
                must(n > 0);
                at += (size_t)n;
            }
        }
        for (uint32_t i = 0; i < state->fd_count; i++) {
            for (size_t got = 0; got < state->answer_bytes;) {
                ssize_t n = recv(state->fds[i], answers, sizeof answers, 0);
                must(n > 0);
                got += (size_t)n;
            }
        }
    }
    atomic_store(&state->done, true);
    cw_server_wake(state->server);
    return NULL;
}

static uint64_t serve(struct state *state, uint64_t wanted, uint64_t *lines)
{
    struct cw_source source = cw_server_source(state->server);
    const struct cw_answer none = {.status = 204};
    uint64_t requests = 0;
    for (uint32_t idle = 0; !atomic_load(&state->done) || *lines < wanted;) {
        struct cw_chunk chunk = {.text = NULL};
        if (source.take(source.self, 0, 0, &chunk) != CW_POLL_READY) {
            if (++idle > 16) { /* as a shard does: a few more looks before it sleeps */
                cw_server_wait(state->server, 1000000);
                idle = 0;
            }
            continue;
        }
        idle = 0;
        for (struct cw_request *request = chunk.requests; request != NULL;) {
            struct cw_request *next = request->next;
            requests++;
            *lines += request->kind == CW_REQUEST_LINES ? request->body.bytes / BODY_BYTES : 1;
            cw_server_answer(state->server, request->token, &none);
            request = next;
        }
    }
    return requests;
}

static uint64_t run(void *self, uint64_t *units)
{
    struct state *state = self;
    uint64_t wanted = (uint64_t)state->rounds * state->fd_count * state->per_write;
    atomic_store(&state->done, false);
    must(pthread_create(&state->client, NULL, run_client, state) == 0);
    uint64_t lines = 0;
    (void)serve(state, wanted, &lines);
    (void)pthread_join(state->client, NULL);
    *units = wanted;
    return lines;
}

static void teardown(void *self)
{
    struct state *state = self;
    for (uint32_t i = 0; i < state->fd_count; i++) {
        (void)close(state->fds[i]);
    }
    cw_server_close(state->server);
    free(state->text);
    free(state);
}

const struct cw_bench_case cw_bench_server[] = {
    {"server.get", "req", 5700, "a bare io_uring server, 98 % of it the kernel's", setup_get, run,
     teardown, 0},
    {"server.get_epoll", "req", 0, NULL, setup_get_epoll, run, teardown, 0},
    {"server.post_736", "req", 5700, "the same", setup_post, run, teardown, 0},
    {"server.post_736_epoll", "req", 0, NULL, setup_post_epoll, run, teardown, 0},
    {"server.get_pipelined_16", "req", 571, "the same", setup_get_pipelined, run, teardown, 0},
    {"server.get_pipelined_16_epoll", "req", 0, NULL, setup_get_pipelined_epoll, run, teardown, 0},
    {"server.post_pipelined_16", "req", 0, NULL, setup_post_pipelined, run, teardown, 0},
    {"server.post_pipelined_16_epoll", "req", 0, NULL, setup_post_pipelined_epoll, run, teardown,
     0},
    {"server.lines_736", "line", 102, "receiving 256 KiB at a time and nothing else", setup_lines,
     run, teardown, BODY_BYTES},
    {"server.lines_736_epoll", "line", 0, NULL, setup_lines_epoll, run, teardown, BODY_BYTES},
    {0},
};
