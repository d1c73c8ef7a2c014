/*
 * json: one document, validated whole, as an array of nodes that point into its text.
 *
 * simdjson's first stage (UTF-8, strings, structure) finds where the tokens are; one pass over
 * them then proves the whole grammar (RFC 8259), so that a malformed part which nobody reads is
 * refused too, and leaves one node per value. What reads a document (the decoder, the pattern
 * matcher) walks nodes and never looks at malformed bytes.
 *
 * Refused: what RFC 8259 refuses; invalid UTF-8, a byte order mark; an escape that is no Unicode
 * scalar value (a lone surrogate); nesting deeper than depth_max; longer than bytes_max; anything
 * but white space after the root. Duplicate keys and any number in the grammar are accepted.
 *
 * Life:    open -> parse* -> close. A document is valid until the next parse or close.
 * Memory:  the parser's own, for the largest document allowed; the text stays the caller's and
 *          must outlive the document. No allocation in parse.
 * Threads: one parser per thread.
 * Bounds:  bytes_max, depth_max; nodes are bounded by the bytes.
 */
#ifndef CW_CORE_JSON_H
#define CW_CORE_JSON_H

#include "core/err.h"
#include "core/view.h"

#define CW_JSON_PADDING   64u        /* readable bytes that must follow the text, content free */
#define CW_JSON_DEPTH_MAX 1000u      /* the product's limit on nesting */
#define CW_JSON_NONE      UINT32_MAX /* no such node */

/* Why a document was refused. */
#define CW_JSON_STATUSES(X)                                                  \
    X(OK, "ok")                                                              \
    X(EMPTY, "there is no JSON value")                                       \
    X(TOO_LONG, "it is longer than the limit")                               \
    X(TOO_DEEP, "it is nested deeper than 1000 levels")                      \
    X(UTF8, "it is not valid UTF-8")                                         \
    X(STRING, "a string is not closed, or holds a control character")        \
    X(ESCAPE, "a string holds an escape that JSON does not have")            \
    X(NUMBER, "a number is malformed")                                       \
    X(LITERAL, "a word is none of true, false and null")                     \
    X(STRUCTURE, "a comma, colon, bracket or value is missing or misplaced") \
    X(TRAILING, "there is something after the end of the value")

enum cw_json_status {
#define CW_X(name, text) CW_JSON_PARSE_##name,
    CW_JSON_STATUSES(CW_X)
#undef CW_X
    CW_JSON_PARSE_COUNT
};

/* The text beside the status above, as an operator should read it. */
const char *cw_json_status_text(enum cw_json_status status);

enum cw_json_type {
    CW_JSON_NULL,
    CW_JSON_FALSE,
    CW_JSON_TRUE,
    CW_JSON_NUMBER,
    CW_JSON_STRING,
    CW_JSON_ARRAY,
    CW_JSON_OBJECT
};

/*
 * One value. Node 0 is the root; a container's children follow it directly, each child's `next`
 * leading to its sibling, until the container's own `next`:
 *
 *     for (uint32_t i = container + 1; i < nodes[container].next; i = nodes[i].next)
 *
 * Offsets are into the text. A string's text is what stands between its quotes, raw; a number's
 * its spelling; a container's from its bracket to its closing bracket, both included.
 */
struct cw_json_node {
    uint32_t key;       /* offset of the member's name, raw, when the parent is an object */
    uint32_t key_bytes; /* 0 in arrays and at the root */
    uint32_t text, text_bytes;
    uint32_t next;
    uint8_t type;        /* enum cw_json_type */
    uint8_t key_escaped; /* the name holds a backslash: unescape before comparing */
    uint8_t escaped;     /* the string holds a backslash */
    uint8_t pad;
};

static_assert(sizeof(struct cw_json_node) == 24, "nodes are what a pass over a document touches");

struct cw_json {
    const char *text;
    uint32_t text_bytes;
    uint32_t node_count;
    const struct cw_json_node *nodes;
    uint32_t error_offset; /* about where, when the status is not OK */
};

struct cw_json_parser; /* opaque: owns its memory */

CW_MUST_USE cw_err cw_json_open(struct cw_json_parser **parser, uint32_t bytes_max,
                                uint32_t depth_max, struct cw_fault *fault);
void cw_json_close(struct cw_json_parser *parser);

/* text must be followed by CW_JSON_PADDING readable bytes. Fills *doc (also on an error: text and
   error_offset). */
enum cw_json_status cw_json_parse(struct cw_json_parser *parser, const char *text,
                                  uint32_t text_bytes, struct cw_json *doc);

static inline struct cw_view cw_json_raw(const struct cw_json *doc, uint32_t node)
{
    return (struct cw_view){doc->text + doc->nodes[node].text, doc->nodes[node].text_bytes};
}

/* Proves what is said of a document's nodes above; for tests. */
bool cw_json_check(const struct cw_json *doc);

/* The last member of that name (RFC 8259 leaves it open; the last wins here), or CW_JSON_NONE.
   name is not escaped; an escaped key in the document is compared by what it means. */
uint32_t cw_json_find(const struct cw_json *doc, uint32_t object, struct cw_view name);

/* Writes what a raw string means (escapes resolved, UTF-8) to out and returns its length, at most
   raw.bytes, which is the room that out must have. raw must come from a parsed document. */
uint32_t cw_json_unescape(struct cw_view raw, char *out);

/* The nearest binary64 of a number's spelling, as strtod would give (infinity when too large). */
double cw_json_number(struct cw_view raw);

/* True when the number is an integer in the range of int64 (1, 1.0 and 1e2 are; 1.5 is not). */
CW_MUST_USE bool cw_json_int64(struct cw_view raw, int64_t *value);

#endif
