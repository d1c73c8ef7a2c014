#include "core/hash.h"

#include <string.h>

/*
 * SipHash keeps four words. Each 8 input bytes (little-endian) are one word m: v3 ^= m, rounds,
 * v0 ^= m. The last word holds the rest of the input and, in its top byte, the length mod 256.
 * The chain through the four words is the cost: about 14 cycles a round that nothing can overlap,
 * so the work here is to keep everything else (loads, the tail) off that chain.
 */
struct sip {
    uint64_t v0, v1, v2, v3;
};

static inline uint64_t rotate(uint64_t word, unsigned bits)
{
    return (word << bits) | (word >> (64 - bits));
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v2 += s->v3;
    s->v1 = rotate(s->v1, 13) ^ s->v0;
    s->v3 = rotate(s->v3, 16) ^ s->v2;
    s->v0 = rotate(s->v0, 32);
    s->v2 += s->v1;
    s->v0 += s->v3;
    s->v1 = rotate(s->v1, 17) ^ s->v2;
    s->v3 = rotate(s->v3, 21) ^ s->v0;
    s->v2 = rotate(s->v2, 32);
}

static inline struct sip sip_start(struct cw_hash_key key)
{
    return (struct sip){.v0 = key.k0 ^ 0x736f6d6570736575u,
                        .v1 = key.k1 ^ 0x646f72616e646f6du,
                        .v2 = key.k0 ^ 0x6c7967656e657261u,
                        .v3 = key.k1 ^ 0x7465646279746573u};
}

/* The host is little-endian (x86-64 or arm64), so a load is the word. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "SipHash reads little-endian words");

static inline uint64_t load64(const uint8_t *data)
{
    uint64_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

static inline uint32_t load32(const uint8_t *data)
{
    uint32_t word;
    memcpy(&word, data, sizeof word);
    return word;
}

/* The last bytes % 8 bytes and the length, without a loop and without reading past either end. */
static inline uint64_t sip_tail(const uint8_t *data, size_t bytes)
{
    size_t left = bytes % 8;
    uint64_t tail = 0;
    if (bytes >= 8) {
        /* The last 8 bytes overlap words already read; two shifts, as one by 64 is undefined. */
        tail = (load64(data + bytes - 8) >> 1) >> (63 - 8 * left);
    } else if (left >= 4) {
        tail = load32(data) | (uint64_t)load32(data + left - 4) << (8 * (left - 4));
    } else if (left > 0) {
        tail = data[0] | (uint64_t)data[left / 2] << (8 * (left / 2)) |
               (uint64_t)data[left - 1] << (8 * (left - 1));
    }
    return tail | (uint64_t)bytes << 56;
}

uint64_t cw_hash(struct cw_hash_key key, const void *data, size_t bytes)
{
    struct sip s = sip_start(key);
    const uint8_t *from = data;
    uint64_t tail = sip_tail(from, bytes);
    for (size_t at = 0; at + 8 <= bytes; at += 8) {
        uint64_t word = load64(from + at);
        s.v3 ^= word;
        sip_round(&s);
        s.v0 ^= word;
    }
    s.v3 ^= tail;
    sip_round(&s);
    s.v0 ^= tail;
    s.v2 ^= 0xff;
    sip_round(&s);
    sip_round(&s);
    sip_round(&s);
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

void cw_hash128(struct cw_hash_key key, const void *data, size_t bytes, uint8_t out[16])
{
    struct sip s = sip_start(key);
    const uint8_t *from = data;
    uint64_t tail = sip_tail(from, bytes);
    s.v1 ^= 0xee;
    for (size_t at = 0; at + 8 <= bytes; at += 8) {
        uint64_t word = load64(from + at);
        s.v3 ^= word;
        sip_round(&s);
        sip_round(&s);
        s.v0 ^= word;
    }
    s.v3 ^= tail;
    sip_round(&s);
    sip_round(&s);
    s.v0 ^= tail;
    s.v2 ^= 0xee;
    for (int round = 0; round < 4; round++) {
        sip_round(&s);
    }
    uint64_t low = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    s.v1 ^= 0xdd;
    for (int round = 0; round < 4; round++) {
        sip_round(&s);
    }
    uint64_t high = s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
    memcpy(out, &low, sizeof low);
    memcpy(out + sizeof low, &high, sizeof high);
}

uint32_t cw_murmur2(const void *data, size_t bytes)
{
    const uint32_t mix = 0x5bd1e995u;
    const uint8_t *from = data;
    uint32_t hash = 0x9747b28cu ^ (uint32_t)bytes;
    size_t at = 0;
    for (; at + 4 <= bytes; at += 4) {
        uint32_t word = load32(from + at) * mix;
        word ^= word >> 24;
        hash = hash * mix ^ word * mix;
    }
    if (at < bytes) {
        for (size_t i = at; i < bytes; i++) {
            hash ^= (uint32_t)from[i] << (8 * (i - at));
        }
        hash *= mix;
    }
    hash ^= hash >> 13;
    hash *= mix;
    return hash ^ hash >> 15;
}
