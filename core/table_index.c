/*
 * Hash to row. The layout is drawn in table_priv.h.
 *
 * A segment splits when a row finds its 8 groups full: at 0.87 of its 768 slots on average (0.70 at
 * least in 3,000 simulated lives), so segments are 0.65 full over time and a search looks at 1.03
 * groups for a row that is there. 8 rather than 4 groups, because a table that stays at its bound
 * while rows come and go for years must not split again and again on chance clusters: 96 rows where
 * 48 are expected happens once in 10^10.
 *
 * The directory doubles by one bit more being looked at. Its upper half is then all zeroes, which
 * reads as "see the lower half"; each later split fills a few entries, so nothing ever waits for a
 * copy of the whole. Its address space, and that of the segments, is reserved at open.
 */
#include "core/table_priv.h"

#include <string.h>

enum {
    FILLED_PER_SPLIT = 8,   /* about 2^d entries to fill, 2^d splits until the next doubling */
    ROWS_PER_SEGMENT = 256, /* a segment with fewer rows than this does not split, see open */
    ROWS_EXPECTED = 640,    /* in a segment: 0.83 of its slots, few of them will split */
};

static uint32_t bits_for(uint64_t count)
{
    return count <= 1 ? 0 : 64 - (uint32_t)__builtin_clzll(count - 1);
}

void table_index_seal(struct cw_table *table)
{
    const struct table_index *index = &table->index;
    struct table_head *head = table->head;
    head->sealed.directory_mask = index->directory_mask;
    head->sealed.filled = index->filled;
    head->sealed.splits = index->splits;
    head->sealed.depth = index->depth;
    head->sealed.segments = index->segments;
}

/* What table_index_seal wrote, as far as this table's bounds allow it. */
static bool take_over(struct cw_table *table)
{
    struct table_index *index = &table->index;
    const struct table_head *head = table->head;
    index->directory_mask = head->sealed.directory_mask;
    index->filled = head->sealed.filled;
    index->splits = head->sealed.splits;
    index->depth = head->sealed.depth;
    index->segments = head->sealed.segments;
    atomic_store_explicit(&index->reached, index->segments, memory_order_relaxed);
    return index->depth <= index->depth_max &&
           index->directory_mask == (1ull << index->depth) - 1 && index->filled >= 1 &&
           index->filled <= index->directory_mask + 1 && index->segments >= 1 &&
           index->segments <= index->segments_max && index->directory[0] == 1;
}

cw_err table_index_open(struct cw_table *table, struct cw_fault *fault)
{
    struct table_index *index = &table->index;
    /* The depth that gives each segment 256 rows at most, and two bits more for segments that
       happen to be deeper: a segment splits with 530 rows or more. */
    uint32_t depth = bits_for((table->rows_max + ROWS_PER_SEGMENT - 1) / ROWS_PER_SEGMENT) + 2;
    if (depth > TABLE_DEPTH_MAX) {
        return cw_fail(fault, CW_ERR_LIMIT, "table %s: %llu rows are more than an index can hold",
                       table->name, (unsigned long long)table->rows_max);
    }
    index->depth_max = depth;
    index->segments_max = 1u << depth;
    uint64_t segments = (uint64_t)index->segments_max + 1; /* number 0 is not used */
    uint64_t groups = segments * TABLE_SEGMENT_GROUPS;

    struct {
        struct cw_memory *map;
        uint64_t bytes;
        const char *part;
    } maps[] = {
        {&table->map_groups, groups * sizeof *index->groups, "groups"},
        {&table->map_bits, groups * sizeof *index->bits, "bits"},
        {&table->map_directory, (1ull << depth) * sizeof *index->directory, "directory"},
        {&table->map_depths, segments * sizeof *index->depths, "depths"},
    };

    for (size_t i = 0; i < CW_COUNTOF(maps); i++) {
        cw_err err = table_map_part(table, maps[i].map, maps[i].bytes, maps[i].part, fault);
        if (err != CW_ERR_OK) {
            return err;
        }
    }
    index->groups = table->map_groups.base;
    index->bits = table->map_bits.base;
    index->directory = table->map_directory.base;
    index->directory_read = index->directory;
    index->depths = table->map_depths.base;
    if (table_is_kept(table)) {
        return take_over(table) ? CW_ERR_OK
                                : cw_fail(fault, CW_ERR_NOT_FOUND,
                                          "table %s: its memory has another index", table->name);
    }
    index->segments = 1;
    atomic_store_explicit(&index->reached, 1, memory_order_relaxed);
    index->directory[0] = 1;
    index->filled = 1;
    return CW_ERR_OK;
}

void table_index_expect(struct table_index *index, uint64_t rows)
{
    CW_ASSERT(index->segments == 1 && index->splits == 0);
    while (rows >> index->depth > ROWS_EXPECTED && index->depth < index->depth_max) {
        index->depth++;
    }
    index->segments = 1u << index->depth;
    index->directory_mask = index->segments - 1;
    for (uint32_t entry = 0; entry < index->segments; entry++) {
        index->directory[entry] = entry + 1;
        index->depths[entry + 1] = (uint8_t)index->depth;
    }
    index->filled = index->segments;
    index->splits = index->segments - 1;
    atomic_store_explicit(&index->reached, index->segments, memory_order_relaxed);
}

bool table_index_populate(struct cw_table *table)
{
    uint32_t reached = atomic_load_explicit(&table->index.reached, memory_order_relaxed);
    uint64_t segments = (uint64_t)reached + 1; /* number 0 is not used */
    uint64_t groups = segments * TABLE_SEGMENT_GROUPS;
    cw_memory_used(&table->map_groups, groups * sizeof(struct table_group));
    cw_memory_used(&table->map_bits, groups * sizeof(struct table_bits));
    /* Entries are all over a directory that just doubled. */
    cw_memory_used(&table->map_directory, (4ull << bits_for(segments)) * sizeof(uint32_t));
    cw_memory_used(&table->map_depths, segments);
    bool more = cw_memory_populate(&table->map_groups);
    more |= cw_memory_populate(&table->map_bits);
    more |= cw_memory_populate(&table->map_directory);
    more |= cw_memory_populate(&table->map_depths);
    return more;
}

static inline struct table_group *group_at(struct table_index *index, uint32_t segment, uint32_t at)
{
    return &index->groups[(uint64_t)segment * TABLE_SEGMENT_GROUPS + at % TABLE_SEGMENT_GROUPS];
}

static inline struct table_bits *bits_at(struct table_index *index, const struct table_group *group)
{
    return &index->bits[group - index->groups];
}

/* Counts (or discounts) a row that lies `distance` groups after its own. */
static void pass_by(struct table_index *index, uint32_t segment, uint32_t home, uint32_t distance,
                    uint8_t tag, int change)
{
    for (uint32_t i = 0; i < distance; i++) { /* at most TABLE_PROBES_MAX - 1 */
        uint8_t *passed = &group_at(index, segment, home + i)->passed[tag % 4];
        CW_ASSERT_HOT(change > 0 || *passed > 0);
        *passed = (uint8_t)(*passed + change);
    }
}

/* The slots in use whose hash bit is set. The vector work is for split(), whose branches on random
   bits cost more than all else in it: 11 us without, 3 with. */
static inline uint32_t slots_with_bit(const struct table_group *group,
                                      const struct table_bits *bits, uint32_t bit)
{
    uint32_t mask = 0;
    for (uint32_t lane = 0; lane < TABLE_GROUP_SLOTS; lane += 4) {
        __m128i four = _mm_load_si128((const __m128i *)(const void *)&bits->of[lane]);
        __m128i to_sign = _mm_sll_epi32(four, _mm_cvtsi32_si128(31 - (int)bit));
        mask |= (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(to_sign)) << lane;
    }
    return mask & ~table_match(group, 0);
}

/* The slots in use by rows of other groups. */
static inline uint32_t slots_away(const struct table_group *group, const struct table_bits *bits,
                                  uint32_t home)
{
    uint32_t at_home = 0;
    for (uint32_t lane = 0; lane < TABLE_GROUP_SLOTS; lane += 4) {
        __m128i four = _mm_load_si128((const __m128i *)(const void *)&bits->of[lane]);
        __m128i same =
            _mm_cmpeq_epi32(_mm_srli_epi32(four, TABLE_DEPTH_MAX), _mm_set1_epi32((int)home));
        at_home |= (uint32_t)_mm_movemask_ps(_mm_castsi128_ps(same)) << lane;
    }
    return ~(at_home | table_match(group, 0)) & ((1u << TABLE_GROUP_SLOTS) - 1);
}

/* Moves the slots of `from` whose hash bit is set to the same group of the new segment: each stays
   as far from its own group as it was, so both segments are sound whatever the rows are. Each slot
   is written to the next place there, and the place is taken if it moved: no branch on a hash. */
static void split_group(struct table_index *index, struct table_group *from, struct table_group *to,
                        uint32_t bit)
{
    const struct table_bits *from_bits = bits_at(index, from);
    struct table_bits *to_bits = bits_at(index, to);
    uint32_t moving = slots_with_bit(from, from_bits, bit);
    uint32_t moved = 0;
    for (uint32_t slot = 0; slot < TABLE_GROUP_SLOTS; slot++) {
        uint32_t moves = moving >> slot & 1;
        uint8_t mask = (uint8_t)(0u - moves);
        uint8_t tag = from->tags[slot];
        to->tags[moved] = tag & mask;
        to->refs[moved] = from->refs[slot];
        to_bits->of[moved] = from_bits->of[slot];
        from->tags[slot] = tag & (uint8_t)~mask;
        moved += moves;
    }
    memset(from->passed, 0, sizeof from->passed);
}

/* Takes the row of a slot, which lies behind its own group, closer to it if there is room now, and
   counts it in the groups it still lies behind. */
static void pull_row(struct table_index *index, uint32_t segment, uint32_t at, uint32_t slot)
{
    struct table_group *group = group_at(index, segment, at);
    const struct table_bits *bits = bits_at(index, group);
    uint32_t home = bits->of[slot] >> TABLE_DEPTH_MAX;
    uint32_t distance = (at - home) % TABLE_SEGMENT_GROUPS;
    uint8_t tag = group->tags[slot];
    for (uint32_t d = 0; d < distance; d++) { /* at most TABLE_PROBES_MAX - 1 */
        struct table_group *nearer = group_at(index, segment, home + d);
        uint32_t room = table_match(nearer, 0);
        if (room != 0) {
            uint32_t to = (uint32_t)__builtin_ctz(room);
            nearer->tags[to] = tag;
            nearer->refs[to] = group->refs[slot];
            bits_at(index, nearer)->of[to] = bits->of[slot];
            group->tags[slot] = 0;
            distance = d;
        }
    }
    pass_by(index, segment, home, distance, tag, 1);
}

/* The rows of a group that lie behind their own: those whose own group is not after it, or those
   that lie round the segment's end. */
static void pull_group(struct table_index *index, uint32_t segment, uint32_t at, bool round)
{
    const struct table_group *group = group_at(index, segment, at);
    const struct table_bits *bits = bits_at(index, group);
    uint32_t mask = slots_away(group, bits, at);
    for (; mask != 0; mask &= mask - 1) {
        uint32_t slot = (uint32_t)__builtin_ctz(mask);
        if ((bits->of[slot] >> TABLE_DEPTH_MAX > at) == round) {
            pull_row(index, segment, at, slot);
        }
    }
}

/* A row goes to a group that was visited before, or it would be counted once more there: so the few
   that lie round the end come last. */
static void pull_home(struct table_index *index, uint32_t segment)
{
    for (uint32_t at = 0; at < TABLE_SEGMENT_GROUPS; at++) {
        pull_group(index, segment, at, false);
    }
    for (uint32_t at = 0; at < TABLE_PROBES_MAX - 1; at++) {
        pull_group(index, segment, at, true);
    }
}

static bool split(struct table_index *index, uint64_t hash, uint32_t segment)
{
    uint32_t depth = index->depths[segment];
    if (depth == index->depth_max || index->segments == index->segments_max) {
        return false;
    }
    if (depth == index->depth) {
        index->depth++;
        index->directory_mask = (1ull << index->depth) - 1;
    }
    uint32_t fresh = ++index->segments;
    atomic_store_explicit(&index->reached, fresh, memory_order_relaxed);
    index->depths[segment] = (uint8_t)(depth + 1);
    index->depths[fresh] = (uint8_t)(depth + 1);
    for (uint32_t at = 0; at < TABLE_SEGMENT_GROUPS; at++) {
        split_group(index, group_at(index, segment, at), group_at(index, fresh, at), depth);
    }
    pull_home(index, segment);
    pull_home(index, fresh);

    /* The entries with the old segment's bits and the new one set; 1 or 2 with random hashes. */
    uint64_t entry = (hash & ((1ull << depth) - 1)) | 1ull << depth;
    for (; entry <= index->directory_mask; entry += 2ull << depth) {
        index->directory[entry] = fresh;
    }
    for (int i = 0; i < FILLED_PER_SPLIT && index->filled <= index->directory_mask; i++) {
        index->directory[index->filled] = table_segment(index, index->filled);
        index->filled++;
    }
    index->splits++;
    return true;
}

/* When the row's own group is full. */
static __attribute__((noinline)) bool place_behind(struct table_index *index, uint64_t hash,
                                                   struct table_place *place)
{
    for (;;) { /* at most depth_max splits */
        uint32_t segment = table_segment(index, hash);
        for (uint32_t d = 0; d < TABLE_PROBES_MAX; d++) {
            struct table_group *group = group_at(index, segment, table_home(hash) + d);
            uint32_t room = table_match(group, 0);
            if (room != 0) {
                *place = (struct table_place){.group = group,
                                              .segment = segment,
                                              .slot = (uint32_t)__builtin_ctz(room),
                                              .distance = d};
                return true;
            }
        }
        if (!split(index, hash, segment)) {
            return false;
        }
    }
}

bool table_index_place(struct table_index *index, uint64_t hash, struct table_place *place)
{
    uint32_t segment = table_segment(index, hash);
    struct table_group *group = group_at(index, segment, table_home(hash));
    uint32_t room = table_match(group, 0);
    if (CW_UNLIKELY(room == 0)) {
        return place_behind(index, hash, place);
    }
    *place = (struct table_place){
        .group = group, .segment = segment, .slot = (uint32_t)__builtin_ctz(room)};
    return true;
}

void table_index_add(struct table_index *index, uint64_t hash, const struct table_place *place,
                     uint32_t ref)
{
    uint8_t tag = table_tag(hash);
    CW_ASSERT_HOT(place->group->tags[place->slot] == 0);
    place->group->tags[place->slot] = tag;
    place->group->refs[place->slot] = ref;
    bits_at(index, place->group)->of[place->slot] = (uint32_t)hash;
    pass_by(index, place->segment, table_home(hash), place->distance, tag, 1);
}

/* The place of a row that is in the index. */
static struct table_place locate(struct table_index *index, uint64_t hash, uint32_t ref)
{
    struct table_place place = {.segment = table_segment(index, hash)};
    uint8_t tag = table_tag(hash);
    for (; place.distance < TABLE_PROBES_MAX; place.distance++) {
        place.group = group_at(index, place.segment, table_home(hash) + place.distance);
        for (uint32_t mask = table_match(place.group, tag); mask != 0; mask &= mask - 1) {
            place.slot = (uint32_t)__builtin_ctz(mask);
            if (place.group->refs[place.slot] == ref) {
                return place;
            }
        }
    }
    CW_ASSERT(place.distance < TABLE_PROBES_MAX); /* a live row is in the index */
    return place;
}

void table_index_replace(struct table_index *index, uint64_t hash, uint32_t ref, uint32_t by)
{
    struct table_place place = locate(index, hash, ref);
    place.group->refs[place.slot] = by;
}

void table_index_remove(struct table_index *index, uint64_t hash, uint32_t ref)
{
    struct table_place place = locate(index, hash, ref);
    place.group->tags[place.slot] = 0;
    pass_by(index, place.segment, table_home(hash), place.distance, table_tag(hash), -1);
}

/* The slot leads to a live row of that hash, near enough to its group; its hash goes to *hash. */
static bool slot_check(const struct cw_table *table, uint32_t segment, uint32_t at, uint32_t slot,
                       uint64_t *hash)
{
    const struct table_index *index = &table->index;
    uint64_t number = (uint64_t)segment * TABLE_SEGMENT_GROUPS + at;
    const struct table_group *group = &index->groups[number];
    cw_row row = (cw_row)group->refs[slot] * TABLE_ROW_UNIT;
    if (row < TABLE_HEAD_BYTES || row >= table->head->carved) {
        return false;
    }
    const struct table_row *body = table_row_at(table, row);
    if (!table_row_live(body)) {
        return false;
    }
    const uint8_t *key = table_row_key(body);
    *hash = cw_hash(table->hash, key, body->key_bytes);
    return group->tags[slot] == table_tag(*hash) &&
           index->bits[number].of[slot] == (uint32_t)*hash &&
           (at - table_home(*hash)) % TABLE_SEGMENT_GROUPS < TABLE_PROBES_MAX &&
           table_segment(index, *hash) == segment &&
           cw_table_find(table, *hash, key, body->key_bytes) == row;
}

/* All slots are sound, and passed[] counts right. */
static bool segment_check(const struct cw_table *table, uint32_t segment, uint64_t *slots)
{
    const struct table_group *groups =
        &table->index.groups[(uint64_t)segment * TABLE_SEGMENT_GROUPS];
    uint8_t passed[TABLE_SEGMENT_GROUPS][4] = {{0}};
    for (uint32_t at = 0; at < TABLE_SEGMENT_GROUPS; at++) {
        uint32_t used = ~table_match(&groups[at], 0) & ((1u << TABLE_GROUP_SLOTS) - 1);
        for (; used != 0; used &= used - 1) {
            uint64_t hash;
            if (!slot_check(table, segment, at, (uint32_t)__builtin_ctz(used), &hash)) {
                return false;
            }
            for (uint32_t by = table_home(hash); by != at; by = (by + 1) % TABLE_SEGMENT_GROUPS) {
                passed[by][table_tag(hash) % 4]++;
            }
            (*slots)++;
        }
    }
    for (uint32_t at = 0; at < TABLE_SEGMENT_GROUPS; at++) {
        if (memcmp(groups[at].passed, passed[at], sizeof passed[at]) != 0) {
            return false;
        }
    }
    return true;
}

bool table_index_check(const struct cw_table *table)
{
    const struct table_index *index = &table->index;
    if (index->directory_mask != (1ull << index->depth) - 1 || index->depth > index->depth_max ||
        index->segments > index->segments_max || index->splits != index->segments - 1) {
        return false;
    }
    /* Each segment of depth d is what 2^(depth - d) entries mean: by shares of the whole, the sum
       is the directory. */
    uint64_t shares = 0;
    uint64_t slots = 0;
    for (uint32_t segment = 1; segment <= index->segments; segment++) {
        if (index->depths[segment] > index->depth || !segment_check(table, segment, &slots)) {
            return false;
        }
        shares += 1ull << (index->depth - index->depths[segment]);
    }
    for (uint64_t entry = 0; entry <= index->directory_mask; entry++) {
        uint32_t segment = table_segment(index, entry);
        if (segment > index->segments || (index->directory[entry] == 0 && entry < index->filled)) {
            return false;
        }
        /* The same segment stands where only bits above its depth differ. */
        uint64_t low = entry & ((1ull << index->depths[segment]) - 1);
        if (table_segment(index, low) != segment) {
            return false;
        }
    }
    return shares == index->directory_mask + 1 && slots == table->head->rows;
}
