#include "tools/bundle.h"

#include <stdlib.h>

static void tell(const struct cw_problems *problems, struct cw_text *told)
{
    for (uint32_t i = 0; told != NULL && i < problems->count; i++) {
        const struct cw_problem *p = &problems->list[i];
        cw_text_printf(told, "%s:%u:%u: %s: %s\n", p->file, p->line, p->column,
                       p->remark ? "remark" : "error", p->text);
    }
}

cw_err cw_bundle_open(struct cw_bundle **bundle, const struct cw_bundle_sources *sources,
                      uint32_t cores, struct cw_text *told, struct cw_fault *fault)
{
    CW_ASSERT(cores >= 1 && cores <= CW_MESH_SHARDS_MAX);
    struct cw_bundle *made = calloc(1, sizeof *made);
    if (made == NULL) {
        return cw_fail(fault, CW_ERR_LIMIT, "no memory for programs and templates");
    }
    cw_err err = cw_assets_open(&made->assets, sources->models, sources->templates, fault);
    if (err != CW_ERR_OK) {
        free(made);
        return err;
    }
    struct cw_problems problems = {0};
    err = cw_programs_read_kept(&made->programs, sources->programs, sources->program_count,
                                &made->assets, made->files, &made->file_count, &problems, fault);
    if (problems.errors > 0) {
        cw_problems_print(&problems, stderr);
    }
    tell(&problems, told);
    cw_problems_deinit(&problems);
    for (; err == CW_ERR_OK && made->cores < cores; made->cores += err == CW_ERR_OK) {
        err =
            cw_assets_open(&made->of_core[made->cores], sources->models, sources->templates, fault);
    }
    if (err != CW_ERR_OK) {
        cw_bundle_close(made);
        return err;
    }
    *bundle = made;
    return CW_ERR_OK;
}

void cw_bundle_close(struct cw_bundle *bundle)
{
    for (uint32_t i = 0; i < bundle->cores; i++) {
        cw_assets_close(&bundle->of_core[i]);
    }
    if (bundle->programs != NULL) {
        cw_programs_close(bundle->programs);
    }
    cw_program_files_free(bundle->files, bundle->file_count);
    cw_assets_close(&bundle->assets);
    free(bundle);
}
