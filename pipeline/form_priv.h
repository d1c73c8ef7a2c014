/* form_priv: what form.c (requests), form_put.c (PutEvents) and form_cloud.c (CloudEvents) share.
 */
#ifndef CW_PIPELINE_FORM_PRIV_H
#define CW_PIPELINE_FORM_PRIV_H

#include "core/json.h"
#include "pipeline/form.h"

/* One entry of a PutEvents call: what stands between the quotes, raw; NULL data: not there. */
struct cw_put_entry {
    struct cw_view raw, source, type, detail, bus, resources, time;
    bool detail_escaped;
    uint32_t bytes; /* as EventBridge counts an entry's size */
};

enum cw_form_kind {
    CW_FORM_PUT,
    CW_FORM_ONE, /* the body is the envelope */
    CW_FORM_LINES,
    CW_FORM_CLOUD, /* structured: the body is the event */
    CW_FORM_CLOUD_BINARY,
    CW_FORM_CLOUD_BATCH
};

struct cw_form {
    struct cw_form_options options;
    struct cw_arena own;
    struct cw_json_parser *parser; /* of bodies */
    struct cw_json_parser *inner;  /* of the JSON text inside a string, header or encoding */
    struct cw_json body;
    const struct cw_request *request;
    struct cw_arena *arena; /* where envelopes go */
    int64_t now;
    enum cw_form_kind kind;
    uint32_t index;         /* of the next entry */
    uint32_t count;         /* PUT, and one: of entries */
    uint32_t node;          /* CLOUD_BATCH: of the next element */
    const char *line, *end; /* LINES: what is left */
    uint64_t ids;           /* made so far */
    struct cw_put_entry put[CW_PUT_ENTRIES_MAX];
};

/* What an envelope is made of: what stands between quotes is JSON text already; NULL: not there. */
struct cw_envelope {
    struct cw_view id, type, source, time, bus; /* strings, without their quotes */
    struct cw_view resources, detail;           /* values, whole */
};

/* The envelope, in the form's arena, with padding. */
struct cw_view cw_form_envelope(struct cw_form *form, const struct cw_envelope *parts);

/* A string with its control characters, quotes and backslashes escaped, in the form's arena. */
struct cw_view cw_form_escape(struct cw_form *form, struct cw_view plain);

/* True when the text is one JSON object; padding follows it. */
bool cw_form_is_object(struct cw_form *form, struct cw_view text);

/* Both return false, so that `return cw_form_refuse(...)` reads as one step. */
bool cw_form_refuse(struct cw_form_error *error, uint16_t status, const char *type,
                    const char *format, ...) __attribute__((format(printf, 4, 5)));
bool cw_form_refuse_entry(struct cw_form *form, struct cw_form_entry *entry, const char *code,
                          const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Reads the body of a PutEvents call; then one entry. */
bool cw_put_begin(struct cw_form *form, struct cw_form_error *error);
void cw_put_next(struct cw_form *form, struct cw_form_entry *entry);

/* One CloudEvent: the object at a node of the body, or the request's headers and body. */
void cw_cloud_next(struct cw_form *form, uint32_t object, struct cw_form_entry *entry);
void cw_cloud_binary(struct cw_form *form, struct cw_form_entry *entry);

#endif
