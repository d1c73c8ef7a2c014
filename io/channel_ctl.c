#define _GNU_SOURCE 1 /* NOLINT(bugprone-reserved-identifier,readability-identifier-naming) */
#include "core/format.h"
#include "io/channel.h"
#include "io/channel_priv.h"
#include "io/clock.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    UNDER_WAY_MAX = 4096,
    QUEUE_MAX = 1 << 16,
    TIMEOUT_MS_MAX = 600000,
    MESSAGE_BYTES_USUAL = 16384, /* what a queue's bytes are reckoned with */
    LANE_BYTES_MIN = 8 << 20,    /* twice the largest message, see io/parcels.h */
    LANE_BYTES_MAX = 256 << 20
};

static_assert(LANE_BYTES_MIN / 2 > CW_CHANNEL_MESSAGE_BYTES, "the largest message has room");

static const struct cw_way *const ways[CW_CHANNEL_TYPE_COUNT] = {
    [CW_CHANNEL_OUTBOX] = &cw_way_outbox,
    [CW_CHANNEL_SMTP] = &cw_way_smtp,
    [CW_CHANNEL_WEBHOOK] = &cw_way_webhook};

/* ---- options ---- */

static void keep(struct cw_arena *arena, struct cw_view *view)
{
    if (view->data != NULL) {
        *view = cw_arena_copy(arena, *view);
    }
}

static void copy_options(struct cw_channel *channel, const struct cw_channel_options *options)
{
    struct cw_arena *arena = &channel->channels->arena;
    channel->options = *options;
    struct cw_channel_options *o = &channel->options;
    struct cw_view *const texts[] = {&o->name,      &o->url,       &o->user,   &o->from,
                                     &o->directory, &o->host_name, &o->ca_file};
    for (uint32_t i = 0; i < CW_COUNTOF(texts); i++) {
        keep(arena, texts[i]);
    }
    if (o->secret.data != NULL) {
        char *copy = cw_arena_alloc(arena, o->secret.bytes + (size_t)1, 1);
        memcpy(copy, o->secret.data, o->secret.bytes);
        copy[o->secret.bytes] = '\0';
        o->secret.data = channel->secrets[0] = copy;
        channel->secret_bytes[0] = o->secret.bytes;
    }
    if (o->host_name.bytes == 0) {
        char host[256] = "";
        (void)gethostname(host, sizeof host - 1);
        struct cw_view here = {host, (uint32_t)strlen(host)};
        o->host_name = cw_host_problem(here) == NULL ? here : CW_VIEW("localhost");
        keep(arena, &o->host_name);
    }
    o->timeout_ms = o->timeout_ms == 0 ? 30000 : o->timeout_ms;
    o->under_way_max = o->under_way_max == 0 ? 64 : o->under_way_max;
    o->queue_max = o->queue_max == 0 ? 4096 : o->queue_max;
}

static cw_err check_url(struct cw_view url, struct cw_fault *fault)
{
    if (url.bytes == 0) {
        return cw_fail(fault, CW_ERR_INVALID, "url: missing");
    }
    CURLU *parsed = curl_url();
    CW_ASSERT(parsed != NULL);
    char *part = NULL;
    const char *problem = NULL;
    for (uint32_t i = 0; i < url.bytes && problem == NULL; i++) {
        problem =
            url.data[i] <= ' ' || url.data[i] > '~' ? "holds a blank or control character" : NULL;
    }
    if (problem == NULL && curl_url_set(parsed, CURLUPART_URL, url.data, 0) != CURLUE_OK) {
        problem = "is not one";
    }
    if (problem == NULL && curl_url_get(parsed, CURLUPART_USER, &part, 0) == CURLUE_OK) {
        problem = "holds a user; user and secret are options of their own";
        curl_free(part);
    }
    curl_url_cleanup(parsed);
    return problem == NULL ? CW_ERR_OK : cw_fail(fault, CW_ERR_INVALID, "url: %s", problem);
}

static cw_err check_options(const struct cw_channel *channel, struct cw_fault *fault)
{
    const struct cw_channel_options *o = &channel->options;
    const char *problem = cw_host_problem(o->host_name);
    if (problem != NULL) {
        return cw_fail(fault, CW_ERR_INVALID, "host_name: %s", problem);
    }
    struct cw_mailbox from;
    /* An outbox may be of a channel whose sender is a telephone number. */
    bool mail = o->from.bytes > 0 &&
                (o->type == CW_CHANNEL_SMTP ||
                 (o->type == CW_CHANNEL_OUTBOX && memchr(o->from.data, '@', o->from.bytes)));
    if (mail && (problem = cw_mailbox_parse(o->from, &from)) != NULL) {
        return cw_fail(fault, CW_ERR_INVALID, "from: %s", problem);
    }
    if (o->user.data != NULL && strlen(o->user.data) != o->user.bytes) {
        return cw_fail(fault, CW_ERR_INVALID, "user: holds a NUL");
    }
    if (o->under_way_max > UNDER_WAY_MAX || o->queue_max > QUEUE_MAX ||
        o->timeout_ms > TIMEOUT_MS_MAX) {
        return cw_fail(fault, CW_ERR_LIMIT,
                       "at most %d under way, %d queued, %d milliseconds an attempt", UNDER_WAY_MAX,
                       QUEUE_MAX, TIMEOUT_MS_MAX);
    }
    return channel->way->network ? check_url(o->url, fault) : CW_ERR_OK;
}

/* ---- opening ---- */

static uint32_t power_of_two(uint64_t at_least)
{
    uint64_t size = 64;
    while (size < at_least) {
        size *= 2;
    }
    CW_ASSERT(size <= (1u << 31));
    return (uint32_t)size;
}

static void open_lanes(struct cw_channel *channel, uint32_t shards)
{
    struct cw_arena *arena = &channel->channels->arena;
    channel->lanes = cw_arena_zalloc(arena, shards * sizeof *channel->lanes, CW_CACHE_LINE);
    channel->lane_max = (channel->options.queue_max + shards - 1) / shards;
    channel->outstanding_max = channel->lane_max + channel->options.under_way_max;
    uint64_t bytes = (uint64_t)channel->lane_max * MESSAGE_BYTES_USUAL;
    bytes = bytes < LANE_BYTES_MIN ? LANE_BYTES_MIN : bytes;
    bytes = bytes > LANE_BYTES_MAX ? LANE_BYTES_MAX : bytes;
    for (uint32_t i = 0; i < shards; i++) {
        channel->lanes[i].posts = cw_parcels_create(arena, power_of_two(bytes));
    }
}

static void set_up_easy(struct cw_attempt *attempt)
{
    const struct cw_channel_options *options = &attempt->channel->options;
    long connect_ms =
        options->timeout_ms < CW_CHANNEL_CONNECT_MS ? options->timeout_ms : CW_CHANNEL_CONNECT_MS;
    CURL *easy = curl_easy_init();
    CW_ASSERT(easy != NULL); /* out of memory at the start */
    attempt->easy = easy;
    (void)curl_easy_setopt(easy, CURLOPT_PRIVATE, attempt);
    (void)curl_easy_setopt(easy, CURLOPT_URL, options->url.data);
    (void)curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* never wait for a name server */
    (void)curl_easy_setopt(easy, CURLOPT_PROXY, "");      /* none, whatever the environment says */
    (void)curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    (void)curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 2L);
    (void)curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    (void)curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, attempt->error);
    if (options->ca_file.data != NULL) {
        (void)curl_easy_setopt(easy, CURLOPT_CAINFO, options->ca_file.data);
        (void)curl_easy_setopt(easy, CURLOPT_CAPATH, NULL);
    }
    attempt->channel->way->set_up(attempt);
}

static void open_attempts(struct cw_channel *channel)
{
    uint32_t count = channel->options.under_way_max;
    channel->attempts =
        cw_arena_zalloc(&channel->channels->arena, count * sizeof *channel->attempts, 16);
    for (uint32_t i = count; i-- > 0;) {
        struct cw_attempt *attempt = &channel->attempts[i];
        attempt->channel = channel;
        if (channel->way->network) {
            set_up_easy(attempt);
        }
        attempt->next = channel->free;
        channel->free = attempt;
    }
}

static cw_err open_row(struct cw_channels *channels, uint32_t index,
                       const struct cw_channel_options *options, struct cw_fault *fault)
{
    struct cw_channel *channel = &channels->rows[index];
    CW_ASSERT(options->type < CW_CHANNEL_TYPE_COUNT);
    channel->channels = channels;
    channel->way = ways[options->type];
    channel->directory = -1;
    copy_options(channel, options);
    channels->count = index + 1; /* from here on close() sees it */
    cw_err err = check_options(channel, fault);
    if (err == CW_ERR_OK) {
        err = channel->way->open(channel, fault);
    }
    if (err != CW_ERR_OK) {
        return cw_fail_while(fault, "channel %.*s", (int)options->name.bytes,
                             options->name.data == NULL ? "" : options->name.data);
    }
    channel->mime.from = channel->options.from;
    channel->mime.host = channel->options.host_name;
    channel->breaker.random = cw_clock_monotonic_ns() ^ index;
    open_lanes(channel, channels->shards);
    open_attempts(channel);
    return CW_ERR_OK;
}

/* What all shards have posted and not fetched has room in a quarter of their results. */
static void open_results(struct cw_channels *channels)
{
    uint64_t results = 2;
    uint64_t smtp = 0;
    for (uint32_t c = 0; c < channels->count; c++) {
        const struct cw_channel *channel = &channels->rows[c];
        results += channel->outstanding_max;
        smtp += channel->way == &cw_way_smtp ? channel->options.under_way_max : 0;
    }
    struct cw_arena *arena = &channels->arena;
    uint32_t bytes = power_of_two(results * (sizeof(struct cw_channel_done) + 16) * 4);
    channels->results = cw_arena_zalloc(arena, channels->shards * sizeof(void *), sizeof(void *));
    channels->wake = cw_arena_zalloc(arena, channels->shards, 1);
    for (uint32_t i = 0; i < channels->shards; i++) {
        channels->results[i] = cw_parcels_create(arena, bytes);
    }
    channels->waits =
        cw_arena_zalloc(arena, smtp * CW_SMTP_WAITS_MAX * sizeof *channels->waits + 1, 16);
    channels->waiting = cw_arena_zalloc(arena, smtp * sizeof *channels->waiting + 1, 16);
}

static cw_err start_thread(struct cw_channels *channels, struct cw_fault *fault)
{
    sigset_t all;
    sigset_t before;
    atomic_store(&channels->stop_ns, UINT64_MAX);
    (void)sigfillset(&all); /* signals are others' business; SIGPIPE is nobody's */
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&channels->thread, NULL, cw_channels_run, channels);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error != 0) {
        errno = error;
        return cw_fail(fault, CW_ERR_IO, "no thread for the channels: %m");
    }
    channels->running = true;
    (void)pthread_setname_np(channels->thread, "cw-channels");
    return CW_ERR_OK;
}

cw_err cw_channels_open(struct cw_channels **out, const struct cw_channel_options *rows,
                        uint32_t count, uint32_t shards, struct cw_fault *fault)
{
    CW_ASSERT(count <= CW_CHANNEL_ROWS_MAX);
    CW_ASSERT(shards >= 1 && shards <= CW_CHANNEL_SHARDS_MAX);
    *out = NULL;
    struct cw_channels *channels = calloc(1, sizeof *channels);
    CW_ASSERT(channels != NULL);
    cw_err err = cw_arena_open(&channels->arena, 1u << 16, (size_t)1 << 40, fault);
    if (err != CW_ERR_OK) {
        free(channels);
        return err;
    }
    channels->shards = shards;
    channels->rows = cw_arena_zalloc(&channels->arena, (count + (size_t)1) * sizeof *channels->rows,
                                     CW_CACHE_LINE);
    CURLcode global = curl_global_init(CURL_GLOBAL_DEFAULT);
    CW_ASSERT(global == CURLE_OK);
    channels->multi = curl_multi_init();
    CW_ASSERT(channels->multi != NULL);
    for (uint32_t i = 0; i < count && err == CW_ERR_OK; i++) {
        err = open_row(channels, i, &rows[i], fault);
    }
    if (err == CW_ERR_OK) {
        open_results(channels);
        err = start_thread(channels, fault);
    }
    if (err != CW_ERR_OK) {
        cw_channels_close(channels);
        return err;
    }
    *out = channels;
    return CW_ERR_OK;
}

void cw_channels_on_result(struct cw_channels *channels, void (*wake)(void *self, uint32_t shard),
                           void *self)
{
    channels->on_result_self = self;
    channels->on_result = wake;
}

/* ---- stopping ---- */

void cw_channels_drain(struct cw_channels *channels, uint32_t grace_ms)
{
    uint64_t end_ns = cw_clock_monotonic_ns() + (uint64_t)grace_ms * 1000000u;
    uint64_t set_ns = atomic_load(&channels->stop_ns);
    while (end_ns < set_ns && !atomic_compare_exchange_weak(&channels->stop_ns, &set_ns, end_ns)) {
        /* of two that ask, the one with less patience */
    }
    atomic_store_explicit(&channels->stopping, true, memory_order_release);
    (void)curl_multi_wakeup(channels->multi);
}

void cw_channels_stop(struct cw_channels *channels, uint32_t grace_ms)
{
    if (channels->running) {
        cw_channels_drain(channels, grace_ms);
        (void)pthread_join(channels->thread, NULL);
        channels->running = false;
    }
}

static void close_attempt(struct cw_attempt *attempt)
{
    if (attempt->smtp.multi != NULL) {
        cw_smtp_hang_up(attempt);
    }
    curl_easy_cleanup(attempt->easy);
    if (attempt->smtp.multi != NULL) {
        (void)curl_multi_cleanup(attempt->smtp.multi);
    }
    curl_slist_free_all(attempt->headers);
    cw_text_deinit(&attempt->wire);
}

static void close_row(struct cw_channel *channel)
{
    for (uint32_t i = 0; channel->attempts != NULL && i < channel->options.under_way_max; i++) {
        close_attempt(&channel->attempts[i]);
    }
    cw_mime_deinit(&channel->mime);
    if (channel->directory >= 0) {
        (void)close(channel->directory);
    }
    for (uint32_t i = 0; i < CW_COUNTOF(channel->secrets); i++) {
        if (channel->secrets[i] != NULL) {
            OPENSSL_cleanse(channel->secrets[i], channel->secret_bytes[i]);
        }
    }
}

void cw_channels_close(struct cw_channels *channels)
{
    if (channels == NULL) {
        return;
    }
    cw_channels_stop(channels, 0);
    for (uint32_t i = 0; i < channels->count; i++) {
        close_row(&channels->rows[i]);
    }
    (void)curl_multi_cleanup(channels->multi);
    curl_global_cleanup();
    cw_text_deinit(&channels->scratch);
    cw_arena_close(&channels->arena);
    free(channels);
}
