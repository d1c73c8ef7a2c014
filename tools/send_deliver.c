/* Tries to hand a batch over until all of it is settled: taken, or refused for good. */
#include "io/clock.h"
#include "tools/send_priv.h"

#include <time.h>

#define PAUSE_MIN_MS 100u
#define PAUSE_MAX_MS 10000u
#define TOLD_AFTER   3u /* tries: what is over at once is not worth words */

uint64_t cw_send_pause_ms(uint32_t tries, uint32_t retry_after_s, uint64_t random)
{
    uint64_t full = tries > 7 ? PAUSE_MAX_MS : (uint64_t)PAUSE_MIN_MS << (tries - 1);
    full = full > PAUSE_MAX_MS ? PAUSE_MAX_MS : full;
    uint64_t pause = full / 2 + random % (full / 2 + 1);
    /* Jitter comes on top of what was asked for, or all clients would be back at once. */
    uint64_t asked = (uint64_t)retry_after_s * 1000;
    return asked == 0 ? pause : asked + pause / 4;
}

void cw_send_sleep_ms(uint64_t ms)
{
    struct timespec pause = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    if (cw_send_interrupted == 0) {
        (void)nanosleep(&pause, NULL);
    }
}

static bool give_up(struct cw_send *send, uint32_t at, const char *why)
{
    const struct cw_send_item *item = &send->items[at];
    cw_bar_clear(&send->bar);
    (void)fprintf(stderr, "cartwheel send: stopped before %s:%llu: %s\n", send->names[item->file],
                  (unsigned long long)item->number, why);
    send->not_sent += send->count - at;
    return false;
}

static void tell(struct cw_send *send, const char *why)
{
    cw_bar_clear(&send->bar);
    (void)fprintf(stderr, "cartwheel send: %s: %s; trying again for up to %llu s (--retry-for)\n",
                  send->target.authority, why, (unsigned long long)(send->retry_for_ms / 1000));
    send->told = true;
}

static uint64_t next_random(struct cw_send *send)
{
    send->random ^= send->random << 13;
    send->random ^= send->random >> 7;
    send->random ^= send->random << 17;
    return send->random;
}

/* How far a batch is. */
struct progress {
    uint32_t at, size; /* the next item, and how many are tried at once */
    uint32_t tries;    /* since something was settled */
    uint64_t since_ms; /* the first of them */
};

/* Waits before the next try; false when it has been long enough. */
static bool wait_for_it(struct cw_send *send, struct progress *progress,
                        const struct cw_send_result *result)
{
    uint64_t now_ms = cw_clock_monotonic_ns() / 1000000;
    progress->since_ms = progress->tries++ == 0 ? now_ms : progress->since_ms;
    uint64_t pause = cw_send_pause_ms(progress->tries, result->retry_after_s, next_random(send));
    if (now_ms + pause - progress->since_ms > send->retry_for_ms) {
        return false;
    }
    bool worth_words = progress->tries >= TOLD_AFTER || result->unreachable;
    if (worth_words && !send->told) {
        tell(send, result->why);
    }
    send->retries++;
    cw_send_sleep_ms(pause);
    return true;
}

bool cw_send_deliver(struct cw_send *send)
{
    struct progress p = {.size = send->count};
    while (p.at < send->count) { /* every turn settles one, halves the size, or waits; then ends */
        uint32_t count = p.size < send->count - p.at ? p.size : send->count - p.at;
        struct cw_send_result result = send->target.kind == CW_TARGET_LINES
                                           ? cw_send_tcp(send, send->items + p.at, count)
                                           : cw_send_http(send, send->items + p.at, count);
        p.at += result.done;
        if (result.done > 0) {
            p.tries = 0;
            send->told = false;
        }
        if (result.verdict == CW_SEND_STOP) {
            return give_up(send, p.at < send->count ? p.at : p.at - 1, result.why);
        }
        if (cw_send_interrupted != 0 && p.at < send->count) {
            return give_up(send, p.at, "interrupted");
        }
        if (result.verdict == CW_SEND_SPLIT && count > 1) {
            p.size = count / 2;
        } else if (result.verdict == CW_SEND_SPLIT) {
            cw_send_reject(send, &send->items[p.at++], result.why);
            p.tries = 0;
        } else if (result.verdict == CW_SEND_AGAIN && !wait_for_it(send, &p, &result)) {
            return give_up(send, p.at, result.why);
        }
    }
    return true;
}
