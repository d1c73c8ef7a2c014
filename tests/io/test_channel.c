#include "io/channel.h"
#include "io/clock.h"
#include "io/outbox.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <dirent.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char directory[64];

static void make_directory(void)
{
    (void)snprintf(directory, sizeof directory, "/tmp/cw-channel-XXXXXX");
    cr_assert(ne(ptr, mkdtemp(directory), NULL));
}

static void remove_directory(void)
{
    char command[128];
    (void)snprintf(command, sizeof command, "rm -rf %s", directory);
    cr_assert(eq(int, system(command), 0));
}

static struct cw_view view(const char *text)
{
    return (struct cw_view){text, (uint32_t)strlen(text)};
}

static struct cw_channel_options an_outbox(void)
{
    return (struct cw_channel_options){.name = CW_VIEW("email"),
                                       .type = CW_CHANNEL_OUTBOX,
                                       .from = CW_VIEW("shop@example.com"),
                                       .host_name = CW_VIEW("shop.example"),
                                       .directory = view(directory)};
}

static struct cw_post a_post(uint32_t shard, uint32_t number)
{
    struct cw_post post = {.shard = shard,
                           .attempt = 1,
                           .kind = CW_VIEW("email"),
                           .to = CW_VIEW("ada@example.com"),
                           .subject = CW_VIEW("Your cart"),
                           .text = CW_VIEW("hello"),
                           .now_ms = 1768754700123};
    char key[64];
    (void)snprintf(key, sizeof key, "%036u", number);
    memcpy(post.key, key, sizeof post.key);
    return post;
}

static struct cw_channels *open_channels(const struct cw_channel_options *rows, uint32_t count,
                                         uint32_t shards)
{
    struct cw_fault fault;
    struct cw_channels *channels = NULL;
    cr_assert(eq(int, cw_channels_open(&channels, rows, count, shards, &fault), CW_ERR_OK), "%s",
              fault.text);
    return channels;
}

static struct cw_post_result wait_for(struct cw_channel_port port, uint32_t shard)
{
    struct cw_post_result result;
    while (!port.result(port.self, shard, &result)) {
        (void)nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return result;
}

static void on_result(void *self, uint32_t shard)
{
    _Atomic uint32_t *woken = self;
    woken[shard]++;
}

TestSuite(channel, .init = make_directory, .fini = remove_directory);

Test(channel, gives_each_shard_its_own_results_and_wakes_it)
{
    _Atomic uint32_t woken[3] = {0, 0, 0};
    struct cw_channel_options row = an_outbox();
    struct cw_channels *channels = open_channels(&row, 1, 3);
    struct cw_channel_port port = cw_channels_port(channels);
    cw_channels_on_result(channels, on_result, woken);
    for (uint32_t i = 0; i < 30; i++) {
        struct cw_post post = a_post(i % 3, i);
        cr_assert(cw_channel_post_now(&port, 0, &post));
    }
    for (uint32_t i = 0; i < 30; i++) { /* one shard's messages stay in order in an outbox */
        struct cw_post_result result = wait_for(port, i % 3);
        struct cw_post post = a_post(i % 3, i);
        cr_assert(eq(int, memcmp(result.key, post.key, sizeof result.key), 0));
        cr_assert(eq(u32, result.shard, i % 3));
        cr_assert(eq(int, result.outcome, CW_POSTED_SENT));
    }
    cw_channels_stop(channels, 0);
    cr_assert(woken[0] > 0 && woken[1] > 0 && woken[2] > 0);
    cr_assert(port.collapses(port.self, 0));
    struct cw_channel_state state;
    cw_channel_look(channels, 0, &state);
    cr_assert(eq(u64, state.posted, 30));
    cr_assert(eq(u64, state.outcomes[CW_POSTED_SENT], 30));
    cr_assert(eq(u32, state.queued, 0));
    cw_channels_close(channels);
}

Test(channel, takes_nothing_more_while_results_are_not_fetched)
{
    struct cw_channel_options row = an_outbox();
    row.queue_max = 8;
    row.under_way_max = 2;
    struct cw_channels *channels = open_channels(&row, 1, 1);
    struct cw_channel_port port = cw_channels_port(channels);
    uint32_t taken = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        struct cw_post post = a_post(0, i);
        taken += cw_channel_post_now(&port, 0, &post);
        (void)nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    cr_assert(eq(u32, taken, 10), "what is queued and what is under way, no more");
    for (uint32_t i = 0; i < taken; i++) {
        (void)wait_for(port, 0);
    }
    struct cw_post post = a_post(0, 5000);
    cr_assert(cw_channel_post_now(&port, 0, &post));
    cw_channels_close(channels);
}

Test(channel, answers_for_everything_while_it_drains)
{
    struct cw_channel_options row = an_outbox();
    struct cw_channels *channels = open_channels(&row, 1, 2);
    struct cw_channel_port port = cw_channels_port(channels);
    uint32_t posted[2] = {0, 0};
    for (uint32_t i = 0; i < 4000; i++) {
        struct cw_post post = a_post(i % 2, i);
        posted[i % 2] += cw_channel_post_now(&port, 0, &post);
        if (i == 3000) {
            cw_channels_drain(channels, 60000);
        }
    }
    for (uint32_t shard = 0; shard < 2; shard++) {
        for (uint32_t i = 0; i < posted[shard]; i++) { /* nobody has to stop it first */
            (void)wait_for(port, shard);
        }
    }
    struct cw_post_result result;
    cr_assert(not(port.result(port.self, 0, &result)));
    cw_channels_stop(channels, 0);
    cr_assert(not(port.result(port.self, 1, &result)));
    cw_channels_close(channels);
}

Test(channel, answers_for_everything_once_stopped)
{
    struct cw_channel_options row = an_outbox();
    struct cw_channels *channels = open_channels(&row, 1, 2);
    struct cw_channel_port port = cw_channels_port(channels);
    uint32_t posted = 0;
    for (uint32_t i = 0; i < 4000; i++) {
        struct cw_post post = a_post(i % 2, i);
        posted += cw_channel_post_now(&port, 0, &post);
    }
    cw_channels_stop(channels, 0);
    struct cw_post post = a_post(0, 9999);
    cr_assert(not(cw_channel_post_now(&port, 0, &post)));
    uint32_t results = 0;
    struct cw_post_result result;
    for (uint32_t shard = 0; shard < 2; shard++) {
        while (port.result(port.self, shard, &result)) {
            cr_assert(result.outcome == CW_POSTED_SENT ||
                      (result.outcome == CW_POSTED_LATER && result.untried));
            results++;
        }
    }
    cr_assert(eq(u32, results, posted));
    cw_channels_close(channels);
}

/* ---- an SMTP server in a thread, that knows just one dialogue ---- */

struct server {
    int listener;
    uint16_t port;
    pthread_t thread;
    char heard[8192];
    size_t heard_bytes;
};

static void *serve(void *arg)
{
    struct server *server = arg;
    static const char *const answers[] = {"220 hi\r\n", "250 hi\r\n",    "250 ok\r\n", "250 ok\r\n",
                                          "354 go\r\n", "250 taken\r\n", "221 bye\r\n"};
    int fd = accept(server->listener, NULL, NULL);
    for (size_t i = 0; i < CW_COUNTOF(answers); i++) {
        size_t start = server->heard_bytes;
        const char *end = i == 5 ? "\r\n.\r\n" : "\r\n";
        while (i > 0) {
            ssize_t got = recv(fd, server->heard + server->heard_bytes,
                               sizeof server->heard - 1 - server->heard_bytes, 0);
            if (got <= 0) {
                break;
            }
            server->heard_bytes += (size_t)got;
            server->heard[server->heard_bytes] = '\0';
            if (strstr(server->heard + start, end) != NULL) {
                break;
            }
        }
        (void)send(fd, answers[i], strlen(answers[i]), MSG_NOSIGNAL);
    }
    (void)close(fd);
    return NULL;
}

static void start(struct server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof address;
    server->listener = socket(AF_INET, SOCK_STREAM, 0);
    cr_assert(eq(int, bind(server->listener, (struct sockaddr *)&address, bytes), 0));
    cr_assert(eq(int, listen(server->listener, 8), 0));
    cr_assert(eq(int, getsockname(server->listener, (struct sockaddr *)&address, &bytes), 0));
    server->port = ntohs(address.sin_port);
    cr_assert(eq(int, pthread_create(&server->thread, NULL, serve, server), 0));
}

Test(channel, speaks_smtp)
{
    static struct server server;
    start(&server);
    char url[64];
    (void)snprintf(url, sizeof url, "smtp://127.0.0.1:%u", server.port);
    struct cw_channel_options row = {.name = CW_VIEW("email"),
                                     .type = CW_CHANNEL_SMTP,
                                     .url = view(url),
                                     .from = CW_VIEW("Shop <shop@example.com>"),
                                     .host_name = CW_VIEW("shop.example")};
    struct cw_channels *channels = open_channels(&row, 1, 1);
    struct cw_channel_port port = cw_channels_port(channels);
    struct cw_post post = a_post(0, 1);
    post.text = CW_VIEW("a\r\n.\r\nMAIL FROM:<x@y.z>\r\n");
    cr_assert(cw_channel_post_now(&port, 0, &post));
    struct cw_post_result result = wait_for(port, 0);
    cr_assert(eq(int, result.outcome, CW_POSTED_SENT), "%s", result.reason);
    cr_assert(not(port.collapses(port.self, 0)));
    cw_channels_close(channels); /* says QUIT */
    (void)pthread_join(server.thread, NULL);
    (void)close(server.listener);
    static const char begin[] = "EHLO shop.example\r\nMAIL FROM:<shop@example.com>\r\n"
                                "RCPT TO:<ada@example.com>\r\nDATA\r\nDate: ";
    static const char end[] = "a\r\n=2E\r\nMAIL FROM:<x@y.z>\r\n.\r\nQUIT\r\n";
    cr_assert(eq(int, strncmp(server.heard, begin, sizeof begin - 1), 0), "%s", server.heard);
    cr_assert(eq(str, server.heard + server.heard_bytes - (sizeof end - 1), (char *)end));
}
