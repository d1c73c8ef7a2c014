#include "tools/cgroup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the two versions call the same. */
struct version {
    const char *controller; /* in `groups`; "": version 2's only line */
    const char *folder;     /* under the mount */
    const char *limits[2];  /* NULL: there is only one */
    const char *used;
    const char *given_up[3]; /* lines of memory.stat; NULL: no more */
};

static const struct version versions[] = {
    {"memory",
     "/memory",
     {"memory.limit_in_bytes", NULL},
     "memory.usage_in_bytes",
     {"total_inactive_file", "total_active_file", NULL}},
    {"",
     "",
     {"memory.max", "memory.high"},
     "memory.current",
     {"inactive_file", "active_file", "slab_reclaimable"}},
    {"", /* where version 1 is mounted beside it */
     "/unified",
     {"memory.max", "memory.high"},
     "memory.current",
     {"inactive_file", "active_file", "slab_reclaimable"}},
};

enum {
    PATH_BYTES = 4096,
    STAT_PART = 4 /* of all, left: more than any reserve; the kernel sums memory.stat up anew */
};

struct walk {
    void (*limited)(void *with, struct cw_room room);
    void *with;
};

static const uint64_t no_limit = UINT64_C(1) << 60; /* version 1 says none by a number above */

/* Terminated; false: it cannot be read. */
static bool read_text(const char *folder, const char *name, char *text, size_t room)
{
    char path[PATH_BYTES];
    int length = snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = length < PATH_BYTES ? fopen(path, "re") : NULL;
    if (file == NULL) {
        return false;
    }
    size_t bytes = fread(text, 1, room - 1, file);
    (void)fclose(file);
    text[bytes] = '\0';
    return bytes > 0;
}

/* "max" is no number, and no limit. */
static bool read_number(const char *folder, const char *name, uint64_t *number)
{
    char text[64];
    char *end = NULL;
    if (!read_text(folder, name, text, sizeof text)) {
        return false;
    }
    *number = strtoull(text, &end, 10);
    return end != text;
}

static uint64_t line_of(const char *text, const char *name)
{
    size_t bytes = strlen(name);
    for (const char *at = text; at != NULL; at = strchr(at, '\n')) { /* a line each time */
        at += *at == '\n';
        if (strncmp(at, name, bytes) == 0 && at[bytes] == ' ') {
            return strtoull(at + bytes, NULL, 10);
        }
    }
    return 0;
}

static void look_at(const struct walk *walk, const struct version *version, const char *folder)
{
    char stat[8192];
    uint64_t most = no_limit;
    uint64_t used = 0;
    for (uint32_t i = 0; i < CW_COUNTOF(version->limits) && version->limits[i] != NULL; i++) {
        uint64_t limit;
        if (read_number(folder, version->limits[i], &limit) && limit > 0) {
            most = limit < most ? limit : most;
        }
    }
    if (most == no_limit || !read_number(folder, version->used, &used)) {
        return;
    }
    bool little = used > most - most / STAT_PART;
    if (little && read_text(folder, "memory.stat", stat, sizeof stat)) {
        for (uint32_t i = 0; i < CW_COUNTOF(version->given_up); i++) {
            uint64_t more = version->given_up[i] == NULL ? 0 : line_of(stat, version->given_up[i]);
            used -= more < used ? more : used;
        }
    }
    walk->limited(walk->with, (struct cw_room){most, used < most ? most - used : 0});
}

/* Whether a comma separated list has it. */
static bool has(const char *list, size_t bytes, const char *controller)
{
    size_t wanted = strlen(controller);
    if (wanted == 0 || bytes == 0) {
        return wanted == bytes;
    }
    for (const char *at = list; at < list + bytes;) { /* a name each time */
        const char *comma = memchr(at, ',', (size_t)(list + bytes - at));
        size_t length = (size_t)((comma != NULL ? comma : list + bytes) - at);
        if (length == wanted && memcmp(at, controller, wanted) == 0) {
            return true;
        }
        at += length + 1;
    }
    return false;
}

/* The group of a line "number:controllers:/group", where it is the version's; NULL: it is not. */
static const char *group_of(const struct version *version, const char *line)
{
    const char *controllers = strchr(line, ':');
    const char *group = controllers == NULL ? NULL : strchr(controllers + 1, ':');
    return group != NULL &&
                   has(controllers + 1, (size_t)(group - controllers - 1), version->controller)
               ? group + 1
               : NULL;
}

/* From the group itself up to the mount; bounded by its depth. */
static void look_up(const struct walk *walk, const struct version *version, const char *mount,
                    const char *group)
{
    char folder[2 * PATH_BYTES];
    int root = snprintf(folder, PATH_BYTES, "%s%s", mount, version->folder);
    if (root < 0 || root >= PATH_BYTES) {
        return;
    }
    (void)snprintf(folder + root, sizeof folder - (size_t)root, "%s", group);
    for (;;) {
        look_at(walk, version, folder);
        char *slash = strrchr(folder + root, '/');
        if (slash == NULL) {
            return;
        }
        *slash = '\0';
    }
}

void cw_cgroup_rooms(const char *groups, const char *mount,
                     void (*limited)(void *with, struct cw_room room), void *with)
{
    char line[PATH_BYTES];
    const struct walk walk = {limited, with};
    FILE *file = fopen(groups, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) { /* a few lines */
        line[strcspn(line, "\n")] = '\0';
        for (uint32_t i = 0; i < CW_COUNTOF(versions); i++) {
            const char *group = group_of(&versions[i], line);
            if (group != NULL && group[0] == '/') {
                look_up(&walk, &versions[i], mount, group);
            }
        }
    }
    if (file != NULL) {
        (void)fclose(file);
    }
}
