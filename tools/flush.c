#include "tools/flush.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    PATH_BYTES = 4300
};

cw_err cw_flush_directory(const char *directory, struct cw_fault *fault)
{
    int names = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool good = names >= 0 && fsync(names) == 0;
    cw_err err = good ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "flushing %s", directory);
    if (names >= 0) {
        (void)close(names);
    }
    return err;
}

cw_err cw_flush_parent(const char *path, struct cw_fault *fault)
{
    char parent[PATH_BYTES];
    (void)snprintf(parent, sizeof parent, "%s", path);
    size_t bytes = strlen(parent);
    while (bytes > 1 && parent[bytes - 1] == '/') { /* DIR/ is in DIR's parent */
        parent[--bytes] = '\0';
    }
    char *slash = strrchr(parent, '/');
    if (slash == NULL) {
        return cw_flush_directory(".", fault);
    }
    slash[slash == parent ? 1 : 0] = '\0';
    return cw_flush_directory(parent, fault);
}

static cw_err put(const char *path, int how, struct cw_view content, struct cw_fault *fault)
{
    int file = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | how, 0600);
    bool good = file >= 0 &&
                write(file, content.data, content.bytes) == (ssize_t)content.bytes &&
                fsync(file) == 0;
    cw_err err = good ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "writing %s", path);
    if (file >= 0) {
        (void)close(file);
    }
    return err;
}

cw_err cw_flush_line(const char *path, struct cw_view line, struct cw_fault *fault)
{
    cw_err err = put(path, O_APPEND, line, fault);
    return err == CW_ERR_OK ? cw_flush_parent(path, fault) : err;
}

cw_err cw_flush_file(const char *path, struct cw_view content, struct cw_fault *fault)
{
    return put(path, O_TRUNC, content, fault);
}
