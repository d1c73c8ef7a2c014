/* form_put: the body of an EventBridge PutEvents call. */
#include "core/time.h"
#include "pipeline/form_priv.h"
#include "pipeline/request.h"

#include <math.h>

enum {
    TIME_BYTES = 14 /* what a Time counts for in an entry's size */
};

static bool type_error(struct cw_form_error *error, uint32_t entry, const char *name,
                       const char *type)
{
    return cw_form_refuse(error, 400, "SerializationException", "Entries[%u].%s is not a %s", entry,
                          name, type);
}

/* A member that is a string, raw; NULL data when it is not there or null. */
/* NOLINTNEXTLINE(readability-function-size): what, where it stands, where it goes */
static bool read_string(struct cw_form *form, uint32_t object, uint32_t entry, const char *name,
                        struct cw_view *value, bool *escaped, struct cw_form_error *error)
{
    const struct cw_json *doc = &form->body;
    uint32_t node = cw_json_find(doc, object, (struct cw_view){name, (uint32_t)strlen(name)});
    *value = (struct cw_view){0};
    if (node == CW_JSON_NONE || doc->nodes[node].type == CW_JSON_NULL) {
        return true;
    }
    if (doc->nodes[node].type != CW_JSON_STRING) {
        return type_error(error, entry, name, "string");
    }
    *value = cw_json_raw(doc, node);
    *escaped = doc->nodes[node].escaped != 0;
    return true;
}

/* Bytes of UTF-8 that a raw string stands for. */
static uint32_t plain_bytes(struct cw_form *form, struct cw_view raw)
{
    if (raw.bytes == 0 || memchr(raw.data, '\\', raw.bytes) == NULL) {
        return raw.bytes;
    }
    return cw_json_unescape(raw, cw_arena_alloc(form->arena, raw.bytes, 1));
}

static bool read_resources(struct cw_form *form, uint32_t object, uint32_t entry,
                           struct cw_put_entry *put, struct cw_form_error *error)
{
    const struct cw_json *doc = &form->body;
    uint32_t node = cw_json_find(doc, object, CW_VIEW("Resources"));
    if (node == CW_JSON_NONE || doc->nodes[node].type == CW_JSON_NULL) {
        return true;
    }
    if (doc->nodes[node].type != CW_JSON_ARRAY) {
        return type_error(error, entry, "Resources", "list");
    }
    for (uint32_t i = node + 1; i < doc->nodes[node].next; i = doc->nodes[i].next) {
        if (doc->nodes[i].type != CW_JSON_STRING) {
            return type_error(error, entry, "Resources", "list of strings");
        }
        put->bytes += plain_bytes(form, cw_json_raw(doc, i));
    }
    put->resources = cw_json_raw(doc, node);
    return true;
}

static bool read_time(struct cw_form *form, uint32_t object, uint32_t entry,
                      struct cw_put_entry *put, struct cw_form_error *error)
{
    const struct cw_json *doc = &form->body;
    uint32_t node = cw_json_find(doc, object, CW_VIEW("Time"));
    if (node == CW_JSON_NONE || doc->nodes[node].type == CW_JSON_NULL) {
        return true;
    }
    if (doc->nodes[node].type != CW_JSON_NUMBER) {
        return type_error(error, entry, "Time", "number");
    }
    put->time = cw_json_raw(doc, node);
    put->bytes += TIME_BYTES;
    return true;
}

static bool read_entry(struct cw_form *form, uint32_t object, uint32_t number,
                       struct cw_form_error *error)
{
    struct cw_put_entry *put = &form->put[number];
    *put = (struct cw_put_entry){.raw = cw_json_raw(&form->body, object)};
    bool escaped;
    if (form->body.nodes[object].type != CW_JSON_OBJECT) {
        return cw_form_refuse(error, 400, "SerializationException",
                              "Entries[%u] is not a structure", number);
    }
    if (!read_string(form, object, number, "Source", &put->source, &escaped, error) ||
        !read_string(form, object, number, "DetailType", &put->type, &escaped, error) ||
        !read_string(form, object, number, "Detail", &put->detail, &put->detail_escaped, error) ||
        !read_string(form, object, number, "EventBusName", &put->bus, &escaped, error) ||
        !read_resources(form, object, number, put, error) ||
        !read_time(form, object, number, put, error)) {
        return false;
    }
    put->bytes += plain_bytes(form, put->source) + plain_bytes(form, put->type);
    return true;
}

static bool read_entries(struct cw_form *form, uint32_t list, struct cw_form_error *error)
{
    const struct cw_json_node *nodes = form->body.nodes;
    for (uint32_t i = list + 1; i < nodes[list].next; i = nodes[i].next) {
        form->count++;
    }
    if (form->count < 1 || form->count > CW_PUT_ENTRIES_MAX) {
        return cw_form_refuse(error, 400, "ValidationException",
                              "1 validation error detected: Value '[%s]' at 'entries' failed to "
                              "satisfy constraint: Member must have length %s",
                              form->count < 1 ? "" : "PutEventsRequestEntry",
                              form->count < 1 ? "greater than or equal to 1"
                                              : "less than or equal to 10");
    }
    uint32_t number = 0;
    bool complete = false;
    uint64_t bytes = 0;
    for (uint32_t i = list + 1; i < nodes[list].next; i = nodes[i].next, number++) {
        if (!read_entry(form, i, number, error)) {
            return false;
        }
        const struct cw_put_entry *put = &form->put[number];
        complete |= put->source.data != NULL && put->type.data != NULL && put->detail.data != NULL;
        bytes += put->bytes;
        /* A Detail is unescaped later; it is surely too long when half of it already is. */
        bytes += put->detail_escaped ? put->detail.bytes / 6 : put->detail.bytes;
    }
    if (!complete) {
        return cw_form_refuse(error, 400, "ValidationException",
                              "no entry has all of Source, DetailType and Detail");
    }
    return bytes <= form->options.event_bytes_max ||
           cw_form_refuse(error, 400, "ValidationException",
                          "Total size of the entries in the request is over the limit.");
}

/* What Details stand for replaces their raw text: their size is known only then. */
static bool unescape_details(struct cw_form *form, struct cw_form_error *error)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < form->count; i++) {
        struct cw_put_entry *put = &form->put[i];
        if (put->detail.data != NULL) { /* padding follows, as the parser wants it */
            char *plain = cw_arena_alloc(form->arena, put->detail.bytes + CW_JSON_PADDING, 8);
            uint32_t plain_size = cw_json_unescape(put->detail, plain);
            memset(plain + plain_size, 0, CW_JSON_PADDING);
            put->detail = (struct cw_view){plain, plain_size};
        }
        bytes += put->bytes + put->detail.bytes;
    }
    return bytes <= form->options.event_bytes_max ||
           cw_form_refuse(error, 400, "ValidationException",
                          "Total size of the entries in the request is over the limit.");
}

bool cw_put_begin(struct cw_form *form, struct cw_form_error *error)
{
    struct cw_view body = form->request->body;
    enum cw_json_status status = cw_json_parse(form->parser, body.data, body.bytes, &form->body);
    if (status == CW_JSON_PARSE_TOO_LONG) {
        return cw_form_refuse(error, 413, "ValidationException",
                              "Total size of the entries in the request is over the limit.");
    }
    if (status != CW_JSON_PARSE_OK) {
        return cw_form_refuse(error, 400, "SerializationException",
                              "malformed JSON near byte %u: %s", form->body.error_offset,
                              cw_json_status_text(status));
    }
    if (form->body.nodes[0].type != CW_JSON_OBJECT) {
        return cw_form_refuse(error, 400, "SerializationException", "the body is not a structure");
    }
    uint32_t list = cw_json_find(&form->body, 0, CW_VIEW("Entries"));
    if (list == CW_JSON_NONE || form->body.nodes[list].type == CW_JSON_NULL) {
        return cw_form_refuse(error, 400, "ValidationException",
                              "1 validation error detected: Value null at 'entries' failed to "
                              "satisfy constraint: Member must not be null");
    }
    if (form->body.nodes[list].type != CW_JSON_ARRAY) {
        return cw_form_refuse(error, 400, "SerializationException", "Entries is not a list");
    }
    return read_entries(form, list, error) && unescape_details(form, error);
}

/* A bus by its name, or by an ARN that ends in event-bus/NAME. */
static struct cw_view bus_name(struct cw_view bus)
{
    static const struct cw_view mark = {":event-bus/", 11};
    if (!cw_view_starts_like(bus, CW_VIEW("arn:"))) {
        return bus;
    }
    CW_ASSERT_HOT(bus.data != NULL);
    for (uint32_t i = 0; i + mark.bytes < bus.bytes; i++) {
        if (memcmp(bus.data + i, mark.data, mark.bytes) == 0) {
            uint32_t used = i + mark.bytes;
            return (struct cw_view){bus.data + used, bus.bytes - used};
        }
    }
    return bus;
}

static bool write_time(struct cw_form *form, const struct cw_put_entry *put,
                       struct cw_form_entry *entry, struct cw_view *time)
{
    int64_t ms = form->now;
    if (put->time.data != NULL) {
        double seconds = cw_json_number(put->time);
        if (!(seconds >= 0 && seconds < 253086768000.0)) { /* CW_EVENT_TIME_END */
            return cw_form_refuse_entry(form, entry, "InvalidArgument",
                                        "Parameter Time is not valid. Reason: it is seconds since "
                                        "1970, up to the year 9989.");
        }
        ms = (int64_t)floor(seconds * 1000 + 0.5);
    } else if (ms == CW_TIME_NONE) {
        return cw_form_refuse_entry(form, entry, "InvalidArgument",
                                    "Parameter Time is not valid. Reason: Time is a required "
                                    "argument while the clock is that of the events.");
    }
    char *text = cw_arena_alloc(form->arena, CW_TIME_BYTES, 1);
    cw_time_format(ms, text);
    *time = (struct cw_view){text, CW_TIME_BYTES};
    return true;
}

static bool missing(struct cw_form *form, struct cw_form_entry *entry, const char *name)
{
    return cw_form_refuse_entry(form, entry, "InvalidArgument",
                                "Parameter %s is not valid. Reason: %s is a required argument.",
                                name, name);
}

static bool put_next(struct cw_form *form, struct cw_form_entry *entry)
{
    const struct cw_put_entry *put = &form->put[entry->index];
    if (put->source.bytes == 0) {
        return missing(form, entry, "Source");
    }
    if (put->type.bytes == 0) {
        return missing(form, entry, "DetailType");
    }
    if (put->detail.bytes == 0) {
        return missing(form, entry, "Detail");
    }
    if (put->bus.data != NULL && put->bus.bytes == 0) {
        return cw_form_refuse_entry(form, entry, "InvalidArgument",
                                    "Parameter EventBusName is not valid. Reason: it is empty.");
    }
    struct cw_envelope parts = {.type = put->type,
                                .source = put->source,
                                .resources = put->resources,
                                .bus = bus_name(put->bus),
                                .detail = put->detail};
    /* Proved by itself: as a part of the envelope it could bring members of its own. */
    if (!cw_form_is_object(form, put->detail)) {
        return cw_form_refuse_entry(form, entry, "MalformedDetail", "Detail is malformed.");
    }
    if (!write_time(form, put, entry, &parts.time)) {
        return false;
    }
    char *id = cw_arena_alloc(form->arena, CW_UUID_BYTES, 1);
    cw_form_uuid(form, id);
    parts.id = (struct cw_view){id, CW_UUID_BYTES};
    entry->text = cw_form_envelope(form, &parts);
    entry->id = parts.id;
    return true;
}

void cw_put_next(struct cw_form *form, struct cw_form_entry *entry)
{
    entry->raw = form->put[entry->index].raw;
    (void)put_next(form, entry);
}
