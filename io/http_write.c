/* Answers: the status line and headers are put together on the stack, then both parts copied into
   the chain of what is to be sent, or neither. */
#include "core/format.h"
#include "core/text.h"
#include "core/time.h"
#include "io/http_priv.h"

enum {
    HEAD_BYTES_MAX = 8192,
    REASON_BYTES_MAX = 512,
    HEAD_REST_MAX = 512 /* of the status line and what is always there */
};

static const char *phrase(uint16_t status)
{
    switch (status) {
    case 100: return "Continue";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 204: return "No Content";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 417: return "Expectation Failed";
    case 422: return "Unprocessable Content";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    default: return "Answer";
    }
}

void cw_http_date(int64_t wall_ms, char out[CW_HTTP_DATE_BYTES])
{
    static const char days[] = "SunMonTueWedThuFriSat";
    static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
    struct cw_civil civil = cw_civil_from_ms(wall_ms);
    char text[CW_HTTP_DATE_BYTES + 1];
    uint32_t bytes = cw_format(text, sizeof text, "%.3s, %02u %.3s %04d %02u:%02u:%02u GMT",
                               days + 3 * (size_t)civil.weekday, civil.day,
                               months + 3 * (size_t)(civil.month - 1), (int)civil.year % 10000,
                               civil.hour, civil.minute, civil.second);
    CW_ASSERT(bytes == CW_HTTP_DATE_BYTES);
    memcpy(out, text, CW_HTTP_DATE_BYTES);
}

struct head {
    char text[HEAD_BYTES_MAX];
    uint32_t bytes;
};

static void put(struct head *head, const char *data, size_t bytes)
{
    CW_ASSERT(bytes <= sizeof head->text - head->bytes);
    memcpy(head->text + head->bytes, data, bytes);
    head->bytes += (uint32_t)bytes;
}

static void put_text(struct head *head, const char *text)
{
    put(head, text, strlen(text));
}

static void put_number(struct head *head, uint32_t number)
{
    char digits[10];
    uint32_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    put(head, digits + at, sizeof digits - at);
}

static bool sendable(const struct cw_header *header, const struct head *head)
{
    size_t bytes = (size_t)header->name.bytes + header->value.bytes + 4;
    if (header->name.bytes == 0 || bytes + HEAD_REST_MAX > sizeof head->text - head->bytes) {
        return false;
    }
    for (uint32_t i = 0; i < header->name.bytes; i++) {
        if (!cw_http_tchar((unsigned char)header->name.data[i])) {
            return false;
        }
    }
    for (uint32_t i = 0; i < header->value.bytes; i++) {
        unsigned char c = (unsigned char)header->value.data[i];
        if ((c < ' ' && c != '\t') || c == 0x7f) {
            return false;
        }
    }
    return true;
}

static void put_header(struct head *head, struct cw_view name, struct cw_view value)
{
    put(head, name.data, name.bytes);
    put(head, ": ", 2);
    put(head, value.data, value.bytes);
    put(head, "\r\n", 2);
}

bool cw_http_write(struct cw_chain *chain, struct cw_pool *pool, const struct cw_http_dress *dress,
                   const struct cw_answer *answer, uint64_t *headers_dropped)
{
    CW_ASSERT(answer->status >= 200 && answer->status <= 599);
    struct head head;
    head.bytes = 0;
    put_text(&head, "HTTP/1.1 ");
    put_number(&head, answer->status);
    put(&head, " ", 1);
    put_text(&head, phrase(answer->status));
    put_text(&head, "\r\nDate: ");
    put(&head, dress->date, CW_HTTP_DATE_BYTES);
    put(&head, "\r\n", 2);
    bool bodiless = answer->status == 204 || answer->status == 304;
    if (!bodiless) {
        if (answer->type.data != NULL) {
            struct cw_header type = {CW_VIEW("Content-Type"), answer->type};
            if (sendable(&type, &head)) {
                put_header(&head, type.name, type.value);
            }
        }
        put_text(&head, "Content-Length: ");
        put_number(&head, answer->body.bytes);
        put(&head, "\r\n", 2);
    }
    if (!dress->keep_alive) {
        put_text(&head, "Connection: close\r\n");
    } else if (dress->version_1_0) {
        put_text(&head, "Connection: keep-alive\r\n");
    }
    put_text(&head, dress->extra);
    for (uint32_t i = 0; i < answer->header_count; i++) {
        if (sendable(&answer->headers[i], &head)) {
            put_header(&head, answer->headers[i].name, answer->headers[i].value);
        } else {
            (*headers_dropped)++;
        }
    }
    put(&head, "\r\n", 2);
    struct cw_chain whole = {.bytes = 0};
    uint32_t body_bytes = bodiless || dress->head ? 0 : answer->body.bytes;
    if (body_bytes == 0) {
        return cw_chain_put(chain, pool, head.text, head.bytes, 0);
    }
    if (body_bytes <= HEAD_BYTES_MAX - head.bytes) { /* one piece, and so all or nothing */
        put(&head, answer->body.data, body_bytes);
        return cw_chain_put(chain, pool, head.text, head.bytes, 0);
    }
    if (!cw_chain_put(&whole, pool, head.text, head.bytes, 0) ||
        !cw_chain_put(&whole, pool, answer->body.data, body_bytes, 0)) {
        cw_chain_clear(&whole, pool);
        return false;
    }
    cw_chain_join(chain, &whole);
    return true;
}

/* What may stand in a JSON string as it is. */
static void copy_plain(char *out, size_t room, const char *text)
{
    size_t at = 0;
    for (; text[at] != '\0' && at + 1 < room; at++) {
        unsigned char c = (unsigned char)text[at];
        out[at] = (char)(c < ' ' || c > '~' || c == '"' || c == '\\' ? '\'' : c);
    }
    out[at] = '\0';
}

bool cw_http_refuse(struct cw_chain *chain, struct cw_pool *pool,
                    const struct cw_exchange *exchange, enum cw_http_refusal refusal,
                    const char *reason, struct cw_http_dress dress)
{
    const struct cw_http_refusal_info *info = cw_http_refusal_info(refusal);
    bool aws = exchange != NULL && exchange->put_events;
    bool busy = strcmp(info->type, "ThrottlingException") == 0;
    char body[REASON_BYTES_MAX];
    char plain[REASON_BYTES_MAX / 2];
    struct cw_answer answer = {.status = info->status};
    copy_plain(plain, sizeof plain, busy && aws ? "Rate exceeded" : reason);
    if (aws) {
        /* The SDKs retry a throttling only when the status is 400 and the body says so. */
        answer.status = busy || info->status == 401 ? 400 : info->status;
        answer.type = CW_VIEW("application/x-amz-json-1.1");
        answer.body.bytes = cw_format(body, sizeof body, "{\"__type\":\"%s\",\"message\":\"%s\"}",
                                      info->type, plain);
    } else {
        answer.type = CW_VIEW("application/json");
        answer.body.bytes = cw_format(body, sizeof body, "{\"error\":\"%s\"}", plain);
    }
    answer.body.data = body;
    if (answer.status == 503 || answer.status == 504) {
        dress.extra = "Retry-After: 1\r\n";
    } else if (answer.status == 401) {
        dress.extra = "WWW-Authenticate: Basic realm=\"cartwheel\"\r\n";
    }
    dress.head = exchange != NULL && exchange->head;
    dress.version_1_0 = exchange != NULL && exchange->version_1_0;
    uint64_t dropped = 0;
    return cw_http_write(chain, pool, &dress, &answer, &dropped);
}
