#define _GNU_SOURCE 1
#include "io/disk.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/parameterized.h>

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    BLOCKS = 64, /* of each of the two buffers */
    BYTES = BLOCKS * CW_DISK_BLOCK
};

static char directory[4096];
static struct cw_disk_store *store;
static struct cw_disk disk;
static _Alignas(CW_DISK_BLOCK) char data[BYTES], into[BYTES];

/* ---- what every test does ---- */

static void open_with(struct cw_disk_options options)
{
    struct cw_fault fault = {.text = ""};
    options.directory = options.directory == NULL ? directory : options.directory;
    cw_err err = cw_disk_open(&store, &options, &fault);
    cr_assert(eq(int, err, CW_ERR_OK), "%s", fault.text);
    disk = cw_disk_port(store);
}

static void make_directory(void)
{
    (void)snprintf(directory, sizeof directory, "disk-XXXXXX");
    cr_assert(ne(ptr, mkdtemp(directory), NULL));
}

static void count_name(void *with, const char *name, uint64_t bytes)
{
    (void)name;
    *(uint64_t *)with += 1 + bytes;
}

static void remove_name(void *with, const char *name, uint64_t bytes)
{
    (void)with;
    (void)bytes;
    struct cw_disk_op op = {.kind = CW_DISK_REMOVE};
    (void)snprintf(op.name, sizeof op.name, "%s", name);
    (void)cw_disk_do(&disk, &op);
}

static void close_and_remove(void)
{
    cr_assert(eq(int, disk.list(disk.self, remove_name, NULL), 0));
    cw_disk_close(store);
    cr_assert(eq(int, rmdir(directory), 0));
}

static struct cw_disk_op named(enum cw_disk_kind kind, const char *name)
{
    struct cw_disk_op op = {.kind = kind, .file = 77};
    (void)snprintf(op.name, sizeof op.name, "%s", name);
    return op;
}

static int32_t create(const char *name)
{
    struct cw_disk_op op = named(CW_DISK_CREATE, name);
    cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
    return op.file;
}

static int write_at(int32_t file, uint64_t offset, uint32_t bytes, bool sync)
{
    struct cw_disk_op op = {.kind = CW_DISK_WRITE,
                            .file = file,
                            .offset = offset,
                            .bytes = bytes,
                            .data = data,
                            .sync = sync};
    return cw_disk_do(&disk, &op);
}

static uint32_t read_at(int32_t file, uint64_t offset, uint32_t bytes)
{
    struct cw_disk_op op = {
        .kind = CW_DISK_READ, .file = file, .offset = offset, .bytes = bytes, .into = into};
    memset(into, 0xee, sizeof into);
    cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
    return op.got;
}

static void close_file(int32_t file)
{
    struct cw_disk_op op = {.kind = CW_DISK_CLOSE, .file = file};
    cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
}

static void fill(uint32_t seed)
{
    for (uint32_t i = 0; i < BYTES; i++) {
        data[i] = (char)(i * 31 + i / CW_DISK_BLOCK + seed);
    }
}

Test(disk, cuts_a_file)
{
    make_directory();
    open_with((struct cw_disk_options){.direct = true});
    int32_t file = create("a");
    fill(3);
    cr_assert(eq(int, write_at(file, 0, 4 * CW_DISK_BLOCK, true), 0));
    struct cw_disk_op op = {.kind = CW_DISK_CUT, .file = file, .offset = CW_DISK_BLOCK};
    cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
    cr_assert(eq(u32, read_at(file, 0, 4 * CW_DISK_BLOCK), CW_DISK_BLOCK));
    cr_assert(eq(int, memcmp(data, into, CW_DISK_BLOCK), 0));
    close_file(file);
    op = named(CW_DISK_OPEN, "a");
    cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
    cr_assert(eq(u64, op.size, CW_DISK_BLOCK));
    close_file(op.file);
    close_and_remove();
}

/* Each test twice: through the cache, and past it where that can be. */
static bool past_cache[] = {false, true};

ParameterizedTestParameters(disk, every_operation)
{
    return cr_make_param_array(bool, past_cache, 2);
}

ParameterizedTest(bool *direct, disk, every_operation)
{
    make_directory();
    open_with((struct cw_disk_options){.direct = *direct});
    int32_t file = create("a");
    fill(1);
    cr_assert(eq(int, write_at(file, 0, BYTES, false), 0));
    cr_assert(eq(int, write_at(file, CW_DISK_BLOCK, CW_DISK_BLOCK, true), 0));
    memcpy(data + CW_DISK_BLOCK, data, CW_DISK_BLOCK);
    cr_assert(eq(int, write_at(file, 0, 0, true), 0));
    cr_assert(eq(u32, read_at(file, 0, BYTES), BYTES));
    cr_assert(eq(int, memcmp(into, data, BYTES), 0));
    cr_assert(eq(u32, read_at(file, BYTES - CW_DISK_BLOCK, BYTES), CW_DISK_BLOCK));
    cr_assert(eq(u32, read_at(file, BYTES, BYTES), 0));
    close_file(file);

    struct cw_disk_op op = named(CW_DISK_RENAME, "a");
    (void)snprintf(op.to, sizeof op.to, "b");
    cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
    op = (struct cw_disk_op){.kind = CW_DISK_SYNC_NAMES};
    cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
    op = named(CW_DISK_OPEN, "b");
    cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
    cr_assert(eq(u64, op.size, BYTES));
    cr_assert(eq(u32, read_at(op.file, 0, BYTES), BYTES));
    cr_assert(eq(int, memcmp(into, data, BYTES), 0));

    uint64_t sum = 0;
    cr_assert(eq(int, disk.list(disk.self, count_name, &sum), 0));
    cr_assert(eq(u64, sum, 1 + BYTES));
    const struct cw_disk_counts *counts = cw_disk_counts(store);
    cr_assert(eq(u64, counts->flushes, 2));
    cr_assert(eq(u64, counts->flush_ns.count, 2));
    cr_assert(eq(u64, counts->written_bytes, BYTES + CW_DISK_BLOCK));
    cr_assert(eq(u64, counts->read_bytes, BYTES + CW_DISK_BLOCK + BYTES));
    cr_assert(eq(u64, counts->errors, 0));
    close_and_remove();
}

ParameterizedTestParameters(disk, errors_come_back)
{
    return cr_make_param_array(bool, past_cache, 2);
}

ParameterizedTest(bool *direct, disk, errors_come_back)
{
    make_directory();
    open_with((struct cw_disk_options){.direct = *direct});
    int32_t file = create("there");
    struct cw_disk_op op = named(CW_DISK_CREATE, "there");
    cr_assert(eq(int, cw_disk_do(&disk, &op), EEXIST));
    cr_assert(eq(int, op.file, CW_DISK_FILE_NONE));
    op = named(CW_DISK_OPEN, "not there");
    cr_assert(eq(int, cw_disk_do(&disk, &op), ENOENT));
    cr_assert(eq(int, op.file, CW_DISK_FILE_NONE));
    op = named(CW_DISK_REMOVE, "not there");
    cr_assert(eq(int, cw_disk_do(&disk, &op), ENOENT));
    op = named(CW_DISK_RENAME, "not there");
    (void)snprintf(op.to, sizeof op.to, "b");
    cr_assert(eq(int, cw_disk_do(&disk, &op), ENOENT));
    for (uint32_t i = 1; i < CW_DISK_FILES_MAX; i++) {
        op = named(CW_DISK_OPEN, "there");
        cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
    }
    op = named(CW_DISK_OPEN, "there");
    cr_assert(eq(int, cw_disk_do(&disk, &op), EMFILE));
    close_file(file);
    op = named(CW_DISK_OPEN, "there");
    cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
    cr_assert(eq(int, op.file, file));
    cr_assert(eq(u64, cw_disk_counts(store)->errors, 5));
    close_and_remove();
}

Test(disk, what_is_no_file_is_not_opened)
{
    make_directory();
    open_with((struct cw_disk_options){.direct = false});
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/fifo", directory);
    cr_assert(eq(int, mkfifo(path, 0600), 0));
    struct cw_disk_op op = named(CW_DISK_OPEN, "fifo");
    cr_assert(eq(int, cw_disk_do(&disk, &op), EINVAL));
    (void)snprintf(path, sizeof path, "%s/link", directory);
    cr_assert(eq(int, symlink("/etc/passwd", path), 0));
    op = named(CW_DISK_OPEN, "link");
    cr_assert(eq(int, cw_disk_do(&disk, &op), ELOOP));
    close_and_remove();
}

/* ---- order ---- */

/* Submits them all, and says in which order they were done. */
static void run_all(struct cw_disk_op *ops, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        disk.submit(disk.self, &ops[i]);
    }
    for (uint32_t done = 0; done < count;) {
        disk.wait(disk.self);
        done = 0;
        for (uint32_t i = 0; i < count; i++) {
            done += ops[i].done;
        }
    }
}

Test(disk, foreground_is_carried_out_in_order)
{
    make_directory();
    open_with((struct cw_disk_options){.direct = true});
    int32_t file = create("a");
    struct cw_disk_op ops[CW_DISK_OPS_MAX];
    for (uint32_t i = 0; i < CW_DISK_OPS_MAX; i++) { /* the last to write wins */
        memset(data + i * CW_DISK_BLOCK, (int)i, CW_DISK_BLOCK);
        ops[i] = (struct cw_disk_op){.kind = CW_DISK_WRITE,
                                     .file = file,
                                     .bytes = CW_DISK_BLOCK,
                                     .data = data + i * CW_DISK_BLOCK};
    }
    run_all(ops, CW_DISK_OPS_MAX);
    cr_assert(eq(u32, read_at(file, 0, CW_DISK_BLOCK), CW_DISK_BLOCK));
    cr_assert(eq(int, (uint8_t)into[0], CW_DISK_OPS_MAX - 1));
    close_and_remove();
}

struct gate {
    sem_t reached, open;
    _Atomic bool passed;
};

/* Whoever comes first. */
static void hold(void *self, uint32_t shard)
{
    struct gate *gate = self;
    (void)shard;
    if (!atomic_exchange(&gate->passed, true)) {
        cr_assert(eq(int, sem_post(&gate->reached), 0));
        cr_assert(eq(int, sem_wait(&gate->open), 0));
    }
}

/* The background's thread is held up in wake(): what it has left to do waits, and nothing else. */
Test(disk, the_foreground_waits_for_no_background)
{
    make_directory();
    struct gate gate = {.passed = false};
    cr_assert(eq(int, sem_init(&gate.reached, 0, 0), 0));
    cr_assert(eq(int, sem_init(&gate.open, 0, 0), 0));
    open_with((struct cw_disk_options){.wake = hold, .self = &gate});
    struct cw_disk_op made = named(CW_DISK_CREATE, "made");
    struct cw_disk_op moved = named(CW_DISK_RENAME, "made");
    struct cw_disk_op other = named(CW_DISK_CREATE, "other");
    struct cw_disk_op names = {.kind = CW_DISK_SYNC_NAMES};
    made.background = moved.background = true;
    (void)snprintf(moved.to, sizeof moved.to, "moved");
    disk.submit(disk.self, &made);
    cr_assert(eq(int, sem_wait(&gate.reached), 0));
    disk.submit(disk.self, &moved);
    disk.submit(disk.self, &other);
    disk.submit(disk.self, &names);
    while (!names.done) {
        disk.wait(disk.self);
    }
    cr_assert(made.done && made.error == 0 && other.done && other.error == 0);
    cr_assert(eq(int, names.error, 0));
    cr_assert(not(moved.done));
    cr_assert(eq(int, sem_post(&gate.open), 0));
    while (!moved.done) {
        disk.wait(disk.self);
    }
    cr_assert(eq(int, moved.error, 0));
    close_and_remove();
}

/* ---- waking ---- */

struct sleeper {
    int event;
    uint32_t shard;
    _Atomic uint32_t called;
};

static void wake(void *self, uint32_t shard)
{
    struct sleeper *sleeper = self;
    sleeper->shard = shard;
    atomic_fetch_add(&sleeper->called, 1);
    cr_assert(eq(int, eventfd_write(sleeper->event, 1), 0));
}

Test(disk, a_shard_that_sleeps_elsewhere_is_woken)
{
    make_directory();
    struct sleeper sleeper = {.event = eventfd(0, EFD_CLOEXEC)};
    open_with((struct cw_disk_options){.wake = wake, .self = &sleeper, .shard = 3});
    for (uint32_t i = 0; i < 200; i++) {
        struct cw_disk_op op = named(i % 2 == 0 ? CW_DISK_CREATE : CW_DISK_REMOVE, "a");
        disk.submit(disk.self, &op);
        while (!op.done) {
            struct pollfd fd = {.fd = sleeper.event, .events = POLLIN};
            cr_assert(eq(int, poll(&fd, 1, 10000), 1), "not woken");
            eventfd_t value;
            cr_assert(eq(int, eventfd_read(sleeper.event, &value), 0));
            (void)disk.poll(disk.self);
        }
        cr_assert(eq(int, op.error, 0));
        if (i % 2 == 0) {
            close_file(op.file);
        }
    }
    cr_assert(eq(u32, sleeper.shard, 3));
    cr_assert(not(disk.poll(disk.self)));
    close_and_remove();
    (void)close(sleeper.event);
}

Test(disk, closing_carries_out_what_is_under_way)
{
    make_directory();
    open_with((struct cw_disk_options){.direct = true});
    int32_t file = create("a");
    struct cw_disk_op ops[CW_DISK_OPS_MAX];
    for (uint32_t i = 0; i < CW_DISK_OPS_MAX; i++) {
        ops[i] = (struct cw_disk_op){.kind = CW_DISK_WRITE,
                                     .background = i % 2 == 0,
                                     .file = file,
                                     .offset = (uint64_t)i * CW_DISK_BLOCK,
                                     .bytes = CW_DISK_BLOCK,
                                     .data = data};
        disk.submit(disk.self, &ops[i]);
    }
    cw_disk_close(store);
    for (uint32_t i = 0; i < CW_DISK_OPS_MAX; i++) {
        cr_assert(ops[i].done && ops[i].error == 0);
    }
    open_with((struct cw_disk_options){.direct = true});
    struct cw_disk_op op = named(CW_DISK_OPEN, "a");
    cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
    cr_assert(eq(u64, op.size, (uint64_t)CW_DISK_OPS_MAX * CW_DISK_BLOCK));
    close_and_remove();
}

/* ---- refusals of the system ---- */

ParameterizedTestParameters(disk, a_file_that_may_not_grow)
{
    return cr_make_param_array(bool, past_cache, 2);
}

/* The limit cuts a write short; what is left of it then fails. */
ParameterizedTest(bool *direct, disk, a_file_that_may_not_grow)
{
    make_directory();
    open_with((struct cw_disk_options){.direct = *direct});
    int32_t file = create("a");
    fill(2);
    struct rlimit limit = {10 * CW_DISK_BLOCK, RLIM_INFINITY};
    cr_assert(eq(int, setrlimit(RLIMIT_FSIZE, &limit), 0));
    cr_assert(eq(int, write_at(file, 0, BYTES, true), EFBIG));
    cr_assert(eq(u64, cw_disk_counts(store)->flushes, 0));
    cr_assert(eq(u32, read_at(file, 0, BYTES), 10 * CW_DISK_BLOCK));
    cr_assert(eq(int, memcmp(into, data, 10 * CW_DISK_BLOCK), 0));
    limit.rlim_cur = 5 * CW_DISK_BLOCK + 100; /* not whole blocks */
    cr_assert(eq(int, setrlimit(RLIMIT_FSIZE, &limit), 0));
    cr_assert(ne(int, write_at(create("b"), 0, BYTES, true), 0));
    limit.rlim_cur = RLIM_INFINITY;
    cr_assert(eq(int, setrlimit(RLIMIT_FSIZE, &limit), 0));
    /* A write that failed is no flush that failed. */
    cr_assert(eq(int, write_at(file, 0, BYTES, true), 0));
    close_and_remove();
}

Test(disk, a_disk_that_is_full)
{
    make_directory();
    if (mount("none", directory, "tmpfs", 0, "size=64k") != 0) {
        cr_assert(eq(int, rmdir(directory), 0));
        cr_skip_test("no tmpfs can be mounted here");
    }
    open_with((struct cw_disk_options){.direct = true});
    int32_t file = create("a");
    cr_assert(eq(int, write_at(file, 0, BYTES, true), ENOSPC));
    cr_assert(eq(int, write_at(file, 0, CW_DISK_BLOCK, true), 0));
    cw_disk_close(store);
    cr_assert(eq(int, umount(directory), 0));
    cr_assert(eq(int, rmdir(directory), 0));
}

Test(disk, read_only_changes_nothing)
{
    make_directory();
    open_with((struct cw_disk_options){.direct = true});
    fill(3);
    cr_assert(eq(int, write_at(create("a"), 0, CW_DISK_BLOCK, true), 0));
    cw_disk_close(store);
    open_with((struct cw_disk_options){.direct = true, .read_only = true});
    struct cw_disk_op op = named(CW_DISK_OPEN, "a");
    cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
    cr_assert(eq(u32, read_at(op.file, 0, BYTES), CW_DISK_BLOCK));
    cr_assert(eq(int, memcmp(into, data, CW_DISK_BLOCK), 0));
    cr_assert(eq(int, write_at(op.file, 0, CW_DISK_BLOCK, true), EROFS));
    op = named(CW_DISK_CREATE, "b");
    cr_assert(eq(int, cw_disk_do(&disk, &op), EROFS));
    cr_assert(eq(int, op.file, CW_DISK_FILE_NONE));
    op = named(CW_DISK_REMOVE, "a");
    cr_assert(eq(int, cw_disk_do(&disk, &op), EROFS));
    cw_disk_close(store);
    open_with((struct cw_disk_options){.direct = true});
    close_and_remove();
}

/* ---- what is told of it ---- */

Test(disk, nothing_is_at_work_once_all_is_done)
{
    make_directory();
    open_with((struct cw_disk_options){.direct = true});
    struct cw_disk_op op = named(CW_DISK_CREATE, "a");
    cr_assert(eq(int, cw_disk_do(&disk, &op), 0));
    cr_assert(eq(u64, cw_disk_work(store).since_ns, 0));
    cr_assert(eq(str, (char *)cw_disk_kind_name(CW_DISK_SYNC_NAMES), "flush of names"));
    close_and_remove();
}

/* ---- opening ---- */

Test(disk, makes_its_directory_private)
{
    make_directory();
    char path[4200];
    (void)snprintf(path, sizeof path, "%s/new", directory);
    open_with((struct cw_disk_options){.directory = path});
    struct stat found;
    cr_assert(eq(int, stat(path, &found), 0));
    cr_assert(eq(u32, found.st_mode & 07777, 0700));
    cr_assert(ne(ptr, strstr((char *)cw_disk_name(store), "fdatasync"), NULL));
    cw_disk_close(store);
    cr_assert(eq(int, rmdir(path), 0));
    cr_assert(eq(int, rmdir(directory), 0));
}

Test(disk, says_why_it_cannot_be_opened)
{
    struct cw_fault fault = {.text = ""};
    struct cw_disk_options options = {.directory = "not/there"};
    cr_assert(eq(int, cw_disk_open(&store, &options, &fault), CW_ERR_IO));
    cr_assert(ne(ptr, strstr(fault.text, "directory not/there: making it"), NULL));
    options.read_only = true;
    cr_assert(eq(int, cw_disk_open(&store, &options, &fault), CW_ERR_NOT_FOUND));
    options = (struct cw_disk_options){.directory = "/dev/null"};
    cr_assert(eq(int, cw_disk_open(&store, &options, &fault), CW_ERR_IO));
    cr_assert(eq(ptr, store, NULL));
}

/* ---- misuse ---- */

Test(disk, dies_on_bytes_that_are_not_aligned, .signal = SIGABRT)
{
    make_directory();
    open_with((struct cw_disk_options){.direct = false});
    (void)rmdir(directory);
    (void)write_at(0, 512, CW_DISK_BLOCK, false);
}

Test(disk, dies_on_a_name_that_leaves_the_directory, .signal = SIGABRT)
{
    make_directory();
    open_with((struct cw_disk_options){.direct = false});
    (void)rmdir(directory);
    (void)create("../a");
}

Test(disk, dies_on_more_operations_than_agreed, .signal = SIGABRT)
{
    make_directory();
    open_with((struct cw_disk_options){.direct = false});
    (void)rmdir(directory);
    static struct cw_disk_op ops[CW_DISK_OPS_MAX + 1];
    for (uint32_t i = 0; i <= CW_DISK_OPS_MAX; i++) {
        ops[i].kind = CW_DISK_SYNC_NAMES;
        disk.submit(disk.self, &ops[i]);
    }
}
