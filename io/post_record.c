#include "io/post_record.h"

enum {
    VIEWS = 9
};

#define NONE UINT32_MAX /* the length of a view that tells nothing */

struct record {
    char key[CW_POST_KEY_BYTES];
    uint32_t attempt;
    uint32_t lengths[VIEWS];
    uint32_t fact_count; /* their lengths follow, two each, then all bytes */
    int64_t now_ms, deadline_ms;
    uint64_t posted_ns;
    bool too_large;
};

static void views_of(const struct cw_post *post, struct cw_view views[VIEWS])
{
    const struct cw_view all[VIEWS] = {post->kind,    post->to,   post->from,
                                       post->subject, post->html, post->text,
                                       post->title,   post->link, post->unsubscribe};
    memcpy(views, all, sizeof all);
}

/* 0 when it is too large. */
static uint32_t whole_bytes(const struct cw_post *post)
{
    if (post->fact_count > CW_CHANNEL_FACTS_MAX) {
        return 0;
    }
    struct cw_view views[VIEWS];
    views_of(post, views);
    uint64_t bytes = sizeof(struct record);
    for (uint32_t i = 0; i < VIEWS; i++) {
        bytes += views[i].bytes;
    }
    for (uint32_t i = 0; i < post->fact_count; i++) {
        bytes += 2 * sizeof(uint32_t);
        bytes += (uint64_t)post->facts[i].name.bytes + post->facts[i].value.bytes;
    }
    return bytes > CW_CHANNEL_MESSAGE_BYTES ? 0 : (uint32_t)bytes;
}

uint32_t cw_post_record_bytes(const struct cw_post *post)
{
    uint32_t bytes = whole_bytes(post);
    return bytes == 0 ? sizeof(struct record) : bytes;
}

/* Times are written down with four digits of year. */
static int64_t clamp(int64_t ms)
{
    const int64_t last_ms = 253402300799999; /* of the year 9999 */
    return ms < 0 ? 0 : ms > last_ms ? last_ms : ms;
}

static char *put(char *to, struct cw_view view)
{
    if (view.data != NULL && view.bytes > 0) {
        memcpy(to, view.data, view.bytes);
    }
    return to + view.bytes;
}

void cw_post_record_write(void *room, const struct cw_post *post, uint64_t posted_ns)
{
    struct record *record = room;
    *record = (struct record){.attempt = post->attempt,
                              .now_ms = clamp(post->now_ms),
                              .deadline_ms = clamp(post->deadline_ms),
                              .posted_ns = posted_ns,
                              .too_large = whole_bytes(post) == 0};
    memcpy(record->key, post->key, sizeof record->key);
    if (record->too_large) {
        return;
    }
    struct cw_view views[VIEWS];
    views_of(post, views);
    record->fact_count = post->fact_count;
    uint32_t *lengths = (uint32_t *)(void *)(record + 1);
    char *to = (char *)(lengths + (size_t)post->fact_count * 2);
    for (uint32_t i = 0; i < VIEWS; i++) {
        record->lengths[i] = views[i].data == NULL ? NONE : views[i].bytes;
        to = put(to, views[i]);
    }
    for (uint32_t i = 0; i < post->fact_count; i++) {
        *lengths++ = post->facts[i].name.bytes;
        *lengths++ = post->facts[i].value.bytes;
        to = put(put(to, post->facts[i].name), post->facts[i].value);
    }
}

static struct cw_view take(const char **from, uint32_t length)
{
    if (length == NONE) {
        return (struct cw_view){NULL, 0};
    }
    struct cw_view view = {*from, length};
    *from += length;
    return view;
}

bool cw_post_record_read(const void *from, uint32_t shard, struct cw_post *post,
                         struct cw_header *facts, uint64_t *posted_ns)
{
    const struct record *record = from;
    *post = (struct cw_post){.shard = shard,
                             .attempt = record->attempt,
                             .now_ms = record->now_ms,
                             .deadline_ms = record->deadline_ms,
                             .facts = facts,
                             .fact_count = record->fact_count};
    memcpy(post->key, record->key, sizeof post->key);
    *posted_ns = record->posted_ns;
    if (record->too_large) {
        return false;
    }
    const uint32_t *lengths = (const uint32_t *)(const void *)(record + 1);
    const char *text = (const char *)(lengths + (size_t)record->fact_count * 2);
    struct cw_view *views[VIEWS] = {&post->kind,    &post->to,   &post->from,
                                    &post->subject, &post->html, &post->text,
                                    &post->title,   &post->link, &post->unsubscribe};
    for (uint32_t i = 0; i < VIEWS; i++) {
        *views[i] = take(&text, record->lengths[i]);
    }
    for (uint32_t i = 0; i < record->fact_count; i++) {
        facts[i].name = take(&text, *lengths++);
        facts[i].value = take(&text, *lengths++);
    }
    return true;
}
