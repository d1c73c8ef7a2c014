/*
 * loop: one core's sockets: accepts, receives, sends, closes, sleeps and is woken.
 *
 * Written for io_uring (loop_uring.c): multishot accept, multishot receive into buffers that the
 * kernel picks, sends, one system call for all that has gathered in a turn. What a kernel lacks is
 * done without, one feature at a time. Containers and some distributions forbid io_uring
 * altogether: there epoll does the same (loop_epoll.c). cw_loop_name says what is used, and why.
 *
 * Sockets are named by numbers that the caller chooses, below options.sockets. A number is in use
 * from attach() until closed() was called; nothing is called for it after that.
 *
 * Life:    open -> listen* -> { turn | wait }* -> close. The thread that turns first is the only
 *          one to call anything from then on, but for wake().
 * Memory:  taken at open.
 * Threads: as said; wake() from any.
 * Bounds:  one turn handles at most CW_LOOP_TURN_MAX completions.
 * Fails:   only at open. What fails on a socket is told as its end.
 */
#ifndef CW_IO_LOOP_H
#define CW_IO_LOOP_H

#include "core/arena.h"

#define CW_LOOP_TURN_MAX      512u
#define CW_LOOP_LISTENERS_MAX 16u

/* Receive buffers: few bytes for many callers, or much at a time for few of them. */
enum cw_loop_group {
    CW_LOOP_SMALL, /* received into as it comes, until switched off */
    CW_LOOP_LARGE, /* one at a time, so that reading stops at once when switched off */
    CW_LOOP_GROUPS
};

/* What it runs on. */
enum cw_loop_choice {
    CW_LOOP_AUTO, /* io_uring; epoll where the system gives none, which the name then says */
    CW_LOOP_URING,
    CW_LOOP_EPOLL
};

/* Features that may be missing, or are left out on purpose (tests). */
enum cw_loop_feature {
    CW_LOOP_DEFER_TASKRUN = 1,     /* Linux 6.1 */
    CW_LOOP_MULTISHOT_RECEIVE = 2, /* 6.0 */
    CW_LOOP_MULTISHOT_ACCEPT = 4,  /* 5.19 */
    CW_LOOP_BUFFER_RING = 8,       /* 5.19 */
    CW_LOOP_RESTRICTIONS = 16,     /* 5.10: the ring may do what is used here and nothing else */
    CW_LOOP_NANOSECONDS = 32,      /* 5.11: epoll sleeps by the nanosecond, not rounded up to ms */
    CW_LOOP_ALL = 63
};

struct cw_loop_handlers {
    void *self;
    void (*accepted)(void *self, uint32_t listener, int fd);
    /* data NULL: it has ended (bytes 0), or failed (-errno). The bytes are gone after the call. */
    void (*received)(void *self, uint32_t socket, const char *data, int32_t bytes);
    void (*sent)(void *self, uint32_t socket, int32_t bytes); /* < 0: -errno */
    void (*closed)(void *self, uint32_t socket);
};

struct cw_loop_options {
    uint32_t sockets;

    struct {
        uint32_t bytes, count; /* count: a power of two, at most 32,768 */
    } buffers[CW_LOOP_GROUPS];

    enum cw_loop_choice choice;
    uint32_t without; /* enum cw_loop_feature */
    struct cw_loop_handlers handlers;
};

struct cw_loop; /* opaque */

CW_MUST_USE cw_err cw_loop_open(struct cw_loop **loop, struct cw_arena *arena,
                                const struct cw_loop_options *options, struct cw_fault *fault);
/* What cw_loop_open takes of the arena. */
size_t cw_loop_footprint(const struct cw_loop_options *options);
void cw_loop_close(struct cw_loop *loop); /* and every descriptor in it */

/* fd is the loop's from then on. */
void cw_loop_listen(struct cw_loop *loop, uint32_t number, int fd);
void cw_loop_unlisten(struct cw_loop *loop, uint32_t number);

void cw_loop_attach(struct cw_loop *loop, uint32_t number, int fd, enum cw_loop_group group);
/* Switches receiving on or off. Off: what the kernel has already received still comes. */
void cw_loop_receive(struct cw_loop *loop, uint32_t number, bool on);
/* One at a time; the bytes stay where they are until sent() or closed(). */
void cw_loop_send(struct cw_loop *loop, uint32_t number, const char *data, uint32_t bytes);
/* Nothing more will be sent; the other side sees the end. */
void cw_loop_finish(struct cw_loop *loop, uint32_t number);
/* Ends it; closed() is called later in this turn, or by the next turn or wait. reset: whatever is
   not sent yet is thrown away. */
void cw_loop_drop(struct cw_loop *loop, uint32_t number, bool reset);

int cw_loop_fd(const struct cw_loop *loop, uint32_t number);

/* Submits, then tells what is complete, without waiting. */
void cw_loop_turn(struct cw_loop *loop);
/* Sleeps until there is something to tell, wake() is called, or the time is over. */
void cw_loop_wait(struct cw_loop *loop, uint64_t ns_max);
void cw_loop_wake(struct cw_loop *loop);

const char *cw_loop_name(const struct cw_loop *loop);

struct cw_loop_counts {
    uint64_t enters; /* calls that submit, ask or wait; epoll's single operations are not among */
    uint64_t completions, receives_out_of_buffers, accepts_failed;
};

const struct cw_loop_counts *cw_loop_counts(const struct cw_loop *loop);

#endif
