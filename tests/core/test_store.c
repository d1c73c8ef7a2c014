#include "core/store.h"
#include "tests/core/log_fixture.h"

/* A store over the fixture's disk, with one table; the clock is the test's. */
static struct cw_table *table;
static struct cw_table *tables[1];
static struct cw_journal *journal;
static struct cw_store *store;
static int64_t now;
static uint32_t staged, released;

static void nothing(void *self)
{
    (void)self;
}

static void count(void *self)
{
    (*(uint32_t *)self)++;
}

static void on_staged(void *self)
{
    (void)self;
    count(&staged);
}

static void on_released(void *self)
{
    (void)self;
    count(&released);
}

static void on_fault(void *self, const char *why)
{
    (void)self;
    cr_fatal("%s", why);
}

static int64_t now_ms(void *self)
{
    (void)self;
    return now;
}

static uint64_t checkpoint_bytes; /* 0: the usual */

static bool record(void *with, struct cw_view records)
{
    (void)with;
    (void)records;
    return true;
}

static bool frame(void *with, uint64_t lsn, int64_t logical_ms, struct cw_view records)
{
    (void)lsn;
    (void)logical_ms;
    return record(with, records);
}

/* As a start does: the newest checkpoint, then the log after it. Rows are not put back. */
static void open_store(void)
{
    struct cw_checkpoint *checkpoint;
    struct cw_checkpoint_found begun;
    const struct cw_checkpoint_apply to = {.apply = record};
    struct cw_table_options of_table = {
        .name = "test", .rows_max = 10000, .bytes_max = 64 << 20, .value_bytes_hint = 64};
    struct cw_disk port = cw_fault_disk_port(disk);
    cw_err err = cw_checkpoint_read(&port, options.store, 3, false, &to, &begun, &fault);
    cr_assert(eq(int, err, CW_ERR_OK), "%s", fault.text);
    options.disk = port;
    options.random = ++opened * 77;
    options.since = begun.any ? begun.begin : 0;
    options.until = begun.any ? begun.end : 0;
    err = cw_log_recover(&wal, &options, frame, NULL, &found, &fault);
    cr_assert(eq(int, err, CW_ERR_OK), "%s", fault.text);
    cr_assert(eq(int, cw_table_open(&table, &of_table, &fault), CW_ERR_OK));
    cr_assert(eq(int, cw_journal_open(&journal, &fault), CW_ERR_OK));
    cw_table_journal(table, journal, 0);
    tables[0] = table;
    struct cw_checkpoint_options of_checkpoint = {
        .disk = port, .shard = 3, .tables = tables, .table_count = 1, .found = &begun};
    memcpy(of_checkpoint.store, options.store, sizeof of_checkpoint.store);
    cr_assert(eq(int, cw_checkpoint_open(&checkpoint, &of_checkpoint, &fault), CW_ERR_OK));
    struct cw_store_options of_store = {.journal = journal,
                                        .log = wal,
                                        .checkpoint = checkpoint,
                                        .checkpoint_bytes = checkpoint_bytes,
                                        .before = nothing,
                                        .staged = on_staged,
                                        .released = on_released,
                                        .on_fault = on_fault,
                                        .now_ms = now_ms};
    cr_assert(eq(int, cw_store_open(&store, &of_store, &fault), CW_ERR_OK));
    staged = released = 0;
}

static void close_tables(bool clean)
{
    (void)cw_store_close(store, clean);
    wal = NULL; /* the store closed it */
    cw_table_close(table);
    cw_journal_close(journal);
}

static void new_store(void)
{
    init();
    now = 1000000;
    open_store();
}

static void close_store(void)
{
    close_tables(false);
    fini();
}

/* The power fails; the next start finds what was durable, and of the rest this draw. */
static void lose_power(uint64_t seed)
{
    struct cw_fault_disk *image = cw_fault_disk_crash(disk, seed);
    cw_fault_disk_off(disk);
    close_tables(false);
    cw_fault_disk_free(disk);
    disk = image;
}

TestSuite(store, .init = new_store, .fini = close_store);

/* As an idle core. */
static void turns(uint32_t most)
{
    struct cw_commit commit = cw_store_commit(store);
    for (uint32_t i = 0; i < most; i++) {
        (void)commit.turn(commit.self);
    }
}

static void put(uint64_t key)
{
    bool added;
    cw_row row =
        cw_table_put(table, cw_table_hash(table, &key, sizeof key), &key, sizeof key, 64, &added);
    cr_assert(row != CW_ROW_NONE && added);
}

/* A block of the log each. */
static void commit_rows(uint64_t from, uint64_t to)
{
    struct cw_commit commit = cw_store_commit(store);
    for (uint64_t key = from; key < to; key++) {
        put(key);
        uint64_t number = commit.number(commit.self);
        for (uint32_t i = 0; i < 10000 && commit.durable(commit.self) < number; i++) {
            turns(1);
        }
        cr_assert(commit.durable(commit.self) >= number, "row %lu", (unsigned long)key);
    }
}

Test(store, releases_what_was_staged_once_it_is_durable)
{
    struct cw_commit commit = cw_store_commit(store);
    turns(100);
    cr_assert(eq(u32, staged, 0), "nothing changed");
    put(1);
    uint64_t number = commit.number(commit.self);
    while (staged == 0) {
        cr_assert(eq(u32, released, 0));
        turns(1);
    }
    for (uint32_t i = 0; i < 100 && released == 0; i++) {
        turns(1);
    }
    cr_assert(eq(u32, released, 1));
    cr_assert(commit.durable(commit.self) >= number);
}

Test(store, sees_space_on_a_full_disk_within_seconds)
{
    turns(200); /* spares are made */
    cw_fault_disk_space(disk, cw_fault_disk_used(disk));
    uint64_t key = 0;
    for (; key < 200 && !cw_store_full(store); key++) {
        commit_rows(key, key + 1);
    }
    cr_assert(cw_store_full(store));
    now += 1999;
    turns(200);
    now += 1;
    turns(200); /* tried again, in vain */
    cr_assert(cw_store_full(store));
    cw_fault_disk_space(disk, 0);
    now += 1999;
    turns(200);
    cr_assert(cw_store_full(store), "not at every turn");
    now += 1;
    turns(200);
    cr_assert(not(cw_store_full(store)), "after two seconds, however seldom it is idle");
}

Test(store, sees_space_though_the_clock_went_back)
{
    turns(200);
    cw_fault_disk_space(disk, cw_fault_disk_used(disk));
    uint64_t key = 0;
    for (; key < 200 && !cw_store_full(store); key++) {
        commit_rows(key, key + 1);
    }
    turns(200);
    cw_fault_disk_space(disk, 0);
    now -= 500000;
    turns(200);
    cr_assert(not(cw_store_full(store)));
}

/* Until an erasure is through, at most `most` turns. */
static bool erases(uint32_t most)
{
    for (uint32_t i = 0; i < most && cw_store_erased(store) == 0; i++) {
        turns(1);
    }
    return cw_store_erased(store) == 1;
}

Test(store, an_erasure_is_not_through_while_an_old_checkpoint_cannot_be_removed)
{
    struct cw_store_stats stats;
    commit_rows(0, 10);
    for (uint32_t i = 1; i <= 2; i++) {
        cw_store_checkpoint(store);
        for (uint32_t j = 0; j < 10000 && cw_store_checkpoints(store) < i; j++) {
            turns(1);
        }
        commit_rows(10 * i, 10 * i + 10);
    }
    cr_assert(eq(u64, cw_store_checkpoints(store), 2));
    struct cw_fault_plan refuse = {.at = cw_fault_disk_count(disk),
                                   .kinds = 1u << CW_DISK_REMOVE,
                                   .error = EPERM,
                                   .names = "checkpoint-"};
    cw_fault_disk_plan(disk, &refuse);
    cw_store_erase(store);
    cr_assert(not(erases(20000)), "the rounds are made, and nothing is gone");
    cw_store_stats(store, &stats);
    cr_assert(eq(u64, stats.checkpoint.made, 4));
    cr_assert(eq(u64, stats.checkpoint.stuck, 2));
    now += 10000;
    cr_assert(not(erases(20000)));
    cw_store_stats(store, &stats);
    cr_assert(eq(u64, stats.checkpoint.made, 5), "one more, not one after the other");
    cw_fault_disk_plan(disk, &(struct cw_fault_plan){.error = 0});
    now += 10000;
    cr_assert(erases(20000), "it is as soon as they can be");
    cw_store_stats(store, &stats);
    cr_assert(eq(u64, stats.checkpoint.stuck, 0));
}

static void checkpoint_now(void)
{
    uint64_t before = cw_store_checkpoints(store);
    cw_store_checkpoint(store);
    for (uint32_t i = 0; i < 10000 && cw_store_checkpoints(store) == before; i++) {
        turns(1);
    }
    cr_assert(eq(u64, cw_store_checkpoints(store), before + 1));
}

/* Stops in order and starts again. */
static void stop_and_start(void)
{
    for (uint32_t i = 0; i < 10000 && !cw_store_finish(store, false); i++) {
    }
    close_tables(true);
    open_store();
}

Test(store, checkpoints_come_in_time_however_often_it_is_started)
{
    struct cw_store_stats stats;
    uint64_t made = 0;
    close_tables(true);
    checkpoint_bytes = 20 * SEGMENT_BYTES;
    open_store();
    for (uint64_t life = 0; life < 40; life++) {
        commit_rows(50 * life, 50 * life + 50); /* less than four segments */
        turns(500);
        cw_store_stats(store, &stats);
        made += stats.checkpoint.made;
        cr_assert(le(u64, stats.log.segments_kept, 60), "life %lu", (unsigned long)life);
        stop_and_start();
    }
    cr_assert(made >= 6 && made <= 10, "%lu", (unsigned long)made);
}

/* Each start takes a segment, whatever it comes to. */
Test(store, an_engine_that_is_killed_again_and_again_makes_checkpoints)
{
    struct cw_store_stats stats;
    close_tables(true);
    checkpoint_bytes = 10 * SEGMENT_BYTES;
    open_store();
    for (uint64_t life = 0; life < 60; life++) {
        commit_rows(life, life + 1);
        turns(500);
        cw_store_stats(store, &stats);
        cr_assert(le(u64, stats.log.segments_kept, 35), "life %lu", (unsigned long)life);
        lose_power(life);
        open_store();
    }
}

/* Many segments are released at once; to remove one may take a file system a tenth of a second. */
Test(store, a_commit_that_needs_a_segment_waits_for_no_removal)
{
    commit_rows(0, 600);
    checkpoint_now();
    commit_rows(600, 601);
    checkpoint_now();
    cr_assert(ge(u32, count_names("log-"), 38), "they are released, and nothing is removed yet");
    for (uint64_t key = 601; key < 606; key++) { /* each begins a segment; two are ready */
        uint32_t before = count_names("log-");
        cw_log_turn_over(wal);
        commit_rows(key, key + 1);
        cr_assert(ge(u32, count_names("log-") + 2, before), "row %lu", (unsigned long)key);
    }
    turns(20000);
    cr_assert(le(u32, count_names("log-"), 8), "they go all the same");
}

/* With durability `os` frames are not flushed; what a checkpoint needs has to be, or a start after
   a loss of power finds a log that ends before it. */
Test(store, with_os_a_checkpoint_is_no_more_durable_than_its_frames)
{
    close_tables(true);
    options.os = true;
    open_store();
    uint64_t key = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        commit_rows(key, key + 5 + seed % 20);
        key += 5 + seed % 20;
        checkpoint_now();
        commit_rows(key, key + seed % 3);
        key += seed % 3;
        lose_power(seed);
        open_store(); /* says why it cannot */
        cr_assert(ge(u64, cw_log_last(wal), options.until));
    }
}

/* ... nor may it wait for ever where every poll has a frame under way. */
Test(store, with_os_a_checkpoint_is_made_under_load)
{
    close_tables(true);
    options.os = true;
    open_store();
    cw_store_checkpoint(store);
    uint64_t key = 0;
    for (; key < 5000 && cw_store_checkpoints(store) == 0; key++) {
        put(key);
        turns(1);
    }
    cr_assert(eq(u64, cw_store_checkpoints(store), 1), "after %lu rows", (unsigned long)key);
}
