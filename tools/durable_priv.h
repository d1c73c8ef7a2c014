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
    struct cw_keep *memory; /* NULL: none is configured */
    bool log_damaged;       /* it was passed over: what makes up for it becomes a checkpoint */
};

struct cw_durable {
    struct cw_durable_options options;
    struct cw_manifest manifest;
    bool fresh;
    bool alike;      /* the other slot says what this manifest does */
    int memory_lock; /* a file; -1: none is configured */
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
    struct cw_durable *durable; /* with `same` alone */
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

/* What is to come; only with `same`: else rows of others come to the same tables. */
void cw_durable_load_expect(void *with, const uint64_t *rows, uint32_t tables);

/* Takes back all of them; only with `same`. */
bool cw_durable_load_forget(void *with);

/* durable.c */
void cw_durable_log_options(const struct cw_durable *durable, const struct cw_disk *disk,
                            uint32_t number, struct cw_log_options *options);
/* Of a core that the manifest tells of: one that is not there is missing. */
CW_MUST_USE cw_err cw_durable_open_disk(struct cw_durable *durable, uint32_t core,
                                        struct cw_fault *fault);
/* Once all cores' logs were read and are good: each is made ready for what comes. */
CW_MUST_USE cw_err cw_durable_begin_logs(struct cw_durable *durable, struct cw_fault *fault);
CW_MUST_USE cw_err cw_durable_open_store(struct cw_durable *durable, uint32_t core,
                                         struct cw_pipeline *pipeline, struct cw_fault *fault);
CW_MUST_USE cw_err cw_durable_unclean(struct cw_durable *durable, struct cw_fault *fault);

/*
 * durable_adopt.c. At start, before anything is read: takes over what lies in the memory, if its
 * seal says that it is what the log leads to (*adopted); else puts the pipelines into new memory.
 * Without a configured memory it does nothing.
 */
CW_MUST_USE cw_err cw_durable_adopt(struct cw_durable *durable,
                                    struct cw_pipeline *const *pipelines,
                                    struct cw_durable_found *found, bool *adopted,
                                    struct cw_fault *fault);

/* At the very end of a clean stop; lsns: of each core's log, 0: it could not be ended. */
void cw_durable_seal(struct cw_durable *durable, const uint64_t *lsns);
void cw_durable_forget_memory(struct cw_durable *durable);

/* The memory of one core, if there is one, empty again, and its pipeline in it. Any thread that has
   the core to itself. */
CW_MUST_USE cw_err cw_durable_renew_memory(struct cw_durable *durable, uint32_t core,
                                           struct cw_pipeline *pipeline, struct cw_fault *fault);

/* durable_seal.c: what the memory's seal says. */
#define CW_SEAL_FORMAT 1u

struct cw_seal_core {
    uint64_t lsn;        /* of its log's last frame */
    uint64_t checkpoint; /* `begin` of the newest that is whole */
    uint64_t any;        /* 1: there is one */
    uint64_t programs;   /* cw_pipeline_programs */
};

struct cw_seal {
    char magic[8];
    uint32_t format, bytes;
    uint8_t store[16];
    uint64_t generation; /* of the manifest that says "clean" */
    uint64_t mark;       /* of each core's memory */
    uint64_t layout;     /* cw_pipeline_layout */
    uint32_t cores, partitions;
    char writer[32]; /* cartwheel's version */
    struct cw_seal_core core[CW_MESH_SHARDS_MAX];
    uint64_t hash; /* of all before */
};

/* CW_ERR_NOT_FOUND: there is none; CW_ERR_CORRUPT: it is not whole. */
CW_MUST_USE cw_err cw_seal_read(struct cw_seal *seal, const char *path, struct cw_fault *fault);
/* Durably. */
CW_MUST_USE cw_err cw_seal_write(struct cw_seal *seal, const char *path, struct cw_fault *fault);
/* So that it is not there after a loss of power either; none there is fine. */
CW_MUST_USE cw_err cw_seal_revoke(const char *path, struct cw_fault *fault);

#endif
