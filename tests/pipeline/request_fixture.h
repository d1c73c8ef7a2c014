/* Requests as a server hands them over, from the text of HTTP messages; poison follows bodies. */
#ifndef CW_TESTS_REQUEST_FIXTURE_H
#define CW_TESTS_REQUEST_FIXTURE_H

#include "core/json.h"
#include "core/port.h"

#include <stdio.h>
#include <stdlib.h>

#define REQUEST_HEADERS_MAX 64u

struct made_request {
    struct cw_request request;
    struct cw_header headers[REQUEST_HEADERS_MAX];
    char *head, *body;
};

static inline void request_close(struct made_request *made)
{
    free(made->head);
    free(made->body);
    memset(made, 0, sizeof *made);
}

static inline void request_body(struct made_request *made, const char *body, size_t bytes)
{
    free(made->body);
    made->body = malloc(bytes + CW_JSON_PADDING);
    memcpy(made->body, body, bytes);
    memset(made->body + bytes, '"', CW_JSON_PADDING);
    made->request.body = (struct cw_view){made->body, (uint32_t)bytes};
}

static inline void request_target(struct made_request *made, char *line)
{
    static const char *const methods[CW_METHOD_COUNT] = {"GET", "HEAD",   "POST",
                                                         "PUT", "DELETE", "OPTIONS"};
    char *space = strchr(line, ' ');
    CW_ASSERT(space != NULL);
    *space = '\0';
    for (uint32_t i = 0; i < CW_METHOD_COUNT; i++) {
        if (strcmp(line, methods[i]) == 0) {
            made->request.method = (enum cw_method)i;
        }
    }
    char *path = space + 1;
    path[strcspn(path, " \r\n")] = '\0';
    char *query = strchr(path, '?');
    made->request.path =
        (struct cw_view){path, (uint32_t)(query != NULL ? query - path : (long)strlen(path))};
    if (query != NULL) {
        made->request.query = (struct cw_view){query + 1, (uint32_t)strlen(query + 1)};
    }
}

/* head: "POST /v1/events HTTP/1.1\nName: value\n..." without the blank line. */
static inline void request_make(struct made_request *made, const char *head, const char *body,
                                size_t body_bytes)
{
    memset(made, 0, sizeof *made);
    made->head = strdup(head);
    made->request.kind = CW_REQUEST_HTTP;
    made->request.role = CW_ROLE_ADMIN;
    made->request.headers = made->headers;
    char *next = NULL;
    for (char *line = made->head; line != NULL && *line != '\0'; line = next) {
        next = strchr(line, '\n');
        if (next != NULL) {
            *next++ = '\0';
        }
        line[strcspn(line, "\r")] = '\0';
        if (line == made->head) {
            request_target(made, line);
            continue;
        }
        char *colon = strchr(line, ':');
        if (colon == NULL) {
            break;
        }
        CW_ASSERT(made->request.header_count < REQUEST_HEADERS_MAX);
        struct cw_header *header = &made->headers[made->request.header_count++];
        for (char *c = line; c < colon; c++) {
            *c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
        }
        header->name = (struct cw_view){line, (uint32_t)(colon - line)};
        char *value = colon + 1;
        value += strspn(value, " ");
        header->value = (struct cw_view){value, (uint32_t)strlen(value)};
    }
    request_body(made, body, body_bytes);
}

static inline void request_lines(struct made_request *made, const char *text, uint64_t line)
{
    memset(made, 0, sizeof *made);
    made->request.kind = CW_REQUEST_LINES;
    made->request.role = CW_ROLE_INGEST;
    made->request.line = line;
    request_body(made, text, strlen(text));
}

/* A captured request from ../shared/data/wire; false where that is absent. */
static inline bool request_captured(struct made_request *made, const char *name)
{
    char path[512];
    (void)snprintf(path, sizeof path, "%s/../shared/data/wire/%s", CW_SOURCE_DIR, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    char text[8192];
    size_t bytes = fread(text, 1, sizeof text - 1, file);
    (void)fclose(file);
    text[bytes] = '\0';
    char *end = strstr(text, "\r\n\r\n");
    CW_ASSERT(end != NULL);
    *end = '\0';
    request_make(made, text, end + 4, bytes - (size_t)(end + 4 - text));
    return true;
}

#endif
