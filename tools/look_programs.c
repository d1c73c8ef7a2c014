/*
 * look_programs: the programs that rows are read with, as far as they are good.
 *
 * A row names its program by id. Of the program itself reading takes which touches and keys it has
 * now; a row whose program is gone is read as well, for a start may find one gone. So no program
 * can make a good state unreadable: templates and models are not looked for in earnest, and a file
 * that came with the state and is no program is left out. Each is told as a warning, because a
 * start wants them. A file that the user named is another matter: there the words are wrong.
 */
#include "tools/look.h"

#include <stdio.h>
#include <string.h>

static const struct cw_model *any_model(void *self, struct cw_view name)
{
    struct cw_assets *assets = self;
    struct cw_program_needs needs = cw_assets_needs(assets);
    const struct cw_model *model = needs.model(needs.self, name);
    return model != NULL || assets->model_count == 0 ? model : assets->models[0];
}

static bool any_template(void *self, struct cw_view id)
{
    (void)self;
    (void)id;
    return true;
}

static bool no_text(void *self, struct cw_view id, uint32_t number, struct cw_view *file,
                    struct cw_view *text)
{
    (void)self;
    (void)id;
    (void)number;
    (void)file;
    (void)text;
    return false;
}

static const char *const *no_names(void *self)
{
    static const char *const none[] = {NULL};
    (void)self;
    return none;
}

/* Programs whose templates and models are taken to be there; their problems are told already. */
static cw_err load(struct cw_look *look, const struct cw_program_file *files, uint32_t count,
                   struct cw_programs **programs, struct cw_fault *fault)
{
    const struct cw_program_needs needs = {.model = any_model,
                                           .template_exists = any_template,
                                           .template_text = no_text,
                                           .model_names = no_names,
                                           .template_names = no_names,
                                           .self = &look->assets};
    struct cw_problems problems = {0};
    cw_err err = cw_programs_load(programs, files, count, &needs, &problems, fault);
    cw_problems_deinit(&problems);
    return err;
}

/* Those of the files that go together, one after the other; the shipped program when none does. */
static cw_err load_good(struct cw_look *look, struct cw_fault *fault)
{
    struct cw_program_file good[CW_PROGRAMS_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < look->file_count; i++) {
        struct cw_programs *made = NULL;
        good[count] = look->files[i];
        cw_err err = load(look, good, count + 1, &made, fault);
        if (err == CW_ERR_OK) {
            cw_programs_close(look->programs);
            look->programs = made;
            count++;
        } else if (err == CW_ERR_INVALID) {
            look->left_out = true;
            (void)fprintf(stderr,
                          "cartwheel: WARNING: %s is left out, and its rows are read as those of a "
                          "program that is gone\n",
                          look->files[i].path);
        } else {
            return err;
        }
    }
    const struct cw_program_file shipped = {.path = CW_PROGRAM_SHIPPED,
                                            .yaml = cw_shipped(CW_PROGRAM_SHIPPED)};
    return count > 0 ? CW_ERR_OK : load(look, &shipped, 1, &look->programs, fault);
}

static void warn(const struct cw_problems *problems)
{
    for (uint32_t i = 0; i < problems->count; i++) {
        const struct cw_problem *p = &problems->list[i];
        if (!p->remark) {
            (void)fprintf(stderr, "%s:%u:%u: warning: %s\n", p->file, p->line, p->column, p->text);
        }
    }
    (void)fprintf(stderr,
                  "cartwheel: WARNING: the rows do not need it and are read all the same; a start "
                  "does: mend the programs by then, and have their templates and models in the "
                  "directories that the engine file names\n");
}

/* What is wrong is told in names that hold wherever the state goes. */
static void name_within(struct cw_look *look, struct cw_problems *problems)
{
    size_t beside = strlen(look->path) + 1;
    for (uint32_t i = 0; i < look->file_count; i++) {
        look->files[i].path += beside;
    }
    for (uint32_t i = 0; i < problems->count; i++) {
        struct cw_problem *p = &problems->list[i];
        if (strlen(p->file) > beside) {
            memmove(p->file, p->file + beside, strlen(p->file) - beside + 1);
        }
    }
}

cw_err cw_look_programs(struct cw_look *look, const char *const *names, uint32_t count, bool came,
                        struct cw_fault *fault)
{
    struct cw_problems problems = {0};
    cw_err err;
    look->file_count = cw_program_files_read(names, count, look->files, &problems);
    if (came) {
        name_within(look, &problems);
    }
    bool all = look->file_count == count;
    err = all ? cw_programs_load_told(&look->programs, look->files, look->file_count, &look->assets,
                                      &problems, fault)
              : cw_fail(fault, CW_ERR_INVALID, "a program file cannot be read");
    if (err == CW_ERR_INVALID) {
        struct cw_fault told = *fault;
        err = all ? load(look, look->files, look->file_count, &look->programs, fault) : err;
        if (err == CW_ERR_INVALID && came) {
            warn(&problems);
            err = load_good(look, fault);
        } else if (err == CW_ERR_OK) {
            warn(&problems);
        } else if (err == CW_ERR_INVALID) {
            *fault = told;
            cw_problems_print(&problems, stderr);
        }
    }
    cw_problems_deinit(&problems);
    return err;
}

/* ---- those that ran ---- */

/* look->ran holds each id behind a byte with its length. */
static_assert(CW_ID_BYTES_MAX <= UINT8_MAX, "a length is a byte");

static bool next_ran(const struct cw_look *look, size_t *at, struct cw_view *id)
{
    if (*at == look->ran.bytes) {
        return false;
    }
    *id = (struct cw_view){look->ran.data + *at + 1, (uint8_t)look->ran.data[*at]};
    *at += 1 + id->bytes;
    return true;
}

static void add_ran(void *with, struct cw_view id)
{
    struct cw_look *look = with;
    struct cw_view known;
    for (size_t at = 0; next_ran(look, &at, &known);) {
        if (cw_view_equal(known, id)) {
            return;
        }
    }
    cw_text_char(&look->ran, (char)id.bytes);
    cw_text_view(&look->ran, id);
}

void cw_look_note_ran(struct cw_look *look, const struct cw_pipeline *pipeline)
{
    cw_pipeline_ran(pipeline, add_ran, look);
}

int cw_look_prove_ran(const struct cw_look *look)
{
    struct cw_text told = {0};
    struct cw_view id;
    uint32_t count = 0;
    bool same = true;
    for (size_t at = 0; next_ran(look, &at, &id); count++) {
        cw_text_puts(&told, count > 0 ? ", " : "");
        cw_text_json(&told, id);
        same = same && cw_programs_find(look->programs, id) != NULL;
    }
    same = count == 0 || (same && !look->left_out && count == look->programs->count);
    if (!same) {
        (void)fprintf(stderr,
                      "cartwheel: the state ran the program%s %.*s: name %s, or the engine file "
                      "with -c\n",
                      count == 1 ? "" : "s", (int)told.bytes, told.data,
                      count == 1 ? "its file" : "their files");
    }
    cw_text_deinit(&told);
    return same ? CW_EXIT_OK : CW_EXIT_USAGE;
}
