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

uint32_t cw_model_slot(struct cw_view category)
{
    uint64_t word = category.bytes;
    if (category.bytes >= 8) {
        uint64_t first;
        memcpy(&first, category.data, sizeof first);
        word ^= first;
    } else {
        for (uint32_t i = 0; i < category.bytes; i++) {
            word = word << 8 ^ (uint8_t)category.data[i];
        }
    }
    return (uint32_t)(word * 0x9e3779b97f4a7c15u >> 57);
}

static_assert(CW_MODEL_SLOTS == 128, "cw_model_slot keeps 7 bits");

double cw_model_contribution(const struct cw_model_feature *feature, double x)
{
    double t = feature->log1p ? log1p(x) : x;
    return feature->weight * (t - feature->center) / feature->scale;
}

static double category_weight(const struct cw_model *model, struct cw_view category)
{
    if (category.data == NULL) {
        return model->other;
    }
    uint32_t slot = cw_model_slot(category);
    for (uint32_t step = 0; step < CW_MODEL_SLOTS && model->slots[slot] != 0; step++) {
        const struct cw_model_weight *known = &model->categories[model->slots[slot] - 1];
        if (cw_view_equal(known->name, category)) {
            return known->weight;
        }
        slot = (slot + 1) % CW_MODEL_SLOTS;
    }
    return model->other;
}

static double clamp(const struct cw_model_feature *feature, double x)
{
    if (x < feature->min) {
        return feature->min;
    }
    return x > feature->max ? feature->max : x;
}

static double contribution(const struct cw_model *model, const struct cw_model_feature *feature,
                           const struct cw_features *features)
{
    if (feature->input == CW_MODEL_CATEGORY) {
        return category_weight(model, features->category);
    }
    double x = features->numeric[feature->input];
    if (isnan(x)) {
        return feature->missing_contribution;
    }
    return cw_model_contribution(feature, clamp(feature, x));
}

double cw_model_score(const struct cw_model *model, const struct cw_features *features)
{
    double sum = model->bias;
    for (uint32_t i = 0; i < model->feature_count; i++) {
        sum += contribution(model, &model->features[i], features);
    }
    CW_ASSERT_HOT(isfinite(sum)); /* the reader bounds every number of the file */
    return 1 / (1 + exp(-sum));
}

uint32_t cw_model_explain(const struct cw_model *model, const struct cw_features *features,
                          struct cw_model_part parts[CW_MODEL_FEATURES_MAX], double *bias)
{
    *bias = model->bias;
    for (uint32_t i = 0; i < model->feature_count; i++) {
        const struct cw_model_feature *feature = &model->features[i];
        const char *name = model->feature_names[i];
        struct cw_model_part *part = &parts[i];
        part->name = (struct cw_view){name, (uint32_t)strlen(name)};
        part->contribution = contribution(model, feature, features);
        if (feature->input == CW_MODEL_CATEGORY) {
            part->missing = features->category.data == NULL;
            part->value = 0; /* a category has no number; its weight is the contribution */
        } else {
            part->missing = isnan(features->numeric[feature->input]);
            part->value = part->missing ? feature->missing : features->numeric[feature->input];
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
