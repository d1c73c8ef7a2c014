/* explain: works out every verdict on an event by asking the stages' own looks. */
#include "pipeline/explain_priv.h"

#include <stdlib.h>
#include <string.h>

struct cw_explain {
    struct cw_explain_options options;
    struct cw_pattern_scratch *scratch;
    struct cw_text head;
    struct cw_text matches[CW_PROGRAMS_MAX], paths[CW_PROGRAMS_MAX], verdicts[CW_PROGRAMS_MAX];
    struct cw_text journey;
    uint64_t lines;
    struct cw_text patterns[CW_EXPLAINED_SOURCES_MAX];
    struct cw_explained item;
};

/* ---- names ---- */

const char *cw_explain_fate_name(enum cw_item_fate fate)
{
    static const char *const names[] = {
#define CW_X(name, text, help) text,
        CW_ITEM_FATES(CW_X)
#undef CW_X
            "goes-on"};
    CW_ASSERT((size_t)fate < CW_COUNTOF(names));
    return names[fate];
}

const char *cw_explain_reabandon_name(enum cw_on_reabandon policy)
{
    return policy == CW_REABANDON_RESTART  ? "restart"
           : policy == CW_REABANDON_UPDATE ? "update"
                                           : "ignore";
}

const char *cw_explain_new_cart_name(enum cw_on_new_cart policy)
{
    return policy == CW_NEW_CART_SUPERSEDE ? "supersede" : "parallel";
}

const char *cw_explain_filter_type_name(enum cw_filter_type type)
{
    return type == CW_FILTER_TRUST         ? "trust"
           : type == CW_FILTER_ELIGIBILITY ? "eligibility"
                                           : "business-rule";
}

const char *cw_explain_account_name(uint8_t status)
{
    return status == CW_ACCOUNT_ACTIVE      ? "active"
           : status == CW_ACCOUNT_SUSPENDED ? "suspended"
                                            : "closed";
}

const char *cw_explain_standing_name(enum cw_standing standing)
{
    return standing == CW_STANDING_STAYS       ? "stays"
           : standing == CW_STANDING_GIVES_WAY ? "gives-way"
                                               : "apart";
}

const char *cw_explain_type_name(enum cw_event_type type)
{
    return type < CW_EVENT_TYPE_COUNT ? cw_event_type_name(type)
           : type == CW_EVENT_INVALID ? "invalid"
                                      : "unknown";
}

const struct cw_product_row *cw_explain_product(const struct cw_pipeline *p, cw_row product)
{
    const struct cw_product_row *row =
        product == CW_ROW_NONE ? NULL : cw_table_value(p->products, product);
    return row == NULL || row->time == CW_TIME_NONE ? NULL : row;
}

void cw_explain_key(const struct cw_item *item, struct cw_text *out)
{
    const struct cw_key_format *format = &item->program->dedup.key;
    for (uint32_t i = 0; i < format->count; i++) {
        switch (format->parts[i].part) {
        case CW_KEY_LITERAL: cw_text_view(out, format->parts[i].literal); break;
        case CW_KEY_CUSTOMER: cw_text_view(out, item->customer->id); break;
        case CW_KEY_CART: cw_text_view(out, item->event->cart); break;
        case CW_KEY_PROGRAM: cw_text_view(out, item->program->id); break;
        }
    }
}

void cw_explain_fields(uint32_t fields, struct cw_text *out)
{
    static const char *const names[] = {
#define CW_X(bit, name, text, help) [bit] = (text),
        CW_FIELDS(CW_X)
#undef CW_X
    };
    const char *between = "";
    for (uint32_t i = 0; i < CW_COUNTOF(names); i++) {
        if ((fields >> i & 1u) != 0) {
            cw_text_puts(out, between);
            cw_text_puts(out, names[i]);
            between = ", ";
        }
    }
}

void cw_explain_plain(struct cw_text *out, struct cw_view view)
{
    for (uint32_t i = 0; i < view.bytes; i++) {
        uint8_t c = (uint8_t)view.data[i];
        bool c1 = c == 0xc2 && i + 1 < view.bytes && (uint8_t)view.data[i + 1] < 0xa0;
        cw_text_char(out, c < 0x20 || c == 0x7f || c1 ? '?' : view.data[i]);
        i += c1; /* U+0080 to U+009F move terminals too */
    }
}

/* ---- life ---- */

cw_err cw_explain_open(struct cw_explain **explain, const struct cw_explain_options *options,
                       struct cw_fault *fault)
{
    struct cw_explain *made = calloc(1, sizeof *made);
    CW_ASSERT(made != NULL);
    made->options = *options;
    cw_err err = cw_pattern_scratch_open(&made->scratch, fault);
    if (err != CW_ERR_OK) {
        free(made);
        return err;
    }
    *explain = made;
    return CW_ERR_OK;
}

void cw_explain_close(struct cw_explain *explain)
{
    cw_pattern_scratch_close(explain->scratch);
    cw_text_deinit(&explain->head);
    cw_text_deinit(&explain->journey);
    for (uint32_t i = 0; i < CW_PROGRAMS_MAX; i++) {
        cw_text_deinit(&explain->matches[i]);
        cw_text_deinit(&explain->paths[i]);
        cw_text_deinit(&explain->verdicts[i]);
    }
    for (uint32_t i = 0; i < CW_EXPLAINED_SOURCES_MAX; i++) {
        cw_text_deinit(&explain->patterns[i]);
    }
    free(explain);
}

static bool is_shown(const struct cw_explain *explain, const struct cw_program *program)
{
    return explain->options.only == NULL || explain->options.only == program;
}

static struct cw_view view_of(const struct cw_text *text)
{
    return (struct cw_view){text->data == NULL ? "" : text->data, (uint32_t)text->bytes};
}

/* ---- an event ---- */

static void explain_match(struct cw_explain *explain, const struct cw_explained_event *event,
                          const struct cw_json *doc, uint32_t slot)
{
    const struct cw_programs *programs = explain->options.programs;
    struct cw_explained_match x = {.program = &programs->list[slot],
                                   .wanted = (event->event->programs >> slot & 1u) != 0,
                                   .source_count = programs->list[slot].source_count};
    bool some = false;
    CW_ASSERT(x.source_count <= CW_EXPLAINED_SOURCES_MAX);
    for (uint32_t i = 0; i < x.source_count; i++) {
        const struct cw_program_source *source = &x.program->sources[i];
        struct cw_pattern_matches matches;
        cw_pattern_match(programs->patterns, explain->scratch, doc, &matches);
        cw_text_clear(&explain->patterns[i]);
        cw_pattern_explain(programs->patterns, source->pattern, explain->scratch, doc,
                           &explain->patterns[i]);
        x.sources[i] = (struct cw_explained_source){
            .bus = source->bus.data != NULL ? source->bus : CW_VIEW("default"),
            .takes_bus = cw_source_takes_bus(source, event->bus),
            .matches = (matches.words[source->pattern / 64] >> (source->pattern % 64) & 1u) != 0,
            .lines = view_of(&explain->patterns[i])};
        some |= x.sources[i].takes_bus && x.sources[i].matches;
    }
    cw_text_puts(&explain->verdicts[slot], x.wanted ? "goes no further" : "no match");
    x.made_for_other = event->origin.file.data == NULL && !x.wanted && some && x.program->enabled;
    if (explain->options.format == CW_EXPLAIN_JSON) {
        cw_explain_json_match(&x, &explain->matches[slot]);
    } else {
        cw_explain_text_match(&x, explain->options.format == CW_EXPLAIN_COLOUR,
                              &explain->matches[slot]);
    }
}

void cw_explain_event(struct cw_explain *explain, const struct cw_pipeline *p,
                      const struct cw_event *event, const struct cw_explain_origin *origin)
{
    const struct cw_decoder *decoder = origin->decoder != NULL ? origin->decoder : p->decoder;
    const struct cw_json *doc = cw_decoder_document(decoder);
    bool known_type = event->type < CW_EVENT_TYPE_COUNT;
    struct cw_explained_event x = {.event = event,
                                   .origin = *origin,
                                   .bus =
                                       known_type ? cw_decoder_bus(decoder) : (struct cw_view){0},
                                   .now = p->now};
    cw_text_clear(&explain->head);
    cw_text_clear(&explain->journey);
    explain->lines = 0;
    if (explain->options.format == CW_EXPLAIN_JSON) {
        cw_explain_json_event(&x, &explain->head);
    } else {
        cw_explain_text_event(&x, explain->options.format == CW_EXPLAIN_COLOUR, &explain->head);
    }
    for (uint32_t i = 0; i < explain->options.programs->count; i++) {
        cw_text_clear(&explain->matches[i]);
        cw_text_clear(&explain->paths[i]);
        cw_text_clear(&explain->verdicts[i]);
        if (event->type == CW_EVENT_CART_ABANDONED && doc != NULL &&
            is_shown(explain, &explain->options.programs->list[i])) {
            explain_match(explain, &x, doc, i);
        }
    }
}

void cw_explain_fate(struct cw_explain *explain, enum cw_event_fate fate)
{
    static const struct {
        const char *name, *help;
    } fates[CW_EVENT_FATE_COUNT] = {

#define CW_X(name, text, help) {text, help},
        CW_EVENT_FATES(CW_X)
#undef CW_X
    };

    CW_ASSERT(fate < CW_EVENT_FATE_COUNT);
    if (explain->options.format == CW_EXPLAIN_JSON) {
        cw_text_printf(&explain->head, ",\"fate\":\"%s\"", fates[fate].name);
    } else {
        cw_explain_text_fate(fates[fate].name, fates[fate].help,
                             explain->options.format == CW_EXPLAIN_COLOUR, &explain->head);
    }
}

/* ---- a path ---- */

static void look_at_filters(struct cw_explained *x)
{
    const struct cw_program *program = x->item.program;
    for (uint32_t i = 0; i < program->filter_count; i++) {
        struct cw_explained_filter *found = &x->filters[i];
        *found = (struct cw_explained_filter){
            .filter = &program->filters[i],
            .look = cw_filter_look(x->p, &x->item, &program->filters[i]),
            .verdict = cw_filter_verdict(x->p, &x->item, &program->filters[i])};
        for (uint32_t check = 0; check < CW_CHECK_COUNT; check++) {
            if (cw_checks[check].type == found->filter->type) {
                found->passes[check] = cw_check_passes((enum cw_check)check, &found->look);
            }
        }
    }
}

static void look(struct cw_explained *x, struct cw_pipeline *p, const struct cw_item *item)
{
    *x = (struct cw_explained){.p = p, .item = *item, .end = CW_STAGE_COUNT};
    for (uint32_t s = 0; s < CW_STAGE_COUNT; s++) {
        x->fates[s] = cw_graph[s].look(p, &x->item);
        if (x->fates[s] != CW_STAGE_GOES_ON && x->end == CW_STAGE_COUNT) {
            x->end = s;
        }
    }
    CW_ASSERT(x->end < CW_STAGE_COUNT); /* the last stage ends every path */
    look_at_filters(x);
    const struct cw_model *model = x->item.program->model;
    x->part_count = cw_model_explain(model, &x->item.features, x->parts, &x->bias);
    x->intent = cw_model_score(model, &x->item.features);
    x->discount = cw_discount(x->item.program, x->item.score,
                              x->item.features.numeric[CW_FEATURE_discount_sensitivity]);
    x->plan = cw_candidate_plan(p, &x->item);
}

static void put_verdict(const struct cw_explained *x, struct cw_text *out)
{
    enum cw_item_fate fate = x->fates[x->end];
    cw_text_clear(out);
    cw_text_puts(out, cw_explain_fate_name(fate));
    if (fate == CW_ITEM_FATE_REJECTED) {
        cw_text_printf(out, ", %s by %.*s", cw_rejection_name(x->item.rejection),
                       (int)x->item.filter.bytes, x->item.filter.data);
    } else if (fate == CW_ITEM_FATE_CANDIDATE || fate == CW_ITEM_FATE_UPDATED) {
        cw_text_printf(out, ", score %.4f, confidence %s, %g %%%s", x->item.score,
                       cw_confidence_name(x->item.confidence), x->plan.discount,
                       x->plan.holdout ? ", held out" : "");
    }
}

void cw_explain_item(struct cw_explain *explain, struct cw_pipeline *p, const struct cw_item *item)
{
    if (!is_shown(explain, item->program)) {
        return;
    }
    look(&explain->item, p, item);
    struct cw_text *out = &explain->paths[item->slot];
    if (explain->options.format == CW_EXPLAIN_JSON) {
        cw_explain_json_item(&explain->item, out);
    } else {
        cw_explain_text_item(&explain->item, explain->options.format == CW_EXPLAIN_COLOUR, out);
        put_verdict(&explain->item, &explain->verdicts[item->slot]);
    }
}

/* ---- all together ---- */

void cw_explain_line(struct cw_explain *explain, struct cw_view line)
{
    if (explain->options.format == CW_EXPLAIN_JSON) {
        cw_text_puts(&explain->journey, explain->lines == 0 ? "" : ",");
        cw_text_view(&explain->journey, line);
    } else {
        cw_explain_text_line(line, CW_TIME_BYTES + 2, &explain->journey);
    }
    explain->lines++;
}

static void write_json(struct cw_explain *explain, struct cw_text *out)
{
    cw_text_puts(out, "{\"event\":{");
    cw_text_view(out, view_of(&explain->head));
    cw_text_puts(out, "},\"programs\":[");
    const char *between = "{";
    for (uint32_t i = 0; i < explain->options.programs->count; i++) {
        if (explain->matches[i].bytes == 0) {
            continue;
        }
        cw_text_puts(out, between);
        cw_text_view(out, view_of(&explain->matches[i]));
        if (explain->paths[i].bytes > 0) {
            cw_text_char(out, ',');
            cw_text_view(out, view_of(&explain->paths[i]));
        }
        cw_text_char(out, '}');
        between = ",{";
    }
    cw_text_puts(out, "],\"journey\":[");
    cw_text_view(out, view_of(&explain->journey));
    cw_text_puts(out, "]}\n");
}

void cw_explain_write(struct cw_explain *explain, struct cw_text *out)
{
    if (explain->options.format == CW_EXPLAIN_JSON) {
        write_json(explain, out);
        return;
    }
    cw_text_view(out, view_of(&explain->head));
    for (uint32_t i = 0; i < explain->options.programs->count; i++) {
        if (explain->matches[i].bytes > 0) {
            cw_explain_text_heading(explain->options.programs->list[i].id,
                                    view_of(&explain->verdicts[i]), out);
        }
        cw_text_view(out, view_of(&explain->matches[i]));
        cw_text_view(out, view_of(&explain->paths[i]));
    }
    cw_text_puts(out, "\nwhat followed\n");
    cw_text_puts(out, explain->lines == 0 ? "  nothing was decided about it\n" : "");
    cw_text_view(out, view_of(&explain->journey));
}

/* ---- the table of stages ---- */

void cw_explain_graph(enum cw_explain_format format, struct cw_text *out)
{
    if (format == CW_EXPLAIN_JSON) {
        cw_explain_json_graph(out);
    } else {
        cw_explain_text_graph(out);
    }
}

void cw_explain_graph_dot(struct cw_text *out)
{
    cw_text_puts(out, "digraph cartwheel {\n"
                      "    rankdir=TB; node [shape=box, fontname=\"sans-serif\"];\n"
                      "    edge [fontname=\"sans-serif\", fontsize=10];\n"
                      "    match [label=\"match\"];\n"
                      "    unmatched [shape=plaintext];\n"
                      "    match -> unmatched;\n"
                      "    match -> deduplicate [label=\"event\"];\n");
    uint32_t fates = 0;
    for (uint32_t s = 0; s < CW_STAGE_COUNT; s++) {
        const struct cw_stage *stage = &cw_graph[s];
        cw_text_printf(out, "    %s;\n", stage->name);
        if (s + 1 < CW_STAGE_COUNT) {
            cw_text_printf(out, "    %s -> %s [label=\"", stage->name, cw_graph[s + 1].name);
            cw_explain_fields(stage->writes, out);
            cw_text_puts(out, "\"];\n");
        }
        for (uint32_t fate = 0; fate < CW_ITEM_FATE_COUNT; fate++) {
            if ((stage->fates >> fate & 1u) != 0) {
                cw_text_printf(out, "    %s -> fate_%u;\n", stage->name, fate);
                fates |= 1u << fate;
            }
        }
    }
    for (uint32_t fate = 0; fate < CW_ITEM_FATE_COUNT; fate++) {
        if ((fates >> fate & 1u) != 0) {
            cw_text_printf(out, "    fate_%u [label=\"%s\", shape=plaintext];\n", fate,
                           cw_explain_fate_name((enum cw_item_fate)fate));
        }
    }
    cw_text_puts(out, "}\n");
}
