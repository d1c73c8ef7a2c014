/*
 * disk_driver: a shard's disk for scripts (tests/io/disk_faults.py), without a thing between.
 *
 *     disk_driver DIRECTORY [FILE-BYTES-MAX]
 *     disk_driver DIRECTORY over|look
 *
 * Makes a file, writes ROUNDS blocks to it, each flushed, makes names durable, opens and reads
 * it. Prints one line an operation, "KIND NUMBER ERRNO", in the order in which they were done; the
 * first line is "open 0 0" once the directory is open. `over`: opens the file that is there and
 * writes over its first block. `look`: opens and reads it, and tells as "byte NUMBER VALUE" what
 * each block begins with.
 */
#define _GNU_SOURCE 1
#include "io/disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum {
    ROUNDS = 8,
    OVER = 77, /* what is written over the first block */
    NAMES = 3 /* strace counts by thread: one fsync more than opening makes on the first */
};

static _Alignas(CW_DISK_BLOCK) char block[2 * CW_DISK_BLOCK];

static int tell(const struct cw_disk *disk, const char *kind, uint32_t number,
                struct cw_disk_op *op)
{
    int error = cw_disk_do(disk, op);
    (void)printf("%s %u %d\n", kind, number, error);
    (void)fflush(stdout);
    return error;
}

static int write_block(const struct cw_disk *disk, int32_t file, uint32_t number, int value)
{
    memset(block, value, sizeof block);
    struct cw_disk_op op = {.kind = CW_DISK_WRITE,
                            .file = file,
                            .offset = (uint64_t)number * sizeof block,
                            .bytes = sizeof block,
                            .data = block,
                            .sync = true};
    return tell(disk, "write", number, &op);
}

/* Reads it all; each block is to be of its round's bytes. `looks`: which it begins with is told. */
static void read_all(const struct cw_disk *disk, int32_t file, bool looks)
{
    for (uint32_t i = 0; i < ROUNDS && file != CW_DISK_FILE_NONE; i++) {
        memset(block, 0xee, sizeof block);
        struct cw_disk_op op = {.kind = CW_DISK_READ,
                                .file = file,
                                .offset = (uint64_t)i * sizeof block,
                                .bytes = sizeof block,
                                .into = block};
        (void)tell(disk, "read", i, &op);
        bool whole = op.got == sizeof block;
        for (uint32_t at = 0; at < op.got; at++) {
            whole = whole && block[at] == (char)(i + 1);
        }
        (void)printf("whole %u %d\n", i, whole ? 0 : 1);
        if (looks) {
            (void)printf("byte %u %d\n", i, block[0]);
        }
    }
}

static int32_t open_again(const struct cw_disk *disk)
{
    struct cw_disk_op op = {.kind = CW_DISK_OPEN, .name = "file"};
    (void)tell(disk, "again", 0, &op);
    return op.file;
}

static void run(const struct cw_disk *disk)
{
    struct cw_disk_op op = {.kind = CW_DISK_CREATE, .name = "file"};
    (void)tell(disk, "create", 0, &op);
    int32_t file = op.file;
    for (uint32_t i = 0; i < ROUNDS && file != CW_DISK_FILE_NONE; i++) {
        (void)write_block(disk, file, i, (int)i + 1);
    }
    for (uint32_t i = 0; i < NAMES; i++) {
        op = (struct cw_disk_op){.kind = CW_DISK_SYNC_NAMES};
        (void)tell(disk, "names", i, &op);
    }
    read_all(disk, open_again(disk), false);
}

/* True: it was one of them. */
static bool run_part(const struct cw_disk *disk, const char *part)
{
    bool over = strcmp(part, "over") == 0;
    if (!over && strcmp(part, "look") != 0) {
        return false;
    }
    int32_t file = open_again(disk);
    if (over && file != CW_DISK_FILE_NONE) {
        (void)write_block(disk, file, 0, OVER);
    } else {
        read_all(disk, file, true);
    }
    return true;
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 3) {
        (void)fprintf(stderr, "usage: disk_driver DIRECTORY [FILE-BYTES-MAX|over|look]\n");
        return 2;
    }
    struct cw_fault fault;
    struct cw_disk_store *store;
    struct cw_disk_options options = {.directory = argv[1]};
    if (cw_disk_open(&store, &options, &fault) != CW_ERR_OK) {
        (void)printf("open 0 %d\n", fault.sys_errno);
        return 1;
    }
    (void)printf("open 0 0\n");
    (void)fflush(stdout);
    struct cw_disk disk = cw_disk_port(store);
    if (argc == 2 || !run_part(&disk, argv[2])) {
        rlim_t most = argc == 3 ? strtoull(argv[2], NULL, 10) : RLIM_INFINITY;
        struct rlimit limit = {most, RLIM_INFINITY};
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) {
            return 1;
        }
        run(&disk);
    }
    cw_disk_close(store);
    return 0;
}
