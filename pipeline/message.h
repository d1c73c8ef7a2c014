/*
 * message: what a touch says, rendered from templates and the program's own texts.
 *
 * Templates are Mustache (kainjow, behind a C face in mustache.cpp). A program's subject, message,
 * title and body are plain text with {variable} in single braces, replaced in one pass. Values are
 * data wherever they appear: no value is ever read as a template; in HTML they are escaped
 * (& < > " '), in text templates they are not; runs of control characters in them (C0, C1, DEL,
 * U+2028, U+2029: CR and LF above all) become one space everywhere, and what is written for a
 * subject, SMS or push has none at all. Output is valid UTF-8, as all input is.
 *
 * Links (cartLink, imageUrl, unsubscribeLink, openPixel) are used only when they begin with http://
 * or https:// and hold no blank, control character, quote, angle bracket or backslash; any other
 * is as if it were not given: no picture, no pixel, and for the cart the shop's link.
 *
 * Variables, with what stands when the caller has no value:
 *   customerName ("there"), cartLink (shop_link, else nothing), cartValue, currency (its code;
 *   nothing), shopName ("our shop"), unsubscribeLink (nothing), discountPercent ("0"),
 *   discountCode, expiresAt, expiresIn ("24 hours"; all three nothing).
 * In templates also the sections items (name, price, quantity, imageUrl when usable, several when
 * quantity is over 1), moreItems (how many items are beyond CW_MESSAGE_ITEMS_MAX), openPixel, and
 * the flags discount (the message carries one), nameKnown, shopKnown.
 *
 * A message carries a discount when the touch includes one and it is over 0. Should a discount come
 * to 0, no customer reads "0% off": of a program's text the sentences that name a discount variable
 * are left out (unless nothing would be left), of a template the {{#discount}} sections.
 *
 * Amounts follow the customer's locale. Words (of expiresAt and expiresIn) follow the language of
 * the text they stand in: a template's own when its name has one (cart-recovery-v3.de.html), else
 * the language that the program's marketplaces share, else English.
 *
 * Life:    templates: open -> add* -> (lint) -> render* -> close.
 * Memory:  templates own their parsed form; a message writes into the caller's cw_texts.
 * Threads: one cw_templates per thread that renders.
 * Bounds:  CW_TEMPLATES_MAX files of CW_TEMPLATE_BYTES_MAX; a rendered part is cut nowhere: one
 *          that passes CW_MESSAGE_BYTES_MAX fails. An e-mail shows CW_MESSAGE_ITEMS_MAX items.
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
#define CW_MESSAGE_ITEMS_MAX  24u /* more would pass the 100 KB at which mail clients cut */

struct cw_templates; /* opaque */

CW_MUST_USE cw_err cw_templates_open(struct cw_templates **templates, struct cw_fault *fault);
void cw_templates_close(struct cw_templates *templates);

/* file: the name without its folder: ID.html, ID.txt, ID.LOCALE.html (`cart-recovery-v3.de.html`).
   CW_ERR_INVALID, the fault says where, when the text is no template or could not be safe whatever
   the values: unescaped tags, partials, changed delimiters, deep nesting; in HTML a variable where
   escaping does not help (script, style, handlers, unquoted attributes, the beginning of an
   address that is none). Wrong variables are for the lint. */
CW_MUST_USE cw_err cw_templates_add(struct cw_templates *templates, struct cw_view file,
                                    struct cw_view text, struct cw_fault *fault);

/*
 * What no file alone shows: an ID.html without its ID.txt (and the other way round; per locale too)
 * is an error, since an e-mail has both parts.
 */
void cw_templates_lint(struct cw_templates *templates, struct cw_problems *problems);

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
    double discount_percent;     /* 0: the message offers none */
    struct cw_view discount_code;
    int64_t expires_at_ms;       /* end of the offer; CW_TIME_NONE without one */
    int64_t now_ms;              /* when the touch is sent */
    uint32_t zone;               /* of the customer, for dates; UTC is said where it is that */
    struct cw_view shop_link;    /* where cart_link is not usable */
    const struct cw_variant *variant; /* its texts and template come first; NULL: the touch's */
};

struct cw_message {
    struct cw_text subject;  /* email */
    struct cw_text html;     /* email */
    struct cw_text plain;    /* email: the text alternative */
    struct cw_text text;     /* sms: the message; push: the body */
    struct cw_text title;    /* push */
    struct cw_text link;     /* push: its action */
};

void cw_message_deinit(struct cw_message *message);

/* True when a text says "today" (as a word, in any letter case): then the code it announces is
   valid until the end of that day in the customer's zone. */
CW_MUST_USE bool cw_message_says_today(struct cw_view text);

/* True for an address that may stand in a message as it was given (see above). */
CW_MUST_USE bool cw_link_usable(struct cw_view url);

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
