/* wire: a captured HTTP request, as bytes, as the server would hand it over. */
#ifndef CW_TESTS_IO_WIRE_H
#define CW_TESTS_IO_WIRE_H

#include "core/json.h"
#include "core/port.h"

#include <stdio.h>

enum {
    WIRE_BYTES_MAX = 1 << 16,
    WIRE_HEADERS_MAX = 64
};

struct wire {
    char text[WIRE_BYTES_MAX + CW_JSON_PADDING];
    uint32_t bytes;
    struct cw_header headers[WIRE_HEADERS_MAX];
    struct cw_request request;
};

static inline struct cw_view wire_trim(struct cw_view view)
{
    while (view.bytes > 0 && (view.data[0] == ' ' || view.data[0] == '\t')) {
        view.data++;
        view.bytes--;
    }
    while (view.bytes > 0 &&
           (view.data[view.bytes - 1] == ' ' || view.data[view.bytes - 1] == '\t')) {
        view.bytes--;
    }
    return view;
}

static inline bool wire_target(struct wire *wire, char *line, char *end)
{
    static const char *const names[CW_METHOD_COUNT] = {"GET", "HEAD",   "POST",
                                                       "PUT", "DELETE", "OPTIONS"};
    char *blank = memchr(line, ' ', (size_t)(end - line));
    if (blank == NULL) {
        return false;
    }
    uint32_t method = 0;
    while (method < CW_METHOD_COUNT &&
           !cw_view_equal((struct cw_view){line, (uint32_t)(blank - line)},
                          (struct cw_view){names[method], (uint32_t)strlen(names[method])})) {
        method++;
    }
    char *path = blank + 1;
    blank = memchr(path, ' ', (size_t)(end - path));
    if (method == CW_METHOD_COUNT || blank == NULL) {
        return false;
    }
    char *query = memchr(path, '?', (size_t)(blank - path));
    wire->request.method = (enum cw_method)method;
    wire->request.path = (struct cw_view){path, (uint32_t)((query == NULL ? blank : query) - path)};
    if (query != NULL) {
        wire->request.query = (struct cw_view){query + 1, (uint32_t)(blank - query - 1)};
    }
    return true;
}

static inline bool wire_header(struct wire *wire, char *line, char *end)
{
    char *colon = memchr(line, ':', (size_t)(end - line));
    if (colon == NULL || wire->request.header_count == WIRE_HEADERS_MAX) {
        return false;
    }
    for (char *c = line; c < colon; c++) {
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    }
    wire->headers[wire->request.header_count++] = (struct cw_header){
        {line, (uint32_t)(colon - line)},
        wire_trim((struct cw_view){colon + 1, (uint32_t)(end - colon - 1)}),
    };
    return true;
}

/* Reads wire->text in place. Lines end in CR LF; the body is all that follows the empty line. */
static inline bool wire_parse(struct wire *wire)
{
    char *at = wire->text;
    char *end = wire->text + wire->bytes;
    wire->request = (struct cw_request){.kind = CW_REQUEST_HTTP, .headers = wire->headers};
    for (uint32_t line = 0;; line++) {
        char *newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL || newline == at || newline[-1] != '\r') {
            return false;
        }
        char *stop = newline - 1;
        if (stop == at) {
            wire->request.body = (struct cw_view){newline + 1, (uint32_t)(end - newline - 1)};
            return line > 0;
        }
        if (!(line == 0 ? wire_target(wire, at, stop) : wire_header(wire, at, stop))) {
            return false;
        }
        at = newline + 1;
    }
}

static inline bool wire_set(struct wire *wire, const void *data, size_t bytes)
{
    if (bytes > WIRE_BYTES_MAX) {
        return false;
    }
    memcpy(wire->text, data, bytes);
    memset(wire->text + bytes, 0, CW_JSON_PADDING);
    wire->bytes = (uint32_t)bytes;
    return wire_parse(wire);
}

/* False when there is no such file. */
static inline bool wire_read(struct wire *wire, const char *path)
{
    static char data[WIRE_BYTES_MAX];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return false;
    }
    size_t bytes = fread(data, 1, sizeof data, file);
    (void)fclose(file);
    return wire_set(wire, data, bytes);
}

static inline struct cw_view wire_find(const struct wire *wire, const char *name)
{
    for (uint32_t i = 0; i < wire->request.header_count; i++) {
        if (cw_view_equal(wire->headers[i].name, (struct cw_view){name, (uint32_t)strlen(name)})) {
            return wire->headers[i].value;
        }
    }
    return (struct cw_view){NULL, 0};
}

#endif
