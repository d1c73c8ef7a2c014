/* serve_route: which path is answered by what, and who may ask. */
#include "pipeline/service_priv.h"

#include <string.h>

struct route {
    enum cw_method method;
    const char *pattern; /* segments; * stands for any one, kept as a parameter */
    enum cw_role role;
    void (*handle)(struct cw_service *service, const struct cw_call *call);
};

static void put_events(struct cw_service *service, const struct cw_call *call)
{
    cw_service_ingest(service, call->request);
}

static void health(struct cw_service *service, const struct cw_call *call)
{
    struct cw_text *out = &service->answer;
    const char *version = service->options.version != NULL ? service->options.version : "";
    cw_text_clear(out);
    cw_text_puts(out, "{\"status\":\"ok\",\"version\":");
    cw_text_json(out, (struct cw_view){version, (uint32_t)strlen(version)});
    cw_text_puts(out, ",\"clock\":");
    cw_text_json_time(out, cw_service_clock(service));
    if (service->options.note != NULL) {
        const char *note = service->options.note;
        cw_text_puts(out, ",\"note\":");
        cw_text_json(out, (struct cw_view){note, (uint32_t)strlen(note)});
    }
    cw_text_char(out, '}');
    cw_service_answer_json(service, call->request, 200);
}

static const struct route routes[] = {
    {CW_METHOD_POST, "/", CW_ROLE_INGEST, put_events},
    {CW_METHOD_POST, "/v1/events", CW_ROLE_INGEST, put_events},
    {CW_METHOD_GET, "/healthz", CW_ROLE_NONE, health},
};

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

static void refuse(struct cw_service *service, const struct cw_request *request, uint16_t status,
                   const char *text)
{
    cw_service_error(service, request, status, NULL,
                     (struct cw_view){text, (uint32_t)strlen(text)});
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
            route->handle(service, &call);
        } else if (request->role == CW_ROLE_NONE) {
            refuse(service, request, 401, "credentials are needed here");
        } else {
            refuse(service, request, 403, "these credentials do not allow it");
        }
        return;
    }
    refuse(service, request, known ? 405 : 404,
           known ? "that method is not for this path" : "there is nothing at this path");
}
