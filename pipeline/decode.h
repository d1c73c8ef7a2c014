/*
 * decode: from the bytes of one event to a flat cw_event, or to the reason why not.
 *
 * Life:    open -> decode* -> close. One decoder per core.
 * Memory:  a parser and an arena for what must be unescaped or listed; an event's views point into
 *          the text or that arena, both valid until cw_decoder_reset().
 * Threads: its core only.
 * Bounds:  CW_EVENT_BYTES_MAX of text, CW_ITEMS_MAX items, ids of CW_ID_BYTES_MAX.
 * Fails:   never after open; a bad event has type CW_EVENT_INVALID and a reason.
 */
#ifndef CW_PIPELINE_DECODE_H
#define CW_PIPELINE_DECODE_H

#include "core/arena.h"
#include "core/json.h"
#include "core/zone.h"
#include "pipeline/event.h"

struct cw_decoder; /* opaque: owns its memory */

struct cw_decoder_options {
    const struct cw_programs *programs; /* NULL: match nothing */
    const struct cw_zones *zones;
    uint32_t partitions;
    uint32_t event_bytes_max;
};

CW_MUST_USE cw_err cw_decoder_open(struct cw_decoder **decoder,
                                   const struct cw_decoder_options *options,
                                   struct cw_fault *fault);
void cw_decoder_close(struct cw_decoder *decoder);

/* Frees what earlier events pointed to. */
void cw_decoder_reset(struct cw_decoder *decoder);

/* text is followed by CW_JSON_PADDING readable bytes. Always fills *event; event->clock is left at
   CW_TIME_NONE for the caller, and event->time is set whenever it is known. */
void cw_decode(struct cw_decoder *decoder, struct cw_view text, struct cw_event *event);

/* The document of the last cw_decode, for explain and match; NULL when it was malformed. */
const struct cw_json *cw_decoder_document(const struct cw_decoder *decoder);

#endif
