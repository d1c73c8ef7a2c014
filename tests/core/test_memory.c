/* Pages are real before they are used, and no others; what lies in them stays. */
#define _DEFAULT_SOURCE
#include "core/memory.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>
#include <sys/mman.h>

enum {
    PAGE = 4096
};

static struct cw_memory memory;
static struct cw_fault fault;

static void reserve(uint64_t bytes)
{
    memory = (struct cw_memory){0};
    cr_assert(eq(int, cw_memory_reserve(&memory, bytes, "test", &fault), CW_ERR_OK));
}

static bool is_real(uint64_t at)
{
    unsigned char page;
    cr_assert(eq(int, mincore((uint8_t *)memory.base + at / PAGE * PAGE, PAGE, &page), 0));
    return (page & 1) != 0;
}

/* How many steps there were to do. */
static unsigned populate(void)
{
    unsigned steps = 0;
    while (cw_memory_populate(&memory)) {
        cr_assert(lt(uint, ++steps, 10000));
    }
    return steps;
}

Test(memory, is_real_before_it_is_used)
{
    reserve(64 * CW_HUGE_PAGE_BYTES);
    cr_assert(eq(u64, (uintptr_t)memory.base % CW_HUGE_PAGE_BYTES, 0));
    cr_assert(not(is_real(0)));
    populate();
    for (uint64_t used = 0; used < 20 * CW_HUGE_PAGE_BYTES; used += 300000) {
        cw_memory_used(&memory, used);
        populate();
        cr_assert(is_real(used));
        cr_assert(is_real(used + (used < CW_MEMORY_AHEAD ? 256u << 10 : CW_MEMORY_AHEAD) - 1));
        cr_assert(not(is_real(used + CW_MEMORY_AHEAD + CW_HUGE_PAGE_BYTES)));
        cr_assert(eq(uint, populate(), 0));
    }
    cw_memory_release(&memory);
}

Test(memory, a_leap_is_not_made_good)
{
    reserve(64 * CW_HUGE_PAGE_BYTES);
    cw_memory_used(&memory, 40 * CW_HUGE_PAGE_BYTES);
    cr_assert(le(uint, populate(), 2));
    cr_assert(is_real(40 * CW_HUGE_PAGE_BYTES));
    cr_assert(not(is_real(20 * CW_HUGE_PAGE_BYTES)));
    cw_memory_release(&memory);
}

Test(memory, ends_with_the_mapping)
{
    const uint64_t sizes[] = {1, PAGE, 100000, CW_HUGE_PAGE_BYTES, 3 * CW_HUGE_PAGE_BYTES + 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        reserve(sizes[i]);
        cw_memory_used(&memory, sizes[i] - 1);
        populate();
        cr_assert(is_real(memory.bytes - 1));
        cr_assert(eq(u64, memory.real, memory.bytes));
        cw_memory_release(&memory);
        cr_assert(zero(ptr, memory.base));
        cw_memory_release(&memory);
    }
}

Test(memory, keeps_what_lies_in_it)
{
    reserve(4 * CW_HUGE_PAGE_BYTES);
    memset(memory.base, 0x5a, 4 * CW_HUGE_PAGE_BYTES);
    cw_memory_used(&memory, memory.bytes);
    populate();
    const uint8_t *bytes = memory.base;
    for (uint64_t at = 0; at < memory.bytes; at++) {
        cr_assert(eq(u8, bytes[at], 0x5a));
    }
    cw_memory_release(&memory);
}
