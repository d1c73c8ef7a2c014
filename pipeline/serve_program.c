/* serve_program: the programs, what was decided of each, and pausing them. */
#include "pipeline/request.h"
#include "pipeline/serve_priv.h"

#include <string.h>

static const char *const kinds[CW_DECISION_COUNT] = {
#define CW_X(name, text) text,
    CW_DECISIONS(CW_X)
#undef CW_X
};

static const char *const outcomes[CW_OUTCOME_COUNT] = {
#define CW_X(name, text) text,
    CW_OUTCOMES(CW_X)
#undef CW_X
};

/* ---- all of them ---- */

/* One core's counts, and of which programs: another core may have others for a moment. Copied when
   it is asked, like all that a read shows: what is said then is durable before the answer goes. */
struct counts {
    uint64_t ids[CW_PROGRAMS_MAX]; /* 0 beyond the last */
    struct cw_program_count list[CW_PROGRAMS_MAX];
    uint32_t paused[CW_PROGRAMS_MAX]; /* 1 << enum cw_channel */
};

static uint32_t paused_of(const struct cw_service *service, struct cw_view program)
{
    uint32_t paused = 0;
    for (uint32_t channel = 0; channel < CW_CHANNEL_COUNT; channel++) {
        paused |= (uint32_t)cw_pipeline_paused(service->pipeline, program, (enum cw_channel)channel)
                  << channel;
    }
    return paused;
}

static void look_counts(struct cw_service *service, struct cw_ask *ask, struct cw_arena *arena)
{
    struct counts *counts = cw_arena_zalloc(arena, sizeof *counts, 8);
    memcpy(counts->ids, service->program_ids, service->programs->count * sizeof *counts->ids);
    memcpy(counts->list, service->by_program, sizeof counts->list);
    for (uint32_t i = 0; i < service->programs->count; i++) {
        counts->paused[i] = paused_of(service, service->programs->list[i].id);
    }
    ask->found = true;
    ask->answer = (struct cw_view){(const char *)counts, sizeof *counts};
}

static void add_counts(struct cw_program_count *sum, const struct cw_program_count *part)
{
    for (uint32_t k = 0; k < CW_DECISION_COUNT; k++) {
        sum->kinds[k] += part->kinds[k];
    }
    for (uint32_t k = 0; k < CW_OUTCOME_COUNT; k++) {
        sum->touches[k] += part->touches[k];
    }
}

struct total {
    struct cw_program_count counts;
    uint32_t paused; /* on every core */
};

/* A core's counts, which stand by the program's id. */
static void add_part(const struct cw_service *service, const struct counts *part,
                     struct total *totals)
{
    for (uint32_t i = 0; i < service->programs->count; i++) {
        for (uint32_t k = 0; k < CW_PROGRAMS_MAX; k++) {
            if (part->ids[k] == service->program_ids[i]) {
                add_counts(&totals[i].counts, &part->list[k]);
                totals[i].paused &= part->paused[k];
            }
        }
    }
}

static void sum_counts(const struct cw_service *service, const struct cw_open *open,
                       struct total *totals)
{
    for (uint32_t i = 0; i < CW_PROGRAMS_MAX; i++) {
        totals[i] = (struct total){.paused = UINT32_MAX};
    }
    for (size_t at = 0; at < open->text.bytes; at += sizeof(struct counts)) {
        struct counts part; /* text is not aligned */
        memcpy(&part, open->text.data + at, sizeof part);
        add_part(service, &part, totals);
    }
}

static void write_touches(struct cw_text *out, const struct cw_program *program, uint32_t paused)
{
    cw_text_puts(out, ",\"touches\":[");
    for (uint32_t i = 0; i < program->touch_count; i++) {
        const struct cw_touch *touch = &program->touches[i];
        cw_text_printf(out, "%s{\"touch\":%u,\"channelId\":", i > 0 ? "," : "", i + 1);
        cw_text_json(out, touch->channel_id);
        cw_text_printf(out,
                       ",\"channel\":\"%s\",\"delayMinutes\":", cw_channel_name(touch->channel));
        cw_text_number(out, (double)touch->delay_ms / (double)CW_MINUTE_MS);
        cw_text_puts(out, (paused >> (uint32_t)touch->channel & 1u) != 0 ? ",\"paused\":true}"
                                                                         : ",\"paused\":false}");
    }
    cw_text_char(out, ']');
}

static void write_names(struct cw_text *out, const char *what, const char *const *names,
                        const uint64_t *counts, uint32_t count)
{
    cw_text_printf(out, ",\"%s\":{", what);
    for (uint32_t i = 0; i < count; i++) {
        cw_text_printf(out, "%s\"%s\":", i > 0 ? "," : "", names[i]);
        cw_text_u64(out, counts[i]);
    }
    cw_text_char(out, '}');
}

static void finish_counts(struct cw_service *service, struct cw_open *open)
{
    struct total totals[CW_PROGRAMS_MAX];
    sum_counts(service, open, totals);
    struct cw_text *out = &service->answer;
    cw_text_clear(out);
    cw_text_puts(out, "{\"programs\":[");
    for (uint32_t i = 0; i < service->programs->count; i++) {
        const struct cw_program *program = &service->programs->list[i];
        cw_text_puts(out, i > 0 ? ",{\"programId\":" : "{\"programId\":");
        cw_text_json(out, program->id);
        cw_text_puts(out, ",\"programName\":");
        cw_text_json(out, program->name);
        cw_text_puts(out, program->enabled ? ",\"enabled\":true" : ",\"enabled\":false");
        write_touches(out, program, totals[i].paused);
        write_names(out, "decisions", kinds, totals[i].counts.kinds, CW_DECISION_INVALID);
        write_names(out, "outcomes", outcomes, totals[i].counts.touches, CW_OUTCOME_COUNT);
        cw_text_char(out, '}');
    }
    cw_text_puts(out, "]}");
    cw_service_answer_json(service, &open->request, 200);
}

static const struct cw_question counting = {look_counts, cw_serve_gather, finish_counts, true};

void cw_serve_programs(struct cw_service *service, const struct cw_call *call)
{
    struct cw_open *open = cw_serve_question(service, call, &counting);
    if (open != NULL) {
        cw_serve_ask_all(service, open, NULL);
        cw_open_ready(service, open);
    }
}

/* ---- pausing ---- */

struct change {
    char program[CW_ID_BYTES_MAX];
    uint32_t program_bytes;
    enum cw_channel channel; /* CW_CHANNEL_COUNT: all */
    bool paused;
};

static_assert(sizeof(struct change) <= sizeof((struct cw_open *)0)->room, "a change has room");

static void look_pause(struct cw_service *service, struct cw_ask *ask, struct cw_arena *arena)
{
    const struct change *change = ask->what;
    struct cw_view id = {change->program, change->program_bytes};
    (void)arena;
    ask->found = cw_pipeline_pause(service->pipeline, id, change->channel, change->paused);
}

static void finish_pause(struct cw_service *service, struct cw_open *open)
{
    const struct change *change = (const struct change *)(const void *)open->room;
    if (open->found == 0) {
        cw_serve_refuse(service, &open->request, 404, "there is no such program");
        return;
    }
    struct cw_text *out = &service->answer;
    cw_text_clear(out);
    cw_text_puts(out, "{\"programId\":");
    cw_text_json(out, (struct cw_view){change->program, change->program_bytes});
    cw_text_printf(out, ",\"channel\":\"%s\",\"paused\":%s}",
                   change->channel == CW_CHANNEL_COUNT ? "all" : cw_channel_name(change->channel),
                   change->paused ? "true" : "false");
    cw_service_answer_json(service, &open->request, 200);
}

static const struct cw_question pausing = {look_pause, cw_serve_gather, finish_pause, false};

static void serve_change(struct cw_service *service, const struct cw_call *call, bool paused)
{
    struct change change = {.channel = CW_CHANNEL_COUNT, .paused = paused};
    char room[16];
    char id[CW_ID_BYTES_MAX * 3];
    struct cw_view channel, program;
    if (!cw_serve_query(service, call->request, "channel", room, sizeof room, &channel)) {
        return;
    }
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT && channel.data != NULL; i++) {
        const char *name = cw_channel_name((enum cw_channel)i);
        if (cw_view_equal(channel, (struct cw_view){name, (uint32_t)strlen(name)})) {
            change.channel = (enum cw_channel)i;
        }
    }
    if (channel.data != NULL && change.channel == CW_CHANNEL_COUNT) {
        cw_serve_refuse(service, call->request, 400, "channel is email, sms or push");
        return;
    }
    if (call->params[0].bytes > sizeof id ||
        !cw_percent_decode(call->params[0], false, id, &program) ||
        program.bytes > CW_ID_BYTES_MAX) {
        cw_serve_refuse(service, call->request, 404, "there is no such program");
        return;
    }
    memcpy(change.program, program.data, program.bytes);
    change.program_bytes = program.bytes;
    struct cw_open *open = cw_serve_question(service, call, &pausing);
    if (open != NULL) {
        memcpy(open->room, &change, sizeof change);
        cw_serve_ask_all(service, open, open->room);
        cw_open_ready(service, open);
    }
}

void cw_serve_pause(struct cw_service *service, const struct cw_call *call)
{
    serve_change(service, call, true);
}

void cw_serve_resume(struct cw_service *service, const struct cw_call *call)
{
    serve_change(service, call, false);
}
