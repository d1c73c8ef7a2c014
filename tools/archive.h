/*
 * archive: an engine's state as one snapshot file (core/snapshot.h), out of a state directory and
 * into one. Members, in this order:
 *
 *     manifest               core/manifest.h; held: yes
 *     secret.key             what links in messages are signed with
 *     programs/1-<name>      the program files, numbered
 *     shard-0/<file>         of each core: its checkpoint, then its log's segments
 *
 * Life:    none. Memory: a MiB at a time. Threads: any, one at a time for a file.
 * Fails:   CW_ERR_CORRUPT: the snapshot, or what it was to be made of, is damaged; CW_ERR_IO;
 *          CW_ERR_UNSUPPORTED: it has another format; CW_ERR_NOT_FOUND: there is no such file;
 *          CW_ERR_INVALID: a file or a directory stands in the way, or the file is no snapshot.
 */
#ifndef CW_TOOLS_ARCHIVE_H
#define CW_TOOLS_ARCHIVE_H

#include "core/manifest.h"
#include "core/store.h"
#include "pipeline/program.h"
#include "tools/bar.h"

#include <stdatomic.h>
#include <stdio.h>

struct cw_archive_source {
    const char *state;
    struct cw_manifest manifest;
    const struct cw_store_image *images; /* one a core, of pinned stores; NULL: nothing runs, and
                                            all checkpoints and segments are copied */
    const struct cw_program_file *programs; /* none: the shipped program */
    uint32_t program_count;
    const atomic_bool *stop; /* gives up once it is true; NULL: never */
    struct cw_bar *bar;      /* how far it is; NULL: nobody looks on */
};

/* Writes it as FILE.new, flushes, and gives it its name, flushed too. CW_ERR_INVALID: it is there,
   or somebody else writes it. */
CW_MUST_USE cw_err cw_archive_write(const struct cw_archive_source *source, const char *file,
                                    uint64_t *bytes, struct cw_fault *fault);

/* What its name ends in until it is whole. Whoever writes one has it locked (flock). */
#define CW_ARCHIVE_UNFINISHED ".new"

/* Removes one that nobody writes any more; false: somebody does. */
bool cw_archive_drop_unfinished(const char *path);

/* The manifest of a snapshot, proven; the rest is not read. */
CW_MUST_USE cw_err cw_archive_manifest(const char *file, struct cw_manifest *manifest,
                                       struct cw_fault *fault);

/* Reads all of it; writes nothing. bar, here and below: how far it is; NULL: nobody looks on. */
CW_MUST_USE cw_err cw_archive_verify(const char *file, struct cw_bar *bar, struct cw_fault *fault);

/* What to do about one that is damaged, in a sentence for people. */
void cw_archive_advise(const char *file, FILE *to);

/* Unpacks it into a directory that is not there yet, flushed. What came before a failure stays
   there: cw_archive_remove. */
CW_MUST_USE cw_err cw_archive_unpack(const char *file, const char *directory, bool held,
                                     struct cw_manifest *manifest, struct cw_bar *bar,
                                     struct cw_fault *fault);

/* Removes a directory that was unpacked, as far as it can. */
void cw_archive_remove(const char *directory);

/* Appends the name of a snapshot that is made now: 2026-11-28T181500Z.cwsnap; or of one of that
   store, so that engines may share a directory: 2026-11-28T181500Z-1a2b3c4d.cwsnap. */
#define CW_ARCHIVE_SUFFIX ".cwsnap"
void cw_archive_name(int64_t now_ms, struct cw_text *text);
void cw_archive_name_of(const uint8_t store[16], int64_t now_ms, struct cw_text *text);
/* True of what these make: such names sort by their time. */
bool cw_archive_is_name(const char *name);

#endif
