/*
 * Groups the tests of each path for pattern_value.c: equal strings, beginnings and so on of all
 * patterns become one entry with the actions of all of them.
 */
#include "pipeline/pattern_priv.h"

#include <stdlib.h>

/* One entry to be: a test's argument, or what of it is compared, with one action. */
struct raw {
    struct cw_view text;
    struct cw_pattern_ip from, to;
    double low, high;
    uint32_t op, action;
};

/* The tables of values that an argument can go to. */
enum kind {
    KIND_LITERAL,
    KIND_ANY,
    KIND_STRING,
    KIND_PREFIX,
    KIND_SUFFIX,
    KIND_ASCII_FOLD,
    KIND_ASCII_FOLD_PREFIX,
    KIND_ASCII_FOLD_SUFFIX,
    KIND_FOLD,
    KIND_WILDCARD,
    KIND_BLOCK,
    KIND_RANGE,
    KIND_SPELLING,
    KINDS
};

struct builder {
    struct cw_pattern_set *set;
    CW_PATTERN_VECTOR(struct raw) raws[KINDS];
    CW_PATTERN_VECTOR(struct cw_pattern_but) buts;
};

/* ---- Tables ---- */

struct cw_pattern_table cw_pattern_table_make(struct cw_pattern_set *set, uint32_t count)
{
    uint32_t slots = 1;
    while (slots < count * 2) {
        slots *= 2;
    }
    struct cw_pattern_slot *at = cw_pattern_keep(set, slots * sizeof *at);
    for (uint32_t i = 0; i < slots; i++) {
        at[i].target = CW_PATTERN_NONE;
    }
    return (struct cw_pattern_table){.slots = at, .mask = slots - 1, .count = 0};
}

void cw_pattern_table_put(struct cw_pattern_table *table, struct cw_view text, uint32_t target)
{
    struct cw_pattern_slot slot = {
        .head = cw_pattern_head(text.data, text.bytes),
        .bytes = text.bytes,
        .target = target,
        .text = text.data,
    };
    struct cw_pattern_slot *slots = table->slots;
    uint32_t at = cw_pattern_spread(slot.head, slot.bytes) & table->mask;
    while (slots[at].target != CW_PATTERN_NONE) {
        at = (at + 1) & table->mask;
    }
    slots[at] = slot;
    table->count++;
    CW_ASSERT(table->count <= table->mask);
}

/* ---- Actions ---- */

static struct cw_pattern_actions put_actions(struct cw_pattern_set *set, const struct raw *raws,
                                             uint32_t count)
{
    struct cw_pattern_actions actions = {.first = set->actions.count};
    for (uint32_t i = 0; i < count; i++) {
        bool known = false;
        for (uint32_t k = actions.first; k < set->actions.count && k < actions.first + 64; k++) {
            known |= set->actions.at[k] == raws[i].action;
        }
        if (!known) {
            CW_PATTERN_PUSH(&set->actions, raws[i].action);
        }
    }
    actions.count = set->actions.count - actions.first;
    return actions;
}

static int by_text(const void *a, const void *b)
{
    const struct raw *x = a;
    const struct raw *y = b;
    return cw_view_compare(x->text, y->text);
}

static int by_text_from_end(const void *a, const void *b)
{
    struct cw_view x = ((const struct raw *)a)->text;
    struct cw_view y = ((const struct raw *)b)->text;
    for (uint32_t i = 1; i <= x.bytes && i <= y.bytes; i++) {
        uint8_t p = (uint8_t)x.data[x.bytes - i];
        uint8_t q = (uint8_t)y.data[y.bytes - i];
        if (p != q) {
            return p < q ? -1 : 1;
        }
    }
    return (x.bytes > y.bytes) - (x.bytes < y.bytes);
}

static int by_block(const void *a, const void *b)
{
    const struct raw *x = a;
    const struct raw *y = b;
    int order = cw_pattern_ip_compare(&x->from, &y->from);
    return order != 0 ? order : cw_pattern_ip_compare(&y->to, &x->to); /* the wider first */
}

static int by_range(const void *a, const void *b)
{
    const struct raw *x = a;
    const struct raw *y = b;
    if (x->low != y->low) {
        return x->low < y->low ? -1 : 1;
    }
    return (x->high > y->high) - (x->high < y->high);
}

typedef int order_fn(const void *a, const void *b);

static void sort(struct raw *raws, uint32_t count, order_fn *order)
{
    if (count > 1) {
        qsort(raws, count, sizeof *raws, order);
    }
}

/* How many from i on are equal. */
static uint32_t run_of(const struct raw *raws, uint32_t count, uint32_t i, order_fn *order)
{
    uint32_t run = 1;
    while (i + run < count && order(&raws[i], &raws[i + run]) == 0) {
        run++;
    }
    return run;
}

static struct cw_pattern_table make_table(struct builder *b, enum kind kind)
{
    struct raw *raws = b->raws[kind].at;
    uint32_t count = b->raws[kind].count;
    sort(raws, count, by_text);
    struct cw_pattern_table table = cw_pattern_table_make(b->set, count);
    for (uint32_t i = 0; i < count;) {
        uint32_t run = run_of(raws, count, i, by_text);
        cw_pattern_table_put(&table, raws[i].text, b->set->outcomes.count);
        CW_PATTERN_PUSH(&b->set->outcomes, put_actions(b->set, &raws[i], run));
        i += run;
    }
    return table;
}

static bool starts_with(struct cw_view text, struct cw_view with)
{
    return with.bytes <= text.bytes && memcmp(text.data, with.data, with.bytes) == 0;
}

static bool ends_with(struct cw_view text, struct cw_view with)
{
    return with.bytes <= text.bytes &&
           memcmp(text.data + text.bytes - with.bytes, with.data, with.bytes) == 0;
}

static struct cw_pattern_affixes make_affixes(struct builder *b, enum kind kind, bool suffix)
{
    struct raw *raws = b->raws[kind].at;
    uint32_t count = b->raws[kind].count;
    order_fn *order = suffix ? by_text_from_end : by_text;
    sort(raws, count, order);
    struct cw_pattern_affix *at = cw_pattern_keep(b->set, count * sizeof *at);
    uint32_t made = 0;
    for (uint32_t i = 0; i < count;) {
        uint32_t run = run_of(raws, count, i, order);
        struct cw_view text = raws[i].text;
        uint32_t bytes = text.bytes < 8 ? text.bytes : 8;
        uint64_t low = bytes == 8 ? UINT64_MAX : (UINT64_C(1) << (bytes * 8)) - 1;
        at[made] = (struct cw_pattern_affix){
            .head = suffix ? cw_pattern_tail(text.data, text.bytes)
                           : cw_pattern_head(text.data, text.bytes),
            .mask = suffix && bytes > 0 ? low << (64 - bytes * 8) : low,
            .text = text.data,
            .bytes = text.bytes,
            .parent = made == 0 ? CW_PATTERN_NONE : made - 1,
            .actions = put_actions(b->set, &raws[i], run),
        };
        uint32_t *parent = &at[made].parent;
        while (*parent != CW_PATTERN_NONE) {
            struct cw_view with = {at[*parent].text, at[*parent].bytes};
            if (suffix ? ends_with(text, with) : starts_with(text, with)) {
                break;
            }
            *parent = at[*parent].parent;
        }
        made++;
        i += run;
    }
    return (struct cw_pattern_affixes){.at = at, .count = made};
}

static void make_blocks(struct builder *b, struct cw_pattern_value *value)
{
    struct raw *raws = b->raws[KIND_BLOCK].at;
    uint32_t count = b->raws[KIND_BLOCK].count;
    sort(raws, count, by_block);
    struct cw_pattern_block *at = cw_pattern_keep(b->set, count * sizeof *at);
    uint32_t made = 0;
    for (uint32_t i = 0; i < count;) {
        uint32_t run = run_of(raws, count, i, by_block);
        at[made] = (struct cw_pattern_block){
            .from = raws[i].from,
            .to = raws[i].to,
            .parent = made == 0 ? CW_PATTERN_NONE : made - 1,
            .actions = put_actions(b->set, &raws[i], run),
        };
        uint32_t *parent = &at[made].parent;
        while (*parent != CW_PATTERN_NONE &&
               cw_pattern_ip_compare(&at[*parent].to, &at[made].to) < 0) {
            *parent = at[*parent].parent;
        }
        made++;
        i += run;
    }
    value->blocks = at;
    value->block_count = made;
}

static void make_ranges(struct builder *b, struct cw_pattern_value *value)
{
    struct raw *raws = b->raws[KIND_RANGE].at;
    uint32_t count = b->raws[KIND_RANGE].count;
    sort(raws, count, by_range);
    struct cw_pattern_range *at = cw_pattern_keep(b->set, count * sizeof *at);
    uint32_t made = 0;
    for (uint32_t i = 0; i < count;) {
        uint32_t run = run_of(raws, count, i, by_range);
        at[made] = (struct cw_pattern_range){
            .low = raws[i].low,
            .high = raws[i].high,
            .actions = put_actions(b->set, &raws[i], run),
        };
        value->low = made == 0 ? at[0].low : value->low;
        value->high = made == 0 || value->high < at[made].high ? at[made].high : value->high;
        made++;
        i += run;
    }
    value->ranges = at;
    value->range_count = made;
}

/* ---- Arguments to entries ---- */

static struct cw_view view_of(const struct cw_pattern_set *set, const struct cw_pattern_arg *arg)
{
    return (struct cw_view){set->pool.data + arg->text, arg->text_bytes};
}

/* A text of the set's own, with readable bytes behind it. */
static char *room_for(struct cw_pattern_set *set, uint32_t bytes)
{
    return cw_pattern_keep(set, (size_t)bytes + 8);
}

static bool is_ascii(struct cw_view text)
{
    for (uint32_t i = 0; i < text.bytes; i++) {
        if ((uint8_t)text.data[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

static struct cw_view in_lower_case(struct cw_pattern_set *set, struct cw_view text)
{
    char *to = room_for(set, text.bytes);
    for (uint32_t i = 0; i < text.bytes; i++) {
        uint8_t c = (uint8_t)text.data[i];
        to[i] = (char)((uint8_t)(c - 'A') < 26 ? c | 0x20 : c);
    }
    return (struct cw_view){to, text.bytes};
}

static uint32_t next_code(const char *p, uint32_t *bytes)
{
    uint8_t lead = (uint8_t)*p;
    *bytes = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t code = *bytes == 1 ? lead : lead & (0x7fu >> *bytes);
    for (uint32_t i = 1; i < *bytes; i++) {
        code = code << 6 | ((uint8_t)p[i] & 0x3f);
    }
    return code;
}

/* The program of pattern_value.c's fold_holds; for suffixes from the last letter on. */
static struct cw_view fold_program(struct cw_pattern_set *set, struct cw_view text, bool backward)
{
    struct cw_text program = {0};
    struct cw_text step = {0};
    struct cw_text whole = {0};
    for (uint32_t i = 0; i < text.bytes;) {
        uint32_t bytes;
        struct cw_pattern_cases cases;
        cw_pattern_cases(next_code(text.data + i, &bytes), &cases);
        i += bytes;
        cw_text_clear(&step);
        cw_text_char(&step, (char)cases.lower_bytes);
        cw_text_put(&step, cases.lower, cases.lower_bytes);
        cw_text_char(&step, (char)cases.upper_bytes);
        cw_text_put(&step, cases.upper, cases.upper_bytes);
        if (backward) {
            cw_text_clear(&whole);
            cw_text_put(&whole, program.data, program.bytes);
            cw_text_clear(&program);
            cw_text_put(&program, step.data, step.bytes);
            cw_text_put(&program, whole.data, whole.bytes);
        } else {
            cw_text_put(&program, step.data, step.bytes);
        }
    }
    char *kept = room_for(set, (uint32_t)program.bytes);
    if (program.bytes > 0) {
        memcpy(kept, program.data, program.bytes);
    }
    struct cw_view view = {kept, (uint32_t)program.bytes};
    cw_text_deinit(&program);
    cw_text_deinit(&step);
    cw_text_deinit(&whole);
    return view;
}

/* A wildcard is looked at when its beginning or its end is there; one with neither always. */
static void put_wildcard(struct builder *b, struct cw_view text, uint32_t action)
{
    struct cw_pattern_set *set = b->set;
    struct cw_pattern_wildcard w = {.piece = set->pieces.count};
    char *at = room_for(set, text.bytes);
    char *from = at;
    for (uint32_t i = 0; i <= text.bytes; i++) {
        if (i == text.bytes || text.data[i] == '*') {
            CW_PATTERN_PUSH(&set->pieces, (struct cw_view){from, (uint32_t)(at - from)});
            w.bytes += (uint32_t)(at - from);
            from = at;
            continue;
        }
        i += text.data[i] == '\\';
        *at++ = text.data[i];
    }
    w.piece_count = set->pieces.count - w.piece;
    struct cw_view first = set->pieces.at[w.piece];
    struct cw_view last = set->pieces.at[w.piece + w.piece_count - 1];
    struct raw raw = {.text = first, .action = action};
    if (w.piece_count == 1) { /* no star at all */
        set->pieces.count--;
        CW_PATTERN_PUSH(&b->raws[KIND_STRING], raw);
        return;
    }
    w.actions = put_actions(set, &raw, 1);
    raw.action = CW_PATTERN_ACTION_CHECK | set->wildcards.count;
    CW_PATTERN_PUSH(&set->wildcards, w);
    enum kind kind = KIND_WILDCARD;
    if (first.bytes > 0) {
        kind = KIND_PREFIX;
    } else if (last.bytes > 0) {
        kind = KIND_SUFFIX;
        raw.text = last;
    }
    CW_PATTERN_PUSH(&b->raws[kind], raw);
}

static void put_fold(struct builder *b, const struct cw_pattern_arg *arg, uint32_t action)
{
    struct cw_view text = view_of(b->set, arg);
    struct raw raw = {.op = arg->op, .action = action};
    enum kind kind = KIND_FOLD;
    if (is_ascii(text)) {
        raw.text = in_lower_case(b->set, text);
        kind = arg->op == CW_PATTERN_FOLD          ? KIND_ASCII_FOLD
               : arg->op == CW_PATTERN_FOLD_PREFIX ? KIND_ASCII_FOLD_PREFIX
                                                   : KIND_ASCII_FOLD_SUFFIX;
    } else {
        raw.text = fold_program(b->set, text, arg->op == CW_PATTERN_FOLD_SUFFIX);
    }
    CW_PATTERN_PUSH(&b->raws[kind], raw);
}

/* A string that is an address matches every way to write that address, when it is asked for. */
static void put_string(struct builder *b, const struct cw_pattern_arg *arg, uint32_t action)
{
    struct raw raw = {.text = view_of(b->set, arg), .action = action};
    CW_PATTERN_PUSH(&b->raws[KIND_STRING], raw);
    if ((action & CW_PATTERN_ACTION_KIND) == CW_PATTERN_ACTION_SET &&
        cw_pattern_ip_read(raw.text, &raw.from)) {
        raw.to = raw.from;
        CW_PATTERN_PUSH(&b->raws[KIND_BLOCK], raw);
    }
}

static void put_arg(struct builder *b, const struct cw_pattern_arg *arg, uint32_t action)
{
    struct raw raw = {
        .text = view_of(b->set, arg),
        .from = arg->from,
        .to = arg->to,
        .low = arg->low,
        .high = arg->high,
        .op = arg->op,
        .action = action,
    };
    switch ((enum cw_pattern_op)arg->op) {
    case CW_PATTERN_NULL:
    case CW_PATTERN_FALSE:
    case CW_PATTERN_TRUE: CW_PATTERN_PUSH(&b->raws[KIND_LITERAL], raw); break;
    case CW_PATTERN_ANY: CW_PATTERN_PUSH(&b->raws[KIND_ANY], raw); break;
    case CW_PATTERN_STRING: put_string(b, arg, action); break;
    case CW_PATTERN_PREFIX: CW_PATTERN_PUSH(&b->raws[KIND_PREFIX], raw); break;
    case CW_PATTERN_SUFFIX: CW_PATTERN_PUSH(&b->raws[KIND_SUFFIX], raw); break;
    case CW_PATTERN_FOLD:
    case CW_PATTERN_FOLD_PREFIX:
    case CW_PATTERN_FOLD_SUFFIX: put_fold(b, arg, action); break;
    case CW_PATTERN_WILDCARD: put_wildcard(b, raw.text, action); break;
    case CW_PATTERN_RANGE: CW_PATTERN_PUSH(&b->raws[KIND_RANGE], raw); break;
    case CW_PATTERN_SPELLING: CW_PATTERN_PUSH(&b->raws[KIND_SPELLING], raw); break;
    case CW_PATTERN_CIDR: CW_PATTERN_PUSH(&b->raws[KIND_BLOCK], raw); break;
    case CW_PATTERN_OPS: break;
    }
}

/* ---- A path's value ---- */

static void put_literals(struct builder *b, struct cw_pattern_value *value)
{
    for (uint32_t op = CW_PATTERN_NULL; op <= CW_PATTERN_TRUE; op++) {
        struct cw_pattern_actions *to = &value->literals[op];
        to->first = b->set->actions.count;
        for (uint32_t i = 0; i < b->raws[KIND_LITERAL].count; i++) {
            if (b->raws[KIND_LITERAL].at[i].op == op) {
                CW_PATTERN_PUSH(&b->set->actions, b->raws[KIND_LITERAL].at[i].action);
            }
        }
        to->count = b->set->actions.count - to->first;
    }
}

static void make_folds(struct builder *b, struct cw_pattern_value *value)
{
    uint32_t count = b->raws[KIND_FOLD].count;
    struct cw_pattern_fold *folds = cw_pattern_keep(b->set, count * sizeof *folds);
    for (uint32_t i = 0; i < count; i++) {
        const struct raw *raw = &b->raws[KIND_FOLD].at[i];
        folds[i] = (struct cw_pattern_fold){
            .program = (const uint8_t *)raw->text.data,
            .bytes = raw->text.bytes,
            .op = raw->op,
            .actions = put_actions(b->set, raw, 1),
        };
    }
    value->folds = folds;
    value->fold_count = count;
}

static void make_wildcards(struct builder *b, struct cw_pattern_value *value)
{
    uint32_t count = b->raws[KIND_WILDCARD].count;
    uint32_t *numbers = cw_pattern_keep(b->set, count * sizeof *numbers);
    for (uint32_t i = 0; i < count; i++) {
        numbers[i] = b->raws[KIND_WILDCARD].at[i].action & ~CW_PATTERN_ACTION_KIND;
    }
    value->wildcards = numbers;
    value->wildcard_count = count;
}

static void make_buts(struct builder *b, struct cw_pattern_value *value)
{
    struct cw_pattern_but *buts = cw_pattern_keep(b->set, b->buts.count * sizeof *buts);
    if (b->buts.count > 0) {
        memcpy(buts, b->buts.at, b->buts.count * sizeof *buts);
    }
    value->buts = buts;
    value->but_count = b->buts.count;
}

static uint32_t kinds_of(const struct cw_pattern_value *value)
{
    const struct {
        uint32_t count, kind;
    } counts[] = {
        {value->strings.count, CW_PATTERN_HAS_STRINGS},
        {value->prefixes.count, CW_PATTERN_HAS_PREFIXES},
        {value->suffixes.count, CW_PATTERN_HAS_SUFFIXES},
        {value->ascii_folds.count + value->ascii_fold_prefixes.count +
             value->ascii_fold_suffixes.count,
         CW_PATTERN_HAS_ASCII_FOLDS},
        {value->fold_count, CW_PATTERN_HAS_FOLDS},
        {value->wildcard_count, CW_PATTERN_HAS_WILDCARDS},
        {value->block_count, CW_PATTERN_HAS_BLOCKS},
        {value->range_count + value->spellings.count, CW_PATTERN_HAS_NUMBERS},
        {value->any.count, CW_PATTERN_HAS_ANY},
        {value->but_count, CW_PATTERN_HAS_BUTS},
    };

    uint32_t kinds = 0;
    for (uint32_t i = 0; i < CW_COUNTOF(counts); i++) {
        kinds |= counts[i].count > 0 ? counts[i].kind : 0;
    }
    return kinds;
}

static struct cw_pattern_value make_value(struct builder *b)
{
    struct cw_pattern_value value = {.presence = CW_PATTERN_NONE, .low = 1, .high = 0};
    put_literals(b, &value);
    value.any = put_actions(b->set, b->raws[KIND_ANY].at, b->raws[KIND_ANY].count);
    value.strings = make_table(b, KIND_STRING);
    value.prefixes = make_affixes(b, KIND_PREFIX, false);
    value.suffixes = make_affixes(b, KIND_SUFFIX, true);
    value.ascii_folds = make_table(b, KIND_ASCII_FOLD);
    value.ascii_fold_prefixes = make_affixes(b, KIND_ASCII_FOLD_PREFIX, false);
    value.ascii_fold_suffixes = make_affixes(b, KIND_ASCII_FOLD_SUFFIX, true);
    value.spellings = make_table(b, KIND_SPELLING);
    make_folds(b, &value);
    make_wildcards(b, &value);
    make_blocks(b, &value);
    make_ranges(b, &value);
    make_buts(b, &value);
    value.kinds = kinds_of(&value);
    return value;
}

/* ---- All of them ---- */

/* Which conditions (with a bit) hold each test: CSR. */
struct users {
    uint32_t *first, *bits;
};

/* Counts the users of each test, or, when they are counted, puts their bits. */
static void gather_users(const struct cw_pattern_set *set, struct users *users, bool count)
{
    for (uint32_t c = 0; c < set->conditions.count; c++) {
        const struct cw_pattern_condition *condition = &set->conditions.at[c];
        uint32_t used = condition->uses == 0 ? 0 : condition->test_count;
        for (uint32_t i = 0; i < used; i++) {
            uint32_t test = set->condition_tests.at[condition->test + i];
            if (count) {
                users->first[test + 2]++;
            } else {
                users->bits[users->first[test + 1]++] = condition->bit;
            }
        }
    }
}

static struct users users_of(const struct cw_pattern_set *set)
{
    struct users users = {
        .first = calloc(set->tests.count + 2, sizeof *users.first),
        .bits = calloc(set->condition_tests.count + 1, sizeof *users.bits),
    };
    CW_ASSERT(users.first != NULL && users.bits != NULL);
    gather_users(set, &users, true);
    for (uint32_t t = 0; t < set->tests.count; t++) {
        users.first[t + 2] += users.first[t + 1];
    }
    gather_users(set, &users, false);
    return users;
}

static void put_test(struct builder *b, const struct users *users, uint32_t number)
{
    struct cw_pattern_set *set = b->set;
    const struct cw_pattern_test *test = &set->tests.at[number];
    uint32_t first = users->first[number];
    uint32_t count = users->first[number + 1] - first;
    if (count == 0) {
        return;
    }
    if (!test->but) {
        for (uint32_t i = 0; i < count; i++) {
            put_arg(b, &set->args.at[test->arg], users->bits[first + i]);
        }
        return;
    }
    struct cw_pattern_but but = {
        .number = set->but_count++,
        .actions = {.first = set->actions.count, .count = count},
    };
    for (uint32_t i = 0; i < count; i++) {
        CW_PATTERN_PUSH(&set->actions, users->bits[first + i]);
    }
    CW_PATTERN_PUSH(&b->buts, but);
    for (uint32_t i = 0; i < test->arg_count; i++) {
        put_arg(b, &set->args.at[test->arg + i], CW_PATTERN_ACTION_VETO | but.number);
    }
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Everything that the conditions of one key ask, from of to; tests comes sorted and may repeat. */
static void seal_value(struct builder *b, const struct users *users, uint32_t key,
                       const uint32_t *tests, uint32_t count)
{
    struct cw_pattern_set *set = b->set;
    for (uint32_t k = 0; k < KINDS; k++) {
        b->raws[k].count = 0;
    }
    b->buts.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (i == 0 || tests[i] != tests[i - 1]) {
            put_test(b, users, tests[i]);
        }
    }
    struct cw_pattern_value value = make_value(b);
    value.presence = set->keys.at[key].presence;
    set->nodes.at[set->keys.at[key].sealed].value = set->values.count;
    CW_PATTERN_PUSH(&set->values, value);
}

void cw_pattern_seal_values(struct cw_pattern_set *set)
{
    struct users users = users_of(set);
    struct builder b = {.set = set};
    CW_PATTERN_PUSH(&set->actions, 0); /* nobody's: so that there is an array to point into */
    CW_PATTERN_VECTOR(uint32_t) tests = {0};
    for (uint32_t key = 0; key < set->keys.count; key++) {
        if (set->keys.at[key].condition == CW_PATTERN_NONE) {
            continue;
        }
        tests.count = 0;
        for (uint32_t c = set->keys.at[key].condition; c != CW_PATTERN_NONE;
             c = set->conditions.at[c].next) {
            const struct cw_pattern_condition *condition = &set->conditions.at[c];
            for (uint32_t i = 0; i < condition->test_count; i++) {
                CW_PATTERN_PUSH(&tests, set->condition_tests.at[condition->test + i]);
            }
        }
        if (tests.count > 0) {
            qsort(tests.at, tests.count, sizeof *tests.at, by_number);
        }
        seal_value(&b, &users, key, tests.at, tests.count);
    }
    for (uint32_t k = 0; k < KINDS; k++) {
        free(b.raws[k].at);
    }
    free(b.buts.at);
    free(tests.at);
    free(users.first);
    free(users.bits);
}
