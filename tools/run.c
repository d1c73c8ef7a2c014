/* run: the live engine. */
#include "core/mesh.h"
#include "io/clock.h"
#include "tools/manager.h"

#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const char help[] =
    "usage: cartwheel run [OPTIONS] [PROGRAM.yaml...]\n"
    "\n"
    "Runs the engine: events come in over HTTP (PutEvents at /, POST /v1/events) and\n"
    "TCP, touches leave by the configured channels when they are due. Without an\n"
    "engine file: HTTP on 127.0.0.1:8080, state in ./cartwheel-state, messages into a\n"
    "local outbox (they are NOT sent), and the shipped program unless others are\n"
    "named. A line that begins with `ready` tells on standard error that it serves,\n"
    "and where.\n"
    "\n"
    "  -c, --config FILE  an engine file; `cartwheel config --help` tells its keys\n"
    "  --http ADDR:PORT   listen here instead of what the file says (port 0: any)\n"
    "  --tcp ADDR:PORT    take NDJSON here\n"
    "  --state DIR        the directory for what is kept\n"
    "  --cores N          so many cores (default: all that this process may use)\n"
    "  --clock CLOCK      wall (default), event (time is what the events say), or a\n"
    "                     factor such as 3600x: from now on, so many times as fast\n"
    "  --accept-loss CORE:LSN\n"
    "                     a log that is damaged is cut there, for good: the figure is\n"
    "                     the one that the refused start and `cartwheel verify` told;\n"
    "                     sends are held then\n"
    "  --new-secret       the state's secret.key is lost for good: a new one is made,\n"
    "                     and links in messages already sent lead nowhere\n"
    "  --models DIR       models to use besides the shipped ones\n"
    "  --templates DIR    templates to use besides the shipped ones\n"
    "  --decisions FILE   append every decision as a JSON line; - is standard output;\n"
    "                     a pipe that is not read stops the engine once it is full\n"
    "  --timeline         decisions as lines for people (on standard output without\n"
    "                     --decisions)\n"
    "  --help             print this\n"
    "\n"
    "SIGHUP reads programs and templates anew, all or nothing; SIGTERM and Ctrl-C\n"
    "stop it cleanly, a second one after a second or more stops it at once.\n"
    "\n"
    "exit: 0 stopped, 1 failed, 2 wrong usage or configuration, 74 the disk failed,\n"
    "78 the state is damaged (OPERATING.md)\n";

/* A second signal sooner than this is the same wish, sent to the process and to its group. */
#define AGAIN_NS UINT64_C(1000000000)

struct run {
    struct cw_engine_file file;
    struct cw_inputs inputs;
    const char *config, *http, *tcp, *state, *clock, *models, *templates, *decisions;
    uint32_t cores;
    struct cw_loss losses[CW_MESH_SHARDS_MAX];
    uint32_t loss_count;
    bool timeline, new_secret, help;
};

static int parse_option(struct run *run, int option, const char *value)
{
    char *end = NULL;
    unsigned long number;
    switch (option) {
    case 'c': run->config = value; break;
    case 'a': run->http = value; break;
    case 'p': run->tcp = value; break;
    case 's': run->state = value; break;
    case 'k': run->clock = value; break;
    case 'm': run->models = value; break;
    case 't': run->templates = value; break;
    case 'd': run->decisions = value; break;
    case 'l': run->timeline = true; break;
    case 'w': run->new_secret = true; break;
    case 'h': run->help = true; break;
    case 'x':
        if (run->loss_count == CW_MESH_SHARDS_MAX ||
            !cw_loss_parse(value, &run->losses[run->loss_count])) {
            return cw_usage_error("run", "--accept-loss is CORE:LSN, the figure that the refused "
                                         "start told, such as 0:1234");
        }
        run->loss_count++;
        break;
    case 'n':
        number = strtoul(value, &end, 10);
        if (*value < '0' || *value > '9' || *end != '\0' || number < 1 ||
            number > CW_MESH_SHARDS_MAX) {
            return cw_usage_error("run", "--cores is a number from 1 to %u", CW_MESH_SHARDS_MAX);
        }
        run->cores = (uint32_t)number;
        break;
    default: return CW_EXIT_USAGE; /* told already */
    }
    return CW_EXIT_OK;
}

static int parse(struct run *run, int argc, char **argv)
{
    static const struct option known[] = {{"config", required_argument, NULL, 'c'},
                                          {"http", required_argument, NULL, 'a'},
                                          {"tcp", required_argument, NULL, 'p'},
                                          {"state", required_argument, NULL, 's'},
                                          {"cores", required_argument, NULL, 'n'},
                                          {"clock", required_argument, NULL, 'k'},
                                          {"accept-loss", required_argument, NULL, 'x'},
                                          {"new-secret", no_argument, NULL, 'w'},
                                          {"models", required_argument, NULL, 'm'},
                                          {"templates", required_argument, NULL, 't'},
                                          {"decisions", required_argument, NULL, 'd'},
                                          {"timeline", no_argument, NULL, 'l'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    int option;
    while ((option = cw_next_option("run", argc, argv, "c:h", known)) != -1) {
        int rc = parse_option(run, option, optarg);
        if (rc != CW_EXIT_OK) {
            return rc;
        }
    }
    int rc = cw_inputs_take(&run->inputs, "run", argc - optind, argv + optind);
    if (rc == CW_EXIT_OK && run->inputs.event_count > 0) {
        return cw_usage_error("run",
                              "%s is no program (.yaml); events go to a running engine: "
                              "cartwheel send",
                              run->inputs.events[0]);
    }
    if (rc == CW_EXIT_OK && !run->help) {
        rc = cw_programs_not_engine("run", run->inputs.programs, run->inputs.program_count);
    }
    return rc;
}

/* What the command line says wins over the file. */
static int override(struct run *run)
{
    struct cw_engine_live *live = &run->file.live;
    if (run->tcp != NULL && live->listener_count == CW_LISTENERS_MAX) {
        return cw_usage_error("run", "--tcp is one more than the %u addresses of the engine file",
                              CW_LISTENERS_MAX);
    }
    if (run->http != NULL) {
        uint32_t kept = 0;
        for (uint32_t i = 0; i < live->listener_count; i++) {
            if (live->listeners[i].kind != CW_REQUEST_HTTP) {
                live->listeners[kept++] = live->listeners[i];
            }
        }
        live->listener_count = kept;
        if (kept + (run->tcp != NULL) >= CW_LISTENERS_MAX) {
            return cw_usage_error("run", "the engine file has too many TCP addresses for --http");
        }
        live->listeners[live->listener_count++] = (struct cw_listener){
            .kind = CW_REQUEST_HTTP, .address = {run->http, (uint32_t)strlen(run->http)}};
    }
    if (run->tcp != NULL) {
        live->listeners[live->listener_count++] = (struct cw_listener){
            .kind = CW_REQUEST_LINES, .address = {run->tcp, (uint32_t)strlen(run->tcp)}};
    }
    live->state = run->state != NULL ? run->state : live->state;
    int rc = cw_state_name("run", live->state, "cartwheel restore makes one of a snapshot");
    if (rc != CW_EXIT_OK) {
        return rc;
    }
    live->cores = run->cores > 0 ? run->cores : live->cores;
    if (run->clock != NULL && !cw_clock_mode_parse(run->clock, &live->clock, &live->clock_factor)) {
        return cw_usage_error("run",
                              "--clock \"%s\" is none of wall, event, or a factor such as "
                              "3600x",
                              run->clock);
    }
    return CW_EXIT_OK;
}

/* SIGHUP, SIGTERM and SIGINT as a descriptor; in all threads to come they are blocked. */
static int open_signals(void)
{
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

/* What `memory:` names is mapped: where its file system is full the kernel can only end who touches
   it. engine_room.c is ahead of that in all that the engine does; a start is not, which reads what
   there is. */
static char no_room[512];

static void memory_ended(int number)
{
    (void)number;
    (void)!write(STDERR_FILENO, no_room, strnlen(no_room, sizeof no_room));
    _exit(CW_EXIT_FAILURE);
}

static void guard_memory(const char *memory)
{
    (void)snprintf(no_room, sizeof no_room,
                   "cartwheel: no room is left for tables in %.300s: give that file system more. "
                   "Nothing that was acknowledged is lost\n",
                   memory);
    struct sigaction action = {.sa_handler = memory_ended};
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGBUS, &action, NULL);
}

static uint64_t stopping_ns; /* written before the handler below is there */

static void stop_at_once(int number)
{
    (void)number;
    /* NOLINTNEXTLINE(bugprone-signal-handler): it is clock_gettime, which a handler may call */
    if (cw_clock_monotonic_ns() - stopping_ns > AGAIN_NS) {
        static const char said[] = "stopped at once\n";
        (void)!write(STDERR_FILENO, said, sizeof said - 1);
        _exit(CW_EXIT_FAILURE);
    }
}

/* Ends may wait for a reader of decisions that does not read: nobody looks at the descriptor of
   signals then. */
static void let_signals_end(void)
{
    sigset_t set;
    (void)signal(SIGTERM, stop_at_once);
    (void)signal(SIGINT, stop_at_once);
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGINT);
    (void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

static int serve(struct cw_engine *engine, struct cw_manager *manager, int signals)
{
    struct cw_fault fault;
    struct cw_text ready = {0};
    if (cw_engine_start(engine, &fault) != CW_ERR_OK) {
        (void)cw_failure(&fault);
        /* Shards that started wait for those that did not. */
        exit(CW_EXIT_FAILURE); /* NOLINT(concurrency-mt-unsafe): no other thread ends the process */
    }
    cw_text_puts(&ready, "ready ");
    cw_engine_addresses(engine, &ready);
    (void)fprintf(stderr, "%s\n", cw_text_terminate(&ready));
    cw_text_deinit(&ready);
    if (cw_manager_ready(manager, engine, &fault) != CW_ERR_OK) {
        (void)cw_failure(&fault);
        exit(CW_EXIT_FAILURE); /* NOLINT(concurrency-mt-unsafe): as above */
    }
    bool stopping = false;
    while (!stopping || !cw_engine_stopped(engine)) { /* until it is told to stop, and has */
        cw_engine_tick(engine, signals, stopping ? 5 : 200);
        cw_manager_turn(manager);
        struct signalfd_siginfo got;
        while (read(signals, &got, sizeof got) == (ssize_t)sizeof got) {
            if (got.ssi_signo == SIGHUP) {
                cw_manager_reload(manager);
                (void)cw_engine_reload(engine);
                cw_manager_reloaded(manager);
            } else if (!stopping) {
                (void)fprintf(stderr, "stopping: what is under way is ended first\n");
                cw_manager_stopping(manager);
                cw_engine_stop(engine);
                stopping = true;
                stopping_ns = cw_clock_monotonic_ns();
            } else if (cw_clock_monotonic_ns() - stopping_ns > AGAIN_NS) {
                (void)fprintf(stderr, "stopped at once\n");
                _exit(CW_EXIT_FAILURE);
            }
        }
    }
    return CW_EXIT_OK;
}

static FILE *open_decisions(const struct run *run)
{
    if (run->decisions == NULL || strcmp(run->decisions, "-") == 0) {
        return stdout;
    }
    FILE *file = fopen(run->decisions, "ae");
    if (file == NULL) {
        struct cw_fault fault;
        (void)cw_fail(&fault, CW_ERR_IO, "opening %s", run->decisions);
        (void)cw_failure(&fault);
    }
    return file;
}

static int run_engine(struct run *run)
{
    struct cw_engine_options options = {
        .file = &run->file,
        .config = run->config,
        .models = run->models != NULL ? run->models : run->file.models,
        .templates = run->templates != NULL ? run->templates : run->file.templates,
        .programs = run->inputs.program_count > 0 ? run->inputs.programs : run->file.programs,
        .program_count =
            run->inputs.program_count > 0 ? run->inputs.program_count : run->file.program_count,
        .losses = run->losses,
        .loss_count = run->loss_count,
        .new_secret = run->new_secret,
        .timeline = run->timeline};
    if (run->decisions != NULL || run->timeline) {
        options.decisions = open_decisions(run);
        if (options.decisions == NULL) {
            return CW_EXIT_FAILURE;
        }
    }
    if (run->file.live.memory != NULL) {
        guard_memory(run->file.live.memory);
    }
    int signals = open_signals();
    struct cw_engine *engine = NULL;
    struct cw_manager manager = {0};
    int rc = cw_engine_open(&engine, &options);
    if (rc == CW_EXIT_OK) {
        cw_engine_remarks(engine, stderr);
        rc = serve(engine, &manager, signals);
        let_signals_end();
        rc = cw_engine_close(engine) ? rc : CW_EXIT_FAILURE;
        cw_manager_close(&manager);
    }
    if (options.decisions != NULL &&
        (fflush(options.decisions) != 0 || ferror(options.decisions) != 0)) {
        (void)fprintf(stderr, "cartwheel: decisions were not all written\n");
        rc = CW_EXIT_FAILURE;
    }
    (void)close(signals);
    return rc;
}

/* A core file would hold customers' data and keys, and so would what another process of the same
   user reads in this one's memory. A sanitizer has to trace its process to look for leaks. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#    define SANITIZED 1
#elif defined(__has_feature)
#    if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#        define SANITIZED 1
#    endif
#endif

static void keep_memory_private(void)
{
#ifndef SANITIZED
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0); /* cannot fail so */
#endif
}

int cw_cmd_run(int argc, char **argv)
{
    struct cw_fault fault;
    keep_memory_private();
    struct run *run = calloc(1, sizeof *run);
    CW_ASSERT(run != NULL);
    int rc = parse(run, argc, argv);
    if (rc == CW_EXIT_OK && run->help) {
        (void)fputs(help, stdout);
    } else if (rc == CW_EXIT_OK) {
        if (cw_engine_file_read(&run->file, run->config, &fault) != CW_ERR_OK) {
            (void)cw_failure(&fault);
            rc = CW_EXIT_USAGE;
        } else {
            rc = override(run);
        }
        if (rc == CW_EXIT_OK) {
            rc = run_engine(run);
        }
        cw_engine_file_close(&run->file);
    }
    free(run);
    return rc;
}
