#include "tools/answer.h"

/* What a string means, cut to the room, fit for a terminal. */
static void keep_text(const struct cw_json *doc, uint32_t node, char *out, uint32_t room)
{
    char meant[4096];
    out[0] = '\0';
    if (node == CW_JSON_NONE || doc->nodes[node].type != CW_JSON_STRING) {
        return;
    }
    struct cw_view raw = cw_json_raw(doc, node);
    if (raw.bytes > sizeof meant) {
        raw.bytes = sizeof meant;
        /* No escape may be cut through. */
        const char *escape = memchr(raw.data, '\\', raw.bytes);
        raw.bytes = escape == NULL ? raw.bytes : (uint32_t)(escape - raw.data);
    }
    uint32_t bytes = cw_json_unescape(raw, meant);
    if (bytes >= room) {
        bytes = room - 1;
        while (bytes > 0 && ((uint8_t)meant[bytes] & 0xc0) == 0x80) {
            bytes--; /* not through a character */
        }
    }
    for (uint32_t i = 0; i < bytes; i++) {
        bool control = (uint8_t)meant[i] < ' ' || meant[i] == 0x7f;
        out[i] = meant[i];
        if (control) {
            out[i] = '?';
        }
        if ((uint8_t)meant[i] == 0xc2 && (uint8_t)meant[i + 1] < 0xa0) { /* a C1 control */
            out[i++] = '?';
            out[i] = '?';
        }
    }
    out[bytes] = '\0';
}

static bool find_count(const struct cw_json *doc, uint32_t object, struct cw_view name,
                       uint64_t *value)
{
    uint32_t node = cw_json_find(doc, object, name);
    int64_t number = 0;
    if (node == CW_JSON_NONE || doc->nodes[node].type != CW_JSON_NUMBER ||
        !cw_json_int64(cw_json_raw(doc, node), &number) || number < 0) {
        return false;
    }
    *value = (uint64_t)number;
    return true;
}

static bool parse(struct cw_json_parser *parser, struct cw_view text, struct cw_json *doc)
{
    return cw_json_parse(parser, text.data, text.bytes, doc) == CW_JSON_PARSE_OK &&
           doc->nodes[0].type == CW_JSON_OBJECT;
}

/* Is it marked as one that may come again? */
static bool may_come_again(const struct cw_json *doc, uint32_t object)
{
    uint32_t node = cw_json_find(doc, object, CW_VIEW("retry"));
    return node != CW_JSON_NONE && doc->nodes[node].type == CW_JSON_TRUE;
}

/* accepted, duplicate, and the list of the rejected, each with its index or its line. */
static bool read_counts(const struct cw_json *doc, struct cw_view name,
                        struct cw_answer_counts *counts, cw_answer_fn *each, void *self)
{
    uint32_t list = cw_json_find(doc, 0, CW_VIEW("rejected"));
    if (!find_count(doc, 0, CW_VIEW("accepted"), &counts->accepted) ||
        !find_count(doc, 0, CW_VIEW("duplicate"), &counts->duplicate) || list == CW_JSON_NONE ||
        doc->nodes[list].type != CW_JSON_ARRAY) {
        return false;
    }
    for (uint32_t i = list + 1; i < doc->nodes[list].next; i = doc->nodes[i].next) {
        char reason[CW_ANSWER_REASON];
        uint64_t index = 0;
        if (doc->nodes[i].type != CW_JSON_OBJECT || !find_count(doc, i, name, &index)) {
            return false;
        }
        bool again = may_come_again(doc, i);
        counts->again += again;
        counts->rejected += !again;
        if (each != NULL) {
            keep_text(doc, cw_json_find(doc, i, CW_VIEW("reason")), reason, sizeof reason);
            each(self, index, again, reason);
        }
    }
    return true;
}

bool cw_answer_events(struct cw_json_parser *parser, struct cw_view text,
                      struct cw_answer_counts *counts, cw_answer_fn *each, void *self)
{
    struct cw_json doc;
    *counts = (struct cw_answer_counts){.accepted = 0};
    return parse(parser, text, &doc) && read_counts(&doc, CW_VIEW("index"), counts, each, self);
}

bool cw_answer_line(struct cw_json_parser *parser, struct cw_view text,
                    struct cw_answer_counts *counts, cw_answer_fn *each, void *self)
{
    struct cw_json doc;
    *counts = (struct cw_answer_counts){.accepted = 0};
    return parse(parser, text, &doc) && find_count(&doc, 0, CW_VIEW("ack"), &counts->ack) &&
           read_counts(&doc, CW_VIEW("line"), counts, each, self);
}

bool cw_answer_put_events(struct cw_json_parser *parser, struct cw_view text,
                          struct cw_answer_counts *counts, cw_answer_fn *each, void *self)
{
    struct cw_json doc;
    *counts = (struct cw_answer_counts){.accepted = 0};
    if (!parse(parser, text, &doc)) {
        return false;
    }
    uint32_t list = cw_json_find(&doc, 0, CW_VIEW("Entries"));
    if (list == CW_JSON_NONE || doc.nodes[list].type != CW_JSON_ARRAY) {
        return false;
    }
    uint64_t index = 0;
    for (uint32_t i = list + 1; i < doc.nodes[list].next; i = doc.nodes[i].next, index++) {
        if (doc.nodes[i].type != CW_JSON_OBJECT) {
            return false;
        }
        char code[64];
        char message[CW_ANSWER_REASON];
        keep_text(&doc, cw_json_find(&doc, i, CW_VIEW("ErrorCode")), code, sizeof code);
        if (code[0] == '\0') {
            counts->accepted++;
            continue;
        }
        bool again =
            strcmp(code, "InternalFailure") == 0 || strcmp(code, "ThrottlingException") == 0;
        counts->again += again;
        counts->rejected += !again;
        if (each != NULL) {
            keep_text(&doc, cw_json_find(&doc, i, CW_VIEW("ErrorMessage")), message,
                      sizeof message);
            each(self, index, again, message[0] != '\0' ? message : code);
        }
    }
    return true;
}

void cw_answer_refusal(struct cw_json_parser *parser, struct cw_view text,
                       struct cw_answer_refusal *refusal)
{
    struct cw_json doc;
    *refusal = (struct cw_answer_refusal){.type = ""};
    if (!parse(parser, text, &doc)) {
        return;
    }
    char type[CW_ANSWER_REASON];
    keep_text(&doc, cw_json_find(&doc, 0, CW_VIEW("__type")), type, sizeof type);
    const char *hash = strrchr(type, '#');
    const char *name = hash == NULL ? type : hash + 1;
    size_t bytes = strnlen(name, sizeof refusal->type - 1);
    memcpy(refusal->type, name, bytes);
    refusal->again = may_come_again(&doc, 0);
    static const struct cw_view names[] = {CW_VIEW("error"), CW_VIEW("message"),
                                           CW_VIEW("Message")};
    for (uint32_t i = 0; i < CW_COUNTOF(names) && refusal->message[0] == '\0'; i++) {
        keep_text(&doc, cw_json_find(&doc, 0, names[i]), refusal->message, sizeof refusal->message);
    }
}
