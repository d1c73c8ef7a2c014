/* A program file of any bytes: it loads, or every error has its place. */
#include "pipeline/program.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char model_text[] =
    "{\"format\":\"cartwheel-model\",\"formatVersion\":1,\"name\":\"purchase-intent-v4\","
    "\"version\":\"1\",\"kind\":\"logistic\",\"bias\":0,\"features\":[{\"name\":\"cart_value\","
    "\"weight\":1}]}";

static const struct cw_model *model(void *self, struct cw_view name)
{
    return name.bytes == 18 ? self : NULL;
}

static bool template_exists(void *self, struct cw_view id)
{
    (void)self;
    return id.bytes != 1;
}

static bool template_text(void *self, struct cw_view id, uint32_t number, struct cw_view *file,
                          struct cw_view *text)
{
    (void)self;
    (void)id;
    *file = CW_VIEW("t.html");
    *text = CW_VIEW("{{customerName}}");
    return number == 0;
}

static const char *const *names(void *self)
{
    static const char *const list[] = {"purchase-intent-v4", NULL};
    (void)self;
    return list;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct cw_model *shipped;
    struct cw_fault fault;
    if (shipped == NULL) {
        cw_err err = cw_model_open(&shipped, CW_VIEW(model_text), "m", &fault);
        CW_ASSERT(err == CW_ERR_OK);
    }
    struct cw_program_needs needs = {model, template_exists, template_text, names, names, shipped};
    /* A copy of its own size, so that reading past the end is noticed. */
    char *copy = malloc(size == 0 ? 1 : size);
    CW_ASSERT(copy != NULL);
    memcpy(copy, data, size);
    struct cw_program_file file = {.path = "f", .yaml = {copy, (uint32_t)size}};
    struct cw_problems problems = {0};
    struct cw_programs *programs = NULL;
    cw_err err = cw_programs_load(&programs, &file, 1, &needs, &problems, &fault);
    CW_ASSERT((err == CW_ERR_OK) == (problems.errors == 0));
    for (uint32_t i = 0; i < problems.count; i++) {
        CW_ASSERT(size > CW_PROGRAM_FILE_MAX || problems.list[i].line > 0);
    }
    if (err == CW_ERR_OK) {
        const struct cw_program *program = &programs->list[0];
        CW_ASSERT(programs->count == 1 && program->id.bytes > 0 && program->model != NULL);
        CW_ASSERT(cw_programs_find(programs, program->id) == program);
        for (uint32_t i = 1; i < program->touch_count; i++) {
            CW_ASSERT(program->touches[i - 1].delay_ms <= program->touches[i].delay_ms);
        }
    }
    cw_programs_close(programs);
    cw_problems_deinit(&problems);
    free(copy);
    return 0;
}
