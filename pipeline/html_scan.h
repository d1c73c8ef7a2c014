/*
 * html_scan: where in a piece of HTML one is: what a mail template's lint must know to say whether
 * a variable may stand there. Not a parser: it follows a well-meant document, and what it does not
 * understand it calls a tag, where no variable may stand.
 *
 * Life:    zero-initialised -> feed* . Memory: the caller's; views point into the text fed.
 * Threads: one at a time. Bounds: constant work per byte.
 */
#ifndef CW_PIPELINE_HTML_SCAN_H
#define CW_PIPELINE_HTML_SCAN_H

#include "core/view.h"

enum cw_html_place {
    CW_HTML_TEXT,        /* between tags; escaping makes a value safe */
    CW_HTML_COMMENT,     /* <!-- -->; an escaped value cannot close it */
    CW_HTML_DECLARATION, /* <!doctype>, <!--[if mso]>, <![endif]--> */
    CW_HTML_TAG_NAME,
    CW_HTML_TAG, /* between attributes */
    CW_HTML_ATTRIBUTE_NAME,
    CW_HTML_BEFORE_VALUE, /* after = */
    CW_HTML_VALUE_BARE,   /* a value without quotes */
    CW_HTML_VALUE,        /* a value in quotes; escaping makes a value safe */
    CW_HTML_CODE          /* inside script, style and the like, which know no entities */
};

#define CW_HTML_NAME_MAX 32u

struct cw_html {
    enum cw_html_place place;
    char quote;          /* of VALUE */
    bool closing;        /* </tag> */
    uint32_t tag_bytes;  /* names are lower case, cut at CW_HTML_NAME_MAX */
    uint32_t name_bytes; /* of the attribute; 0 where none is open */
    char tag[CW_HTML_NAME_MAX], name[CW_HTML_NAME_MAX];
    const char *value;   /* where the attribute's value begins, in the text fed */
    uint32_t code_match; /* bytes of the closing tag seen */
    uint32_t dash_count; /* of a comment, just before here */
};

/* Goes on over text, a part of the same document as before; views are kept into it. */
void cw_html_feed(struct cw_html *html, struct cw_view text);

/* True when both are at the same place, so that what follows is read the same way. */
CW_MUST_USE bool cw_html_same(const struct cw_html *a, const struct cw_html *b);

#endif
