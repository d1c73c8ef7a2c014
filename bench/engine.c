#define _GNU_SOURCE 1
#include "bench/engine.h"

#include "bench/bench.h"
#include "core/json.h"
#include "io/clock.h"
#include "tools/http_reader.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define READY_NS UINT64_C(60000000000)
#define STOP_NS  UINT64_C(60000000000)

enum {
    POLL_MS = 2,
    ARGS_MAX = 32,
    ASK_SECONDS = 60,
    JSON_BYTES_MAX = 1 << 20
};

/* ---- programs ---- */

void cw_bench_program(const char *name, char path[CW_BENCH_PATH_BYTES])
{
    char own[CW_BENCH_PATH_BYTES];
    ssize_t bytes = readlink("/proc/self/exe", own, sizeof own - 1);
    own[bytes > 0 ? bytes : 0] = '\0';
    char *slash = strrchr(own, '/');
    if (slash != NULL) {
        *slash = '\0';
    }
    (void)snprintf(path, CW_BENCH_PATH_BYTES, "%.3900s/%.100s", slash != NULL ? own : ".", name);
}

bool cw_bench_directory(struct cw_bench_report *report, char path[CW_BENCH_PATH_BYTES])
{
    (void)snprintf(path, CW_BENCH_PATH_BYTES, "%.3900s/bench-engine-XXXXXX", cw_bench_dir);
    if (mkdtemp(path) == NULL) {
        cw_bench_fail(report, "%.100s cannot be made: %s", path, strerror(errno)); /* NOLINT */
        return false;
    }
    return true;
}

static int remove_one(const char *path, const struct stat *stat, int flag, struct FTW *ftw)
{
    (void)stat;
    (void)flag;
    (void)ftw;
    (void)remove(path);
    return 0;
}

void cw_bench_remove(const char *path)
{
    (void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void put_on(int from, int fd)
{
    (void)dup2(from, fd);
    if (from > STDERR_FILENO) {
        (void)close(from);
    }
}

pid_t cw_bench_start(const char *const argv[], int *out, const char *errors)
{
    int ends[2] = {-1, -1};
    char *words[ARGS_MAX] = {NULL};
    for (uint32_t i = 0; argv[i] != NULL; i++) {
        CW_ASSERT(i + 1 < ARGS_MAX);
        memcpy(&words[i], &argv[i], sizeof words[i]); /* execvp changes none, but cannot say so */
    }
    if (out != NULL && pipe2(ends, O_CLOEXEC) != 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        put_on(open("/dev/null", O_RDWR | O_CLOEXEC), STDIN_FILENO);
        put_on(out != NULL ? ends[1] : open("/dev/null", O_WRONLY | O_CLOEXEC), STDOUT_FILENO);
        put_on(open(errors != NULL ? errors : "/dev/null", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC,
                    0600),
               STDERR_FILENO);
        (void)execvp(words[0], words);
        _exit(127);
    }
    if (out != NULL) {
        (void)close(ends[1]);
        *out = ends[0];
        if (pid < 0) {
            (void)close(ends[0]);
        }
    }
    return pid;
}

static int exit_code(int status)
{
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int cw_bench_finish(pid_t pid, int out, struct cw_text *text)
{
    ssize_t got;
    do {
        char *room = cw_text_room(text, 4096);
        got = read(out, room, 4096);
        text->bytes += got > 0 ? (size_t)got : 0;
    } while (got > 0 || (got < 0 && errno == EINTR));
    (void)close(out);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return exit_code(status);
}

int cw_bench_run(const char *const argv[], struct cw_text *text)
{
    int out = -1;
    pid_t pid = cw_bench_start(argv, &out, NULL);
    return pid < 0 ? 127 : cw_bench_finish(pid, out, text);
}

bool cw_bench_stop(pid_t pid)
{
    int status = 0;
    uint64_t until = cw_clock_monotonic_ns() + STOP_NS;
    (void)kill(pid, SIGTERM);
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (cw_clock_monotonic_ns() > until) {
            (void)kill(pid, SIGKILL);
            (void)waitpid(pid, &status, 0);
            return false;
        }
        (void)poll(NULL, 0, POLL_MS);
    }
    return exit_code(status) == 0;
}

/* ---- requests ---- */

static int dial(uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET,
                             .sin_port = htons(port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    struct timeval timeout = {.tv_sec = ASK_SECONDS};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(fd, (struct sockaddr *)&in, sizeof in) != 0) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

static bool send_all(int fd, const char *data, size_t bytes)
{
    while (bytes > 0) {
        ssize_t sent = send(fd, data, bytes, MSG_NOSIGNAL);
        if (sent <= 0) {
            return false;
        }
        data += sent;
        bytes -= (size_t)sent;
    }
    return true;
}

static uint16_t read_answer(int fd, struct cw_text *answer)
{
    char data[65536];
    struct cw_http_reader reader = {.status = 0};
    enum cw_http_read read = CW_HTTP_MORE;
    while (read == CW_HTTP_MORE) {
        size_t used = 0;
        ssize_t got = recv(fd, data, sizeof data, 0);
        read = got < 0    ? CW_HTTP_BAD
               : got == 0 ? cw_http_read_end(&reader)
                          : cw_http_read(&reader, data, (size_t)got, &used);
        read = got == 0 && read == CW_HTTP_MORE ? CW_HTTP_BAD : read;
    }
    uint16_t status = read == CW_HTTP_DONE ? reader.status : 0;
    if (answer != NULL) {
        cw_text_clear(answer);
        cw_text_put(answer, reader.body.data, reader.body.bytes);
    }
    cw_http_reader_deinit(&reader);
    return status;
}

uint16_t cw_bench_ask(uint16_t port, const char *path, struct cw_view body, struct cw_text *answer)
{
    int fd = dial(port);
    if (fd < 0) {
        return 0;
    }
    struct cw_text head = {0};
    cw_text_printf(&head, "%s %s HTTP/1.1\r\nHost: 127.0.0.1\r\n",
                   body.data == NULL ? "GET" : "POST", path);
    if (body.data != NULL) {
        cw_text_printf(&head, "Content-Type: application/x-ndjson\r\nContent-Length: %u\r\n",
                       body.bytes);
    }
    cw_text_puts(&head, "\r\n");
    bool sent = send_all(fd, head.data, head.bytes) && send_all(fd, body.data, body.bytes);
    uint16_t status = sent ? read_answer(fd, answer) : 0;
    cw_text_deinit(&head);
    (void)close(fd);
    return status;
}

/* ---- an engine ---- */

static void read_file(const char *path, struct cw_text *text)
{
    char data[4096];
    size_t got;
    FILE *file = fopen(path, "re");
    cw_text_clear(text);
    while (file != NULL && (got = fread(data, 1, sizeof data, file)) > 0) {
        cw_text_put(text, data, got);
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}

static uint16_t port_after(const char *text, const char *scheme)
{
    const char *at = strstr(text, scheme);
    return at == NULL ? 0 : (uint16_t)strtoul(at + strlen(scheme), NULL, 10);
}

/* The line that begins with "ready" ends the start. */
static bool wait_until_ready(struct cw_bench_engine *engine, const char *errors)
{
    struct cw_text said = {0};
    uint64_t until = cw_clock_monotonic_ns() + READY_NS;
    bool ready = false;
    while (!ready && cw_clock_monotonic_ns() < until) {
        if (waitpid(engine->pid, NULL, WNOHANG) != 0) {
            engine->pid = -1; /* it has ended, and its number may be another's soon */
            read_file(errors, &said);
            break;
        }
        (void)poll(NULL, 0, POLL_MS);
        read_file(errors, &said);
        const char *line = strstr(cw_text_terminate(&said), "\nready ");
        ready = line != NULL && strchr(line + 1, '\n') != NULL;
        if (ready) {
            engine->http = port_after(line, "http://127.0.0.1:");
            engine->tcp = port_after(line, "tcp://127.0.0.1:");
        }
    }
    if (!ready) {
        (void)fprintf(stderr, "%s", cw_text_terminate(&said));
    }
    cw_text_deinit(&said);
    return ready;
}

bool cw_bench_engine_make(struct cw_bench_engine *engine, const char *durability,
                          enum cw_bench_cores cores, const char *settings,
                          struct cw_bench_report *report)
{
    char program[CW_BENCH_PATH_BYTES];
    char file[CW_BENCH_PATH_BYTES];
    *engine = (struct cw_bench_engine){.pid = -1};
    cw_bench_program("cartwheel", program);
    if (access(program, X_OK) != 0) {
        cw_bench_fail(report, "%.150s is not there: build it too", program);
        return false;
    }
    if (!cw_bench_directory(report, engine->directory)) {
        return false;
    }
    (void)snprintf(file, sizeof file, "%.3900s/engine.yaml", engine->directory);
    FILE *yaml = fopen(file, "we");
    if (yaml != NULL) {
        long cpus = sysconf(_SC_NPROCESSORS_ONLN);
        (void)fprintf(yaml, "durability: %s\n%s", durability, settings);
        if (cores == CW_BENCH_SPARE_CPU) {
            (void)fprintf(yaml, "cores: %ld\n", cpus > 1 ? cpus - 1 : 1);
        }
        (void)fclose(yaml);
    }
    return true;
}

bool cw_bench_engine_start(struct cw_bench_engine *engine, struct cw_bench_report *report)
{
    char program[CW_BENCH_PATH_BYTES];
    char file[CW_BENCH_PATH_BYTES];
    char state[CW_BENCH_PATH_BYTES];
    char errors[CW_BENCH_PATH_BYTES];
    cw_bench_program("cartwheel", program);
    (void)snprintf(file, sizeof file, "%.3900s/engine.yaml", engine->directory);
    (void)snprintf(state, sizeof state, "%.3900s/state", engine->directory);
    (void)snprintf(errors, sizeof errors, "%.3900s/errors", engine->directory);
    const char *argv[] = {program, "run",         "-c",      file,  "--http", "127.0.0.1:0",
                          "--tcp", "127.0.0.1:0", "--state", state, NULL};
    (void)unlink(errors); /* or what the one before said would be read until this one runs */
    engine->pid = cw_bench_start(argv, NULL, errors);
    if (engine->pid < 0 || !wait_until_ready(engine, errors)) {
        cw_bench_fail(report, "the engine did not start: standard error has what it said");
        return false;
    }
    return true;
}

bool cw_bench_engine_open(struct cw_bench_engine *engine, const char *durability,
                          enum cw_bench_cores cores, struct cw_bench_report *report)
{
    if (!cw_bench_engine_make(engine, durability, cores, "", report)) {
        return false;
    }
    if (!cw_bench_engine_start(engine, report)) {
        cw_bench_note(report, "its durability was %s", durability);
        cw_bench_engine_close(engine, report);
        return false;
    }
    return true;
}

void cw_bench_engine_said(const struct cw_bench_engine *engine, struct cw_text *said)
{
    char errors[CW_BENCH_PATH_BYTES];
    (void)snprintf(errors, sizeof errors, "%.3900s/errors", engine->directory);
    read_file(errors, said);
}

void cw_bench_engine_kill(struct cw_bench_engine *engine)
{
    if (engine->pid > 0) { /* kill() takes -1 for everybody */
        (void)kill(engine->pid, SIGKILL);
        while (waitpid(engine->pid, NULL, 0) < 0 && errno == EINTR) {
        }
    }
    engine->pid = -1;
}

void cw_bench_engine_close(struct cw_bench_engine *engine, struct cw_bench_report *report)
{
    if (engine->pid > 0 && !cw_bench_stop(engine->pid)) {
        struct cw_text said = {0};
        cw_bench_engine_said(engine, &said);
        (void)fprintf(stderr, "%s", cw_text_terminate(&said));
        cw_text_deinit(&said);
        cw_bench_fail(report, "the engine did not end well");
    }
    engine->pid = -1;
    cw_bench_remove(engine->directory);
}

double cw_bench_cpu_seconds(pid_t pid)
{
    char path[64];
    struct cw_text stat = {0};
    double ticks = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    read_file(path, &stat);
    const char *at = strrchr(cw_text_terminate(&stat), ')');       /* the name may hold anything */
    for (uint32_t field = 3; at != NULL && field <= 15; field++) { /* 14 user, 15 system */
        at = strchr(at + 1, ' ');
        ticks += at != NULL && field >= 14 ? strtod(at, NULL) : 0;
    }
    cw_text_deinit(&stat);
    return ticks / (double)sysconf(_SC_CLK_TCK);
}

double cw_bench_resident_bytes(pid_t pid)
{
    char path[64];
    struct cw_text statm = {0};
    (void)snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    read_file(path, &statm);
    const char *at = strchr(cw_text_terminate(&statm), ' '); /* behind the whole size */
    double pages = at != NULL ? strtod(at, NULL) : 0;
    cw_text_deinit(&statm);
    return pages * (double)sysconf(_SC_PAGESIZE);
}

/* ---- JSON ---- */

static uint32_t find(const struct cw_json *doc, const char *object, const char *member)
{
    uint32_t at = 0;
    if (object != NULL) {
        at = cw_json_find(doc, 0, (struct cw_view){object, (uint32_t)strlen(object)});
    }
    return at == CW_JSON_NONE || doc->nodes[at].type != CW_JSON_OBJECT
               ? CW_JSON_NONE
               : cw_json_find(doc, at, (struct cw_view){member, (uint32_t)strlen(member)});
}

/* The document and its parser, or NULL. */
static struct cw_json_parser *parse(struct cw_text *json, struct cw_json *doc)
{
    struct cw_json_parser *parser = NULL;
    struct cw_fault fault;
    if (cw_json_open(&parser, JSON_BYTES_MAX, CW_JSON_DEPTH_MAX, &fault) != CW_ERR_OK) {
        return NULL;
    }
    memset(cw_text_room(json, CW_JSON_PADDING), ' ', CW_JSON_PADDING);
    if (cw_json_parse(parser, json->data, (uint32_t)json->bytes, doc) != CW_JSON_PARSE_OK) {
        cw_json_close(parser);
        return NULL;
    }
    return parser;
}

double cw_bench_json_number(struct cw_text *json, const char *object, const char *member)
{
    struct cw_json doc;
    struct cw_json_parser *parser = parse(json, &doc);
    if (parser == NULL) {
        return 0;
    }
    uint32_t node = find(&doc, object, member);
    bool number = node != CW_JSON_NONE && doc.nodes[node].type == CW_JSON_NUMBER;
    double value = number ? cw_json_number(cw_json_raw(&doc, node)) : 0;
    cw_json_close(parser);
    return value;
}

bool cw_bench_json_string(struct cw_text *json, const char *member, char *out, size_t bytes)
{
    struct cw_json doc;
    struct cw_json_parser *parser = parse(json, &doc);
    uint32_t node = parser == NULL ? CW_JSON_NONE : find(&doc, NULL, member);
    bool good = node != CW_JSON_NONE && doc.nodes[node].type == CW_JSON_STRING &&
                doc.nodes[node].text_bytes < bytes;
    if (good) {
        out[cw_json_unescape(cw_json_raw(&doc, node), out)] = '\0';
    }
    if (parser != NULL) {
        cw_json_close(parser);
    }
    return good;
}

/* ---- load ---- */

pid_t cw_bench_load_begin(const struct cw_bench_engine *engine, const struct cw_bench_load *load,
                          int *out, struct cw_bench_report *report)
{
    char program[CW_BENCH_PATH_BYTES];
    char to[64];
    char words[5][24];
    bool tcp = load->way == CW_BENCH_TCP;
    cw_bench_program("cartwheel", program);
    (void)snprintf(to, sizeof to, "%s://127.0.0.1:%u", tcp ? "tcp" : "http",
                   tcp ? engine->tcp : engine->http);
    (void)snprintf(words[0], sizeof words[0], "%.0f", load->rate < 1 ? 1 : load->rate);
    (void)snprintf(words[1], sizeof words[1], "%.3f", load->seconds);
    (void)snprintf(words[2], sizeof words[2], "%u", load->batch);
    (void)snprintf(words[3], sizeof words[3], "%u", load->connections);
    /* Half of the CPUs may be the load's; on a small machine it has one thread all the same. */
    long threads = sysconf(_SC_NPROCESSORS_ONLN) / 2;
    threads = threads < 1 ? 1 : threads > load->connections ? load->connections : threads;
    (void)snprintf(words[4], sizeof words[4], "%ld", threads > 64 ? 64 : threads);
    const char *argv[] = {
        program,      "load",      "--json", "--to",
        to,           "--rate",    words[0], "--seconds",
        words[1],     "--batch",   words[2], "--connections",
        words[3],     "--threads", words[4], load->way == CW_BENCH_PUT_EVENTS ? "--as" : NULL,
        "put-events", NULL};
    pid_t pid = cw_bench_start(argv, out, NULL);
    if (pid < 0) {
        cw_bench_fail(report, "cartwheel load was not started");
    }
    return pid;
}

bool cw_bench_load_end(pid_t pid, int out, struct cw_bench_answers *answers,
                       struct cw_bench_report *report)
{
    static const char *const errors[] = {"connect", "broken", "timeout",       "throttled",
                                         "refused", "failed", "misunderstood", "unsent"};
    struct cw_text text = {0};
    int code = cw_bench_finish(pid, out, &text);
    *answers = (struct cw_bench_answers){
        .offered = cw_bench_json_number(&text, NULL, "offeredPerSecond"),
        .achieved = cw_bench_json_number(&text, NULL, "achievedPerSecond"),
        .answered = cw_bench_json_number(&text, NULL, "answered"),
        .rejected = cw_bench_json_number(&text, NULL, "rejected"),
        .duplicate = cw_bench_json_number(&text, NULL, "duplicate"),
        .timeouts = cw_bench_json_number(&text, "errors", "timeout"),
        .p50_us = cw_bench_json_number(&text, "latencyUs", "p50"),
        .p99_us = cw_bench_json_number(&text, "latencyUs", "p99"),
        .late_p99_us = cw_bench_json_number(&text, "lateUs", "p99")};
    for (uint32_t i = 0; i < CW_COUNTOF(errors); i++) {
        answers->errors += cw_bench_json_number(&text, "errors", errors[i]);
    }
    bool good = answers->offered > 0 && (code == 0 || code == 1); /* 1: some had no answer */
    if (!good) {
        cw_bench_fail(report, "cartwheel load ended with %d and no figures", code);
    }
    cw_text_deinit(&text);
    return good;
}

bool cw_bench_load(const struct cw_bench_engine *engine, const struct cw_bench_load *load,
                   struct cw_bench_answers *answers, struct cw_bench_report *report)
{
    int out = -1;
    pid_t pid = cw_bench_load_begin(engine, load, &out, report);
    return pid >= 0 && cw_bench_load_end(pid, out, answers, report);
}

/* ---- /metrics ---- */

/* The value of the line that begins so; *at goes behind it. NULL: no such line from *at on. */
static const char *line_value(const char **at, const char *name)
{
    size_t bytes = strlen(name);
    while (*at != NULL && **at != '\0') {
        const char *line = *at;
        const char *end = strchr(line, '\n');
        *at = end == NULL ? line + strlen(line) : end + 1;
        if (strncmp(line, name, bytes) == 0) {
            return line + bytes;
        }
    }
    return NULL;
}

bool cw_bench_buckets_read(struct cw_text *metrics, const char *name,
                           struct cw_bench_buckets *buckets)
{
    char begin[128];
    const char *at = cw_text_terminate(metrics);
    *buckets = (struct cw_bench_buckets){.count = 0};
    (void)snprintf(begin, sizeof begin, "%s_bucket{le=\"", name);
    const char *value;
    while ((value = line_value(&at, begin)) != NULL && buckets->count < CW_BENCH_EDGES_MAX) {
        char *end = NULL;
        double seconds = strtod(value, &end); /* +Inf is infinity to it */
        const char *number = strchr(end, ' ');
        if (number != NULL) {
            buckets->edge_us[buckets->count] = seconds * 1e6;
            buckets->at_most[buckets->count++] = strtod(number, NULL);
        }
    }
    return buckets->count > 0;
}

double cw_bench_buckets_edge(const struct cw_bench_buckets *before,
                             const struct cw_bench_buckets *after, double share)
{
    uint32_t last = after->count - 1;
    CW_ASSERT(before->count == after->count);
    double all = after->at_most[last] - before->at_most[last];
    if (all <= 0) {
        return 0;
    }
    uint32_t i = 0;
    while (i < last && after->at_most[i] - before->at_most[i] < share * all) {
        i++;
    }
    return isinf(after->edge_us[i]) ? after->edge_us[i - 1] : after->edge_us[i];
}

double cw_bench_metric(struct cw_text *metrics, const char *name)
{
    const char *at = cw_text_terminate(metrics);
    const char *value = line_value(&at, name);
    return value == NULL ? 0 : strtod(value, NULL);
}
