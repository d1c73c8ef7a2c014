/* durable_priv: what durable.c, durable_load.c and durable_files.c share. */
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

/* ---- records into pipelines: durable_load.c ---- */

/* Where the time of a start goes. */
struct cw_durable_phases {
    uint64_t checkpoint_ns, log_ns; /* rows included */
    uint64_t rows_ns;               /* rows put into tables, so far */
    uint64_t checkpoint_rows_ns;    /* the part of the checkpoint's */
};

/* One old core's records on their way into the new cores' pipelines. */
struct cw_durable_load {
    const struct cw_durable_options *options;
    struct cw_pipeline *const *pipelines;
    uint32_t from;          /* the old core */
    bool same;              /* there are as many cores as before */
    struct cw_fault *fault; /* why the first record was refused; code OK: none was */
    uint64_t rows;
    struct cw_durable_phases phases;
};

/* For cw_checkpoint_read and frames of a log; `with` is a struct cw_durable_load. */
bool cw_durable_load_records(void *with, struct cw_view records);

#endif
