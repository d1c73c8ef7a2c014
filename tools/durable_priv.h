/* durable_priv: what durable.c and durable_files.c share. */
#ifndef CW_TOOLS_DURABLE_PRIV_H
#define CW_TOOLS_DURABLE_PRIV_H

#include "core/mesh.h"
#include "tools/durable.h"

struct cw_durable_core {
    struct cw_pipeline *pipeline;
    struct cw_disk_store *disk;
    struct cw_log *log;
    struct cw_journal *journal;
    struct cw_checkpoint *checkpoint;
    struct cw_store *store;
    struct cw_table *tables[CW_PERSIST_TABLES];
};

struct cw_durable {
    struct cw_durable_options options;
    struct cw_manifest manifest;
    bool fresh;
    struct cw_durable_core cores[CW_MESH_SHARDS_MAX];
};

/* Removes an epoch's directories and files, where they are. */
CW_MUST_USE cw_err cw_durable_remove_epoch(const char *directory, uint64_t epoch,
                                           struct cw_fault *fault);

#endif
