#include "core/time.h"
#include "pipeline/message.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

static struct cw_view view(const char *text)
{
    return text == NULL ? (struct cw_view){0} : (struct cw_view){text, (uint32_t)strlen(text)};
}

static struct cw_zones *zones;
static struct cw_templates *templates;
static struct cw_program program;
static struct cw_touch email, sms, push;
static struct cw_message_item items[64];
static struct cw_message_input input;
static struct cw_message message;
static struct cw_fault fault;

static void add_shipped(const char *name)
{
    static char text[64 << 10];
    char path[512];
    (void)snprintf(path, sizeof path, CW_SOURCE_DIR "/tools/templates/%s", name);
    FILE *file = fopen(path, "rb");
    cr_assert(file != NULL, "%s", path);
    size_t bytes = fread(text, 1, sizeof text, file);
    (void)fclose(file);
    cw_err err =
        cw_templates_add(templates, view(name), (struct cw_view){text, (uint32_t)bytes}, &fault);
    cr_assert(err == CW_ERR_OK, "%s", fault.text);
}

static void add(const char *name, const char *text)
{
    cr_assert(cw_templates_add(templates, view(name), view(text), &fault) == CW_ERR_OK, "%s",
              fault.text);
}

/* The document's customer, cart and program, one hour after the cart was left. */
static void setup(void)
{
    cr_assert(cw_zones_open(&zones, "/usr/share/zoneinfo", &fault) == CW_ERR_OK, "%s", fault.text);
    cr_assert(cw_templates_open(&templates, &fault) == CW_ERR_OK);
    add_shipped("cart-recovery-v3.html");
    add_shipped("cart-recovery-v3.txt");
    add_shipped("cart-recovery-v3.de.html");
    add_shipped("cart-recovery-v3.de.txt");
    email = (struct cw_touch){.channel_id = view("email"),
                              .channel = CW_CHANNEL_EMAIL,
                              .include_discount = true,
                              .template_id = view("cart-recovery-v3"),
                              .subject =
                                  view("You left something behind! {discountPercent}% off inside")};
    sms = (struct cw_touch){.channel = CW_CHANNEL_SMS,
                            .include_discount = true,
                            .message = view("Hi {customerName}! Your cart is waiting. Use code "
                                            "{discountCode} for {discountPercent}% off. Shop now: "
                                            "{cartLink}")};
    push = (struct cw_touch){
        .channel = CW_CHANNEL_PUSH,
        .include_discount = true,
        .title = view("Last Chance!"),
        .body = view("Your cart expires soon. {discountPercent}% off ends today!")};
    items[0] = (struct cw_message_item){view("Wireless Headphones"), {0}, 79.99, 1};
    items[1] = (struct cw_message_item){view("Phone Case"), {0}, 29.99, 1};
    items[2] = (struct cw_message_item){view("Screen Protector"), {0}, 39.99, 1};
    input = (struct cw_message_input){.program = &program,
                                      .touch = &email,
                                      .customer_name = view("Anna"),
                                      .locale = view("en-US"),
                                      .currency = view("USD"),
                                      .cart_link = view("https://shop.example/c/abc"),
                                      .unsubscribe_link = view("https://shop.example/u/abc"),
                                      .open_pixel_link = view("https://shop.example/o/abc.gif"),
                                      .shop_name = view("Example Shop"),
                                      .shop_link = view("https://shop.example/"),
                                      .cart_value = 150,
                                      .items = items,
                                      .item_count = 3,
                                      .discount_percent = 10,
                                      .discount_code = view("CART10")};
    cr_assert(cw_zones_find(zones, view("America/New_York"), &input.zone));
    cr_assert(cw_time_parse(view("2026-01-18T17:45:00Z"), &input.now_ms));
    input.expires_at_ms = input.now_ms + 24 * CW_HOUR_MS;
}

static void teardown(void)
{
    cw_message_deinit(&message);
    cw_templates_close(templates);
    cw_zones_close(zones);
}

TestSuite(message, .init = setup, .fini = teardown);

static void render(const struct cw_touch *touch)
{
    input.touch = touch;
    cr_assert(cw_message_render(templates, zones, &input, &message, &fault) == CW_ERR_OK, "%s",
              fault.text);
}

static bool has(struct cw_text *text, const char *what)
{
    return strstr(cw_text_terminate(text), what) != NULL;
}

#define EXPECT_TEXT(text, expected) \
    cr_expect_str_eq(cw_text_terminate(&(text)), expected, "got: %s", (text).data)

/* Renders a text of a program as an SMS. */
static const char *line(const char *text)
{
    struct cw_touch touch = sms;
    touch.message = view(text);
    render(&touch);
    return cw_text_terminate(&message.text);
}

Test(message, email_says_what_the_document_says)
{
    render(&email);
    EXPECT_TEXT(message.subject, "You left something behind! 10% off inside");
    static const char *const texts[] = {"Hi Anna, we saved your cart",
                                        "Complete purchase now: 10% off",
                                        "CART10",
                                        "Offer expires in 24 hours",
                                        "Wireless Headphones",
                                        "$79.99",
                                        "Phone Case",
                                        "$29.99",
                                        "Screen Protector",
                                        "$39.99",
                                        "$150.00",
                                        "Mon 19 Jan 2026, 12:45",
                                        "https://shop.example/c/abc",
                                        "https://shop.example/u/abc",
                                        "Example Shop",
                                        "Complete My Purchase"};
    for (size_t i = 0; i < CW_COUNTOF(texts); i++) {
        cr_expect(has(&message.html, texts[i]), "html: %s", texts[i]);
        cr_expect(has(&message.plain, texts[i]), "plain: %s", texts[i]);
    }
    cr_expect(has(&message.html, "<a href=\"https://shop.example/c/abc\""));
    cr_expect(has(&message.html, "src=\"https://shop.example/o/abc.gif\""));
    cr_expect(has(&message.html, "<html lang=\"en\""));
    cr_expect(not(has(&message.html, "{{")));
    cr_expect(not(has(&message.plain, "{{")));
    cr_expect(message.text.bytes == 0 && message.title.bytes == 0 && message.link.bytes == 0);
}

Test(message, plain_part_is_laid_out_without_stray_lines)
{
    render(&email);
    EXPECT_TEXT(message.plain,
                "Hi Anna, we saved your cart\n\n"
                "Everything you picked is still here. Continue where you left off.\n\n"
                "- Wireless Headphones: $79.99\n- Phone Case: $29.99\n"
                "- Screen Protector: $39.99\n\nCart total: $150.00\n\n"
                "Complete purchase now: 10% off\nYour discount code: CART10\n"
                "Offer expires in 24 hours (Mon 19 Jan 2026, 12:45)\n\n"
                "Complete My Purchase:\nhttps://shop.example/c/abc\n\n--\n"
                "You receive this e-mail because you left items in your cart at Example Shop.\n"
                "Unsubscribe: https://shop.example/u/abc\n");
}

Test(message, sms_says_what_the_document_says)
{
    render(&sms);
    EXPECT_TEXT(message.text, "Hi Anna! Your cart is waiting. Use code CART10 for 10% off. "
                              "Shop now: https://shop.example/c/abc");
    cr_expect(message.subject.bytes == 0 && message.html.bytes == 0 && message.plain.bytes == 0);
}

Test(message, push_says_what_the_document_says_and_opens_the_cart)
{
    render(&push);
    EXPECT_TEXT(message.title, "Last Chance!");
    EXPECT_TEXT(message.text, "Your cart expires soon. 10% off ends today!");
    EXPECT_TEXT(message.link, "https://shop.example/c/abc");
}

Test(message, parts_of_the_other_channels_are_cleared)
{
    render(&email);
    render(&push);
    cr_expect(message.subject.bytes == 0 && message.html.bytes == 0 && message.plain.bytes == 0);
    render(&sms);
    cr_expect(message.title.bytes == 0 && message.link.bytes == 0);
}

Test(message, customer_without_a_name_is_there)
{
    static const char *const names[] = {NULL, "", " ", "\r\n", " \t\xe2\x80\xa8 "};
    for (size_t i = 0; i < CW_COUNTOF(names); i++) {
        input.customer_name = view(names[i]);
        cr_expect_str_eq(line("Hi {customerName}!"), "Hi there!");
        render(&email);
        cr_expect(has(&message.html, "Hi there, we saved your cart"));
    }
    input.locale = view("de-DE");
    render(&email);
    cr_expect(has(&message.html, "Hallo, wir haben Ihren Warenkorb gespeichert"));
}

Test(message, every_value_may_be_missing)
{
    struct cw_message_input nothing = {.program = &program,
                                       .touch = &email,
                                       .expires_at_ms = CW_TIME_NONE,
                                       .now_ms = input.now_ms};
    input = nothing;
    render(&email);
    EXPECT_TEXT(message.subject, "You left something behind!");
    cr_expect(has(&message.html, "Hi there, we saved your cart"));
    cr_expect(has(&message.html, "at our shop."));
    cr_expect(not(has(&message.html, "% off")));
    cr_expect(not(has(&message.html, "<a ")));
    cr_expect(not(has(&message.html, "<img")));
    cr_expect(not(has(&message.plain, "code")));
    render(&push);
    EXPECT_TEXT(message.text, "Your cart expires soon.");
    EXPECT_TEXT(message.link, "");
    cr_expect_str_eq(line("{cartValue}|{currency}|{cartLink}|{unsubscribeLink}|{shopName}"),
                     "0.00||||our shop");
}

Test(message, without_a_discount_nothing_speaks_of_one)
{
    input.discount_percent = 0;
    render(&email);
    EXPECT_TEXT(message.subject, "You left something behind!");
    cr_expect(not(has(&message.html, "% off")));
    cr_expect(not(has(&message.html, "CART10")));
    cr_expect(not(has(&message.html, "expires")));
    cr_expect(not(has(&message.plain, "CART10")));
    render(&sms);
    EXPECT_TEXT(message.text,
                "Hi Anna! Your cart is waiting. Shop now: https://shop.example/c/abc");
    render(&push);
    EXPECT_TEXT(message.text, "Your cart expires soon.");
    /* Nothing but the discount: then the text stays, and tells the truth. */
    cr_expect_str_eq(line("{discountPercent}% off!"), "0% off!");
    cr_expect_str_eq(line("Save {discountPercent}%! Now."), "Now.");
    cr_expect_str_eq(line("Costs 9.99 only. Code: {discountCode}"), "Costs 9.99 only.");
    cr_expect_str_eq(line("今だけ{discountPercent}%オフ！お待ちしています。"),
                     "お待ちしています。");
}

Test(message, touch_that_includes_no_discount_carries_none)
{
    struct cw_touch touch = email;
    touch.include_discount = false;
    render(&touch);
    cr_expect(not(has(&message.html, "CART10")));
    EXPECT_TEXT(message.subject, "You left something behind!");
}

Test(message, percent_is_in_its_shortest_form)
{
    input.discount_percent = 12.5;
    cr_expect_str_eq(line("{discountPercent}"), "12.5");
    input.locale = view("de-DE");
    render(&email);
    cr_expect(has(&message.plain, "12,5 % Rabatt"));
}

Test(message, an_offer_that_is_over_is_not_said_to_expire)
{
    input.expires_at_ms = input.now_ms;
    render(&email);
    cr_expect(not(has(&message.html, "Offer expires")));
    cr_expect(has(&message.html, "CART10"));
    cr_expect_str_eq(line("{expiresIn}|{expiresAt}"), "|");
}

Test(message, times_are_in_the_customers_zone_and_utc_is_named)
{
    cr_expect_str_eq(line("{expiresAt}"), "Mon 19 Jan 2026, 12:45");
    cr_assert(cw_zones_find(zones, view("Asia/Tokyo"), &input.zone));
    cr_expect_str_eq(line("{expiresAt}"), "Tue 20 Jan 2026, 02:45");
    input.zone = CW_ZONE_UTC;
    cr_expect_str_eq(line("{expiresAt}"), "Mon 19 Jan 2026, 17:45 UTC");
}

Test(message, template_of_the_customers_language_comes_first)
{
    static const struct {
        const char *locale, *market, *says, *money;
    } rows[] = {
        {"de-DE", NULL, "Hallo Anna, wir haben Ihren Warenkorb", "150,00\xc2\xa0€"},
        {"de-AT", NULL, "Hallo Anna, wir haben Ihren Warenkorb", "150,00\xc2\xa0€"},
        {"DE_de", NULL, "Hallo Anna, wir haben Ihren Warenkorb", "150,00\xc2\xa0€"},
        {"de", NULL, "Hallo Anna, wir haben Ihren Warenkorb", "150,00\xc2\xa0€"},
        {NULL, "DE", "Hallo Anna, wir haben Ihren Warenkorb", "150,00\xc2\xa0€"},
        {"en-GB", "DE", "Hi Anna, we saved", "€150.00"},
        {"fr-FR", NULL, "Hi Anna, we saved", "150,00\xc2\xa0€"},
        {"den", NULL, "Hi Anna, we saved", "€150.00"},
        {"", "XX", "Hi Anna, we saved", "€150.00"},
        {NULL, NULL, "Hi Anna, we saved", "€150.00"},
    };

    input.currency = view("EUR");
    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        input.locale = view(rows[i].locale);
        input.marketplace = view(rows[i].market);
        render(&email);
        cr_expect(has(&message.html, rows[i].says), "row %zu", i);
        cr_expect(has(&message.plain, rows[i].says), "row %zu", i);
        cr_expect(has(&message.html, rows[i].money), "row %zu", i);
    }
}

Test(message, words_are_of_the_language_of_the_text)
{
    input.locale = view("de-DE");
    render(&email);
    cr_expect(has(&message.plain, "endet in 24 Stunden (Mo., 19.01.2026, 12:45)"));
    input.locale = view("fr-FR"); /* the plain template is English */
    render(&email);
    cr_expect(has(&message.plain, "expires in 24 hours (Mon 19 Jan 2026, 12:45)"));
    /* A program for one language alone speaks it. */
    struct cw_view markets[] = {view("DE"), view("UK")};
    program.marketplaces = markets;
    program.marketplace_count = 1;
    cr_expect_str_eq(line("noch {expiresIn}"), "noch 24 Stunden");
    program.marketplace_count = 2;
    cr_expect_str_eq(line("for {expiresIn}"), "for 24 hours");
    program.marketplace_count = 0;
}

Test(message, template_of_a_language_without_words_has_numbers_only)
{
    add("x.sv.html", "<p>{{expiresIn}}, {{expiresAt}}</p>");
    add("x.sv.txt", "{{expiresIn}}, {{expiresAt}}");
    struct cw_touch touch = email;
    touch.template_id = view("x");
    input.locale = view("sv-SE");
    render(&touch);
    EXPECT_TEXT(message.plain, "24\xc2\xa0h, 2026-01-19 12:45");
    input.locale = view("en-US");
    cr_expect(
        eq(int, cw_message_render(templates, zones, &input, &message, &fault), CW_ERR_NOT_FOUND));
}

Test(message, pictures_and_quantities_stand_where_given)
{
    render(&email);
    cr_expect(not(has(&message.html, "<img src=\"https://cdn")));
    items[1].image_url = view("https://cdn.example/case.jpg?w=72&h=72");
    items[1].quantity = 2;
    render(&email);
    cr_expect(has(&message.html, "<img src=\"https://cdn.example/case.jpg?w=72&amp;h=72\""));
    cr_expect(has(&message.html, "alt=\"Phone Case\""));
    cr_expect(has(&message.html, "Quantity: 2"));
    cr_expect(has(&message.plain, "Phone Case (quantity: 2)"));
    cr_expect(not(has(&message.html, "Quantity: 1")));
}

Test(message, only_web_addresses_become_links)
{
    static const char *const bad[] = {NULL,
                                      "",
                                      "javascript:alert(1)",
                                      "JaVaScRiPt:alert(1)",
                                      "data:text/html,x",
                                      "file:///etc",
                                      "//shop.example",
                                      "/cart",
                                      "https:",
                                      "https://",
                                      "http:///x",
                                      "https:/shop.example",
                                      " https://shop.example",
                                      "https://shop.example/a b",
                                      "https://shop.example/\r\nBcc: x",
                                      "https://shop.example/\"onload=",
                                      "https://shop.example/<",
                                      "https://shop.example/>",
                                      "https://shop.example/\\",
                                      "https://shop.example/\xe2\x80\xa8",
                                      "vbscript:x",
                                      "ftp://x",
                                      "https://shop.example/\x7f",
                                      "https://shop.example/\xc2\x85",
                                      "http\x1a//x",
                                      "mailto:a@b"};
    for (size_t i = 0; i < CW_COUNTOF(bad); i++) {
        input.cart_link = input.unsubscribe_link = input.open_pixel_link = view(bad[i]);
        items[0].image_url = view(bad[i]);
        render(&email);
        cr_expect(has(&message.html, "<a href=\"https://shop.example/\""), "link %zu", i);
        cr_expect(not(has(&message.html, "<img")), "link %zu", i);
        cr_expect(not(has(&message.html, "Unsubscribe")), "link %zu", i);
        render(&push);
        EXPECT_TEXT(message.link, "https://shop.example/");
    }
    static const char *const good[] = {"http://x", "HTTPS://Shop.Example/c?a=1#b",
                                       "https://shop.example/caf\xc3\xa9"};
    for (size_t i = 0; i < CW_COUNTOF(good); i++) {
        input.cart_link = view(good[i]);
        render(&push);
        EXPECT_TEXT(message.link, good[i]);
    }
    input.cart_link = input.shop_link = view("javascript:x");
    render(&email);
    cr_expect(not(has(&message.html, "<a ")));
}

Test(message, values_are_never_read_as_a_template)
{
    input.customer_name = view("{{discountCode}} {discountCode} {{#items}}x{{/items}} {{{x}}}");
    cr_expect_str_eq(line("Hi {customerName}!"),
                     "Hi {{discountCode}} {discountCode} {{#items}}x{{/items}} {{{x}}}!");
    render(&email);
    cr_expect(has(&message.html, "Hi {{discountCode}} {discountCode} {{#items}}x{{/items}} "
                                 "{{{x}}}, we saved"));
    cr_expect(has(&message.plain, "Hi {{discountCode}} {discountCode}"));
}

Test(message, html_is_escaped_and_text_is_not)
{
    input.customer_name = view("<b>\"A\" & 'B'</b>");
    render(&email);
    cr_expect(
        has(&message.html, "Hi &lt;b&gt;&quot;A&quot; &amp; &#39;B&#39;&lt;/b&gt;, we saved"));
    cr_expect(has(&message.plain, "Hi <b>\"A\" & 'B'</b>, we saved"));
    cr_expect_str_eq(line("{customerName}"), "<b>\"A\" & 'B'</b>");
}

Test(message, control_characters_become_one_space)
{
    input.customer_name = view("A\r\nBcc: x\t\x01\x7f"
                               "B\xc2\x85\xe2\x80\xa8\xe2\x80\xa9"
                               "C");
    struct cw_touch touch = email;
    touch.subject = view("Hi\r\n {customerName}\n");
    render(&touch);
    EXPECT_TEXT(message.subject, "Hi  A Bcc: x B C");
    cr_expect(has(&message.html, "Hi A Bcc: x B C, we saved"));
    cr_expect(has(&message.plain, "Hi A Bcc: x B C, we saved"));
}

Test(message, unknown_and_open_braces_stay_as_they_are_written)
{
    cr_expect_str_eq(line("{x} {customerName"), "{x} {customerName");
    cr_expect_str_eq(line("}{{customerName}}{"), "}{Anna}{");
    cr_expect_str_eq(line("{items}{}{name}"), "{items}{}{name}");
    cr_expect_str_eq(line(""), "");
}

Test(message, sms_amounts_keep_to_plain_spaces)
{
    input.locale = view("fr-FR");
    input.currency = view("EUR");
    input.cart_value = 1234.5;
    cr_expect_str_eq(line("{cartValue}"), "1 234,50 \xe2\x82\xac");
}

Test(message, long_carts_show_their_first_items_and_count_the_rest)
{
    for (size_t i = 0; i < CW_COUNTOF(items); i++) {
        items[i] = items[0];
    }
    input.item_count = CW_COUNTOF(items);
    render(&email);
    cr_expect(has(&message.plain, "- and 40 more in your cart"));
    uint32_t shown = 0;
    for (const char *p = message.plain.data; (p = strstr(p, "Wireless")) != NULL; p++) {
        shown++;
    }
    cr_expect(eq(u32, shown, CW_MESSAGE_ITEMS_MAX));
    input.item_count = CW_MESSAGE_ITEMS_MAX;
    render(&email);
    cr_expect(not(has(&message.plain, "more in your cart")));
}

Test(message, longest_values_still_fit_the_shipped_template)
{
    static char name[1024];
    static char url[2048];
    memset(name, '"', sizeof name);
    memset(url, '\'', sizeof url);
    memcpy(url, "https://", 8);
    for (uint32_t i = 0; i < CW_MESSAGE_ITEMS_MAX; i++) {
        items[i] = (struct cw_message_item){{name, sizeof name}, {url, sizeof url}, 1e12, 1000000};
    }
    input.item_count = CW_MESSAGE_ITEMS_MAX;
    input.customer_name = input.shop_name = (struct cw_view){name, sizeof name};
    input.cart_link = input.unsubscribe_link = (struct cw_view){url, sizeof url};
    render(&email);
    cr_expect(gt(sz, message.html.bytes, 500000));
    cr_expect(le(sz, message.html.bytes, CW_MESSAGE_BYTES_MAX));
}

Test(message, parts_that_are_too_long_fail_and_the_next_render_works)
{
    static char text[100000];
    for (size_t i = 0; i + 16 < sizeof text; i += 16) {
        memcpy(text + i, "{{customerName}} ", 17);
    }
    static char name[1024];
    memset(name, 'n', sizeof name);
    add("big.html", text);
    add("big.txt", "x");
    struct cw_touch touch = email;
    touch.template_id = view("big");
    input.customer_name = (struct cw_view){name, sizeof name};
    input.touch = &touch;
    cr_expect(eq(int, cw_message_render(templates, zones, &input, &message, &fault), CW_ERR_LIMIT));
    cr_expect(strstr(fault.text, "big.html") != NULL, "%s", fault.text);
    touch = sms;
    for (size_t i = 0; i + 14 < sizeof text; i += 14) {
        memcpy(text + i, "{customerName}", 14);
    }
    touch.message = (struct cw_view){text, sizeof text};
    cr_expect(eq(int, cw_message_render(templates, zones, &input, &message, &fault), CW_ERR_LIMIT));
    render(&email);
    cr_expect(has(&message.html, "nnnn, we saved your cart"));
}

Test(message, template_that_is_not_there_is_named)
{
    struct cw_touch touch = email;
    touch.template_id = view("nothing");
    input.touch = &touch;
    cr_expect(
        eq(int, cw_message_render(templates, zones, &input, &message, &fault), CW_ERR_NOT_FOUND));
    cr_expect_str_eq(fault.text, "there is no template nothing.html");
    touch.template_id = (struct cw_view){0};
    cr_expect(
        eq(int, cw_message_render(templates, zones, &input, &message, &fault), CW_ERR_NOT_FOUND));
    input.touch = &email;
}

Test(message, variants_texts_come_before_the_touchs)
{
    struct cw_variant variant = {.subject = view("B {discountCode}")};
    input.variant = &variant;
    render(&email);
    EXPECT_TEXT(message.subject, "B CART10");
    cr_expect(has(&message.html, "Hi Anna, we saved your cart"));
    variant = (struct cw_variant){.title = view("T"), .body = view("B")};
    render(&push);
    EXPECT_TEXT(message.title, "T");
    EXPECT_TEXT(message.text, "B");
}

Test(message, today_is_found_as_a_word)
{
    static const struct {
        const char *text;
        bool says;
    } rows[] = {
        {"{discountPercent}% off ends today!", true},
        {"Today", true},
        {"TODAY only", true},
        {"only today", true},
        {"today\xe2\x80\x99s offer", true},
        {"todays", false},
        {"nottoday", false},
        {"to day", false},
        {"toda", false},
        {"", false},
    };

    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        cr_expect(cw_message_says_today(view(rows[i].text)) == rows[i].says, "%s", rows[i].text);
    }
}

Test(message, lines_of_sections_alone_are_no_lines)
{
    add("l.html", "x");
    add("l.txt",
        "a\r\n  {{#discount}}  \r\nb\r\n\t{{/discount}}\r\n{{^discount}}\nno\n"
        "{{/discount}}\n{{! a\ncomment }}\n\n c\td{{#several_}}{{/several_}}\n {{ shopName }} ");
    struct cw_touch touch = email;
    touch.template_id = view("l");
    render(&touch);
    EXPECT_TEXT(message.plain, "a\nb\n\n c\td\n Example Shop ");
    input.discount_percent = 0;
    render(&touch);
    EXPECT_TEXT(message.plain, "a\nno\n\n c\td\n Example Shop ");
}

Test(message, percent_that_is_no_number_is_a_mistake_of_the_caller, .signal = SIGABRT)
{
    input.discount_percent = NAN;
    cr_expect(cw_message_render(templates, zones, &input, &message, &fault) != CW_ERR_OK);
}

/* ---- any value whatever ---- */

static uint64_t seed = 7;

static uint32_t random_below(uint32_t bound)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(seed >> 33) % bound;
}

static struct cw_view hostile(char *out, size_t room)
{
    static const char *const pieces[] = {"<",
                                         ">",
                                         "\"",
                                         "'",
                                         "&",
                                         "{{",
                                         "}}",
                                         "{",
                                         "}",
                                         "{{{",
                                         "}}}",
                                         "{{/items}}",
                                         "{{#items}}",
                                         "{{>x}}",
                                         "{{=<% %>=}}",
                                         "{{customerName}}",
                                         "{customerName}",
                                         "{discountCode}",
                                         "\r\n",
                                         "\n",
                                         "\r",
                                         "\t",
                                         "\x1b",
                                         "\x01",
                                         "\x02",
                                         "\x03",
                                         "\x7f",
                                         "\xc2\x85",
                                         "\xc2\x9f",
                                         "\xe2\x80\xa8",
                                         "\xe2\x80\xa9",
                                         "é",
                                         "日本",
                                         "\xf0\x9f\x9b\x92",
                                         "<script>",
                                         "</td>",
                                         "-->",
                                         "<!--",
                                         "javascript:",
                                         "onload=x",
                                         " ",
                                         "a",
                                         "Anna",
                                         "&lt;",
                                         "&#0;",
                                         "%s",
                                         "\\"};
    size_t used = 0;
    for (uint32_t n = random_below(12); n > 0; n--) {
        const char *piece = pieces[random_below(CW_COUNTOF(pieces))];
        size_t bytes = strlen(piece);
        if (used + bytes < room) {
            memcpy(out + used, piece, bytes);
            used += bytes;
        }
    }
    return (struct cw_view){out, (uint32_t)used};
}

static uint32_t count(const struct cw_text *text, char what)
{
    uint32_t found = 0;
    for (size_t i = 0; i < text->bytes; i++) {
        found += text->data[i] == what;
    }
    return found;
}

static bool is_controlled(const struct cw_text *text, bool newlines)
{
    for (size_t i = 0; i < text->bytes; i++) {
        unsigned char c = (unsigned char)text->data[i];
        bool c1 = c == 0xc2 && i + 1 < text->bytes && (unsigned char)text->data[i + 1] < 0xa0;
        bool separator = i + 2 < text->bytes && (memcmp(text->data + i, "\xe2\x80\xa8", 3) == 0 ||
                                                 memcmp(text->data + i, "\xe2\x80\xa9", 3) == 0);
        if (c == 0x7f || c1 || separator || (c < 0x20 && !(newlines && c == '\n'))) {
            return true;
        }
    }
    return false;
}

Test(message, whatever_the_values_say_the_markup_stays_the_same)
{
    static char store[8][256];
    items[0].image_url = view("https://cdn.example/a.png");
    render(&email);
    static const char signs[] = "<>\"'\n";
    uint32_t expected[sizeof signs];
    for (size_t i = 0; signs[i] != '\0'; i++) {
        expected[i] = count(&message.html, signs[i]);
    }
    uint32_t lines = count(&message.plain, '\n');
    for (uint32_t round = 0; round < 5000; round++) {
        /* Names stay told, so that the same sections are true. */
        input.customer_name = hostile(store[0], 200);
        store[0][input.customer_name.bytes++] = 'n';
        input.shop_name = hostile(store[1], 200);
        store[1][input.shop_name.bytes++] = 'n';
        for (uint32_t i = 0; i < 3; i++) {
            items[i].name = hostile(store[2 + i], 250);
        }
        input.discount_code = hostile(store[5], 250);
        memcpy(store[6], "https://x/", 10);
        struct cw_view tail = hostile(store[6] + 10, 200);
        input.cart_link = (struct cw_view){store[6], tail.bytes + 10};
        render(&email);
        for (size_t i = 0; signs[i] != '\0'; i++) {
            cr_assert(eq(u32, count(&message.html, signs[i]), expected[i]), "round %u sign %c",
                      round, signs[i]);
        }
        cr_assert(eq(u32, count(&message.plain, '\n'), lines), "round %u", round);
        cr_assert(not(is_controlled(&message.subject, false)), "round %u", round);
        cr_assert(not(is_controlled(&message.html, true)), "round %u", round);
        cr_assert(not(is_controlled(&message.plain, true)), "round %u", round);
        render(&sms);
        cr_assert(not(is_controlled(&message.text, false)), "round %u", round);
        render(&push);
        cr_assert(not(is_controlled(&message.text, false)), "round %u", round);
        cr_assert(not(is_controlled(&message.link, false)), "round %u", round);
    }
}
