#include "pipeline/form.h"

#include "core/format.h"
#include "core/time.h"
#include "pipeline/form_priv.h"
#include "pipeline/request.h"

#include <stdarg.h>
#include <string.h>

const char *const cw_form_types_text =
    "application/json (one EventBridge envelope), application/x-ndjson (one a line), "
    "application/cloudevents+json, application/cloudevents-batch+json";

/* Every name that NDJSON goes by. */
static const char *const line_types[] = {"application/x-ndjson",   "application/ndjson",
                                         "application/jsonl",      "application/x-jsonl",
                                         "application/jsonlines",  "application/json-lines",
                                         "application/x-jsonlines"};

cw_err cw_form_open(struct cw_form **form, const struct cw_form_options *options,
                    struct cw_fault *fault)
{
    struct cw_arena own;
    cw_err err = cw_arena_open(&own, sizeof(struct cw_form) + 1024, 1u << 20, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_form *made = cw_arena_zalloc(&own, sizeof *made, CW_CACHE_LINE);
    made->options = *options;
    /* A Detail is JSON inside a JSON string: each of its quotes takes two bytes. */
    uint32_t body_max = options->event_bytes_max * 2 + (1u << 20);
    err = cw_json_open(&made->parser, body_max, CW_JSON_DEPTH_MAX, fault);
    if (err == CW_ERR_OK) {
        err = cw_json_open(&made->inner, body_max, CW_JSON_DEPTH_MAX, fault);
    }
    made->own = own;
    if (err != CW_ERR_OK) {
        cw_form_close(made);
        return err;
    }
    *form = made;
    return CW_ERR_OK;
}

void cw_form_close(struct cw_form *form)
{
    cw_json_close(form->parser);
    cw_json_close(form->inner);
    struct cw_arena own = form->own;
    cw_arena_close(&own);
}

bool cw_form_refuse(struct cw_form_error *error, uint16_t status, const char *type,
                    const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error->bytes = cw_formatv(error->text, sizeof error->text, format, args);
    va_end(args);
    error->status = status;
    error->type = type;
    return false;
}

bool cw_form_refuse_entry(struct cw_form *form, struct cw_form_entry *entry, const char *code,
                          const char *format, ...)
{
    char text[CW_FORM_ERROR_BYTES];
    va_list args;
    va_start(args, format);
    uint32_t bytes = cw_formatv(text, sizeof text, format, args);
    va_end(args);
    entry->text = (struct cw_view){0};
    entry->code = code;
    entry->reason = cw_arena_copy(form->arena, (struct cw_view){text, bytes});
    return false;
}

void cw_form_uuid(struct cw_form *form, char id[CW_UUID_BYTES])
{
    static const char digits[] = "0123456789abcdef";

    struct {
        uint64_t number;
        int64_t now;
    } seed = {form->ids++, form->now};

    uint8_t bytes[16];
    cw_hash128(form->options.ids, &seed, sizeof seed, bytes);
    bytes[6] = (uint8_t)((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t)((bytes[8] & 0x3f) | 0x80);
    char *to = id;
    for (uint32_t i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10) {
            *to++ = '-';
        }
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
}

/* ---- writing envelopes ---- */

static char *put(char *to, struct cw_view view)
{
    memcpy(to, view.data, view.bytes);
    return to + view.bytes;
}

static char *put_member(char *to, struct cw_view name, struct cw_view value, bool quoted)
{
    if (value.data == NULL) {
        return to;
    }
    *to++ = ',';
    to = put(to, name);
    if (quoted) {
        *to++ = '"';
    }
    to = put(to, value);
    if (quoted) {
        *to++ = '"';
    }
    return to;
}

struct cw_view cw_form_envelope(struct cw_form *form, const struct cw_envelope *parts)
{
    enum {
        WORDS = 160 /* of names, quotes, colons and commas; asserted below */
    };

    size_t room = WORDS + CW_JSON_PADDING + parts->id.bytes + parts->type.bytes +
                  parts->source.bytes + parts->time.bytes + parts->bus.bytes +
                  parts->resources.bytes + parts->detail.bytes;
    char *text = cw_arena_alloc(form->arena, room, 8);
    char *to = put(text, CW_VIEW("{\"version\":\"0\""));
    to = put_member(to, CW_VIEW("\"id\":"), parts->id, true);
    to = put_member(to, CW_VIEW("\"detail-type\":"), parts->type, true);
    to = put_member(to, CW_VIEW("\"source\":"), parts->source, true);
    to = put_member(to, CW_VIEW("\"time\":"), parts->time, true);
    to = put_member(to, CW_VIEW("\"resources\":"), parts->resources, false);
    to = put_member(to, CW_VIEW("\"eventBusName\":"), parts->bus, true);
    to = put_member(to, CW_VIEW("\"detail\":"), parts->detail, false);
    *to++ = '}';
    CW_ASSERT_HOT((size_t)(to - text) + CW_JSON_PADDING <= room);
    memset(to, 0, CW_JSON_PADDING);
    return (struct cw_view){text, (uint32_t)(to - text)};
}

struct cw_view cw_form_escape(struct cw_form *form, struct cw_view plain)
{
    static const char digits[] = "0123456789abcdef";
    char *text = cw_arena_alloc(form->arena, (size_t)plain.bytes * 6 + 1, 1);
    char *to = text;
    for (uint32_t i = 0; i < plain.bytes; i++) {
        uint8_t c = (uint8_t)plain.data[i];
        if (c < 0x20) {
            to = put(to, CW_VIEW("\\u00"));
            *to++ = digits[c >> 4];
            *to++ = digits[c & 15];
            continue;
        }
        if (c == '"' || c == '\\') {
            *to++ = '\\';
        }
        *to++ = (char)c;
    }
    return (struct cw_view){text, (uint32_t)(to - text)};
}

bool cw_form_is_object(struct cw_form *form, struct cw_view text)
{
    struct cw_json doc;
    return cw_json_parse(form->inner, text.data, text.bytes, &doc) == CW_JSON_PARSE_OK &&
           doc.nodes[0].type == CW_JSON_OBJECT;
}

/* ---- what a request is ---- */

bool cw_form_is_aws(const struct cw_request *request)
{
    return request->kind == CW_REQUEST_HTTP && request->method == CW_METHOD_POST &&
           (cw_view_equal(request->path, CW_VIEW("/")) ||
            cw_request_header(request, CW_VIEW("x-amz-target")).data != NULL);
}

static bool begin_aws(struct cw_form *form, struct cw_form_error *error)
{
    struct cw_view target = cw_request_header(form->request, CW_VIEW("x-amz-target"));
    if (!cw_view_equal(target, CW_VIEW("AWSEvents.PutEvents"))) {
        return cw_form_refuse(error, 400, "UnknownOperationException",
                              "the only operation here is PutEvents (x-amz-target: "
                              "AWSEvents.PutEvents); other events go to POST /v1/events");
    }
    form->kind = CW_FORM_PUT;
    return cw_put_begin(form, error);
}

/* The first byte of the body that is no white space; 0: there is none. */
static char first_byte(struct cw_view body)
{
    for (uint32_t i = 0; i < body.bytes; i++) {
        char c = body.data[i];
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
            return c;
        }
    }
    return 0;
}

static bool begin_one(struct cw_form *form, struct cw_form_error *error)
{
    char first = first_byte(form->request->body);
    if (first == 0) {
        return cw_form_refuse(error, 400, NULL, "the body is empty: send one event as JSON");
    }
    if (first == '[') {
        return cw_form_refuse(error, 400, NULL,
                              "a JSON array: send one envelope, or one a line as "
                              "application/x-ndjson, or CloudEvents as "
                              "application/cloudevents-batch+json");
    }
    form->kind = CW_FORM_ONE;
    form->count = 1;
    return true;
}

static bool blank(struct cw_view line)
{
    for (uint32_t i = 0; i < line.bytes; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r') {
            return false;
        }
    }
    return true;
}

/* The next line, blank or not, without its line feed. */
static bool next_line(struct cw_form *form, struct cw_view *line)
{
    if (form->line >= form->end) {
        return false;
    }
    const char *feed = memchr(form->line, '\n', (size_t)(form->end - form->line));
    const char *stop = feed != NULL ? feed : form->end;
    *line = (struct cw_view){form->line, (uint32_t)(stop - form->line)};
    form->line = stop + 1;
    return true;
}

static void rewind_lines(struct cw_form *form)
{
    form->kind = CW_FORM_LINES;
    form->line = form->request->body.data;
    form->end = form->line + form->request->body.bytes;
}

static bool begin_lines(struct cw_form *form, struct cw_form_error *error)
{
    rewind_lines(form);
    if (form->request->kind == CW_REQUEST_LINES) {
        return true;
    }
    uint32_t events = 0;
    struct cw_view line;
    while (next_line(form, &line)) {
        events += !blank(line);
    }
    rewind_lines(form);
    return events <= form->options.entries_max ||
           cw_form_refuse(error, 413, NULL, "%u events in one request: at most %u", events,
                          form->options.entries_max);
}

/* Structured and batch CloudEvents: the body as JSON. */
static bool begin_cloud(struct cw_form *form, struct cw_view suffix, bool batch,
                        struct cw_form_error *error)
{
    if (suffix.bytes > 0 && !cw_view_like(suffix, CW_VIEW("+json"))) {
        return cw_form_refuse(error, 415, NULL, "CloudEvents are taken as JSON, not as %.*s",
                              (int)(suffix.bytes < 64 ? suffix.bytes - 1 : 63), suffix.data + 1);
    }
    struct cw_view body = form->request->body;
    enum cw_json_status status = cw_json_parse(form->parser, body.data, body.bytes, &form->body);
    if (status != CW_JSON_PARSE_OK) {
        return cw_form_refuse(error, status == CW_JSON_PARSE_TOO_LONG ? 413 : 400, NULL,
                              "malformed JSON near byte %u: %s", form->body.error_offset,
                              cw_json_status_text(status));
    }
    bool array = form->body.nodes[0].type == CW_JSON_ARRAY;
    if (array != batch) {
        return cw_form_refuse(error, 400, NULL,
                              batch ? "a CloudEvents batch is a JSON array"
                                    : "a structured CloudEvent is a JSON object; several are sent "
                                      "as application/cloudevents-batch+json");
    }
    form->kind = batch ? CW_FORM_CLOUD_BATCH : CW_FORM_CLOUD;
    form->count = 1;
    form->node = 1;
    if (batch) {
        form->count = 0;
        for (uint32_t i = 1; i < form->body.nodes[0].next; i = form->body.nodes[i].next) {
            form->count++;
        }
    }
    return form->count <= form->options.entries_max ||
           cw_form_refuse(error, 413, NULL, "%u events in one request: at most %u", form->count,
                          form->options.entries_max);
}

/* Any attribute of a binary CloudEvent makes it one, so that a missing one is told. */
static bool is_cloud_binary(const struct cw_request *request)
{
    return cw_request_header(request, CW_VIEW("ce-specversion")).data != NULL ||
           cw_request_header(request, CW_VIEW("ce-id")).data != NULL ||
           cw_request_header(request, CW_VIEW("ce-type")).data != NULL ||
           cw_request_header(request, CW_VIEW("ce-source")).data != NULL;
}

static bool is_json(struct cw_view type)
{
    return type.bytes == 0 || cw_view_like(type, CW_VIEW("application/json")) ||
           cw_view_like(type, CW_VIEW("text/json")) ||
           (type.bytes > 5 &&
            cw_view_like((struct cw_view){type.data + type.bytes - 5, 5}, CW_VIEW("+json")));
}

static bool is_lines(struct cw_view type)
{
    for (uint32_t i = 0; i < CW_COUNTOF(line_types); i++) {
        if (cw_view_like(type, (struct cw_view){line_types[i], (uint32_t)strlen(line_types[i])})) {
            return true;
        }
    }
    return false;
}

static bool begin_http(struct cw_form *form, struct cw_form_error *error)
{
    static const struct cw_view cloud = {"application/cloudevents", 23};
    static const struct cw_view batch = {"application/cloudevents-batch", 29};
    const struct cw_request *request = form->request;
    struct cw_view encoding = cw_request_header(request, CW_VIEW("content-encoding"));
    if (encoding.bytes > 0 && !cw_view_like(encoding, CW_VIEW("identity"))) {
        return cw_form_refuse(error, 415, NULL, "Content-Encoding is not taken: send it plain");
    }
    struct cw_view whole = cw_request_header(request, CW_VIEW("content-type"));
    struct cw_view type = cw_media_type(whole);
    struct cw_view charset = cw_media_parameter(whole, CW_VIEW("charset"));
    if (charset.bytes > 0 && !cw_view_like(charset, CW_VIEW("utf-8")) &&
        !cw_view_like(charset, CW_VIEW("utf8")) && !cw_view_like(charset, CW_VIEW("us-ascii"))) {
        return cw_form_refuse(error, 415, NULL, "JSON is UTF-8: charset is another");
    }
    if (cw_view_starts_like(type, batch)) { /* first: the other is its beginning */
        return begin_cloud(
            form, (struct cw_view){type.data + batch.bytes, type.bytes - batch.bytes}, true, error);
    }
    if (cw_view_starts_like(type, cloud)) {
        return begin_cloud(form,
                           (struct cw_view){type.data + cloud.bytes, type.bytes - cloud.bytes},
                           false, error);
    }
    bool binary = is_cloud_binary(request);
    if (is_lines(type) && !binary) {
        return begin_lines(form, error);
    }
    if (!is_json(type)) {
        return cw_form_refuse(error, 415, NULL, "Content-Type is none of %s", cw_form_types_text);
    }
    if (binary) {
        form->kind = CW_FORM_CLOUD_BINARY;
        form->count = 1;
        return true;
    }
    return begin_one(form, error);
}

bool cw_form_begin(struct cw_form *form, const struct cw_request *request, int64_t now,
                   struct cw_arena *arena, struct cw_form_error *error)
{
    form->request = request;
    form->arena = arena;
    form->now = now;
    form->index = form->count = 0;
    if (request->kind == CW_REQUEST_LINES) {
        return begin_lines(form, error);
    }
    return cw_form_is_aws(request) ? begin_aws(form, error) : begin_http(form, error);
}

enum cw_dialect cw_form_dialect(const struct cw_form *form)
{
    switch (form->kind) {
    case CW_FORM_PUT: return CW_DIALECT_PUT_EVENTS;
    case CW_FORM_LINES:
        return form->request->kind == CW_REQUEST_LINES ? CW_DIALECT_LINES : CW_DIALECT_BATCH;
    case CW_FORM_CLOUD_BATCH: return CW_DIALECT_BATCH;
    default: return CW_DIALECT_SINGLE;
    }
}

uint32_t cw_form_lines(const struct cw_form *form)
{
    return form->index;
}

static bool next_event_line(struct cw_form *form, struct cw_form_entry *entry)
{
    bool counted = form->request->kind == CW_REQUEST_LINES; /* blank ones too */
    struct cw_view line;
    if (counted && form->index == 0 && form->request->query.bytes > 0) { /* "too-long": port.h */
        form->index = 1;
        entry->raw = form->request->body;
        (void)cw_form_refuse_entry(form, entry, NULL, "the line is longer than allowed");
        return true;
    }
    while (next_line(form, &line)) {
        bool empty = blank(line);
        form->index += counted || !empty;
        if (!empty) {
            entry->index = form->index - 1;
            entry->text = entry->raw = line;
            return true;
        }
    }
    return false;
}

bool cw_form_next(struct cw_form *form, struct cw_form_entry *entry)
{
    *entry = (struct cw_form_entry){.index = form->index};
    if (form->kind == CW_FORM_LINES) {
        return next_event_line(form, entry);
    }
    if (form->index == form->count) {
        return false;
    }
    form->index++;
    entry->raw = form->request->body;
    switch (form->kind) {
    case CW_FORM_PUT: cw_put_next(form, entry); break;
    case CW_FORM_CLOUD: cw_cloud_next(form, 0, entry); break;
    case CW_FORM_CLOUD_BINARY: cw_cloud_binary(form, entry); break;
    case CW_FORM_CLOUD_BATCH:
        entry->raw = cw_json_raw(&form->body, form->node);
        cw_cloud_next(form, form->node, entry);
        form->node = form->body.nodes[form->node].next;
        break;
    default: entry->text = form->request->body; break;
    }
    return true;
}
