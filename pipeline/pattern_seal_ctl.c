/*
 * Makes of all patterns together what matching reads: bits, the trie's nodes in pre-order (so that
 * what is at or below a key is a range), parts, and which bits trigger the look at which parts.
 */
#include "pipeline/pattern_priv.h"

#include <stdlib.h>

/* ---- What is used ---- */

static void mark_used(struct cw_pattern_set *set)
{
    for (uint32_t c = 0; c < set->conditions.count; c++) {
        set->conditions.at[c].bit = CW_PATTERN_NONE;
        set->conditions.at[c].uses = 0;
    }
    for (uint32_t k = 0; k < set->keys.count; k++) {
        struct cw_pattern_key *key = &set->keys.at[k];
        key->used = 0;
        key->condition = CW_PATTERN_NONE;
        key->presence = CW_PATTERN_NONE;
        key->group = CW_PATTERN_NONE;
    }
    set->keys.at[0].used = 1;
    for (uint32_t p = 0; p < set->pairs.count; p++) {
        set->conditions.at[set->pairs.at[p].condition].uses++;
        for (uint32_t k = set->pairs.at[p].key; set->keys.at[k].used == 0;
             k = set->keys.at[k].parent) {
            set->keys.at[k].used = 1;
        }
    }
}

static void give_bits(struct cw_pattern_set *set)
{
    for (uint32_t c = set->conditions.count; c-- > 0;) {
        struct cw_pattern_condition *condition = &set->conditions.at[c];
        if (condition->uses > 0) {
            condition->next = set->keys.at[condition->node].condition;
            set->keys.at[condition->node].condition = c;
        }
    }
    for (uint32_t c = 0; c < set->conditions.count; c++) {
        struct cw_pattern_condition *condition = &set->conditions.at[c];
        if (condition->uses > 0 && condition->test_count > 0) {
            condition->bit = set->bit_count++;
        }
    }
    set->condition_bits = set->bit_count;
    for (uint32_t c = 0; c < set->conditions.count; c++) {
        struct cw_pattern_key *key = &set->keys.at[set->conditions.at[c].node];
        if (set->conditions.at[c].uses > 0 && set->conditions.at[c].absent_ok &&
            key->presence == CW_PATTERN_NONE) {
            key->presence = set->bit_count++;
        }
    }
    set->presence_bits = set->bit_count - set->condition_bits;
}

/* ---- The trie ---- */

static struct cw_view name_of(const struct cw_pattern_set *set, const struct cw_pattern_key *key)
{
    return (struct cw_view){set->pool.data + key->name, key->name_bytes};
}

/* A parent's number is below its children's, in keys as in nodes. */
static void number_nodes(struct cw_pattern_set *set)
{
    for (uint32_t k = set->keys.count; k-- > 1;) {
        set->keys.at[set->keys.at[k].parent].used += set->keys.at[k].used;
    }
    uint32_t count = set->keys.at[0].used;
    uint32_t *next = calloc(set->keys.count, sizeof *next);
    uint32_t *children = calloc(count, sizeof *children);
    CW_ASSERT(next != NULL && children != NULL);
    for (uint32_t n = 0; n < count; n++) {
        struct cw_pattern_node node = {
            .value = CW_PATTERN_NONE, .group = CW_PATTERN_NONE, .up = CW_PATTERN_NONE};
        CW_PATTERN_PUSH(&set->nodes, node);
    }
    next[0] = 1;
    for (uint32_t k = 1; k < set->keys.count; k++) {
        struct cw_pattern_key *key = &set->keys.at[k];
        if (key->used > 0) {
            key->sealed = next[key->parent];
            next[key->parent] += key->used;
            next[k] = key->sealed + 1;
            set->nodes.at[key->sealed].up = set->keys.at[key->parent].sealed;
            children[set->keys.at[key->parent].sealed]++;
        }
    }
    for (uint32_t n = 0; n < count; n++) {
        if (children[n] > 0) {
            set->nodes.at[n].children = cw_pattern_table_make(set, children[n]);
        }
    }
    for (uint32_t k = 1; k < set->keys.count; k++) {
        const struct cw_pattern_key *key = &set->keys.at[k];
        if (key->used == 0) {
            continue;
        }
        struct cw_pattern_node *up = &set->nodes.at[set->keys.at[key->parent].sealed];
        struct cw_view name = name_of(set, key);
        cw_pattern_table_put(&up->children, name, key->sealed);
        /* What stands first where the name does: behind an empty one its quote, or a dot. */
        up->firsts |= UINT64_C(1) << ((uint8_t)(name.bytes == 0 ? '"' : *name.data) & 63);
        up->firsts |= UINT64_C(1) << ((uint8_t)(name.bytes == 0 ? '.' : *name.data) & 63);
        up->lengths |= UINT64_C(1) << (name.bytes < 63 ? name.bytes : 63);
        up->deep |= children[key->sealed] > 0;
    }
    free(next);
    free(children);
}

/* ---- Groups ---- */

struct sorted { /* a pair with its place in pre-order */
    uint32_t sealed, key, condition;
};

static int by_sealed(const void *a, const void *b)
{
    uint32_t x = ((const struct sorted *)a)->sealed;
    uint32_t y = ((const struct sorted *)b)->sealed;
    return (x > y) - (x < y);
}

static uint32_t sort_pairs(const struct cw_pattern_set *set,
                           const struct cw_pattern_alternative *alternative, struct sorted *sorted)
{
    for (uint32_t i = 0; i < alternative->pair_count; i++) {
        const struct cw_pattern_pair *pair = &set->pairs.at[alternative->pair + i];
        sorted[i] = (struct sorted){
            .sealed = set->keys.at[pair->key].sealed,
            .key = pair->key,
            .condition = pair->condition,
        };
    }
    qsort(sorted, alternative->pair_count, sizeof *sorted, by_sealed);
    return alternative->pair_count;
}

static uint32_t common_key(const struct cw_pattern_set *set, uint32_t a, uint32_t b)
{
    while (a != b) {
        if (set->keys.at[a].depth >= set->keys.at[b].depth) {
            a = set->keys.at[a].parent;
        } else {
            b = set->keys.at[b].parent;
        }
    }
    return a;
}

static void mark_groups(struct cw_pattern_set *set, const struct sorted *sorted, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        uint32_t k = common_key(set, sorted[i - 1].key, sorted[i].key);
        for (; k != 0 && set->keys.at[k].group == CW_PATTERN_NONE; k = set->keys.at[k].parent) {
            set->keys.at[k].group = set->group_count;
            set->nodes.at[set->keys.at[k].sealed].group = set->group_count++;
        }
    }
}

/* ---- Parts ---- */

struct parter {
    struct cw_pattern_set *set;
    const struct sorted *sorted;
    uint32_t item; /* of sorted[0] */
    uint32_t pattern;
};

static uint32_t ancestor_at(const struct cw_pattern_set *set, uint32_t key, uint32_t depth)
{
    while (set->keys.at[key].depth > depth) {
        key = set->keys.at[key].parent;
    }
    return key;
}

static uint32_t add_part(struct parter *p, uint32_t key, uint32_t parent, uint32_t lo, uint32_t hi)
{
    struct cw_pattern_set *set = p->set;
    struct cw_pattern_part part = {
        .group = set->keys.at[key].group,
        .parent = parent,
        .lo = p->item + lo,
        .hi = p->item + hi,
        .bit = CW_PATTERN_NONE,
        .pattern = p->pattern,
    };
    if (parent != CW_PATTERN_NONE) {
        part.bit = set->bit_count++;
        CW_PATTERN_PUSH(&set->part_of, set->parts.count);
    }
    CW_PATTERN_PUSH(&set->parts, part);
    return set->parts.count - 1;
}

/* Items lo to hi are at or below the key and in its part; those that share a group below it, one
   may be enough, make a part of their own. As deep as the keys. */
static void split(struct parter *p, uint32_t key, uint32_t part, uint32_t lo, uint32_t hi)
{
    struct cw_pattern_set *set = p->set;
    uint32_t depth = set->keys.at[key].depth;
    for (uint32_t i = lo; i < hi;) {
        if (p->sorted[i].key == key) {
            set->items.at[p->item + i].part = part;
            i++;
            continue;
        }
        uint32_t child = ancestor_at(set, p->sorted[i].key, depth + 1);
        uint32_t past = set->keys.at[child].sealed + set->keys.at[child].used;
        uint32_t end = i + 1;
        while (end < hi && p->sorted[end].sealed < past) {
            end++;
        }
        if (set->keys.at[child].group != CW_PATTERN_NONE) {
            split(p, child, add_part(p, child, part, i, end), i, end);
        } else {
            set->items.at[p->item + i].part = part; /* the only one: no group would have two */
        }
        i = end;
    }
}

static void make_parts(struct cw_pattern_set *set, const struct cw_pattern_alternative *alternative,
                       const struct sorted *sorted)
{
    struct parter p = {
        .set = set,
        .sorted = sorted,
        .item = set->items.count,
        .pattern = alternative->pattern,
    };
    for (uint32_t i = 0; i < alternative->pair_count; i++) {
        const struct cw_pattern_condition *condition = &set->conditions.at[sorted[i].condition];
        struct cw_pattern_item item = {
            .bit = condition->bit,
            .presence =
                condition->absent_ok ? set->keys.at[sorted[i].key].presence : CW_PATTERN_NONE,
        };
        CW_PATTERN_PUSH(&set->items, item);
    }
    uint32_t whole = add_part(&p, 0, CW_PATTERN_NONE, 0, alternative->pair_count);
    split(&p, 0, whole, 0, alternative->pair_count);
}

/* ---- Triggers ---- */

/* How often a bit would make us look: how many ask for it, and how easily it is set. */
static uint32_t weight_of(const struct cw_pattern_set *set,
                          const struct cw_pattern_condition *condition)
{
    uint32_t ease = 0;
    for (uint32_t i = 0; i < condition->test_count; i++) {
        const struct cw_pattern_test *test =
            &set->tests.at[set->condition_tests.at[condition->test + i]];
        const struct cw_pattern_arg *arg = &set->args.at[test->arg];
        uint32_t own = 1;
        if (test->but || arg->op == CW_PATTERN_ANY) {
            own = 3;
        } else if (arg->op == CW_PATTERN_RANGE) {
            own = arg->low == arg->high ? 0 : 2;
        } else if (arg->op == CW_PATTERN_STRING || arg->op == CW_PATTERN_FOLD) {
            own = 0;
        }
        ease = own > ease ? own : ease;
    }
    return condition->uses < UINT32_MAX >> 4 ? condition->uses << ease : UINT32_MAX;
}

struct trigger {
    uint32_t bit, part;
};

struct trigger_list {
    CW_PATTERN_VECTOR(struct trigger) list;
};

static void to_triggers(const struct cw_pattern_set *set, const struct trigger_list *from,
                        struct cw_pattern_triggers *to)
{
    uint32_t bits = set->condition_bits;
    to->first = calloc(bits + 2, sizeof *to->first);
    to->parts = calloc(from->list.count + 1, sizeof *to->parts);
    CW_ASSERT(to->first != NULL && to->parts != NULL);
    for (uint32_t i = 0; i < from->list.count; i++) {
        to->first[from->list.at[i].bit + 2]++;
    }
    for (uint32_t b = 0; b < bits; b++) {
        to->first[b + 2] += to->first[b + 1];
    }
    for (uint32_t i = 0; i < from->list.count; i++) {
        to->parts[to->first[from->list.at[i].bit + 1]++] = from->list.at[i].part;
    }
}

/* weights: by bit. A part that some value must set a bit for is looked at when the rarest such bit
   is; otherwise when any is, and the whole alternative in any case. */
static void trigger_part(struct cw_pattern_set *set, uint32_t number, const uint32_t *weights,
                         struct trigger_list lists[2])
{
    const struct cw_pattern_part *part = &set->parts.at[number];
    struct trigger_list *list = &lists[part->parent == CW_PATTERN_NONE ? 0 : 1];
    uint32_t best = CW_PATTERN_NONE;
    for (uint32_t i = part->lo; i < part->hi; i++) {
        const struct cw_pattern_item *item = &set->items.at[i];
        if (item->presence == CW_PATTERN_NONE &&
            (best == CW_PATTERN_NONE || weights[item->bit] < weights[best])) {
            best = item->bit;
        }
    }
    if (best != CW_PATTERN_NONE) {
        CW_PATTERN_PUSH(&list->list, (struct trigger){.bit = best, .part = number});
        return;
    }
    if (part->parent == CW_PATTERN_NONE) {
        CW_PATTERN_PUSH(&set->always, number);
        return;
    }
    for (uint32_t i = part->lo; i < part->hi; i++) {
        if (set->items.at[i].bit != CW_PATTERN_NONE) {
            CW_PATTERN_PUSH(&list->list,
                            (struct trigger){.bit = set->items.at[i].bit, .part = number});
        }
    }
}

static void make_triggers(struct cw_pattern_set *set)
{
    uint32_t *weights = calloc(set->condition_bits + 1, sizeof *weights);
    CW_ASSERT(weights != NULL);
    for (uint32_t c = 0; c < set->conditions.count; c++) {
        if (set->conditions.at[c].bit != CW_PATTERN_NONE) {
            weights[set->conditions.at[c].bit] = weight_of(set, &set->conditions.at[c]);
        }
    }
    struct trigger_list lists[2] = {{{0}}};
    for (uint32_t p = 0; p < set->parts.count; p++) {
        trigger_part(set, p, weights, lists);
    }
    to_triggers(set, &lists[0], &set->whole);
    to_triggers(set, &lists[1], &set->within);
    free(weights);
    free(lists[0].list.at);
    free(lists[1].list.at);
}

void cw_pattern_set_seal(struct cw_pattern_set *set)
{
    CW_ASSERT(!set->sealed);
    /* Nothing is added from here on, so views into the pool hold; look-ups load 8 bytes. */
    memset(cw_text_room(&set->pool, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    mark_used(set);
    give_bits(set);
    number_nodes(set);
    uint32_t most = 0;
    for (uint32_t a = 0; a < set->alternatives.count; a++) {
        uint32_t count = set->alternatives.at[a].pair_count;
        most = count > most ? count : most;
    }
    set->pairs_most = most;
    struct sorted *sorted = calloc(most + 1, sizeof *sorted);
    CW_ASSERT(sorted != NULL);
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t a = 0; a < set->alternatives.count; a++) {
            const struct cw_pattern_alternative *alternative = &set->alternatives.at[a];
            uint32_t count = sort_pairs(set, alternative, sorted);
            if (pass == 0) {
                mark_groups(set, sorted, count);
            } else {
                make_parts(set, alternative, sorted);
            }
        }
    }
    free(sorted);
    make_triggers(set);
    cw_pattern_seal_values(set);
    set->sealed = true;
}
