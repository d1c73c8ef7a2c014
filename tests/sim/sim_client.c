/*
 * sim_client: shops that put events in, over a network that delays, doubles and forgets. What was
 * not acknowledged is sent again with the same ids, until it is.
 */
#include "core/json.h"
#include "tests/sim/sim.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum {
    EVENT_ROOM = 1024,
    RETRY_MS = 20000
};

/* ---- events ---- */

static const char *const sources[CW_EVENT_TYPE_COUNT][2] = {
#define CW_X(name, source, type) {source, type},
    CW_EVENT_TYPES(CW_X)
#undef CW_X
};

static const char *time_text(int64_t ms, char out[CW_TIME_BYTES + 1])
{
    cw_time_format(ms, out);
    out[CW_TIME_BYTES] = '\0';
    return out;
}

/* An event with a detail, to be sent at about now. */
__attribute__((format(printf, 5, 6))) static struct sim_event *
make(struct sim *sim, enum cw_event_type type, uint32_t customer, int64_t time, const char *format,
     ...)
{
    char detail[EVENT_ROOM - 200];
    char at[CW_TIME_BYTES + 1];
    if (sim->event_count == SIM_EVENTS_MAX) {
        return NULL;
    }
    va_list args;
    va_start(args, format);
    (void)vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    struct sim_event *made = &sim->events[sim->event_count];
    *made = (struct sim_event){.number = sim->event_count++,
                               .customer = customer,
                               .cart = SIM_CARTS_MAX,
                               .type = type,
                               .time = time,
                               .send_at = sim_base(sim),
                               .first_sent = CW_TIME_NONE,
                               .channel = CW_CHANNEL_COUNT};
    made->text = malloc(EVENT_ROOM);
    CW_ASSERT(made->text != NULL);
    (void)snprintf(made->text, EVENT_ROOM,
                   "{\"id\":\"e%u\",\"source\":\"%s\",\"detail-type\":\"%s\",\"time\":\"%s\","
                   "\"detail\":{%s}}",
                   made->number, sources[type][0], sources[type][1], time_text(time, at), detail);
    if (sim_chance(sim, sim->swarm.late)) {
        made->send_at += sim_draw(sim, sim_chance(sim, 300) ? 20000000 : 600000);
    }
    sim->totals.events++;
    sim->waiting_changed = true;
    return made;
}

static void make_profile(struct sim *sim, uint32_t customer)
{
    static const char *const zones[] = {"Europe/Berlin", "Asia/Tokyo", "America/New_York"};
    uint32_t missing = sim_draw(sim, 8);
    uint32_t name = sim_draw(sim, 100);
    bool pays = sim_chance(sim, 900);
    const char *zone = zones[sim_draw(sim, CW_COUNTOF(zones))];
    uint32_t bought = sim_draw(sim, 9);
    (void)make(sim, CW_EVENT_CUSTOMER_UPDATED, customer, sim_base(sim),
               "\"customerId\":\"c%u\",\"name\":\"N%u of c%u;\",\"email\":%s,\"phone\":%s,"
               "\"pushToken\":%s,\"paymentMethodOnFile\":%s,\"timezone\":\"%s\","
               "\"purchaseHistory\":%u",
               customer, name, customer, missing == 0 ? "null" : "\"a@b.example\"",
               missing == 1 ? "null" : "\"+1\"", missing == 2 ? "null" : "\"t\"",
               pays ? "true" : "false", zone, bought);
    sim->customers[customer].told = true;
}

static void make_opt_out(struct sim *sim, uint32_t customer)
{
    static const char *const names[CW_CHANNEL_COUNT] = {"email", "sms", "push"};
    uint32_t channel = sim_draw(sim, CW_CHANNEL_COUNT);
    struct sim_event *made =
        make(sim, CW_EVENT_CUSTOMER_UPDATED, customer, sim_base(sim),
             "\"customerId\":\"c%u\",\"optedOut\":{\"%s\":true}", customer, names[channel]);
    if (made != NULL) {
        made->channel = channel;
        sim->customers[customer].opting_out[channel] = true;
    }
}

/* Its own time is a little before it is sent. */
static void make_cart(struct sim *sim, uint32_t customer, enum cw_event_type type)
{
    struct sim_customer *of = &sim->customers[customer];
    uint32_t cart = of->carts - 1 - (of->carts > 1 && sim_chance(sim, 250) ? 1 : 0);
    if (of->cart[cart].ordered) {
        cart = of->carts - 1;
    }
    int64_t time = sim_base(sim) - sim_draw(sim, 3000);
    char items[400];
    uint32_t bytes = 0;
    uint32_t count = 1 + sim_draw(sim, 3);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t product = sim_draw(sim, 12);
        uint32_t price = 10 * (1 + sim_draw(sim, 20));
        uint32_t quantity = 1 + sim_draw(sim, 2);
        bytes += (uint32_t)snprintf(
            items + bytes, sizeof items - bytes,
            "%s{\"id\":\"p%u\",\"name\":\"n\",\"price\":%u,\"quantity\":%u}", i == 0 ? "" : ",",
            product, price, quantity);
    }
    struct sim_event *made =
        make(sim, type, customer, time,
             "\"customerId\":\"c%u\",\"cartId\":\"c%u-k%u\",\"cartValue\":%u,\"items\":[%s]",
             customer, customer, cart, 5 + sim_draw(sim, 400), items);
    if (made != NULL) {
        made->cart = cart;
    }
}

/* Another cart is begun: nothing will be put into the ones before any more. */
static void new_cart(struct sim_customer *of)
{
    of->carts += of->carts < SIM_CARTS_MAX;
}

static void make_order(struct sim *sim, uint32_t customer)
{
    struct sim_customer *of = &sim->customers[customer];
    uint32_t cart = of->carts - 1;
    bool named = sim_chance(sim, 700);
    char of_cart[40] = "";
    if (named) {
        (void)snprintf(of_cart, sizeof of_cart, ",\"cartId\":\"c%u-k%u\"", customer, cart);
    }
    struct sim_event *made =
        make(sim, CW_EVENT_ORDER_PLACED, customer, sim_base(sim),
             "\"customerId\":\"c%u\",\"orderId\":\"o%u\",\"orderValue\":%u%s", customer,
             sim->event_count, 20 + sim_draw(sim, 300), of_cart);
    if (made == NULL) {
        return;
    }
    made->cart = cart;
    made->all_carts = !named;
    for (uint32_t i = named ? cart : 0; i <= cart; i++) {
        of->cart[i].ordered = true;
    }
    new_cart(of);
}

static void make_stock(struct sim *sim, uint32_t customer)
{
    uint32_t product = sim_draw(sim, 12);
    uint32_t available = sim_draw(sim, 9);
    (void)make(sim, CW_EVENT_INVENTORY_CHANGED, customer, sim_base(sim),
               "\"productId\":\"p%u\",\"available\":%u", product, available);
}

/* Before it the customer's other events are all through, or are never sent any more. */
static void make_erasure(struct sim *sim, uint32_t customer)
{
    for (uint32_t i = 0; i < sim->event_count; i++) {
        const struct sim_event *event = &sim->events[i];
        /* What a machine acknowledged that was lost since is sent again first. */
        bool again = event->lost && event->state == SIM_EVENT_WAITING;
        if (event->customer == customer && (event->out > 0 || again)) {
            return;
        }
    }
    for (uint32_t i = 0; i < sim->event_count; i++) {
        struct sim_event *event = &sim->events[i];
        if (event->customer == customer && event->state == SIM_EVENT_WAITING) {
            event->state = SIM_EVENT_DEAD;
        }
    }
    sim->customers[customer].erasing = true;
    sim->customers[customer].erasing_turn = sim->turn;
    const struct sim_event *made = make(sim, CW_EVENT_CUSTOMER_ERASED, customer, sim_base(sim),
                                        "\"customerId\":\"c%u\"", customer);
    sim->customers[customer].erasure = made != NULL ? made->number : SIM_EVENTS_MAX;
}

static void make_message(struct sim *sim)
{
    static const enum cw_event_type types[] = {CW_EVENT_DELIVERED, CW_EVENT_DELIVERED,
                                               CW_EVENT_OPENED, CW_EVENT_CLICKED, CW_EVENT_BOUNCED};
    if (sim->message_count == 0) {
        return;
    }
    const struct sim_message *message = &sim->messages[sim_draw(sim, sim->message_count)];
    if (message->deliveries > 0 && !sim->customers[message->customer].erasing) {
        (void)make(sim, types[sim_draw(sim, CW_COUNTOF(types))], message->customer, sim_base(sim),
                   "\"messageId\":\"%.36s\"", message->key);
    }
}

static void make_event(struct sim *sim)
{
    uint32_t customer = sim_draw(sim, sim->swarm.customers);
    struct sim_customer *of = &sim->customers[customer];
    uint32_t what = sim_draw(sim, 1000);
    if (of->erasing || of->carts == SIM_CARTS_MAX) {
        return;
    }
    if (of->carts == 0) {
        of->carts = 1;
        if (sim_chance(sim, 950)) {
            make_profile(sim, customer);
        }
    } else if (what < 400) {
        make_cart(sim, customer, CW_EVENT_CART_ABANDONED);
    } else if (what < 560) {
        make_cart(sim, customer, CW_EVENT_CART_UPDATED);
    } else if (what < 640) {
        make_order(sim, customer);
    } else if (what < 700) {
        make_profile(sim, customer);
    } else if (what < 740) {
        make_stock(sim, customer);
    } else if (what < 765) {
        (void)make(sim, CW_EVENT_CART_CLEARED, customer, sim_base(sim),
                   "\"customerId\":\"c%u\",\"cartId\":\"c%u-k%u\"", customer, customer,
                   of->carts - 1);
    } else if (what < 790) {
        new_cart(of);
    } else if (what < 800) {
        make_opt_out(sim, customer);
    } else if (what < 804) {
        make_erasure(sim, customer);
    } else if (what < 830) {
        (void)make(sim, CW_EVENT_FEEDBACK, customer, sim_base(sim),
                   "\"customerId\":\"c%u\",\"rating\":%u", customer, 1 + sim_draw(sim, 5));
    } else {
        make_message(sim);
    }
}

bool sim_client_erases(const struct sim *sim, const struct sim_event *event)
{
    return sim->customers[event->customer].erasing && event->type != CW_EVENT_INVENTORY_CHANGED &&
           event->type != CW_EVENT_CUSTOMER_ERASED;
}

/* The id of what was told of somebody who is erased is forgotten with them. For a week from then
   the erasure is known, and as long as it is, nothing of before comes back. */
static bool is_gone(const struct sim *sim, const struct sim_event *event)
{
    const struct sim_customer *of = &sim->customers[event->customer];
    if (!sim_client_erases(sim, event)) {
        return false;
    }
    const struct sim_event *erasure =
        of->erasure < SIM_EVENTS_MAX ? &sim->events[of->erasure] : NULL;
    return erasure == NULL || erasure->state != SIM_EVENT_ACKED ||
           sim->engine_ms >= erasure->time + CW_WEEK_MS - CW_DAY_MS / 24;
}

bool sim_client_known(const struct sim *sim, const struct sim_event *event)
{
    bool by_message = event->type >= CW_EVENT_DELIVERED && event->type <= CW_EVENT_UNSUBSCRIBED;
    bool gone = is_gone(sim, event);
    return event->state == SIM_EVENT_ACKED && !by_message && !gone &&
           sim->engine_ms - event->first_sent < CW_WEEK_MS - CW_DAY_MS / 24;
}

/* ---- requests ---- */

static void free_request(struct sim_request *request)
{
    free(request->body);
    free(request);
}

/* Puts the events' texts into one body, with padding behind it. */
static void write_body(struct sim *sim, struct sim_request *request)
{
    struct cw_text body = {0};
    for (uint32_t i = 0; i < request->count; i++) {
        const struct sim_event *event = &sim->events[request->events[i]];
        char *text = strdup(event->text);
        CW_ASSERT(text != NULL);
        if (event->type == CW_EVENT_ORDER_PLACED) {
            sim_plant_order(sim, text);
        }
        cw_text_puts(&body, text);
        cw_text_puts(&body, request->count > 1 ? "\n" : "");
        free(text);
    }
    request->request.body = (struct cw_view){NULL, (uint32_t)body.bytes};
    memset(cw_text_room(&body, CW_JSON_PADDING), '"', CW_JSON_PADDING);
    request->body = body.data;
    request->request.body.data = body.data;
}

/* Hands the request to a core. */
static void put(struct sim *sim, const uint32_t *events, uint32_t count, uint32_t core)
{
    struct sim_request *made = calloc(1, sizeof *made);
    CW_ASSERT(made != NULL && core < sim->machine.cores);
    made->count = count;
    memcpy(made->events, events, count * sizeof *events);
    made->core = core;
    made->sent_turn = sim->turn;
    made->sent_ns = sim->ns;
    made->lost = !sim->quiet && sim_chance(sim, sim->swarm.lost_answers);
    made->request = (struct cw_request){.token = ++sim->tokens,
                                        .kind = CW_REQUEST_HTTP,
                                        .method = CW_METHOD_POST,
                                        .role = CW_ROLE_INGEST,
                                        .path = CW_VIEW("/v1/events"),
                                        .arrived_ns = sim->ns + 1};
    made->header = (struct cw_header){CW_VIEW("content-type"),
                                      count > 1 ? CW_VIEW("application/x-ndjson")
                                                : CW_VIEW("application/json")};
    made->request.headers = &made->header;
    made->request.header_count = 1;
    if (count > 1 && sim_chance(sim, 400)) { /* as lines of a connection */
        made->request.kind = CW_REQUEST_LINES;
        made->request.header_count = 0;
        made->request.line = 1;
    }
    write_body(sim, made);
    sim->waiting_changed = true;
    for (uint32_t i = 0; i < count; i++) {
        struct sim_event *event = &sim->events[events[i]];
        event->out++;
        event->state = event->state == SIM_EVENT_ACKED ? event->state : SIM_EVENT_OUT;
        int64_t now = sim_machine_clock(sim, core);
        event->first_sent = event->first_sent == CW_TIME_NONE ? now : event->first_sent;
    }
    made->next = sim->open;
    sim->open = made;
    struct sim_core *to = &sim->machine.core[core];
    *to->queue_end = &made->request;
    to->queue_end = &made->request.next;
    to->idle = false;
}

void sim_client_send(struct sim *sim, uint32_t event, uint32_t core)
{
    put(sim, &event, 1, core);
}

/* Not before a while, and then until it is acknowledged. */
static void again(struct sim *sim, struct sim_event *event)
{
    if (event->state == SIM_EVENT_OUT && event->out == 0) {
        sim->waiting_changed = true;
        event->state = SIM_EVENT_WAITING;
        event->send_at = sim_base(sim) + 50 + sim_draw(sim, RETRY_MS);
    }
}

static void acknowledge(struct sim *sim, struct sim_event *event)
{
    struct sim_customer *of = &sim->customers[event->customer];
    if (event->state == SIM_EVENT_ACKED) {
        return;
    }
    event->state = SIM_EVENT_ACKED;
    event->acked_turn = sim->turn;
    sim->totals.acked++;
    if (event->type == CW_EVENT_ORDER_PLACED) {
        for (uint32_t i = event->all_carts ? 0 : event->cart; i <= event->cart; i++) {
            of->cart[i].order_acked = true;
            of->cart[i].order_time = event->time;
        }
    } else if (event->type == CW_EVENT_CUSTOMER_ERASED) {
        of->erased_acked = true;
    } else if (event->channel != CW_CHANNEL_COUNT) {
        of->opted_out[event->channel] = true;
    }
}

static uint32_t number_after(struct cw_view body, const char *name)
{
    char text[256];
    (void)snprintf(text, sizeof text, "%.*s", (int)body.bytes, body.data);
    const char *at = strstr(text, name);
    return at != NULL ? (uint32_t)strtoul(at + strlen(name), NULL, 10) : 0;
}

static struct sim_request *take_open(struct sim *sim, uint64_t token)
{
    for (struct sim_request **at = &sim->open; *at != NULL; at = &(*at)->next) {
        if ((*at)->request.token == token) {
            struct sim_request *request = *at;
            *at = request->next;
            return request;
        }
    }
    return NULL;
}

void sim_client_answer(struct sim *sim, uint64_t token, const struct cw_answer *answer)
{
    struct sim_request *request = take_open(sim, token);
    if (request == NULL) {
        sim_fail(sim, "acknowledged", "request %llu is answered twice", (unsigned long long)token);
    }
    uint32_t accepted = number_after(answer->body, "\"accepted\":");
    uint32_t duplicate = number_after(answer->body, "\"duplicate\":");
    sim_trace(sim, answer->body.data, answer->body.bytes);
    bool whole = answer->status == 200 && accepted + duplicate == request->count;
    if (answer->status == 200) {
        sim_check_answer(sim, request, accepted, duplicate);
    }
    for (uint32_t i = 0; i < request->count; i++) {
        struct sim_event *event = &sim->events[request->events[i]];
        event->out--;
        if (whole && !request->lost) {
            acknowledge(sim, event);
        } else if (answer->status == 400 && request->count == 1 && event->state == SIM_EVENT_OUT) {
            event->state = SIM_EVENT_DEAD; /* so far ahead of the engine's clock */
        } else {
            again(sim, event);
        }
    }
    free_request(request);
}

void sim_client_cut(struct sim *sim)
{
    while (sim->open != NULL) {
        struct sim_request *request = sim->open;
        sim->open = request->next;
        for (uint32_t i = 0; i < request->count; i++) {
            struct sim_event *event = &sim->events[request->events[i]];
            event->out--;
            again(sim, event);
        }
        free_request(request);
    }
}

/* ---- turns ---- */

static void probe(struct sim *sim)
{
    const struct sim_event *event = &sim->events[sim_draw(sim, sim->event_count)];
    if (sim_client_known(sim, event)) {
        sim->totals.probes++;
        sim_client_send(sim, event->number, sim_draw(sim, sim->machine.cores));
    }
}

/* Sends what is due: alone, or several in one request; now and then to two cores at once. */
static void send_due(struct sim *sim)
{
    uint32_t list[SIM_BATCH_MAX];
    uint32_t count = 0;
    uint32_t most = sim_chance(sim, 500) ? 1 : 1 + sim_draw(sim, SIM_BATCH_MAX);
    uint32_t from = sim_draw(sim, sim->event_count + 1);
    for (uint32_t i = 0; i < sim->event_count && count < most; i++) {
        const struct sim_event *event = &sim->events[(from + i) % sim->event_count];
        if (event->state == SIM_EVENT_WAITING && event->send_at <= sim_base(sim)) {
            list[count++] = event->number;
        }
    }
    if (count > 0) {
        put(sim, list, count, sim_draw(sim, sim->machine.cores));
        if (!sim->quiet && sim_chance(sim, sim->swarm.twice)) {
            put(sim, list, count, sim_draw(sim, sim->machine.cores));
        }
        if (!sim->quiet && sim_chance(sim, sim->swarm.probes)) {
            probe(sim);
        }
    }
}

void sim_client_turn(struct sim *sim)
{
    while (!sim->quiet && sim_base(sim) >= sim->next_event) {
        /* In bursts: many at once, then nothing for long. */
        int64_t mean = (int64_t)SIM_HOURS * 3600000 / sim->swarm.events;
        uint32_t burst = sim_chance(sim, 100) ? 1 + sim_draw(sim, 20) : 1;
        for (uint32_t i = 0; i < burst; i++) {
            make_event(sim);
        }
        sim->next_event += 1 + (int64_t)burst * sim_draw(sim, (uint32_t)(2 * mean));
    }
    if (sim->machine.up && sim_client_next(sim) <= sim_base(sim)) {
        send_due(sim);
    }
}

int64_t sim_client_next(struct sim *sim)
{
    if (sim->waiting_changed) {
        sim->waiting_changed = false;
        sim->next_waiting = INT64_MAX;
        for (uint32_t i = 0; i < sim->event_count; i++) {
            const struct sim_event *event = &sim->events[i];
            if (event->state == SIM_EVENT_WAITING && event->send_at < sim->next_waiting) {
                sim->next_waiting = event->send_at;
            }
        }
    }
    return sim->quiet || sim->next_waiting < sim->next_event ? sim->next_waiting : sim->next_event;
}

bool sim_client_done(const struct sim *sim)
{
    for (uint32_t i = 0; i < sim->event_count; i++) {
        if (sim->events[i].state == SIM_EVENT_WAITING || sim->events[i].state == SIM_EVENT_OUT) {
            return false;
        }
    }
    return sim->open == NULL;
}

void sim_client_free(struct sim *sim)
{
    sim_client_cut(sim);
    for (uint32_t i = 0; i < sim->event_count; i++) {
        free(sim->events[i].text);
    }
    sim->event_count = 0;
}
