#include "tools/place.h"

#include "tools/aside.h"

#include <dirent.h>
#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

enum {
    NAME_BYTES = 256
};

struct found {
    bool state;
    char foreign[NAME_BYTES]; /* one of the names that no start, restore or file system leaves */
};

static bool has_prefix(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

/* What is left of a start that did not come as far as a state, or of states that were there. */
static bool is_ours(const char *name)
{
    static const char *const ours[] = {"lock",           "secret.key",
                                       "secret.key.new", "manifest.new",
                                       "programs",       "outbox",
                                       "given-up",       "memory.seal",
                                       "snapshots",      "dead-letters.ndjson",
                                       "lost+found",     "dead-letters.1.ndjson",
                                       "losses.ndjson",  "erasures.ndjson"};
    bool known = name[0] == '.' || has_prefix(name, CW_ASIDE_RESTORE);
    for (size_t i = 0; i < CW_COUNTOF(ours); i++) {
        known = known || strcmp(name, ours[i]) == 0;
    }
    return known;
}

/* What a shell or an option has just opened there, such as --decisions, says of nothing. */
static bool is_empty_file(const char *directory, const char *name)
{
    char path[CW_ASIDE_BYTES + NAME_BYTES];
    struct stat status;
    (void)snprintf(path, sizeof path, "%.3900s/%s", directory, name);
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && status.st_size == 0;
}

/* False: nobody can look, or nothing is there. */
static bool look(const char *directory, struct found *found)
{
    *found = (struct found){.state = false};
    DIR *names = opendir(directory);
    if (names == NULL) {
        return false;
    }
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
        const char *name = entry->d_name;
        if (has_prefix(name, "epoch-") || strcmp(name, "manifest.a") == 0 ||
            strcmp(name, "manifest.b") == 0) {
            found->state = true;
        } else if (found->foreign[0] == '\0' && !is_ours(name) && !is_empty_file(directory, name)) {
            (void)snprintf(found->foreign, sizeof found->foreign, "%s", name);
        }
    }
    (void)closedir(names);
    return true;
}

bool cw_place_has_state(const char *directory)
{
    struct found found;
    return look(directory, &found) && found.state;
}

/* By its own name, too, where it is a link. */
static bool left_beside(const char *directory, char path[CW_ASIDE_BYTES])
{
    if (cw_aside_left_beside(directory, path)) {
        return true;
    }
    char *real = realpath(directory, NULL);
    bool left = real != NULL && cw_aside_left_beside(real, path);
    free(real);
    return left;
}

/* What a restore left that did not come to its end, of a state that is not there. */
static cw_err check_restores(const char *directory, bool state, struct cw_fault *fault)
{
    char path[CW_ASIDE_BYTES];
    if (cw_aside_unfinished(directory)) {
        (void)snprintf(path, sizeof path, "%.3900s/" CW_ASIDE_RESTORE "*", directory);
    } else if (state || !left_beside(directory, path)) {
        return CW_ERR_OK;
    }
    return cw_fail(fault, CW_ERR_INVALID,
                   "%.90s is of a restore that is at work, or was killed: wait for it, or run "
                   "`cartwheel restore` once more, as its user, which removes what it left",
                   path);
}

cw_err cw_place_check(const char *directory, bool expected, struct cw_fault *fault)
{
    struct found found;
    bool there = look(directory, &found);
    if (!there && errno != ENOENT) { /* who opens it tells why */
        return CW_ERR_OK;
    }
    cw_err err = check_restores(directory, found.state, fault);
    if (err != CW_ERR_OK || found.state) {
        return err;
    }
    if (expected) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "--accept-loss: there is no state in %.150s; name its directory with "
                       "--state",
                       directory);
    }
    if (found.foreign[0] != '\0') {
        return cw_fail(fault, CW_ERR_INVALID,
                       "%.90s holds no state, but %.60s, which is not of one: name a directory of "
                       "its own with --state",
                       directory, found.foreign);
    }
    return CW_ERR_OK;
}

void cw_place_warn(const char *directory, bool flushes, FILE *to)
{
    static const struct {
        uint32_t type; /* f_type is signed on some machines, and wider */
        bool memory;
        const char *name;
    } known[] = {{TMPFS_MAGIC, true, "tmpfs"},      {RAMFS_MAGIC, true, "ramfs"},
                 {NFS_SUPER_MAGIC, false, "nfs"},   {CIFS_SUPER_MAGIC, false, "cifs"},
                 {SMB2_SUPER_MAGIC, false, "cifs"}, {SMB_SUPER_MAGIC, false, "smb"},
                 {FUSE_SUPER_MAGIC, false, "fuse"}, {OVERLAYFS_SUPER_MAGIC, false, "overlayfs"}};

    struct statfs system;
    bool seen = statfs(directory, &system) == 0;
    for (size_t i = 0; seen && i < CW_COUNTOF(known); i++) {
        if ((uint32_t)system.f_type != known[i].type) {
            continue;
        }
        if (known[i].memory) {
            (void)fprintf(
                to, "  WARNING: %s is on %s, which forgets everything when the host stops%s\n",
                directory, known[i].name,
                flushes ? ":\n  durability fsync promises nothing there" : "");
        } else if (flushes) {
            (void)fprintf(to,
                          "  WARNING: %s is on %s: a flush there is what its server, or the file "
                          "system below,\n  makes of it, which is not tested\n",
                          directory, known[i].name);
        }
    }
}
