/*
 * view: bytes that somebody else owns. Text in cartwheel is UTF-8 and never terminated.
 *
 * Memory: a view never owns; its header says in each case what it points into.
 */
#ifndef CW_CORE_VIEW_H
#define CW_CORE_VIEW_H

#include "core/base.h"

#include <string.h>

struct cw_view {
    const char *data; /* NULL: told nothing; "" with bytes 0: told the empty string */
    uint32_t bytes;
};

#define CW_VIEW(literal) ((struct cw_view){.data = (literal), .bytes = sizeof(literal) - 1})

static inline bool cw_view_equal(struct cw_view a, struct cw_view b)
{
    return a.bytes == b.bytes && (a.bytes == 0 || memcmp(a.data, b.data, a.bytes) == 0);
}

/* Order of bytes, the shorter first when one is the other's beginning: <0, 0, >0. */
static inline int cw_view_compare(struct cw_view a, struct cw_view b)
{
    uint32_t common = a.bytes < b.bytes ? a.bytes : b.bytes;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);
    return order != 0 ? order : (a.bytes > b.bytes) - (a.bytes < b.bytes);
}

#endif
