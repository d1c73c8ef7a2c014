/*
 * cgroup: what the memory limits of this process's control groups leave: a container's, a systemd
 * unit's MemoryMax=, of version 1 or 2, its own or that of a group around it.
 *
 * Where a limit is reached the kernel ends the process, however much the machine has left.
 *
 * What is given up before anybody is ended counts as left: file pages, and of version 2 slab that
 * can be reclaimed, which version 1 does not tell. In a container groups around its own are not to
 * be seen, and where it sees their names alone, what is mounted is its own.
 *
 * Threads: any. Fails: what cannot be read has no limit.
 * Source: Linux, admin-guide/cgroup-v2 (memory.max, memory.high, memory.current, memory.stat) and
 * cgroup-v1/memory.
 */
#ifndef CW_TOOLS_CGROUP_H
#define CW_TOOLS_CGROUP_H

#include "tools/room.h"

/* Calls `limited` for each limit there is. `groups` says which groups they are
   ("/proc/self/cgroup"), `mount` is where all of them are found ("/sys/fs/cgroup"). Reads a few
   small files; what is given up only where little is left without it. */
void cw_cgroup_rooms(const char *groups, const char *mount,
                     void (*limited)(void *with, struct cw_room room), void *with);

#endif
