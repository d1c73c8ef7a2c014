/*
 * money: amounts as people of a place read them: $1,234.50, in Germany 1.234,50 and the sign.
 *
 * Money is counted in whole minor units (cents; yen have none). An amount from outside is a
 * binary64 in major units; it is rounded once, to the nearest minor unit, halves away from zero
 * as they are written in decimal: 1.005 is 1.01 though its binary64 lies just below.
 *
 * Memory: the caller's text. Threads: any; there is no state.
 */
#ifndef CW_PIPELINE_MONEY_H
#define CW_PIPELINE_MONEY_H

#include "core/text.h"

#define CW_MONEY_MAX 1e14 /* of an amount, either sign; hundred times the largest accepted one */

/* digits: of the minor unit, at most 4 (cw_currency_digits). */
int64_t cw_money_minor(double amount, uint32_t digits);

/*
 * Writes an amount with its symbol as the locale does, e.g. with USD and en-US $1,234.50. The space
 * between number and symbol is a no-break one (U+00A0). A currency without a known symbol follows
 * by its code, "1,234.50 CHF"; a currency not known (NULL) prints the number with two decimals. A
 * tag not known (NULL, or none of the table) writes as en-US.
 */
void cw_money_format(struct cw_text *out, double amount, struct cw_view currency,
                     struct cw_view tag);

#endif
