/*
 * One attempt to hand events over as lines of a TCP connection. The engine answers with lines that
 * each tell up to which line of the connection everything is settled. When a connection breaks,
 * what was not acknowledged is sent again on the next one; the engine knows repeated ids.
 */
#include "io/clock.h"
#include "tools/send_priv.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 30000 /* without a sign of the engine */

void cw_send_tcp_close(struct cw_send *send)
{
    if (send->fd >= 0) {
        (void)close(send->fd);
    }
    send->fd = -1;
    send->lines = 0;
    send->acked = 0;
    cw_text_clear(&send->answer);
}

static bool connected(int fd, const struct addrinfo *at)
{
    if (connect(fd, at->ai_addr, at->ai_addrlen) == 0) {
        return true;
    }
    struct pollfd poll_fd = {.fd = fd, .events = POLLOUT};
    int error = errno;
    socklen_t bytes = sizeof error;
    if (error == EINPROGRESS && poll(&poll_fd, 1, 5000) == 1) {
        (void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &bytes);
    }
    errno = error == EINPROGRESS ? ETIMEDOUT : error;
    return error == 0;
}

/* False with a reason in why. */
static bool open_connection(struct cw_send *send, char *why, size_t room)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int wrong = getaddrinfo(send->target.host, send->target.port, &hints, &list);
    if (wrong != 0) {
        (void)snprintf(why, room, "%s: %s", send->target.host, gai_strerror(wrong));
        return false;
    }
    for (const struct addrinfo *at = list; at != NULL && send->fd < 0; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connected(fd, at)) {
            int one = 1;
            (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            send->fd = fd;
        } else if (fd >= 0) {
            int error = errno;
            (void)close(fd);
            errno = error;
        }
    }
    freeaddrinfo(list);
    if (send->fd < 0) {
        (void)snprintf(why, room, "%s", strerror(errno)); /* NOLINT: one thread */
    }
    return send->fd >= 0;
}

struct acknowledging {
    struct cw_send *send;
    const struct cw_send_item *items;
    uint64_t first, last; /* lines of the items that are not settled yet */
    bool wrong;
};

static void reject(void *self, uint64_t line, bool again, const char *reason)
{
    struct acknowledging *a = self;
    (void)again;
    if (line < a->first || line > a->last) {
        a->wrong = true;
        return;
    }
    cw_send_reject(a->send, &a->items[line - a->first],
                   reason[0] == '\0' ? "the engine gives no reason" : reason);
}

/* One acknowledgement. items[0] is line acked + 1. False when it cannot be one. */
static bool acknowledge(struct cw_send *send, const struct cw_send_item *items, struct cw_view line,
                        uint32_t *done)
{
    struct cw_answer_counts counts;
    if (!cw_answer_line(send->answers, line, &counts, NULL, NULL) || counts.ack > send->lines ||
        counts.ack < send->acked) {
        return false;
    }
    uint64_t covered = counts.ack - send->acked;
    if (counts.accepted > covered || counts.duplicate > covered || counts.rejected > covered ||
        counts.accepted + counts.duplicate + counts.rejected != covered) {
        return false;
    }
    struct acknowledging a = {
        .send = send, .items = items + *done, .first = send->acked + 1, .last = counts.ack};
    bool again = cw_answer_line(send->answers, line, &counts, reject, &a);
    CW_ASSERT(again);
    send->accepted += counts.accepted;
    send->duplicate += counts.duplicate;
    send->acked = counts.ack;
    *done += (uint32_t)covered;
    return !a.wrong;
}

/* What is no acknowledgement says why no more of them come on this connection. */
static void read_refusal(struct cw_send *send, struct cw_view line, struct cw_send_result *result)
{
    struct cw_answer_refusal refusal;
    cw_answer_refusal(send->answers, line, &refusal);
    result->verdict = refusal.again ? CW_SEND_AGAIN : CW_SEND_STOP;
    (void)snprintf(result->why, sizeof result->why, "%s",
                   refusal.message[0] != '\0' ? refusal.message
                                              : "the answer is no acknowledgement of an engine");
}

/* Takes whole lines out of what was received. False when there is nothing more to be had of the
   connection: the result says why. */
static bool take_answers(struct cw_send *send, const struct cw_send_item *items,
                         struct cw_send_result *result)
{
    struct cw_text *in = &send->answer;
    size_t start = 0;
    bool good = true;
    memset(cw_text_room(in, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    for (;;) { /* as often as there are lines */
        char *newline =
            in->bytes == start ? NULL : memchr(in->data + start, '\n', in->bytes - start);
        if (newline == NULL || !good) {
            break;
        }
        size_t end = (size_t)(newline - in->data);
        struct cw_view line = {in->data + start, (uint32_t)(end - start)};
        good = acknowledge(send, items, line, &result->done);
        if (!good) {
            read_refusal(send, line, result);
        }
        start = end + 1;
    }
    in->bytes -= start;
    memmove(in->data, in->data + start, in->bytes);
    if (good && in->bytes > CW_ANSWER_BYTES_MAX) {
        result->verdict = CW_SEND_STOP;
        (void)snprintf(result->why, sizeof result->why, "the answer is one line without an end");
        good = false;
    }
    return good;
}

/* Reads what there is; false when the connection has come to its end. */
static bool receive(struct cw_send *send)
{
    enum {
        ROOM = 1 << 16
    };

    ssize_t got = recv(send->fd, cw_text_room(&send->answer, ROOM), ROOM, 0);
    if (got == 0) {
        errno = ECONNRESET;
        return false;
    }
    send->answer.bytes += got > 0 ? (size_t)got : 0;
    return got > 0 || errno == EAGAIN || errno == EINTR;
}

static bool transmit(struct cw_send *to, size_t *sent)
{
    ssize_t got = send(to->fd, to->body.data + *sent, to->body.bytes - *sent, MSG_NOSIGNAL);
    *sent += got > 0 ? (size_t)got : 0;
    return got > 0 || errno == EAGAIN || errno == EINTR;
}

/* Writes the lines and reads answers at once (neither side may wait for the other to read) until
   all are acknowledged. */
static struct cw_send_result exchange(struct cw_send *send, const struct cw_send_item *items,
                                      uint32_t count)
{
    struct cw_send_result result = {.verdict = CW_SEND_AGAIN};
    size_t sent = 0;
    uint64_t heard_ns = cw_clock_monotonic_ns();
    while (result.done < count && cw_send_interrupted == 0) {
        bool more = sent < send->body.bytes;
        struct pollfd poll_fd = {.fd = send->fd, .events = (short)(POLLIN | (more ? POLLOUT : 0))};
        int ready = poll(&poll_fd, 1, 1000);
        uint64_t now_ns = cw_clock_monotonic_ns();
        bool good = true;
        if (ready > 0) {
            heard_ns = now_ns;
            good = (poll_fd.revents & POLLOUT) == 0 || transmit(send, &sent);
            good = ((poll_fd.revents & ~POLLOUT) == 0 || receive(send)) && good;
        } else if (now_ns - heard_ns > (uint64_t)PATIENCE_MS * 1000000) {
            errno = ETIMEDOUT;
            good = false;
        }
        int error = errno;
        if (!take_answers(send, items, &result)) {
            cw_send_tcp_close(send);
            return result;
        }
        if (!good && result.done < count) {
            (void)snprintf(result.why, sizeof result.why, "%s",
                           strerror(error)); /* NOLINT: one thread */
            cw_send_tcp_close(send);
            return result;
        }
    }
    result.verdict = result.done == count ? CW_SEND_DONE : CW_SEND_AGAIN;
    return result;
}

struct cw_send_result cw_send_tcp(struct cw_send *send, struct cw_send_item *items, uint32_t count)
{
    struct cw_send_result result = {.verdict = CW_SEND_AGAIN};
    if (send->fd < 0 && !open_connection(send, result.why, sizeof result.why)) {
        result.unreachable = true;
        return result;
    }
    cw_text_clear(&send->body);
    for (uint32_t i = 0; i < count; i++) {
        cw_text_put(&send->body, send->batch.data + items[i].at, items[i].bytes);
        cw_text_char(&send->body, '\n');
    }
    send->lines += count;
    return exchange(send, items, count);
}
