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
    own = own == 0 ? getsid(0) : own; /* the test makes it the leader: its child is not meant */
    if (at != NULL && own == getpid() && ++calls == strtol(at, NULL, 10)) {
        (void)kill(getenv("CW_TEST_KILL_ALL") != NULL ? 0 : getpid(),
                   (int)strtol(getenv("CW_TEST_KILL_WITH"), NULL, 10));
        for (;;) {
            (void)pause();
        }
    }
}

int rename(const char *from, const char *to)
{
    int (*real)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
    count();
    return real(from, to);
}

int remove(const char *path)
{
    int (*real)(const char *) = dlsym(RTLD_NEXT, "remove");
    count();
    return real(path);
}

int fsync(int file)
{
    int (*real)(int) = dlsym(RTLD_NEXT, "fsync");
    count();
    return real(file);
}

int mkdir(const char *path, mode_t mode)
{
    int (*real)(const char *, mode_t) = dlsym(RTLD_NEXT, "mkdir");
    count();
    return real(path, mode);
}

ssize_t write(int file, const void *data, size_t bytes)
{
    ssize_t (*real)(int, const void *, size_t) = dlsym(RTLD_NEXT, "write");
    count();
    return real(file, data, bytes);
}
