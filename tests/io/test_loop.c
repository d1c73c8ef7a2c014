/* What loop.h promises, on each backend and without the server: one thread turns, plain sockets
   are the other side. */
#include "io/loop.h"

#include "io/clock.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SOCKETS = 2048,
    SMALL_BYTES = 4096,
    LARGE_BYTES = 65536,
    MS = 1000000
};

/* What was told, of each socket. */
struct heard {
    uint64_t bytes, sent;
    int32_t end, send_error; /* what received() said without data, or INT32_MAX; sent() below 0 */
    uint32_t receives, sends, closes;
    int32_t last_sent;
};

static struct {
    struct cw_loop *loop;
    struct cw_arena arena;
    struct heard heard[SOCKETS];
    int accepted[SOCKETS];
    uint32_t accepted_count;
    uint32_t calls; /* of handlers, but for closed() */
    uint32_t stop_after_receives, drop_in_receive; /* 0: not */
} t;

static void on_accepted(void *self, uint32_t listener, int fd)
{
    (void)self;
    (void)listener;
    t.calls++;
    cr_assert(lt(u32, t.accepted_count, SOCKETS));
    t.accepted[t.accepted_count++] = fd;
}

static void on_received(void *self, uint32_t socket, const char *data, int32_t bytes)
{
    (void)self;
    struct heard *heard = &t.heard[socket];
    t.calls++;
    cr_assert(heard->closes == 0, "nothing is told after closed()");
    if (data == NULL) {
        heard->end = bytes;
        return;
    }
    heard->receives++;
    heard->bytes += (uint32_t)bytes;
    for (int32_t i = 0; i < bytes; i++) {
        cr_assert(data[i] == 'x', "bytes are whole");
    }
    if (heard->receives == t.stop_after_receives) {
        cw_loop_receive(t.loop, socket, false);
    }
    if (heard->receives == t.drop_in_receive) {
        cw_loop_drop(t.loop, socket, false);
    }
}

static void on_sent(void *self, uint32_t socket, int32_t bytes)
{
    (void)self;
    struct heard *heard = &t.heard[socket];
    t.calls++;
    cr_assert(heard->closes == 0, "nothing is told after closed()");
    heard->sends++;
    heard->last_sent = bytes;
    heard->sent += bytes > 0 ? (uint32_t)bytes : 0;
    heard->send_error = bytes < 0 ? bytes : heard->send_error;
}

static void on_closed(void *self, uint32_t socket)
{
    (void)self;
    t.heard[socket].closes++;
}

static struct cw_loop_options options(enum cw_loop_choice choice, uint32_t without)
{
    return (struct cw_loop_options){
        .sockets = SOCKETS,
        .buffers = {[CW_LOOP_SMALL] = {SMALL_BYTES, 64}, [CW_LOOP_LARGE] = {LARGE_BYTES, 4}},
        .choice = choice,
        .without = without,
        .handlers = {.accepted = on_accepted,
                     .received = on_received,
                     .sent = on_sent,
                     .closed = on_closed}};
}

static void open_loop(enum cw_loop_choice choice, uint32_t without)
{
    memset(&t, 0, sizeof t);
    for (uint32_t i = 0; i < SOCKETS; i++) {
        t.heard[i].end = INT32_MAX;
    }
    struct cw_fault fault = {.text = ""};
    struct cw_loop_options wanted = options(choice, without);
    size_t bytes = cw_loop_footprint(&wanted);
    cr_assert(eq(int, cw_arena_open(&t.arena, bytes, bytes + (1u << 20), &fault), CW_ERR_OK));
    cw_err err = cw_loop_open(&t.loop, &t.arena, &wanted, &fault);
    if (err != CW_ERR_OK && choice == CW_LOOP_URING && fault.sys_errno == EPERM) {
        cr_skip_test("io_uring is forbidden here");
    }
    cr_assert(eq(int, err, CW_ERR_OK), "%s", fault.text);
}

static void set_up_uring(void)
{
    open_loop(CW_LOOP_URING, 0);
}

static void set_up_epoll(void)
{
    open_loop(CW_LOOP_EPOLL, 0);
}

static void set_up_epoll_of_old(void)
{
    open_loop(CW_LOOP_EPOLL, CW_LOOP_NANOSECONDS);
}

static void tear_down(void)
{
    cw_loop_close(t.loop);
    cw_arena_close(&t.arena);
}

TestSuite(on_uring, .init = set_up_uring, .fini = tear_down, .timeout = 60);
TestSuite(on_epoll, .init = set_up_epoll, .fini = tear_down, .timeout = 60);
TestSuite(on_epoll_of_old, .init = set_up_epoll_of_old, .fini = tear_down, .timeout = 60);

#define SCENARIO(name)          \
    static void name(void);     \
    Test(on_uring, name)        \
    {                           \
        name();                 \
    }                           \
    Test(on_epoll, name)        \
    {                           \
        name();                 \
    }                           \
    Test(on_epoll_of_old, name) \
    {                           \
        name();                 \
    }                           \
    static void name(void)

/* Turns for so long, or until the condition holds. */
#define TURN_UNTIL(condition, ms)                                                  \
    do {                                                                           \
        uint64_t end_ns_ = cw_clock_monotonic_ns() + (uint64_t)(ms) * MS;          \
        do {                                                                       \
            cw_loop_turn(t.loop);                                                  \
            if (!(condition)) {                                                    \
                cw_loop_wait(t.loop, MS);                                          \
            }                                                                      \
        } while (!(condition) && cw_clock_monotonic_ns() < end_ns_);               \
    } while (0)

/* A connected pair over TCP: ours, theirs. */
static int pair(int *theirs)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof in;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(bind(listener, (struct sockaddr *)&in, sizeof in) == 0 && listen(listener, 1) == 0);
    cr_assert(getsockname(listener, (struct sockaddr *)&in, &bytes) == 0);
    *theirs = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(connect(*theirs, (struct sockaddr *)&in, sizeof in) == 0);
    int ours = accept(listener, NULL, NULL);
    cr_assert(ge(int, ours, 0));
    close(listener);
    return ours;
}

static int attach(uint32_t number, enum cw_loop_group group)
{
    int theirs = -1;
    int ours = pair(&theirs);
    cw_loop_attach(t.loop, number, ours, group);
    cr_expect(eq(int, cw_loop_fd(t.loop, number), ours));
    return theirs;
}

static void put(int fd, size_t bytes)
{
    static char text[1 << 20];
    memset(text, 'x', sizeof text);
    cr_assert(le(sz, bytes, sizeof text));
    cr_assert(eq(sz, (size_t)send(fd, text, bytes, MSG_NOSIGNAL), bytes));
}

static uint64_t enters(void)
{
    return cw_loop_counts(t.loop)->enters;
}

/* How often wait() came back within so many ms, sleeping for at most 10 ms each time. */
static uint32_t waits_in(uint32_t ms)
{
    uint64_t end_ns = cw_clock_monotonic_ns() + (uint64_t)ms * MS;
    uint32_t waits = 0;
    while (cw_clock_monotonic_ns() < end_ns) {
        cw_loop_turn(t.loop);
        cw_loop_wait(t.loop, (uint64_t)10 * MS);
        waits++;
    }
    return waits;
}

/* ---- receiving ---- */

SCENARIO(bytes_and_the_end_are_told)
{
    for (uint32_t group = 0; group < CW_LOOP_GROUPS; group++) {
        int theirs = attach(group, (enum cw_loop_group)group);
        struct heard *heard = &t.heard[group];
        put(theirs, 100000);
        TURN_UNTIL(heard->bytes == 100000, 5000);
        cr_expect(eq(u64, heard->bytes, 100000));
        cr_expect(eq(i32, heard->end, INT32_MAX));
        close(theirs);
        TURN_UNTIL(heard->end != INT32_MAX, 5000);
        cr_expect(eq(i32, heard->end, 0));
    }
}

SCENARIO(a_reset_is_told_as_an_error)
{
    int theirs = attach(3, CW_LOOP_SMALL);
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(theirs, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(theirs);
    TURN_UNTIL(t.heard[3].end != INT32_MAX, 5000);
    cr_expect(eq(i32, t.heard[3].end, -ECONNRESET));
}

SCENARIO(of_the_large_group_nothing_comes_once_receiving_is_off)
{
    t.stop_after_receives = 1;
    int theirs = attach(0, CW_LOOP_LARGE);
    put(theirs, 3 * LARGE_BYTES);
    TURN_UNTIL(t.heard[0].receives > 1, 100);
    cr_expect(eq(u32, t.heard[0].receives, 1));
    cr_expect(le(u64, t.heard[0].bytes, LARGE_BYTES));
    t.stop_after_receives = 0;
    cw_loop_receive(t.loop, 0, true);
    TURN_UNTIL(t.heard[0].bytes == (uint64_t)3 * LARGE_BYTES, 5000);
    cr_expect(eq(u64, t.heard[0].bytes, (uint64_t)3 * LARGE_BYTES));
    close(theirs);
}

SCENARIO(receiving_off_and_on_loses_no_byte)
{
    int theirs = attach(0, CW_LOOP_SMALL);
    uint64_t wanted = 0;
    for (uint32_t i = 0; i < 200; i++) {
        put(theirs, 700);
        wanted += 700;
        cw_loop_receive(t.loop, 0, i % 3 != 0);
        cw_loop_turn(t.loop);
        cw_loop_receive(t.loop, 0, i % 2 == 0);
        cw_loop_turn(t.loop);
    }
    cw_loop_receive(t.loop, 0, true);
    TURN_UNTIL(t.heard[0].bytes == wanted, 5000);
    cr_expect(eq(u64, t.heard[0].bytes, wanted));
    close(theirs);
}

/* epoll tells a hang-up whether it is asked for or not. */
SCENARIO(what_nobody_wants_to_hear_keeps_nobody_awake)
{
    int data = attach(0, CW_LOOP_SMALL);
    int reset = attach(1, CW_LOOP_LARGE);
    TURN_UNTIL(false, 20);
    cw_loop_receive(t.loop, 0, false);
    cw_loop_receive(t.loop, 1, false);
    TURN_UNTIL(false, 20);
    put(data, 100);
    put(reset, 100);
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(reset, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(reset);
    TURN_UNTIL(false, 20);
    cr_expect(le(u32, waits_in(300), 40), "it sleeps");
    cw_loop_receive(t.loop, 0, true);
    cw_loop_receive(t.loop, 1, true);
    TURN_UNTIL(t.heard[0].bytes == 100 && t.heard[1].end != INT32_MAX, 5000);
    cr_expect(eq(u64, t.heard[0].bytes, 100));
    cr_expect(ne(i32, t.heard[1].end, INT32_MAX), "and is told when somebody does");
    cr_expect(le(u32, waits_in(300), 40), "the end is told once");
    close(data);
}

SCENARIO(what_is_no_socket_is_told_as_its_end)
{
    int fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    cr_assert(ge(int, fd, 0));
    cw_loop_attach(t.loop, 5, fd, CW_LOOP_SMALL);
    TURN_UNTIL(t.heard[5].end != INT32_MAX, 5000);
    cr_expect(lt(i32, t.heard[5].end, 0));
    cw_loop_drop(t.loop, 5, false);
    TURN_UNTIL(t.heard[5].closes > 0, 5000);
    cr_expect(eq(u32, t.heard[5].closes, 1));
}

/* ---- sending ---- */

static char much[8 << 20];

SCENARIO(sends_are_told_by_a_turn_and_in_parts)
{
    memset(much, 'y', sizeof much);
    int theirs = attach(0, CW_LOOP_SMALL);
    struct heard *heard = &t.heard[0];
    cw_loop_send(t.loop, 0, "abc", 3);
    cr_expect(eq(u32, heard->sends, 0), "never from within send()");
    TURN_UNTIL(heard->sends > 0, 5000);
    cr_expect(eq(i32, heard->last_sent, 3));
    size_t at = 0;
    size_t got = 0;
    static char in[1 << 16];
    uint64_t end_ns = cw_clock_monotonic_ns() + (uint64_t)20000 * MS;
    bool idle = true;
    uint32_t parts = heard->sends;
    while (got < sizeof much + 3 && cw_clock_monotonic_ns() < end_ns) {
        if (heard->sends > parts || idle) {
            at += heard->sends > parts ? (size_t)heard->last_sent : 0;
            parts = heard->sends;
            idle = at == sizeof much;
            if (!idle) {
                cw_loop_send(t.loop, 0, much + at, (uint32_t)(sizeof much - at));
            }
        }
        cw_loop_turn(t.loop);
        ssize_t n = recv(theirs, in, sizeof in, MSG_DONTWAIT);
        got += n > 0 ? (size_t)n : 0;
    }
    TURN_UNTIL(heard->sent == sizeof much + 3, 1000);
    cr_expect(eq(u64, heard->sent, sizeof much + 3));
    cr_expect(eq(sz, got, sizeof much + 3));
    cr_expect(eq(i32, heard->send_error, 0));
    cr_expect(le(u32, waits_in(200), 30), "nothing is watched for in vain after it");
    close(theirs);
}

SCENARIO(a_send_that_waits_does_not_spin_and_fails_when_the_other_side_goes)
{
    memset(much, 'y', sizeof much);
    int theirs = attach(0, CW_LOOP_SMALL);
    struct heard *heard = &t.heard[0];
    for (uint32_t i = 0; i < 50; i++) {
        uint32_t before = heard->sends;
        cw_loop_send(t.loop, 0, much, sizeof much);
        TURN_UNTIL(heard->sends > before, 100);
        if (heard->sends == before) {
            break; /* its buffers are full */
        }
    }
    cr_expect(le(u32, waits_in(200), 30));
    uint32_t before = heard->sends;
    struct linger linger = {.l_onoff = 1, .l_linger = 0};
    setsockopt(theirs, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    close(theirs);
    TURN_UNTIL(heard->sends > before, 5000);
    cr_expect(lt(i32, heard->send_error, 0));
}

SCENARIO(finish_shows_the_end_and_still_receives)
{
    int theirs = attach(0, CW_LOOP_SMALL);
    cw_loop_finish(t.loop, 0);
    char byte;
    cr_expect(eq(int, (int)recv(theirs, &byte, 1, 0), 0));
    put(theirs, 10);
    TURN_UNTIL(t.heard[0].bytes == 10, 5000);
    cr_expect(eq(u64, t.heard[0].bytes, 10));
    close(theirs);
}

/* ---- ending ---- */

/* io_uring may show the end first, but a connection that was only ended hangs up on nobody. */
static bool reset_seen(int fd)
{
    struct pollfd p = {.fd = fd};
    return poll(&p, 1, 5000) == 1 && (p.revents & POLLHUP) != 0;
}

SCENARIO(a_drop_is_closed_once_and_by_the_next_turns)
{
    for (uint32_t i = 0; i < 4; i++) {
        bool reset = i % 2 != 0;
        int theirs = attach(7, i < 2 ? CW_LOOP_SMALL : CW_LOOP_LARGE);
        struct heard *heard = &t.heard[7];
        *heard = (struct heard){.end = INT32_MAX};
        TURN_UNTIL(false, 5);
        cw_loop_send(t.loop, 7, "abc", 3);
        cw_loop_drop(t.loop, 7, reset);
        cr_expect(eq(u32, heard->closes, 0), "never from within drop()");
        TURN_UNTIL(heard->closes > 0, 5000);
        cr_expect(eq(u32, heard->closes, 1));
        cr_expect(eq(u32, heard->sends, 0), "a send that was not told is told no more");
        if (reset) {
            cr_expect(reset_seen(theirs));
        }
        close(theirs);
    }
}

SCENARIO(a_drop_while_it_is_told_something_is_the_last_word)
{
    t.drop_in_receive = 1;
    int theirs = attach(2, CW_LOOP_SMALL);
    put(theirs, 5 * SMALL_BYTES);
    TURN_UNTIL(t.heard[2].closes > 0, 5000);
    cr_expect(eq(u32, t.heard[2].closes, 1));
    cr_expect(eq(u32, t.heard[2].receives, 1));
    close(theirs);
}

/* ---- accepting ---- */

static uint16_t listen_at(uint32_t number)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(bind(fd, (struct sockaddr *)&in, sizeof in) == 0 && listen(fd, 1024) == 0);
    cr_assert(getsockname(fd, (struct sockaddr *)&in, &bytes) == 0);
    cw_loop_listen(t.loop, number, fd);
    return ntohs(in.sin_port);
}

static int dial(uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&in, sizeof in) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

SCENARIO(callers_are_let_in_until_nobody_listens)
{
    uint16_t port = listen_at(0);
    uint16_t other = listen_at(3);
    for (uint32_t i = 0; i < 300; i++) {
        cr_assert(ge(int, dial(i % 3 == 0 ? other : port), 0));
    }
    TURN_UNTIL(t.accepted_count == 300, 5000);
    cr_expect(eq(u32, t.accepted_count, 300));
    cr_expect(ne(int, fcntl(t.accepted[0], F_GETFD) & FD_CLOEXEC, 0));
    cw_loop_unlisten(t.loop, 0);
    TURN_UNTIL(false, 5);
    cr_expect(eq(int, dial(port), -1));
    cr_expect(ge(int, dial(other), 0));
    TURN_UNTIL(t.accepted_count == 301, 5000);
    cr_expect(eq(u32, t.accepted_count, 301));
    cw_loop_unlisten(t.loop, 3);
}

/* The limit is lowered before the first turn: io_uring keeps the one that it was asked under. */
SCENARIO(without_descriptors_accepting_pauses_and_goes_on_later)
{
    uint16_t port = listen_at(0);
    int caller = dial(port);
    struct rlimit limit;
    cr_assert(eq(int, getrlimit(RLIMIT_NOFILE, &limit), 0));
    struct rlimit none = {.rlim_cur = 3, .rlim_max = limit.rlim_max};
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &none), 0));
    uint32_t waits = waits_in(500);
    uint64_t failed = cw_loop_counts(t.loop)->accepts_failed;
    cr_assert(eq(int, setrlimit(RLIMIT_NOFILE, &limit), 0));
    cr_expect(le(u32, waits, 80), "no busy loop");
    cr_expect(ge(u64, failed, 1));
    cr_expect(le(u64, failed, 8), "it backs off");
    cr_expect(le(u64, enters(), 200));
    TURN_UNTIL(t.accepted_count == 1, 5000);
    cr_expect(eq(u32, t.accepted_count, 1));
    close(caller);
}

/* ---- turns ---- */

SCENARIO(a_turn_is_bounded_and_leaves_nobody_out)
{
    static int theirs[1500];
    struct rlimit limit;
    cr_assert(getrlimit(RLIMIT_NOFILE, &limit) == 0);
    limit.rlim_cur = limit.rlim_max;
    cr_assert(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    if (limit.rlim_cur < 3100) {
        cr_skip_test("too few descriptors are allowed here");
    }
    cw_loop_turn(t.loop);
    for (uint32_t i = 0; i < 1500; i++) {
        theirs[i] = attach(i, CW_LOOP_SMALL);
    }
    cw_loop_turn(t.loop);
    for (uint32_t round = 1; round <= 5; round++) {
        for (uint32_t i = 0; i < 1500; i++) {
            put(theirs[i], 10);
            cw_loop_send(t.loop, i, "abc", 3);
        }
        uint32_t turns = 0;
        uint32_t done = 0;
        while (done < 1500 && turns++ < 2000) {
            uint32_t before = t.calls;
            cw_loop_turn(t.loop);
            cr_assert(le(u32, t.calls - before, CW_LOOP_TURN_MAX));
            put(theirs[0], 10); /* one that always has something */
            done = 0;
            for (uint32_t i = 1; i < 1500; i++) {
                done += t.heard[i].bytes == (uint64_t)10 * round && t.heard[i].sends == round;
            }
            done += t.heard[0].sends == round;
        }
        cr_expect(eq(u32, done, 1500));
    }
}

/* ---- waking ---- */

static void *wake_later(void *arg)
{
    usleep(50000);
    cw_loop_wake(arg);
    return NULL;
}

static uint64_t wait_ms(uint64_t ms)
{
    uint64_t start_ns = cw_clock_monotonic_ns();
    cw_loop_wait(t.loop, ms * MS);
    return (cw_clock_monotonic_ns() - start_ns) / MS;
}

SCENARIO(a_wake_ends_a_wait_whether_before_it_or_within)
{
    for (uint32_t i = 0; i < 10; i++) {
        cw_loop_turn(t.loop);
        pthread_t thread;
        pthread_create(&thread, NULL, wake_later, t.loop);
        cr_expect(lt(u64, wait_ms(20000), 10000));
        pthread_join(thread, NULL);
        cw_loop_turn(t.loop);
        cw_loop_wake(t.loop);
        cw_loop_wake(t.loop);
        cr_expect(lt(u64, wait_ms(20000), 10000));
        cw_loop_turn(t.loop);
    }
}

SCENARIO(a_wait_lasts_as_long_as_it_may)
{
    TURN_UNTIL(false, 5);
    cr_expect(ge(u64, wait_ms(40), 39));
    cr_expect(lt(u64, wait_ms(0), 1000));
    uint64_t start_ns = cw_clock_monotonic_ns();
    cw_loop_wait(t.loop, 300000);
    cr_expect(ge(u64, cw_clock_monotonic_ns() - start_ns, 300000), "never shorter");
}

SCENARIO(a_wait_ends_when_something_is_there)
{
    int theirs = attach(0, CW_LOOP_SMALL);
    TURN_UNTIL(false, 5);
    put(theirs, 10);
    cr_expect(lt(u64, wait_ms(20000), 10000));
    cr_expect(eq(u64, t.heard[0].bytes, 0), "a turn tells, not a wait");
    cr_expect(lt(u64, wait_ms(20000), 10000), "and it is still there");
    TURN_UNTIL(t.heard[0].bytes == 10, 5000);
    cr_expect(eq(u64, t.heard[0].bytes, 10));
    cw_loop_send(t.loop, 0, "abc", 3);
    cr_expect(lt(u64, wait_ms(20000), 10000), "a send that is over is something");
    TURN_UNTIL(t.heard[0].sends == 1, 5000);
    cr_expect(eq(u32, t.heard[0].sends, 1));
    close(theirs);
}

/* ---- choosing ---- */

Test(choice, each_can_be_asked_for_by_name, .timeout = 60)
{
    open_loop(CW_LOOP_EPOLL, 0);
    cr_expect(eq(int, strncmp(cw_loop_name(t.loop), "epoll", 5), 0));
    cr_expect(strstr(cw_loop_name(t.loop), "io_uring") == NULL, "it was asked for: no excuse");
    tear_down();
    open_loop(CW_LOOP_EPOLL, CW_LOOP_ALL);
    cr_expect(eq(str, (char *)cw_loop_name(t.loop), "epoll, sleeps of whole milliseconds"));
    tear_down();
    open_loop(CW_LOOP_AUTO, 0);
    bool uring = strncmp(cw_loop_name(t.loop), "io_uring", 8) == 0;
    cr_expect(uring || strstr(cw_loop_name(t.loop), "(io_uring ") != NULL, "%s",
              cw_loop_name(t.loop));
    tear_down();
}
