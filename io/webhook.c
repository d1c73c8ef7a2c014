/*
 * Webhooks: POST of JSON, signed as Standard Webhooks do: HMAC-SHA256 over "id.timestamp.body",
 * base64, in `webhook-signature: v1,...`. The key of the message is webhook-id and Idempotency-Key,
 * the same for all its attempts, which is why a doubtful one may be repeated.
 *
 * No redirects, no proxy of the environment, HTTP/1.1, https unless the URL says http.
 */
#include "core/format.h"
#include "io/channel_priv.h"
#include "io/clock.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <strings.h>

enum {
    RETRY_AFTER_S_MAX = 86400,
    IDLE_S = 4, /* a connection that rested longer is not used again: by then its server may have
                   closed it, or said so (408) what would pass for the next message's answer */
    ANSWER_BYTES_MAX = 65536, /* read and thrown away, so that the connection can be kept */
    SIGNATURE_BYTES = 64      /* "v1," and 44 bytes of base64 */
};

static size_t on_answer(char *data, size_t size, size_t count, void *self)
{
    struct cw_attempt *attempt = self;
    size_t bytes = size * count;
    size_t room = sizeof attempt->reply - attempt->reply_bytes;
    size_t kept = bytes < room ? bytes : room;
    memcpy(attempt->reply + attempt->reply_bytes, data, kept);
    attempt->reply_bytes += (uint32_t)kept;
    attempt->answer_bytes += bytes;
    return attempt->answer_bytes > ANSWER_BYTES_MAX ? 0 : bytes;
}

/* libcurl 7.88 takes a first line that begins as HTTP's but is none, such as "http/1.1 500", for
   status 200: only what the line says too is believed. */
static size_t on_header(char *line, size_t size, size_t count, void *self)
{
    struct cw_attempt *attempt = self;
    size_t bytes = size * count;
    if (bytes < 5 || strncasecmp(line, "HTTP/", 5) != 0) {
        return bytes;
    }
    size_t at = bytes > 8 && line[5] == '1' && line[6] == '.' && line[8] == ' ' ? 9 : bytes;
    while (at < bytes && line[at] == ' ') {
        at++;
    }
    attempt->stated = 0;
    for (size_t end = at + 3; at < bytes && at < end && line[at] >= '0' && line[at] <= '9'; at++) {
        attempt->stated = attempt->stated * 10 + (line[at] - '0');
    }
    return bytes;
}

static size_t on_read(char *room, size_t size, size_t count, void *self)
{
    struct cw_attempt *attempt = self;
    size_t left = attempt->wire.bytes - attempt->sent;
    size_t bytes = size * count < left ? size * count : left;
    memcpy(room, attempt->wire.data + attempt->sent, bytes);
    attempt->sent += bytes;
    return bytes;
}

/* libcurl sends anew, by itself, what a kept connection died with. Only what cannot have arrived
   may go so: of the rest nobody would know that it went twice. */
static int on_seek(void *self, curl_off_t offset, int origin)
{
    struct cw_attempt *attempt = self;
    if (origin != SEEK_SET || offset < 0 || (uint64_t)offset > attempt->wire.bytes ||
        attempt->sent == attempt->wire.bytes) {
        return CURL_SEEKFUNC_FAIL;
    }
    attempt->sent = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static void webhook_set_up(struct cw_attempt *attempt)
{
    const struct cw_channel_options *options = &attempt->channel->options;
    CURL *easy = attempt->easy;
    (void)curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    (void)curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, (long)IDLE_S);
    (void)curl_easy_setopt(easy, CURLOPT_POST, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_USERAGENT, "cartwheel");
    (void)curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)options->timeout_ms);
    (void)curl_easy_setopt(easy, CURLOPT_MAXFILESIZE, (long)ANSWER_BYTES_MAX);
    (void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
    (void)curl_easy_setopt(easy, CURLOPT_READDATA, attempt);
    (void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
    (void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, attempt);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, attempt);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_answer);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, attempt);
}

/* whsec_ and base64, or the bytes themselves. */
static cw_err open_secret(struct cw_channel *channel, struct cw_fault *fault)
{
    struct cw_view secret = channel->options.secret;
    channel->signing = secret;
    if (secret.bytes < 6 || memcmp(secret.data, "whsec_", 6) != 0) {
        return CW_ERR_OK;
    }
    uint32_t bytes = secret.bytes - 6;
    char *raw = cw_arena_alloc(&channel->channels->arena, bytes + 1u, 1);
    channel->secrets[1] = raw;
    channel->secret_bytes[1] = bytes / 4 * 3;
    int decoded =
        bytes == 0 ? -1
                   : EVP_DecodeBlock((uint8_t *)raw, (const uint8_t *)secret.data + 6, (int)bytes);
    if (decoded <= 0) {
        return cw_fail(fault, CW_ERR_INVALID, "secret: what follows whsec_ is not base64");
    }
    uint32_t padding = (uint32_t)(secret.data[secret.bytes - 1] == '=') +
                       (uint32_t)(secret.data[secret.bytes - 2] == '=');
    channel->signing = (struct cw_view){raw, (uint32_t)decoded - padding};
    return CW_ERR_OK;
}

static cw_err webhook_open(struct cw_channel *channel, struct cw_fault *fault)
{
    const struct cw_channel_options *options = &channel->options;
    if (strncmp(options->url.data, "https://", 8) != 0 &&
        strncmp(options->url.data, "http://", 7) != 0) {
        return cw_fail(fault, CW_ERR_INVALID, "url: begins with neither https:// nor http://");
    }
    if (options->user.data != NULL) {
        return cw_fail(fault, CW_ERR_INVALID, "user: a webhook has none, only a secret");
    }
    return open_secret(channel, fault);
}

static void sign(struct cw_attempt *attempt, const char *timestamp, char out[SIGNATURE_BYTES])
{
    struct cw_view secret = attempt->channel->signing;
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned int mac_bytes = 0;
    struct cw_text *text = &attempt->channel->channels->scratch;
    cw_text_clear(text);
    cw_text_printf(text, "%.*s.%s.", (int)CW_POST_KEY_BYTES, attempt->key, timestamp);
    cw_text_put(text, attempt->wire.data, attempt->wire.bytes);
    const uint8_t *done = HMAC(EVP_sha256(), secret.data, (int)secret.bytes,
                               (const uint8_t *)text->data, text->bytes, mac, &mac_bytes);
    CW_ASSERT(done != NULL && mac_bytes == 32);
    out[0] = 'v';
    out[1] = '1';
    out[2] = ',';
    (void)EVP_EncodeBlock((uint8_t *)out + 3, mac, (int)mac_bytes); /* ends with NUL */
}

static void put_header(struct cw_attempt *attempt, const char *name, const char *value,
                       uint32_t value_bytes)
{
    char line[128];
    uint32_t used = cw_format(line, sizeof line, "%s: %.*s", name, (int)value_bytes, value);
    CW_ASSERT(used + 1 < sizeof line);
    struct curl_slist *list = curl_slist_append(attempt->headers, line);
    CW_ASSERT(list != NULL);
    attempt->headers = list;
}

static bool webhook_make(struct cw_attempt *attempt, const struct cw_post *post,
                         struct cw_post_result *result)
{
    struct cw_channel *channel = attempt->channel;
    if (!cw_mime_key(post->key)) {
        cw_channel_result(result, CW_POSTED_REFUSED, NULL,
                          "the message's key holds more than letters and digits");
        return true;
    }
    cw_post_json(&attempt->wire, &channel->channels->scratch, post, channel->options.from);
    char timestamp[24];
    uint32_t bytes =
        cw_format(timestamp, sizeof timestamp, "%lld", (long long)(cw_clock_wall_ms() / 1000));
    curl_slist_free_all(attempt->headers);
    attempt->headers = NULL;
    put_header(attempt, "Content-Type", "application/json", 16);
    put_header(attempt, "Expect", "", 0); /* as libcurl understands: none */
    put_header(attempt, "webhook-id", attempt->key, CW_POST_KEY_BYTES);
    put_header(attempt, "webhook-timestamp", timestamp, bytes);
    put_header(attempt, "Idempotency-Key", attempt->key, CW_POST_KEY_BYTES);
    if (channel->signing.data != NULL) {
        char signature[SIGNATURE_BYTES];
        sign(attempt, timestamp, signature);
        put_header(attempt, "webhook-signature", signature, (uint32_t)strlen(signature));
    }
    (void)curl_easy_setopt(attempt->easy, CURLOPT_HTTPHEADER, attempt->headers);
    (void)curl_easy_setopt(attempt->easy, CURLOPT_POSTFIELDSIZE_LARGE,
                           (curl_off_t)attempt->wire.bytes);
    return false;
}

static bool webhook_start(struct cw_attempt *attempt, struct cw_post_result *result)
{
    (void)result;
    attempt->deadline_ns = UINT64_MAX; /* libcurl keeps the time */
    attempt->answer_bytes = 0;
    attempt->stated = 0;
    CURLMcode code = curl_multi_add_handle(attempt->channel->channels->multi, attempt->easy);
    CW_ASSERT(code == CURLM_OK);
    return false;
}

/* True when the system has all of the body. */
static bool has_left(const struct cw_attempt *attempt)
{
    curl_off_t bytes = 0;
    return curl_easy_getinfo(attempt->easy, CURLINFO_SIZE_UPLOAD_T, &bytes) == CURLE_OK &&
           (uint64_t)bytes == attempt->wire.bytes;
}

static void judge(struct cw_attempt *attempt, long status, struct cw_post_result *result)
{
    attempt->reached = true;
    if (status / 100 == 2 && has_left(attempt)) {
        cw_channel_result(result, CW_POSTED_SENT, NULL, "%s", "");
        return;
    }
    if (status / 100 == 2) { /* what of it was taken, if it does not have all? */
        cw_channel_result(result, CW_POSTED_UNKNOWN, attempt,
                          "HTTP %ld before it had the whole message", status);
        return;
    }
    bool later = status == 408 || status == 429 || status / 100 == 5;
    cw_channel_result(
        result, later ? CW_POSTED_LATER : CW_POSTED_REFUSED, attempt,
        status / 100 == 3 ? "HTTP %ld, a redirect, which is not followed" : "HTTP %ld", status);
    curl_off_t wait_s = 0;
    if (later && curl_easy_getinfo(attempt->easy, CURLINFO_RETRY_AFTER, &wait_s) == CURLE_OK &&
        wait_s > 0) {
        result->retry_after_s = (uint32_t)(wait_s < RETRY_AFTER_S_MAX ? wait_s : RETRY_AFTER_S_MAX);
    }
}

static bool webhook_done(struct cw_attempt *attempt, CURLcode code, struct cw_post_result *result)
{
    long status = 0;
    (void)curl_easy_getinfo(attempt->easy, CURLINFO_RESPONSE_CODE, &status);
    (void)curl_multi_remove_handle(attempt->channel->channels->multi, attempt->easy);
    const char *why = attempt->error[0] != '\0' ? attempt->error
                      : code == CURLE_OK        ? "an answer that is not HTTP"
                                                : curl_easy_strerror(code);
    if (status >= 200 && status == attempt->stated) { /* whatever became of the answer's body */
        judge(attempt, status, result);
        return true;
    }
    attempt->reply_bytes = 0;
    bool handed_over = attempt->sent == attempt->wire.bytes;
    cw_channel_result(result, handed_over ? CW_POSTED_UNKNOWN : CW_POSTED_LATER, attempt, "%s",
                      why);
    return true;
}

static void webhook_give_up(struct cw_attempt *attempt, const char *why,
                            struct cw_post_result *result)
{
    (void)cw_format(attempt->error, sizeof attempt->error, "%s", why);
    (void)webhook_done(attempt, CURLE_ABORTED_BY_CALLBACK, result);
}

const struct cw_way cw_way_webhook = {.network = true,
                                      .collapses = true,
                                      .open = webhook_open,
                                      .set_up = webhook_set_up,
                                      .make = webhook_make,
                                      .start = webhook_start,
                                      .done = webhook_done,
                                      .give_up = webhook_give_up};
