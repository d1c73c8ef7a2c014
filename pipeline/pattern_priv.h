/*
 * pattern_priv: what the files of pattern share. How the engine works:
 *
 * Compiling gives each pattern as alternatives ($or is multiplied out), each a set of items; an
 * item is one path of keys and the condition that a value there must meet. Paths of all patterns
 * make one trie of keys, split at dots, since EventBridge joins nested keys with dots. Equal
 * conditions at one path are one bit, whoever asks; all values' tests at a path are grouped so that
 * one look-up tells which bits a value sets.
 *
 * Matching walks the document once along the trie, skipping what nobody names, and sets bits. When
 * no array is met an alternative matches if its bits are set; each alternative is looked at only
 * when its rarest bit is.
 *
 * Arrays. Members of one array element belong together. A trie node at or below which some
 * alternative has two or more items is a "group"; any alternative's items at or below a group are a
 * "part", with a bit of its own. When the value at a group is an array, each element that holds
 * fields is a frame: its bits are set, the parts of that group are decided from them, the bits are
 * taken back, and the decided parts' bits are set in the frame around. So what one element proves
 * is kept whole, in one bit, and elements never mix. Nested arrays are nested frames. The work is
 * linear in the document (times the parts that an element touches), the memory independent of it.
 *
 * {"exists": false} asks that no value of the path agrees with the elements chosen for the other
 * items: a path's presence is a bit too, that leaves a frame for the one around it only at the
 * array's end, when no sibling can see it.
 *
 * The frames are exact when each group's values come from one place of a frame. Two places can only
 * happen with repeated keys, with keys that hold dots, or when a path is both a field and a
 * parent; then the exact but slower search of pattern_slow.c answers instead, with bounded steps.
 */
#ifndef CW_PIPELINE_PATTERN_PRIV_H
#define CW_PIPELINE_PATTERN_PRIV_H

#include "pipeline/pattern.h"

#define CW_PATTERN_NONE         UINT32_MAX
#define CW_PATTERN_ALTERNATIVES 1000u
#define CW_PATTERN_ITEMS_MAX    (1u << 20) /* of a set, over all alternatives */
#define CW_PATTERN_LOG_MAX      (1u << 16)

/* What a test of a field's list asks. The BUT ones are anything-but. */
enum cw_pattern_op {
    CW_PATTERN_NULL,
    CW_PATTERN_FALSE,
    CW_PATTERN_TRUE,
    CW_PATTERN_ANY,    /* exists: true */
    CW_PATTERN_STRING, /* also an address, when it reads as one */
    CW_PATTERN_PREFIX,
    CW_PATTERN_SUFFIX,
    CW_PATTERN_FOLD, /* equals-ignore-case */
    CW_PATTERN_FOLD_PREFIX,
    CW_PATTERN_FOLD_SUFFIX,
    CW_PATTERN_WILDCARD,
    CW_PATTERN_RANGE,    /* numbers low <= x <= high */
    CW_PATTERN_SPELLING, /* a number that binary64 does not hold: the same spelling */
    CW_PATTERN_CIDR,
    CW_PATTERN_OPS
};

/* An address: IPv4 and IPv4-mapped IPv6 count as one family. */
struct cw_pattern_ip {
    uint64_t high, low;
    bool v6;
};

/* ---- What compiling collects, pattern_ctl.c ---- */

struct cw_pattern_arg {
    uint32_t op;
    uint32_t text, text_bytes; /* into set->pool */
    double low, high;
    struct cw_pattern_ip from, to;
};

struct cw_pattern_test {
    uint32_t arg, arg_count; /* into set->args; several only for anything-but */
    bool but;
};

struct cw_pattern_condition {
    uint32_t node;
    uint32_t test, test_count; /* into set->condition_tests */
    bool absent_ok;            /* exists: false is in the list */
    uint32_t bit;              /* given by seal; NONE: unused, or only absence will do */
    uint32_t uses;             /* by seal: alternatives that have it */
    uint32_t next;             /* by seal: another used one of the key */
};

struct cw_pattern_key {
    uint32_t parent, depth;
    uint32_t name, name_bytes; /* into set->pool */
    /* By seal: */
    uint32_t used;      /* keys at and below that are used */
    uint32_t sealed;    /* number in set->nodes: pre-order among the used ones */
    uint32_t condition; /* the first used one, NONE */
    uint32_t presence;  /* bit, NONE */
    uint32_t group;     /* number, NONE */
};

struct cw_pattern_pair { /* one item of an alternative, while compiling */
    uint32_t key, condition;
};

struct cw_pattern_alternative {
    uint32_t pattern;
    uint32_t pair, pair_count; /* into set->pairs */
};

struct cw_pattern_leaf {                         /* for explain */
    uint32_t path, path_bytes, spec, spec_bytes; /* into set->pool */
    uint32_t condition;
    bool range;
};

struct cw_pattern_info {
    uint32_t leaf, leaf_count;
    uint32_t alternative, alternative_count;
};

/* An array that grows by doubling. */
#define CW_PATTERN_VECTOR(type)   \
    struct {                      \
        type *at;                 \
        uint32_t count, capacity; \
    }

/* ---- What matching reads, made by seal ---- */

struct cw_pattern_slot {
    uint64_t head; /* the first 8 bytes, zeros behind the end */
    uint32_t bytes;
    uint32_t target; /* NONE: empty */
    const char *text;
};

struct cw_pattern_table {
    struct cw_pattern_slot *slots; /* mask + 1 of them, at most half are taken */
    uint32_t mask, count;
};

struct cw_pattern_node {
    struct cw_pattern_table children;
    uint64_t firsts;  /* bit: first byte of a child's name, modulo 64 */
    uint64_t lengths; /* bit: length of a child's name, 63 and more are one */
    uint32_t value;   /* into set->values, NONE when no pattern asks for this very path */
    uint32_t group;   /* number of the group, or NONE */
    uint32_t up;      /* the parent */
    bool deep;        /* a child has children: a key may hold dots */
};

/* An action's upper two bits say what, the others on which. */
#define CW_PATTERN_ACTION_SET   0x00000000u /* a bit */
#define CW_PATTERN_ACTION_VETO  0x40000000u /* an anything-but: this value is one of those */
#define CW_PATTERN_ACTION_CHECK 0x80000000u /* a wildcard, whose own actions follow if it holds */
#define CW_PATTERN_ACTION_KIND  0xc0000000u

struct cw_pattern_actions {
    uint32_t first, count; /* into set->actions */
};

/* A beginning or an end. Sorted; parent is the longest other one that this one begins (ends)
   with, so those that a string begins (ends) with are a chain from its predecessor on. */
struct cw_pattern_affix {
    uint64_t head, mask; /* first (last) up to 8 bytes */
    const char *text;
    uint32_t bytes, parent;
    struct cw_pattern_actions actions;
};

struct cw_pattern_affixes {
    const struct cw_pattern_affix *at;
    uint32_t count;
};

/* Letters that may stand in two ways each, neither a beginning or end of the other:
   bytes, text, bytes, text, and so on. Only for those with letters beyond ASCII. */
struct cw_pattern_fold {
    const uint8_t *program;
    uint32_t bytes;
    uint32_t op;
    struct cw_pattern_actions actions;
};

struct cw_pattern_wildcard {
    uint32_t piece, piece_count; /* into set->pieces; at least two, the outer ones may be empty */
    uint32_t bytes;              /* of all pieces */
    struct cw_pattern_actions actions;
};

struct cw_pattern_range {
    double low, high;
    struct cw_pattern_actions actions;
};

/* A block of addresses; sorted and nested, parent as for affixes. */
struct cw_pattern_block {
    struct cw_pattern_ip from, to;
    uint32_t parent;
    struct cw_pattern_actions actions;
};

struct cw_pattern_but {
    uint32_t number; /* in scratch->vetoes */
    struct cw_pattern_actions actions;
};

enum cw_pattern_kinds { /* which tests a value has */
    CW_PATTERN_HAS_STRINGS = 1,
    CW_PATTERN_HAS_PREFIXES = 2,
    CW_PATTERN_HAS_SUFFIXES = 4,
    CW_PATTERN_HAS_ASCII_FOLDS = 8,
    CW_PATTERN_HAS_FOLDS = 16,
    CW_PATTERN_HAS_WILDCARDS = 32, /* with neither a beginning nor an end of their own */
    CW_PATTERN_HAS_BLOCKS = 64,
    CW_PATTERN_HAS_NUMBERS = 128,
    CW_PATTERN_HAS_ANY = 256,
    CW_PATTERN_HAS_BUTS = 512
};

struct cw_pattern_value {
    uint32_t kinds;
    uint32_t presence; /* bit, or NONE */
    struct cw_pattern_actions any;
    struct cw_pattern_actions literals[3]; /* null, false, true */
    struct cw_pattern_table strings;       /* targets: into set->outcomes */
    struct cw_pattern_affixes prefixes, suffixes;
    struct cw_pattern_table ascii_folds; /* keyed by lower case */
    struct cw_pattern_affixes ascii_fold_prefixes, ascii_fold_suffixes;
    const struct cw_pattern_fold *folds;
    const uint32_t *wildcards;
    const struct cw_pattern_block *blocks;
    const struct cw_pattern_but *buts;
    const struct cw_pattern_range *ranges;
    struct cw_pattern_table spellings;
    uint32_t fold_count, wildcard_count, block_count, but_count, range_count;
    double low, high; /* of all ranges together */
};

struct cw_pattern_item {
    uint32_t bit;      /* NONE: only absence will do */
    uint32_t presence; /* NONE: absence will not do */
    uint32_t part;     /* the innermost */
};

struct cw_pattern_part {
    uint32_t group;  /* NONE: the whole alternative */
    uint32_t parent; /* NONE for the whole */
    uint32_t lo, hi; /* items */
    uint32_t bit;    /* NONE for the whole */
    uint32_t pattern;
};

/* Which parts to look at when a bit is set: CSR over bits. */
struct cw_pattern_triggers {
    uint32_t *first; /* bit_count + 1 of them */
    uint32_t *parts;
};

struct cw_pattern_intern {
    uint64_t hash;
    uint32_t text, text_bytes, id;
};

struct cw_pattern_set {
    uint64_t id; /* no other set of the process has or had it */
    bool sealed;
    uint32_t bit_count;
    uint32_t condition_bits; /* bits below are conditions, then presences, then parts */
    uint32_t presence_bits;
    uint32_t group_count, but_count;
    uint32_t pairs_most; /* of an alternative */

    CW_PATTERN_VECTOR(struct cw_pattern_node) nodes; /* 0 is the root */
    CW_PATTERN_VECTOR(struct cw_pattern_value) values;
    CW_PATTERN_VECTOR(struct cw_pattern_actions) outcomes;
    CW_PATTERN_VECTOR(uint32_t) actions;
    CW_PATTERN_VECTOR(struct cw_pattern_wildcard) wildcards;
    CW_PATTERN_VECTOR(struct cw_view) pieces;
    CW_PATTERN_VECTOR(struct cw_pattern_item) items;
    CW_PATTERN_VECTOR(struct cw_pattern_part) parts;
    CW_PATTERN_VECTOR(uint32_t) part_of;      /* by bit, from the first part's bit on */
    CW_PATTERN_VECTOR(uint32_t) always;       /* parts that nothing triggers */
    struct cw_pattern_triggers whole, within; /* whole alternatives; parts of groups */

    /* Control plane. */
    CW_PATTERN_VECTOR(struct cw_pattern_info) patterns;
    CW_PATTERN_VECTOR(struct cw_pattern_key) keys;
    CW_PATTERN_VECTOR(struct cw_pattern_arg) args;
    CW_PATTERN_VECTOR(struct cw_pattern_test) tests;
    CW_PATTERN_VECTOR(uint32_t) condition_tests;
    CW_PATTERN_VECTOR(struct cw_pattern_condition) conditions;
    CW_PATTERN_VECTOR(struct cw_pattern_pair) pairs;
    CW_PATTERN_VECTOR(struct cw_pattern_alternative) alternatives;
    CW_PATTERN_VECTOR(struct cw_pattern_leaf) leaves;
    CW_PATTERN_VECTOR(struct cw_pattern_intern) interned;
    CW_PATTERN_VECTOR(void *) blocks; /* what seal allocated piece by piece */
    uint32_t *intern_slots;
    uint32_t intern_mask;
    struct cw_text pool;
    struct cw_json_parser *parser;
};

/* ---- A thread's scratch ---- */

struct cw_pattern_entry { /* pattern_slow.c: one bit that some value set */
    uint32_t bit, frame, next;
};

struct cw_pattern_frame {
    uint32_t parent, array;
};

struct cw_pattern_scratch {
    /* The walk's. */
    const struct cw_pattern_set *set;
    uint64_t set_id;
    const struct cw_json *doc;
    const char *text;
    const struct cw_json_node *nodes;
    uint64_t *bits;
    uint32_t *hits; /* the bits that are set, frame after frame */
    uint32_t hit_count;
    uint64_t fired;               /* how often a bit was to be set, also one that was: ever more */
    uint64_t serial, serial_last; /* of the frame; never repeats */
    uint64_t *flat, *array;       /* by group: the frame it was last met in */
    uint64_t *vetoes, veto_now;   /* by anything-but: the value it was last vetoed for */
    uint32_t *promoted, *pending;
    uint32_t promoted_count, pending_count;
    uint64_t *pended; /* by presence: the array it waits for */
    uint64_t array_serial;
    bool overlap; /* a group's values came from two places: ask pattern_slow.c */
    char *unescaped, *lowered;

    /* pattern_slow.c's. */
    struct cw_pattern_entry *log;
    struct cw_pattern_frame *frames;
    uint32_t *heads;  /* by bit */
    uint32_t *chosen; /* by array: the frame chosen, NONE */
    uint32_t *trail, *choice, *mark;
    uint32_t log_count, frame_count, array_count;
    uint32_t steps, steps_max;

    /* What there is room for. */
    uint32_t bit_room, presence_room, group_room, but_room, text_room;
    uint32_t slow_bit_room, slow_node_room;
};

static inline bool cw_pattern_bit(const struct cw_pattern_scratch *m, uint32_t bit)
{
    return (m->bits[bit >> 6] >> (bit & 63) & 1) != 0;
}

static inline uint64_t cw_pattern_load8(const char *p)
{
    uint64_t x;
    memcpy(&x, p, sizeof x);
    return x;
}

/* The first up to 8 bytes; at least 8 must be readable. */
static inline uint64_t cw_pattern_head(const char *text, uint32_t bytes)
{
    uint64_t x = cw_pattern_load8(text);
    return bytes >= 8 ? x : x & ((UINT64_C(1) << (bytes * 8)) - 1);
}

/* The last up to 8 bytes, the last one uppermost. */
static inline uint64_t cw_pattern_tail(const char *text, uint32_t bytes)
{
    if (bytes >= 8) {
        return cw_pattern_load8(text + bytes - 8);
    }
    return bytes == 0 ? 0 : cw_pattern_load8(text) << ((8 - bytes) * 8);
}

static inline uint32_t cw_pattern_spread(uint64_t head, uint32_t bytes)
{
    return (uint32_t)(((head ^ bytes) * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

/* 8 bytes from text on must be readable. */
static inline uint32_t cw_pattern_lookup(const struct cw_pattern_table *table, const char *text,
                                         uint32_t bytes)
{
    uint64_t head = cw_pattern_head(text, bytes);
    uint32_t at = cw_pattern_spread(head, bytes) & table->mask;
    while (table->slots[at].target != CW_PATTERN_NONE) {
        const struct cw_pattern_slot *slot = &table->slots[at];
        if (slot->head == head && slot->bytes == bytes &&
            (bytes <= 8 || memcmp(slot->text + 8, text + 8, bytes - 8) == 0)) {
            return slot->target;
        }
        at = (at + 1) & table->mask;
    }
    return CW_PATTERN_NONE;
}

static inline void cw_pattern_set_bit(struct cw_pattern_scratch *m, uint32_t bit)
{
    uint64_t *word = &m->bits[bit >> 6];
    uint64_t mask = UINT64_C(1) << (bit & 63);
    m->fired++;
    if ((*word & mask) == 0) {
        *word |= mask;
        m->hits[m->hit_count++] = bit;
    }
}

/* pattern_value.c: sets the bits that the scalar at doc->nodes[node] earns. */
void cw_pattern_test_value(struct cw_pattern_scratch *m, const struct cw_pattern_value *value,
                           const struct cw_json_node *node);

/* pattern.c: the node that a member's name leads to from the node of its object; NONE when no
   pattern names it. */
uint32_t cw_pattern_step(struct cw_pattern_scratch *m, uint32_t from,
                         const struct cw_json_node *member);

/* pattern_slow.c: logs every bit that a value of m->doc sets; then m->heads tells which ones. */
void cw_pattern_log(struct cw_pattern_scratch *m);

/* All answers anew, by search. */
void cw_pattern_match_slowly(struct cw_pattern_scratch *m, struct cw_pattern_matches *matches);

/* pattern_number.c */

/* A spelling of a number, as far as comparing it needs: value is binary64 when exact, else within
   a few units in the last place. */
struct cw_pattern_number {
    double value;
    bool exact;
    bool minus, cut;  /* cut: digits beyond 19 that were not all 0 */
    uint32_t digits;  /* significant ones in whole */
    uint64_t whole;   /* times 10^exponent */
    int32_t exponent; /* huge ones are held at +-100000 */
};

struct cw_pattern_number cw_pattern_number_read(struct cw_view raw);

/* True when the spelling is the value of the shortest decimal of its binary64, so that nothing is
   lost by comparing that. number->value must be exact. */
bool cw_pattern_number_held(const struct cw_pattern_number *number);

/* Longer than any such decimal; to be known before the value is exact. */
bool cw_pattern_number_too_long(const struct cw_pattern_number *number);

/* pattern_ip.c: dotted IPv4 (leading zeros are decimal) or IPv6 in hexadecimal. */
CW_MUST_USE bool cw_pattern_ip_read(struct cw_view text, struct cw_pattern_ip *ip);
int cw_pattern_ip_compare(const struct cw_pattern_ip *a, const struct cw_pattern_ip *b);

/* ---- Control plane ---- */

/* Makes room for one more in a vector, whose array the pointer at `at` leads to. */
void cw_pattern_room(void *at, uint32_t count, uint32_t *capacity, size_t size);

#define CW_PATTERN_PUSH(vector, ...)                                                             \
    (cw_pattern_room(&(vector)->at, (vector)->count, &(vector)->capacity, sizeof *(vector)->at), \
     (void)((vector)->at[(vector)->count++] = (__VA_ARGS__)))

/* Memory that lives as long as the set. */
void *cw_pattern_keep(struct cw_pattern_set *set, size_t bytes);

/* The id of a text among all interned ones, fresh_id when it is new. */
uint32_t cw_pattern_intern(struct cw_pattern_set *set, struct cw_view text, uint32_t fresh_id);

/* The child of a key; an unknown one is added. */
uint32_t cw_pattern_key_child(struct cw_pattern_set *set, uint32_t parent, struct cw_view name);

/* pattern_test_ctl.c: compiles a field's list; path is for messages. */
struct cw_pattern_place {
    struct cw_pattern_set *set;
    const struct cw_json *doc;
    struct cw_text *path;
    enum cw_pattern_dialect dialect;
    uint32_t *ranges;
    struct cw_fault *fault;
};

CW_MUST_USE cw_err cw_pattern_compile_list(struct cw_pattern_place *place, uint32_t list,
                                           uint32_t key, uint32_t *condition);

/* Records "at PATH: ..." */
CW_COLD cw_err cw_pattern_refuse(struct cw_pattern_place *place, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Operators, for messages and for what may not stand in $or; NULL ends. */
extern const char *const cw_pattern_operators[];

/* pattern_case_ctl.c: both ways to write a letter, in UTF-8; they may be equal. */
struct cw_pattern_cases {
    char lower[16], upper[16];
    uint32_t lower_bytes, upper_bytes;
};

void cw_pattern_cases(uint32_t code, struct cw_pattern_cases *cases);

/* pattern_seal_ctl.c and pattern_value_ctl.c */
void cw_pattern_seal_values(struct cw_pattern_set *set);
struct cw_pattern_table cw_pattern_table_make(struct cw_pattern_set *set, uint32_t count);
void cw_pattern_table_put(struct cw_pattern_table *table, struct cw_view text, uint32_t target);

/* pattern_scratch_ctl.c: room for a set and a document. */
void cw_pattern_scratch_fit(struct cw_pattern_scratch *m, const struct cw_pattern_set *set,
                            const struct cw_json *doc);
void cw_pattern_scratch_fit_slow(struct cw_pattern_scratch *m);

#endif
