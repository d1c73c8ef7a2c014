/*
 * loop_priv: what a backend of loop.h is: a row of functions, one for each of loop.h's, and a
 * struct that begins with struct cw_loop. loop.c chooses the row at open and calls through it.
 */
#ifndef CW_IO_LOOP_PRIV_H
#define CW_IO_LOOP_PRIV_H

#include "io/loop.h"

enum {
    CW_LOOP_NAME_BYTES = 160,
    CW_LOOP_ACCEPT_PAUSE_NS = 100000000 /* when there are no descriptors left */
};

/* No number; the end of a list of them. */
#define CW_LOOP_NONE UINT32_MAX

struct cw_loop_backend {
    /* Leaves the fault's sys_errno saying why the system refuses. */
    cw_err (*open)(struct cw_loop **loop, struct cw_arena *arena,
                   const struct cw_loop_options *options, struct cw_fault *fault);
    size_t (*footprint)(const struct cw_loop_options *options);
    void (*close)(struct cw_loop *loop);
    void (*listen)(struct cw_loop *loop, uint32_t number, int fd);
    void (*unlisten)(struct cw_loop *loop, uint32_t number);
    void (*attach)(struct cw_loop *loop, uint32_t number, int fd, enum cw_loop_group group);
    void (*receive)(struct cw_loop *loop, uint32_t number, bool on);
    void (*send)(struct cw_loop *loop, uint32_t number, const char *data, uint32_t bytes);
    void (*finish)(struct cw_loop *loop, uint32_t number);
    void (*drop)(struct cw_loop *loop, uint32_t number, bool reset);
    int (*fd)(const struct cw_loop *loop, uint32_t number);
    void (*turn)(struct cw_loop *loop);
    void (*wait)(struct cw_loop *loop, uint64_t ns_max);
};

extern const struct cw_loop_backend cw_loop_uring, cw_loop_epoll;

struct cw_loop {
    const struct cw_loop_backend *backend;
    struct cw_loop_options options;
    struct cw_loop_counts counts;
    int event_fd; /* what wake() writes to */
    char name[CW_LOOP_NAME_BYTES];
};

#endif
