/* Which backend a loop has, and the way to its functions. */
#define _GNU_SOURCE 1
#include "io/loop_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* io_uring was asked for if it can be had, and cannot: that is said wherever the name is. */
static void say_why(struct cw_loop *loop, int error)
{
    const char *text = strerrordesc_np(error);
    const char *what = error == EPERM || error == EACCES ? "is forbidden here"
                       : error == ENOSYS                 ? "is not in this kernel"
                                                         : "does not open";
    size_t used = strlen(loop->name);
    (void)snprintf(loop->name + used, sizeof loop->name - used, " (io_uring %s: %s)", what,
                   text != NULL ? text : "no reason given");
}

cw_err cw_loop_open(struct cw_loop **loop, struct cw_arena *arena,
                    const struct cw_loop_options *options, struct cw_fault *fault)
{
    CW_ASSERT(options->sockets > 0);
    if (options->choice == CW_LOOP_URING) {
        return cw_loop_uring.open(loop, arena, options, fault);
    }
    struct cw_fault why = {.sys_errno = 0};
    if (options->choice == CW_LOOP_AUTO &&
        cw_loop_uring.open(loop, arena, options, &why) == CW_ERR_OK) {
        return CW_ERR_OK;
    }
    cw_err err = cw_loop_epoll.open(loop, arena, options, fault);
    if (err == CW_ERR_OK && options->choice == CW_LOOP_AUTO) {
        say_why(*loop, why.sys_errno);
    }
    return err;
}

size_t cw_loop_footprint(const struct cw_loop_options *options)
{
    size_t uring = options->choice == CW_LOOP_EPOLL ? 0 : cw_loop_uring.footprint(options);
    size_t epoll = options->choice == CW_LOOP_URING ? 0 : cw_loop_epoll.footprint(options);
    return uring + epoll; /* AUTO may take the one and then the other */
}

void cw_loop_close(struct cw_loop *loop)
{
    loop->backend->close(loop);
}

void cw_loop_listen(struct cw_loop *loop, uint32_t number, int fd)
{
    loop->backend->listen(loop, number, fd);
}

void cw_loop_unlisten(struct cw_loop *loop, uint32_t number)
{
    loop->backend->unlisten(loop, number);
}

void cw_loop_attach(struct cw_loop *loop, uint32_t number, int fd, enum cw_loop_group group)
{
    loop->backend->attach(loop, number, fd, group);
}

void cw_loop_receive(struct cw_loop *loop, uint32_t number, bool on)
{
    loop->backend->receive(loop, number, on);
}

void cw_loop_send(struct cw_loop *loop, uint32_t number, const char *data, uint32_t bytes)
{
    loop->backend->send(loop, number, data, bytes);
}

void cw_loop_finish(struct cw_loop *loop, uint32_t number)
{
    loop->backend->finish(loop, number);
}

void cw_loop_drop(struct cw_loop *loop, uint32_t number, bool reset)
{
    loop->backend->drop(loop, number, reset);
}

int cw_loop_fd(const struct cw_loop *loop, uint32_t number)
{
    return loop->backend->fd(loop, number);
}

void cw_loop_turn(struct cw_loop *loop)
{
    loop->backend->turn(loop);
}

void cw_loop_wait(struct cw_loop *loop, uint64_t ns_max)
{
    loop->backend->wait(loop, ns_max);
}

void cw_loop_wake(struct cw_loop *loop)
{
    uint64_t one = 1;
    ssize_t rc = write(loop->event_fd, &one, sizeof one);
    CW_ASSERT(rc == (ssize_t)sizeof one);
}

const char *cw_loop_name(const struct cw_loop *loop)
{
    return loop->name;
}

const struct cw_loop_counts *cw_loop_counts(const struct cw_loop *loop)
{
    return &loop->counts;
}
