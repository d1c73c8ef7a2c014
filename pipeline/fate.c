#include "pipeline/fate.h"

#include <string.h>

static_assert(sizeof(struct cw_fates) % sizeof(uint64_t) == 0, "all counters are uint64_t");

void cw_fates_add(struct cw_fates *sum, const struct cw_fates *part)
{
    uint64_t to[sizeof *sum / sizeof(uint64_t)];
    uint64_t from[sizeof *sum / sizeof(uint64_t)];
    memcpy(to, sum, sizeof to);
    memcpy(from, part, sizeof from);
    for (uint32_t i = 0; i < CW_COUNTOF(to); i++) {
        to[i] += from[i];
    }
    memcpy(sum, to, sizeof to);
}

static uint64_t total(const uint64_t *list, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += list[i];
    }
    return sum;
}

const char *cw_fates_reconcile(const struct cw_fates *f, uint64_t in_flight, uint64_t pending)
{
    if (f->received != total(f->events, CW_EVENT_FATE_COUNT)) {
        return "events received are not the sum of their fates";
    }
    if (f->items != total(f->by_item, CW_ITEM_FATE_COUNT)) {
        return "abandonments in programs are not the sum of their fates";
    }
    if (f->by_item[CW_ITEM_FATE_REJECTED] != total(f->rejections, CW_REJECTION_COUNT)) {
        return "rejected abandonments are not the sum of their reasons";
    }
    if (f->by_item[CW_ITEM_FATE_CANDIDATE] != f->created) {
        return "abandonments that became candidates are not the candidates created";
    }
    uint64_t ended = f->converted + total(f->cancelled, CW_CANCEL_COUNT) + f->superseded +
                     f->rejected + f->expired;
    if (f->created != ended + in_flight) {
        return "candidates created are not those ended and those in flight";
    }
    uint64_t sent = total(f->sent, CW_CHANNEL_COUNT);
    if (f->planned != sent + total(f->skipped, CW_TOUCH_REASON_COUNT) + f->failed + f->unknown +
                          f->cut_off + f->sending + pending) {
        return "touches planned are not those sent, skipped, failed, unknown, cut off, under way "
               "and pending";
    }
    if (sent != total(f->sent_by_touch, CW_TOUCHES_MAX + 1)) {
        return "messages sent by channel are not those sent by touch";
    }
    if (f->converted != total(f->attributed, CW_TOUCHES_MAX + 1) + f->attributed_holdout) {
        return "conversions are not the sum of their attributions";
    }
    return NULL;
}
