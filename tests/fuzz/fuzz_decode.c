/*
 * Any bytes as an event: refused with a reason, or taken with every field within its bounds and
 * every view inside the text or the arena; and a copy says the same when all that is gone.
 */
#include "core/text.h"
#include "core/time.h"
#include "pipeline/decode.h"
#include "tools/cli.h"

#include <math.h>
#include <stdlib.h>

enum {
    ARENA_BYTES = 1 << 24
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cw_assets assets;
static struct cw_programs *programs;
static struct cw_zones *zones;
static struct cw_decoder *decoder;
static struct cw_arena arena, copies;
static const char *arena_from;
static char *copy_of_text;
static size_t text_bytes;

static struct cw_text before, after;

/* The leak checker does not look into mapped memory, which leads to what is kept between inputs. */
static void close_all(void)
{
    cw_decoder_close(decoder);
    cw_arena_close(&arena);
    cw_arena_close(&copies);
    cw_zones_close(zones);
    cw_programs_close(programs);
    cw_assets_close(&assets);
    cw_text_deinit(&before);
    cw_text_deinit(&after);
}

static void open_all(void)
{
    CW_ASSERT(atexit(close_all) == 0);
    struct cw_fault fault;
    struct cw_problems problems = {0};
    struct cw_program_file files[3];
    static const char *const names[3] = {"programs/abandoned-cart-recovery.yaml",
                                         "programs/electronics-push.yaml",
                                         "programs/second-chance.yaml"};
    for (uint32_t i = 0; i < 3; i++) {
        files[i] = (struct cw_program_file){.path = names[i], .yaml = cw_shipped(names[i])};
    }
    cw_err err = cw_assets_open(&assets, NULL, NULL, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    struct cw_program_needs needs = cw_assets_needs(&assets);
    err = cw_programs_load(&programs, files, 3, &needs, &problems, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    cw_problems_deinit(&problems);
    err = cw_zones_open(&zones, "/usr/share/zoneinfo", &fault);
    CW_ASSERT(err == CW_ERR_OK);
    struct cw_decoder_options options = {.programs = programs,
                                         .zones = zones,
                                         .partitions = 256,
                                         .event_bytes_max = CW_EVENT_BYTES_MAX};
    err = cw_decoder_open(&decoder, &options, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    err = cw_arena_open(&arena, ARENA_BYTES, ARENA_BYTES, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    err = cw_arena_open(&copies, ARENA_BYTES, ARENA_BYTES, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    arena_from = cw_arena_alloc(&arena, 1, 1);
    cw_decoder_put_in(decoder, &arena);
}

/* Puts a view into words; where inside says so it must lie in the text or the arena. */
static void tell(struct cw_text *out, struct cw_view view, bool inside)
{
    if (view.data == NULL) {
        CW_ASSERT(view.bytes == 0);
        cw_text_puts(out, "-;");
        return;
    }
    uintptr_t from = (uintptr_t)view.data;
    uintptr_t text = (uintptr_t)copy_of_text;
    uintptr_t piece = (uintptr_t)arena_from;
    bool in_text = from >= text && from + view.bytes <= text + text_bytes;
    bool in_arena = from >= piece && from + view.bytes <= piece + ARENA_BYTES;
    CW_ASSERT(!inside || in_text || in_arena);
    cw_text_u64(out, view.bytes);
    cw_text_char(out, ':');
    cw_text_view(out, view);
    cw_text_char(out, ';');
}

static void tell_id(struct cw_text *out, struct cw_view id, bool inside)
{
    CW_ASSERT(id.bytes >= 1 && id.bytes <= CW_ID_BYTES_MAX && memchr(id.data, 0, id.bytes) == NULL);
    tell(out, id, inside);
}

static void tell_number(struct cw_text *out, double number, double most)
{
    CW_ASSERT(isnan(number) || (number >= 0 && number <= most && !signbit(number)));
    cw_text_put(out, &number, sizeof number);
}

static void tell_cart(struct cw_text *out, const struct cw_event_cart *cart, bool inside)
{
    const struct cw_view texts[] = {cart->currency, cart->reason, cart->marketplace, cart->url,
                                    cart->category};
    tell_number(out, cart->value, CW_AMOUNT_MAX);
    tell_number(out, cart->discount_sensitivity, 1);
    CW_ASSERT(cart->item_count >= -1 && cart->item_count <= 1000000);
    CW_ASSERT(cart->items_count <= CW_ITEMS_MAX);
    for (uint32_t i = 0; i < CW_COUNTOF(texts); i++) {
        CW_ASSERT(texts[i].bytes <= 2048);
        tell(out, texts[i], inside);
    }
    tell(out, cart->raw, inside);
    for (uint32_t i = 0; i < cart->items_count; i++) {
        const struct cw_event_item *item = &cart->items[i];
        tell_id(out, item->id, inside);
        tell(out, item->name, inside);
        tell(out, item->image_url, inside);
        tell(out, item->category, inside);
        tell_number(out, item->price, CW_AMOUNT_MAX);
        CW_ASSERT(item->quantity >= 1 && item->quantity <= 1000000);
        cw_text_u64(out, item->quantity);
    }
}

static void tell_content(struct cw_text *out, const struct cw_event *event, bool inside)
{
    switch (event->type) {
    case CW_EVENT_CART_ABANDONED:
    case CW_EVENT_CART_UPDATED: tell_cart(out, &event->u.abandoned, inside); break;
    case CW_EVENT_ORDER_PLACED:
    case CW_EVENT_ORDER_REFUNDED:
        tell_id(out, event->u.order.id, inside);
        tell(out, event->u.order.currency, inside);
        tell(out, event->u.order.discount_code, inside);
        tell_number(out, event->u.order.value, CW_AMOUNT_MAX);
        break;
    case CW_EVENT_CUSTOMER_UPDATED:
        CW_ASSERT((event->u.profile.told & event->u.profile.removed) == 0);
        CW_ASSERT((event->u.profile.told | event->u.profile.removed) >> CW_PROFILE_FIELD_COUNT ==
                  0);
        for (uint32_t i = 0; i < CW_PROFILE_STRINGS; i++) {
            CW_ASSERT((event->u.profile.told >> i & 1u) ==
                      (event->u.profile.strings[i].data != NULL ? 1u : 0u));
            tell(out, event->u.profile.strings[i], inside);
        }
        break;
    case CW_EVENT_INVENTORY_CHANGED: tell_id(out, event->u.product.id, inside); break;
    case CW_EVENT_FEEDBACK:
        CW_ASSERT(event->u.feedback.rating >= 1 && event->u.feedback.rating <= 5);
        break;
    case CW_EVENT_INVALID:
        CW_ASSERT(event->u.invalid.reason.bytes > 0 &&
                  event->u.invalid.reason.bytes < CW_REASON_BYTES_MAX);
        CW_ASSERT(event->u.invalid.file.data == NULL && event->u.invalid.line == 0);
        tell(out, event->u.invalid.reason, inside);
        break;
    default:
        if (event->type >= CW_EVENT_DELIVERED && event->type <= CW_EVENT_UNSUBSCRIBED) {
            tell_id(out, event->u.message.id, inside);
            tell(out, event->u.message.reason, inside);
        }
        break;
    }
}

static void tell_event(struct cw_text *out, const struct cw_event *event, bool inside)
{
    cw_text_clear(out);
    cw_text_u64(out, event->type);
    cw_text_i64(out, event->time);
    cw_text_u64(out, event->partition);
    cw_text_u64(out, event->programs);
    CW_ASSERT(event->partition < 256 && event->programs >> 3 == 0);
    CW_ASSERT(event->clock == CW_TIME_NONE);
    CW_ASSERT(event->time != CW_TIME_NONE || event->type >= CW_EVENT_UNKNOWN);
    CW_ASSERT(event->type != CW_EVENT_INVALID || event->time == CW_TIME_NONE);
    tell(out, event->source, inside);
    tell(out, event->id, inside);
    tell(out, event->customer, inside);
    tell(out, event->cart, inside);
    if (event->type < CW_EVENT_TYPE_COUNT) {
        bool nobodys = event->type == CW_EVENT_INVENTORY_CHANGED ||
                       (event->type >= CW_EVENT_DELIVERED && event->type <= CW_EVENT_UNSUBSCRIBED);
        CW_ASSERT((event->customer.data == NULL) == nobodys);
        if (!nobodys) {
            tell_id(out, event->customer, inside);
        }
    }
    tell_content(out, event, inside);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (decoder == NULL) {
        open_all();
    }
    cw_arena_reset(&arena);
    cw_arena_reset(&copies);
    copy_of_text = malloc(size + CW_JSON_PADDING); /* so that reading past the padding is noticed */
    CW_ASSERT(copy_of_text != NULL);
    text_bytes = size;
    memcpy(copy_of_text, data, size);
    memset(copy_of_text + size, '"', CW_JSON_PADDING);
    struct cw_event event;
    cw_decode(decoder, (struct cw_view){copy_of_text, (uint32_t)size}, &event);
    tell_event(&before, &event, true);
    struct cw_event *copy = cw_event_copy(&event, &copies);
    memset(copy_of_text, 0xee, size + CW_JSON_PADDING);
    free(copy_of_text);
    cw_arena_reset(&arena);
    memset(cw_arena_alloc(&arena, 65536, 1), 0xee, 65536);
    memset(&event, 0xee, sizeof event);
    copy_of_text = NULL;
    text_bytes = 0;
    tell_event(&after, copy, false);
    CW_ASSERT(before.bytes == after.bytes && memcmp(before.data, after.data, before.bytes) == 0);
    return 0;
}
