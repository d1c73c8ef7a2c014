#define _GNU_SOURCE /* strerrordesc_np */
#include "tools/retention.h"

#include "core/hash.h"
#include "tools/archive.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4096,
    TIME_BYTES = 18 /* of a name, by which it sorts: 2026-11-28T181500Z */
};

static void path_of(const char *directory, const char *name, char path[PATH_BYTES])
{
    (void)snprintf(path, PATH_BYTES, "%.3800s/%.250s", directory, name);
}

static int is_unfinished(const struct dirent *entry)
{
    size_t bytes = strlen(entry->d_name);
    size_t suffix = sizeof CW_ARCHIVE_SUFFIX CW_ARCHIVE_UNFINISHED - 1;
    return bytes > suffix &&
           strcmp(entry->d_name + bytes - suffix, CW_ARCHIVE_SUFFIX CW_ARCHIVE_UNFINISHED) == 0;
}

void cw_retention_clean(const char *directory)
{
    struct dirent **list = NULL;
    int count = scandir(directory, &list, is_unfinished, NULL);
    for (int i = 0; i < count; i++) {
        char path[PATH_BYTES];
        path_of(directory, list[i]->d_name, path);
        (void)cw_archive_drop_unfinished(path);
        free(list[i]);
    }
    free(list);
}

static int is_scheduled(const struct dirent *entry)
{
    return cw_archive_is_name(entry->d_name);
}

static bool is_file(const char *path)
{
    struct stat found;
    return stat(path, &found) == 0 && S_ISREG(found.st_mode);
}

static void tell(struct cw_retention *retention, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void tell(struct cw_retention *retention, const char *format, ...)
{
    const struct cw_hash_key key = {0};
    char line[2 * PATH_BYTES];
    va_list args;
    va_start(args, format);
    int bytes = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    uint64_t hash = cw_hash(key, line, strlen(line));
    bool told = bytes < 0;
    for (uint32_t i = 0; i < retention->count; i++) {
        told = told || retention->told[i] == hash;
    }
    if (told) {
        return;
    }
    if (retention->count < CW_COUNTOF(retention->told)) {
        retention->told[retention->count++] = hash;
    }
    (void)fprintf(stderr, "cartwheel: %s\n", line);
}

/* Scheduled snapshots of that store, by their names; the caller frees them. */
static int find(struct cw_retention *retention, const char *directory, const uint8_t store[16],
                struct dirent ***list)
{
    int count = scandir(directory, list, is_scheduled, alphasort);
    int found = 0;
    for (int i = 0; i < count; i++) {
        char path[PATH_BYTES];
        struct cw_manifest manifest;
        struct cw_fault fault;
        path_of(directory, (*list)[i]->d_name, path);
        if (!is_file(path)) { /* a pipe would be waited for */
            tell(retention, "%s is called like a snapshot and is no file", path);
            free((*list)[i]);
            continue;
        }
        cw_err err = cw_archive_manifest(path, &manifest, &fault);
        if (err == CW_ERR_OK && memcmp(manifest.store, store, sizeof manifest.store) == 0) {
            (*list)[found++] = (*list)[i];
            continue;
        }
        if (err != CW_ERR_OK) {
            const char *why = fault.sys_errno != 0 ? strerrordesc_np(fault.sys_errno) : NULL;
            tell(retention,
                 "a snapshot is not counted among those to keep, and not removed: %s%s%s",
                 fault.text, why != NULL ? ": " : "", why != NULL ? why : "");
        }
        free((*list)[i]);
    }
    return found;
}

uint64_t cw_retention_newest_age_ms(struct cw_retention *retention, const char *directory,
                                    const uint8_t store[16], int64_t now_ms)
{
    struct dirent **list = NULL;
    uint64_t age_ms = UINT64_MAX;
    int count = find(retention, directory, store, &list);
    for (int i = 0; i < count; i++) {
        char path[PATH_BYTES];
        struct stat found;
        path_of(directory, list[i]->d_name, path);
        if (stat(path, &found) == 0 && found.st_mtim.tv_sec <= now_ms / 1000) {
            uint64_t age = (uint64_t)(now_ms - (int64_t)found.st_mtim.tv_sec * 1000);
            age_ms = age < age_ms ? age : age_ms;
        }
        free(list[i]);
    }
    free(list);
    return age_ms;
}

void cw_retention_apply(struct cw_retention *retention, const char *directory,
                        const uint8_t store[16], const char *made, uint32_t keep)
{
    struct dirent **list = NULL;
    int count = find(retention, directory, store, &list);
    int until = count;
    while (until > 0 && strncmp(list[until - 1]->d_name, made, TIME_BYTES) > 0) {
        until--;
        tell(retention,
             "the snapshot %s is called by a time to come: it is not counted among those to keep, "
             "and not removed",
             list[until]->d_name);
    }
    for (int i = 0; i < count; i++) {
        char path[PATH_BYTES];
        path_of(directory, list[i]->d_name, path);
        if (until - i > (int)keep && unlink(path) != 0) {
            tell(retention, "the old snapshot %s cannot be removed: %s", path,
                 strerrordesc_np(errno));
        }
        free(list[i]);
    }
    free(list);
}
