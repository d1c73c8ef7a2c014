/* One attempt to hand events over by HTTP: NDJSON at /v1/events, or a PutEvents call. */
#include "core/time.h"
#include "io/clock.h"
#include "tools/put_events.h"
#include "tools/send_priv.h"

#include <curl/curl.h>
#include <string.h>

enum {
    TIMEOUT_S = 30,
    CONNECT_TIMEOUT_S = 5
};

cw_err cw_send_http_open(struct cw_send *send, struct cw_fault *fault)
{
    CURL *curl = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl_easy_init() : NULL;
    if (curl == NULL) {
        return cw_fail(fault, CW_ERR_LIMIT, "no memory for HTTP");
    }
    send->curl = curl;
    return CW_ERR_OK;
}

void cw_send_http_close(struct cw_send *send)
{
    curl_easy_cleanup(send->curl);
    curl_global_cleanup();
    send->curl = NULL;
}

static size_t take(char *data, size_t size, size_t count, void *self)
{
    struct cw_send *send = self;
    size_t bytes = size * count;
    if (send->answer.bytes + bytes > CW_ANSWER_BYTES_MAX) {
        return 0;
    }
    cw_text_put(&send->answer, data, bytes);
    return bytes;
}

static int stop_on_signal(void *self, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)self, (void)a, (void)b, (void)c, (void)d;
    return cw_send_interrupted != 0;
}

/* http://HOST/healthz, whatever path events go to. */
static void health_url(const struct cw_target *target, char url[2048])
{
    (void)snprintf(url, 2048, "%s://%s/healthz", target->tls ? "https" : "http", target->authority);
}

static struct cw_view raw_text(const struct cw_json *doc, uint32_t node)
{
    return (struct cw_view){doc->text + doc->nodes[node].text, doc->nodes[node].text_bytes};
}

cw_err cw_send_ask_clock(struct cw_send *send, int64_t *clock_ms, double *speed,
                         struct cw_fault *fault)
{
    if (send->curl == NULL) {
        return cw_fail(fault, CW_ERR_INVALID, "--pace asks the engine over HTTP; use --to http://");
    }
    char url[2048];
    long status = 0;
    health_url(&send->target, url);
    curl_easy_reset(send->curl);
    cw_text_clear(&send->answer);
    (void)curl_easy_setopt(send->curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(send->curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(send->curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(send->curl, CURLOPT_WRITEDATA, send);
    (void)curl_easy_setopt(send->curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    (void)curl_easy_setopt(send->curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    (void)curl_easy_setopt(send->curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(send->curl, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(send->curl, CURLOPT_XFERINFOFUNCTION, stop_on_signal);
    CURLcode code = curl_easy_perform(send->curl);
    (void)curl_easy_getinfo(send->curl, CURLINFO_RESPONSE_CODE, &status);
    if (code != CURLE_OK || (status != 200 && status != 503)) { /* 503: and it says why */
        return cw_fail(fault, CW_ERR_IO, "asking %s for its clock: %s", url,
                       code != CURLE_OK ? curl_easy_strerror(code) : "it is no engine of ours");
    }
    uint32_t bytes = (uint32_t)send->answer.bytes;
    memset(cw_text_room(&send->answer, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    struct cw_json doc;
    *clock_ms = CW_TIME_NONE;
    *speed = 0;
    if (cw_json_parse(send->answers, send->answer.data, bytes, &doc) == CW_JSON_PARSE_OK) {
        uint32_t clock = cw_json_find(&doc, 0, CW_VIEW("clock"));
        uint32_t fast = cw_json_find(&doc, 0, CW_VIEW("speed"));
        if (clock != CW_JSON_NONE && doc.nodes[clock].type == CW_JSON_STRING &&
            !cw_time_parse(raw_text(&doc, clock), clock_ms)) {
            *clock_ms = CW_TIME_NONE;
        }
        if (fast != CW_JSON_NONE && doc.nodes[fast].type == CW_JSON_NUMBER) {
            *speed = cw_json_number(raw_text(&doc, fast));
        }
    }
    if (*clock_ms == CW_TIME_NONE || !(*speed > 0)) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "%s tells no clock that runs; --pace needs --clock wall or a factor", url);
    }
    return CW_ERR_OK;
}

static void put_body(struct cw_send *send, const struct cw_send_item *items, uint32_t count)
{
    bool entries = send->target.kind == CW_TARGET_PUT_EVENTS;
    cw_text_clear(&send->body);
    cw_text_puts(&send->body, entries ? CW_PUT_EVENTS_OPEN : "");
    for (uint32_t i = 0; i < count; i++) {
        cw_text_puts(&send->body, entries && i > 0 ? "," : "");
        cw_text_put(&send->body, send->batch.data + items[i].at, items[i].bytes);
        cw_text_puts(&send->body, entries ? "" : "\n");
    }
    cw_text_puts(&send->body, entries ? CW_PUT_EVENTS_CLOSE : "");
}

static struct curl_slist *head_list(struct cw_send *send)
{
    struct cw_target_head head;
    struct cw_text line = {0};
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    cw_target_headers(&send->target, (struct cw_view){send->body.data, (uint32_t)send->body.bytes},
                      cw_clock_wall_ms(), &head);
    for (uint32_t i = 0; i < head.count && list != NULL; i++) {
        cw_text_clear(&line);
        cw_text_view(&line, head.list[i].name);
        cw_text_puts(&line, ": ");
        cw_text_view(&line, head.list[i].value);
        struct curl_slist *longer = curl_slist_append(list, cw_text_terminate(&line));
        CW_ASSERT(longer != NULL);
        list = longer;
    }
    cw_text_deinit(&line);
    explicit_bzero(&head, sizeof head);
    return list;
}

/* The status of the answer, or 0 when there was none; curl_error says why then. The result learns
   when to try again. */
static long post(struct cw_send *send, struct cw_send_result *result)
{
    CURL *curl = send->curl;
    struct curl_slist *headers = head_list(send);
    cw_text_clear(&send->answer);
    send->curl_error[0] = '\0';
    curl_easy_reset(curl);
    (void)curl_easy_setopt(curl, CURLOPT_URL, send->target.url);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, send->body.data);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)send->body.bytes);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, send);
    (void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, send->curl_error);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT, (long)TIMEOUT_S);
    (void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    (void)curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, stop_on_signal);
    CURLcode code = curl_easy_perform(curl);
    long status = 0;
    curl_off_t retry_after = 0;
    if (code == CURLE_OK) {
        (void)curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
        (void)curl_easy_getinfo(curl, CURLINFO_RETRY_AFTER, &retry_after);
    } else if (send->curl_error[0] == '\0') {
        (void)snprintf(send->curl_error, sizeof send->curl_error, "%s", curl_easy_strerror(code));
    }
    result->unreachable = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST;
    result->retry_after_s = retry_after < 0 ? 0 : retry_after > 3600 ? 3600 : (uint32_t)retry_after;
    curl_slist_free_all(headers);
    memset(cw_text_room(&send->answer, CW_JSON_PADDING), 0, CW_JSON_PADDING);
    return status;
}

/* ---- what the answer means ---- */

struct settling {
    struct cw_send *send;
    const struct cw_send_item *items;
    uint32_t count;
    bool wrong; /* it speaks of an event that was not there, or twice of one */
    char why[CW_ANSWER_REASON];         /* of the first that may come again */
    uint8_t settled[CW_SEND_BATCH_MAX]; /* 0 taken, 1 rejected, 2 again */
};

static void settle(void *self, uint64_t index, bool again, const char *reason)
{
    struct settling *settling = self;
    if (index >= settling->count || settling->settled[index] != 0) {
        settling->wrong = true;
        return;
    }
    settling->settled[index] = again ? 2 : 1;
    reason = reason[0] == '\0' ? "the engine gives no reason" : reason;
    if (!again) {
        cw_send_reject(settling->send, &settling->items[index], reason);
    } else if (settling->why[0] == '\0') {
        (void)snprintf(settling->why, sizeof settling->why, "%s", reason);
    }
}

/* Those that failed for now go last, in their order. */
static void again_last(const struct settling *settling, struct cw_send_item *items, uint32_t count)
{
    static struct cw_send_item again[CW_SEND_BATCH_MAX];
    uint32_t kept = 0;
    uint32_t put_off = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (settling->settled[i] == 2) {
            CW_ASSERT(put_off < CW_COUNTOF(again));
            again[put_off++] = items[i];
        } else {
            items[kept++] = items[i];
        }
    }
    memcpy(items + kept, again, put_off * sizeof again[0]);
}

/* Does the answer say what became of each of `count` events? */
static bool is_answer_of(struct cw_send *send, uint32_t count, struct cw_answer_counts *counts)
{
    struct cw_view text = {send->answer.data, (uint32_t)send->answer.bytes};
    bool good = send->target.kind == CW_TARGET_PUT_EVENTS
                    ? cw_answer_put_events(send->answers, text, counts, NULL, NULL)
                    : cw_answer_events(send->answers, text, counts, NULL, NULL);
    return good && counts->accepted <= count && counts->duplicate <= count &&
           counts->rejected <= count &&
           counts->accepted + counts->duplicate + counts->rejected + counts->again == count;
}

static struct cw_send_result read_answer(struct cw_send *send, struct cw_send_item *items,
                                         uint32_t count)
{
    static struct settling settling;
    struct cw_send_result result = {.verdict = CW_SEND_DONE, .done = count};
    struct cw_answer_counts counts;
    struct cw_view text = {send->answer.data, (uint32_t)send->answer.bytes};
    bool put = send->target.kind == CW_TARGET_PUT_EVENTS;
    settling = (struct settling){.send = send, .items = items, .count = count};
    /* First without telling anybody: a wrong answer must not have been believed in part. */
    if (!is_answer_of(send, count, &counts)) {
        result = (struct cw_send_result){.verdict = CW_SEND_STOP};
        (void)snprintf(result.why, sizeof result.why,
                       "the answer is not an engine's: it does not say what became of %u event%s",
                       count, count == 1 ? "" : "s");
        return result;
    }
    bool good = put ? cw_answer_put_events(send->answers, text, &counts, settle, &settling)
                    : cw_answer_events(send->answers, text, &counts, settle, &settling);
    CW_ASSERT(good);
    send->accepted += counts.accepted;
    send->duplicate += counts.duplicate;
    if (settling.wrong) {
        result = (struct cw_send_result){.verdict = CW_SEND_STOP, .done = count};
        (void)snprintf(result.why, sizeof result.why,
                       "the answer names events that were not sent, or one twice");
    } else if (counts.again > 0) {
        again_last(&settling, items, count);
        result.verdict = CW_SEND_AGAIN;
        result.done = count - (uint32_t)counts.again;
        (void)snprintf(result.why, sizeof result.why, "%s", settling.why);
    }
    return result;
}

static bool any_of(const char *text, const char *const *names)
{
    for (; *names != NULL; names++) {
        if (strcmp(text, *names) == 0) {
            return true;
        }
    }
    return false;
}

/* What an answer other than 200 means. */
static enum cw_send_verdict verdict_of(long status, const char *type)
{
    static const char *const later[] = {"ThrottlingException",
                                        "Throttling",
                                        "TooManyRequestsException",
                                        "InternalException",
                                        "InternalFailure",
                                        "ServiceUnavailable",
                                        NULL};
    static const char *const wrong_events[] = {"ValidationException", "MalformedDetail",
                                               "InvalidArgument", NULL};
    if (any_of(type, later) || status == 408 || status == 429 || status == 500 || status == 502 ||
        status == 503 || status == 504) {
        return CW_SEND_AGAIN;
    }
    if (status == 413 || status == 422 ||
        (status == 400 && (type[0] == '\0' || any_of(type, wrong_events)))) {
        return CW_SEND_SPLIT;
    }
    return CW_SEND_STOP;
}

/* How to give a key, or another one, where that is what is wrong. */
static const char *key_words(const struct cw_send *send, long status)
{
    if (status != 401 && status != 403) {
        return "";
    }
    return send->target.kind == CW_TARGET_PUT_EVENTS
               ? "; --key-id and --secret-file, or --api-key-file, give a key with the role ingest"
               : "; --api-key-file gives a key with the role ingest";
}

struct cw_send_result cw_send_http(struct cw_send *send, struct cw_send_item *items, uint32_t count)
{
    struct cw_send_result result = {.verdict = CW_SEND_AGAIN};
    put_body(send, items, count);
    long status = post(send, &result);
    if (status == 0) {
        (void)snprintf(result.why, sizeof result.why, "%s", send->curl_error);
        return result;
    }
    struct cw_answer_counts counts;
    /* A 503 may say of each event whether it is settled: only the others have to come again. */
    bool in_part = status == 503 && is_answer_of(send, count, &counts) && counts.again > 0;
    if (status == 200 || in_part) {
        uint32_t retry_after_s = result.retry_after_s;
        result = read_answer(send, items, count);
        result.retry_after_s = retry_after_s;
        return result;
    }
    struct cw_answer_refusal refusal;
    cw_answer_refusal(send->answers,
                      (struct cw_view){send->answer.data, (uint32_t)send->answer.bytes}, &refusal);
    result.verdict = verdict_of(status, refusal.type);
    (void)snprintf(result.why, sizeof result.why, "status %ld%s%s%s%.200s%s", status,
                   refusal.type[0] == '\0' ? "" : " ", refusal.type,
                   refusal.message[0] == '\0' ? "" : ": ", refusal.message,
                   key_words(send, status));
    return result;
}
