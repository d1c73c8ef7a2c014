#include "pipeline/fate.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

/* Counters that reconcile with 3 candidates in flight and 4 pending touches. */
static struct cw_fates sound(void)
{
    struct cw_fates f = {.received = 28,
                         .items = 21,
                         .created = 10,
                         .holdouts = 1,
                         .converted = 3,
                         .superseded = 1,
                         .rejected = 1,
                         .expired = 1,
                         .planned = 23,
                         .failed = 1,
                         .unknown = 1,
                         .sending = 2,
                         .cut_off = 5,
                         .attributed_holdout = 1};
    for (uint32_t i = 0; i < CW_EVENT_FATE_COUNT; i++) {
        f.events[i] = 4;
    }
    f.by_item[CW_ITEM_FATE_CANDIDATE] = 10;
    f.by_item[CW_ITEM_FATE_UPDATED] = 2;
    f.by_item[CW_ITEM_FATE_REJECTED] = 4;
    f.by_item[CW_ITEM_FATE_DUPLICATE] = 5;
    f.rejections[CW_REJECTION_PURCHASED] = 3;
    f.rejections[CW_REJECTION_OUT_OF_STOCK] = 1;
    f.cancelled[CW_CANCEL_ERASED] = 1;
    f.sent[CW_CHANNEL_EMAIL] = 4;
    f.sent[CW_CHANNEL_PUSH] = 2;
    f.sent_by_touch[1] = 5;
    f.sent_by_touch[CW_TOUCHES_MAX] = 1;
    f.skipped[CW_TOUCH_REASON_LATE] = 4;
    f.attributed[0] = 1;
    f.attributed[CW_TOUCHES_MAX] = 1;
    return f;
}

Test(fate, sums_that_reconcile_are_told_so)
{
    struct cw_fates f = sound();
    const char *wrong = cw_fates_reconcile(&f, 3, 4);
    cr_assert(wrong == NULL, "%s", wrong);
    f = (struct cw_fates){0};
    cr_assert(eq(ptr, (void *)cw_fates_reconcile(&f, 0, 0), NULL));
}

Test(fate, each_sum_broken_by_one_is_found)
{
    struct cw_fates f;

    static const struct {
        size_t offset;
        const char *says;
    } sums[] = {

#define AT(member) offsetof(struct cw_fates, member)
        {AT(received), "events received"},
        {AT(events[CW_EVENT_FATE_REFUSED]), "events received"},
        {AT(items), "abandonments in programs"},
        {AT(by_item[CW_ITEM_FATE_REFUSED]), "abandonments in programs"},
        {AT(rejections[CW_REJECTION_PURCHASED]), "rejected abandonments"},
        {AT(created), "abandonments that became candidates"},
        {AT(converted), "candidates created"},
        {AT(cancelled[CW_CANCEL_CART_CLEARED]), "candidates created"},
        {AT(superseded), "candidates created"},
        {AT(rejected), "candidates created"},
        {AT(expired), "candidates created"},
        {AT(planned), "touches planned"},
        {AT(sent[CW_CHANNEL_SMS]), "touches planned"},
        {AT(skipped[CW_TOUCH_REASON_NO_ADDRESS]), "touches planned"},
        {AT(failed), "touches planned"},
        {AT(cut_off), "touches planned"},
        {AT(unknown), "touches planned"},
        {AT(sending), "touches planned"},
        {AT(sent_by_touch[2]), "messages sent by channel"},
        {AT(attributed[3]), "conversions"},
        {AT(attributed_holdout), "conversions"},
    };

    for (size_t i = 0; i < CW_COUNTOF(sums); i++) {
        for (int by = -1; by <= 1; by += 2) {
            f = sound();
            uint64_t value;
            memcpy(&value, (char *)&f + sums[i].offset, sizeof value);
            value += (uint64_t)by; /* a counter of 0 less one wraps, and is as wrong */
            memcpy((char *)&f + sums[i].offset, &value, sizeof value);
            const char *wrong = cw_fates_reconcile(&f, 3, 4);
            cr_assert(wrong != NULL, "%zu: nothing found", i);
            cr_assert(strncmp(wrong, sums[i].says, strlen(sums[i].says)) == 0, "%zu: %s", i, wrong);
        }
    }
    f = sound();
    cr_assert(ne(ptr, (void *)cw_fates_reconcile(&f, 2, 4), NULL));
    cr_assert(ne(ptr, (void *)cw_fates_reconcile(&f, 3, 5), NULL));
}

Test(fate, adding_adds_every_counter)
{
    enum {
        COUNTERS = sizeof(struct cw_fates) / sizeof(uint64_t)
    };

    uint64_t numbers[COUNTERS];
    struct cw_fates sum;
    struct cw_fates part;
    for (uint64_t i = 0; i < COUNTERS; i++) {
        numbers[i] = i * i;
    }
    memcpy(&sum, numbers, sizeof sum);
    for (uint64_t i = 0; i < COUNTERS; i++) {
        numbers[i] = 1000 - i;
    }
    memcpy(&part, numbers, sizeof part);
    cw_fates_add(&sum, &part);
    memcpy(numbers, &sum, sizeof sum);
    for (uint64_t i = 0; i < COUNTERS; i++) {
        cr_assert(eq(u64, numbers[i], i * i + 1000 - i));
    }
    struct cw_fates twice = sound();
    struct cw_fates once = sound();
    cw_fates_add(&twice, &once);
    cr_assert(eq(ptr, (void *)cw_fates_reconcile(&twice, 6, 8), NULL));
}
