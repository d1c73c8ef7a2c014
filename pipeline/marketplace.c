/* marketplace: facts that come with a marketplace, and values that differ by it. */
#include "pipeline/program.h"

static const struct cw_marketplace marketplaces[] = {
    {"US", "USD", "en-US", "America/New_York"},  {"UK", "GBP", "en-GB", "Europe/London"},
    {"DE", "EUR", "de-DE", "Europe/Berlin"},     {"FR", "EUR", "fr-FR", "Europe/Paris"},
    {"JP", "JPY", "ja-JP", "Asia/Tokyo"},        {"IN", "INR", "en-IN", "Asia/Kolkata"},
    {"BR", "BRL", "pt-BR", "America/Sao_Paulo"}, {"AU", "AUD", "en-AU", "Australia/Sydney"},
};

/* ISO 4217 currencies whose minor unit is not a hundredth. */
static const struct {
    char code[4];
    uint32_t digits;
} exponents[] = {
    {"BHD", 3}, {"BIF", 0}, {"CLF", 4}, {"CLP", 0}, {"DJF", 0}, {"GNF", 0}, {"IQD", 3},
    {"ISK", 0}, {"JOD", 3}, {"JPY", 0}, {"KMF", 0}, {"KRW", 0}, {"KWD", 3}, {"LYD", 3},
    {"OMR", 3}, {"PYG", 0}, {"RWF", 0}, {"TND", 3}, {"UGX", 0}, {"UYI", 0}, {"UYW", 4},
    {"VND", 0}, {"VUV", 0}, {"XAF", 0}, {"XOF", 0}, {"XPF", 0},
};

const struct cw_marketplace *cw_marketplace_find(struct cw_view code)
{
    for (uint32_t i = 0; i < CW_COUNTOF(marketplaces); i++) {
        struct cw_view known = {marketplaces[i].code, 2};
        if (cw_view_equal(code, known)) {
            return &marketplaces[i];
        }
    }
    return NULL;
}

uint32_t cw_currency_digits(struct cw_view currency)
{
    for (uint32_t i = 0; i < CW_COUNTOF(exponents); i++) {
        struct cw_view known = {exponents[i].code, 3};
        if (cw_view_equal(currency, known)) {
            return exponents[i].digits;
        }
    }
    return 2;
}

const char *cw_channel_name(enum cw_channel channel)
{
    static const char *const names[CW_CHANNEL_COUNT] = {
#define CW_X(name, text) text,
        CW_CHANNELS(CW_X)
#undef CW_X
    };
    CW_ASSERT(channel < CW_CHANNEL_COUNT);
    return names[channel];
}

bool cw_by_market_get(const struct cw_by_market *map, struct cw_view market, double *value)
{
    if (!map->set) {
        return false;
    }
    if (!map->by_market) {
        *value = map->any;
        return true;
    }
    for (uint32_t i = 0; i < map->count; i++) {
        if (cw_view_equal(map->entries[i].market, market)) {
            *value = map->entries[i].value;
            return true;
        }
    }
    return false;
}
