#include "tools/manager.h"

#include "core/manifest.h"
#include "io/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

/* A sign of life is due after half the time that the manager waits for it. One that cannot be given
   then is tried again each eighth: a loop may be silent for three quarters and more. */
enum {
    DUE = 4, /* eighths */
    EIGHTHS = 8,
    EIGHTH_MS_MAX = 60000
};

static bool disk_hangs(void *self)
{
    (void)self;
    return cw_alive_waits("/proc/self/task");
}

static bool alive(struct cw_manager *manager)
{
    (void)pthread_mutex_lock(&manager->mutex);
    bool lives = manager->stops || cw_alive_look(&manager->alive);
    (void)pthread_mutex_unlock(&manager->mutex);
    return lives;
}

static void *watch(void *self)
{
    struct cw_manager *manager = self;
    struct pollfd end = {.fd = manager->end, .events = POLLIN};
    uint64_t eighth = manager->every_us / EIGHTHS / 1000;
    int eighth_ms = eighth > EIGHTH_MS_MAX ? EIGHTH_MS_MAX : eighth > 0 ? (int)eighth : 1;
    int wait_ms = DUE * eighth_ms;
    while (poll(&end, 1, wait_ms) <= 0) { /* until close says so */
        bool lives = alive(manager);
        if (lives) {
            (void)sd_notify(0, "WATCHDOG=1");
        }
        wait_ms = lives ? DUE * eighth_ms : eighth_ms;
    }
    return NULL;
}

static cw_err start_watch(struct cw_manager *manager, struct cw_fault *fault)
{
    manager->alive.disk_hangs = disk_hangs;
    cw_alive_add(&manager->alive, &manager->turns);
    for (uint32_t i = 0; i < cw_engine_cores(manager->engine); i++) {
        cw_alive_add(&manager->alive, cw_engine_turns(manager->engine, i));
    }
    manager->end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    errno = manager->end < 0 ? errno : pthread_mutex_init(&manager->mutex, NULL);
    if (manager->end >= 0 && errno == 0) {
        errno = pthread_create(&manager->thread, NULL, watch, manager);
    }
    return errno == 0
               ? CW_ERR_OK
               : cw_fail(fault, CW_ERR_IO, "starting the thread that tells systemd of its life");
}

static void tell_status(const struct cw_manager *manager, const char *state)
{
    struct cw_text text = {0};
    cw_text_puts(&text, state);
    cw_text_puts(&text, manager->held == CW_HOLD_NONE ? "STATUS=ready" : "STATUS=sends held: ");
    cw_holds_write(manager->held, "", &text);
    (void)sd_notify(0, cw_text_terminate(&text));
    cw_text_deinit(&text);
}

cw_err cw_manager_ready(struct cw_manager *manager, const struct cw_engine *engine,
                        struct cw_fault *fault)
{
    manager->engine = engine;
    cw_err err = CW_ERR_OK;
    if (sd_watchdog_enabled(0, &manager->every_us) > 0) {
        err = start_watch(manager, fault);
    } else {
        manager->every_us = 0;
    }
    if (err == CW_ERR_OK) {
        manager->held = cw_engine_holds(engine, &manager->held) ? manager->held : CW_HOLD_NONE;
        tell_status(manager, "READY=1\n");
    }
    return err;
}

void cw_manager_turn(struct cw_manager *manager)
{
    uint32_t held = manager->held;
    atomic_fetch_add(&manager->turns, 1);
    if (manager->engine != NULL && cw_engine_holds(manager->engine, &held) &&
        held != manager->held) {
        manager->held = held;
        tell_status(manager, "");
    }
}

void cw_manager_reload(const struct cw_manager *manager)
{
    if (manager->engine != NULL) {
        /* The time is for managers that tell one reload from the next by it (253 and later). */
        (void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRIu64, cw_clock_monotonic_ns() / 1000);
    }
}

void cw_manager_reloaded(const struct cw_manager *manager)
{
    if (manager->engine != NULL) {
        (void)sd_notify(0, "READY=1");
    }
}

void cw_manager_stopping(struct cw_manager *manager)
{
    manager->engine = NULL;
    if (manager->every_us > 0) {
        (void)pthread_mutex_lock(&manager->mutex);
        manager->stops = true;
        (void)pthread_mutex_unlock(&manager->mutex);
    }
    (void)sd_notify(0, "STOPPING=1\nSTATUS=stopping");
}

void cw_manager_close(struct cw_manager *manager)
{
    if (manager->every_us > 0) {
        (void)eventfd_write(manager->end, 1);
        (void)pthread_join(manager->thread, NULL);
        (void)pthread_mutex_destroy(&manager->mutex);
        (void)close(manager->end);
        manager->every_us = 0;
    }
}
