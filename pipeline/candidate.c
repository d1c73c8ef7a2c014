/* candidate: a customer's candidates of a program as JSON, in the document's names. */
#include "pipeline/pipeline_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const statuses[] = {
    [CW_STATUS_SCHEDULED] = "scheduled",   [CW_STATUS_ACTIVE] = "active",
    [CW_STATUS_CONVERTED] = "converted",   [CW_STATUS_CANCELLED] = "cancelled",
    [CW_STATUS_SUPERSEDED] = "superseded", [CW_STATUS_REJECTED] = "rejected",
    [CW_STATUS_EXPIRED] = "expired"};

static const char *const states[] = {
    [CW_TOUCH_PENDING] = "pending", [CW_TOUCH_SENT] = "sent",       [CW_TOUCH_SKIPPED] = "skipped",
    [CW_TOUCH_FAILED] = "failed",   [CW_TOUCH_SENDING] = "sending", [CW_TOUCH_UNKNOWN] = "unknown"};

static void string_or_null(struct cw_text *json, struct cw_view text)
{
    if (text.data != NULL) {
        cw_text_json(json, text);
    } else {
        cw_text_puts(json, "null");
    }
}

static void word(struct cw_text *json, const char *name, const char *text)
{
    cw_text_printf(json, "\"%s\":\"%s\"", name, text);
}

/* As ids of messages are made, with a number that no touch has: never that of another candidate. */
static void write_id(const struct cw_pipeline *p, const struct cw_candidate_row *candidate,
                     struct cw_view customer, struct cw_text *json)
{
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    char id[CW_MESSAGE_ID_BYTES];
    cw_message_id(p->options.partitions, texts.program, customer, texts.cart, candidate->first_t0,
                  UINT32_C(1) << 31 | candidate->serial, id);
    cw_text_json(json, (struct cw_view){id, sizeof id});
}

static void write_items(const struct cw_candidate_row *candidate, struct cw_text *json)
{
    const struct cw_item_row *items = cw_candidate_items(candidate);
    const char *text = cw_candidate_texts(candidate).items;
    for (uint32_t i = 0; i < candidate->item_count; i++) {
        cw_text_puts(json, i == 0 ? "{\"id\":" : ",{\"id\":");
        cw_text_json(json, (struct cw_view){text, items[i].id_bytes});
        text += items[i].id_bytes;
        cw_text_puts(json, ",\"name\":");
        cw_text_json(json, (struct cw_view){text, items[i].name_bytes});
        text +=
            items[i].name_bytes + (items[i].image_bytes == UINT32_MAX ? 0 : items[i].image_bytes);
        cw_text_puts(json, ",\"price\":");
        cw_text_number(json, items[i].price);
        cw_text_puts(json, ",\"quantity\":");
        cw_text_u64(json, items[i].quantity);
        cw_text_char(json, '}');
    }
}

static void write_touches(const struct cw_candidate_row *candidate, struct cw_text *json)
{
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    bool over = candidate->status >= CW_STATUS_CONVERTED;
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        const struct cw_touch_row *touch = &touches[i];
        bool went = touch->state == CW_TOUCH_SENT || touch->state == CW_TOUCH_SENDING ||
                    touch->state == CW_TOUCH_UNKNOWN;
        bool pending = touch->state == CW_TOUCH_PENDING;
        cw_text_printf(json, "%s{\"touch\":%u,", i == 0 ? "" : ",", i + 1);
        word(json, "channel", cw_channel_name((enum cw_channel)touch->channel));
        cw_text_puts(json, ",\"delivery_time\":");
        cw_text_json_time(json, went ? touch->sent_at : touch->due);
        cw_text_char(json, ',');
        word(json, "status", pending && over ? "cut-off" : states[touch->state]);
        cw_text_puts(json, ",\"reason\":");
        bool told = touch->reason != CW_TOUCH_REASON_NONE && touch->state != CW_TOUCH_SENT &&
                    touch->state != CW_TOUCH_SENDING && !(pending && over);
        if (told) {
            cw_text_char(json, '"');
            cw_text_puts(json, cw_touch_reason_name((enum cw_touch_reason)touch->reason));
            cw_text_char(json, '"');
        } else {
            cw_text_puts(json, "null");
        }
        cw_text_char(json, '}');
    }
}

static void write_code(const struct cw_pipeline *p, const struct cw_candidate_row *candidate,
                       struct cw_view customer, struct cw_text *json)
{
    const struct cw_program *program =
        cw_programs_find(p->programs, cw_candidate_texts(candidate).program);
    bool unique = program != NULL && program->unique_codes;
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    for (uint32_t i = 0; i < candidate->touch_count; i++) {
        unique = unique || (touches[i].flags & CW_TOUCH_UNIQUE) != 0;
    }
    char code[32];
    struct cw_view text = {0};
    if (candidate->discount > 0) {
        text.bytes =
            cw_discount_code(p, candidate->discount, unique, candidate->serial, customer, code);
        text.data = code;
    }
    string_or_null(json, text);
}

static void write_candidate(const struct cw_pipeline *p, cw_row row, struct cw_view customer,
                            struct cw_text *json)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    cw_text_puts(json, "{\"candidateId\":");
    write_id(p, candidate, customer, json);
    cw_text_puts(json, ",\"customerId\":");
    cw_text_json(json, customer);
    cw_text_puts(json, ",\"programId\":");
    cw_text_json(json, texts.program);
    cw_text_puts(json, ",\"cartId\":");
    cw_text_json(json, texts.cart);
    cw_text_char(json, ',');
    word(json, "status", statuses[candidate->status]);
    cw_text_puts(json, ",\"purchase_intent\":");
    cw_text_number(json, round(candidate->score * 1e4) / 1e4);
    cw_text_char(json, ',');
    word(json, "confidence", cw_confidence_name((enum cw_confidence)candidate->confidence));
    cw_text_puts(json, ",\"cart_value\":");
    cw_text_number(json, candidate->cart_value);
    cw_text_puts(json, ",\"currency\":");
    string_or_null(json, texts.currency);
    cw_text_puts(json, ",\"discount_offer\":");
    cw_text_number(json, candidate->discount);
    cw_text_puts(json, ",\"discount_code\":");
    write_code(p, candidate, customer, json);
    cw_text_puts(json, ",\"items\":[");
    write_items(candidate, json);
    cw_text_puts(json, "],\"touches\":[");
    write_touches(candidate, json);
    cw_text_puts(json, "],\"createdAt\":");
    cw_text_json_time(json, candidate->created_at);
    cw_text_puts(json, ",\"expiresAt\":");
    cw_text_json_time(json, candidate->expires_at);
    cw_text_char(json, '}');
}

struct found {
    cw_row row;
    uint32_t serial;
    bool in_flight;
};

/* Those in flight first, then the newest. */
static int newest_first(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    return x->in_flight != y->in_flight ? (x->in_flight ? -1 : 1)
                                        : (x->serial < y->serial) - (x->serial > y->serial);
}

static uint32_t count_list(const struct cw_pipeline *p, cw_row head)
{
    uint32_t count = 0;
    for (cw_row row = head; row != CW_ROW_NONE; row = cw_candidate_at(p, row)->next) {
        count++;
    }
    return count;
}

static uint32_t take(const struct cw_pipeline *p, cw_row head, struct cw_view program,
                     struct found *list)
{
    uint32_t count = 0;
    for (cw_row row = head; row != CW_ROW_NONE; row = cw_candidate_at(p, row)->next) {
        const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
        if (!cw_candidate_over(p, candidate) &&
            cw_view_equal(cw_candidate_texts(candidate).program, program)) {
            list[count++] = (struct found){.row = row,
                                           .serial = candidate->serial,
                                           .in_flight = candidate->status < CW_STATUS_CONVERTED};
        }
    }
    return count;
}

bool cw_pipeline_candidate(struct cw_pipeline *p, struct cw_view id, struct cw_view program,
                           bool all, struct cw_text *json)
{
    struct cw_customer customer;
    if (id.bytes == 0 || id.bytes > CW_ID_BYTES_MAX || !cw_customer_find(p, id, &customer)) {
        return false;
    }
    size_t most =
        (size_t)count_list(p, customer.at->in_flight) + count_list(p, customer.at->history) + 1;
    if (!cw_arena_room(&p->scratch, most * sizeof(struct found))) {
        return false;
    }
    struct found *list = cw_arena_alloc(&p->scratch, most * sizeof *list, 8);
    uint32_t count = take(p, customer.at->in_flight, program, list);
    count += take(p, customer.at->history, program, list + count);
    if (count > 1) {
        qsort(list, count, sizeof *list, newest_first);
    }
    if (all && count > 0) {
        cw_text_char(json, '[');
    }
    for (uint32_t i = 0; i < (all || count == 0 ? count : 1); i++) {
        if (i > 0) {
            cw_text_char(json, ',');
        }
        write_candidate(p, list[i].row, id, json);
    }
    if (all && count > 0) {
        cw_text_char(json, ']');
    }
    cw_arena_reset(&p->scratch);
    return count > 0;
}
