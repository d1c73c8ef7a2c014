/* Three services on threads of their own: events and questions of all kinds cross between cores. */
#include "tests/pipeline/random_shop.h"
#include "tests/pipeline/service_fixture.h"

#include <pthread.h>
#include <sched.h>

enum {
    ROUNDS = 20,
    REQUESTS = 120, /* a round */
    EVENTS = 30     /* in a request that brings some */
};

static struct serving s;
static _Atomic bool over;

static void *work(void *arg)
{
    while (!atomic_load(&over)) {
        if (cw_shard_step(arg) != CW_STEP_WORKED) {
            (void)sched_yield();
        }
    }
    return NULL;
}

static void send_events(uint32_t shard, uint32_t number)
{
    static const char head[] = "POST /v1/events HTTP/1.1\nContent-Type: application/x-ndjson";
    struct cw_text text = {0};
    for (uint32_t k = 0; k < EVENTS / 3; k++) {
        uint32_t customer = (number * 7 + k * 13) % 50;
        cw_text_printf(&text,
                       "{\"source\":\"ecommerce.customer\",\"detail-type\":\"CustomerUpdated\","
                       "\"time\":\"2026-01-19T11:00:00Z\",\"detail\":{\"customerId\":\"c%u\","
                       "\"email\":\"a@b.example\",\"phone\":\"+1\",\"paymentMethodOnFile\":"
                       "true}}\n",
                       customer);
        cw_text_printf(&text,
                       "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartAbandoned\","
                       "\"time\":\"2026-01-19T11:59:00Z\",\"detail\":{\"customerId\":\"c%u\","
                       "\"cartId\":\"k%u\",\"cartValue\":%u,\"items\":[{\"id\":\"i%u\","
                       "\"name\":\"I\",\"price\":1}]}}\n",
                       customer, k, 20 + number, k);
        cw_text_printf(&text,
                       "{\"source\":\"ecommerce.inventory\",\"detail-type\":"
                       "\"InventoryChanged\",\"time\":\"2026-01-19T11:00:00Z\",\"detail\":{"
                       "\"productId\":\"i%u\",\"available\":5}}\n",
                       k);
    }
    (void)serving_send(&s, shard, head, cw_text_terminate(&text));
    cw_text_deinit(&text);
}

static void send_all(uint32_t round)
{
    static const char *const asks[] = {
        "GET /metrics HTTP/1.1",
        "GET /v1/candidates?program=first&channel=sms&limit=3 HTTP/1.1",
        "GET /v1/programs HTTP/1.1",
        "POST /v1/programs/first/pause?channel=email HTTP/1.1",
        "POST /v1/programs/first/resume HTTP/1.1",
        "GET /v1/candidates/c1:first HTTP/1.1"};
    for (uint32_t i = 0; i < REQUESTS; i++) {
        if (i % 4 == 0) {
            (void)serving_send(&s, i % s.shards, asks[i / 4 % CW_COUNTOF(asks)], "");
        } else {
            send_events(i % s.shards, i + round);
        }
    }
}

int main(void)
{
    const struct serving_options options = {.yamls = RANDOM_PROGRAMS, .shards = 3};
    bool opened = serving_open(&s, &options);
    CW_ASSERT(opened);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        send_all(round);
        atomic_store(&over, false);
        pthread_t threads[SERVING_SHARDS_MAX] = {0};
        for (uint32_t i = 0; i < s.shards; i++) {
            CW_ASSERT(pthread_create(&threads[i], NULL, work, &s.shard[i]) == 0);
        }
        while (atomic_load(&s.answered) < s.count) { /* bounded: every request is answered */
            (void)sched_yield();
        }
        atomic_store(&over, true);
        for (uint32_t i = 0; i < s.shards; i++) {
            CW_ASSERT(pthread_join(threads[i], NULL) == 0);
        }
    }
    for (uint32_t i = 0; i < s.count; i++) {
        CW_ASSERT(s.asked[i].status == 200);
    }
    uint64_t received = 0;
    for (uint32_t i = 0; i < s.shards; i++) {
        received += cw_pipeline_fates(cw_service_pipeline(s.core[i].service))->received;
    }
    CW_ASSERT(received == (uint64_t)ROUNDS * (REQUESTS - REQUESTS / 4) * EVENTS);
    serving_close(&s);
    return 0;
}
