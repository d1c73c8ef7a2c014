/*
 * parcels: one-producer one-consumer hand-off of byte records through one circular buffer.
 *
 * Where core/ring.h hands over pointers, this hands over the bytes themselves: the producer writes
 * a record in place, the consumer reads it in place, and its room is free again once taken.
 *
 * Memory:  the buffer comes from the arena; while little waits, only its first quarter is touched.
 * Threads: room and send from one thread only; next and take from one thread only.
 * Bounds:  a record has at most half of the buffer. room returns NULL when full, which it never is
 *          while the records in it and the new one have a quarter of it together (with 16 bytes
 *          each for their heads).
 */
#ifndef CW_IO_PARCELS_H
#define CW_IO_PARCELS_H

#include "core/arena.h"

struct cw_parcels;

/* bytes is a power of two, at least 64. */
struct cw_parcels *cw_parcels_create(struct cw_arena *arena, uint32_t bytes);
uint32_t cw_parcels_record_max(const struct cw_parcels *parcels);

/* Where to write a record, aligned to 8, or NULL when there is no room now. It is in line once put,
   and handed over, with all before it, when sent up to there. */
CW_MUST_USE void *cw_parcels_room(struct cw_parcels *parcels, uint32_t bytes);
void cw_parcels_put(struct cw_parcels *parcels);
/* Where the line ends now: for send_to later. */
uint64_t cw_parcels_line(const struct cw_parcels *parcels);
/* True when records were handed over that were not before. */
bool cw_parcels_send_to(struct cw_parcels *parcels, uint64_t line);
/* Puts it and sends all. */
void cw_parcels_send(struct cw_parcels *parcels);

/* The oldest record, or NULL; it stays until take. */
CW_MUST_USE const void *cw_parcels_next(struct cw_parcels *parcels, uint32_t *bytes);
void cw_parcels_take(struct cw_parcels *parcels);

#endif
