/*
 * clock_shim: clocks that a test can move: preloaded into the engine, it adds what a file of 64-bit
 * numbers says (ns) to CLOCK_REALTIME or to all clocks, and lets the kernel's be synchronised
 * or not (adjtimex). The writes of a snapshot can be made to hang, so that clocks move meanwhile.
 * $CW_TEST_CLOCK names the file, in which what is not there is 0; without it nothing is changed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *shared; /* [0]: how far ahead, ns; [1]: not 0: synchronised; [2]: how far
                                    all time is ahead, ns; [3]: not 0: snapshots are not written */

__attribute__((constructor)) static void open_shared(void)
{
    const char *path = getenv("CW_TEST_CLOCK"); /* NOLINT(concurrency-mt-unsafe) */
    int file = path != NULL ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *map = file >= 0 ? mmap(NULL, 32, PROT_READ, MAP_SHARED, file, 0) : MAP_FAILED;
    shared = map != MAP_FAILED ? map : NULL;
}

int clock_gettime(clockid_t clock_id, struct timespec *tp)
{
    int rc = (int)syscall(SYS_clock_gettime, clock_id, tp);
    if (rc == 0 && shared != NULL &&
        (clock_id == CLOCK_REALTIME || clock_id == CLOCK_MONOTONIC || clock_id == CLOCK_BOOTTIME)) {
        int64_t ns = (int64_t)tp->tv_sec * 1000000000 + tp->tv_nsec + shared[2];
        ns += clock_id == CLOCK_REALTIME ? shared[0] : 0;
        tp->tv_sec = ns / 1000000000;
        tp->tv_nsec = ns % 1000000000;
    }
    return rc;
}

int adjtimex(struct timex *ntx)
{
    *ntx = (struct timex){.status = shared != NULL && shared[1] != 0 ? 0 : STA_UNSYNC,
                          .maxerror = 1000};
    return shared != NULL && shared[1] != 0 ? TIME_OK : TIME_ERROR;
}

ssize_t write(int file, const void *bytes, size_t count)
{
    char link[64];
    char path[1024] = "";
    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    while (shared != NULL && shared[3] != 0 && readlink(link, path, sizeof path - 1) > 0 &&
           strstr(path, "/snapshots/") != NULL) {
        (void)usleep(10000);
    }
    return syscall(SYS_write, file, bytes, count);
}
