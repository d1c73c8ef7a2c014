/* What tests of persist.h share: a shop's state as records, and shops from records. */
#ifndef CW_TESTS_PERSIST_FIXTURE_H
#define CW_TESTS_PERSIST_FIXTURE_H

#include "core/journal.h"
#include "pipeline/persist.h"
#include "pipeline/persist_priv.h"
#include "tests/pipeline/random_shop.h"

#include <unistd.h>

/* Records one after the other: u8 kind, u8 table, u32 key bytes, u32 value bytes, then both; so
   that nothing is aligned. */
struct saved {
    struct cw_text text;
    uint32_t cores;
    uint32_t batch; /* records that are loaded at a time; 0: one */
    int64_t clock;
};

static inline void saved_put(struct saved *saved, const struct cw_record *record)
{
    uint8_t head[2] = {(uint8_t)record->kind, record->table};
    cw_text_put(&saved->text, head, sizeof head);
    cw_text_put(&saved->text, &record->key.bytes, sizeof record->key.bytes);
    cw_text_put(&saved->text, &record->value.bytes, sizeof record->value.bytes);
    cw_text_put(&saved->text, record->key.data, record->key.bytes);
    cw_text_put(&saved->text, record->value.data, record->value.bytes);
}

/* The next one from *at on; false at the end. */
static inline bool saved_next(const struct saved *saved, size_t *at, struct cw_record *record)
{
    const char *from = saved->text.data + *at;
    if (*at == saved->text.bytes) {
        return false;
    }
    record->kind = (enum cw_record_kind)(uint8_t)from[0];
    record->table = (uint8_t)from[1];
    memcpy(&record->key.bytes, from + 2, sizeof record->key.bytes);
    memcpy(&record->value.bytes, from + 6, sizeof record->value.bytes);
    record->key.data = from + 10;
    record->value.data = record->key.data + record->key.bytes;
    *at += 10 + (size_t)record->key.bytes + record->value.bytes;
    return true;
}

/* What means nothing outside its process, made senseless: nobody may read it. */
static inline void spoil(uint8_t table, void *value)
{
    const uint64_t nowhere = UINT64_C(0xdeadbeefdeadbeef);
    if (table == CW_TABLE_customers) {
        struct cw_customer_row *at = value;
        at->in_flight = at->history = at->carts = at->watched = at->seen = nowhere;
        at->timer = 12345;
        at->timer_due = INT64_MIN + 1;
        at->in_flight_count = at->watched_count = 77;
    } else if (table == CW_TABLE_carts) {
        struct cw_cart_row *at = value;
        at->next = at->prev = at->watched_next = at->watched_prev = nowhere;
    } else if (table == CW_TABLE_seen) {
        struct cw_seen_row *at = value;
        at->next = at->prev = nowhere;
    } else if (table == CW_TABLE_candidates) {
        struct cw_candidate_row *at = value;
        at->next = at->prev = at->score_next = at->score_prev = nowhere;
        at->value_next = at->value_prev = nowhere;
        at->score_bucket = at->value_bucket = 999999;
        at->slot = 4000000;
        at->cart_hash = 5;
        at->next_due = 6;
        memset(at->pending, 9, sizeof at->pending);
        struct cw_item_row *items =
            (struct cw_item_row *)((struct cw_touch_row *)(at + 1) + at->touch_count);
        for (uint32_t i = 0; i < at->item_count; i++) {
            items[i].product = nowhere;
        }
    }
}

static inline void save_table(struct saved *saved, const struct cw_table *table, uint8_t number)
{
    static _Alignas(16) char copy[CW_TABLE_VALUE_MAX];
    uint64_t cursor = 0;
    cw_row row;
    while ((row = cw_table_next(table, &cursor)) != CW_ROW_NONE) {
        struct cw_record record = {.kind = CW_RECORD_PUT,
                                   .table = number,
                                   .key = cw_table_key(table, row),
                                   .value = {copy, cw_table_value_bytes(table, row)}};
        memcpy(copy, cw_table_value(table, row), record.value.bytes);
        spoil(number, copy);
        saved_put(saved, &record);
    }
}

/* Takes the shop's state; the tables one after the other from `first` on. */
static inline void save(struct shop *shop, struct saved *saved, uint32_t first)
{
    cw_text_clear(&saved->text);
    saved->cores = shop->cores;
    saved->clock = shop->clock;
    for (uint32_t i = 0; i < shop->cores; i++) {
        cw_pipeline_note(shop->pipelines[i]);
        for (uint32_t t = 0; t < CW_TABLE_NUMBER_COUNT; t++) {
            uint8_t number = (uint8_t)((t + first) % CW_TABLE_NUMBER_COUNT);
            save_table(saved, cw_pipeline_table(shop->pipelines[i], (enum cw_table_number)number),
                       number);
        }
    }
}

/* From now on each core's changes are noted in a journal of its own. */
static inline void journal_all(struct shop *shop, struct cw_journal **journals)
{
    for (uint32_t i = 0; i < shop->cores; i++) {
        CW_ASSERT(cw_journal_open(&journals[i], &shop->f.fault) == CW_ERR_OK);
        for (uint32_t t = 0; t < CW_TABLE_NUMBER_COUNT; t++) {
            cw_table_journal(cw_pipeline_table(shop->pipelines[i], (enum cw_table_number)t),
                             journals[i], (uint8_t)t);
        }
    }
}

/* A commit of each core, behind what was saved before. */
static inline void commit(struct shop *shop, struct cw_journal **journals, struct saved *saved)
{
    saved->cores = shop->cores;
    saved->clock = shop->clock;
    for (uint32_t i = 0; i < shop->cores; i++) {
        cw_pipeline_note(shop->pipelines[i]);
        uint64_t bytes = cw_journal_bytes(journals[i]);
        char *records = aligned_alloc(8, (bytes + 15) & ~(uint64_t)7);
        CW_ASSERT(cw_journal_write(journals[i], records) == records + bytes);
        struct cw_view left = {records, (uint32_t)bytes};
        struct cw_record record;
        while (cw_record_next(&left, &record) == CW_RECORD_READ) {
            saved_put(saved, &record);
        }
        CW_ASSERT(left.bytes == 0);
        free(records);
    }
}

/* Loads what goes to one of the shop's cores. */
static inline cw_err load_core(struct shop *shop, uint32_t core, const struct saved *saved,
                               struct cw_journal **journals)
{
    struct cw_record batch[CW_LOAD_BATCH];
    uint32_t most = saved->batch != 0 ? saved->batch : 1;
    uint32_t count = 0;
    struct cw_relink how = {.cores_before = saved->cores, .cores = shop->cores};
    bool more = true;
    for (size_t at = 0; more;) {
        uint32_t partition;
        more = saved_next(saved, &at, &batch[count]);
        if (more && cw_persist_owner(&batch[count], 256, &partition) &&
            partition % shop->cores != core) {
            continue;
        }
        count += more;
        if (count == most || !more) {
            cw_err err =
                cw_pipeline_load_batch(shop->pipelines[core], batch, count, &shop->f.fault);
            if (err != CW_ERR_OK) {
                return err;
            }
            count = 0;
        }
    }
    if (journals != NULL) {
        cw_journal_forget(journals[core]);
    }
    return cw_pipeline_relink(shop->pipelines[core], &how, &shop->f.fault);
}

/* Memory that outlives the pipelines: a folder of each core. */
struct kept {
    char directory[64];
    struct cw_keep *memories[SHOP_CORES_MAX];
    uint64_t mark;
};

static inline void kept_open(struct kept *kept)
{
    *kept = (struct kept){.directory = "/dev/shm/cartwheel-test-XXXXXX"};
    CW_ASSERT(mkdtemp(kept->directory) != NULL);
}

static inline void kept_close(struct kept *kept)
{
    struct cw_fault fault;
    char path[128];
    for (uint32_t i = 0; i < SHOP_CORES_MAX; i++) {
        (void)snprintf(path, sizeof path, "%s/%u", kept->directory, i);
        CW_ASSERT(cw_keep_remove(path, &fault) == CW_ERR_OK);
    }
    CW_ASSERT(rmdir(kept->directory) == 0);
}

/* Puts the pipelines into it: mark 0: into new memory; else into what kept_seal left. */
static inline bool kept_place(struct kept *kept, struct shop *shop, uint64_t mark)
{
    char path[128];
    for (uint32_t i = 0; i < shop->cores; i++) {
        (void)snprintf(path, sizeof path, "%s/%u", kept->directory, i);
        if (cw_keep_open(&kept->memories[i], path, mark, &shop->f.fault) != CW_ERR_OK ||
            cw_pipeline_place(shop->pipelines[i], kept->memories[i], &shop->f.fault) != CW_ERR_OK) {
            return false;
        }
        cw_keep_mark(kept->memories[i], 0);
    }
    return true;
}

/* At the end of the pipelines, which are left there when `seal` says so. */
static inline void kept_leave(struct kept *kept, struct shop *shop, bool seal)
{
    kept->mark = seal ? kept->mark + 2 : 0;
    for (uint32_t i = 0; i < shop->cores; i++) {
        if (seal) {
            cw_pipeline_note(shop->pipelines[i]);
            cw_pipeline_seal(shop->pipelines[i]);
            cw_keep_mark(kept->memories[i], kept->mark);
        }
        cw_keep_close(kept->memories[i]);
    }
}

/* What tests compare goes on. */
static inline bool start_again(struct shop *shop, const struct shop_options *options)
{
    uint64_t decided = shop->decided;
    uint64_t sum = shop->sum;
    uint64_t sends = shop->sends;
    enum cw_send_answer answer = shop->answer;
    if (!shop_start(shop, options)) {
        return false;
    }
    shop->decided = decided;
    shop->sum = sum;
    shop->sends = sends;
    shop->answer = answer;
    return true;
}

/* New pipelines in place of the shop's own, with what kept_leave left. */
static inline bool adopt(struct shop *shop, const struct shop_options *options, struct kept *kept,
                         int64_t clock)
{
    uint64_t rows;
    if (!start_again(shop, options) || !kept_place(kept, shop, kept->mark)) {
        return false;
    }
    shop->clock = clock;
    for (uint32_t i = 0; i < shop->cores; i++) {
        if (cw_pipeline_adopt(shop->pipelines[i], shop->cores, &rows, &shop->f.fault) !=
            CW_ERR_OK) {
            return false;
        }
    }
    return true;
}

/* New pipelines in place of the shop's own, with what was saved; in that memory, if there is one.
   False: shop->f.fault tells. */
static inline bool restore(struct shop *shop, const struct shop_options *options,
                           const struct saved *saved, struct cw_journal **journals,
                           struct kept *kept)
{
    if (!start_again(shop, options) || (kept != NULL && !kept_place(kept, shop, 0))) {
        return false;
    }
    if (journals != NULL) {
        journal_all(shop, journals);
    }
    shop->clock = saved->clock;
    for (uint32_t i = 0; i < shop->cores; i++) {
        if (load_core(shop, i, saved, journals) != CW_ERR_OK) {
            return false;
        }
    }
    return true;
}

static inline int by_line(const void *a, const void *b)
{
    return cw_view_compare(*(const struct cw_view *)a, *(const struct cw_view *)b);
}

/* The dump of all cores together: sorted, each line once. */
static inline void dump(const struct shop *shop, struct cw_text *out)
{
    struct cw_text all = {0};
    for (uint32_t i = 0; i < shop->cores; i++) {
        cw_pipeline_dump(shop->pipelines[i], &all);
    }
    size_t count = 0;
    struct cw_view *lines = malloc((all.bytes + 1) * sizeof *lines);
    for (const char *at = all.data; at < all.data + all.bytes;) {
        const char *end = strchr(at, '\n');
        lines[count++] = (struct cw_view){at, (uint32_t)(end + 1 - at)};
        at = end + 1;
    }
    qsort(lines, count, sizeof *lines, by_line);
    cw_text_clear(out);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || !cw_view_equal(lines[i - 1], lines[i])) {
            cw_text_view(out, lines[i]);
        }
    }
    free(lines);
    cw_text_deinit(&all);
}

static inline struct cw_fates fates_of(const struct shop *shop)
{
    struct cw_fates sum = {0};
    for (uint32_t i = 0; i < shop->cores; i++) {
        cw_fates_add(&sum, cw_pipeline_fates(shop->pipelines[i]));
    }
    return sum;
}

#endif
