/* Tokens: what is written is read back, and nothing else is. */
#include "core/time.h"
#include "pipeline/link.h"
#include "tests/core/random.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

enum {
    PARTITIONS = 256
};

static const struct cw_links links = {.key = {0x0123456789abcdef, 42},
                                      .base = {"https://go.example", 18}};

static const enum cw_link_kind kinds[] = {CW_LINK_OPEN, CW_LINK_CLICK, CW_LINK_UNSUBSCRIBE};

static struct cw_text url;
static char room[CW_LINK_TOKEN_BYTES_MAX];

static void close_url(void)
{
    cw_text_deinit(&url);
}

TestSuite(link, .fini = close_url);

/* What stands behind /o/, /c/ or /u/. */
static struct cw_view token_of(enum cw_link_kind kind)
{
    uint32_t from = links.base.bytes + 3;
    uint32_t tail = kind == CW_LINK_OPEN && url.bytes > from + CW_LINK_SHORT_BYTES ? 4 : 0;
    return (struct cw_view){url.data + from, (uint32_t)url.bytes - from - tail};
}

static struct cw_link sample(void)
{
    return (struct cw_link){.program = CW_VIEW("abandoned-cart-recovery"),
                            .customer = CW_VIEW("CUST-67890"),
                            .cart = CW_VIEW("CART-12345"),
                            .first_t0 = INT64_C(1768824000123),
                            .touch = 2,
                            .channel = CW_CHANNEL_PUSH,
                            .expires_at = INT64_C(1776600000000)};
}

static void write(enum cw_link_kind kind, const struct cw_link *link)
{
    cw_text_clear(&url);
    cw_link_write(&links, kind, link, &url);
}

static bool reads(enum cw_link_kind kind, struct cw_view token, struct cw_link *link)
{
    return cw_link_read(&links, kind, token, PARTITIONS, room, link);
}

Test(link, a_long_link_tells_what_it_was_written_from)
{
    for (uint32_t i = 0; i < CW_COUNTOF(kinds); i++) {
        struct cw_link written = sample();
        struct cw_link read;
        char id[CW_MESSAGE_ID_BYTES];
        write(kinds[i], &written);
        const char start[] = {'/', (char)kinds[i], '/'};
        cr_assert(eq(int, memcmp(url.data, links.base.data, links.base.bytes), 0));
        cr_assert(eq(int, memcmp(url.data + links.base.bytes, start, 3), 0));
        cr_assert(eq(int, memcmp(url.data + url.bytes - 4, ".gif", 4) == 0, i == 0));
        cr_assert(reads(kinds[i], token_of(kinds[i]), &read));
        cr_assert(not(read.brief));
        cr_assert(cw_view_equal(read.program, written.program));
        cr_assert(cw_view_equal(read.customer, written.customer));
        cr_assert(cw_view_equal(read.cart, written.cart));
        cr_assert(eq(i64, read.first_t0, written.first_t0));
        cr_assert(eq(u32, read.touch, 2));
        cr_assert(eq(int, (int)read.channel, CW_CHANNEL_PUSH));
        cr_assert(ge(i64, read.expires_at, written.expires_at));
        cr_assert(lt(i64, read.expires_at, written.expires_at + CW_DAY_MS));
        cr_assert(eq(u32, read.partition, cw_partition(written.customer, PARTITIONS)));
        cw_message_id(PARTITIONS, written.program, written.customer, written.cart, written.first_t0,
                      2, id);
        cr_assert(eq(int, memcmp(read.message_id, id, sizeof id), 0));
    }
}

Test(link, ids_of_any_bytes_and_any_length_go_there_and_back)
{
    uint64_t random = 5;
    static char ids[3][CW_ID_BYTES_MAX];
    for (uint32_t round = 0; round < 2000; round++) {
        struct cw_link written = sample();
        struct cw_view *const parts[] = {&written.program, &written.customer, &written.cart};
        for (uint32_t i = 0; i < 3; i++) {
            uint32_t bytes = round == 0 ? CW_ID_BYTES_MAX : 1 + random_below(&random, 128);
            for (uint32_t k = 0; k < bytes; k++) {
                ids[i][k] = (char)(1 + random_below(&random, 255));
            }
            *parts[i] = (struct cw_view){ids[i], bytes};
        }
        written.touch = 1 + random_below(&random, CW_TOUCHES_MAX);
        written.channel = (enum cw_channel)random_below(&random, CW_CHANNEL_COUNT);
        struct cw_link read;
        enum cw_link_kind kind = kinds[round % 3];
        write(kind, &written);
        cr_assert(le(u32, token_of(kind).bytes, CW_LINK_TOKEN_BYTES_MAX));
        cr_assert(reads(kind, token_of(kind), &read), "%u", round);
        cr_assert(cw_view_equal(read.program, written.program));
        cr_assert(cw_view_equal(read.customer, written.customer));
        cr_assert(cw_view_equal(read.cart, written.cart));
        cr_assert(eq(u32, read.touch, written.touch));
    }
}

Test(link, no_bit_can_be_changed)
{
    struct cw_link link = sample();
    struct cw_link read;
    for (uint32_t longer = 0; longer < 3; longer++) { /* all three ways to end in base64 */
        link.cart = (struct cw_view){"CART-12345", 10 - longer};
        write(CW_LINK_CLICK, &link);
        struct cw_view token = token_of(CW_LINK_CLICK);
        char text[CW_LINK_TOKEN_BYTES_MAX];
        memcpy(text, token.data, token.bytes);
        for (uint32_t bit = 0; bit < token.bytes * 8; bit++) {
            text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
            cr_assert(not(reads(CW_LINK_CLICK, (struct cw_view){text, token.bytes}, &read)),
                      "bit %u", bit);
            text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        }
        for (uint32_t i = 0; i < token.bytes; i++) {
            for (int c = 0; c < 256; c++) {
                char was = text[i];
                text[i] = (char)c;
                cr_assert(eq(int, reads(CW_LINK_CLICK, (struct cw_view){text, token.bytes}, &read),
                             text[i] == was));
                text[i] = was;
            }
        }
    }
}

Test(link, no_part_and_nothing_longer_is_a_link)
{
    struct cw_link link = sample();
    struct cw_link read;
    write(CW_LINK_UNSUBSCRIBE, &link);
    struct cw_view token = token_of(CW_LINK_UNSUBSCRIBE);
    char text[CW_LINK_TOKEN_BYTES_MAX + 400];
    memset(text, 'A', sizeof text);
    memcpy(text, token.data, token.bytes);
    for (uint32_t bytes = 0; bytes < sizeof text; bytes++) {
        if (bytes != token.bytes && bytes != CW_LINK_SHORT_BYTES) {
            cr_assert(not(reads(CW_LINK_UNSUBSCRIBE, (struct cw_view){text, bytes}, &read)), "%u",
                      bytes);
        }
    }
}

Test(link, a_link_of_one_kind_is_none_of_another)
{
    struct cw_link link = sample();
    struct cw_link read;
    for (uint32_t i = 0; i < CW_COUNTOF(kinds); i++) {
        write(kinds[i], &link);
        for (uint32_t k = 0; k < CW_COUNTOF(kinds); k++) {
            cr_assert(eq(int, reads(kinds[k], token_of(kinds[i]), &read), i == k));
        }
    }
}

Test(link, another_key_reads_nothing)
{
    struct cw_link link = sample();
    struct cw_link read;
    struct cw_links other = links;
    other.key.k1++;
    write(CW_LINK_CLICK, &link);
    cr_assert(not(cw_link_read(&other, CW_LINK_CLICK, token_of(CW_LINK_CLICK), 256, room, &read)));
}

static const char message_id[] = "00c80123456789abcdef0123456789abcdef";

Test(link, a_brief_link_fits_an_sms_and_leads_to_its_row)
{
    uint8_t keys[2][10];

    static const enum cw_link_kind brief[] = {CW_LINK_CLICK, CW_LINK_UNSUBSCRIBE};

    for (uint32_t i = 0; i < 2; i++) {
        struct cw_link read;
        cw_text_clear(&url);
        cr_assert(cw_link_write_brief(&links, brief[i], 200, message_id, keys[i], &url));
        cr_assert(le(sz, url.bytes, CW_LINK_SMS_BYTES));
        cr_assert(eq(u32, token_of(brief[i]).bytes, CW_LINK_SHORT_BYTES));
        cr_assert(reads(brief[i], token_of(brief[i]), &read));
        cr_assert(read.brief);
        cr_assert(eq(u32, read.partition, 200));
        cr_assert(eq(int, memcmp(read.brief_key, keys[i], 10), 0));
        /* As another kind it leads elsewhere. */
        cr_assert(reads(brief[1 - i], token_of(brief[i]), &read));
        cr_assert(ne(int, memcmp(read.brief_key, keys[i], 10), 0));
    }
    cr_assert(eq(int, memcmp(keys[0], keys[1], 10), 0), "one row for both");
}

Test(link, no_changed_brief_link_leads_to_the_same_row)
{
    uint8_t key[10];
    struct cw_link read;
    cr_assert(cw_link_write_brief(&links, CW_LINK_CLICK, 200, message_id, key, &url));
    char *text = url.data + links.base.bytes + 3;
    for (uint32_t bit = 0; bit < CW_LINK_SHORT_BYTES * 8; bit++) {
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
        bool same = reads(CW_LINK_CLICK, (struct cw_view){text, CW_LINK_SHORT_BYTES}, &read) &&
                    read.partition == 200 && memcmp(read.brief_key, key, 10) == 0;
        cr_assert(not(same), "bit %u", bit);
        text[bit / 8] = (char)(text[bit / 8] ^ (1 << bit % 8));
    }
}

Test(link, a_base_that_is_too_long_for_an_sms_is_told)
{
    uint8_t key[10];
    struct cw_links other = {.base = CW_VIEW("https://an-address.of.a.shop.example")};
    cr_assert(not(cw_link_write_brief(&other, CW_LINK_CLICK, 1, message_id, key, &url)));
    cr_assert(eq(sz, url.bytes, 0));
    other.base = (struct cw_view){"https://a.of.abc.example", 21};
    cr_assert(cw_link_write_brief(&other, CW_LINK_CLICK, 1, message_id, key, &url));
    cr_assert(eq(sz, url.bytes, CW_LINK_SMS_BYTES));
}
