/*
 * bench_beside: what bounds every figure of engine.*, measured in the same run: how often the
 * machine does not run a thread that wants to run, what the disk takes for a flush, and what a bare
 * HTTP server does that answers nothing.
 */
#define _GNU_SOURCE 1
#include "bench/bench.h"
#include "bench/engine.h"
#include "core/histogram.h"
#include "io/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- engine.hiccups ---- */

enum {
    THREADS_MAX = 256,
    GAPS_MAX = 1 << 16
};

/* Shorter than this is an interrupt, not a thread that was not run. */
#define GAP_NS UINT64_C(20000)

struct spinner {
    pthread_t thread;
    uint64_t ns; /* how long; afterwards, how long it was: the last pause may have gone on */
    uint32_t count;
    uint64_t lost_ns, longest_ns;
    uint64_t queued_ns; /* of that, while another thread of this machine had the CPU */
    uint64_t gaps[GAPS_MAX];
};

/* How long this thread has waited for others so far, as the scheduler says; 0 where it does not. */
static uint64_t queued_ns(void)
{
    char line[128] = "";
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (file != NULL) {
        (void)!fgets(line, sizeof line, file);
        (void)fclose(file);
    }
    const char *second = strchr(line, ' ');
    return second == NULL ? 0 : strtoull(second + 1, NULL, 10);
}

/* CPU time that the host gave to somebody else so far, of all CPUs together. */
static double stolen_seconds(void)
{
    char line[512] = "";
    FILE *file = fopen("/proc/stat", "re");
    if (file != NULL) {
        (void)!fgets(line, sizeof line, file);
        (void)fclose(file);
    }
    const char *at = strpbrk(line, " "); /* cpu, two blanks, user nice system idle iowait irq
                                            softirq steal */
    at = at == NULL ? NULL : at + 1;
    for (uint32_t field = 0; at != NULL && field < 7; field++) {
        at = strchr(at + 1, ' ');
    }
    return at == NULL ? 0 : strtod(at, NULL) / (double)sysconf(_SC_CLK_TCK);
}

static void *spin(void *self)
{
    struct spinner *spinner = self;
    uint64_t queued = queued_ns();
    uint64_t start = cw_clock_monotonic_ns();
    uint64_t last = start;
    while (last < start + spinner->ns) {
        uint64_t now = cw_clock_monotonic_ns();
        uint64_t gap = now - last;
        last = now;
        if (gap > GAP_NS) {
            spinner->lost_ns += gap;
            spinner->longest_ns = gap > spinner->longest_ns ? gap : spinner->longest_ns;
            if (spinner->count < GAPS_MAX) {
                spinner->gaps[spinner->count++] = gap;
            }
        }
    }
    spinner->queued_ns = queued_ns() - queued;
    spinner->ns = last - start;
    return NULL;
}

/* One on each CPU that this process may use; how many there are. */
static uint32_t start_spinners(struct spinner **spinners, uint64_t ns)
{
    cpu_set_t allowed;
    uint32_t count = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) {
        return 0;
    }
    for (int cpu = 0; cpu < CPU_SETSIZE && count < THREADS_MAX; cpu++) {
        pthread_attr_t attr;
        cpu_set_t set;
        if (!CPU_ISSET((size_t)cpu, &allowed)) {
            continue;
        }
        CPU_ZERO(&set);
        CPU_SET((size_t)cpu, &set);
        struct spinner *spinner = calloc(1, sizeof *spinner);
        CW_ASSERT(spinner != NULL);
        spinner->ns = ns;
        (void)pthread_attr_init(&attr);
        (void)pthread_attr_setaffinity_np(&attr, sizeof set, &set);
        if (pthread_create(&spinner->thread, &attr, spin, spinner) == 0) {
            spinners[count++] = spinner;
        } else {
            free(spinner);
        }
        (void)pthread_attr_destroy(&attr);
    }
    return count;
}

/* How long an arrival at any moment waits until its CPU runs, at that quantile: of a gap g, all
   moments with more than x to come wait longer than x. */
static double wait_us(struct spinner *const *spinners, uint32_t count, double share)
{
    double low = 0;
    double high = 1e10;
    for (uint32_t step = 0; step < 60; step++) {
        double middle = (low + high) / 2;
        double beyond = 0;
        double all = 0;
        for (uint32_t i = 0; i < count; i++) {
            all += (double)spinners[i]->ns;
            for (uint32_t k = 0; k < spinners[i]->count; k++) {
                double gap = (double)spinners[i]->gaps[k];
                beyond += gap > middle ? gap - middle : 0;
            }
        }
        if (beyond > (1 - share) * all) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return high / 1e3;
}

static void tell_hiccups(struct cw_bench_report *report, struct spinner *const *spinners,
                         uint32_t count, double stolen)
{
    static const struct {
        uint64_t ns;
        const char *name;
    } sizes[] = {{50000, "over 50 us"},
                 {250000, "over 250 us"},
                 {1000000, "over 1 ms"},
                 {4000000, "over 4 ms"}};

    double seconds = 0;
    uint64_t lost = 0;
    uint64_t queued = 0;
    uint64_t longest = 0;
    for (uint32_t i = 0; i < count; i++) {
        seconds += (double)spinners[i]->ns / 1e9;
        lost += spinners[i]->lost_ns;
        queued += spinners[i]->queued_ns;
        longest = spinners[i]->longest_ns > longest ? spinners[i]->longest_ns : longest;
    }
    for (uint32_t s = 0; s < CW_COUNTOF(sizes); s++) {
        uint32_t over = 0;
        for (uint32_t i = 0; i < count; i++) {
            for (uint32_t k = 0; k < spinners[i]->count; k++) {
                over += spinners[i]->gaps[k] > sizes[s].ns;
            }
        }
        cw_bench_figure(report, "", sizes[s].name, "/s and CPU", over / seconds);
    }
    cw_bench_figure(report, "", "longest", "us", (double)longest / 1e3);
    cw_bench_figure(report, "", "time lost", "%", (double)lost / 1e7 / seconds);
    cw_bench_figure(report, "", "to others here", "%", (double)queued / 1e7 / seconds);
    cw_bench_figure(report, "", "to the host", "%", stolen * 100 / seconds);
    cw_bench_figure(report, "", "an arrival waits P99", "us", wait_us(spinners, count, 0.99));
    cw_bench_figure(report, "", "P99.9", "us", wait_us(spinners, count, 0.999));
}

static void measure_hiccups(const struct cw_bench_probe *probe, void *state,
                            struct cw_bench_report *report, bool tiny)
{
    (void)probe;
    (void)state;
    struct spinner *spinners[THREADS_MAX];
    double stolen = stolen_seconds();
    uint32_t count = start_spinners(spinners, tiny ? 50000000 : 3000000000);
    for (uint32_t i = 0; i < count; i++) {
        (void)pthread_join(spinners[i]->thread, NULL);
    }
    if (count > 0) {
        tell_hiccups(report, spinners, count, stolen_seconds() - stolen);
    } else {
        cw_bench_skip(report, "no thread can be pinned here");
    }
    for (uint32_t i = 0; i < count; i++) {
        free(spinners[i]);
    }
}

/* ---- engine.disk_flush ---- */

enum {
    BLOCK_BYTES = 4096,
    FILE_BYTES = 64 << 20,
    FILE_BYTES_TINY = 1 << 20,
    PIECE_BYTES = 1 << 20
};

struct disk {
    int fd;
    bool direct;
    uint64_t bytes, at;
    char *data;
    char directory[CW_BENCH_PATH_BYTES];
};

static void close_disk(void *self)
{
    struct disk *disk = self;
    if (disk->fd >= 0) {
        (void)close(disk->fd);
    }
    if (disk->directory[0] != '\0') {
        cw_bench_remove(disk->directory);
    }
    free(disk->data);
    free(disk);
}

/* A file that has been written once before, as a segment of the log. */
static bool fill(struct disk *disk)
{
    for (uint64_t at = 0; at < disk->bytes; at += PIECE_BYTES) {
        if (pwrite(disk->fd, disk->data, PIECE_BYTES, (off_t)at) != PIECE_BYTES) {
            return false;
        }
    }
    return fdatasync(disk->fd) == 0;
}

static void *open_disk(const struct cw_bench_probe *probe, struct cw_bench_report *report,
                       bool tiny)
{
    (void)probe;
    struct disk *disk = calloc(1, sizeof *disk);
    CW_ASSERT(disk != NULL);
    disk->fd = -1;
    disk->bytes = tiny ? FILE_BYTES_TINY : FILE_BYTES;
    disk->data = aligned_alloc(BLOCK_BYTES, PIECE_BYTES);
    CW_ASSERT(disk->data != NULL);
    memset(disk->data, 'x', PIECE_BYTES);
    char path[CW_BENCH_PATH_BYTES];
    if (!cw_bench_directory(report, disk->directory)) {
        disk->directory[0] = '\0';
        close_disk(disk);
        return NULL;
    }
    (void)snprintf(path, sizeof path, "%.3900s/flushed", disk->directory);
    disk->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_DIRECT, 0600);
    disk->direct = disk->fd >= 0;
    if (!disk->direct) { /* not every file system has it */
        disk->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        cw_bench_note(report, "through the cache: no O_DIRECT here");
    }
    if (disk->fd < 0 || !fill(disk)) {
        cw_bench_fail(report, "the disk does not write: %s", strerror(errno)); /* NOLINT */
    }
    return disk;
}

static void measure_disk(const struct cw_bench_probe *probe, void *state,
                         struct cw_bench_report *report, bool tiny)
{
    static struct cw_histogram times;
    struct disk *disk = state;
    (void)probe;
    times = (struct cw_histogram){.count = 0};
    uint64_t start = cw_clock_monotonic_ns();
    uint64_t until = start + (tiny ? 50000000 : 2000000000);
    uint64_t last = start;
    while (last < until) {
        bool done = pwrite(disk->fd, disk->data, BLOCK_BYTES, (off_t)disk->at) == BLOCK_BYTES &&
                    fdatasync(disk->fd) == 0;
        if (!done) {
            cw_bench_fail(report, "the disk does not write: %s", strerror(errno)); /* NOLINT */
            return;
        }
        disk->at = (disk->at + BLOCK_BYTES) % disk->bytes;
        uint64_t now = cw_clock_monotonic_ns();
        cw_histogram_add(&times, now - last);
        last = now;
    }
    cw_bench_figure(report, "", "flushes", "/s",
                    (double)times.count * 1e9 / (double)(last - start));
    cw_bench_figure(report, "", "P50", "us", (double)cw_histogram_quantile(&times, 0.5) / 1e3);
    cw_bench_figure(report, "", "P99", "us", (double)cw_histogram_quantile(&times, 0.99) / 1e3);
    cw_bench_figure(report, "", "P99.9", "us", (double)cw_histogram_quantile(&times, 0.999) / 1e3);
    cw_bench_figure(report, "", "max", "us", (double)times.max / 1e3);
}

/* ---- engine.http_204: nginx and /healthz ---- */

struct servers {
    pid_t nginx;
    uint16_t port;
    struct cw_bench_engine engine;
    char directory[CW_BENCH_PATH_BYTES];
};

static bool installed(const char *const paths[], const char **found)
{
    for (uint32_t i = 0; paths[i] != NULL; i++) {
        if (access(paths[i], X_OK) == 0) {
            *found = paths[i];
            return true;
        }
    }
    return false;
}

/* A port that was free just now. */
static uint16_t free_port(void)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t bytes = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && bind(fd, (struct sockaddr *)&in, sizeof in) == 0 &&
                getsockname(fd, (struct sockaddr *)&in, &bytes) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return good ? ntohs(in.sin_port) : 0;
}

/* As many workers as CPUs, as the engine has cores; nothing is logged, all files are here. */
static bool write_config(const struct servers *servers, const char *path)
{
    static const char *const temporary[] = {"client_body", "proxy", "fastcgi", "uwsgi", "scgi"};
    FILE *file = fopen(path, "we");
    if (file == NULL) {
        return false;
    }
    (void)fprintf(file,
                  "daemon off;\n%sworker_processes auto;\npid %s/pid;\nerror_log %s/errors;\n"
                  "events { worker_connections 1024; }\n"
                  "http {\n  access_log off;\n  keepalive_requests 1000000000;\n",
                  geteuid() == 0 ? "user root;\n" : "", servers->directory, servers->directory);
    for (uint32_t i = 0; i < CW_COUNTOF(temporary); i++) {
        (void)fprintf(file, "  %s_temp_path %s/temporary;\n", temporary[i], servers->directory);
    }
    (void)fprintf(file,
                  "  server { listen 127.0.0.1:%u reuseport; location / { return 204; } }\n}\n",
                  servers->port);
    return fclose(file) == 0;
}

static bool start_nginx(struct servers *servers, const char *nginx, struct cw_bench_report *report)
{
    char config[CW_BENCH_PATH_BYTES];
    (void)snprintf(config, sizeof config, "%.3900s/nginx.conf", servers->directory);
    servers->port = free_port();
    if (!write_config(servers, config)) {
        cw_bench_fail(report, "nginx.conf cannot be written");
        return false;
    }
    const char *argv[] = {nginx, "-p", servers->directory, "-c", config, NULL};
    servers->nginx = cw_bench_start(argv, NULL, NULL);
    struct cw_text body = {0};
    uint16_t status = 0;
    for (uint32_t tries = 0; tries < 500 && status == 0; tries++) { /* some seconds */
        (void)poll(NULL, 0, 10);
        status = cw_bench_ask(servers->port, "/", (struct cw_view){0}, &body);
    }
    cw_text_deinit(&body);
    if (status != 204) {
        cw_bench_skip(report, "nginx did not start, or does not answer with 204");
    }
    return status == 204;
}

static void close_servers(void *self)
{
    struct servers *servers = self;
    struct cw_bench_report report = {.failed = false}; /* nothing is left to be told of it */
    if (servers->nginx > 0) {
        (void)cw_bench_stop(servers->nginx);
    }
    if (servers->engine.pid > 0) {
        cw_bench_engine_close(&servers->engine, &report);
    }
    if (servers->directory[0] != '\0') {
        cw_bench_remove(servers->directory);
    }
    free(servers);
}

static void *open_servers(const struct cw_bench_probe *probe, struct cw_bench_report *report,
                          bool tiny)
{
    static const char *const nginxes[] = {"/usr/sbin/nginx", "/usr/local/sbin/nginx", NULL};
    static const char *const wrks[] = {"/usr/bin/wrk", "/usr/local/bin/wrk", NULL};
    const char *nginx = NULL;
    const char *wrk = NULL;
    (void)probe;
    (void)tiny;
    if (!installed(nginxes, &nginx) || !installed(wrks, &wrk)) {
        cw_bench_skip(report, "nginx and wrk are not both installed (apt-get install nginx wrk)");
        return NULL;
    }
    struct servers *servers = calloc(1, sizeof *servers);
    CW_ASSERT(servers != NULL);
    servers->nginx = -1;
    servers->engine.pid = -1;
    if (!cw_bench_directory(report, servers->directory)) {
        servers->directory[0] = '\0';
    } else if (start_nginx(servers, nginx, report)) {
        (void)cw_bench_engine_open(&servers->engine, "fsync", CW_BENCH_EVERY_CPU, report);
    }
    return servers;
}

/* wrk writes 12.34us, 1.23ms or 0.98s. */
static double duration_us(const char *text)
{
    char *unit = NULL;
    double value = strtod(text, &unit);
    return value * (unit[0] == 'u' ? 1 : unit[0] == 'm' ? 1e3 : 1e6);
}

static void run_wrk(uint16_t port, const char *path, const char *part,
                    struct cw_bench_report *report, bool tiny)
{
    char url[128];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, path);
    const char *argv[] = {"wrk", "-t1", "-c64", tiny ? "-d1s" : "-d3s", "--latency", url, NULL};
    struct cw_text out = {0};
    int code = cw_bench_run(argv, &out);
    const char *text = cw_text_terminate(&out);
    const char *rate = strstr(text, "Requests/sec:");
    const char *p50 = strstr(text, "\n     50%");
    const char *p99 = strstr(text, "\n     99%");
    if (code != 0 || rate == NULL || p50 == NULL || p99 == NULL) {
        cw_bench_fail(report, "wrk ended with %d and no figures", code);
    } else if (strstr(text, "Non-2xx") != NULL || strstr(text, "Socket errors") != NULL) {
        cw_bench_fail(report, "%s did not answer all of wrk", part);
    } else {
        cw_bench_figure(report, part, "requests", "/s", strtod(rate + 13, NULL));
        cw_bench_figure(report, part, "P50", "us", duration_us(p50 + 9));
        cw_bench_figure(report, part, "P99", "us", duration_us(p99 + 9));
    }
    cw_text_deinit(&out);
}

static void measure_servers(const struct cw_bench_probe *probe, void *state,
                            struct cw_bench_report *report, bool tiny)
{
    struct servers *servers = state;
    (void)probe;
    run_wrk(servers->port, "/", "nginx", report, tiny);
    run_wrk(servers->engine.http, "/healthz", "healthz", report, tiny);
}

const struct cw_bench_probe cw_bench_beside[] = {
    {"engine.hiccups", NULL, true, NULL, measure_hiccups, NULL},
    {"engine.disk_flush", NULL, true, open_disk, measure_disk, close_disk},
    {"engine.http_204", NULL, false, open_servers, measure_servers, close_servers},
    {0},
};

/* At the end: was it the same machine all the while? */
const struct cw_bench_probe cw_bench_again[] = {
    {"engine.hiccups_again", NULL, false, NULL, measure_hiccups, NULL},
    {"engine.disk_flush_again", NULL, false, open_disk, measure_disk, close_disk},
    {0},
};
