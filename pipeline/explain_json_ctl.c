/* explain_json: what explain_ctl.c worked out, for programs. */
#include "pipeline/explain_priv.h"

#include <math.h>
#include <string.h>

/* ---- members ---- */

/* A comma where one is needed: not after what opens an object or a list. */
static void between(struct cw_text *out)
{
    char last = out->bytes == 0 ? '{' : out->data[out->bytes - 1];
    if (last != '{' && last != '[' && last != ',') {
        cw_text_char(out, ',');
    }
}

static void key(struct cw_text *out, const char *name)
{
    between(out);
    cw_text_printf(out, "\"%s\":", name);
}

static void word(struct cw_text *out, const char *name, const char *value)
{
    key(out, name);
    cw_text_printf(out, "\"%s\"", value);
}

static void string(struct cw_text *out, const char *name, struct cw_view value)
{
    key(out, name);
    if (value.data == NULL) {
        cw_text_puts(out, "null");
    } else {
        cw_text_json(out, value);
    }
}

static void number(struct cw_text *out, const char *name, double value)
{
    key(out, name);
    if (isfinite(value)) {
        cw_text_number(out, value);
    } else {
        cw_text_puts(out, "null");
    }
}

static void flag(struct cw_text *out, const char *name, bool value)
{
    key(out, name);
    cw_text_puts(out, value ? "true" : "false");
}

static void instant(struct cw_text *out, const char *name, int64_t ms)
{
    key(out, name);
    if (ms == CW_TIME_NONE) {
        cw_text_puts(out, "null");
    } else {
        cw_text_json_time(out, ms);
    }
}

static void open(struct cw_text *out, const char *name, char bracket)
{
    if (name == NULL) {
        between(out);
    } else {
        key(out, name);
    }
    cw_text_char(out, bracket);
}

static void fields(struct cw_text *out, const char *name, uint32_t bits)
{
    static const char *const names[] = {
#define CW_X(bit, upper, text, help) [bit] = (text),
        CW_FIELDS(CW_X)
#undef CW_X
    };
    open(out, name, '[');
    for (uint32_t i = 0; i < CW_COUNTOF(names); i++) {
        if ((bits >> i & 1u) != 0) {
            between(out);
            cw_text_printf(out, "\"%s\"", names[i]);
        }
    }
    cw_text_char(out, ']');
}

/* ---- event and match ---- */

void cw_explain_json_event(const struct cw_explained_event *x, struct cw_text *out)
{
    const struct cw_event *event = x->event;
    word(out, "type", cw_explain_type_name(event->type));
    flag(out, "made", x->origin.file.data == NULL);
    if (x->origin.file.data != NULL) {
        /* A file's name is bytes; JSON is UTF-8. */
        struct cw_text name = {0};
        for (uint32_t i = 0; i < x->origin.file.bytes; i++) {
            uint8_t c = (uint8_t)x->origin.file.data[i];
            cw_text_char(&name, c < 0x20 || c >= 0x7f ? '?' : (char)c);
        }
        string(out, "file",
               (struct cw_view){name.bytes == 0 ? "" : name.data, (uint32_t)name.bytes});
        number(out, "line", (double)x->origin.line);
        cw_text_deinit(&name);
    }
    instant(out, "clock", x->now);
    if (event->type == CW_EVENT_INVALID) {
        string(out, "reason", event->u.invalid.reason);
        return;
    }
    instant(out, "time", event->time);
    string(out, "id", event->id);
    string(out, "source", event->source);
    string(out, "bus", x->bus);
    string(out, "customerId", event->customer);
    string(out, "cartId", event->cart);
    if (event->type == CW_EVENT_CART_ABANDONED) {
        number(out, "cartValue", event->u.abandoned.value);
        number(out, "items", event->u.abandoned.items_count);
        string(out, "currency", event->u.abandoned.currency);
    }
}

static void put_lines(struct cw_text *out, struct cw_view lines)
{
    open(out, "leaves", '[');
    for (uint32_t from = 0; from < lines.bytes;) {
        uint32_t to = from;
        while (to < lines.bytes && lines.data[to] != '\n') {
            to++;
        }
        between(out);
        cw_text_json(out, (struct cw_view){lines.data + from, to - from});
        from = to + 1;
    }
    cw_text_char(out, ']');
}

void cw_explain_json_match(const struct cw_explained_match *x, struct cw_text *out)
{
    string(out, "program", x->program->id);
    open(out, "match", '{');
    flag(out, "matches", x->wanted);
    flag(out, "enabled", x->program->enabled);
    flag(out, "sessionOfAnother", x->made_for_other);
    open(out, "sources", '[');
    for (uint32_t i = 0; i < x->source_count; i++) {
        open(out, NULL, '{');
        flag(out, "matches", x->sources[i].matches);
        string(out, "bus", x->sources[i].bus);
        flag(out, "takesBus", x->sources[i].takes_bus);
        put_lines(out, x->sources[i].lines);
        cw_text_char(out, '}');
    }
    cw_text_puts(out, "]}");
}

/* ---- stages ---- */

static void show_deduplicate(const struct cw_explained *x, struct cw_text *out)
{
    const struct cw_item *item = &x->item;
    struct cw_text name = {0};
    cw_explain_key(item, &name);
    flag(out, "enabled", item->program->dedup.enabled);
    string(out, "key", (struct cw_view){name.data, (uint32_t)name.bytes});
    cw_text_deinit(&name);
    flag(out, "known", item->entry != CW_ROW_NONE);
    if (item->entry == CW_ROW_NONE) {
        return;
    }
    const struct cw_dedup_row *entry = cw_table_value(x->p->dedup, item->entry);
    flag(out, "windowOpen", item->dedup != CW_ROW_NONE);
    instant(out, "until", entry->until);
    instant(out, "t0", entry->t0);
    if (item->dedup != CW_ROW_NONE) {
        flag(out, "sameContent", item->same_content);
        flag(out, "laterT0", item->event->time > entry->t0);
    }
}

static void show_candidate(const struct cw_explained *x, struct cw_text *out)
{
    const struct cw_item *item = &x->item;
    flag(out, "again", item->again);
    word(out, "onReabandon", cw_explain_reabandon_name(item->program->on_reabandon));
    if (item->again) {
        const struct cw_candidate_row *known = cw_candidate_at(x->p, item->candidate);
        instant(out, "t0", known->t0);
        flag(out, "laterT0", item->event->time > known->t0);
    }
    number(out, "holdoutPercent", item->program->holdout_percent);
    flag(out, "holdout", x->plan.holdout);
}

static void show_channels(const struct cw_explained *x, struct cw_text *out, const char *name,
                          bool (*has)(const struct cw_customer *, enum cw_channel))
{
    bool told[CW_CHANNEL_COUNT] = {0};
    open(out, name, '{');
    for (uint32_t i = 0; i < x->item.program->touch_count; i++) {
        enum cw_channel channel = x->item.program->touches[i].channel;
        if (!told[channel]) {
            flag(out, cw_channel_name(channel), has(x->item.customer, channel));
        }
        told[channel] = true;
    }
    cw_text_char(out, '}');
}

static void show_marketplace(const struct cw_explained *x, struct cw_text *out)
{
    string(out, "marketplace",
           cw_customer_marketplace(x->item.customer, x->item.event->u.abandoned.marketplace));
    open(out, "listed", '[');
    for (uint32_t i = 0; i < x->item.program->marketplace_count; i++) {
        between(out);
        cw_text_json(out, x->item.program->marketplaces[i]);
    }
    cw_text_char(out, ']');
}

static void show_caps(const struct cw_explained_filter *f, struct cw_text *out)
{
    static const char *const names[CW_CAP_COUNT] = {"email", "sms", "push", "messages"};
    open(out, "caps", '[');
    for (uint32_t cap = 0; cap < CW_CAP_COUNT; cap++) {
        struct cw_cap_look found = cw_cap_look(&f->look, cap);
        if (found.set) {
            open(out, NULL, '{');
            word(out, "cap", names[cap]);
            flag(out, "passes", !cw_cap_reached(&found));
            number(out, "sent", found.sent);
            number(out, "pending", found.pending);
            number(out, "most", found.most);
            cw_text_char(out, '}');
        }
    }
    cw_text_char(out, ']');
}

static void show_stock(const struct cw_explained *x, const struct cw_explained_filter *f,
                       struct cw_text *out)
{
    const struct cw_event_cart *cart = &x->item.event->u.abandoned;
    flag(out, "requireInStock", f->filter->require_in_stock);
    if (!f->filter->require_in_stock) {
        return;
    }
    open(out, "items", '[');
    for (uint32_t i = 0; i < cart->items_count; i++) {
        const struct cw_event_item *item = &cart->items[i];
        cw_row place = cw_product_find(x->p, item->id);
        const struct cw_product_row *product = cw_explain_product(x->p, place);
        open(out, NULL, '{');
        string(out, "id", item->id);
        number(out, "quantity", item->quantity);
        flag(out, "passes", cw_product_in_stock(x->p, place, item->quantity));
        flag(out, "told", product != NULL);
        if (product != NULL && product->available == CW_AVAILABLE_ALWAYS) {
            flag(out, "available", true);
        } else if (product != NULL) {
            number(out, "available", (double)product->available);
        }
        cw_text_char(out, '}');
    }
    cw_text_char(out, ']');
}

static void show_minimum(const struct cw_explained *x, const struct cw_explained_filter *f,
                         struct cw_text *out)
{
    const struct cw_event_cart *cart = &x->item.event->u.abandoned;
    double bound;
    number(out, "cartValue", cart->value);
    bool has = cw_by_market_get(
        &f->filter->minimum, cw_customer_marketplace(x->item.customer, cart->marketplace), &bound);
    number(out, "minimum", has ? bound : NAN);
}

static void show_check(const struct cw_explained *x, const struct cw_explained_filter *f,
                       enum cw_check check, struct cw_text *out)
{
    const struct cw_customer_row *customer = x->item.customer->at;
    const struct cw_cart_row *cart = f->look.cart;
    switch (check) {
    case CW_CHECK_known:
        flag(out, "known", customer->known);
        flag(out, "allowUnknown", f->filter->allow_unknown);
        break;
    case CW_CHECK_account:
        word(out, "accountStatus", cw_explain_account_name(customer->account_status));
        flag(out, "told", (customer->told >> CW_PROFILE_ACCOUNT_STATUS & 1u) != 0);
        break;
    case CW_CHECK_payment:
        flag(out, "paymentMethodOnFile", customer->payment_method);
        flag(out, "requirePaymentMethod", f->filter->require_payment_method);
        break;
    case CW_CHECK_purchased:
        instant(out, "cartPurchasedAt", cart == NULL ? CW_TIME_NONE : cart->purchased_at);
        instant(out, "customerPurchasedAt", customer->purchased_at);
        break;
    case CW_CHECK_active:
        instant(out, "clearedAt", cart == NULL ? CW_TIME_NONE : cart->cleared_at);
        instant(out, "updatedAt", cart == NULL ? CW_TIME_NONE : cart->updated_at);
        break;
    case CW_CHECK_expired:
        instant(out, "expiresAt", x->item.event->time + x->item.program->candidate_ttl_ms);
        break;
    case CW_CHECK_marketplace: show_marketplace(x, out); break;
    case CW_CHECK_address: show_channels(x, out, "addresses", cw_customer_has_address); break;
    case CW_CHECK_consent: show_channels(x, out, "optedOut", cw_customer_opted_out); break;
    case CW_CHECK_minimum: show_minimum(x, f, out); break;
    case CW_CHECK_caps: show_caps(f, out); break;
    case CW_CHECK_stock: show_stock(x, f, out); break;
    case CW_CHECK_COUNT: break;
    }
}

static void show_checks(const struct cw_explained *x, const struct cw_explained_filter *f,
                        struct cw_text *out)
{
    open(out, "checks", '[');
    for (uint32_t c = 0; c < CW_CHECK_COUNT; c++) {
        if (cw_checks[c].type == f->filter->type) {
            open(out, NULL, '{');
            word(out, "check", cw_checks[c].name);
            flag(out, "passes", f->passes[c]);
            if (!f->passes[c]) {
                word(out, "reason", cw_rejection_name(cw_checks[c].reason));
            }
            show_check(x, f, (enum cw_check)c, out);
            cw_text_char(out, '}');
        }
    }
    cw_text_char(out, ']');
}

static void show_filters(const struct cw_explained *x, struct cw_text *out)
{
    open(out, "filters", '[');
    for (uint32_t i = 0; i < x->item.program->filter_count; i++) {
        const struct cw_explained_filter *f = &x->filters[i];
        open(out, NULL, '{');
        string(out, "filter", f->filter->id);
        word(out, "type", cw_explain_filter_type_name(f->filter->type));
        flag(out, "passes", f->verdict == CW_REJECTION_NONE);
        if (f->verdict != CW_REJECTION_NONE) {
            word(out, "reason", cw_rejection_name(f->verdict));
        }
        show_checks(x, f, out);
        cw_text_char(out, '}');
    }
    cw_text_char(out, ']');
}

static void show_place(const struct cw_explained *x, struct cw_text *out)
{
    word(out, "onNewCart", cw_explain_new_cart_name(x->item.program->on_new_cart));
    open(out, "others", '[');
    for (cw_row at = x->item.customer->at->in_flight; at != CW_ROW_NONE;) {
        const struct cw_candidate_row *other = cw_candidate_at(x->p, at);
        if (other->slot == x->item.slot && at != x->item.candidate) {
            open(out, NULL, '{');
            string(out, "cartId", cw_candidate_texts(other).cart);
            instant(out, "t0", other->t0);
            word(out, "standing", cw_explain_standing_name(cw_standing_of(x->p, &x->item, at)));
            cw_text_char(out, '}');
        }
        at = other->next;
    }
    cw_text_char(out, ']');
}

static void show_discount(const struct cw_explained *x, struct cw_text *out)
{
    const struct cw_program *program = x->item.program;
    open(out, "discount", '{');
    flag(out, "enabled", program->discount.enabled);
    flag(out, "dynamic", program->discount.dynamic);
    number(out, "defaultDiscount", program->discount.base);
    number(out, "maxDiscount", program->discount.max);
    number(out, "discountStep", program->discount.step);
    number(out, "sensitivity", x->discount.sensitivity);
    number(out, "urge", x->discount.urge);
    number(out, "unrounded", x->discount.value);
    number(out, "percent", x->discount.percent);
    cw_text_char(out, '}');
    /* What was announced already is never lowered. */
    number(out, "discountPercent", x->plan.discount);
}

static void show_features(const struct cw_explained *x, struct cw_text *out)
{
    double sum = x->bias;
    number(out, "bias", x->bias);
    open(out, "features", '[');
    for (uint32_t i = 0; i < x->part_count; i++) {
        const struct cw_model_part *part = &x->parts[i];
        open(out, NULL, '{');
        string(out, "feature", part->name);
        if (cw_view_equal(part->name, CW_VIEW("category"))) {
            string(out, "value", x->item.features.category);
        } else {
            number(out, "value", part->missing ? NAN : part->value);
        }
        flag(out, "known", !part->missing);
        number(out, "contribution", part->contribution);
        cw_text_char(out, '}');
        sum += part->contribution;
    }
    cw_text_char(out, ']');
    number(out, "sum", sum);
    number(out, "intent", x->intent);
}

static void show_score(const struct cw_explained *x, struct cw_text *out)
{
    static const char *const names[] = {
#define CW_X(name) #name,
        CW_FEATURES(CW_X)
#undef CW_X
    };
    string(out, "model", cw_model_name(x->item.program->model));
    string(out, "modelVersion", cw_model_version(x->item.program->model));
    show_features(x, out);
    open(out, "cache", '{');
    flag(out, "hit", x->item.cached);
    flag(out, "entry", x->item.score_entry != CW_ROW_NONE);
    if (x->item.score_entry != CW_ROW_NONE) {
        const struct cw_score_row *entry = cw_table_value(x->p->scores, x->item.score_entry);
        number(out, "score", entry->score);
        instant(out, "cachedAt", entry->cached_at);
    }
    cw_text_char(out, '}');
    number(out, "score", round(x->item.score * 1e4) / 1e4); /* as replay prints it */
    word(out, "confidence", cw_confidence_name(x->item.confidence));
    open(out, "knownFeatures", '[');
    for (uint32_t i = CW_CONFIDENCE_FIRST; i <= CW_CONFIDENCE_LAST; i++) {
        if (!isnan(x->item.features.numeric[i])) {
            between(out);
            cw_text_printf(out, "\"%s\"", names[i]);
        }
    }
    cw_text_char(out, ']');
    show_discount(x, out);
}

static void show_store(const struct cw_explained *x, struct cw_text *out)
{
    instant(out, "t0", x->plan.t0);
    instant(out, "expiresAt", x->plan.t0 + x->item.program->candidate_ttl_ms);
}

static void show_schedule(const struct cw_explained *x, struct cw_text *out)
{
    open(out, "touches", '[');
    for (uint32_t i = 0; i < x->plan.touch_count; i++) {
        if (x->plan.pending[i]) {
            open(out, NULL, '{');
            number(out, "touch", i + 1);
            word(out, "channel", cw_channel_name(x->item.program->touches[i].channel));
            instant(out, "due", x->plan.due[i]);
            cw_text_char(out, '}');
        }
    }
    cw_text_char(out, ']');
}

static void (*const shows[CW_STAGE_COUNT])(const struct cw_explained *x, struct cw_text *out) = {
    [CW_STAGE_DEDUPLICATE] = show_deduplicate,
    [CW_STAGE_CANDIDATE] = show_candidate,
    [CW_STAGE_FILTER] = show_filters,
    [CW_STAGE_PLACE] = show_place,
    [CW_STAGE_SCORE] = show_score,
    [CW_STAGE_STORE] = show_store,
    [CW_STAGE_SCHEDULE] = show_schedule,
};

void cw_explain_json_item(const struct cw_explained *x, struct cw_text *out)
{
    word(out, "verdict", cw_explain_fate_name(x->fates[x->end]));
    if (x->fates[x->end] == CW_ITEM_FATE_REJECTED) {
        string(out, "filter", x->item.filter);
        word(out, "reason", cw_rejection_name(x->item.rejection));
    }
    word(out, "endsAt", cw_graph[x->end].name);
    open(out, "stages", '[');
    for (uint32_t s = 0; s < CW_STAGE_COUNT; s++) {
        open(out, NULL, '{');
        word(out, "stage", cw_graph[s].name);
        flag(out, "reached", s <= x->end);
        word(out, "verdict", cw_explain_fate_name(x->fates[s]));
        fields(out, "reads", cw_graph[s].reads);
        fields(out, "writes", cw_graph[s].writes);
        shows[s](x, out);
        cw_text_char(out, '}');
    }
    cw_text_char(out, ']');
}

void cw_explain_json_graph(struct cw_text *out)
{
    cw_text_puts(out, "{\"stages\":[");
    for (uint32_t s = 0; s < CW_STAGE_COUNT; s++) {
        open(out, NULL, '{');
        word(out, "stage", cw_graph[s].name);
        fields(out, "reads", cw_graph[s].reads);
        fields(out, "writes", cw_graph[s].writes);
        open(out, "fates", '[');
        for (uint32_t fate = 0; fate < CW_ITEM_FATE_COUNT; fate++) {
            if ((cw_graph[s].fates >> fate & 1u) != 0) {
                between(out);
                cw_text_printf(out, "\"%s\"", cw_explain_fate_name((enum cw_item_fate)fate));
            }
        }
        cw_text_puts(out, "]}");
    }
    cw_text_puts(out, "]}\n");
}
