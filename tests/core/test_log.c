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

static void pattern(char *to, uint64_t lsn, uint32_t bytes)
{
    uint64_t state = lsn;
    for (uint32_t i = 0; i < bytes; i++) {
        to[i] = (char)random_next(&state);
    }
}

static bool apply(void *with, uint64_t lsn, int64_t logical_ms, struct cw_view records)
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

static cw_err try_open(void)
{
    applied = 0;
    options.disk = cw_fault_disk_port(disk);
    options.random = ++opened * 77;
    return cw_log_recover(&wal, &options, apply, NULL, &found, &fault);
}

static void open_log(void)
{
    cw_err err = try_open();
    cr_assert(eq(int, err, CW_ERR_OK), "%s", fault.text);
}

static void expect_corrupt(const char *words)
{
    uint64_t before = cw_fault_disk_digest(disk);
    cw_err err = try_open();
    cr_assert(eq(int, err, CW_ERR_CORRUPT));
    cr_assert(strstr(fault.text, words) != NULL, "%s", fault.text);
    cr_assert(eq(u64, cw_fault_disk_digest(disk), before), "nothing is changed");
    wal = NULL;
}

static void settle(void)
{
    for (uint32_t idle = 0; idle < 50; idle++) {
        idle = cw_log_poll(wal) ? 0 : idle;
    }
}

static void wait_durable(void)
{
    for (uint32_t i = 0; i < 100000 && cw_log_busy(wal) && cw_log_fault(wal) == NULL; i++) {
        (void)cw_log_poll(wal);
    }
}

static uint64_t append(uint32_t bytes)
{
    uint64_t lsn = cw_log_last(wal) + 1;
    pattern(cw_log_room(wal, bytes), lsn, bytes);
    cr_assert(eq(u64, cw_log_submit(wal, bytes, (int64_t)lsn * 10), lsn));
    wait_durable();
    return lsn;
}

static void append_all(uint32_t frames, uint32_t bytes)
{
    for (uint32_t i = 0; i < frames; i++) {
        append(bytes);
        settle();
    }
}

static void close_log(bool clean)
{
    cw_log_close(wal, clean);
    wal = NULL;
}

/* The process ends without a word; the disk keeps what was carried out. */
static void kill_it(void)
{
    struct cw_fault_disk *image = cw_fault_disk_kill(disk);
    cw_fault_disk_off(disk);
    cw_log_close(wal, false);
    wal = NULL;
    cw_fault_disk_free(disk);
    disk = image;
}

static uint8_t *segment_bytes(uint64_t seq, uint64_t *size)
{
    char name[CW_DISK_NAME_BYTES];
    cw_log_name(name, seq);
    uint8_t *bytes = cw_fault_disk_bytes(disk, name, size);
    cr_assert(bytes != NULL, "%s", name);
    return bytes;
}

static struct cw_log_frame *frame_at(uint64_t seq, uint32_t block)
{
    uint64_t size = 0;
    void *at = segment_bytes(seq, &size) + block * CW_DISK_BLOCK;
    cr_assert(size > block * CW_DISK_BLOCK);
    return at;
}

static void init(void)
{
    struct cw_fault_disk_options disk_options = {.seed = 1, .delay_max = 2};
    disk = cw_fault_disk_new(&disk_options);
    options = (struct cw_log_options){.shard = 3, .segment_bytes = SEGMENT_BYTES};
    memcpy(options.store, "0123456789abcdef", 16);
}

static void fini(void)
{
    if (wal != NULL) {
        cw_log_close(wal, false);
    }
    cw_fault_disk_free(disk);
}

TestSuite(log, .init = init, .fini = fini);

/* ---- appending and reading back ---- */

Test(log, is_empty_when_new)
{
    open_log();
    cr_assert(eq(u64, found.last_lsn, 0));
    cr_assert(not(found.clean));
    cr_assert(eq(u64, cw_log_last(wal), 0));
    cr_assert(eq(u64, cw_log_durable(wal), 0));
    cr_assert(not(cw_log_busy(wal)));
    cr_assert(cw_log_fault(wal) == NULL);
}

Test(log, gives_back_what_was_written)
{
    open_log();
    append_all(40, 100);
    append_all(3, 9000);
    close_log(false);
    open_log();
    cr_assert(eq(u32, applied, 43));
    for (uint32_t i = 0; i < 43; i++) {
        cr_assert(eq(u64, applied_lsn[i], i + 1));
        cr_assert(eq(u32, applied_bytes[i], i < 40 ? 100 : 9000));
    }
    cr_assert(eq(u64, found.last_lsn, 43));
    cr_assert(eq(i64, found.logical_ms, 430));
    cr_assert(eq(u64, found.frames, 43));
    cr_assert(eq(u64, found.bytes, 40 * 4096 + 3 * 12288));
    cr_assert(eq(u64, append(5), 44));
}

Test(log, says_that_it_was_closed_in_order)
{
    open_log();
    append(10);
    close_log(true);
    open_log();
    cr_assert(found.clean);
    cr_assert(eq(u64, found.last_lsn, 2));
    cr_assert(eq(u32, applied, 1));
    close_log(false); /* nothing was added: still nothing is missing */
    open_log();
    cr_assert(found.clean);
    append(10);
    close_log(false);
    open_log();
    cr_assert(not(found.clean));
    cr_assert(eq(u64, found.last_lsn, 3));
}

Test(log, fills_the_next_frame_while_one_is_under_way)
{
    open_log();
    pattern(cw_log_room(wal, 50), 1, 50);
    (void)cw_log_submit(wal, 50, 10);
    cr_assert(cw_log_busy(wal));
    cr_assert(eq(u64, cw_log_durable(wal), 0));
    char *room = cw_log_room(wal, 100);
    pattern(room, 2, 100);
    char *more = cw_log_room(wal, 300000);
    cr_assert(0 == (uintptr_t)more % 8);
    char expected[100];
    pattern(expected, 2, 100);
    cr_assert(memcmp(expected, more, 100) == 0, "what was filled in is kept");
    wait_durable();
    cr_assert(eq(u64, cw_log_durable(wal), 1));
    cr_assert(eq(u64, cw_log_submit(wal, 100, 20), 2));
    wait_durable();
    kill_it();
    open_log();
    cr_assert(eq(u32, applied, 2));
}

Test(log, takes_frames_without_records)
{
    open_log();
    append(0);
    append(0);
    kill_it();
    open_log();
    cr_assert(eq(u32, applied, 2));
}

Test(log, dies_of_a_second_frame_under_way, .signal = SIGABRT)
{
    open_log();
    (void)cw_log_submit(wal, 0, 1);
    (void)cw_log_submit(wal, 0, 2);
}

Test(log, dies_of_more_than_the_room, .signal = SIGABRT)
{
    open_log();
    (void)cw_log_room(wal, 10);
    (void)cw_log_submit(wal, 10 << 20, 2);
}

Test(log, puts_a_frame_that_is_larger_than_a_segment_into_one_of_its_own)
{
    open_log();
    append_all(2, 100);
    append_all(1, 5 << 20);
    append_all(2, 100);
    append_all(1, SEGMENT_BYTES - 2 * CW_DISK_BLOCK - 64 + CW_DISK_BLOCK); /* just fits */
    append_all(1, 100);
    kill_it();
    open_log();
    cr_assert(eq(u32, applied, 7));
    cr_assert(eq(u32, applied_bytes[2], 5 << 20));
}

/* ---- segments ---- */

static uint32_t counted;
static const char *counted_prefix;

static void count_name(void *with, const char *name, uint64_t bytes)
{
    (void)with;
    (void)bytes;
    counted += strncmp(name, counted_prefix, strlen(counted_prefix)) == 0;
}

static uint32_t count_names(const char *prefix)
{
    counted = 0;
    counted_prefix = prefix;
    struct cw_disk port = cw_fault_disk_port(disk);
    (void)port.list(port.self, count_name, NULL);
    return counted;
}

Test(log, has_spares_made_before_they_are_needed)
{
    open_log();
    settle();
    cr_assert(eq(u32, count_names("log-"), 1));
    cr_assert(eq(u32, count_names("spare-"), 2));
    struct cw_log_stats stats;
    cw_log_stats(wal, &stats);
    cr_assert(eq(u64, stats.segments_made, 3));
}

Test(log, recycles_what_is_released)
{
    open_log();
    append_all(15 * 5, 100);
    cr_assert(eq(u32, count_names("log-"), 5));
    cw_log_release(wal, 15 * 3 + 2, false);
    settle();
    cr_assert(eq(u32, count_names("log-"), 2));
    cr_assert(eq(u32, count_names("spare-"), 5));
    append_all(15 * 4, 100);
    struct cw_log_stats stats;
    cw_log_stats(wal, &stats);
    cr_assert(ge(u64, stats.segments_recycled, 2));
    cr_assert(eq(u64, stats.segments_kept, 6));
    kill_it();
    options.since = 15 * 3 + 2;
    open_log();
    cr_assert(eq(u32, applied, 15 * 9 - options.since));
    cr_assert(eq(u64, applied_lsn[0], options.since + 1));
}

Test(log, removes_what_has_to_go)
{
    open_log();
    append_all(15 * 5, 100);
    cw_log_release(wal, 15, false);
    settle();
    cw_log_release(wal, 15 * 3, true);
    settle();
    cr_assert(eq(u32, count_names("log-"), 2));
    cr_assert(eq(u32, count_names("spare-"), 2));
    struct cw_log_stats stats;
    cw_log_stats(wal, &stats);
    cr_assert(eq(u64, stats.segments_recycled, 0));
}

Test(log, does_not_pile_up_segments_by_starting_often)
{
    open_log();
    append_all(20, 100);
    for (uint32_t i = 0; i < 50; i++) {
        kill_it();
        open_log();
        cr_assert(eq(u32, applied, 20));
    }
    cr_assert(le(u32, count_names(""), 6));
}

Test(log, counts_bytes_since_a_frame)
{
    open_log();
    append_all(40, 100);
    cr_assert(eq(u64, cw_log_bytes_since(wal, 40), 0));
    cr_assert(eq(u64, cw_log_bytes_since(wal, 0), 40 * 4096));
    cr_assert(eq(u64, cw_log_bytes_since(wal, 15), 25 * 4096));
    cr_assert(eq(u64, cw_log_bytes_since(wal, 38), 2 * 4096));
}

Test(log, seals_once)
{
    open_log();
    cw_log_seal(wal, 5);
    cr_assert(eq(u64, cw_log_last(wal), 0), "there is nothing to be sealed");
    append(10);
    cw_log_seal(wal, 20);
    cr_assert(eq(u64, cw_log_last(wal), 2));
    cw_log_seal(wal, 20);
    wait_durable();
    cw_log_seal(wal, 30);
    cr_assert(eq(u64, cw_log_last(wal), 2));
    kill_it();
    open_log();
    cr_assert(eq(u64, found.last_lsn, 2));
    cr_assert(eq(u32, applied, 1));
    cr_assert(eq(i64, found.logical_ms, 20));
    cw_log_seal(wal, 40);
    cr_assert(eq(u64, cw_log_last(wal), 2), "the new segment's header follows it");
}

/* ---- recovery's verdicts, a test for each row of the table ---- */

Test(log, table_has_exactly_one_row_for_everything)
{
    uint32_t used[CW_LOG_ROWS] = {0};
    uint32_t combinations = 0;
    for (uint32_t i = 0; i < CW_LOG_FRAME_KINDS * CW_LOG_NEXT_KINDS * 4; i++) {
        struct cw_log_facts facts = {
            .frame = (enum cw_log_frame_is)(i / 4 % CW_LOG_FRAME_KINDS),
            .next = (enum cw_log_next_is)(i / 4 / CW_LOG_FRAME_KINDS),
            .later = i % 2 == 1,
            .wanted = i / 2 % 2 == 1,
        };
        uint32_t matches = 0;
        for (uint32_t row = 0; row < CW_LOG_ROWS; row++) {
            bool match = cw_log_row_matches(&cw_log_rows[row], &facts);
            matches += match;
            used[row] += match;
        }
        cr_assert(eq(u32, matches, 1), "combination %u", i);
        combinations++;
    }
    cr_assert(eq(u32, combinations, 80));
    for (uint32_t row = 0; row < CW_LOG_ROWS; row++) {
        cr_assert(gt(u32, used[row], 0), "row %u", row);
    }
}

/* Row: a frame that is damaged, and a later one. */
Test(log, refuses_damage_to_an_acknowledged_frame)
{
    open_log();
    append_all(40, 5000); /* 7 to a segment */
    kill_it();
    for (uint32_t block = 3; block <= 4; block++) {
        for (uint32_t at = 0; at < (block == 3 ? 4096 : 900); at += 97) {
            ((uint8_t *)frame_at(2, block))[at] ^= 4;
            expect_corrupt("segment log-0000000000000002, offset 12288, LSN 9");
            ((uint8_t *)frame_at(2, block))[at] ^= 4;
        }
    }
    open_log();
    cr_assert(eq(u32, applied, 40));
}

/* Row: torn, and nothing after it. */
Test(log, cuts_a_torn_tail)
{
    open_log();
    append_all(5, 5000);
    kill_it();
    memset((uint8_t *)frame_at(1, 10) + 512, 0, 512);
    open_log();
    cr_assert(eq(u64, found.last_lsn, 4));
    cr_assert(eq(u64, found.torn_bytes, 8192));
    cr_assert(eq(u64, append(70), 5));
    kill_it();
    open_log();
    cr_assert(eq(u64, found.last_lsn, 5));
    cr_assert(eq(u32, applied_bytes[4], 70));
    cr_assert(eq(u64, found.torn_bytes, 0));
}

/* Row: nothing, and nothing after it. */
Test(log, ends_where_an_earlier_use_begins)
{
    open_log();
    append_all(15 * 4, 100);
    cw_log_release(wal, 15 * 3, false);
    settle();
    append_all(15 * 3 + 4, 100); /* into recycled segments */
    kill_it();
    options.since = 15 * 3;
    open_log();
    cr_assert(eq(u64, found.last_lsn, 15 * 7 + 4));
    cr_assert(eq(u64, found.torn_bytes, 0));
}

/* Row: a whole frame that does not belong here. */
Test(log, refuses_a_frame_of_another_place)
{
    open_log();
    append_all(6, 100);
    kill_it();
    memcpy(frame_at(1, 6), frame_at(1, 3), CW_DISK_BLOCK);
    expect_corrupt("LSN 6: a whole frame that does not follow");
}

/* Row: the log ends before a checkpoint. */
Test(log, refuses_an_end_before_what_a_checkpoint_needs)
{
    open_log();
    append_all(6, 100);
    kill_it();
    ((uint8_t *)frame_at(1, 6))[70] ^= 1;
    options.until = 6;
    expect_corrupt("LSN 6: the log ends before");
    options.until = 5;
    open_log();
    cr_assert(eq(u64, found.last_lsn, 5));
}

/* Rows: the next segment. Meeting is what every rotation does. */
Test(log, refuses_a_segment_that_ends_early)
{
    open_log();
    append_all(16, 100);
    kill_it();
    ((uint8_t *)frame_at(1, 15))[70] ^= 1; /* the last: no later frame there tells of it */
    expect_corrupt("LSN 15: the segment ends before the next one begins");
}

Test(log, refuses_a_damaged_header)
{
    open_log();
    append_all(40, 100);
    kill_it();
    for (uint32_t at = 0; at < 4096; at += 123) {
        ((uint8_t *)frame_at(2, 0))[at] ^= 1;
        expect_corrupt("LSN 16: the segment ends, and the header of the next");
        ((uint8_t *)frame_at(2, 0))[at] ^= 1;
    }
    ((uint8_t *)frame_at(3, 0))[9] ^= 1; /* the last: its name promises a header */
    expect_corrupt("LSN 31: the segment ends, and the header of the next");
    ((uint8_t *)frame_at(3, 0))[9] ^= 1;
    ((uint8_t *)frame_at(1, 0))[9] ^= 1;
    expect_corrupt("segment log-0000000000000001, offset 0, LSN 1: ");
    options.since = 20; /* not needed any more */
    open_log();
    cr_assert(eq(u32, applied, 20));
}

Test(log, refuses_a_missing_segment)
{
    open_log();
    append_all(50, 100);
    kill_it();
    cr_assert(cw_fault_disk_remove(disk, "log-0000000000000002"));
    expect_corrupt("LSN 16: the segment ends, and the next one is missing");
    cr_assert(cw_fault_disk_remove(disk, "log-0000000000000001"));
    expect_corrupt("no segment reaches back to this frame");
}

Test(log, refuses_another_history)
{
    open_log();
    append_all(10, 100);
    struct cw_fault_disk *other = cw_fault_disk_kill(disk);
    append_all(10, 100);
    kill_it();
    struct cw_fault_disk *first = disk;
    disk = other;
    open_log(); /* frames 11 to 15 in a segment of another salt */
    append_all(30, 200);
    kill_it();
    uint64_t size = 0;
    void *bytes = segment_bytes(3, &size);
    cw_fault_disk_put(first, "log-0000000000000003", bytes, size);
    cw_fault_disk_free(disk);
    disk = first;
    expect_corrupt("another history follows");
}
