/*
 * naive_pattern: event patterns a second time, slowly and plainly, to compare the engine with.
 *
 * The event is flattened to values with their dotted path and the array elements around them; a
 * pattern is multiplied out to alternatives; an alternative matches if trying all ways to give each
 * of its paths a value finds one in which no array gives two elements, and no value of a path that
 * is to be absent agrees with the elements given.
 *
 * Only for valid patterns. Ignoring case is ASCII's here, addresses are what inet_pton reads.
 */
#ifndef CW_TESTS_NAIVE_PATTERN_H
#define CW_TESTS_NAIVE_PATTERN_H

#include "core/json.h"

#include <arpa/inet.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NAIVE_PATH = 256,
    NAIVE_CHAIN = 64,
    NAIVE_STEPS_MAX = 3000000
};

struct naive_value {
    char path[NAIVE_PATH];
    uint32_t node;
    uint32_t chain_count;

    struct {
        uint32_t array, element;
    } chain[NAIVE_CHAIN];
};

struct naive_item {
    char path[NAIVE_PATH];
    uint32_t list;
};

struct naive_alternative {
    struct naive_item *items;
    uint32_t count;
};

struct naive_alternatives {
    struct naive_alternative *at;
    uint32_t count;
};

struct naive {
    const struct cw_json *pattern, *event;
    struct naive_value *values;
    uint32_t value_count, array_count;
    uint32_t *chosen; /* by array: element + 1 */
    uint32_t steps;
    bool gave_up;
};

static inline void naive_unescape(const struct cw_json *doc, uint32_t node, char *to,
                                  uint32_t *bytes)
{
    *bytes = cw_json_unescape(cw_json_raw(doc, node), to);
    to[*bytes] = '\0';
}

static inline void naive_join(char *to, const char *path, const struct cw_json *doc, uint32_t node)
{
    char name[NAIVE_PATH];
    struct cw_view raw = {doc->text + doc->nodes[node].key, doc->nodes[node].key_bytes};
    name[cw_json_unescape(raw, name)] = '\0';
    (void)snprintf(to, NAIVE_PATH, "%s%s%.100s", path, path[0] == '\0' ? "" : ".", name);
}

/* ---- Values ---- */

static inline void naive_flatten(struct naive *n, uint32_t node, const char *path,
                                 const struct naive_value *around)
{
    const struct cw_json_node *nodes = n->event->nodes;
    if (nodes[node].type == CW_JSON_OBJECT) {
        for (uint32_t i = node + 1; i < nodes[node].next; i = nodes[i].next) {
            char inner[NAIVE_PATH];
            naive_join(inner, path, n->event, i);
            naive_flatten(n, i, inner, around);
        }
    } else if (nodes[node].type == CW_JSON_ARRAY) {
        uint32_t array = n->array_count++;
        uint32_t element = 0;
        for (uint32_t i = node + 1; i < nodes[node].next; i = nodes[i].next, element++) {
            struct naive_value within = *around;
            if (nodes[i].type >= CW_JSON_ARRAY) {
                within.chain[within.chain_count].array = array;
                within.chain[within.chain_count++].element = element;
            }
            naive_flatten(n, i, path, &within);
        }
    } else {
        struct naive_value *value = &n->values[n->value_count++];
        *value = *around;
        (void)snprintf(value->path, sizeof value->path, "%s", path);
        value->node = node;
    }
}

/* ---- Tests of one value ---- */

static inline bool naive_held(const char *spelling)
{
    double value = strtod(spelling, NULL);
    if (isinf(value)) {
        return false;
    }
    char shortest[64] = "0";
    for (int digits = 1; value != 0 && digits <= 17; digits++) {
        /* The nearest of so many digits, or, at powers of two, perhaps its neighbour. */
        static const int steps[] = {0, 1, -1};
        char nearest[64];
        char whole[32];
        (void)snprintf(nearest, sizeof nearest, "%.*e", digits - 1, fabs(value));
        (void)snprintf(whole, sizeof whole, "%c%.*s", nearest[0], digits - 1, nearest + 2);
        long exponent = strtol(strchr(nearest, 'e') + 1, NULL, 10) - (digits - 1);
        bool found = false;
        for (int k = 0; k < 3 && !found; k++) {
            (void)snprintf(shortest, sizeof shortest, "%llde%ld",
                           strtoll(whole, NULL, 10) + steps[k], exponent);
            found = strtod(shortest, NULL) == fabs(value);
        }
        if (found) {
            break;
        }
    }
    /* Equal decimals: the same digits and the same place of the first one. */
    char forms[2][512];
    const char *from[2] = {spelling, shortest};
    long place[2];
    for (int k = 0; k < 2; k++) {
        const char *p = from[k] + (*from[k] == '-');
        uint32_t count = 0;
        bool point = false;
        place[k] = 0;
        for (; *p != '\0' && *p != 'e' && *p != 'E'; p++) {
            if (*p == '.') {
                point = true;
            } else if (*p != '0' || count > 0) {
                forms[k][count++] = *p;
                place[k] += !point;
            } else {
                place[k] -= point;
            }
        }
        place[k] += *p == '\0' ? 0 : strtol(p + 1, NULL, 10);
        while (count > 0 && forms[k][count - 1] == '0') {
            count--;
        }
        forms[k][count] = '\0';
        place[k] = count == 0 ? 0 : place[k];
    }
    return strcmp(forms[0], forms[1]) == 0 && place[0] == place[1];
}

static inline bool naive_wildcard(const char *w, const char *text)
{
    if (*w == '\0') {
        return *text == '\0';
    }
    if (*w == '*') {
        return naive_wildcard(w + 1, text) || (*text != '\0' && naive_wildcard(w, text + 1));
    }
    w += *w == '\\';
    return *w == *text && naive_wildcard(w + 1, text + 1);
}

static inline char naive_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static inline bool naive_equal(const char *a, const char *b, size_t bytes, bool fold)
{
    for (size_t i = 0; i < bytes; i++) {
        if (fold ? naive_lower(a[i]) != naive_lower(b[i]) : a[i] != b[i]) {
            return false;
        }
    }
    return true;
}

static inline bool naive_text(const char *op, const char *arg, const char *text, bool fold)
{
    size_t a = strlen(arg);
    size_t t = strlen(text);
    if (strcmp(op, "prefix") == 0) {
        return a <= t && naive_equal(arg, text, a, fold);
    }
    if (strcmp(op, "suffix") == 0) {
        return a <= t && naive_equal(arg, text + t - a, a, fold);
    }
    if (strcmp(op, "wildcard") == 0) {
        return naive_wildcard(arg, text);
    }
    return a == t && naive_equal(arg, text, a, fold || strcmp(op, "equals-ignore-case") == 0);
}

static inline int naive_ip(const char *text, uint8_t out[16])
{
    if (strchr(text, ':') == NULL) {
        return inet_pton(AF_INET, text, out) == 1 ? 4 : 0;
    }
    return strchr(text, '.') == NULL && inet_pton(AF_INET6, text, out) == 1 ? 16 : 0;
}

static inline bool naive_cidr(const char *cidr, const char *text)
{
    char address[64];
    uint8_t net[16];
    uint8_t ip[16];
    (void)snprintf(address, sizeof address, "%.*s", (int)strcspn(cidr, "/"), cidr);
    long bits = strchr(cidr, '/') == NULL ? 128 : strtol(strchr(cidr, '/') + 1, NULL, 10);
    int bytes = naive_ip(address, net);
    if (bytes == 0 || naive_ip(text, ip) != bytes) {
        return false;
    }
    for (long i = 0; i < bits && i < bytes * 8; i++) {
        if (((net[i / 8] ^ ip[i / 8]) >> (7 - i % 8) & 1) != 0) {
            return false;
        }
    }
    return true;
}

static inline bool naive_entry(struct naive *n, uint32_t entry, uint32_t value);

/* Any of a list, or of one that is not in a list. */
static inline bool naive_any(struct naive *n, uint32_t node, uint32_t value, const char *op)
{
    const struct cw_json_node *nodes = n->pattern->nodes;
    bool list = nodes[node].type == CW_JSON_ARRAY;
    char text[512];
    char arg[512];
    uint32_t bytes;
    for (uint32_t i = list ? node + 1 : node; i < nodes[node].next; i = nodes[i].next) {
        if (op[0] == '\0') {
            if (nodes[i].type == CW_JSON_STRING && nodes[i].type == n->event->nodes[value].type) {
                naive_unescape(n->pattern, i, arg, &bytes);
                naive_unescape(n->event, value, text, &bytes);
                if (strcmp(arg, text) == 0) {
                    return true;
                }
            } else if (nodes[i].type == CW_JSON_NUMBER && naive_entry(n, i, value)) {
                return true;
            }
        } else if (n->event->nodes[value].type == CW_JSON_STRING) {
            naive_unescape(n->pattern, i, arg, &bytes);
            naive_unescape(n->event, value, text, &bytes);
            if (naive_text(op, arg, text, false)) {
                return true;
            }
        }
        if (!list) {
            break;
        }
    }
    return false;
}

static inline bool naive_numeric(struct naive *n, uint32_t list, const char *spelling)
{
    const struct cw_json_node *nodes = n->pattern->nodes;
    double x = strtod(spelling, NULL);
    if (!naive_held(spelling)) {
        return false;
    }
    for (uint32_t i = list + 1; i < nodes[list].next;) {
        const char *sign = n->pattern->text + nodes[i].text;
        i = nodes[i].next;
        double y = strtod(n->pattern->text + nodes[i].text, NULL);
        i = nodes[i].next;
        bool met = (*sign == '=' && x == y) || (*sign == '<' && x < y) || (*sign == '>' && x > y) ||
                   (sign[1] == '=' && x == y);
        if (!met) {
            return false;
        }
    }
    return true;
}

static inline bool naive_operator(struct naive *n, uint32_t object, uint32_t value)
{
    const struct cw_json_node *nodes = n->pattern->nodes;
    uint8_t type = n->event->nodes[value].type;
    uint32_t node = object + 1;
    char op[64];
    char text[512] = "";
    char arg[512] = "";
    uint32_t bytes;
    (void)snprintf(op, sizeof op, "%.*s", (int)nodes[node].key_bytes,
                   n->pattern->text + nodes[node].key);
    if (strcmp(op, "exists") == 0) {
        return nodes[node].type == CW_JSON_TRUE;
    }
    if (strcmp(op, "anything-but") == 0) {
        if (nodes[node].type == CW_JSON_OBJECT) {
            char inner[64];
            (void)snprintf(inner, sizeof inner, "%.*s", (int)nodes[node + 1].key_bytes,
                           n->pattern->text + nodes[node + 1].key);
            return !naive_any(n, node + 1, value, inner);
        }
        return !naive_any(n, node, value, "");
    }
    struct cw_view raw = cw_json_raw(n->event, value);
    if (strcmp(op, "numeric") == 0) {
        (void)snprintf(text, sizeof text, "%.*s", (int)raw.bytes, raw.data);
        return type == CW_JSON_NUMBER && naive_numeric(n, node, text);
    }
    if (type != CW_JSON_STRING) {
        return false;
    }
    naive_unescape(n->event, value, text, &bytes);
    bool fold = nodes[node].type == CW_JSON_OBJECT;
    naive_unescape(n->pattern, fold ? node + 1 : node, arg, &bytes);
    return strcmp(op, "cidr") == 0 ? naive_cidr(arg, text) : naive_text(op, arg, text, fold);
}

static inline bool naive_entry(struct naive *n, uint32_t entry, uint32_t value)
{
    uint8_t type = n->pattern->nodes[entry].type;
    if (type == CW_JSON_OBJECT) {
        return naive_operator(n, entry, value);
    }
    if (type != n->event->nodes[value].type) {
        return false;
    }
    char a[512];
    char b[512];
    uint32_t bytes;
    if (type == CW_JSON_STRING) {
        naive_unescape(n->pattern, entry, a, &bytes);
        naive_unescape(n->event, value, b, &bytes);
        return strcmp(a, b) == 0 || naive_cidr(a, b);
    }
    if (type == CW_JSON_NUMBER) {
        struct cw_view x = cw_json_raw(n->pattern, entry);
        struct cw_view y = cw_json_raw(n->event, value);
        (void)snprintf(a, sizeof a, "%.*s", (int)x.bytes, x.data);
        (void)snprintf(b, sizeof b, "%.*s", (int)y.bytes, y.data);
        return strcmp(a, b) == 0 ||
               (naive_held(a) && naive_held(b) && strtod(a, NULL) == strtod(b, NULL));
    }
    return true;
}

/* ---- Alternatives ---- */

static inline void naive_free(struct naive_alternatives *list)
{
    for (uint32_t i = 0; i < list->count; i++) {
        free(list->at[i].items);
    }
    free(list->at);
}

static inline struct naive_alternative *naive_push(struct naive_alternatives *list)
{
    list->at = realloc(list->at, (list->count + 1) * sizeof *list->at);
    list->at[list->count] = (struct naive_alternative){0};
    return &list->at[list->count++];
}

static inline void naive_put(struct naive_alternative *to, const struct naive_item *item)
{
    for (uint32_t i = 0; i < to->count; i++) {
        if (strcmp(to->items[i].path, item->path) == 0) {
            to->items[i] = *item;
            return;
        }
    }
    to->items = realloc(to->items, (to->count + 1) * sizeof *to->items);
    to->items[to->count++] = *item;
}

static inline struct naive_alternatives naive_expand(const struct cw_json *doc, uint32_t object,
                                                     const char *path)
{
    const struct cw_json_node *nodes = doc->nodes;
    struct naive_alternatives all = {0};
    (void)naive_push(&all);
    for (uint32_t m = object + 1; m < nodes[object].next; m = nodes[m].next) {
        char inner[NAIVE_PATH];
        struct naive_alternatives sub = {0};
        naive_join(inner, path, doc, m);
        if (nodes[m].key_bytes == 3 && memcmp(doc->text + nodes[m].key, "$or", 3) == 0) {
            for (uint32_t c = m + 1; c < nodes[m].next; c = nodes[c].next) {
                struct naive_alternatives choice = naive_expand(doc, c, path);
                for (uint32_t i = 0; i < choice.count; i++) {
                    *naive_push(&sub) = choice.at[i];
                }
                free(choice.at);
            }
        } else if (nodes[m].type == CW_JSON_OBJECT) {
            sub = naive_expand(doc, m, inner);
        } else {
            struct naive_item item = {.list = m};
            (void)snprintf(item.path, sizeof item.path, "%s", inner);
            naive_put(naive_push(&sub), &item);
        }
        struct naive_alternatives product = {0};
        for (uint32_t a = 0; a < all.count; a++) {
            for (uint32_t b = 0; b < sub.count; b++) {
                struct naive_alternative *to = naive_push(&product);
                for (uint32_t i = 0; i < all.at[a].count; i++) {
                    naive_put(to, &all.at[a].items[i]);
                }
                for (uint32_t i = 0; i < sub.at[b].count; i++) {
                    naive_put(to, &sub.at[b].items[i]);
                }
            }
        }
        naive_free(&all);
        naive_free(&sub);
        all = product;
    }
    return all;
}

/* ---- Trying ---- */

static inline bool naive_agrees(const struct naive *n, const struct naive_value *value)
{
    for (uint32_t i = 0; i < value->chain_count; i++) {
        uint32_t chosen = n->chosen[value->chain[i].array];
        if (chosen != 0 && chosen != value->chain[i].element + 1) {
            return false;
        }
    }
    return true;
}

static inline bool naive_absent(const struct naive *n, const char *path)
{
    for (uint32_t v = 0; v < n->value_count; v++) {
        if (strcmp(n->values[v].path, path) == 0 && naive_agrees(n, &n->values[v])) {
            return false;
        }
    }
    return true;
}

static inline bool naive_has_absent(const struct cw_json *doc, uint32_t list)
{
    for (uint32_t i = list + 1; i < doc->nodes[list].next; i = doc->nodes[i].next) {
        if (doc->nodes[i].type == CW_JSON_OBJECT && doc->nodes[i + 1].key_bytes == 6 &&
            memcmp(doc->text + doc->nodes[i + 1].key, "exists", 6) == 0 &&
            doc->nodes[i + 1].type == CW_JSON_FALSE) {
            return true;
        }
    }
    return false;
}

static inline bool naive_meets(struct naive *n, uint32_t list, uint32_t value)
{
    const struct cw_json_node *nodes = n->pattern->nodes;
    for (uint32_t i = list + 1; i < nodes[list].next; i = nodes[i].next) {
        if (naive_entry(n, i, value)) {
            return true;
        }
    }
    return false;
}

/* absent: bit per item that is to be met by absence. */
static inline bool naive_try(struct naive *n, const struct naive_alternative *a, uint32_t item,
                             uint64_t absent)
{
    if (item == a->count) {
        for (uint32_t i = 0; i < a->count; i++) {
            if ((absent >> i & 1) != 0 && !naive_absent(n, a->items[i].path)) {
                return false;
            }
        }
        return true;
    }
    for (uint32_t v = 0; v < n->value_count; v++) {
        const struct naive_value *value = &n->values[v];
        if (++n->steps > NAIVE_STEPS_MAX) {
            n->gave_up = true;
            return false;
        }
        if (strcmp(value->path, a->items[item].path) != 0 || !naive_agrees(n, value) ||
            !naive_meets(n, a->items[item].list, value->node)) {
            continue;
        }
        uint32_t before[NAIVE_CHAIN];
        for (uint32_t i = 0; i < value->chain_count; i++) {
            before[i] = n->chosen[value->chain[i].array];
            n->chosen[value->chain[i].array] = value->chain[i].element + 1;
        }
        bool found = naive_try(n, a, item + 1, absent);
        for (uint32_t i = 0; i < value->chain_count; i++) {
            n->chosen[value->chain[i].array] = before[i];
        }
        if (found) {
            return true;
        }
    }
    return naive_has_absent(n->pattern, a->items[item].list) &&
           naive_try(n, a, item + 1, absent | UINT64_C(1) << item);
}

/* 1, 0, or -1 when it took too long. The pattern is valid, the event an object. */
static inline int naive_match(const struct cw_json *pattern, const struct cw_json *event)
{
    struct naive n = {.pattern = pattern, .event = event};
    n.values = calloc(event->node_count + 1, sizeof *n.values);
    n.chosen = calloc(event->node_count + 1, sizeof *n.chosen);
    struct naive_value none = {.node = 0};
    naive_flatten(&n, 0, "", &none);
    struct naive_alternatives all = naive_expand(pattern, 0, "");
    bool found = false;
    for (uint32_t a = 0; a < all.count && !found; a++) {
        found = naive_try(&n, &all.at[a], 0, 0);
    }
    naive_free(&all);
    free(n.values);
    free(n.chosen);
    return found ? 1 : n.gave_up ? -1 : 0;
}

#endif
