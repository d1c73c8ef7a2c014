/*
 * assets: models and templates from directories, over those that are part of the program. A file of
 * a directory takes the place of the shipped one with its name.
 */
#ifndef _GNU_SOURCE
#    define _GNU_SOURCE 1 /* memrchr */
#endif
#include "tools/cli.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

enum {
    MODEL_BYTES_MAX = 1 << 20,
    PATH_BYTES = 4096
};

static bool ends_with(const char *name, const char *end)
{
    size_t bytes = strlen(name);
    size_t end_bytes = strlen(end);
    return bytes > end_bytes && strcmp(name + bytes - end_bytes, end) == 0;
}

static bool is_model_file(const char *name)
{
    return name[0] != '.' && ends_with(name, ".json");
}

static bool is_template_file(const char *name)
{
    return name[0] != '.' && (ends_with(name, ".html") || ends_with(name, ".txt"));
}

static void free_text(const char *data)
{
    /* It came from malloc, and only its reader is const. */
    free((void *)(uintptr_t)data); /* NOLINT(performance-no-int-to-ptr) */
}

/* ---- models ---- */

static bool has_model(const struct cw_assets *assets, struct cw_view name)
{
    for (uint32_t i = 0; i < assets->model_count; i++) {
        if (cw_view_equal(cw_model_name(assets->models[i]), name)) {
            return true;
        }
    }
    return false;
}

static cw_err add_model(struct cw_assets *assets, struct cw_view json, const char *file,
                        bool shipped, struct cw_fault *fault)
{
    struct cw_model *model;
    cw_err err = cw_model_open(&model, json, file, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_view name = cw_model_name(model);
    bool taken = has_model(assets, name);
    if (!taken && assets->model_count < CW_COUNTOF(assets->models)) {
        assets->models[assets->model_count++] = model;
        return CW_ERR_OK;
    }
    if (taken && shipped) {
        cw_model_close(model);
        return CW_ERR_OK;
    }
    err = taken ? cw_fail(fault, CW_ERR_INVALID, "%s: another file holds a model \"%.*s\" too",
                          file, (int)name.bytes, name.data)
                : cw_fail(fault, CW_ERR_LIMIT, "%s: more than %zu models", file,
                          CW_COUNTOF(assets->models));
    cw_model_close(model);
    return err;
}

static cw_err add_model_file(struct cw_assets *assets, const char *path, const char *name,
                             struct cw_fault *fault)
{
    (void)name; /* a model has its name inside */
    struct cw_view json;
    cw_err err = cw_file_read(path, MODEL_BYTES_MAX, &json, fault);
    if (err == CW_ERR_OK) {
        err = add_model(assets, json, path, false, fault);
        free_text(json.data);
    }
    return err;
}

/* ---- templates ---- */

static bool has_template_file(const struct cw_assets *assets, const char *name)
{
    for (uint32_t i = 0; i < assets->template_count; i++) {
        if (strcmp(assets->template_files[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* The text stays: the assets free it unless it is a shipped one. */
static cw_err add_template(struct cw_assets *assets, struct cw_view text, const char *name,
                           bool shipped, struct cw_fault *fault)
{
    struct cw_view file = {name, (uint32_t)strlen(name)};
    if (file.bytes >= sizeof assets->template_files[0].name) {
        return cw_fail(fault, CW_ERR_INVALID, "template %.60s...: the name is too long", name);
    }
    if (assets->template_count == CW_TEMPLATES_MAX) {
        return cw_fail(fault, CW_ERR_LIMIT, "template %s: there are more than %u", name,
                       CW_TEMPLATES_MAX);
    }
    cw_err err = cw_templates_add(assets->templates, file, text, fault);
    if (err == CW_ERR_OK) {
        uint32_t place = assets->template_count++;
        memcpy(assets->template_files[place].name, name, file.bytes + 1);
        assets->template_files[place].text = text;
        assets->template_files[place].shipped = shipped;
    }
    return err;
}

static cw_err add_template_file(struct cw_assets *assets, const char *path, const char *name,
                                struct cw_fault *fault)
{
    struct cw_view text;
    cw_err err = cw_file_read(path, CW_TEMPLATE_BYTES_MAX, &text, fault);
    if (err == CW_ERR_OK) {
        err = add_template(assets, text, name, false, fault);
        if (err != CW_ERR_OK) {
            free_text(text.data);
            return cw_fail_while(fault, "%s", path);
        }
    }
    return err;
}

/* The file's name without .html or .txt. */
static struct cw_view stem_of(const char *name)
{
    size_t bytes = strlen(name);
    return (struct cw_view){name, (uint32_t)(bytes - (ends_with(name, ".html") ? 5 : 4))};
}

/* True when the file is ID.html or ID.txt (plain), or one of them for a locale. */
static bool is_of(const char *name, struct cw_view id, bool *plain)
{
    struct cw_view stem = stem_of(name);
    if (stem.bytes < id.bytes || memcmp(stem.data, id.data, id.bytes) != 0) {
        return false;
    }
    *plain = stem.bytes == id.bytes;
    return *plain || (stem.data[id.bytes] == '.' &&
                      memchr(stem.data + id.bytes + 1, '.', stem.bytes - id.bytes - 1) == NULL);
}

/* True when there is ID.html, which every locale falls back to. */
static bool template_exists(void *self, struct cw_view id)
{
    const struct cw_assets *assets = self;
    for (uint32_t i = 0; i < assets->template_count; i++) {
        bool plain;
        const char *name = assets->template_files[i].name;
        if (ends_with(name, ".html") && is_of(name, id, &plain) && plain) {
            return true;
        }
    }
    return false;
}

/* ---- walking ---- */

typedef bool cw_asset_filter_fn(const char *name);
typedef cw_err cw_asset_add_fn(struct cw_assets *assets, const char *path, const char *name,
                               struct cw_fault *fault);

static cw_err add_directory(struct cw_assets *assets, const char *directory,
                            cw_asset_filter_fn *wanted, cw_asset_add_fn *add,
                            struct cw_fault *fault)
{
    struct dirent **entries;
    int count = scandir(directory, &entries, NULL, alphasort);
    if (count < 0) {
        return cw_fail(fault, CW_ERR_IO, "opening %s", directory);
    }
    cw_err err = CW_ERR_OK;
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        char path[PATH_BYTES];
        if (err == CW_ERR_OK && wanted(name)) {
            int bytes = snprintf(path, sizeof path, "%s/%s", directory, name);
            err = bytes < 0 || (size_t)bytes >= sizeof path
                      ? cw_fail(fault, CW_ERR_LIMIT, "%.100s...: the path is too long", path)
                      : add(assets, path, name, fault);
        }
        free(entries[i]);
    }
    free(entries);
    return err;
}

static cw_err add_shipped(struct cw_assets *assets, struct cw_fault *fault)
{
    const char *file;
    cw_err err = CW_ERR_OK;
    for (uint32_t i = 0; err == CW_ERR_OK && (file = cw_shipped_name(i)) != NULL; i++) {
        const char *name = strchr(file, '/');
        if (name == NULL) {
            continue;
        }
        name++;
        if (strncmp(file, "models/", 7) == 0 && is_model_file(name)) {
            err = add_model(assets, cw_shipped(file), file, true, fault);
        } else if (strncmp(file, "templates/", 10) == 0 && is_template_file(name) &&
                   !has_template_file(assets, name)) {
            err = add_template(assets, cw_shipped(file), name, true, fault);
        }
    }
    return err;
}

static const char *copy_name(struct cw_view name)
{
    char *copy = malloc((size_t)name.bytes + 1);
    CW_ASSERT(copy != NULL);
    memcpy(copy, name.data, name.bytes);
    copy[name.bytes] = '\0';
    return copy;
}

/* Names for messages: models, and the templates that are no other one's locale. */
static void list_names(struct cw_assets *assets)
{
    for (uint32_t i = 0; i < assets->model_count; i++) {
        assets->model_names[i] = copy_name(cw_model_name(assets->models[i]));
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < assets->template_count; i++) {
        const char *name = assets->template_files[i].name;
        struct cw_view id = stem_of(name);
        const char *locale = memrchr(id.data, '.', id.bytes);
        struct cw_view shorter = {id.data, locale == NULL ? 0 : (uint32_t)(locale - id.data)};
        if (ends_with(name, ".html") && (locale == NULL || !template_exists(assets, shorter))) {
            assets->template_names[count++] = copy_name(id);
        }
    }
}

cw_err cw_assets_open(struct cw_assets *assets, const char *models_dir, const char *templates_dir,
                      struct cw_fault *fault)
{
    *assets = (struct cw_assets){.models_dir = models_dir, .templates_dir = templates_dir};
    cw_err err = cw_templates_open(&assets->templates, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    if (models_dir != NULL) {
        err = add_directory(assets, models_dir, is_model_file, add_model_file, fault);
    }
    if (err == CW_ERR_OK && templates_dir != NULL) {
        err = add_directory(assets, templates_dir, is_template_file, add_template_file, fault);
    }
    if (err == CW_ERR_OK) {
        err = add_shipped(assets, fault);
    }
    if (err != CW_ERR_OK) {
        cw_assets_close(assets);
        return err;
    }
    list_names(assets);
    return CW_ERR_OK;
}

void cw_assets_close(struct cw_assets *assets)
{
    cw_templates_close(assets->templates);
    for (uint32_t i = 0; i < assets->template_count; i++) {
        if (!assets->template_files[i].shipped) {
            free_text(assets->template_files[i].text.data);
        }
    }
    for (uint32_t i = 0; i < assets->model_count; i++) {
        cw_model_close(assets->models[i]);
        free_text(assets->model_names[i]);
    }
    for (uint32_t i = 0; assets->template_names[i] != NULL; i++) {
        free_text(assets->template_names[i]);
    }
    *assets = (struct cw_assets){0};
}

/* ---- what programs need ---- */

static const struct cw_model *find_model(void *self, struct cw_view name)
{
    const struct cw_assets *assets = self;
    for (uint32_t i = 0; i < assets->model_count; i++) {
        if (cw_view_equal(cw_model_name(assets->models[i]), name)) {
            return assets->models[i];
        }
    }
    return NULL;
}

static bool template_text(void *self, struct cw_view id, uint32_t number, struct cw_view *file,
                          struct cw_view *text)
{
    const struct cw_assets *assets = self;
    for (uint32_t i = 0; i < assets->template_count; i++) {
        bool plain;
        const char *name = assets->template_files[i].name;
        if (is_of(name, id, &plain) && number-- == 0) {
            *file = (struct cw_view){name, (uint32_t)strlen(name)};
            *text = assets->template_files[i].text;
            return true;
        }
    }
    return false;
}

static const char *const *model_names(void *self)
{
    const struct cw_assets *assets = self;
    return assets->model_names;
}

static const char *const *template_names(void *self)
{
    const struct cw_assets *assets = self;
    return assets->template_names;
}

struct cw_program_needs cw_assets_needs(struct cw_assets *assets)
{
    return (struct cw_program_needs){
        .model = find_model,
        .template_exists = template_exists,
        .template_text = template_text,
        .model_names = model_names,
        .template_names = template_names,
        .self = assets,
    };
}

/* ---- program files ---- */

uint32_t cw_program_files_read(const char *const *paths, uint32_t count,
                               struct cw_program_file *files, struct cw_problems *problems)
{
    uint32_t good = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct cw_fault fault;
        struct cw_view yaml;
        cw_err err = cw_file_read(paths[i], CW_PROGRAM_FILE_MAX, &yaml, &fault);
        if (err == CW_ERR_OK) {
            files[good++] = (struct cw_program_file){.path = paths[i], .yaml = yaml};
        } else if (fault.sys_errno != 0) {
            const char *why = strerror(fault.sys_errno); /* NOLINT: one thread */
            cw_problem_error(problems, paths[i], 0, 0,
                             "the file cannot be read (%s); check its name and permissions", why);
        } else {
            cw_problem_error(problems, paths[i], 0, 0,
                             "the file cannot be read as a program: %.200s", fault.text);
        }
    }
    return good;
}

void cw_program_files_free(struct cw_program_file *files, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        free_text(files[i].yaml.data);
        files[i].yaml = (struct cw_view){NULL, 0};
    }
}

cw_err cw_programs_load_told(struct cw_programs **programs, const struct cw_program_file *files,
                             uint32_t count, struct cw_assets *assets, struct cw_problems *problems,
                             struct cw_fault *fault)
{
    const struct cw_program_file shipped = {.path = CW_PROGRAM_SHIPPED,
                                            .yaml = cw_shipped(CW_PROGRAM_SHIPPED)};
    struct cw_program_needs needs = cw_assets_needs(assets);
    struct cw_programs *read = NULL;
    cw_err err = cw_programs_load(&read, count == 0 ? &shipped : files, count == 0 ? 1 : count,
                                  &needs, problems, fault);
    cw_templates_lint(assets->templates, problems);
    if (problems->errors > 0 && (err == CW_ERR_OK || err == CW_ERR_INVALID)) {
        cw_programs_close(read);
        err = cw_fail(fault, CW_ERR_INVALID, "%u error%s in the program files", problems->errors,
                      problems->errors == 1 ? "" : "s");
    }
    if (err == CW_ERR_OK) {
        *programs = read;
    }
    return err;
}

/* NOLINTNEXTLINE(readability-function-size): what is read, with what, what came of it */
cw_err cw_programs_read_kept(struct cw_programs **programs, const char *const *paths,
                             uint32_t count, struct cw_assets *assets,
                             struct cw_program_file *files, uint32_t *good,
                             struct cw_problems *problems, struct cw_fault *fault)
{
    *good = 0;
    if (count > CW_PROGRAMS_MAX) {
        return cw_fail(fault, CW_ERR_LIMIT, "%u program files; at most %u can run at once", count,
                       CW_PROGRAMS_MAX);
    }
    *good = cw_program_files_read(paths, count, files, problems);
    if (*good == 0 && count > 0) {
        cw_templates_lint(assets->templates, problems);
        return cw_fail(fault, CW_ERR_INVALID, "%u error%s in the program files", problems->errors,
                       problems->errors == 1 ? "" : "s");
    }
    return cw_programs_load_told(programs, files, *good, assets, problems, fault);
}

cw_err cw_programs_read_told(struct cw_programs **programs, const char *const *paths,
                             uint32_t count, struct cw_assets *assets, struct cw_problems *problems,
                             struct cw_fault *fault)
{
    struct cw_program_file files[CW_PROGRAMS_MAX];
    uint32_t good;
    cw_err err =
        cw_programs_read_kept(programs, paths, count, assets, files, &good, problems, fault);
    cw_program_files_free(files, good);
    return err;
}

cw_err cw_programs_read(struct cw_programs **programs, const char *const *paths, uint32_t count,
                        struct cw_assets *assets, struct cw_fault *fault)
{
    struct cw_problems problems = {0};
    cw_err err = cw_programs_read_told(programs, paths, count, assets, &problems, fault);
    if (problems.errors > 0) { /* remarks alone are for `cartwheel check` */
        cw_problems_print(&problems, stderr);
    }
    cw_problems_deinit(&problems);
    return err;
}
