#include "core/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

void cw_problems_deinit(struct cw_problems *problems)
{
    free(problems->list);
    *problems = (struct cw_problems){0};
}

/* Where its text goes; NULL: there are enough of them. */
static struct cw_problem *add(struct cw_problems *problems, bool remark, const char *file,
                              uint32_t line, uint32_t column)
{
    *(remark ? &problems->remarks : &problems->errors) += 1;
    if (problems->count == CW_PROBLEMS_MAX) {
        return NULL;
    }
    if (problems->list == NULL) {
        problems->list = calloc(CW_PROBLEMS_MAX, sizeof problems->list[0]);
        CW_ASSERT(problems->list != NULL);
    }
    struct cw_problem *problem = &problems->list[problems->count++];
    problem->line = line;
    problem->column = column;
    problem->remark = remark;
    (void)snprintf(problem->file, sizeof problem->file, "%s", file);
    return problem;
}

__attribute__((format(printf, 2, 0))) static void say(struct cw_problem *problem,
                                                      const char *format, va_list args)
{
    if (problem != NULL) {
        (void)vsnprintf(problem->text, sizeof problem->text, format, args);
    }
}

void cw_problem_error(struct cw_problems *problems, const char *file, uint32_t line,
                      uint32_t column, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(add(problems, false, file, line, column), format, args);
    va_end(args);
}

void cw_problem_remark(struct cw_problems *problems, const char *file, uint32_t line,
                       uint32_t column, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(add(problems, true, file, line, column), format, args);
    va_end(args);
}

enum {
    WORD_MAX = 63
};

static uint32_t min3(uint32_t a, uint32_t b, uint32_t c)
{
    uint32_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Optimal string alignment distance, cut off at WORD_MAX bytes. */
static uint32_t distance(const char *a, uint32_t a_bytes, const char *b, uint32_t b_bytes)
{
    uint32_t rows[3][WORD_MAX + 2];
    for (uint32_t j = 0; j <= b_bytes; j++) {
        rows[0][j] = j;
    }
    for (uint32_t i = 1; i <= a_bytes; i++) {
        uint32_t *row = rows[i % 3];
        const uint32_t *above = rows[(i - 1) % 3];
        const uint32_t *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (uint32_t j = 1; j <= b_bytes; j++) {
            uint32_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
            row[j] = min3(above[j] + 1, row[j - 1] + 1, above[j - 1] + cost);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
                row[j] = row[j] < above2[j - 2] + 1 ? row[j] : above2[j - 2] + 1;
            }
        }
    }
    return rows[a_bytes % 3][b_bytes];
}

const char *cw_nearest(const char *word, const char *const *candidates, uint32_t count)
{
    size_t word_bytes = strnlen(word, WORD_MAX + 1);
    if (word_bytes > WORD_MAX) {
        return NULL;
    }
    const char *best = NULL;
    uint32_t best_distance = UINT32_MAX;
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = strnlen(candidates[i], WORD_MAX);
        uint32_t d = distance(word, (uint32_t)word_bytes, candidates[i], (uint32_t)bytes);
        if (d < best_distance) {
            best_distance = d;
            best = candidates[i];
        }
    }
    /* A third of the letters wrong is still a slip; more is another word. */
    uint32_t allowed = (uint32_t)word_bytes / 3 + 1;
    return best_distance <= allowed ? best : NULL;
}
