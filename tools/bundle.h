/*
 * bundle: one version of everything that may change while the engine runs: programs, their models,
 * and templates (each core renders with its own).
 *
 * Life: open -> shared by the cores, read-only -> close once no core uses it. Threads: control.
 */
#ifndef CW_TOOLS_BUNDLE_H
#define CW_TOOLS_BUNDLE_H

#include "core/mesh.h"
#include "tools/cli.h"

struct cw_bundle {
    struct cw_assets assets; /* the programs' models */
    struct cw_programs *programs;
    struct cw_program_file files[CW_PROGRAMS_MAX]; /* what they were made of; none: the shipped */
    uint32_t file_count;
    struct cw_assets of_core[CW_MESH_SHARDS_MAX];
    uint32_t cores; /* opened so far */
};

struct cw_bundle_sources {
    const char *models, *templates; /* directories, NULL: the shipped ones alone */
    const char *const *programs;    /* files; none: CW_PROGRAM_SHIPPED */
    uint32_t program_count;
};

/* Problems of the programs are printed on standard error and appended to told (may be NULL).
   CW_ERR_INVALID: there were some. */
CW_MUST_USE cw_err cw_bundle_open(struct cw_bundle **bundle,
                                  const struct cw_bundle_sources *sources, uint32_t cores,
                                  struct cw_text *told, struct cw_fault *fault);
void cw_bundle_close(struct cw_bundle *bundle);

#endif
