/*
 * program: recovery campaigns as the pipeline runs them, read from the YAML that marketers write.
 *
 * A cw_programs is an immutable version of all programs together: loaded and checked as a whole on
 * the control plane (program_ctl.c), then shared read-only by every core until the next version.
 *
 * Life:    load -> read-only -> close. Memory: one arena of the set's own.
 * Threads: load and close on the control plane; reading anywhere.
 * Bounds:  CW_PROGRAMS_MAX programs, CW_TOUCHES_MAX touches each, files of CW_PROGRAM_FILE_MAX.
 */
#ifndef CW_PIPELINE_PROGRAM_H
#define CW_PIPELINE_PROGRAM_H

#include "core/arena.h"
#include "core/problem.h"
#include "core/view.h"
#include "pipeline/model.h"
#include "pipeline/pattern.h"

#define CW_PROGRAMS_MAX     64u
#define CW_TOUCHES_MAX      16u
#define CW_FILTERS_MAX      16u
#define CW_PROGRAM_FILE_MAX (1u << 20)

/* Channels a message can go by, in the order of their opt-outs and addresses. */
#define CW_CHANNELS(X) \
    X(EMAIL, "email")  \
    X(SMS, "sms")      \
    X(PUSH, "push")

enum cw_channel {
#define CW_X(name, text) CW_CHANNEL_##name,
    CW_CHANNELS(CW_X)
#undef CW_X
    CW_CHANNEL_COUNT
};

/* A number, or a map of numbers by marketplace (a marketplace that is not in the map has none). */
struct cw_by_market {
    bool set;
    bool by_market; /* entries count, else `any` */
    uint32_t count;
    double any;

    const struct cw_by_market_entry {
        struct cw_view market;
        double value;
    } * entries;
};

/* Caps: one per channel in CW_CHANNELS order, then all messages together. */
#define CW_CAP_MESSAGES ((uint32_t)CW_CHANNEL_COUNT)
#define CW_CAP_COUNT    ((uint32_t)CW_CHANNEL_COUNT + 1)

enum cw_filter_type {
    CW_FILTER_TRUST,
    CW_FILTER_ELIGIBILITY,
    CW_FILTER_RULE /* a business-rule: any of the parameters below that are set */
};

struct cw_filter {
    struct cw_view id;
    enum cw_filter_type type;
    bool allow_unknown;                     /* trust; default false */
    bool require_payment_method;            /* trust; default true */
    bool require_in_stock;                  /* rule */
    struct cw_by_market minimum;            /* rule: minCartValue, major units */
    struct cw_by_market caps[CW_CAP_COUNT]; /* rule: messages in the trailing 7 days */
};

struct cw_variant {
    struct cw_view name;
    double share; /* of the channel's messages, all shares sum to 1 */
    struct cw_view template_id, subject, message, title, body; /* NULL data: the channel's */
    int64_t delay_ms;                                          /* the channel's when not told */
};

enum cw_on_unknown {
    CW_ON_UNKNOWN_DEFAULT, /* resend where the provider takes a key or collapses, else drop */
    CW_ON_UNKNOWN_DROP,
    CW_ON_UNKNOWN_RESEND
};

/* One touch of the journey: an enabled channel. Touch number = index + 1. */
struct cw_touch {
    struct cw_view channel_id;
    enum cw_channel channel;
    int64_t delay_ms;
    int32_t priority;
    bool include_discount; /* default true */
    struct cw_view template_id, subject, message, title, body, from;
    double cost_per_message; /* major units; NaN when not configured */
    double rate_per_second;  /* 0: no limit configured */
    uint32_t retries;        /* default 3 */
    enum cw_on_unknown on_unknown;
    const struct cw_variant *variants;
    uint32_t variant_count;
};

/* keyFormat cut into parts: literal text and fields, hashed and stored length-prefixed. */
enum cw_key_part {
    CW_KEY_LITERAL,
    CW_KEY_CUSTOMER,
    CW_KEY_CART,
    CW_KEY_PROGRAM
};

#define CW_KEY_PARTS_MAX 8u

struct cw_key_format {
    uint32_t count;

    struct {
        enum cw_key_part part;
        struct cw_view literal;
    } parts[CW_KEY_PARTS_MAX];
};

enum cw_on_reabandon {
    CW_REABANDON_RESTART,
    CW_REABANDON_UPDATE,
    CW_REABANDON_IGNORE
};

enum cw_on_new_cart {
    CW_NEW_CART_SUPERSEDE,
    CW_NEW_CART_PARALLEL
};

struct cw_program_source {
    struct cw_view bus; /* NULL: the one called default */
    uint32_t pattern;   /* number in cw_programs.patterns */
};

struct cw_program {
    struct cw_view id, name, file;
    bool enabled;
    struct cw_view *marketplaces; /* none listed: every marketplace is allowed */
    uint32_t marketplace_count;
    struct cw_program_source *sources;
    uint32_t source_count;
    const struct cw_model *model;
    struct cw_filter filters[CW_FILTERS_MAX]; /* sorted by order, ties by place in the file */
    uint32_t filter_count;
    struct cw_touch touches[CW_TOUCHES_MAX]; /* enabled ones, by delay, priority, place */
    uint32_t touch_count;

    struct {
        bool enabled; /* false when the key is absent */
        bool dynamic; /* default false */
        bool expected_profit;
        double base, max, step; /* percent; defaults 10, base, 5 */
    } discount;

    struct {
        bool enabled; /* true when the key is absent */
        int64_t ttl_ms;
        struct cw_key_format key;
    } dedup;

    int64_t candidate_ttl_ms;
    enum cw_on_reabandon on_reabandon;
    enum cw_on_new_cart on_new_cart;
    int64_t min_gap_ms;

    struct {
        bool set;
        uint32_t start_minute, end_minute; /* of the local day, 0..1439 */
    } quiet;

    double holdout_percent;
    int64_t session_timeout_ms; /* 0: no detection */
    int64_t code_valid_ms;
    bool unique_codes;
};

struct cw_programs {
    struct cw_arena arena;
    struct cw_program *list; /* sorted by id, bytes */
    uint32_t count;
    struct cw_pattern_set *patterns; /* sealed */
    uint64_t version;
    uint64_t content; /* a hash of the files' texts: equal for equal programs */
};

/* What a file needs from outside; the control plane gives it. */
struct cw_program_file {
    const char *path; /* as messages name it */
    struct cw_view yaml;
};

struct cw_program_needs {
    /* The model of that name, or NULL (messages list `names`, NULL-terminated). */
    const struct cw_model *(*model)(void *self, struct cw_view name);
    /* True when a template file of that id exists. */
    bool (*template_exists)(void *self, struct cw_view id);
    /* Text of the template for the lint of its variables: all files of that id, one by one, until
       false. kind: "html", "txt". */
    bool (*template_text)(void *self, struct cw_view id, uint32_t number, struct cw_view *file,
                          struct cw_view *text);
    const char *const *(*model_names)(void *self);
    const char *const *(*template_names)(void *self);
    void *self;
};

/*
 * Loads all files as one set. Every problem of every file is added to `problems`; when one of them
 * is an error, CW_ERR_INVALID and *programs is untouched. Remarks alone do not fail.
 */
CW_MUST_USE cw_err cw_programs_load(struct cw_programs **programs,
                                    const struct cw_program_file *files, uint32_t count,
                                    const struct cw_program_needs *needs,
                                    struct cw_problems *problems, struct cw_fault *fault);
void cw_programs_close(struct cw_programs *programs);

const struct cw_program *cw_programs_find(const struct cw_programs *programs, struct cw_view id);

const char *cw_channel_name(enum cw_channel channel);

/* The value for a marketplace; false when none applies. */
CW_MUST_USE bool cw_by_market_get(const struct cw_by_market *map, struct cw_view market,
                                  double *value);

/* Facts that come with a marketplace; NULL when it is none of the eight. */
struct cw_marketplace {
    const char *code, *currency, *locale, *zone;
};

const struct cw_marketplace *cw_marketplace_find(struct cw_view code);

/* Digits after the decimal point of an ISO 4217 currency (2 for unknown ones, 0 for JPY). */
uint32_t cw_currency_digits(struct cw_view currency);

#endif
