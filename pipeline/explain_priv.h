/* explain_priv: what explain_ctl.c works out, and explain_text_ctl.c and explain_json_ctl.c show.
 */
#ifndef CW_PIPELINE_EXPLAIN_PRIV_H
#define CW_PIPELINE_EXPLAIN_PRIV_H

#include "pipeline/explain.h"
#include "pipeline/graph.h"

/* One source of a program and the event. */
struct cw_explained_source {
    struct cw_view bus;   /* the source's, or "default" */
    bool takes_bus;       /* the event came by it, or names none */
    bool matches;         /* its pattern does */
    struct cw_view lines; /* of cw_pattern_explain */
};

#define CW_EXPLAINED_SOURCES_MAX 16u

struct cw_explained_match {
    const struct cw_program *program;
    bool wanted;         /* the verdict of all below */
    bool made_for_other; /* a session's end is told to the program that watched it alone */
    struct cw_explained_source sources[CW_EXPLAINED_SOURCES_MAX];
    uint32_t source_count;
};

struct cw_explained_event {
    const struct cw_event *event;
    struct cw_explain_origin origin;
    struct cw_view bus;
    int64_t now;
};

struct cw_explained_filter {
    const struct cw_filter *filter;
    struct cw_filter_look look;
    enum cw_rejection verdict;
    bool passes[CW_CHECK_COUNT]; /* those of the filter's type */
};

/* One event in one program: everything the stages found. Valid until the event takes effect. */
struct cw_explained {
    struct cw_pipeline *p;
    struct cw_item item; /* filled by the looks */
    enum cw_item_fate fates[CW_STAGE_COUNT];
    uint32_t end; /* the stage that ends the path */
    struct cw_explained_filter filters[CW_FILTERS_MAX];
    struct cw_model_part parts[CW_MODEL_FEATURES_MAX];
    uint32_t part_count;
    double bias;
    double intent; /* the model's, cached or not */
    struct cw_discount discount;
    struct cw_plan plan;
};

/* What was told about a product's stock; NULL: nothing. */
const struct cw_product_row *cw_explain_product(const struct cw_pipeline *p, cw_row product);

/* "goes-on" or the fate's name. */
const char *cw_explain_fate_name(enum cw_item_fate fate);
const char *cw_explain_reabandon_name(enum cw_on_reabandon policy);
const char *cw_explain_new_cart_name(enum cw_on_new_cart policy);
const char *cw_explain_filter_type_name(enum cw_filter_type type);
const char *cw_explain_account_name(uint8_t status);
const char *cw_explain_standing_name(enum cw_standing standing);

/* The type's name as this event's kind is called by default, "invalid" or "unknown". */
const char *cw_explain_type_name(enum cw_event_type type);

/* The dedup key as keyFormat writes it. */
void cw_explain_key(const struct cw_item *item, struct cw_text *out);

/* Names of the fields in a set of enum cw_field bits, ", " between them. */
void cw_explain_fields(uint32_t fields, struct cw_text *out);

void cw_explain_text_event(const struct cw_explained_event *x, bool colour, struct cw_text *out);
void cw_explain_text_fate(const char *fate, const char *help, bool colour, struct cw_text *out);
void cw_explain_text_heading(struct cw_view program, struct cw_view verdict, struct cw_text *out);
void cw_explain_text_match(const struct cw_explained_match *x, bool colour, struct cw_text *out);
void cw_explain_text_item(const struct cw_explained *x, bool colour, struct cw_text *out);
void cw_explain_text_line(struct cw_view line, uint32_t column, struct cw_text *out);
void cw_explain_text_graph(struct cw_text *out);

/* Members of an object, without braces. */
void cw_explain_json_event(const struct cw_explained_event *x, struct cw_text *out);
void cw_explain_json_match(const struct cw_explained_match *x, struct cw_text *out);
void cw_explain_json_item(const struct cw_explained *x, struct cw_text *out);
void cw_explain_json_graph(struct cw_text *out);

#endif
