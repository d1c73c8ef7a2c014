/*
 * NDJSON over TCP: whole lines, in groups as they came, each group a request that is answered by
 * one acknowledgement line. A group is what one receive completed; the beginning of a line that is
 * not whole moves on to the next block. Reading stops while CW_SERVER_GROUPS_MAX groups wait for
 * their answers: the callers' kernels slow them down, nothing is refused.
 */
#include "io/clock.h"
#include "io/server_priv.h"

enum {
    SECRET_BYTES_MAX = 512,
    FIRST_LINE_BYTES_MAX = 4096 /* the one with the credentials */
};

#define TOO_LONG "too-long"

void cw_server_lines_refuse(struct cw_server *server, struct cw_connection *connection, bool again,
                            const char *reason)
{
    static const char before[] = "{\"error\":\"";
    const char *after = again ? "\",\"retry\":true}\n" : "\"}\n";
    struct cw_chain line = {.bytes = 0};
    bool fine = cw_chain_put(&line, &server->pool, before, sizeof before - 1, 0) &&
                cw_chain_put(&line, &server->pool, reason, strlen(reason), 0) &&
                cw_chain_put(&line, &server->pool, after, strlen(after), 0);
    if (fine) {
        cw_chain_join(&connection->out, &line);
    }
    cw_chain_clear(&line, &server->pool);
    connection->last = true;
    cw_connection_touch(server, connection);
}

/* ---- credentials ---- */

static uint32_t base64(struct cw_view text, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < text.bytes; i += 3) {
        uint32_t left = text.bytes - i;
        uint32_t three = (uint32_t)(unsigned char)text.data[i] << 16;
        three |= left > 1 ? (uint32_t)(unsigned char)text.data[i + 1] << 8 : 0;
        three |= left > 2 ? (uint32_t)(unsigned char)text.data[i + 2] : 0;
        out[bytes++] = digits[three >> 18];
        out[bytes++] = digits[three >> 12 & 63];
        out[bytes++] = left > 1 ? digits[three >> 6 & 63] : '=';
        out[bytes++] = left > 2 ? digits[three & 63] : '=';
    }
    return bytes;
}

/* {"auth":"<what>"}; what is written to `secret`. False: it is not that. */
static bool read_auth(struct cw_server *server, struct cw_view line, char *secret, uint32_t *bytes)
{
    struct cw_json doc;
    if (cw_json_parse(server->json, line.data, line.bytes, &doc) != CW_JSON_PARSE_OK ||
        doc.nodes[0].type != CW_JSON_OBJECT) {
        return false;
    }
    uint32_t node = cw_json_find(&doc, 0, CW_VIEW("auth"));
    if (node == CW_JSON_NONE || doc.nodes[node].type != CW_JSON_STRING ||
        doc.nodes[node].text_bytes > SECRET_BYTES_MAX) {
        return false;
    }
    *bytes = cw_json_unescape(cw_json_raw(&doc, node), secret);
    return true;
}

static bool check(const struct cw_server *server, struct cw_view name, struct cw_view value,
                  enum cw_role *role)
{
    const struct cw_header header = {.name = name, .value = value};
    struct cw_request request = {.kind = CW_REQUEST_LINES,
                                 .method = CW_METHOD_POST,
                                 .path = CW_VIEW("/"),
                                 .headers = &header,
                                 .header_count = 1,
                                 .body = CW_VIEW("")};
    const char *reason = NULL;
    return cw_credentials_check(server->credentials, &request, cw_clock_wall_ms(), role, &reason) ==
               CW_CHECK_OK &&
           *role >= CW_ROLE_INGEST;
}

/* The first line says who is there: "user:password", or an API key or bearer token. */
static bool first_line(struct cw_server *server, struct cw_view line, enum cw_role *role)
{
    char secret[SECRET_BYTES_MAX];
    char value[16 + SECRET_BYTES_MAX * 2];
    uint32_t bytes = 0;
    if (!read_auth(server, line, secret, &bytes)) {
        return false;
    }
    struct cw_view given = {secret, bytes};
    bool fine = false;
    if (memchr(secret, ':', bytes) != NULL) {
        memcpy(value, "Basic ", 6); /* NOLINT(bugprone-not-null-terminated-result): a view */
        struct cw_view basic = {value, 6 + base64(given, value + 6)};
        fine = check(server, CW_VIEW("authorization"), basic, role);
    } else {
        memcpy(value, "Bearer ", 7); /* NOLINT(bugprone-not-null-terminated-result): a view */
        memcpy(value + 7, secret, bytes);
        fine = check(server, CW_VIEW("authorization"), (struct cw_view){value, bytes + 7}, role) ||
               check(server, CW_VIEW("x-api-key"), given, role);
    }
    explicit_bzero(secret, sizeof secret);
    explicit_bzero(value, sizeof value);
    return fine;
}

/* ---- groups ---- */

static char *text_of(struct cw_exchange *exchange)
{
    return cw_exchange_at(exchange, sizeof *exchange);
}

/* Room for `bytes` more; ends the connection when there is none. */
static bool make_room(struct cw_server *server, struct cw_connection *connection, uint32_t bytes)
{
    struct cw_lines *lines = &connection->lines;
    bool fine = true;
    if (lines->exchange == NULL) {
        lines->exchange = cw_exchange_create(&server->pool, bytes, 0);
        fine = lines->exchange != NULL;
        lines->complete = 0;
        lines->from = sizeof *lines->exchange;
    } else {
        fine = cw_exchange_grow(&lines->exchange, &server->pool, bytes, 0);
    }
    if (!fine) {
        /* Nothing of it was acknowledged: the caller sends it again. */
        cw_server_count(server, CW_COUNT_lines_no_memory_total);
        cw_connection_end(server, connection, true);
    }
    return fine;
}

static void fill_request(struct cw_exchange *exchange, enum cw_role role, uint64_t line,
                         uint32_t body_bytes)
{
    exchange->request = (struct cw_request){
        .kind = CW_REQUEST_LINES,
        .method = CW_METHOD_POST,
        .role = role,
        .line = line,
        .body = {.data = text_of(exchange), .bytes = body_bytes},
    };
}

/* May one more group be handed over? */
static bool may_hand_over(const struct cw_server *server, const struct cw_connection *connection)
{
    return connection->pending < CW_SERVER_GROUPS_MAX && server->free_slot_count > 0;
}

void cw_server_lines_flush(struct cw_server *server, struct cw_connection *connection)
{
    struct cw_lines *lines = &connection->lines;
    if (connection->last || lines->exchange == NULL || lines->complete == 0 ||
        !may_hand_over(server, connection)) {
        return;
    }
    struct cw_exchange *exchange = lines->exchange;
    uint32_t rest = exchange->used - lines->from;
    struct cw_exchange *fresh = NULL;
    if (rest > 0) {
        fresh = cw_exchange_create(&server->pool, rest, 0);
        if (fresh == NULL) {
            cw_server_count(server, CW_COUNT_lines_no_memory_total);
            cw_connection_end(server, connection, true);
            return;
        }
        memcpy(text_of(fresh), cw_exchange_at(exchange, lines->from), rest);
        fresh->used += rest;
    }
    exchange->used = lines->from;
    fill_request(exchange, lines->role, lines->line, lines->from - (uint32_t)sizeof *exchange);
    bool handed = cw_server_hand_over(server, connection, exchange);
    CW_ASSERT(handed);
    server->counts[CW_COUNT_lines_total] += lines->complete;
    cw_server_count(server, CW_COUNT_lines_groups_total);
    lines->line += lines->complete;
    lines->exchange = fresh;
    lines->complete = 0;
    lines->from = sizeof *exchange;
}

/* Hands over a request without a body that names the line. Everything before it has been. */
static void tell_too_long(struct cw_server *server, struct cw_connection *connection)
{
    struct cw_exchange *exchange = cw_exchange_create(&server->pool, 0, 0);
    if (exchange == NULL) {
        cw_server_count(server, CW_COUNT_lines_no_memory_total);
        cw_connection_end(server, connection, true);
        return;
    }
    fill_request(exchange, connection->lines.role, connection->lines.line, 0);
    exchange->request.query = CW_VIEW(TOO_LONG);
    bool handed = cw_server_hand_over(server, connection, exchange);
    CW_ASSERT(handed);
    connection->lines.line++;
    cw_server_count(server, CW_COUNT_lines_too_long_total);
}

/* The line being read passes the limit. False: there is no room to say so yet. */
static bool too_long(struct cw_server *server, struct cw_connection *connection)
{
    struct cw_lines *lines = &connection->lines;
    if (lines->exchange != NULL) {
        lines->exchange->used = lines->from; /* forget what came of it */
        if (lines->complete > 0) {
            cw_server_lines_flush(server, connection);
        }
    }
    if (connection->ended || lines->complete > 0 || !may_hand_over(server, connection)) {
        return false;
    }
    tell_too_long(server, connection);
    return !connection->ended;
}

/* Takes the first line off, whoever is there or not. */
static void introduce(struct cw_server *server, struct cw_connection *connection)
{
    struct cw_lines *lines = &connection->lines;
    struct cw_exchange *exchange = lines->exchange;
    struct cw_view line = {text_of(exchange), exchange->used - (uint32_t)sizeof *exchange};
    lines->known = first_line(server, line, &lines->role);
    explicit_bzero(text_of(exchange), line.bytes);
    exchange->used = lines->from = sizeof *exchange;
    lines->complete = 0;
    lines->line++;
    if (!lines->known) {
        cw_server_count(server, CW_COUNT_lines_refused_total);
        cw_server_lines_refuse(server, connection, false,
                               "the first line must be {\\\"auth\\\":\\\"KEY\\\"} or "
                               "{\\\"auth\\\":\\\"USER:PASSWORD\\\"}, of someone who may put "
                               "events in");
    }
}

/* One line, or the part of it that is there. Returns how far it got. */
static uint32_t one_line(struct cw_server *server, struct cw_connection *connection,
                         const char *data, uint32_t bytes)
{
    struct cw_lines *lines = &connection->lines;
    const char *lf = memchr(data, '\n', bytes);
    uint32_t part = lf == NULL ? bytes : (uint32_t)(lf - data) + 1;
    if (lines->skipping) {
        lines->skipping = lf == NULL;
        return part;
    }
    uint32_t before = lines->exchange == NULL ? 0 : lines->exchange->used - lines->from;
    uint32_t limit = lines->known ? server->limits.line_bytes : FIRST_LINE_BYTES_MAX;
    if (before + part - (lf != NULL) > limit) {
        if (!lines->known) {
            cw_server_count(server, CW_COUNT_lines_refused_total);
            cw_server_lines_refuse(server, connection, false, "the first line is too long");
            return part;
        }
        if (!too_long(server, connection)) {
            return 0;
        }
        lines->skipping = lf == NULL;
        return part;
    }
    if (!make_room(server, connection, part)) {
        return 0;
    }
    struct cw_exchange *exchange = lines->exchange;
    memcpy(cw_exchange_at(exchange, exchange->used), data, part);
    exchange->used += part;
    if (lf != NULL) {
        lines->complete++;
        lines->from = exchange->used;
        if (!lines->known) {
            introduce(server, connection);
        }
    }
    return part;
}

uint32_t cw_server_lines_input(struct cw_server *server, struct cw_connection *connection,
                               const char *data, uint32_t bytes)
{
    struct cw_lines *lines = &connection->lines;
    uint32_t at = 0;
    connection->mode = CW_READING_FREE; /* something came: the time begins anew */
    cw_due_remove(&connection->reading);
    if (!may_hand_over(server, connection)) {
        return 0;
    }
    if (lines->known && !lines->skipping && !make_room(server, connection, bytes)) {
        return bytes;
    }
    while (at < bytes && !connection->ended && !connection->last) {
        uint32_t used = one_line(server, connection, data + at, bytes - at);
        if (used == 0) {
            break;
        }
        at += used;
    }
    if (!connection->ended) {
        cw_server_lines_flush(server, connection);
    }
    return connection->ended || connection->last ? bytes : at;
}

void cw_server_lines_eof(struct cw_server *server, struct cw_connection *connection)
{
    struct cw_lines *lines = &connection->lines;
    if (connection->last || lines->exchange == NULL) {
        return;
    }
    if (lines->exchange->used > lines->from && lines->known) {
        lines->complete++;
        lines->from = lines->exchange->used;
    }
    cw_server_lines_flush(server, connection);
}
