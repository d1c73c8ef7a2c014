/* top: what an engine does just now, from its /metrics. */
#include "core/text.h"
#include "core/time.h"
#include "io/clock.h"
#include "tools/cli.h"

#include <curl/curl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static const char help[] =
    "usage: cartwheel top [OPTIONS]\n"
    "\n"
    "Shows what an engine does just now: events and their fates, candidates, touches\n"
    "by channel, conversions, latencies, requests; on a terminal anew every second\n"
    "until Ctrl-C.\n"
    "\n"
    "  --to URL             the engine (http://127.0.0.1:8080)\n"
    "  --every SECONDS      between two looks (1; with --once 0.5)\n"
    "  --once               one page, of what happens in half a second (or --every)\n"
    "  --api-key-file FILE  sent as X-Api-Key; a key with the role report is enough\n"
    "  --help               print this\n"
    "\n"
    "exit: 0 ended, 1 the engine cannot be reached, 2 wrong usage\n";

enum {
    SAMPLES_MAX = 2048,
    METRICS_BYTES_MAX = 4 << 20,
    REASONS_SHOWN = 5,
    ROWS_FOR_ALL = 40, /* a screen this high has room for every reason */
    VALUE_COLUMN = 13,
    KEY_BYTES_MAX = 4096
};

struct sample {
    struct cw_view name; /* with its labels */
    double value;
};

struct look {
    struct cw_text text;
    struct sample list[SAMPLES_MAX];
    uint32_t count;
    uint64_t at_ns;
};

struct top {
    const char *to, *key_file;
    double every;
    bool once, help, terminal;
    char key[KEY_BYTES_MAX];
    CURL *curl;
    char error[CURL_ERROR_SIZE];
    struct look looks[2], health;
    uint32_t now;   /* of looks */
    uint32_t taken; /* looks so far */
    struct cw_text page;
    uint32_t columns, rows, reasons; /* of the screen; how many reasons of a kind are shown */
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    (void)number;
    interrupted = 1;
}

/* ---- asking ---- */

static size_t take(char *data, size_t size, size_t count, void *self)
{
    struct cw_text *text = self;
    if (text->bytes + size * count > METRICS_BYTES_MAX) {
        return 0;
    }
    cw_text_put(text, data, size * count);
    return size * count;
}

static bool ask(struct top *top, const char *path, struct look *look)
{
    char url[2048];
    long status = 0;
    struct curl_slist *headers = NULL;
    (void)snprintf(url, sizeof url, "%s%s", top->to, path);
    cw_text_clear(&look->text);
    curl_easy_reset(top->curl);
    if (top->key[0] != '\0') {
        char header[KEY_BYTES_MAX + 16];
        (void)snprintf(header, sizeof header, "X-Api-Key: %s", top->key);
        headers = curl_slist_append(NULL, header);
    }
    (void)curl_easy_setopt(top->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(top->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(top->curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(top->curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(top->curl, CURLOPT_WRITEDATA, &look->text);
    (void)curl_easy_setopt(top->curl, CURLOPT_ERRORBUFFER, top->error);
    (void)curl_easy_setopt(top->curl, CURLOPT_TIMEOUT, 5L);
    (void)curl_easy_setopt(top->curl, CURLOPT_NOSIGNAL, 1L);
    top->error[0] = '\0';
    CURLcode code = curl_easy_perform(top->curl);
    curl_slist_free_all(headers);
    (void)curl_easy_getinfo(top->curl, CURLINFO_RESPONSE_CODE, &status);
    bool ill = status == 503 && strcmp(path, "/healthz") == 0; /* and it says why */
    if (code == CURLE_OK && (status == 200 || ill)) {
        return true;
    }
    if (top->terminal) { /* what is wrong is told whole */
        (void)fputs("\033[?7h", stdout);
        (void)fflush(stdout);
    }
    if (code != CURLE_OK) {
        (void)fprintf(stderr, "cartwheel top: %s: %s\n", url,
                      top->error[0] != '\0' ? top->error : curl_easy_strerror(code));
    } else {
        bool denied = status == 401 || status == 403;
        bool words = denied && top->key[0] != '\0'; /* the engine's, what is wrong with the key */
        (void)fprintf(stderr, "cartwheel top: %s answers %ld%s%.*s\n", url, status,
                      words    ? ": "
                      : denied ? "; --api-key-file names a key"
                               : "",
                      words ? (int)strcspn(cw_text_terminate(&look->text), "\r\n") : 0,
                      words ? cw_text_terminate(&look->text) : "");
    }
    return false;
}

static void split(struct look *look)
{
    look->count = 0;
    char *line = look->text.data;
    char *end = line + look->text.bytes;
    while (line < end && look->count < SAMPLES_MAX) {
        char *feed = memchr(line, '\n', (size_t)(end - line));
        char *stop = feed != NULL ? feed : end;
        char *blank = stop;
        while (blank > line && *blank != ' ') {
            blank--;
        }
        if (*line != '#' && blank > line) {
            look->list[look->count++] =
                (struct sample){{line, (uint32_t)(blank - line)}, strtod(blank + 1, NULL)};
        }
        line = stop + 1;
    }
}

static const struct look *latest(const struct top *top)
{
    return &top->looks[top->now];
}

static double get(const struct look *look, const char *name)
{
    size_t bytes = strlen(name);
    for (uint32_t i = 0; i < look->count; i++) {
        if (look->list[i].name.bytes == bytes &&
            memcmp(look->list[i].name.data, name, bytes) == 0) {
            return look->list[i].value;
        }
    }
    return 0;
}

/* A second, between the last two looks. */
static double rate(const struct top *top, const char *name)
{
    const struct look *now = latest(top);
    const struct look *before = &top->looks[1 - top->now];
    if (top->taken < 2) {
        return 0;
    }
    double seconds = (double)(now->at_ns - before->at_ns) / 1e9;
    return seconds > 0 ? (get(now, name) - get(before, name)) / seconds : 0;
}

/* ---- showing ---- */

/* 1234567 as 1,234,567. */
static void put_count(struct cw_text *page, double value)
{
    char digits[32];
    int bytes = snprintf(digits, sizeof digits, "%.0f", value < 0 ? 0 : value);
    for (int i = 0; i < bytes; i++) {
        cw_text_char(page, digits[i]);
        if ((bytes - i) % 3 == 1 && i + 1 < bytes) {
            cw_text_char(page, ',');
        }
    }
}

static void put_named(struct cw_text *page, const char *name, double value)
{
    cw_text_printf(page, "  %s ", name);
    put_count(page, value);
}

static void put_title(struct cw_text *page, const char *name)
{
    cw_text_printf(page, "%-13s", name);
}

/* family{...} of something that happened. */
static bool counts_in(const struct sample *sample, const char *family)
{
    size_t bytes = strlen(family);
    return sample->value > 0 && sample->name.bytes > bytes && sample->name.data[bytes] == '{' &&
           memcmp(sample->name.data, family, bytes) == 0;
}

/* family{label="value"} */
static void put_labelled(struct cw_text *page, const struct sample *sample)
{
    struct cw_view name = sample->name;
    const char *open = memchr(name.data, '"', name.bytes);
    const char *end =
        open == NULL ? NULL : memchr(open + 1, '"', (size_t)(name.data + name.bytes - open - 1));
    if (end != NULL) {
        bool numbered = strspn(open + 1, "0123456789") == (size_t)(end - open - 1);
        cw_text_puts(page, numbered ? "  touch " : "  ");
        cw_text_put(page, open + 1, (size_t)(end - open - 1));
        cw_text_puts(page, numbered ? ": " : " ");
        put_count(page, sample->value);
    }
}

/* Those of a family that are not zero, the largest first. */
static void put_family(struct top *top, const char *family, uint32_t most)
{
    const struct look *look = latest(top);
    bool shown[SAMPLES_MAX] = {false};
    for (uint32_t k = 0; k < most; k++) {
        uint32_t best = SAMPLES_MAX;
        for (uint32_t i = 0; i < look->count; i++) {
            const struct sample *s = &look->list[i];
            if (!shown[i] && counts_in(s, family) &&
                (best == SAMPLES_MAX || s->value > look->list[best].value)) {
                best = i;
            }
        }
        if (best == SAMPLES_MAX) {
            cw_text_puts(&top->page, k == 0 ? "  none" : "");
            return;
        }
        shown[best] = true;
        put_labelled(&top->page, &look->list[best]);
    }
    uint32_t more = 0;
    for (uint32_t i = 0; i < look->count; i++) {
        more += !shown[i] && counts_in(&look->list[i], family);
    }
    if (more > 0) {
        cw_text_printf(&top->page, "  and %u more", more);
    }
}

/* Requests that were told to come later, wherever that was decided. */
static double busy(const struct look *look)
{
    return get(look, "cartwheel_requests_busy_total") +
           get(look, "cartwheel_server_http_refused_unanswered_total") +
           get(look, "cartwheel_server_http_refused_memory_total") +
           get(look, "cartwheel_server_http_refused_connections_total");
}

/* The upper end of the bucket that the share falls into, in seconds; of what came since the look
   before; 0 when nothing came. */
static double quantile(const struct top *top, const char *name, double share)
{
    const struct look *now = latest(top);
    const struct look *before = top->taken >= 2 ? &top->looks[1 - top->now] : NULL;
    char count[96];
    char bucket[96];
    (void)snprintf(count, sizeof count, "cartwheel_%s_seconds_count", name);
    size_t bytes =
        (size_t)snprintf(bucket, sizeof bucket, "cartwheel_%s_seconds_bucket{le=\"", name);
    if (before == NULL) { /* one look knows nothing of just now */
        return 0;
    }
    double all = get(now, count) - get(before, count);
    for (uint32_t i = 0; all > 0 && i < now->count; i++) {
        const struct sample *s = &now->list[i];
        if (s->name.bytes <= bytes || memcmp(s->name.data, bucket, bytes) != 0) {
            continue;
        }
        char whole[160];
        (void)snprintf(whole, sizeof whole, "%.*s", (int)s->name.bytes, s->name.data);
        double in = s->value - get(before, whole);
        if (in >= share * all) {
            return strtod(s->name.data + bytes, NULL); /* +Inf reads as infinity */
        }
    }
    return 0;
}

static void put_seconds(struct cw_text *page, const char *name, double seconds)
{
    if (seconds <= 0) {
        cw_text_printf(page, "  %s -", name);
    } else if (seconds > 1e6) {
        cw_text_printf(page, "  %s > 100 s", name);
    } else if (seconds < 1e-3) {
        cw_text_printf(page, "  %s \xe2\x89\xa4 %g us", name, seconds * 1e6);
    } else {
        cw_text_printf(page, "  %s \xe2\x89\xa4 %g ms", name, seconds * 1e3);
    }
}

static void put_latency(struct top *top, const char *title, const char *name)
{
    put_title(&top->page, title);
    put_seconds(&top->page, "median", quantile(top, name, 0.5));
    put_seconds(&top->page, "P99", quantile(top, name, 0.99));
    cw_text_char(&top->page, '\n');
}

static void put_head(struct top *top)
{
    struct cw_text *page = &top->page;
    const char *clock = strstr(top->health.text.data, "\"clock\":\"");
    const char *note = strstr(top->health.text.data, "\"note\":\"");
    cw_text_printf(page, "cartwheel at %s", top->to);
    if (clock != NULL) {
        cw_text_printf(page, "   clock %.19sZ", clock + 9);
    }
    if (note != NULL) {
        cw_text_puts(page, "   ");
        cw_text_put(page, note + 8, strcspn(note + 8, "\""));
    }
    cw_text_puts(page, "\n");
}

/* Why sends are held, from /healthz: "heldFor":["restored",...]. */
static void put_reasons(struct top *top)
{
    static const char wanted[] = "\"heldFor\":[";
    const char *list = strstr(top->health.text.data, wanted);
    cw_text_puts(&top->page, list == NULL ? "" : ": ");
    for (const char *c = list == NULL ? "" : list + strlen(wanted); *c != '\0' && *c != ']'; c++) {
        if (*c == ',') {
            cw_text_puts(&top->page, ", ");
        } else if (*c != '"') {
            cw_text_char(&top->page, *c);
        }
    }
}

static void put_shortage(struct top *top, const char *what, double cores)
{
    if (cores > 0) {
        put_title(&top->page, "new work");
        cw_text_printf(&top->page, "REFUSED on %.0f core%s: %s\n", cores, cores == 1 ? "" : "s",
                       what);
    }
}

/* Seconds, told by /metrics and nothing else then; 0: it does. */
static double disk_stalled_s(const struct look *look)
{
    return get(look, "cartwheel_disk_stalled_seconds");
}

/* What stops an engine that looks well otherwise. A shortage is a core's own: /metrics has all of
   them, /healthz the one that answered. */
static void put_stops(struct top *top)
{
    const struct look *now = latest(top);
    if (strstr(top->health.text.data, "\"sends\":\"held\"") != NULL ||
        get(now, "cartwheel_store_sends_held") > 0) {
        put_title(&top->page, "sends");
        cw_text_puts(&top->page, "HELD");
        put_reasons(top);
        cw_text_puts(&top->page, ";  cartwheel resume lets them go\n");
    }
    put_shortage(top, "the disk is full", get(now, "cartwheel_store_disk_full"));
    put_shortage(top, "memory is nearly out", get(now, "cartwheel_memory_low"));
    cw_text_char(&top->page, '\n');
}

static void put_page(struct top *top)
{
    struct cw_text *page = &top->page;
    const struct look *now = latest(top);
    cw_text_clear(page);
    put_head(top);
    if (disk_stalled_s(now) > 0) {
        put_title(page, "disk");
        cw_text_printf(page, "has NOT ANSWERED for %.0f s: events are refused until it does\n",
                       disk_stalled_s(now));
        return;
    }
    put_stops(top);
    put_title(page, "events");
    put_named(page, "a second", rate(top, "cartwheel_events_received_total"));
    put_named(page, "received", get(now, "cartwheel_events_received_total"));
    put_family(top, "cartwheel_events_total", 8);
    cw_text_char(page, '\n');
    put_title(page, "abandonments");
    put_family(top, "cartwheel_abandonments_total", 8);
    cw_text_char(page, '\n');
    put_title(page, "rejected");
    put_family(top, "cartwheel_rejections_total", top->reasons);
    cw_text_char(page, '\n');
    put_title(page, "candidates");
    put_named(page, "in flight", get(now, "cartwheel_candidates_in_flight"));
    cw_text_puts(page, "   ended:");
    put_family(top, "cartwheel_candidates_ended_total", 8);
    cw_text_char(page, '\n');
    put_title(page, "touches");
    put_named(page, "pending", get(now, "cartwheel_touches_pending"));
    put_named(page, "failed", get(now, "cartwheel_touches_failed_total"));
    cw_text_puts(page, "   sent:");
    put_family(top, "cartwheel_touches_sent_total", 3);
    cw_text_char(page, '\n');
    put_title(page, "  skipped");
    put_family(top, "cartwheel_touches_skipped_total", top->reasons);
    cw_text_puts(page, "   put off:");
    put_family(top, "cartwheel_touches_deferred_total", top->reasons);
    cw_text_char(page, '\n');
    put_title(page, "conversions");
    put_family(top, "cartwheel_conversions_total", 6);
    cw_text_char(page, '\n');
    put_title(page, "visits");
    put_family(top, "cartwheel_visits_total", 3);
    cw_text_puts(page, "\n\n");
    put_latency(top, "scheduled in", "event_to_scheduled");
    put_latency(top, "answered in", "event_to_answer");
    put_title(page, "requests");
    put_named(page, "a second", rate(top, "cartwheel_requests_total"));
    put_family(top, "cartwheel_answers_total", 4);
    put_named(page, "told to wait", busy(now));
    cw_text_char(page, '\n');
}

/* The cells that text takes: continuation bytes of UTF-8 take none. */
static uint32_t cells(const char *text, size_t bytes)
{
    uint32_t count = 0;
    for (size_t i = 0; i < bytes; i++) {
        count += ((unsigned char)text[i] & 0xc0) != 0x80;
    }
    return count;
}

/* Where the part ends that begins at `from`: a field (with the blanks before it), or one word of a
   field that no line has room for, or as much of such a word as fits. */
static size_t part_end(const char *line, size_t bytes, size_t from, uint32_t room)
{
    size_t start = from;
    while (start < bytes && line[start] == ' ') {
        start++;
    }
    size_t end = start;
    while (end < bytes && !(line[end] == ' ' && end + 1 < bytes && line[end + 1] == ' ')) {
        end++;
    }
    if (cells(line + from, end - from) <= room) {
        return end;
    }
    const char *blank = memchr(line + start, ' ', end - start);
    end = blank != NULL ? (size_t)(blank - line) : end;
    while (cells(line + from, end - from) > room) {
        end--;
    }
    while (end < bytes && ((unsigned char)line[end] & 0xc0) == 0x80) { /* no half characters */
        end++;
    }
    return end;
}

/* One line, its fields (two blanks before each) whole: what does not fit goes on below the values
   while rows are spare, and is left out with "..." when none are. */
static void fold(struct top *top, const char *line, size_t bytes, uint32_t *spare)
{
    size_t at = bytes < VALUE_COLUMN ? bytes : VALUE_COLUMN;
    uint32_t column = cells(line, at);
    (void)fwrite(line, 1, at, stdout);
    while (at < bytes) {
        size_t from = at;
        uint32_t taken = VALUE_COLUMN + (*spare == 0 ? 4 : 0); /* " ..." */
        at = part_end(line, bytes, from, top->columns > taken + 8 ? top->columns - taken : 8);
        uint32_t wide = cells(line + from, at - from);
        uint32_t mark = at < bytes && *spare == 0 ? 4 : 0;
        if (column + wide + mark > top->columns && column > VALUE_COLUMN) {
            if (*spare == 0) {
                (void)fputs(" ...", stdout);
                break;
            }
            (*spare)--;
            (void)printf("\033[K\n%*s", VALUE_COLUMN, "");
            column = VALUE_COLUMN;
        }
        (void)fwrite(line + from, 1, at - from, stdout);
        column += wide;
    }
    (void)fputs("\033[K\n", stdout);
}

static void measure(struct top *top)
{
    struct winsize size = {0};
    bool known = top->terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    top->columns = known ? size.ws_col : 80;
    top->rows = known ? size.ws_row : 24;
    top->reasons = known && top->rows >= ROWS_FOR_ALL ? SAMPLES_MAX : REASONS_SHOWN;
}

static void show(struct top *top)
{
    measure(top);
    put_page(top);
    if (!top->terminal) {
        (void)fwrite(top->page.data, 1, top->page.bytes, stdout);
    } else {
        (void)fputs("\033[H", stdout);
        uint32_t lines = 1; /* the cursor's own below the last */
        for (size_t i = 0; i < top->page.bytes; i++) {
            lines += top->page.data[i] == '\n';
        }
        uint32_t spare = top->rows > lines ? top->rows - lines : 0;
        for (size_t from = 0; from < top->page.bytes;) { /* each line cleared behind its end */
            size_t line = 0;
            while (top->page.data[from + line] != '\n') {
                line++;
            }
            fold(top, top->page.data + from, line, &spare);
            from += line + 1;
        }
        (void)fputs("\033[J", stdout);
    }
    (void)fflush(stdout);
}

/* ---- the command ---- */

static int parse(struct top *top, int argc, char **argv)
{
    static const struct option known[] = {
        {"to", required_argument, NULL, 't'}, {"every", required_argument, NULL, 'e'},
        {"once", no_argument, NULL, 'o'},     {"api-key-file", required_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},     {NULL, 0, NULL, 0}};
    int option;
    while ((option = cw_next_option("top", argc, argv, "h", known)) != -1) {
        char *end = NULL;
        switch (option) {
        case 't': top->to = optarg; break;
        case 'k': top->key_file = optarg; break;
        case 'o': top->once = true; break;
        case 'h': top->help = true; break;
        case 'e':
            top->every = strtod(optarg, &end);
            if (*end != '\0' || !(top->every >= 0.1) || top->every > 3600) {
                return cw_usage_error("top", "--every is a number of seconds from 0.1 to 3600");
            }
            break;
        default: return CW_EXIT_USAGE; /* told already */
        }
    }
    if (optind < argc) {
        return cw_usage_error("top", "\"%s\" is not known here; the engine is named by --to",
                              argv[optind]);
    }
    return CW_EXIT_OK;
}

static int read_key(struct top *top)
{
    struct cw_fault fault;
    struct cw_view content;
    if (top->key_file == NULL) {
        return CW_EXIT_OK;
    }
    if (cw_file_read(top->key_file, KEY_BYTES_MAX - 1, &content, &fault) != CW_ERR_OK) {
        return cw_failure(&fault);
    }
    (void)snprintf(top->key, sizeof top->key, "%.*s", (int)strcspn(content.data, "\r\n"),
                   content.data);
    cw_file_free(content);
    return CW_EXIT_OK;
}

static int watch(struct top *top)
{
    while (interrupted == 0 && ferror(stdout) == 0) { /* until a signal, or nobody takes it */
        top->now = 1 - top->now;
        struct look *look = &top->looks[top->now];
        look->at_ns = cw_clock_monotonic_ns();
        if (!ask(top, "/metrics", look) || !ask(top, "/healthz", &top->health)) {
            return CW_EXIT_FAILURE;
        }
        (void)cw_text_terminate(&look->text);
        (void)cw_text_terminate(&top->health.text);
        split(look);
        bool stalled = disk_stalled_s(look) > 0;
        top->taken = stalled ? 0 : top->taken + 1; /* rates begin anew after it */
        bool whole = top->taken == 2 || stalled;   /* one look knows no rates */
        if (!top->once || whole) {
            show(top);
        }
        if (top->once && whole) {
            break;
        }
        (void)usleep((useconds_t)(top->every * 1e6));
    }
    return CW_EXIT_OK;
}

int cw_cmd_top(int argc, char **argv)
{
    struct top *top = calloc(1, sizeof *top);
    CW_ASSERT(top != NULL);
    top->to = "http://127.0.0.1:8080";
    int rc = parse(top, argc, argv);
    if (rc == CW_EXIT_OK && top->help) {
        (void)fputs(help, stdout);
    } else if (rc == CW_EXIT_OK && (rc = read_key(top)) == CW_EXIT_OK) {
        (void)signal(SIGINT, on_signal);
        (void)signal(SIGTERM, on_signal);
        (void)curl_global_init(CURL_GLOBAL_DEFAULT);
        top->curl = curl_easy_init();
        CW_ASSERT(top->curl != NULL);
        top->terminal = !top->once && isatty(STDOUT_FILENO) == 1;
        if (top->terminal) {
            /* no cursor, an empty screen, and lines that are too long are cut, not wrapped: wrapped
               ones would push the first out of sight */
            (void)fputs("\033[?25l\033[?7l\033[2J", stdout);
        }
        top->every = top->every > 0 ? top->every : top->once ? 0.5 : 1;
        rc = watch(top);
        if (top->terminal) {
            (void)fputs("\033[?7h\033[?25h", stdout);
        }
        curl_easy_cleanup(top->curl);
        curl_global_cleanup();
    }
    for (uint32_t i = 0; i < 2; i++) {
        cw_text_deinit(&top->looks[i].text);
    }
    cw_text_deinit(&top->health.text);
    cw_text_deinit(&top->page);
    explicit_bzero(top->key, sizeof top->key);
    free(top);
    return rc;
}
