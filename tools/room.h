/*
 * room: what is nearest its end of all that may run out of memory, and whether that is near enough
 * to refuse new work. Pure: engine_room.c says what there is.
 *
 * Threads: pure functions. Fails: never.
 */
#ifndef CW_TOOLS_ROOM_H
#define CW_TOOLS_ROOM_H

#include "core/base.h"

/* Bytes; all 0: not known, or without a limit. */
struct cw_room {
    uint64_t all, left;
};

struct cw_room_nearest {
    int64_t above; /* bytes left beyond the reserve; below 0: new work is refused */
    uint64_t left;
    uint32_t of; /* as given */
};

/* Nothing yet. */
static inline struct cw_room_nearest cw_room_none(void)
{
    return (struct cw_room_nearest){.above = INT64_MAX, .left = UINT64_MAX};
}

/* Takes it where it is nearer than what was considered before. The reserve is 64 MiB for each core,
   at most an eighth of all; while refusing, a quarter more has to be left again. */
void cw_room_consider(struct cw_room_nearest *nearest, struct cw_room room, uint32_t of,
                      uint32_t cores, bool refusing);

#endif
