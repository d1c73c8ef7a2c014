/* query: what the two indexes answer. Buckets are walked from the top; only one is ever sorted. */
#include "pipeline/pipeline_priv.h"

#include <stdlib.h>

static struct cw_candidate_view view_of(const struct cw_pipeline *p, cw_row row)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    struct cw_view key = cw_table_key(p->candidates, row);
    return (struct cw_candidate_view){
        .customer = {key.data, key.bytes - (uint32_t)sizeof candidate->serial},
        .cart = texts.cart,
        .currency = texts.currency,
        .score = candidate->score,
        .cart_value = candidate->cart_value,
        .discount = candidate->discount,
        .t0 = candidate->t0,
        .expires_at = candidate->expires_at,
        .active = candidate->status == CW_STATUS_ACTIVE};
}

static int by_ids(const struct cw_candidate_view *x, const struct cw_candidate_view *y)
{
    int order = cw_view_compare(x->customer, y->customer);
    return order != 0 ? order : cw_view_compare(x->cart, y->cart);
}

static int by_score(const void *a, const void *b)
{
    const struct cw_candidate_view *x = a;
    const struct cw_candidate_view *y = b;
    int order = (x->score < y->score) - (x->score > y->score);
    return order != 0 ? order : by_ids(x, y);
}

static int by_value(const void *a, const void *b)
{
    const struct cw_candidate_view *x = a;
    const struct cw_candidate_view *y = b;
    int order = (x->cart_value < y->cart_value) - (x->cart_value > y->cart_value);
    return order != 0 ? order : by_ids(x, y);
}

/* One bucket's candidates of the day (any day: CW_TIME_NONE), sorted, as far as there is room. */
static uint32_t take(struct cw_pipeline *p, cw_row head, bool scores, int64_t day,
                     struct cw_candidate_view *list, uint32_t room)
{
    uint32_t count = 0;
    for (cw_row row = head; row != CW_ROW_NONE;) {
        const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
        count++;
        row = scores ? candidate->score_next : candidate->value_next;
    }
    if (count == 0) {
        return 0;
    }
    struct cw_candidate_view *all = cw_arena_alloc(&p->scratch, count * sizeof *all, 8);
    uint32_t kept = 0;
    for (cw_row row = head; row != CW_ROW_NONE;) {
        const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
        if (day == CW_TIME_NONE || candidate->t0 / CW_DAY_MS == day) {
            all[kept++] = view_of(p, row);
        }
        row = scores ? candidate->score_next : candidate->value_next;
    }
    qsort(all, kept, sizeof *all, scores ? by_score : by_value);
    uint32_t given = kept < room ? kept : room;
    for (uint32_t i = 0; i < given; i++) {
        list[i] = all[i];
    }
    cw_arena_reset(&p->scratch);
    return given;
}

uint32_t cw_pipeline_by_score(struct cw_pipeline *p, struct cw_view program,
                              enum cw_channel channel, struct cw_candidate_view *list,
                              uint32_t room)
{
    uint32_t slot;
    uint32_t count = 0;
    if (!cw_slot_find(p, program, &slot)) {
        return 0;
    }
    for (uint32_t bucket = CW_SCORE_BUCKETS; bucket > 0 && count < room; bucket--) {
        count += take(p, p->index->by_score[slot][channel][bucket - 1], true, CW_TIME_NONE,
                      list + count, room - count);
    }
    return count;
}

uint32_t cw_pipeline_by_value(struct cw_pipeline *p, struct cw_view program, int64_t day_ms,
                              struct cw_candidate_view *list, uint32_t room)
{
    uint32_t slot;
    uint32_t count = 0;
    if (!cw_slot_find(p, program, &slot) || day_ms < 0) {
        return 0;
    }
    int64_t day = day_ms / CW_DAY_MS;
    const cw_row *classes = p->index->by_value[slot][day % CW_VALUE_DAYS];
    for (uint32_t class = CW_VALUE_CLASSES; class > 0 && count < room; class --) {
        count += take(p, classes[class - 1], false, day, list + count, room - count);
    }
    return count;
}
