/* service_open: the table of requests that are not answered yet. */
#include "pipeline/service_priv.h"

#include <string.h>

struct cw_open *cw_open_take(struct cw_service *service, const struct cw_request *request)
{
    struct cw_open *open;
    if (service->open_free != CW_OPEN_NONE) {
        open = &service->opens[service->open_free];
        service->open_free = open->next_free;
    } else if (service->open_used < CW_SERVICE_OPEN_MAX) {
        open = &service->opens[service->open_used++];
    } else {
        return NULL;
    }
    struct cw_text text = open->text; /* kept from its last request, empty */
    memset(open, 0, offsetof(struct cw_open, room));
    for (uint32_t i = 0; i < CW_PUT_ENTRIES_MAX; i++) {
        open->put[i].failed = false;
    }
    open->text = text;
    open->request = *request;
    open->busy = true;
    open->dialect = CW_DIALECT_READ;
    service->open_count++;
    return open;
}

uint32_t cw_open_number(const struct cw_service *service, const struct cw_open *open)
{
    return (uint32_t)(open - service->opens);
}

void cw_open_release(struct cw_service *service, struct cw_open *open)
{
    CW_ASSERT(open->pending == 0 && service->open_count > 0);
    service->text_bytes -= open->text.bytes;
    service->heavy_count -= open->question != NULL && open->question->heavy;
    if (open->text.capacity_bytes > CW_OPEN_TEXT_KEPT) {
        cw_text_deinit(&open->text);
    }
    cw_text_clear(&open->text);
    open->busy = false;
    open->next_free = service->open_free;
    service->open_free = cw_open_number(service, open);
    service->open_count--;
}

static void finish(struct cw_service *service, struct cw_open *open)
{
    if (open->question != NULL) {
        open->question->finish(service, open);
        if (open->request.arrived_ns != 0) {
            uint64_t now = cw_service_ns(service);
            uint64_t since = open->request.arrived_ns;
            cw_histogram_add(&service->latencies[CW_LATENCY_READ], now > since ? now - since : 0);
        }
    } else {
        cw_service_answer_events(service, open);
    }
    cw_open_release(service, open);
}

void cw_open_ready(struct cw_service *service, struct cw_open *open)
{
    CW_ASSERT_HOT(open->busy);
    open->busy = false;
    if (open->pending == 0) {
        finish(service, open);
    }
}

void cw_open_home(struct cw_service *service, struct cw_open *open)
{
    CW_ASSERT_HOT(open->pending > 0 && !open->busy);
    if (--open->pending == 0) {
        finish(service, open);
    }
}

/* The parameter that a reason is about, as PutEvents calls it. */
static const char *parameter_of(struct cw_view reason)
{
    static const struct {
        struct cw_view start;
        const char *parameter;
    } starts[] = {{{"source ", 7}, "Source"},
                  {{"detail-type ", 12}, "DetailType"},
                  {{"eventBusName ", 13}, "EventBusName"},
                  {{"its time ", 9}, "Time"}};

    for (uint32_t i = 0; i < CW_COUNTOF(starts); i++) {
        if (reason.bytes > starts[i].start.bytes &&
            memcmp(reason.data, starts[i].start.data, starts[i].start.bytes) == 0) {
            return starts[i].parameter;
        }
    }
    return "Detail";
}

static void reject_put(struct cw_open *open, uint32_t entry, const char *code,
                       struct cw_view reason)
{
    struct cw_text *text = &open->text;
    open->put[entry].failed = true;
    open->put[entry].from = (uint32_t)text->bytes;
    cw_text_puts(text, "{\"ErrorCode\":\"");
    cw_text_puts(text, code != NULL ? code : "InvalidArgument");
    cw_text_puts(text, "\",\"ErrorMessage\":");
    if (code != NULL) {
        cw_text_json(text, reason);
    } else {
        cw_text_printf(text, "\"Parameter %s is not valid. Reason: ", parameter_of(reason));
        size_t at = text->bytes;
        cw_text_json(text, reason);
        memmove(text->data + at, text->data + at + 1, text->bytes - at - 1); /* its first quote */
        text->data[text->bytes - 2] = '.';
        text->data[text->bytes - 1] = '"';
    }
    cw_text_char(text, '}');
    open->put[entry].bytes = (uint32_t)text->bytes - open->put[entry].from;
}

/* again: nothing is wrong with it, it may come again later. */
static void reject(struct cw_service *service, struct cw_open *open, uint32_t entry,
                   const char *code, struct cw_view reason, bool again)
{
    struct cw_text *text = &open->text;
    size_t before = text->bytes;
    bool listed = open->rejected < CW_OPEN_LISTED_MAX;
    open->rejected++;
    switch (open->dialect) {
    case CW_DIALECT_PUT_EVENTS: reject_put(open, entry, code, reason); break;
    case CW_DIALECT_SINGLE: cw_text_json(text, reason); break;
    default:
        if (!listed) {
            open->unlisted++;
            break;
        }
        if (text->bytes > 0) {
            cw_text_char(text, ',');
        }
        bool lines = open->dialect == CW_DIALECT_LINES;
        cw_text_puts(text, lines ? "{\"line\":" : "{\"index\":");
        cw_text_u64(text, lines ? open->request.line + entry : entry);
        cw_text_puts(text, ",\"reason\":");
        cw_text_json(text, reason);
        cw_text_puts(text, again ? ",\"retry\":true}" : "}");
        break;
    }
    service->text_bytes += text->bytes - before;
}

void cw_open_reject(struct cw_service *service, struct cw_open *open, uint32_t entry,
                    const char *code, struct cw_view reason)
{
    reject(service, open, entry, code, reason, false);
}

void cw_open_fate(struct cw_service *service, struct cw_open *open, uint32_t entry,
                  enum cw_event_fate fate)
{
    switch (fate) {
    case CW_EVENT_FATE_REPEATED: open->duplicate++; break;
    case CW_EVENT_FATE_REFUSED:
        if (open->refused++ == 0 || entry < open->first_refused) {
            open->first_refused = entry;
        }
        reject(service, open, entry, "ThrottlingException",
               CW_VIEW("there is no room for it now: send it again later"), true);
        break;
    default: open->accepted++; break;
    }
}
