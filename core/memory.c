#include "core/memory.h"

#include <sys/mman.h>

enum {
    PAGE_BYTES = 4096,
    SMALL_STEP = 256 << 10, /* where there are small pages */
};

static bool is_huge(uint64_t bytes)
{
    return bytes >= CW_HUGE_PAGE_BYTES;
}

static uint64_t up_to(uint64_t bytes, uint64_t unit)
{
    return (bytes + unit - 1) / unit * unit;
}

cw_err cw_memory_reserve(struct cw_memory *memory, uint64_t bytes, const char *what,
                         struct cw_fault *fault)
{
    const uint64_t huge = CW_HUGE_PAGE_BYTES;
    uint64_t whole = up_to(bytes, is_huge(bytes) ? huge : PAGE_BYTES);
    uint64_t slack = is_huge(bytes) ? huge : 0; /* mmap aligns to 4 KiB only; given back below */
    void *got = mmap(NULL, whole + slack, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (got == MAP_FAILED) {
        return cw_fail(fault, CW_ERR_IO, "%s: mmap of %llu bytes", what, (unsigned long long)whole);
    }
    uint8_t *base = got;
    if (slack > 0) {
        uint64_t front = (huge - (uintptr_t)base % huge) % huge;
        if (front > 0) {
            (void)munmap(base, front);
        }
        if (slack > front) {
            (void)munmap(base + front + whole, slack - front);
        }
        base += front;
        /* A wish: slower without, but right. The first is left out: what holds little is to take
           little, and to be there soon. */
        (void)madvise(base + huge, whole - huge, MADV_HUGEPAGE);
    }
    memory->base = base;
    memory->bytes = whole;
    memory->real = 0;
    cw_memory_used(memory, 0);
    return CW_ERR_OK;
}

void cw_memory_release(struct cw_memory *memory)
{
    if (memory->base != NULL) {
        (void)munmap(memory->base, memory->bytes);
        memory->base = NULL;
    }
}

bool cw_memory_populate(struct cw_memory *memory)
{
    uint64_t used = atomic_load_explicit(&memory->used, memory_order_relaxed);
    bool small = used + CW_MEMORY_AHEAD < CW_HUGE_PAGE_BYTES || !is_huge(memory->bytes);
    uint64_t step = small ? SMALL_STEP : CW_HUGE_PAGE_BYTES;
    uint64_t want = up_to(used + (small ? SMALL_STEP : CW_MEMORY_AHEAD), step);
    want = want < memory->bytes ? want : memory->bytes;
    if (memory->real >= want) {
        return false;
    }
    uint64_t behind = used / step * step; /* what was in use before is real */
    memory->real = memory->real > behind ? memory->real : behind;
    uint64_t bytes = want - memory->real < step ? want - memory->real : step;
#ifdef MADV_POPULATE_WRITE
    /* A kernel before 5.14 does not know it: pages are made real at their first touch, then. */
    (void)madvise((uint8_t *)memory->base + memory->real, bytes, MADV_POPULATE_WRITE);
#endif
    memory->real += bytes;
    return true;
}
