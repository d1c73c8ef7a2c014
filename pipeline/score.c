/* score: features, purchase intent, confidence, discount; the cache of scores. */
#include "pipeline/graph.h"

#include <math.h>
#include <string.h>

enum cw_confidence cw_features_confidence(const struct cw_features *features)
{
    /* How much is known of the customer: decision D6. */
    uint32_t known = 0;
    for (uint32_t i = CW_CONFIDENCE_FIRST; i <= CW_CONFIDENCE_LAST; i++) {
        known += isnan(features->numeric[i]) ? 0 : 1;
    }
    return known == 4 ? CW_CONFIDENCE_HIGH : known >= 2 ? CW_CONFIDENCE_MEDIUM : CW_CONFIDENCE_LOW;
}

struct cw_discount cw_discount(const struct cw_program *program, double score, double sensitivity)
{
    struct cw_discount found = {.sensitivity = isnan(sensitivity) ? 0.5 : sensitivity};
    double base = program->discount.base;
    if (!program->discount.enabled) {
        return found;
    }
    if (!program->discount.dynamic) {
        found.value = found.percent = base;
        return found;
    }
    double urge = (found.sensitivity * (1 - score) - 0.2) / 0.6;
    found.urge = urge < 0 ? 0 : urge > 1 ? 1 : urge;
    found.value = base + (program->discount.max - base) * found.urge;
    double steps = found.value / program->discount.step;
    double whole = floor(steps);
    whole += steps - whole > 0.5 ? 1 : 0; /* ties down */
    double most = floor(program->discount.max / program->discount.step);
    found.percent = (whole < most ? whole : most) * program->discount.step;
    return found;
}

static bool cached(const struct cw_pipeline *p, const struct cw_item *item,
                   const struct cw_score_row *row)
{
    struct cw_view content = {(const char *)(row + 1), row->content_bytes};
    return p->now < row->cached_at + CW_WEEK_MS &&
           row->model == cw_model_content(item->program->model) &&
           cw_view_equal(content, item->content);
}

/*
 * Reads: the customer's features, the cart's. Writes: score, confidence, discount.
 * Cost: one look-up, prefetched; a logistic model some 50 ns.
 */
enum cw_item_fate cw_look_score(struct cw_pipeline *p, struct cw_item *item)
{
    char key[CW_KEY_BYTES];
    uint32_t bytes = cw_cart_key(item->customer->id, item->event->cart, key);
    cw_features_read(item->customer, &item->event->u.abandoned, &item->features);
    uint64_t hash = cw_hint_or(p->hints != NULL ? p->hints->cart : 0, p->scores, key, bytes);
    item->score_entry = cw_table_find(p->scores, hash, key, bytes);
    const struct cw_score_row *row =
        item->score_entry == CW_ROW_NONE ? NULL : cw_table_value(p->scores, item->score_entry);
    item->cached = row != NULL && cached(p, item, row);
    item->score = item->cached ? row->score : cw_model_score(item->program->model, &item->features);
    item->confidence = cw_features_confidence(&item->features);
    item->discount = cw_discount(item->program, item->score,
                                 item->features.numeric[CW_FEATURE_discount_sensitivity])
                         .percent;
    return CW_STAGE_GOES_ON;
}

/* A full cache only costs the next one's time. */
static void cache(struct cw_pipeline *p, const struct cw_item *item)
{
    uint32_t value_bytes = (uint32_t)sizeof(struct cw_score_row) + item->content.bytes;
    cw_row row = item->score_entry;
    if (row == CW_ROW_NONE) {
        char key[CW_KEY_BYTES];
        uint32_t bytes = cw_cart_key(item->customer->id, item->event->cart, key);
        bool added = false;
        uint64_t hash = cw_hint_or(p->hints != NULL ? p->hints->cart : 0, p->scores, key, bytes);
        row = cw_table_put(p->scores, hash, key, bytes, value_bytes, &added);
    } else {
        row = cw_table_resize(p->scores, row, value_bytes);
    }
    if (row == CW_ROW_NONE) {
        return;
    }
    struct cw_score_row *at = cw_table_edit(p->scores, row);
    *at = (struct cw_score_row){.cached_at = p->now,
                                .model = cw_model_content(item->program->model),
                                .score = item->score,
                                .content_bytes = item->content.bytes};
    memcpy(at + 1, item->content.data, item->content.bytes);
}

enum cw_item_fate cw_stage_score(struct cw_pipeline *p, struct cw_item *item)
{
    enum cw_item_fate fate = cw_look_score(p, item);
    if (item->cached) {
        p->fates.score_hits++;
    } else {
        p->fates.score_misses++;
        cache(p, item);
    }
    return fate;
}
