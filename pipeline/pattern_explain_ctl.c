/* Why a pattern matches or not, field by field, for people. */
#include "pipeline/pattern_priv.h"

enum {
    VALUES_SHOWN = 4,
    VALUE_BYTES_SHOWN = 80,
    SPEC_BYTES_SHOWN = 300
};

/* ---- What the document has at a path ---- */

struct found {
    struct cw_text *out;
    const struct cw_json *doc;
    struct cw_text name;
    uint32_t count;
    uint32_t steps;
};

static void put_cut(struct cw_text *out, struct cw_view text, uint32_t bytes_max)
{
    uint32_t bytes = text.bytes;
    if (bytes > bytes_max) {
        bytes = bytes_max;
        while (bytes > 0 && ((uint8_t)text.data[bytes] & 0xc0) == 0x80) {
            bytes--; /* not within a letter */
        }
    }
    for (uint32_t i = 0; i < bytes; i++) { /* one line it is */
        bool control = (uint8_t)text.data[i] < ' ';
        cw_text_put(out, control ? " " : &text.data[i], 1);
    }
    cw_text_puts(out, bytes < text.bytes ? "..." : "");
}

static void find_values(struct found *f, uint32_t at, struct cw_view path, bool inside);

/* Each member whose name, dots and all, the path begins with. */
static void find_in_object(struct found *f, uint32_t object, struct cw_view path)
{
    const struct cw_json_node *nodes = f->doc->nodes;
    for (uint32_t i = object + 1; i < nodes[object].next; i = nodes[i].next) {
        struct cw_view name = {f->doc->text + nodes[i].key, nodes[i].key_bytes};
        if (nodes[i].key_escaped) {
            cw_text_clear(&f->name);
            char *room = cw_text_room(&f->name, name.bytes + 1);
            name = (struct cw_view){room, cw_json_unescape(name, room)};
        }
        if (name.bytes > path.bytes || memcmp(name.data, path.data, name.bytes) != 0) {
            continue;
        }
        if (name.bytes == path.bytes) {
            find_values(f, i, (struct cw_view){"", 0}, true);
        } else if (path.data[name.bytes] == '.') {
            uint32_t used = name.bytes + 1;
            find_values(f, i, (struct cw_view){path.data + used, path.bytes - used}, false);
        }
    }
}

/* inside: the whole path has been gone, so a scalar here is a value of it. */
static void find_values(struct found *f, uint32_t at, struct cw_view path, bool inside)
{
    const struct cw_json_node *nodes = f->doc->nodes;
    if (nodes[at].type == CW_JSON_OBJECT) {
        if (!inside) {
            find_in_object(f, at, path);
        }
    } else if (nodes[at].type == CW_JSON_ARRAY) {
        for (uint32_t i = at + 1; i < nodes[at].next; i = nodes[i].next) {
            find_values(f, i, path, inside);
        }
    } else if (inside) {
        if (f->count < VALUES_SHOWN) {
            bool quoted = nodes[at].type == CW_JSON_STRING;
            cw_text_puts(f->out, f->count == 0 ? "the event has " : ", ");
            cw_text_puts(f->out, quoted ? "\"" : "");
            put_cut(f->out, cw_json_raw(f->doc, at), VALUE_BYTES_SHOWN);
            cw_text_puts(f->out, quoted ? "\"" : "");
        }
        f->count++;
    }
}

static void put_values(struct cw_text *out, const struct cw_json *doc, struct cw_view path)
{
    struct found f = {.out = out, .doc = doc};
    find_in_object(&f, 0, path);
    cw_text_deinit(&f.name);
    if (f.count == 0) {
        cw_text_puts(out, "the event has no value there");
    } else if (f.count > VALUES_SHOWN) {
        cw_text_printf(out, " and %u more", f.count - VALUES_SHOWN);
    }
}

/* ---- The lines ---- */

/* What names a place in an $or is not part of the event's path. */
static void put_event_path(struct cw_text *to, struct cw_view path)
{
    for (uint32_t i = 0; i < path.bytes;) {
        bool start = i == 0 || path.data[i - 1] == '.';
        struct cw_view rest = {path.data + i, path.bytes - i};
        if (start && rest.bytes > 5 && memcmp(rest.data, "$or[", 4) == 0) {
            uint32_t k = 4;
            while (k < rest.bytes && (uint8_t)(rest.data[k] - '0') < 10) {
                k++;
            }
            if (k > 4 && k + 1 < rest.bytes && rest.data[k] == ']' && rest.data[k + 1] == '.') {
                i += k + 2;
                continue;
            }
        }
        cw_text_char(to, path.data[i++]);
    }
}

static bool is_set(const struct cw_pattern_scratch *m, uint32_t bit)
{
    return bit != CW_PATTERN_NONE && m->heads[bit] != CW_PATTERN_NONE;
}

/* Some value meets it, or absence does. */
static bool is_condition_met(const struct cw_pattern_scratch *m,
                             const struct cw_pattern_condition *condition)
{
    const struct cw_pattern_key *key = &m->set->keys.at[condition->node];
    return is_set(m, condition->bit) || (condition->absent_ok && !is_set(m, key->presence));
}

static bool all_met_somewhere(const struct cw_pattern_scratch *m, uint32_t pattern)
{
    const struct cw_pattern_set *set = m->set;
    const struct cw_pattern_info *info = &set->patterns.at[pattern];
    for (uint32_t a = info->alternative; a < info->alternative + info->alternative_count; a++) {
        const struct cw_pattern_alternative *alternative = &set->alternatives.at[a];
        bool all = true;
        for (uint32_t p = 0; all && p < alternative->pair_count; p++) {
            uint32_t condition = set->pairs.at[alternative->pair + p].condition;
            all = is_condition_met(m, &set->conditions.at[condition]);
        }
        if (all) {
            return true;
        }
    }
    return false;
}

/* decided: the pattern matches and has no choices, so that every field is met. */
static void put_leaf(struct cw_text *out, const struct cw_pattern_scratch *m,
                     const struct cw_pattern_leaf *leaf, bool decided)
{
    const char *pool = m->set->pool.data;
    const struct cw_pattern_condition *condition = &m->set->conditions.at[leaf->condition];
    struct cw_view path = {pool + leaf->path, leaf->path_bytes};
    struct cw_view spec = {pool + leaf->spec, leaf->spec_bytes};
    bool met = is_condition_met(m, condition);
    if (condition->uses == 0) {
        cw_text_puts(out, "replaced by a later one: ");
    } else {
        cw_text_puts(out, met || decided ? "met: " : "not met: ");
    }
    put_cut(out, path, SPEC_BYTES_SHOWN);
    cw_text_puts(out, " asks for ");
    put_cut(out, spec, SPEC_BYTES_SHOWN);
    cw_text_puts(out, leaf->range ? " (a range); " : "; ");
    struct cw_text event_path = {0};
    put_event_path(&event_path, path);
    put_values(out, m->doc,
               (struct cw_view){event_path.data == NULL ? "" : event_path.data,
                                (uint32_t)event_path.bytes});
    cw_text_deinit(&event_path);
    cw_text_puts(out, decided && !met ? ", but not in the elements that meet the rest\n" : "\n");
}

void cw_pattern_explain(const struct cw_pattern_set *set, uint32_t pattern,
                        struct cw_pattern_scratch *scratch, const struct cw_json *doc,
                        struct cw_text *out)
{
    CW_ASSERT(set->sealed && pattern < set->patterns.count);
    if (doc->node_count == 0 || doc->nodes[0].type != CW_JSON_OBJECT) {
        cw_text_puts(out, "not met: an event is a JSON object\n");
        return;
    }
    struct cw_pattern_matches matches;
    cw_pattern_match(set, scratch, doc, &matches);
    cw_pattern_log(scratch); /* of an ordinary document, too: it tells what each value met */
    bool matched = (matches.words[pattern >> 6] >> (pattern & 63) & 1) != 0;
    const struct cw_pattern_info *info = &set->patterns.at[pattern];
    for (uint32_t l = info->leaf; l < info->leaf + info->leaf_count; l++) {
        put_leaf(out, scratch, &set->leaves.at[l], matched && info->alternative_count == 1);
    }
    if (!matched && all_met_somewhere(scratch, pattern)) {
        cw_text_puts(out, "not met: the fields above by one element of an array together\n");
    }
}
