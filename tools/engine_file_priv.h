/* engine_file_priv: what the readers of the engine file's parts share. */
#ifndef CW_TOOLS_ENGINE_FILE_PRIV_H
#define CW_TOOLS_ENGINE_FILE_PRIV_H

#include "tools/engine_file.h"

struct cw_engine_reader {
    struct cw_option_reader in;
    struct cw_engine_file *file;
    enum cw_secrets secrets;
};

/* Copies into the engine file's memory; the copy is followed by a NUL. */
struct cw_view cw_engine_keep(struct cw_engine_reader *reader, struct cw_view text);

/* A path of the file, as seen from where cartwheel runs. */
const char *cw_engine_path(struct cw_engine_reader *reader, struct cw_view path);

#endif
