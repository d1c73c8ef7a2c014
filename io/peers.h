/*
 * peers: how many connections each address has. One IPv6 address stands for its /64, because that
 * is what one caller is given.
 *
 * Life:    create -> { add -> remove }*. Memory: the arena's, for as many as there may be at once.
 * Threads: one. Fails: never. Bounds: a keyed hash, so that callers cannot choose their bucket.
 */
#ifndef CW_IO_PEERS_H
#define CW_IO_PEERS_H

#include "core/arena.h"

#include <sys/socket.h>

#define CW_PEERS_NONE UINT32_MAX

struct cw_peers; /* opaque */

struct cw_peers *cw_peers_create(struct cw_arena *arena, uint32_t count_max);
size_t cw_peers_footprint(uint32_t count_max);

/* Counts one more of that address; *peer is for remove(). Returns how many it has now. */
uint32_t cw_peers_add(struct cw_peers *peers, const struct sockaddr_storage *address,
                      uint32_t *peer);
void cw_peers_remove(struct cw_peers *peers, uint32_t peer);

#endif
