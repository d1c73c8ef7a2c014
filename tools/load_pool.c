/*
 * Events are made once and sent many times. What must differ each time (ids, times) is marked in
 * the event with characters that occur in no generated text, which survive the way through JSON
 * and PutEvents; then the marks are cut out, and their places remembered.
 */
#include "tools/gen.h"
#include "tools/load_priv.h"
#include "tools/put_events.h"

#include <stdlib.h>
#include <string.h>

/* U+E001 and so on, of the private use area. */
#define MARK_BYTES 3u
static const char marks[CW_LOAD_BLANKS][MARK_BYTES + 1] = {
    [CW_LOAD_ID] = "\xee\x80\x81",
    [CW_LOAD_TIME] = "\xee\x80\x82",
    [CW_LOAD_EPOCH] = "\xee\x80\x83",
    [CW_LOAD_TAG] = "\xee\x80\x84",
};

struct edit {
    uint32_t at, bytes; /* what goes */
    enum cw_load_blank blank;
};

enum {
    EDITS_MAX = 8
};

static uint32_t find_string(const struct cw_json *doc, uint32_t object, struct cw_view name)
{
    uint32_t node = object == CW_JSON_NONE || doc->nodes[object].type != CW_JSON_OBJECT
                        ? CW_JSON_NONE
                        : cw_json_find(doc, object, name);
    return node == CW_JSON_NONE || doc->nodes[node].type != CW_JSON_STRING ? CW_JSON_NONE : node;
}

/* The places of an event, in order. */
static uint32_t find_edits(const struct cw_json *doc, struct edit edits[EDITS_MAX])
{
    static const struct {
        struct cw_view name;
        bool in_detail;
        enum cw_load_blank blank;
    } rows[] = {
        {CW_VIEW("id"), false, CW_LOAD_ID},         {CW_VIEW("time"), false, CW_LOAD_TIME},
        {CW_VIEW("timestamp"), true, CW_LOAD_TIME}, {CW_VIEW("customerId"), true, CW_LOAD_TAG},
        {CW_VIEW("cartId"), true, CW_LOAD_TAG},     {CW_VIEW("orderId"), true, CW_LOAD_TAG},
    };

    static_assert(CW_COUNTOF(rows) <= EDITS_MAX, "room for each");
    uint32_t detail = cw_json_find(doc, 0, CW_VIEW("detail"));
    uint32_t count = 0;
    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        uint32_t node = find_string(doc, rows[i].in_detail ? detail : 0, rows[i].name);
        if (node == CW_JSON_NONE) {
            continue;
        }
        struct edit edit = {doc->nodes[node].text, doc->nodes[node].text_bytes, rows[i].blank};
        edit.bytes = edit.blank == CW_LOAD_TAG ? 0 : edit.bytes;
        uint32_t at = count++;
        for (; at > 0 && edits[at - 1].at > edit.at; at--) {
            edits[at] = edits[at - 1];
        }
        edits[at] = edit;
    }
    return count;
}

static void mark(struct cw_load_pool *pool, struct cw_view line, const struct cw_json *doc)
{
    struct edit edits[EDITS_MAX];
    uint32_t count = find_edits(doc, edits);
    uint32_t from = 0;
    cw_text_clear(&pool->marked);
    for (uint32_t i = 0; i < count; i++) {
        cw_text_put(&pool->marked, line.data + from, edits[i].at - from);
        cw_text_puts(&pool->marked, marks[edits[i].blank]);
        from = edits[i].at + edits[i].bytes;
    }
    cw_text_put(&pool->marked, line.data + from, line.bytes - from);
    memset(cw_text_room(&pool->marked, CW_JSON_PADDING), 0, CW_JSON_PADDING);
}

static bool add_cut(struct cw_load_pool *pool, enum cw_load_blank blank)
{
    if (pool->cut_count == pool->cut_capacity) {
        uint32_t capacity = pool->cut_capacity * 2 + 1024;
        struct cw_load_cut *larger = realloc(pool->cuts, capacity * sizeof *larger);
        if (larger == NULL) {
            return false;
        }
        pool->cuts = larger;
        pool->cut_capacity = capacity;
    }
    pool->cuts[pool->cut_count++] = (struct cw_load_cut){(uint32_t)pool->text.bytes, blank};
    return true;
}

/* The text without its marks goes to the others'. */
static bool keep(struct cw_load_pool *pool, struct cw_view text)
{
    struct cw_load_event *event = &pool->events[pool->count];
    *event = (struct cw_load_event){.at = (uint32_t)pool->text.bytes, .cut = pool->cut_count};
    for (uint32_t i = 0; i < text.bytes; i++) {
        uint32_t blank = CW_LOAD_BLANKS;
        if (text.data[i] == marks[0][0] && i + MARK_BYTES <= text.bytes) {
            blank = 0;
            while (blank < CW_LOAD_BLANKS && memcmp(text.data + i, marks[blank], MARK_BYTES) != 0) {
                blank++;
            }
        }
        if (blank == CW_LOAD_BLANKS) {
            cw_text_char(&pool->text, text.data[i]);
        } else if (add_cut(pool, (enum cw_load_blank)blank)) {
            i += MARK_BYTES - 1;
        } else {
            return false;
        }
    }
    event->bytes = (uint32_t)pool->text.bytes - event->at;
    event->cuts = pool->cut_count - event->cut;
    pool->count++;
    return true;
}

static void take_line(void *self, struct cw_view line)
{
    struct cw_load_pool *pool = self;
    struct cw_json doc;
    enum cw_json_status status = cw_json_parse(pool->parser, line.data, line.bytes, &doc);
    CW_ASSERT(status == CW_JSON_PARSE_OK);
    mark(pool, line, &doc);
    struct cw_view text = {pool->marked.data, (uint32_t)pool->marked.bytes};
    if (pool->put_events) {
        status = cw_json_parse(pool->parser, text.data, text.bytes, &doc);
        CW_ASSERT(status == CW_JSON_PARSE_OK);
        cw_text_clear(&pool->entry);
        bool made = cw_put_events_entry(&doc, &pool->entry);
        CW_ASSERT(made);
        pool->entry.bytes--; /* its } */
        cw_text_puts(&pool->entry, ",\"Time\":");
        cw_text_puts(&pool->entry, marks[CW_LOAD_EPOCH]);
        cw_text_char(&pool->entry, '}');
        text = (struct cw_view){pool->entry.data, (uint32_t)pool->entry.bytes};
    }
    if (pool->err == CW_ERR_OK && !keep(pool, text)) {
        pool->err = cw_fail(pool->fault, CW_ERR_LIMIT, "no memory for events");
    }
}

cw_err cw_load_pool_open(struct cw_load_pool *pool, uint64_t seed, uint32_t count, bool put_events,
                         struct cw_fault *fault)
{
    *pool = (struct cw_load_pool){.fault = fault, .put_events = put_events};
    pool->events = calloc(count, sizeof *pool->events);
    if (pool->events == NULL) {
        return cw_fail(fault, CW_ERR_LIMIT, "no memory for events");
    }
    cw_err err = cw_json_open(&pool->parser, 1 << 20, CW_JSON_DEPTH_MAX, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_gen_options options = cw_gen_defaults();
    options.events = count;
    options.seed = seed;
    options.late_percent = 0;
    options.duplicate_percent = 0;
    cw_gen_run(&options, take_line, pool);
    CW_ASSERT(pool->err != CW_ERR_OK || pool->count == count);
    return pool->err;
}

void cw_load_pool_close(struct cw_load_pool *pool)
{
    cw_json_close(pool->parser);
    free(pool->events);
    free(pool->cuts);
    cw_text_deinit(&pool->text);
    cw_text_deinit(&pool->marked);
    cw_text_deinit(&pool->entry);
}

void cw_load_pool_put(const struct cw_load_pool *pool, uint64_t index,
                      const struct cw_load_stamp *stamp, struct cw_text *out)
{
    const struct cw_load_event *event = &pool->events[index % pool->count];
    size_t longest = 0;
    for (uint32_t i = 0; i < CW_LOAD_BLANKS; i++) {
        longest = stamp->fill[i].bytes > longest ? stamp->fill[i].bytes : longest;
    }
    char *to = cw_text_room(out, event->bytes + event->cuts * longest);
    char *begin = to;
    uint32_t from = event->at;
    for (uint32_t i = event->cut; i < event->cut + event->cuts; i++) {
        struct cw_view fill = stamp->fill[pool->cuts[i].blank];
        memcpy(to, pool->text.data + from, pool->cuts[i].at - from);
        to += pool->cuts[i].at - from;
        memcpy(to, fill.data, fill.bytes);
        to += fill.bytes;
        from = pool->cuts[i].at;
    }
    memcpy(to, pool->text.data + from, event->at + event->bytes - from);
    to += event->at + event->bytes - from;
    out->bytes += (size_t)(to - begin);
}
