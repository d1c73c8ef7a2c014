/*
 * restart.*: a crash restart without the device: the checkpoint of a synthetic shop's state, read
 * and proven, its rows applied to a fresh pipeline, and these linked. The state is one core's, as
 * events made it, so customers, carts, candidates, dedup entries, scores, ids that were seen and
 * messages stand in it as they do in a live one.
 */
#include "bench/bench.h"
#include "bench/memory_disk.h"
#include "core/checkpoint.h"
#include "core/time.h"
#include "pipeline/decode.h"
#include "pipeline/persist.h"
#include "tools/cli.h"
#include "tools/gen.h"

#include <stdlib.h>

enum {
    CARTS = 100000,
    CARTS_TINY = 500,
    PARTITIONS = 256,
    SLICE_ROWS = 256,
    BATCH = 64,
    KIB = 1024
};

/* What a cart leaves in a checkpoint is less. */
static const uint64_t cart_bytes_max = 2560;

struct state {
    struct cw_assets assets;
    struct cw_programs *programs;
    struct cw_zones *zones;
    struct cw_decoder *decoder;
    struct cw_pipeline *pipeline; /* that lives while the state is made */
    struct cw_event events[BATCH];
    struct cw_text lines[BATCH];
    uint32_t count;
    int64_t clock;
    struct cw_memory_disk disk;
};

static void must(cw_err err, const struct cw_fault *fault)
{
    if (err != CW_ERR_OK) {
        (void)cw_failure(fault);
        abort();
    }
}

static void ignore_decision(void *self, const struct cw_decision *decision)
{
    (void)self;
    (void)decision;
}

static struct cw_pipeline *open_pipeline(const struct state *state)
{
    struct cw_fault fault;
    struct cw_pipeline *pipeline = NULL;
    struct cw_pipeline_options options = {.programs = state->programs,
                                          .zones = state->zones,
                                          .port = {.decide = ignore_decision},
                                          .partitions = PARTITIONS,
                                          .event_bytes_max = CW_EVENT_BYTES_MAX,
                                          .hash = {1, 2},
                                          .rows_max = UINT64_C(1) << 26,
                                          .bytes_max = UINT64_C(1) << 34};
    must(cw_pipeline_open(&pipeline, &options, &fault), &fault);
    return pipeline;
}

static void run_batch(struct state *state)
{
    const struct cw_event *list[BATCH];
    for (uint32_t i = 0; i < state->count; i++) {
        struct cw_event *event = &state->events[i];
        struct cw_text *line = &state->lines[i];
        cw_decode(state->decoder, (struct cw_view){line->data, (uint32_t)line->bytes}, event);
        state->clock = event->time > state->clock ? event->time : state->clock;
        event->clock = state->clock;
        list[i] = event;
    }
    cw_pipeline_run(state->pipeline, list, state->count);
    cw_decoder_reset(state->decoder);
    state->count = 0;
}

static void take_line(void *self, struct cw_view line)
{
    struct state *state = self;
    struct cw_text *to = &state->lines[state->count];
    cw_text_clear(to);
    cw_text_view(to, line);
    memset(cw_text_room(to, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    if (++state->count == BATCH) {
        run_batch(state);
    }
}

static void make_state(struct state *state, uint64_t carts)
{
    struct cw_fault fault;
    struct cw_decoder_options decoder = {.programs = state->programs,
                                         .zones = state->zones,
                                         .partitions = PARTITIONS,
                                         .event_bytes_max = CW_EVENT_BYTES_MAX};
    must(cw_decoder_open(&state->decoder, &decoder, &fault), &fault);
    state->pipeline = open_pipeline(state);
    struct cw_gen_options gen = {.carts = carts,
                                 .seed = 1,
                                 .start_ms = INT64_C(1767225600000), /* 2026-01-01 */
                                 .program = state->programs->list[0].id,
                                 .products = 500};
    cw_gen_run(&gen, take_line, state);
    run_batch(state);
    cw_pipeline_note(state->pipeline);
    struct cw_table *tables[CW_TABLE_NUMBER_COUNT];
    for (uint32_t i = 0; i < CW_TABLE_NUMBER_COUNT; i++) {
        tables[i] = cw_pipeline_table(state->pipeline, (enum cw_table_number)i);
    }
    cw_memory_disk_open(&state->disk, carts * cart_bytes_max + (8u << 20));
    cw_memory_disk_checkpoint(&state->disk, tables, CW_COUNTOF(tables), SLICE_ROWS);
    cw_pipeline_close(state->pipeline);
    cw_decoder_close(state->decoder);
    for (uint32_t i = 0; i < BATCH; i++) {
        cw_text_deinit(&state->lines[i]);
    }
}

static void *setup(bool tiny)
{
    struct cw_fault fault;
    struct state *state = calloc(1, sizeof *state);
    CW_ASSERT(state != NULL);
    must(cw_assets_open(&state->assets, NULL, NULL, &fault), &fault);
    must(cw_zones_open(&state->zones, "/usr/share/zoneinfo", &fault), &fault);
    struct cw_view yaml = cw_shipped("programs/abandoned-cart-recovery.yaml");
    struct cw_program_file file = {.path = "abandoned-cart-recovery.yaml", .yaml = yaml};
    struct cw_program_needs needs = cw_assets_needs(&state->assets);
    struct cw_problems problems = {0};
    must(cw_programs_load(&state->programs, &file, 1, &needs, &problems, &fault), &fault);
    cw_problems_deinit(&problems);
    make_state(state, tiny ? CARTS_TINY : CARTS);
    return state;
}

struct load {
    struct cw_pipeline *pipeline;
    uint64_t rows;
};

static void expect(void *with, const uint64_t *rows, uint32_t tables)
{
    const struct load *load = with;
    cw_pipeline_expect(load->pipeline, rows, tables);
}

static bool load_singly(void *with, struct cw_view records)
{
    struct load *load = with;
    struct cw_record record;
    struct cw_fault fault;
    while (cw_record_next(&records, &record) == CW_RECORD_READ) {
        must(cw_pipeline_load(load->pipeline, &record, &fault), &fault);
        load->rows++;
    }
    return true;
}

static bool load_batches(void *with, struct cw_view records)
{
    struct load *load = with;
    struct cw_record batch[CW_LOAD_BATCH];
    struct cw_fault fault;
    uint32_t count;
    do {
        count = 0;
        while (count < CW_LOAD_BATCH && cw_record_next(&records, &batch[count]) == CW_RECORD_READ) {
            count++;
        }
        must(cw_pipeline_load_batch(load->pipeline, batch, count, &fault), &fault);
        load->rows += count;
    } while (count == CW_LOAD_BATCH);
    return true;
}

/* Nothing is damaged here. */
static bool forget(void *with)
{
    (void)with;
    return false;
}

/* What a start does; the old pipeline's end is in it too, which no restart has to wait for. */
static uint64_t restart(struct state *state, bool (*apply)(void *with, struct cw_view records),
                        bool relink)
{
    const uint8_t store[16] = {0};
    struct load load = {.pipeline = open_pipeline(state)};
    struct cw_disk disk = cw_memory_disk_port(&state->disk);
    struct cw_checkpoint_found found;
    struct cw_fault fault;
    const struct cw_checkpoint_apply to = {
        .apply = apply, .expect = expect, .forget = forget, .with = &load};
    must(cw_checkpoint_read(&disk, store, 0, true, &to, &found, &fault), &fault);
    CW_ASSERT(found.rows == load.rows);
    if (relink) {
        const struct cw_relink how = {.cores_before = 1, .cores = 1};
        must(cw_pipeline_relink(load.pipeline, &how, &fault), &fault);
    }
    cw_pipeline_close(load.pipeline);
    return load.rows;
}

static uint64_t run_load(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    uint64_t rows = restart(state, load_batches, false);
    *units = state->disk.bytes / KIB;
    return rows;
}

static uint64_t run_singly(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    uint64_t rows = restart(state, load_singly, false);
    *units = state->disk.bytes / KIB;
    return rows;
}

static uint64_t run_whole(void *opaque, uint64_t *units)
{
    struct state *state = opaque;
    uint64_t rows = restart(state, load_batches, true);
    *units = state->disk.bytes / KIB;
    return rows;
}

static uint64_t run_rows(void *opaque, uint64_t *units)
{
    *units = restart(opaque, load_batches, true);
    return *units;
}

static void teardown(void *opaque)
{
    struct state *state = opaque;
    cw_memory_disk_close(&state->disk);
    cw_programs_close(state->programs);
    cw_zones_close(state->zones);
    cw_assets_close(&state->assets);
    free(state);
}

const struct cw_bench_case cw_bench_restart[] = {
    {"restart.load", "KiB", 0, NULL, setup, run_load, teardown, KIB},
    {"restart.load_singly", "KiB", 0, NULL, setup, run_singly, teardown, KIB},
    {"restart.whole", "KiB", 0, NULL, setup, run_whole, teardown, KIB},
    {"restart.rows", "row", 0, NULL, setup, run_rows, teardown, 0},
    {0},
};
