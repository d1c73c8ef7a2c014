#include "core/format.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>

Test(format, what_fits_is_written_whole)
{
    char out[16];
    cr_assert(eq(u32, cw_format(out, sizeof out, "%s-%d", "ab", 42), 5));
    cr_assert(eq(str, out, "ab-42"));
    cr_assert(eq(u32, cw_format(out, sizeof out, "%s", ""), 0));
    cr_assert(eq(str, out, ""));
}

Test(format, what_does_not_fit_is_cut_and_always_ended)
{
    for (uint32_t room = 1; room <= 12; room++) {
        char out[13];
        memset(out, 'x', sizeof out);
        uint32_t bytes = cw_format(out, room, "%s", "0123456789");
        cr_assert(eq(u32, bytes, room - 1 < 10 ? room - 1 : 10));
        cr_assert(eq(sz, strlen(out), bytes));
        cr_assert(eq(int, memcmp(out, "0123456789", bytes), 0));
        cr_assert(eq(chr, out[12], 'x'));
        cr_assert(eq(chr, out[room], 'x'), "nothing is written behind the room");
    }
}

Test(format, no_room_at_all_is_a_programmer_error, .signal = SIGABRT)
{
    char out[1];
    (void)cw_format(out, 0, "x");
}
