/* cartwheel load: open-loop load on an engine, and how long it takes to answer. */
#include "io/clock.h"
#include "tools/bar.h"
#include "tools/load_priv.h"
#include "tools/put_events.h"

#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char help[] =
    "usage: cartwheel load [OPTIONS] --to URL\n"
    "\n"
    "Open-loop load on an engine: requests are due at fixed times, whatever became of\n"
    "those before them, and latency counts from the time a request was due to its\n"
    "answer. So an engine that falls behind is seen to fall behind. The events are a\n"
    "generated shop's; every event has an id of its own and the present time, and\n"
    "every round of the shop has customers of its own.\n"
    "\n"
    "  --to URL              http://HOST:PORT or tcp://HOST:PORT, as for send\n"
    "  --as put-events       as EventBridge PutEvents calls to http://HOST:PORT\n"
    "  --rate N              events a second (1000)\n"
    "  --seconds S           how long (10); then it waits up to 10 s for answers\n"
    "  --batch N             events in one request (1)\n"
    "  --connections N       kept open, in all (16); with http one request at a time\n"
    "                        on each\n"
    "  --threads N           that share the load (1)\n"
    "  --shop-seed N         another shop for every number (1)\n"
    "  --shop-events N       of the shop that are gone round (20000)\n"
    "  --repeat              every round is the first again, with its ids and\n"
    "                        customers: what an engine keeps does not grow then,\n"
    "                        whatever else does\n"
    "  --api-key-file FILE   sent as X-Api-Key\n"
    "  --key-id ID --secret-file FILE, --region NAME\n"
    "                        sign put-events calls, as for send\n"
    "  --json                print the figures as one JSON object\n"
    "  --help                print this\n"
    "\n"
    "Latencies are those of answered requests, and of requests that had no answer in\n"
    "time or were never sent for want of a free connection, with the time they\n"
    "waited. \"late\" is how long the load itself was behind its schedule with a\n"
    "connection free: large values mean that this program, not the engine, was too\n"
    "slow; give it more --threads or a larger --batch.\n"
    "\n"
    "exit: 0 every event was answered, 1 some were not, or the engine was not\n"
    "reached, 2 wrong usage\n";

struct command {
    struct cw_target_options target;
    uint64_t rate, batch, connections, threads, seed, shop_events;
    double seconds;
    bool repeat, json, help;
};

/* What a signal stops. */
static struct cw_load_plan plan;

static void on_signal(int number)
{
    (void)number;
    atomic_store(&plan.stop, true);
}

/* ---- options ---- */

static const struct option known[] = {{"to", required_argument, NULL, 't'},
                                      {"as", required_argument, NULL, 'a'},
                                      {"rate", required_argument, NULL, 'r'},
                                      {"seconds", required_argument, NULL, 'd'},
                                      {"batch", required_argument, NULL, 'b'},
                                      {"connections", required_argument, NULL, 'c'},
                                      {"threads", required_argument, NULL, 'p'},
                                      {"shop-seed", required_argument, NULL, 'e'},
                                      {"shop-events", required_argument, NULL, 'n'},
                                      {"repeat", no_argument, NULL, 'R'},
                                      {"api-key-file", required_argument, NULL, 'k'},
                                      {"key-id", required_argument, NULL, 'i'},
                                      {"secret-file", required_argument, NULL, 's'},
                                      {"region", required_argument, NULL, 'g'},
                                      {"json", no_argument, NULL, 'j'},
                                      {"help", no_argument, NULL, 'h'},
                                      {NULL, 0, NULL, 0}};

/* True when the option is a number; *good tells whether it is a right one. */
static bool take_number(struct command *command, int option, bool *good)
{
    const struct {
        int option;
        const char *name;
        uint64_t min, max;
        uint64_t *out;
    } rows[] = {
        {'r', "rate", 1, 100000000, &command->rate},
        {'b', "batch", 1, 10000, &command->batch},
        {'c', "connections", 1, 60000, &command->connections},
        {'p', "threads", 1, 64, &command->threads},
        {'e', "shop-seed", 0, UINT64_MAX, &command->seed},
        {'n', "shop-events", 100, 1000000, &command->shop_events},
    };

    for (uint32_t i = 0; i < CW_COUNTOF(rows); i++) {
        if (rows[i].option != option) {
            continue;
        }
        char *end = NULL;
        errno = 0;
        unsigned long long value = strtoull(optarg, &end, 10);
        *good = optarg[0] >= '0' && optarg[0] <= '9' && *end == '\0' && errno == 0 &&
                value >= rows[i].min && value <= rows[i].max;
        if (!*good) {
            (void)cw_usage_error("load", "--%s is a whole number from %llu to %llu, not \"%.40s\"",
                                 rows[i].name, (unsigned long long)rows[i].min,
                                 (unsigned long long)rows[i].max, optarg);
        }
        *rows[i].out = value;
        return true;
    }
    if (option == 'd') {
        char *end = NULL;
        command->seconds = strtod(optarg, &end);
        *good = end != optarg && *end == '\0' && command->seconds >= 0.01 &&
                command->seconds <= 7 * 86400.0;
        if (!*good) {
            (void)cw_usage_error("load", "--seconds is a number from 0.01 to 604800, not \"%.40s\"",
                                 optarg);
        }
        return true;
    }
    return false;
}

/* One option; false after an error was printed. */
static bool take_option(struct command *command, int option)
{
    bool good = true;
    if (take_number(command, option, &good)) {
        return good;
    }
    switch (option) {
    case 't': command->target.to = optarg; return true;
    case 'a': command->target.as = optarg; return true;
    case 'k': command->target.api_key_file = optarg; return true;
    case 'i': command->target.key_id = optarg; return true;
    case 's': command->target.secret_file = optarg; return true;
    case 'g': command->target.region = optarg; return true;
    case 'R': command->repeat = true; return true;
    case 'j': command->json = true; return true;
    case 'h': command->help = true; return true;
    default: return false;
    }
}

static int parse(struct command *command, int argc, char **argv)
{
    *command = (struct command){.rate = 1000,
                                .batch = 1,
                                .connections = 16,
                                .threads = 1,
                                .seed = 1,
                                .shop_events = 20000,
                                .seconds = 10};
    optind = 0;
    for (;;) { /* as often as there are options */
        int option = cw_next_option("load", argc, argv, "h", known);
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
    if (optind < argc) {
        return cw_usage_error("load", "it takes no \"%.40s\": its events are its own",
                              argv[optind]);
    }
    if (command->connections < command->threads) {
        return cw_usage_error("load", "each of %llu threads needs a connection",
                              (unsigned long long)command->threads);
    }
    return CW_EXIT_OK;
}

/* ---- running ---- */

static cw_err resolve(struct cw_fault *fault)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int wrong = getaddrinfo(plan.target.host, plan.target.port, &hints, &list);
    if (wrong != 0) {
        return cw_fail(fault, CW_ERR_NOT_FOUND, "%s: %s", plan.target.host, gai_strerror(wrong));
    }
    /* The first that answers: a name may stand for both kinds of address, an engine listen on
       one. */
    cw_err err = cw_fail(fault, CW_ERR_IO, "connecting to %s", plan.target.authority);
    for (const struct addrinfo *at = list; at != NULL && err != CW_ERR_OK; at = at->ai_next) {
        int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd >= 0 && connect(fd, at->ai_addr, at->ai_addrlen) == 0) {
            memcpy(&plan.address, at->ai_addr, at->ai_addrlen);
            plan.address_bytes = at->ai_addrlen;
            err = CW_ERR_OK;
        } else {
            fault->sys_errno = errno;
        }
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    freeaddrinfo(list);
    return err;
}

static void show(struct cw_bar *bar, const struct cw_load_thread *threads, uint64_t now_ns)
{
    uint64_t answered = 0;
    for (uint32_t i = 0; i < plan.threads; i++) {
        answered += atomic_load_explicit(&threads[i].answered, memory_order_relaxed);
    }
    double passed = now_ns > plan.start_ns ? (double)(now_ns - plan.start_ns) / 1e9 : 0;
    cw_bar_show(bar, (uint64_t)(passed * 1000), (uint64_t)(plan.seconds * 1000),
                "%.0f s, %llu events answered", passed, (unsigned long long)answered);
}

/* Looks on until all threads are done. */
static void watch(const struct cw_load_thread *threads, atomic_uint *running)
{
    struct cw_bar bar;
    cw_bar_open(&bar);
    while (atomic_load(running) > 0) {
        struct timespec pause = {.tv_nsec = 20000000};
        (void)nanosleep(&pause, NULL);
        show(&bar, threads, cw_clock_monotonic_ns());
    }
    cw_bar_clear(&bar);
}

static atomic_uint running;

static void *run_thread(void *thread)
{
    (void)cw_load_run(thread);
    atomic_fetch_sub(&running, 1);
    return NULL;
}

static void add_result(struct cw_load_result *to, const struct cw_load_result *from)
{
    cw_histogram_merge(&to->latency, &from->latency);
    cw_histogram_merge(&to->late, &from->late);
    to->offered += from->offered;
    to->accepted += from->accepted;
    to->duplicate += from->duplicate;
    to->rejected += from->rejected;
    for (uint32_t i = 0; i < CW_LOAD_ERROR_COUNT; i++) {
        to->errors[i] += from->errors[i];
    }
    to->last_ns = from->last_ns > to->last_ns ? from->last_ns : to->last_ns;
    if (to->first_refusal[0] == '\0') {
        memcpy(to->first_refusal, from->first_refusal, sizeof to->first_refusal);
    }
}

/* Runs the plan on these threads. */
static cw_err run_on(struct cw_load_thread *threads, pthread_t *ids, struct cw_load_result *result,
                     struct cw_fault *fault)
{
    uint32_t started = 0;
    cw_err err = CW_ERR_OK;
    plan.start_ns = cw_clock_monotonic_ns() + 50000000; /* when all are connected */
    for (; err == CW_ERR_OK && started < plan.threads; started += err == CW_ERR_OK) {
        struct cw_load_thread *thread = &threads[started];
        thread->plan = &plan;
        thread->index = started;
        thread->connection_count =
            plan.connections / plan.threads + (started < plan.connections % plan.threads);
        atomic_fetch_add(&running, 1);
        if (pthread_create(&ids[started], NULL, run_thread, thread) != 0) {
            atomic_fetch_sub(&running, 1);
            atomic_store(&plan.stop, true);
            err = cw_fail(fault, CW_ERR_LIMIT, "no more threads");
        }
    }
    watch(threads, &running);
    for (uint32_t i = 0; i < started; i++) {
        (void)pthread_join(ids[i], NULL);
        add_result(result, &threads[i].result);
        if (threads[i].err != CW_ERR_OK && err == CW_ERR_OK) {
            *fault = threads[i].fault;
            err = threads[i].err;
        }
    }
    return err;
}

static cw_err run_threads(struct cw_load_result *result, struct cw_fault *fault)
{
    struct cw_load_thread *threads = calloc(plan.threads, sizeof *threads);
    pthread_t *ids = calloc(plan.threads, sizeof *ids);
    cw_err err = threads == NULL || ids == NULL
                     ? cw_fail(fault, CW_ERR_LIMIT, "no memory for threads")
                     : run_on(threads, ids, result, fault);
    free(threads);
    free(ids);
    return err;
}

/* ---- the figures ---- */

static const struct {
    const char *name, *words;
} error_names[] = {

#define CW_X(name, text, words) {text, words},
    CW_LOAD_ERRORS(CW_X)
#undef CW_X
};

static const struct {
    const char *name;
    double share;
} shares[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p99.9", 0.999}};

struct figures {
    uint64_t answered, errors;
    double seconds, offered_rate, achieved_rate;
};

static struct figures sum_up(const struct cw_load_result *result)
{
    struct figures f = {.answered = result->accepted + result->duplicate + result->rejected};
    for (uint32_t i = 0; i < CW_LOAD_ERROR_COUNT; i++) {
        f.errors += result->errors[i];
    }
    double until = result->last_ns > plan.start_ns ? (double)(result->last_ns - plan.start_ns) : 0;
    f.seconds = until / 1e9;
    double scheduled = atomic_load(&plan.stop) && until > 0 ? until / 1e9 : plan.seconds;
    f.seconds = f.seconds < scheduled ? scheduled : f.seconds;
    f.offered_rate = (double)result->offered / scheduled;
    f.achieved_rate = (double)f.answered / f.seconds;
    return f;
}

static void json_histogram(struct cw_text *out, const char *name,
                           const struct cw_histogram *histogram)
{
    cw_text_printf(out, ",\"%s\":{\"requests\":%llu", name, (unsigned long long)histogram->count);
    for (uint32_t i = 0; i < CW_COUNTOF(shares); i++) {
        cw_text_printf(out, ",\"%s\":%.3f", shares[i].name,
                       (double)cw_histogram_quantile(histogram, shares[i].share) / 1e3);
    }
    cw_text_printf(out, ",\"max\":%.3f}", (double)histogram->max / 1e3);
}

static void print_json(const struct cw_load_result *result, const struct figures *f)
{
    struct cw_text out = {0};
    cw_text_printf(&out,
                   "{\"seconds\":%.3f,\"offered\":%llu,\"offeredPerSecond\":%.1f,\"answered\":%llu,"
                   "\"achievedPerSecond\":%.1f,\"accepted\":%llu,\"duplicate\":%llu,"
                   "\"rejected\":%llu,\"errors\":{",
                   f->seconds, (unsigned long long)result->offered, f->offered_rate,
                   (unsigned long long)f->answered, f->achieved_rate,
                   (unsigned long long)result->accepted, (unsigned long long)result->duplicate,
                   (unsigned long long)result->rejected);
    for (uint32_t i = 0; i < CW_LOAD_ERROR_COUNT; i++) {
        cw_text_printf(&out, "%s\"%s\":%llu", i == 0 ? "" : ",", error_names[i].name,
                       (unsigned long long)result->errors[i]);
    }
    cw_text_char(&out, '}');
    json_histogram(&out, "latencyUs", &result->latency);
    json_histogram(&out, "lateUs", &result->late);
    cw_text_puts(&out, "}\n");
    (void)fwrite(out.data, 1, out.bytes, stdout);
    cw_text_deinit(&out);
}

static void print_duration(const char *name, uint64_t ns)
{
    if (ns < 10000000) {
        (void)printf("  %s %.0f us", name, (double)ns / 1e3);
    } else {
        (void)printf("  %s %.1f ms", name, (double)ns / 1e6);
    }
}

static void print_histogram(const char *name, const struct cw_histogram *histogram)
{
    (void)printf("%-9s", name);
    for (uint32_t i = 0; i < CW_COUNTOF(shares); i++) {
        print_duration(shares[i].name, cw_histogram_quantile(histogram, shares[i].share));
    }
    print_duration("max", histogram->max);
    (void)printf("\n");
}

static void print_text(const struct cw_load_result *result, const struct figures *f)
{
    (void)printf("offered    %llu events, %.0f/s\n", (unsigned long long)result->offered,
                 f->offered_rate);
    (void)printf("achieved   %llu events, %.0f/s: %llu accepted, %llu duplicate, %llu rejected\n",
                 (unsigned long long)f->answered, f->achieved_rate,
                 (unsigned long long)result->accepted, (unsigned long long)result->duplicate,
                 (unsigned long long)result->rejected);
    (void)printf("errors     %llu\n", (unsigned long long)f->errors);
    for (uint32_t i = 0; i < CW_LOAD_ERROR_COUNT; i++) {
        if (result->errors[i] > 0) {
            (void)printf("  %-14s %llu events: %s\n", error_names[i].name,
                         (unsigned long long)result->errors[i], error_names[i].words);
        }
    }
    if (result->first_refusal[0] != '\0') {
        (void)printf("  the first: %s\n", result->first_refusal);
    }
    print_histogram("latency", &result->latency);
    print_histogram("late", &result->late);
}

static int run(const struct command *command)
{
    static struct cw_load_result result;
    struct cw_fault fault = {0};
    bool put = plan.target.kind == CW_TARGET_PUT_EVENTS;
    plan.rate = command->rate;
    plan.seconds = command->seconds;
    plan.batch = (uint32_t)command->batch;
    plan.connections = (uint32_t)command->connections;
    plan.threads = (uint32_t)command->threads;
    plan.repeat = command->repeat;
    plan.run = (uint32_t)(cw_clock_wall_ms() >> 2);
    result = (struct cw_load_result){.offered = 0};
    cw_err err = resolve(&fault);
    if (err == CW_ERR_OK) {
        err = cw_load_pool_open(&plan.pool, command->seed, (uint32_t)command->shop_events, put,
                                &fault);
    }
    if (err == CW_ERR_OK) {
        err = run_threads(&result, &fault);
    }
    cw_load_pool_close(&plan.pool);
    if (err != CW_ERR_OK) {
        return cw_failure(&fault);
    }
    struct figures figures = sum_up(&result);
    if (command->json) {
        print_json(&result, &figures);
    } else {
        print_text(&result, &figures);
    }
    bool stopped = atomic_load(&plan.stop);
    return figures.errors == 0 && !stopped ? CW_EXIT_OK : CW_EXIT_FAILURE;
}

int cw_cmd_load(int argc, char **argv)
{
    struct command command;
    int exit = parse(&command, argc, argv);
    if (exit != CW_EXIT_OK) {
        return exit;
    }
    if (command.help) {
        (void)fputs(help, stdout);
        return CW_EXIT_OK;
    }
    memset(&plan, 0, sizeof plan);
    exit = cw_target_open(&plan.target, "load", &command.target);
    if (exit == CW_EXIT_OK && plan.target.tls) {
        exit = cw_usage_error("load", "https is not measured here; put http in front of it");
    }
    if (exit == CW_EXIT_OK && plan.target.kind == CW_TARGET_PUT_EVENTS &&
        command.batch > CW_PUT_EVENTS_ENTRIES_MAX) {
        exit = cw_usage_error("load", "--batch is at most %u with --as put-events",
                              CW_PUT_EVENTS_ENTRIES_MAX);
    }
    if (exit == CW_EXIT_OK) {
        struct sigaction action = {.sa_handler = on_signal};
        (void)sigaction(SIGINT, &action, NULL);
        (void)sigaction(SIGTERM, &action, NULL);
        exit = run(&command);
    }
    cw_target_close(&plan.target);
    return exit;
}
