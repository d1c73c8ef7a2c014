/* form_cloud: CloudEvents 1.0 over HTTP: structured, one of a batch, and binary. */
#include "pipeline/form_priv.h"
#include "pipeline/request.h"

enum {
    HEADER_MAX = 4096 /* bytes of an attribute in a header; ids are far shorter */
};

static const char *const required[] = {"id", "source", "type"};

static struct cw_view *part_of(struct cw_envelope *parts, uint32_t attribute)
{
    return attribute == 0 ? &parts->id : attribute == 1 ? &parts->source : &parts->type;
}

/* ---- structured ---- */

/* A member that is a string and not empty, raw; NULL data when it is not there or null. */
static bool read_string(struct cw_form *form, uint32_t object, const char *name,
                        struct cw_view *value, struct cw_form_entry *entry)
{
    const struct cw_json *doc = &form->body;
    uint32_t node = cw_json_find(doc, object, (struct cw_view){name, (uint32_t)strlen(name)});
    *value = (struct cw_view){0};
    if (node == CW_JSON_NONE || doc->nodes[node].type == CW_JSON_NULL) {
        return true;
    }
    if (doc->nodes[node].type != CW_JSON_STRING || doc->nodes[node].text_bytes == 0) {
        return cw_form_refuse_entry(form, entry, NULL, "%s is not a string with something in it",
                                    name);
    }
    *value = cw_json_raw(doc, node);
    return true;
}

static int32_t sextet(char c)
{
    return c >= 'A' && c <= 'Z'   ? c - 'A'
           : c >= 'a' && c <= 'z' ? c - 'a' + 26
           : c >= '0' && c <= '9' ? c - '0' + 52
           : c == '+'             ? 62
           : c == '/'             ? 63
                                  : -1;
}

/* RFC 4648 section 4, with its padding. */
static bool decode_base64(struct cw_view text, char *out, uint32_t *out_bytes)
{
    *out_bytes = 0;
    if (text.bytes % 4 != 0) {
        return false;
    }
    for (uint32_t i = 0; i < text.bytes; i += 4) {
        uint32_t pads = 0;
        uint32_t bits = 0;
        for (uint32_t k = 0; k < 4; k++) {
            char c = text.data[i + k];
            int32_t value = sextet(c);
            if (c == '=' && i + 4 == text.bytes && k >= 2) {
                pads++;
                value = 0;
            } else if (value < 0 || pads > 0) {
                return false;
            }
            bits = bits << 6 | (uint32_t)value;
        }
        for (uint32_t k = 0; k < 3 - pads; k++) {
            out[(*out_bytes)++] = (char)(bits >> (16 - 8 * k) & 0xff);
        }
    }
    return true;
}

static bool read_base64(struct cw_form *form, uint32_t node, struct cw_view *detail,
                        struct cw_form_entry *entry)
{
    const struct cw_json *doc = &form->body;
    if (doc->nodes[node].type != CW_JSON_STRING) {
        return cw_form_refuse_entry(form, entry, NULL, "data_base64 is not a string");
    }
    struct cw_view raw = cw_json_raw(doc, node);
    char *plain = cw_arena_alloc(form->arena, raw.bytes + CW_JSON_PADDING, 8);
    uint32_t bytes = cw_json_unescape(raw, plain); /* a / may stand there as \/ */
    if (!decode_base64((struct cw_view){plain, bytes}, plain, &bytes)) {
        return cw_form_refuse_entry(form, entry, NULL, "data_base64 is not base64");
    }
    memset(plain + bytes, 0, CW_JSON_PADDING);
    *detail = (struct cw_view){plain, bytes};
    return cw_form_is_object(form, *detail) ||
           cw_form_refuse_entry(form, entry, NULL, "data_base64 does not hold a JSON object");
}

static bool read_data(struct cw_form *form, uint32_t object, struct cw_view *detail,
                      struct cw_form_entry *entry)
{
    const struct cw_json *doc = &form->body;
    uint32_t data = cw_json_find(doc, object, CW_VIEW("data"));
    uint32_t base64 = cw_json_find(doc, object, CW_VIEW("data_base64"));
    if (data != CW_JSON_NONE && base64 != CW_JSON_NONE) {
        return cw_form_refuse_entry(form, entry, NULL, "data and data_base64 exclude each other");
    }
    if (base64 != CW_JSON_NONE) {
        return read_base64(form, base64, detail, entry);
    }
    if (data == CW_JSON_NONE) {
        return cw_form_refuse_entry(form, entry, NULL, "data is missing: it is the event's detail");
    }
    if (doc->nodes[data].type != CW_JSON_OBJECT) {
        return cw_form_refuse_entry(form, entry, NULL, "data is not a JSON object");
    }
    *detail = cw_json_raw(doc, data);
    return true;
}

static bool structured(struct cw_form *form, uint32_t object, struct cw_form_entry *entry)
{
    if (form->body.nodes[object].type != CW_JSON_OBJECT) {
        return cw_form_refuse_entry(form, entry, NULL, "a CloudEvent is a JSON object");
    }
    struct cw_envelope parts = {.id = {0}};
    struct cw_view version;
    if (!read_string(form, object, "specversion", &version, entry)) {
        return false;
    }
    if (!cw_view_equal(version, CW_VIEW("1.0"))) {
        return cw_form_refuse_entry(form, entry, NULL, "specversion is not 1.0");
    }
    for (uint32_t i = 0; i < CW_COUNTOF(required); i++) {
        struct cw_view *part = part_of(&parts, i);
        if (!read_string(form, object, required[i], part, entry)) {
            return false;
        }
        if (part->data == NULL) {
            return cw_form_refuse_entry(form, entry, NULL, "%s is missing", required[i]);
        }
    }
    if (!read_string(form, object, "time", &parts.time, entry) ||
        !read_data(form, object, &parts.detail, entry)) {
        return false;
    }
    entry->text = cw_form_envelope(form, &parts);
    return true;
}

void cw_cloud_next(struct cw_form *form, uint32_t object, struct cw_form_entry *entry)
{
    (void)structured(form, object, entry);
}

/* ---- binary ---- */

/* What a header says: without quotes, percent-decoded once, as JSON text. NULL data: not there. */
static bool read_header(struct cw_form *form, const char *name, struct cw_view *value,
                        struct cw_form_entry *entry)
{
    struct cw_view raw =
        cw_request_header(form->request, (struct cw_view){name, (uint32_t)strlen(name)});
    *value = (struct cw_view){0};
    if (raw.data == NULL) {
        return true;
    }
    if (raw.bytes > HEADER_MAX) {
        return cw_form_refuse_entry(form, entry, NULL, "%s is longer than %u bytes", name,
                                    (unsigned)HEADER_MAX);
    }
    char *plain = cw_arena_alloc(form->arena, raw.bytes + 1, 1);
    if (raw.bytes >= 2 && raw.data[0] == '"' && raw.data[raw.bytes - 1] == '"') {
        uint32_t bytes = 0;
        for (uint32_t i = 1; i + 1 < raw.bytes; i++) {
            i += raw.data[i] == '\\' && i + 2 < raw.bytes;
            plain[bytes++] = raw.data[i];
        }
        raw = (struct cw_view){plain, bytes};
    }
    struct cw_view decoded;
    if (!cw_percent_decode(raw, false, plain, &decoded)) { /* in place: it only gets shorter */
        return cw_form_refuse_entry(form, entry, NULL,
                                    "%s is not valid UTF-8 after percent-decoding", name);
    }
    if (decoded.bytes == 0) {
        return cw_form_refuse_entry(form, entry, NULL, "%s is empty", name);
    }
    *value = cw_form_escape(form, decoded);
    return true;
}

static bool binary(struct cw_form *form, struct cw_form_entry *entry)
{
    static const char *const headers[] = {"ce-id", "ce-source", "ce-type"};
    struct cw_envelope parts = {.id = {0}};
    struct cw_view version;
    if (!read_header(form, "ce-specversion", &version, entry)) {
        return false;
    }
    if (!cw_view_equal(version, CW_VIEW("1.0"))) {
        return cw_form_refuse_entry(form, entry, NULL, "ce-specversion is not 1.0");
    }
    for (uint32_t i = 0; i < CW_COUNTOF(headers); i++) {
        struct cw_view *part = part_of(&parts, i);
        if (!read_header(form, headers[i], part, entry)) {
            return false;
        }
        if (part->data == NULL) {
            return cw_form_refuse_entry(form, entry, NULL, "%s is missing", headers[i]);
        }
    }
    if (!read_header(form, "ce-time", &parts.time, entry)) {
        return false;
    }
    parts.detail = form->request->body;
    if (!cw_form_is_object(form, parts.detail)) {
        return cw_form_refuse_entry(form, entry, NULL,
                                    "the body, a CloudEvent's data, is not a JSON object");
    }
    entry->text = cw_form_envelope(form, &parts);
    return true;
}

void cw_cloud_binary(struct cw_form *form, struct cw_form_entry *entry)
{
    (void)binary(form, entry);
}
