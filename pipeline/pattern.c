/*
 * The walk over a document and what is decided from the bits; pattern_priv.h tells how.
 *
 * Cost: a member that no pattern names is one or two bit tests; no allocation.
 */
#include "pipeline/pattern_priv.h"

#define CW_INLINE static inline __attribute__((always_inline))

CW_INLINE uint32_t child_of(const struct cw_pattern_node *node, const char *name, uint32_t bytes)
{
    if (node->children.count == 0) {
        return CW_PATTERN_NONE;
    }
    return cw_pattern_lookup(&node->children, name, bytes);
}

static __attribute__((noinline)) uint32_t step_dots(const struct cw_pattern_set *set, uint32_t from,
                                                    const char *name, uint32_t bytes)
{
    uint32_t child = CW_PATTERN_NONE;
    while (child == CW_PATTERN_NONE && set->nodes.at[from].deep) {
        const char *dot = memchr(name, '.', bytes);
        if (dot == NULL) {
            break;
        }
        uint32_t part = (uint32_t)(dot - name);
        from = child_of(&set->nodes.at[from], name, part);
        if (from == CW_PATTERN_NONE) {
            break;
        }
        name += part + 1;
        bytes -= part + 1;
        child = child_of(&set->nodes.at[from], name, bytes);
    }
    return child;
}

/* The whole name is a child, or it is several names that dots join. */
CW_INLINE uint32_t step_by(const struct cw_pattern_set *set, uint32_t from, const char *name,
                           uint32_t bytes)
{
    const struct cw_pattern_node *node = &set->nodes.at[from];
    uint32_t child = child_of(node, name, bytes);
    if (child != CW_PATTERN_NONE || !node->deep) {
        return child;
    }
    return step_dots(set, from, name, bytes);
}

static CW_COLD uint32_t step_escaped(struct cw_pattern_scratch *m, uint32_t from,
                                     const struct cw_json_node *member)
{
    struct cw_view raw = {m->text + member->key, member->key_bytes};
    uint32_t bytes = cw_json_unescape(raw, m->unescaped);
    return step_by(m->set, from, m->unescaped, bytes);
}

CW_INLINE uint32_t step(struct cw_pattern_scratch *m, uint32_t from,
                        const struct cw_json_node *member)
{
    if (CW_UNLIKELY(member->key_escaped)) {
        return step_escaped(m, from, member);
    }
    const struct cw_pattern_node *node = &m->set->nodes.at[from];
    const char *name = m->text + member->key; /* behind an empty one stands its quote */
    if ((node->firsts >> ((uint8_t)*name & 63) & 1) == 0) {
        return CW_PATTERN_NONE;
    }
    uint32_t bytes = member->key_bytes;
    if ((node->lengths >> (bytes < 63 ? bytes : 63) & 1) == 0 && !node->deep) {
        return CW_PATTERN_NONE;
    }
    return step_by(m->set, from, name, bytes);
}

uint32_t cw_pattern_step(struct cw_pattern_scratch *m, uint32_t from,
                         const struct cw_json_node *member)
{
    return step(m, from, member);
}

/* ---- What is decided from bits ---- */

/* All items of the part are met, each by its bit, by absence, or by the bit of a part within. */
static bool is_met(const struct cw_pattern_scratch *m, uint32_t number)
{
    const struct cw_pattern_set *set = m->set;
    const struct cw_pattern_part *part = &set->parts.at[number];
    for (uint32_t i = part->lo; i < part->hi;) {
        const struct cw_pattern_item *item = &set->items.at[i];
        if ((item->bit != CW_PATTERN_NONE && cw_pattern_bit(m, item->bit)) ||
            (item->presence != CW_PATTERN_NONE && !cw_pattern_bit(m, item->presence))) {
            i++;
            continue;
        }
        uint32_t past = 0;
        for (uint32_t p = item->part; p != number; p = set->parts.at[p].parent) {
            if (cw_pattern_bit(m, set->parts.at[p].bit)) {
                past = set->parts.at[p].hi;
            }
        }
        if (past == 0) {
            return false;
        }
        i = past;
    }
    return true;
}

static void decide_within(struct cw_pattern_scratch *m, uint32_t number)
{
    uint32_t bit = m->set->parts.at[number].bit;
    if (!cw_pattern_bit(m, bit) && is_met(m, number)) {
        cw_pattern_set_bit(m, bit);
    }
}

/* The part around this one that belongs to the group, or NONE. */
static uint32_t part_around(const struct cw_pattern_set *set, uint32_t part, uint32_t group)
{
    do {
        part = set->parts.at[part].parent;
    } while (part != CW_PATTERN_NONE && set->parts.at[part].group != group);
    return part;
}

/* What a bit of a closing frame leads to: parts of the group that may be met now, a presence to be
   told at the array's end, or a part of the group that is met and leaves the frame. */
static void settle(struct cw_pattern_scratch *m, uint32_t bit, uint32_t group,
                   uint64_t array_serial)
{
    const struct cw_pattern_set *set = m->set;
    if (bit < set->condition_bits) {
        for (uint32_t t = set->within.first[bit]; t < set->within.first[bit + 1]; t++) {
            if (set->parts.at[set->within.parts[t]].group == group) {
                decide_within(m, set->within.parts[t]);
            }
        }
        return;
    }
    bit -= set->condition_bits;
    if (bit < set->presence_bits) {
        if (m->pended[bit] != array_serial) {
            m->pended[bit] = array_serial;
            CW_ASSERT_HOT(m->pending_count < m->text_room);
            m->pending[m->pending_count++] = bit + set->condition_bits;
        }
        return;
    }
    uint32_t part = set->part_of.at[bit - set->presence_bits];
    if (set->parts.at[part].group == group) {
        m->promoted[m->promoted_count++] = set->parts.at[part].bit;
        return;
    }
    part = part_around(set, part, group);
    if (part != CW_PATTERN_NONE) {
        decide_within(m, part);
    }
}

/* Ends the frame of one element of an array at a group: the bits from mark on go, but for the
   group's own parts. */
static void close_frame(struct cw_pattern_scratch *m, uint32_t mark, uint32_t group,
                        uint64_t array_serial)
{
    uint32_t promoted = m->promoted_count;
    for (uint32_t k = mark; k < m->hit_count; k++) { /* which settling adds to */
        settle(m, m->hits[k], group, array_serial);
    }
    for (uint32_t k = mark; k < m->hit_count; k++) {
        m->bits[m->hits[k] >> 6] &= ~(UINT64_C(1) << (m->hits[k] & 63));
    }
    m->hit_count = mark;
    while (m->promoted_count > promoted) {
        cw_pattern_set_bit(m, m->promoted[--m->promoted_count]);
    }
}

/* ---- The walk: recursion as deep as the document, which the parser bounds ---- */

static void walk_value(struct cw_pattern_scratch *m, uint32_t at, uint32_t number);

/* A member's value, reached from node `from` by the name that leads to `to`, has set bits, or
   would have if they were not set: it belongs to the groups on the way. An array has noted its own
   group. */
static void note_groups(struct cw_pattern_scratch *m, uint32_t from, uint32_t to, bool array)
{
    const struct cw_pattern_node *nodes = m->set->nodes.at;
    for (uint32_t n = array ? nodes[to].up : to; n != from; n = nodes[n].up) {
        uint32_t group = nodes[n].group;
        if (group != CW_PATTERN_NONE) {
            m->flat[group] = m->serial;
            m->overlap |= m->array[group] == m->serial;
        }
    }
}

static void walk_members(struct cw_pattern_scratch *m, uint32_t object, uint32_t number)
{
    const struct cw_json_node *nodes = m->nodes;
    uint32_t end = nodes[object].next;
    for (uint32_t i = object + 1; i < end; i = nodes[i].next) {
        uint32_t child = step(m, number, &nodes[i]);
        if (child == CW_PATTERN_NONE) {
            continue;
        }
        uint64_t before = m->fired;
        walk_value(m, i, child);
        if (m->set->group_count > 0 && m->fired != before) {
            note_groups(m, number, child, nodes[i].type == CW_JSON_ARRAY);
        }
    }
}

/* Nothing of a scalar is wanted at a node without a value. */
static void walk_plain_array(struct cw_pattern_scratch *m, uint32_t array, uint32_t number)
{
    const struct cw_json_node *nodes = m->nodes;
    const struct cw_pattern_node *node = &m->set->nodes.at[number];
    const struct cw_pattern_value *value =
        node->value == CW_PATTERN_NONE ? NULL : &m->set->values.at[node->value];
    uint32_t end = nodes[array].next;
    for (uint32_t i = array + 1; i < end; i = nodes[i].next) {
        if (nodes[i].type >= CW_JSON_ARRAY) {
            walk_value(m, i, number);
        } else if (value != NULL) {
            cw_pattern_test_value(m, value, &nodes[i]);
        }
    }
}

static void walk_group_array(struct cw_pattern_scratch *m, uint32_t array, uint32_t number)
{
    const struct cw_json_node *nodes = m->nodes;
    uint32_t group = m->set->nodes.at[number].group;
    uint32_t pending = m->pending_count;
    uint64_t array_serial = ++m->array_serial;
    uint64_t serial = m->serial;
    /* Kept here, as arrays within note their own frames. */
    bool flat = m->flat[group] == serial;
    bool before = m->array[group] == serial;
    bool now = false;
    for (uint32_t i = array + 1; i < nodes[array].next; i = nodes[i].next) {
        if (nodes[i].type < CW_JSON_ARRAY) { /* belongs to the frame around */
            uint64_t bits = m->fired;
            walk_value(m, i, number);
            flat |= m->fired != bits;
            continue;
        }
        uint32_t mark = m->hit_count;
        uint64_t bits = m->fired;
        m->serial = ++m->serial_last;
        walk_value(m, i, number);
        m->serial = serial;
        now |= m->fired != bits;
        if (m->hit_count > mark) {
            close_frame(m, mark, group, array_serial);
        }
    }
    while (m->pending_count > pending) {
        cw_pattern_set_bit(m, m->pending[--m->pending_count]);
    }
    m->overlap |= (flat && (before || now)) || (before && now);
    m->flat[group] = flat ? serial : 0;
    m->array[group] = before || now ? serial : 0;
}

static void walk_value(struct cw_pattern_scratch *m, uint32_t at, uint32_t number)
{
    const struct cw_pattern_node *node = &m->set->nodes.at[number];
    switch (m->nodes[at].type) {
    case CW_JSON_OBJECT:
        if (node->children.count > 0) {
            walk_members(m, at, number);
        }
        break;
    case CW_JSON_ARRAY:
        if (node->group != CW_PATTERN_NONE) {
            walk_group_array(m, at, number);
        } else {
            walk_plain_array(m, at, number);
        }
        break;
    default:
        if (node->value != CW_PATTERN_NONE) {
            cw_pattern_test_value(m, &m->set->values.at[node->value], &m->nodes[at]);
        }
        break;
    }
}

static void decide_whole(struct cw_pattern_scratch *m, uint32_t part,
                         struct cw_pattern_matches *matches)
{
    uint32_t pattern = m->set->parts.at[part].pattern;
    uint64_t mask = UINT64_C(1) << (pattern & 63);
    if ((matches->words[pattern >> 6] & mask) == 0 && is_met(m, part)) {
        matches->words[pattern >> 6] |= mask;
    }
}

static void decide(struct cw_pattern_scratch *m, struct cw_pattern_matches *matches)
{
    const struct cw_pattern_set *set = m->set;
    uint32_t parts_from = set->condition_bits + set->presence_bits;
    for (uint32_t k = 0; k < m->hit_count; k++) {
        uint32_t bit = m->hits[k];
        if (bit < set->condition_bits) {
            for (uint32_t t = set->whole.first[bit]; t < set->whole.first[bit + 1]; t++) {
                decide_whole(m, set->whole.parts[t], matches);
            }
        } else if (bit >= parts_from) {
            uint32_t part = set->part_of.at[bit - parts_from];
            decide_whole(m, part_around(set, part, CW_PATTERN_NONE), matches);
        }
    }
    for (uint32_t k = 0; k < set->always.count; k++) {
        decide_whole(m, set->always.at[k], matches);
    }
}

static void take_back(struct cw_pattern_scratch *m)
{
    for (uint32_t k = 0; k < m->hit_count; k++) {
        m->bits[m->hits[k] >> 6] = 0;
    }
    m->hit_count = 0;
}

void cw_pattern_match(const struct cw_pattern_set *set, struct cw_pattern_scratch *scratch,
                      const struct cw_json *doc, struct cw_pattern_matches *matches)
{
    CW_ASSERT_HOT(set->sealed);
    struct cw_pattern_scratch *m = scratch;
    *matches = (struct cw_pattern_matches){{0}};
    if (doc->node_count == 0 || doc->nodes[0].type != CW_JSON_OBJECT || set->patterns.count == 0) {
        return;
    }
    if (m->set_id != set->id || m->text_room < doc->text_bytes) {
        cw_pattern_scratch_fit(m, set, doc);
    }
    m->doc = doc;
    m->text = doc->text;
    m->nodes = doc->nodes;
    m->serial = ++m->serial_last;
    m->overlap = false;
    walk_members(m, 0, 0);
    if (CW_UNLIKELY(m->overlap)) {
        take_back(m);
        cw_pattern_match_slowly(m, matches);
        return;
    }
    decide(m, matches);
    take_back(m);
}
