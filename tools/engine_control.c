/* engine_control: what the control plane does while the cores serve: reloads, looks into the
   outbox, writes what was refused; what takes long is engine_task.c's. */
#include "io/outbox.h"
#include "pipeline/request.h"
#include "tools/engine_priv.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum {
    OUTBOX_LISTED = 200, /* where nobody asks for another number */
    OUTBOX_LISTED_MAX = 1000,
    RELOAD_WAIT_MS = 2000
};

static struct cw_view view_of(const char *text)
{
    return (struct cw_view){text, (uint32_t)strlen(text)};
}

/* Closes what was there before the last reload, once no core uses it; true when nothing is left. */
static bool let_go(struct cw_engine *engine)
{
    for (uint32_t i = 0; engine->retired != NULL && i < engine->count; i++) {
        if (atomic_load(&engine->cores[i].current) != engine->bundle) {
            return false;
        }
    }
    if (engine->retired != NULL) {
        cw_bundle_close(engine->retired);
        engine->retired = NULL;
    }
    return true;
}

int cw_engine_reload_told(struct cw_engine *engine, struct cw_text *told)
{
    struct cw_fault fault;
    struct cw_bundle *next = NULL;
    if (!let_go(engine)) {
        cw_text_puts(told, "a core has not taken over the last reload yet; try again\n");
        return CW_EXIT_FAILURE;
    }
    const struct cw_bundle_sources sources = {.models = engine->options.models,
                                              .templates = engine->options.templates,
                                              .programs = engine->options.programs,
                                              .program_count = engine->options.program_count};
    cw_err err = cw_bundle_open(&next, &sources, engine->count, told, &fault);
    if (err != CW_ERR_OK) {
        (void)cw_failure(&fault);
        cw_text_printf(told, "%s\n", fault.text);
        return err == CW_ERR_INVALID ? CW_EXIT_USAGE : CW_EXIT_FAILURE;
    }
    for (uint32_t i = 0; i < engine->count; i++) {
        atomic_store(&engine->cores[i].next, next);
        cw_server_wake(engine->cores[i].server);
    }
    engine->retired = engine->bundle;
    engine->bundle = next;
    for (uint32_t ms = 0; ms < RELOAD_WAIT_MS && !let_go(engine); ms++) {
        (void)poll(NULL, 0,
                   1); /* each core looks at every turn; one that is held up does so later */
    }
    return CW_EXIT_OK;
}

int cw_engine_reload(struct cw_engine *engine)
{
    struct cw_text told = {0};
    int code = cw_engine_reload_told(engine, &told);
    (void)fprintf(stderr, code == CW_EXIT_OK ? "cartwheel: programs and templates are reloaded\n"
                                             : "cartwheel: nothing was reloaded; what ran before "
                                               "goes on\n");
    cw_text_deinit(&told);
    return code;
}

void cw_engine_refuse(struct cw_reply *reply, uint16_t status, const char *why)
{
    reply->status = status;
    cw_text_clear(&reply->body);
    cw_text_puts(&reply->body, "{\"error\":");
    cw_text_json(&reply->body, view_of(why));
    cw_text_puts(&reply->body, "}\n");
}

static void reply_reload(struct cw_engine *engine, struct cw_reply *reply)
{
    struct cw_text told = {0};
    if (cw_engine_reload_told(engine, &told) == CW_EXIT_OK) {
        cw_text_printf(&reply->body, "{\"programs\":%u}\n", engine->bundle->programs->count);
    } else {
        (void)cw_text_terminate(&told);
        cw_engine_refuse(reply, 422, told.data);
    }
    cw_text_deinit(&told);
}

static const char *outbox_of(const struct cw_engine *engine)
{
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        if (engine->rows[i].type == CW_CHANNEL_OUTBOX) {
            return engine->rows[i].directory.data; /* ended by NUL, whoever gave it */
        }
    }
    return NULL;
}

/* The list's limit; false: it is none, which is answered. */
static bool read_limit(struct cw_view query, uint32_t *limit, struct cw_reply *reply)
{
    struct cw_view text = cw_form_value(query, CW_VIEW("limit"));
    uint32_t number = 0;
    *limit = OUTBOX_LISTED;
    if (text.data == NULL) {
        return true;
    }
    for (uint32_t i = 0; i < text.bytes; i++) {
        bool digit = text.data[i] >= '0' && text.data[i] <= '9';
        number = digit && number <= OUTBOX_LISTED_MAX
                     ? number * 10 + (uint32_t)(text.data[i] - '0')
                     : OUTBOX_LISTED_MAX + 1;
    }
    if (number < 1 || number > OUTBOX_LISTED_MAX) {
        cw_engine_refuse(reply, 400, "limit is a number from 1 to 1000");
        return false;
    }
    *limit = number;
    return true;
}

static void reply_outbox(struct cw_engine *engine, const char *name, struct cw_view query,
                         struct cw_reply *reply)
{
    struct cw_fault fault;
    const char *directory = outbox_of(engine);
    if (directory == NULL) {
        cw_engine_refuse(reply, 404, "no channel writes into an outbox");
        return;
    }
    uint32_t limit = 0;
    if (*name == '\0' && !read_limit(query, &limit, reply)) {
        return;
    }
    cw_err err = *name == '\0' ? cw_outbox_list(directory, limit, &reply->body, &fault)
                               : cw_outbox_read(directory, view_of(name), &reply->body, &fault);
    size_t bytes = strlen(name);
    if (err != CW_ERR_OK) {
        cw_engine_refuse(reply, err == CW_ERR_NOT_FOUND ? 404 : 500, fault.text);
    } else if (bytes > 4 && strcmp(name + bytes - 4, ".eml") == 0) {
        reply->type = "message/rfc822";
    }
}

void cw_engine_reply(struct cw_core *core, struct cw_reply *reply)
{
    bool pushed = cw_ring_push(core->replies, reply);
    while (!pushed && !cw_runtime_try_join(&core->engine->runtime)) { /* until it takes some */
        cw_server_wake(core->server);
        (void)poll(NULL, 0, 1);
        pushed = cw_ring_push(core->replies, reply);
    }
    if (!pushed) { /* nobody waits for it any more */
        cw_text_deinit(&reply->body);
        free(reply);
        return;
    }
    cw_server_wake(core->server);
}

static void reply_erasures(struct cw_engine *engine, struct cw_reply *reply)
{
    struct cw_fault fault;
    reply->type = "application/x-ndjson";
    if (cw_engine_erasure_read(engine, &reply->body, &fault) != CW_ERR_OK) {
        cw_engine_refuse(reply, 500, fault.text);
    }
}

static void answer_note(struct cw_core *core, struct cw_note *note)
{
    static const char outbox[] = "/v1/outbox";
    struct cw_reply *reply = calloc(1, sizeof *reply);
    CW_ASSERT(reply != NULL);
    *reply = (struct cw_reply){.token = note->token, .status = 200, .type = "application/json"};
    enum cw_task_note what = cw_engine_task_note(core, note, reply);
    if (what == CW_TASK_NOTE_LATER) {
        free(note);
        free(reply);
        return;
    }
    if (what == CW_TASK_NOTE_ANSWERED) {
        /* in the reply */
    } else if (strcmp(note->path, "/v1/programs/reload") == 0) {
        reply_reload(core->engine, reply);
    } else if (strcmp(note->path, "/v1/erasures") == 0) {
        reply_erasures(core->engine, reply);
    } else if (strncmp(note->path, outbox, sizeof outbox - 1) == 0) {
        const char *name = note->path + sizeof outbox - 1;
        reply_outbox(core->engine, *name == '/' ? name + 1 : name, view_of(note->query), reply);
    } else {
        cw_engine_refuse(reply, 404, "no such resource");
    }
    free(note);
    cw_engine_reply(core, reply);
}

void cw_engine_tick(struct cw_engine *engine, int also, int timeout_ms)
{
    struct pollfd wait[] = {{.fd = engine->wake, .events = POLLIN}, {.fd = also, .events = POLLIN}};
    (void)poll(wait, 2, timeout_ms);
    eventfd_t count;
    (void)eventfd_read(engine->wake, &count);
    cw_engine_room_tick(engine);
    cw_engine_clock_tick(engine); /* first: a resume that is asked for is of what it sees */
    for (uint32_t i = 0; i < engine->count; i++) {
        struct cw_core *core = &engine->cores[i];
        void *note;
        while (cw_ring_pop(core->notes, &note)) {
            answer_note(core, note);
        }
        char *text = atomic_exchange(&core->remark, NULL);
        if (text != NULL) {
            (void)fprintf(stderr, "cartwheel: %s\n", text);
            free(text);
        }
    }
    (void)let_go(engine);
    cw_engine_task_tick(engine);
    cw_engine_write_letters(engine);
    cw_engine_erasure_tick(engine);
}
