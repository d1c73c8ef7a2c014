/*
 * Rows from hostile records: bytes choose a state of a small shop, then what is done to its records
 * (bytes changed, lengths changed, rows dropped, doubled or made up) and how many cores take them.
 * What is refused is refused with a reason; what is taken must be a sound state, which lives on.
 */
#include "tests/pipeline/persist_fixture.h"

enum {
    STATES = 4
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct shop shop;
static struct saved states[STATES];

/* The leak checker does not look into mapped memory, which leads to what is kept between inputs. */
static void close_all(void)
{
    shop_close(&shop);
    for (uint32_t i = 0; i < STATES; i++) {
        cw_text_deinit(&states[i].text);
    }
}

static void make_states(void)
{
    const struct shop_options options = {.yamls = RANDOM_PROGRAMS};
    CW_ASSERT(shop_open(&shop, &options) && atexit(close_all) == 0);
    shop_stop(&shop);
    for (uint32_t i = 0; i < STATES; i++) {
        const struct shop_options state = {.cores = 1 + i % 2, .live = i >= 2};
        CW_ASSERT(shop_start(&shop, &state));
        shop.answer = i >= 2 ? CW_SEND_TAKEN : CW_SEND_DONE;
        struct random_shop r = {.shop = &shop,
                                .random = 7 + i,
                                .customers = 2,
                                .carts = 2,
                                .products = 2,
                                .step_ms = i % 2 == 0 ? 600000 : 20000000,
                                .long_strings = 20};
        for (uint32_t e = 0; e < 40; e++) {
            random_event(&r);
        }
        shop_advance(&shop, shop.clock - SHOP_START);
        save(&shop, &states[i], 0);
        shop_stop(&shop);
    }
}

/* One of the values that are read wrongly, where bytes alone would hardly come upon them. */
static void strike(struct random_shop *r, char *bytes, uint32_t count)
{
    static const uint64_t hard[] = {0,
                                    1,
                                    UINT64_MAX,
                                    INT64_MAX,
                                    (uint64_t)INT64_MIN,
                                    UINT64_C(0x7ff0000000000000),
                                    UINT64_C(0x7ff8000000000000),
                                    UINT64_C(0x8000000080000000)};
    uint32_t at = draw(r, 65536) % count;
    uint64_t value = hard[draw(r, CW_COUNTOF(hard))];
    uint32_t bytes_max = count - at < sizeof value ? count - at : (uint32_t)sizeof value;
    if (draw(r, 3) == 0) {
        bytes[at] = (char)draw(r, 256);
    } else {
        memcpy(bytes + at, &value, draw(r, 2) == 0 && bytes_max >= 4 ? 4 : bytes_max);
    }
}

/* What becomes of a record; false: it is left out. The copy lives until the next. */
static bool damage(struct random_shop *r, struct cw_record *record)
{
    static char copy[1 << 17];
    CW_ASSERT(record->key.bytes + record->value.bytes + 64 < sizeof copy);
    memset(copy, 0, record->key.bytes + record->value.bytes + 64);
    memcpy(copy, record->key.data, record->key.bytes);
    record->key.data = copy;
    memcpy(copy + record->key.bytes, record->value.data, record->value.bytes);
    record->value.data = copy + record->key.bytes;
    switch (draw(r, 8)) {
    case 0: return false;
    case 1: record->table = (uint8_t)draw(r, 12); break;
    case 2: record->kind = (enum cw_record_kind)draw(r, 4); break;
    case 3: strike(r, copy, record->key.bytes); break;
    case 4: record->value.bytes = record->value.bytes + draw(r, 32); break;
    case 5: record->value.bytes -= draw(r, record->value.bytes + 1); break;
    default:
        if (record->value.bytes > 0) {
            strike(r, copy + record->key.bytes, record->value.bytes);
        }
    }
    return true;
}

static bool load(struct random_shop *r, const struct saved *saved, uint32_t core, uint32_t target)
{
    struct cw_record record;
    struct cw_record batch[CW_LOAD_BATCH];
    uint32_t count = 0;
    struct cw_relink how = {.cores_before = saved->cores, .cores = shop.cores};
    uint32_t number = 0;
    for (size_t at = 0; saved_next(saved, &at, &record); number++) {
        uint32_t partition;
        bool owned = cw_persist_owner(&record, 256, &partition);
        if (owned && partition % shop.cores != core) {
            continue;
        }
        bool damaged = number % 61 == target && draw(r, 4) != 0;
        if (damaged) {
            bool kept = damage(r, &record);
            owned = cw_persist_owner(&record, 256, &partition); /* of anything at all */
            CW_ASSERT(!owned || partition < 256);
            if (!kept) {
                continue;
            }
        }
        batch[count++] = record;
        if (count == CW_LOAD_BATCH || damaged) { /* the copy is good until the next */
            if (cw_pipeline_load_batch(shop.pipelines[core], batch, count, &shop.f.fault) !=
                CW_ERR_OK) {
                return false;
            }
            count = 0;
        }
    }
    if (cw_pipeline_load_batch(shop.pipelines[core], batch, count, &shop.f.fault) != CW_ERR_OK) {
        return false;
    }
    return cw_pipeline_relink(shop.pipelines[core], &how, &shop.f.fault) == CW_ERR_OK;
}

/* Everything that reads rows. */
static void live_on(struct random_shop *r)
{
    struct cw_text text = {0};
    for (uint32_t i = 0; i < shop.cores; i++) {
        struct cw_pipeline *p = shop.pipelines[i];
        while (!cw_pipeline_settle_in_doubt(p, 2)) {
        }
        if (draw(r, 2) == 0) {
            int64_t until = cw_pipeline_now(p);
            while (!cw_pipeline_assume_sent(p, until, 2)) { /* through once time has passed */
                cw_pipeline_advance(p, cw_pipeline_now(p) + 1);
            }
        }
        cw_pipeline_note(p);
        cw_pipeline_dump(p, &text);
        for (uint32_t c = 0; c < 3; c++) {
            char id[8];
            (void)snprintf(id, sizeof id, "c%u", c);
            cw_text_clear(&text);
            struct cw_view customer = {id, (uint32_t)strlen(id)};
            bool any = cw_pipeline_candidate(p, customer, CW_VIEW("second"), true, &text);
            CW_ASSERT(any == (text.bytes > 0));
        }
        int64_t clock = cw_pipeline_now(p) + 1;
        shop.clock = clock > shop.clock ? clock : shop.clock;
    }
    r->now = shop.clock - SHOP_START;
    r->blind = true;
    for (uint32_t i = 0; i < 12; i++) {
        random_event(r);
    }
    shop_finish(&shop);
    for (uint32_t i = 0; i < shop.cores; i++) {
        cw_pipeline_clean(shop.pipelines[i], UINT32_MAX);
    }
    CW_ASSERT(shop_check(&shop));
    cw_text_deinit(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (shop.programs == NULL) {
        make_states();
    }
    struct random_shop r = {.shop = &shop,
                            .bytes = data,
                            .end = data + size,
                            .customers = 2,
                            .carts = 2,
                            .products = 2,
                            .step_ms = 20000000};
    const struct saved *saved = &states[draw(&r, STATES)];
    struct shop_options options = {.cores = 1 + draw(&r, 2),
                                   .live = draw(&r, 2) == 0,
                                   .rows_max = 1u << 12,
                                   .bytes_max = 1u << 26};
    uint32_t target = draw(&r, 61);
    CW_ASSERT(shop_start(&shop, &options));
    shop.clock = saved->clock;
    bool taken = true;
    for (uint32_t i = 0; i < shop.cores && taken; i++) {
        taken = load(&r, saved, i, target);
    }
    if (taken) {
        live_on(&r);
    }
    shop_stop(&shop);
    return 0;
}
