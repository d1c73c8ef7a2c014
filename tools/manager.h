/*
 * manager: the service manager (systemd) is told that the engine is ready, what it does, and that
 * it lives.
 *
 * Where nobody asks for it (NOTIFY_SOCKET, WATCHDOG_USEC) all of this does nothing. That it lives
 * is told from a thread of its own, which looks whether every core's loop and the control plane's
 * have turned since (alive.h): so a control plane that waits for a disk does not look dead. Once it
 * stops, how long that may take is the manager's to bound, and it counts as alive.
 *
 * Life:    zeroed -> ready -> { turn | reload | reloaded }* -> stopping -> close; close of one that
 *          was never ready does nothing.
 * Memory:  the caller's. Threads: all functions on the control plane's; the engine may be closed
 *          once stopping has returned.
 * Fails:   ready; what the manager does not take is not told again.
 * Source:  sd_notify(3), sd_watchdog_enabled(3), systemd 252.
 */
#ifndef CW_TOOLS_MANAGER_H
#define CW_TOOLS_MANAGER_H

#include "tools/alive.h"
#include "tools/engine.h"

#include <pthread.h>

struct cw_manager {
    /* private */
    const struct cw_engine *engine; /* NULL: not ready yet, or stopping */
    _Atomic uint64_t turns;         /* of the control plane */
    uint32_t held;                  /* as told */
    struct cw_alive alive;
    uint64_t every_us; /* WATCHDOG_USEC; 0: nobody waits for signs of life */
    pthread_mutex_t mutex;
    bool stops; /* under the mutex: loops are not looked at any more */
    int end;    /* an eventfd: the thread ends */
    pthread_t thread;
};

/* It serves: from now on it has to show that it lives. */
CW_MUST_USE cw_err cw_manager_ready(struct cw_manager *manager, const struct cw_engine *engine,
                                    struct cw_fault *fault);
void cw_manager_turn(struct cw_manager *manager); /* each time the control plane has looked */
/* A reload begins; and is through, or was refused: it is ready again. While it stops nothing. */
void cw_manager_reload(const struct cw_manager *manager);
void cw_manager_reloaded(const struct cw_manager *manager);
void cw_manager_stopping(struct cw_manager *manager);
void cw_manager_close(struct cw_manager *manager);

#endif
