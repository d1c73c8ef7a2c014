#define _GNU_SOURCE 1 /* memmem */ /* NOLINT */
#include "tools/state.h"

#include "tools/aside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    WAITING_BYTES_MAX = 4 << 20,
    ID_ROOM = 1024 /* of a customer's id, escaped, and what stands before it */
};

static cw_err open_lock(struct cw_state *state, struct cw_fault *fault)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/lock", state->directory);
    state->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state->lock < 0) {
        return cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    if (flock(state->lock, LOCK_EX | LOCK_NB) != 0) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "another engine uses the state in %s; stop it, or name another directory "
                       "with --state",
                       state->directory);
    }
    /* After the lock is made: a restore looks for that once its own mark is there. */
    if (cw_aside_unfinished(state->directory)) {
        return cw_fail(fault, CW_ERR_INVALID,
                       "a restore into %.150s is at work, or was killed: wait for it, or run "
                       "`cartwheel restore` once more, which removes what it left",
                       state->directory);
    }
    return CW_ERR_OK;
}

static cw_err make_secret(const char *path, uint8_t secret[32], struct cw_fault *fault)
{
    char made[4096 + 8];
    (void)snprintf(made, sizeof made, "%s.new", path);
    if (getrandom(secret, 32, 0) != 32) {
        return cw_fail(fault, CW_ERR_IO, "asking for random bytes");
    }
    int file = open(made, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool good = file >= 0 && write(file, secret, 32) == 32 && fsync(file) == 0;
    if (file >= 0) {
        good &= close(file) == 0;
    }
    if (!good || rename(made, path) != 0) {
        return cw_fail(fault, CW_ERR_IO, "writing %s", path);
    }
    return CW_ERR_OK;
}

static cw_err open_secret(struct cw_state *state, struct cw_fault *fault)
{
    char path[4096];
    uint8_t secret[32];
    (void)snprintf(path, sizeof path, "%s/secret.key", state->directory);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0 && errno != ENOENT) {
        return cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    if (file < 0) {
        cw_err err = make_secret(path, secret, fault);
        if (err != CW_ERR_OK) {
            return err;
        }
    } else {
        ssize_t got = read(file, secret, sizeof secret);
        (void)close(file);
        if (got != (ssize_t)sizeof secret) {
            return cw_fail(fault, CW_ERR_CORRUPT,
                           "%s does not hold 32 bytes; put the right file back: links in messages "
                           "that were sent depend on it",
                           path);
        }
    }
    memcpy(&state->link, secret, sizeof state->link);
    memcpy(&state->codes, secret + sizeof state->link, sizeof state->codes);
    explicit_bzero(secret, sizeof secret);
    return CW_ERR_OK;
}

cw_err cw_state_open(struct cw_state *state, const char *directory, struct cw_fault *fault)
{
    *state = (struct cw_state){.directory = directory, .lock = -1};
    if (strlen(directory) > 3900) {
        return cw_fail(fault, CW_ERR_INVALID, "the state directory's name is too long");
    }
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        return cw_fail(fault, CW_ERR_IO, "making the state directory %s", directory);
    }
    cw_err err = open_lock(state, fault);
    if (err == CW_ERR_OK) {
        err = open_secret(state, fault);
    }
    if (err != CW_ERR_OK) {
        cw_state_close(state);
    }
    return err;
}

void cw_state_close(struct cw_state *state)
{
    if (state->lock >= 0) {
        (void)close(state->lock);
        state->lock = -1;
    }
    explicit_bzero(&state->link, sizeof state->link);
    explicit_bzero(&state->codes, sizeof state->codes);
}

/* ---- dead letters ---- */

void cw_letters_init(struct cw_letters *letters)
{
    *letters = (struct cw_letters){.lost = 0};
    int rc = pthread_mutex_init(&letters->mutex, NULL);
    CW_ASSERT(rc == 0);
}

void cw_letters_deinit(struct cw_letters *letters)
{
    (void)pthread_mutex_destroy(&letters->mutex);
    cw_text_deinit(&letters->waiting);
}

/* The longest beginning of text that is no longer than max bytes and cuts no UTF-8 sequence. */
static struct cw_view cut(struct cw_view text, uint32_t max)
{
    if (text.bytes > max) {
        text.bytes = max;
        while (text.bytes > 0 && ((unsigned char)text.data[text.bytes] & 0xc0) == 0x80) {
            text.bytes--;
        }
    }
    return text;
}

/* Bytes of the sequence at the beginning; 0 when it is no UTF-8 (RFC 3629: no surrogates, nothing
   overlong, nothing beyond U+10FFFF). */
static uint32_t sequence_bytes(const unsigned char *at, uint32_t left)
{
    static const struct {
        unsigned char mask, lead;
        uint32_t bytes, least;
    } forms[] = {{0x80, 0x00, 1, 0},
                 {0xe0, 0xc0, 2, 0x80},
                 {0xf0, 0xe0, 3, 0x800},
                 {0xf8, 0xf0, 4, 0x10000}};

    for (uint32_t i = 0; i < CW_COUNTOF(forms); i++) {
        if ((at[0] & forms[i].mask) != forms[i].lead) {
            continue;
        }
        if (forms[i].bytes > left) {
            return 0;
        }
        uint32_t code = at[0] & (unsigned char)~forms[i].mask;
        for (uint32_t b = 1; b < forms[i].bytes; b++) {
            if ((at[b] & 0xc0) != 0x80) {
                return 0;
            }
            code = code << 6 | (at[b] & 0x3fu);
        }
        bool good = code >= forms[i].least && code <= 0x10ffff && (code < 0xd800 || code > 0xdfff);
        return good ? forms[i].bytes : 0;
    }
    return 0;
}

static uint32_t utf8_prefix(struct cw_view text)
{
    const unsigned char *data = (const unsigned char *)text.data;
    uint32_t good = 0;
    uint32_t bytes;
    while (good < text.bytes && (bytes = sequence_bytes(data + good, text.bytes - good)) > 0) {
        good += bytes;
    }
    return good;
}

/* A JSON string of bytes that may be anything: what is no UTF-8 becomes U+FFFD. */
static void put_any(struct cw_text *out, struct cw_view bytes)
{
    cw_text_char(out, '"');
    while (bytes.bytes > 0) {
        uint32_t good = utf8_prefix(bytes);
        if (good > 0) {
            size_t at = out->bytes;
            cw_text_json(out, (struct cw_view){bytes.data, good});
            /* without the quotes that it put round it */
            memmove(out->data + at, out->data + at + 1, out->bytes - at - 2);
            out->bytes -= 2;
        }
        bytes.data += good;
        bytes.bytes -= good;
        if (bytes.bytes > 0) {
            cw_text_puts(out, "\xef\xbf\xbd");
            bytes.data++;
            bytes.bytes--;
        }
    }
    cw_text_char(out, '"');
}

/* True of a long text that names its customer, if at all, only where it will be cut or beyond: what
   is kept of it could not be found when that customer is erased. */
static bool names_nobody(struct cw_view text)
{
    static const char name[] = "customerId";
    return text.bytes > CW_LETTER_BYTES_MAX &&
           memmem(text.data, CW_LETTER_BYTES_MAX - ID_ROOM, name, sizeof name - 1) == NULL;
}

void cw_letters_put(struct cw_letters *letters, int64_t at, struct cw_view text,
                    struct cw_view reason)
{
    (void)pthread_mutex_lock(&letters->mutex);
    struct cw_text *out = &letters->waiting;
    if (out->bytes > WAITING_BYTES_MAX) {
        letters->lost++;
    } else {
        cw_text_puts(out, "{\"at\":");
        cw_text_json_time(out, at);
        cw_text_puts(out, ",\"reason\":");
        put_any(out, reason);
        cw_text_puts(out, ",\"bytes\":");
        cw_text_u64(out, text.bytes);
        if (names_nobody(text)) {
            cw_text_puts(out, ",\"event\":null}\n");
        } else {
            cw_text_puts(out, ",\"event\":");
            put_any(out, cut(text, CW_LETTER_BYTES_MAX));
            cw_text_puts(out, "}\n");
        }
    }
    (void)pthread_mutex_unlock(&letters->mutex);
}

static cw_err open_file(struct cw_letter_file *file, struct cw_fault *fault)
{
    file->file = open(file->path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    struct stat found;
    if (file->file < 0 || fstat(file->file, &found) != 0) {
        return cw_fail(fault, CW_ERR_IO, "opening %s", file->path);
    }
    file->bytes = (uint64_t)found.st_size;
    return CW_ERR_OK;
}

cw_err cw_letter_file_open(struct cw_letter_file *file, const char *directory, uint64_t bytes_max,
                           struct cw_fault *fault)
{
    *file = (struct cw_letter_file){.file = -1, .bytes_max = bytes_max};
    (void)snprintf(file->path, sizeof file->path, "%.3900s/dead-letters.ndjson", directory);
    (void)snprintf(file->before, sizeof file->before, "%.3900s/dead-letters.1.ndjson", directory);
    return open_file(file, fault);
}

void cw_letter_file_close(struct cw_letter_file *file)
{
    if (file->file >= 0) {
        (void)close(file->file);
    }
    cw_text_deinit(&file->swapped);
}

cw_err cw_letter_file_reopen(struct cw_letter_file *file, struct cw_fault *fault)
{
    if (file->file >= 0) {
        (void)close(file->file);
    }
    return open_file(file, fault);
}

static bool begin_anew(struct cw_letter_file *file)
{
    struct cw_fault fault;
    if (rename(file->path, file->before) != 0 && errno != ENOENT) {
        return false;
    }
    return cw_letter_file_reopen(file, &fault) == CW_ERR_OK;
}

bool cw_letter_file_write(struct cw_letter_file *file, struct cw_letters *letters)
{
    if (file->swapped.bytes == 0) {
        (void)pthread_mutex_lock(&letters->mutex);
        struct cw_text full = letters->waiting;
        letters->waiting = file->swapped;
        (void)pthread_mutex_unlock(&letters->mutex);
        file->swapped = full;
    }
    if (file->swapped.bytes == 0) {
        return true;
    }
    if (file->bytes > 0 && file->bytes + file->swapped.bytes > file->bytes_max &&
        !begin_anew(file)) {
        return false;
    }
    size_t done = 0;
    while (done < file->swapped.bytes) {
        ssize_t wrote = write(file->file, file->swapped.data + done, file->swapped.bytes - done);
        if (wrote < 0 && errno == EINTR) {
            continue;
        }
        if (wrote <= 0) {
            memmove(file->swapped.data, file->swapped.data + done, file->swapped.bytes - done);
            file->swapped.bytes -= done;
            return false;
        }
        done += (size_t)wrote;
        file->bytes += (uint64_t)wrote;
    }
    cw_text_clear(&file->swapped);
    return true;
}
