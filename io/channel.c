/*
 * A turn of the thread: take messages while attempts are free, let libcurl and the SMTP dialogues
 * go as far as they can without waiting, wake the shards that have results, wait.
 *
 * A shard that posts must wake the thread only when it sleeps. Both sides do a read-modify-write of
 * `asleep`: the thread sets it and then looks at the lanes once more; the shard puts its message in
 * and then clears it. Whoever comes second sees what the first one did.
 */
#include "io/channel.h"

#include "core/format.h"
#include "io/channel_priv.h"
#include "io/clean.h"
#include "io/clock.h"
#include "io/post_record.h"

#include <signal.h>
#include <stdarg.h>

enum {
    TAKE_MAX = 32,      /* messages a channel takes in one turn: an outbox writes each at once */
    WAIT_MS_MAX = 60000 /* nothing depends on it */
};

#define NS_PER_MS 1000000u

/* ---- results ---- */

void cw_channel_result(struct cw_post_result *result, enum cw_posted outcome,
                       const struct cw_attempt *attempt, const char *format, ...)
{
    char words[CW_POST_REASON_BYTES];
    va_list args;
    va_start(args, format);
    uint32_t bytes = cw_formatv(words, sizeof words, format, args);
    va_end(args);
    result->outcome = outcome;
    result->retry_after_s = 0;
    result->untried = false;
    memset(result->reason, 0, sizeof result->reason);
    if (outcome == CW_POSTED_SENT) {
        return;
    }
    cw_clean_reason(result->reason, sizeof result->reason, (struct cw_view){words, bytes});
    if (attempt != NULL && attempt->reply_bytes > 0) {
        cw_clean_reason(result->reason, sizeof result->reason - 2, CW_VIEW(":"));
        size_t used = strlen(result->reason);
        result->reason[used] = ' ';
        cw_clean_reason(result->reason, sizeof result->reason,
                        (struct cw_view){attempt->reply, attempt->reply_bytes});
    }
}

static void hand_back(struct cw_channel *channel, const struct cw_post_result *result)
{
    struct cw_channels *channels = channel->channels;
    struct cw_channel_done *room = cw_parcels_room(channels->results[result->shard], sizeof *room);
    CW_ASSERT(room != NULL); /* post() takes no message whose result might have no room */
    *room = (struct cw_channel_done){.result = *result,
                                     .channel = (uint32_t)(channel - channels->rows)};
    cw_parcels_send(channels->results[result->shard]);
    channels->wake[result->shard] = true;
    atomic_fetch_add_explicit(&channel->outcomes[result->outcome], 1, memory_order_relaxed);
}

void cw_channel_settle(struct cw_attempt *attempt, struct cw_post_result *result)
{
    struct cw_channel *channel = attempt->channel;
    memcpy(result->key, attempt->key, sizeof result->key);
    result->shard = attempt->shard;
    if (attempt->busy) { /* it did go out */
        if (attempt->reached) {
            cw_breaker_reached(&channel->breaker);
        } else {
            cw_breaker_failed(&channel->breaker, attempt->probe, cw_clock_monotonic_ns());
        }
        atomic_store_explicit(&channel->broken, channel->breaker.wait_ms != 0,
                              memory_order_relaxed);
        atomic_fetch_sub_explicit(&channel->under_way, 1, memory_order_relaxed);
    }
    attempt->busy = false;
    attempt->next = channel->free;
    channel->free = attempt;
    hand_back(channel, result);
}

/* ---- taking messages ---- */

static void untried(struct cw_post_result *result, uint32_t retry_after_s, const char *why)
{
    cw_channel_result(result, CW_POSTED_LATER, NULL, "%s", why);
    result->retry_after_s = retry_after_s;
    result->untried = true;
}

/* True: settled without being sent. */
static bool turned_away(struct cw_channel *channel, const struct cw_post *post, uint64_t posted_ns,
                        bool readable, struct cw_post_result *result)
{
    uint64_t now_ns = cw_clock_monotonic_ns();
    int64_t then_ms = post->now_ms + (int64_t)((now_ns - posted_ns) / NS_PER_MS);
    if (!readable) {
        cw_channel_result(result, CW_POSTED_REFUSED, NULL,
                          "the message is larger than 3 MiB, or has more than 64 facts");
    } else if (atomic_load_explicit(&channel->channels->stopping, memory_order_relaxed)) {
        untried(result, 0, "the channel is stopping");
    } else if (channel->way->network && !cw_breaker_ready(&channel->breaker, now_ns)) {
        untried(result, cw_breaker_wait_s(&channel->breaker, now_ns),
                "the provider cannot be reached just now");
    } else if (post->deadline_ms > 0 && then_ms > post->deadline_ms) {
        untried(result, 0, "its deadline passed while it waited for the channel");
    } else {
        return false;
    }
    return true;
}

static void send_off(struct cw_attempt *attempt, struct cw_post_result *result)
{
    struct cw_channel *channel = attempt->channel;
    bool passed = cw_breaker_pass(&channel->breaker, cw_clock_monotonic_ns(), &attempt->probe);
    CW_ASSERT(passed); /* it was ready */
    attempt->busy = true;
    atomic_fetch_add_explicit(&channel->under_way, 1, memory_order_relaxed);
    if (channel->way->start(attempt, result)) {
        cw_channel_settle(attempt, result);
    }
}

static bool take_one(struct cw_channel *channel)
{
    const void *record = NULL;
    uint32_t bytes;
    uint32_t shard = channel->next_lane;
    for (uint32_t i = 0; i < channel->channels->shards && record == NULL; i++) {
        shard = (channel->next_lane + i) % channel->channels->shards;
        record = cw_parcels_next(channel->lanes[shard].posts, &bytes);
    }
    struct cw_attempt *attempt = channel->free;
    if (record == NULL || attempt == NULL) {
        return false;
    }
    channel->next_lane = (shard + 1) % channel->channels->shards;
    channel->free = attempt->next;
    struct cw_post post;
    struct cw_header facts[CW_CHANNEL_FACTS_MAX];
    uint64_t posted_ns;
    bool readable = cw_post_record_read(record, shard, &post, facts, &posted_ns);
    memcpy(attempt->key, post.key, sizeof attempt->key);
    attempt->shard = shard;
    attempt->busy = attempt->again = attempt->reached = attempt->probe = false;
    attempt->sent = 0;
    attempt->reply_bytes = 0;
    attempt->error[0] = '\0';
    cw_text_clear(&attempt->wire);
    struct cw_post_result result;
    bool settled = turned_away(channel, &post, posted_ns, readable, &result) ||
                   channel->way->make(attempt, &post, &result);
    cw_parcels_take(channel->lanes[shard].posts);
    atomic_fetch_add_explicit(&channel->lanes[shard].taken, 1, memory_order_relaxed);
    if (settled) {
        cw_channel_settle(attempt, &result);
    } else {
        send_off(attempt, &result);
    }
    return true;
}

static bool something_waits(struct cw_channels *channels)
{
    uint32_t bytes;
    for (uint32_t c = 0; c < channels->count; c++) {
        for (uint32_t s = 0; s < channels->shards && channels->rows[c].free != NULL; s++) {
            if (cw_parcels_next(channels->rows[c].lanes[s].posts, &bytes) != NULL) {
                return true;
            }
        }
    }
    return false;
}

/* ---- the thread ---- */

static void drive_transfers(struct cw_channels *channels)
{
    int left;
    (void)curl_multi_perform(channels->multi, &left);
    for (const CURLMsg *m; (m = curl_multi_info_read(channels->multi, &left)) != NULL;) {
        if (m->msg != CURLMSG_DONE) {
            continue;
        }
        char *private = NULL;
        CURLcode code = m->data.result; /* gone once the handle is removed */
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &private);
        struct cw_attempt *attempt = (struct cw_attempt *)(void *)private;
        struct cw_post_result result;
        if (attempt->channel->way->done(attempt, code, &result)) {
            cw_channel_settle(attempt, &result);
        }
    }
}

static void wake_shards(struct cw_channels *channels)
{
    for (uint32_t shard = 0; shard < channels->shards; shard++) {
        if (channels->wake[shard]) {
            channels->wake[shard] = false;
            if (channels->on_result != NULL) {
                channels->on_result(channels->on_result_self, shard);
            }
        }
    }
}

static uint32_t under_way(struct cw_channels *channels)
{
    uint32_t sum = 0;
    for (uint32_t c = 0; c < channels->count; c++) {
        sum += atomic_load_explicit(&channels->rows[c].under_way, memory_order_relaxed);
    }
    return sum;
}

/* Waits for sockets, timers or a wake-up, then lets the SMTP dialogues go on. */
static void wait_and_pump(struct cw_channels *channels, uint64_t until_ns)
{
    uint32_t waits = 0;
    uint32_t waiting = 0;
    for (uint32_t c = 0; c < channels->count; c++) {
        struct cw_channel *channel = &channels->rows[c];
        for (uint32_t i = 0; channel->way == &cw_way_smtp && i < channel->options.under_way_max;
             i++) {
            struct cw_attempt *attempt = &channel->attempts[i];
            uint32_t count = cw_smtp_waits(attempt, channels->waits + waits, &until_ns);
            channels->waiting[waiting++] = (struct cw_waiting){attempt, waits, count};
            waits += count;
        }
    }
    bool was = atomic_exchange_explicit(&channels->asleep, true, memory_order_acq_rel);
    CW_ASSERT(!was);
    uint64_t now_ns = cw_clock_monotonic_ns();
    uint64_t wait_ms = 0;
    if (until_ns > now_ns && !something_waits(channels)) {
        wait_ms = (until_ns - now_ns + NS_PER_MS - 1) / NS_PER_MS;
    }
    (void)curl_multi_poll(channels->multi, channels->waits, waits,
                          (int)(wait_ms < WAIT_MS_MAX ? wait_ms : WAIT_MS_MAX), NULL);
    atomic_store_explicit(&channels->asleep, false, memory_order_relaxed);
    for (uint32_t i = 0; i < waiting; i++) {
        const struct cw_waiting *w = &channels->waiting[i];
        struct cw_post_result result;
        if (cw_smtp_pump(w->attempt, channels->waits + w->first, w->count, &result)) {
            cw_channel_settle(w->attempt, &result);
        }
    }
}

static void give_up_all(struct cw_channels *channels)
{
    for (uint32_t c = 0; c < channels->count; c++) {
        struct cw_channel *channel = &channels->rows[c];
        for (uint32_t i = 0; i < channel->options.under_way_max; i++) {
            struct cw_attempt *attempt = &channel->attempts[i];
            struct cw_post_result result;
            if (attempt->busy) {
                channel->way->give_up(attempt, "stopped", &result);
                cw_channel_settle(attempt, &result);
            }
        }
    }
}

void *cw_channels_run(void *self)
{
    struct cw_channels *channels = self;
    for (;;) {
        bool more = false;
        for (uint32_t c = 0; c < channels->count; c++) {
            uint32_t taken = 0;
            while (taken < TAKE_MAX && take_one(&channels->rows[c])) {
                taken++;
            }
            more = more || taken == TAKE_MAX;
        }
        drive_transfers(channels);
        bool stopping = atomic_load_explicit(&channels->stopping, memory_order_acquire);
        uint64_t stop_ns = stopping ? atomic_load(&channels->stop_ns) : UINT64_MAX;
        if (stopping && !more && cw_clock_monotonic_ns() >= stop_ns) {
            give_up_all(channels);
        }
        wake_shards(channels);
        if (stopping && under_way(channels) == 0 && !something_waits(channels)) {
            break;
        }
        wait_and_pump(channels, more ? 0 : stop_ns);
        wake_shards(channels);
    }
    atomic_store_explicit(&channels->stopped, true, memory_order_release);
    for (uint32_t i = 0; i < channels->shards && channels->on_result != NULL; i++) {
        channels->on_result(channels->on_result_self, i); /* for what came in meanwhile */
    }
    return NULL;
}

/* ---- the shards' side ---- */

static bool has_room(const struct cw_channel *channel, const struct cw_lane *lane)
{
    uint64_t posted = atomic_load_explicit(&lane->posted, memory_order_relaxed);
    uint64_t waiting = posted - atomic_load_explicit(&lane->taken, memory_order_relaxed);
    return waiting < channel->lane_max && lane->outstanding < channel->outstanding_max &&
           !atomic_load_explicit(&channel->channels->stopping, memory_order_relaxed);
}

static bool port_room(void *self, uint32_t index, uint32_t shard)
{
    struct cw_channels *channels = self;
    CW_ASSERT(index < channels->count && shard < channels->shards);
    struct cw_lane *lane = &channels->rows[index].lanes[shard];
    if (has_room(&channels->rows[index], lane)) {
        return true;
    }
    atomic_fetch_add_explicit(&lane->full, 1, memory_order_relaxed);
    return false;
}

static bool port_post(void *self, uint32_t index, const struct cw_post *post)
{
    struct cw_channels *channels = self;
    CW_ASSERT(index < channels->count && post->shard < channels->shards);
    struct cw_channel *channel = &channels->rows[index];
    struct cw_lane *lane = &channel->lanes[post->shard];
    uint64_t posted = atomic_load_explicit(&lane->posted, memory_order_relaxed);
    void *room = NULL;
    if (has_room(channel, lane)) {
        room = cw_parcels_room(lane->posts, cw_post_record_bytes(post));
    }
    if (room == NULL) {
        atomic_fetch_add_explicit(&lane->full, 1, memory_order_relaxed);
        return false;
    }
    cw_post_record_write(room, post, cw_clock_monotonic_ns());
    lane->outstanding++;
    atomic_store_explicit(&lane->posted, posted + 1, memory_order_relaxed);
    cw_parcels_put(lane->posts);
    return true;
}

static void port_stage(void *self, uint32_t shard)
{
    struct cw_channels *channels = self;
    for (uint32_t c = 0; c < channels->count; c++) {
        struct cw_lane *lane = &channels->rows[c].lanes[shard];
        lane->staged = cw_parcels_line(lane->posts);
    }
}

static void port_release(void *self, uint32_t shard)
{
    struct cw_channels *channels = self;
    bool some = false;
    for (uint32_t c = 0; c < channels->count; c++) {
        struct cw_lane *lane = &channels->rows[c].lanes[shard];
        some |= cw_parcels_send_to(lane->posts, lane->staged);
    }
    if (some && atomic_exchange_explicit(&channels->asleep, false, memory_order_acq_rel)) {
        (void)curl_multi_wakeup(channels->multi);
    }
}

/* The thread is gone: what it has not taken is answered for here. */
static bool left_over(struct cw_channels *channels, uint32_t shard, struct cw_post_result *result)
{
    for (uint32_t c = 0; c < channels->count; c++) {
        struct cw_channel *channel = &channels->rows[c];
        struct cw_lane *lane = &channel->lanes[shard];
        uint32_t bytes;
        const void *record = cw_parcels_next(lane->posts, &bytes);
        if (record == NULL) {
            continue;
        }
        struct cw_post post;
        struct cw_header facts[CW_CHANNEL_FACTS_MAX];
        uint64_t posted_ns;
        bool readable = cw_post_record_read(record, shard, &post, facts, &posted_ns);
        (void)readable;
        memcpy(result->key, post.key, sizeof result->key);
        result->shard = shard;
        untried(result, 0, "the channel has stopped");
        cw_parcels_take(lane->posts);
        atomic_fetch_add_explicit(&lane->taken, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&channel->outcomes[CW_POSTED_LATER], 1, memory_order_relaxed);
        lane->outstanding--;
        return true;
    }
    return false;
}

static bool port_result(void *self, uint32_t shard, struct cw_post_result *result)
{
    struct cw_channels *channels = self;
    CW_ASSERT(shard < channels->shards);
    uint32_t bytes;
    const struct cw_channel_done *done = cw_parcels_next(channels->results[shard], &bytes);
    if (done == NULL) {
        return atomic_load_explicit(&channels->stopped, memory_order_acquire) &&
               left_over(channels, shard, result);
    }
    *result = done->result;
    struct cw_lane *lane = &channels->rows[done->channel].lanes[shard];
    CW_ASSERT_HOT(lane->outstanding > 0);
    lane->outstanding--;
    cw_parcels_take(channels->results[shard]);
    return true;
}

static bool port_collapses(void *self, uint32_t index)
{
    const struct cw_channels *channels = self;
    CW_ASSERT(index < channels->count);
    return channels->rows[index].way->collapses;
}

struct cw_channel_port cw_channels_port(struct cw_channels *channels)
{
    return (struct cw_channel_port){.self = channels,
                                    .post = port_post,
                                    .room = port_room,
                                    .stage = port_stage,
                                    .release = port_release,
                                    .result = port_result,
                                    .collapses = port_collapses};
}

void cw_channel_look(const struct cw_channels *channels, uint32_t index,
                     struct cw_channel_state *state)
{
    CW_ASSERT(index < channels->count);
    const struct cw_channel *channel = &channels->rows[index];
    *state = (struct cw_channel_state){
        .under_way = atomic_load_explicit(&channel->under_way, memory_order_relaxed),
        .broken = atomic_load_explicit(&channel->broken, memory_order_relaxed)};
    for (uint32_t i = 0; i < CW_COUNTOF(state->outcomes); i++) {
        state->outcomes[i] = atomic_load_explicit(&channel->outcomes[i], memory_order_relaxed);
    }
    for (uint32_t shard = 0; shard < channels->shards; shard++) {
        const struct cw_lane *lane = &channel->lanes[shard];
        uint64_t taken = atomic_load_explicit(&lane->taken, memory_order_relaxed);
        uint64_t posted = atomic_load_explicit(&lane->posted, memory_order_relaxed);
        state->posted += posted;
        state->full += atomic_load_explicit(&lane->full, memory_order_relaxed);
        state->queued += posted > taken ? (uint32_t)(posted - taken) : 0;
    }
}
