#include "tools/target.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

static struct cw_view text_of(const char *text)
{
    return (struct cw_view){text, (uint32_t)strlen(text)};
}

/* Copies into a room of that many bytes; false when it does not fit. */
static bool keep(char *out, size_t room, const char *text)
{
    size_t bytes = strlen(text);
    if (bytes >= room) {
        return false;
    }
    memcpy(out, text, bytes + 1);
    return true;
}

/* ---- the address ---- */

static bool keep_part(CURLU *url, CURLUPart part, unsigned flags, char *out, size_t room)
{
    char *text = NULL;
    bool good = curl_url_get(url, part, &text, flags) == CURLUE_OK && keep(out, room, text);
    curl_free(text);
    return good;
}

static bool is_scheme(const char *scheme, enum cw_target_kind kind)
{
    return strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0 ||
           (strcmp(scheme, "tcp") == 0 && kind != CW_TARGET_CONTROL);
}

/* What is asked for there; what is wrong with that, or NULL. */
static const char *read_path(struct cw_target *target, CURLU *url)
{
    char path[sizeof target->path];
    char query[sizeof target->path];
    bool asks = keep_part(url, CURLUPART_QUERY, 0, query, sizeof query);
    if (!keep_part(url, CURLUPART_PATH, 0, path, sizeof path)) {
        return "is too long";
    }
    if (target->kind == CW_TARGET_LINES && (asks || strcmp(path, "/") != 0)) {
        return "has a path, which TCP has not";
    }
    if (target->kind == CW_TARGET_CONTROL) {
        size_t bytes = strlen(path);
        while (bytes > 0 && path[bytes - 1] == '/') {
            bytes--;
        }
        path[bytes] = '\0';
        memcpy(target->path, path, bytes + 1);
        return asks ? "has a query: leave out the ? and what is behind it" : NULL;
    }
    const char *own = target->kind == CW_TARGET_EVENTS ? "/v1/events" : "/";
    int bytes = snprintf(target->path, sizeof target->path, "%s%s%s",
                         strcmp(path, "/") == 0 ? own : path, asks ? "?" : "", asks ? query : "");
    return bytes >= (int)sizeof target->path ? "is too long" : NULL;
}

/* Fills in what the address tells; what is wrong with it, or NULL. */
static const char *read_url(struct cw_target *target, CURLU *url, const char *to)
{
    char scheme[16];
    char user[sizeof target->path];
    if (curl_url_set(url, CURLUPART_URL, to, CURLU_NON_SUPPORT_SCHEME) != CURLUE_OK ||
        !keep_part(url, CURLUPART_SCHEME, 0, scheme, sizeof scheme) ||
        !is_scheme(scheme, target->kind)) {
        return target->kind == CW_TARGET_CONTROL ? "is no http://HOST:PORT or https://HOST:PORT"
                                                 : "is no http://HOST:PORT or tcp://HOST:PORT";
    }
    if (keep_part(url, CURLUPART_USER, 0, user, sizeof user)) {
        return "has credentials in it, which other users of this machine can see";
    }
    bool tcp = strcmp(scheme, "tcp") == 0;
    target->tls = strcmp(scheme, "https") == 0;
    if (!keep_part(url, CURLUPART_HOST, 0, target->host, sizeof target->host) ||
        target->host[0] == '\0') {
        return "names no host";
    }
    bool port = keep_part(url, CURLUPART_PORT, 0, target->port, sizeof target->port);
    if (!port && tcp) {
        return "names no port";
    }
    if (!port) {
        (void)keep(target->port, sizeof target->port, target->tls ? "443" : "80");
    }
    (void)snprintf(target->authority, sizeof target->authority, "%s%s%s", target->host,
                   port ? ":" : "", port ? target->port : "");
    size_t bytes = strlen(target->host);
    if (target->host[0] == '[') {
        memmove(target->host, target->host + 1, bytes);
        target->host[bytes - 2] = '\0';
    }
    const char *wrong = read_path(target, url);
    if (wrong != NULL) {
        return wrong;
    }
    (void)snprintf(target->url, sizeof target->url, "%s://%s%s", scheme, target->authority,
                   target->path);
    return NULL;
}

static int read_address(struct cw_target *target, const char *command,
                        const struct cw_target_options *options)
{
    if (options->to == NULL) {
        return cw_usage_error(command, "no engine: say --to URL, such as http://127.0.0.1:8080");
    }
    bool tcp = strncmp(options->to, "tcp:", 4) == 0;
    target->kind = tcp ? CW_TARGET_LINES : CW_TARGET_EVENTS;
    target->kind = options->control ? CW_TARGET_CONTROL : target->kind;
    if (options->as != NULL && strcmp(options->as, "put-events") == 0 && !tcp) {
        target->kind = CW_TARGET_PUT_EVENTS;
    } else if (options->as != NULL && (tcp || strcmp(options->as, "ndjson") != 0)) {
        return cw_usage_error(command, "--as is ndjson or put-events, and for http alone");
    }
    CURLU *url = curl_url();
    CW_ASSERT(url != NULL);
    const char *wrong = read_url(target, url, options->to);
    curl_url_cleanup(url);
    if (wrong != NULL) {
        return cw_usage_error(command, "the address \"%.200s\" %s", options->to, wrong);
    }
    return CW_EXIT_OK;
}

/* ---- credentials ---- */

/* A file's only line. */
static int read_secret(const char *command, const char *path, char *out, size_t room)
{
    struct cw_fault fault = {0};
    struct cw_view content;
    if (cw_file_read(path, 1 << 16, &content, &fault) != CW_ERR_OK) {
        (void)cw_failure(&fault);
        return CW_EXIT_USAGE;
    }
    uint32_t bytes = content.bytes;
    while (bytes > 0 && (content.data[bytes - 1] == '\n' || content.data[bytes - 1] == '\r')) {
        bytes--;
    }
    bool good = bytes > 0 && bytes < room;
    for (uint32_t i = 0; i < bytes && good; i++) {
        good = (uint8_t)content.data[i] >= ' ' && content.data[i] != 0x7f;
    }
    if (good) {
        memcpy(out, content.data, bytes);
        out[bytes] = '\0';
    }
    void *data = (void *)(uintptr_t)content.data; /* NOLINT(performance-no-int-to-ptr) */
    explicit_bzero(data, content.bytes);
    free(data);
    return good ? CW_EXIT_OK
                : cw_usage_error(command, "%s does not hold one secret in one line", path);
}

static const char *environment(const char *name)
{
    const char *value = getenv(name); /* NOLINT(concurrency-mt-unsafe): before any thread */
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static int read_keys(struct cw_target *target, const char *command,
                     const struct cw_target_options *options)
{
    const char *id = options->key_id;
    int exit = CW_EXIT_OK;
    if ((id == NULL) != (options->secret_file == NULL)) {
        return cw_usage_error(command, "--key-id and --secret-file go together");
    }
    if (id != NULL) {
        exit = read_secret(command, options->secret_file, target->secret, sizeof target->secret);
    } else if (environment("AWS_ACCESS_KEY_ID") != NULL &&
               environment("AWS_SECRET_ACCESS_KEY") != NULL) {
        const char *token = environment("AWS_SESSION_TOKEN");
        id = environment("AWS_ACCESS_KEY_ID");
        if (!keep(target->secret, sizeof target->secret, environment("AWS_SECRET_ACCESS_KEY")) ||
            !keep(target->token, sizeof target->token, token == NULL ? "" : token)) {
            return cw_usage_error(command,
                                  "AWS_SECRET_ACCESS_KEY or AWS_SESSION_TOKEN is too long");
        }
    }
    const char *region = options->region != NULL             ? options->region
                         : environment("AWS_REGION") != NULL ? environment("AWS_REGION")
                         : environment("AWS_DEFAULT_REGION") != NULL
                             ? environment("AWS_DEFAULT_REGION")
                             : "us-east-1";
    if (exit == CW_EXIT_OK && (!keep(target->key_id, sizeof target->key_id, id == NULL ? "" : id) ||
                               strpbrk(target->key_id, "/, \t\r\n") != NULL ||
                               !keep(target->region, sizeof target->region, region) ||
                               strpbrk(region, "/, \t\r\n") != NULL)) {
        return cw_usage_error(command, "that is no access key id, or no region");
    }
    return exit;
}

/* False when it cannot be signed. */
static bool make_headers(const struct cw_target *target, struct cw_view body, int64_t now_ms,
                         struct cw_target_head *head)
{
    struct cw_header *list = head->list;
    bool put = target->kind == CW_TARGET_PUT_EVENTS;
    head->count = 0;
    list[head->count++] = (struct cw_header){CW_VIEW("host"), text_of(target->authority)};
    list[head->count++] =
        (struct cw_header){CW_VIEW("content-type"), put ? CW_VIEW("application/x-amz-json-1.1")
                                                        : CW_VIEW("application/x-ndjson")};
    if (put) {
        list[head->count++] =
            (struct cw_header){CW_VIEW("x-amz-target"), CW_VIEW("AWSEvents.PutEvents")};
    }
    if (target->token[0] != '\0') {
        list[head->count++] =
            (struct cw_header){CW_VIEW("x-amz-security-token"), text_of(target->token)};
    }
    if (target->key_id[0] != '\0') {
        const char *query = strchr(target->path, '?');
        struct cw_view path = text_of(target->path);
        if (query != NULL) {
            path.bytes = (uint32_t)(query - target->path);
        }
        struct cw_request request = {.method = CW_METHOD_POST,
                                     .path = path,
                                     .query = query == NULL ? (struct cw_view){NULL, 0}
                                                            : text_of(query + 1),
                                     .headers = list,
                                     .header_count = head->count,
                                     .body = body};
        struct cw_sigv4_signer signer = {text_of(target->key_id), text_of(target->secret),
                                         text_of(target->region), CW_VIEW("events")};
        if (!cw_sigv4_sign(&request, &signer, now_ms, &head->sigv4)) {
            return false;
        }
        list[head->count++] = (struct cw_header){CW_VIEW("x-amz-date"), text_of(head->sigv4.date)};
        list[head->count++] =
            (struct cw_header){CW_VIEW("authorization"), text_of(head->sigv4.authorization)};
    }
    if (target->api_key[0] != '\0') {
        list[head->count++] = (struct cw_header){CW_VIEW("x-api-key"), text_of(target->api_key)};
    }
    return true;
}

int cw_target_open(struct cw_target *target, const char *command,
                   const struct cw_target_options *options)
{
    *target = (struct cw_target){.kind = CW_TARGET_EVENTS};
    int exit = read_address(target, command, options);
    if (exit == CW_EXIT_OK && target->kind == CW_TARGET_LINES &&
        (options->api_key_file != NULL || options->key_id != NULL)) {
        exit = cw_usage_error(command, "credentials are for http; lines over TCP carry none");
    }
    if (exit == CW_EXIT_OK && options->api_key_file != NULL) {
        exit = read_secret(command, options->api_key_file, target->api_key, sizeof target->api_key);
    }
    if (exit == CW_EXIT_OK && target->kind == CW_TARGET_PUT_EVENTS) {
        exit = read_keys(target, command, options);
    } else if (exit == CW_EXIT_OK && (options->key_id != NULL || options->secret_file != NULL)) {
        exit = cw_usage_error(command, "--key-id and --secret-file are for --as put-events");
    }
    struct cw_target_head head;
    if (exit == CW_EXIT_OK && !make_headers(target, CW_VIEW("{}"), 0, &head)) {
        exit = cw_usage_error(command, "a request with that address and session token cannot be "
                                       "signed");
    }
    return exit;
}

void cw_target_close(struct cw_target *target)
{
    explicit_bzero(target, sizeof *target);
}

void cw_target_headers(const struct cw_target *target, struct cw_view body, int64_t now_ms,
                       struct cw_target_head *head)
{
    bool made = make_headers(target, body, now_ms, head);
    CW_ASSERT(made); /* it was tried at open */
}
