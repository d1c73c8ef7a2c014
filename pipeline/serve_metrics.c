/*
 * serve_metrics: /metrics, in the text format of Prometheus 0.0.4 or in OpenMetrics 1.0, whichever
 * the scraper prefers.
 *
 * Every core copies its counters into its batch; they are summed at home, so no counter is shared.
 * What they say may be lost until the batch's commit is durable, so while a disk does not answer
 * only that is told.
 */
#include "core/format.h"
#include "pipeline/request.h"
#include "pipeline/serve_priv.h"

#include <string.h>

enum {
    SERVER_COUNTERS_MAX = 96,
#define CW_X(name) +1 /* NOLINT(bugprone-macro-parentheses): a part of a sum */
    TABLES = 0 CW_TABLES(CW_X)
#undef CW_X
};

struct server_counter {
    const char *name, *help; /* literals */
    uint64_t value;
};

/* One core's counters. */
struct report {
    struct cw_fates fates;
    struct cw_served served;
    uint64_t rows[TABLES], bytes[TABLES];
    uint64_t timers, open;
    struct cw_histogram latencies[CW_LATENCY_COUNT], flushes;
    struct server_counter server[SERVER_COUNTERS_MAX];
    uint32_t server_count;
};

static const char *const tables[TABLES] = {
#define CW_X(name) #name,
    CW_TABLES(CW_X)
#undef CW_X
};

static void look_report(struct cw_service *service, struct cw_ask *ask, struct cw_arena *arena)
{
    const struct cw_pipeline *p = service->pipeline;
    const struct cw_table *const list[TABLES] = {
#define CW_X(name) p->name,
        CW_TABLES(CW_X)
#undef CW_X
    };
    struct report *report = cw_arena_zalloc(arena, sizeof *report, 8);
    report->fates = *cw_pipeline_fates(p);
    report->served = service->served;
    for (uint32_t i = 0; i < TABLES; i++) {
        struct cw_table_stats stats;
        cw_table_stats(list[i], &stats);
        report->rows[i] = stats.rows;
        report->bytes[i] = stats.row_bytes_used;
    }
    report->timers = cw_wheel_count(p->wheel);
    report->open = service->open_count;
    memcpy(report->latencies, service->latencies, sizeof report->latencies);
    const struct cw_histogram *flushes =
        service->options.flushes != NULL ? service->options.flushes(service->options.self) : NULL;
    if (flushes != NULL) {
        report->flushes = *flushes;
    }
    while (service->options.counter != NULL && report->server_count < SERVER_COUNTERS_MAX) {
        struct server_counter *counter = &report->server[report->server_count];
        if (!service->options.counter(service->options.self, report->server_count, &counter->name,
                                      &counter->help, &counter->value)) {
            break;
        }
        report->server_count++;
    }
    ask->found = true;
    ask->answer = (struct cw_view){(const char *)report, sizeof *report};
}

static void add_words(void *sum, const void *part, size_t bytes)
{
    CW_ASSERT(bytes % sizeof(uint64_t) == 0);
    uint64_t *to = sum;
    const uint64_t *from = part;
    for (size_t i = 0; i < bytes / sizeof(uint64_t); i++) {
        to[i] += from[i];
    }
}

static void add_report(struct report *sum, const struct report *part)
{
    cw_fates_add(&sum->fates, &part->fates);
    add_words(&sum->served, &part->served, sizeof sum->served);
    add_words(sum->rows, part->rows, sizeof sum->rows);
    add_words(sum->bytes, part->bytes, sizeof sum->bytes);
    sum->timers += part->timers;
    sum->open += part->open;
    for (uint32_t i = 0; i < CW_LATENCY_COUNT; i++) {
        cw_histogram_merge(&sum->latencies[i], &part->latencies[i]);
    }
    cw_histogram_merge(&sum->flushes, &part->flushes);
    for (uint32_t i = 0; i < part->server_count; i++) {
        if (i >= sum->server_count) {
            sum->server[i] = part->server[i];
            sum->server_count = i + 1;
        } else {
            sum->server[i].value += part->server[i].value;
        }
    }
}

/* ---- writing ---- */

struct exposition {
    struct cw_text *out;
    bool open; /* OpenMetrics */
    const char *name;
    bool counter;
};

/* Begins a family; name without cartwheel_ and _total. */
static void family(struct exposition *e, const char *name, const char *type, const char *help)
{
    e->name = name;
    e->counter = strcmp(type, "counter") == 0;
    const char *suffix = e->counter && !e->open ? "_total" : "";
    cw_text_printf(e->out, "# HELP cartwheel_%s%s %s\n# TYPE cartwheel_%s%s %s\n", name, suffix,
                   help, name, suffix, type);
}

static void sample(struct exposition *e, const char *label, const char *value, uint64_t number)
{
    cw_text_printf(e->out, "cartwheel_%s%s", e->name, e->counter ? "_total" : "");
    if (label != NULL) {
        cw_text_printf(e->out, "{%s=\"%s\"}", label, value); /* all of them words of our own */
    }
    cw_text_char(e->out, ' ');
    cw_text_u64(e->out, number);
    cw_text_char(e->out, '\n');
}

static void counter(struct exposition *e, const char *name, const char *help, uint64_t number)
{
    family(e, name, "counter", help);
    sample(e, NULL, NULL, number);
}

static void gauge(struct exposition *e, const char *name, const char *help, uint64_t number)
{
    family(e, name, "gauge", help);
    sample(e, NULL, NULL, number);
}

/* One sample for each name that is not NULL. */
/* NOLINTNEXTLINE(readability-function-size): a row of a table each time */
static void counters(struct exposition *e, const char *name, const char *help, const char *label,
                     const char *const *names, const uint64_t *numbers, uint32_t count)
{
    family(e, name, "counter", help);
    for (uint32_t i = 0; i < count; i++) {
        if (names[i] != NULL) {
            sample(e, label, names[i], numbers[i]);
        }
    }
}

/* By touch number, those that were ever counted, and the first at least. */
static void by_touch(struct exposition *e, const char *name, const char *help,
                     const uint64_t *numbers)
{
    family(e, name, "counter", help);
    for (uint32_t i = 1; i <= CW_TOUCHES_MAX; i++) {
        if (numbers[i] > 0 || i == 1) {
            char touch[16];
            (void)cw_format(touch, sizeof touch, "%u", i);
            sample(e, "touch", touch, numbers[i]);
        }
    }
}

#define NAMES(name, list)          static const char *const name[] = {list(CW_X_NAME)};
#define CW_X_NAME(name, text, ...) text,

NAMES(event_fates, CW_EVENT_FATES)
NAMES(item_fates, CW_ITEM_FATES)
NAMES(rejections, CW_REJECTIONS)
NAMES(cancels, CW_CANCELS)
NAMES(channels, CW_CHANNELS)
NAMES(touch_reasons, CW_TOUCH_REASONS)
NAMES(refusals, CW_REFUSALS)

static uint64_t total(const uint64_t *list, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += list[i];
    }
    return sum;
}

static uint64_t less(uint64_t all, uint64_t part)
{
    return all > part ? all - part : 0;
}

static void write_events(struct exposition *e, const struct report *r)
{
    const struct cw_fates *f = &r->fates;
    counter(e, "events_received", "Events that came in, or were made when a session ended.",
            f->received);
    counters(e, "events", "Events by what became of them.", "fate", event_fates, f->events,
             CW_EVENT_FATE_COUNT);
    counter(e, "events_made", "Events made when a session ended.", f->made);
    counters(e, "events_refused", "Invalid events by what was wrong with them.", "reason", refusals,
             r->served.refusals, CW_REFUSAL_COUNT);
    counter(e, "refunds", "Refunds of orders.", f->refunds);
    counter(e, "abandonments_matched", "Abandonments, once for each program that they match.",
            f->items);
    counters(e, "abandonments", "Matched abandonments by what became of them.", "fate", item_fates,
             f->by_item, CW_ITEM_FATE_COUNT);
    counters(e, "rejections", "Abandonments that a filter rejected, by reason.", "reason",
             rejections + 1, f->rejections + 1, CW_REJECTION_COUNT - 1);
    counter(e, "score_cache_hits", "Scores taken from the cache.", f->score_hits);
    counter(e, "score_cache_misses", "Scores worked out.", f->score_misses);
    counter(e, "not_remembered", "Checks of repeated ids lost to a full table.", f->not_remembered);
}

static void write_candidates(struct exposition *e, const struct report *r)
{
    static const char *const ends[] = {"converted", "cancelled", "superseded", "rejected",
                                       "expired"};
    const struct cw_fates *f = &r->fates;
    const uint64_t ended[] = {f->converted, total(f->cancelled, CW_CANCEL_COUNT), f->superseded,
                              f->rejected, f->expired};
    counter(e, "candidates_created", "Candidates created.", f->created);
    counter(e, "candidates_held_out", "Candidates of the holdout share, which get no touches.",
            f->holdouts);
    counters(e, "candidates_ended", "Candidates that ended, by how.", "status", ends, ended,
             CW_COUNTOF(ended));
    counters(e, "candidates_cancelled", "Candidates cancelled, by reason.", "reason", cancels,
             f->cancelled, CW_CANCEL_COUNT);
    gauge(e, "candidates_in_flight", "Candidates in flight.",
          less(f->created, total(ended, CW_COUNTOF(ended))));
    family(e, "conversions", "counter", "Conversions by the touch they are attributed to.");
    for (uint32_t i = 0; i <= CW_TOUCHES_MAX; i++) {
        if (i == 0) {
            sample(e, "attributed_to", "organic", f->attributed[0]);
        } else if (f->attributed[i] > 0) {
            char touch[16];
            (void)cw_format(touch, sizeof touch, "%u", i);
            sample(e, "attributed_to", touch, f->attributed[i]);
        }
    }
    sample(e, "attributed_to", "holdout", f->attributed_holdout);
}

static void write_touches(struct exposition *e, const struct report *r)
{
    const struct cw_fates *f = &r->fates;
    uint64_t done = total(f->sent, CW_CHANNEL_COUNT) + total(f->skipped, CW_TOUCH_REASON_COUNT) +
                    f->failed + f->unknown + f->cut_off + f->sending;
    counter(e, "touches_planned", "Touches planned.", f->planned);
    gauge(e, "touches_pending", "Touches still to come.", less(f->planned, done));
    gauge(e, "touches_sending", "Touches whose channel has not told a result yet.", f->sending);
    counters(e, "touches_sent", "Messages sent, by channel.", "channel", channels, f->sent,
             CW_CHANNEL_COUNT);
    counters(e, "touches_skipped", "Touches not sent, by reason.", "reason", touch_reasons + 1,
             f->skipped + 1, CW_TOUCH_REASON_COUNT - 1);
    counters(e, "touches_deferred", "Times that a touch was put off, by reason.", "reason",
             touch_reasons + 1, f->deferred + 1, CW_TOUCH_REASON_COUNT - 1);
    counter(e, "touches_failed", "Touches that could not be sent.", f->failed);
    counter(e, "touches_unknown", "Touches of which nobody knows whether they were sent.",
            f->unknown);
    counter(e, "touches_cut_off", "Touches that their journey's end made needless.", f->cut_off);
    by_touch(e, "sent_by_touch", "Messages sent, by touch number.", f->sent_by_touch);
    by_touch(e, "delivered_by_touch", "Messages told to be delivered, by touch number.",
             f->delivered);
    by_touch(e, "opened_by_touch", "Messages likely opened by a person, by touch number.",
             f->opened);
    by_touch(e, "clicked_by_touch", "Messages likely clicked by a person, by touch number.",
             f->clicked);
    by_touch(e, "opens_raw", "Opens as often as they came, by touch number.", f->opened_raw);
    by_touch(e, "clicks_raw", "Clicks as often as they came, by touch number.", f->clicked_raw);
    counter(e, "links_left_out", "Messages whose short links would be too long.",
            f->links_left_out);
}

static void write_state(struct exposition *e, const struct report *r)
{
    family(e, "table_rows", "gauge", "Rows of the state, by table.");
    for (uint32_t i = 0; i < TABLES; i++) {
        sample(e, "table", tables[i], r->rows[i]);
    }
    family(e, "table_bytes", "gauge", "Bytes of those rows, by table.");
    for (uint32_t i = 0; i < TABLES; i++) {
        sample(e, "table", tables[i], r->bytes[i]);
    }
    gauge(e, "timers", "Timers set.", r->timers);
}

static void write_served(struct exposition *e, const struct report *r)
{
    static const char *const classes[] = {NULL, NULL, "2xx", "3xx", "4xx", "5xx"};
    static const char *const kinds[] = {"open", "click", "unsubscribe"};
    static const char *const results[] = {"sent", "refused", "later", "unknown"};
    const struct cw_served *s = &r->served;
    counter(e, "requests", "Requests taken, over HTTP and TCP.", s->requests);
    counters(e, "answers", "Answers by the class of their status.", "status", classes, s->answers,
             CW_COUNTOF(classes));
    counter(e, "requests_busy", "Requests refused because there was no room.", s->busy);
    counter(e, "requests_drained", "Requests refused while shutting down.", s->drained);
    gauge(e, "requests_open", "Requests not answered yet.", r->open);
    counters(e, "posts", "Messages handed to a channel, attempts included.", "channel", channels,
             s->posted, CW_CHANNEL_COUNT);
    counters(e, "posts_full", "Messages that a channel had no room for.", "channel", channels,
             s->channel_full, CW_CHANNEL_COUNT);
    counters(e, "post_results", "What channels told of attempts.", "outcome", results,
             r->fates.results, CW_COUNTOF(results));
    counter(e, "post_results_stray", "Told of messages that were not under way.",
            r->fates.stray_results);
    counter(e, "posts_unrendered", "Messages that could not be rendered.", s->unrendered);
    counters(e, "visits", "Links followed and pictures loaded, by kind.", "kind", kinds, s->visits,
             CW_COUNTOF(kinds));
    counter(e, "visits_by_machines", "Those that look like a scanner's or a mail proxy's.",
            s->machine_visits);
}

/* What comes with the server's counters and is not the server's. */
static bool is_of_server(const char *name)
{
    static const char *const others[] = {"store_", "clock_", "memory_"};
    bool server = true;
    for (uint32_t i = 0; i < CW_COUNTOF(others); i++) {
        server = server && strncmp(name, others[i], strlen(others[i])) != 0;
    }
    return server;
}

static void write_server(struct exposition *e, const struct report *r)
{
    static const char suffix[] = "_total";
    for (uint32_t i = 0; i < r->server_count; i++) {
        const struct server_counter *from = &r->server[i];
        char name[128];
        uint32_t bytes = cw_format(name, sizeof name, is_of_server(from->name) ? "server_%s" : "%s",
                                   from->name);
        bool counts = bytes > sizeof suffix && strcmp(name + bytes - 6, suffix) == 0;
        if (counts) {
            name[bytes - 6] = '\0';
        }
        family(e, name, counts ? "counter" : "gauge", from->help);
        sample(e, NULL, NULL, from->value);
    }
    e->name = NULL; /* the last family's ends here */
}

static void write_histogram(struct exposition *e, const char *name, const char *help,
                            const struct cw_histogram *h)
{
    static const struct {
        uint64_t ns;
        const char *seconds;
    } limits[] = {{10000, "1e-05"},         {25000, "2.5e-05"},    {50000, "5e-05"},
                  {100000, "0.0001"},       {250000, "0.00025"},   {500000, "0.0005"},
                  {1000000, "0.001"},       {2500000, "0.0025"},   {5000000, "0.005"},
                  {10000000, "0.01"},       {25000000, "0.025"},   {50000000, "0.05"},
                  {100000000, "0.1"},       {250000000, "0.25"},   {500000000, "0.5"},
                  {1000000000, "1.0"},      {2500000000, "2.5"},   {5000000000, "5.0"},
                  {10000000000, "10.0"},    {60000000000, "60.0"}, {600000000000, "600.0"},
                  {3600000000000, "3600.0"}};

    cw_text_printf(e->out,
                   "# HELP cartwheel_%s_seconds %s.\n# TYPE cartwheel_%s_seconds histogram\n", name,
                   help, name);
    for (uint32_t i = 0; i < CW_COUNTOF(limits); i++) {
        cw_text_printf(e->out, "cartwheel_%s_seconds_bucket{le=\"%s\"} ", name, limits[i].seconds);
        cw_text_u64(e->out, cw_histogram_at_most(h, limits[i].ns));
        cw_text_char(e->out, '\n');
    }
    cw_text_printf(e->out, "cartwheel_%s_seconds_bucket{le=\"+Inf\"} ", name);
    cw_text_u64(e->out, h->count);
    cw_text_printf(e->out, "\ncartwheel_%s_seconds_sum ", name);
    cw_text_number(e->out, (double)h->sum / 1e9);
    cw_text_printf(e->out, "\ncartwheel_%s_seconds_count ", name);
    cw_text_u64(e->out, h->count);
    cw_text_char(e->out, '\n');
}

static void write_build(struct exposition *e, const char *version)
{
    family(e, "build_info", "gauge", "The version that runs; always 1.");
    cw_text_puts(e->out, "cartwheel_build_info{version=");
    cw_text_json(e->out, (struct cw_view){version, (uint32_t)strlen(version)});
    cw_text_puts(e->out, "} 1\n");
}

static void write_stalled(struct exposition *e, uint64_t seconds)
{
    gauge(e, "disk_stalled_seconds",
          "How long the disk of some core has not answered; 0: it does. Else nothing but this is "
          "told.",
          seconds);
}

static struct exposition begin(struct cw_service *service, const struct cw_request *request)
{
    struct cw_view accept = cw_request_header(request, CW_VIEW("accept"));
    bool prefers = cw_media_quality(accept, CW_VIEW("application/openmetrics-text")) >
                   cw_media_quality(accept, CW_VIEW("text/plain"));
    struct exposition e = {.out = &service->answer, .open = accept.data != NULL && prefers};
    cw_text_clear(e.out);
    write_build(&e, service->options.version != NULL ? service->options.version : "");
    return e;
}

static void end(struct cw_service *service, const struct cw_request *request,
                const struct exposition *e)
{
    if (e->open) {
        cw_text_puts(e->out, "# EOF\n");
    }
    cw_service_answer(service, request, 200,
                      e->open
                          ? CW_VIEW("application/openmetrics-text; version=1.0.0; charset=utf-8")
                          : CW_VIEW("text/plain; version=0.0.4; charset=utf-8"),
                      (struct cw_view){e->out->data, (uint32_t)e->out->bytes}, NULL, 0);
}

static void finish_report(struct cw_service *service, struct cw_open *open)
{
    struct report *sum =
        (struct report *)(void *)cw_arena_zalloc(&service->scratch, 2 * sizeof *sum, CW_CACHE_LINE);
    struct report *part = sum + 1; /* text is not aligned */
    for (size_t at = 0; at < open->text.bytes; at += sizeof *part) {
        memcpy(part, open->text.data + at, sizeof *part);
        add_report(sum, part);
    }
    struct exposition e = begin(service, &open->request);
    write_events(&e, sum);
    write_candidates(&e, sum);
    write_touches(&e, sum);
    write_state(&e, sum);
    write_served(&e, sum);
    if (service->options.stalled_s != NULL) { /* what is told now was durable a moment ago */
        write_stalled(&e, 0);
    }
    write_server(&e, sum);
#define CW_X(name, metric, help) \
    write_histogram(&e, metric, help, &sum->latencies[CW_LATENCY_##name]);
    CW_LATENCIES(CW_X)
#undef CW_X
    if (service->options.flushes != NULL) {
        write_histogram(&e, "disk_flush", "From a commit's write to the end of its flush",
                        &sum->flushes);
    }
    end(service, &open->request, &e);
    cw_arena_reset(&service->scratch);
}

static const struct cw_question reporting = {look_report, cw_serve_gather, finish_report, true};

void cw_serve_metrics(struct cw_service *service, const struct cw_call *call)
{
    uint64_t stalled_s = cw_service_stalled_s(service);
    if (stalled_s > 0) { /* no core's counters come home before the disk answers */
        struct exposition e = begin(service, call->request);
        write_stalled(&e, stalled_s);
        end(service, call->request, &e);
        return;
    }
    struct cw_open *open = cw_serve_question(service, call, &reporting);
    if (open != NULL) {
        cw_serve_ask_all(service, open, NULL);
        cw_open_ready(service, open);
    }
}
