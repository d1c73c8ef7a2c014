#include "tools/engine_live.h"

#include "tools/engine_file_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the keys ---- */

enum {
    SECRET_BYTES_MAX = 4096,
    SECRET_BYTES_MIN = 8,
    PATH_BYTES_MAX = 4000
};

static const char *const credential_types[] = {"sigv4", "apiKey", "basic", "bearer", NULL};
static const char *const roles[] = {"report", "ingest", "admin", NULL};
static const char *const channel_types[] = {"outbox", "smtp", "webhook", NULL};

/* clang-format off */
#define HTTP_KEYS(X) \
    X(HTTP_LISTEN, "listen", LINES, .min = 0, .max = 8, .item_max = 256, \
      .fallback = "[\"127.0.0.1:8080\"]", .help = "ADDRESS:PORT of every HTTP socket") \
    X(HTTP_UNAUTHENTICATED, "allowUnauthenticated", BOOL, .fallback = "false", \
      .help = "listen beyond loopback although no credentials are configured") \
    X(HTTP_BODY_BYTES, "maxBodyBytes", NUMBER, .whole = true, .min = 4096, .max = 67108864, \
      .unit = "bytes", .fallback = "1179648", .help = "longer requests are refused (413)") \
    X(HTTP_CONNECTIONS, "maxConnections", NUMBER, .whole = true, .min = 1, .max = 1000000, \
      .fallback = "16384", .help = "open at once, on each core") \
    X(HTTP_PER_ADDRESS, "maxConnectionsPerAddress", NUMBER, .whole = true, .min = 1, \
      .max = 1000000, .fallback = "16384", .help = "of these from one address") \
    X(HTTP_UNANSWERED, "maxUnanswered", NUMBER, .whole = true, .min = 1, .max = 8192, \
      .fallback = "4096", .help = "requests at work at once, on each core; more are told to wait") \
    X(HTTP_IDLE, "idleSeconds", NUMBER, .min = 1, .max = 86400, .unit = "seconds", \
      .fallback = "60", .help = "a connection without a request is closed after") \
    X(HTTP_HEAD, "headSeconds", NUMBER, .min = 1, .max = 3600, .unit = "seconds", \
      .fallback = "10", .help = "from a request's first byte to the end of its head")

#define TCP_KEYS(X) \
    X(TCP_LISTEN, "listen", LINES, .min = 1, .max = 8, .item_max = 256, \
      .help = "ADDRESS:PORT of every socket that takes NDJSON") \
    X(TCP_UNAUTHENTICATED, "allowUnauthenticated", BOOL, .fallback = "false", \
      .help = "listen beyond loopback although no credentials are configured") \
    X(TCP_LINE_BYTES, "maxLineBytes", NUMBER, .whole = true, .min = 4096, .max = 67108864, \
      .unit = "bytes", .fallback = "1048576", .help = "longer lines are refused, one by one")

#define CREDENTIAL_KEYS(X) \
    X(CREDENTIAL_TYPE, "type", WORD, .required = true, .words = credential_types, \
      .help = "sigv4 (AWS SDKs), apiKey (a header), basic, or bearer") \
    X(CREDENTIAL_ID, "id", LINE, .min = 1, .max = 128, \
      .help = "sigv4: access key id; apiKey: header (x-api-key); basic: user") \
    X(CREDENTIAL_FILE, "secretFile", LINE, .min = 1, .max = PATH_BYTES_MAX, \
      .help = "a file that holds the secret, relative to this file") \
    X(CREDENTIAL_ENV, "secretEnv", LINE, .min = 1, .max = 128, \
      .help = "or the environment variable that does") \
    X(CREDENTIAL_ROLE, "role", WORD, .words = roles, .fallback = "ingest", \
      .help = "report: counters; ingest: events too; admin: customers, control")

#define CHANNELS_KEYS(X) \
    X(CHANNELS_EMAIL, "email", MAPPING, .inner = &cw_engine_channel, .help = "how e-mail leaves") \
    X(CHANNELS_SMS, "sms", MAPPING, .inner = &cw_engine_channel, .help = "how SMS leave") \
    X(CHANNELS_PUSH, "push", MAPPING, .inner = &cw_engine_channel, .help = "how pushes leave")

#define CHANNEL_KEYS(X) \
    X(CHANNEL_TYPE, "type", WORD, .words = channel_types, .fallback = "outbox", \
      .help = "outbox: files, nothing is sent; smtp; webhook: signed JSON") \
    X(CHANNEL_URL, "url", LINE, .min = 8, .max = 2048, \
      .help = "smtp://HOST:PORT, smtps://HOST:PORT or https://HOST/PATH") \
    X(CHANNEL_USER, "user", LINE, .min = 1, .max = 256, .help = "SMTP: the user to log in as") \
    X(CHANNEL_FILE, "secretFile", LINE, .min = 1, .max = PATH_BYTES_MAX, \
      .help = "SMTP: the password; webhook: the signing secret; a file with it") \
    X(CHANNEL_ENV, "secretEnv", LINE, .min = 1, .max = 128, \
      .help = "or the environment variable that holds it") \
    X(CHANNEL_FROM, "from", LINE, .min = 1, .max = 320, \
      .help = "sender where a program names none: \"Shop <shop@example.com>\"") \
    X(CHANNEL_DIRECTORY, "directory", LINE, .min = 1, .max = PATH_BYTES_MAX, \
      .help = "outbox: where; default: outbox in the state directory") \
    X(CHANNEL_TLS, "requireTls", BOOL, .fallback = "false", \
      .help = "SMTP: send nothing where the server offers no TLS") \
    X(CHANNEL_CA, "caFile", LINE, .min = 1, .max = PATH_BYTES_MAX, \
      .help = "certificates to trust instead of the system's") \
    X(CHANNEL_RATE, "ratePerSecond", NUMBER, .min = 0, .max = 1000000, .above = true, \
      .help = "messages a second at most, of all programs; more are deferred") \
    X(CHANNEL_TIMEOUT, "timeoutSeconds", NUMBER, .min = 0.1, .max = 600, .unit = "seconds", \
      .fallback = "30", .help = "of one attempt") \
    X(CHANNEL_UNDER_WAY, "concurrency", NUMBER, .whole = true, .min = 1, .max = 1024, \
      .fallback = "64", .help = "attempts under way at once") \
    X(CHANNEL_QUEUE, "queue", NUMBER, .whole = true, .min = 1, .max = 65536, .fallback = "256", \
      .help = "messages that wait for one; a crash leaves both in doubt")

#define LINK_KEYS(X) \
    X(LINK_BASE, "baseUrl", LINE, .min = 8, .max = 512, \
      .help = "https://HOST that leads here from outside, for links in messages") \
    X(LINK_FILE, "secretFile", LINE, .min = 1, .max = PATH_BYTES_MAX, \
      .help = "a file whose content signs links; else one is made and kept") \
    X(LINK_ENV, "secretEnv", LINE, .min = 1, .max = 128, .help = "or the environment variable")

#define SNAPSHOT_KEYS(X) \
    X(SNAPSHOT_EVERY, "every", LINE, .required = true, .min = 1, .max = 16, \
      .help = "from one to the next: 6h, 30m, 1d, 90s") \
    X(SNAPSHOT_KEEP, "keep", NUMBER, .whole = true, .min = 1, .max = 10000, .fallback = "7", \
      .help = "so many stay; older ones that are called by their time go") \
    X(SNAPSHOT_TO, "to", LINE, .min = 1, .max = PATH_BYTES_MAX, \
      .help = "a directory, best on another disk; default: STATE/snapshots")

#define ROW(id, key, kind, ...) {.name = key, .type = CW_OPTION_##kind, __VA_ARGS__},
#define ROW_NAME(id, ...) KEY_##id,
enum http_key { HTTP_KEYS(ROW_NAME) HTTP_KEY_COUNT };
enum tcp_key { TCP_KEYS(ROW_NAME) TCP_KEY_COUNT };
enum credential_key { CREDENTIAL_KEYS(ROW_NAME) CREDENTIAL_KEY_COUNT };
enum channels_key { CHANNELS_KEYS(ROW_NAME) CHANNELS_KEY_COUNT };
enum channel_key { CHANNEL_KEYS(ROW_NAME) CHANNEL_KEY_COUNT };
enum link_key { LINK_KEYS(ROW_NAME) LINK_KEY_COUNT };
enum snapshot_key { SNAPSHOT_KEYS(ROW_NAME) SNAPSHOT_KEY_COUNT };

static const struct cw_option http_list[] = {HTTP_KEYS(ROW)};
static const struct cw_option tcp_list[] = {TCP_KEYS(ROW)};
static const struct cw_option credential_list[] = {CREDENTIAL_KEYS(ROW)};
static const struct cw_option channel_list[] = {CHANNEL_KEYS(ROW)};
static const struct cw_option channels_list[] = {CHANNELS_KEYS(ROW)};
static const struct cw_option link_list[] = {LINK_KEYS(ROW)};
static const struct cw_option snapshot_list[] = {SNAPSHOT_KEYS(ROW)};
#undef ROW
#undef ROW_NAME
/* clang-format on */

const struct cw_options cw_engine_http = {"http", http_list, HTTP_KEY_COUNT};
const struct cw_options cw_engine_tcp = {"tcp", tcp_list, TCP_KEY_COUNT};
const struct cw_options cw_engine_credential = {"a credential", credential_list,
                                                CREDENTIAL_KEY_COUNT};
const struct cw_options cw_engine_channels = {"channels", channels_list, CHANNELS_KEY_COUNT};
const struct cw_options cw_engine_channel = {"a channel's way out", channel_list,
                                             CHANNEL_KEY_COUNT};
const struct cw_options cw_engine_links = {"links", link_list, LINK_KEY_COUNT};
const struct cw_options cw_engine_snapshots = {"snapshots", snapshot_list, SNAPSHOT_KEY_COUNT};

static_assert((int)CHANNELS_KEY_COUNT == (int)CW_CHANNEL_COUNT,
              "a key for every channel, in order");

/* ---- secrets ---- */

static bool is_space(char c)
{
    return c == '\n' || c == '\r' || c == ' ' || c == '\t';
}

/* One that is not here, where nobody needs it: by its name, for who starts the engine. What stands
   for it goes through all checks but is no secret of anybody. */
static struct cw_view secret_elsewhere(struct cw_engine_reader *reader, uint32_t node,
                                       const char *name, const char *kind)
{
    cw_option_remark(&reader->in, node,
                     "the secret in the %s \"%s\" cannot be read here and is not checked; set it "
                     "where the engine runs, which does not start without it",
                     kind, name);
    return CW_VIEW("not here");
}

/* A secret's file: its content without white space at the end. NULL data, told, when unreadable. */
static struct cw_view read_secret_file(struct cw_engine_reader *reader, uint32_t node)
{
    const char *path = cw_engine_path(reader, reader->in.doc->nodes[node].text);
    struct cw_fault fault;
    struct cw_view content;
    struct stat found;
    bool elsewhere = reader->secrets == CW_SECRETS_ELSEWHERE;
    if (elsewhere && stat(path, &found) == 0 &&
        (S_ISFIFO(found.st_mode) || S_ISCHR(found.st_mode))) {
        return secret_elsewhere(reader, node, path, "pipe"); /* it may be for the start alone */
    }
    if (cw_file_read(path, SECRET_BYTES_MAX, &content, &fault) != CW_ERR_OK) {
        if (elsewhere && (fault.sys_errno == ENOENT || fault.sys_errno == EACCES)) {
            return secret_elsewhere(reader, node, path, "file");
        }
        cw_option_error(&reader->in, node, "%s%s%s; name a readable file of at most %u bytes",
                        fault.text, fault.sys_errno != 0 ? ": " : "",
                        fault.sys_errno != 0 ? strerror(fault.sys_errno) : "", /* NOLINT */
                        SECRET_BYTES_MAX);
        return (struct cw_view){0};
    }
    while (content.bytes > 0 && is_space(content.data[content.bytes - 1])) {
        content.bytes--;
    }
    if (stat(path, &found) == 0 && (found.st_mode & S_IROTH) != 0) {
        cw_option_remark(&reader->in, node, "everybody on this machine can read it; chmod 600");
    }
    struct cw_view kept = cw_engine_keep(reader, content);
    cw_file_free(content);
    return kept;
}

/* The secret that one of two keys leads to; NULL data when neither is there or it is told why. */
static struct cw_view read_secret(struct cw_engine_reader *reader, const struct cw_setting *file,
                                  const struct cw_setting *env)
{
    struct cw_view secret = {0};
    if (file->good && env->good) {
        cw_option_error(&reader->in, env->key, "secretFile and secretEnv; leave one of them out");
    } else if (file->good) {
        secret = read_secret_file(reader, file->node);
    } else if (env->good) {
        const char *name = cw_engine_keep(reader, env->text).data;
        const char *value = getenv(name); /* NOLINT: one thread */
        if (value == NULL && reader->secrets == CW_SECRETS_ELSEWHERE) {
            return secret_elsewhere(reader, env->node, name, "environment variable");
        }
        if (value == NULL) {
            cw_option_error(&reader->in, env->node,
                            "the environment has no variable \"%s\"; set it before the start",
                            name);
            return secret;
        }
        secret = cw_engine_keep(reader, (struct cw_view){value, (uint32_t)strlen(value)});
    }
    if (secret.data != NULL && secret.bytes < SECRET_BYTES_MIN) {
        cw_option_error(&reader->in, file->good ? file->node : env->node,
                        "the secret has %u bytes; it needs at least %u", secret.bytes,
                        SECRET_BYTES_MIN);
    }
    return secret;
}

/* ---- sections ---- */

static void read_listeners(struct cw_engine_reader *reader, const struct cw_setting *listen,
                           enum cw_request_kind kind, bool unauthenticated)
{
    const struct cw_yaml *doc = reader->in.doc;
    struct cw_engine_live *live = &reader->file->live;
    for (uint32_t i = cw_yaml_first(doc, listen->node); i != 0; i = doc->nodes[i].next) {
        if (live->listener_count == CW_LISTENERS_MAX) {
            cw_option_error(&reader->in, i, "more than %u sockets to listen on", CW_LISTENERS_MAX);
            return;
        }
        live->listeners[live->listener_count++] =
            (struct cw_listener){.kind = kind,
                                 .address = cw_engine_keep(reader, doc->nodes[i].text),
                                 .allow_unauthenticated = unauthenticated};
    }
}

static void read_http(struct cw_engine_reader *reader, uint32_t node)
{
    struct cw_setting s[CW_OPTIONS_MAX];
    struct cw_engine_live *live = &reader->file->live;
    cw_options_read(&reader->in, node, &cw_engine_http, s);
    if (s[KEY_HTTP_LISTEN].good) {
        live->listener_count = 0; /* instead of the default one; this section is read first */
        read_listeners(reader, &s[KEY_HTTP_LISTEN], CW_REQUEST_HTTP,
                       s[KEY_HTTP_UNAUTHENTICATED].yes);
    }
    live->limits.body_bytes = (uint32_t)s[KEY_HTTP_BODY_BYTES].number;
    live->limits.connections = (uint32_t)s[KEY_HTTP_CONNECTIONS].number;
    live->limits.connections_per_address = (uint32_t)s[KEY_HTTP_PER_ADDRESS].number;
    live->limits.unanswered = (uint32_t)s[KEY_HTTP_UNANSWERED].number;
    live->limits.idle_ms = (uint32_t)(s[KEY_HTTP_IDLE].number * 1000);
    live->limits.head_ms = (uint32_t)(s[KEY_HTTP_HEAD].number * 1000);
}

static void read_tcp(struct cw_engine_reader *reader, uint32_t node)
{
    struct cw_setting s[CW_OPTIONS_MAX];
    cw_options_read(&reader->in, node, &cw_engine_tcp, s);
    if (s[KEY_TCP_LISTEN].good) {
        read_listeners(reader, &s[KEY_TCP_LISTEN], CW_REQUEST_LINES,
                       s[KEY_TCP_UNAUTHENTICATED].yes);
    }
    reader->file->live.limits.line_bytes = (uint32_t)s[KEY_TCP_LINE_BYTES].number;
}

static void read_credential(struct cw_engine_reader *reader, uint32_t node)
{
    static const enum cw_credential_type types[] = {CW_CREDENTIAL_SIGV4, CW_CREDENTIAL_API_KEY,
                                                    CW_CREDENTIAL_BASIC, CW_CREDENTIAL_BEARER};

    static const enum cw_role granted[] = {CW_ROLE_REPORT, CW_ROLE_INGEST, CW_ROLE_ADMIN};
    struct cw_setting s[CW_OPTIONS_MAX];
    cw_options_read(&reader->in, node, &cw_engine_credential, s);
    if (!s[KEY_CREDENTIAL_TYPE].good) {
        return; /* told */
    }
    struct cw_engine_credential made = {.type = types[s[KEY_CREDENTIAL_TYPE].word],
                                        .role = granted[s[KEY_CREDENTIAL_ROLE].word]};
    bool named = s[KEY_CREDENTIAL_ID].good;
    if (named) {
        made.id = cw_engine_keep(reader, s[KEY_CREDENTIAL_ID].text);
    } else if (made.type == CW_CREDENTIAL_API_KEY) {
        made.id = CW_VIEW("x-api-key");
    } else if (made.type == CW_CREDENTIAL_BEARER) {
        made.id = CW_VIEW("bearer");
    } else {
        cw_option_error(&reader->in, node, "a credential of type %s needs an \"id\"",
                        credential_types[s[KEY_CREDENTIAL_TYPE].word]);
    }
    if (!s[KEY_CREDENTIAL_FILE].good && !s[KEY_CREDENTIAL_ENV].good) {
        cw_option_error(&reader->in, node,
                        "a credential needs \"secretFile\" or \"secretEnv\"; secrets do not stand "
                        "in this file");
    }
    made.secret = read_secret(reader, &s[KEY_CREDENTIAL_FILE], &s[KEY_CREDENTIAL_ENV]);
    struct cw_engine_live *live = &reader->file->live;
    CW_ASSERT(live->credential_count < CW_CREDENTIALS_MAX);
    live->credentials[live->credential_count++] = made;
}

static void read_credentials(struct cw_engine_reader *reader, uint32_t node)
{
    const struct cw_yaml *doc = reader->in.doc;
    for (uint32_t i = cw_yaml_first(doc, node); i != 0; i = doc->nodes[i].next) {
        read_credential(reader, i);
    }
}

static bool begins(struct cw_view text, const char *with)
{
    size_t bytes = strlen(with);
    return text.bytes > bytes && memcmp(text.data, with, bytes) == 0;
}

/* What type and url say must fit each other. */
static void check_channel(struct cw_engine_reader *reader, uint32_t node,
                          const struct cw_setting *s, enum cw_channel channel,
                          const struct cw_channel_options *made)
{
    struct cw_view url = made->url;
    if (made->type == CW_CHANNEL_OUTBOX) {
        if (s[KEY_CHANNEL_URL].good) {
            cw_option_error(&reader->in, s[KEY_CHANNEL_URL].key,
                            "an outbox sends nothing; say \"type\": smtp or webhook, or leave "
                            "\"url\" out");
        }
        return;
    }
    if (!s[KEY_CHANNEL_URL].good) {
        cw_option_error(&reader->in, node, "\"type\": %s needs an \"url\"",
                        channel_types[made->type]);
    } else if (made->type == CW_CHANNEL_SMTP && !begins(url, "smtp://") &&
               !begins(url, "smtps://")) {
        cw_option_error(&reader->in, s[KEY_CHANNEL_URL].node,
                        "\"url\" must begin with smtp:// or smtps://");
    } else if (made->type == CW_CHANNEL_WEBHOOK && !begins(url, "https://") &&
               !begins(url, "http://")) {
        cw_option_error(&reader->in, s[KEY_CHANNEL_URL].node,
                        "\"url\" must begin with https:// or http://");
    }
    if (made->type == CW_CHANNEL_SMTP && channel != CW_CHANNEL_EMAIL) {
        cw_option_error(&reader->in, s[KEY_CHANNEL_TYPE].node, "%s cannot leave by SMTP",
                        cw_channel_name(channel));
    }
    if (made->type == CW_CHANNEL_WEBHOOK && made->secret.data == NULL) {
        cw_option_error(&reader->in, node,
                        "a webhook needs \"secretFile\" or \"secretEnv\": it signs what is sent");
    }
    if (made->type == CW_CHANNEL_SMTP && made->from.data == NULL) {
        cw_option_error(&reader->in, node,
                        "\"type\": smtp needs a \"from\", for programs that name no sender");
    }
    if (made->type == CW_CHANNEL_SMTP && (made->user.data == NULL) != (made->secret.data == NULL)) {
        cw_option_error(&reader->in, node, "\"user\" and its secret belong together");
    }
}

static void read_channel(struct cw_engine_reader *reader, uint32_t node, enum cw_channel channel)
{
    struct cw_setting s[CW_OPTIONS_MAX];
    cw_options_read(&reader->in, node, &cw_engine_channel, s);
    struct cw_channel_options *made = &reader->file->live.channels[channel];
    made->type = (enum cw_channel_type)s[KEY_CHANNEL_TYPE].word;

    const struct {
        uint32_t key;
        struct cw_view *at;
    } texts[] = {{KEY_CHANNEL_URL, &made->url},
                 {KEY_CHANNEL_USER, &made->user},
                 {KEY_CHANNEL_FROM, &made->from}};

    for (uint32_t i = 0; i < CW_COUNTOF(texts); i++) {
        if (s[texts[i].key].good) {
            *texts[i].at = cw_engine_keep(reader, s[texts[i].key].text);
        }
    }

    const struct {
        uint32_t key;
        struct cw_view *at;
    } paths[] = {{KEY_CHANNEL_DIRECTORY, &made->directory}, {KEY_CHANNEL_CA, &made->ca_file}};

    for (uint32_t i = 0; i < CW_COUNTOF(paths); i++) {
        if (s[paths[i].key].good) {
            const char *path = cw_engine_path(reader, s[paths[i].key].text);
            *paths[i].at = (struct cw_view){path, (uint32_t)strlen(path)};
        }
    }
    made->secret = read_secret(reader, &s[KEY_CHANNEL_FILE], &s[KEY_CHANNEL_ENV]);
    made->require_tls = s[KEY_CHANNEL_TLS].yes;
    made->timeout_ms = (uint32_t)(s[KEY_CHANNEL_TIMEOUT].number * 1000);
    made->under_way_max = (uint32_t)s[KEY_CHANNEL_UNDER_WAY].number;
    made->queue_max = (uint32_t)s[KEY_CHANNEL_QUEUE].number;
    reader->file->live.rates[channel] = s[KEY_CHANNEL_RATE].good ? s[KEY_CHANNEL_RATE].number : 0;
    check_channel(reader, node, s, channel, made);
}

static void read_channels(struct cw_engine_reader *reader, uint32_t node)
{
    struct cw_setting s[CW_OPTIONS_MAX];
    cw_options_read(&reader->in, node, &cw_engine_channels, s);
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        if (s[i].good) {
            read_channel(reader, s[i].node, (enum cw_channel)i);
        }
    }
}

static void read_links(struct cw_engine_reader *reader, uint32_t node)
{
    struct cw_setting s[CW_OPTIONS_MAX];
    cw_options_read(&reader->in, node, &cw_engine_links, s);
    struct cw_engine_live *live = &reader->file->live;
    if (s[KEY_LINK_BASE].good) {
        struct cw_view base = s[KEY_LINK_BASE].text;
        while (base.bytes > 0 && base.data[base.bytes - 1] == '/') {
            base.bytes--;
        }
        if (!begins(base, "https://") && !begins(base, "http://")) { /* "https:///" is no address */
            cw_option_error(&reader->in, s[KEY_LINK_BASE].node,
                            "\"baseUrl\" must begin with https:// or http://");
        }
        live->link_base = cw_engine_keep(reader, base);
    }
    live->link_secret = read_secret(reader, &s[KEY_LINK_FILE], &s[KEY_LINK_ENV]);
}

bool cw_engine_duration(struct cw_view text, uint64_t *ms)
{
    static const struct {
        char letter;
        uint64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', 86400000}};

    uint64_t number = 0;
    uint64_t unit = 1000;
    uint32_t i = 0;
    for (; i < text.bytes && text.data[i] >= '0' && text.data[i] <= '9' && i < 9; i++) {
        number = number * 10 + (uint64_t)(text.data[i] - '0');
    }
    bool good = i == text.bytes && i > 0;
    for (uint32_t k = 0; k < CW_COUNTOF(units) && i > 0 && i + 1 == text.bytes; k++) {
        if (text.data[i] == units[k].letter) {
            unit = units[k].ms;
            good = true;
        }
    }
    *ms = number * unit;
    return good && *ms > 0;
}

static void read_snapshots(struct cw_engine_reader *reader, uint32_t node)
{
    struct cw_setting s[CW_OPTIONS_MAX];
    cw_options_read(&reader->in, node, &cw_engine_snapshots, s);
    struct cw_engine_live *live = &reader->file->live;
    if (s[KEY_SNAPSHOT_EVERY].good &&
        !cw_engine_duration(s[KEY_SNAPSHOT_EVERY].text, &live->snapshots.every_ms)) {
        cw_option_error(&reader->in, s[KEY_SNAPSHOT_EVERY].node,
                        "\"every\" is a duration such as 1d, 6h, 30m or 90s");
    }
    live->snapshots.keep = (uint32_t)s[KEY_SNAPSHOT_KEEP].number;
    if (s[KEY_SNAPSHOT_TO].good) {
        live->snapshots.to = cw_engine_path(reader, s[KEY_SNAPSHOT_TO].text);
    }
}

void cw_engine_live_read(struct cw_engine_reader *reader, enum cw_engine_section section,
                         uint32_t node)
{
    switch (section) {
    case CW_SECTION_HTTP: read_http(reader, node); break;
    case CW_SECTION_TCP: read_tcp(reader, node); break;
    case CW_SECTION_CREDENTIALS: read_credentials(reader, node); break;
    case CW_SECTION_CHANNELS: read_channels(reader, node); break;
    case CW_SECTION_LINKS: read_links(reader, node); break;
    case CW_SECTION_SNAPSHOTS: read_snapshots(reader, node); break;
    }
}

bool cw_clock_mode_parse(const char *text, enum cw_clock_mode *mode, double *factor)
{
    *factor = 1;
    if (strcmp(text, "wall") == 0 || strcmp(text, "event") == 0) {
        *mode = text[0] == 'w' ? CW_CLOCK_WALL : CW_CLOCK_EVENT;
        return true;
    }
    char *end = NULL;
    double times = strtod(text, &end);
    if (*text < '0' || *text > '9' || strcmp(end, "x") != 0 || !(times >= 1) || times > 1e6) {
        return false;
    }
    *mode = CW_CLOCK_ACCELERATED;
    *factor = times;
    return true;
}

const char *cw_durability_name(const struct cw_engine_live *live)
{
    return live->durability_none ? "none" : live->durability_os ? "os" : "fsync";
}

void cw_engine_live_default(struct cw_engine_live *live)
{
    *live = (struct cw_engine_live){.limits = cw_server_limits_default,
                                    .state = CW_STATE_DEFAULT,
                                    .clock_factor = 1,
                                    .downtime_ms_max = (uint64_t)7 * 24 * 3600 * 1000,
                                    .grace_ms = 60000,
                                    .dead_letter_bytes = (uint64_t)64 << 20};
    live->listeners[live->listener_count++] =
        (struct cw_listener){.kind = CW_REQUEST_HTTP, .address = CW_VIEW(CW_HTTP_ADDRESS_DEFAULT)};
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        const char *name = cw_channel_name((enum cw_channel)i);
        live->channels[i] = (struct cw_channel_options){.name = {name, (uint32_t)strlen(name)},
                                                        .type = CW_CHANNEL_OUTBOX,
                                                        .timeout_ms = 30000,
                                                        .under_way_max = 64,
                                                        .queue_max = 256};
    }
}
