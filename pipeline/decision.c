#include "pipeline/decision.h"

#include <math.h>
#include <string.h>

/* The word of each value of an enum, from its list. */
#define CW_X(name, text) text,
#define NAME_OF(function, type, value, list)              \
    const char *function(type value)                      \
    {                                                     \
        static const char *const names[] = {list(CW_X)};  \
        CW_ASSERT((uint32_t)(value) < CW_COUNTOF(names)); \
        return names[value];                              \
    }

NAME_OF(cw_decision_name, enum cw_decision_kind, kind, CW_DECISIONS)
NAME_OF(cw_rejection_name, enum cw_rejection, rejection, CW_REJECTIONS)
NAME_OF(cw_outcome_name, enum cw_outcome, outcome, CW_OUTCOMES)
NAME_OF(cw_touch_reason_name, enum cw_touch_reason, reason, CW_TOUCH_REASONS)
NAME_OF(cw_cancel_name, enum cw_cancel, cancel, CW_CANCELS)
NAME_OF(cw_confidence_name, enum cw_confidence, confidence, CW_CONFIDENCES)
#undef NAME_OF
#undef CW_X

static void key(struct cw_text *out, const char *name)
{
    cw_text_char(out, ',');
    cw_text_char(out, '"');
    cw_text_puts(out, name);
    cw_text_put(out, "\":", 2);
}

static void word(struct cw_text *out, const char *name, const char *value)
{
    key(out, name);
    cw_text_char(out, '"');
    cw_text_puts(out, value);
    cw_text_char(out, '"');
}

static void string(struct cw_text *out, const char *name, struct cw_view value)
{
    if (value.data != NULL) {
        key(out, name);
        cw_text_json(out, value);
    }
}

static void number(struct cw_text *out, const char *name, double value)
{
    key(out, name);
    cw_text_number(out, value);
}

static void unsigned_number(struct cw_text *out, const char *name, uint64_t value)
{
    key(out, name);
    cw_text_u64(out, value);
}

static void instant(struct cw_text *out, const char *name, int64_t ms)
{
    key(out, name);
    cw_text_json_time(out, ms);
}

static void write_candidate(const struct cw_decision *decision, struct cw_text *out)
{
    /* Scores are printed to 4 decimals; all else uses the score itself. */
    number(out, "score", round(decision->u.candidate.score * 1e4) / 1e4);
    word(out, "confidence", cw_confidence_name(decision->u.candidate.confidence));
    number(out, "discountPercent", decision->u.candidate.discount);
    key(out, "touches");
    cw_text_char(out, '[');
    for (uint32_t i = 0; i < decision->u.candidate.touch_count; i++) {
        cw_text_puts(out, i == 0 ? "{\"touch\":" : ",{\"touch\":");
        cw_text_u64(out, decision->u.candidate.touches[i].touch);
        word(out, "channel", cw_channel_name(decision->u.candidate.touches[i].channel));
        instant(out, "due", decision->u.candidate.touches[i].due);
        cw_text_char(out, '}');
    }
    cw_text_char(out, ']');
    if (decision->u.candidate.updated) {
        key(out, "updated");
        cw_text_puts(out, "true");
    }
    if (decision->u.candidate.holdout) {
        key(out, "holdout");
        cw_text_puts(out, "true");
    }
}

static void write_touch(const struct cw_decision *decision, struct cw_text *out)
{
    unsigned_number(out, "touch", decision->u.touch.touch);
    word(out, "channel", cw_channel_name(decision->u.touch.channel));
    word(out, "outcome", cw_outcome_name(decision->u.touch.outcome));
    if (decision->u.touch.outcome != CW_OUTCOME_SENT) {
        word(out, "reason", cw_touch_reason_name(decision->u.touch.reason));
    }
    if (decision->u.touch.outcome == CW_OUTCOME_DEFERRED) {
        instant(out, "until", decision->u.touch.until);
    }
    if (decision->u.touch.outcome == CW_OUTCOME_SENT ||
        decision->u.touch.outcome == CW_OUTCOME_UNKNOWN) {
        string(out, "messageId", decision->u.touch.message_id);
        if (decision->u.touch.discount > 0) {
            number(out, "discountPercent", decision->u.touch.discount);
            string(out, "discountCode", decision->u.touch.code);
        }
    }
}

static void write_converted(const struct cw_decision *decision, struct cw_text *out)
{
    string(out, "orderId", decision->u.converted.order);
    number(out, "revenue", decision->u.converted.revenue);
    string(out, "currency", decision->u.converted.currency);
    uint32_t attributed_to = decision->u.converted.attributed_to;
    if (attributed_to == CW_ATTRIBUTED_ORGANIC || attributed_to == CW_ATTRIBUTED_HOLDOUT) {
        word(out, "attributedTo", attributed_to == CW_ATTRIBUTED_ORGANIC ? "organic" : "holdout");
    } else {
        unsigned_number(out, "attributedTo", attributed_to);
    }
}

void cw_decision_write(const struct cw_decision *decision, struct cw_text *out)
{
    cw_text_put(out, "{\"at\":", 6);
    cw_text_json_time(out, decision->at);
    word(out, "kind", cw_decision_name(decision->kind));
    string(out, "program", decision->program);
    string(out, "customerId", decision->customer);
    string(out, "cartId", decision->cart);
    switch (decision->kind) {
    case CW_DECISION_CANDIDATE: write_candidate(decision, out); break;
    case CW_DECISION_REJECTED:
        string(out, "filter", decision->u.rejected.filter);
        word(out, "reason", cw_rejection_name(decision->u.rejected.reason));
        break;
    case CW_DECISION_TOUCH: write_touch(decision, out); break;
    case CW_DECISION_CONVERTED: write_converted(decision, out); break;
    case CW_DECISION_CANCELLED: word(out, "reason", cw_cancel_name(decision->u.cancelled)); break;
    case CW_DECISION_INVALID:
        string(out, "file", decision->u.invalid.file);
        unsigned_number(out, "line", decision->u.invalid.line);
        string(out, "reason", decision->u.invalid.reason);
        break;
    case CW_DECISION_UNFOLLOWED: word(out, "reason", decision->u.unfollowed.reason); break;
    case CW_DECISION_DUPLICATE:
    case CW_DECISION_SUPERSEDED:
    case CW_DECISION_EXPIRED:
    case CW_DECISION_COUNT: break;
    }
    cw_text_put(out, "}\n", 2);
}
