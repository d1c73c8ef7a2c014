/* The rule of discounts (decision D7). */
#include "pipeline/pipeline_priv.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <math.h>

static struct cw_program program(bool dynamic, double base, double max, double step)
{
    struct cw_program made = {0};
    made.discount.enabled = true;
    made.discount.dynamic = dynamic;
    made.discount.base = base;
    made.discount.max = max;
    made.discount.step = step;
    return made;
}

static double percent(bool dynamic, double base, double max, double step, double score,
                      double sensitivity)
{
    struct cw_program made = program(dynamic, base, max, step);
    return cw_discount(&made, score, sensitivity).percent;
}

Test(discount, the_rule_by_example)
{
    static const struct {
        double base, max, step, score, sensitivity, percent;
    } rows[] = {
        /* s (1 - p) at most 0.2: the default; at least 0.8: the most. */
        {10, 20, 5, 0.78, 0.5, 10},
        {10, 20, 5, 0.8, 1, 10},
        {10, 20, 5, 0, 0.2, 10},
        {10, 20, 5, 0, 0.8, 20},
        {10, 20, 5, 0, 1, 20},
        {10, 20, 5, 0, 0.5, 15},
        /* Ties go down: exactly half way between 10 and 20 by 10. */
        {10, 20, 10, 0, 0.5, 10},
        {0, 20, 5, 0, 0.5, 10},
        {0, 5, 5, 0, 0.5, 0},
        /* Just above a tie goes up. */
        {10, 20, 10, 0, 0.51, 20},
        /* The most is no multiple: the largest that is. */
        {10, 18, 5, 0, 1, 15},
        {10, 14, 5, 0, 1, 10},
        {3, 4, 5, 0, 1, 0},
        /* Nor is the default: its nearest. */
        {7, 20, 5, 1, 1, 5},
        {8, 20, 5, 1, 1, 10},
        {7.5, 20, 5, 1, 1, 5},
        {13, 13, 5, 1, 1, 10},
        /* Other steps. */
        {10, 20, 1, 0, 0.5, 15},
        {10, 20, 2.5, 0, 0.6, 17.5},
        {0, 100, 100, 0, 1, 100},
    };

    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        double found = percent(true, rows[i].base, rows[i].max, rows[i].step, rows[i].score,
                               rows[i].sensitivity);
        cr_assert(eq(dbl, found, rows[i].percent), "row %zu", i);
    }
}

Test(discount, off_is_nothing_and_static_is_the_default)
{
    struct cw_program off = program(true, 10, 20, 5);
    off.discount.enabled = false;
    cr_assert(eq(dbl, cw_discount(&off, 0, 1).percent, 0));
    cr_assert(eq(dbl, percent(false, 10, 20, 5, 0, 1), 10));
    cr_assert(eq(dbl, percent(false, 7, 20, 5, 0, 1), 7), "as configured, no multiple");
}

Test(discount, a_sensitivity_never_told_is_a_half)
{
    struct cw_program made = program(true, 0, 60, 1);
    for (double score = 0; score <= 1; score += 0.125) {
        struct cw_discount unknown = cw_discount(&made, score, NAN);
        cr_assert(eq(dbl, unknown.sensitivity, 0.5));
        cr_assert(eq(dbl, unknown.percent, cw_discount(&made, score, 0.5).percent));
    }
}

Test(discount, it_is_a_multiple_between_nothing_and_the_most_and_falls_with_intent)
{
    for (double base = 0; base <= 30; base += 1.5) {
        for (double max = base; max <= 40; max += 3.5) {
            for (double step = 0.5; step <= 10; step *= 2) {
                double before = 100;
                for (double score = 0; score <= 1; score += 1.0 / 64) {
                    double found = percent(true, base, max, step, score, 0.9);
                    cr_assert(le(dbl, found, max));
                    cr_assert(le(dbl, found, before), "a surer customer never gets more");
                    cr_assert(eq(dbl, found / step, round(found / step)));
                    before = found;
                }
                double least = percent(true, base, max, step, 1, 0.9);
                cr_assert(le(dbl, fabs(least - base), step));
            }
        }
    }
}
