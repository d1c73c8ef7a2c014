/* alive: sums of turns, and states of threads out of /proc. */
#include "tools/alive.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    SAMPLES = 10, /* a log's thread is often seen in a flush, and always in another one */
    BETWEEN_MS = 50
};

void cw_alive_add(struct cw_alive *alive, const _Atomic uint64_t *turns)
{
    CW_ASSERT(alive->count < CW_ALIVE_LOOPS_MAX);
    alive->loops[alive->count++] = (struct cw_alive_loop){turns, atomic_load(turns)};
}

bool cw_alive_look(struct cw_alive *alive)
{
    bool turned = true;
    for (uint32_t i = 0; i < alive->count && turned; i++) {
        turned = atomic_load(alive->loops[i].turns) != alive->loops[i].seen;
    }
    if (!turned && !alive->disk_hangs(alive->self)) {
        return false;
    }
    for (uint32_t i = 0; i < alive->count; i++) {
        alive->loops[i].seen = atomic_load(alive->loops[i].turns);
    }
    return true;
}

/* The letter behind the name, which is in brackets and may hold any others. */
static bool in_wait(int tasks, const char *thread)
{
    char path[300];
    char text[512];
    (void)snprintf(path, sizeof path, "%s/stat", thread);
    int fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) { /* it has ended meanwhile */
        return false;
    }
    ssize_t bytes = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[bytes > 0 ? bytes : 0] = '\0';
    const char *name_end = strrchr(text, ')');
    return name_end != NULL && strncmp(name_end, ") D", 3) == 0;
}

bool cw_alive_waits(const char *tasks)
{
    bool waits = false;
    DIR *directory = opendir(tasks);
    if (directory == NULL) {
        return false;
    }
    const struct dirent *entry;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the directory is this call's alone */
    while (!waits && (entry = readdir(directory)) != NULL) { /* until the threads are through */
        waits = entry->d_name[0] != '.' && in_wait(dirfd(directory), entry->d_name);
        for (uint32_t i = 1; i < SAMPLES && waits; i++) {
            (void)poll(NULL, 0, BETWEEN_MS);
            waits = in_wait(dirfd(directory), entry->d_name);
        }
    }
    (void)closedir(directory);
    return waits;
}
