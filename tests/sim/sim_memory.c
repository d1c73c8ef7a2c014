#define _GNU_SOURCE 1 /* syscall */
/*
 * sim_memory: what one machine maps comes out of one region, and goes back with one call.
 *
 * A machine has some hundred mappings, and a seed starts dozens of machines: to map and unmap each
 * of them by the kernel was a tenth of a run. So while a machine is open, private anonymous memory
 * is cut from the region's start. Once the last piece is given back the pages that were touched are
 * made zeroes again and stay: the next machine touches most of them too. When they have become many
 * they go back to the kernel. Nothing is cut twice in between. What is large comes from the kernel.
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
#    define LARGE_BYTES  ((uint64_t)512 << 20)

enum {
    LOOK_PAGES = 1 << 14, /* in one call */
    KEPT_PAGES = 6000
};

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
                (flags & ~MAP_NORESERVE) == plain && whole < LARGE_BYTES &&
                whole <= REGION_BYTES - region.cut;
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

static void zero_page(uint8_t *page)
{
    const uint64_t *words = (const uint64_t *)(const void *)page;
    uint64_t any = 0;
    for (uint32_t i = 0; i < PIECE_BYTES / sizeof *words && any == 0; i += 16) {
        for (uint32_t k = 0; k < 16; k++) {
            any |= words[i + k];
        }
    }
    if (any != 0) { /* else it may be the kernel's own page of zeroes, which has no memory */
        memset(page, 0, PIECE_BYTES);
    }
}

/* Makes all that was cut zeroes; false: it is too much. */
static bool zero_touched(void)
{
    static unsigned char real[LOOK_PAGES];
    uint32_t kept = 0;
    for (uint64_t at = 0; at < region.cut; at += LOOK_PAGES * PIECE_BYTES) {
        uint64_t rest = (region.cut - at) / PIECE_BYTES;
        uint32_t pages = rest < LOOK_PAGES ? (uint32_t)rest : LOOK_PAGES;
        if (mincore(region.base + at, pages * PIECE_BYTES, real) != 0) {
            return false;
        }
        for (uint32_t i = 0; i < pages; i++) {
            uint64_t eight;
            bool whole = i + sizeof eight <= pages;
            memcpy(&eight, real + (whole ? i : 0), sizeof eight);
            if (whole && eight == 0) {
                i += (uint32_t)sizeof eight - 1;
            } else if ((real[i] & 1) != 0) {
                if (++kept > KEPT_PAGES) {
                    return false;
                }
                zero_page(region.base + at + i * PIECE_BYTES);
            }
        }
    }
    return true;
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
        if (!zero_touched()) {
            CW_ASSERT(syscall(SYS_madvise, region.base, region.cut, MADV_DONTNEED) == 0);
        }
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
