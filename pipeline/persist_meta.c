/*
 * persist_meta: what is no row, as rows: the clock, the counters, programs with their pauses, keys
 * of dedup entries that no program uses any more. Each core notes its own; a start reads those of
 * all cores that were.
 */
#include "pipeline/persist_priv.h"

#include <stddef.h>
#include <string.h>

enum {
    TAIL_MAX = (CW_KEY_PARTS_MAX + 1) * 256,
    KEY_MAX = CW_META_HEAD_BYTES + CW_ID_BYTES_MAX
};

static_assert(sizeof(struct cw_meta_program) % 8 == 0, "no padding that nobody has written");

static uint32_t meta_key(enum cw_meta_kind kind, uint32_t core, struct cw_view rest,
                         char key[KEY_MAX])
{
    CW_ASSERT(rest.bytes <= CW_ID_BYTES_MAX);
    key[0] = (char)kind;
    memcpy(key + 1, &core, sizeof core);
    if (rest.bytes > 0) {
        memcpy(key + CW_META_HEAD_BYTES, rest.data, rest.bytes);
    }
    return CW_META_HEAD_BYTES + rest.bytes;
}

/* Writes a row when it is not there or says something else. There is always room for it. */
static void write_row(struct cw_pipeline *p, enum cw_meta_kind kind, struct cw_view rest,
                      const void *value, uint32_t bytes)
{
    char key[KEY_MAX];
    uint32_t key_bytes = meta_key(kind, p->options.core, rest, key);
    uint64_t hash = cw_table_hash(p->meta, key, key_bytes);
    cw_row row = cw_table_find(p->meta, hash, key, key_bytes);
    if (row != CW_ROW_NONE && cw_table_value_bytes(p->meta, row) == bytes &&
        memcmp(cw_table_value(p->meta, row), value, bytes) == 0) {
        return;
    }
    bool added = false;
    row = cw_table_put(p->meta, hash, key, key_bytes, bytes, &added);
    if (row != CW_ROW_NONE && !added) {
        row = cw_table_resize(p->meta, row, bytes);
    }
    if (row == CW_ROW_NONE) { /* only in tests whose tables hold a handful of rows */
        p->fates.not_remembered++;
        return;
    }
    memcpy(cw_table_edit(p->meta, row), value, bytes);
}

/* A program, or a retired key, as a row. */
struct image {
    struct cw_meta_program head;
    char tail[TAIL_MAX];
};

static uint16_t put_text(struct image *image, uint32_t *used, struct cw_view text)
{
    CW_ASSERT(text.bytes <= 256 && *used + text.bytes <= TAIL_MAX);
    if (text.bytes > 0) {
        memcpy(image->tail + *used, text.data, text.bytes);
    }
    *used += text.bytes;
    return (uint16_t)text.bytes;
}

static void put_format(struct image *image, uint32_t *used, const struct cw_key_format *key)
{
    image->head.part_count = (uint8_t)key->count;
    for (uint32_t i = 0; i < key->count; i++) {
        image->head.parts[i] = (uint8_t)key->parts[i].part;
        image->head.literal_bytes[i] = put_text(image, used, key->parts[i].literal);
    }
}

static void note_programs(struct cw_pipeline *p)
{
    struct image image;
    for (uint32_t slot = 0; slot < CW_SLOTS_MAX; slot++) {
        const struct cw_program *program = p->slots[slot].program;
        if (program == NULL) {
            continue;
        }
        uint32_t used = 0;
        memset(&image.head, 0, sizeof image.head);
        image.head.until = program->dedup.ttl_ms;
        image.head.session_timeout_ms = program->enabled ? program->session_timeout_ms : 0;
        image.head.slot = slot;
        image.head.paused = p->paused[slot];
        put_format(&image, &used, &program->dedup.key);
        write_row(p, CW_META_PROGRAM, program->id, &image,
                  (uint32_t)offsetof(struct image, tail) + used);
    }
    /* Those that are gone. */
    uint64_t cursor = 0;
    cw_row row;
    while ((row = cw_table_next(p->meta, &cursor)) != CW_ROW_NONE) {
        struct cw_view key = cw_table_key(p->meta, row);
        struct cw_view id = {key.data + CW_META_HEAD_BYTES, key.bytes - CW_META_HEAD_BYTES};
        if (key.data[0] == CW_META_PROGRAM && cw_programs_find(p->programs, id) == NULL) {
            cw_table_remove(p->meta, row);
        }
    }
}

static void note_retired(struct cw_pipeline *p)
{
    struct image image;
    for (uint32_t i = 0; i < CW_COUNTOF(p->retired); i++) {
        const struct cw_retired *retired = &p->retired[i];
        if (retired->until == 0) {
            continue;
        }
        uint32_t used = 0;
        memset(&image.head, 0, sizeof image.head);
        image.head.until = retired->until;
        image.head.id_bytes = put_text(&image, &used, retired->program);
        put_format(&image, &used, &retired->key);
        write_row(p, CW_META_RETIRED, (struct cw_view){(const char *)&i, sizeof i}, &image,
                  (uint32_t)offsetof(struct image, tail) + used);
    }
}

void cw_pipeline_note_counters(struct cw_pipeline *p)
{
    uint8_t fates[CW_FATES_IMAGE_BYTES];
    cw_fates_write(&p->fates, fates);
    write_row(p, CW_META_FATES, (struct cw_view){0}, fates, sizeof fates);
}

void cw_pipeline_note(struct cw_pipeline *p)
{
    const struct cw_view none = {0};
    struct cw_meta_clock clock = {.now = p->now,
                                  .present = cw_wheel_present(p->wheel),
                                  .keep_cart_ms = p->keep_cart_ms,
                                  .keep_history_ms = p->keep_history_ms,
                                  .sends_held = p->sends_held != 0};
    write_row(p, CW_META_CLOCK, none, &clock, sizeof clock);
    cw_pipeline_note_counters(p);
    if (p->meta_changed) {
        note_programs(p);
        note_retired(p);
        p->meta_changed = false;
    }
}

void cw_pipeline_ran(const struct cw_pipeline *p, void (*tell)(void *with, struct cw_view id),
                     void *with)
{
    uint64_t cursor = 0;
    cw_row row;
    while ((row = cw_table_next(p->meta, &cursor)) != CW_ROW_NONE) {
        struct cw_view key = cw_table_key(p->meta, row);
        if (key.data[0] == CW_META_PROGRAM) {
            tell(with,
                 (struct cw_view){key.data + CW_META_HEAD_BYTES, key.bytes - CW_META_HEAD_BYTES});
        }
    }
}

void cw_pipeline_astray(const struct cw_pipeline *p,
                        void (*tell)(void *with, struct cw_view program), void *with)
{
    uint64_t cursor = 0;
    cw_row row;
    while (p->astray > 0 && (row = cw_table_next(p->candidates, &cursor)) != CW_ROW_NONE) {
        const struct cw_candidate_row *at = cw_candidate_at(p, row);
        if (at->status < CW_STATUS_CONVERTED && at->slot == CW_SLOT_GONE) {
            tell(with, cw_candidate_texts(at).program);
        }
    }
}

static bool is_duration(int64_t ms)
{
    return ms >= 0 && ms <= CW_DAY_MS * 366 * 100;
}

static bool program_good(struct cw_view value, bool retired)
{
    struct cw_meta_program at;
    uint64_t sum = sizeof at;
    if (value.bytes < sizeof at) {
        return false;
    }
    memcpy(&at, value.data, sizeof at);
    if (at.part_count > CW_KEY_PARTS_MAX || at.slot >= CW_SLOTS_MAX ||
        at.paused >= 1u << CW_CHANNEL_COUNT || at.id_bytes > CW_ID_BYTES_MAX ||
        !is_duration(at.session_timeout_ms) ||
        (retired ? !cw_row_time(at.until) : !is_duration(at.until))) {
        return false;
    }
    uint32_t key_bytes = 0; /* of the longest key that it makes */
    uint32_t literals = 0;
    for (uint32_t i = 0; i < at.part_count; i++) {
        if (at.parts[i] > CW_KEY_PROGRAM || at.literal_bytes[i] > 256) {
            return false;
        }
        key_bytes += 3 + (at.parts[i] == CW_KEY_LITERAL ? at.literal_bytes[i] : CW_ID_BYTES_MAX);
        literals += at.literal_bytes[i];
    }
    return key_bytes <= CW_TABLE_KEY_BYTES_MAX && literals <= 256 &&
           sum + literals + at.id_bytes == value.bytes;
}

const char *cw_meta_wrong(struct cw_view key, struct cw_view value)
{
    struct cw_meta_clock clock;
    struct cw_fates fates;
    uint32_t core;
    if (key.bytes < CW_META_HEAD_BYTES) {
        return "a row of no kind";
    }
    memcpy(&core, key.data + 1, sizeof core);
    uint32_t rest = key.bytes - CW_META_HEAD_BYTES;
    if (core >= CW_CORES_MAX) {
        return "a core of no such number";
    }
    switch ((enum cw_meta_kind)key.data[0]) {
    case CW_META_CLOCK:
        if (value.bytes != sizeof clock || rest != 0) {
            break;
        }
        memcpy(&clock, value.data, sizeof clock);
        return cw_row_time(clock.now) && cw_row_time(clock.present) &&
                       is_duration(clock.keep_cart_ms) && is_duration(clock.keep_history_ms) &&
                       clock.sends_held <= 1
                   ? NULL
                   : "the clock is out of range";
    case CW_META_FATES: return rest != 0 ? "a row of no kind" : cw_fates_read(&fates, value);
    case CW_META_PROGRAM:
        return rest >= 1 && rest <= CW_ID_BYTES_MAX && program_good(value, false)
                   ? NULL
                   : "a program's row is malformed";
    case CW_META_RETIRED:
        return rest == sizeof(uint32_t) && program_good(value, true)
                   ? NULL
                   : "a retired key's row is malformed";
    case CW_META_ERASURE: return cw_erasure_good(key, value) ? NULL : "an erasure is malformed";
    }
    return "a row of no kind";
}

static struct cw_view take_text(const char **text, uint32_t bytes)
{
    struct cw_view view = {bytes == 0 ? NULL : *text, bytes};
    *text += bytes;
    return view;
}

/* A program, or a retired key, from its row; views into it. */
static void read_program(const struct cw_table *table, cw_row row, struct cw_program_before *to)
{
    const struct cw_meta_program *at = cw_table_value(table, row);
    struct cw_view key = cw_table_key(table, row);
    const char *text = (const char *)(at + 1);
    memset(to, 0, sizeof *to);
    to->id = (struct cw_view){key.data + CW_META_HEAD_BYTES, key.bytes - CW_META_HEAD_BYTES};
    if (key.data[0] == CW_META_RETIRED) {
        to->id = take_text(&text, at->id_bytes);
    }
    to->slot = at->slot;
    to->paused = at->paused;
    to->until = at->until;
    to->session_timeout_ms = at->session_timeout_ms;
    to->key.count = at->part_count;
    for (uint32_t i = 0; i < at->part_count; i++) {
        to->key.parts[i].part = (enum cw_key_part)at->parts[i];
        to->key.parts[i].literal = take_text(&text, at->literal_bytes[i]);
    }
}

static uint32_t core_of(struct cw_view key)
{
    uint32_t core;
    memcpy(&core, key.data + 1, sizeof core);
    return core;
}

cw_err cw_meta_read(struct cw_pipeline *p, uint32_t cores_before, bool same,
                    struct cw_core_before *list, struct cw_fault *fault)
{
    uint64_t cursor = 0;
    cw_row row;
    while (p->loaded.meta != NULL &&
           (row = cw_table_next(p->loaded.meta, &cursor)) != CW_ROW_NONE) {
        struct cw_view key = cw_table_key(p->loaded.meta, row);
        uint32_t core = core_of(key);
        if (core >= cores_before) {
            return cw_damaged(fault, "a core of no such number");
        }
        if (key.data[0] == CW_META_CLOCK) {
            memcpy(&list[core].clock, cw_table_value(p->loaded.meta, row), sizeof list[core].clock);
            list[core].known = true;
        } else if (key.data[0] == CW_META_PROGRAM) {
            struct cw_program_before *program =
                cw_arena_alloc(&p->scratch, sizeof *program, _Alignof(struct cw_program_before));
            read_program(p->loaded.meta, row, program);
            if (list[core].by_slot[program->slot] != NULL) {
                return cw_damaged(fault, "two programs in one place");
            }
            list[core].by_slot[program->slot] = program;
        }
    }
    for (uint32_t i = 0; i < cores_before; i++) {
        if (!list[i].known && (!same || i == p->options.core)) {
            return cw_damaged(fault, "the clock of a core is missing");
        }
    }
    return CW_ERR_OK;
}

void cw_meta_fates(const struct cw_pipeline *p, uint32_t core, struct cw_fates *sum)
{
    uint64_t cursor = 0;
    cw_row row;
    memset(sum, 0, sizeof *sum);
    while ((row = cw_table_next(p->loaded.meta, &cursor)) != CW_ROW_NONE) {
        struct cw_view key = cw_table_key(p->loaded.meta, row);
        if (key.data[0] == CW_META_FATES && (core == UINT32_MAX || core == core_of(key))) {
            struct cw_fates fates;
            const char *wrong =
                cw_fates_read(&fates, (struct cw_view){cw_table_value(p->loaded.meta, row),
                                                       cw_table_value_bytes(p->loaded.meta, row)});
            CW_ASSERT(wrong == NULL); /* cw_meta_wrong looked at it */
            cw_fates_add(sum, &fates);
        }
    }
}

static cw_err keep_row(struct cw_pipeline *p, cw_row from, struct cw_fault *fault)
{
    struct cw_view key = cw_table_key(p->loaded.meta, from);
    uint32_t bytes = cw_table_value_bytes(p->loaded.meta, from);
    bool added = false;
    cw_row row = cw_table_put(p->meta, cw_table_hash(p->meta, key.data, key.bytes), key.data,
                              key.bytes, bytes, &added);
    if (row == CW_ROW_NONE) {
        return cw_fail(fault, CW_ERR_LIMIT, "no room for what is no row");
    }
    CW_ASSERT(added);
    memcpy(cw_table_edit(p->meta, row), cw_table_value(p->loaded.meta, from), bytes);
    return CW_ERR_OK;
}

cw_err cw_meta_take_over(struct cw_pipeline *p, bool same_cores, uint32_t cores,
                         struct cw_fault *fault)
{
    struct cw_program_before retired;
    uint64_t cursor = 0;
    cw_row row;
    while ((row = cw_table_next(p->loaded.meta, &cursor)) != CW_ROW_NONE) {
        struct cw_view key = cw_table_key(p->loaded.meta, row);
        bool own = core_of(key) == p->options.core;
        if (key.data[0] == CW_META_RETIRED && (own || !same_cores)) {
            read_program(p->loaded.meta, row, &retired);
            cw_programs_retire(p, retired.id, &retired.key, retired.until);
        }
        if (key.data[0] == CW_META_ERASURE) {
            if (same_cores ? own : core_of(key) % cores == p->options.core) {
                cw_erasure_take_over(p, key,
                                     (struct cw_view){cw_table_value(p->loaded.meta, row),
                                                      cw_table_value_bytes(p->loaded.meta, row)});
            }
        } else if (own && same_cores && p->loaded.meta != p->meta) {
            cw_err err = keep_row(p, row, fault);
            if (err != CW_ERR_OK) {
                return err;
            }
        }
    }
    return CW_ERR_OK;
}
