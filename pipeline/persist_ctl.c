/* persist_ctl: the whole logical state as text, equal for equal states. */
#include "pipeline/persist_priv.h"

#include <stdlib.h>
#include <string.h>

/* Lines are written to one text, and sorted at the end. */
struct dump {
    const struct cw_pipeline *p;
    struct cw_text text;
    size_t lines;
};

static void hex(struct dump *d, const void *data, uint32_t bytes)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *from = data;
    char *to = cw_text_room(&d->text, 2 * (size_t)bytes + 1);
    for (size_t i = 0; i < bytes; i++) {
        to[2 * i] = digits[from[i] >> 4];
        to[2 * i + 1] = digits[from[i] & 15];
    }
    d->text.bytes += 2 * (size_t)bytes;
}

/* Each field after a space. */
static void bytes_of(struct dump *d, struct cw_view view)
{
    cw_text_char(&d->text, ' ');
    cw_text_char(&d->text, view.data == NULL ? '-' : 'x');
    if (view.bytes > 0) {
        hex(d, view.data, view.bytes);
    }
}

static void whole(struct dump *d, int64_t value)
{
    cw_text_char(&d->text, ' ');
    cw_text_i64(&d->text, value);
}

static void times(struct dump *d, const int64_t *list, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (list[i] == CW_TIME_NONE) {
            cw_text_puts(&d->text, " -");
        } else {
            whole(d, list[i]);
        }
    }
}

static void time_of(struct dump *d, int64_t time)
{
    times(d, &time, 1);
}

/* All 16 digits, the highest first. */
static void bits_of(struct dump *d, uint64_t bits)
{
    uint64_t big = __builtin_bswap64(bits);
    cw_text_char(&d->text, ' ');
    hex(d, &big, sizeof big);
}

/* Exactly: its bits. */
static void number(struct dump *d, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits_of(d, bits);
}

static void begin(struct dump *d, const char *table, struct cw_view key)
{
    cw_text_puts(&d->text, table);
    cw_text_char(&d->text, ' ');
    hex(d, key.data, key.bytes);
}

static void end(struct dump *d)
{
    cw_text_char(&d->text, '\n');
    d->lines++;
}

static void dump_customers(struct dump *d, cw_row row)
{
    const struct cw_customer_row *at = cw_table_value(d->p->customers, row);
    const uint64_t counts[] = {
        at->orders,         at->abandonments,         at->emails_sent,
        at->emails_engaged, at->orders_since_history, at->orders_since_average,
        at->ratings};
    whole(d, at->known);
    whole(d, at->account_status);
    whole(d, at->payment_method);
    whole(d, at->opted_out);
    whole(d, at->told);
    whole(d, at->candidate_serial);
    whole(d, at->listings);
    time_of(d, at->last_sent);
    time_of(d, at->purchased_at);
    times(d, at->field_time, CW_PROFILE_FIELD_COUNT);
    for (uint32_t i = 0; i < CW_PROFILE_NUMBERS; i++) {
        number(d, at->numbers[i]);
    }
    for (uint32_t i = 0; i < CW_COUNTOF(counts); i++) {
        whole(d, (int64_t)counts[i]);
    }
    number(d, at->order_sum_since_average);
    number(d, at->rating_sum);
    whole(d, at->sends_count);
    times(d, (const int64_t *)(at + 1), at->sends_count);
    for (uint32_t i = 0; i < CW_PROFILE_STRINGS; i++) {
        bytes_of(d, cw_customer_string(at, (enum cw_profile_field)i));
    }
}

static void dump_carts(struct dump *d, cw_row row)
{
    const struct cw_cart_row *at = cw_table_value(d->p->carts, row);
    const int64_t list[] = {at->purchased_at, at->cleared_at,   at->updated_at,
                            at->abandoned_at, at->session_time, at->raw_time};
    times(d, list, CW_COUNTOF(list));
    for (uint32_t i = 0; i < d->p->programs->count; i++) {
        if ((at->sessions >> d->p->slot_of[i] & 1u) != 0) {
            bytes_of(d, d->p->programs->list[i].id);
        }
    }
    bytes_of(d, (struct cw_view){(const char *)(at + 1), at->raw_bytes});
}

static void dump_touch(struct dump *d, const struct cw_candidate_row *at, uint32_t i)
{
    const struct cw_touch_row *touch = &cw_candidate_touches(at)[i];
    const int64_t list[] = {touch->due, touch->sent_at, touch->delivered_at, touch->opened_at,
                            touch->clicked_at};
    const struct cw_touch *of_program =
        at->status < CW_STATUS_CONVERTED ? cw_candidate_touch(d->p, at, i) : NULL;
    times(d, list, CW_COUNTOF(list));
    number(d, touch->discount);
    whole(d, touch->state);
    whole(d, touch->channel);
    whole(d, touch->reason);
    whole(d, touch->flags & (CW_TOUCH_SLOT_OWN - 1));
    whole(d, touch->attempts);
    whole(d, touch->waits);
    whole(d, touch->untried);
    bytes_of(d, of_program == NULL ? (struct cw_view){0} : of_program->channel_id);
}

static void dump_candidates(struct dump *d, cw_row row)
{
    const struct cw_candidate_row *at = cw_candidate_at(d->p, row);
    struct cw_candidate_texts texts = cw_candidate_texts(at);
    const int64_t list[] = {at->t0,         at->expires_at, at->first_t0,
                            at->created_at, at->ended_at,   at->code_expires_at};
    const double numbers[] = {at->cart_value, at->score, at->discount, at->announced};
    const struct cw_view views[] = {texts.cart, texts.program, texts.currency, texts.marketplace,
                                    texts.url};
    whole(d, at->listed);
    whole(d, at->status);
    whole(d, at->holdout);
    whole(d, at->confidence);
    times(d, list, CW_COUNTOF(list));
    for (uint32_t i = 0; i < CW_COUNTOF(numbers); i++) {
        number(d, numbers[i]);
    }
    for (uint32_t i = 0; i < CW_COUNTOF(views); i++) {
        bytes_of(d, views[i]);
    }
    for (uint32_t i = 0; i < at->touch_count; i++) {
        dump_touch(d, at, i);
    }
    const struct cw_item_row *items = cw_candidate_items(at);
    for (uint32_t i = 0; i < at->item_count; i++) {
        number(d, items[i].price);
        whole(d, items[i].quantity);
        whole(d, items[i].id_bytes);
        whole(d, items[i].name_bytes);
        whole(d, items[i].image_bytes);
    }
    uint32_t before = (uint32_t)(texts.items - (const char *)at);
    bytes_of(d,
             (struct cw_view){texts.items, cw_table_value_bytes(d->p->candidates, row) - before});
}

static void dump_dedup(struct dump *d, cw_row row)
{
    const struct cw_dedup_row *at = cw_table_value(d->p->dedup, row);
    time_of(d, at->until);
    time_of(d, at->t0);
    bytes_of(d, (struct cw_view){(const char *)(at + 1), at->content_bytes});
}

static void dump_scores(struct dump *d, cw_row row)
{
    const struct cw_score_row *at = cw_table_value(d->p->scores, row);
    time_of(d, at->cached_at);
    bits_of(d, at->model);
    number(d, at->score);
    bytes_of(d, (struct cw_view){(const char *)(at + 1), at->content_bytes});
}

static void dump_products(struct dump *d, cw_row row)
{
    const struct cw_product_row *at = cw_table_value(d->p->products, row);
    time_of(d, at->time);
    whole(d, at->available);
}

static void dump_messages(struct dump *d, cw_row row)
{
    const struct cw_message_row *at = cw_table_value(d->p->messages, row);
    whole(d, at->serial);
    whole(d, at->touch);
    whole(d, at->feedback);
    bytes_of(d, cw_message_owner(at));
}

static void dump_links(struct dump *d, cw_row row)
{
    const struct cw_link_row *at = cw_table_value(d->p->links, row);
    bytes_of(d, (struct cw_view){at->message_id, sizeof at->message_id});
}

static void dump_seen(struct dump *d, cw_row row)
{
    const struct cw_seen_row *at = cw_table_value(d->p->seen, row);
    time_of(d, at->first_at);
}

/* Of meta only what is no counter, no clock and no slot. */
static void dump_programs(struct dump *d)
{
    for (uint32_t i = 0; i < d->p->programs->count; i++) {
        begin(d, "program", d->p->programs->list[i].id);
        whole(d, d->p->paused[d->p->slot_of[i]]);
        end(d);
    }
    begin(d, "keeps", CW_VIEW(""));
    whole(d, d->p->keep_cart_ms);
    whole(d, d->p->keep_history_ms);
    whole(d, d->p->sends_held != 0);
    end(d);
}

static int by_line(const void *a, const void *b)
{
    const struct cw_view *x = a;
    const struct cw_view *y = b;
    return cw_view_compare(*x, *y);
}

static void put_sorted(const struct dump *d, struct cw_text *out)
{
    size_t count = d->lines;
    struct cw_view *lines = malloc((count + 1) * sizeof *lines);
    CW_ASSERT(lines != NULL);
    const char *from = d->text.data;
    for (size_t i = 0; i < count; i++) {
        const char *stop = memchr(from, '\n', d->text.bytes - (size_t)(from - d->text.data));
        lines[i] = (struct cw_view){from, (uint32_t)(stop + 1 - from)};
        from = stop + 1;
    }
    qsort(lines, count, sizeof *lines, by_line);
    for (size_t i = 0; i < count; i++) {
        cw_text_view(out, lines[i]);
    }
    free(lines);
}

void cw_pipeline_dump(const struct cw_pipeline *p, struct cw_text *out)
{
    const struct {
        const char *name;
        const struct cw_table *table;
        void (*dump)(struct dump *d, cw_row row);
    } tables[] = {{"customer", p->customers, dump_customers},
                  {"cart", p->carts, dump_carts},
                  {"candidate", p->candidates, dump_candidates},
                  {"dedup", p->dedup, dump_dedup},
                  {"score", p->scores, dump_scores},
                  {"product", p->products, dump_products},
                  {"message", p->messages, dump_messages},
                  {"link", p->links, dump_links},
                  {"seen", p->seen, dump_seen}};

    struct dump d = {.p = p};
    for (uint32_t t = 0; t < CW_COUNTOF(tables); t++) {
        uint64_t cursor = 0;
        cw_row row;
        while ((row = cw_table_next(tables[t].table, &cursor)) != CW_ROW_NONE) {
            begin(&d, tables[t].name, cw_table_key(tables[t].table, row));
            tables[t].dump(&d, row);
            end(&d);
        }
    }
    dump_programs(&d);
    put_sorted(&d, out);
    cw_text_deinit(&d.text);
}
