/* What every connection goes through, whatever it speaks. */
#include "io/server_priv.h"

void cw_connection_touch(struct cw_server *server, struct cw_connection *connection)
{
    if (!connection->touched) {
        connection->touched = true;
        connection->next_touched = NULL;
        *server->touched_end = connection;
        server->touched_end = &connection->next_touched;
    }
}

/* ---- exchanges in order ---- */

void cw_exchange_release(struct cw_server *server, struct cw_exchange *exchange)
{
    if (!exchange->with_app && !exchange->in_order) {
        cw_due_remove(&exchange->due);
        cw_chain_clear(&exchange->answer, &server->pool);
        cw_pool_give(&server->pool, exchange);
    }
}

void cw_connection_enqueue(struct cw_connection *connection, struct cw_exchange *exchange)
{
    CW_ASSERT(!exchange->in_order && exchange->next == NULL);
    exchange->in_order = true;
    exchange->connection = connection;
    if (connection->first == NULL) {
        connection->first = exchange;
    } else {
        connection->newest->next = exchange;
    }
    connection->newest = exchange;
    connection->pending++;
}

static struct cw_exchange *dequeue(struct cw_connection *connection)
{
    struct cw_exchange *exchange = connection->first;
    connection->first = exchange->next;
    connection->pending--;
    exchange->next = NULL;
    exchange->in_order = false;
    exchange->connection = NULL;
    cw_due_remove(&exchange->due);
    return exchange;
}

static void forget_all(struct cw_server *server, struct cw_connection *connection)
{
    while (connection->first != NULL) {
        cw_exchange_release(server, dequeue(connection));
    }
}

struct cw_chain *cw_connection_answer_to(struct cw_connection *connection,
                                         struct cw_exchange *exchange)
{
    return connection->first == exchange ? &connection->out : &exchange->answer;
}

void cw_connection_answered(struct cw_server *server, struct cw_connection *connection,
                            struct cw_exchange *exchange)
{
    exchange->answered = true;
    cw_due_remove(&exchange->due);
    while (connection->first != NULL && connection->first->answered) {
        struct cw_exchange *first = dequeue(connection);
        bool closes = first->closes;
        cw_chain_join(&connection->out, &first->answer);
        cw_exchange_release(server, first);
        if (closes) {
            connection->last = true;
            forget_all(server, connection);
        }
    }
    cw_connection_touch(server, connection);
}

bool cw_server_hand_over(struct cw_server *server, struct cw_connection *connection,
                         struct cw_exchange *exchange)
{
    if (server->free_slot_count == 0) {
        return false;
    }
    uint32_t number = server->free_slots[--server->free_slot_count];
    struct cw_slot *slot = &server->slots[number];
    CW_ASSERT(slot->exchange == NULL);
    slot->exchange = exchange;
    slot->turn++;
    exchange->request.token = slot->turn << CW_SERVER_TOKEN_BITS | number;
    exchange->request.arrived_ns = server->now_ns;
    exchange->request.next = NULL;
    exchange->with_app = true;
    cw_connection_enqueue(connection, exchange);
    *server->ready_end = &exchange->request;
    server->ready_end = &exchange->request.next;
    return true;
}

/* ---- ending ---- */

void cw_connection_end(struct cw_server *server, struct cw_connection *connection, bool reset)
{
    if (connection->ended) {
        return;
    }
    connection->ended = true;
    cw_due_remove(&connection->reading);
    cw_due_remove(&connection->writing);
    forget_all(server, connection);
    cw_http_stop(&connection->http, &server->pool);
    if (connection->lines.exchange != NULL) {
        cw_pool_give(&server->pool, connection->lines.exchange);
        connection->lines.exchange = NULL;
    }
    cw_chain_clear(&connection->stash, &server->pool);
    cw_loop_drop(server->loop, connection->number, reset); /* `out` goes when that is done */
}

/* ---- reading ---- */

bool cw_connection_may_read(const struct cw_server *server, const struct cw_connection *connection)
{
    if (connection->out.bytes >= CW_SERVER_UNSENT_MAX) {
        return false;
    }
    if (connection->kind == CW_REQUEST_HTTP) {
        return connection->pending < CW_SERVER_PIPELINE_MAX;
    }
    return connection->pending < CW_SERVER_GROUPS_MAX && server->free_slot_count > 0 &&
           server->pool.used_bytes + server->http.body_reserve <= server->pool.bytes;
}

static uint32_t input(struct cw_server *server, struct cw_connection *connection, const char *data,
                      uint32_t bytes)
{
    return connection->kind == CW_REQUEST_HTTP
               ? cw_server_http_input(server, connection, data, bytes)
               : cw_server_lines_input(server, connection, data, bytes);
}

static void discard(struct cw_server *server, struct cw_connection *connection, uint32_t bytes)
{
    connection->discarded += bytes;
    if (connection->discarded > CW_SERVER_DISCARD_MAX) {
        cw_connection_end(server, connection, true);
    }
}

static void got_bytes(struct cw_server *server, struct cw_connection *connection, const char *data,
                      uint32_t bytes)
{
    uint32_t used = 0;
    if (connection->last) {
        discard(server, connection, bytes);
        return;
    }
    if (connection->stash.bytes == 0) {
        used = input(server, connection, data, bytes);
    }
    if (used == bytes || connection->ended) {
        return;
    }
    if (!connection->paused) {
        connection->paused = true;
        cw_server_count(server, connection->kind == CW_REQUEST_HTTP ? CW_COUNT_http_paused_total
                                                                    : CW_COUNT_lines_paused_total);
    }
    if (!cw_chain_put(&connection->stash, &server->pool, data + used, bytes - used, 0)) {
        cw_server_count(server, CW_COUNT_answers_no_memory_total);
        cw_connection_end(server, connection, true);
    }
}

void cw_connection_received(struct cw_server *server, struct cw_connection *connection,
                            const char *data, int32_t bytes)
{
    CW_ASSERT(connection->open && !connection->ended);
    if (data != NULL) {
        server->counts[CW_COUNT_received_bytes_total] += (uint32_t)bytes;
        got_bytes(server, connection, data, (uint32_t)bytes);
    } else if (bytes < 0) {
        cw_server_count(server, CW_COUNT_connections_failed_total);
        cw_connection_end(server, connection, true);
    } else {
        connection->eof = true;
    }
    cw_connection_touch(server, connection);
}

/* Looks at what was read before it could be. */
static void read_stash(struct cw_server *server, struct cw_connection *connection)
{
    while (connection->stash.bytes > 0 && !connection->ended && !connection->last &&
           cw_connection_may_read(server, connection)) {
        struct cw_view front = cw_chain_front(&connection->stash);
        uint32_t used = input(server, connection, front.data, front.bytes);
        if (connection->ended) {
            return;
        }
        cw_chain_drop(&connection->stash, &server->pool, used);
    }
    if (connection->last) {
        cw_chain_clear(&connection->stash, &server->pool);
    }
}

/* ---- deadlines ---- */

static enum cw_reading_mode mode_for(const struct cw_server *server,
                                     const struct cw_connection *connection)
{
    if (connection->finished) {
        return CW_READING_LINGER;
    }
    if (connection->last || connection->eof || connection->stash.bytes > 0 ||
        !cw_connection_may_read(server, connection)) {
        return CW_READING_FREE;
    }
    if (connection->kind == CW_REQUEST_LINES) {
        const struct cw_lines *lines = &connection->lines;
        if (!lines->known) {
            return CW_READING_HEAD;
        }
        bool partial = lines->exchange != NULL && lines->exchange->used > lines->from;
        return partial || lines->skipping ? CW_READING_IDLE : CW_READING_FREE;
    }
    switch (cw_http_reading(&connection->http)) {
    case CW_HTTP_IN_HEAD: return CW_READING_HEAD;
    case CW_HTTP_IN_BODY: return CW_READING_BODY;
    case CW_HTTP_BETWEEN:
    default: return connection->pending > 0 ? CW_READING_FREE : CW_READING_IDLE;
    }
}

static void watch(struct cw_server *server, struct cw_connection *connection)
{
    enum cw_reading_mode mode = mode_for(server, connection);
    if (mode == connection->mode) {
        return;
    }
    connection->mode = (uint8_t)mode;
    cw_due_remove(&connection->reading);
    if (mode != CW_READING_FREE) {
        connection->body_mark = connection->http.body_bytes;
        cw_due_add(&server->reading[mode], &connection->reading, server->now_ns);
    }
}

/* ---- settling ---- */

static void send_on(struct cw_server *server, struct cw_connection *connection)
{
    if (connection->sending || connection->out.bytes == 0) {
        return;
    }
    struct cw_view front = cw_chain_front(&connection->out);
    connection->sending = true;
    cw_loop_send(server->loop, connection->number, front.data, front.bytes);
    cw_due_add(&server->writing, &connection->writing, server->now_ns);
}

void cw_connection_sent(struct cw_server *server, struct cw_connection *connection, int32_t bytes)
{
    CW_ASSERT(connection->sending && !connection->ended);
    connection->sending = false;
    cw_due_remove(&connection->writing);
    if (bytes < 0) {
        cw_server_count(server, CW_COUNT_connections_failed_total);
        cw_connection_end(server, connection, true);
        return;
    }
    server->counts[CW_COUNT_sent_bytes_total] += (uint32_t)bytes;
    cw_chain_drop(&connection->out, &server->pool, (uint32_t)bytes);
    cw_connection_touch(server, connection);
}

/* Reading has to wait for something that is not this connection's: look again later. */
static void note_starved(struct cw_server *server, struct cw_connection *connection)
{
    if (connection->kind == CW_REQUEST_LINES && !connection->starved && !connection->last &&
        connection->pending < CW_SERVER_GROUPS_MAX && !cw_connection_may_read(server, connection)) {
        connection->starved = true;
        connection->next_starved = server->starved;
        server->starved = connection;
    }
}

/* All that was asked is answered, and all answers are sent. */
static void at_rest(struct cw_server *server, struct cw_connection *connection)
{
    bool between = connection->kind == CW_REQUEST_LINES ||
                   cw_http_reading(&connection->http) == CW_HTTP_BETWEEN;
    if (!connection->last && connection->lines.complete > 0) {
        return; /* lines that no slot was free for yet */
    }
    if (connection->eof && connection->stash.bytes == 0) {
        if (!between && !connection->last) {
            cw_server_count(server, CW_COUNT_connections_cut_total);
        }
        cw_connection_end(server, connection, false);
    } else if (connection->last) {
        if (!connection->finished) {
            /* The caller may still be sending. Closing now would make the kernel reset the
               connection, and the caller could lose the answer: let it read first. */
            connection->finished = true;
            cw_loop_finish(server->loop, connection->number);
        }
    } else if (server->draining && between && connection->stash.bytes == 0) {
        cw_connection_end(server, connection, false);
    }
}

void cw_connection_settle(struct cw_server *server, struct cw_connection *connection)
{
    if (connection->ended || !connection->open) {
        return;
    }
    if (connection->kind == CW_REQUEST_LINES) {
        cw_server_lines_flush(server, connection);
    }
    read_stash(server, connection);
    if (connection->kind == CW_REQUEST_LINES && !connection->ended) {
        if (server->draining && !connection->last) {
            connection->last = true; /* what is not handed over was not acknowledged either */
        }
        if (connection->eof && connection->stash.bytes == 0) {
            cw_server_lines_eof(server, connection);
        }
        note_starved(server, connection);
    }
    if (connection->ended) {
        return;
    }
    bool held = connection->stash.bytes > 0 || !cw_connection_may_read(server, connection);
    connection->paused = held && !connection->last;
    if (!connection->eof) {
        cw_loop_receive(server->loop, connection->number, !connection->paused);
    }
    send_on(server, connection);
    if (!connection->sending && connection->out.bytes == 0 && connection->first == NULL) {
        at_rest(server, connection);
    }
    if (!connection->ended) {
        watch(server, connection);
    }
}
