/*
 * alive: whether all loops of a process have turned, or what does not waits for a disk.
 *
 * A loop that has not turned for long is a defect, or is inside a system call of a disk that
 * hangs. A thread in such a call cannot be killed: who ends the process then loses the rest of it
 * and gains nothing, since none can take its place before the disk answers.
 *
 * Life:    zeroed -> add* -> look*. Memory: the caller's; the counters outlive it.
 * Threads: one; the counters are written by others. Bounds: CW_ALIVE_LOOPS_MAX loops.
 */
#ifndef CW_TOOLS_ALIVE_H
#define CW_TOOLS_ALIVE_H

#include "core/mesh.h"

#include <stdatomic.h>

#define CW_ALIVE_LOOPS_MAX (CW_MESH_SHARDS_MAX + 1u) /* the cores' and the control plane's */

struct cw_alive {
    /* A disk hangs: asked only where a loop has not turned. May take a second. */
    bool (*disk_hangs)(void *self);
    void *self;
    /* private */
    uint32_t count;

    struct cw_alive_loop {
        const _Atomic uint64_t *turns;
        uint64_t seen;
    } loops[CW_ALIVE_LOOPS_MAX];
};

/* One more loop, whose counter grows with each turn. */
void cw_alive_add(struct cw_alive *alive, const _Atomic uint64_t *turns);

/* True when every loop has turned since this was last true (of the first time: since add), and as
   long as a disk hangs. */
CW_MUST_USE bool cw_alive_look(struct cw_alive *alive);

/* True when a thread of the process of which `tasks` is the directory ("/proc/self/task") stays in
   an uninterruptible wait (state D) for half a second: a call of a disk that answers does not. */
CW_MUST_USE bool cw_alive_waits(const char *tasks);

#endif
