/*
 * The first byte says what the others are. A token: what reads is exactly what would be written for
 * it, and reads as no other kind. Or the parts of a link: what is written reads as the same.
 */
#include "core/time.h"
#include "pipeline/link.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    PARTITIONS = 256
};

static const struct cw_links links = {.key = {0x0123456789abcdef, 42}, .base = {"", 0}};

static const enum cw_link_kind kinds[] = {CW_LINK_OPEN, CW_LINK_CLICK, CW_LINK_UNSUBSCRIBE};

static struct cw_text url;
static char room[CW_LINK_TOKEN_BYTES_MAX];

static struct cw_view write(enum cw_link_kind kind, const struct cw_link *link)
{
    cw_text_clear(&url);
    cw_link_write(&links, kind, link, &url);
    uint32_t tail = kind == CW_LINK_OPEN ? 4 : 0;
    return (struct cw_view){url.data + 3, (uint32_t)url.bytes - 3 - tail};
}

static void read_token(struct cw_view token)
{
    struct cw_link link;
    uint32_t read = 0;
    for (uint32_t i = 0; i < CW_COUNTOF(kinds); i++) {
        if (!cw_link_read(&links, kinds[i], token, PARTITIONS, room, &link)) {
            continue;
        }
        CW_ASSERT(link.partition < PARTITIONS);
        if (!link.brief) {
            read++;
            CW_ASSERT(cw_view_equal(write(kinds[i], &link), token));
        }
    }
    CW_ASSERT(read <= 1);
}

static void write_parts(const uint8_t *data, size_t size)
{
    struct cw_link link = {.touch = 1 + data[0] % CW_TOUCHES_MAX,
                           .channel = (enum cw_channel)(data[1] % CW_CHANNEL_COUNT),
                           .expires_at = data[2] * CW_DAY_MS};
    memcpy(&link.first_t0, data + 3, sizeof link.first_t0);
    struct cw_view *const parts[] = {&link.program, &link.customer, &link.cart};
    size_t at = 14;
    for (uint32_t i = 0; i < CW_COUNTOF(parts); i++) {
        uint32_t bytes = 1 + data[11 + i] % CW_ID_BYTES_MAX;
        if (size - at < bytes) {
            return;
        }
        *parts[i] = (struct cw_view){(const char *)data + at, bytes};
        at += bytes;
    }
    struct cw_link read;
    enum cw_link_kind kind = kinds[data[0] % 3];
    struct cw_view token = write(kind, &link);
    CW_ASSERT(cw_link_read(&links, kind, token, PARTITIONS, room, &read));
    CW_ASSERT(read.touch == link.touch && read.channel == link.channel);
    CW_ASSERT(read.first_t0 == link.first_t0 && read.expires_at == link.expires_at);
    CW_ASSERT(cw_view_equal(read.program, link.program));
    CW_ASSERT(cw_view_equal(read.customer, link.customer));
    CW_ASSERT(cw_view_equal(read.cart, link.cart));
}

static void close_url(void)
{
    cw_text_deinit(&url);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (url.data == NULL) {
        CW_ASSERT(atexit(close_url) == 0);
        (void)cw_text_room(&url, 1024);
    }
    if (size == 0 || size > 4096) {
        return 0;
    }
    if (data[0] == 't') {
        read_token((struct cw_view){(const char *)data + 1, (uint32_t)size - 1});
    } else if (size >= 15) {
        write_parts(data + 1, size - 1);
    }
    return 0;
}
