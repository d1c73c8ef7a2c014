/* decode_priv: what decode.c (documents, envelopes) and decode_fields.c (fields) share. */
#ifndef CW_PIPELINE_DECODE_PRIV_H
#define CW_PIPELINE_DECODE_PRIV_H

#include "pipeline/decode.h"

/* clang-format off */
/* The words that events use as names; their order is free. */
#define CW_EVENT_WORDS(X)                                                          \
    X(customerId) X(cartId) X(cartValue) X(items) X(timestamp) X(itemCount)        \
    X(currency) X(abandonmentReason) X(marketplace) X(cartUrl) X(category)         \
    X(discountSensitivity) X(orderId) X(orderValue) X(discountAmount)              \
    X(discountCode) X(amount) X(name) X(email) X(phone) X(pushToken)               \
    X(accountStatus) X(paymentMethodOnFile) X(optedOut) X(timezone) X(locale)      \
    X(purchaseHistory) X(avgOrderValue) X(cartAbandonmentRate) X(emailEngagement)  \
    X(productId) X(available) X(messageId) X(reason) X(rating) X(id) X(price)      \
    X(quantity) X(imageUrl) X(source) X(time) X(detail) X(eventBusName)

/* clang-format on */

enum cw_word {
#define CW_X(word) CW_WORD_##word, /* NOLINT(readability-identifier-naming) */
    CW_EVENT_WORDS(CW_X)
#undef CW_X
    CW_WORD_detail_type, /* NOLINT(readability-identifier-naming): spelt with a hyphen */
    CW_WORD_COUNT
};

enum {
    CW_WORD_SLOTS = 256,
    CW_WORD_BYTES = 32 /* room of a word; what is compared at once */
};

struct cw_decoder {
    struct cw_decoder_options options;
    struct cw_json_parser *parser;
    struct cw_pattern_scratch *scratch;
    struct cw_arena own;   /* this struct lives in it */
    struct cw_arena arena; /* what events point to, unless the caller gave another */
    struct cw_arena *to;
    struct cw_json doc;
    struct cw_view bus; /* of the last event */
    bool parsed;
    bool sessions;                /* some program watches sessions: keep the text of carts */
    uint8_t slots[CW_WORD_SLOTS]; /* word + 1 by its hash, 0 empty */
    _Alignas(CW_WORD_BYTES) char words[CW_WORD_COUNT][CW_WORD_BYTES];
    uint8_t word_bytes[CW_WORD_COUNT];
    uint16_t type_fields[CW_EVENT_TYPE_COUNT + 1]; /* where each type's rows begin */
};

/* Where each word's last value is among the members of an object. */
void cw_decode_locate(const struct cw_decoder *decoder, uint32_t object,
                      uint32_t at[CW_WORD_COUNT]);

/* The word that a name is, CW_WORD_COUNT for others. 32 bytes from word are readable. */
uint32_t cw_decode_word(const struct cw_decoder *decoder, const char *word, uint32_t bytes);

/* Refuses the event; returns false so that `return cw_decode_refuse(...)` reads as one step. */
bool cw_decode_refuse(struct cw_decoder *decoder, struct cw_event *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The string a node holds, unescaped only when it must be. */
struct cw_view cw_decode_string(struct cw_decoder *decoder, uint32_t node);

static inline bool cw_decode_is_string(const struct cw_decoder *decoder, uint32_t node)
{
    return decoder->doc.nodes[node].type == CW_JSON_STRING;
}

/* Not there, or null. */
static inline bool cw_decode_absent(const struct cw_decoder *decoder, uint32_t node)
{
    return node == CW_JSON_NONE || decoder->doc.nodes[node].type == CW_JSON_NULL;
}

/* decode_fields.c: indexes the rows of the field table by type; once, at open. */
void cw_decode_index_fields(struct cw_decoder *decoder);

/* Where a field stands, for reasons: an item's number, or one of these. */
#define CW_PLACE_DETAIL   (-1)
#define CW_PLACE_ENVELOPE (-2)

struct cw_bounds {
    double min, max;
};

bool cw_decode_id(struct cw_decoder *decoder, uint32_t node, int32_t place, enum cw_word word,
                  struct cw_view *id, struct cw_event *event);
bool cw_decode_text(struct cw_decoder *decoder, uint32_t node, int32_t place, enum cw_word word,
                    struct cw_bounds bounds, struct cw_view *value, struct cw_event *event);

/* All fields of the event's type, from the members of its detail. */
bool cw_decode_fields(struct cw_decoder *decoder, const uint32_t at[CW_WORD_COUNT],
                      struct cw_event *event);

#endif
