/* durable_priv: what durable.c and durable_files.c share. */
#ifndef CW_TOOLS_DURABLE_PRIV_H
#define CW_TOOLS_DURABLE_PRIV_H

#include "core/mesh.h"
#include "tools/durable.h"

struct cw_durable_core {
    struct cw_pipeline *pipeline;
    struct cw_disk disk;
    bool open; /* the disk is */
    struct cw_log *log;
    struct cw_journal *journal;
    struct cw_checkpoint *checkpoint;
    struct cw_checkpoint_found found; /* by recovery, on as many cores as before */
    struct cw_store *store;
    struct cw_table *tables[CW_TABLE_NUMBER_COUNT];
};

struct cw_durable {
    struct cw_durable_options options;
    struct cw_manifest manifest;
    bool fresh;
    struct cw_durable_core cores[CW_MESH_SHARDS_MAX];
};

#endif
