/*
 * link: tokens. A long one is base64url of
 *
 *     1 byte   version (1)
 *     1 byte   touch - 1, and the channel << 4
 *     8 bytes  first_t0, ms, little-endian
 *     4 bytes  the day it expires, from 1970, little-endian
 *     3 x (1 byte length, then so many)   program, customer, cart
 *     16 bytes MAC over the kind and all of the above
 *
 * A brief one is base64url of 2 bytes partition, big-endian, and 10 bytes: the key of the row that
 * knows the message (a keyed hash of its id), masked for the kind, so that the token of one kind is
 * none of another. No two texts mean one token: the last digit's spare bits are zero.
 */
#include "pipeline/link.h"

#include "core/time.h"

#include <string.h>

enum {
    VERSION = 1,
    HEAD_BYTES = 1 + 1 + 8 + 4,
    MAC_BYTES = 16,
    PAYLOAD_BYTES_MAX = HEAD_BYTES + 3 * (1 + CW_ID_BYTES_MAX),
    LONG_BYTES_MAX = PAYLOAD_BYTES_MAX + MAC_BYTES,
    BRIEF_KEY_BYTES = 10,
    BRIEF_BYTES = 2 + BRIEF_KEY_BYTES
};

static_assert((LONG_BYTES_MAX * 4 + 2) / 3 <= CW_LINK_TOKEN_BYTES_MAX, "any token fits");
static_assert(BRIEF_BYTES * 4 / 3 == CW_LINK_SHORT_BYTES, "brief tokens have no spare bits");

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* NOLINTNEXTLINE(readability-function-size): all that the id is made of */
void cw_message_id(uint32_t partitions, struct cw_view program, struct cw_view customer,
                   struct cw_view cart, int64_t first_t0, uint32_t touch,
                   char id[CW_MESSAGE_ID_BYTES])
{
    /* Decision D10 in README.md: the same id for all attempts, for ever. */
    char input[4 * sizeof(uint32_t) + sizeof(int64_t) + 3 * (size_t)CW_ID_BYTES_MAX];
    const struct cw_view parts[] = {program, customer, cart};
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < CW_COUNTOF(parts); i++) {
        memcpy(input + bytes, &parts[i].bytes, sizeof(uint32_t));
        memcpy(input + bytes + sizeof(uint32_t), parts[i].data, parts[i].bytes);
        bytes += (uint32_t)sizeof(uint32_t) + parts[i].bytes;
    }
    memcpy(input + bytes, &first_t0, sizeof first_t0);
    memcpy(input + bytes + sizeof first_t0, &touch, sizeof touch);
    bytes += (uint32_t)(sizeof first_t0 + sizeof touch);
    uint8_t hash[16];
    cw_hash128((struct cw_hash_key){0, 0}, input, bytes, hash);
    static const char hex[] = "0123456789abcdef";
    uint32_t partition = cw_partition(customer, partitions);
    for (uint32_t i = 0; i < 4; i++) {
        id[i] = hex[partition >> (12 - 4 * i) & 15u];
    }
    for (uint32_t i = 0; i < sizeof hash; i++) {
        id[4 + 2 * i] = hex[hash[i] >> 4];
        id[5 + 2 * i] = hex[hash[i] & 15];
    }
}

static void put_base64(struct cw_text *out, const uint8_t *from, uint32_t bytes)
{
    char *to = cw_text_room(out, (bytes * 4 + 2) / 3);
    uint32_t written = 0;
    for (uint32_t bit = 0; bit < bytes * 8; bit += 6) {
        uint32_t pair =
            (uint32_t)from[bit / 8] << 8 | (bit / 8 + 1 < bytes ? from[bit / 8 + 1] : 0u);
        to[written++] = digits[pair >> (10 - bit % 8) & 63u];
    }
    out->bytes += written;
}

/* False unless the text is exactly what put_base64 writes for some bytes. */
static bool take_base64(struct cw_view text, uint8_t *to, uint32_t *bytes)
{
    uint32_t bits = 0;
    uint32_t held = 0;
    *bytes = 0;
    for (uint32_t i = 0; i < text.bytes; i++) {
        const char *digit = text.data[i] == '\0' ? NULL : strchr(digits, text.data[i]);
        if (digit == NULL) {
            return false;
        }
        bits = bits << 6 | (uint32_t)(digit - digits);
        held += 6;
        if (held >= 8) {
            held -= 8;
            to[(*bytes)++] = (uint8_t)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    return held < 6 && bits == 0;
}

static void mac(const struct cw_links *links, enum cw_link_kind kind, const uint8_t *payload,
                uint32_t bytes, uint8_t out[MAC_BYTES])
{
    uint8_t input[1 + PAYLOAD_BYTES_MAX];
    input[0] = (uint8_t)kind;
    memcpy(input + 1, payload, bytes);
    cw_hash128(links->key, input, 1 + (size_t)bytes, out);
}

static void put_address(const struct cw_links *links, enum cw_link_kind kind, struct cw_text *url)
{
    cw_text_view(url, links->base);
    cw_text_char(url, '/');
    cw_text_char(url, (char)kind);
    cw_text_char(url, '/');
}

void cw_link_write(const struct cw_links *links, enum cw_link_kind kind, const struct cw_link *link,
                   struct cw_text *url)
{
    uint8_t token[LONG_BYTES_MAX];
    CW_ASSERT(link->touch >= 1 && link->touch <= CW_TOUCHES_MAX && link->expires_at >= 0);
    uint32_t day = (uint32_t)((link->expires_at + CW_DAY_MS - 1) / CW_DAY_MS);
    token[0] = VERSION;
    token[1] = (uint8_t)((link->touch - 1) | (uint32_t)link->channel << 4);
    memcpy(token + 2, &link->first_t0, sizeof link->first_t0);
    memcpy(token + 10, &day, sizeof day);
    uint32_t bytes = HEAD_BYTES;
    const struct cw_view parts[] = {link->program, link->customer, link->cart};
    for (uint32_t i = 0; i < CW_COUNTOF(parts); i++) {
        CW_ASSERT(parts[i].bytes >= 1 && parts[i].bytes <= CW_ID_BYTES_MAX);
        token[bytes++] = (uint8_t)parts[i].bytes;
        memcpy(token + bytes, parts[i].data, parts[i].bytes);
        bytes += parts[i].bytes;
    }
    mac(links, kind, token, bytes, token + bytes);
    put_address(links, kind, url);
    put_base64(url, token, bytes + MAC_BYTES);
    if (kind == CW_LINK_OPEN) {
        cw_text_puts(url, ".gif");
    }
}

void cw_link_brief_key(const struct cw_links *links, const char message_id[CW_MESSAGE_ID_BYTES],
                       uint8_t brief_key[10])
{
    uint8_t hash[16];
    char input[1 + CW_MESSAGE_ID_BYTES];
    input[0] = 'k';
    memcpy(input + 1, message_id, CW_MESSAGE_ID_BYTES);
    cw_hash128(links->key, input, sizeof input, hash);
    memcpy(brief_key, hash, BRIEF_KEY_BYTES);
}

/* There and back. */
static void mask(const struct cw_links *links, enum cw_link_kind kind, uint8_t *brief_key)
{
    const char input[2] = {'m', (char)kind};
    uint8_t hash[16];
    cw_hash128(links->key, input, sizeof input, hash);
    for (uint32_t i = 0; i < BRIEF_KEY_BYTES; i++) {
        brief_key[i] ^= hash[i];
    }
}

bool cw_link_write_brief(const struct cw_links *links, enum cw_link_kind kind, uint32_t partition,
                         const char message_id[CW_MESSAGE_ID_BYTES], uint8_t brief_key[10],
                         struct cw_text *url)
{
    uint8_t token[BRIEF_BYTES] = {(uint8_t)(partition >> 8), (uint8_t)partition};
    cw_link_brief_key(links, message_id, brief_key);
    if (links->base.bytes + sizeof "/c/" - 1 + CW_LINK_SHORT_BYTES > CW_LINK_SMS_BYTES) {
        return false;
    }
    memcpy(token + 2, brief_key, BRIEF_KEY_BYTES);
    mask(links, kind, token + 2);
    put_address(links, kind, url);
    put_base64(url, token, sizeof token);
    return true;
}

static bool read_brief(const struct cw_links *links, enum cw_link_kind kind, struct cw_view token,
                       uint32_t partitions, struct cw_link *link)
{
    uint8_t bytes[BRIEF_BYTES];
    uint32_t count;
    if (!take_base64(token, bytes, &count)) {
        return false;
    }
    CW_ASSERT(count == sizeof bytes);
    mask(links, kind, bytes + 2);
    *link = (struct cw_link){.brief = true, .partition = (uint32_t)bytes[0] << 8 | bytes[1]};
    memcpy(link->brief_key, bytes + 2, BRIEF_KEY_BYTES);
    return link->partition < partitions;
}

/* The parts of a payload that its MAC vouches for; looked at as if it did not. */
static bool take_payload(const uint8_t *payload, uint32_t bytes, struct cw_link *link)
{
    uint32_t day;
    *link = (struct cw_link){.touch = (payload[1] & 15u) + 1,
                             .channel = (enum cw_channel)(payload[1] >> 4)};
    memcpy(&link->first_t0, payload + 2, sizeof link->first_t0);
    memcpy(&day, payload + 10, sizeof day);
    link->expires_at = day * (int64_t)CW_DAY_MS;
    struct cw_view *const parts[] = {&link->program, &link->customer, &link->cart};
    uint32_t at = HEAD_BYTES;
    for (uint32_t i = 0; i < CW_COUNTOF(parts); i++) {
        uint32_t length = at < bytes ? payload[at] : 0;
        if (length < 1 || length > CW_ID_BYTES_MAX || bytes - at - 1 < length) {
            return false;
        }
        *parts[i] = (struct cw_view){(const char *)payload + at + 1, length};
        at += 1 + length;
    }
    return at == bytes && payload[0] == VERSION && (payload[1] >> 4) < CW_CHANNEL_COUNT;
}

bool cw_link_read(const struct cw_links *links, enum cw_link_kind kind, struct cw_view token,
                  uint32_t partitions, char room[CW_LINK_TOKEN_BYTES_MAX], struct cw_link *link)
{
    if (token.bytes == CW_LINK_SHORT_BYTES) {
        return read_brief(links, kind, token, partitions, link);
    }
    uint8_t *bytes = (uint8_t *)room;
    uint32_t count;
    if (token.bytes > (LONG_BYTES_MAX * 4 + 2) / 3 || !take_base64(token, bytes, &count) ||
        count <= HEAD_BYTES + MAC_BYTES) {
        return false;
    }
    uint32_t payload = count - MAC_BYTES;
    uint8_t own[MAC_BYTES];
    mac(links, kind, bytes, payload, own);
    uint32_t differs = 0;
    for (uint32_t i = 0; i < MAC_BYTES; i++) {
        differs |= (uint32_t)(own[i] ^ bytes[payload + i]);
    }
    if (differs != 0 || !take_payload(bytes, payload, link)) {
        return false;
    }
    link->partition = cw_partition(link->customer, partitions);
    cw_message_id(partitions, link->program, link->customer, link->cart, link->first_t0,
                  link->touch, link->message_id);
    return true;
}
