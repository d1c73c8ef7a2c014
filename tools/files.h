/*
 * files: event files as a source of chunks, mapped whole and cut at line ends, so that every shard
 * finds its own chunks without asking another.
 *
 * Life: open -> (the shards' calls) -> close. Memory: the mappings. Threads: take from any shard.
 */
#ifndef CW_TOOLS_FILES_H
#define CW_TOOLS_FILES_H

#include "core/port.h"
#include "tools/cli.h"

#include <stdatomic.h>

struct cw_files {
    uint32_t count;
    const char *names[CW_EVENT_FILES_MAX];

    struct {
        const char *text;
        size_t bytes, mapped_bytes; /* mapped_bytes 0: from the heap */
        uint64_t first;             /* sequence of its first chunk */
    } list[CW_EVENT_FILES_MAX];

    uint64_t chunks;
    size_t bytes;
    atomic_uint_fast64_t taken; /* chunks, of all shards, to look at from anywhere */
};

/* `-` is standard input, read to its end. */
CW_MUST_USE cw_err cw_files_open(struct cw_files *files, const char *const *names, uint32_t count,
                                 struct cw_fault *fault);
void cw_files_close(struct cw_files *files);
struct cw_source cw_files_source(struct cw_files *files);

#endif
