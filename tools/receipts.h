/*
 * receipts: what an erasure reached, once it is through: erasures.ndjson of the state directory, a
 * line each, flushed. The customer is not named: the id of the event that asked for it is.
 *
 *     {"event":"gone-1","askedAt":"…","completeAt":"…","deadLetters":2,"snapshots":["…"]}
 *
 * deadLetters: how many of the customer's were removed; snapshots: files that were made before it
 * was through and may hold the customer: they are nobody's to change, and named here to be removed.
 *
 * Threads: the control plane's.
 */
#ifndef CW_TOOLS_RECEIPTS_H
#define CW_TOOLS_RECEIPTS_H

#include "pipeline/event.h"
#include "tools/state.h"

/* One core's word that no log and no checkpoint of it holds the customer any more. */
struct cw_receipt {
    int64_t asked_ms, through_ms; /* by that core's clock */
    uint32_t customer_bytes, event_bytes;
    char customer[CW_ID_BYTES_MAX], event[CW_ID_BYTES_MAX];
};

struct cw_receipts {
    const char *directory; /* the state's */
    const char *snapshots; /* where else than below it they are made by themselves; or NULL */
    struct cw_letter_file *letters;
};

/* Removes the customer's dead letters and writes the receipt. On failure nothing is written; to be
   tried again. */
CW_MUST_USE cw_err cw_receipt_write(const struct cw_receipts *receipts,
                                    const struct cw_receipt *receipt, struct cw_fault *fault);

/* The last lines that fit into bytes_max, whole ones. None yet: nothing. */
CW_MUST_USE cw_err cw_receipts_read(const char *directory, uint32_t bytes_max, struct cw_text *out,
                                    struct cw_fault *fault);

/* Whether a line of dead-letters.ndjson has "customerId": this, at any depth of quoting. */
bool cw_letter_names(struct cw_view line, struct cw_view customer);

#endif
