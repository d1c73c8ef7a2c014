/* Shards that post and fetch as fast as they can, through queues that are often full: every message
   has one result, which comes to the shard that posted it, and one file. */
#include "io/channel.h"

#include <dirent.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SHARDS = 3,
    CHANNELS = 2,
    EACH = 1500 /* messages a shard and channel */
};

struct shard {
    struct cw_channel_port port;
    uint32_t index;
    uint32_t sent;
    uint8_t seen[CHANNELS * EACH];
    _Atomic uint32_t woken;
    pthread_t thread;
};

static struct shard shards[SHARDS];

static void on_result(void *self, uint32_t shard)
{
    (void)self;
    atomic_fetch_add(&shards[shard].woken, 1);
}

static uint32_t fetch(struct shard *shard)
{
    struct cw_post_result result;
    uint32_t count = 0;
    while (shard->port.result(shard->port.self, shard->index, &result)) {
        char key[CW_POST_KEY_BYTES + 1] = "";
        memcpy(key, result.key, CW_POST_KEY_BYTES);
        unsigned long number = strtoul(key, NULL, 10);
        CW_ASSERT(result.shard == shard->index);
        CW_ASSERT(number / (CHANNELS * EACH) == shard->index);
        CW_ASSERT(result.outcome == CW_POSTED_SENT);
        CW_ASSERT(shard->seen[number % (CHANNELS * EACH)] == 0);
        shard->seen[number % (CHANNELS * EACH)]++;
        count++;
    }
    return count;
}

static void *run(void *arg)
{
    struct shard *shard = arg;
    char text[3000];
    memset(text, 'x', sizeof text);
    uint32_t results = 0;
    for (uint32_t i = 0; i < CHANNELS * EACH;) {
        struct cw_post post = {.shard = shard->index,
                               .attempt = 1,
                               .kind = CW_VIEW("sms"),
                               .to = CW_VIEW("+491"),
                               .text = {text, i * 7 % sizeof text},
                               .now_ms = 1768754700123};
        char key[CW_POST_KEY_BYTES + 1];
        (void)snprintf(key, sizeof key, "%036u", shard->index * CHANNELS * EACH + i);
        memcpy(post.key, key, sizeof post.key);
        bool taken = cw_channel_post_now(&shard->port, i % CHANNELS, &post);
        i += taken;
        if (!taken || i % 16 == 0) {
            results += fetch(shard);
            (void)sched_yield();
        }
    }
    while (results < CHANNELS * EACH) {
        uint32_t woken = atomic_load(&shard->woken);
        uint32_t got = fetch(shard);
        results += got;
        while (got == 0 && results < CHANNELS * EACH && atomic_load(&shard->woken) == woken) {
            (void)sched_yield(); /* a lost wake-up would hang here */
        }
    }
    shard->sent = results;
    return NULL;
}

static uint32_t files_in(const char *path, bool remove)
{
    uint32_t count = 0;
    DIR *directory = opendir(path);
    CW_ASSERT(directory != NULL);
    for (const struct dirent *e; (e = readdir(directory)) != NULL;) {
        if (e->d_name[0] != '.') {
            count++;
            CW_ASSERT(!remove || unlinkat(dirfd(directory), e->d_name, 0) == 0);
        }
    }
    (void)closedir(directory);
    return count;
}

int main(void)
{
    char paths[CHANNELS][32];
    struct cw_channel_options rows[CHANNELS];
    for (uint32_t i = 0; i < CHANNELS; i++) {
        (void)snprintf(paths[i], sizeof paths[i], "/tmp/cw-stress-XXXXXX");
        if (mkdtemp(paths[i]) == NULL) {
            return EXIT_FAILURE;
        }
        rows[i] = (struct cw_channel_options){.name = CW_VIEW("sms"),
                                              .type = CW_CHANNEL_OUTBOX,
                                              .directory = {paths[i], (uint32_t)strlen(paths[i])},
                                              .host_name = CW_VIEW("a.b"),
                                              .under_way_max = 4,
                                              .queue_max = i == 0 ? 8 : 4096};
    }
    struct cw_fault fault;
    struct cw_channels *channels;
    if (cw_channels_open(&channels, rows, CHANNELS, SHARDS, &fault) != CW_ERR_OK) {
        (void)fprintf(stderr, "%s\n", fault.text);
        return EXIT_FAILURE;
    }
    cw_channels_on_result(channels, on_result, NULL);
    for (uint32_t i = 0; i < SHARDS; i++) {
        shards[i].index = i;
        shards[i].port = cw_channels_port(channels);
        CW_ASSERT(pthread_create(&shards[i].thread, NULL, run, &shards[i]) == 0);
    }
    for (uint32_t i = 0; i < SHARDS; i++) {
        (void)pthread_join(shards[i].thread, NULL);
        CW_ASSERT(shards[i].sent == CHANNELS * EACH);
    }
    struct cw_channel_state state;
    cw_channel_look(channels, 0, &state);
    cw_channels_close(channels);
    uint32_t files = 0;
    for (uint32_t i = 0; i < CHANNELS; i++) {
        files += files_in(paths[i], true);
        (void)rmdir(paths[i]);
    }
    CW_ASSERT(files == SHARDS * CHANNELS * EACH);
    CW_ASSERT(state.queued == 0 && state.posted == SHARDS * EACH);
    (void)printf("channel: %u messages, each once; %llu times full\n", files,
                 (unsigned long long)state.full);
    return EXIT_SUCCESS;
}
