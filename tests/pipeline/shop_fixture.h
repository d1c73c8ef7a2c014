/*
 * A pipeline with programs from YAML text, fed with lines: what tests of the pipeline share.
 * Several cores are several pipelines in one thread, each with the customers of its partitions.
 * What they decide is kept as lines, and as a sum over all lines that does not depend on their
 * order.
 */
#ifndef CW_TESTS_SHOP_FIXTURE_H
#define CW_TESTS_SHOP_FIXTURE_H

#include "core/time.h"
#include "pipeline/decode.h"
#include "pipeline/pipeline.h"
#include "tests/core/random.h"
#include "tests/pipeline/program_fixture.h"

#include <stdarg.h>

#define SHOP_CORES_MAX 4u
#define SHOP_POSTS_MAX 256u

/* 2026-01-19T12:00:00Z, a Monday. */
#define SHOP_START INT64_C(1768824000000)

struct shop_options {
    const char *yamls[4];
    uint32_t cores;               /* 0: 1 */
    uint64_t rows_max, bytes_max; /* 0: plenty */
    bool live;
    const struct cw_links *links;
    double rates[CW_CHANNEL_COUNT];
    bool collapses[CW_CHANNEL_COUNT];
};

/* A message that was handed over. */
struct shop_post {
    char key[CW_MESSAGE_ID_BYTES + 1];
    enum cw_channel channel;
    uint32_t core, attempt;
    double discount;
    char entry[32]; /* channelId */
    char cart_link[1024], unsubscribe_link[1024], open_pixel_link[1024];
};

struct shop {
    struct fixture f;
    struct cw_programs *programs;
    struct cw_zones *zones;
    struct cw_decoder *decoder;
    struct cw_arena arena;
    uint32_t cores;
    struct cw_pipeline *pipelines[SHOP_CORES_MAX];
    int64_t clock;
    int64_t ahead;        /* of the clock: by that much the clocks of events' sources are wrong */
    bool keep;            /* the lines, not only their sum */
    struct cw_text *tape; /* gets each line that is fed and a newline; NULL: nobody wants it */
    struct cw_text lines, line;
    uint64_t decided, sum;
    uint64_t kinds[CW_DECISION_COUNT];
    uint64_t sends;
    enum cw_send_answer answer;             /* to what is sent next */
    struct shop_post posts[SHOP_POSTS_MAX]; /* what was taken lately, by sends */
};

static inline void shop_decide(void *self, const struct cw_decision *decision)
{
    struct shop *shop = self;
    cw_text_clear(&shop->line);
    cw_decision_write(decision, &shop->line);
    shop->sum += cw_hash((struct cw_hash_key){1, 2}, shop->line.data, shop->line.bytes);
    shop->decided++;
    shop->kinds[decision->kind]++;
    if (shop->keep) {
        cw_text_put(&shop->lines, shop->line.data, shop->line.bytes);
    }
}

static inline void shop_text(char *to, size_t room, struct cw_view view)
{
    size_t bytes = view.bytes < room ? view.bytes : room - 1;
    if (bytes > 0) {
        memcpy(to, view.data, bytes);
    }
    to[bytes] = '\0';
}

static inline enum cw_send_answer shop_send(void *self, const struct cw_send *send)
{
    struct shop *shop = self;
    CW_ASSERT(send->address.bytes > 0 && send->message_id.bytes == CW_MESSAGE_ID_BYTES);
    for (uint32_t i = 0; i < send->input->item_count; i++) {
        CW_ASSERT(send->input->items[i].quantity >= 1);
    }
    if (shop->answer == CW_SEND_FULL) {
        return shop->answer;
    }
    struct shop_post *post = &shop->posts[shop->sends++ % SHOP_POSTS_MAX];
    post->channel = send->channel;
    post->attempt = send->attempt;
    post->core = cw_partition(send->customer, 256) % shop->cores;
    post->discount = send->input->discount_percent;
    memcpy(post->key, send->message_id.data, CW_MESSAGE_ID_BYTES);
    post->key[CW_MESSAGE_ID_BYTES] = '\0';
    shop_text(post->entry, sizeof post->entry, send->input->touch->channel_id);
    shop_text(post->cart_link, sizeof post->cart_link, send->input->cart_link);
    shop_text(post->unsubscribe_link, sizeof post->unsubscribe_link, send->input->unsubscribe_link);
    shop_text(post->open_pixel_link, sizeof post->open_pixel_link, send->input->open_pixel_link);
    return shop->answer;
}

/* The pipelines alone: as new, with the same programs. */
static inline bool shop_start(struct shop *shop, const struct shop_options *options)
{
    struct cw_fault *fault = &shop->f.fault;
    shop->cores = options->cores == 0 ? 1 : options->cores;
    for (uint32_t i = 0; i < shop->cores; i++) {
        struct cw_pipeline_options pipeline = {
            .programs = shop->programs,
            .zones = shop->zones,
            .port = {.self = shop, .decide = shop_decide, .send = shop_send},
            .core = i,
            .partitions = 256,
            .event_bytes_max = CW_EVENT_BYTES_MAX,
            .hash = {77, 88},
            .start_ms = 0,
            .rows_max = options->rows_max == 0 ? 1u << 20 : options->rows_max,
            .bytes_max = options->bytes_max == 0 ? 1u << 30 : options->bytes_max,
            .shop_link = CW_VIEW("https://shop.example/cart"),
            .shop_name = CW_VIEW("Shop"),
            .links = options->links,
            .cores = shop->cores,
            .live = options->live};
        memcpy(pipeline.rates, options->rates, sizeof pipeline.rates);
        memcpy(pipeline.collapses, options->collapses, sizeof pipeline.collapses);
        if (cw_pipeline_open(&shop->pipelines[i], &pipeline, fault) != CW_ERR_OK) {
            return false;
        }
    }
    shop->keep = true;
    shop->clock = 0;
    shop->answer = CW_SEND_DONE;
    shop->decided = shop->sum = shop->sends = 0;
    memset(shop->kinds, 0, sizeof shop->kinds);
    cw_text_clear(&shop->lines);
    return true;
}

static inline void shop_stop(struct shop *shop)
{
    for (uint32_t i = 0; i < shop->cores; i++) {
        cw_pipeline_close(shop->pipelines[i]);
    }
    shop->cores = 0;
}

/* Other programs, from texts up to a NULL; the caller closes them. NULL: they are not right. */
static inline struct cw_programs *shop_programs(struct shop *shop, const char *const *yamls)
{
    struct cw_program_file files[4];
    uint32_t count = 0;
    for (; count < 4 && yamls[count] != NULL; count++) {
        files[count] = (struct cw_program_file){
            .path = "p.yaml", .yaml = {yamls[count], (uint32_t)strlen(yamls[count])}};
    }
    struct cw_programs *programs = NULL;
    struct cw_program_needs needs = fixture_needs(&shop->f);
    if (cw_programs_load(&programs, files, count, &needs, &shop->f.problems, &shop->f.fault) !=
        CW_ERR_OK) {
        print_problems(&shop->f);
        return NULL;
    }
    return programs;
}

static inline void shop_reprogram(struct shop *shop, const struct cw_programs *programs)
{
    cw_decoder_reprogram(shop->decoder, programs);
    for (uint32_t i = 0; i < shop->cores; i++) {
        cw_pipeline_reprogram(shop->pipelines[i], programs);
    }
}

static inline bool shop_open(struct shop *shop, const struct shop_options *options)
{
    memset(shop, 0, sizeof *shop);
    if (!fixture_open(&shop->f)) {
        return false;
    }
    struct cw_fault *fault = &shop->f.fault;
    shop->programs = shop_programs(shop, options->yamls);
    if (shop->programs == NULL) {
        return false;
    }
    if (cw_zones_open(&shop->zones, "/usr/share/zoneinfo", fault) != CW_ERR_OK ||
        cw_arena_open(&shop->arena, 1u << 20, (size_t)1 << 32, fault) != CW_ERR_OK) {
        return false;
    }
    struct cw_decoder_options decoder = {.programs = shop->programs,
                                         .zones = shop->zones,
                                         .partitions = 256,
                                         .event_bytes_max = CW_EVENT_BYTES_MAX};
    if (cw_decoder_open(&shop->decoder, &decoder, fault) != CW_ERR_OK) {
        return false;
    }
    return shop_start(shop, options);
}

static inline void shop_close(struct shop *shop)
{
    shop_stop(shop);
    cw_decoder_close(shop->decoder);
    cw_arena_close(&shop->arena);
    cw_zones_close(shop->zones);
    cw_programs_close(shop->programs);
    fixture_close(&shop->f);
    cw_text_deinit(&shop->lines);
    cw_text_deinit(&shop->line);
}

/* Decodes a line and runs it where it belongs; the clock is the running maximum, as in a replay,
   but for shop->ahead. */
static inline enum cw_event_type shop_feed(struct shop *shop, const char *text, size_t bytes)
{
    if (shop->tape != NULL) {
        cw_text_put(shop->tape, text, bytes);
        cw_text_char(shop->tape, '\n');
    }
    cw_arena_reset(&shop->arena);
    cw_decoder_put_in(shop->decoder, &shop->arena);
    char *line = cw_arena_alloc(&shop->arena, bytes + CW_JSON_PADDING, 1);
    memcpy(line, text, bytes);
    memset(line + bytes, 0, CW_JSON_PADDING);
    struct cw_event event;
    cw_decode(shop->decoder, (struct cw_view){line, (uint32_t)bytes}, &event);
    int64_t arrives = event.time - shop->ahead;
    shop->clock = arrives > shop->clock ? arrives : shop->clock;
    event.clock = shop->clock;
    for (uint32_t i = 0; i < shop->cores; i++) {
        const struct cw_event *copy = cw_event_copy(&event, &shop->arena);
        if (event.type == CW_EVENT_INVENTORY_CHANGED || event.partition % shop->cores == i) {
            cw_pipeline_run(shop->pipelines[i], &copy, 1);
        }
    }
    return event.type;
}

static inline const char *shop_time(int64_t ms)
{
    static char text[4][CW_TIME_BYTES + 1];
    static unsigned turn;
    char *out = text[turn++ % 4];
    cw_time_format(ms, out);
    out[CW_TIME_BYTES] = '\0';
    return out;
}

/*
 * An event of a type ("cart", "CartUpdated") at a time, SHOP_START + after ms; the rest of detail
 * is a format, without its braces. Without an id, so that nothing is a repetition.
 */
__attribute__((format(printf, 5, 6))) static inline enum cw_event_type
shop_event(struct shop *shop, const char *source, const char *type, int64_t after,
           const char *format, ...)
{
    static char line[1 << 21];
    static char detail[1 << 21];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    int bytes =
        snprintf(line, sizeof line,
                 "{\"source\":\"%s\",\"detail-type\":\"%s\",\"time\":\"%s\",\"detail\":{%s}}",
                 source, type, shop_time(SHOP_START + after), detail);
    return shop_feed(shop, line, (size_t)bytes);
}

static inline void shop_customer(struct shop *shop, const char *id)
{
    (void)shop_event(shop, "ecommerce.customer", "CustomerUpdated", 0,
                     "\"customerId\":\"%s\",\"name\":\"N\",\"email\":\"a@b.example\",\"phone\":"
                     "\"+1\",\"pushToken\":\"t\",\"paymentMethodOnFile\":true,"
                     "\"marketplace\":\"US\"",
                     id);
}

static inline enum cw_event_type shop_abandon(struct shop *shop, int64_t after,
                                              const char *customer, const char *cart, double value)
{
    return shop_event(shop, "ecommerce.cart", "CartAbandoned", after,
                      "\"customerId\":\"%s\",\"cartId\":\"%s\",\"cartValue\":%g,\"items\":"
                      "[{\"id\":\"i\",\"name\":\"I\",\"price\":%g}]",
                      customer, cart, value, value);
}

/* Fires every timer up to a time, or all of them. */
static inline void shop_advance(struct shop *shop, int64_t after)
{
    shop->clock = SHOP_START + after > shop->clock ? SHOP_START + after : shop->clock;
    for (uint32_t i = 0; i < shop->cores; i++) {
        cw_pipeline_advance(shop->pipelines[i], shop->clock);
    }
}

static inline void shop_finish(struct shop *shop)
{
    for (uint32_t i = 0; i < shop->cores; i++) {
        int64_t due;
        while (cw_pipeline_earliest(shop->pipelines[i], &due)) {
            cw_pipeline_advance(shop->pipelines[i], due > shop->clock ? due : shop->clock);
        }
    }
}

/* What became of the message that was sent `back` before the last one. */
static inline void shop_tell(struct shop *shop, uint32_t back, struct cw_post_result result)
{
    const struct shop_post *post = &shop->posts[(shop->sends - 1 - back) % SHOP_POSTS_MAX];
    result.shard = post->core;
    memcpy(result.key, post->key, sizeof result.key);
    cw_pipeline_result(shop->pipelines[post->core], &result);
}

static inline void shop_result(struct shop *shop, uint32_t back, enum cw_posted outcome,
                               uint32_t retry_after_s)
{
    shop_tell(shop, back,
              (struct cw_post_result){.outcome = outcome, .retry_after_s = retry_after_s});
}

static inline bool shop_check(const struct shop *shop)
{
    bool good = true;
    for (uint32_t i = 0; i < shop->cores; i++) {
        good = cw_pipeline_check(shop->pipelines[i]) && good;
    }
    return good;
}

/* How many lines hold the text. */
static inline uint32_t shop_count(struct shop *shop, const char *text)
{
    uint32_t count = 0;
    const char *at = cw_text_terminate(&shop->lines);
    while ((at = strstr(at, text)) != NULL) {
        count++;
        at += strlen(text);
    }
    return count;
}

static inline void shop_forget(struct shop *shop)
{
    cw_text_clear(&shop->lines);
}

static inline const struct cw_fates *shop_fates(const struct shop *shop)
{
    return cw_pipeline_fates(shop->pipelines[0]);
}

#endif
