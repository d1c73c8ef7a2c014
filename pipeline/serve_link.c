/*
 * serve_link: the links in messages: /o/TOKEN.gif, /c/TOKEN, /u/TOKEN.
 *
 * A token says all; nothing of the request's own leads anywhere. A click is sent on only to the
 * address that the pipeline knows for the cart; a token that is not ours gets a page. HEAD and GET
 * of /u/ only look; POST of /u/ unsubscribes whatever its body is, since the token is the authority
 * and a mail client's idea of a form must not keep anybody subscribed.
 */
#include "pipeline/request.h"
#include "pipeline/serve_priv.h"

#include <string.h>

struct visit {
    struct cw_visit visit;
    char room[CW_LINK_TOKEN_BYTES_MAX]; /* what the link's views point into */
};

static_assert(sizeof(struct visit) <= sizeof((struct cw_open *)0)->room, "a visit has room");

/* What comes home of it; the address and the shop's name follow. */
struct visited {
    bool known, expired;
    uint32_t channel, url, shop_name; /* bytes */
};

#define STYLE                                                                                     \
    "body{font:16px/1.5 system-ui,sans-serif;max-width:34em;margin:4em auto;padding:0 1em}button" \
    "{font:inherit;padding:.5em 1.2em}"
#define STYLE_HASH "'sha256-BHR0Efo9JJQVgpdts/E009JvWyy2QfVkE/zW+33A3T8='"

static const struct cw_header page_headers[] = {
    {{"content-security-policy", 23},
     {"default-src 'none'; style-src " STYLE_HASH
      "; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
      sizeof("default-src 'none'; style-src " STYLE_HASH
             "; form-action 'self'; base-uri 'none'; frame-ancestors 'none'") -
          1}},
    {{"referrer-policy", 15}, {"no-referrer", 11}},
    {{"x-robots-tag", 12}, {"noindex", 7}}};

/* One transparent pixel. */
static const char pixel[43] = "GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff"
                              "!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00"
                              "\x02\x02\x44\x01\x00;";

/* ---- who asks ---- */

/* Parts of what scanners, previews and libraries call themselves. GoogleImageProxy is none: it
   fetches when a person opens. Apple's and others' privacy proxies call themselves Mozilla/5.0 and
   nothing more. */
static const char *const machines[] = {"bot",
                                       "crawl",
                                       "spider",
                                       "slurp",
                                       "preview",
                                       "scan",
                                       "facebookexternalhit",
                                       "whatsapp",
                                       "barracuda",
                                       "proofpoint",
                                       "mimecast",
                                       "symantec",
                                       "trendmicro",
                                       "fireeye",
                                       "sophos",
                                       "headless",
                                       "phantomjs",
                                       "curl/",
                                       "wget/",
                                       "python",
                                       "java/",
                                       "okhttp",
                                       "go-http-client",
                                       "libwww",
                                       "axios",
                                       "node-fetch",
                                       "yahoomailproxy",
                                       "bingpreview",
                                       "monitor"};

static bool is_machine(const struct cw_request *request)
{
    struct cw_view agent = cw_request_header(request, CW_VIEW("user-agent"));
    struct cw_view purpose = cw_request_header(request, CW_VIEW("sec-purpose"));
    if (purpose.data == NULL) {
        purpose = cw_request_header(request, CW_VIEW("purpose"));
    }
    if (agent.bytes == 0 || cw_view_equal(agent, CW_VIEW("Mozilla/5.0")) ||
        cw_view_starts_like(purpose, CW_VIEW("prefetch"))) {
        return true;
    }
    for (uint32_t i = 0; i < CW_COUNTOF(machines); i++) {
        if (cw_view_holds_like(agent,
                               (struct cw_view){machines[i], (uint32_t)strlen(machines[i])})) {
            return true;
        }
    }
    return false;
}

/* ---- pages ---- */

static void put_html(struct cw_text *out, struct cw_view text)
{
    for (uint32_t i = 0; i < text.bytes; i++) {
        switch (text.data[i]) {
        case '&': cw_text_puts(out, "&amp;"); break;
        case '<': cw_text_puts(out, "&lt;"); break;
        case '>': cw_text_puts(out, "&gt;"); break;
        case '"': cw_text_puts(out, "&quot;"); break;
        case '\'': cw_text_puts(out, "&#39;"); break;
        default: cw_text_char(out, text.data[i]); break;
        }
    }
}

static struct cw_text *begin_page(struct cw_service *service, const char *title)
{
    struct cw_text *out = &service->answer;
    cw_text_clear(out);
    cw_text_puts(out, "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta "
                      "name=\"viewport\" content=\"width=device-width\"><title>");
    cw_text_puts(out, title);
    cw_text_puts(out, "</title><style>" STYLE "</style><h1>");
    cw_text_puts(out, title);
    cw_text_puts(out, "</h1>");
    return out;
}

static void end_page(struct cw_service *service, const struct cw_request *request, uint16_t status)
{
    struct cw_text *out = &service->answer;
    cw_text_puts(out, "</html>\n");
    cw_service_answer(service, request, status, cw_type_html,
                      (struct cw_view){out->data, (uint32_t)out->bytes}, page_headers,
                      CW_COUNTOF(page_headers));
}

static void answer_pixel(struct cw_service *service, const struct cw_request *request)
{
    cw_service_answer(service, request, 200, CW_VIEW("image/gif"),
                      (struct cw_view){pixel, sizeof pixel}, NULL, 0);
}

static void answer_unknown(struct cw_service *service, const struct cw_request *request)
{
    struct cw_text *out = begin_page(service, "This link is not valid");
    cw_text_puts(out, "<p>It may have been cut off on its way. Please open it again from the "
                      "message you got.");
    end_page(service, request, 404);
}

enum {
    ADDRESS_MAX = 2048
};

/* Only what can be nothing but an address of the web goes into a header; bytes beyond ASCII are
   percent-encoded there. False: it is none. */
static bool write_address(struct cw_view url, char room[ADDRESS_MAX * 3], struct cw_view *address)
{
    static const char digits[] = "0123456789ABCDEF";
    if (url.bytes > ADDRESS_MAX || (!cw_view_starts_like(url, CW_VIEW("https://")) &&
                                    !cw_view_starts_like(url, CW_VIEW("http://")))) {
        return false;
    }
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < url.bytes; i++) {
        uint8_t c = (uint8_t)url.data[i];
        if (c <= ' ' || c == 0x7f || c == '"' || c == '<' || c == '>' || c == '\\') {
            return false;
        }
        if (c < 0x80) {
            room[bytes++] = (char)c;
            continue;
        }
        room[bytes++] = '%';
        room[bytes++] = digits[c >> 4];
        room[bytes++] = digits[c & 15];
    }
    *address = (struct cw_view){room, bytes};
    return true;
}

static void answer_click(struct cw_service *service, const struct cw_request *request,
                         const struct visited *visited, struct cw_view url)
{
    if (!visited->known) {
        answer_unknown(service, request);
        return;
    }
    char room[ADDRESS_MAX * 3];
    struct cw_view address;
    if (write_address(url, room, &address)) {
        const struct cw_header headers[] = {{CW_VIEW("location"), address},
                                            {CW_VIEW("referrer-policy"), CW_VIEW("no-referrer")}};
        cw_service_answer(service, request, 302, cw_type_text, CW_VIEW(""), headers, 2);
        return;
    }
    struct cw_text *out =
        begin_page(service, visited->expired ? "This offer is over" : "Thank you for coming back");
    cw_text_puts(out, "<p>Please visit the shop itself.");
    end_page(service, request, visited->expired ? 410 : 200);
}

static const char *channel_words(uint32_t channel)
{
    switch (channel) {
    case CW_CHANNEL_EMAIL: return "e-mails";
    case CW_CHANNEL_SMS: return "text messages";
    case CW_CHANNEL_PUSH: return "notifications";
    default: return "messages";
    }
}

static void answer_unsubscribe(struct cw_service *service, const struct cw_request *request,
                               const struct visited *visited, struct cw_view shop_name)
{
    if (!visited->known) {
        answer_unknown(service, request);
        return;
    }
    bool done = request->method == CW_METHOD_POST;
    struct cw_text *out = begin_page(service, done ? "You are unsubscribed" : "Unsubscribe");
    cw_text_puts(out, done ? "<p>You will get no more " : "<p>Do you want no more ");
    cw_text_puts(out, channel_words(visited->channel));
    cw_text_puts(out, " from ");
    put_html(out, shop_name.bytes > 0 ? shop_name : CW_VIEW("this shop"));
    if (done) {
        cw_text_puts(out, ".");
    } else {
        cw_text_puts(out, "?<form method=\"post\"><input type=\"hidden\" name=\"List-Unsubscribe\" "
                          "value=\"One-Click\">"
                          "<button>Unsubscribe</button></form>");
    }
    end_page(service, request, 200);
}

/* ---- visits ---- */

static void look_visit(struct cw_service *service, struct cw_ask *ask, struct cw_arena *arena)
{
    const struct visit *asked = ask->what;
    struct cw_visit visit = asked->visit;
    visit.time = cw_service_clock(service);
    struct cw_visited seen = {.known = false};
    cw_pipeline_visit(service->pipeline, &visit, &seen);
    struct visited visited = {.known = seen.known,
                              .expired = seen.expired,
                              .channel = seen.channel,
                              .url = seen.url.bytes,
                              .shop_name = seen.shop_name.bytes};
    struct cw_text *out = &service->answer;
    cw_text_clear(out);
    cw_text_put(out, &visited, sizeof visited);
    cw_text_view(out, seen.url);
    cw_text_view(out, seen.shop_name);
    ask->found = true;
    ask->answer = cw_arena_copy(arena, (struct cw_view){out->data, (uint32_t)out->bytes});
}

static void finish_visit(struct cw_service *service, struct cw_open *open)
{
    const struct visit *asked = (const struct visit *)(const void *)open->room;
    struct visited visited;
    memcpy(&visited, open->text.data, sizeof visited);
    struct cw_view url = {open->text.data + sizeof visited, visited.url};
    struct cw_view shop_name = {url.data + url.bytes, visited.shop_name};
    switch (asked->visit.kind) {
    case CW_LINK_OPEN: answer_pixel(service, &open->request); break;
    case CW_LINK_CLICK: answer_click(service, &open->request, &visited, url); break;
    case CW_LINK_UNSUBSCRIBE:
        answer_unsubscribe(service, &open->request, &visited, shop_name);
        break;
    }
}

static const struct cw_question visiting = {look_visit, cw_serve_gather, finish_visit, false};

static void count_visit(struct cw_service *service, const struct cw_visit *visit)
{
    if (!visit->look) {
        uint32_t kind = visit->kind == CW_LINK_OPEN ? 0 : visit->kind == CW_LINK_CLICK ? 1 : 2;
        service->served.visits[kind]++;
        service->served.machine_visits += visit->machine;
    }
}

static void serve_visit(struct cw_service *service, const struct cw_call *call,
                        enum cw_link_kind kind)
{
    const struct cw_request *request = call->request;
    const struct cw_links *links = service->options.pipeline.links;
    struct cw_view token = call->params[0];
    if (kind == CW_LINK_OPEN && token.bytes > 4 &&
        memcmp(token.data + token.bytes - 4, ".gif", 4) == 0) {
        token.bytes -= 4;
    }
    struct cw_open *open = cw_serve_question(service, call, &visiting);
    if (open == NULL) {
        return;
    }
    struct visit *asked = (struct visit *)(void *)open->room;
    asked->visit = (struct cw_visit){
        .kind = kind,
        .look = request->method == CW_METHOD_HEAD ||
                (kind == CW_LINK_UNSUBSCRIBE && request->method != CW_METHOD_POST),
        .machine = is_machine(request)};
    struct cw_link *link = &asked->visit.link;
    uint32_t partitions = service->options.pipeline.partitions;
    if (links == NULL || !cw_link_read(links, kind, token, partitions, asked->room, link)) {
        if (kind == CW_LINK_OPEN) { /* a picture that is missing would be seen */
            answer_pixel(service, request);
        } else {
            answer_unknown(service, request);
        }
        cw_open_release(service, open);
        return;
    }
    uint32_t partition = link->brief ? link->partition : cw_partition(link->customer, partitions);
    count_visit(service, &asked->visit);
    cw_serve_ask(service, open, partition % service->batch_count, 0, asked);
    cw_open_ready(service, open);
}

void cw_serve_open(struct cw_service *service, const struct cw_call *call)
{
    serve_visit(service, call, CW_LINK_OPEN);
}

void cw_serve_click(struct cw_service *service, const struct cw_call *call)
{
    serve_visit(service, call, CW_LINK_CLICK);
}

void cw_serve_unsubscribe(struct cw_service *service, const struct cw_call *call)
{
    serve_visit(service, call, CW_LINK_UNSUBSCRIBE);
}
