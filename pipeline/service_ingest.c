/* service_ingest: the events of a request, decoded here and handed to their owners. */
#include "core/json.h"
#include "pipeline/service_priv.h"

#include <string.h>

/* Where an event goes on behalf of whom. */
struct waiter {
    uint32_t open, entry;
    uint64_t arrived_ns;
};

static const struct waiter nobody = {CW_OPEN_NONE, UINT32_MAX, 0};

static void add(struct cw_service *service, struct cw_batch *batch, struct cw_event *event,
                struct waiter waiter)
{
    struct cw_share *share = cw_share_of(service, batch);
    if (share->last == NULL || share->last->count == CW_BLOCK_EVENTS) {
        struct cw_block *block = cw_arena_alloc(&batch->arena, sizeof *block, 8);
        block->next = NULL;
        block->count = 0;
        *(share->last == NULL ? &share->first : &share->last->next) = block;
        share->last = block;
    }
    struct cw_block *block = share->last;
    block->events[block->count] = event;
    block->opens[block->count] = waiter.open;
    block->entries[block->count] = waiter.entry;
    block->arrived_ns[block->count] = waiter.arrived_ns;
    block->count++;
}

/* Gives the event to its owner; what all cores must know is copied to all. Returns how many will
   come home. */
static uint32_t route(struct cw_service *service, struct cw_event *event, struct waiter waiter)
{
    uint32_t own = service->options.pipeline.core;
    uint32_t count = service->batch_count;
    if (event->type == CW_EVENT_INVENTORY_CHANGED) {
        struct waiter copy = {waiter.open, UINT32_MAX, 0};
        for (uint32_t i = 0; i < count; i++) {
            struct cw_batch *batch = service->batches[i];
            add(service, batch, i == own ? event : cw_event_copy(event, &batch->arena),
                i == own ? waiter : copy);
        }
        return count;
    }
    bool nobodys = event->type == CW_EVENT_INVALID || event->type == CW_EVENT_UNKNOWN;
    uint32_t owner = nobodys ? own : event->partition % count;
    struct cw_batch *batch = service->batches[owner];
    add(service, batch, owner == own ? event : cw_event_copy(event, &batch->arena), waiter);
    return 1;
}

/* ---- refusing ---- */

static void invalidate(struct cw_service *service, struct cw_event *event, struct cw_view reason)
{
    struct cw_arena *arena = &service->batches[service->options.pipeline.core]->arena;
    memset(event, 0, sizeof *event);
    event->type = CW_EVENT_INVALID;
    event->time = event->clock = CW_TIME_NONE;
    event->u.invalid.reason = cw_arena_copy(arena, reason);
}

static void dead_letter(struct cw_service *service, struct cw_view text, struct cw_view reason)
{
    if (service->options.dead_letter != NULL) {
        service->options.dead_letter(service->options.self, service->clock, text, reason);
    }
}

/* While nobody knows whether the wall clock is right, an event that agrees with it is taken: to be
   told that it is from the future would lose it for good. */
static int64_t latest(const struct cw_service *service)
{
    return service->options.latest_ms != NULL ? service->options.latest_ms(service->options.self)
                                              : service->clock;
}

/* The event of an entry: decoded, or invalid with a reason. */
static enum cw_refusal read_event(struct cw_service *service, const struct cw_form_entry *entry,
                                  struct cw_event *event)
{
    if (entry->text.data == NULL) {
        invalidate(service, event, entry->reason);
        return CW_REFUSAL_FORM;
    }
    cw_decode(service->decoder, entry->text, event);
    if (event->type == CW_EVENT_INVALID) {
        return cw_decoder_document(service->decoder) == NULL ? CW_REFUSAL_JSON : CW_REFUSAL_CONTENT;
    }
    if (event->type == CW_EVENT_UNKNOWN) {
        cw_service_note_unknown(service, event);
    }
    if (!service->options.event_time && event->type != CW_EVENT_UNKNOWN &&
        event->time > service->clock + CW_DAY_MS && event->time > latest(service) + CW_DAY_MS) {
        invalidate(service, event, CW_VIEW("its time is more than a day ahead of the clock"));
        return CW_REFUSAL_FUTURE;
    }
    if (entry->id.data != NULL) {
        event->id = (struct cw_view){0}; /* nobody can repeat it: nothing to remember */
    }
    return CW_REFUSAL_COUNT;
}

/* ---- entries ---- */

/* open NULL: nobody waits. */
static void take_entry(struct cw_service *service, struct cw_open *open,
                       const struct cw_form_entry *entry, const struct cw_request *request)
{
    struct cw_arena *arena = &service->batches[service->options.pipeline.core]->arena;
    struct cw_event *event = cw_arena_alloc(arena, sizeof *event, 8);
    enum cw_refusal refusal = read_event(service, entry, event);
    if (event->time > service->chunk_clock) {
        service->chunk_clock = event->time;
    }
    event->clock = service->chunk_clock;
    if (refusal == CW_REFUSAL_COUNT) {
        struct waiter waiter = nobody;
        if (open != NULL) {
            waiter =
                (struct waiter){cw_open_number(service, open), entry->index, request->arrived_ns};
        }
        uint32_t away = route(service, event, waiter);
        if (open != NULL) {
            open->pending += away;
        }
        return;
    }
    service->served.refusals[refusal]++;
    dead_letter(service, entry->text.data != NULL ? entry->text : entry->raw,
                event->u.invalid.reason);
    bool lines = request->kind == CW_REQUEST_LINES;
    /* It is answered here, and its text may be gone before the batch comes to it. */
    event->source = event->id = event->customer = event->cart = (struct cw_view){0};
    event->u.invalid.file = lines ? CW_VIEW("lines") : CW_VIEW("http");
    event->u.invalid.line = (lines ? request->line : 1) + entry->index;
    (void)route(service, event, nobody); /* to be counted and told; it is answered here */
    if (open != NULL) {
        cw_open_reject(service, open, entry->index, entry->code, event->u.invalid.reason);
    }
}

/* What a PutEvents entry without a time takes: no time at all before any event has told one. */
static int64_t time_for_entries(const struct cw_service *service)
{
    if (!service->options.event_time) {
        return service->clock;
    }
    int64_t clock = service->chunk_clock > service->clock ? service->chunk_clock : service->clock;
    return clock > service->options.pipeline.start_ms ? clock : CW_TIME_NONE;
}

void cw_service_ingest(struct cw_service *service, const struct cw_request *request)
{
    if (service->text_bytes > CW_OPEN_TEXT_BUDGET) {
        cw_service_busy(service, request, "too many refused events wait for their answers");
        return;
    }
    struct cw_open *open = cw_open_take(service, request);
    if (open == NULL) {
        cw_service_busy(service, request, "too many requests are open");
        return;
    }
    struct cw_form_error error = {0};
    struct cw_arena *arena = &service->batches[service->options.pipeline.core]->arena;
    if (!cw_form_begin(service->form, &open->request, time_for_entries(service), arena, &error)) {
        cw_service_error(service, &open->request, error.status, error.type,
                         (struct cw_view){error.text, error.bytes});
        cw_open_release(service, open);
        return;
    }
    open->dialect = cw_form_dialect(service->form);
    struct cw_form_entry entry;
    while (cw_form_next(service->form, &entry)) {
        if (entry.id.data != NULL) {
            memcpy(open->put[entry.index].id, entry.id.data, CW_UUID_BYTES);
        }
        take_entry(service, open, &entry, &open->request);
    }
    open->lines = cw_form_lines(service->form);
    cw_open_ready(service, open);
}

void cw_service_ingest_text(struct cw_service *service, const struct cw_chunk *chunk)
{
    const struct cw_request request = {.kind = CW_REQUEST_LINES,
                                       .body = {chunk->text, chunk->bytes},
                                       .arrived_ns = cw_service_ns(service)};
    struct cw_arena *arena = &service->batches[service->options.pipeline.core]->arena;
    struct cw_form_error error = {0};
    if (cw_form_begin(service->form, &request, CW_TIME_NONE, arena, &error)) {
        struct cw_form_entry entry;
        while (cw_form_next(service->form, &entry)) {
            take_entry(service, NULL, &entry, &request);
        }
    }
}
