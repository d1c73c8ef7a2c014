/* Thousands of slow connections, each sending a few bytes at a time, do not keep a quick one
   waiting, and all of them get their answers. The callers are a process of their own, so that each
   side has its own descriptors; where so many are not allowed, the test is skipped. */
#define _GNU_SOURCE 1
#include "tests/io/app.h"

#include <sys/resource.h>
#include <sys/wait.h>

enum {
    CONNECTIONS = 10000,
    PIECE_BYTES = 7,
    QUICK_EVERY = 500
};

static const char request[] = "POST /slow HTTP/1.1\r\nHost: x\r\nX-Pad: aaaaaaaaaaaaaaaaaaaa\r\n"
                              "Content-Length: 20\r\n\r\n01234567890123456789";

static void must(bool fine, const char *what)
{
    if (!fine) {
        (void)fprintf(stderr, "stress_server: %s: %s\n", what, strerror(errno));
        exit(1);
    }
}

static bool allow_descriptors(uint32_t wanted)
{
    struct rlimit limit;
    must(getrlimit(RLIMIT_NOFILE, &limit) == 0, "getrlimit");
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= wanted;
}

static uint64_t now_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t)ts.tv_sec * 1000000u + (uint64_t)ts.tv_nsec / 1000u;
}

static uint64_t quick_us(int fd)
{
    char answer[1024];
    uint64_t start = now_us();
    must(SAY(fd, "GET /quick HTTP/1.1\r\nHost: x\r\n\r\n"), "send");
    must(hear(fd, answer, sizeof answer, "/quick||", 10000) > 0, "a quick answer");
    must(strstr(answer, "/quick||") != NULL, "the right quick answer");
    return now_us() - start;
}

/* Ends the process. */
static void call(uint16_t port)
{
    static int fds[CONNECTIONS];
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        fds[i] = dial(port);
        must(fds[i] >= 0, "connect");
    }
    int quick = dial(port);
    must(quick >= 0, "connect");
    uint64_t worst_us = 0;
    for (size_t at = 0; at < sizeof request - 1; at += PIECE_BYTES) {
        size_t left = sizeof request - 1 - at;
        for (uint32_t i = 0; i < CONNECTIONS; i++) {
            must(say(fds[i], request + at, left < PIECE_BYTES ? left : PIECE_BYTES), "send");
            if (i % QUICK_EVERY == 0) {
                uint64_t us = quick_us(quick);
                worst_us = us > worst_us ? us : worst_us;
            }
        }
    }
    for (uint32_t i = 0; i < CONNECTIONS; i++) {
        char answer[1024];
        must(hear(fds[i], answer, sizeof answer, "0123456789", 10000) > 0, "an answer");
        must(strstr(answer, "/slow||01234567890123456789") != NULL, "the right answer");
        (void)close(fds[i]);
    }
    (void)printf("%d slow connections; the worst quick request took %llu us\n", CONNECTIONS,
                 (unsigned long long)worst_us);
    (void)fflush(stdout);
    _exit(0);
}

/* False: this system forbids it. */
static bool serve(enum cw_loop_choice loop)
{
    struct cw_fault fault = {.text = ""};
    struct app *app = app_new();
    app->options.loop = loop;
    app->options.limits = cw_server_limits_default;
    app->options.limits.head_ms = app->options.limits.body_ms = 60000; /* slow machines too */
    cw_err err = cw_server_open(&app->server, &app->options, &fault);
    if (err != CW_ERR_OK && loop == CW_LOOP_URING && fault.sys_errno == EPERM) {
        free(app);
        return false;
    }
    must(err == CW_ERR_OK, fault.text);
    (void)printf("%s: ", cw_server_backend(app->server));
    (void)fflush(stdout);
    pid_t pid = fork();
    must(pid >= 0, "fork");
    if (pid == 0) {
        call(app->listeners[0].port);
    }
    must(pthread_create(&app->thread, NULL, app_run, app) == 0, "a thread");
    int status = 0;
    must(waitpid(pid, &status, 0) == pid, "waitpid");
    app_stop(app);
    must(WIFEXITED(status) && WEXITSTATUS(status) == 0, "the callers");
    must(app_counter(app, "request_memory_bytes") == 0, "every block came back");
    must(app_counter(app, "connections_accepted_total") == CONNECTIONS + 1, "all were let in");
    cw_server_close(app->server);
    free(app);
    return true;
}

int main(void)
{
    if (!allow_descriptors(CONNECTIONS + 100)) {
        (void)printf("skipped: %d descriptors are not allowed here\n", CONNECTIONS + 100);
        return 77;
    }
    if (!serve(CW_LOOP_URING)) {
        (void)printf("io_uring is forbidden here\n");
    }
    must(serve(CW_LOOP_EPOLL), "epoll");
    return 0;
}
