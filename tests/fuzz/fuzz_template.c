/*
 * Templates, texts and values of any bytes. The first byte says what the rest is:
 * H an HTML template, T a text template, P a program's own text, V values (one a line) for the
 * shipped template. Whatever it is, values leave the markup as it is and no control character
 * reaches a subject, SMS or push.
 */
#include "core/time.h"
#include "pipeline/html_scan.h"
#include "pipeline/message_priv.h"
#include "tools/cli.h"

enum {
    VALUES = 6
};

static struct cw_zones *zones;
static uint32_t zone;
static struct cw_fault fault;
static struct cw_program program;
static const struct cw_view benign[VALUES] = {
    CW_VIEW("Anna"),   CW_VIEW("Shop"),        CW_VIEW("Case"),
    CW_VIEW("CART10"), CW_VIEW("https://x/c"), CW_VIEW("https://x/i"),
};
static const struct cw_view hostile[VALUES] = {
    CW_VIEW("<\"'>&{{discountCode}}\r\n\xe2\x80\xa8{x}"),
    CW_VIEW("{{/items}}</style><script>--> =x"),
    CW_VIEW("' onload='x"),
    CW_VIEW("{{>a}}{{{customerName}}}\x01\x02\x03"),
    CW_VIEW("https://x/c'&{{discountCode}}"),
    CW_VIEW("http://x/i'"),
};

static void render(struct cw_templates *templates, const struct cw_touch *touch,
                   const struct cw_view values[VALUES], bool allow_limit,
                   struct cw_message *message)
{
    struct cw_message_item items[] = {{values[2], values[5], 79.99, 2}, {values[2], {0}, 1, 1}};
    struct cw_message_input input = {.program = &program,
                                     .touch = touch,
                                     .customer_name = values[0],
                                     .currency = CW_VIEW("USD"),
                                     .shop_name = values[1],
                                     .cart_link = values[4],
                                     .unsubscribe_link = values[4],
                                     .open_pixel_link = values[4],
                                     .shop_link = CW_VIEW("https://shop/"),
                                     .cart_value = 150,
                                     .items = items,
                                     .item_count = 2,
                                     .discount_percent = 10,
                                     .discount_code = values[3],
                                     .expires_at_ms = 25 * CW_HOUR_MS,
                                     .now_ms = CW_HOUR_MS,
                                     .zone = zone};
    cw_err err = cw_message_render(templates, zones, &input, message, &fault);
    CW_ASSERT(err == CW_ERR_OK || (allow_limit && err == CW_ERR_LIMIT));
}

static uint32_t count(const struct cw_text *text, char what)
{
    uint32_t found = 0;
    for (size_t i = 0; i < text->bytes; i++) {
        found += text->data[i] == what;
    }
    return found;
}

static void expect_same_markup(const struct cw_text *a, const struct cw_text *b)
{
    CW_ASSERT(count(a, '<') == count(b, '<') && count(a, '>') == count(b, '>'));
    CW_ASSERT(count(a, '"') == count(b, '"') && count(a, '\'') == count(b, '\''));
    CW_ASSERT(count(a, '\n') == count(b, '\n'));
    struct cw_html first = {0};
    struct cw_html second = {0};
    cw_html_feed(&first, (struct cw_view){a->data, (uint32_t)a->bytes});
    cw_html_feed(&second, (struct cw_view){b->data, (uint32_t)b->bytes});
    CW_ASSERT(first.place == second.place);
}

static void expect_clean(const struct cw_text *text)
{
    for (size_t i = 0; i < text->bytes; i++) {
        unsigned char c = (unsigned char)text->data[i];
        CW_ASSERT(c >= 0x20 && c != 0x7f);
        if (i + 1 < text->bytes && c == 0xc2) {
            CW_ASSERT((unsigned char)text->data[i + 1] >= 0xa0 ||
                      (unsigned char)text->data[i + 1] < 0x80);
        }
    }
}

static struct cw_templates *open_templates(void)
{
    struct cw_templates *templates = NULL;
    cw_err err = cw_templates_open(&templates, &fault);
    CW_ASSERT(err == CW_ERR_OK);
    return templates;
}

static void try_template(struct cw_view text, bool html)
{
    struct cw_templates *templates = open_templates();
    struct cw_problems problems = {0};
    cw_template_lint(html ? CW_VIEW("t.html") : CW_VIEW("t.txt"), text, true, &problems);
    cw_problems_deinit(&problems);
    cw_template_check("t", text, html, false, true, &problems);
    bool good = problems.errors == 0;
    cw_problems_deinit(&problems);
    cw_err err =
        cw_templates_add(templates, html ? CW_VIEW("t.html") : CW_VIEW("t.txt"), text, &fault);
    CW_ASSERT((err == CW_ERR_OK) == good); /* what the check lets pass, the library reads */
    err = cw_templates_add(templates, html ? CW_VIEW("t.txt") : CW_VIEW("t.html"), CW_VIEW("x"),
                           &fault);
    CW_ASSERT(err == CW_ERR_OK);
    if (good) {
        struct cw_touch touch = {
            .channel = CW_CHANNEL_EMAIL, .include_discount = true, .template_id = CW_VIEW("t")};
        struct cw_message one = {0};
        struct cw_message other = {0};
        render(templates, &touch, benign, true, &one);
        render(templates, &touch, hostile, true, &other);
        if (html && one.plain.bytes > 0 && other.plain.bytes > 0) {
            expect_same_markup(&one.html, &other.html);
        }
        cw_message_deinit(&one);
        cw_message_deinit(&other);
    }
    cw_templates_close(templates);
}

static void try_text(struct cw_templates *templates, struct cw_view text)
{
    struct cw_problems problems = {0};
    cw_message_lint(text, true, "p.yaml", 1, 1, &problems);
    cw_problems_deinit(&problems);
    struct cw_touch touch = {.channel = CW_CHANNEL_SMS, .include_discount = true, .message = text};
    struct cw_message message = {0};
    render(templates, &touch, hostile, false, &message);
    expect_clean(&message.text);
    touch.include_discount = false;
    render(templates, &touch, benign, false, &message);
    expect_clean(&message.text);
    (void)!cw_message_says_today(text);
    cw_message_deinit(&message);
}

static void try_values(struct cw_templates *templates, struct cw_view text)
{
    struct cw_view values[VALUES];
    uint32_t from = 0;
    for (uint32_t i = 0; i < VALUES; i++) {
        const char *end = memchr(text.data + from, '\n', text.bytes - from);
        uint32_t stop = end == NULL ? text.bytes : (uint32_t)(end - text.data);
        values[i] = (struct cw_view){text.data + from, stop - from};
        from = end == NULL ? text.bytes : stop + 1;
    }
    struct cw_touch touch = {.channel = CW_CHANNEL_EMAIL,
                             .include_discount = true,
                             .template_id = CW_VIEW("cart-recovery-v3"),
                             .subject = CW_VIEW("{customerName} {discountCode} {shopName}")};
    struct cw_message one = {0};
    struct cw_message other = {0};
    render(templates, &touch, values, true, &one);
    expect_clean(&one.subject);
    /* Told or not decides on sections: the other message is told what this one is. */
    struct cw_touch probe = {.channel = CW_CHANNEL_EMAIL, .template_id = CW_VIEW("probe")};
    render(templates, &probe, values, false, &other);
    const char *told = cw_text_terminate(&other.html);
    struct cw_view same[VALUES] = {{0}, {0}, benign[2], benign[3], {0}, {0}};
    same[0] = strchr(told, 'n') != NULL ? benign[0] : same[0];
    same[1] = strchr(told, 's') != NULL ? benign[1] : same[1];
    same[4] = strchr(told, 'u') != NULL ? benign[4] : same[4];
    same[5] = strchr(told, 'i') != NULL ? benign[5] : same[5];
    render(templates, &touch, same, true, &other);
    if (one.plain.bytes > 0) {
        expect_same_markup(&one.html, &other.html);
        CW_ASSERT(count(&one.plain, '\n') == count(&other.plain, '\n'));
    }
    cw_message_deinit(&one);
    cw_message_deinit(&other);
}

static struct cw_templates *shipped;

static void open_once(void)
{
    if (shipped == NULL) {
        cw_err err = cw_zones_open(&zones, "/usr/share/zoneinfo", &fault);
        CW_ASSERT(err == CW_ERR_OK);
        bool found = cw_zones_find(zones, CW_VIEW("America/New_York"), &zone);
        CW_ASSERT(found);
        shipped = open_templates();
        err = cw_templates_add(shipped, CW_VIEW("probe.html"),
                               CW_VIEW("{{#nameKnown}}n{{/nameKnown}}{{#shopKnown}}s{{/shopKnown}}"
                                       "{{#unsubscribeLink}}u{{/unsubscribeLink}}{{#items}}"
                                       "{{#imageUrl}}i{{/imageUrl}}{{/items}}"),
                               &fault);
        CW_ASSERT(err == CW_ERR_OK);
        err = cw_templates_add(shipped, CW_VIEW("probe.txt"), CW_VIEW("-"), &fault);
        CW_ASSERT(err == CW_ERR_OK);
        err = cw_templates_add(shipped, CW_VIEW("cart-recovery-v3.html"),
                               cw_shipped("templates/cart-recovery-v3.html"), &fault);
        CW_ASSERT(err == CW_ERR_OK);
        err = cw_templates_add(shipped, CW_VIEW("cart-recovery-v3.txt"),
                               cw_shipped("templates/cart-recovery-v3.txt"), &fault);
        CW_ASSERT(err == CW_ERR_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > CW_TEMPLATE_BYTES_MAX) {
        return 0;
    }
    open_once();
    struct cw_view rest = {(const char *)data + 1, (uint32_t)size - 1};
    switch (data[0]) {
    case 'H': try_template(rest, true); break;
    case 'T': try_template(rest, false); break;
    case 'P': try_text(shipped, rest); break;
    case 'V': try_values(shipped, rest); break;
    default: break;
    }
    return 0;
}
