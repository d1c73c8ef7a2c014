#include "tools/room.h"

enum {
    RESERVE_OF_CORE = 64 << 20, /* bytes, */
    RESERVE_PART = 8,           /* but at most this part of all */
    AGAIN_QUARTERS = 5          /* of the reserve, before new work is taken again */
};

void cw_room_consider(struct cw_room_nearest *nearest, struct cw_room room, uint32_t of,
                      uint32_t cores, bool refusing)
{
    uint64_t reserve = (uint64_t)RESERVE_OF_CORE * cores;
    uint64_t part = room.all / RESERVE_PART;
    reserve = reserve < part ? reserve : part;
    reserve = refusing ? reserve / 4 * AGAIN_QUARTERS : reserve;
    int64_t above = (int64_t)room.left - (int64_t)reserve;
    if (room.all > 0 && above < nearest->above) {
        *nearest = (struct cw_room_nearest){.above = above, .left = room.left, .of = of};
    }
}
