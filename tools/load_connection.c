/* One connection of the load: requests out, answers in, nothing waits. */
#include "core/time.h"
#include "io/clock.h"
#include "tools/load_priv.h"
#include "tools/put_events.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    RECEIVE_BYTES = 1 << 16,
    OUT_BYTES_MAX = 1 << 20 /* beyond it a TCP connection takes no more */
};

static bool lines_of(const struct cw_load_thread *thread)
{
    return thread->plan->target.kind == CW_TARGET_LINES;
}

static void tell_epoll(struct cw_load_thread *thread, struct cw_load_connection *connection, int op,
                       bool write)
{
    struct epoll_event event = {.events = EPOLLIN | (write ? (uint32_t)EPOLLOUT : 0),
                                .data.ptr = connection};
    int rc = epoll_ctl(thread->epoll, op, connection->fd, &event);
    CW_ASSERT(rc == 0);
    connection->wants_write = write;
}

/* ---- life ---- */

static void count_error(struct cw_load_thread *thread, const struct cw_load_request *request,
                        enum cw_load_error error, uint64_t now_ns)
{
    thread->result.errors[error] += request->events;
    if (error == CW_LOAD_ERROR_TIMEOUT) {
        /* It has waited at least that long: leaving it out would flatter the percentiles. */
        cw_histogram_add(&thread->result.latency, now_ns - request->scheduled_ns);
    }
}

void cw_load_break(struct cw_load_thread *thread, struct cw_load_connection *connection,
                   enum cw_load_error error, uint64_t now_ns)
{
    while (connection->count > 0) {
        struct cw_load_request *request = &connection->waiting[connection->first];
        if (lines_of(thread) && request->last_line - connection->acked < request->events) {
            request->events = (uint32_t)(request->last_line - connection->acked);
        }
        count_error(thread, request, error, now_ns);
        connection->first = (connection->first + 1) % CW_LOAD_WAITING_MAX;
        connection->count--;
    }
    if (connection->fd >= 0) {
        (void)close(connection->fd); /* which takes it out of epoll */
    }
    connection->fd = -1;
    connection->state = CW_LOAD_CLOSED;
    connection->since_ns = now_ns;
    connection->out_sent = 0;
    connection->lines = 0;
    connection->acked = 0;
    cw_text_clear(&connection->out);
    cw_text_clear(&connection->in);
    cw_http_reader_next(&connection->reader);
}

void cw_load_connect(struct cw_load_thread *thread, struct cw_load_connection *connection,
                     uint64_t now_ns)
{
    const struct sockaddr_storage *address = &thread->plan->address;
    connection->since_ns = now_ns;
    connection->fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (connection->fd < 0) {
        return; /* the next round tries again */
    }
    int one = 1;
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    int rc = connect(connection->fd, (const struct sockaddr *)address, thread->plan->address_bytes);
    if (rc != 0 && errno != EINPROGRESS) {
        cw_load_break(thread, connection, CW_LOAD_ERROR_CONNECT, now_ns);
        return;
    }
    connection->state = CW_LOAD_CONNECTING;
    tell_epoll(thread, connection, EPOLL_CTL_ADD, true);
}

bool cw_load_free(const struct cw_load_thread *thread, const struct cw_load_connection *connection)
{
    return connection->state == CW_LOAD_OPEN &&
           (lines_of(thread)
                ? connection->count < CW_LOAD_WAITING_MAX && connection->out.bytes < OUT_BYTES_MAX
                : connection->count == 0);
}

/* ---- out ---- */

static void flush(struct cw_load_thread *thread, struct cw_load_connection *connection)
{
    struct cw_text *out = &connection->out;
    while (connection->out_sent < out->bytes) {
        ssize_t sent = send(connection->fd, out->data + connection->out_sent,
                            out->bytes - connection->out_sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && errno == EAGAIN) {
            if (!connection->wants_write) {
                tell_epoll(thread, connection, EPOLL_CTL_MOD, true);
            }
            return;
        }
        if (sent < 0) {
            cw_load_break(thread, connection, CW_LOAD_ERROR_RESET, cw_clock_monotonic_ns());
            return;
        }
        connection->out_sent += (size_t)sent;
    }
    cw_text_clear(out);
    connection->out_sent = 0;
    if (connection->wants_write) {
        tell_epoll(thread, connection, EPOLL_CTL_MOD, false);
    }
}

static void put_head(struct cw_text *out, const struct cw_target *target, struct cw_view body)
{
    struct cw_target_head head;
    cw_target_headers(target, body, cw_clock_wall_ms(), &head);
    cw_text_puts(out, "POST ");
    cw_text_puts(out, target->path);
    cw_text_puts(out, " HTTP/1.1\r\n");
    for (uint32_t i = 0; i < head.count; i++) {
        cw_text_view(out, head.list[i].name);
        cw_text_puts(out, ": ");
        cw_text_view(out, head.list[i].value);
        cw_text_puts(out, "\r\n");
    }
    cw_text_puts(out, "content-length: ");
}

void cw_load_head(struct cw_load_thread *thread)
{
    if (thread->plan->target.key_id[0] == '\0' && !lines_of(thread)) {
        put_head(&thread->head, &thread->plan->target, CW_VIEW(""));
    }
}

static void put_body(struct cw_load_thread *thread, uint32_t events, struct cw_text *out)
{
    const struct cw_load_plan *plan = thread->plan;
    bool entries = plan->target.kind == CW_TARGET_PUT_EVENTS;
    int64_t now_ms = cw_clock_wall_ms();
    char time[CW_TIME_BYTES];
    char epoch[24];
    char tag[48];
    char id[48];
    struct cw_load_stamp stamp = {.fill[CW_LOAD_TIME] = {time, sizeof time}};
    cw_time_format(now_ms, time);
    stamp.fill[CW_LOAD_EPOCH] = (struct cw_view){
        epoch, (uint32_t)snprintf(epoch, sizeof epoch, "%lld.%03d", (long long)(now_ms / 1000),
                                  (int)(now_ms % 1000))};
    int prefix = snprintf(id, sizeof id, "load-%08x-%02x", plan->run, thread->index);
    stamp.fill[CW_LOAD_ID] = (struct cw_view){id, (uint32_t)prefix + 12};
    uint64_t cycle = UINT64_MAX;
    cw_text_puts(out, entries ? CW_PUT_EVENTS_OPEN : "");
    for (uint32_t i = 0; i < events; i++, thread->events++) {
        uint64_t number = plan->repeat ? thread->events % plan->pool.count : thread->events;
        if (number / plan->pool.count != cycle) {
            cycle = number / plan->pool.count;
            stamp.fill[CW_LOAD_TAG] = (struct cw_view){
                tag, (uint32_t)snprintf(tag, sizeof tag, "L%08x-%x-%llx-", plan->run, thread->index,
                                        (unsigned long long)cycle)};
        }
        for (uint32_t digit = 0; digit < 12; digit++) {
            id[(uint32_t)prefix + 11 - digit] =
                "0123456789abcdef"[number >> 4 * digit & 15];
        }
        cw_text_puts(out, entries && i > 0 ? "," : "");
        cw_load_pool_put(&plan->pool, thread->events, &stamp, out);
        cw_text_puts(out, entries ? "" : "\n");
    }
    cw_text_puts(out, entries ? CW_PUT_EVENTS_CLOSE : "");
}

void cw_load_submit(struct cw_load_thread *thread, struct cw_load_connection *connection,
                    uint32_t events, uint64_t scheduled_ns, uint64_t now_ns)
{
    struct cw_text *out = &connection->out;
    CW_ASSERT(cw_load_free(thread, connection));
    if (lines_of(thread)) {
        put_body(thread, events, out);
        connection->lines += events;
    } else {
        cw_text_clear(&thread->body);
        put_body(thread, events, &thread->body);
        struct cw_view body = {thread->body.data, (uint32_t)thread->body.bytes};
        if (thread->head.bytes > 0) {
            cw_text_put(out, thread->head.data, thread->head.bytes);
        } else {
            put_head(out, &thread->plan->target, body);
        }
        cw_text_u64(out, body.bytes);
        cw_text_puts(out, "\r\n\r\n");
        cw_text_view(out, body);
    }
    uint32_t last = (connection->first + connection->count++) % CW_LOAD_WAITING_MAX;
    connection->waiting[last] = (struct cw_load_request){.scheduled_ns = scheduled_ns,
                                                         .sent_ns = now_ns,
                                                         .last_line = connection->lines,
                                                         .events = events};
    flush(thread, connection);
}

/* ---- in ---- */

static void answered(struct cw_load_thread *thread, struct cw_load_connection *connection,
                     uint64_t now_ns)
{
    const struct cw_load_request *request = &connection->waiting[connection->first];
    cw_histogram_add(&thread->result.latency,
                     now_ns > request->scheduled_ns ? now_ns - request->scheduled_ns : 0);
    thread->result.last_ns = now_ns;
    atomic_fetch_add_explicit(&thread->answered, request->events, memory_order_relaxed);
    connection->first = (connection->first + 1) % CW_LOAD_WAITING_MAX;
    connection->count--;
}

static void add_counts(struct cw_load_result *result, const struct cw_answer_counts *counts)
{
    result->accepted += counts->accepted;
    result->duplicate += counts->duplicate;
    result->rejected += counts->rejected;
    result->errors[CW_LOAD_ERROR_THROTTLED] += counts->again;
}

/* Does the answer say what became of each of so many events? */
static bool read_answer(struct cw_load_thread *thread, struct cw_view body, uint64_t events,
                        struct cw_answer_counts *counts)
{
    bool good = thread->plan->target.kind == CW_TARGET_PUT_EVENTS
                    ? cw_answer_put_events(thread->parser, body, counts, NULL, NULL)
                    : cw_answer_events(thread->parser, body, counts, NULL, NULL);
    return good && counts->accepted <= events && counts->duplicate <= events &&
           counts->rejected <= events &&
           counts->accepted + counts->duplicate + counts->rejected + counts->again == events;
}

/* Counts a refused request, and keeps the first one's words. */
static void refused(struct cw_load_thread *thread, struct cw_load_connection *connection,
                    struct cw_view body)
{
    struct cw_answer_refusal refusal;
    uint16_t status = connection->reader.status;
    cw_answer_refusal(thread->parser, body, &refusal);
    bool throttled =
        status == 429 || status == 503 || strcmp(refusal.type, "ThrottlingException") == 0;
    enum cw_load_error error = throttled                       ? CW_LOAD_ERROR_THROTTLED
                               : status == 504                 ? CW_LOAD_ERROR_TIMEOUT
                               : status >= 400 && status < 500 ? CW_LOAD_ERROR_CLIENT
                                                               : CW_LOAD_ERROR_SERVER;
    if (thread->result.first_refusal[0] == '\0' && !throttled) {
        (void)snprintf(thread->result.first_refusal, sizeof thread->result.first_refusal,
                       "status %u %s%s%s", status, refusal.type,
                       refusal.message[0] == '\0' || refusal.type[0] == '\0' ? "" : ": ",
                       refusal.message);
    }
    thread->result.errors[error] += connection->waiting[connection->first].events;
    connection->first = (connection->first + 1) % CW_LOAD_WAITING_MAX;
    connection->count--;
}

/* A whole answer of HTTP; false when the connection was closed. */
static bool take_answer(struct cw_load_thread *thread, struct cw_load_connection *connection,
                        uint64_t now_ns)
{
    struct cw_http_reader *reader = &connection->reader;
    struct cw_answer_counts counts;
    if (connection->count == 0) {
        cw_load_break(thread, connection, CW_LOAD_ERROR_ANSWER, now_ns); /* nobody asked */
        return false;
    }
    memset(cw_text_room(&reader->body, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    struct cw_view body = {reader->body.data, (uint32_t)reader->body.bytes};
    uint64_t events = connection->waiting[connection->first].events;
    bool told = (reader->status == 200 || reader->status == 503) &&
                read_answer(thread, body, events, &counts);
    if (reader->status == 200 && !told) {
        cw_load_break(thread, connection, CW_LOAD_ERROR_ANSWER, now_ns);
        return false;
    }
    if (told) { /* a 503 may have found room for some */
        add_counts(&thread->result, &counts);
        answered(thread, connection, now_ns);
    } else {
        refused(thread, connection, body);
    }
    bool close_it = reader->close;
    cw_http_reader_next(reader);
    if (close_it) {
        cw_load_break(thread, connection, CW_LOAD_ERROR_RESET, now_ns);
        cw_load_connect(thread, connection, now_ns);
    }
    return !close_it;
}

static bool take_acknowledgement(struct cw_load_thread *thread,
                                 struct cw_load_connection *connection, struct cw_view line,
                                 uint64_t now_ns)
{
    struct cw_answer_counts counts;
    if (!cw_answer_line(thread->parser, line, &counts, NULL, NULL) ||
        counts.ack > connection->lines || counts.ack < connection->acked) {
        return false;
    }
    uint64_t covered = counts.ack - connection->acked;
    if (counts.accepted > covered || counts.duplicate > covered || counts.rejected > covered ||
        counts.accepted + counts.duplicate + counts.rejected != covered) {
        return false;
    }
    connection->acked = counts.ack;
    add_counts(&thread->result, &counts);
    while (connection->count > 0 &&
           connection->waiting[connection->first].last_line <= counts.ack) {
        answered(thread, connection, now_ns);
    }
    return true;
}

/* Lines of what was received; false when the connection was closed. */
static bool take_lines(struct cw_load_thread *thread, struct cw_load_connection *connection,
                       const char *data, size_t bytes, uint64_t now_ns)
{
    struct cw_text *in = &connection->in;
    cw_text_put(in, data, bytes);
    memset(cw_text_room(in, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    size_t start = 0;
    bool good = in->bytes <= CW_ANSWER_BYTES_MAX;
    struct cw_answer_refusal refusal = {.again = false};
    while (good && start < in->bytes) {
        const char *newline = memchr(in->data + start, '\n', in->bytes - start);
        if (newline == NULL) {
            break;
        }
        size_t end = (size_t)(newline - in->data);
        struct cw_view line = {in->data + start, (uint32_t)(end - start)};
        good = take_acknowledgement(thread, connection, line, now_ns);
        if (!good) {
            cw_answer_refusal(thread->parser, line, &refusal);
        }
        start = end + 1;
    }
    if (!good) {
        cw_load_break(thread, connection,
                      refusal.again ? CW_LOAD_ERROR_THROTTLED : CW_LOAD_ERROR_ANSWER, now_ns);
        return false;
    }
    in->bytes -= start;
    memmove(in->data, in->data + start, in->bytes);
    return true;
}

/* False when the connection was closed. */
static bool take(struct cw_load_thread *thread, struct cw_load_connection *connection,
                 const char *data, size_t bytes, uint64_t now_ns)
{
    if (lines_of(thread)) {
        return take_lines(thread, connection, data, bytes, now_ns);
    }
    for (size_t at = 0; at < bytes;) {
        size_t used = 0;
        enum cw_http_read got = cw_http_read(&connection->reader, data + at, bytes - at, &used);
        at += used;
        if (got == CW_HTTP_BAD) {
            cw_load_break(thread, connection, CW_LOAD_ERROR_ANSWER, now_ns);
            return false;
        }
        if (got == CW_HTTP_DONE && !take_answer(thread, connection, now_ns)) {
            return false;
        }
    }
    return true;
}

static void receive(struct cw_load_thread *thread, struct cw_load_connection *connection)
{
    char data[RECEIVE_BYTES];
    for (;;) { /* until nothing more is there */
        ssize_t got = recv(connection->fd, data, sizeof data, 0);
        uint64_t now_ns = cw_clock_monotonic_ns();
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0 && errno == EAGAIN) {
            return;
        }
        if (got <= 0) {
            bool whole = got == 0 && !lines_of(thread) &&
                         cw_http_read_end(&connection->reader) == CW_HTTP_DONE;
            if (!whole || take_answer(thread, connection, now_ns)) {
                cw_load_break(thread, connection, CW_LOAD_ERROR_RESET, now_ns);
            }
            return;
        }
        if (!take(thread, connection, data, (size_t)got, now_ns) || got < (ssize_t)sizeof data) {
            return;
        }
    }
}

void cw_load_handle(struct cw_load_thread *thread, struct cw_load_connection *connection,
                    uint32_t ready)
{
    if (connection->state == CW_LOAD_CONNECTING) {
        int error = 0;
        socklen_t bytes = sizeof error;
        (void)getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
        if (error != 0 || (ready & (EPOLLERR | EPOLLHUP)) != 0) {
            cw_load_break(thread, connection, CW_LOAD_ERROR_CONNECT, cw_clock_monotonic_ns());
            return;
        }
        connection->state = CW_LOAD_OPEN;
    }
    if ((ready & EPOLLOUT) != 0) {
        flush(thread, connection);
    }
    if (connection->state == CW_LOAD_OPEN && (ready & (EPOLLIN | EPOLLERR | EPOLLHUP)) != 0) {
        receive(thread, connection);
    }
}
