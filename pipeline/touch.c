/* touch: at a touch's time the pipeline looks again, then sends, skips or defers. */
#include "core/format.h"
#include "pipeline/graph.h"

#include <string.h>

bool cw_items_in_stock(struct cw_pipeline *p, const struct cw_candidate_row *candidate)
{
    const struct cw_item_row *items = cw_candidate_items(candidate);
    for (uint32_t i = 0; i < candidate->item_count; i++) {
        if (!cw_product_in_stock(p, items[i].product, items[i].quantity)) {
            return false;
        }
    }
    return true;
}

const struct cw_variant *cw_touch_variant(const struct cw_program *program,
                                          const struct cw_touch *touch, struct cw_view customer)
{
    if (touch->variant_count == 0) {
        return NULL;
    }
    char key[3 * CW_ID_BYTES_MAX + 2];
    const struct cw_view parts[] = {program->id, touch->channel_id, customer};
    uint32_t bytes = 0;
    for (uint32_t i = 0; i < CW_COUNTOF(parts); i++) {
        CW_ASSERT(parts[i].bytes <= CW_ID_BYTES_MAX);
        if (i > 0) {
            key[bytes++] = '\0';
        }
        memcpy(key + bytes, parts[i].data, parts[i].bytes);
        bytes += parts[i].bytes;
    }
    double place = (double)((cw_murmur2(key, bytes) & 0x7fffffffu) % 10000) / 10000;
    double upto = 0;
    for (uint32_t i = 0; i + 1 < touch->variant_count; i++) {
        upto += touch->variants[i].share;
        if (place < upto) {
            return &touch->variants[i];
        }
    }
    return &touch->variants[touch->variant_count - 1];
}

int64_t cw_touch_delay(const struct cw_program *program, const struct cw_touch *touch,
                       struct cw_view customer)
{
    const struct cw_variant *variant = cw_touch_variant(program, touch, customer);
    return variant != NULL ? variant->delay_ms : touch->delay_ms;
}

/* own: 1 when an earlier attempt of the very touch counts already, which does not stand in its way.
 */
static bool capped(const struct cw_pipeline *p, const struct cw_customer *customer,
                   const struct cw_program *program, enum cw_channel channel, struct cw_view market,
                   uint32_t own)
{
    for (uint32_t f = 0; f < program->filter_count; f++) {
        const struct cw_filter *filter = &program->filters[f];
        double cap;
        if (filter->type != CW_FILTER_RULE) {
            continue;
        }
        if ((cw_by_market_get(&filter->caps[channel], market, &cap) &&
             cw_sends_count(p, customer, (uint32_t)channel) - own >= cap) ||
            (cw_by_market_get(&filter->caps[CW_CAP_MESSAGES], market, &cap) &&
             cw_sends_count(p, customer, CW_CAP_MESSAGES) - own >= cap)) {
            return true;
        }
    }
    return false;
}

static bool needs_stock(const struct cw_program *program)
{
    for (uint32_t f = 0; f < program->filter_count; f++) {
        if (program->filters[f].type == CW_FILTER_RULE && program->filters[f].require_in_stock) {
            return true;
        }
    }
    return false;
}

/* When the customer's last message was sent, but for an earlier attempt of the very touch. */
static int64_t last_sent(const struct cw_customer *customer, const struct cw_touch_row *touch)
{
    int64_t last = customer->at->last_sent;
    if ((touch->flags & CW_TOUCH_CHARGED) == 0 || last != touch->sent_at) {
        return last;
    }
    const int64_t *sends = cw_customer_sends(customer->at);
    bool passed = false;
    for (uint32_t i = customer->at->sends_count; i > 0; i--) {
        if (passed || sends[i - 1] != (last << 2 | touch->channel)) {
            return sends[i - 1] >> 2;
        }
        passed = true;
    }
    return CW_TIME_NONE;
}

/* When quiet hours that hold now end; CW_TIME_NONE when none hold. */
static int64_t quiet_until(const struct cw_pipeline *p, const struct cw_program *program,
                           uint32_t zone)
{
    if (!program->quiet.set) {
        return CW_TIME_NONE;
    }
    int64_t local = p->now + cw_zone_offset_ms(p->options.zones, zone, p->now);
    int64_t of_day = ((local % CW_DAY_MS) + CW_DAY_MS) % CW_DAY_MS;
    int64_t start = program->quiet.start_minute * CW_MINUTE_MS;
    int64_t end = program->quiet.end_minute * CW_MINUTE_MS;
    bool quiet = start < end ? of_day >= start && of_day < end : of_day >= start || of_day < end;
    if (!quiet) {
        return CW_TIME_NONE;
    }
    int64_t until = cw_zone_next(p->options.zones, zone, p->now, program->quiet.end_minute);
    /* In the second run of an hour that comes twice, the end that is meant is the second one. */
    int64_t straight = p->now + (end - of_day + CW_DAY_MS) % CW_DAY_MS;
    int64_t shown = straight + cw_zone_offset_ms(p->options.zones, zone, straight);
    bool shows_end = ((shown % CW_DAY_MS) + CW_DAY_MS) % CW_DAY_MS == end;
    return shows_end && straight > p->now && straight < until ? straight : until;
}

struct look {
    enum cw_touch_reason reason; /* NONE: send it */
    int64_t until;               /* not CW_TIME_NONE: deferred to then */
    uint32_t zone;
};

/*
 * True when a later touch is due too. Where messages wait for their channels a later one may even
 * have gone before: then the earlier, planned before that, comes too late as well.
 */
static bool is_late(const struct cw_pipeline *p, const struct cw_customer *customer,
                    const struct cw_candidate_row *candidate, uint32_t number)
{
    const struct cw_program *program = cw_candidate_program(p, candidate);
    const struct cw_touch *touch = cw_candidate_touch(p, candidate, number);
    const struct cw_touch_row *touches = cw_candidate_touches(candidate);
    for (uint32_t later = number + 1; later < candidate->touch_count; later++) {
        if (touches[later].state == CW_TOUCH_PENDING) {
            if (touches[later].due <= p->now) {
                return true;
            }
        } else if (p->options.live && touches[later].attempts > 0 &&
                   touches[later].sent_at >
                       candidate->t0 + cw_touch_delay(program, touch, customer->id)) {
            return true;
        }
    }
    return false;
}

/* True of one that may have come through and whose key its provider may have forgotten: it would be
   delivered twice. Who says `resend` means it for ever. A key is as old as its first attempt: of
   one that was tried more than once nobody knows more than that it was not before its plan. */
static bool is_key_old(const struct cw_pipeline *p, const struct cw_customer *customer,
                       const struct cw_candidate_row *candidate, uint32_t number)
{
    const struct cw_touch_row *row = &cw_candidate_touches(candidate)[number];
    const struct cw_touch *touch = cw_candidate_touch(p, candidate, number);
    if ((row->flags & CW_TOUCH_DOUBTED) == 0 || touch->on_unknown != CW_ON_UNKNOWN_DEFAULT) {
        return false;
    }
    int64_t delay = cw_touch_delay(cw_candidate_program(p, candidate), touch, customer->id);
    int64_t first = row->attempts == 1 ? row->sent_at : candidate->first_t0 + delay;
    return p->now - first >= CW_KEYS_KEPT_MS;
}

/* Everything that may stand against sending now, in the order of the product's reference. */
static struct look look_again(struct cw_pipeline *p, struct cw_customer *customer,
                              const struct cw_candidate_row *candidate, uint32_t number)
{
    const struct cw_program *program = cw_candidate_program(p, candidate);
    const struct cw_touch_row *touch = &cw_candidate_touches(candidate)[number];
    enum cw_channel channel = (enum cw_channel)touch->channel;
    struct cw_view market =
        cw_customer_marketplace(customer, cw_candidate_texts(candidate).marketplace);
    struct look look = {.until = CW_TIME_NONE, .zone = cw_customer_zone(p, customer, market)};
    if (is_late(p, customer, candidate, number)) {
        look.reason = CW_TOUCH_REASON_LATE;
        return look;
    }
    if (is_key_old(p, customer, candidate, number)) {
        look.reason = CW_TOUCH_REASON_PROVIDER;
        return look;
    }
    bool counted = (touch->flags & CW_TOUCH_CHARGED) != 0 && touch->sent_at > p->now - CW_WEEK_MS;
    int64_t sent = last_sent(customer, touch);
    if (cw_customer_opted_out(customer, channel)) {
        look.reason = CW_TOUCH_REASON_OPTED_OUT;
    } else if (!cw_customer_has_address(customer, channel)) {
        look.reason = CW_TOUCH_REASON_NO_ADDRESS;
    } else if (capped(p, customer, program, channel, market, counted)) {
        look.reason = CW_TOUCH_REASON_FREQUENCY_CAP;
    } else if (needs_stock(program) && !cw_items_in_stock(p, candidate)) {
        look.reason = CW_TOUCH_REASON_OUT_OF_STOCK;
    } else if (sent != CW_TIME_NONE && p->now - sent < program->min_gap_ms) {
        look.reason = CW_TOUCH_REASON_MIN_GAP;
        look.until = sent + program->min_gap_ms;
    } else {
        look.until = quiet_until(p, program, look.zone);
        look.reason =
            look.until == CW_TIME_NONE ? CW_TOUCH_REASON_NONE : CW_TOUCH_REASON_QUIET_HOURS;
    }
    return look;
}

uint32_t cw_discount_code(const struct cw_pipeline *p, double percent, bool unique, uint32_t serial,
                          struct cw_view customer, char code[32])
{
    uint32_t whole = (uint32_t)percent;
    uint32_t bytes = 4;
    memcpy(code, "CART", bytes);
    if (whole == percent && whole < 100) { /* nearly always, and much cheaper */
        if (whole >= 10) {
            code[bytes++] = (char)('0' + whole / 10);
        }
        code[bytes++] = (char)('0' + whole % 10);
    } else {
        bytes = cw_format(code, 32, "CART%g", percent);
    }
    if (!unique) {
        return bytes;
    }
    /* Minted, not drawn from a pool: a keyed hash of the candidate, in Crockford's base 32. */
    char input[CW_ID_BYTES_MAX + sizeof serial];
    memcpy(input, customer.data, customer.bytes);
    memcpy(input + customer.bytes, &serial, sizeof serial);
    uint64_t hash = cw_hash(p->options.codes, input, customer.bytes + (uint32_t)sizeof serial);
    static const char digits[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    code[bytes++] = '-';
    for (uint32_t i = 0; i < 8; i++) {
        code[bytes++] = digits[hash >> (5 * i) & 31u];
    }
    return bytes;
}

static const struct cw_message_item *message_items(struct cw_pipeline *p,
                                                   const struct cw_candidate_row *candidate)
{
    const struct cw_item_row *rows = cw_candidate_items(candidate);
    const char *text = cw_candidate_texts(candidate).items;
    struct cw_message_item *items =
        cw_arena_alloc(&p->scratch, (candidate->item_count + 1) * sizeof *items, 8);
    for (uint32_t i = 0; i < candidate->item_count; i++) {
        bool image = rows[i].image_bytes != UINT32_MAX;
        text += rows[i].id_bytes;
        items[i] = (struct cw_message_item){.name = {text, rows[i].name_bytes},
                                            .price = rows[i].price,
                                            .quantity = rows[i].quantity};
        text += rows[i].name_bytes;
        if (image) {
            items[i].image_url = (struct cw_view){text, rows[i].image_bytes};
            text += rows[i].image_bytes;
        }
    }
    return items;
}

/* A message about to be handed over: what is fixed from its claim on. */
struct claim {
    cw_row row;
    uint32_t number; /* of the touch, from 0 */
    uint32_t zone;
    int64_t at;      /* now; or when it would have been claimed, of one that may have been */
    double discount; /* percent that it carries; 0: none */
    int64_t code_end;
    struct cw_view id, code;
    char id_text[CW_MESSAGE_ID_BYTES];
    char code_text[32];
};

/* The end of the offer that a message announces: codeValidHours on, or, where a push says "today",
   the end of the day in the customer's zone. */
static int64_t offer_end(const struct cw_pipeline *p, const struct cw_program *program,
                         const struct cw_touch *touch, struct cw_view customer,
                         const struct claim *claim)
{
    const struct cw_variant *variant = cw_touch_variant(program, touch, customer);
    struct cw_view body =
        variant != NULL && variant->body.data != NULL ? variant->body : touch->body;
    struct cw_view title =
        variant != NULL && variant->title.data != NULL ? variant->title : touch->title;
    if (touch->channel == CW_CHANNEL_PUSH &&
        (cw_message_says_today(body) || cw_message_says_today(title))) {
        return cw_zone_next(p->options.zones, claim->zone, claim->at, 0);
    }
    return claim->at + program->code_valid_ms;
}

static void name_message(const struct cw_pipeline *p, const struct cw_customer *customer,
                         struct claim *claim)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, claim->row);
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    claim->id = (struct cw_view){claim->id_text, sizeof claim->id_text};
    cw_message_id(p->options.partitions, texts.program, customer->id, texts.cart,
                  candidate->first_t0, claim->number + 1, claim->id_text);
}

static void prepare(struct cw_pipeline *p, const struct cw_customer *customer, struct claim *claim)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, claim->row);
    const struct cw_program *program = cw_candidate_program(p, candidate);
    const struct cw_touch *touch = cw_candidate_touch(p, candidate, claim->number);
    name_message(p, customer, claim);
    claim->code_end = CW_TIME_NONE;
    if (touch->include_discount && candidate->discount > 0) {
        claim->discount = candidate->discount;
        claim->code.bytes = cw_discount_code(p, claim->discount, program->unique_codes,
                                             candidate->serial, customer->id, claim->code_text);
        claim->code.data = claim->code_text;
        claim->code_end = offer_end(p, program, touch, customer->id, claim);
    }
}

static struct cw_view put_url(struct cw_pipeline *p, struct cw_text *url, enum cw_link_kind kind,
                              const struct cw_link *link)
{
    cw_text_clear(url);
    cw_link_write(p->options.links, kind, link, url);
    return (struct cw_view){url->data, (uint32_t)url->bytes};
}

static struct cw_view put_brief(struct cw_pipeline *p, struct cw_text *url, enum cw_link_kind kind,
                                struct cw_view customer, const struct claim *claim)
{
    uint8_t key[10];
    uint32_t partition = cw_partition(customer, p->options.partitions);
    cw_text_clear(url);
    return cw_link_write_brief(p->options.links, kind, partition, claim->id_text, key, url)
               ? (struct cw_view){url->data, (uint32_t)url->bytes}
               : p->options.shop_link;
}

/* In place of the shop's own addresses those that lead through cartwheel. */
static void put_links(struct cw_pipeline *p, const struct cw_customer *customer,
                      const struct claim *claim, struct cw_message_input *input)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, claim->row);
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    enum cw_channel channel = input->touch->channel;
    if (channel == CW_CHANNEL_SMS) {
        input->cart_link = put_brief(p, &p->urls[0], CW_LINK_CLICK, customer->id, claim);
        input->unsubscribe_link =
            put_brief(p, &p->urls[1], CW_LINK_UNSUBSCRIBE, customer->id, claim);
        p->fates.links_left_out += p->urls[0].bytes == 0;
        return;
    }
    struct cw_link link = {.program = texts.program,
                           .customer = customer->id,
                           .cart = texts.cart,
                           .first_t0 = candidate->first_t0,
                           .touch = claim->number + 1,
                           .channel = channel,
                           .expires_at = p->now + CW_LINK_TTL_DAYS * CW_DAY_MS};
    input->cart_link = put_url(p, &p->urls[0], CW_LINK_CLICK, &link);
    input->unsubscribe_link = put_url(p, &p->urls[1], CW_LINK_UNSUBSCRIBE, &link);
    if (channel == CW_CHANNEL_EMAIL) {
        input->open_pixel_link = put_url(p, &p->urls[2], CW_LINK_OPEN, &link);
    }
}

static enum cw_send_answer hand_over(struct cw_pipeline *p, struct cw_customer *customer,
                                     const struct claim *claim)
{
    static const enum cw_profile_field addresses[CW_CHANNEL_COUNT] = {
        CW_PROFILE_EMAIL, CW_PROFILE_PHONE, CW_PROFILE_PUSH_TOKEN};
    const struct cw_candidate_row *candidate = cw_candidate_at(p, claim->row);
    const struct cw_program *program = cw_candidate_program(p, candidate);
    const struct cw_touch *touch = cw_candidate_touch(p, candidate, claim->number);
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    const struct cw_touch_row *row = &cw_candidate_touches(candidate)[claim->number];
    struct cw_message_input input = {
        .program = program,
        .touch = touch,
        .variant = cw_touch_variant(program, touch, customer->id),
        .customer_name = cw_customer_string(customer->at, CW_PROFILE_NAME),
        .locale = cw_customer_string(customer->at, CW_PROFILE_LOCALE),
        .marketplace = cw_customer_marketplace(customer, texts.marketplace),
        .currency = texts.currency,
        .cart_link = texts.url.data != NULL ? texts.url : p->options.shop_link,
        .unsubscribe_link = p->options.shop_link,
        .shop_name = p->options.shop_name,
        .shop_link = p->options.shop_link,
        .cart_value = candidate->cart_value,
        .items = message_items(p, candidate),
        .item_count = candidate->item_count,
        .discount_percent = claim->discount,
        .discount_code = claim->code,
        .expires_at_ms = claim->code_end,
        .now_ms = p->now,
        .zone = claim->zone};
    if (p->options.links != NULL) {
        put_links(p, customer, claim, &input);
    }
    struct cw_send send = {.channel = touch->channel,
                           .address = cw_customer_string(customer->at, addresses[touch->channel]),
                           .message_id = claim->id,
                           .from = touch->from,
                           .program = texts.program,
                           .customer = customer->id,
                           .cart = texts.cart,
                           .touch = claim->number + 1,
                           .attempt = row->attempts - row->untried + 1u,
                           .deadline_ms = candidate->expires_at,
                           .input = &input};
    return p->options.port.send(p->options.port.self, &send);
}

/* Against caps and gap, and among the customer's e-mails: at the touch's sent_at. */
static void count_sent(struct cw_pipeline *p, struct cw_customer *customer,
                       struct cw_touch_row *touch)
{
    if (!cw_sends_add(p, customer, (enum cw_channel)touch->channel, touch->sent_at)) {
        p->fates.not_remembered++;
    }
    struct cw_customer_row *of = cw_customer_edit(p, customer);
    if (touch->sent_at > of->last_sent) {
        of->last_sent = touch->sent_at;
    }
    of->emails_sent += touch->channel == CW_CHANNEL_EMAIL;
    touch->flags |= CW_TOUCH_CHARGED;
}

/* From here on the message is out of hand: whatever becomes of it, it counts. */
static void charge(struct cw_pipeline *p, struct cw_customer *customer, const struct claim *claim)
{
    struct cw_candidate_row *candidate = cw_candidate_edit(p, claim->row);
    struct cw_touch_row *touch = cw_touch_edit(p, claim->row, claim->number);
    if ((touch->flags & CW_TOUCH_CHARGED) != 0) {
        cw_touch_uncharge(p, customer, claim->row, claim->number);
    }
    touch->sent_at = claim->at;
    count_sent(p, customer, touch);
    touch->flags &= (uint8_t)~CW_TOUCH_UNIQUE;
    touch->attempts++;
    touch->waits = 0;
    touch->discount = claim->discount;
    if (claim->discount > 0) {
        candidate->announced = claim->discount;
        candidate->code_expires_at = claim->code_end;
        if (cw_candidate_program(p, candidate)->unique_codes) {
            touch->flags |= CW_TOUCH_UNIQUE;
        }
    }
}

/* False when there is no room for the message now: then nothing was charged. */
static bool send_touch(struct cw_pipeline *p, struct cw_customer *customer, struct claim *claim)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, claim->row);
    const struct cw_touch_row *touch = &cw_candidate_touches(candidate)[claim->number];
    prepare(p, customer, claim);
    bool known = cw_message_remember(p, customer->id, candidate, claim->number + 1, claim->id);
    if (!known) {
        p->fates.not_remembered++; /* what comes back about it would not be known */
        if (p->options.live) {
            return false;
        }
    }
    enum cw_send_answer answer =
        p->options.port.send != NULL ? hand_over(p, customer, claim) : CW_SEND_DONE;
    if (answer == CW_SEND_FULL) {
        if (known && touch->attempts == 0) {
            cw_message_forget(p, candidate, claim->id);
        }
        return false;
    }
    charge(p, customer, claim);
    if (answer == CW_SEND_TAKEN) {
        cw_touch_become(p, claim->row, claim->number, CW_TOUCH_SENDING);
    } else {
        cw_touch_went_out(p, customer, claim->row, claim->number, claim->id);
    }
    return true;
}

static void put_off(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                    uint32_t number, const struct look *look)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    const struct cw_touch_row *touch = &cw_candidate_touches(candidate)[number];
    bool deferred = look->until != CW_TIME_NONE;
    bool as_before = look->reason == CW_TOUCH_REASON_PAUSED && touch->reason == look->reason;
    struct cw_touch_row *to = cw_touch_edit(p, row, number);
    to->reason = (uint8_t)look->reason;
    if (deferred) {
        CW_ASSERT(look->until > p->now);
        to->due = look->until;
        cw_candidate_settle(p, row);
        if (as_before) { /* told once, not every minute */
            return;
        }
        p->fates.deferred[look->reason]++;
    } else if ((touch->flags & CW_TOUCH_DOUBTED) != 0) {
        cw_touch_in_doubt(p, customer, row, number, look->reason);
        return;
    } else {
        cw_touch_become(p, row, number, CW_TOUCH_SKIPPED);
        p->fates.skipped[look->reason]++;
    }
    struct cw_candidate_texts texts = cw_candidate_texts(candidate);
    struct cw_decision decision = {
        .u.touch = {.touch = number + 1,
                    .channel = (enum cw_channel)touch->channel,
                    .outcome = deferred ? CW_OUTCOME_DEFERRED : CW_OUTCOME_SKIPPED,
                    .reason = look->reason,
                    .until = look->until}};
    cw_decide(p, &decision, CW_DECISION_TOUCH, texts.program, customer->id, texts.cart);
}

/* Deferred as one that is paused, told once; due as it was. */
static void hold(struct cw_pipeline *p, struct cw_customer *customer, cw_row row, uint32_t number)
{
    struct cw_touch_row *touch = cw_touch_edit(p, row, number);
    struct cw_candidate_texts texts = cw_candidate_texts(cw_candidate_at(p, row));
    CW_ASSERT(touch->reason != CW_TOUCH_REASON_PAUSED);
    touch->reason = CW_TOUCH_REASON_PAUSED;
    p->fates.deferred[CW_TOUCH_REASON_PAUSED]++;
    struct cw_decision decision = {
        .u.touch = {.touch = number + 1,
                    .channel = (enum cw_channel)touch->channel,
                    .outcome = CW_OUTCOME_DEFERRED,
                    .reason = CW_TOUCH_REASON_PAUSED,
                    .until = cw_touch_wakes(p, customer->id, touch)}};
    cw_decide(p, &decision, CW_DECISION_TOUCH, texts.program, customer->id, texts.cart);
}

void cw_touch_fire(struct cw_pipeline *p, struct cw_customer *customer, cw_row row, uint32_t number)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    const struct cw_touch_row *touch = &cw_candidate_touches(candidate)[number];
    CW_ASSERT_HOT(touch->state == CW_TOUCH_PENDING && touch->due <= p->now);
    struct claim claim = {.row = row, .number = number, .at = p->now};
    if (touch->attempts > 0 && cw_touch_arrived(touch)) { /* what was thought lost came through */
        if ((touch->flags & CW_TOUCH_CHARGED) == 0) {
            count_sent(p, customer, cw_touch_edit(p, row, number));
        }
        name_message(p, customer, &claim);
        cw_touch_went_out(p, customer, row, number, claim.id);
        return;
    }
    struct look look = {.reason = CW_TOUCH_REASON_PAUSED, .until = CW_TIME_NONE};
    if (p->sends_held != 0) { /* asked first: what a held touch came to by other reasons could not
                                 be assumed to have been sent any more (doubt.c) */
        hold(p, customer, row, number);
        return;
    }
    if (cw_candidate_touch(p, candidate, number) != NULL) { /* else for good */
        look = look_again(p, customer, candidate, number);
    }
    if (look.reason == CW_TOUCH_REASON_NONE && p->options.live) {
        look.until = cw_touch_hold(p, customer, row, number, &look.reason);
    }
    if (look.reason == CW_TOUCH_REASON_NONE) {
        claim.zone = look.zone;
        if (send_touch(p, customer, &claim)) {
            return;
        }
        look.reason = CW_TOUCH_REASON_PROVIDER;
        look.until = cw_touch_room_at(p, claim.id, touch->waits);
        cw_touch_edit(p, row, number)->waits = (uint8_t)(touch->waits + (touch->waits < UINT8_MAX));
    }
    put_off(p, customer, row, number, &look);
}

void cw_touch_assume(struct cw_pipeline *p, struct cw_customer *customer, cw_row row,
                     uint32_t number, int64_t at)
{
    const struct cw_candidate_row *candidate = cw_candidate_at(p, row);
    struct claim claim = {.row = row, .number = number, .at = at};
    struct cw_view market =
        cw_customer_marketplace(customer, cw_candidate_texts(candidate).marketplace);
    claim.zone = cw_customer_zone(p, customer, market);
    if (cw_candidate_touch(p, candidate, number) != NULL) {
        prepare(p, customer, &claim);
    } else {
        name_message(p, customer, &claim); /* what it carried is not known any more */
    }
    if (!cw_message_remember(p, customer->id, candidate, number + 1, claim.id)) {
        p->fates.not_remembered++;
    }
    charge(p, customer, &claim);
    cw_touch_become(p, row, number, CW_TOUCH_SENDING);
}
