#include "tools/summary.h"

#include "core/time.h"

#include <string.h>

static uint64_t total(const uint64_t *list, uint32_t count)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < count; i++) {
        sum += list[i];
    }
    return sum;
}

static const char *const event_fates[] = {
#define CW_X(name, text, help) text,
    CW_EVENT_FATES(CW_X)
#undef CW_X
};

static const char *const item_fates[] = {
#define CW_X(name, text, help) text,
    CW_ITEM_FATES(CW_X)
#undef CW_X
};

static void json_count(struct cw_text *out, const char *name, uint64_t value)
{
    char last = out->data[out->bytes - 1];
    cw_text_puts(out, last == '{' ? "\"" : ",\"");
    cw_text_puts(out, name);
    cw_text_puts(out, "\":");
    cw_text_u64(out, value);
}

static void json_open(struct cw_text *out, const char *name)
{
    char last = out->data[out->bytes - 1];
    cw_text_puts(out, last == '{' ? "\"" : ",\"");
    cw_text_puts(out, name);
    cw_text_puts(out, "\":{");
}

static void json_candidates(const struct cw_summary *summary, struct cw_text *out)
{
    const struct cw_fates *f = &summary->fates;
    json_open(out, "candidates");
    json_count(out, "created", f->created);
    json_count(out, "converted", f->converted);
    json_count(out, "cancelled", total(f->cancelled, CW_CANCEL_COUNT));
    json_count(out, "superseded", f->superseded);
    json_count(out, "rejected", f->rejected);
    json_count(out, "expired", f->expired);
    json_count(out, "in-flight", summary->in_flight);
    json_count(out, "holdout", f->holdouts);
    cw_text_char(out, '}');
}

static void json_touches(const struct cw_summary *summary, struct cw_text *out)
{
    const struct cw_fates *f = &summary->fates;
    json_open(out, "touches");
    json_count(out, "planned", f->planned);
    json_count(out, "sent", total(f->sent, CW_CHANNEL_COUNT));
    json_count(out, "skipped", total(f->skipped, CW_TOUCH_REASON_COUNT));
    if (f->failed + f->unknown + f->sending > 0) { /* never in a replay */
        json_count(out, "failed", f->failed);
        json_count(out, "unknown", f->unknown);
        json_count(out, "sending", f->sending);
    }
    json_count(out, "cut-off", f->cut_off);
    json_count(out, "pending", summary->pending);
    json_count(out, "deferrals", total(f->deferred, CW_TOUCH_REASON_COUNT));
    cw_text_char(out, '}');
}

static void json_by_touch(const struct cw_fates *f, struct cw_text *out)
{
    cw_text_puts(out, ",\"byTouch\":[");
    for (uint32_t i = 1; i <= CW_TOUCHES_MAX; i++) {
        if (f->sent_by_touch[i] + f->attributed[i] > 0) {
            cw_text_puts(out, out->data[out->bytes - 1] == '[' ? "{" : ",{");
            json_count(out, "touch", i);
            json_count(out, "sent", f->sent_by_touch[i]);
            json_count(out, "delivered", f->delivered[i]);
            json_count(out, "opened", f->opened[i]);
            json_count(out, "clicked", f->clicked[i]);
            json_count(out, "converted", f->attributed[i]);
            cw_text_char(out, '}');
        }
    }
    cw_text_char(out, ']');
}

static void write_json(const struct cw_summary *summary, struct cw_text *out)
{
    const struct cw_fates *f = &summary->fates;
    cw_text_char(out, '{');
    json_open(out, "events");
    json_count(out, "received", f->received);
    for (uint32_t i = 0; i < CW_EVENT_FATE_COUNT; i++) {
        json_count(out, event_fates[i], f->events[i]);
    }
    cw_text_char(out, '}');
    json_open(out, "abandonments");
    json_count(out, "matched", f->items);
    for (uint32_t i = 0; i < CW_ITEM_FATE_COUNT; i++) {
        json_count(out, item_fates[i], f->by_item[i]);
    }
    cw_text_char(out, '}');
    json_open(out, "rejections");
    for (uint32_t i = 1; i < CW_REJECTION_COUNT; i++) {
        json_count(out, cw_rejection_name((enum cw_rejection)i), f->rejections[i]);
    }
    cw_text_char(out, '}');
    json_candidates(summary, out);
    json_touches(summary, out);
    json_by_touch(f, out);
    json_count(out, "convertedOrganic", f->attributed[0]);
    json_count(out, "convertedHoldout", f->attributed_holdout);
    json_count(out, "scoreCacheHits", f->score_hits);
    json_count(out, "scoreCacheMisses", f->score_misses);
    cw_text_puts(out, "}\n");
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

enum {
    INDENT = 15,
    WIDTH = 100
};

/* A list of counts that are not 0, broken before WIDTH columns; `column` is where it begins. */
static void write_list(FILE *to, uint32_t column, const char *const *names, const uint64_t *counts,
                       uint32_t count)
{
    bool first = true;
    for (uint32_t i = 0; i < count; i++) {
        if (counts[i] == 0) {
            continue;
        }
        char word[80];
        uint32_t bytes = (uint32_t)snprintf(word, sizeof word, "%s %llu", names[i],
                                            (unsigned long long)counts[i]);
        if (!first && column + bytes + 3 > WIDTH) {
            (void)fprintf(to, ",\n%*s", INDENT, "");
            column = INDENT;
        } else if (!first) {
            (void)fputs(", ", to);
            column += 2;
        }
        (void)fputs(word, to);
        column += bytes;
        first = false;
    }
    (void)fputs(first ? "none\n" : "\n", to);
}

/* The document's table, each rate with what it is a share of in its heading. */
static void write_touches(const struct cw_fates *f, FILE *to)
{
    bool heading = false;
    for (uint32_t i = 1; i <= CW_TOUCHES_MAX; i++) {
        if (f->sent_by_touch[i] + f->attributed[i] == 0) {
            continue;
        }
        if (!heading) {
            (void)fprintf(to,
                          "\n               sent   of candidates   delivered    opened   clicked   "
                          "converted\n"
                          "                                         of sent   of sent   of sent   "
                          "of candidates\n");
            heading = true;
        }
        (void)fprintf(
            to, "  touch %-2u %10llu  %12.1f %%  %8.1f %%  %6.1f %%  %6.1f %%  %8.1f %%\n", i,
            (unsigned long long)f->sent_by_touch[i], percent(f->sent_by_touch[i], f->created),
            percent(f->delivered[i], f->sent_by_touch[i]),
            percent(f->opened[i], f->sent_by_touch[i]), percent(f->clicked[i], f->sent_by_touch[i]),
            percent(f->attributed[i], f->created));
    }
    if (heading) {
        (void)fputc('\n', to);
    }
}

/* When nearly everything is turned away for one reason, the reader wants to know what to do. */
static void write_remedy(const struct cw_fates *f, FILE *to)
{
    static const char *const remedies[CW_REJECTION_COUNT] = {
        [CW_REJECTION_UNKNOWN_CUSTOMER] = "no CustomerUpdated was seen for these customers; send "
                                          "profiles first, or set allowUnknown: true in the trust "
                                          "filter",
        [CW_REJECTION_NO_PAYMENT_METHOD] = "profiles say no paymentMethodOnFile; tell it, or set "
                                           "requirePaymentMethod: false in the trust filter",
        [CW_REJECTION_NO_ADDRESS] = "profiles have no email, phone or pushToken for the program's "
                                    "channels",
        [CW_REJECTION_CART_EXPIRED] =
            "the carts were older than candidateTTLDays when their events "
            "came; in live use, send with --now",
        [CW_REJECTION_OUT_OF_STOCK] = "InventoryChanged events say their items are not available",
        [CW_REJECTION_MARKETPLACE] = "their marketplace is not listed in the program",
    };
    uint64_t rejected = f->by_item[CW_ITEM_FATE_REJECTED];
    for (uint32_t i = 1; i < CW_REJECTION_COUNT; i++) {
        if (rejected >= 5 && f->rejections[i] * 10 >= rejected * 9 && remedies[i] != NULL &&
            rejected * 10 >= f->items * 9) {
            (void)fprintf(to, "  note         nearly every abandonment was rejected as %s: %s\n",
                          cw_rejection_name((enum cw_rejection)i), remedies[i]);
        }
    }
    if (f->received >= 5 && f->events[CW_EVENT_FATE_INVALID] * 10 >= f->received * 9) {
        (void)fprintf(to,
                      "  note         nearly every line was invalid: the `invalid` lines of the "
                      "output say why\n");
    }
    uint64_t abandonments = f->items + f->events[CW_EVENT_FATE_UNMATCHED];
    if (abandonments >= 5 && f->items == 0) {
        (void)fprintf(to, "  note         no abandonment matched a program: `cartwheel explain "
                          "PROGRAM.yaml EVENTS.ndjson` shows why\n");
    }
}

static void write_words(const struct cw_summary *summary, FILE *to)
{
    const struct cw_fates *f = &summary->fates;
    const char *rejections[CW_REJECTION_COUNT];
    const char *reasons[CW_TOUCH_REASON_COUNT];
    const char *cancels[CW_CANCEL_COUNT];
    for (uint32_t i = 0; i < CW_REJECTION_COUNT; i++) {
        rejections[i] = cw_rejection_name((enum cw_rejection)i);
    }
    for (uint32_t i = 0; i < CW_TOUCH_REASON_COUNT; i++) {
        reasons[i] = cw_touch_reason_name((enum cw_touch_reason)i);
    }
    for (uint32_t i = 0; i < CW_CANCEL_COUNT; i++) {
        cancels[i] = cw_cancel_name((enum cw_cancel)i);
    }
    uint64_t sent = total(f->sent, CW_CHANNEL_COUNT);
    uint64_t fresh = f->by_item[CW_ITEM_FATE_CANDIDATE] + f->by_item[CW_ITEM_FATE_UPDATED];
    uint64_t judged =
        fresh + f->by_item[CW_ITEM_FATE_REJECTED] + f->by_item[CW_ITEM_FATE_SUPERSEDED];
    const uint64_t ends[] = {f->converted,  total(f->cancelled, CW_CANCEL_COUNT),
                             f->superseded, f->rejected,
                             f->expired,    summary->in_flight};
    static const char *const end_names[] = {"converted", "cancelled", "superseded",
                                            "rejected",  "expired",   "in flight"};
    const uint64_t touches[] = {sent,
                                total(f->skipped, CW_TOUCH_REASON_COUNT),
                                f->failed,
                                f->unknown,
                                f->cut_off,
                                f->sending,
                                summary->pending};
    static const char *const touch_names[] = {
        "sent",      "skipped", "failed", "unknown", "cut off by the journey's end",
        "under way", "pending"};
    int at = fprintf(to, "\n  events       %llu: ", (unsigned long long)f->received) - 1;
    write_list(to, (uint32_t)at, event_fates, f->events, CW_EVENT_FATE_COUNT);
    at = fprintf(to, "  abandonments %llu in programs: ", (unsigned long long)f->items);
    write_list(to, (uint32_t)at, item_fates, f->by_item, CW_ITEM_FATE_COUNT);
    (void)fprintf(to, "  filters      passed %.1f %% (%llu of %llu)\n", percent(fresh, judged),
                  (unsigned long long)fresh, (unsigned long long)judged);
    at = fprintf(to, "  rejected     ");
    write_list(to, (uint32_t)at, rejections, f->rejections, CW_REJECTION_COUNT);
    at = fprintf(to, "  candidates   %llu: ", (unsigned long long)f->created);
    write_list(to, (uint32_t)at, end_names, ends, CW_COUNTOF(ends));
    if (total(f->cancelled, CW_CANCEL_COUNT) > 0) {
        at = fprintf(to, "  cancelled    ");
        write_list(to, (uint32_t)at, cancels, f->cancelled, CW_CANCEL_COUNT);
    }
    at = fprintf(to, "  touches      %llu planned: ", (unsigned long long)f->planned);
    write_list(to, (uint32_t)at, touch_names, touches, CW_COUNTOF(touches));
    if (touches[1] > 0) {
        at = fprintf(to, "  skipped      ");
        write_list(to, (uint32_t)at, reasons, f->skipped, CW_TOUCH_REASON_COUNT);
    }
    write_touches(f, to);
    write_remedy(f, to);
    (void)fprintf(to, "  all sums reconcile; %llu decisions",
                  (unsigned long long)summary->decisions);
    if (summary->seconds > 0) {
        (void)fprintf(to, ", %.2f s, %.0f events/s", summary->seconds,
                      (double)f->received / summary->seconds);
    }
    (void)fprintf(to, " on %u core%s\n", summary->cores, summary->cores == 1 ? "" : "s");
}

void cw_summary_print(const struct cw_summary *summary, bool json, FILE *to)
{
    if (json) {
        struct cw_text text = {0};
        write_json(summary, &text);
        (void)fwrite(text.data, 1, text.bytes, to);
        cw_text_deinit(&text);
    } else {
        write_words(summary, to);
    }
}

/* Values are printed as they are, but never a control character of theirs. */
static void plain(struct cw_text *out, struct cw_view view)
{
    for (uint32_t i = 0; i < view.bytes; i++) {
        unsigned char c = (unsigned char)view.data[i];
        cw_text_char(out, c < 0x20 || c == 0x7f ? '?' : (char)c);
    }
}

static void short_time(struct cw_text *out, int64_t ms)
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    struct cw_civil civil = cw_civil_from_ms(ms);
    cw_text_printf(out, "%s %04d-%02u-%02u %02u:%02u:%02u", days[civil.weekday], civil.year,
                   civil.month, civil.day, civil.hour, civil.minute, civil.second);
}

static void timeline_candidate(const struct cw_decision *d, struct cw_text *out)
{
    cw_text_printf(out, "%s, intent %.2f (confidence %s), offer %g %%",
                   d->u.candidate.updated ? "abandoned again" : "abandoned", d->u.candidate.score,
                   cw_confidence_name(d->u.candidate.confidence), d->u.candidate.discount);
    if (d->u.candidate.holdout) {
        cw_text_puts(out, ", held out: no messages");
    }
    for (uint32_t i = 0; i < d->u.candidate.touch_count; i++) {
        double hours = (double)(d->u.candidate.touches[i].due - d->at) / 3600000.0;
        cw_text_printf(out, "%s %s ", i == 0 ? ";" : ",",
                       cw_channel_name(d->u.candidate.touches[i].channel));
        if (hours > 0) {
            cw_text_printf(out, "in %.3g h", hours);
        } else {
            cw_text_puts(out, "now");
        }
    }
}

static void timeline_touch(const struct cw_decision *d, struct cw_text *out)
{
    cw_text_printf(out, "touch %u %s %s", d->u.touch.touch, cw_channel_name(d->u.touch.channel),
                   cw_outcome_name(d->u.touch.outcome));
    if (d->u.touch.outcome != CW_OUTCOME_SENT) {
        cw_text_printf(out, ": %s", cw_touch_reason_name(d->u.touch.reason));
    }
    if (d->u.touch.outcome == CW_OUTCOME_DEFERRED) {
        cw_text_puts(out, ", until ");
        short_time(out, d->u.touch.until);
    }
    if (d->u.touch.code.data != NULL) {
        cw_text_puts(out, ", ");
        plain(out, d->u.touch.code);
        cw_text_printf(out, " for %g %% off", d->u.touch.discount);
    }
}

static void timeline_converted(const struct cw_decision *d, struct cw_text *out)
{
    cw_text_printf(out, "bought for %.2f", d->u.converted.revenue);
    if (d->u.converted.currency.data != NULL) {
        cw_text_char(out, ' ');
        plain(out, d->u.converted.currency);
    }
    if (d->u.converted.attributed_to == CW_ATTRIBUTED_HOLDOUT) {
        cw_text_puts(out, ", held out");
    } else if (d->u.converted.attributed_to == CW_ATTRIBUTED_ORGANIC) {
        cw_text_puts(out, ", organic");
    } else {
        cw_text_printf(out, ", recovered by touch %u", d->u.converted.attributed_to);
    }
}

/* Without ids of a customer and a cart it says what it is about. */
static void timeline_unfollowed(const struct cw_decision *d, struct cw_text *out)
{
    struct cw_view what = d->u.unfollowed.what;
    cw_text_printf(out, "%s: %s", what.data != NULL ? "ignored" : "not followed",
                   d->u.unfollowed.reason);
    if (what.data != NULL) {
        cw_text_char(out, ' ');
        plain(out, what);
    }
    if (d->u.unfollowed.type.data != NULL) {
        cw_text_char(out, '/');
        plain(out, d->u.unfollowed.type);
    }
    cw_text_printf(out, ", %s", d->u.unfollowed.help);
}

void cw_timeline_what(const struct cw_decision *d, struct cw_text *out)
{
    switch (d->kind) {
    case CW_DECISION_CANDIDATE: timeline_candidate(d, out); break;
    case CW_DECISION_REJECTED:
        cw_text_puts(out, "not followed: ");
        cw_text_puts(out, cw_rejection_name(d->u.rejected.reason));
        break;
    case CW_DECISION_TOUCH: timeline_touch(d, out); break;
    case CW_DECISION_CONVERTED: timeline_converted(d, out); break;
    case CW_DECISION_CANCELLED:
        cw_text_printf(out, "cancelled: %s", cw_cancel_name(d->u.cancelled));
        break;
    case CW_DECISION_INVALID:
        plain(out, d->u.invalid.file);
        cw_text_printf(out, ":%llu is invalid: ", (unsigned long long)d->u.invalid.line);
        plain(out, d->u.invalid.reason);
        break;
    case CW_DECISION_UNFOLLOWED: timeline_unfollowed(d, out); break;
    case CW_DECISION_DUPLICATE:
    case CW_DECISION_SUPERSEDED:
    case CW_DECISION_EXPIRED: cw_text_puts(out, cw_decision_name(d->kind)); break;
    case CW_DECISION_COUNT: break;
    }
}

void cw_timeline_write(const struct cw_decision *d, struct cw_text *out)
{
    short_time(out, d->at);
    cw_text_puts(out, "  ");
    size_t start = out->bytes;
    plain(out, d->customer);
    while (out->bytes - start < 10) {
        cw_text_char(out, ' ');
    }
    cw_text_char(out, ' ');
    start = out->bytes;
    plain(out, d->cart);
    while (out->bytes - start < 14) {
        cw_text_char(out, ' ');
    }
    cw_text_char(out, ' ');
    cw_timeline_what(d, out);
    cw_text_char(out, '\n');
}
