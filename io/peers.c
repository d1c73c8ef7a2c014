#define _GNU_SOURCE 1
#include "io/peers.h"

#include "core/hash.h"

#include <netinet/in.h>
#include <sys/random.h>

struct peer {
    uint8_t key[16];
    uint32_t count, next; /* next: of its bucket, or of the free ones */
};

struct cw_peers {
    struct cw_hash_key hash;
    struct peer *peers;
    uint32_t *buckets;
    uint32_t mask, first_free;
};

static uint32_t bucket_count(uint32_t count_max)
{
    uint32_t buckets = 16;
    while (buckets < count_max) {
        buckets *= 2;
    }
    return buckets;
}

size_t cw_peers_footprint(uint32_t count_max)
{
    return sizeof(struct cw_peers) + count_max * sizeof(struct peer) +
           bucket_count(count_max) * sizeof(uint32_t) + (size_t)3 * CW_CACHE_LINE;
}

struct cw_peers *cw_peers_create(struct cw_arena *arena, uint32_t count_max)
{
    struct cw_peers *peers = cw_arena_zalloc(arena, sizeof *peers, CW_CACHE_LINE);
    uint32_t buckets = bucket_count(count_max);
    peers->mask = buckets - 1;
    peers->peers = cw_arena_zalloc(arena, count_max * sizeof *peers->peers, CW_CACHE_LINE);
    peers->buckets = cw_arena_alloc(arena, buckets * sizeof *peers->buckets, CW_CACHE_LINE);
    memset(peers->buckets, 0xff, buckets * sizeof *peers->buckets);
    for (uint32_t i = 0; i < count_max; i++) {
        peers->peers[i].next = i + 1 < count_max ? i + 1 : CW_PEERS_NONE;
    }
    ssize_t rc = getrandom(&peers->hash, sizeof peers->hash, 0);
    CW_ASSERT(rc == (ssize_t)sizeof peers->hash);
    return peers;
}

static void key_of(const struct sockaddr_storage *address, uint8_t key[16])
{
    memset(key, 0, 16);
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        memcpy(key + 12, &in->sin_addr, 4);
        key[10] = key[11] = 0xff;
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in = (const void *)address;
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in->sin6_addr);
        memcpy(key, &in->sin6_addr, mapped ? 16 : 8);
    }
}

static uint32_t *bucket_of(struct cw_peers *peers, const uint8_t key[16])
{
    return &peers->buckets[cw_hash(peers->hash, key, 16) & peers->mask];
}

uint32_t cw_peers_add(struct cw_peers *peers, const struct sockaddr_storage *address,
                      uint32_t *peer)
{
    uint8_t key[16];
    key_of(address, key);
    uint32_t *bucket = bucket_of(peers, key);
    for (uint32_t i = *bucket; i != CW_PEERS_NONE; i = peers->peers[i].next) {
        if (memcmp(peers->peers[i].key, key, sizeof key) == 0) {
            *peer = i;
            return ++peers->peers[i].count;
        }
    }
    uint32_t fresh = peers->first_free;
    CW_ASSERT(fresh != CW_PEERS_NONE); /* there are as many as connections */
    struct peer *entry = &peers->peers[fresh];
    peers->first_free = entry->next;
    memcpy(entry->key, key, sizeof key);
    entry->count = 1;
    entry->next = *bucket;
    *bucket = fresh;
    *peer = fresh;
    return 1;
}

void cw_peers_remove(struct cw_peers *peers, uint32_t peer)
{
    struct peer *entry = &peers->peers[peer];
    CW_ASSERT(entry->count > 0);
    if (--entry->count > 0) {
        return;
    }
    uint32_t *link = bucket_of(peers, entry->key);
    while (*link != peer) {
        CW_ASSERT(*link != CW_PEERS_NONE);
        link = &peers->peers[*link].next;
    }
    *link = entry->next;
    entry->next = peers->first_free;
    peers->first_free = peer;
}
