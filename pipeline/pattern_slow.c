/*
 * The search, for documents in which the values of one group come from several places of a frame
 * (pattern_priv.h). Every bit that a value sets is logged with the chain of array elements around
 * it. An alternative matches if one logged value can be chosen for each of its items so that no
 * array would have to give two elements, and no value of an item met by absence agrees with them.
 *
 * In general that is as hard as satisfiability, and the document comes from outside; so all
 * searches for one document share a number of steps that grows with its size (steps_for), a step
 * being one logged value looked at. Alternatives that are not decided by then do not match.
 * Documents without repeated keys or dots in keys only come here through a pattern that asks for
 * both a field and something below it, and are decided in about as many steps as there are values.
 */
#include "pipeline/pattern_priv.h"

/* ---- The log ---- */

static void log_value(struct cw_pattern_scratch *m, uint32_t value, uint32_t at, uint32_t frame)
{
    cw_pattern_test_value(m, &m->set->values.at[value], &m->nodes[at]);
    for (uint32_t k = 0; k < m->hit_count; k++) {
        uint32_t bit = m->hits[k];
        m->bits[bit >> 6] = 0;
        if (m->log_count < CW_PATTERN_LOG_MAX) {
            m->log[m->log_count] =
                (struct cw_pattern_entry){.bit = bit, .frame = frame, .next = m->heads[bit]};
            m->heads[bit] = m->log_count++;
        } else {
            m->steps = m->steps_max; /* what is not logged cannot be searched */
        }
    }
    m->hit_count = 0;
}

static void log_members(struct cw_pattern_scratch *m, uint32_t object, uint32_t number,
                        uint32_t frame);

static void log_at(struct cw_pattern_scratch *m, uint32_t at, uint32_t number, uint32_t frame)
{
    const struct cw_json_node *nodes = m->nodes;
    const struct cw_pattern_node *node = &m->set->nodes.at[number];
    if (nodes[at].type == CW_JSON_OBJECT) {
        log_members(m, at, number, frame);
        return;
    }
    if (nodes[at].type != CW_JSON_ARRAY) {
        if (node->value != CW_PATTERN_NONE) {
            log_value(m, node->value, at, frame);
        }
        return;
    }
    uint32_t array = m->array_count++;
    for (uint32_t i = at + 1; i < nodes[at].next; i = nodes[i].next) {
        uint32_t inner = frame;
        if (nodes[i].type >= CW_JSON_ARRAY) {
            inner = m->frame_count++;
            m->frames[inner] = (struct cw_pattern_frame){.parent = frame, .array = array};
        }
        log_at(m, i, number, inner);
    }
}

static void log_members(struct cw_pattern_scratch *m, uint32_t object, uint32_t number,
                        uint32_t frame)
{
    for (uint32_t i = object + 1; i < m->nodes[object].next; i = m->nodes[i].next) {
        uint32_t child = cw_pattern_step(m, number, &m->nodes[i]);
        if (child != CW_PATTERN_NONE) {
            log_at(m, i, child, frame);
        }
    }
}

static uint32_t steps_for(uint32_t node_count)
{
    enum {
        LEAST = 4096,
        PER_NODE = 256,
        MOST = 1 << 20 /* some 10 ms */
    };

    return node_count < (MOST - LEAST) / PER_NODE ? LEAST + PER_NODE * node_count : MOST;
}

void cw_pattern_log(struct cw_pattern_scratch *m)
{
    cw_pattern_scratch_fit_slow(m);
    m->log_count = 0;
    m->array_count = 0;
    m->frames[0] = (struct cw_pattern_frame){.parent = CW_PATTERN_NONE};
    m->frame_count = 1;
    m->steps = 0;
    m->steps_max = steps_for(m->doc->node_count);
    memset(m->heads, 0xff, m->set->bit_count * sizeof *m->heads);
    log_members(m, 0, 0, 0);
    memset(m->chosen, 0xff, m->array_count * sizeof *m->chosen);
}

/* ---- The search ---- */

static bool agrees(const struct cw_pattern_scratch *m, uint32_t frame)
{
    for (; frame != 0; frame = m->frames[frame].parent) {
        uint32_t chosen = m->chosen[m->frames[frame].array];
        if (chosen != CW_PATTERN_NONE && chosen != frame) {
            return false;
        }
    }
    return true;
}

static uint32_t choose(struct cw_pattern_scratch *m, uint32_t frame, uint32_t trail)
{
    for (; frame != 0; frame = m->frames[frame].parent) {
        uint32_t array = m->frames[frame].array;
        if (m->chosen[array] == CW_PATTERN_NONE) {
            m->chosen[array] = frame;
            m->trail[trail++] = array;
        }
    }
    return trail;
}

static uint32_t unchoose(struct cw_pattern_scratch *m, uint32_t trail, uint32_t mark)
{
    while (trail > mark) {
        m->chosen[m->trail[--trail]] = CW_PATTERN_NONE;
    }
    return trail;
}

static bool has_agreeing(struct cw_pattern_scratch *m, uint32_t bit)
{
    uint32_t e = m->heads[bit];
    while (e != CW_PATTERN_NONE && !agrees(m, m->log[e].frame)) {
        m->steps++;
        e = m->log[e].next;
    }
    return e != CW_PATTERN_NONE;
}

enum {
    ABSENT = UINT32_MAX - 1 /* a choice: the item is to be met by absence */
};

static bool absences_hold(struct cw_pattern_scratch *m, const struct cw_pattern_part *part)
{
    for (uint32_t i = part->lo; i < part->hi; i++) {
        if (m->choice[i - part->lo] == ABSENT && has_agreeing(m, m->set->items.at[i].presence)) {
            return false;
        }
    }
    return true;
}

/* The next value for the item from entry e on, or absence after the last, or NONE. */
static uint32_t next_choice(struct cw_pattern_scratch *m, const struct cw_pattern_item *item,
                            uint32_t e)
{
    while (e != CW_PATTERN_NONE) {
        m->steps++;
        if (agrees(m, m->log[e].frame)) {
            return e;
        }
        e = m->log[e].next;
    }
    return item->presence != CW_PATTERN_NONE ? ABSENT : CW_PATTERN_NONE;
}

/* Depth first over the items; choice, mark: what each item has, where its trail begins. */
static bool search(struct cw_pattern_scratch *m, const struct cw_pattern_part *part)
{
    const struct cw_pattern_item *items = &m->set->items.at[part->lo];
    uint32_t count = part->hi - part->lo;
    uint32_t trail = 0;
    uint32_t at = 0;
    bool found = false;
    bool forward = true;
    while (m->steps < m->steps_max) {
        if (at == count) {
            found = absences_hold(m, part);
            forward = false;
            if (found) {
                break;
            }
        }
        if (!forward && at-- == 0) {
            break;
        }
        uint32_t e;
        if (forward) {
            m->mark[at] = trail;
            e = items[at].bit == CW_PATTERN_NONE ? CW_PATTERN_NONE : m->heads[items[at].bit];
        } else {
            trail = unchoose(m, trail, m->mark[at]);
            if (m->choice[at] == ABSENT) {
                continue; /* that was its last */
            }
            e = m->log[m->choice[at]].next;
        }
        m->steps++;
        uint32_t chosen = next_choice(m, &items[at], e);
        forward = chosen != CW_PATTERN_NONE;
        if (forward) {
            m->choice[at] = chosen;
            if (chosen != ABSENT) {
                trail = choose(m, m->log[chosen].frame, trail);
            }
            at++;
        }
    }
    (void)unchoose(m, trail, 0);
    return found;
}

void cw_pattern_match_slowly(struct cw_pattern_scratch *m, struct cw_pattern_matches *matches)
{
    const struct cw_pattern_set *set = m->set;
    cw_pattern_log(m);
    for (uint32_t p = 0; p < set->parts.count; p++) {
        const struct cw_pattern_part *part = &set->parts.at[p];
        if (part->group != CW_PATTERN_NONE) {
            continue;
        }
        uint64_t mask = UINT64_C(1) << (part->pattern & 63);
        bool possible = (matches->words[part->pattern >> 6] & mask) == 0;
        for (uint32_t i = part->lo; possible && i < part->hi; i++) {
            const struct cw_pattern_item *item = &set->items.at[i];
            possible = item->presence != CW_PATTERN_NONE || m->heads[item->bit] != CW_PATTERN_NONE;
            m->steps++;
        }
        if (possible && search(m, part)) {
            matches->words[part->pattern >> 6] |= mask;
        }
    }
}
