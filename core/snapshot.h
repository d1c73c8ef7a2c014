/*
 * snapshot: one self-contained file of named members, written and read front to back: what an
 * operator takes away, keeps, and restores an engine from.
 *
 * No operating system here: the writer hands out bytes, the reader is fed bytes, in pieces of any
 * size, so that a file, a pipe or a socket is the same. Members are of any length, which need not
 * be known before; what they mean is the caller's. An engine's are, in this order:
 *
 *     manifest                  text: store, version, shards, hash keys, clock
 *     programs/<name>           as they were read
 *     shard-<n>/<file>          of each shard a checkpoint's file, then the log's segments from its
 *                               `begin` to its `end` or later, under their own names: the fuzzy
 *                               rule (core/README.md) makes of them the state as of the last frame
 *
 * The reader proves each piece before the caller sees it, but only the trailer proves the whole.
 * Restore nothing before CW_SNAPSHOT_DONE: read a file twice, first with no receiver, or put what
 * comes aside until then. The hashes find damage, not malice: who may write the file may forge it.
 *
 * Life:    writer: begin -> { member -> data* -> end_member }* -> end. reader: begin -> feed*.
 *          Nothing to free.
 * Memory:  the caller's structs; the reader's room of CW_SNAPSHOT_ROOM_BYTES.
 * Threads: one at a time.
 * Fails:   writer: its put said no, and nothing more is written. Reader: CW_SNAPSHOT_BAD, for good;
 *          `why` says what. Misuse asserts.
 */
#ifndef CW_CORE_SNAPSHOT_H
#define CW_CORE_SNAPSHOT_H

#include "core/view.h"

#define CW_SNAPSHOT_NAME_MAX   200u
#define CW_SNAPSHOT_PIECE_MAX  (1u << 20)
#define CW_SNAPSHOT_ROOM_BYTES (CW_SNAPSHOT_PIECE_MAX + 64u)

/* A name is a relative path: parts of letters, digits and . _ - with / between them, none of them
   empty or beginning with a dot. Such a name cannot lead out of the folder that it is put in. */
CW_MUST_USE bool cw_snapshot_name_ok(struct cw_view name);

/* ---- writing ---- */

struct cw_snapshot_writer {
    /* Private. */
    bool (*put)(void *with, const void *data, uint32_t bytes); /* in order; false: no more */
    void *with;
    uint64_t hash, pieces, members, member_bytes, data_bytes, bytes;
    bool in_member, ended, failed;
};

/* All return false when put did, now or before. */
bool cw_snapshot_begin(struct cw_snapshot_writer *writer,
                       bool (*put)(void *with, const void *data, uint32_t bytes), void *with);
bool cw_snapshot_member(struct cw_snapshot_writer *writer, struct cw_view name);

/* The next bytes of the member, any number; best a MiB at a time. */
bool cw_snapshot_data(struct cw_snapshot_writer *writer, const void *data, uint64_t bytes);
bool cw_snapshot_end_member(struct cw_snapshot_writer *writer);

/* Without it the file is not whole. The caller flushes it. */
CW_MUST_USE bool cw_snapshot_end(struct cw_snapshot_writer *writer);

/* ---- reading ---- */

/* Whether a file that begins with these bytes is meant to be a snapshot, as far as they tell. */
CW_MUST_USE bool cw_snapshot_begins(const void *data, uint64_t bytes);

enum cw_snapshot_state {
    CW_SNAPSHOT_MORE, /* all good so far; it is not the end */
    CW_SNAPSHOT_DONE, /* whole, and nothing is behind it */
    CW_SNAPSHOT_BAD
};

#define CW_SNAPSHOT_FORMAT 1u /* that is written, and the only one that is read */

/* Each returns false to stop (the reader is then BAD); any may be NULL. Views are good during the
   call. */
struct cw_snapshot_receiver {
    bool (*member)(void *with, struct cw_view name);
    bool (*data)(void *with, struct cw_view bytes);
    bool (*end_member)(void *with);
    void *with;
};

struct cw_snapshot_reader {
    enum cw_snapshot_state state;
    char why[120];   /* once it is BAD */
    uint32_t format; /* of a whole head that is BAD for being of another one; else 0 */
    uint64_t members, data_bytes, bytes; /* proven so far */
    /* Private. */
    struct cw_snapshot_receiver receiver;
    char *room;
    uint32_t have, need;
    uint64_t hash, pieces, member_bytes;
    bool in_member;
};

/* room: CW_SNAPSHOT_ROOM_BYTES, 8-byte aligned. receiver NULL: only proves. */
void cw_snapshot_reader_begin(struct cw_snapshot_reader *reader, char *room,
                              const struct cw_snapshot_receiver *receiver);

/* At the end of the file the state must be DONE. */
enum cw_snapshot_state cw_snapshot_feed(struct cw_snapshot_reader *reader, const void *data,
                                        uint64_t bytes);

#endif
