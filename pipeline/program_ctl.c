/*
 * program: loads files as one set.
 *
 * Each file becomes a tree of positioned nodes (yaml_ctl.c), each mapping is read by its table of
 * keys (option_ctl.c, program_keys_ctl.c), and what depends on several keys is checked by the
 * reader of that part. Reading goes on after an error, with defaults in place of what was wrong,
 * so that one run tells all there is to mend; a set is made only when there was no error at all.
 */
#include "core/hash.h"
#include "pipeline/program_priv.h"

#include <stdlib.h>

enum {
    ARENA_CHUNK_BYTES = 64 << 10,
    ARENA_BYTES_MIN = 4 << 20,
    ARENA_BYTES_PER_PROGRAM = 256 << 10
};

/* Where programId was given, for "first in". */
struct cw_program_place {
    struct cw_view id;
    const char *file;
    uint32_t line;
};

struct cw_program_load {
    struct cw_programs *set;
    struct cw_program_place places[CW_PROGRAMS_MAX];
    struct cw_program_linted linted[(size_t)CW_PROGRAMS_MAX * CW_TOUCHES_MAX];
    uint32_t linted_count;
};

static cw_err open_set(struct cw_programs **set, const struct cw_program_file *files,
                       uint32_t count, struct cw_fault *fault)
{
    size_t text_bytes = 0;
    for (uint32_t i = 0; i < count; i++) {
        text_bytes += files[i].yaml.bytes;
    }
    struct cw_programs *fresh = calloc(1, sizeof *fresh);
    CW_ASSERT(fresh != NULL);
    /* Texts are copied once or twice and a chunk may be left half empty; all else is bounded by the
       lengths of lists. */
    size_t bytes_max = ARENA_BYTES_MIN + (size_t)count * ARENA_BYTES_PER_PROGRAM + text_bytes * 8;
    cw_err err = cw_arena_open(&fresh->arena, ARENA_CHUNK_BYTES, bytes_max, fault);
    if (err != CW_ERR_OK) {
        free(fresh);
        return err;
    }
    err = cw_pattern_set_open(&fresh->patterns, fault);
    if (err != CW_ERR_OK) {
        cw_arena_close(&fresh->arena);
        free(fresh);
        return err;
    }
    fresh->list = cw_arena_zalloc(&fresh->arena, count * sizeof fresh->list[0], 64);
    *set = fresh;
    return CW_ERR_OK;
}

void cw_programs_close(struct cw_programs *programs)
{
    if (programs == NULL) {
        return;
    }
    cw_pattern_set_close(programs->patterns);
    cw_arena_close(&programs->arena);
    free(programs);
}

/* Problems of one file in the order of its lines; those of templates follow. */
static void sort_problems(struct cw_problems *problems, uint32_t first, const char *file)
{
    for (uint32_t i = first + 1; i < problems->count; i++) { /* insertion: it is stable */
        struct cw_problem moved = problems->list[i];
        bool own = strncmp(moved.file, file, sizeof moved.file - 1) == 0;
        uint32_t j = i;
        for (; own && j > first; j--) {
            const struct cw_problem *before = &problems->list[j - 1];
            bool foreign = strncmp(before->file, file, sizeof moved.file - 1) != 0;
            if (!foreign && (before->line < moved.line ||
                             (before->line == moved.line && before->column <= moved.column))) {
                break;
            }
            problems->list[j] = *before;
        }
        problems->list[j] = moved;
    }
}

static void check_id(struct cw_program_load *load, const struct cw_program_reader *reader,
                     uint32_t index)
{
    struct cw_view id = reader->program->id;
    load->places[index] = (struct cw_program_place){.id = id, .file = reader->in.file};
    if (reader->id_node == 0) {
        return;
    }
    load->places[index].line = reader->in.doc->nodes[reader->id_node].line;
    for (uint32_t i = 0; i < index; i++) {
        if (load->places[i].line != 0 && cw_view_equal(load->places[i].id, id)) {
            char shown[48];
            cw_option_error(&reader->in, reader->id_node,
                            "programId \"%s\" is taken by %.120s:%u; give each program an id of "
                            "its own",
                            cw_yaml_printable(id, shown, sizeof shown), load->places[i].file,
                            load->places[i].line);
            return;
        }
    }
}

static cw_err load_file(struct cw_program_load *load, const struct cw_program_file *file,
                        const struct cw_program_needs *needs, struct cw_problems *problems,
                        struct cw_fault *fault)
{
    if (file->yaml.bytes > CW_PROGRAM_FILE_MAX) {
        cw_problem_error(problems, file->path, 0, 0,
                         "the file has %u bytes, a program at most %u; is it another file?",
                         file->yaml.bytes, CW_PROGRAM_FILE_MAX);
        return CW_ERR_OK;
    }
    struct cw_yaml *doc;
    cw_err err = cw_yaml_open(&doc, file->yaml, file->path, problems, fault);
    if (err != CW_ERR_OK) {
        return err == CW_ERR_INVALID ? CW_ERR_OK : err;
    }
    uint32_t index = load->set->count++;
    struct cw_program_reader reader = {
        .in = {.doc = doc, .file = file->path, .problems = problems, .tables = cw_program_tables},
        .set = load->set,
        .program = &load->set->list[index],
        .needs = needs,
        .linted = load->linted,
        .linted_count = &load->linted_count,
        .linted_max = CW_COUNTOF(load->linted),
    };
    cw_program_read(&reader);
    check_id(load, &reader, index);
    cw_yaml_close(doc);
    return CW_ERR_OK;
}

static int compare_programs(const void *a, const void *b)
{
    const struct cw_program *left = a;
    const struct cw_program *right = b;
    return cw_view_compare(left->id, right->id);
}

/* In any order of the files. */
static uint64_t hash_content(const struct cw_program_file *files, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += cw_hash((struct cw_hash_key){0, 0}, files[i].yaml.data, files[i].yaml.bytes);
    }
    return sum;
}

cw_err cw_programs_load(struct cw_programs **programs, const struct cw_program_file *files,
                        uint32_t count, const struct cw_program_needs *needs,
                        struct cw_problems *problems, struct cw_fault *fault)
{
    if (count == 0 || count > CW_PROGRAMS_MAX) {
        return cw_fail(fault, CW_ERR_LIMIT, "%u program files; from 1 to %u can run at once", count,
                       CW_PROGRAMS_MAX);
    }
    struct cw_program_load *load = calloc(1, sizeof *load);
    CW_ASSERT(load != NULL);
    uint32_t errors_before = problems->errors;
    cw_err err = open_set(&load->set, files, count, fault);
    for (uint32_t i = 0; err == CW_ERR_OK && i < count; i++) {
        uint32_t first = problems->count;
        err = load_file(load, &files[i], needs, problems, fault);
        sort_problems(problems, first, files[i].path);
    }
    struct cw_programs *set = load->set;
    free(load);
    if (err == CW_ERR_OK && problems->errors > errors_before) {
        uint32_t errors = problems->errors - errors_before;
        err = cw_fail(fault, CW_ERR_INVALID, "%u error%s in the program files", errors,
                      errors == 1 ? "" : "s");
    }
    if (err != CW_ERR_OK) {
        cw_programs_close(set);
        return err;
    }
    set->content = hash_content(files, count);
    qsort(set->list, set->count, sizeof set->list[0], compare_programs);
    cw_pattern_set_seal(set->patterns);
    cw_arena_seal(&set->arena);
    *programs = set;
    return CW_ERR_OK;
}

const struct cw_program *cw_programs_find(const struct cw_programs *programs, struct cw_view id)
{
    uint32_t low = 0;
    uint32_t high = programs->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = cw_view_compare(programs->list[middle].id, id);
        if (order == 0) {
            return &programs->list[middle];
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}
