/*
 * problem: what is wrong with a configuration, all of it, each with its place and a remedy.
 *
 * Life:    init -> add* -> read -> deinit. Memory: the list's own. Threads: one at a time.
 * Bounds:  CW_PROBLEMS_MAX kept; further ones are counted only.
 */
#ifndef CW_CORE_PROBLEM_H
#define CW_CORE_PROBLEM_H

#include "core/base.h"
#include "core/view.h"

#define CW_PROBLEMS_MAX       200
#define CW_PROBLEM_TEXT_BYTES 400

struct cw_problem {
    char file[256];
    uint32_t line, column; /* from 1; 0: the file as a whole */
    bool remark;           /* worth knowing, not an error */
    char text[CW_PROBLEM_TEXT_BYTES];
};

struct cw_problems {
    struct cw_problem *list;
    uint32_t count;
    uint32_t errors, remarks; /* counted also beyond CW_PROBLEMS_MAX */
};

void cw_problems_deinit(struct cw_problems *problems);

/* text: one sentence saying what is wrong, then what to do. */
void cw_problem_error(struct cw_problems *problems, const char *file, uint32_t line,
                      uint32_t column, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
void cw_problem_remark(struct cw_problems *problems, const char *file, uint32_t line,
                       uint32_t column, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* The candidate nearest to word by edit distance (transpositions count one), or NULL when none is
   near enough to be worth naming. */
const char *cw_nearest(const char *word, const char *const *candidates, uint32_t count);

#endif
