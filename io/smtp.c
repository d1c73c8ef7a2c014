/*
 * SMTP (RFC 5321). libcurl connects, encrypts, greets and authenticates; the message itself is our
 * dialogue on its connection (CURLOPT_CONNECT_ONLY), because libcurl 7.88
 *
 *   - waits in place, everything else standing still, for the answer to the end of a message and to
 *     QUIT (github.com/curl/curl/issues/8555), which a provider may take half a minute over;
 *   - puts addresses into commands without a look at their bytes;
 *   - does not tell whether the end of a message had left when a connection broke, which is just
 *     the difference between "try again" and "nobody knows".
 *
 * Every attempt keeps one connection over many messages, in a multi handle of its own: in a shared
 * one libcurl closes connections that it believes nobody uses.
 *
 *   MAIL -> RCPT -> DATA -> message -> IDLE;  a refusal -> RSET -> IDLE;  421, a loss -> CLOSED
 *
 * What is known when it ends:
 *   answer 2xx to the message      SENT
 *   answer 5xx                     REFUSED (530, 535, 538: LATER, they are about us)
 *   answer 4xx                     LATER
 *   lost before the final dot left LATER: a message without its end is none
 *   lost after it                  UNKNOWN
 */
#include "core/format.h"
#include "io/channel_priv.h"
#include "io/clock.h"

enum {
    IDLE_S = 30,
    SEND_BYTES_MAX = 16384,   /* a TLS record */
    ANSWER_BYTES_MAX = 65536, /* of all its lines: more come as fast as they are read, for ever */
    THROTTLED_S = 5,          /* 454: SES's sending rate */
    SERVICE_CLOSING = 421,
    THROTTLED = 454
};

#define NS_PER_MS 1000000u
#define NEVER     UINT64_MAX

static const char *const step_words[] = {[CW_SMTP_CLOSED] = "the connection",
                                         [CW_SMTP_CONNECTING] = "the connection",
                                         [CW_SMTP_MAIL] = "MAIL FROM",
                                         [CW_SMTP_RCPT] = "RCPT TO",
                                         [CW_SMTP_DATA] = "DATA",
                                         [CW_SMTP_MESSAGE] = "the message",
                                         [CW_SMTP_RSET] = "RSET",
                                         [CW_SMTP_IDLE] = "nothing"};

static void say(struct cw_attempt *attempt, enum cw_smtp_step step, const char *before,
                const char *address, const char *after)
{
    struct cw_smtp_link *link = &attempt->smtp;
    uint32_t bytes =
        cw_format(link->command, sizeof link->command, "%s%s%s\r\n", before, address, after);
    CW_ASSERT(bytes + 1 < sizeof link->command);
    link->out = (struct cw_view){link->command, bytes};
    link->step = step;
}

void cw_smtp_hang_up(struct cw_attempt *attempt)
{
    struct cw_smtp_link *link = &attempt->smtp;
    if (link->step == CW_SMTP_CLOSED) {
        return;
    }
    if (link->step == CW_SMTP_IDLE) {
        size_t sent;
        (void)curl_easy_send(attempt->easy, "QUIT\r\n", 6, &sent); /* a courtesy */
    }
    (void)curl_multi_remove_handle(link->multi, attempt->easy); /* closes it */
    link->step = CW_SMTP_CLOSED;
    link->wait_count = 0;
    link->timer_ns = NEVER;
    link->in_bytes = link->answer_bytes = 0;
    link->out.bytes = 0;
    link->used = false;
}

/* ---- libcurl's side: up to a connection ready for mail ---- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *self, void *unused)
{
    (void)easy;
    (void)unused;
    struct cw_smtp_link *link = &((struct cw_attempt *)self)->smtp;
    uint32_t i = 0;
    while (i < link->wait_count && link->waits[i].fd != fd) {
        i++;
    }
    if (what == CURL_POLL_REMOVE) {
        if (i < link->wait_count) {
            link->waits[i] = link->waits[--link->wait_count];
        }
        return 0;
    }
    if (i == CW_SMTP_WAITS_MAX) {
        return -1;
    }
    link->wait_count += i == link->wait_count;
    int events = (what & CURL_POLL_IN ? CURL_WAIT_POLLIN : 0) |
                 (what & CURL_POLL_OUT ? CURL_WAIT_POLLOUT : 0);
    link->waits[i] = (struct curl_waitfd){.fd = fd, .events = (short)events};
    return 0;
}

static int on_timer(CURLM *multi, long wait_ms, void *self)
{
    (void)multi;
    struct cw_smtp_link *link = &((struct cw_attempt *)self)->smtp;
    link->timer_ns = wait_ms < 0 ? NEVER : cw_clock_monotonic_ns() + (uint64_t)wait_ms * NS_PER_MS;
    return 0;
}

/* Each line of the server until we take over; the last one says why there is no connection. */
static size_t on_line(char *line, size_t size, size_t count, void *self)
{
    struct cw_attempt *attempt = self;
    size_t bytes = size * count;
    size_t kept = bytes < sizeof attempt->reply ? bytes : sizeof attempt->reply;
    memcpy(attempt->reply, line, kept);
    attempt->reply_bytes = (uint32_t)kept;
    return bytes;
}

/* Passwords go over an encrypted connection, or to this machine itself. */
static bool is_local(struct cw_view url)
{
    static const char *const local[] = {"smtp://127.", "smtp://[::1]",
                                        "smtp://localhost:", "smtp://localhost/"};
    for (uint32_t i = 0; i < CW_COUNTOF(local); i++) {
        if (url.bytes >= strlen(local[i]) && memcmp(url.data, local[i], strlen(local[i])) == 0) {
            return true;
        }
    }
    return false;
}

static void smtp_set_up(struct cw_attempt *attempt)
{
    const struct cw_channel_options *options = &attempt->channel->options;
    CURL *easy = attempt->easy;
    bool encrypt = options->require_tls || (options->user.data != NULL && !is_local(options->url));
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
    (void)curl_easy_setopt(easy, CURLOPT_CONNECT_ONLY, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_USE_SSL,
                           (long)(encrypt ? CURLUSESSL_ALL : CURLUSESSL_TRY));
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_line);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, attempt);
    if (options->user.data != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_USERNAME, options->user.data);
        (void)curl_easy_setopt(easy, CURLOPT_PASSWORD,
                               options->secret.data == NULL ? "" : options->secret.data);
    }
}

/* The path of an SMTP URL is the name to greet with. */
static cw_err smtp_open(struct cw_channel *channel, struct cw_fault *fault)
{
    struct cw_channel_options *options = &channel->options;
    if (strncmp(options->url.data, "smtp://", 7) != 0 &&
        strncmp(options->url.data, "smtps://", 8) != 0) {
        return cw_fail(fault, CW_ERR_INVALID, "url: begins with neither smtp:// nor smtps://");
    }
    const char *host = strstr(options->url.data, "//") + 2;
    const char *path = strchr(host, '/');
    if (path != NULL && path[1] != '\0') {
        return CW_ERR_OK;
    }
    size_t bytes = options->url.bytes + options->host_name.bytes + 2u;
    char *url = cw_arena_alloc(&channel->channels->arena, bytes, 1);
    uint32_t used = cw_format(url, (uint32_t)bytes, "%s%s%s", options->url.data,
                              path == NULL ? "/" : "", options->host_name.data);
    options->url = (struct cw_view){url, used};
    return CW_ERR_OK;
}

static void open_multi(struct cw_attempt *attempt)
{
    struct cw_smtp_link *link = &attempt->smtp;
    link->multi = curl_multi_init();
    CW_ASSERT(link->multi != NULL); /* out of memory */
    (void)curl_multi_setopt(link->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(link->multi, CURLMOPT_SOCKETDATA, attempt);
    (void)curl_multi_setopt(link->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(link->multi, CURLMOPT_TIMERDATA, attempt);
}

static void connect_to(struct cw_attempt *attempt)
{
    struct cw_smtp_link *link = &attempt->smtp;
    if (link->multi == NULL) {
        open_multi(attempt); /* only now: it costs two descriptors */
    }
    link->step = CW_SMTP_CONNECTING;
    link->wait_count = 0;
    link->timer_ns = 0; /* at once: libcurl starts with its first call */
    attempt->reply_bytes = 0;
    attempt->error[0] = '\0';
    CURLMcode code = curl_multi_add_handle(link->multi, attempt->easy);
    CW_ASSERT(code == CURLM_OK);
}

/* ---- our side: the dialogue ---- */

static bool finish(struct cw_attempt *attempt)
{
    attempt->smtp.idle_until_ns = cw_clock_monotonic_ns() + (uint64_t)IDLE_S * 1000u * NS_PER_MS;
    return true;
}

/* The connection is gone, or useless. */
static bool lost(struct cw_attempt *attempt, const char *why, struct cw_post_result *result)
{
    struct cw_smtp_link *link = &attempt->smtp;
    enum cw_smtp_step step = link->step;
    bool handed_over = step == CW_SMTP_MESSAGE && link->out.bytes == 0;
    bool was_used = link->used;
    cw_smtp_hang_up(attempt);
    if (!attempt->busy) {
        return false;
    }
    if (was_used && !handed_over && !attempt->again) {
        attempt->again = true; /* it was only old */
        connect_to(attempt);
        return false;
    }
    attempt->reply_bytes = 0;
    if (handed_over) {
        cw_channel_result(result, CW_POSTED_UNKNOWN, attempt,
                          "%s after the end of the message, before its answer", why);
    } else {
        cw_channel_result(result, CW_POSTED_LATER, attempt, "%s at %s", why, step_words[step]);
    }
    return true;
}

/* An answer that ends the attempt. */
static bool refused(struct cw_attempt *attempt, uint32_t code, struct cw_post_result *result)
{
    struct cw_smtp_link *link = &attempt->smtp;
    enum cw_smtp_step step = link->step;
    bool whole = link->out.bytes == 0; /* else it answers before it has heard us out */
    if (code == SERVICE_CLOSING) {
        bool again = link->used && !attempt->again;
        cw_smtp_hang_up(attempt);
        if (again) { /* so many messages a connection, no more */
            attempt->again = true;
            connect_to(attempt);
            return false;
        }
    } else if (!whole) {
        cw_smtp_hang_up(attempt);
    } else if (step == CW_SMTP_MESSAGE) {
        link->step = CW_SMTP_IDLE;
    } else {
        say(attempt, CW_SMTP_RSET, "RSET", "", "");
    }
    attempt->reached = true;
    bool about_us = code == 530 || code == 535 || code == 538;
    bool final = code >= 500 && !about_us;
    cw_channel_result(result, final ? CW_POSTED_REFUSED : CW_POSTED_LATER, attempt,
                      "the server's answer to %s", step_words[step]);
    result->retry_after_s = code == THROTTLED ? THROTTLED_S : 0;
    return finish(attempt);
}

static bool on_answer(struct cw_attempt *attempt, uint32_t code, struct cw_post_result *result)
{
    struct cw_smtp_link *link = &attempt->smtp;
    bool good = code / 100 == (link->step == CW_SMTP_DATA ? 3 : 2);
    if (link->step == CW_SMTP_IDLE) {
        cw_smtp_hang_up(attempt); /* 421: it closes */
        return false;
    }
    if (link->step == CW_SMTP_RSET && !good) { /* not about the message that waits */
        return lost(attempt, "RSET was refused", result);
    }
    if (code / 100 == 4 || code / 100 == 5) {
        return attempt->busy ? refused(attempt, code, result) : lost(attempt, "", result);
    }
    if (!good || link->out.bytes > 0) {
        return lost(attempt, "an answer that SMTP does not have", result);
    }
    switch (link->step) {
    case CW_SMTP_RSET:
        if (attempt->busy) {
            say(attempt, CW_SMTP_MAIL, "MAIL FROM:<", link->mail_from, ">");
        } else {
            link->step = CW_SMTP_IDLE;
        }
        return false;
    case CW_SMTP_MAIL: say(attempt, CW_SMTP_RCPT, "RCPT TO:<", link->rcpt_to, ">"); return false;
    case CW_SMTP_RCPT: say(attempt, CW_SMTP_DATA, "DATA", "", ""); return false;
    case CW_SMTP_DATA:
        link->out = (struct cw_view){attempt->wire.data, (uint32_t)attempt->wire.bytes};
        link->step = CW_SMTP_MESSAGE;
        return false;
    case CW_SMTP_MESSAGE:
        link->step = CW_SMTP_IDLE;
        attempt->reached = true;
        cw_channel_result(result, CW_POSTED_SENT, NULL, "%s", "");
        return finish(attempt);
    case CW_SMTP_CLOSED:
    case CW_SMTP_CONNECTING:
    case CW_SMTP_IDLE: break;
    }
    CW_ASSERT(false);
    return false;
}

/* Takes one whole line out of what was read; 0: none yet, 1: a line before the last, else the code.
   UINT32_MAX: not SMTP. */
static uint32_t take_line(struct cw_attempt *attempt)
{
    struct cw_smtp_link *link = &attempt->smtp;
    const char *end = memchr(link->in, '\n', link->in_bytes);
    if (end == NULL) {
        return link->in_bytes == sizeof link->in ? UINT32_MAX : 0;
    }
    uint32_t bytes = (uint32_t)(end - link->in) + 1;
    uint32_t code = 0;
    for (uint32_t i = 0; i < 3; i++) {
        if (bytes < 5 || link->in[i] < '0' || link->in[i] > '9') {
            return UINT32_MAX;
        }
        code = code * 10 + (uint32_t)(link->in[i] - '0');
    }
    bool more = link->in[3] == '-';
    memcpy(attempt->reply, link->in, bytes);
    attempt->reply_bytes = bytes;
    link->in_bytes -= bytes;
    memmove(link->in, link->in + bytes, link->in_bytes);
    link->answer_bytes = more ? link->answer_bytes + bytes : 0;
    if (link->answer_bytes > ANSWER_BYTES_MAX || code < 200) {
        return UINT32_MAX;
    }
    return more ? 1 : code;
}

/* Writes what there is to write; false: the connection is lost. */
static bool flush(struct cw_attempt *attempt)
{
    struct cw_view *out = &attempt->smtp.out;
    while (out->bytes > 0) {
        size_t sent = 0;
        size_t bytes = out->bytes < SEND_BYTES_MAX ? out->bytes : SEND_BYTES_MAX;
        CURLcode code = curl_easy_send(attempt->easy, out->data, bytes, &sent);
        if (code == CURLE_AGAIN) {
            return true;
        }
        if (code != CURLE_OK) {
            return false;
        }
        *out = (struct cw_view){out->data + sent, out->bytes - (uint32_t)sent};
    }
    return true;
}

/* As far as it goes without waiting. */
static bool converse(struct cw_attempt *attempt, struct cw_post_result *result)
{
    struct cw_smtp_link *link = &attempt->smtp;
    while (link->step > CW_SMTP_CONNECTING) {
        if (!flush(attempt)) {
            return lost(attempt, "the connection broke", result);
        }
        size_t got = 0;
        CURLcode code = curl_easy_recv(attempt->easy, link->in + link->in_bytes,
                                       sizeof link->in - link->in_bytes, &got);
        if (code == CURLE_AGAIN) {
            return false;
        }
        if (code != CURLE_OK || got == 0) {
            return lost(attempt, "the server closed the connection", result);
        }
        link->in_bytes += (uint32_t)got;
        for (uint32_t line = 1; line != 0 && link->step > CW_SMTP_CONNECTING;) {
            line = take_line(attempt);
            if (line == UINT32_MAX) {
                return lost(attempt, "an answer that is not SMTP", result);
            }
            if (line > 1 && on_answer(attempt, line, result)) {
                (void)flush(attempt); /* RSET; a loss shows at the next turn */
                return true;
            }
        }
    }
    return false;
}

static bool smtp_make(struct cw_attempt *attempt, const struct cw_post *post,
                      struct cw_post_result *result)
{
    struct cw_mime *mime = &attempt->channel->mime;
    if (!cw_mime_write(mime, post, &attempt->wire)) {
        cw_channel_result(result, CW_POSTED_REFUSED, NULL, "%s", mime->reason);
        return true;
    }
    if (!cw_mime_sound((struct cw_view){attempt->wire.data, (uint32_t)attempt->wire.bytes})) {
        cw_channel_result(result, CW_POSTED_REFUSED, NULL, "the message cannot be written down");
        return true;
    }
    cw_text_puts(&attempt->wire, ".\r\n");
    memcpy(attempt->smtp.mail_from, mime->mail_from, sizeof mime->mail_from);
    memcpy(attempt->smtp.rcpt_to, mime->rcpt_to, sizeof mime->rcpt_to);
    return false;
}

static bool smtp_start(struct cw_attempt *attempt, struct cw_post_result *result)
{
    struct cw_smtp_link *link = &attempt->smtp;
    attempt->deadline_ns =
        cw_clock_monotonic_ns() + (uint64_t)attempt->channel->options.timeout_ms * NS_PER_MS;
    if (link->step == CW_SMTP_CLOSED) {
        connect_to(attempt);
        return false;
    }
    link->used = true;
    if (link->in_bytes > 0) {
        return lost(attempt, "an answer to nothing", result); /* begins anew */
    }
    if (link->step == CW_SMTP_IDLE) {
        say(attempt, CW_SMTP_MAIL, "MAIL FROM:<", link->mail_from, ">");
    }
    return converse(attempt, result);
}

static bool smtp_done(struct cw_attempt *attempt, CURLcode code, struct cw_post_result *result)
{
    struct cw_smtp_link *link = &attempt->smtp;
    if (code == CURLE_OK &&
        curl_easy_getinfo(attempt->easy, CURLINFO_ACTIVESOCKET, &link->socket) == CURLE_OK &&
        link->socket != CURL_SOCKET_BAD) {
        say(attempt, CW_SMTP_MAIL, "MAIL FROM:<", link->mail_from, ">");
        return converse(attempt, result);
    }
    cw_smtp_hang_up(attempt);
    cw_channel_result(result, CW_POSTED_LATER, attempt, "no connection: %s",
                      attempt->error[0] != '\0' ? attempt->error : curl_easy_strerror(code));
    return true;
}

static void smtp_give_up(struct cw_attempt *attempt, const char *why, struct cw_post_result *result)
{
    attempt->again = true;
    bool settled = lost(attempt, why, result);
    CW_ASSERT(settled);
}

uint32_t cw_smtp_waits(const struct cw_attempt *attempt, struct curl_waitfd *waits,
                       uint64_t *until_ns)
{
    const struct cw_smtp_link *link = &attempt->smtp;
    if (link->step == CW_SMTP_CLOSED) {
        return 0;
    }
    uint64_t until = attempt->busy ? attempt->deadline_ns : link->idle_until_ns;
    if (link->step == CW_SMTP_CONNECTING) {
        until = until < link->timer_ns ? until : link->timer_ns;
        memcpy(waits, link->waits, link->wait_count * sizeof *waits);
    } else {
        short events =
            (short)(link->out.bytes > 0 ? CURL_WAIT_POLLIN | CURL_WAIT_POLLOUT : CURL_WAIT_POLLIN);
        waits[0] = (struct curl_waitfd){.fd = link->socket, .events = events};
    }
    *until_ns = until < *until_ns ? until : *until_ns;
    return link->step == CW_SMTP_CONNECTING ? link->wait_count : 1;
}

/* Turns libcurl's crank while it connects. */
static bool connecting(struct cw_attempt *attempt, const struct curl_waitfd *waits, uint32_t count,
                       struct cw_post_result *result)
{
    struct cw_smtp_link *link = &attempt->smtp;
    int running = 0;
    for (uint32_t i = 0; i < count; i++) {
        int events = (waits[i].revents & CURL_WAIT_POLLIN ? CURL_CSELECT_IN : 0) |
                     (waits[i].revents & CURL_WAIT_POLLOUT ? CURL_CSELECT_OUT : 0);
        if (events != 0) {
            (void)curl_multi_socket_action(link->multi, waits[i].fd, events, &running);
        }
    }
    if (cw_clock_monotonic_ns() >= link->timer_ns) {
        link->timer_ns = NEVER;
        (void)curl_multi_socket_action(link->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    }
    int left;
    for (const CURLMsg *message; (message = curl_multi_info_read(link->multi, &left)) != NULL;) {
        if (message->msg == CURLMSG_DONE) {
            return smtp_done(attempt, message->data.result, result);
        }
    }
    return false;
}

bool cw_smtp_pump(struct cw_attempt *attempt, const struct curl_waitfd *waits, uint32_t count,
                  struct cw_post_result *result)
{
    struct cw_smtp_link *link = &attempt->smtp;
    if (link->step == CW_SMTP_CLOSED) {
        return false;
    }
    if (link->step == CW_SMTP_CONNECTING) {
        if (connecting(attempt, waits, count, result)) {
            return true;
        }
    } else if (count > 0 && waits[0].revents != 0 && converse(attempt, result)) {
        return true;
    }
    uint64_t now_ns = cw_clock_monotonic_ns();
    if (attempt->busy && now_ns >= attempt->deadline_ns) {
        smtp_give_up(attempt, "no answer in time", result);
        return true;
    }
    if (!attempt->busy && link->step > CW_SMTP_CONNECTING && now_ns >= link->idle_until_ns) {
        cw_smtp_hang_up(attempt);
    }
    return false;
}

const struct cw_way cw_way_smtp = {.network = true,
                                   .open = smtp_open,
                                   .set_up = smtp_set_up,
                                   .make = smtp_make,
                                   .start = smtp_start,
                                   .done = smtp_done,
                                   .give_up = smtp_give_up};
