/* Compiles a field's list of values: each entry to a test, the list to a condition. */
#include "core/problem.h"
#include "pipeline/pattern_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

const char *const cw_pattern_operators[] = {
    "prefix", "suffix", "equals-ignore-case", "anything-but", "numeric",
    "cidr",   "exists", "wildcard",           "exactly",      NULL,
};

/* One list while it is compiled. */
struct list {
    struct cw_pattern_place *place;
    uint32_t key;
    CW_PATTERN_VECTOR(uint32_t) tests;
    bool absent_ok;
};

static struct cw_view key_name(const struct cw_json *doc, uint32_t node)
{
    return (struct cw_view){doc->text + doc->nodes[node].key, doc->nodes[node].key_bytes};
}

static bool is_named(const struct cw_json *doc, uint32_t node, const char *name)
{
    return cw_view_equal(key_name(doc, node), (struct cw_view){name, (uint32_t)strlen(name)});
}

static uint32_t count_of(const struct cw_json *doc, uint32_t container)
{
    uint32_t count = 0;
    for (uint32_t i = container + 1; i < doc->nodes[container].next; i = doc->nodes[i].next) {
        count++;
    }
    return count;
}

/* Takes a string's meaning into the pool. */
static struct cw_pattern_arg text_arg(struct cw_pattern_place *place, uint32_t node, uint32_t op)
{
    struct cw_text *pool = &place->set->pool;
    struct cw_view raw = cw_json_raw(place->doc, node);
    char *room = cw_text_room(pool, raw.bytes + 1);
    struct cw_pattern_arg arg = {.op = op, .text = (uint32_t)pool->bytes};
    arg.text_bytes = cw_json_unescape(raw, room);
    pool->bytes += arg.text_bytes;
    return arg;
}

static struct cw_view arg_text(const struct cw_pattern_set *set, const struct cw_pattern_arg *arg)
{
    return (struct cw_view){set->pool.data + arg->text, arg->text_bytes};
}

/* Everything that makes two arguments equal, for interning. */
static void identify(const struct cw_pattern_set *set, const struct cw_pattern_arg *arg,
                     struct cw_text *to)
{
    cw_text_put(to, &arg->op, sizeof arg->op);
    cw_text_put(to, &arg->low, sizeof arg->low);
    cw_text_put(to, &arg->high, sizeof arg->high);
    cw_text_put(to, &arg->text_bytes, sizeof arg->text_bytes);
    cw_text_view(to, arg_text(set, arg));
    if (arg->op == CW_PATTERN_CIDR) {
        uint64_t ip[] = {arg->from.high, arg->from.low, arg->to.high, arg->to.low, arg->from.v6};
        cw_text_put(to, ip, sizeof ip);
    }
}

static void add_test(struct list *list, const struct cw_pattern_arg *args, uint32_t count, bool but)
{
    struct cw_pattern_set *set = list->place->set;
    struct cw_text text = {0};
    cw_text_char(&text, but ? 'b' : 't');
    cw_text_put(&text, &list->key, sizeof list->key);
    for (uint32_t i = 0; i < count; i++) {
        identify(set, &args[i], &text);
    }
    uint32_t id =
        cw_pattern_intern(set, (struct cw_view){text.data, (uint32_t)text.bytes}, set->tests.count);
    cw_text_deinit(&text);
    if (id == set->tests.count) {
        struct cw_pattern_test test = {.arg = set->args.count, .arg_count = count, .but = but};
        for (uint32_t i = 0; i < count; i++) {
            CW_PATTERN_PUSH(&set->args, args[i]);
        }
        CW_PATTERN_PUSH(&set->tests, test);
    }
    CW_PATTERN_PUSH(&list->tests, id);
}

/* ---- Numbers ---- */

static cw_err read_number(struct cw_pattern_place *place, uint32_t node, double *value)
{
    struct cw_view raw = cw_json_raw(place->doc, node);
    struct cw_pattern_number number = cw_pattern_number_read(raw);
    number.value = cw_json_number(raw);
    number.exact = true;
    *value = number.value == 0 ? 0 : number.value; /* no -0, for interning */
    if (cw_pattern_number_held(&number)) {
        return CW_ERR_OK;
    }
    struct cw_text nearest = {0};
    if (isfinite(number.value)) {
        cw_text_number(&nearest, number.value);
    } else {
        cw_text_puts(&nearest, "at most 1.7976931348623157e308");
    }
    cw_err err = cw_pattern_refuse(
        place, "%.*s%s is not a number that binary64 holds without loss; write %s",
        raw.bytes > 40 ? 40 : (int)raw.bytes, raw.data, raw.bytes > 40 ? "..." : "",
        cw_text_terminate(&nearest));
    cw_text_deinit(&nearest);
    return err;
}

/* A number as a value of the list: one that binary64 does not hold is matched by spelling. */
static struct cw_pattern_arg number_arg(struct cw_pattern_place *place, uint32_t node)
{
    struct cw_view raw = cw_json_raw(place->doc, node);
    struct cw_pattern_number number = cw_pattern_number_read(raw);
    number.value = cw_json_number(raw);
    number.exact = true;
    if (cw_pattern_number_held(&number)) {
        double value = number.value == 0 ? 0 : number.value;
        return (struct cw_pattern_arg){.op = CW_PATTERN_RANGE, .low = value, .high = value};
    }
    struct cw_pattern_arg arg = {
        .op = CW_PATTERN_SPELLING,
        .text = (uint32_t)place->set->pool.bytes,
        .text_bytes = raw.bytes,
    };
    cw_text_view(&place->set->pool, raw);
    return arg;
}

/* One comparison narrows the range; bounds that are not part of it move to the next binary64. */
static bool narrow(struct cw_pattern_arg *arg, struct cw_view sign, double value)
{
    if (cw_view_equal(sign, CW_VIEW("="))) {
        arg->low = value;
        arg->high = value;
    } else if (cw_view_equal(sign, CW_VIEW("<"))) {
        arg->high = nextafter(value, -INFINITY);
    } else if (cw_view_equal(sign, CW_VIEW("<="))) {
        arg->high = value;
    } else if (cw_view_equal(sign, CW_VIEW(">"))) {
        arg->low = nextafter(value, INFINITY);
    } else if (cw_view_equal(sign, CW_VIEW(">="))) {
        arg->low = value;
    } else {
        return false;
    }
    return true;
}

static cw_err compile_numeric(struct list *list, uint32_t node)
{
    struct cw_pattern_place *place = list->place;
    const struct cw_json *doc = place->doc;
    uint32_t count = doc->nodes[node].type == CW_JSON_ARRAY ? count_of(doc, node) : 0;
    if (count != 2 && count != 4) {
        return cw_pattern_refuse(place, "\"numeric\" takes one or two comparisons in a list; write "
                                        "[\">=\",50] or [\">=\",50,\"<\",100]");
    }
    struct cw_pattern_arg arg = {.op = CW_PATTERN_RANGE, .low = -INFINITY, .high = INFINITY};
    struct cw_view signs[2] = {{0}};
    double values[2] = {0};
    uint32_t at = node + 1;
    for (uint32_t i = 0; i < count / 2; i++) {
        uint32_t sign = at;
        uint32_t value = doc->nodes[sign].next;
        at = doc->nodes[value].next;
        signs[i] = cw_json_raw(doc, sign);
        if (doc->nodes[sign].type != CW_JSON_STRING || !narrow(&arg, signs[i], 0)) {
            return cw_pattern_refuse(place,
                                     "%.*s is no comparison of \"numeric\"; write one of "
                                     "\"=\", \"<\", \"<=\", \">\", \">=\"",
                                     signs[i].bytes > 40 ? 40 : (int)signs[i].bytes, signs[i].data);
        }
        if (doc->nodes[value].type != CW_JSON_NUMBER) {
            return cw_pattern_refuse(place,
                                     "a number must follow \"%.*s\", such as 50, without "
                                     "quotes",
                                     (int)signs[i].bytes, signs[i].data);
        }
        cw_err err = read_number(place, value, &values[i]);
        if (err != CW_ERR_OK) {
            return err;
        }
    }
    if (count == 4 && (signs[0].data[0] != '>' || signs[1].data[0] != '<')) {
        return cw_pattern_refuse(place, "of two comparisons the first is \">\" or \">=\", the "
                                        "second \"<\" or \"<=\"; write [\">=\",50,\"<\",100]");
    }
    if (count == 4 && !(values[0] < values[1])) {
        return cw_pattern_refuse(place, "the range is empty; the lower bound must be smaller than "
                                        "the upper one");
    }
    arg = (struct cw_pattern_arg){.op = CW_PATTERN_RANGE, .low = -INFINITY, .high = INFINITY};
    for (uint32_t i = 0; i < count / 2; i++) {
        (void)narrow(&arg, signs[i], values[i]);
    }
    add_test(list, &arg, 1, false);
    return CW_ERR_OK;
}

/* ---- Texts ---- */

static cw_err check_wildcard(struct cw_pattern_place *place, struct cw_view text)
{
    bool star = false;
    for (uint32_t i = 0; i < text.bytes; i++) {
        if (text.data[i] == '*' && star) {
            return cw_pattern_refuse(place, "a wildcard has no two * side by side; write one");
        }
        star = text.data[i] == '*';
        if (text.data[i] == '\\') {
            i++;
            if (i == text.bytes || (text.data[i] != '*' && text.data[i] != '\\')) {
                return cw_pattern_refuse(place, "in a wildcard \\ escapes only * and \\; write "
                                                "\\\\* for a star and \\\\\\\\ for a backslash");
            }
        }
    }
    return CW_ERR_OK;
}

static cw_err compile_text(struct list *list, uint32_t node, const char *op_name, uint32_t op)
{
    struct cw_pattern_place *place = list->place;
    if (place->doc->nodes[node].type != CW_JSON_STRING) {
        return cw_pattern_refuse(place, "\"%s\" takes a string; write {\"%s\":\"...\"}", op_name,
                                 op_name);
    }
    struct cw_pattern_arg arg = text_arg(place, node, op);
    if (op == CW_PATTERN_WILDCARD) {
        cw_err err = check_wildcard(place, arg_text(place->set, &arg));
        if (err != CW_ERR_OK) {
            return err;
        }
    }
    add_test(list, &arg, 1, false);
    return CW_ERR_OK;
}

/* A prefix or suffix: a string, or {"equals-ignore-case": string}. */
static cw_err compile_affix(struct list *list, uint32_t node, const char *op_name, uint32_t op,
                            uint32_t fold_op)
{
    const struct cw_json *doc = list->place->doc;
    if (doc->nodes[node].type == CW_JSON_STRING) {
        return compile_text(list, node, op_name, op);
    }
    uint32_t inner = node + 1;
    if (doc->nodes[node].type == CW_JSON_OBJECT && count_of(doc, node) == 1 &&
        is_named(doc, inner, "equals-ignore-case") && doc->nodes[inner].type == CW_JSON_STRING) {
        return compile_text(list, inner, op_name, fold_op);
    }
    return cw_pattern_refuse(list->place,
                             "\"%s\" takes a string; write {\"%s\":\"...\"} or "
                             "{\"%s\":{\"equals-ignore-case\":\"...\"}}",
                             op_name, op_name, op_name);
}

/* ---- Addresses ---- */

static void block_of(struct cw_pattern_arg *arg, struct cw_pattern_ip ip, uint32_t bits)
{
    uint32_t width = ip.v6 ? 128 : 32;
    arg->from = ip;
    arg->to = ip;
    for (uint32_t i = 0; i < width - bits; i++) { /* host bits, from the lowest on */
        uint64_t bit = UINT64_C(1) << (i & 63);
        uint64_t *from = i < 64 ? &arg->from.low : &arg->from.high;
        uint64_t *to = i < 64 ? &arg->to.low : &arg->to.high;
        *from &= ~bit;
        *to |= bit;
    }
}

static cw_err compile_cidr(struct list *list, uint32_t node)
{
    struct cw_pattern_place *place = list->place;
    if (place->doc->nodes[node].type != CW_JSON_STRING) {
        return cw_pattern_refuse(place, "\"cidr\" takes a string, such as \"10.0.0.0/24\"");
    }
    struct cw_pattern_arg arg = text_arg(place, node, CW_PATTERN_CIDR);
    struct cw_view text = arg_text(place->set, &arg);
    const char *slash = text.bytes == 0 ? NULL : memchr(text.data, '/', text.bytes);
    struct cw_pattern_ip ip;
    if (slash == NULL ||
        !cw_pattern_ip_read((struct cw_view){text.data, (uint32_t)(slash - text.data)}, &ip)) {
        return cw_pattern_refuse(place, "\"cidr\" takes an address and a number of bits, such as "
                                        "\"10.0.0.0/24\" or \"2001:db8::/32\"");
    }
    uint32_t digits = text.bytes - (uint32_t)(slash + 1 - text.data);
    uint32_t bits = digits == 0 || digits > 3 ? 1000 : 0;
    for (uint32_t i = 1; i <= digits && bits < 1000; i++) {
        uint32_t digit = (uint32_t)(slash[i] - '0');
        bits = digit < 10 ? bits * 10 + digit : 1000;
    }
    uint32_t most = ip.v6 ? 127 : 31;
    if (bits > most) {
        return cw_pattern_refuse(place,
                                 "the number of bits is 0 to %u here; write a single "
                                 "address as a plain string",
                                 most);
    }
    block_of(&arg, ip, bits);
    arg.text_bytes = 0; /* "10.0.0.77/24" and "10.0.0.0/24" are one test */
    add_test(list, &arg, 1, false);
    return CW_ERR_OK;
}

/* ---- anything-but ---- */

struct args {
    CW_PATTERN_VECTOR(struct cw_pattern_arg) list;
};

static cw_err refuse_but(struct cw_pattern_place *place)
{
    return cw_pattern_refuse(
        place, "\"anything-but\" takes a string, a number, a list of either kind alone, or one of "
               "{\"prefix\":...}, {\"suffix\":...}, {\"wildcard\":...}, "
               "{\"equals-ignore-case\":...}");
}

static cw_err add_but_value(struct list *list, uint32_t node, struct args *args)
{
    struct cw_pattern_place *place = list->place;
    struct cw_pattern_arg arg = {.op = CW_PATTERN_RANGE};
    if (place->doc->nodes[node].type == CW_JSON_STRING) {
        arg = text_arg(place, node, CW_PATTERN_STRING);
    } else if (place->doc->nodes[node].type == CW_JSON_NUMBER) {
        cw_err err = read_number(place, node, &arg.low);
        if (err != CW_ERR_OK) {
            return err;
        }
        arg.high = arg.low;
    } else {
        return refuse_but(place);
    }
    if (args->list.count > 0 && args->list.at[0].op != arg.op) {
        return cw_pattern_refuse(place, "a list of \"anything-but\" holds strings or numbers, not "
                                        "both; write two fields' lists or one kind");
    }
    CW_PATTERN_PUSH(&args->list, arg);
    return CW_ERR_OK;
}

static cw_err add_but_text(struct list *list, uint32_t node, uint32_t op, const char *op_name,
                           struct args *args)
{
    struct cw_pattern_place *place = list->place;
    if (place->doc->nodes[node].type != CW_JSON_STRING) {
        return cw_pattern_refuse(
            place, "\"%s\" in \"anything-but\" takes a string or a list of strings", op_name);
    }
    struct cw_pattern_arg arg = text_arg(place, node, op);
    if (arg.text_bytes == 0 && (op == CW_PATTERN_PREFIX || op == CW_PATTERN_SUFFIX)) {
        return cw_pattern_refuse(place,
                                 "every string has the empty %s, so nothing would be left; "
                                 "write one that is not empty",
                                 op_name);
    }
    cw_err err = CW_ERR_OK;
    if (op == CW_PATTERN_WILDCARD) {
        err = check_wildcard(place, arg_text(place->set, &arg));
    }
    CW_PATTERN_PUSH(&args->list, arg);
    return err;
}

static cw_err gather_but(struct list *list, uint32_t node, struct args *args)
{
    static const struct {
        const char *name;
        uint32_t op;
    } kinds[] = {
        {"prefix", CW_PATTERN_PREFIX},
        {"suffix", CW_PATTERN_SUFFIX},
        {"wildcard", CW_PATTERN_WILDCARD},
        {"equals-ignore-case", CW_PATTERN_FOLD},
    };
    const struct cw_json *doc = list->place->doc;
    uint32_t kind = CW_COUNTOF(kinds);
    if (doc->nodes[node].type == CW_JSON_OBJECT) {
        for (kind = 0; kind < CW_COUNTOF(kinds) && count_of(doc, node) == 1; kind++) {
            if (is_named(doc, node + 1, kinds[kind].name)) {
                break;
            }
        }
        if (kind == CW_COUNTOF(kinds) || count_of(doc, node) != 1) {
            return refuse_but(list->place);
        }
        node = node + 1;
    }
    bool many = doc->nodes[node].type == CW_JSON_ARRAY;
    if (many && count_of(doc, node) == 0) {
        return cw_pattern_refuse(list->place, "the list is empty; name what is not to match, or "
                                              "write {\"exists\":true}");
    }
    uint32_t end = many ? doc->nodes[node].next : node + 1;
    cw_err err = CW_ERR_OK;
    for (uint32_t i = many ? node + 1 : node; err == CW_ERR_OK && i < end; i = doc->nodes[i].next) {
        err = kind == CW_COUNTOF(kinds)
                  ? add_but_value(list, i, args)
                  : add_but_text(list, i, kinds[kind].op, kinds[kind].name, args);
    }
    return err;
}

static cw_err compile_but(struct list *list, uint32_t node)
{
    struct args args = {{0}};
    cw_err err = gather_but(list, node, &args);
    if (err == CW_ERR_OK) {
        add_test(list, args.list.at, args.list.count, true);
    }
    free(args.list.at);
    return err;
}

/* ---- One entry of a list ---- */

static cw_err compile_exists(struct list *list, uint32_t node)
{
    uint8_t type = list->place->doc->nodes[node].type;
    if (type == CW_JSON_TRUE) {
        add_test(list, &(struct cw_pattern_arg){.op = CW_PATTERN_ANY}, 1, false);
    } else if (type == CW_JSON_FALSE) {
        list->absent_ok = true;
    } else {
        return cw_pattern_refuse(list->place, "\"exists\" takes true or false, without quotes");
    }
    return CW_ERR_OK;
}

static cw_err refuse_operator(struct list *list, uint32_t object)
{
    const struct cw_json *doc = list->place->doc;
    uint32_t count = count_of(doc, object);
    if (count == 0) {
        return cw_pattern_refuse(list->place, "{} is no comparison; write one such as "
                                              "{\"prefix\":\"...\"}");
    }
    struct cw_view name = key_name(doc, object + 1);
    if (count > 1) {
        return cw_pattern_refuse(list->place, "an object in a list holds one comparison; write "
                                              "each in an object of its own (any of them will "
                                              "do)");
    }
    char word[64];
    (void)snprintf(word, sizeof word, "%.*s", name.bytes > 60 ? 60 : (int)name.bytes, name.data);
    uint32_t known = 0;
    while (cw_pattern_operators[known] != NULL) {
        known++;
    }
    const char *near = cw_nearest(word, cw_pattern_operators, known);
    return cw_pattern_refuse(list->place,
                             "\"%s\" is no comparison%s%s%s; they are prefix, suffix, "
                             "equals-ignore-case, anything-but, numeric, cidr, exists, wildcard",
                             word, near == NULL ? "" : ", did you mean \"",
                             near == NULL ? "" : near, near == NULL ? "" : "\"?");
}

static cw_err compile_operator(struct list *list, uint32_t object)
{
    const struct cw_json *doc = list->place->doc;
    uint32_t node = object + 1;
    if (count_of(doc, object) != 1) {
        return refuse_operator(list, object);
    }
    if (is_named(doc, node, "prefix")) {
        return compile_affix(list, node, "prefix", CW_PATTERN_PREFIX, CW_PATTERN_FOLD_PREFIX);
    }
    if (is_named(doc, node, "suffix")) {
        return compile_affix(list, node, "suffix", CW_PATTERN_SUFFIX, CW_PATTERN_FOLD_SUFFIX);
    }
    if (is_named(doc, node, "equals-ignore-case")) {
        return compile_text(list, node, "equals-ignore-case", CW_PATTERN_FOLD);
    }
    if (is_named(doc, node, "wildcard")) {
        return compile_text(list, node, "wildcard", CW_PATTERN_WILDCARD);
    }
    if (is_named(doc, node, "exactly")) {
        return compile_text(list, node, "exactly", CW_PATTERN_STRING);
    }
    if (is_named(doc, node, "anything-but")) {
        return compile_but(list, node);
    }
    if (is_named(doc, node, "numeric")) {
        return compile_numeric(list, node);
    }
    if (is_named(doc, node, "cidr")) {
        return compile_cidr(list, node);
    }
    if (is_named(doc, node, "exists")) {
        return compile_exists(list, node);
    }
    return refuse_operator(list, object);
}

static cw_err compile_entry(struct list *list, uint32_t node)
{
    struct cw_pattern_place *place = list->place;
    struct cw_pattern_arg arg = {.op = CW_PATTERN_NULL};
    switch (place->doc->nodes[node].type) {
    case CW_JSON_OBJECT: return compile_operator(list, node);
    case CW_JSON_ARRAY:
        return cw_pattern_refuse(place, "a list holds values, not lists; arrays in events need no "
                                        "list of their own");
    case CW_JSON_STRING: arg = text_arg(place, node, CW_PATTERN_STRING); break;
    case CW_JSON_NUMBER: arg = number_arg(place, node); break;
    case CW_JSON_TRUE: arg.op = CW_PATTERN_TRUE; break;
    case CW_JSON_FALSE: arg.op = CW_PATTERN_FALSE; break;
    default: break;
    }
    add_test(list, &arg, 1, false);
    return CW_ERR_OK;
}

/* [50, 999999]: a range, where the dialect has it. */
static cw_err compile_range(struct list *list, uint32_t node, bool *is_range)
{
    const struct cw_json *doc = list->place->doc;
    *is_range = false;
    if (list->place->dialect != CW_PATTERN_RANGES || count_of(doc, node) != 2) {
        return CW_ERR_OK;
    }
    uint32_t low = node + 1;
    uint32_t high = doc->nodes[low].next;
    if (doc->nodes[low].type != CW_JSON_NUMBER || doc->nodes[high].type != CW_JSON_NUMBER ||
        !(cw_json_number(cw_json_raw(doc, low)) < cw_json_number(cw_json_raw(doc, high)))) {
        return CW_ERR_OK;
    }
    struct cw_pattern_arg arg = {.op = CW_PATTERN_RANGE};
    cw_err err = read_number(list->place, low, &arg.low);
    if (err == CW_ERR_OK) {
        err = read_number(list->place, high, &arg.high);
    }
    if (err == CW_ERR_OK) {
        *is_range = true;
        *list->place->ranges += 1;
        add_test(list, &arg, 1, false);
    }
    return err;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The condition of these tests; equal ones of a key are one. */
static uint32_t take_condition(struct list *list)
{
    struct cw_pattern_set *set = list->place->set;
    if (list->tests.count > 0) {
        qsort(list->tests.at, list->tests.count, sizeof *list->tests.at, by_number);
    }
    struct cw_text text = {0};
    cw_text_char(&text, list->absent_ok ? 'a' : 'c');
    cw_text_put(&text, &list->key, sizeof list->key);
    struct cw_pattern_condition condition = {
        .node = list->key,
        .test = set->condition_tests.count,
        .absent_ok = list->absent_ok,
    };
    for (uint32_t i = 0; i < list->tests.count; i++) {
        if (i == 0 || list->tests.at[i] != list->tests.at[i - 1]) {
            cw_text_put(&text, &list->tests.at[i], sizeof list->tests.at[i]);
            CW_PATTERN_PUSH(&set->condition_tests, list->tests.at[i]);
            condition.test_count++;
        }
    }
    uint32_t id = cw_pattern_intern(set, (struct cw_view){text.data, (uint32_t)text.bytes},
                                    set->conditions.count);
    cw_text_deinit(&text);
    if (id == set->conditions.count) {
        CW_PATTERN_PUSH(&set->conditions, condition);
    } else {
        set->condition_tests.count = condition.test;
    }
    return id;
}

cw_err cw_pattern_compile_list(struct cw_pattern_place *place, uint32_t list, uint32_t key,
                               uint32_t *condition)
{
    const struct cw_json *doc = place->doc;
    struct list l = {.place = place, .key = key};
    if (count_of(doc, list) == 0) {
        return cw_pattern_refuse(place, "an empty list matches nothing; name a value, or write "
                                        "[{\"exists\":false}] for a field that must be absent");
    }
    bool is_range;
    cw_err err = compile_range(&l, list, &is_range);
    for (uint32_t i = list + 1; !is_range && err == CW_ERR_OK && i < doc->nodes[list].next;
         i = doc->nodes[i].next) {
        err = compile_entry(&l, i);
    }
    if (err == CW_ERR_OK) {
        *condition = take_condition(&l);
    }
    free(l.tests.at);
    return err;
}
