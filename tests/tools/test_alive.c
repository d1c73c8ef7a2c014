#include "tools/alive.h"

#include <criterion/criterion.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct disk {
    bool hangs;
    uint32_t asked;
};

static bool hangs(void *self)
{
    struct disk *disk = self;
    disk->asked++;
    return disk->hangs;
}

Test(alive, needs_a_turn_of_every_loop_since_it_last_was)
{
    _Atomic uint64_t turns[3] = {7, 8, 9};
    struct disk disk = {0};
    struct cw_alive alive = {.disk_hangs = hangs, .self = &disk};
    for (uint32_t i = 0; i < 3; i++) {
        cw_alive_add(&alive, &turns[i]);
    }
    cr_expect(!cw_alive_look(&alive), "none has turned yet");
    turns[0]++;
    turns[2] += 1000;
    cr_expect(!cw_alive_look(&alive), "one has not");
    turns[1]++;
    cr_expect(cw_alive_look(&alive), "all have, since add, not all between the same two looks");
    cr_expect(!cw_alive_look(&alive), "and must again");
    turns[0]++;
    turns[1]++;
    turns[2]++;
    disk.asked = 0;
    cr_expect(cw_alive_look(&alive));
    cr_expect(disk.asked == 0, "nobody asks of the disk while all turn");
}

Test(alive, waits_for_a_disk_that_hangs_and_no_longer)
{
    _Atomic uint64_t turns[2] = {0, 0};
    struct disk disk = {.hangs = true};
    struct cw_alive alive = {.disk_hangs = hangs, .self = &disk};
    cw_alive_add(&alive, &turns[0]);
    cw_alive_add(&alive, &turns[1]);
    turns[0]++;
    for (uint32_t i = 0; i < 100; i++) {
        cr_expect(cw_alive_look(&alive));
    }
    disk.hangs = false;
    cr_expect(!cw_alive_look(&alive));
}

static void make_thread(const char *tasks, const char *name, const char *stat)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s", tasks, name);
    cr_assert(mkdir(path, 0700) == 0);
    (void)snprintf(path, sizeof path, "%s/%s/stat", tasks, name);
    FILE *file = fopen(path, "we");
    cr_assert(file != NULL);
    (void)fputs(stat, file);
    (void)fclose(file);
}

static void change(const char *tasks, const char *name, const char *stat)
{
    char path[200];
    (void)snprintf(path, sizeof path, "%s/%s/stat", tasks, name);
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    cr_assert(fd >= 0);
    (void)!write(fd, stat, strlen(stat));
    (void)close(fd);
}

Test(alive, sees_a_thread_that_the_kernel_does_not_let_go)
{
    char tasks[] = "/tmp/cartwheel-alive-XXXXXX";
    char command[100];
    cr_assert(mkdtemp(tasks) != NULL);
    make_thread(tasks, "17", "17 (cartwheel) S 1 17 17");
    make_thread(tasks, "18", "18 (a ) D (name) R 1 17 17");
    cr_expect(!cw_alive_waits(tasks), "one sleeps, one runs and has an odd name");
    make_thread(tasks, "19", "19 (cartwheel) D 1 17 17");
    cr_expect(cw_alive_waits(tasks), "one is in an uninterruptible wait");
    pid_t other = fork(); /* a flush that is through before long */
    cr_assert(other >= 0);
    if (other == 0) {
        (void)usleep(100000);
        change(tasks, "19", "19 (cartwheel) S 1 17 17");
        _exit(0);
    }
    cr_expect(!cw_alive_waits(tasks), "a wait that ends is none");
    cr_expect(!cw_alive_waits("/nowhere"));
    cr_expect(!cw_alive_waits("/proc/self/task"), "this process's");
    (void)snprintf(command, sizeof command, "rm -r %s", tasks);
    cr_expect(system(command) == 0);
}
