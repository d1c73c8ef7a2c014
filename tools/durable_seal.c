/* durable_seal: the file that says that the memory is what the log leads to. */
#include "tools/durable_priv.h"
#include "tools/flush.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static_assert(offsetof(struct cw_seal, hash) + sizeof(uint64_t) == sizeof(struct cw_seal),
              "no padding that nobody has written");

static const char magic[8] = {'c', 'w', '-', 's', 'e', 'a', 'l', '\n'};

static uint64_t hash_of(const struct cw_seal *seal)
{
    return cw_hash((struct cw_hash_key){0, 0}, seal, offsetof(struct cw_seal, hash));
}

cw_err cw_seal_read(struct cw_seal *seal, const char *path, struct cw_fault *fault)
{
    char beyond;
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return errno == ENOENT ? cw_fail(fault, CW_ERR_NOT_FOUND, "no %s", path)
                               : cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    ssize_t got = read(file, seal, sizeof *seal);
    bool whole = got == (ssize_t)sizeof *seal && read(file, &beyond, 1) == 0;
    (void)close(file);
    if (got < 0) {
        return cw_fail(fault, CW_ERR_IO, "reading %s", path);
    }
    if (!whole || memcmp(seal->magic, magic, sizeof magic) != 0 ||
        seal->format != CW_SEAL_FORMAT || seal->bytes != sizeof *seal ||
        seal->hash != hash_of(seal)) {
        return cw_fail(fault, CW_ERR_CORRUPT, "its seal is damaged, or of another version");
    }
    return CW_ERR_OK;
}

cw_err cw_seal_write(struct cw_seal *seal, const char *path, struct cw_fault *fault)
{
    char made[4096];
    (void)snprintf(made, sizeof made, "%.4080s.new", path);
    memcpy(seal->magic, magic, sizeof magic);
    seal->format = CW_SEAL_FORMAT;
    seal->bytes = sizeof *seal;
    seal->hash = hash_of(seal);
    cw_err err = cw_flush_file(made, (struct cw_view){(const char *)seal, sizeof *seal}, fault);
    if (err == CW_ERR_OK && rename(made, path) != 0) {
        err = cw_fail(fault, CW_ERR_IO, "writing %s", path);
    }
    return err == CW_ERR_OK ? cw_flush_parent(path, fault) : err;
}

cw_err cw_seal_revoke(const char *path, struct cw_fault *fault)
{
    if (unlink(path) != 0) {
        return errno == ENOENT ? CW_ERR_OK : cw_fail(fault, CW_ERR_IO, "removing %s", path);
    }
    return cw_flush_parent(path, fault);
}
