#include "core/problem.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

static const char *const keys[] = {"programId", "programName", "enabled", "marketplaces",
                                   "channels",  "filterChain", "minGap",  "to"};

static const char *nearest(const char *word)
{
    return cw_nearest(word, keys, CW_COUNTOF(keys));
}

Test(problem, the_nearest_key_is_named_for_a_slip)
{
    static const struct {
        const char *word, *nearest;
    } rows[] = {
        {"programId", "programId"},
        {"programID", "programId"},
        {"progamId", "programId"},
        {"enabeld", "enabled"},
        {"marketplace", "marketplaces"},
        {"chanels", "channels"},
        {"channles", "channels"},
        {"filterchain", "filterChain"},
        {"t", "to"},
        {"ot", "to"},
        {"", NULL},
        {"x", NULL},
        {"zzzzzzzzzz", NULL},
        {"quantity", NULL},
    };

    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        const char *found = nearest(rows[i].word);
        if (rows[i].nearest == NULL) {
            cr_assert(found == NULL, "%s gave %s", rows[i].word, found);
        } else {
            cr_assert(found != NULL, "%s gave nothing", rows[i].word);
            cr_assert(eq(str, (char *)found, (char *)rows[i].nearest));
        }
    }
}

Test(problem, the_first_of_equally_near_keys_is_named)
{
    static const char *const list[] = {"abcd", "abce"};
    cr_assert(eq(str, (char *)cw_nearest("abcf", list, 2), "abcd"));
    cr_assert(eq(ptr, (void *)cw_nearest("abcf", list, 0), NULL));
}

Test(problem, words_of_any_length_are_bounded)
{
    char word[4096];
    for (size_t bytes = 50; bytes < 70; bytes++) {
        memset(word, 'q', sizeof word);
        word[bytes] = '\0';
        char candidate[128];
        memset(candidate, 'q', sizeof candidate);
        candidate[127] = '\0';
        const char *const list[] = {candidate};
        const char *found = cw_nearest(word, list, 1);
        cr_assert(eq(int, found != NULL, bytes <= 63));
    }
    memset(word, 'q', sizeof word - 1);
    word[sizeof word - 1] = '\0';
    cr_assert(eq(ptr, (void *)nearest(word), NULL));
}

Test(problem, problems_beyond_the_most_are_counted_only)
{
    struct cw_problems problems = {0};
    for (uint32_t i = 0; i < CW_PROBLEMS_MAX + 50; i++) {
        cw_problem_error(&problems, "a.yaml", i + 1, 2, "wrong %u", i);
    }
    cw_problem_remark(&problems, "a.yaml", 1, 1, "remark");
    cr_assert(eq(u32, problems.count, CW_PROBLEMS_MAX));
    cr_assert(eq(u32, problems.errors, CW_PROBLEMS_MAX + 50));
    cr_assert(eq(u32, problems.remarks, 1));
    for (uint32_t i = 0; i < CW_PROBLEMS_MAX; i++) {
        cr_assert(eq(u32, problems.list[i].line, i + 1));
        cr_assert(not(problems.list[i].remark));
    }
    cr_assert(eq(str, problems.list[7].text, "wrong 7"));
    cw_problems_deinit(&problems);
    cr_assert(eq(u32, problems.count, 0));
    cw_problems_deinit(&problems);
}

Test(problem, long_texts_and_file_names_are_cut)
{
    struct cw_problems problems = {0};
    char text[2000];
    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    cw_problem_remark(&problems, text, 0, 0, "%s", text);
    cr_assert(eq(sz, strlen(problems.list[0].text), CW_PROBLEM_TEXT_BYTES - 1));
    cr_assert(eq(sz, strlen(problems.list[0].file), sizeof problems.list[0].file - 1));
    cr_assert(problems.list[0].remark);
    cw_problems_deinit(&problems);
}
