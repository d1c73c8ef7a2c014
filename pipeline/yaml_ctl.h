/*
 * yaml: one YAML document as a tree whose every node knows its place in the file.
 *
 * Only what a configuration needs: mappings, sequences and scalars of one document. Anchors,
 * aliases, merge keys and tags are refused with a problem each; a key that is written twice in one
 * mapping is a problem too. Plain scalars mean what YAML 1.2's core schema says (`no` and `DE` are
 * strings, `21:00` too), so that a file means the same as JSON would.
 *
 * Life:    open -> read -> close.
 * Memory:  the document's own; views point into it.
 * Threads: one at a time.
 * Bounds:  CW_YAML_DEPTH_MAX levels, CW_YAML_NODES_MAX nodes.
 */
#ifndef CW_PIPELINE_YAML_CTL_H
#define CW_PIPELINE_YAML_CTL_H

#include "core/err.h"
#include "core/problem.h"
#include "core/view.h"

#define CW_YAML_DEPTH_MAX 64u
#define CW_YAML_NODES_MAX 100000u

enum cw_yaml_type {
    CW_YAML_SCALAR,
    CW_YAML_SEQUENCE,
    CW_YAML_MAPPING,
    CW_YAML_REFUSED /* an alias: a problem was added, readers pass over it in silence */
};

/* What a scalar is. */
enum cw_yaml_kind {
    CW_YAML_STRING,
    CW_YAML_NULL,
    CW_YAML_TRUE,
    CW_YAML_FALSE,
    CW_YAML_NUMBER, /* spelled as JSON spells numbers */
    CW_YAML_ODD     /* a number to YAML, but not as JSON spells it: 0x1F, 007, +5, .5, .inf */
};

/*
 * Node 0 is the root. A container's children follow it directly, each child's `next` leading to
 * its sibling; a mapping's children are key, value, key, value:
 *
 *     for (uint32_t i = cw_yaml_first(doc, list); i != 0; i = doc->nodes[i].next)
 */
struct cw_yaml_node {
    struct cw_view text;   /* a scalar's value, followed by a NUL that it does not count */
    uint32_t line, column; /* from 1, in characters */
    uint32_t next;         /* 0: the last */
    uint32_t count;        /* items of a sequence, pairs of a mapping */
    uint8_t type;          /* enum cw_yaml_type */
    uint8_t kind;          /* enum cw_yaml_kind, of a scalar */
    bool plain;            /* a scalar without quotes or block indicator */
    bool block;            /* a scalar after | or > */
};

struct cw_yaml {
    const struct cw_yaml_node *nodes;
    uint32_t count;
};

/* file names the text in problems. CW_ERR_INVALID, with a problem, when there is no tree to read;
   CW_ERR_OK may come with problems too. */
CW_MUST_USE cw_err cw_yaml_open(struct cw_yaml **doc, struct cw_view text, const char *file,
                                struct cw_problems *problems, struct cw_fault *fault);
void cw_yaml_close(struct cw_yaml *doc);

static inline uint32_t cw_yaml_first(const struct cw_yaml *doc, uint32_t container)
{
    return doc->nodes[container].count == 0 ? 0 : container + 1;
}

/* `the string "x"`, `the number 5`, `a list`...: what stands there, as a message says it. Strings
   are cut and control characters shown as `?`. */
#define CW_YAML_SHOWN_BYTES 80u

void cw_yaml_show(const struct cw_yaml_node *node, char out[CW_YAML_SHOWN_BYTES]);

/* Text for a message: cut to `room` bytes (with its NUL) at a whole character, control characters
   as `?`. Returns out. */
const char *cw_yaml_printable(struct cw_view text, char *out, size_t room);

#endif
