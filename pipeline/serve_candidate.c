/* serve_candidate: candidates by their key, and lists of those in flight over all cores. */
#include "core/format.h"
#include "core/mesh.h"
#include "pipeline/request.h"
#include "pipeline/serve_priv.h"

#include <string.h>

enum {
    KEY_BYTES_MAX = 2 * CW_ID_BYTES_MAX + 1,
    LIST_DEFAULT = 100,
    LIST_MAX = 1000
};

/* ---- one, by customerId:programId ---- */

/* Ids may hold colons, so a key may be cut at several places. */
struct key {
    char text[KEY_BYTES_MAX];
    uint32_t bytes;
    uint32_t best; /* where the answer that is kept was cut */
    bool all;
};

static_assert(sizeof(struct key) <= sizeof((struct cw_open *)0)->room, "a key has room");

static void look_one(struct cw_service *service, struct cw_ask *ask, struct cw_arena *arena)
{
    const struct key *key = ask->what;
    uint32_t cut = ask->number;
    struct cw_view customer = {key->text, cut};
    struct cw_view program = {key->text + cut + 1, key->bytes - cut - 1};
    struct cw_text *json = &service->answer;
    cw_text_clear(json);
    ask->found = cw_pipeline_candidate(service->pipeline, customer, program, key->all, json);
    if (ask->found) {
        ask->answer = cw_arena_copy(arena, (struct cw_view){json->data, (uint32_t)json->bytes});
    }
}

/* Of several the one with the longest customer id, that is the shortest program id. */
static void gather_one(struct cw_service *service, struct cw_open *open, const struct cw_ask *ask)
{
    struct key *key = (struct key *)(void *)open->room;
    if (!ask->found || (open->found > 0 && ask->number < key->best)) {
        return;
    }
    service->text_bytes -= open->text.bytes;
    cw_text_clear(&open->text);
    key->best = ask->number;
    cw_serve_gather(service, open, ask);
}

static void finish_one(struct cw_service *service, struct cw_open *open)
{
    if (open->found == 0) {
        cw_serve_refuse(service, &open->request, 404, "no candidate has this key");
        return;
    }
    struct cw_view body = {open->text.data, (uint32_t)open->text.bytes};
    cw_service_answer(service, &open->request, 200, cw_type_json, body, NULL, 0);
}

static const struct cw_question one = {look_one, gather_one, finish_one, false};

static void ask_at(struct cw_service *service, struct cw_open *open, const struct key *key,
                   uint32_t cut)
{
    uint32_t partition =
        cw_partition((struct cw_view){key->text, cut}, service->options.pipeline.partitions);
    cw_serve_ask(service, open, partition % service->batch_count, cut, key);
}

/* Where the key ends in a program's id: there it may be cut; and at the last colon, for a program
   that is gone. */
static uint32_t ask_cuts(struct cw_service *service, struct cw_open *open, const struct key *key)
{
    bool asked[KEY_BYTES_MAX] = {false};
    uint32_t count = 0;
    for (uint32_t i = 0; i < service->programs->count; i++) {
        struct cw_view id = service->programs->list[i].id;
        if (key->bytes < id.bytes + 2) {
            continue;
        }
        uint32_t cut = key->bytes - id.bytes - 1;
        if (key->text[cut] == ':' && memcmp(key->text + cut + 1, id.data, id.bytes) == 0) {
            asked[cut] = true;
            ask_at(service, open, key, cut);
            count++;
        }
    }
    uint32_t last = key->bytes;
    while (last > 0 && key->text[last - 1] != ':') {
        last--;
    }
    if (last >= 2 && last < key->bytes && !asked[last - 1]) {
        ask_at(service, open, key, last - 1);
        count++;
    }
    return count;
}

void cw_serve_candidate(struct cw_service *service, const struct cw_call *call)
{
    char all[8];
    struct cw_view value;
    if (!cw_serve_query(service, call->request, "all", all, sizeof all, &value)) {
        return;
    }
    char text[KEY_BYTES_MAX * 3];
    struct cw_view plain = {0};
    if (call->params[0].bytes > sizeof text ||
        !cw_percent_decode(call->params[0], false, text, &plain) || plain.bytes > KEY_BYTES_MAX) {
        cw_serve_refuse(service, call->request, 400, "the key is malformed");
        return;
    }
    struct cw_open *open = cw_serve_question(service, call, &one);
    if (open == NULL) {
        return;
    }
    struct key *key = (struct key *)(void *)open->room;
    *key = (struct key){.bytes = plain.bytes,
                        .all = value.data != NULL && !cw_view_equal(value, CW_VIEW("0")) &&
                               !cw_view_equal(value, CW_VIEW("false"))};
    memcpy(key->text, plain.data, plain.bytes);
    (void)ask_cuts(service, open, key); /* none: not found */
    cw_open_ready(service, open);
}

/* ---- lists ---- */

struct wanted {
    char program[CW_ID_BYTES_MAX];
    uint32_t program_bytes;
    uint32_t limit;
    bool by_value;
    enum cw_channel channel;
    int64_t day_ms;
};

static_assert(sizeof(struct wanted) <= sizeof((struct cw_open *)0)->room,
              "what is wanted has room");

/* One line of a core's list, as it travels; its customer, cart and JSON follow. */
struct line {
    double key;
    uint32_t customer, cart, json; /* bytes */
};

static void write_candidate(struct cw_text *out, struct cw_view program,
                            const struct cw_candidate_view *view)
{
    cw_text_puts(out, "{\"customerId\":");
    cw_text_json(out, view->customer);
    cw_text_puts(out, ",\"programId\":");
    cw_text_json(out, program);
    cw_text_puts(out, ",\"cartId\":");
    cw_text_json(out, view->cart);
    cw_text_puts(out, view->active ? ",\"status\":\"active\"" : ",\"status\":\"scheduled\"");
    cw_text_printf(out, ",\"purchase_intent\":%.4f,\"cart_value\":", view->score);
    cw_text_number(out, view->cart_value);
    if (view->currency.bytes > 0) {
        cw_text_puts(out, ",\"currency\":");
        cw_text_json(out, view->currency);
    }
    cw_text_puts(out, ",\"discount_offer\":");
    cw_text_number(out, view->discount);
    cw_text_puts(out, ",\"abandonedAt\":");
    cw_text_json_time(out, view->t0);
    cw_text_puts(out, ",\"expiresAt\":");
    cw_text_json_time(out, view->expires_at);
    cw_text_char(out, '}');
}

static void look_list(struct cw_service *service, struct cw_ask *ask, struct cw_arena *arena)
{
    const struct wanted *wanted = ask->what;
    struct cw_view program = {wanted->program, wanted->program_bytes};
    struct cw_candidate_view *list = cw_arena_alloc(arena, wanted->limit * sizeof *list, 8);
    uint32_t count = wanted->by_value ? cw_pipeline_by_value(service->pipeline, program,
                                                             wanted->day_ms, list, wanted->limit)
                                      : cw_pipeline_by_score(service->pipeline, program,
                                                             wanted->channel, list, wanted->limit);
    struct cw_text *out = &service->answer;
    cw_text_clear(out);
    uint64_t bytes = 0; /* the length of the list comes first */
    cw_text_put(out, &bytes, sizeof bytes);
    for (uint32_t i = 0; i < count; i++) {
        size_t at = out->bytes;
        struct line line = {.key = wanted->by_value ? list[i].cart_value : list[i].score,
                            .customer = list[i].customer.bytes,
                            .cart = list[i].cart.bytes};
        cw_text_put(out, &line, sizeof line);
        cw_text_view(out, list[i].customer);
        cw_text_view(out, list[i].cart);
        size_t json = out->bytes;
        write_candidate(out, program, &list[i]);
        line.json = (uint32_t)(out->bytes - json);
        memcpy(out->data + at, &line, sizeof line);
    }
    bytes = out->bytes - sizeof bytes;
    memcpy(out->data, &bytes, sizeof bytes);
    ask->found = true;
    ask->answer = cw_arena_copy(arena, (struct cw_view){out->data, (uint32_t)out->bytes});
}

/* What is left of one core's list. */
struct head {
    const char *at, *end;
};

static struct line line_at(const struct head *head)
{
    struct line line;
    memcpy(&line, head->at, sizeof line);
    return line;
}

/* Higher keys first, then by customer and cart. */
static bool comes_before(const struct head *a, const struct head *b)
{
    struct line x = line_at(a);
    struct line y = line_at(b);
    if (x.key != y.key) {
        return x.key > y.key;
    }
    const char *ax = a->at + sizeof x;
    const char *by = b->at + sizeof y;
    int order = cw_view_compare((struct cw_view){ax, x.customer}, (struct cw_view){by, y.customer});
    if (order == 0) {
        order = cw_view_compare((struct cw_view){ax + x.customer, x.cart},
                                (struct cw_view){by + y.customer, y.cart});
    }
    return order < 0;
}

/* Every core's list is in order already: they are merged. */
static void finish_list(struct cw_service *service, struct cw_open *open)
{
    const struct wanted *wanted = (const struct wanted *)(const void *)open->room;
    struct head heads[CW_MESH_SHARDS_MAX];
    uint32_t count = 0;
    const char *end = open->text.data + open->text.bytes;
    for (const char *at = open->text.data; at < end;) {
        uint64_t bytes;
        memcpy(&bytes, at, sizeof bytes);
        at += sizeof bytes;
        CW_ASSERT(count < CW_MESH_SHARDS_MAX);
        heads[count++] = (struct head){at, at + bytes};
        at += bytes;
    }
    struct cw_text *out = &service->answer;
    cw_text_clear(out);
    cw_text_puts(out, "{\"candidates\":[");
    for (uint32_t written = 0; written < wanted->limit; written++) {
        struct head *best = NULL;
        for (uint32_t i = 0; i < count; i++) {
            if (heads[i].at < heads[i].end && (best == NULL || comes_before(&heads[i], best))) {
                best = &heads[i];
            }
        }
        if (best == NULL) {
            break;
        }
        struct line line = line_at(best);
        const char *json = best->at + sizeof line + line.customer + line.cart;
        if (written > 0) {
            cw_text_char(out, ',');
        }
        cw_text_put(out, json, line.json);
        best->at = json + line.json;
    }
    cw_text_puts(out, "]}");
    cw_service_answer_json(service, &open->request, 200);
}

static const struct cw_question list = {look_list, cw_serve_gather, finish_list, true};

static bool read_limit(struct cw_view text, uint32_t *limit)
{
    *limit = 0;
    for (uint32_t i = 0; i < text.bytes; i++) {
        if (text.data[i] < '0' || text.data[i] > '9' || *limit > LIST_MAX) {
            return false;
        }
        *limit = *limit * 10 + (uint32_t)(text.data[i] - '0');
    }
    return *limit >= 1 && *limit <= LIST_MAX;
}

static bool read_channel(struct cw_view text, enum cw_channel *channel)
{
    for (uint32_t i = 0; i < CW_CHANNEL_COUNT; i++) {
        const char *name = cw_channel_name((enum cw_channel)i);
        if (cw_view_equal(text, (struct cw_view){name, (uint32_t)strlen(name)})) {
            *channel = (enum cw_channel)i;
            return true;
        }
    }
    return false;
}

static bool read_day(struct cw_view text, int64_t *ms)
{
    char time[64];
    uint32_t bytes = cw_format(time, sizeof time, "%.*sT00:00:00Z",
                               (int)(text.bytes < 32 ? text.bytes : 32), text.data);
    return cw_time_parse((struct cw_view){time, bytes}, ms);
}

/* The sentence that says what is wrong with the query; NULL: nothing. */
static const char *read_wanted(struct cw_view program, struct cw_view channel, struct cw_view date,
                               struct cw_view limit, struct wanted *wanted)
{
    wanted->limit = LIST_DEFAULT;
    if (program.bytes == 0) {
        return "give program=ID, and channel=email, sms or push, or date=YYYY-MM-DD";
    }
    if ((channel.data == NULL) == (date.data == NULL)) {
        return "give either channel=email, sms or push, or date=YYYY-MM-DD";
    }
    if (limit.data != NULL && !read_limit(limit, &wanted->limit)) {
        return "limit is a number from 1 to 1000";
    }
    if (channel.data != NULL && !read_channel(channel, &wanted->channel)) {
        return "channel is email, sms or push";
    }
    wanted->by_value = date.data != NULL;
    if (date.data != NULL && !read_day(date, &wanted->day_ms)) {
        return "date is a UTC day as YYYY-MM-DD";
    }
    memcpy(wanted->program, program.data, program.bytes);
    wanted->program_bytes = program.bytes;
    return NULL;
}

void cw_serve_candidates(struct cw_service *service, const struct cw_call *call)
{
    const struct cw_request *request = call->request;
    struct cw_view program, channel, date, limit;
    char rooms[4][CW_ID_BYTES_MAX];
    if (!cw_serve_query(service, request, "program", rooms[0], sizeof rooms[0], &program) ||
        !cw_serve_query(service, request, "channel", rooms[1], sizeof rooms[1], &channel) ||
        !cw_serve_query(service, request, "date", rooms[2], sizeof rooms[2], &date) ||
        !cw_serve_query(service, request, "limit", rooms[3], sizeof rooms[3], &limit)) {
        return;
    }
    struct wanted wanted = {.limit = 0};
    const char *wrong = read_wanted(program, channel, date, limit, &wanted);
    if (wrong != NULL) {
        cw_serve_refuse(service, request, 400, wrong);
        return;
    }
    if (cw_programs_find(service->programs, program) == NULL) {
        cw_serve_refuse(service, request, 404, "there is no such program");
        return;
    }
    struct cw_open *open = cw_serve_question(service, call, &list);
    if (open != NULL) {
        memcpy(open->room, &wanted, sizeof wanted);
        cw_serve_ask_all(service, open, open->room);
        cw_open_ready(service, open);
    }
}
