#include "bench/corpus.h"

#include "core/json.h"
#include "core/text.h"

#include <stdlib.h>

struct maker {
    struct cw_text text;
    uint64_t *starts;
    uint32_t made;
    uint64_t random;
};

static uint32_t below(struct maker *m, uint32_t bound)
{
    return (uint32_t)((cw_corpus_random(&m->random) >> 32) * bound >> 32);
}

#define ONE_OF(m, list) ((list)[below((m), (uint32_t)CW_COUNTOF(list))])

static struct maker start(uint32_t count, uint64_t seed)
{
    struct maker m = {.random = seed};
    m.starts = calloc((size_t)count + 1, sizeof *m.starts);
    CW_ASSERT(m.starts != NULL);
    return m;
}

static void end_document(struct maker *m)
{
    cw_text_char(&m->text, '\n');
    m->starts[++m->made] = m->text.bytes;
}

static struct cw_corpus finish(struct maker *m)
{
    memset(cw_text_room(&m->text, CW_JSON_PADDING), ' ', CW_JSON_PADDING);
    return (struct cw_corpus){
        .text = m->text.data, .starts = m->starts, .count = m->made, .bytes = m->text.bytes};
}

void cw_corpus_free(struct cw_corpus *corpus)
{
    free(corpus->text);
    free(corpus->starts);
    *corpus = (struct cw_corpus){0};
}

static void hex(struct maker *m, uint32_t digits)
{
    for (uint32_t i = 0; i < digits; i++) {
        cw_text_char(&m->text, "0123456789abcdef"[below(m, 16)]);
    }
}

static const struct product {
    const char *name, *category;
} products[] = {
    {"Wireless Headphones", "Electronics"},
    {"Phone Case", "Accessories"},
    {"Screen Protector", "Accessories"},
    {"Espresso Machine", "Kitchen"},
    {"Running Shoes", "Sports"},
    {"Yoga Mat", "Sports"},
    {"USB-C Cable 2 m", "Electronics"},
    {"Desk Lamp", "Home"},
    {"Mechanical Keyboard", "Electronics"},
    {"Water Bottle", "Sports"},
    {"Cast Iron Pan", "Kitchen"},
    {"Linen Shirt", "Apparel"},
    {"4K Monitor 27 inch", "Electronics"},
    {"Wool Socks", "Apparel"},
};

/* Appends one item and returns its price in cents. */
static uint32_t put_item(struct maker *m, bool first)
{
    const struct product *product = &ONE_OF(m, products);
    uint32_t cents = 499 + below(m, 30000);
    uint32_t quantity = 1 + below(m, 3);
    cw_text_printf(&m->text, "%s{\"id\":\"P%u\",\"name\":\"%s\",\"price\":%u.%02u,\"quantity\":%u}",
                   first ? "" : ",", 1 + below(m, 9999), product->name, cents / 100, cents % 100,
                   quantity);
    return cents * quantity;
}

static void put_cart(struct maker *m, uint32_t url_bytes)
{
    static const char *const reasons[] = {"session_timeout", "navigated_away", "payment_failed"};
    static const char *const markets[] = {"US", "UK", "DE", "FR", "JP", "IN", "BR", "AU"};
    static const char *const currencies[] = {"USD", "EUR", "GBP"};
    struct cw_text *text = &m->text;
    cw_text_puts(text, "{\"version\":\"0\",\"id\":\"");
    static const uint32_t groups[] = {8, 4, 4, 4, 12};
    for (uint32_t i = 0; i < CW_COUNTOF(groups); i++) {
        cw_text_puts(text, i == 0 ? "" : "-");
        hex(m, groups[i]);
    }
    uint32_t day = 1 + below(m, 28);
    uint32_t seconds = below(m, 86400);
    cw_text_printf(text,
                   "\",\"detail-type\":\"CartAbandoned\",\"source\":\"ecommerce.cart\","
                   "\"account\":\"123456789012\",\"time\":\"2026-01-%02uT%02u:%02u:%02uZ\","
                   "\"region\":\"us-east-1\",\"resources\":[],\"detail\":{\"customerId\":\"C%u\","
                   "\"cartId\":\"CART-%u\",\"items\":[",
                   day, seconds / 3600, seconds / 60 % 60, seconds % 60, below(m, 1000000),
                   below(m, 10000000));
    uint32_t items = 3 + below(m, 4);
    uint32_t cents = 0;
    for (uint32_t i = 0; i < items; i++) {
        cents += put_item(m, i == 0);
    }
    cw_text_printf(text,
                   "],\"itemCount\":%u,\"cartValue\":%u.%02u,\"currency\":\"%s\","
                   "\"category\":\"%s\",\"abandonmentReason\":\"%s\",\"marketplace\":\"%s\","
                   "\"timestamp\":\"2026-01-%02uT%02u:%02u:%02uZ\"",
                   items, cents / 100, cents % 100, ONE_OF(m, currencies),
                   ONE_OF(m, products).category, ONE_OF(m, reasons), ONE_OF(m, markets), day,
                   seconds / 3600, seconds / 60 % 60, seconds % 60);
    if (url_bytes > 0) {
        cw_text_puts(text, ",\"cartUrl\":\"https://shop.example/cart?token=");
        hex(m, url_bytes);
        cw_text_char(text, '"');
    }
    cw_text_puts(text, "}}");
    end_document(m);
}

enum {
    CART_BARE_BYTES = 736, /* measured: the mean without the URL */
    CART_URL_BYTES = 45    /* the URL member's own, without its token */
};

struct cw_corpus cw_corpus_cart(uint32_t count, uint32_t bytes_mean, uint64_t seed)
{
    CW_ASSERT(count > 0 && bytes_mean >= CW_CORPUS_CART_BYTES && bytes_mean <= 2000);
    uint32_t bare = CART_BARE_BYTES + CART_URL_BYTES;
    struct maker m = start(count, seed);
    for (uint32_t i = 0; i < count; i++) {
        put_cart(&m, bytes_mean > bare ? bytes_mean - bare : 0);
    }
    return finish(&m);
}

/* A coordinate with 15 decimals, scattered around degrees. */
static void put_coordinate(struct maker *m, const char *before, uint32_t degrees)
{
    uint64_t fraction = cw_corpus_random(&m->random) % 1000000000000000u;
    cw_text_printf(&m->text, "%s%u.%015llu", before, degrees, (unsigned long long)fraction);
}

static void put_lot(struct maker *m)
{
    static const char *const streets[] = {"MARKET", "MISSION",   "VALENCIA", "GEARY",
                                          "TAYLOR", "JEFFERSON", "COLUMBUS", "POLK"};
    static const char *const kinds[] = {"ST", "AVE", "BLVD", "WAY"};
    struct cw_text *text = &m->text;
    uint32_t block = below(m, 10000);
    uint32_t lot = below(m, 1000);
    uint32_t from = 1 + below(m, 4000);
    cw_text_printf(text,
                   "{\"type\":\"Feature\",\"properties\":{\"MAPBLKLOT\":\"%04u%03u\","
                   "\"BLKLOT\":\"%04u%03u\",\"BLOCK_NUM\":\"%04u\",\"LOT_NUM\":\"%03u\","
                   "\"FROM_ST\":\"%u\",\"TO_ST\":\"%u\",\"STREET\":\"%s\",\"ST_TYPE\":\"%s\","
                   "\"ODD_EVEN\":\"%s\"},\"geometry\":{\"type\":\"Polygon\",\"coordinates\":[[",
                   block, lot, block, lot, block, lot, from, from + below(m, 20),
                   ONE_OF(m, streets), ONE_OF(m, kinds), from % 2 == 1 ? "O" : "E");
    uint32_t points = 12 + below(m, 5);
    for (uint32_t i = 0; i < points; i++) {
        put_coordinate(m, i == 0 ? "[-" : ",[-", 122);
        put_coordinate(m, ",", 37);
        cw_text_puts(text, ",0.0]");
    }
    cw_text_puts(text, "]]}}");
    end_document(m);
}

struct cw_corpus cw_corpus_cl2(uint32_t count, uint64_t seed)
{
    CW_ASSERT(count > 0);
    struct maker m = start(count, seed);
    for (uint32_t i = 0; i < count; i++) {
        put_lot(&m);
    }
    return finish(&m);
}
