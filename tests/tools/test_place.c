/* What is said of the file system that a state is on. */
#include "tools/place.h"

#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>

static char *warned(const char *directory, bool flushes)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *to = open_memstream(&text, &bytes);
    cr_assert(to != NULL);
    cw_place_warn(directory, flushes, to);
    cr_assert(eq(int, fclose(to), 0));
    return text;
}

Test(place, memory_is_told_from_a_disk)
{
    struct statfs system;
    if (statfs("/dev/shm", &system) != 0 || system.f_type != TMPFS_MAGIC) {
        cr_skip_test("/dev/shm is no tmpfs here");
    }
    char *text = warned("/dev/shm", true);
    cr_assert(eq(str, text,
                 "  WARNING: /dev/shm is on tmpfs, which forgets everything when the host stops:\n"
                 "  durability fsync promises nothing there\n"));
    free(text);
    text = warned("/dev/shm", false);
    cr_assert(
        eq(str, text,
           "  WARNING: /dev/shm is on tmpfs, which forgets everything when the host stops\n"));
    free(text);
}

Test(place, other_file_systems_are_passed_over)
{
    const char *const places[] = {"/proc", "/not/there"};
    for (size_t i = 0; i < CW_COUNTOF(places); i++) {
        char *text = warned(places[i], true);
        cr_assert(eq(str, text, ""));
        free(text);
    }
}
