/* Preloaded: the process sends itself the signal CW_TEST_KILL_WITH at the CW_TEST_KILL_AT-th call
   that changes the disk; with CW_TEST_KILL_ALL all of its process group. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void count(void)
{
    static int calls;
    static pid_t own;
    const char *at = getenv("CW_TEST_KILL_AT");
    const char *with = getenv("CW_TEST_KILL_WITH");
    own = own == 0 ? getsid(0) : own; /* the test makes it the leader: its child is not meant */
    if (at != NULL && with != NULL && own == getpid() && ++calls == strtol(at, NULL, 10)) {
        (void)kill(getenv("CW_TEST_KILL_ALL") != NULL ? 0 : getpid(), (int)strtol(with, NULL, 10));
        for (;;) {
            (void)pause();
        }
    }
}

int rename(const char *old, const char *new)
{
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    count();
    return real(old, new);
}

int remove(const char *filename)
{
    int (*real)(const char *) = dlsym(RTLD_NEXT, "remove");
    count();
    return real(filename);
}

int fsync(int fd)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    count();
    return real(fd);
}

int mkdir(const char *path, mode_t mode)
{
    int (*real)(const char *, mode_t) = dlsym(RTLD_NEXT, "mkdir");
    count();
    return real(path, mode);
}

ssize_t write(int fd, const void *buf, size_t n)
{
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    count();
    return real(fd, buf, n);
}
