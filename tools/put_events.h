/* put_events: an envelope as an entry of an EventBridge PutEvents call. The envelope's id, account
   and region have no place in it. */
#ifndef CW_TOOLS_PUT_EVENTS_H
#define CW_TOOLS_PUT_EVENTS_H

#include "core/json.h"
#include "core/text.h"

#define CW_PUT_EVENTS_ENTRIES_MAX 10u
#define CW_PUT_EVENTS_OPEN        "{\"Entries\":["
#define CW_PUT_EVENTS_CLOSE       "]}"

/* Appends the entry; false, with nothing appended, when the document is no envelope. */
CW_MUST_USE bool cw_put_events_entry(const struct cw_json *doc, struct cw_text *out);

#endif
