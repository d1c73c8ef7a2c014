/*
 * hash: the three hashes of the house, each for one purpose.
 *
 * Threads: pure functions. Fails: never.
 */
#ifndef CW_CORE_HASH_H
#define CW_CORE_HASH_H

#include "core/view.h"

struct cw_hash_key {
    uint64_t k0, k1;
};

/* SipHash-1-3 (Aumasson, Bernstein 2012; the reduced-round variant), for tables keyed by input.
   Never an identity: a table compares the whole key. */
uint64_t cw_hash(struct cw_hash_key key, const void *data, size_t bytes);

/* SipHash-2-4 with 128-bit output, bytes in the order of the reference implementation. For ids
   that must look the same everywhere and for ever. */
void cw_hash128(struct cw_hash_key key, const void *data, size_t bytes, uint8_t out[16]);

/* MurmurHash2 with Kafka's seed 0x9747b28c, the hash of its default partitioner. */
uint32_t cw_murmur2(const void *data, size_t bytes);

/* The partition that owns a customer: (murmur2 & 0x7fffffff) mod partitions, so that a topic
   keyed by customerId lines up. partitions is a power of two. */
static inline uint32_t cw_partition(struct cw_view customer_id, uint32_t partitions)
{
    return (cw_murmur2(customer_id.data, customer_id.bytes) & 0x7fffffffu) & (partitions - 1);
}

#endif
