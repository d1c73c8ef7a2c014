/*
 * form: takes a request apart into events, each as the text of one envelope, whatever dialect it
 * speaks: an EventBridge PutEvents call, one envelope, NDJSON of envelopes, CloudEvents 1.0
 * (structured, binary, batch). What is wrong with the whole request refuses it; what is wrong with
 * one event refuses that one alone.
 *
 * Envelopes and NDJSON lines are views into the request. PutEvents entries and CloudEvents are
 * written as envelopes into the caller's arena; how they map is told in README.md.
 *
 * Life:    open -> { begin -> next* }* -> close.
 * Memory:  two JSON parsers for the longest body; envelopes go into the arena given to begin.
 * Threads: its core only.
 * Bounds:  CW_PUT_ENTRIES_MAX entries of a PutEvents call, entries_max of any other request.
 * Source:  INTERFACES 1 to 3: EventBridge's service model; CloudEvents HTTP binding, JSON format
 *          and webhooks 1.0.
 */
#ifndef CW_PIPELINE_FORM_H
#define CW_PIPELINE_FORM_H

#include "core/arena.h"
#include "core/hash.h"
#include "core/port.h"

#define CW_PUT_ENTRIES_MAX  10u
#define CW_UUID_BYTES       36u
#define CW_FORM_ERROR_BYTES 256u

enum cw_dialect {
    CW_DIALECT_PUT_EVENTS,
    CW_DIALECT_SINGLE, /* one event: an envelope, or a CloudEvent structured or binary */
    CW_DIALECT_BATCH,  /* many over HTTP: NDJSON, or a CloudEvents batch */
    CW_DIALECT_LINES,  /* many over TCP */
    CW_DIALECT_READ    /* no events at all: a question */
};

/* Why a whole request is refused. */
struct cw_form_error {
    uint16_t status;
    const char
        *type; /* the name of AWS's exception; NULL where the caller speaks another dialect */
    uint32_t bytes;
    char text[CW_FORM_ERROR_BYTES];
};

/* One event: text, or why there is none. */
struct cw_form_entry {
    uint32_t index;        /* from 0; LINES: the line's, blank ones counted */
    struct cw_view text;   /* an envelope, followed by CW_JSON_PADDING readable bytes */
    struct cw_view raw;    /* as it came, for the dead-letter file */
    const char *code;      /* PUT_EVENTS: AWS's name of the error */
    struct cw_view reason; /* text NULL: why; static, or in the arena */
    struct cw_view id;     /* the envelope's, when it was made here: not for the check of repeated
                              ids; NULL: the envelope has its own or none */
};

struct cw_form_options {
    uint32_t event_bytes_max; /* of one event; of all of a PutEvents call together */
    uint32_t entries_max;
    struct cw_hash_key ids; /* secret: ids made here cannot be guessed */
};

struct cw_form; /* opaque */

CW_MUST_USE cw_err cw_form_open(struct cw_form **form, const struct cw_form_options *options,
                                struct cw_fault *fault);
void cw_form_close(struct cw_form *form);

/* True when the request speaks PutEvents' protocol (x-amz-target, or POST to /): also what is wrong
   before its body is looked at is then told in it. */
bool cw_form_is_aws(const struct cw_request *request);

/*
 * now: stands for the time that a PutEvents entry does not tell; CW_TIME_NONE: nothing does, and
 * such an entry is refused. False: nothing of it is taken, *error says why. The request must stay
 * until the last next().
 */
CW_MUST_USE bool cw_form_begin(struct cw_form *form, const struct cw_request *request, int64_t now,
                               struct cw_arena *arena, struct cw_form_error *error);
enum cw_dialect cw_form_dialect(const struct cw_form *form);

/* The next event, in order; false when there is none left. */
CW_MUST_USE bool cw_form_next(struct cw_form *form, struct cw_form_entry *entry);

/* LINES: how many lines there were, blank ones counted; after the last next(). */
uint32_t cw_form_lines(const struct cw_form *form);

/* A new id, as RFC 9562 version 4 looks. */
void cw_form_uuid(struct cw_form *form, char id[CW_UUID_BYTES]);

/* The media types that are taken, as a sentence for people. */
extern const char *const cw_form_types_text;

#endif
