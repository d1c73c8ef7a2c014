/*
 * engine_erasure: from a customer that a core has erased to the receipt. The store makes files
 * without it, the control plane removes dead letters and writes the receipt, and only then the core
 * forgets that there was something to do: what a crash cuts short is done again.
 */
#include "tools/engine_priv.h"

#include <stdlib.h>
#include <string.h>

enum {
    TOLD_MAX = 128, /* receipts under way of one core */
    AGAIN_NS = 1000000000,
    READ_MAX = 64 << 10
};

static bool tell(void *self, const struct cw_erased *erased)
{
    struct cw_core *core = self;
    struct cw_core_erasure *erasure = &core->erasure;
    if (erasure->told - atomic_load(&erasure->written) >= TOLD_MAX) {
        return false; /* next time */
    }
    struct cw_receipt *receipt = calloc(1, sizeof *receipt);
    CW_ASSERT(receipt != NULL);
    receipt->asked_ms = erased->asked_ms;
    receipt->through_ms = cw_engine_now_ms(core);
    receipt->customer_bytes = erased->customer.bytes;
    receipt->event_bytes = erased->event.bytes;
    memcpy(receipt->customer, erased->customer.data, erased->customer.bytes);
    if (erased->event.bytes > 0) {
        memcpy(receipt->event, erased->event.data, erased->event.bytes);
    }
    bool pushed = cw_ring_push(erasure->receipts, receipt);
    CW_ASSERT(pushed); /* it has room for TOLD_MAX */
    erasure->told++;
    return true;
}

void cw_engine_erasure_turn(struct cw_core *core)
{
    struct cw_core_erasure *erasure = &core->erasure;
    struct cw_pipeline *pipeline = cw_service_pipeline(core->service);
    for (; erasure->asked < cw_pipeline_erasures(pipeline); erasure->asked++) {
        cw_store_erase(core->store); /* so both count the same */
    }
    uint64_t through = cw_store_erased(core->store);
    bool idle = erasure->told == atomic_load(&erasure->written);
    if (idle && erasure->forgotten < erasure->told) {
        cw_pipeline_erasures_forget(pipeline);
        erasure->forgotten = erasure->told;
    }
    if (idle && (through > erasure->through || erasure->more)) {
        uint64_t told = erasure->told;
        erasure->through = through;
        cw_pipeline_erasures_through(pipeline, through, tell, core);
        erasure->more = erasure->told - told == TOLD_MAX;
    }
}

/* ---- the control plane ---- */

static bool write_receipt(struct cw_core *core)
{
    const struct cw_engine *engine = core->engine;
    struct cw_core_erasure *erasure = &core->erasure;
    const struct cw_receipts receipts = {.directory = engine->live->state,
                                         .snapshots = engine->live->snapshots.to,
                                         .letters = &core->engine->letters};
    struct cw_fault fault;
    if (cw_receipt_write(&receipts, erasure->at_work, &fault) != CW_ERR_OK) {
        if (erasure->again_ns == 0) {
            (void)cw_failure(&fault);
            (void)fputs("cartwheel: the receipt of an erasure waits for that\n", stderr);
        }
        erasure->again_ns = cw_clock_monotonic_ns() + AGAIN_NS;
        return false;
    }
    free(erasure->at_work);
    erasure->at_work = NULL;
    erasure->again_ns = 0;
    (void)atomic_fetch_add(&erasure->written, 1);
    cw_server_wake(core->server);
    return true;
}

void cw_engine_erasure_tick(struct cw_engine *engine)
{
    for (uint32_t i = 0; i < engine->count; i++) {
        struct cw_core *core = &engine->cores[i];
        struct cw_core_erasure *erasure = &core->erasure;
        void *item;
        if (erasure->again_ns > cw_clock_monotonic_ns()) {
            continue;
        }
        bool written = true;
        for (uint32_t n = 0; n < TOLD_MAX && written; n++) {
            if (erasure->at_work == NULL && cw_ring_pop(erasure->receipts, &item)) {
                erasure->at_work = item;
            }
            written = erasure->at_work != NULL && write_receipt(core);
        }
    }
}

cw_err cw_engine_erasure_read(const struct cw_engine *engine, struct cw_text *out,
                              struct cw_fault *fault)
{
    return cw_receipts_read(engine->live->state, READ_MAX, out, fault);
}

void cw_engine_erasure_open(struct cw_core *core)
{
    core->erasure.receipts = cw_ring_create(&core->engine->own, 2 * TOLD_MAX);
}

void cw_engine_erasure_close(struct cw_core *core)
{
    void *item;
    free(core->erasure.at_work); /* told again by the next process */
    while (core->erasure.receipts != NULL && cw_ring_pop(core->erasure.receipts, &item)) {
        free(item);
    }
}
