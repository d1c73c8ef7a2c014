/* The bytes that recovery is given are the file's, however they are asked for. */
#include "core/log_priv.h"
#include "tests/core/memory_disk.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum {
    BLOCKS = 13 * 256 + 3, /* of the file: more than all that is asked for ahead */
    WORDS_A_BLOCK = CW_DISK_BLOCK / sizeof(uint64_t)
};

static struct memory_disk disk;
static struct cw_disk port;
static struct cw_log_reader reader;
static uint64_t chance;

static void make_file(void)
{
    struct cw_disk_op op = {.kind = CW_DISK_CREATE, .name = "log"};
    cr_assert(eq(int, cw_disk_do(&port, &op), 0));
    struct memory_file *file = &disk.files[op.file];
    memory_size(file, (uint64_t)BLOCKS * CW_DISK_BLOCK);
    for (uint64_t i = 0; i < file->bytes / sizeof i; i++) {
        memcpy(file->now + i * sizeof i, &i, sizeof i);
    }
}

static void open_log(void)
{
    struct cw_disk_op op = {.kind = CW_DISK_OPEN, .name = "log"};
    cr_assert(eq(int, cw_ahead_open(&reader.ahead, &op), 0));
    cr_assert(eq(u64, reader.ahead.size, (uint64_t)BLOCKS * CW_DISK_BLOCK));
}

static void init(void)
{
    disk = (struct memory_disk){0};
    port = memory_port(&disk);
    make_file();
    cr_assert(cw_log_reader_init(&reader, &port));
    open_log();
    chance = 7;
}

static void fini(void)
{
    cw_log_reader_deinit(&reader);
    cr_assert(eq(int, disk.waiting, 0), "nothing is under way any more");
    memory_free(&disk);
}

TestSuite(log_read, .init = init, .fini = fini);

/* Every word says where in the file it is. */
static void look(const void *at, uint64_t offset, uint64_t bytes)
{
    const uint64_t *words = at;
    for (uint64_t i = 0; i < bytes / sizeof *words; i++) {
        if (words[i] != offset / sizeof *words + i) {
            cr_fatal("at byte %llu, of %llu", (unsigned long long)(offset + i * sizeof *words),
                     (unsigned long long)bytes);
        }
    }
}

/* A frame's usual size, or now and then one that is longer than a window. */
static uint64_t some_bytes(void)
{
    uint32_t most = random_below(&chance, 20) == 0 ? 1200 : 40;
    return (1 + random_below(&chance, most)) * (uint64_t)CW_DISK_BLOCK;
}

Test(log_read, gives_what_stands_there_frame_by_frame)
{
    for (uint32_t round = 0; round < 8; round++) {
        uint64_t at = CW_DISK_BLOCK;
        while (at < reader.ahead.size) {
            void *there;
            cr_assert(eq(int, cw_log_reader_need(&reader, at, CW_DISK_BLOCK, &there), 0));
            look(there, at, CW_DISK_BLOCK);
            uint64_t bytes = some_bytes();
            bytes = bytes < reader.ahead.size - at ? bytes : reader.ahead.size - at;
            cr_assert(eq(int, cw_log_reader_need(&reader, at, bytes, &there), 0));
            look(there, at, bytes);
            at += bytes;
        }
        cr_assert(le(int, disk.most, CW_AHEAD_SIDES));
        cw_ahead_close(&reader.ahead);
        open_log();
    }
}

Test(log_read, reads_nearly_nothing_twice)
{
    uint64_t before = disk.ops;
    for (uint64_t at = CW_DISK_BLOCK; at < reader.ahead.size; at += CW_DISK_BLOCK) {
        void *there;
        cr_assert(eq(int, cw_log_reader_need(&reader, at, CW_DISK_BLOCK, &there), 0));
    }
    cr_assert(eq(u64, disk.ops - before, 7), "two mebibytes each");
}

Test(log_read, reads_what_is_longer_than_a_window_but_once)
{
    const uint64_t frame = (uint64_t)900 * CW_DISK_BLOCK; /* 3.5 MiB */
    uint64_t before = disk.ops;
    for (uint64_t at = CW_DISK_BLOCK; at < reader.ahead.size; at += frame) {
        uint64_t bytes = frame < reader.ahead.size - at ? frame : reader.ahead.size - at;
        void *there;
        cr_assert(eq(int, cw_log_reader_need(&reader, at, CW_DISK_BLOCK, &there), 0));
        cr_assert(eq(int, cw_log_reader_need(&reader, at, bytes, &there), 0));
        look(there, at, bytes);
    }
    cr_assert(eq(u64, disk.ops - before, 7), "as if each were short");
}

Test(log_read, goes_anywhere)
{
    for (uint32_t i = 0; i < 400; i++) {
        uint64_t at = random_below(&chance, BLOCKS) * (uint64_t)CW_DISK_BLOCK;
        for (uint32_t on = random_below(&chance, 12); on > 0 && at < reader.ahead.size; on--) {
            uint64_t bytes = some_bytes();
            void *there;
            cr_assert(eq(int, cw_log_reader_need(&reader, at, bytes, &there), 0));
            cr_assert(eq(int, there != NULL, bytes <= reader.ahead.size - at));
            if (there != NULL) {
                look(there, at, bytes);
            }
            at += bytes;
        }
    }
}

Test(log_read, tells_of_a_read_that_failed_and_of_no_other)
{
    for (uint32_t i = 0; i < 200; i++) {
        disk.fail_from = disk.fail_to = disk.ops + 1 + random_below(&chance, 16);
        disk.fail_with = EIO;
        uint32_t failed = 0;
        for (uint64_t at = CW_DISK_BLOCK; at < reader.ahead.size;) {
            uint64_t bytes = some_bytes();
            bytes = bytes < reader.ahead.size - at ? bytes : reader.ahead.size - at;
            void *there;
            int error = cw_log_reader_need(&reader, at, bytes, &there);
            if (error != 0) {
                cr_assert(eq(int, error, EIO));
                cr_assert(eq(ptr, there, NULL));
                failed++; /* and once more: the disk fails once */
                continue;
            }
            look(there, at, bytes);
            at += bytes;
        }
        cr_assert(le(u32, failed, 1));
        disk.fail_with = 0;
        cw_ahead_close(&reader.ahead);
        open_log();
    }
}

Test(log_read, a_file_that_was_cut_off_ends_there)
{
    void *there;
    cr_assert(eq(int, cw_log_reader_need(&reader, CW_DISK_BLOCK, CW_DISK_BLOCK, &there), 0));
    uint64_t cut = (uint64_t)5 * CW_DISK_BLOCK;
    memory_file(&disk, "log")->bytes = cut;
    cw_ahead_close(&reader.ahead);
    struct cw_disk_op op = {.kind = CW_DISK_OPEN, .name = "log"};
    cr_assert(eq(int, cw_ahead_open(&reader.ahead, &op), 0));
    cr_assert(eq(int, cw_log_reader_need(&reader, CW_DISK_BLOCK, CW_DISK_BLOCK, &there), 0));
    look(there, CW_DISK_BLOCK, CW_DISK_BLOCK);
    cr_assert(eq(int, cw_log_reader_need(&reader, CW_DISK_BLOCK, cut, &there), 0));
    cr_assert(eq(ptr, there, NULL));
    memory_file(&disk, "log")->bytes = (uint64_t)3 * CW_DISK_BLOCK; /* while it is open */
    cr_assert(eq(int, cw_log_reader_head(&reader, &there), 0));
    look(there, 0, CW_DISK_BLOCK);
    cr_assert(eq(int, cw_log_reader_need(&reader, cut - CW_DISK_BLOCK, CW_DISK_BLOCK, &there), 0));
    cr_assert(eq(ptr, there, NULL));
}

/* As by whoever tidies up in a state that an engine starts on: an end, nothing worse. */
Test(log_read, a_file_may_be_cut_off_anywhere_at_any_time)
{
    for (uint32_t i = 0; i < 200; i++) {
        uint64_t full = (uint64_t)BLOCKS * CW_DISK_BLOCK;
        uint64_t cut = random_below(&chance, (uint32_t)full);
        uint64_t when = random_below(&chance, BLOCKS) * (uint64_t)CW_DISK_BLOCK;
        cut &= random_below(&chance, 2) == 0 ? UINT64_MAX : ~(uint64_t)(CW_DISK_BLOCK - 1);
        bool ended = false;
        for (uint64_t at = CW_DISK_BLOCK; at < full && !ended;) {
            if (at >= when) {
                memory_file(&disk, "log")->bytes = cut;
            }
            uint64_t bytes = some_bytes();
            bytes = bytes < full - at ? bytes : full - at;
            void *there;
            cr_assert(eq(int, cw_log_reader_need(&reader, at, bytes, &there), 0));
            ended = there == NULL;
            if (ended) {
                cr_assert(gt(u64, at + bytes, cut));
            } else {
                look(there, at, bytes);
            }
            at += bytes;
        }
        memory_file(&disk, "log")->bytes = full;
        cw_ahead_close(&reader.ahead);
        open_log();
    }
}
