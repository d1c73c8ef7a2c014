#include "core/keep.h"

#include "core/table_priv.h"
#include "core/wheel_priv.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    ROWS = 30000,
    TIMERS = 20000,
    MARK = 77
};

static struct cw_fault fault;
static char directory[64];
static char folder[96];

static void make_directory(void)
{
    (void)snprintf(directory, sizeof directory, "/dev/shm/cartwheel-test-XXXXXX");
    if (cw_keep_kind("/dev/shm") == NULL) {
        cr_skip_test("no tmpfs");
    }
    cr_assert(ne(ptr, mkdtemp(directory), NULL));
    (void)snprintf(folder, sizeof folder, "%s/core-000", directory);
}

static void remove_directory(void)
{
    cr_assert(eq(int, cw_keep_remove(folder, &fault), CW_ERR_OK), "%s", fault.text);
    cr_assert(eq(int, rmdir(directory), 0));
}

TestSuite(keep, .init = make_directory, .fini = remove_directory);

static struct cw_keep *open_memory(uint64_t mark)
{
    struct cw_keep *memory;
    cr_assert(eq(int, cw_keep_open(&memory, folder, mark, &fault), CW_ERR_OK), "%s", fault.text);
    cr_assert(eq(int, cw_keep_adopted(memory), mark != 0));
    return memory;
}

static void refuse(uint64_t mark)
{
    struct cw_keep *memory;
    cr_assert(eq(int, cw_keep_open(&memory, folder, mark, &fault), CW_ERR_NOT_FOUND));
}

Test(keep, what_was_left_is_found_by_its_mark_alone)
{
    struct cw_memory area;
    refuse(MARK); /* no folder */
    struct cw_keep *memory = open_memory(0);
    cr_assert(eq(int, cw_keep_map(memory, "a", "part", 5000, &area, &fault), CW_ERR_OK));
    cr_assert(ge(u64, area.bytes, 5000));
    memcpy(area.base, "left", 5);
    cw_memory_release(&area);
    cw_keep_close(memory);
    refuse(MARK); /* it ended without a mark */

    memory = open_memory(0);
    cr_assert(eq(int, cw_keep_map(memory, "a", "part", 5000, &area, &fault), CW_ERR_OK));
    cr_assert(eq(int, *(uint8_t *)area.base, 0), "new memory is empty");
    memcpy(area.base, "left", 5);
    cw_memory_release(&area);
    cw_keep_mark(memory, MARK);
    cw_keep_close(memory);
    refuse(MARK + 1);

    memory = open_memory(MARK);
    cr_assert(eq(int, cw_keep_map(memory, "a", "other", 5000, &area, &fault), CW_ERR_NOT_FOUND));
    cr_assert(eq(int, cw_keep_map(memory, "a", "part", 9000, &area, &fault), CW_ERR_NOT_FOUND));
    cr_assert(eq(int, cw_keep_map(memory, "a", "part", 5000, &area, &fault), CW_ERR_OK));
    cr_assert(eq(str, (char *)area.base, "left"));
    cw_keep_mark(memory, 0);
    cw_memory_release(&area);
    cw_keep_close(memory);
    refuse(MARK); /* it was taken over, and ended without a mark */
}

Test(keep, other_file_systems_are_refused)
{
    struct cw_keep *memory;
    cr_assert(eq(ptr, (void *)cw_keep_kind("/proc"), NULL));
    cr_assert(eq(ptr, (void *)cw_keep_kind("/no/such"), NULL));
    cr_assert(eq(int, cw_keep_open(&memory, "/proc/sys", 0, &fault), CW_ERR_INVALID));
}

Test(keep, maps_of_the_process_before_keep_what_they_have)
{
    struct cw_memory area;
    struct cw_keep *memory = open_memory(0);
    cr_assert(eq(int, cw_keep_map(memory, "a", "part", 4096, &area, &fault), CW_ERR_OK));
    cw_keep_close(open_memory(0));
    memcpy(area.base, "mine", 5); /* no SIGBUS: the name is gone, not the file */
    cr_assert(eq(str, (char *)area.base, "mine"));
    cw_memory_release(&area);
    cw_keep_close(memory);
}

static cw_err open_table(struct cw_table **table, struct cw_keep *memory, uint64_t bytes_max)
{
    struct cw_table_options options = {.name = "test",
                                       .memory = memory,
                                       .rows_max = 100000,
                                       .bytes_max = bytes_max,
                                       .hash = {.k0 = 11, .k1 = 22},
                                       .value_bytes_hint = 16};
    return cw_table_open(table, &options, &fault);
}

static cw_row put(struct cw_table *table, uint32_t number, bool *added)
{
    char key[32];
    uint32_t bytes = (uint32_t)snprintf(key, sizeof key, "key-%u", number);
    uint64_t hash = cw_table_hash(table, key, bytes);
    cw_row row = cw_table_put(table, hash, key, bytes, 8 + number % 50, added);
    cr_assert(ne(u64, row, CW_ROW_NONE));
    return row;
}

Test(keep, a_table_goes_on_in_it)
{
    struct cw_table *table;
    struct cw_keep *memory = open_memory(0);
    cr_assert(eq(int, open_table(&table, memory, 1u << 24), CW_ERR_OK), "%s", fault.text);
    bool added;
    for (uint32_t i = 0; i < ROWS; i++) {
        *(uint32_t *)cw_table_edit(table, put(table, i, &added)) = i;
    }
    for (uint32_t i = 0; i < ROWS; i += 7) {
        cw_table_remove(table, put(table, i, &added));
    }
    struct cw_table_stats before;
    cw_table_stats(table, &before);
    cw_table_seal(table);
    cw_table_close(table);
    cw_keep_mark(memory, MARK);
    cw_keep_close(memory);

    memory = open_memory(MARK);
    cr_assert(eq(int, open_table(&table, memory, 1u << 24), CW_ERR_OK), "%s", fault.text);
    cw_keep_mark(memory, 0);
    struct cw_table_stats after;
    cw_table_stats(table, &after);
    cr_assert(memcmp(&before, &after, sizeof before) == 0);
    cr_assert(cw_table_check(table));
    for (uint32_t i = 0; i < ROWS; i++) {
        cw_row row = put(table, i, &added);
        cr_assert(eq(int, added, i % 7 == 0));
        cr_assert(eq(u32, *(const uint32_t *)cw_table_value(table, row), added ? 0 : i));
    }
    for (uint32_t i = ROWS; i < 3 * ROWS; i++) { /* it splits as ever */
        (void)put(table, i, &added);
    }
    cr_assert(cw_table_check(table));
    cw_table_close(table);
    cw_keep_close(memory);
}

Test(keep, a_table_of_other_bounds_is_not_taken_over)
{
    struct cw_table *table;
    struct cw_keep *memory = open_memory(0);
    cr_assert(eq(int, open_table(&table, memory, 1u << 24), CW_ERR_OK));
    cw_table_seal(table);
    cw_table_close(table);
    cw_keep_mark(memory, MARK);
    cw_keep_close(memory);
    memory = open_memory(MARK);
    cr_assert(eq(int, open_table(&table, memory, 1u << 25), CW_ERR_NOT_FOUND));
    cw_keep_close(memory);
}

static struct cw_wheel *open_wheel(struct cw_keep *memory, int64_t start_ms)
{
    struct cw_wheel *wheel;
    struct cw_wheel_options options = {
        .start_ms = start_ms, .timers_max = TIMERS, .memory = memory};
    cr_assert(eq(int, cw_wheel_open(&wheel, &options, &fault), CW_ERR_OK), "%s", fault.text);
    return wheel;
}

Test(keep, a_wheel_goes_on_in_it)
{
    static struct cw_wheel_fired fired[TIMERS];
    struct cw_keep *memory = open_memory(0);
    struct cw_wheel *wheel = open_wheel(memory, 1000);
    cw_timer timers[TIMERS];
    int64_t tick;
    for (uint32_t i = 0; i < TIMERS; i++) {
        timers[i] = cw_wheel_add(wheel, 2000 + (int64_t)i * i % 9000000, i);
    }
    for (uint32_t i = 0; i < TIMERS; i += 3) {
        cw_wheel_cancel(wheel, timers[i]);
    }
    cw_wheel_set_work(wheel, 50); /* left in the middle of emptying a far slot */
    uint32_t seen = 0;
    for (uint32_t i = 0; i < 40; i++) {
        seen += cw_wheel_advance(wheel, 300000, fired, 64, &tick);
    }
    cw_wheel_set_work(wheel, CW_WHEEL_WORK_MAX);
    cr_assert(cw_wheel_check(wheel));
    int64_t present = cw_wheel_present(wheel);
    uint32_t left = cw_wheel_count(wheel);
    cw_wheel_close(wheel);
    cw_keep_mark(memory, MARK);
    cw_keep_close(memory);

    memory = open_memory(MARK);
    wheel = open_wheel(memory, 5);
    cr_assert(cw_wheel_check(wheel));
    cr_assert(eq(i64, cw_wheel_present(wheel), present));
    cr_assert(eq(u32, cw_wheel_count(wheel), left));
    int64_t last = INT64_MIN;
    while (cw_wheel_count(wheel) > 0) {
        uint32_t n = cw_wheel_advance(wheel, 10000000, fired, TIMERS, &tick);
        for (uint32_t i = 0; i < n; i++) {
            cr_assert(ne(u64, fired[i].cookie % 3, 0));
            cr_assert(ge(i64, fired[i].due_ms, last));
            last = fired[i].due_ms;
        }
        seen += n;
    }
    cr_assert(eq(u32, seen, TIMERS - (TIMERS + 2) / 3));
    cw_wheel_close(wheel);
    cw_keep_close(memory);
}
