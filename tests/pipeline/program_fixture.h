/* What tests of the program loader share: the document's program, a model, templates of their own
   (`cart-recovery-v3`, and `offer`, which always names its code), and a load that keeps its
   problems. */
#ifndef CW_TESTS_PROGRAM_FIXTURE_H
#define CW_TESTS_PROGRAM_FIXTURE_H

#include "core/json.h"
#include "pipeline/program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOCUMENT "tools/programs/abandoned-cart-recovery.yaml"

struct fixture {
    struct cw_model *model;
    struct cw_programs *programs;
    struct cw_problems problems;
    struct cw_fault fault;
    const char *names[2];
};

static inline char *read_source(const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, CW_SOURCE_DIR "/%s", name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return NULL;
    }
    char *text = calloc(1, (1 << 20) + CW_JSON_PADDING);
    size_t bytes = fread(text, 1, 1 << 20, file);
    text[bytes] = '\0';
    (void)fclose(file);
    return text;
}

static inline const struct cw_model *fixture_model(void *self, struct cw_view name)
{
    struct fixture *f = self;
    return cw_view_equal(name, cw_model_name(f->model)) ? f->model : NULL;
}

static inline bool fixture_template_exists(void *self, struct cw_view id)
{
    (void)self;
    return cw_view_equal(id, CW_VIEW("cart-recovery-v3")) || cw_view_equal(id, CW_VIEW("offer"));
}

static inline bool fixture_template_text(void *self, struct cw_view id, uint32_t number,
                                         struct cw_view *file, struct cw_view *text)
{
    (void)self;
    bool offer = cw_view_equal(id, CW_VIEW("offer"));
    *file = offer ? CW_VIEW("offer.html") : CW_VIEW("cart-recovery-v3.html");
    *text = offer
                ? CW_VIEW("<p>Hi {{customerName}}\n{{discountCode}}</p>")
                : CW_VIEW("<p>Hi {{customerName}}{{#discount}} {{discountCode}}{{/discount}}</p>");
    return number == 0;
}

static inline const char *const *fixture_models(void *self)
{
    static const char *const names[] = {"purchase-intent-v4", NULL};
    (void)self;
    return names;
}

static inline const char *const *fixture_templates(void *self)
{
    static const char *const names[] = {"cart-recovery-v3", "offer", NULL};
    (void)self;
    return names;
}

static inline struct cw_program_needs fixture_needs(struct fixture *f)
{
    return (struct cw_program_needs){.model = fixture_model,
                                     .template_exists = fixture_template_exists,
                                     .template_text = fixture_template_text,
                                     .model_names = fixture_models,
                                     .template_names = fixture_templates,
                                     .self = f};
}

static inline bool fixture_open(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    char *json = read_source("tools/models/purchase-intent-v4.json");
    if (json == NULL) {
        return false;
    }
    struct cw_view view = {json, (uint32_t)strlen(json)};
    cw_err err = cw_model_open(&f->model, view, "purchase-intent-v4.json", &f->fault);
    free(json);
    return err == CW_ERR_OK;
}

static inline void fixture_clear(struct fixture *f)
{
    cw_programs_close(f->programs);
    f->programs = NULL;
    cw_problems_deinit(&f->problems);
}

static inline void fixture_close(struct fixture *f)
{
    fixture_clear(f);
    cw_model_close(f->model);
}

static inline cw_err fixture_load_bytes(struct fixture *f, const char *yaml, size_t bytes)
{
    struct cw_program_file file = {.path = "p.yaml", .yaml = {yaml, (uint32_t)bytes}};
    struct cw_program_needs needs = fixture_needs(f);
    fixture_clear(f);
    return cw_programs_load(&f->programs, &file, 1, &needs, &f->problems, &f->fault);
}

static inline cw_err fixture_load(struct fixture *f, const char *yaml)
{
    return fixture_load_bytes(f, yaml, strlen(yaml));
}

/* A copy of the text with the first `find` replaced; NULL when it is not there. */
static inline char *patched(const char *text, const char *find, const char *replace)
{
    const char *at = strstr(text, find);
    if (at == NULL) {
        return NULL;
    }
    size_t head = (size_t)(at - text);
    size_t bytes = strlen(text) - strlen(find) + strlen(replace) + 1;
    char *copy = malloc(bytes);
    (void)snprintf(copy, bytes, "%.*s%s%s", (int)head, text, replace, at + strlen(find));
    return copy;
}

static inline const struct cw_problem *find_problem(const struct fixture *f, uint32_t line,
                                                    uint32_t column, const char *says)
{
    for (uint32_t i = 0; i < f->problems.count; i++) {
        const struct cw_problem *p = &f->problems.list[i];
        if (p->line == line && p->column == column && strstr(p->text, says) != NULL) {
            return p;
        }
    }
    return NULL;
}

static inline void print_problems(const struct fixture *f)
{
    for (uint32_t i = 0; i < f->problems.count; i++) {
        const struct cw_problem *p = &f->problems.list[i];
        (void)fprintf(stderr, "%s:%u:%u: %s: %s\n", p->file, p->line, p->column,
                      p->remark ? "remark" : "error", p->text);
    }
}

#endif
