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

static bool put(int file, struct cw_view content)
{
    return file >= 0 && write(file, content.data, content.bytes) == (ssize_t)content.bytes &&
           fsync(file) == 0;
}

cw_err cw_flush_line(const char *path, struct cw_view line, struct cw_fault *fault)
{
    int file = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    off_t end = file >= 0 ? lseek(file, 0, SEEK_END) : -1;
    char last = '\n';
    bool good = end == 0 || (end > 0 && pread(file, &last, 1, end - 1) == 1);
    /* A crash may have left half a line: that one alone is lost. */
    good = good && (last == '\n' || write(file, "\n", 1) == 1) && put(file, line);
    cw_err err = good ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "writing %s", path);
    if (!good && end >= 0) {
        (void)ftruncate(file, end); /* who tries again writes it again */
    }
    if (file >= 0) {
        (void)close(file);
    }
    return err == CW_ERR_OK ? cw_flush_parent(path, fault) : err;
}

cw_err cw_flush_file(const char *path, struct cw_view content, struct cw_fault *fault)
{
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    cw_err err = put(file, content) ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "writing %s", path);
    if (file >= 0) {
        (void)close(file);
    }
    return err;
}
