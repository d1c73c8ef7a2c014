/*
 * request: what an HTTP request says, read where it stands: headers, media types, parameters.
 *
 * Memory:  nothing of its own; decoded text goes into the caller's room.
 * Threads: pure functions.
 */
#ifndef CW_PIPELINE_REQUEST_H
#define CW_PIPELINE_REQUEST_H

#include "core/port.h"

/* The value of the first header of that name (lower case); NULL data: there is none. */
struct cw_view cw_request_header(const struct cw_request *request, struct cw_view name);

/* The media type without its parameters ("application/json"), blanks cut off; as it is spelt. */
struct cw_view cw_media_type(struct cw_view content_type);

/* A parameter of a media type, without quotes; NULL data: there is none. */
struct cw_view cw_media_parameter(struct cw_view content_type, struct cw_view name);

/* The quality (0 to 1000) that an Accept header gives a media type, by its most exact range; an
   absent header accepts all. */
uint32_t cw_media_quality(struct cw_view accept, struct cw_view type);

/* ASCII letters count as equal in either case. */
bool cw_view_like(struct cw_view a, struct cw_view b);
bool cw_view_starts_like(struct cw_view text, struct cw_view start);
bool cw_view_holds_like(struct cw_view text, struct cw_view part);

/* Without the blanks and tabs at both ends. */
struct cw_view cw_view_trim(struct cw_view text);

/* Resolves %XX, and + as a blank when plus says so. room has text.bytes. False: a % without two
   hexadecimal digits, or what comes out is no UTF-8 or holds U+0000. */
CW_MUST_USE bool cw_percent_decode(struct cw_view text, bool plus, char *room,
                                   struct cw_view *plain);

/* Cuts the next of `a=1&b=2` off; its name and its value, both still encoded. False: there is no
   more. */
bool cw_form_pair(struct cw_view *encoded, struct cw_view *name, struct cw_view *value);

/* The first value of a name in `a=1&b=2`, still encoded; NULL data: there is none. Names are
   compared as they are spelt. */
struct cw_view cw_form_value(struct cw_view encoded, struct cw_view name);

/* True for valid UTF-8 (RFC 3629). */
CW_MUST_USE bool cw_utf8_valid(struct cw_view text);

#endif
