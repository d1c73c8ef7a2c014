#include "io/peers.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

enum {
    MANY = 1000
};

static struct cw_arena arena;
static struct cw_peers *peers;

static void set_up(void)
{
    struct cw_fault fault;
    cr_assert(eq(int, cw_arena_open(&arena, cw_peers_footprint(MANY), 1 << 20, &fault), CW_ERR_OK));
    peers = cw_peers_create(&arena, MANY);
}

static void tear_down(void)
{
    cw_arena_close(&arena);
}

TestSuite(peers, .init = set_up, .fini = tear_down);

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage out = {.ss_family = AF_UNSPEC};
    struct sockaddr_in *in = (void *)&out;
    struct sockaddr_in6 *in6 = (void *)&out;
    if (inet_pton(AF_INET, text, &in->sin_addr) == 1) {
        in->sin_family = AF_INET;
    } else {
        cr_assert(eq(int, inet_pton(AF_INET6, text, &in6->sin6_addr), 1));
        in6->sin6_family = AF_INET6;
    }
    return out;
}

static uint32_t add(const char *text, uint32_t *peer)
{
    struct sockaddr_storage at = address(text);
    return cw_peers_add(peers, &at, peer);
}

Test(peers, counts_by_address)
{
    uint32_t a;
    uint32_t b;
    cr_expect(eq(u32, add("192.0.2.1", &a), 1));
    cr_expect(eq(u32, add("192.0.2.1", &a), 2));
    cr_expect(eq(u32, add("192.0.2.2", &b), 1));
    cw_peers_remove(peers, a);
    cr_expect(eq(u32, add("192.0.2.1", &a), 2));
}

Test(peers, an_ipv6_address_stands_for_its_64_bits)
{
    uint32_t peer;
    cr_expect(eq(u32, add("2001:db8::1", &peer), 1));
    cr_expect(eq(u32, add("2001:db8::ffff:2", &peer), 2));
    cr_expect(eq(u32, add("2001:db8:0:1::1", &peer), 1));
    cr_expect(eq(u32, add("192.0.2.7", &peer), 1));
    cr_expect(eq(u32, add("::ffff:192.0.2.7", &peer), 2), "the same caller, by another way");
    cr_expect(eq(u32, add("::ffff:192.0.2.8", &peer), 1));
}

Test(peers, has_room_for_as_many_as_there_may_be_again_and_again)
{
    static uint32_t held[MANY];
    for (int round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < MANY; i++) {
            char text[32];
            snprintf(text, sizeof text, "10.%d.%u.%u", round, i / 200, i % 200);
            cr_assert(eq(u32, add(text, &held[i]), 1));
        }
        for (uint32_t i = 0; i < MANY; i++) {
            cw_peers_remove(peers, held[i]);
        }
    }
}
