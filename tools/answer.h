/*
 * answer: what an engine says of the events that it was given, in each of its dialects.
 *
 * Threads: one parser each. The text is hostile: everything is checked, and a reason is text of at
 * most CW_ANSWER_REASON bytes without control characters.
 */
#ifndef CW_TOOLS_ANSWER_H
#define CW_TOOLS_ANSWER_H

#include "core/json.h"

#define CW_ANSWER_BYTES_MAX (16u << 20)
#define CW_ANSWER_REASON    200u

struct cw_answer_counts {
    uint64_t accepted, duplicate, rejected;
    uint64_t again; /* those that may come again: marked "retry", or so named by PutEvents */
    uint64_t ack;   /* lines: the last line covered */
};

/* Called for each event that was not accepted: its index in what was sent, from 0 (PutEvents,
   NDJSON), or its line, from 1. again: not now, but later. reason is ended by NUL. */
typedef void cw_answer_fn(void *self, uint64_t index, bool again, const char *reason);

/* text is followed by CW_JSON_PADDING readable bytes. False when it is no such answer. */
CW_MUST_USE bool cw_answer_events(struct cw_json_parser *parser, struct cw_view text,
                                  struct cw_answer_counts *counts, cw_answer_fn *each, void *self);
CW_MUST_USE bool cw_answer_put_events(struct cw_json_parser *parser, struct cw_view text,
                                      struct cw_answer_counts *counts, cw_answer_fn *each,
                                      void *self);
CW_MUST_USE bool cw_answer_line(struct cw_json_parser *parser, struct cw_view text,
                                struct cw_answer_counts *counts, cw_answer_fn *each, void *self);

/* What a refusal of the whole request says: its error type (of __type, after a #) and its message
   (of error or message); "" when it says none. Both are ended by NUL. */
struct cw_answer_refusal {
    char type[64];
    char message[CW_ANSWER_REASON];
    bool again; /* it is marked "retry" */
};

void cw_answer_refusal(struct cw_json_parser *parser, struct cw_view text,
                       struct cw_answer_refusal *refusal);

#endif
