/*
 * message: renders the parts of one message.
 *
 * All values of a message are written once into one buffer (templates->values) and found by offset,
 * since the buffer may move while it grows. The words in them depend on the language of the text,
 * so they are written again when a part is in another language than the one before.
 */
#include "pipeline/message.h"

#include "pipeline/message_priv.h"
#include "pipeline/money.h"

#include <math.h>

enum {
    ITEM_VARIABLES = 5
};

static_assert(CW_VARIABLE_ITEM_IMAGE_URL - CW_VARIABLE_ITEM_NAME + 1 == ITEM_VARIABLES,
              "an item's variables follow each other");

struct slot {
    uint32_t at, bytes;
    bool given;
    bool flag; /* true without a text */
};

struct values {
    struct cw_text *store;
    const struct cw_message_input *input;
    const struct cw_zones *zones;
    const struct cw_locale *words;
    struct cw_view tag; /* of the customer */
    bool discount;
    struct slot top[CW_VARIABLE_COUNT];
    struct slot items[CW_MESSAGE_ITEMS_MAX][ITEM_VARIABLES];
    uint32_t item_count;
};

void cw_message_deinit(struct cw_message *message)
{
    cw_text_deinit(&message->subject);
    cw_text_deinit(&message->html);
    cw_text_deinit(&message->plain);
    cw_text_deinit(&message->text);
    cw_text_deinit(&message->title);
    cw_text_deinit(&message->link);
}

/* How many bytes at p are a control character or a line separator; 0 when it is neither. */
static uint32_t control_bytes(const char *p, uint32_t left)
{
    unsigned char c = (unsigned char)p[0];
    if (c < 0x20 || c == 0x7f) {
        return 1;
    }
    if (c == 0xc2 && left >= 2 && (unsigned char)p[1] < 0xa0) {
        return 2; /* U+0080 to U+009F */
    }
    if (c == 0xe2 && left >= 3 && memcmp(p, "\xe2\x80", 2) == 0 &&
        ((unsigned char)p[2] & 0xfe) == 0xa8) {
        return 3; /* U+2028, U+2029 */
    }
    return 0;
}

/* Appends with every run of control characters as one space. */
static void put_clean(struct cw_text *out, struct cw_view text)
{
    uint32_t done = 0;
    uint32_t i = 0;
    while (i < text.bytes) {
        uint32_t control = control_bytes(text.data + i, text.bytes - i);
        if (control == 0) {
            i++;
            continue;
        }
        cw_text_put(out, text.data + done, i - done);
        cw_text_char(out, ' ');
        while (control > 0) {
            i += control;
            control = i < text.bytes ? control_bytes(text.data + i, text.bytes - i) : 0;
        }
        done = i;
    }
    cw_text_put(out, text.data + done, text.bytes - done);
}

/* Something else than blanks and control characters. */
static bool says_anything(struct cw_view text)
{
    uint32_t i = 0;
    while (i < text.bytes) {
        uint32_t control = control_bytes(text.data + i, text.bytes - i);
        if (control == 0 && text.data[i] != ' ') {
            return true;
        }
        i += control > 0 ? control : 1;
    }
    return false;
}

static bool begins(struct cw_view text, const char *with)
{
    for (uint32_t i = 0; with[i] != '\0'; i++) {
        if (i >= text.bytes || (text.data[i] | 0x20) != (with[i] | 0x20)) {
            return false;
        }
    }
    return true;
}

bool cw_link_usable(struct cw_view url)
{
    uint32_t scheme = begins(url, "https://") ? 8 : begins(url, "http://") ? 7 : 0;
    if (scheme == 0 || url.bytes == scheme || url.data[scheme - 1] != '/' ||
        url.data[scheme - 2] != '/' || url.data[scheme - 3] != ':') {
        return false;
    }
    for (uint32_t i = scheme; i < url.bytes; i++) {
        char c = url.data[i];
        if (c == ' ' || c == '"' || c == '<' || c == '>' || c == '\\' ||
            control_bytes(url.data + i, url.bytes - i) > 0) {
            return false;
        }
    }
    return url.data[scheme] != '/';
}

static struct slot *begin(struct values *values, enum cw_variable variable)
{
    struct slot *slot = &values->top[variable];
    *slot = (struct slot){.at = (uint32_t)values->store->bytes, .given = true};
    return slot;
}

static void end(struct values *values, struct slot *slot)
{
    slot->bytes = (uint32_t)values->store->bytes - slot->at;
}

static void set(struct values *values, enum cw_variable variable, struct cw_view text)
{
    struct slot *slot = begin(values, variable);
    put_clean(values->store, text);
    end(values, slot);
}

static void set_url(struct values *values, enum cw_variable variable, struct cw_view url)
{
    if (cw_link_usable(url)) {
        set(values, variable, url);
    }
}

static void set_flag(struct values *values, enum cw_variable variable, bool flag)
{
    values->top[variable] = (struct slot){.given = flag, .flag = true};
}

static void set_discount(struct values *values)
{
    const struct cw_message_input *input = values->input;
    struct slot *slot = begin(values, CW_VARIABLE_DISCOUNT_PERCENT);
    cw_text_number(values->store, values->discount ? input->discount_percent : 0);
    end(values, slot);
    char *point = memchr(values->store->data + slot->at, '.', slot->bytes);
    if (point != NULL) {
        *point = values->words->decimal[0];
    }
    set_flag(values, CW_VARIABLE_DISCOUNT, values->discount);
    if (!values->discount) {
        return;
    }
    set(values, CW_VARIABLE_DISCOUNT_CODE, input->discount_code);
    if (input->expires_at_ms == CW_TIME_NONE || input->expires_at_ms <= input->now_ms) {
        return;
    }
    slot = begin(values, CW_VARIABLE_EXPIRES_IN);
    cw_locale_span(values->store, values->words, input->expires_at_ms - input->now_ms);
    end(values, slot);
    slot = begin(values, CW_VARIABLE_EXPIRES_AT);
    struct cw_civil local = cw_civil_from_ms(
        input->expires_at_ms + cw_zone_offset_ms(values->zones, input->zone, input->expires_at_ms));
    cw_locale_date(values->store, values->words, &local);
    cw_text_puts(values->store, input->zone == CW_ZONE_UTC ? " UTC" : "");
    end(values, slot);
}

static void set_items(struct values *values)
{
    const struct cw_message_input *input = values->input;
    struct cw_text *store = values->store;
    uint32_t count = input->item_count;
    values->item_count = count < CW_MESSAGE_ITEMS_MAX ? count : CW_MESSAGE_ITEMS_MAX;
    for (uint32_t i = 0; i < values->item_count; i++) {
        const struct cw_message_item *item = &input->items[i];
        struct slot *slot = &values->items[i][0];
        slot[0] = (struct slot){.at = (uint32_t)store->bytes, .given = true};
        put_clean(store, item->name);
        end(values, &slot[0]);
        slot[1] = (struct slot){.at = (uint32_t)store->bytes, .given = true};
        cw_money_format(store, item->price, input->currency, values->tag);
        end(values, &slot[1]);
        slot[2] = (struct slot){.at = (uint32_t)store->bytes, .given = true};
        cw_text_u64(store, item->quantity);
        end(values, &slot[2]);
        slot[3] = (struct slot){.given = item->quantity > 1, .flag = true};
        slot[4] =
            (struct slot){.at = (uint32_t)store->bytes, .given = cw_link_usable(item->image_url)};
        if (slot[4].given) {
            put_clean(store, item->image_url);
            end(values, &slot[4]);
        }
    }
    if (count > values->item_count) {
        struct slot *slot = begin(values, CW_VARIABLE_MORE_ITEMS);
        cw_text_u64(store, count - values->item_count);
        end(values, slot);
    }
}

static void fill(struct values *values, const struct cw_locale *words)
{
    const struct cw_message_input *input = values->input;
    if (values->words == words) {
        return;
    }
    values->words = words;
    cw_text_clear(values->store);
    memset(values->top, 0, sizeof values->top);
    bool named = says_anything(input->customer_name);
    set(values, CW_VARIABLE_CUSTOMER_NAME, named ? input->customer_name : CW_VIEW("there"));
    set_flag(values, CW_VARIABLE_NAME_KNOWN, named);
    bool shop = says_anything(input->shop_name);
    set(values, CW_VARIABLE_SHOP_NAME, shop ? input->shop_name : CW_VIEW("our shop"));
    set_flag(values, CW_VARIABLE_SHOP_KNOWN, shop);
    set_url(values, CW_VARIABLE_CART_LINK,
            cw_link_usable(input->cart_link) ? input->cart_link : input->shop_link);
    set_url(values, CW_VARIABLE_UNSUBSCRIBE_LINK, input->unsubscribe_link);
    set_url(values, CW_VARIABLE_OPEN_PIXEL, input->open_pixel_link);
    struct slot *slot = begin(values, CW_VARIABLE_CART_VALUE);
    cw_money_format(values->store, input->cart_value, input->currency, values->tag);
    end(values, slot);
    if (input->currency.bytes > 0) {
        set(values, CW_VARIABLE_CURRENCY, input->currency);
    }
    set_discount(values);
    if (input->touch->channel == CW_CHANNEL_EMAIL) { /* items stand in templates alone */
        set_items(values);
    }
}

static struct cw_view slot_text(const struct values *values, const struct slot *slot)
{
    return slot->given && !slot->flag
               ? (struct cw_view){values->store->data + slot->at, slot->bytes}
               : (struct cw_view){"", 0};
}

/* The end of the sentence that begins at `from`, with the blanks after it. */
static uint32_t sentence_end(struct cw_view text, uint32_t from)
{
    uint32_t i = from;
    while (i < text.bytes) {
        char c = text.data[i++];
        bool blank_next = i == text.bytes || text.data[i] == ' ' || text.data[i] == '\n';
        bool wide =
            i >= 3 && i - from >= 3 &&
            (memcmp(text.data + i - 3, "。", 3) == 0 || memcmp(text.data + i - 3, "！", 3) == 0 ||
             memcmp(text.data + i - 3, "？", 3) == 0);
        if (c == '\n' || wide || ((c == '.' || c == '!' || c == '?') && blank_next)) {
            break;
        }
    }
    while (i < text.bytes && (text.data[i] == ' ' || text.data[i] == '\n')) {
        i++;
    }
    return i;
}

static bool names_discount(struct cw_view sentence)
{
    struct cw_brace brace = cw_brace_next(sentence, 0);
    while (brace.kind != CW_BRACE_END) {
        if (brace.kind == CW_BRACE_VARIABLE &&
            (cw_variables[brace.variable].use & CW_VAR_DISCOUNT) != 0) {
            return true;
        }
        brace = cw_brace_next(sentence, brace.end);
    }
    return false;
}

/* False when the part grew too long. */
static bool put_sentence(struct cw_text *out, struct cw_view text, const struct values *values)
{
    struct cw_brace brace = cw_brace_next(text, 0);
    while (brace.kind != CW_BRACE_END) {
        if (brace.kind == CW_BRACE_VARIABLE) {
            put_clean(out, slot_text(values, &values->top[brace.variable]));
        } else {
            put_clean(out, (struct cw_view){text.data + brace.at, brace.end - brace.at});
        }
        if (out->bytes > CW_MESSAGE_BYTES_MAX) {
            return false;
        }
        brace = cw_brace_next(text, brace.end);
    }
    return true;
}

static void trim(struct cw_text *out)
{
    size_t start = 0;
    while (start < out->bytes && out->data[start] == ' ') {
        start++;
    }
    while (out->bytes > start && out->data[out->bytes - 1] == ' ') {
        out->bytes--;
    }
    if (start > 0) {
        memmove(out->data, out->data + start, out->bytes - start);
        out->bytes -= start;
    }
}

/* A program's own text on one line: subject, SMS, title, body. */
static cw_err put_line(struct cw_text *out, struct cw_view text, const struct values *values,
                       const char *what, struct cw_fault *fault)
{
    bool fits = true;
    for (uint32_t from = 0; fits && from < text.bytes && !values->discount;) {
        uint32_t stop = sentence_end(text, from);
        struct cw_view sentence = {text.data + from, stop - from};
        if (!names_discount(sentence)) {
            fits = put_sentence(out, sentence, values);
        }
        from = stop;
    }
    trim(out);
    if (fits && out->bytes == 0) {
        fits = put_sentence(out, text, values);
        trim(out);
    }
    return fits ? CW_ERR_OK
                : cw_fail(fault, CW_ERR_LIMIT, "the %s is longer than %u bytes", what,
                          CW_MESSAGE_BYTES_MAX);
}

static size_t collect(const struct values *values, const struct slot *slots, enum cw_variable first,
                      uint32_t count, struct cw_mustache_value *list)
{
    size_t given = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct slot *slot = &slots[i];
        if (slot->given) {
            list[given++] = (struct cw_mustache_value){
                .name = cw_variables[first + i].name,
                .text = slot->flag ? NULL : values->store->data + slot->at,
                .bytes = slot->bytes};
        }
    }
    return given;
}

/* Puts the blanks back that prepare() took out; written so that compilers use vectors. */
static void restore_blanks(char *restrict to, const char *restrict from, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        char c = from[i];
        c = (char)(c == CW_PREPARED_SPACE ? ' ' : c);
        c = (char)(c == CW_PREPARED_NEWLINE ? '\n' : c);
        to[i] = (char)(c == CW_PREPARED_TAB ? '\t' : c);
    }
}

static void put_piece(void *self, const char *data, size_t bytes)
{
    struct cw_text *out = self;
    restore_blanks(cw_text_room(out, bytes), data, bytes);
    out->bytes += bytes;
}

static cw_err put_template(struct cw_text *out, const struct cw_template *tpl,
                           const struct values *values, struct cw_fault *fault)
{
    struct cw_mustache_value top[CW_VARIABLE_COUNT];
    struct cw_mustache_value items[CW_MESSAGE_ITEMS_MAX][ITEM_VARIABLES];
    struct cw_mustache_values rows[CW_MESSAGE_ITEMS_MAX];
    for (uint32_t i = 0; i < values->item_count; i++) {
        rows[i].list = items[i];
        rows[i].count =
            collect(values, values->items[i], CW_VARIABLE_ITEM_NAME, ITEM_VARIABLES, items[i]);
    }
    struct cw_mustache_input input = {
        .values = {top, collect(values, values->top, (enum cw_variable)0, CW_VARIABLE_COUNT, top)},
        .rows_name = cw_variables[CW_VARIABLE_ITEMS].name,
        .rows = rows,
        .row_count = values->item_count};
    enum cw_mustache_result result =
        cw_mustache_render(tpl->parsed, &input, CW_MESSAGE_BYTES_MAX, put_piece, out);
    switch (result) {
    case CW_MUSTACHE_OK: return CW_ERR_OK;
    case CW_MUSTACHE_LIMIT:
        return cw_fail(fault, CW_ERR_LIMIT, "%s becomes longer than %u bytes", tpl->name,
                       CW_MESSAGE_BYTES_MAX);
    case CW_MUSTACHE_INVALID:
    case CW_MUSTACHE_MEMORY: break;
    }
    return cw_fail(fault, CW_ERR_LIMIT, "no memory to render %s", tpl->name);
}

/* The language of texts that do not say theirs. */
static const struct cw_locale *program_words(const struct cw_program *program)
{
    const struct cw_locale *shared = NULL;
    for (uint32_t i = 0; i < program->marketplace_count; i++) {
        const struct cw_marketplace *market = cw_marketplace_find(program->marketplaces[i]);
        struct cw_view tag = {market == NULL ? "en-US" : market->locale, 5};
        const struct cw_locale *locale = cw_locale_find(tag);
        if (shared != NULL && memcmp(shared->tag, locale->tag, 2) != 0) {
            shared = NULL;
            break;
        }
        shared = shared == NULL ? locale : shared;
    }
    return shared != NULL ? shared : cw_locale_find(CW_VIEW("en-US"));
}

static struct cw_view customer_tag(const struct cw_message_input *input)
{
    if (input->locale.bytes > 0) {
        return input->locale;
    }
    const struct cw_marketplace *market = cw_marketplace_find(input->marketplace);
    return market == NULL ? CW_VIEW("en-US")
                          : (struct cw_view){market->locale, (uint32_t)strlen(market->locale)};
}

static struct cw_view text_of(struct cw_view variant, struct cw_view touch)
{
    return variant.data != NULL ? variant : touch;
}

static cw_err render_part(struct cw_templates *templates, struct values *values, struct cw_view id,
                          bool html, struct cw_text *out, struct cw_fault *fault)
{
    struct cw_template_found found = cw_templates_find(templates, id, values->tag, html);
    if (found.tpl == NULL) {
        return cw_fail(fault, CW_ERR_NOT_FOUND, "there is no template %.*s%s",
                       (int)(id.bytes < 120 ? id.bytes : 120), id.data, html ? ".html" : ".txt");
    }
    const struct cw_locale *words = program_words(values->input->program);
    if (found.locale.data != NULL) {
        words = cw_locale_find(found.locale);
        words = words == NULL ? cw_locale_unknown() : words;
    }
    fill(values, words);
    return put_template(out, found.tpl, values, fault);
}

static cw_err render_email(struct cw_templates *templates, struct values *values,
                           struct cw_message *message, struct cw_fault *fault)
{
    const struct cw_touch *touch = values->input->touch;
    static const struct cw_variant none = {0};
    const struct cw_variant *variant = values->input->variant;
    variant = variant == NULL ? &none : variant;
    struct cw_view id = text_of(variant->template_id, touch->template_id);
    if (id.bytes == 0) {
        return cw_fail(fault, CW_ERR_NOT_FOUND, "the channel %.*s names no template",
                       (int)(touch->channel_id.bytes < 120 ? touch->channel_id.bytes : 120),
                       touch->channel_id.data == NULL ? "" : touch->channel_id.data);
    }
    cw_err err = put_line(&message->subject, text_of(variant->subject, touch->subject), values,
                          "subject", fault);
    if (err == CW_ERR_OK) {
        err = render_part(templates, values, id, true, &message->html, fault);
    }
    if (err == CW_ERR_OK) {
        err = render_part(templates, values, id, false, &message->plain, fault);
    }
    return err;
}

/* In an SMS a no-break space would cost the 7-bit alphabet, and with it half of the room. */
static void plain_spaces(struct cw_text *text)
{
    size_t out = 0;
    for (size_t i = 0; i < text->bytes; i++) {
        size_t left = text->bytes - i;
        bool nbsp = left >= 2 && memcmp(text->data + i, "\xc2\xa0", 2) == 0;
        bool narrow = left >= 3 && memcmp(text->data + i, "\xe2\x80\xaf", 3) == 0;
        text->data[out++] = (char)(nbsp || narrow ? ' ' : text->data[i]);
        i += narrow ? 2 : nbsp ? 1 : 0;
    }
    text->bytes = out;
}

static cw_err render_short(struct values *values, struct cw_message *message,
                           struct cw_fault *fault)
{
    const struct cw_touch *touch = values->input->touch;
    static const struct cw_variant none = {0};
    const struct cw_variant *variant = values->input->variant;
    variant = variant == NULL ? &none : variant;
    if (touch->channel == CW_CHANNEL_SMS) {
        cw_err err = put_line(&message->text, text_of(variant->message, touch->message), values,
                              "message", fault);
        plain_spaces(&message->text);
        return err;
    }
    cw_err err =
        put_line(&message->title, text_of(variant->title, touch->title), values, "title", fault);
    if (err == CW_ERR_OK) {
        err = put_line(&message->text, text_of(variant->body, touch->body), values, "body", fault);
    }
    cw_text_view(&message->link, slot_text(values, &values->top[CW_VARIABLE_CART_LINK]));
    return err;
}

cw_err cw_message_render(struct cw_templates *templates, const struct cw_zones *zones,
                         const struct cw_message_input *input, struct cw_message *message,
                         struct cw_fault *fault)
{
    CW_ASSERT(input->program != NULL && input->touch != NULL);
    CW_ASSERT(isfinite(input->discount_percent) && input->discount_percent >= 0);
    CW_ASSERT(input->touch->channel < CW_CHANNEL_COUNT);
    cw_text_clear(&message->subject);
    cw_text_clear(&message->html);
    cw_text_clear(&message->plain);
    cw_text_clear(&message->text);
    cw_text_clear(&message->title);
    cw_text_clear(&message->link);
    struct values values = {.store = &templates->values,
                            .input = input,
                            .zones = zones,
                            .tag = customer_tag(input),
                            .discount =
                                input->touch->include_discount && input->discount_percent > 0};
    fill(&values, program_words(input->program));
    return input->touch->channel == CW_CHANNEL_EMAIL
               ? render_email(templates, &values, message, fault)
               : render_short(&values, message, fault);
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

bool cw_message_says_today(struct cw_view text)
{
    static const char word[] = "today";
    uint32_t bytes = sizeof word - 1;
    for (uint32_t i = 0; i + bytes <= text.bytes; i++) {
        bool here = (i == 0 || !is_word(text.data[i - 1])) &&
                    (i + bytes == text.bytes || !is_word(text.data[i + bytes]));
        if (here && begins((struct cw_view){text.data + i, bytes}, word)) {
            return true;
        }
    }
    return false;
}
