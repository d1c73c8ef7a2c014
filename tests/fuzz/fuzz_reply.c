/*
 * What mail servers and webhooks answer: any bytes, at any moment of a message's way. The channels
 * are real and on loopback; their provider is here, in the thread of the caller, so that it is
 * known what it has said and heard.
 *
 * The first byte says how (enum how). The rest is what the provider says, in turns that end at
 * 0xFF: one when it has heard something, or when nothing has come for a while. After the last turn
 * it closes. While there are turns left, another message follows.
 *
 * All that is asserted holds whatever comes first: each side's bytes arrive in order and whole,
 * but for connections that are reset. After each input a message to a provider that makes no
 * mistake must be sent: nothing that one says may leave a channel that cannot send.
 */
#define _GNU_SOURCE 1 /* memmem */
#include "core/text.h"
#include "io/channel.h"
#include "io/clock.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum how {
    HOW_HTTP = 1,    /* rather than SMTP */
    HOW_RESET = 2,   /* it ends with a reset */
    HOW_CLOSED = 4,  /* it ends by closing both ways; else it still hears */
    HOW_SILENT = 6,  /* it never ends */
    HOW_KEPT = 8,    /* the connection has carried a message before */
    HOW_LARGE = 16,  /* a message that no buffer holds, heard bit by bit */
    HOW_PIECES = 32, /* turns are written in small pieces */
    HOW_SHARD = 64,  /* the message is of the other shard */
    HOW_DEAF = 128   /* after the last turn it hears nothing until there is a result */
};

enum {
    CHANNEL_SMTP,
    CHANNEL_HTTP,
    CHANNEL_COUNT_HERE,
    SHARDS = 2,
    LINKS_MAX = 32,
    MESSAGES_MAX = 3, /* fewer than a breaker takes for a provider that is down */
    TIMEOUT_MS = 80,
    QUIET_MS = 4,
    PIECE_BYTES = 3,
    HEAR_BYTES = 65536,
    HEAR_LITTLE_BYTES = 4096,
    SEGMENT_BYTES = 1400,
    LARGE_BYTES = 1 << 19,
    PATIENCE_MS = 60000, /* what takes longer never comes */
    TURN_END = 0xFF
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A connection as the provider sees it. */
struct link {
    int fd; /* -1: closed */
    bool http;
    bool mute;  /* nothing more is said */
    bool reset; /* what was on its way may be lost */
    size_t answered;
    struct cw_text heard, said;
};

static struct provider {
    struct pollfd polls[CHANNEL_COUNT_HERE + 1 + LINKS_MAX]; /* listeners, results, links */
    struct link links[LINKS_MAX];
    uint32_t count;
    bool good; /* it answers as it should; else by turns */
    bool deaf;
    unsigned how;
    const uint8_t *turn, *end; /* NULL: the last turn is over */
} provider;

static struct cw_channels *channels;
static struct cw_channel_port port;
static char urls[CHANNEL_COUNT_HERE][64];
static char large[LARGE_BYTES];

/* ---- the provider ---- */

static void end_link(struct link *link)
{
    if (link->fd >= 0) {
        (void)close(link->fd);
        link->fd = -1;
    }
}

static void say(struct link *link, const void *data, size_t bytes)
{
    size_t piece = provider.how & HOW_PIECES && !provider.good ? PIECE_BYTES : bytes;
    for (size_t at = 0; at < bytes && !link->mute;) {
        size_t part = bytes - at < piece ? bytes - at : piece;
        ssize_t sent = send(link->fd, (const char *)data + at, part, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent <= 0) { /* it is gone, which is told once, or does not listen */
            link->reset = link->reset || errno != EAGAIN;
            link->mute = true;
            return;
        }
        cw_text_put(&link->said, (const char *)data + at, (size_t)sent);
        at += (size_t)sent;
    }
}

static void finish(struct link *link)
{
    static const struct linger at_once = {1, 0};
    link->mute = true;
    switch (provider.how & HOW_SILENT) {
    case 0: (void)shutdown(link->fd, SHUT_WR); break;
    case HOW_RESET:
        (void)setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        link->reset = true;
        end_link(link);
        break;
    case HOW_CLOSED:
        link->reset = true; /* by the system, if anything comes */
        end_link(link);
        break;
    default: break;
    }
}

static void take_turn(struct link *link)
{
    if (link->mute) {
        return;
    }
    if (provider.turn != NULL) {
        size_t left = (size_t)(provider.end - provider.turn);
        const uint8_t *stop = memchr(provider.turn, TURN_END, left);
        say(link, provider.turn, stop == NULL ? left : (size_t)(stop - provider.turn));
        provider.turn = stop == NULL ? NULL : stop + 1;
    }
    if (provider.turn == NULL) {
        finish(link);
    }
}

/* True when all of that message has arrived here. */
static bool arrived(const struct link *link, const char *key)
{
    if (link->heard.bytes == 0) {
        return false;
    }
    const char *end = link->heard.data + link->heard.bytes;
    const char *at = memmem(link->heard.data, link->heard.bytes, key, CW_POST_KEY_BYTES);
    if (at == NULL || !link->http) {
        return at != NULL && memmem(at, (size_t)(end - at), "\r\n.\r\n", 5) != NULL;
    }
    static const char length[] = "Content-Length: "; /* which follows the key */
    const char *body = memmem(at, (size_t)(end - at), "\r\n\r\n", 4);
    const char *number = memmem(at, (size_t)(end - at), length, sizeof length - 1);
    if (body == NULL) {
        return false;
    }
    CW_ASSERT(number != NULL && number < body);
    return strtoull(number + sizeof length - 1, NULL, 10) <= (unsigned long long)(end - body - 4);
}

static void answer_mail(struct link *link)
{
    struct cw_text *heard = &link->heard;
    while (link->answered < heard->bytes) {
        const char *line = heard->data + link->answered;
        const char *end = memchr(line, '\n', heard->bytes - link->answered);
        bool message = link->said.bytes > 3 &&
                       memcmp(link->said.data + link->said.bytes - 4, "go\r\n", 4) == 0;
        if (message) {
            end = memmem(line, heard->bytes - link->answered, "\r\n.\r\n", 5);
            end = end == NULL ? NULL : end + 4;
        }
        if (end == NULL) {
            return;
        }
        link->answered = (size_t)(end - heard->data) + 1;
        bool data = !message && memcmp(line, "DATA", 4) == 0;
        say(link, data ? "354 go\r\n" : "250 ok\r\n", 8);
    }
}

static void answer(struct link *link, const char *key)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    if (!provider.good) {
        take_turn(link);
    } else if (!link->http) {
        answer_mail(link);
    } else if (link->answered == 0 && arrived(link, key)) {
        link->answered = link->heard.bytes;
        say(link, ok, sizeof ok - 1);
    }
}

/* False: nothing can be heard just now. */
static bool hear(struct link *link)
{
    bool little = provider.how & HOW_LARGE && provider.turn != NULL && !provider.good;
    size_t most = little ? HEAR_LITTLE_BYTES : HEAR_BYTES;
    if (link->fd < 0) {
        return false;
    }
    ssize_t got = recv(link->fd, cw_text_room(&link->heard, most), most, MSG_DONTWAIT);
    if (got > 0) {
        link->heard.bytes += (size_t)got;
        return true;
    }
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return false;
    }
    link->reset = link->reset || got < 0;
    end_link(link);
    return false;
}

static void meet(uint32_t channel)
{
    int fd = accept(provider.polls[channel].fd, NULL, NULL);
    CW_ASSERT(fd >= 0 && provider.count < LINKS_MAX);
    int yes = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    struct link *link = &provider.links[provider.count++];
    cw_text_clear(&link->heard);
    cw_text_clear(&link->said);
    *link = (struct link){
        .fd = fd, .http = channel == CHANNEL_HTTP, .heard = link->heard, .said = link->said};
    if (!link->http && provider.good) {
        say(link, "220 hi\r\n", 8);
    } else if (!link->http) {
        take_turn(link);
    }
}

/* Waits for whatever comes, a while at most, and answers it. */
static void turn(const char *key)
{
    struct pollfd *polls = provider.polls;
    bool deaf = provider.deaf && provider.turn == NULL;
    uint32_t count = CHANNEL_COUNT_HERE + 1;
    for (uint32_t i = 0; i < provider.count; i++) {
        polls[count++] = (struct pollfd){.fd = deaf ? -1 : provider.links[i].fd, .events = POLLIN};
    }
    int ready = poll(polls, count, QUIET_MS);
    if (ready == 0 && !provider.good && provider.count > 0) {
        take_turn(&provider.links[provider.count - 1]);
    }
    uint64_t results;
    (void)!read(polls[CHANNEL_COUNT_HERE].fd, &results, sizeof results);
    for (uint32_t i = CHANNEL_COUNT_HERE + 1; i < count && ready > 0; i++) {
        struct link *link = &provider.links[i - CHANNEL_COUNT_HERE - 1];
        if (polls[i].revents != 0 && hear(link)) {
            answer(link, key);
        }
    }
    for (uint32_t i = 0; i < CHANNEL_COUNT_HERE && ready > 0; i++) {
        if (polls[i].revents != 0) {
            meet(i);
        }
    }
}

/* ---- messages ---- */

static void open_listener(uint32_t channel, const char *scheme)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    int little = HEAR_LITTLE_BYTES; /* here, and there: a large message has to wait */
    int segment = SEGMENT_BYTES;
    CW_ASSERT(fd >= 0);
    CW_ASSERT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &little, sizeof little) == 0);
    CW_ASSERT(setsockopt(fd, IPPROTO_TCP, TCP_MAXSEG, &segment, sizeof segment) == 0);
    CW_ASSERT(bind(fd, (struct sockaddr *)&address, bytes) == 0 && listen(fd, LINKS_MAX) == 0);
    CW_ASSERT(getsockname(fd, (struct sockaddr *)&address, &bytes) == 0);
    provider.polls[channel] = (struct pollfd){.fd = fd, .events = POLLIN};
    (void)snprintf(urls[channel], sizeof urls[channel], "%s://127.0.0.1:%u/", scheme,
                   ntohs(address.sin_port));
}

static void on_result(void *self, uint32_t shard)
{
    struct pollfd *results = self;
    uint64_t one = 1;
    (void)shard;
    CW_ASSERT(write(results->fd, &one, sizeof one) == sizeof one);
}

/* Once: where the provider listens. */
static void listen_here(void)
{
    open_listener(CHANNEL_SMTP, "smtp");
    open_listener(CHANNEL_HTTP, "http");
    struct pollfd *results = &provider.polls[CHANNEL_COUNT_HERE];
    *results = (struct pollfd){.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), .events = POLLIN};
    CW_ASSERT(results->fd >= 0);
    memset(large, 'a', sizeof large);
    for (size_t i = 64; i < sizeof large; i += 64) {
        large[i] = '\n';
    }
}

/* Anew for each input, so that neither what it finds nor what leaks is of the one before. */
static void open_channels(void)
{
    struct cw_fault fault;
    struct cw_channel_options rows[] = {
        [CHANNEL_SMTP] = {.name = CW_VIEW("email"), .type = CW_CHANNEL_SMTP},
        [CHANNEL_HTTP] = {.name = CW_VIEW("push"), .type = CW_CHANNEL_WEBHOOK}};
    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        rows[i].url = (struct cw_view){urls[i], (uint32_t)strlen(urls[i])};
        rows[i].from = CW_VIEW("Shop <shop@example.com>");
        rows[i].host_name = CW_VIEW("shop.example");
        rows[i].timeout_ms = TIMEOUT_MS;
        rows[i].under_way_max = 1;
        rows[i].queue_max = SHARDS;
    }
    rows[CHANNEL_HTTP].secret = CW_VIEW("whsec_c2VjcmV0IHNlY3JldCBzZWNyZXQ=");
    cw_err err = cw_channels_open(&channels, rows, CW_COUNTOF(rows), SHARDS, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    port = cw_channels_port(channels);
    cw_channels_on_result(channels, on_result, &provider.polls[CHANNEL_COUNT_HERE]);
}

static uint64_t now_ms(void)
{
    return cw_clock_monotonic_ns() / 1000000u;
}

static void nap(long ms)
{
    (void)nanosleep(&(struct timespec){0, ms * 1000000}, NULL);
}

/* Posts a message, and is its provider until there is a result. */
static struct cw_post_result deliver(bool good)
{
    static uint32_t number;
    uint32_t shard = provider.how & HOW_SHARD ? 1 : 0;
    uint32_t channel = provider.how & HOW_HTTP ? CHANNEL_HTTP : CHANNEL_SMTP;
    bool is_large = provider.how & HOW_LARGE && !good;
    struct cw_post post = {.shard = shard,
                           .attempt = 1,
                           .kind = CW_VIEW("email"),
                           .to = CW_VIEW("ada@example.com"),
                           .subject = CW_VIEW("Your cart"),
                           .text = is_large ? (struct cw_view){large, sizeof large}
                                            : CW_VIEW("hello\r\n.\r\n"),
                           .now_ms = 1768754700123};
    char key[CW_POST_KEY_BYTES + 1];
    (void)snprintf(key, sizeof key, "%0*u", (int)CW_POST_KEY_BYTES, ++number);
    memcpy(post.key, key, sizeof post.key);
    provider.good = good;
    provider.deaf = provider.how & HOW_DEAF && !good;
    CW_ASSERT(cw_channel_post_now(&port, channel, &post));
    struct cw_post_result result;
    uint64_t until_ms = now_ms() + PATIENCE_MS;
    while (!port.result(port.self, shard, &result)) {
        CW_ASSERT(now_ms() < until_ms);
        turn(post.key);
    }
    provider.deaf = false;
    CW_ASSERT(memcmp(result.key, post.key, sizeof post.key) == 0 && result.shard == shard);
    for (uint32_t i = 0; i < SHARDS; i++) {
        struct cw_post_result second;
        CW_ASSERT(!port.result(port.self, i, &second));
    }
    return result;
}

/* True while a message that was sent has not arrived on any connection. */
static bool some_missing(const struct cw_post_result *results, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bool whole = results[i].outcome != CW_POSTED_SENT;
        for (uint32_t k = 0; k < provider.count && !whole; k++) {
            whole = arrived(&provider.links[k], results[i].key);
        }
        if (!whole) {
            return true;
        }
    }
    return false;
}

/* Hears all that is still on its way; then there is no connection. */
static void hang_up(const struct cw_post_result *results, uint32_t count)
{
    uint64_t until_ms = now_ms() + PATIENCE_MS;
    for (uint32_t i = 0; i < provider.count; i++) {
        if (provider.links[i].fd >= 0) {
            (void)shutdown(provider.links[i].fd, SHUT_WR);
        }
    }
    for (bool more = true; more;) {
        more = false;
        for (uint32_t i = 0; i < provider.count; i++) {
            struct link *link = &provider.links[i];
            while (hear(link)) {
            }
            /* A mail's connection is closed there once its end is seen; libcurl keeps others. */
            more = more || (link->fd >= 0 && (!link->http || some_missing(results, count)));
        }
        CW_ASSERT(now_ms() < until_ms);
        if (more) {
            nap(1);
        }
    }
    for (uint32_t i = 0; i < provider.count; i++) {
        end_link(&provider.links[i]);
    }
}

/* A provider that makes no mistake; on a machine that is busy it may still be late. */
static void deliver_well(void)
{
    uint64_t until_ms = now_ms() + PATIENCE_MS;
    for (;;) {
        struct cw_post_result result = deliver(true);
        if (result.outcome == CW_POSTED_SENT) {
            return;
        }
        CW_ASSERT(now_ms() < until_ms);
        hang_up(NULL, 0);
        provider.count = 0;
        nap(result.untried ? 100 : 1);
    }
}

/* ---- what must hold ---- */

/* True when lines were said that begin so, in this order. */
static bool said_lines(const struct link *link, const char *const *begins, uint32_t count)
{
    const char *at = link->said.data;
    size_t left = link->said.bytes;
    uint32_t found = 0;
    while (left > 0 && found < count) {
        size_t bytes = strlen(begins[found]);
        found += left >= bytes && memcmp(at, begins[found], bytes) == 0;
        const char *feed = memchr(at, '\n', left);
        size_t line = feed == NULL ? left : (size_t)(feed - at) + 1;
        at += line;
        left -= line;
    }
    return found == count;
}

static bool said_line(const struct link *link, const char *begin)
{
    return said_lines(link, &begin, 1);
}

/* True when three digits were said that begin so: libcurl drops what comes behind the answer to its
   EHLO in one piece with it, so the answer to MAIL may begin within a line. */
static bool said_code(const struct link *link, char begin)
{
    for (size_t i = 0; i + 2 < link->said.bytes; i++) {
        const char *at = link->said.data + i;
        if (at[0] == begin && at[1] >= '0' && at[1] <= '9' && at[2] >= '0' && at[2] <= '9') {
            return true;
        }
    }
    return false;
}

static void judge_mail(const struct cw_post_result *result)
{
    static const char *const taken[] = {"3", "2"};
    bool whole = false;
    bool lost = false;
    bool sent = false;
    bool refused = false;
    bool going = false;
    for (uint32_t i = 0; i < provider.count; i++) {
        const struct link *link = &provider.links[i];
        bool has = arrived(link, result->key);
        bool not_now = said_line(link, "4") || said_line(link, "530") || said_line(link, "535") ||
                       said_line(link, "538");
        whole = whole || has;
        lost = lost || link->reset;
        sent = sent || (said_lines(link, taken, 2) && (has || link->reset));
        refused = refused || said_code(link, '5');
        going = going || said_line(link, "3");
        /* What it has, and has not put off, must not be sent again. */
        CW_ASSERT(result->outcome != CW_POSTED_LATER || !has || not_now);
    }
    switch (result->outcome) {
    case CW_POSTED_SENT: CW_ASSERT(sent); break;
    case CW_POSTED_REFUSED: CW_ASSERT(refused); break;
    case CW_POSTED_LATER: break;
    case CW_POSTED_UNKNOWN: CW_ASSERT(going && (whole || lost)); break;
    }
}

/* True when a status of one of these classes was said; generous, since libcurl reads it. */
static bool said_status(const struct link *link, const char *classes)
{
    for (size_t i = 0; i + 9 < link->said.bytes; i++) {
        const char *at = link->said.data + i;
        const char *end = link->said.data + link->said.bytes;
        if (strncasecmp(at, "HTTP/1.", 7) == 0) {
            for (at += 8; at < end && *at == ' '; at++) {
            }
            if (at < end && memchr(classes, *at, strlen(classes)) != NULL) {
                return true;
            }
        }
    }
    return false;
}

static void judge_web(const struct cw_post_result *result)
{
    bool whole = false;
    bool sent = false;
    bool refused = false;
    bool later = false;
    for (uint32_t i = 0; i < provider.count; i++) {
        const struct link *link = &provider.links[i];
        bool has = arrived(link, result->key);
        whole = whole || has;
        sent = sent || (said_status(link, "2") && (has || link->reset));
        refused = refused || said_status(link, "346789");
        later = later || said_status(link, "45");
    }
    switch (result->outcome) {
    case CW_POSTED_SENT: CW_ASSERT(sent); break;
    case CW_POSTED_REFUSED: CW_ASSERT(refused); break;
    case CW_POSTED_LATER: CW_ASSERT(!whole || later); break;
    case CW_POSTED_UNKNOWN: break; /* libcurl may have kept the end of it */
    }
}

static void judge(const struct cw_post_result *result)
{
    CW_ASSERT(result->outcome <= CW_POSTED_UNKNOWN && !result->untried);
    CW_ASSERT(result->retry_after_s <= 86400);
    CW_ASSERT(result->retry_after_s == 0 || result->outcome == CW_POSTED_LATER);
    size_t bytes = strnlen(result->reason, sizeof result->reason);
    CW_ASSERT(bytes < sizeof result->reason);
    CW_ASSERT((bytes == 0) == (result->outcome == CW_POSTED_SENT));
    for (size_t i = 0; i < bytes; i++) {
        CW_ASSERT(result->reason[i] >= ' ' && result->reason[i] <= '~');
    }
    if (provider.how & HOW_HTTP) {
        judge_web(result);
    } else {
        judge_mail(result);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cw_post_result results[MESSAGES_MAX];
    uint32_t count = 0;
    if (size < 1) {
        return 0;
    }
    if (large[0] == '\0') {
        listen_here();
    }
    open_channels();
    provider.how = data[0];
    provider.turn = data + 1;
    provider.end = data + size;
    provider.count = 0;
    if (provider.how & HOW_KEPT) {
        deliver_well();
        for (uint32_t i = 0; i < provider.count; i++) { /* all of it was heard there */
            cw_text_clear(&provider.links[i].said);
        }
    }
    do {
        results[count++] = deliver(false);
    } while (provider.turn != NULL && count < MESSAGES_MAX);
    hang_up(results, count);
    for (uint32_t i = 0; i < count; i++) {
        judge(&results[i]);
    }
    provider.count = 0;
    deliver_well();
    hang_up(NULL, 0);
    cw_channels_close(channels);
    return 0;
}
