/*
 * post_record: a message as one piece of bytes, for the way from a shard to the channels' thread.
 * Threads: any. Bounds: CW_CHANNEL_MESSAGE_BYTES, CW_CHANNEL_FACTS_MAX; what passes them is handed
 * over without its content and marked.
 */
#ifndef CW_IO_POST_RECORD_H
#define CW_IO_POST_RECORD_H

#include "core/port.h"
#include "io/channel_priv.h"

/* Bytes that write needs. */
uint32_t cw_post_record_bytes(const struct cw_post *post);
void cw_post_record_write(void *room, const struct cw_post *post, uint64_t posted_ns);

/* Views point into the record; headers: room for CW_CHANNEL_FACTS_MAX. False: it was too large. */
CW_MUST_USE bool cw_post_record_read(const void *from, uint32_t shard, struct cw_post *post,
                                     struct cw_header *facts, uint64_t *posted_ns);

#endif
