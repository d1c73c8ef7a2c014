/*
 * program_set: the programs that hold, and how a core goes over to others.
 *
 * Rows name their program by a slot, which stays the same as long as the program is there; events
 * name it by its number in the set that they were matched with. Programs come and go in slots:
 * candidates in flight of one that goes are put together with all such in CW_SLOT_GONE, where they
 * wait for their end, and come out of it when their program comes back.
 *
 * What it costs: programs of which only texts, caps and the like have changed nothing; one whose
 * channels have changed, or that comes or goes, a visit to each of its candidates in flight; one
 * whose session timeout has changed a visit to every cart.
 */
#include "pipeline/pipeline_priv.h"

#include <string.h>

static const struct cw_program gone = {.id = {"", 0}};

bool cw_slot_find(const struct cw_pipeline *p, struct cw_view program, uint32_t *slot)
{
    for (uint32_t i = 0; i < p->programs->count; i++) {
        if (cw_view_equal(p->programs->list[i].id, program)) {
            *slot = p->slot_of[i];
            return true;
        }
    }
    return false;
}

int cw_slot_compare(const struct cw_pipeline *p, uint32_t a, struct cw_view a_program, uint32_t b,
                    struct cw_view b_program)
{
    if (a != CW_SLOT_GONE && b != CW_SLOT_GONE) { /* programs are sorted by id */
        return (p->slots[a].number > p->slots[b].number) -
               (p->slots[a].number < p->slots[b].number);
    }
    return cw_view_compare(a_program, b_program);
}

const struct cw_touch *cw_candidate_touch(const struct cw_pipeline *p,
                                          const struct cw_candidate_row *candidate, uint32_t number)
{
    const struct cw_program *program = p->slots[candidate->slot].program;
    const struct cw_touch_row *row = &cw_candidate_touches(candidate)[number];
    if (!program->enabled || row->place >= program->touch_count) {
        return NULL;
    }
    const struct cw_touch *touch = &program->touches[row->place];
    return (uint8_t)touch->channel == row->channel ? touch : NULL;
}

/* What follows from all programs together. It never forgets sooner than it promised before. */
static void keep_for_all(struct cw_pipeline *p)
{
    p->watches_sessions = false;
    for (uint32_t i = 0; i < p->programs->count; i++) {
        const struct cw_program *program = &p->programs->list[i];
        if (!program->enabled) {
            continue;
        }
        p->watches_sessions |= program->session_timeout_ms > 0;
        int64_t keep = cw_facts_ms(program);
        p->keep_cart_ms = keep > p->keep_cart_ms ? keep : p->keep_cart_ms;
        keep = program->dedup.ttl_ms;
        p->keep_history_ms = keep > p->keep_history_ms ? keep : p->keep_history_ms;
    }
}

void cw_programs_install(struct cw_pipeline *p, const struct cw_programs *programs)
{
    p->programs = programs;
    p->slots[CW_SLOT_GONE].program = &gone;
    for (uint32_t i = 0; i < programs->count; i++) {
        p->slots[i] = (struct cw_slot){.program = &programs->list[i], .number = i};
        p->slot_of[i] = (uint8_t)i;
    }
    p->keep_cart_ms = CW_WEEK_MS;
    p->keep_history_ms = CW_HISTORY_MS;
    p->meta_changed = true;
    keep_for_all(p);
}

/* Calls visit for each candidate in flight of a slot; it may take the candidate out of the slot's
   lists, and put it back in front. */
static void each_of(struct cw_pipeline *p, uint32_t slot,
                    void (*visit)(struct cw_pipeline *p, cw_row row, const void *with),
                    const void *with)
{
    for (uint32_t day = 0; day < CW_VALUE_DAYS; day++) {
        for (uint32_t class = 0; class < CW_VALUE_CLASSES; class ++) {
            for (cw_row row = p->index->by_value[slot][day][class]; row != CW_ROW_NONE;) {
                cw_row next = cw_candidate_at(p, row)->value_next;
                visit(p, row, with);
                row = next;
            }
        }
    }
}

uint64_t cw_touch_identity(const struct cw_touch *touch)
{
    return cw_hash((struct cw_hash_key){0, 0}, touch->channel_id.data, touch->channel_id.bytes);
}

uint8_t cw_touch_place(const struct cw_program *program, uint64_t identity)
{
    uint32_t place = 0;
    while (place < program->touch_count &&
           cw_touch_identity(&program->touches[place]) != identity) {
        place++;
    }
    return place < program->touch_count ? (uint8_t)place : CW_PLACE_NONE;
}

/* True when both have the same channels in the same order. */
static bool same_places(const struct cw_program *old, const struct cw_program *new)
{
    bool same = old->touch_count == new->touch_count;
    for (uint32_t i = 0; i < old->touch_count; i++) {
        same = same && cw_view_equal(old->touches[i].channel_id, new->touches[i].channel_id);
    }
    return same;
}

/* Its touches' places in a version of its program. They are worked out, so they are not kept. */
static void replace(struct cw_pipeline *p, cw_row row, const void *with)
{
    const struct cw_program *program = with;
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    struct cw_touch_row *touches = cw_touch_link(p, row, 0);
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        touches[i].place = cw_touch_place(program, touches[i].channel_id);
    }
}

static void move(struct cw_pipeline *p, cw_row row, uint32_t slot)
{
    cw_candidate_unindex(p, row);
    cw_candidate_link(p, row)->slot = slot;
    cw_candidate_index(p, row);
}

static void move_out(struct cw_pipeline *p, cw_row row, const void *with)
{
    (void)with;
    move(p, row, CW_SLOT_GONE);
}

static void move_back(struct cw_pipeline *p, cw_row row, const void *with)
{
    const uint32_t *slot = with;
    struct cw_view program = cw_candidate_texts(cw_candidate_at(p, row)).program;
    if (cw_view_equal(program, p->slots[*slot].program->id)) {
        replace(p, row, p->slots[*slot].program);
        move(p, row, *slot);
    }
}

bool cw_key_format_same(const struct cw_key_format *a, const struct cw_key_format *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++) {
        same = a->parts[i].part == b->parts[i].part &&
               cw_view_equal(a->parts[i].literal, b->parts[i].literal);
    }
    return same;
}

static struct cw_view keep(struct cw_retired *to, uint32_t *used, struct cw_view text)
{
    CW_ASSERT(*used + text.bytes <= sizeof to->text);
    if (text.bytes > 0) {
        memcpy(to->text + *used, text.data, text.bytes);
    }
    struct cw_view kept = {to->text + *used, text.bytes};
    *used += text.bytes;
    return kept;
}

static bool same_view_key(const struct cw_retired *retired, struct cw_view program,
                          const struct cw_key_format *key)
{
    return cw_view_equal(retired->program, program) && cw_key_format_same(&retired->key, key);
}

void cw_programs_retire(struct cw_pipeline *p, struct cw_view program,
                        const struct cw_key_format *key, int64_t until)
{
    struct cw_retired *to = &p->retired[0];
    for (uint32_t i = 0; i < CW_COUNTOF(p->retired); i++) {
        struct cw_retired *retired = &p->retired[i];
        if (retired->until != 0 && same_view_key(retired, program, key)) {
            retired->until = until > retired->until ? until : retired->until;
            return;
        }
        to = retired->until < to->until ? retired : to;
    }
    uint32_t used = 0;
    to->until = until;
    to->program = keep(to, &used, program);
    to->key = *key;
    for (uint32_t i = 0; i < to->key.count; i++) {
        to->key.parts[i].literal = keep(to, &used, key->parts[i].literal);
    }
}

static int64_t session_of(const struct cw_program *program)
{
    return program->enabled ? program->session_timeout_ms : 0;
}

static void cart_owner(struct cw_pipeline *p, cw_row row, struct cw_customer *customer)
{
    struct cw_view key = cw_table_key(p->carts, row);
    uint16_t bytes;
    memcpy(&bytes, key.data, sizeof bytes);
    bool found = cw_customer_find(p, (struct cw_view){key.data + sizeof bytes, bytes}, customer);
    CW_ASSERT(found);
}

/* Sessions of programs that watch no more end, those with another timeout end when that says.
   stop: 1 << slot of each that is gone or watches no more. */
static void review_sessions(struct cw_pipeline *p, uint64_t stop)
{
    uint64_t cursor = 0;
    cw_row row;
    while ((row = cw_table_next(p->carts, &cursor)) != CW_ROW_NONE) {
        const struct cw_cart_row *cart = cw_cart_at(p, row);
        if (cart->sessions == 0) {
            continue;
        }
        struct cw_customer customer;
        cart_owner(p, row, &customer);
        uint64_t left = cart->sessions & ~stop;
        if (left == 0) {
            cw_cart_unwatch(p, &customer, row);
            continue;
        }
        if (left != cart->sessions) {
            cw_cart_edit(p, row)->sessions = left;
        }
        for (; left != 0; left &= left - 1) {
            uint32_t slot = (uint32_t)__builtin_ctzll(left);
            cw_customer_arm(p, &customer,
                            cart->session_time + p->slots[slot].program->session_timeout_ms);
        }
    }
}

/* What changes for a program that stays or goes (new NULL); true when its sessions change. */
static bool change(struct cw_pipeline *p, uint32_t slot, const struct cw_program *new)
{
    const struct cw_program *old = p->slots[slot].program;
    if (new == NULL || !cw_key_format_same(&old->dedup.key, &new->dedup.key)) {
        cw_programs_retire(p, old->id, &old->dedup.key, p->now + old->dedup.ttl_ms);
    }
    if (new == NULL) {
        each_of(p, slot, move_out, NULL);
        p->slots[slot] = (struct cw_slot){0};
        p->paused[slot] = 0;
        memset(p->program_next[slot], 0, sizeof p->program_next[slot]);
        return session_of(old) != 0;
    }
    if (!same_places(old, new)) {
        each_of(p, slot, replace, new);
        memset(p->program_next[slot], 0, sizeof p->program_next[slot]);
    }
    p->slots[slot].program = new;
    return session_of(old) != session_of(new);
}

static uint32_t free_slot(const struct cw_pipeline *p)
{
    uint32_t slot = 0;
    while (p->slots[slot].program != NULL) {
        slot++;
        CW_ASSERT(slot < CW_SLOTS_MAX); /* a set has no more programs than there are slots */
    }
    return slot;
}

void cw_pipeline_reprogram(struct cw_pipeline *p, const struct cw_programs *programs)
{
    bool sessions = false;
    uint64_t stop = 0;
    CW_ASSERT(programs->count <= CW_SLOTS_MAX);
    for (uint32_t slot = 0; slot < CW_SLOTS_MAX; slot++) {
        if (p->slots[slot].program == NULL) {
            continue;
        }
        const struct cw_program *new = cw_programs_find(programs, p->slots[slot].program->id);
        sessions = change(p, slot, new) || sessions;
        if (new == NULL || session_of(new) == 0) {
            stop |= UINT64_C(1) << slot;
        }
    }
    for (uint32_t i = 0; i < programs->count; i++) {
        uint32_t slot = 0;
        while (slot < CW_SLOTS_MAX && p->slots[slot].program != &programs->list[i]) {
            slot++;
        }
        bool fresh = slot == CW_SLOTS_MAX;
        slot = fresh ? free_slot(p) : slot;
        p->slots[slot] = (struct cw_slot){.program = &programs->list[i], .number = i};
        p->slot_of[i] = (uint8_t)slot;
        if (fresh) {
            each_of(p, CW_SLOT_GONE, move_back, &slot);
        }
    }
    p->programs = programs;
    p->meta_changed = true;
    keep_for_all(p);
    cw_decoder_reprogram(p->decoder, programs);
    if (sessions) {
        review_sessions(p, stop);
    }
}
