/*
 * preview: a message as a given customer would get it.
 *
 * Nothing is imitated: the events run through the pipeline on event time, and the message is the
 * one that it would hand to the channel, rendered by the same code.
 */
#include "core/time.h"
#include "pipeline/decode.h"
#include "pipeline/pipeline.h"
#include "tools/cli.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: cartwheel preview [OPTIONS] PROGRAM.yaml [EVENTS.ndjson...]\n"
    "\n"
    "Prints a message as a given customer would get it: runs the events\n"
    "(CustomerUpdated, CartAbandoned, and whatever else there is) through the program\n"
    "and shows the first message that fits. A file whose name ends in .json is one\n"
    "event, any other has one a line; - is standard input. Without events it takes a\n"
    "sample customer with a sample cart.\n"
    "\n"
    "  --touch N        which message of the journey (default 1)\n"
    "  --customer ID    of which customer (default: the first that gets one)\n"
    "  --cart ID        for which cart\n"
    "  --discount N     as if the discount were N percent (0: none)\n"
    "  --locale TAG     as if the customer's locale were TAG, such as de-DE\n"
    "  --shop-name TEXT what {{shopName}} says (default: Example Shop)\n"
    "  --shop-link URL  where links lead when an event has none (default:\n"
    "                   https://shop.example/)\n"
    "  --html FILE      write an e-mail's HTML to FILE (- for standard output, and\n"
    "                   nothing else)\n"
    "  --json           print everything as one JSON object\n"
    "  --models DIR     models to use besides the shipped ones\n"
    "  --templates DIR  templates to use besides the shipped ones\n"
    "  --help           print this\n"
    "\n"
    "exit: 0 shown, 1 there is no such message (standard error says why), 2 wrong\n"
    "usage or configuration\n";

enum {
    EVENTS_FILES_MAX = 64,
    EVENTS_BYTES_MAX = 1 << 30,
    WHY_LINES_MAX = 12
};

struct options {
    const char *program, *events[EVENTS_FILES_MAX];
    uint32_t events_count;
    uint32_t touch;
    const char *customer, *cart, *locale, *shop_name, *shop_link, *html, *models, *templates;
    double discount; /* NaN: as the program decides */
    bool json, help;
};

struct preview {
    struct options options;
    struct cw_assets assets;
    struct cw_programs *programs;
    struct cw_zones *zones;
    struct cw_decoder *decoder;
    struct cw_pipeline *pipeline;
    struct cw_message message;
    struct cw_text head;    /* of the JSON object: what the decision says */
    struct cw_text address; /* of the one who gets it */
    struct cw_text id;      /* of the message rendered last */
    struct cw_text why;     /* the latest decisions about the customer */
    uint32_t why_lines;
    struct cw_fault fault;
    struct cw_text code; /* and the percent that it stands for */
    double discount;
    enum cw_channel channel;
    bool rendered, found, failed;
};

static struct cw_view view(const char *text)
{
    return text == NULL ? (struct cw_view){0} : (struct cw_view){text, (uint32_t)strlen(text)};
}

static struct cw_view text_view(const struct cw_text *text)
{
    return (struct cw_view){text->data, (uint32_t)text->bytes};
}

/* ---- options ---- */

static bool parse_number(const char *text, double least, double most, double *value)
{
    char *end = NULL;
    double number = strtod(text, &end);
    if (end == text || *end != '\0' || !(number >= least && number <= most)) {
        return false;
    }
    *value = number;
    return true;
}

static int parse_option(struct options *options, int option, const char *value)
{
    double number;
    switch (option) {
    case 'n':
        if (!parse_number(value, 1, CW_TOUCHES_MAX, &number) || number != floor(number)) {
            return cw_usage_error("preview", "--touch is a number from 1 to %u", CW_TOUCHES_MAX);
        }
        options->touch = (uint32_t)number;
        return CW_EXIT_OK;
    case 'd':
        if (!parse_number(value, 0, 100, &options->discount)) {
            return cw_usage_error("preview", "--discount is a percentage from 0 to 100");
        }
        return CW_EXIT_OK;
    case 'c': options->customer = value; return CW_EXIT_OK;
    case 'a': options->cart = value; return CW_EXIT_OK;
    case 'l': options->locale = value; return CW_EXIT_OK;
    case 's': options->shop_name = value; return CW_EXIT_OK;
    case 'k': options->shop_link = value; return CW_EXIT_OK;
    case 'w': options->html = value; return CW_EXIT_OK;
    case 'm': options->models = value; return CW_EXIT_OK;
    case 't': options->templates = value; return CW_EXIT_OK;
    case 'j': options->json = true; return CW_EXIT_OK;
    case 'h': options->help = true; return CW_EXIT_OK;
    default: return CW_EXIT_USAGE; /* told already */
    }
}

static int parse(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {{"touch", required_argument, NULL, 'n'},
                                          {"customer", required_argument, NULL, 'c'},
                                          {"cart", required_argument, NULL, 'a'},
                                          {"discount", required_argument, NULL, 'd'},
                                          {"locale", required_argument, NULL, 'l'},
                                          {"shop-name", required_argument, NULL, 's'},
                                          {"shop-link", required_argument, NULL, 'k'},
                                          {"html", required_argument, NULL, 'w'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"models", required_argument, NULL, 'm'},
                                          {"templates", required_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    *options = (struct options){.touch = 1,
                                .discount = NAN,
                                .shop_name = "Example Shop",
                                .shop_link = "https://shop.example/"};
    int option;
    while ((option = cw_next_option("preview", argc, argv, "", known)) != -1) {
        int rc = parse_option(options, option, optarg);
        if (rc != CW_EXIT_OK) {
            return rc;
        }
    }
    if (options->help) {
        return CW_EXIT_OK;
    }
    if (optind == argc) {
        return cw_usage_error("preview", "no program: name a .yaml file");
    }
    options->program = argv[optind];
    for (int i = optind + 1; i < argc; i++) {
        if (options->events_count == EVENTS_FILES_MAX) {
            return cw_usage_error("preview", "more than %d files of events", EVENTS_FILES_MAX);
        }
        options->events[options->events_count++] = argv[i];
    }
    return CW_EXIT_OK;
}

/* ---- what the pipeline says ---- */

static bool is_wanted(const char *wanted, struct cw_view id)
{
    return wanted == NULL || cw_view_equal(view(wanted), id);
}

/* As if the discount or the locale were another. */
static void change(const struct preview *preview, struct cw_message_input *input, char *code,
                   size_t code_bytes)
{
    const struct options *options = &preview->options;
    if (options->locale != NULL) {
        input->locale = view(options->locale);
    }
    if (isnan(options->discount) || !input->touch->include_discount) {
        return;
    }
    input->discount_percent = options->discount;
    (void)snprintf(code, code_bytes, "CART%g", options->discount);
    input->discount_code = view(code);
    if (input->expires_at_ms == CW_TIME_NONE) {
        input->expires_at_ms = input->now_ms + input->program->code_valid_ms;
    }
}

static enum cw_send_answer send(void *self, const struct cw_send *send)
{
    struct preview *preview = self;
    preview->rendered = false;
    uint32_t touch = (uint32_t)(send->input->touch - send->input->program->touches) + 1;
    if (preview->found || preview->failed || touch != preview->options.touch) {
        return CW_SEND_DONE;
    }
    char code[40];
    struct cw_message_input input = *send->input;
    input.shop_link = view(preview->options.shop_link);
    change(preview, &input, code, sizeof code);
    cw_err err = cw_message_render(preview->assets.templates, preview->zones, &input,
                                   &preview->message, &preview->fault);
    preview->failed = err != CW_ERR_OK;
    preview->rendered = err == CW_ERR_OK;
    preview->channel = send->channel;
    preview->discount = input.discount_percent;
    cw_text_clear(&preview->code);
    cw_text_view(&preview->code, input.discount_code);
    cw_text_clear(&preview->address);
    cw_text_view(&preview->address, send->address);
    cw_text_clear(&preview->id);
    cw_text_view(&preview->id, send->message_id);
    return CW_SEND_DONE;
}

static void member(struct cw_text *out, const char *name, struct cw_view value)
{
    cw_text_printf(out, ",\"%s\":", name);
    cw_text_json(out, value);
}

static void keep(struct preview *preview, const struct cw_decision *decision)
{
    struct cw_text *head = &preview->head;
    cw_text_clear(head);
    cw_text_puts(head, "{\"at\":");
    cw_text_json_time(head, decision->at);
    member(head, "program", decision->program);
    member(head, "customerId", decision->customer);
    member(head, "cartId", decision->cart);
    cw_text_printf(head, ",\"touch\":%u", decision->u.touch.touch);
    member(head, "channel", view(cw_channel_name(decision->u.touch.channel)));
    member(head, "messageId", decision->u.touch.message_id);
    if (preview->discount > 0) {
        cw_text_puts(head, ",\"discountPercent\":");
        cw_text_number(head, preview->discount);
        member(head, "discountCode", text_view(&preview->code));
    }
    member(head, "to", text_view(&preview->address));
    preview->found = true;
}

static void decide(void *self, const struct cw_decision *decision)
{
    struct preview *preview = self;
    if (preview->found || preview->failed || !is_wanted(preview->options.cart, decision->cart) ||
        !is_wanted(preview->options.customer, decision->customer)) {
        return;
    }
    bool sent = decision->kind == CW_DECISION_TOUCH && preview->rendered &&
                cw_view_equal(decision->u.touch.message_id, text_view(&preview->id));
    if (sent) {
        keep(preview, decision);
    } else if (preview->why_lines < WHY_LINES_MAX) {
        cw_decision_write(decision, &preview->why);
        preview->why_lines++;
    }
}

/* ---- running ---- */

static void run_line(struct preview *preview, struct cw_view line, const char *file,
                     uint64_t number, int64_t *clock)
{
    struct cw_event event;
    cw_decoder_reset(preview->decoder);
    cw_decode(preview->decoder, line, &event);
    if (event.type == CW_EVENT_INVALID) {
        (void)fprintf(stderr, "%s:%llu: not an event: %.*s\n", file, (unsigned long long)number,
                      (int)event.u.invalid.reason.bytes, event.u.invalid.reason.data);
        return;
    }
    *clock = event.time > *clock ? event.time : *clock;
    event.clock = *clock;
    const struct cw_event *events[] = {&event};
    cw_pipeline_run(preview->pipeline, events, 1);
}

static bool is_done(const struct preview *preview)
{
    return preview->found || preview->failed;
}

static void run_text(struct preview *preview, struct cw_view text, const char *file, int64_t *clock)
{
    uint64_t number = 0;
    uint32_t from = 0;
    while (from < text.bytes && !is_done(preview)) {
        const char *feed = memchr(text.data + from, '\n', text.bytes - from);
        uint32_t stop = feed == NULL ? text.bytes : (uint32_t)(feed - text.data);
        number++;
        if (strspn(text.data + from, " \t\r") < stop - from) {
            run_line(preview, (struct cw_view){text.data + from, stop - from}, file, number, clock);
        }
        from = stop + 1;
    }
}

/* The document's customer and cart, in the program's first marketplace. */
static void run_sample(struct preview *preview, int64_t *clock)
{
    const struct cw_program *program = &preview->programs->list[0];
    struct cw_view market =
        program->marketplace_count > 0 ? program->marketplaces[0] : CW_VIEW("US");
    struct cw_text text = {0};
    cw_text_puts(&text, "{\"source\":\"ecommerce.customer\",\"detail-type\":\"CustomerUpdated\","
                        "\"time\":\"2026-01-01T00:00:00Z\",\"detail\":{\"customerId\":\"C456\","
                        "\"name\":\"Anna\",\"email\":\"anna@example.com\","
                        "\"phone\":\"+15555550100\",\"pushToken\":\"sample-device\","
                        "\"accountStatus\":\"active\",\"paymentMethodOnFile\":true,"
                        "\"purchaseHistory\":12,\"avgOrderValue\":85,"
                        "\"cartAbandonmentRate\":0.35,\"emailEngagement\":0.75,\"marketplace\":");
    cw_text_json(&text, market);
    cw_text_puts(&text, "}}\n"
                        "{\"source\":\"ecommerce.cart\",\"detail-type\":\"CartAbandoned\","
                        "\"detail\":{\"customerId\":\"C456\",\"cartId\":\"CART-789\","
                        "\"timestamp\":\"2026-01-18T16:45:00Z\",\"cartValue\":150.00,"
                        "\"itemCount\":3,\"items\":["
                        "{\"id\":\"P1\",\"name\":\"Wireless Headphones\",\"price\":79.99},"
                        "{\"id\":\"P2\",\"name\":\"Phone Case\",\"price\":29.99},"
                        "{\"id\":\"P3\",\"name\":\"Screen Protector\",\"price\":39.99}],"
                        "\"abandonmentReason\":\"session_timeout\",\"category\":\"Electronics\","
                        "\"discountSensitivity\":0.8,"
                        "\"cartUrl\":\"https://shop.example/cart/CART-789\"}}\n");
    memset(cw_text_room(&text, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    (void)fprintf(stderr, "cartwheel: no events given; this is a sample customer with a sample "
                          "cart, left at 2026-01-18T16:45:00Z\n");
    run_text(preview, text_view(&text), "sample", clock);
    cw_text_deinit(&text);
}

static cw_err run_all(struct preview *preview)
{
    int64_t clock = 0;
    const struct options *options = &preview->options;
    if (options->events_count == 0) {
        run_sample(preview, &clock);
    }
    for (uint32_t i = 0; i < options->events_count && !is_done(preview); i++) {
        struct cw_view text;
        cw_err err = cw_file_read(options->events[i], EVENTS_BYTES_MAX, &text, &preview->fault);
        if (err != CW_ERR_OK) {
            return err;
        }
        size_t bytes = strlen(options->events[i]);
        if (bytes > 5 && strcmp(options->events[i] + bytes - 5, ".json") == 0) {
            run_line(preview, text, options->events[i], 1, &clock);
        } else {
            run_text(preview, text, options->events[i], &clock);
        }
        cw_file_free(text);
    }
    int64_t due;
    while (!is_done(preview) && cw_pipeline_earliest(preview->pipeline, &due)) {
        clock = due > clock ? due : clock; /* bounded: every journey expires */
        cw_pipeline_advance(preview->pipeline, clock);
    }
    return CW_ERR_OK;
}

static cw_err open_engine(struct preview *preview)
{
    struct cw_fault *fault = &preview->fault;
    struct cw_pipeline_options pipeline = {
        .programs = preview->programs,
        .zones = preview->zones,
        .port = {.self = preview, .decide = decide, .send = send},
        .partitions = 1,
        .event_bytes_max = CW_EVENT_BYTES_MAX,
        .rows_max = UINT64_C(1) << 28,
        .bytes_max = UINT64_C(1) << 35,
        .shop_link = view(preview->options.shop_link),
        .shop_name = view(preview->options.shop_name)};
    struct cw_decoder_options decoder = {.programs = preview->programs,
                                         .zones = preview->zones,
                                         .partitions = 1,
                                         .event_bytes_max = CW_EVENT_BYTES_MAX};
    cw_err err = cw_decoder_open(&preview->decoder, &decoder, fault);
    return err != CW_ERR_OK ? err : cw_pipeline_open(&preview->pipeline, &pipeline, fault);
}

/* ---- showing ---- */

static void put(FILE *to, const struct cw_text *text)
{
    (void)fwrite(text->data, 1, text->bytes, to);
}

/* One line, whatever the text holds. */
static void put_field(const char *name, const struct cw_text *text)
{
    (void)printf("%s: ", name);
    for (size_t i = 0; i < text->bytes; i++) {
        bool control = (unsigned char)text->data[i] < 0x20 || text->data[i] == 0x7f;
        (void)putchar(control ? ' ' : text->data[i]);
    }
    (void)printf("\n");
}

static void show_text(const struct preview *preview)
{
    const struct cw_message *message = &preview->message;
    put_field("To", &preview->address);
    switch (preview->channel) {
    case CW_CHANNEL_EMAIL:
        put_field("Subject", &message->subject);
        (void)printf("\n");
        put(stdout, &message->plain);
        break;
    case CW_CHANNEL_SMS:
        (void)printf("\n");
        put(stdout, &message->text);
        (void)printf("\n");
        break;
    case CW_CHANNEL_PUSH:
        put_field("Title", &message->title);
        put_field("Body", &message->text);
        put_field("Link", &message->link);
        break;
    case CW_CHANNEL_COUNT: break;
    }
}

static void show_json(struct preview *preview)
{
    const struct cw_message *message = &preview->message;
    struct cw_text *out = &preview->head;
    switch (preview->channel) {
    case CW_CHANNEL_EMAIL:
        member(out, "subject", text_view(&message->subject));
        member(out, "text", text_view(&message->plain));
        member(out, "html", text_view(&message->html));
        break;
    case CW_CHANNEL_SMS: member(out, "text", text_view(&message->text)); break;
    case CW_CHANNEL_PUSH:
        member(out, "title", text_view(&message->title));
        member(out, "text", text_view(&message->text));
        member(out, "link", text_view(&message->link));
        break;
    case CW_CHANNEL_COUNT: break;
    }
    cw_text_puts(out, "}\n");
    put(stdout, out);
}

static int write_html(const struct preview *preview)
{
    const char *path = preview->options.html;
    if (preview->channel != CW_CHANNEL_EMAIL) {
        return cw_usage_error("preview", "touch %u is no e-mail and has no HTML",
                              preview->options.touch);
    }
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "wb");
    if (file == NULL) {
        (void)fprintf(stderr, "cartwheel: %s: %s\n", path, strerror(errno)); /* NOLINT */
        return CW_EXIT_FAILURE;
    }
    put(file, &preview->message.html);
    int bad = file == stdout ? fflush(file) : fclose(file);
    if (bad != 0) {
        (void)fprintf(stderr, "cartwheel: %s: %s\n", path, strerror(errno)); /* NOLINT */
        return CW_EXIT_FAILURE;
    }
    return CW_EXIT_OK;
}

static int show(struct preview *preview)
{
    if (preview->failed) {
        return cw_failure(&preview->fault);
    }
    if (!preview->found) {
        (void)fprintf(stderr,
                      "cartwheel: there is no such message: touch %u is sent to no such customer "
                      "for such a cart.%s\n",
                      preview->options.touch,
                      preview->why_lines == 0
                          ? " No event concerned them that the program's pattern matches"
                          : " What was decided:");
        put(stderr, &preview->why);
        return CW_EXIT_FAILURE;
    }
    const char *path = preview->options.html;
    int rc = path == NULL ? CW_EXIT_OK : write_html(preview);
    if (rc != CW_EXIT_OK || (path != NULL && strcmp(path, "-") == 0)) {
        return rc;
    }
    if (preview->options.json) {
        show_json(preview);
    } else {
        show_text(preview);
    }
    return CW_EXIT_OK; /* main sees whether all of it went */
}

static int run(struct preview *preview)
{
    const struct options *options = &preview->options;
    struct cw_fault *fault = &preview->fault;
    cw_err err =
        cw_programs_read(&preview->programs, &options->program, 1, &preview->assets, fault);
    if (err != CW_ERR_OK) {
        return err == CW_ERR_INVALID ? CW_EXIT_USAGE : cw_failure(fault);
    }
    err = cw_zones_open(&preview->zones, "/usr/share/zoneinfo", fault);
    if (err == CW_ERR_OK) {
        err = open_engine(preview);
    }
    if (err == CW_ERR_OK) {
        err = run_all(preview);
    }
    return err == CW_ERR_OK ? show(preview) : cw_failure(fault);
}

static void close_all(struct preview *preview)
{
    if (preview->pipeline != NULL) {
        cw_pipeline_close(preview->pipeline);
    }
    if (preview->decoder != NULL) {
        cw_decoder_close(preview->decoder);
    }
    if (preview->zones != NULL) {
        cw_zones_close(preview->zones);
    }
    if (preview->programs != NULL) {
        cw_programs_close(preview->programs);
    }
    cw_message_deinit(&preview->message);
    cw_text_deinit(&preview->head);
    cw_text_deinit(&preview->address);
    cw_text_deinit(&preview->id);
    cw_text_deinit(&preview->why);
    cw_text_deinit(&preview->code);
}

int cw_cmd_preview(int argc, char **argv)
{
    struct preview *preview = calloc(1, sizeof *preview);
    CW_ASSERT(preview != NULL);
    int rc = parse(&preview->options, argc, argv);
    if (rc == CW_EXIT_OK && preview->options.help) {
        (void)fputs(help, stdout);
    } else if (rc == CW_EXIT_OK) {
        cw_err err = cw_assets_open(&preview->assets, preview->options.models,
                                    preview->options.templates, &preview->fault);
        if (err != CW_ERR_OK) {
            rc = cw_failure(&preview->fault);
        } else {
            rc = run(preview);
            close_all(preview);
            cw_assets_close(&preview->assets);
        }
    }
    free(preview);
    return rc;
}
