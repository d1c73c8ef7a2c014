/*
 * explain: what the pipeline makes of one event, stage by stage, and what followed.
 *
 * Two passes over the same events. The first replays them and notes which one is meant (events
 * that cartwheel makes itself are among them); the second replays them again, has explain.h look
 * just before that event takes effect, and collects what is decided about it until the end.
 */
#include "pipeline/explain.h"

#include "core/time.h"
#include "tools/engine_file.h"
#include "tools/explain.h"
#include "tools/files.h"
#include "tools/summary.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static const char help[] =
    "usage: cartwheel explain [OPTIONS] PROGRAM.yaml... EVENTS.ndjson...\n"
    "       cartwheel explain --graph [--dot | --json]\n"
    "\n"
    "Replays events up to one abandonment and shows what the pipeline makes of it in\n"
    "each program: every stage's verdict and what it looked at, all filters, features\n"
    "and their weight in the score, the discount, the touches; then what was decided\n"
    "about it later.\n"
    "\n"
    "The abandonment is the last that is no repetition, of those that --customer and\n"
    "--cart leave; one that cartwheel makes when a session ends counts too. --at\n"
    "shows any event instead.\n"
    "\n"
    "  --customer ID    an abandonment of this customer\n"
    "  --cart ID        an abandonment of this cart\n"
    "  --at LINE        the event on this line of the last file, whatever it is\n"
    "  --program ID     show this program alone (all take part)\n"
    "  --json           one JSON object\n"
    "  --graph          print the table of stages\n"
    "  --dot            with --graph: for Graphviz\n"
    "  -c, --config FILE\n"
    "                   an engine file; programs named on the command line replace\n"
    "                   its own\n"
    "  --models DIR     models to use besides the shipped ones\n"
    "  --templates DIR  templates to use besides the shipped ones\n"
    "  --help           print this\n"
    "\n"
    "exit: 0 explained, 1 nothing found or failed, 2 wrong usage or configuration\n";

enum {
    CLEAN_EVERY = 1024, /* events */
    CLEAN_ROWS = 256
};

struct options {
    struct cw_inputs inputs;
    const char *customer, *cart, *program, *config, *models, *templates;
    uint64_t at; /* 0: not asked for */
    bool json, graph, dot, help;
};

/* One pass over all events. */
struct pass {
    struct cw_pipeline *pipeline;
    struct cw_decoder *decoder;
    const struct cw_event *own; /* the file's event under way; others are made */
    uint32_t file;
    uint64_t line;
    uint64_t number;        /* of the event that takes effect, from 1, made ones too */
    struct cw_fates before; /* when it began */
    bool open;              /* its fate is not told yet */
};

struct explainer {
    struct options options;
    struct cw_engine_file engine;
    struct cw_assets assets;
    struct cw_programs *programs;
    struct cw_zones *zones;
    struct cw_files files;
    struct cw_hash_key hash;
    struct pass pass;
    uint64_t chosen; /* number of the event; 0: none yet */
    uint64_t maybe;  /* the event under way, unless it turns out to be a repetition */
    bool now, begun; /* the chosen event takes effect, or did */
    char customer[CW_ID_BYTES_MAX], cart[CW_ID_BYTES_MAX];
    struct cw_view about_customer, about_cart;
    struct cw_explain *explain; /* NULL in the first pass */
    const struct cw_program *only;
    struct cw_text line;
};

/* ---- options ---- */

static int parse_option(struct options *options, int option, const char *value)
{
    char *end = NULL;
    switch (option) {
    case 'u': options->customer = value; break;
    case 'r': options->cart = value; break;
    case 'p': options->program = value; break;
    case 'c': options->config = value; break;
    case 'm': options->models = value; break;
    case 't': options->templates = value; break;
    case 'j': options->json = true; break;
    case 'g': options->graph = true; break;
    case 'd': options->dot = true; break;
    case 'h': options->help = true; break;
    case 'a':
        options->at = strtoull(value, &end, 10);
        if (*value < '1' || *value > '9' || *end != '\0') {
            return cw_usage_error("explain", "--at is a line's number, from 1");
        }
        break;
    default: return CW_EXIT_USAGE; /* told already */
    }
    return CW_EXIT_OK;
}

static int check_options(const struct options *options)
{
    if (options->help) {
        return CW_EXIT_OK;
    }
    if (options->graph) {
        return options->dot && options->json
                   ? cw_usage_error("explain", "--dot or --json, not both")
                   : CW_EXIT_OK;
    }
    if (options->dot) {
        return cw_usage_error("explain", "--dot is for --graph");
    }
    if (options->at > 0 && (options->customer != NULL || options->cart != NULL)) {
        return cw_usage_error("explain", "--at says which event; leave out --customer and --cart");
    }
    return cw_inputs_check(&options->inputs, "explain", options->config);
}

static int parse(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {{"customer", required_argument, NULL, 'u'},
                                          {"cart", required_argument, NULL, 'r'},
                                          {"program", required_argument, NULL, 'p'},
                                          {"at", required_argument, NULL, 'a'},
                                          {"config", required_argument, NULL, 'c'},
                                          {"models", required_argument, NULL, 'm'},
                                          {"templates", required_argument, NULL, 't'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"graph", no_argument, NULL, 'g'},
                                          {"dot", no_argument, NULL, 'd'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int option;
    while ((option = cw_next_option("explain", argc, argv, "c:h", known)) != -1) {
        int rc = parse_option(options, option, optarg);
        if (rc != CW_EXIT_OK) {
            return rc;
        }
    }
    int rc = cw_inputs_take(&options->inputs, "explain", argc - optind, argv + optind);
    return rc == CW_EXIT_OK ? check_options(options) : rc;
}

/* ---- the hooks ---- */

static struct cw_view view_of(const char *text)
{
    return (struct cw_view){text, text == NULL ? 0 : (uint32_t)strlen(text)};
}

static struct cw_view keep(char room[CW_ID_BYTES_MAX], struct cw_view id)
{
    if (id.data == NULL) {
        return id;
    }
    CW_ASSERT(id.bytes <= CW_ID_BYTES_MAX);
    memcpy(room, id.data, id.bytes);
    return (struct cw_view){room, id.bytes};
}

/* What became of the event that was under way. */
static void settle(struct explainer *x)
{
    const struct cw_fates *after = cw_pipeline_fates(x->pass.pipeline);
    for (uint32_t i = 0; i < CW_EVENT_FATE_COUNT && x->pass.open; i++) {
        if (after->events[i] == x->pass.before.events[i]) {
            continue;
        }
        if (x->maybe == x->pass.number && i != CW_EVENT_FATE_REPEATED) {
            x->chosen = x->maybe;
        }
        if (x->now) {
            cw_explain_fate(x->explain, (enum cw_event_fate)i);
        }
        x->pass.open = false;
    }
    x->now = false;
    x->pass.open = false;
}

static bool is_meant(const struct explainer *x, const struct cw_event *event)
{
    const struct options *options = &x->options;
    if (options->at > 0) {
        return event == x->pass.own && x->pass.file == x->files.count - 1 &&
               x->pass.line == options->at;
    }
    return event->type == CW_EVENT_CART_ABANDONED &&
           (options->customer == NULL ||
            cw_view_equal(event->customer, view_of(options->customer))) &&
           (options->cart == NULL || cw_view_equal(event->cart, view_of(options->cart)));
}

static void begin(struct explainer *x, struct cw_pipeline *pipeline, const struct cw_event *event)
{
    settle(x);
    x->pass.number++;
    x->pass.open = true;
    x->pass.before = *cw_pipeline_fates(pipeline);
    if (x->explain == NULL) {
        if (is_meant(x, event)) {
            x->maybe = x->pass.number;
            x->chosen = x->options.at > 0 ? x->maybe : x->chosen; /* repeated or not */
        }
    } else if (x->pass.number == x->chosen) {
        struct cw_explain_origin origin = {0};
        if (event == x->pass.own) {
            origin = (struct cw_explain_origin){.file = view_of(x->files.names[x->pass.file]),
                                                .line = x->pass.line,
                                                .decoder = x->pass.decoder};
        }
        x->now = x->begun = true;
        x->about_customer = keep(x->customer, event->customer);
        x->about_cart = keep(x->cart, event->cart);
        cw_explain_event(x->explain, pipeline, event, &origin);
    }
}

static void before(void *self, struct cw_pipeline *pipeline, const struct cw_event *event,
                   const struct cw_item *item)
{
    struct explainer *x = self;
    if (item == NULL) {
        begin(x, pipeline, event);
    } else if (x->now) {
        cw_explain_item(x->explain, pipeline, item);
    }
}

/* What the event itself does to its customer, then all about the same cart. */
static bool is_about(const struct explainer *x, const struct cw_decision *decision)
{
    if (!x->begun || (x->only != NULL && decision->program.data != NULL &&
                      !cw_view_equal(decision->program, x->only->id))) {
        return false;
    }
    if (x->about_customer.data == NULL) {
        return x->now;
    }
    return cw_view_equal(decision->customer, x->about_customer) &&
           (x->about_cart.data == NULL || cw_view_equal(decision->cart, x->about_cart) ||
            (x->now && (decision->kind == CW_DECISION_SUPERSEDED || x->pass.own != NULL)));
}

static void write_line(struct explainer *x, const struct cw_decision *decision)
{
    char time[CW_TIME_BYTES];
    cw_time_format(decision->at, time);
    cw_text_put(&x->line, time, sizeof time);
    cw_text_puts(&x->line, "  ");
    if (x->only == NULL && x->programs->count > 1 && decision->program.data != NULL) {
        cw_text_view(&x->line, decision->program);
        cw_text_puts(&x->line, ": ");
    }
    if (x->about_cart.data == NULL || !cw_view_equal(decision->cart, x->about_cart)) {
        cw_text_puts(&x->line, "cart ");
        cw_text_view(&x->line, decision->cart);
        cw_text_puts(&x->line, ": ");
    }
    if (decision->kind == CW_DECISION_REJECTED) {
        cw_text_puts(&x->line, "rejected: ");
        cw_text_puts(&x->line, cw_rejection_name(decision->u.rejected.reason));
    } else {
        cw_timeline_what(decision, &x->line);
    }
}

static void decide(void *self, const struct cw_decision *decision)
{
    struct explainer *x = self;
    if (x->explain == NULL || !is_about(x, decision)) {
        return;
    }
    cw_text_clear(&x->line);
    if (x->options.json) {
        cw_decision_write(decision, &x->line);
        x->line.bytes--; /* its newline */
    } else {
        write_line(x, decision);
    }
    cw_explain_line(x->explain, (struct cw_view){x->line.data, (uint32_t)x->line.bytes});
}

/* ---- a pass ---- */

static void run_line(struct explainer *x, struct cw_view text, int64_t *clock)
{
    struct pass *pass = &x->pass;
    struct cw_event event;
    cw_decoder_reset(pass->decoder);
    cw_decode(pass->decoder, text, &event);
    *clock = event.time > *clock ? event.time : *clock;
    event.clock = *clock;
    if (event.type == CW_EVENT_INVALID) {
        event.u.invalid.line = pass->line;
        event.u.invalid.file = view_of(x->files.names[pass->file]);
    }
    pass->own = &event;
    const struct cw_event *list = &event;
    cw_pipeline_run(pass->pipeline, &list, 1);
    settle(x);
    pass->own = NULL;
}

static void run_file(struct explainer *x, int64_t *clock, uint64_t *events)
{
    const char *text = x->files.list[x->pass.file].text;
    const char *end = text + x->files.list[x->pass.file].bytes;
    x->pass.line = 0;
    while (text < end) {
        const char *feed = memchr(text, '\n', (size_t)(end - text));
        const char *stop = feed != NULL ? feed : end;
        size_t bytes = (size_t)(stop - text);
        x->pass.line++;
        if (strspn(text, " \t\r") < bytes) {
            /* A line of gigabytes is too long in any case. */
            run_line(x, (struct cw_view){text, bytes > (1u << 30) ? 1u << 30 : (uint32_t)bytes},
                     clock);
            if (++*events % CLEAN_EVERY == 0) {
                cw_pipeline_clean(x->pass.pipeline, CLEAN_ROWS);
            }
        }
        text = stop + 1;
    }
}

static cw_err run_pass(struct explainer *x, struct cw_fault *fault)
{
    struct cw_pipeline_options pipeline = {.programs = x->programs,
                                           .zones = x->zones,
                                           .port = {.self = x, .decide = decide, .before = before},
                                           .names = &x->engine.names,
                                           .partitions = x->engine.partitions,
                                           .event_bytes_max = x->engine.event_bytes_max,
                                           .hash = x->hash,
                                           .rows_max = UINT64_C(1) << 28,
                                           .bytes_max = UINT64_C(1) << 35,
                                           .shop_link = x->engine.shop_url,
                                           .shop_name = x->engine.shop_name};
    struct cw_decoder_options decoder = {.names = &x->engine.names,
                                         .programs = x->programs,
                                         .zones = x->zones,
                                         .partitions = x->engine.partitions,
                                         .event_bytes_max = x->engine.event_bytes_max};
    x->pass = (struct pass){0};
    cw_err err = cw_decoder_open(&x->pass.decoder, &decoder, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    err = cw_pipeline_open(&x->pass.pipeline, &pipeline, fault);
    if (err == CW_ERR_OK) {
        int64_t clock = 0;
        uint64_t events = 0;
        for (; x->pass.file < x->files.count; x->pass.file++) {
            run_file(x, &clock, &events);
        }
        int64_t reached;
        while (!cw_pipeline_finish(x->pass.pipeline, clock, CW_TIME_NONE, UINT32_MAX, &reached)) {
            /* until nothing is left */
        }
        settle(x);
        cw_pipeline_close(x->pass.pipeline);
    }
    cw_decoder_close(x->pass.decoder);
    return err;
}

/* ---- both passes ---- */

static int tell_missing(struct explainer *x)
{
    struct cw_fault fault;
    if (x->options.at > 0) {
        uint64_t lines = 0;
        const char *text = x->files.list[x->files.count - 1].text;
        const char *end = text + x->files.list[x->files.count - 1].bytes;
        while (text < end) {
            const char *feed = memchr(text, '\n', (size_t)(end - text));
            text = feed == NULL ? end : feed + 1;
            lines++;
        }
        const char *name = x->files.names[x->files.count - 1];
        (void)fprintf(stderr,
                      x->options.at <= lines
                          ? "cartwheel: line %llu of %s is blank, of %llu lines\n"
                          : "cartwheel: there is no line %llu in %s; it has %llu\n",
                      (unsigned long long)x->options.at, name, (unsigned long long)lines);
        return CW_EXIT_FAILURE;
    }
    struct cw_decoder_options decoder = {.names = &x->engine.names,
                                         .zones = x->zones,
                                         .partitions = x->engine.partitions,
                                         .event_bytes_max = x->engine.event_bytes_max};
    if (cw_explain_tell_near(&x->files, &decoder, x->options.customer, x->options.cart, stderr,
                             &fault) != CW_ERR_OK) {
        return cw_failure(&fault);
    }
    return CW_EXIT_FAILURE;
}

static int find_program(struct explainer *x)
{
    if (x->options.program == NULL) {
        return CW_EXIT_OK;
    }
    x->only = cw_programs_find(x->programs, view_of(x->options.program));
    if (x->only != NULL) {
        return CW_EXIT_OK;
    }
    char list[CW_PROGRAMS_MAX][CW_ID_BYTES_MAX + 1];
    const char *names[CW_PROGRAMS_MAX + 1] = {NULL};
    for (uint32_t i = 0; i < x->programs->count; i++) {
        names[i] = cw_yaml_printable(x->programs->list[i].id, list[i], sizeof list[i]);
    }
    char hint[CW_OPTION_HINT_BYTES];
    char shown[CW_ID_BYTES_MAX + 1];
    (void)fprintf(stderr, "cartwheel: no program \"%s\"; %s\n",
                  cw_yaml_printable(view_of(x->options.program), shown, sizeof shown),
                  cw_option_hint(view_of(x->options.program), names, hint));
    return CW_EXIT_FAILURE;
}

static int explain_all(struct explainer *x, struct cw_fault *fault)
{
    int rc = find_program(x);
    if (rc != CW_EXIT_OK) {
        return rc;
    }
    if (run_pass(x, fault) != CW_ERR_OK) {
        return cw_failure(fault);
    }
    if (x->chosen == 0) {
        return tell_missing(x);
    }
    struct cw_explain_options options = {.programs = x->programs,
                                         .only = x->only,
                                         .format = x->options.json         ? CW_EXPLAIN_JSON
                                                   : isatty(STDOUT_FILENO) ? CW_EXPLAIN_COLOUR
                                                                           : CW_EXPLAIN_TEXT};
    if (cw_explain_open(&x->explain, &options, fault) != CW_ERR_OK) {
        return cw_failure(fault);
    }
    if (run_pass(x, fault) != CW_ERR_OK) {
        rc = cw_failure(fault);
    } else {
        struct cw_text out = {0};
        cw_explain_write(x->explain, &out);
        if (fwrite(out.data, 1, out.bytes, stdout) != out.bytes || fflush(stdout) != 0) {
            (void)fprintf(stderr, "cartwheel: standard output took not all of it\n");
            rc = CW_EXIT_FAILURE;
        }
        cw_text_deinit(&out);
    }
    cw_explain_close(x->explain);
    return rc;
}

static void print_graph(const struct options *options)
{
    struct cw_text out = {0};
    if (options->dot) {
        cw_explain_graph_dot(&out);
    } else {
        cw_explain_graph(options->json ? CW_EXPLAIN_JSON : CW_EXPLAIN_TEXT, &out);
    }
    (void)fwrite(out.data, 1, out.bytes, stdout); /* main sees whether all of it went */
    cw_text_deinit(&out);
}

static int run_with_programs(struct explainer *x, struct cw_fault *fault)
{
    if (getrandom(&x->hash, sizeof x->hash, 0) != (ssize_t)sizeof x->hash) {
        (void)cw_fail(fault, CW_ERR_IO, "asking for random bytes");
        return cw_failure(fault);
    }
    if (cw_zones_open(&x->zones, "/usr/share/zoneinfo", fault) != CW_ERR_OK) {
        return cw_failure(fault);
    }
    int rc = CW_EXIT_FAILURE;
    if (cw_files_open(&x->files, x->options.inputs.events, x->options.inputs.event_count, fault) !=
        CW_ERR_OK) {
        rc = cw_failure(fault);
    } else {
        rc = explain_all(x, fault);
        cw_files_close(&x->files);
    }
    cw_zones_close(x->zones);
    return rc;
}

static int run(struct explainer *x, struct cw_fault *fault)
{
    int rc = cw_setup_open(&x->engine, &x->assets, &x->programs,
                           &(struct cw_setup){.command = "explain",
                                              .config = x->options.config,
                                              .models = x->options.models,
                                              .templates = x->options.templates,
                                              .programs = x->options.inputs.programs,
                                              .program_count = x->options.inputs.program_count});
    if (rc == CW_EXIT_OK) {
        rc = run_with_programs(x, fault);
        cw_setup_close(&x->engine, &x->assets, x->programs);
    }
    return rc;
}

int cw_cmd_explain(int argc, char **argv)
{
    struct cw_fault fault;
    struct explainer *x = calloc(1, sizeof *x);
    CW_ASSERT(x != NULL);
    int rc = parse(&x->options, argc, argv);
    if (rc == CW_EXIT_OK && x->options.help) {
        (void)fputs(help, stdout);
    } else if (rc == CW_EXIT_OK && x->options.graph) {
        print_graph(&x->options);
    } else if (rc == CW_EXIT_OK) {
        rc = run(x, &fault);
    }
    cw_text_deinit(&x->line);
    free(x);
    return rc;
}
