/*
 * message: what a touch says, rendered from templates and the program's own texts.
 *
 * Templates are Mustache (kainjow, behind a C face in mustache.cpp). A program's subject, message,
 * title and body are plain text with {variable} in single braces. Values are data wherever they
 * appear: HTML is escaped in HTML, no value is ever read as a template, control characters (CR and
 * LF above all) never reach a subject, SMS or push text, and output is valid UTF-8.
 *
 * Life:    templates: open -> add* -> (lint) -> render* -> close.
 * Memory:  templates own their parsed form; a message writes into the caller's cw_texts.
 * Threads: one cw_templates per thread that renders.
 * Bounds:  CW_TEMPLATES_MAX files of CW_TEMPLATE_BYTES_MAX; a rendered part is cut nowhere: one
 *          that passes CW_MESSAGE_BYTES_MAX fails.
 */
#ifndef CW_PIPELINE_MESSAGE_H
#define CW_PIPELINE_MESSAGE_H

#include "core/err.h"
#include "core/problem.h"
#include "core/text.h"
#include "core/zone.h"
#include "pipeline/program.h"

#define CW_TEMPLATES_MAX      256u
#define CW_TEMPLATE_BYTES_MAX (256u << 10)
#define CW_MESSAGE_BYTES_MAX  (1u << 20)

struct cw_templates; /* opaque */

CW_MUST_USE cw_err cw_templates_open(struct cw_templates **templates, struct cw_fault *fault);
void cw_templates_close(struct cw_templates *templates);

/* file: the name without its folder: ID.html, ID.txt, ID.LOCALE.html (`cart-recovery-v3.de.html`).
   CW_ERR_INVALID when the text is no template: the fault says where. */
CW_MUST_USE cw_err cw_templates_add(struct cw_templates *templates, struct cw_view file,
                                    struct cw_view text, struct cw_fault *fault);

/* Everything a message may say. Views point into the caller's rows for the time of the call. */
struct cw_message_item {
    struct cw_view name, image_url; /* image_url NULL when not given */
    double price;
    uint32_t quantity;
};

struct cw_message_input {
    const struct cw_program *program;
    const struct cw_touch *touch;
    struct cw_view customer_name; /* NULL: "there" */
    struct cw_view locale;        /* NULL: the marketplace's, else en-US */
    struct cw_view marketplace;   /* NULL when not told */
    struct cw_view currency;      /* NULL when not known: no symbol is printed */
    struct cw_view cart_link, unsubscribe_link, open_pixel_link, shop_name;
    double cart_value;
    const struct cw_message_item *items;
    uint32_t item_count;
    double discount_percent; /* 0: the message offers none */
    struct cw_view discount_code;
    int64_t expires_at_ms; /* end of the offer; CW_TIME_NONE without one */
    int64_t now_ms;        /* when the touch is sent */
    uint32_t zone;         /* of the customer, for dates */
};

struct cw_message {
    struct cw_text subject; /* email */
    struct cw_text html;    /* email */
    struct cw_text plain;   /* email: the text alternative */
    struct cw_text text;    /* sms: the message; push: the body */
    struct cw_text title;   /* push */
    struct cw_text link;    /* push: its action */
};

void cw_message_deinit(struct cw_message *message);

/* Renders every part that the touch's channel has (others are cleared). CW_ERR_LIMIT when a part
   is too long, CW_ERR_NOT_FOUND for a template that is not there. */
CW_MUST_USE cw_err cw_message_render(struct cw_templates *templates, const struct cw_zones *zones,
                                     const struct cw_message_input *input,
                                     struct cw_message *message, struct cw_fault *fault);

/*
 * Lint of a text with {variable}: adds a problem for each unknown variable (naming the nearest),
 * unclosed brace, or discount variable where the touch has none. Line and column are those of the
 * text's first character in its YAML file.
 */
void cw_message_lint(struct cw_view text, bool discount_allowed, const char *file, uint32_t line,
                     uint32_t column, struct cw_problems *problems);

/* The same for a template file ({{variable}}). */
void cw_template_lint(struct cw_view file, struct cw_view text, bool discount_allowed,
                      struct cw_problems *problems);

#endif
