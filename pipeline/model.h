/*
 * model: purchase intent from features, by a model read from a file.
 *
 * The file's format stands in pipeline/README.md ("Model file"). A model knows features by name;
 * the pipeline hands over all it knows, in one fixed order, absent ones as NaN.
 *
 * Life: open (control plane) -> score* -> close. Memory: the model's own.
 * Threads: read-only after open. Bounds: CW_MODEL_FEATURES_MAX features, 64 categories each.
 */
#ifndef CW_PIPELINE_MODEL_H
#define CW_PIPELINE_MODEL_H

#include "core/err.h"
#include "core/view.h"

#define CW_MODEL_FEATURES_MAX 64u
#define CW_MODEL_FILE_MAX     (1u << 20)

/* Every feature the pipeline can know; numeric ones first. */
#define CW_FEATURES(X)       \
    X(purchase_history)      \
    X(avg_order_value)       \
    X(cart_abandonment_rate) \
    X(email_engagement)      \
    X(cart_value)            \
    X(item_count)            \
    X(discount_sensitivity)

enum cw_feature {
#define CW_X(name) CW_FEATURE_##name, /* NOLINT(readability-identifier-naming) */
    CW_FEATURES(CW_X)
#undef CW_X
    CW_FEATURE_COUNT
};

struct cw_features {
    double numeric[CW_FEATURE_COUNT]; /* NaN: not known */
    struct cw_view category;          /* NULL: not known */
};

struct cw_model; /* opaque: owns its memory */

/* json: the file's content, without padding after it; file names it in messages. */
CW_MUST_USE cw_err cw_model_open(struct cw_model **model, struct cw_view json, const char *file,
                                 struct cw_fault *fault);
void cw_model_close(struct cw_model *model);

struct cw_view cw_model_name(const struct cw_model *model);
struct cw_view cw_model_version(const struct cw_model *model);

/* Hash of the file's content: part of a cached score's identity. */
uint64_t cw_model_content(const struct cw_model *model);

bool cw_model_has_feature(const struct cw_model *model, struct cw_view name);

/* NULL-terminated names of all features of the model, for messages. */
const char *const *cw_model_feature_names(const struct cw_model *model);

/* Purchase intent in [0,1]; the same bits for the same input on every machine of one libm. */
double cw_model_score(const struct cw_model *model, const struct cw_features *features);

/* For explain: each feature's contribution to the sum, in the model's order. Returns how many. */
struct cw_model_part {
    struct cw_view name;
    double value, contribution;
    bool missing;
};

uint32_t cw_model_explain(const struct cw_model *model, const struct cw_features *features,
                          struct cw_model_part parts[CW_MODEL_FEATURES_MAX], double *bias);

#endif
