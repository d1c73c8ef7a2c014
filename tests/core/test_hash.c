#include "core/hash.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* Key 00..0f, input 00, 01, ... The 128-bit column is that of the published reference vectors; the
   64-bit one was worked out by two other implementations. */
static const struct {
    uint32_t bytes;
    const char *wide;
    uint64_t narrow;
} vectors[] = {
    {0, "a3817f04ba25a8e66df67214c7550293", 0xabac0158050fc4dcu},
    {1, "da87c1d86b99af44347659119b22fc45", 0xc9f49bf37d57ca93u},
    {2, "8177228da4a45dc7fca38bdef60affe4", 0x82cb9b024dc7d44du},
    {3, "9c70b60c5267a94e5f33b6b02985ed51", 0x8bf80ab8e7ddf7fbu},
    {4, "f88164c12d9c8faf7d0f6e7c7bcd5579", 0xcf75576088d38328u},
    {5, "1368875980776f8854527a07690e9627", 0xdef9d52f49533b67u},
    {6, "14eeca338b208613485ea0308fd7a15e", 0xc50d2b50c59f22a7u},
    {7, "a1f1ebbed8dbc153c0b84aa61ff08239", 0xd3927d989bb11140u},
    {8, "3b62a9ba6258f5610f83e264f31497b4", 0x369095118d299a8eu},
    {9, "264499060ad9baabc47f8b02bb6d71ed", 0x25a48eb36c063de4u},
    {15, "5493e99933b0a8117e08ec0f97cfc3d9", 0xd320d86d2a519956u},
    {16, "6ee2a4ca67b054bbfd3315bf85230577", 0xcc4fdd1a7d908b66u},
    {23, "c9d184ddd5a9f5e0cf8ce29a9abf691c", 0x525a0e7fdae6c123u},
    {24, "2db479ae78bd50d8882a8a178a6132ad", 0xf464aeb267349c8cu},
    {31, "2939b0183223fafc1723de4f52c43d35", 0x2370dd1f8c21d1bcu},
    {63, "5150d1772f50834a503e069a973fbd7c", 0x9d199062b7bbb3a8u},
};

static const struct cw_hash_key counting = {.k0 = 0x0706050403020100u, .k1 = 0x0f0e0d0c0b0a0908u};

static void hex_of(const uint8_t bytes[16], char hex[33])
{
    for (int i = 0; i < 16; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    }
}

Test(hash, agrees_with_the_published_vectors)
{
    uint8_t input[64];
    for (uint32_t i = 0; i < 64; i++) {
        input[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < CW_COUNTOF(vectors); i++) {
        uint8_t wide[16];
        char hex[33];
        cw_hash128(counting, input, vectors[i].bytes, wide);
        hex_of(wide, hex);
        cr_assert(eq(str, hex, (char *)vectors[i].wide));
        cr_assert(eq(u64, cw_hash(counting, input, vectors[i].bytes), vectors[i].narrow));
    }
}

Test(hash, agrees_with_a_second_implementation_at_every_length_to_599)
{
    static uint8_t input[600];
    static uint8_t wide[600 * 16];
    static uint8_t narrow[600 * 8];
    for (size_t i = 0; i < sizeof input; i++) {
        input[i] = (uint8_t)i;
    }
    for (size_t bytes = 0; bytes < 600; bytes++) {
        cw_hash128(counting, input, bytes, wide + 16 * bytes);
        uint64_t word = cw_hash(counting, input, bytes);
        memcpy(narrow + 8 * bytes, &word, sizeof word);
    }
    uint8_t digest[16];
    char hex[33];
    cw_hash128(counting, wide, sizeof wide, digest);
    hex_of(digest, hex);
    cr_assert(eq(str, hex, "b3fb79b1df70b9488a26f15a0765ebfa"));
    cw_hash128(counting, narrow, sizeof narrow, digest);
    hex_of(digest, hex);
    cr_assert(eq(str, hex, "05810eaa3ecaf1288edd38804b8277d1"));
}

Test(hash, reads_nothing_outside_its_input)
{
    /* Two pages of which the second and the one before may not be touched. */
    const size_t page = 4096;
    uint8_t *base = mmap(NULL, 3 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    cr_assert(base != MAP_FAILED);
    cr_assert(eq(int, mprotect(base + page, page, PROT_READ | PROT_WRITE), 0));
    memset(base + page, 0x5a, page);
    uint8_t wide[16];
    for (size_t bytes = 0; bytes <= 64; bytes++) {
        const uint8_t *first = base + page;
        const uint8_t *last = base + 2 * page - bytes;
        cr_assert(eq(u64, cw_hash(counting, first, bytes), cw_hash(counting, last, bytes)));
        cr_assert(eq(u32, cw_murmur2(first, bytes), cw_murmur2(last, bytes)));
        cw_hash128(counting, first, bytes, wide);
        cw_hash128(counting, last, bytes, wide);
    }
    (void)munmap(base, 3 * page);
}

Test(hash, of_nothing_takes_a_null_pointer)
{
    uint8_t wide[16];
    cr_assert(eq(u64, cw_hash(counting, NULL, 0), vectors[0].narrow));
    cw_hash128(counting, NULL, 0, wide);
    cr_assert(eq(u32, cw_murmur2(NULL, 0), cw_murmur2("", 0)));
}

Test(hash, changes_with_each_half_of_the_key)
{
    struct cw_hash_key a = counting;
    struct cw_hash_key b = counting;
    a.k0 ^= 1;
    b.k1 ^= 1;
    uint64_t plain = cw_hash(counting, "cust-1", 6);
    cr_assert(ne(u64, cw_hash(a, "cust-1", 6), plain));
    cr_assert(ne(u64, cw_hash(b, "cust-1", 6), plain));
}

Test(hash, murmur2_agrees_with_kafka)
{
    static const struct {
        const char *text;
        int32_t hash;
    } rows[] = {
        {"21", -973932308},
        {"foobar", -790332482},
        {"a-little-bit-long-string", -985981536},
        {"a-little-bit-longer-string", -1486304829},
        {"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
        {"abc", 479470107},
    };

    for (size_t i = 0; i < CW_COUNTOF(rows); i++) {
        cr_assert(eq(i32, (int32_t)cw_murmur2(rows[i].text, strlen(rows[i].text)), rows[i].hash));
    }
}

Test(hash, partition_is_within_the_count)
{
    struct cw_view id = CW_VIEW("abc");
    cr_assert(eq(u32, cw_partition(id, 256), 479470107u % 256u));
    cr_assert(eq(u32, cw_partition(id, 1), 0u));
}
