#include "core/keep.h"

#include "core/arena.h"
#include "core/format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

/* The file "mark". Files of hugetlbfs cannot be written, only mapped, so it is an area too. */
struct mark {
    char magic[8];
    uint64_t mark;
};

struct cw_keep {
    int folder;
    bool kept;
    uint64_t unit; /* files and mappings are multiples of it */
    struct cw_memory area;
    struct mark *mark;
    struct cw_arena own;
    char path[256]; /* for messages */
};

static const char magic[8] = {'c', 'w', '-', 'm', 'e', 'm', 'o', '1'};

static const char *kind_of(const struct statfs *system)
{
    switch ((unsigned long)system->f_type) {
    case TMPFS_MAGIC: return "tmpfs";
    case HUGETLBFS_MAGIC: return "hugetlbfs";
    default: return NULL;
    }
}

const char *cw_keep_kind(const char *directory)
{
    struct statfs system;
    return statfs(directory, &system) == 0 ? kind_of(&system) : NULL;
}

/* Maps of earlier processes keep what they have: names go, nothing is cut short. */
static cw_err empty(const struct cw_keep *memory, struct cw_fault *fault)
{
    int again = openat(memory->folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *names = again >= 0 ? fdopendir(again) : NULL;
    if (names == NULL) {
        if (again >= 0) {
            (void)close(again);
        }
        return cw_fail(fault, CW_ERR_IO, "listing %s", memory->path);
    }
    cw_err err = CW_ERR_OK;
    for (const struct dirent *entry; err == CW_ERR_OK && (entry = readdir(names)) != NULL;) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
            unlinkat(memory->folder, entry->d_name, 0) != 0) {
            err = cw_fail(fault, CW_ERR_IO, "removing %s/%s", memory->path, entry->d_name);
        }
    }
    (void)closedir(names);
    return err;
}

/* The file's bytes; it is made, or was left with so many. */
static cw_err size_file(const struct cw_keep *memory, int file, const char *name, uint64_t bytes,
                        struct cw_fault *fault)
{
    struct stat status;
    if (!memory->kept) {
        return ftruncate(file, (off_t)bytes) == 0
                   ? CW_ERR_OK
                   : cw_fail(fault, CW_ERR_IO, "making %s/%s %llu bytes long", memory->path, name,
                             (unsigned long long)bytes);
    }
    if (fstat(file, &status) != 0) {
        return cw_fail(fault, CW_ERR_IO, "looking at %s/%s", memory->path, name);
    }
    return S_ISREG(status.st_mode) && (uint64_t)status.st_size == bytes
               ? CW_ERR_OK
               : cw_fail(fault, CW_ERR_NOT_FOUND, "%s/%s has another size", memory->path, name);
}

static cw_err map_file(const struct cw_keep *memory, const char *name, uint64_t bytes,
                       struct cw_memory *area, struct cw_fault *fault)
{
    int flags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | (memory->kept ? 0 : O_CREAT | O_EXCL);
    int file = openat(memory->folder, name, flags, 0600);
    if (file < 0) {
        return memory->kept && errno == ENOENT
                   ? cw_fail(fault, CW_ERR_NOT_FOUND, "%s/%s is gone", memory->path, name)
                   : cw_fail(fault, CW_ERR_IO, "opening %s/%s", memory->path, name);
    }
    bytes = (bytes + memory->unit - 1) & ~(memory->unit - 1);
    cw_err err = size_file(memory, file, name, bytes, fault);
    void *base = MAP_FAILED;
    if (err == CW_ERR_OK) {
        /* Not reserved: a file is as long as it may ever become. */
        base = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0);
        if (base == MAP_FAILED) {
            err = cw_fail(fault, CW_ERR_IO, "mapping %llu bytes of %s/%s",
                          (unsigned long long)bytes, memory->path, name);
        }
    }
    (void)close(file);
    if (err == CW_ERR_OK) {
        if (bytes >= CW_HUGE_PAGE_BYTES && memory->unit < CW_HUGE_PAGE_BYTES) {
            (void)madvise(base, bytes, MADV_HUGEPAGE); /* a wish: slower without, but right */
        }
        *area = (struct cw_memory){.base = base, .bytes = bytes}; /* nothing is used yet */
    }
    return err;
}

static cw_err open_folder(struct cw_keep *memory, const char *folder, struct cw_fault *fault)
{
    (void)cw_format(memory->path, sizeof memory->path, "%s", folder);
    if (!memory->kept && mkdir(folder, 0700) != 0 && errno != EEXIST) {
        return cw_fail(fault, CW_ERR_IO, "making %s", folder);
    }
    memory->folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (memory->folder < 0) {
        return memory->kept && errno == ENOENT
                   ? cw_fail(fault, CW_ERR_NOT_FOUND, "%s is gone", folder)
                   : cw_fail(fault, CW_ERR_IO, "opening %s", folder);
    }
    struct statfs system;
    if (fstatfs(memory->folder, &system) != 0) {
        return cw_fail(fault, CW_ERR_IO, "asking what file system %s is on", folder);
    }
    const char *kind = kind_of(&system);
    if (kind == NULL) {
        return cw_fail(fault, CW_ERR_INVALID, "%s is not on tmpfs or hugetlbfs", folder);
    }
    memory->unit = strcmp(kind, "hugetlbfs") == 0 ? (uint64_t)system.f_bsize : 4096;
    return memory->kept ? CW_ERR_OK : empty(memory, fault);
}

static cw_err open_mark(struct cw_keep *memory, uint64_t mark, struct cw_fault *fault)
{
    cw_err err = map_file(memory, "mark", sizeof *memory->mark, &memory->area, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    memory->mark = memory->area.base;
    if (!memory->kept) {
        memcpy(memory->mark->magic, magic, sizeof magic);
    } else if (memcmp(memory->mark->magic, magic, sizeof magic) != 0 ||
               memory->mark->mark != mark) {
        return cw_fail(fault, CW_ERR_NOT_FOUND, "%s was changed since", memory->path);
    }
    return CW_ERR_OK;
}

cw_err cw_keep_open(struct cw_keep **memory, const char *folder, uint64_t mark,
                      struct cw_fault *fault)
{
    struct cw_arena own;
    cw_err err = cw_arena_open(&own, sizeof **memory, (size_t)1 << 16, fault);
    if (err != CW_ERR_OK) {
        return err;
    }
    struct cw_keep *made = cw_arena_zalloc(&own, sizeof *made, CW_CACHE_LINE);
    made->own = own;
    made->folder = -1;
    made->kept = mark != 0;
    err = open_folder(made, folder, fault);
    err = err == CW_ERR_OK ? open_mark(made, mark, fault) : err;
    if (err != CW_ERR_OK) {
        cw_keep_close(made);
        return err;
    }
    *memory = made;
    return CW_ERR_OK;
}

void cw_keep_close(struct cw_keep *memory)
{
    cw_memory_release(&memory->area);
    if (memory->folder >= 0) {
        (void)close(memory->folder);
    }
    struct cw_arena own = memory->own;
    cw_arena_close(&own);
}

bool cw_keep_adopted(const struct cw_keep *memory)
{
    return memory->kept;
}

cw_err cw_keep_map(struct cw_keep *memory, const char *name, const char *part, uint64_t bytes,
                     struct cw_memory *area, struct cw_fault *fault)
{
    char file[128];
    (void)cw_format(file, sizeof file, "%s.%s", name, part);
    return map_file(memory, file, bytes, area, fault);
}

cw_err cw_keep_remove(const char *folder, struct cw_fault *fault)
{
    struct cw_keep gone = {.folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    (void)cw_format(gone.path, sizeof gone.path, "%s", folder);
    if (gone.folder < 0) {
        return errno == ENOENT ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "opening %s", folder);
    }
    cw_err err = empty(&gone, fault);
    (void)close(gone.folder);
    if (err == CW_ERR_OK && rmdir(folder) != 0) {
        err = cw_fail(fault, CW_ERR_IO, "removing %s", folder);
    }
    return err;
}

void cw_keep_mark(struct cw_keep *memory, uint64_t mark)
{
    memory->mark->mark = mark;
}
