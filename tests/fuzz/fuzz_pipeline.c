/*
 * Bytes choose events of a small shop (tests/pipeline/random_shop.h), so that customers, carts,
 * times and messages meet in every way. Every few events the pipeline's rows are proved sound. The
 * same stream then runs again, cleaned after every event, and on two cores: it must decide the
 * same.
 */
#include "tests/pipeline/random_shop.h"

enum {
    EVENTS_MAX = 150
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct shop shop;

static uint64_t run(const uint8_t *data, size_t size, uint32_t cores, uint64_t rows_max, bool clean,
                    bool blind)
{
    static const uint32_t steps[] = {1000, 600000, 20000000, 400000000};
    struct shop_options options = {.cores = cores, .rows_max = rows_max};
    CW_ASSERT(shop_start(&shop, &options));
    struct random_shop r = {.shop = &shop,
                            .bytes = data,
                            .end = data + size,
                            .customers = 3,
                            .carts = 3,
                            .products = 4,
                            .step_ms = steps[data[0] >> 2 & 3u],
                            .long_strings = 500,
                            .blind = blind};
    for (uint32_t i = 0; i < EVENTS_MAX && r.bytes < r.end; i++) {
        random_event(&r);
        for (uint32_t core = 0; clean && core < cores; core++) {
            cw_pipeline_clean(shop.pipelines[core], UINT32_MAX);
        }
        CW_ASSERT(i % 32 != 0 || shop_check(&shop));
    }
    shop_finish(&shop);
    CW_ASSERT(shop_check(&shop));
    uint64_t sum = shop.sum;
    shop_stop(&shop);
    return sum;
}

/* The leak checker does not look into mapped memory, which leads to what is kept between inputs. */
static void close_all(void)
{
    shop_close(&shop);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (shop.programs == NULL) {
        const struct shop_options options = {.yamls = RANDOM_PROGRAMS};
        CW_ASSERT(shop_open(&shop, &options) && atexit(close_all) == 0);
        shop_stop(&shop);
    }
    if (size == 0) {
        return 0;
    }
    bool crowded = (data[0] & 1u) != 0;
    bool blind = (data[0] & 2u) != 0;
    uint64_t sum = run(data, size, 1, crowded ? 1u + (data[0] >> 4) : 0, false, blind);
    if (!crowded) {
        uint64_t again = run(data, size, blind ? 2 : 1, 0, true, blind);
        CW_ASSERT(again == sum);
    }
    return 0;
}
