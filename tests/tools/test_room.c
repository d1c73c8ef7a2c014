#include "tools/room.h"

#include <criterion/criterion.h>

static const uint64_t mib = 1 << 20;

static int64_t above(uint64_t all, uint64_t left, uint32_t cores, bool refusing)
{
    struct cw_room_nearest nearest = cw_room_none();
    cw_room_consider(&nearest, (struct cw_room){all * mib, left * mib}, 0, cores, refusing);
    return nearest.above / (int64_t)mib;
}

Test(room, keeps_a_reserve)
{
    cr_expect(above(64 << 10, 256, 4, false) == 0, "64 MiB for each core");
    cr_expect(above(64 << 10, 255, 4, false) == -1);
    cr_expect(above(400, 50, 4, false) == 0, "at most an eighth of all");
    cr_expect(above(400, 49, 4, false) == -1);
    cr_expect(above(64 << 10, 319, 4, true) == -1, "a quarter more before it goes on");
    cr_expect(above(64 << 10, 320, 4, true) == 0);
}

Test(room, finds_what_is_nearest_its_end)
{
    struct cw_room_nearest nearest = cw_room_none();
    cr_expect(nearest.above > 0, "nothing is known: nothing is refused");
    cw_room_consider(&nearest, (struct cw_room){0, 0}, 0, 4, false);
    cr_expect(nearest.above > 0, "what has no limit is not near");
    cw_room_consider(&nearest, (struct cw_room){400 * mib, 60 * mib}, 1, 4, false);
    cr_expect(nearest.of == 1 && nearest.above > 0);
    cw_room_consider(&nearest, (struct cw_room){65536 * mib, 61 * mib}, 2, 4, false);
    cr_expect(nearest.of == 2 && nearest.above < 0 && nearest.left == 61 * mib,
              "less is left of the other, and this one is short");
    cw_room_consider(&nearest, (struct cw_room){65536 * mib, 9000 * mib}, 3, 4, false);
    cr_expect(nearest.of == 2);
}
