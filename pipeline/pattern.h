/*
 * pattern: EventBridge event patterns, compiled once, many matched in one pass over a document.
 *
 * Semantics: the language of the EventBridge user guide ("Event patterns", "Comparison operators")
 * with every operator: exact values, prefix, suffix, equals-ignore-case (also inside prefix and
 * suffix), anything-but (values, lists, prefix, suffix, wildcard, equals-ignore-case), numeric,
 * cidr, exists, wildcard, $or. Numbers compare as binary64. Array consistency as EventBridge has
 * it: members of one array element belong together; {"exists": false} in arrays is about the
 * elements that meet the pattern's other fields, in whatever order. Duplicate keys: every value is
 * seen. Of a path that a pattern names twice the last list counts. Numbers that binary64 does not
 * hold without loss are in no range and equal only their own spelling.
 *
 * Life:    set open -> add* -> seal -> match* -> close.
 * Memory:  the set owns what it compiles; matching needs a cw_pattern_scratch per thread and
 *          allocates nothing once the scratch has seen its largest document.
 * Threads: a sealed set is read-only and shared; a scratch belongs to one thread.
 * Bounds:  CW_PATTERNS_MAX patterns a set, 64 KiB each; alternatives of $or at most 1,000. Matching
 *          is linear in the document, but for repeated or dotted keys around arrays and patterns
 *          that ask for a field and for something below it: those are searched with at most 2^20
 *          steps a document, and what is not decided by then does not match.
 */
#ifndef CW_PIPELINE_PATTERN_H
#define CW_PIPELINE_PATTERN_H

#include "core/err.h"
#include "core/json.h"
#include "core/text.h"

#define CW_PATTERNS_MAX      256u
#define CW_PATTERN_BYTES_MAX (64u << 10)

enum cw_pattern_dialect {
    CW_PATTERN_STRICT, /* exactly EventBridge */
    CW_PATTERN_RANGES  /* a list of two ascending numbers is an inclusive range */
};

struct cw_pattern_set;
struct cw_pattern_scratch;

/* One bit per pattern, in the order they were added. */
struct cw_pattern_matches {
    uint64_t words[CW_PATTERNS_MAX / 64];
};

CW_MUST_USE cw_err cw_pattern_set_open(struct cw_pattern_set **set, struct cw_fault *fault);
void cw_pattern_set_close(struct cw_pattern_set *set);

/* Compiles JSON text as pattern number cw_pattern_set_count(). On CW_ERR_INVALID the fault's text
   says what is wrong, where (the path of keys) and what to write instead. *ranges (may be NULL)
   counts lists that were read as ranges. */
CW_MUST_USE cw_err cw_pattern_add(struct cw_pattern_set *set, struct cw_view json,
                                  enum cw_pattern_dialect dialect, uint32_t *ranges,
                                  struct cw_fault *fault);
uint32_t cw_pattern_set_count(const struct cw_pattern_set *set);
void cw_pattern_set_seal(struct cw_pattern_set *set);

CW_MUST_USE cw_err cw_pattern_scratch_open(struct cw_pattern_scratch **scratch,
                                           struct cw_fault *fault);
void cw_pattern_scratch_close(struct cw_pattern_scratch *scratch);

/* Which patterns of the sealed set match the document (whose root is an object; other roots match
   nothing). */
void cw_pattern_match(const struct cw_pattern_set *set, struct cw_pattern_scratch *scratch,
                      const struct cw_json *doc, struct cw_pattern_matches *matches);

/* Appends one line of text per leaf of the pattern that explains the verdict: its path, what it
   asks for, what the event has there, and whether it is met. Not for the hot path. */
void cw_pattern_explain(const struct cw_pattern_set *set, uint32_t pattern,
                        struct cw_pattern_scratch *scratch, const struct cw_json *doc,
                        struct cw_text *out);

#endif
