/*
 * cgroup: what the memory limits of this process's control groups leave: a container's, a systemd
 * unit's MemoryMax=, of version 1 or 2, its own or that of a group around it.
 *
 * Where a limit is reached the kernel ends the process, however much the machine has left.
 *
 * Threads: any. Fails: what cannot be read has no limit.
 * Source: Linux, admin-guide/cgroup-v2 (memory.max, memory.high, memory.current, memory.stat) and
 * cgroup-v1/memory.
 */
#ifndef CW_TOOLS_CGROUP_H
#define CW_TOOLS_CGROUP_H

#include "core/base.h"

struct cw_cgroup_room {
    uint64_t all, left; /* bytes, of the limit that leaves least */
};

/* `groups` says which groups they are ("/proc/self/cgroup"), `mount` is where all of them are found
   ("/sys/fs/cgroup"). False: there is no limit. File pages count as left: they are given up before
   anybody is ended. In a container `groups` may name groups as they are called outside; then what
   is mounted is its own. */
bool cw_cgroup_room(const char *groups, const char *mount, struct cw_cgroup_room *room);

#endif
