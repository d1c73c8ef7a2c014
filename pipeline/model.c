/*
 * model: the score. All arithmetic is binary64 in the file's order, one operation after the other
 * (the build forbids fused multiply-add), so that any other implementation of the format over the
 * same libm gives the same bits.
 */
#include "pipeline/model_priv.h"

#include <math.h>

const char *const cw_model_inputs[CW_FEATURE_COUNT + 1] = {
#define CW_X(name) #name,
    CW_FEATURES(CW_X)
#undef CW_X
        "category",
};

/* The first and the last eight bytes (all of them, when fewer): with the length they are the whole
   of a name of up to 16 bytes, so that most are compared in two words. */
struct cw_model_ends cw_model_ends(struct cw_view name)
{
    struct cw_model_ends ends = {0, 0};
    if (name.bytes >= 8) {
        memcpy(&ends.first, name.data, 8);
        memcpy(&ends.last, name.data + name.bytes - 8, 8);
    } else if (name.bytes >= 4) {
        memcpy(&ends.first, name.data, 4);
        memcpy(&ends.last, name.data + name.bytes - 4, 4);
    } else if (name.bytes > 0) {
        ends.first = (uint8_t)name.data[0];
        ends.last =
            (uint64_t)(uint8_t)name.data[name.bytes / 2] << 8 | (uint8_t)name.data[name.bytes - 1];
    }
    return ends;
}

uint32_t cw_model_slot(struct cw_model_ends ends, uint32_t bytes)
{
    return (uint32_t)((ends.first * 31 + ends.last + bytes) * 0x9e3779b97f4a7c15u >> 57);
}

static_assert(CW_MODEL_SLOTS == 128, "cw_model_slot keeps 7 bits");

bool cw_model_category_is(const struct cw_model_weight *known, struct cw_model_ends ends,
                          struct cw_view name)
{
    return known->ends.first == ends.first && known->ends.last == ends.last &&
           known->name.bytes == name.bytes &&
           (name.bytes <= 16 || memcmp(known->name.data, name.data, name.bytes) == 0);
}

static double category_weight(const struct cw_model *model, struct cw_view category)
{
    if (category.data == NULL) {
        return model->other;
    }
    struct cw_model_ends ends = cw_model_ends(category);
    uint32_t slot = cw_model_slot(ends, category.bytes);
    for (uint32_t step = 0; step < CW_MODEL_SLOTS && model->slots[slot] != 0; step++) {
        const struct cw_model_weight *known = &model->categories[model->slots[slot] - 1];
        if (cw_model_category_is(known, ends, category)) {
            return known->weight;
        }
        slot = (slot + 1) % CW_MODEL_SLOTS;
    }
    return model->other;
}

/*
 * Fills parts with each feature's contribution, in the file's order, padded with zeros. Done in
 * steps over all features, so that the divisions run side by side; whether a value is known is as
 * good as random, so it is selected, not branched on.
 */
static void contributions(const struct cw_model *model, const struct cw_features *features,
                          double parts[CW_MODEL_INPUTS])
{
    double x[CW_MODEL_INPUTS];
    double t[CW_MODEL_INPUTS];
    for (uint32_t i = 0; i < CW_MODEL_INPUTS; i++) {
        x[i] = features->numeric[model->input[i]];
    }
    for (uint32_t i = 0; i < CW_MODEL_INPUTS; i++) {
        double raised = x[i] < model->min[i] ? model->min[i] : x[i];
        t[i] = raised > model->max[i] ? model->max[i] : raised;
    }
    for (uint32_t i = 0; i < model->log1p_count; i++) {
        t[model->log1p[i]] = log1p(t[model->log1p[i]]);
    }
    for (uint32_t i = 0; i < CW_MODEL_INPUTS; i++) {
        double known = model->weight[i] * (t[i] - model->center[i]) / model->scale[i];
        parts[i] = x[i] != x[i] ? model->missing_part[i] : known; /* NOLINT: NaN is not itself */
    }
    if (model->category_at < CW_MODEL_INPUTS) {
        parts[model->category_at] = category_weight(model, features->category);
    }
}

double cw_model_score(const struct cw_model *model, const struct cw_features *features)
{
    double parts[CW_MODEL_INPUTS];
    contributions(model, features, parts);
    double sum = model->bias;
    for (uint32_t i = 0; i < CW_MODEL_INPUTS; i++) {
        sum += parts[i];
    }
    CW_ASSERT_HOT(isfinite(sum)); /* the reader bounds every number of the file */
    return 1 / (1 + exp(-sum));
}

uint32_t cw_model_explain(const struct cw_model *model, const struct cw_features *features,
                          struct cw_model_part parts[CW_MODEL_FEATURES_MAX], double *bias)
{
    double sums[CW_MODEL_INPUTS];
    contributions(model, features, sums);
    *bias = model->bias;
    for (uint32_t i = 0; i < model->feature_count; i++) {
        const char *name = model->feature_names[i];
        struct cw_model_part *part = &parts[i];
        part->name = (struct cw_view){name, (uint32_t)strlen(name)};
        part->contribution = sums[i];
        if (i == model->category_at) {
            part->missing = features->category.data == NULL;
            part->value = 0; /* a category has no number; its weight is the contribution */
        } else {
            part->missing = isnan(features->numeric[model->input[i]]);
            part->value = part->missing ? model->missing[i] : features->numeric[model->input[i]];
        }
    }
    return model->feature_count;
}

struct cw_view cw_model_name(const struct cw_model *model)
{
    return model->name;
}

struct cw_view cw_model_version(const struct cw_model *model)
{
    return model->version;
}

uint64_t cw_model_content(const struct cw_model *model)
{
    return model->content;
}

bool cw_model_has_feature(const struct cw_model *model, struct cw_view name)
{
    for (uint32_t i = 0; i < model->feature_count; i++) {
        const char *known = model->feature_names[i];
        if (cw_view_equal(name, (struct cw_view){known, (uint32_t)strlen(known)})) {
            return true;
        }
    }
    return false;
}

const char *const *cw_model_feature_names(const struct cw_model *model)
{
    return model->feature_names;
}
