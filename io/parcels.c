/*
 * Positions only grow; an offset is a position modulo the size. A record is its length in 8 bytes,
 * then its bytes, and never wraps: what does not fit before the end of the buffer leaves a mark
 * there that says "go on at the start".
 *
 * An empty buffer that has come past its first quarter is begun anew at its start, with the same
 * mark, so that a queue that is seldom long stays in the pages it has touched. The bytes that this
 * skips are free but for the mark itself, which must stay until the consumer has read it: until
 * then the room ends at the mark.
 */
#include "io/parcels.h"

#include <stdatomic.h>

#define MARK UINT64_MAX

enum {
    HEAD_BYTES = 8 /* the length; positions are multiples of it, so a mark always fits */
};

struct cw_parcels {
    _Alignas(CW_CACHE_LINE) _Atomic uint64_t sent; /* written by the producer */
    uint64_t line;       /* producer's: the end of what was put, sent or not */
    uint64_t reserved;   /* producer's: what put will add */
    uint64_t anew, mark; /* producer's: where it was begun anew last, the mark's offset */
    _Alignas(CW_CACHE_LINE) _Atomic uint64_t taken; /* written by the consumer */
    uint64_t after;                                 /* consumer's: what take will publish */
    _Alignas(CW_CACHE_LINE) uint32_t size_bytes;
    char *data;
};

static uint64_t record_bytes(uint32_t bytes)
{
    return HEAD_BYTES + (((uint64_t)bytes + 7) & ~(uint64_t)7);
}

struct cw_parcels *cw_parcels_create(struct cw_arena *arena, uint32_t bytes)
{
    CW_ASSERT(bytes >= 64 && (bytes & (bytes - 1)) == 0);
    struct cw_parcels *parcels =
        cw_arena_zalloc(arena, sizeof *parcels, _Alignof(struct cw_parcels));
    parcels->size_bytes = bytes;
    parcels->data = cw_arena_alloc(arena, bytes, CW_CACHE_LINE);
    return parcels;
}

uint32_t cw_parcels_record_max(const struct cw_parcels *parcels)
{
    return parcels->size_bytes / 2 - HEAD_BYTES;
}

static char *at(const struct cw_parcels *parcels, uint64_t position)
{
    return parcels->data + (position & (parcels->size_bytes - 1));
}

void *cw_parcels_room(struct cw_parcels *parcels, uint32_t bytes)
{
    CW_ASSERT(bytes <= cw_parcels_record_max(parcels));
    uint64_t sent = parcels->line;
    uint64_t taken = atomic_load_explicit(&parcels->taken, memory_order_acquire);
    uint64_t need = record_bytes(bytes);
    uint64_t offset = sent & (parcels->size_bytes - 1);
    uint64_t to_end = parcels->size_bytes - offset;
    bool anew = sent == taken && offset >= parcels->size_bytes / 4 && need <= offset;
    uint64_t skip = to_end < need || anew ? to_end : 0;
    uint64_t limit =
        taken < parcels->anew ? parcels->anew + parcels->mark : taken + parcels->size_bytes;
    if (sent + skip + need > (anew ? sent + skip + offset : limit)) {
        return NULL;
    }
    if (skip > 0) {
        memcpy(at(parcels, sent), &(uint64_t){MARK}, HEAD_BYTES);
        sent += skip;
    }
    if (anew) {
        parcels->anew = sent;
        parcels->mark = offset;
    }
    memcpy(at(parcels, sent), &(uint64_t){bytes}, HEAD_BYTES);
    parcels->reserved = sent + need;
    return at(parcels, sent) + HEAD_BYTES;
}

void cw_parcels_put(struct cw_parcels *parcels)
{
    parcels->line = parcels->reserved;
}

uint64_t cw_parcels_line(const struct cw_parcels *parcels)
{
    return parcels->line;
}

bool cw_parcels_send_to(struct cw_parcels *parcels, uint64_t line)
{
    CW_ASSERT_HOT(line <= parcels->line);
    if (atomic_load_explicit(&parcels->sent, memory_order_relaxed) == line) {
        return false;
    }
    atomic_store_explicit(&parcels->sent, line, memory_order_release);
    return true;
}

void cw_parcels_send(struct cw_parcels *parcels)
{
    cw_parcels_put(parcels);
    (void)cw_parcels_send_to(parcels, parcels->line);
}

const void *cw_parcels_next(struct cw_parcels *parcels, uint32_t *bytes)
{
    uint64_t taken = atomic_load_explicit(&parcels->taken, memory_order_relaxed);
    uint64_t sent = atomic_load_explicit(&parcels->sent, memory_order_acquire);
    if (taken == sent) {
        return NULL;
    }
    uint64_t length;
    memcpy(&length, at(parcels, taken), HEAD_BYTES);
    if (length == MARK) { /* a record always follows: both are put at once */
        taken += parcels->size_bytes - (taken & (parcels->size_bytes - 1));
        memcpy(&length, at(parcels, taken), HEAD_BYTES);
    }
    CW_ASSERT_HOT(length <= cw_parcels_record_max(parcels));
    *bytes = (uint32_t)length;
    parcels->after = taken + record_bytes(*bytes);
    return at(parcels, taken) + HEAD_BYTES;
}

void cw_parcels_take(struct cw_parcels *parcels)
{
    atomic_store_explicit(&parcels->taken, parcels->after, memory_order_release);
}
