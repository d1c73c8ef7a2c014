/* program: channels and their variants, which become touches. */
#include "core/time.h"
#include "pipeline/message.h"
#include "pipeline/program_priv.h"

#include <math.h>
#include <stdio.h>

/* Texts and delays stand in the same order in a channel's config and in a variant. */
enum cw_text_row {
    CW_TEXT_TEMPLATE,
    CW_TEXT_SUBJECT,
    CW_TEXT_MESSAGE,
    CW_TEXT_TITLE,
    CW_TEXT_BODY,
    CW_TEXT_COUNT,
    CW_TEXT_DELAY_MINUTES = CW_TEXT_COUNT,
    CW_TEXT_DELAY_HOURS
};

static_assert(CW_OPT_TOUCH_TEMPLATE + CW_TEXT_DELAY_HOURS == CW_OPT_TOUCH_DELAY_HOURS &&
                  CW_OPT_VARIANT_TEMPLATE + CW_TEXT_DELAY_HOURS == CW_OPT_VARIANT_DELAY_HOURS,
              "rows of CW_TEXT_KEYS");

/* Which channel each belongs to; it needs all of its own. */
static const enum cw_channel text_channel[CW_TEXT_COUNT] = {
    [CW_TEXT_TEMPLATE] = CW_CHANNEL_EMAIL, [CW_TEXT_SUBJECT] = CW_CHANNEL_EMAIL,
    [CW_TEXT_MESSAGE] = CW_CHANNEL_SMS,    [CW_TEXT_TITLE] = CW_CHANNEL_PUSH,
    [CW_TEXT_BODY] = CW_CHANNEL_PUSH,
};

/* The same for what may stand in a channel or in its config. */
enum cw_delivery_row {
    CW_DELIVERY_COST,
    CW_DELIVERY_RATE,
    CW_DELIVERY_RETRIES,
    CW_DELIVERY_ON_UNKNOWN,
    CW_DELIVERY_FROM,
    CW_DELIVERY_VARIANTS,
    CW_DELIVERY_COUNT
};

static_assert(CW_OPT_CHANNEL_COST + CW_DELIVERY_VARIANTS == CW_OPT_CHANNEL_VARIANTS &&
                  CW_OPT_TOUCH_COST + CW_DELIVERY_VARIANTS == CW_OPT_TOUCH_VARIANTS,
              "rows of CW_DELIVERY_KEYS");

struct cw_channel_draft {
    struct cw_touch touch;
    bool known;  /* its type was given rightly */
    uint32_t at; /* where to tell what is missing */
};

static struct cw_view kept(struct cw_program_reader *reader, const struct cw_setting *setting)
{
    return setting->good ? cw_program_keep(reader, setting->text) : (struct cw_view){NULL, 0};
}

/* ---- delays ---- */

/* The delay that one of the two keys tells; false when neither does, or not rightly. */
static bool read_delay(struct cw_program_reader *reader, const struct cw_setting *texts,
                       int64_t *delay_ms)
{
    const struct cw_setting *minutes = &texts[CW_TEXT_DELAY_MINUTES];
    const struct cw_setting *hours = &texts[CW_TEXT_DELAY_HOURS];
    if (minutes->node != 0 && hours->node != 0) {
        cw_option_error(&reader->in, minutes->key > hours->key ? minutes->key : hours->key,
                        "\"delayMinutes\" and \"delayHours\" are both given; keep one of them");
        return false;
    }
    const struct cw_setting *given = minutes->good ? minutes : hours;
    if (!given->good) {
        return false;
    }
    int64_t unit_ms = given == minutes ? CW_MINUTE_MS : CW_HOUR_MS;
    *delay_ms = llround(given->number * (double)unit_ms);
    int64_t ttl_ms = reader->program->candidate_ttl_ms;
    if (*delay_ms >= ttl_ms) {
        cw_option_error(&reader->in, given->node,
                        "this message could never be sent: a candidate expires %.15g hours after "
                        "the abandonment (\"candidateTTLDays\" %.15g), no later than this delay; "
                        "shorten the delay or raise candidateTTLDays",
                        (double)ttl_ms / (double)CW_HOUR_MS, (double)ttl_ms / (double)CW_DAY_MS);
    }
    return true;
}

/* ---- texts ---- */

static const char *text_name(enum cw_text_row row)
{
    return cw_touch_options.list[CW_OPT_TOUCH_TEMPLATE + row].name;
}

static void check_texts_fit(struct cw_program_reader *reader, const struct cw_setting *texts,
                            enum cw_channel channel)
{
    for (uint32_t row = 0; row < CW_TEXT_COUNT; row++) {
        if (texts[row].node == 0 || text_channel[row] == channel) {
            continue;
        }
        char own[64];
        size_t used = 0;
        for (uint32_t other = 0; other < CW_TEXT_COUNT; other++) {
            if (text_channel[other] == channel) {
                used += (size_t)snprintf(own + used, sizeof own - used, "%s\"%s\"",
                                         used == 0 ? "" : " and ", text_name(other));
            }
        }
        cw_option_error(&reader->in, texts[row].key,
                        "\"%s\" is for channels of type %s; this one is of type %s and has %s",
                        text_name(row), cw_channel_name(text_channel[row]),
                        cw_channel_name(channel), own);
    }
}

static void lint_text(struct cw_program_reader *reader, const struct cw_setting *text,
                      bool discount)
{
    if (!text->good) {
        return;
    }
    const struct cw_yaml_node *at = &reader->in.doc->nodes[text->node];
    uint32_t line = at->line + (at->block ? 1 : 0);
    uint32_t column = at->block ? 1 : at->column + (at->plain ? 0 : 1);
    cw_message_lint(text->text, discount, reader->in.file, line, column, reader->in.problems);
    if (!discount || reader->program->discount.enabled) {
        return;
    }
    /* What only a text without discount may not say, it says. */
    struct cw_problems with = {0};
    struct cw_problems without = {0};
    cw_message_lint(text->text, true, "", 1, 1, &with);
    cw_message_lint(text->text, false, "", 1, 1, &without);
    if (without.errors > with.errors) {
        cw_option_remark(
            &reader->in, text->node,
            "this text speaks of a discount, but no discountStrategy is enabled, so the "
            "sentences that name it are left out; enable one, or change the text");
    }
    cw_problems_deinit(&with);
    cw_problems_deinit(&without);
}

static bool is_linted(struct cw_program_reader *reader, struct cw_view id, bool discount)
{
    for (uint32_t i = 0; i < *reader->linted_count; i++) {
        if (reader->linted[i].discount == discount && cw_view_equal(reader->linted[i].id, id)) {
            return true;
        }
    }
    if (*reader->linted_count < reader->linted_max) {
        reader->linted[(*reader->linted_count)++] =
            (struct cw_program_linted){cw_program_keep(reader, id), discount};
    }
    return false;
}

static void lint_template(struct cw_program_reader *reader, const struct cw_setting *setting,
                          bool discount)
{
    const struct cw_program_needs *needs = reader->needs;
    if (!setting->good) {
        return;
    }
    struct cw_view id = setting->text;
    if (!needs->template_exists(needs->self, id)) {
        char shown[48];
        char hint[CW_OPTION_HINT_BYTES];
        cw_option_error(&reader->in, setting->node,
                        "there is no template \"%s\" (%s); name one that is there, or put %s.html "
                        "into the templates directory",
                        cw_yaml_printable(id, shown, sizeof shown),
                        cw_option_hint(id, needs->template_names(needs->self), hint), shown);
        return;
    }
    if (is_linted(reader, id, discount)) {
        return;
    }
    struct cw_view file;
    struct cw_view text;
    for (uint32_t i = 0; i < CW_TEMPLATES_MAX; i++) {
        if (!needs->template_text(needs->self, id, i, &file, &text)) {
            break;
        }
        cw_template_lint(file, text, discount, reader->in.problems);
    }
}

/* Checks the texts of a channel or variant and looks into each. */
static void check_texts(struct cw_program_reader *reader, const struct cw_setting *texts,
                        const struct cw_channel_draft *draft)
{
    if (!draft->known) {
        return;
    }
    bool discount = draft->touch.include_discount;
    check_texts_fit(reader, texts, draft->touch.channel);
    for (uint32_t row = 0; row < CW_TEXT_COUNT; row++) {
        if (text_channel[row] != draft->touch.channel) {
            continue;
        }
        if (row == CW_TEXT_TEMPLATE) {
            lint_template(reader, &texts[row], discount);
        } else {
            lint_text(reader, &texts[row], discount);
        }
    }
}

/* ---- variants ---- */

static void read_variant(struct cw_program_reader *reader, uint32_t node,
                         const struct cw_channel_draft *draft, struct cw_setting *s,
                         struct cw_variant *variant)
{
    cw_options_read(&reader->in, node, &cw_variant_options, s);
    const struct cw_setting *texts = &s[CW_OPT_VARIANT_TEMPLATE];
    *variant = (struct cw_variant){
        .name = kept(reader, &s[CW_OPT_VARIANT_NAME]),
        .share = s[CW_OPT_VARIANT_SHARE].number,
        .template_id = kept(reader, &texts[CW_TEXT_TEMPLATE]),
        .subject = kept(reader, &texts[CW_TEXT_SUBJECT]),
        .message = kept(reader, &texts[CW_TEXT_MESSAGE]),
        .title = kept(reader, &texts[CW_TEXT_TITLE]),
        .body = kept(reader, &texts[CW_TEXT_BODY]),
        .delay_ms = draft->touch.delay_ms,
    };
    (void)read_delay(reader, texts, &variant->delay_ms);
    check_texts(reader, texts, draft);
}

/* Returns the set of texts (bit per row) that every variant has of its own. */
static uint32_t read_variants(struct cw_program_reader *reader, const struct cw_setting *list,
                              struct cw_channel_draft *draft)
{
    const struct cw_yaml *doc = reader->in.doc;
    if (!list->good) {
        return 0;
    }
    struct cw_variant *variants = cw_arena_zalloc(
        &reader->set->arena, doc->nodes[list->node].count * sizeof(struct cw_variant), 8);
    struct cw_view names[16]; /* the row's own bound on the list */
    uint32_t count = 0;
    uint32_t common = UINT32_MAX;
    double sum = 0;
    bool good = true;
    CW_ASSERT(doc->nodes[list->node].count <= CW_COUNTOF(names));
    for (uint32_t i = cw_yaml_first(doc, list->node); i != 0; i = doc->nodes[i].next) {
        struct cw_setting s[CW_OPT_VARIANT_COUNT];
        read_variant(reader, i, draft, s, &variants[count]);
        names[count] = variants[count].name;
        if (s[CW_OPT_VARIANT_NAME].good) {
            cw_program_check_unique(reader, names, count, s[CW_OPT_VARIANT_NAME].node, "name");
        }
        uint32_t own = 0;
        for (uint32_t row = 0; row < CW_TEXT_COUNT; row++) {
            own |= s[CW_OPT_VARIANT_TEMPLATE + row].key != 0 ? 1u << row : 0;
        }
        common &= own;
        sum += variants[count].share;
        good = good && s[CW_OPT_VARIANT_SHARE].good;
        count++;
    }
    if (good && fabs(sum - 1) > 1e-9) {
        cw_option_error(&reader->in, list->key,
                        "the shares of \"variants\" sum to %.12g, not to 1; they are fractions of "
                        "the channel's customers, 0.5 for half of them",
                        sum);
    }
    draft->touch.variants = variants;
    draft->touch.variant_count = count;
    return common;
}

/* ---- channels ---- */

static void merge_delivery(struct cw_program_reader *reader, const struct cw_setting *channel,
                           const struct cw_setting *config, struct cw_setting *merged)
{
    for (uint32_t row = 0; row < CW_DELIVERY_COUNT; row++) {
        merged[row] = channel[row].node != 0 ? channel[row] : config[row];
        if (channel[row].node != 0 && config[row].node != 0) {
            cw_option_error(&reader->in, config[row].key,
                            "\"%s\" stands in the channel and in its config; keep one of them",
                            cw_touch_options.list[CW_OPT_TOUCH_COST + row].name);
        }
    }
}

static void check_missing(struct cw_program_reader *reader, const struct cw_channel_draft *draft,
                          const struct cw_setting *texts, uint32_t in_variants)
{
    if (texts[CW_TEXT_DELAY_MINUTES].key == 0 && texts[CW_TEXT_DELAY_HOURS].key == 0) {
        cw_option_error(&reader->in, draft->at,
                        "a channel needs a delay; add \"delayMinutes\" or \"delayHours\" to its "
                        "config");
    }
    for (uint32_t row = 0; draft->known && row < CW_TEXT_COUNT; row++) {
        if (text_channel[row] == draft->touch.channel && texts[row].key == 0 &&
            (in_variants & (1u << row)) == 0) {
            cw_option_error(&reader->in, draft->at,
                            "a channel of type %s needs \"%s\"; add it to "
                            "its config",
                            cw_channel_name(draft->touch.channel), text_name(row));
        }
    }
}

static void read_config(struct cw_program_reader *reader, const struct cw_setting *config,
                        const struct cw_setting *in_channel, struct cw_channel_draft *draft)
{
    struct cw_setting s[CW_OPT_TOUCH_COUNT];
    struct cw_setting delivery[CW_DELIVERY_COUNT];
    struct cw_touch *touch = &draft->touch;
    const struct cw_setting *texts = &s[CW_OPT_TOUCH_TEMPLATE];
    if (config->good) {
        cw_options_read(&reader->in, config->node, &cw_touch_options, s);
    } else {
        cw_options_default(&cw_touch_options, s);
    }
    merge_delivery(reader, in_channel, &s[CW_OPT_TOUCH_COST], delivery);
    touch->include_discount = s[CW_OPT_TOUCH_INCLUDE_DISCOUNT].yes;
    touch->template_id = kept(reader, &texts[CW_TEXT_TEMPLATE]);
    touch->subject = kept(reader, &texts[CW_TEXT_SUBJECT]);
    touch->message = kept(reader, &texts[CW_TEXT_MESSAGE]);
    touch->title = kept(reader, &texts[CW_TEXT_TITLE]);
    touch->body = kept(reader, &texts[CW_TEXT_BODY]);
    touch->from = kept(reader, &delivery[CW_DELIVERY_FROM]);
    touch->cost_per_message =
        delivery[CW_DELIVERY_COST].good ? delivery[CW_DELIVERY_COST].number : (double)NAN;
    touch->rate_per_second = delivery[CW_DELIVERY_RATE].number;
    touch->retries = (uint32_t)delivery[CW_DELIVERY_RETRIES].number;
    touch->on_unknown = delivery[CW_DELIVERY_ON_UNKNOWN].good
                            ? (enum cw_on_unknown)(delivery[CW_DELIVERY_ON_UNKNOWN].word + 1)
                            : CW_ON_UNKNOWN_DEFAULT;
    (void)read_delay(reader, texts, &touch->delay_ms);
    check_texts(reader, texts, draft);
    uint32_t in_variants = read_variants(reader, &delivery[CW_DELIVERY_VARIANTS], draft);
    if (config->good) {
        check_missing(reader, draft, texts, in_variants);
    }
    if (s[CW_OPT_TOUCH_ONLY_IF].good && !s[CW_OPT_TOUCH_ONLY_IF].yes) {
        cw_option_error(&reader->in, s[CW_OPT_TOUCH_ONLY_IF].node,
                        "\"onlyIfNotConverted\" cannot be false: a converted cart is never "
                        "reminded; write true, or remove the key");
    }
    if (draft->known && touch->channel == CW_CHANNEL_PUSH && delivery[CW_DELIVERY_FROM].node != 0) {
        cw_option_error(&reader->in, delivery[CW_DELIVERY_FROM].key,
                        "\"from\" is for channels of type email and sms; remove it");
    }
}

static void read_channel(struct cw_program_reader *reader, uint32_t node, struct cw_setting *s,
                         struct cw_channel_draft *draft)
{
    cw_options_read(&reader->in, node, &cw_channel_options, s);
    const struct cw_setting *type = &s[CW_OPT_CHANNEL_TYPE];
    const struct cw_setting *config = &s[CW_OPT_CHANNEL_CONFIG];
    struct cw_view id = s[CW_OPT_CHANNEL_ID].text;
    if (id.data == NULL && type->good) {
        id = reader->in.doc->nodes[type->node].text;
    }
    *draft = (struct cw_channel_draft){
        .touch = {.channel_id = cw_program_keep(reader, id),
                  .channel = (enum cw_channel)type->word,
                  .priority = (int32_t)s[CW_OPT_CHANNEL_PRIORITY].number},
        .known = type->good,
        .at = config->key != 0 ? config->key : node,
    };
    read_config(reader, config, &s[CW_OPT_CHANNEL_COST], draft);
}

/* By delay, then priority; insertion keeps the file's order on a tie. */
static void insert_touch(struct cw_program *program, const struct cw_touch *touch)
{
    uint32_t place = program->touch_count++;
    for (; place > 0; place--) {
        const struct cw_touch *before = &program->touches[place - 1];
        if (before->delay_ms < touch->delay_ms ||
            (before->delay_ms == touch->delay_ms && before->priority <= touch->priority)) {
            break;
        }
        program->touches[place] = *before;
    }
    program->touches[place] = *touch;
}

void cw_program_read_channels(struct cw_program_reader *reader, uint32_t list)
{
    const struct cw_yaml *doc = reader->in.doc;
    struct cw_program *program = reader->program;
    struct cw_view ids[CW_TOUCHES_MAX];
    uint32_t count = 0;
    CW_ASSERT(doc->nodes[list].count <= CW_TOUCHES_MAX);
    for (uint32_t i = cw_yaml_first(doc, list); i != 0; i = doc->nodes[i].next, count++) {
        struct cw_setting s[CW_OPT_CHANNEL_COUNT];
        struct cw_channel_draft draft;
        read_channel(reader, i, s, &draft);
        ids[count] = draft.touch.channel_id;
        if (ids[count].data != NULL) {
            const struct cw_setting *id = &s[CW_OPT_CHANNEL_ID];
            cw_program_check_unique(reader, ids, count, id->good ? id->node : i, "channelId");
        }
        if (s[CW_OPT_CHANNEL_ENABLED].yes) {
            insert_touch(program, &draft.touch);
        }
    }
    if (program->touch_count == 0) {
        cw_option_remark(&reader->in, list,
                         "every channel is disabled, so the program sends nothing; enable one");
    }
}
