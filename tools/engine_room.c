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

enum {
    RESERVE_OF_CORE = 64 << 20, /* bytes, */
    RESERVE_PART = 8,           /* but at most this part of all */
    AGAIN_QUARTERS = 5          /* of the reserve, before new work is taken again */
};

struct room {
    uint64_t all, left; /* bytes */
};

/* A line of /proc/meminfo, "Name:  123 kB", as bytes or pages; 0: there is none. */
static uint64_t meminfo(const char *text, const char *name)
{
    const char *line = strstr(text, name);
    return line == NULL ? 0 : strtoull(line + strlen(name), NULL, 10);
}

static bool machine_room(struct room *memory, struct room *huge)
{
    char text[8192];
    FILE *file = fopen("/proc/meminfo", "re");
    if (file == NULL) {
        return false;
    }
    size_t bytes = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[bytes] = '\0';
    uint64_t page = meminfo(text, "\nHugepagesize:") << 10;
    *memory =
        (struct room){meminfo(text, "MemTotal:") << 10, meminfo(text, "\nMemAvailable:") << 10};
    *huge = (struct room){meminfo(text, "\nHugePages_Total:") * page,
                          meminfo(text, "\nHugePages_Free:") * page};
    return memory->all > 0;
}

/* A mount without a size has no blocks: then it has what the kernel has. */
static bool mount_room(const char *directory, const struct room *huge, struct room *mount)
{
    struct statfs system;
    if (statfs(directory, &system) != 0) {
        return false;
    }
    bool sized = system.f_blocks > 0;
    bool of_huge = system.f_bsize >= (long)CW_HUGE_PAGE_BYTES;
    *mount = sized ? (struct room){(uint64_t)system.f_blocks * (uint64_t)system.f_bsize,
                                   (uint64_t)system.f_bfree * (uint64_t)system.f_bsize}
                   : *huge;
    return sized || of_huge;
}

/* Each of what memory can be short of, in words for the warning. */
static const char *const owners[] = {"of the machine", "under the limit of its control group",
                                     "in the file system of its tables"};

void cw_engine_room_look(struct cw_engine *engine)
{
    struct room rooms[CW_COUNTOF(owners)] = {{0, 0}}; /* all 0: not known, or there is none */
    struct room huge;
    struct cw_cgroup_room group;
    if (!machine_room(&rooms[0], &huge)) {
        return; /* nobody knows: as before */
    }
    if (cw_cgroup_room("/proc/self/cgroup", "/sys/fs/cgroup", &group)) {
        rooms[1] = (struct room){group.all, group.left};
    }
    const char *directory = engine->live->memory;
    if (directory != NULL && !mount_room(directory, &huge, &rooms[2])) {
        rooms[2] = (struct room){0, 0};
    }
    bool was = atomic_load(&engine->memory_low);
    int64_t least = INT64_MAX; /* above the reserve, or below it */
    for (uint32_t i = 0; i < CW_COUNTOF(owners); i++) {
        uint64_t reserve = (uint64_t)RESERVE_OF_CORE * engine->count;
        uint64_t part = rooms[i].all / RESERVE_PART;
        reserve = reserve < part ? reserve : part;
        int64_t above =
            (int64_t)rooms[i].left - (int64_t)(was ? reserve / 4 * AGAIN_QUARTERS : reserve);
        if (rooms[i].all > 0 && above < least) {
            least = above;
            atomic_store(&engine->memory_left, rooms[i].left);
            atomic_store(&engine->memory_of, i);
        }
    }
    atomic_store(&engine->memory_low, least < 0);
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
