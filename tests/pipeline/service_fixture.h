/*
 * Services on shards that are stepped by hand, with a source and answers of our own: what tests of
 * the service share. A request's bytes are freed when it is answered, so that whoever looks at them
 * later is caught.
 */
#ifndef CW_TESTS_SERVICE_FIXTURE_H
#define CW_TESTS_SERVICE_FIXTURE_H

#include "core/shard.h"
#include "core/time.h"
#include "pipeline/request.h"
#include "pipeline/service.h"
#include "tests/pipeline/program_fixture.h"
#include "tests/pipeline/request_fixture.h"

#include <stdatomic.h>

#define SERVING_SHARDS_MAX 3u
#define SERVING_TOKENS_MAX 20000u

/* 2026-01-19T12:00:00Z */
#define SERVING_START INT64_C(1768824000000)

struct asked {
    struct made_request made;
    bool answered;
    uint16_t status;
    char *type, *body, *headers;
    bool close;
};

struct serving;

struct serving_core {
    struct serving *serving;
    struct cw_service *service;
    struct cw_request *queue, **queue_end;
    struct cw_view text; /* lines that nobody waits for, with padding behind them */
    uint32_t index;
    struct cw_text lines;        /* its decisions */
    int64_t settled_until;       /* all before it was said to be settled */
    uint32_t early;              /* decisions made after that, of a time before it */
    struct cw_histogram flushes; /* of its disk: one, of 3 ms */
};

struct serving {
    struct fixture f;
    struct cw_programs *programs;
    struct cw_zones *zones;
    struct cw_templates *templates;
    struct cw_mesh *mesh;
    uint32_t shards;
    struct cw_shard shard[SERVING_SHARDS_MAX];
    struct serving_core core[SERVING_SHARDS_MAX];
    int64_t now;
    int64_t latest; /* what a wall clock says that is not believed; 0: there is none */
    _Atomic uint64_t ns; /* atomic where shards may run in threads */
    bool ended;
    struct asked *asked; /* by token */
    uint32_t count;
    _Atomic uint32_t answered;
    uint64_t stalled_s; /* for so long the disk has not answered */
    uint32_t letters;   /* dead ones */
    struct cw_text letter;
    /* Messages. */
    bool channel_full;
    uint32_t posts;
    struct cw_text posted;
    struct cw_post_result results[16];
    uint32_t result_count;
    /* Control. */
    bool control_busy;
    uint64_t control_token;
    char control_path[64];
};

struct serving_options {
    const char *yamls[4];
    uint32_t shards; /* 0: 1 */
    bool event_time, channels;
    uint64_t rows_max;
    const struct cw_links *links;
    const char *note;
};

static inline enum cw_poll serving_poll(void *self, uint32_t shard, uint64_t sequence,
                                        struct cw_chunk *chunk)
{
    struct serving *s = self;
    struct serving_core *core = &s->core[shard];
    if (core->text.data != NULL) {
        *chunk = (struct cw_chunk){
            .sequence = sequence, .text = core->text.data, .bytes = core->text.bytes};
        core->text = (struct cw_view){0};
        return CW_POLL_READY;
    }
    if (core->queue == NULL) {
        return s->ended ? CW_POLL_END : CW_POLL_LATER;
    }
    *chunk = (struct cw_chunk){.sequence = sequence, .requests = core->queue};
    core->queue = NULL;
    core->queue_end = &core->queue;
    return CW_POLL_READY;
}

static inline void serving_done(void *self, uint32_t shard, const struct cw_chunk *chunk)
{
    (void)self;
    (void)shard;
    (void)chunk;
}

static inline char *copy_view(struct cw_view view)
{
    char *text = malloc(view.bytes + 1u);
    if (view.bytes > 0) {
        memcpy(text, view.data, view.bytes);
    }
    text[view.bytes] = '\0';
    return text;
}

static inline void serving_answer(void *self, uint64_t token, const struct cw_answer *answer)
{
    struct serving *s = ((struct serving_core *)self)->serving;
    CW_ASSERT(token < s->count);
    struct asked *asked = &s->asked[token];
    CW_ASSERT(!asked->answered);
    asked->answered = true;
    asked->status = answer->status;
    asked->type = copy_view(answer->type);
    asked->body = copy_view(answer->body);
    asked->close = answer->close;
    struct cw_text headers = {0};
    for (uint32_t i = 0; i < answer->header_count; i++) {
        cw_text_view(&headers, answer->headers[i].name);
        cw_text_puts(&headers, ": ");
        cw_text_view(&headers, answer->headers[i].value);
        cw_text_char(&headers, '\n');
    }
    asked->headers = copy_view((struct cw_view){headers.data, (uint32_t)headers.bytes});
    cw_text_deinit(&headers);
    s->answered++;
    request_close(&asked->made);
}

static inline void serving_settled(void *self, uint64_t sequence, int64_t until, bool end)
{
    struct serving_core *core = self;
    (void)sequence;
    (void)end;
    core->settled_until = until;
}

static inline void serving_decide(void *self, const struct cw_decision *decision)
{
    struct serving_core *core = self;
    core->early += decision->at < core->settled_until;
    cw_decision_write(decision, &core->lines);
}

static inline int64_t serving_now(void *self)
{
    return ((struct serving_core *)self)->serving->now;
}

static inline uint64_t serving_ns(void *self)
{
    return atomic_fetch_add(&((struct serving_core *)self)->serving->ns, 1000) + 1000;
}

static inline int64_t serving_latest(void *self)
{
    const struct serving *s = ((struct serving_core *)self)->serving;
    return s->latest > s->now ? s->latest : s->now;
}

static inline void serving_letter(void *self, int64_t at, struct cw_view text,
                                  struct cw_view reason)
{
    struct serving *s = ((struct serving_core *)self)->serving;
    (void)at;
    s->letters++;
    cw_text_clear(&s->letter);
    cw_text_view(&s->letter, text);
    cw_text_char(&s->letter, '|');
    cw_text_view(&s->letter, reason);
    (void)cw_text_terminate(&s->letter);
}

static inline bool serving_post(void *self, uint32_t channel, const struct cw_post *post)
{
    struct serving *s = self;
    if (s->channel_full) {
        return false;
    }
    s->posts++;
    cw_text_printf(&s->posted, "%u %.*s to=%.*s subject=%.*s text=%.*s key=%.36s attempt=%u",
                   channel, (int)post->kind.bytes, post->kind.data, (int)post->to.bytes,
                   post->to.data, (int)post->subject.bytes, post->subject.data,
                   (int)post->text.bytes, post->text.data, post->key, post->attempt);
    for (uint32_t i = 0; i < post->fact_count; i++) {
        cw_text_printf(&s->posted, " %.*s=%.*s", (int)post->facts[i].name.bytes,
                       post->facts[i].name.data, (int)post->facts[i].value.bytes,
                       post->facts[i].value.data);
    }
    cw_text_char(&s->posted, '\n');
    (void)cw_text_terminate(&s->posted);
    return true;
}

static inline bool serving_result(void *self, uint32_t shard, struct cw_post_result *result)
{
    struct serving *s = self;
    for (uint32_t i = 0; i < s->result_count; i++) {
        if (s->results[i].shard == shard) {
            *result = s->results[i];
            s->results[i] = s->results[--s->result_count];
            return true;
        }
    }
    return false;
}

static inline bool serving_collapses(void *self, uint32_t channel)
{
    (void)self;
    return channel == CW_CHANNEL_PUSH;
}

static inline bool serving_control(void *self, const struct cw_request *request)
{
    struct serving *s = ((struct serving_core *)self)->serving;
    s->control_token = request->token;
    (void)snprintf(s->control_path, sizeof s->control_path, "%.*s", (int)request->path.bytes,
                   request->path.data);
    return !s->control_busy;
}

static inline bool serving_counter(void *self, uint32_t index, const char **name, const char **help,
                                   uint64_t *value)
{
    (void)self;
    if (index > 1) {
        return false;
    }
    *name = index == 0 ? "connections_accepted" : "bytes_read";
    *help = index == 0 ? "Connections accepted" : "Bytes read";
    *value = index == 0 ? 7 : 1000;
    return true;
}

static inline uint64_t serving_stalled(void *self)
{
    return ((struct serving_core *)self)->serving->stalled_s;
}

static inline const struct cw_histogram *serving_flushes(void *self)
{
    return &((struct serving_core *)self)->flushes;
}

static inline bool serving_templates(struct serving *s)
{
    static const char html[] = "<p>Hi {{customerName}}</p>";
    static const char text[] = "Hi {{customerName}}";
    struct cw_fault *fault = &s->f.fault;
    return cw_templates_open(&s->templates, fault) == CW_ERR_OK &&
           cw_templates_add(s->templates, CW_VIEW("cart-recovery-v3.html"), CW_VIEW(html), fault) ==
               CW_ERR_OK &&
           cw_templates_add(s->templates, CW_VIEW("cart-recovery-v3.txt"), CW_VIEW(text), fault) ==
               CW_ERR_OK;
}

static inline struct cw_service_options serving_service(struct serving *s, uint32_t index,
                                                        const struct serving_options *options)
{
    struct serving_core *core = &s->core[index];
    struct cw_service_options service = {
        .pipeline = {.programs = s->programs,
                     .zones = s->zones,
                     .port = {.self = core, .decide = serving_decide},
                     .core = index,
                     .partitions = 256,
                     .event_bytes_max = CW_EVENT_BYTES_MAX,
                     .hash = {77, 88},
                     .start_ms = 0,
                     .rows_max = options->rows_max != 0 ? options->rows_max : 1u << 20,
                     .bytes_max = 1u << 30,
                     .shop_link = CW_VIEW("https://shop.example/cart"),
                     .shop_name = CW_VIEW("Tom's <Shop> & Co"),
                     .links = options->links},
        .shards = s->shards,
        .templates = s->templates,
        .now_ms = serving_now,
        .latest_ms = serving_latest,
        .event_time = options->event_time,
        .monotonic_ns = serving_ns,
        .answer = serving_answer,
        .control = serving_control,
        .dead_letter = serving_letter,
        .counter = serving_counter,
        .settled = serving_settled,
        .stalled_s = serving_stalled,
        .flushes = serving_flushes,
        .durability = "os",
        .version = "1.2.3",
        .note = options->note,
        .self = core};
    if (options->channels) {
        service.channels = (struct cw_channel_port){.self = s,
                                                    .post = serving_post,
                                                    .result = serving_result,
                                                    .collapses = serving_collapses};
    }
    return service;
}

static inline bool serving_open(struct serving *s, const struct serving_options *options)
{
    memset(s, 0, sizeof *s);
    struct cw_program_file files[4];
    uint32_t count = 0;
    for (; count < 4 && options->yamls[count] != NULL; count++) {
        const char *yaml = options->yamls[count];
        files[count] =
            (struct cw_program_file){.path = "p.yaml", .yaml = {yaml, (uint32_t)strlen(yaml)}};
    }
    if (!fixture_open(&s->f)) {
        return false;
    }
    struct cw_fault *fault = &s->f.fault;
    struct cw_program_needs needs = fixture_needs(&s->f);
    s->shards = options->shards == 0 ? 1 : options->shards;
    s->now = SERVING_START;
    s->asked = calloc(SERVING_TOKENS_MAX, sizeof *s->asked);
    if (cw_programs_load(&s->programs, files, count, &needs, &s->f.problems, fault) != CW_ERR_OK ||
        cw_zones_open(&s->zones, "/usr/share/zoneinfo", fault) != CW_ERR_OK ||
        cw_mesh_open(&s->mesh, s->shards, fault) != CW_ERR_OK || !serving_templates(s)) {
        return false;
    }
    for (uint32_t i = 0; i < s->shards; i++) {
        struct serving_core *core = &s->core[i];
        core->serving = s;
        core->index = i;
        core->queue_end = &core->queue;
        cw_histogram_add(&core->flushes, 3000000);
        struct cw_service_options service = serving_service(s, i, options);
        if (cw_service_open(&core->service, &service, fault) != CW_ERR_OK) {
            return false;
        }
        s->shard[i] =
            (struct cw_shard){.index = i,
                              .mesh = s->mesh,
                              .source = {.self = s, .take = serving_poll, .done = serving_done},
                              .app = cw_service_app(core->service)};
        cw_shard_init(&s->shard[i]);
    }
    return true;
}

static inline void serving_close(struct serving *s)
{
    for (uint32_t i = 0; i < s->shards; i++) {
        CW_ASSERT(cw_pipeline_check(cw_service_pipeline(s->core[i].service)));
        cw_service_close(s->core[i].service);
        cw_text_deinit(&s->core[i].lines);
    }
    cw_mesh_close(s->mesh);
    cw_templates_close(s->templates);
    cw_zones_close(s->zones);
    cw_programs_close(s->programs);
    fixture_close(&s->f);
    for (uint32_t i = 0; i < s->count; i++) {
        request_close(&s->asked[i].made);
        free(s->asked[i].type);
        free(s->asked[i].body);
        free(s->asked[i].headers);
    }
    free(s->asked);
    cw_text_deinit(&s->letter);
    cw_text_deinit(&s->posted);
}

/* Steps all shards in turn until none has anything to do. */
static inline void serving_run(struct serving *s)
{
    for (uint32_t quiet = 0; quiet < 3;) {
        bool worked = false;
        for (uint32_t i = 0; i < s->shards; i++) {
            worked |= cw_shard_step(&s->shard[i]) == CW_STEP_WORKED;
        }
        quiet = worked ? 0 : quiet + 1;
    }
}

/* Puts a request into a shard's queue; its token. */
static inline uint32_t serving_put(struct serving *s, uint32_t shard, struct made_request *made)
{
    CW_ASSERT(s->count < SERVING_TOKENS_MAX);
    uint32_t token = s->count++;
    struct asked *asked = &s->asked[token];
    asked->made = *made;
    asked->made.request.token = token;
    asked->made.request.arrived_ns = atomic_fetch_add(&s->ns, 1000) + 1000;
    asked->made.request.headers = asked->made.headers;
    asked->made.request.next = NULL;
    struct serving_core *core = &s->core[shard];
    *core->queue_end = &asked->made.request;
    core->queue_end = &asked->made.request.next;
    return token;
}

static inline uint32_t serving_send(struct serving *s, uint32_t shard, const char *head,
                                    const char *body)
{
    struct made_request made;
    request_make(&made, head, body, strlen(body));
    return serving_put(s, shard, &made);
}

/* Sends a request and waits for its answer. */
static inline const struct asked *serving_ask(struct serving *s, const char *head, const char *body)
{
    uint32_t token = serving_send(s, s->count % s->shards, head, body);
    serving_run(s);
    CW_ASSERT(s->asked[token].answered);
    return &s->asked[token];
}

static inline uint32_t serving_lines(struct serving *s, uint32_t shard, const char *text,
                                     uint64_t line)
{
    struct made_request made;
    request_lines(&made, text, line);
    return serving_put(s, shard, &made);
}

/* How many decisions of all cores hold the text. */
static inline uint32_t serving_count(struct serving *s, const char *text)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < s->shards; i++) {
        const char *at = cw_text_terminate(&s->core[i].lines);
        while ((at = strstr(at, text)) != NULL) {
            count++;
            at += strlen(text);
        }
    }
    return count;
}

#endif
