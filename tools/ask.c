#include "tools/ask.h"

#include <curl/curl.h>
#include <poll.h>
#include <string.h>

enum {
    BODY_BYTES_MAX = 1 << 20,
    LOOK_EVERY_MS = 200
};

static size_t take(char *data, size_t size, size_t count, void *self)
{
    struct cw_text *text = self;
    if (text->bytes + size * count > BODY_BYTES_MAX) {
        return 0;
    }
    cw_text_put(text, data, size * count);
    return size * count;
}

/* The status; 0: it could not be asked, which is told. */
static long ask(CURL *curl, const char *command, const struct cw_target *target, const char *url,
                bool post, struct cw_text *body)
{
    char error[CURL_ERROR_SIZE] = "";
    char key[CW_SIGV4_SECRET_MAX + 16];
    long status = 0;
    struct curl_slist *headers = NULL;
    cw_text_clear(body);
    curl_easy_reset(curl);
    if (target->api_key[0] != '\0') {
        (void)snprintf(key, sizeof key, "X-Api-Key: %s", target->api_key);
        headers = curl_slist_append(NULL, key);
    }
    (void)curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, body);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, error);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, 30L);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    if (post) {
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
    }
    CURLcode code = curl_easy_perform(curl);
    curl_slist_free_all(headers);
    explicit_bzero(key, sizeof key);
    if (code != CURLE_OK) {
        (void)fprintf(stderr, "cartwheel %s: %s: %s\n", command, url,
                      error[0] != '\0' ? error : curl_easy_strerror(code));
        return 0;
    }
    (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return status;
}

/* The engine's words are JSON: {"error":"..."}. */
static int refused(const char *command, long status, const struct cw_text *body)
{
    int bytes = body->bytes > 600 ? 600 : (int)body->bytes;
    while (bytes > 0 && body->data[bytes - 1] == '\n') {
        bytes--;
    }
    const char *hint = "";
    if (status == 401 || status == 403) {
        hint = "; --api-key-file names a key whose role is admin";
    } else if (status == 404) {
        hint = "; --to is its address, with a path only where a proxy has one";
    }
    (void)fprintf(stderr, "cartwheel %s: the engine answers %ld%s: %.*s\n", command, status, hint,
                  bytes, bytes > 0 ? body->data : "");
    return CW_EXIT_FAILURE;
}

int cw_ask(const char *command, const struct cw_target_options *engine, const char *path,
           struct cw_text *body)
{
    struct cw_target target;
    struct cw_target_options options = *engine;
    char url[sizeof target.url + 1024];
    options.control = true;
    int code = cw_target_open(&target, command, &options);
    CURL *curl = code == CW_EXIT_OK ? curl_easy_init() : NULL;
    if (curl == NULL) {
        cw_target_close(&target);
        return code == CW_EXIT_OK ? CW_EXIT_FAILURE : code;
    }
    (void)snprintf(url, sizeof url, "%s%.1000s", target.url, path);
    long status = ask(curl, command, &target, url, true, body);
    (void)snprintf(url, sizeof url, "%s%.*s", target.url, (int)strcspn(path, "?"), path);
    while (status == 202) {
        (void)poll(NULL, 0, LOOK_EVERY_MS);
        status = ask(curl, command, &target, url, false, body);
    }
    if (status != 200) {
        code = status == 0 ? CW_EXIT_FAILURE : refused(command, status, body);
    }
    curl_easy_cleanup(curl);
    cw_target_close(&target);
    return code;
}
