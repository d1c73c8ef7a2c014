/* service_remark: when nearly everything is rejected for one reason, somebody has to be told. */
#include "core/format.h"
#include "pipeline/service_priv.h"

#include <string.h>

enum {
    ABANDONMENTS_MIN = 1000, /* fewer say nothing */
    PERCENT_MIN = 95
};

static const struct {
    const char *what, *remedy;
} remedies[CW_REJECTION_COUNT] = {
    [CW_REJECTION_UNKNOWN_CUSTOMER] = {"their customers are not known",
                                       "send a CustomerUpdated of each customer first, then the "
                                       "cart again with a new id, or set allowUnknown: true in "
                                       "the trust filter"},
    [CW_REJECTION_ACCOUNT_NOT_ACTIVE] = {"their accounts are not active",
                                         "send CustomerUpdated with accountStatus: active"},
    [CW_REJECTION_NO_PAYMENT_METHOD] = {"their customers have no payment method on file",
                                        "send CustomerUpdated with paymentMethodOnFile: true, or "
                                        "set requirePaymentMethod: false in the trust filter"},
    [CW_REJECTION_BELOW_MINIMUM] = {"they are worth less than minCartValue",
                                    "lower minCartValue, or look whether cartValue comes in minor "
                                    "units of another currency"},
    [CW_REJECTION_PURCHASED] = {"their carts were bought",
                                "look whether the shop sends CartAbandoned after OrderPlaced, or "
                                "with a timestamp that is too early"},
    [CW_REJECTION_CART_NOT_ACTIVE] = {"their carts were changed or cleared since",
                                      "look whether the shop's CartUpdated is later than its "
                                      "CartAbandoned"},
    [CW_REJECTION_CART_EXPIRED] = {"they are older than candidateTTLDays",
                                   "look at the events' times, or run with --clock event to work "
                                   "through old ones"},
    [CW_REJECTION_MARKETPLACE] = {"their marketplace is not listed",
                                  "add it to the program's marketplaces"},
    [CW_REJECTION_NO_ADDRESS] = {"their customers have no address on any channel",
                                 "send CustomerUpdated with email, phone or pushToken"},
    [CW_REJECTION_OPTED_OUT] = {"their customers have opted out",
                                "look whether CustomerUpdated says optedOut by mistake"},
    [CW_REJECTION_FREQUENCY_CAP] = {"their customers have had as many messages as the caps allow",
                                    "raise the program's caps, or leave it so"},
    [CW_REJECTION_OUT_OF_STOCK] = {"their products are out of stock",
                                   "send InventoryChanged, or set requireInStock: false"}};

static const char *say(struct cw_service *service, uint32_t which, uint64_t part, uint64_t all,
                       const char *what, const char *remedy)
{
    int64_t now = cw_service_clock(service);
    int64_t *told = &service->remark.told[which];
    if (*told != CW_TIME_NONE && now - *told < CW_HOUR_MS) {
        return NULL;
    }
    *told = now;
    (void)cw_format(service->remark.text, sizeof service->remark.text,
                    "%llu of the last %llu abandonments came to nothing because %s: %s",
                    (unsigned long long)part, (unsigned long long)all, what, remedy);
    return service->remark.text;
}

/* What a person can read of it, cut. */
static void keep(char out[64], struct cw_view text)
{
    uint32_t bytes = text.bytes < 63 ? text.bytes : 63;
    for (uint32_t i = 0; i < bytes; i++) {
        out[i] = text.data[i] >= ' ' && text.data[i] <= '~' ? text.data[i] : '?';
    }
    out[bytes] = '\0';
}

void cw_service_note_unknown(struct cw_service *service, const struct cw_event *event)
{
    const struct cw_json *doc = cw_decoder_document(service->decoder);
    if (service->remark.source[0] != '\0' || doc == NULL) {
        return;
    }
    uint32_t type = cw_json_find(doc, 0, CW_VIEW("detail-type"));
    keep(service->remark.source, event->source);
    keep(service->remark.type,
         type == CW_JSON_NONE
             ? CW_VIEW("")
             : (struct cw_view){doc->text + doc->nodes[type].text, doc->nodes[type].text_bytes});
}

/* A misspelt event takes no effect, and is no error: other things may be on the same bus. */
static const char *say_unknown(struct cw_service *service, uint64_t unknown)
{
    int64_t *told = &service->remark.told[CW_REJECTION_COUNT + 1];
    if (unknown == 0 || *told != CW_TIME_NONE) {
        return NULL;
    }
    *told = cw_service_clock(service);
    (void)cw_format(service->remark.text, sizeof service->remark.text,
                    "an event came whose source and detail-type mean nothing here (%s, %s), and "
                    "no cart is followed yet: look at their spelling (ecommerce.cart, "
                    "CartAbandoned); cartwheel config --help tells the names, and how to use "
                    "others",
                    service->remark.source, service->remark.type);
    return service->remark.text;
}

const char *cw_service_remark(struct cw_service *service)
{
    const struct cw_fates *fates = cw_pipeline_fates(service->pipeline);
    bool first = fates->created == 0; /* whoever tries this for the first time sends one */
    const char *unknown =
        first ? say_unknown(service, fates->events[CW_EVENT_FATE_UNKNOWN_TYPE]) : NULL;
    if (unknown != NULL) {
        return unknown;
    }
    uint64_t unmatched = fates->events[CW_EVENT_FATE_UNMATCHED] - service->remark.unmatched;
    uint64_t all = fates->items - service->remark.items + unmatched;
    if (all < (first ? 1 : ABANDONMENTS_MIN)) {
        return NULL;
    }
    uint64_t most = unmatched;
    uint32_t which = CW_REJECTION_COUNT;
    for (uint32_t i = 1; i < CW_REJECTION_COUNT; i++) {
        uint64_t part = fates->rejections[i] - service->remark.rejections[i];
        if (part > most) {
            most = part;
            which = i;
        }
    }
    service->remark.items = fates->items;
    service->remark.unmatched = fates->events[CW_EVENT_FATE_UNMATCHED];
    memcpy(service->remark.rejections, fates->rejections, sizeof fates->rejections);
    if (most * 100 < all * PERCENT_MIN) {
        return NULL;
    }
    return which == CW_REJECTION_COUNT
               ? say(service, which, most, all, "no program's eventPattern matches them",
                     "cartwheel explain PROGRAM.yaml EVENTS.ndjson shows why")
               : say(service, which, most, all, remedies[which].what, remedies[which].remedy);
}
