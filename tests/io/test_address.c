#include "io/address.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <stdio.h>

static struct cw_view view(const char *text)
{
    return (struct cw_view){text, (uint32_t)strlen(text)};
}

Test(address, takes_ordinary_ones)
{
    static const char *const good[] = {
        "a@b",   "ada@example.com",    "a.b+c_d@x-y.example.org", "!#$%&'*+-/=^_`{|}~@b.c",
        "1@2.3", "A@XN--MNCHEN-3YA.DE"};
    for (size_t i = 0; i < CW_COUNTOF(good); i++) {
        cr_assert(eq(ptr, (void *)cw_address_problem(view(good[i])), NULL), "%s", good[i]);
    }
}

/* Each single byte, in each place, that is not part of an address makes it none. */
Test(address, refuses_every_byte_that_has_no_place_in_one)
{
    static const char atoms[] =
        "!#$%&'*+-/=?^_`{|}~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char hosts[] = "-0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    for (uint32_t byte = 0; byte < 256; byte++) {
        char local[] = "adaX@example.com";
        local[2] = (char)byte;
        bool atom = byte != 0 && strchr(atoms, (int)byte) != NULL;
        bool good = cw_address_problem((struct cw_view){local, sizeof local - 1}) == NULL;
        cr_assert(eq(int, good, atom || byte == '.'), "%u before the @", byte);
        char host[] = "ada@exaXmple.com";
        host[7] = (char)byte;
        bool part = byte != 0 && strchr(hosts, (int)byte) != NULL;
        good = cw_address_problem((struct cw_view){host, sizeof host - 1}) == NULL;
        cr_assert(eq(int, good, part || byte == '.'), "%u after the @", byte);
        char end[] = "ada@example.comX";
        end[15] = (char)byte;
        good = cw_address_problem((struct cw_view){end, sizeof end - 1}) == NULL;
        cr_assert(eq(int, good, part &&byte != '-'), "%u at the end", byte);
    }
}

Test(address, keeps_its_limits)
{
    char local[66] = "";
    memset(local, 'a', 65);
    char text[600];
    (void)snprintf(text, sizeof text, "%.64s@b.c", local);
    cr_assert(eq(ptr, (void *)cw_address_problem(view(text)), NULL));
    (void)snprintf(text, sizeof text, "%.65s@b.c", local);
    cr_assert(ne(ptr, (void *)cw_address_problem(view(text)), NULL));
    (void)snprintf(text, sizeof text, "a@%.63s.c", local);
    cr_assert(eq(ptr, (void *)cw_address_problem(view(text)), NULL));
    (void)snprintf(text, sizeof text, "a@%.64s.c", local);
    cr_assert(ne(ptr, (void *)cw_address_problem(view(text)), NULL));
    (void)snprintf(text, sizeof text, "a@%.63s.%.63s.%.63s.%.60s", local, local, local, local);
    cr_assert(eq(sz, strlen(text), 254));
    cr_assert(eq(ptr, (void *)cw_address_problem(view(text)), NULL));
    (void)snprintf(text, sizeof text, "ab@%.63s.%.63s.%.63s.%.60s", local, local, local, local);
    cr_assert(ne(ptr, (void *)cw_address_problem(view(text)), NULL));
    cr_assert(ne(ptr, (void *)cw_address_problem((struct cw_view){NULL, 0}), NULL));
}

struct box {
    const char *text, *name, *address; /* name NULL: refused */
};

Test(mailbox, reads_a_name_and_an_address)
{
    static const struct box boxes[] = {{"a@b.c", "", "a@b.c"},
                                       {" a@b.c ", "", "a@b.c"},
                                       {"<a@b.c>", "", "a@b.c"},
                                       {"Shop <a@b.c>", "Shop", "a@b.c"},
                                       {"Shop & Co., Ltd.<a@b.c>", "Shop & Co., Ltd.", "a@b.c"},
                                       {"\"Shop, the\" <a@b.c>", "Shop, the", "a@b.c"},
                                       {"\"a \\\"b\\\" \\\\ c\" <a@b.c>", "a \"b\" \\ c", "a@b.c"},
                                       {"Sh\xC3\xB6p <a@b.c>", "Sh\xC3\xB6p", "a@b.c"},
                                       {"\"\" <a@b.c>", "", "a@b.c"},
                                       {"\"a@b.c\" <d@e.f>", "a@b.c", "d@e.f"},
                                       {"", NULL, NULL},
                                       {"Shop", NULL, NULL},
                                       {"Shop a@b.c", NULL, NULL},
                                       {"Shop <a@b.c", NULL, NULL},
                                       {"a@b.c>", NULL, NULL},
                                       {">", NULL, NULL},
                                       {"<>", NULL, NULL},
                                       {"Shop <>", NULL, NULL},
                                       {"Shop <x> <a@b.c>", NULL, NULL},
                                       {"Sh\"op <a@b.c>", NULL, NULL},
                                       {"\"Sh\"op\" <a@b.c>", NULL, NULL},
                                       {"\" <a@b.c>", NULL, NULL},
                                       {"Shop\r\nBcc: x@y.z <a@b.c>", NULL, NULL},
                                       {"\"Shop\\\r\n\" <a@b.c>", NULL, NULL},
                                       {"Sh\xC3p <a@b.c>", NULL, NULL},
                                       {"Shop <a@b.c> ", "Shop", "a@b.c"}};
    for (size_t i = 0; i < CW_COUNTOF(boxes); i++) {
        struct cw_mailbox mailbox;
        const char *problem = cw_mailbox_parse(view(boxes[i].text), &mailbox);
        cr_assert(eq(int, problem == NULL, boxes[i].name != NULL), "%s: %s", boxes[i].text,
                  problem == NULL ? "taken" : problem);
        if (problem == NULL) {
            struct cw_view name = {mailbox.name, mailbox.name_bytes};
            cr_assert(cw_view_equal(name, view(boxes[i].name)), "%s", boxes[i].text);
            cr_assert(cw_view_equal(mailbox.address, view(boxes[i].address)), "%s", boxes[i].text);
        }
    }
}
