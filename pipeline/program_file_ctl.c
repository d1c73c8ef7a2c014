/* program: reads one file, all but its event sources and channels. */
#include "core/table.h"
#include "core/time.h"
#include "pipeline/event.h"
#include "pipeline/program_priv.h"

#include <math.h>
#include <stdio.h>

#define SHIPPED_MODEL "purchase-intent-v4"

struct cw_view cw_program_keep(struct cw_program_reader *reader, struct cw_view text)
{
    return cw_arena_copy(&reader->set->arena, text);
}

void cw_program_check_unique(const struct cw_program_reader *reader, const struct cw_view *seen,
                             uint32_t count, uint32_t at, const char *key)
{
    for (uint32_t i = 0; i < count; i++) {
        if (seen[i].data != NULL && cw_view_equal(seen[i], seen[count])) {
            char shown[48];
            cw_option_error(&reader->in, at,
                            "%s \"%s\" is taken by item %u of this list; give each its own", key,
                            cw_yaml_printable(seen[count], shown, sizeof shown), i + 1);
            return;
        }
    }
}

static int64_t to_ms(double number, int64_t unit_ms)
{
    int64_t ms = llround(number * (double)unit_ms);
    return number > 0 && ms < 1 ? 1 : ms;
}

/* Reads the mapping that a setting holds, or gives its keys their defaults. */
static void read_section(struct cw_program_reader *reader, const struct cw_setting *section,
                         const struct cw_options *options, struct cw_setting *settings)
{
    if (section->good) {
        cw_options_read(&reader->in, section->node, options, settings);
    } else {
        cw_options_default(options, settings);
    }
}

/* ---- marketplaces ---- */

static void tell_unknown_market(struct cw_program_reader *reader, uint32_t node)
{
    static const char *const known[] = {"US", "UK", "DE", "FR", "JP", "IN", "BR", "AU", NULL};
    struct cw_view code = reader->in.doc->nodes[node].text;
    if (cw_marketplace_find(code) != NULL) {
        return;
    }
    char shown[32];
    char hint[CW_OPTION_HINT_BYTES];
    cw_option_remark(&reader->in, node,
                     "no currency, locale and time zone are known for marketplace \"%s\", so "
                     "events and profiles must tell them; %s",
                     cw_yaml_printable(code, shown, sizeof shown),
                     cw_option_hint(code, known, hint));
}

static void read_marketplaces(struct cw_program_reader *reader, const struct cw_setting *setting)
{
    if (!setting->good) {
        return;
    }
    const struct cw_yaml *doc = reader->in.doc;
    struct cw_program *program = reader->program;
    uint32_t count = doc->nodes[setting->node].count;
    program->marketplaces = cw_arena_zalloc(&reader->set->arena, count * sizeof(struct cw_view), 8);
    for (uint32_t i = cw_yaml_first(doc, setting->node); i != 0; i = doc->nodes[i].next) {
        struct cw_view code = doc->nodes[i].text;
        if (code.bytes > 16) {
            cw_option_error(&reader->in, i,
                            "a marketplace is at most 16 bytes long; write its code, such as "
                            "\"US\"");
        }
        program->marketplaces[program->marketplace_count++] = cw_program_keep(reader, code);
        tell_unknown_market(reader, i);
    }
}

/* A marketplace named in a map must be one that the program runs in. */
static void check_market(struct cw_program_reader *reader, uint32_t node)
{
    const struct cw_program *program = reader->program;
    struct cw_view code = reader->in.doc->nodes[node].text;
    if (program->marketplace_count == 0) {
        tell_unknown_market(reader, node);
        return;
    }
    const char *listed[65];
    for (uint32_t i = 0; i < program->marketplace_count; i++) {
        if (cw_view_equal(program->marketplaces[i], code)) {
            return;
        }
        listed[i] = program->marketplaces[i].data;
    }
    listed[program->marketplace_count] = NULL;
    char shown[32];
    char hint[CW_OPTION_HINT_BYTES];
    cw_option_error(
        &reader->in, node,
        "\"%s\" is not among the program's marketplaces (%s); write one of them, or add it "
        "there",
        cw_yaml_printable(code, shown, sizeof shown), cw_option_hint(code, listed, hint));
}

static void read_by_market(struct cw_program_reader *reader, const struct cw_setting *setting,
                           struct cw_by_market *map)
{
    if (!setting->good) {
        return;
    }
    const struct cw_yaml *doc = reader->in.doc;
    *map = (struct cw_by_market){.set = true, .any = setting->number};
    if (doc->nodes[setting->node].type != CW_YAML_MAPPING) {
        return;
    }
    map->by_market = true;
    struct cw_by_market_entry *entries =
        cw_arena_zalloc(&reader->set->arena,
                        doc->nodes[setting->node].count * sizeof(struct cw_by_market_entry), 8);
    for (uint32_t i = cw_yaml_first(doc, setting->node); i != 0;
         i = doc->nodes[doc->nodes[i].next].next) {
        if (doc->nodes[i].type != CW_YAML_SCALAR) {
            continue; /* told when the tree was built */
        }
        check_market(reader, i);
        entries[map->count++] = (struct cw_by_market_entry){
            .market = cw_program_keep(reader, doc->nodes[i].text),
            .value = cw_option_number(&doc->nodes[doc->nodes[i].next]),
        };
    }
    map->entries = entries;
}

/* ---- filters ---- */

static const struct cw_options eligibility_options = {
    .what = "the parameters of an eligibility filter"};

static void read_trust(struct cw_program_reader *reader, const struct cw_setting *parameters,
                       struct cw_filter *filter)
{
    struct cw_setting s[CW_OPT_TRUST_COUNT];
    read_section(reader, parameters, &cw_trust_options, s);
    filter->allow_unknown = s[CW_OPT_TRUST_ALLOW_UNKNOWN].yes;
    filter->require_payment_method = s[CW_OPT_TRUST_PAYMENT].yes;
}

static void read_rule(struct cw_program_reader *reader, const struct cw_setting *parameters,
                      uint32_t at, struct cw_filter *filter)
{
    struct cw_setting s[CW_OPT_RULE_COUNT];
    read_section(reader, parameters, &cw_rule_options, s);
    static_assert(CW_OPT_RULE_MAX_MESSAGES - CW_OPT_RULE_MAX_EMAILS == CW_CAP_MESSAGES,
                  "caps stand in the order of the channels");
    read_by_market(reader, &s[CW_OPT_RULE_MIN_CART_VALUE], &filter->minimum);
    for (uint32_t i = 0; i < CW_CAP_COUNT; i++) {
        read_by_market(reader, &s[CW_OPT_RULE_MAX_EMAILS + i], &filter->caps[i]);
    }
    filter->require_in_stock = s[CW_OPT_RULE_IN_STOCK].yes;
    bool empty = parameters->key == 0 ||
                 (parameters->good && reader->in.doc->nodes[parameters->node].count == 0);
    if (empty) {
        char hint[CW_OPTION_HINT_BYTES];
        static const char *const names[] = {"minCartValue",
                                            "maxRecoveryEmailsPerWeek",
                                            "maxRecoverySmsPerWeek",
                                            "maxRecoveryPushPerWeek",
                                            "maxRecoveryMessagesPerWeek",
                                            "requireInStock",
                                            NULL};
        struct cw_view none = {"", 0};
        cw_option_error(&reader->in, parameters->key == 0 ? at : parameters->key,
                        "a business-rule without parameters asks for nothing; %s",
                        cw_option_hint(none, names, hint));
    }
}

static void read_filter(struct cw_program_reader *reader, uint32_t node, struct cw_filter *filter,
                        struct cw_setting *s)
{
    cw_options_read(&reader->in, node, &cw_filter_options, s);
    const struct cw_setting *type = &s[CW_OPT_FILTER_TYPE];
    const struct cw_setting *parameters = &s[CW_OPT_FILTER_PARAMETERS];
    struct cw_view id = s[CW_OPT_FILTER_ID].text;
    if (id.data == NULL && type->good) {
        id = reader->in.doc->nodes[type->node].text;
    }
    *filter = (struct cw_filter){.id = cw_program_keep(reader, id),
                                 .type = (enum cw_filter_type)type->word,
                                 .require_payment_method = true};
    if (!type->good) {
        return;
    }
    switch (filter->type) {
    case CW_FILTER_TRUST: read_trust(reader, parameters, filter); break;
    case CW_FILTER_RULE: read_rule(reader, parameters, node, filter); break;
    case CW_FILTER_ELIGIBILITY:
        if (parameters->good) {
            cw_options_read(&reader->in, parameters->node, &eligibility_options, NULL);
        }
        break;
    }
}

static void read_filters(struct cw_program_reader *reader, const struct cw_setting *list)
{
    if (!list->good) {
        return;
    }
    const struct cw_yaml *doc = reader->in.doc;
    struct cw_program *program = reader->program;
    struct cw_view ids[CW_FILTERS_MAX];
    double orders[CW_FILTERS_MAX];
    uint32_t given[CW_FILTERS_MAX]; /* the node of each order that is written */
    uint32_t count = 0;
    for (uint32_t i = cw_yaml_first(doc, list->node); i != 0; i = doc->nodes[i].next, count++) {
        struct cw_setting s[CW_OPT_FILTER_COUNT];
        struct cw_filter filter;
        read_filter(reader, i, &filter, s);
        ids[count] = filter.id;
        if (filter.id.data != NULL) {
            const struct cw_setting *id = &s[CW_OPT_FILTER_ID];
            cw_program_check_unique(reader, ids, count, id->good ? id->node : i, "filterId");
        }
        bool ordered = s[CW_OPT_FILTER_ORDER].good;
        double order = ordered ? s[CW_OPT_FILTER_ORDER].number : count + 1;
        uint32_t node = ordered ? s[CW_OPT_FILTER_ORDER].node : 0;
        uint32_t place = count;
        for (uint32_t j = 0; j < count && node != 0; j++) {
            if (given[j] != 0 && orders[j] == order) {
                cw_option_error(&reader->in, node,
                                "order %.0f is taken by the filter of line %u; give each its own",
                                order, doc->nodes[given[j]].line);
                break;
            }
        }
        for (; place > 0 && orders[place - 1] > order; place--) {
            program->filters[place] = program->filters[place - 1];
            orders[place] = orders[place - 1];
            given[place] = given[place - 1];
        }
        program->filters[place] = filter;
        orders[place] = order;
        given[place] = node;
    }
    program->filter_count = count;
}

/* ---- the model ---- */

/* NAME of sagemaker://NAME or model://NAME. */
static bool endpoint_name(struct cw_view endpoint, struct cw_view *name)
{
    static const struct cw_view schemes[] = {CW_VIEW("sagemaker://"), CW_VIEW("model://")};
    for (uint32_t i = 0; i < CW_COUNTOF(schemes); i++) {
        if (endpoint.bytes > schemes[i].bytes &&
            memcmp(endpoint.data, schemes[i].data, schemes[i].bytes) == 0) {
            *name = (struct cw_view){endpoint.data + schemes[i].bytes,
                                     endpoint.bytes - schemes[i].bytes};
            return true;
        }
    }
    return false;
}

static void check_features(struct cw_program_reader *reader, const struct cw_setting *features)
{
    const struct cw_yaml *doc = reader->in.doc;
    const struct cw_model *model = reader->program->model;
    if (!features->good || model == NULL) {
        return;
    }
    for (uint32_t i = cw_yaml_first(doc, features->node); i != 0; i = doc->nodes[i].next) {
        struct cw_view name = doc->nodes[i].text;
        if (!cw_model_has_feature(model, name)) {
            char shown[48];
            char hint[CW_OPTION_HINT_BYTES];
            cw_option_error(&reader->in, i, "the model has no feature \"%s\"; %s",
                            cw_yaml_printable(name, shown, sizeof shown),
                            cw_option_hint(name, cw_model_feature_names(model), hint));
        }
    }
}

static void read_model(struct cw_program_reader *reader, const struct cw_setting *list)
{
    struct cw_view name = CW_VIEW(SHIPPED_MODEL);
    struct cw_setting s[CW_OPT_MODEL_COUNT];
    uint32_t at = 0;
    cw_options_default(&cw_model_options, s);
    if (list->key != 0 && !list->good) {
        return;
    }
    if (list->good && reader->in.doc->nodes[list->node].count == 1) {
        at = cw_yaml_first(reader->in.doc, list->node);
        cw_options_read(&reader->in, at, &cw_model_options, s);
    }
    const struct cw_setting *endpoint = &s[CW_OPT_MODEL_ENDPOINT];
    const struct cw_setting *id = &s[CW_OPT_MODEL_ID];
    if (endpoint->good) {
        at = endpoint->node;
        if (!endpoint_name(endpoint->text, &name)) {
            cw_option_error(&reader->in, at,
                            "\"endpoint\" must be model://NAME or sagemaker://NAME; write "
                            "model://" SHIPPED_MODEL " for the shipped model");
            return;
        }
    } else if (endpoint->key != 0) {
        return;
    } else if (id->good) {
        at = id->node;
        name = id->text;
    }
    reader->program->model = reader->needs->model(reader->needs->self, name);
    if (reader->program->model == NULL) {
        char shown[48];
        char hint[CW_OPTION_HINT_BYTES];
        cw_option_error(
            &reader->in, at,
            "there is no model \"%s\" (%s); name one that is there, or put %s.json into the models "
            "directory",
            cw_yaml_printable(name, shown, sizeof shown),
            cw_option_hint(name, reader->needs->model_names(reader->needs->self), hint), shown);
    }
    check_features(reader, &s[CW_OPT_MODEL_FEATURES]);
}

/* ---- discount, deduplication, times ---- */

static void read_discount(struct cw_program_reader *reader, const struct cw_setting *section)
{
    struct cw_program *program = reader->program;
    struct cw_setting s[CW_OPT_DISCOUNT_COUNT];
    read_section(reader, section, &cw_discount_options, s);
    const struct cw_setting *base = &s[CW_OPT_DISCOUNT_DEFAULT];
    const struct cw_setting *max = &s[CW_OPT_DISCOUNT_MAX];
    const struct cw_setting *strategy = &s[CW_OPT_DISCOUNT_STRATEGY];
    program->discount.enabled = section->good && s[CW_OPT_DISCOUNT_ENABLED].yes;
    program->discount.dynamic = s[CW_OPT_DISCOUNT_DYNAMIC].yes;
    program->discount.base = base->number;
    program->discount.max = max->good ? max->number : base->number;
    program->discount.step = s[CW_OPT_DISCOUNT_STEP].number;
    if (strategy->good && strategy->word != 0) {
        cw_option_error(&reader->in, strategy->node,
                        "\"expectedProfit\" is not available in this version; write rule, or "
                        "remove the key");
    }
    if (max->good && max->number < base->number) {
        cw_option_error(&reader->in, max->node,
                        "\"maxDiscount\" %.15g is less than \"defaultDiscount\" %.15g%s; raise "
                        "it, or lower the other",
                        max->number, base->number, base->good ? "" : " (its default)");
    } else if (program->discount.enabled && program->discount.dynamic &&
               program->discount.max < program->discount.step) {
        cw_option_remark(&reader->in, section->key,
                         "no multiple of \"discountStep\" %.15g but 0 is within \"maxDiscount\" "
                         "%.15g, so the discount is always 0; lower the step",
                         program->discount.step, program->discount.max);
    }
}

static bool key_part(struct cw_view field, enum cw_key_part *part)
{
    static const struct {
        struct cw_view name;
        enum cw_key_part part;
    } fields[] = {{CW_VIEW("customerId"), CW_KEY_CUSTOMER},
                  {CW_VIEW("cartId"), CW_KEY_CART},
                  {CW_VIEW("programId"), CW_KEY_PROGRAM}};

    for (uint32_t i = 0; i < CW_COUNTOF(fields); i++) {
        if (cw_view_equal(fields[i].name, field)) {
            *part = fields[i].part;
            return true;
        }
    }
    return false;
}

static void tell_key_field(struct cw_program_reader *reader, uint32_t node, struct cw_view field)
{
    static const char *const names[] = {"customerId", "cartId", "programId", NULL};
    char shown[48];
    char hint[CW_OPTION_HINT_BYTES];
    cw_option_error(&reader->in, node, "\"keyFormat\" has no field {%s}; %s",
                    cw_yaml_printable(field, shown, sizeof shown),
                    cw_option_hint(field, names, hint));
}

/* The end of the literal or field that starts at `from`; 0: a brace is not closed or not opened. */
static uint32_t key_part_end(struct cw_view text, uint32_t from)
{
    bool field = text.data[from] == '{';
    uint32_t end = from + (field ? 1 : 0);
    while (end < text.bytes && text.data[end] != '{' && text.data[end] != '}') {
        end++;
    }
    bool closed = end < text.bytes && text.data[end] == '}';
    if (field != closed) {
        return 0;
    }
    return closed ? end + 1 : end;
}

static void read_key_format(struct cw_program_reader *reader, const struct cw_setting *setting)
{
    struct cw_key_format *key = &reader->program->dedup.key;
    struct cw_view text = cw_program_keep(reader, setting->text);
    uint32_t node = setting->node; /* 0, the root, only with the default, which is right */
    uint32_t longest = 0;          /* of the keys that this format can make */
    bool customer = false;
    for (uint32_t i = 0; i < text.bytes;) {
        uint32_t end = key_part_end(text, i);
        if (end == 0 || key->count == CW_KEY_PARTS_MAX) {
            cw_option_error(&reader->in, node,
                            "\"keyFormat\" has %s; write it like "
                            "{customerId}:{cartId}:{programId}",
                            end == 0 ? "a brace without its partner" : "more than 8 parts");
            return;
        }
        enum cw_key_part part = CW_KEY_LITERAL;
        struct cw_view piece = {text.data + i, end - i};
        if (text.data[i] == '{') {
            piece = (struct cw_view){text.data + i + 1, end - i - 2};
            if (!key_part(piece, &part)) {
                tell_key_field(reader, node, piece);
                customer = true; /* perhaps that is what was meant */
            }
        }
        customer = customer || part == CW_KEY_CUSTOMER;
        key->parts[key->count].part = part;
        key->parts[key->count].literal = part == CW_KEY_LITERAL ? piece : (struct cw_view){NULL, 0};
        key->count++;
        longest += 3 + (part == CW_KEY_LITERAL ? piece.bytes : CW_ID_BYTES_MAX);
        i = end;
    }
    if (longest > CW_TABLE_KEY_BYTES_MAX) {
        cw_option_error(&reader->in, node,
                        "\"keyFormat\" can make keys longer than %u bytes; use fewer or "
                        "shorter parts",
                        CW_TABLE_KEY_BYTES_MAX);
    }
    if (!customer) {
        cw_option_error(&reader->in, node,
                        "\"keyFormat\" must contain {customerId}: what is "
                        "remembered is kept per customer; add it");
    }
}

static void read_dedup(struct cw_program_reader *reader, const struct cw_setting *section)
{
    struct cw_setting s[CW_OPT_DEDUP_COUNT];
    read_section(reader, section, &cw_dedup_options, s);
    reader->program->dedup.enabled = s[CW_OPT_DEDUP_ENABLED].yes;
    reader->program->dedup.ttl_ms = to_ms(s[CW_OPT_DEDUP_TTL].number, CW_DAY_MS);
    read_key_format(reader, &s[CW_OPT_DEDUP_KEY]);
}

static void read_quiet(struct cw_program_reader *reader, const struct cw_setting *section)
{
    if (!section->good) {
        return;
    }
    struct cw_setting s[CW_OPT_QUIET_COUNT];
    cw_options_read(&reader->in, section->node, &cw_quiet_options, s);
    const struct cw_setting *start = &s[CW_OPT_QUIET_START];
    const struct cw_setting *end = &s[CW_OPT_QUIET_END];
    if (!start->good || !end->good) {
        return;
    }
    if (start->number == end->number) {
        cw_option_error(&reader->in, end->node,
                        "\"quietHours\" start and end at the same time; write two times, or remove "
                        "the key");
        return;
    }
    reader->program->quiet.set = true;
    reader->program->quiet.start_minute = (uint32_t)start->number;
    reader->program->quiet.end_minute = (uint32_t)end->number;
}

static void read_detection(struct cw_program_reader *reader, const struct cw_setting *section)
{
    struct cw_setting s[CW_OPT_DETECTION_COUNT];
    if (!section->good) {
        return;
    }
    cw_options_read(&reader->in, section->node, &cw_detection_options, s);
    if (s[CW_OPT_DETECTION_TIMEOUT].good) {
        reader->program->session_timeout_ms =
            to_ms(s[CW_OPT_DETECTION_TIMEOUT].number, CW_MINUTE_MS);
    }
}

/* 60 minutes, or the smallest distance between two touches if that is less. */
static int64_t default_gap(const struct cw_program *program)
{
    int64_t gap_ms = CW_HOUR_MS;
    for (uint32_t i = 1; i < program->touch_count; i++) {
        int64_t distance_ms = program->touches[i].delay_ms - program->touches[i - 1].delay_ms;
        gap_ms = distance_ms < gap_ms ? distance_ms : gap_ms;
    }
    return gap_ms;
}

void cw_program_read(struct cw_program_reader *reader)
{
    struct cw_program *program = reader->program;
    struct cw_setting s[CW_OPT_PROGRAM_COUNT];
    cw_options_read(&reader->in, 0, &cw_program_options, s);
    reader->id_node = s[CW_OPT_PROGRAM_ID].good ? s[CW_OPT_PROGRAM_ID].node : 0;
    bool named = s[CW_OPT_PROGRAM_NAME].good;
    struct cw_view file = {reader->in.file, (uint32_t)strnlen(reader->in.file, 4096)};
    program->file = cw_program_keep(reader, file);
    program->id = cw_program_keep(reader, s[CW_OPT_PROGRAM_ID].text);
    program->name = named ? cw_program_keep(reader, s[CW_OPT_PROGRAM_NAME].text) : program->id;
    program->enabled = s[CW_OPT_PROGRAM_ENABLED].yes;
    program->candidate_ttl_ms = to_ms(s[CW_OPT_PROGRAM_TTL].number, CW_DAY_MS);
    program->on_reabandon = (enum cw_on_reabandon)s[CW_OPT_PROGRAM_ON_REABANDON].word;
    program->on_new_cart = (enum cw_on_new_cart)s[CW_OPT_PROGRAM_ON_NEW_CART].word;
    program->holdout_percent = s[CW_OPT_PROGRAM_HOLDOUT].number;
    program->code_valid_ms = to_ms(s[CW_OPT_PROGRAM_CODE_VALID].number, CW_HOUR_MS);
    program->unique_codes = s[CW_OPT_PROGRAM_CODES].word == 1;
    read_marketplaces(reader, &s[CW_OPT_PROGRAM_MARKETPLACES]);
    if (s[CW_OPT_PROGRAM_SOURCES].good) {
        cw_program_read_sources(reader, s[CW_OPT_PROGRAM_SOURCES].node);
    }
    read_model(reader, &s[CW_OPT_PROGRAM_MODELS]);
    read_filters(reader, &s[CW_OPT_PROGRAM_FILTERS]);
    read_discount(reader, &s[CW_OPT_PROGRAM_DISCOUNT]);
    read_dedup(reader, &s[CW_OPT_PROGRAM_DEDUP]);
    read_quiet(reader, &s[CW_OPT_PROGRAM_QUIET]);
    read_detection(reader, &s[CW_OPT_PROGRAM_DETECTION]);
    if (s[CW_OPT_PROGRAM_CHANNELS].good) {
        cw_program_read_channels(reader, s[CW_OPT_PROGRAM_CHANNELS].node);
    }
    program->min_gap_ms = s[CW_OPT_PROGRAM_MIN_GAP].good
                              ? to_ms(s[CW_OPT_PROGRAM_MIN_GAP].number, CW_MINUTE_MS)
                              : default_gap(program);
}
