/* explain_text: what explain_ctl.c worked out, for people, in lines of CW_EXPLAIN_COLUMNS. */
#include "pipeline/explain_priv.h"
#include "pipeline/yaml_ctl.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    LABEL_COLUMNS = 13,
    STAGE_COLUMN = 44, /* where a stage's fields stand, behind the longest verdict */
    ITEMS_SHOWN = 20
};

enum mark {
    MARK_NONE, /* no verdict at all */
    MARK_GOOD,
    MARK_BAD
};

struct pen {
    struct cw_text *out;
    bool colour;
    const char *indent;
    struct cw_text line; /* one on its way */
};

static const char *paint(const struct pen *pen, enum mark mark)
{
    return !pen->colour || mark == MARK_NONE ? "" : mark == MARK_GOOD ? "\033[32m" : "\033[31m";
}

static const char *unpaint(const struct pen *pen, enum mark mark)
{
    return !pen->colour || mark == MARK_NONE ? "" : "\033[0m";
}

/* Where to end a line of so many columns: at its last blank, else where it is full. */
static uint32_t break_at(struct cw_view text, uint32_t columns)
{
    uint32_t used = 0;
    uint32_t blank = 0;
    for (uint32_t i = 0; i < text.bytes; i++) {
        if (((uint8_t)text.data[i] & 0xc0) == 0x80) {
            continue; /* within a letter */
        }
        if (used == columns) {
            return blank > 0 ? blank : i;
        }
        used++;
        blank = text.data[i] == ' ' ? i : blank;
    }
    return text.bytes;
}

/* The line on its way over as many lines as it needs: the first goes on at column `first`, the
   others begin at `column`. */
static void flush(struct pen *pen, uint32_t first, uint32_t column)
{
    struct cw_text clean = {0};
    cw_explain_plain(&clean, (struct cw_view){pen->line.data == NULL ? "" : pen->line.data,
                                              (uint32_t)pen->line.bytes});
    struct cw_view rest = {clean.data == NULL ? "" : clean.data, (uint32_t)clean.bytes};
    for (;;) { /* bounded: each turn takes at least one letter */
        uint32_t taken = break_at(rest, CW_EXPLAIN_COLUMNS - first);
        first = column;
        cw_text_put(pen->out, rest.data, taken);
        cw_text_char(pen->out, '\n');
        while (taken < rest.bytes && rest.data[taken] == ' ') {
            taken++;
        }
        rest = (struct cw_view){rest.data + taken, rest.bytes - taken};
        if (rest.bytes == 0) {
            break;
        }
        cw_text_printf(pen->out, "%*s", (int)column, "");
    }
    cw_text_deinit(&clean);
    cw_text_clear(&pen->line);
}

/* `indent label verdict text`: the label padded, the verdict only when there is a mark. */
static void row(struct pen *pen, const char *label, enum mark mark, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

static void row(struct pen *pen, const char *label, enum mark mark, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    cw_text_puts(&pen->line, text);
    cw_text_printf(pen->out, "%s%-*s", pen->indent, LABEL_COLUMNS, label);
    uint32_t column = (uint32_t)strlen(pen->indent) + LABEL_COLUMNS;
    if (mark != MARK_NONE) {
        cw_text_printf(pen->out, "%s%-6s%s", paint(pen, mark), mark == MARK_GOOD ? "ok" : "FAILS",
                       unpaint(pen, mark));
        column += 6;
    }
    flush(pen, column, column);
}

#define VIEW(view) (int)(view).bytes, (view).data == NULL ? "" : (view).data

struct when {
    char text[CW_TIME_BYTES + 1];
};

static struct when at(int64_t ms)
{
    struct when when = {"never"};
    if (ms != CW_TIME_NONE) {
        cw_time_format(ms, when.text);
        when.text[CW_TIME_BYTES] = '\0';
    }
    return when;
}

#define AT(ms) at(ms).text

struct span {
    char text[32];
};

/* A length of time in the largest unit that leaves it short. */
static struct span length(int64_t ms)
{
    struct span span;
    double value = (double)ms;
    const char *unit = "ms";
    if (ms == 0) {
        unit = "s";
    } else if (ms % CW_DAY_MS == 0 && ms >= 3 * CW_DAY_MS) {
        value /= (double)CW_DAY_MS;
        unit = "days";
    } else if (ms % CW_HOUR_MS == 0) {
        value /= (double)CW_HOUR_MS;
        unit = "h";
    } else if (ms >= CW_MINUTE_MS) {
        value /= (double)CW_MINUTE_MS;
        unit = "min";
    } else if (ms >= CW_SECOND_MS) {
        value /= (double)CW_SECOND_MS;
        unit = "s";
    }
    (void)snprintf(span.text, sizeof span.text, "%.6g %s", value, unit);
    return span;
}

#define LENGTH(ms) length(ms).text

/* ---- the event ---- */

void cw_explain_text_event(const struct cw_explained_event *x, bool colour, struct cw_text *out)
{
    struct pen pen = {.out = out, .colour = colour, .indent = "  "};
    const struct cw_event *event = x->event;
    cw_text_printf(&pen.line, "%s", cw_explain_type_name(event->type));
    if (x->origin.file.data != NULL) {
        cw_text_printf(&pen.line, ", line %llu of %.*s", (unsigned long long)x->origin.line,
                       VIEW(x->origin.file));
    } else {
        cw_text_puts(&pen.line, ", made by cartwheel when a session ended");
    }
    flush(&pen, 0, 2);
    if (event->customer.data != NULL) {
        row(&pen, "customer", MARK_NONE, "%.*s", VIEW(event->customer));
    }
    if (event->cart.data != NULL) {
        row(&pen, "cart", MARK_NONE, "%.*s", VIEW(event->cart));
    }
    if (event->type == CW_EVENT_CART_ABANDONED) {
        const struct cw_event_cart *cart = &event->u.abandoned;
        row(&pen, "content", MARK_NONE, "%g%s%.*s, %u item%s", cart->value,
            cart->currency.bytes > 0 ? " " : "", VIEW(cart->currency), cart->items_count,
            cart->items_count == 1 ? "" : "s");
    }
    if (event->type == CW_EVENT_INVALID) {
        row(&pen, "reason", MARK_NONE, "%.*s", VIEW(event->u.invalid.reason));
    }
    if (event->time != CW_TIME_NONE) {
        row(&pen, event->type == CW_EVENT_CART_ABANDONED ? "T0" : "time", MARK_NONE, "%s",
            AT(event->time));
    }
    row(&pen, "clock", MARK_NONE, "%s", AT(x->now));
    if (x->bus.data != NULL) {
        row(&pen, "bus", MARK_NONE, "%.*s", VIEW(x->bus));
    }
    cw_text_deinit(&pen.line);
}

void cw_explain_text_line(struct cw_view line, uint32_t column, struct cw_text *out)
{
    struct pen pen = {.out = out};
    cw_text_puts(out, "  ");
    cw_text_view(&pen.line, line);
    flush(&pen, 2, column + 2);
    cw_text_deinit(&pen.line);
}

void cw_explain_text_fate(const char *fate, const char *help, bool colour, struct cw_text *out)
{
    struct pen pen = {.out = out, .colour = colour, .indent = "  "};
    row(&pen, "fate", MARK_NONE, "%s: %s", fate, help);
    cw_text_deinit(&pen.line);
}

/* ---- matching ---- */

static void heading(struct pen *pen, const char *name, enum mark mark, const char *verdict)
{
    cw_text_printf(pen->out, "  %-14s%s%s%s", name, paint(pen, mark), verdict, unpaint(pen, mark));
}

static void put_lines(struct pen *pen, struct cw_view lines)
{
    for (uint32_t from = 0; from < lines.bytes;) {
        uint32_t to = from;
        while (to < lines.bytes && lines.data[to] != '\n') {
            to++;
        }
        cw_text_puts(pen->out, "      ");
        cw_text_put(&pen->line, lines.data + from, to - from);
        flush(pen, 6, 8);
        from = to + 1;
    }
}

void cw_explain_text_heading(struct cw_view program, struct cw_view verdict, struct cw_text *out)
{
    struct pen pen = {.out = out};
    cw_text_puts(out, "\nprogram ");
    cw_text_view(&pen.line, program);
    cw_text_puts(&pen.line, ": ");
    cw_text_view(&pen.line, verdict);
    flush(&pen, 8, 8);
    cw_text_deinit(&pen.line);
}

void cw_explain_text_match(const struct cw_explained_match *x, bool colour, struct cw_text *out)
{
    struct pen pen = {.out = out, .colour = colour, .indent = "    "};
    heading(&pen, "match", x->wanted ? MARK_GOOD : MARK_BAD, x->wanted ? "matches" : "no match");
    cw_text_puts(out, !x->program->enabled ? ": the program is not enabled\n"
                      : x->made_for_other  ? ": its session is another program's\n"
                                           : "\n");
    for (uint32_t i = 0; i < x->source_count; i++) {
        const struct cw_explained_source *source = &x->sources[i];
        char label[24];
        (void)snprintf(label, sizeof label, "source %u", i + 1);
        row(&pen, label, source->takes_bus && source->matches ? MARK_GOOD : MARK_BAD,
            "%s; bus %.*s%s",
            source->matches ? "the pattern matches" : "the pattern does not match",
            VIEW(source->bus), source->takes_bus ? "" : ", and the event came by another");
        put_lines(&pen, source->lines);
    }
    cw_text_deinit(&pen.line);
}

/* ---- deduplicate, candidate ---- */

static void show_deduplicate(struct pen *pen, const struct cw_explained *x)
{
    const struct cw_item *item = &x->item;
    if (!item->program->dedup.enabled) {
        row(pen, "off", MARK_NONE, "deduplication.enabled is false");
        return;
    }
    struct cw_text key = {0};
    cw_explain_key(item, &key);
    row(pen, "key", MARK_NONE, "%.*s", (int)key.bytes, key.data);
    cw_text_deinit(&key);
    if (item->entry == CW_ROW_NONE) {
        row(pen, "entry", MARK_NONE, "none: not accepted before");
        return;
    }
    const struct cw_dedup_row *entry = cw_table_value(x->p->dedup, item->entry);
    bool open = item->dedup != CW_ROW_NONE;
    row(pen, "entry", MARK_NONE, "accepted with T0 %s", AT(entry->t0));
    row(pen, "window", MARK_NONE, "%s %s", open ? "open until" : "over since", AT(entry->until));
    if (open) {
        row(pen, "T0", item->event->time > entry->t0 ? MARK_GOOD : MARK_BAD, "%s",
            item->event->time > entry->t0 ? "later than the one known"
                                          : "not later than the one known");
        row(pen, "content", item->same_content ? MARK_BAD : MARK_GOOD, "%s",
            item->same_content ? "the same items and value as known" : "other than what is known");
    }
}

static void show_candidate(struct pen *pen, const struct cw_explained *x)
{
    const struct cw_item *item = &x->item;
    if (!item->again) {
        row(pen, "new", MARK_NONE, "no candidate of this cart is in flight");
    } else {
        const struct cw_candidate_row *known = cw_candidate_at(x->p, item->candidate);
        row(pen, "again", MARK_NONE, "in flight since T0 %s", AT(known->t0));
        row(pen, "T0", item->event->time > known->t0 ? MARK_GOOD : MARK_BAD, "%s",
            item->event->time > known->t0 ? "later than the candidate's"
                                          : "not later than the candidate's");
        row(pen, "onReabandon",
            item->program->on_reabandon == CW_REABANDON_IGNORE ? MARK_BAD : MARK_GOOD, "%s",
            cw_explain_reabandon_name(item->program->on_reabandon));
    }
    if (item->program->holdout_percent > 0 && !item->again) {
        row(pen, "holdout", MARK_NONE, "%s (holdoutPercent: %g)",
            item->holdout ? "held out: no messages" : "not held out",
            item->program->holdout_percent);
    }
}

/* ---- filters ---- */

static void list_channels(const struct cw_explained *x, struct cw_text *out,
                          bool (*has)(const struct cw_customer *, enum cw_channel), const char *yes,
                          const char *no)
{
    bool told[CW_CHANNEL_COUNT] = {0};
    const char *between = "";
    for (uint32_t i = 0; i < x->item.program->touch_count; i++) {
        enum cw_channel channel = x->item.program->touches[i].channel;
        if (!told[channel]) {
            cw_text_printf(out, "%s%s %s", between, cw_channel_name(channel),
                           has(x->item.customer, channel) ? yes : no);
            between = ", ";
        }
        told[channel] = true;
    }
    cw_text_puts(out, *between == '\0' ? "no channel is enabled" : "");
    (void)cw_text_terminate(out);
}

static void show_marketplace(struct pen *pen, const struct cw_explained *x, enum mark mark)
{
    struct cw_view told = x->item.event->u.abandoned.marketplace;
    struct cw_view market = cw_customer_marketplace(x->item.customer, told);
    struct cw_text listed = {0};
    for (uint32_t i = 0; i < x->item.program->marketplace_count; i++) {
        cw_text_puts(&listed, i == 0 ? "listed are " : ", ");
        cw_text_view(&listed, x->item.program->marketplaces[i]);
    }
    if (listed.bytes == 0) {
        cw_text_puts(&listed, "the program lists none: all pass");
    }
    if (market.data == NULL) {
        row(pen, "marketplace", mark, "none told; %s", cw_text_terminate(&listed));
    } else {
        row(pen, "marketplace", mark, "%.*s, the %s; %s", VIEW(market),
            told.data != NULL ? "event's" : "profile's", cw_text_terminate(&listed));
    }
    cw_text_deinit(&listed);
}

static void show_trust(struct pen *pen, const struct cw_explained_filter *f, enum cw_check check,
                       enum mark mark, const struct cw_explained *x)
{
    const struct cw_customer_row *customer = x->item.customer->at;
    bool told = (customer->told >> CW_PROFILE_ACCOUNT_STATUS & 1u) != 0;
    if (check == CW_CHECK_known) {
        row(pen, "customer", mark, "%s; allowUnknown: %s",
            customer->known ? "a CustomerUpdated was seen" : "no CustomerUpdated was seen",
            f->filter->allow_unknown ? "true" : "false");
    } else if (check == CW_CHECK_account) {
        row(pen, "account", mark, "%s%s", cw_explain_account_name(customer->account_status),
            told ? "" : " (never told)");
    } else {
        row(pen, "payment", mark, "%s; requirePaymentMethod: %s",
            customer->payment_method ? "a method is on file" : "no method is on file",
            f->filter->require_payment_method ? "true" : "false");
    }
}

static void show_facts(struct pen *pen, const struct cw_explained_filter *f, enum cw_check check,
                       enum mark mark, const struct cw_explained *x)
{
    const struct cw_cart_row *cart = f->look.cart;
    int64_t none = CW_TIME_NONE;
    if (check == CW_CHECK_purchased) {
        row(pen, "orders", mark, "last of this cart: %s; last that named no cart: %s",
            AT(cart == NULL ? none : cart->purchased_at), AT(x->item.customer->at->purchased_at));
    } else if (check == CW_CHECK_active) {
        row(pen, "cart", mark, "cleared: %s; updated: %s",
            AT(cart == NULL ? none : cart->cleared_at), AT(cart == NULL ? none : cart->updated_at));
    } else {
        row(pen, "age", mark, "%s since T0; candidateTTLDays: %g",
            LENGTH(x->p->now - x->item.event->time),
            (double)x->item.program->candidate_ttl_ms / (double)CW_DAY_MS);
    }
}

static void show_eligibility(struct pen *pen, const struct cw_explained_filter *f,
                             enum cw_check check, enum mark mark, const struct cw_explained *x)
{
    struct cw_text list = {0};
    if (check == CW_CHECK_marketplace) {
        show_marketplace(pen, x, mark);
    } else if (check == CW_CHECK_address) {
        list_channels(x, &list, cw_customer_has_address, "known", "none");
        row(pen, "addresses", mark, "%s", list.data);
    } else if (check == CW_CHECK_consent) {
        list_channels(x, &list, cw_customer_opted_out, "opted out", "allowed");
        row(pen, "consent", mark, "%s", list.data);
    } else {
        show_facts(pen, f, check, mark, x);
    }
    cw_text_deinit(&list);
}

static void show_caps(struct pen *pen, const struct cw_explained_filter *f)
{
    static const char *const labels[CW_CAP_COUNT] = {"email cap", "sms cap", "push cap",
                                                     "messages cap"};
    for (uint32_t cap = 0; cap < CW_CAP_COUNT; cap++) {
        struct cw_cap_look found = cw_cap_look(&f->look, cap);
        if (found.set) {
            row(pen, labels[cap], cw_cap_reached(&found) ? MARK_BAD : MARK_GOOD,
                "%u sent in 7 days + %u pending of other candidates, cap %g", found.sent,
                found.pending, found.most);
        }
    }
}

static void show_stock(struct pen *pen, const struct cw_explained *x)
{
    const struct cw_event_cart *cart = &x->item.event->u.abandoned;
    for (uint32_t i = 0; i < cart->items_count && i < ITEMS_SHOWN; i++) {
        const struct cw_event_item *item = &cart->items[i];
        cw_row place = cw_product_find(x->p, item->id);
        const struct cw_product_row *product = cw_explain_product(x->p, place);
        char stock[64] = "never told: counts as in stock";
        if (product != NULL && product->available == CW_AVAILABLE_ALWAYS) {
            (void)snprintf(stock, sizeof stock, "in stock, not counted");
        } else if (product != NULL) {
            (void)snprintf(stock, sizeof stock, "%lld available", (long long)product->available);
        }
        row(pen, "stock", cw_product_in_stock(x->p, place, item->quantity) ? MARK_GOOD : MARK_BAD,
            "%u of %.*s: %s", item->quantity, VIEW(item->id), stock);
    }
    if (cart->items_count > ITEMS_SHOWN) {
        row(pen, "stock", MARK_NONE, "... and %u items more; --json has all",
            cart->items_count - ITEMS_SHOWN);
    }
}

static void show_rule(struct pen *pen, const struct cw_explained_filter *f, enum cw_check check,
                      enum mark mark, const struct cw_explained *x)
{
    const struct cw_event_cart *cart = &x->item.event->u.abandoned;
    double bound;
    if (check == CW_CHECK_minimum && f->filter->minimum.set) {
        struct cw_view market = cw_customer_marketplace(x->item.customer, cart->marketplace);
        if (cw_by_market_get(&f->filter->minimum, market, &bound)) {
            row(pen, "cart value", mark, "%g; at least %g%s%.*s", cart->value, bound,
                f->filter->minimum.by_market ? " in marketplace " : "",
                f->filter->minimum.by_market ? (int)market.bytes : 0, market.data);
        } else {
            row(pen, "cart value", mark, "%g; no minimum for its marketplace", cart->value);
        }
    } else if (check == CW_CHECK_caps) {
        show_caps(pen, f);
    } else if (check == CW_CHECK_stock && f->filter->require_in_stock) {
        show_stock(pen, x);
    }
}

static void show_filters(struct pen *pen, const struct cw_explained *x)
{
    const struct cw_program *program = x->item.program;
    if (program->filter_count == 0) {
        row(pen, "none", MARK_NONE, "the program has no filters");
    }
    for (uint32_t i = 0; i < program->filter_count; i++) {
        const struct cw_explained_filter *f = &x->filters[i];
        bool good = f->verdict == CW_REJECTION_NONE;
        enum mark verdict = good ? MARK_GOOD : MARK_BAD;
        cw_text_printf(&pen->line, "%.*s (%s): ", VIEW(f->filter->id),
                       cw_explain_filter_type_name(f->filter->type));
        cw_text_puts(pen->out, "    ");
        cw_text_puts(&pen->line, good ? "passes" : cw_rejection_name(f->verdict));
        cw_text_puts(pen->out, paint(pen, verdict));
        flush(pen, 4, 6);
        cw_text_puts(pen->out, unpaint(pen, verdict));
        pen->indent = "      ";
        for (uint32_t c = 0; c < CW_CHECK_COUNT; c++) {
            enum mark mark = f->passes[c] ? MARK_GOOD : MARK_BAD;
            if (cw_checks[c].type != f->filter->type) {
                continue;
            }
            switch (f->filter->type) {
            case CW_FILTER_TRUST: show_trust(pen, f, (enum cw_check)c, mark, x); break;
            case CW_FILTER_ELIGIBILITY: show_eligibility(pen, f, (enum cw_check)c, mark, x); break;
            case CW_FILTER_RULE: show_rule(pen, f, (enum cw_check)c, mark, x); break;
            }
        }
        pen->indent = "    ";
    }
}

/* ---- place, score ---- */

static void show_place(struct pen *pen, const struct cw_explained *x)
{
    uint32_t others = 0;
    for (cw_row link = x->item.customer->at->in_flight; link != CW_ROW_NONE;) {
        const struct cw_candidate_row *other = cw_candidate_at(x->p, link);
        if (other->slot == x->item.slot && link != x->item.candidate) {
            enum cw_standing standing = cw_standing_of(x->p, &x->item, link);
            row(pen, "other cart", standing == CW_STANDING_STAYS ? MARK_BAD : MARK_GOOD,
                "%.*s with T0 %s %s", VIEW(cw_candidate_texts(other).cart), AT(other->t0),
                standing == CW_STANDING_STAYS       ? "is later: this one is superseded"
                : standing == CW_STANDING_GIVES_WAY ? "is superseded"
                                                    : "runs beside it");
            others++;
        }
        link = other->next;
    }
    if (others == 0) {
        row(pen, "other carts", MARK_NONE, "none of this customer in flight in this program");
    }
    row(pen, "onNewCart", MARK_NONE, "%s", cw_explain_new_cart_name(x->item.program->on_new_cart));
}

static void show_features(struct pen *pen, const struct cw_explained *x)
{
    double sum = x->bias;
    struct cw_view category = x->item.features.category;
    cw_text_printf(pen->out, "    %-24s%16s%16s\n", "feature", "value", "contribution");
    cw_text_printf(pen->out, "    %-24s%16s%16.4f\n", "(bias)", "", x->bias);
    for (uint32_t i = 0; i < x->part_count; i++) {
        const struct cw_model_part *part = &x->parts[i];
        bool is_category = cw_view_equal(part->name, CW_VIEW("category"));
        bool fits = category.bytes <= 15; /* and is plain below */
        char value[40];
        (void)snprintf(value, sizeof value, "%.10g", part->value);
        if (is_category) {
            (void)cw_yaml_printable(fits ? category : CW_VIEW(""), value, sizeof value);
        }
        cw_text_printf(pen->out, "    %-24.*s%16s%16.4f", VIEW(part->name),
                       part->missing ? "not known" : value, part->contribution);
        if (is_category && !part->missing && !fits) {
            cw_text_puts(&pen->line, "  ");
            cw_text_view(&pen->line, category);
        } else if (part->missing && !is_category) {
            cw_text_printf(&pen->line, "  (taken as %.10g)", part->value);
        }
        flush(pen, 60, 62);
        sum += part->contribution;
    }
    cw_text_printf(pen->out, "    %-24s%16s%16.4f  intent 1 / (1 + exp(-sum)) = %.4f\n", "(sum)",
                   "", sum, x->intent);
}

static void show_cache(struct pen *pen, const struct cw_explained *x)
{
    if (x->item.score_entry == CW_ROW_NONE) {
        row(pen, "cache", MARK_NONE, "miss: no score of this cart is cached");
        return;
    }
    const struct cw_score_row *entry = cw_table_value(x->p->scores, x->item.score_entry);
    if (x->item.cached) {
        row(pen, "cache", MARK_NONE, "hit: %.4f of %s counts for 7 days", entry->score,
            AT(entry->cached_at));
    } else {
        row(pen, "cache", MARK_NONE, "miss: %.4f of %s is of other content, another model or old",
            entry->score, AT(entry->cached_at));
    }
}

static void show_confidence(struct pen *pen, const struct cw_explained *x)
{
    static const char *const names[] = {
#define CW_X(name) #name,
        CW_FEATURES(CW_X)
#undef CW_X
    };
    struct cw_text missing = {0};
    uint32_t known = 0;
    uint32_t asked = 0;
    for (uint32_t i = CW_CONFIDENCE_FIRST; i <= CW_CONFIDENCE_LAST; i++) {
        asked++;
        if (isnan(x->item.features.numeric[i])) {
            cw_text_puts(&missing, missing.bytes == 0 ? "; not known: " : ", ");
            cw_text_puts(&missing, names[i]);
        } else {
            known++;
        }
    }
    row(pen, "confidence", MARK_NONE, "%s: %u of the customer's %u features are known%s",
        cw_confidence_name(x->item.confidence), known, asked,
        missing.bytes == 0 ? "" : cw_text_terminate(&missing));
    cw_text_deinit(&missing);
}

static void show_discount(struct pen *pen, const struct cw_explained *x)
{
    const struct cw_program *program = x->item.program;
    const struct cw_discount *d = &x->discount;
    if (!program->discount.enabled) {
        row(pen, "discount", MARK_NONE, "0 %%: the program offers none");
    } else if (!program->discount.dynamic) {
        row(pen, "discount", MARK_NONE, "%g %%: the default (dynamicDiscounting: false)",
            d->percent);
    } else {
        bool told = !isnan(x->item.features.numeric[CW_FEATURE_discount_sensitivity]);
        row(pen, "sensitivity", MARK_NONE, "%g%s", d->sensitivity, told ? "" : " (not known)");
        row(pen, "discount", MARK_NONE,
            "%g %%: %g + (%g - %g) x clamp((%g x (1 - %.4f) - 0.2) / 0.6) = %.4g, in steps of %g",
            d->percent, program->discount.base, program->discount.max, program->discount.base,
            d->sensitivity, x->item.score, d->value, program->discount.step);
    }
    if (x->plan.discount != d->percent) {
        row(pen, "announced", MARK_NONE, "%g %% stands: a message announced it", x->plan.discount);
    }
}

static void show_score(struct pen *pen, const struct cw_explained *x)
{
    const struct cw_model *model = x->item.program->model;
    row(pen, "model", MARK_NONE, "%.*s, version %.*s", VIEW(cw_model_name(model)),
        VIEW(cw_model_version(model)));
    show_features(pen, x);
    show_cache(pen, x);
    row(pen, "score", MARK_NONE, "%.4f", x->item.score);
    show_confidence(pen, x);
    show_discount(pen, x);
}

/* ---- store, schedule ---- */

static void show_store(struct pen *pen, const struct cw_explained *x)
{
    const struct cw_program *program = x->item.program;
    row(pen, "candidate", MARK_NONE, "T0 %s, expires %s", AT(x->plan.t0),
        AT(x->plan.t0 + program->candidate_ttl_ms));
    if (program->dedup.enabled) {
        bool kept = x->item.again && x->item.dedup != CW_ROW_NONE;
        const struct cw_dedup_row *entry = kept ? cw_table_value(x->p->dedup, x->item.dedup) : NULL;
        row(pen, "dedup entry", MARK_NONE, "%s until %s",
            kept ? "renewed, its window stays" : "new,",
            AT(kept ? entry->until : x->p->now + program->dedup.ttl_ms));
    }
}

static void show_schedule(struct pen *pen, const struct cw_explained *x)
{
    uint32_t pending = 0;
    for (uint32_t i = 0; i < x->plan.touch_count; i++) {
        char label[24];
        (void)snprintf(label, sizeof label, "touch %u", i + 1);
        enum cw_channel channel = x->item.program->touches[i].channel;
        if (x->plan.pending[i]) {
            row(pen, label, MARK_NONE, "%-6s due %s, T0 + %s", cw_channel_name(channel),
                AT(x->plan.due[i]), LENGTH(x->plan.due[i] - x->plan.t0));
            pending++;
        } else {
            row(pen, label, MARK_NONE, "%-6s done already", cw_channel_name(channel));
        }
    }
    if (pending == 0) {
        row(pen, "touches", MARK_NONE, "%s",
            x->plan.holdout ? "none: held out" : "none are left to come");
    }
}

static void (*const shows[CW_STAGE_COUNT])(struct pen *pen, const struct cw_explained *x) = {
    [CW_STAGE_DEDUPLICATE] = show_deduplicate,
    [CW_STAGE_CANDIDATE] = show_candidate,
    [CW_STAGE_FILTER] = show_filters,
    [CW_STAGE_PLACE] = show_place,
    [CW_STAGE_SCORE] = show_score,
    [CW_STAGE_STORE] = show_store,
    [CW_STAGE_SCHEDULE] = show_schedule,
};

static void put_fields(const struct cw_stage *stage, struct cw_text *out)
{
    cw_text_puts(out, "reads ");
    cw_explain_fields(stage->reads, out);
    cw_text_puts(out, stage->writes == 0 ? "" : "; writes ");
    cw_explain_fields(stage->writes, out);
}

void cw_explain_text_item(const struct cw_explained *x, bool colour, struct cw_text *out)
{
    struct pen pen = {.out = out, .colour = colour, .indent = "    "};
    for (uint32_t s = 0; s < CW_STAGE_COUNT; s++) {
        bool good = x->fates[s] == CW_STAGE_GOES_ON || x->fates[s] == CW_ITEM_FATE_CANDIDATE ||
                    x->fates[s] == CW_ITEM_FATE_UPDATED;
        char verdict[80];
        const char *name =
            x->fates[s] == CW_STAGE_GOES_ON ? "goes on" : cw_explain_fate_name(x->fates[s]);
        (void)snprintf(verdict, sizeof verdict, s > x->end ? "not reached (%s)" : "%s", name);
        heading(&pen, cw_graph[s].name,
                s > x->end ? MARK_NONE
                : good     ? MARK_GOOD
                           : MARK_BAD,
                verdict);
        uint32_t used = (uint32_t)(16 + strlen(verdict));
        cw_text_printf(out, "%*s", (int)(STAGE_COLUMN - used), "");
        put_fields(&cw_graph[s], &pen.line);
        flush(&pen, STAGE_COLUMN, STAGE_COLUMN);
        shows[s](&pen, x);
    }
    cw_text_deinit(&pen.line);
}

void cw_explain_text_graph(struct cw_text *out)
{
    cw_text_printf(out, "%-13s%-18s%-18s%s\n", "stage", "reads", "writes", "may end the path as");
    cw_text_printf(out, "%-13s%-18s%-18s%s\n", "match", "-", "event", "unmatched");
    for (uint32_t s = 0; s < CW_STAGE_COUNT; s++) {
        const struct cw_stage *stage = &cw_graph[s];
        struct cw_text reads = {0};
        struct cw_text writes = {0};
        cw_explain_fields(stage->reads, &reads);
        cw_explain_fields(stage->writes, &writes);
        cw_text_printf(out, "%-13s%-18s%-18s", stage->name, cw_text_terminate(&reads),
                       writes.bytes == 0 ? "-" : cw_text_terminate(&writes));
        const char *between = "";
        for (uint32_t fate = 0; fate < CW_ITEM_FATE_COUNT; fate++) {
            if ((stage->fates >> fate & 1u) != 0) {
                cw_text_printf(out, "%s%s", between, cw_explain_fate_name((enum cw_item_fate)fate));
                between = ", ";
            }
        }
        cw_text_puts(out, *between == '\0' ? "-\n" : "\n");
        cw_text_deinit(&reads);
        cw_text_deinit(&writes);
    }
    cw_text_puts(out, "\n");
#define CW_X(bit, name, text, help) cw_text_printf(out, "%-13s%s\n", text, help);
    CW_FIELDS(CW_X)
#undef CW_X
}
