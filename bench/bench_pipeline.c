/* bench_pipeline: an event's whole way on one core, in one process, and its parts. */
#include "bench/bench.h"
#include "core/json.h"
#include "core/shard.h"
#include "core/text.h"
#include "core/time.h"
#include "pipeline/decode.h"
#include "pipeline/pipeline.h"
#include "pipeline/service.h"
#include "tools/cli.h"
#include "tools/gen.h"

#include <stdlib.h>

enum {
    EVENTS = 400000,
    EVENTS_TINY = 2000,
    BATCH = 64
};

struct state {
    struct cw_assets assets;
    struct cw_programs *programs;
    struct cw_zones *zones;
    struct cw_text stream;
    size_t *line_ends;
    uint64_t lines;
    struct cw_decoder *decoder;
    struct cw_arena arena;
    const struct cw_event **events; /* decoded, for the bench of what comes after */
    struct cw_text out;
    uint64_t decisions, hash;
};

static void add_line(void *self, struct cw_view line)
{
    struct state *state = self;
    cw_text_view(&state->stream, line);
    if (line.bytes == 0 || line.data[line.bytes - 1] != '\n') {
        cw_text_char(&state->stream, '\n');
    }
    state->line_ends[state->lines++] = state->stream.bytes - 1;
}

static void must(cw_err err, const struct cw_fault *fault)
{
    if (err != CW_ERR_OK) {
        (void)cw_failure(fault);
        abort();
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
    uint64_t events = tiny ? EVENTS_TINY : EVENTS;
    state->line_ends = calloc(events, sizeof *state->line_ends);
    CW_ASSERT(state->line_ends != NULL);
    struct cw_gen_options gen = {.events = events,
                                 .seed = 1,
                                 .start_ms = INT64_C(1767225600000), /* 2026-01-01 */
                                 .program = state->programs->list[0].id,
                                 .products = 500,
                                 .late_percent = 1,
                                 .duplicate_percent = 1};
    cw_gen_run(&gen, add_line, state);
    memset(cw_text_room(&state->stream, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    struct cw_decoder_options decoder = {.programs = state->programs,
                                         .zones = state->zones,
                                         .partitions = 256,
                                         .event_bytes_max = CW_EVENT_BYTES_MAX};
    must(cw_decoder_open(&state->decoder, &decoder, &fault), &fault);
    must(cw_arena_open(&state->arena, 1u << 24, (size_t)1 << 33, &fault), &fault);
    return state;
}

static struct cw_view line_at(const struct state *state, uint64_t i)
{
    size_t from = i == 0 ? 0 : state->line_ends[i - 1] + 1;
    return (struct cw_view){state->stream.data + from, (uint32_t)(state->line_ends[i] - from)};
}

static void *setup_decoded(bool tiny)
{
    struct state *state = setup(tiny);
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
    state->events = calloc(state->lines, sizeof *state->events);
    CW_ASSERT(state->events != NULL);
    int64_t clock = 0;
    cw_decoder_put_in(state->decoder, &state->arena);
    for (uint64_t i = 0; i < state->lines; i++) {
        struct cw_event *event = cw_arena_alloc(&state->arena, sizeof *event, 8);
        cw_decode(state->decoder, line_at(state, i), event);
        clock = event->time > clock ? event->time : clock;
        event->clock = clock;
        state->events[i] = event;
    }
    return state;
}

static void teardown(void *self)
{
    struct state *state = self;
    cw_decoder_close(state->decoder);
    cw_arena_close(&state->arena);
    cw_programs_close(state->programs);
    cw_zones_close(state->zones);
    cw_assets_close(&state->assets);
    cw_text_deinit(&state->stream);
    cw_text_deinit(&state->out);
    free(state->events);
    free(state->line_ends);
    free(state);
}

static uint64_t run_decode(void *self, uint64_t *units)
{
    struct state *state = self;
    uint64_t hash = 0;
    cw_decoder_put_in(state->decoder, NULL);
    for (uint64_t i = 0; i < state->lines; i++) {
        struct cw_event event;
        cw_decode(state->decoder, line_at(state, i), &event);
        hash = hash * 31 + (uint64_t)event.type + event.programs + event.partition;
        if (i % BATCH == BATCH - 1) {
            cw_decoder_reset(state->decoder);
        }
    }
    *units = state->lines;
    return hash;
}

static void count_decision(void *self, const struct cw_decision *decision)
{
    struct state *state = self;
    state->decisions++;
    state->hash = state->hash * 31 + (uint64_t)decision->at + (uint64_t)decision->kind;
}

static void write_decision(void *self, const struct cw_decision *decision)
{
    struct state *state = self;
    count_decision(self, decision);
    cw_text_clear(&state->out);
    cw_decision_write(decision, &state->out);
}

static struct cw_pipeline *open_pipeline(struct state *state, bool write)
{
    struct cw_fault fault;
    struct cw_pipeline *pipeline = NULL;
    struct cw_pipeline_options options = {
        .programs = state->programs,
        .zones = state->zones,
        .port = {.self = state, .decide = write ? write_decision : count_decision},
        .partitions = 256,
        .event_bytes_max = CW_EVENT_BYTES_MAX,
        .hash = {1, 2},
        .rows_max = UINT64_C(1) << 26,
        .bytes_max = UINT64_C(1) << 34};
    must(cw_pipeline_open(&pipeline, &options, &fault), &fault);
    state->decisions = state->hash = 0;
    return pipeline;
}

static uint64_t run_pipeline(void *self, uint64_t *units)
{
    struct state *state = self;
    struct cw_pipeline *pipeline = open_pipeline(state, false);
    for (uint64_t i = 0; i < state->lines; i += BATCH) {
        uint64_t left = state->lines - i;
        cw_pipeline_run(pipeline, state->events + i, (uint32_t)(left < BATCH ? left : BATCH));
    }
    cw_pipeline_close(pipeline);
    *units = state->lines;
    return state->hash;
}

static uint64_t run_all(struct state *state, bool write)
{
    struct cw_pipeline *pipeline = open_pipeline(state, write);
    struct cw_event events[BATCH];
    const struct cw_event *list[BATCH];
    int64_t clock = 0;
    cw_decoder_put_in(state->decoder, NULL);
    for (uint64_t i = 0; i < state->lines; i += BATCH) {
        uint64_t left = state->lines - i;
        uint32_t count = (uint32_t)(left < BATCH ? left : BATCH);
        cw_decoder_reset(state->decoder);
        for (uint32_t e = 0; e < count; e++) {
            cw_decode(state->decoder, line_at(state, i + e), &events[e]);
            clock = events[e].time > clock ? events[e].time : clock;
            events[e].clock = clock;
            list[e] = &events[e];
        }
        cw_pipeline_run(pipeline, list, count);
    }
    cw_pipeline_close(pipeline);
    return state->hash;
}

static uint64_t run_whole(void *self, uint64_t *units)
{
    struct state *state = self;
    *units = state->lines;
    return run_all(state, false);
}

static uint64_t run_written(void *self, uint64_t *units)
{
    struct state *state = self;
    *units = state->lines;
    return run_all(state, true);
}

/* ---- a live engine but for its sockets ---- */

enum {
    REQUESTS = 64 /* in one chunk, as a busy server hands them over */
};

struct live {
    struct state *state;
    uint64_t next;  /* line */
    uint32_t lines; /* in a request */
    struct cw_request requests[REQUESTS];
    uint64_t tokens, answers;
};

static enum cw_poll take_requests(void *self, uint32_t shard, uint64_t sequence,
                                  struct cw_chunk *chunk)
{
    struct live *live = self;
    const struct state *state = live->state;
    (void)shard;
    if (live->next == state->lines) {
        return live->answers == live->tokens ? CW_POLL_END : CW_POLL_LATER;
    }
    *chunk = (struct cw_chunk){.sequence = sequence, .requests = live->requests};
    for (uint32_t i = 0; i < REQUESTS && live->next < state->lines; i++) {
        uint64_t last = live->next + live->lines - 1;
        last = last < state->lines ? last : state->lines - 1;
        const char *from = line_at(state, live->next).data;
        live->requests[i] = (struct cw_request){
            .token = live->tokens++,
            .kind = live->lines > 1 ? CW_REQUEST_LINES : CW_REQUEST_HTTP,
            .method = CW_METHOD_POST,
            .role = CW_ROLE_INGEST,
            .path = CW_VIEW("/v1/events"),
            .body = {from, (uint32_t)(state->stream.data + state->line_ends[last] - from)},
            .line = 1};
        live->next = last + 1;
        if (i > 0) {
            live->requests[i - 1].next = &live->requests[i];
        }
    }
    return CW_POLL_READY;
}

static void taken(void *self, uint32_t shard, const struct cw_chunk *chunk)
{
    (void)self;
    (void)shard;
    (void)chunk;
}

static void count_answer(void *self, uint64_t token, const struct cw_answer *answer)
{
    struct live *live = self;
    (void)token;
    CW_ASSERT(answer->status == 200);
    live->answers++;
}

static uint64_t run_live(struct state *state, uint32_t lines)
{
    struct cw_fault fault;
    struct live live = {.state = state, .lines = lines};
    struct cw_service *service = NULL;
    struct cw_mesh *mesh = NULL;
    struct cw_service_options options = {
        .pipeline = {.programs = state->programs,
                     .zones = state->zones,
                     .port = {.self = state, .decide = count_decision},
                     .partitions = 256,
                     .event_bytes_max = CW_EVENT_BYTES_MAX,
                     .hash = {1, 2},
                     .rows_max = UINT64_C(1) << 26,
                     .bytes_max = UINT64_C(1) << 34},
        .shards = 1,
        .event_time = true,
        .answer = count_answer,
        .self = &live};
    must(cw_service_open(&service, &options, &fault), &fault);
    must(cw_mesh_open(&mesh, 1, &fault), &fault);
    state->decisions = state->hash = 0;
    struct cw_shard shard = {.mesh = mesh,
                             .source = {.self = &live, .take = take_requests, .done = taken},
                             .app = cw_service_app(service)};
    cw_shard_init(&shard);
    while (cw_shard_step(&shard) != CW_STEP_DONE) { /* bounded: by the stream's end */
    }
    cw_mesh_close(mesh);
    cw_service_close(service);
    return state->hash;
}

static uint64_t run_service_lines(void *self, uint64_t *units)
{
    struct state *state = self;
    *units = state->lines;
    return run_live(state, BATCH);
}

static uint64_t run_service_one(void *self, uint64_t *units)
{
    struct state *state = self;
    *units = state->lines;
    return run_live(state, 1);
}

static uint64_t run_write(void *self, uint64_t *units)
{
    struct state *state = self;
    struct cw_decision decision = {.at = INT64_C(1768754700000),
                                   .kind = CW_DECISION_CANDIDATE,
                                   .program = CW_VIEW("abandoned-cart-recovery"),
                                   .customer = CW_VIEW("C456"),
                                   .cart = CW_VIEW("CART-789"),
                                   .u.candidate = {.score = 0.7801, .discount = 10}};
    decision.u.candidate.touch_count = 3;
    for (uint32_t i = 0; i < 3; i++) {
        decision.u.candidate.touches[i].touch = i + 1;
        decision.u.candidate.touches[i].due = decision.at + i * CW_DAY_MS;
    }
    for (uint32_t i = 0; i < 100000; i++) {
        cw_text_clear(&state->out);
        decision.at += 17;
        cw_decision_write(&decision, &state->out);
        cw_bench_use(state->out.data);
    }
    *units = 100000;
    return state->out.bytes;
}

const struct cw_bench_case cw_bench_pipeline[] = {
    {"pipeline.decode", "event", 354, "On-Demand copying all fields, on a Zen 5", setup, run_decode,
     teardown, 0},
    {"pipeline.run", "event", 225, "4 look-ups and a timer, on a Zen 5", setup_decoded,
     run_pipeline, teardown, 0},
    {"pipeline.whole", "event", 600, "parse, 4 look-ups and a timer, on a Zen 5", setup, run_whole,
     teardown, 0},
    {"pipeline.whole_written", "event", 0, NULL, setup, run_written, teardown, 0},
    {"service.lines", "event", 0, NULL, setup, run_service_lines, teardown, 0},
    {"service.one_event", "event", 0, NULL, setup, run_service_one, teardown, 0},
    {"pipeline.decision_line", "line", 0, NULL, setup, run_write, teardown, 0},
    {0},
};
