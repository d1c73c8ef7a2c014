/* Any bytes as a model file: an error with a reason, or a model whose scores lie in [0,1]. */
#include "pipeline/model.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cw_fault fault = {0};
    struct cw_model *model = NULL;
    struct cw_view json = {(const char *)data, (uint32_t)size};
    if (cw_model_open(&model, json, "fuzz.json", &fault) != CW_ERR_OK) {
        CW_ASSERT(fault.text[0] != '\0');
        return 0;
    }
    struct cw_features inputs[3] = {{.category = CW_VIEW("Books")}, {.category = CW_VIEW("")}};
    for (int i = 0; i < CW_FEATURE_COUNT; i++) {
        inputs[1].numeric[i] = 1e12;
        inputs[2].numeric[i] = NAN;
    }
    for (uint32_t i = 0; i < CW_COUNTOF(inputs); i++) {
        double score = cw_model_score(model, &inputs[i]);
        CW_ASSERT(score >= 0 && score <= 1);
        struct cw_model_part parts[CW_MODEL_FEATURES_MAX];
        double bias;
        CW_ASSERT(cw_model_explain(model, &inputs[i], parts, &bias) <= CW_MODEL_FEATURES_MAX);
    }
    cw_model_close(model);
    return 0;
}
