/* Callers of both protocols at random: in pieces, ahead, going away in the middle. */
#include "io/loop.h"
#include "tests/core/random.h"
#include "tests/io/app.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static char heard[1 << 20];

static int count_of(const char *text, const char *what)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, what)) != NULL; at += strlen(what)) {
        count++;
    }
    return count;
}

enum {
    CALLERS = 24
};

struct caller {
    int fd;
    bool lines;
    char text[40000];
    size_t bytes, said;
    int wanted; /* answers, when it is not cut off */
};

static void write_requests(struct caller *caller, uint64_t *seed)
{
    caller->bytes = caller->said = 0;
    caller->wanted = (int)random_below(seed, 30) + 1;
    for (int i = 0; i < caller->wanted; i++) {
        char *at = caller->text + caller->bytes;
        size_t room = sizeof caller->text - caller->bytes;
        uint32_t body = random_below(seed, 600) + 1; /* the number in it has two digits */
        if (caller->lines) {
            caller->bytes += (size_t)snprintf(at, room, "%0*d\n", (int)body + 1, i);
        } else if (random_below(seed, 3) == 0) {
            caller->bytes +=
                (size_t)snprintf(at, room,
                                 "POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                                 "%x\r\n%0*d\r\n0\r\n\r\n",
                                 body + 1, (int)body + 1, i);
        } else {
            caller->bytes += (size_t)snprintf(
                at, room, "POST /p HTTP/1.1\r\nHost: x\r\nContent-Length: %u\r\n\r\n%0*d", body + 1,
                (int)body + 1, i);
        }
    }
}

/* Sends some more, or goes away without waiting. False: it is done. */
static bool go_on(struct caller *caller, uint64_t *seed)
{
    if (random_below(seed, 60) == 0) {
        struct linger linger = {.l_onoff = (int)random_below(seed, 2), .l_linger = 0};
        setsockopt(caller->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        return false;
    }
    size_t part = random_below(seed, 2000) + 1u;
    part = part < caller->bytes - caller->said ? part : caller->bytes - caller->said;
    cr_assert(say(caller->fd, caller->text + caller->said, part));
    caller->said += part;
    if (caller->said < caller->bytes) {
        return true;
    }
    if (random_below(seed, 2) == 0) {
        shutdown(caller->fd, SHUT_WR);
    }
    if (!caller->lines) {
        size_t got = 0;
        heard[0] = '\0';
        while (count_of(heard, "HTTP/1.1 200 OK\r\n") < caller->wanted) {
            size_t more = hear(caller->fd, heard + got, sizeof heard - got, "\r\n\r\n", 2000);
            got += more;
            cr_assert(more > 0, "%d answers are missing",
                      caller->wanted - count_of(heard, "HTTP/1.1 200 OK\r\n"));
        }
    }
    return false;
}

Test(connection, callers_of_every_kind_get_what_is_theirs_and_leave_nothing_behind, .timeout = 60)
{
    static const struct {
        enum cw_loop_choice loop;
        uint32_t without;
    } kinds[] = {{CW_LOOP_URING, 0},
                 {CW_LOOP_URING, CW_LOOP_MULTISHOT_RECEIVE},
                 {CW_LOOP_URING, CW_LOOP_BUFFER_RING},
                 {CW_LOOP_URING, CW_LOOP_ALL},
                 {CW_LOOP_EPOLL, 0},
                 {CW_LOOP_EPOLL, CW_LOOP_ALL}};

    static struct caller callers[CALLERS];
    uint64_t seed = 20261123;
    struct app *app = app_new();
    for (size_t b = 0; b < CW_COUNTOF(kinds); b++) {
        app->options.loop = kinds[b].loop;
        app->options.without = kinds[b].without;
        app->options.limits.memory_bytes = 32 << 20;
        app->listeners[0].port = app->listeners[1].port = 0;
        atomic_store(&app->stop, false);
        struct cw_fault fault = {.text = ""};
        bool started = app_start(app, &fault);
        if (!started && kinds[b].loop == CW_LOOP_URING && fault.sys_errno == EPERM) {
            continue; /* forbidden here */
        }
        cr_assert(started, "%s", fault.text);
        for (int i = 0; i < CALLERS; i++) {
            callers[i].fd = -1;
        }
        for (int round = 0; round < 3000; round++) {
            struct caller *caller = &callers[random_below(&seed, CALLERS)];
            atomic_store(&app->backwards, random_below(&seed, 2) == 0);
            if (caller->fd < 0) {
                caller->lines = random_below(&seed, 4) == 0;
                caller->fd = dial(app->listeners[caller->lines ? 1 : 0].port);
                cr_assert(ge(int, caller->fd, 0));
                write_requests(caller, &seed);
            } else if (!go_on(caller, &seed)) {
                close(caller->fd);
                caller->fd = -1;
            }
        }
        for (int i = 0; i < CALLERS; i++) {
            if (callers[i].fd >= 0) {
                close(callers[i].fd);
            }
        }
        app_stop(app);
        cr_assert(eq(u64, app_counter(app, "request_memory_bytes"), 0));
        cr_assert(eq(u64, app_counter(app, "requests_unanswered"), 0));
        cr_assert(eq(u64, app_counter(app, "connections_open"), 0));
        cw_server_close(app->server);
    }
    free(app);
}
