/* What the tests of checkpoints share: a table that is written or read, and the store it is of. */
#ifndef CW_TESTS_CHECKPOINT_TABLE_H
#define CW_TESTS_CHECKPOINT_TABLE_H

#include "core/table.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const uint8_t store[16] = "a store of tests";
static struct cw_fault fault;

static inline struct cw_table *open_table(void)
{
    struct cw_table *table;
    struct cw_table_options options = {.name = "test",
                                       .rows_max = 10000,
                                       .bytes_max = 64 << 20,
                                       .hash = {.k0 = 1, .k1 = 2},
                                       .value_bytes_hint = 64};
    cr_assert(eq(int, cw_table_open(&table, &options, &fault), CW_ERR_OK));
    return table;
}

#endif
