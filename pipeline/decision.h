/*
 * decision: what the pipeline decided, as it leaves it: one per line of `cartwheel replay`.
 *
 * Views are valid during the call that hands the decision over.
 */
#ifndef CW_PIPELINE_DECISION_H
#define CW_PIPELINE_DECISION_H

#include "core/text.h"
#include "pipeline/program.h"

#define CW_DECISIONS(X)         \
    X(CANDIDATE, "candidate")   \
    X(REJECTED, "rejected")     \
    X(DUPLICATE, "duplicate")   \
    X(SUPERSEDED, "superseded") \
    X(EXPIRED, "expired")       \
    X(TOUCH, "touch")           \
    X(CONVERTED, "converted")   \
    X(CANCELLED, "cancelled")   \
    X(INVALID, "invalid")       \
    X(UNFOLLOWED, "unfollowed")

enum cw_decision_kind {
#define CW_X(name, text) CW_DECISION_##name,
    CW_DECISIONS(CW_X)
#undef CW_X
    CW_DECISION_COUNT
};

/* Why an abandonment was rejected, in the order in which eligibility looks. */
#define CW_REJECTIONS(X)                        \
    X(NONE, "none")                             \
    X(UNKNOWN_CUSTOMER, "unknown-customer")     \
    X(ACCOUNT_NOT_ACTIVE, "account-not-active") \
    X(NO_PAYMENT_METHOD, "no-payment-method")   \
    X(BELOW_MINIMUM, "below-minimum")           \
    X(PURCHASED, "purchased")                   \
    X(CART_NOT_ACTIVE, "cart-not-active")       \
    X(CART_EXPIRED, "cart-expired")             \
    X(MARKETPLACE, "marketplace")               \
    X(NO_ADDRESS, "no-address")                 \
    X(OPTED_OUT, "opted-out")                   \
    X(FREQUENCY_CAP, "frequency-cap")           \
    X(OUT_OF_STOCK, "out-of-stock")

enum cw_rejection {
#define CW_X(name, text) CW_REJECTION_##name,
    CW_REJECTIONS(CW_X)
#undef CW_X
    CW_REJECTION_COUNT
};

/* UNKNOWN: nobody knows whether the provider took it. Never in a replay. */
#define CW_OUTCOMES(X)      \
    X(SENT, "sent")         \
    X(SKIPPED, "skipped")   \
    X(DEFERRED, "deferred") \
    X(FAILED, "failed")     \
    X(UNKNOWN, "unknown")

enum cw_outcome {
#define CW_X(name, text) CW_OUTCOME_##name,
    CW_OUTCOMES(CW_X)
#undef CW_X
    CW_OUTCOME_COUNT
};

/* Why a touch was skipped, deferred, failed or not tried again. */
#define CW_TOUCH_REASONS(X)           \
    X(NONE, "none")                   \
    X(OPTED_OUT, "opted-out")         \
    X(NO_ADDRESS, "no-address")       \
    X(FREQUENCY_CAP, "frequency-cap") \
    X(OUT_OF_STOCK, "out-of-stock")   \
    X(MIN_GAP, "min-gap")             \
    X(QUIET_HOURS, "quiet-hours")     \
    X(RATE_LIMIT, "rate-limit")       \
    X(LATE, "late")                   \
    X(PAUSED, "paused")               \
    X(PROVIDER, "provider")

enum cw_touch_reason {
#define CW_X(name, text) CW_TOUCH_REASON_##name,
    CW_TOUCH_REASONS(CW_X)
#undef CW_X
    CW_TOUCH_REASON_COUNT
};

#define CW_CANCELS(X)               \
    X(CART_CLEARED, "cart-cleared") \
    X(ACTIVE_AGAIN, "active-again") \
    X(ERASED, "erased")             \
    X(OPTED_OUT, "opted-out")

enum cw_cancel {
#define CW_X(name, text) CW_CANCEL_##name,
    CW_CANCELS(CW_X)
#undef CW_X
    CW_CANCEL_COUNT
};

#define CW_CONFIDENCES(X) \
    X(LOW, "LOW")         \
    X(MEDIUM, "MEDIUM")   \
    X(HIGH, "HIGH")

enum cw_confidence {
#define CW_X(name, text) CW_CONFIDENCE_##name,
    CW_CONFIDENCES(CW_X)
#undef CW_X
    CW_CONFIDENCE_COUNT
};

#define CW_ATTRIBUTED_ORGANIC 0u
#define CW_ATTRIBUTED_HOLDOUT UINT32_MAX
#define CW_MESSAGE_ID_BYTES   36u

struct cw_decision {
    int64_t at;
    enum cw_decision_kind kind;
    struct cw_view program, customer, cart;

    union {
        struct {
            double score, discount;
            enum cw_confidence confidence;
            bool updated, holdout;
            uint32_t touch_count;

            struct {
                uint32_t touch;
                enum cw_channel channel;
                int64_t due;
            } touches[CW_TOUCHES_MAX];
        } candidate;

        struct {
            struct cw_view filter;
            enum cw_rejection reason;
        } rejected;

        struct {
            uint32_t touch;
            enum cw_channel channel;
            enum cw_outcome outcome;
            enum cw_touch_reason reason;
            int64_t until;             /* deferred */
            struct cw_view message_id; /* sent, unknown */
            double discount;           /* percent the message carries; 0: none */
            struct cw_view code;
        } touch;

        struct {
            struct cw_view order, currency;
            double revenue;
            uint32_t attributed_to; /* a touch, CW_ATTRIBUTED_ORGANIC or CW_ATTRIBUTED_HOLDOUT */
        } converted;
        enum cw_cancel cancelled;

        struct {
            struct cw_view file, reason;
            uint64_t line;
        } invalid;

        /* An event that came to nothing; only where the pipeline's options ask for it. */
        struct {
            const char *reason;  /* the name of its fate (fate.h) ... */
            const char *help;    /* ... and what that means */
            struct cw_view what; /* the message it tells of, or its source and ... */
            struct cw_view type; /* ... detail-type; NULL where customer and cart say it */
        } unfollowed;
    } u;
};

const char *cw_decision_name(enum cw_decision_kind kind);
const char *cw_rejection_name(enum cw_rejection rejection);
const char *cw_outcome_name(enum cw_outcome outcome);
const char *cw_touch_reason_name(enum cw_touch_reason reason);
const char *cw_cancel_name(enum cw_cancel cancel);
const char *cw_confidence_name(enum cw_confidence confidence);

/* Appends the decision as one JSON line with its newline, keys in the order of the product's
   reference. */
void cw_decision_write(const struct cw_decision *decision, struct cw_text *out);

#endif
