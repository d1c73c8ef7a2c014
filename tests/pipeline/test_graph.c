#include "pipeline/graph.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

Test(graph, the_path_is_sound)
{
    cr_assert(cw_graph_check(cw_graph, CW_STAGE_COUNT, CW_FIELD_EVENT));
    for (uint32_t i = 0; i < CW_STAGE_COUNT; i++) {
        cr_assert(ne(ptr, (void *)cw_graph[i].name, NULL));
        cr_assert(cw_graph[i].run != NULL && cw_graph[i].look != NULL);
        cr_assert(eq(u32, cw_graph[i].fates >> CW_ITEM_FATE_COUNT, 0));
    }
    cr_assert(ne(u32, cw_graph[CW_STAGE_COUNT - 1].fates, 0), "the last stage ends every path");
}

Test(graph, every_fate_is_the_end_of_some_stage)
{
    uint32_t fates = 0;
    for (uint32_t i = 0; i < CW_STAGE_COUNT; i++) {
        fates |= cw_graph[i].fates;
    }
    cr_assert(eq(u32, fates, (1u << CW_ITEM_FATE_COUNT) - 1));
}

Test(graph, a_stage_that_reads_what_nobody_wrote_is_found)
{
    struct cw_stage rows[CW_STAGE_COUNT];
    cr_assert(not(cw_graph_check(cw_graph, CW_STAGE_COUNT, 0)), "without the event");
    for (uint32_t i = 0; i < CW_STAGE_COUNT; i++) {
        memcpy(rows, cw_graph, sizeof rows);
        rows[i].reads |= 1u << 20;
        cr_assert(not(cw_graph_check(rows, CW_STAGE_COUNT, CW_FIELD_EVENT)), "stage %u", i);
    }
    /* A later stage's field is not there yet. */
    for (uint32_t i = 0; i + 1 < CW_STAGE_COUNT; i++) {
        memcpy(rows, cw_graph, sizeof rows);
        rows[i].reads |= rows[i].writes | rows[i + 1].writes;
        cr_assert(not(cw_graph_check(rows, CW_STAGE_COUNT, CW_FIELD_EVENT)), "stage %u", i);
    }
}

Test(graph, a_field_that_two_stages_write_is_found)
{
    struct cw_stage rows[CW_STAGE_COUNT];
    for (uint32_t i = 1; i < CW_STAGE_COUNT; i++) {
        memcpy(rows, cw_graph, sizeof rows);
        rows[i].writes |= rows[i - 1].writes;
        cr_assert(not(cw_graph_check(rows, CW_STAGE_COUNT, CW_FIELD_EVENT)), "stage %u", i);
    }
    memcpy(rows, cw_graph, sizeof rows);
    rows[2].writes |= CW_FIELD_EVENT;
    cr_assert(not(cw_graph_check(rows, CW_STAGE_COUNT, CW_FIELD_EVENT)), "what was given");
}

Test(graph, stages_that_are_missing_or_out_of_order_are_found)
{
    struct cw_stage rows[CW_STAGE_COUNT];
    for (uint32_t i = 0; i < CW_STAGE_COUNT; i++) {
        if (cw_graph[i].writes == 0) {
            continue;
        }
        uint32_t count = 0;
        for (uint32_t j = 0; j < CW_STAGE_COUNT; j++) {
            if (j != i) {
                rows[count++] = cw_graph[j];
            }
        }
        cr_assert(not(cw_graph_check(rows, count, CW_FIELD_EVENT)), "without %s", cw_graph[i].name);
    }
    memcpy(rows, cw_graph, sizeof rows);
    rows[CW_STAGE_DEDUPLICATE] = cw_graph[CW_STAGE_STORE];
    rows[CW_STAGE_STORE] = cw_graph[CW_STAGE_DEDUPLICATE];
    cr_assert(not(cw_graph_check(rows, CW_STAGE_COUNT, CW_FIELD_EVENT)));
    cr_assert(cw_graph_check(rows, 0, 0));
}
