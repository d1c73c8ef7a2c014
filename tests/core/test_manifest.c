#include "core/manifest.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>
#include <xxhash.h>

static struct cw_fault fault;

static struct cw_manifest sample(void)
{
    struct cw_manifest m = {.generation = 7,
                            .epoch = 2,
                            .cores = 4,
                            .partitions = 256,
                            .clean = true,
                            .held = CW_HOLD_NONE,
                            .writer = "0.1.0"};
    for (uint32_t i = 0; i < sizeof m.store; i++) {
        m.store[i] = (uint8_t)(i * 17);
    }
    return m;
}

static struct cw_view view_of(const struct cw_text *text)
{
    return (struct cw_view){text->data, (uint32_t)text->bytes};
}

Test(manifest, comes_back_as_it_was_written)
{
    struct cw_text text = {0};
    struct cw_manifest written = sample();
    struct cw_manifest read;
    cw_manifest_write(&written, &text);
    cr_assert(eq(int, cw_manifest_read(&read, view_of(&text), &fault), CW_ERR_OK));
    cr_assert(eq(int, memcmp(read.store, written.store, sizeof read.store), 0));
    cr_assert(eq(u64, read.generation, 7));
    cr_assert(eq(u64, read.epoch, 2));
    cr_assert(eq(u32, read.cores, 4));
    cr_assert(eq(u32, read.partitions, 256));
    cr_assert(read.clean);
    cr_assert(eq(u32, read.held, CW_HOLD_NONE));
    cr_assert(eq(str, read.writer, "0.1.0"));
    cw_text_deinit(&text);
}

Test(manifest, tells_why_sends_are_held)
{
    for (uint32_t holds = 0; holds < 1u << CW_HOLD_BITS; holds++) {
        struct cw_text text = {0};
        struct cw_manifest written = sample();
        struct cw_manifest read;
        written.held = holds;
        cw_manifest_write(&written, &text);
        cr_assert(eq(int, cw_manifest_read(&read, view_of(&text), &fault), CW_ERR_OK));
        cr_assert(eq(u32, read.held, holds));
        cw_text_deinit(&text);
    }
    struct cw_text names = {0};
    cw_holds_write(CW_HOLD_NONE, "\"", &names);
    cr_assert(eq(sz, names.bytes, 0));
    cw_holds_write(CW_HOLD_RESTORED | CW_HOLD_LOSS, "\"", &names);
    cr_assert(strcmp(cw_text_terminate(&names), "\"restored\",\"log_loss\"") == 0);
    cw_text_deinit(&names);
}

Test(manifest, is_refused_with_any_byte_changed_or_missing)
{
    struct cw_text text = {0};
    struct cw_manifest written = sample();
    struct cw_manifest read;
    cw_manifest_write(&written, &text);
    for (size_t i = 0; i < text.bytes; i++) {
        for (uint32_t bit = 0; bit < 8; bit++) {
            text.data[i] = (char)(text.data[i] ^ 1 << bit);
            cr_assert(ne(int, cw_manifest_read(&read, view_of(&text), &fault), CW_ERR_OK),
                      "byte %zu, bit %u", i, bit);
            text.data[i] = (char)(text.data[i] ^ 1 << bit);
        }
        struct cw_view cut = {text.data, (uint32_t)i};
        cr_assert(ne(int, cw_manifest_read(&read, cut, &fault), CW_ERR_OK), "cut at %zu", i);
    }
    cw_text_char(&text, '\n');
    cr_assert(eq(int, cw_manifest_read(&read, view_of(&text), &fault), CW_ERR_CORRUPT));
    cw_text_deinit(&text);
}

Test(manifest, of_another_format_says_so)
{
    struct cw_text text = {0};
    struct cw_manifest read;
    static const char other[] = "cartwheel-state 2\nwhatever\n";
    cw_text_put(&text, other, sizeof other - 1);
    uint64_t hash = XXH3_64bits(text.data, text.bytes);
    cw_text_printf(&text, "hash %016llx\n", (unsigned long long)hash);
    cr_assert(eq(int, cw_manifest_read(&read, view_of(&text), &fault), CW_ERR_UNSUPPORTED));
    cr_assert(ne(ptr, strstr(fault.text, "format 2"), NULL));
    cr_assert(eq(int, cw_manifest_read(&read, CW_VIEW("# no"), &fault), CW_ERR_CORRUPT));
    cr_assert(eq(int, cw_manifest_read(&read, CW_VIEW(""), &fault), CW_ERR_CORRUPT));
    cw_text_deinit(&text);
}

/* Who believed the number would send its reader after a version that never was. */
Test(manifest, with_a_bit_of_its_format_flipped_is_damaged)
{
    struct cw_text text = {0};
    struct cw_manifest written = sample();
    struct cw_manifest read;
    cw_manifest_write(&written, &text);
    size_t at = strlen("cartwheel-state ");
    for (uint32_t bit = 0; bit < 8; bit++) {
        text.data[at] = (char)(text.data[at] ^ 1 << bit);
        cr_assert(eq(int, cw_manifest_read(&read, view_of(&text), &fault), CW_ERR_CORRUPT));
        text.data[at] = (char)(text.data[at] ^ 1 << bit);
    }
    cw_text_deinit(&text);
}

/* A manifest of the first format opens for ever. */
Test(manifest, of_the_first_format_is_read)
{
    static const char kept[] = "cartwheel-state 1\n"
                               "store 000102030405060708090a0b0c0d0e0f\n"
                               "generation 3\n"
                               "epoch 1\n"
                               "cores 2\n"
                               "partitions 256\n"
                               "clean no\n"
                               "held yes\n"
                               "writer 0.1.0\n"
                               "hash ";
    struct cw_text text = {0};
    struct cw_manifest read = sample();
    read.generation = 3;
    read.epoch = 1;
    read.cores = 2;
    read.clean = false;
    read.held = CW_HOLD_RESTORED;
    for (uint32_t i = 0; i < sizeof read.store; i++) {
        read.store[i] = (uint8_t)i;
    }
    cw_manifest_write(&read, &text);
    cr_assert(eq(int, memcmp(text.data, kept, sizeof kept - 1), 0));
    cr_assert(eq(int, cw_manifest_read(&read, view_of(&text), &fault), CW_ERR_OK));
    cw_text_deinit(&text);
}
