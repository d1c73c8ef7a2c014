/* outbox_priv: names of files in an outbox, for outbox.c and outbox_ctl.c. */
#ifndef CW_IO_OUTBOX_PRIV_H
#define CW_IO_OUTBOX_PRIV_H

#include "core/view.h"

#define CW_OUTBOX_NAME_BYTES     96u /* with a NUL */
#define CW_OUTBOX_KIND_BYTES_MAX 16u

struct cw_outbox_name {
    struct cw_view kind;
    bool mail; /* .eml, else .json */
};

/* True when a file of that name is one that an outbox writes; never a path. */
bool cw_outbox_name(struct cw_view name, struct cw_outbox_name *parts);
bool cw_outbox_kind(struct cw_view kind);

#endif
