/* cartwheel send: puts events from files into an engine. */
#include "core/time.h"
#include "io/clock.h"
#include "tools/put_events.h"
#include "tools/send_priv.h"
#include "tools/shift.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "usage: cartwheel send [OPTIONS] EVENTS... --to URL\n"
    "\n"
    "Puts events from files into an engine, in order, and tells what became of them.\n"
    "A file has one event a line; one whose name ends in .json may be one event or an\n"
    "array of them; - is standard input, which is sent as it comes.\n"
    "\n"
    "  --to URL              http://HOST:PORT   NDJSON, posted to /v1/events\n"
    "                        tcp://HOST:PORT    NDJSON, acknowledged line by line\n"
    "  --as put-events       as EventBridge PutEvents calls to http://HOST:PORT;\n"
    "                        events lose their id there, so what is sent twice counts\n"
    "                        twice\n"
    "  --now                 shift the times of all events so that the latest is now:\n"
    "                        the envelope's time and the detail's timestamp, all by\n"
    "                        the same amount; now is the engine's clock where it\n"
    "                        tells one that runs (http), else this machine's\n"
    "  --pace                send each event when the engine's clock reaches its\n"
    "                        time, at the speed of that clock (http only)\n"
    "  --rate N              at most N events a second\n"
    "  --batch N             events in one request (500; put-events 10, which is its\n"
    "                        most)\n"
    "  --retry-for SECONDS   how long one batch is tried again when the engine is\n"
    "                        overloaded, has no room for some of it or cannot be\n"
    "                        reached (300); waits grow, and are what it asks for\n"
    "  --api-key-file FILE   sent as X-Api-Key\n"
    "  --key-id ID --secret-file FILE\n"
    "                        sign put-events calls with this access key; else the one\n"
    "                        in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,\n"
    "                        AWS_SESSION_TOKEN\n"
    "  --region NAME         that calls are signed for (AWS_REGION, else us-east-1)\n"
    "  --json                print the counts as one JSON object\n"
    "  --help                print this\n"
    "\n"
    "The first 20 events that the engine does not take are named with the reason.\n"
    "When it stops early it names the first event that was not sent.\n"
    "\n"
    "exit: 0 all were accepted or known already, 1 not all, 2 wrong usage\n";

volatile sig_atomic_t cw_send_interrupted;

static void on_signal(int number)
{
    (void)number;
    cw_send_interrupted = 1;
}

struct command {
    struct cw_target_options target;
    const char *names[CW_EVENT_FILES_MAX];
    uint32_t count;
    bool now, pace, json, help;
    uint64_t rate, batch, retry_for_s;
};

/* ---- words ---- */

void cw_send_reject(struct cw_send *send, const struct cw_send_item *item, const char *reason)
{
    send->rejected++;
    if (send->rejected <= CW_SEND_SHOWN_MAX) {
        cw_bar_clear(&send->bar);
        (void)fprintf(stderr, "%s:%llu: rejected: %s\n", send->names[item->file],
                      (unsigned long long)item->number, reason);
    }
}

/* ---- options ---- */

static bool parse_count(const char *option, const char *text, uint64_t max, uint64_t *out)
{
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || value < 1 || value > max) {
        (void)cw_usage_error("send", "--%s is a whole number from 1 to %llu, not \"%.40s\"", option,
                             (unsigned long long)max, text);
        return false;
    }
    *out = value;
    return true;
}

static const struct option known[] = {{"to", required_argument, NULL, 't'},
                                      {"as", required_argument, NULL, 'a'},
                                      {"now", no_argument, NULL, 'n'},
                                      {"pace", no_argument, NULL, 'p'},
                                      {"rate", required_argument, NULL, 'r'},
                                      {"batch", required_argument, NULL, 'b'},
                                      {"retry-for", required_argument, NULL, 'f'},
                                      {"api-key-file", required_argument, NULL, 'k'},
                                      {"key-id", required_argument, NULL, 'i'},
                                      {"secret-file", required_argument, NULL, 's'},
                                      {"region", required_argument, NULL, 'g'},
                                      {"json", no_argument, NULL, 'j'},
                                      {"help", no_argument, NULL, 'h'},
                                      {NULL, 0, NULL, 0}};

/* One option; false after an error was printed. */
static bool take_option(struct command *command, int option)
{
    switch (option) {
    case 't': command->target.to = optarg; return true;
    case 'a': command->target.as = optarg; return true;
    case 'n': command->now = true; return true;
    case 'p': command->pace = true; return true;
    case 'r': return parse_count("rate", optarg, 100000000, &command->rate);
    case 'b': return parse_count("batch", optarg, CW_SEND_BATCH_MAX, &command->batch);
    case 'f': return parse_count("retry-for", optarg, 604800, &command->retry_for_s);
    case 'k': command->target.api_key_file = optarg; return true;
    case 'i': command->target.key_id = optarg; return true;
    case 's': command->target.secret_file = optarg; return true;
    case 'g': command->target.region = optarg; return true;
    case 'j': command->json = true; return true;
    case 'h': command->help = true; return true;
    default: return false;
    }
}

static int parse(struct command *command, int argc, char **argv)
{
    *command = (struct command){.retry_for_s = 300};
    optind = 0;
    for (;;) { /* as often as there are options */
        int option = cw_next_option("send", argc, argv, "h", known);
        if (option == -1) {
            break;
        }
        if (!take_option(command, option)) {
            return CW_EXIT_USAGE;
        }
        if (command->help) {
            return CW_EXIT_OK;
        }
    }
    uint32_t stdins = 0;
    for (int i = optind; i < argc; i++) {
        if (command->count == CW_EVENT_FILES_MAX) {
            return cw_usage_error("send", "more than %u event files", CW_EVENT_FILES_MAX);
        }
        command->names[command->count++] = argv[i];
        stdins += strcmp(argv[i], "-") == 0;
    }
    if (command->count == 0) {
        return cw_usage_error("send", "no events: name a file of them, or - for standard input");
    }
    if (stdins > 1) {
        return cw_usage_error("send", "standard input can be read but once");
    }
    return CW_EXIT_OK;
}

/* ---- --now ---- */

/* The engine's clock, which may be days ahead of ours; ours when it tells none that runs. */
static int64_t shared_now_ms(struct cw_send *send)
{
    struct cw_fault untold = {0};
    int64_t clock_ms = 0;
    double speed = 0;
    bool told = send->target.kind != CW_TARGET_LINES &&
                cw_send_ask_clock(send, &clock_ms, &speed, &untold) == CW_ERR_OK;
    return told ? clock_ms : cw_clock_wall_ms();
}

/* How far all times must go for the latest to be now. The clock is asked when all is read: it may
   run thousands of times as fast as the reading. */
static cw_err find_shift(struct cw_send *send, struct cw_send_reader *reader, int64_t *shift_ms,
                         struct cw_fault *fault)
{
    int64_t latest = CW_TIME_NONE;
    struct cw_view event;
    enum cw_send_next next = CW_SEND_EVENT;
    reader->patient = true;
    while (next != CW_SEND_END && cw_send_interrupted == 0) {
        next = cw_send_read(reader, &event, fault);
        struct cw_json doc;
        if (next == CW_SEND_FAILED) {
            return fault->code;
        }
        if (next == CW_SEND_EVENT &&
            cw_json_parse(send->events, event.data, event.bytes, &doc) == CW_JSON_PARSE_OK) {
            struct cw_told_times times = cw_told_times(&doc);
            int64_t own = cw_told_own(&times);
            latest = own > latest ? own : latest;
        }
    }
    *shift_ms = latest == CW_TIME_NONE ? 0 : shared_now_ms(send) - latest;
    return CW_ERR_OK;
}

/* ---- sending ---- */

struct course {
    struct cw_send send;
    struct cw_send_reader reader;
    struct cw_text shifted;
    int64_t shift_ms;
    uint64_t rate, batch_max, total_bytes, events;
    bool pace;
    int64_t clock_ms; /* the engine's, at asked_ns, and so many times as fast as ours */
    double speed;
    uint64_t asked_ns;
    uint64_t started_ns;
};

/* The event as it goes into the batch; NULL reason when it does. */
static const char *put_in_batch(struct course *course, struct cw_view event)
{
    struct cw_send *send = &course->send;
    bool put = send->target.kind == CW_TARGET_PUT_EVENTS;
    struct cw_json doc;
    if (course->shift_ms == 0 && !put) {
        cw_text_view(&send->batch, event);
        return NULL;
    }
    enum cw_json_status status = cw_json_parse(send->events, event.data, event.bytes, &doc);
    if (status == CW_JSON_PARSE_OK && course->shift_ms != 0) {
        struct cw_told_times times = cw_told_times(&doc);
        cw_text_clear(&course->shifted);
        cw_shift(event, &times, course->shift_ms, &course->shifted);
        memset(cw_text_room(&course->shifted, CW_JSON_PADDING), 0, CW_JSON_PADDING);
        event = (struct cw_view){course->shifted.data, (uint32_t)course->shifted.bytes};
        if (put) {
            status = cw_json_parse(send->events, event.data, event.bytes, &doc);
        }
    }
    if (!put) {
        cw_text_view(&send->batch, event); /* what is no JSON is the engine's to refuse */
        return NULL;
    }
    return status != CW_JSON_PARSE_OK                 ? cw_json_status_text(status)
           : !cw_put_events_entry(&doc, &send->batch) ? "it has no source, detail-type and detail"
                                                      : NULL;
}

static void show(struct course *course)
{
    struct cw_send *send = &course->send;
    uint64_t done = send->accepted + send->duplicate + send->rejected;
    cw_bar_show(&send->bar, course->reader.bytes, course->total_bytes, "%llu events",
                (unsigned long long)done);
}

/* Waits until the rate allows these events, and hands them over. */
static bool hand_over(struct course *course)
{
    struct cw_send *send = &course->send;
    bool good = true;
    if (send->count > 0) {
        if (course->rate > 0) {
            double due_ms = (double)course->events * 1000 / (double)course->rate;
            double now_ms = (double)(cw_clock_monotonic_ns() - course->started_ns) / 1e6;
            cw_send_sleep_ms(due_ms > now_ms ? (uint64_t)(due_ms - now_ms) : 0);
        }
        course->events += send->count;
        good = cw_send_deliver(send);
        show(course);
    }
    send->count = 0;
    cw_text_clear(&send->batch);
    return good;
}

/* Waits until the engine's clock is where the event is; what came before goes first. */
static bool keep_pace(struct course *course, struct cw_view event)
{
    struct cw_json doc;
    if (cw_json_parse(course->send.events, event.data, event.bytes, &doc) != CW_JSON_PARSE_OK) {
        return true;
    }
    struct cw_told_times times = cw_told_times(&doc);
    int64_t own = cw_told_own(&times);
    double passed_ms = (double)(cw_clock_monotonic_ns() - course->asked_ns) / 1e6;
    double wait_ms =
        ((double)own + (double)course->shift_ms - (double)course->clock_ms) / course->speed -
        passed_ms;
    if (own == CW_TIME_NONE || wait_ms < 1) {
        return true;
    }
    bool good = hand_over(course);
    cw_send_sleep_ms((uint64_t)wait_ms);
    return good && cw_send_interrupted == 0;
}

static bool add(struct course *course, struct cw_view event)
{
    struct cw_send *send = &course->send;
    if (course->pace && !keep_pace(course, event)) {
        return false;
    }
    if (send->count > 0 && send->batch.bytes + event.bytes > CW_SEND_BATCH_BYTES &&
        !hand_over(course)) {
        return false;
    }
    struct cw_send_item *item = &send->items[send->count];
    *item = (struct cw_send_item){.number = course->reader.number,
                                  .file = course->reader.file,
                                  .at = (uint32_t)send->batch.bytes};
    const char *reason = put_in_batch(course, event);
    if (reason != NULL) {
        cw_send_reject(send, item, reason);
        return true;
    }
    item->bytes = (uint32_t)send->batch.bytes - item->at;
    send->count++;
    return send->count < course->batch_max || hand_over(course);
}

/* False when it could not be finished; what stopped it has been said. */
static bool run(struct course *course)
{
    struct cw_send_reader *reader = &course->reader;
    struct cw_fault fault = {0};
    struct cw_view event;
    bool good = true;
    course->started_ns = cw_clock_monotonic_ns();
    while (good) {
        enum cw_send_next next = cw_send_read(reader, &event, &fault);
        reader->patient = false;
        if (next == CW_SEND_EVENT) {
            good = add(course, event);
        } else if (next == CW_SEND_WAIT) {
            good = hand_over(course);
            reader->patient = true;
        } else {
            good = hand_over(course);
            if (next == CW_SEND_FAILED) {
                cw_bar_clear(&course->send.bar);
                (void)cw_failure(&fault);
                return false;
            }
            break;
        }
    }
    cw_bar_clear(&course->send.bar);
    if (good && cw_send_interrupted != 0) {
        (void)fprintf(stderr, "cartwheel send: interrupted; what follows was not sent\n");
    }
    return good && cw_send_interrupted == 0;
}

/* ---- the command ---- */

static void print_summary(const struct course *course, bool json)
{
    const struct cw_send *send = &course->send;
    double seconds = (double)(cw_clock_monotonic_ns() - course->started_ns) / 1e9;
    if (send->rejected > CW_SEND_SHOWN_MAX) {
        (void)fprintf(stderr, "... and %llu more rejected\n",
                      (unsigned long long)(send->rejected - CW_SEND_SHOWN_MAX));
    }
    if (json) {
        (void)printf("{\"accepted\":%llu,\"duplicate\":%llu,\"rejected\":%llu,\"retries\":%llu,"
                     "\"seconds\":%.3f,\"shiftMs\":%lld}\n",
                     (unsigned long long)send->accepted, (unsigned long long)send->duplicate,
                     (unsigned long long)send->rejected, (unsigned long long)send->retries, seconds,
                     (long long)course->shift_ms);
    }
    (void)fprintf(stderr, "%llu accepted, %llu duplicate, %llu rejected\n",
                  (unsigned long long)send->accepted, (unsigned long long)send->duplicate,
                  (unsigned long long)send->rejected);
}

/* Of all files, for the bar; 0 when that cannot be known. */
static uint64_t sum_bytes(const struct command *command)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < command->count; i++) {
        struct stat status;
        if (strcmp(command->names[i], "-") == 0 || stat(command->names[i], &status) != 0 ||
            !S_ISREG(status.st_mode)) {
            return 0;
        }
        sum += (uint64_t)status.st_size;
    }
    return sum;
}

static cw_err open_course(struct course *course, const struct command *command,
                          struct cw_fault *fault)
{
    struct cw_send *send = &course->send;
    bool put = send->target.kind == CW_TARGET_PUT_EVENTS;
    uint64_t most = put ? CW_PUT_EVENTS_ENTRIES_MAX : command->batch > 0 ? command->batch : 500;
    course->batch_max = command->batch > 0 && command->batch < most ? command->batch : most;
    course->rate = command->rate;
    if (course->rate > 0 && course->batch_max > course->rate / 10 + 1) {
        course->batch_max = course->rate / 10 + 1; /* or the rate would be bursts */
    }
    send->names = command->names;
    send->fd = -1;
    send->retry_for_ms = command->retry_for_s * 1000;
    send->random = cw_clock_monotonic_ns() | 1;
    cw_bar_open(&send->bar);
    int spool = -1;
    bool standard = false;
    for (uint32_t i = 0; i < command->count; i++) {
        standard = standard || strcmp(command->names[i], "-") == 0;
    }
    if (command->now && standard) {
        spool = cw_send_spool(fault);
        if (spool < 0) {
            return fault->code;
        }
    }
    cw_err err = cw_json_open(&send->events, CW_SEND_EVENT_BYTES + 1024, CW_JSON_DEPTH_MAX, fault);
    if (err == CW_ERR_OK) {
        err = cw_json_open(&send->answers, CW_ANSWER_BYTES_MAX, 64, fault);
    }
    if (err == CW_ERR_OK && send->target.kind != CW_TARGET_LINES) {
        err = cw_send_http_open(send, fault);
    }
    if (err == CW_ERR_OK && command->now) {
        cw_send_reader_init(&course->reader, command->names, command->count, spool);
        err = find_shift(send, &course->reader, &course->shift_ms, fault);
        cw_send_reader_deinit(&course->reader);
    }
    course->pace = command->pace;
    if (err == CW_ERR_OK && course->pace) {
        course->asked_ns = cw_clock_monotonic_ns();
        err = cw_send_ask_clock(send, &course->clock_ms, &course->speed, fault);
    }
    cw_send_reader_init(&course->reader, command->names, command->count, spool);
    course->reader.advise_from = 0;
    course->total_bytes = sum_bytes(command);
    return err;
}

static void close_course(struct course *course)
{
    struct cw_send *send = &course->send;
    int spool = course->reader.spool;
    cw_send_reader_deinit(&course->reader);
    if (spool >= 0) {
        (void)close(spool);
    }
    if (send->curl != NULL) {
        cw_send_http_close(send);
    }
    cw_send_tcp_close(send);
    cw_json_close(send->events);
    cw_json_close(send->answers);
    cw_text_deinit(&send->batch);
    cw_text_deinit(&send->body);
    cw_text_deinit(&send->answer);
    cw_text_deinit(&course->shifted);
    cw_target_close(&send->target);
}

int cw_cmd_send(int argc, char **argv)
{
    static struct command command;
    static struct course course;
    int exit = parse(&command, argc, argv);
    if (exit != CW_EXIT_OK) {
        return exit;
    }
    if (command.help) {
        (void)fputs(help, stdout);
        return CW_EXIT_OK;
    }
    course = (struct course){.rate = 0};
    exit = cw_target_open(&course.send.target, "send", &command.target);
    if (exit == CW_EXIT_OK && command.batch > CW_PUT_EVENTS_ENTRIES_MAX &&
        course.send.target.kind == CW_TARGET_PUT_EVENTS) {
        exit = cw_usage_error("send", "--batch is at most %u with --as put-events",
                              CW_PUT_EVENTS_ENTRIES_MAX);
    }
    if (exit != CW_EXIT_OK) {
        cw_target_close(&course.send.target);
        return exit;
    }
    struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    struct cw_fault fault = {0};
    if (open_course(&course, &command, &fault) != CW_ERR_OK) {
        exit = cw_failure(&fault);
    } else {
        bool finished = run(&course);
        print_summary(&course, command.json);
        exit = finished && course.send.rejected == 0 ? CW_EXIT_OK : CW_EXIT_FAILURE;
    }
    close_course(&course);
    return exit;
}
