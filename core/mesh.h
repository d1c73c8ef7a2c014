/*
 * mesh: hand-over of batches between shards: one lane of slots per ordered pair, and one back, so
 * that a batch comes home to the shard that made it. No lock, no line that both ends write but the
 * batch's own, no allocation once warm.
 *
 * Life:    open -> { acquire -> push -> pop -> give_back -> collect }* -> close.
 * Memory:  CW_MESH_BATCHES batches per ordered pair, each with an arena of its own.
 * Threads: collect, acquire, release and push from shard `from` only; pop and give_back from shard
 * `to` only. Bounds:  acquire returns NULL when all batches of the pair are away: the sender waits,
 * which is how a slow shard slows its senders.
 */
#ifndef CW_CORE_MESH_H
#define CW_CORE_MESH_H

#include "core/port.h"

#define CW_MESH_SHARDS_MAX 64u
/* One filling, one waiting, one at work, one coming home, some whose commit is flushed. */
#define CW_MESH_BATCHES 8u

struct cw_mesh; /* opaque: owns its memory */

CW_MUST_USE cw_err cw_mesh_open(struct cw_mesh **mesh, uint32_t shards, struct cw_fault *fault);
void cw_mesh_close(struct cw_mesh *mesh);
uint32_t cw_mesh_shards(const struct cw_mesh *mesh);

/* Takes in what has come home to `from`; home (may be NULL) is told of each batch that had content,
   before it is reset. */
void cw_mesh_collect(struct cw_mesh *mesh, uint32_t from,
                     void (*home)(void *self, struct cw_batch *batch), void *self);

/* True when a batch for every shard can be acquired. */
bool cw_mesh_ready(const struct cw_mesh *mesh, uint32_t from);
struct cw_batch *cw_mesh_acquire(struct cw_mesh *mesh, uint32_t from, uint32_t to);
/* Puts a batch back that was acquired and is not needed. */
void cw_mesh_release(struct cw_mesh *mesh, struct cw_batch *batch);
void cw_mesh_push(struct cw_mesh *mesh, struct cw_batch *batch);
struct cw_batch *cw_mesh_pop(struct cw_mesh *mesh, uint32_t from, uint32_t to);
void cw_mesh_give_back(struct cw_mesh *mesh, struct cw_batch *batch);

/* True when pop or collect would find something for this shard. */
CW_MUST_USE bool cw_mesh_waiting(const struct cw_mesh *mesh, uint32_t shard);

#endif
