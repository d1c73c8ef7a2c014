/*
 * The rules for heads. llhttp, strict, says what is a request line and what a header; it is given
 * the whole head at once, so what it finds are views into it. Then come the rules that it does not
 * have, or not in every version: what two readers of one stream could read differently is refused.
 */
#include "io/http_priv.h"

#include <llhttp.h>

/* What each byte may be part of. */
enum {
    TCHAR = 1, /* names of headers and methods (RFC 9110 5.6.2) */
    HOST = 2,  /* a name or an address and perhaps a port: no list, path or user */
    TARGET = 4 /* visible ASCII but the beginning of a fragment */
};

/* clang-format off */
static const uint8_t classes[256] = {
    ['0' ... '9'] = TCHAR | HOST | TARGET,
    ['A' ... 'Z'] = TCHAR | HOST | TARGET, ['a' ... 'z'] = TCHAR | HOST | TARGET,
    ['!'] = TCHAR | HOST | TARGET, ['$'] = TCHAR | HOST | TARGET, ['%'] = TCHAR | HOST | TARGET,
    ['&'] = TCHAR | HOST | TARGET, ['\''] = TCHAR | HOST | TARGET, ['*'] = TCHAR | HOST | TARGET,
    ['+'] = TCHAR | HOST | TARGET, ['-'] = TCHAR | HOST | TARGET, ['.'] = TCHAR | HOST | TARGET,
    ['_'] = TCHAR | HOST | TARGET, ['~'] = TCHAR | HOST | TARGET,
    ['#'] = TCHAR, ['^'] = TCHAR | TARGET, ['`'] = TCHAR | TARGET, ['|'] = TCHAR | TARGET,
    ['('] = HOST | TARGET, [')'] = HOST | TARGET, [':'] = HOST | TARGET, [';'] = HOST | TARGET,
    ['='] = HOST | TARGET, ['['] = HOST | TARGET, [']'] = HOST | TARGET,
    ['"'] = TARGET, [','] = TARGET, ['/'] = TARGET, ['<'] = TARGET, ['>'] = TARGET,
    ['?'] = TARGET, ['@'] = TARGET, ['\\'] = TARGET, ['{'] = TARGET, ['}'] = TARGET,
};

/* clang-format on */

static bool all_of(struct cw_view view, uint8_t class)
{
    uint8_t common = class;
    for (uint32_t i = 0; i < view.bytes; i++) {
        common &= classes[(unsigned char)view.data[i]];
    }
    return common != 0;
}

bool cw_http_tchar(unsigned char c)
{
    return (classes[c] & TCHAR) != 0;
}

struct reading {
    struct cw_view url, name, value;
    struct cw_header headers[CW_HTTP_HEADERS_MAX];
    uint32_t count, count_max;
    bool done, many, torn;
};

/* ---- llhttp ---- */

/* llhttp may tell a span in pieces; in contiguous bytes they are neighbours. */
static int add_span(struct reading *reading, struct cw_view *view, const char *at, size_t bytes)
{
    if (view->data == NULL) {
        *view = (struct cw_view){.data = at, .bytes = (uint32_t)bytes};
    } else {
        reading->torn |= view->data + view->bytes != at;
        view->bytes += (uint32_t)bytes;
    }
    return reading->torn ? -1 : 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t bytes)
{
    struct reading *reading = parser->data;
    return add_span(reading, &reading->url, at, bytes);
}

static int on_name(llhttp_t *parser, const char *at, size_t bytes)
{
    struct reading *reading = parser->data;
    return add_span(reading, &reading->name, at, bytes);
}

static int on_value(llhttp_t *parser, const char *at, size_t bytes)
{
    struct reading *reading = parser->data;
    return add_span(reading, &reading->value, at, bytes);
}

static struct cw_view trimmed(struct cw_view view)
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

static int on_header(llhttp_t *parser)
{
    struct reading *reading = parser->data;
    if (reading->count == reading->count_max) {
        reading->many = true;
        return -1;
    }
    struct cw_view value = reading->value.data == NULL ? CW_VIEW("") : trimmed(reading->value);
    reading->headers[reading->count++] = (struct cw_header){.name = reading->name, .value = value};
    reading->name = reading->value = (struct cw_view){.data = NULL};
    return 0;
}

static int on_head(llhttp_t *parser)
{
    struct reading *reading = parser->data;
    reading->done = true;
    return HPE_PAUSED; /* bodies are not its business */
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_header,
    .on_headers_complete = on_head,
};

/* ---- the bytes ---- */

/* Every CR is followed by LF (that every LF follows a CR was seen when the lines came in), no
   other control character but HTAB, no line that begins with a blank. */
static enum cw_http_refusal check_bytes(const char *head, uint32_t bytes)
{
    uint32_t controls = 0;
    uint32_t alone = 0;
    uint32_t folds = 0;
    for (uint32_t i = 0; i + 1 < bytes; i++) { /* no branch: the compiler makes vectors of it */
        unsigned char c = (unsigned char)head[i];
        unsigned char next = (unsigned char)head[i + 1];
        controls |= (uint32_t)(((c < ' ') & (c != '\t') & (c != '\r') & (c != '\n')) | (c == 0x7f));
        alone |= (uint32_t)((c == '\r') & (next != '\n'));
        folds |= (uint32_t)((c == '\n') & ((next == ' ') | (next == '\t')));
    }
    return alone != 0      ? CW_HTTP_LINE_END
           : controls != 0 ? CW_HTTP_CONTROL
           : folds != 0    ? CW_HTTP_FOLDED
                           : CW_HTTP_FINE;
}

/* ---- the request line ---- */

static const struct {
    struct cw_view name;
    enum cw_method method;
} methods[] = {
    {{"GET", 3}, CW_METHOD_GET},       {{"HEAD", 4}, CW_METHOD_HEAD},
    {{"POST", 4}, CW_METHOD_POST},     {{"PUT", 3}, CW_METHOD_PUT},
    {{"DELETE", 6}, CW_METHOD_DELETE}, {{"OPTIONS", 7}, CW_METHOD_OPTIONS},
};

static enum cw_http_refusal check_target(struct cw_view target)
{
    if (target.bytes == 0 || target.data[0] != '/') {
        return CW_HTTP_TARGET;
    }
    if (!all_of(target, TARGET)) {
        return CW_HTTP_TARGET;
    }
    return target.bytes > CW_HTTP_TARGET_BYTES ? CW_HTTP_TARGET_LONG : CW_HTTP_FINE;
}

static enum cw_http_refusal check_version(struct cw_view version, bool *version_1_0)
{
    *version_1_0 = cw_view_equal(version, CW_VIEW("HTTP/1.0"));
    if (*version_1_0 || cw_view_equal(version, CW_VIEW("HTTP/1.1"))) {
        return CW_HTTP_FINE;
    }
    bool known = version.bytes == 8 && memcmp(version.data, "HTTP/", 5) == 0 &&
                 version.data[5] >= '0' && version.data[5] <= '9' && version.data[6] == '.' &&
                 version.data[7] >= '0' && version.data[7] <= '9';
    return known ? CW_HTTP_VERSION : CW_HTTP_REQUEST_LINE;
}

/* method SP target SP version, one blank each. Before llhttp, which knows more methods. */
static enum cw_http_refusal read_request_line(struct cw_exchange *exchange, const char *head,
                                              struct cw_view *target)
{
    const char *end = memchr(head, '\r', exchange->used);
    CW_ASSERT(end != NULL);
    const char *blank = memchr(head, ' ', (size_t)(end - head));
    const char *second = blank == NULL ? NULL : memchr(blank + 1, ' ', (size_t)(end - blank - 1));
    if (second == NULL) {
        return CW_HTTP_REQUEST_LINE;
    }
    struct cw_view name = {head, (uint32_t)(blank - head)};
    struct cw_view version = {second + 1, (uint32_t)(end - second - 1)};
    *target = (struct cw_view){blank + 1, (uint32_t)(second - blank - 1)};
    if (!all_of(name, TCHAR)) {
        return CW_HTTP_REQUEST_LINE;
    }
    enum cw_http_refusal refusal = check_version(version, &exchange->version_1_0);
    if (refusal != CW_HTTP_FINE) {
        return refusal;
    }
    for (uint32_t i = 0; i < CW_COUNTOF(methods); i++) {
        if (cw_view_equal(name, methods[i].name)) {
            exchange->request.method = methods[i].method;
            exchange->head = methods[i].method == CW_METHOD_HEAD;
            return check_target(*target);
        }
    }
    return CW_HTTP_METHOD;
}

/* ---- the headers ---- */

struct known {
    uint32_t hosts, lengths, codings;
    bool close, keep_alive, aws_target;
    struct cw_http_framing framing;
};

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

static bool equal_nocase(struct cw_view a, struct cw_view b)
{
    for (uint32_t i = 0; a.bytes == b.bytes && i < a.bytes; i++) {
        if (lower(a.data[i]) != lower(b.data[i])) {
            return false;
        }
    }
    return a.bytes == b.bytes;
}

static bool length_proper(struct cw_view digits, uint64_t *length)
{
    *length = 0;
    for (uint32_t i = 0; i < digits.bytes; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9') {
            return false;
        }
        *length = *length * 10 + (uint64_t)(digits.data[i] - '0');
        if (i == 18) {
            return false; /* 18 digits fit 64 bits */
        }
    }
    return digits.bytes > 0;
}

static void read_connection(struct known *known, struct cw_view list)
{
    while (list.bytes > 0) {
        const char *comma = memchr(list.data, ',', list.bytes);
        uint32_t bytes = comma == NULL ? list.bytes : (uint32_t)(comma - list.data);
        struct cw_view token = trimmed((struct cw_view){list.data, bytes});
        known->close |= equal_nocase(token, CW_VIEW("close"));
        known->keep_alive |= equal_nocase(token, CW_VIEW("keep-alive"));
        uint32_t step = comma == NULL ? bytes : bytes + 1;
        list.data += step;
        list.bytes -= step;
    }
}

static enum cw_http_refusal read_length(struct known *known, struct cw_view value)
{
    if (known->lengths++ != 0) {
        return CW_HTTP_FRAMING;
    }
    bool proper = length_proper(value, &known->framing.content_length);
    return proper ? CW_HTTP_FINE : CW_HTTP_LENGTH;
}

static enum cw_http_refusal read_coding(struct known *known, struct cw_view value)
{
    known->framing.chunked = true;
    if (known->codings++ != 0) {
        return CW_HTTP_FRAMING;
    }
    return cw_view_equal(value, CW_VIEW("chunked")) ? CW_HTTP_FINE : CW_HTTP_CODING;
}

/* The length of a name says which one it could be. */
static enum cw_http_refusal read_header(struct known *known, struct cw_exchange *exchange,
                                        const struct cw_header *header)
{
    struct cw_view name = header->name;
    if (name.bytes == 4 && cw_view_equal(name, CW_VIEW("host"))) {
        known->hosts++;
        return all_of(header->value, HOST) ? CW_HTTP_FINE : CW_HTTP_HOST;
    }
    if (name.bytes == 6 && cw_view_equal(name, CW_VIEW("expect")) && !exchange->version_1_0) {
        exchange->expects = true;
        return equal_nocase(header->value, CW_VIEW("100-continue")) ? CW_HTTP_FINE : CW_HTTP_EXPECT;
    }
    if (name.bytes == 10 && cw_view_equal(name, CW_VIEW("connection"))) {
        read_connection(known, header->value);
    } else if (name.bytes == 12 && cw_view_equal(name, CW_VIEW("x-amz-target"))) {
        known->aws_target = true;
    } else if (name.bytes == 14 && cw_view_equal(name, CW_VIEW("content-length"))) {
        return read_length(known, header->value);
    } else if (name.bytes == 17 && cw_view_equal(name, CW_VIEW("transfer-encoding"))) {
        return read_coding(known, header->value);
    }
    return CW_HTTP_FINE;
}

/* Lower-cases a name in place; false: it is none. */
static bool lower_name(struct cw_exchange *exchange, struct cw_view name)
{
    if (name.bytes == 0 || !all_of(name, TCHAR)) {
        return false;
    }
    char *text = (char *)exchange + (name.data - (const char *)exchange);
    for (uint32_t i = 0; i < name.bytes; i++) {
        text[i] = lower(text[i]);
    }
    return true;
}

/* Reads what concerns the connection. All headers are looked at although one is wrong, because one
   of them says in what dialect the caller is refused. */
static enum cw_http_refusal read_headers(struct cw_exchange *exchange,
                                         const struct cw_header *headers, uint32_t count,
                                         const struct cw_http_context *context,
                                         struct cw_http_framing *framing)
{
    struct known known = {.hosts = 0};
    enum cw_http_refusal first = CW_HTTP_FINE;
    for (uint32_t i = 0; i < count; i++) {
        enum cw_http_refusal refusal = lower_name(exchange, headers[i].name)
                                           ? read_header(&known, exchange, &headers[i])
                                           : CW_HTTP_HEADER;
        first = first == CW_HTTP_FINE ? refusal : first;
    }
    exchange->keep_alive = !known.close && (!exchange->version_1_0 || known.keep_alive);
    exchange->put_events = known.aws_target && exchange->request.method == CW_METHOD_POST &&
                           cw_view_equal(exchange->request.path, CW_VIEW("/"));
    *framing = known.framing;
    if (first != CW_HTTP_FINE) {
        return first;
    }
    if (known.hosts > 1 || (known.hosts == 0 && !exchange->version_1_0)) {
        return CW_HTTP_HOST;
    }
    if (known.codings > 0 && (known.lengths > 0 || exchange->version_1_0)) {
        return CW_HTTP_FRAMING;
    }
    bool large = framing->content_length > context->limits.body_bytes;
    return large ? CW_HTTP_BODY_LARGE : CW_HTTP_FINE;
}

/* Puts the table of headers behind the head. */
static enum cw_http_refusal lay_out(struct cw_http *http, const struct cw_http_context *context,
                                    const struct cw_header *headers, uint32_t count)
{
    const char *old = (const char *)http->exchange;
    uint32_t table_at = (http->exchange->used + 7u) & ~7u;
    uint32_t table_bytes = count * (uint32_t)sizeof *headers;
    uint32_t more = table_at + table_bytes - http->exchange->used;
    if (!cw_exchange_grow(&http->exchange, context->pool, more, context->head_reserve)) {
        return CW_HTTP_MEMORY;
    }
    struct cw_exchange *exchange = http->exchange;
    char *base = (char *)exchange;
    struct cw_header *table = (struct cw_header *)(void *)(base + table_at);
    for (uint32_t i = 0; i < count; i++) {
        struct cw_header header = headers[i];
        header.name.data = base + (header.name.data - old);
        if (header.value.bytes > 0) {
            header.value.data = base + (header.value.data - old);
        } else {
            header.value.data = base; /* empty, not missing; and it moves with the block */
        }
        table[i] = header;
    }
    exchange->request.headers = table;
    exchange->request.header_count = count;
    exchange->used = exchange->body_at = table_at + table_bytes;
    exchange->request.body = (struct cw_view){.data = base + exchange->body_at, .bytes = 0};
    return CW_HTTP_FINE;
}

static enum cw_http_refusal ask_llhttp(struct reading *reading, const char *head, uint32_t bytes)
{
    llhttp_t parser;
    llhttp_init(&parser, HTTP_REQUEST, &settings);
    parser.data = reading;
    llhttp_errno_t error = llhttp_execute(&parser, head, bytes);
    if (reading->many) {
        return CW_HTTP_HEADERS_MANY;
    }
    bool fine = reading->done && error == HPE_PAUSED;
    if (fine) {
        return CW_HTTP_FINE;
    }
    switch ((int)error) {
    case HPE_INVALID_URL: return CW_HTTP_TARGET;
    case HPE_INVALID_CONTENT_LENGTH: return CW_HTTP_LENGTH;
    case HPE_UNEXPECTED_CONTENT_LENGTH:
    case HPE_INVALID_TRANSFER_ENCODING: return CW_HTTP_FRAMING;
    default: return CW_HTTP_HEADER;
    }
}

enum cw_http_refusal cw_http_head(struct cw_http *http, const struct cw_http_context *context,
                                  struct cw_http_framing *framing)
{
    struct cw_exchange *exchange = http->exchange;
    char *head = cw_exchange_at(exchange, sizeof *exchange);
    struct cw_view target;
    struct reading reading;
    reading.url = reading.name = reading.value = (struct cw_view){.data = NULL};
    reading.count = 0;
    reading.count_max = context->limits.headers;
    reading.done = reading.many = reading.torn = false;
    CW_ASSERT(context->limits.headers <= CW_HTTP_HEADERS_MAX);

    enum cw_http_refusal refusal = check_bytes(head, http->head_bytes);
    if (refusal == CW_HTTP_FINE) {
        refusal = read_request_line(exchange, head, &target);
    }
    if (refusal == CW_HTTP_FINE) {
        refusal = ask_llhttp(&reading, head, http->head_bytes);
    }
    if (refusal == CW_HTTP_FINE && !cw_view_equal(reading.url, target)) {
        refusal = CW_HTTP_REQUEST_LINE;
    }
    if (refusal != CW_HTTP_FINE) {
        return refusal;
    }
    const char *mark = memchr(target.data, '?', target.bytes);
    struct cw_request *request = &exchange->request;
    request->kind = CW_REQUEST_HTTP;
    request->path = target;
    if (mark != NULL) {
        request->path.bytes = (uint32_t)(mark - target.data);
        request->query = (struct cw_view){mark + 1, target.bytes - request->path.bytes - 1};
    }
    refusal = read_headers(exchange, reading.headers, reading.count, context, framing);
    if (refusal != CW_HTTP_FINE) {
        return refusal;
    }
    return lay_out(http, context, reading.headers, reading.count);
}
