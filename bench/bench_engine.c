/*
 * bench_engine: the live engine from end to end: `cartwheel run` in a fresh directory, driven by
 * `cartwheel load` over loopback, on the same machine. Each kind of durability has its turn in
 * each repeat, so that what the machine does meanwhile is the same for all of them.
 */
#define _GNU_SOURCE 1
#include "bench/bench.h"
#include "bench/engine.h"
#include "core/time.h"
#include "io/clock.h"

#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    DURABILITIES = 3
};

static const char *const durabilities[DURABILITIES] = {"fsync", "os", "none"};

/* What a row of rates or a search is of. */
struct kind {
    enum cw_bench_way way;
    uint32_t batch, connections;
    double rate;   /* offered; of a search: where it begins */
    uint32_t tiny; /* which durability --tiny tries */
};

/* ---- engine.put_events_5k and so on ---- */

struct scrape {
    struct cw_bench_buckets answer, scheduled;
};

static bool read_metrics(const struct cw_bench_engine *engine, struct scrape *scrape,
                         struct cw_bench_report *report)
{
    struct cw_text text = {0};
    bool good =
        cw_bench_ask(engine->http, "/metrics", (struct cw_view){0}, &text) == 200 &&
        cw_bench_buckets_read(&text, "cartwheel_event_to_answer_seconds", &scrape->answer) &&
        cw_bench_buckets_read(&text, "cartwheel_event_to_scheduled_seconds", &scrape->scheduled);
    cw_text_deinit(&text);
    if (!good) {
        cw_bench_fail(report, "/metrics does not tell its latencies");
    }
    return good;
}

static void tell_answers(struct cw_bench_report *report, const char *part,
                         const struct cw_bench_answers *answers)
{
    cw_bench_figure(report, part, "events", "/s", answers->achieved);
    cw_bench_figure(report, part, "P50", "us", answers->p50_us);
    cw_bench_figure(report, part, "P99", "us", answers->p99_us);
    cw_bench_figure(report, part, "load late P99", "us", answers->late_p99_us);
    if (answers->errors > 0) {
        cw_bench_note(report, "%s: %.0f events of a repeat had no answer", part, answers->errors);
    }
    if (answers->rejected + answers->duplicate > 0) {
        cw_bench_note(report, "%s: %.0f events of a repeat were rejected, %.0f duplicate", part,
                      answers->rejected, answers->duplicate);
    }
}

static void measure_rate_of(const struct kind *kind, const char *durability,
                            struct cw_bench_report *report, bool tiny)
{
    struct cw_bench_engine engine;
    struct scrape before;
    struct scrape after;
    struct cw_bench_answers answers;
    struct cw_bench_load load = {.way = kind->way,
                                 .batch = kind->batch,
                                 .connections = kind->connections,
                                 .rate = kind->rate,
                                 .seconds = tiny ? 0.1 : 0.7};
    if (!cw_bench_engine_open(&engine, durability, CW_BENCH_SPARE_CPU, report)) {
        return;
    }
    bool good = tiny || cw_bench_load(&engine, &load, &answers, report); /* warms up */
    load.seconds = tiny ? 0.1 : 3;
    double cpu = cw_bench_cpu_seconds(engine.pid);
    good = good && read_metrics(&engine, &before, report) &&
           cw_bench_load(&engine, &load, &answers, report) && read_metrics(&engine, &after, report);
    if (good) {
        cpu = cw_bench_cpu_seconds(engine.pid) - cpu;
        tell_answers(report, durability, &answers);
        cw_bench_figure(report, durability, "engine CPU", "us/event", cpu * 1e6 / answers.answered);
        cw_bench_figure(report, durability, "engine to answer P99 at most", "us",
                        cw_bench_buckets_edge(&before.answer, &after.answer, 0.99));
        cw_bench_figure(report, durability, "to scheduled P99 at most", "us",
                        cw_bench_buckets_edge(&before.scheduled, &after.scheduled, 0.99));
    }
    cw_bench_engine_close(&engine, report);
}

static void measure_rate(const struct cw_bench_probe *probe, void *state,
                         struct cw_bench_report *report, bool tiny)
{
    const struct kind *kind = probe->what;
    (void)state;
    for (uint32_t i = 0; i < DURABILITIES && !report->failed; i++) {
        if (!tiny || i == kind->tiny) {
            measure_rate_of(kind, durabilities[i], report, tiny);
        }
    }
}

/* ---- engine.ingest_* ---- */

enum {
    STEPS_MAX = 14
};

#define P99_US_MAX    100000.0 /* an answer later than this is as good as none */
#define NEAR_ENOUGH   1.12     /* the greatest rate is known to that factor */
#define SEARCH_NS_MAX UINT64_C(40000000000)

struct search {
    double low, high; /* taken; not taken, 0: none yet */
    uint32_t steps;
    bool bound_by_load;
    struct cw_bench_answers best;
};

static bool is_taken(const struct cw_bench_answers *answers)
{
    return answers->errors == 0 && answers->p99_us <= P99_US_MAX;
}

/* Once may have been the machine, unless it was by far too much. */
static bool is_doubtful(const struct cw_bench_answers *answers)
{
    return answers->errors == 0 && answers->p99_us <= 3 * P99_US_MAX;
}

/* A rate is too much when it was twice. */
static bool try_rate(const struct cw_bench_engine *engine, struct cw_bench_load *load,
                     struct search *search, struct cw_bench_report *report)
{
    struct cw_bench_answers answers = {0};
    for (uint32_t i = 0; i < 2; i++) {
        search->steps++;
        if (!cw_bench_load(engine, load, &answers, report)) {
            return false;
        }
        if (is_taken(&answers)) {
            search->low = load->rate;
            search->best = answers;
            return true;
        }
        (void)poll(NULL, 0, 200);
        if (!is_doubtful(&answers)) {
            break;
        }
    }
    search->high = load->rate;
    search->bound_by_load = answers.late_p99_us > P99_US_MAX / 2;
    return true;
}

/* Raises the rate by a factor until it is too much, then halves the gap. */
static bool search_rate(const struct cw_bench_engine *engine, struct cw_bench_load *load,
                        double factor, struct search *search, struct cw_bench_report *report)
{
    uint64_t until = cw_clock_monotonic_ns() + SEARCH_NS_MAX;
    *search = (struct search){.low = 0};
    while (search->steps < STEPS_MAX && cw_clock_monotonic_ns() < until) {
        if (!try_rate(engine, load, search, report)) {
            return false;
        }
        if (search->low > 0 && search->high > 0 && search->high / search->low < NEAR_ENOUGH) {
            break;
        }
        load->rate = search->high == 0  ? search->low * factor
                     : search->low == 0 ? search->high / factor
                                        : sqrt(search->low * search->high);
    }
    return true;
}

static void *begin_ingest(const struct cw_bench_probe *probe, struct cw_bench_report *report,
                          bool tiny)
{
    (void)probe;
    (void)report;
    (void)tiny;
    double *found = calloc(DURABILITIES, sizeof *found); /* by the repeat before */
    CW_ASSERT(found != NULL);
    return found;
}

static void measure_ingest_of(const struct kind *kind, const char *durability, double *found,
                              struct cw_bench_report *report, bool tiny)
{
    struct cw_bench_engine engine;
    struct search search;
    struct cw_bench_load load = {.way = kind->way,
                                 .batch = kind->batch,
                                 .connections = kind->connections,
                                 .rate = *found > 0 ? *found * 0.85 : kind->rate,
                                 .seconds = tiny ? 0.05 : 1.5};
    if (!cw_bench_engine_open(&engine, durability, CW_BENCH_EVERY_CPU, report)) {
        return;
    }
    if (search_rate(&engine, &load, *found > 0 ? 1.25 : 2, &search, report)) {
        if (search.low == 0) {
            cw_bench_fail(report, "%s: not even %.0f events/s are taken", durability, search.high);
        } else {
            *found = search.low;
            tell_answers(report, durability, &search.best);
            cw_bench_figure(report, durability, "too much", "/s", search.high);
            cw_bench_figure(report, durability, "steps", "", search.steps);
        }
        if (search.bound_by_load) {
            cw_bench_note(report, "%s: where it ended, the load itself was late", durability);
        }
    }
    cw_bench_engine_close(&engine, report);
}

static void measure_ingest(const struct cw_bench_probe *probe, void *state,
                           struct cw_bench_report *report, bool tiny)
{
    const struct kind *kind = probe->what;
    double *found = state;
    for (uint32_t i = 0; i < DURABILITIES && !report->failed; i++) {
        if (!tiny || i == kind->tiny) {
            measure_ingest_of(kind, durabilities[i], &found[i], report, tiny);
        }
    }
}

/* ---- engine.snapshot ---- */

enum {
    CUSTOMERS = 300000,
    CUSTOMERS_TINY = 500,
    CUSTOMERS_AT_ONCE = 500, /* two events each */
    TRIES = 100,
    DURING_SECONDS_MAX = 300,
    UNDER_WAY_TRIES = 3000 /* of 10 ms */
};

#define SEARCH_SECONDS 4.0

struct full {
    struct cw_bench_engine engine;
    bool tiny, used;
    double rate;
    uint32_t snapshots; /* names of them */
    struct cw_bench_report *report;
};

/* A customer with what the program asks for, and a cart that was left just now. */
static void put_customer(struct cw_text *out, uint32_t customer, const char *now)
{
    cw_text_printf(
        out,
        "{\"source\":\"ecommerce.customer\",\"detail-type\":\"CustomerUpdated\",\"id\":\"c-%u\","
        "\"time\":\"%s\",\"detail\":{\"customerId\":\"C%u\",\"name\":\"Ada Customer\",\"email\":"
        "\"ada%u@example.org\",\"phone\":\"+15550100\",\"accountStatus\":\"active\","
        "\"paymentMethodOnFile\":true,\"marketplace\":\"US\",\"timezone\":\"America/New_York\","
        "\"purchaseHistory\":15,\"avgOrderValue\":124.71}}\n",
        customer, now, customer, customer);
    cw_text_printf(
        out,
        "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartAbandoned\",\"id\":\"a-%u\","
        "\"time\":\"%s\",\"detail\":{\"customerId\":\"C%u\",\"cartId\":\"CART-%u\",\"cartValue\":"
        "112.99,\"itemCount\":1,\"items\":[{\"id\":\"P112\",\"name\":\"Sneakers\",\"price\":112.99,"
        "\"quantity\":1}],\"currency\":\"USD\",\"marketplace\":\"US\"}}\n",
        customer, now, customer, customer);
}

static bool fill(struct full *full, uint32_t customers, struct cw_bench_report *report)
{
    struct cw_text body = {0};
    struct cw_text answer = {0};
    char now[CW_TIME_BYTES + 1];
    uint16_t status = 0;
    bool good = true;
    for (uint32_t i = 0; i < customers && good; i += CUSTOMERS_AT_ONCE) {
        status = 503;
        cw_text_clear(&body);
        cw_time_format(cw_clock_wall_ms(), now);
        now[CW_TIME_BYTES] = '\0';
        uint32_t lines = 0;
        for (uint32_t k = i; k < i + CUSTOMERS_AT_ONCE && k < customers; k++) {
            put_customer(&body, k, now);
            lines += 2;
        }
        for (uint32_t tries = 0; tries < TRIES && (status == 503 || status == 429); tries++) {
            (void)poll(NULL, 0, tries == 0 ? 0 : 50);
            status = cw_bench_ask(full->engine.http, "/v1/events",
                                  (struct cw_view){body.data, (uint32_t)body.bytes}, &answer);
        }
        good = status == 200 && cw_bench_json_number(&answer, NULL, "accepted") == lines;
    }
    cw_text_deinit(&body);
    cw_text_deinit(&answer);
    if (!good) {
        cw_bench_fail(report, "the engine does not take the customers: status %u", status);
    }
    return good;
}

static struct cw_bench_load full_load(const struct full *full, double seconds)
{
    return (struct cw_bench_load){.way = CW_BENCH_NDJSON,
                                  .batch = 100,
                                  .connections = 64,
                                  .rate = full->rate,
                                  .seconds = seconds};
}

static void close_full(void *self)
{
    struct full *full = self;
    if (full->engine.pid > 0) {
        cw_bench_engine_close(&full->engine, full->report);
    }
    free(full);
}

static bool open_filled(struct full *full)
{
    return cw_bench_engine_open(&full->engine, "fsync", CW_BENCH_EVERY_CPU, full->report) &&
           fill(full, full->tiny ? CUSTOMERS_TINY : CUSTOMERS, full->report);
}

/* The load is a share of the greatest that it takes with that state: at all of it, latency says
   what the search ended by and nothing of the snapshot. A rate that was taken for 1.5 s, as for
   ingest_*, was once more than the engine took in the minute after. */
static void *open_full(const struct cw_bench_probe *probe, struct cw_bench_report *report,
                       bool tiny)
{
    const double *share = probe->what;
    struct full *full = calloc(1, sizeof *full);
    CW_ASSERT(full != NULL);
    full->report = report;
    full->tiny = tiny;
    full->rate = tiny ? 1000 : 40000;
    if (open_filled(full) && !tiny) {
        struct search search;
        struct cw_bench_load load = full_load(full, SEARCH_SECONDS);
        if (search_rate(&full->engine, &load, 2, &search, report)) {
            full->rate = *share * search.low;
        }
        if (search.low == 0) {
            cw_bench_fail(report, "not even %.0f events/s are taken", search.high);
        }
    }
    return full;
}

static bool measure_part(struct full *full, const char *part, double seconds,
                         struct cw_bench_report *report)
{
    struct cw_bench_answers answers;
    struct cw_bench_load load = full_load(full, seconds);
    if (!cw_bench_load(&full->engine, &load, &answers, report)) {
        return false;
    }
    cw_bench_figure(report, part, "offered", "/s", answers.offered);
    tell_answers(report, part, &answers);
    return true;
}

/* One `cartwheel snapshot`, in the engine's directory. To free its gigabytes would keep the file
   system busy: it stays until the engine goes. The first of a repeat is told. */
static bool make_snapshot(struct full *full, bool told, struct cw_bench_report *report)
{
    char program[CW_BENCH_PATH_BYTES];
    char to[64];
    char name[32];
    struct cw_text out = {0};
    cw_bench_program("cartwheel", program);
    (void)snprintf(to, sizeof to, "http://127.0.0.1:%u", full->engine.http);
    (void)snprintf(name, sizeof name, "bench-%u", full->snapshots++);
    const char *argv[] = {program, "snapshot", "--to", to, "--name", name, NULL};
    int code = cw_bench_run(argv, &out);
    bool good = code == 0;
    if (good && told) {
        cw_bench_figure(report, "during", "a snapshot", "s",
                        cw_bench_json_number(&out, NULL, "seconds"));
        cw_bench_figure(report, "during", "its size", "MB",
                        cw_bench_json_number(&out, NULL, "bytes") / 1e6);
    }
    if (!good) {
        cw_bench_fail(report, "cartwheel snapshot ended with %d", code);
    }
    cw_text_deinit(&out);
    return good;
}

static double events_received(const struct full *full)
{
    struct cw_text metrics = {0};
    double events = 0;
    if (cw_bench_ask(full->engine.http, "/metrics", (struct cw_view){0}, &metrics) == 200) {
        events = cw_bench_metric(&metrics, "cartwheel_events_received_total ");
    }
    cw_text_deinit(&metrics);
    return events;
}

/* The load makes its events first, which takes longer where the machine has no time for it. */
static void wait_for_load(const struct full *full, double received)
{
    for (uint32_t i = 0; i < UNDER_WAY_TRIES && events_received(full) <= received; i++) {
        (void)poll(NULL, 0, 10);
    }
}

/* A snapshot from its beginning to its end, and more of them where it is quick, under a load that
   goes on until then. */
static bool measure_during(struct full *full, double seconds, struct cw_bench_report *report)
{
    struct cw_bench_answers answers;
    struct cw_bench_load load = full_load(full, DURING_SECONDS_MAX);
    int out = -1;
    double received = events_received(full);
    pid_t pid = cw_bench_load_begin(&full->engine, &load, &out, report);
    if (pid < 0) {
        return false;
    }
    wait_for_load(full, received);
    uint64_t until = cw_clock_monotonic_ns() + (uint64_t)(seconds * 1e9);
    bool good = make_snapshot(full, true, report);
    while (good && cw_clock_monotonic_ns() < until) {
        good = make_snapshot(full, false, report);
    }
    (void)kill(pid, SIGINT); /* then it tells what it has */
    if (!cw_bench_load_end(pid, out, &answers, report) || !good) {
        return false;
    }
    answers.errors -= answers.timeouts; /* under way when it was ended */
    cw_bench_figure(report, "during", "offered", "/s", answers.offered);
    tell_answers(report, "during", &answers);
    return true;
}

static void measure_snapshot(const struct cw_bench_probe *probe, void *state,
                             struct cw_bench_report *report, bool tiny)
{
    struct full *full = state;
    struct cw_text metrics = {0};
    (void)probe;
    if (full->used) { /* the load brings new customers: each repeat begins with as many */
        cw_bench_engine_close(&full->engine, report);
        if (!open_filled(full)) {
            return;
        }
    }
    full->used = true;
    bool good = measure_part(full, "before", tiny ? 0.1 : 3, report) &&
                measure_during(full, tiny ? 0.5 : 3, report) &&
                measure_part(full, "after", tiny ? 0.1 : 3, report);
    if (good && cw_bench_ask(full->engine.http, "/metrics", (struct cw_view){0}, &metrics) == 200) {
        cw_bench_figure(report, "after", "customers", "",
                        cw_bench_metric(&metrics, "cartwheel_table_rows{table=\"customers\"} "));
    }
    cw_text_deinit(&metrics);
}

/* ---- the list ---- */

static const struct kind put_5k = {CW_BENCH_PUT_EVENTS, 10, 64, 5000, 0};
static const struct kind put_50k = {CW_BENCH_PUT_EVENTS, 10, 64, 50000, 0};
static const struct kind ndjson_5k = {CW_BENCH_NDJSON, 10, 64, 5000, 1};
static const struct kind ndjson_50k = {CW_BENCH_NDJSON, 10, 64, 50000, 1};
static const struct kind tcp_5k = {CW_BENCH_TCP, 10, 16, 5000, 2};
static const struct kind tcp_50k = {CW_BENCH_TCP, 10, 16, 50000, 2};
static const struct kind put_most = {CW_BENCH_PUT_EVENTS, 10, 64, 20000, 0};
static const struct kind ndjson_most = {CW_BENCH_NDJSON, 100, 64, 40000, 0};
static const struct kind tcp_most = {CW_BENCH_TCP, 100, 16, 40000, 0};

static const double four_fifths = 0.8, half = 0.5;

const struct cw_bench_probe cw_bench_engine[] = {
    {"engine.put_events_5k", &put_5k, true, NULL, measure_rate, NULL},
    {"engine.put_events_50k", &put_50k, false, NULL, measure_rate, NULL},
    {"engine.ndjson_5k", &ndjson_5k, true, NULL, measure_rate, NULL},
    {"engine.ndjson_50k", &ndjson_50k, false, NULL, measure_rate, NULL},
    {"engine.tcp_5k", &tcp_5k, true, NULL, measure_rate, NULL},
    {"engine.tcp_50k", &tcp_50k, false, NULL, measure_rate, NULL},
    {"engine.ingest_put_events", &put_most, false, begin_ingest, measure_ingest, free},
    {"engine.ingest_ndjson", &ndjson_most, false, begin_ingest, measure_ingest, free},
    {"engine.ingest_tcp", &tcp_most, false, begin_ingest, measure_ingest, free},
    {"engine.snapshot", &four_fifths, true, open_full, measure_snapshot, close_full},
    {"engine.snapshot_half", &half, false, open_full, measure_snapshot, close_full},
    {0},
};
