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

/* What an event must be called to mean a type. */
struct cw_event_names {
    struct {
        struct cw_view source, type;
    } of[CW_EVENT_TYPE_COUNT];
};

/* The default names, which an engine file can override one by one. */
extern const struct cw_event_names cw_event_names_default;

struct cw_decoder_options {
    const struct cw_event_names *names; /* NULL: the default ones */
    const struct cw_programs *programs; /* NULL: match nothing */
    const struct cw_zones *zones;
    uint32_t partitions;
    uint32_t event_bytes_max;
};

CW_MUST_USE cw_err cw_decoder_open(struct cw_decoder **decoder,
                                   const struct cw_decoder_options *options,
                                   struct cw_fault *fault);
void cw_decoder_close(struct cw_decoder *decoder);

/* From now on events are matched against these; NULL: match nothing. */
void cw_decoder_reprogram(struct cw_decoder *decoder, const struct cw_programs *programs);

/* Where from now on it puts what events point to (and stays the caller's); NULL: its own arena. */
void cw_decoder_put_in(struct cw_decoder *decoder, struct cw_arena *arena);

/* Frees what earlier events pointed to in its own arena. */
void cw_decoder_reset(struct cw_decoder *decoder);

/* text is followed by CW_JSON_PADDING readable bytes. Always fills *event; event->clock is left at
   CW_TIME_NONE for the caller, and event->time is set whenever it is known. */
void cw_decode(struct cw_decoder *decoder, struct cw_view text, struct cw_event *event);

/* The document of the last cw_decode, for explain and match; NULL when it was malformed. */
const struct cw_json *cw_decoder_document(const struct cw_decoder *decoder);

/* The bus that the event of the last cw_decode named; NULL data: none. */
struct cw_view cw_decoder_bus(const struct cw_decoder *decoder);

/* True when a program's source takes what comes by that bus. */
bool cw_source_takes_bus(const struct cw_program_source *source, struct cw_view bus);

/* A copy of an event, with everything it points to, that lives as long as the arena. */
struct cw_event *cw_event_copy(const struct cw_event *event, struct cw_arena *arena);

#endif
