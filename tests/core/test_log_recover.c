#include "tests/core/log_fixture.h"

TestSuite(log_recover, .init = init, .fini = fini);

/* ---- recovery's verdicts, a test for each row of the table ---- */

Test(log_recover, table_has_exactly_one_row_for_everything)
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
Test(log_recover, refuses_damage_to_an_acknowledged_frame)
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

/* What an operator is told, and has to repeat, to go on without what is damaged. */
Test(log_recover, tells_where_the_damage_is_and_how_far_frames_go_behind_it)
{
    open_log();
    append_all(40, 5000); /* 7 to a segment */
    kill_it();
    ((uint8_t *)frame_at(2, 3))[70] ^= 1;
    expect_corrupt("LSN 9: the frame is damaged, and a later one says that it was durable; frames "
                   "up to LSN 40 stand behind it");
    cr_assert(eq(u64, found.damage.lsn, 9));
    cr_assert(eq(u64, found.damage.last_lsn, 40));
    cr_assert(eq(u64, found.damage.segment, 2));
    cr_assert(eq(u64, found.damage.offset, 12288));
    cr_assert(found.damage.may_be_cut);
    options.until = 9;
    expect_corrupt("LSN 9");
    cr_assert(not(found.damage.may_be_cut), "a checkpoint needs it");
    options.until = 8;
    expect_corrupt("LSN 9");
    cr_assert(found.damage.may_be_cut);
    ((uint8_t *)frame_at(2, 3))[70] ^= 1;
    open_log();
    cr_assert(eq(u64, found.damage.lsn, 0));
}

Test(log_recover, damage_without_a_beginning_cannot_be_cut)
{
    open_log();
    append_all(10, 5000);
    kill_it();
    ((uint8_t *)frame_at(1, 0))[20] ^= 1; /* the header */
    expect_corrupt("offset 0, LSN 1: ");
    cr_assert(eq(u64, found.damage.lsn, 1));
    cr_assert(not(found.damage.may_be_cut));
}

/* Row: torn, and nothing after it. */
Test(log_recover, cuts_a_torn_tail)
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
Test(log_recover, ends_where_an_earlier_use_begins)
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
Test(log_recover, refuses_a_frame_of_another_place)
{
    open_log();
    append_all(6, 100);
    kill_it();
    memcpy(frame_at(1, 6), frame_at(1, 3), CW_DISK_BLOCK);
    expect_corrupt("LSN 6: a whole frame that does not follow");
}

/* Row: the log ends before a checkpoint. */
Test(log_recover, refuses_an_end_before_what_a_checkpoint_needs)
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
Test(log_recover, refuses_a_segment_that_ends_early)
{
    open_log();
    append_all(16, 100);
    kill_it();
    ((uint8_t *)frame_at(1, 15))[70] ^= 1; /* the last: no later frame there tells of it */
    expect_corrupt("LSN 15: the segment ends before the next one begins");
}

Test(log_recover, refuses_a_damaged_header)
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

Test(log_recover, refuses_a_missing_segment)
{
    open_log();
    append_all(50, 100);
    kill_it();
    cr_assert(cw_fault_disk_remove(disk, "log-0000000000000002"));
    expect_corrupt("LSN 16: the segment ends, and the next one is missing");
    cr_assert(cw_fault_disk_remove(disk, "log-0000000000000001"));
    expect_corrupt("no segment reaches back to this frame");
}

/* Two histories that part after frame 10, with the same numbers in the same places: segment 3 of
   one behind segment 2 of the other. The chain alone tells. */
static void mix_histories(void)
{
    open_log();
    append_all(10, 100);
    kill_it();
    struct cw_fault_disk *one = cw_fault_disk_kill(disk);
    open_log();
    append_all(20, 200); /* 11 to 25, 26 to 30 */
    kill_it();
    struct cw_fault_disk *other = disk;
    disk = one;
    open_log();
    append_all(20, 100);
    kill_it();
    uint64_t size = 0;
    const char *name = "log-0000000000000003";
    const void *bytes = cw_fault_disk_bytes(other, name, &size);
    cw_fault_disk_put(disk, name, bytes, size);
    cw_fault_disk_free(other);
}

Test(log_recover, refuses_another_history)
{
    mix_histories();
    expect_corrupt("log-0000000000000002, offset 65536, LSN 26: the segment ends");
}

/* ---- what is refused, and what is not touched ---- */

Test(log_recover, refuses_another_store_another_shard_and_a_later_format)
{
    open_log();
    append_all(3, 100);
    kill_it();
    options.store[3] ^= 1;
    expect_corrupt("belongs to another store");
    options.store[3] ^= 1;
    options.shard++;
    expect_corrupt("belongs to another store, or to shard 3");
    options.shard--;
    void *block = frame_at(1, 0);
    struct cw_log_head *head = block;
    head->major = 2;
    head->hash = cw_log_head_hash(head);
    cw_err err = try_open();
    cr_assert(eq(int, err, CW_ERR_UNSUPPORTED));
    cr_assert(strstr(fault.text, "format 2.0") != NULL, "%s", fault.text);
    wal = NULL;
}

Test(log_recover, refuses_records_that_are_none)
{
    open_log();
    append_all(3, 100);
    kill_it();
    refuse = true;
    expect_corrupt("LSN 1: the frame is whole, but");
    refuse = false;
}

Test(log_recover, changes_nothing_when_it_only_reads)
{
    open_log();
    append_all(20, 100);
    kill_it();
    cw_fault_disk_put(disk, "spare-9.new", "", 0);
    cw_fault_disk_put(disk, "log-backup", "not ours", 8);
    uint64_t digest = cw_fault_disk_digest(disk);
    uint64_t operations = cw_fault_disk_count(disk);
    struct cw_fault_plan plan = {.error = EIO,
                                 .kinds = ~(1u << CW_DISK_OPEN | 1u << CW_DISK_READ |
                                            1u << CW_DISK_CLOSE)};
    cw_fault_disk_plan(disk, &plan);
    options.read_only = true;
    open_log();
    cr_assert(eq(u32, applied, 20));
    cr_assert(not(cw_log_poll(wal)));
    cw_log_seal(wal, 1);
    close_log(true);
    cr_assert(eq(u64, cw_fault_disk_digest(disk), digest));
    cr_assert(gt(u64, cw_fault_disk_count(disk), operations));
    cw_fault_disk_plan(disk, &(struct cw_fault_plan){.error = 0});
    options.read_only = false;
    open_log();
    cr_assert(eq(u32, count_names("spare-9"), 0), "what was never finished goes");
    cr_assert(eq(u32, count_names("log-backup"), 1), "what is not ours stays");
}

/* Where there are several logs, all are judged before the first is written to. */
Test(log_recover, changes_nothing_before_it_begins)
{
    open_log();
    append_all(20, 100);
    kill_it();
    open_log(); /* an empty segment is left */
    kill_it();
    cw_fault_disk_put(disk, "spare-9.new", "", 0);
    options.disk = cw_fault_disk_port(disk);
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t digest = cw_fault_disk_digest(disk);
        applied = 0;
        cr_assert(eq(int, cw_log_read(&wal, &options, apply, NULL, &found, &fault), CW_ERR_OK));
        cr_assert(eq(u32, applied, 20));
        if (i == 0) {
            close_log(false);
        }
        cr_assert(eq(u64, cw_fault_disk_digest(disk), digest));
    }
    cr_assert(eq(int, cw_log_begin(wal, &fault), CW_ERR_OK));
    cr_assert(eq(u32, count_names("spare-9.new"), 0));
    append_all(1, 100);
    close_log(true);
    open_log();
    cr_assert(eq(u32, applied, 21));
}

/* Started again and again on a disk that is full, it uses up what was written, not a segment each
   time: the reserve would be gone after the first. */
Test(log_recover, starts_many_times_on_a_full_disk)
{
    open_log();
    append_all(20, 5000);
    cw_fault_disk_space(disk, cw_fault_disk_used(disk));
    uint32_t starts = 0;
    while (starts < 100 && (starts == 0 || try_open() == CW_ERR_OK)) {
        cr_assert(eq(u32, applied, starts == 0 ? 0 : 20 + starts));
        append(100);
        settle();
        kill_it();
        starts++;
    }
    cr_assert(gt(u32, starts, 12), "%u", starts);
    cr_assert(eq(int, fault.code, CW_ERR_IO));
    cr_assert(eq(int, fault.sys_errno, ENOSPC));
    cw_fault_disk_space(disk, 0);
    open_log();
    cr_assert(eq(u32, applied, 20 + starts), "nothing is lost");
}

/* What is cut off is no frame: at whatever operation the power fails. */
Test(log_recover, a_crash_while_it_makes_room_loses_nothing)
{
    open_log();
    append_all(20, 5000);
    for (uint32_t i = 0; i < 2; i++) { /* the reserve */
        kill_it();
        cw_fault_disk_space(disk, cw_fault_disk_used(disk));
        open_log();
        append(100);
    }
    kill_it();
    struct cw_fault_disk *full = cw_fault_disk_kill(disk);
    uint32_t all = 0;
    for (uint64_t at = 1; at < 60; at++) {
        struct cw_fault_plan plan = {.error = EIO, .at = at + cw_fault_disk_count(disk)};
        cw_fault_disk_plan(disk, &plan);
        all += try_open() == CW_ERR_OK;
        if (wal != NULL) {
            close_log(false);
        }
        struct cw_fault_disk *crashed = cw_fault_disk_crash(disk, at);
        cw_fault_disk_free(disk);
        disk = crashed;
        open_log();
        cr_assert(eq(u32, applied, 22), "after %lu operations", (unsigned long)at);
        close_log(false);
        cw_fault_disk_free(disk);
        disk = cw_fault_disk_kill(full);
    }
    cr_assert(gt(u32, all, 0));
    cr_assert(lt(u32, all, 50));
    cw_fault_disk_free(full);
}

Test(log_recover, needs_its_segments_when_a_checkpoint_says_so)
{
    options.since = 5;
    options.until = 9;
    expect_corrupt("there are no segments, but a checkpoint needs some");
    options.until = 0; /* a checkpoint that was brought from elsewhere, without a log */
    open_log();
    cr_assert(eq(u64, append(9), 6));
    kill_it();
    options.until = 6;
    open_log();
    cr_assert(eq(u64, found.last_lsn, 6));
    cr_assert(eq(u32, applied, 1));
}

/* ---- a disk that lies ---- */

Test(log_recover, finds_lost_and_misdirected_writes)
{
    uint32_t refused = 0;
    open_log();
    append_all(3, 100);
    for (uint64_t seed = 0; seed < 20; seed++) {
        cw_fault_disk_lie(disk, seed % 2 == 0 ? CW_FAULT_LOST : CW_FAULT_MISDIRECTED,
                          cw_fault_disk_count(disk));
        append(100);
        append(100);
        struct cw_fault_disk *kept = disk;
        struct cw_log *kept_log = wal;
        disk = cw_fault_disk_crash(disk, seed);
        expect_corrupt("segment log-");
        refused++;
        cw_fault_disk_free(disk);
        disk = kept;
        wal = kept_log;
        close_log(false);
        cw_fault_disk_free(disk);
        disk = cw_fault_disk_new(&(struct cw_fault_disk_options){.seed = seed});
        open_log();
        append_all((uint32_t)seed % 12 + 1, 100);
    }
    cr_assert(eq(u32, refused, 20));
}

/* ---- planted bugs are found by what is above ---- */

Test(log_recover, rules_that_are_left_out_are_missed)
{
    open_log();
    append_all(6, 100);
    kill_it();
    ((uint8_t *)frame_at(1, 3))[70] ^= 1;
    expect_corrupt("LSN 3");
    cw_log_bugs.no_scan = true; /* frames 3 to 6 would be gone without a word */
    open_log();
    cr_assert(eq(u64, found.last_lsn, 2));
    cw_log_bugs.no_scan = false;
}

Test(log_recover, another_history_passes_without_the_chain)
{
    mix_histories();
    cw_log_bugs.no_chain = true;
    open_log();
    cr_assert(eq(u64, found.last_lsn, 30));
    cw_log_bugs.no_chain = false;
}

/* ---- damage before a checkpoint ---- */

static void flip(uint64_t seq, uint32_t block)
{
    ((uint8_t *)frame_at(seq, block))[200] ^= 1;
}

Test(log_recover, passes_over_damage_that_a_checkpoint_stands_for)
{
    open_log();
    append_all(40, 5000); /* 7 to a segment, two blocks each; 15 to 21 in segment 3 */
    kill_it();
    options.since = 20;
    options.until = 22;
    flip(3, 3); /* 16 */
    flip(3, 7); /* 18 */
    flip(3, 9); /* 19 */
    open_log();
    cr_assert(eq(u64, found.passed_lsn, 16));
    cr_assert(eq(u32, applied, 20));
    cr_assert(eq(u64, applied_lsn[0], 21));
    cr_assert(eq(u64, found.last_lsn, 40));
    close_log(true);
    options.since = 17; /* the checkpoint before the newest does not reach so far */
    options.until = 0;
    expect_corrupt("LSN 18: ");
}

Test(log_recover, refuses_damage_to_the_last_frame_that_a_checkpoint_stands_for)
{
    open_log();
    append_all(40, 5000);
    kill_it();
    options.since = 20;
    flip(3, 11); /* 20 */
    expect_corrupt("LSN 20: ");
}

/* Its own place stays empty; without this it would be the end, and 22 to 24 be lost. */
Test(log_recover, refuses_an_end_where_a_later_frame_stands_elsewhere)
{
    open_log();
    append_all(5, 100); /* a block each */
    kill_it();
    options.since = 4;
    memcpy(frame_at(1, 2), frame_at(1, 5), CW_DISK_BLOCK); /* 5 went where 2 was */
    memset(frame_at(1, 5), 0, CW_DISK_BLOCK);
    expect_corrupt("stands elsewhere");
}

/* With durability `os` a loss of power may take a frame from the middle; the start cuts there, and
   what stands behind is another history. It must not come back. */
Test(log_recover, passes_over_nothing_into_what_a_start_had_cut_off)
{
    options.os = true;
    open_log();
    append_all(14, 100);
    kill_it();
    memset(frame_at(1, 10), 0, CW_DISK_BLOCK);
    open_log();
    cr_assert(eq(u64, found.last_lsn, 9));
    append_all(6, 100); /* 10 to 15 once more */
    kill_it();
    options.since = options.until = 12;
    cr_assert(cw_fault_disk_remove(disk, "log-0000000000000002"));
    expect_corrupt("LSN 10: the log ends before a frame that a checkpoint needs");
}

/* What went elsewhere is given up: it is gone on from there, and once. */
Test(log_recover, goes_on_after_a_cut_though_a_later_frame_stands_elsewhere)
{
    open_log();
    append_all(7, 100);
    kill_it();
    options.since = 4;
    memcpy(frame_at(1, 2), frame_at(1, 6), CW_DISK_BLOCK); /* 6 went where 2 was */
    memset(frame_at(1, 6), 0, CW_DISK_BLOCK);
    expect_corrupt("LSN 6: ");
    cr_assert(found.damage.may_be_cut);
    uint64_t size = 0;
    uint64_t offset = found.damage.offset;
    char *kept = malloc(offset);
    memcpy(kept, segment_bytes(1, &size), offset);
    cw_fault_disk_put(disk, "log-0000000000000001", kept, offset);
    free(kept);
    for (uint32_t i = 0; i < 2; i++) {
        open_log();
        cr_assert(eq(u64, found.last_lsn, 5));
        kill_it();
    }
}

/* What is cut behind the last frame on a full disk is no frame. */
Test(log_recover, a_full_disk_takes_nothing_of_a_log_that_was_passed_over)
{
    open_log();
    append_all(5, 100);
    kill_it();
    flip(1, 2);
    options.since = 3;
    for (uint32_t i = 0; count_names("spare-") > 0; i++) {
        char name[CW_DISK_NAME_BYTES];
        cw_log_spare_name(name, i, true);
        (void)cw_fault_disk_remove(disk, name);
    }
    cw_fault_disk_space(disk, cw_fault_disk_used(disk));
    open_log();
    cr_assert(eq(u32, applied, 2));
    kill_it();
    open_log();
    cr_assert(eq(u32, applied, 2));
    cr_assert(eq(u64, found.last_lsn, 5));
}

/* A file made for it, which nothing else is wrong with: whoever looks at all that says it is a
   frame would hash half of the square of its size. */
Test(log_recover, is_not_kept_busy_by_what_looks_like_frames)
{
    open_log();
    append_all(1, 100);
    kill_it();
    uint64_t size = 0;
    const struct cw_log_frame first = *frame_at(1, 1);

    enum {
        BLOCKS = 4096
    };

    char *made = calloc(BLOCKS, CW_DISK_BLOCK);
    memcpy(made, segment_bytes(1, &size), 2 * CW_DISK_BLOCK);
    for (uint32_t i = 2; i < BLOCKS; i++) {
        struct cw_log_frame *frame = (void *)(made + (size_t)i * CW_DISK_BLOCK);
        *frame = (struct cw_log_frame){.magic = CW_LOG_FRAME_MAGIC,
                                       .len = (BLOCKS - i) * CW_DISK_BLOCK,
                                       .salt = first.salt,
                                       .lsn = 4000,
                                       .durable_lsn = 3999};
    }
    char name[CW_DISK_NAME_BYTES];
    cw_log_name(name, 1);
    cw_fault_disk_put(disk, name, made, (uint64_t)BLOCKS * CW_DISK_BLOCK);
    free(made);
    expect_corrupt("LSN 2: ");
}
