#include "core/memory.h"
#include "core/wheel_priv.h"

#include <string.h>

/*
 * A tick is 64 bits wide: milliseconds, the sign bit flipped so that ticks compare as unsigned
 * numbers. Its eight bytes are the digits of eight levels of 256 slots. A timer lies in the level
 * of the highest byte in which its tick differs from the present, in the slot that this byte names:
 *
 *     present  00 00 81 9b | d0 11 | 7a | c4
 *     tick     00 00 81 9b | d0 11 | 7b | 02     level 1, slot 7b
 *
 * So a level holds only slots behind the present's own digit, no slot wraps round, no timer is out
 * of reach, and the first set bit of the lowest level that has one is the next thing to happen. On
 * level 0 that is a tick to hand out; above it, the slot begins at a tick S: the present moves to
 * S and the slot's timers are moved to lower levels, the only time a move of the present changes
 * what a timer's place must be.
 *
 * That move may take many calls. The slot that is being emptied is `open`; it is the only one above
 * level 0 that the present lies in. Until it is empty, what is added with a tick in it goes to its
 * end: everything that leaves it was added before, so each list keeps the order of adding, and a
 * tick's timers come in it.
 *
 * A random timer costs a cache miss whenever it is moved; a chain of them would cost the memory's
 * latency each. So each node also names the one that was appended AHEAD places after it (a hint,
 * only ever prefetched), and each slot remembers its last AHEAD nodes, which are prefetched when
 * the slot is opened. Free nodes are hinted likewise. (Luk and Mowry 1996, "jump pointers".)
 */
enum {
    LEVELS = 8,
    SLOTS = 256,
    WORDS = SLOTS / 64,
    AHEAD = 8,
    NO_SLOT = 0xffff, /* in a node: it is free; in the wheel: no slot is open */
};

struct cw_wheel_node {
    int64_t due_ms;
    uint64_t cookie;
    cw_timer next, prev; /* of a free node: next free, nothing */
    cw_timer ahead;      /* a hint; any node's handle or 0 */
    uint16_t slot;       /* level * SLOTS + digit */
    uint16_t unused;
};

static_assert(sizeof(struct cw_wheel_node) == 32, "two nodes in a cache line");

struct cw_wheel_slot {
    uint64_t tick_min; /* no timer in it fires before; exact unless `stale` */
    cw_timer head, tail;
    uint32_t appended;    /* since the slot was last empty */
    bool stale;           /* one that fires at tick_min has left */
    cw_timer last[AHEAD]; /* [i % AHEAD] is the i-th appended; may be stale, hints only */
    uint64_t unused;
};

static_assert(sizeof(struct cw_wheel_slot) == CW_CACHE_LINE, "a slot is one cache line");

struct cw_wheel {
    uint64_t present;
    struct cw_wheel_node *nodes; /* [0] is no timer's: hints and ends of lists */
    struct cw_wheel_slot *slots; /* apart: asking for the earliest may bring tick_min up to date */
    uint64_t moves;
    uint32_t count;
    uint32_t fresh; /* nodes from here on were never used */
    uint32_t timers_max;
    uint32_t work_max; /* CW_WHEEL_WORK_MAX outside tests */
    cw_timer free;     /* last in, first out */
    cw_timer freed[AHEAD];
    uint32_t freed_count;
    uint16_t open;  /* the slot being emptied, or NO_SLOT */
    uint8_t levels; /* a bit for each level that has timers */
    uint64_t bits[LEVELS][WORDS];
    struct cw_memory own, memory; /* its own, and the nodes' */
};

static uint64_t tick_of(int64_t ms)
{
    return (uint64_t)ms ^ (UINT64_C(1) << 63);
}

static int64_t ms_of(uint64_t tick)
{
    return (int64_t)(tick ^ (UINT64_C(1) << 63));
}

static uint32_t digit(uint64_t tick, uint32_t level)
{
    return (uint32_t)(tick >> (8 * level)) & (SLOTS - 1);
}

/* The slot that the tick's timer belongs to when no slot is open. */
static uint32_t slot_for(const struct cw_wheel *w, uint64_t tick)
{
    uint64_t differ = (tick ^ w->present) | 1; /* the lowest byte alone: level 0 */
    uint32_t level = (63 - (uint32_t)__builtin_clzll(differ)) / 8;
    return level * SLOTS + digit(tick, level);
}

static bool in_open_slot(const struct cw_wheel *w, uint64_t tick)
{
    return w->open != NO_SLOT && (tick ^ w->present) >> (w->open / SLOTS * 8) == 0;
}

static struct cw_wheel_node *node_at(const struct cw_wheel *w, cw_timer timer)
{
    return &w->nodes[timer];
}

static void prefetch(const struct cw_wheel *w, cw_timer timer)
{
    __builtin_prefetch(&w->nodes[timer], 1, 3);
}

/* The first slot of a level that has timers; the level has some. */
static uint32_t first_slot(const struct cw_wheel *w, uint32_t level)
{
    const uint64_t *bits = w->bits[level];
    uint32_t word = 0;
    while (bits[word] == 0) {
        word++;
        CW_ASSERT_HOT(word < WORDS);
    }
    return level * SLOTS + word * 64 + (uint32_t)__builtin_ctzll(bits[word]);
}

static void mark_full(struct cw_wheel *w, uint32_t slot)
{
    w->bits[slot / SLOTS][slot % SLOTS / 64] |= UINT64_C(1) << (slot % 64);
    w->levels |= (uint8_t)(1u << (slot / SLOTS));
}

static __attribute__((noinline)) void mark_empty(struct cw_wheel *w, uint32_t slot)
{
    struct cw_wheel_slot *s = &w->slots[slot];
    s->head = s->tail = 0;
    s->appended = 0;
    s->tick_min = UINT64_MAX;
    s->stale = false;
    uint64_t *bits = w->bits[slot / SLOTS];
    bits[slot % SLOTS / 64] &= ~(UINT64_C(1) << (slot % 64));
    if ((bits[0] | bits[1] | bits[2] | bits[3]) == 0) {
        w->levels &= (uint8_t) ~(1u << (slot / SLOTS));
    }
    if (slot == w->open) {
        w->open = NO_SLOT;
    }
}

static void append(struct cw_wheel *w, uint32_t slot, cw_timer timer, uint64_t tick)
{
    struct cw_wheel_node *node = node_at(w, timer);
    struct cw_wheel_slot *s = &w->slots[slot];
    node->slot = (uint16_t)slot;
    node->next = 0;
    node->ahead = 0;
    node->prev = s->tail;
    if (s->tail != 0) {
        node_at(w, s->tail)->next = timer;
    } else {
        s->head = timer;
        mark_full(w, slot);
    }
    s->tail = timer;
    s->tick_min = tick < s->tick_min ? tick : s->tick_min;
    cw_timer *last = &s->last[s->appended % AHEAD];
    if (s->appended >= AHEAD) {
        node_at(w, *last)->ahead = timer;
    }
    *last = timer;
    s->appended++;
}

static void release(struct cw_wheel *w, cw_timer timer, struct cw_wheel_node *node)
{
    cw_timer *last = &w->freed[w->freed_count++ % AHEAD];
    node->ahead = *last; /* freed AHEAD before: taken again AHEAD after */
    *last = timer;
    node->slot = NO_SLOT;
    node->next = w->free;
    w->free = timer;
    w->count--;
}

static cw_timer take(struct cw_wheel *w)
{
    cw_timer timer = w->free;
    if (timer != 0) {
        w->free = node_at(w, timer)->next;
        prefetch(w, node_at(w, timer)->ahead);
        return timer;
    }
    if (w->fresh > w->timers_max) {
        return CW_TIMER_NONE;
    }
    cw_memory_used(&w->memory, (uint64_t)(w->fresh + 1) * sizeof *w->nodes);
    return w->fresh++;
}

cw_timer cw_wheel_add(struct cw_wheel *wheel, int64_t due_ms, uint64_t cookie)
{
    cw_timer timer = take(wheel);
    if (CW_UNLIKELY(timer == CW_TIMER_NONE)) {
        return timer;
    }
    uint64_t tick = tick_of(due_ms);
    if (tick < wheel->present) {
        tick = wheel->present;
    }
    struct cw_wheel_node *node = node_at(wheel, timer);
    node->due_ms = due_ms;
    node->cookie = cookie;
    uint32_t slot = in_open_slot(wheel, tick) ? wheel->open : slot_for(wheel, tick);
    append(wheel, slot, timer, tick);
    wheel->count++;
    return timer;
}

static struct cw_wheel_node *live_node(const struct cw_wheel *w, cw_timer timer)
{
    CW_ASSERT(timer != CW_TIMER_NONE && timer < w->fresh);
    struct cw_wheel_node *node = node_at(w, timer);
    CW_ASSERT(node->slot != NO_SLOT);
    return node;
}

/* The tick at which a timer in the wheel fires: an overdue one was placed at the present, which
   cannot have moved since. */
static uint64_t tick_of_node(const struct cw_wheel *w, const struct cw_wheel_node *node)
{
    uint64_t tick = tick_of(node->due_ms);
    return tick < w->present ? w->present : tick;
}

void cw_wheel_cancel(struct cw_wheel *wheel, cw_timer timer)
{
    struct cw_wheel_node *node = live_node(wheel, timer);
    uint32_t slot = node->slot;
    cw_timer next = node->next;
    cw_timer prev = node->prev;
    struct cw_wheel_slot *s = &wheel->slots[slot];
    if (CW_UNLIKELY(tick_of_node(wheel, node) == s->tick_min)) {
        s->stale = true;
    }
    /* Of the two ends of a list, node 0 takes the link. */
    node_at(wheel, prev)->next = next;
    node_at(wheel, next)->prev = prev;
    if (CW_UNLIKELY(prev == 0)) {
        s->head = next;
    }
    if (CW_UNLIKELY(next == 0)) {
        s->tail = prev;
        if (prev == 0) {
            mark_empty(wheel, slot);
        }
    }
    release(wheel, timer, node);
}

void cw_wheel_prefetch(const struct cw_wheel *wheel, cw_timer timer)
{
    prefetch(wheel, timer);
}

int64_t cw_wheel_due(const struct cw_wheel *wheel, cw_timer timer)
{
    return live_node(wheel, timer)->due_ms;
}

uint64_t cw_wheel_cookie(const struct cw_wheel *wheel, cw_timer timer)
{
    return live_node(wheel, timer)->cookie;
}

static void cut_head(struct cw_wheel *w, uint32_t slot, cw_timer head)
{
    if (head == 0) {
        mark_empty(w, slot);
    } else {
        w->slots[slot].head = head;
        node_at(w, head)->prev = 0;
    }
}

static void prefetch_last(const struct cw_wheel *w, uint32_t slot)
{
    const struct cw_wheel_slot *s = &w->slots[slot];
    uint32_t n = s->appended < AHEAD ? s->appended : AHEAD;
    for (uint32_t i = 0; i < n; i++) {
        prefetch(w, s->last[i]);
    }
}

/* Moves up to `most` timers of the open slot to where they belong; returns how many. */
static uint32_t cascade(struct cw_wheel *w, uint32_t most)
{
    uint32_t slot = w->open;
    struct cw_wheel_slot *s = &w->slots[slot];
    cw_timer timer = s->head;
    uint32_t moved = 0;
    for (; timer != 0 && moved < most; moved++) {
        struct cw_wheel_node *node = node_at(w, timer);
        cw_timer next = node->next;
        prefetch(w, next);
        prefetch(w, node->ahead);
        uint64_t tick = tick_of_node(w, node);
        s->stale |= tick == s->tick_min;
        append(w, slot_for(w, tick), timer, tick);
        timer = next;
    }
    cut_head(w, slot, timer);
    return moved;
}

static uint32_t hand_out(struct cw_wheel *w, uint32_t slot, struct cw_wheel_fired *fired,
                         uint32_t most)
{
    cw_timer timer = w->slots[slot].head;
    uint32_t n = 0;
    for (; timer != 0 && n < most; n++) {
        struct cw_wheel_node *node = node_at(w, timer);
        cw_timer next = node->next;
        prefetch(w, next);
        prefetch(w, node->ahead);
        fired[n] =
            (struct cw_wheel_fired){.due_ms = node->due_ms, .cookie = node->cookie, .timer = timer};
        release(w, timer, node);
        timer = next;
    }
    cut_head(w, slot, timer);
    return n;
}

/* The first tick of the earliest slot; false when there is no timer. No slot is open. */
static bool next_slot(const struct cw_wheel *w, uint32_t *slot, uint64_t *begin)
{
    if (w->levels == 0) {
        return false;
    }
    uint32_t level = (uint32_t)__builtin_ctz(w->levels);
    *slot = first_slot(w, level);
    uint32_t shift = 8 * level;
    uint64_t low = (UINT64_C(1) << shift) - 1; /* the bits below the level's digit */
    *begin = (w->present & ~(low | (UINT64_C(0xff) << shift))) | (uint64_t)(*slot % SLOTS) << shift;
    return true;
}

/* The present moves to the slot's first tick, or to one before it that nothing lies at. */
static void move_present(struct cw_wheel *w, uint64_t to, uint32_t slot, uint64_t begin)
{
    w->present = to;
    if (to == begin && slot >= SLOTS) {
        w->open = (uint16_t)slot;
        prefetch_last(w, slot);
    }
}

uint32_t cw_wheel_advance(struct cw_wheel *wheel, int64_t now_ms, struct cw_wheel_fired *fired,
                          uint32_t room, int64_t *tick_ms)
{
    CW_ASSERT(room > 0 && now_ms < INT64_MAX);
    uint64_t now = tick_of(now_ms);
    uint32_t work = wheel->work_max;
    *tick_ms = now_ms;
    while (now >= wheel->present) { /* each round moves a timer or ends the call */
        if (work == 0) {
            *tick_ms = ms_of(wheel->present - 1);
            return 0;
        }
        if (wheel->open != NO_SLOT) {
            uint32_t moved = cascade(wheel, work);
            wheel->moves += moved;
            work -= moved;
            continue;
        }
        uint32_t slot = 0;
        uint64_t begin = 0;
        if (!next_slot(wheel, &slot, &begin)) {
            wheel->present = now + 1;
            return 0;
        }
        if (begin > now) {
            move_present(wheel, now + 1, slot, begin);
            return 0;
        }
        move_present(wheel, begin, slot, begin);
        if (slot < SLOTS) {
            uint32_t n = hand_out(wheel, slot, fired, room < work ? room : work);
            wheel->moves += n;
            *tick_ms = ms_of(begin);
            return n;
        }
    }
    return 0;
}

int64_t cw_wheel_present(const struct cw_wheel *wheel)
{
    return ms_of(wheel->present);
}

uint32_t cw_wheel_count(const struct cw_wheel *wheel)
{
    return wheel->count;
}

uint64_t cw_wheel_moves(const struct cw_wheel *wheel)
{
    return wheel->moves;
}

/* The list is walked only when one that fired first in it was cancelled, and no further than to
   another of the same tick. */
static uint64_t earliest_in(const struct cw_wheel *w, uint32_t slot)
{
    struct cw_wheel_slot *s = &w->slots[slot];
    if (!s->stale) {
        return s->tick_min;
    }
    uint64_t earliest = UINT64_MAX;
    for (cw_timer timer = s->head; timer != 0 && earliest != s->tick_min;) {
        const struct cw_wheel_node *node = node_at(w, timer);
        prefetch(w, node->ahead);
        uint64_t tick = tick_of_node(w, node);
        earliest = tick < earliest ? tick : earliest;
        timer = node->next;
    }
    s->tick_min = earliest;
    s->stale = false;
    return earliest;
}

bool cw_wheel_earliest(const struct cw_wheel *wheel, int64_t *due_ms)
{
    if (wheel->count == 0) {
        return false;
    }
    uint32_t slot = 0;
    uint64_t tick = 0;
    (void)next_slot(wheel, &slot, &tick);
    if (slot >= SLOTS) {
        tick = earliest_in(wheel, slot);
    }
    /* What has left the open slot lies below it, and may be later than what has not. */
    if (wheel->open != NO_SLOT && wheel->open != slot &&
        wheel->slots[wheel->open].tick_min < tick) {
        uint64_t other = earliest_in(wheel, wheel->open);
        tick = other < tick ? other : tick;
    }
    *due_ms = ms_of(tick);
    return true;
}

static bool check_node(const struct cw_wheel *w, cw_timer timer, uint32_t slot)
{
    const struct cw_wheel_node *node = node_at(w, timer);
    uint64_t tick = tick_of_node(w, node);
    uint32_t below = slot_for(w, tick);
    bool placed = slot == below || (slot == w->open && in_open_slot(w, tick));
    return placed && node->slot == slot && node->ahead < w->fresh &&
           tick >= w->slots[slot].tick_min;
}

/* Counts a slot's timers into *count. */
static bool check_slot(const struct cw_wheel *w, uint32_t slot, uint32_t *count)
{
    const struct cw_wheel_slot *s = &w->slots[slot];
    bool marked = (w->bits[slot / SLOTS][slot % SLOTS / 64] >> (slot % 64) & 1) != 0;
    if (marked != (s->head != 0) || marked != (s->tail != 0)) {
        return false;
    }
    if (!marked) {
        return slot != w->open && s->appended == 0 && !s->stale && s->tick_min == UINT64_MAX;
    }
    bool exact = false;
    cw_timer before = 0;
    for (cw_timer timer = s->head; timer != 0; timer = node_at(w, timer)->next) {
        if (timer >= w->fresh || *count >= w->count || node_at(w, timer)->prev != before ||
            !check_node(w, timer, slot)) {
            return false;
        }
        exact |= tick_of_node(w, node_at(w, timer)) == s->tick_min;
        before = timer;
        (*count)++;
    }
    return before == s->tail && (exact || s->stale);
}

bool cw_wheel_check(const struct cw_wheel *wheel)
{
    uint32_t count = 0;
    for (uint32_t level = 0; level < LEVELS; level++) {
        uint32_t before = count;
        for (uint32_t i = 0; i < SLOTS; i++) {
            if (!check_slot(wheel, level * SLOTS + i, &count)) {
                return false;
            }
        }
        if ((count != before) != ((wheel->levels >> level & 1) != 0)) {
            return false;
        }
    }
    uint32_t unused = 0;
    for (cw_timer timer = wheel->free; timer != 0; timer = node_at(wheel, timer)->next) {
        if (timer >= wheel->fresh || unused >= wheel->fresh ||
            node_at(wheel, timer)->slot != NO_SLOT) {
            return false;
        }
        unused++;
    }
    bool open =
        wheel->open == NO_SLOT ||
        (wheel->open >= SLOTS && digit(wheel->present, wheel->open / SLOTS) == wheel->open % SLOTS);
    return open && count == wheel->count && count + unused + 1 == wheel->fresh;
}

void cw_wheel_set_work(struct cw_wheel *wheel, uint32_t work_max)
{
    CW_ASSERT(work_max >= 1 && work_max <= CW_WHEEL_WORK_MAX);
    wheel->work_max = work_max;
}

void cw_wheel_forget(struct cw_wheel *wheel, int64_t start_ms)
{
    for (uint32_t slot = 0; slot < LEVELS * SLOTS; slot++) {
        wheel->slots[slot] = (struct cw_wheel_slot){.tick_min = UINT64_MAX};
    }
    memset(wheel->bits, 0, sizeof wheel->bits);
    wheel->present = tick_of(start_ms);
    wheel->count = 0;
    wheel->fresh = 1;
    wheel->free = 0;
    wheel->freed_count = 0;
    wheel->open = NO_SLOT;
    wheel->levels = 0;
}

static size_t slots_at(void)
{
    return (sizeof(struct cw_wheel) + CW_CACHE_LINE - 1) & ~(size_t)(CW_CACHE_LINE - 1);
}

/* Of a wheel that another process left: whether it can be gone on with. Its nodes and slots name
   each other by number; only where they are is new. */
static bool is_sound(const struct cw_wheel *w, const struct cw_wheel_options *options)
{
    return w->timers_max == options->timers_max && w->fresh >= 1 &&
           w->fresh - 1 <= w->timers_max && w->count < w->fresh && w->free < w->fresh &&
           (w->open == NO_SLOT || w->open < LEVELS * SLOTS);
}

static cw_err map_part(const struct cw_wheel_options *options, struct cw_memory *map,
                       uint64_t bytes, const char *part, struct cw_fault *fault)
{
    return options->memory == NULL
               ? cw_memory_reserve(map, bytes, part, fault)
               : cw_keep_map(options->memory, "wheel", part, bytes, map, fault);
}

cw_err cw_wheel_open(struct cw_wheel **wheel, const struct cw_wheel_options *options,
                     struct cw_fault *fault)
{
    CW_ASSERT(options->timers_max >= 1 && options->timers_max <= UINT32_MAX - 1);
    bool kept = options->memory != NULL && cw_keep_adopted(options->memory);
    struct cw_memory own = {0};
    struct cw_memory nodes = {0};
    cw_err err = map_part(options, &own, slots_at() + sizeof(struct cw_wheel_slot) * LEVELS * SLOTS,
                          "slots", fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_wheel *w = own.base;
    /* Huge pages: random timers over gigabytes, fewer misses of the TLB. */
    err = map_part(options, &nodes,
                   ((uint64_t)options->timers_max + 1) * sizeof(struct cw_wheel_node), "timers",
                   fault);
    if (err == CW_ERR_OK && kept && !is_sound(w, options)) {
        cw_memory_release(&nodes);
        err = cw_fail(fault, CW_ERR_NOT_FOUND, "the wheel's memory has another layout");
    }
    if (err != CW_ERR_OK) {
        cw_memory_release(&own);
        return err;
    }
    w->own = own;
    w->memory = nodes;
    w->nodes = nodes.base;
    w->slots = (void *)((uint8_t *)own.base + slots_at());
    *wheel = w;
    if (kept) {
        cw_memory_used(&w->memory, (uint64_t)(w->fresh + 1) * sizeof *w->nodes);
        return CW_ERR_OK;
    }
    w->timers_max = options->timers_max;
    w->work_max = CW_WHEEL_WORK_MAX;
    cw_wheel_forget(w, options->start_ms);
    return CW_ERR_OK;
}

void cw_wheel_close(struct cw_wheel *wheel)
{
    cw_memory_release(&wheel->memory);
    struct cw_memory own = wheel->own;
    cw_memory_release(&own);
}

bool cw_wheel_populate(struct cw_wheel *wheel)
{
    return cw_memory_populate(&wheel->memory);
}
