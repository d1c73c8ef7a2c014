/* service_answer: answers, in the dialect of who asked. */
#include "core/format.h"
#include "pipeline/request.h"
#include "pipeline/service_priv.h"

#include <string.h>

enum {
    HEADERS_MAX = 16
};

const struct cw_view cw_type_json = {"application/json", 16};
const struct cw_view cw_type_html = {"text/html; charset=utf-8", 24};
const struct cw_view cw_type_text = {"text/plain; charset=utf-8", 25};
static const struct cw_view type_aws = {"application/x-amz-json-1.1", 26};

static const struct cw_header retry_after = {{"retry-after", 11}, {"1", 1}};
static const struct cw_header ask_for_credentials = {{"www-authenticate", 16},
                                                     {"Basic realm=\"cartwheel\"", 23}};

/* NOLINTNEXTLINE(readability-function-size): all that an answer is made of */
void cw_service_answer(struct cw_service *service, const struct cw_request *request,
                       uint16_t status, struct cw_view type, struct cw_view body,
                       const struct cw_header *headers, uint32_t header_count)
{
    CW_ASSERT(header_count + 2 <= HEADERS_MAX && status >= 200 && status < 600);
    struct cw_header all[HEADERS_MAX] = {{CW_VIEW("x-content-type-options"), CW_VIEW("nosniff")},
                                         {CW_VIEW("cache-control"), CW_VIEW("no-store")}};
    for (uint32_t i = 0; i < header_count; i++) {
        all[2 + i] = headers[i];
    }
    struct cw_answer answer = {.status = status,
                               .type = type,
                               .body = body,
                               .headers = all,
                               .header_count = 2 + header_count};
    if (request->kind == CW_REQUEST_LINES) {
        answer.header_count = 0;
    }
    service->served.answers[status / 100]++;
    service->options.answer(service->options.self, request->token, &answer);
}

void cw_service_answer_from(struct cw_service *service, uint64_t token,
                            const struct cw_answer *answer)
{
    const struct cw_request request = {.token = token, .kind = CW_REQUEST_HTTP};
    cw_service_answer(service, &request, answer->status, answer->type, answer->body,
                      answer->headers, answer->header_count);
}

static struct cw_view written(const struct cw_service *service)
{
    CW_ASSERT(service->answer.bytes < UINT32_MAX);
    return (struct cw_view){service->answer.data, (uint32_t)service->answer.bytes};
}

void cw_service_answer_json(struct cw_service *service, const struct cw_request *request,
                            uint16_t status)
{
    cw_service_answer(service, request, status, cw_type_json, written(service), NULL, 0);
}

static const char *aws_name(uint16_t status)
{
    switch (status) {
    case 401: return "MissingAuthenticationTokenException";
    case 403: return "AccessDeniedException";
    case 503: return "ThrottlingException";
    default: return status < 500 ? "ValidationException" : "InternalException";
    }
}

void cw_service_error(struct cw_service *service, const struct cw_request *request, uint16_t status,
                      const char *aws_type, struct cw_view text)
{
    struct cw_text *out = &service->answer;
    cw_text_clear(out);
    if (request->kind == CW_REQUEST_LINES) {
        cw_text_puts(out, "{\"error\":");
        cw_text_json(out, text);
        cw_text_puts(out, status == 503 ? ",\"retry\":true}\n" : "}\n");
        struct cw_answer answer = {.status = status, .body = written(service), .close = true};
        service->served.answers[status / 100]++;
        service->options.answer(service->options.self, request->token, &answer);
        return;
    }
    if (aws_type != NULL || cw_form_is_aws(request)) {
        cw_text_puts(out, "{\"__type\":\"");
        cw_text_puts(out, aws_type != NULL ? aws_type : aws_name(status));
        cw_text_puts(out, "\",\"message\":");
        cw_text_json(out, text);
        cw_text_char(out, '}');
        cw_service_answer(service, request, status, type_aws, written(service), NULL, 0);
        return;
    }
    cw_text_puts(out, "{\"error\":");
    cw_text_json(out, text);
    cw_text_char(out, '}');
    const struct cw_header *header = status == 401                    ? &ask_for_credentials
                                     : status == 503 || status == 429 ? &retry_after
                                                                      : NULL;
    cw_service_answer(service, request, status, cw_type_json, written(service), header,
                      header != NULL ? 1 : 0);
}

void cw_service_busy(struct cw_service *service, const struct cw_request *request, const char *why)
{
    service->served.busy++;
    bool aws = cw_form_is_aws(request); /* the SDKs retry a 400 of this name, and nothing else */
    struct cw_view text =
        aws ? CW_VIEW("Rate exceeded") : (struct cw_view){why, (uint32_t)strlen(why)};
    cw_service_error(service, request, aws ? 400 : 503, aws ? "ThrottlingException" : NULL, text);
}

/* ---- what became of events ---- */

static void answer_put(struct cw_service *service, const struct cw_open *open)
{
    uint32_t entries = open->accepted + open->duplicate + open->rejected;
    /* SDKs try a whole call again, and never single entries: while nothing of it took effect, it
       fails as a whole. An entry that is wrong is told by the try that finds room. */
    if (open->refused > 0 && open->accepted == 0) {
        cw_service_busy(service, &open->request, "");
        return;
    }
    struct cw_text *out = &service->answer;
    cw_text_clear(out);
    cw_text_printf(out, "{\"FailedEntryCount\":%u,\"Entries\":[", open->rejected);
    for (uint32_t i = 0; i < entries; i++) {
        if (i > 0) {
            cw_text_char(out, ',');
        }
        if (open->put[i].failed) {
            cw_text_put(out, open->text.data + open->put[i].from, open->put[i].bytes);
        } else {
            cw_text_puts(out, "{\"EventId\":\"");
            cw_text_put(out, open->put[i].id, CW_UUID_BYTES);
            cw_text_puts(out, "\"}");
        }
    }
    cw_text_puts(out, "]}");
    cw_service_answer(service, &open->request, 200, type_aws, written(service), NULL, 0);
}

/* Nothing of the group is acknowledged, so that "send all after the last ack again" loses nothing:
   what was taken is a duplicate by then. */
static void refuse_lines(struct cw_service *service, const struct cw_open *open)
{
    char why[96];
    (void)cw_format(why, sizeof why,
                    "there is no room for line %llu now: send all after the last ack again later",
                    (unsigned long long)open->request.line + open->first_refused);
    cw_service_busy(service, &open->request, why);
}

static void answer_many(struct cw_service *service, const struct cw_open *open)
{
    struct cw_text *out = &service->answer;
    bool lines = open->dialect == CW_DIALECT_LINES;
    uint32_t entries = open->accepted + open->duplicate + open->rejected;
    bool again = open->refused > 0;
    if (again && lines) {
        refuse_lines(service, open);
        return;
    }
    if (again && open->refused == entries) {
        cw_service_busy(service, &open->request, "there is no room for these events now");
        return;
    }
    cw_text_clear(out);
    cw_text_char(out, '{');
    if (lines) {
        cw_text_puts(out, "\"ack\":");
        cw_text_u64(out, open->request.line + open->lines - 1);
        cw_text_char(out, ',');
    }
    if (again) {
        cw_text_printf(out, "\"error\":\"there is no room for %u of these %u events now\",",
                       open->refused, entries);
    }
    cw_text_printf(out, "\"accepted\":%u,\"duplicate\":%u,\"rejected\":[", open->accepted,
                   open->duplicate);
    cw_text_put(out, open->text.data, open->text.bytes);
    cw_text_char(out, ']');
    if (open->unlisted > 0) {
        cw_text_printf(out, ",\"unlisted\":%u", open->unlisted);
    }
    cw_text_puts(out, lines ? "}\n" : "}");
    /* Many callers read nothing but the status: one that makes them send all of it again loses
       nothing, and what was taken is a duplicate by then. */
    service->served.busy += again;
    cw_service_answer(service, &open->request, again ? 503 : 200, cw_type_json, written(service),
                      &retry_after, again ? 1 : 0);
}

static void answer_single(struct cw_service *service, const struct cw_open *open)
{
    if (open->refused > 0) {
        cw_service_busy(service, &open->request, "there is no room for this event now");
        return;
    }
    if (open->rejected == 0) {
        answer_many(service, open);
        return;
    }
    struct cw_text *out = &service->answer;
    cw_text_clear(out);
    cw_text_puts(out, "{\"error\":");
    cw_text_put(out, open->text.data, open->text.bytes);
    cw_text_char(out, '}');
    cw_service_answer_json(service, &open->request, 400);
}

void cw_service_answer_events(struct cw_service *service, struct cw_open *open)
{
    if (open->request.arrived_ns != 0) {
        uint64_t now = cw_service_ns(service);
        uint64_t since = open->request.arrived_ns;
        cw_histogram_add(&service->latencies[CW_LATENCY_ANSWERED], now > since ? now - since : 0);
    }
    switch (open->dialect) {
    case CW_DIALECT_PUT_EVENTS: answer_put(service, open); break;
    case CW_DIALECT_SINGLE: answer_single(service, open); break;
    default: answer_many(service, open); break;
    }
}
