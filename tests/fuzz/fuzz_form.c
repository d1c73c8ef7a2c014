/*
 * Any bytes as a request: the first line tells the path and the headers, separated by |, the rest
 * is the body. It is refused with a reason, or each of its events is refused with a reason or is
 * the text of one JSON object which a decoder takes or refuses.
 */
#include "pipeline/decode.h"
#include "pipeline/form.h"
#include "pipeline/request.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADERS_MAX = 8,
    ARENA_BYTES = 1 << 26
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cw_form *form;
static struct cw_decoder *decoder;
static struct cw_arena arena;

/* The leak checker does not look into mapped memory, which leads to what is kept between inputs. */
static void close_all(void)
{
    cw_form_close(form);
    cw_decoder_close(decoder);
    cw_arena_close(&arena);
}

static void open_all(void)
{
    CW_ASSERT(atexit(close_all) == 0);
    struct cw_fault fault;
    struct cw_form_options options = {
        .event_bytes_max = 1u << 16, .entries_max = 1000, .ids = {1, 2}};
    cw_err err = cw_form_open(&form, &options, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    struct cw_decoder_options decoding = {.partitions = 256, .event_bytes_max = 1u << 16};
    err = cw_decoder_open(&decoder, &decoding, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    err = cw_arena_open(&arena, ARENA_BYTES, ARENA_BYTES, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    cw_decoder_put_in(decoder, &arena);
}

/* Cuts what stands before a | or the end off *rest. */
static struct cw_view cut(struct cw_view *rest)
{
    const char *bar = rest->bytes > 0 ? memchr(rest->data, '|', rest->bytes) : NULL;
    uint32_t bytes = bar != NULL ? (uint32_t)(bar - rest->data) : rest->bytes;
    struct cw_view part = {rest->data, bytes};
    uint32_t used = bar != NULL ? bytes + 1 : bytes;
    *rest = (struct cw_view){rest->data + used, rest->bytes - used};
    return part;
}

static bool holds(struct cw_view text, const char *part)
{
    return cw_view_holds_like(text, (struct cw_view){part, (uint32_t)strlen(part)});
}

static void take_apart(const struct cw_request *request)
{
    struct cw_form_error error = {0};
    if (!cw_form_begin(form, request, INT64_C(1768824000000), &arena, &error)) {
        CW_ASSERT(error.status >= 400 && error.status < 500 && error.bytes > 0);
        return;
    }
    struct cw_form_entry entry;
    uint32_t count = 0;
    bool lines = request->kind == CW_REQUEST_LINES;
    while (cw_form_next(form, &entry)) {
        CW_ASSERT(lines || entry.index == count);
        CW_ASSERT((entry.text.data != NULL) != (entry.reason.data != NULL));
        CW_ASSERT(entry.raw.data != NULL);
        count++;
        if (entry.text.data == NULL) {
            continue;
        }
        struct cw_event event;
        cw_decode(decoder, entry.text, &event);
        enum cw_dialect dialect = cw_form_dialect(form);
        bool written = entry.text.data < request->body.data ||
                       entry.text.data >= request->body.data + request->body.bytes;
        if (written && cw_decoder_document(decoder) == NULL) {
            /* What was written here is JSON, unless it became too long or too deep by that. */
            struct cw_view reason = event.u.invalid.reason;
            CW_ASSERT(holds(reason, "longer than") || holds(reason, "deeper than"));
        }
        CW_ASSERT(dialect != CW_DIALECT_PUT_EVENTS || entry.id.bytes == CW_UUID_BYTES);
    }
    CW_ASSERT(lines || count <= 1000);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct cw_view names[HEADERS_MAX] = {
        {"content-type", 12}, {"x-amz-target", 12},    {"ce-specversion", 14},
        {"ce-id", 5},         {"ce-source", 9},        {"ce-type", 7},
        {"ce-time", 7},       {"content-encoding", 16}};
    if (form == NULL) {
        open_all();
    }
    cw_arena_reset(&arena);
    const char *feed = size > 0 ? memchr(data, '\n', size) : NULL;
    size_t head_bytes = feed != NULL ? (size_t)(feed - (const char *)data) : size;
    size_t used = feed != NULL ? head_bytes + 1 : head_bytes;
    size_t body_bytes = size - used;
    char *head = malloc(head_bytes + 1);
    char *body = malloc(body_bytes + CW_JSON_PADDING); /* exact, so that reading on is noticed */
    CW_ASSERT(head != NULL && body != NULL);
    memcpy(head, data, head_bytes);
    memcpy(body, data + used, body_bytes);
    memset(body + body_bytes, '"', CW_JSON_PADDING);
    struct cw_view rest = {head, (uint32_t)head_bytes};
    struct cw_header headers[HEADERS_MAX];
    struct cw_request request = {.kind = CW_REQUEST_HTTP,
                                 .method = CW_METHOD_POST,
                                 .path = cut(&rest),
                                 .headers = headers,
                                 .body = {body, (uint32_t)body_bytes},
                                 .line = 1};
    if (cw_view_equal(request.path, CW_VIEW("lines"))) {
        request.kind = CW_REQUEST_LINES;
    }
    while (rest.bytes > 0 && request.header_count < HEADERS_MAX) {
        struct cw_view value = cut(&rest);
        if (value.bytes > 0) {
            uint32_t number = (uint32_t)((uint8_t)value.data[0] - '0') % HEADERS_MAX;
            headers[request.header_count++] =
                (struct cw_header){names[number], {value.data + 1, value.bytes - 1}};
        }
    }
    take_apart(&request);
    free(head);
    free(body);
    return 0;
}
