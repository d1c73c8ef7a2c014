/*
 * What one value earns: all tests of its path at once. Each kind of test is one look-up, whose cost
 * does not grow (hash) or grows with the logarithm (beginnings, ends, addresses) of how many there
 * are; only number ranges, folded letters beyond ASCII and wildcards that start and end with * are
 * gone through one by one.
 */
#define _GNU_SOURCE 1 /* memmem */ /* NOLINT(bugprone-reserved-identifier) */
#include "pipeline/pattern_priv.h"

enum {
    FEW = 8 /* affixes up to here are compared one by one */
};

static bool wildcard_holds(const struct cw_pattern_set *set, const struct cw_pattern_wildcard *w,
                           struct cw_view text);

static __attribute__((noinline)) void act_otherwise(struct cw_pattern_scratch *m, uint32_t action,
                                                    struct cw_view text);

static inline void act(struct cw_pattern_scratch *m, struct cw_pattern_actions actions,
                       struct cw_view text)
{
    const uint32_t *at = m->set->actions.at + actions.first;
    for (uint32_t i = 0; i < actions.count; i++) {
        if (CW_LIKELY((at[i] & CW_PATTERN_ACTION_KIND) == CW_PATTERN_ACTION_SET)) {
            cw_pattern_set_bit(m, at[i]);
        } else {
            act_otherwise(m, at[i], text);
        }
    }
}

static void act_otherwise(struct cw_pattern_scratch *m, uint32_t action, struct cw_view text)
{
    const struct cw_pattern_set *set = m->set;
    uint32_t on = action & ~CW_PATTERN_ACTION_KIND;
    if ((action & CW_PATTERN_ACTION_KIND) == CW_PATTERN_ACTION_VETO) {
        m->vetoes[on] = m->veto_now;
    } else if (wildcard_holds(set, &set->wildcards.at[on], text)) {
        act(m, set->wildcards.at[on].actions, text); /* holds no further check */
    }
}

/* Pieces between the stars: the first and last are anchored, those between come in order, each as
   early as can be. */
static bool wildcard_holds(const struct cw_pattern_set *set, const struct cw_pattern_wildcard *w,
                           struct cw_view text)
{
    if (text.bytes < w->bytes) {
        return false;
    }
    const struct cw_view *pieces = &set->pieces.at[w->piece];
    const struct cw_view *last = &pieces[w->piece_count - 1];
    const char *at = text.data + pieces[0].bytes;
    const char *end = text.data + text.bytes - last->bytes;
    if (memcmp(text.data, pieces[0].data, pieces[0].bytes) != 0 ||
        memcmp(end, last->data, last->bytes) != 0) {
        return false;
    }
    for (uint32_t i = 1; i + 1 < w->piece_count; i++) {
        const char *found =
            end < at ? NULL : memmem(at, (size_t)(end - at), pieces[i].data, pieces[i].bytes);
        if (found == NULL) {
            return false;
        }
        at = found + pieces[i].bytes;
    }
    return at <= end;
}

/* ---- Beginnings and ends ---- */

static inline bool begins(const struct cw_pattern_affix *affix, struct cw_view text, uint64_t head)
{
    return (head & affix->mask) == affix->head && affix->bytes <= text.bytes &&
           (affix->bytes <= 8 || memcmp(affix->text + 8, text.data + 8, affix->bytes - 8) == 0);
}

static inline bool ends(const struct cw_pattern_affix *affix, struct cw_view text, uint64_t tail)
{
    return (tail & affix->mask) == affix->head && affix->bytes <= text.bytes &&
           (affix->bytes <= 8 ||
            memcmp(affix->text, text.data + text.bytes - affix->bytes, affix->bytes - 8) == 0);
}

static int compare_from_end(struct cw_view a, struct cw_view b)
{
    for (uint32_t i = 1; i <= a.bytes && i <= b.bytes; i++) {
        uint8_t x = (uint8_t)a.data[a.bytes - i];
        uint8_t y = (uint8_t)b.data[b.bytes - i];
        if (x != y) {
            return x < y ? -1 : 1;
        }
    }
    return (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

typedef int compare_fn(struct cw_view a, struct cw_view b);

/* The last affix that does not come after the text, or NONE. */
static uint32_t predecessor(const struct cw_pattern_affixes *affixes, struct cw_view text,
                            compare_fn *compare)
{
    uint32_t lo = 0;
    uint32_t hi = affixes->count;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        struct cw_view affix = {affixes->at[middle].text, affixes->at[middle].bytes};
        if (compare(affix, text) <= 0) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    return lo == 0 ? CW_PATTERN_NONE : lo - 1;
}

/* subject is what is compared (lower case for folds), text what wildcards look at. */
static void test_prefixes(struct cw_pattern_scratch *m, const struct cw_pattern_affixes *affixes,
                          struct cw_view subject, struct cw_view text)
{
    uint64_t head = cw_pattern_head(subject.data, subject.bytes);
    if (affixes->count <= FEW) {
        for (uint32_t i = 0; i < affixes->count; i++) {
            if (begins(&affixes->at[i], subject, head)) {
                act(m, affixes->at[i].actions, text);
            }
        }
        return;
    }
    uint32_t i = predecessor(affixes, subject, cw_view_compare);
    for (; i != CW_PATTERN_NONE; i = affixes->at[i].parent) {
        if (begins(&affixes->at[i], subject, head)) {
            act(m, affixes->at[i].actions, text);
        }
    }
}

static void test_suffixes(struct cw_pattern_scratch *m, const struct cw_pattern_affixes *affixes,
                          struct cw_view subject, struct cw_view text)
{
    uint64_t tail = cw_pattern_tail(subject.data, subject.bytes);
    if (affixes->count <= FEW) {
        for (uint32_t i = 0; i < affixes->count; i++) {
            if (ends(&affixes->at[i], subject, tail)) {
                act(m, affixes->at[i].actions, text);
            }
        }
        return;
    }
    uint32_t i = predecessor(affixes, subject, compare_from_end);
    for (; i != CW_PATTERN_NONE; i = affixes->at[i].parent) {
        if (ends(&affixes->at[i], subject, tail)) {
            act(m, affixes->at[i].actions, text);
        }
    }
}

/* ---- Letters in either case ---- */

static struct cw_view lowered(struct cw_pattern_scratch *m, struct cw_view text)
{
    for (uint32_t i = 0; i < text.bytes; i++) {
        uint8_t c = (uint8_t)text.data[i];
        m->lowered[i] = (char)((uint8_t)(c - 'A') < 26 ? c | 0x20 : c);
    }
    return (struct cw_view){m->lowered, text.bytes};
}

static bool fold_holds(const struct cw_pattern_fold *fold, struct cw_view text)
{
    const uint8_t *p = fold->program;
    const uint8_t *end = p + fold->bytes;
    bool backward = fold->op == CW_PATTERN_FOLD_SUFFIX;
    uint32_t left = text.bytes;
    while (p < end) {
        uint32_t used = 0;
        for (int way = 0; way < 2; way++) {
            uint32_t bytes = *p;
            const char *at = backward ? text.data + left - bytes : text.data + (text.bytes - left);
            if (used == 0 && bytes <= left && memcmp(at, p + 1, bytes) == 0) {
                used = bytes;
            }
            p += 1 + bytes;
        }
        if (used == 0) {
            return false;
        }
        left -= used;
    }
    return left == 0 || fold->op != CW_PATTERN_FOLD;
}

static void test_ascii_folds(struct cw_pattern_scratch *m, const struct cw_pattern_value *value,
                             struct cw_view text)
{
    struct cw_view low = lowered(m, text);
    if (value->ascii_folds.count > 0) {
        uint32_t outcome = cw_pattern_lookup(&value->ascii_folds, low.data, low.bytes);
        if (outcome != CW_PATTERN_NONE) {
            act(m, m->set->outcomes.at[outcome], text);
        }
    }
    if (value->ascii_fold_prefixes.count > 0) {
        test_prefixes(m, &value->ascii_fold_prefixes, low, text);
    }
    if (value->ascii_fold_suffixes.count > 0) {
        test_suffixes(m, &value->ascii_fold_suffixes, low, text);
    }
}

/* ---- Addresses ---- */

static void test_blocks(struct cw_pattern_scratch *m, const struct cw_pattern_value *value,
                        struct cw_view text)
{
    struct cw_pattern_ip ip;
    if (!cw_pattern_ip_read(text, &ip)) {
        return;
    }
    uint32_t lo = 0;
    uint32_t hi = value->block_count;
    while (lo < hi) {
        uint32_t middle = lo + (hi - lo) / 2;
        if (cw_pattern_ip_compare(&value->blocks[middle].from, &ip) <= 0) {
            lo = middle + 1;
        } else {
            hi = middle;
        }
    }
    uint32_t i = lo == 0 ? CW_PATTERN_NONE : lo - 1;
    for (; i != CW_PATTERN_NONE; i = value->blocks[i].parent) {
        if (cw_pattern_ip_compare(&ip, &value->blocks[i].to) <= 0) {
            act(m, value->blocks[i].actions, text);
        }
    }
}

/* ---- Numbers ---- */

static void test_number(struct cw_pattern_scratch *m, const struct cw_pattern_value *value,
                        struct cw_view raw)
{
    /* Reading is off by less than 2^-51 of the value before it is made exact. */
    static const double slack = 1.0 / (1ull << 50);
    struct cw_pattern_number number = cw_pattern_number_read(raw);
    double off = number.exact ? 0 : slack * (number.value < 0 ? -number.value : number.value);
    double least = number.value - off;
    double most = number.value + off;
    if (value->spellings.count > 0) {
        uint32_t outcome = cw_pattern_lookup(&value->spellings, raw.data, raw.bytes);
        if (outcome != CW_PATTERN_NONE) {
            act(m, m->set->outcomes.at[outcome], raw);
        }
    }
    if (most < value->low || least > value->high || cw_pattern_number_too_long(&number)) {
        return;
    }
    bool asked = false;
    const struct cw_pattern_range *end = value->ranges + value->range_count;
    for (const struct cw_pattern_range *range = value->ranges; range < end; range++) {
        if (most < range->low || least > range->high) {
            continue;
        }
        if (!number.exact) {
            number.value = cw_json_number(raw);
            number.exact = true;
            least = number.value;
            most = number.value;
            if (most < range->low || least > range->high) {
                continue;
            }
        }
        if (!asked && !cw_pattern_number_held(&number)) {
            return;
        }
        asked = true;
        act(m, range->actions, raw);
    }
}

/* ---- All of them ---- */

static void test_string(struct cw_pattern_scratch *m, const struct cw_pattern_value *value,
                        const struct cw_json_node *node)
{
    struct cw_view text = {m->text + node->text, node->text_bytes};
    if (CW_UNLIKELY(node->escaped != 0)) {
        text.bytes = cw_json_unescape(text, m->unescaped);
        text.data = m->unescaped;
    }
    uint32_t kinds = value->kinds;
    if ((kinds & CW_PATTERN_HAS_STRINGS) != 0) {
        uint32_t outcome = cw_pattern_lookup(&value->strings, text.data, text.bytes);
        if (outcome != CW_PATTERN_NONE) {
            act(m, m->set->outcomes.at[outcome], text);
        }
    }
    if ((kinds & ~(uint32_t)(CW_PATTERN_HAS_STRINGS | CW_PATTERN_HAS_NUMBERS)) == 0) {
        return;
    }
    if ((kinds & CW_PATTERN_HAS_PREFIXES) != 0) {
        test_prefixes(m, &value->prefixes, text, text);
    }
    if ((kinds & CW_PATTERN_HAS_SUFFIXES) != 0) {
        test_suffixes(m, &value->suffixes, text, text);
    }
    if ((kinds & CW_PATTERN_HAS_ASCII_FOLDS) != 0) {
        test_ascii_folds(m, value, text);
    }
    if ((kinds & CW_PATTERN_HAS_BLOCKS) != 0) {
        test_blocks(m, value, text);
    }
    for (uint32_t i = 0; i < value->fold_count; i++) {
        if (fold_holds(&value->folds[i], text)) {
            act(m, value->folds[i].actions, text);
        }
    }
    for (uint32_t i = 0; i < value->wildcard_count; i++) {
        const struct cw_pattern_wildcard *w = &m->set->wildcards.at[value->wildcards[i]];
        if (wildcard_holds(m->set, w, text)) {
            act(m, w->actions, text);
        }
    }
}

void cw_pattern_test_value(struct cw_pattern_scratch *m, const struct cw_pattern_value *value,
                           const struct cw_json_node *node)
{
    struct cw_view none = {"", 0};
    if (value->presence != CW_PATTERN_NONE) {
        cw_pattern_set_bit(m, value->presence);
    }
    m->veto_now++;
    switch (node->type) {
    case CW_JSON_STRING: test_string(m, value, node); break;
    case CW_JSON_NUMBER:
        if ((value->kinds & CW_PATTERN_HAS_NUMBERS) != 0) {
            test_number(m, value, (struct cw_view){m->text + node->text, node->text_bytes});
        }
        break;
    default: act(m, value->literals[node->type], none); break;
    }
    if ((value->kinds & CW_PATTERN_HAS_ANY) != 0) {
        act(m, value->any, none);
    }
    for (uint32_t i = 0; i < value->but_count; i++) {
        if (m->vetoes[value->buts[i].number] != m->veto_now) {
            act(m, value->buts[i].actions, none);
        }
    }
}
