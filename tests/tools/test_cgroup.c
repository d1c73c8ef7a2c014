#include "tools/cgroup.h"

#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A mount of control groups, as files. */
static char mount[64];

static void begin(void)
{
    (void)snprintf(mount, sizeof mount, "/tmp/cw-cgroup-XXXXXX");
    cr_assert(mkdtemp(mount) != NULL);
}

static void end(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", mount);
    cr_assert(system(command) == 0); /* NOLINT(cert-env33-c): a name of our own */
}

static void put(const char *folder, const char *name, const char *text)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s%s", mount, folder);
    for (char *at = path + strlen(mount); *at != '\0' && (at = strchr(at + 1, '/')) != NULL;) {
        *at = '\0';
        (void)mkdir(path, 0700);
        *at = '/';
    }
    (void)mkdir(path, 0700);
    (void)snprintf(path, sizeof path, "%s%s/%s", mount, folder, name);
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static uint32_t limits;

/* The one that leaves least. */
static void least(void *with, struct cw_room room)
{
    struct cw_room *so_far = with;
    limits++;
    if (room.left < so_far->left) {
        *so_far = room;
    }
}

static bool look(const char *groups, struct cw_room *room)
{
    char path[128];
    put("", "groups", groups);
    (void)snprintf(path, sizeof path, "%s/groups", mount);
    limits = 0;
    *room = (struct cw_room){0, UINT64_MAX};
    cw_cgroup_rooms(path, mount, least, room);
    return limits > 0;
}

TestSuite(cgroup, .init = begin, .fini = end);

Test(cgroup, none)
{
    struct cw_room room;
    cw_cgroup_rooms("/nowhere", mount, least, &room);
    cr_expect(limits == 0);
    cr_expect(!look("", &room));
    cr_expect(!look("0::/\n", &room), "there are no files");
    put("/a", "memory.max", "max\n");
    put("/a", "memory.high", "max\n");
    put("/a", "memory.current", "5\n");
    cr_expect(!look("0::/a\n", &room), "max is no limit");
    put("/memory/a", "memory.limit_in_bytes", "9223372036854771712\n");
    put("/memory/a", "memory.usage_in_bytes", "5\n");
    cr_expect(!look("4:memory:/a\n", &room), "nor is version 1's largest number");
    put("/a", "memory.max", "100\n");
    cr_expect(!look("0:cpu:/a\n3:memory2:/a\nnothing\n\n:\n::\n0::a\n", &room),
              "nor are other controllers' groups, or lines that are none");
}

Test(cgroup, version_2)
{
    struct cw_room room;
    put("/system.slice/shop.service", "memory.max", "1000\n");
    put("/system.slice/shop.service", "memory.current", "900\n");
    cr_assert(look("0::/system.slice/shop.service\n", &room));
    cr_expect(room.all == 1000 && room.left == 100);
    put("/system.slice/shop.service", "memory.stat",
        "anon 500\nfile 190\nunevictable_inactive_file 9\ninactive_file 100\nactive_file 50\n");
    cr_assert(look("0::/system.slice/shop.service\n", &room));
    cr_expect(room.all == 1000 && room.left == 250, "file pages are given up first");
    put("/system.slice/shop.service", "memory.high", "800\n");
    cr_assert(look("0::/system.slice/shop.service\n", &room));
    cr_expect(room.all == 800 && room.left == 50, "from memory.high on all goes slowly");
    put("/system.slice", "memory.max", "2000\n");
    put("/system.slice", "memory.current", "1970\n");
    cr_assert(look("0::/system.slice/shop.service\n", &room));
    cr_expect(room.all == 2000 && room.left == 30, "the group around it has less left");
    cr_expect(limits == 2, "and both are told");
    put("/system.slice", "memory.stat", "slab_reclaimable 300\n");
    cr_assert(look("0::/system.slice/shop.service\n", &room));
    cr_expect(room.all == 800 && room.left == 50, "so is slab that can be reclaimed");
    put("/system.slice", "memory.stat", "");
    put("/system.slice", "memory.current", "2300\n");
    cr_assert(look("0::/system.slice/shop.service\n", &room));
    cr_expect(room.all == 2000 && room.left == 0, "a limit that was lowered");
    put("/system.slice/shop.service", "memory.high", "0\n");
    cr_assert(look("0::/system.slice/shop.service\n", &room));
    cr_expect(limits == 2 && room.all == 2000, "0 is what nobody means");
    put("/system.slice/shop.service", "memory.current", "500\n");
    put("/system.slice/shop.service", "memory.max", "max\n");
    put("/system.slice", "memory.current", "1000\n");
    put("/system.slice", "memory.stat", "inactive_file 500\n");
    cr_assert(look("0::/system.slice/shop.service\n", &room));
    cr_expect(room.left == 1000, "where much is left nobody asks what could be given up");
}

Test(cgroup, version_2_beside_1)
{
    struct cw_room room;
    put("/unified/shop", "memory.max", "1000\n");
    put("/unified/shop", "memory.current", "900\n");
    cr_assert(look("3:cpu:/\n0::/shop\n", &room));
    cr_expect(room.all == 1000 && room.left == 100);
}

/* The group's name is that of outside, and the mount has only what is inside. */
Test(cgroup, container)
{
    struct cw_room room;
    put("", "memory.max", "4000\n");
    put("", "memory.current", "1000\n");
    cr_assert(look("0::/kubepods/pod7/c0ffee\n", &room));
    cr_expect(room.all == 4000 && room.left == 3000);
    cr_assert(look("0::/\n", &room));
    cr_expect(room.all == 4000 && room.left == 3000);
}

Test(cgroup, version_1)
{
    struct cw_room room;
    put("/memory/docker/x", "memory.limit_in_bytes", "1000\n");
    put("/memory/docker/x", "memory.usage_in_bytes", "900\n");
    put("/memory/docker/x", "memory.stat",
        "inactive_file 7\ntotal_inactive_file 20\ntotal_active_file 10\n");
    cr_assert(look("5:cpu,cpuacct:/docker/x\n4:hugetlb,memory:/docker/x\n0::/\n", &room));
    cr_expect(room.all == 1000 && room.left == 130);
}
