/*
 * memory: address space that fills from its start, its pages made real before they are needed.
 *
 * A first touch costs the kernel a zeroed page: 100 us for a huge one on a machine of one's own,
 * 5 ms where a hypervisor has to find it first. So the owner says how far it has come and another
 * thread, which has the time, is ahead of it.
 *
 * Life:    reserve -> { used | populate }* -> release.
 * Memory:  a private anonymous mapping, huge pages asked for behind its first 2 MiB.
 * Threads: used: the owner's; populate: one other thread's, at any time between the two ends.
 * Bounds:  at most CW_MEMORY_AHEAD bytes are real beyond the huge page that is in use.
 */
#ifndef CW_CORE_MEMORY_H
#define CW_CORE_MEMORY_H

#include "core/err.h"

#include <stdatomic.h>

#define CW_HUGE_PAGE_BYTES ((uint64_t)2 << 20)
#define CW_MEMORY_AHEAD    ((uint64_t)1 << 20)

struct cw_memory {
    void *base;
    uint64_t bytes;
    _Atomic uint64_t used; /* the owner has come so far, or will before it says so again */
    uint64_t real;         /* the populating thread's */
};

/* Reserves at least that many bytes, zeroed; `what` is for the message. */
CW_MUST_USE cw_err cw_memory_reserve(struct cw_memory *memory, uint64_t bytes, const char *what,
                                     struct cw_fault *fault);
void cw_memory_release(struct cw_memory *memory);

static inline void cw_memory_used(struct cw_memory *memory, uint64_t bytes)
{
    atomic_store_explicit(&memory->used, bytes, memory_order_relaxed);
}

/* Makes a step of at most a huge page real; false when nothing need be done. */
bool cw_memory_populate(struct cw_memory *memory);

#endif
