/* model: what the reader (model_ctl.c) fills and the hot path (model.c) walks. */
#ifndef CW_PIPELINE_MODEL_PRIV_H
#define CW_PIPELINE_MODEL_PRIV_H

#include "pipeline/model.h"

#define CW_MODEL_CATEGORIES_MAX 64u
#define CW_MODEL_SLOTS          128u /* of the category table: a power of two, half empty */

/* The input of a categorical feature; numeric ones have their enum cw_feature. */
#define CW_MODEL_CATEGORY ((uint32_t)CW_FEATURE_COUNT)

struct cw_model_feature {
    uint32_t input; /* enum cw_feature, or CW_MODEL_CATEGORY */
    bool log1p;
    double weight, center, scale;
    double min, max;             /* infinite when the file has none */
    double missing_contribution; /* what an unknown value adds; computed once, the same way */
    double missing;
};

struct cw_model {
    struct cw_view name, version; /* into strings */
    uint64_t content;
    double bias;
    uint32_t feature_count;
    struct cw_model_feature features[CW_MODEL_FEATURES_MAX];
    /* Categories by open addressing: a slot holds a number + 1 into `categories`, 0 when empty. */
    uint8_t slots[CW_MODEL_SLOTS];
    uint32_t category_count;

    struct cw_model_weight {
        struct cw_view name; /* into strings */
        double weight;
    } categories[CW_MODEL_CATEGORIES_MAX];

    double other;
    const char *feature_names[CW_MODEL_FEATURES_MAX + 1];
    char *strings;
};

/* Names of the inputs, CW_MODEL_CATEGORY last. */
extern const char *const cw_model_inputs[CW_FEATURE_COUNT + 1];

/* Where a category's search starts. */
uint32_t cw_model_slot(struct cw_view category);

/* What a value of this numeric feature adds to the sum. */
double cw_model_contribution(const struct cw_model_feature *feature, double x);

#endif
