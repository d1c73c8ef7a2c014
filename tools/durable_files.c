/* durable_files: a state's manifest slots and directories. */
#include "io/disk.h"
#include "tools/durable.h"
#include "tools/flush.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    EPOCH_NAME_BYTES = 32
};

static const char *const slots[] = {"manifest.a", "manifest.b"};

static cw_err read_slot(const char *directory, const char *slot, struct cw_manifest *manifest,
                        struct cw_fault *fault)
{
    char path[4096];
    char text[CW_MANIFEST_BYTES_MAX + 1];
    (void)snprintf(path, sizeof path, "%.3900s/%s", directory, slot);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return errno == ENOENT ? cw_fail(fault, CW_ERR_NOT_FOUND, "no %s", path)
                               : cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    ssize_t got = read(file, text, sizeof text);
    (void)close(file);
    if (got < 0) {
        return cw_fail(fault, CW_ERR_IO, "reading %s", path);
    }
    cw_err err = cw_manifest_read(manifest, (struct cw_view){text, (uint32_t)got}, fault);
    return err == CW_ERR_OK ? err : cw_fail_while(fault, "%s", path);
}

static void name_epoch(char name[EPOCH_NAME_BYTES], uint64_t epoch)
{
    (void)snprintf(name, EPOCH_NAME_BYTES, "epoch-%08llu", (unsigned long long)epoch);
}

/* False when it is not exactly such a name: somebody else's, and left alone. */
static bool is_epoch(const char *name, uint64_t *epoch)
{
    static const char prefix[] = "epoch-";
    char same[EPOCH_NAME_BYTES];
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) {
        return false;
    }
    *epoch = strtoull(name + sizeof prefix - 1, NULL, 10);
    name_epoch(same, *epoch);
    return strcmp(name, same) == 0;
}

/* The lowest number of an epoch that is there; 0: there is none, or nobody can look. */
static uint64_t any_epoch(const char *directory)
{
    uint64_t lowest = 0;
    DIR *names = opendir(directory);
    if (names == NULL) {
        return 0;
    }
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
        uint64_t found;
        if (is_epoch(entry->d_name, &found) && (lowest == 0 || found < lowest)) {
            lowest = found;
        }
    }
    (void)closedir(names);
    return lowest;
}

static cw_err load(void *self, struct cw_manifest *manifest, bool *alike, struct cw_fault *fault)
{
    struct cw_durable_directory *state = self;
    const char *directory = state->path;
    struct cw_manifest found[2] = {{.cores = 0}, {.cores = 0}};
    struct cw_fault faults[2];
    cw_err errs[2];
    for (uint32_t i = 0; i < 2; i++) {
        errs[i] = read_slot(directory, slots[i], &found[i], &faults[i]);
        if (errs[i] == CW_ERR_IO || errs[i] == CW_ERR_UNSUPPORTED) {
            *fault = faults[i];
            return errs[i];
        }
    }
    if (errs[0] == CW_ERR_CORRUPT && errs[1] == CW_ERR_CORRUPT) {
        return cw_fail(fault, CW_ERR_CORRUPT,
                       "%.120s, and that of manifest.b too: restore the newest snapshot that "
                       "verifies into a new directory",
                       faults[0].text);
    }
    /* Slots are renamed into place, so a crash leaves none half written: it is damage, and which of
       the two was the newer is not known. Both say the same of all that matters. */
    for (uint32_t i = 0; i < 2; i++) {
        bool begun = errs[1 - i] == CW_ERR_OK && found[1 - i].epoch == 0; /* says of no rows */
        if (errs[i] == CW_ERR_CORRUPT && (errs[1 - i] == CW_ERR_NOT_FOUND || begun)) {
            return cw_fail(fault, CW_ERR_CORRUPT,
                           "%.120s; there is no other one%s: do not remove it; restore the newest "
                           "snapshot that verifies into a new directory",
                           faults[i].text, begun ? " that says of rows" : "");
        }
        if (errs[i] == CW_ERR_CORRUPT) {
            return cw_fail(fault, CW_ERR_CORRUPT,
                           "%.150s; look at %s, which may be older, and remove %s to go on with it",
                           faults[i].text, slots[1 - i], slots[i]);
        }
    }
    if (errs[0] != CW_ERR_OK && errs[1] != CW_ERR_OK) {
        /* A state begins with its manifest. Who took this for a first start would remove what is
           there. */
        uint64_t epoch = any_epoch(directory);
        if (epoch > 0) {
            return cw_fail(fault, CW_ERR_CORRUPT,
                           "both manifests are missing in %.150s, and epoch %llu is there: bring "
                           "manifest.a or manifest.b back, or restore a snapshot elsewhere",
                           directory, (unsigned long long)epoch);
        }
        *fault = faults[0];
        return errs[0];
    }
    bool a =
        errs[0] == CW_ERR_OK && (errs[1] != CW_ERR_OK || found[0].generation > found[1].generation);
    uint32_t newest = a ? 0 : 1;
    *manifest = found[newest];
    bool both = errs[0] == CW_ERR_OK && errs[1] == CW_ERR_OK;
    *alike = both && cw_manifest_alike(&found[0], &found[1]);
    state->lone = errs[1 - newest] != CW_ERR_OK && manifest->epoch > 0 && manifest->generation > 1;
    return CW_ERR_OK;
}

/* A new file beside it takes the slot's name, so the slot is never half written. */
static cw_err store(void *self, struct cw_manifest *manifest, struct cw_fault *fault)
{
    const char *directory = ((const struct cw_durable_directory *)self)->path;
    char path[4096];
    char made[4096];
    manifest->generation++;
    (void)snprintf(path, sizeof path, "%.3900s/%s", directory, slots[manifest->generation % 2]);
    (void)snprintf(made, sizeof made, "%.3900s/manifest.new", directory);
    struct cw_text text = {0};
    cw_manifest_write(manifest, &text);
    cw_err err = cw_flush_file(made, (struct cw_view){text.data, (uint32_t)text.bytes}, fault);
    cw_text_deinit(&text);
    if (err == CW_ERR_OK && rename(made, path) != 0) {
        err = cw_fail(fault, CW_ERR_IO, "naming %s", path);
    }
    return err == CW_ERR_OK ? cw_flush_directory(directory, fault) : err;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* The files in one core's directory, and it; there are no directories in it. */
static cw_err remove_core(int epoch, const char *name, struct cw_fault *fault)
{
    int core = openat(epoch, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *names = core >= 0 ? fdopendir(core) : NULL;
    if (names == NULL) {
        return cw_fail(fault, CW_ERR_IO, "opening %s to remove it", name);
    }
    cw_err err = CW_ERR_OK;
    for (const struct dirent *entry; err == CW_ERR_OK && (entry = readdir(names)) != NULL;) {
        if (!is_dots(entry->d_name) && unlinkat(core, entry->d_name, 0) != 0) {
            err = cw_fail(fault, CW_ERR_IO, "removing %s/%s", name, entry->d_name);
        }
    }
    (void)closedir(names);
    if (err == CW_ERR_OK && unlinkat(epoch, name, AT_REMOVEDIR) != 0) {
        err = cw_fail(fault, CW_ERR_IO, "removing %s", name);
    }
    return err;
}

static cw_err remove_epoch(const char *directory, const char *name, struct cw_fault *fault)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%.3800s/%.255s", directory, name);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *names = fd >= 0 ? fdopendir(fd) : NULL;
    if (names == NULL) {
        return cw_fail(fault, CW_ERR_IO, "opening %s to remove it", path);
    }
    cw_err err = CW_ERR_OK;
    for (const struct dirent *entry; err == CW_ERR_OK && (entry = readdir(names)) != NULL;) {
        if (!is_dots(entry->d_name)) {
            err = remove_core(fd, entry->d_name, fault);
        }
    }
    (void)closedir(names);
    if (err == CW_ERR_OK && rmdir(path) != 0) {
        err = cw_fail(fault, CW_ERR_IO, "removing %s", path);
    }
    return err;
}

static cw_err keep(void *self, uint64_t epoch, struct cw_fault *fault)
{
    const char *directory = ((const struct cw_durable_directory *)self)->path;
    DIR *names = opendir(directory);
    if (names == NULL) {
        return cw_fail(fault, CW_ERR_IO, "opening %s", directory);
    }
    cw_err err = CW_ERR_OK;
    bool removed = false;
    for (const struct dirent *entry; err == CW_ERR_OK && (entry = readdir(names)) != NULL;) {
        uint64_t found;
        if (is_epoch(entry->d_name, &found) && found != epoch) {
            err = remove_epoch(directory, entry->d_name, fault);
            removed = true;
        }
    }
    (void)closedir(names);
    return err == CW_ERR_OK && removed ? cw_flush_directory(directory, fault) : err;
}

static cw_err make_epoch(const char *directory, const char *path, struct cw_fault *fault)
{
    if (mkdir(path, 0700) == 0) {
        return cw_flush_directory(directory, fault);
    }
    return errno == EEXIST ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "making %.200s", path);
}

static cw_err open_disk(void *self, uint64_t epoch, uint32_t core, enum cw_durable_use use,
                        struct cw_disk *disk, struct cw_fault *fault)
{
    const struct cw_durable_directory *directory = self;
    char path[4096];
    char name[EPOCH_NAME_BYTES];
    name_epoch(name, epoch);
    (void)snprintf(path, sizeof path, "%.3900s/%s", directory->path, name);
    cw_err err = use == CW_DURABLE_MAKE ? make_epoch(directory->path, path, fault) : CW_ERR_OK;
    if (err != CW_ERR_OK) {
        return err;
    }
    (void)snprintf(path, sizeof path, "%.3900s/%s/core-%03u", directory->path, name, core);
    bool read_only = use == CW_DURABLE_LOOK;
    if (use == CW_DURABLE_GO_ON && access(path, F_OK) != 0) { /* the disk would make it */
        return cw_fail(fault, errno == ENOENT ? CW_ERR_NOT_FOUND : CW_ERR_IO, "opening %.200s",
                       path);
    }
    const struct cw_disk_options options = {.directory = path,
                                            .wake = read_only ? NULL : directory->wake,
                                            .self = directory->self,
                                            .shard = core,
                                            .direct = true,
                                            .read_only = read_only};
    struct cw_disk_store *made = NULL;
    err = cw_disk_open(&made, &options, fault);
    if (err == CW_ERR_OK) {
        *disk = cw_disk_port(made);
    }
    return err;
}

static void close_disk(void *self, const struct cw_disk *disk)
{
    (void)self;
    cw_disk_close(disk->self);
}

struct cw_durable_files cw_durable_files(struct cw_durable_directory *directory)
{
    return (struct cw_durable_files){.self = directory,
                                     .load = load,
                                     .store = store,
                                     .open = open_disk,
                                     .close = close_disk,
                                     .keep = keep};
}
