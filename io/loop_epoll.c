/*
 * The same loop on epoll, for where io_uring is forbidden: level-triggered, one event one receive.
 *
 * An event is a hint and nothing else: every call that follows one is tried without waiting
 * (MSG_DONTWAIT, a listening socket that does not block) and may find nothing. So events that have
 * become old, because their socket was dropped or its number used again, do no harm.
 *
 * What epoll watches for (`watched`) is never less than what is wanted: it is widened at once, and
 * narrowed only when an event comes that nobody wants, which then comes no more. So no wake-up is
 * lost, none repeats itself in vain, and switching receiving off and on between two events costs
 * nothing. A socket of which nothing is wanted leaves the set: epoll tells errors and hang-ups of
 * all that are in it.
 *
 * A send is tried at once, and told by the next turn; the rest waits for the socket to take more.
 */
#define _GNU_SOURCE 1
#include "io/clock.h"
#include "io/loop_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    EVENTS_MAX = 128, /* of one turn; each is two completions at most: received and sent */
    TELL_MAX = 256,   /* of one turn: sends that were over at once */
    ACCEPTS_MAX = 64  /* of one listening socket in one turn, while there is room for more */
};

static_assert(TELL_MAX + 2 * EVENTS_MAX <= CW_LOOP_TURN_MAX, "a turn is bounded");

enum kind {
    KIND_LISTENER,
    KIND_SOCKET,
    KIND_WAKE
};

struct sock {
    int fd;
    uint32_t prev, next; /* on the list of those to be told, or the list of those to be closed */
    uint8_t group;
    bool want, closing;
    bool sending; /* from send() to sent() */
    bool listed;  /* to be told: `result` of a send, or that it cannot be watched */
    uint32_t watched;
    int32_t result;    /* of the send, when it is over (`bytes` 0) */
    int32_t unwatched; /* -errno: epoll does not take it */
    const char *data;  /* what waits to be sent */
    uint32_t bytes;
};

struct listener {
    int fd;
    bool watched;
    uint64_t not_before_ns;
};

struct epoll {
    struct cw_loop base;
    int fd;
    bool nanoseconds;
    struct sock *socks;
    uint32_t first_done;
    uint32_t first_told, last_told;
    struct listener listeners[CW_LOOP_LISTENERS_MAX];
    uint32_t listener_count; /* highest in use, + 1 */
    bool accept_paused;
    uint32_t room; /* for accepts of this turn beyond one an event */
    char *buffers[CW_LOOP_GROUPS];
    struct epoll_event events[EVENTS_MAX]; /* fetched by a turn or the wait before it */
    uint32_t event_count;
};

static struct epoll *of(struct cw_loop *base)
{
    return (struct epoll *)(void *)base;
}

/* Puts a descriptor into the set, takes it out (events 0), or changes what it is watched for. */
static int control(struct epoll *loop, int op, int fd, uint32_t events, enum kind kind,
                   uint32_t number)
{
    struct epoll_event event = {.events = events, .data.u64 = (uint64_t)kind << 32 | number};
    return epoll_ctl(loop->fd, op, fd, &event) == 0 ? 0 : -errno;
}

/* ---- opening ---- */

static size_t epoll_footprint(const struct cw_loop_options *options)
{
    size_t bytes = sizeof(struct epoll) + options->sockets * sizeof(struct sock);
    for (uint32_t group = 0; group < CW_LOOP_GROUPS; group++) {
        bytes += options->buffers[group].bytes;
    }
    return bytes + (size_t)(2 + CW_LOOP_GROUPS) * CW_CACHE_LINE;
}

static void epoll_close(struct cw_loop *base)
{
    struct epoll *loop = of(base);
    for (uint32_t i = 0; i < CW_LOOP_LISTENERS_MAX; i++) {
        if (loop->listeners[i].fd >= 0) {
            (void)close(loop->listeners[i].fd);
        }
    }
    for (uint32_t i = 0; i < loop->base.options.sockets; i++) {
        if (loop->socks[i].fd >= 0) {
            (void)close(loop->socks[i].fd);
        }
    }
    if (loop->fd >= 0) {
        (void)close(loop->fd);
    }
    if (loop->base.event_fd >= 0) {
        (void)close(loop->base.event_fd);
    }
}

/* Old kernels do not know the call, and old profiles of seccomp refuse what they do not know. */
static bool sleeps_by_nanoseconds(struct epoll *loop)
{
    struct timespec none = {.tv_sec = 0};
    return (loop->base.options.without & CW_LOOP_NANOSECONDS) == 0 &&
           epoll_pwait2(loop->fd, loop->events, 1, &none, NULL) >= 0;
}

static cw_err epoll_open(struct cw_loop **out, struct cw_arena *arena,
                         const struct cw_loop_options *options, struct cw_fault *fault)
{
    struct epoll *loop = cw_arena_zalloc(arena, sizeof *loop, CW_CACHE_LINE);
    loop->base.backend = &cw_loop_epoll;
    loop->base.options = *options;
    loop->socks = cw_arena_zalloc(arena, options->sockets * sizeof *loop->socks, CW_CACHE_LINE);
    loop->first_done = loop->first_told = loop->last_told = CW_LOOP_NONE;
    for (uint32_t i = 0; i < options->sockets; i++) {
        loop->socks[i].fd = -1;
    }
    for (uint32_t i = 0; i < CW_LOOP_LISTENERS_MAX; i++) {
        loop->listeners[i].fd = -1;
    }
    for (uint32_t group = 0; group < CW_LOOP_GROUPS; group++) {
        loop->buffers[group] = cw_arena_alloc(arena, options->buffers[group].bytes, CW_CACHE_LINE);
    }
    loop->fd = epoll_create1(EPOLL_CLOEXEC);
    loop->base.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (loop->fd < 0 || loop->base.event_fd < 0 ||
        control(loop, EPOLL_CTL_ADD, loop->base.event_fd, EPOLLIN, KIND_WAKE, 0) != 0) {
        cw_err err = cw_fail(fault, CW_ERR_IO, "opening an epoll and an event descriptor");
        epoll_close(&loop->base);
        return err;
    }
    loop->nanoseconds = sleeps_by_nanoseconds(loop);
    (void)snprintf(loop->base.name, sizeof loop->base.name, "epoll%s",
                   loop->nanoseconds ? "" : ", sleeps of whole milliseconds");
    *out = &loop->base;
    return CW_ERR_OK;
}

/* ---- what is watched for, and the two lists ---- */

static uint32_t wanted(const struct sock *sock)
{
    return (sock->want ? (uint32_t)EPOLLIN : 0) | (sock->bytes > 0 ? (uint32_t)EPOLLOUT : 0);
}

static int watch(struct epoll *loop, uint32_t number, uint32_t events)
{
    struct sock *sock = &loop->socks[number];
    if (events == sock->watched) {
        return 0;
    }
    int op = events == 0          ? EPOLL_CTL_DEL
             : sock->watched == 0 ? EPOLL_CTL_ADD
                                  : EPOLL_CTL_MOD;
    int rc = control(loop, op, sock->fd, events, KIND_SOCKET, number);
    if (rc == 0) {
        sock->watched = events;
    }
    return rc;
}

static void list_told(struct epoll *loop, uint32_t number)
{
    struct sock *sock = &loop->socks[number];
    if (sock->listed) {
        return;
    }
    sock->listed = true;
    sock->prev = loop->last_told;
    sock->next = CW_LOOP_NONE;
    if (loop->last_told == CW_LOOP_NONE) {
        loop->first_told = number;
    } else {
        loop->socks[loop->last_told].next = number;
    }
    loop->last_told = number;
}

static void unlist_told(struct epoll *loop, uint32_t number)
{
    struct sock *sock = &loop->socks[number];
    if (!sock->listed) {
        return;
    }
    sock->listed = false;
    if (sock->prev == CW_LOOP_NONE) {
        loop->first_told = sock->next;
    } else {
        loop->socks[sock->prev].next = sock->next;
    }
    if (sock->next == CW_LOOP_NONE) {
        loop->last_told = sock->prev;
    } else {
        loop->socks[sock->next].prev = sock->prev;
    }
}

/* Watches for whatever is wanted besides. A socket that epoll does not take (no memory, too many
   watches of this user) is told as failed. */
static void widen(struct epoll *loop, uint32_t number)
{
    struct sock *sock = &loop->socks[number];
    int rc = watch(loop, number, sock->watched | wanted(sock));
    if (rc == 0) {
        return;
    }
    sock->unwatched = rc;
    if (sock->bytes > 0) {
        sock->bytes = 0;
        sock->result = rc;
    }
    list_told(loop, number);
}

/* ---- the caller's side ---- */

static struct sock *sock_of(struct epoll *loop, uint32_t number)
{
    CW_ASSERT(number < loop->base.options.sockets);
    struct sock *sock = &loop->socks[number];
    CW_ASSERT(sock->fd >= 0);
    return sock;
}

static void epoll_listen(struct cw_loop *base, uint32_t number, int fd)
{
    struct epoll *loop = of(base);
    CW_ASSERT(number < CW_LOOP_LISTENERS_MAX && loop->listeners[number].fd < 0);
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    loop->listeners[number] = (struct listener){.fd = fd};
    loop->listener_count = number >= loop->listener_count ? number + 1 : loop->listener_count;
    loop->accept_paused = true; /* the next turn begins to accept */
}

static void unwatch_listener(struct epoll *loop, struct listener *listener)
{
    if (listener->watched) {
        (void)control(loop, EPOLL_CTL_DEL, listener->fd, 0, KIND_LISTENER, 0);
        listener->watched = false;
    }
}

static void epoll_unlisten(struct cw_loop *base, uint32_t number)
{
    struct epoll *loop = of(base);
    struct listener *listener = &loop->listeners[number];
    CW_ASSERT(listener->fd >= 0);
    (void)shutdown(listener->fd, SHUT_RDWR); /* also where another process has it too */
    unwatch_listener(loop, listener);
    (void)close(listener->fd);
    listener->fd = -1;
}

static void epoll_attach(struct cw_loop *base, uint32_t number, int fd, enum cw_loop_group group)
{
    struct epoll *loop = of(base);
    CW_ASSERT(number < loop->base.options.sockets && loop->socks[number].fd < 0 && fd >= 0);
    loop->socks[number] = (struct sock){.fd = fd, .group = (uint8_t)group, .want = true};
    widen(loop, number);
}

static void epoll_receive(struct cw_loop *base, uint32_t number, bool on)
{
    struct epoll *loop = of(base);
    struct sock *sock = sock_of(loop, number);
    if (sock->closing) {
        return;
    }
    sock->want = on;
    if (on) {
        widen(loop, number);
    }
}

/* False: the socket takes nothing now. */
static bool try_send(struct sock *sock)
{
    ssize_t sent = send(sock->fd, sock->data, sock->bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    sock->result = sent < 0 ? -errno : (int32_t)sent;
    sock->bytes = 0;
    return true;
}

static void epoll_send(struct cw_loop *base, uint32_t number, const char *data, uint32_t bytes)
{
    struct epoll *loop = of(base);
    struct sock *sock = sock_of(loop, number);
    CW_ASSERT(!sock->sending && !sock->closing && bytes > 0);
    sock->sending = true;
    sock->data = data;
    sock->bytes = bytes;
    if (try_send(sock)) {
        list_told(loop, number);
    } else {
        widen(loop, number);
    }
}

static void epoll_finish(struct cw_loop *base, uint32_t number)
{
    struct sock *sock = sock_of(of(base), number);
    CW_ASSERT(!sock->sending && !sock->closing);
    (void)shutdown(sock->fd, SHUT_WR);
}

static void epoll_drop(struct cw_loop *base, uint32_t number, bool reset)
{
    struct epoll *loop = of(base);
    struct sock *sock = sock_of(loop, number);
    CW_ASSERT(!sock->closing);
    sock->closing = true;
    sock->want = false;
    sock->bytes = 0;
    if (reset) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(sock->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    unlist_told(loop, number);
    sock->next = loop->first_done;
    loop->first_done = number;
}

static int epoll_fd(const struct cw_loop *base, uint32_t number)
{
    const struct epoll *loop = (const struct epoll *)(const void *)base;
    CW_ASSERT(number < loop->base.options.sockets);
    return loop->socks[number].fd;
}

/* ---- telling ---- */

static void tell_received(struct epoll *loop, uint32_t number, const char *data, int32_t bytes)
{
    const struct cw_loop_handlers *handlers = &loop->base.options.handlers;
    loop->base.counts.completions++;
    if (data == NULL) {
        loop->socks[number].want = false;
    }
    handlers->received(handlers->self, number, data, bytes);
}

static void tell_sent(struct epoll *loop, uint32_t number)
{
    const struct cw_loop_handlers *handlers = &loop->base.options.handlers;
    loop->base.counts.completions++;
    loop->socks[number].sending = false;
    handlers->sent(handlers->self, number, loop->socks[number].result);
}

/* Tells what was over at once, in the order in which it was; half a turn's worth at most, so that
   those who always have something to send leave room for the others. Returns how many calls. */
static uint32_t tell(struct epoll *loop)
{
    uint32_t count = 0;
    while (loop->first_told != CW_LOOP_NONE && count + 2 <= TELL_MAX) {
        uint32_t number = loop->first_told;
        struct sock *sock = &loop->socks[number];
        unlist_told(loop, number);
        if (sock->sending && sock->bytes == 0) {
            count++;
            tell_sent(loop, number);
        }
        if (sock->unwatched != 0 && !sock->closing) {
            int32_t why = sock->unwatched;
            sock->unwatched = 0;
            count++;
            tell_received(loop, number, NULL, why);
        }
    }
    return count;
}

/* ---- events ---- */

static void pause_accepts(struct epoll *loop, struct listener *listener)
{
    loop->base.counts.accepts_failed++;
    listener->not_before_ns = cw_clock_monotonic_ns() + CW_LOOP_ACCEPT_PAUSE_NS;
    loop->accept_paused = true;
    unwatch_listener(loop, listener);
}

/* At least one caller is let in, more while this turn has room for them. */
static void on_listener(struct epoll *loop, uint32_t number)
{
    const struct cw_loop_handlers *handlers = &loop->base.options.handlers;
    struct listener *listener = &loop->listeners[number];
    for (uint32_t i = 0; i < ACCEPTS_MAX && listener->fd >= 0 && (i == 0 || loop->room > 0); i++) {
        loop->room -= i > 0;
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0) {
            loop->base.counts.completions++;
            handlers->accepted(handlers->self, number, fd);
        } else if (errno == EAGAIN) {
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            pause_accepts(loop, listener);
            return;
        }
    }
}

static void receive_once(struct epoll *loop, uint32_t number)
{
    struct sock *sock = &loop->socks[number];
    char *buffer = loop->buffers[sock->group];
    ssize_t got =
        recv(sock->fd, buffer, loop->base.options.buffers[sock->group].bytes, MSG_DONTWAIT);
    if (got > 0) {
        tell_received(loop, number, buffer, (int32_t)got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        tell_received(loop, number, NULL, got == 0 ? 0 : -errno);
    }
}

static void on_socket(struct epoll *loop, uint32_t number, uint32_t events)
{
    struct sock *sock = &loop->socks[number];
    if (sock->fd < 0 || sock->closing) {
        return;
    }
    uint32_t want = wanted(sock);
    uint32_t got = (events & (EPOLLERR | EPOLLHUP)) != 0 ? want : events & want;
    if (got == 0 || (events & sock->watched & ~want) != 0) {
        (void)watch(loop, number, want); /* narrows, which cannot fail */
    }
    if ((got & EPOLLIN) != 0) {
        receive_once(loop, number);
    }
    if ((got & EPOLLOUT) != 0 && !sock->closing && sock->bytes > 0 && try_send(sock)) {
        tell_sent(loop, number);
    }
}

static void on_wake(struct epoll *loop)
{
    uint64_t value;
    ssize_t rc = read(loop->base.event_fd, &value, sizeof value);
    CW_ASSERT(rc == (ssize_t)sizeof value || errno == EAGAIN || errno == EINTR);
    loop->base.counts.completions++;
}

static void handle_events(struct epoll *loop)
{
    for (uint32_t i = 0; i < loop->event_count; i++) {
        uint64_t data = loop->events[i].data.u64;
        uint32_t number = (uint32_t)data;
        switch ((enum kind)(data >> 32)) {
        case KIND_LISTENER: on_listener(loop, number); break;
        case KIND_SOCKET: on_socket(loop, number, loop->events[i].events); break;
        case KIND_WAKE: on_wake(loop); break;
        default: CW_ASSERT(false); break;
        }
    }
    loop->event_count = 0;
}

/* ---- turns ---- */

static void close_done(struct epoll *loop)
{
    const struct cw_loop_handlers *handlers = &loop->base.options.handlers;
    while (loop->first_done != CW_LOOP_NONE) {
        uint32_t number = loop->first_done;
        struct sock *sock = &loop->socks[number];
        loop->first_done = sock->next;
        CW_ASSERT(sock->closing && !sock->listed);
        (void)watch(loop, number, 0); /* closing would do, did no child process have it too */
        (void)close(sock->fd);
        sock->fd = -1;
        handlers->closed(handlers->self, number);
    }
}

static void watch_listeners(struct epoll *loop)
{
    uint64_t now = cw_clock_monotonic_ns();
    loop->accept_paused = false;
    for (uint32_t i = 0; i < loop->listener_count; i++) {
        struct listener *listener = &loop->listeners[i];
        if (listener->fd < 0 || listener->watched) {
            continue;
        }
        if (now < listener->not_before_ns) {
            loop->accept_paused = true;
        } else if (control(loop, EPOLL_CTL_ADD, listener->fd, EPOLLIN, KIND_LISTENER, i) == 0) {
            listener->watched = true;
        } else {
            pause_accepts(loop, listener);
        }
    }
}

static void prepare(struct epoll *loop)
{
    close_done(loop);
    if (loop->accept_paused) {
        watch_listeners(loop);
    }
}

static void fetch(struct epoll *loop, uint64_t ns_max)
{
    int count = 0;
    loop->base.counts.enters++;
    if (loop->nanoseconds && ns_max > 0) {
        struct timespec ts = {.tv_sec = (time_t)(ns_max / 1000000000u),
                              .tv_nsec = (long)(ns_max % 1000000000u)};
        count = epoll_pwait2(loop->fd, loop->events, EVENTS_MAX, &ts, NULL);
    } else {
        uint64_t ms = ns_max / 1000000u + (ns_max % 1000000u != 0);
        count = epoll_wait(loop->fd, loop->events, EVENTS_MAX, ms > INT_MAX ? INT_MAX : (int)ms);
    }
    CW_ASSERT(count >= 0 || errno == EINTR);
    loop->event_count = count > 0 ? (uint32_t)count : 0;
}

static void epoll_turn(struct cw_loop *base)
{
    struct epoll *loop = of(base);
    prepare(loop);
    uint32_t told = tell(loop);
    if (loop->event_count == 0) {
        fetch(loop, 0);
    }
    loop->room = CW_LOOP_TURN_MAX - told - 2 * loop->event_count;
    handle_events(loop);
    close_done(loop);
}

/* The time when a listening socket may be tried again, at the latest ns_max from now. */
static uint64_t until_accepts(const struct epoll *loop, uint64_t ns_max)
{
    uint64_t now = cw_clock_monotonic_ns();
    for (uint32_t i = 0; i < loop->listener_count; i++) {
        const struct listener *listener = &loop->listeners[i];
        if (listener->fd >= 0 && !listener->watched) {
            uint64_t left = listener->not_before_ns > now ? listener->not_before_ns - now : 0;
            ns_max = left < ns_max ? left : ns_max;
        }
    }
    return ns_max;
}

static void epoll_wait_for(struct cw_loop *base, uint64_t ns_max)
{
    struct epoll *loop = of(base);
    prepare(loop);
    if (loop->event_count > 0 || loop->first_told != CW_LOOP_NONE) {
        return;
    }
    fetch(loop, loop->accept_paused ? until_accepts(loop, ns_max) : ns_max);
}

const struct cw_loop_backend cw_loop_epoll = {
    .open = epoll_open,
    .footprint = epoll_footprint,
    .close = epoll_close,
    .listen = epoll_listen,
    .unlisten = epoll_unlisten,
    .attach = epoll_attach,
    .receive = epoll_receive,
    .send = epoll_send,
    .finish = epoll_finish,
    .drop = epoll_drop,
    .fd = epoll_fd,
    .turn = epoll_turn,
    .wait = epoll_wait_for,
};
