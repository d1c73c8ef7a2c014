#include "core/time.h"
#include "io/channel_priv.h"
#include "io/clean.h"

/* Hostile bytes may be anything; JSON is UTF-8. */
static void put_string(struct cw_text *out, struct cw_text *scratch, struct cw_view view)
{
    cw_text_clear(scratch);
    cw_clean_utf8(scratch, view);
    cw_text_json(out, (struct cw_view){scratch->data, (uint32_t)scratch->bytes});
}

static void put_member(struct cw_text *out, struct cw_text *scratch, const char *name,
                       struct cw_view view)
{
    if (view.data != NULL) {
        cw_text_printf(out, ",\"%s\":", name);
        put_string(out, scratch, view);
    }
}

void cw_post_json(struct cw_text *out, struct cw_text *scratch, const struct cw_post *post,
                  struct cw_view from)
{
    cw_text_puts(out, "{\"type\":\"touch\",\"id\":");
    put_string(out, scratch, (struct cw_view){post->key, CW_POST_KEY_BYTES});
    put_member(out, scratch, "channel", post->kind);
    cw_text_puts(out, ",\"at\":");
    cw_text_json_time(out, post->now_ms);
    if (post->deadline_ms > 0) {
        cw_text_puts(out, ",\"deadline\":");
        cw_text_json_time(out, post->deadline_ms);
    }
    put_member(out, scratch, "to", post->to);
    put_member(out, scratch, "from", post->from.data == NULL ? from : post->from);
    put_member(out, scratch, "subject", post->subject);
    put_member(out, scratch, "html", post->html);
    put_member(out, scratch, "text", post->text);
    put_member(out, scratch, "title", post->title);
    put_member(out, scratch, "link", post->link);
    put_member(out, scratch, "unsubscribe", post->unsubscribe);
    cw_text_puts(out, ",\"facts\":{");
    for (uint32_t i = 0; i < post->fact_count; i++) {
        cw_text_puts(out, i == 0 ? "" : ",");
        put_string(out, scratch, post->facts[i].name);
        cw_text_char(out, ':');
        put_string(out, scratch, post->facts[i].value);
    }
    cw_text_printf(out, "},\"attempt\":%u}", post->attempt);
}
