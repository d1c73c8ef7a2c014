/*
 * explain: every verdict on one event, for people as text or for programs as JSON.
 *
 * It asks what the stages ask: the look of each row of cw_graph[], the checks of each filter, the
 * model's parts. All stages are looked at, also those that the event does not reach. Whoever runs
 * the pipeline gives cw_pipeline_port.before, and from there calls cw_explain_event for the event
 * to be explained and cw_explain_item for each of its paths; lines about what followed are added
 * as they come.
 *
 * Life:    open -> { event -> item* -> line* -> write }* -> close.
 * Memory:  its own, on the heap: control plane. Nothing of the pipeline is kept between calls.
 * Threads: the core's whose pipeline it looks at.
 */
#ifndef CW_PIPELINE_EXPLAIN_H
#define CW_PIPELINE_EXPLAIN_H

#include "core/text.h"
#include "pipeline/decode.h"
#include "pipeline/pipeline.h"

#define CW_EXPLAIN_COLUMNS 100u /* of text; longer lines are broken between words */

struct cw_explain; /* opaque: owns its memory */

enum cw_explain_format {
    CW_EXPLAIN_TEXT,
    CW_EXPLAIN_COLOUR, /* text for a terminal */
    CW_EXPLAIN_JSON
};

struct cw_explain_options {
    const struct cw_programs *programs;
    const struct cw_program *only; /* NULL: all of them */
    enum cw_explain_format format;
};

CW_MUST_USE cw_err cw_explain_open(struct cw_explain **explain,
                                   const struct cw_explain_options *options,
                                   struct cw_fault *fault);
void cw_explain_close(struct cw_explain *explain);

/* Where the event comes from. */
struct cw_explain_origin {
    struct cw_view file; /* NULL data: cartwheel made it when a session ended */
    uint64_t line;
    const struct cw_decoder *decoder; /* whose last event it is; NULL: the pipeline's own */
};

/* The event that is about to take effect. Forgets the one before. */
void cw_explain_event(struct cw_explain *explain, const struct cw_pipeline *pipeline,
                      const struct cw_event *event, const struct cw_explain_origin *origin);

/* Its path in one program, before it is gone. */
void cw_explain_item(struct cw_explain *explain, struct cw_pipeline *pipeline,
                     const struct cw_item *item);

/* What became of the event as a whole, once that is known. */
void cw_explain_fate(struct cw_explain *explain, enum cw_event_fate fate);

/* A line about what followed: text that begins with a time, or one JSON value. */
void cw_explain_line(struct cw_explain *explain, struct cw_view line);

/* Appends everything: text, or one JSON object with a newline. */
void cw_explain_write(struct cw_explain *explain, struct cw_text *out);

/* The table of stages itself: as text, as JSON, or for Graphviz. */
void cw_explain_graph(enum cw_explain_format format, struct cw_text *out);
void cw_explain_graph_dot(struct cw_text *out);

/* Appends a view in which control characters are `?`. */
void cw_explain_plain(struct cw_text *out, struct cw_view view);

#endif
