/*
 * persist_erasure: who was erased and is not out of all files yet, as rows of meta, so that an
 * erasure that a crash cuts short is finished by the next process. The row goes with the receipt;
 * the customer's id in it is then as long in the files as the erasing event's own.
 */
#include "pipeline/persist_priv.h"

#include <string.h>

#define TOLD UINT64_MAX

/* Value: this, and the erasing event's id. */
struct erasure {
    int64_t asked_ms;
    uint64_t number; /* of the process's: through once cw_store_erased is as many; or TOLD */
};

static uint32_t key_of(const struct cw_pipeline *p, struct cw_view customer,
                       char key[CW_META_HEAD_BYTES + CW_ID_BYTES_MAX])
{
    uint32_t core = p->options.core;
    CW_ASSERT(customer.bytes <= CW_ID_BYTES_MAX);
    key[0] = CW_META_ERASURE;
    memcpy(key + 1, &core, sizeof core);
    memcpy(key + CW_META_HEAD_BYTES, customer.data, customer.bytes);
    return CW_META_HEAD_BYTES + customer.bytes;
}

static void note(struct cw_pipeline *p, struct cw_view customer, struct cw_view event,
                 int64_t asked_ms)
{
    char key[CW_META_HEAD_BYTES + CW_ID_BYTES_MAX];
    char value[sizeof(struct erasure) + CW_ID_BYTES_MAX];
    const struct erasure head = {.asked_ms = asked_ms, .number = p->erasures};
    uint32_t key_bytes = key_of(p, customer, key);
    uint32_t bytes = (uint32_t)sizeof head + event.bytes;
    memcpy(value, &head, sizeof head);
    if (event.bytes > 0) {
        memcpy(value + sizeof head, event.data, event.bytes);
    }
    bool added = false;
    cw_row row = cw_table_put(p->meta, cw_table_hash(p->meta, key, key_bytes), key, key_bytes,
                              bytes, &added);
    if (row != CW_ROW_NONE && !added) {
        row = cw_table_resize(p->meta, row, bytes);
    }
    if (row == CW_ROW_NONE) { /* no receipt; what was asked for is done all the same */
        p->fates.not_remembered++;
        return;
    }
    memcpy(cw_table_edit(p->meta, row), value, bytes);
}

void cw_erasure_note(struct cw_pipeline *p, struct cw_view customer, struct cw_view event)
{
    p->erasures++;
    note(p, customer, event, p->now);
}

void cw_erasure_take_over(struct cw_pipeline *p, struct cw_view key, struct cw_view value)
{
    struct erasure head;
    memcpy(&head, value.data, sizeof head);
    p->erasures = 1; /* one round of the store is for all of them */
    note(p, (struct cw_view){key.data + CW_META_HEAD_BYTES, key.bytes - CW_META_HEAD_BYTES},
         (struct cw_view){value.data + sizeof head, value.bytes - (uint32_t)sizeof head},
         head.asked_ms);
}

bool cw_erasure_good(struct cw_view key, struct cw_view value)
{
    struct erasure head;
    uint32_t id_bytes = key.bytes - CW_META_HEAD_BYTES;
    if (id_bytes == 0 || id_bytes > CW_ID_BYTES_MAX || value.bytes < sizeof head ||
        value.bytes > sizeof head + CW_ID_BYTES_MAX) {
        return false;
    }
    memcpy(&head, value.data, sizeof head);
    return cw_row_time(head.asked_ms);
}

uint64_t cw_pipeline_erasures(const struct cw_pipeline *p)
{
    return p->erasures;
}

/* Calls visit for the row of each erasure. */
static void each(struct cw_pipeline *p,
                 void (*visit)(struct cw_pipeline *p, cw_row row, void *with), void *with)
{
    uint64_t cursor = 0;
    cw_row row;
    while ((row = cw_table_next(p->meta, &cursor)) != CW_ROW_NONE) {
        if (cw_table_key(p->meta, row).data[0] == CW_META_ERASURE) {
            visit(p, row, with);
        }
    }
}

struct telling {
    uint64_t through;
    bool (*tell)(void *self, const struct cw_erased *erased);
    void *self;
};

static void tell_one(struct cw_pipeline *p, cw_row row, void *with)
{
    const struct telling *telling = with;
    const struct erasure *head = cw_table_value(p->meta, row);
    struct cw_view key = cw_table_key(p->meta, row);
    uint32_t bytes = cw_table_value_bytes(p->meta, row) - (uint32_t)sizeof *head;
    const struct cw_erased erased = {
        .customer = {key.data + CW_META_HEAD_BYTES, key.bytes - CW_META_HEAD_BYTES},
        .event = {(const char *)(head + 1), bytes},
        .asked_ms = head->asked_ms};
    if (head->number <= telling->through && telling->tell(telling->self, &erased)) {
        struct erasure *told = cw_table_edit(p->meta, row);
        told->number = TOLD;
    }
}

void cw_pipeline_erasures_through(struct cw_pipeline *p, uint64_t through,
                                  bool (*tell)(void *self, const struct cw_erased *erased),
                                  void *self)
{
    CW_ASSERT(through < TOLD);
    each(p, tell_one, &(struct telling){through, tell, self});
}

static void forget_one(struct cw_pipeline *p, cw_row row, void *with)
{
    (void)with;
    const struct erasure *head = cw_table_value(p->meta, row);
    if (head->number == TOLD) {
        cw_table_remove(p->meta, row);
    }
}

void cw_pipeline_erasures_forget(struct cw_pipeline *p)
{
    each(p, forget_one, NULL);
}
