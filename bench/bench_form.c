/* Requests taken apart into envelopes, not decoded yet: what each dialect costs an event beside an
   NDJSON line, whose text is its envelope. */
#include "bench/bench.h"
#include "bench/corpus.h"
#include "core/json.h"
#include "core/text.h"
#include "pipeline/form.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct forming {
    struct cw_form *form;
    struct cw_arena arena;
    struct cw_text bodies;
    struct cw_request *requests;
    uint32_t count;
};

static const struct cw_header put_headers[] = {{{"x-amz-target", 12}, {"AWSEvents.PutEvents", 19}}};
static const struct cw_header line_headers[] = {
    {{"content-type", 12}, {"application/x-ndjson", 20}}};
static const struct cw_header cloud_headers[] = {
    {{"content-type", 12}, {"application/cloudevents-batch+json", 34}}};

enum dialect {
    PUT,
    LINES,
    CLOUD
};

/* The detail of a cart event of the corpus, which is the envelope's last member. */
static struct cw_view detail_of(struct cw_view event)
{
    static const char mark[] = "\"detail\":";
    for (uint32_t i = 0; i + sizeof mark < event.bytes; i++) {
        if (memcmp(event.data + i, mark, sizeof mark - 1) == 0) {
            uint32_t from = i + (uint32_t)sizeof mark - 1;
            return (struct cw_view){event.data + from, event.bytes - from - 1};
        }
    }
    CW_ASSERT(false);
    return event;
}

static void put_event(struct cw_text *body, struct cw_view event, enum dialect dialect, bool first)
{
    if (dialect == LINES) {
        cw_text_view(body, event);
        cw_text_char(body, '\n');
        return;
    }
    if (!first) {
        cw_text_char(body, ',');
    }
    if (dialect == PUT) {
        cw_text_puts(body, "{\"Source\":\"ecommerce.cart\",\"DetailType\":\"CartAbandoned\","
                           "\"Time\":1768754700,\"Detail\":");
        cw_text_json(body, detail_of(event));
    } else {
        cw_text_puts(body,
                     "{\"specversion\":\"1.0\",\"id\":\"e-1\",\"source\":\"ecommerce.cart\","
                     "\"type\":\"CartAbandoned\",\"time\":\"2026-01-18T16:45:00Z\",\"data\":");
        cw_text_view(body, detail_of(event));
    }
    cw_text_char(body, '}');
}

static void *setup(bool tiny, enum dialect dialect)
{
    struct forming *f = calloc(1, sizeof *f);
    CW_ASSERT(f != NULL);
    struct cw_fault fault;
    struct cw_form_options options = {
        .event_bytes_max = 1u << 20, .entries_max = 1000, .ids = {1, 2}};
    cw_err err = cw_form_open(&f->form, &options, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    err = cw_arena_open(&f->arena, 1u << 20, 1u << 30, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    f->count = tiny ? 2 : 100;
    struct cw_corpus corpus =
        cw_corpus_cart(f->count * CW_PUT_ENTRIES_MAX, CW_CORPUS_CART_BYTES, 7);
    f->requests = calloc(f->count, sizeof *f->requests);
    size_t *starts = calloc(f->count + 1, sizeof *starts);
    CW_ASSERT(f->requests != NULL && starts != NULL);
    for (uint32_t i = 0; i < f->count; i++) {
        starts[i] = f->bodies.bytes;
        cw_text_puts(&f->bodies, dialect == PUT ? "{\"Entries\":[" : dialect == CLOUD ? "[" : "");
        for (uint32_t e = 0; e < CW_PUT_ENTRIES_MAX; e++) {
            put_event(&f->bodies, cw_corpus_at(&corpus, i * CW_PUT_ENTRIES_MAX + e), dialect,
                      e == 0);
        }
        cw_text_puts(&f->bodies, dialect == PUT ? "]}" : dialect == CLOUD ? "]" : "");
    }
    starts[f->count] = f->bodies.bytes;
    (void)cw_text_room(&f->bodies, CW_JSON_PADDING);
    for (uint32_t i = 0; i < f->count; i++) {
        f->requests[i] = (struct cw_request){
            .kind = CW_REQUEST_HTTP,
            .method = CW_METHOD_POST,
            .path = dialect == PUT ? CW_VIEW("/") : CW_VIEW("/v1/events"),
            .headers = dialect == PUT     ? put_headers
                       : dialect == LINES ? line_headers
                                          : cloud_headers,
            .header_count = 1,
            .body = {f->bodies.data + starts[i], (uint32_t)(starts[i + 1] - starts[i])}};
    }
    free(starts);
    cw_corpus_free(&corpus);
    return f;
}

static void *setup_put(bool tiny)
{
    return setup(tiny, PUT);
}

static void *setup_lines(bool tiny)
{
    return setup(tiny, LINES);
}

static void *setup_cloud(bool tiny)
{
    return setup(tiny, CLOUD);
}

static uint64_t run(void *self, uint64_t *units)
{
    struct forming *f = self;
    uint64_t sum = 0;
    *units = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        struct cw_form_error error;
        struct cw_form_entry entry;
        cw_arena_reset(&f->arena);
        bool taken =
            cw_form_begin(f->form, &f->requests[i], INT64_C(1768824000000), &f->arena, &error);
        CW_ASSERT(taken);
        while (cw_form_next(f->form, &entry)) {
            CW_ASSERT(entry.text.data != NULL);
            sum = sum * 31 + entry.text.bytes;
            ++*units;
        }
    }
    return sum;
}

static void teardown(void *self)
{
    struct forming *f = self;
    cw_form_close(f->form);
    cw_arena_close(&f->arena);
    cw_text_deinit(&f->bodies);
    free(f->requests);
    free(f);
}

const struct cw_bench_case cw_bench_form[] = {
    {.name = "form.ndjson",
     .unit = "event",
     .setup = setup_lines,
     .run = run,
     .teardown = teardown},
    {.name = "form.put_events",
     .unit = "event",
     .setup = setup_put,
     .run = run,
     .teardown = teardown},
    {.name = "form.cloudevents_batch",
     .unit = "event",
     .setup = setup_cloud,
     .run = run,
     .teardown = teardown},
    {.name = NULL},
};
