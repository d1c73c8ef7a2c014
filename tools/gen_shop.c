/* gen: chance, products and people. */
#include "tools/cli.h"
#include "tools/gen_priv.h"

#include <math.h>
#include <stdlib.h>

/* ---- chance: splitmix64 for hashes and seeds, xoshiro256** for the rest ---- */

static uint64_t scramble(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

uint64_t cw_gen_mix(uint64_t a, uint64_t b)
{
    return scramble(scramble(a + 0x9e3779b97f4a7c15u) + b * 0x9e3779b97f4a7c15u);
}

void cw_gen_seed(struct cw_gen_rng *rng, uint64_t seed)
{
    for (uint32_t i = 0; i < 4; i++) {
        seed += 0x9e3779b97f4a7c15u;
        rng->s[i] = scramble(seed);
    }
}

uint64_t cw_gen_next(struct cw_gen_rng *rng)
{
    uint64_t *s = rng->s;
    uint64_t product = s[1] * 5;
    uint64_t result = (product << 7 | product >> 57) * 9;
    uint64_t t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = s[3] << 45 | s[3] >> 19;
    return result;
}

double cw_gen_unit(struct cw_gen_rng *rng)
{
    return (double)(cw_gen_next(rng) >> 11) * 0x1p-53;
}

uint32_t cw_gen_below(struct cw_gen_rng *rng, uint32_t count)
{
    CW_ASSERT(count > 0);
    return (uint32_t)((cw_gen_next(rng) >> 32) * count >> 32);
}

int64_t cw_gen_between(struct cw_gen_rng *rng, int64_t a, int64_t b)
{
    CW_ASSERT(a <= b);
    return a + (int64_t)(cw_gen_unit(rng) * (double)(b - a + 1));
}

int64_t cw_gen_soon(struct cw_gen_rng *rng, int64_t a, int64_t b)
{
    double u = cw_gen_unit(rng);
    return a + (int64_t)(u * u * u * (double)(b - a));
}

uint32_t cw_gen_draw(struct cw_gen_quota *quota, struct cw_gen_rng *rng, uint32_t possible)
{
    uint32_t best = CW_GEN_NONE;
    double most = 0;
    for (uint32_t i = 0; i < quota->count; i++) {
        quota->debt[i] += quota->share[i];
        /* The noise keeps the classes from coming in a fixed rhythm. */
        double claim = quota->debt[i] + 0.6 * cw_gen_unit(rng);
        if ((possible >> i & 1) != 0 && (best == CW_GEN_NONE || claim > most)) {
            best = i;
            most = claim;
        }
    }
    CW_ASSERT(best != CW_GEN_NONE);
    quota->debt[best] -= 1;
    return best;
}

/* ---- products ---- */

static const struct {
    const char *noun;
    uint32_t cents;
} nouns[CW_GEN_CATEGORIES][8] = {
    {{"Headphones", 8000},
     {"Phone Case", 2400},
     {"Screen Protector", 1600},
     {"Keyboard", 9500},
     {"Smart Watch", 24000},
     {"USB-C Charger", 3400},
     {"Tablet", 39900},
     {"Bluetooth Speaker", 6900}},
    {{"T-Shirt", 1900},
     {"Jeans", 6500},
     {"Rain Jacket", 12900},
     {"Sneakers", 8900},
     {"Wool Scarf", 3400},
     {"Socks", 900},
     {"Dress", 7400},
     {"Leather Belt", 3900}},
    {{"Table Lamp", 4900},
     {"Kettle", 5400},
     {"Duvet Cover", 6900},
     {"Knife Set", 11900},
     {"Vase", 2700},
     {"Espresso Machine", 28900},
     {"Wall Clock", 3500},
     {"Throw Pillow", 2200}},
    {{"Face Cream", 3200},
     {"Shampoo", 1100},
     {"Perfume", 7800},
     {"Hair Dryer", 6400},
     {"Lipstick", 1900},
     {"Sun Lotion", 1500},
     {"Razor Set", 4400},
     {"Hand Soap", 700}},
    {{"Cookbook", 2800},
     {"Novel", 1400},
     {"Atlas", 4600},
     {"Biography", 2300},
     {"Language Course", 5900},
     {"Sketchbook", 1200},
     {"Picture Book", 1700},
     {"Box Set", 8900}},
    {{"Building Blocks", 5400},
     {"Puzzle", 2100},
     {"Board Game", 3900},
     {"Plush Bear", 2400},
     {"Model Train", 17900},
     {"Kite", 1900},
     {"Doll House", 12400},
     {"Card Game", 1300}},
    {{"Yoga Mat", 3300},
     {"Running Shoes", 11900},
     {"Tent", 21900},
     {"Water Bottle", 1800},
     {"Bike Helmet", 6700},
     {"Dumbbells", 5900},
     {"Backpack", 8400},
     {"Tennis Racket", 14900}},
    {{"Coffee Beans", 1600},
     {"Olive Oil", 1900},
     {"Green Tea", 1100},
     {"Dark Chocolate", 800},
     {"Honey", 1000},
     {"Spice Set", 2900},
     {"Wine Box", 6900},
     {"Rice 5 kg", 1500}},
};

static const char *const makers[] = {
    "Wireless", "Classic", "Nordlicht", "Café", "Everyday", "Premium", "Alpine", "Sakura",
    "Compact",  "Eco",     "Studio",    "Zén",  "Travel",   "Urban",   "Solar",  "Heritage",
};

static const struct cw_gen_product *sort_products;

static int by_price(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    uint32_t p = sort_products[x].cents;
    uint32_t q = sort_products[y].cents;
    return p != q ? (p > q) - (p < q) : (x > y) - (x < y);
}

void cw_gen_shop_open(struct cw_gen *gen)
{
    uint32_t count = gen->options->products;
    gen->products = calloc(count, sizeof *gen->products);
    gen->by_price = calloc(count, sizeof *gen->by_price);
    gen->scarce = calloc(count, sizeof *gen->scarce);
    CW_ASSERT(gen->products != NULL && gen->by_price != NULL && gen->scarce != NULL);
    gen->scarce_every = count < 50 ? count : 50;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t h = cw_gen_mix(gen->options->seed ^ 0x9a0d, i);
        uint32_t kind = i * 37 % 64; /* so that a small shop has some of everything */
        uint32_t cents = nouns[kind / 8][kind % 8].cents;
        cents = (uint32_t)((uint64_t)cents * (70 + (h >> 8) % 61) / 100);
        gen->products[i] = (struct cw_gen_product){
            .maker = makers[(h & 0xff) % CW_COUNTOF(makers)],
            .noun = nouns[kind / 8][kind % 8].noun,
            .cents = cents / 100 * 100 + 99,
            .category = (uint8_t)(kind / 8),
        };
        if (i % gen->scarce_every == gen->scarce_every - 1) {
            gen->scarce[gen->scarce_count++] = i;
        } else {
            gen->by_price[gen->by_price_count++] = i;
        }
    }
    sort_products = gen->products;
    qsort(gen->by_price, gen->by_price_count, sizeof *gen->by_price, by_price);

    struct cw_fault fault = {0};
    cw_err err = cw_model_open(&gen->model, cw_shipped("models/purchase-intent-v4.json"),
                               "purchase-intent-v4.json", &fault);
    CW_ASSERT(err == CW_ERR_OK); /* it is part of the program */
}

void cw_gen_shop_close(struct cw_gen *gen)
{
    cw_model_close(gen->model);
    free(gen->products);
    free(gen->by_price);
    free(gen->scarce);
    free(gen->persons);
}

/* The place in by_price of the product whose price is next to this. */
static uint32_t near_price(const struct cw_gen *gen, int64_t cents)
{
    uint32_t low = 0;
    uint32_t high = gen->by_price_count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if ((int64_t)gen->products[gen->by_price[middle]].cents < cents) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool holds(const struct cw_gen_journey *journey, uint32_t count, uint32_t product)
{
    for (uint32_t i = 0; i < count; i++) {
        if (journey->product[i] == product) {
            return true;
        }
    }
    return false;
}

void cw_gen_fill_cart(struct cw_gen *gen, struct cw_gen_journey *journey, uint32_t about_cents,
                      uint32_t least_cents)
{
    uint32_t count = 1 + cw_gen_draw(&gen->counts, &gen->rng, UINT32_MAX);
    int64_t rest = about_cents;
    journey->value_cents = 0;
    for (uint32_t i = 0; i < count; i++) {
        bool last = i + 1 == count;
        double part = (double)about_cents / count * (0.5 + cw_gen_unit(&gen->rng));
        uint32_t place = near_price(gen, last ? rest : (int64_t)part);
        uint32_t spread = last ? 1 : 1 + gen->by_price_count / 40;
        place = (place + cw_gen_below(&gen->rng, spread)) % gen->by_price_count;
        while (holds(journey, i, gen->by_price[place])) { /* fewer items than products */
            place = (place + 1) % gen->by_price_count;
        }
        journey->product[i] = gen->by_price[place];
        uint32_t cents = gen->products[journey->product[i]].cents;
        bool two = !last && 2 * (int64_t)cents < rest && cw_gen_unit(&gen->rng) < 0.15;
        journey->quantity[i] = two ? 2 : 1;
        journey->value_cents += cents * journey->quantity[i];
        rest -= (int64_t)cents * journey->quantity[i];
    }
    while (journey->value_cents < least_cents) { /* every price is at least 0.99 */
        journey->quantity[count - 1]++;
        journey->value_cents += gen->products[journey->product[count - 1]].cents;
    }
    journey->item_count = (uint8_t)count;
    journey->first_count = (uint8_t)count;
    CW_ASSERT(count <= CW_GEN_ITEMS_MAX);
}

/* ---- people ---- */

/* How much people shop by the local hour. */
static const double hours[24] = {5,  3,  2,  1,  1,  2,  4,  7,  10, 12, 13, 13,
                                 14, 13, 12, 12, 13, 14, 16, 19, 21, 20, 15, 9};

static uint8_t pick_market(struct cw_gen *gen, bool foreign, int64_t now_ms)
{
    uint32_t first = foreign ? CW_GEN_MARKETS : 0;
    uint32_t end = foreign ? CW_GEN_MARKETS + CW_GEN_FOREIGN : CW_GEN_MARKETS;
    int hour = (int)(now_ms / CW_HOUR_MS % 24);
    double weight[CW_GEN_MARKETS + CW_GEN_FOREIGN];
    double sum = 0;
    for (uint32_t i = first; i < end; i++) {
        const struct cw_gen_market *market = &cw_gen_markets[i];
        weight[i] = market->weight * hours[(hour + market->utc_offset + 24) % 24];
        sum += weight[i];
    }
    double u = cw_gen_unit(&gen->rng) * sum;
    uint32_t i = first;
    while (i + 1 < end && u >= weight[i]) {
        u -= weight[i];
        i++;
    }
    return (uint8_t)i;
}

uint32_t cw_gen_person_new(struct cw_gen *gen, enum cw_gen_person_kind kind, int64_t now_ms)
{
    if (gen->person_count == gen->person_capacity) {
        gen->person_capacity = gen->person_capacity == 0 ? 1024 : gen->person_capacity * 2;
        gen->persons = realloc(gen->persons, gen->person_capacity * sizeof *gen->persons);
        CW_ASSERT(gen->persons != NULL);
    }
    uint32_t customer = gen->person_count++;
    gen->persons[customer] = (struct cw_gen_person){
        .kind = (uint8_t)kind,
        .market = pick_market(gen, kind == CW_GEN_PERSON_FOREIGN, now_ms),
    };
    gen->plan.customers++;
    int64_t known_ms = now_ms - gen->options->start_ms - 10 * CW_MINUTE_MS;
    CW_ASSERT(known_ms > 0); /* carts begin an hour after the start */
    int64_t longest = 30 * CW_HOUR_MS < known_ms ? 30 * CW_HOUR_MS : known_ms;
    int64_t ago = 10 * CW_MINUTE_MS + cw_gen_between(&gen->rng, 0, longest);
    cw_gen_push(gen,
                (struct cw_gen_event){
                    .kind = CW_GEN_CUSTOMER_UPDATED, .journey = customer, .time_ms = now_ms - ago},
                ago - 5 * CW_MINUTE_MS);
    if (kind == CW_GEN_PERSON_NO_ACCOUNT || kind == CW_GEN_PERSON_OPTED_OUT) {
        /* For half of them it is news; for the others it only says again what the profile said. */
        cw_gen_push(gen,
                    (struct cw_gen_event){.kind = CW_GEN_CUSTOMER_UPDATED,
                                          .arg = kind == CW_GEN_PERSON_OPTED_OUT
                                                     ? CW_GEN_UPDATE_OPT_OUT
                                                     : CW_GEN_UPDATE_STATUS,
                                          .journey = customer,
                                          .time_ms = now_ms - ago / 2},
                    ago / 2 - 4 * CW_MINUTE_MS);
    }
    return customer;
}

struct cw_gen_features cw_gen_features_told(const struct cw_gen *gen, uint32_t customer,
                                            uint32_t version)
{
    uint64_t h = cw_gen_mix(gen->options->seed ^ 0xfea7, customer);
    uint64_t v = cw_gen_mix(h, version);
    int32_t loyal = (int32_t)(h % 100);
    struct cw_gen_features told = {
        .history = loyal * loyal / 320 + (int32_t)(v % 4) + (int32_t)version,
        .average_cents = 3500 + (int32_t)(h >> 8 & 0x3fff) + (int32_t)(v >> 8 & 0x3ff),
        .abandonment_percent = 92 - loyal / 2 - (int32_t)((v >> 20) % 25),
        .engagement_percent = 8 + loyal / 2 + (int32_t)((v >> 30) % 40),
        .sensitivity_percent = (int32_t)((v >> 40) % 36),
    };
    if ((h >> 30) % 100 < 22) { /* bargain hunters */
        told.sensitivity_percent += 45;
    }
    /* Not everything is known of everybody. What the engine finds out by itself then matters
       little: those customers are not after discounts. */
    uint32_t silent = (uint32_t)((h >> 40) % 100);
    if (silent < 14) {
        told.abandonment_percent = -1;
        told.sensitivity_percent = silent < 2 ? -1 : told.sensitivity_percent % 20;
    }
    if (silent < 8) {
        told.engagement_percent = -1;
    }
    if (silent < 4) {
        told.history = -1;
        told.average_cents = -1;
    }
    return told;
}

static double percent_or_unknown(int32_t percent)
{
    return percent < 0 ? (double)NAN : percent / 100.0;
}

uint32_t cw_gen_discount(const struct cw_gen *gen, const struct cw_gen_journey *journey)
{
    const struct cw_gen_person *person = &gen->persons[journey->customer];
    struct cw_gen_features told = cw_gen_features_told(gen, journey->customer, person->told);
    double history = (told.history < 0 ? 0 : told.history) + person->order_count;
    double weight = told.average_cents < 0 ? 0 : (told.history > 0 ? told.history : 1);
    double average = (told.average_cents / 100.0 * weight + person->order_cents / 100.0) /
                     (weight + person->order_count);
    uint32_t items = 0;
    for (uint32_t i = 0; i < journey->item_count; i++) {
        items += journey->quantity[i];
    }
    int32_t percent = journey->sensitivity_percent != 255 ? journey->sensitivity_percent
                                                          : told.sensitivity_percent;
    if (percent < 0) {
        return 0;
    }
    double sensitivity = percent / 100.0;
    const char *category = cw_gen_categories[gen->products[journey->product[0]].category];
    struct cw_features features = {
        .numeric = {told.history < 0 && person->order_count == 0 ? (double)NAN : history,
                    weight + person->order_count > 0 ? average : (double)NAN,
                    percent_or_unknown(told.abandonment_percent),
                    percent_or_unknown(told.engagement_percent), journey->value_cents / 100.0,
                    items, sensitivity},
        .category = {category, (uint32_t)strlen(category)},
    };
    double wish = sensitivity * (1 - cw_model_score(gen->model, &features));
    double excess = (wish - 0.2) / 0.6;
    double discount = 10 + 10 * (excess < 0 ? 0 : (excess > 1 ? 1 : excess));
    return discount <= 12.5 ? 10 : (discount <= 17.5 ? 15 : 20);
}
