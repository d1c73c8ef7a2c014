/* session: when a watched session ends with no order, cartwheel itself makes the CartAbandoned. */
#include "core/text.h"
#include "pipeline/pipeline_priv.h"

#include <string.h>

static bool named(const struct cw_json *doc, const struct cw_json_node *node, const char *name)
{
    struct cw_view key = {doc->text + node->key, node->key_bytes};
    char plain[128];
    if (node->key_escaped != 0) {
        if (key.bytes > sizeof plain) {
            return false;
        }
        key = (struct cw_view){plain, cw_json_unescape(key, plain)};
    }
    return key.bytes == strlen(name) && memcmp(key.data, name, key.bytes) == 0;
}

static bool is_one_of(const struct cw_json *doc, const struct cw_json_node *node,
                      const char *const *drop)
{
    for (; *drop != NULL; drop++) {
        if (named(doc, node, *drop)) {
            return true;
        }
    }
    return false;
}

/* Copies an object's members, as they were written, but for those named in drop. */
static void copy_members(const struct cw_json *doc, uint32_t object, const char *const *drop,
                         struct cw_text *out)
{
    for (uint32_t i = object + 1; i < doc->nodes[object].next; i = doc->nodes[i].next) {
        const struct cw_json_node *node = &doc->nodes[i];
        if (is_one_of(doc, node, drop)) {
            continue;
        }
        bool string = node->type == CW_JSON_STRING;
        cw_text_char(out, '"');
        cw_text_put(out, doc->text + node->key, node->key_bytes);
        cw_text_puts(out, string ? "\":\"" : "\":");
        cw_text_put(out, doc->text + node->text, node->text_bytes);
        cw_text_puts(out, string ? "\"," : ",");
    }
}

/* The event as a shop would have sent it: the last CartUpdated's content, left at `left_at`. False
   where that cannot be read: it comes from a process that took longer events. */
static bool make_event(struct cw_pipeline *p, struct cw_view raw, int64_t left_at)
{
    static const char *const of_envelope[] = {"id",     "source", "detail-type",
                                              "detail", "time",   NULL};
    static const char *const of_detail[] = {"timestamp", "abandonmentReason", NULL};
    struct cw_event updated;
    cw_decode(p->decoder, raw, &updated);
    const struct cw_json *doc = cw_decoder_document(p->decoder);
    uint32_t detail = CW_JSON_NONE;
    if (doc != NULL && doc->nodes[0].type == CW_JSON_OBJECT) {
        detail = cw_json_find(doc, 0, CW_VIEW("detail"));
    }
    if (detail == CW_JSON_NONE || doc->nodes[detail].type != CW_JSON_OBJECT) {
        return false;
    }
    struct cw_text *out = &p->made;
    cw_text_clear(out);
    cw_text_char(out, '{');
    copy_members(doc, 0, of_envelope, out);
    cw_text_puts(out, "\"source\":");
    cw_text_json(out, p->options.names->of[CW_EVENT_CART_ABANDONED].source);
    cw_text_puts(out, ",\"detail-type\":");
    cw_text_json(out, p->options.names->of[CW_EVENT_CART_ABANDONED].type);
    cw_text_puts(out, ",\"time\":");
    cw_text_json_time(out, left_at);
    cw_text_puts(out, ",\"detail\":{");
    copy_members(doc, detail, of_detail, out);
    cw_text_puts(out, "\"abandonmentReason\":\"session_timeout\",\"timestamp\":");
    cw_text_json_time(out, left_at);
    cw_text_puts(out, "}}");
    memset(cw_text_room(out, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    return true;
}

void cw_session_fire(struct cw_pipeline *p, struct cw_customer *customer, cw_row row, uint32_t slot)
{
    struct cw_cart_row *cart = cw_cart_edit(p, row);
    CW_ASSERT_HOT((cart->sessions >> slot & 1u) != 0);
    cart->sessions &= ~(UINT64_C(1) << slot);
    if (cart->sessions == 0) {
        cw_cart_unwatch(p, customer, row);
    }
    if (cart->raw_bytes == 0) {
        return; /* what is in the cart was never told */
    }
    int64_t left_at = cart->session_time + p->slots[slot].program->session_timeout_ms;
    char *raw = cw_arena_alloc(&p->scratch, cart->raw_bytes + CW_JSON_PADDING, 1);
    memcpy(raw, cart + 1, cart->raw_bytes);
    memset(raw + cart->raw_bytes, 0, CW_JSON_PADDING);
    cw_decoder_reset(p->decoder);
    struct cw_event event = {.type = CW_EVENT_INVALID};
    if (make_event(p, (struct cw_view){raw, cart->raw_bytes}, left_at)) {
        cw_decode(p->decoder, (struct cw_view){p->made.data, (uint32_t)p->made.bytes}, &event);
    }
    event.programs &= UINT64_C(1) << p->slots[slot].number;
    event.clock = p->now;
    cw_tell_before(p, &event, NULL);
    p->fates.received++;
    p->fates.made++;
    if (event.type != CW_EVENT_CART_ABANDONED) { /* unreadable, or the additions made it too long */
        p->fates.events[CW_EVENT_FATE_INVALID]++;
        return;
    }
    enum cw_event_fate fate =
        event.programs != 0 ? CW_EVENT_FATE_APPLIED : CW_EVENT_FATE_UNMATCHED;
    p->fates.events[fate]++;
    cw_decide_unfollowed(p, &event, fate);
    (void)cw_abandon_run(p, customer, &event); /* nobody can send it again: it is counted */
}
