/*
 * A completion's user_data is its operation and the number of its socket. A socket counts its
 * operations in flight and is closed when there are none left, so that its number, and with it the
 * user_data, is not used again before the kernel has said its last word on it.
 *
 * With DEFER_TASKRUN the kernel works on a ring only inside a call of the thread that owns it,
 * and TASKRUN_FLAG says when such a call is worth it: an idle turn makes no system call.
 */
#define _GNU_SOURCE 1
#include "io/clock.h"
#include "io/loop_priv.h"

#include <liburing.h>

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    SQ_ENTRIES = 1024,
    CQ_ENTRIES = 8192,
    SCRATCH_BYTES = 1 << 18
};

enum op {
    OP_ACCEPT,
    OP_RECEIVE,
    OP_SEND,
    OP_CANCEL,
    OP_WAKE,
    OP_COUNT
};

struct sock {
    int fd;
    uint32_t next_done; /* on the list of those to be closed now */
    uint8_t group;
    uint8_t in_flight;
    bool want, armed, cancelling, sending, closing, reset;
};

struct listener {
    int fd;
    bool armed, wanted;
    uint64_t not_before_ns;
};

struct buffers {
    struct io_uring_buf_ring *ring;
    char *base;
    size_t ring_bytes;
    uint32_t bytes, count;
};

struct uring {
    struct cw_loop base;
    struct io_uring ring;
    bool opened, started;
    uint32_t features; /* enum cw_loop_feature, those in use */
    struct sock *socks;
    uint32_t first_done;
    struct listener listeners[CW_LOOP_LISTENERS_MAX];
    uint32_t listener_count; /* highest in use, + 1 */
    bool accept_paused;
    struct buffers buffers[CW_LOOP_GROUPS];
    char *scratch; /* without a buffer ring */
    uint64_t event_value;
    bool event_armed;
};

static struct uring *of(struct cw_loop *base)
{
    return (struct uring *)(void *)base;
}

static uint64_t cookie(enum op op, uint32_t number)
{
    return (uint64_t)op << 32 | number;
}

static bool has(const struct uring *loop, enum cw_loop_feature feature)
{
    return (loop->features & feature) != 0;
}

/* ---- opening ---- */

/* A ring with as much as this kernel has, not enabled: its owner is the thread that enables it. */
static cw_err open_ring(struct uring *loop, struct cw_fault *fault)
{
    const unsigned base = IORING_SETUP_CQSIZE | IORING_SETUP_CLAMP | IORING_SETUP_R_DISABLED;
    const unsigned defer = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                           IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_SUBMIT_ALL;
    const unsigned tries[] = {has(loop, CW_LOOP_DEFER_TASKRUN) ? base | defer : base,
                              base | IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, base};
    int rc = -EINVAL;
    for (uint32_t i = 0; i < CW_COUNTOF(tries) && rc == -EINVAL; i++) {
        struct io_uring_params params = {.flags = tries[i], .cq_entries = CQ_ENTRIES};
        rc = io_uring_queue_init_params(SQ_ENTRIES, &loop->ring, &params);
        if (rc == 0 && (tries[i] & IORING_SETUP_DEFER_TASKRUN) == 0) {
            loop->features &= ~(uint32_t)CW_LOOP_DEFER_TASKRUN;
        }
    }
    if (rc < 0) {
        errno = -rc;
        return cw_fail(fault, CW_ERR_IO,
                       "this kernel gives no io_uring (%s); see kernel.io_uring_disabled",
                       rc == -EPERM || rc == -ENOSYS ? "it is switched off" : "it refuses");
    }
    loop->opened = true;
    return CW_ERR_OK;
}

/* Multishot operations cannot be asked for; they came with operations that can be. Every kernel
   that gives a disabled ring (5.10) can be asked (5.6), so no answer means that seccomp forbids
   io_uring_register, without which a ring is never enabled. */
static cw_err probe(struct uring *loop, struct cw_fault *fault)
{
    struct io_uring_probe *found = io_uring_get_probe_ring(&loop->ring);
    if (found == NULL) {
        errno = EPERM;
        return cw_fail(fault, CW_ERR_IO, "io_uring_register is forbidden here");
    }
    bool v5_19 = io_uring_opcode_supported(found, IORING_OP_SOCKET);
    bool v6_0 = io_uring_opcode_supported(found, IORING_OP_SEND_ZC);
    io_uring_free_probe(found);
    loop->features &= v5_19 ? CW_LOOP_ALL : ~(uint32_t)CW_LOOP_MULTISHOT_ACCEPT;
    loop->features &= v6_0 ? CW_LOOP_ALL : ~(uint32_t)CW_LOOP_MULTISHOT_RECEIVE;
    return CW_ERR_OK;
}

static void *map(size_t bytes)
{
    void *base = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return base == MAP_FAILED ? NULL : base;
}

static void give_buffer(struct buffers *buffers, uint32_t id)
{
    io_uring_buf_ring_add(buffers->ring, buffers->base + (size_t)id * buffers->bytes,
                          buffers->bytes, (unsigned short)id,
                          io_uring_buf_ring_mask(buffers->count), 0);
    io_uring_buf_ring_advance(buffers->ring, 1);
}

/* False: this kernel has no buffer rings. */
static bool open_buffers(struct uring *loop, uint32_t group)
{
    struct buffers *buffers = &loop->buffers[group];
    buffers->bytes = loop->base.options.buffers[group].bytes;
    buffers->count = loop->base.options.buffers[group].count;
    CW_ASSERT(buffers->count > 0 && (buffers->count & (buffers->count - 1)) == 0);
    buffers->ring_bytes = buffers->count * sizeof(struct io_uring_buf);
    buffers->ring = map(buffers->ring_bytes);
    buffers->base = map((size_t)buffers->bytes * buffers->count);
    if (buffers->ring == NULL || buffers->base == NULL) {
        return false;
    }
    struct io_uring_buf_reg reg = {.ring_addr = (uint64_t)(uintptr_t)buffers->ring,
                                   .ring_entries = buffers->count,
                                   .bgid = (uint16_t)group};
    if (io_uring_register_buf_ring(&loop->ring, &reg, 0) != 0) {
        return false;
    }
    io_uring_buf_ring_init(buffers->ring);
    for (uint32_t id = 0; id < buffers->count; id++) {
        give_buffer(buffers, id);
    }
    return true;
}

static void close_buffers(struct buffers *buffers)
{
    if (buffers->ring != NULL) {
        (void)munmap(buffers->ring, buffers->ring_bytes);
    }
    if (buffers->base != NULL) {
        (void)munmap(buffers->base, (size_t)buffers->bytes * buffers->count);
    }
    *buffers = (struct buffers){.ring = NULL};
}

/* seccomp does not see what a ring does; the ring itself is told what it may do. */
static void restrict_ring(struct uring *loop)
{
    static const uint8_t ops[] = {IORING_OP_ACCEPT,       IORING_OP_RECV,          IORING_OP_SEND,
                                  IORING_OP_ASYNC_CANCEL, IORING_OP_POLL_ADD,      IORING_OP_READ,
                                  IORING_OP_TIMEOUT,      IORING_OP_TIMEOUT_REMOVE};
    struct io_uring_restriction list[CW_COUNTOF(ops) + 3] = {{.opcode = 0}};
    uint32_t count = 0;
    for (; count < CW_COUNTOF(ops); count++) {
        list[count].opcode = IORING_RESTRICTION_SQE_OP;
        list[count].sqe_op = ops[count];
    }
    list[count].opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED;
    list[count++].sqe_flags = IOSQE_BUFFER_SELECT;
    list[count].opcode = IORING_RESTRICTION_REGISTER_OP;
    list[count++].register_op = IORING_REGISTER_ENABLE_RINGS;
    list[count].opcode = IORING_RESTRICTION_REGISTER_OP;
    list[count++].register_op = IORING_REGISTER_RING_FDS;
    /* Debian's liburing 2.3 declares a function for this, and for enabling, but has them not. */
    if (io_uring_register((unsigned)loop->ring.ring_fd, IORING_REGISTER_RESTRICTIONS, list,
                          count) != 0) {
        loop->features &= ~(uint32_t)CW_LOOP_RESTRICTIONS;
    }
}

static void describe(struct uring *loop)
{
    (void)snprintf(loop->base.name, sizeof loop->base.name, "io_uring, %s accept, %s receive%s%s%s",
                   has(loop, CW_LOOP_MULTISHOT_ACCEPT) ? "multishot" : "single",
                   !has(loop, CW_LOOP_BUFFER_RING)        ? "polled"
                   : has(loop, CW_LOOP_MULTISHOT_RECEIVE) ? "multishot"
                                                          : "single",
                   has(loop, CW_LOOP_BUFFER_RING) ? ", provided buffers" : "",
                   has(loop, CW_LOOP_DEFER_TASKRUN) ? ", deferred task work" : "",
                   has(loop, CW_LOOP_RESTRICTIONS) ? ", restricted" : "");
}

static size_t uring_footprint(const struct cw_loop_options *options)
{
    return sizeof(struct uring) + options->sockets * sizeof(struct sock) +
           (size_t)2 * CW_CACHE_LINE;
}

static void uring_close(struct cw_loop *base)
{
    struct uring *loop = of(base);
    if (loop->opened) {
        io_uring_queue_exit(&loop->ring);
    }
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
    for (uint32_t group = 0; group < CW_LOOP_GROUPS; group++) {
        close_buffers(&loop->buffers[group]);
    }
    if (loop->scratch != NULL) {
        (void)munmap(loop->scratch, SCRATCH_BYTES);
    }
    (void)close(loop->base.event_fd);
}

static cw_err uring_open(struct cw_loop **out, struct cw_arena *arena,
                         const struct cw_loop_options *options, struct cw_fault *fault)
{
    struct uring *loop = cw_arena_zalloc(arena, sizeof *loop, CW_CACHE_LINE);
    loop->base.backend = &cw_loop_uring;
    loop->base.options = *options;
    loop->features = CW_LOOP_ALL & ~options->without;
    loop->socks = cw_arena_zalloc(arena, options->sockets * sizeof *loop->socks, CW_CACHE_LINE);
    loop->first_done = CW_LOOP_NONE;
    for (uint32_t i = 0; i < options->sockets; i++) {
        loop->socks[i].fd = -1;
    }
    for (uint32_t i = 0; i < CW_LOOP_LISTENERS_MAX; i++) {
        loop->listeners[i].fd = -1;
    }
    loop->base.event_fd = eventfd(0, EFD_CLOEXEC);
    if (loop->base.event_fd < 0) {
        return cw_fail(fault, CW_ERR_IO, "opening an event descriptor");
    }
    cw_err err = open_ring(loop, fault);
    if (err == CW_ERR_OK) {
        err = probe(loop, fault);
    }
    if (err != CW_ERR_OK) {
        uring_close(&loop->base);
        return err;
    }
    for (uint32_t group = 0; group < CW_LOOP_GROUPS && has(loop, CW_LOOP_BUFFER_RING); group++) {
        if (!open_buffers(loop, group)) {
            loop->features &= ~(uint32_t)CW_LOOP_BUFFER_RING;
        }
    }
    if (!has(loop, CW_LOOP_BUFFER_RING)) {
        loop->features &= ~(uint32_t)CW_LOOP_MULTISHOT_RECEIVE;
        loop->scratch = map(SCRATCH_BYTES);
        if (loop->scratch == NULL) {
            uring_close(&loop->base);
            return cw_fail(fault, CW_ERR_IO, "mapping %d bytes to receive into", SCRATCH_BYTES);
        }
    }
    if (has(loop, CW_LOOP_RESTRICTIONS)) {
        restrict_ring(loop);
    }
    describe(loop);
    *out = &loop->base;
    return CW_ERR_OK;
}

/* ---- submitting ---- */

static struct io_uring_sqe *next_sqe(struct uring *loop)
{
    struct io_uring_sqe *sqe = io_uring_get_sqe(&loop->ring);
    if (sqe == NULL) {
        loop->base.counts.enters++;
        int rc = io_uring_submit(&loop->ring);
        CW_ASSERT(rc > 0 || rc == -EAGAIN || rc == -EBUSY || rc == -EINTR);
        sqe = io_uring_get_sqe(&loop->ring);
        CW_ASSERT(sqe != NULL);
    }
    return sqe;
}

/* After liburing's prep function, which may clear what it does not know. */
static void mark(struct io_uring_sqe *sqe, enum op op, uint32_t number)
{
    io_uring_sqe_set_data64(sqe, cookie(op, number));
}

static void arm_accept(struct uring *loop, uint32_t number)
{
    struct listener *listener = &loop->listeners[number];
    struct io_uring_sqe *sqe = next_sqe(loop);
    if (has(loop, CW_LOOP_MULTISHOT_ACCEPT)) {
        io_uring_prep_multishot_accept(sqe, listener->fd, NULL, NULL, SOCK_CLOEXEC);
    } else {
        io_uring_prep_accept(sqe, listener->fd, NULL, NULL, SOCK_CLOEXEC);
    }
    mark(sqe, OP_ACCEPT, number);
    listener->armed = true;
}

static void arm_receive(struct uring *loop, uint32_t number)
{
    struct sock *sock = &loop->socks[number];
    struct io_uring_sqe *sqe = next_sqe(loop);
    if (!has(loop, CW_LOOP_BUFFER_RING)) {
        io_uring_prep_poll_add(sqe, sock->fd, POLLIN);
    } else {
        if (sock->group == CW_LOOP_SMALL && has(loop, CW_LOOP_MULTISHOT_RECEIVE)) {
            io_uring_prep_recv_multishot(sqe, sock->fd, NULL, 0, 0);
        } else {
            io_uring_prep_recv(sqe, sock->fd, NULL, loop->buffers[sock->group].bytes, 0);
        }
        sqe->buf_group = sock->group;
        io_uring_sqe_set_flags(sqe, IOSQE_BUFFER_SELECT);
    }
    mark(sqe, OP_RECEIVE, number);
    sock->armed = true;
    sock->in_flight++;
}

/* Makes what the kernel does what is wanted. */
static void settle(struct uring *loop, uint32_t number)
{
    struct sock *sock = &loop->socks[number];
    if (sock->closing) {
        return;
    }
    if (sock->want && !sock->armed) {
        arm_receive(loop, number);
    } else if (!sock->want && sock->armed && !sock->cancelling && sock->group == CW_LOOP_SMALL) {
        struct io_uring_sqe *sqe = next_sqe(loop);
        io_uring_prep_cancel64(sqe, cookie(OP_RECEIVE, number), 0);
        mark(sqe, OP_CANCEL, number);
        sock->cancelling = true;
        sock->in_flight++;
    }
}

static void list_done(struct uring *loop, uint32_t number)
{
    loop->socks[number].next_done = loop->first_done;
    loop->first_done = number;
}

/* An operation of this socket is over. */
static void over(struct uring *loop, uint32_t number)
{
    struct sock *sock = &loop->socks[number];
    CW_ASSERT(sock->in_flight > 0);
    sock->in_flight--;
    if (sock->closing && sock->in_flight == 0) {
        list_done(loop, number);
    }
}

/* ---- the caller's side ---- */

static struct sock *sock_of(struct uring *loop, uint32_t number)
{
    CW_ASSERT(number < loop->base.options.sockets);
    struct sock *sock = &loop->socks[number];
    CW_ASSERT(sock->fd >= 0);
    return sock;
}

static void uring_listen(struct cw_loop *base, uint32_t number, int fd)
{
    struct uring *loop = of(base);
    CW_ASSERT(number < CW_LOOP_LISTENERS_MAX && loop->listeners[number].fd < 0);
    loop->listeners[number] = (struct listener){.fd = fd, .wanted = true};
    loop->listener_count = number >= loop->listener_count ? number + 1 : loop->listener_count;
    loop->accept_paused = true; /* the next turn begins to accept */
}

static void uring_unlisten(struct cw_loop *base, uint32_t number)
{
    struct uring *loop = of(base);
    struct listener *listener = &loop->listeners[number];
    CW_ASSERT(listener->wanted);
    listener->wanted = false;
    (void)shutdown(listener->fd, SHUT_RDWR); /* from now on callers are refused by the kernel */
    if (listener->armed) {
        struct io_uring_sqe *sqe = next_sqe(loop);
        io_uring_prep_cancel64(sqe, cookie(OP_ACCEPT, number), 0);
        mark(sqe, OP_CANCEL, CW_LOOP_NONE);
    } else {
        (void)close(listener->fd);
        listener->fd = -1;
    }
}

static void uring_attach(struct cw_loop *base, uint32_t number, int fd, enum cw_loop_group group)
{
    struct uring *loop = of(base);
    CW_ASSERT(number < loop->base.options.sockets && loop->socks[number].fd < 0 && fd >= 0);
    loop->socks[number] =
        (struct sock){.fd = fd, .group = (uint8_t)group, .want = true, .next_done = CW_LOOP_NONE};
    settle(loop, number);
}

static void uring_receive(struct cw_loop *base, uint32_t number, bool on)
{
    struct uring *loop = of(base);
    sock_of(loop, number)->want = on;
    settle(loop, number);
}

static void uring_send(struct cw_loop *base, uint32_t number, const char *data, uint32_t bytes)
{
    struct uring *loop = of(base);
    struct sock *sock = sock_of(loop, number);
    CW_ASSERT(!sock->sending && !sock->closing && bytes > 0);
    struct io_uring_sqe *sqe = next_sqe(loop);
    io_uring_prep_send(sqe, sock->fd, data, bytes, MSG_NOSIGNAL);
    mark(sqe, OP_SEND, number);
    sock->sending = true;
    sock->in_flight++;
}

static void uring_finish(struct cw_loop *base, uint32_t number)
{
    struct uring *loop = of(base);
    struct sock *sock = sock_of(loop, number);
    CW_ASSERT(!sock->sending && !sock->closing);
    (void)shutdown(sock->fd, SHUT_WR);
}

static void uring_drop(struct cw_loop *base, uint32_t number, bool reset)
{
    struct uring *loop = of(base);
    struct sock *sock = sock_of(loop, number);
    CW_ASSERT(!sock->closing);
    sock->closing = true;
    sock->want = false;
    if (reset) {
        struct linger linger = {.l_onoff = 1, .l_linger = 0};
        (void)setsockopt(sock->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
    }
    if (sock->in_flight == 0) {
        list_done(loop, number);
    } else {
        (void)shutdown(sock->fd, SHUT_RDWR); /* ends what is in flight */
    }
}

static int uring_fd(const struct cw_loop *base, uint32_t number)
{
    const struct uring *loop = (const struct uring *)(const void *)base;
    CW_ASSERT(number < loop->base.options.sockets);
    return loop->socks[number].fd;
}

/* ---- completions ---- */

struct completion {
    enum op op;
    uint32_t number;
    int32_t res;
    uint32_t flags;
};

static void on_accept(struct uring *loop, const struct completion *done)
{
    const struct cw_loop_handlers *handlers = &loop->base.options.handlers;
    struct listener *listener = &loop->listeners[done->number];
    if ((done->flags & IORING_CQE_F_MORE) == 0) {
        listener->armed = false;
        loop->accept_paused = true;
        if (!listener->wanted && listener->fd >= 0) {
            (void)close(listener->fd);
            listener->fd = -1;
        }
    }
    if (done->res < 0) {
        bool ended = done->res == -ECANCELED || done->res == -ECONNABORTED || done->res == -EINTR;
        if (!ended && listener->wanted) {
            loop->base.counts.accepts_failed++;
            listener->not_before_ns = cw_clock_monotonic_ns() + CW_LOOP_ACCEPT_PAUSE_NS;
        }
    } else if (!listener->wanted) {
        (void)close(done->res);
    } else {
        handlers->accepted(handlers->self, done->number, done->res);
    }
}

static void tell_received(struct uring *loop, uint32_t number, const char *data, int32_t bytes)
{
    const struct cw_loop_handlers *handlers = &loop->base.options.handlers;
    struct sock *sock = &loop->socks[number];
    if (data == NULL) {
        sock->want = false;
    }
    if (!sock->closing) {
        handlers->received(handlers->self, number, data, bytes);
    }
}

/* Without a buffer ring: there is something to receive. */
static void receive_polled(struct uring *loop, uint32_t number)
{
    struct sock *sock = &loop->socks[number];
    if (sock->closing || !sock->want) {
        return;
    }
    ssize_t got = recv(sock->fd, loop->scratch, SCRATCH_BYTES, MSG_DONTWAIT);
    if (got > 0) {
        tell_received(loop, number, loop->scratch, (int32_t)got);
    } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
        tell_received(loop, number, NULL, got == 0 ? 0 : -errno);
    }
}

static void on_receive(struct uring *loop, const struct completion *done)
{
    struct sock *sock = &loop->socks[done->number];
    if ((done->flags & IORING_CQE_F_MORE) == 0) {
        sock->armed = false;
    }
    if (!has(loop, CW_LOOP_BUFFER_RING)) {
        receive_polled(loop, done->number);
    } else if (done->res > 0) {
        CW_ASSERT((done->flags & IORING_CQE_F_BUFFER) != 0);
        struct buffers *buffers = &loop->buffers[sock->group];
        uint32_t id = done->flags >> IORING_CQE_BUFFER_SHIFT;
        tell_received(loop, done->number, buffers->base + (size_t)id * buffers->bytes, done->res);
        give_buffer(buffers, id);
    } else if (done->res == -ENOBUFS) {
        loop->base.counts.receives_out_of_buffers++; /* they are back when this turn ends */
    } else if (done->res != -ECANCELED && done->res != -EINTR) {
        tell_received(loop, done->number, NULL, done->res);
    }
    if ((done->flags & IORING_CQE_F_MORE) == 0) {
        over(loop, done->number);
        settle(loop, done->number);
    }
}

static void on_send(struct uring *loop, const struct completion *done)
{
    const struct cw_loop_handlers *handlers = &loop->base.options.handlers;
    struct sock *sock = &loop->socks[done->number];
    sock->sending = false;
    if (!sock->closing) {
        handlers->sent(handlers->self, done->number, done->res);
    }
    over(loop, done->number);
}

static void complete(struct uring *loop, const struct completion *done)
{
    loop->base.counts.completions++;
    switch (done->op) {
    case OP_ACCEPT: on_accept(loop, done); break;
    case OP_RECEIVE: on_receive(loop, done); break;
    case OP_SEND: on_send(loop, done); break;
    case OP_CANCEL:
        if (done->number != CW_LOOP_NONE) {
            loop->socks[done->number].cancelling = false;
            over(loop, done->number);
            settle(loop, done->number);
        }
        break;
    case OP_WAKE: loop->event_armed = false; break;
    case OP_COUNT:
    default: CW_ASSERT(false); break;
    }
}

static void reap(struct uring *loop)
{
    unsigned head;
    uint32_t count = 0;
    struct io_uring_cqe *cqe;
    io_uring_for_each_cqe(&loop->ring, head, cqe)
    {
        uint64_t data = io_uring_cqe_get_data64(cqe);
        struct completion done = {.op = (enum op)(data >> 32),
                                  .number = (uint32_t)data,
                                  .res = cqe->res,
                                  .flags = cqe->flags};
        complete(loop, &done);
        if (++count == CW_LOOP_TURN_MAX) {
            break;
        }
    }
    io_uring_cq_advance(&loop->ring, count);
}

static void close_done(struct uring *loop)
{
    const struct cw_loop_handlers *handlers = &loop->base.options.handlers;
    while (loop->first_done != CW_LOOP_NONE) {
        uint32_t number = loop->first_done;
        struct sock *sock = &loop->socks[number];
        loop->first_done = sock->next_done;
        CW_ASSERT(sock->in_flight == 0 && sock->closing);
        (void)close(sock->fd);
        sock->fd = -1;
        handlers->closed(handlers->self, number);
    }
}

static void arm_accepts(struct uring *loop)
{
    uint64_t now = cw_clock_monotonic_ns();
    loop->accept_paused = false;
    for (uint32_t i = 0; i < loop->listener_count; i++) {
        struct listener *listener = &loop->listeners[i];
        if (listener->wanted && !listener->armed) {
            if (now >= listener->not_before_ns) {
                arm_accept(loop, i);
            } else {
                loop->accept_paused = true;
            }
        }
    }
}

/* What has to be asked for before the kernel is called. */
static void prepare(struct uring *loop)
{
    close_done(loop);
    if (!loop->started) {
        int rc =
            io_uring_register((unsigned)loop->ring.ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
        CW_ASSERT(rc == 0);
        (void)io_uring_register_ring_fd(&loop->ring); /* 5.18: saves a look-up in every call */
        loop->started = true;
    }
    if (!loop->event_armed) {
        struct io_uring_sqe *sqe = next_sqe(loop);
        io_uring_prep_read(sqe, loop->base.event_fd, &loop->event_value, sizeof loop->event_value,
                           0);
        mark(sqe, OP_WAKE, 0);
        loop->event_armed = true;
    }
    if (loop->accept_paused) {
        arm_accepts(loop);
    }
}

static void uring_turn(struct cw_loop *base)
{
    struct uring *loop = of(base);
    prepare(loop);
    unsigned flags = IO_URING_READ_ONCE(*loop->ring.sq.kflags);
    if (io_uring_sq_ready(&loop->ring) > 0 ||
        (flags & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0) {
        loop->base.counts.enters++;
        int rc = io_uring_submit_and_get_events(&loop->ring);
        CW_ASSERT(rc >= 0 || rc == -EAGAIN || rc == -EBUSY || rc == -EINTR);
    }
    reap(loop);
    close_done(loop);
}

static void uring_wait(struct cw_loop *base, uint64_t ns_max)
{
    struct uring *loop = of(base);
    prepare(loop);
    if (io_uring_cq_ready(&loop->ring) > 0) {
        return;
    }
    struct __kernel_timespec ts = {.tv_sec = (int64_t)(ns_max / 1000000000u),
                                   .tv_nsec = (int64_t)(ns_max % 1000000000u)};
    struct io_uring_cqe *cqe = NULL;
    loop->base.counts.enters++;
    int rc = io_uring_submit_and_wait_timeout(&loop->ring, &cqe, 1, &ts, NULL);
    CW_ASSERT(rc >= 0 || rc == -ETIME || rc == -EINTR || rc == -EAGAIN || rc == -EBUSY);
}

const struct cw_loop_backend cw_loop_uring = {
    .open = uring_open,
    .footprint = uring_footprint,
    .close = uring_close,
    .listen = uring_listen,
    .unlisten = uring_unlisten,
    .attach = uring_attach,
    .receive = uring_receive,
    .send = uring_send,
    .finish = uring_finish,
    .drop = uring_drop,
    .fd = uring_fd,
    .turn = uring_turn,
    .wait = uring_wait,
};
