#define _GNU_SOURCE 1 /* memmem */ /* NOLINT */
#include "tools/state.h"

#include "tools/aside.h"
#include "tools/flush.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    SECRET_BYTES = 32,
    LOOKED_AT_MS = 100, /* between two tries while somebody looks at the state */
    LOOKED_AT_TRIES = 300,
    WAITING_BYTES_MAX = 4 << 20,
    ID_ROOM = 1024 /* of a customer's id, escaped, and what stands before it */
};

/* ---- the lock ---- */

static bool told_to_stop(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

/* Who only looks (cw_look_lock) shares the lock: where it can be shared and not be had alone, that
   is who holds it. They come to an end by themselves, so that is waited for, but not for ever. */
static cw_err lock_alone(const struct cw_state *state, struct cw_fault *fault)
{
    for (uint32_t i = 0; i < LOOKED_AT_TRIES; i++) {
        if (flock(state->lock, LOCK_EX | LOCK_NB) == 0) {
            return CW_ERR_OK;
        }
        if (errno != EWOULDBLOCK && errno != EINTR) {
            return cw_fail(fault, CW_ERR_IO, "locking the state in %.150s", state->directory);
        }
        if (flock(state->lock, LOCK_SH | LOCK_NB) != 0) {
            return cw_fail(fault, CW_ERR_INVALID,
                           "another engine uses the state in %.100s; stop it, or name another "
                           "directory with --state",
                           state->directory);
        }
        (void)flock(state->lock, LOCK_UN);
        if (told_to_stop()) {
            break;
        }
        if (i == 0) {
            (void)fprintf(stderr,
                          "cartwheel: a verify, inspect or snapshot of the state in %s is at work; "
                          "the start waits for its end, for up to %d s\n",
                          state->directory, LOOKED_AT_TRIES * LOOKED_AT_MS / 1000);
        }
        const struct timespec step = {.tv_nsec = LOOKED_AT_MS * 1000000L};
        (void)nanosleep(&step, NULL);
    }
    return cw_fail(fault, CW_ERR_AGAIN,
                   "a verify, inspect or snapshot of the state in %.100s is still at work; start "
                   "again when it has ended",
                   state->directory);
}

static cw_err open_lock(struct cw_state *state, struct cw_fault *fault)
{
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/lock", state->directory);
    state->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (state->lock < 0) {
        return cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    cw_err err = lock_alone(state, fault);
    /* After the lock is made: a restore looks for that once its own mark is there. */
    if (err == CW_ERR_OK && cw_aside_unfinished(state->directory)) {
        err = cw_fail(fault, CW_ERR_INVALID,
                      "a restore into %.150s is at work, or was killed: wait for it, or run "
                      "`cartwheel restore` once more, which removes what it left",
                      state->directory);
    }
    return err;
}

/* ---- the secret ---- */

static cw_err write_secret(const struct cw_state *state, struct cw_fault *fault)
{
    char path[4096];
    char made[4096 + 8];
    uint8_t secret[SECRET_BYTES];
    memcpy(secret, &state->link, sizeof state->link);
    memcpy(secret + sizeof state->link, &state->codes, sizeof state->codes);
    (void)snprintf(path, sizeof path, "%s/secret.key", state->directory);
    (void)snprintf(made, sizeof made, "%s.new", path);
    cw_err err = cw_flush_file(made, (struct cw_view){(const char *)secret, sizeof secret}, fault);
    explicit_bzero(secret, sizeof secret);
    if (err == CW_ERR_OK && rename(made, path) != 0) {
        err = cw_fail(fault, CW_ERR_IO, "writing %s", path);
    }
    return err == CW_ERR_OK ? cw_flush_directory(state->directory, fault) : err;
}

static cw_err read_secret(const char *directory, uint8_t secret[SECRET_BYTES],
                          struct cw_fault *fault)
{
    char path[4096];
    uint8_t found[SECRET_BYTES + 1];
    (void)snprintf(path, sizeof path, "%.4000s/secret.key", directory);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return errno == ENOENT ? cw_fail(fault, CW_ERR_NOT_FOUND, "%.200s is missing", path)
                               : cw_fail(fault, CW_ERR_IO, "opening %s", path);
    }
    ssize_t got = read(file, found, sizeof found);
    (void)close(file);
    if (got < 0) {
        return cw_fail(fault, CW_ERR_IO, "reading %s", path);
    }
    memcpy(secret, found, SECRET_BYTES);
    explicit_bzero(found, sizeof found);
    return got == SECRET_BYTES ? CW_ERR_OK
                               : cw_fail(fault, CW_ERR_CORRUPT,
                                         "%.180s is damaged: it does not hold 32 bytes", path);
}

cw_err cw_state_prove_secret(const char *directory, struct cw_fault *fault)
{
    uint8_t secret[SECRET_BYTES];
    cw_err err = read_secret(directory, secret, fault);
    explicit_bzero(secret, sizeof secret);
    if (err == CW_ERR_NOT_FOUND) { /* every state begins with one */
        fault->code = err = CW_ERR_CORRUPT;
        fault->sys_errno = 0;
    }
    return err;
}

void cw_state_advise_secret(FILE *to)
{
    (void)fputs("cartwheel: it signs the links in messages; without it those in messages already "
                "sent lead nowhere, those to\n  unsubscribe, too. Put it back, from a backup of "
                "the state or restored from a snapshot; or, to give those\n  links up for good and "
                "go on with a new one: cartwheel run --new-secret\n",
                to);
}

/* Manifests or rows: whatever a start leaves that came further than its secret. */
static bool any_state(const char *directory)
{
    bool any = false;
    DIR *names = opendir(directory);
    if (names == NULL) {
        return true; /* not known: nothing is made in its place */
    }
    for (const struct dirent *entry; (entry = readdir(names)) != NULL;) {
        any = any || strcmp(entry->d_name, "manifest.a") == 0 ||
              strcmp(entry->d_name, "manifest.b") == 0 || strncmp(entry->d_name, "epoch-", 6) == 0;
    }
    (void)closedir(names);
    return any;
}

/* Messages that went out have links that the secret signed: a new one is not made for a state that
   had one, but where that was asked for, or where links are signed with another. */
static cw_err open_secret(struct cw_state *state, const struct cw_state_options *options,
                          struct cw_fault *fault)
{
    uint8_t secret[SECRET_BYTES];
    cw_err err = read_secret(state->directory, secret, fault);
    bool fresh = err == CW_ERR_NOT_FOUND && !any_state(state->directory);
    bool lost = !fresh && (err == CW_ERR_NOT_FOUND || err == CW_ERR_CORRUPT);
    if (options->new_secret && (fresh || err == CW_ERR_OK)) {
        err = cw_fail(fault, CW_ERR_INVALID, "--new-secret: %s in %.100s; leave that option out",
                      fresh ? "there is no state" : "secret.key is there, and whole",
                      state->directory);
    } else if (lost && !options->new_secret && !options->links_elsewhere) {
        err = fault->code = CW_ERR_CORRUPT;
        fault->sys_errno = 0;
    } else if (fresh || lost) {
        err = getrandom(secret, sizeof secret, 0) == (ssize_t)sizeof secret
                  ? CW_ERR_OK
                  : cw_fail(fault, CW_ERR_IO, "asking for random bytes");
    }
    if (err == CW_ERR_OK) {
        memcpy(&state->link, secret, sizeof state->link);
        memcpy(&state->codes, secret + sizeof state->link, sizeof state->codes);
        state->secret_lost = lost;
    }
    explicit_bzero(secret, sizeof secret);
    return err == CW_ERR_OK && fresh ? write_secret(state, fault) : err;
}

cw_err cw_state_keep_secret(const struct cw_state *state, struct cw_fault *fault)
{
    return state->secret_lost ? write_secret(state, fault) : CW_ERR_OK;
}

cw_err cw_state_open(struct cw_state *state, const struct cw_state_options *options,
                     struct cw_fault *fault)
{
    const char *directory = options->directory;
    *state = (struct cw_state){.directory = directory, .lock = -1};
    if (strlen(directory) > 3900) {
        return cw_fail(fault, CW_ERR_INVALID, "the state directory's name is too long");
    }
    if (mkdir(directory, 0700) != 0 && errno != EEXIST) {
        if (errno == ENOENT) {
            return cw_fail(fault, CW_ERR_NOT_FOUND,
                           "making the state directory %.150s: the directory that it is to be in "
                           "is not there; make that first (mkdir -p)",
                           directory);
        }
        return cw_fail(fault, CW_ERR_IO, "making the state directory %s", directory);
    }
    cw_err err = open_lock(state, fault);
    if (err == CW_ERR_OK) {
        err = open_secret(state, options, fault);
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
        file->file = -1;
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
    struct cw_fault fault;
    if (file->file < 0 && open_file(file, &fault) != CW_ERR_OK) { /* as the last time */
        return false;
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
