/* log_fixture: a log on a disk in memory; what is in a frame follows from its LSN. */
#ifndef CW_TESTS_CORE_LOG_FIXTURE_H
#define CW_TESTS_CORE_LOG_FIXTURE_H

#include "core/log_priv.h"
#include "tests/core/random.h"
#include "tests/sim/fault_disk.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>

enum {
    SEGMENT_BYTES = 64 << 10, /* a head and 15 frames of one block */
    FRAMES_MAX = 4096
};

static struct cw_fault_disk *disk;
static struct cw_log *wal;
static struct cw_log_options options;
static struct cw_log_found found;
static struct cw_fault fault;
static uint64_t opened;

/* What was applied: LSN, clock and size, and whether the bytes are those of that frame. */
static uint64_t applied_lsn[FRAMES_MAX];
static uint32_t applied_bytes[FRAMES_MAX];
static uint32_t applied;
static bool refuse;

static inline void pattern(char *to, uint64_t lsn, uint32_t bytes)
{
    uint64_t state = lsn;
    for (uint32_t i = 0; i < bytes; i++) {
        to[i] = (char)random_next(&state);
    }
}

static inline bool apply(void *with, uint64_t lsn, int64_t logical_ms, struct cw_view records)
{
    (void)with;
    char *expected = malloc(records.bytes + 1);
    pattern(expected, lsn, records.bytes);
    cr_assert(memcmp(expected, records.data, records.bytes) == 0, "frame %lu", (unsigned long)lsn);
    free(expected);
    cr_assert(eq(i64, logical_ms, 10 * (int64_t)lsn), "the clock of frame %lu", (unsigned long)lsn);
    cr_assert(0 == (uintptr_t)records.data % 8);
    applied_lsn[applied] = lsn;
    applied_bytes[applied++] = records.bytes;
    return !refuse;
}

static inline cw_err try_open(void)
{
    applied = 0;
    options.disk = cw_fault_disk_port(disk);
    options.random = ++opened * 77;
    return cw_log_recover(&wal, &options, apply, NULL, &found, &fault);
}

static inline void open_log(void)
{
    cw_err err = try_open();
    cr_assert(eq(int, err, CW_ERR_OK), "%s", fault.text);
}

static inline void expect_corrupt(const char *words)
{
    uint64_t before = cw_fault_disk_digest(disk);
    cw_err err = try_open();
    cr_assert(eq(int, err, CW_ERR_CORRUPT));
    cr_assert(strstr(fault.text, words) != NULL, "%s", fault.text);
    cr_assert(eq(u64, cw_fault_disk_digest(disk), before), "nothing is changed");
    wal = NULL;
}

static inline void settle(void)
{
    for (uint32_t idle = 0; idle < 50; idle++) {
        idle = cw_log_poll(wal) ? 0 : idle;
    }
}

static inline void wait_durable(void)
{
    for (uint32_t i = 0; i < 100000 && cw_log_busy(wal) && cw_log_fault(wal) == NULL; i++) {
        (void)cw_log_poll(wal);
    }
}

static inline uint64_t append(uint32_t bytes)
{
    uint64_t lsn = cw_log_last(wal) + 1;
    pattern(cw_log_room(wal, bytes), lsn, bytes);
    cr_assert(eq(u64, cw_log_submit(wal, bytes, (int64_t)lsn * 10), lsn));
    wait_durable();
    return lsn;
}

static inline void append_all(uint32_t frames, uint32_t bytes)
{
    for (uint32_t i = 0; i < frames; i++) {
        append(bytes);
        settle();
    }
}

static inline void close_log(bool clean)
{
    cw_log_close(wal, clean);
    wal = NULL;
}

/* The process ends without a word; the disk keeps what was carried out. */
static inline void kill_it(void)
{
    struct cw_fault_disk *image = cw_fault_disk_kill(disk);
    cw_fault_disk_off(disk);
    cw_log_close(wal, false);
    wal = NULL;
    cw_fault_disk_free(disk);
    disk = image;
}

static inline uint8_t *segment_bytes(uint64_t seq, uint64_t *size)
{
    char name[CW_DISK_NAME_BYTES];
    cw_log_name(name, seq);
    uint8_t *bytes = cw_fault_disk_bytes(disk, name, size);
    cr_assert(bytes != NULL, "%s", name);
    return bytes;
}

static inline struct cw_log_frame *frame_at(uint64_t seq, uint32_t block)
{
    uint64_t size = 0;
    void *at = segment_bytes(seq, &size) + block * CW_DISK_BLOCK;
    cr_assert(size > block * CW_DISK_BLOCK);
    return at;
}

static inline void init(void)
{
    struct cw_fault_disk_options disk_options = {.seed = 1, .delay_max = 2};
    disk = cw_fault_disk_new(&disk_options);
    options = (struct cw_log_options){.shard = 3, .segment_bytes = SEGMENT_BYTES};
    memcpy(options.store, "0123456789abcdef", 16);
}

static inline void fini(void)
{
    if (wal != NULL) {
        cw_log_close(wal, false);
    }
    cw_fault_disk_free(disk);
}

static uint32_t counted;
static const char *counted_prefix;

static inline void count_name(void *with, const char *name, uint64_t bytes)
{
    (void)with;
    (void)bytes;
    counted += strncmp(name, counted_prefix, strlen(counted_prefix)) == 0;
}

static inline uint32_t count_names(const char *prefix)
{
    counted = 0;
    counted_prefix = prefix;
    struct cw_disk port = cw_fault_disk_port(disk);
    (void)port.list(port.self, count_name, NULL);
    return counted;
}

#endif
