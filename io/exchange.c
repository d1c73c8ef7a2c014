#include "io/exchange.h"

struct cw_exchange *cw_exchange_create(struct cw_pool *pool, size_t bytes, size_t reserve_bytes)
{
    size_t need = sizeof(struct cw_exchange) + bytes + CW_JSON_PADDING;
    struct cw_exchange *exchange = cw_pool_take(pool, need, reserve_bytes);
    if (exchange != NULL) {
        *exchange = (struct cw_exchange){.room = (uint32_t)cw_pool_room(pool, exchange),
                                         .used = sizeof *exchange};
    }
    return exchange;
}

/* A view into the old block as the same view into its copy. */
static struct cw_view moved(struct cw_view view, const char *from, const char *to)
{
    if (view.data != NULL) {
        view.data = to + (view.data - from);
    }
    return view;
}

static void move(struct cw_exchange *to, const struct cw_exchange *from)
{
    memcpy(to, from, from->used);
    const char *old = (const char *)from;
    char *base = (char *)to;
    to->request.path = moved(from->request.path, old, base);
    to->request.query = moved(from->request.query, old, base);
    if (from->request.headers != NULL) {
        struct cw_header *headers =
            (struct cw_header *)(void *)(base + ((const char *)from->request.headers - old));
        for (uint32_t i = 0; i < from->request.header_count; i++) {
            headers[i].name = moved(headers[i].name, old, base);
            headers[i].value = moved(headers[i].value, old, base);
        }
        to->request.headers = headers;
    }
}

bool cw_exchange_grow(struct cw_exchange **exchange, struct cw_pool *pool, size_t more,
                      size_t reserve_bytes)
{
    struct cw_exchange *old = *exchange;
    size_t need = old->used + more + CW_JSON_PADDING;
    if (need <= old->room) {
        return true;
    }
    CW_ASSERT(old->next == NULL && !old->in_order && !old->with_app); /* nobody points to it */
    struct cw_exchange *fresh = cw_pool_take(pool, need, reserve_bytes);
    if (fresh == NULL) {
        return false;
    }
    uint32_t room = (uint32_t)cw_pool_room(pool, fresh);
    move(fresh, old);
    fresh->room = room;
    cw_pool_give(pool, old);
    *exchange = fresh;
    return true;
}
