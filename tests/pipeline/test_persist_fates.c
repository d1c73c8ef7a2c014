/* Counters outlive versions: fewer of them are read, more are refused, nothing is believed. */
#include "pipeline/persist_priv.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

enum {
    WORDS = sizeof(struct cw_fates) / sizeof(uint64_t)
};

static struct cw_fates fates, back;
static uint8_t image[CW_FATES_IMAGE_BYTES];

static void make(void)
{
    uint64_t words[WORDS];
    for (uint32_t i = 0; i < WORDS; i++) {
        words[i] = (uint64_t)(i + 1) << 33 | (i + 7);
    }
    memcpy(&fates, words, sizeof fates);
    cw_fates_write(&fates, image);
}

TestSuite(persist_fates, .init = make);

static const char *read_bytes(uint32_t bytes)
{
    return cw_fates_read(&back, (struct cw_view){(const char *)image, bytes});
}

Test(persist_fates, come_back)
{
    cr_assert(zero(ptr, (void *)(uintptr_t)read_bytes(sizeof image)));
    cr_assert(eq(int, memcmp(&fates, &back, sizeof fates), 0));
}

/* As a version wrote it that had `received` and two fates of events. */
Test(persist_fates, of_an_older_version_are_read)
{
    const uint64_t older[] = {2 | (uint64_t)2 << 32,         /* layout, counters */
                              0 | 1 << 16,           11,     /* received */
                              4 | 2 << 16,           5,  6}; /* events */
    memcpy(image, older, sizeof older);
    cr_assert(zero(ptr, (void *)(uintptr_t)read_bytes(sizeof older)));
    struct cw_fates want = {.received = 11, .events = {5, 6}};
    cr_assert(eq(int, memcmp(&want, &back, sizeof want), 0));
}

Test(persist_fates, of_a_newer_version_are_refused)
{
    uint16_t number = 60000; /* the last counter: one that nobody knows here */
    memcpy(image + sizeof image - sizeof(uint64_t) - 8, &number, sizeof number);
    cr_assert(eq(str, (char *)(uintptr_t)read_bytes(sizeof image),
                 (char *)(uintptr_t) "counters of a newer version of cartwheel"));
    make();
    image[0]++;
    cr_assert(eq(str, (char *)(uintptr_t)read_bytes(sizeof image),
                 (char *)(uintptr_t) "counters of a newer version of cartwheel"));
    /* `received`, with one value more than it has here. */
    const uint64_t longer[] = {2 | (uint64_t)1 << 32, 0 | 2 << 16, 1, 2};
    memcpy(image, longer, sizeof longer);
    cr_assert(eq(str, (char *)(uintptr_t)read_bytes(sizeof longer),
                 (char *)(uintptr_t) "counters of a newer version of cartwheel"));
}

Test(persist_fates, cut_anywhere_are_refused)
{
    for (uint32_t bytes = 0; bytes < sizeof image; bytes++) {
        uint8_t *copy = malloc(bytes + 1); /* so that a sanitizer sees a byte too far */
        memcpy(copy, image, bytes);
        cr_assert(
            ne(ptr,
               (void *)(uintptr_t)cw_fates_read(&back, (struct cw_view){(const char *)copy, bytes}),
               NULL));
        free(copy);
    }
}

Test(persist_fates, of_one_number_twice_are_refused)
{
    const uint64_t twice[] = {2 | (uint64_t)2 << 32, 1 | 1 << 16, 1, 1 | 1 << 16, 2};
    memcpy(image, twice, sizeof twice);
    cr_assert(ne(ptr, (void *)(uintptr_t)read_bytes(sizeof twice), NULL));
}
