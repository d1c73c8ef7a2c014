#include "tests/core/log_fixture.h"

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

/* Each frame needs another segment, and nothing is ever idle. */
Test(log, lets_go_of_segments_while_it_makes_them)
{
    open_log();
    for (uint32_t i = 0; i < 200; i++) {
        append(SEGMENT_BYTES / 2);
        cw_log_release(wal, cw_log_durable(wal), true);
        cr_assert(le(u32, count_names("log-"), 8), "after %u frames", i);
    }
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

/* ---- a disk that fails ---- */

static void expect_fault(uint32_t kinds, uint32_t frames)
{
    open_log();
    append_all(3, 100);
    struct cw_fault_plan plan = {
        .at = cw_fault_disk_count(disk), .error = EIO, .kinds = kinds, .once = true};
    cw_fault_disk_plan(disk, &plan);
    for (uint32_t i = 0; i < frames && cw_log_fault(wal) == NULL; i++) {
        append(100);
    }
    cr_assert(cw_log_fault(wal) != NULL);
    cr_assert(strstr(cw_log_fault(wal), "Input/output error") != NULL, "%s", cw_log_fault(wal));
    cr_assert(cw_log_busy(wal), "nothing more can be submitted");
    uint64_t durable = cw_log_durable(wal);
    cr_assert(lt(u64, durable, cw_log_last(wal)));
    uint64_t operations = cw_fault_disk_count(disk);
    settle();
    cr_assert(le(u64, cw_fault_disk_count(disk), operations + 1), "nothing is tried again");
    cr_assert(eq(u64, cw_log_durable(wal), durable));
    kill_it();
    open_log();
    cr_assert(ge(u64, found.last_lsn, durable));
}

Test(log, is_over_when_a_write_fails)
{
    expect_fault(1u << CW_DISK_WRITE, 1);
}

Test(log, is_over_when_a_segment_cannot_be_renamed)
{
    expect_fault(1u << CW_DISK_RENAME, 20);
}

Test(log, is_over_when_names_cannot_be_flushed)
{
    expect_fault(1u << CW_DISK_SYNC_NAMES, 20);
}

Test(log, says_which_read_failed)
{
    open_log();
    append_all(20, 100);
    kill_it();
    struct cw_fault_plan plan = {.error = EIO, .kinds = 1u << CW_DISK_READ, .once = true};
    cw_fault_disk_plan(disk, &plan);
    cw_err err = try_open();
    cr_assert(eq(int, err, CW_ERR_IO));
    cr_assert(eq(int, fault.sys_errno, EIO));
    cr_assert(strstr(fault.text, "reading log-0000000000000001") != NULL, "%s", fault.text);
    wal = NULL;
}

Test(log, is_full_before_it_stops_and_goes_on_when_there_is_space)
{
    open_log();
    settle();
    cw_fault_disk_space(disk, cw_fault_disk_used(disk));
    cr_assert(not(cw_log_full(wal)));
    append_all(15, 100);
    settle();
    cr_assert(not(cw_log_full(wal)), "two more segments are there");
    append_all(1, 100);
    cr_assert(cw_log_full(wal), "the one after the next cannot be made");
    append_all(29, 100); /* the rest of this one, and the reserve */
    cr_assert(not(cw_log_busy(wal)));
    pattern(cw_log_room(wal, 100), 46, 100);
    cr_assert(eq(u64, cw_log_submit(wal, 100, 460), 46));
    settle();
    cr_assert(cw_log_busy(wal));
    cr_assert(cw_log_fault(wal) == NULL);
    cr_assert(eq(u64, cw_log_durable(wal), 45));
    cw_log_release(wal, 15, false);
    wait_durable();
    cr_assert(eq(u64, cw_log_durable(wal), 46));
    settle();
    cr_assert(cw_log_full(wal));
    cw_fault_disk_space(disk, 0);
    for (uint32_t i = 0; i < 2 * CW_LOG_RETRY_POLLS && cw_log_full(wal); i++) {
        (void)cw_log_poll(wal);
    }
    cr_assert(not(cw_log_full(wal)), "it is tried again now and then");
}

Test(log, looks_for_space_when_it_is_told_to)
{
    open_log();
    settle();
    cw_fault_disk_space(disk, cw_fault_disk_used(disk));
    append_all(16, 100);
    cr_assert(cw_log_full(wal));
    cw_log_look_again(wal);
    settle();
    cr_assert(cw_log_full(wal), "there is none");
    cw_fault_disk_space(disk, 0);
    settle();
    cr_assert(cw_log_full(wal), "it was not tried again so soon");
    cw_log_look_again(wal);
    settle();
    cr_assert(not(cw_log_full(wal)));
}

Test(log, closes_while_it_waits_for_space)
{
    open_log();
    settle();
    cw_fault_disk_space(disk, cw_fault_disk_used(disk));
    append_all(45, 100);
    (void)cw_log_room(wal, 100);
    (void)cw_log_submit(wal, 100, 460);
    close_log(true);
    cw_fault_disk_space(disk, 0);
    open_log();
    cr_assert(eq(u64, found.last_lsn, 45));
    cr_assert(not(found.clean));
}

/* ---- durability `os` ---- */

Test(log, does_not_flush_frames_when_the_host_is_trusted)
{
    options.os = true;
    open_log();
    append_all(10, 100);
    cr_assert(eq(u64, cw_log_durable(wal), 10));
    kill_it(); /* of the process: nothing is lost */
    open_log();
    cr_assert(eq(u32, applied, 10));
    append_all(40, 100);
    struct cw_fault_disk *image = NULL;
    for (uint64_t seed = 0; seed < 60; seed++) { /* the host: a prefix is left */
        image = cw_fault_disk_crash(disk, seed);
        struct cw_fault_disk *kept = disk;
        struct cw_log *kept_log = wal;
        disk = image;
        open_log();
        cr_assert(ge(u64, found.last_lsn, 40), "what is in segments that were left is flushed");
        close_log(false);
        cw_fault_disk_free(disk);
        disk = kept;
        wal = kept_log;
    }
}
