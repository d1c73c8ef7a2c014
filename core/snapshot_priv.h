/*
 * snapshot_priv: the bytes of a snapshot, for its own file and for tests. Little endian:
 *
 *     head | { MEMBER name | DATA bytes ... | END_MEMBER its length }* | TRAILER counts
 *
 * A piece is a header and its payload, filled up with zeroes to 8 bytes. A piece's hash is seeded
 * with the hash of the one before, the first one's with the head's: the trailer's is of everything.
 */
#ifndef CW_CORE_SNAPSHOT_PRIV_H
#define CW_CORE_SNAPSHOT_PRIV_H

#include "core/snapshot.h"

#define CW_SNAPSHOT_MAGIC "CWSNAPS" /* and its NUL */

enum {
    CW_SNAPSHOT_MAJOR = CW_SNAPSHOT_FORMAT, /* another one is refused; */
    CW_SNAPSHOT_MINOR = 0,                  /* any of these is read */
    CW_SNAPSHOT_XXH3 = 1                    /* hash_algorithm */
};

enum cw_snapshot_kind {
    CW_SNAPSHOT_MEMBER = 0x4d454d53,     /* "SMEM" */
    CW_SNAPSHOT_DATA = 0x54414453,       /* "SDAT" */
    CW_SNAPSHOT_END_MEMBER = 0x444e4553, /* "SEND" */
    CW_SNAPSHOT_TRAILER = 0x4c525453     /* "STRL" */
};

struct cw_snapshot_head {
    char magic[8];
    uint16_t major, minor;
    uint32_t hash_algorithm;
    uint64_t hash; /* XXH3-64 of all before */
};

struct cw_snapshot_piece {
    uint32_t kind;
    uint32_t bytes;  /* of the payload; at most CW_SNAPSHOT_PIECE_MAX */
    uint64_t number; /* 0, 1, 2, ... */
    uint64_t hash;   /* XXH3-64 of the payload with its zeroes, seed: that of all before this, whose
                        seed is the hash of the piece before */
};

struct cw_snapshot_trailer {
    uint64_t members, data_bytes;
    uint64_t bytes; /* of the whole file */
};

static_assert(sizeof(struct cw_snapshot_head) == 24 && sizeof(struct cw_snapshot_piece) == 24,
              "8-byte aligned, and the reader begins with 24 bytes of either");
static_assert(sizeof(struct cw_snapshot_piece) + CW_SNAPSHOT_PIECE_MAX <= CW_SNAPSHOT_ROOM_BYTES,
              "the longest piece fits");

uint64_t cw_snapshot_head_hash(const struct cw_snapshot_head *head);

/* Its payload with zeroes: bytes rounded up to 8. */
uint64_t cw_snapshot_piece_hash(const struct cw_snapshot_piece *piece, const void *payload,
                                uint64_t before);

#endif
