/*
 * retention: which files of a directory of scheduled snapshots stay. What cw_archive_name called,
 * and what the manifest inside says is of the same state, counts; all else there (another engine's,
 * a file that cannot be read, one called by hand) is somebody's, and never removed.
 *
 * Life:    zero is a good beginning; nothing to free. Threads: the control plane's. Bounds: reads a
 *          MiB of each snapshot there.
 */
#ifndef CW_TOOLS_RETENTION_H
#define CW_TOOLS_RETENTION_H

#include <stdint.h>

/* Which files a process has told of on standard error: each once, as long as they are few. */
struct cw_retention {
    uint64_t told[256]; /* hashes of name and reason */
    uint32_t count;
};

/* Removes what an engine left that ended while it wrote a snapshot: nobody can use it, and it may
   hold customers who are erased. One that another engine writes now stays. */
void cw_retention_clean(const char *directory);

/* How long the newest snapshot of that store has been there; UINT64_MAX: there is none. */
uint64_t cw_retention_newest_age_ms(struct cw_retention *retention, const char *directory,
                                    const uint8_t store[16], int64_t now_ms);

/*
 * Removes those of that store beyond `keep`, the oldest first, as of the one just made (`made`, its
 * file's name). One that is called by a time still to come is of a wall clock that was ahead: it is
 * no newer than this one, only called so, and stands in no other's place. What stays but should
 * not is told on standard error.
 */
void cw_retention_apply(struct cw_retention *retention, const char *directory,
                        const uint8_t store[16], const char *made, uint32_t keep);

#endif
