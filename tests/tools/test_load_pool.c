#define _GNU_SOURCE 1 /* memmem */
#include "core/time.h"
#include "tools/load_priv.h"
#include "tools/shift.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

enum {
    EVENTS = 3000
};

static struct cw_load_pool pool;
static struct cw_json_parser *parser;
static struct cw_fault fault;

static void open_parser(void)
{
    cr_assert(eq(int, cw_json_open(&parser, 1 << 20, CW_JSON_DEPTH_MAX, &fault), CW_ERR_OK));
}

static void close_all(void)
{
    cw_json_close(parser);
    cw_load_pool_close(&pool);
}

TestSuite(load_pool, .init = open_parser, .fini = close_all);

static const struct cw_load_stamp stamp = {
    .fill = {[CW_LOAD_ID] = CW_VIEW("load-1"),
             [CW_LOAD_TIME] = CW_VIEW("2026-01-18T16:45:00.250Z"),
             [CW_LOAD_EPOCH] = CW_VIEW("1768754700.250"),
             [CW_LOAD_TAG] = CW_VIEW("L1-")}};

static struct cw_view member(const struct cw_json *doc, uint32_t object, struct cw_view name)
{
    uint32_t node = cw_json_find(doc, object, name);
    return node == CW_JSON_NONE ? (struct cw_view){NULL, 0} : cw_json_raw(doc, node);
}

static bool tagged(struct cw_view id)
{
    return id.data == NULL || (id.bytes > 3 && memcmp(id.data, "L1-", 3) == 0);
}

/* A detail, by its document: its ids are tagged, its time is now. */
static uint32_t check_detail(const struct cw_json *doc, uint32_t detail)
{
    struct cw_view customer = member(doc, detail, CW_VIEW("customerId"));
    struct cw_view timestamp = member(doc, detail, CW_VIEW("timestamp"));
    cr_assert(tagged(customer));
    cr_assert(tagged(member(doc, detail, CW_VIEW("cartId"))));
    cr_assert(tagged(member(doc, detail, CW_VIEW("orderId"))));
    cr_assert(timestamp.data == NULL || cw_view_equal(timestamp, stamp.fill[CW_LOAD_TIME]));
    return customer.data != NULL;
}

static struct cw_json parse(struct cw_text *text)
{
    struct cw_json doc;
    memset(cw_text_room(text, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    cr_assert(
        eq(int, cw_json_parse(parser, text->data, (uint32_t)text->bytes, &doc), CW_JSON_PARSE_OK));
    cr_assert(eq(ptr, memmem(text->data, text->bytes, "\xee\x80", 2), NULL)); /* no mark left */
    return doc;
}

Test(load_pool, stamps_every_event_anew)
{
    cr_assert(eq(int, cw_load_pool_open(&pool, 7, EVENTS, false, &fault), CW_ERR_OK));
    struct cw_text text = {0};
    uint32_t customers = 0;
    for (uint64_t i = 0; i < EVENTS; i++) {
        cw_text_clear(&text);
        cw_load_pool_put(&pool, i + 5 * EVENTS, &stamp, &text);
        struct cw_json doc = parse(&text);
        cr_assert(cw_view_equal(member(&doc, 0, CW_VIEW("id")), CW_VIEW("load-1")));
        cr_assert(cw_view_equal(member(&doc, 0, CW_VIEW("time")), stamp.fill[CW_LOAD_TIME]));
        customers += check_detail(&doc, cw_json_find(&doc, 0, CW_VIEW("detail")));
    }
    cr_assert(gt(u32, customers, EVENTS / 2));
    cw_text_deinit(&text);
}

Test(load_pool, stamps_entries_through_their_escapes)
{
    cr_assert(eq(int, cw_load_pool_open(&pool, 7, EVENTS, true, &fault), CW_ERR_OK));
    struct cw_text text = {0};
    struct cw_text detail = {0};
    uint32_t customers = 0;
    for (uint64_t i = 0; i < EVENTS; i++) {
        cw_text_clear(&text);
        cw_load_pool_put(&pool, i, &stamp, &text);
        struct cw_json doc = parse(&text);
        cr_assert(cw_view_equal(member(&doc, 0, CW_VIEW("Time")), stamp.fill[CW_LOAD_EPOCH]));
        cr_assert(ne(ptr, (void *)(uintptr_t)member(&doc, 0, CW_VIEW("Source")).data, NULL));
        struct cw_view raw = member(&doc, 0, CW_VIEW("Detail"));
        cw_text_clear(&detail);
        detail.bytes = cw_json_unescape(raw, cw_text_room(&detail, raw.bytes));
        doc = parse(&detail);
        customers += check_detail(&doc, 0);
    }
    cr_assert(gt(u32, customers, EVENTS / 2));
    cw_text_deinit(&text);
    cw_text_deinit(&detail);
}
