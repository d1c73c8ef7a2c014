/* Dead letters of one customer, however their text was quoted, and of nobody else. */
#include "tools/flush.h"
#include "tools/receipts.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
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

/* ---- an erasure that does not come through at once ---- */

static char box[64];

static const char *in_box(const char *name)
{
    static char path[128];
    (void)snprintf(path, sizeof path, "%s/%s", box, name);
    return path;
}

static void make_box(void)
{
    (void)snprintf(box, sizeof box, "/tmp/cartwheel-receipts-XXXXXX");
    cr_assert(ne(ptr, mkdtemp(box), NULL));
}

static void remove_box(void)
{
    static const char *const names[] = {"dead-letters.ndjson", "dead-letters.1.ndjson",
                                        "dead-letters.ndjson.new", "erasures.ndjson"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        (void)unlink(in_box(names[i]));
    }
    cr_assert(eq(int, rmdir(box), 0));
}

static void write_file(const char *name, const char *text)
{
    FILE *file = fopen(in_box(name), "we");
    cr_assert(file != NULL && fputs(text, file) >= 0 && fclose(file) == 0);
}

static const char *content(const char *name)
{
    static char text[4096];
    FILE *file = fopen(in_box(name), "re");
    cr_assert(ne(ptr, file, NULL));
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    (void)fclose(file);
    return text;
}

static void put_letter(struct cw_letters *letters, struct cw_letter_file *file, const char *text)
{
    cw_letters_put(letters, 1000, view(text), view("refused"));
    cr_assert(cw_letter_file_write(file, letters));
}

Test(receipts, letters_are_written_after_an_erasure_that_failed_half_way, .init = make_box,
     .fini = remove_box)
{
    struct cw_letters letters;
    struct cw_letter_file file;
    struct cw_fault fault;
    cw_letters_init(&letters);
    write_file("dead-letters.1.ndjson", "{\"event\":\"{\\\"customerId\\\":\\\"anna\\\"}\"}\n");
    cr_assert(eq(int, mkdir(in_box("dead-letters.1.ndjson.new"), 0700), 0), "no copy of that one");
    cr_assert(eq(int, cw_letter_file_open(&file, box, 1 << 20, &fault), CW_ERR_OK));
    put_letter(&letters, &file, "{\"customerId\":\"anna\"}");
    put_letter(&letters, &file, "{\"customerId\":\"bert\"}");
    const struct cw_receipts receipts = {.directory = box, .letters = &file};
    struct cw_receipt receipt = {
        .customer = "anna", .customer_bytes = 4, .event = "e1", .event_bytes = 2};
    cr_assert(ne(int, cw_receipt_write(&receipts, &receipt, &fault), CW_ERR_OK));
    put_letter(&letters, &file, "{\"customerId\":\"carl\"}");
    cr_assert(ne(ptr, strstr(content("dead-letters.ndjson"), "carl"), NULL), "between the two");
    cr_assert(eq(int, rmdir(in_box("dead-letters.1.ndjson.new")), 0));
    cr_assert(eq(int, cw_receipt_write(&receipts, &receipt, &fault), CW_ERR_OK), "%s", fault.text);
    put_letter(&letters, &file, "{\"customerId\":\"dora\"}");
    const char *left = content("dead-letters.ndjson");
    cr_assert(strstr(left, "anna") == NULL && strstr(left, "bert") != NULL &&
                  strstr(left, "carl") != NULL && strstr(left, "dora") != NULL,
              "%s", left);
    const char *told = content("erasures.ndjson");
    cr_assert(strstr(told, "\"deadLetters\":2") != NULL && strstr(told, "given-up") == NULL);
    cr_assert(eq(int, mkdir(in_box("given-up"), 0700), 0));
    cr_assert(eq(int, mkdir(in_box("given-up/then-core-001"), 0700), 0));
    cr_assert(eq(int, cw_receipt_write(&receipts, &receipt, &fault), CW_ERR_OK), "%s", fault.text);
    cr_assert(ne(ptr, strstr(content("erasures.ndjson"), "/given-up/then-core-001\"]}"), NULL));
    cw_letter_file_close(&file);
    cw_letters_deinit(&letters);
}

static struct cw_view long_line(void)
{
    static char line[3001];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\n';
    return (struct cw_view){line, sizeof line};
}

/* A disk that is full in the middle of a line; a file that may not grow is one. */
Test(receipts, a_line_is_whole_or_not_there, .init = make_box, .fini = remove_box)
{
    struct cw_fault fault;
    struct rlimit before;
    cr_assert(eq(int, cw_flush_line(in_box("erasures.ndjson"), view("first\n"), &fault), 0));
    cr_assert(eq(int, getrlimit(RLIMIT_FSIZE, &before), 0));
    struct rlimit small = {1000, before.rlim_max};
    (void)signal(SIGXFSZ, SIG_IGN);
    cr_assert(eq(int, setrlimit(RLIMIT_FSIZE, &small), 0));
    cw_err err = cw_flush_line(in_box("erasures.ndjson"), long_line(), &fault);
    cr_assert(eq(int, setrlimit(RLIMIT_FSIZE, &before), 0));
    cr_assert(eq(int, err, CW_ERR_IO));
    cr_assert(eq(str, (char *)content("erasures.ndjson"), "first\n"));
    write_file("erasures.ndjson", "first\nhalf of a li"); /* as a crash may leave it */
    cr_assert(eq(int, cw_flush_line(in_box("erasures.ndjson"), view("next\n"), &fault), 0));
    cr_assert(eq(str, (char *)content("erasures.ndjson"), "first\nhalf of a li\nnext\n"));
}
