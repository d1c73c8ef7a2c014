/* Dead letters of one customer, however their text was quoted, and of nobody else. */
#include "tools/receipts.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct cw_view view(const char *text)
{
    return (struct cw_view){text, (uint32_t)strlen(text)};
}

Test(receipts, find_the_customer_in_a_letter)
{
    static const struct {
        const char *line, *customer;
        bool names;
    } cases[] = {
        {"{\"event\":\"{\\\"detail\\\":{\\\"customerId\\\":\\\"c-1\\\"}}\"}", "c-1", true},
        {"{\"event\":\"{\\\"detail\\\":{\\\"customerId\\\" : \\\"c-1\\\"}}\"}", "c-1", true},
        {"{\"event\":\"{\\\"detail\\\":{\\\"customerId\\\":\\n  \\\"c-1\\\"}}\"}", "c-1", true},
        {"{\"event\":\"{\\\"Detail\\\":\\\"{\\\\\\\"customerId\\\\\\\":\\\\\\\"c-1\\\\\\\"}\\\"}"
         "\"}",
         "c-1", true},
        {"{\"event\":\"{\\\"detail\\\":{\\\"customerId\\\":\\\"c-12\\\"}}\"}", "c-1", false},
        {"{\"event\":\"{\\\"detail\\\":{\\\"customerId\\\":\\\"xc-1\\\"}}\"}", "c-1", false},
        {"{\"event\":\"{\\\"detail\\\":{\\\"cartId\\\":\\\"c-1\\\"}}\"}", "c-1", false},
        {"{\"event\":\"{\\\"customerId\\\":\\\"d\\\"},{\\\"customerId\\\":\\\"c-1\\\"}\"}", "c-1",
         true},
        {"{\"event\":\"{\\\"customerId\\\":\\\"Ren\\\\u00e9 \\\\ud83d\\\\ude00\\\"\"}",
         "Ren\xc3\xa9 \xf0\x9f\x98\x80", true},
        {"{\"event\":\"{\\\"customerId\\\":\\\"a\\\\\\\\nb\\\"\"}", "a\\nb", true},
        {"{\"event\":\"{\\\"customerId\\\":\\\"a\\\\\\\"b\\\"\"}", "a\"b", true},
        {"{\"event\":\"{\\\"customerId\\\":4711,\\\"email\\\":\\\"e\\\"}\"}", "4711", true},
        {"{\"event\":\"{\\\"customerId\\\": 4711}\"}", "4711", true},
        {"{\"event\":\"{\\\"customerId\\\":47110}\"}", "4711", false},
        {"{\"event\":\"{\\\"customerId\\\":\\\"4711,2\\\"}\"}", "4711", false},
        {"{\"event\":\"{\\\"customerId\\\":4711", "4711", false},
        {"{\"event\":\"{\\\"customerId\\\":\\\"c-1", "c-1", false},
        {"{\"event\":\"customerId", "c-1", false},
        {"{\"event\":\"\\", "c-1", false},
        {"\\u12", "c-1", false},
        {"\\", "c-1", false},
        {"", "c-1", false},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cr_assert(
            eq(int, cw_letter_names(view(cases[i].line), view(cases[i].customer)), cases[i].names),
            "%s", cases[i].line);
    }
}

Test(receipts, are_read_from_the_first_whole_line)
{
    char folder[] = "/tmp/cartwheel-receipts-XXXXXX";
    char path[64];
    struct cw_text out = {0};
    struct cw_fault fault;
    cr_assert(ne(ptr, mkdtemp(folder), NULL));
    cr_assert(eq(int, cw_receipts_read(folder, 100, &out, &fault), CW_ERR_OK));
    cr_assert(eq(sz, out.bytes, 0));
    (void)snprintf(path, sizeof path, "%s/erasures.ndjson", folder);
    int file = open(path, O_WRONLY | O_CREAT, 0600);
    cr_assert(eq(int, (int)write(file, "first\nsecond\nthird\n", 19), 19));
    (void)close(file);
    cr_assert(eq(int, cw_receipts_read(folder, 9, &out, &fault), CW_ERR_OK));
    cr_assert(eq(sz, out.bytes, 6));
    cr_assert(eq(int, memcmp(out.data, "third\n", 6), 0));
    cw_text_clear(&out);
    cr_assert(eq(int, cw_receipts_read(folder, 19, &out, &fault), CW_ERR_OK));
    cr_assert(eq(sz, out.bytes, 19));
    cw_text_clear(&out);
    cr_assert(eq(int, cw_receipts_read(folder, 3, &out, &fault), CW_ERR_OK));
    cr_assert(eq(sz, out.bytes, 0));
    cw_text_deinit(&out);
    (void)unlink(path);
    (void)rmdir(folder);
}
