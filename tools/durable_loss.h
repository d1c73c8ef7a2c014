/*
 * durable_loss: damage in a core's log that an operator has decided to live without. The log is cut
 * where recovery found the damage; what stood there and behind it is kept aside, never deleted.
 *
 *     STATE/given-up/2026-11-28T181500Z-core-000/log-*    the damaged segment, and all later ones
 *     STATE/losses.ndjson                                 a line for each: what, where, when
 *
 * Memory:  none is kept. Threads: the one that starts the engine, before anything is recovered.
 */
#ifndef CW_TOOLS_DURABLE_LOSS_H
#define CW_TOOLS_DURABLE_LOSS_H

#include "tools/durable.h"

#include <stdio.h>

/* What the operator was told, and says again: that core's log ends before that LSN. */
struct cw_loss {
    uint32_t core;
    uint64_t lsn;
};

/* "CORE:LSN"; false: it is none. */
CW_MUST_USE bool cw_loss_parse(const char *text, struct cw_loss *loss);

/* What to do about that damage, in a sentence for people. */
void cw_loss_advise(uint32_t core, const struct cw_log_damage *damage, FILE *to);

/*
 * Cuts each of these logs, after it has proven them all: CW_ERR_INVALID, and nothing is changed,
 * when one is whole or its damage is at another LSN; CW_ERR_CORRUPT when it cannot be cut, since a
 * checkpoint needs what is damaged. Before the first byte is cut, it is durable in the manifest
 * that sends are held, and what stands there is kept aside. A crash at any moment leaves a state
 * that is refused again with the same figure, or one that is cut; its sends are held either way.
 * What is given up is said on `to`.
 */
CW_MUST_USE cw_err cw_losses_accept(struct cw_durable *durable,
                                    const struct cw_durable_files *files, const char *state,
                                    const struct cw_loss *losses, uint32_t count, FILE *to,
                                    struct cw_fault *fault);

#endif
