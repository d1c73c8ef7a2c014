#define _GNU_SOURCE 1 /* syscall */
/*
 * sim_memory: what one machine maps comes out of one region, and goes back with one call.
 *
 * A machine has some hundred mappings, and a seed starts dozens of machines: to map and unmap each
 * of them by the kernel was a tenth of a run. So while a machine is open, private anonymous memory
 * is cut from the region's start; once the last piece is given back its pages are, which makes them
 * zeroes again. Nothing is cut twice in between. What does not fit comes from the kernel.
 *
 * Builds with checks go without it: there, memory that was given back is to be gone.
 */
#include "tests/sim/sim.h"

#ifndef CW_CHECKS

#    include <sys/mman.h>
#    include <sys/syscall.h>
#    include <unistd.h>

#    define REGION_BYTES ((uint64_t)256 << 30)
#    define PIECE_BYTES  ((uint64_t)4096)

static struct {
    uint8_t *base;
    uint64_t cut, held; /* bytes: from the start; of those, not given back */
    bool refused, open;
} region;

/* The same for the program as the C library's. */
void *mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset)
{
    const int plain = MAP_PRIVATE | MAP_ANONYMOUS;
    uint64_t whole = ((uint64_t)bytes + PIECE_BYTES - 1) & ~(PIECE_BYTES - 1);
    bool cuts = region.open && at == NULL && protection == (PROT_READ | PROT_WRITE) &&
                (flags & ~MAP_NORESERVE) == plain && whole <= REGION_BYTES - region.cut;
    if (!cuts) {
        return (void *)syscall(SYS_mmap, at, bytes, protection, flags, file, offset);
    }
    uint8_t *piece = region.base + region.cut;
    region.cut += whole;
    region.held += whole;
    return piece;
}

static bool in_region(const void *at)
{
    return region.base != NULL && (uintptr_t)at - (uintptr_t)region.base < REGION_BYTES;
}

int munmap(void *at, size_t bytes)
{
    if (!in_region(at)) {
        return (int)syscall(SYS_munmap, at, bytes);
    }
    uint64_t whole = ((uint64_t)bytes + PIECE_BYTES - 1) & ~(PIECE_BYTES - 1);
    CW_ASSERT(whole <= region.held);
    region.held -= whole;
    if (region.held == 0) {
        CW_ASSERT(syscall(SYS_madvise, region.base, region.cut, MADV_DONTNEED) == 0);
        region.cut = 0;
    }
    return 0;
}

int madvise(void *at, size_t bytes, int advice)
{
    /* Tables here are small, and many. */
    bool passes = !in_region(at) || advice != MADV_HUGEPAGE;
    return passes ? (int)syscall(SYS_madvise, at, bytes, advice) : 0;
}

void sim_memory_open(bool open)
{
    if (region.base == NULL && !region.refused) {
        void *got = mmap(NULL, REGION_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        region.refused = got == MAP_FAILED;
        region.base = region.refused ? NULL : got;
    }
    region.open = open && region.base != NULL;
}

#else

void sim_memory_open(bool open)
{
    (void)open;
}

#endif
