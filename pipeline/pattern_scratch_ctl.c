/* A thread's scratch: room that grows with the largest set and document it has seen. */
#include "pipeline/pattern_priv.h"

#include <stdlib.h>

cw_err cw_pattern_scratch_open(struct cw_pattern_scratch **scratch, struct cw_fault *fault)
{
    *scratch = calloc(1, sizeof **scratch);
    if (*scratch == NULL) {
        return cw_fail(fault, CW_ERR_LIMIT, "no memory for matching");
    }
    return CW_ERR_OK;
}

void cw_pattern_scratch_close(struct cw_pattern_scratch *scratch)
{
    if (scratch == NULL) {
        return;
    }
    void *pieces[] = {
        scratch->bits,     scratch->hits,    scratch->flat,   scratch->array,     scratch->vetoes,
        scratch->promoted, scratch->pending, scratch->pended, scratch->unescaped, scratch->lowered,
        scratch->log,      scratch->frames,  scratch->heads,  scratch->chosen,    scratch->trail,
        scratch->choice,   scratch->mark,
    };
    for (uint32_t i = 0; i < CW_COUNTOF(pieces); i++) {
        free(pieces[i]);
    }
    free(scratch);
}

/* Zeroed, and nothing of the old content is kept: between documents nothing is held. */
static void *renew(void *old, size_t count, size_t size)
{
    free(old);
    void *fresh = calloc(count, size);
    CW_ASSERT(fresh != NULL);
    return fresh;
}

/* Room for a document of that size and some to spare, so that slowly growing ones do not each
   renew. */
static uint32_t roomy(uint32_t need)
{
    return need + need / 4 + 256;
}

void cw_pattern_scratch_fit(struct cw_pattern_scratch *m, const struct cw_pattern_set *set,
                            const struct cw_json *doc)
{
    m->set = set;
    m->set_id = set->id;
    if (m->bit_room < set->bit_count + 1) {
        m->bit_room = set->bit_count + 1;
        m->bits = renew(m->bits, m->bit_room / 64 + 1, sizeof *m->bits);
        m->hits = renew(m->hits, m->bit_room, sizeof *m->hits);
        m->promoted = renew(m->promoted, m->bit_room, sizeof *m->promoted);
    }
    if (m->presence_room < set->presence_bits + 1) {
        m->presence_room = set->presence_bits + 1;
        m->pended = renew(m->pended, m->presence_room, sizeof *m->pended);
    }
    if (m->group_room < set->group_count + 1) {
        m->group_room = set->group_count + 1;
        m->flat = renew(m->flat, m->group_room, sizeof *m->flat);
        m->array = renew(m->array, m->group_room, sizeof *m->array);
    }
    if (m->but_room < set->but_count + 1) {
        m->but_room = set->but_count + 1;
        m->vetoes = renew(m->vetoes, m->but_room, sizeof *m->vetoes);
    }
    if (m->text_room < doc->text_bytes || m->text_room == 0) {
        m->text_room = roomy(doc->text_bytes);
        m->unescaped = renew(m->unescaped, (size_t)m->text_room + 8, 1);
        m->lowered = renew(m->lowered, (size_t)m->text_room + 8, 1);
        m->pending = renew(m->pending, m->text_room, sizeof *m->pending);
    }
}

void cw_pattern_scratch_fit_slow(struct cw_pattern_scratch *m)
{
    const struct cw_pattern_set *set = m->set;
    if (m->log == NULL) {
        m->log = renew(NULL, CW_PATTERN_LOG_MAX, sizeof *m->log);
    }
    uint32_t bits = set->bit_count + set->pairs_most + 1;
    if (m->slow_bit_room < bits) {
        m->slow_bit_room = bits;
        m->heads = renew(m->heads, bits, sizeof *m->heads);
        m->choice = renew(m->choice, bits, sizeof *m->choice);
        m->mark = renew(m->mark, bits, sizeof *m->mark);
    }
    if (m->slow_node_room < m->doc->node_count + 1) {
        m->slow_node_room = roomy(m->doc->node_count);
        m->frames = renew(m->frames, m->slow_node_room, sizeof *m->frames);
        m->chosen = renew(m->chosen, m->slow_node_room, sizeof *m->chosen);
        m->trail = renew(m->trail, m->slow_node_room, sizeof *m->trail);
    }
}
