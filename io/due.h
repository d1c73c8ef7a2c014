/*
 * due: what must have happened by some time. All on one list have the same time to go, so they come
 * due in the order in which they were added: adding, removing and looking are O(1), whatever the
 * number.
 *
 * Life:    list init -> { add | remove | first }*; an entry is zero-initialised.
 * Memory:  embedded in what is due. Threads: one. Fails: never.
 */
#ifndef CW_IO_DUE_H
#define CW_IO_DUE_H

#include "core/base.h"

struct cw_due {
    struct cw_due *prev, *next; /* NULL: on no list */
    uint64_t at_ns;
};

struct cw_due_list {
    struct cw_due ends; /* its next is the first */
    uint64_t after_ns;
};

static inline void cw_due_init(struct cw_due_list *list, uint64_t after_ns)
{
    list->ends.prev = list->ends.next = &list->ends;
    list->after_ns = after_ns;
}

static inline void cw_due_remove(struct cw_due *due)
{
    if (due->next != NULL) {
        due->prev->next = due->next;
        due->next->prev = due->prev;
        due->prev = due->next = NULL;
    }
}

static inline void cw_due_add(struct cw_due_list *list, struct cw_due *due, uint64_t now_ns)
{
    CW_ASSERT_HOT(due->next == NULL);
    due->at_ns = now_ns + list->after_ns;
    due->next = &list->ends;
    due->prev = list->ends.prev;
    due->prev->next = due;
    list->ends.prev = due;
}

/* The first that is due by now; NULL when none is. */
static inline struct cw_due *cw_due_first(const struct cw_due_list *list, uint64_t now_ns)
{
    struct cw_due *first = list->ends.next;
    return first != &list->ends && first->at_ns <= now_ns ? first : NULL;
}

/* When the first is due; UINT64_MAX when nothing is. */
static inline uint64_t cw_due_next_ns(const struct cw_due_list *list)
{
    return list->ends.next == &list->ends ? UINT64_MAX : list->ends.next->at_ns;
}

#endif
