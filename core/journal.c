/*
 * journal: two lists. Removals are written as records at once, since the key goes with the row.
 * Rows are (offset | table number), one word each: offsets are multiples of 16.
 *
 * A row in the list may be freed, and its memory be any other row's by the time of the commit, even
 * one that was noted itself. So the list only says where to look; the row's state says whether
 * there is anything: at the commit a row that is noted is written and its mark taken away, what is
 * free or has been written already is passed by. Where a row starts one always will (table_heap.c:
 * rows are cut, never joined), so there is always a state to look at.
 */
#include "core/journal.h"

#include "core/arena.h"
#include "core/table_priv.h"
#include "core/text.h"

static_assert(CW_JOURNAL_TABLES_MAX <= TABLE_ROW_UNIT, "a number fits under an offset");

struct cw_journal {
    struct cw_table *tables[CW_JOURNAL_TABLES_MAX];
    struct cw_text rows;     /* uint64_t each */
    struct cw_text removals; /* records */
    uint64_t rows_bytes;     /* of the images of all rows that are noted */
    struct cw_arena own;
};

struct entry {
    struct cw_table *table;
    cw_row row;
    struct table_row *at;
};

static uint64_t entry_count(const struct cw_journal *journal)
{
    return journal->rows.bytes / sizeof(uint64_t);
}

static struct entry entry_at(const struct cw_journal *journal, uint64_t i)
{
    uint64_t word;
    memcpy(&word, journal->rows.data + i * sizeof word, sizeof word);
    struct entry entry = {.table = journal->tables[word % TABLE_ROW_UNIT],
                          .row = word - word % TABLE_ROW_UNIT};
    entry.at = table_row_at(entry.table, entry.row);
    return entry;
}

static uint64_t image_bytes(const struct table_row *row)
{
    return cw_record_bytes(row->key_bytes, row->value_bytes);
}

cw_err cw_journal_open(struct cw_journal **journal, struct cw_fault *fault)
{
    struct cw_arena own;
    cw_err err = cw_arena_open(&own, sizeof **journal, (size_t)1 << 16, fault);
    if (err != CW_ERR_OK) {
        return cw_fail_while(fault, "opening a journal");
    }
    *journal = cw_arena_zalloc(&own, sizeof **journal, CW_CACHE_LINE);
    (*journal)->own = own;
    return CW_ERR_OK;
}

void cw_journal_close(struct cw_journal *journal)
{
    for (uint32_t i = 0; i < CW_JOURNAL_TABLES_MAX; i++) {
        CW_ASSERT(journal->tables[i] == NULL); /* it would go on noting */
    }
    cw_text_deinit(&journal->rows);
    cw_text_deinit(&journal->removals);
    struct cw_arena own = journal->own;
    cw_arena_close(&own);
}

void cw_table_journal(struct cw_table *table, struct cw_journal *journal, uint8_t number)
{
    CW_ASSERT(number < CW_JOURNAL_TABLES_MAX);
    if (table->journal != NULL) {
        cw_journal_forget(table->journal);
        table->journal->tables[table->number] = NULL;
    }
    table->journal = journal;
    table->number = number;
    if (journal != NULL) {
        CW_ASSERT(journal->tables[number] == NULL);
        journal->tables[number] = table;
    }
}

void table_journal_note(struct cw_table *table, cw_row row)
{
    struct cw_journal *journal = table->journal;
    struct table_row *at = table_row_at(table, row);
    uint64_t word = row | table->number;
    CW_ASSERT_HOT(at->state == TABLE_ROW_LIVE);
    at->state = TABLE_ROW_NOTED;
    memcpy(cw_text_room(&journal->rows, sizeof word), &word, sizeof word);
    journal->rows.bytes += sizeof word;
    journal->rows_bytes += image_bytes(at);
}

void table_journal_resized(struct cw_table *table, cw_row from, cw_row row, uint64_t noted_bytes)
{
    table->journal->rows_bytes -= noted_bytes;
    if (noted_bytes > 0 && row == from) {
        table->journal->rows_bytes += image_bytes(table_row_at(table, row));
    } else {
        table_journal_note(table, row);
    }
}

void table_journal_removed(struct cw_table *table, cw_row row)
{
    struct cw_journal *journal = table->journal;
    const struct table_row *at = table_row_at(table, row);
    if (at->state == TABLE_ROW_NOTED) {
        journal->rows_bytes -= image_bytes(at);
    }
    struct cw_record removal = {.kind = CW_RECORD_REMOVE,
                                .table = table->number,
                                .key = cw_table_key(table, row)};
    uint64_t bytes = cw_record_bytes(at->key_bytes, 0);
    (void)cw_record_write(cw_text_room(&journal->removals, bytes), &removal);
    journal->removals.bytes += bytes;
}

bool cw_journal_clean(const struct cw_journal *journal)
{
    return journal->rows.bytes == 0 && journal->removals.bytes == 0;
}

uint64_t cw_journal_bytes(const struct cw_journal *journal)
{
    return journal->removals.bytes + journal->rows_bytes;
}

char *cw_journal_write(struct cw_journal *journal, char *to)
{
    const char *end = to + cw_journal_bytes(journal);
    if (journal->removals.bytes > 0) {
        memcpy(to, journal->removals.data, journal->removals.bytes);
        to += journal->removals.bytes;
    }
    for (uint64_t i = 0; i < entry_count(journal); i++) {
        struct entry entry = entry_at(journal, i);
        if (entry.at->state != TABLE_ROW_NOTED) {
            continue;
        }
        struct cw_record image = {
            .kind = CW_RECORD_PUT,
            .table = entry.table->number,
            .key = cw_table_key(entry.table, entry.row),
            .value = {cw_table_value(entry.table, entry.row), entry.at->value_bytes}};
        to = cw_record_write(to, &image);
        entry.at->state = TABLE_ROW_LIVE;
    }
    CW_ASSERT(to == end);
    cw_text_clear(&journal->rows);
    cw_text_clear(&journal->removals);
    journal->rows_bytes = 0;
    return to;
}

void cw_journal_forget(struct cw_journal *journal)
{
    for (uint64_t i = 0; i < entry_count(journal); i++) {
        struct entry entry = entry_at(journal, i);
        if (entry.at->state == TABLE_ROW_NOTED) {
            entry.at->state = TABLE_ROW_LIVE;
        }
    }
    cw_text_clear(&journal->rows);
    cw_text_clear(&journal->removals);
    journal->rows_bytes = 0;
}

/* How many rows of all tables are noted, and how long their images are. */
static void count_noted(const struct cw_journal *journal, uint64_t *rows, uint64_t *bytes)
{
    *rows = *bytes = 0;
    for (uint32_t i = 0; i < CW_JOURNAL_TABLES_MAX; i++) {
        const struct cw_table *table = journal->tables[i];
        uint64_t cursor = 0;
        for (cw_row row; table != NULL && (row = cw_table_next(table, &cursor)) != CW_ROW_NONE;) {
            const struct table_row *at = table_row_at(table, row);
            *rows += at->state == TABLE_ROW_NOTED;
            *bytes += at->state == TABLE_ROW_NOTED ? image_bytes(at) : 0;
        }
    }
}

bool cw_journal_check(const struct cw_journal *journal)
{
    uint64_t rows = 0;
    uint64_t bytes = 0;
    uint64_t left = 0;
    uint64_t left_bytes = 0;
    bool sound = true;
    count_noted(journal, &rows, &bytes);
    /* Each noted row is in the list: without the marks of what is listed, none is left. */
    for (uint64_t i = 0; i < entry_count(journal); i++) {
        struct entry entry = entry_at(journal, i);
        sound = sound && (entry.at->state == TABLE_ROW_FREE || table_row_live(entry.at));
        if (entry.at->state == TABLE_ROW_NOTED) {
            entry.at->state = TABLE_ROW_LIVE;
            rows--;
        }
    }
    count_noted(journal, &left, &left_bytes);
    for (uint64_t i = 0; i < entry_count(journal); i++) {
        struct entry entry = entry_at(journal, i);
        if (entry.at->state == TABLE_ROW_LIVE) { /* listed and live: it was noted */
            entry.at->state = TABLE_ROW_NOTED;
        }
    }
    return sound && rows == 0 && left == 0 && bytes == journal->rows_bytes;
}
