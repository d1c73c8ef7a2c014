/*
 * engine_disk: watches whether the cores' disks answer, and tells.
 *
 * A system call of a disk that hangs cannot be ended, and neither can its process. Nothing is
 * acknowledged meanwhile, so nothing is lost by waiting: a disk that comes back goes on where it
 * was. But nobody would know why events are not answered. The watch is kept on the thread for
 * memory, since the control plane writes dead letters to the same disk and may hang with it.
 */
#include "io/disk.h"
#include "tools/engine_priv.h"

/* A flush takes milliseconds, and some seconds where a disk or what it hangs on is overloaded; a
   kernel gives up on a device after 30 s (SCSI) or never (NFS, `hard`). Callers have had 504 since
   4 s then, so sooner would only be more often wrong. */
#define STALLED_AFTER_NS UINT64_C(10000000000)

/* What is under way for longer than that; since_ns 0: nothing. */
static struct cw_disk_work stalled(const struct cw_core *core, uint64_t now_ns)
{
    struct cw_disk_work work = {0};
    if (core->disk != NULL) {
        work = cw_disk_work(core->disk);
    }
    bool late = work.since_ns != 0 && now_ns > work.since_ns + STALLED_AFTER_NS;
    return late ? work : (struct cw_disk_work){0};
}

/* Every turn of every core asks: so one line, that is written when something has changed. */
uint64_t cw_engine_disk_stalled_s(void *self)
{
    struct cw_engine *engine = ((struct cw_core *)self)->engine;
    uint64_t since_ns = atomic_load_explicit(&engine->disk_stalled_since_ns, memory_order_relaxed);
    return since_ns == 0 ? 0 : (cw_clock_monotonic_ns() - since_ns) / 1000000000;
}

const struct cw_histogram *cw_engine_disk_flushes(void *self)
{
    const struct cw_core *core = self;
    return core->disk != NULL ? &cw_disk_counts(core->disk)->flush_ns : NULL;
}

static bool aside(void *self, const struct cw_request *request)
{
    return cw_service_aside(((struct cw_core *)self)->service, request);
}

void cw_engine_disk_turn(struct cw_core *core)
{
    if (cw_engine_disk_stalled_s(core) > 0) {
        cw_server_aside(core->server, aside, core);
    }
}

void cw_engine_disk_look(struct cw_engine *engine)
{
    uint64_t now_ns = cw_clock_monotonic_ns();
    uint64_t first_ns = 0; /* a core's events may be owned by any other */
    for (uint32_t i = 0; i < engine->count; i++) {
        struct cw_core *core = &engine->cores[i];
        struct cw_disk_work work = stalled(core, now_ns);
        if (work.since_ns != 0 && (first_ns == 0 || work.since_ns < first_ns)) {
            first_ns = work.since_ns;
        }
        if (work.since_ns == core->stalled_since_ns) {
            continue;
        }
        if (core->stalled_since_ns != 0) {
            (void)fprintf(stderr, "cartwheel: core %u: the disk answers again, after %.1f s\n", i,
                          (double)(now_ns - core->stalled_since_ns) / 1e9);
        }
        if (work.since_ns != 0) {
            (void)fprintf(stderr,
                          "cartwheel: WARNING: core %u: the disk has not answered for %llu s (an "
                          "operation of kind \"%s\"): events are refused until it does; see "
                          "OPERATING.md\n",
                          i, (unsigned long long)(STALLED_AFTER_NS / 1000000000),
                          cw_disk_kind_name(work.kind));
        }
        core->stalled_since_ns = work.since_ns;
    }
    if (first_ns != atomic_load(&engine->disk_stalled_since_ns)) {
        atomic_store(&engine->disk_stalled_since_ns, first_ns);
    }
}
