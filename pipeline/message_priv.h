/*
 * message_priv: what the message files share: the table of variables, the scanner of tags, the
 * registry of templates.
 */
#ifndef CW_PIPELINE_MESSAGE_PRIV_H
#define CW_PIPELINE_MESSAGE_PRIV_H

#include "pipeline/locale.h"
#include "pipeline/message.h"
#include "pipeline/mustache.h"

/* What a variable is and where it may stand. */
enum cw_variable_use {
    CW_VAR_TEXT = 1,      /* {name} in a program's texts */
    CW_VAR_PRINT = 2,     /* {{name}} in templates */
    CW_VAR_SECTION = 4,   /* {{#name}} in templates */
    CW_VAR_ITEM = 8,      /* only inside {{#items}} */
    CW_VAR_DISCOUNT = 16, /* only where the message can carry a discount */
    CW_VAR_URL = 32,      /* an http or https address: may begin an href or src */
    CW_VAR_GUARDED = 64   /* may be missing and has no default: only inside its own section */
};

/* clang-format off */
#define CW_VARIABLES(X)                                                                           \
    X(CUSTOMER_NAME, "customerName", CW_VAR_TEXT | CW_VAR_PRINT)                                  \
    X(DISCOUNT_PERCENT, "discountPercent", CW_VAR_TEXT | CW_VAR_PRINT | CW_VAR_DISCOUNT)          \
    X(DISCOUNT_CODE, "discountCode", CW_VAR_TEXT | CW_VAR_PRINT | CW_VAR_DISCOUNT)                \
    X(EXPIRES_AT, "expiresAt", CW_VAR_TEXT | CW_VAR_PRINT | CW_VAR_SECTION | CW_VAR_DISCOUNT)     \
    X(EXPIRES_IN, "expiresIn", CW_VAR_TEXT | CW_VAR_PRINT | CW_VAR_SECTION | CW_VAR_DISCOUNT)     \
    X(CART_LINK, "cartLink", CW_VAR_TEXT | CW_VAR_PRINT | CW_VAR_SECTION | CW_VAR_URL)            \
    X(CART_VALUE, "cartValue", CW_VAR_TEXT | CW_VAR_PRINT)                                        \
    X(CURRENCY, "currency", CW_VAR_TEXT | CW_VAR_PRINT | CW_VAR_SECTION)                          \
    X(UNSUBSCRIBE_LINK, "unsubscribeLink",                                                        \
      CW_VAR_TEXT | CW_VAR_PRINT | CW_VAR_SECTION | CW_VAR_URL)                                   \
    X(SHOP_NAME, "shopName", CW_VAR_TEXT | CW_VAR_PRINT)                                          \
    X(DISCOUNT, "discount", CW_VAR_SECTION)                                                       \
    X(NAME_KNOWN, "nameKnown", CW_VAR_SECTION)                                                    \
    X(SHOP_KNOWN, "shopKnown", CW_VAR_SECTION)                                                    \
    X(ITEMS, "items", CW_VAR_SECTION)                                                             \
    X(MORE_ITEMS, "moreItems", CW_VAR_PRINT | CW_VAR_SECTION | CW_VAR_GUARDED)                    \
    X(OPEN_PIXEL, "openPixel", CW_VAR_PRINT | CW_VAR_SECTION | CW_VAR_URL | CW_VAR_GUARDED)       \
    X(ITEM_NAME, "name", CW_VAR_PRINT | CW_VAR_ITEM)                                              \
    X(ITEM_PRICE, "price", CW_VAR_PRINT | CW_VAR_ITEM)                                            \
    X(ITEM_QUANTITY, "quantity", CW_VAR_PRINT | CW_VAR_ITEM)                                      \
    X(ITEM_SEVERAL, "several", CW_VAR_SECTION | CW_VAR_ITEM)                                      \
    X(ITEM_IMAGE_URL, "imageUrl",                                                                 \
      CW_VAR_PRINT | CW_VAR_SECTION | CW_VAR_URL | CW_VAR_ITEM | CW_VAR_GUARDED)

/* clang-format on */

enum cw_variable {
#define CW_X(id, name, use) CW_VARIABLE_##id,
    CW_VARIABLES(CW_X)
#undef CW_X
    CW_VARIABLE_COUNT
};

extern const struct cw_variable_row {
    const char *name;
    uint32_t use; /* bits of enum cw_variable_use */
} cw_variables[CW_VARIABLE_COUNT];

/* CW_VARIABLE_COUNT when there is none of that name. */
enum cw_variable cw_variable_find(struct cw_view name);

/*
 * One {{tag}} of a template, as the library reads them. The name is trimmed.
 */
enum cw_tag_kind {
    CW_TAG_NONE, /* no tag up to the end of the text */
    CW_TAG_PRINT,
    CW_TAG_RAW, /* {{{name}}}, {{&name}} */
    CW_TAG_SECTION,
    CW_TAG_INVERTED,
    CW_TAG_CLOSE,
    CW_TAG_COMMENT,
    CW_TAG_PARTIAL,
    CW_TAG_DELIMITER,
    CW_TAG_UNCLOSED
};

struct cw_tag {
    enum cw_tag_kind kind;
    struct cw_view name;
    uint32_t at, end; /* offsets of its first byte and of the byte after it */
};

/* The first tag at or after `from`. NONE: at and end are the text's end. */
struct cw_tag cw_tag_next(struct cw_view text, uint32_t from);

/* A piece of a program's own text. */
enum cw_brace_kind {
    CW_BRACE_END,
    CW_BRACE_LITERAL,
    CW_BRACE_VARIABLE, /* {name}, the name one that programs may use */
    CW_BRACE_UNKNOWN   /* {word} that is none */
};

struct cw_brace {
    enum cw_brace_kind kind;
    enum cw_variable variable;
    struct cw_view text; /* LITERAL: the text; else the name */
    uint32_t at, end;
};

/* The piece that begins at `from`; anything but {word} is literal. */
struct cw_brace cw_brace_next(struct cw_view text, uint32_t from);

/* Problems that would make a template unsafe or none at all (structure) and, when `variables` is
   set, wrong uses of variables too. file is terminated. */
void cw_template_check(const char *file, struct cw_view text, bool html, bool variables,
                       bool discount_allowed, struct cw_problems *problems);

/* Nesting of sections in a template; what bounds the library's recursion. */
#define CW_SECTIONS_MAX 8u

#define CW_TEMPLATE_NAME_MAX 128u

struct cw_template {
    char name[CW_TEMPLATE_NAME_MAX]; /* of the file */
    uint32_t name_bytes;
    bool html;
    struct cw_mustache *parsed;
};

/*
 * What stands for blanks in the parsed form (no template holds control characters, nor does a
 * value). The library makes a part of its own of every blank and has its own mind about lines that
 * hold tags alone (a false section leaves its line behind); without blanks it has neither.
 */
#define CW_PREPARED_NEWLINE '\x01'
#define CW_PREPARED_SPACE   '\x02'
#define CW_PREPARED_TAB     '\x03'

struct cw_templates {
    struct cw_template *list;
    uint32_t count;
    /* Scratch of a rendering; kept so that steady use allocates nothing here. */
    struct cw_text values;
};

/* A template found for a locale. locale: that of its file, NULL data for the plain one. */
struct cw_template_found {
    struct cw_template *tpl;
    struct cw_view locale;
};

/* ID.LOCALE.html for the tag, else for a shorter one, else ID.html (likewise txt). */
struct cw_template_found cw_templates_find(struct cw_templates *templates, struct cw_view id,
                                           struct cw_view tag, bool html);

#endif
