#include "tools/put_events.h"

#include "core/time.h"
#include "tools/shift.h"

/* A member as it is spelled, its quotes and escapes included. */
static bool put_member(const struct cw_json *doc, struct cw_view name, const char *as,
                       enum cw_json_type type, struct cw_text *out)
{
    uint32_t node = cw_json_find(doc, 0, name);
    if (node == CW_JSON_NONE || doc->nodes[node].type != type) {
        return false;
    }
    cw_text_puts(out, out->data[out->bytes - 1] == '{' ? "\"" : ",\"");
    cw_text_puts(out, as);
    cw_text_puts(out, type == CW_JSON_STRING ? "\":\"" : "\":");
    cw_text_view(out, cw_json_raw(doc, node));
    cw_text_puts(out, type == CW_JSON_STRING ? "\"" : "");
    return true;
}

bool cw_put_events_entry(const struct cw_json *doc, struct cw_text *out)
{
    size_t before = out->bytes;
    cw_text_char(out, '{');
    uint32_t detail = doc->nodes[0].type == CW_JSON_OBJECT ? cw_json_find(doc, 0, CW_VIEW("detail"))
                                                           : CW_JSON_NONE;
    if (detail == CW_JSON_NONE || doc->nodes[detail].type != CW_JSON_OBJECT ||
        !put_member(doc, CW_VIEW("source"), "Source", CW_JSON_STRING, out) ||
        !put_member(doc, CW_VIEW("detail-type"), "DetailType", CW_JSON_STRING, out)) {
        out->bytes = before;
        return false;
    }
    (void)put_member(doc, CW_VIEW("eventBusName"), "EventBusName", CW_JSON_STRING, out);
    (void)put_member(doc, CW_VIEW("resources"), "Resources", CW_JSON_ARRAY, out);
    struct cw_told_times times = cw_told_times(doc);
    if (times.time.ms != CW_TIME_NONE) {
        cw_text_printf(out, ",\"Time\":%lld.%03d", (long long)(times.time.ms / 1000),
                       (int)(times.time.ms % 1000));
    }
    cw_text_puts(out, ",\"Detail\":");
    cw_text_json(out, cw_json_raw(doc, detail));
    cw_text_char(out, '}');
    return true;
}
