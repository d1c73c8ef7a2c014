#include "core/base.h"
#include "core/view.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <criterion/redirect.h>

#include <signal.h>

Test(base, a_broken_assertion_ends_the_process, .signal = SIGABRT)
{
    CW_ASSERT(1 + 1 == 3);
}

Test(base, a_kept_assertion_does_nothing)
{
    int evaluated = 0;
    CW_ASSERT(++evaluated == 1); /* NOLINT(bugprone-assert-side-effect): once, that is */
    cr_assert(eq(int, evaluated, 1));
}

#ifdef CW_CHECKS
Test(base, a_hot_assertion_ends_the_process_where_checks_are_on, .signal = SIGABRT)
{
    CW_ASSERT_HOT(false);
}
#else
Test(base, a_hot_assertion_is_not_evaluated_where_checks_are_off)
{
    int evaluated = 0;
    CW_ASSERT_HOT(++evaluated == 0);
    cr_assert(eq(int, evaluated, 0));
}
#endif

static struct cw_view view(const char *text)
{
    return (struct cw_view){text, text == NULL ? 0 : (uint32_t)strlen(text)};
}

Test(base, views_are_equal_by_their_bytes)
{
    cr_assert(cw_view_equal(view("abc"), view("abc")));
    cr_assert(not(cw_view_equal(view("abc"), view("abd"))));
    cr_assert(not(cw_view_equal(view("abc"), view("ab"))));
    cr_assert(cw_view_equal(view(""), view(NULL)), "nothing and the empty string hold no bytes");
}

Test(base, views_are_ordered_by_bytes_then_length)
{
    static const char *const sorted[] = {"", "a", "a\x01", "aa", "ab", "b", "\xc3\xa9", "\xff"};
    for (size_t i = 0; i < CW_COUNTOF(sorted); i++) {
        for (size_t j = 0; j < CW_COUNTOF(sorted); j++) {
            int order = cw_view_compare(view(sorted[i]), view(sorted[j]));
            cr_assert(eq(int, (order > 0) - (order < 0), (i > j) - (i < j)));
        }
    }
}
