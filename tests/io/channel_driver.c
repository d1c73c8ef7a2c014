/*
 * Drives real channels from a script: reads JSON lines, posts, prints results as JSON lines.
 *
 *   {"open":[{"name","type":"outbox|smtp|webhook","url","user","secret","from","directory","host",
 *             "requireTls","caFile","timeoutMs","underWayMax","queueMax"}],"shards":1}
 *   {"post":{"channel":0,"shard":0,"key","attempt","kind","to","from","subject","html","text",
 *            "title","link","unsubscribe","facts":{},"nowMs","deadlineMs"},"times":1}
 *   {"wait":N}                  until N results have come since the start; prints each
 *   {"look":0}                  prints the state of a channel
 *   {"list":"dir","count":10}   prints the outbox
 *   {"read":"dir","name":"x"}   prints a file of it as a JSON string
 *   {"stop":graceMs}
 *   {"sleep":ms}
 *
 * A post whose "times" is more than 1 has its key's last digits replaced by its number.
 */
#include "core/json.h"
#include "core/text.h"
#include "io/channel.h"
#include "io/clock.h"
#include "io/outbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum {
    LINE_BYTES_MAX = 32 << 20,
    FACTS_MAX = 128
};

struct driver {
    struct cw_json_parser *parser;
    struct cw_channels *channels;
    struct cw_channel_port port;
    struct cw_text scratch; /* strings of the present line */
    uint32_t shards;
    uint64_t results, full;
};

static CW_COLD _Noreturn void die(const char *what)
{
    (void)fprintf(stderr, "channel_driver: %s\n", what);
    exit(2);
}

static struct cw_view name_of(const char *name)
{
    return (struct cw_view){name, (uint32_t)strlen(name)};
}

static struct cw_view text_of(struct driver *driver, const struct cw_json *doc, uint32_t object,
                              const char *name)
{
    uint32_t node = cw_json_find(doc, object, name_of(name));
    if (node == CW_JSON_NONE || doc->nodes[node].type != CW_JSON_STRING) {
        return (struct cw_view){NULL, 0};
    }
    struct cw_view raw = cw_json_raw(doc, node);
    char *room = cw_text_room(&driver->scratch, raw.bytes);
    uint32_t bytes = cw_json_unescape(raw, room);
    driver->scratch.bytes += bytes;
    return (struct cw_view){room, bytes};
}

static int64_t number_of(const struct cw_json *doc, uint32_t object, const char *name,
                         int64_t otherwise)
{
    uint32_t node = cw_json_find(doc, object, name_of(name));
    int64_t value = otherwise;
    if (node != CW_JSON_NONE && doc->nodes[node].type == CW_JSON_NUMBER &&
        !cw_json_int64(cw_json_raw(doc, node), &value)) {
        die("a number that is none");
    }
    if (node != CW_JSON_NONE && doc->nodes[node].type == CW_JSON_TRUE) {
        value = 1;
    }
    return value;
}

static void say(const struct cw_text *text)
{
    (void)fwrite(text->data, 1, text->bytes, stdout);
    (void)fputc('\n', stdout);
    (void)fflush(stdout);
}

static void open_all(struct driver *driver, const struct cw_json *doc, uint32_t rows)
{
    struct cw_channel_options options[CW_CHANNEL_ROWS_MAX];
    uint32_t count = 0;
    for (uint32_t i = rows + 1; i < doc->nodes[rows].next; i = doc->nodes[i].next) {
        struct cw_view type = text_of(driver, doc, i, "type");
        options[count++] = (struct cw_channel_options){
            .name = text_of(driver, doc, i, "name"),
            .type = cw_view_equal(type, CW_VIEW("smtp"))      ? CW_CHANNEL_SMTP
                    : cw_view_equal(type, CW_VIEW("webhook")) ? CW_CHANNEL_WEBHOOK
                                                              : CW_CHANNEL_OUTBOX,
            .url = text_of(driver, doc, i, "url"),
            .user = text_of(driver, doc, i, "user"),
            .secret = text_of(driver, doc, i, "secret"),
            .from = text_of(driver, doc, i, "from"),
            .directory = text_of(driver, doc, i, "directory"),
            .host_name = text_of(driver, doc, i, "host"),
            .ca_file = text_of(driver, doc, i, "caFile"),
            .require_tls = number_of(doc, i, "requireTls", 0) != 0,
            .timeout_ms = (uint32_t)number_of(doc, i, "timeoutMs", 0),
            .under_way_max = (uint32_t)number_of(doc, i, "underWayMax", 0),
            .queue_max = (uint32_t)number_of(doc, i, "queueMax", 0)};
    }
    struct cw_fault fault = {0};
    driver->shards = (uint32_t)number_of(doc, 0, "shards", 1);
    if (cw_channels_open(&driver->channels, options, count, driver->shards, &fault) != CW_ERR_OK) {
        struct cw_text line = {0};
        cw_text_puts(&line, "{\"fault\":");
        cw_text_json(&line, name_of(fault.text));
        cw_text_char(&line, '}');
        say(&line);
        exit(0);
    }
    driver->port = cw_channels_port(driver->channels);
}

static bool print_result(struct driver *driver)
{
    static const char *const outcomes[] = {"sent", "refused", "later", "unknown"};
    bool any = false;
    struct cw_post_result result;
    for (uint32_t shard = 0; shard < driver->shards; shard++) {
        while (driver->port.result(driver->port.self, shard, &result)) {
            struct cw_text line = {0};
            cw_text_printf(&line, "{\"key\":\"%.*s\",\"shard\":%u,\"outcome\":\"%s\",",
                           (int)CW_POST_KEY_BYTES, result.key, result.shard,
                           outcomes[result.outcome]);
            cw_text_printf(&line, "\"retryAfter\":%u,\"untried\":%s,\"at\":%llu,\"reason\":",
                           result.retry_after_s, result.untried ? "true" : "false",
                           (unsigned long long)(cw_clock_monotonic_ns() / 1000000u));
            cw_text_json(&line, name_of(result.reason));
            cw_text_char(&line, '}');
            say(&line);
            cw_text_deinit(&line);
            driver->results++;
            any = true;
        }
    }
    return any;
}

static void nap(long ms)
{
    (void)nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

static void post_all(struct driver *driver, const struct cw_json *doc, uint32_t at)
{
    struct cw_header facts[FACTS_MAX];
    struct cw_post post = {.shard = (uint32_t)number_of(doc, at, "shard", 0),
                           .attempt = (uint32_t)number_of(doc, at, "attempt", 1),
                           .kind = text_of(driver, doc, at, "kind"),
                           .to = text_of(driver, doc, at, "to"),
                           .from = text_of(driver, doc, at, "from"),
                           .subject = text_of(driver, doc, at, "subject"),
                           .html = text_of(driver, doc, at, "html"),
                           .text = text_of(driver, doc, at, "text"),
                           .title = text_of(driver, doc, at, "title"),
                           .link = text_of(driver, doc, at, "link"),
                           .unsubscribe = text_of(driver, doc, at, "unsubscribe"),
                           .facts = facts,
                           .now_ms = number_of(doc, at, "nowMs", cw_clock_wall_ms()),
                           .deadline_ms = number_of(doc, at, "deadlineMs", 0)};
    struct cw_view key = text_of(driver, doc, at, "key");
    memset(post.key, '0', sizeof post.key);
    if (key.bytes > 0) {
        memcpy(post.key, key.data, key.bytes < sizeof post.key ? key.bytes : sizeof post.key);
    }
    uint32_t object = cw_json_find(doc, at, CW_VIEW("facts"));
    for (uint32_t i = object + 1; object != CW_JSON_NONE && i < doc->nodes[object].next;
         i = doc->nodes[i].next) {
        facts[post.fact_count++] = (struct cw_header){
            {doc->text + doc->nodes[i].key, doc->nodes[i].key_bytes}, cw_json_raw(doc, i)};
    }
    int64_t times = number_of(doc, 0, "times", 1);
    for (int64_t i = 0; i < times; i++) {
        if (times > 1) {
            char digits[9];
            (void)snprintf(digits, sizeof digits, "%08u", (unsigned)i);
            memcpy(post.key + CW_POST_KEY_BYTES - 8, digits, 8);
        }
        while (!cw_channel_post_now(&driver->port, (uint32_t)number_of(doc, at, "channel", 0),
                                  &post)) {
            driver->full++;
            if (!print_result(driver)) {
                nap(1);
            }
        }
    }
}

static void look(struct driver *driver, uint32_t channel)
{
    struct cw_channel_state state;
    cw_channel_look(driver->channels, channel, &state);
    (void)printf("{\"posted\":%llu,\"sent\":%llu,\"refused\":%llu,\"later\":%llu,"
                 "\"unknown\":%llu,\"full\":%llu,\"queued\":%u,\"underWay\":%u,\"broken\":%s}\n",
                 (unsigned long long)state.posted, (unsigned long long)state.outcomes[0],
                 (unsigned long long)state.outcomes[1], (unsigned long long)state.outcomes[2],
                 (unsigned long long)state.outcomes[3], (unsigned long long)state.full,
                 state.queued, state.under_way, state.broken ? "true" : "false");
    (void)fflush(stdout);
}

static void show_outbox(struct driver *driver, const struct cw_json *doc, bool list)
{
    struct cw_fault fault;
    struct cw_text line = {0};
    struct cw_text content = {0};
    struct cw_view directory = text_of(driver, doc, 0, list ? "list" : "read");
    char path[4096];
    (void)snprintf(path, sizeof path, "%.*s", (int)directory.bytes, directory.data);
    cw_err err = list
                     ? cw_outbox_list(path, (uint32_t)number_of(doc, 0, "count", 10), &line, &fault)
                     : cw_outbox_read(path, text_of(driver, doc, 0, "name"), &content, &fault);
    if (err != CW_ERR_OK) {
        cw_text_printf(&line, "{\"error\":\"%s\"}", cw_err_name(err));
    } else if (!list) {
        cw_text_json(&line, (struct cw_view){content.data, (uint32_t)content.bytes});
    }
    say(&line);
    cw_text_deinit(&line);
    cw_text_deinit(&content);
}

static void obey(struct driver *driver, const struct cw_json *doc)
{
    uint32_t node;
    cw_text_clear(&driver->scratch);
    /* Views into the scratch must not move: nothing said in a line is longer than the line. */
    (void)cw_text_room(&driver->scratch, doc->text_bytes + 64u);
    if ((node = cw_json_find(doc, 0, CW_VIEW("open"))) != CW_JSON_NONE) {
        open_all(driver, doc, node);
    } else if ((node = cw_json_find(doc, 0, CW_VIEW("post"))) != CW_JSON_NONE) {
        post_all(driver, doc, node);
    } else if (cw_json_find(doc, 0, CW_VIEW("wait")) != CW_JSON_NONE) {
        uint64_t wanted = (uint64_t)number_of(doc, 0, "wait", 0);
        while (driver->results < wanted) {
            if (!print_result(driver)) {
                nap(1);
            }
        }
    } else if (cw_json_find(doc, 0, CW_VIEW("look")) != CW_JSON_NONE) {
        look(driver, (uint32_t)number_of(doc, 0, "look", 0));
    } else if (cw_json_find(doc, 0, CW_VIEW("list")) != CW_JSON_NONE) {
        show_outbox(driver, doc, true);
    } else if (cw_json_find(doc, 0, CW_VIEW("read")) != CW_JSON_NONE) {
        show_outbox(driver, doc, false);
    } else if (cw_json_find(doc, 0, CW_VIEW("stop")) != CW_JSON_NONE) {
        cw_channels_stop(driver->channels, (uint32_t)number_of(doc, 0, "stop", 0));
        (void)print_result(driver);
        (void)printf("{\"stopped\":true}\n");
        (void)fflush(stdout);
    } else if (cw_json_find(doc, 0, CW_VIEW("sleep")) != CW_JSON_NONE) {
        nap(number_of(doc, 0, "sleep", 0));
    } else {
        die("a line that says nothing");
    }
}

int main(void)
{
    struct cw_fault fault;
    struct driver driver = {0};
    char *line = NULL;
    size_t room = 0;
    if (cw_json_open(&driver.parser, LINE_BYTES_MAX, 16, &fault) != CW_ERR_OK) {
        die(fault.text);
    }
    ssize_t bytes;
    while ((bytes = getline(&line, &room, stdin)) > 0) {
        char *padded = malloc((size_t)bytes + CW_JSON_PADDING);
        if (padded == NULL) {
            die("no memory");
        }
        memcpy(padded, line, (size_t)bytes);
        memset(padded + bytes, 0, CW_JSON_PADDING);
        struct cw_json doc;
        if (cw_json_parse(driver.parser, padded, (uint32_t)bytes, &doc) != CW_JSON_PARSE_OK) {
            die("a line that is not JSON");
        }
        obey(&driver, &doc);
        free(padded);
    }
    cw_channels_close(driver.channels);
    cw_json_close(driver.parser);
    cw_text_deinit(&driver.scratch);
    free(line);
    return 0;
}
