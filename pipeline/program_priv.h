/* What the parts of the program loader share: program_ctl.c (the set), program_file_ctl.c (one
   file), program_source_ctl.c (event sources), program_channel_ctl.c (channels). */
#ifndef CW_PIPELINE_PROGRAM_PRIV_H
#define CW_PIPELINE_PROGRAM_PRIV_H

#include "pipeline/option_ctl.h"
#include "pipeline/program.h"
#include "pipeline/program_keys_ctl.h"

/* One file on its way into the set. */
struct cw_program_reader {
    struct cw_option_reader in;
    struct cw_programs *set;
    struct cw_program *program;
    const struct cw_program_needs *needs;
    uint32_t id_node; /* of programId's value, 0: none */

    /* Templates that were looked at for this load: each is told about once. */
    struct cw_program_linted {
        struct cw_view id;
        bool discount;
    } * linted;

    uint32_t *linted_count;
    uint32_t linted_max;
};

/* Reads the document into reader->program, as far as it goes; problems are added. */
void cw_program_read(struct cw_program_reader *reader);

void cw_program_read_sources(struct cw_program_reader *reader, uint32_t list);
/* After candidate_ttl_ms and discount. */
void cw_program_read_channels(struct cw_program_reader *reader, uint32_t list);

/* A copy in the set's arena; NULL data stays NULL. */
struct cw_view cw_program_keep(struct cw_program_reader *reader, struct cw_view text);

/* Adds an error when one of the names given before (`seen`, of `count`) is the same. at: where to
   tell it; key: what the name is. */
void cw_program_check_unique(const struct cw_program_reader *reader, const struct cw_view *seen,
                             uint32_t count, uint32_t at, const char *key);

#endif
