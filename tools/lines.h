/*
 * lines: decisions of several shards as one stream of lines, ordered by time, then customer, then
 * the order in which one customer's things happened.
 *
 * A shard writes lines into its lane; when the shard says up to when all is settled, what is older
 * goes as a segment to the one thread that merges, which prints what is older than any lane can
 * still write. A customer lives on one shard, so two lanes never hold lines of the same customer.
 *
 * Memory:  CW_LANE_SEGMENTS segments per lane, their buffers kept and grown to the largest need.
 * Threads: each lane its shard's; cw_lines_merge the one reader.
 */
#ifndef CW_TOOLS_LINES_H
#define CW_TOOLS_LINES_H

#include "core/arena.h"
#include "core/ring.h"
#include "core/text.h"
#include "pipeline/decision.h"

#define CW_LANE_SEGMENTS 6u

struct cw_line {
    int64_t at;
    size_t key, text; /* offsets into the segment's keys and text */
    uint32_t key_bytes, text_bytes;
    uint32_t number; /* order of writing in its segment */
};

struct cw_segment {
    struct cw_text keys, text;
    struct cw_line *lines;
    uint32_t count, capacity;
    uint32_t read;
    int64_t until; /* what the lane writes after this segment is not older */
    bool end;
};

typedef void cw_line_writer(const struct cw_decision *decision, struct cw_text *out);

struct cw_lane {
    struct cw_segment segments[CW_LANE_SEGMENTS];
    struct cw_segment *filling;
    struct cw_segment *spare[CW_LANE_SEGMENTS];
    uint32_t spares;
    struct cw_ring *out, *home;
    cw_line_writer *write;
    /* The merger's. */
    struct cw_segment *reading;
    int64_t until;  /* of the latest segment that came, the end: INT64_MAX */
    uint64_t taken; /* segments that came */
    bool ended;
};

struct cw_lines {
    struct cw_arena own;
    struct cw_lane *lanes;
    uint32_t count;
};

CW_MUST_USE cw_err cw_lines_open(struct cw_lines *lines, uint32_t lanes, cw_line_writer *write,
                                 struct cw_fault *fault);
void cw_lines_close(struct cw_lines *lines);

/* For the shard of the lane. */
void cw_lane_add(struct cw_lane *lane, const struct cw_decision *decision);
bool cw_lane_full(struct cw_lane *lane);
void cw_lane_settle(struct cw_lane *lane, int64_t until, bool end);

/*
 * Waits for the next segment of the lane that is furthest behind and hands each line that is
 * settled by now to `line`. Returns false after the last. Of lanes that are equally far the one
 * that sent fewer segments counts as behind: it may be full, while another one waits for its
 * batches.
 */
CW_MUST_USE bool cw_lines_merge(struct cw_lines *lines,
                                void (*line)(void *self, struct cw_view text), void *self);

#endif
