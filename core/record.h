/*
 * record: one row's image, as the log and checkpoints hold it: what to put, or to remove, in which
 * table. Applying the same records again gives the same state.
 *
 *      0 u32 value_bytes     4 u16 key_bytes    6 u8 table    7 u8 kind (enum cw_record_kind)
 *      8 key, value, zeroes up to a multiple of 8                          (little endian)
 *
 * A checksum is the frame's or block's that holds them. Kinds of 0x80 and above may be skipped by a
 * reader that does not know them; any other unknown kind is refused.
 */
#ifndef CW_CORE_RECORD_H
#define CW_CORE_RECORD_H

#include "core/view.h"

#define CW_RECORD_HEAD_BYTES 8u

enum cw_record_kind {
    CW_RECORD_PUT = 1,
    CW_RECORD_REMOVE = 2 /* no value */
};

struct cw_record {
    enum cw_record_kind kind;
    uint8_t table;
    struct cw_view key, value; /* into the bytes that were read; the value 8-byte aligned only if
                                  the key's length allows: copy before use */
};

static inline uint64_t cw_record_bytes(uint32_t key_bytes, uint32_t value_bytes)
{
    return (CW_RECORD_HEAD_BYTES + (uint64_t)key_bytes + value_bytes + 7) & ~(uint64_t)7;
}

/* Writes it; `to` has cw_record_bytes() of room, 8-byte aligned. Returns the byte after it. */
char *cw_record_write(char *to, const struct cw_record *record);

enum cw_record_read {
    CW_RECORD_READ, /* *record is the next one and *bytes is past it */
    CW_RECORD_END,  /* nothing is left */
    CW_RECORD_BAD   /* not what cw_record_write makes */
};

/* Takes the next known record off *bytes, skipping those that may be. Never reads past its end. */
CW_MUST_USE enum cw_record_read cw_record_next(struct cw_view *bytes, struct cw_record *record);

#endif
