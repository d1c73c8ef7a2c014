/* bench_message: rendering one message of each channel. */
#include "bench/bench.h"
#include "core/time.h"
#include "pipeline/message.h"
#include "tools/cli.h"

#include <stdlib.h>

struct state {
    struct cw_templates *templates;
    struct cw_zones *zones;
    struct cw_program program;
    struct cw_touch touches[CW_CHANNEL_COUNT];
    struct cw_message_item items[3];
    struct cw_message_input input;
    struct cw_message message;
    uint32_t rounds;
};

static void *setup(bool tiny)
{
    struct cw_fault fault;
    struct state *state = calloc(1, sizeof *state);
    CW_ASSERT(state != NULL);
    state->rounds = tiny ? 10 : 5000;
    cw_err err = cw_zones_open(&state->zones, "/usr/share/zoneinfo", &fault);
    CW_ASSERT(err == CW_ERR_OK);
    err = cw_templates_open(&state->templates, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    err = cw_templates_add(state->templates, CW_VIEW("cart-recovery-v3.html"),
                           cw_shipped("templates/cart-recovery-v3.html"), &fault);
    CW_ASSERT(err == CW_ERR_OK);
    err = cw_templates_add(state->templates, CW_VIEW("cart-recovery-v3.txt"),
                           cw_shipped("templates/cart-recovery-v3.txt"), &fault);
    CW_ASSERT(err == CW_ERR_OK);
    state->touches[CW_CHANNEL_EMAIL] = (struct cw_touch){
        .channel = CW_CHANNEL_EMAIL,
        .include_discount = true,
        .template_id = CW_VIEW("cart-recovery-v3"),
        .subject = CW_VIEW("You left something behind! {discountPercent}% off inside")};
    state->touches[CW_CHANNEL_SMS] = (struct cw_touch){
        .channel = CW_CHANNEL_SMS,
        .include_discount = true,
        .message = CW_VIEW("Hi {customerName}! Your cart is waiting. Use code {discountCode} for "
                           "{discountPercent}% off. Shop now: {cartLink}")};
    state->touches[CW_CHANNEL_PUSH] = (struct cw_touch){
        .channel = CW_CHANNEL_PUSH,
        .include_discount = true,
        .title = CW_VIEW("Last Chance!"),
        .body = CW_VIEW("Your cart expires soon. {discountPercent}% off ends today!")};
    state->items[0] = (struct cw_message_item){
        CW_VIEW("Wireless Headphones"), CW_VIEW("https://cdn.shop.example/p1.jpg"), 79.99, 1};
    state->items[1] = (struct cw_message_item){
        CW_VIEW("Phone Case"), CW_VIEW("https://cdn.shop.example/p2.jpg"), 29.99, 1};
    state->items[2] = (struct cw_message_item){CW_VIEW("Screen Protector"), {0}, 39.99, 2};
    state->input =
        (struct cw_message_input){.program = &state->program,
                                  .customer_name = CW_VIEW("Anna"),
                                  .locale = CW_VIEW("en-US"),
                                  .currency = CW_VIEW("USD"),
                                  .cart_link = CW_VIEW("https://shop.example/c/0123456789abcdef"),
                                  .unsubscribe_link = CW_VIEW("https://shop.example/u/0123456789"),
                                  .open_pixel_link = CW_VIEW("https://shop.example/o/01234567.gif"),
                                  .shop_name = CW_VIEW("Example Shop"),
                                  .cart_value = 150,
                                  .items = state->items,
                                  .item_count = 3,
                                  .discount_percent = 10,
                                  .discount_code = CW_VIEW("CART10"),
                                  .now_ms = 1768758300000,
                                  .expires_at_ms = 1768758300000 + 24 * CW_HOUR_MS};
    bool found = cw_zones_find(state->zones, CW_VIEW("America/New_York"), &state->input.zone);
    CW_ASSERT(found);
    return state;
}

static void teardown(void *pointer)
{
    struct state *state = pointer;
    cw_message_deinit(&state->message);
    cw_templates_close(state->templates);
    cw_zones_close(state->zones);
    free(state);
}

static uint64_t run(struct state *state, enum cw_channel channel, uint64_t *units)
{
    struct cw_fault fault;
    uint64_t bytes = 0;
    state->input.touch = &state->touches[channel];
    for (uint32_t i = 0; i < state->rounds; i++) {
        cw_err err = cw_message_render(state->templates, state->zones, &state->input,
                                       &state->message, &fault);
        CW_ASSERT(err == CW_ERR_OK);
        cw_bench_use(state->message.text.data);
        bytes += state->message.html.bytes + state->message.text.bytes;
    }
    *units = state->rounds;
    return bytes;
}

static uint64_t run_email(void *state, uint64_t *units)
{
    return run(state, CW_CHANNEL_EMAIL, units);
}

static uint64_t run_sms(void *state, uint64_t *units)
{
    return run(state, CW_CHANNEL_SMS, units);
}

static uint64_t run_push(void *state, uint64_t *units)
{
    return run(state, CW_CHANNEL_PUSH, units);
}

const struct cw_bench_case cw_bench_message[] = {
    {"message.email", "mail", 0, NULL, setup, run_email, teardown, 0},
    {"message.sms", "sms", 0, NULL, setup, run_sms, teardown, 0},
    {"message.push", "push", 0, NULL, setup, run_push, teardown, 0},
    {NULL, NULL, 0, NULL, NULL, NULL, NULL, 0},
};
