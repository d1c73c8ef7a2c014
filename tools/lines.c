#define _GNU_SOURCE 1
#include "tools/lines.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    RING_SLOTS = 16,
    KEYS_BYTES = 4096,
    WAIT_NS = 50000,
    WAIT_NS_MAX = 1000000 /* where nothing comes: who wakes takes a CPU from others */
};

static_assert(CW_LANE_SEGMENTS < RING_SLOTS, "every segment fits its ring");

cw_err cw_lines_open(struct cw_lines *lines, uint32_t count, cw_line_writer *write,
                     struct cw_fault *fault)
{
    *lines = (struct cw_lines){.count = count};
    cw_err err = cw_arena_open(&lines->own, 1u << 16, 1u << 24, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    lines->lanes = cw_arena_zalloc(&lines->own, count * sizeof *lines->lanes, CW_CACHE_LINE);
    for (uint32_t i = 0; i < count; i++) {
        struct cw_lane *lane = &lines->lanes[i];
        lane->write = write;
        lane->until = INT64_MIN;
        lane->out = cw_ring_create(&lines->own, RING_SLOTS);
        lane->home = cw_ring_create(&lines->own, RING_SLOTS);
        for (uint32_t s = 0; s < CW_LANE_SEGMENTS; s++) {
            /* There is never a NULL to point into. */
            (void)cw_text_room(&lane->segments[s].keys, KEYS_BYTES);
            (void)cw_text_room(&lane->segments[s].text, KEYS_BYTES);
            lane->spare[lane->spares++] = &lane->segments[s];
        }
        lane->filling = lane->spare[--lane->spares];
    }
    return CW_ERR_OK;
}

void cw_lines_close(struct cw_lines *lines)
{
    for (uint32_t i = 0; i < lines->count; i++) {
        for (uint32_t s = 0; s < CW_LANE_SEGMENTS; s++) {
            struct cw_segment *segment = &lines->lanes[i].segments[s];
            cw_text_deinit(&segment->keys);
            cw_text_deinit(&segment->text);
            free(segment->lines);
        }
    }
    cw_arena_close(&lines->own);
}

static struct cw_line *new_line(struct cw_segment *segment)
{
    if (segment->count == segment->capacity) {
        segment->capacity = segment->capacity == 0 ? 1024 : 2 * segment->capacity;
        segment->lines = realloc(segment->lines, segment->capacity * sizeof *segment->lines);
        CW_ASSERT(segment->lines != NULL);
    }
    struct cw_line *line = &segment->lines[segment->count];
    line->number = segment->count++;
    return line;
}

void cw_lane_add(struct cw_lane *lane, const struct cw_decision *decision)
{
    struct cw_segment *segment = lane->filling;
    struct cw_line *line = new_line(segment);
    /* What concerns no customer and may come from any core is in the order of what it is about. */
    struct cw_view key =
        decision->kind == CW_DECISION_UNFOLLOWED && decision->customer.data == NULL
            ? decision->u.unfollowed.what
            : decision->customer;
    line->at = decision->at;
    line->key = segment->keys.bytes;
    line->key_bytes = key.bytes;
    cw_text_view(&segment->keys, key);
    line->text = segment->text.bytes;
    lane->write(decision, &segment->text);
    line->text_bytes = (uint32_t)(segment->text.bytes - line->text);
}

static int compare(const struct cw_segment *x, const struct cw_line *a, const struct cw_segment *y,
                   const struct cw_line *b)
{
    if (a->at != b->at) {
        return a->at < b->at ? -1 : 1;
    }
    if (a->key_bytes == 0 || b->key_bytes == 0) { /* invalid lines have no customer */
        return (a->key_bytes > 0) - (b->key_bytes > 0);
    }
    struct cw_view a_key = {x->keys.data + a->key, a->key_bytes};
    struct cw_view b_key = {y->keys.data + b->key, b->key_bytes};
    return cw_view_compare(a_key, b_key);
}

static int by_customer(const void *a, const void *b, void *segment)
{
    const struct cw_line *x = a;
    const struct cw_line *y = b;
    int order = compare(segment, x, segment, y);
    return order != 0 ? order : (x->number > y->number) - (x->number < y->number);
}

/* Lines come in order of time; only those of one instant have to be sorted by customer. */
static void sort(struct cw_segment *segment)
{
    for (uint32_t from = 0; from < segment->count;) {
        uint32_t to = from + 1;
        while (to < segment->count && segment->lines[to].at == segment->lines[from].at) {
            to++;
        }
        if (to - from > 1) {
            qsort_r(segment->lines + from, to - from, sizeof *segment->lines, by_customer, segment);
        }
        from = to;
    }
}

static void collect(struct cw_lane *lane)
{
    void *segment;
    while (lane->spares < CW_LANE_SEGMENTS && cw_ring_pop(lane->home, &segment)) {
        lane->spare[lane->spares++] = segment;
    }
}

bool cw_lane_full(struct cw_lane *lane)
{
    collect(lane);
    return lane->spares < 2; /* one for the next settle, one for the end */
}

static void move_line(const struct cw_segment *from, const struct cw_line *line,
                      struct cw_segment *to)
{
    struct cw_line *moved = new_line(to);
    moved->at = line->at;
    moved->key = to->keys.bytes;
    moved->key_bytes = line->key_bytes;
    cw_text_put(&to->keys, from->keys.data + line->key, line->key_bytes);
    moved->text = to->text.bytes;
    moved->text_bytes = line->text_bytes;
    cw_text_put(&to->text, from->text.data + line->text, line->text_bytes);
}

void cw_lane_settle(struct cw_lane *lane, int64_t until, bool end)
{
    collect(lane);
    CW_ASSERT(lane->spares > 0);
    struct cw_segment *segment = lane->filling;
    struct cw_segment *next = lane->spare[--lane->spares];
    next->count = next->read = 0;
    next->end = false;
    cw_text_clear(&next->keys);
    cw_text_clear(&next->text);
    bool waits = !end && segment->count > 0 && segment->lines[0].at >= until;
    uint32_t settled = waits ? 0 : segment->count;
    while (!end && settled > 0 && segment->lines[settled - 1].at >= until) {
        settled--;
    }
    if (waits) { /* a clock that stands still costs the lines that wait nothing */
        next->until = until;
        bool sent = cw_ring_push(lane->out, next);
        CW_ASSERT(sent);
        return;
    }
    for (uint32_t i = settled; i < segment->count; i++) {
        move_line(segment, &segment->lines[i], next);
    }
    segment->count = settled;
    segment->read = 0;
    segment->until = end ? INT64_MAX : until;
    segment->end = end;
    sort(segment);
    lane->filling = next;
    bool pushed = cw_ring_push(lane->out, segment);
    CW_ASSERT(pushed);
}

static void give_back(struct cw_lane *lane)
{
    if (lane->reading != NULL) {
        CW_ASSERT(lane->reading->read == lane->reading->count);
        bool pushed = cw_ring_push(lane->home, lane->reading);
        CW_ASSERT(pushed);
        lane->reading = NULL;
    }
}

static void wait_for(struct cw_lane *lane)
{
    give_back(lane);
    void *segment;
    struct timespec nap = {.tv_nsec = WAIT_NS};
    for (uint32_t turn = 0; !cw_ring_pop(lane->out, &segment); turn++) { /* until it settles */
        if (turn < 64) {
            (void)sched_yield();
        } else {
            (void)nanosleep(&nap, NULL);
            nap.tv_nsec += nap.tv_nsec < WAIT_NS_MAX ? nap.tv_nsec / 8 : 0;
        }
    }
    lane->reading = segment;
    lane->until = lane->reading->until;
    lane->ended = lane->reading->end;
    lane->taken++;
}

/* The lane that is furthest behind; NULL when all have ended. */
static struct cw_lane *behind(struct cw_lines *lines)
{
    struct cw_lane *last = NULL;
    for (uint32_t i = 0; i < lines->count; i++) {
        struct cw_lane *lane = &lines->lanes[i];
        if (!lane->ended && (last == NULL || lane->until < last->until ||
                             (lane->until == last->until && lane->taken < last->taken))) {
            last = lane;
        }
    }
    return last;
}

/* The segment whose next line comes first; NULL when no lane has one. */
static struct cw_segment *first(const struct cw_lines *lines)
{
    struct cw_segment *best = NULL;
    for (uint32_t i = 0; i < lines->count; i++) {
        struct cw_segment *other = lines->lanes[i].reading;
        if (other != NULL && other->read < other->count &&
            (best == NULL ||
             compare(other, &other->lines[other->read], best, &best->lines[best->read]) < 0)) {
            best = other;
        }
    }
    return best;
}

bool cw_lines_merge(struct cw_lines *lines, void (*line)(void *self, struct cw_view text),
                    void *self)
{
    struct cw_lane *last = behind(lines);
    CW_ASSERT(last != NULL);
    wait_for(last);
    last = behind(lines);
    int64_t until = last == NULL ? INT64_MAX : last->until;
    struct cw_segment *best;
    while ((best = first(lines)) != NULL && best->lines[best->read].at < until) {
        const struct cw_line *next = &best->lines[best->read++];
        line(self, (struct cw_view){best->text.data + next->text, next->text_bytes});
    }
    return last != NULL;
}
