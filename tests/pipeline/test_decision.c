/* Each kind of line, to the byte. */
#include "pipeline/decision.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>

#define AT INT64_C(1768754700123)
#define V  CW_VIEW

static struct cw_text text;

static void is(struct cw_decision decision, const char *line)
{
    decision.at = AT;
    if (decision.kind != CW_DECISION_INVALID) {
        decision.program = V("p");
        decision.customer = V("c");
        decision.cart = V("k");
    }
    cw_text_clear(&text);
    cw_decision_write(&decision, &text);
    cr_assert(eq(str, (char *)cw_text_terminate(&text), (char *)line));
}

#define HEAD(kind)                                                                                 \
    "{\"at\":\"2026-01-18T16:45:00.123Z\",\"kind\":\"" kind "\",\"program\":\"p\",\"customerId\":" \
    "\"c\",\"cartId\":\"k\""

Test(decision, a_candidate)
{
    struct cw_decision decision = {
        .kind = CW_DECISION_CANDIDATE,
        .u.candidate = {.score = 0.78004999,
                        .confidence = CW_CONFIDENCE_HIGH,
                        .discount = 10,
                        .touch_count = 2,
                        .touches = {{1, CW_CHANNEL_EMAIL, AT + 1}, {3, CW_CHANNEL_PUSH, AT + 2}}}};
    is(decision, HEAD("candidate") ",\"score\":0.78,\"confidence\":\"HIGH\",\"discountPercent\":10,"
                                   "\"touches\":[{\"touch\":1,\"channel\":\"email\",\"due\":\"2026-"
                                   "01-18T16:45:00.124Z\"},{\"touch\":3,\"channel\":\"push\","
                                   "\"due\":\"2026-01-18T16:45:00.125Z\"}]}\n");
    decision.u.candidate.touch_count = 0;
    decision.u.candidate.holdout = decision.u.candidate.updated = true;
    decision.u.candidate.score = 0.12345;
    decision.u.candidate.discount = 7.5;
    decision.u.candidate.confidence = CW_CONFIDENCE_LOW;
    is(decision, HEAD("candidate") ",\"score\":0.1235,\"confidence\":\"LOW\",\"discountPercent\":"
                                   "7.5,\"touches\":[],\"updated\":true,\"holdout\":true}\n");
    decision.u.candidate.holdout = false;
    decision.u.candidate.score = 1;
    decision.u.candidate.confidence = CW_CONFIDENCE_MEDIUM;
    is(decision, HEAD("candidate") ",\"score\":1,\"confidence\":\"MEDIUM\",\"discountPercent\":"
                                   "7.5,\"touches\":[],\"updated\":true}\n");
}

Test(decision, a_rejection_names_its_filter)
{
    static const char *const reasons[CW_REJECTION_COUNT] = {
        "none",      "unknown-customer", "account-not-active", "no-payment-method", "below-minimum",
        "purchased", "cart-not-active",  "cart-expired",       "marketplace",       "no-address",
        "opted-out", "frequency-cap",    "out-of-stock"};
    for (uint32_t i = 1; i < CW_REJECTION_COUNT; i++) {
        char line[512];
        (void)snprintf(line, sizeof line, "%s,\"filter\":\"f\\\"1\",\"reason\":\"%s\"}\n",
                       HEAD("rejected"), reasons[i]);
        is((struct cw_decision){.kind = CW_DECISION_REJECTED,
                                .u.rejected = {V("f\"1"), (enum cw_rejection)i}},
           line);
    }
}

Test(decision, kinds_that_say_nothing_more)
{
    is((struct cw_decision){.kind = CW_DECISION_DUPLICATE}, HEAD("duplicate") "}\n");
    is((struct cw_decision){.kind = CW_DECISION_SUPERSEDED}, HEAD("superseded") "}\n");
    is((struct cw_decision){.kind = CW_DECISION_EXPIRED}, HEAD("expired") "}\n");
}

Test(decision, a_touch)
{
    struct cw_decision decision = {.kind = CW_DECISION_TOUCH,
                                   .u.touch = {.touch = 2,
                                               .channel = CW_CHANNEL_SMS,
                                               .outcome = CW_OUTCOME_SENT,
                                               .until = INT64_MIN,
                                               .message_id = V("m"),
                                               .discount = 10,
                                               .code = V("CART10")}};
    is(decision, HEAD("touch") ",\"touch\":2,\"channel\":\"sms\",\"outcome\":\"sent\","
                               "\"messageId\":\"m\",\"discountPercent\":10,\"discountCode\":"
                               "\"CART10\"}\n");
    decision.u.touch.discount = 0;
    decision.u.touch.code = (struct cw_view){0};
    is(decision, HEAD("touch") ",\"touch\":2,\"channel\":\"sms\",\"outcome\":\"sent\","
                               "\"messageId\":\"m\"}\n");
    decision.u.touch.outcome = CW_OUTCOME_SKIPPED;
    decision.u.touch.reason = CW_TOUCH_REASON_LATE;
    is(decision, HEAD("touch") ",\"touch\":2,\"channel\":\"sms\",\"outcome\":\"skipped\","
                               "\"reason\":\"late\"}\n");
    decision.u.touch.outcome = CW_OUTCOME_DEFERRED;
    decision.u.touch.reason = CW_TOUCH_REASON_QUIET_HOURS;
    decision.u.touch.until = AT + 877;
    is(decision, HEAD("touch") ",\"touch\":2,\"channel\":\"sms\",\"outcome\":\"deferred\","
                               "\"reason\":\"quiet-hours\",\"until\":\"2026-01-18T16:45:01.000Z\""
                               "}\n");
    decision.u.touch.outcome = CW_OUTCOME_FAILED;
    decision.u.touch.reason = CW_TOUCH_REASON_PROVIDER;
    is(decision, HEAD("touch") ",\"touch\":2,\"channel\":\"sms\",\"outcome\":\"failed\","
                               "\"reason\":\"provider\"}\n");
    decision.u.touch.outcome = CW_OUTCOME_UNKNOWN;
    decision.u.touch.discount = 10;
    decision.u.touch.code = V("CART10");
    is(decision, HEAD("touch") ",\"touch\":2,\"channel\":\"sms\",\"outcome\":\"unknown\","
                               "\"reason\":\"provider\",\"messageId\":\"m\","
                               "\"discountPercent\":10,\"discountCode\":\"CART10\"}\n");
}

Test(decision, a_conversion)
{
    struct cw_decision decision = {
        .kind = CW_DECISION_CONVERTED,
        .u.converted = {
            .order = V("o"), .currency = V("USD"), .revenue = 135.5, .attributed_to = 2}};
    is(decision, HEAD("converted") ",\"orderId\":\"o\",\"revenue\":135.5,\"currency\":\"USD\","
                                   "\"attributedTo\":2}\n");
    decision.u.converted.currency = (struct cw_view){0};
    decision.u.converted.attributed_to = CW_ATTRIBUTED_ORGANIC;
    is(decision,
       HEAD("converted") ",\"orderId\":\"o\",\"revenue\":135.5,\"attributedTo\":\"organic\"}\n");
    decision.u.converted.attributed_to = CW_ATTRIBUTED_HOLDOUT;
    is(decision,
       HEAD("converted") ",\"orderId\":\"o\",\"revenue\":135.5,\"attributedTo\":\"holdout\"}\n");
}

Test(decision, a_cancellation)
{
    static const char *const reasons[CW_CANCEL_COUNT] = {"cart-cleared", "active-again", "erased",
                                                         "opted-out"};
    for (uint32_t i = 0; i < CW_CANCEL_COUNT; i++) {
        char line[512];
        (void)snprintf(line, sizeof line, "%s,\"reason\":\"%s\"}\n", HEAD("cancelled"), reasons[i]);
        is((struct cw_decision){.kind = CW_DECISION_CANCELLED, .u.cancelled = (enum cw_cancel)i},
           line);
    }
}

Test(decision, an_invalid_line_has_no_ids)
{
    is((struct cw_decision){.kind = CW_DECISION_INVALID,
                            .u.invalid = {.file = V("a/b.ndjson"),
                                          .reason = V("not \"JSON\""),
                                          .line = UINT64_MAX}},
       "{\"at\":\"2026-01-18T16:45:00.123Z\",\"kind\":\"invalid\",\"file\":\"a/b.ndjson\","
       "\"line\":18446744073709551615,\"reason\":\"not \\\"JSON\\\"\"}\n");
}

Test(decision, ids_are_escaped)
{
    struct cw_decision decision = {.at = AT,
                                   .kind = CW_DECISION_EXPIRED,
                                   .program = V("p\n"),
                                   .customer = V("\xc3\xa9\x01"),
                                   .cart = V("\\")};
    cw_text_clear(&text);
    cw_decision_write(&decision, &text);
    cr_assert(eq(str, (char *)cw_text_terminate(&text),
                 "{\"at\":\"2026-01-18T16:45:00.123Z\",\"kind\":\"expired\",\"program\":\"p\\n\","
                 "\"customerId\":\"\xc3\xa9\\u0001\",\"cartId\":\"\\\\\"}\n"));
}
