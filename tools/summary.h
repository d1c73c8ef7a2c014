/* summary: what became of everything, for people and scripts; and the readable timeline. */
#ifndef CW_TOOLS_SUMMARY_H
#define CW_TOOLS_SUMMARY_H

#include "pipeline/fate.h"

#include <stdio.h>

struct cw_summary {
    struct cw_fates fates; /* of all cores */
    uint64_t in_flight, pending, decisions;
    size_t bytes;
    double seconds; /* that all of it took; 0 where the counts are older than this process */
    uint32_t cores;
};

void cw_summary_print(const struct cw_summary *summary, bool json, FILE *to);

/* A cw_line_writer: one line that a person reads. */
/* What it says beside time and ids. */
void cw_timeline_what(const struct cw_decision *decision, struct cw_text *out);
void cw_timeline_write(const struct cw_decision *decision, struct cw_text *out);

#endif
