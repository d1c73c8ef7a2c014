/* explain_near: which ids were there when the one asked for was not. */
#include "pipeline/yaml_ctl.h"
#include "tools/cli.h"
#include "tools/explain.h"

#include <stdlib.h>
#include <string.h>

enum {
    IDS_MAX = 200000, /* abandonments looked at */
    IDS_SHOWN = 5
};

struct ids {
    char **list;
    uint32_t count;
};

static void add(struct ids *ids, struct cw_view id)
{
    if (ids->count == IDS_MAX) {
        return;
    }
    char *copy = malloc((size_t)id.bytes + 1);
    CW_ASSERT(copy != NULL);
    memcpy(copy, id.data, id.bytes);
    copy[id.bytes] = '\0';
    ids->list[ids->count++] = copy;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, each once. */
static void tidy(struct ids *ids)
{
    uint32_t kept = 0;
    qsort(ids->list, ids->count, sizeof ids->list[0], by_text);
    for (uint32_t i = 0; i < ids->count; i++) {
        if (kept > 0 && strcmp(ids->list[kept - 1], ids->list[i]) == 0) {
            free(ids->list[i]);
        } else {
            ids->list[kept++] = ids->list[i];
        }
    }
    ids->count = kept;
}

static void forget(struct ids *ids)
{
    for (uint32_t i = 0; i < ids->count; i++) {
        free(ids->list[i]);
    }
    free(ids->list);
}

static void put_id(const char *id, FILE *to)
{
    char shown[CW_ID_BYTES_MAX + 8];
    struct cw_view view = {id, (uint32_t)strlen(id)};
    (void)fprintf(to, "\"%s\"", cw_yaml_printable(view, shown, sizeof shown));
}

static void put_near(const char *asked, const struct ids *ids, FILE *to)
{
    const char *near = cw_nearest(asked, (const char *const *)ids->list, ids->count);
    if (near != NULL) {
        (void)fputs("; did you mean ", to);
        put_id(near, to);
        (void)fputs("?\n", to);
        return;
    }
    for (uint32_t i = 0; i < ids->count && i < IDS_SHOWN; i++) {
        (void)fputs(i == 0 ? "; seen are " : ", ", to);
        put_id(ids->list[i], to);
    }
    (void)fprintf(to, ids->count > IDS_SHOWN ? " and %u more\n" : "\n", ids->count - IDS_SHOWN);
}

static void collect_line(struct cw_view line, struct cw_decoder *decoder, const char *customer,
                         struct ids *customers, struct ids *carts)
{
    const struct cw_view asked = {customer, customer == NULL ? 0 : (uint32_t)strlen(customer)};
    struct cw_event event;
    cw_decoder_reset(decoder);
    cw_decode(decoder, line, &event);
    if (event.type == CW_EVENT_CART_ABANDONED) {
        add(customers, event.customer);
        if (customer == NULL || cw_view_equal(event.customer, asked)) {
            add(carts, event.cart);
        }
    }
}

/* Customers of all abandonments; carts of those of the customer asked for. */
static void collect(const struct cw_files *files, struct cw_decoder *decoder, const char *customer,
                    struct ids *customers, struct ids *carts)
{
    for (uint32_t f = 0; f < files->count; f++) {
        const char *text = files->list[f].text;
        const char *end = text + files->list[f].bytes;
        while (text < end) {
            const char *feed = memchr(text, '\n', (size_t)(end - text));
            const char *stop = feed != NULL ? feed : end;
            if (stop - text < (1 << 30)) {
                collect_line((struct cw_view){text, (uint32_t)(stop - text)}, decoder, customer,
                             customers, carts);
            }
            text = stop + 1;
        }
    }
}

cw_err cw_explain_tell_near(const struct cw_files *files, const struct cw_decoder_options *options,
                            const char *customer, const char *cart, FILE *to,
                            struct cw_fault *fault)
{
    struct cw_decoder *decoder;
    cw_err err = cw_decoder_open(&decoder, options, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct ids customers = {.list = malloc(IDS_MAX * sizeof(char *))};
    struct ids carts = {.list = malloc(IDS_MAX * sizeof(char *))};
    CW_ASSERT(customers.list != NULL && carts.list != NULL);
    collect(files, decoder, customer, &customers, &carts);
    tidy(&customers);
    tidy(&carts);
    (void)fputs("cartwheel: ", to);
    if (customers.count == 0) {
        (void)fputs("no valid CartAbandoned is in these events\n", to);
    } else if (customer != NULL && carts.count == 0) {
        (void)fputs("no abandonment is of customer ", to);
        put_id(customer, to);
        put_near(customer, &customers, to);
    } else if (cart != NULL) {
        (void)fputs("no abandonment ", to);
        if (customer != NULL) {
            (void)fputs("of customer ", to);
            put_id(customer, to);
            (void)fputc(' ', to);
        }
        (void)fputs("is of cart ", to);
        put_id(cart, to);
        put_near(cart, &carts, to);
    } else {
        (void)fputs("every abandonment repeats an earlier event\n", to);
    }
    forget(&customers);
    forget(&carts);
    cw_decoder_close(decoder);
    return CW_ERR_OK;
}
