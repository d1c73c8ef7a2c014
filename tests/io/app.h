/* app: a server on a thread with a toy app, and plain sockets to talk to it. */
#ifndef CW_TESTS_IO_APP_H
#define CW_TESTS_IO_APP_H

#include "io/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

struct app {
    struct cw_server *server;
    pthread_t thread;
    struct cw_listener listeners[2];
    struct cw_server_options options;
    atomic_bool stop; /* drain */
    atomic_uint grace_ms;
    atomic_bool hold;      /* answer nothing for now */
    atomic_bool backwards; /* answer what came in one chunk from the last to the first */
    atomic_uint requests;
    uint64_t held[8192];
    struct cw_request *held_requests[8192];
    uint32_t held_count;
};

/* Echoes: path, query and body in the body. Lines: how many bytes from which line on. */
static void app_answer(struct app *app, const struct cw_request *request)
{
    static __thread char body[1 << 21];
    if (request->kind == CW_REQUEST_LINES) {
        int n = snprintf(body, sizeof body, "{\"line\":%llu,\"bytes\":%u%s}\n",
                         (unsigned long long)request->line, request->body.bytes,
                         request->query.bytes > 0 ? ",\"tooLong\":true" : "");
        struct cw_answer answer = {.body = {body, (uint32_t)n}};
        cw_server_answer(app->server, request->token, &answer);
        return;
    }
    if (cw_view_equal(request->path, CW_VIEW("/nothing"))) {
        struct cw_answer answer = {.status = 204};
        cw_server_answer(app->server, request->token, &answer);
        return;
    }
    int n = snprintf(body, sizeof body, "%.*s|%.*s|", (int)request->path.bytes, request->path.data,
                     (int)request->query.bytes, request->query.data);
    memcpy(body + n, request->body.data, request->body.bytes);
    uint32_t bytes = (uint32_t)n + request->body.bytes;
    if (cw_view_equal(request->path, CW_VIEW("/large"))) {
        memset(body + n, 'L', 1 << 20);
        bytes = (uint32_t)n + (1 << 20);
    }
    struct cw_answer answer = {.status = 200,
                               .type = CW_VIEW("text/plain"),
                               .body = {body, bytes},
                               .close = cw_view_equal(request->path, CW_VIEW("/close"))};
    cw_server_answer(app->server, request->token, &answer);
}

static inline void app_requests(struct app *app, struct cw_request *request)
{
    struct cw_request *list[1024];
    uint32_t count = 0;
    for (; request != NULL; request = request->next) {
        atomic_fetch_add(&app->requests, 1);
        list[count++] = request;
    }
    bool backwards = atomic_load(&app->backwards);
    for (uint32_t i = 0; i < count; i++) {
        struct cw_request *next = list[backwards ? count - 1 - i : i];
        if (atomic_load(&app->hold) || cw_view_equal(next->path, CW_VIEW("/hold"))) {
            app->held_requests[app->held_count++] = next;
        } else {
            app_answer(app, next);
        }
    }
}

static inline void *app_run(void *arg)
{
    struct app *app = arg;
    struct cw_source source = cw_server_source(app->server);
    bool draining = false;
    for (uint64_t sequence = 0;;) {
        struct cw_chunk chunk = {.text = NULL};
        enum cw_poll poll = source.take(source.self, 0, sequence, &chunk);
        if (poll == CW_POLL_END) {
            break;
        }
        if (poll == CW_POLL_READY) {
            sequence++;
            app_requests(app, chunk.requests);
            source.done(source.self, 0, &chunk);
        } else {
            cw_server_wait(app->server, 20000000);
        }
        if (!atomic_load(&app->hold)) {
            for (uint32_t i = 0; i < app->held_count; i++) {
                if (!cw_view_equal(app->held_requests[i]->path, CW_VIEW("/hold"))) {
                    app_answer(app, app->held_requests[i]);
                    app->held_requests[i--] = app->held_requests[--app->held_count];
                }
            }
        }
        if (atomic_load(&app->stop) && !draining) {
            draining = true;
            cw_server_drain(app->server, atomic_load(&app->grace_ms));
        }
    }
    for (uint32_t i = 0; i < app->held_count; i++) {
        app_answer(app, app->held_requests[i]);
    }
    return NULL;
}

/* limits may be changed in app->options before. */
static inline struct app *app_new(void)
{
    struct app *app = calloc(1, sizeof *app);
    app->listeners[0] =
        (struct cw_listener){.kind = CW_REQUEST_HTTP, .address = CW_VIEW("127.0.0.1:0")};
    app->listeners[1] =
        (struct cw_listener){.kind = CW_REQUEST_LINES, .address = CW_VIEW("127.0.0.1:0")};
    app->options = (struct cw_server_options){
        .listeners = app->listeners, .listener_count = 2, .limits = cw_server_limits_default};
    app->options.limits.connections = 1000;
    app->options.limits.connections_per_address = 1000;
    app->options.limits.memory_bytes = 64 << 20;
    atomic_store(&app->grace_ms, 500);
    return app;
}

static inline bool app_start(struct app *app, struct cw_fault *fault)
{
    return cw_server_open(&app->server, &app->options, fault) == CW_ERR_OK &&
           pthread_create(&app->thread, NULL, app_run, app) == 0;
}

static inline void app_stop(struct app *app)
{
    atomic_store(&app->stop, true);
    cw_server_wake(app->server);
    pthread_join(app->thread, NULL);
}

static inline uint64_t app_counter(const struct app *app, const char *wanted)
{
    const char *name;
    const char *help;
    uint64_t value;
    for (uint32_t i = 0; cw_server_counter(app->server, i, &name, &help, &value); i++) {
        if (strcmp(name, wanted) == 0) {
            return value;
        }
    }
    return UINT64_MAX;
}

/* ---- the other side ---- */

static inline int dial(uint16_t port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    if (fd < 0 || connect(fd, (struct sockaddr *)&in, sizeof in) != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return -1;
    }
    return fd;
}

static inline bool say(int fd, const char *text, size_t bytes)
{
    while (bytes > 0) {
        ssize_t n = send(fd, text, bytes, MSG_NOSIGNAL);
        if (n <= 0) {
            return false;
        }
        text += n;
        bytes -= (size_t)n;
    }
    return true;
}

#define SAY(fd, text) say(fd, text, sizeof(text) - 1)

/* Reads until the end, or until nothing came for ms, or `until` is in it. Returns the length. */
static inline size_t hear(int fd, char *out, size_t room, const char *until, int ms)
{
    size_t bytes = 0;
    out[0] = '\0';
    while (bytes + 1 < room) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, ms) != 1) {
            break;
        }
        ssize_t n = recv(fd, out + bytes, room - 1 - bytes, 0);
        if (n <= 0) {
            break;
        }
        bytes += (size_t)n;
        out[bytes] = '\0';
        if (until != NULL && strstr(out, until) != NULL) {
            break;
        }
    }
    return bytes;
}

/* True when the other side has ended the connection (a reset counts). */
static inline bool ended(int fd, int ms)
{
    char byte;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, ms) == 1 && recv(fd, &byte, 1, 0) <= 0;
}

#endif
