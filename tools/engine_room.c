/*
 * engine_room: refuses new work before memory is out, as the log does before the disk is, and
 * tells.
 *
 * Tables grow by pages that the kernel gives at their first touch. When it has none it ends the
 * process: with SIGBUS where they lie in a full tmpfs or hugetlbfs, else by its OOM killer. Nothing
 * acknowledged is lost then, but the next start needs the same pages and more. So a reserve is left
 * for what is taken all the same: orders, opt-outs, results, erasures.
 */
#include "tools/cgroup.h"
#include "tools/engine_priv.h"

#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

/* A line of /proc/meminfo, "Name:  123 kB", as bytes or pages; 0: there is none. */
static uint64_t meminfo(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    return line == NULL ? 0 : strtoull(line + strlen(name), NULL, 10);
}

/* Nothing where it is not to be seen. */
static void machine_room(struct cw_room *memory, struct cw_room *huge)
{
    char text[8192];
    FILE *file = fopen("/proc/meminfo", "re");
    size_t bytes = file == NULL ? 0 : fread(text, 1, sizeof text - 1, file);
    if (file != NULL) {
        (void)fclose(file);
    }
    text[bytes] = '\0';
    uint64_t page = meminfo(text, "\nHugepagesize:") << 10;
    *memory =
        (struct cw_room){meminfo(text, "MemTotal:") << 10, meminfo(text, "\nMemAvailable:") << 10};
    *huge = (struct cw_room){meminfo(text, "\nHugePages_Total:") * page,
                             meminfo(text, "\nHugePages_Free:") * page};
}

/* A mount without a size has no blocks: then it has what the kernel has. */
static bool mount_room(const char *directory, const struct cw_room *huge, struct cw_room *mount)
{
    struct statfs system;
    if (statfs(directory, &system) != 0) {
        return false;
    }
    bool sized = system.f_blocks > 0;
    bool of_huge = system.f_bsize >= (long)CW_HUGE_PAGE_BYTES;
    *mount = sized ? (struct cw_room){(uint64_t)system.f_blocks * (uint64_t)system.f_bsize,
                                   (uint64_t)system.f_bfree * (uint64_t)system.f_bsize}
                   : *huge;
    return sized || of_huge;
}

enum owner {
    OF_MACHINE,
    OF_GROUP,
    OF_TABLES
};

static const char *const owners[] = {
    [OF_MACHINE] = "of the machine",
    [OF_GROUP] = "under the limit of its control group",
    [OF_TABLES] = "in the file system of its tables",
};

struct look {
    struct cw_room_nearest nearest;
    uint32_t cores;
    bool refusing;
};

static void limited(void *with, struct cw_room room)
{
    struct look *look = with;
    cw_room_consider(&look->nearest, room, OF_GROUP, look->cores, look->refusing);
}

void cw_engine_room_look(struct cw_engine *engine)
{
    struct cw_room machine, huge, mount;
    struct look look = {cw_room_none(), engine->count, atomic_load(&engine->memory_low)};
    const char *directory = engine->live->memory;
    machine_room(&machine, &huge);
    cw_room_consider(&look.nearest, machine, OF_MACHINE, look.cores, look.refusing);
    cw_cgroup_rooms("/proc/self/cgroup", "/sys/fs/cgroup", limited, &look);
    if (directory != NULL && mount_room(directory, &huge, &mount)) {
        cw_room_consider(&look.nearest, mount, OF_TABLES, look.cores, look.refusing);
    }
    atomic_store(&engine->memory_left, look.nearest.left);
    atomic_store(&engine->memory_of, look.nearest.of);
    atomic_store(&engine->memory_low, look.nearest.above < 0);
}

void cw_engine_room_turn(struct cw_core *core)
{
    bool full = core->store != NULL && cw_store_full(core->store);
    uint32_t now =
        (full ? CW_SHORTAGE_DISK : CW_SHORTAGE_NONE) |
        (atomic_load_explicit(&core->engine->memory_low, memory_order_relaxed) ? CW_SHORTAGE_MEMORY
                                                                               : CW_SHORTAGE_NONE);
    struct cw_pipeline *pipeline = cw_service_pipeline(core->service);
    if (now != cw_pipeline_short_of(pipeline)) {
        cw_pipeline_refuse(pipeline, now);
        atomic_store(&core->short_of, now);
    }
}

void cw_engine_room_tick(struct cw_engine *engine)
{
    uint32_t now = CW_SHORTAGE_NONE;
    for (uint32_t i = 0; i < engine->count; i++) {
        now |= atomic_load(&engine->cores[i].short_of);
    }
    uint32_t begun = now & ~engine->short_of_told;
    uint32_t ended = engine->short_of_told & ~now;
    engine->short_of_told = now;
    if ((begun & CW_SHORTAGE_DISK) != 0) {
        (void)fprintf(stderr,
                      "cartwheel: WARNING: the disk of %s is full: new carts are answered 503; "
                      "orders, opt-outs and results are taken. Make room (old snapshots, outbox/, "
                      "dead letters): it goes on by itself\n",
                      engine->live->state);
    }
    if ((begun & CW_SHORTAGE_MEMORY) != 0) {
        (void)fprintf(stderr,
                      "cartwheel: WARNING: memory is nearly out (%llu MiB left %s): new carts are "
                      "answered 503; orders, opt-outs and results are taken. Give it more, or keep "
                      "less: it goes on by itself\n",
                      (unsigned long long)(atomic_load(&engine->memory_left) >> 20),
                      owners[atomic_load(&engine->memory_of)]);
    }
    if ((ended & CW_SHORTAGE_DISK) != 0) {
        (void)fputs("cartwheel: the disk has room again; new carts are taken\n", stderr);
    }
    if ((ended & CW_SHORTAGE_MEMORY) != 0) {
        (void)fputs("cartwheel: there is memory again; new carts are taken\n", stderr);
    }
}
