/*
 * keep: a shard's memory in files, so that the next process finds it as this one left it.
 *
 * Each area is a file of one folder on tmpfs or hugetlbfs: memory that has a name. What lies in an
 * area names its own parts by offsets, since the next process maps it elsewhere. The folder has a
 * `mark`: a random number while nobody changes the areas, 0 from just before the first change. It
 * and whoever else keeps the number (the seal of a state, tools/durable_seal.c) belong together;
 * another number means other contents.
 *
 *     stop:   all areas as they are to be found; cw_keep_mark(memory, random)
 *     start:  cw_keep_open with that number -> map -> cw_keep_mark(memory, 0) -> changes
 *
 * Another kind of file system is refused: there a loss of power may keep the folder and lose pages.
 *
 * Life:    open -> map* -> close; areas stay until who asked for them releases them.
 * Threads: one at a time.
 * Bounds:  pages are taken as they are first written. When the file system has none left, the
 *          kernel ends the process (SIGBUS); tools/engine_room.c refuses new work before.
 * Fails:   open and map, with a message.
 */
#ifndef CW_CORE_KEEP_H
#define CW_CORE_KEEP_H

#include "core/memory.h"

struct cw_keep; /* opaque */

/* mark 0: a folder without content; what was in it goes. Else what was left there: CW_ERR_NOT_FOUND
   when it is not, or has another mark; nothing is changed then. */
CW_MUST_USE cw_err cw_keep_open(struct cw_keep **memory, const char *folder, uint64_t mark,
                                  struct cw_fault *fault);
void cw_keep_close(struct cw_keep *memory);

/* True when its areas have a content to be taken over. */
bool cw_keep_adopted(const struct cw_keep *memory);

/* The area of that name, `part` of something: of zeroes, or (kept) as it was left, and then of that
   size, else CW_ERR_NOT_FOUND. Each once. */
CW_MUST_USE cw_err cw_keep_map(struct cw_keep *memory, const char *name, const char *part,
                                 uint64_t bytes, struct cw_memory *area,
                                 struct cw_fault *fault);

/* The folder with all that is in it, where it is there; maps of it keep what they have. */
CW_MUST_USE cw_err cw_keep_remove(const char *folder, struct cw_fault *fault);

void cw_keep_mark(struct cw_keep *memory, uint64_t mark);

/* "tmpfs" or "hugetlbfs", where such files can be in that directory; NULL: they cannot. */
const char *cw_keep_kind(const char *directory);

#endif
