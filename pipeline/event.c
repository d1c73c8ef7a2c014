/* event: copies, for the hand-over of an event to the core that owns its customer. */
#include "pipeline/decode.h"

#include <string.h>

static void copy(struct cw_view *view, struct cw_arena *arena)
{
    *view = cw_arena_copy(arena, *view);
}

static void copy_cart(struct cw_event_cart *cart, struct cw_arena *arena)
{
    struct cw_view *const texts[] = {&cart->currency, &cart->reason,   &cart->marketplace,
                                     &cart->url,      &cart->category, &cart->raw};
    for (uint32_t i = 0; i < CW_COUNTOF(texts); i++) {
        copy(texts[i], arena);
    }
    struct cw_event_item *items = cw_arena_alloc(arena, (cart->items_count + 1) * sizeof *items,
                                                 _Alignof(struct cw_event_item));
    for (uint32_t i = 0; i < cart->items_count; i++) {
        items[i] = cart->items[i];
        copy(&items[i].id, arena);
        copy(&items[i].name, arena);
        copy(&items[i].image_url, arena);
        copy(&items[i].category, arena);
    }
    cart->items = items;
}

struct cw_event *cw_event_copy(const struct cw_event *event, struct cw_arena *arena)
{
    struct cw_event *made = cw_arena_alloc(arena, sizeof *made, _Alignof(struct cw_event));
    *made = *event;
    copy(&made->source, arena);
    copy(&made->id, arena);
    copy(&made->customer, arena);
    copy(&made->cart, arena);
    switch (event->type) {
    case CW_EVENT_CART_ABANDONED:
    case CW_EVENT_CART_UPDATED: copy_cart(&made->u.abandoned, arena); break;
    case CW_EVENT_ORDER_PLACED:
    case CW_EVENT_ORDER_REFUNDED:
        copy(&made->u.order.id, arena);
        copy(&made->u.order.currency, arena);
        copy(&made->u.order.discount_code, arena);
        break;
    case CW_EVENT_CUSTOMER_UPDATED:
        for (uint32_t i = 0; i < CW_PROFILE_STRINGS; i++) {
            copy(&made->u.profile.strings[i], arena);
        }
        break;
    case CW_EVENT_INVENTORY_CHANGED: copy(&made->u.product.id, arena); break;
    case CW_EVENT_DELIVERED:
    case CW_EVENT_BOUNCED:
    case CW_EVENT_OPENED:
    case CW_EVENT_CLICKED:
    case CW_EVENT_COMPLAINED:
    case CW_EVENT_UNSUBSCRIBED:
        copy(&made->u.message.id, arena);
        copy(&made->u.message.reason, arena);
        break;
    case CW_EVENT_INVALID: copy(&made->u.invalid.reason, arena); break;
    case CW_EVENT_UNKNOWN: copy(&made->u.unknown.type, arena); break;
    case CW_EVENT_CART_CLEARED:
    case CW_EVENT_CUSTOMER_ERASED:
    case CW_EVENT_FEEDBACK:
    case CW_EVENT_CLOCK: break;
    }
    return made;
}
