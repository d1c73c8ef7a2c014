/* What scheduled snapshots are called: by their time, as now and as before the store was in it. */
#include "tools/archive.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <string.h>

#define AT_MS INT64_C(1795889700000)

Test(archive, names_say_when_and_whose_and_are_known_again)
{
    const uint8_t store[16] = {0x1a, 0x2b, 0x3c, 0x4d, 0x5e};
    struct cw_text name = {0};
    cw_archive_name_of(store, AT_MS, &name);
    const char *text = cw_text_terminate(&name);
    cr_assert(eq(str, (char *)text, "2026-11-28T181500Z-1a2b3c4d.cwsnap"));
    cr_assert(cw_archive_is_name(text));
    cw_text_clear(&name);
    cw_archive_name(AT_MS, &name);
    text = cw_text_terminate(&name);
    cr_assert(eq(str, (char *)text, "2026-11-28T181500Z.cwsnap"));
    cr_assert(cw_archive_is_name(text));
    cw_text_deinit(&name);
}

Test(archive, what_is_called_otherwise_is_somebodys)
{
    static const char *const names[] = {"",
                                        ".cwsnap",
                                        "by-hand.cwsnap",
                                        "2026-11-28T181500Z",
                                        "2026-11-28T181500Z.cwsnap.new",
                                        "2026-11-28T181500.cwsnap",
                                        "2026-11-28T1815xxZ.cwsnap",
                                        "2026-11-28T181500Z-.cwsnap",
                                        "2026-11-28T181500Z-1a2b3c4.cwsnap",
                                        "2026-11-28T181500Z-1a2b3c4d5.cwsnap",
                                        "2026-11-28T181500Z-1A2B3C4D.cwsnap",
                                        "2026-11-28T181500Z-1a2b3c4g.cwsnap",
                                        "dddd-dd-ddTddddddZ.cwsnap"};
    for (size_t i = 0; i < CW_COUNTOF(names); i++) {
        cr_assert(not(cw_archive_is_name(names[i])), "%s", names[i]);
    }
}
