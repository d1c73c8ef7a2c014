/*
 * persist_fates: the counters as a row's value. Each is named by a number that is its own for ever,
 * so that a version with more counters, or more reasons at the end of a list, reads the state of
 * one with fewer: what was not counted then is 0.
 *
 *     layout u32 | how many u32 | { number u16 | values u16 | 0 u32 | value u64 ... } ...
 */
#include "pipeline/persist_priv.h"

#include <stddef.h>
#include <string.h>

enum {
    LAYOUT = 2,
    VALUE_BYTES = sizeof(uint64_t)
};

/* The numbers: never changed, never used again. 36 is the next. */
#define COUNTERS(X)           \
    X(received, 0)            \
    X(items, 1)               \
    X(made, 2)                \
    X(refunds, 3)             \
    X(events, 4)              \
    X(by_item, 5)             \
    X(rejections, 6)          \
    X(created, 7)             \
    X(holdouts, 8)            \
    X(converted, 9)           \
    X(cancelled, 10)          \
    X(superseded, 11)         \
    X(rejected, 12)           \
    X(expired, 13)            \
    X(planned, 14)            \
    X(sent, 15)               \
    X(skipped, 16)            \
    X(failed, 17)             \
    X(unknown, 18)            \
    X(cut_off, 19)            \
    X(sending, 20)            \
    X(deferred, 21)           \
    X(results, 22)            \
    X(stray_results, 23)      \
    X(attributed, 24)         \
    X(attributed_holdout, 25) \
    X(sent_by_touch, 26)      \
    X(delivered, 27)          \
    X(opened, 28)             \
    X(clicked, 29)            \
    X(opened_raw, 30)         \
    X(clicked_raw, 31)        \
    X(links_left_out, 32)     \
    X(score_hits, 33)         \
    X(score_misses, 34)       \
    X(not_remembered, 35)

struct counter {
    uint16_t number, values;
    uint32_t zero;
};

static const struct {
    uint32_t at;
    uint16_t number, values;
} counters[] = {

#define CW_X(name, number_)                 \
    {.at = offsetof(struct cw_fates, name), \
     .number = (number_),                   \
     .values = sizeof(((struct cw_fates *)NULL)->name) / VALUE_BYTES},
    COUNTERS(CW_X)
#undef CW_X
};

#define CW_X(name, number) +sizeof(((struct cw_fates *)NULL)->name)
static_assert(sizeof(struct cw_fates) == 0 COUNTERS(CW_X), "every counter has a number");
#undef CW_X
#define CW_X(name, number) +sizeof(struct counter)
static_assert(CW_FATES_IMAGE_BYTES == 8 + sizeof(struct cw_fates) COUNTERS(CW_X),
              "the image is as large as it is said to be");
#undef CW_X

void cw_fates_write(const struct cw_fates *fates, uint8_t image[CW_FATES_IMAGE_BYTES])
{
    const uint32_t head[2] = {LAYOUT, CW_COUNTOF(counters)};
    memcpy(image, head, sizeof head);
    uint8_t *to = image + sizeof head;
    for (uint32_t i = 0; i < CW_COUNTOF(counters); i++) {
        struct counter counter = {.number = counters[i].number, .values = counters[i].values};
        memcpy(to, &counter, sizeof counter);
        to += sizeof counter;
        memcpy(to, (const uint8_t *)fates + counters[i].at, counter.values * sizeof(uint64_t));
        to += counter.values * sizeof(uint64_t);
    }
    CW_ASSERT(to == image + CW_FATES_IMAGE_BYTES);
}

/* The values of one counter; false: none that this version knows. */
static bool take(struct cw_fates *fates, const struct counter *counter, const char *values)
{
    for (uint32_t i = 0; i < CW_COUNTOF(counters); i++) {
        if (counters[i].number == counter->number && counter->values <= counters[i].values) {
            memcpy((uint8_t *)fates + counters[i].at, values, counter->values * sizeof(uint64_t));
            return true;
        }
    }
    return false;
}

const char *cw_fates_read(struct cw_fates *fates, struct cw_view image)
{
    static const char *const newer = "counters of a newer version of cartwheel";
    static const char *const malformed = "the counters' row is malformed";
    uint32_t head[2];
    memset(fates, 0, sizeof *fates);
    if (image.bytes < sizeof head) {
        return malformed;
    }
    memcpy(head, image.data, sizeof head);
    if (head[0] != LAYOUT) {
        return head[0] > LAYOUT ? newer : malformed;
    }
    uint32_t at = sizeof head;
    int32_t before = -1; /* numbers rise: none comes twice */
    for (uint32_t i = 0; i < head[1]; i++) {
        struct counter counter;
        if (image.bytes - at < sizeof counter) {
            return malformed;
        }
        memcpy(&counter, image.data + at, sizeof counter);
        at += (uint32_t)sizeof counter;
        if (counter.zero != 0 || counter.number <= before ||
            counter.values > (image.bytes - at) / sizeof(uint64_t)) {
            return malformed;
        }
        before = counter.number;
        if (!take(fates, &counter, image.data + at)) {
            return newer;
        }
        at += counter.values * (uint32_t)sizeof(uint64_t);
    }
    return at == image.bytes ? NULL : malformed;
}
