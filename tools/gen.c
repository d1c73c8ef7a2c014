/* gen: the command. */
#include "tools/gen.h"

#include "core/text.h"
#include "core/time.h"
#include "tools/bar.h"
#include "tools/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "usage: cartwheel gen [OPTIONS]\n"
    "\n"
    "A synthetic shop: customers, carts, orders and what becomes of the messages, as\n"
    "NDJSON of EventBridge envelopes on standard output in the order of their\n"
    "arrival. The same options give the same bytes. Replayed under the program\n"
    "abandoned-cart-recovery.yaml the stream gives the document's rates: 60 % of the\n"
    "matched carts pass the filters; of the candidates 15, 10 and 5 % buy through\n"
    "touch 1, 2 and 3; 40 % of e-mails are opened, 25 % clicked, and so on.\n"
    "\n"
    "  --carts N         abandoned carts that match the program and are no duplicates\n"
    "                    (1000); all that follows from them is written, so the stream\n"
    "                    ends about ten days after the last of them\n"
    "  --events N        exactly N lines instead; the last journeys are cut short\n"
    "  --customers N     at least N customers; the carts may need more, since a\n"
    "                    customer's carts mostly lie over a week apart (0)\n"
    "  --seed N          another shop for every number (1)\n"
    "  --start TIME      of the stream, RFC 3339 (2026-01-05T00:00:00Z)\n"
    "  --days D          over which the carts are left (30, from a million carts on\n"
    "                    33334 a day); with --events roughly\n"
    "  --program ID      whose messages are delivered, opened and clicked\n"
    "                    (abandoned-cart-recovery)\n"
    "  --products N      in the catalogue, 10 to 100000; one in 50 is out of stock\n"
    "                    (500)\n"
    "  --late PERCENT    of the events come late, out of order, 0 to 50 (1)\n"
    "  --duplicates PERCENT\n"
    "                    of the events come twice, and of the abandonments once more\n"
    "                    under another id, 0 to 50 (1)\n"
    "  --local-currency  prices in each marketplace's own currency; else all are in\n"
    "                    US dollars, so that the mean cart is 150 of them\n"
    "  --plan            on standard error, as JSON: what a replay of this stream\n"
    "                    must count\n"
    "  -o FILE           write there instead of standard output\n";

struct command {
    struct cw_gen_options options;
    const char *path;
    bool plan, help;
};

/* The value of an option that takes one, or NULL after an error was printed. */
static const char *value_of(int argc, char **argv, int *i)
{
    if (*i + 1 >= argc) {
        (void)cw_usage_error("gen", "%s needs a value", argv[*i]);
        return NULL;
    }
    return argv[++*i];
}

static bool parse_count(const char *option, const char *text, uint64_t min, uint64_t max,
                        uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < min ||
        value > max) {
        (void)cw_usage_error("gen", "%s is a whole number from %llu to %llu, not \"%s\"", option,
                             (unsigned long long)min, (unsigned long long)max, text);
        return false;
    }
    *out = value;
    return true;
}

static bool parse_percent(const char *option, const char *text, double *out)
{
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !(value >= 0 && value <= 50)) {
        (void)cw_usage_error("gen", "%s is a number from 0 to 50, not \"%s\"", option, text);
        return false;
    }
    *out = value;
    return true;
}

static bool parse_start(const char *text, int64_t *out)
{
    int64_t latest = INT64_C(32503680000000); /* the year 3000 leaves room for the days */
    int64_t ms = 0;
    if (!cw_time_parse((struct cw_view){text, (uint32_t)strlen(text)}, &ms) || ms < CW_DAY_MS ||
        ms > latest) {
        (void)cw_usage_error("gen",
                             "--start is a time like 2026-01-05T00:00:00Z, from 1970-01-02 "
                             "to the year 3000, not \"%s\"",
                             text);
        return false;
    }
    *out = ms;
    return true;
}

static bool parse_program(const char *text, struct cw_view *out)
{
    size_t bytes = strlen(text);
    if (bytes == 0 || bytes > 128) {
        (void)cw_usage_error("gen", "--program is an id of 1 to 128 bytes");
        return false;
    }
    *out = (struct cw_view){text, (uint32_t)bytes};
    return true;
}

static bool parse_value(struct command *command, const char *option, const char *text)
{
    struct cw_gen_options *options = &command->options;

    struct {
        const char *name;
        uint64_t min, max;
        uint64_t *out;
    } counts[] = {
        {"--carts", 1, CW_GEN_CARTS_MAX, &options->carts},
        {"--events", 1, CW_GEN_EVENTS_MAX, &options->events},
        {"--customers", 0, CW_GEN_CUSTOMERS_MAX, &options->customers},
        {"--seed", 0, UINT64_MAX, &options->seed},
    };

    for (uint32_t i = 0; i < CW_COUNTOF(counts); i++) {
        if (strcmp(option, counts[i].name) == 0) {
            return parse_count(option, text, counts[i].min, counts[i].max, counts[i].out);
        }
    }
    uint64_t number = 0;
    if (strcmp(option, "--days") == 0) {
        bool good = parse_count(option, text, 1, CW_GEN_DAYS_MAX, &number);
        options->days = (uint32_t)number;
        return good;
    }
    if (strcmp(option, "--products") == 0) {
        bool good = parse_count(option, text, CW_GEN_PRODUCTS_MIN, CW_GEN_PRODUCTS_MAX, &number);
        options->products = (uint32_t)number;
        return good;
    }
    if (strcmp(option, "--start") == 0) {
        return parse_start(text, &options->start_ms);
    }
    if (strcmp(option, "--program") == 0) {
        return parse_program(text, &options->program);
    }
    if (strcmp(option, "--late") == 0) {
        return parse_percent(option, text, &options->late_percent);
    }
    if (strcmp(option, "--duplicates") == 0) {
        return parse_percent(option, text, &options->duplicate_percent);
    }
    command->path = text; /* -o */
    return true;
}

static bool unknown_option(const char *option)
{
    static const char *const names[] = {"--carts", "--events",     "--customers",      "--seed",
                                        "--start", "--days",       "--program",        "--products",
                                        "--late",  "--duplicates", "--local-currency", "--plan"};
    const char *near = cw_nearest(option, names, CW_COUNTOF(names));
    (void)cw_usage_error("gen", "unknown option %s%s%s%s", option,
                         near == NULL ? "" : ", did you mean ", near == NULL ? "" : near,
                         near == NULL ? "" : "?");
    return false;
}

static bool parse(struct command *command, int argc, char **argv)
{
    static const char *const valued[] = {"--carts", "--events",     "--customers", "--seed",
                                         "--start", "--days",       "--program",   "--products",
                                         "--late",  "--duplicates", "-o"};
    *command = (struct command){.options = cw_gen_defaults()};
    bool carts = false;
    for (int i = 1; i < argc; i++) {
        const char *option = argv[i];
        if (strcmp(option, "--help") == 0 || strcmp(option, "-h") == 0) {
            command->help = true;
            return true;
        }
        uint32_t v = 0;
        while (v < CW_COUNTOF(valued) && strcmp(option, valued[v]) != 0) {
            v++;
        }
        if (v < CW_COUNTOF(valued)) {
            const char *text = value_of(argc, argv, &i);
            if (text == NULL || !parse_value(command, option, text)) {
                return false;
            }
            carts = carts || v == 0;
        } else if (strcmp(option, "--plan") == 0) {
            command->plan = true;
        } else if (strcmp(option, "--local-currency") == 0) {
            command->options.local_currency = true;
        } else {
            return unknown_option(option);
        }
    }
    if (carts && command->options.events > 0) {
        (void)cw_usage_error("gen", "--carts and --events are two ways to say how much; give one");
        return false;
    }
    return true;
}

/* ---- output ---- */

struct output {
    FILE *file;
    const char *path;
    uint64_t lines, of; /* of: 0 when it is not known */
    struct cw_bar bar;
};

static void write_line(void *self, struct cw_view line)
{
    struct output *output = self;
    if (fwrite(line.data, 1, line.bytes + 1u, output->file) != line.bytes + 1u) {
        struct cw_fault fault = {0};
        (void)cw_fail(&fault, CW_ERR_IO, "writing %s", output->path);
        exit(cw_failure(&fault)); /* NOLINT(concurrency-mt-unsafe): the only thread */
    }
    output->lines++;
    if (output->lines % 4096 == 0) {
        cw_bar_show(&output->bar, output->lines, output->of, "%llu events",
                    (unsigned long long)output->lines);
    }
}

static void put_field(struct cw_text *text, const char *name, double value)
{
    cw_text_puts(text, text->bytes > 0 && text->data[text->bytes - 1] != '{' ? "," : "");
    cw_text_json(text, (struct cw_view){name, (uint32_t)strlen(name)});
    cw_text_char(text, ':');
    cw_text_number(text, value);
}

static double rate(uint64_t part, uint64_t of)
{
    return of == 0 ? 0 : (double)(int64_t)((double)part / (double)of * 1e4 + 0.5) / 1e4;
}

static double dollars(uint64_t cents)
{
    return (double)cents / 100;
}

static void put_touches(struct cw_text *text, const struct cw_gen_plan *plan)
{
    static const char *const channels[CW_GEN_TOUCHES] = {"email", "sms", "push"};
    uint64_t candidates = plan->verdicts[CW_GEN_PASS];
    cw_text_puts(text, ",\"touches\":[");
    for (uint32_t i = 0; i < CW_GEN_TOUCHES; i++) {
        cw_text_printf(text, "%s{\"channel\":\"%s\"", i == 0 ? "" : ",", channels[i]);
        put_field(text, "sent", (double)plan->sent[i]);
        put_field(text, "delivered", (double)plan->delivered[i]);
        put_field(text, "bounced", (double)plan->bounced[i]);
        put_field(text, "opened", (double)plan->opened[i]);
        put_field(text, "clicked", (double)plan->clicked[i]);
        put_field(text, "converted", (double)plan->converted[i]);
        put_field(text, "sentShare", rate(plan->sent[i], candidates));
        put_field(text, "deliveryRate", rate(plan->delivered[i], plan->sent[i]));
        put_field(text, "openRate", rate(plan->opened[i], plan->sent[i]));
        put_field(text, "clickRate", rate(plan->clicked[i], plan->sent[i]));
        put_field(text, "conversionRate", rate(plan->converted[i], candidates));
        cw_text_char(text, '}');
    }
    cw_text_char(text, ']');
}

static void print_plan(const struct cw_gen_plan *plan)
{
    static const char *const verdicts[CW_GEN_VERDICT_COUNT] = {
#define CW_X(name, text, share) text,
        CW_GEN_VERDICTS(CW_X)
#undef CW_X
    };
    struct cw_text text = {0};
    uint64_t candidates = plan->verdicts[CW_GEN_PASS];
    uint64_t converted = plan->converted[0] + plan->converted[1] + plan->converted[2];
    cw_text_char(&text, '{');
    put_field(&text, "events", (double)plan->events);
    put_field(&text, "customers", (double)plan->customers);
    put_field(&text, "abandonments", (double)plan->abandonments);
    put_field(&text, "candidates", (double)candidates);
    put_field(&text, "passRate", rate(candidates, plan->abandonments));
    cw_text_puts(&text, ",\"rejected\":{");
    for (uint32_t i = CW_GEN_PASS + 1; i < CW_GEN_VERDICT_COUNT; i++) {
        put_field(&text, verdicts[i], (double)plan->verdicts[i]);
    }
    cw_text_char(&text, '}');
    put_field(&text, "unmatched", (double)plan->unmatched);
    put_field(&text, "duplicates", (double)plan->duplicates);
    put_field(&text, "repeatedIds", (double)plan->repeated);
    put_field(&text, "late", (double)plan->late);
    put_field(&text, "updated", (double)plan->updated);
    put_field(&text, "superseded", (double)plan->superseded);
    put_touches(&text, plan);
    put_field(&text, "converted", (double)converted);
    put_field(&text, "conversionRate", rate(converted, candidates));
    put_field(&text, "organic", (double)plan->organic);
    put_field(&text, "activeAgain", (double)plan->active_again);
    put_field(&text, "cartCleared", (double)plan->cleared);
    put_field(&text, "expired", (double)plan->expired);
    put_field(&text, "unsubscribed", (double)plan->unsubscribed);
    put_field(&text, "complained", (double)plan->complained);
    put_field(&text, "orders", (double)plan->orders);
    put_field(&text, "refunds", (double)plan->refunds);
    put_field(&text, "refunded", dollars(plan->refunded_cents));
    put_field(&text, "feedback", (double)plan->feedback);
    put_field(&text, "satisfaction", rate(plan->rating_sum, plan->feedback));
    put_field(&text, "averageCartValue", rate(plan->candidate_cents, candidates * 100));
    put_field(&text, "averageRecovered", rate(plan->recovered_cents, converted * 100));
    put_field(&text, "recoveredGross", dollars(plan->recovered_gross_cents));
    put_field(&text, "recovered", dollars(plan->recovered_cents));
    cw_text_puts(&text, "}\n");
    (void)fwrite(text.data, 1, text.bytes, stderr);
    cw_text_deinit(&text);
}

int cw_cmd_gen(int argc, char **argv)
{
    struct command command;
    if (!parse(&command, argc, argv)) {
        return CW_EXIT_USAGE;
    }
    if (command.help) {
        (void)fputs(help, stdout);
        return CW_EXIT_OK;
    }
    struct output output = {.file = stdout, .path = "standard output"};
    struct cw_fault fault = {0};
    if (command.path != NULL && strcmp(command.path, "-") != 0) {
        output.path = command.path;
        output.file = fopen(command.path, "wb");
        if (output.file == NULL) {
            (void)cw_fail(&fault, CW_ERR_IO, "opening %s", command.path);
            return cw_failure(&fault);
        }
    }
    output.of = command.options.events;
    if (isatty(fileno(output.file)) == 0) {
        cw_bar_open(&output.bar);
    }
    (void)setvbuf(output.file, NULL, _IOFBF, 1 << 20);
    struct cw_gen_plan plan = {0};
    command.options.plan = &plan;
    cw_gen_run(&command.options, write_line, &output);
    bool written = fflush(output.file) == 0;
    if (output.file != stdout) {
        written = fclose(output.file) == 0 && written;
    }
    cw_bar_clear(&output.bar);
    if (!written) {
        (void)cw_fail(&fault, CW_ERR_IO, "writing %s", output.path);
        return cw_failure(&fault);
    }
    if (command.plan) {
        print_plan(&plan);
    }
    return CW_EXIT_OK;
}
