/* serve_route: which path is answered by what, and who may ask. */
#include "core/format.h"
#include "core/manifest.h"
#include "pipeline/persist.h"
#include "pipeline/request.h"
#include "pipeline/serve_priv.h"

#include <string.h>

struct route {
    enum cw_method method;
    const char *pattern; /* segments; * stands for any one, kept as a parameter */
    enum cw_role role;
    void (*handle)(struct cw_service *service, const struct cw_call *call);
    const char *takes; /* the parameters it knows, "a, b"; NULL: what comes along is its own */
};

static void put_events(struct cw_service *service, const struct cw_call *call)
{
    cw_service_ingest(service, call->request);
}

static void health(struct cw_service *service, const struct cw_call *call)
{
    struct cw_text *out = &service->answer;
    const char *version = service->options.version != NULL ? service->options.version : "";
    uint64_t stalled_s = cw_service_stalled_s(service);
    cw_text_clear(out);
    if (stalled_s > 0) {
        cw_text_puts(out, "{\"status\":\"disk does not answer\",\"diskStalledSeconds\":");
        cw_text_u64(out, stalled_s);
    } else {
        cw_text_puts(out, "{\"status\":\"ok\"");
    }
    cw_text_puts(out, ",\"version\":");
    cw_text_json(out, (struct cw_view){version, (uint32_t)strlen(version)});
    cw_text_puts(out, ",\"clock\":");
    cw_text_json_time(out, cw_service_clock(service));
    cw_text_puts(out, ",\"speed\":"); /* of the clock; 0: it stands but for events */
    cw_text_number(out, service->options.event_time ? 0 : service->options.speed);
    if (service->options.durability != NULL) {
        cw_text_printf(out, ",\"durability\":\"%s\"", service->options.durability);
    }
    uint32_t holds = cw_pipeline_sends_held(service->pipeline);
    if (holds != CW_HOLD_NONE) {
        cw_text_puts(out, ",\"sends\":\"held\",\"heldFor\":[");
        cw_holds_write(holds, "\"", out);
        cw_text_char(out, ']');
    }
    uint32_t shortages = cw_pipeline_short_of(service->pipeline);
    if (shortages != CW_SHORTAGE_NONE) {
        bool both = shortages == (CW_SHORTAGE_DISK | CW_SHORTAGE_MEMORY);
        cw_text_printf(out, ",\"newWork\":\"refused\",\"shortOf\":[%s%s%s]",
                       (shortages & CW_SHORTAGE_DISK) != 0 ? "\"disk\"" : "", both ? "," : "",
                       (shortages & CW_SHORTAGE_MEMORY) != 0 ? "\"memory\"" : "");
    }
    if (service->options.note != NULL) {
        const char *note = service->options.note;
        cw_text_puts(out, ",\"note\":");
        cw_text_json(out, (struct cw_view){note, (uint32_t)strlen(note)});
    }
    cw_text_char(out, '}');
    cw_service_answer_json(service, call->request, stalled_s > 0 ? 503 : 200);
}

/* The handshake of CloudEvents' webhooks: whoever may ask, may send as fast as it likes. */
static void allow_webhook(struct cw_service *service, const struct cw_call *call)
{
    struct cw_view origin = cw_request_header(call->request, CW_VIEW("webhook-request-origin"));
    const struct cw_header headers[] = {{CW_VIEW("allow"), CW_VIEW("POST, OPTIONS")},
                                        {CW_VIEW("webhook-allowed-origin"), origin},
                                        {CW_VIEW("webhook-allowed-rate"), CW_VIEW("*")}};
    cw_service_answer(service, call->request, 204, (struct cw_view){0}, (struct cw_view){0},
                      headers, origin.bytes > 0 ? 3 : 1);
}

/* What only the control plane can answer. */
static void control(struct cw_service *service, const struct cw_call *call)
{
    if (service->options.control == NULL) {
        cw_serve_refuse(service, call->request, 404, "this engine has no such thing");
    } else if (!service->options.control(service->options.self, call->request)) {
        cw_service_busy(service, call->request, "the engine is busy with another one");
    }
}

static const struct route routes[] = {
    {CW_METHOD_POST, "/", CW_ROLE_INGEST, put_events, NULL},
    {CW_METHOD_POST, "/v1/events", CW_ROLE_INGEST, put_events, NULL},
    {CW_METHOD_OPTIONS, "/v1/events", CW_ROLE_NONE, allow_webhook, NULL},
    {CW_METHOD_OPTIONS, "/", CW_ROLE_NONE, allow_webhook, NULL},
    {CW_METHOD_GET, "/o/*", CW_ROLE_NONE, cw_serve_open, NULL},
    {CW_METHOD_GET, "/c/*", CW_ROLE_NONE, cw_serve_click, NULL},
    {CW_METHOD_GET, "/u/*", CW_ROLE_NONE, cw_serve_unsubscribe, NULL},
    {CW_METHOD_POST, "/u/*", CW_ROLE_NONE, cw_serve_unsubscribe, NULL},
    {CW_METHOD_GET, "/healthz", CW_ROLE_NONE, health, NULL},
    {CW_METHOD_GET, "/metrics", CW_ROLE_REPORT, cw_serve_metrics, NULL},
    {CW_METHOD_GET, "/v1/candidates", CW_ROLE_ADMIN, cw_serve_candidates,
     "program, channel, date, limit"},
    {CW_METHOD_GET, "/v1/candidates/*", CW_ROLE_ADMIN, cw_serve_candidate, "all"},
    {CW_METHOD_GET, "/v1/programs", CW_ROLE_REPORT, cw_serve_programs, ""},
    {CW_METHOD_POST, "/v1/programs/reload", CW_ROLE_ADMIN, control, ""},
    {CW_METHOD_POST, "/v1/snapshot", CW_ROLE_ADMIN, control, "name"},
    {CW_METHOD_GET, "/v1/snapshot", CW_ROLE_ADMIN, control, "name"},
    {CW_METHOD_POST, "/v1/resume", CW_ROLE_ADMIN, control, "assumeSentUntil"},
    {CW_METHOD_GET, "/v1/resume", CW_ROLE_ADMIN, control, "assumeSentUntil"},
    {CW_METHOD_POST, "/v1/programs/*/pause", CW_ROLE_ADMIN, cw_serve_pause, "channel"},
    {CW_METHOD_POST, "/v1/programs/*/resume", CW_ROLE_ADMIN, cw_serve_resume, "channel"},
    {CW_METHOD_GET, "/v1/erasures", CW_ROLE_ADMIN, control, ""},
    {CW_METHOD_GET, "/v1/outbox", CW_ROLE_ADMIN, control, "limit"},
    {CW_METHOD_GET, "/v1/outbox/*", CW_ROLE_ADMIN, control, ""},
};

/* ---- what comes along ---- */

static bool is_listed(const char *list, struct cw_view name)
{
    while (*list != '\0') {
        size_t bytes = strcspn(list, ",");
        if (cw_view_equal((struct cw_view){list, (uint32_t)bytes}, name)) {
            return true;
        }
        list += bytes + strspn(list + bytes, ", ");
    }
    return false;
}

/* Only so much of it, and nothing that could spoil an answer: it is somebody's slip. */
static const char *shown(struct cw_view name, char room[64])
{
    uint32_t bytes = name.bytes < 63 ? name.bytes : 63;
    for (uint32_t i = 0; i < bytes; i++) {
        room[i] = name.data[i] >= ' ' && name.data[i] <= '~' ? name.data[i] : '?';
        room[i] = room[i] == '"' ? '?' : room[i];
    }
    room[bytes] = '\0';
    return room;
}

/* What is not understood must not be passed over: without its parameter a request may mean far more
   than was meant (all sends, all channels). True: it was refused. */
static bool refuse_unknown(struct cw_service *service, const struct route *route,
                           const struct cw_request *request)
{
    struct cw_view query = request->query;
    struct cw_view name, other, value;
    char room[64];
    char text[256];
    bool none = *route->takes == '\0';
    if (request->method == CW_METHOD_POST && request->body.bytes > 0) {
        (void)cw_format(text, sizeof text, "no body is taken here; %s%s",
                        none ? "there are no parameters" : "known parameters: ", route->takes);
        cw_serve_refuse(service, request, 400, text);
        return true;
    }
    while (cw_form_pair(&query, &name, &value)) {
        struct cw_view again = query;
        if (!is_listed(route->takes, name)) {
            (void)cw_format(text, sizeof text, "there is no parameter \"%s\" here; %s%s",
                            shown(name, room), none ? "there are none" : "known: ", route->takes);
            cw_serve_refuse(service, request, 400, text);
            return true;
        }
        while (cw_form_pair(&again, &other, &value)) {
            if (cw_view_equal(name, other)) {
                (void)cw_format(text, sizeof text, "the parameter %s is given twice",
                                shown(name, room));
                cw_serve_refuse(service, request, 400, text);
                return true;
            }
        }
    }
    return false;
}

/* ---- questions ---- */

struct cw_open *cw_serve_question(struct cw_service *service, const struct cw_call *call,
                                  const struct cw_question *question)
{
    bool room = !question->heavy || service->heavy_count < CW_HEAVY_MAX;
    struct cw_open *open = room ? cw_open_take(service, call->request) : NULL;
    if (open == NULL) {
        cw_service_busy(service, call->request, "too many requests are open");
        return NULL;
    }
    service->heavy_count += question->heavy;
    open->question = question;
    return open;
}

void cw_serve_ask(struct cw_service *service, struct cw_open *open, uint32_t shard, uint32_t number,
                  const void *what)
{
    struct cw_batch *batch = service->batches[shard];
    struct cw_share *share = cw_share_of(service, batch);
    struct cw_ask *ask = cw_arena_zalloc(&batch->arena, sizeof *ask, 8);
    ask->question = open->question;
    ask->open = cw_open_number(service, open);
    ask->number = number;
    ask->what = what;
    *(share->last_ask == NULL ? &share->asks : &share->last_ask->next) = ask;
    share->last_ask = ask;
    open->pending++;
}

void cw_serve_ask_all(struct cw_service *service, struct cw_open *open, const void *what)
{
    for (uint32_t i = 0; i < service->batch_count; i++) {
        cw_serve_ask(service, open, i, i, what);
    }
}

void cw_serve_keep(struct cw_service *service, struct cw_open *open, struct cw_view bytes)
{
    cw_text_view(&open->text, bytes);
    service->text_bytes += bytes.bytes;
}

void cw_serve_gather(struct cw_service *service, struct cw_open *open, const struct cw_ask *ask)
{
    if (ask->found) {
        open->found++;
        cw_serve_keep(service, open, ask->answer);
    }
}

bool cw_serve_query(struct cw_service *service, const struct cw_request *request, const char *name,
                    char *room, uint32_t room_bytes, struct cw_view *value)
{
    struct cw_view raw =
        cw_form_value(request->query, (struct cw_view){name, (uint32_t)strlen(name)});
    *value = (struct cw_view){0};
    if (raw.data == NULL) {
        return true;
    }
    if (raw.bytes > room_bytes || !cw_percent_decode(raw, true, room, value)) {
        char text[128];
        uint32_t bytes = cw_format(text, sizeof text, "the parameter %s is malformed", name);
        cw_service_error(service, request, 400, NULL, (struct cw_view){text, bytes});
        return false;
    }
    return true;
}

/* ---- paths ---- */

/* True when the path has the pattern; its parameters go into the call. */
static bool fits(const char *pattern, struct cw_view path, struct cw_call *call)
{
    uint32_t params = 0;
    const char *p = path.data;
    const char *end = p + path.bytes;
    while (*pattern != '\0') {
        if (*pattern != '*') {
            if (p == end || *p++ != *pattern++) {
                return false;
            }
            continue;
        }
        const char *slash = memchr(p, '/', (size_t)(end - p));
        const char *stop = slash != NULL ? slash : end;
        if (stop == p) {
            return false;
        }
        CW_ASSERT(params < CW_SERVE_PARAMS);
        call->params[params++] = (struct cw_view){p, (uint32_t)(stop - p)};
        p = stop;
        pattern++;
    }
    return p == end;
}

void cw_serve_refuse(struct cw_service *service, const struct cw_request *request, uint16_t status,
                     const char *text)
{
    cw_service_error(service, request, status, NULL,
                     (struct cw_view){text, (uint32_t)strlen(text)});
}

/* 405, with the methods that the path has. */
static void refuse_method(struct cw_service *service, const struct cw_request *request)
{
    static const char *const methods[CW_METHOD_COUNT] = {"GET", "HEAD",   "POST",
                                                         "PUT", "DELETE", "OPTIONS"};
    bool allowed[CW_METHOD_COUNT] = {false};
    struct cw_call call;
    for (uint32_t i = 0; i < CW_COUNTOF(routes); i++) {
        if (fits(routes[i].pattern, request->path, &call)) {
            allowed[routes[i].method] = true;
            allowed[CW_METHOD_HEAD] |= routes[i].method == CW_METHOD_GET;
        }
    }
    char list[64];
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < CW_METHOD_COUNT; i++) {
        if (allowed[i]) {
            bytes += cw_format(list + bytes, (uint32_t)sizeof list - bytes, "%s%s",
                               bytes > 0 ? ", " : "", methods[i]);
        }
    }
    const struct cw_header allow = {CW_VIEW("allow"), {list, bytes}};
    cw_service_answer(service, request, 405, cw_type_json,
                      CW_VIEW("{\"error\":\"that method is not for this path\"}"), &allow, 1);
}

void cw_serve(struct cw_service *service, const struct cw_request *request)
{
    struct cw_call call = {.request = request};
    bool known = false;
    for (uint32_t i = 0; i < CW_COUNTOF(routes); i++) {
        const struct route *route = &routes[i];
        if (!fits(route->pattern, request->path, &call)) {
            continue;
        }
        known = true;
        bool head = request->method == CW_METHOD_HEAD && route->method == CW_METHOD_GET;
        if (route->method != request->method && !head) {
            continue;
        }
        if (request->role >= route->role) {
            if (route->takes == NULL || !refuse_unknown(service, route, request)) {
                route->handle(service, &call);
            }
        } else if (request->role == CW_ROLE_NONE) {
            cw_serve_refuse(service, request, 401, "credentials are needed here");
        } else {
            cw_serve_refuse(service, request, 403, "these credentials do not allow it");
        }
        return;
    }
    if (known) {
        refuse_method(service, request);
    } else {
        cw_serve_refuse(service, request, 404, "there is nothing at this path");
    }
}
