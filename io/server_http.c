/* HTTP connections: admission, credentials, refusals, answers. */
#include "io/clock.h"
#include "io/server_priv.h"

/* Writes a refusal where it belongs in the order of answers. */
void cw_server_http_refuse(struct cw_server *server, struct cw_connection *connection,
                           struct cw_exchange *exchange, enum cw_http_refusal refusal,
                           const char *reason, bool keep)
{
    server->refusals[refusal]++;
    keep = keep && !server->draining;
    if (!keep) {
        connection->last = true;
        cw_http_stop(&connection->http, &server->pool);
    }
    struct cw_http_dress dress = {.keep_alive = keep, .date = server->date, .extra = ""};
    const char *text = reason != NULL ? reason : cw_http_refusal_info(refusal)->text;
    bool fine = true;
    if (connection->first == NULL) {
        fine = cw_http_refuse(&connection->out, &server->pool, exchange, refusal, text, dress);
        if (exchange != NULL) {
            cw_exchange_release(server, exchange);
        }
    } else {
        exchange = exchange != NULL ? exchange : cw_exchange_create(&server->pool, 0, 0);
        fine = exchange != NULL &&
               cw_http_refuse(&exchange->answer, &server->pool, exchange, refusal, text, dress);
        if (exchange != NULL) {
            exchange->closes = !keep;
            cw_connection_enqueue(connection, exchange);
            cw_connection_answered(server, connection, exchange);
        }
    }
    if (!fine) {
        cw_server_count(server, CW_COUNT_answers_no_memory_total);
        cw_connection_end(server, connection, true);
    }
    cw_connection_touch(server, connection);
}

/* Says why a request may not even be looked at now. */
static enum cw_http_refusal admission(const struct cw_server *server,
                                      const struct cw_connection *connection)
{
    return connection->over               ? CW_HTTP_CONNECTIONS
           : server->free_slot_count == 0 ? CW_HTTP_UNANSWERED
                                          : CW_HTTP_FINE;
}

static enum cw_http_refusal check_credentials(const struct cw_server *server,
                                              struct cw_request *request, const char **reason)
{
    if (server->credentials == NULL) {
        request->role = CW_ROLE_ADMIN;
        return CW_HTTP_FINE;
    }
    request->role = CW_ROLE_NONE;
    int64_t now = cw_clock_wall_ms();
    enum cw_check check =
        cw_credentials_check(server->credentials, request, now, &request->role, reason);
    if (check == CW_CHECK_SKEW && server->ahead_ms != 0) { /* nobody knows who of us is right */
        check = cw_credentials_check(server->credentials, request, now - server->ahead_ms,
                                     &request->role, reason);
    }
    switch (check) {
    case CW_CHECK_OK: return CW_HTTP_FINE;
    case CW_CHECK_NONE: request->role = CW_ROLE_NONE; return CW_HTTP_FINE;
    case CW_CHECK_UNKNOWN: return CW_HTTP_KEY;
    case CW_CHECK_SIGNATURE: return CW_HTTP_SIGNATURE;
    case CW_CHECK_SKEW: return CW_HTTP_SKEW;
    case CW_CHECK_MALFORMED:
    default: return CW_HTTP_CREDENTIALS;
    }
}

static void on_request(struct cw_server *server, struct cw_connection *connection)
{
    struct cw_exchange *exchange = cw_http_take(&connection->http);
    const char *reason = NULL;
    connection->mode = CW_READING_FREE; /* the next request has its own time */
    cw_due_remove(&connection->reading);
    enum cw_http_refusal refusal = admission(server, connection);
    bool keep = exchange->keep_alive && refusal != CW_HTTP_CONNECTIONS;
    if (refusal == CW_HTTP_FINE) {
        refusal = check_credentials(server, &exchange->request, &reason);
        keep = refusal == CW_HTTP_FINE; /* each try at a secret costs a connection */
    }
    if (refusal != CW_HTTP_FINE) {
        cw_server_http_refuse(server, connection, exchange, refusal, reason, keep);
        return;
    }
    if (!exchange->keep_alive) {
        connection->last = true;
        exchange->closes = true;
    }
    bool handed = cw_server_hand_over(server, connection, exchange);
    CW_ASSERT(handed); /* admission saw a free slot */
    cw_due_add(&server->answers, &exchange->due, server->now_ns);
    cw_server_count(server, CW_COUNT_http_requests_total);
}

/* "100 Continue" stands in line like an answer. */
static void send_continue(struct cw_server *server, struct cw_connection *connection)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    bool fine = false;
    if (connection->first == NULL) {
        fine = cw_chain_put(&connection->out, &server->pool, text, sizeof text - 1, 0);
    } else {
        struct cw_exchange *exchange = cw_exchange_create(&server->pool, 0, 0);
        fine = exchange != NULL &&
               cw_chain_put(&exchange->answer, &server->pool, text, sizeof text - 1, 0);
        if (exchange != NULL) {
            cw_connection_enqueue(connection, exchange);
            cw_connection_answered(server, connection, exchange);
        }
    }
    if (!fine) {
        cw_server_count(server, CW_COUNT_answers_no_memory_total);
        cw_connection_end(server, connection, true);
    }
    cw_connection_touch(server, connection);
}

/* A head whose body follows. more: some of it has come already. */
static void on_head(struct cw_server *server, struct cw_connection *connection, bool more)
{
    const struct cw_exchange *exchange = connection->http.exchange;
    enum cw_http_refusal refusal = admission(server, connection);
    if (refusal != CW_HTTP_FINE) {
        /* Who waits for "100 Continue" may send the body or not: nobody knows what follows. */
        bool keep = exchange->keep_alive && !exchange->expects && refusal == CW_HTTP_UNANSWERED;
        cw_server_http_refuse(server, connection, cw_http_take(&connection->http), refusal, NULL,
                              keep);
    } else if (exchange->expects && !more) {
        send_continue(server, connection);
    }
}

uint32_t cw_server_http_input(struct cw_server *server, struct cw_connection *connection,
                              const char *data, uint32_t bytes)
{
    uint32_t at = 0;
    while (at < bytes && !connection->ended && !connection->last &&
           cw_connection_may_read(server, connection)) {
        uint32_t used = 0;
        struct cw_http *http = &connection->http;
        switch (cw_http_feed(http, &server->http, data + at, bytes - at, &used)) {
        case CW_HTTP_MORE: break;
        case CW_HTTP_HEAD: on_head(server, connection, at + used < bytes); break;
        case CW_HTTP_REQUEST: on_request(server, connection); break;
        case CW_HTTP_FULL: {
            bool keep = http->exchange->keep_alive; /* where its body ends is known */
            cw_server_http_refuse(server, connection, cw_http_take(http), CW_HTTP_MEMORY, NULL,
                                  keep);
            break;
        }
        case CW_HTTP_REFUSED:
        default:
            cw_server_http_refuse(server, connection, cw_http_take(http), http->refusal, NULL,
                                  false);
            break;
        }
        at += used;
    }
    return connection->last || connection->ended ? bytes : at;
}

void cw_server_http_answer(struct cw_server *server, struct cw_exchange *exchange,
                           const struct cw_answer *answer)
{
    struct cw_connection *connection = exchange->connection;
    bool alone = connection->first == exchange && exchange->next == NULL;
    exchange->closes = exchange->closes || answer->close || (server->draining && alone);
    struct cw_http_dress dress = {.head = exchange->head,
                                  .version_1_0 = exchange->version_1_0,
                                  .keep_alive = !exchange->closes,
                                  .date = server->date,
                                  .extra = ""};
    struct cw_chain *to = cw_connection_answer_to(connection, exchange);
    if (!cw_http_write(to, &server->pool, &dress, answer,
                       &server->counts[CW_COUNT_http_headers_dropped_total])) {
        cw_server_count(server, CW_COUNT_answers_no_memory_total);
        cw_connection_end(server, connection, true); /* and with it the exchange */
        return;
    }
    cw_server_count(server, CW_COUNT_http_answers_total);
    cw_connection_answered(server, connection, exchange);
}

void cw_server_http_late(struct cw_server *server, struct cw_exchange *exchange)
{
    struct cw_connection *connection = exchange->connection;
    struct cw_http_dress dress = {
        .keep_alive = !exchange->closes, .date = server->date, .extra = ""};
    struct cw_chain *to = cw_connection_answer_to(connection, exchange);
    server->refusals[CW_HTTP_ANSWER_LATE]++;
    const char *text = cw_http_refusal_info(CW_HTTP_ANSWER_LATE)->text;
    if (!cw_http_refuse(to, &server->pool, exchange, CW_HTTP_ANSWER_LATE, text, dress)) {
        cw_server_count(server, CW_COUNT_answers_no_memory_total);
        cw_connection_end(server, connection, true);
        return;
    }
    cw_connection_answered(server, connection, exchange);
}
