/* model: what the reader (model_ctl.c) fills and the hot path (model.c) walks. */
#ifndef CW_PIPELINE_MODEL_PRIV_H
#define CW_PIPELINE_MODEL_PRIV_H

#include "pipeline/model.h"

#define CW_MODEL_CATEGORIES_MAX 64u
#define CW_MODEL_SLOTS          128u /* of the category table: a power of two, half empty */

/* The input of a categorical feature; numeric ones have their enum cw_feature. */
#define CW_MODEL_CATEGORY ((uint32_t)CW_FEATURE_COUNT)

/* A file names each input at most once, so that many features at most. */
#define CW_MODEL_INPUTS ((uint32_t)CW_FEATURE_COUNT + 1)

struct cw_model_ends {
    uint64_t first, last;
};

struct cw_model {
    struct cw_view name, version; /* into strings */
    uint64_t content;
    double bias;
    uint32_t feature_count;
    /* By feature, in the file's order; those past the last (and the category's) weigh 0. */
    double min[CW_MODEL_INPUTS], max[CW_MODEL_INPUTS]; /* infinite when the file has none */
    double weight[CW_MODEL_INPUTS], center[CW_MODEL_INPUTS], scale[CW_MODEL_INPUTS];
    double missing_part[CW_MODEL_INPUTS]; /* what an unknown value adds */
    double missing[CW_MODEL_INPUTS];
    uint8_t input[CW_MODEL_INPUTS]; /* enum cw_feature; any for those that weigh 0 */
    uint8_t log1p[CW_MODEL_INPUTS]; /* numbers of the features that take the logarithm */
    uint32_t log1p_count;
    uint32_t category_at; /* number of the category, or CW_MODEL_INPUTS */
    /* Categories by open addressing: a slot holds a number + 1 into `categories`, 0 when empty. */
    uint8_t slots[CW_MODEL_SLOTS];
    uint32_t category_count;

    struct cw_model_weight {
        struct cw_model_ends ends;
        struct cw_view name; /* into strings */
        double weight;
    } categories[CW_MODEL_CATEGORIES_MAX];

    double other;
    const char *feature_names[CW_MODEL_INPUTS + 1];
    char *strings;
};

/* Names of the inputs, CW_MODEL_CATEGORY last. */
extern const char *const cw_model_inputs[CW_FEATURE_COUNT + 1];

/* Where a category's search starts, and whether it is found. */
struct cw_model_ends cw_model_ends(struct cw_view name);
uint32_t cw_model_slot(struct cw_model_ends ends, uint32_t bytes);
bool cw_model_category_is(const struct cw_model_weight *known, struct cw_model_ends ends,
                          struct cw_view name);

#endif
